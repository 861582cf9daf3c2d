"""Which lots of a SKU a claim may find something in, and what of it: the way to the next lot, past all that are sold.

A lot is on the shelf while it is open and has a free unit, or a held one, which may come back. Once neither is left it
leaves, and comes back only with a sold unit that is taken back. So the shelf is written when a lot comes, goes, or
changes its place, never by an ordinary sale. It is read without a lock: what a lot really has, its cursor says once it
is locked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, exists, func, insert, or_, select

from server.db import Tx, table_of
from server.stock.model import StockCursor, StockShelf
from server.stock.ranking import first_rank
from shared import clock

Place = tuple[UUID, int, UUID]
"""A SKU, a rank in it, and the lot there."""

_SHELF, _CURSOR = table_of(StockShelf), table_of(StockCursor)


def place_of(cursor: StockCursor) -> Place:
    """Where this lot is on the shelf, if it is there."""
    return cursor.sku_id, cursor.rank, cursor.lot_id


def take_off(tx: Tx, places: Iterable[Place]) -> None:
    """Take lots off, if they are there. Caller holds their cursors."""
    if rows := [{"sku": sku_id, "place": rank, "lot": lot_id} for sku_id, rank, lot_id in places]:
        tx.connection().execute(_TAKE_OFF, rows)


def put_on(tx: Tx, lot_ids: Sequence[UUID]) -> None:
    """Put those of these lots on that belong there and are not. Caller holds their cursors, as flushed."""
    names = ["sku_id", "rank", "lot_id"]
    there = exists().where(*[_SHELF.c[name] == _CURSOR.c[name] for name in names])
    belong = (_CURSOR.c.lot_id.in_(lot_ids), _CURSOR.c.selling.is_(True), _CURSOR.c.free + _CURSOR.c.held > 0)
    rows = select(*[_CURSOR.c[name] for name in names]).where(*belong, ~there)
    tx.execute(insert(_SHELF).from_select(names, rows))


_TAKE_OFF = delete(_SHELF).where(
    _SHELF.c.sku_id == bindparam("sku"), _SHELF.c.rank == bindparam("place"), _SHELF.c.lot_id == bindparam("lot")
)


def free_counts(tx: Tx, sku_ids: Sequence[UUID], at: datetime) -> dict[UUID, int]:
    """Units by SKU that can be bought at `at`; SKUs with none are missing."""
    counted: dict[UUID, int] = defaultdict(int)
    for sku_id, _, free in tx.execute(_ALL, {"skus": sku_ids, **_now(at)}):
        counted[sku_id] += free
    return {sku_id: free for sku_id, free in counted.items() if free}


def first_lots(tx: Tx, sku_ids: Sequence[UUID], at: datetime, *, most: int) -> dict[UUID, list[tuple[UUID, int]]]:
    """The first lots of each SKU, and what can be bought of each, which may be nothing. SKUs without lots are missing.

    One SKU is asked for in a way that looks at no more than `most` lots, many at once at the place of each.
    """
    query, asked = (_FIRST, {"sku": sku_ids[0]}) if len(sku_ids) == 1 else (_FIRST_OF_EACH, {"skus": sku_ids})
    found: dict[UUID, list[tuple[UUID, int]]] = defaultdict(list)
    for sku_id, lot_id, free in tx.connection().execute(query, {**asked, "most": most, **_now(at)}).all():
        found[sku_id].append((lot_id, free))
    return found


def _now(at: datetime) -> dict[str, object]:
    return {"now": at, "first": first_rank(clock.shop_day(at))}


_AT = bindparam("now", type_=_CURSOR.c.sell_until.type)
_OVER = and_(_CURSOR.c.sell_until.is_not(None), _CURSOR.c.sell_until <= _AT)
_NOT_PAST = _SHELF.c.rank >= bindparam("first")


def _free_of(lot_id: ColumnElement[UUID]) -> ColumnElement[int]:
    """What can be bought of a lot. The condition is in the value: as a filter it would be tried on old versions too."""
    free = case((or_(_CURSOR.c.selling.is_not(True), _OVER), 0), else_=_CURSOR.c.free)
    return select(free).where(_CURSOR.c.lot_id == lot_id).order_by(*NEWEST).limit(1).scalar_subquery()


NEWEST = (_CURSOR.c.version.desc(),)
"""With LIMIT 1: the living version of a lot's cursor before those that nobody else may see any more."""

_FIRST = (
    select(_SHELF.c.sku_id, _SHELF.c.lot_id, _free_of(_SHELF.c.lot_id))
    .where(_SHELF.c.sku_id == bindparam("sku"), _NOT_PAST)
    .order_by(_SHELF.c.rank, _SHELF.c.lot_id)
    .limit(bindparam("most"))
)
_ALL = select(_SHELF.c.sku_id, _SHELF.c.lot_id, _free_of(_SHELF.c.lot_id)).where(
    _SHELF.c.sku_id.in_(bindparam("skus", expanding=True)), _NOT_PAST
)
_IN_ORDER = (
    select(
        _SHELF.c.sku_id,
        _SHELF.c.lot_id,
        func.row_number().over(partition_by=_SHELF.c.sku_id, order_by=(_SHELF.c.rank, _SHELF.c.lot_id)).label("n"),
    )
    .where(_SHELF.c.sku_id.in_(bindparam("skus", expanding=True)), _NOT_PAST)
    .subquery()
)
_FIRST_OF_EACH = (
    select(_IN_ORDER.c.sku_id, _IN_ORDER.c.lot_id, _free_of(_IN_ORDER.c.lot_id))
    .where(_IN_ORDER.c.n <= bindparam("most"))
    .order_by(_IN_ORDER.c.sku_id, _IN_ORDER.c.n)
)
