"""Whether a request changed a row of any table: two looks at the database's file, one that keeps seeing it as it was.

`hold` and ask; `sees_a_change` compares all rows only where something was committed meanwhile: else nothing can differ.
"""

import sqlite3
from contextlib import closing, contextmanager

EVIDENCE = {"payment_callback"}  # what a channel did not sign is kept


class Witness:
    """See the file's head; from `witness(file)`."""

    def __init__(self, held: sqlite3.Connection, now: sqlite3.Connection) -> None:
        self._held, self._now = held, now
        self._version = 0

    def hold(self) -> None:
        """Remember the rows as they are now."""
        if self._held.in_transaction:
            self._held.rollback()
        self._version = self._data_version()
        self._held.execute("BEGIN")
        _tables(self._held)  # a transaction sees what is there when it first reads

    def sees_a_change(self) -> bool:
        """Whether any row is other than when `hold` was called."""
        return self._data_version() != self._version and _rows(self._held) != _rows(self._now)

    def _data_version(self) -> int:
        """Another number once somebody else has committed."""
        return self._now.execute("PRAGMA data_version").fetchone()[0]


@contextmanager
def witness(file):
    """A witness of a SQLite file that others write to."""
    with closing(_opened(file)) as held, closing(_opened(file)) as now:
        yield Witness(held, now)


def _opened(file) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None)


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")} - EVIDENCE


def _rows(connection: sqlite3.Connection) -> dict[str, list[str]]:
    return {table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in _tables(connection)}
