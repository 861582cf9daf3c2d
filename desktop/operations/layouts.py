"""Layouts of the finance workbook, kept on this machine for each person: named, listed, saved, removed."""

from __future__ import annotations

import msgspec

from desktop.engine.engine import Engine
from desktop.exporting.finance_pages import FINANCE_PAGES
from desktop.exporting.layouts import Layout, arranged, packed, unpacked
from shared.errors import BadInput, NotFound

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
    """The names of this person's layouts, in order."""
    return sorted(await _kept(engine))


async def layout(engine: Engine, name: str) -> Layout:
    """One layout. Raises LayoutMissing and LayoutUnreadable."""
    kept = await _kept(engine)
    if name not in kept:
        raise LayoutMissing(name=name)
    return unpacked(name, kept[name])


async def save_layout(engine: Engine, name: str, wanted: Layout) -> None:
    """Keep a layout under its name, in the place of an older one. Raises LayoutNameless, and what `arranged` does."""
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME:
        raise LayoutNameless
    arranged(FINANCE_PAGES, wanted, engine.language)
    await _keep(engine, await _kept(engine) | {name: packed(wanted)})


async def remove_layout(engine: Engine, name: str) -> None:
    """Forget a layout. Raises LayoutMissing."""
    kept = await _kept(engine)
    if kept.pop(name, None) is None:
        raise LayoutMissing(name=name)
    await _keep(engine, kept)


async def _kept(engine: Engine) -> dict[str, str]:
    setting = _setting(engine)
    text = await engine.stores.outbox(lambda outbox: outbox.setting(setting))
    return msgspec.json.decode(text, type=dict[str, str]) if text else {}


async def _keep(engine: Engine, kept: dict[str, str]) -> None:
    setting, text = _setting(engine), msgspec.json.encode(kept).decode()
    await engine.stores.outbox(lambda outbox: outbox.set_setting(setting, text))
    engine.announce("layout", initiator="layout")


def _setting(engine: Engine) -> str:
    return f"layouts/{engine.session.require_account().name}"
