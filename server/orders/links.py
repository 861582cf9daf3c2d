"""The secret link of an order: whoever opens it sees the keys on that device, also without the one that bought."""

from __future__ import annotations

import base64
import hmac
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from server import audit
from server.crypto import KeyRing
from server.db import Tx
from server.orders.model import Order, OrderGrant
from shared import clock


def token_of(keys: KeyRing, order_id: UUID) -> str:
    """The order's secret link token: 128 bits of a keyed code over its id, so nothing has to be stored."""
    return base64.urlsafe_b64encode(keys.mac("order link", order_id.bytes)[:16]).rstrip(b"=").decode()


def grant(tx: Tx, keys: KeyRing, *, code: str, token: str, buyer_id: UUID) -> bool:
    """Let the device that opened the link see the order's keys. False for a wrong code or token alike."""
    order = tx.scalars(select(Order).where(Order.code == code)).first()
    expected = token_of(keys, order.id if order else UUID(int=0))
    if not hmac.compare_digest(expected.encode(), token.encode()) or order is None:
        return False
    if order.buyer_id == buyer_id or tx.get(OrderGrant, (order.id, buyer_id)) is not None:
        return True
    try:
        with tx.begin_nested():
            tx.add(OrderGrant(order_id=order.id, buyer_id=buyer_id, granted_at=clock.now()))
    except IntegrityError:
        return True  # the same device opened the link twice at once
    audit.append(tx, actor=f"buyer:{buyer_id}", action="order.grant", entity="order", entity_id=code)
    return True
