"""The schema's history, run by alembic on all three engines. Only `cli`, `app` and tests call it.

`upgrade` brings a database to the newest version, `downgrade` back; both in order and with their data. A new
table is added to its domain's model and to a new file in `versions/`; a test compares the two on each engine.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from server import audit, changes, jobs
from server.catalog import model as catalog
from server.db import Base, Database
from server.identity import model as identity
from server.invariants import look
from server.ledger import model as ledger
from server.orders import model as orders
from server.payments import model as payments
from server.payments.adjustments import model as adjustments
from server.payments.disputes import model as disputes
from server.payments.refunds import model as refunds
from server.reconcile import model as reconcile
from server.reports import model as reports
from server.settlement import model as settlement
from server.stock import model as stock

MODELS = (
    audit,
    catalog,
    changes,
    identity,
    jobs,
    ledger,
    look,
    orders,
    payments,
    adjustments,
    disputes,
    reconcile,
    refunds,
    reports,
    settlement,
    stock,
)
"""Every file that declares tables: importing them fills the metadata."""

METADATA = Base.metadata
APPEND_ONLY = (*audit.APPEND_ONLY, *ledger.APPEND_ONLY, *reconcile.APPEND_ONLY)


def upgrade(db: Database, revision: str = "head") -> None:
    """Bring the schema to `revision`. Safe to repeat."""
    command.upgrade(_config(db), revision)


def downgrade(db: Database, revision: str) -> None:
    """Take the schema back to `revision` (`base` for an empty database)."""
    command.downgrade(_config(db), revision)


def current(db: Database) -> str | None:
    """The version the database has, or None for an empty one."""
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@cache
def head() -> str:
    """The version this code needs."""
    newest = _scripts(Config()).get_current_head()
    assert newest is not None
    return newest


def _scripts(config: Config) -> ScriptDirectory:
    config.set_main_option("script_location", str(Path(__file__).parent))
    return ScriptDirectory.from_config(config)


def _config(db: Database) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["engine"] = db.engine
    return config
