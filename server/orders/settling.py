"""What settlement sees of orders: delivered lines to join with, and their orders under lock."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from uuid import UUID

from sqlalchemy import Select, Subquery, select

from server.db import Tx
from server.orders.actions import lock
from server.orders.model import Order, OrderLine, UnsettledLine

_AT_A_TIME = 1_000


_OF_LINE = (
    OrderLine.order_id,
    OrderLine.sku_id,
    OrderLine.sku_code,
    OrderLine.title,
    OrderLine.quantity,
    OrderLine.amount_fen,
    OrderLine.discount_fen,
    OrderLine.supplier_fen,
    OrderLine.fee_fen,
    OrderLine.commission_fen,
    Order.code.label("order_code"),
    Order.state,
    Order.delivered_at,
    Order.completed_at,
    Order.distributor_id,
)
"""What of a line and its order settlement goes by."""


@cache
def delivered_lines() -> Subquery:
    """All lines of delivered orders, with what of their order decides when they are due."""
    return (
        select(OrderLine.id, OrderLine.supplier_id, *_OF_LINE)
        .join(Order, Order.id == OrderLine.order_id)
        .where(Order.delivered_at.is_not(None))
        .subquery("delivered_lines")
    )


@cache
def unsettled_lines() -> Subquery:
    """The same of those that are on no statement yet, found by their suppliers and ids."""
    return (
        select(UnsettledLine.order_line_id.label("id"), UnsettledLine.supplier_id, *_OF_LINE)
        .join(OrderLine, OrderLine.id == UnsettledLine.order_line_id)
        .join(Order, Order.id == OrderLine.order_id)
        .subquery("unsettled_lines")
    )


def unsettled_ids(supplier_ids: Collection[UUID]) -> Select[UUID]:
    """The ids of the lines of suppliers that are on no statement yet."""
    return select(UnsettledLine.order_line_id).where(UnsettledLine.supplier_id.in_(list(supplier_ids)))


def lock_all(tx: Tx, order_ids: Collection[UUID]) -> None:
    """Lock any number of orders, in the order in which all lock them: none of them is refunded meanwhile."""
    wanted = sorted(order_ids, key=lambda order_id: order_id.bytes)
    for at in range(0, len(wanted), _AT_A_TIME):
        lock(tx, wanted[at : at + _AT_A_TIME])
