"""The layouts of the finance workbook that people keep: each person's own, and nobody else's.

They are here so that every console and command line of a person has the same ones. What a layout says is the
console's business.
"""

from __future__ import annotations

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from server.db import Tx
from server.policy import Actor
from server.reports.model import ReportLayout
from shared import clock
from shared.contracts.reports import SavedLayout, SaveLayout, layout_hash
from shared.errors import Conflict

MOST = 50


class TooManyLayouts(Conflict):
    """A person's layouts are read at once, and so they are few."""

    code = "layout.too_many"
    zh = "最多保存 {most} 个版式，请先删除不用的。"
    en = "At most {most} layouts can be kept. Remove one that is not used."


class LayoutSavedElsewhere(Conflict):
    """Under this name another one is kept than the console saw: it is neither replaced nor removed."""

    code = "layout.saved_elsewhere"
    zh = "版式“{name}”已在别处另行保存。"
    en = "The layout “{name}” was saved elsewhere meanwhile."


def kept(tx: Tx, actor: Actor) -> list[SavedLayout]:
    """This person's layouts, by name."""
    rows = tx.scalars(select(ReportLayout).where(ReportLayout.user_id == actor.id).order_by(ReportLayout.name))
    return [SavedLayout(name=row.name, layout=row.layout, saved_at=row.saved_at) for row in rows]


def save(tx: Tx, wanted: SaveLayout, *, actor: Actor) -> None:
    """Keep a layout under its name, in the place of the one that was seen; a repeat changes nothing.

    Raises LayoutSavedElsewhere and TooManyLayouts.
    """
    if _replaced(tx, wanted, actor):
        return
    count = tx.scalar(select(func.count()).where(ReportLayout.user_id == actor.id)) or 0
    if count >= MOST:
        raise TooManyLayouts(most=MOST)
    try:
        with tx.begin_nested():
            values = {"layout": wanted.layout, "saved_at": clock.now()}
            tx.execute(insert(ReportLayout).values(user_id=actor.id, name=wanted.name, **values))
    except IntegrityError:  # saved from two machines at one moment
        _replaced(tx, wanted, actor)


def remove(tx: Tx, name: str, seen: str, *, actor: Actor) -> None:
    """Forget the layout that was seen; a repeat changes nothing. Raises LayoutSavedElsewhere."""
    text = _text(tx, name, actor)
    if text is None:
        return
    if layout_hash(text) != seen:
        raise LayoutSavedElsewhere(name=name)
    tx.execute(delete(ReportLayout).where(ReportLayout.user_id == actor.id, ReportLayout.name == name))


def _replaced(tx: Tx, wanted: SaveLayout, actor: Actor) -> bool:
    text = _text(tx, wanted.name, actor)
    if text is None:
        return False
    if text != wanted.layout:
        if layout_hash(text) != wanted.seen:
            raise LayoutSavedElsewhere(name=wanted.name)
        older = update(ReportLayout).where(ReportLayout.user_id == actor.id, ReportLayout.name == wanted.name)
        tx.execute(older.values(layout=wanted.layout, saved_at=clock.now()))
    return True


def _text(tx: Tx, name: str, actor: Actor) -> str | None:
    """What is kept under a name, until the transaction ends."""
    mine = select(ReportLayout.layout).where(ReportLayout.user_id == actor.id, ReportLayout.name == name)
    return tx.scalars(mine.with_for_update()).first()
