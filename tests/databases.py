"""Migrated databases for tests that need tables but no shop, and ways into them that the program does not have.

`migrated(kind)` is for fixtures of a module's scope; `tampering` is what somebody with the database's password can do.
"""

from contextlib import contextmanager

from sqlalchemy import func, select

from server import migrations
from server.db import Database, append_only_ddl
from tests import engines
from tests.absence import absent


@contextmanager
def migrated(kind):
    """A new database with the newest schema; skips where the engine is missing."""
    reason = engines.missing(kind)
    if reason is not None:
        absent(reason)
    url = engines.url(kind)
    db = Database(url)
    try:
        migrations.upgrade(db)
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
