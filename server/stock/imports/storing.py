"""What an import becomes in stock: a lot for each expiry, cost and number of uses, their secrets and their units.

Each lot owns `ranking.LOT_NUMBERS` unit numbers, so two imports of one SKU never meet. Called by `ingest` inside its
transactions; nothing made here sells before `ingest` says so.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import delete, exists, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from server.catalog.queries import SaleTerms
from server.crypto import KeyRing, LotKey
from server.db import Tx, Uid, bulk_insert, table_of
from server.stock.imports.judging import Batch, Terms
from server.stock.model import CardSecret, RevealLog, StockCursor, StockImport, StockLot, StockSeries, StockUnit
from server.stock.ranking import LOT_NUMBERS, rank, sell_until, stride
from shared import cardkey, clock, ids
from shared.contracts.stock import MAX_LOTS, MAX_ROWS, LineResult
from shared.states import LotState, SaleOrder, UnitState

STEP_UNITS = 50_000
"""Units of reusable keys a transaction: few enough that checkouts wait a blink."""

_DISCARD_MOST = 20_000
_NAMED = 500
_shuffle = random.SystemRandom().shuffle


@dataclass(frozen=True, slots=True)
class _Filling:
    """A lot that keys are being put into, under lock."""

    lot: StockLot
    cursor: StockCursor

    @property
    def room(self) -> int:
        """How many keys more it may have: each use is a unit, and unit numbers are bounded."""
        return min(self.lot.stride, MAX_ROWS // self.lot.uses) - self.cursor.imported


class Shelves:
    """The lots of one import, locked for one transaction; made as lines need them, at most MAX_LOTS.

    While keys come, a lot has one unit for each: the further uses of reusable keys follow when all are here.
    """

    def __init__(self, tx: Tx, keys: KeyRing, found: StockImport, terms: SaleTerms) -> None:
        self._tx, self._keys, self._import, self._terms = tx, keys, found, terms
        mine = select(StockLot).where(StockLot.import_id == found.id).order_by(StockLot.id).with_for_update()
        lots = list(tx.scalars(mine, execution_options={"populate_existing": True}))
        cursors = _locked_cursors(tx, [lot.id for lot in lots])
        self._have = {Terms(lot.expires_on, lot.cost, lot.uses): _Filling(lot, cursors[lot.id]) for lot in lots}
        self._units = MAX_ROWS - sum(one.cursor.imported * one.lot.uses for one in self._have.values())

    def make(self, wanted: Iterable[Terms]) -> None:
        """Make the lots that are not there yet, the first to expire first, as far as there may be more."""
        new = sorted(set(wanted) - self._have.keys(), key=_first_to_expire)
        for one in new[: MAX_LOTS - len(self._have)]:
            self._have[one] = _new_lot(self._tx, self._keys, self._import, self._terms, one)

    def put(self, terms: Terms, batch: Batch, refused: dict[int, LineResult]) -> int:
        """Store the keys of a batch, as many as there is room for; the others are noted in `refused`.

        Raises IntegrityError when the product has one of them; the transaction must then be rolled back.
        """
        filling = self._have.get(terms)
        room = 0 if filling is None else min(filling.room, self._units // terms.uses)
        if room < len(batch.lines):
            room = max(0, room)
            refused |= dict.fromkeys(batch.lines[room:], LineResult.REFUSED)
            batch = batch.at(range(room))
        if filling is None or not batch.lines:
            return 0
        if self._terms.selling.sale_order is SaleOrder.RANDOM:
            places = list(range(len(batch.lines)))
            _shuffle(places)
            batch = batch.at(places)
        _store(self._tx, self._keys, filling, batch)
        self._units -= len(batch.lines) * terms.uses
        return len(batch.lines)


def _first_to_expire(one: Terms) -> tuple[date, bool, int, int]:
    return one.expires_on or date.max, one.cost is not None, one.cost or 0, one.uses


def _locked_cursors(tx: Tx, lot_ids: list[UUID]) -> dict[UUID, StockCursor]:
    """In the order in which claims lock them."""
    query = select(StockCursor).where(StockCursor.lot_id.in_(lot_ids)).order_by(StockCursor.lot_id).with_for_update()
    return {cursor.lot_id: cursor for cursor in tx.scalars(query, execution_options={"populate_existing": True})}


def _new_lot(tx: Tx, keys: KeyRing, found: StockImport, terms: SaleTerms, one: Terms) -> _Filling:
    lot_id = ids.new_id()
    key = keys.new_lot_key(lot_id)
    number, first = _take_numbers(tx, found.sku_id)
    lot = StockLot(
        id=lot_id,
        sku_id=found.sku_id,
        product_id=found.product_id,
        supplier_id=found.supplier_id,
        import_id=found.id,
        number=number,
        first_seq=first,
        stride=stride(one.uses),
        uses=one.uses,
        expires_on=one.expires_on,
        cost=one.cost,
        state=LotState.OPEN,
        file_name=found.file_name,
        wrapped_key=key.wrapped,
        master_version=key.master_version,
        created_at=clock.now(),
    )
    cursor = StockCursor(
        lot_id=lot_id,
        sku_id=found.sku_id,
        rank=rank(number=number, expires_on=one.expires_on, order=terms.selling.sale_order),
        selling=False,
        sell_until=sell_until(one.expires_on, terms.selling.stop_days),
        first_seq=first,
        next_seq=first,
        end_seq=first,
        imported=0,
        free=0,
        held=0,
        sold=0,
        void=0,
    )
    tx.add_all([lot, cursor])
    tx.flush()
    return _Filling(lot, cursor)


def _take_numbers(tx: Tx, sku_id: UUID) -> tuple[int, int]:
    """The number of the SKU's next lot, and the first of the unit numbers that are its own."""
    series = tx.get(StockSeries, sku_id, with_for_update=True)
    if series is None:
        try:
            with tx.begin_nested():
                tx.add(StockSeries(sku_id=sku_id, next_seq=1, lots=0))
        except IntegrityError:  # another import of the SKU was first
            pass
        series = tx.get_one(StockSeries, sku_id, with_for_update=True, populate_existing=True)
    number, first = series.lots, series.next_seq
    series.lots, series.next_seq = number + 1, ((first - 1) // LOT_NUMBERS + 1) * LOT_NUMBERS + 1
    return number, first


def _store(tx: Tx, keys: KeyRing, filling: _Filling, batch: Batch) -> None:
    """Seal the keys, insert their secrets, and a unit for each."""
    lot, cursor = filling.lot, filling.cursor
    first, count = lot.first_seq + cursor.imported, len(batch.lines)
    cipher = keys.lot(lot.id, LotKey(wrapped=lot.wrapped_key, master_version=lot.master_version))
    sealed = cipher.seal_all(lot.sku_id, first, [text.encode() for text in batch.texts])
    bulk_insert(
        tx,
        CardSecret,
        ("seq", "fingerprint", "sealed", "tail"),
        list(zip(range(first, first + count), batch.fingerprints, sealed, cardkey.tails(batch.texts), strict=True)),
        constants={"sku_id": lot.sku_id, "product_id": lot.product_id},
    )
    _add_units(tx, lot, first, count, use=0)
    cursor.imported += count
    cursor.free += count
    cursor.end_seq = first + count


def _add_units(tx: Tx, lot: StockLot, first: int, count: int, *, use: int) -> None:
    """A unit for one use of each of these secrets. The engine copies them: no row passes through this process."""
    seq = CardSecret.seq if use == 0 else CardSecret.seq + use * lot.stride
    rows = select(
        CardSecret.sku_id, seq, literal(lot.id, Uid), literal(int(UnitState.FREE), StockUnit.state.type)
    ).where(CardSecret.sku_id == lot.sku_id, CardSecret.seq.between(first, first + count - 1))
    columns = ["sku_id", "seq", "lot_id", "state"]
    tx.execute(insert(table_of(StockUnit)).from_select(columns, rows, include_defaults=False))


def add_uses(tx: Tx, found: StockImport) -> bool:
    """Give reusable keys the units of their further uses, some at a time; whether all have them now."""
    reusable = (StockLot.import_id == found.id, StockLot.uses > 1)
    left = STEP_UNITS
    for lot in tx.scalars(select(StockLot).where(*reusable).order_by(StockLot.id)):
        cursor = _locked_cursors(tx, [lot.id])[lot.id]
        if not cursor.imported:
            continue
        last = tx.scalars(
            select(func.max(CardSecret.seq)).where(
                CardSecret.sku_id == lot.sku_id,
                CardSecret.seq.between(lot.first_seq, lot.first_seq + lot.stride - 1),
            )
        ).one()
        assert last is not None
        count = last - lot.first_seq + 1
        while cursor.imported < count * lot.uses:
            if left <= 0:
                return False
            use, at = divmod(cursor.imported, count)
            some = min(count - at, left)
            _add_units(tx, lot, lot.first_seq + at, some, use=use)
            cursor.imported += some
            cursor.free += some
            cursor.end_seq = lot.first_seq + use * lot.stride + at + some
            left -= some
        tx.flush()
    return True


def remove_empty(tx: Tx, found: StockImport) -> None:
    """Remove the lots that got no key, because the shop had all of them."""
    empty = select(StockCursor.lot_id).join(StockLot, StockLot.id == StockCursor.lot_id)
    gone = list(tx.scalars(empty.where(StockLot.import_id == found.id, StockCursor.imported == 0)))
    if gone:
        for model, which in ((StockCursor, StockCursor.lot_id), (StockLot, StockLot.id)):
            tx.execute(delete(model).where(which.in_(gone)), execution_options={"synchronize_session": "fetch"})


def take_out(tx: Tx, found: StockImport) -> bool:
    """Take the lots of a cancelled import out again, a piece at a time; whether that is done.

    A key that staff was shown, or reported, is not forgotten: its unit stays, void, in a withdrawn lot that no list
    shows, and its fingerprint keeps the key from coming again unnoticed.
    """
    for lot in tx.scalars(select(StockLot).where(StockLot.import_id == found.id).order_by(StockLot.id)).all():
        cursor = _locked_cursors(tx, [lot.id])[lot.id]  # from here on no unit of it is shown or made void
        of_lot = (StockUnit.sku_id == lot.sku_id, StockUnit.lot_id == lot.id, StockUnit.state == UnitState.FREE)
        in_lot = StockUnit.seq.between(lot.first_seq, lot.first_seq + LOT_NUMBERS - 1)
        units = select(StockUnit.seq).where(*of_lot, in_lot).order_by(StockUnit.seq)
        if seqs := list(tx.scalars(units.limit(_DISCARD_MOST))):
            _take_out_piece(tx, cursor, seqs)
            return False
        if cursor.imported:
            lot.state, lot.moved_by, lot.moved_at = LotState.WITHDRAWN.value, "system", clock.now()
            lot.version += 1
            tx.flush()
        else:
            tx.execute(delete(StockCursor).where(StockCursor.lot_id == lot.id))
            tx.execute(delete(StockLot).where(StockLot.id == lot.id))
    return True


def _take_out_piece(tx: Tx, cursor: StockCursor, seqs: list[int]) -> None:
    """Make void which of these free units were shown to staff; delete the others with their secrets."""
    sku_id, first, last = cursor.sku_id, seqs[0], seqs[-1]
    seen = set(tx.scalars(select(RevealLog.seq).where(RevealLog.sku_id == sku_id, RevealLog.seq.between(first, last))))
    shown = [seq for seq in seqs if seq in seen]
    cursor.imported -= len(seqs) - len(shown)
    cursor.free -= len(seqs)
    cursor.void += len(shown)
    tx.flush()
    free = (StockUnit.sku_id == sku_id, StockUnit.seq.between(first, last), StockUnit.state == UnitState.FREE)
    for at in range(0, len(shown), _NAMED):
        named = StockUnit.seq.in_(shown[at : at + _NAMED])
        tx.execute(update(StockUnit).where(*free, named).values(state=int(UnitState.VOID)))
    of_free = exists().where(*free, StockUnit.seq == CardSecret.seq)
    secrets = (CardSecret.sku_id == sku_id, CardSecret.seq.between(first, last), of_free)
    tx.execute(delete(CardSecret).where(*secrets), execution_options={"synchronize_session": False})
    tx.execute(delete(StockUnit).where(*free), execution_options={"synchronize_session": False})
