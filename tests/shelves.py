"""Goods brought into a new shop: really by the first test of a run that asks for them, to the others as a copy.

Bringing five keys in takes seventy statements, and hundreds of tests begin with it. What a shop's database became by
it is kept, and a shop to which nothing else has happened gets just that. For `World.stock` alone.
"""

import sqlite3
from collections.abc import Callable, Hashable
from dataclasses import dataclass
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


@dataclass
class Shelves:
    """What was brought into one shop, as long as nothing else was done there."""

    ctx: Context
    _brought: tuple[Hashable, ...] = ()
    _changes: int = 0

    def filled(self, wanted: Hashable, bring: Callable[[], Any]) -> Any:
        """Do what `bring` does, and answer what it answers; `wanted` says all that its result depends on."""
        database = self._untouched()
        if database is None:
            return bring()
        self._brought = state = (*self._brought, (wanted, clock._source))
        kept = _KEPT.get(state)
        if kept is not None:
            kept.database.backup(database)
            return kept.answer
        answer = bring()
        self._changes = database.total_changes
        if state in _seen:
            copied = sqlite3.connect(":memory:", check_same_thread=False)
            database.backup(copied)
            _KEPT[state] = _Kept(copied, answer)
        _seen.add(state)
        return answer

    def _untouched(self) -> sqlite3.Connection | None:
        """The shop's only writing connection where nobody wrote anything else through it, and nobody will by itself."""
        if not self.ctx.db.is_sqlite or self.ctx.jobs.alive or _is_replaced():
            return None
        with self.ctx.db.engine.connect() as connection:
            database = connection.connection.driver_connection
            return database if database.total_changes == self._changes else None


def _is_replaced() -> bool:
    return any(vars(module)[name] is not was for module, names in _WRITTEN for name, was in names.items())
