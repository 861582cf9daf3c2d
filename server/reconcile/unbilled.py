"""Refunds that people recorded, and that no bill of their channel names: a forged bill, or a number that was misread.

Nothing asks a channel for such a refund, so that only its bills can tell. They are before people again as refunds that
did not arrive: the right number is recorded in their place, or it is known why none is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, timedelta

from sqlalchemy import select

from server.db import Tx, among
from server.payments import kept_bills
from server.payments.exceptions import closing, of_bill
from server.payments.model import PaymentAttempt, PaymentBillFile, PaymentException, UnmatchedPayment
from server.payments.refunds.model import Refund
from server.reconcile import ours
from server.reconcile.model import ReconcileDifference, ReconcileRow
from shared import clock
from shared.finance import BillKind, DifferenceKind
from shared.states import ExceptionAction, RefundState

_LOOKED_FOR = timedelta(days=7)
"""How long after it was recorded each further bill is asked for it: a day may be read late."""


def doubt(tx: Tx, channel: str, day: date, rows: Collection[ReconcileDifference]) -> None:
    """Put those before people that were recorded in the week before this day, which has its bill, and those of the
    payments and amounts of its refunds that nobody knew (`rows`). One that is in a bill by now is doubted no more.
    """
    stray = {(row.out_trade_no, row.theirs_fen) for row in rows if row.kind == DifferenceKind.REFUND_ONLY_THEIRS}
    of_strays = _recorded_of(tx, channel, sorted({number for number, _ in stray}))
    same = (one for one in of_strays if (one.out_trade_no, one.amount_fen) in stray)
    found = {one.id: one for one in (*_recorded_before(tx, channel, day), *same)}
    for one in found.values():
        if _is_billed(tx, one):
            closing.billed(tx, one.id)
        else:
            of_bill.doubted(tx, one.id, closing.UNBILLED)


def _recorded_before(tx: Tx, channel: str, day: date) -> Iterable[Refund]:
    """By the exceptions that they were recorded in: there are few of these."""
    (start, _), e = clock.day_bounds(day), PaymentException
    said = (e.channel == channel, e.action == ExceptionAction.RECORD.value)
    its = (e.closed_at >= start - _LOOKED_FOR, e.closed_at < start, Refund.state == RefundState.SUCCEEDED.value)
    return tx.scalars(select(Refund).join(e, e.refund_id == Refund.id).where(*said, *its))


def _recorded_of(tx: Tx, channel: str, numbers: Collection[str]) -> Iterable[Refund]:
    its = (Refund.channel == channel, Refund.state == RefundState.SUCCEEDED.value, ours.BY_HAND)
    of_payments = among(tx, Refund.out_trade_no, list(numbers))
    return tx.scalars(select(Refund).where(*its, of_payments)) if numbers else ()


def _is_billed(tx: Tx, refund: Refund) -> bool:
    """By the channel's number of it; where the channel gives refunds none, by its payment and amount. What a bill said
    once, and the channel's last word does not, counts for nothing.
    """
    r, f, trades = ReconcileRow, PaymentBillFile, BillKind.TRADES
    its = (r.provider_no == _payment_no(tx, refund), r.kind == "refund", f.channel == refund.channel)
    query = select(r.refund_no, r.amount_fen, r.file_id, f.day).join(f, f.id == r.file_id)
    same = {
        (file_id, day)
        for number, fen, file_id, day in tx.execute(query.where(*its, f.kind == trades.value))
        if number == refund.provider_refund_no or (not number and fen == refund.amount_fen)
    }
    return any(kept_bills.newest(tx, refund.channel, day)[trades].id == file_id for file_id, day in same)


def _payment_no(tx: Tx, refund: Refund) -> str | None:
    if refund.unmatched_id is not None:
        return tx.get_one(UnmatchedPayment, refund.unmatched_id).provider_no
    return tx.get_one(PaymentAttempt, refund.attempt_id).provider_no
