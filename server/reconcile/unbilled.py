"""Refunds that people recorded, and that no bill of their channel names: a forged bill, or a number that was misread.

Nothing asks a channel for such a refund, so that only its bills can tell. They are before people again as refunds that
did not arrive: the right number is recorded in their place, or it is known why none is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, timedelta

from sqlalchemy import func, or_, select

from server.db import Tx, among
from server.payments import kept_bills
from server.payments.exceptions import closing, of_bill
from server.payments.model import PaymentAttempt, PaymentBillFile, PaymentException, UnmatchedPayment
from server.payments.refunds.model import Refund
from server.payments.refunds.moving import WITHOUT_MONEY
from server.reconcile import choosing, ours
from server.reconcile.model import ReconcileDifference, ReconcileRow
from shared import clock
from shared.finance import BillKind, DifferenceAction, DifferenceKind, DifferenceState
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
    _ask(tx, [*_recorded_before(tx, channel, day), *same])
    booked(tx, channel, day)


def booked(tx: Tx, channel: str, day: date) -> None:
    """The same of those that people recorded by a bill of this day, which may be another one by now."""
    r, e = ReconcileDifference, PaymentException
    its = (r.channel == channel, or_(r.day == day, r.carried_from == day), r.state == DifferenceState.RESOLVED.value)
    said = (r.action == DifferenceAction.BOOK.value, r.kind.in_(choosing.OF_REFUNDS))
    query = select(Refund).join(e, e.refund_id == Refund.id).join(r, r.exception_id == e.id)
    _ask(tx, tx.scalars(query.where(*its, *said, Refund.state == RefundState.SUCCEEDED.value)))


def _ask(tx: Tx, refunds: Iterable[Refund]) -> None:
    """What bills say of these by now."""
    for one in {one.id: one for one in refunds}.values():
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
    """By the channel's number of it; where the channel gives refunds none, by its payment and amount, each row for one:
    those that were asked for have theirs, and the first that were recorded. What a bill said once, and the channel's
    last word does not, counts for nothing.
    """
    r, f, trades = ReconcileRow, PaymentBillFile, BillKind.TRADES
    its = (r.provider_no == payment_no(tx, refund), r.kind == "refund", f.channel == refund.channel)
    query = select(r.refund_no, r.out_refund_no, r.amount_fen, r.file_id, f.day).join(f, f.id == r.file_id)
    rows = tx.execute(query.where(*its, f.kind == trades.value)).all()
    newest = {row.day: kept_bills.newest(tx, refund.channel, row.day)[trades].id for row in rows}
    rows = [row for row in rows if newest[row.day] == row.file_id]
    if any(row.refund_no == refund.provider_refund_no for row in rows if row.refund_no):
        return True
    same = (Refund.channel == refund.channel, Refund.out_trade_no == refund.out_trade_no)
    are_there = (~ours.BY_HAND, Refund.state.not_in(WITHOUT_MONEY))
    asked = set(tx.scalars(select(Refund.out_refund_no).where(*same, *are_there)))
    nameless = [row for row in rows if not row.refund_no and row.amount_fen == refund.amount_fen]
    recorded = (ours.BY_HAND, Refund.state == RefundState.SUCCEEDED.value, Refund.amount_fen == refund.amount_fen)
    before = tx.scalar(select(func.count()).where(*same, *recorded, Refund.id < refund.id)) or 0
    return sum(row.out_refund_no not in asked for row in nameless) > before


def payment_no(tx: Tx, refund: Refund) -> str | None:
    """The channel's number of the payment that a refund gave back."""
    if refund.unmatched_id is not None:
        return tx.get_one(UnmatchedPayment, refund.unmatched_id).provider_no
    return tx.get_one(PaymentAttempt, refund.attempt_id).provider_no
