"""What is not paid: channels asked for money that is overdue, orders ended whose time is over or whose buyer cancels.

An order ends only after its attempts were closed at their channels, so that nobody pays for units that went back on
sale. A payment that comes first wins. The sweep keeps up with thousands of orders at once, in a thread of its own; a
channel that is away costs it a few waits, not one an order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update

from server.context import Context
from server.db import Tx, retrying
from server.gateways.port import ChannelRefused, ChannelUnknown, Gateway, PaymentFact
from server.orders import actions as orders
from server.orders import queries as order_queries
from server.orders.model import Order
from server.payments import actions, queries
from server.payments.model import PaymentAttempt
from shared import clock
from shared.errors import KamengError
from shared.states import AttemptState, OrderState

SWEEP_SECONDS = 5.0
SWEEP_PAGE = 200
SWEEP_LONGEST_SECONDS = 60.0
"""A flood is swept page by page for so long; then the next turn goes on with it, here or in another process."""

AT_ONCE = 16
"""Requests to channels at a time."""

AWAY_AFTER = 3
"""A channel that gave so many requests no answer in a row is not asked again in this sweep."""

QUERY_AFTER_SECONDS = (30, 60, 120, 300, 600, 900)
"""How long to wait for the next query of an open attempt, by how often it was asked (product.md J4)."""

CLOSE_GRACE_MINUTES = 10
"""How long an expired order waits for an unreachable channel to close; then its units go back on sale, and money
that still comes is delivered from fresh stock or becomes an exception."""

LOOK_AGAIN_MINUTES = 1

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


@dataclass(frozen=True, slots=True)
class EndUnpaid:
    """Expire or cancel an order that is still unpaid; its attempts were closed at the channel, or gave no answer."""

    order_id: UUID
    to: OrderState
    closed_attempts: tuple[UUID, ...]
    actor: str = "system"


def end_unpaid(tx: Tx, commands: Sequence[EndUnpaid]) -> list[None]:
    """The handler of `EndUnpaid`. Lock order as everywhere: orders, attempts, stock."""
    orders.lock(tx, [command.order_id for command in commands])
    actions.close(tx, [attempt for command in commands for attempt in command.closed_attempts])
    orders.end_unpaid(tx, [orders.Ending(command.order_id, command.to, command.actor) for command in commands])
    return [None] * len(commands)


@dataclass(slots=True)
class _Channels:
    """The channels as one sweep finds them: who gave no answer time after time is away for the rest of it."""

    silent: Counter[str] = field(default_factory=Counter)

    def is_away(self, channel: str) -> bool:
        return self.silent[channel] >= AWAY_AFTER

    def note(self, channel: str, *, answered: bool) -> None:
        self.silent[channel] = 0 if answered else self.silent[channel] + 1


# --- asking ---


async def ask(ctx: Context, attempt: PaymentAttempt) -> bool:
    """Query the channel and apply what it says; whether money has arrived.

    What cannot be paid any more ends here, so that nobody asks about it for ever: also an attempt whose channel was
    away when its order expired.
    """
    gateway = ctx.gateways[attempt.channel]
    fact = await gateway.query(attempt.out_trade_no)
    if (fact is None or fact.state == "closed") and attempt.expires_at <= clock.now():
        await ctx.batch.submit(EndUnpaid(attempt.order_id, OrderState.EXPIRED, (attempt.id,)))
    if fact is None or fact.state != "paid":
        return False
    await ctx.batch.submit(actions.ApplyPayment(fact=fact, merchant_id=gateway.merchant_id))
    return True


async def _ask_quietly(ctx: Context, attempt: PaymentAttempt, channels: _Channels) -> None:
    if channels.is_away(attempt.channel):
        return  # it has its next turn already
    try:
        await ask(ctx, attempt)
    except (ChannelUnknown, ChannelRefused) as error:
        channels.note(attempt.channel, answered=isinstance(error, ChannelRefused))
        _log.warning("channel gave no answer", extra={"what": attempt.out_trade_no, "error": str(error)})
    else:
        channels.note(attempt.channel, answered=True)


def _plan_next_query(ctx: Context, asked: Sequence[PaymentAttempt], now: datetime) -> None:
    def plan(tx: Tx) -> None:
        for attempt in sorted(asked, key=lambda attempt: attempt.id.bytes):  # as all lock attempts
            wait = QUERY_AFTER_SECONDS[min(attempt.queries + 1, len(QUERY_AFTER_SECONDS) - 1)]
            tx.execute(
                update(PaymentAttempt)
                .where(PaymentAttempt.id == attempt.id)
                .values(query_at=now + timedelta(seconds=wait), queries=PaymentAttempt.queries + 1)
            )

    if asked:
        retrying(ctx.db, plan)


# --- the sweep ---


def sweep(ctx: Context) -> int:
    """Ask for open payments whose callback is overdue, and end unpaid orders whose time is over, until none is left.

    Runs every few seconds in a thread of its own, in one process at a time; answers how many attempts and orders it
    looked at.
    """
    if not _asked(ctx, clock.now()) and not _ending(ctx, clock.now()):
        return 0
    return asyncio.run(_sweep(ctx))


def _asked(ctx: Context, now: datetime) -> list[PaymentAttempt]:
    with ctx.db.read() as tx:
        return queries.due_for_query(tx, now=now, limit=SWEEP_PAGE)


def _ending(ctx: Context, now: datetime) -> list[tuple[Order, list[PaymentAttempt]]]:
    with ctx.db.read() as tx:
        due = order_queries.due_unpaid(tx, now=now, limit=SWEEP_PAGE)
        attempts = queries.attempts_of(tx, [order.id for order in due])
        return [(order, attempts[order.id]) for order in due]


async def _sweep(ctx: Context) -> int:
    now, channels, looked = clock.now(), _Channels(), 0
    give_up_at = clock.monotonic_seconds() + SWEEP_LONGEST_SECONDS
    seen: set[UUID] = set()
    async with ctx.outbound:  # connections for this loop
        while clock.monotonic_seconds() < give_up_at and not ctx.jobs.stopping:
            asked = await asyncio.to_thread(_asked, ctx, now)
            ending = await asyncio.to_thread(_ending, ctx, now)
            fresh = {one.id for one in asked} | {order.id for order, _ in ending}
            if not fresh - seen:
                break
            seen |= fresh
            looked += len(asked) + len(ending)
            await asyncio.to_thread(_plan_next_query, ctx, asked, now)
            again = await _page(ctx, asked, ending, channels)
            if again:
                await asyncio.to_thread(_look_again_later, ctx, again)
    return looked


async def _page(
    ctx: Context,
    asked: Sequence[PaymentAttempt],
    ending: Sequence[tuple[Order, list[PaymentAttempt]]],
    channels: _Channels,
) -> list[UUID]:
    """Ask and end what one page names; answers the orders that must be looked at again."""
    gate = asyncio.Semaphore(AT_ONCE)
    again: list[UUID] = []

    async def quietly(what: str, work: Coroutine[None, None, object], order_id: UUID | None = None) -> None:
        async with gate:
            try:
                ended = await work
            except Exception:  # noqa: BLE001 - one that cannot be ended must not keep the others from it
                _log.exception("left for a later sweep", extra={"what": what})
                ended = False
        if ended is False and order_id is not None:
            again.append(order_id)

    await asyncio.gather(
        *(quietly(one.out_trade_no, _ask_quietly(ctx, one, channels)) for one in asked if one.channel in ctx.gateways),
        *(
            quietly(order.code, _end(ctx, order, attempts, channels, to=OrderState.EXPIRED), order.id)
            for order, attempts in ending
        ),
    )
    return again


def _look_again_later(ctx: Context, order_ids: Sequence[UUID]) -> None:
    until = clock.now() + timedelta(minutes=LOOK_AGAIN_MINUTES)
    retrying(ctx.db, lambda tx: orders.postpone(tx, order_ids, until=until))


# --- ending ---


async def cancel(ctx: Context, code: str, *, actor: str) -> None:
    """The buyer does not want to pay: close the attempts at the channel, then give the units back.

    Nothing happens to an order that was paid or has ended. Raises NotCancelled when the channel gives no answer.
    """
    found = await asyncio.to_thread(_unpaid, ctx, code)
    if found is None:
        return
    if not await _end(ctx, *found, _Channels(), to=OrderState.CANCELLED, actor=actor):
        raise NotCancelled


def _unpaid(ctx: Context, code: str) -> tuple[Order, list[PaymentAttempt]] | None:
    with ctx.db.read() as tx:
        order = order_queries.find(tx, code)
        if order is None or order.state != OrderState.PENDING_PAYMENT:
            return None
        return order, queries.attempts_of(tx, [order.id])[order.id]


async def _end(
    ctx: Context,
    order: Order,
    attempts: Sequence[PaymentAttempt],
    channels: _Channels,
    *,
    to: OrderState,
    actor: str = "system",
) -> bool:
    """End one order: close its attempts at their channels first, so that nobody pays for units given back.

    Money that came first delivers the order. Money that does not fit it is an exception, and holds no units. False
    when a channel gives no answer; an order that expired a while ago does not wait for it.
    """
    patient = clock.now() < order.expires_at + timedelta(minutes=CLOSE_GRACE_MINUTES)
    closed: list[UUID] = []
    for attempt in attempts:
        if attempt.state == AttemptState.CLOSED or attempt.channel not in ctx.gateways:
            continue
        outcome = await _close(ctx.gateways[attempt.channel], attempt, channels)
        if isinstance(outcome, PaymentFact):
            merchant_id = ctx.gateways[attempt.channel].merchant_id
            applied = await ctx.batch.submit(actions.ApplyPayment(fact=outcome, merchant_id=merchant_id))
            if applied is not actions.Outcome.EXCEPTION:
                return True
        elif outcome:
            closed.append(attempt.id)
        elif patient:
            return False
    await ctx.batch.submit(EndUnpaid(order.id, to, tuple(closed), actor))
    return True


async def _close(gateway: Gateway, attempt: PaymentAttempt, channels: _Channels) -> PaymentFact | bool:
    """Close one attempt: True when it is closed, the fact when money came first, False when nobody knows."""
    if channels.is_away(attempt.channel):
        return False
    try:
        await gateway.close(attempt.out_trade_no)
    except ChannelUnknown as error:
        channels.note(attempt.channel, answered=False)
        _log.warning("payment not closed", extra={"out_trade_no": attempt.out_trade_no, "error": str(error)})
        return False
    except ChannelRefused as refusal:
        channels.note(attempt.channel, answered=True)
        if refusal.reason_code == "NOT_FOUND":
            return True  # the channel never opened it
        try:
            fact = await gateway.query(attempt.out_trade_no)
        except (ChannelUnknown, ChannelRefused):
            return False
        if fact is not None and fact.state == "paid":
            return fact
        return fact is None or fact.state == "closed"
    channels.note(attempt.channel, answered=True)
    return True
