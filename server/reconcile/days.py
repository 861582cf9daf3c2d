"""The rows of channels' days and their differences, as every part of reconciliation needs them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import select

from server.db import Tx
from server.reconcile import hashing
from server.reconcile.model import ReconcileDay, ReconcileDifference
from shared.finance import DifferenceKind, DifferenceState

_HALVES = (
    *(DifferenceKind.ONLY_OURS, DifferenceKind.REFUND_ONLY_OURS),
    *(DifferenceKind.FUND_ONLY_TRADES, DifferenceKind.FUND_ONLY_FUNDS),
)


def find(tx: Tx, channel: str, day: date, *, lock: bool = False) -> ReconcileDay | None:
    """A day as its last run left it."""
    return tx.get(ReconcileDay, (channel, day), with_for_update=lock or None, populate_existing=lock)


def differences(tx: Tx, channel: str, day: date) -> Sequence[ReconcileDifference]:
    """All of a day's differences, by their numbers."""
    its = (ReconcileDifference.channel == channel, ReconcileDifference.day == day)
    return tx.scalars(select(ReconcileDifference).where(*its).order_by(ReconcileDifference.number)).all()


def waits_for_halves(tx: Tx, channel: str, day: date) -> bool:
    """Whether something on an open day has no other half yet: a bill beside it may have it."""
    r = ReconcileDifference
    alone = r.kind.in_([kind.value for kind in _HALVES])
    its = (r.channel == channel, r.day == day, ~r.is_signed, r.state == DifferenceState.OPEN.value)
    return tx.scalars(select(r.id).where(*its, alone).limit(1)).first() is not None


def outputs_changed(tx: Tx, channel: str, day: date) -> None:
    """What people did to a difference is part of what is signed. Callers hold the difference."""
    row = find(tx, channel, day, lock=True)
    assert row is not None, "a difference without its day"
    row.outputs_sha256 = hashing.outputs(row.figures, differences(tx, channel, day))
