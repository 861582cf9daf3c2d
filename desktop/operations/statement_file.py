"""One statement as a workbook: its lines read page by page and written as they come."""

from __future__ import annotations

import asyncio
import re
from datetime import date
from pathlib import Path
from uuid import UUID

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.exporting.cover import Cover
from desktop.exporting.statement import StatementWorkbook
from desktop.exporting.target import check_target
from desktop.exporting.workbook import Written
from desktop.operations import exports
from desktop.operations.seen import PAGE_ROWS, every_page
from shared import clock
from shared.contracts.base import Page
from shared.contracts.brought import BroughtForward
from shared.contracts.settlement import Statement, StatementLine
from shared.errors import Conflict, NotFound

_HERE = "/api/settlement/statements"
_TRIES = 3
_STATEMENT: TypeAdapter[Statement] = TypeAdapter(Statement)
_STATEMENTS: TypeAdapter[Page[Statement]] = TypeAdapter(Page[Statement])
_BROUGHT: TypeAdapter[Page[BroughtForward]] = TypeAdapter(Page[BroughtForward])
_LINES: TypeAdapter[Page[StatementLine]] = TypeAdapter(Page[StatementLine])
_NUMBER = re.compile(r"JS(\d{4})(\d\d)(\d\d)-\d+")


class StatementStillMoving(Conflict):
    """Somebody settled, or refunds came, while the workbook was written."""

    code = "export.statement_still_moving"
    zh = "导出期间结算单 {number} 一直在变化（已尝试 {tries} 次），未生成文件。请稍后再导出。"
    en = "Statement {number} changed in each of {tries} tries; no file was written. Try again later."


class NoSuchStatement(NotFound):
    """No statement that this person sees has that number."""

    code = "export.no_such_statement"
    zh = "没有单号为“{number}”的结算单，请核对。"
    en = "There is no statement “{number}”."


async def export(engine: Engine, statement_id: UUID, *, target: Path) -> Written:
    """Write the workbook of a statement to `target` (.xlsx). Memory stays flat.

    Raises StatementStillMoving, LinesDiffer, what the target can be refused for and what the server refuses. Then no
    file is left.
    """
    account = engine.session.require_account()
    target = await asyncio.to_thread(check_target, target)
    by = f"{account.person.name} ({account.person.login})"
    one = await _read(engine, statement_id)
    for _ in range(_TRIES):
        cover = Cover(exported_by=by, server=account.server, exported_at=clock.now())
        brought = await _brought(engine, one) if one.owed_fen else []
        with StatementWorkbook(target, statement=one, cover=cover, brought=brought, language=engine.language) as book:
            after: str | None = None
            while True:
                call = Call("GET", f"{_HERE}/{one.id}/lines", query={"after": after, "limit": PAGE_ROWS})
                page = await engine.session.ask(call, _LINES)
                await asyncio.to_thread(book.add, page.items)
                if page.next is None or page.next == after:
                    break
                after = page.next
            now = await _read(engine, statement_id)
            if now == one:
                written = await asyncio.to_thread(book.finish)
                number, day = one.number, one.day
                await exports.record(engine, written, kind="statement", first=day, last=day, statement=number)
                await asyncio.to_thread(book.put)
                return written
        one = now
    raise StatementStillMoving(number=one.number, tries=_TRIES)


async def export_numbered(engine: Engine, number: str, *, target: Path) -> Written:
    """The same of the statement of that number. Raises NoSuchStatement, too."""
    found = _NUMBER.fullmatch(number.strip().upper())
    if found is None:
        raise NoSuchStatement(number=number)
    try:
        day = date(*map(int, found.groups())).isoformat()
    except ValueError:
        raise NoSuchStatement(number=number) from None
    listed = await every_page(engine, _HERE, _STATEMENTS, {"from": day, "to": day})
    one = next((one for one in listed if one.number == found.group()), None)
    if one is None:
        raise NoSuchStatement(number=number)
    return await export(engine, one.id, target=target)


async def _brought(engine: Engine, one: Statement) -> list[BroughtForward]:
    return (await engine.session.ask(Call("GET", f"{_HERE}/{one.id}/brought"), _BROUGHT)).items


async def _read(engine: Engine, statement_id: UUID) -> Statement:
    return await engine.session.ask(Call("GET", f"{_HERE}/{statement_id}"), _STATEMENT)
