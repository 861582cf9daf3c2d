"""Lists that open offline: asked from the server, remembered in the replica, and honest about their age."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from desktop.engine.engine import Engine
from desktop.engine.transport import Call, is_foreign, is_passing
from desktop.store.replica import SeenList
from shared import clock
from shared.contracts.base import Page
from shared.errors import KamengError

T = TypeVar("T")

PAGE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """An answer and its age. `live` is false when the server could not be asked: `as_of` says from when it is."""

    value: T
    as_of: datetime
    live: bool


async def look(
    engine: Engine, *, list_name: str, call: Call, answer: TypeAdapter[T], kept: Callable[[T], T] = lambda value: value
) -> Seen[T]:
    """Ask the server; when it cannot be reached, what was seen last under `list_name`.

    `kept` makes of an answer what of it may lie on this disk. Raises what the server refuses, and the connection's
    error when this list was never seen.
    """
    account = engine.session.require_account()
    try:
        value = await engine.session.ask(call, answer)
    except KamengError as error:
        if not (is_passing(error) or is_foreign(error)):
            raise
        remembered = await engine.stores.replica(
            lambda replica: replica.recall(scope=account.scope, list_name=list_name)
        )
        seen = _read(remembered, answer)
        if seen is None:
            raise
        return seen
    as_of = clock.now()
    if engine.session.remember:
        body = answer.dump_json(kept(value)).decode()
        await engine.stores.replica(
            lambda replica: replica.remember(scope=account.scope, list_name=list_name, as_of=as_of, body=body)
        )
    return Seen(value=value, as_of=as_of, live=True)


async def recall(engine: Engine, *, list_name: str, answer: TypeAdapter[T]) -> Seen[T] | None:
    """What was seen last, without asking the server: the first paint of a screen."""
    account = engine.session.require_account()
    remembered = await engine.stores.replica(lambda replica: replica.recall(scope=account.scope, list_name=list_name))
    return _read(remembered, answer)


def _read(remembered: SeenList | None, answer: TypeAdapter[T]) -> Seen[T] | None:
    if remembered is None:
        return None
    try:
        value = answer.validate_json(remembered.body)
    except ValidationError:  # another version remembered it: as if never seen
        return None
    return Seen(value=value, as_of=remembered.as_of, live=False)


async def every_page(
    engine: Engine, path: str, answer: TypeAdapter[Page[T]], query: Mapping[str, str | None]
) -> list[T]:
    """All rows of a keyset-paged list, in order. A page that points at itself ends it."""
    rows: list[T] = []
    after: str | None = None
    while True:
        call = Call("GET", path, query={**query, "after": after, "limit": PAGE_ROWS})
        page = await engine.session.ask(call, answer)
        rows += page.items
        if page.next is None or page.next == after:
            return rows
        after = page.next


async def pages(page: Callable[[str | None], Awaitable[Seen[Page[T]]]]) -> AsyncGenerator[list[T]]:
    """Page after page of a list that `page` reads after a key, for looking through it. Works offline as `page` does."""
    after: str | None = None
    while True:
        here = (await page(after)).value
        yield here.items
        if here.next is None or here.next == after:
            return
        after = here.next


def name_of(noun: str, **filters: str | int | None) -> str:
    """The replica's name of a filtered list: the same filter, the same name."""
    given = "&".join(f"{name}={value}" for name, value in sorted(filters.items()) if value not in {None, ""})
    return f"{noun}?{given}" if given else noun
