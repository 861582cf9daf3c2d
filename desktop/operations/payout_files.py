"""Files between the shop and the bank: instructions that people carry there, and what it says became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.exporting.instructions import InstructionFile
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

    The server notes who has them once the file is whole and can be put in its place, and it is put there once that is
    noted: a file that was not written is not noted, and none stands that was not. A program that ends in between leaves
    what stood there; whoever exports again is told who has them.
    A row of which the bank or channel has told what became of it is carried no more.
    """
    told = [_left(await settlement.instruction(engine, one)) for one in payouts]
    with InstructionFile(target, language=language) as file:
        rows = await asyncio.to_thread(file.write, told)
        taken = await settlement.take_instructions(engine, payouts)
        if [one.rows for one in taken] != [one.rows for one in told]:  # something was told of them meanwhile
            rows = await asyncio.to_thread(file.write, taken)
        await asyncio.to_thread(file.put)
    return Carried(target, rows, again=tuple(one for one in taken if one.taken_by is not None))


def _left(whole: PayoutInstruction) -> PayoutInstruction:
    """What is still to be carried of it."""
    return whole.model_copy(update={"rows": [row for row in whole.rows if row.succeeded is None]})


async def read(_engine: Engine, file: Path) -> ResultFile:
    """Read a result file beside the loop. Raises what `read_results` does."""
    return await asyncio.to_thread(read_results, file)


async def take(engine: Engine, file: ResultFile, *, file_id: UUID) -> PayoutResultsTaken:
    """Tell the server what became of payouts: all rows or none. Raises what `send_once` does."""
    return await settlement.take_results(
        engine, file_id=file_id, file_name=file.name, file_sha256=file.sha256, rows=file.rows
    )
