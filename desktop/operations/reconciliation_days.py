"""A channel's business day in reconciliation: its bills, what it comes to, its run, its signature, what arrived."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.bill_files import packed
from desktop.operations.once import send_once
from desktop.operations.seen import PAGE_ROWS, Seen, look, name_of
from shared.contracts.base import Page
from shared.contracts.reconcile import (
    BillFile,
    CheckSweep,
    FetchBills,
    NewSweep,
    ReconciledDay,
    ReverseSweep,
    SignDay,
    Sweep,
)
from shared.errors import Conflict
from shared.finance import SweepState

_DAYS: TypeAdapter[Page[ReconciledDay]] = TypeAdapter(Page[ReconciledDay])
_SWEEPS: TypeAdapter[Page[Sweep]] = TypeAdapter(Page[Sweep])
_TOUCHED = ("reconciled_day", "difference")


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
    return await _sweeps(engine, day=day.isoformat(), channel=channel)


async def waiting_sweeps(engine: Engine) -> Seen[Page[Sweep]]:
    """Arrivals, and reversals of arrivals, that wait for a second person."""
    booked = await _sweeps(engine, state=SweepState.PROPOSED)
    undone = await _sweeps(engine, state=SweepState.REVERSING)
    page: Page[Sweep] = Page(items=[*booked.value, *undone.value])
    return Seen(value=page, as_of=booked.as_of, live=booked.live and undone.live)


async def _sweeps(engine: Engine, **query: str) -> Seen[list[Sweep]]:
    call = Call("GET", "/api/reconcile/sweeps", query=query)
    seen = await look(engine, list_name=name_of("reconcile/sweeps", **query), call=call, answer=_SWEEPS)
    return Seen(value=seen.value.items, as_of=seen.as_of, live=seen.live)


async def record_sweep(engine: Engine, sweep: NewSweep) -> Sweep:
    """Book money that arrived, once by the bank's number; above the limit another person approves it first.

    Raises what `send_once` does.
    """
    return await _sweep(engine, "/api/reconcile/sweeps", sweep)


async def check_sweep(engine: Engine, seen: Sweep, *, approve: bool, note: str = "") -> Sweep:
    """The second person approves the booking or the reversal, or sends it back. Raises what `send_once` does."""
    body = CheckSweep(approve=approve, note=note, version=seen.version)
    return await _sweep(engine, f"/api/reconcile/sweeps/{seen.id}/check", body)


async def reverse_sweep(engine: Engine, seen: Sweep, *, note: str) -> Sweep:
    """It was wrong: undo the booking. Raises what `send_once` does."""
    body = ReverseSweep(note=note, version=seen.version)
    return await _sweep(engine, f"/api/reconcile/sweeps/{seen.id}/reverse", body)


async def _sweep(engine: Engine, path: str, body: NewSweep | CheckSweep | ReverseSweep) -> Sweep:
    done = await send_once(engine, Call("POST", path, body=body), Sweep)
    engine.announce(*_TOUCHED, initiator="day.sweep")
    return done


async def drop_bill(engine: Engine, file: Path, *, day: date) -> BillFile:
    """Hand a downloaded bill to the server, which reads of what channel, kind and day it is; the same one twice is one.

    `day` counts where the file has no row that tells.
    Raises BillUnreadable, BillTooLarge, what the server refuses about it, and what `send_once` does.
    """
    body = await asyncio.to_thread(packed, file)
    call = Call("POST", "/api/reconcile/bills", query={"name": file.name, "day": day.isoformat()}, body=body)
    kept = await send_once(engine, call, BillFile)
    engine.announce(*_TOUCHED, initiator="bill.add")
    return kept


def _path(day: ReconciledDay) -> str:
    return f"/api/reconcile/days/{day.day.isoformat()}/{day.channel}"
