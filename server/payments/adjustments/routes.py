"""HTTP of adjustments: proposed, checked by another person, or withdrawn. Thin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request

from server import context, policy
from server.db import Tx, retrying
from server.orders import queries as orders
from server.payments.adjustments import actions, queries
from server.payments.adjustments.model import Adjustment
from server.policy import Router
from shared.contracts import ledger as wire
from shared.contracts.base import Day, Page
from shared.errors import NotFound
from shared.finance import AdjustmentState
from shared.ids import parse_order_code
from shared.permissions import Permission

router = Router(prefix="/api/ledger/adjustments")


@router.get("", allow=Permission.LEDGER_JOURNAL_READ)
def list_adjustments(
    request: Request,
    state: AdjustmentState | None = None,
    channel: Annotated[str | None, Query(max_length=16)] = None,
    day: Day | None = None,
    after: UUID | None = None,
    limit: int = Query(default=100, ge=1, le=500),
) -> Page[wire.Adjustment]:
    """Adjustments, newest first, or those about one signed day."""
    with context.of(request).db.read() as tx:
        only = queries.Only(state, channel, day)
        return queries.page(tx, policy.actor(request), only=only, after=after, limit=limit)


@router.get("/{adjustment_id}", allow=Permission.LEDGER_JOURNAL_READ)
def one_adjustment(request: Request, adjustment_id: UUID) -> wire.Adjustment:
    """One adjustment."""
    with context.of(request).db.read() as tx:
        return queries.one(tx, policy.actor(request), adjustment_id)


@router.post("", allow=Permission.LEDGER_ADJUSTMENT_EDIT, status_code=201)
def propose_adjustment(request: Request, body: wire.NewAdjustment) -> wire.Adjustment:
    """Propose an adjustment."""
    who = policy.actor(request)

    def act(tx: Tx) -> Adjustment:
        if body.order_code is None:
            return actions.propose(tx, body, order_id=None, actor=who)
        code = parse_order_code(body.order_code)
        order = orders.find(tx, code) if code else None
        if order is None:
            raise NotFound
        named = body.model_copy(update={"order_code": order.code})
        return actions.propose(tx, named, order_id=order.id, actor=who)

    return _do(request, act)


@router.post("/{adjustment_id}/check", allow=Permission.LEDGER_ADJUSTMENT_EDIT)
def check_adjustment(request: Request, adjustment_id: UUID, body: wire.CheckAdjustment) -> wire.Adjustment:
    """Post it or refuse it, as another person than who proposed it."""
    who = policy.actor(request)
    return _do(request, lambda tx: actions.check(tx, adjustment_id, body, actor=who))


@router.post("/{adjustment_id}/withdraw", allow=Permission.LEDGER_ADJUSTMENT_EDIT)
def withdraw_adjustment(request: Request, adjustment_id: UUID, body: wire.WithdrawAdjustment) -> wire.Adjustment:
    """Take one's own proposal back."""
    who = policy.actor(request)
    return _do(request, lambda tx: actions.withdraw(tx, adjustment_id, body, actor=who))


def _do(request: Request, act: Callable[[Tx], Adjustment]) -> wire.Adjustment:
    """Act, and answer the adjustment as it stands for this actor, in one transaction."""
    ctx, who = context.of(request), policy.actor(request)
    return retrying(ctx.db, lambda tx: queries.one(tx, who, act(tx).id))
