"""Payments: money that people attached to another order was opened to be split if it was, also where none kept that.

Its channel keeps it back for that, for a time: within this the newest payout that was approved of its order ends its
splitting, too, as if it had been known then. Payouts that are not approved yet see to it when they are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from server import db
from shared import clock

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_TAKEN = ("approved", "sent", "confirmed")
_WITHIN = timedelta(days=30)
"""After so long a channel has ended the splitting of a payment by itself."""


def _table(name: str, ids: str, *others: Any) -> sa.TableClause:
    return sa.table(name, *(sa.column(one, db.Uid()) for one in ids.split()), *others)


_ATTEMPT = _table(
    "payment_attempt",
    "id order_id",
    *map(sa.column, ("channel", "out_trade_no", "paid_as")),
    sa.column("paid_at", db.Instant()),
    sa.column("is_shared", sa.Boolean()),
)
_ITEM = _table("settlement_item", "order_id statement_id")
_STATEMENT = _table(
    "settlement_statement", "id supplier_id payout_id", sa.column("state"), sa.column("confirmed_at", db.Instant())
)
_PAYOUT = _table("settlement_payout", "id supplier_id", sa.column("state"), sa.column("checked_at", db.Instant()))
_SPLIT = _table("settlement_split", "payout_id order_id", *map(sa.column, ("n", "amount_fen", "fee_fen")))
_RESULT = _table("settlement_result", "payout_id", sa.column("n"), sa.column("succeeded", sa.Boolean()))


def upgrade() -> None:
    bind, opened = op.get_bind(), _ATTEMPT.alias("opened")
    its = (opened.c.channel == _ATTEMPT.c.channel, opened.c.out_trade_no == _ATTEMPT.c.paid_as)
    attached = (
        sa.select(_ATTEMPT.c.id, _ATTEMPT.c.order_id, _ATTEMPT.c.paid_at)
        .join(opened, sa.and_(*its))
        .where(_ATTEMPT.c.is_shared.is_(sa.false()), opened.c.is_shared.is_(sa.true()))
        .where(_ATTEMPT.c.paid_at.is_not(None))
        .order_by(_ATTEMPT.c.id)
    )
    for attempt_id, order_id, paid_at in bind.execute(attached).all():
        bind.execute(sa.update(_ATTEMPT).where(_ATTEMPT.c.id == attempt_id).values(is_shared=True))
        payout_id = _payout_of(bind, order_id)
        if payout_id is not None and paid_at >= clock.now() - _WITHIN and not _is_seen_to(bind, order_id):
            last = bind.scalar(sa.select(sa.func.max(_SPLIT.c.n)).where(_SPLIT.c.payout_id == payout_id)) or 0
            row = {"payout_id": payout_id, "n": last + 1, "order_id": order_id, "amount_fen": 0, "fee_fen": 0}
            bind.execute(sa.insert(_SPLIT).values(row))


def _payout_of(bind: sa.Connection, order_id: UUID) -> UUID | None:
    """The newest payout that would see to an order: of its statement, or, where debts took all of it, one after it."""
    netted = sa.and_(
        _STATEMENT.c.payout_id.is_(None),
        _STATEMENT.c.state == "paid",
        _STATEMENT.c.supplier_id == _PAYOUT.c.supplier_id,
        _STATEMENT.c.confirmed_at <= _PAYOUT.c.checked_at,
    )
    query = (
        sa.select(_PAYOUT.c.id)
        .join(_STATEMENT, sa.or_(_STATEMENT.c.payout_id == _PAYOUT.c.id, netted))
        .join(_ITEM, _ITEM.c.statement_id == _STATEMENT.c.id)
        .where(_ITEM.c.order_id == order_id, _PAYOUT.c.state.in_(_TAKEN))
    )
    found: UUID | None = bind.scalar(query.order_by(_PAYOUT.c.id.desc()).limit(1))
    return found


def _is_seen_to(bind: sa.Connection, order_id: UUID) -> bool:
    """Whether a payout sees to the end of an order's payment, or the channel was told of it."""
    told = sa.and_(_RESULT.c.payout_id == _SPLIT.c.payout_id, _RESULT.c.n == -_SPLIT.c.n)
    query = (
        sa.select(_SPLIT.c.order_id)
        .join(_PAYOUT, _PAYOUT.c.id == _SPLIT.c.payout_id)
        .outerjoin(_RESULT, told)
        .where(_SPLIT.c.order_id == order_id)
        .where(sa.or_(_PAYOUT.c.state.in_(_TAKEN), _RESULT.c.succeeded.is_(sa.true())))
    )
    return bind.execute(query.limit(1)).first() is not None


def downgrade() -> None:
    """What was opened to be split stays known to be."""
