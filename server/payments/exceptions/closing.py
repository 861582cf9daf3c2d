"""Exceptions that end, or come back, by what happens to their money: a refund's end, the channel's answer."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, select

from server import audit, changes
from server.db import Tx, among
from server.orders.model import Order
from server.payments.model import PaymentException, UnmatchedPayment
from server.payments.refunds import totals
from server.payments.refunds.model import Refund, RefundLine
from shared import clock
from shared.money import Fen
from shared.states import (
    AttemptState,
    ExceptionAction,
    ExceptionKind,
    ExceptionState,
    OrderState,
    RefundState,
    may_move,
    require_move,
)

SYSTEM = "system"
UNBILLED = "unbilled"
"""What is said of a refund that people recorded while no bill of its channel names it."""


def refund_ended(tx: Tx, refund_id: UUID, *, succeeded: bool) -> None:
    """The refund that an exception waited for is over: its money is back, or people must look again.

    With its money went that of refunds before it which ended without: nothing is left to do about them. And less is
    unknown of the sums in which it is.
    """
    if succeeded:
        refund = tx.get_one(Refund, refund_id)
        which = {refund_id, *_made_again(tx, refund)}
        for row in _rows(tx, PaymentException.refund_id.in_(which)):
            end(tx, row, closed_by=SYSTEM)
        _count_again(tx, refund)
        return
    for row in _rows(tx, PaymentException.refund_id == refund_id):
        if may_move(ExceptionState(row.state), ExceptionState.OPEN):
            _reopen(tx, row)


def money_used(tx: Tx, attempt_id: UUID) -> None:
    """What was paid by an attempt bought goods after all: its refunds that failed are nobody's concern any more."""
    failed = (Refund.attempt_id == attempt_id, Refund.unmatched_id.is_(None), Refund.state == RefundState.CLOSED.value)
    stuck = PaymentException.kind == ExceptionKind.REFUND_STUCK.value
    for row in _rows(tx, PaymentException.refund_id.in_(select(Refund.id).where(*failed)), stuck):
        end(tx, row, closed_by=SYSTEM)


def told_of_refund(tx: Tx, channel: str, refund_no: str) -> list[Fen | None]:
    """What a refund gave back that the channel told of, and nobody knows yet."""
    return [row.received_fen for row in _unknown_refunds(tx, channel, refund_no)]


def refund_known(tx: Tx, channel: str, refund_no: str) -> None:
    """A refund that the channel told of, and nobody knew, is in the books now."""
    for row in _unknown_refunds(tx, channel, refund_no):
        end(tx, row, closed_by=SYSTEM)


def _unknown_refunds(tx: Tx, channel: str, refund_no: str) -> list[PaymentException]:
    its = (PaymentException.channel == channel, PaymentException.provider_no == refund_no)
    return _rows(tx, PaymentException.kind == ExceptionKind.UNKNOWN_REFUND.value, *its)


def _count_again(tx: Tx, refund: Refund) -> None:
    """What is still unknown of the sums that a channel told of this refund's payment."""
    its = (PaymentException.channel == refund.channel, PaymentException.out_trade_no == refund.out_trade_no)
    for row in _rows(tx, PaymentException.kind == ExceptionKind.UNKNOWN_REFUND.value, *its):
        told = totals.told(row)
        if told.total is None:
            continue
        left = totals.unbooked(tx, row.channel, row.out_trade_no, told.total, at=told.at)
        if left <= 0:
            end(tx, row, closed_by=SYSTEM)
        elif left != row.received_fen:
            row.received_fen = left
            _told(tx, row, actor=SYSTEM)


def _made_again(tx: Tx, now: Refund) -> list[UUID]:
    """The refunds that ended without money and whose money this one has given back.

    That is what it was made for, and what took the same units, or money of no line; another sum of the same line is
    owed besides, until the buyer has got all back.
    """
    same_money = (
        Refund.unmatched_id == now.unmatched_id
        if now.unmatched_id is not None
        else and_(Refund.attempt_id == now.attempt_id, Refund.unmatched_id.is_(None))
    )
    ended = select(Refund).where(same_money, Refund.state == RefundState.CLOSED.value, Refund.id != now.id)
    before = {refund.id: refund for refund in tx.scalars(ended)}
    lines: dict[UUID, dict[UUID, RefundLine]] = defaultdict(dict)
    for line in tx.scalars(select(RefundLine).where(RefundLine.refund_id.in_([now.id, *before]))):
        lines[line.refund_id][line.order_line_id] = line
    made_for = _made_for(now, before)
    is_all = now.order_id is not None and _is_all_back(tx, now.order_id)
    return [one for one in before if one in made_for or is_all or _covers(lines[now.id], lines[one])]


