"""What people do about a difference, and what that does: one person decides, above a limit another one approves.

    deliver                   what the bill says was paid is applied by the one writer of payments
    attach, refund            the exception in which the money waits is proposed and approved (`payments.exceptions`);
                              so is a refund that only the channel had, where it is booked
    book, write_off           the ledger is put where the bill is: a fee to what was taken, all else against `loss`
    carry                     it is handled for this day, and comes again in the next one that is open
    ignore                    nothing, with its reason

Goods, money's own way and losses always need two people, the rest above the shop's limit. What was signed is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from sqlalchemy import select

from server import audit, changes
from server.db import Tx
from server.payments import bills
from server.payments.exceptions import acting
from server.payments.model import PaymentException
from server.payments.terms import Terms
from server.policy import Actor
from server.reconcile import booking, choosing, days, feed, waiting
from server.reconcile.choosing import Because
from server.reconcile.model import ReconcileDifference
from shared import clock
from shared.contracts import payments as money
from shared.contracts.reconcile import CheckDifference, HandleDifference
from shared.errors import BadField, Conflict, NotFound
from shared.finance import DifferenceAction, DifferenceState
from shared.labels import AboutState
from shared.money import Fen
from shared.states import require_move


class DifferenceChanged(AboutState):
    """Somebody, or a run, moved the difference after the person looked at it."""

    code = "difference_changed"
    words: ClassVar = {"state": DifferenceState}
    zh = "这条差异已有变化（当前“{state}”，版本 {version}），请刷新后再操作。"
    en = "This difference changed meanwhile (it is “{state}”, version {version}); reload and look again."


class CannotHandleSo(AboutState):
    """The action is not one of those that can be taken now."""

    code = "cannot_handle_so"
    words: ClassVar = {"state": DifferenceState, "action": DifferenceAction}
    zh = "现在不能对这条差异执行“{action}”（当前“{state}”）。"
    en = "“{action}” is not possible for this difference now (it is “{state}”)."


class NothingToCheck(AboutState):
    """Nothing waits for a second person."""

    code = "nothing_to_check"
    words: ClassVar = {"state": DifferenceState}
    zh = "这条差异没有等待复核的处理（当前“{state}”）。"
    en = "Nothing waits for approval here (it is “{state}”)."


class HandledByYou(Conflict):
    """Above the limit two different people say so."""

    code = "handled_by_you"
    zh = "这条差异需要两个人：经办人不能自己复核，请由另一位同事复核。"
    en = "Two people are needed for this difference: another person must approve what you decided."


class DaySigned(Conflict):
    """The day is signed: nothing of it changes any more."""

    code = "day_signed"
    zh = "{day} 已经签署，不能再改。请在未签署的账日里处理挂账的差异。"
    en = "{day} is signed and does not change any more; handle what was carried over in a day that is open."


@dataclass(frozen=True, slots=True)
class Desk:
    """By what the shop works: from what amount two people decide, and the terms of payments."""

    check_above: Fen
    terms: Terms
    merchants: waiting.Merchants


def handle(
    tx: Tx, difference_id: UUID, body: HandleDifference, *, actor: Actor, request_id: str | None, desk: Desk
) -> ReconcileDifference:
    """Decide what is done; it is done at once where one person is enough.

    Raises NotFound, DifferenceChanged, DaySigned, CannotHandleSo, BadField, and what the money's own way refuses.
    """
    row = _hold(tx, difference_id, body.version)
    exception = choosing.exceptions(tx, [row]).get(row.id)
    if body.action not in choosing.possible(row, exception):
        raise CannotHandleSo(action=body.action.value, state=row.state)
    if body.action is DifferenceAction.ATTACH and not body.order_code:
        raise BadField(field="order_code", reason="请填写订单号 / the order is needed")
    row.action, row.note = body.action.value, body.note
    row.action_order_code = body.order_code if body.action is DifferenceAction.ATTACH else None
    row.handled_by, row.handled_at, row.checked_by, row.checked_at = actor.label, clock.now(), None, None
    match choosing.because(row, body.action, desk.check_above):
        case Because.MONEY:
            _propose(tx, row, body, actor=actor, request_id=request_id, desk=desk)
        case Because.LIMIT:
            _move(row, DifferenceState.PROPOSED)
        case Because.ONE_PERSON:
            _do(tx, row, actor, desk)
    _tell(tx, row, "handle", actor, request_id, note=body.note)
    return row


def check(
    tx: Tx, difference_id: UUID, body: CheckDifference, *, actor: Actor, request_id: str | None, desk: Desk
) -> ReconcileDifference:
    """The second person says yes, and it is done; or no, and it is open again.

    Raises NotFound, DifferenceChanged, DaySigned, NothingToCheck, HandledByYou, and what the money's own way refuses.
    """
    row = _hold(tx, difference_id, body.version)
    if row.state != DifferenceState.PROPOSED or row.action is None:
        raise NothingToCheck(state=row.state)
    if body.approve and row.handled_by == actor.label:
        raise HandledByYou
    because = choosing.because(row, DifferenceAction(row.action), desk.check_above)
    if because is Because.MONEY:
        _approve(tx, row, body, actor=actor, request_id=request_id, desk=desk)
    elif body.approve:
        row.checked_by, row.checked_at = actor.label, clock.now()
        _do(tx, row, actor, desk)
    else:
        _move(row, DifferenceState.OPEN)
        forget(row)
    what = "approve" if body.approve else "send_back"
    _tell(tx, row, what, actor, request_id, note=body.note)
    return row


# --- the money's own way ---


def _propose(
    tx: Tx,
    row: ReconcileDifference,
    body: HandleDifference,
    *,
    actor: Actor,
    request_id: str | None,
    desk: Desk,
) -> None:
    exception = waiting.raised(tx, row, desk.merchants, desk.terms)
    if exception is None:
        raise CannotHandleSo(action=body.action.value, state=row.state)
    row.exception_id = exception.id
    proposal = money.ProposeAction(
        action=waiting.action_of(body.action),
        note=body.note,
        order_code=body.order_code,
        provider_no=row.provider_no,
        amount_fen=row.theirs_fen,
        version=exception.version,
    )
    acting.propose(tx, exception.id, proposal, actor=actor, request_id=request_id)
    _move(row, DifferenceState.PROPOSED)


def _approve(
    tx: Tx, row: ReconcileDifference, body: CheckDifference, *, actor: Actor, request_id: str | None, desk: Desk
) -> None:
    exception = tx.get_one(PaymentException, row.exception_id)
    answer = money.ApproveAction(approved=body.approve, note=body.note, version=exception.version)
    acting.approve(tx, exception.id, answer, actor=actor, request_id=request_id, terms=desk.terms)
    follow(row, exception)


def follow(row: ReconcileDifference, exception: PaymentException) -> bool:
    """Let a difference stand where the exception of its money stands; whether that is news."""
    to, action = waiting.stands(row, exception)
    if to is None or to == row.state:
        return False
    _move(row, to)
    if to is DifferenceState.OPEN:
        forget(row)
        return True
    row.action = action.value if action else row.action
    row.note = (exception.note or row.note)[:400]
    row.handled_by, row.handled_at = exception.proposed_by or row.handled_by, exception.proposed_at or row.handled_at
    row.checked_by = exception.approved_by
    row.checked_at = clock.now() if exception.approved_by else None
    return True


# --- what is done at once ---


def _do(tx: Tx, row: ReconcileDifference, actor: Actor, desk: Desk) -> None:
    if row.action == DifferenceAction.DELIVER:
        waiting.deliver(tx, row, desk.merchants[row.channel], desk.terms, by=actor.label)
        bills.reconcile(tx, row.channel, row.day)  # our side of the day has changed by it
    elif row.action in booking.BOOKED:
        booking.post(tx, row, actor=actor.label)
    _move(row, DifferenceState.RESOLVED)


def forget(row: ReconcileDifference) -> None:
    """Nothing is decided about it any more."""
    row.action, row.action_order_code, row.note = None, None, ""
    row.handled_by, row.handled_at, row.checked_by, row.checked_at = None, None, None, None


def _hold(tx: Tx, difference_id: UUID, version: int) -> ReconcileDifference:
    query = select(ReconcileDifference).where(ReconcileDifference.id == difference_id).with_for_update()
    row = tx.scalars(query.execution_options(populate_existing=True)).first()
    if row is None:
        raise NotFound
    if row.is_signed:
        raise DaySigned(day=row.day.isoformat())
    if row.version != version:
        raise DifferenceChanged(state=row.state, version=row.version)
    return row


def _move(row: ReconcileDifference, to: DifferenceState) -> None:
    require_move(DifferenceState(row.state), to)
    row.state = to.value


def _tell(
    tx: Tx, row: ReconcileDifference, what: str, actor: Actor, request_id: str | None, **detail: str | None
) -> None:
    row.version += 1
    tx.flush()
    days.outputs_changed(tx, row.channel, row.day)
    changes.append(tx, feed.DIFFERENCE, row.id, domain=feed.DOMAIN)
    facts = {"kind": row.kind, "action": row.action, "state": row.state, "fen": row.theirs_fen} | detail
    audit.append(
        tx,
        actor=actor.label,
        action=f"difference.{what}",
        entity="difference",
        entity_id=row.number,
        detail=facts,
        request_id=request_id,
    )
