"""Reconciliation: what later bills, other people and other merchants change about a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _differences()


def _differences() -> None:
    table = "reconcile_difference"
    op.add_column(table, sa.Column("exception_version", db.BigInt))
    op.add_column(table, sa.Column("again_of", db.Uid()))
    op.create_index("ix_reconcile_difference_ours_id", table, ["ours_id"])
    op.create_index("ix_reconcile_difference_again_of", table, ["again_of"])
    # What waits for a second person shows the exception as it is now.
    exception = sa.table("payment_exception", sa.column("id"), sa.column("version"))
    names = (sa.column("exception_id"), sa.column("exception_version"), sa.column("is_signed", sa.Boolean()))
    row = sa.table(table, *names)
    seen = sa.select(exception.c.version).where(exception.c.id == row.c.exception_id).scalar_subquery()
    its = row.c.exception_id.is_not(None) & ~row.c.is_signed
    op.execute(sa.update(row).where(its).values(exception_version=seen))


def downgrade() -> None:
    table = "reconcile_difference"
    op.drop_index("ix_reconcile_difference_again_of", table)
    op.drop_index("ix_reconcile_difference_ours_id", table)
    op.drop_column(table, "again_of")
    op.drop_column(table, "exception_version")
