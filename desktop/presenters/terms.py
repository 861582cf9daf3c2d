"""On which terms suppliers are paid: all of them, what was agreed before, and agreeing on others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import time
from typing import Any, cast

from desktop.operations import settlement
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.listing import Column
from desktop.presenters.picked import Picked
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.statements import MODES, mode_word
from desktop.presenters.typed import typed_fen, typed_number, typed_ppm
from desktop.presenters.words import in_words, party_words, word
from shared.clock import now, shop_day
from shared.contracts.base import Page
from shared.contracts.identity import Person
from shared.contracts.settlement import EditTerms, SettlementMode, Terms
from shared.errors import BadInput
from shared.finance import Cycle, ReleaseFrom
from shared.labels import words_of
from shared.money import format_fen, format_unit_price
from shared.permissions import Permission

EDIT = "edit"

_CYCLES: dict[Cycle, Pair] = {
    Cycle.D0: ("D+0（{cutoff} 前的当日结）", "D+0 (until {cutoff})"),
    Cycle.DAYS: ("D+{n}", "D+{n}"),
    Cycle.WORKING_DAYS: ("T+{n}（工作日）", "T+{n} (working days)"),
    Cycle.WEEKLY: ("每周星期{weekday}", "weekly, weekday {n}"),
    Cycle.MONTHLY: ("每月 {n} 日", "monthly, day {n}"),
}


def cycle_words(terms: Terms) -> str:
    """How often a supplier is paid."""
    weekday = "一二三四五六日"[terms.n - 1] if terms.cycle is Cycle.WEEKLY else ""
    return in_words(_CYCLES[terms.cycle]).format(n=terms.n, cutoff=f"{terms.cutoff:%H:%M}", weekday=weekday)


def terms_words(terms: Terms) -> str:
    """On which terms a supplier is paid, in a line."""
    told = [mode_word(terms.mode), cycle_words(terms), word(terms.release_from)]
    if terms.hold_days:
        told.append(in_words(("再等 {n} 天", "held {n} days more")).format(n=terms.hold_days))
    if terms.minimum_fen:
        told.append(in_words(("满 {amount} 起结", "from {amount}")).format(amount=formats.money(terms.minimum_fen)))
    if terms.payout_fee_fen:
        fee = formats.money(terms.payout_fee_fen)
        told.append(in_words(("打款手续费 {fee}", "fee of a payout {fee}")).format(fee=fee))
    return " · ".join(told)


def tier_words(tier: str) -> str:
    """A tier as it is typed, and what the usual one means."""
    return in_words(("标准（standard）", "standard")) if tier == "standard" else tier


class NotATime(BadInput):
    """What was typed is no time of the day."""

    code = "typed.not_a_time"
    zh = "截止时间请填 17:00 这样的时间。"
    en = "A time looks like 17:00."


def typed_time(text: str) -> time:
    """A time of the day as a person types it. Raises NotATime."""
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise NotATime from error


COLUMNS = (
    Column[Terms]("supplier", lambda t: t.supplier, stretch=True, tip=lambda t: t.supplier, sample="八个汉字的名称"),
    Column[Terms]("mode", lambda t: mode_word(t.mode), sample="Purchase, paid by transfer"),
    Column[Terms]("cycle", cycle_words, sample="D+0（17:00 前的当日结）"),
    Column[Terms]("from", lambda t: word(t.release_from), sample="From completion", spare=True),
    Column[Terms]("tier", lambda t: tier_words(t.tier), sample="标准（standard）", spare=True),
    Column[Terms](
        "since",
        lambda t: formats.short_moment(t.valid_from, today=shop_day(now())) if t.version else "–",
        tip=lambda t: formats.moment(t.valid_from),
        sample="03-02 10:00",
        spare=True,
    ),
    Column[Terms]("by", lambda t: party_words(t.changed_by) if t.version else "–", sample="八个汉字名", spare=True),
)


def facts_of(terms: Terms) -> list[tuple[str, str]]:
    """All that is agreed with a supplier, ready to show."""
    to = " · ".join(part for part in (terms.receiver or terms.supplier, terms.account, terms.bank) if part)
    facts: list[tuple[Pair, str]] = [
        (("结算方式", "How it is paid"), mode_word(terms.mode)),
        (("周期", "Cycle"), cycle_words(terms)),
        (("起算", "Counted from"), word(terms.release_from)),
        (("再等", "Held more"), in_words(("{n} 天", "{n} days")).format(n=terms.hold_days)),
        (("起结金额", "Minimum"), formats.money(terms.minimum_fen)),
        (("打款手续费", "Payout fee"), formats.money(terms.payout_fee_fen)),
        (("级别", "Tier"), tier_words(terms.tier)),
        (("可分账比例", "May be split"), formats.percent(terms.split_ppm)),
        (("收款", "Paid to"), to),
    ]
    return [(in_words(words), value) for words, value in facts]


class SupplierTerms(Picked[Terms]):
    """All suppliers' terms, and the history of one.

    Attributes:
        may_edit: whether this person agrees on terms.
        history: what was agreed with the one in front, the newest first; None while it is read.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__(ask, COLUMNS)
        self.may_edit = Permission.SETTLEMENT_TERMS_EDIT in frozenset(person.permissions)
        self.history: list[Terms] | None = None
        self._latest = Latest()

    def key(self, one: Terms) -> Hashable:
        return one.supplier_id

    def show_list(self) -> None:
        self.feed.show(lambda engine, _after: settlement.list_terms(engine))

    def acts(self) -> list[Act[Any]]:
        # Offline the numbers of accounts are not whole: they would be agreed on as they stand there.
        may = self.may_edit and self.feed.live
        return [_edit(self.chosen)] if may and self.chosen is not None else []

    def choose(self, one: Terms | None) -> None:
        before, self.history = self.chosen, self.history if one == self.chosen else None
        super().choose(one)
        if one is not None and one != before:
            supplier_id = one.supplier_id
            then = self._latest.only(self._told)
            self._ask(lambda engine: settlement.terms_history(engine, supplier_id), then, lambda _error: None)

    def _told(self, seen: Seen[Page[Terms]]) -> None:
        self.history = seen.value.items
        self.changed()


