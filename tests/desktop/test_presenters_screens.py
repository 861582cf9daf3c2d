"""The state of the screens without a display: a new product, a file to check, an import and its account, a day."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pytest

from desktop.credentials import Place
from desktop.engine.events import (
    ChangesArrived,
    Connection,
    ConnectionChanged,
    ImportProgressed,
    SignedIn,
    SignedOut,
)
from desktop.importing import Columns, plan
from desktop.operations import orders
from desktop.operations.checking import Look
from desktop.operations.seen import Seen
from desktop.presenters import words
from desktop.presenters.check import Check, SkuChoice, shape, verdict, verdict_tone
from desktop.presenters.console import Console
from desktop.presenters.imports import Imports, ImportStage
from desktop.presenters.orders import timeline
from desktop.presenters.pasted import Pasted
from desktop.presenters.products import ProductDraft, Products, SkuDraft
from desktop.presenters.reconciliation_books import Books, proofs
from desktop.presenters.status import Status
from shared import clock, ids
from shared.contracts.reports import DaySummary, LedgerTotal
from shared.contracts.stock import FileFigures
from shared.money import UNITS_PER_FEN
from shared.permissions import Role
from shared.states import ProductState
from tests.desktop.live import at_once
from tests.desktop.test_presenters_lists import Later
from tests.desktop.window_program import person
from tests.world import ANNA, BEN

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
SKUS = [SkuChoice("STEAM-50", "Steam 充值卡"), SkuChoice("STEAM-5", "Steam 小额"), SkuChoice("MUSIC-30", "音乐会员")]


# --- products ---


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, {}),
        ({"name": " "}, {"name": "needed"}),
        ({"code": "with space"}, {"code": "code"}),
        ({"skus": [SkuDraft("A", "a", "0")]}, {"skus.0.price": "price"}),
        ({"skus": [SkuDraft("A", "a", "1.23456")]}, {"skus.0.price": "price"}),
        ({"skus": [SkuDraft("A", "a", "ten")]}, {"skus.0.price": "price"}),
        ({"skus": [SkuDraft("A", "a", "1"), SkuDraft("A", "b", "2")]}, {"skus.1.code": "double"}),
        ({"skus": [SkuDraft("", "", "")]}, {f"skus.0.{name}": "needed" for name in ("code", "name", "price")}),
        ({"skus": [SkuDraft("坏", "a", "1")]}, {"skus.0.code": "code"}),
    ],
)
def test_a_draft_says_what_is_wrong_with_it(change, wrong):
    draft = replace(ProductDraft("games", "steam", "Steam", "", [SkuDraft("S-1", "One", "98.5")]), **change)
    made = draft.finish()
    assert draft.wrong == wrong
    assert (made is None) == bool(wrong)
    if made is not None:
        assert made.skus[0].unit_price == 9850 * UNITS_PER_FEN


def test_who_may_draft_and_who_may_publish():
    supplier, operator = (Products(Later(), person(role)) for role in (Role.SUPPLIER, Role.OPERATOR))
    assert (supplier.may_create, supplier.may_publish) == (True, False)
    assert (operator.may_create, operator.may_publish) == (False, True)
    assert not operator.may_move(None, ProductState.PUBLISHED)


# --- a file to check ---


@pytest.mark.parametrize(
    ("name", "sku"),
    [
        ("星河 steam-50 三月.xlsx", "STEAM-50"),
        ("music-30.txt", "MUSIC-30"),
        ("keys.txt", ""),
        ("steam-5.csv", "STEAM-5"),
    ],
)
def test_a_file_names_its_sku(name, sku):
    check = Check(Later(), Path(name), title=name, skus=SKUS, started=lambda _: None)
    assert check.sku == sku


def test_the_only_sku_is_chosen_and_a_person_may_choose_another():
    check = Check(Later(), Path("k.txt"), title="k.txt", skus=SKUS[:1], started=lambda _: None)
    assert check.sku == "STEAM-50"
    check.choose_sku("MUSIC-30")
    check.offer(SKUS)
    assert check.sku == "MUSIC-30", "what a person chose is not guessed again"


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("A001----K3J9-22MX", "••••----••••-22MX"),
        ("AB12", "••••"),
        ("", ""),
        (" K3J9 22MX P7QT ", " •••• •••• P7QT "),
    ],
)
def test_a_covered_line_shows_its_shape_only(text, covered):
    assert shape(text) == covered


def test_changing_a_choice_reads_the_file_again_and_old_answers_are_dropped(tmp_path):
    file = tmp_path / "keys.txt"
    file.write_bytes("目录----K3J9-22MX\n".encode("gb18030") * 3)
    ask = Later()
    check = Check(ask, file, title=file.name, skus=SKUS, started=lambda _: None)
    check.look()
    check.decide(encoding="utf-16-le")
    assert (check.looking, len(ask.asked)) == (True, 2)
    ask.answer(1, Look(plan(file), by_habit=False, has_rule=False))
    ask.fail(0, ValueError("late"))
    assert check.error is None
    assert check.preview.encoding == "gb18030"
    check.next_encoding()
    assert check.options.encoding == "utf-16-le"
    check.use_columns(number=1, secret=1, expiry=1, cost=0, uses=0)
    assert check.options.columns == Columns(secret=1, cost=0), "a column is one thing"
    asked = len(ask.asked)
    check.decide(encoding="utf-16-le")
    assert len(ask.asked) == asked, "nothing changed, nothing is asked"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_verdict_of_a_line_is_a_sentence(tmp_path, language):
    file = tmp_path / "keys.txt"
    file.write_text("AAAA-1111\n AAAA-2222\n\nAAAA-1111\n", "utf-8")
    lines = plan(file).lines
    words.speak(language)
    try:
        said = [verdict(line, lines) for line in lines]
    finally:
        words.speak("zh")
    expected = {
        "zh": ["", "去掉首尾空白", "空行", "与第 1 行重复"],
        "en": ["", "Spaces at the ends removed", "Empty line", "Is the same as line 1"],
    }
    assert said == expected[language]
    assert [verdict_tone(line) for line in lines] == ["success", "warning", "neutral", "danger"]


# --- imports ---


def test_an_import_from_the_first_line_to_the_last_word_of_the_server(live_shop, console, tmp_path):
    world = live_shop.world
    keys = world.keys("STEAM-50", 40)
    world.stock("STEAM-50", [("", key) for key in keys[:5]])
    file = tmp_path / "STEAM-50.txt"
    file.write_text("\n".join([*keys, keys[7], "", "x\u200by"]), "utf-8")
    here = console()
    here.sign_in(live_shop.url, "chen")
    imports = Imports(at_once(here), Pasted(tmp_path))
    imports.open()
    other = tmp_path / "later.txt"
    other.write_text("Z-1\n", "utf-8")
    imports.take([file, other])
    assert (imports.check.title, imports.check.sku, imports.waiting) == ("STEAM-50.txt", "STEAM-50", [other])
    imports.check.start()
    assert imports.check.file == other, "the next file is checked while the first one travels"
    upload = imports.opened
    here.wait_for(lambda e: getattr(e, "id", None) == upload and getattr(e, "is_over", False))
    for event in list(here.events):
        imports.hear(event)
    one = imports.progress
    assert one.stage is ImportStage.DONE
    assert (one.figures.read, one.figures.valid, one.stored, one.duplicates_in_stock) == (43, 40, 35, 5)
    results = [imports.problems.cells(n)[2] for n in range(imports.problems.count)]
    assert results == ["重复", "拒绝", "跳过", *["库存重复"] * 5]
    imports.filter("stock_duplicates")
    assert [imports.problems.cells(n)[0] for n in range(imports.problems.count)] == ["1", "2", "3", "4", "5"]
    imports.filter("refused")
    assert [imports.problems.cells(n)[0] for n in range(imports.problems.count)] == ["43"]
    assert (imports.may_cancel, imports.may_pause, imports.may_export) == (False, False, True)
    imports.export(tmp_path / "out.xlsx")
    assert (imports.exported.rows, imports.exported.whole) == (7, True), "the server's lines are among them"
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert [cell.value for cell in sheet["A"]] == ["行号", 1, 2, 3, 4, 5, 41, 43]
    assert [sheet["E2"].value, sheet["D2"].value, sheet["C2"].value] == [keys[0], "库存中已有这张卡密", "服务器未接受"]
    file.unlink()
    imports.export(tmp_path / "lines.xlsx")
    assert (imports.exported.rows, imports.exported.whole) == (7, False)
    sheet = openpyxl.load_workbook(tmp_path / "lines.xlsx").active
    assert [cell.value for cell in sheet["A"]] == ["行号", 1, 2, 3, 4, 5, 41, 43]
    assert keys[7] not in [cell.value for row in sheet.rows for cell in row], "what is gone is not in the clear"
    imports.skip()
    assert imports.check is None


def test_pasted_text_is_for_this_user_and_gone_afterwards(tmp_path):
    pasted = Pasted(tmp_path)
    imports = Imports(Later(), pasted)
    imports.take_text("  \n")
    assert imports.check is None
    imports.take_text("A----B\n")
    file = imports.check.file
    assert file.read_text("utf-8") == "A----B\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert imports.check.title != file.name
    imports.skip()
    assert not file.exists()
    left = pasted.keep("C----D\n")
    Pasted(tmp_path).forget_all()
    assert not left.exists()
    own = tmp_path / "own.txt"
    own.write_text("mine")
    pasted.forget(own)
    assert own.read_text() == "mine", "a person's own file is never touched"


# --- orders ---


def test_a_timeline_has_what_happened_and_what_is_due(live_shop, console):
    world = live_shop.world
    world.stock("STEAM-50", 3)
    paid, waiting = world.buy(ANNA, "STEAM-50"), world.place(BEN, "STEAM-50")
    here = console()
    here.sign_in(live_shop.url, "zhou")
    steps = {}
    for checkout in (paid, waiting):
        order = here.run(orders.find_order(here.engine, checkout.order.code)).value
        steps[checkout.order.code] = [moment.key for moment in timeline(order)]
    assert steps == {
        paid.order.code: ["placed", "paid", "delivered"],
        waiting.order.code: ["placed", "expires"],
    }


# --- the day ---


def summary(**change) -> DaySummary:
    facts = {
        "day": date(2026, 3, 1),
        "as_of": NOON,
        "orders_placed": 3,
        "orders_paid": 2,
        "orders_delivered": 2,
        "paid_fen": 9000,
        "delivered_fen": 9000,
        "supplier_fen": 8550,
        "fee_fen": 450,
        "units_imported": 5,
        "units_sold": 2,
        "exceptions_open": 0,
        "ledger": [
            LedgerTotal(account="psp", debits_fen=9000, credits_fen=0),
            LedgerTotal(account="escrow", debits_fen=0, credits_fen=9000),
        ],
    }
    return DaySummary(**(facts | change))


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        ({"fee_fen": 449}, ["split"]),
        ({"discount_fen": 500, "commission_fen": 450, "fee_fen": 500}, []),
        ({"discount_fen": 500}, ["split"]),
        ({"paid_fen": 9001}, ["delivered"]),
        ({"exceptions_open": 1}, ["exceptions"]),
        ({"ledger": [LedgerTotal(account="psp", debits_fen=1, credits_fen=0)]}, ["ledger"]),
    ],
)
def test_what_must_hold_is_compared_to_the_fen(change, broken):
    assert [proof.key for proof in proofs(summary(**change)) if not proof.holds] == broken


def test_a_day_is_at_most_today_and_late_figures_of_another_day_are_dropped():
    ask = Later()
    with clock.fixed(NOON):
        page = Books(ask)
        assert (page.day, page.is_over) == (date(2026, 3, 1), True), "yesterday first"
        page.step(1)
        assert (page.day, page.is_over) == (date(2026, 3, 2), False)
        page.step(1)
        assert page.day == date(2026, 3, 2)
        page.step(-1)
        assert (page.day, page.is_over, page.file_name) == (date(2026, 3, 1), True, "kameng-2026-03-01.xlsx")
        ask.answer(0, Seen(summary(day=date(2026, 3, 2)), NOON, live=True))
        assert page.summary is None
        ask.answer(1, Seen(summary(), NOON, live=True))
    assert page.summary.day == date(2026, 3, 1)
    assert page.holds


# --- who is here ---


def test_the_next_person_sees_nothing_of_the_last_one(tmp_path):
    ask, looks = Later(), []
    console = Console(ask, Pasted(tmp_path))
    console.watch(lambda: looks.append(console.desk))
    acted = []
    console.on_desk(lambda: acted.append("files"))
    first, second = person(Role.SUPPLIER), person(Role.FINANCE)
    console.hear(SignedIn(first, "https://shop.example.com", Place.MEMORY))
    desk = console.desk
    assert acted == ["files"]
    console.hear(SignedIn(first, "https://shop.example.com", Place.MEMORY))
    assert console.desk is desk, "the same person again keeps the screens"
    console.hear(ChangesArrived(frozenset({"stock"})))
    asked = len(ask.asked)
    console.hear(ConnectionChanged(Connection.ONLINE, "https://shop.example.com", NOON))
    assert len(ask.asked) == asked + 1, "what was saved without a connection is sent"
    console.hear(SignedIn(second, "https://shop.example.com", Place.MEMORY))
    assert console.desk.person == second
    console.hear(SignedOut())
    assert console.desk is None
    assert looks[-1] is None


def test_the_foot_knows_the_connection_and_a_wrong_clock():
    status, looks = Status(), []
    status.watch(lambda: looks.append(status.state))
    status.hear(ConnectionChanged(Connection.ONLINE, "https://shop.example.com", NOON, clock_off_seconds=301))
    assert (status.state, status.clock_is_wrong) == (Connection.ONLINE, True)
    status.hear(ConnectionChanged(Connection.OFFLINE, "https://shop.example.com", NOON, clock_off_seconds=-300))
    assert (status.clock_is_wrong, status.uploading.imports) == (False, 0)
    assert looks == [Connection.ONLINE, Connection.OFFLINE]


@pytest.mark.parametrize(
    ("stage", "sent", "fraction", "percent"),
    [
        (ImportStage.READING, 0, 0.6, 20),
        (ImportStage.UPLOADING, 2, 0.5, 50),
        (ImportStage.INGESTING, 4, 0.25, 75),
        (ImportStage.PAUSED, 1, 0.0, 41),
        (ImportStage.DONE, 4, 1.0, 0),
    ],
)
def test_the_foot_counts_all_three_steps_of_an_import(stage, sent, fraction, percent):
    status = Status()
    figures = FileFigures(read=9, valid=9, duplicates=0, refused=0, skipped=0)
    status.hear(
        ImportProgressed(
            ids.new_id(), "STEAM-50", "keys.txt", stage, figures, 4, sent, 0, 0, 0, NOON, fraction=fraction
        )
    )
    assert status.uploading.percent == percent
