"""Delivering after all: an order whose money is in escrow and whose goods were not there when it came.

Callers hold the order, and post nothing before the stock: locks are taken in the order order, stock, ledger.
"""

from __future__ import annotations

from datetime import datetime

from server import changes, signals
from server.db import Tx
from server.ledger import actions as ledger
from server.orders import actions as orders
from server.orders.model import Order
from server.payments import booking
from server.stock import actions as stock
from shared.states import OrderState


def deliver(tx: Tx, order: Order, *, at: datetime, actor: str) -> bool:
    """Sell the order fresh units; False when there are not enough, and then nothing has happened."""
    lines = orders.lines_of(tx, [order.id])[order.id]
    wants = orders.wants_of(lines)
    with stock.desk(tx, at=at, wants=wants) as desk:
        if not desk.reserve(wants):
            return False
        taken = desk.take()
        for line in lines:
            line.seqs = list(taken[line.id])
        tx.flush()
        desk.sell(orders.units_of(lines))
    orders.move(tx, [orders.Move(order, OrderState.DELIVERED)], at=at, actor=actor, lines={order.id: lines})
    ledger.post(tx, booking.delivered(order, lines, at=at))
    stocked = {(line.sku_id, line.supplier_id) for line in lines}
    changes.append_many(
        tx, [changes.Changed("sku", sku, domain="stock", supplier_id=supplier) for sku, supplier in stocked]
    )
    signals.ring(tx, order.id)
    return True
