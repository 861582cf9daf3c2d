"""Detail sheets as tables of facts: key, heading, kind and width of every column, and where its value comes from.

A `Page` is one kind of detail sheet; the day's four are here, those of finance in `finance_pages`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from desktop.exporting.cells import Kind
from shared.contracts.reports import DayMovement, DayOrder, DayPayment, LedgerTotal

R = TypeVar("R")

_LEADING_WIDTH = 100
"""In characters: what is printed again on each page leaves most of it to the rest."""


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column: its key (also its value's attribute unless `value` is given), headings, kind, width in characters."""

    key: str
    zh: str
    en: str
    kind: Kind
    width: int
    value: Callable[[R], Any] | None = None
    total: bool = False
    """Whether the cover adds it up; such a column stays in every layout."""
    own: str = ""
    """A heading of the reader's own, from a saved layout."""

    def title(self, language: str) -> str:
        """The heading."""
        return self.own or (self.en if language.startswith("en") else self.zh)

    def reader(self) -> Callable[[R], Any]:
        """What reads the value from a row."""
        return self.value or attrgetter(self.key)


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One kind of detail sheet. `names` are its sheet names, 简体中文 first; `key` is its name in layouts."""

    key: str
    names: tuple[str, str]
    columns: tuple[Column[R], ...]
    own: str = ""
    """A sheet name of the reader's own."""

    def name(self, language: str, part: int = 1) -> str:
        """The sheet's name; further parts of a long table are numbered."""
        name = self.own or (self.names[1] if language.startswith("en") else self.names[0])
        return name if part == 1 else f"{name} {part}"

    @property
    def leading(self) -> int:
        """How many of its first columns say what a row is: up to the first text, an id as a rule, where that is near;
        the first one alone where a reader's own layout has it far off."""
        width = 0
        for n, column in enumerate(self.columns, 1):
            width += column.width
            if width > _LEADING_WIDTH:
                break
            if column.kind is Kind.TEXT:
                return n
        return 1

    def index(self, key: str) -> int:
        """Where the column is. Raises ValueError where the page has none of this key."""
        return [column.key for column in self.columns].index(key)


@dataclass(frozen=True, slots=True)
class OrderLineRow:
    """An order line, and whether it is the first of its order: so that a sum counts orders."""

    line: DayOrder
    first: bool


def _of_line(key: str, zh: str, en: str, kind: Kind, width: int) -> Column[OrderLineRow]:
    return Column(key, zh, en, kind, width, attrgetter(f"line.{key}"))


ORDERS: Page[OrderLineRow] = Page(
    "orders",
    ("订单", "Orders"),
    (
        _of_line("code", "订单号", "Order", Kind.TEXT, 16),
        _of_line("created_at", "下单时间", "Placed", Kind.TIME, 20),
        _of_line("paid_at", "付款时间", "Paid", Kind.TIME, 20),
        _of_line("delivered_at", "发货时间", "Delivered", Kind.TIME, 20),
        _of_line("state", "状态", "State", Kind.WORD, 12),
        _of_line("sku", "SKU", "SKU", Kind.TEXT, 18),
        _of_line("title", "商品", "Product", Kind.TEXT, 32),
        _of_line("supplier", "供应商", "Supplier", Kind.TEXT, 18),
        _of_line("quantity", "数量", "Quantity", Kind.COUNT, 8),
        _of_line("unit_price", "单价（元）", "Unit price", Kind.PRICE, 12),
        _of_line("amount_fen", "金额（元）", "Amount", Kind.AMOUNT, 14),
        _of_line("supplier_fen", "供应商应得（元）", "Supplier's share", Kind.AMOUNT, 16),
        _of_line("fee_fen", "平台服务费（元）", "Platform fee", Kind.AMOUNT, 16),
        _of_line("discount_fen", "店铺优惠（元）", "Shop's discount", Kind.AMOUNT, 16),
        _of_line("commission_fen", "分销佣金（元）", "Commission", Kind.AMOUNT, 16),
        Column("first", "计单", "Counts", Kind.COUNT, 8, lambda row: int(row.first)),
    ),
)
PAYMENTS: Page[DayPayment] = Page(
    "payments",
    ("收款", "Payments"),
    (
        Column("paid_at", "付款时间", "Paid", Kind.TIME, 20),
        Column("channel", "渠道", "Channel", Kind.TEXT, 12),
        Column("out_trade_no", "商户订单号", "Our number", Kind.TEXT, 36),
        Column("provider_no", "渠道流水号", "Channel's number", Kind.TEXT, 34),
        Column("order_code", "订单号", "Order", Kind.TEXT, 16),
        Column("state", "状态", "State", Kind.WORD, 12),
        Column("amount_fen", "金额（元）", "Amount", Kind.AMOUNT, 14),
        Column("delivered", "已发货", "Delivered", Kind.WORD, 10),
        Column("found_by", "入账依据", "Known by", Kind.WORD, 14),
    ),
)
MOVEMENTS: Page[DayMovement] = Page(
    "movements",
    ("卡密出入库", "Card movements"),
    (
        Column("sku", "SKU", "SKU", Kind.TEXT, 18),
        Column("title", "商品", "Product", Kind.TEXT, 32),
        Column("supplier", "供应商", "Supplier", Kind.TEXT, 18),
        Column("imported", "入库", "Imported", Kind.COUNT, 12),
        Column("sold", "售出", "Sold", Kind.COUNT, 12),
        Column("returned", "退回", "Returned", Kind.COUNT, 12),
        Column("replaced", "补发", "Replaced", Kind.COUNT, 12),
        Column("void", "作废", "Void", Kind.COUNT, 12),
        Column("free_at_close", "日终可售", "Free at close", Kind.COUNT, 14),
    ),
)
ACCOUNTS: Page[LedgerTotal] = Page(
    "accounts",
    ("账户", "Accounts"),
    (
        Column("account", "账户", "Account", Kind.TEXT, 32),
        Column("debits_fen", "借方（元）", "Debits", Kind.AMOUNT, 16),
        Column("credits_fen", "贷方（元）", "Credits", Kind.AMOUNT, 16),
    ),
)
