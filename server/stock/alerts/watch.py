"""The watch over the stock: raises an alert once when a figure crosses its rule, clears it when it is well back.

Every few seconds it looks at the SKUs that the change feed names since the last look, every few minutes at all of them,
a page at a time, because days pass and keys expire without a change. It reads counts of cursors and decides; only what
has to be written takes the database's writer. The same look moves products off the shelf and back, where they want it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from server import changes
from server.catalog import actions as catalog
from server.catalog import queries as goods
from server.catalog.queries import WatchedSku
from server.context import Context
from server.db import Database, Tx
from server.stock import alerts
from server.stock.alerts import cover
from server.stock.alerts.cover import Pace, Supply
from server.stock.model import StockAlert
from shared import clock
from shared.contracts.alerts import AlertRule
from shared.states import AlertKind

LOOK_SECONDS = 5.0
FULL_LOOK_SECONDS = 300.0
PAGE = 500
"""SKUs of one look, and so of one transaction."""

MOST_CHANGES = 5_000
"""More changes than this since the last look are looked at as a whole."""

KINDS = (AlertKind.SOLD_OUT, AlertKind.LOW_STOCK, AlertKind.LOW_COVER, AlertKind.EXPIRING)


def register(ctx: Context) -> None:
    """Wire the schedule; called once by `app`."""
    ctx.jobs.every("stock.watch", LOOK_SECONDS, Watch(ctx.db).look)


class Watch:
    """Looks when it is told to. It remembers in memory how far it has read the feed: another process, or this one after
    a start, begins with everything, and looking twice changes nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pos: int | None = None
        self._full_at: datetime | None = None

    def look(self) -> None:
        """Look at what changed, or at everything when that is due."""
        changes.advance(self._db)
        now = clock.now()
        with self._db.read() as tx:
            head, changed = self._changed(tx)
        if changed is None or self._full_at is None or now - self._full_at >= timedelta(seconds=FULL_LOOK_SECONDS):
            self._look_at_all(now)
            self._full_at = now
        else:
            for at in range(0, len(changed), PAGE):
                self._look_at(changed[at : at + PAGE], now)
        self._pos = head

    def _changed(self, tx: Tx) -> tuple[int, list[UUID] | None]:
        """Where the feed stands, and the SKUs it named since the last look; None when that cannot be said."""
        head = changes.head(tx)
        if self._pos is None or self._pos > head:
            return head, None
        named = changes.named(tx, {"sku", "product"}, after=self._pos, up_to=head, limit=MOST_CHANGES)
        if named is None:
            return head, None
        of_products = goods.watched_products(tx, named["product"])
        return head, sorted(named["sku"] | of_products.keys())

    def _look_at_all(self, now: datetime) -> None:
        today, after = clock.shop_day(now), None
        while True:
            with self._db.read() as tx:
                supplies = cover.next_supplies(tx, after=after, limit=PAGE, now=now)
                found = _assess(tx, supplies, now)
                found.days |= cover.unwritten(tx, supplies, day=today)
            self._settle(found, supplies, now)
            if len(supplies) < PAGE:
                break
            after = max(supplies)
        with self._db.tx() as tx:
            cover.forget_days(tx, today=today)

    def _look_at(self, sku_ids: Collection[UUID], now: datetime) -> None:
        with self._db.read() as tx:
            supplies = cover.supplies(tx, sku_ids, now=now)
            found = _assess(tx, supplies, now)
        self._settle(found, supplies, now)

    def _settle(self, found: _Findings, supplies: Mapping[UUID, Supply], now: datetime) -> None:
        if not found:
            return
        today = clock.shop_day(now)
        with self._db.tx() as tx:
            _write(tx, found)
            # What a SKU had sold before it was first seen is no pace: its past begins with what is true now.
            cover.write_days(tx, {x: supplies[x] for x in found.first_seen}, day=today - timedelta(days=1))
            cover.write_days(tx, {x: supplies[x] for x in found.days}, day=today)
            if found.products:
                _move_products(tx, found.products, now)


# --- what is found ---


class _Raise(NamedTuple):
    kind: AlertKind
    sku: WatchedSku
    figure: int


@dataclass(slots=True)
class _Findings:
    """What a look has to write; false when there is nothing."""

    raised: list[_Raise] = field(default_factory=list)
    grown: list[tuple[StockAlert, int]] = field(default_factory=list)
    ended: list[StockAlert] = field(default_factory=list)
    products: set[UUID] = field(default_factory=set)
    first_seen: set[UUID] = field(default_factory=set)
    days: set[UUID] = field(default_factory=set)

    def __bool__(self) -> bool:
        return any((self.raised, self.grown, self.ended, self.products, self.first_seen, self.days))


