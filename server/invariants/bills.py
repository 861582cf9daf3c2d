"""The checks of what channels say moved: by their bills of signed days, and what they paid out to our bank."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, case, cast, exists, func, literal, or_, select, true

from server.db import Tx
from server.invariants.books import is_read
from server.invariants.finding import NAMED_MOST, Finding, first_of, found
from server.invariants.payments import PAY_CONFIRMED, key_of
from server.ledger.model import LedgerAccount, LedgerJournal, LedgerTransfer
from server.payments.model import PaymentAttempt, UnmatchedPayment
from server.payments.refunds.model import Refund
from server.reconcile.model import ReconcileDay, ReconcileDifference, ReconcileRow, ReconcileSweep, ReconcileSweepPart
from shared.money import Fen
from shared.states import AttemptState, RefundState

_MOVED = ("paid", "succeeded")
"""Rows of a bill whose money had moved when it was made; what was under way may still come back."""


class _Ours(NamedTuple):
    """What rows of bills are paired with: its table, when it counts as moved, and the keys of what moved it."""

    table: type[PaymentAttempt | UnmatchedPayment | Refund]
    is_booked: ColumnElement[bool]
    keys: tuple[ColumnElement[str], ...]


def _received(table: type[PaymentAttempt | UnmatchedPayment]) -> tuple[ColumnElement[str], ...]:
    return tuple(key_of(table, code) for code in ("pay", "suspense", "correct"))


_HAS_ANOTHER_NUMBER = or_(
    PaymentAttempt.provider_no.is_(None), PaymentAttempt.provider_no != PaymentAttempt.out_trade_no
)

_OURS = (
    _Ours(
        PaymentAttempt,
        PaymentAttempt.state == AttemptState.PAID.value,
        (*_received(PaymentAttempt), case((_HAS_ANOTHER_NUMBER, PAY_CONFIRMED))),
    ),
    _Ours(UnmatchedPayment, true(), _received(UnmatchedPayment)),
    _Ours(
        Refund,
        Refund.state == RefundState.SUCCEEDED.value,
        (literal("refund:") + Refund.out_refund_no + ":paid",),
    ),
)


class _Day(NamedTuple):
    """A signed day, and the bill that was signed."""

    channel: str
    day: date
    file_id: UUID


def signed_bills_are_booked(tx: Tx) -> Finding | None:
    """L7: what the bill of a signed day was paired with is ours for the bill's amount, and by their sum the channel's
    account moved as much as its bill, unless people were told of a difference.
    """
    sentence = "已签署账单与账目不符 / a signed bill that is not what is booked"
    off: list[str] = []
    for one in _days(tx):
        for ours in _OURS:
            query = (
                select(literal(one.channel), literal(one.day.isoformat()), ReconcileRow.n)
                .join(ours.table, ours.table.id == ReconcileRow.matched_id)
                .where(*_agreed(one), or_(~ours.is_booked, ours.table.amount_fen != ReconcileRow.amount_fen))
            )
            if finding := found(tx, "L7", sentence, query):
                return finding
        billed, booked = _billed(tx, one), _booked(tx, one)
        if billed != booked:
            off.append(f"{one.channel} {one.day} {booked} {billed}")
    return Finding("L7", sentence, tuple(off[:NAMED_MOST])) if off else None


def _days(tx: Tx) -> Iterator[_Day]:
    """The signed days whose turn it is to be read again."""
    query = select(ReconcileDay.channel, ReconcileDay.day, ReconcileDay.trades_file_id).where(ReconcileDay.is_signed)
    for channel, day, file_id in tx.execute(query.order_by(ReconcileDay.day.desc(), ReconcileDay.channel)):
        if file_id is not None and is_read(day):
            yield _Day(channel, day, file_id)


def _agreed(one: _Day) -> tuple[ColumnElement[bool], ...]:
    """The rows whose money moved, that were paired, and of which nobody was told that they differ."""
    told = exists().where(
        ReconcileDifference.channel == one.channel,
        ReconcileDifference.day == one.day,
        ReconcileDifference.ours_id == ReconcileRow.matched_id,
    )
    paired = ReconcileRow.matched_id.is_not(None)
    return ReconcileRow.file_id == one.file_id, ReconcileRow.state.in_(_MOVED), paired, ~told


def _billed(tx: Tx, one: _Day) -> Fen:
    """What these rows say came in, less what went back."""
    came = case((ReconcileRow.kind == "payment", ReconcileRow.amount_fen), else_=-ReconcileRow.amount_fen)
    return int(tx.scalar(select(func.coalesce(func.sum(came), 0)).where(*_agreed(one))) or 0)


def _booked(tx: Tx, one: _Day) -> Fen:
    """What the journals of their money moved on the channel's account."""
    its = (LedgerAccount.kind == "psp", LedgerAccount.owner == one.channel)
    psp = tx.scalars(select(LedgerAccount.id).where(*its)).first()
    if psp is None:
        return 0
    signed = case((LedgerTransfer.debit_id == psp, LedgerTransfer.amount_fen), else_=-LedgerTransfer.amount_fen)
    touched = or_(LedgerTransfer.debit_id == psp, LedgerTransfer.credit_id == psp)
    whole = 0
    for ours in _OURS:
        for key in ours.keys:  # each by itself: an engine finds one key by its index, and reads all for one of several
            query = (
                select(func.coalesce(func.sum(signed), 0))
                .select_from(ReconcileRow)
                .join(ours.table, ours.table.id == ReconcileRow.matched_id)
                .join(LedgerJournal, LedgerJournal.key == key)
                .join(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
                .where(*_agreed(one), touched)
            )
            whole += int(tx.scalar(query) or 0)
    return whole


def sweeps_are_booked(tx: Tx) -> Finding | None:
    """L7: what a channel paid out to our bank is booked once, for what of it is ours, until it is reversed; nothing
    else is; and its days come to that.
    """
    w, p = ReconcileSweep, ReconcileSweepPart
    again = case((w.n > 1, literal(":") + cast(w.n, String)), else_="")
    key = literal("sweep:") + w.channel + ":" + w.reference + again
    states = {
        key: ("booked", "reversing", "reversed"),
        key + ":reversed": ("reversed",),
    }
    unbooked = []
    for journal, booked in states.items():
        fen = case((w.state.in_(booked), w.amount_fen - w.others_fen), else_=0)
        unbooked.append(
            select(journal).where(_moved(LedgerJournal.key == journal).correlate(w).scalar_subquery() != fen)
        )
    parts = select(func.coalesce(func.sum(p.amount_fen), 0)).where(p.sweep_id == w.id).correlate(w).scalar_subquery()
    unbooked.append(select(key).where(parts != w.amount_fen - w.others_fen))
    made = exists().where(or_(*(LedgerJournal.key == journal for journal in states)))
    unknown = select(LedgerJournal.key).where(LedgerJournal.code == "SWEEP", ~made)
    return first_of(tx, "L7", "渠道到账与账目不符 / a sweep that is not booked, or is no sweep", [*unbooked, unknown])


def _moved(which: ColumnElement[bool]) -> Select[Any]:
    query = select(func.coalesce(func.sum(LedgerTransfer.amount_fen), 0))
    return query.join(LedgerJournal, LedgerJournal.id == LedgerTransfer.journal_id).where(which)
