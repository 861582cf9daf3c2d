"""The stock's state without a display: windows of millions of rows, deeds that are told first, pasted keys, alerts."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from desktop.operations import keys
from desktop.operations.seen import Seen
from desktop.operations.stock import UnitQuery
from desktop.presenters.alerts import Alerts, says
from desktop.presenters.deeds import MOST_VOIDED, DeedKind, Deeds
from desktop.presenters.finding import DOUBLED, FOUND, MISSING, Finding
from desktop.presenters.key_rules import OWN, RulesDraft, preset_of
from desktop.presenters.listing import PAGE_ROWS, Column
from desktop.presenters.stock import Stock
from desktop.presenters.stock_columns import LOT_COLUMNS, lot_state, unit_name
from desktop.presenters.units import Units
from desktop.presenters.windowed import MOST_UNDER_WAY, MOST_WAITING, Windowed
from shared import ids
from shared.cardkey import Card, CheckDigit
from shared.contracts.alerts import Alert
from shared.contracts.base import Page
from shared.contracts.stock import FoundKey, FoundKeys, Lot, SkuStock, Unit, UnitOrder
from shared.errors import Busy
from shared.permissions import Role
from shared.states import AlertKind, LotState, SaleOrder, UnitState
from tests.desktop.test_presenters_lists import Later
from tests.desktop.window_program import person

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
NUMBERS = [Column[int]("n", str, numeric=True)]
FIVE_MILLION = 5_000_000


@dataclass
class Rows:
    """An answer of the server."""

    items: list
    position: int
    total: int


class Server:
    """An `Ask` that answers windows when it is told to, and remembers what was asked."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.positions: list[int] = []
        self.waiting = []

    def __call__(self, work, then, otherwise) -> None:
        self.waiting.append((work(None), then, otherwise))

    def fetch(self, _engine, position: int, limit: int) -> tuple[int, int]:
        self.positions.append(position)
        return position, limit

    def answer(self, at: int = 0, *, total: int | None = None) -> None:
        (position, limit), then, _ = self.waiting.pop(at)
        known = self.total if total is None else total
        then(Rows(list(range(position, min(position + limit, known))), position, known))

    def answer_all(self) -> None:
        while self.waiting:
            self.answer()

    def fail(self, at: int = 0) -> None:
        self.waiting.pop(at)[2](Busy(retry_after_seconds=1))


@pytest.fixture
def server() -> Server:
    return Server(FIVE_MILLION)


@pytest.fixture
def rows(server) -> Windowed[int]:
    shown = Windowed(server, NUMBERS)
    shown.show(server.fetch)
    server.answer()
    return shown


# --- windows of a list of millions ---


def test_five_million_rows_are_counted_with_the_first_page(rows, server):
    assert (rows.size, rows.listing.count, server.positions) == (FIVE_MILLION, FIVE_MILLION, [0])
    assert rows.listing.cells(255) == ("255",)
    assert rows.listing.cells(FIVE_MILLION - 1) is None
    server.answer_all()
    assert rows.listing.cells(FIVE_MILLION - 1) == ("4999999",)
    assert len(server.positions) <= 4, "the last page, and one before it"


def test_dragging_over_everything_asks_for_where_it_stops(rows, server):
    pages = FIVE_MILLION // PAGE_ROWS
    for page in range(1, pages, 37):
        rows.listing.cells(page * PAGE_ROWS)
    stopped = max(range(1, pages, 37))
    assert len(server.waiting) == MOST_UNDER_WAY
    server.answer_all()
    assert len(server.positions) <= 1 + MOST_UNDER_WAY + MOST_WAITING
    assert rows.listing.cells(stopped * PAGE_ROWS) == (str(stopped * PAGE_ROWS),)
    rows.listing.cells(112 * PAGE_ROWS)
    assert len(server.waiting) > 0, "what was passed by is asked for when somebody comes back"


def test_an_answer_for_the_list_before_is_dropped(rows, server):
    rows.listing.cells(10 * PAGE_ROWS)
    rows.show(server.fetch)
    server.answer(len(server.waiting) - 1, total=300)
    server.answer_all()
    assert rows.size == 300
    assert rows.listing.item(299) is None
    assert rows.listing.item(0) == 0


