"""Files between the shop and the bank: instructions that people carry there, and what it says became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.exporting.instructions import write_instructions
from desktop.importing.results import ResultFile, read_results
from desktop.operations import settlement
from shared.contracts.settlement import PayoutInstruction, PayoutResultsTaken


async def export(engine: Engine, payouts: Sequence[UUID], *, target: Path, language: str) -> int:
    """Write the instructions of these payouts and return how many rows they have. Raises what the writer does.

    A row of which the bank or channel has told what became of it is carried no more.
    """
    asked = [_open(await settlement.instruction(engine, one)) for one in payouts]
    return await asyncio.to_thread(write_instructions, asked, target, language=language)


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
