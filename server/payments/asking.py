"""Asking channels for money that nobody told us of: the buyer's page, the sweep, and what one does with the answer.

Open attempts are asked about 30 s, 1, 2, 5, 10, 15 minutes and then each hour after they were opened, until the channel
says that they are closed, or their day is over; then a person looks. The sweep keeps up with thousands at once, in a
thread of its own; a channel that is away costs it a few waits, not one an order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update

from server.context import Context
from server.db import Tx, retrying, rows_changed
from server.gateways.port import ChannelRefused, ChannelUnknown
from server.orders import actions as orders
from server.orders import queries as order_queries
from server.orders.model import Order
from server.payments import actions, applying, attempts, channels, ending, queries
from server.payments.exceptions import closing, raising
from server.payments.model import PaymentAttempt
from shared import clock
from shared.errors import Busy
from shared.states import FoundBy

SWEEP_SECONDS = 5.0
SWEEP_PAGE = 200
SWEEP_LONGEST_SECONDS = 60.0
"""A flood is swept page by page for so long; then the next turn goes on with it, here or in another process."""

AT_ONCE = 16
"""Requests to channels at a time."""

QUERY_AFTER_SECONDS = (30, 60, 120, 300, 600, 900, 3_600)
"""How long to wait for the next query of an open attempt, by how often it was asked (product.md J4)."""

LOOK_AGAIN_MINUTES = 1

_log = logging.getLogger("kameng.payments")


async def ask(ctx: Context, attempt: PaymentAttempt, found_by: FoundBy) -> bool:
    """Query the channel and apply what it says; whether money has arrived.

    What cannot be paid any more is closed here, so that nobody asks about it for ever, and its buyer can pay otherwise:
    also what the channel closed without our having noted it, or was away for when its order expired.
    Raises ChannelUnknown, ChannelRefused.
    """
    fact = await channels.call(ctx, attempt.channel, lambda gateway: gateway.query(attempt.out_trade_no))
    is_over = attempt.expires_at <= clock.now()
    if fact is None or fact.state == "pending":
        return await ending.close_late(ctx, attempt, found_by) if is_over else False
    if fact.state == "closed":
        await _close(ctx, attempt)
        return False
    outcome = await applying.apply(ctx, fact, found_by)
    if fact.state == "refunded":
        if is_over:
            await _close(ctx, attempt)
        return False
    if outcome is actions.Outcome.EXCEPTION and attempt.expires_at + ending.ITS_DAY <= clock.now():
        await _close(ctx, attempt)  # its money is set aside, or not ours: people have it
    return True


async def ask_for_page(ctx: Context, attempt: PaymentAttempt) -> bool:
    """The same for a buyer's page, to which a fault of ours is as good as silence: the sweep asks again."""
    try:
        return await ask(ctx, attempt, FoundBy.PAGE)
    except (ChannelUnknown, ChannelRefused) as error:
        _log.warning("channel gave no answer", extra={"out_trade_no": attempt.out_trade_no, "error": str(error)})
    except Exception:  # noqa: BLE001 - what could not be applied was told to people
        _log.exception("its answer could not be applied", extra={"out_trade_no": attempt.out_trade_no})
    return False


async def _close(ctx: Context, attempt: PaymentAttempt) -> None:
    if attempt.state in attempts.OPEN_STATES:
        await ctx.batch.submit(ending.CloseAttempts(attempt.order_id, (attempt.id,)))


# --- the sweep ---


def sweep(ctx: Context) -> int:
    """Ask for open payments whose callback is overdue, and end unpaid orders whose time is over, until none is left.

    Runs every few seconds in a thread of its own, in one process at a time; answers how many attempts and orders it
    looked at.
    """
    return asyncio.run(_sweep(ctx)) if _is_wanted(ctx) else 0


def _is_wanted(ctx: Context) -> bool:
    now = clock.now()
    return bool(_due(ctx, now) or _ending(ctx, now) or channels.away(ctx))


def _due(ctx: Context, now: datetime) -> list[PaymentAttempt]:
    with ctx.db.read() as tx:
        return queries.due_for_query(tx, now=now, limit=SWEEP_PAGE)


