"""What may be done about an exception now: by its kind, by the money it holds, and by what has become of that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.payments import aside
from server.payments.exceptions import closing
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds import making
from server.payments.refunds.model import Refund, RefundLine
from server.payments.refunds.moving import ENDED, WITHOUT_MONEY
from shared.states import (
    EXCEPTION_ACTIONS,
    AttemptState,
    ExceptionAction,
    ExceptionKind,
    ExceptionState,
    RefundState,
    RefundTrouble,
)
from shared.states import WITHOUT_MONEY as MOVES_NOTHING

OF_ORDERS = frozenset({ExceptionKind.PAID_NO_STOCK, ExceptionKind.PAID_AFTER_EXPIRY})
"""Kinds whose money is in the order's escrow."""

_WAITING = frozenset({ExceptionState.OPEN.value, ExceptionState.PROPOSED.value})
_ALL = frozenset(ExceptionAction)
_DISMISS = frozenset({ExceptionAction.DISMISS})
_BY_TROUBLE: Mapping[str, Set[ExceptionAction]] = {
    RefundTrouble.NOT_OFFERED.value: frozenset({ExceptionAction.RECORD}),
    RefundTrouble.CHANNEL_GONE.value: frozenset({ExceptionAction.ASK_AGAIN, ExceptionAction.RECORD}),
    RefundTrouble.ABNORMAL.value: frozenset({ExceptionAction.ASK_AGAIN, ExceptionAction.RECORD}),
}
"""What may be done about a refund under way that does not arrive by itself: people give it back, and say so."""

_NOT_PAID = frozenset({"abnormal", "closed", "failed", closing.UNBILLED})
"""What a channel says of a refund that did not reach the buyer; or that none of its bills names one by that number."""

_NEVER_THERE = frozenset({RefundTrouble.NOT_OFFERED.value, RefundTrouble.TOO_LATE.value, RefundTrouble.TOO_MANY.value})
"""Why a channel would not take a new refund of the same money either."""


@dataclass(frozen=True, slots=True)
class About:
    """What some exceptions are about, as far as it decides what can be done.

    `refund` is the one that is stuck, and `held_elsewhere` that its money has an exception of its own, which decides.
    `money` is what the channel has given back by itself. `is_paid`: its attempt was paid.
    """

    refund: Refund | None = None
    money: UnmatchedPayment | PaymentAttempt | None = None
    held_elsewhere: bool = False
    is_paid: bool = False


def possible(row: PaymentException, about: About) -> list[ExceptionAction]:
    """What may be proposed now, the usual thing first."""
    return allowed(row, about) if row.state == ExceptionState.OPEN else []


def allowed(row: PaymentException, about: About) -> list[ExceptionAction]:
    """What may be done as things stand, whether or not somebody has proposed it already."""
    kind = ExceptionKind(row.kind)
    fits = _fitting(kind, row, about)
    return [action for action in EXCEPTION_ACTIONS[kind] if action in fits] or [ExceptionAction.DISMISS]


def _fitting(kind: ExceptionKind, row: PaymentException, about: About) -> Set[ExceptionAction]:
    if kind is ExceptionKind.REFUND_STUCK:
        return _of_refund(row, about)
    if kind is ExceptionKind.UNKNOWN_REFUND:
        return _ALL if about.money is not None else _DISMISS
    if kind is ExceptionKind.PAYMENT_UNKNOWN:
        return _DISMISS if about.is_paid else _ALL
    holds_money = row.unmatched_id is not None or kind in OF_ORDERS
    return _ALL if holds_money else MOVES_NOTHING


def _of_refund(row: PaymentException, about: About) -> Set[ExceptionAction]:
    """One that lives is asked about, and hidden from nobody; one that ended without money is made anew or recorded, and
    one that the channel took back after it had paid is recorded once it was made otherwise.

    What the channel cannot be asked for goes back in its own console, and waits for that.
    """
    refund = about.refund
    if refund is None:
        return _DISMISS
    if refund.state not in ENDED:
        return _BY_TROUBLE.get(refund.trouble or "", frozenset({ExceptionAction.ASK_AGAIN}))
    if refund.state == RefundState.SUCCEEDED and _says_not_paid(row.evidence):
        return _DISMISS | {ExceptionAction.RECORD}
    if refund.state not in WITHOUT_MONEY or about.held_elsewhere:
        return _DISMISS
    paid_there = ["trouble", RefundTrouble.DIFFERS.value] in json.loads(row.evidence or "[]")
    again = set() if paid_there or refund.trouble in _NEVER_THERE else {ExceptionAction.REFUND}
    return _DISMISS | {ExceptionAction.RECORD} | again


