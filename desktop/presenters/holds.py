"""Holds: what people keep from being settled, of one order or of a whole supplier, until somebody lets go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from desktop.operations import settlement
from desktop.presenters import formats
from desktop.presenters.acting import Act, Acting, Entry, Work
from desktop.presenters.feed import Feed
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.settlement import Hold, NewHold
from shared.errors import BadInput
from shared.ids import speak_order_code
from shared.permissions import Permission

HOLD, FREE = "hold", "free"


class NotADay(BadInput):
    """What was typed is no day."""

    code = "settlement.not_a_day"
    zh = "日期请填 2026-03-02 这样的格式。"
    en = "A day looks like 2026-03-02."


def typed_day(text: str) -> date | None:
    """A day as a person types it; None for nothing. Raises NotADay."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise NotADay from error


def hold_act(
    acting: Acting[Any], *, order_code: str | None = None, supplier_id: UUID | None = None, supplier: str = ""
) -> Act[Any]:
    """Holding back one order, or a whole supplier of that name."""

    def work(typed: Mapping[str, str]) -> Work[Any]:
        held = NewHold(
            id=acting.attempt_id,
            order_code=order_code,
            supplier_id=supplier_id,
            reason=typed["reason"],
            until=typed_day(typed["until"]),
        )
        return partial(settlement.hold, new=held)

    what = speak_order_code(order_code) if order_code is not None else supplier
    return Act(
        HOLD,
        ("暂缓结算…", "Hold its settlement…") if order_code is not None else ("暂缓这家供应商…", "Hold this supplier…"),
        (f"“{what}”不再进入结算单，直到放行；供应商看得到原因。", f"“{what}” goes on no statement until it is let go."),
        ("已暂缓", "Held"),
        work,
        (
            Entry("reason", ("原因（必填，供应商会看到）", "Reason (needed; the supplier reads it)")),
            Entry("until", ("到哪一天自动放行（可不填）", "Until which day (may be left out)"), needed=False, most=10),
        ),
    )


def what_is_held(one: Hold) -> str:
    """An order, or a whole supplier."""
    if one.order_code is not None:
        return speak_order_code(one.order_code)
    return in_words(("供应商 {name} 的全部", "All of {name}")).format(name=one.supplier or "–")


COLUMNS = (
    Column[Hold]("what", what_is_held, sample="供应商 八个汉字的名称 的全部"),
    Column[Hold]("reason", lambda h: h.reason, stretch=True, tip=lambda h: h.reason, sample="八个汉字的原因名"),
    Column[Hold]("until", lambda h: formats.day(h.until), sample="2026-03-02"),
    Column[Hold]("by", lambda h: h.held_by, sample="八个汉字名", spare=True),
    Column[Hold](
        "at",
        lambda h: formats.short_moment(h.held_at, today=shop_day(now())),
        tip=lambda h: formats.moment(h.held_at),
        sample="03-02 10:00",
        spare=True,
    ),
)


class Holds(Watched):
    """Those that stand.

    Attributes:
        feed: the holds.
        chosen: the one in front, or None.
        acting: letting go of it.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self.may_hold = Permission.SETTLEMENT_HOLD_EDIT in frozenset(person.permissions)
        self.feed: Feed[Hold] = Feed(ask, COLUMNS)
        self.chosen: Hold | None = None
        self.acting: Acting[Hold] = Acting(ask, lambda _freed: self.feed.reload(), self.feed.reload)
        self.feed.watch(self._look)

    def open(self) -> None:
        """Read them."""
        self.feed.show(lambda engine, _after: settlement.list_holds(engine))

    def choose(self, one: Hold | None) -> None:
        """Look at one."""
        self.chosen = one
        self.acting.offer([] if one is None else [_free(one)])
        self.changed()

    def renew(self, *, is_own: bool) -> None:
        """Something was held or let go, here or elsewhere."""
        self.feed.renew(is_own=is_own)

    def _look(self) -> None:
        """One that was let go is gone from the list."""
        if self.chosen is not None and not self.feed.loading and self.chosen not in self.feed.rows:
            self.choose(None)


def _free(one: Hold) -> Act[Hold]:
    return Act(
        FREE,
        ("放行", "Let it go"),
        (f"“{what_is_held(one)}”可以进入下一次结算单。", f"“{what_is_held(one)}” can go on the next statement."),
        ("已放行", "Let go"),
        lambda _typed: lambda engine: settlement.free(engine, one.id),
    )