def test_a_fault_stops_the_asking_until_a_person_retries(rows, server):
    rows.listing.cells(10 * PAGE_ROWS)
    server.fail()
    assert isinstance(rows.error, Busy)
    while server.waiting:
        server.fail()
    asked = len(server.positions)
    rows.listing.cells(20 * PAGE_ROWS)
    assert len(server.positions) == asked
    rows.retry()
    assert rows.error is None
    server.answer_all()
    assert rows.listing.cells(10 * PAGE_ROWS) == (str(10 * PAGE_ROWS),)
    assert rows.listing.cells(20 * PAGE_ROWS) == (str(20 * PAGE_ROWS),)


def test_a_list_that_grew_meanwhile_says_so_and_moves_nothing(rows, server):
    rows.listing.cells(10 * PAGE_ROWS)
    server.total += 7
    server.answer_all()
    assert (rows.size, rows.listing.stale) == (FIVE_MILLION, 1)
    rows.reload()
    server.answer_all()
    assert (rows.size, rows.listing.stale, rows.kept) == (FIVE_MILLION + 7, 0, True)


# --- deeds ---


def lot(**change) -> Lot:
    facts = {
        "id": ids.new_id(),
        "number": 1,
        "sku": "STEAM-50",
        "import_id": ids.new_id(),
        "state": LotState.OPEN,
        "file_name": "keys.xlsx",
        "imported": 4_367,
        "free": 4_300,
        "held": 12,
        "sold": 55,
        "void": 0,
        "created_at": NOON,
    }
    return Lot(**(facts | change))


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({}, {DeedKind.FREEZE, DeedKind.WITHDRAW, DeedKind.WITHDRAW_IMPORT}),
        ({"state": LotState.FROZEN}, {DeedKind.RELEASE, DeedKind.WITHDRAW, DeedKind.WITHDRAW_IMPORT}),
        ({"state": LotState.WITHDRAWN}, {DeedKind.WITHDRAW_IMPORT}),
        ({"working": "importing"}, set()),
        ({"working": "withdrawing"}, {DeedKind.WITHDRAW_IMPORT}),
        ({"working": "reencrypting"}, {DeedKind.FREEZE, DeedKind.WITHDRAW_IMPORT}),
        ({"import_id": None}, {DeedKind.FREEZE, DeedKind.WITHDRAW}),
    ],
)
def test_what_may_be_done_to_a_lot(change, allowed):
    one = lot(**change)
    deeds = Deeds(Later(), person(Role.SUPPLIER))
    assert {kind for kind in DeedKind if deeds.may(kind, one)} == allowed
    assert not any(Deeds(Later(), person(Role.FINANCE)).may(kind, one) for kind in DeedKind)


def test_what_the_shop_froze_only_the_shop_releases():
    one = lot(state=LotState.FROZEN, frozen_by_shop=True, reason="核查")
    chen, li = Deeds(Later(), person(Role.SUPPLIER)), Deeds(Later(), person(Role.OPERATOR))
    assert {kind for kind in DeedKind if chen.may(kind, one)} == {DeedKind.WITHDRAW_IMPORT}
    assert {kind for kind in DeedKind if li.may(kind, one)} >= {DeedKind.RELEASE, DeedKind.WITHDRAW}
    assert (chen.is_the_shops(one), li.is_the_shops(one), chen.is_the_shops(lot())) == (True, False, False)
    assert next(one for one in LOT_COLUMNS if one.key == "state").tip(one) == "由店铺冻结\n核查"


def test_a_deed_is_told_first_and_needs_somebody_to_do_it():
    ask = Later()
    deeds = Deeds(ask, person(Role.OPERATOR))
    first = lot()
    second = lot(number=2, import_id=first.import_id, free=10, held=0, sold=0, imported=10)
    gone = lot(number=3, import_id=first.import_id, state=LotState.WITHDRAWN)
    deeds.propose(DeedKind.WITHDRAW_IMPORT, gone)
    assert (deeds.gathering, deeds.pending, deeds.may(DeedKind.FREEZE, first)) == (True, None, False)
    ask.answer(0, [gone, second, first])
    deed = deeds.pending
    assert (len(deed.lots), deed.free, deed.held, deed.sold, deed.is_final) == (2, 4_310, 12, 55, True)
    deeds.drop()
    assert deeds.pending is None
    deeds.propose(DeedKind.FREEZE, first)
    deeds.carry_out("怀疑泄露")
    assert (deeds.busy, len(ask.asked)) == (True, 2)
    deeds.carry_out("怀疑泄露")
    deeds.drop()
    assert (deeds.pending.kind, len(ask.asked)) == (DeedKind.FREEZE, 2), "not twice, and not half"
    ask.fail(1, Busy(retry_after_seconds=1))
    assert (deeds.busy, type(deeds.error), deeds.pending.kind) == (False, Busy, DeedKind.FREEZE)


