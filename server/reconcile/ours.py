"""Our side of a channel's day as `matching` compares it: payments, money that pays no order, and refunds.

A payment is of the day on which the channel says it was paid; a refund of the day on which it was handed in, as the
channels' bills have it. Money that was set aside is `aside` until people have decided: then it went back, or pays an
order. It is of the day on which it came, whenever that was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from server.db import Tx, among
from server.payments.model import PaymentAttempt, UnmatchedPayment
from server.payments.refunds.model import Refund, RefundEvent
from server.reconcile.differences import OurRow
from server.reconcile.matching import Side, Wanted
from shared import clock
from shared.states import AttemptState, RefundState, RefundStep, UnmatchedState

AT_A_TIME = 2_000
_STREAMED = 20_000
"""Rows that come at once: each time an engine of its own process is asked for more, both wait for each other."""

ASKED = tuple(
    state.value
    for state in (RefundState.SUBMITTED, RefundState.PROCESSING, RefundState.SUCCEEDED, RefundState.ABNORMAL)
)
"""Refunds that the channel knows of."""

_ASIDE = {
    UnmatchedState.HELD.value: "aside",
    UnmatchedState.RETURNING.value: "paid",
    UnmatchedState.RETURNED.value: "paid",
    UnmatchedState.ATTACHED.value: "paid",
}


BY_HAND = exists().where(RefundEvent.refund_id == Refund.id, RefundEvent.what == RefundStep.RECORDED.value)
"""Refunds that people recorded: they were made at the channel on a day that only its bill knows."""

_CHARGED, _WHOLE = PaymentAttempt.fee_fen, PaymentAttempt.amount_fen
_SHARE = (2 * _CHARGED * Refund.amount_fen + _WHOLE) // (2 * _WHOLE)
"""A refund's share of what its payment was charged, half a fen rounded up."""


def of_day(tx: Tx, channel: str, day: date) -> Iterator[OurRow]:
    """What we have of a day: payments as they were paid, money that was set aside, then refunds by our numbers."""
    start, end = clock.day_bounds(day)
    a, u, r = PaymentAttempt, UnmatchedPayment, Refund
    yield from _attempts(tx, _is_of(channel), a.paid_at >= start, a.paid_at < end)
    yield from _set_aside(tx, u.channel == channel, u.paid_at >= start, u.paid_at < end)
    in_day = (r.submitted_at >= start, r.submitted_at < end)
    yield from _refunds(tx, r.channel == channel, r.state.in_(ASKED), ~BY_HAND, *in_day)


def counted(tx: Tx, channel: str, day: date) -> Side:
    """What that comes to, by the engine alone: a million rows are not read for it."""
    (start, end), a, u, r = clock.day_bounds(day), PaymentAttempt, UnmatchedPayment, Refund
    paid = (
        _is_of(channel),
        a.paid_as.is_(None),
        _is(a.state, AttemptState.PAID.value),
        a.paid_at >= start,
        a.paid_at < end,
    )
    aside = (u.channel == channel, u.state.in_(list(_ASIDE)), u.paid_at >= start, u.paid_at < end)
    back = (r.channel == channel, r.state.in_(ASKED), ~BY_HAND, r.submitted_at >= start, r.submitted_at < end)
    sums = (
        select(func.count(), func.sum(a.amount_fen), func.sum(a.fee_fen)).where(*paid),
        select(func.count(), func.sum(u.amount_fen), literal(0)).where(*aside),
        select(func.count(), func.sum(r.amount_fen), func.sum(_SHARE)).outerjoin(a, a.id == r.attempt_id).where(*back),
    )
    (n, fen, fees), (m, more, _), (refunds, refunded, returned) = (
        [int(value or 0) for value in tx.execute(query).one()] for query in sums
    )
    return Side(n + m, fen + more, refunds, refunded, fen + more - refunded, fees - returned)


def named(tx: Tx, channel: str, wanted: Wanted) -> list[OurRow]:
    """What we have of any day and state under these numbers."""
    found: dict[UUID, OurRow] = {}
    a, u, r = PaymentAttempt, UnmatchedPayment, Refund
    for some in _parts(wanted.out_trade_nos):
        found |= {one.id: one for one in _attempts(tx, _is_of(channel), among(tx, a.out_trade_no, some))}
    for some in _parts(wanted.provider_nos):
        found |= {one.id: one for one in _attempts(tx, a.channel == channel, among(tx, a.provider_no, some))}
        found |= {one.id: one for one in _set_aside(tx, u.channel == channel, among(tx, u.provider_no, some))}
        found |= {one.id: one for one in _refunds(tx, r.channel == channel, among(tx, r.provider_refund_no, some))}
    for some in _parts(wanted.out_refund_nos):
        found |= {one.id: one for one in _refunds(tx, r.channel == channel, among(tx, r.out_refund_no, some))}
    return list(found.values())


