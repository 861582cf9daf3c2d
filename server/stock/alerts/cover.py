"""How much of a SKU is for sale and how fast it sells: from the counts on the cursors and one row a business day.

Nothing here counts units or deliveries. The pace is the difference between what was sold until now and what had been
sold at the end of the day a week ago, by the days between; `StockDay` remembers the latter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, bindparam, case, delete, func, insert, or_, select, update

from server.db import Tx, table_of
from server.stock.model import StockCursor, StockDay, StockLot
from shared.states import LotState

PACE_DAYS = 7
GAP_DAYS = 7
"""A day without a row (nothing ran) is bridged by an older one, up to so many days older."""

KEEP_DAYS = 100


@dataclass(frozen=True, slots=True)
class Supply:
    """The counts of a SKU over its lots. `stocked`: some of it has been for sale, so that it can have run out."""

    for_sale: int = 0
    free: int = 0
    held: int = 0
    sold: int = 0
    stocked: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing for sale, and nothing held that could come back."""
        return self.for_sale == 0 and self.held == 0


@dataclass(frozen=True, slots=True)
class Pace:
    """So many units were sold in so many business days, the current one included."""

    sold: int = 0
    days: int = 1

    @property
    def tenths(self) -> int:
        """Units a day, in tenths."""
        return self.sold * 10 // self.days

    def cover_tenths(self, for_sale: int) -> int | None:
        """For how many days, in tenths, so many units last; None when nothing sells."""
        return for_sale * 10 * self.days // self.sold if self.sold else None


def _supplies(now: datetime) -> Select[*tuple[Any, ...]]:
    """One row a SKU: its id and the fields of Supply."""
    not_ended = or_(StockCursor.sell_until.is_(None), StockCursor.sell_until > now)
    for_sale = case((StockCursor.selling.is_(True) & not_ended, StockCursor.free), else_=0)
    # An import that is not complete has counts already, but nobody could ever buy of it.
    was_offered = or_(
        StockCursor.selling.is_(True),
        StockLot.state != LotState.OPEN.value,
        StockCursor.held + StockCursor.sold + StockCursor.void > 0,
    )
    return (
        select(
            StockCursor.sku_id,
            func.sum(for_sale),
            func.sum(StockCursor.free),
            func.sum(StockCursor.held),
            func.sum(StockCursor.sold),
            func.max(case((was_offered, 1), else_=0).cast(Integer)),
        )
        .join(StockLot, StockLot.id == StockCursor.lot_id)
        .group_by(StockCursor.sku_id)
    )


def _read(tx: Tx, query: Select[*tuple[Any, ...]]) -> dict[UUID, Supply]:
    return {
        sku_id: Supply(int(for_sale), int(free), int(held), int(sold), bool(stocked))
        for sku_id, for_sale, free, held, sold, stocked in tx.execute(query)
    }


def supplies(tx: Tx, sku_ids: Collection[UUID], *, now: datetime) -> dict[UUID, Supply]:
    """The counts of these SKUs; those without a lot are missing."""
    return _read(tx, _supplies(now).where(StockCursor.sku_id.in_(list(sku_ids))))


def next_supplies(tx: Tx, *, after: UUID | None, limit: int, now: datetime) -> dict[UUID, Supply]:
    """A page of all SKUs that have a lot, by id."""
    query = _supplies(now).order_by(StockCursor.sku_id).limit(limit)
    return _read(tx, query if after is None else query.where(StockCursor.sku_id > after))


def expiring(tx: Tx, within_days: Mapping[UUID, int], *, now: datetime) -> dict[UUID, int]:
    """How many units of each SKU, free or held, stop selling within its number of days; those without are missing."""
    furthest = max(within_days.values(), default=0)
    query = select(StockCursor.sku_id, StockCursor.sell_until, StockCursor.free + StockCursor.held).where(
        StockCursor.sku_id.in_(list(within_days)),
        StockCursor.selling.is_(True),
        StockCursor.sell_until > now,
        StockCursor.sell_until <= now + timedelta(days=furthest),
        StockCursor.free + StockCursor.held > 0,
    )
    found: dict[UUID, int] = defaultdict(int)
    for sku_id, until, units in tx.execute(query):
        assert until is not None
        if until <= now + timedelta(days=within_days[sku_id]):
            found[sku_id] += units
    return dict(found)


# --- pace ---


def paces(tx: Tx, sold: Mapping[UUID, int], *, today: date) -> dict[UUID, Pace]:
    """How fast SKUs sell, by what each has sold until now, as of `today`; those without a past are missing."""
    week_ago = today - timedelta(days=PACE_DAYS)
    is_old = case((StockDay.day <= week_ago, StockDay.day))
    since = (
        select(StockDay.sku_id, func.coalesce(func.max(is_old), func.min(StockDay.day)).label("day"))
        .where(
            StockDay.sku_id.in_(list(sold)),
            StockDay.day >= week_ago - timedelta(days=GAP_DAYS),
            StockDay.day < today,
        )
        .group_by(StockDay.sku_id)
        .subquery()
    )
    query = select(StockDay.sku_id, StockDay.day, StockDay.sold).join(
        since, (since.c.sku_id == StockDay.sku_id) & (since.c.day == StockDay.day)
    )
    return {
        sku_id: Pace(sold=max(0, sold[sku_id] - before), days=(today - day).days)
        for sku_id, day, before in tx.execute(query)
    }


_DAY = table_of(StockDay)
_UPDATE_DAY = (
    update(_DAY)
    .where(_DAY.c.sku_id == bindparam("of_sku"), _DAY.c.day == bindparam("of_day"))
    .values(free=bindparam("to_free"), sold=bindparam("to_sold"))
)


def unwritten(tx: Tx, counts: Mapping[UUID, Supply], *, day: date) -> set[UUID]:
    """The SKUs whose row of the day is missing or is no longer true."""
    query = select(StockDay.sku_id, StockDay.free, StockDay.sold).where(
        StockDay.sku_id.in_(list(counts)), StockDay.day == day
    )
    true = {sku_id for sku_id, free, sold in tx.execute(query) if (free, sold) == _of_day(counts[sku_id])}
    return counts.keys() - true


def write_days(tx: Tx, counts: Mapping[UUID, Supply], *, day: date) -> None:
    """Write the SKUs' row of the day, over the one that is there."""
    have = set(tx.scalars(select(StockDay.sku_id).where(StockDay.sku_id.in_(list(counts)), StockDay.day == day)))
    new, old = [], []
    for sku_id, supply in counts.items():
        free, sold = _of_day(supply)
        if sku_id in have:
            old.append({"of_sku": sku_id, "of_day": day, "to_free": free, "to_sold": sold})
        else:
            new.append({"sku_id": sku_id, "day": day, "free": free, "sold": sold})
    if new:
        tx.execute(insert(_DAY), new)
    if old:
        tx.connection().execute(_UPDATE_DAY, old)


def forget_days(tx: Tx, *, today: date) -> None:
    """Delete the oldest rows."""
    tx.execute(delete(StockDay).where(StockDay.day < today - timedelta(days=KEEP_DAYS)))


def _of_day(supply: Supply) -> tuple[int, int]:
    return supply.free, supply.sold
