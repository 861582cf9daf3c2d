"""Ending what is not paid: orders whose time is over, or whose buyer cancels.

An order ends only after its attempts were closed at their channels, so that nobody pays for units that went back on
sale. A payment that comes first wins.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from server import signals
from server.context import Context
from server.db import Tx
from server.gateways.port import NEEDS_PAYER, ChannelRefused, ChannelUnknown, PaymentFact, Reason
from server.orders import actions as orders
from server.orders import queries as order_queries
from server.orders.model import Order
from server.payments import actions, applying, attempts, channels, queries
from server.payments.exceptions import closing
from server.payments.model import PaymentAttempt
from shared import clock
from shared.errors import KamengError
from shared.states import AttemptState, FoundBy, OrderState

CLOSE_GRACE_MINUTES = 10
"""How long an expired order waits for an unreachable channel to close; then its units go back on sale, and money
that still comes is delivered from fresh stock or becomes an exception."""

ITS_DAY = timedelta(hours=24)
"""How long after its end an attempt is asked about; the channel's bill of that day is there by then."""

_log = logging.getLogger("kameng.payments")


class NotCancelled(KamengError):
    """The channel gave no answer, so nobody knows whether it still takes money for the order."""

    code = "not_cancelled"
    status = 503
    zh = "支付渠道暂时没有回应，订单还没有取消。请稍后再试；不支付的话，到时间订单会自动关闭。"
    en = (
        "The payment channel is not answering, so the order is not cancelled yet. Try again later; "
        "an order that is not paid closes by itself."
    )


class Closing(StrEnum):
    """What closing an attempt came to.

    done        the channel takes no money for it any more
    unseen      the channel does not know of it yet: whoever holds its code or address may still open it, until its end
    impossible  the channel has no such call: it may take money after its end too
    unknown     the channel gave no answer
    """

    DONE = "done"
    UNSEEN = "unseen"
    IMPOSSIBLE = "impossible"
    UNKNOWN = "unknown"

    def shuts(self, attempt: PaymentAttempt) -> bool:
        """Whether nobody can pay `attempt` any more, so that it need not be asked about.

        Nor could anybody before its channel said who pays, where it must: nothing was opened for them.
        """
        nobodys = attempt.state == AttemptState.CREATED and attempt.product in NEEDS_PAYER
        is_over = nobodys or attempt.expires_at <= clock.now()
        return self is Closing.DONE or (self is Closing.UNSEEN and is_over)


@dataclass(frozen=True, slots=True)
class EndUnpaid:
    """Expire or cancel an order that is still unpaid; its attempts were closed at the channel, or gave no answer."""

    order_id: UUID
    to: OrderState
    closed_attempts: tuple[UUID, ...]
    actor: str = "system"


def end_unpaid(tx: Tx, commands: Sequence[EndUnpaid]) -> list[None]:
    """The handler of `EndUnpaid`. Lock order as everywhere: orders, attempts, stock."""
    close_attempts(tx, [CloseAttempts(command.order_id, command.closed_attempts) for command in commands])
    orders.end_unpaid(tx, [orders.Ending(command.order_id, command.to, command.actor) for command in commands])
    return [None] * len(commands)


@dataclass(frozen=True, slots=True)
class CloseAttempts:
    """Attempts of an order that nobody can pay any more, by what their channels say. The order itself stands."""

    order_id: UUID
    attempt_ids: tuple[UUID, ...]


def close_attempts(tx: Tx, commands: Sequence[CloseAttempts]) -> list[None]:
    """The handler of `CloseAttempts`. Paid ones are left alone."""
    orders.lock(tx, [command.order_id for command in commands])
    closed = [attempt for command in commands for attempt in command.attempt_ids]
    attempts.close(tx, closed)
    closing.answered(tx, closed)
    for command in commands:
        signals.ring(tx, command.order_id)
    return [None] * len(commands)


async def cancel(ctx: Context, code: str, *, actor: str) -> None:
    """The buyer does not want to pay: close the attempts at the channel, then give the units back.

    Nothing happens to an order that was paid or has ended. Raises NotCancelled when the channel gives no answer.
    """
    found = await asyncio.to_thread(_unpaid, ctx, code)
    if found is None:
        return
    if not await _end(ctx, *found, to=OrderState.CANCELLED, found_by=FoundBy.PAGE, actor=actor):
        raise NotCancelled


