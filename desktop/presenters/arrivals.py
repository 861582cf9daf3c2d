"""Money of a channel that arrived in our bank: recording it, the second person's word about it, and its reversal."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from desktop.operations import reconciliation_days as operations
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.typed import NotADay, NotAnAmount, typed_day, typed_fen
from desktop.presenters.words import CHANNELS
from shared.clock import now, shop_day
from shared.contracts.reconcile import NewSweep, ReconciledDay, Sweep, SweepPart
from shared.finance import SweepState
from shared.money import format_fen

SWEEP, APPROVE, SEND_BACK, REVERSE = "sweep", "approve", "send_back", "reverse"


def recording(day: ReconciledDay) -> Act[Any]:
    """Recording what the bank says arrived of a channel's day."""

    def work(typed: Mapping[str, str]) -> Work[Sweep]:
        amount = typed_fen(typed["amount"])
        if amount is None or amount <= 0:
            raise NotAnAmount
        arrived_on = typed_day(typed["arrived_on"])
        if arrived_on is None:
            raise NotADay
        others = typed_fen(typed["others"]) or 0
        sweep = NewSweep(
            channel=day.channel,
            parts=[SweepPart(day=day.day, fen=amount - others)],
            amount_fen=amount,
            reference=typed["reference"],
            others_fen=others,
            arrived_on=arrived_on,
        )
        return lambda engine: operations.record_sweep(engine, sweep)

    zh, en = CHANNELS.get(day.channel, (day.channel, day.channel))
    left, today = max(day.net_fen + day.foreign_fen - day.arrived_fen, 0), shop_day(now()).isoformat()
    return Act(
        key=SWEEP,
        words=("登记到账…", "Record an arrival…"),
        effect=(
            (
                f"{zh}为 {day.day} 结算的钱已到银行账户：按银行流水登记，同一流水号只记一次；"
                "超过单人限额或多于账单时，另一位同事复核后才入账。"
            ),
            (
                f"Money that {en} paid out for {day.day} arrived in the bank: recorded once by the bank's number. "
                "Above the limit, or above what the bill says, another person must approve it."
            ),
        ),
        done=("已登记到账", "Recorded"),
        work=work,
        entries=(
            Entry("amount", ("到账金额（元）", "Amount that arrived"), usual=_plain(format_fen(left)), most=16),
            Entry("reference", ("银行流水号", "The bank's number"), most=64),
            Entry(
                "others",
                ("其中属于其他业务的（元，没有就不填）", "Of it others' money (yuan, if any)"),
                needed=False,
                usual=_plain(format_fen(day.foreign_fen)) if day.foreign_fen > 0 else (),
                most=16,
            ),
            Entry(
                "arrived_on", ("到账日期（2026-03-02）", "Day it arrived (2026-03-02)"), usual=_plain(today), most=10
            ),
        ),
        naming=lambda _typed: ("登记到账", "Record it"),
    )


def act_key(what: str, one: Sweep) -> str:
    """Under which key that may be done about money that arrived."""
    return f"{what} {one.id.hex}"


def about(one: Sweep) -> list[Act[Any]]:
    """What may be done about money that arrived: the second person's word, or its reversal."""
    money, is_undone = formats.money(one.amount_fen), one.state is SweepState.REVERSING
    zh, en = f"{money}（流水号 {one.reference}）", f"{money} (number {one.reference})"
    return [_act(what, one, zh, en) for what in _WORDS[is_undone] if what in one.actions]


def _act(what: str, one: Sweep, zh: str, en: str) -> Act[Any]:
    words, effect, done = _WORDS[one.state is SweepState.REVERSING][what]

    def work(typed: Mapping[str, str]) -> Work[Sweep]:
        if what == REVERSE:
            return partial(operations.reverse_sweep, seen=one, note=typed["note"])
        return partial(operations.check_sweep, seen=one, approve=what == APPROVE, note=typed["note"])

    entry = _WHY if what == REVERSE else _REMARK
    return Act(act_key(what, one), words, (zh + effect[0], en + effect[1]), done, work, (entry,))


_REMARK = Entry("note", ("说明（可不填）", "Note (may be left out)"), needed=False)
_WHY = Entry("note", ("原因（必填，会记入操作日志）", "Why (needed; it goes into the log)"))

_Words = tuple[Pair, Pair, Pair]
"""What is on the button, what it will do, that it did."""

_BOOKING: dict[str, _Words] = {
    APPROVE: (("同意入账", "Approve"), ("随即记入银行存款。", " is booked at once."), ("已复核入账", "Booked")),
    SEND_BACK: (
        ("退回", "Send back"),
        ("不入账，流水号可以重新登记。", " is not booked; its number may be recorded again."),
        ("已退回", "Sent back"),
    ),
    REVERSE: (
        ("冲销…", "Reverse…"),
        (
            "登记错了：撤销入账，流水号可以重新登记；超过单人限额时，另一位同事复核后才撤销。",
            " was wrong: it is booked back, above the limit by two people; its number may be recorded again.",
        ),
        ("已提交冲销", "Its reversal is on its way"),
    ),
}
_REVERSAL: dict[str, _Words] = {
    APPROVE: (
        ("同意冲销", "Approve the reversal"),
        ("的入账随即撤销。", " is booked back at once."),
        ("已复核冲销", "Reversed"),
    ),
    SEND_BACK: (("退回冲销", "Keep it booked"), ("仍按已入账保留。", " stays booked."), ("已退回", "Sent back")),
}
_WORDS = {False: _BOOKING, True: _REVERSAL}
"""Of a booking, and of a reversal that waits."""


def _plain(text: str) -> tuple[Pair, ...]:
    """One thing that is typed often, written alike in both languages."""
    return ((text, text),)
