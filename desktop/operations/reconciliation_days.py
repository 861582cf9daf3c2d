"""A channel's business day in reconciliation: its bills, what it comes to, its run, its signature, what arrived."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.bill_files import packed
from desktop.operations.once import send_once
from desktop.operations.seen import PAGE_ROWS, Seen, look, name_of
from shared.contracts.bank import (
    CheckSweep,
    NewSweep,
    OwedDay,
    PairWithdrawal,
    ReturnWithdrawal,
    ReverseSweep,
    Sweep,
    Withdrawal,
)
from shared.contracts.base import Page
from shared.contracts.reconcile import BillFile, FetchBills, ReconciledDay, SignDay
from shared.errors import Conflict
from shared.finance import SweepState

T = TypeVar("T")

_DAYS: TypeAdapter[Page[ReconciledDay]] = TypeAdapter(Page[ReconciledDay])
_SWEEPS: TypeAdapter[Page[Sweep]] = TypeAdapter(Page[Sweep])
_OWED: TypeAdapter[Page[OwedDay]] = TypeAdapter(Page[OwedDay])
_WITHDRAWALS: TypeAdapter[Page[Withdrawal]] = TypeAdapter(Page[Withdrawal])
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


@dataclass(frozen=True, slots=True)
class Bank:
    """What a channel paid out to our bank.

    `sweeps` arrived for the day in front. `owed` are all days whose money has not come, oldest first. `withdrawals`
    left the channel on that day, or came back, or on another one and nobody knows where they are; `loose` are arrivals
    that are no withdrawal.
    """

    sweeps: list[Sweep]
    owed: list[OwedDay]
    withdrawals: list[Withdrawal]
    loose: list[Sweep]


async def bank(engine: Engine, day: date, channel: str) -> Seen[Bank]:
    """What a channel paid out to our bank, for this day and whatever else is not settled."""
    sweeps = await _sweeps(engine, day=day.isoformat(), channel=channel)
    owed = await _paged(engine, "owed", _OWED, channel=channel)
    that_day = await _paged(engine, "withdrawals", _WITHDRAWALS, channel=channel, day=day.isoformat())
    others = await _paged(engine, "withdrawals", _WITHDRAWALS, channel=channel, open="true")
    loose = await _sweeps(engine, channel=channel, open="true")
    known = {one.id for one in that_day.value}
    withdrawals = [*that_day.value, *(one for one in others.value if one.id not in known)]
    value = Bank(sweeps.value, owed.value, withdrawals, loose.value)
    live = all(one.live for one in (sweeps, owed, that_day, others, loose))
    return Seen(value=value, as_of=sweeps.as_of, live=live)


async def waiting_sweeps(engine: Engine) -> Seen[Page[Sweep]]:
    """Arrivals, and reversals of arrivals, that wait for a second person."""
    booked = await _sweeps(engine, state=SweepState.PROPOSED)
    undone = await _sweeps(engine, state=SweepState.REVERSING)
    page: Page[Sweep] = Page(items=[*booked.value, *undone.value])
    return Seen(value=page, as_of=booked.as_of, live=booked.live and undone.live)


async def owed(engine: Engine, after: str | None = None) -> Seen[Page[OwedDay]]:
    """The days of all channels whose money has not come, oldest first."""
    query = {"limit": str(PAGE_ROWS)} | ({"after": after} if after else {})
    call = Call("GET", "/api/reconcile/owed", query=query)
    return await look(engine, list_name=name_of("reconcile/owed", **query), call=call, answer=_OWED)


async def _sweeps(engine: Engine, **query: str) -> Seen[list[Sweep]]:
    return await _paged(engine, "sweeps", _SWEEPS, **query)


async def _paged(engine: Engine, noun: str, answer: TypeAdapter[Page[T]], **query: str) -> Seen[list[T]]:
    """As many rows as fit one page."""
    call = Call("GET", f"/api/reconcile/{noun}", query=query)
    seen = await look(engine, list_name=name_of(f"reconcile/{noun}", **query), call=call, answer=answer)
    return Seen(value=seen.value.items, as_of=seen.as_of, live=seen.live)


async def record_sweep(engine: Engine, sweep: NewSweep) -> Sweep:
    """Book money that arrived, once by the bank's number; above the limit another person approves it first.

    Raises what `send_once` does.
    """
    return await _sweep(engine, "/api/reconcile/sweeps", sweep)


async def check_sweep(engine: Engine, seen: Sweep, *, approve: bool, note: str = "") -> Sweep:
    """The second person approves the booking or the reversal, or sends it back, knowing what `seen` tells.

    Raises what `send_once` does.
    """
    body = CheckSweep(approve=approve, over_fen=seen.over_fen, note=note, version=seen.version)
    return await _sweep(engine, f"/api/reconcile/sweeps/{seen.id}/check", body)


async def reverse_sweep(engine: Engine, seen: Sweep, *, note: str) -> Sweep:
    """It was wrong: undo the booking. Raises what `send_once` does."""
    body = ReverseSweep(note=note, version=seen.version)
    return await _sweep(engine, f"/api/reconcile/sweeps/{seen.id}/reverse", body)


async def pair_withdrawal(engine: Engine, one: Withdrawal, sweep_id: UUID | None) -> Withdrawal:
    """Say which arrival a withdrawal is, or that it is none of those here. Raises what `send_once` does."""
    body = PairWithdrawal(sweep_id=sweep_id)
    done = await send_once(engine, Call("POST", f"/api/reconcile/withdrawals/{one.id}/pair", body=body), Withdrawal)
    engine.announce(*_TOUCHED, initiator="day.pair")
    return done


async def return_withdrawal(engine: Engine, one: Withdrawal, *, is_returned: bool, note: str) -> Withdrawal:
    """Say that a withdrawal came back to the channel's account, or that it did not. Raises what `send_once` does."""
    body = ReturnWithdrawal(is_returned=is_returned, note=note)
    done = await send_once(engine, Call("POST", f"/api/reconcile/withdrawals/{one.id}/return", body=body), Withdrawal)
    engine.announce(*_TOUCHED, initiator="day.return")
    return done


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
