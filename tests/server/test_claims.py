"""What a claim takes, in which order, and what it leaves alone."""

from datetime import timedelta

import pytest
from sqlalchemy import event, select, update

from server.orders import actions as orders
from server.payments import checkout
from server.policy import SYSTEM
from server.stock import actions as stock
from server.stock import lots
from server.stock.model import CardSecret, StockCursor, StockLot, StockReturned, StockUnit
from server.stock.ranking import USE_STRIDE
from shared import clock, ids
from shared.contracts.stock import MoveLot
from shared.states import LotState, OrderState, UnitState
from tests.world import ANNA, BEN, world


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


def lots_of(shop, sku):
    with shop.ctx.db.read() as tx:
        query = select(StockLot).where(StockLot.sku_id == shop.skus[sku].sku_id).order_by(StockLot.number)
        return list(tx.scalars(query))


def take(shop, *quantities, sku="STEAM-50", at=None):
    """Hold units for so many lines in one transaction; answers the numbers of each. Their order is made up: S3."""
    wants = [stock.Want(ids.new_id(), shop.skus[sku].sku_id, quantity) for quantity in quantities]
    with shop.ctx.db.tx() as tx, stock.desk(tx, at=at or clock.now(), wants=wants) as desk:
        granted = [desk.reserve([want]) for want in wants]
        taken = desk.take()
        lines = [stock.LineUnits(w.order_line_id, w.sku_id, taken.get(w.order_line_id, ())) for w in wants]
        assert [bool(line.seqs) for line in lines] == granted
        return lines


def give_back(shop, *lines):
    with shop.ctx.db.tx() as tx, stock.desk(tx, at=clock.now(), held=lines) as desk:
        desk.release(lines)


def seqs(lines):
    return [list(line.seqs) for line in lines]


def rows(shop, query):
    with shop.ctx.db.read() as tx:
        return list(tx.scalars(query))


def move_lot(shop, lot, to):
    with shop.ctx.db.tx() as tx:
        lots.move(tx, lot.id, MoveLot(to=to, reason="test"), actor=SYSTEM)


@pytest.mark.each_engine
def test_what_expires_first_sells_first_and_not_after_its_day(shop):
    today = clock.shop_day(clock.now())
    shop.stock("STEAM-50", shop.keys("STEAM-50", 2))
    shop.stock("STEAM-50", shop.keys("STEAM-50", 2, start=2), terms=(today + timedelta(days=9), None, 1))
    forever, dated = lots_of(shop, "STEAM-50")
    first, back = take(shop, 1, 1)
    assert seqs([first, back]) == [[dated.first_seq], [dated.first_seq + 1]]
    give_back(shop, back)
    with clock.fixed(clock.now() + timedelta(days=11)):
        (later,) = take(shop, 2)
        shop.expects = {"S3"}
        assert later.seqs == (forever.first_seq, forever.first_seq + 1)
        with pytest.raises(orders.SoldOut) as sold_out:
            shop.place(BEN, "STEAM-50")  # the one given back is past its day
        assert sold_out.value.params == {"left": 0}
    assert rows(shop, select(StockReturned.seq)) == [dated.first_seq + 1]
    assert shop.level("STEAM-50").free == 1


def test_voided_units_and_wide_gaps_are_passed_by_in_one_step(shop):
    shop.stock("STEAM-50", 3, terms=(None, None, 4))
    (lot,) = lots_of(shop, "STEAM-50")
    sku_id = shop.skus["STEAM-50"].sku_id
    second = lot.first_seq + USE_STRIDE
    with shop.ctx.db.tx() as tx:
        gone = (StockUnit.sku_id == sku_id, StockUnit.seq.in_([lot.first_seq + 1, second]))
        tx.execute(update(StockUnit).where(*gone).values(state=UnitState.VOID))
        tx.execute(update(StockCursor).values(free=StockCursor.free - 2, void=StockCursor.void + 2))
    statements = []
    event.listen(shop.ctx.db.engine, "before_cursor_execute", lambda *facts: statements.append(facts[2]))
    taken = take(shop, 1, 1, 1, 1, 1)
    shop.expects = {"S3"}
    assert seqs(taken) == [[lot.first_seq], [lot.first_seq + 2], [second + 1], [second + 2], [second + USE_STRIDE]]
    assert len(statements) < 40


def test_an_order_of_reusable_keys_gets_different_ones_while_there_are(shop):
    shop.stock("STEAM-50", 3, terms=(None, None, 3))
    (lot,) = lots_of(shop, "STEAM-50")

    def keys(line):
        return sorted((seq - lot.first_seq) % USE_STRIDE for seq in line.seqs)

    first, second = take(shop, 2, 2)  # keys 0 and 1, then 2 and 0
    assert (keys(first), keys(second)) == ([0, 1], [0, 2])
    give_back(shop, second)
    (third,) = take(shop, 3)  # both given back, and not the fresh use of key 0 that comes next
    assert keys(third) == [0, 1, 2]
    (rest,) = take(shop, 4)
    assert keys(rest) == [0, 1, 2, 2]
    shop.expects = {"S3"}
    assert take(shop, 1)[0].seqs == ()
    level = shop.level("STEAM-50")
    assert (level.held, level.free) == (9, 0)
    assert rows(shop, select(StockReturned.seq)) == []


@pytest.mark.each_engine
def test_a_claim_locks_the_lots_it_needs_and_no_more(shop):
    for n in range(12):
        shop.stock("STEAM-50", shop.keys("STEAM-50", 2, start=2 * n))
    sku_id = shop.skus["STEAM-50"].sku_id
    for quantity, locked in ((3, 2), (20, 10), (24, 12), (25, 12)):
        want = stock.Want(ids.new_id(), sku_id, quantity)
        with shop.ctx.db.tx() as tx, stock.desk(tx, at=clock.now(), wants=[want]) as desk:
            assert len(desk.lots) == locked
            assert desk.left[sku_id] >= min(quantity, 24)
    numbers = [seq for line in take(shop, 24) for seq in line.seqs]
    shop.expects = {"S3"}
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("to", [LotState.FROZEN, LotState.WITHDRAWN])
def test_what_comes_back_to_a_lot_that_does_not_sell(shop, to):
    shop.stock("STEAM-50", 3)
    (lot,) = lots_of(shop, "STEAM-50")
    placed = shop.place(ANNA, "STEAM-50", 2)
    move_lot(shop, lot, to)
    shop.work()
    shop.ctx.batch.call(checkout.EndUnpaid(placed.order.id, OrderState.EXPIRED, ()))
    shop.work()
    with pytest.raises(orders.SoldOut):
        shop.place(BEN, "STEAM-50")
    level = shop.level("STEAM-50")
    if to is LotState.WITHDRAWN:
        assert (level.void, level.free) == (3, 0)
        assert rows(shop, select(CardSecret.seq)) == []  # nobody saw them: they may be brought again
        assert rows(shop, select(StockReturned.seq)) == []
    else:
        assert (level.void, level.free) == (0, 3)
        assert len(rows(shop, select(StockReturned.seq))) == 2
        move_lot(shop, lots_of(shop, "STEAM-50")[0], LotState.OPEN)
        assert shop.place(BEN, "STEAM-50", 3).order.state == OrderState.PENDING_PAYMENT
    shop.check()
