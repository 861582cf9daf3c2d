"""The use cases between buyer, database and channel: place, pay again, refresh, reveal.

Each talks to the channel only between transactions. A time-out at the channel is the state `unknown` and is followed by
a query under the same number, never by a second attempt beside it: an order has one open attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from server.context import Context
from server.db import Tx
from server.gateways.port import (
    NEEDS_PAYER,
    SPLITTING,
    ChannelRefused,
    ChannelUnknown,
    CreatePayment,
    Payer,
    PaymentFact,
    Product,
    Reason,
)
from server.jobs import Lane
from server.orders import actions as orders
from server.orders import links
from server.orders import queries as order_queries
from server.orders.model import Order
from server.orders.unpaid import Limits
from server.payments import (
    actions,
    applying,
    asking,
    attempts,
    bills,
    callbacks,
    channels,
    ending,
    notices,
    payers,
    queries,
    revealing,
)
from server.payments.asking import sweep
from server.payments.attempts import NotPayable
from server.payments.channels import ChannelOff
from server.payments.ending import EndUnpaid
from server.payments.exceptions import acting, checking, confirming, raising
from server.payments.model import PaymentAttempt
from server.payments.terms import Terms
from shared import clock
from shared.errors import KamengError, NotFound, TooMany
from shared.money import Fen
from shared.states import AttemptState, FoundBy, OrderState

_ASKABLE = frozenset({OrderState.PENDING_PAYMENT.value, OrderState.EXPIRED.value, OrderState.CANCELLED.value})
"""Orders for which a channel may still know of money: not every channel can close what an order that ended had open."""

_USED_UP = frozenset({Reason.ALREADY_CLOSED.value, Reason.OUT_TRADE_NO_USED.value})
"""Refusals that mean: this number opens nothing any more."""

_STILL_OPEN = frozenset({Reason.ALREADY_PAID.value, Reason.TOO_OFTEN.value})
"""Refusals that say nothing of the number."""

BY_PREFERENCE = ("qr", "page", "h5")
"""How somebody pays who does not say where the page is open."""

ANYBODY = Payer()

_log = logging.getLogger("kameng.payments")


class StillOpen(KamengError):
    """The channel of the first payment gave no answer, so that nobody knows whether it could be paid as well."""

    code = "still_open"
    status = 503
    zh = "上一种支付方式暂时没有回应，为避免重复付款，还不能换用其他方式。请稍后再试，或继续用原方式支付。"
    en = (
        "The first payment method is not answering; so that you do not pay twice, another one cannot be opened yet. "
        "Try again later, or pay with the first one."
    )


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """What a buyer gets for placing an order; nothing to pay by while the channel has not answered.

    `trouble` is why it has not: the channel's silence, or its refusal. Another way to pay is offered then.
    """

    code: str
    state: OrderState
    amount_fen: Fen
    expires_at: datetime
    link_token: str
    pay_url: str | None
    qr_text: str | None
    trouble: KamengError | None = None


def register(ctx: Context) -> None:
    """Wire this domain's commands, jobs and schedules; called once by `app`."""
    settings = ctx.settings
    limits = Limits(
        device_orders=settings.hold_orders_per_device,
        device_units=settings.hold_units_per_device,
        address_orders=settings.hold_orders_per_address,
        address_units=settings.hold_units_per_address,
    )
    terms = Terms.of(settings)
    # In the sandbox every channel grants what it can do.
    splitting = SPLITTING if settings.sandbox_url else SPLITTING & settings.channels_that_split
    place_all = partial(attempts.checkout, hold_minutes=settings.hold_minutes, splitting=splitting, limits=limits)
    start_anew = partial(attempts.next_attempts, splitting=splitting)
    ctx.batch.register(actions.ApplyPayment, partial(actions.apply, terms=terms), rank=10, alone=True)
    ctx.batch.register(EndUnpaid, ending.end_unpaid, rank=20, alone=True)
    ctx.batch.register(ending.CloseAttempts, ending.close_attempts, rank=22, alone=True)
    ctx.batch.register(attempts.NextAttempt, start_anew, rank=25, alone=True)
    # These two share a transaction: orders are locked before attempts, as everywhere.
    ctx.batch.register(revealing.LogReveal, revealing.log_reveals, rank=30)
    ctx.batch.register(attempts.OpenAttempt, attempts.open_attempts, rank=40)
    ctx.batch.register(orders.PlaceOrder, partial(_place_all, ctx, place_all), rank=90, lane=1, alone=True)
    ctx.jobs.outside(notices.RECHECK, lambda args: notices.recheck(ctx, **args))
    ctx.jobs.outside(confirming.CHECK, lambda args: checking.afterwards(ctx, UUID(args["attempt_id"])))
    ctx.jobs.outside(bills.DROPPED, lambda args: bills.read_dropped(ctx, UUID(args["file_id"])), lane=Lane.BILLS)
    ctx.jobs.within(raising.DUE, lambda tx, args: acting.act_due(tx, UUID(args["id"])))
    ctx.jobs.every("payments.sweep", asking.SWEEP_SECONDS, lambda: sweep(ctx), apart=True)
    ctx.jobs.every("payments.bills", bills.LOOK_SECONDS, lambda: bills.read_due(ctx), apart=True)
    ctx.jobs.every("payments.forget", 3_600, lambda: callbacks.forget_old(ctx.db), apart=True)
    ctx.jobs.every("orders.complete", 60.0, lambda: _complete(ctx))
    ctx.db.listen(ctx.hints.heard)
    ctx.db.listen(ctx.signals.heard)
    ctx.db.listen(partial(_count, ctx))
    ctx.metrics.watch(lambda: queries.gauges(ctx))


