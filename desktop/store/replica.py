"""`replica.db`: the lists as they were last seen, so that the console opens offline with yesterday's data.

Disposable: a damaged file or one of another version is moved aside and made again; nothing here is the only copy.
It never holds a key, a token or a buyer's contact: only answers of the read calls, and only for the signed-in person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, delete, select
from sqlalchemy.dialects.sqlite import insert

from desktop.store.sqlite import Instant, StoreDamaged, StoreTooNew, errors_in_words, move_aside, open_file

VERSION = 1_000
T = TypeVar("T")

_METADATA = MetaData()
_SEEN = Table(
    "seen",
    _METADATA,
    Column("scope", String, primary_key=True),
    Column("list", String, primary_key=True),
    Column("as_of", Instant, nullable=False),
    Column("body", String, nullable=False),
    sqlite_with_rowid=False,
)
_FEED = Table(
    "feed",
    _METADATA,
    Column("scope", String, primary_key=True),
    Column("epoch", String, nullable=False),
    Column("cursor", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class SeenList:
    """One remembered answer: its JSON, and when the server gave it."""

    as_of: datetime
    body: str


class Replica:
    """The open file. Use from one thread at a time; every call may raise DiskFull or StoreUnusable."""

    def __init__(self, path: Path, *, rebuilt: Callable[[Path], None] = lambda _aside: None) -> None:
        """`rebuilt` is told where a damaged file went."""
        self._path = path
        self._rebuilt = rebuilt
        try:
            self._engine = open_file(path, _METADATA, version=VERSION, precious=False)
        except (StoreDamaged, StoreTooNew):
            self._start_over()

    def remember(self, *, scope: str, list_name: str, as_of: datetime, body: str) -> None:
        """Keep the newest answer of one list; an older one than is stored is ignored."""

        def work(connection: Connection) -> None:
            fresh = insert(_SEEN).values(scope=scope, list=list_name, as_of=as_of, body=body)
            connection.execute(
                fresh.on_conflict_do_update(
                    index_elements=[_SEEN.c.scope, _SEEN.c.list],
                    set_={"as_of": fresh.excluded.as_of, "body": fresh.excluded.body},
                    where=fresh.excluded.as_of >= _SEEN.c.as_of,
                )
            )

        self._run(work)

    def recall(self, *, scope: str, list_name: str) -> SeenList | None:
        """The last seen answer of one list, or None."""

        def work(connection: Connection) -> SeenList | None:
            query = select(_SEEN.c.as_of, _SEEN.c.body).where(_SEEN.c.scope == scope, _SEEN.c.list == list_name)
            row = connection.execute(query).one_or_none()
            return None if row is None else SeenList(as_of=row.as_of, body=row.body)

        return self._run(work)

    def cursor(self, *, scope: str, epoch: str) -> int | None:
        """How far the change feed was read, or None when it was not, or when the server was restored since."""

        def work(connection: Connection) -> int | None:
            query = select(_FEED.c.cursor).where(_FEED.c.scope == scope, _FEED.c.epoch == epoch)
            return connection.execute(query).scalar_one_or_none()

        return self._run(work)

    def advance(self, *, scope: str, epoch: str, cursor: int) -> None:
        """Remember how far the change feed was read."""

        def work(connection: Connection) -> None:
            fresh = insert(_FEED).values(scope=scope, epoch=epoch, cursor=cursor)
            connection.execute(
                fresh.on_conflict_do_update(
                    index_elements=[_FEED.c.scope],
                    set_={"epoch": fresh.excluded.epoch, "cursor": fresh.excluded.cursor},
                )
            )

        self._run(work)

    def forget_others(self, *, scope: str | None) -> None:
        """Delete what any other person saw; with None everything: after a sign-out, and when a device is revoked."""

        def work(connection: Connection) -> None:
            for table in (_SEEN, _FEED):
                connection.execute(delete(table) if scope is None else delete(table).where(table.c.scope != scope))

        self._run(work)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def _run(self, work: Callable[[Connection], T]) -> T:
        """Run one transaction; on a damaged file start over and run it once more."""
        try:
            with errors_in_words(self._path), self._engine.begin() as connection:
                return work(connection)
        except StoreDamaged:
            self._engine.dispose()
            self._start_over()
            with errors_in_words(self._path), self._engine.begin() as connection:
                return work(connection)

    def _start_over(self) -> None:
        aside = move_aside(self._path)
        self._engine = open_file(self._path, _METADATA, version=VERSION, precious=False)
        self._rebuilt(aside)
