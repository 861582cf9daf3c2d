"""Settlement: who took a payout's instruction away last. Of those before nobody noted it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

_PAYOUT = "settlement_payout"
_COLUMNS: dict[str, Any] = {"taken_no": db.exact(40), "taken_by": db.exact(80), "taken_at": db.Instant}


def upgrade() -> None:
    for name, kind in _COLUMNS.items():
        op.add_column(_PAYOUT, sa.Column(name, kind))


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column(_PAYOUT, name)
