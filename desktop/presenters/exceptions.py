"""The Exceptions screen: money and orders that need a person; of one its evidence, what to do, and who said what."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.operations import exceptions, orders
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.cases import Cases
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.runbook import RUNBOOK
from desktop.presenters.typed import typed_fen
from desktop.presenters.words import channel_word, in_words, longest, tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.orders import Order
from shared.contracts.payments import EVIDENCE, Candidate, PaymentException
from shared.ids import speak_order_code
from shared.labels import words_of
from shared.money import format_fen
from shared.permissions import Permission
from shared.states import (
    TWO_PEOPLE,
    AttemptState,
    BillTrouble,
    ExceptionAction,
    ExceptionKind,
    ExceptionState,
    FoundBy,
    RefundTrouble,
)

STATES: tuple[ExceptionState | None, ...] = (
    None,
    ExceptionState.OPEN,
    ExceptionState.PROPOSED,
    ExceptionState.WORKING,
    ExceptionState.CLOSED,
)
"""The filters, in this order; None is all that is not closed."""

_NOTE = Entry("note", ("说明（必填，会记入操作日志）", "Note (needed; it goes into the log)"))
_ORDER = Entry("order_code", ("订单号", "Order code"), most=24)
_REFUND_NO = Entry("provider_no", ("渠道退款单号（商户后台可查）", "Channel's refund number (in its console)"), most=64)
PAYMENT_NO = Entry("provider_no", ("渠道流水号（商户后台可查）", "Channel's number (in its console)"), most=64)
RECEIVED = Entry("amount", ("渠道后台显示的金额（元）", "The amount that its console shows"), most=16)
_REMARK = Entry("note", ("说明（可不填）", "Note (may be left out)"), needed=False)

_EFFECTS: dict[ExceptionAction, Pair] = {
    ExceptionAction.DELIVER: ("给买家发出卡密，这笔钱随之入账", "The keys are delivered and the money is booked"),
    ExceptionAction.REFUND: ("{amount} 原路退回买家", "{amount} go back to the payer"),
    ExceptionAction.ATTACH: (
        "{amount} 作为所填订单的付款，有货即发货",
        "{amount} pay the order that you name, which is delivered if there is stock",
    ),
    ExceptionAction.ASK_AGAIN: ("立即再问一次渠道，不动钱", "The channel is asked at once; no money moves"),
    ExceptionAction.CONFIRM: (
        "按渠道后台所见，确认 {amount} 已经收到，订单有货即发货",
        "{amount} were received, as the channel's console shows; the order is delivered if there is stock",
    ),
    ExceptionAction.RECORD: (
        "{amount} 已在渠道后台退回买家：只记账，不再退一次",
        "{amount} went back in the channel's own console: it is booked, and nothing is refunded again",
    ),
    ExceptionAction.DISMISS: ("不动钱也不动货，只记下原因", "Nothing moves; the reason is kept"),
}
_ENTRIES: dict[ExceptionAction, tuple[Entry, ...]] = {
    ExceptionAction.ATTACH: (_ORDER,),
    ExceptionAction.CONFIRM: (PAYMENT_NO, RECEIVED),
    ExceptionAction.RECORD: (_REFUND_NO,),
}
"""What is typed besides why."""

_NEEDS_TWO: Pair = ("；另一位同事复核后才执行", "; another person must approve it first")
_USUAL: dict[ExceptionAction, tuple[Pair, ...]] = {
    ExceptionAction.DELIVER: (("已补货", "Stock was brought in"),),
    ExceptionAction.REFUND: (
        ("已与渠道账单核对", "Compared with the channel's bill"),
        ("买家要求退款", "The buyer wants the money back"),
    ),
    ExceptionAction.ATTACH: (("付款人与买家核对一致", "Payer and buyer are the same"),),
    ExceptionAction.ASK_AGAIN: (("已在商户平台处理", "Settled in the channel's console"),),
    ExceptionAction.CONFIRM: (("渠道查询与通知中断，后台可见到账", "Seen in the channel's console; its answers fail"),),
    ExceptionAction.RECORD: (("已在商户平台退款", "Refunded in the channel's console"),),
    ExceptionAction.DISMISS: (("已核实，无需处理", "Looked into; nothing to do"),),
}


def _when(e: PaymentException) -> str:
    return formats.short_moment(e.created_at, today=shop_day(now()))


_OURS = "CNY"


def amount_of(e: PaymentException) -> str:
    """What came, in the currency in which it came, else what was to come."""
    return formats.money(e.expected_fen) if e.received_fen is None else _money(e.received_fen, _currency(e))


def _currency(e: PaymentException) -> str:
    return next((one.value for one in e.evidence if one.name == "currency"), _OURS)


def _money(fen: int, currency: str) -> str:
    """An amount of another currency is never shown as yuan: its number of hundredths, with its code."""
    return formats.money(fen) if currency == _OURS else f"{currency} {format_fen(fen)}"


COLUMNS = (
    Column[PaymentException](
        "kind",
        lambda e: word(e.kind),
        stretch=True,
        tip=lambda e: in_words(RUNBOOK[e.kind]),
        sample=longest(ExceptionKind),
    ),
    Column[PaymentException](
        "state", lambda e: word(e.state), tone=lambda e: tone(e.state), sample=longest(ExceptionState)
    ),
    Column[PaymentException]("amount", amount_of, numeric=True, sample="¥12,345.00"),
    Column[PaymentException](
        "code",
        lambda e: speak_order_code(e.order_code) if e.order_code else "–",
        code=True,
        sample="7K3M-9QX2-H4TD",
        spare=True,
    ),
    Column[PaymentException]("channel", lambda e: channel_word(e.channel), sample="WeChat Pay", spare=True),
    Column[PaymentException](
        "created", _when, sample="03-02 10:00:00", tip=lambda e: formats.moment(e.created_at), spare=True
    ),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the evidence, ready to show. `is_code`: read letter by letter."""

    words: str
    value: str
    is_code: bool = False


