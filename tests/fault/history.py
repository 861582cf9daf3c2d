"""What clients were told, held against what the database says afterwards.

A client notes each wish before it is sent (`invoked`) and what came back: `ok`, `refused`, or nothing at all, which is
`unknown`. Whatever was answered must be true; what is unknown may be either, but only whole.
"""

import threading
from dataclasses import dataclass, field

from sqlalchemy import func, select

from server.orders.model import Order, OrderLine
from server.payments.model import PaymentAttempt
from server.stock.model import Delivery
from shared.states import AttemptState, OrderState

SOLD = {OrderState.DELIVERED.value, OrderState.COMPLETED.value}


@dataclass
class Wish:
    """One order of one client, from the moment it was sent."""

    key: str
    placed: str = "unknown"  # then ok or refused
    code: str | None = None
    paid: str = "not asked"  # then unknown, and ok
    ended: bool = False


@dataclass
class History:
    """The notes of all clients. `keys` holds what buyers read, where they could."""

    wishes: list[Wish] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def invoke(self, key) -> Wish:
        """Note a wish before it is sent."""
        wish = Wish(key)
        with self._lock:
            self.wishes.append(wish)
        return wish

    def count(self, **facts) -> int:
        """How many wishes stand so."""
        return sum(all(getattr(wish, name) == value for name, value in facts.items()) for wish in self.wishes)


def require_true(history, db):
    """Everything that was answered is in the database, and nothing is there that nobody asked for."""
    with db.read() as tx:
        orders = {
            key: (code, state)
            for key, code, state in tx.execute(select(Order.idempotency_key, Order.code, Order.state))
        }
        paid = set(tx.scalars(select(PaymentAttempt.order_code).where(PaymentAttempt.state == AttemptState.PAID.value)))
        quantities = {
            code: (line, n)
            for code, line, n in tx.execute(
                select(Order.code, OrderLine.id, OrderLine.quantity).join(OrderLine, OrderLine.order_id == Order.id)
            )
        }
        delivered = dict(
            tx.execute(select(Delivery.order_line_id, func.count()).group_by(Delivery.order_line_id)).all()
        )
        units, different = tx.execute(
            select(func.count(), func.count(Delivery.seq.distinct())).where(Delivery.sku_id.is_not(None))
        ).one()
    asked = {wish.key: wish for wish in history.wishes}
    assert len(asked) == len(history.wishes), "two clients with one key prove nothing"
    assert orders.keys() <= asked.keys(), "orders that nobody placed"
    for wish in history.wishes:
        code, state = orders.get(wish.key, (None, None))
        if wish.placed == "ok":
            assert code == wish.code, f"{wish.key} was answered {wish.code}, the database says {code}"
        if wish.placed == "refused":
            assert code is None, f"{wish.key} was refused and stands"
        if wish.paid == "ok":
            assert state in SOLD, f"{wish.code} was paid and is {state}"
        if wish.paid == "not asked" and code is not None:
            assert state not in SOLD, f"{wish.code} was delivered and not paid"
            assert code not in paid
        if state is not None:
            line, quantity = quantities[code]
            assert delivered.pop(line, 0) == (quantity if state in SOLD else 0), f"{code} is {state}"
    assert delivered == {}, "deliveries of no order"
    assert units == different, "a unit was delivered twice"
