"""HTTP of the business day, for the workbook that finance exports."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request

from server import context, policy
from server.policy import Router
from server.reports import queries
from shared.contracts import reports as wire
from shared.contracts.base import Day, Page
from shared.permissions import Permission

router = Router(prefix="/api/reports/days")

After = Annotated[str | None, Query(max_length=80)]
Limit = Annotated[int, Query(ge=1, le=5_000)]


@router.get("/{day}", allow=Permission.REPORTS_DAY_EXPORT)
def day_summary(request: Request, day: Day) -> wire.DaySummary:
    """The day's figures and the ledger's totals."""
    with context.of(request).db.read() as tx:
        return queries.summary(tx, day)


@router.get("/{day}/orders", allow=Permission.REPORTS_DAY_EXPORT)
def day_orders(request: Request, day: Day, after: After = None, limit: Limit = 1_000) -> Page[wire.DayOrder]:
    """Order lines of the day; a page holds `limit` orders with all their lines."""
    with context.of(request).db.read() as tx:
        return queries.day_orders(tx, day, after=after, limit=limit)


@router.get("/{day}/payments", allow=Permission.REPORTS_DAY_EXPORT)
def day_payments(request: Request, day: Day, after: After = None, limit: Limit = 1_000) -> Page[wire.DayPayment]:
    """Payments received that day."""
    with context.of(request).db.read() as tx:
        return queries.day_payments(tx, day, after=after, limit=limit)


@router.get("/{day}/movements", allow=Permission.REPORTS_DAY_EXPORT)
def day_movements(request: Request, day: Day, after: After = None, limit: Limit = 1_000) -> Page[wire.DayMovement]:
    """Card movements by SKU."""
    with context.of(request).db.read() as tx:
        return queries.day_movements(tx, policy.actor(request), day, after=after, limit=limit)
