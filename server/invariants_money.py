"""The continuous checks of ledger and payments: one function each, set-based, read-only; see `server.invariants`."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, exists, func, literal, or_, select
from sqlalchemy.orm import aliased

from server.db import Tx
from server.invariants_scope import EVERYTHING, Finding, Scope, found
from server.ledger.model import LedgerAccount, LedgerBalance, LedgerJournal, LedgerTransfer
from server.orders.model import Order, OrderLine
from server.payments.model import PaymentAttempt, PaymentCallback, PaymentException
from server.stock.model import Delivery
from shared import clock
from shared.states import AttemptState, ExceptionKind, OrderState

ASK_GRACE = timedelta(hours=1)
DELIVERED_STATES = (
    OrderState.DELIVERED.value,
    OrderState.COMPLETED.value,
    OrderState.PARTIALLY_DELIVERED.value,
    OrderState.DISPUTED.value,
)
NOT_OURS = (
    ExceptionKind.AMOUNT_MISMATCH.value,
    ExceptionKind.MERCHANT_MISMATCH.value,
    ExceptionKind.UNKNOWN_PAYMENT.value,
)
"""Exceptions about what never became the payment of an attempt."""


def balances_sum_to_zero(tx: Tx) -> Finding | None:
    """L1: over all balances, debits equal credits."""
    debits, credits = func.sum(LedgerBalance.debits_fen), func.sum(LedgerBalance.credits_fen)
    query = select(debits, credits).having(debits != credits)
    return found(tx, "L1", "借贷不平 / debits are not credits", query)


def balances_are_their_transfers(tx: Tx) -> Finding | None:
    """L2: each account's slots sum to its transfers."""
    debit, credit = aliased(LedgerTransfer), aliased(LedgerTransfer)
    slots = (
        select(
            LedgerBalance.account_id.label("account_id"),
            func.sum(LedgerBalance.debits_fen).label("debits"),
            func.sum(LedgerBalance.credits_fen).label("credits"),
        )
        .group_by(LedgerBalance.account_id)
        .subquery()
    )
    debited = select(func.coalesce(func.sum(debit.amount_fen), 0)).where(debit.debit_id == slots.c.account_id)
    credited = select(func.coalesce(func.sum(credit.amount_fen), 0)).where(credit.credit_id == slots.c.account_id)
    query = (
        select(LedgerAccount.kind, LedgerAccount.owner)
        .join(slots, slots.c.account_id == LedgerAccount.id)
        .where(or_(slots.c.debits != debited.scalar_subquery(), slots.c.credits != credited.scalar_subquery()))
    )
    return found(tx, "L2", "余额与流水不符 / a balance is not its transfers", query)


def balances_keep_their_floor(tx: Tx) -> Finding | None:
    """L3: a spendable account never has less than its floor; the database's own check says the same."""
    query = (
        select(LedgerAccount.kind, LedgerAccount.owner)
        .join(LedgerBalance, LedgerBalance.account_id == LedgerAccount.id)
        .where(LedgerBalance.credits_fen - LedgerBalance.debits_fen < LedgerBalance.floor_fen)
    )
    return found(tx, "L3", "余额低于下限 / a balance below its floor", query)


