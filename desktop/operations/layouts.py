"""Layouts of the finance workbook, kept by the server for each person: named, listed, saved, removed.

Without a connection they are those that were seen last. What is saved or removed then is owed in the outbox, and sent
as soon as there is one; until then, and where the server refuses it, it holds on this machine. What the same person
saved elsewhere meanwhile stays: what is saved here is kept beside it, and what is removed here is not.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import partial
from itertools import count

import msgspec
from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call, code_of, is_foreign, is_passing
from desktop.exporting.finance_pages import FINANCE_PAGES
from desktop.exporting.layouts import Layout, arranged, packed, unpacked
from desktop.operations.seen import look
from desktop.store.outbox import Outbox
from shared.contracts.base import Page
from shared.contracts.reports import SavedLayout, SaveLayout, layout_hash
from shared.errors import BadInput, KamengError, NotFound, NotSignedIn

_HERE = "/api/reports/layouts"
_SAVED: TypeAdapter[Page[SavedLayout]] = TypeAdapter(Page[SavedLayout])
_LONGEST_NAME = 40
_SAVED_ELSEWHERE = "layout.saved_elsewhere"
"""What the server says where it has another layout of this name than was seen here."""


class LayoutNameless(BadInput):
    """A layout is found again by its name."""

    code = "layout.nameless"
    zh = "请给版式起一个名字，最多 40 个字符。"
    en = "Give the layout a name of up to 40 characters."


class LayoutMissing(NotFound):
    """There is no layout of this name."""

    code = "layout.missing"
    zh = "没有名为“{name}”的版式。"
    en = "There is no layout “{name}”."


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A layout that was saved elsewhere since it was seen here, and is kept as it is there.

    `kept_as` is the name of what was saved here, None where it was to be removed.
    """

    name: str
    kept_as: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of telling the server: whether it could not be reached, and what it had otherwise than was seen."""

    is_owed: bool = False
    elsewhere: tuple[Elsewhere, ...] = ()


class _Owed(msgspec.Struct, frozen=True):
    """What is to be kept under a name, None to remove it, in the place of what `seen` names: None of nothing."""

    text: str | None
    seen: str | None = None


async def layouts(engine: Engine) -> dict[str, str]:
    """This person's layouts by name, in order: what the server keeps, or was seen last, and what is owed to it.

    Raises what the server refuses.
    """
    setting = _setting(engine)
    try:
        seen = await look(engine, list_name="layouts", call=Call("GET", _HERE), answer=_SAVED)
        mine: dict[str, str | None] = {one.name: one.layout for one in seen.value.items}
    except KamengError as error:
        if not _is_away(error):
            raise
        mine = {}
    owed = await engine.stores.outbox(lambda outbox: _owed(outbox, setting))
    mine |= {name: one.text for name, one in owed.items()}
    return {name: text for name, text in sorted(mine.items()) if text is not None}


async def layout(engine: Engine, name: str) -> Layout:
    """One layout. Raises what `found` does, and what the server refuses."""
    return found(await layouts(engine), name)


def found(mine: dict[str, str], name: str) -> Layout:
    """One of these. Raises LayoutMissing and LayoutUnreadable."""
    if name not in mine:
        raise LayoutMissing(name=name)
    return unpacked(name, mine[name])


async def save_layout(engine: Engine, name: str, wanted: Layout, *, seen: str | None = None) -> Sent:
    """Keep a layout under its name, in the place of what was seen there; None where there was nothing.

    Raises LayoutNameless, what `arranged` does, and what the server refuses.
    """
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME:
        raise LayoutNameless
    arranged(FINANCE_PAGES, wanted, engine.language)
    return await _change(engine, name, packed(wanted), seen)


async def remove_layout(engine: Engine, name: str, *, seen: str) -> Sent:
    """Forget the layout that was seen. Raises what the server refuses."""
    return await _change(engine, name, None, seen)


async def send_owed(engine: Engine, *, awaited: str | None = None) -> Sent:
    """Tell the server what was saved and removed. Without a connection nothing is lost, and what it refuses is owed.

    But what it refuses of `awaited` is raised, and owed no more: a person is there to mend it.
    """
    setting = _setting(engine)
    elsewhere: list[Elsewhere] = []
    tried: set[str] = set()
    while left := await engine.stores.outbox(lambda outbox: _untried(outbox, setting, tried)):
        name, owed = left
        tried.add(name)
        try:
            await engine.session.tell(_call(name, owed))
        except NotSignedIn:
            raise
        except KamengError as error:
            if _is_away(error):
                return Sent(is_owed=True, elsewhere=tuple(elsewhere))
            if code_of(error) == _SAVED_ELSEWHERE:
                aside = partial(_set_aside, setting=setting, refused=left, taken=await layouts(engine))
                elsewhere += await engine.stores.outbox(aside)
            elif name == awaited:
                await engine.stores.outbox(lambda outbox: _forget(outbox, setting, left))
                raise
        else:
            await engine.stores.outbox(lambda outbox: _settle(outbox, setting, left))
    return Sent(elsewhere=tuple(elsewhere))


async def _change(engine: Engine, name: str, text: str | None, seen: str | None) -> Sent:
    setting, owed = _setting(engine), _Owed(text, _named(seen))
    await engine.stores.outbox(lambda outbox: _owe(outbox, setting, name, owed))
    sent = await send_owed(engine, awaited=name)
    engine.announce("layout", initiator="layout")
    return sent


def _call(name: str, owed: _Owed) -> Call:
    if owed.text is None:
        return Call("DELETE", _HERE, query={"name": name, "seen": owed.seen})
    return Call("PUT", _HERE, body=SaveLayout(name=name, layout=owed.text, seen=owed.seen))


def _free(name: str, taken: Container[str]) -> str:
    """A name beside one that is taken, such as `月报 (2)`."""
    beside = (f" ({n})" for n in count(2))
    return next(one for end in beside if (one := name[: _LONGEST_NAME - len(end)] + end) not in taken)


def _is_away(error: KamengError) -> bool:
    return is_passing(error) or is_foreign(error)


def _setting(engine: Engine) -> str:
    return f"layouts/{engine.session.require_account().name}"


# --- what is owed, in the outbox ---


def _owed(outbox: Outbox, setting: str) -> dict[str, _Owed]:
    """What the server does not know yet, by name. An earlier version noted the text alone."""
    text = outbox.setting(setting)
    kept = msgspec.json.decode(text, type=dict[str, _Owed | str | None]) if text else {}
    return {name: _Owed(one) if isinstance(one, str) else one for name, one in kept.items() if one is not None}


def _untried(outbox: Outbox, setting: str, tried: Container[str]) -> tuple[str, _Owed] | None:
    return next((one for one in _owed(outbox, setting).items() if one[0] not in tried), None)


def _owe(outbox: Outbox, setting: str, name: str, new: _Owed) -> None:
    """What was seen first counts of what is changed again before the server knows of it."""
    owed = _owed(outbox, setting)
    if name in owed:
        before = owed[name]
        new = msgspec.structs.replace(new, seen=before.seen or _named(before.text))
    _keep(outbox, setting, owed | {name: new})


def _settle(outbox: Outbox, setting: str, sent: tuple[str, _Owed]) -> None:
    """The server knows this of the name; what was changed meanwhile is still owed, in its place."""
    name, known = sent
    owed = _owed(outbox, setting)
    if name in owed and owed[name].text != known.text:
        _keep(outbox, setting, owed | {name: _Owed(owed[name].text, _named(known.text))})
    else:
        _forget(outbox, setting, sent)


def _set_aside(
    outbox: Outbox, setting: str, refused: tuple[str, _Owed], taken: Container[str]
) -> tuple[Elsewhere, ...]:
    """Another layout has the name: this one is owed under a free one. What was changed meanwhile is sent anew."""
    name, one = refused
    if _owed(outbox, setting).get(name) != one:
        return ()
    _forget(outbox, setting, refused)
    if one.text is None:
        return (Elsewhere(name, None),)
    kept_as = _free(name, taken)
    _owe(outbox, setting, kept_as, _Owed(one.text))
    return (Elsewhere(name, kept_as),)


def _forget(outbox: Outbox, setting: str, sent: tuple[str, _Owed]) -> None:
    name, known = sent
    owed = _owed(outbox, setting)
    if name in owed and owed[name].text == known.text:
        del owed[name]
        _keep(outbox, setting, owed)


def _named(text: str | None) -> str | None:
    return layout_hash(text) if text is not None else None


def _keep(outbox: Outbox, setting: str, owed: dict[str, _Owed]) -> None:
    outbox.set_setting(setting, msgspec.json.encode(owed).decode() if owed else None)
