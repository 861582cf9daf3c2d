"""HTTP of the ledger's books, for finance. Thin."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Path, Query, Request

from server import context
from server.orders import queries as orders
from server.policy import Router
from server.reports.books import queries
from shared import clock
from shared.contracts import ledger as wire
from shared.contracts.base import Day, Page
from shared.errors import NotFound
from shared.finance import JournalCode
from shared.ids import parse_order_code
from shared.permissions import Permission

router = Router(prefix="/api/ledger")

After = Annotated[str | None, Query(max_length=120)]
Limit = Annotated[int, Query(ge=1, le=500)]
Kind = Annotated[str, Path(max_length=32)]
Owner = Annotated[str, Query(max_length=64)]


@router.get("/accounts", allow=Permission.LEDGER_JOURNAL_READ)
def list_accounts(
    request: Request, day: Day | None = None, after: After = None, limit: Limit = 200
) -> Page[wire.Account]:
    """Accounts with what went through them until a day ended, or until now."""
    with context.of(request).db.read() as tx:
        return queries.accounts(tx, day, after=after, limit=limit)


@router.get("/accounts/{kind}/lines", allow=Permission.LEDGER_JOURNAL_READ)
def account_lines(
    request: Request, kind: Kind, owner: Owner = "", day: Day | None = None, after: After = None, limit: Limit = 200
) -> Page[wire.AccountLine]:
    """The book of an account on a day (today without one), with the running balance."""
    with context.of(request).db.read() as tx:
        return queries.lines(tx, kind, owner, day or clock.shop_day(clock.now()), after=after, limit=limit)


@router.get("/accounts/{kind}/days", allow=Permission.LEDGER_JOURNAL_READ)
def account_days(
    request: Request, kind: Kind, owner: Owner = "", after: date | None = None, limit: Limit = 100
) -> Page[wire.DayClosing]:
    """The closed days of an account."""
    with context.of(request).db.read() as tx:
        return queries.closings(tx, kind, owner, after=after, limit=limit)


@router.get("/journals", allow=Permission.LEDGER_JOURNAL_READ)
def list_journals(
    request: Request, day: Day | None = None, code: JournalCode | None = None, after: After = None, limit: Limit = 100
) -> Page[wire.Journal]:
    """Journals, newest first."""
    with context.of(request).db.read() as tx:
        return queries.journals(tx, day, code, after=after, limit=limit)


@router.get("/orders/{code}", allow=Permission.LEDGER_JOURNAL_READ)
def journals_of_order(request: Request, code: str) -> list[wire.Journal]:
    """All journals of an order."""
    canonical = parse_order_code(code)
    with context.of(request).db.read() as tx:
        order = orders.find(tx, canonical) if canonical else None
        if order is None:
            raise NotFound
        return queries.of_order(tx, order.id)


@router.get("/health", allow=Permission.LEDGER_JOURNAL_READ)
def ledger_health(request: Request) -> wire.LedgerHealth:
    """What the continuous checks said last; while anything is wrong nothing is paid out."""
    with context.of(request).db.read() as tx:
        return queries.health(tx)
