"""What a process did lately, by name, so that a repeat costs nothing. Bounded; what it forgets is looked up as before.

For effects that stay: only what was committed is noted. Safe to use from any thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

MOST = 50_000


class Recent:
    """The last `most` names that were noted."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._names: OrderedDict[str, None] = OrderedDict()

    def note(self, name: str) -> None:
        """Remember a name; the oldest one makes room for it."""
        with self._lock:
            self._names[name] = None
            if len(self._names) > self._most:
                self._names.popitem(last=False)

    def __contains__(self, name: str) -> bool:
        return name in self._names
