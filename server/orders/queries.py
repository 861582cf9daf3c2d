"""Reading orders: one by its code, pages for staff, and who may see the keys."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.orders.model import Order, OrderGrant, OrderLine


def find(tx: Tx, code: str) -> Order | None:
    """The order of a canonical code. Callers decide by `may_see_keys` and `policy` what of it is shown."""
    return tx.scalars(select(Order).where(Order.code == code)).first()


def lines(tx: Tx, order_id: UUID) -> list[OrderLine]:
    """The lines of an order, in their order."""
    return list(tx.scalars(select(OrderLine).where(OrderLine.order_id == order_id).order_by(OrderLine.n)).all())


def may_see_keys(tx: Tx, order: Order, buyer_id: UUID | None) -> bool:
    """Whether this device bought the order or opened its secret link."""
    if buyer_id is None:
        return False
    return order.buyer_id == buyer_id or tx.get(OrderGrant, (order.id, buyer_id)) is not None