def test_a_file_of_which_nothing_is_left_is_told_and_a_late_answer_proposes_nothing():
    ask = Later()
    deeds = Deeds(ask, person(Role.OPERATOR))
    gone = lot(state=LotState.WITHDRAWN)
    deeds.propose(DeedKind.WITHDRAW_IMPORT, gone)
    ask.answer(0, [gone])
    assert (deeds.pending, deeds.gathering, deeds.error.code) == (None, False, "import.nothing_left")
    deeds.propose(DeedKind.WITHDRAW_IMPORT, gone)
    assert deeds.error is None
    deeds.drop()
    ask.answer(1, [lot()])
    assert (deeds.pending, deeds.gathering, deeds.error) == (None, False, None)


def test_only_free_units_are_sent_to_be_void():
    units = [
        Unit(seq=n, state=state, lot_id=ids.new_id())
        for n, state in enumerate([UnitState.FREE, UnitState.HELD, UnitState.SOLD, UnitState.VOID, UnitState.FREE])
    ]
    deeds = Deeds(Later(), person(Role.OPERATOR))
    deeds.propose_void("STEAM-50", units)
    deed = deeds.pending
    assert (deed.seqs, deed.free, deed.held, deed.sold, deed.void) == ((0, 4), 2, 1, 1, 1)


def test_whoever_selects_everything_is_sent_to_the_lot():
    ask = Later()
    units = Units(ask, Deeds(ask, person(Role.OPERATOR)))
    units.show(UnitQuery("STEAM-50"))
    units.propose_void([(0, MOST_VOIDED)])
    assert (units.gathering, units.error.code, len(ask.asked)) == (False, "unit.too_many_to_void", 1)
    units.sort("expiry")
    units.sort("expiry")
    assert units.query.order is UnitOrder.EXPIRY_DOWN
    units.sort("key")
    assert units.query.order is UnitOrder.EXPIRY_DOWN


# --- names ---


def test_units_have_names_that_people_can_say():
    unit = Unit(seq=2**32 + 1 + 2 * 2**20 + 14, state=UnitState.FREE, lot_id=ids.new_id(), lot=1, uses=3)
    assert unit_name(unit) == "#2-15×3"
    assert unit_name(replace_unit(unit, seq=2**32 + 1_235, uses=1)) == "#2-1,235"
    assert lot_state(lot(working="withdrawing", done=2_183)) == "正在撤回 49%"
    assert lot_state(lot(state=LotState.FROZEN)) == "冻结"


def replace_unit(unit: Unit, **change) -> Unit:
    return unit.model_copy(update=change)


# --- pasted keys ---


def test_pasted_lines_are_read_as_a_file_of_them_would_be():
    asked = keys.read_pasted("A1----K3J9-22MX\n\n A2 ----7HHW-M4C1\nA1----K3J9-22MX\n")
    assert [(one.line, one.first_line, one.card) for one in asked] == [
        (1, 0, Card("A1", "K3J9-22MX")),
        (3, 0, Card("A2", "7HHW-M4C1")),
        (4, 1, Card("A1", "K3J9-22MX")),
    ]
    assert "K3J9-22MX" not in repr(asked)
    with pytest.raises(keys.TooManyKeys) as refused:
        keys.read_pasted("\n".join(map(str, range(1_001))))
    assert refused.value.params == {"most": 1_000, "pasted": 1_001}


def test_every_pasted_line_has_an_outcome_and_no_key():
    ask = Later()
    finding = Finding(ask, person(Role.OPERATOR))
    finding.look_for("KEY-AAAA-1111\nKEY-BBBB-2222\nKEY-AAAA-1111\nKEY-CCCC-3333")
    unit = Unit(seq=5, state=UnitState.SOLD, lot_id=ids.new_id(), tail="1111")
    places = [FoundKey(n=0, sku=sku, unit=unit) for sku in ("STEAM-50", "MUSIC-30")]
    ask.answer(0, FoundKeys(asked=3, found=places, missing=[1, 2]))
    assert [(row.line, row.outcome, row.sku) for row in finding.rows] == [
        (1, FOUND, "STEAM-50"),
        (1, FOUND, "MUSIC-30"),
        (2, MISSING, ""),
        (3, DOUBLED, ""),
        (4, MISSING, ""),
    ]
    assert [finding.count(one) for one in (FOUND, MISSING, DOUBLED)] == [1, 2, 1]
    assert (finding.pasted, finding.sold()) == (4, 1)
    finding.choose(MISSING)
    assert [finding.listing.cells(n)[0] for n in range(finding.listing.count)] == ["2", "4"]
    assert "AAAA" not in repr(finding.rows)
    finding.close()
    assert (finding.rows, finding.listing.count, finding.is_open) == ([], 0, False)


