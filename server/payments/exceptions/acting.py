"""What people, and the default policy, do about an exception: propose, approve by another person, act.

Every change names the version it was decided on. Money and goods move only after two different people have said so,
whatever their role; the default policy (`act_due`) is not a second person's work. Locks: order, exception, then what
the action locks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from server import audit, changes
from server.db import Tx
from server.orders import actions as orders
from server.orders.model import Order
from server.payments.exceptions import attaching, delivering
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds import actions as refunds
from server.policy import SYSTEM, Actor
from shared import clock
from shared.contracts import payments as wire
from shared.errors import BadField, Conflict, KamengError, NotFound
from shared.ids import parse_order_code
from shared.labels import label
from shared.states import (
    EXCEPTION_ACTIONS,
    TWO_PEOPLE,
    WITHOUT_MONEY,
    ExceptionAction,
    ExceptionKind,
    ExceptionState,
    RefundCause,
    require_move,
)

CAUSES: dict[ExceptionKind, RefundCause] = {
    ExceptionKind.PAID_NO_STOCK: RefundCause.NO_STOCK,
    ExceptionKind.PAID_AFTER_EXPIRY: RefundCause.NO_STOCK,
    ExceptionKind.PAID_TWICE: RefundCause.PAID_TWICE,
    ExceptionKind.AMOUNT_MISMATCH: RefundCause.AMOUNT,
    ExceptionKind.UNKNOWN_PAYMENT: RefundCause.UNMATCHED,
}
_OF_ORDERS = frozenset({ExceptionKind.PAID_NO_STOCK, ExceptionKind.PAID_AFTER_EXPIRY})
"""Kinds whose money is in the order's escrow."""

_log = logging.getLogger("kameng.payments")


class ExceptionChanged(Conflict):
    """Somebody, or the channel, moved the exception after the person looked at it."""

    code = "exception_changed"
    zh = "这条异常已有变化（当前“{state}”，版本 {version}），请刷新后再操作。"
    en = "This exception changed meanwhile (it is “{state}”, version {version}); reload and look again."


class NotPossible(Conflict):
    """The action is not one of those that can be taken now."""

    code = "action_not_possible"
    zh = "现在不能对这条异常执行“{action}”（当前“{state}”）。"
    en = "“{action}” is not possible for this exception now (it is “{state}”)."


class ProposedByYou(Conflict):
    """Money and goods move when two different people say so."""

    code = "proposed_by_you"
    zh = "涉及资金的处理需要两个人：提议的人不能自己复核，请由另一位同事复核。"
    en = "Two people are needed where money moves: another person must approve what you proposed."


class StillNoStock(Conflict):
    """There is not enough stock to deliver the order."""

    code = "still_no_stock"
    zh = "库存仍然不足，不能补发。请先补货，或改为退款。"
    en = "There is still not enough stock to deliver. Bring stock in first, or refund."


def possible(row: PaymentException) -> list[ExceptionAction]:
    """What may be proposed now, the usual thing first."""
    if row.state != ExceptionState.OPEN:
        return []
    kind = ExceptionKind(row.kind)
    holds_money = row.unmatched_id is not None or kind in _OF_ORDERS
    allowed = [action for action in EXCEPTION_ACTIONS[kind] if holds_money or action in WITHOUT_MONEY]
    return allowed or [ExceptionAction.DISMISS]


# --- two people ---


def propose(tx: Tx, exception_id: UUID, body: wire.ProposeAction, *, actor: Actor, request_id: str | None) -> None:
    """Say what should be done; what needs one person only is done at once.

    Raises NotFound, ExceptionChanged, NotPossible, BadField and NotAttachable for an order it cannot be attached to,
    and what the action itself refuses.
    """
    code = _target_code(body)
    held = _hold(tx, exception_id, body.version, code)
    row = held.row
    if body.action not in possible(row):
        raise NotPossible(action=body.action.value, state=row.state)
    if body.action is ExceptionAction.ATTACH:
        attaching.require_attachable(held.order_to_pay(), _money(tx, row).amount_fen)
    row.action, row.action_order_code, row.note = body.action.value, code, body.note
    row.proposed_by, row.proposed_at, row.due_at = actor.label, clock.now(), None
    if body.action in TWO_PEOPLE:
        _move(row, ExceptionState.PROPOSED)
    else:
        _act(tx, held, actor=actor)
    _tell(tx, row, "propose", actor, request_id, note=body.note)


def approve(tx: Tx, exception_id: UUID, body: wire.ApproveAction, *, actor: Actor, request_id: str | None) -> None:
    """The second person says yes, and it is done; or no, and it is open again.

    Raises NotFound, ExceptionChanged, NotPossible when nothing waits for approval, ProposedByYou, and what the action
    itself refuses: then nothing has changed.
    """
    held = _hold(tx, exception_id, body.version)
    row = held.row
    if row.state != ExceptionState.PROPOSED or row.action is None:
        raise NotPossible(action="approve", state=row.state)
    if row.proposed_by == actor.label and body.approved:
        raise ProposedByYou
    detail = {"note": body.note, "proposed_by": row.proposed_by, "action": row.action}
    if body.approved:
        row.approved_by = actor.label
        _act(tx, held, actor=actor)
    else:
        _move(row, ExceptionState.OPEN)
        row.action, row.action_order_code, row.proposed_by, row.proposed_at = None, None, None, None
    _tell(tx, row, "approve" if body.approved else "send_back", actor, request_id, **detail)


# --- the default policy ---


