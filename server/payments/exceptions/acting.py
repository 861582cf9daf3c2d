"""What people, and the default policy, do about an exception: propose, approve by another person, act.

Every change names the version it was decided on. Money and goods move only after two different people have said so,
whatever their role; the default policy (`act_due`) is not a second person's work. Locks: order, exception, then what
the action locks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import select, update

from server import audit, changes, jobs
from server.db import Tx, rows_changed
from server.orders import actions as orders
from server.orders.model import Order
from server.payments import attempts, confirmed
from server.payments.exceptions import attaching, choosing, closing, confirming, delivering, raising
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds import actions as refunds
from server.payments.refunds import making, recording, totals
from server.payments.refunds.model import Refund
from server.payments.terms import Terms
from server.policy import SYSTEM, Actor
from shared import clock
from shared.contracts import payments as wire
from shared.errors import BadField, Conflict, KamengError, NotFound
from shared.ids import parse_order_code
from shared.labels import AboutState, label, words_of
from shared.money import format_fen
from shared.sentence import Sentence
from shared.states import (
    TWO_PEOPLE,
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
_log = logging.getLogger("kameng.payments")


class ExceptionChanged(AboutState):
    """Somebody, or the channel, moved the exception after the person looked at it."""

    code = "exception_changed"
    words: ClassVar = {"state": ExceptionState}
    zh = "这条异常已有变化（当前“{state}”，版本 {version}），请刷新后再操作。"
    en = "This exception changed meanwhile (it is “{state}”, version {version}); reload and look again."


class NotPossible(AboutState):
    """The action is not one of those that can be taken now; `instead` says which are, or what stands in the way."""

    code = "action_not_possible"
    words: ClassVar = {"action": ExceptionAction}
    zh = "现在不能对这条异常执行“{action}”：{instead}。"
    en = "“{action}” is not possible for this exception now: {instead}."


def _impossible(row: PaymentException, action: ExceptionAction, fits: Sequence[ExceptionAction] = ()) -> NotPossible:
    """The refusal of an action; `fits` are those that can be taken, none where its state is why."""
    if fits:
        zh, en = ((sep.join(label(one, lang) for one in fits)) for lang, sep in (("zh", "”“"), ("en", "”, “")))
        return NotPossible(action=action.value, instead=Sentence(f"可以“{zh}”", f"what can be done is “{en}”"))
    zh, en = words_of(ExceptionState(row.state))
    return NotPossible(action=action.value, instead=Sentence(f"它的状态是“{zh}”", f"it is “{en}”"))


class NothingProposed(AboutState):
    """Nothing waits for a second person."""

    code = "nothing_proposed"
    words: ClassVar = {"state": ExceptionState}
    zh = "这条异常没有等待复核的提议（当前“{state}”）。"
    en = "Nothing waits for approval here (it is “{state}”)."


class ProposedByYou(Conflict):
    """Money and goods move when two different people say so."""

    code = "proposed_by_you"
    zh = "涉及资金的处理需要两个人：提议的人不能自己复核，请由另一位同事复核。"
    en = "Two people are needed where money moves: another person must approve what you proposed."


class PaidInItsPlace(Conflict):
    """It may give back what refunds in the books did not: booked by itself it would be there twice."""

    code = "paid_in_its_place"
    zh = (
        "这笔付款有退款账上已退、渠道没有退成，先把那边“退款受阻”的异常处理完，以免重复入账："
        "这是补退它的，在那里登记这个单号；一次补退几笔的，账上都有了，关闭这一条；不相干的，关闭那边再来。"
    )
    en = (
        "Refunds of this payment are in the books and did not arrive; see to their exceptions first. Was this paid in"
        " place of one, record its number there; of several, close this, as the books have it; of none, close those."
    )


class StillNoStock(Conflict):
    """There is not enough stock to deliver the order."""

    code = "still_no_stock"
    zh = "库存仍然不足，不能补发。请先补货，或改为退款。"
    en = "There is still not enough stock to deliver. Bring stock in first, or refund."


# --- two people ---


def propose(tx: Tx, exception_id: UUID, body: wire.ProposeAction, *, actor: Actor, request_id: str | None) -> None:
    """Say what should be done; what needs one person only is done at once.

    Raises NotFound, ExceptionChanged, NotPossible, BadField, NotAttachable for an order it cannot be attached to, and
    what the action itself refuses.
    """
    code, number = _target_code(body), _number(body)
    held = _hold(tx, exception_id, body.version, code)
    row = held.row
    about = choosing.about(tx, [row])[row.id]
    if body.action not in (fits := choosing.possible(row, about)):
        raise _impossible(row, body.action, fits)
    if body.action is ExceptionAction.RECORD and about.refund is not None:
        recording.require_its_own(about.refund, number or "")
    if body.action is ExceptionAction.CONFIRM:
        confirming.require_channels_own(number or "", row.out_trade_no)
        if body.amount_fen != row.expected_fen:
            due = format_fen(row.expected_fen or 0)
            raise BadField(field="amount_fen", reason=Sentence(f"应收 {due}", f"{due} is due"))
    if body.action is ExceptionAction.ATTACH:
        attaching.require_attachable(held.order_to_pay(), _money(tx, row).amount_fen)
    row.action, row.action_order_code, row.action_provider_no = body.action.value, code, number
    row.note, row.proposed_by, row.proposed_at = body.note, actor.label, clock.now()
    if body.action in TWO_PEOPLE:
        _move(row, ExceptionState.PROPOSED)
    else:
        _act(tx, held, actor=actor, terms=Terms())
    _tell(tx, row, "propose", actor, request_id, note=body.note)


def propose_payment(tx: Tx, order_id: UUID, body: wire.ConfirmPayment, *, actor: Actor, request_id: str | None) -> UUID:
    """Propose that an unpaid order was paid, of which no channel tells; answers the exception it is proposed in.

    Raises NotFound, NotUnpaid, BadField, NotPossible while something else is proposed about the same payment.
    """
    order = orders.lock(tx, [order_id]).get(order_id)
    if order is None:
        raise NotFound
    row = confirming.raise_for(tx, order, body.channel)
    proposal = wire.ProposeAction(
        action=ExceptionAction.CONFIRM,
        note=body.note,
        provider_no=body.provider_no,
        amount_fen=body.amount_fen,
        version=row.version,
    )
    propose(tx, row.id, proposal, actor=actor, request_id=request_id)
    return row.id


def approve(
    tx: Tx, exception_id: UUID, body: wire.ApproveAction, *, actor: Actor, request_id: str | None, terms: Terms
) -> None:
    """The second person says yes, and it is done; or no, and it is open again: then the default policy goes on.

    Raises NotFound, ExceptionChanged, NothingProposed, ProposedByYou, NotPossible, and what the action itself refuses:
    then nothing has changed.
    """
    held = _hold(tx, exception_id, body.version)
    row = held.row
    if row.state != ExceptionState.PROPOSED or row.action is None:
        raise NothingProposed(state=row.state)
    if row.proposed_by == actor.label and body.approved:
        raise ProposedByYou
    detail = {"note": body.note, "proposed_by": row.proposed_by, "action": row.action}
    if body.approved:
        action = ExceptionAction(row.action)
        if action not in (fits := choosing.allowed(row, choosing.about(tx, [row])[row.id])):
            raise _impossible(row, action, fits)  # things went on since it was proposed
        row.approved_by = actor.label
        _act(tx, held, actor=actor, terms=terms)
    else:
        _move(row, ExceptionState.OPEN)
        closing.forget(row)
    _tell(tx, row, "approve" if body.approved else "send_back", actor, request_id, **detail)


# --- the default policy ---


FOR_THE_SECOND = timedelta(days=1)
"""How much longer the default policy waits for who is to approve a proposal."""


def acts_at(row: PaymentException) -> datetime | None:
    """When the default policy acts by itself. Once people have begun it waits a day more, and no longer."""
    if row.due_at is None or (row.state == ExceptionState.OPEN and row.due_at > clock.now()):
        return row.due_at
    return row.due_at + FOR_THE_SECOND


def act_due(tx: Tx, exception_id: UUID) -> None:
    """What the shop does where nobody has decided in time: deliver if there is stock now, else give the money back.

    A proposal that nobody approves, or that is made and taken back, keeps nobody's money for ever. A second payment may
    be the only one where people alone have seen the first: that is left for them.
    """
    held = _hold(tx, exception_id)
    row = held.row
    if row.due_at is None or row.state not in {ExceptionState.OPEN, ExceptionState.PROPOSED}:
        return  # people were quicker
    last = row.due_at + FOR_THE_SECOND
    if row.state == ExceptionState.PROPOSED and clock.now() < last:
        jobs.enqueue(tx, raising.DUE, {"id": str(row.id)}, run_at=last)
        return
    if row.state == ExceptionState.PROPOSED:
        _move(row, ExceptionState.OPEN)
        closing.forget(row)
    row.due_at = None
    try:
        with tx.begin_nested():
            if row.kind == ExceptionKind.PAID_TWICE and confirmed.is_in_doubt(tx, row.order_id):
                raise _impossible(row, ExceptionAction.REFUND)
            if not (row.kind in choosing.OF_ORDERS and _delivered(tx, held, actor=SYSTEM)):
                _refund(tx, held, actor=SYSTEM)
    except KamengError as refusal:
        _log.warning("left for people", extra={"exception": str(row.id), "error": str(refusal)})
    _tell(tx, row, "policy", SYSTEM, None)


# --- what is done ---


@dataclass(slots=True)
class _Held:
    """An exception under lock, with the orders it is about and that its money is to pay, and the shop's terms."""

    row: PaymentException
    order: Order | None
    target: Order | None
    terms: Terms = field(default_factory=Terms)

    def order_to_pay(self) -> Order:
        """The order that the proposed action names. Raises BadField when there is none."""
        if self.target is None:
            raise BadField(field="order_code", reason=Sentence("没有这个订单", "there is no such order"))
        return self.target


