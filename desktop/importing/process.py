"""Runs `plan` or `run` in a worker process, so that a million rows never hold the window's interpreter.

Guarantees: the parent holds at most the chunk it is looking at (the pipe pushes back); cancelling is asked for
politely every 1,000 rows and enforced after three seconds; a worker that dies (out of memory, killed) becomes a
sentence, not a hang; an unexpected error names its type and place but never its text, which could hold a key.

Used by the console's engine thread, which calls `receive` in an executor. The program must have called
`multiprocessing.freeze_support()` first thing, for the frozen build.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from types import TracebackType
from typing import Any

from desktop.importing import session
from desktop.importing.chunk import Chunk
from desktop.importing.ledger import Ledger
from desktop.importing.options import Options, SealTo
from desktop.importing.session import Again, ImportCancelled, Preview, Progress
from shared import clock
from shared.errors import KamengError, error_for

CANCEL_SECONDS = 3.0
"""How long a worker may take to stop by itself."""
_PROGRESS_SECONDS = 0.05
_CONTEXT = multiprocessing.get_context("spawn")
"""The same everywhere, and safe beside threads."""


class WorkerFailed(KamengError):
    """A fault of the program in the worker, or its death."""

    code = "import.worker_failed"
    status = 500
    zh = "读取文件的进程意外结束（{detail}）。没有导入任何内容，请重试；再次发生请报告此问题。"
    en = "The process that reads the file ended unexpectedly ({detail}). Nothing was imported; please try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the worker does: only a preview, only a check of every row, or the whole import."""

    path: Path
    options: Options = field(default_factory=Options)
    seal_to: SealTo | None = None
    only_preview: bool = False
    only_check: bool = False
    """The ledger without the chunks."""
    again: Again | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The file was refused, the import cancelled, or the worker failed. Always the last message."""

    code: str
    params: dict[str, Any]

    def error(self) -> KamengError:
        """The error as the worker raised it."""
        return (error_for(self.code) or WorkerFailed)(**self.params)


Message = Progress | Chunk | Preview | Ledger | Failed
"""What a worker says. `Preview`, `Ledger` and `Failed` are the last word."""

_LAST = (Preview, Ledger, Failed)


class ImportProcess:
    """One worker for one job. Use it as a context manager, or call `close` when done.

    with ImportProcess(Job(path=path, seal_to=seal_to)) as worker:
        for message in worker.messages(): ...
    """

    def __init__(self, job: Job) -> None:
        self._receiver, sender = _CONTEXT.Pipe(duplex=False)
        self._cancel: Event = _CONTEXT.Event()
        self._process = _CONTEXT.Process(
            target=_work, args=(job, sender, self._cancel), name="kameng-import", daemon=True
        )
        self._kill_at: float | None = None
        self._finished = False
        self._process.start()
        sender.close()  # the worker's end is its own: its death is then the end of the pipe

    def receive(self, timeout_seconds: float) -> Message | None:
        """The next message, or None when there is none within the time or none will come any more."""
        if self._finished:
            return None
        if self._kill_at is not None:
            timeout_seconds = min(timeout_seconds, max(0.0, self._kill_at - clock.monotonic_seconds()))
        message: Message | None = None
        try:
            if self._receiver.poll(timeout_seconds):
                message = self._receiver.recv()
        except (EOFError, OSError):
            message = self._epitaph()
        if message is None and self._kill_at is not None and clock.monotonic_seconds() >= self._kill_at:
            self._process.terminate()
            message = _failure(ImportCancelled())
        self._finished = isinstance(message, _LAST)
        return message

    def messages(self) -> Iterator[Message]:
        """All messages, the last one included. Blocks in between."""
        while not self._finished:
            message = self.receive(1.0)
            if message is not None:
                yield message

    def cancel(self) -> None:
        """Ask the worker to stop; go on receiving until the last message, which comes within three seconds."""
        if self._kill_at is None:
            self._cancel.set()
            self._kill_at = clock.monotonic_seconds() + CANCEL_SECONDS

    def close(self) -> None:
        """End the worker, whatever it is doing, and let go of it."""
        self._finished = True
        self._receiver.close()
        if self._process.is_alive():
            self._process.join(0.2)  # it may just have said its last word
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(CANCEL_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()

    def __enter__(self) -> ImportProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _epitaph(self) -> Failed:
        """What to say of a worker that ended without a last word."""
        self._process.join(CANCEL_SECONDS)
        if self._kill_at is not None:
            return _failure(ImportCancelled())
        return _failure(WorkerFailed(detail=f"exit {self._process.exitcode}"))


def _failure(error: KamengError) -> Failed:
    return Failed(code=error.code, params=error.params)


def _work(job: Job, sender: Connection, cancel: Event) -> None:
    """The worker's whole life."""
    said_at = 0.0

    def progress(message: Progress) -> None:
        nonlocal said_at
        now = clock.monotonic_seconds()
        if now - said_at >= _PROGRESS_SECONDS:
            said_at = now
            sender.send(message)

    last: Message
    try:
        if job.only_preview:
            last = session.plan(job.path, job.options)
        else:
            last = session.run(
                job.path,
                job.options,
                (lambda _: None) if job.only_check else sender.send,
                progress,
                cancel.is_set,
                seal_to=job.seal_to,
                again=job.again,
            )
    except KamengError as error:
        last = _failure(error)
    except BrokenPipeError:
        return  # the parent let go
    except BaseException as error:  # noqa: BLE001 - the parent must hear of every end; a reader's panic included
        last = _failure(WorkerFailed(detail=_place(error)))
    try:
        sender.send(last)
    except BrokenPipeError:
        return
    finally:
        sender.close()


def _place(error: BaseException) -> str:
    """Type and line of an error. Not its text: that may quote a cell."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{where}"
