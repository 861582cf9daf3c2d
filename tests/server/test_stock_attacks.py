"""What a hostile or merely unlucky party does to stock: impossible numbers, strange files, and two things at once."""

import threading

import pytest
from sqlalchemy import event, select, update

from server.catalog import actions as catalog
from server.catalog import queries as goods
from server.policy import SYSTEM, Actor, Kind
from server.stock import alerts, browse, lots, withdrawal
from server.stock.model import RevealLog, StockAlert, StockCursor, StockLot
from shared.contracts.catalog import ChangeRules, KeyRule, SellingRule
from shared.contracts.stock import MoveLot, WithdrawImport
from shared.permissions import Role
from shared.states import AlertKind, LotState, SaleOrder
from tests.server.conftest import opened
from tests.server.stocking import counts, for_sale, lots_of, move, rows, secrets, stock_lots
from tests.world import world

SKU = "STEAM-50"
TOO_MUCH = (2**70, 2**63, -1, -(2**70))


@pytest.fixture
def anywhere(any_engine, tmp_path):
    with opened(tmp_path, any_engine) as built:
        yield built


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


@pytest.fixture(params=["postgres", "mariadb"])
def crowded(request, tmp_path):
    """A shop on an engine where two transactions write at once."""
    with opened(tmp_path, request.param) as built:
        yield built


def meanwhile(work):
    """Begin `work` on another thread and let it come as far as it can; answers what waits for its outcome."""
    told = {}

    def run():
        try:
            told["answer"] = work()
        except Exception as error:  # noqa: BLE001 - handed to the caller
            told["answer"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0.5)  # it waits for a lock by then, or is through

    def outcome():
        thread.join(60)
        return told["answer"]

    return outcome


# --- numbers ---


@pytest.mark.each_engine
def test_numbers_that_no_column_holds_are_refused(anywhere):
    site, shop = anywhere, anywhere.world
    shop.stock(SKU, 2)
    product = f"/api/products/{shop.skus[SKU].product_id}"
    rules = {"key_rule": KeyRule().model_dump(), "selling": SellingRule().model_dump()}
    for number in TOO_MUCH:
        for method, path, body in (
            ("POST", f"/api/stock/{SKU}/void", {"seqs": [1, number], "reason": "坏卡"}),
            ("PUT", f"{product}/rules", rules | {"version": number}),
            ("POST", f"{product}/state", {"to": "off_shelf", "version": number}),
        ):
            answer = site.request(method, path, by="wang", json=body, raising=False)
            assert (answer.status_code, answer.json()["code"]) == (422, "bad_field"), (path, number)
    assert counts(shop, SKU) == [(2, 0, 0, 0)]
    assert site.get(product, by="wang").json()["version"] == 2


@pytest.mark.each_engine
def test_keys_that_expire_on_the_last_day_of_the_calendar_are_kept_and_sold_for_ever(shop):
    brought = shop.stock(SKU, 2, terms=("9999-12-31", None, 1))
    assert (brought.state, brought.stored) == ("done", 2)
    shop.stock(SKU, shop.keys(SKU, 1, start=9), terms=("2031-05-06", None, 1))
    first, second = lots_of(shop, SKU)
    assert (first.expires_on.isoformat(), first.sell_until, for_sale(shop, SKU)) == ("9999-12-31", None, 3)
    assert second.sell_until is not None
    with shop.ctx.db.read() as tx:
        version = goods.product(tx, SYSTEM, shop.skus[SKU].product_id).version
    with shop.ctx.db.tx() as tx:
        rule = ChangeRules(version=version, key_rule=KeyRule(), selling=SellingRule(stop_days=3))
        catalog.change_rules(tx, shop.skus[SKU].product_id, rule, actor=SYSTEM)
    shop.work()
    assert [lot.sell_until is None for lot in lots_of(shop, SKU)] == [True, False]


@pytest.mark.each_engine
def test_a_card_of_any_script_is_found_by_its_end(shop):
    shop.stock(SKU, [("", "ABCD1234測試卡密"), ("", "abcd1234卡密ABcd"), ("", "短卡密測試乙"), ("", "ABCD_1234%ab")])

    def found(tail):
        with shop.ctx.db.read() as tx:
            view = browse.View(shop.skus[SKU].sku_id)
            return [unit.seq for unit in browse.search(tx, view, tail=tail).items]

    assert {tail: found(tail) for tail in ("測試卡密", "卡密", "ABcd", "abcd", "測試乙", "試乙", "4%ab", "%b")} == {
        "測試卡密": [1], "卡密": [1], "ABcd": [2], "abcd": [], "測試乙": [3], "試乙": [3], "4%ab": [4], "%b": [],
    }  # fmt: skip