def _count(ctx: Context, news: object) -> None:
    if isinstance(news, actions.Found):
        ctx.metrics.payment_found(news.by.value)


def _place_all(
    ctx: Context,
    place_all: Callable[[Tx, Sequence[orders.PlaceOrder]], list[attempts.Checkout | KamengError]],
    tx: Tx,
    commands: Sequence[orders.PlaceOrder],
) -> list[attempts.Checkout | KamengError]:
    """The handler of `PlaceOrder`: remembers what could not be sold, so that a crowd need not come this far."""
    news = ctx.hints.news
    placed = place_all(tx, commands)
    for command, one in zip(commands, placed, strict=True):
        if isinstance(one, orders.SoldOut):
            ctx.hints.fell_short(command.sku, int(one.params["left"]), news=news)
    return placed


# --- placing ---


async def place(
    ctx: Context, command: orders.PlaceOrder, *, product: Product | None = None, payer: Payer = ANYBODY
) -> PlacedOrder:
    """Place the order, then open its payment at the channel. Repeating with the same key answers the same order.

    `product` is how this buyer pays, by where the page is open; None takes what the channel offers, a code first.
    `payer` is what some products must know of the buyer. Raises ChannelOff for a channel, or a product of it, that the
    shop does not take, and what placing refuses. A channel that does not answer is no error: see `trouble`.
    """
    chosen = product_of(ctx, command.channel, product)
    command = replace(command, product=chosen)
    left = ctx.hints.left_of(command.sku, command.quantity)
    if left is not None and not await asyncio.to_thread(_stands, ctx, command):
        ctx.hints.count_refused()
        raise orders.SoldOut(left=left)
    checkout: attempts.Checkout = await ctx.batch.submit(command)
    order, attempt = checkout.order, checkout.attempt
    pay_url, qr_text, trouble = attempt.pay_url, attempt.qr_text, None
    if attempt.state in {AttemptState.CREATED, AttemptState.UNKNOWN} and order.state == OrderState.PENDING_PAYMENT:
        done, trouble = await _open(ctx, attempt, chosen, payer)
        pay_url, qr_text = (done.opened.pay_url, done.opened.qr_text) if done.opened else (None, None)
    return PlacedOrder(
        code=order.code,
        state=OrderState(order.state),
        amount_fen=order.amount_fen,
        expires_at=order.expires_at,
        link_token=links.token_of(ctx.keys, order.id),
        pay_url=pay_url,
        qr_text=qr_text,
        trouble=trouble,
    )


def product_of(ctx: Context, channel: str, wished: str | None = None) -> Product:
    """How to pay through this channel: as wished, or what it offers, a code to scan first. Raises ChannelOff."""
    if channel in ctx.gateways:
        offered = {str(product): product for product in ctx.gateways[channel].products}
        for name in BY_PREFERENCE if wished is None else (wished,):
            if name in offered:
                return offered[name]
    raise ChannelOff


def _stands(ctx: Context, command: orders.PlaceOrder) -> bool:
    """Whether the order was placed before: then it is answered, whatever is left."""
    with ctx.db.read() as tx:
        return order_queries.is_placed(tx, command.buyer_id, command.idempotency_key)


