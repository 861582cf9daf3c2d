"""Waiting for money: what an order's open page hears, and the query its looking causes.

A change that this process commits is told at once, one of another process within `LOOK_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from server.context import Context
from server.gateways.port import ChannelRefused, ChannelUnknown, Payer
from server.orders.model import Order
from server.payments import asking, checkout, queries
from server.payments.model import PaymentAttempt
from server.signals import Bell
from shared import clock
from shared.errors import Conflict, TooMany
from shared.states import AttemptState, FoundBy, OrderState

WATCH_SECONDS = 55.0
"""How long one stream lasts: less than proxies wait. The page opens the next one."""

LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 2.0
"""How long a look waits for its channel: usually the page hears of its money in the answer itself."""

LOOKS_AFTER_SECONDS = (5, 8, 13, 20, 30, 45, 60)
"""How old an attempt is when its page's looking causes a query (product.md J4); later each 30 s. Most are paid, and
told of, within a minute, and a thousand pages wait at once. A press, and coming back, waits for none of it."""

OVERDUE = timedelta(seconds=LOOKS_AFTER_SECONDS[0])

LOOKS_AT_ONCE = 16
"""Queries caused by pages at a time: there is always a connection for who wants to pay."""

_log = logging.getLogger("kameng.payments")
_asking: set[asyncio.Task[bool]] = set()
"""Queries that outlast the look they were made for: the event loop keeps no reference of its own."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an order and the attempt that counts stand."""

    order: OrderState
    attempt: AttemptState | None

    @property
    def waits(self) -> bool:
        """Whether something may still come by itself."""
        return self.order is OrderState.PENDING_PAYMENT


async def watch(ctx: Context, order_id: UUID, bell: Bell, *, seconds: float = WATCH_SECONDS) -> AsyncIterator[Standing]:
    """Where the order stands, now and after each change, until it waits no longer or the time is over.

    `bell` is one of the order, held for as long as somebody watches. While it is open the channel is asked as by
    `look`. Never NotFound: who calls has found the order.
    """
    until = clock.monotonic_seconds() + seconds
    last: Standing | None = None
    while True:
        standing, attempt = await asyncio.to_thread(_standing, ctx, order_id)
        if standing != last:
            last = standing
            yield standing
        left = until - clock.monotonic_seconds()
        if not standing.waits or left <= 0:
            return
        await look(ctx, attempt, patience_seconds=0)
        await bell.heard(within_seconds=min(LOOK_SECONDS, left))


async def look(
    ctx: Context,
    attempt: PaymentAttempt | None,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    payer: Payer | None = None,
) -> bool:
    """A page looks at its order: ask the channel if its answer is overdue, and wait for it a little.

    At most once in three seconds an attempt, whoever looks, and less often the older it is. Channels that do not answer
    change nothing. One that gave no answer before is asked once more to open the payment, for `payer`: a page without a
    script cannot press anything by itself. Answers whether it was asked: then the page is out of date, perhaps.
    """
    if attempt is None or attempt.state not in {AttemptState.PENDING, AttemptState.UNKNOWN}:
        return False
    if attempt.channel not in ctx.gateways or attempt.created_at + OVERDUE > clock.now():
        return False
    turn = f"{attempt.out_trade_no}:{_turn(attempt)}"
    if turn in ctx.looked or len(_asking) >= LOOKS_AT_ONCE:
        return False
    if attempt.state == AttemptState.UNKNOWN and payer is not None:
        task = asyncio.create_task(_open_again(ctx, attempt, payer))
    else:
        try:
            ctx.buckets.take("payment_query", attempt.out_trade_no)
        except TooMany:
            return False
        task = asyncio.create_task(asking.ask_for_page(ctx, attempt))
    ctx.looked.note(turn)
    _asking.add(task)
    task.add_done_callback(_asking.discard)
    await asyncio.wait({task}, timeout=patience_seconds)
    return True


async def _open_again(ctx: Context, attempt: PaymentAttempt, payer: Payer) -> bool:
    try:
        await checkout.refresh(ctx, attempt.order_code, payer=payer)
    except Exception:  # noqa: BLE001 - the page shows how the order stands, and looks again
        _log.exception("payment not opened again", extra={"out_trade_no": attempt.out_trade_no})
    return True


class NotAnswered(Conflict):
    """A channel that a person asked gave no answer."""

    code = "not_answered"
    zh = "支付渠道没有给出结果（{channel}），订单保持原样。请稍后再查；商户后台能看到到账的，可以确认到账。"
    en = (
        "The channel gave no answer ({channel}) and the order stays as it is. Ask again later; what its console shows"
        " as received can be confirmed."
    )


async def ask_all(ctx: Context, order_id: UUID) -> None:
    """A person asks about an order: query the channels of all its payments that have not come, closed ones too.

    What a page asked about a moment ago is left out. Raises TooMany where that is all of it, NotAnswered where a
    channel was silent or refused.
    """
    with_money = AttemptState.PAID.value
    attempts, refusal = [], None
    for attempt in await asyncio.to_thread(_attempts, ctx, order_id):
        try:
            if attempt.state != with_money:
                ctx.buckets.take("payment_query", attempt.out_trade_no)
                attempts.append(attempt)
        except TooMany as too_many:
            refusal = too_many
    if refusal is not None and not attempts:
        raise refusal
    answers = await asyncio.gather(
        *(asking.ask(ctx, attempt, FoundBy.PAGE) for attempt in attempts), return_exceptions=True
    )
    for attempt, answer in zip(attempts, answers, strict=True):
        if isinstance(answer, ChannelUnknown | ChannelRefused):
            raise NotAnswered(channel=attempt.channel) from answer
        if isinstance(answer, BaseException):
            raise answer


def _attempts(ctx: Context, order_id: UUID) -> list[PaymentAttempt]:
    with ctx.db.read() as tx:
        return queries.attempts_of(tx, [order_id])[order_id]


def _turn(attempt: PaymentAttempt) -> int:
    """Which of its looks an attempt is old enough for."""
    age = (clock.now() - attempt.created_at).total_seconds()
    return bisect_right(LOOKS_AFTER_SECONDS, age) + max(0, int(age - LOOKS_AFTER_SECONDS[-1]) // 30)


def _standing(ctx: Context, order_id: UUID) -> tuple[Standing, PaymentAttempt | None]:
    with ctx.db.read() as tx:
        state = OrderState(tx.scalars(select(Order.state).where(Order.id == order_id)).one())
        attempt = queries.current_attempt(tx, order_id)
    return Standing(state, AttemptState(attempt.state) if attempt else None), attempt
