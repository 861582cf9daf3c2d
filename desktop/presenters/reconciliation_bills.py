"""Bills that were dropped on the window: one after the other to the server, which says what each one is or refuses it.

Files are read in the engine, never in the window's thread. What was refused stays in the list with its sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

from desktop.operations import reconciliation_days as operations
from desktop.presenters.ports import Ask
from desktop.presenters.watching import Watched
from shared.contracts.identity import Person
from shared.contracts.reconcile import BillFile
from shared.permissions import Permission


@dataclass(frozen=True, slots=True)
class Dropped:
    """One file of a drop: on its way while it has neither `kept` nor `error`."""

    path: Path
    day: date
    kept: BillFile | None = None
    error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether the server has answered."""
        return self.kept is not None or self.error is not None


class Bills(Watched):
    """The bills that this person dropped.

    Attributes:
        files: all of the last drops, in order, until they are cleared.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self._ask = ask
        self.may_add = Permission.RECONCILE_BILL_ADD in frozenset(person.permissions)
        self.files: list[Dropped] = []

    @property
    def busy(self) -> bool:
        """Whether some are on their way."""
        return any(not one.is_over for one in self.files)

    @property
    def refused(self) -> int:
        """How many the server did not take."""
        return sum(one.error is not None for one in self.files)

    def take(self, paths: Sequence[Path], *, day: date) -> None:
        """Send these, after those that are on their way; a list that is over begins anew. `day` is the one in front."""
        if not self.may_add or not paths:
            return
        was_busy = self.busy
        if not was_busy:
            self.files = []
        self.files += [Dropped(path, day) for path in paths]
        self.changed()
        if not was_busy:
            self._send_next()

    def clear(self) -> None:
        """Put the list away; those on their way stay."""
        if not self.busy:
            self.files = []
            self.changed()

    def _send_next(self) -> None:
        at = next((at for at, one in enumerate(self.files) if not one.is_over), None)
        if at is not None:
            one = self.files[at]
            work = partial(operations.drop_bill, file=one.path, day=one.day)
            self._ask(work, partial(self._kept, at), partial(self._refused, at))

    def _kept(self, at: int, bill: BillFile) -> None:
        self._settle(at, replace(self.files[at], kept=bill))

    def _refused(self, at: int, error: Exception) -> None:
        self._settle(at, replace(self.files[at], error=error))

    def _settle(self, at: int, over: Dropped) -> None:
        self.files[at] = over
        self.changed()
        self._send_next()
