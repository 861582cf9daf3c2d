"""Confirming by hand that money came: two people have seen it in the channel's own console, which tells us nothing.

What they say is applied like any other word of the channel, by the one writer. What the channel says later of the same
payment counts: it is asked before, and where nothing has named the payment two days later people are told (`checking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import func, select

from server import jobs
from server.db import Tx
from server.gateways.port import PaymentFact
from server.identity import queries as people
from server.orders.model import Order
from server.payments.actions import CURRENCY, ApplyPayment, apply
from server.payments.exceptions import raising
from server.payments.exceptions.raising import Raised
from server.payments.model import PaymentAttempt, PaymentException
from server.payments.terms import Terms
from shared import ids
from shared.errors import BadField, Conflict
from shared.labels import AboutState
from shared.money import format_fen
from shared.permissions import Permission
from shared.sentence import Sentence
from shared.states import AttemptState, ExceptionKind, FoundBy, OrderState

UNPAID = frozenset({OrderState.PENDING_PAYMENT.value, OrderState.EXPIRED.value, OrderState.CANCELLED.value})


CHECK = "payments.check_confirmed"
"""The job that asks after what was confirmed."""

FOR_ITS_BILL = timedelta(days=2)
"""How long it waits: the bill of the day has come by then, if the channel makes one."""


class NotUnpaid(AboutState):
    """Only an order that was never paid can still be."""

    code = "not_unpaid"
    words: ClassVar = {"state": OrderState}
    zh = "订单 {order} 当前“{state}”，不是未支付的订单，不能确认到账。"
    en = "Order {order} is “{state}”: only an unpaid order can be confirmed as paid."


class NotConfirmed(Conflict):
    """The payment is known already, or the number belongs to other money."""

    code = "not_confirmed"
    zh = "没有入账：这笔支付已经到账，或渠道流水号 {number} 属于另一笔款项。请刷新后核对单号。"
    en = "Nothing was booked: the payment has come already, or the number {number} is that of other money."


class FinanceNeeded(Conflict):
    """Above the shop's limit one of the two is of finance."""

    code = "finance_needed"
    zh = "金额超过 ¥{limit} 的到账确认，提议人和复核人中须有一位是财务（或管理员），请由财务复核。"
    en = "Above ¥{limit} one of the two who confirm a payment must be of finance (or an admin)."


def require_channels_own(number: str, out_trade_no: str) -> None:
    """Raise BadField for a number of ours: consoles show it beside the channel's."""
    if number == out_trade_no or ids.is_id(number):
        words = Sentence("这是商户订单号，请填渠道流水号", "this is our own number, not the channel's")
        raise BadField(field="provider_no", reason=words)


def raise_for(tx: Tx, order: Order, channel: str) -> PaymentException:
    """The open exception about the newest payment of an unpaid order, which the caller holds, by a channel.

    One is raised where there is none. Raises NotUnpaid, BadField for a channel that was not tried.
    """
    if order.state not in UNPAID:
        raise NotUnpaid(order=order.code, state=order.state)
    mine = (PaymentAttempt.order_id == order.id, PaymentAttempt.channel == channel)
    unpaid = PaymentAttempt.state != AttemptState.PAID.value
    newest = select(PaymentAttempt).where(*mine, unpaid).order_by(PaymentAttempt.id.desc())
    attempt = tx.scalars(newest.limit(1)).first()
    if attempt is None:
        raise BadField(field="channel", reason=Sentence("没有用这个渠道付过款", "this channel was not tried"))
    its = (PaymentException.attempt_id == attempt.id, PaymentException.kind == ExceptionKind.PAYMENT_UNKNOWN.value)
    query = select(PaymentException).where(*its)
    found = tx.scalars(query.where(PaymentException.closed_at.is_(None))).first()
    if found is not None:
        return found
    before = tx.scalar(select(func.count()).select_from(query.subquery())) or 0
    made = _raised(attempt, before)
    raising.write(tx, [made])
    return tx.get_one(PaymentException, made.id)


def _raised(attempt: PaymentAttempt, before: int) -> Raised:
    more = [
        ("found_by", FoundBy.PERSON.value),
        ("attempt_state", attempt.state),
        ("opened_at", attempt.created_at),
        ("ended_at", attempt.expires_at),
        ("queries", attempt.queries),
    ]
    return raising.unknown(attempt, str(before), more=more)


@dataclass(frozen=True, slots=True)
class Said:
    """What two people say: why, who they are, when, and the shop's terms for what comes of it."""

    note: str | None
    proposed_by: str | None
    approved_by: str
    at: datetime
    terms: Terms

    @property
    def evidence(self) -> raising.Evidence:
        """The same as evidence of what may go wrong then."""
        return [("note", self.note), ("proposed_by", self.proposed_by), ("approved_by", self.approved_by)]


def confirm(tx: Tx, attempt_id: UUID, number: str, said: Said) -> None:
    """Book the money of an attempt under the channel's number, and deliver its order as for any other payment.

    Raises NotConfirmed, FinanceNeeded.
    """
    attempt = tx.get_one(PaymentAttempt, attempt_id, populate_existing=True, with_for_update=True)
    _require_finance(tx, attempt.amount_fen, said)
    if attempt.state == AttemptState.PAID:
        raise NotConfirmed(number=number)
    apply_said(tx, attempt, number, said)
    if attempt.state != AttemptState.PAID:  # the number was booked for other money
        raise NotConfirmed(number=number)
    jobs.enqueue(tx, CHECK, {"attempt_id": str(attempt.id)}, run_at=said.at + FOR_ITS_BILL)


def _require_finance(tx: Tx, amount_fen: int, said: Said) -> None:
    right, limit = Permission.PAYMENTS_REFUND_CHECK, said.terms.check_above
    if amount_fen > limit and not any(people.may(tx, one, right) for one in (said.approved_by, said.proposed_by)):
        raise FinanceNeeded(limit=format_fen(limit))


def apply_said(tx: Tx, attempt: PaymentAttempt, number: str, said: Said, *, attaches: bool = False) -> None:
    """Let the one writer of payments take that an attempt was paid, or that set-aside money is attached to it."""
    fact = PaymentFact(
        channel=attempt.channel,
        out_trade_no=attempt.out_trade_no,
        provider_no=number,
        merchant_id="",
        amount_fen=attempt.amount_fen,
        currency=CURRENCY,
        state="paid",
        paid_at=said.at,
        event_id=None,
    )
    command = ApplyPayment(
        fact,
        merchant_id="",
        found_by=FoundBy.PERSON,
        by=said.approved_by,
        evidence=said.evidence,
        attaches=attaches,
    )
    apply(tx, [command], terms=said.terms)