def act_due(tx: Tx, exception_id: UUID) -> None:
    """What the shop does where nobody has decided in time: deliver if there is stock now, else give the money back."""
    held = _hold(tx, exception_id)
    row = held.row
    if row.state != ExceptionState.OPEN or row.due_at is None:
        return  # people were quicker
    row.due_at = None
    try:
        with tx.begin_nested():
            if not (row.kind == ExceptionKind.PAID_NO_STOCK and _delivered(tx, held, actor=SYSTEM)):
                _refund(tx, held, actor=SYSTEM)
    except KamengError as refusal:
        _log.warning("left for people", extra={"exception": str(row.id), "error": str(refusal)})
    _tell(tx, row, "policy", SYSTEM, None)


# --- what is done ---


@dataclass(slots=True)
class _Held:
    """An exception under lock, with the orders it is about and that money is to be attached to."""

    row: PaymentException
    order: Order | None
    target: Order | None

    def order_to_pay(self) -> Order:
        """The order that the proposed action names. Raises BadField when there is none."""
        if self.target is None:
            raise BadField(field="order_code", reason="没有这个订单 / there is no such order")
        return self.target


def _hold(tx: Tx, exception_id: UUID, version: int | None = None, code: str | None = None) -> _Held:
    """Lock orders first, then the exception, and compare what the person saw. Raises NotFound, ExceptionChanged."""
    seen = tx.execute(
        select(PaymentException.order_id, PaymentException.action_order_code).where(PaymentException.id == exception_id)
    ).first()
    if seen is None:
        raise NotFound
    order_id, named = seen
    wanted = code or named
    target_id = attaching.target(tx, wanted) if wanted else None
    held = orders.lock(tx, sorted({one for one in (order_id, target_id) if one is not None}))
    query = select(PaymentException).where(PaymentException.id == exception_id).with_for_update()
    row = tx.scalars(query.execution_options(populate_existing=True)).one()
    if version is not None and row.version != version:
        raise ExceptionChanged(state=row.state, version=row.version)
    if row.action_order_code != named:  # it was proposed anew while the locks were awaited
        raise ExceptionChanged(state=row.state, version=row.version)
    return _Held(row, held.get(order_id) if order_id else None, held.get(target_id) if target_id else None)


def _act(tx: Tx, held: _Held, *, actor: Actor) -> None:
    """Do what was decided."""
    assert held.row.action is not None
    _ACTS[ExceptionAction(held.row.action)](tx, held, actor)


def _deliver(tx: Tx, held: _Held, actor: Actor) -> None:
    if not _delivered(tx, held, actor=actor):
        raise StillNoStock


def _delivered(tx: Tx, held: _Held, *, actor: Actor) -> bool:
    assert held.order is not None
    if not delivering.deliver(tx, held.order, at=clock.now(), actor=actor.label):
        return False
    _end(held.row, actor, at=clock.now())
    return True


def _refund(tx: Tx, held: _Held, actor: Actor) -> None:
    row = held.row
    source = _money(tx, row) if row.unmatched_id else tx.get_one(PaymentAttempt, row.attempt_id)
    started = refunds.start(
        tx,
        cause=CAUSES[ExceptionKind(row.kind)],
        source=source,
        reason=row.note or label(ExceptionKind(row.kind)),
        actor=row.proposed_by or actor.label,
        checked_by=row.approved_by,
    )
    row.refund_id = started.id
    _move(row, ExceptionState.WORKING)


def _attach(tx: Tx, held: _Held, actor: Actor) -> None:
    row, order = held.row, held.order_to_pay()
    assert row.unmatched_id is not None
    evidence = [("note", row.note), ("proposed_by", row.proposed_by), ("approved_by", actor.label)]
    attaching.attach(tx, row.unmatched_id, order, at=clock.now(), actor=actor.label, evidence=evidence)
    _end(row, actor, at=clock.now())


def _ask_again(tx: Tx, held: _Held, actor: Actor) -> None:
    row = held.row
    if row.refund_id is not None:
        refunds.retry(tx, row.refund_id, actor=actor)
    else:
        now = clock.now()
        tx.execute(update(PaymentAttempt).where(PaymentAttempt.id == row.attempt_id).values(query_at=now))
    _move(row, ExceptionState.WORKING)


def _dismiss(_tx: Tx, held: _Held, actor: Actor) -> None:
    _end(held.row, actor, at=clock.now())


_ACTS: dict[ExceptionAction, Callable[[Tx, _Held, Actor], None]] = {
    ExceptionAction.DELIVER: _deliver,
    ExceptionAction.REFUND: _refund,
    ExceptionAction.ATTACH: _attach,
    ExceptionAction.ASK_AGAIN: _ask_again,
    ExceptionAction.DISMISS: _dismiss,
}


def _target_code(body: wire.ProposeAction) -> str | None:
    if body.action is not ExceptionAction.ATTACH:
        return None
    code = parse_order_code(body.order_code or "")
    if code is None:
        raise BadField(field="order_code", reason="不是有效的订单号 / not an order code")
    return code


def _money(tx: Tx, row: PaymentException) -> UnmatchedPayment:
    return tx.get_one(UnmatchedPayment, row.unmatched_id)


def _move(row: PaymentException, to: ExceptionState) -> None:
    require_move(ExceptionState(row.state), to)
    row.state = to.value


def _end(row: PaymentException, actor: Actor, *, at: datetime) -> None:
    _move(row, ExceptionState.CLOSED)
    row.closed_at, row.closed_by, row.due_at = at, actor.label, None


def _tell(tx: Tx, row: PaymentException, what: str, actor: Actor, request_id: str | None, **detail: str | None) -> None:
    row.version += 1
    tx.flush()
    changes.append(tx, "exception", row.id, domain="payments")
    facts = {"kind": row.kind, "action": row.action, "order": row.action_order_code or row.order_code} | detail
    audit.append(
        tx,
        actor=actor.label,
        action=f"exception.{what}",
        entity="exception",
        entity_id=str(row.id),
        detail=facts,
        request_id=request_id,
    )
