"""Millions of units for the stock-table bench: ten lots of one SKU in every state a shop brings them to.

Rows are written past the import, which has a bench of its own; secrets are sealed and fingerprinted for real. Of ten
lots three are sold out, one is half sold with units held, given back and voided, one is withdrawn, one has keys of five
uses, four wait with an expiry of their own.
"""

import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from server.db import Database, bulk_insert
from server.stock import shelf
from server.stock.model import CardSecret, Delivery, StockCursor, StockLot, StockReturned, StockUnit, StockVoid
from server.stock.ranking import LOT_NUMBERS, rank, stride
from shared import cardkey, clock, ids
from shared.states import LotState, SaleOrder, UnitState
from tests.world import World

SKU = "STEAM-50"
HELD, RETURNED, VOIDED = 200, 300, 1_000
LOTS, USES = 10, 5
_BLOCK = 50_000
_FREE, _SOLD, _VOID = UnitState.FREE, UnitState.SOLD, UnitState.VOID

KINDS = ("sold", "sold", "sold", "half", "withdrawn", "reusable", "free", "free", "free", "free")


def card(lot: int, n: int) -> str:
    """The canonical text of a key: of 24 characters, each different."""
    return f"{cardkey.SEPARATOR}BENCH-{lot:02d}-{n:08d}-{(n * 2654435761 + lot) % 2**32:08X}"


def fill(shop: World, units: int) -> None:
    """Give the SKU its lots."""
    for number, kind in enumerate(KINDS):
        _lot(shop, number, kind, units // LOTS)
    if not shop.ctx.db.is_sqlite:
        _analyse(shop.ctx.db)


def _lot(shop: World, number: int, kind: str, size: int) -> None:
    db, terms, lot_id = shop.ctx.db, shop.skus[SKU], ids.new_id()
    first = max(1, number * LOT_NUMBERS)
    uses = USES if kind == "reusable" else 1
    keys, half = size // uses, size // 2
    key = shop.ctx.keys.new_lot_key(lot_id)
    cipher = shop.ctx.keys.lot(lot_id, key)
    for at in range(0, keys, _BLOCK):
        texts = [card(number, n) for n in range(at, min(at + _BLOCK, keys))]
        seqs = range(first + at, first + at + len(texts))
        sealed = cipher.seal_all(terms.sku_id, seqs[0], [one.encode() for one in texts])
        marks = shop.ctx.keys.fingerprinter.of_all(texts)
        with db.tx() as tx:
            secrets = list(zip(seqs, marks, sealed, cardkey.tails(texts), strict=True))
            names = {"sku_id": terms.sku_id, "product_id": terms.product_id}
            bulk_insert(tx, CardSecret, ("seq", "fingerprint", "sealed", "tail"), secrets, constants=names)
    step = stride(uses)
    for use in range(uses):
        _units(db, terms.sku_id, lot_id, first + use * step, keys, _states(kind, keys, half))
    counts = _counts(kind, size, half)
    if kind == "half":
        _half(db, terms.sku_id, lot_id, first, half, size)
    expires = clock.shop_day(clock.now()) + timedelta(days=40 + 10 * (7 * number % LOTS)) if kind == "free" else None
    sold = {"sold": size, "half": half}.get(kind, 0)
    with db.tx() as tx:
        tx.add(
            StockLot(
                id=lot_id, sku_id=terms.sku_id, product_id=terms.product_id, supplier_id=terms.supplier_id,
                number=number, first_seq=first, stride=step, uses=uses, expires_on=expires,
                state=(LotState.WITHDRAWN if kind == "withdrawn" else LotState.OPEN).value, file_name="bench.xlsx",
                wrapped_key=key.wrapped, master_version=key.master_version, created_at=clock.now(),
            )
        )  # fmt: skip
        tx.add(
            StockCursor(
                lot_id=lot_id, sku_id=terms.sku_id,
                rank=rank(number=number, expires_on=expires, order=SaleOrder.FIRST_IN),
                selling=kind != "withdrawn", first_seq=first, next_seq=first + sold,
                end_seq=first + (uses - 1) * step + keys, imported=size, **counts,
            )
        )  # fmt: skip
        tx.flush()
        shelf.put_on(tx, [lot_id])


def _states(kind: str, keys: int, half: int) -> list[tuple[UnitState, int]]:
    """Runs of units of one state."""
    if kind == "half":
        return [(_SOLD, half), (_FREE, keys - half)]
    return [({"sold": _SOLD, "withdrawn": _VOID}.get(kind, _FREE), keys)]


def _counts(kind: str, size: int, half: int) -> dict[str, int]:
    if kind == "half":
        gone = HELD + RETURNED
        return {"free": size - half + RETURNED - VOIDED, "held": HELD, "sold": half - gone, "void": VOIDED}
    return {"sold": {"sold": size}, "withdrawn": {"void": size}}.get(kind, {"free": size})


def _units(
    db: Database, sku_id: UUID, lot_id: UUID, first: int, keys: int, runs: Sequence[tuple[UnitState, int]]
) -> None:
    at = first
    for state, count in runs:
        for start in range(at, at + count, _BLOCK):
            seqs = [(seq,) for seq in range(start, min(start + _BLOCK, at + count))]
            with db.tx() as tx:
                constants = {"sku_id": sku_id, "lot_id": lot_id, "state": int(state)}
                bulk_insert(tx, StockUnit, ("seq",), seqs, constants=constants)
                if state is _SOLD:
                    sold = {"sku_id": sku_id, "order_line_id": ids.new_id(), "delivered_at": clock.now()}
                    bulk_insert(tx, Delivery, ("seq",), seqs, constants=sold)
        at += count
    assert at == first + keys


def _half(db: Database, sku_id: UUID, lot_id: UUID, first: int, half: int, size: int) -> None:
    """Close behind the cursor some units are held or were given back; single ones are void here and there."""
    chance = random.Random(7)
    taken = chance.sample(range(first + half - min(half, 20 * (HELD + RETURNED)), first + half), HELD + RETURNED)
    void = chance.sample(range(first + half, first + size), VOIDED)
    groups = ((taken[:HELD], UnitState.HELD), (taken[HELD:], UnitState.FREE), (void, _VOID))
    with db.tx() as tx:
        for seqs, state in groups:
            for at in range(0, len(seqs), 500):
                named = ", ".join(map(str, seqs[at : at + 500]))
                sku = {"sku": sku_id.bytes if tx.connection().dialect.name != "postgresql" else sku_id}
                where = f"WHERE sku_id = :sku AND seq IN ({named})"
                tx.execute(text(f"UPDATE stock_unit SET state = {int(state)} {where}"), sku)
                if state is not _VOID:
                    tx.execute(text(f"DELETE FROM delivery {where}"), sku)
        names = {"sku_id": sku_id, "lot_id": lot_id}
        bulk_insert(tx, StockReturned, ("seq",), [(seq,) for seq in taken[HELD:]], constants=names)
        why = names | {"reason": "bench", "actor": "bench", "voided_at": clock.now()}
        bulk_insert(tx, StockVoid, ("seq",), [(seq,) for seq in void], constants=why)


def _analyse(db: Database) -> None:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
        else:
            connection.execute(text("ANALYZE TABLE stock_unit, card_secret, delivery, stock_void"))
