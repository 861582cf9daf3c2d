"""A made-up day for workbooks: its rows, its ledger, and the workbook of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from desktop.exporting.cover import Cover
from desktop.exporting.workbook import DayWorkbook, Written
from shared.contracts.reports import DayMovement, DayOrder, DayPayment, DaySummary, LedgerTotal
from shared.states import AttemptState, FoundBy, OrderState

DAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)  # 12:00 in the shop
COVER = Cover(exported_by="陈会计 (finance)", server="https://shop.example", exported_at=NOON + timedelta(hours=14))


def order(code: str, **given: Any) -> DayOrder:
    """A line of an order; what is not given is as usual."""
    facts: dict[str, Any] = {
        "created_at": NOON,
        "paid_at": NOON + timedelta(seconds=40),
        "delivered_at": NOON + timedelta(seconds=41),
        "state": OrderState.DELIVERED,
        "sku": "0010086",
        "title": "100元卡",
        "supplier": "甲方",
        "quantity": 1,
        "unit_price": 98_500,
        "amount_fen": 985,
        "supplier_fen": 936,
        "fee_fen": 49,
    }
    return DayOrder(code=code, **facts | given)


def payment(n: int, **given: Any) -> DayPayment:
    """A payment; what is not given is as usual."""
    facts: dict[str, Any] = {
        "paid_at": NOON + timedelta(seconds=40),
        "channel": "sandbox",
        "out_trade_no": f"00{n:030d}",
        "provider_no": f"4200{n:024d}",
        "order_code": f"7K3M9QX2H4T{n % 10}",
        "state": AttemptState.PAID,
        "amount_fen": 985,
        "delivered": True,
        "found_by": FoundBy.CALLBACK,
    }
    return DayPayment(**facts | given)


ORDERS = [
    order("7K3M9QX2H4TD"),
    order(
        "7K3M9QX2H4TD",
        sku="A-2",
        title='=HYPERLINK("http://evil","x")',
        quantity=3,
        unit_price=350,
        amount_fen=11,
        discount_fen=2,
        supplier_fen=10,
        commission_fen=2,
        fee_fen=1,
    ),
    order("00000000000A", created_at=NOON - timedelta(days=1), title="+1", supplier="@供货\x07商"),
    order("00000000000B", paid_at=None, delivered_at=None, state=OrderState.PENDING_PAYMENT),
    # Placed at the last instant of the day, delivered on the next one: it counts as placed and paid only.
    order(
        "00000000000C",
        created_at=datetime(2026, 11, 21, 15, 59, 59, 999_999, tzinfo=UTC),
        paid_at=datetime(2026, 11, 21, 15, 59, 59, 999_999, tzinfo=UTC),
        delivered_at=datetime(2026, 11, 21, 16, 0, tzinfo=UTC),
    ),
]
CONFIRMED = payment(4, delivered=False, amount_fen=10, found_by=FoundBy.PERSON)
PAYMENTS = [payment(1, amount_fen=996), payment(2), payment(3), CONFIRMED]
MOVEMENTS = [
    DayMovement(sku="0010086", title="100元卡", supplier="甲方", imported=5_000, sold=2, void=1, free_at_close=4_997),
    DayMovement(
        sku="A-2", title="-1", supplier="甲方", imported=0, sold=3, returned=2, replaced=1, void=0, free_at_close=1
    ),
]
SUMMARY = DaySummary(
    day=DAY,
    as_of=NOON + timedelta(hours=13),
    orders_placed=3,
    orders_paid=3,
    orders_delivered=2,
    paid_fen=2_976,
    delivered_fen=1_981,
    supplier_fen=1_882,
    fee_fen=99,
    discount_fen=2,
    commission_fen=2,
    units_imported=5_000,
    units_sold=5,
    units_returned=2,
    units_replaced=1,
    exceptions_open=1,
    ledger=[
        LedgerTotal(account="channel:sandbox", debits_fen=2_976, credits_fen=0),
        LedgerTotal(account="buyers_due", debits_fen=1_981, credits_fen=2_976),
        LedgerTotal(account="supplier_due", debits_fen=0, credits_fen=1_882),
        LedgerTotal(account="platform_fee", debits_fen=0, credits_fen=99),
    ],
)


def export(
    target: Path, *, summary: DaySummary = SUMMARY, language: str = "zh", sheet_rows: int = 1_048_576
) -> Written:
    """The workbook of the day, in its pages."""
    with DayWorkbook(target, day=DAY, cover=COVER, language=language, sheet_rows=sheet_rows) as book:
        book.add_orders(ORDERS[:2])
        book.add_orders(ORDERS[2:])
        book.add_payments(PAYMENTS)
        book.add_movements(MOVEMENTS)
        written = book.finish(summary)
        book.put()
    return written
