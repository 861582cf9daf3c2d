"""The Refunds screen: money that goes back, whose turn it is until when, and what this person may say."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.operations import refunds
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.cases import Cases
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask
from desktop.presenters.words import time_left, tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.payments import Refund
from shared.ids import speak_order_code
from shared.permissions import Permission
from shared.states import RefundState, RefundTurn

STATES: tuple[RefundState, ...] = (
    RefundState.SUPPLIER_WAIT,
    RefundState.APPROVED,
    RefundState.SUBMITTED,
    RefundState.PROCESSING,
    RefundState.ABNORMAL,
    RefundState.SUCCEEDED,
    RefundState.REFUSED,
    RefundState.CLOSED,
)
"""The states offered as filters, after those that are with the reader and all of them."""

MOST_IMAGES = 3
"""Images that a supplier may show beside one; the server has the last word."""

_ENDED = frozenset({RefundState.SUCCEEDED, RefundState.REFUSED, RefundState.CLOSED})


def goods(refund: Refund) -> str:
    """What it takes back, in one line; money that pays for nothing says why it is here."""
    return ", ".join(f"{line.title} × {formats.count(line.quantity)}" for line in refund.lines) or word(refund.cause)


def whose(refund: Refund) -> str:
    """Who has the ball, and how long."""
    if refund.turn is None:
        return "–"
    words = word(refund.turn)
    if refund.due_at is not None and refund.state not in _ENDED:
        words += " · " + time_left(refund.due_at, now=now())
    return words


def reason(refund: Refund) -> str:
    """Why: what the buyer chose, else why the shop does it."""
    return word(refund.reason_kind) if refund.reason_kind is not None else word(refund.cause)


def _when(refund: Refund) -> str:
    return formats.short_moment(refund.asked_at, today=shop_day(now()))


def _code(refund: Refund) -> str:
    return speak_order_code(refund.order_code) if refund.order_code else "–"


COLUMNS = (
    Column[Refund]("code", _code, code=True, sample="7K3M-9QX2-H4TD"),
    Column[Refund]("goods", goods, stretch=True, tip=goods, sample="八个汉字的名称大"),
    Column[Refund]("amount", lambda r: formats.money(r.amount_fen), numeric=True, sample="¥1,234.00"),
    Column[Refund]("turn", whose, tip=lambda r: f"{whose(r)} · {word(r.state)}", sample="供应商 · 剩 23 小时 59 分"),
    Column[Refund](
        "state", lambda r: word(r.state), tone=lambda r: tone(r.state), sample="With the supplier", spare=True
    ),
    Column[Refund]("reason", reason, sample="The key does not work", spare=True),
    Column[Refund]("asked", _when, sample="03-02 10:00:00", tip=lambda r: formats.moment(r.asked_at), spare=True),
)

_EVIDENCE_USUAL: tuple[Pair, ...] = (
    ("在发行方查到：该卡已被使用，充值时间 ", "The issuer says that it was used, at "),
    ("在发行方查到：该卡有效，未使用", "The issuer says that it is valid and unused"),
)
_EVIDENCE = Entry(
    "said",
    ("依据（必填，店铺与买家都会看到）", "Evidence (needed; shop and buyer read it)"),
    usual=_EVIDENCE_USUAL,
    most=1000,
)
_WORDS = Entry("said", ("给买家的话（可不填）", "A word to the buyer (may be left out)"), needed=False, most=1000)
_REASON = Entry("said", ("理由（必填，买家会看到）", "Reason (needed; the buyer reads it)"))
_NOTE = Entry("said", ("说明（可不填）", "Note (may be left out)"), needed=False)

AGREE, REPLACE, REFUSE = "agree", "replace", "refuse"
APPROVE, REPLACE_BY_SHOP, DECLINE = "approve", "replace_by_shop", "decline"
CHECK, STOP, RETRY = "check", "stop", "retry"


class Refunds(Cases[Refund]):
    """The screen's state.

    Attributes:
        mine: whether the list shows those that wait for this person.
        state: else the state that it shows; None is all.
        pictures: the images beside the refund in front, as they arrive; None for one that could not be read.
        picture_error: why one was not taken.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        may = frozenset(person.permissions)
        super().__init__(ask, COLUMNS, may_see=Permission.PAYMENTS_REFUND_READ in may)
        self.is_supplier = person.supplier_id is not None
        self.may_see_units = Permission.STOCK_UNIT_READ in may
        self.turns = tuple(
            turn
            for turn, is_mine in (
                (RefundTurn.SUPPLIER, self.is_supplier and Permission.PAYMENTS_REFUND_ANSWER in may),
                (RefundTurn.SHOP, Permission.PAYMENTS_REFUND_DECIDE in may),
                (RefundTurn.FINANCE, Permission.PAYMENTS_REFUND_CHECK in may),
            )
            if is_mine
        )
        self.mine = True
        self.state: RefundState | None = None
        self.pictures: dict[UUID, bytes | None] = {}
        self.picture_error: Exception | None = None
        self._asked_for: set[UUID] = set()

    def show(self, *, mine: bool, state: RefundState | None = None) -> None:
        """Show those that wait for this person, or those of a state."""
        self.mine, self.state = mine, state
        turns = self.turns if mine else ()
        self.feed.show(lambda engine, after: refunds.list_refunds(engine, state=state, turns=turns, after=after))
        self.changed()

    def show_list(self) -> None:
        self.show(mine=self.mine, state=self.state)

    def count_waiting(self) -> None:
        if self.may_see:
            turns = self.turns
            self.waiting.show(lambda engine, after: refunds.list_refunds(engine, turns=turns, after=after))

    def waits(self, case: Refund) -> bool:
        asked_again = "retry" in case.actions and case.turn in self.turns
        return asked_again or bool(set(case.actions) - {"retry", "stop"})

    def read_one(self, case_id: UUID) -> Callable[[Engine], Coroutine[Any, Any, Seen[Refund]]]:
        return lambda engine: refunds.one(engine, case_id)

    def may_show(self, case: Refund) -> bool:
        """Whether this person may show an image before it answers."""
        mine = [one for one in case.images if one.party == "supplier"]
        return self.is_supplier and "answer" in case.actions and len(mine) < MOST_IMAGES

    def show_pictures(self, files: Sequence[Path]) -> None:
        """Show these images beside the refund in front."""
        if self.opened is not None:
            refund_id = self.opened.id
            self._ask(lambda engine: refunds.show(engine, refund_id, files), self._shown, self._not_shown)

    def _shown(self, case: Refund) -> None:
        self.picture_error = None
        if self.opened is not None and self.opened.id == case.id:
            self._show(case)

    def _not_shown(self, error: Exception) -> None:
        self.picture_error = error
        self.changed()
        self.read_again()  # some of them may have been taken

    def look_into(self, case: Refund | None) -> None:
        if case is None or self.opened is None or case.id != self.opened.id:
            self.picture_error = None
        super().look_into(case)

    def _show(self, case: Refund) -> None:
        wanted = {one.id for one in case.images}
        self.pictures = {one: content for one, content in self.pictures.items() if one in wanted}
        new, self._asked_for = wanted - self._asked_for, wanted
        super()._show(case)
        for image_id in new:
            self._fetch(case.id, image_id)

    def _fetch(self, refund_id: UUID, image_id: UUID) -> None:
        then, otherwise = partial(self._arrived, image_id), partial(self._missed, image_id)
        self._ask(lambda engine: refunds.picture(engine, refund_id, image_id), then, otherwise)

    def _arrived(self, image_id: UUID, content: bytes | None) -> None:
        if image_id in self._asked_for:
            self.pictures[image_id] = content
            self.changed()

    def _missed(self, image_id: UUID, _error: Exception) -> None:
        self._arrived(image_id, None)

    def acts_of(self, case: Refund) -> list[Act[Refund]]:
        if "decide" in case.actions:  # whoever may decide need not answer for the supplier
            return _decisions(case)
        if "answer" in case.actions:
            return _answers(case)
        if "check" in case.actions:
            return _checks(case)
        if "stop" in case.actions:
            return [_stop(case)]
        return [_retry(case)] if "retry" in case.actions else []


