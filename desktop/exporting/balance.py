"""What must add up on a day's workbook: each figure as a total of the details, and the ledger's number for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from desktop.exporting.grid import Total
from desktop.exporting.sheets import ACCOUNTS, MOVEMENTS, ORDERS, PAYMENTS
from shared.contracts.reports import DaySummary


@dataclass(frozen=True, slots=True)
class Check:
    """One figure."""

    total: Total
    ledger: Callable[[DaySummary], int]


CHECKS: tuple[Check, ...] = (
    Check(Total("下单数", "Orders placed", ORDERS, "first", "created_at"), lambda s: s.orders_placed),
    Check(Total("付款订单数", "Orders paid", ORDERS, "first", "paid_at"), lambda s: s.orders_paid),
    Check(Total("发货订单数", "Orders delivered", ORDERS, "first", "delivered_at"), lambda s: s.orders_delivered),
    Check(Total("收款金额（元）", "Payments received", PAYMENTS, "amount_fen"), lambda s: s.paid_fen),
    Check(Total("发货金额（元）", "Amount delivered", ORDERS, "amount_fen", "delivered_at"), lambda s: s.delivered_fen),
    Check(
        Total("供应商应得（元）", "Suppliers' share", ORDERS, "supplier_fen", "delivered_at"), lambda s: s.supplier_fen
    ),
    Check(Total("平台服务费（元）", "Platform fee", ORDERS, "fee_fen", "delivered_at"), lambda s: s.fee_fen),
    Check(
        Total("店铺优惠（元）", "Shop's discounts", ORDERS, "discount_fen", "delivered_at"), lambda s: s.discount_fen
    ),
    Check(Total("分销佣金（元）", "Commissions", ORDERS, "commission_fen", "delivered_at"), lambda s: s.commission_fen),
    Check(Total("入库卡密（张）", "Cards imported", MOVEMENTS, "imported"), lambda s: s.units_imported),
    Check(Total("售出卡密（张）", "Cards sold", MOVEMENTS, "sold"), lambda s: s.units_sold),
    Check(
        Total("发货数量（张）", "Cards delivered by orders", ORDERS, "quantity", "delivered_at"),
        lambda s: s.units_sold,
    ),
    Check(Total("退回卡密（张）", "Cards returned", MOVEMENTS, "returned"), lambda s: s.units_returned),
    Check(Total("补发卡密（张）", "Cards delivered for others", MOVEMENTS, "replaced"), lambda s: s.units_replaced),
    Check(
        Total("借方合计 = 贷方合计（元）", "Debits = credits", ACCOUNTS, "debits_fen"),
        lambda s: sum(row.credits_fen for row in s.ledger),
    ),
)
