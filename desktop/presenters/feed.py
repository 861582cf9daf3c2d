"""A list that the server gives page after page: it grows when its end is looked at, and says whether there is more.

Used where the server counts nothing beforehand (orders, exceptions, units, products). Rows already here never move;
changes elsewhere mark the list stale and a person asks for the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

from desktop.engine.engine import Engine
from desktop.operations.seen import Seen
from desktop.presenters.listing import Column, Listing
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from shared.contracts.base import Page

T = TypeVar("T")

Fetch = Callable[[Engine, str | None], Coroutine[Any, Any, Seen[Page[T]]]]
"""Makes the operation that reads one page: engine and the `after` of the page before, None for the first."""


MOST_AGAIN = 10
"""Pages that are read again at once."""


async def _several(fetch: Fetch[T], pages: int, engine: Engine) -> Seen[Page[T]]:
    """The first pages of a list as one."""
    seen = await fetch(engine, None)
    rows, following = list(seen.value.items), seen.value.next
    while following is not None and (pages := pages - 1):
        page = (await fetch(engine, following)).value
        rows += page.items
        following = page.next if page.next != following else None
    return Seen(value=Page(items=rows, next=following), as_of=seen.as_of, live=seen.live)


class Feed(Watched, Generic[T]):
    """One keyset list.

    Attributes:
        listing: what the table shows.
        rows: everything that is here, in order.
        as_of: when the first page was read; None before.
        live: whether the server answered, or this is what was seen last.
        loading: whether a page is on its way.
        more: whether the server has more rows.
        error: why the last page did not come.
    """

    def __init__(self, ask: Ask, columns: Sequence[Column[T]]) -> None:
        super().__init__()
        self.listing: Listing[T] = Listing(columns)
        self.listing.near_end = self._wanted
        self.rows: list[T] = []
        self.as_of: datetime | None = None
        self.live = True
        self.loading = False
        self.more = False
        self.error: Exception | None = None
        self._ask = ask
        self._fetch: Fetch[T] | None = None
        self._next: str | None = None
        self._pages = 1
        self._latest = Latest()
        self._is_echo_due = False
        self._echo = Latest()

    @property
    def size(self) -> int:
        """How many rows are here."""
        return len(self.rows)

    @property
    def is_empty(self) -> bool:
        """Whether the list was read and has no rows."""
        return self.as_of is not None and not self.rows and not self.loading

    def show(self, fetch: Fetch[T]) -> None:
        """Show the list that `fetch` reads, from its start. What is shown stays until the first page is here."""
        self._fetch = fetch
        self._read(pages=1)

    def reload(self) -> None:
        """Read the list again as far as it is here, so that nobody loses their place; at most MOST_AGAIN pages."""
        self._read(pages=min(self._pages, MOST_AGAIN))

    def read_on(self) -> None:
        """Read the next page, if there is one."""
        self._wanted()

    def retry(self) -> None:
        """Try what did not come once more."""
        self.reload()

    def _read(self, *, pages: int) -> None:
        fetch = self._fetch
        if fetch is None:
            return
        self.loading, self.error = True, None
        self._echo.only(self._failed)  # what is read now is newer
        then = self._latest.only(partial(self._from_start, pages))
        work = partial(_several, fetch, pages) if pages > 1 else lambda engine: fetch(engine, None)
        self._ask(work, then, self._latest.also(self._failed))
        self.changed()

    def clear(self) -> None:
        """Show nothing; answers under way are dropped."""
        self._latest.only(self._failed)
        self._echo.only(self._failed)
        self._fetch, self._next = None, None
        self.rows, self.as_of, self.loading, self.more, self.error = [], None, False, False, None
        self.listing.show_rows(self.rows)
        self.changed()

    def renew(self, *, is_own: bool) -> None:
        """Rows changed. What this console did itself is shown at once; others' changes wait until a person asks.

        The server tells of our own changes, too: the first news after one counts only if there is anything new in it.
        """
        if self.as_of is None:
            return
        if is_own:
            self._is_echo_due = True
            self.reload()
        elif self._is_echo_due and self._fetch is not None and self._pages <= MOST_AGAIN:
            self._is_echo_due = False
            work = partial(_several, self._fetch, self._pages)
            then = self._echo.only(partial(self._compare, self._pages))
            self._ask(work, then, self._echo.also(lambda _error: self._is_stale()))
        else:
            self._is_stale()

    def _compare(self, pages: int, seen: Seen[Page[T]]) -> None:
        now, is_whole = list(seen.value.items), pages == self._pages  # else it was read on meanwhile
        is_same = now == (self.rows if is_whole else self.rows[: len(now)])
        is_longer = is_whole and seen.value.next is not None and not self.more
        if is_longer or not (is_same and seen.live):
            self._is_stale()

    def _is_stale(self) -> None:
        self.listing.mark_stale()
        self.changed()

    def _wanted(self) -> None:
        """The end of what is here is being looked at."""
        fetch, after = self._fetch, self._next
        if fetch is None or after is None or self.loading or self.error is not None:
            return
        self.loading = True
        then = self._latest.only(self._next_page)
        self._ask(lambda engine: fetch(engine, after), then, self._latest.also(self._failed))

    def _from_start(self, pages: int, seen: Seen[Page[T]]) -> None:
        self.rows, self._pages = list(seen.value.items), pages
        self.as_of, self.live = seen.as_of, seen.live
        self._settle(seen.value.next)
        self.listing.show_rows(self.rows)
        self.changed()

    def _next_page(self, seen: Seen[Page[T]]) -> None:
        self.rows.extend(seen.value.items)
        self._pages += 1
        # A page that points at itself would be read for ever.
        self._settle(seen.value.next if seen.value.next != self._next else None)
        self.listing.grow(len(self.rows))
        self.changed()

    def _settle(self, following: str | None) -> None:
        self.loading, self._next, self.more = False, following, following is not None

    def _failed(self, error: Exception) -> None:
        self.loading, self.error = False, error
        self.changed()
