"""The Orders screen: orders by state or code, one order looked into, and the list of exceptions."""

from __future__ import annotations

from dataclasses import dataclass

from desktop.operations import orders
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.feed import Feed
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.orders import Order
from shared.contracts.payments import PaymentException
from shared.ids import parse_order_code, speak_order_code
from shared.permissions import Permission
from shared.states import OrderState

FILTERS: tuple[OrderState | None, ...] = (
    None,
    OrderState.PENDING_PAYMENT,
    OrderState.PAID,
    OrderState.DELIVERED,
    OrderState.COMPLETED,
    OrderState.DELIVERY_FAILED,
    OrderState.EXPIRED,
    OrderState.REFUNDED,
)
"""The states offered as filters, in this order; None is all."""


def goods(order: Order) -> str:
    """What was bought, in one line."""
    return ", ".join(f"{line.title} × {formats.count(line.quantity)}" for line in order.lines)


def _when(order: Order) -> str:
    return formats.short_moment(order.created_at, today=shop_day(now()))


COLUMNS = (
    Column[Order]("code", lambda order: speak_order_code(order.code), code=True, sample="7K3M-9QX2-H4TD"),
    Column[Order]("created", _when, sample="03-02 10:00:00", tip=lambda order: formats.moment(order.created_at)),
    Column[Order]("goods", goods, stretch=True),
    Column[Order]("amount", lambda order: formats.money(order.amount_fen), numeric=True, sample="¥12,345.00"),
    Column[Order]("channel", lambda order: order.channel or "–", sample="sandbox"),
    Column[Order](
        "state", lambda order: word(order.state), tone=lambda order: tone(order.state), sample="Awaiting payment"
    ),
)

EXCEPTION_COLUMNS = (
    Column[PaymentException](
        "kind",
        lambda e: word(e.kind),
        tone=lambda e: "danger" if e.open else "neutral",
        sample="Payment without an order",
    ),
    Column[PaymentException](
        "code", lambda e: speak_order_code(e.order_code) if e.order_code else "–", code=True, sample="7K3M-9QX2-H4TD"
    ),
    Column[PaymentException](
        "created",
        lambda e: formats.short_moment(e.created_at, today=shop_day(now())),
        sample="2026-03-02 10:00",
        tip=lambda e: formats.moment(e.created_at),
    ),
    Column[PaymentException]("channel", lambda e: e.channel, sample="sandbox"),
    Column[PaymentException]("out_trade_no", lambda e: e.out_trade_no, code=True, stretch=True),
    Column[PaymentException]("expected", lambda e: formats.money(e.expected_fen), numeric=True, sample="¥12,345.00"),
    Column[PaymentException]("received", lambda e: formats.money(e.received_fen), numeric=True, sample="¥12,345.00"),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of an order's life: a key the view has words for, and when (ready to show)."""

    key: str
    when: str


def timeline(order: Order) -> list[Moment]:
    """What happened to the order, in order."""
    steps = [("placed", order.created_at), ("paid", order.paid_at), ("delivered", order.delivered_at)]
    happened = [Moment(key, formats.moment(instant)) for key, instant in steps if instant is not None]
    if order.state is OrderState.PENDING_PAYMENT:
        happened.append(Moment("expires", formats.moment(order.expires_at)))
    return happened


class Orders(Watched):
    """The screen's state.

    Attributes:
        feed: the orders that match `state` and `query`.
        exceptions: what needs a person; read when `open` is called.
        opened: the order that is looked into, or None.
        error: why an order could not be found.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.feed: Feed[Order] = Feed(ask, COLUMNS)
        self.exceptions: Feed[PaymentException] = Feed(ask, EXCEPTION_COLUMNS)
        self.may_see_exceptions = Permission.PAYMENTS_EXCEPTION_READ in frozenset(person.permissions)
        self.state: OrderState | None = None
        self.query = ""
        self.opened: Order | None = None
        self.error: Exception | None = None

    @property
    def open_exceptions(self) -> int:
        """How many of the exceptions that are here wait for a person."""
        return sum(1 for one in self.exceptions.rows if one.open)

    def open(self) -> None:
        """Read the list, and the exceptions where they may be seen."""
        self.show(state=self.state, query=self.query)
        if self.may_see_exceptions:
            self.exceptions.show(lambda engine, after: orders.list_exceptions(engine, after=after))

    def show(self, *, state: OrderState | None, query: str) -> None:
        """Show the orders of one state that match `query`. A whole order code is also looked into at once."""
        self.state, self.query = state, query.strip()
        self.error = None
        code = parse_order_code(self.query) if self.query else None
        wanted = code or self.query or None
        self.feed.show(lambda engine, after: orders.list_orders(engine, state=state, q=wanted, after=after))
        if code is not None:
            self.find(code)
        self.changed()

    def find(self, typed: str) -> None:
        """Look into the order with the code that a person typed or read out."""
        then = self._latest.only(self._found)
        self._ask(lambda engine: orders.find_order(engine, typed), then, self._latest.also(self._not_found))

    def look_into(self, order: Order | None) -> None:
        """Look into an order of the list; None closes it."""
        self._latest.only(self._found)
        self.opened, self.error = order, None
        self.changed()

    def refresh(self) -> None:
        """Read everything that is shown again."""
        self.feed.reload()
        if self.may_see_exceptions:
            self.exceptions.reload()
        if self.opened is not None:
            self.find(self.opened.code)

    def _found(self, seen: Seen[Order]) -> None:
        self.opened, self.error = seen.value, None
        self.changed()

    def _not_found(self, error: Exception) -> None:
        self.opened, self.error = None, error
        self.changed()
