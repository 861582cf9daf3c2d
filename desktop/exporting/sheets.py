"""The pages of the day's workbook as tables: title, kind and width of every column, and where its value comes from.

Text cells are text for ever (`quotePrefix`), so that an id keeps its zeros and `=1+1` in a title stays a title; amounts
are exact decimals of integer fen; times are the shop's wall clock to the second. Used by `workbook` only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

from shared.clock import shop_time
from shared.contracts.reports import DayMovement, DayOrder, DayPayment, LedgerTotal
from shared.labels import label

Value = str | int | Decimal | datetime | None
"""What a cell holds. A state (StrEnum) and a bool become words of the workbook's language."""
R = TypeVar("R")

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_LONGEST_TEXT = 32_767


class Kind(StrEnum):
    """How a column is written and shown."""

    TEXT = "text"
    TIME = "time"
    COUNT = "count"
    AMOUNT = "amount"
    PRICE = "price"


FORMATS = {
    Kind.TEXT: "@",
    Kind.TIME: "yyyy-mm-dd hh:mm:ss",
    Kind.COUNT: "#,##0",
    Kind.AMOUNT: "#,##0.00",
    Kind.PRICE: "#,##0.00##",
}


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column: its heading in both languages, its kind, its width in characters, its value."""

    zh: str
    en: str
    kind: Kind
    width: int
    value: Callable[[R], Value]

    def title(self, language: str) -> str:
        """The heading."""
        return self.en if language.startswith("en") else self.zh


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One kind of detail sheet. `names` are its sheet names, 简体中文 first."""

    names: tuple[str, str]
    columns: tuple[Column[R], ...]

    def name(self, language: str, part: int = 1) -> str:
        """The sheet's name; further parts of a long table are numbered."""
        name = self.names[1] if language.startswith("en") else self.names[0]
        return name if part == 1 else f"{name} {part}"

    def letter(self, zh: str) -> str:
        """The letter of the column headed `zh`. Pages are at most 26 columns wide."""
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[[column.zh for column in self.columns].index(zh)]


def yuan(fen: int) -> Decimal:
    """Fen as yuan, exactly."""
    return Decimal(fen).scaleb(-2)


def price(unit_price: int) -> Decimal:
    """1/10000 yuan as yuan, exactly."""
    return Decimal(unit_price).scaleb(-4)


def wall_clock(instant: datetime | None) -> datetime | None:
    """What the clock in the shop showed, to the second; workbooks know no time zones."""
    return None if instant is None else shop_time(instant).replace(tzinfo=None, microsecond=0)


def worded(value: Value, language: str) -> Value:
    """States and yes/no in words; other text as XML can carry it."""
    if isinstance(value, bool):
        return ("yes" if value else "no") if language.startswith("en") else ("是" if value else "否")
    if isinstance(value, StrEnum):
        return label(value, language)
    return plain(value) if isinstance(value, str) else value


def plain(text: str) -> str:
    """Text as XML can carry it: characters it cannot become U+FFFD, visibly."""
    return _NOT_IN_XML.sub("\ufffd", text)[:_LONGEST_TEXT]


def canonical(value: Value) -> str:
    """A value as it goes into the hash of the data rows: readable again from the sheet by anybody."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S")
    if isinstance(value, Decimal):
        text = f"{value.normalize():f}"
        return "0" if text == "-0" else text
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\r", "\\r").replace("\n", "\\n")


@dataclass(frozen=True, slots=True)
class OrderLineRow:
    """An order line, and whether it is the first of its order: so that a sum counts orders."""

    line: DayOrder
    first: bool


ORDERS: Page[OrderLineRow] = Page(
    ("订单", "Orders"),
    (
        Column("订单号", "Order", Kind.TEXT, 16, lambda r: r.line.code),
        Column("下单时间", "Placed", Kind.TIME, 20, lambda r: wall_clock(r.line.created_at)),
        Column("付款时间", "Paid", Kind.TIME, 20, lambda r: wall_clock(r.line.paid_at)),
        Column("发货时间", "Delivered", Kind.TIME, 20, lambda r: wall_clock(r.line.delivered_at)),
        Column("状态", "State", Kind.TEXT, 12, lambda r: r.line.state),
        Column("SKU", "SKU", Kind.TEXT, 18, lambda r: r.line.sku),
        Column("商品", "Product", Kind.TEXT, 32, lambda r: r.line.title),
        Column("供应商", "Supplier", Kind.TEXT, 18, lambda r: r.line.supplier),
        Column("数量", "Quantity", Kind.COUNT, 8, lambda r: r.line.quantity),
        Column("单价（元）", "Unit price", Kind.PRICE, 12, lambda r: price(r.line.unit_price)),
        Column("金额（元）", "Amount", Kind.AMOUNT, 14, lambda r: yuan(r.line.amount_fen)),
        Column("供应商应得（元）", "Supplier's share", Kind.AMOUNT, 16, lambda r: yuan(r.line.supplier_fen)),
        Column("平台服务费（元）", "Platform fee", Kind.AMOUNT, 16, lambda r: yuan(r.line.fee_fen)),
        Column("计单", "Counts", Kind.COUNT, 6, lambda r: int(r.first)),
    ),
)
PAYMENTS: Page[DayPayment] = Page(
    ("收款", "Payments"),
    (
        Column("付款时间", "Paid", Kind.TIME, 20, lambda r: wall_clock(r.paid_at)),
        Column("渠道", "Channel", Kind.TEXT, 12, lambda r: r.channel),
        Column("商户单号", "Merchant's number", Kind.TEXT, 34, lambda r: r.out_trade_no),
        Column("渠道流水号", "Channel's number", Kind.TEXT, 34, lambda r: r.provider_no),
        Column("订单号", "Order", Kind.TEXT, 16, lambda r: r.order_code),
        Column("状态", "State", Kind.TEXT, 12, lambda r: r.state),
        Column("金额（元）", "Amount", Kind.AMOUNT, 14, lambda r: yuan(r.amount_fen)),
        Column("已发货", "Delivered", Kind.TEXT, 10, lambda r: r.delivered),
        Column("入账依据", "Known by", Kind.TEXT, 14, lambda r: r.found_by),
    ),
)
MOVEMENTS: Page[DayMovement] = Page(
    ("卡密出入库", "Card movements"),
    (
        Column("SKU", "SKU", Kind.TEXT, 18, lambda r: r.sku),
        Column("商品", "Product", Kind.TEXT, 32, lambda r: r.title),
        Column("供应商", "Supplier", Kind.TEXT, 18, lambda r: r.supplier),
        Column("入库", "Imported", Kind.COUNT, 12, lambda r: r.imported),
        Column("售出", "Sold", Kind.COUNT, 12, lambda r: r.sold),
        Column("退回", "Returned", Kind.COUNT, 12, lambda r: r.returned),
        Column("补发", "Replaced", Kind.COUNT, 12, lambda r: r.replaced),
        Column("作废", "Void", Kind.COUNT, 12, lambda r: r.void),
        Column("日终可售", "Free at close", Kind.COUNT, 14, lambda r: r.free_at_close),
    ),
)
ACCOUNTS: Page[LedgerTotal] = Page(
    ("账户", "Accounts"),
    (
        Column("账户", "Account", Kind.TEXT, 32, lambda r: r.account),
        Column("借方（元）", "Debits", Kind.AMOUNT, 16, lambda r: yuan(r.debits_fen)),
        Column("贷方（元）", "Credits", Kind.AMOUNT, 16, lambda r: yuan(r.credits_fen)),
    ),
)