def test_a_whole_short_key_is_not_taken_in_an_address(anywhere):
    site, shop = anywhere, anywhere.world
    shop.stock(SKU, [("", "AB12CD34")])
    answers = [site.get(f"/api/stock/{SKU}/units/window?tail={tail}", by="wang") for tail in ("AB12CD34", "CD34")]
    assert [answer.status_code for answer in answers] == [422, 200]
    assert [unit["tail"] for unit in answers[1].json()["items"]] == ["34"]


# --- rights ---


def test_a_supplier_does_not_undo_what_the_shop_froze(anywhere):
    site, shop = anywhere, anywhere.world
    brought = shop.stock(SKU, 3)
    [lot] = lots_of(shop, SKU)

    def ask(who, to):
        return site.post(f"/api/lots/{lot.id}/state", by=who, json={"to": to, "reason": "核查"})

    assert ask("li", "frozen").json()["frozen_by_shop"] is True
    before = rows(shop)
    refused = [ask("chen", "open"), ask("chen", "withdrawn")]
    refused.append(site.post(f"/api/imports/{brought.id}/withdraw", by="chen", json={"reason": "核查"}))
    assert [(one.status_code, one.json()["code"]) for one in refused] == [(409, "frozen_by_shop")] * 3
    shop.work()
    assert (rows(shop), counts(shop, SKU), for_sale(shop, SKU)) == (before, [(3, 0, 0, 0)], 0)
    again = [ask("wang", "open"), ask("chen", "frozen"), ask("chen", "open")]
    assert [(one.status_code, one.json()["frozen_by_shop"]) for one in again] == [(200, False)] * 3
    assert for_sale(shop, SKU) == 3


def test_a_supplier_reads_neither_who_of_the_staff_saw_a_key_nor_why(anywhere):
    site, shop = anywhere, anywhere.world
    shop.stock(SKU, 1)
    body = {"reason": "买家张三投诉", "totp": shop.enrol("li").now()}
    assert site.post(f"/api/stock/{SKU}/units/1/reveal", by="li", json=body).status_code == 200

    def seen(who):
        event = site.get(f"/api/stock/{SKU}/units/1/history", by=who).json()["events"][-1]
        return event["what"], event["actor"], event["detail"]

    assert seen("wang") == ("revealed", "李航", "买家张三投诉")
    assert seen("chen") == ("revealed", "staff", "")


# --- two at once ---


def test_a_lot_that_is_frozen_and_withdrawn_at_once_is_withdrawn(crowded):
    shop = crowded.world
    brought = shop.stock(SKU, 3)
    [lot] = lots_of(shop, SKU)

    def leave():
        with shop.ctx.db.tx() as tx:
            return lots.withdraw_import(tx, brought.id, WithdrawImport(reason="撤回"), actor=SYSTEM)

    with shop.ctx.db.tx() as tx:
        lots.move(tx, lot.id, MoveLot(to=LotState.FROZEN, reason="核查"), actor=SYSTEM)
        outcome = meanwhile(leave)
    done = outcome()
    assert (done.lots, done.units) == (1, 3)
    shop.work()
    assert (lots_of(shop, SKU)[0].state, counts(shop, SKU), secrets(shop, SKU)) == ("withdrawn", [(0, 0, 0, 3)], [])


def test_two_withdrawals_of_an_import_at_once_withdraw_it_once(crowded):
    shop = crowded.world
    brought = shop.stock(SKU, 3)

    def leave():
        with shop.ctx.db.tx() as tx:
            return lots.withdraw_import(tx, brought.id, WithdrawImport(reason="撤回"), actor=SYSTEM)

    with shop.ctx.db.tx() as tx:
        lots.withdraw_import(tx, brought.id, WithdrawImport(reason="撤回"), actor=SYSTEM)
        outcome = meanwhile(leave)
    assert (outcome().lots, counts(shop, SKU)) == (0, [(3, 0, 0, 0)])
    shop.work()
    assert counts(shop, SKU) == [(0, 0, 0, 3)]