def _unpaid(ctx: Context, code: str) -> tuple[Order, list[PaymentAttempt]] | None:
    with ctx.db.read() as tx:
        order = order_queries.find(tx, code)
        if order is None or order.state != OrderState.PENDING_PAYMENT:
            return None
        return order, queries.attempts_of(tx, [order.id])[order.id]


async def expire(ctx: Context, order: Order, its_attempts: Sequence[PaymentAttempt]) -> bool:
    """End an order whose time is over; False when it must be looked at again."""
    return await _end(ctx, order, its_attempts, to=OrderState.EXPIRED, found_by=FoundBy.SWEEP)


async def _end(
    ctx: Context,
    order: Order,
    its_attempts: Sequence[PaymentAttempt],
    *,
    to: OrderState,
    found_by: FoundBy,
    actor: str = "system",
) -> bool:
    """End one order: close its attempts at their channels first, so that nobody pays for units given back.

    Money that came first delivers the order. Money that does not fit it is an exception, and holds no units. False
    when a channel gives no answer; an order that expired a while ago does not wait for it. What may still be paid at
    a channel stays open here, and is asked about.
    """
    patient = clock.now() < order.expires_at + timedelta(minutes=CLOSE_GRACE_MINUTES)
    closed: list[UUID] = []
    for attempt in its_attempts:
        if attempt.state not in attempts.OPEN_STATES or attempt.channel not in ctx.gateways:
            continue
        outcome = await close(ctx, attempt, found_by)
        if isinstance(outcome, PaymentFact):
            if await applying.apply(ctx, outcome, found_by) is not actions.Outcome.EXCEPTION:
                return True
        elif outcome.shuts(attempt):
            closed.append(attempt.id)
        elif outcome is Closing.UNKNOWN and patient:
            if closed:
                await ctx.batch.submit(CloseAttempts(order.id, tuple(closed)))
            return False
    await ctx.batch.submit(EndUnpaid(order.id, to, tuple(closed), actor))
    return True


async def close_late(ctx: Context, attempt: PaymentAttempt, found_by: FoundBy) -> bool:
    """Close one whose time is over and that its channel may still take money for; whether money came first.

    One that cannot be closed is asked about for its day. Raises ChannelUnknown when the channel does not say by then
    that it is closed.
    """
    outcome = await close(ctx, attempt, found_by)
    if isinstance(outcome, PaymentFact):
        await applying.apply(ctx, outcome, found_by)
        return True
    its_day_is_over = attempt.expires_at + ITS_DAY <= clock.now()
    if outcome.shuts(attempt) or (outcome is Closing.IMPOSSIBLE and its_day_is_over):
        await ctx.batch.submit(CloseAttempts(attempt.order_id, (attempt.id,)))
    elif its_day_is_over:
        raise ChannelUnknown(channel=attempt.channel, detail="open after its day, and not to be closed")
    return False


async def close(ctx: Context, attempt: PaymentAttempt, found_by: FoundBy) -> PaymentFact | Closing:
    """Close one attempt at its channel, and ask it where it says no: the fact when money came first.

    Money that came and went back without us is put before people; nothing is open there then.
    """
    number = attempt.out_trade_no
    try:
        await channels.call(ctx, attempt.channel, lambda gateway: gateway.close(number))
    except ChannelUnknown as error:
        _log.warning("payment not closed", extra={"out_trade_no": number, "error": str(error)})
        return Closing.UNKNOWN
    except ChannelRefused as refusal:
        if refusal.reason_code in _SAYS_IT_ALL:
            return _SAYS_IT_ALL[refusal.reason_code]
        return await _ask_instead(ctx, attempt, found_by)
    return Closing.DONE


_SAYS_IT_ALL = {
    Reason.NOT_FOUND.value: Closing.UNSEEN,
    Reason.ALREADY_CLOSED.value: Closing.DONE,
    Reason.PRODUCT_NOT_OFFERED.value: Closing.IMPOSSIBLE,
}


async def _ask_instead(ctx: Context, attempt: PaymentAttempt, found_by: FoundBy) -> PaymentFact | Closing:
    try:
        fact = await channels.call(ctx, attempt.channel, lambda gateway: gateway.query(attempt.out_trade_no))
    except (ChannelUnknown, ChannelRefused):
        return Closing.UNKNOWN
    if fact is None:
        return Closing.UNSEEN
    if fact.state == "paid":
        return fact
    if fact.state == "refunded":
        await applying.apply(ctx, fact, found_by)
    return Closing.UNKNOWN if fact.state == "pending" else Closing.DONE
