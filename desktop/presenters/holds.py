"""Holds: what people keep from being settled, of one order or of a whole supplier, until somebody lets go."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from desktop.operations import settlement
from desktop.presenters import formats
from desktop.presenters.acting import PLAIN, Act, Acting, Entry, Work
from desktop.presenters.listing import Column
from desktop.presenters.picked import Picked
from desktop.presenters.ports import Ask
from desktop.presenters.typed import typed_day
from desktop.presenters.words import in_words
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.settlement import Hold, NewHold
from shared.ids import speak_order_code
from shared.permissions import Permission

HOLD, FREE = "hold", "free"


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
        tone=PLAIN,
        entries=(
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


class Holds(Picked[Hold]):
    """Those that stand."""

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__(ask, COLUMNS)
        self.may_hold = Permission.SETTLEMENT_HOLD_EDIT in frozenset(person.permissions)

    def key(self, one: Hold) -> Hashable:
        return one.id

    def show_list(self) -> None:
        self.feed.show(lambda engine, _after: settlement.list_holds(engine))

    def acts(self) -> list[Act[Any]]:
        return [] if self.chosen is None else [_free(self.chosen)]


def _free(one: Hold) -> Act[Hold]:
    return Act(
        FREE,
        ("放行", "Let it go"),
        (f"“{what_is_held(one)}”可以进入下一次结算单。", f"“{what_is_held(one)}” can go on the next statement."),
        ("已放行", "Let go"),
        lambda _typed: lambda engine: settlement.free(engine, one.id),
    )