def about(tx: Tx, rows: Sequence[PaymentException]) -> dict[UUID, About]:
    """What these exceptions are about, set by set; only those that wait for people are looked into."""
    waiting = [row for row in rows if row.state in _WAITING]
    refunds = _refunds(tx, [row for row in waiting if row.kind == ExceptionKind.REFUND_STUCK])
    elsewhere = _held_elsewhere(tx, [refund for refund in refunds.values() if refund.state in WITHOUT_MONEY])
    unknown = [row for row in waiting if row.kind == ExceptionKind.PAYMENT_UNKNOWN]
    paid = _paid(tx, {row.attempt_id for row in unknown if row.attempt_id})
    found: dict[UUID, About] = {}
    for row in rows:
        refund = refunds.get(row.refund_id) if row.refund_id else None
        found[row.id] = About(
            refund=refund,
            money=given_back(tx, row) if row.state in _WAITING else None,
            held_elsewhere=refund is not None and refund.id in elsewhere,
            is_paid=row.attempt_id in paid,
        )
    return found


def given_back(tx: Tx, row: PaymentException) -> UnmatchedPayment | PaymentAttempt | None:
    """The money that a refund gave back which nobody here knew: all of what is set aside, or of what bought an order.

    By the channel's number of it; by ours alone only where nothing else came under that. None while people cannot say
    which it was, for a part of what is set aside, which goes back whole, and for what is on its way back already.
    """
    if row.kind != ExceptionKind.UNKNOWN_REFUND or row.received_fen is None:
        return None
    number = dict(json.loads(row.evidence or "[]")).get("provider_no")
    held = aside.held(tx, row.channel, row.received_fen, provider_no=number, out_trade_no=row.out_trade_no)
    if number:
        return held or making.sold_for(tx, row.channel, [number]).get(number)
    attempt = tx.get(PaymentAttempt, row.attempt_id) if row.attempt_id else None
    if attempt is None or attempt.provider_no not in making.sold_for(tx, row.channel, [attempt.provider_no or ""]):
        return held
    return None if aside.is_held(tx, row.channel, row.out_trade_no) else attempt


def was_taken_back(tx: Tx, attempt_id: UUID) -> bool:
    """Whether a refund of this payment is in the books of which its channel says that it did not arrive: what an
    unknown refund gave back may be in the books by that, or by several of them.
    """
    query = (
        select(PaymentException.evidence)
        .join(Refund, Refund.id == PaymentException.refund_id)
        .where(Refund.attempt_id == attempt_id, Refund.unmatched_id.is_(None))
        .where(Refund.state == RefundState.SUCCEEDED.value, PaymentException.closed_at.is_(None))
        .where(PaymentException.kind == ExceptionKind.REFUND_STUCK.value)
    )
    return any(_says_not_paid(evidence) for evidence in tx.scalars(query))


def _says_not_paid(evidence: str | None) -> bool:
    said = dict(json.loads(evidence or "[]"))
    return said.get("trouble") == RefundTrouble.DIFFERS.value and said.get("said") in _NOT_PAID


def _refunds(tx: Tx, stuck: Sequence[PaymentException]) -> dict[UUID, Refund]:
    wanted = {row.refund_id for row in stuck if row.refund_id}
    if not wanted:
        return {}
    return {refund.id: refund for refund in tx.scalars(select(Refund).where(Refund.id.in_(wanted)))}


def _held_elsewhere(tx: Tx, ended: Sequence[Refund]) -> set[UUID]:
    """Which of these refunds, all of money that bought nothing, have that money in an open exception of its own."""
    if not ended:
        return set()
    of_goods = set(tx.scalars(select(RefundLine.refund_id).where(RefundLine.refund_id.in_([one.id for one in ended]))))
    bare = [refund for refund in ended if refund.id not in of_goods]
    attempts = {one.attempt_id for one in bare if one.attempt_id and one.unmatched_id is None}
    aside = {one.unmatched_id for one in bare if one.unmatched_id}
    its_kinds = PaymentException.kind.in_([kind.value for kind in OF_ORDERS])
    in_escrow = its_kinds & PaymentException.attempt_id.in_(attempts)
    is_open = PaymentException.closed_at.is_(None)
    names = select(PaymentException.attempt_id, PaymentException.unmatched_id)
    held = tx.execute(names.where(is_open, in_escrow | PaymentException.unmatched_id.in_(aside))).all()
    held_attempts = {attempt_id for attempt_id, unmatched_id in held if unmatched_id is None}
    held_aside = {unmatched_id for _, unmatched_id in held if unmatched_id}
    return {one.id for one in bare if (one.unmatched_id or one.attempt_id) in held_attempts | held_aside}


def _paid(tx: Tx, attempt_ids: Set[UUID]) -> set[UUID]:
    """Which of these attempts were paid."""
    a = PaymentAttempt
    query = select(a.id).where(a.id.in_(attempt_ids), a.state == AttemptState.PAID.value)
    return set(tx.scalars(query)) if attempt_ids else set()
