"""What must add up: for each figure of the day, the sum over the details, the ledger's number, and the live formula.

One literal table. The sums are kept as integers while rows stream by; the formulas say the same over the sheets.
Used by `workbook` only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from desktop.exporting.sheets import ACCOUNTS, MOVEMENTS, ORDERS, PAYMENTS, Kind, Page
from shared.clock import shop_day
from shared.contracts.reports import DayMovement, DayOrder, DayPayment, DaySummary, LedgerTotal


@dataclass(slots=True)
class Totals:
    """Sums over the detail rows of `day`, in fen and pieces."""

    day: date
    placed: int = 0
    paid: int = 0
    delivered: int = 0
    paid_fen: int = 0
    delivered_fen: int = 0
    supplier_fen: int = 0
    fee_fen: int = 0
    delivered_units: int = 0
    imported: int = 0
    sold: int = 0
    returned: int = 0
    replaced: int = 0
    debits_fen: int = 0
    credits_fen: int = 0
    _orders: set[str] = field(default_factory=set)

    def order(self, line: DayOrder) -> bool:
        """Count a line. Returns whether it is the first of its order."""
        first = line.code not in self._orders
        if first:
            self._orders.add(line.code)
            self.placed += self._today(line.created_at)
            self.paid += self._today(line.paid_at)
            self.delivered += self._today(line.delivered_at)
        if self._today(line.delivered_at):
            self.delivered_fen += line.amount_fen
            self.supplier_fen += line.supplier_fen
            self.fee_fen += line.fee_fen
            self.delivered_units += line.quantity
        return first

    def payment(self, row: DayPayment) -> None:
        """Count a payment."""
        self.paid_fen += row.amount_fen

    def movement(self, row: DayMovement) -> None:
        """Count the movements of a SKU."""
        self.imported += row.imported
        self.sold += row.sold
        self.returned += row.returned
        self.replaced += row.replaced

    def account(self, row: LedgerTotal) -> None:
        """Count an account."""
        self.debits_fen += row.debits_fen
        self.credits_fen += row.credits_fen

    def _today(self, instant: datetime | None) -> bool:
        return instant is not None and shop_day(instant) == self.day


class Ranges:
    """Where the rows of each page are: sheet names and last rows, one pair per part of a long table."""

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[str, int]]] = {}

    def add(self, page: Page[Any], sheet: str, last_row: int) -> None:
        """A finished sheet of the page."""
        self._parts.setdefault(page.names[0], []).append((sheet, last_row))

    def of(self, page: Page[Any], *columns: str) -> list[tuple[str, ...]]:
        """For each part of the page the ranges of these columns (named by their 简体中文 heading)."""
        letters = [page.letter(column) for column in columns]
        return [
            tuple(f"'{sheet}'!${letter}$2:${letter}${last}" for letter in letters)
            for sheet, last in self._parts[page.names[0]]
        ]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the summary."""

    zh: str
    en: str
    kind: Kind
    details: Callable[[Totals], int]
    ledger: Callable[[DaySummary], int]
    formula: Callable[[Ranges, date], str]

    def title(self, language: str) -> str:
        """What the line is about."""
        return self.en if language.startswith("en") else self.zh


def _sum(page: Page[Any], column: str, *, amount: bool = False) -> Callable[[Ranges, date], str]:
    """The sum of a column. Amounts are rounded: a workbook adds in binary fractions, the ledger in fen."""

    def formula(ranges: Ranges, _day: date) -> str:
        text = "+".join(f"SUM({cells})" for (cells,) in ranges.of(page, column))
        return f"ROUND({text},2)" if amount else text

    return formula


def _sum_of_day(column: str, when: str, *, amount: bool = False) -> Callable[[Ranges, date], str]:
    """The sum of a column of the order lines whose time `when` is within the day."""

    def formula(ranges: Ranges, day: date) -> str:
        start = f"DATE({day.year},{day.month},{day.day})"
        text = "+".join(
            f'SUMIFS({cells},{times},">="&{start},{times},"<"&{start}+1)'
            for cells, times in ranges.of(ORDERS, column, when)
        )
        return f"ROUND({text},2)" if amount else text

    return formula


CHECKS: tuple[Check, ...] = (
    Check(
        "下单数",
        "Orders placed",
        Kind.COUNT,
        lambda t: t.placed,
        lambda s: s.orders_placed,
        _sum_of_day("计单", "下单时间"),
    ),
    Check(
        "付款订单数",
        "Orders paid",
        Kind.COUNT,
        lambda t: t.paid,
        lambda s: s.orders_paid,
        _sum_of_day("计单", "付款时间"),
    ),
    Check(
        "发货订单数",
        "Orders delivered",
        Kind.COUNT,
        lambda t: t.delivered,
        lambda s: s.orders_delivered,
        _sum_of_day("计单", "发货时间"),
    ),
    Check(
        "收款金额（元）",
        "Payments received",
        Kind.AMOUNT,
        lambda t: t.paid_fen,
        lambda s: s.paid_fen,
        _sum(PAYMENTS, "金额（元）", amount=True),
    ),
    Check(
        "发货金额（元）",
        "Amount delivered",
        Kind.AMOUNT,
        lambda t: t.delivered_fen,
        lambda s: s.delivered_fen,
        _sum_of_day("金额（元）", "发货时间", amount=True),
    ),
    Check(
        "供应商应得（元）",
        "Suppliers' share",
        Kind.AMOUNT,
        lambda t: t.supplier_fen,
        lambda s: s.supplier_fen,
        _sum_of_day("供应商应得（元）", "发货时间", amount=True),
    ),
    Check(
        "平台服务费（元）",
        "Platform fee",
        Kind.AMOUNT,
        lambda t: t.fee_fen,
        lambda s: s.fee_fen,
        _sum_of_day("平台服务费（元）", "发货时间", amount=True),
    ),
    Check(
        "入库卡密（张）",
        "Cards imported",
        Kind.COUNT,
        lambda t: t.imported,
        lambda s: s.units_imported,
        _sum(MOVEMENTS, "入库"),
    ),
    Check(
        "售出卡密（张）", "Cards sold", Kind.COUNT, lambda t: t.sold, lambda s: s.units_sold, _sum(MOVEMENTS, "售出")
    ),
    Check(
        "发货数量（张）",
        "Cards delivered by orders",
        Kind.COUNT,
        lambda t: t.delivered_units,
        lambda s: s.units_sold,
        _sum_of_day("数量", "发货时间"),
    ),
    Check(
        "退回卡密（张）",
        "Cards returned",
        Kind.COUNT,
        lambda t: t.returned,
        lambda s: s.units_returned,
        _sum(MOVEMENTS, "退回"),
    ),
    Check(
        "补发卡密（张）",
        "Cards delivered for others",
        Kind.COUNT,
        lambda t: t.replaced,
        lambda s: s.units_replaced,
        _sum(MOVEMENTS, "补发"),
    ),
    Check(
        "借方合计 = 贷方合计（元）",
        "Debits = credits",
        Kind.AMOUNT,
        lambda t: t.debits_fen,
        lambda s: sum(row.credits_fen for row in s.ledger),
        _sum(ACCOUNTS, "借方（元）", amount=True),
    ),
)
