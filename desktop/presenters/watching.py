"""How a view hears that its presenter changed: one callback, in the window's thread, no data in it."""

from __future__ import annotations

from collections.abc import Callable


class Watched:
    """Something that views look at. After each change every watcher is called once."""

    def __init__(self) -> None:
        self._watchers: list[Callable[[], None]] = []

    def watch(self, look: Callable[[], None]) -> None:
        """Call `look` after each change."""
        self._watchers.append(look)

    def unwatch(self, look: Callable[[], None]) -> None:
        """Do not call `look` any more; harmless when it was not watching."""
        if look in self._watchers:
            self._watchers.remove(look)

    def changed(self) -> None:
        """Tell every watcher."""
        for look in tuple(self._watchers):
            look()
