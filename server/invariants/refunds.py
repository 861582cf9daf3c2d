"""The checks of refunds: never more than was paid, each with its journals, all of them followed to their end."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from server.db import Tx
from server.invariants.finding import Finding, found
from server.invariants.scope import EVERYTHING, Scope
from server.ledger.model import LedgerAccount, LedgerJournal, LedgerTransfer
from server.orders.model import Order, OrderLine
from server.payments.disputes.model import Dispute
from server.payments.model import PaymentAttempt, PaymentException
from server.payments.refunds.model import Refund, RefundLine, Replacement
from server.stock.model import Delivery, UndoneDelivery
from shared.finance import DisputeState
from shared.states import ExceptionState, OrderState, RefundCause, RefundState

_WITHOUT_MONEY = (RefundState.REFUSED.value, RefundState.CLOSED.value)
_ENDED = (*_WITHOUT_MONEY, RefundState.SUCCEEDED.value)
_AT_CHANNEL = (RefundState.SUBMITTED.value, RefundState.PROCESSING.value, RefundState.ABNORMAL.value)
_live = Refund.state.not_in(_WITHOUT_MONEY)
_of_sale = and_(Refund.unmatched_id.is_(None), Refund.cause != RefundCause.PAID_TWICE.value)


def refunds_stay_within_payments(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R1: the live refunds of a payment sum to no more than it."""
    query = (
        select(PaymentAttempt.out_trade_no)
        .join(Refund, and_(Refund.attempt_id == PaymentAttempt.id, Refund.unmatched_id.is_(None)))
        .where(_live, scope.orders(PaymentAttempt.order_id))
        .group_by(PaymentAttempt.id, PaymentAttempt.out_trade_no, PaymentAttempt.amount_fen)
        .having(func.sum(Refund.amount_fen) > PaymentAttempt.amount_fen)
    )
    return found(tx, "R1", "退款超过付款 / refunded more than was paid", query)


_SHARES = (
    (RefundLine.supplier_fen, OrderLine.supplier_fen),
    (RefundLine.commission_fen, OrderLine.commission_fen),
    (RefundLine.fee_fen, OrderLine.fee_fen),
    (RefundLine.discount_fen, OrderLine.discount_fen),
)