def _made_for(now: Refund, before: Mapping[UUID, Refund]) -> set[UUID]:
    """Those in whose place it was made, one after the other."""
    found: set[UUID] = set()
    one: Refund | None = now
    while one is not None and one.made_for is not None:
        found.add(one.made_for)
        one = before.get(one.made_for)
    return found


def _is_all_back(tx: Tx, order_id: UUID) -> bool:
    return tx.get_one(Order, order_id).state == OrderState.REFUNDED


def _covers(now: dict[UUID, RefundLine], before: dict[UUID, RefundLine]) -> bool:
    """Whether a refund took at least as much, of lines with the same units: nobody gives those back twice."""
    if not now or not before:
        return not now and not before
    return all(line_id in now and _takes_in(now[line_id], line) for line_id, line in before.items())


def _takes_in(now: RefundLine, before: RefundLine) -> bool:
    return bool(before.seqs) and set(now.seqs) >= set(before.seqs) and now.amount_fen >= before.amount_fen


def set_aside(tx: Tx, money: Sequence[UnmatchedPayment]) -> None:
    """Money of no attempt is in the books, and has an exception of its own: what doubted it before is over."""
    for channel in {one.channel for one in money if one.attempt_id is None}:
        numbers = [one.provider_no for one in money if one.attempt_id is None and one.channel == channel]
        its = (PaymentException.channel == channel, PaymentException.provider_no.in_(numbers))
        unknown = (
            PaymentException.kind == ExceptionKind.UNKNOWN_PAYMENT.value,
            PaymentException.unmatched_id.is_(None),
        )
        for row in _rows(tx, *its, *unknown):
            end(tx, row, closed_by=SYSTEM)


def money_found(tx: Tx, unmatched_id: UUID) -> None:
    """What was set aside pays an order, or was a slip of the channel: nothing is left to decide."""
    for row in _rows(tx, PaymentException.unmatched_id == unmatched_id):
        end(tx, row, closed_by=SYSTEM)


class Booked(NamedTuple):
    """What people booked of a paid attempt, of which the channel named another amount later; under `note`."""

    attempt_id: UUID
    provider_no: str
    received_fen: Fen
    note: str
    proposed_by: str | None
    approved_by: str | None


def amounts_booked(tx: Tx, booked: Collection[Booked], *, closed_by: str) -> None:
    """The books have the other amount now: the alarm about it, which holds no money, is the same matter."""
    by_matter: dict[tuple[UUID | None, str | None, Fen | None], Booked]
    by_matter = {(one.attempt_id, one.provider_no, one.received_fen): one for one in booked}
    of_attempts = among(tx, PaymentException.attempt_id, sorted({one.attempt_id for one in booked}))
    alarms = (PaymentException.kind == ExceptionKind.AMOUNT_MISMATCH.value, PaymentException.unmatched_id.is_(None))
    for row in _rows(tx, of_attempts, *alarms) if booked else ():
        one = by_matter.get((row.attempt_id, row.provider_no, row.received_fen))
        if one is not None:
            row.action, row.note, row.proposed_at = ExceptionAction.DISMISS.value, one.note[:400], clock.now()
            row.proposed_by, row.approved_by = one.proposed_by, one.approved_by
            end(tx, row, closed_by=closed_by)


_ABOUT = select(PaymentException).where(
    PaymentException.attempt_id.in_(bindparam("attempts", expanding=True)),
    PaymentException.closed_at.is_(None),
)
_OUTDONE = frozenset(
    kind.value
    for kind in (ExceptionKind.PAYMENT_UNKNOWN, ExceptionKind.AMOUNT_MISMATCH, ExceptionKind.MERCHANT_MISMATCH)
)


def paid(tx: Tx, numbers: Mapping[UUID, str | None]) -> None:
    """These attempts are paid, each by the money of a number: nobody doubts any more what was said of that money.

    What was said of other money of the same attempt stays: it is an alarm.
    """
    found = tx.scalars(_ABOUT, {"attempts": list(numbers)}).all()
    about = [row.id for row in found if _is_outdone(row, numbers)]
    if about:
        for row in _rows(tx, PaymentException.id.in_(about)):
            end(tx, row, closed_by=SYSTEM)


