"""Putting the ledger where the bill is: what people book or write off about a difference, once by its number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select

from server.db import Tx, among
from server.ledger import actions as ledger
from server.ledger.actions import Account, Journal, Transfer
from server.ledger.model import LedgerJournal
from server.payments import booking as payment_booking
from server.payments import fees
from server.payments.refunds.model import Refund
from server.reconcile.choosing import off_by
from server.reconcile.model import ReconcileDifference
from shared import clock
from shared.finance import DifferenceAction, DifferenceKind, JournalCode
from shared.money import Fen

BOOKED = frozenset({DifferenceAction.BOOK.value, DifferenceAction.WRITE_OFF.value})

_WENT_OUT = frozenset({DifferenceKind.REFUND_ONLY_OURS, DifferenceKind.REFUND_AMOUNT})
"""Kinds whose amounts left the channel: more there is less for us."""


def post(tx: Tx, row: ReconcileDifference, *, actor: str) -> None:
    """Post what was decided. It is of now: the day it was found on may be signed before its journal's."""
    if row.kind == DifferenceKind.FEE:
        fees.settle(tx, row.channel, {row.provider_no: row.theirs_fen or 0})
        return
    more = -off_by(row) if row.kind in _WENT_OUT else off_by(row)
    if more:
        ledger.post(tx, [_journal(row, more, actor, clock.now())])


def post_returned(tx: Tx, channel: str, returned: Mapping[str, Fen]) -> None:
    """Book what a channel gave back of its fees, by our numbers of the refunds; each once, as its first bill says."""
    for some in _parts(sorted(returned)):
        found = tx.execute(select(Refund.out_refund_no, Refund.order_id).where(among(tx, Refund.out_refund_no, some)))
        orders = dict(found.all())
        now = clock.now()
        journals = [payment_booking.fee_returned(orders[one], channel, one, returned[one], at=now) for one in some]
        keys = [one.key for one in journals]
        posted = set(tx.scalars(select(LedgerJournal.key).where(among(tx, LedgerJournal.key, keys))))
        ledger.post(tx, [one for one in journals if one.key not in posted])


def _parts(numbers: Sequence[str]) -> Iterator[Sequence[str]]:
    return (numbers[at : at + 500] for at in range(0, len(numbers), 500))


def _journal(row: ReconcileDifference, more: Fen, actor: str, at: datetime) -> Journal:
    """CORRECT: the channel owes us `more` than was booked, which is a gain, or less, which is a loss."""
    psp, loss = Account("psp", row.channel), Account("loss")
    transfer = Transfer(psp, loss, more) if more > 0 else Transfer(loss, psp, -more)
    return Journal(
        key=f"difference:{row.number}",
        code=JournalCode.CORRECT.value,
        order_id=None,
        occurred_at=at,
        transfers=(transfer,),
        actor=actor,
        memo=row.note,
    )
