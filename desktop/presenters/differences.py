"""The differences of reconciliation: the list, one of it explained side by side, and what two people do about it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.operations import reconciliation_differences as operations
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.cases import Cases
from desktop.presenters.days import signed
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.words import CHANNELS, channel_word, in_words, party_words, tone, word
from shared.contracts.identity import Person
from shared.contracts.reconcile import Difference, DifferenceDetail
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.ids import speak_order_code
from shared.labels import words_of
from shared.permissions import Permission

STATES: tuple[DifferenceState | None, ...] = (
    None,
    DifferenceState.OPEN,
    DifferenceState.PROPOSED,
    DifferenceState.WORKING,
    DifferenceState.RESOLVED,
    DifferenceState.MATCHED,
)
"""The filters, in this order; None is all that is not closed."""

_NOTE: Pair = ("说明（必填，会记入操作日志）", "Note (needed; it goes into the log)")
_ORDER = Entry("order_code", ("订单号", "Order code"), most=24)
_REMARK = Entry("note", ("说明（可不填）", "Note (may be left out)"), needed=False)

_EFFECTS: dict[DifferenceAction, Pair] = {
    DifferenceAction.DELIVER: (
        "先向渠道查单，确认已付后入账并给买家发货",
        "The channel is asked; once it says paid, the money is booked and the keys are delivered",
    ),
    DifferenceAction.REFUND: ("{amount} 原路退回付款人", "{amount} go back to the payer"),
    DifferenceAction.ATTACH: (
        "{amount} 作为所填订单的付款，有货即发货",
        "{amount} pay the order that you name, which is delivered if there is stock",
    ),
    DifferenceAction.BOOK: (
        "按渠道账单记一笔分录，把平台账调成 {theirs}",
        "An entry is booked as the channel's bill says: our books become {theirs}",
    ),
    DifferenceAction.CARRY: (
        "{amount} 留在账上，带到下一个未签的日子继续查",
        "{amount} stay in the books and are carried to the next open day",
    ),
    DifferenceAction.WRITE_OFF: ("{amount} 确认收不回，记为损失", "{amount} cannot be had: booked as a loss"),
    DifferenceAction.IGNORE: ("不动钱也不动账，只记下原因", "Nothing moves and nothing is booked; the reason is kept"),
}

_USUAL: dict[DifferenceAction, tuple[Pair, ...]] = {
    DifferenceAction.DELIVER: (("渠道后台显示已支付", "The channel's console shows it as paid"),),
    DifferenceAction.REFUND: (("重复支付，已与买家核实", "Paid twice; the buyer knows"),),
    DifferenceAction.ATTACH: (("付款人与买家核对一致", "Payer and buyer are the same"),),
    DifferenceAction.BOOK: (("以渠道账单为准", "As the channel's bill says"),),
    DifferenceAction.CARRY: (("等渠道下一份账单", "Waits for the channel's next bill"),),
    DifferenceAction.WRITE_OFF: (("渠道确认无此交易", "The channel knows of no such trade"),),
    DifferenceAction.IGNORE: (("已核实，无需处理", "Looked into; nothing to do"),),
}

_ALWAYS_TWO = frozenset(
    {DifferenceAction.DELIVER, DifferenceAction.REFUND, DifferenceAction.ATTACH, DifferenceAction.WRITE_OFF}
)
"""What moves a buyer's money or goods, or is a loss: it needs two people whatever the amount."""

_NEEDS_TWO: Pair = ("；另一位同事复核后才执行", "; another person must approve it first")
_MAY_NEED_TWO: Pair = (
    "；金额超过单人限额时，另一位同事复核后才执行",
    "; above the limit, another person must approve it",
)


def amount_of(one: Difference) -> str:
    """What it is about in money: the channel's figure, else ours."""
    return formats.money(one.theirs_fen if one.theirs_fen is not None else one.ours_fen)


def side(words: str, fen: int | None) -> str:
    """One side as it is, in words and in figures."""
    return words if fen is None else f"{words} {formats.money(fen)}".strip()


def figure(words: str, fen: int | None) -> str:
    """One side for a narrow cell: its figure, or in words that there is none."""
    return words if fen is None else formats.money(fen)


def doing(one: Difference) -> str:
    """What is done about it, or what is advised."""
    if one.action is not None:
        return word(one.action)
    return in_words(("建议：{action}", "Advised: {action}")).format(action=word(one.proposed_action))