def _ending(ctx: Context, now: datetime) -> list[tuple[Order, list[PaymentAttempt]]]:
    with ctx.db.read() as tx:
        due = order_queries.due_unpaid(tx, now=now, limit=SWEEP_PAGE)
        its = queries.attempts_of(tx, [order.id for order in due])
        return [(order, its[order.id]) for order in due]


async def _sweep(ctx: Context) -> int:
    now, looked = clock.now(), 0
    give_up_at = clock.monotonic_seconds() + SWEEP_LONGEST_SECONDS
    seen: set[UUID] = set()
    async with ctx.outbound:  # connections for this loop
        await channels.probe(ctx)
        while clock.monotonic_seconds() < give_up_at and not ctx.jobs.stopping:
            asked = await asyncio.to_thread(_due, ctx, now)
            over = await asyncio.to_thread(_ending, ctx, now)
            fresh = {one.id for one in asked} | {order.id for order, _ in over}
            if not fresh - seen:
                break
            seen |= fresh
            looked += len(asked) + len(over)
            await asyncio.to_thread(_plan_next, ctx, asked, now)
            again = await _page(ctx, asked, over)
            if again:
                await asyncio.to_thread(_look_again_later, ctx, again)
    return looked


async def _page(
    ctx: Context, asked: Sequence[PaymentAttempt], over: Sequence[tuple[Order, list[PaymentAttempt]]]
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
        *(quietly(one.out_trade_no, _ask_quietly(ctx, one)) for one in asked),
        *(quietly(order.code, ending.expire(ctx, order, its), order.id) for order, its in over),
    )
    return again


async def _ask_quietly(ctx: Context, attempt: PaymentAttempt) -> None:
    try:
        await ask(ctx, attempt, FoundBy.SWEEP)
    except Busy:
        raise  # there is no hurry: it comes again in its turn
    except Exception as error:  # noqa: BLE001 - whatever keeps its money from us, its day ends
        if isinstance(error, ChannelUnknown | ChannelRefused):
            answer = str(error)
            _log.warning("channel gave no answer", extra={"what": attempt.out_trade_no, "error": answer})
        else:
            answer = type(error).__name__
            _log.exception("its answer could not be applied", extra={"what": attempt.out_trade_no})
        if attempt.expires_at + ending.ITS_DAY <= clock.now():
            await asyncio.to_thread(_give_up, ctx, attempt, answer)


def _plan_next(ctx: Context, asked: Sequence[PaymentAttempt], now: datetime) -> None:
    """Set the next turn of each before it is asked: whatever becomes of this one, there is another."""

    def plan(tx: Tx) -> None:
        for attempt in sorted(asked, key=lambda attempt: attempt.id.bytes):  # as all lock attempts
            wait = QUERY_AFTER_SECONDS[min(attempt.queries + 1, len(QUERY_AFTER_SECONDS) - 1)]
            tx.execute(
                update(PaymentAttempt)
                .where(PaymentAttempt.id == attempt.id, PaymentAttempt.state.in_(attempts.OPEN_STATES))
                .values(query_at=now + timedelta(seconds=wait), queries=PaymentAttempt.queries + 1)
            )

    if asked:
        retrying(ctx.db, plan)


def _look_again_later(ctx: Context, order_ids: Sequence[UUID]) -> None:
    until = clock.now() + timedelta(minutes=LOOK_AGAIN_MINUTES)
    retrying(ctx.db, lambda tx: orders.postpone(tx, order_ids, until=until))


def _give_up(ctx: Context, attempt: PaymentAttempt, answer: str) -> None:
    """Its day is over and nobody knows: the bill may still tell, and a person looks. It is not asked about again."""
    more = [
        ("attempt_state", attempt.state),
        ("opened_at", attempt.created_at),
        ("ended_at", attempt.expires_at),
        ("queries", attempt.queries + 1),
        ("channel_answer", answer),
    ]

    def stop(tx: Tx) -> None:
        still_open = (PaymentAttempt.id == attempt.id, PaymentAttempt.state.in_(attempts.OPEN_STATES))
        if rows_changed(tx.execute(update(PaymentAttempt).where(*still_open).values(query_at=None))) != 1:
            return  # it was paid, or closed, while the channel was asked
        closing.still_unknown(tx, attempt.id)
        raising.write(tx, [raising.unknown(attempt, more=more)])

    retrying(ctx.db, stop)
