"""What tests of lots say and ask: moves, voids, orders that end, keys as they were sold, units as they are stored."""

import hashlib

from sqlalchemy import func, select

from server.payments import ending
from server.policy import SYSTEM
from server.stock import lots, queries
from server.stock.imports import intake
from server.stock.model import CardSecret, StockCursor, StockReturned, StockUnit, StockVoid
from shared.contracts.stock import CommitImport, FileFigures, MoveLot, VoidUnits, WithdrawImport, chunk_info
from shared.states import LotState, OrderState, UnitState
from tests.world import ANNA, seal


def lots_of(shop, sku):
    """The lots of a SKU as the console sees them, oldest first."""
    with shop.ctx.db.read() as tx:
        return queries.lots(tx, shop.skus[sku].sku_id, sku, limit=1_000).items[::-1]


def move(shop, lot, to, *, reason="核查", work=True):
    with shop.ctx.db.tx() as tx:
        lots.move(tx, lot.id, MoveLot(to=LotState(to), reason=reason), actor=SYSTEM)
    if work:
        shop.work()


def withdraw(shop, import_id, *, reason="供应商撤回"):
    with shop.ctx.db.tx() as tx:
        done = lots.withdraw_import(tx, import_id, WithdrawImport(reason=reason), actor=SYSTEM)
    shop.work()
    return done


def void(shop, sku, *seqs, reason="坏卡"):
    with shop.ctx.db.tx() as tx:
        return lots.void_units(tx, shop.skus[sku], VoidUnits(seqs=list(seqs), reason=reason), actor=SYSTEM)


def end(shop, placed, to=OrderState.EXPIRED):
    """End an order that nobody paid."""
    shop.ctx.batch.call(ending.EndUnpaid(placed.order.id, to, ()))


def delivered(shop, bought):
    """The keys of a delivered order, as its buyer reads them."""
    lines = shop.reveal(shop.order(bought))
    return [card.secret for line in lines for card in line.cards]


def sell_all(shop, sku, *, most=100):
    """Buy one unit after the other until none is offered; answers their keys in that order."""
    keys = []
    while len(keys) < most and for_sale(shop, sku):
        keys += delivered(shop, shop.buy(ANNA, sku))
    return keys


def for_sale(shop, sku):
    sku_id = shop.skus[sku].sku_id
    with shop.ctx.db.read() as tx:
        return queries.free_counts(tx, [sku_id]).get(sku_id, 0)


def counts(shop, sku):
    """free, held, sold, void of each lot, oldest first."""
    return [(lot.free, lot.held, lot.sold, lot.void) for lot in lots_of(shop, sku)]


def states(shop, sku):
    """The state of every unit, by number."""
    with shop.ctx.db.read() as tx:
        query = select(StockUnit.seq, StockUnit.state).where(StockUnit.sku_id == shop.skus[sku].sku_id)
        return {seq: UnitState(state) for seq, state in tx.execute(query.order_by(StockUnit.seq))}


def secrets(shop, sku):
    """The numbers of the keys that are stored."""
    with shop.ctx.db.read() as tx:
        mine = CardSecret.sku_id == shop.skus[sku].sku_id
        return list(tx.scalars(select(CardSecret.seq).where(mine).order_by(CardSecret.seq)))


def named_void(shop, sku):
    """The rows of single void units: number and reason."""
    with shop.ctx.db.read() as tx:
        mine = StockVoid.sku_id == shop.skus[sku].sku_id
        return dict(tx.execute(select(StockVoid.seq, StockVoid.reason).where(mine)).all())


def given_back(shop, sku):
    with shop.ctx.db.read() as tx:
        mine = StockReturned.sku_id == shop.skus[sku].sku_id
        return list(tx.scalars(select(StockReturned.seq).where(mine).order_by(StockReturned.seq)))


def rows(shop):
    """How many rows the tables of stock have."""
    with shop.ctx.db.read() as tx:
        tables = (StockUnit, StockCursor, CardSecret, StockVoid, StockReturned)
        return [tx.scalar(select(func.count()).select_from(table)) for table in tables]


def stock_lots(shop, sku, brought):
    """One import of several lots: `brought` is a list of (terms, keys). Answers its id."""
    announced, _, _ = shop.announce(sku, ["x"])
    lines = [(key, n) for n, (_, keys) in enumerate(brought) for key in keys]
    rows = [(line, "", key, lot) for line, (key, lot) in enumerate(lines, start=1)]
    chunk = seal(shop, [[terms for terms, _ in brought], rows], chunk_info(announced.id, 0))
    commit = CommitImport(
        figures=FileFigures(read=len(rows), valid=len(rows), duplicates=0, refused=0, skipped=0),
        file_sha256=hashlib.sha256(repr(rows).encode()).hexdigest(),
        chunks=1,
        root_sha256=hashlib.sha256(hashlib.sha256(chunk).digest()).hexdigest(),
    )
    with shop.ctx.db.tx() as tx:
        intake.declare(tx, shop.ctx.keys, announced, shop.shelf(sku), actor="system")
    with shop.ctx.db.tx() as tx:
        intake.receive(tx, announced.id, intake.inspect(shop.ctx.keys, announced.id, 0, chunk))
    with shop.ctx.db.tx() as tx:
        intake.commit(tx, announced.id, commit, actor="system")
    shop.work()
    return announced.id
