"""Which units of a SKU are sold next: lot by lot in rank order, those given back before those never offered.

Works on lots whose cursors the transaction has locked (`server.stock.actions.desk`), and moves them on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from uuid import UUID

from sqlalchemy import bindparam, select

from server.db import Tx
from server.stock.claims import returned
from server.stock.model import StockLot, StockUnit
from shared.states import UnitState


class StockOutOfStep(RuntimeError):
    """A guarded update did not match the rows it must: a fault of ours. The transaction is rolled back."""


@dataclass(slots=True)
class Lot:
    """A locked cursor: where the lot's sale stands, and how this transaction changes its counts."""

    lot_id: UUID
    version: int
    sku_id: UUID
    rank: int
    selling: bool
    sell_until: datetime | None
    first_seq: int
    next_seq: int
    end_seq: int
    returned_from: int
    free: int
    held: int
    imported: int
    change: dict[UnitState, int] = field(default_factory=lambda: dict.fromkeys(UnitState, 0))
    moved: bool = False

    @property
    def is_dense(self) -> bool:
        """Whether its numbers have no gaps: those of reusable keys do."""
        return self.imported == self.end_seq - self.first_seq

    @property
    def still_free(self) -> int:
        """What this transaction has left of its free units."""
        return self.free + self.change[UnitState.FREE]

    @property
    def was_used_up(self) -> bool:
        """Whether nothing of it was free or held when it was locked."""
        return not self.free and not self.held

    @property
    def is_used_up(self) -> bool:
        """Whether nothing of it is left to sell: what is neither free nor held stays as it is, unless taken back."""
        return not self.still_free and not self.held + self.change[UnitState.HELD]

    def came_back(self, seq: int) -> None:
        """Note that a unit is among those given back."""
        self.returned_from = min(self.returned_from, seq)

    def move(self, source: UnitState, to: UnitState, count: int) -> None:
        """Count units from one state to another."""
        self.moved = True
        self.change[source] -= count
        self.change[to] += count


Unit = tuple[int, UUID]
"""The number of a unit, and its lot."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the lines of a transaction want of one SKU, earlier ones first, and the lots it may come from."""

    shelf: Sequence[Lot]
    quantities: Sequence[int]


def next_units(tx: Tx, asked: Sequence[Asked]) -> list[list[list[Unit]]]:
    """The next units for each want of each SKU. Raises StockOutOfStep when there are fewer."""
    dense = [(lot, sum(one.quantities)) for one in asked for lot in one.shelf if lot.is_dense]
    found = returned.first(tx, [_behind(lot, most) for lot, most in dense])
    back = {lot.lot_id: seqs for (lot, _), seqs in zip(dense, found, strict=True)}
    taken: dict[UUID, list[int]] = defaultdict(list)
    chosen = [_of_sku(tx, one, back, taken) for one in asked]
    _take_back(tx, taken)
    return chosen


def _of_sku(tx: Tx, asked: Asked, back: dict[UUID, list[int]], taken: dict[UUID, list[int]]) -> list[list[Unit]]:
    """Of one SKU. Those given back of its dense lots are in `back`; which of them were chosen goes to `taken`."""
    quantities = asked.quantities
    got: list[list[Unit]] = [[] for _ in quantities]
    for lot in sorted(asked.shelf, key=lambda lot: lot.rank):
        short = [n for n, quantity in enumerate(quantities) if len(got[n]) < quantity]
        if not short:
            break
        if lot.is_dense:
            count = sum([quantities[n] - len(got[n]) for n in short])
            given_back = back[lot.lot_id][:count]
            coming = iter(_next(tx, lot, count, given_back))
            if given_back:
                taken[lot.sku_id] += given_back
            for n in short:
                got[n] += [(seq, lot.lot_id) for seq in islice(coming, quantities[n] - len(got[n]))]
        else:
            for n in short:
                seqs = _different(tx, lot, min(quantities[n] - len(got[n]), lot.still_free))
                got[n] += [(seq, lot.lot_id) for seq in seqs]
    if [len(units) for units in got] != list(quantities):
        raise StockOutOfStep("a lot has fewer free units than its cursor counts")
    return got


def _next(tx: Tx, lot: Lot, count: int, back: Sequence[int]) -> list[int]:
    """The next numbers of a lot, at most `count`; `back` are the first of those given back, as many."""
    seqs = list(back)
    wanted, ahead = count - len(seqs), lot.end_seq - lot.next_seq
    if wanted and ahead:
        # These are all that were given back. When the other free ones are as many as lie ahead, it is all of those.
        if lot.still_free - len(seqs) == ahead:
            fresh = list(range(lot.next_seq, lot.next_seq + min(wanted, ahead)))
        else:
            fresh = _fresh(tx, lot, wanted)
        # Voided units and the gaps of reusable keys are passed by, however wide.
        lot.next_seq = fresh[-1] + 1 if len(fresh) == wanted else lot.end_seq
        seqs += fresh
    lot.returned_from = lot.next_seq if wanted else back[-1] + 1
    lot.move(UnitState.FREE, UnitState.HELD, len(seqs))
    return seqs


def _different(tx: Tx, lot: Lot, count: int) -> list[int]:
    """The next numbers of a lot of reusable keys for one order: of different keys while there are some."""
    if count <= 0:
        return []
    stride = tx.scalars(select(StockLot.stride).where(StockLot.id == lot.lot_id)).one()
    mine: dict[int, int] = {}
    back = _back_of(tx, lot, 4 * count + 64)
    for seq in back:
        if len(mine) < count:
            mine.setdefault((seq - lot.first_seq) % stride, seq)
    _take_back(tx, {lot.sku_id: list(mine.values())})
    passed = []
    for seq in _fresh(tx, lot, count) if len(mine) < count else ():
        if len(mine) == count:
            break
        if mine.setdefault((seq - lot.first_seq) % stride, seq) != seq:
            passed.append(seq)
        lot.next_seq = seq + 1
    if not back:
        lot.returned_from = lot.next_seq
    if passed:  # free, and behind the cursor now: the next order's
        tx.execute(returned.INSERT, [{"sku_id": lot.sku_id, "seq": seq, "lot_id": lot.lot_id} for seq in passed])
        lot.came_back(passed[0])
    lot.move(UnitState.FREE, UnitState.HELD, len(mine))
    seqs = list(mine.values())
    if missing := count - len(seqs):
        back = _back_of(tx, lot, missing)
        _take_back(tx, {lot.sku_id: back})
        seqs += _next(tx, lot, missing, back)
    return seqs


def _behind(lot: Lot, most: int) -> returned.Window:
    return returned.Window(lot.sku_id, max(lot.first_seq, lot.returned_from), lot.next_seq, most)


def _back_of(tx: Tx, lot: Lot, most: int) -> list[int]:
    return returned.first(tx, [_behind(lot, most)])[0]


def _take_back(tx: Tx, units: Mapping[UUID, Sequence[int]]) -> None:
    """Take units out of those given back: they are about to be held."""
    if returned.take(tx, units) != sum([len(seqs) for seqs in units.values()]):
        raise StockOutOfStep("a unit given back was there and is not")


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


def _fresh(tx: Tx, lot: Lot, count: int) -> list[int]:
    window = {"sku": lot.sku_id, "start": lot.next_seq, "stop": lot.end_seq, "count": count}
    return list(tx.scalars(_FRESH, window))