def paid_attempts_are_booked(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L4: each paid attempt put exactly its amount into escrow, under its own journal."""
    key = literal("payment:") + PaymentAttempt.channel + ":" + PaymentAttempt.provider_no + ":pay"
    query = (
        select(PaymentAttempt.out_trade_no)
        .outerjoin(LedgerJournal, LedgerJournal.key == key)
        .outerjoin(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .where(PaymentAttempt.state == AttemptState.PAID.value, scope.orders(PaymentAttempt.order_id))
        .group_by(PaymentAttempt.id, PaymentAttempt.out_trade_no, PaymentAttempt.amount_fen)
        .having(func.coalesce(func.sum(LedgerTransfer.amount_fen), 0) != PaymentAttempt.amount_fen)
    )
    return found(tx, "L4", "收款没有入账 / a payment that is not booked", query)


def bookings_are_of_paid_attempts(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L4: what was booked as received was paid: each PAY is that of a paid attempt of its order."""
    key = literal("payment:") + PaymentAttempt.channel + ":" + PaymentAttempt.provider_no + ":pay"
    paid = exists().where(
        PaymentAttempt.order_id == LedgerJournal.order_id,
        PaymentAttempt.state == AttemptState.PAID.value,
        key == LedgerJournal.key,
    )
    query = select(LedgerJournal.key).where(LedgerJournal.code == "PAY", ~paid, scope.orders(LedgerJournal.order_id))
    return found(tx, "L4", "入账却没有收款 / booked, but nobody paid", query)


def sales_are_of_delivered_orders(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L9: money left escrow for a delivery only."""
    delivered = exists().where(Order.id == LedgerJournal.order_id, Order.delivered_at.is_not(None))
    mine = scope.orders(LedgerJournal.order_id)
    query = select(LedgerJournal.key).where(LedgerJournal.code == "SALE", ~delivered, mine)
    return found(tx, "L9", "已分账的订单没有发货 / a sale without a delivery", query)


def delivered_orders_leave_no_escrow(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L5: of each delivered order, its amount left escrow by its sale, to the fen."""
    query = (
        select(Order.code)
        .join(LedgerJournal, LedgerJournal.order_id == Order.id)
        .join(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .where(Order.state.in_(DELIVERED_STATES), LedgerJournal.code == "SALE", scope.orders(Order.id))
        .group_by(Order.id, Order.code, Order.amount_fen)
        .having(func.sum(LedgerTransfer.amount_fen) != Order.amount_fen)
    )
    return found(tx, "L5", "订单金额没有分完 / a sale's parts are not its amount", query)


def delivered_orders_have_their_journals(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L9: each delivered order has its PAY and its SALE, and its sold units."""

    def posted(code: str) -> ColumnElement[bool]:
        return exists().where(LedgerJournal.order_id == Order.id, LedgerJournal.code == code)

    units = (
        select(func.count())
        .select_from(Delivery)
        .join(OrderLine, OrderLine.id == Delivery.order_line_id)
        .where(OrderLine.order_id == Order.id)
        .scalar_subquery()
    )
    wanted = select(func.sum(OrderLine.quantity)).where(OrderLine.order_id == Order.id).scalar_subquery()
    query = select(Order.code).where(
        scope.orders(Order.id),
        Order.state.in_(DELIVERED_STATES),
        or_(~posted("PAY"), ~posted("SALE"), units != wanted),
    )
    return found(tx, "L9", "已发货订单缺少账目或卡密 / a delivered order lacks journals or units", query)


def paid_money_is_somewhere(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """Money paid is never lost: each paid attempt's order is delivered, or an exception names this very money.

    Not one about other money for the same attempt, such as a callback with a wrong amount before the right one.
    """
    named = exists().where(
        PaymentException.attempt_id == PaymentAttempt.id,
        PaymentException.provider_no == PaymentAttempt.provider_no,
        PaymentException.kind.not_in(NOT_OURS),
    )
    query = (
        select(PaymentAttempt.out_trade_no, literal(" "), Order.code)
        .join(Order, Order.id == PaymentAttempt.order_id)
        .where(PaymentAttempt.state == AttemptState.PAID.value, Order.state.not_in(DELIVERED_STATES), ~named)
        .where(scope.orders(PaymentAttempt.order_id))
    )
    return found(tx, "P1", "已付款却未发货也不在异常列表 / paid, neither delivered nor an exception", query)


def kept_callbacks_are_asked_about(tx: Tx) -> Finding | None:
    """P2: a callback that could not be applied is soon settled by what its channel says when asked."""
    waiting = (PaymentCallback.state == "deferred", PaymentCallback.received_at < clock.now() - ASK_GRACE)
    query = select(PaymentCallback.channel, PaymentCallback.out_trade_no).where(*waiting)
    return found(tx, "P2", "支付通知尚未核实 / a payment notification that nobody could confirm", query)