# --- paying ---


async def pay_again(
    ctx: Context, code: str, channel: str, *, product: Product | None = None, payer: Payer = ANYBODY
) -> KamengError | None:
    """The buyer wants to pay an unpaid order, through this channel and in this way.

    What is open and fits is left as it is, or made anew under its own number where the channel's link has ended. What
    is open otherwise is closed at its channel, and asked about, before another attempt is opened: money that came first
    delivers the order. What its channel cannot close stays open and is asked about beside it; paid twice goes back.
    Afterwards the order's page shows how to pay (`queries.pay_state`); answers the channel's refusal or silence where
    there is nothing to show.

    Raises NotFound, NotPayable when the order does not wait for money, ChannelOff, TooMany, and StillOpen when the
    channel of the first attempt does not say that it is closed.
    """
    chosen = product_of(ctx, channel, product)
    order, its = await asyncio.to_thread(_order_and_attempts, ctx, code)
    if order.state != OrderState.PENDING_PAYMENT or order.expires_at <= clock.now():
        raise NotPayable(state=order.state)
    standing = [one for one in its if one.state in attempts.OPEN_STATES]
    # The latest one is the one that the page shows; an earlier one that could not be closed is nobody's wish any more.
    latest = next((one for one in standing if one is its[-1] and (one.channel, one.product) == (channel, chosen)), None)
    same = latest if latest and payers.fits(latest, payers.hash_of(ctx.keys, channel, chosen, payer)) else None
    if same is not None and same.state == AttemptState.PENDING and queries.link_is_alive(same, clock.now()):
        return None
    ctx.buckets.take("pay_again", order.code)
    if same is not None:
        done, trouble = await _open(ctx, same, chosen, payer)
        if done.to is not AttemptState.CLOSED and not _is_used_up(same, trouble):
            return trouble
    if (trouble := await asyncio.to_thread(_why_not, ctx, channel)) is not None:
        return trouble
    closed: list[UUID] = []
    left_open: list[UUID] = []
    for attempt in standing:
        outcome = await ending.close(ctx, attempt, FoundBy.PAGE)
        if isinstance(outcome, PaymentFact):
            await applying.apply(ctx, outcome, FoundBy.PAGE)
            return None
        if outcome is ending.Closing.UNKNOWN:
            if closed:
                await ctx.batch.submit(ending.CloseAttempts(order.id, tuple(closed)))
            raise StillOpen
        (closed if outcome.shuts(attempt) else left_open).append(attempt.id)
    following = attempts.NextAttempt(order.id, channel, chosen, tuple(closed), tuple(left_open))
    fresh = await ctx.batch.submit(following)
    if fresh.state == AttemptState.CREATED and (fresh.channel, fresh.product) == (channel, chosen):
        _, trouble = await _open(ctx, fresh, chosen, payer)
        return trouble
    return None


def _why_not(ctx: Context, channel: str) -> KamengError | None:
    """Why nothing can be opened through this channel now: what works must not be closed for it. Raises ChannelOff."""
    with ctx.db.read() as tx:
        offer = next(one for one in channels.offers(ctx, tx) if one.code == channel)
    if not offer.enabled:
        raise ChannelOff
    return ChannelUnknown(channel=channel, detail="away, not asked") if offer.away else None


def _order_and_attempts(ctx: Context, code: str) -> tuple[Order, list[PaymentAttempt]]:
    with ctx.db.read() as tx:
        order = order_queries.find(tx, code)
        if order is None:
            raise NotFound
        return order, queries.attempts_of(tx, [order.id])[order.id]


def _is_used_up(attempt: PaymentAttempt, trouble: KamengError | None) -> bool:
    """Whether its number opens nothing any more.

    What was open once is refused for what it says anew: WeChat Pay takes no repeat from another network, whose address
    is a part of it.
    """
    if not isinstance(trouble, ChannelRefused):
        return False
    was_open = attempt.state == AttemptState.PENDING and trouble.reason_code not in _STILL_OPEN
    return was_open or trouble.reason_code in _USED_UP


