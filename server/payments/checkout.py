"""The use cases between buyer, database and channel: place, notice, refresh, sweep, reveal.

Each talks to the channel only between transactions. What is acknowledged was committed. A time-out at the channel
is the state `unknown` and is followed by a query under the same number, never by a second attempt.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import bindparam, select, update

from server import jobs
from server.context import Context
from server.db import Tx, table_of
from server.gateways.port import ChannelRefused, ChannelUnknown, CreatePayment, Gateway, NoticeReply, PaymentFact
from server.orders import actions as orders
from server.orders import queries as order_queries
from server.orders.model import Order
from server.payments import actions, queries
from server.payments.model import PaymentAttempt
from server.stock import actions as stock
from server.stock import vault
from shared import clock
from shared.cardkey import Card, parse_canonical
from shared.errors import Busy, Conflict, NotFound, TooMany
from shared.money import Fen
from shared.states import AttemptState, OrderState

RECHECK = "payments.recheck"
SWEEP_SECONDS = 5.0
SWEEP_MOST = 50
QUERY_AFTER_SECONDS = (30, 60, 120, 300, 600, 900)
"""How long to wait for the next query of an open attempt, by how often it was asked (product.md J4)."""

CLOSE_GRACE_MINUTES = 10
"""How long an expired order waits for an unreachable channel to close; then its units go back on sale, and money
that still comes is delivered from fresh stock or becomes an exception."""

_ASKABLE = frozenset({OrderState.PENDING_PAYMENT.value, OrderState.EXPIRED.value})
"""Orders for which the channel may still know of money: also one whose time is over."""

_log = logging.getLogger("kameng.payments")


class ChannelOff(Conflict):
    """The shop does not take this channel."""

    code = "channel_off"
    zh = "暂不支持该支付方式，请换一种。"
    en = "This payment method is not available; please choose another."


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """What a buyer gets for placing an order; the pay URL is None while the channel has not answered."""

    code: str
    state: OrderState
    amount_fen: Fen
    expires_at: datetime
    link_token: str
    pay_url: str | None
    qr_text: str | None


@dataclass(frozen=True, slots=True)
class EndUnpaid:
    """Expire or cancel an order that is still unpaid; its attempts were closed at the channel, or gave no answer."""

    order_id: UUID
    to: OrderState
    closed_attempts: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class LogReveal:
    """Note who is about to see the keys of an order."""

    order: Order
    lines: tuple[stock.LineUnits, ...]
    actor: str
    request_id: str


@dataclass(frozen=True, slots=True)
class RevealedLine:
    """The keys of one order line, in the clear, for the page that shows them. Printing shows them masked."""

    title: str
    sku_code: str
    cards: tuple[Card, ...]


def register(ctx: Context) -> None:
    """Wire this domain's commands, jobs and schedules; called once by `app`."""
    hold = ctx.settings.hold_minutes
    ctx.batch.register(actions.ApplyPayment, actions.apply, rank=10)
    ctx.batch.register(EndUnpaid, _end_unpaid, rank=20)
    ctx.batch.register(actions.OpenAttempt, actions.open_attempts, rank=30)
    ctx.batch.register(LogReveal, _log_reveals, rank=40)
    ctx.batch.register(orders.PlaceOrder, partial(actions.checkout, hold_minutes=hold), rank=90, lane=1)
    ctx.jobs.outside(RECHECK, lambda args: _recheck(ctx, **args))
    ctx.jobs.every("payments.sweep", SWEEP_SECONDS, lambda: sweep(ctx))
    ctx.jobs.every("orders.complete", 60.0, lambda: _complete(ctx))


# --- placing ---


