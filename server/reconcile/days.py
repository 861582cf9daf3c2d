"""The rows of channels' days and their differences, as every part of reconciliation needs them."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import TypeVarTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, select

from server.crypto import KeyRing
from server.db import Tx
from server.gateways.bill_lines import opened
from server.payments import kept_bills
from server.payments.model import PaymentBillFile
from server.reconcile import controls, hashing
from server.reconcile.figures import Figures
from server.reconcile.model import ReconcileDay, ReconcileDifference, ReconcileRow
from shared.finance import BillKind, DifferenceKind, DifferenceState
from shared.money import Fen

_T = TypeVarTuple("_T")


_HALVES = (
    *(DifferenceKind.ONLY_OURS, DifferenceKind.REFUND_ONLY_OURS),
    *(DifferenceKind.FUND_ONLY_TRADES, DifferenceKind.FUND_ONLY_FUNDS),
)
"""Kinds of what a bill beside the day may have the other half of."""

_SHIFTED = (DifferenceKind.DATE_SHIFT, DifferenceKind.FUND_ONLY_TRADES, DifferenceKind.FUND_ONLY_FUNDS)
"""Kinds that close themselves by a bill beside the day."""


def find(tx: Tx, channel: str, day: date, *, lock: bool = False) -> ReconcileDay | None:
    """A day as its last run left it."""
    return tx.get(ReconcileDay, (channel, day), with_for_update=lock or None, populate_existing=lock)


def hold_channel(tx: Tx, channel: str) -> None:
    """Let one run of a channel at a time be kept, and no day of it be signed meanwhile: what earlier days left to later
    ones is taken up by one of them, and what a signed day rests on is what it was signed with. The first day stands for
    the channel.
    """
    r, held = ReconcileDay, None
    first = select(r.day).where(r.channel == channel).order_by(r.day).limit(1)
    while (day := tx.scalar(first)) != held:  # an earlier one may have come while this one was waited for
        held = day
        tx.execute(select(r.day).where(r.channel == channel, r.day == day).with_for_update()).all()


def stand(tx: Tx, channel: str, of: Collection[date]) -> list[tuple[object, ...]]:
    """How far these days and those beside them were compared and signed: what was read of them before another answer is
    outdated.
    """
    r, around = ReconcileDay, sorted({day + timedelta(days=step) for day in of for step in (-1, 0, 1)})
    compared = (r.day, r.run_at, r.run_by, r.inputs_sha256, r.trades_file_id, r.funds_file_id, r.is_signed)
    rows = tx.execute(select(*compared).where(r.channel == channel, r.day.in_(around)).order_by(r.day))
    return [tuple(row) for row in rows]


def of_compared(rows: Select[*_T]) -> Select[*_T]:
    """Rows of the trade bills that days were compared with: of a signed day, of the bill that was signed."""
    file, day = PaymentBillFile, ReconcileDay
    its = (day.channel == file.channel, day.day == file.day, day.trades_file_id == file.id)
    return rows.join(file, file.id == ReconcileRow.file_id).join(day, and_(*its))


def rests_beside(tx: Tx, channel: str, day: date) -> bool:
    """Whether something of a day has closed itself by a bill beside it."""
    return _any(tx, channel, day, _has_shifted())


def looks_beside(tx: Tx, channel: str, day: date) -> bool:
    """Whether a bill beside an open day may have the other half of something, or had it the last time."""
    halves = _is(DifferenceState.OPEN, _HALVES) | _has_shifted()
    return _any(tx, channel, day, ~ReconcileDifference.is_signed, halves)


def hold_of(tx: Tx, channel: str, days: Collection[date], *, but: date) -> Sequence[date]:
    """The open days but one that have differences before people which were carried over from these days."""
    r, live = ReconcileDifference, (DifferenceState.OPEN.value, DifferenceState.PROPOSED.value)
    its = (r.channel == channel, r.carried_from.in_(sorted(days)), r.day != but, r.state.in_(live), ~r.is_signed)
    return tx.scalars(select(r.day).where(*its).distinct().order_by(r.day)).all()


def take_over_from(tx: Tx, channel: str, *, after: date) -> Sequence[date]:
    """The open days that take over what has come on days that were signed behind one, if it is gone again."""
    r = ReconcileDifference
    has_come = (r.state == DifferenceState.MATCHED.value, r.carried_from.is_not(None), r.is_signed)
    signed = tx.scalars(select(r.day).where(r.channel == channel, r.day > after, *has_come).distinct())
    return sorted({day for one in signed.all() if (day := open_from(tx, channel, one)) is not None})


def _has_shifted() -> ColumnElement[bool]:
    return _is(DifferenceState.MATCHED, _SHIFTED) & ReconcileDifference.carried_from.is_(None)


def _is(state: DifferenceState, kinds: Sequence[DifferenceKind]) -> ColumnElement[bool]:
    its = ReconcileDifference.kind.in_([kind.value for kind in kinds])
    return and_(ReconcileDifference.state == state.value, its)


def _any(tx: Tx, channel: str, day: date, *which: ColumnElement[bool]) -> bool:
    r = ReconcileDifference
    its = select(r.id).where(r.channel == channel, r.day == day, *which)
    return tx.scalars(its.limit(1)).first() is not None


def open_from(tx: Tx, channel: str, day: date) -> date | None:
    """The day itself, unless it is signed: then the first one behind it that was compared and is open, if any."""
    row = find(tx, channel, day)
    if row is None or not row.is_signed:
        return day
    r = ReconcileDay
    later = select(r.day).where(r.channel == channel, r.day > day, ~r.is_signed).order_by(r.day).limit(1)
    return tx.scalars(later).first()


def closed_with(tx: Tx, keys: KeyRing, channel: str, day: date) -> Fen | None:
    """The balance that a day's bill of movements closed with, as far as it was read; a late one's, where it has one."""
    funds = _late_funds(tx, channel, day)
    if funds is not None:
        bill = opened(io.BytesIO(kept_bills.content(tx, keys, funds.id)), funds.name)
        moved = controls.balance(bill.funds())
        if moved is not None:
            return moved.closing_fen
    row = find(tx, channel, day)
    balance = Figures.of(row.figures).balance if row else None
    return balance.closing_fen if balance else None


def closes_by(tx: Tx, channel: str, day: date) -> tuple[UUID | None, Fen | None]:
    """Whence `closed_with` is, without reading a bill: the late bill of movements, and what the day closed with."""
    funds, row = _late_funds(tx, channel, day), find(tx, channel, day)
    balance = Figures.of(row.figures).balance if row else None
    return funds.id if funds else None, balance.closing_fen if balance else None


def signed_to_open_with(tx: Tx, channel: str, day: date) -> Fen | None:
    """The balance that a day was signed to open with, where it is signed, and no later bill of it says otherwise."""
    row = find(tx, channel, day)
    stands = row is not None and row.is_signed and _late_funds(tx, channel, day) is None
    balance = Figures.of(row.figures).balance if row and stands else None
    return balance.opening_fen if balance else None


def _late_funds(tx: Tx, channel: str, day: date) -> PaymentBillFile | None:
    file = kept_bills.newest(tx, channel, day).get(BillKind.FUNDS)
    return file if file is not None and file.is_late else None


def opens_otherwise(tx: Tx, keys: KeyRing, channel: str, day: date) -> bool:
    """Whether an open day was compared before the day before it closed with what it closes with now."""
    row = find(tx, channel, day)
    if row is None or row.is_signed:
        return False
    balance, before = Figures.of(row.figures).balance, closed_with(tx, keys, channel, day - timedelta(days=1))
    return balance is not None and before is not None and before != balance.opening_fen


def outputs_changed(tx: Tx, channel: str, day: date) -> None:
    """What people did to a difference is part of what is signed. Callers hold the difference."""
    row = find(tx, channel, day, lock=True)
    assert row is not None, "a difference without its day"
    row.outputs_sha256 = outputs(tx, row)


def outputs(tx: Tx, row: ReconcileDay) -> str:
    """The hash of what a day came to, as it is now. Columns alone: there may be thousands of differences."""
    its = (ReconcileDifference.channel == row.channel, ReconcileDifference.day == row.day)
    query = select(*hashing.DIFFERENCE).where(*its).order_by(ReconcileDifference.number)
    return hashing.outputs(row.figures, tx.execute(query))
