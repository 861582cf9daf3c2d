"""Differences whose money waits in the exceptions of payments: which one it is, and how the difference follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from server.db import Tx
from server.gateways.port import PaymentFact, RefundFact
from server.payments import actions as payments
from server.payments.actions import ApplyPayment
from server.payments.exceptions import of_bill
from server.payments.model import PaymentException
from server.payments.refunds.actions import RefundHeard
from server.payments.terms import Terms
from server.reconcile.model import ReconcileDifference, ReconcileRow
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.states import ExceptionAction, ExceptionState, FoundBy

OF_REFUNDS = frozenset({DifferenceKind.REFUND_ONLY_THEIRS, DifferenceKind.REFUND_AMOUNT, DifferenceKind.REFUND_STATE})


class Merchant(NamedTuple):
    """Our number and our applications at a channel."""

    id: str
    app_ids: frozenset[str]


Merchants = Mapping[str, Merchant]


def found(tx: Tx, row: ReconcileDifference) -> PaymentException | None:
    """The open exception about a difference's money, if there is one."""
    if row.kind in OF_REFUNDS:
        return of_bill.of_refund(tx, row.channel, refund_no(tx, row))
    return of_bill.of_payment(tx, row.channel, provider_no=row.provider_no, out_trade_no=row.out_trade_no)


def raised(tx: Tx, row: ReconcileDifference, merchants: Merchants, terms: Terms) -> PaymentException | None:
    """The exception that people decide in: found, or raised now; None where there is no money to decide on."""
    there = found(tx, row)
    if there is not None and (there.unmatched_id is not None or row.kind in OF_REFUNDS):
        return there
    make, merchant = _RAISED.get(DifferenceKind(row.kind)), merchants.get(row.channel)
    return make(tx, row, merchant, terms) if make and merchant else None


def deliver(tx: Tx, row: ReconcileDifference, merchant: Merchant, terms: Terms, *, by: str) -> None:
    """Let the one writer of payments take what the bill says was paid: it delivers, or puts it before people."""
    evidence = [("note", row.note), ("proposed_by", row.handled_by), ("approved_by", by)]
    command = replace(_command(tx, row, merchant), by=by, evidence=evidence)
    payments.apply(tx, [command], terms=terms)


def _payment(tx: Tx, row: ReconcileDifference, merchant: Merchant, terms: Terms) -> PaymentException | None:
    return of_bill.set_aside(tx, _command(tx, row, merchant), terms=terms)


def _command(tx: Tx, row: ReconcileDifference, merchant: Merchant) -> ApplyPayment:
    bill_row = tx.get_one(ReconcileRow, (row.file_id, row.bill_row))
    fact = PaymentFact(
        channel=row.channel,
        out_trade_no=row.out_trade_no,
        provider_no=row.provider_no,
        merchant_id=merchant.id,
        amount_fen=bill_row.amount_fen,
        currency="CNY",
        state="paid",
        paid_at=bill_row.at,
        event_id=None,
    )
    return ApplyPayment(fact, merchant_id=merchant.id, app_ids=merchant.app_ids, found_by=FoundBy.BILL)


def _refund(tx: Tx, row: ReconcileDifference, merchant: Merchant, _terms: Terms) -> PaymentException | None:
    bill_row = tx.get_one(ReconcileRow, (row.file_id, row.bill_row))
    fact = RefundFact(
        out_refund_no=bill_row.out_refund_no,
        refund_no=refund_no(tx, row),
        out_trade_no=row.out_trade_no,
        amount_fen=bill_row.amount_fen,
        state="succeeded",
        merchant_id=merchant.id,
        refunded_at=bill_row.ended_at or bill_row.at,
    )
    return of_bill.refunded(tx, RefundHeard(row.channel, merchant.id, fact))


def refund_no(tx: Tx, row: ReconcileDifference) -> str:
    """The channel's own number of a refund."""
    bill_row = tx.get(ReconcileRow, (row.file_id, row.bill_row)) if row.file_id else None
    return (bill_row.refund_no if bill_row else "") or row.provider_no


_RAISED: Mapping[DifferenceKind, Callable[[Tx, ReconcileDifference, Merchant, Terms], PaymentException | None]] = {
    DifferenceKind.ONLY_THEIRS: _payment,
    DifferenceKind.DUPLICATE: _payment,
    DifferenceKind.AMOUNT: _payment,
    DifferenceKind.REFUND_ONLY_THEIRS: _refund,
}


def action_of(action: DifferenceAction) -> ExceptionAction:
    """What it is called there."""
    return _CALLED[action]


_CALLED = {
    DifferenceAction.REFUND: ExceptionAction.REFUND,
    DifferenceAction.ATTACH: ExceptionAction.ATTACH,
    DifferenceAction.BOOK: ExceptionAction.RECORD,
}
_DONE: Mapping[str, DifferenceAction] = {
    ExceptionAction.DELIVER.value: DifferenceAction.DELIVER,
    ExceptionAction.CONFIRM.value: DifferenceAction.DELIVER,
    ExceptionAction.REFUND.value: DifferenceAction.REFUND,
    ExceptionAction.ATTACH.value: DifferenceAction.ATTACH,
    ExceptionAction.RECORD.value: DifferenceAction.BOOK,
}


def stands(
    row: ReconcileDifference, exception: PaymentException
) -> tuple[DifferenceState | None, DifferenceAction | None]:
    """Where a difference stands by what became of its money, and what was done; None: that says nothing of it.

    What ended by itself, or was dismissed, is for the next run to see.
    """
    action = _DONE.get(exception.action or "")
    match ExceptionState(exception.state):
        case ExceptionState.CLOSED if action is not None and exception.proposed_by is not None:
            return DifferenceState.RESOLVED, action
        case ExceptionState.WORKING if action is not None:
            return DifferenceState.WORKING, action
        case ExceptionState.PROPOSED if action is not None:
            return DifferenceState.PROPOSED, action
        case ExceptionState.OPEN if row.state != DifferenceState.OPEN:
            return DifferenceState.OPEN, None
        case _:
            return None, None
