"""What settlement sees of stock: the lots that the keys of order lines came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.stock.model import Delivery, StockLot, StockUnit

_AT_A_TIME = 1_000


def lots_of(tx: Tx, order_line_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """The lots of the keys that each line's buyer has, as people call them: `#1` is the first of its SKU."""
    found: dict[UUID, list[str]] = defaultdict(list)
    wanted = list(order_line_ids)
    for at in range(0, len(wanted), _AT_A_TIME):
        query = (
            select(Delivery.order_line_id, StockLot.number)
            .join(StockUnit, (StockUnit.sku_id == Delivery.sku_id) & (StockUnit.seq == Delivery.seq))
            .join(StockLot, StockLot.id == StockUnit.lot_id)
            .where(Delivery.order_line_id.in_(wanted[at : at + _AT_A_TIME]))
            .distinct()
            .order_by(Delivery.order_line_id, StockLot.number)
        )
        for line_id, number in tx.execute(query):
            found[line_id].append(f"#{number + 1}")
    return found