def _hold(tx: Tx, exception_id: UUID, version: int | None = None, code: str | None = None) -> _Held:
    """Lock orders first, then the exception, and compare what the person saw. Raises NotFound, ExceptionChanged."""
    seen = tx.get(PaymentException, exception_id)
    if seen is None:
        raise NotFound
    order_id, named, money = seen.order_id, seen.action_order_code, choosing.given_back(tx, seen)
    wanted = code or named
    target_id = attaching.target(tx, wanted) if wanted else None
    touched = {order_id, target_id, money.order_id if money else None} - {None}
    held = orders.lock(tx, sorted(one for one in touched if one is not None))
    query = select(PaymentException).where(PaymentException.id == exception_id).with_for_update()
    row = tx.scalars(query.execution_options(populate_existing=True)).one()
    if version is not None and row.version != version:
        raise ExceptionChanged(state=row.state, version=row.version)
    if row.action_order_code != named:  # it was proposed anew while the locks were awaited
        raise ExceptionChanged(state=row.state, version=row.version)
    return _Held(row, held.get(order_id) if order_id else None, held.get(target_id) if target_id else None)


def _act(tx: Tx, held: _Held, *, actor: Actor, terms: Terms) -> None:
    """Do what was decided; the default policy has nothing more to do."""
    assert held.row.action is not None
    held.row.due_at, held.terms = None, terms
    _ACTS[ExceptionAction(held.row.action)](tx, held, actor)


