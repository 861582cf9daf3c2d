"""The Stock screen: counts per SKU that add up; of the picked SKU its lots and its units, and what is done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from desktop.operations import stock
from desktop.operations.stock import UnitQuery
from desktop.presenters.deeds import DeedKind, Deeds, Done
from desktop.presenters.feed import Feed
from desktop.presenters.finding import Finding
from desktop.presenters.ports import Ask
from desktop.presenters.revealing import Revealing
from desktop.presenters.stock_columns import LOT_COLUMNS, columns
from desktop.presenters.units import Units
from desktop.presenters.watching import Watched
from shared.contracts.identity import Person
from shared.contracts.stock import Lot, SkuStock
from shared.permissions import Permission
from shared.states import UnitState

_KEY_LENGTH = 10
"""A pasted word with digits that is no shorter may be a key."""

__all__ = ["DeedKind", "Done", "Stock", "Sum"]


@dataclass(frozen=True, slots=True)
class Sum:
    """The counts of one SKU: imported = free + held + sold + void. `for_sale` of the free ones can be bought."""

    imported: int
    free: int
    held: int
    sold: int
    void: int
    for_sale: int

    @property
    def adds_up(self) -> bool:
        """Whether no card is missing and none is counted twice."""
        return self.imported == self.free + self.held + self.sold + self.void


class Stock(Watched):
    """The screen's state.

    Attributes:
        feed: counts per SKU.
        picked: the SKU that is looked into, or None.
        lots: of the picked SKU; `lot` is the one a person is on.
        units: of the picked SKU; read when they are first looked at.
        deeds: what is proposed to be done.
        finding: the search for pasted keys.
        revealing: the one clear key that may be on screen.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        may = frozenset(person.permissions)
        self.may_see_units = Permission.STOCK_UNIT_READ in may
        self.may_import = Permission.STOCK_IMPORT_CREATE in may
        self.may_set_alerts = Permission.STOCK_ALERT_EDIT in may
        self._alerts: dict[str, int] = {}
        self.tells_supplier = person.supplier_id is None
        self.feed: Feed[SkuStock] = Feed(ask, columns(self._alerts, supplier=self.tells_supplier))
        self.picked: SkuStock | None = None
        self.lots: Feed[Lot] = Feed(ask, LOT_COLUMNS)
        self.lot: Lot | None = None
        self.deeds = Deeds(ask, person)
        self.units = Units(ask, self.deeds)
        self.finding = Finding(ask, person)
        self.revealing = Revealing(ask, person)
        self.query = ""
        self._wanted = ""
        self.lots.watch(self._follow_lots)
        self.feed.watch(self._follow_picked)

    def open(self) -> None:
        """Read the counts."""
        self.search(self.query)

    def search(self, query: str) -> None:
        """Show the SKUs that match `query`; all when it is empty."""
        self.query = query.strip()
        wanted = self.query or None
        self.feed.show(lambda engine, after: stock.list_stock(engine, q=wanted, after=after))

    def looks_like_key(self, text: str) -> bool:
        """Whether pasted text may be a card key: such a thing must not become a filter, which travels in an address."""
        wanted = text.strip().casefold()
        is_one = len(wanted) >= _KEY_LENGTH and not any(character.isspace() for character in wanted)
        if not (is_one and wanted.isascii() and any(character.isdigit() for character in wanted)):
            return False
        return not any(wanted in f"{row.sku} {row.name} {row.product}".casefold() for row in self.feed.rows)

    def show_alerts(self, standing: Mapping[str, int]) -> None:
        """So many alerts stand for each SKU."""
        if standing != self._alerts:
            self._alerts.clear()
            self._alerts.update(standing)
            self.feed.listing.write_again()

    def look_for_sku(self, sku: str) -> None:
        """Show this SKU, and look into it as soon as it is here."""
        self._wanted = sku
        self.search(sku)

    def pick(self, row: int) -> None:
        """Look into the SKU at `row`; -1 closes."""
        chosen = self.feed.rows[row] if 0 <= row < len(self.feed.rows) else None
        if chosen is not None and self.picked is not None and chosen.sku == self.picked.sku:
            if chosen != self.picked:
                self.picked = chosen
                self.changed()
            return
        self.picked, self.lot = chosen, None
        self.deeds.drop()
        self.units.close()
        if chosen is None:
            self.lots.clear()
        else:
            sku = chosen.sku
            self.lots.show(lambda engine, after: stock.list_lots(engine, sku, after=after))
        self.changed()

    def pick_lot(self, row: int) -> None:
        """A person is on a lot."""
        if 0 <= row < len(self.lots.rows) and self.lots.rows[row] != self.lot:
            self.lot = self.lots.rows[row]
            self.changed()

    def look_at_units(self, state: UnitState | None = None, lot: UUID | None = None) -> None:
        """List the units of the picked SKU."""
        if self.picked is None or not self.may_see_units:
            return
        query = self.units.query
        if query is None or query.sku != self.picked.sku:
            self.units.show(UnitQuery(self.picked.sku, state=state, lot=lot))
        else:
            self.units.filter(state=state, lot=lot)
        self.changed()

    @property
    def sum(self) -> Sum | None:
        """The counts of the picked SKU."""
        one = self.picked
        return None if one is None else Sum(one.imported, one.free, one.held, one.sold, one.void, one.for_sale)

    @property
    def is_at_work(self) -> bool:
        """Whether the server does something to a lot that is shown: its progress is worth reading again."""
        return any(lot.working is not None for lot in self.lots.rows)

    def refresh(self) -> None:
        """Read everything that is shown again."""
        self.feed.reload()
        if self.picked is not None:
            self.lots.reload()
            if self.units.query is not None:
                self.units.rows.reload()
                self.units.found.reload()

    def follow_work(self) -> None:
        """Read again how far the server is."""
        if self.is_at_work and not self.lots.loading and self.lots.live:
            self.lots.reload()

    def may(self, kind: DeedKind) -> bool:
        """Whether something may be proposed for the lot a person is on."""
        return self.deeds.may(kind, self.lot)

    def propose(self, kind: DeedKind) -> None:
        """Propose it."""
        if self.lot is not None:
            self.deeds.propose(kind, self.lot)

    def _follow_picked(self) -> None:
        """New counts came: the picked SKU's figures follow."""
        if self._wanted and not self.feed.loading:
            wanted, self._wanted = self._wanted, ""
            self.pick(next((at for at, row in enumerate(self.feed.rows) if row.sku == wanted), -1))
        if self.picked is None:
            return
        for row in self.feed.rows:
            if row.sku == self.picked.sku and row != self.picked:
                self.picked = row
                self.changed()

    def _follow_lots(self) -> None:
        if self.lot is not None and not self.lots.loading:
            standing = self.lot.id
            self.lot = next((lot for lot in self.lots.rows if lot.id == standing), None)
        self.changed()
