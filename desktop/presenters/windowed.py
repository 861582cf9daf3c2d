"""A list of known length that the server answers from any place: rows come in pages, where a person looks.

Few pages are under way at once, and of those that wait only the newest few are kept: dragging the scroll bar over
millions of rows asks for where it stops, not for everything on the way. A fault stops the asking until `retry`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from desktop.engine.engine import Engine
from desktop.presenters.listing import PAGE_ROWS, Column, Listing
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from shared import clock

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MOST_UNDER_WAY = 3
MOST_WAITING = 6


class Window(Protocol[T_co]):
    """Rows `position`... of a list of `total`."""

    @property
    def items(self) -> Sequence[T_co]: ...
    @property
    def position(self) -> int: ...
    @property
    def total(self) -> int: ...


Fetch = Callable[[Engine, int, int], Coroutine[Any, Any, Window[T]]]
"""Makes the operation that reads rows: engine, position, limit."""


class Windowed(Watched, Generic[T]):
    """One such list.

    Attributes:
        listing: what the table shows.
        as_of: when it was counted; None before.
        loading: whether it is being counted.
        error: why it, or the last page, did not come.
        kept: whether the list before this one was the same question: then a person's place in it still means something.
    """

    def __init__(self, ask: Ask, columns: Sequence[Column[T]]) -> None:
        super().__init__()
        self.listing: Listing[T] = Listing(columns)
        self.as_of: datetime | None = None
        self.loading = False
        self.error: Exception | None = None
        self.kept = False
        self._ask = ask
        self._fetch: Fetch[T] | None = None
        self._latest = Latest()
        self._waiting: list[int] = []
        self._missed: list[int] = []
        self._under_way = 0

    @property
    def size(self) -> int:
        """How many rows the list has."""
        return self.listing.count

    @property
    def live(self) -> bool:
        """Always: rows of such a list are not remembered."""
        return True

    @property
    def more(self) -> bool:
        """Never: every row can be gone to."""
        return False

    @property
    def is_empty(self) -> bool:
        """Whether the list was counted and has no rows."""
        return self.as_of is not None and self.listing.count == 0 and not self.loading

    def show(self, fetch: Fetch[T]) -> None:
        """Show the list that `fetch` reads. What is shown stays until this one is counted."""
        self._fetch = fetch
        self._count(keep=False)

    def reload(self) -> None:
        """Count the same list anew and read again what is looked at."""
        self._count(keep=True)

    def clear(self) -> None:
        """Show nothing; answers under way are dropped."""
        self._latest.only(self._failed)
        self._fetch = None
        self.as_of, self.loading, self.error = None, False, None
        self._waiting, self._missed = [], []
        self.listing.show_rows([])
        self.changed()

    def retry(self) -> None:
        """Try what did not come once more."""
        if self.as_of is None or not self._missed:
            self.reload()
            return
        missed, self._missed, self.error = self._missed, [], None
        for page in missed:
            self._want(page)
        self.changed()

    def renew(self, *, is_own: bool) -> None:
        """Rows changed. What this console did itself is shown at once; others' changes wait until a person asks."""
        if self.as_of is None:
            return
        if is_own:
            self.reload()
        else:
            self.listing.mark_stale()
            self.changed()

    def order(self, generation: int, page: int) -> None:
        """The listing wants a page: see `listing.Source`."""
        if generation != self.listing.generation:
            return
        if self.error is not None:
            self._miss([page])
        else:
            self._want(page)

    def _count(self, *, keep: bool) -> None:
        fetch = self._fetch
        if fetch is None:
            return
        self.loading, self.error = True, None
        then = self._latest.only(partial(self._counted, keep=keep))
        self._ask(lambda engine: fetch(engine, 0, PAGE_ROWS), then, self._latest.also(self._failed))
        self.changed()

    def _counted(self, window: Window[T], *, keep: bool) -> None:
        self.loading, self.kept, self.as_of = False, keep, clock.now()
        self._waiting, self._missed = [], []
        self.listing.show(self, window.total)
        self.listing.arrived(self.listing.generation, 0, window.items)
        self.changed()

    def _want(self, page: int) -> None:
        self._waiting = self._newest([*self._waiting, page])
        self._send()

    def _miss(self, pages: list[int]) -> None:
        self._missed = self._newest([*self._missed, *pages])

    def _newest(self, pages: list[int]) -> list[int]:
        for dropped in pages[:-MOST_WAITING]:
            self.listing.let_go(dropped)
        return pages[-MOST_WAITING:]

    def _send(self) -> None:
        fetch, generation = self._fetch, self.listing.generation
        while fetch is not None and self._waiting and self._under_way < MOST_UNDER_WAY:
            self._under_way += 1
            self._read(fetch, generation, self._waiting.pop(0))

    def _read(self, fetch: Fetch[T], generation: int, page: int) -> None:
        self._ask(
            lambda engine: fetch(engine, page * PAGE_ROWS, PAGE_ROWS),
            lambda window: self._arrived(generation, page, window),
            lambda error: self._lost(generation, page, error),
        )

    def _arrived(self, generation: int, page: int, window: Window[T]) -> None:
        self._under_way -= 1
        if generation == self.listing.generation:
            self.listing.arrived(generation, page, window.items)
            if window.total != self.listing.count and not self.listing.stale:
                self.listing.mark_stale()
                self.changed()
        self._send()

    def _lost(self, generation: int, page: int, error: Exception) -> None:
        self._under_way -= 1
        if generation == self.listing.generation:
            waiting, self._waiting = self._waiting, []
            self._miss([page, *waiting])
            self.error = error
            self.changed()
        else:
            self._send()

    def _failed(self, error: Exception) -> None:
        self.loading, self.error = False, error
        self.changed()
