"""The checks of payments: what was paid is booked, and money is never lost, void or twice."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, or_, select
from sqlalchemy.orm import aliased

from server.db import Tx
from server.invariants.finding import DELIVERED_STATES, Finding, found
from server.invariants.scope import EVERYTHING, Scope
from server.ledger.model import LedgerAccount, LedgerBalance, LedgerJournal, LedgerTransfer
from server.orders.model import Order
from server.payments.model import PaymentAttempt, PaymentCallback, PaymentException, UnmatchedPayment
from server.payments.refunds.model import Refund
from shared import clock
from shared.states import (
    AttemptState,
    CallbackState,
    ExceptionKind,
    OrderState,
    RefundState,
    UnmatchedState,
    sources_of,
)

ASK_GRACE = timedelta(hours=1)
ASKED_FOR = timedelta(days=2)
"""An open attempt is asked about for a day after its end (`payments.ending.ITS_DAY`); a sweep may come late."""
NOT_OURS = (
    ExceptionKind.AMOUNT_MISMATCH.value,
    ExceptionKind.MERCHANT_MISMATCH.value,
    ExceptionKind.UNKNOWN_PAYMENT.value,
)
"""Exceptions about what never became the payment of an attempt."""

_OPEN = tuple(state.value for state in sources_of(AttemptState.CLOSED))
_IN_SUSPENSE = (UnmatchedState.HELD.value, UnmatchedState.RETURNING.value)
_NOT_BACK_YET = (RefundState.SUCCEEDED.value, RefundState.REFUSED.value, RefundState.CLOSED.value)


def key_of(table: type[PaymentAttempt | UnmatchedPayment], code: str) -> ColumnElement[str]:
    """The key of the journal of an attempt's money, or of money set aside (`payments.booking`)."""
    return literal("payment:") + table.channel + ":" + table.provider_no + ":" + code


PAY_CONFIRMED = literal("payment:") + PaymentAttempt.channel + ":" + PaymentAttempt.out_trade_no + ":pay"
"""The key of what two people confirmed: booked under our own number, which nobody misreads."""


