"""Claims: holding, selling and giving back units. One code path for three engines, set-based for a whole batch.

A transaction opens one `Desk` for everything it does to stock. The desk locks the cursors of all lots concerned in
one statement, in the order of their ids, which is the only order every engine keeps while it locks; what it decides,
it decides under these locks. The guard gives correctness: every unit moves by `WHERE ... AND state = ...` with an
exact count. Callers run inside the batcher, hold existing orders before they come here, and post to the ledger after.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from sqlalchemy import ARRAY, bindparam, delete, func, insert, select, true, tuple_

from server.db import Spelling, Tx, rows_changed, spelling, table_of, tell
from server.stock import shelf, withdrawal
from server.stock.claims import marking, picking, returned
from server.stock.claims.picking import Lot
from server.stock.model import Delivery, StockCursor, StockLot, StockUnit, StockVoid, UndoneDelivery
from shared import ids
from shared.states import LotState, UndoneReason, UnitState

_CURSOR = table_of(StockCursor)

FIRST_LOTS = 8
"""How many lots of a SKU a claim looks at first; when they do not reach, it looks at eight times as many, and so on."""

FIRST_LOTS_OF_EACH = 2
"""How many it looks at first when it is for many SKUs: one nearly always reaches."""

VERSION_WRITES = 8
"""How often a cursor is written until its version goes up, about: each time would write all its index entries anew."""


StockOutOfStep = picking.StockOutOfStep


@dataclass(frozen=True, slots=True)
class Want:
    """Units one order line asks for."""

    order_line_id: UUID
    sku_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class LineUnits:
    """The units that belong to an order line."""

    order_line_id: UUID
    sku_id: UUID
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StockCame:
    """News of a committed transaction: a SKU may have more to sell than it had. Listeners forget what they knew."""

    sku_id: UUID


@dataclass(slots=True)
class Desk:
    """The lots of one transaction under lock. `reserve` promises in memory, `take` holds what was promised."""

    tx: Tx
    at: datetime
    lots: dict[UUID, Lot]
    units: dict[UUID, dict[int, UUID]]
    """The lot of each unit of this transaction, by SKU."""
    left: dict[UUID, int]
    """What of each SKU can be sold to somebody else now; of SKUs that were asked for."""
    _promised: list[Want] = field(default_factory=list)

    def reserve(self, wants: Sequence[Want]) -> bool:
        """Promise all these units, or none of them when stock does not reach."""
        asked: dict[UUID, int] = defaultdict(int)
        for want in wants:
            asked[want.sku_id] += want.quantity
        if any(count > self.left.get(sku_id, 0) for sku_id, count in asked.items()):
            return False
        for sku_id, count in asked.items():
            self.left[sku_id] -= count
        self._promised += wants
        return True

    def take(self) -> dict[UUID, tuple[int, ...]]:
        """Hold what was promised, earlier lines first. FREE -> HELD. Answers the units of each line."""
        by_sku: dict[UUID, list[Want]] = defaultdict(list)
        for want in self._promised:
            by_sku[want.sku_id].append(want)
        self._promised = []
        shelves: dict[UUID, list[Lot]] = defaultdict(list)
        for lot in self.lots.values():
            if self._sells(lot):
                shelves[lot.sku_id].append(lot)
        asked = [picking.Asked(shelves[sku_id], [want.quantity for want in wants]) for sku_id, wants in by_sku.items()]
        taken: dict[UUID, tuple[int, ...]] = {}
        holders: dict[UUID, list[marking.Pair]] = {}
        for (sku_id, wants), picked in zip(by_sku.items(), picking.next_units(self.tx, asked), strict=True):
            pairs = holders[sku_id] = []
            lots = self.units.setdefault(sku_id, {})
            for want, units in zip(wants, picked, strict=True):
                lots.update(units)
                line_id = want.order_line_id
                taken[line_id] = seqs = tuple([seq for seq, _ in units])
                pairs += [(seq, line_id) for seq in seqs]
        _require(marking.hold(self.tx, holders), sum(map(len, holders.values())))
        return taken

    def sell(self, lines: Sequence[LineUnits]) -> None:
        """Sell the held units of each line: HELD -> SOLD and one delivery a unit."""
        if not lines:
            return
        self._sell(lines)
        self.tx.execute(
            _INSERT_DELIVERIES,
            [
                {"sku_id": line.sku_id, "seq": seq, "order_line_id": line.order_line_id, "delivered_at": self.at}
                for line in lines
                for seq in line.seqs
            ],
        )

    def release(self, lines: Sequence[LineUnits]) -> None:
        """Give the held units of each line back: HELD -> FREE; they are the next of their lot to be sold.

        Those of a lot that was withdrawn meanwhile become void, as its other units did.
        """
        self._give_back(lines, UnitState.HELD)

    def take_back(self, lines: Sequence[LineUnits], reason: UndoneReason, *, actor: str) -> None:
        """Take sold units back that nobody has seen: as `release`, and their delivery is undone."""
        self._undeliver(lines, reason, actor)
        self._give_back(lines, UnitState.SOLD)

    def discard(self, lines: Sequence[LineUnits], reason: UndoneReason, *, actor: str) -> None:
        """Undo a delivery whose units may not be sold again: SOLD -> VOID. Their keys stay known."""
        self._undeliver(lines, reason, actor)
        self._let_go(lines, UnitState.SOLD, UnitState.VOID)
        rows = [
            {"sku_id": line.sku_id, "seq": seq, "lot_id": self.units[line.sku_id][seq]}
            for line in lines
            for seq in line.seqs
        ]
        said = {"reason": reason.value, "actor": actor, "voided_at": self.at}
        self.tx.execute(insert(table_of(StockVoid)), [row | said for row in rows])

    def _give_back(self, lines: Sequence[LineUnits], source: UnitState) -> None:
        gone = self._withdrawn()
        void = [self._only(line, gone, inside=True) for line in lines] if gone else []
        back = [self._only(line, gone, inside=False) for line in lines] if gone else lines
        if any(line.seqs for line in back):
            self._let_go(back, source, UnitState.FREE)
            self.tx.execute(
                returned.INSERT,
                [
                    {"sku_id": line.sku_id, "seq": seq, "lot_id": self.units[line.sku_id][seq]}
                    for line in back
                    for seq in line.seqs
                ],
            )
            for line in back:
                for seq in line.seqs:
                    self.lots[self.units[line.sku_id][seq]].came_back(seq)
            came(self.tx, {line.sku_id for line in back})
        if any(line.seqs for line in void):
            self._let_go(void, source, UnitState.VOID)
            seqs: dict[UUID, list[int]] = defaultdict(list)
            for line in void:
                for seq in line.seqs:
                    seqs[self.units[line.sku_id][seq]].append(seq)
            for lot_id in sorted(seqs):
                withdrawal.left(self.tx, gone[lot_id], seqs[lot_id])

    def _undeliver(self, lines: Sequence[LineUnits], reason: UndoneReason, actor: str) -> None:
        """Move deliveries to UndoneDelivery, so that a day that is over keeps what was sold on it."""
        for line in lines:
            mine = (Delivery.sku_id == line.sku_id, Delivery.order_line_id == line.order_line_id)
            those = (*mine, Delivery.seq.in_(line.seqs))
            gone = self.tx.execute(select(Delivery.seq, Delivery.delivered_at).where(*those)).all()
            _require(rows_changed(self.tx.execute(delete(Delivery).where(*those))), len(line.seqs))
            self.tx.execute(
                insert(table_of(UndoneDelivery)),
                [
                    {
                        "id": ids.new_id(),
                        "sku_id": line.sku_id,
                        "seq": seq,
                        "order_line_id": line.order_line_id,
                        "delivered_at": delivered_at,
                        "undone_at": self.at,
                        "actor": actor,
                        "reason": reason.value,
                    }
                    for seq, delivered_at in gone
                ],
            )

    def write(self) -> None:
        """Store where the cursors stand now; exactly these, which nobody else could change."""
        connection = self.tx.connection()
        engine = spelling(connection.dialect)
        moved = [lot for lot in self.lots.values() if lot.moved]
        rows = []
        for lot in moved:
            key = engine.as_id(lot.lot_id), lot.version
            raised = (lot.version + (not _CHANCE.randrange(VERSION_WRITES)),) if engine.keeps_versions else ()
            rows.append((lot.next_seq, lot.returned_from, *[lot.change[state] for state in _COUNTED], *raised, *key))
        if rows:
            written = connection.exec_driver_sql(_write_cursor(engine), rows)
            _require(rows_changed(written), len(rows))
        selling = [lot for lot in moved if lot.selling]
        shelf.take_off(self.tx, [(lot.sku_id, lot.rank, lot.lot_id) for lot in selling if lot.is_used_up])
        if revived := [lot.lot_id for lot in selling if lot.was_used_up and not lot.is_used_up]:
            shelf.put_on(self.tx, revived)

    def _only(self, line: LineUnits, lots: Container[UUID], *, inside: bool) -> LineUnits:
        seqs = (seq for seq in line.seqs if (self.units[line.sku_id][seq] in lots) is inside)
        return LineUnits(line.order_line_id, line.sku_id, tuple(seqs))

    def _sells(self, lot: Lot) -> bool:
        return lot.selling and lot.free > 0 and (lot.sell_until is None or lot.sell_until > self.at)

    def _withdrawn(self) -> dict[UUID, StockLot]:
        """The locked lots that were withdrawn. A lot that sells is not: most transactions need not ask."""
        asked = [lot.lot_id for lot in self.lots.values() if not lot.selling]
        if not asked:
            return {}
        found = self.tx.scalars(
            select(StockLot).where(StockLot.id.in_(asked), StockLot.state == LotState.WITHDRAWN.value),
            execution_options={"populate_existing": True},
        )
        return {lot.id: lot for lot in found}

    def _sell(self, lines: Sequence[LineUnits]) -> None:
        pairs = self._moved(lines, UnitState.HELD, UnitState.SOLD)
        _require(marking.sell(self.tx, pairs), sum(map(len, pairs.values())))

    def _let_go(self, lines: Sequence[LineUnits], source: UnitState, to: UnitState) -> None:
        pairs = self._moved(lines, source, to)
        _require(marking.let_go(self.tx, pairs, source, to), sum(map(len, pairs.values())))

    def _moved(self, lines: Sequence[LineUnits], source: UnitState, to: UnitState) -> dict[UUID, list[marking.Pair]]:
        """Count units from one state to another; answers them with the line that guards each."""
        pairs: dict[UUID, list[marking.Pair]] = defaultdict(list)
        for line in lines:
            for seq in line.seqs:
                pairs[line.sku_id].append((seq, line.order_line_id))
                self.lots[self.units[line.sku_id][seq]].move(source, to, 1)
        return pairs


def _require(moved: int, expected: int) -> None:
    """Each guarded row must match. Anything else is out of step and undoes the whole."""
    if moved != expected:
        raise StockOutOfStep(f"{moved} of {expected} rows were as expected")


def came(tx: Tx, sku_ids: Iterable[UUID]) -> None:
    """Say that these SKUs have more to sell once this transaction is committed."""
    for sku_id in sku_ids:
        tell(tx, StockCame(sku_id))


@contextmanager
def desk(tx: Tx, *, at: datetime, wants: Sequence[Want] = (), held: Sequence[LineUnits] = ()) -> Iterator[Desk]:
    """The desk of this transaction, for lines that want units and for lines that hold some. Once a transaction.

    Its cursors are written when the block ends well.
    """
    units = _lots_of(tx, held)
    need: dict[UUID, int] = defaultdict(int)
    for want in wants:
        need[want.sku_id] += want.quantity
    planned = _plan(tx, need, at)
    concerned = {lot_id for lots_of_units in units.values() for lot_id in lots_of_units.values()}
    lots = _lock(tx, concerned.union(*planned.values()))
    opened = Desk(tx=tx, at=at, lots=lots, units=units, left={})
    while True:
        opened.left = dict.fromkeys(need, 0)
        for lot in lots.values():
            if lot.sku_id in need and opened._sells(lot):  # noqa: SLF001 - the desk is made here
                opened.left[lot.sku_id] += lot.free
        # Others sold from these lots while we waited for them: the next ones of the SKU, if there are any.
        short = {sku_id: need[sku_id] for sku_id, left in opened.left.items() if left < need[sku_id]}
        more = {lot_id for lot_ids in _plan(tx, short, at).values() for lot_id in lot_ids} - lots.keys()
        if not more:
            break
        lots |= _lock(tx, more)
    yield opened
    opened.write()


def _plan(tx: Tx, need: dict[UUID, int], at: datetime) -> dict[UUID, list[UUID]]:
    """The first lots of each SKU that reach, or all of them when they do not. Read without a lock, so only a plan."""
    found: dict[UUID, list[tuple[UUID, int]]] = {}
    short, most = list(need), FIRST_LOTS if len(need) == 1 else FIRST_LOTS_OF_EACH
    while short:
        found |= shelf.first_lots(tx, short, at, most=most)
        full = [sku_id for sku_id in short if len(found.get(sku_id, ())) == most]
        short = [sku_id for sku_id in full if sum([free for _, free in found[sku_id]]) < need[sku_id]]
        most *= 8
    return {sku_id: _reaching(lots, need[sku_id]) for sku_id, lots in found.items()}


def _reaching(lots: list[tuple[UUID, int]], need: int) -> list[UUID]:
    chosen = []
    for lot_id, free in lots:
        if need <= 0:
            break
        if free:
            chosen.append(lot_id)
            need -= free
    return chosen


# Statements of the hot path are made once: making one costs as much as running it. They are of columns, not of
# mapped classes, and run on the connection: a session would take as long again to find out that nothing is loaded.
_LOT = (
    _CURSOR.c.lot_id,
    _CURSOR.c.version,
    _CURSOR.c.sku_id,
    _CURSOR.c.rank,
    _CURSOR.c.selling,
    _CURSOR.c.sell_until,
    _CURSOR.c.first_seq,
    _CURSOR.c.next_seq,
    _CURSOR.c.end_seq,
    _CURSOR.c.returned_from,
    _CURSOR.c.free,
    _CURSOR.c.held,
    _CURSOR.c.imported,
)
_LOCK_CURSORS = (
    select(*_LOT)
    .where(_CURSOR.c.lot_id.in_(bindparam("lots", expanding=True)))
    # MariaDB locks while it reads, which is the order of the primary key: the same.
    .order_by(_CURSOR.c.lot_id)
    .with_for_update()
)
_ASKED = (
    func.unnest(bindparam("lots", type_=ARRAY(_CURSOR.c.lot_id.type)))
    .table_valued(_CURSOR.c.lot_id)
    .render_derived("asked")
)
_NEWEST = (
    select(*_LOT)
    .where(_CURSOR.c.lot_id == _ASKED.c.lot_id)
    .order_by(*shelf.NEWEST)
    .limit(1)
    .with_for_update()
    .lateral("newest")
)
_LOCK_NEWEST = select(_NEWEST).select_from(_ASKED.join(_NEWEST, true()))
"""The same where old versions stay: one lot after the other as they are asked for, and of each the living one only."""


def _lock(tx: Tx, lot_ids: set[UUID]) -> dict[UUID, Lot]:
    if not lot_ids:
        return {}
    connection = tx.connection()
    lock = _LOCK_NEWEST if spelling(connection.dialect).keeps_versions else _LOCK_CURSORS
    return {row[0]: Lot(*row) for row in connection.execute(lock, {"lots": sorted(lot_ids)}).all()}


_LOTS_OF_UNITS = select(StockUnit.sku_id, StockUnit.seq, StockUnit.lot_id).where(
    tuple_(StockUnit.sku_id, StockUnit.seq).in_(bindparam("units", expanding=True))
)


def _lots_of(tx: Tx, lines: Sequence[LineUnits]) -> dict[UUID, dict[int, UUID]]:
    """The lot of each unit, by SKU; a unit never changes its lot, so this needs no lock."""
    units = [(line.sku_id, seq) for line in lines for seq in line.seqs]
    found: dict[UUID, dict[int, UUID]] = defaultdict(dict)
    for at in range(0, len(units), _MOST_UNITS):
        for sku_id, seq, lot_id in tx.execute(_LOTS_OF_UNITS, {"units": units[at : at + _MOST_UNITS]}):
            found[sku_id][seq] = lot_id
    return found


_MOST_UNITS = 400
"""Units of one statement: old SQLite binds 999 values."""


_COUNTED = (UnitState.FREE, UnitState.HELD, UnitState.SOLD, UnitState.VOID)
_CHANCE = random.Random()


@lru_cache(maxsize=8)
def _write_cursor(engine: Spelling) -> str:
    raised = ", version = {mark}" if engine.keeps_versions else ""
    counts = ", ".join([f"{name} = {name} + {{mark}}" for name in ("free", "held", "sold", "void")])
    set_to = f"next_seq = {{mark}}, returned_from = {{mark}}, {counts}{raised}"
    return f"UPDATE stock_cursor SET {set_to} WHERE lot_id = {{mark}} AND version = {{mark}}".format(mark=engine.mark)  # noqa: S608 - our own words


_INSERT_DELIVERIES = insert(table_of(Delivery))