def test_nobody_looks_for_keys_without_the_right():
    ask = Later()
    finding = Finding(ask, person(Role.FINANCE))
    finding.open()
    finding.look_for("KEY-AAAA-1111\nKEY-BBBB-2222")
    assert (finding.is_open, ask.asked) == (False, [])


# --- alerts ---


def alert(**change) -> Alert:
    facts = {
        "id": ids.new_id(),
        "sku": "STEAM-50",
        "name": "Steam",
        "supplier": "星河数码",
        "kind": AlertKind.LOW_COVER,
        "figure": 12,
        "for_sale": 48,
        "daily": 400,
        "loss_fen": 186_000,
        "raised_at": NOON,
        "cleared_at": None,
    }
    return Alert(**(facts | change))


def standing(*alerts: Alert) -> Seen:
    return Seen(value=Page(items=list(alerts), next=None), as_of=NOON, live=True)


def test_an_alert_is_news_once():
    ask, told = Later(), []
    alerts = Alerts(ask, person(Role.OPERATOR))
    alerts.watch(lambda: told.extend(one.name for one in alerts.fresh))
    alerts.open()
    first = alert()
    ask.answer(0, standing(first))
    assert (alerts.count, told) == (1, []), "what stood before somebody signed in is no news"
    alerts.renew()
    ask.answer(1, standing(first, alert(name="Music")))
    assert (alerts.count, told) == (2, ["Music"])
    alerts.renew()
    ask.answer(2, standing(first))
    assert (alerts.count, told) == (1, ["Music"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "还够卖 1.2 天：剩 48 张，每天卖 40 张"),
        ({"kind": AlertKind.SOLD_OUT, "figure": 0}, "已卖空，近 7 天每天卖 40 张"),
        ({"kind": AlertKind.EXPIRING, "figure": 4_285, "for_sale": 6_883}, "4,285 张快到停售日，在售共 6,883 张"),
    ],
)
def test_an_alert_says_why(change, said):
    assert says(alert(**change)) == said


def test_every_kind_of_alert_has_words():
    assert all(says(alert(kind=kind)) for kind in AlertKind)


# --- the picked SKU ---


def test_figures_of_the_picked_sku_are_told_whoever_sees_the_new_row_first():
    before = SkuStock(
        sku_id=ids.new_id(), sku="GAME-50", name="50", product="game", supplier="星河", imported=9, free=9, held=0,
        sold=0, void=0, for_sale=9,
    )  # fmt: skip
    after = before.model_copy(update={"free": 2, "void": 7, "for_sale": 2})
    ask, told = Later(), []
    stock = Stock(ask, person(Role.SUPPLIER))
    stock.open()
    ask.answer(0, Seen(Page[SkuStock](items=[before], next=None), NOON, live=True))
    stock.pick(0)
    stock.watch(lambda: told.append(stock.sum.void))
    # The table puts its cursor back on the row before anybody else looks.
    stock.feed.listing.watch(rows=lambda *_: None, reset=lambda: stock.pick(0), grown=lambda _: None)
    stock.feed.reload()
    ask.answer(-1, Seen(Page[SkuStock](items=[after], next=None), NOON, live=True))
    assert told == [7]


# --- rules of keys ---


def test_rules_are_finished_or_say_what_is_wrong():
    key_rule, selling = RulesDraft(preset="digits", min_length=16, max_length=16, check_digit=CheckDigit.LUHN).finish()
    assert (key_rule.alphabet, key_rule.check_digit, selling.sale_order) == (
        "0123456789",
        CheckDigit.LUHN,
        SaleOrder.FIRST_IN,
    )
    draft = RulesDraft(min_length=9, max_length=8, preset=OWN)
    assert draft.finish() is None
    assert draft.wrong == {"length": "length", "alphabet": "needed"}
    letters = replace(draft, min_length=1, alphabet="A B A", check_digit=CheckDigit.LUHN)
    assert letters.finish() is None
    assert letters.wrong == {"alphabet": "check"}
    assert preset_of("9876543210") == "digits"
    assert preset_of("xyz") == OWN
