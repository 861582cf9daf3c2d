"""The exceptions in which money that a channel's bill names waits for people: found, or raised where there is none.

So that what reconciliation decides takes the way of all other money: proposed by one person, approved by another.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select

from server.db import Tx, among
from server.payments import actions
from server.payments.actions import ApplyPayment
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds import hearing, moving
from server.payments.refunds.actions import RefundHeard
from server.payments.terms import Terms
from shared.money import Fen
from shared.states import ExceptionKind, RefundTrouble

_OF_ATTEMPTS = (
    ExceptionKind.PAYMENT_UNKNOWN.value,
    ExceptionKind.PAID_NO_STOCK.value,
    ExceptionKind.PAID_AFTER_EXPIRY.value,
)
_AT_A_TIME = 500
_Named = TypeVar("_Named", bound=tuple[object, ...])


class Paid(NamedTuple):
    """A payment as a bill names it."""

    provider_no: str
    out_trade_no: str


class GivenBack(NamedTuple):
    """A refund as a bill names it. `refund_no` is the payment's where the channel gives refunds none of their own."""

    refund_no: str
    out_refund_no: str
    amount_fen: Fen


def of_payments(tx: Tx, channel: str, payments: Collection[Paid]) -> dict[Paid, PaymentException]:
    """The open exceptions about payments: where the money was set aside, else about the attempt it may pay."""
    u, a, e = UnmatchedPayment, PaymentAttempt, PaymentException
    found: dict[Paid, PaymentException] = {}
    for some in _parts(sorted(payments)):
        numbers = [one.out_trade_no for one in some if one.out_trade_no]
        # By the numbers alone: an engine would choose the channel's index, and read all there ever was of it.
        attempts = tx.execute(select(a.id, a.out_trade_no).where(among(tx, a.out_trade_no, numbers))).all()
        aside = select(u.id, u.provider_no).where(u.channel == channel)
        money = tx.execute(aside.where(among(tx, u.provider_no, [one.provider_no for one in some]))).all()
        is_open = (e.channel == channel, e.closed_at.is_(None))
        of_kinds = (e.kind.in_(_OF_ATTEMPTS), among(tx, e.attempt_id, [one.id for one in attempts]))
        by_attempt = {one.attempt_id: one for one in tx.scalars(select(e).where(*is_open, *of_kinds))}
        of_money = among(tx, e.unmatched_id, [one.id for one in money])
        by_money = {one.unmatched_id: one for one in tx.scalars(select(e).where(*is_open, of_money))}
        in_attempts = {one.out_trade_no: by_attempt[one.id] for one in attempts if one.id in by_attempt}
        in_money = {one.provider_no: by_money[one.id] for one in money if one.id in by_money}
        for paid in some:
            exception = in_money.get(paid.provider_no) or in_attempts.get(paid.out_trade_no)
            if exception is not None:
                found[paid] = exception
    return found


def of_refunds(tx: Tx, channel: str, refunds: Collection[GivenBack]) -> dict[GivenBack, PaymentException]:
    """The open exceptions about refunds that nobody here knew."""
    return dict(_told(tx, channel, refunds, PaymentException.closed_at.is_(None)))


def of_our_refunds(tx: Tx, refund_ids: Collection[UUID]) -> dict[UUID, PaymentException]:
    """The open exceptions about refunds of ours, by refund."""
    e = PaymentException
    stuck = (e.kind == ExceptionKind.REFUND_STUCK.value, e.closed_at.is_(None))
    rows = tx.scalars(select(e).where(*stuck, among(tx, e.refund_id, sorted(refund_ids)))) if refund_ids else ()
    return {row.refund_id: row for row in rows if row.refund_id is not None}


def doubted(tx: Tx, refund_id: UUID, said: str) -> None:
    """Put a refund of ours before people that has ended otherwise than a bill says."""
    hearing.raise_stuck(tx, moving.lock(tx, refund_id), RefundTrouble.DIFFERS, said=said, again=True)


def are_booked(tx: Tx, channel: str, refunds: Collection[GivenBack]) -> set[GivenBack]:
    """Those of which people have said that they took place: they are in the books under another number of ours."""
    return {one for one, _ in _told(tx, channel, refunds, PaymentException.refund_id.is_not(None))}


def _told(
    tx: Tx, channel: str, refunds: Collection[GivenBack], which: ColumnElement[bool]
) -> Iterator[tuple[GivenBack, PaymentException]]:
    e = PaymentException
    for some in _parts(sorted(refunds)):
        unknown = (e.channel == channel, e.kind == ExceptionKind.UNKNOWN_REFUND.value, which)
        its = select(e).where(*unknown, among(tx, e.provider_no, [one.refund_no for one in some]))
        told = [(row, dict(json.loads(row.evidence or "[]")).get("out_refund_no", "")) for row in tx.scalars(its)]
        for one in some:
            for row, out_refund_no in told:
                is_same = row.provider_no == one.refund_no and row.received_fen == one.amount_fen
                if is_same and one.out_refund_no in {out_refund_no, ""}:
                    yield one, row


def _parts(named: Sequence[_Named]) -> Iterator[Sequence[_Named]]:
    return (named[at : at + _AT_A_TIME] for at in range(0, len(named), _AT_A_TIME))


def set_aside(tx: Tx, command: ApplyPayment, *, terms: Terms) -> PaymentException | None:
    """Set money aside that a bill names and that pays nothing; None where it is known as the payment of an order."""
    actions.apply(tx, [command], terms=terms)
    tx.flush()
    paid = Paid(command.fact.provider_no or "", command.fact.out_trade_no)
    return of_payments(tx, command.fact.channel, [paid]).get(paid)


def refunded(tx: Tx, command: RefundHeard, named: GivenBack) -> PaymentException | None:
    """A refund that a bill names and nobody here knew; None where it is in the books after all."""
    hearing.hear(tx, [command])
    tx.flush()
    return of_refunds(tx, command.channel, [named]).get(named)
