"""The Stock screen: counts per SKU that add up, and below the picked SKU its lots and its cards by number."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from desktop.operations import stock
from desktop.presenters import formats
from desktop.presenters.feed import Feed
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask
from desktop.presenters.watching import Watched
from desktop.presenters.words import tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.stock import Lot, SkuStock, Unit
from shared.permissions import Permission
from shared.states import UnitState

_FIGURE = "1,234,567"

COLUMNS = (
    Column[SkuStock]("name", lambda s: s.name, stretch=True, sample="十二个汉字的规格名称大约这么宽"),
    Column[SkuStock]("sku", lambda s: s.sku, code=True, sample="STEAM-W-100"),
    Column[SkuStock]("product", lambda s: s.product, sample="Steam 钱包充值卡"),
    Column[SkuStock]("imported", lambda s: formats.count(s.imported), numeric=True, sample=_FIGURE),
    Column[SkuStock]("free", lambda s: formats.count(s.free), numeric=True, sample=_FIGURE),
    Column[SkuStock]("held", lambda s: formats.count(s.held), numeric=True, sample="12,345"),
    Column[SkuStock]("sold", lambda s: formats.count(s.sold), numeric=True, sample=_FIGURE),
    Column[SkuStock]("void", lambda s: formats.count(s.void), numeric=True, sample="12,345"),
)

LOT_COLUMNS = (
    Column[Lot]("file", lambda lot: lot.file_name, stretch=True, sample="2026-03-first-delivery.xlsx"),
    Column[Lot](
        "created",
        lambda lot: formats.short_moment(lot.created_at, today=shop_day(now())),
        sample="2026-03-02 10:00",
        tip=lambda lot: formats.moment(lot.created_at),
    ),
    Column[Lot]("imported", lambda lot: formats.count(lot.imported), numeric=True, sample=_FIGURE),
    Column[Lot]("free", lambda lot: formats.count(lot.free), numeric=True, sample=_FIGURE),
    Column[Lot]("held", lambda lot: formats.count(lot.held), numeric=True, sample="12,345"),
    Column[Lot]("sold", lambda lot: formats.count(lot.sold), numeric=True, sample=_FIGURE),
    Column[Lot]("void", lambda lot: formats.count(lot.void), numeric=True, sample="12,345"),
    Column[Lot]("state", lambda lot: word(lot.state), tone=lambda lot: tone(lot.state), sample="Withdrawn 00"),
)


def unit_columns(lots: dict[UUID, str]) -> tuple[Column[Unit], ...]:
    """The columns of the cards; `lots` maps lot ids to file names and may fill later."""
    return (
        Column[Unit]("seq", lambda unit: formats.count(unit.seq), numeric=True, sample="12,345,678"),
        Column[Unit]("key", lambda _unit: formats.MASK * 12, code=True, sample=formats.MASK * 14),
        Column[Unit]("lot", lambda unit: lots.get(unit.lot_id, str(unit.lot_id)[:8]), stretch=True),
        Column[Unit]("state", lambda unit: word(unit.state), tone=lambda unit: tone(unit.state), sample="Withdrawn 00"),
    )


@dataclass(frozen=True, slots=True)
class Sum:
    """The counts of one SKU: imported = free + held + sold + void."""

    imported: int
    free: int
    held: int
    sold: int
    void: int

    @property
    def adds_up(self) -> bool:
        """Whether no card is missing and none is counted twice."""
        return self.imported == self.free + self.held + self.sold + self.void


class Stock(Watched):
    """The screen's state.

    Attributes:
        feed: counts per SKU.
        lots, units: of the picked SKU; units are read when they are first looked at.
        picked: the SKU that is looked into, or None.
        unit_state: which cards are listed; None for all.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self.feed: Feed[SkuStock] = Feed(ask, COLUMNS)
        self.lots: Feed[Lot] = Feed(ask, LOT_COLUMNS)
        self._lot_names: dict[UUID, str] = {}
        self.units: Feed[Unit] = Feed(ask, unit_columns(self._lot_names))
        self.picked: SkuStock | None = None
        self.unit_state: UnitState | None = None
        self.query = ""
        self.may_see_units = Permission.STOCK_UNIT_READ in frozenset(person.permissions)
        self.may_import = Permission.STOCK_IMPORT_CREATE in frozenset(person.permissions)
        self._units_wanted = False
        self.lots.watch(self._name_lots)
        self.feed.watch(self._follow_picked)

    def open(self) -> None:
        """Read the counts."""
        self.search(self.query)

    def search(self, query: str) -> None:
        """Show the SKUs that match `query`; all when it is empty."""
        self.query = query.strip()
        wanted = self.query or None
        self.feed.show(lambda engine, after: stock.list_stock(engine, q=wanted, after=after))

    def pick(self, row: int) -> None:
        """Look into the SKU at `row`; -1 closes."""
        chosen = self.feed.rows[row] if 0 <= row < len(self.feed.rows) else None
        if chosen is not None and self.picked is not None and chosen.sku == self.picked.sku:
            self.picked = chosen
            return
        self.picked = chosen
        self._units_wanted = False
        self.units.clear()
        if chosen is None:
            self.lots.clear()
        else:
            sku = chosen.sku
            self.lots.show(lambda engine, _after: stock.list_lots(engine, sku))
        self.changed()

    def look_at_units(self, state: UnitState | None) -> None:
        """List the cards of the picked SKU."""
        self.unit_state = state
        self._units_wanted = True
        if self.picked is not None and self.may_see_units:
            sku = self.picked.sku
            self.units.show(lambda engine, after: stock.list_units(engine, sku, state=state, after=after))
        self.changed()

    @property
    def sum(self) -> Sum | None:
        """The counts of the picked SKU."""
        one = self.picked
        return None if one is None else Sum(one.imported, one.free, one.held, one.sold, one.void)

    def refresh(self) -> None:
        """Read everything that is shown again."""
        self.feed.reload()
        if self.picked is not None:
            self.lots.reload()
            if self._units_wanted:
                self.units.reload()

    def _follow_picked(self) -> None:
        """New counts came: the picked SKU's figures follow."""
        if self.picked is None:
            return
        for row in self.feed.rows:
            if row.sku == self.picked.sku and row != self.picked:
                self.picked = row
                self.changed()

    def _name_lots(self) -> None:
        names = {lot.id: lot.file_name for lot in self.lots.rows}
        if names != self._lot_names:
            self._lot_names.clear()
            self._lot_names.update(names)
            self.units.listing.write_again()
