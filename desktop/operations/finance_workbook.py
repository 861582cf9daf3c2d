"""The finance workbook of a period, read from the server page by page and written as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.exporting import finance
from desktop.exporting.cover import Cover
from desktop.exporting.finance import CarriedOver, FinanceWorkbook, Period
from desktop.exporting.finance_pages import Commission, Of
from desktop.exporting.target import check_target
from desktop.exporting.workbook import Written
from desktop.operations import exports
from desktop.operations.layouts import layout as kept_layout
from desktop.operations.reconciliation import DayNotBegun
from desktop.operations.seen import PAGE_ROWS, every_page
from shared import clock
from shared.contracts.bank import Sweep
from shared.contracts.base import Page
from shared.contracts.reconcile import Difference, FundRow, Match, ReconciledDay, RefundMatch
from shared.contracts.reports import ListTotals, ReconciledLists
from shared.contracts.settlement import Statement, StatementLine
from shared.errors import BadInput, Conflict
from shared.finance import StatementState

T = TypeVar("T")

_TRIES = 3
_MANY_ROWS = 2_000
"""Rows asked for at once of the lists that have one for each payment."""
_LONGEST_DAYS = 366
_SPAN_DAYS = 31
"""Days that the server is asked about at once."""
_DAYS: TypeAdapter[Page[ReconciledDay]] = TypeAdapter(Page[ReconciledDay])
_MATCHES: TypeAdapter[Page[Match]] = TypeAdapter(Page[Match])
_REFUNDS: TypeAdapter[Page[RefundMatch]] = TypeAdapter(Page[RefundMatch])
_FUNDS: TypeAdapter[Page[FundRow]] = TypeAdapter(Page[FundRow])
_DIFFERENCES: TypeAdapter[Page[Difference]] = TypeAdapter(Page[Difference])
_SWEEPS: TypeAdapter[Page[Sweep]] = TypeAdapter(Page[Sweep])
_STATEMENTS: TypeAdapter[Page[Statement]] = TypeAdapter(Page[Statement])
_LINES: TypeAdapter[Page[StatementLine]] = TypeAdapter(Page[StatementLine])
_LISTS: TypeAdapter[ReconciledLists] = TypeAdapter(ReconciledLists)


class PeriodWrong(BadInput):
    """The days are the wrong way round, or too many for one workbook."""

    code = "export.period"
    zh = "账期 {first} 至 {last} 不对：起始日不能晚于结束日，最多 {most} 天。"
    en = "The period {first} to {last} is wrong: it begins before it ends, and has at most {most} days."


class PeriodStillMoving(Conflict):
    """Somebody reconciled or handled while the workbook was written."""

    code = "export.period_still_moving"
    zh = "导出期间账期 {first} 至 {last} 的对账结果一直在变化（已尝试 {tries} 次），未生成文件。请稍后再导出。"
    en = "What was reconciled of {first} to {last} changed in each of {tries} tries; no file was written. Try later."


async def export_finance(
    engine: Engine,
    *,
    first: date,
    last: date,
    target: Path,
    channels: Sequence[str] = (),
    layout: str | None = None,
) -> Written:
    """Write the finance workbook of these days to `target` (.xlsx), in a saved layout where one is named.

    Memory stays flat. Raises PeriodWrong, DayNotBegun, PeriodStillMoving, ListsDiffer, LayoutMissing, what a layout and
    the target can be refused for, and what the server refuses. Then no file is left.
    """
    if not first <= last or (last - first).days >= _LONGEST_DAYS:
        raise PeriodWrong(first=first, last=last, most=_LONGEST_DAYS)
    if last > clock.shop_day(clock.now()):
        raise DayNotBegun(day=last)
    account = engine.session.require_account()
    wanted = await kept_layout(engine, layout) if layout else None
    target = await asyncio.to_thread(check_target, target)
    by = f"{account.person.name} ({account.person.login})"
    for _ in range(_TRIES):
        period = Period(first, last, tuple(channels))
        cover = Cover(exported_by=by, server=account.server, exported_at=clock.now())
        days, lists = await _days(engine, period), await _lists(engine, period)
        reading = _Reading(engine, period, days, {(one.day, one.channel): one for one in lists.days})
        with FinanceWorkbook(
            target, period=period, cover=cover, layout=wanted, layout_name=layout or "", language=engine.language
        ) as book:
            for key in book.keys:
                async for rows in reading.rows(key):
                    await asyncio.to_thread(book.add, key, rows)
            if (await _days(engine, period), (await _lists(engine, period)).days) == (days, lists.days):
                written = await asyncio.to_thread(book.finish, days, lists)
                await _record(engine, written, period, layout or "")
                await asyncio.to_thread(book.put)
                return written
    raise PeriodStillMoving(first=first, last=last, tries=_TRIES)


async def _record(engine: Engine, written: Written, period: Period, layout: str) -> None:
    first, last, channels = period.first, period.last, period.channels
    await exports.record(engine, written, kind="finance", first=first, last=last, channels=channels, layout=layout)


async def _days(engine: Engine, period: Period) -> list[ReconciledDay]:
    days = [day for query in _spans(period) for day in await every_page(engine, "/api/reconcile/days", _DAYS, query)]
    return [day for day in days if not period.channels or day.channel in period.channels]


async def _lists(engine: Engine, period: Period) -> ReconciledLists:
    """What the server counts in the lists that the workbook is made of, and when it did."""
    asked = [
        await engine.session.ask(Call("GET", "/api/reports/reconciled", query=query), _LISTS)
        for query in _spans(period)
    ]
    days = [day for one in asked for day in one.days if not period.channels or day.channel in period.channels]
    return asked[0].model_copy(update={"days": days})


def _spans(period: Period) -> Iterator[dict[str, str | None]]:
    """The period in questions that the server answers."""
    first = period.first
    while first <= period.last:
        last = min(first + timedelta(days=_SPAN_DAYS - 1), period.last)
        yield {"from": first.isoformat(), "to": last.isoformat()}
        first = last + timedelta(days=1)


@dataclass(slots=True)
class _Reading:
    """What each page of the workbook is made of. A list of a day is asked for where the server counts rows in it."""

    engine: Engine
    period: Period
    days: list[ReconciledDay]
    lists: Mapping[tuple[date, str], ListTotals]

    async def rows(self, key: str) -> AsyncIterator[list[Any]]:
        """The rows of a page, as they come."""
        reader: Callable[[], AsyncIterator[list[Any]]] = getattr(self, f"_{key}")
        async for rows in reader():
            yield rows

    async def _days(self) -> AsyncIterator[list[Any]]:
        yield self.days

    _fees = _days

    async def _matches(self) -> AsyncIterator[list[Any]]:
        for day in self._with("payments"):
            async for rows in self._pages(f"{_path(day)}/matches", _MATCHES, limit=_MANY_ROWS):
                yield [Of(day.day, day.channel, row) for row in rows]

    async def _refunds(self) -> AsyncIterator[list[Any]]:
        for day in self._with("refunds"):
            async for rows in self._pages(f"{_path(day)}/refunds", _REFUNDS, limit=_MANY_ROWS):
                yield [Of(day.day, day.channel, row) for row in rows]

    async def _differences(self) -> AsyncIterator[list[Any]]:
        for day in self._with("differences"):
            query = {"day": day.day.isoformat(), "channel": day.channel}
            async for rows in self._pages("/api/reconcile/differences", _DIFFERENCES, query):
                yield rows

    async def _carried(self) -> AsyncIterator[list[Any]]:
        over = CarriedOver(self.period)
        async for rows in self._differences():
            yield list(over.came(rows))
        yield list(over.left())

    async def _funds(self) -> AsyncIterator[list[Any]]:
        moved = {(day.day, day.channel) for day in self._with("movements")}
        for day in self.days:
            yield list(finance.opening(day))
            if (day.day, day.channel) in moved:
                async for rows in self._pages(f"{_path(day)}/funds", _FUNDS, limit=_MANY_ROWS):
                    yield list(finance.moved(day, rows))
            query = {"day": day.day.isoformat(), "channel": day.channel}
            sweeps = await every_page(self.engine, "/api/reconcile/sweeps", _SWEEPS, query) if day.arrived_fen else []
            yield list(finance.closing(day, sweeps))

    async def _statements(self) -> AsyncIterator[list[Any]]:
        query = {"from": self.period.first.isoformat(), "to": self.period.last.isoformat()}
        async for rows in self._pages("/api/settlement/statements", _STATEMENTS, query):
            yield [row for row in rows if row.state is not StatementState.DROPPED]

    async def _commissions(self) -> AsyncIterator[list[Any]]:
        async for statements in self._statements():
            for statement in statements:
                async for lines in self._pages(f"/api/settlement/statements/{statement.id}/lines", _LINES):
                    yield [self._commission(statement, line) for line in lines if line.commission_fen]

    @staticmethod
    def _commission(statement: Statement, line: StatementLine) -> Commission:
        return Commission(
            line.order_code,
            line.distributor,
            line.sku,
            line.title,
            statement.supplier,
            line.delivered_at,
            line.amount_fen,
            line.commission_fen,
            statement.number,
        )

    def _with(self, rows: str) -> Iterator[ReconciledDay]:
        """The days that have `rows`."""
        for day in self.days:
            counted = self.lists.get((day.day, day.channel))
            if counted is not None and getattr(counted, rows):
                yield day

    async def _sources(self) -> AsyncIterator[list[Any]]:
        yield list(finance.sources(self.days))

    async def _pages(
        self, path: str, answer: TypeAdapter[Page[T]], query: dict[str, str] | None = None, *, limit: int = PAGE_ROWS
    ) -> AsyncIterator[list[T]]:
        after: str | None = None
        while True:
            call = Call("GET", path, query={**(query or {}), "after": after, "limit": limit})
            page = await self.engine.session.ask(call, answer)
            yield page.items
            if page.next is None or page.next == after:
                return
            after = page.next


def _path(day: ReconciledDay) -> str:
    return f"/api/reconcile/days/{day.day.isoformat()}/{day.channel}"
