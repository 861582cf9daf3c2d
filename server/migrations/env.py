"""Alembic's entry: runs the versions on the engine that `server.migrations` hands over."""

from __future__ import annotations

from alembic import context

from server.migrations import METADATA


def run() -> None:
    """One transaction for all steps where the engine can roll back DDL; MariaDB commits each statement."""
    with context.config.attributes["engine"].connect() as connection:
        context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
