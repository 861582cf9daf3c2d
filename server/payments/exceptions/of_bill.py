"""The exception in which money that a channel's bill names waits for people: found, or raised where there is none.

So that what reconciliation decides takes the way of all other money: proposed by one person, approved by another.
"""

from __future__ import annotations

from sqlalchemy import and_, or_, select

from server.db import Tx
from server.payments import actions
from server.payments.actions import ApplyPayment
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds import hearing
from server.payments.refunds.actions import RefundHeard
from server.payments.terms import Terms
from shared.states import ExceptionKind

_OF_ATTEMPTS = (
    ExceptionKind.PAYMENT_UNKNOWN.value,
    ExceptionKind.PAID_NO_STOCK.value,
    ExceptionKind.PAID_AFTER_EXPIRY.value,
)


def of_payment(tx: Tx, channel: str, *, provider_no: str, out_trade_no: str) -> PaymentException | None:
    """The open exception about a payment: where its money was set aside, else about the attempt it may pay."""
    money = select(UnmatchedPayment.id).where(
        UnmatchedPayment.channel == channel, UnmatchedPayment.provider_no == provider_no
    )
    attempt = select(PaymentAttempt.id).where(
        PaymentAttempt.channel == channel, PaymentAttempt.out_trade_no == out_trade_no
    )
    its = or_(
        PaymentException.unmatched_id.in_(money),
        and_(PaymentException.attempt_id.in_(attempt), PaymentException.kind.in_(_OF_ATTEMPTS)),
    )
    found = tx.scalars(select(PaymentException).where(its, PaymentException.closed_at.is_(None))).all()
    return max(found, key=lambda one: one.unmatched_id is not None, default=None)


def of_refund(tx: Tx, channel: str, refund_no: str) -> PaymentException | None:
    """The open exception about a refund that nobody here knew."""
    its = (PaymentException.channel == channel, PaymentException.provider_no == refund_no)
    unknown = (PaymentException.kind == ExceptionKind.UNKNOWN_REFUND.value, PaymentException.closed_at.is_(None))
    return tx.scalars(select(PaymentException).where(*its, *unknown)).first()


def set_aside(tx: Tx, command: ApplyPayment, *, terms: Terms) -> PaymentException | None:
    """Set money aside that a bill names and that pays nothing; None where it is known as the payment of an order."""
    actions.apply(tx, [command], terms=terms)
    tx.flush()
    fact = command.fact
    return of_payment(tx, fact.channel, provider_no=fact.provider_no or "", out_trade_no=fact.out_trade_no)


def refunded(tx: Tx, command: RefundHeard) -> PaymentException | None:
    """A refund that a bill names and nobody here knew; None where it is in the books after all."""
    hearing.hear(tx, [command])
    tx.flush()
    return of_refund(tx, command.channel, command.fact.refund_no[:64])
