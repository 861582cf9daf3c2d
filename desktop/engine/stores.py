"""The two local files, reached from the engine's loop: all of their work runs on one thread, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from desktop.paths import Folders, prepare
from desktop.store.outbox import Outbox
from desktop.store.replica import Replica
from desktop.store.sqlite import errors_in_words

T = TypeVar("T")


class Stores:
    """Open files with a thread of their own. Every call may raise DiskFull, StoreDamaged or StoreUnusable."""

    def __init__(self, folders: Folders, *, rebuilt: Callable[[Path], None]) -> None:
        """Raises StoreTooNew, StoreDamaged, DiskFull or StoreUnusable. `rebuilt` hears of a replica moved aside."""
        with errors_in_words(folders.home):
            prepare(folders)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kameng-store")
        try:
            self._outbox = Outbox(folders.outbox_file)
            self._replica = Replica(folders.replica_file, rebuilt=rebuilt)
        except BaseException:
            self._thread.shutdown()
            raise

    async def outbox(self, work: Callable[[Outbox], T]) -> T:
        """Run `work(outbox)`: one transaction or a few, then return its answer."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._outbox)

    def outbox_from_thread(self, work: Callable[[Outbox], T]) -> T:
        """The same for a thread of the engine that is not its loop: waits, which holds a fast reader back."""
        return self._thread.submit(work, self._outbox).result()

    async def replica(self, work: Callable[[Replica], T]) -> T:
        """Run `work(replica)`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._replica)

    def close(self) -> None:
        """Finish what runs and close both files."""
        self._thread.submit(self._outbox.close)
        self._thread.submit(self._replica.close)
        self._thread.shutdown(wait=True)
