"""What a claim looks at: lots with something left, what was given back where something was, living versions only."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import event, select, text

from server.catalog import actions as catalog
from server.catalog.model import Product
from server.db import Database
from server.policy import SYSTEM
from server.stock import actions as stock
from server.stock import shelf
from server.stock.model import StockCursor, StockLot, StockShelf
from shared import clock, ids
from shared.contracts.catalog import ChangeRules, KeyRule, SellingRule
from shared.states import SaleOrder
from tests.bench import _claim_stock
from tests.server.stocking import lots_of, move, stock_lots, void
from tests.world import world

SKU = "STEAM-50"


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


def take(db, *sku_ids):
    """Hold one unit of each, in one transaction."""
    wants = [stock.Want(ids.new_id(), sku_id, 1) for sku_id in sku_ids]
    with db.tx(by_key=True) as tx, stock.desk(tx, at=clock.now(), wants=wants) as desk:
        assert desk.reserve(wants)
        taken = desk.take()
    return [stock.LineUnits(want.order_line_id, want.sku_id, taken[want.order_line_id]) for want in wants]


def end(db, *, sold=(), released=()):
    with db.tx() as tx, stock.desk(tx, at=clock.now(), held=[*sold, *released]) as desk:
        desk.sell(sold)
        desk.release(released)


def looked_at(shop):
    """The lots a claim looks at, oldest first by number, and what it finds in each."""
    with shop.ctx.db.read() as tx:
        assert len(list(tx.scalars(select(StockShelf.lot_id)))) < 100
        sku_id = shop.skus[SKU].sku_id
        found = shelf.first_lots(tx, [sku_id], clock.now(), most=100)
        assert shelf.first_lots(tx, [sku_id, ids.new_id()], clock.now(), most=100) == found
        numbers = dict(tx.execute(select(StockLot.id, StockLot.number)).all())
        return [(numbers[lot_id], free) for lot_id, free in found.get(sku_id, ())]


def test_lots_that_will_never_sell_again_are_not_looked_at(shop):
    db, sku_id = shop.ctx.db, shop.skus[SKU].sku_id
    today = clock.shop_day(clock.now())
    brought = [((None, 100 + n, 1), shop.keys(SKU, 1, start=n)) for n in range(20)]
    stock_lots(shop, SKU, [*brought, ((today + timedelta(days=1), None, 1), shop.keys(SKU, 1, start=20))])
    assert looked_at(shop) == [(number, 1) for number in range(21)]  # the one that ends first has the first number
    held = take(db, *[sku_id] * 19)
    assert looked_at(shop) == [(number, 0) for number in range(19)] + [(19, 1), (20, 1)]  # what is held may come back
    end(db, sold=held[:17], released=held[18:])
    assert looked_at(shop) == [(17, 0), (18, 1), (19, 1), (20, 1)]
    frozen = lots_of(shop, SKU)[19]
    move(shop, frozen, "frozen")
    assert looked_at(shop) == [(17, 0), (18, 1), (20, 1)]
    move(shop, frozen, "open")
    assert looked_at(shop) == [(17, 0), (18, 1), (19, 1), (20, 1)]
    with db.tx() as tx:
        version = tx.get(Product, shop.skus[SKU].product_id).version
        last_in = ChangeRules(version=version, key_rule=KeyRule(), selling=SellingRule(sale_order=SaleOrder.LAST_IN))
        catalog.change_rules(tx, shop.skus[SKU].product_id, last_in, actor=SYSTEM)
    shop.work()
    assert looked_at(shop) == [(20, 1), (19, 1), (18, 1), (17, 0)]
    with db.read() as tx:
        (unit,) = tx.scalars(select(StockCursor.first_seq).where(StockCursor.lot_id == lots_of(shop, SKU)[18].id))
    void(shop, SKU, unit)
    end(db, released=held[17:18])
    assert looked_at(shop) == [(20, 1), (19, 1), (17, 1)]
    stock_lots(shop, SKU, [((today, None, 1), shop.keys(SKU, 1, start=21))])
    assert looked_at(shop)[0] == (21, 1)
    with clock.fixed(clock.now() + timedelta(days=2)):
        assert looked_at(shop) == [(20, 1), (19, 1), (17, 1)]
    shop.check()


@pytest.mark.each_engine
def test_given_back_units_are_asked_for_where_there_may_be_some(shop):
    db, sku_id, shop.expects = shop.ctx.db, shop.skus[SKU].sku_id, {"S3"}
    shop.stock(SKU, 6)
    said = []
    event.listen(db.engine, "before_cursor_execute", lambda *facts: said.append(facts[2]))

    def asked():
        wants = [stock.Want(ids.new_id(), sku_id, 1)]
        with db.tx() as tx:
            said.clear()
            with stock.desk(tx, at=clock.now(), wants=wants) as desk:
                assert desk.reserve(wants)
                (seqs,) = desk.take().values()
        count = len([one for one in said if "stock_returned" in one])
        return stock.LineUnits(wants[0].order_line_id, sku_id, seqs), count

    first, count = asked()
    assert (first.seqs[0], count) == (1, 0)
    second, count = asked()
    assert (second.seqs[0], count) == (2, 0)
    end(db, released=[first, second])
    assert [(line.seqs[0], count) for line, count in (asked(), asked(), asked())] == [(1, 2), (2, 2), (3, 0)]


BATCHES = 600


def test_a_claim_reads_no_more_while_an_old_snapshot_is_held(new_database, monkeypatch):
    """Versions that nobody needs stay, and are not walked over: pages of the cursors, counted by the engine."""
    monkeypatch.setattr(stock, "_CHANCE", random.Random(1))
    url = new_database("postgres")
    skus = _claim_stock.fill(url, 2, 8 * BATCHES)
    db = Database(url)
    pages = text("SELECT SUM(pg_stat_get_xact_blocks_fetched(oid)) FROM pg_class WHERE relname LIKE '%stock_cursor%'")

    def read(count, *sku_ids):
        """The pages of the dearest of so many batches."""
        most = 0
        for _ in range(count):
            wants = [stock.Want(ids.new_id(), sku_id, 1) for sku_id in sku_ids]
            with db.tx(by_key=True) as tx:
                before = tx.scalar(pages)
                with stock.desk(tx, at=clock.now(), wants=wants) as desk:
                    assert desk.reserve(wants)
                    desk.take()
                most = max(most, int(tx.scalar(pages) - before))
        return most

    with db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as old:
        old.execute(text("SELECT 1 FROM stock_cursor")).all()
        early = read(50, skus[0]), read(50, *skus)
        read(BATCHES, skus[0])
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as told:
            told.execute(text("ANALYZE stock_cursor"))  # plans are made anew, by what the table is like now
        late = read(50, skus[0]), read(50, *skus)
        dead = old.scalar(text("SELECT pg_relation_size('stock_cursor') / 8192"))
    db.close()
    assert dead > 12  # pages of versions, which a claim read whole, once for each statement
    assert late[0] <= early[0] + 20
    assert late[1] <= early[1] + 40
