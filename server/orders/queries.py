"""Reading orders: one by its code, pages for staff, and who may see the keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Select, bindparam, case, func, select

from server.db import Tx
from server.identity.queries import paid_by_splits
from server.orders.model import Order, OrderGrant, OrderLine
from server.policy import Actor, visible
from shared import clock
from shared.permissions import Role
from shared.states import OrderState


def find(tx: Tx, code: str) -> Order | None:
    """The order of a canonical code. Callers decide by `may_see_keys` and `policy` what of it is shown."""
    return tx.scalars(_FIND, {"code": code}).first()


def is_placed(tx: Tx, buyer_id: UUID, idempotency_key: str) -> bool:
    """Whether the device has an order of this key: one indexed read."""
    return tx.scalars(_PLACED, {"buyer": buyer_id, "key": idempotency_key}).first() is not None


def due_unpaid(tx: Tx, *, now: datetime, limit: int) -> list[Order]:
    """Unpaid orders whose time is over, the longest overdue first."""
    due = (Order.state == OrderState.PENDING_PAYMENT.value, Order.due_at <= now)
    return list(tx.scalars(select(Order).where(*due).order_by(Order.due_at).limit(limit)))


_PLACED = select(Order.id).where(Order.buyer_id == bindparam("buyer"), Order.idempotency_key == bindparam("key"))
_FIND = select(Order).where(Order.code == bindparam("code"))
_BY_SPLITS = paid_by_splits()
_SHARED = (
    select(OrderLine.order_id)
    .join(_BY_SPLITS, _BY_SPLITS.c.id == OrderLine.supplier_id)
    .where(OrderLine.order_id.in_(bindparam("orders", expanding=True)))
)
_LINES = select(OrderLine).where(OrderLine.order_id == bindparam("order")).order_by(OrderLine.n)


def lines(tx: Tx, order_id: UUID) -> list[OrderLine]:
    """The lines of an order, in their order."""
    return list(tx.scalars(_LINES, {"order": order_id}).all())


def shared(tx: Tx, order_ids: Sequence[UUID]) -> set[UUID]:
    """Those of these orders that have a line of a supplier who is paid by splitting payments."""
    return set(tx.scalars(_SHARED, {"orders": list(order_ids)})) if order_ids else set()


def history(tx: Tx, buyer_id: UUID) -> tuple[int, int]:
    """How many paid orders a device has, and of how many money went back."""
    refunded = func.sum(case((Order.refunded_fen > 0, 1), else_=0))
    mine = (Order.buyer_id == buyer_id, Order.paid_at.is_not(None))
    paid, back = tx.execute(select(func.count(), refunded).where(*mine)).one()
    return int(paid), int(back or 0)


def may_see_keys(tx: Tx, order: Order, buyer_id: UUID | None) -> bool:
    """Whether this device bought the order or opened its secret link."""
    if buyer_id is None:
        return False
    return order.buyer_id == buyer_id or tx.get(OrderGrant, (order.id, buyer_id)) is not None


def scoped(who: Actor) -> Select[Order]:
    """The orders that exist for this member of staff; for a supplier's person those with a line of its own."""
    query = select(Order)
    if who.role is Role.SUPPLIER:
        mine = visible(who, OrderLine).with_only_columns(OrderLine.order_id)
        query = query.where(Order.id.in_(mine))
    return query


def page(
    tx: Tx,
    who: Actor,
    *,
    state: OrderState | None,
    day: date | None,
    among: Sequence[UUID] | None,
    after: UUID | None,
    limit: int,
) -> tuple[list[Order], UUID | None]:
    """A page of the actor's orders, newest first, and where the next one starts.

    `day` is the business day of creation, `among` narrows to orders that a search has found.
    """
    query = scoped(who)
    if state is not None:
        query = query.where(Order.state == state.value)
    if day is not None:
        start, end = clock.day_bounds(day)
        query = query.where(Order.created_at >= start, Order.created_at < end)
    if among is not None:
        query = query.where(Order.id.in_(among))
    if after is not None:
        query = query.where(Order.id < after)
    found = list(tx.scalars(query.order_by(Order.id.desc()).limit(limit + 1)))
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def lines_for(tx: Tx, who: Actor, order_ids: Sequence[UUID]) -> dict[UUID, list[OrderLine]]:
    """The lines of orders that this actor may see, in their order: a supplier's person sees its own lines only."""
    found: dict[UUID, list[OrderLine]] = {order_id: [] for order_id in order_ids}
    query = visible(who, OrderLine).where(OrderLine.order_id.in_(order_ids))
    for line in tx.scalars(query.order_by(OrderLine.order_id, OrderLine.n)):
        found[line.order_id].append(line)
    return found