def evidence(e: PaymentException) -> list[Fact]:
    """What it is about, in the order that the server tells it; a name of a later version stands as it is."""
    return [_fact(one.name, one.value, _currency(e)) for one in e.evidence]


_WORDED: dict[str, type[StrEnum]] = {
    "found_by": FoundBy,
    "attempt_state": AttemptState,
    "trouble": RefundTrouble,
    "bill_trouble": BillTrouble,
}
"""Evidence whose values have words."""

_SAID: dict[str, Pair] = {
    "pending": ("未支付", "not paid"),
    "paid": ("已支付", "paid"),
    "refunded": ("已退款", "refunded"),
    "processing": ("退款处理中", "refund in progress"),
    "succeeded": ("退款成功", "refund succeeded"),
    "abnormal": ("退款异常", "refund abnormal"),
    "failed": ("退款失败", "refund failed"),
    "closed": ("已关闭", "closed"),
    "unbilled": ("渠道账单里没有这个退款单号", "no bill of the channel has this number"),
    "held": ("暂收中", "set aside"),
    "returning": ("退款中", "on its way back"),
    "returned": ("已退回", "given back"),
    "attached": ("已归入订单", "attached to an order"),
    "corrected": ("渠道已更正", "corrected by the channel"),
}
"""What channels say of payments and refunds (`channel_state`, `said`), and where money set aside is."""


def _fact(name: str, value: str, currency: str) -> Fact:
    words = in_words(EVIDENCE.get(name, (name, name)))
    if name.endswith("_fen") and value.lstrip("-").isdigit():
        return Fact(words, _money(int(value), _OURS if name == "expected_fen" else currency))
    if name.endswith("_at"):
        try:
            return Fact(words, formats.moment(datetime.fromisoformat(value)))
        except ValueError:
            return Fact(words, value)
    if name == "order_code":
        return Fact(words, speak_order_code(value), is_code=True)
    kind = _WORDED.get(name)
    if kind is not None and value in set(kind):
        return Fact(words, word(kind(value)))
    if name in {"channel_state", "said", "set_aside"} and value in _SAID:
        return Fact(words, in_words(_SAID[value]))
    return Fact(words, value, is_code=name.endswith(("_no", "_id", "_ids")))


