"""The rows of channels' days and their differences, as every part of reconciliation needs them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TypeVarTuple

from sqlalchemy import Select, and_, select

from server.db import Tx
from server.payments.model import PaymentBillFile
from server.reconcile import hashing
from server.reconcile.figures import Figures
from server.reconcile.model import ReconcileDay, ReconcileDifference, ReconcileRow
from shared.finance import DifferenceKind, DifferenceState
from shared.money import Fen

_T = TypeVarTuple("_T")


_HALVES = (
    *(DifferenceKind.ONLY_OURS, DifferenceKind.REFUND_ONLY_OURS),
    *(DifferenceKind.FUND_ONLY_TRADES, DifferenceKind.FUND_ONLY_FUNDS),
)


def find(tx: Tx, channel: str, day: date, *, lock: bool = False) -> ReconcileDay | None:
    """A day as its last run left it."""
    return tx.get(ReconcileDay, (channel, day), with_for_update=lock or None, populate_existing=lock)


def of_compared(rows: Select[*_T]) -> Select[*_T]:
    """Rows of the trade bills that days were compared with: of a signed day, of the bill that was signed."""
    file, day = PaymentBillFile, ReconcileDay
    its = (day.channel == file.channel, day.day == file.day, day.trades_file_id == file.id)
    return rows.join(file, file.id == ReconcileRow.file_id).join(day, and_(*its))


def waits_for_halves(tx: Tx, channel: str, day: date) -> bool:
    """Whether something on an open day has no other half yet: a bill beside it may have it."""
    r = ReconcileDifference
    alone = r.kind.in_([kind.value for kind in _HALVES])
    its = (r.channel == channel, r.day == day, ~r.is_signed, r.state == DifferenceState.OPEN.value)
    return tx.scalars(select(r.id).where(*its, alone).limit(1)).first() is not None


def open_from(tx: Tx, channel: str, day: date) -> date | None:
    """The day itself, unless it is signed: then the first one behind it that was compared and is open, if any."""
    row = find(tx, channel, day)
    if row is None or not row.is_signed:
        return day
    r = ReconcileDay
    later = select(r.day).where(r.channel == channel, r.day > day, ~r.is_signed).order_by(r.day).limit(1)
    return tx.scalars(later).first()


def closed_with(tx: Tx, channel: str, day: date) -> Fen | None:
    """The balance that a day's bill of movements closed with, as far as it was read."""
    row = find(tx, channel, day)
    balance = Figures.of(row.figures).balance if row else None
    return balance.closing_fen if balance else None


def signed_to_open_with(tx: Tx, channel: str, day: date) -> Fen | None:
    """The balance that a day was signed to open with, where it is signed."""
    row = find(tx, channel, day)
    balance = Figures.of(row.figures).balance if row and row.is_signed else None
    return balance.opening_fen if balance else None


def opens_otherwise(tx: Tx, channel: str, day: date) -> bool:
    """Whether an open day was compared before the day before it closed with what it closes with now."""
    row = find(tx, channel, day)
    if row is None or row.is_signed:
        return False
    balance, before = Figures.of(row.figures).balance, closed_with(tx, channel, day - timedelta(days=1))
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
