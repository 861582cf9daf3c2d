"""Goods brought into a new shop: really by the first test of a run that asks for them, to the others as a copy.

Bringing five keys in takes seventy statements, and hundreds of tests begin with it. What a shop's database became by
it is kept, and a shop to which nothing else has happened gets just that. For `World.stock` alone.
"""

import sqlite3
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from server import bulk
from server.context import Context
from server.stock.imports import ingest, intake, storing
from shared import clock


class _Kept(NamedTuple):
    database: sqlite3.Connection
    answer: Any


_KEPT: dict[tuple[Hashable, ...], _Kept] = {}
"""By what was brought in, in its order, and the instant where a test holds the clock."""

_WRITTEN = tuple((module, dict(vars(module))) for module in (bulk, ingest, intake, storing))
"""The code that brings goods in as it is written: a test that replaces some of it is about the bringing in."""

_seen: set[tuple[Hashable, ...]] = set()


class Shelves:
    """What was brought into one shop, as long as nothing else was done there."""

    def __init__(self, ctx: Context) -> None:
        """Of a shop that is new: what others write from here on is seen."""
        self._ctx = ctx
        self._brought: tuple[Hashable, ...] = ()
        if ctx.db.is_sqlite:
            self._left = _marks(self._database())

    def filled(self, wanted: Hashable, bring: Callable[[], Any]) -> Any:
        """Do what `bring` does, and answer what it answers; `wanted` says all that its result depends on."""
        database = self._untouched()
        if database is None:
            return bring()
        self._brought = state = (*self._brought, (wanted, clock._source))
        kept = _KEPT.get(state)
        if kept is not None:
            kept.database.backup(database)
            self._left = _marks(database)
            return kept.answer
        answer = bring()
        self._left = _marks(database)
        if state in _seen:
            copied = sqlite3.connect(":memory:", check_same_thread=False)
            database.backup(copied)
            _KEPT[state] = _Kept(copied, answer)
        _seen.add(state)
        return answer

    def _untouched(self) -> sqlite3.Connection | None:
        """The shop's only writing connection where nobody wrote anything else, and nobody will by itself."""
        if not self._ctx.db.is_sqlite or self._ctx.jobs.alive or _is_replaced():
            return None
        database = self._database()
        return database if _marks(database) == self._left else None

    def _database(self) -> sqlite3.Connection:
        with self._ctx.db.engine.connect() as connection:
            return connection.connection.driver_connection


def _marks(database: sqlite3.Connection) -> tuple[int, ...]:
    """What moves whenever rows change by this connection, by others, and when tables do."""
    pragmas = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("data_version", "schema_version")]
    return database.total_changes, *pragmas


def _is_replaced() -> bool:
    return any(vars(module)[name] is not was for module, names in _WRITTEN for name, was in names.items())
