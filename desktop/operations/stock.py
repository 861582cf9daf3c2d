"""Stock: counts per SKU, lots, and units by number. No key is ever in an answer."""

from __future__ import annotations

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.seen import Seen, every_page, look, name_of, recall
from shared.contracts.base import Page
from shared.contracts.stock import Lot, SkuStock, Unit
from shared.states import UnitState

_STOCK: TypeAdapter[Page[SkuStock]] = TypeAdapter(Page[SkuStock])
_LOTS: TypeAdapter[Page[Lot]] = TypeAdapter(Page[Lot])
_UNITS: TypeAdapter[Page[Unit]] = TypeAdapter(Page[Unit])


async def list_stock(engine: Engine, *, q: str | None = None, after: str | None = None) -> Seen[Page[SkuStock]]:
    """One page of counts by SKU; `q` matches codes and names. free + held + sold + void = imported in each row."""
    query = {"q": q, "after": after}
    call = Call("GET", "/api/stock", query=query)
    return await look(engine, list_name=name_of("stock", **query), call=call, answer=_STOCK)


async def list_all(engine: Engine, *, q: str | None = None) -> list[SkuStock]:
    """The counts of every SKU the person may see, from the server."""
    return await every_page(engine, "/api/stock", _STOCK, {"q": q})


async def recall_stock(engine: Engine) -> Seen[Page[SkuStock]] | None:
    """The first page as it was last seen, without asking the server."""
    return await recall(engine, list_name="stock", answer=_STOCK)


async def list_lots(engine: Engine, sku: str) -> Seen[Page[Lot]]:
    """The lots of a SKU, newest first."""
    call = Call("GET", f"/api/stock/{sku}/lots")
    return await look(engine, list_name=name_of(f"lots/{sku}"), call=call, answer=_LOTS)


async def list_units(
    engine: Engine, sku: str, *, state: UnitState | None = None, after: str | None = None
) -> Seen[Page[Unit]]:
    """One page of the units of a SKU by number; the keys stay in the vault."""
    query = {"state": None if state is None else state.value, "after": after}
    call = Call("GET", f"/api/stock/{sku}/units", query=query)
    return await look(engine, list_name=name_of(f"units/{sku}", **query), call=call, answer=_UNITS)
