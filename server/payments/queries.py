"""Reading payments: attempts of an order, what is due for a query, and the exception list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, or_, select

from server.db import Tx
from server.payments.model import PaymentAttempt, PaymentException
from shared.contracts import orders as wire
from shared.contracts.base import Page
from shared.states import AttemptState, ExceptionKind

_ASKABLE = (AttemptState.CREATED.value, AttemptState.PENDING.value, AttemptState.UNKNOWN.value)


def current_attempt(tx: Tx, order_id: UUID) -> PaymentAttempt | None:
    """The attempt that counts for an order: the paid one, else the latest."""
    attempts = attempts_of(tx, [order_id])[order_id]
    paid = [attempt for attempt in attempts if attempt.state == AttemptState.PAID]
    counting = paid or attempts
    return counting[-1] if counting else None


_ATTEMPTS = (
    select(PaymentAttempt)
    .where(PaymentAttempt.order_id.in_(bindparam("orders", expanding=True)))
    .order_by(PaymentAttempt.id)
)


def attempts_of(tx: Tx, order_ids: Sequence[UUID]) -> dict[UUID, list[PaymentAttempt]]:
    """All attempts of each order, oldest first."""
    found: dict[UUID, list[PaymentAttempt]] = {order_id: [] for order_id in order_ids}
    for attempt in tx.scalars(_ATTEMPTS, {"orders": list(order_ids)}):
        found[attempt.order_id].append(attempt)
    return found


def orders_by_number(tx: Tx, number: str) -> list[UUID]:
    """The orders whose attempt has this number, ours or the channel's."""
    named = or_(PaymentAttempt.out_trade_no == number, PaymentAttempt.provider_no == number)
    return list(tx.scalars(select(PaymentAttempt.order_id).where(named).limit(20)).all())


def due_for_query(tx: Tx, *, now: datetime, limit: int) -> list[PaymentAttempt]:
    """Open attempts whose channel should be asked now, because no callback came."""
    due = (PaymentAttempt.state.in_(_ASKABLE), PaymentAttempt.query_at <= now)
    return list(tx.scalars(select(PaymentAttempt).where(*due).order_by(PaymentAttempt.query_at).limit(limit)).all())


def open_kinds(tx: Tx, order_id: UUID) -> set[ExceptionKind]:
    """Why people are still looking at this order's money; empty for nearly all. The order page says it honestly."""
    return {ExceptionKind(kind) for kind in tx.scalars(_OPEN_KINDS, {"order": order_id})}


_OPEN_KINDS = select(PaymentException.kind).where(
    PaymentException.closed_at.is_(None), PaymentException.order_id == bindparam("order")
)


def exceptions(tx: Tx, *, open_only: bool, after: UUID | None, limit: int) -> Page[wire.PaymentException]:
    """Exceptions, oldest first; `after` is the last id of the page before."""
    query = select(PaymentException)
    if open_only:
        query = query.where(PaymentException.closed_at.is_(None))
    if after is not None:
        query = query.where(PaymentException.id > after)
    rows = tx.scalars(query.order_by(PaymentException.id).limit(limit + 1)).all()
    items = [
        wire.PaymentException(
            id=row.id,
            kind=ExceptionKind(row.kind),
            order_code=row.order_code,
            channel=row.channel,
            out_trade_no=row.out_trade_no,
            provider_no=row.provider_no,
            expected_fen=row.expected_fen,
            received_fen=row.received_fen,
            created_at=row.created_at,
            open=row.closed_at is None,
        )
        for row in rows[:limit]
    ]
    return Page(items=items, next=str(items[-1].id) if len(rows) > limit else None)
