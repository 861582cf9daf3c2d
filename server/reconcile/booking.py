"""Putting the ledger where the bill is: what people book or write off about a difference, once by its number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.ledger import actions as ledger
from server.ledger import queries as books
from server.ledger.actions import Account, Journal, Transfer
from server.payments import fees
from server.payments.exceptions import closing
from server.reconcile.choosing import off_by
from server.reconcile.model import ReconcileDifference
from shared import clock
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState, JournalCode
from shared.money import Fen

BOOKED = frozenset({DifferenceAction.BOOK.value, DifferenceAction.WRITE_OFF.value})

_WENT_OUT = frozenset({DifferenceKind.REFUND_ONLY_OURS, DifferenceKind.REFUND_AMOUNT})
"""Kinds whose amounts left the channel: more there is less for us."""

_ELSEWHERE = frozenset({DifferenceKind.FEE, DifferenceKind.REFUND_ONLY_THEIRS, DifferenceKind.REFUND_STATE})
"""Kinds that are booked where all fees and all refunds are."""


def owed_more(row: ReconcileDifference) -> Fen:
    """How much more the channel owes us where its bill is right."""
    return sign(DifferenceKind(row.kind)) * off_by(row)


def sign(kind: DifferenceKind) -> int:
    """What an amount that the channel has more makes it owe us; 0 where that is booked elsewhere."""
    return 0 if kind in _ELSEWHERE else -1 if kind in _WENT_OUT else 1


def booked(row: ReconcileDifference) -> Fen:
    """How much more the channel owes us by what people booked about this difference."""
    is_booked = row.state == DifferenceState.RESOLVED and row.action in BOOKED
    return owed_more(row) if is_booked else 0


def post(tx: Tx, rows: Sequence[ReconcileDifference], *, actor: str) -> None:
    """Post what was decided. It is of now: the day it was found on may be signed before its journal's."""
    of_fees = sorted((row for row in rows if row.kind == DifferenceKind.FEE), key=lambda row: row.channel)
    for channel, some in groupby(of_fees, key=lambda row: row.channel):
        its = list(some)
        taken = {row.provider_no: row.theirs_fen or 0 for row in its if not row.out_refund_no}
        if taken:
            fees.settle(tx, channel, taken)
        back = {row.out_refund_no: -(row.theirs_fen or 0) for row in its if row.out_refund_no}
        fees.settle_returned(tx, channel, back, up_to_fee=False)
    closing.amounts_booked(tx, [_booked(row) for row in rows if row.kind == DifferenceKind.AMOUNT], closed_by=actor)
    now, kept = clock.now(), _fees_of(tx, rows)
    ledger.post(tx, [_journal(row, more, kept[row.id], actor, now) for row in rows if (more := owed_more(row))])


def _booked(row: ReconcileDifference) -> closing.Booked:
    assert row.ours_id is not None, "only offered where the money is in the books"
    note = f"{row.number}: {row.note}"
    numbers = (row.ours_id, row.provider_no, row.theirs_fen or 0)
    return closing.Booked(*numbers, note, row.handled_by, row.checked_by)


def _fees_of(tx: Tx, rows: Sequence[ReconcileDifference]) -> dict[UUID, Fen]:
    """What the channel keeps less of payments that never came: a write-off takes the estimated fee back with the
    payment, and who takes a write-off back takes that back as well.
    """
    r, kept = ReconcileDifference, dict.fromkeys((row.id for row in rows), 0)
    lost = [row for row in rows if row.kind == DifferenceKind.ONLY_OURS and row.provider_no]
    for channel, some in groupby(sorted(lost, key=lambda row: row.channel), key=lambda row: row.channel):
        its = list(some)
        charged = fees.charged(tx, channel, [row.provider_no for row in its])
        kept |= {row.id: charged.get(row.provider_no, 0) for row in its}
    for row in rows:
        if row.kind == DifferenceKind.BOOKED:
            same = tx.scalars(select(r.number).where((r.origin_id == row.again_of) | (r.again_of == row.again_of)))
            kept[row.id] = sum(books.moved(tx, Account("psp_fee", row.channel), [key(one) for one in same]).values())
    return kept


def key(number: str) -> str:
    """The journal of a difference."""
    return f"difference:{number}"


def _journal(row: ReconcileDifference, more: Fen, fee: Fen, actor: str, at: datetime) -> Journal:
    """CORRECT: the channel owes us `more` than was booked, which is a gain, or less, which is a loss; and keeps `fee`
    less than was booked.
    """
    psp, loss, kept = Account("psp", row.channel), Account("loss"), Account("psp_fee", row.channel)
    transfers = [Transfer(psp, loss, more) if more > 0 else Transfer(loss, psp, -more)]
    if fee:
        transfers.append(Transfer(psp, kept, fee) if fee > 0 else Transfer(kept, psp, -fee))
    return Journal(
        key=key(row.number),
        code=JournalCode.CORRECT.value,
        order_id=None,
        occurred_at=at,
        transfers=tuple(transfers),
        actor=actor,
        memo=row.note,
    )
