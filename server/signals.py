"""Waking who waits for something in this process: an order's page is told at once instead of at its next poll.

Rung after a commit, by the database's news (`db.tell`); what another process commits is found by looking again, which
whoever waits does anyway. Safe to ring from any thread.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from server.db import Tx, tell
from shared.errors import Busy


def _most_waiting() -> int:
    """A quarter of the files that this process may have open, and no more than a thousand."""
    if sys.platform == "win32":
        return 1_000
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000 if soft == resource.RLIM_INFINITY else min(1_000, soft // 4)


MOST_WAITING = _most_waiting()
"""Each holds a connection: more than these look again by themselves."""

MOST_OF_DEVICE, MOST_OF_NETWORK = 4, 100
"""Nobody takes all of them: the fifth page of a device looks again by itself."""


@dataclass(frozen=True, slots=True)
class Rung:
    """News: whoever waits for this row should look at it."""

    row: UUID


def ring(tx: Tx, row: UUID) -> None:
    """Wake who waits for `row` once the transaction is committed."""
    tell(tx, Rung(row))


class Bell:
    """What one who waits is woken by. Used in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def strike(self) -> None:
        """Wake the waiter; from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # its loop is closed: nobody waits any more
            return

    async def heard(self, *, within_seconds: float) -> bool:
        """Wait until it is struck; False when the time was over first. A stroke before the call counts."""
        try:
            async with asyncio.timeout(within_seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Signals:
    """The bells of one process, by the row they wait for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bells: dict[UUID, list[Bell]] = {}
        self._waiting = 0
        self._of: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return self._waiting

    def heard(self, news: object) -> None:
        """The listener of the database."""
        if isinstance(news, Rung):
            with self._lock:
                struck = list(self._bells.get(news.row, ()))
            for bell in struck:
                bell.strike()

    @asynccontextmanager
    async def bell(self, row: UUID, *, device: str = "", network: str = "") -> AsyncIterator[Bell]:
        """A bell for `row` while the body runs. Raises Busy when too many wait already, of this device or network too.

        Where they are not named nobody counts them: who waits is not a stranger.
        """
        bell = Bell()
        shares = [(name, most) for name, most in ((device, MOST_OF_DEVICE), (network, MOST_OF_NETWORK)) if name]
        with self._lock:
            if self._waiting >= MOST_WAITING or any(self._of[name] >= most for name, most in shares):
                raise Busy(retry_after_seconds=5)
            self._waiting += 1
            self._of.update(name for name, _ in shares)
            self._bells.setdefault(row, []).append(bell)
        try:
            yield bell
        finally:
            with self._lock:
                self._waiting -= 1
                self._of.subtract(name for name, _ in shares)
                self._of += Counter()  # forgets who waits no more
                self._bells[row].remove(bell)
                if not self._bells[row]:
                    del self._bells[row]
