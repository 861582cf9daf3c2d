"""Holding back by people: the lines of an order, or all of a supplier, until somebody lets go or the day comes."""

from __future__ import annotations

from uuid import UUID

from server import audit, changes
from server.db import Tx
from server.identity.queries import supplier_exists
from server.orders import queries as orders
from server.policy import SYSTEM, Actor
from server.settlement.model import SettlementHold
from server.settlement.statements import DOMAIN
from shared import clock
from shared.contracts import settlement as wire
from shared.errors import BadField, IdempotencyReused, NotFound
from shared.ids import parse_order_code


class HeldUntilPast(BadField):
    """A hold that would be over as soon as it is made."""

    code = "held_until_past"
    zh = "自动放行的日子要在今天以后。"
    en = "The day on which a hold ends is one after today."


def hold(tx: Tx, wanted: wire.NewHold, *, actor: Actor, request_id: str | None = None) -> SettlementHold:
    """Hold one order's lines back, or all of a supplier; a repeat under the same id changes nothing.

    Raises BadField unless exactly one of both is named, HeldUntilPast, NotFound, IdempotencyReused.
    """
    if (wanted.order_code is None) == (wanted.supplier_id is None):
        raise BadField(field="order_code", reason="order_code | supplier_id")
    if wanted.until is not None and wanted.until <= clock.shop_day(clock.now()):
        raise HeldUntilPast(field="until")
    order = None
    if wanted.order_code is not None:
        code = parse_order_code(wanted.order_code)
        order = orders.find(tx, code) if code else None
        if order is None:
            raise NotFound
    elif wanted.supplier_id is not None and not supplier_exists(tx, SYSTEM, wanted.supplier_id):
        raise NotFound
    said = {
        "order_id": order.id if order else None,
        "order_code": order.code if order else None,
        "supplier_id": wanted.supplier_id,
        "reason": wanted.reason,
        "until_day": wanted.until,
    }
    known = tx.get(SettlementHold, wanted.id)
    if known is not None:
        if any(getattr(known, name) != value for name, value in said.items()):
            raise IdempotencyReused
        return known
    held = SettlementHold(id=wanted.id, held_by=actor.label, held_at=clock.now(), **said)
    tx.add(held)
    tx.flush()
    _note(tx, held, "hold", actor=actor, request_id=request_id)
    return held


def free(tx: Tx, hold_id: UUID, *, actor: Actor, request_id: str | None = None) -> SettlementHold:
    """Let go; a repeat changes nothing. Raises NotFound."""
    held = tx.get(SettlementHold, hold_id, with_for_update=True)
    if held is None:
        raise NotFound
    if held.freed_at is None:
        held.freed_by, held.freed_at = actor.label, clock.now()
        tx.flush()
        _note(tx, held, "free", actor=actor, request_id=request_id)
    return held


def _note(tx: Tx, held: SettlementHold, what: str, *, actor: Actor, request_id: str | None) -> None:
    audit.append(
        tx,
        actor=actor.label,
        action=f"settlement.{what}",
        entity="settlement_hold",
        entity_id=str(held.id),
        detail={
            "order": held.order_code,
            "supplier": str(held.supplier_id) if held.supplier_id else None,
            "reason": held.reason,
            "until": held.until_day.isoformat() if held.until_day else None,
        },
        request_id=request_id,
    )
    changes.append(tx, "settlement", held.id, domain=DOMAIN, supplier_id=held.supplier_id)
