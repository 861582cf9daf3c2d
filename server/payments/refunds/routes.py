"""HTTP of refunds: lists by scope, and what supplier, shop and finance say to one. Thin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request

from server import context, policy, web
from server.db import Tx, retrying
from server.orders import queries as orders
from server.payments.refunds import actions, images, queries
from server.payments.refunds.model import Refund
from server.policy import Router
from shared.contracts import payments as wire
from shared.contracts.base import Page
from shared.errors import NotFound
from shared.ids import parse_order_code
from shared.permissions import Permission
from shared.states import RefundState, RefundTurn

router = Router()


@router.get("/api/refunds", allow=Permission.PAYMENTS_REFUND_READ)
def list_refunds(
    request: Request,
    state: RefundState | None = None,
    turn: Annotated[list[RefundTurn] | None, Query()] = None,
    order: str | None = Query(default=None, max_length=24),
    after: UUID | None = None,
    limit: int = Query(default=100, ge=1, le=500),
) -> Page[wire.Refund]:
    """Refunds of the actor's scope, newest first, of one order or all.

    `turn` asks for those that one of these parties has to act on.
    """
    only = queries.Only(state=state, turns=tuple(turn or ()), order_code=order and (parse_order_code(order) or order))
    with context.of(request).db.read() as tx:
        return queries.page(tx, policy.actor(request), only=only, after=after, limit=limit)


@router.get("/api/refunds/{refund_id}", allow=Permission.PAYMENTS_REFUND_READ)
def one_refund(request: Request, refund_id: UUID) -> wire.Refund:
    """One refund of the actor's scope, with its whole story."""
    with context.of(request).db.read() as tx:
        return _answer(tx, request, refund_id)


@router.get("/api/refunds/{refund_id}/images/{image_id}", allow=Permission.PAYMENTS_REFUND_READ)
def refund_image(request: Request, refund_id: UUID, image_id: UUID) -> wire.RefundPicture:
    """What a buyer or a supplier shows beside a refund of the actor's scope."""
    with context.of(request).db.read() as tx:
        refund = tx.scalars(policy.visible(policy.actor(request), Refund).where(Refund.id == refund_id)).first()
        picture = images.read(tx, image_id, refund_id=refund.id) if refund else None
    if picture is None:
        raise NotFound
    return wire.RefundPicture(media_type=picture.media_type, content=picture.content)


@router.post("/api/refunds/{refund_id}/images", allow=Permission.PAYMENTS_REFUND_ANSWER, status_code=201)
async def show_image(request: Request, refund_id: UUID) -> wire.Refund:
    """The supplier shows an image, whose bytes are the body, before it answers."""
    who = policy.actor(request)
    [picture] = images.judged([await request.body()])
    return await asyncio.to_thread(_do, request, lambda tx: actions.show(tx, refund_id, picture, actor=who))


@router.post("/api/orders/{code}/refunds", allow=Permission.PAYMENTS_REFUND_DECIDE, status_code=201)
def start_refund(request: Request, code: str, body: wire.StartRefund) -> wire.Refund:
    """The shop gives money of an order back; above the limit another person checks.

    The same key with the same body answers the same refund.
    """
    who, key = policy.actor(request), web.idempotency_key(request)
    limit = context.of(request).settings.refund_check_fen

    def start(tx: Tx) -> Refund:
        canonical = parse_order_code(code)
        order = orders.find(tx, canonical) if canonical else None
        if order is None:
            raise NotFound
        return actions.start_by_shop(tx, order.id, body, key=key, actor=who, check_above=limit)

    return _do(request, start)


@router.post("/api/refunds/{refund_id}/answer", allow=Permission.PAYMENTS_REFUND_ANSWER)
def answer_refund(request: Request, refund_id: UUID, body: wire.AnswerRefund) -> wire.Refund:
    """The supplier agrees, delivers another key, or refuses with evidence."""
    who = policy.actor(request)
    limit = context.of(request).settings.refund_check_fen
    keys = context.of(request).keys
    return _do(request, lambda tx: actions.answer(tx, keys, refund_id, body, actor=who, check_above=limit))


@router.post("/api/refunds/{refund_id}/decide", allow=Permission.PAYMENTS_REFUND_DECIDE)
def decide_refund(request: Request, refund_id: UUID, body: wire.DecideRefund) -> wire.Refund:
    """The shop decides where the supplier refused or kept silent."""
    who = policy.actor(request)
    limit = context.of(request).settings.refund_check_fen
    keys = context.of(request).keys
    return _do(request, lambda tx: actions.decide(tx, keys, refund_id, body, actor=who, check_above=limit))


@router.post("/api/refunds/{refund_id}/check", allow=Permission.PAYMENTS_REFUND_CHECK)
def check_refund(request: Request, refund_id: UUID, body: wire.CheckRefund) -> wire.Refund:
    """Finance lets a refund above the limit go, or stops it."""
    who = policy.actor(request)
    return _do(request, lambda tx: actions.check(tx, refund_id, body, actor=who))


@router.post("/api/refunds/{refund_id}/retry", allow=Permission.PAYMENTS_EXCEPTION_HANDLE)
def retry_refund(request: Request, refund_id: UUID, body: wire.RetryRefund) -> wire.Refund:
    """Ask the channel once more under the same number."""
    who = policy.actor(request)
    return _do(request, lambda tx: actions.retry(tx, refund_id, actor=who, version=body.version))


def _do(request: Request, act: Callable[[Tx], Refund]) -> wire.Refund:
    """Act, and answer the refund as it stands for this actor: in one transaction, so that what was done is answered."""
    ctx = context.of(request)
    done = retrying(ctx.db, lambda tx: _answer(tx, request, act(tx).id))
    ctx.jobs.wake()
    return done


def _answer(tx: Tx, request: Request, refund_id: UUID) -> wire.Refund:
    found = queries.one(tx, policy.actor(request), refund_id)
    if found is None:
        raise NotFound
    return found
