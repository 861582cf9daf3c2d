"""What exceptions and refunds share: a list that people work through, one of it in front, and what may be done.

Rows never move under a person; the one in front is read again when something happens to it, unless the person is about
to act: then the server says that it changed, the reason is shown, and what is new is read.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.operations.seen import Seen
from desktop.presenters.acting import Act, Acting
from desktop.presenters.feed import Feed
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched


class Case(Protocol):
    """One of them: as it was when `version` was read."""

    @property
    def id(self) -> UUID: ...
    @property
    def version(self) -> int: ...


C = TypeVar("C", bound=Case)


class Cases(Watched, Generic[C]):
    """The state of such a screen.

    Attributes:
        feed: the list in front.
        waiting: those that may wait for this person, whatever list is in front: for the number at the place.
        opened: the one that is looked into, or None.
        is_finding: one that another screen knows is being read, to be looked into.
        acting: what may be done about it.
        error: why it could not be read.
    """

    def __init__(self, ask: Ask, columns: Sequence[Column[C]], *, may_see: bool) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.may_see = may_see
        self.feed: Feed[C] = Feed(ask, columns)
        self.waiting: Feed[C] = Feed(ask, ())
        self.opened: C | None = None
        self.is_finding = False
        self.acting: Acting[C] = Acting(ask, self._acted, self.read_again)
        self.error: Exception | None = None

    # --- what each kind says ---

    def read_one(self, case_id: UUID) -> Callable[[Engine], Coroutine[Any, Any, Seen[C]]]:
        """The operation that reads one."""
        raise NotImplementedError

    def acts_of(self, case: C) -> list[Act[C]]:
        """What this person may do about it."""
        raise NotImplementedError

    def waits(self, case: C) -> bool:
        """Whether it waits for this person."""
        raise NotImplementedError

    def count_waiting(self) -> None:
        """Read those that may wait."""
        raise NotImplementedError

    def show_list(self) -> None:
        """Read the list in front."""
        raise NotImplementedError

    # --- what both do ---

    @property
    def count(self) -> int:
        """How many of those that are here wait for this person."""
        return sum(self.waits(case) for case in self.waiting.rows)

    def look_into(self, case: C | None) -> None:
        """Look into one of the list; None closes it."""
        if case is not None and self.opened is not None and case.id == self.opened.id:
            if case.version >= self.opened.version:
                self._show(case)
            return
        self._latest.only(self._was_read)
        self.acting.leave()
        self.opened, self.is_finding, self.error = None, False, None
        if case is not None:
            self._show(case)
        self.changed()

    def find(self, case_id: UUID) -> None:
        """Look into one that another screen knows."""
        self.acting.leave()
        self.opened, self.is_finding, self.error = None, True, None
        self._read(case_id)
        self.changed()

    def read_again(self) -> None:
        """What is in front may be old."""
        if self.opened is not None:
            self._read(self.opened.id)

    def renew(self, *, is_own: bool) -> None:
        """Some of them changed, here or elsewhere."""
        if not self.may_see:
            return
        self.count_waiting()
        self.feed.renew(is_own=is_own)
        if self.acting.chosen is None:
            self.read_again()

    def refresh(self) -> None:
        """Read everything that is shown again."""
        self.count_waiting()
        self.feed.reload()
        self.read_again()

    def _read(self, case_id: UUID) -> None:
        then = self._latest.only(self._was_read)
        self._ask(self.read_one(case_id), then, self._latest.also(self._not_read))

    def _was_read(self, seen: Seen[C]) -> None:
        self.is_finding, self.error = False, None
        if seen.live or self.opened is None or seen.value.version > self.opened.version:
            self._show(seen.value)

    def _not_read(self, error: Exception) -> None:
        self.is_finding, self.error = False, error
        self.changed()

    def _acted(self, case: C) -> None:
        self._show(case)

    def _show(self, case: C) -> None:
        self.opened = case
        self.acting.offer(self.acts_of(case))
        self.changed()
