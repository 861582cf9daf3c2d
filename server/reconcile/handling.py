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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from sqlalchemy import select

from server import audit, changes
from server.db import Tx, among
from server.payments import bills
from server.payments.exceptions import acting
from server.payments.model import PaymentException
from server.policy import Actor
from server.reconcile import booking, choosing, days, feed, waiting
from server.reconcile.choosing import Because
from server.reconcile.model import ReconcileDifference
from server.reconcile.waiting import Shop
from shared import clock
from shared.contracts import payments as money
from shared.errors import BadField, Conflict, NotFound
from shared.finance import DifferenceAction, DifferenceState
from shared.labels import AboutState
from shared.money import Fen
from shared.sentence import Sentence
from shared.states import require_move


class DifferenceChanged(AboutState):
    """Somebody, or a run, moved the difference after the person looked at it."""

    code = "difference_changed"
    words: ClassVar = {"state": DifferenceState}
    zh = "差异 {number} 已有变化（当前“{state}”，版本 {version}），请刷新后再操作。"
    en = "Difference {number} changed meanwhile (it is “{state}”, version {version}); reload and look again."


class CannotHandleSo(AboutState):
    """The action is not one of those that can be taken now."""

    code = "cannot_handle_so"
    words: ClassVar = {"state": DifferenceState, "action": DifferenceAction}
    zh = "现在不能对差异 {number} 执行“{action}”（当前“{state}”）。"
    en = "“{action}” is not possible for difference {number} now (it is “{state}”)."


class NothingToCheck(AboutState):
    """Nothing waits for a second person."""

    code = "nothing_to_check"
    words: ClassVar = {"state": DifferenceState}
    zh = "差异 {number} 没有等待复核的处理（当前“{state}”）。"
    en = "Nothing waits for approval in difference {number} (it is “{state}”)."


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