def _edit(terms: Terms) -> Act[Any]:
    def work(typed: Mapping[str, str]) -> Work[Terms]:
        edit = EditTerms(
            mode=cast(SettlementMode, typed["mode"]),
            cycle=Cycle(typed["cycle"]),
            n=typed_number(typed["n"]),
            cutoff=typed_time(typed["cutoff"]),
            release_from=ReleaseFrom(typed["release_from"]),
            hold_days=typed_number(typed["hold_days"]),
            minimum_fen=typed_fen(typed["minimum"]) or 0,
            payout_fee_fen=typed_fen(typed["payout_fee"]) or 0,
            tier=typed["tier"],
            split_ppm=typed_ppm(typed["split"]),
            receiver=typed["receiver"],
            account=typed["account"],
            bank=typed["bank"],
            reason=typed["reason"],
            version=terms.version,
        )
        return lambda engine: settlement.edit_terms(engine, terms.supplier_id, edit)

    minimum, fee = format_fen(terms.minimum_fen), format_fen(terms.payout_fee_fen)
    return Act(
        EDIT,
        ("修改结算条件…", "Agree on other terms…"),
        (
            f"从现在起发货的订单按新条件结算给“{terms.supplier}”；已发货的按发货时的条件，不受影响。",
            f"What is delivered from now on is settled with “{terms.supplier}” like this; the rest as it was agreed.",
        ),
        ("已保存，从现在起生效", "Agreed, from now on"),
        work,
        (
            Entry("mode", ("结算方式", "How it is paid"), choices=tuple(MODES.items()), value=terms.mode),
            Entry("cycle", ("周期", "Cycle"), choices=_choices(Cycle), value=terms.cycle),
            Entry("n", ("n 天、星期几（1–7）或几号", "n: days, weekday or day"), value=str(terms.n), most=2),
            Entry("cutoff", ("D+0 当日截止", "Cut-off of D+0"), value=f"{terms.cutoff:%H:%M}", most=5),
            Entry("release_from", ("起算", "Counted from"), choices=_choices(ReleaseFrom), value=terms.release_from),
            Entry("hold_days", ("再等几天", "Days held more"), value=str(terms.hold_days), most=3),
            Entry("minimum", ("起结金额（元）", "Minimum (yuan)"), value=minimum, most=16),
            Entry("payout_fee", ("打款手续费（元）", "Payout fee (yuan)"), value=fee, most=8),
            Entry("tier", ("级别", "Tier"), value=terms.tier, most=32),
            Entry("split", ("渠道允许分账（%）", "May be split (%)"), value=format_unit_price(terms.split_ppm), most=8),
            Entry("receiver", ("收款人（空为供应商）", "Receiver"), needed=False, value=terms.receiver, most=120),
            Entry("account", ("收款账号", "Account"), needed=False, value=terms.account, most=64),
            Entry("bank", ("开户行或渠道", "Bank or channel"), needed=False, value=terms.bank, most=120),
            Entry("reason", ("原因与依据，如合同号（必填，会记入操作日志）", "Why, and by which contract (needed)")),
        ),
    )


def _choices(kinds: type[Cycle] | type[ReleaseFrom]) -> tuple[tuple[str, Pair], ...]:
    return tuple((one.value, words_of(one)) for one in kinds)
