"""Which unpaid order money without one may be meant for: of exactly that amount, placed not long before it came."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.orders import actions as orders
from server.orders.model import Order, OrderLine
from server.payments.exceptions.confirming import UNPAID
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from shared.contracts import payments as wire
from shared.errors import NotFound
from shared.states import OrderState, UnmatchedState

WITHIN = timedelta(hours=24)
MOST = 10


def candidates(tx: Tx, exception_id: UUID) -> list[wire.Candidate]:
    """The orders that the money of an exception may pay, the nearest in time first; none where it holds none.

    Raises NotFound.
    """
    row = tx.get(PaymentException, exception_id)
    if row is None:
        raise NotFound
    money = tx.get(UnmatchedPayment, row.unmatched_id) if row.unmatched_id else None
    if money is None or money.state != UnmatchedState.HELD:
        return []
    fits = (Order.amount_fen == money.amount_fen, Order.state.in_(UNPAID))
    then = (Order.created_at <= money.paid_at, Order.created_at > money.paid_at - WITHIN)
    found = tx.scalars(select(Order).where(*fits, *then).order_by(Order.created_at.desc(), Order.id).limit(MOST)).all()
    ids = [order.id for order in found]
    lines, tried = orders.lines_of(tx, ids), _tried(tx, ids)
    return [
        wire.Candidate(
            code=order.code,
            state=OrderState(order.state),
            created_at=order.created_at,
            seconds=int((money.paid_at - order.created_at).total_seconds()),
            goods=_goods(lines[order.id]),
            channels=sorted(tried[order.id]),
        )
        for order in found
    ]


def _tried(tx: Tx, order_ids: list[UUID]) -> dict[UUID, set[str]]:
    """The channels by which each order was to be paid."""
    found: dict[UUID, set[str]] = defaultdict(set)
    attempts = select(PaymentAttempt.order_id, PaymentAttempt.channel).where(PaymentAttempt.order_id.in_(order_ids))
    for order_id, channel in tx.execute(attempts):
        found[order_id].add(channel)
    return found


def _goods(lines: list[OrderLine]) -> str:
    return "、".join(f"{line.title} × {line.quantity}" for line in lines)