async def place(ctx: Context, command: orders.PlaceOrder) -> PlacedOrder:
    """Place the order, then open its payment at the channel. Repeating with the same key answers the same order."""
    if command.channel not in ctx.gateways:
        raise ChannelOff
    checkout: actions.Checkout = await ctx.batch.submit(command)
    order, attempt = checkout.order, checkout.attempt
    pay_url, qr_text = attempt.pay_url, attempt.qr_text
    if attempt.state in {AttemptState.CREATED, AttemptState.UNKNOWN} and order.state == OrderState.PENDING_PAYMENT:
        opened = await _open(ctx, attempt)
        await ctx.batch.submit(opened)
        pay_url, qr_text = opened.pay_url, opened.qr_text
    return PlacedOrder(
        code=order.code,
        state=OrderState(order.state),
        amount_fen=order.amount_fen,
        expires_at=order.expires_at,
        link_token=orders.link_token(ctx.keys, order.id),
        pay_url=pay_url,
        qr_text=qr_text,
    )


async def _open(ctx: Context, attempt: PaymentAttempt) -> actions.OpenAttempt:
    """Ask the channel to open the payment; an unknown outcome is an answer without a URL."""
    base = ctx.settings.base_url.rstrip("/")
    payment = CreatePayment(
        out_trade_no=attempt.out_trade_no,
        amount_fen=attempt.amount_fen,
        subject=attempt.subject,
        notify_url=f"{base}/pay/{attempt.channel}/notify",
        return_url=f"{base}/o/{attempt.order_code}",
        expires_at=attempt.expires_at,
    )
    try:
        opened = await ctx.gateways[attempt.channel].create(payment)
    except (ChannelUnknown, ChannelRefused) as error:
        _log.warning("payment not opened", extra={"out_trade_no": attempt.out_trade_no, "error": str(error)})
        return actions.OpenAttempt(attempt.id, pay_url=None, qr_text=None)
    return actions.OpenAttempt(attempt.id, pay_url=opened.pay_url, qr_text=opened.qr_text)


# --- the channel tells ---


async def notice(ctx: Context, channel: str, headers: Mapping[str, str], body: bytes) -> NoticeReply:
    """A channel's notification: verified, applied, committed, and only then acknowledged.

    Raises NotFound for an unknown channel, BadSignature or MalformedNotice for what the channel did not sign or
    this version cannot read: both change nothing.
    """
    gateway = ctx.gateways.get(channel)
    if gateway is None:
        raise NotFound
    fact = gateway.verify(headers, body)
    raw = actions.RawCallback(
        digest=hashlib.sha256(body).hexdigest(),
        headers=json.dumps({name: value for name, value in headers.items() if _is_evidence(name)}).encode(),
        body=body,
    )
    command = actions.ApplyPayment(fact=fact, merchant_id=gateway.merchant_id, raw=raw)
    try:
        await ctx.batch.submit(command)
    except Busy:
        raise  # nothing was tried: the channel tells again
    except Exception:  # noqa: BLE001 - whatever broke, signed bytes are kept before they are acknowledged
        _log.exception("notification could not be applied; kept for later", extra={"channel": channel})
        await asyncio.to_thread(_defer, ctx, command)
    return gateway.accepted()


def _is_evidence(name: str) -> bool:
    """Headers worth keeping with the bytes: the channel's own signature headers, not cookies or addresses."""
    return any(word in name.lower() for word in ("signature", "timestamp", "nonce", "serial", "content-type"))


def _defer(ctx: Context, command: actions.ApplyPayment) -> None:
    assert command.raw is not None
    fact, digest = command.fact, command.raw.digest
    with ctx.db.tx() as tx:
        actions.defer(tx, command)
        args = {"out_trade_no": fact.out_trade_no, "channel": fact.channel, "digest": digest}
        jobs.enqueue(tx, RECHECK, args, key=f"{RECHECK}:{digest}")
    ctx.jobs.wake()


def _recheck(ctx: Context, *, out_trade_no: str, channel: str, digest: str) -> None:
    """The job behind a kept callback: the channel is asked, and its answer applied. Safe to repeat."""
    gateway = ctx.gateways[channel]
    fact = asyncio.run(gateway.query(out_trade_no))
    if fact is not None and fact.state != "paid":
        fact = None
    if fact is not None:
        ctx.batch.call(actions.ApplyPayment(fact=fact, merchant_id=gateway.merchant_id))
    with ctx.db.tx() as tx:
        actions.settle_deferred(tx, channel, digest, confirmed=fact is not None)


