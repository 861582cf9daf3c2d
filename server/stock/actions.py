"""Claims: holding, selling and giving back units. One code path for three engines, set-based for a whole batch.

The guard gives correctness: every unit moves by `WHERE ... AND state = ...` with an exact count. Lots of a SKU
are sold in rank order from their cursors; units given back are served first. Callers run inside the batcher, hold
existing orders before they come here, and post to the ledger after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select, update

from server.db import Tx, rows_changed, table_of
from server.stock.model import Delivery, StockCursor, StockReturned, StockUnit
from shared.states import UnitState

_UNIT = table_of(StockUnit)


@dataclass(frozen=True, slots=True)
class Want:
    """Units one order line asks for."""

    order_line_id: UUID
    sku_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class Held:
    """The units an order line got, or none of them: `seqs` is empty when only `left` could be had."""

    seqs: tuple[int, ...]
    left: int


@dataclass(frozen=True, slots=True)
class LineUnits:
    """The units that belong to an order line."""

    order_line_id: UUID
    sku_id: UUID
    seqs: tuple[int, ...]


class StockOutOfStep(RuntimeError):
    """A guarded update did not match the rows it must: a fault of ours. The transaction is rolled back."""


_HOLD = (
    update(_UNIT)
    .where(_UNIT.c.sku_id == bindparam("s"), _UNIT.c.seq == bindparam("q"), _UNIT.c.state == UnitState.FREE)
    .values(state=UnitState.HELD, order_line_id=bindparam("line"))
)


def hold(tx: Tx, wants: Sequence[Want]) -> list[Held]:
    """Hold all units of each line or none, earlier lines first. FREE -> HELD. Caller runs inside the batcher."""
    shelves = _lock_shelves(tx, {want.sku_id for want in wants})
    granted: dict[int, Held] = {}
    by_sku: dict[UUID, list[tuple[int, Want]]] = defaultdict(list)
    left = {sku_id: sum(cursor.free for cursor in cursors) for sku_id, cursors in shelves.items()}
    for n, want in enumerate(wants):
        free = left.get(want.sku_id, 0)
        if want.quantity > free:
            granted[n] = Held(seqs=(), left=free)
        else:
            left[want.sku_id] = free - want.quantity
            by_sku[want.sku_id].append((n, want))
    rows = []
    for sku_id in sorted(by_sku, key=lambda sku_id: sku_id.bytes):
        lines = by_sku[sku_id]
        seqs = _take(tx, sku_id, shelves[sku_id], sum(want.quantity for _, want in lines))
        for n, want in lines:
            mine, seqs = seqs[: want.quantity], seqs[want.quantity :]
            granted[n] = Held(seqs=tuple(mine), left=left[sku_id])
            rows += [{"s": sku_id, "q": seq, "line": want.order_line_id} for seq in mine]
    if rows:
        _exactly(tx, _HOLD, rows)
    tx.flush()
    return [granted[n] for n in range(len(wants))]


_LOCK_SHELVES = (
    select(StockCursor)
    .where(
        StockCursor.sku_id.in_(bindparam("skus", expanding=True)), StockCursor.selling.is_(True), StockCursor.free > 0
    )
    .order_by(StockCursor.sku_id, StockCursor.rank)
    .with_for_update()
    .execution_options(populate_existing=True)
)


def _lock_shelves(tx: Tx, sku_ids: Iterable[UUID]) -> dict[UUID, list[StockCursor]]:
    """The selling lots of each SKU in the order they sell, locked in that order."""
    shelves: dict[UUID, list[StockCursor]] = defaultdict(list)
    for cursor in tx.scalars(_LOCK_SHELVES, {"skus": sorted(sku_ids)}):
        shelves[cursor.sku_id].append(cursor)
    return shelves


_RETURNED = (
    select(StockReturned.seq, StockReturned.lot_id)
    .where(StockReturned.sku_id == bindparam("sku"), StockReturned.lot_id.in_(bindparam("lots", expanding=True)))
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
)


def _take(tx: Tx, sku_id: UUID, cursors: list[StockCursor], count: int) -> list[int]:
    """The next `count` free numbers of a SKU: given-back ones first, then from the cursors in rank order."""
    by_lot = {cursor.lot_id: cursor for cursor in cursors}
    returned = tx.execute(_RETURNED, {"sku": sku_id, "lots": list(by_lot), "count": count}).all()
    for _, lot_id in returned:
        _move(by_lot[lot_id], UnitState.FREE, UnitState.HELD, 1)
    seqs: list[int] = [seq for seq, _ in returned]
    if seqs:
        gone = tx.execute(delete(StockReturned).where(StockReturned.sku_id == sku_id, StockReturned.seq.in_(seqs)))
        if rows_changed(gone) != len(seqs):
            raise StockOutOfStep
    for cursor in cursors:
        while len(seqs) < count and cursor.next_seq < cursor.end_seq:
            stop = min(cursor.next_seq + count - len(seqs), cursor.end_seq)
            # A voided unit inside the range is not free: the cursor passes it by.
            fresh = tx.scalars(_FRESH, {"sku": sku_id, "start": cursor.next_seq, "stop": stop}).all()
            cursor.next_seq = stop
            _move(cursor, UnitState.FREE, UnitState.HELD, len(fresh))
            seqs += fresh
    if len(seqs) != count:
        raise StockOutOfStep
    return seqs


_INSERT_DELIVERIES = insert(table_of(Delivery))


def sell(tx: Tx, lines: Sequence[LineUnits], *, at: datetime) -> None:
    """Sell the held units of each line: HELD -> SOLD and one delivery a unit. Caller holds the orders."""
    _change_held(tx, lines, to=UnitState.SOLD)
    tx.execute(
        _INSERT_DELIVERIES,
        [
            {"sku_id": line.sku_id, "seq": seq, "order_line_id": line.order_line_id, "delivered_at": at}
            for line in lines
            for seq in line.seqs
        ],
    )


def release(tx: Tx, lines: Sequence[LineUnits]) -> None:
    """Give the held units of each line back: HELD -> FREE; they are the next to be sold. Caller holds the orders."""
    lots = _change_held(tx, lines, to=UnitState.FREE)
    tx.execute(
        insert(table_of(StockReturned)),
        [{"sku_id": line.sku_id, "seq": seq, "lot_id": lots[line.sku_id, seq]} for line in lines for seq in line.seqs],
    )


_LOTS_OF_UNITS = select(StockUnit.seq, StockUnit.lot_id).where(
    StockUnit.sku_id == bindparam("sku"), StockUnit.seq.in_(bindparam("seqs", expanding=True))
)
_LOCK_CURSORS = (
    select(StockCursor)
    .where(StockCursor.lot_id.in_(bindparam("lots", expanding=True)))
    .order_by(StockCursor.sku_id, StockCursor.rank)
    .with_for_update()
    .execution_options(populate_existing=True)
)
_HELD_BY_LINE = update(_UNIT).where(
    _UNIT.c.sku_id == bindparam("s"),
    _UNIT.c.seq == bindparam("q"),
    _UNIT.c.state == UnitState.HELD,
    _UNIT.c.order_line_id == bindparam("line"),
)
_MOVE_HELD = {
    UnitState.SOLD: _HELD_BY_LINE.values(state=UnitState.SOLD),
    UnitState.FREE: _HELD_BY_LINE.values(state=UnitState.FREE, order_line_id=None),
}


def _change_held(tx: Tx, lines: Sequence[LineUnits], *, to: UnitState) -> dict[tuple[UUID, int], UUID]:
    """Move held units to `to`, guarded by the line that holds them; answers the lot of each."""
    wanted: dict[UUID, list[int]] = defaultdict(list)
    for line in lines:
        wanted[line.sku_id] += line.seqs
    lots: dict[tuple[UUID, int], UUID] = {}
    for sku_id in sorted(wanted, key=lambda sku_id: sku_id.bytes):
        units = tx.execute(_LOTS_OF_UNITS, {"sku": sku_id, "seqs": sorted(wanted[sku_id])})
        lots |= {(sku_id, seq): lot_id for seq, lot_id in units}
    counts: dict[UUID, int] = defaultdict(int)
    for lot_id in lots.values():
        counts[lot_id] += 1
    for cursor in tx.scalars(_LOCK_CURSORS, {"lots": list(counts)}):
        _move(cursor, UnitState.HELD, to, counts[cursor.lot_id])
    tx.flush()
    rows = [{"s": line.sku_id, "q": seq, "line": line.order_line_id} for line in lines for seq in line.seqs]
    _exactly(tx, _MOVE_HELD[to], rows)
    return lots


_COUNTERS = {UnitState.FREE: "free", UnitState.HELD: "held", UnitState.SOLD: "sold", UnitState.VOID: "void"}


def _move(cursor: StockCursor, source: UnitState, to: UnitState, count: int) -> None:
    setattr(cursor, _COUNTERS[source], getattr(cursor, _COUNTERS[source]) - count)
    setattr(cursor, _COUNTERS[to], getattr(cursor, _COUNTERS[to]) + count)


def _exactly(tx: Tx, statement: object, rows: list[dict[str, object]]) -> None:
    """Run a guarded update for each row; each must match. Anything else is out of step and undoes the whole."""
    changed = rows_changed(tx.connection().execute(statement, rows))  # type: ignore[call-overload]
    if changed != len(rows):
        raise StockOutOfStep(f"{changed} of {len(rows)} units were as expected")
