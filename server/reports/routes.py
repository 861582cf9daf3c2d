"""HTTP of the workbooks that finance exports: the business day, what lists come to, layouts, and who exported what."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request

from server import context, policy, web
from server.db import retrying
from server.policy import Router
from server.reports import exports, layouts, queries, reconciled
from shared.contracts import reports as wire
from shared.contracts.base import Day, Page
from shared.permissions import Permission

router = Router(prefix="/api/reports")

After = Annotated[str | None, Query(max_length=80)]
Limit = Annotated[int, Query(ge=1, le=5_000)]


@router.get("/days/{day}", allow=Permission.REPORTS_DAY_EXPORT)
def day_summary(request: Request, day: Day) -> wire.DaySummary:
    """The day's figures and the ledger's totals."""
    with context.of(request).db.read() as tx:
        return queries.summary(tx, day)


@router.get("/days/{day}/orders", allow=Permission.REPORTS_DAY_EXPORT)
def day_orders(request: Request, day: Day, after: After = None, limit: Limit = 1_000) -> Page[wire.DayOrder]:
    """Order lines of the day; a page holds `limit` orders with all their lines."""
    with context.of(request).db.read() as tx:
        return queries.day_orders(tx, day, after=after, limit=limit)


@router.get("/days/{day}/payments", allow=Permission.REPORTS_DAY_EXPORT)
def day_payments(request: Request, day: Day, after: After = None, limit: Limit = 1_000) -> Page[wire.DayPayment]:
    """Payments received that day."""
    with context.of(request).db.read() as tx:
        return queries.day_payments(tx, day, after=after, limit=limit)


@router.get("/days/{day}/movements", allow=Permission.REPORTS_DAY_EXPORT)
def day_movements(request: Request, day: Day, after: After = None, limit: Limit = 1_000) -> Page[wire.DayMovement]:
    """Card movements by SKU."""
    with context.of(request).db.read() as tx:
        return queries.day_movements(tx, policy.actor(request), day, after=after, limit=limit)


@router.get("/reconciled", allow=Permission.RECONCILE_DAY_READ)
def reconciled_lists(
    request: Request, first: Annotated[Day, Query(alias="from")], last: Annotated[Day, Query(alias="to")]
) -> wire.ReconciledLists:
    """What the lists of the channels' days come to, by day and channel."""
    with context.of(request).db.read() as tx:
        return reconciled.lists(tx, first, last)


@router.post("/exports", allow=Permission.SETTLEMENT_STATEMENT_READ, status_code=204)
def record_export(request: Request, body: wire.NewExport) -> None:
    """A workbook is about to be put on a disk."""
    who, request_id = policy.actor(request), web.request_id(request)
    if body.kind != "statement":
        policy.require(who, Permission.REPORTS_DAY_EXPORT)
    retrying(context.of(request).db, lambda tx: exports.record(tx, body, actor=who, request_id=request_id))


@router.get("/exports/{sha256}", allow=Permission.REPORTS_DAY_EXPORT)
def list_exports(request: Request, sha256: Annotated[wire.Sha256, Path()], day: Day) -> Page[wire.Export]:
    """Who exported a workbook of these data rows, about that day."""
    with context.of(request).db.read() as tx:
        return Page(items=exports.found(tx, sha256, day), next=None)


@router.get("/layouts", allow=Permission.REPORTS_DAY_EXPORT)
def list_layouts(request: Request) -> Page[wire.SavedLayout]:
    """The actor's own layouts, all at once."""
    with context.of(request).db.read() as tx:
        return Page(items=layouts.kept(tx, policy.actor(request)), next=None)


@router.put("/layouts", allow=Permission.REPORTS_DAY_EXPORT, status_code=204)
def save_layout(request: Request, body: wire.SaveLayout) -> None:
    """Keep a layout of the actor's own."""
    who = policy.actor(request)
    retrying(context.of(request).db, lambda tx: layouts.save(tx, body, actor=who))


@router.delete("/layouts", allow=Permission.REPORTS_DAY_EXPORT, status_code=204)
def remove_layout(request: Request, name: wire.LayoutName, seen: wire.Sha256) -> None:
    """Forget a layout of the actor's own."""
    who = policy.actor(request)
    retrying(context.of(request).db, lambda tx: layouts.remove(tx, name, seen, actor=who))
