"""That a workbook is exported: noted at the server before it is on the disk, and asked for when one is verified."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.exporting.workbook import Written
from shared.contracts.base import Page
from shared.contracts.reports import Export, NewExport

_HERE = "/api/reports/exports"
_FOUND: TypeAdapter[Page[Export]] = TypeAdapter(Page[Export])


async def record(
    engine: Engine,
    written: Written,
    *,
    kind: Literal["day", "finance", "statement"],
    first: date,
    last: date,
    channels: Sequence[str] = (),
    layout: str = "",
    statement: str = "",
) -> None:
    """Note a workbook that is finished. Raises what the server refuses, and that it cannot be reached."""
    body = NewExport(
        kind=kind,
        first=first,
        last=last,
        channels=list(channels),
        layout=layout,
        statement=statement,
        rows=sum(written.rows.values()),
        sha256=written.sha256,
    )
    await engine.session.tell(Call("POST", _HERE, body=body))


async def recorded(engine: Engine, sha256: str, day: date) -> list[Export]:
    """Who exported a workbook of these data rows about that day. Raises what the server refuses."""
    call = Call("GET", f"{_HERE}/{sha256}", query={"day": day.isoformat()})
    return (await engine.session.ask(call, _FOUND)).items
