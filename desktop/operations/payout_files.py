"""Files between the shop and the bank: instructions that people carry there, and what it says became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec

from desktop.engine.engine import Engine
from desktop.exporting.instructions import write_instructions
from desktop.importing.results import ResultFile, read_results
from desktop.operations import settlement
from shared.contracts.settlement import PayoutInstruction, PayoutResultsTaken

_CARRIED = "payouts/carried"
_MOST_KEPT = 5_000
"""Payouts of which it is known that their instructions were written here; of older ones nobody asks."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A file of instructions: its rows, and of how many of its payouts this machine had written some before."""

    path: Path
    rows: int
    again: int


async def export(engine: Engine, payouts: Sequence[UUID], *, target: Path, language: str) -> Carried:
    """Write the instructions of these payouts into one file. Raises what the writer does.

    A row of which the bank or channel has told what became of it is carried no more.
    """
    asked = [_open(await settlement.instruction(engine, one)) for one in payouts]
    rows = await asyncio.to_thread(write_instructions, asked, target, language=language)
    carried = {_name(one) for one in asked if one.rows}
    before = await _carried(engine)
    kept = [name for name in before if name not in carried] + sorted(carried)
    text = msgspec.json.encode(kept[-_MOST_KEPT:]).decode()
    await engine.stores.outbox(lambda outbox: outbox.set_setting(_CARRIED, text))
    return Carried(target, rows, again=len(carried & set(before)))


async def _carried(engine: Engine) -> list[str]:
    text = await engine.stores.outbox(lambda outbox: outbox.setting(_CARRIED))
    return msgspec.json.decode(text, type=list[str]) if text else []


def _name(asked: PayoutInstruction) -> str:
    """What is carried once: a payout, or what is to be given back of it."""
    first = asked.rows[0]
    return first.request_no if first.kind == "return" else asked.number


def _open(asked: PayoutInstruction) -> PayoutInstruction:
    return asked.model_copy(update={"rows": [row for row in asked.rows if row.succeeded is None]})


async def read(_engine: Engine, file: Path) -> ResultFile:
    """Read a result file beside the loop. Raises what `read_results` does."""
    return await asyncio.to_thread(read_results, file)


async def take(engine: Engine, file: ResultFile, *, file_id: UUID) -> PayoutResultsTaken:
    """Tell the server what became of payouts: all rows or none. Raises what `send_once` does."""
    return await settlement.take_results(
        engine, file_id=file_id, file_name=file.name, file_sha256=file.sha256, rows=file.rows
    )
