"""A list, the one of it that is in front, and what may be done: for lists whose rows say all there is to know."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Generic, TypeVar

from desktop.presenters.acting import Act, Acting
from desktop.presenters.feed import Feed
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask
from desktop.presenters.watching import Watched

T = TypeVar("T")


class Picked(Watched, Generic[T]):
    """The state of such a list.

    Attributes:
        feed: the list.
        chosen: the one in front, or None.
        acting: what may be done, to it or anew.
    """

    def __init__(self, ask: Ask, columns: Sequence[Column[T]]) -> None:
        super().__init__()
        self._ask = ask
        self.feed: Feed[T] = Feed(ask, columns)
        self.chosen: T | None = None
        self.acting: Acting[Any] = Acting(ask, self.acted, self.feed.reload)
        self.feed.watch(self._look)

    # --- what each kind says ---

    def key(self, one: T) -> Hashable:
        """What a row is known by when the list is read again."""
        raise NotImplementedError

    def show_list(self) -> None:
        """Read the list."""
        raise NotImplementedError

    def acts(self) -> list[Act[Any]]:
        """What may be done now."""
        raise NotImplementedError

    def acted(self, _done: Any) -> None:
        """Something was done."""
        self.feed.reload()

    # --- what all do ---

    def choose(self, one: T | None) -> None:
        """Look at one."""
        self.chosen = one
        self.acting.offer(self.acts())
        self.changed()

    def renew(self, *, is_own: bool) -> None:
        """Something changed, here or elsewhere."""
        self.feed.renew(is_own=is_own)

    def _look(self) -> None:
        """Stay with the one in front as it is now; one that is gone from the list is in front no more."""
        if self.feed.loading or self.feed.as_of is None:
            return
        at = self.key(self.chosen) if self.chosen is not None else None
        now = next((one for one in self.feed.rows if self.key(one) == at), None)
        if now != self.chosen or not self.acting.acts:
            self.choose(now)
