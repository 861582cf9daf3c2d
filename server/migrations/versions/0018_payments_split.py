"""Payments: those of which payouts took something were opened to be split, also before 0014 kept which were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TAKEN = ("approved", "sent", "confirmed")


def upgrade() -> None:
    attempt = sa.table(
        "payment_attempt", sa.column("order_id", db.Uid()), sa.column("state"), sa.column("is_shared", sa.Boolean())
    )
    split = sa.table("settlement_split", *map(sa.column, ("payout_id", "n", "order_id")))
    payout = sa.table("settlement_payout", *map(sa.column, ("id", "state")))
    result = sa.table("settlement_result", *map(sa.column, ("payout_id", "n")), sa.column("succeeded", sa.Boolean()))
    its = (result.c.payout_id == split.c.payout_id, result.c.n == split.c.n)
    failed = sa.exists().where(*its, result.c.succeeded.is_(sa.false()))
    taken = (
        sa.select(split.c.order_id)
        .join(payout, payout.c.id == split.c.payout_id)
        .where(payout.c.state.in_(_TAKEN), ~failed)
    )
    paid = (attempt.c.state == "paid", attempt.c.order_id.in_(taken))
    op.execute(sa.update(attempt).where(*paid).values(is_shared=True))


def downgrade() -> None:
    """What was split was opened to be."""