def refunds_stay_within_lines(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R1: of no line more comes back than any share of it."""
    query = (
        select(Order.code)
        .join(OrderLine, OrderLine.order_id == Order.id)
        .join(RefundLine, RefundLine.order_line_id == OrderLine.id)
        .join(Refund, Refund.id == RefundLine.refund_id)
        .where(_live, scope.orders(Order.id))
        .group_by(OrderLine.id, Order.code, *(of_line for _, of_line in _SHARES))
        .having(or_(*(func.sum(taken) > of_line for taken, of_line in _SHARES)))
    )
    return found(tx, "R1", "退款超过订单行 / refunded more than a line", query)


_shared = RefundLine.supplier_fen + RefundLine.commission_fen + RefundLine.fee_fen - RefundLine.discount_fen


def lines_sum_to_their_refund(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R2: what a refund takes of its lines is its amount, and each part has its shares."""
    query = (
        select(Refund.out_refund_no)
        .join(RefundLine, RefundLine.refund_id == Refund.id)
        .where(scope.orders(Refund.order_id))
        .group_by(Refund.id, Refund.out_refund_no, Refund.amount_fen)
        .having(
            or_(
                func.sum(RefundLine.amount_fen) != Refund.amount_fen,
                func.sum(_shared) != Refund.amount_fen,
            )
        )
    )
    return found(tx, "R2", "退款明细与金额不符 / a refund is not its lines", query)


def orders_count_their_refunds(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R3: an order counts exactly the money that went back of its sale, and its state says so.

    By refunds, and by disputes that were lost.
    """
    back = (Refund.order_id == Order.id, Refund.state == RefundState.SUCCEEDED.value, _of_sale)
    lost = (Dispute.order_id == Order.id, Dispute.state == DisputeState.LOST.value)
    total = (
        select(func.coalesce(func.sum(Refund.amount_fen), 0)).where(*back).scalar_subquery()
        + select(func.coalesce(func.sum(Dispute.amount_fen), 0)).where(*lost).scalar_subquery()
    )
    is_refunded = Order.state == OrderState.REFUNDED.value
    query = select(Order.code).where(
        scope.orders(Order.id),
        or_(Order.refunded_fen > 0, is_refunded),
        or_(
            Order.refunded_fen != total,
            and_(is_refunded, Order.refunded_fen != Order.amount_fen),
            and_(~is_refunded, Order.refunded_fen == Order.amount_fen),
        ),
    )
    finding = found(tx, "R3", "订单的退款合计不符 / an order counts its refunds wrongly", query)
    uncounted = select(Refund.out_refund_no).join(Order, Order.id == Refund.order_id)
    forgotten = uncounted.where(Refund.state == RefundState.SUCCEEDED.value, _of_sale, Order.refunded_fen == 0)
    forgotten = forgotten.where(scope.orders(Order.id))
    return finding or found(tx, "R3", "退款没有计入订单 / a refund that its order does not count", forgotten)


def refunds_have_their_journals(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R4: what was refunded was booked, for its amount; what is at a channel came back into escrow."""
    has_lines = exists().where(RefundLine.refund_id == Refund.id)
    succeeded = Refund.state == RefundState.SUCCEEDED.value
    reversed_ = and_(has_lines, or_(succeeded, Refund.state.in_(_AT_CHANNEL)))
    closed = and_(Refund.state == RefundState.CLOSED.value, _booked("reverse") > 0)
    query = select(Refund.out_refund_no).where(
        scope.orders(Refund.order_id),
        or_(
            and_(succeeded, _booked("paid") != Refund.amount_fen),
            and_(~succeeded, _booked("paid") != 0),
            and_(reversed_, _booked("reverse") != Refund.amount_fen),
            and_(reversed_, _booked("restore") != 0),
            and_(closed, _booked("restore") != _booked("reverse")),
        ),
    )
    return found(tx, "R4", "退款账目不符 / a refund lacks journals or has others", query)


def _booked(event: str) -> ColumnElement[int]:
    """What the journal of an event of a refund brought into escrow, or took out of it or out of suspense."""
    key = literal("refund:") + Refund.out_refund_no + literal(f":{event}")
    is_in = case((LedgerTransfer.credit_id.in_(_OURS), 1), else_=0) - case(
        (LedgerTransfer.debit_id.in_(_OURS), 1), else_=0
    )
    sign = 1 if event == "reverse" else -1
    query = (
        select(func.coalesce(func.sum(sign * is_in * LedgerTransfer.amount_fen), 0))
        .join(LedgerJournal, LedgerJournal.id == LedgerTransfer.journal_id)
        .where(LedgerJournal.key == key)
    )
    return query.correlate(Refund).scalar_subquery()


_OURS = select(LedgerAccount.id).where(LedgerAccount.kind.in_(("escrow", "suspense")))
"""Where buyers' money is until it is shared out or goes back."""


def journals_are_of_refunds(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R4: no money was booked as refunded but by a refund that succeeded."""
    key = literal("refund:") + Refund.out_refund_no + literal(":paid")
    made = exists().where(LedgerJournal.key == key, Refund.state == RefundState.SUCCEEDED.value)
    mine = scope.orders(LedgerJournal.order_id)
    query = select(LedgerJournal.key).where(LedgerJournal.code.in_(("REFUND", "NOSTOCK")), ~made, mine)
    return found(tx, "R4", "账上有退款却没有退款单 / booked as refunded, but by no refund", query)


def refunds_are_followed(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R5: a refund at its channel is asked about again, until its outcome is final."""
    asked = (Refund.state.in_(_AT_CHANNEL), Refund.query_at.is_(None))
    query = select(Refund.out_refund_no).where(*asked, scope.orders(Refund.order_id))
    return found(tx, "R5", "无人跟进的退款 / a refund that nobody asks about", query)


def replacements_are_delivered(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R6: who gave up a key for another one has the other one, or had it before it went back."""

    def is_in(table: type[Delivery | UndoneDelivery]) -> ColumnElement[bool]:
        return exists().where(table.order_line_id == Replacement.order_line_id, table.seq == Replacement.new_seq)

    query = select(Replacement.order_line_id, Replacement.seq).where(~is_in(Delivery), ~is_in(UndoneDelivery))
    query = query.where(scope.lines(Replacement.order_line_id))
    return found(tx, "R6", "补发的卡密没有交付 / a replacement that was not delivered", query)


def only_refunds_undo_deliveries(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R8: units left an order because their refund succeeded unseen, or because others came for them; nothing else."""
    undone = _per_order(select(func.count()).select_from(UndoneDelivery), UndoneDelivery.order_line_id)
    units = select(func.coalesce(func.sum(RefundLine.quantity), 0)).join(Refund, Refund.id == RefundLine.refund_id)
    unseen = (Refund.unseen.is_(True), Refund.state == RefundState.SUCCEEDED.value)
    refunded = _per_order(units.where(*unseen), RefundLine.order_line_id)
    same = (UndoneDelivery.order_line_id == Replacement.order_line_id, UndoneDelivery.seq == Replacement.seq)
    replaced = select(func.count()).select_from(Replacement).where(exists().where(*same))
    given_up = _per_order(replaced, Replacement.order_line_id)
    touched = exists().where(OrderLine.order_id == Order.id, UndoneDelivery.order_line_id == OrderLine.id)
    query = select(Order.code).where(
        or_(Order.refunded_fen > 0, touched), undone != refunded + given_up, scope.orders(Order.id)
    )
    return found(tx, "R8", "退回的卡密与退款不符 / units that went back, but by no refund", query)


def _per_order(count: Select[int], line_id: InstrumentedAttribute[UUID]) -> ColumnElement[int]:
    return count.join(OrderLine, OrderLine.id == line_id).where(OrderLine.order_id == Order.id).scalar_subquery()


def exceptions_wait_for_live_refunds(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """R7: who waits for a refund waits for one that has not ended: else nobody ever looks again."""
    waits = (PaymentException.state == ExceptionState.WORKING.value, Refund.state.in_(_ENDED))
    query = select(PaymentException.key).join(Refund, Refund.id == PaymentException.refund_id)
    query = query.where(*waits, scope.orders(PaymentException.order_id))
    return found(tx, "R7", "异常在等一笔已结束的退款 / an exception that waits for a refund that is over", query)
