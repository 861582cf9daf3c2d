"""The frequent look: it reads what changed, finds what is wrong with it, forgets nothing, and reads all at night."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select, update

from server import changes, invariants
from server.invariants import look as looking
from server.invariants import pace
from server.invariants.look import InvariantLook
from server.invariants.stock import HOLD_GRACE
from server.invariants.waiting import GOODS_WITHIN
from server.ledger.model import LedgerBalance
from server.orders.model import Order
from server.payments.actions import Outcome
from server.payments.model import PaymentAttempt
from server.stock.model import Delivery, StockCursor, StockLot, StockUnit
from shared import clock, ids
from shared.states import OrderState, UnitState
from tests.databases import tampering
from tests.server.stocking import end, lots_of, move, void
from tests.world import ANNA, BEN, CARA, world

SKU = "STEAM-50"
NOON = datetime(2026, 11, 16, 4, 0, tzinfo=UTC)
"""In the shop: far from the hour at which everything is read."""


@pytest.fixture
def shop(tmp_path):
    with clock.fixed(NOON), world("sqlite", tmp_path) as built:
        built.stock(SKU, 30)
        built.buy(ANNA, SKU, 2)
        assert look(built) == []
        yield built


def look(shop):
    """What one look tells, in the order of the checks; None when it does not look."""
    changes.advance(shop.ctx.db)
    report = looking.look(shop.ctx.db)
    return None if report is None else [one.invariant for one in report.findings]


def mark(shop):
    with shop.ctx.db.read() as tx:
        return tx.get(InvariantLook, 1)


def statements_of(shop, work):
    """What the database was asked to read while `work` ran."""
    asked = []
    engine = shop.ctx.db._reader

    def hear(_connection, _cursor, statement, *_):
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", hear)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", hear)
    return asked


def corrupt(shop, *statements):
    with tampering(shop.ctx.db) as tx:
        for statement in statements:
            tx.execute(statement)


def test_a_look_after_nothing_happened_reads_no_unit_and_no_transfer(shop):
    asked = statements_of(shop, lambda: look(shop))
    assert [one for one in asked if "FROM ledger_transfer" in one or "FROM stock_cursor JOIN stock_unit" in one] == []
    assert len(asked) < 26


def test_money_without_goods_is_told_of_after_a_quarter_of_an_hour_though_nothing_touches_it(shop):
    bought = shop.buy(BEN, SKU)
    assert look(shop) == []
    shop.expects = {"L4", "L6", "L9", "P1"}
    corrupt(shop, update(Order).where(Order.id == bought.order.id).values(state="paid", delivered_at=None))
    soon = timedelta(minutes=1)
    with clock.fixed(clock.now() + GOODS_WITHIN - soon):
        assert look(shop) == []
    with clock.fixed(clock.now() + GOODS_WITHIN + soon):
        assert "L10" in look(shop)


def test_a_look_rests_after_each_check_and_work_by_hand_does_not(shop):
    rests = []
    shop.buy(BEN, SKU)
    changes.advance(shop.ctx.db)
    assert looking.look(shop.ctx.db, pause=rests.append).ok
    assert len(rests) == len((*invariants.BY_ORDER, *invariants.BY_LOT, *invariants.EACH_TIME))
    assert all(0 < seconds <= pace.MOST_SECONDS for seconds in rests)
    del rests[:]
    assert invariants.check(shop.ctx.db, pause=rests.append).ok
    assert len(rests) == len(invariants.CHECKS)
    shop.ctx.jobs.pause(3_600)


def test_a_look_finds_what_is_wrong_with_what_was_touched(shop):
    bought = shop.buy(BEN, SKU)
    corrupt(shop, update(Delivery).where(Delivery.seq == 3).values(seq=20))
    assert set(look(shop)) == {"S1", "S2"}
    assert mark(shop).findings == 2
    # Nobody touches it again, and it is told until it is mended; not each minute, which reading everything may take.
    told = mark(shop).whole_at
    with clock.fixed(told + looking.AGAIN - timedelta(seconds=1)):
        assert look(shop) is None
    with clock.fixed(told + looking.AGAIN):
        assert set(look(shop)) == {"S1", "S2"}
    corrupt(shop, update(Delivery).where(Delivery.seq == 20).values(seq=3))
    with clock.fixed(told + 2 * looking.AGAIN):
        assert look(shop) == []
    assert (mark(shop).findings, shop.order(bought).state) == (0, OrderState.DELIVERED)


@pytest.mark.parametrize(
    ("statement", "invariants"),
    [
        (update(StockUnit).where(StockUnit.seq == 3).values(state=int(UnitState.FREE)), {"S4", "S6", "S7"}),
        (update(StockCursor).values(held=0, free=StockCursor.free + 1), {"S4"}),
        (update(StockLot).values(state="withdrawn"), {"S8"}),
        (update(LedgerBalance).where(LedgerBalance.debits_fen > 0).values(debits_fen=1), {"L1", "L2"}),
    ],
)
def test_each_kind_of_check_looks_at_what_an_order_touched(shop, statement, invariants):
    shop.place(BEN, SKU)
    corrupt(shop, statement)
    shop.expects = invariants
    assert set(look(shop)) == invariants


def test_what_nobody_touched_waits_for_the_night(shop):
    corrupt(shop, update(Delivery).where(Delivery.seq == 1).values(seq=20))
    shop.expects = {"S1", "S2"}
    assert look(shop) == []
    night = clock.day_bounds(clock.shop_day(clock.now()) + timedelta(days=1))[0] + timedelta(hours=3, minutes=1)
    before = mark(shop).whole_at
    with clock.fixed(night):
        assert set(look(shop)) == shop.expects
    assert mark(shop).whole_at == night > before


def test_a_hold_that_nobody_ends_is_found_though_nobody_touches_it(shop):
    placed = shop.place(BEN, SKU)
    assert look(shop) == []
    with shop.ctx.db.read() as tx:
        due = tx.scalars(select(Order.due_at).where(Order.id == placed.order.id)).one()
    found = due + HOLD_GRACE + timedelta(seconds=1)
    with clock.fixed(found):
        assert look(shop) == ["S3"]
        end(shop, placed)
    with clock.fixed(found + looking.AGAIN):
        assert look(shop) == []


def test_a_lot_whose_move_was_committed_late_is_looked_at(shop):
    """The move says when it began; a look came between that and its end."""
    moved_at = clock.now()
    with clock.fixed(moved_at + timedelta(seconds=5)):
        assert look(shop) == []
    corrupt(
        shop,
        update(StockLot).values(moved_at=moved_at),
        update(StockCursor).values(held=1, free=StockCursor.free - 1),
    )
    shop.expects = {"S4"}
    with clock.fixed(moved_at + timedelta(seconds=65)):
        assert look(shop) == ["S4"]


def test_the_lot_of_a_unit_that_was_made_void_is_looked_at(shop):
    void(shop, SKU, 9)
    corrupt(shop, update(StockCursor).values(held=1, free=StockCursor.free - 1))
    shop.expects = {"S4"}
    assert look(shop) == ["S4"]


def test_a_second_payment_of_a_delivered_order_is_looked_at(shop):
    bought = shop.buy(BEN, SKU)
    with shop.ctx.db.tx() as tx:
        first = tx.get(PaymentAttempt, bought.attempt.id)
        values = {column.name: getattr(first, column.name) for column in PaymentAttempt.__table__.columns}
        fresh = {"id": ids.new_id(), "out_trade_no": ids.new_id().hex, "state": "pending", "paid_at": None}
        again = PaymentAttempt(**values | fresh | {"provider_no": None})
        tx.add(again)
    assert look(shop) == []
    twice = shop.fact(bought, out_trade_no=again.out_trade_no, provider_no="S-TWICE")
    assert shop.apply(twice) is Outcome.EXCEPTION
    corrupt(shop, update(PaymentAttempt).where(PaymentAttempt.id == again.id).values(amount_fen=1))
    shop.expects = {"L4"}
    assert look(shop) == ["L4"]


def test_a_look_goes_through_the_feed_step_by_step_and_moves_on(shop, monkeypatch):
    for name, most in (("STEP", 3), ("ORDERS", 2), ("UNITS", 2), ("LOTS", 1)):
        monkeypatch.setattr(looking, name, most)
    for buyer in (ANNA, BEN, CARA):
        shop.buy(buyer, SKU, 2)
    shop.stock(SKU, shop.keys(SKU, 5, start=50))
    move(shop, lots_of(shop, SKU)[0], "frozen")
    assert look(shop) == []
    with shop.ctx.db.read() as tx:
        assert mark(shop).pos == changes.head(tx)
    shop.buy(ANNA, SKU)
    corrupt(shop, update(Delivery).where(Delivery.seq == 2**32 + 1).values(order_line_id=shop.skus[SKU].sku_id))
    shop.expects = {"S1", "L9"}
    assert set(look(shop)) == shop.expects


def test_a_lot_that_is_too_large_waits_for_the_night_and_its_orders_do_not(shop, monkeypatch):
    monkeypatch.setattr(looking, "LOT_UNITS", 20)
    shop.buy(BEN, SKU)
    corrupt(shop, update(StockCursor).values(held=1, free=StockCursor.free - 1))
    assert look(shop) == []
    shop.buy(BEN, SKU)
    corrupt(shop, update(Delivery).where(Delivery.seq == 4).values(seq=20))
    shop.expects = {"S1", "S2", "S4"}
    assert set(look(shop)) == shop.expects, "and then everything is read"


def test_a_restored_database_is_read_whole(shop):
    with shop.ctx.db.tx() as tx:
        tx.execute(update(InvariantLook).values(pos=10**6))
    corrupt(shop, update(Delivery).where(Delivery.seq == 1).values(seq=20))
    shop.expects = {"S1", "S2"}
    assert set(look(shop)) == shop.expects
