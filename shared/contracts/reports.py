"""The business day as finance exports it. Detail rows come in keyset pages; totals come from the ledger."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.base import Answer, Day, Request
from shared.states import AttemptState, FoundBy, OrderState


class LedgerTotal(Answer):
    """One account kind over the day: sums of its debits and credits, in fen."""

    account: str
    debits_fen: int
    credits_fen: int


class DaySummary(Answer):
    """`GET /api/reports/days/{day}`: what the workbook's detail sheets must add up to.

    Of what was delivered, delivered + discount = supplier + commission + fee: the shop bears the discounts.
    `position` is that of the change feed: what came later is not in it.
    """

    day: date
    as_of: datetime
    position: int = 0
    orders_placed: int
    orders_paid: int
    orders_delivered: int
    paid_fen: int
    delivered_fen: int
    discount_fen: int = 0
    supplier_fen: int
    commission_fen: int = 0
    fee_fen: int
    units_imported: int
    units_sold: int
    units_returned: int = 0
    units_replaced: int = 0
    exceptions_open: int
    ledger: list[LedgerTotal]


class DayOrder(Answer):
    """One order line of the day (by the order's creation, or its payment if paid that day).

    amount + discount = supplier + commission + fee: the shop bears the discount.
    """

    code: str
    created_at: datetime
    paid_at: datetime | None
    delivered_at: datetime | None
    state: OrderState
    sku: str
    title: str
    supplier: str
    quantity: int
    unit_price: int
    amount_fen: int
    discount_fen: int = 0
    supplier_fen: int
    commission_fen: int = 0
    fee_fen: int


class DayPayment(Answer):
    """One payment received that day. `found_by` is `person` while two people alone say that it came."""

    paid_at: datetime
    channel: str
    out_trade_no: str
    provider_no: str
    order_code: str
    state: AttemptState
    amount_fen: int
    delivered: bool
    found_by: FoundBy | None = None


class DayMovement(Answer):
    """Card movements of one SKU that day.

    `sold` is what the orders delivered that day bought, whatever became of it later. `returned` left its buyer unseen:
    to stock, or void, and then it is in `void` too. `replaced` was delivered for another unit.
    `sold_fen` is what buyers paid for the sold ones. Their cost, and so the margin, is known when each of them came
    with one; else both are None.
    """

    sku: str
    title: str
    supplier: str
    imported: int
    sold: int
    returned: int = 0
    replaced: int = 0
    void: int
    free_at_close: int
    sold_fen: int = 0
    cost_fen: int | None = None
    margin_fen: int | None = None


class ListTotals(Answer):
    """What the lists of a channel's reconciled day come to: rows and fen, as the server's engine adds them up.

    `payments` and `paired_refunds` are the rows of the bill that have ours: both together are `matched` of the day.
    `refunds` are ours, `movements` the rows of the fund bill.
    """

    channel: str
    day: date
    payments: int = 0
    payments_fen: int = 0
    payment_fees_fen: int = 0
    paired_refunds: int = 0
    paired_refunds_fen: int = 0
    refunds: int = 0
    refunds_fen: int = 0
    differences: int = 0
    off_by_fen: int = 0
    movements: int = 0
    movements_fen: int = 0


class ReconciledLists(Answer):
    """`GET /api/reports/reconciled?from=&to=`: of at most 31 days those that were run, or have refunds.

    `position` is that of the change feed: what came later is not in it.
    """

    as_of: datetime
    position: int
    days: list[ListTotals]


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class NewExport(Request):
    """`POST /api/reports/exports`: a workbook is about to be put on a disk. `sha256` is of all its data rows.

    `day` is the workbook of a business day, `finance` the one of a reconciled period, `statement` the lines of the
    statement of that number, which its supplier's person exports too; another's is not found.
    """

    kind: Literal["day", "finance", "statement"]
    first: Day
    last: Day
    channels: Annotated[list[Annotated[str, Field(max_length=16)]], Field(max_length=20, default_factory=list)]
    layout: Annotated[str, Field(max_length=40)] = ""
    statement: Annotated[str, Field(max_length=32)] = ""
    rows: Annotated[int, Field(strict=True, ge=0)]
    sha256: Sha256


LayoutName = Annotated[str, Field(min_length=1, max_length=40)]


class SaveLayout(Request):
    """`PUT /api/reports/layouts`: keep a layout of the finance workbook; an older one of this name is replaced.

    `layout` is the console's own text, `seen` the `layout_hash` of the one that it replaces, as it was seen; None where
    there was none. Where another is kept by then it is refused. `DELETE /api/reports/layouts?name=&seen=` forgets one.
    """

    name: LayoutName
    layout: Annotated[str, Field(min_length=1, max_length=20_000)]
    seen: Sha256 | None = None


def layout_hash(layout: str) -> str:
    """What a layout that was seen is named by."""
    return hashlib.sha256(layout.encode()).hexdigest()


class SavedLayout(Answer):
    """One of the layouts that the person who asks keeps (`GET /api/reports/layouts`, all at once)."""

    name: str
    layout: str
    saved_at: datetime


class Export(Answer):
    """That somebody exported these data rows (`GET /api/reports/exports/{sha256}?day=`, about that day).

    `supplier` is whose person it was: that says nothing of what is in the rows. The shop's own people come first.
    """

    kind: Literal["day", "finance", "statement"]
    first: date
    last: date
    channels: list[str]
    layout: str
    statement: str = ""
    rows: int
    sha256: str
    supplier: str = ""
    exported_by: str
    exported_at: datetime
