"""Settlement: when the sums of a statement were reckoned anew. Of those before nobody noted it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("settlement_statement", sa.Column("redrawn_id", db.Uid()))


def downgrade() -> None:
    op.drop_column("settlement_statement", "redrawn_id")