def _code(one: Difference) -> str:
    return speak_order_code(one.order_code) if one.order_code else one.provider_no or one.out_trade_no or "–"


COLUMNS = (
    Column[Difference]("kind", lambda d: word(d.kind), stretch=True, tip=lambda d: d.number, sample="八个汉字的原因名"),
    Column[Difference](
        "ours",
        lambda d: figure(d.ours_words, d.ours_fen),
        numeric=True,
        tip=lambda d: side(d.ours_words, d.ours_fen),
        sample="¥123,456.00",
    ),
    Column[Difference](
        "theirs",
        lambda d: figure(d.theirs_words, d.theirs_fen),
        numeric=True,
        tip=lambda d: side(d.theirs_words, d.theirs_fen),
        sample="¥123,456.00",
    ),
    Column[Difference]("off_by", lambda d: signed(d.off_by_fen), numeric=True, sample="+¥123,456.00"),
    Column[Difference]("state", lambda d: word(d.state), tone=lambda d: tone(d.state), sample="Waits for approval"),
    Column[Difference]("doing", doing, tip=lambda d: d.note, sample="建议：补单发货", spare=True),
    Column[Difference]("code", _code, code=True, sample="7K3M-9QX2-H4TD", spare=True),
    Column[Difference]("channel", lambda d: channel_word(d.channel), sample="微信支付", spare=True),
    Column[Difference]("day", lambda d: f"{d.day:%m-%d}", tip=lambda d: formats.day(d.day), sample="03-02", spare=True),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """One named fact of both sides; a side that does not tell it has a dash. `differs`: both tell it, not alike."""

    name: str
    ours: str
    theirs: str
    differs: bool


def compared(detail: DifferenceDetail) -> list[Facts]:
    """Both rows whole beside each other: what both tell first, as ours is ordered, then what one of them tells."""
    ours = {fact.name: fact.value for fact in detail.ours}
    theirs = {fact.name: fact.value for fact in detail.theirs}
    names = [name for name in ours if name in theirs]
    names += [name for name in (*ours, *theirs) if name not in names]
    return [
        Facts(
            name,
            ours.get(name, "–"),
            theirs.get(name, "–"),
            name in ours and name in theirs and ours[name] != theirs[name],
        )
        for name in dict.fromkeys(names)
    ]


def story(detail: DifferenceDetail) -> list[tuple[str, str]]:
    """What happened to the payment or refund, and who did it, ready to show."""
    told = sorted(detail.events, key=lambda event: event.at)
    return [(formats.moment(one.at), f"{_who(one.who)} {one.what}".strip()) for one in told]


def _who(actor: str) -> str:
    return channel_word(actor) if actor in CHANNELS else party_words(actor)


class Differences(Cases[Difference]):
    """The state of the list and of the one in front.

    Attributes:
        day: whose differences the list shows, those carried into it too; None is any day.
        state, kind, channel: what else the list shows; None is any.
        detail: the one in front explained, or None while it is read.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        may = frozenset(person.permissions)
        super().__init__(ask, COLUMNS, may_see=Permission.RECONCILE_DAY_READ in may)
        self.may_handle = Permission.RECONCILE_DIFFERENCE_HANDLE in may
        self.day: date | None = None
        self.state: DifferenceState | None = None
        self.kind: DifferenceKind | None = None
        self.channel: str | None = None
        self.detail: DifferenceDetail | None = None
        self._detail_latest = Latest()
        self._handled_at: int | None = None
        self.feed.watch(self._walk_on)

    def show(
        self,
        *,
        day: date | None,
        state: DifferenceState | None,
        kind: DifferenceKind | None,
        channel: str | None,
    ) -> None:
        """Show the differences of a day, a state, a kind and a channel."""
        self.day, self.state, self.kind, self.channel = day, state, kind, channel
        self.feed.show(
            lambda engine, after: operations.list_differences(
                engine, day=day, state=state, kind=kind, channel=channel, after=after
            )
        )
        self.changed()

    def show_list(self) -> None:
        self.show(day=self.day, state=self.state, kind=self.kind, channel=self.channel)

    def count_waiting(self) -> None:
        if self.may_see:
            self.waiting.show(lambda engine, after: operations.list_differences(engine, after=after))

    def waits(self, case: Difference) -> bool:
        if case.state is DifferenceState.PROPOSED:
            return "approve" in case.actions
        return case.state is DifferenceState.OPEN and bool(case.actions)

    def read_one(self, case_id: UUID) -> Callable[[Engine], Coroutine[Any, Any, Seen[Difference]]]:
        return lambda engine: operations.one(engine, case_id)

    @property
    def waits_for_second(self) -> bool:
        """Whether the one in front waits for another person than this one."""
        one = self.opened
        return one is not None and one.state is DifferenceState.PROPOSED and "approve" not in one.actions

    def acts_of(self, case: Difference) -> list[Act[Difference]]:
        if not self.may_handle:
            return []
        offered = [action for action in DifferenceAction if action.value in case.actions]
        offered.sort(key=lambda action: action is not case.proposed_action)
        acts = [_decision(case, action) for action in offered]
        return [*(_answer(case, key) for key in ("approve", "send_back") if key in case.actions), *acts]

    def _show(self, case: Difference) -> None:
        if self.opened is None or self.opened.id != case.id:
            self.detail = None
        super()._show(case)
        then = self._detail_latest.only(partial(self._explained, case.id))
        self._ask(lambda engine: operations.explain(engine, case.id), then, self._detail_latest.also(self._not_read))

    def renew(self, *, is_own: bool) -> None:
        """Some of them changed; where no row is shown none can move under a person."""
        super().renew(is_own=is_own or not self.feed.rows)

    def _acted(self, case: Difference) -> None:
        self._handled_at = self.feed.listing.find(lambda row: row.id == case.id)
        super()._acted(case)

    def _walk_on(self) -> None:
        """What a person has handled may leave the list: the one that stands in its place now is next."""
        at, rows = self._handled_at, self.feed.rows
        if at is None or self.feed.loading or self.opened is None:
            return
        self._handled_at = None
        if at >= 0 and self.opened.id not in {row.id for row in rows}:
            self.look_into(rows[min(at, len(rows) - 1)] if rows else None)

    def _explained(self, case_id: UUID, seen: Seen[DifferenceDetail]) -> None:
        if self.opened is not None and self.opened.id == case_id:
            self.detail = seen.value
            self.changed()


def _decision(case: Difference, action: DifferenceAction) -> Act[Difference]:
    zh, en = _EFFECTS[action]
    # The server tells it of what it advises; of another action only that the limit counts.
    needs_two = action in _ALWAYS_TWO or (action is case.proposed_action and case.two_people)
    more = _NEEDS_TWO if needs_two else _MAY_NEED_TWO if case.two_people else ("", "")
    zh, en = zh + more[0], en + more[1]
    told = {"amount": amount_of(case), "theirs": formats.money(case.theirs_fen or 0)}

    def work(typed: Mapping[str, str]) -> Work[Difference]:
        code = typed.get("order_code", "")
        return lambda engine: operations.handle(engine, case, action, note=typed["note"], order_code=code)

    names = words_of(action)
    return Act(
        key=action.value,
        words=(f"提议{names[0]}", f"Propose: {names[1]}") if needs_two else names,
        effect=(zh.format(**told) + "。", en.format(**told) + "."),
        done=("已提交", "Done"),
        work=work,
        entries=(
            *((_ORDER,) if action is DifferenceAction.ATTACH else ()),
            Entry("note", _NOTE, usual=_USUAL[action]),
        ),
    )


def _answer(case: Difference, key: str) -> Act[Difference]:
    """What another person says to a decision: yes, and it is done, or that it is open again."""
    action = case.action or case.proposed_action
    names, told = words_of(action), {"amount": amount_of(case), "theirs": formats.money(case.theirs_fen or 0)}
    zh, en = (text.format(**told) for text in _EFFECTS[action])

    def work(typed: Mapping[str, str]) -> Work[Difference]:
        return lambda engine: operations.check(engine, case, approve=key == "approve", note=typed["note"])

    if key == "approve":
        return Act(
            key=key,
            words=(f"同意{names[0]}", f"Approve: {names[1]}"),
            effect=(f"{zh}，立即执行。", f"{en}, at once."),
            done=("已复核，正在执行", "Approved"),
            work=work,
            entries=(_REMARK,),
        )
    return Act(
        key=key,
        words=("退回", "Send back") if "approve" in case.actions else ("撤回提议", "Take it back"),
        effect=("回到待处理，什么都不执行。", "It is open again; nothing is done."),
        done=("已退回，重新待处理", "It is open again"),
        work=work,
        entries=(_REMARK,),
    )