def _back(refund: Refund) -> Pair:
    amount = formats.money(refund.amount_fen)
    zh, en = f"{amount} 原路退回买家", f"{amount} go back to the buyer"
    if refund.viewed_at is None:
        return zh + "；卡密没人看过，退回库存。", en + "; nobody saw the key, so it is sold again."
    return (
        zh + "；卡密已被看过，不再出售，标为已退款。",
        en + "; the key was seen: it is never sold again, and marked as refunded.",
    )


def _new_key(refund: Refund) -> Pair:
    zh, en = "马上给买家发一张新的卡密，不退款", "A new key is delivered at once instead of money"
    if refund.viewed_at is None:
        return zh + "；原来的没人看过，作废。", en + "; nobody saw the old one, and it is void from now on."
    return zh + "。比退款快：买家立刻可用。", en + ". The faster way: the buyer can use it now."


def _replaceable(refund: Refund) -> bool:
    return any(line.seqs for line in refund.lines)


def _ordered(refund: Refund, yes: Act[Refund], replace: Act[Refund], no: Act[Refund]) -> list[Act[Refund]]:
    """What the buyer hopes for comes first."""
    if not _replaceable(refund):
        return [yes, no]
    return [replace, yes, no] if refund.wants_replacement else [yes, replace, no]


