"""The units of one SKU, however many millions: filtered and sorted by the server, seen through a small window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from desktop.operations import stock
from desktop.operations.stock import UnitQuery
from desktop.presenters.deeds import MOST_VOIDED, Deeds
from desktop.presenters.feed import Feed
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.stock_columns import UNIT_COLUMNS
from desktop.presenters.watching import Watched
from desktop.presenters.windowed import Windowed
from shared.contracts.stock import Unit, UnitHistory, UnitOrder
from shared.errors import BadInput
from shared.states import UnitState

ORDERS: dict[str, tuple[UnitOrder, UnitOrder]] = {
    "seq": (UnitOrder.NUMBER, UnitOrder.NUMBER_DOWN),
    "expiry": (UnitOrder.EXPIRY, UnitOrder.EXPIRY_DOWN),
}
"""Columns that sort: up, down."""


SHORTEST_TAIL, LONGEST_TAIL = 2, 4
"""Characters of a card's end that may be searched for: no more of it is stored, or may be in an address."""


class TooManyToVoid(BadInput):
    """More units were picked than one deed may void."""

    code = "unit.too_many_to_void"
    zh = "选中了 {picked:,} 张，一次最多作废 {most:,} 张。要处理整批，请撤回批次。"
    en = "{picked:,} are selected; at most {most:,} can be voided at once. For a whole lot, withdraw it."


class Units(Watched):
    """The browser's state.

    Attributes:
        rows: the list.
        tail: the end of a card that is searched for; empty when it is not.
        found: the units of the list whose card ends so.
        query: what both show, or None while no SKU is looked into.
        gathering: the picked units are being read, to tell what voiding them would do.
        history: what happened to the unit that is looked into, or None.
        error: why something did not come.
    """

    def __init__(self, ask: Ask, deeds: Deeds) -> None:
        super().__init__()
        self._ask = ask
        self._deeds = deeds
        self._latest = Latest()
        self.rows: Windowed[Unit] = Windowed(ask, UNIT_COLUMNS)
        self.tail = ""
        self.found: Feed[Unit] = Feed(ask, UNIT_COLUMNS)
        self.query: UnitQuery | None = None
        self.gathering = False
        self.history: UnitHistory | None = None
        self._latest_history = Latest()
        self.error: Exception | None = None

    @property
    def may_void(self) -> bool:
        """Whether picked units may be void."""
        return self._deeds.may_edit and not self._deeds.busy and not self.gathering

    def close(self) -> None:
        """No SKU is looked into."""
        self.query, self.error, self.gathering = None, None, False
        self._latest.only(self._failed)
        self.look_into(None)
        self.tail = ""
        self.found.clear()
        self.rows.clear()

    def show(self, query: UnitQuery) -> None:
        """List the units that match."""
        if query == self.query:
            return
        self.query, self.error = query, None
        self.rows.show(lambda engine, position, limit: stock.unit_window(engine, query, position=position, limit=limit))
        self._search_again()
        self.changed()

    def search(self, text: str) -> None:
        """Show the units whose card ends so; all of the list when the text is too short to tell them apart."""
        end = text.strip()[-LONGEST_TAIL:]
        tail = end if len(end) >= SHORTEST_TAIL else ""
        if tail != self.tail:
            self.tail = tail
            self._search_again()
            self.changed()

    def _search_again(self) -> None:
        query, tail = self.query, self.tail
        self.found.clear()
        if query is not None and tail:
            self.found.show(lambda engine, after: stock.search_units(engine, query, tail, after=after))

    def filter(self, *, state: UnitState | None, lot: UUID | None) -> None:
        """Only units of this state and lot; None for all."""
        if self.query is not None:
            self.show(replace(self.query, state=state, lot=lot))

    def sort(self, column: str) -> None:
        """Sort by a column of `ORDERS`; by the same one again turns it round."""
        if self.query is not None and column in ORDERS:
            up, down = ORDERS[column]
            self.show(replace(self.query, order=down if self.query.order is up else up))

    def propose_void(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Propose to void the units in these rows, as they are on the server now."""
        query = self.query
        picked = sum(last - first + 1 for first, last in ranges)
        if query is None or not picked or not self.may_void:
            return
        if picked > MOST_VOIDED:
            self._failed(TooManyToVoid(picked=picked, most=MOST_VOIDED))
            return
        if self.tail:
            units = [unit for first, last in ranges for unit in self.found.rows[first : last + 1]]
            self._deeds.propose_void(query.sku, units)
            return
        self.gathering, self.error = True, None
        then = self._latest.only(partial(self._gathered, query.sku))
        self._ask(lambda engine: stock.units_at(engine, query, ranges), then, self._latest.also(self._failed))
        self.changed()

    def unit_at(self, row: int) -> Unit | None:
        """The unit in a row that is here."""
        listing = self.found.listing if self.tail else self.rows.listing
        return listing.item(row) if row >= 0 else None

    def look_into(self, unit: Unit | None) -> None:
        """Read what happened to a unit; None closes."""
        then = self._latest_history.only(self._history_read)
        if unit is None or self.query is None:
            self._history_read(None)
            return
        sku, seq = self.query.sku, unit.seq
        self._ask(lambda engine: stock.history_of(engine, sku, seq), then, self._latest_history.also(self._failed))

    def _history_read(self, history: UnitHistory | None) -> None:
        if history != self.history:
            self.history = history
            self.changed()

    def _gathered(self, sku: str, units: list[Unit]) -> None:
        self.gathering = False
        self.changed()
        self._deeds.propose_void(sku, units)

    def _failed(self, error: Exception) -> None:
        self.gathering, self.error = False, error
        self.changed()
