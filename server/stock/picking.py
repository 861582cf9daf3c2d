"""Which units of a SKU are sold next: lot by lot in rank order, those given back before those never offered.

Works on lots whose cursors the transaction has locked (`server.stock.actions.desk`), and moves them on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select

from server.db import Tx, rows_changed, table_of
from server.stock.model import StockLot, StockReturned, StockUnit
from shared.states import UnitState


class StockOutOfStep(RuntimeError):
    """A guarded update did not match the rows it must: a fault of ours. The transaction is rolled back."""


@dataclass(slots=True)
class Lot:
    """A locked cursor: where the lot's sale stands, and how this transaction changes its counts."""

    lot_id: UUID
    sku_id: UUID
    rank: int
    selling: bool
    sell_until: datetime | None
    first_seq: int
    next_seq: int
    end_seq: int
    free: int
    imported: int
    change: dict[UnitState, int] = field(default_factory=lambda: dict.fromkeys(UnitState, 0))

    @property
    def is_dense(self) -> bool:
        """Whether its numbers have no gaps: those of reusable keys do."""
        return self.imported == self.end_seq - self.first_seq

    @property
    def still_free(self) -> int:
        """What this transaction has left of its free units."""
        return self.free + self.change[UnitState.FREE]

    def move(self, source: UnitState, to: UnitState, count: int) -> None:
        """Count units from one state to another."""
        self.change[source] -= count
        self.change[to] += count


Unit = tuple[int, UUID]
"""The number of a unit, and its lot."""


def next_units(tx: Tx, shelf: Sequence[Lot], quantities: Sequence[int]) -> list[list[Unit]]:
    """The next units of a SKU for each of its wants, earlier ones first. Raises StockOutOfStep when there are fewer."""
    got: list[list[Unit]] = [[] for _ in quantities]
    for lot in sorted(shelf, key=lambda lot: lot.rank):
        short = [n for n, quantity in enumerate(quantities) if len(got[n]) < quantity]
        if not short:
            break
        if lot.is_dense:
            seqs = _next(tx, lot, sum(quantities[n] - len(got[n]) for n in short))
            for n in short:
                missing = quantities[n] - len(got[n])
                got[n] += [(seq, lot.lot_id) for seq in seqs[:missing]]
                seqs = seqs[missing:]
        else:
            for n in short:
                seqs = _different(tx, lot, min(quantities[n] - len(got[n]), lot.still_free))
                got[n] += [(seq, lot.lot_id) for seq in seqs]
    if [len(units) for units in got] != list(quantities):
        raise StockOutOfStep("a lot has fewer free units than its cursor counts")
    return got


def _next(tx: Tx, lot: Lot, count: int) -> list[int]:
    """The next numbers of a lot, at most `count`."""
    seqs = _returned(tx, lot, count)
    _take_back(tx, lot, seqs)
    wanted = count - len(seqs)
    if wanted and lot.next_seq < lot.end_seq:
        fresh = _fresh(tx, lot, wanted)
        # Voided units and the gaps of reusable keys are passed by, however wide.
        lot.next_seq = fresh[-1] + 1 if len(fresh) == wanted else lot.end_seq
        seqs += fresh
    lot.move(UnitState.FREE, UnitState.HELD, len(seqs))
    return seqs


def _different(tx: Tx, lot: Lot, count: int) -> list[int]:
    """The next numbers of a lot of reusable keys for one order: of different keys while there are some."""
    if count <= 0:
        return []
    stride = tx.scalars(select(StockLot.stride).where(StockLot.id == lot.lot_id)).one()
    mine: dict[int, int] = {}
    for seq in _returned(tx, lot, 4 * count + 64):
        if len(mine) < count:
            mine.setdefault((seq - lot.first_seq) % stride, seq)
    _take_back(tx, lot, list(mine.values()))
    passed = []
    for seq in _fresh(tx, lot, count) if len(mine) < count else ():
        if len(mine) == count:
            break
        if mine.setdefault((seq - lot.first_seq) % stride, seq) != seq:
            passed.append({"sku_id": lot.sku_id, "seq": seq, "lot_id": lot.lot_id})
        lot.next_seq = seq + 1
    if passed:  # free, and behind the cursor now: the next order's
        tx.execute(INSERT_RETURNED, passed)
    lot.move(UnitState.FREE, UnitState.HELD, len(mine))
    seqs = list(mine.values())
    return seqs + _next(tx, lot, count - len(seqs)) if len(seqs) < count else seqs


INSERT_RETURNED = insert(table_of(StockReturned))
_RETURNED = (
    select(StockReturned.seq)
    .where(
        StockReturned.sku_id == bindparam("sku"),
        StockReturned.lot_id == bindparam("lot"),
        StockReturned.seq >= bindparam("start"),
        StockReturned.seq < bindparam("stop"),
    )
    .order_by(StockReturned.seq)
    .limit(bindparam("count"))
)
_FRESH = (
    select(StockUnit.seq)
    .where(
        StockUnit.sku_id == bindparam("sku"),
        StockUnit.seq >= bindparam("start"),
        StockUnit.seq < bindparam("stop"),
        StockUnit.state == UnitState.FREE,
    )
    .order_by(StockUnit.seq)
    .limit(bindparam("count"))
)


def _returned(tx: Tx, lot: Lot, count: int) -> list[int]:
    window = {"sku": lot.sku_id, "lot": lot.lot_id, "start": lot.first_seq, "stop": lot.next_seq, "count": count}
    return list(tx.scalars(_RETURNED, window))


def _fresh(tx: Tx, lot: Lot, count: int) -> list[int]:
    window = {"sku": lot.sku_id, "start": lot.next_seq, "stop": lot.end_seq, "count": count}
    return list(tx.scalars(_FRESH, window))


def _take_back(tx: Tx, lot: Lot, seqs: list[int]) -> None:
    """Take units out of those given back: they are about to be held."""
    if not seqs:
        return
    gone = delete(StockReturned).where(StockReturned.sku_id == lot.sku_id, StockReturned.seq.in_(seqs))
    if rows_changed(tx.execute(gone)) != len(seqs):
        raise StockOutOfStep("a unit given back was there and is not")
