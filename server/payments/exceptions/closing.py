"""Exceptions that end, or come back, by what happens to their money: a refund's end, the channel's answer."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, select

from server import audit, changes
from server.db import Tx
from server.payments.model import PaymentException
from shared import clock
from shared.states import ExceptionAction, ExceptionKind, ExceptionState, may_move, require_move

SYSTEM = "system"


def refund_ended(tx: Tx, refund_id: UUID, *, succeeded: bool) -> None:
    """The refund that an exception waited for is over: its money is back, or people must look again."""
    for row in _rows(tx, PaymentException.refund_id == refund_id):
        if succeeded:
            end(tx, row, closed_by=SYSTEM)
        elif may_move(ExceptionState(row.state), ExceptionState.OPEN):
            _reopen(tx, row)


def corrected(tx: Tx, unmatched_id: UUID) -> None:
    """The channel named the right amount, and it pays its order: nothing is left to decide."""
    for row in _rows(tx, PaymentException.unmatched_id == unmatched_id):
        end(tx, row, closed_by=SYSTEM)


def answered(tx: Tx, attempt_ids: Sequence[UUID]) -> None:
    """The channel has said at last what became of these attempts."""
    if not attempt_ids:
        return
    unknown = PaymentException.kind == ExceptionKind.PAYMENT_UNKNOWN.value
    for row in _rows(tx, PaymentException.attempt_id.in_(list(attempt_ids)), unknown):
        end(tx, row, closed_by=SYSTEM)


def still_unknown(tx: Tx, attempt_id: UUID) -> None:
    """The channel was asked again, as a person wished, and gave no answer."""
    working = PaymentException.state == ExceptionState.WORKING.value
    unknown = PaymentException.kind == ExceptionKind.PAYMENT_UNKNOWN.value
    for row in _rows(tx, PaymentException.attempt_id == attempt_id, working, unknown):
        _reopen(tx, row)


def still_stuck(tx: Tx, refund_id: UUID) -> None:
    """The channel was asked about a refund again, as a person wished, and it does not get on."""
    working = PaymentException.state == ExceptionState.WORKING.value
    stuck = PaymentException.kind == ExceptionKind.REFUND_STUCK.value
    for row in _rows(tx, PaymentException.refund_id == refund_id, working, stuck):
        _reopen(tx, row)


def end(tx: Tx, row: PaymentException, *, closed_by: str) -> None:
    """Close an exception that its caller holds."""
    require_move(ExceptionState(row.state), ExceptionState.CLOSED)
    row.state, row.closed_at, row.closed_by, row.due_at = ExceptionState.CLOSED.value, clock.now(), closed_by, None
    _told(tx, row, actor=closed_by)


def _reopen(tx: Tx, row: PaymentException) -> None:
    require_move(ExceptionState(row.state), ExceptionState.OPEN)
    if row.action == ExceptionAction.REFUND or row.action is None:  # its refund failed: another one may be started
        row.refund_id = None
    row.state, row.action, row.note = ExceptionState.OPEN.value, None, None
    row.proposed_by, row.proposed_at, row.approved_by, row.due_at = None, None, None, None
    _told(tx, row, actor=SYSTEM)


def _rows(tx: Tx, *which: ColumnElement[bool]) -> list[PaymentException]:
    open_ones = select(PaymentException).where(*which, PaymentException.closed_at.is_(None))
    in_order = open_ones.order_by(PaymentException.id).with_for_update()
    return list(tx.scalars(in_order.execution_options(populate_existing=True)))


def _told(tx: Tx, row: PaymentException, *, actor: str) -> None:
    row.version += 1
    tx.flush()
    changes.append(tx, "exception", row.id, domain="payments")
    audit.append(
        tx,
        actor=actor,
        action=f"exception.{row.state}",
        entity="exception",
        entity_id=str(row.id),
        detail={"kind": row.kind, "order": row.order_code},
    )
