"""The use cases between buyer, database and channel: place, notice, refresh, reveal.

Each talks to the channel only between transactions. What is acknowledged was committed. A time-out at the channel
is the state `unknown` and is followed by a query under the same number, never by a second attempt.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import bindparam, update

from server import jobs
from server.context import Context
from server.db import Tx, table_of
from server.gateways.port import ChannelRefused, ChannelUnknown, CreatePayment, NoticeReply
from server.orders import actions as orders
from server.orders import queries as order_queries
from server.orders.model import Order
from server.orders.unpaid import Limits
from server.payments import actions, ending, queries
from server.payments.ending import EndUnpaid, sweep
from server.payments.model import PaymentAttempt
from server.stock import actions as stock
from server.stock import vault
from shared import clock
from shared.cardkey import Card, parse_canonical
from shared.errors import Busy, Conflict, KamengError, NotFound, TooMany
from shared.money import Fen
from shared.states import AttemptState, OrderState

RECHECK = "payments.recheck"
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
    settings = ctx.settings
    limits = Limits(
        device_orders=settings.hold_orders_per_device,
        device_units=settings.hold_units_per_device,
        address_orders=settings.hold_orders_per_address,
        address_units=settings.hold_units_per_address,
    )
    place_all = partial(actions.checkout, hold_minutes=settings.hold_minutes, limits=limits)
    ctx.batch.register(actions.ApplyPayment, actions.apply, rank=10, alone=True)
    ctx.batch.register(EndUnpaid, ending.end_unpaid, rank=20, alone=True)
    # These two share a transaction: orders are locked before attempts, as everywhere.
    ctx.batch.register(LogReveal, _log_reveals, rank=30)
    ctx.batch.register(actions.OpenAttempt, actions.open_attempts, rank=40)
    ctx.batch.register(orders.PlaceOrder, partial(_place_all, ctx, place_all), rank=90, lane=1, alone=True)
    ctx.jobs.outside(RECHECK, lambda args: _recheck(ctx, **args))
    ctx.jobs.every("payments.sweep", ending.SWEEP_SECONDS, lambda: sweep(ctx), apart=True)
    ctx.jobs.every("orders.complete", 60.0, lambda: _complete(ctx))
    ctx.db.listen(ctx.hints.heard)


def _place_all(
    ctx: Context,
    place_all: Callable[[Tx, Sequence[orders.PlaceOrder]], list[actions.Checkout | KamengError]],
    tx: Tx,
    commands: Sequence[orders.PlaceOrder],
) -> list[actions.Checkout | KamengError]:
    """The handler of `PlaceOrder`: remembers what could not be sold, so that a crowd need not come this far."""
    news = ctx.hints.news
    placed = place_all(tx, commands)
    for command, one in zip(commands, placed, strict=True):
        if isinstance(one, orders.SoldOut):
            ctx.hints.fell_short(command.sku, int(one.params["left"]), news=news)
    return placed


# --- placing ---


async def place(ctx: Context, command: orders.PlaceOrder) -> PlacedOrder:
    """Place the order, then open its payment at the channel. Repeating with the same key answers the same order."""
    if command.channel not in ctx.gateways:
        raise ChannelOff
    left = ctx.hints.left_of(command.sku, command.quantity)
    if left is not None and not await asyncio.to_thread(_stands, ctx, command):
        ctx.hints.count_refused()
        raise orders.SoldOut(left=left)
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


def _stands(ctx: Context, command: orders.PlaceOrder) -> bool:
    """Whether the order was placed before: then it is answered, whatever is left."""
    with ctx.db.read() as tx:
        return order_queries.is_placed(tx, command.buyer_id, command.idempotency_key)


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
        if not await ending.ask(ctx, attempt) and attempt.pay_url is None and attempt.expires_at > clock.now():
            await ctx.batch.submit(await _open(ctx, attempt))
    except (ChannelUnknown, ChannelRefused) as error:
        _log.warning("channel gave no answer", extra={"out_trade_no": attempt.out_trade_no, "error": str(error)})


def _open_attempt_of(ctx: Context, code: str) -> PaymentAttempt | None:
    with ctx.db.read() as tx:
        order = order_queries.find(tx, code)
        if order is None or order.state not in _ASKABLE:
            return None
        return queries.current_attempt(tx, order.id)


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
    .where(_ORDER.c.id == bindparam("order"), _ORDER.c.first_viewed_at.is_(None))
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
    first = sorted({command.order.id for command in commands if command.order.first_viewed_at is None})
    if first:
        tx.connection().execute(_FIRST_VIEW, [{"order": order_id, "at": clock.now()} for order_id in first])
    return [[next(logged) for _ in command.lines] for command in commands]
