"""What a shop of one SKU does, said in a page: no database, no batches, one thing after the other."""

from dataclasses import dataclass, field

PENDING, DELIVERED, EXPIRED, CANCELLED, FAILED, COMPLETED = (
    "pending_payment", "delivered", "expired", "cancelled", "delivery_failed", "completed",
)  # fmt: skip


@dataclass
class Attempt:
    """One way to pay an order: the number it was paid with, and whether its channel takes no more."""

    paid_with: str | None = None
    is_closed: bool = False

    @property
    def is_open(self):
        return self.paid_with is None and not self.is_closed


@dataclass
class Order:
    """One order: what it asked for, the keys it has, and how it may be paid."""

    content: tuple
    quantity: int
    amount: int
    keys: list[int]
    due: int
    state: str = PENDING
    attempts: list[Attempt] = field(default_factory=lambda: [Attempt()])
    delivered: int = 0

    @property
    def is_paid(self):
        return any(attempt.paid_with for attempt in self.attempts)


@dataclass
class Shop:
    """Keys are numbers; `free` is in the order of their arrival, which is the order they are sold in."""

    price: int
    hold: int = 15
    now: int = 0
    arrived: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    orders: dict[tuple, Order] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    exceptions: set[tuple] = field(default_factory=set)
    aside: dict[str, tuple] = field(default_factory=dict)

    def bring(self, keys) -> tuple[int, int, int]:
        """Answers how many were stored, known before, and twice in the file."""
        once = list(dict.fromkeys(keys))
        fresh = [key for key in once if key not in self.arrived]
        self.arrived += fresh
        self.free += fresh
        return len(fresh), len(once) - len(fresh), len(keys) - len(once)

    def place(self, name, quantity, amount):
        """Answers the order, or the name of the refusal and what is left."""
        content = (quantity, amount)
        if name in self.orders:
            return self.orders[name] if self.orders[name].content == content else "IdempotencyReused"
        if amount != quantity * self.price:
            return "PriceChanged"
        if quantity > len(self.free):
            return "SoldOut", len(self.free)
        self.orders[name] = Order(content, quantity, amount, self._take(quantity), self.now + self.hold)
        return self.orders[name]

    def next_way(self, order, *, closed, left_open):
        """Answers the place of the attempt to be paid now, or the refusal. All others are `closed` or `left_open`."""
        if closed:
            self.close(order.attempts)
        if order.state != PENDING:
            return "NotPayable"
        standing = [n for n, attempt in enumerate(order.attempts) if attempt.is_open and not left_open]
        if standing:
            return standing[-1]
        order.attempts.append(Attempt())
        return len(order.attempts) - 1

    def close(self, attempts):
        """Their channels take no more for them. What is paid stays paid."""
        for attempt in attempts:
            attempt.is_closed = attempt.is_closed or attempt.is_open

    def pay(self, order, attempt, number, amount, *, ours, raw):
        """Answers what became of a fact."""
        if raw in self.told:
            return "repeated"
        if raw is not None:
            self.told.add(raw)
        if not ours:
            return self._exception("merchant_mismatch", number)
        if amount != order.amount:
            return self._set_aside("amount_mismatch", attempt, number, amount)
        if attempt.paid_with == number:
            return "repeated"
        if attempt.paid_with:
            return self._set_aside("paid_twice", attempt, number, amount)
        if self._has_paid(number):
            return self._exception("paid_twice", number)
        if number in self.aside and (order.is_paid or self.aside[number][0] is not attempt):
            return self._exception("amount_mismatch", number)
        if order.is_paid:
            answer = self._set_aside("paid_twice", attempt, number, amount)
            attempt.paid_with = number
            return answer
        self.aside.pop(number, None)  # the channel corrects what it said of this money
        attempt.paid_with = number
        if order.state != PENDING:
            if order.quantity > len(self.free):
                order.state = FAILED
                return self._exception("paid_after_expiry", number)
            order.keys = self._take(order.quantity)
        order.state, order.delivered = DELIVERED, self.now
        return "applied"

    def end(self, order, state):
        """Expire or cancel what is unpaid; its keys are the next to be sold again."""
        if order.state == PENDING:
            self.free = sorted(self.free + order.keys, key=self.arrived.index)
            order.state, order.keys = state, []

    def complete(self):
        """Three days after its delivery an order is complete."""
        for order in self.orders.values():
            if order.state == DELIVERED and self.now - order.delivered >= 3 * 24 * 60:
                order.state = COMPLETED

    def _take(self, count):
        taken, self.free = self.free[:count], self.free[count:]
        return taken

    def _has_paid(self, number):
        return any(number == attempt.paid_with for order in self.orders.values() for attempt in order.attempts)

    def _set_aside(self, kind, attempt, number, amount):
        """Money that pays nothing is kept once; what contradicts it, or is booked as paid, is told and no more."""
        if number not in self.aside and not self._has_paid(number):
            self.aside[number] = (attempt, amount)
        elif not self._has_paid(number) and self.aside[number][1] == amount:
            return "exception"
        return self._exception(kind, number)

    def _exception(self, kind, number):
        self.exceptions.add((kind, number))
        return "exception"
