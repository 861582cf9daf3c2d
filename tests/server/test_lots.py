"""Lots are frozen, released and withdrawn, single units are voided: at once, exactly, and with the books still true."""

import hashlib

import pytest
from sqlalchemy import select

from server.audit import AuditEvent
from server.orders.actions import SoldOut
from server.policy import SYSTEM
from server.stock import lots, vault, withdrawal
from server.stock.imports import intake
from server.stock.model import StockLot
from shared.contracts.stock import MoveLot, WithdrawImport
from shared.errors import BadField, IllegalMove, NotFound
from shared.ids import new_id
from shared.states import LotState, UnitState
from tests.server.stocking import (
    counts,
    delivered,
    end,
    for_sale,
    given_back,
    lots_of,
    move,
    named_void,
    rows,
    secrets,
    sell_all,
    states,
    stock_lots,
    void,
    withdraw,
)
from tests.world import ANNA, BEN, CARA, world

SKU = "STEAM-50"
FREE, HELD, SOLD, VOID = UnitState
LOT = 2**32


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


@pytest.fixture
def plain(tmp_path):
    """A shop on SQLite alone, for what no engine does otherwise."""
    with world("sqlite", tmp_path) as built:
        yield built


def audited(shop, action):
    with shop.ctx.db.read() as tx:
        return [row.detail for row in tx.scalars(select(AuditEvent).where(AuditEvent.action == action))]


def reveal(shop, seq):
    """A member of staff looks at a key."""
    with shop.ctx.db.tx() as tx:
        sku_id = shop.skus[SKU].sku_id
        vault.log_views(tx, [vault.View(vault.Inspection(sku_id, seq, "投诉"), actor="staff:test", request_id="r")])


# --- freeze and release ---


def test_a_frozen_lot_sells_nothing_more_and_what_is_held_is_still_delivered(shop):
    shop.stock(SKU, 3)
    held = shop.place(ANNA, SKU)
    [lot] = lots_of(shop, SKU)
    move(shop, lot, "frozen", reason="客诉增多")
    assert for_sale(shop, SKU) == 0
    with pytest.raises(SoldOut) as refused:
        shop.place(BEN, SKU)
    assert refused.value.params["left"] == 0
    assert shop.apply(shop.fact(held)).name == "APPLIED"
    assert delivered(shop, held) == shop.keys(SKU, 1)
    [frozen] = lots_of(shop, SKU)
    assert (frozen.state, frozen.reason, frozen.free, frozen.sold) == (LotState.FROZEN, "客诉增多", 2, 1)
    assert audited(shop, "lot.freeze") == ['{"number": 0, "reason": "客诉增多"}']
    move(shop, lot, "open", reason="已核实")
    assert for_sale(shop, SKU) == 2
    assert sell_all(shop, SKU) == shop.keys(SKU, 3)[1:]


def test_a_hold_that_ends_in_a_frozen_lot_goes_back_and_waits_for_the_release(shop):
    shop.stock(SKU, 2)
    held = shop.place(ANNA, SKU)
    [lot] = lots_of(shop, SKU)
    move(shop, lot, "frozen")
    end(shop, held)
    assert (counts(shop, SKU), given_back(shop, SKU), for_sale(shop, SKU)) == ([(2, 0, 0, 0)], [1], 0)
    move(shop, lot, "open")
    assert sell_all(shop, SKU) == shop.keys(SKU, 2)


def test_lots_move_by_the_table_and_a_refusal_changes_nothing(plain):
    shop = plain
    shop.stock(SKU, 2)
    [lot] = lots_of(shop, SKU)
    for to in ("open", "exhausted"):
        with pytest.raises((IllegalMove, BadField)):
            move(shop, lot, to)
    move(shop, lot, "withdrawn")
    before = rows(shop)
    for to in ("open", "frozen", "withdrawn"):
        with pytest.raises(IllegalMove) as refused:
            move(shop, lot, to)
        assert refused.value.params["state"] == "withdrawn"
    assert rows(shop) == before
    assert [audited(shop, f"lot.{verb}") for verb in ("release", "freeze")] == [[], []]
    with shop.ctx.db.tx() as tx, pytest.raises(NotFound):
        lots.move(tx, new_id(), MoveLot(to=LotState.FROZEN, reason="没有"), actor=SYSTEM)