def _deliver(tx: Tx, held: _Held, actor: Actor) -> None:
    if not _delivered(tx, held, actor=actor):
        raise StillNoStock


def _delivered(tx: Tx, held: _Held, *, actor: Actor) -> bool:
    assert held.order is not None
    if not delivering.deliver(tx, held.order, at=clock.now(), actor=actor.label):
        return False
    _end(held.row, actor, at=clock.now())
    if held.row.attempt_id is not None:
        closing.money_used(tx, held.row.attempt_id)
    return True


def _refund(tx: Tx, held: _Held, actor: Actor) -> None:
    row = held.row
    reason, by = row.note or label(ExceptionKind(row.kind)), row.proposed_by or actor.label
    if row.kind == ExceptionKind.REFUND_STUCK:
        started = refunds.start_anew(tx, _stuck(row), reason=reason, actor=by, checked_by=row.approved_by)
    else:
        cause = CAUSES[ExceptionKind(row.kind)]
        source = _source(tx, row)
        started = refunds.start(tx, cause=cause, source=source, reason=reason, actor=by, checked_by=row.approved_by)
    row.refund_id = started.id
    _move(row, ExceptionState.WORKING)


def _record(tx: Tx, held: _Held, actor: Actor) -> None:
    """It went back at the channel: booked as a refund that nobody asks the channel for."""
    row = held.row
    assert row.action_provider_no is not None
    assert row.note is not None
    given = recording.Given(row.action_provider_no, row.note, row.proposed_by or actor.label, actor.label)
    _end(row, actor, at=clock.now())
    tx.flush()  # what the refund's end closes is closed by nobody else
    match ExceptionKind(row.kind):
        case ExceptionKind.REFUND_STUCK:
            made = recording.of_refund(tx, _stuck(row), given)
        case ExceptionKind.UNKNOWN_REFUND:
            made = _record_unknown(tx, row, given)
        case kind:
            made = recording.of_payment(tx, CAUSES[kind], _source(tx, row), given)
    row.refund_id = made.id