def _answers(refund: Refund) -> list[Act[Refund]]:
    def say(reply: Literal["agree", "replace", "refuse"]) -> Callable[[Mapping[str, str]], Work[Refund]]:
        return lambda typed: lambda engine: refunds.answer(engine, refund, reply, evidence=typed["said"])

    yes = Act(AGREE, ("同意退款", "Agree"), _back(refund), ("已同意退款", "Agreed"), say("agree"), (_WORDS,))
    new = Act(
        REPLACE, ("补发新卡密", "Replace the key"), _new_key(refund), ("已补发", "Replaced"), say("replace"), (_WORDS,)
    )
    effect = ("交给店铺裁定，买家看得到您的依据。", "The shop decides; the buyer reads your evidence.")
    no = Act(
        REFUSE, ("不同意…", "Refuse…"), effect, ("已交给店铺裁定", "The shop decides now"), say("refuse"), (_EVIDENCE,)
    )
    return _ordered(refund, yes, new, no)


def _decisions(refund: Refund) -> list[Act[Refund]]:
    def say(*, approve: bool, replace: bool = False) -> Callable[[Mapping[str, str]], Work[Refund]]:
        return lambda typed: (
            lambda engine: refunds.decide(engine, refund, approve=approve, replace=replace, reason=typed["said"])
        )

    entry = (_REASON,)
    yes = Act(APPROVE, ("裁定退款", "Refund"), _back(refund), ("已裁定退款", "Approved"), say(approve=True), entry)
    new = Act(
        REPLACE_BY_SHOP,
        ("裁定补发", "Replace the key"),
        _new_key(refund),
        ("已补发", "Replaced"),
        say(approve=True, replace=True),
        entry,
    )
    no = Act(
        DECLINE,
        ("不退款…", "Refuse…"),
        ("申请结束，钱不退，买家看得到理由。", "The request ends without money; the buyer reads the reason."),
        ("已裁定不退款", "Refused"),
        say(approve=False),
        entry,
    )
    return _ordered(refund, yes, new, no)


def _checks(refund: Refund) -> list[Act[Refund]]:
    def go_on(typed: Mapping[str, str]) -> Work[Refund]:
        return lambda engine: refunds.check(engine, refund, approve=True, note=typed["said"])

    amount = formats.money(refund.amount_fen)
    go = (f"{amount} 提交支付渠道，原路退回。", f"{amount} are sent to the payment channel.")
    return [
        Act(CHECK, ("复核通过", "Approve"), go, ("已复核，提交渠道", "Approved"), go_on, (_NOTE,)),
        _stop(refund),
    ]


def _stop(refund: Refund) -> Act[Refund]:
    """What the buyer had read as approved does not go back: so the buyer reads why."""

    def work(typed: Mapping[str, str]) -> Work[Refund]:
        return lambda engine: refunds.check(engine, refund, approve=False, note=typed["said"])

    effect = (
        "这笔退款不执行，到此关闭，钱不退，买家看得到原因。",
        "This refund is closed; no money goes back, and the buyer reads why.",
    )
    return Act(STOP, ("不通过…", "Stop…"), effect, ("已关闭这笔退款", "Stopped"), work, (_REASON,))


def _retry(refund: Refund) -> Act[Refund]:
    return Act(
        RETRY,
        ("再次提交渠道", "Ask the channel again"),
        ("用同一个退款单号再问一次，不会重复退款。", "The same number is used again: nothing is refunded twice."),
        ("已再次提交", "Sent again"),
        lambda _typed: lambda engine: refunds.retry(engine, refund),
    )