async def _open(
    ctx: Context, attempt: PaymentAttempt, product: Product, payer: Payer
) -> tuple[attempts.OpenAttempt, KamengError | None]:
    """Ask the channel to open the payment, and store what it says; with why it did not.

    The same number with the same content: a repeat opens nothing twice. Money that came first is applied. A link of a
    number that was closed meanwhile, by a request beside this one, is shown to nobody, and closed at its channel.
    Nothing is asked, nor stored, while nobody knows who pays and the product must.
    """
    whose = payers.hash_of(ctx.keys, attempt.channel, product, payer)
    if product in NEEDS_PAYER and whose is None:
        return attempts.OpenAttempt(attempt, product, opened=None), None
    payment = _payment_of(ctx, attempt, product, payer)
    trouble: KamengError | None = None
    try:
        opened = await channels.call(ctx, attempt.channel, lambda gateway: gateway.create(payment))
        done = attempts.OpenAttempt(attempt, product, opened, payer_hash=whose)
    except ChannelUnknown as unknown:
        trouble = unknown
        done = attempts.OpenAttempt(attempt, product, opened=None, payer_hash=whose)
    except ChannelRefused as refusal:
        trouble = refusal
        if refusal.reason_code == Reason.ALREADY_PAID:
            await asking.ask_for_page(ctx, attempt)
        is_first = attempt.state == AttemptState.CREATED and refusal.reason_code not in {
            Reason.ALREADY_PAID.value,
            Reason.TOO_OFTEN.value,
        }
        done = attempts.OpenAttempt(attempt, product, opened=None, refused=is_first)
    if trouble is not None:
        _log.warning("payment not opened", extra={"out_trade_no": attempt.out_trade_no, "error": str(trouble)})
    if not await ctx.batch.submit(done) and done.opened is not None:
        return await _take_back(ctx, attempt, product)
    return done, trouble


async def _take_back(
    ctx: Context, attempt: PaymentAttempt, product: Product
) -> tuple[attempts.OpenAttempt, KamengError | None]:
    """The attempt has ended while its channel opened it: nothing may be paid by what the channel has answered."""
    outcome = await ending.close(ctx, attempt, FoundBy.PAGE)
    nothing = attempts.OpenAttempt(attempt, product, opened=None)
    if isinstance(outcome, PaymentFact):
        await applying.apply(ctx, outcome, FoundBy.PAGE)
        return nothing, None
    return nothing, ChannelUnknown(channel=attempt.channel, detail="closed while it was opened")


def _payment_of(ctx: Context, attempt: PaymentAttempt, product: Product, payer: Payer) -> CreatePayment:
    base = ctx.settings.base_url.rstrip("/")
    return CreatePayment(
        out_trade_no=attempt.out_trade_no,
        amount_fen=attempt.amount_fen,
        subject=attempt.subject,
        notify_url=f"{base}/pay/{attempt.channel}/notify",
        return_url=f"{base}/o/{attempt.order_code}/back",
        expires_at=attempt.expires_at,
        product=product,
        payer=payer,
        is_shared=attempt.is_shared,
    )


# --- we ask ---


async def refresh(ctx: Context, code: str, *, payer: Payer = ANYBODY) -> None:
    """The buyer's "I have paid", and the return from the channel: ask it, also after the order ended.

    Every way that the buyer tried is asked about, each at most once in three seconds. Opens the payment again where the
    channel had not answered. An unreachable channel changes nothing, and what comes back from it in an address proves
    nothing: only its answer does. Raises NotFound.
    """
    order, its = await asyncio.to_thread(_order_and_attempts, ctx, code)
    if order.state not in _ASKABLE:
        return
    asked = [one for one in its if one.state != AttemptState.PAID and _may_be_asked(ctx, one)]
    has_come = any(await asyncio.gather(*(asking.ask_for_page(ctx, one) for one in asked)))
    if has_come or not asked or asked[-1] is not its[-1] or order.state != OrderState.PENDING_PAYMENT:
        return
    latest = asked[-1]
    if latest.state in {AttemptState.CREATED, AttemptState.UNKNOWN} and latest.expires_at > clock.now():
        await _open(ctx, latest, product_of(ctx, latest.channel, latest.product), payer)


def _may_be_asked(ctx: Context, attempt: PaymentAttempt) -> bool:
    try:
        ctx.buckets.take("payment_query", attempt.out_trade_no)
    except TooMany:
        return False
    return attempt.channel in ctx.gateways


def _complete(ctx: Context) -> None:
    with ctx.db.tx() as tx:
        orders.complete_due(tx, after_days=ctx.settings.complete_after_days)
