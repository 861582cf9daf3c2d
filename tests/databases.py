"""Migrated databases for tests that need tables but no shop, and ways into them that the program does not have.

`migrated(kind)` is for fixtures of a module's scope; `tampering` is what somebody with the database's password can do.
"""

from contextlib import contextmanager, suppress
from functools import cache

from sqlalchemy import func, select, text

from server import migrations
from server.db import Database, append_only_ddl
from tests import engines, rechecking
from tests.absence import absent


@cache
def schema(kind: engines.Kind) -> str:
    """The URL of an empty database with the newest schema, to be copied only; skips where the engine is missing."""
    reason = engines.missing(kind)
    if reason is not None:
        absent(reason)
    return engines.once(f"schema-{kind}", lambda: _migrated_from_nothing(kind))


def _migrated_from_nothing(kind: engines.Kind) -> str:
    url = engines.url(kind)
    db = Database(url)
    migrations.upgrade(db)
    db.close()
    return url


@contextmanager
def migrated(kind: engines.Kind):
    """A new database with the newest schema; skips where the engine is missing."""
    url = engines.copy(schema(kind))
    db = Database(url)
    try:
        yield db
    finally:
        db.close()
        engines.drop(url)


@contextmanager
def tampering(db):
    """A transaction of somebody who first removed the triggers that keep append-only tables (SQLite), then put back."""
    with db.tx() as tx:
        connection = tx.connection()
        for table in migrations.APPEND_ONLY:
            for suffix in "ud":
                connection.exec_driver_sql(f"DROP TRIGGER {table}_keep_{suffix}")
        yield tx
        tx.flush()
        for table in migrations.APPEND_ONLY:
            for statement in append_only_ddl("sqlite", table):
                connection.exec_driver_sql(statement)


def count(db, model, *where) -> int:
    """How many rows a table has."""
    with db.read() as tx:
        return tx.scalar(select(func.count()).select_from(model).where(*where))


class _Undone(Exception):
    """Ends the corruption of the books."""


def _at_everything(tx):
    return [finding for check in rechecking.CHECKS if (finding := check(tx)) is not None]


def findings_after(db: Database, *statements, look=_at_everything):
    """Corrupt the books inside a transaction, look from within it, undo everything; answers rows by invariant."""
    found = {}

    def corrupt():
        with tampering(db) as tx:
            tx.execute(text("PRAGMA ignore_check_constraints = ON"))
            for statement in statements:
                tx.execute(statement)
            tx.flush()
            for finding in look(tx):
                found[finding.invariant] = finding.rows
            raise _Undone

    with suppress(_Undone):
        corrupt()
    with db.tx() as tx:
        tx.execute(text("PRAGMA ignore_check_constraints = OFF"))
    return found