def test_lots_follow_the_newest_rules_when_these_change_while_lots_are_arranged(crowded, monkeypatch):
    shop, product_id = crowded.world, crowded.world.skus[SKU].product_id
    shop.stock(SKU, 1)
    shop.stock(SKU, shop.keys(SKU, 1, start=5))

    def change(order, version):
        with shop.ctx.db.tx() as tx:
            rule = ChangeRules(version=version, key_rule=KeyRule(), selling=SellingRule(sale_order=order))
            catalog.change_rules(tx, product_id, rule, actor=SYSTEM)

    change(SaleOrder.RANDOM, 2)
    real, asked = lots._locked, []

    def slow(tx, *which):
        """The job of the first change has begun when the second change comes and is done."""
        if not asked:
            asked.append(True)
            change(SaleOrder.LAST_IN, 3)
            with shop.ctx.db.tx() as other:
                lots.rearrange(other, {"product_id": str(product_id)})
        return real(tx, *which)

    monkeypatch.setattr(lots, "_locked", slow)
    with shop.ctx.db.tx() as tx:
        lots.rearrange(tx, {"product_id": str(product_id)})
    with shop.ctx.db.read() as tx:
        by_rank = (
            select(StockLot.number).join(StockCursor, StockCursor.lot_id == StockLot.id).order_by(StockCursor.rank)
        )
        ranks = list(tx.scalars(select(StockCursor.rank)))
        assert list(tx.scalars(by_rank)) == [1, 0]
    assert max(ranks) - min(ranks) == 1  # not by chance


def test_a_key_is_shown_or_forgotten_but_not_both(crowded):
    site, shop = crowded, crowded.world
    shop.stock(SKU, 2)
    [lot] = lots_of(shop, SKU)
    factor = shop.enrol("li")
    move(shop, lot, "withdrawn", work=False)

    def look():
        body = {"reason": "客诉", "totp": factor.now()}
        return site.post(f"/api/stock/{SKU}/units/1/reveal", by="li", json=body)

    site.token("li")
    with shop.ctx.db.tx() as tx:
        withdrawal.step(tx, {"lots": [str(lot.id)], "after": None, "key": 0})
        outcome = meanwhile(look)
    answer = outcome()
    assert (answer.status_code, answer.json()["code"]) == (409, "key_forgotten")
    with shop.ctx.db.read() as tx:
        assert tx.scalars(select(RevealLog)).all() == []
    assert secrets(shop, SKU) == []
    shop.work()


def test_what_comes_while_an_alert_is_cleared_is_told(crowded):
    shop, terms = crowded.world, crowded.world.skus[SKU]

    def tell():
        with shop.ctx.db.tx() as tx:
            alerts.raise_alert(
                tx, AlertKind.OFFERED_ELSEWHERE, sku_id=terms.sku_id, supplier_id=terms.supplier_id, add=4
            )

    tell()
    staff = Actor(Kind.STAFF, id=shop.users["li"], role=Role.OPERATOR)
    with shop.ctx.db.tx() as tx:
        alerts.clear(tx, staff, tx.scalars(select(StockAlert.id)).one())
        outcome = meanwhile(tell)
    assert outcome() is None
    with shop.ctx.db.read() as tx:
        found = tx.execute(select(StockAlert.figure, StockAlert.live_key.is_(None)).order_by(StockAlert.id)).all()
    assert [tuple(row) for row in found] == [(4, True), (4, False)]


# --- cost ---


def test_an_import_of_many_lots_is_withdrawn_in_a_few_statements(tmp_path):
    with world("sqlite", tmp_path) as shop:
        brought = stock_lots(shop, SKU, [((None, n, 1), shop.keys(SKU, 1, start=n)) for n in range(150)])
        with shop.ctx.db.tx() as tx:
            tx.execute(update(StockLot).where(StockLot.number < 20).values(state=LotState.FROZEN))
        asked = []
        with shop.ctx.db.tx() as tx:
            event.listen(tx.get_bind(), "before_cursor_execute", lambda *call: asked.append(call[2]))
            done = lots.withdraw_import(tx, brought, WithdrawImport(reason="撤回"), actor=SYSTEM)
        assert (done.lots, done.units) == (150, 150)
        assert len(asked) < 25
        steps = 0
        while shop.ctx.jobs.run_due():
            steps += 1
        assert steps < 12  # and not two for each lot, behind which all other jobs wait
        assert (set(counts(shop, SKU)), secrets(shop, SKU)) == ({(0, 0, 0, 1)}, [])
