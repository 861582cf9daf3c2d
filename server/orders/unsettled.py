"""Delivered lines that are on no statement yet: kept with the delivery, so that what is due is found by few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import delete

from server.db import Tx, bulk_insert
from server.orders.model import Order, OrderLine, UnsettledLine

_AT_A_TIME = 1_000


def keep(tx: Tx, orders: Sequence[Order], lines: Mapping[UUID, Sequence[OrderLine]]) -> None:
    """Keep the lines of orders that are delivered for the first time."""
    rows = [(line.id, line.supplier_id) for order in orders for line in lines[order.id]]
    bulk_insert(tx, UnsettledLine, ("order_line_id", "supplier_id"), rows, constants={})


def settle(tx: Tx, line_ids: Sequence[UUID]) -> None:
    """These lines are on a statement, or nothing is left of them."""
    for at in range(0, len(line_ids), _AT_A_TIME):
        gone = UnsettledLine.order_line_id.in_(line_ids[at : at + _AT_A_TIME])
        tx.execute(delete(UnsettledLine).where(gone))


def unsettle(tx: Tx, supplier_id: UUID, line_ids: Sequence[UUID]) -> None:
    """These lines of a supplier are on no statement any more."""
    rows = [(line_id,) for line_id in line_ids]
    bulk_insert(tx, UnsettledLine, ("order_line_id",), rows, constants={"supplier_id": supplier_id})
