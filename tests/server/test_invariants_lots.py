"""What must hold of lots, voids, reusable keys and withdrawals: honest books pass, and each corruption is named."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import delete, insert, select, update

from server import invariants
from server.db import table_of
from server.jobs import JobSchedule
from server.orders.model import Order
from server.stock import withdrawal
from server.stock.model import CardSecret, StockCursor, StockLot, StockReturned, StockUnit, StockVoid
from shared import clock
from shared.states import LotState, UnitState
from tests.databases import findings_after
from tests.server.stocking import end, lots_of, move, void
from tests.world import ANNA, BEN, CARA, world

SKU = "STEAM-50"
LOT = 2**32
USE = 2**20


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Three lots: a busy one, one of reusable keys, and one that was withdrawn while a buyer held of it."""
    with world("sqlite", tmp_path_factory.mktemp("shop")) as built:
        built.stock(SKU, 5)
        built.buy(ANNA, SKU, 2)
        void(built, SKU, 4)
        move(built, lots_of(built, SKU)[0], "frozen")
        built.stock(SKU, built.keys(SKU, 3, start=20), terms=(None, None, 3))
        built.buy(BEN, SKU)
        move(built, lots_of(built, SKU)[1], "frozen")
        built.stock(SKU, built.keys(SKU, 6, start=40))
        built.held = built.place(CARA, SKU)
        back = built.place(BEN, SKU)
        built.buy(ANNA, SKU)
        end(built, back)
        void(built, SKU, 2 * LOT + 5)
        move(built, lots_of(built, SKU)[2], "withdrawn")
        built.sku_id = built.skus[SKU].sku_id
        yield built


@pytest.fixture
def found(shop):
    """What the checks say of the books once some statements have corrupted them; all is undone."""
    return partial(findings_after, shop.ctx.db)


def unit(shop, seq):
    return (StockUnit.sku_id == shop.sku_id, StockUnit.seq == seq)


def lot_id(shop, number):
    return lots_of(shop, SKU)[number].id


def test_honest_books_have_no_finding(shop):
    report = shop.check()
    assert {name: report.figures[f"units_{name}"] for name in ("imported", "free", "held", "sold", "void")} == {
        "imported": 20,
        "free": 10,
        "held": 1,
        "sold": 4,
        "void": 5,
    }


def test_s5_a_key_that_left_with_its_lot_may_lack_and_no_other(shop, found):
    assert found(delete(CardSecret).where(CardSecret.seq == 2 * LOT + 4)) == {}  # it is gone already
    for seq in (3, 4, 2 * LOT + 1, 2 * LOT + 5):  # free in a frozen lot, voided, held, voided in a withdrawn lot
        gone = delete(CardSecret).where(CardSecret.sku_id == shop.sku_id, CardSecret.seq == seq)
        assert found(gone) == {"S5": (f"{shop.sku_id} {seq}",)}, seq


def test_s5_a_shared_key_that_is_missing_names_all_its_uses(shop, found):
    gone = delete(CardSecret).where(CardSecret.sku_id == shop.sku_id, CardSecret.seq == LOT + 1)
    assert found(gone) == {"S5": tuple(f"{shop.sku_id} {LOT + 1 + use * USE}" for use in range(3))}


def test_s5_keys_of_a_lot_that_was_only_frozen_are_never_gone(shop, found):
    unfrozen = update(StockLot).where(StockLot.id == lot_id(shop, 2)).values(state=LotState.OPEN.value)
    assert set(found(unfrozen)) == {"S5"}


def test_s4_a_use_that_no_key_has(shop, found):
    free = unit(shop, LOT + 3 + USE)
    astray = update(StockUnit).where(*free).values(seq=LOT + 4 + USE)
    assert found(astray)["S4"] == (str(lot_id(shop, 1)),)


def test_s4_a_unit_that_belongs_to_no_lot_or_lies_beyond_its_end(shop, found):
    row = {"sku_id": shop.sku_id, "lot_id": lot_id(shop, 0), "state": int(UnitState.FREE)}
    assert found(insert(table_of(StockUnit)).values(**row, seq=6))["S4"] == ("21 / 20",)
    other = update(StockUnit).where(*unit(shop, 3)).values(lot_id=lot_id(shop, 1))
    assert found(other)["S4"] == (str(lot_id(shop, 0)),)


def test_s4_counts_of_a_lot_that_was_withdrawn(shop, found):
    cursor = table_of(StockCursor)
    one = cursor.c.lot_id == lot_id(shop, 2)
    assert set(found(update(cursor).where(one).values(void=cursor.c.void - 1, free=cursor.c.free + 1))) == {"S4", "S8"}


