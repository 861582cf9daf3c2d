"""Layouts of the finance workbook, kept for each person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "report_layout",
        sa.Column("user_id", db.Uid(), primary_key=True),
        sa.Column("name", db.exact(40), primary_key=True),
        sa.Column("layout", db.big_text(), nullable=False),
        sa.Column("saved_at", db.Instant(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("report_layout")
