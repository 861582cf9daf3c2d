"""The line at the foot of the window: where the console stands with the server, and how old what is shown is.

Facts only; the view writes the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from desktop.engine.events import Connection, ConnectionChanged, Event, ImportProgressed, ImportStage, SignedOut
from desktop.presenters.watching import Watched
from shared import clock
from shared.errors import KamengError

CLOCK_WARNING_SECONDS = 300

_ORDER = (ImportStage.READING, ImportStage.UPLOADING, ImportStage.INGESTING)

__all__ = ["Connection", "Status", "Uploading", "overall"]


@dataclass(frozen=True, slots=True)
class Uploading:
    """Imports that are on their way: how many, and how far they are on average, 0 to 100."""

    imports: int
    percent: int


class Status(Watched):
    """What the foot of the window knows.

    Attributes:
        state: where the console stands with the server.
        server: the address, or None.
        why: what is wrong while offline.
        as_of: when the list in front was read from the server; None while it was not.
        clock_off_seconds: this machine's clock minus the server's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state = Connection.SIGNED_OUT
        self.server: str | None = None
        self.since = clock.now()
        self.why: KamengError | None = None
        self.as_of: datetime | None = None
        self.clock_off_seconds = 0
        self._imports: dict[object, ImportProgressed] = {}

    @property
    def clock_is_wrong(self) -> bool:
        """Whether this machine's clock is far enough off that certificates and people suffer."""
        return abs(self.clock_off_seconds) > CLOCK_WARNING_SECONDS

    @property
    def uploading(self) -> Uploading:
        """The imports that are not over."""
        open_ones = [one for one in self._imports.values() if not one.is_over]
        done = sum(overall(one) for one in open_ones)
        return Uploading(len(open_ones), int(100 * done / len(open_ones)) if open_ones else 0)

    def hear(self, event: Event) -> None:
        """Take in one event of the engine."""
        match event:
            case ConnectionChanged():
                self.state, self.server, self.since = event.state, event.server, event.since
                self.why, self.clock_off_seconds = event.why, event.clock_off_seconds
            case ImportProgressed():
                self._imports[event.id] = event
            case SignedOut():
                self._imports.clear()
                self.as_of = None
            case _:
                return
        self.changed()

    def show_age(self, as_of: datetime | None) -> None:
        """The list in front was read at `as_of`."""
        if as_of != self.as_of:
            self.as_of = as_of
            self.changed()


def overall(one: ImportProgressed) -> float:
    """0 to 1 over the three steps: reading is a third of the way, sending another, storing the last."""
    if one.stage is ImportStage.DONE:
        return 1.0
    if one.stage in _ORDER:
        return (_ORDER.index(one.stage) + one.fraction) / 3
    return (1 + (one.chunks_sent / one.chunks if one.chunks else 0)) / 3