def test_s6_units_given_back_are_free_ones(shop, found):
    for seq, number in ((4, 0), (2 * LOT + 2, 2)):
        row = {"sku_id": shop.sku_id, "seq": seq, "lot_id": lot_id(shop, number)}
        assert found(insert(table_of(StockReturned)).values(**row)) == {"S6": (f"{shop.sku_id} {seq}",)}


def test_s8_a_unit_that_somebody_voided_and_that_is_still_there(shop, found):
    row = {"sku_id": shop.sku_id, "seq": 5, "lot_id": lot_id(shop, 0), "reason": "坏卡", "actor": "a"}
    said = insert(table_of(StockVoid)).values(**row, voided_at=clock.now())
    assert found(said) == {"S8": (f"{shop.sku_id} 5",)}


@pytest.mark.parametrize("number", [0, 2])
def test_s8_a_lot_that_must_not_sell_and_does(shop, found, number):
    selling = update(StockCursor).where(StockCursor.lot_id == lot_id(shop, number)).values(selling=True)
    assert found(selling) == {"S8": (str(lot_id(shop, number)),)}


def test_s3_a_hold_is_overdue_only_when_the_sweep_had_its_chance(shop, found):
    with shop.ctx.db.read() as tx:
        seq = tx.scalars(select(StockUnit.seq).where(StockUnit.state == UnitState.HELD)).one()
    row = {"S3": (f"{shop.sku_id} {seq}",)}
    now, grace, minute = clock.now(), invariants.stock.HOLD_GRACE, timedelta(minutes=1)

    def swept(due, *, last, since):
        """The hold was due then; the sweep came last then, and regularly since then."""
        schedule = insert(table_of(JobSchedule)).values(name="payments.sweep", next_at=last, steady_since=since)
        order = update(Order).where(Order.id == shop.held.order.id).values(due_at=due)
        return found(delete(JobSchedule).where(JobSchedule.name == "payments.sweep"), schedule, order)

    long_ago = now - timedelta(days=3)
    assert swept(now - grace - minute, last=now, since=long_ago) == row
    assert swept(now - grace + minute, last=now, since=long_ago) == {}
    # The shop was off for three days: the hold came due meanwhile, and nobody could end it.
    assert swept(long_ago + minute, last=long_ago, since=long_ago - timedelta(days=1)) == {}
    # It was due long before the shop went off: that is what the check is for.
    assert swept(long_ago - grace - minute, last=long_ago, since=long_ago - timedelta(days=1)) == row
    # The shop is back for a minute, and the sweep works off what came due.
    assert swept(long_ago, last=now, since=now - minute) == {}
    assert swept(long_ago, last=now, since=now - grace - minute) == row
    assert swept(now - grace - minute, last=now, since=None) == row
    # However long it was off: a held unit without an order is nobody's.
    alone = update(StockUnit).where(*unit(shop, seq)).values(order_line_id=None)
    assert found(alone)["S3"] == row["S3"]


def test_a_schedule_knows_since_when_it_comes_round(tmp_path):
    with world("sqlite", tmp_path) as shop:
        jobs, start = shop.ctx.jobs, clock.now()
        jobs.every("test.round", 5, lambda: None)

        def since():
            with shop.ctx.db.read() as tx:
                return tx.get(JobSchedule, "test.round").steady_since - start

        for seconds in (0, 6, 60, 170):
            with clock.fixed(start + timedelta(seconds=seconds)):
                jobs.run_schedules()
            assert since() == timedelta(0)
        with clock.fixed(start + timedelta(seconds=600)):
            jobs.run_schedules()
        assert since() == timedelta(seconds=600)


def test_the_checks_hold_at_each_step_of_a_withdrawal(any_engine, tmp_path, monkeypatch):
    monkeypatch.setattr(withdrawal, "STEP_UNITS", 2)
    with world(any_engine, tmp_path) as shop:
        shop.stock(SKU, 5, terms=(None, None, 1))
        shop.stock(SKU, shop.keys(SKU, 3, start=20), terms=(None, None, 2))
        shop.buy(ANNA, SKU)
        held = shop.place(BEN, SKU, 2)
        for lot in lots_of(shop, SKU):
            move(shop, lot, "withdrawn", work=False)
            shop.check()
        while shop.ctx.jobs.run_due():
            shop.check()
        end(shop, held)
        shop.check()
        shop.work()
        shop.check()
