"""The one QObject through which the engine reaches the window. It lives in the window's thread.

Engine to window: `post(event)` may be called from any thread; the event comes out of `arrived` in the window's thread,
at most one `ImportProgressed` per import and 50 ms. Window to engine: `ask(work, then, otherwise)`. After `close()`
nothing reaches the window any more: its widgets may be gone while the engine's last words are still queued.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar
from uuid import UUID

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from desktop.engine.engine import Engine
from desktop.engine.events import Event, ImportProgressed
from shared.errors import KamengError

log = logging.getLogger("kameng.window")

COALESCE_MS = 50
T = TypeVar("T")


class Bridge(QObject):
    """See the file's head.

    Signals:
        arrived(event): an event of `desktop.engine.events`, in the window's thread.
        fault(kind): a fault of the program, in whatever thread, that nobody handled; the type of the exception.
    """

    arrived = Signal(object)
    fault = Signal(str)
    _posted = Signal()
    _answered = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._waiting: list[Event] = []
        self._is_open = True
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(COALESCE_MS)
        self._timer.timeout.connect(self._deliver)
        self._posted.connect(self._collect, Qt.ConnectionType.QueuedConnection)
        self._answered.connect(self._run_answer, Qt.ConnectionType.QueuedConnection)

    def serve(self, engine: Engine) -> None:
        """Ask this engine from now on."""
        self._engine = engine

    def close(self) -> None:
        """The window goes away: what was posted or asked and not yet delivered reaches nobody. In its thread."""
        self._is_open = False
        self._timer.stop()

    def post(self, event: Event) -> None:
        """Hand an event to the window. From any thread; never blocks."""
        with self._lock:
            first = not self._waiting
            self._waiting.append(event)
        if first:
            self._posted.emit()

    def ask(
        self,
        work: Callable[[Engine], Coroutine[Any, Any, T]],
        then: Callable[[T], None],
        otherwise: Callable[[Exception], None],
    ) -> None:
        """Run an operation in the engine; `then` or `otherwise` is called in the window's thread."""
        assert self._engine is not None, "serve() comes first"

        def done(future: Future[T]) -> None:
            self._answered.emit(lambda: _answer(future, then, otherwise))

        self._engine.submit(work(self._engine)).add_done_callback(done)

    def _collect(self) -> None:
        """The first event of a burst: show it soon, with what comes meanwhile."""
        if self._is_open and not self._timer.isActive():
            self._timer.start()

    def _deliver(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        newest: dict[UUID, ImportProgressed] = {}
        for event in waiting:
            if isinstance(event, ImportProgressed):
                newest[event.id] = event
        for event in waiting:
            if not isinstance(event, ImportProgressed) or newest[event.id] is event:
                self.arrived.emit(event)

    def _run_answer(self, answer: Callable[[], None]) -> None:
        if self._is_open:
            answer()


def _answer(future: Future[T], then: Callable[[T], None], otherwise: Callable[[Exception], None]) -> None:
    try:
        value = future.result()
    except CancelledError:
        return  # the engine stopped: nobody waits any more
    except Exception as error:
        if not isinstance(error, KamengError):
            log.exception("an operation failed")
        otherwise(error)
    else:
        then(value)
