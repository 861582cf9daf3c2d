"""One batch that sells from many lots at once: those given back first, gaps passed by, the books right after it."""

import pytest
from sqlalchemy import select, update

from server.stock import actions as stock
from server.stock.model import StockCursor, StockReturned, StockUnit
from shared import clock, ids
from shared.states import UnitState
from tests.world import world

SKUS = ("STEAM-50", "MUSIC-30", "OFFICE-1Y")


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path, expects={"S3"}) as made:  # the lines that hold units here are of no order
        yield made


@pytest.mark.each_engine  # each spells the statements of many SKUs in its own way, and no other test has them
def test_a_batch_takes_what_was_given_back_of_each_lot_and_passes_gaps(shop):
    for sku in SKUS:
        for lot in range(2):
            shop.stock(sku, shop.keys(sku, 4, start=4 * lot))
    sku_ids = [shop.skus[sku].sku_id for sku in SKUS]
    held = take(shop, dict.fromkeys(sku_ids, 6))
    with shop.ctx.db.tx() as tx, stock.desk(tx, at=clock.now(), held=list(held.values())) as desk:
        desk.release(list(held.values()))
    ahead = {sku_id: void_ahead(shop, sku_id) for sku_id in sku_ids}

    again = take(shop, dict.fromkeys(sku_ids, 7))

    for sku_id in sku_ids:
        assert again[sku_id].seqs[:6] == held[sku_id].seqs
        assert again[sku_id].seqs[6] == ahead[sku_id] + 1
    with shop.ctx.db.read() as tx:
        assert list(tx.scalars(select(StockReturned.seq))) == []
        assert list(tx.scalars(select(StockCursor.free))) == [0] * 6
        assert set(tx.scalars(select(StockUnit.state))) == {UnitState.HELD, UnitState.VOID}


def take(shop, counts):
    wants = [stock.Want(ids.new_id(), sku_id, count) for sku_id, count in counts.items()]
    with shop.ctx.db.tx() as tx, stock.desk(tx, at=clock.now(), wants=wants) as desk:
        assert desk.reserve(wants)
        taken = desk.take()
    return {want.sku_id: stock.LineUnits(want.order_line_id, want.sku_id, taken[want.order_line_id]) for want in wants}


def void_ahead(shop, sku_id):
    """Make the next unit that was never offered void; answers its number."""
    with shop.ctx.db.tx() as tx:
        cursor = tx.scalars(
            select(StockCursor).where(StockCursor.sku_id == sku_id, StockCursor.next_seq < StockCursor.end_seq)
        ).one()
        unit = (StockUnit.sku_id == sku_id, StockUnit.seq == cursor.next_seq)
        tx.execute(update(StockUnit).where(*unit).values(state=int(UnitState.VOID)))
        cursor.free -= 1
        cursor.void += 1
        return cursor.next_seq
