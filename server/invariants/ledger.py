"""The checks of the ledger: balances, floors, and each delivery with its journals (money-and-stock.md 2.4)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, exists, func, or_, select

from server.db import Tx
from server.invariants.finding import DELIVERED_STATES, Finding, found, found_accounts
from server.invariants.scope import EVERYTHING, Scope
from server.ledger.model import LedgerAccount, LedgerBalance, LedgerJournal, LedgerTransfer
from server.orders.model import Order, OrderLine
from server.payments.refunds.model import Replacement
from server.stock.model import Delivery, UndoneDelivery


def balances_sum_to_zero(tx: Tx) -> Finding | None:
    """L1: over all balances, debits equal credits."""
    debits, credits = func.sum(LedgerBalance.debits_fen), func.sum(LedgerBalance.credits_fen)
    query = select(debits, credits).having(debits != credits)
    return found(tx, "L1", "借贷不平 / debits are not credits", query)


def balances_keep_their_floor(tx: Tx) -> Finding | None:
    """L3: a spendable account never has less than its floor; the database's own check says the same."""
    query = (
        select(LedgerAccount.kind, LedgerAccount.owner)
        .join(LedgerBalance, LedgerBalance.account_id == LedgerAccount.id)
        .where(LedgerBalance.credits_fen - LedgerBalance.debits_fen < LedgerBalance.floor_fen)
    )
    return found_accounts(tx, "L3", "余额低于下限 / a balance below its floor", query)


def sales_are_of_delivered_orders(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L9: money left escrow for a delivery only."""
    delivered = exists().where(Order.id == LedgerJournal.order_id, Order.delivered_at.is_not(None))
    mine = scope.orders(LedgerJournal.order_id)
    query = select(LedgerJournal.key).where(LedgerJournal.code == "SALE", ~delivered, mine)
    return found(tx, "L9", "已分账的订单没有发货 / a sale without a delivery", query)


def delivered_orders_leave_no_escrow(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L5: of each delivered order, its amount and the shop's discount left escrow by its sale, to the fen."""
    discount = select(func.sum(OrderLine.discount_fen)).where(OrderLine.order_id == Order.id).scalar_subquery()
    query = (
        select(Order.code)
        .join(LedgerJournal, LedgerJournal.order_id == Order.id)
        .join(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .where(Order.state.in_(DELIVERED_STATES), LedgerJournal.code == "SALE", scope.orders(Order.id))
        .group_by(Order.id, Order.code, Order.amount_fen)
        .having(func.sum(LedgerTransfer.amount_fen) != Order.amount_fen + discount)
    )
    return found(tx, "L5", "订单金额没有分完 / a sale's parts are not its amount", query)


def lines_are_shared_out(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L5: what the buyer pays for a line and what the shop adds is what supplier, distributor and platform get."""
    parts = OrderLine.supplier_fen + OrderLine.commission_fen + OrderLine.fee_fen
    query = (
        select(Order.code, OrderLine.n)
        .join(Order, Order.id == OrderLine.order_id)
        .where(parts != OrderLine.amount_fen + OrderLine.discount_fen, scope.orders(Order.id))
    )
    return found(tx, "L5", "订单行没有分完 / a line's parts are not its amount", query)


def delivered_orders_have_their_journals(tx: Tx, scope: Scope = EVERYTHING) -> Finding | None:
    """L9: each delivered order has its PAY (or ATTACH) and its SALE, and its sold units.

    More of them where some were replaced; those whose delivery was undone count as before.
    """

    def posted(*codes: str) -> ColumnElement[bool]:
        return exists().where(LedgerJournal.order_id == Order.id, LedgerJournal.code.in_(codes))

    def counted(table: type, line_id: Any) -> ColumnElement[int]:
        rows = select(func.count()).select_from(table).join(OrderLine, OrderLine.id == line_id)
        return rows.where(OrderLine.order_id == Order.id).scalar_subquery()

    units = counted(Delivery, Delivery.order_line_id) + counted(UndoneDelivery, UndoneDelivery.order_line_id)
    wanted = select(func.sum(OrderLine.quantity)).where(OrderLine.order_id == Order.id).scalar_subquery()
    replaced = counted(Replacement, Replacement.order_line_id)
    query = select(Order.code).where(
        scope.orders(Order.id),
        Order.state.in_(DELIVERED_STATES),
        or_(~posted("PAY", "ATTACH"), ~posted("SALE"), units != wanted + replaced),
    )
    return found(tx, "L9", "已发货订单缺少账目或卡密 / a delivered order lacks journals or units", query)
