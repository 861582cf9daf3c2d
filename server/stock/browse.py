"""Any row of a list of millions in one request: windows of the units of a SKU, without counting or walking over them.

Cursors count the units of each lot by state, and the numbers of a lot are dense: a row number leads to a lot by sums,
and in the lot to a unit by arithmetic. Free, sold and void units are such ranges too, but for a few that are named in
small tables; units that are held lie close behind the cursor.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select

from server.db import Tx
from server.stock.model import (
    CardSecret,
    Delivery,
    StockCursor,
    StockImport,
    StockLot,
    StockReturned,
    StockUnit,
    StockVoid,
)
from shared.contracts.stock import Unit, UnitOrder, UnitWindow
from shared.states import ImportState, LotState, UnitState

SEARCHED_UNITS = 200_000
"""How many units one search by tail looks at; the answer says where to go on."""

SEARCHED_RUNS = 200
_MOST_NAMED = 1_000


class _Lot(NamedTuple):
    """A lot with where its sale stands. Its units are numbered `first_seq`..., use by use when keys are reusable."""

    id: UUID
    number: int
    first_seq: int
    stride: int
    uses: int
    expires_on: date | None
    state: str
    reason: str | None
    next_seq: int
    end_seq: int
    imported: int
    free: int
    held: int
    sold: int
    void: int

    @property
    def keys(self) -> int:
        """How many keys it has. While they come they have one use each, and then use follows on use."""
        use, last = divmod(self.end_seq - 1 - self.first_seq, self.stride)
        return self.imported if use == 0 else (self.imported - last - 1) // use

    @property
    def offered(self) -> int:
        """How many of its units lie behind the cursor."""
        return self.place_of(self.next_seq)

    def count(self, state: UnitState | None) -> int:
        counts: tuple[int, ...] = (self.free, self.held, self.sold, self.void)
        return self.imported if state is None else counts[state]

    def seq_at(self, place: int) -> int:
        """The number of the unit that has `place` units of the lot before it."""
        use, key = divmod(place, self.keys)
        return self.first_seq + use * self.stride + key

    def place_of(self, seq: int) -> int:
        """How many units of the lot have lower numbers."""
        use, key = divmod(max(0, seq - self.first_seq), self.stride)
        return min(use * self.keys + min(key, self.keys), self.imported)


@dataclass(frozen=True, slots=True)
class View:
    """Which units of a SKU somebody looks at, in which order, and from which row."""

    sku_id: UUID
    state: UnitState | None = None
    lot_id: UUID | None = None
    order: UnitOrder = UnitOrder.NUMBER
    position: int = 0
    limit: int = 256

    @property
    def is_down(self) -> bool:
        """Whether the list is turned round."""
        return self.order in {UnitOrder.NUMBER_DOWN, UnitOrder.EXPIRY_DOWN}


def window(tx: Tx, view: View) -> UnitWindow:
    """The rows of a view, and how many the whole list has."""
    lots, state = _lots(tx, view), view.state
    total = sum(lot.count(state) for lot in lots)
    seqs: list[int] = []
    before = view.position
    for lot in lots:
        mine = lot.count(state)
        if before >= mine:
            before -= mine
            continue
        count = min(mine - before, view.limit - len(seqs))
        if view.is_down:
            seqs += reversed(_seqs(tx, view.sku_id, lot, state, mine - before - count, count))
        else:
            seqs += _seqs(tx, view.sku_id, lot, state, before, count)
        before = 0
        if len(seqs) >= view.limit:
            break
    return UnitWindow(items=rows(tx, view.sku_id, seqs), position=view.position, total=total)


_LOTS = (
    select(
        StockLot.id,
        StockLot.number,
        StockLot.first_seq,
        StockLot.stride,
        StockLot.uses,
        StockLot.expires_on,
        StockLot.state,
        StockLot.state_reason,
        StockCursor.next_seq,
        StockCursor.end_seq,
        StockCursor.imported,
        StockCursor.free,
        StockCursor.held,
        StockCursor.sold,
        StockCursor.void,
    )
    .join(StockCursor, StockCursor.lot_id == StockLot.id)
    .outerjoin(StockImport, StockImport.id == StockLot.import_id)
    # What a cancelled import had stored is being taken out again.
    .where(or_(StockImport.id.is_(None), StockImport.state != ImportState.CANCELLED.value), StockCursor.imported > 0)
)


def _lots(tx: Tx, view: View) -> list[_Lot]:
    """The lots of a view in its order."""
    query = _LOTS.where(StockLot.sku_id == view.sku_id)
    if view.lot_id is not None:
        query = query.where(StockLot.id == view.lot_id)
    lots = [_Lot._make(row) for row in tx.execute(query)]
    by_expiry = view.order in {UnitOrder.EXPIRY, UnitOrder.EXPIRY_DOWN}
    lots.sort(key=lambda lot: ((lot.expires_on or date.max) if by_expiry else date.min, lot.first_seq))
    return lots[::-1] if view.is_down else lots


# --- which numbers ---


def _seqs(tx: Tx, sku_id: UUID, lot: _Lot, state: UnitState | None, start: int, count: int) -> list[int]:
    """`count` numbers from the `start`th unit of a lot in that state, rising."""
    stop = start + count
    if state is None:
        return [lot.seq_at(place) for place in range(start, stop)]
    if state is UnitState.HELD:
        return _held(tx, sku_id, lot)[start:stop]
    back, named = _back(tx, sku_id, lot), _named_void(tx, sku_id, lot)
    behind = [seq for seq in named if seq < lot.next_seq]
    ahead = [lot.place_of(seq) for seq in named[len(behind) :]]
    if state is UnitState.SOLD:
        other = sorted(lot.place_of(seq) for seq in (*behind, *back, *_held(tx, sku_id, lot)))
        return [lot.seq_at(place) for place in _except(0, lot.offered, other, start, count)]
    # The units not yet offered are free from here on; a withdrawal makes them void from the first one.
    waiting = lot.imported - lot.offered - len(ahead)
    gone = max(0, waiting - (lot.free - len(back)))
    if state is UnitState.FREE:
        first = max(0, start - len(back))
        more = _except(lot.offered, lot.imported, ahead, first + gone, stop - max(start, len(back)))
        return back[start:stop] + [lot.seq_at(place) for place in more]
    if not gone:
        return named[start:stop]
    free = next(iter(_except(lot.offered, lot.imported, ahead, gone, 1)), lot.imported)
    range_of = range(lot.offered, free)
    late = [lot.seq_at(place) for place in ahead if place >= free]
    low, high = max(0, start - len(behind)), max(0, stop - len(behind))
    return (
        behind[start:stop]
        + [lot.seq_at(place) for place in range_of[low:high]]
        + late[max(0, low - len(range_of)) : max(0, high - len(range_of))]
    )


def _except(low: int, high: int, other: Sequence[int], start: int, count: int) -> list[int]:
    """`count` places from the `start`th of those in [low, high) that are not among `other`, which rise."""
    if count <= 0:
        return []
    place = low + start + bisect_right([found - low - n for n, found in enumerate(other)], start)
    skipped = set(other)
    places: list[int] = []
    while len(places) < count and place < high:
        if place not in skipped:
            places.append(place)
        place += 1
    return places


def _back(tx: Tx, sku_id: UUID, lot: _Lot) -> list[int]:
    mine = (StockReturned.sku_id == sku_id, StockReturned.lot_id == lot.id)
    within = StockReturned.seq.between(lot.first_seq, lot.next_seq)
    return list(tx.scalars(select(StockReturned.seq).where(*mine, within).order_by(StockReturned.seq)))


def _named_void(tx: Tx, sku_id: UUID, lot: _Lot) -> list[int]:
    """Units that are void one by one, and those of a withdrawn lot that lie behind its cursor."""
    if not lot.void:
        return []
    within = StockVoid.seq.between(lot.first_seq, lot.seq_at(lot.imported - 1))
    mine = (StockVoid.sku_id == sku_id, StockVoid.lot_id == lot.id, within)
    return list(tx.scalars(select(StockVoid.seq).where(*mine).order_by(StockVoid.seq)))


def _held(tx: Tx, sku_id: UUID, lot: _Lot) -> list[int]:
    """The units that orders hold. They were taken lately, so the walk back from the cursor soon has them all."""
    if not lot.held:
        return []
    behind = (StockUnit.seq >= lot.first_seq, StockUnit.seq < lot.next_seq, StockUnit.state == UnitState.HELD)
    query = select(StockUnit.seq).where(StockUnit.sku_id == sku_id, *behind)
    return sorted(tx.scalars(query.order_by(StockUnit.seq.desc()).limit(lot.held)))


# --- rows ---

_ROWS = (
    select(
        StockUnit.seq,
        StockUnit.state,
        StockLot.id.label("lot_id"),
        StockLot.number,
        StockLot.expires_on,
        StockLot.uses,
        StockLot.file_name,
        StockLot.state.label("lot_state"),
        StockLot.state_reason,
        CardSecret.tail,
        Delivery.delivered_at,
        StockVoid.reason,
    )
    .select_from(StockUnit)
    .join(StockLot, StockLot.id == StockUnit.lot_id)
    .outerjoin(
        CardSecret,
        (CardSecret.sku_id == StockUnit.sku_id) & (CardSecret.seq == StockLot.key_of(StockUnit.seq)),
    )
    .outerjoin(Delivery, (Delivery.sku_id == StockUnit.sku_id) & (Delivery.seq == StockUnit.seq))
    .outerjoin(StockVoid, (StockVoid.sku_id == StockUnit.sku_id) & (StockVoid.seq == StockUnit.seq))
)


def rows(tx: Tx, sku_id: UUID, seqs: Sequence[int]) -> list[Unit]:
    """The units of these numbers, in this order; numbers that no unit has are left out."""
    found: dict[int, Unit] = {}
    for at in range(0, len(seqs), _MOST_NAMED):
        some = seqs[at : at + _MOST_NAMED]
        for row in tx.execute(_ROWS.where(StockUnit.sku_id == sku_id, _among(some))):
            found[row.seq] = _unit(row)
    return [found[seq] for seq in seqs if seq in found]


def _among(seqs: Sequence[int]) -> ColumnElement[bool]:
    low, high = min(seqs), max(seqs)
    return StockUnit.seq.between(low, high) if high - low == len(seqs) - 1 else StockUnit.seq.in_(seqs)


def _unit(row: Any) -> Unit:
    state = UnitState(row.state)
    with_lot = row.state_reason if row.lot_state == LotState.WITHDRAWN.value else None
    return Unit(
        seq=row.seq,
        state=state,
        lot_id=row.lot_id,
        lot=row.number,
        uses=row.uses,
        file_name=row.file_name,
        tail=row.tail or "",
        expires_on=row.expires_on,
        reason=(row.reason or with_lot) if state is UnitState.VOID else None,
        sold_at=row.delivered_at,
    )


# --- by the end of the key ---


def search(tx: Tx, view: View, *, tail: str) -> UnitWindow:
    """Units of a view whose card ends with `tail`, among a bounded stretch of the list of all states from its row on.

    `next` of the answer is the row of that list where the search goes on.
    """
    start, at, runs = 0, view.position, 0
    lots = _lots(tx, view)
    total = sum(lot.imported for lot in lots)
    items: list[Unit] = []
    for lot in lots:
        while start <= at < start + lot.imported:
            low, high, use = _run(lot, at - start, view.position + SEARCHED_UNITS - at, down=view.is_down)
            if runs == SEARCHED_RUNS or high <= low:
                return UnitWindow(items=items, position=view.position, total=total, next=at)
            seqs = _ending(tx, view.sku_id, lot, low - use * lot.keys, high - use * lot.keys, tail)
            seqs = [seq + use * lot.stride for seq in (seqs[::-1] if view.is_down else seqs)]
            found = [unit for unit in rows(tx, view.sku_id, seqs) if view.state in {None, unit.state}]
            if len(found) > (room := view.limit - len(items)):
                place = lot.place_of(found[room].seq)
                at = start + (lot.imported - place - 1 if view.is_down else place)
                return UnitWindow(items=items + found[:room], position=view.position, total=total, next=at)
            items += found
            at += high - low
            runs += 1
        start += lot.imported
    return UnitWindow(items=items, position=view.position, total=total)


def _run(lot: _Lot, row: int, most: int, *, down: bool) -> tuple[int, int, int]:
    """The places [low, high) that follow row `row` of a lot in list order, of one use of its keys; and which use."""
    count = min(lot.imported - row, most)
    if down:
        high = lot.imported - row
        use = (high - 1) // lot.keys
        return max(high - count, use * lot.keys), high, use
    use = row // lot.keys
    return row, min(row + count, (use + 1) * lot.keys), use


def _ending(tx: Tx, sku_id: UUID, lot: _Lot, low: int, high: int, tail: str) -> list[int]:
    """The secrets among keys [low, high) of a lot whose card ends so, as far as its stored tail tells."""
    within = CardSecret.seq.between(lot.first_seq + low, lot.first_seq + high - 1)
    longer, shorter = tail[-4:], tail[-2:]  # of a short card fewer characters are kept
    ending = or_(CardSecret.tail.endswith(longer, autoescape=True), CardSecret.tail == shorter)
    query = select(CardSecret.seq, CardSecret.tail).where(CardSecret.sku_id == sku_id, within, ending)
    found = tx.execute(query.order_by(CardSecret.seq))
    # SQLite's LIKE does not look at case, and this does.
    return [seq for seq, kept in found if kept is not None and (kept == shorter or kept.endswith(longer))]
