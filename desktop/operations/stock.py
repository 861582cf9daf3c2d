"""Stock: counts per SKU, lots, and units by number; freezing, withdrawing, voiding. No key is ever in an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.seen import Seen, every_page, look, name_of, recall
from shared import clock
from shared.contracts.base import Page
from shared.contracts.stock import (
    MAX_VOIDED,
    Lot,
    MoveLot,
    SkuStock,
    Unit,
    UnitHistory,
    UnitOrder,
    UnitWindow,
    VoidedUnits,
    VoidUnits,
    WithdrawImport,
    Withdrawn,
)
from shared.states import LotState, UnitState, require_move

_STOCK: TypeAdapter[Page[SkuStock]] = TypeAdapter(Page[SkuStock])
_LOTS: TypeAdapter[Page[Lot]] = TypeAdapter(Page[Lot])
_WINDOW: TypeAdapter[UnitWindow] = TypeAdapter(UnitWindow)

WINDOW_ROWS = 256
"""Rows of one window of units: what a screen shows, and a little before and after it."""


@dataclass(frozen=True, slots=True)
class UnitQuery:
    """Which units of a SKU are looked at, and in which order."""

    sku: str
    state: UnitState | None = None
    lot: UUID | None = None
    order: UnitOrder = UnitOrder.NUMBER


@dataclass(frozen=True, slots=True)
class LotMoved:
    """A lot was frozen, released or withdrawn."""

    lot: Lot
    to: LotState


@dataclass(slots=True)
class UnitsVoided:
    """What became of the units that were to be void."""

    voided: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)


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


async def list_lots(engine: Engine, sku: str, *, after: str | None = None) -> Seen[Page[Lot]]:
    """One page of the lots of a SKU, newest first."""
    query = {"after": after}
    call = Call("GET", f"/api/stock/{sku}/lots", query=query)
    return await look(engine, list_name=name_of(f"lots/{sku}", **query), call=call, answer=_LOTS)


async def lots_of_import(engine: Engine, sku: str, import_id: UUID) -> list[Lot]:
    """Every lot that one file brought, as it is on the server now."""
    return await every_page(engine, f"/api/stock/{sku}/lots", _LOTS, {"import_id": str(import_id)})


async def unit_window(engine: Engine, query: UnitQuery, *, position: int = 0, limit: int = WINDOW_ROWS) -> UnitWindow:
    """Rows `position`... of the units that match, and how many there are. Never kept on this machine."""
    place = _asked(query) | {"position": position, "limit": limit}
    return await engine.session.ask(Call("GET", f"/api/stock/{query.sku}/units/window", query=place), _WINDOW)


def _asked(query: UnitQuery) -> dict[str, str | int | None]:
    return {
        "state": None if query.state is None else query.state.value,
        "lot": None if query.lot is None else str(query.lot),
        "order": query.order.value,
    }


async def search_units(engine: Engine, query: UnitQuery, tail: str, *, after: str | None = None) -> Seen[Page[Unit]]:
    """Units whose card ends with `tail` (2 to 4 characters), from the row `after` of their list on.

    The server looks at a stretch of the list at a time: goes on until some are found, or the list ends.
    """
    place = _asked(query) | {"tail": tail, "limit": WINDOW_ROWS}
    position = int(after or 0)
    while True:
        call = Call("GET", f"/api/stock/{query.sku}/units/window", query=place | {"position": position})
        found = await engine.session.ask(call, _WINDOW)
        if found.items or found.next is None:
            following = None if found.next is None else str(found.next)
            return Seen(Page(items=found.items, next=following), as_of=clock.now(), live=True)
        position = found.next


async def units_at(engine: Engine, query: UnitQuery, ranges: Sequence[tuple[int, int]]) -> list[Unit]:
    """The units in these rows (first, last; both inclusive) of a list, whether or not anybody scrolled there."""
    units: list[Unit] = []
    for first, last in ranges:
        for position in range(first, last + 1, WINDOW_ROWS):
            limit = min(WINDOW_ROWS, last + 1 - position)
            units += (await unit_window(engine, query, position=position, limit=limit)).items
    return units


async def history_of(engine: Engine, sku: str, seq: int) -> UnitHistory:
    """What is known of one unit, oldest first."""
    return await engine.session.ask(Call("GET", f"/api/stock/{sku}/units/{seq}/history"), UnitHistory)


async def move_lot(engine: Engine, lot: Lot, to: LotState, *, reason: str) -> LotMoved:
    """Freeze a lot, release it, or withdraw what is unsold of it. Raises IllegalMove before asking."""
    require_move(lot.state, to)
    await engine.session.tell(Call("POST", f"/api/lots/{lot.id}/state", body=MoveLot(to=to, reason=reason)))
    engine.announce("stock", "lot", initiator="lot.move")
    return LotMoved(lot, to)


async def withdraw_import(engine: Engine, import_id: UUID, *, reason: str) -> Withdrawn:
    """Withdraw every unsold key that one file brought, in all its lots."""
    call = Call("POST", f"/api/imports/{import_id}/withdraw", body=WithdrawImport(reason=reason))
    done = await engine.session.ask(call, Withdrawn)
    engine.announce("stock", "lot", initiator="import.withdraw")
    return done


async def void_units(engine: Engine, sku: str, seqs: Sequence[int], *, reason: str) -> UnitsVoided:
    """Make single units void; those that are held or sold meanwhile are left as they are. Safe to repeat.

    Many units are several requests: what was void before one of them failed stays void.
    """
    done = UnitsVoided()
    try:
        for at in range(0, len(seqs), MAX_VOIDED):
            body = VoidUnits(seqs=list(seqs[at : at + MAX_VOIDED]), reason=reason)
            part = await engine.session.ask(Call("POST", f"/api/stock/{sku}/void", body=body), VoidedUnits)
            done.voided += part.voided
            done.left += part.left
    finally:
        if done.voided:
            engine.announce("stock", "lot", "unit", initiator="unit.void")
    return done
