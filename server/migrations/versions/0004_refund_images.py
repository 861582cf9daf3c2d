"""Images beside refunds: what a buyer photographed, and what the supplier shows for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payment_refund_image",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("refund_id", db.Uid(), nullable=False),
        sa.Column("party", db.exact(16), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("kind", db.exact(8), nullable=False),
        sa.Column("content", db.blob(), nullable=False),
        sa.Column("added_by", db.exact(80), nullable=False),
        sa.Column("added_at", db.Instant(), nullable=False),
        sa.UniqueConstraint("refund_id", "party", "n", name="uq_payment_refund_image_n"),
    )


def downgrade() -> None:
    op.drop_table("payment_refund_image")
