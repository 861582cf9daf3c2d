"""Layouts of the finance workbook, kept by the server for each person: named, listed, saved, removed.

Without a connection they are those that were seen last. What is saved or removed then is owed in the outbox, and sent
as soon as there is one; until then, and where the server refuses it, it holds on this machine.
"""

from __future__ import annotations

import msgspec
from pydantic import TypeAdapter

from desktop.engine.engine import Engine
from desktop.engine.transport import Call, is_foreign, is_passing
from desktop.exporting.finance_pages import FINANCE_PAGES
from desktop.exporting.layouts import Layout, arranged, packed, unpacked
from desktop.operations.seen import look
from desktop.store.outbox import Outbox
from shared.contracts.base import Page
from shared.contracts.reports import SavedLayout, SaveLayout
from shared.errors import BadInput, KamengError, NotFound, NotSignedIn

_HERE = "/api/reports/layouts"
_SAVED: TypeAdapter[Page[SavedLayout]] = TypeAdapter(Page[SavedLayout])
_LONGEST_NAME = 40


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


async def layouts(engine: Engine) -> list[str]:
    """The names of this person's layouts, in order. Raises what the server refuses."""
    return sorted(await _mine(engine))


async def layout(engine: Engine, name: str) -> Layout:
    """One layout. Raises LayoutMissing and LayoutUnreadable, and what the server refuses."""
    mine = await _mine(engine)
    if name not in mine:
        raise LayoutMissing(name=name)
    return unpacked(name, mine[name])


async def save_layout(engine: Engine, name: str, wanted: Layout) -> bool:
    """Keep a layout under its name, in the place of an older one; whether the server has it already.

    Raises LayoutNameless, what `arranged` does, and what the server refuses.
    """
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME:
        raise LayoutNameless
    arranged(FINANCE_PAGES, wanted, engine.language)
    return await _change(engine, name, packed(wanted))


async def remove_layout(engine: Engine, name: str) -> bool:
    """Forget a layout; whether the server has done so already. Raises LayoutMissing."""
    if name not in await _mine(engine):
        raise LayoutMissing(name=name)
    return await _change(engine, name, None)


async def send_owed(engine: Engine) -> bool:
    """Tell the server what was saved and removed without it; whether it has all by now. Without a connection nothing
    is lost.
    """
    setting = _setting(engine)
    for name, text in (await engine.stores.outbox(lambda outbox: _owed(outbox, setting))).items():
        try:
            await _send(engine, name, text)
        except NotSignedIn:
            raise
        except KamengError as error:
            if _is_away(error):
                break
    return not await engine.stores.outbox(lambda outbox: _owed(outbox, setting))


async def _mine(engine: Engine) -> dict[str, str]:
    """What the server keeps, or was seen last, as it is with what it is owed."""
    setting = _setting(engine)
    await send_owed(engine)
    try:
        seen = await look(engine, list_name="layouts", call=Call("GET", _HERE), answer=_SAVED)
        mine: dict[str, str | None] = {one.name: one.layout for one in seen.value.items}
    except KamengError as error:
        if not _is_away(error):
            raise
        mine = {}
    mine |= await engine.stores.outbox(lambda outbox: _owed(outbox, setting))
    return {name: text for name, text in mine.items() if text is not None}


async def _change(engine: Engine, name: str, text: str | None) -> bool:
    setting = _setting(engine)
    await engine.stores.outbox(lambda outbox: _owe(outbox, setting, name, text))
    is_sent = True
    try:
        await _send(engine, name, text)
    except KamengError as error:
        if not _is_away(error):
            await engine.stores.outbox(lambda outbox: _settle(outbox, setting, name, text))
            raise
        is_sent = False
    engine.announce("layout", initiator="layout")
    return is_sent


async def _send(engine: Engine, name: str, text: str | None) -> None:
    """Tell the server what it is owed of one name."""
    if text is None:
        await engine.session.tell(Call("DELETE", _HERE, query={"name": name}))
    else:
        await engine.session.tell(Call("PUT", _HERE, body=SaveLayout(name=name, layout=text)))
    setting = _setting(engine)
    await engine.stores.outbox(lambda outbox: _settle(outbox, setting, name, text))


def _is_away(error: KamengError) -> bool:
    return is_passing(error) or is_foreign(error)


def _setting(engine: Engine) -> str:
    return f"layouts/{engine.session.require_account().name}"


def _owed(outbox: Outbox, setting: str) -> dict[str, str | None]:
    """What the server does not know yet: layouts by name, None where one was removed."""
    text = outbox.setting(setting)
    return msgspec.json.decode(text, type=dict[str, str | None]) if text else {}


def _owe(outbox: Outbox, setting: str, name: str, text: str | None) -> None:
    _keep(outbox, setting, _owed(outbox, setting) | {name: text})


def _settle(outbox: Outbox, setting: str, name: str, text: str | None) -> None:
    """The server knows this of the name; what was saved under it meanwhile is still owed."""
    owed = _owed(outbox, setting)
    if owed.get(name, "") == text:
        del owed[name]
        _keep(outbox, setting, owed)


def _keep(outbox: Outbox, setting: str, owed: dict[str, str | None]) -> None:
    outbox.set_setting(setting, msgspec.json.encode(owed).decode() if owed else None)