# --- we ask ---


async def refresh(ctx: Context, code: str) -> None:
    """The buyer's "I have paid": ask the channel, at most once in three seconds for an attempt, also after expiry.

    Opens the payment again where the channel had not answered. An unreachable channel changes nothing.
    """
    attempt = await asyncio.to_thread(_open_attempt_of, ctx, code)
    if attempt is None:
        return
    try:
        ctx.buckets.take("payment_query", attempt.out_trade_no)
    except TooMany:
        return
    try:
        if not await _ask(ctx, attempt) and attempt.pay_url is None and attempt.expires_at > clock.now():
            await ctx.batch.submit(await _open(ctx, attempt))
    except (ChannelUnknown, ChannelRefused) as error:
        _log.warning("channel gave no answer", extra={"out_trade_no": attempt.out_trade_no, "error": str(error)})


def _open_attempt_of(ctx: Context, code: str) -> PaymentAttempt | None:
    with ctx.db.read() as tx:
        order = order_queries.find(tx, code)
        if order is None or order.state not in _ASKABLE:
            return None
        return queries.current_attempt(tx, order.id)


async def _ask(ctx: Context, attempt: PaymentAttempt) -> bool:
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


def sweep(ctx: Context) -> int:
    """Ask for open payments whose callback is overdue, and end unpaid orders whose time is over.

    Runs every few seconds in one process at a time; answers how many attempts and orders it looked at.
    """
    now = clock.now()
    with ctx.db.read() as tx:
        asked = queries.due_for_query(tx, now=now, limit=SWEEP_MOST)
        due = (Order.state == OrderState.PENDING_PAYMENT.value, Order.due_at <= now)
        ending = list(tx.scalars(select(Order).where(*due).order_by(Order.due_at).limit(SWEEP_MOST)).all())
        attempts = queries.attempts_of(tx, [order.id for order in ending])
    if not asked and not ending:
        return 0
    _plan_next_query(ctx, asked, now)
    asyncio.run(_sweep(ctx, asked, ending, attempts))
    return len(asked) + len(ending)


def _plan_next_query(ctx: Context, asked: Sequence[PaymentAttempt], now: datetime) -> None:
    with ctx.db.tx() as tx:
        for attempt in asked:
            wait = QUERY_AFTER_SECONDS[min(attempt.queries + 1, len(QUERY_AFTER_SECONDS) - 1)]
            tx.execute(
                update(PaymentAttempt)
                .where(PaymentAttempt.id == attempt.id)
                .values(query_at=now + timedelta(seconds=wait), queries=PaymentAttempt.queries + 1)
            )


async def _sweep(
    ctx: Context,
    asked: Sequence[PaymentAttempt],
    ending: Sequence[Order],
    attempts: Mapping[UUID, Sequence[PaymentAttempt]],
) -> None:
    gate = asyncio.Semaphore(8)

    async def quietly(what: str, work: Coroutine[None, None, object]) -> None:
        async with gate:
            try:
                await work
            except (ChannelUnknown, ChannelRefused) as error:
                _log.warning("channel gave no answer", extra={"what": what, "error": str(error)})
            except Exception:  # noqa: BLE001 - one that cannot be ended must not keep the others from it
                _log.exception("left for the next sweep", extra={"what": what})

    await asyncio.gather(
        *(quietly(attempt.out_trade_no, _ask(ctx, attempt)) for attempt in asked if attempt.channel in ctx.gateways),
        *(quietly(order.code, _end(ctx, order, attempts[order.id])) for order in ending),
    )


