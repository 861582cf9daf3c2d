"""A file on its way through the worker process into the outbox, while the engine sends what is there already."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial
from typing import Any

from desktop.engine.engine import Engine
from desktop.engine.events import ImportProgressed, ImportRead, ImportStage
from desktop.engine.uploads import Arrivals, describe
from desktop.importing import Chunk, Failed, ImportProcess, Job, Ledger, Progress
from desktop.importing.session import FileChanged
from desktop.store.outbox import Outbox, SealedChunk, Upload
from shared.contracts.stock import FileFigures
from shared.errors import KamengError

_RECEIVE_SECONDS = 0.1


class Refusal(Exception):
    """The server refused what was sent so far: nobody reads on for nothing."""

    def __init__(self, error: KamengError) -> None:
        super().__init__(error.code)
        self.error = error


class Reading:
    """Reads the file of one upload. `arrived` gets each chunk's number as soon as it is in the outbox.

    `held`: sending is paused already.
    """

    def __init__(self, engine: Engine, upload: Upload, job: Job, *, held: bool) -> None:
        self.arrived = Arrivals()
        self._engine = engine
        self._upload = upload
        self._job = job
        self._stop = threading.Event()
        engine.readings[upload.id] = replace(describe(upload), stage=ImportStage.READING, held=held)

    def waits_for(self, why: KamengError) -> None:
        """Tell that sending waits, without taking back how far the reading is."""
        here = self._engine.readings.get(self._upload.id)
        if here is not None:
            self._engine.tell(replace(here, why=why))

    def _progressed(self, progress: Progress) -> None:
        """Called on the engine's loop, where pausing happens too: neither takes the other back."""
        before = self._engine.readings.get(self._upload.id)
        if before is not None:  # else it was read to its end meanwhile
            now = self._engine.readings[before.id] = replace(_reading(self._upload, progress), held=before.held)
            self._engine.tell(now)

    async def finish(self, sending: asyncio.Task[None]) -> Ledger:
        """Read to the end, unless `sending` fails first. Cancelling this stops the worker before it returns.

        Raises the BadInput about the file, ImportCancelled, and Refusal with what `sending` raised.
        """
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(None, self._read_in_thread, loop)
        try:
            both: set[asyncio.Future[Any]] = {reading, sending}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                _raise_refusal(sending)
            ledger = await asyncio.shield(reading)
        except BaseException:
            if not reading.done():
                self._stop.set()
                await asyncio.wait({reading})
                reading.exception()  # it was heard: the worker's own ImportCancelled
            raise
        finally:
            self._engine.readings.pop(self._upload.id, None)
            self.arrived.close()
        if ledger.file_sha256 != self._upload.file_sha256:
            raise FileChanged(name=self._upload.file_name)
        self._engine.ledgers[self._upload.id] = ledger
        self._engine.tell(ImportRead(self._upload.id, ledger))
        return ledger

    def _read_in_thread(self, loop: asyncio.AbstractEventLoop) -> Ledger:
        stores, upload_id = self._engine.stores, self._upload.id
        with ImportProcess(self._job) as worker:
            while True:
                if self._stop.is_set():
                    worker.cancel()
                match worker.receive(_RECEIVE_SECONDS):
                    case Chunk() as chunk if not self._stop.is_set():
                        sealed = SealedChunk(chunk.n, chunk.sha256, chunk.body, chunk.held)
                        stores.outbox_from_thread(partial(Outbox.add_chunks, upload_id=upload_id, chunks=[sealed]))
                        loop.call_soon_threadsafe(self.arrived.put, chunk.n)
                    case Progress() as progress:
                        loop.call_soon_threadsafe(self._progressed, progress)
                    case Failed() as failed:
                        raise failed.error()
                    case Ledger() as ledger:
                        return ledger


def _raise_refusal(sending: asyncio.Task[None]) -> None:
    error = None if sending.cancelled() else sending.exception()
    if error is not None:
        raise Refusal(error) if isinstance(error, KamengError) else error


async def stopped(task: asyncio.Task[None]) -> None:
    """Have a task end now, whatever it was doing."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def figures_of(ledger: Ledger) -> FileFigures:
    """The ledger's figures as they travel."""
    return FileFigures(
        read=ledger.read,
        valid=ledger.valid,
        duplicates=ledger.duplicates,
        refused=ledger.refused,
        skipped=ledger.skipped,
    )


def _reading(upload: Upload, progress: Progress) -> ImportProgressed:
    sorted_rows = progress.valid + progress.duplicates + progress.refused
    skipped = max(0, progress.read - sorted_rows)
    figures = FileFigures(
        read=sorted_rows + skipped,
        valid=progress.valid,
        duplicates=progress.duplicates,
        refused=progress.refused,
        skipped=skipped,
    )
    return ImportProgressed(
        id=upload.id,
        sku=upload.sku,
        file_name=upload.file_name,
        stage=ImportStage.READING,
        figures=figures,
        chunks=0,
        chunks_sent=0,
        stored=0,
        duplicates_in_stock=0,
        refused_by_server=0,
        created_at=upload.created_at,
        fraction=progress.fraction,
    )
