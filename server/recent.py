"""What a process did lately, or is doing, by name, so that a repeat costs nothing.

Bounded; what it forgets is looked up as before. For effects that stay: only what was committed is noted. Safe to use
from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

MOST = 50_000


class Recent:
    """The last `most` names that were noted."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._names: OrderedDict[str, None] = OrderedDict()
        self._under_way: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[None]] = {}

    async def once(self, name: str, work: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Do what has this name, unless it is noted; who comes while it is done waits for the same end.

        It is noted when `work` answers True. Raises what `work` raises; whoever leaves does not stop it.
        """
        if name in self:
            return
        mine = (asyncio.get_running_loop(), name)
        task = self._under_way.get(mine)
        if task is None:
            task = self._under_way[mine] = asyncio.create_task(self._do(name, work))
            task.add_done_callback(lambda _: self._under_way.pop(mine, None))
        await asyncio.shield(task)

    async def _do(self, name: str, work: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        if await work():
            self.note(name)

    def note(self, name: str) -> None:
        """Remember a name; the oldest one makes room for it."""
        with self._lock:
            self._names[name] = None
            if len(self._names) > self._most:
                self._names.popitem(last=False)

    def __contains__(self, name: str) -> bool:
        return name in self._names
