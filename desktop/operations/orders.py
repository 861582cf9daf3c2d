"""Orders, as staff see them."""

from __future__ import annotations

from datetime import date

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.seen import Seen, look, name_of, recall
from shared.contracts.base import Page
from shared.contracts.orders import Order
from shared.errors import NotAnOrderCode
from shared.ids import parse_order_code
from shared.states import OrderState

_ORDERS: TypeAdapter[Page[Order]] = TypeAdapter(Page[Order])
_ORDER: TypeAdapter[Order] = TypeAdapter(Order)


async def list_orders(
    engine: Engine,
    *,
    state: OrderState | None = None,
    q: str | None = None,
    day: date | None = None,
    after: str | None = None,
) -> Seen[Page[Order]]:
    """One page of orders, newest first. `q` is a code or a channel's number, `day` a business day of the shop."""
    query = {"state": state, "q": q, "day": None if day is None else day.isoformat(), "after": after}
    call = Call("GET", "/api/orders", query=query)
    return await look(engine, list_name=name_of("orders", **query), call=call, answer=_ORDERS)


async def ask(engine: Engine, order: Order) -> Order:
    """Have its channels asked now about money that nobody told of; answers the order as it stands then."""
    found = await engine.session.ask(Call("POST", f"/api/orders/{order.code}/ask"), Order)
    engine.announce("order", "exception", initiator="order.ask")
    return found


async def recall_orders(engine: Engine) -> Seen[Page[Order]] | None:
    """The first page as it was last seen, without asking the server."""
    return await recall(engine, list_name="orders", answer=_ORDERS)


async def find_order(engine: Engine, typed_code: str) -> Seen[Order]:
    """One order by its code as a person typed or read it out. Raises NotAnOrderCode."""
    code = parse_order_code(typed_code)
    if code is None:
        raise NotAnOrderCode
    return await look(
        engine, list_name=name_of(f"order/{code}"), call=Call("GET", f"/api/orders/{code}"), answer=_ORDER
    )