def _is_outdone(row: PaymentException, numbers: Mapping[UUID, str | None]) -> bool:
    if row.kind not in _OUTDONE or row.unmatched_id is not None or row.attempt_id is None:
        return False
    return row.provider_no in {None, numbers[row.attempt_id]}


def answered(tx: Tx, attempt_ids: Sequence[UUID]) -> None:
    """The channel has said at last what became of these attempts: who proposed something for one reads why it ended."""
    if not attempt_ids:
        return
    unknown = PaymentException.kind == ExceptionKind.PAYMENT_UNKNOWN.value
    for row in _rows(tx, PaymentException.attempt_id.in_(list(attempt_ids)), unknown):
        said = ["channel_answer", AttemptState.CLOSED.value]
        row.evidence = json.dumps([*json.loads(row.evidence or "[]"), said], ensure_ascii=False)
        end(tx, row, closed_by=SYSTEM)


def still_unknown(tx: Tx, attempt_id: UUID) -> None:
    """The channel was asked again, as a person wished, and gave no answer."""
    working = PaymentException.state == ExceptionState.WORKING.value
    unknown = PaymentException.kind == ExceptionKind.PAYMENT_UNKNOWN.value
    for row in _rows(tx, PaymentException.attempt_id == attempt_id, working, unknown):
        _reopen(tx, row)


def still_stuck(tx: Tx, refund_id: UUID, *, evidence: str | None = None) -> bool:
    """A refund does not get on: if people have it before them, it is open, with this `evidence`. Whether they have."""
    stuck = PaymentException.kind == ExceptionKind.REFUND_STUCK.value
    rows = _rows(tx, PaymentException.refund_id == refund_id, stuck)
    for row in rows:
        is_news = evidence is not None and row.evidence != evidence
        if is_news:
            row.evidence = evidence
        if row.state == ExceptionState.WORKING:
            _reopen(tx, row)
        elif is_news:
            _told(tx, row, actor=SYSTEM)
    return bool(rows)


def billed(tx: Tx, refund_id: UUID) -> None:
    """A bill names a recorded refund after all."""
    stuck = PaymentException.kind == ExceptionKind.REFUND_STUCK.value
    for row in _rows(tx, PaymentException.refund_id == refund_id, stuck):
        if ["said", UNBILLED] in json.loads(row.evidence or "[]"):
            end(tx, row, closed_by=SYSTEM)


def over(tx: Tx, key: str) -> None:
    """What this exception was raised for is over by itself."""
    for row in _rows(tx, PaymentException.key == key):
        end(tx, row, closed_by=SYSTEM)


def end(tx: Tx, row: PaymentException, *, closed_by: str) -> None:
    """Close an exception that its caller holds."""
    require_move(ExceptionState(row.state), ExceptionState.CLOSED)
    row.state, row.closed_at, row.closed_by, row.due_at = ExceptionState.CLOSED.value, clock.now(), closed_by, None
    _told(tx, row, actor=closed_by)


def _reopen(tx: Tx, row: PaymentException) -> None:
    require_move(ExceptionState(row.state), ExceptionState.OPEN)
    if row.kind != ExceptionKind.REFUND_STUCK:  # its refund failed: another one may be started
        row.refund_id = None
    forget(row)
    row.state, row.due_at = ExceptionState.OPEN.value, None
    _told(tx, row, actor=SYSTEM)


def forget(row: PaymentException) -> None:
    """Nothing is proposed for it any more."""
    row.action, row.action_order_code, row.action_provider_no, row.note = None, None, None, None
    row.proposed_by, row.proposed_at, row.approved_by = None, None, None


def _rows(tx: Tx, *which: ColumnElement[bool]) -> list[PaymentException]:
    """Open exceptions under lock. They are found without one: rows that people hold are not waited for in vain."""
    is_open = PaymentException.closed_at.is_(None)
    found = tx.scalars(select(PaymentException.id).where(*which, is_open)).all()
    if not found:
        return []
    query = select(PaymentException).where(PaymentException.id.in_(found), is_open)
    in_order = query.order_by(PaymentException.id).with_for_update()
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
