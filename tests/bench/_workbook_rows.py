"""The rows of the bench `workbook`: one page of twelve columns as finance exports it, and as many rows as wanted.

Ids with leading zeros, instants, Chinese titles (one in fifty looks like a formula or needs escaping), states, counts,
prices and amounts. Every row is another one; making it is part of both sides' time.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from desktop.exporting.cells import Kind
from desktop.exporting.sheets import Column, Page
from shared.states import OrderState

DAY = date(2026, 11, 21)
_START = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
_TITLES = (
    *(
        f"{brand} {face} 元充值卡（自动发货）"
        for brand in ("腾讯视频", "网易一卡通", "星河", "北辰会员")
        for face in range(10, 130, 10)
    ),
    '=HYPERLINK("http://example","x")',
    "A&B <季卡>",
)
_SUPPLIERS = ("星河数字", "北辰网络", "甲方科技")
_STATES = (OrderState.DELIVERED, OrderState.COMPLETED, OrderState.PARTIALLY_REFUNDED)


class Sale(NamedTuple):
    """One row."""

    paid_at: datetime
    delivered_at: datetime
    order_code: str
    out_trade_no: str
    provider_no: str
    state: OrderState
    title: str
    supplier: str
    quantity: int
    unit_price: int
    amount_fen: int
    fee_fen: int


SALES: Page[Sale] = Page(
    "sales",
    ("交易明细", "Sales"),
    (
        Column("paid_at", "付款时间", "Paid", Kind.TIME, 20),
        Column("delivered_at", "发货时间", "Delivered", Kind.TIME, 20),
        Column("order_code", "订单号", "Order", Kind.TEXT, 16),
        Column("out_trade_no", "商户订单号", "Our number", Kind.TEXT, 34),
        Column("provider_no", "渠道流水号", "Channel's number", Kind.TEXT, 34),
        Column("state", "状态", "State", Kind.WORD, 12),
        Column("title", "商品", "Product", Kind.TEXT, 32),
        Column("supplier", "供应商", "Supplier", Kind.TEXT, 18),
        Column("quantity", "数量", "Quantity", Kind.COUNT, 8),
        Column("unit_price", "单价（元）", "Unit price", Kind.PRICE, 12),
        Column("amount_fen", "金额（元）", "Amount", Kind.AMOUNT, 14),
        Column("fee_fen", "手续费（元）", "Fee", Kind.AMOUNT, 12),
    ),
)


def sales(count: int) -> Iterator[Sale]:
    """So many rows, the same every time."""
    second = timedelta(seconds=1)
    for n in range(count):
        paid_at = _START + second * (n * 86_399 // count)
        quantity = n % 3 + 1
        unit_price = 35 * (n % 4_000) + 350
        amount_fen = -(-unit_price * quantity // 100)
        yield Sale(
            paid_at,
            paid_at + second,
            f"7K3M{n:08d}",
            f"00{n:030d}",
            f"4200{n:024d}",
            _STATES[n % 3],
            _TITLES[n % len(_TITLES)],
            _SUPPLIERS[n % 3],
            quantity,
            unit_price,
            amount_fen,
            amount_fen * 6 // 1000,
        )


def facts(count: int) -> dict[str, Any]:
    """What the rows add up to, for a look at what was written."""
    amount = fee = 0
    for row in sales(count):
        amount += row.amount_fen
        fee += row.fee_fen
    return {"rows": count, "amount_fen": amount, "fee_fen": fee}