def story(e: PaymentException) -> list[tuple[str, str]]:
    """Who has said and done what, and when: ready to show."""
    steps = [(formats.moment(e.created_at), in_words(("发现", "Found")))]
    if e.action is not None and e.proposed_by is not None:
        words = in_words(("{who} 提议{action}", "{who} proposed: {action}"))
        told = words.format(who=e.proposed_by, action=word(e.action) + _target(e))
        steps.append((formats.moment(e.proposed_at), f"{told}\n{e.note}" if e.note else told))
    if e.approved_by is not None:
        steps.append(("", in_words(("{who} 复核通过", "{who} approved")).format(who=e.approved_by)))
    if e.closed_at is not None:
        words = in_words(("{who} 关闭", "{who} closed it"))
        steps.append((formats.moment(e.closed_at), words.format(who=e.closed_by or in_words(("系统", "The system")))))
    return steps


def before_its_money(one: Candidate) -> str:
    """How long before the money came an order was placed."""
    hours, minutes = divmod(one.seconds // 60 + 1, 60)  # a minute that has begun counts
    if hours:
        return in_words(("到账前 {h} 小时 {m} 分下单", "placed {h}h {m}m before")).format(h=hours, m=minutes)
    return in_words(("到账前 {m} 分钟下单", "placed {m} min before")).format(m=minutes)


def _target(e: PaymentException) -> str:
    """What the proposed action names: an order, or the channel's number of what a person saw there."""
    if e.action_order_code is not None:
        return f" {speak_order_code(e.action_order_code)}"
    return f" {e.action_provider_no}" if e.action_provider_no else ""


class Exceptions(Cases[PaymentException]):
    """The screen's state.

    Attributes:
        state, kind, channel: what the list shows; None is any.
        order: the order that the one in front is about, or None.
        candidates: unpaid orders that its money may be meant for; None while they are not known.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        may = frozenset(person.permissions)
        super().__init__(ask, COLUMNS, may_see=Permission.PAYMENTS_EXCEPTION_READ in may)
        self.may_handle = Permission.PAYMENTS_EXCEPTION_HANDLE in may
        self.may_see_refunds = Permission.PAYMENTS_REFUND_READ in may
        self.state: ExceptionState | None = None
        self.kind: ExceptionKind | None = None
        self.channel: str | None = None
        self.order: Order | None = None
        self.candidates: list[Candidate] | None = None
        self._order_latest = Latest()
        self._candidates_latest = Latest()

    def show(self, *, state: ExceptionState | None, kind: ExceptionKind | None, channel: str | None) -> None:
        """Show the exceptions of a state, a kind and a channel."""
        self.state, self.kind, self.channel = state, kind, channel
        open_only = state is not ExceptionState.CLOSED
        self.feed.show(
            lambda engine, after: exceptions.list_exceptions(
                engine, open_only=open_only, state=state, kind=kind, channel=channel, after=after
            )
        )
        self.changed()

    def show_list(self) -> None:
        self.show(state=self.state, kind=self.kind, channel=self.channel)

    def count_waiting(self) -> None:
        if self.may_see:
            self.waiting.show(lambda engine, after: exceptions.list_exceptions(engine, after=after))

    def waits(self, case: PaymentException) -> bool:
        if case.state is ExceptionState.PROPOSED:
            return not case.proposed_by_reader
        return case.state is ExceptionState.OPEN

    def read_one(self, case_id: UUID) -> Callable[[Engine], Coroutine[Any, Any, Seen[PaymentException]]]:
        return lambda engine: exceptions.one(engine, case_id)

    @property
    def waits_for_second(self) -> bool:
        """Whether the one in front was proposed by this person, so that somebody else must approve it."""
        one = self.opened
        return one is not None and one.state is ExceptionState.PROPOSED and one.proposed_by_reader

    # --- what may be done ---

    def acts_of(self, case: PaymentException) -> list[Act[PaymentException]]:
        if not self.may_handle:
            return []
        if case.state is ExceptionState.PROPOSED:
            return _answers(case)
        return [_proposal(case, action) for action in case.actions]

    # --- its order ---

    def _show(self, case: PaymentException) -> None:
        before = self.order
        if before is None or before.code != case.order_code:
            self.order = None
        if self.opened is None or self.opened.id != case.id:
            self.candidates = None
        super()._show(case)
        if ExceptionAction.ATTACH in case.actions:
            then = self._candidates_latest.only(partial(self._candidates_read, case.id))
            self._ask(lambda engine: exceptions.candidates(engine, case.id), then, lambda _error: None)
        if case.order_code is not None:
            code = case.order_code
            then = self._order_latest.only(self._order_read)
            self._ask(lambda engine: orders.find_order(engine, code), then, lambda _error: None)

    def _candidates_read(self, case_id: UUID, seen: Seen[list[Candidate]]) -> None:
        if self.opened is not None and self.opened.id == case_id:
            self.candidates = seen.value
            self.changed()

    def _order_read(self, seen: Seen[Order]) -> None:
        if self.opened is not None and self.opened.order_code == seen.value.code:
            self.order = seen.value
            self.changed()


def _proposal(case: PaymentException, action: ExceptionAction) -> Act[PaymentException]:
    amount = amount_of(case)
    zh, en = _EFFECTS[action]
    if action in TWO_PEOPLE:
        zh, en = zh + _NEEDS_TWO[0], en + _NEEDS_TWO[1]

    def work(typed: Mapping[str, str]) -> Work[PaymentException]:
        named = exceptions.Named(
            order_code=typed.get("order_code", ""),
            provider_no=typed.get("provider_no", ""),
            amount_fen=typed_fen(typed.get("amount", "")),
        )
        return lambda engine: exceptions.propose(engine, case, action, note=typed["note"], named=named)

    names = words_of(action)
    is_proposed = action in TWO_PEOPLE
    return Act(
        key=action.value,
        words=(f"提议{names[0]}", f"Propose: {names[1]}") if is_proposed else names,
        effect=(zh.format(amount=amount) + "。", en.format(amount=amount) + "."),
        done=("已提议，等待另一位同事复核", "Proposed; another person must approve it")
        if is_proposed
        else ("已处理", "Done"),
        work=work,
        entries=(*_ENTRIES.get(action, ()), _note_for(action)),
    )


def _note_for(action: ExceptionAction) -> Entry:
    return Entry(_NOTE.key, _NOTE.words, usual=_USUAL[action])


def _answers(case: PaymentException) -> list[Act[PaymentException]]:
    """What may be said to a proposal: by another person yes or no, by the proposer that it is taken back."""
    assert case.action is not None
    names, amount = words_of(case.action), amount_of(case)
    zh, en = (text.format(amount=amount) for text in _EFFECTS[case.action])
    if case.action_provider_no is not None:
        number = case.action_provider_no
        zh, en = f"先在渠道后台核对单号 {number}。{zh}", f"Look for {number} in the channel's console first. {en}"

    def say(*, approved: bool) -> Callable[[Mapping[str, str]], Work[PaymentException]]:
        return lambda typed: lambda engine: exceptions.approve(engine, case, approved=approved, note=typed["note"])

    back = Act(
        key="send_back",
        words=("撤回提议", "Take it back") if case.proposed_by_reader else ("退回", "Send back"),
        effect=("回到待处理，什么都不执行。", "It is open again; nothing is done."),
        done=("已退回，重新待处理", "It is open again"),
        work=say(approved=False),
        entries=(_REMARK,),
    )
    if case.proposed_by_reader:
        return [back]
    yes = Act(
        key="approve",
        words=(f"同意{names[0]}", f"Approve: {names[1]}"),
        effect=(f"{zh}，立即执行。", f"{en}, at once."),
        done=("已复核，正在执行", "Approved"),
        work=say(approved=True),
        entries=(_REMARK,),
    )
    return [yes, back]
