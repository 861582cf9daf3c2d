"""Reconciliation: withdrawals of a channel's account that came back, by its fund bill or by a person's word."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_WITHDRAWAL = "reconcile_withdrawal"
_OTHER = "uq_reconcile_withdrawal_other_id"


def upgrade() -> None:
    op.add_column(_WITHDRAWAL, sa.Column("is_return", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(_WITHDRAWAL, sa.Column("returned_on", sa.Date()))
    op.add_column(_WITHDRAWAL, sa.Column("other_id", db.Uid()))
    op.add_column(_WITHDRAWAL, sa.Column("reason", db.exact(400), nullable=False, server_default=""))
    op.create_index(_OTHER, _WITHDRAWAL, ["other_id"], unique=True)


def downgrade() -> None:
    op.execute(sa.text(f"DELETE FROM {_WITHDRAWAL} WHERE is_return = :yes").bindparams(yes=True))
    op.drop_index(_OTHER, _WITHDRAWAL)
    for name in ("reason", "other_id", "returned_on", "is_return"):
        op.drop_column(_WITHDRAWAL, name)
