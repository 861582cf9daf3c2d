"""Settlement: what of a payout's fee comes out of which payment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("settlement_split", sa.Column("fee_fen", db.BigInt, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("settlement_split", "fee_fen")
