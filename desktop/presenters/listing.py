"""A list of any length, seen through a small window of pages. Behind every big table; no Qt.

The number of rows is known at once, rows arrive in pages of PAGE_ROWS when they are looked at, and at most
KEPT_PAGES pages stay in memory. A row that is not here yet is None, and asking for it orders its page and the next
one in the direction of travel. Rows never move under a person: changes mark the list stale, `reload` is asked for.

All methods are called in one thread, the window's. The source answers later, through `arrived` or `failed`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

PAGE_ROWS = 256
KEPT_PAGES = 64
NEAR_END_ROWS = 40


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a list: how a row's cell reads.

    `tone` gives a badge's tone for the row (then the cell is painted as a badge), or None for a plain cell.
    """

    key: str
    text: Callable[[T], str]
    numeric: bool = False
    code: bool = False  # read letter by letter: shown in the key face
    tone: Callable[[T], str] | None = None
    tip: Callable[[T], str] | None = None
    sample: str | tuple[str, str] = "0000000000"  # as wide as a usual cell, in zh and in en where they differ, or lines
    # of which the widest counts; columns are measured by it, never by all rows
    stretch: bool = False
    sorts: bool = False  # a press on its title sorts the list by it
    spare: bool = False  # left out where the table is too narrow for all; its row tells the same in a tip


class Source(Protocol):
    """Where pages come from. `order` may answer at once or later; the last page may be shorter."""

    def order(self, generation: int, page: int) -> None:
        """Fetch rows [page * PAGE_ROWS, ...) and give them to `Listing.arrived(generation, page, rows)`."""