def order_codes(tx: Tx, channel: str, out_trade_nos: Collection[str]) -> dict[str, str]:
    """The orders that were to be paid under these numbers, by number; numbers that are none of ours are left out."""
    a, codes = PaymentAttempt, dict[str, str]()
    for some in _parts(out_trade_nos):
        query = select(a.out_trade_no, a.order_code).where(_is_of(channel), among(tx, a.out_trade_no, some))
        codes |= dict(tx.execute(query).all())
    return codes


def _parts(numbers: Collection[str]) -> Iterator[Sequence[str]]:
    every = list(numbers)
    return (every[at : at + AT_A_TIME] for at in range(0, len(every), AT_A_TIME))


def _is_of(channel: str) -> ColumnElement[bool]:
    return _is(PaymentAttempt.channel, channel)


def _is(column: InstrumentedAttribute[str], value: str) -> ColumnElement[bool]:
    """Said so that no index is used for it: an engine without statistics would read all there ever was of it."""
    return column.concat("") == value


def _attempts(tx: Tx, *which: ColumnElement[bool]) -> Iterator[OurRow]:
    """Attempts that a channel knows: others were made for money that had been set aside, which is told of as such."""
    a = PaymentAttempt
    columns = (a.id, a.out_trade_no, a.provider_no, a.amount_fen, a.fee_fen, a.paid_at, a.state)
    query = select(*columns).where(a.paid_as.is_(None), *which).order_by(a.paid_at, a.id)
    # A million of a day go through here: by place, and in the order that the index has them in.
    for attempt_id, out_trade_no, provider_no, amount_fen, fee_fen, paid_at, state in _streamed(tx, query):
        known = "paid" if state == AttemptState.PAID else "unpaid"
        yield OurRow(
            attempt_id, "payment", out_trade_no, provider_no or "", "", amount_fen, fee_fen or None, known, paid_at
        )


def _set_aside(tx: Tx, *which: ColumnElement[bool]) -> Iterator[OurRow]:
    u, a = UnmatchedPayment, PaymentAttempt
    columns = (u.id, u.out_trade_no, u.provider_no, u.amount_fen, u.paid_at, u.state, a.amount_fen.label("due"))
    query = select(*columns).outerjoin(a, a.id == u.attempt_id).where(u.state.in_(list(_ASIDE)), *which)
    for row in _streamed(tx, query.order_by(u.provider_no, u.id)):
        yield OurRow(
            id=row.id,
            kind="payment",
            out_trade_no=row.out_trade_no,
            provider_no=row.provider_no,
            out_refund_no="",
            amount_fen=row.amount_fen,
            fee_fen=None,
            state=_ASIDE[row.state],
            at=row.paid_at,
            due_fen=row.due,
        )


def _refunds(tx: Tx, *which: ColumnElement[bool]) -> Iterator[OurRow]:
    r, a = Refund, PaymentAttempt
    names = (r.id, r.out_trade_no, r.out_refund_no, r.provider_refund_no, r.state)
    fee = (a.fee_fen, a.fee_is_final, _SHARE.label("share"))
    columns = (*names, r.amount_fen, r.submitted_at, r.refunded_at, BY_HAND.label("by_hand"), *fee)
    query = select(*columns).outerjoin(a, a.id == r.attempt_id).where(*which).order_by(r.out_refund_no)
    for row in _streamed(tx, query):
        yield OurRow(
            id=row.id,
            kind="refund",
            out_trade_no=row.out_trade_no,
            provider_no=row.provider_refund_no or "",
            out_refund_no=row.out_refund_no,
            amount_fen=row.amount_fen,
            fee_fen=-int(row.share) if row.fee_fen or row.fee_is_final else None,
            state=row.state,
            at=None if row.by_hand else row.submitted_at,
            ended_at=row.refunded_at,
        )


def _streamed(tx: Tx, query: Any) -> Any:
    """Rows, not objects of a session: a million take a quarter less."""
    return tx.connection().execute(query.execution_options(yield_per=_STREAMED))