class _Reading(NamedTuple):
    """One figure against its rule: whether it is below the line, whether well above, and what it is."""

    is_low: bool
    is_well: bool
    figure: int


_NOT_WATCHED = _Reading(is_low=False, is_well=True, figure=0)


def _assess(tx: Tx, supplies: Mapping[UUID, Supply], now: datetime) -> _Findings:
    found = _Findings()
    skus = goods.watched_skus(tx, supplies)
    rules = alerts.rules(tx, supplies)
    standing = alerts.standing(tx, KINDS, supplies)
    paces = cover.paces(tx, {x: supply.sold for x, supply in supplies.items()}, today=clock.shop_day(now))
    expiring = cover.expiring(tx, {x: rule.expiring_days or 0 for x, rule in rules.items()}, now=now)
    for sku_id, supply in supplies.items():
        sku, pace = skus[sku_id], paces.get(sku_id, Pace())
        readings = _readings(sku, supply, pace, rules[sku_id], expiring.get(sku_id, 0))
        for kind, reading in readings.items():
            _compare(found, sku, kind, reading, standing.get((sku_id, kind)))
        if (sku.leaves_shelf and supply.is_empty and supply.stocked) or (sku.emptied and supply.for_sale):
            found.products.add(sku.product_id)
    found.first_seen = supplies.keys() - paces.keys()
    found.days |= found.first_seen
    return found


def _compare(
    found: _Findings, sku: WatchedSku, kind: AlertKind, reading: _Reading, standing: StockAlert | None
) -> None:
    if standing is None:
        if reading.is_low:
            found.raised.append(_Raise(kind, sku, reading.figure))
    elif reading.is_well:
        found.ended.append(standing)
    elif kind is AlertKind.EXPIRING and reading.figure > standing.figure:
        found.grown.append((standing, reading.figure))


def _readings(sku: WatchedSku, supply: Supply, pace: Pace, rule: AlertRule, expiring: int) -> dict[AlertKind, _Reading]:
    """Each figure of a SKU. What has sold out is not also low; what nobody can see in the shop is neither."""
    offered = sku.sold_here and supply.stocked
    return {
        AlertKind.SOLD_OUT: _Reading(offered and supply.is_empty, not offered or supply.for_sale > 0, 0),
        AlertKind.LOW_STOCK: (
            _against(supply.for_sale, rule.below, least=1) if offered and not supply.is_empty else _NOT_WATCHED
        ),
        AlertKind.LOW_COVER: (
            _against(pace.cover_tenths(supply.for_sale), rule.cover_days and rule.cover_days * 10, least=10)
            if offered and not supply.is_empty
            else _NOT_WATCHED
        ),
        AlertKind.EXPIRING: _Reading(expiring > 0, expiring == 0, expiring),
    }


def _against(figure: int | None, line: int | None, *, least: int) -> _Reading:
    """Low below the line; well from a fifth above it, or `least` above it where that is more. None: there is none."""
    if figure is None or line is None:
        return _NOT_WATCHED
    return _Reading(figure < line, figure >= line + max(least, -(-line // 5)), figure)


# --- what is written ---


def _write(tx: Tx, found: _Findings) -> None:
    for alert in found.ended:
        alerts.end(tx, alert)
    for one in found.raised:
        alert_id = alerts.insert(tx, one.kind, one.sku.id, one.sku.supplier_id, one.figure)
        if alert_id is not None:
            alerts.announce(tx, alert_id, one.kind, one.sku.supplier_id)
    for alert, figure in found.grown:
        alerts.grow(tx, alert, figure)


def _move_products(tx: Tx, product_ids: Collection[UUID], now: datetime) -> None:
    """Take products off the shelf that have sold out, and put back what has stock again. Counts are read anew here."""
    skus = goods.watched_products(tx, product_ids)
    supplies = cover.supplies(tx, skus, now=now)
    for product_id in sorted(product_ids):
        own = [supplies.get(sku.id, Supply()) for sku in skus.values() if sku.product_id == product_id]
        if any(supply.for_sale for supply in own):
            catalog.return_to_shelf(tx, product_id)
        elif all(supply.is_empty for supply in own):
            catalog.leave_shelf(tx, product_id)
