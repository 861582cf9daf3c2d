"""Units moved from one state to another, a whole batch at once. The guard is in it: exact counts are the caller's.

On an engine behind a socket one statement names each unit once, and its order line by a CASE: that costs a tenth of
one statement a unit. The text is made by hand, because making it by expressions costs more than running it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from server.db import Spelling, Tx, rows_changed, spelling
from shared.states import UnitState

Pair = tuple[int, UUID]
"""The number of a unit, and the order line that holds it or is to."""

Units = Mapping[UUID, Sequence[Pair]]
"""What to move, by SKU."""

_MOST = 250
"""Units of one statement: old SQLite binds 999 values."""


def hold(tx: Tx, units: Units) -> int:
    """FREE -> HELD for these lines; answers how many units were free."""
    return _run(tx, holding(spelling(tx.connection().dialect), units))


def sell(tx: Tx, units: Units) -> int:
    """HELD -> SOLD; answers how many units these lines held."""
    engine = spelling(tx.connection().dialect)
    return _run(tx, _statements(engine, units, UnitState.HELD, UnitState.SOLD, "order_line_id", guard=_GUARD))


def let_go(tx: Tx, units: Units, source: UnitState, to: UnitState) -> int:
    """HELD or SOLD -> FREE or VOID; answers how many units these lines had."""
    engine = spelling(tx.connection().dialect)
    return _run(tx, _statements(engine, units, source, to, "NULL", guard=_GUARD))


_GUARD = " AND order_line_id = {line}"

Statement = tuple[str, Any]
"""Text and what it binds: the values of one run, or a list of those for one run each."""


def holding(engine: Spelling, units: Units) -> Iterator[Statement]:
    """What `hold` runs."""
    return _statements(engine, units, UnitState.FREE, UnitState.HELD, "{line}", guard="")


def _run(tx: Tx, statements: Iterator[Statement]) -> int:
    connection = tx.connection()
    return sum([rows_changed(connection.exec_driver_sql(text, bound)) for text, bound in statements])


def _statements(
    engine: Spelling, units: Units, source: UnitState, to: UnitState, line: str, *, guard: str
) -> Iterator[Statement]:
    sql = (
        f"UPDATE stock_unit SET state = {int(to)}, order_line_id = {line}"  # noqa: S608 - our own words
        f" WHERE {{units}} AND state = {int(source)}{guard}"
    )
    if engine.in_process:
        if rows := list(_rows(engine, units, line_first=not guard)):
            yield sql.format(line=engine.mark, units=f"sku_id = {engine.mark} AND seq = {engine.mark}"), rows
        return
    for part in parts(units, most=_MOST):
        condition, skus = named(engine, [(sku_id, [seq for seq, _ in pairs]) for sku_id, pairs in part])
        lines = [engine.as_id(value) for sku_id, pairs in part for value in (sku_id, *[line for _, line in pairs])]
        bound = (*skus, *lines) if guard else (*lines, *skus)
        yield sql.format(line=_line_of(engine, part), units=condition), bound


T = TypeVar("T")


def parts(units: Mapping[UUID, Sequence[T]], *, most: int) -> Iterator[list[tuple[UUID, Sequence[T]]]]:
    """At most so many at a time, by SKU and number: transactions past the cursors' locks lock units in one order."""
    part: list[tuple[UUID, Sequence[T]]] = []
    room = most
    for sku_id in sorted(units, key=_order):
        ordered = sorted(units[sku_id])  # type: ignore[type-var]
        while ordered:
            some, ordered = ordered[:room], ordered[room:]
            part.append((sku_id, some))
            room -= len(some)
            if not room:
                yield part
                part, room = [], most
    if part:
        yield part


def _order(sku_id: UUID) -> int:
    return sku_id.int


def _rows(engine: Spelling, units: Units, *, line_first: bool) -> Iterator[tuple[object, ...]]:
    as_id = engine.as_id
    for sku_id, pairs in units.items():
        sku = as_id(sku_id)
        for seq, line in pairs:
            yield (as_id(line), sku, seq) if line_first else (sku, seq, as_id(line))


# Numbers are written out: they are ours, and drivers take long to find hundreds of marks.


def named(engine: Spelling, part: Sequence[tuple[UUID, Sequence[int]]]) -> tuple[str, tuple[object, ...]]:
    """The condition that names these units, by SKU, and what it binds."""
    one = [f"sku_id = {engine.mark} AND seq IN ({', '.join([f'{seq:d}' for seq in seqs])})" for _, seqs in part]
    return f"({' OR '.join(one)})", tuple([engine.as_id(sku_id) for sku_id, _ in part])


def _line_of(engine: Spelling, part: Sequence[tuple[UUID, Sequence[Pair]]]) -> str:
    """The order line of each unit."""
    mark = engine.mark
    of_sku = [
        f"WHEN {mark} THEN CASE seq {' '.join([f'WHEN {seq:d} THEN {mark}' for seq, _ in pairs])} END"
        for _, pairs in part
    ]
    return f"CASE sku_id {' '.join(of_sku)} END"
