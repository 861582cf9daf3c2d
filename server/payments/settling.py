"""What settlement sees of payments: what refunds and disputes take of lines, and which orders are in question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

from sqlalchemy import Select, Subquery, and_, literal, null, or_, select

from server.db import Tx, among
from server.ledger import queries as ledger
from server.payments.disputes.model import Dispute, DisputeLine
from server.payments.model import PaymentAttempt, PaymentException
from server.payments.refunds.making import IS_SET_ASIDE
from server.payments.refunds.model import Refund, RefundLine
from server.payments.refunds.moving import ENDED
from shared.finance import DisputeState
from shared.money import Fen
from shared.states import AttemptState, RefundState, RefundTurn

_AT_A_TIME = 1_000
SOLD_FOR = (PaymentAttempt.state == AttemptState.PAID.value, ~IS_SET_ASIDE)
"""The attempts whose money orders were sold for; what was paid a second time is no sale's."""
OPENED_TO_BE_SPLIT = (*SOLD_FOR, PaymentAttempt.is_shared.is_(True))
_AT_CHANNEL = (RefundState.SUBMITTED, RefundState.PROCESSING, RefundState.ABNORMAL, RefundState.SUCCEEDED)


def taken() -> tuple[Subquery, Subquery]:
    """What refunds, and what lost disputes have taken of order lines, by `cause_id`: each is asked for itself."""
    return _refunded(), _disputed(DisputeState.LOST)


def disputed() -> Subquery:
    """What disputes that are open would take of order lines, by `cause_id`."""
    return _disputed(DisputeState.OPENED)


@cache
def _refunded() -> Subquery:
    """By refunds: those on their way to their channel, and those that got there."""
    on_its_way = and_(Refund.state == RefundState.APPROVED.value, Refund.turn == RefundTurn.CHANNEL.value)
    return (
        select(
            RefundLine.refund_id.label("cause_id"),
            RefundLine.order_line_id,
            RefundLine.quantity,
            RefundLine.amount_fen,
            RefundLine.discount_fen,
            RefundLine.supplier_fen,
            RefundLine.fee_fen,
            RefundLine.commission_fen,
            Refund.out_refund_no.label("refund_no"),
            null().label("dispute_no"),
        )
        .join(Refund, Refund.id == RefundLine.refund_id)
        .where(or_(on_its_way, Refund.state.in_([state.value for state in _AT_CHANNEL])))
        .subquery("refunded")
    )


def refunds_named(tx: Tx, numbers: Collection[str]) -> dict[str, UUID]:
    """The ids of refunds by our numbers of them at their channels."""
    query = select(Refund.out_refund_no, Refund.id).where(among(tx, Refund.out_refund_no, list(numbers)))
    return dict(tx.execute(query).all()) if numbers else {}


def gave_up(tx: Tx, order_ids: Collection[UUID]) -> dict[UUID, Fen]:
    """The most that refunds of orders had taken at once which ended without money after they had: it is back.

    The goods of a line have one open refund at a time.
    """
    closed = (Refund.state == RefundState.CLOSED.value, among(tx, Refund.order_id, list(order_ids)))
    query = select(Refund.order_id, Refund.out_refund_no, RefundLine.order_line_id, RefundLine.amount_fen)
    ended = tx.execute(query.join(RefundLine, RefundLine.refund_id == Refund.id).where(*closed)).all()
    given = ledger.occurred(tx, [f"refund:{number}:restore" for _, number, _, _ in ended])
    most: dict[tuple[UUID | None, UUID], Fen] = defaultdict(int)
    for order_id, number, line_id, fen in ended:
        if f"refund:{number}:restore" in given:
            most[order_id, line_id] = max(most[order_id, line_id], fen)
    found: dict[UUID, Fen] = defaultdict(int)
    for (order_id, _), fen in most.items():
        if order_id is not None:
            found[order_id] += fen
    return found


@cache
def _disputed(state: DisputeState) -> Subquery:
    return (
        select(
            DisputeLine.dispute_id.label("cause_id"),
            DisputeLine.order_line_id,
            literal(0).label("quantity"),
            DisputeLine.amount_fen,
            DisputeLine.discount_fen,
            DisputeLine.supplier_fen,
            DisputeLine.fee_fen,
            DisputeLine.commission_fen,
            null().label("refund_no"),
            Dispute.channel_no.label("dispute_no"),
        )
        .join(Dispute, Dispute.id == DisputeLine.dispute_id)
        .where(Dispute.state == state.value)
        .subquery(state.value)
    )


@dataclass(frozen=True, slots=True)
class InQuestion:
    """Orders whose money people or channels have not done with."""

    refunds: frozenset[UUID]
    disputes: frozenset[UUID]
    exceptions: frozenset[UUID]


def in_question(tx: Tx) -> InQuestion:
    """All orders with an open refund, dispute or exception: few, whatever the shop sells."""
    return InQuestion(*(frozenset(one for one in tx.scalars(query) if one) for query in _in_question()))


@cache
def _in_question() -> tuple[Select[UUID | None], ...]:
    refunds = select(Refund.order_id).where(Refund.state.not_in(sorted(ENDED)), Refund.order_id.is_not(None))
    disputes = select(Dispute.order_id).where(Dispute.state == DisputeState.OPENED.value)
    exceptions = select(PaymentException.order_id).where(
        PaymentException.closed_at.is_(None), PaymentException.order_id.is_not(None)
    )
    return refunds, disputes, exceptions


@dataclass(frozen=True, slots=True)
class Paid:
    """The payment of an order as its channel knows it; it splits only one that `is_shared`, as it was opened."""

    attempt_id: UUID
    channel: str
    number: str
    provider_no: str | None
    amount: Fen
    paid_at: datetime
    is_shared: bool


def payments_of(tx: Tx, order_ids: Collection[UUID]) -> dict[UUID, Paid]:
    """The payment that each order was sold for."""
    found: dict[UUID, Paid] = {}
    wanted = list(order_ids)
    for at in range(0, len(wanted), _AT_A_TIME):
        some = PaymentAttempt.order_id.in_(wanted[at : at + _AT_A_TIME])
        found |= {one.order_id: _paid(one) for one in tx.scalars(select(PaymentAttempt).where(some, *SOLD_FOR))}
    return found


@cache
def opened_to_be_split() -> Subquery:
    """The payments of orders, and when they were made, that were opened to be split by their channel."""
    return select(PaymentAttempt.order_id, PaymentAttempt.paid_at).where(*OPENED_TO_BE_SPLIT).subquery("opened")


def _paid(attempt: PaymentAttempt) -> Paid:
    assert attempt.paid_at is not None, attempt.out_trade_no
    return Paid(
        attempt_id=attempt.id,
        channel=attempt.channel,
        number=attempt.channel_no,
        provider_no=attempt.provider_no,
        amount=attempt.amount_fen,
        paid_at=attempt.paid_at,
        is_shared=attempt.is_shared,
    )
