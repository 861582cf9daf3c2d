"""Differences whose money waits in the exceptions of payments: which one it is, and how the difference follows it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from server.db import Tx, among
from server.gateways.port import PaymentFact, RefundFact
from server.payments import actions as payments
from server.payments import fees
from server.payments.actions import ApplyPayment
from server.payments.exceptions import attaching, of_bill
from server.payments.exceptions.of_bill import GivenBack, Paid
from server.payments.model import PaymentException
from server.payments.refunds.actions import RefundHeard
from server.payments.terms import Terms
from server.reconcile import choosing
from server.reconcile.model import ReconcileDifference, ReconcileRow
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.states import ExceptionAction, ExceptionState, FoundBy


class Merchant(NamedTuple):
    """Our number and our applications at a channel."""

    id: str
    app_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Shop:
    """What of the shop decides where money goes: its merchants by channel, and its terms."""

    merchants: Mapping[str, Merchant]
    terms: Terms


# --- which exception it is ---


def found(tx: Tx, channel: str, rows: Sequence[ReconcileDifference]) -> dict[UUID, PaymentException]:
    """The open exceptions about differences' money, by difference; only of kinds whose money waits for people."""
    paid = {row.id: Paid(row.provider_no, row.out_trade_no) for row in rows if row.kind in _OF_PAYMENTS}
    back = refunds(tx, [row for row in rows if row.kind == DifferenceKind.REFUND_ONLY_THEIRS])
    ours = {row.id: row.ours_id for row in rows if row.kind == DifferenceKind.REFUND_STATE and row.ours_id}
    in_stuck = of_bill.of_our_refunds(tx, set(ours.values()))
    in_payments = of_bill.of_payments(tx, channel, set(paid.values())) if paid else {}
    in_refunds = of_bill.of_refunds(tx, channel, set(back.values())) if back else {}
    theirs = {row.id: row.theirs_fen for row in rows}
    its = {one: in_payments[name] for one, name in paid.items() if name in in_payments}
    its = {one: it for one, it in its.items() if it.unmatched_id is None or it.received_fen == theirs[one]}
    its |= {one: in_stuck[refund_id] for one, refund_id in ours.items() if refund_id in in_stuck}
    return its | {one: in_refunds[name] for one, name in back.items() if name in in_refunds}


def refunds(tx: Tx, rows: Collection[ReconcileDifference]) -> dict[UUID, GivenBack]:
    """What the bill calls the refunds that differences are about, by difference."""
    numbers: dict[tuple[UUID, int], str] = {}
    r = ReconcileRow
    in_files = [(row.file_id, row.bill_row) for row in rows if row.file_id is not None and row.bill_row is not None]
    for file_id, some in groupby(sorted(in_files), key=lambda one: one[0]):
        its = select(r.n, r.refund_no).where(r.file_id == file_id, among(tx, r.n, [n for _, n in some]))
        numbers |= {(file_id, n): refund_no for n, refund_no in tx.execute(its)}
    return {
        row.id: GivenBack(
            (row.file_id and row.bill_row and numbers.get((row.file_id, row.bill_row))) or row.provider_no,
            row.out_refund_no,
            row.theirs_fen or 0,
        )
        for row in rows
    }


def can_raise(row: ReconcileDifference, shop: Shop) -> bool:
    """Whether the bill alone is enough to put its money before people."""
    return DifferenceKind(row.kind) in _RAISED and row.channel in shop.merchants and row.bill_row is not None


def raised(tx: Tx, row: ReconcileDifference, shop: Shop) -> PaymentException | None:
    """The exception that people decide in: found, or raised now; None where there is no money to decide on."""
    there = holding(tx, row)
    if there is not None:
        return there
    return _RAISED[DifferenceKind(row.kind)](tx, row, shop) if can_raise(row, shop) else None


def holding(tx: Tx, row: ReconcileDifference) -> PaymentException | None:
    """The exception that holds the money of a difference already, or tells of its refund."""
    there = found(tx, row.channel, [row]).get(row.id)
    is_refund = row.kind in choosing.OF_REFUNDS
    return there if there is not None and (there.unmatched_id is not None or is_refund) else None


def number(tx: Tx, row: ReconcileDifference) -> str:
    """The channel's own number of the money: a refund's where it has one."""
    return refunds(tx, [row])[row.id].refund_no if row.kind in choosing.OF_REFUNDS else row.provider_no


