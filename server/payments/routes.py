"""HTTP of orders and payments: placing, the channels' notifications, staff's lists of orders and exceptions.

Orders have no routes of their own: every answer about an order tells of its payment, and orders may not import
payments. The two hot routes are `async def`: they parse, await the batcher, and answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from server import context, policy, web
from server.db import Tx, retrying
from server.gateways.port import BadSignature, MalformedNotice, NoticeReply
from server.orders import queries as orders
from server.orders import selling
from server.orders.actions import PlaceOrder
from server.orders.model import Order, OrderLine
from server.orders.unpaid import origin_of
from server.payments import channels, checkout, notices, queries, watching
from server.payments.exceptions import acting, checking, guessing, showing
from server.payments.model import PaymentAttempt
from server.payments.terms import Terms
from server.policy import BUYER, CHANNEL, Actor, Router
from shared.contracts import orders as wire
from shared.contracts import payments as money
from shared.contracts.base import Day, Page
from shared.errors import NotFound
from shared.ids import parse_order_code
from shared.permissions import Permission, Role
from shared.states import AttemptState, ExceptionKind, ExceptionState, FoundBy, OrderState

router = Router()
notifications = Router()
"""The channels' notifications alone: what `kameng-server serve --only callbacks` answers."""


@router.post("/api/orders", allow=BUYER, status_code=201, response_model=wire.Placed)
async def place_order(request: Request) -> Response:
    """Place an order and open its payment. The same key with the same body answers the same order."""
    ctx, buyer = context.of(request), policy.actor(request)
    assert buyer.id is not None  # the guard made or found the device
    body = await web.read_json(request, wire.PlaceOrder)
    if not selling.is_sold(request.headers.get("user-agent", ""), mini_program=body.mini_program):
        raise selling.NotSoldHere
    command = PlaceOrder(
        buyer_id=buyer.id,
        idempotency_key=web.idempotency_key(request),
        sku=body.sku,
        quantity=body.quantity,
        amount_fen=body.amount_fen,
        channel=body.channel,
        origin=origin_of(ctx.keys, web.client_prefix(request)),
        agreed_to=body.agreed_to,
    )
    placed = await checkout.place(ctx, command)
    answer = wire.Placed(
        code=placed.code,
        state=placed.state,
        amount_fen=placed.amount_fen,
        expires_at=placed.expires_at,
        order_url=f"{ctx.settings.base_url}/o/{placed.code}/k/{placed.link_token}",
        pay_url=placed.pay_url,
        qr_text=placed.qr_text,
    )
    web.facts_of(request).private = True  # the link opens the keys
    return web.json_response(answer, 201)


@notifications.post("/pay/{channel}/notify", allow=CHANNEL, response_model=None)
async def notify(request: Request) -> Response:
    """A channel tells about money. What it gets back as accepted was committed before."""
    return await _take(request, await request.body())


@notifications.get("/pay/{channel}/notify", allow=CHANNEL, response_model=None)
async def notify_by_address(request: Request) -> Response:
    """The same from channels that tell in the address, as Epay does."""
    return await _take(request, request.scope["query_string"])


async def _take(request: Request, body: bytes) -> Response:
    ctx, channel = context.of(request), request.path_params["channel"]
    told = notices.Told(channel, request.headers, body, network=web.client_network(request))
    try:
        reply = await notices.take(ctx, told)
    except (BadSignature, MalformedNotice) as refusal:
        web.note_denial(request, refusal)
        reply = ctx.gateways[channel].refused(refusal.code)
    return _as_response(reply)


def _as_response(reply: NoticeReply) -> Response:
    return Response(reply.body, reply.status, media_type=reply.media_type)


# --- staff ---


@router.get("/api/orders", allow=Permission.ORDERS_ORDER_READ)
def list_orders(
    request: Request,
    state: OrderState | None = None,
    q: str | None = Query(default=None, max_length=64),
    day: Day | None = None,
    after: UUID | None = None,
    limit: int = Query(default=100, ge=1, le=500),
) -> Page[wire.Order]:
    """Orders of the actor's scope, newest first. `q` is an order code, our number or the channel's number."""
    who = policy.actor(request)
    with context.of(request).db.read() as tx:
        among = _search(tx, q) if q else None
        rows, more = orders.page(tx, who, state=state, day=day, among=among, after=after, limit=limit)
        return Page[wire.Order](items=_answers(tx, who, rows), next=str(more) if more else None)