def paid_attempts_are_booked(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L4: each paid attempt put exactly its amount into escrow, or aside where its order was paid already."""
    received = case((LedgerJournal.code == "CORRECT", -LedgerTransfer.amount_fen), else_=LedgerTransfer.amount_fen)
    keys = (*(key_of(PaymentAttempt, code) for code in ("pay", "suspense", "correct")), PAY_CONFIRMED)
    its = or_(*(LedgerJournal.key == key for key in keys))
    query = (
        select(PaymentAttempt.out_trade_no)
        .outerjoin(LedgerJournal, its)
        .outerjoin(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .where(PaymentAttempt.state == AttemptState.PAID.value, scope.orders(PaymentAttempt.order_id))
        .group_by(PaymentAttempt.id, PaymentAttempt.out_trade_no, PaymentAttempt.amount_fen)
        .having(func.coalesce(func.sum(received), 0) != PaymentAttempt.amount_fen)
    )
    return found(tx, "L4", "收款没有入账 / a payment that is not booked", query)


def bookings_are_of_paid_attempts(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L4: what was booked as received was paid: each PAY or ATTACH is that of a paid attempt of its order."""
    keys = (*(key_of(PaymentAttempt, code) for code in ("pay", "attach")), PAY_CONFIRMED)
    paid = exists().where(
        PaymentAttempt.order_id == LedgerJournal.order_id,
        PaymentAttempt.state == AttemptState.PAID.value,
        or_(*(LedgerJournal.key == key for key in keys)),
    )
    mine = scope.orders(LedgerJournal.order_id)
    query = select(LedgerJournal.key).where(LedgerJournal.code.in_(("PAY", "ATTACH")), ~paid, mine)
    return found(tx, "L4", "入账却没有收款 / booked, but nobody paid", query)


def escrow_clears(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L4: an order that waits for nothing has no money in escrow; one that was paid for nothing yet has all of it.

    An order with a refund under way is left out: its shares come back into escrow until the channel has paid.
    """
    credit, debit = aliased(LedgerAccount), aliased(LedgerAccount)
    signed = case((credit.kind == "escrow", LedgerTransfer.amount_fen), else_=-LedgerTransfer.amount_fen)
    held = (
        select(LedgerJournal.order_id.label("order_id"), func.sum(signed).label("fen"))
        .join(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .join(credit, credit.id == LedgerTransfer.credit_id)
        .join(debit, debit.id == LedgerTransfer.debit_id)
        .where(or_(credit.kind == "escrow", debit.kind == "escrow"), scope.orders(LedgerJournal.order_id))
        .group_by(LedgerJournal.order_id)
        .subquery()
    )
    waiting = case(
        (Order.state.in_((OrderState.PAID.value, OrderState.DELIVERY_FAILED.value)), Order.amount_fen), else_=0
    )
    under_way = exists().where(Refund.order_id == Order.id, Refund.state.not_in(_NOT_BACK_YET))
    query = (
        select(Order.code)
        .join(held, held.c.order_id == Order.id)
        .where(func.coalesce(held.c.fen, 0) != waiting, ~under_way)
    )
    return found(tx, "L4", "待结资金没有清零 / money left in escrow", query)


def suspense_is_what_was_set_aside(tx: Tx) -> Finding | None:
    """L4: the suspense account is the money that pays no order, to the fen."""
    booked = (
        select(func.coalesce(func.sum(LedgerBalance.credits_fen - LedgerBalance.debits_fen), 0))
        .join(LedgerAccount, LedgerAccount.id == LedgerBalance.account_id)
        .where(LedgerAccount.kind == "suspense")
        .scalar_subquery()
    )
    aside = select(func.coalesce(func.sum(UnmatchedPayment.amount_fen), 0)).where(
        UnmatchedPayment.state.in_(_IN_SUSPENSE)
    )
    query = select(booked, aside.scalar_subquery()).where(booked != aside.scalar_subquery())
    return found(tx, "L4", "暂收款余额与明细不符 / suspense is not what was set aside", query)


def money_set_aside_has_its_exception(tx: Tx) -> Finding | None:
    """P3: money that pays no order is before people, or on its way back."""
    named = exists().where(PaymentException.unmatched_id == UnmatchedPayment.id, PaymentException.closed_at.is_(None))
    query = select(UnmatchedPayment.channel, UnmatchedPayment.provider_no).where(
        UnmatchedPayment.state == UnmatchedState.HELD.value, ~named
    )
    return found(tx, "P3", "暂收款不在异常列表 / money set aside that nobody is to decide on", query)


def paid_money_is_somewhere(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """P1: money paid is never lost: its order is delivered or refunded, or an exception names this very money.

    Not one about other money for the same attempt, such as a callback with a wrong amount before the right one.
    """
    named = exists().where(
        PaymentException.attempt_id == PaymentAttempt.id,
        PaymentException.provider_no == PaymentAttempt.provider_no,
        PaymentException.kind.not_in(NOT_OURS),
    )
    ended = and_(PaymentAttempt.state == AttemptState.PAID.value, Order.state.not_in(_USED))
    query = (
        select(PaymentAttempt.out_trade_no, literal(" "), Order.code)
        .join(Order, Order.id == PaymentAttempt.order_id)
        .where(ended, ~named, scope.orders(PaymentAttempt.order_id))
    )
    return found(tx, "P1", "已付款却未发货也不在异常列表 / paid, neither delivered nor an exception", query)


_USED = (*DELIVERED_STATES, OrderState.REFUNDED.value)


def open_attempts_are_asked_about(tx: Tx) -> Finding | None:
    """P4: whatever can still be paid is asked about until it cannot, or was put before people."""
    given_up = exists().where(
        PaymentException.attempt_id == PaymentAttempt.id,
        PaymentException.kind == ExceptionKind.PAYMENT_UNKNOWN.value,
    )
    forgotten = or_(PaymentAttempt.query_at.is_(None), PaymentAttempt.expires_at < clock.now() - ASKED_FOR)
    query = select(PaymentAttempt.channel, PaymentAttempt.out_trade_no).where(
        PaymentAttempt.state.in_(_OPEN), forgotten, ~given_up
    )
    return found(tx, "P4", "未完结的支付没有人核实 / an open payment that nobody asks about", query)


def kept_callbacks_are_asked_about(tx: Tx) -> Finding | None:
    """P2: a callback that could not be applied is soon settled by what its channel says when asked."""
    deferred = PaymentCallback.state == CallbackState.DEFERRED.value
    waiting = (deferred, PaymentCallback.received_at < clock.now() - ASK_GRACE)
    query = select(PaymentCallback.channel, PaymentCallback.out_trade_no).where(*waiting)
    return found(tx, "P2", "支付通知尚未核实 / a payment notification that nobody could confirm", query)