def test_nothing_is_done_to_a_lot_that_still_arrives(plain):
    shop = plain
    new, [first, second], _ = shop.announce(SKU, shop.keys(SKU, 4), per_chunk=2)
    with shop.ctx.db.tx() as tx:
        intake.declare(tx, shop.ctx.keys, new, shop.shelf(SKU), actor="system")
    with shop.ctx.db.tx() as tx:
        intake.receive(tx, new.id, intake.inspect(shop.ctx.keys, new.id, 0, first))
    shop.work()
    [lot] = lots_of(shop, SKU)
    assert (lot.working, lot.done, lot.imported, lot.state, for_sale(shop, SKU)) == ("importing", 2, 2, "open", 0)
    for to in ("frozen", "withdrawn"):
        with pytest.raises(lots.LotArriving):
            move(shop, lot, to)
    with shop.ctx.db.tx() as tx, pytest.raises(lots.LotArriving):
        lots.withdraw_import(tx, new.id, WithdrawImport(reason="不要了"), actor=SYSTEM)
    with shop.ctx.db.tx() as tx:
        intake.cancel(tx, new.id, actor="system")
    assert lots_of(shop, SKU) == []  # it is being taken out, and nobody looks at it any more
    with shop.ctx.db.tx() as tx, pytest.raises(lots.LotArriving):
        lots.withdraw_import(tx, new.id, WithdrawImport(reason="不要了"), actor=SYSTEM)
    shop.work()
    assert rows(shop) == [0, 0, 0, 0, 0]
    assert second


# --- withdraw ---


def test_a_withdrawn_lot_leaves_the_sale_at_once_and_its_keys_may_be_brought_again(shop, monkeypatch):
    monkeypatch.setattr(withdrawal, "STEP_UNITS", 3)
    keys = shop.keys(SKU, 12)
    shop.stock(SKU, keys)
    sold, held, back = shop.buy(ANNA, SKU), shop.place(BEN, SKU), shop.place(CARA, SKU)
    end(shop, back)
    void(shop, SKU, 7, reason="买家投诉已使用")
    reveal(shop, 9)
    [lot] = lots_of(shop, SKU)
    move(shop, lot, "withdrawn", reason="整批撤回", work=False)
    [during] = lots_of(shop, SKU)
    assert (during.state, during.working, during.done, for_sale(shop, SKU)) == ("withdrawn", "withdrawing", 3, 0)
    with pytest.raises(SoldOut):
        shop.place(CARA, SKU)
    shop.work()
    [after] = lots_of(shop, SKU)
    assert (after.working, after.reason) == (None, "整批撤回")
    assert counts(shop, SKU) == [(0, 1, 1, 10)]
    assert [seq for seq, state in states(shop, SKU).items() if state is not VOID] == [1, 2]
    assert secrets(shop, SKU) == [1, 2, 7, 9]  # sold, held, reported by a buyer, seen by staff
    assert (named_void(shop, SKU), given_back(shop, SKU)) == ({3: "", 7: "买家投诉已使用"}, [])
    shop.check()
    again = shop.stock(SKU, keys)
    assert (again.stored, again.duplicates) == (8, 4)
    assert sell_all(shop, SKU) == [key for n, key in enumerate(keys, start=1) if n not in {1, 2, 7, 9}]
    assert delivered(shop, sold) == keys[:1]
    assert shop.apply(shop.fact(held)).name == "APPLIED"
    assert delivered(shop, held) == keys[1:2]
    assert counts(shop, SKU)[0] == (0, 0, 2, 10)


def test_what_was_held_leaves_with_its_lot_when_nobody_pays(shop):
    keys = shop.keys(SKU, 3)
    shop.stock(SKU, keys)
    held = shop.place(ANNA, SKU, 2)
    move(shop, lots_of(shop, SKU)[0], "withdrawn")
    assert (counts(shop, SKU), secrets(shop, SKU)) == ([(0, 2, 0, 1)], [1, 2])
    end(shop, held)
    assert (counts(shop, SKU), given_back(shop, SKU)) == ([(0, 0, 0, 3)], [])
    shop.check()
    shop.work()
    assert (secrets(shop, SKU), named_void(shop, SKU)) == ([], {1: "", 2: ""})
    shop.check()
    assert shop.stock(SKU, keys).stored == 3


def test_a_reusable_key_leaves_when_none_of_its_uses_is_left(shop, monkeypatch):
    monkeypatch.setattr(withdrawal, "STEP_UNITS", 4)
    keys = shop.keys(SKU, 4)
    shop.stock(SKU, keys, terms=(None, None, 3))
    bought = shop.buy(ANNA, SKU)
    [used] = delivered(shop, bought)
    held = shop.place(BEN, SKU)
    units = states(shop, SKU)
    [sold_seq] = [seq for seq, state in units.items() if state is SOLD]
    [held_seq] = [seq for seq, state in units.items() if state is HELD]
    bad = next(seq for seq in range(1, 5) if seq not in {sold_seq % 2**20, held_seq % 2**20})
    void(shop, SKU, bad + 2**20)
    move(shop, lots_of(shop, SKU)[0], "withdrawn")
    assert counts(shop, SKU) == [(0, 1, 1, 10)]
    assert secrets(shop, SKU) == sorted({sold_seq % 2**20, held_seq % 2**20, bad})
    shop.check()
    end(shop, held)
    shop.work()
    assert secrets(shop, SKU) == sorted({sold_seq % 2**20, bad})
    shop.check()
    again = shop.stock(SKU, keys, terms=(None, None, 3))
    assert (again.stored, again.duplicates) == (2, 2)
    assert used not in sell_all(shop, SKU)


