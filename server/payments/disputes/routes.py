"""HTTP of disputes at a channel. Thin."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from fastapi import Query, Request

from server import context, policy
from server.db import Tx, retrying
from server.orders import queries as orders
from server.payments.disputes import actions, queries
from server.payments.disputes.model import Dispute
from server.policy import Router
from shared.contracts import ledger as wire
from shared.contracts.base import Page
from shared.errors import NotFound
from shared.finance import DisputeState
from shared.ids import parse_order_code
from shared.permissions import Permission

router = Router(prefix="/api/ledger/disputes")


@router.get("", allow=Permission.LEDGER_JOURNAL_READ)
def list_disputes(
    request: Request,
    state: DisputeState | None = None,
    order: str | None = Query(default=None, max_length=24),
    after: UUID | None = None,
    limit: int = Query(default=100, ge=1, le=500),
) -> Page[wire.Dispute]:
    """Disputes, newest first."""
    only = queries.Only(state=state, order_code=order and (parse_order_code(order) or order))
    with context.of(request).db.read() as tx:
        return queries.page(tx, policy.actor(request), only=only, after=after, limit=limit)


@router.get("/{dispute_id}", allow=Permission.LEDGER_JOURNAL_READ)
def one_dispute(request: Request, dispute_id: UUID) -> wire.Dispute:
    """One dispute."""
    with context.of(request).db.read() as tx:
        return queries.one(tx, policy.actor(request), dispute_id)


@router.post("", allow=Permission.LEDGER_ADJUSTMENT_EDIT, status_code=201)
def open_dispute(request: Request, body: wire.OpenDispute) -> wire.Dispute:
    """Register a complaint or chargeback; the suppliers' shares of it are frozen."""
    who = policy.actor(request)

    def act(tx: Tx) -> Dispute:
        code = parse_order_code(body.order_code)
        order = orders.find(tx, code) if code else None
        if order is None:
            raise NotFound
        return actions.open_dispute(tx, body, order_id=order.id, actor=who)

    return _do(request, act)


@router.post("/{dispute_id}/close", allow=Permission.LEDGER_ADJUSTMENT_EDIT)
def close_dispute(request: Request, dispute_id: UUID, body: wire.CloseDispute) -> wire.Dispute:
    """Say how it ended; done when another person says the same."""
    who = policy.actor(request)
    return _do(request, lambda tx: actions.close(tx, dispute_id, body, actor=who))


def _do(request: Request, act: Callable[[Tx], Dispute]) -> wire.Dispute:
    """Act, and answer the dispute as it stands for this actor, in one transaction."""
    ctx, who = context.of(request), policy.actor(request)
    return retrying(ctx.db, lambda tx: queries.one(tx, who, act(tx).id))
