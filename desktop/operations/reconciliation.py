"""The business day: its summary, its details, and the workbook that finance signs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.exporting.cover import Cover
from desktop.exporting.target import check_target
from desktop.exporting.workbook import DayWorkbook, Written
from desktop.operations import exports
from desktop.operations.seen import Seen, look, name_of
from shared import clock
from shared.contracts.base import Page
from shared.contracts.reports import DayMovement, DayOrder, DayPayment, DaySummary
from shared.errors import BadInput, Conflict

_SUMMARY: TypeAdapter[DaySummary] = TypeAdapter(DaySummary)
_ORDERS: TypeAdapter[Page[DayOrder]] = TypeAdapter(Page[DayOrder])
_PAYMENTS: TypeAdapter[Page[DayPayment]] = TypeAdapter(Page[DayPayment])
_MOVEMENTS: TypeAdapter[Page[DayMovement]] = TypeAdapter(Page[DayMovement])
_PAGE_ROWS = 500
_TRIES = 3

T = TypeVar("T")


class DayStillMoving(Conflict):
    """Orders kept coming in while the day was exported."""

    code = "export.day_still_moving"
    zh = "{day} 仍有新的交易，{tries} 次尝试中数字都在变化，未生成对账单。请在业务日结束后导出。"
    en = "{day} still has new business: its figures changed in each of {tries} tries. Export it when the day is over."


class DayNotBegun(BadInput):
    """There are no books of a day that is yet to come."""

    code = "export.day_not_begun"
    zh = "{day} 还没有到，没有可导出的账目。"
    en = "{day} is yet to come; there is nothing to export."


@dataclass(frozen=True, slots=True)
class WorkbookWritten:
    """The day's workbook is on disk: rows per sheet kind and the hash of its data rows, as on its cover."""

    path: Path
    day: date
    rows: dict[str, int]
    sha256: str
    summary: DaySummary


async def day_summary(engine: Engine, day: date) -> Seen[DaySummary]:
    """The figures of a business day, from the ledger."""
    call = Call("GET", f"/api/reports/days/{day.isoformat()}")
    return await look(engine, list_name=name_of(f"day/{day.isoformat()}"), call=call, answer=_SUMMARY)


async def export_workbook(engine: Engine, *, day: date, target: Path) -> WorkbookWritten:
    """Write the workbook of a day to `target` (.xlsx). Details stream through; memory stays flat.

    Raises DayNotBegun, BooksDiffer when details and ledger disagree, DayStillMoving when business goes on, TargetBusy,
    FolderMissing, TargetUnwritable, BadField for the name, and what the server refuses. Then no file is left.
    """
    if day > clock.shop_day(clock.now()):
        raise DayNotBegun(day=day)
    account = engine.session.require_account()
    target = await asyncio.to_thread(check_target, target)
    cover = Cover(
        exported_by=f"{account.person.name} ({account.person.login})",
        server=account.server,
        exported_at=clock.now(),
    )
    for _ in range(_TRIES):
        before = await _ask_summary(engine, day)
        with DayWorkbook(target, day=day, cover=cover, language=engine.language) as book:
            path = f"/api/reports/days/{day.isoformat()}"
            await _stream(engine, f"{path}/orders", _ORDERS, book.add_orders)
            await _stream(engine, f"{path}/payments", _PAYMENTS, book.add_payments)
            await _stream(engine, f"{path}/movements", _MOVEMENTS, book.add_movements)
            after = await _ask_summary(engine, day)
            if _figures(before) == _figures(after):
                written: Written = await asyncio.to_thread(book.finish, after)
                await exports.record(engine, written, kind="day", first=day, last=day)
                await asyncio.to_thread(book.put)
                return WorkbookWritten(
                    path=written.path, day=day, rows=written.rows, sha256=written.sha256, summary=after
                )
    raise DayStillMoving(day=day, tries=_TRIES)


async def _ask_summary(engine: Engine, day: date) -> DaySummary:
    return await engine.session.ask(Call("GET", f"/api/reports/days/{day.isoformat()}"), _SUMMARY)


def _figures(summary: DaySummary) -> DaySummary:
    """The summary without what changes by itself."""
    return summary.model_copy(update={"as_of": summary.day, "position": 0, "exceptions_open": 0})


async def _stream(
    engine: Engine, path: str, answer: TypeAdapter[Page[T]], write: Callable[[Iterable[T]], None]
) -> None:
    """Every page of a list into the workbook, in order; writing runs beside the loop."""
    after: str | None = None
    while True:
        page = await engine.session.ask(Call("GET", path, query={"after": after, "limit": _PAGE_ROWS}), answer)
        await asyncio.to_thread(write, page.items)
        if page.next is None or page.next == after:
            return
        after = page.next