def _record_unknown(tx: Tx, row: PaymentException, given: recording.Given) -> Refund:
    """Of the money that the channel named: what is set aside, or what an order was sold for."""
    money = choosing.given_back(tx, row)
    if isinstance(money, UnmatchedPayment):
        made = recording.of_payment(tx, RefundCause.UNMATCHED, money, given)
        closing.money_found(tx, money.id)
        return made
    if money is None or row.received_fen is None:
        raise _impossible(row, ExceptionAction.RECORD)
    if choosing.was_taken_back(tx, money.id):
        raise PaidInItsPlace
    if totals.told(row).total is not None and totals.is_open(tx, row.channel, row.out_trade_no):
        raise making.RefundUnderWay  # is it in that sum?
    return recording.of_order(tx, money.order_id, money.id, row.received_fen, given)


def _confirm(tx: Tx, held: _Held, actor: Actor) -> None:
    row, now = held.row, clock.now()
    assert row.action_provider_no is not None
    assert row.attempt_id is not None
    assert held.order is not None
    if held.order.state not in confirming.UNPAID:
        raise confirming.NotUnpaid(order=held.order.code, state=held.order.state)
    _end(row, actor, at=now)
    tx.flush()  # what the payment answers is closed by nobody else
    confirming.confirm(tx, row.attempt_id, row.action_provider_no, _said(held, actor, at=now))


def _said(held: _Held, actor: Actor, *, at: datetime) -> confirming.Said:
    row = held.row
    return confirming.Said(row.note, row.proposed_by, actor.label, at, held.terms)


def _attach(tx: Tx, held: _Held, actor: Actor) -> None:
    row, order, now = held.row, held.order_to_pay(), clock.now()
    assert row.unmatched_id is not None
    _end(row, actor, at=now)
    tx.flush()  # what the payment answers is closed by nobody else
    attaching.attach(tx, row.unmatched_id, order, _said(held, actor, at=now))


def _ask_again(tx: Tx, held: _Held, actor: Actor) -> None:
    row = held.row
    if row.refund_id is not None:
        refunds.retry(tx, row.refund_id, actor=actor)
    else:
        now = clock.now()
        still_open = (PaymentAttempt.id == row.attempt_id, PaymentAttempt.state.in_(attempts.OPEN_STATES))
        if rows_changed(tx.execute(update(PaymentAttempt).where(*still_open).values(query_at=now))) != 1:
            _end(row, actor, at=now)  # the channel has said it meanwhile: nothing would ever answer
            return
    _move(row, ExceptionState.WORKING)


def _dismiss(_tx: Tx, held: _Held, actor: Actor) -> None:
    _end(held.row, actor, at=clock.now())


_ACTS: dict[ExceptionAction, Callable[[Tx, _Held, Actor], None]] = {
    ExceptionAction.DELIVER: _deliver,
    ExceptionAction.REFUND: _refund,
    ExceptionAction.ATTACH: _attach,
    ExceptionAction.ASK_AGAIN: _ask_again,
    ExceptionAction.CONFIRM: _confirm,
    ExceptionAction.RECORD: _record,
    ExceptionAction.DISMISS: _dismiss,
}


def _target_code(body: wire.ProposeAction) -> str | None:
    if body.action is not ExceptionAction.ATTACH:
        return None
    code = parse_order_code(body.order_code or "")
    if code is None:
        raise BadField(field="order_code", reason=Sentence("不是有效的订单号", "not an order code"))
    return code


_NUMBERED = frozenset({ExceptionAction.RECORD, ExceptionAction.CONFIRM})
"""What is said to have happened at the channel, and needs its number."""


def _number(body: wire.ProposeAction) -> str | None:
    if body.action not in _NUMBERED:
        return None
    if body.provider_no is None:
        raise BadField(field="provider_no", reason=Sentence("请填写渠道流水号", "the channel's number is needed"))
    return body.provider_no


def _stuck(row: PaymentException) -> UUID:
    """The refund that does not get on."""
    assert row.refund_id is not None, "only offered where there is one"
    return row.refund_id


def _source(tx: Tx, row: PaymentException) -> PaymentAttempt | UnmatchedPayment:
    """The money that the exception holds."""
    return _money(tx, row) if row.unmatched_id else tx.get_one(PaymentAttempt, row.attempt_id)


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
    facts = {"kind": row.kind, "action": row.action, "order": row.action_order_code or row.order_code}
    facts |= {"provider_no": row.action_provider_no} | detail
    audit.append(
        tx,
        actor=actor.label,
        action=f"exception.{what}",
        entity="exception",
        entity_id=str(row.id),
        detail=facts,
        request_id=request_id,
    )
