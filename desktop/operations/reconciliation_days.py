"""A channel's business day in reconciliation: its bills, what it comes to, its run, its signature, what arrived."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.once import send_once
from desktop.operations.seen import PAGE_ROWS, Seen, look, name_of
from shared.contracts.base import Page
from shared.contracts.reconcile import BillFile, FetchBills, NewSweep, ReconciledDay, SignDay, Sweep
from shared.errors import BadInput, Conflict

_DAYS: TypeAdapter[Page[ReconciledDay]] = TypeAdapter(Page[ReconciledDay])
_SWEEPS: TypeAdapter[Page[Sweep]] = TypeAdapter(Page[Sweep])
_TOUCHED = ("reconciled_day", "difference")

MOST_BILL_BYTES = 64 * 1024 * 1024
"""A bill of a million rows is smaller, packed as channels pack it."""


class BillUnreadable(BadInput):
    """A file that was dropped cannot be opened on this machine."""

    code = "bill.unreadable"
    zh = "无法读取文件 {name}：{detail}。"
    en = "{name} cannot be read: {detail}."


class BillTooLarge(BadInput):
    """No bill is that large: it is another file."""

    code = "bill.too_large"
    zh = "{name} 太大，不像渠道账单。请直接使用渠道后台下载的文件。"
    en = "{name} is too large for a channel's bill. Drop the file as the channel's console gave it."


class NotRun(Conflict):
    """A day is signed over what a run found, and there was none."""

    code = "reconcile.not_run"
    zh = "还没有对过账，没有可以签署的结果。"
    en = "Nothing was reconciled yet, so there is nothing to sign."


async def days(engine: Engine, first: date, last: date) -> Seen[list[ReconciledDay]]:
    """Every channel's days from `first` to `last`, as many as fit one page."""
    query = {"from": first.isoformat(), "to": last.isoformat(), "limit": str(PAGE_ROWS)}
    call = Call("GET", "/api/reconcile/days", query=query)
    seen = await look(engine, list_name=name_of("reconcile/days", **query), call=call, answer=_DAYS)
    return Seen(value=seen.value.items, as_of=seen.as_of, live=seen.live)


async def fetch(engine: Engine, day: ReconciledDay) -> ReconciledDay:
    """Have the server ask the channel for the bills that are missing. Raises what `send_once` does."""
    done = await send_once(engine, Call("POST", f"{_path(day)}/fetch", body=FetchBills()), ReconciledDay)
    engine.announce(*_TOUCHED, initiator="day.fetch")
    return done


async def run(engine: Engine, day: ReconciledDay) -> ReconciledDay:
    """Compare both sides again. The same bills and books give the same differences. Raises what `send_once` does."""
    done = await send_once(engine, Call("POST", f"{_path(day)}/run"), ReconciledDay)
    engine.announce(*_TOUCHED, initiator="day.run")
    return done


async def sign(engine: Engine, day: ReconciledDay, *, note: str) -> ReconciledDay:
    """Close the day over exactly what was seen. Raises NotRun, and what `send_once` does."""
    if day.outputs_sha256 is None:
        raise NotRun
    body = SignDay(outputs_sha256=day.outputs_sha256, note=note)
    done = await send_once(engine, Call("POST", f"{_path(day)}/sign", body=body), ReconciledDay)
    engine.announce(*_TOUCHED, initiator="day.sign")
    return done


async def sweeps(engine: Engine, day: date, channel: str) -> Seen[list[Sweep]]:
    """What arrived in our bank for a channel's day."""
    query = {"day": day.isoformat(), "channel": channel}
    call = Call("GET", "/api/reconcile/sweeps", query=query)
    seen = await look(engine, list_name=name_of("reconcile/sweeps", **query), call=call, answer=_SWEEPS)
    return Seen(value=seen.value.items, as_of=seen.as_of, live=seen.live)


async def record_sweep(engine: Engine, sweep: NewSweep) -> Sweep:
    """Book money that arrived, once by the bank's number. Raises what `send_once` does."""
    done = await send_once(engine, Call("POST", "/api/reconcile/sweeps", body=sweep), Sweep)
    engine.announce(*_TOUCHED, initiator="day.sweep")
    return done


async def drop_bill(engine: Engine, file: Path) -> BillFile:
    """Hand a downloaded bill to the server, which reads of what channel, kind and day it is; the same one twice is one.

    Raises BillUnreadable, BillTooLarge, what the server refuses about it, and what `send_once` does.
    """
    body = await asyncio.to_thread(_read, file)
    call = Call("POST", "/api/reconcile/bills", query={"name": file.name}, body=body)
    kept = await send_once(engine, call, BillFile)
    engine.announce(*_TOUCHED, initiator="bill.add")
    return kept


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BILL_BYTES + 1)
    except OSError as error:
        raise BillUnreadable(name=file.name, detail=error.strerror or type(error).__name__) from error
    if len(content) > MOST_BILL_BYTES:
        raise BillTooLarge(name=file.name)
    return content


def _path(day: ReconciledDay) -> str:
    return f"/api/reconcile/days/{day.day.isoformat()}/{day.channel}"