async def _end(ctx: Context, order: Order, attempts: Sequence[PaymentAttempt]) -> None:
    """Expire one order: close its attempts at their channels first, so that nobody pays for units given back.

    Money that came first delivers the order. Money that does not fit it is an exception, and holds no units.
    """
    closed: list[UUID] = []
    for attempt in attempts:
        if attempt.state == AttemptState.CLOSED or attempt.channel not in ctx.gateways:
            continue
        outcome = await _close(ctx.gateways[attempt.channel], attempt)
        if isinstance(outcome, PaymentFact):
            merchant_id = ctx.gateways[attempt.channel].merchant_id
            applied = await ctx.batch.submit(actions.ApplyPayment(fact=outcome, merchant_id=merchant_id))
            if applied is not actions.Outcome.EXCEPTION:
                return
        elif outcome:
            closed.append(attempt.id)
        elif clock.now() < order.expires_at + timedelta(minutes=CLOSE_GRACE_MINUTES):
            await asyncio.to_thread(_look_again_later, ctx, order)
            return
    await ctx.batch.submit(EndUnpaid(order.id, OrderState.EXPIRED, tuple(closed)))


async def _close(gateway: Gateway, attempt: PaymentAttempt) -> PaymentFact | bool:
    """Close one attempt: True when it is closed, the fact when money came first, False when nobody knows."""
    try:
        await gateway.close(attempt.out_trade_no)
    except ChannelUnknown:
        return False
    except ChannelRefused as refusal:
        if refusal.reason_code == "NOT_FOUND":
            return True  # the channel never opened it
        try:
            fact = await gateway.query(attempt.out_trade_no)
        except (ChannelUnknown, ChannelRefused):
            return False
        if fact is not None and fact.state == "paid":
            return fact
        return fact is None or fact.state == "closed"
    return True


def _look_again_later(ctx: Context, order: Order) -> None:
    with ctx.db.tx() as tx:
        guard = (Order.id == order.id, Order.state == OrderState.PENDING_PAYMENT.value)
        tx.execute(update(Order).where(*guard).values(due_at=clock.now() + timedelta(minutes=1)))


def _end_unpaid(tx: Tx, commands: Sequence[EndUnpaid]) -> list[None]:
    for to in {command.to for command in commands}:
        mine = [command for command in commands if command.to is to]
        orders.end_unpaid(tx, [command.order_id for command in mine], to=to, actor="system")
        actions.close(tx, [attempt for command in mine for attempt in command.closed_attempts])
    return [None] * len(commands)


def _complete(ctx: Context) -> None:
    with ctx.db.tx() as tx:
        orders.complete_due(tx)


# --- the buyer sees the keys ---


def reveal(ctx: Context, order: Order, *, actor: str, request_id: str) -> list[RevealedLine]:
    """The keys of a delivered order. The reveal log is committed before the first key is opened.

    Callers have checked `orders.queries.may_see_keys`. Runs in a worker thread.
    """
    with ctx.db.read() as tx:
        lines = order_queries.lines(tx, order.id)
    units = tuple(orders.units_of(lines))
    views = ctx.batch.call(LogReveal(order=order, lines=units, actor=actor, request_id=request_id))
    with ctx.db.read() as tx:
        cards = vault.delivered(tx, ctx.keys, dict(zip(views, units, strict=True)))
    return [
        RevealedLine(
            title=line.title,
            sku_code=line.sku_code,
            cards=tuple(parse_canonical(secret.reveal()) for secret in cards.get(line.id, [])),
        )
        for line in lines
    ]


_ORDER = table_of(Order)
_FIRST_VIEW = (
    update(_ORDER)
    .where(_ORDER.c.id.in_(bindparam("orders", expanding=True)), _ORDER.c.first_viewed_at.is_(None))
    .values(first_viewed_at=bindparam("at"))
)


def _log_reveals(tx: Tx, commands: Sequence[LogReveal]) -> list[list[UUID]]:
    """Log the lines of each command; answers the rows of the reveal log, by which their keys are opened."""
    views = [
        vault.View(vault.Delivery(line), actor=command.actor, request_id=command.request_id)
        for command in commands
        for line in command.lines
    ]
    logged = iter(vault.log_views(tx, views))
    first = [command.order.id for command in commands if command.order.first_viewed_at is None]
    if first:
        tx.connection().execute(_FIRST_VIEW, {"orders": first, "at": clock.now()})
    return [[next(logged) for _ in command.lines] for command in commands]