def test_an_import_is_withdrawn_with_all_its_lots_and_a_repeat_withdraws_nothing(shop):
    keys = shop.keys(SKU, 6)
    brought = [((None, 100, 1), keys[:3]), ((None, 200, 1), keys[3:5]), ((None, None, 2), keys[5:])]
    import_id = stock_lots(shop, SKU, brought)
    shop.stock(SKU, shop.keys(SKU, 2, start=50))
    shop.buy(ANNA, SKU)
    shop.place(BEN, SKU)
    move(shop, lots_of(shop, SKU)[1], "frozen")
    done = withdraw(shop, import_id, reason="供应商要求")
    assert done.model_dump() == {"lots": 3, "units": 5, "held": 1, "sold": 1}
    assert [lot.state for lot in lots_of(shop, SKU)] == ["withdrawn"] * 3 + ["open"]
    assert counts(shop, SKU) == [(0, 1, 1, 0), (0, 0, 0, 3), (0, 0, 0, 2), (2, 0, 0, 0)]
    assert for_sale(shop, SKU) == 2
    assert withdraw(shop, import_id).model_dump() == {"lots": 0, "units": 0, "held": 0, "sold": 0}
    assert len(audited(shop, "import.withdraw")) == 1
    with shop.ctx.db.tx() as tx, pytest.raises(NotFound):
        lots.withdraw_import(tx, new_id(), WithdrawImport(reason="没有"), actor=SYSTEM)
    shop.check()
    assert shop.stock(SKU, keys).stored == 5  # the reusable key is a buyer's


def test_a_withdrawal_goes_on_where_it_stopped_and_steps_may_come_twice(plain, monkeypatch):
    shop = plain
    monkeypatch.setattr(withdrawal, "STEP_UNITS", 2)
    shop.stock(SKU, 7)
    [lot] = lots_of(shop, SKU)
    move(shop, lot, "withdrawn", work=False)
    assert shop.ctx.jobs.run_due() == 1
    assert (lots_of(shop, SKU)[0].done, len(secrets(shop, SKU))) == (2, 5)
    shop.check()  # half done is true as well
    with shop.ctx.db.tx() as tx:
        withdrawal.step(tx, {"lots": [str(lot.id)], "after": None, "key": 0})
    shop.work()
    assert (counts(shop, SKU), secrets(shop, SKU)) == ([(0, 0, 0, 7)], [])
    before = rows(shop)
    with shop.ctx.db.tx() as tx:
        withdrawal.step(tx, {"lots": [str(lot.id)], "after": None, "key": 0})
        withdrawal.step(tx, {"lots": [str(new_id())], "after": None, "key": 0})
    shop.work()
    assert rows(shop) == before
    with shop.ctx.db.read() as tx:
        row = tx.get(StockLot, lot.id)
        assert (row.withdrawing, row.version, row.moved_by) == (False, 2, "system")


# --- single units ---


def test_single_units_are_voided_and_the_others_are_named(shop):
    keys = shop.keys(SKU, 7)
    shop.stock(SKU, keys)
    shop.buy(ANNA, SKU)
    shop.place(BEN, SKU)
    back = shop.place(CARA, SKU)
    end(shop, back)
    assert given_back(shop, SKU) == [3]
    done = void(shop, SKU, 6, 3, 1, 2, 99, 3, 5, reason="已在别处用过")
    assert (done.voided, done.left) == ([3, 5, 6], [1, 2, 99])
    assert counts(shop, SKU) == [(2, 1, 1, 3)]
    assert (given_back(shop, SKU), named_void(shop, SKU)) == ([], dict.fromkeys([3, 5, 6], "已在别处用过"))
    assert len(audited(shop, "stock.void")) == 1
    again = void(shop, SKU, 3, 5)
    assert (again.voided, again.left) == ([], [3, 5])
    assert len(audited(shop, "stock.void")) == 1
    assert sell_all(shop, SKU) == [keys[3], keys[6]]
    refused = shop.stock(SKU, keys)
    assert (refused.stored, refused.duplicates) == (0, 7)  # a key known to be bad does not come back


def test_a_million_lots_away_a_number_of_another_sku_is_unknown(plain):
    shop = plain
    shop.stock(SKU, 2)
    shop.stock("MUSIC-30", 5)
    done = void(shop, SKU, 5, LOT + 1)
    assert (done.voided, done.left) == ([], [5, LOT + 1])
    assert counts(shop, "MUSIC-30") == [(5, 0, 0, 0)]


def test_reasons_are_kept_and_no_key_is(plain):
    shop = plain
    shop.stock(SKU, 2)
    void(shop, SKU, 1, reason="买家投诉")
    told = " ".join(audited(shop, "stock.void"))
    assert "买家投诉" in told
    for key in shop.keys(SKU, 2):
        assert key not in told
        assert hashlib.sha256(key.encode()).hexdigest() not in told
