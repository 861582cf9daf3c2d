"""What differs between our books and a channel's bills: the list, one of it explained, and what people decide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call
from desktop.operations.once import send_once
from desktop.operations.seen import Seen, look, name_of
from shared.contracts.base import Page
from shared.contracts.reconcile import (
    CheckDifference,
    CheckDifferences,
    Difference,
    DifferenceDetail,
    Differences,
    HandleDifference,
    HandleDifferences,
    SeenDifference,
)
from shared.errors import NotAnOrderCode
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.ids import parse_order_code

_PAGE: TypeAdapter[Page[Difference]] = TypeAdapter(Page[Difference])
_DETAIL: TypeAdapter[DifferenceDetail] = TypeAdapter(DifferenceDetail)
_TOUCHED = ("difference", "reconciled_day", "exception", "order")


async def list_differences(
    engine: Engine,
    *,
    open_only: bool = True,
    day: date | None = None,
    channel: str | None = None,
    kind: DifferenceKind | None = None,
    state: DifferenceState | None = None,
    after: str | None = None,
) -> Seen[Page[Difference]]:
    """One page of differences, oldest first; `open_only` leaves out those that are closed."""
    query = {
        "open": "true" if open_only and state is None else None,
        "day": day.isoformat() if day is not None else None,
        "channel": channel,
        "kind": kind,
        "state": state,
        "after": after,
    }
    call = Call("GET", "/api/reconcile/differences", query=query)
    return await look(engine, list_name=name_of("reconcile/differences", **query), call=call, answer=_PAGE)


async def explain(engine: Engine, difference_id: UUID) -> Seen[DifferenceDetail]:
    """One difference with both rows whole, what happened, and orders that its money may be meant for."""
    call = Call("GET", f"/api/reconcile/differences/{difference_id}")
    return await look(engine, list_name=name_of(f"reconcile/difference/{difference_id}"), call=call, answer=_DETAIL)


async def one(engine: Engine, difference_id: UUID) -> Seen[Difference]:
    """One difference as it is now."""
    seen = await explain(engine, difference_id)
    return Seen(value=seen.value.difference, as_of=seen.as_of, live=seen.live)


async def handle(
    engine: Engine, difference: Difference, action: DifferenceAction, *, note: str, order_code: str = ""
) -> Difference:
    """Say what is to be done about `difference` as it was seen; above the limit another person approves it first.

    Raises NotAnOrderCode, and what `send_once` does.
    """
    code = parse_order_code(order_code) if action is DifferenceAction.ATTACH else None
    if action is DifferenceAction.ATTACH and code is None:
        raise NotAnOrderCode
    body = HandleDifference(action=action, note=note, order_code=code, version=difference.version)
    done = await send_once(engine, Call("POST", f"{_path(difference)}/handle", body=body), Difference)
    engine.announce(*_TOUCHED, initiator="difference.handle")
    return done


async def check(engine: Engine, difference: Difference, *, approve: bool, note: str) -> Difference:
    """The second person says yes, and it is done, or sends it back. Raises what `send_once` does."""
    body = CheckDifference(approve=approve, note=note, version=difference.version)
    done = await send_once(engine, Call("POST", f"{_path(difference)}/check", body=body), Difference)
    engine.announce(*_TOUCHED, initiator="difference.check")
    return done


async def handle_many(
    engine: Engine, differences: Sequence[Difference], action: DifferenceAction, *, note: str
) -> list[Difference]:
    """One decision about all of these as they were seen, or about none. Raises what `send_once` does."""
    body = HandleDifferences(differences=_seen(differences), action=action, note=note)
    return await _many(engine, "handle", body)


async def check_many(
    engine: Engine, differences: Sequence[Difference], *, approve: bool, note: str
) -> list[Difference]:
    """The second person says yes to all of these, or sends them back. Raises what `send_once` does."""
    body = CheckDifferences(differences=_seen(differences), approve=approve, note=note)
    return await _many(engine, "check", body)


def _seen(differences: Sequence[Difference]) -> list[SeenDifference]:
    return [SeenDifference(id=one.id, version=one.version) for one in differences]


async def _many(engine: Engine, what: str, body: HandleDifferences | CheckDifferences) -> list[Difference]:
    done = await send_once(engine, Call("POST", f"/api/reconcile/differences/{what}", body=body), Differences)
    engine.announce(*_TOUCHED, initiator=f"difference.{what}")
    return done.items


def _path(difference: Difference) -> str:
    return f"/api/reconcile/differences/{difference.id}"
