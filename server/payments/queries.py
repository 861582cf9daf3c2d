"""Reading payments: attempts of an order, how it can be paid now, what is due for a query, and figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import bindparam, func, select, union

from server.context import Context
from server.db import Tx
from server.gateways.port import NEEDS_PAYER
from server.gateways.setup import CHANNELS
from server.orders.model import Order
from server.payments import bill_days
from server.payments.model import PaymentAttempt, PaymentException
from server.payments.refunds import queries as refunds
from server.telemetry import Gauge
from shared import clock
from shared.states import AttemptState, ExceptionKind, FoundBy, OrderState

_ASKABLE = (AttemptState.CREATED.value, AttemptState.PENDING.value, AttemptState.UNKNOWN.value)


def current_attempt(tx: Tx, order_id: UUID) -> PaymentAttempt | None:
    """The attempt that counts for an order: the paid one, else the latest."""
    attempts = attempts_of(tx, [order_id])[order_id]
    paid = [attempt for attempt in attempts if attempt.state == AttemptState.PAID]
    counting = paid or attempts
    return counting[-1] if counting else None


def open_of(tx: Tx, channel: str) -> int:
    """How many attempts this channel may still take money for."""
    its = (PaymentAttempt.channel == channel, PaymentAttempt.state.in_(_ASKABLE))
    return tx.scalar(select(func.count()).select_from(PaymentAttempt).where(*its)) or 0


def is_open_somewhere(tx: Tx, order_id: UUID) -> bool:
    """Whether a channel may still take money for an order, whatever became of it."""
    return any(attempt.state in _ASKABLE for attempt in attempts_of(tx, [order_id])[order_id])


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
    """The orders whose attempt has this number, ours or the channel's. Both are found by an index."""
    theirs = (PaymentAttempt.channel.in_(sorted(CHANNELS)), PaymentAttempt.provider_no == number)
    ours = select(PaymentAttempt.order_id).where(PaymentAttempt.out_trade_no == number)
    return list(tx.scalars(union(ours, select(PaymentAttempt.order_id).where(*theirs))))


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


# --- how an order can be paid now ---


class PayStage(StrEnum):
    """What the page of an unpaid order shows.

    identify    the channel must say first who pays: by way of the buyer's browser
    opening     nobody knows yet whether the channel has opened the payment: wait, or choose another way
    ready       how to pay: a link, a code, or what the page's script is called with
    renew       the channel's link has ended: `checkout.pay_again` with the same channel makes it anew
    choose      nothing is open: `checkout.pay_again` with a channel of the buyer's choice
    confirming  the time is over, or money is said to have come: wait for the channel's answer
    ended       the order does not wait for money
    """

    IDENTIFY = "identify"
    OPENING = "opening"
    READY = "ready"
    RENEW = "renew"
    CHOOSE = "choose"
    CONFIRMING = "confirming"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PayState:
    """How an order can be paid now: its stage, and the attempt that counts (None only before there is one)."""

    stage: PayStage
    attempt: PaymentAttempt | None

    @property
    def invoke(self) -> dict[str, str] | None:
        """What the page's script is called with, for payments inside WeChat."""
        return json.loads(self.attempt.invoke) if self.attempt and self.attempt.invoke else None


def pay_state(tx: Tx, order: Order) -> PayState:
    """How the order can be paid now. One read; callers have found the order for its device."""
    attempt, now = current_attempt(tx, order.id), clock.now()
    return PayState(_stage(order, attempt, now), attempt)


def _stage(order: Order, attempt: PaymentAttempt | None, now: datetime) -> PayStage:
    if order.state != OrderState.PENDING_PAYMENT:
        return PayStage.ENDED
    if order.expires_at <= now or (attempt is not None and attempt.state == AttemptState.PAID):
        return PayStage.CONFIRMING
    if attempt is None or attempt.state == AttemptState.CLOSED:
        return PayStage.CHOOSE
    if attempt.state == AttemptState.CREATED and attempt.product in NEEDS_PAYER:
        return PayStage.IDENTIFY
    if attempt.state != AttemptState.PENDING:
        return PayStage.OPENING
    return PayStage.READY if link_is_alive(attempt, now) else PayStage.RENEW


def link_is_alive(attempt: PaymentAttempt, now: datetime) -> bool:
    """Whether what the channel opened can still be used: its own link may end before the attempt does."""
    return attempt.valid_until is None or now < attempt.valid_until


# --- figures ---

FOUND_WITHIN = timedelta(hours=24)
FOUND_LATELY = 1_000


def found_lately(tx: Tx, *, since: datetime) -> dict[str, dict[FoundBy, int]]:
    """How the latest payments since then were learnt of, at most `FOUND_LATELY` of all channels, by channel."""
    paid = select(PaymentAttempt.channel, PaymentAttempt.found_by).where(PaymentAttempt.paid_at >= since)
    latest = paid.order_by(PaymentAttempt.paid_at.desc(), PaymentAttempt.id.desc()).limit(FOUND_LATELY)
    found: dict[str, Counter[FoundBy]] = {}
    for channel, way in tx.execute(latest):
        if way is not None:
            found.setdefault(channel, Counter())[FoundBy(way)] += 1
    return {channel: dict(counts) for channel, counts in found.items()}


_OPEN_EXCEPTIONS = (
    select(PaymentException.kind, func.count(), func.min(PaymentException.created_at))
    .where(PaymentException.closed_at.is_(None))
    .group_by(PaymentException.kind)
)


def _open_exceptions(tx: Tx, now: datetime) -> list[Gauge]:
    """What waits for people, so that a shop without an open console hears of it too."""
    found = {str(kind): (n, oldest) for kind, n, oldest in tx.execute(_OPEN_EXCEPTIONS)}
    oldest = min((at for _, at in found.values()), default=now)
    counts = [
        Gauge("kameng_exceptions_open", found.get(kind.value, (0, now))[0], "Open exceptions", {"kind": kind.value})
        for kind in ExceptionKind
    ]
    age = (now - oldest).total_seconds()
    return [*counts, Gauge("kameng_exceptions_oldest_seconds", age, "Age of the oldest open exception")]


def gauges(ctx: Context) -> list[Gauge]:
    """For /metrics: by which ways money was found, which channels are away, and what waits for people."""
    with ctx.db.read() as tx:
        bills = bill_days.standing(tx, today=clock.shop_day(clock.now()))
        late = refunds.late(tx)
        exceptions = _open_exceptions(tx, clock.now())
    missing = [
        Gauge("kameng_bill_days_missing", its.missing, "Days whose bill is not read", {"channel": code})
        for code, its in sorted(bills.items())
    ]
    away = [
        Gauge(
            "kameng_channel_away", float(ctx.breakers.is_open(code)), "Channels that do not answer", {"channel": code}
        )
        for code in sorted(ctx.gateways)
    ]
    waiting = [
        Gauge("kameng_refunds_late", n, "Refunds that wait longer than they should", {"turn": turn.value})
        for turn, n in late.items()
    ]
    return away + missing + waiting + exceptions