@router.get("/api/orders/{code}", allow=Permission.ORDERS_ORDER_READ)
def one_order(request: Request, code: str) -> wire.Order:
    """One order of the actor's scope, by its code as people type it."""
    who = policy.actor(request)
    canonical = parse_order_code(code)
    if canonical is None:
        raise NotFound
    with context.of(request).db.read() as tx:
        row = tx.scalars(orders.scoped(who).where(Order.code == canonical)).first()
        if row is None:
            raise NotFound
        return _answers(tx, who, [row])[0]


@router.post("/api/orders/{code}/ask", allow=Permission.PAYMENTS_EXCEPTION_HANDLE)
async def ask_about_order(request: Request, code: str) -> wire.Order:
    """Ask the channels now about every payment of the order that has not come; answers the order as it stands then."""
    order_id = await asyncio.to_thread(_id_of, request, code)
    await watching.ask_all(context.of(request), order_id)
    return await asyncio.to_thread(one_order, request, code)


@router.post("/api/orders/{code}/confirm", allow=Permission.PAYMENTS_EXCEPTION_HANDLE)
def confirm_payment(request: Request, code: str, body: money.ConfirmPayment) -> money.PaymentException:
    """Propose that an order was paid, as the channel's own console shows; another person approves it."""
    who, request_id = policy.actor(request), web.request_id(request)
    order_id = _id_of(request, code)

    def propose(tx: Tx) -> money.PaymentException:
        raised = acting.propose_payment(tx, order_id, body, actor=who, request_id=request_id)
        return showing.one(tx, who, raised)

    return retrying(context.of(request).db, propose)


def _id_of(request: Request, code: str) -> UUID:
    """The order that the actor may know. Raises NotFound."""
    canonical = parse_order_code(code)
    with context.of(request).db.read() as tx:
        found = orders.scoped(policy.actor(request)).where(Order.code == canonical)
        order = tx.scalars(found).first() if canonical else None
        if order is None:
            raise NotFound
        return order.id


def _search(tx: Tx, q: str) -> list[UUID]:
    """The orders that a code or a payment number names."""
    canonical = parse_order_code(q)
    order = orders.find(tx, canonical) if canonical else None
    return [order.id] if order else queries.orders_by_number(tx, q.strip())


def _answers(tx: Tx, who: Actor, rows: Sequence[Order]) -> list[wire.Order]:
    ids = [row.id for row in rows]
    lines = orders.lines_for(tx, who, ids)
    attempts = queries.attempts_of(tx, ids)
    return [_answer(who, row, lines[row.id], attempts[row.id]) for row in rows]


def _answer(who: Actor, row: Order, lines: list[OrderLine], attempts: list[PaymentAttempt]) -> wire.Order:
    """A supplier's person sees its own lines, their sum, and nothing of the payment's numbers."""
    supplier = who.role is Role.SUPPLIER
    paid = [attempt for attempt in attempts if attempt.state == AttemptState.PAID]
    attempt = None if supplier else next(iter(paid or attempts[-1:]), None)
    return wire.Order(
        id=row.id,
        code=row.code,
        state=OrderState(row.state),
        amount_fen=sum(line.amount_fen for line in lines) if supplier else row.amount_fen,
        refunded_fen=None if supplier else row.refunded_fen,
        created_at=row.created_at,
        expires_at=row.expires_at,
        paid_at=row.paid_at,
        delivered_at=row.delivered_at,
        channel=attempt.channel if attempt else None,
        channels=[] if supplier else list(dict.fromkeys(one.channel for one in reversed(attempts))),
        out_trade_no=attempt.out_trade_no if attempt else None,
        provider_no=attempt.provider_no if attempt else None,
        found_by=FoundBy(attempt.found_by) if attempt and attempt.found_by else None,
        channel_fee_fen=attempt.fee_fen if attempt else None,
        channel_fee_is_final=attempt.fee_is_final if attempt else False,
        lines=[
            wire.OrderLine(
                sku=line.sku_code,
                title=line.title,
                unit_price=line.unit_price,
                quantity=line.quantity,
                amount_fen=line.amount_fen,
                supplier_fen=line.supplier_fen,
                fee_fen=line.fee_fen,
            )
            for line in lines
        ],
        version=row.version,
    )


