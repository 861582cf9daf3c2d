"""Free units behind their lot's cursor, given back by ended holds: the next of their lot to be sold.

Read and taken by a batch in one statement each, however many lots it sells from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import insert

from server.db import Tx, rows_changed, spelling, table_of
from server.stock.claims import marking
from server.stock.model import StockReturned

_MOST_LOTS = 250
"""Lots of one statement: SQLite joins at most 500 queries."""

_MOST_UNITS = 500


class Window(NamedTuple):
    """Part of a lot: its numbers from `start` to before `stop`, of which `most` are wanted."""

    sku_id: UUID
    start: int
    stop: int
    most: int


def first(tx: Tx, windows: Sequence[Window]) -> list[list[int]]:
    """The first units given back in each window, in their order."""
    found: list[list[int]] = [[] for _ in windows]
    connection = tx.connection()
    engine = spelling(connection.dialect)
    worth = [n for n, window in enumerate(windows) if window.start < window.stop and window.most > 0]
    for at in range(0, len(worth), _MOST_LOTS):
        part = worth[at : at + _MOST_LOTS]
        sql = " UNION ALL ".join([_FIRST.format(n=n, mark=engine.mark, w=windows[n]) for n in part])
        for n, seq in connection.exec_driver_sql(sql, tuple([engine.as_id(windows[n].sku_id) for n in part])):
            found[n].append(seq)
    for seqs in found:
        seqs.sort()
    return found


_FIRST = (
    "SELECT {n} AS n, r{n}.seq AS seq FROM (SELECT seq FROM stock_returned"
    " WHERE sku_id = {mark} AND seq >= {w.start:d} AND seq < {w.stop:d} ORDER BY seq LIMIT {w.most:d}) AS r{n}"
)


def take(tx: Tx, units: Mapping[UUID, Sequence[int]]) -> int:
    """Take units, by SKU, out of those given back; answers how many were there. They are about to be held."""
    connection = tx.connection()
    engine = spelling(connection.dialect)
    gone = 0
    for part in marking.parts(units, most=_MOST_UNITS):
        named, skus = marking.named(engine, part)
        gone += rows_changed(connection.exec_driver_sql(f"DELETE FROM stock_returned WHERE {named}", skus))  # noqa: S608 - our own words
    return gone


INSERT = insert(table_of(StockReturned))
