"""Files between the shop and the bank: instructions that people carry there, and what it says became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.exporting.instructions import check_table, write_instructions
from desktop.importing.results import ResultFile, read_results
from desktop.operations import settlement
from shared.contracts.settlement import PayoutInstruction, PayoutResultsTaken


@dataclass(frozen=True, slots=True)
class Carried:
    """A file of instructions: its rows, and those of its payouts that somebody had taken away before."""

    path: Path
    rows: int
    again: tuple[PayoutInstruction, ...] = ()


async def export(engine: Engine, payouts: Sequence[UUID], *, target: Path, language: str) -> Carried:
    """Write the instructions of these payouts into one file. Raises what the writer does, and the server refuses.

    A row of which the bank or channel has told what became of it is carried no more.
    """
    await asyncio.to_thread(check_table, target)
    taken = [await settlement.take_instruction(engine, one) for one in payouts]
    rows = await asyncio.to_thread(write_instructions, taken, target, language=language)
    return Carried(target, rows, again=tuple(one for one in taken if one.taken_by is not None))


async def read(_engine: Engine, file: Path) -> ResultFile:
    """Read a result file beside the loop. Raises what `read_results` does."""
    return await asyncio.to_thread(read_results, file)


async def take(engine: Engine, file: ResultFile, *, file_id: UUID) -> PayoutResultsTaken:
    """Tell the server what became of payouts: all rows or none. Raises what `send_once` does."""
    return await settlement.take_results(
        engine, file_id=file_id, file_name=file.name, file_sha256=file.sha256, rows=file.rows
    )