# --- exceptions ---


@router.get("/api/exceptions", allow=Permission.PAYMENTS_EXCEPTION_READ)
def list_exceptions(
    request: Request,
    open_only: Annotated[bool, Query(alias="open")] = True,
    state: ExceptionState | None = None,
    kind: ExceptionKind | None = None,
    channel: str | None = Query(default=None, max_length=16),
    after: UUID | None = None,
    limit: int = Query(default=200, ge=1, le=500),
) -> Page[money.PaymentException]:
    """Money and orders that need a person, oldest first."""
    only = showing.Only(open=open_only, state=state, kind=kind, channel=channel)
    with context.of(request).db.read() as tx:
        return showing.page(tx, policy.actor(request), only=only, after=after, limit=limit)


@router.get("/api/exceptions/{exception_id}", allow=Permission.PAYMENTS_EXCEPTION_READ)
def one_exception(request: Request, exception_id: UUID) -> money.PaymentException:
    """One of them, open or closed."""
    with context.of(request).db.read() as tx:
        return showing.one(tx, policy.actor(request), exception_id)


@router.get("/api/exceptions/{exception_id}/candidates", allow=Permission.PAYMENTS_EXCEPTION_READ)
def candidates(request: Request, exception_id: UUID) -> list[money.Candidate]:
    """The unpaid orders that its money may be meant for, the nearest in time first."""
    with context.of(request).db.read() as tx:
        return guessing.candidates(tx, exception_id)


@router.post("/api/exceptions/{exception_id}/propose", allow=Permission.PAYMENTS_EXCEPTION_HANDLE)
def propose_action(request: Request, exception_id: UUID, body: money.ProposeAction) -> money.PaymentException:
    """Say what should be done; another person approves it where money or goods move, else it is done at once."""
    who, request_id = policy.actor(request), web.request_id(request)

    def propose(tx: Tx) -> money.PaymentException:
        acting.propose(tx, exception_id, body, actor=who, request_id=request_id)
        return showing.one(tx, who, exception_id)

    return retrying(context.of(request).db, propose)


@router.post("/api/exceptions/{exception_id}/approve", allow=Permission.PAYMENTS_EXCEPTION_HANDLE)
async def approve_action(request: Request, exception_id: UUID, body: money.ApproveAction) -> money.PaymentException:
    """The second person says yes, and it is done, or no, and it is open again.

    A channel that can be asked has its say before people's word on a payment is taken.
    """
    ctx, who, request_id = context.of(request), policy.actor(request), web.request_id(request)
    terms = Terms.of(ctx.settings)

    def approve(tx: Tx) -> money.PaymentException:
        acting.approve(tx, exception_id, body, actor=who, request_id=request_id, terms=terms)
        return showing.one(tx, who, exception_id)

    await checking.before(ctx, exception_id, body, actor=who)
    return await asyncio.to_thread(retrying, ctx.db, approve)


# --- channels ---


@router.get("/api/channels", allow=Permission.PAYMENTS_CHANNEL_READ)
def list_channels(request: Request) -> list[money.Channel]:
    """The payment channels of the shop: which take new payments, and which do not answer."""
    ctx = context.of(request)
    with ctx.db.read() as tx:
        return channels.listing(ctx, tx)


@router.put("/api/channels/{code}", allow=Permission.PAYMENTS_CHANNEL_SWITCH)
def switch_channel(request: Request, code: str, body: money.SwitchChannel) -> money.Channel:
    """Take new payments through a channel, or not. What is open there goes on."""
    ctx, who, request_id = context.of(request), policy.actor(request), web.request_id(request)

    def switch(tx: Tx) -> money.Channel:
        channels.one(ctx, tx, code)  # the shop must have it
        channels.switch(tx, code, body, actor=who, request_id=request_id)
        tx.expire_all()
        return channels.one(ctx, tx, code)

    return retrying(ctx.db, switch)
