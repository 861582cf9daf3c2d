"""An import step by step without HTTP, and how to look at what it became in stock."""

import hashlib

import msgspec
from sqlalchemy import func, select, update

from server.catalog.model import Product
from server.crypto import LotKey, seal_chunk
from server.stock import queries
from server.stock.imports import intake
from server.stock.model import (
    CardSecret,
    StockCursor,
    StockImport,
    StockLot,
    StockUnit,
)
from shared import cardkey, ids
from shared.contracts.stock import CommitImport, FileFigures, NewImport

PLAIN = (None, None, 1)


class Upload:
    """One file of (key, place of its lot) rows, step by step."""

    def __init__(self, shop, rows, *, sku="STEAM-50", terms=(PLAIN,), per_chunk=5_000, import_id=None):
        self.shop, self.sku, self.id, self.count = shop, sku, import_id or ids.new_id(), len(rows)
        rows = [row if isinstance(row, tuple) else (row, 0) for row in rows]
        lines = [(n, "", key, lot) for n, (key, lot) in enumerate(rows, start=1)]
        parts = [lines[at : at + per_chunk] for at in range(0, len(lines), per_chunk)]
        keys = shop.ctx.keys
        self.chunks = [
            seal_chunk(keys.import_public_key, msgspec.msgpack.encode([terms, part]), import_id=self.id, n=n)
            for n, part in enumerate(parts)
        ]
        new = NewImport(id=self.id, sku=sku, file_name=f"{sku}.txt", key_id=keys.import_key_id)
        with shop.ctx.db.tx() as tx:
            intake.declare(tx, keys, new, shop.shelf(sku), actor="system")

    def send(self, *numbers):
        for n in numbers or range(len(self.chunks)):
            arrived = intake.inspect(self.shop.ctx.keys, self.id, n, self.chunks[n])
            with self.shop.ctx.db.tx() as tx:
                intake.receive(tx, self.id, arrived)
        return self

    def commit(self):
        root = hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in self.chunks)).hexdigest()
        figures = FileFigures(read=self.count, valid=self.count, duplicates=0, refused=0, skipped=0)
        body = CommitImport(figures=figures, file_sha256="0" * 64, chunks=len(self.chunks), root_sha256=root)
        with self.shop.ctx.db.tx() as tx:
            intake.commit(tx, self.id, body, actor="system")
        return self

    def end(self):
        self.send().commit()
        self.shop.work()
        return self

    def cancel(self):
        with self.shop.ctx.db.tx() as tx:
            intake.cancel(tx, self.id, actor="system")

    @property
    def seen(self):
        with self.shop.ctx.db.read() as tx:
            return queries.as_import(tx, tx.get(StockImport, self.id))

    @property
    def figures(self):
        seen = self.seen
        return seen.state, seen.stored, seen.duplicates, seen.refused

    @property
    def refused(self):
        with self.shop.ctx.db.read() as tx:
            page = queries.refused_lines(tx, self.id, after=0, limit=10_000)
        return {one.line: str(one.result) for one in page.items}


def rows(shop, query):
    with shop.ctx.db.read() as tx:
        return tx.execute(query).all()


def count(shop, model):
    return rows(shop, select(func.count()).select_from(model))[0][0]


def lots_of(shop, upload):
    found = (
        select(StockLot, StockCursor)
        .join(StockCursor, StockCursor.lot_id == StockLot.id)
        .where(StockLot.import_id == upload.id)
        .order_by(StockCursor.rank)
    )
    return rows(shop, found)


def cards(shop, lot):
    """The clear keys of a lot in the order of their numbers."""
    cipher = shop.ctx.keys.lot(lot.id, LotKey(wrapped=lot.wrapped_key, master_version=lot.master_version))
    unit = (StockUnit.sku_id == CardSecret.sku_id) & (StockUnit.seq == CardSecret.seq) & (StockUnit.lot_id == lot.id)
    found = rows(shop, select(CardSecret.seq, CardSecret.sealed).join(StockUnit, unit).order_by(CardSecret.seq))
    return [cipher.unseal(lot.sku_id, seq, sealed).reveal().partition(cardkey.SEPARATOR)[2] for seq, sealed in found]


def sellable(shop, sku="STEAM-50"):
    sku_id = shop.skus[sku].sku_id
    with shop.ctx.db.read() as tx:
        return queries.free_counts(tx, [sku_id]).get(sku_id, 0)


def rule(shop, sku="STEAM-50", **columns):
    """Change what a product's keys look like, or how they sell."""
    with shop.ctx.db.tx() as tx:
        tx.execute(update(Product).where(Product.id == shop.skus[sku].product_id).values(**columns))