def doubt(tx: Tx, rows: Collection[ReconcileDifference]) -> None:
    """Put refunds of ours before people that have ended otherwise than the bill says, each once."""
    for row in rows:
        if choosing.ended_otherwise(row) and row.ours_id is not None:
            of_bill.doubted(tx, row.ours_id, row.theirs_state)


def deliver(tx: Tx, rows: Sequence[ReconcileDifference], shop: Shop, *, by: str) -> None:
    """Let the one writer of payments take what the bill says was paid: it delivers, or puts it before people."""
    commands = []
    for row in rows:
        evidence = [("note", row.note), ("proposed_by", row.handled_by), ("approved_by", by)]
        commands.append(replace(_command(tx, row, shop), by=by, evidence=evidence))
    payments.apply(tx, commands, terms=shop.terms)


def attachable(tx: Tx, row: ReconcileDifference, code: str) -> str:
    """The code of the order that a person named, as it is written.

    Raises BadField for what names no order, NotAttachable for one that money of this amount does not pay.
    """
    return attaching.attachable(tx, code, row.theirs_fen or 0)


def _payment(tx: Tx, row: ReconcileDifference, shop: Shop) -> PaymentException | None:
    raised = of_bill.set_aside(tx, _command(tx, row, shop), terms=shop.terms)
    fees.settle(tx, row.channel, {row.provider_no: tx.get_one(ReconcileRow, (row.file_id, row.bill_row)).fee_fen})
    return raised


def _command(tx: Tx, row: ReconcileDifference, shop: Shop) -> ApplyPayment:
    bill_row, merchant = tx.get_one(ReconcileRow, (row.file_id, row.bill_row)), shop.merchants[row.channel]
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


def _refund(tx: Tx, row: ReconcileDifference, shop: Shop) -> PaymentException | None:
    bill_row, merchant = tx.get_one(ReconcileRow, (row.file_id, row.bill_row)), shop.merchants[row.channel]
    named = refunds(tx, [row])[row.id]
    fact = RefundFact(
        out_refund_no=bill_row.out_refund_no,
        refund_no=named.refund_no,
        out_trade_no=row.out_trade_no,
        amount_fen=bill_row.amount_fen,
        state="succeeded",
        merchant_id=merchant.id,
        refunded_at=bill_row.ended_at or bill_row.at,
        provider_no=row.provider_no,
    )
    return of_bill.refunded(tx, RefundHeard(row.channel, merchant.id, fact), named)


_RAISED: Mapping[DifferenceKind, Callable[[Tx, ReconcileDifference, Shop], PaymentException | None]] = {
    DifferenceKind.ONLY_THEIRS: _payment,
    DifferenceKind.DUPLICATE: _payment,
    DifferenceKind.AMOUNT: _payment,
    DifferenceKind.REFUND_ONLY_THEIRS: _refund,
}
_LINKED = _RAISED.keys() | {DifferenceKind.UNPAID_OURS, DifferenceKind.REFUND_STATE}
_OF_PAYMENTS = _LINKED - choosing.OF_REFUNDS


# --- what is done there, and what that means here ---


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

    What was decided about the difference itself is nobody's word there, and kinds whose money is not there go their own
    way. What ended without two people's word is for the next run to see: nothing is decided about it any more.
    """
    if row.kind not in _LINKED:
        return None, None
    action = _DONE.get(exception.action or "")
    if action is DifferenceAction.BOOK and row.kind not in choosing.OF_REFUNDS:
        action = DifferenceAction.REFUND  # of the payment: it went back, and people have said so
    own = DifferenceAction(row.action) if row.action else None
    if own not in {None, action} and not choosing.is_money(row, own):
        return None, None
    match ExceptionState(exception.state):
        case ExceptionState.CLOSED if action is not None and exception.approved_by is not None:
            return DifferenceState.RESOLVED, action
        case ExceptionState.WORKING if action is not None:
            return DifferenceState.WORKING, action
        case ExceptionState.PROPOSED if action is not None:
            return DifferenceState.PROPOSED, action
        case ExceptionState.OPEN | ExceptionState.CLOSED if row.state != DifferenceState.OPEN:
            return DifferenceState.OPEN, None
        case _:
            return None, None