Seen = Mapping[UUID, int]
"""Differences by their ids, with the version that the person saw of each."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Who decides, asked by which request, from what amount two people do, and what the shop has to do it with."""

    who: Actor
    request_id: str | None
    check_above: Fen
    shop: Shop


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and why."""

    action: DifferenceAction
    note: str
    order_code: str | None = None


def handle(tx: Tx, seen: Seen, decision: Decision, desk: Desk) -> list[ReconcileDifference]:
    """Decide what is done about all of these, or none; it is done at once where one person is enough for all of them.

    Raises NotFound, DifferenceChanged, DaySigned, CannotHandleSo, BadField, and what the money's own way refuses.
    """
    rows, action = _hold(tx, seen), decision.action
    exceptions = choosing.exceptions(tx, rows)
    for row in rows:
        if action not in choosing.possible(row, exceptions.get(row.id)):
            raise _impossible(row, action)
    order_code = _order(tx, rows, decision) if action is DifferenceAction.ATTACH else None
    now, total = clock.now(), sum(choosing.at_stake(row) for row in rows)
    reasons = {choosing.because(row, action, desk.check_above, total=total) for row in rows}
    for row in rows:
        row.action, row.note, row.action_order_code = action.value, decision.note, order_code
        row.handled_by, row.handled_at, row.checked_by, row.checked_at = desk.who.label, now, None, None
        if choosing.is_money(row, action):
            _propose(tx, row, desk)
    if reasons == {Because.ONE_PERSON}:
        _do(tx, rows, desk)
    else:
        for row in rows:
            _move(row, DifferenceState.PROPOSED)
    _tell(tx, rows, "handle", desk, note=decision.note)
    return rows


def check(tx: Tx, seen: Seen, *, approve: bool, note: str, desk: Desk) -> list[ReconcileDifference]:
    """The second person says yes to all of these, and it is done; or no, and they are open again; or to none.

    Raises NotFound, DifferenceChanged, DaySigned, NothingToCheck, HandledByYou, and what the money's own way refuses.
    """
    rows = _hold(tx, seen)
    for row in rows:
        if row.state != DifferenceState.PROPOSED or row.action is None:
            raise NothingToCheck(number=row.number, state=row.state)
        if approve and row.handled_by == desk.who.label:
            raise HandledByYou
    here, now = [], clock.now()
    for row in rows:
        if choosing.is_money(row, DifferenceAction(row.action or "")):
            _answer(tx, row, approve=approve, note=note, desk=desk)
        elif approve:
            row.checked_by, row.checked_at = desk.who.label, now
            here.append(row)
        else:
            send_back(row)
    _do(tx, here, desk)
    _tell(tx, rows, "approve" if approve else "send_back", desk, note=note)
    return rows


def _impossible(row: ReconcileDifference, action: DifferenceAction) -> CannotHandleSo:
    return CannotHandleSo(number=row.number, action=action.value, state=row.state)


def _order(tx: Tx, rows: Sequence[ReconcileDifference], decision: Decision) -> str:
    """The order that money is to pay, as its code is written; each pays one of its own."""
    if len(rows) > 1:
        raise BadField(field="action", reason=Sentence("归入订单只能逐条处理", "each needs an order of its own"))
    if not decision.order_code:
        raise BadField(field="order_code", reason=Sentence("请填写订单号", "the order is needed"))
    return waiting.attachable(tx, rows[0], decision.order_code)


# --- the money's own way ---


def _propose(tx: Tx, row: ReconcileDifference, desk: Desk) -> None:
    """Propose it where the money waits. What only a bill says is not set aside before a second person says so too."""
    exception = waiting.holding(tx, row)
    if exception is None and not waiting.can_raise(row, desk.shop):
        raise _impossible(row, DifferenceAction(row.action or ""))
    row.exception_id = exception.id if exception else None
    if exception is not None:
        _propose_in(tx, row, exception, actor=desk.who, desk=desk)


def _propose_in(tx: Tx, row: ReconcileDifference, exception: PaymentException, *, actor: Actor, desk: Desk) -> None:
    proposal = money.ProposeAction(
        action=waiting.action_of(DifferenceAction(row.action or "")),
        note=row.note,
        order_code=row.action_order_code,
        provider_no=waiting.number(tx, row),
        amount_fen=row.theirs_fen,
        version=exception.version,
    )
    acting.propose(tx, exception.id, proposal, actor=actor, request_id=desk.request_id)
    row.exception_version = exception.version


def _answer(tx: Tx, row: ReconcileDifference, *, approve: bool, note: str, desk: Desk) -> None:
    """Say yes or no where the money waits, to what the person saw."""
    if row.exception_id is None and not approve:
        send_back(row)
        return
    if row.exception_id is None:
        raised = waiting.raised(tx, row, desk.shop)
        if raised is None:
            raise _impossible(row, DifferenceAction(row.action or ""))
        row.exception_id = raised.id
        _propose_in(tx, row, raised, actor=Actor.labelled(row.handled_by or ""), desk=desk)
    exception = tx.get_one(PaymentException, row.exception_id)
    answer = money.ApproveAction(approved=approve, note=note, version=row.exception_version or exception.version)
    acting.approve(tx, exception.id, answer, actor=desk.who, request_id=desk.request_id, terms=desk.shop.terms)
    follow(row, exception)


def follow(row: ReconcileDifference, exception: PaymentException) -> bool:
    """Let a difference stand where the exception of its money stands; whether that is news."""
    to, action = waiting.stands(row, exception)
    if to is None or (to == row.state and exception.version == row.exception_version):
        return False
    row.exception_version = exception.version
    if to != row.state:
        _move(row, to)
    if to is DifferenceState.OPEN:
        forget(row)
        return True
    row.action = action.value if action else row.action
    row.action_order_code = exception.action_order_code
    row.note = (exception.note or row.note)[:400]
    if exception.proposed_by not in {None, row.handled_by}:
        row.handled_by, row.handled_at = exception.proposed_by, exception.proposed_at
    row.checked_by = exception.approved_by
    row.checked_at = clock.now() if exception.approved_by else None
    return True


# --- what is done at once ---


def _do(tx: Tx, rows: Sequence[ReconcileDifference], desk: Desk) -> None:
    delivered = [row for row in rows if row.action == DifferenceAction.DELIVER]
    if delivered:
        waiting.deliver(tx, delivered, desk.shop, by=desk.who.label)
        for channel, day in sorted({(row.channel, row.day) for row in delivered}):
            bills.reconcile(tx, channel, day)  # our side of the day has changed by it
    booking.post(tx, [row for row in rows if row.action in booking.BOOKED], actor=desk.who.label)
    for row in rows:
        _move(row, DifferenceState.RESOLVED)


def send_back(row: ReconcileDifference) -> None:
    """What was proposed about it is not done."""
    _move(row, DifferenceState.OPEN)
    forget(row)


def forget(row: ReconcileDifference) -> None:
    """Nothing is decided about it any more."""
    row.action, row.action_order_code, row.note = None, None, ""
    row.handled_by, row.handled_at, row.checked_by, row.checked_at = None, None, None, None


_AT_A_TIME = 500


def _hold(tx: Tx, seen: Seen) -> list[ReconcileDifference]:
    """These differences under lock, in the order in which they were named; their days before them, as runs do."""
    r, held, wanted = ReconcileDifference, dict[UUID, ReconcileDifference](), sorted(seen)
    parts = [among(tx, r.id, wanted[at : at + _AT_A_TIME]) for at in range(0, len(wanted), _AT_A_TIME)]
    of_days = {(channel, day) for its in parts for channel, day in tx.execute(select(r.channel, r.day).where(its))}
    for channel, day in sorted(of_days):
        days.find(tx, channel, day, lock=True)
    for its in parts:
        locked = select(r).where(its).order_by(r.id).with_for_update()
        held |= {row.id: row for row in tx.scalars(locked.execution_options(populate_existing=True))}
    if len(held) < len(seen):
        raise NotFound
    for row in held.values():
        if row.is_signed:
            raise DaySigned(day=row.day.isoformat())
        if row.version != seen[row.id]:
            raise DifferenceChanged(number=row.number, state=row.state, version=row.version)
    return [held[one] for one in seen]


def _move(row: ReconcileDifference, to: DifferenceState) -> None:
    require_move(DifferenceState(row.state), to)
    row.state = to.value


def _tell(tx: Tx, rows: Sequence[ReconcileDifference], what: str, desk: Desk, *, note: str) -> None:
    for row in rows:
        row.version += 1
    tx.flush()
    for channel, day in sorted({(row.channel, row.day) for row in rows}):
        days.outputs_changed(tx, channel, day)
    changes.append_many(tx, [changes.Changed(feed.DIFFERENCE, row.id, domain=feed.DOMAIN) for row in rows])
    audit.append_many(
        tx,
        [
            audit.Entry(
                actor=desk.who.label,
                action=f"difference.{what}",
                entity="difference",
                entity_id=row.number,
                detail={
                    "kind": row.kind,
                    "action": row.action,
                    "state": row.state,
                    "fen": row.theirs_fen,
                    "note": note,
                },
                request_id=desk.request_id,
            )
            for row in rows
        ],
    )