class Listing(Generic[T]):
    """The rows of one table.

    Attributes:
        count: rows in the list, known before they are here.
        stale: how many changes arrived since the list was read; 0 when it is fresh.
        error: why the last page did not come, or None.
        near_end: called while one of the last NEAR_END_ROWS rows is looked at; for lists that grow.
    """

    def __init__(self, columns: Sequence[Column[T]]) -> None:
        self.columns = tuple(columns)
        self.count = 0
        self.stale = 0
        self.loading = False
        self.error: Exception | None = None
        self.generation = 0
        self.near_end: Callable[[], None] | None = None
        self._pages: OrderedDict[int, list[T]] = OrderedDict()
        self._cells: dict[int, list[tuple[str, ...]]] = {}
        self._ordered: set[int] = set()
        self._last_page = 0
        self._source: Source | None = None
        self._here: Sequence[T] = ()
        self._watchers: list[Callable[[int, int], None]] = []
        self._reset_watchers: list[Callable[[], None]] = []
        self._growth_watchers: list[Callable[[int], None]] = []

    def watch(
        self, *, rows: Callable[[int, int], None], reset: Callable[[], None], grown: Callable[[int], None]
    ) -> None:
        """Be told of rows first..last that arrived, of a new list, and of a list that now has so many rows."""
        self._watchers.append(rows)
        self._reset_watchers.append(reset)
        self._growth_watchers.append(grown)

    def show(self, source: Source, count: int) -> None:
        """Show another list of `count` rows. Pages still under way for the old one will be ignored."""
        self._show(source, count, here=())

    def _show(self, source: Source, count: int, *, here: Sequence[T]) -> None:
        self.generation += 1
        self._source, self.count, self._here = source, count, here
        self.stale, self.error, self.loading = 0, None, False
        self._forget_pages()
        for tell in self._reset_watchers:
            tell()

    def show_rows(self, rows: Sequence[T]) -> None:
        """Show rows that are all here: short lists."""
        self._show(_Ready(self, rows), len(rows), here=rows)

    def grow(self, count: int) -> None:
        """The list turned out to have more rows at its end; a last page that was cut short is read again."""
        assert count >= self.count
        if self.count % PAGE_ROWS:
            self._drop(self.count // PAGE_ROWS)
        self.count = count
        for tell in self._growth_watchers:
            tell(count)

    def item(self, index: int) -> T | None:
        """The row at `index` as data, or None while it is on its way."""
        page = self._pages.get(index // PAGE_ROWS)
        within = index % PAGE_ROWS
        if page is not None and within < len(page):
            return page[within]
        return None

    def find(self, wanted: Callable[[T], bool]) -> int:
        """The first row that is wanted, of a list whose rows are all here; -1 when it has none."""
        return next((at for at, row in enumerate(self._here) if wanted(row)), -1)

    def cells(self, index: int) -> tuple[str, ...] | None:
        """The row at `index` as text per column, or None while it is on its way. Orders its page."""
        number, within = divmod(index, PAGE_ROWS)
        if self.near_end is not None and index >= self.count - NEAR_END_ROWS:
            self.near_end()
        cells = self._cells.get(number)
        if cells is None:
            self._order(number)
            cells = self._cells.get(number)
        elif number != self._last_page:
            self._pages.move_to_end(number)
            self._last_page = number
        return cells[within] if cells is not None and within < len(cells) else None

    def longest(self, column: int, first: int, last: int) -> str:
        """The longest cell of a column in the pages of rows first..last, of those that are here. Orders nothing."""
        pages = range(first // PAGE_ROWS, last // PAGE_ROWS + 1)
        here = (cells for page, cells in self._cells.items() if page in pages)
        return max((row[column] for cells in here for row in cells), key=len, default="")

    def arrived(self, generation: int, page: int, rows: Sequence[T]) -> None:
        """A page is here. One of an older list is dropped."""
        if generation != self.generation:
            return
        self._ordered.discard(page)
        self.error = None
        self._pages[page] = list(rows)
        self._cells[page] = self._written(rows)
        self._pages.move_to_end(page)
        while len(self._pages) > KEPT_PAGES:
            oldest, _ = self._pages.popitem(last=False)
            del self._cells[oldest]
        first = page * PAGE_ROWS
        for tell in self._watchers:
            tell(first, min(first + PAGE_ROWS, self.count) - 1)

    def failed(self, generation: int, page: int, error: Exception) -> None:
        """A page did not come; it is ordered again when its rows are next looked at."""
        if generation == self.generation:
            self._ordered.discard(page)
            self.error = error

    def let_go(self, page: int) -> None:
        """Nobody fetches an ordered page after all: it is ordered again when its rows are next looked at."""
        self._ordered.discard(page)

    def replace(self, index: int, row: T) -> None:
        """One row is different now, and stays where it is."""
        number, within = divmod(index, PAGE_ROWS)
        page = self._pages.get(number)
        if page is not None and within < len(page):
            page[within] = row
            self._cells[number][within] = tuple([column.text(row) for column in self.columns])
            for tell in self._watchers:
                tell(index, index)

    def mark_stale(self, changes: int = 1) -> None:
        """Rows changed elsewhere. What is on screen stays until a person asks for the new list."""
        self.stale += changes

    def write_again(self) -> None:
        """The language changed: write all cells anew."""
        for page, rows in self._pages.items():
            self._cells[page] = self._written(rows)
        for tell in self._watchers:
            tell(0, max(self.count - 1, 0))

    def _written(self, rows: Sequence[T]) -> list[tuple[str, ...]]:
        return [tuple([column.text(row) for column in self.columns]) for row in rows]

    def _order(self, number: int) -> None:
        """Order a page that is looked at, and the one a person is travelling towards."""
        step = 1 if number >= self._last_page else -1
        self._last_page = number
        for page in (number, number + step):
            is_real = 0 <= page * PAGE_ROWS < self.count
            if is_real and page not in self._pages and page not in self._ordered and self._source is not None:
                self._ordered.add(page)
                self._source.order(self.generation, page)

    def _drop(self, page: int) -> None:
        self._pages.pop(page, None)
        self._cells.pop(page, None)
        self._ordered.discard(page)

    def _forget_pages(self) -> None:
        self._pages.clear()
        self._cells.clear()
        self._ordered.clear()
        self._last_page = 0


class _Ready(Generic[T]):
    """A source whose rows are all in memory."""

    def __init__(self, listing: Listing[T], rows: Sequence[T]) -> None:
        self._listing, self._rows = listing, rows

    def order(self, generation: int, page: int) -> None:
        """Answer at once."""
        self._listing.arrived(generation, page, self._rows[page * PAGE_ROWS : (page + 1) * PAGE_ROWS])
