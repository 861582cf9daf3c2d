"""A file before it is imported: how it would be read, and what would become of every row. Nothing is sent.

The first look takes what the product says of its keys, and what was done with the last file of the same titles for the
same supplier's product. The full check reads every row in a worker process and keeps nothing but the ledger.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.engine.events import FileChecked
from desktop.importing import Failed, ImportProcess, Job, Ledger, Options, Preview, Progress
from desktop.importing.process import WorkerFailed
from desktop.operations import goods, imports
from shared.errors import BadInput

_RECEIVE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Look:
    """A first look at a file. `by_habit`: the columns are those of the last file for these goods."""

    preview: Preview
    by_habit: bool
    has_rule: bool
    """Whether the product says what its keys look like."""
    goes_on: bool = False
    """An unfinished import of this file would go on: it is shown as that one reads it."""


@dataclass(slots=True)
class Checking:
    """A full check under way; `stop` from any thread."""

    id: UUID
    stopped: threading.Event

    def stop(self) -> None:
        """The answer is not wanted any more."""
        self.stopped.set()


async def look(engine: Engine, file: Path, options: Options, *, sku: str = "", habits: bool = True) -> Look:
    """What an import into `sku` would make of the first lines. Raises the BadInput about the file, NotAllowed and
    SkuUnknown; without a SKU, or without a connection, the product's rule is left out.
    """
    goods.require_importer(engine)
    if not sku:
        return Look(await imports.preview(file, options), by_habit=False, has_rule=False)
    wanted = await goods.look_up(engine, sku)
    options, has_rule = goods.ruled(options, wanted), goods.says_something(wanted)
    begun = await imports.unfinished(engine, file, sku) if habits else None
    if begun is not None:
        preview = await imports.preview(file, goods.ruled(begun, wanted))
        return Look(preview, by_habit=False, has_rule=has_rule, goes_on=True)
    habit = await goods.habit(engine, wanted) if habits else None
    if habit is not None:
        try:
            preview = await imports.preview(file, goods.used_to(options, habit))
        except BadInput:  # this file is of another shape
            habit = None
        else:
            if preview.titles == habit.titles:
                return Look(preview, by_habit=True, has_rule=has_rule)
    return Look(await imports.preview(file, options), by_habit=False, has_rule=has_rule)


async def check(engine: Engine, file: Path, options: Options, checking: Checking) -> Ledger | None:
    """The ledger of the whole file, told by `FileChecked` on the way; None when it was stopped.

    Raises the BadInput about the file.
    """
    try:
        return await asyncio.to_thread(_check, engine, Job(path=file, options=options, only_check=True), checking)
    except asyncio.CancelledError:
        checking.stop()  # the engine ends: its thread must not wait for a million rows
        raise


def _check(engine: Engine, job: Job, checking: Checking) -> Ledger | None:
    with ImportProcess(job) as worker:
        while not checking.stopped.is_set():
            match worker.receive(_RECEIVE_SECONDS):
                case Progress() as progress:
                    engine.tell(FileChecked(checking.id, progress.fraction, progress.read))
                case Failed() as failed:
                    raise failed.error()
                case Ledger() as ledger:
                    return ledger
                case None:
                    continue
                case _:
                    raise WorkerFailed(detail="chunk")
    return None


async def begin(
    engine: Engine, *, file: Path, sku: str, preview: Preview, again: bool = False, title: str = ""
) -> imports.ImportStarted:
    """Import the file as the preview shows it, and remember its columns for the next file of these goods."""
    options = replace(preview.options, pattern=None, ignore_case=False)  # of the SKU it is for now, not of another one
    begun = await imports.start(engine, file=file, sku=sku, options=options, again=again, title=title)
    await goods.remember(engine, await goods.look_up(engine, sku), preview)
    return begun
