"""Units moved from one state to another, many in one statement. The guard is in it: exact counts are the caller's.

One statement names each unit once and its order line by a CASE over the numbers. On an engine behind a socket that
costs a tenth of one statement a unit; the text is made by hand, because making it by expressions costs more than it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Dialect

from server.db import Tx, rows_changed, table_of
from server.stock.model import StockUnit
from shared.states import UnitState

Pair = tuple[int, UUID]
"""The number of a unit, and the order line that holds it or is to."""

_MOST = 250
"""Units of one statement: old SQLite binds 999 values."""


def hold(tx: Tx, sku_id: UUID, pairs: Sequence[Pair]) -> int:
    """FREE -> HELD for these lines; answers how many units were free."""
    return _run(tx, sku_id, pairs, UnitState.FREE, UnitState.HELD, "{case}", guard="")


def sell(tx: Tx, sku_id: UUID, pairs: Sequence[Pair]) -> int:
    """HELD -> SOLD; answers how many units these lines held."""
    return _run(tx, sku_id, pairs, UnitState.HELD, UnitState.SOLD, "order_line_id", guard=_GUARD)


def let_go(tx: Tx, sku_id: UUID, pairs: Sequence[Pair], to: UnitState) -> int:
    """HELD -> FREE or VOID; answers how many units these lines held."""
    return _run(tx, sku_id, pairs, UnitState.HELD, to, "NULL", guard=_GUARD)


_GUARD = " AND order_line_id = {case}"


def _run(
    tx: Tx, sku_id: UUID, pairs: Sequence[Pair], source: UnitState, to: UnitState, line: str, *, guard: str
) -> int:
    connection = tx.connection()
    mark, as_id = _binding(connection.dialect)
    moved = 0
    for part in _parts(pairs):
        # Numbers are written out: they are ours, and drivers take long to find hundreds of marks.
        case = f"CASE seq {' '.join([f'WHEN {seq:d} THEN {mark}' for seq, _ in part])} END"
        numbers = ", ".join([f"{seq:d}" for seq, _ in part])
        sql = (
            f"UPDATE stock_unit SET state = {int(to)}, order_line_id = {line}"  # noqa: S608 - our own words
            f" WHERE sku_id = {mark} AND seq IN ({numbers}) AND state = {int(source)}{guard}"
        ).replace("{case}", case)
        lines = [as_id(line_id) for _, line_id in part]
        bound = (as_id(sku_id), *lines) if guard else (*lines, as_id(sku_id))
        moved += rows_changed(connection.exec_driver_sql(sql, bound))
    return moved


def _parts(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    """In the order of the numbers: transactions that get past the cursors' locks lock units in one order."""
    ordered = sorted(pairs)
    for at in range(0, len(ordered), _MOST):
        yield ordered[at : at + _MOST]


@lru_cache(maxsize=8)
def _binding(dialect: Dialect) -> tuple[str, Callable[[UUID], Any]]:
    """How this driver marks a value, and what it takes as an id."""
    process = table_of(StockUnit).c.sku_id.type.dialect_impl(dialect).bind_processor(dialect)
    assert process is not None
    return "?" if dialect.paramstyle == "qmark" else "%s", process
