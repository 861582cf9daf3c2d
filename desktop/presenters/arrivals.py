"""Money of a channel that arrived in our bank: recording it, of which days it is, the second person's word about it,
its reversal, and which withdrawal of the channel's account it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from desktop.operations import reconciliation_days as operations
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.typed import NotADay, NotAnAmount, typed_day, typed_fen
from desktop.presenters.words import CHANNELS
from shared.clock import now, shop_day
from shared.contracts.bank import Arrival, NewSweep, OwedDay, Sweep, SweepPart, Withdrawal
from shared.contracts.reconcile import ReconciledDay
from shared.errors import BadInput, KamengError
from shared.finance import SweepState
from shared.money import format_fen, parse_fen
from shared.owed import left, shares

SWEEP, APPROVE, SEND_BACK, REVERSE = "sweep", "approve", "send_back", "reverse"


class NotParts(BadInput):
    """What was typed says of no day how much is its."""

    code = "typed.not_parts"
    zh = "各天的金额请填“03-01 44.73；03-02 12.00”这样的格式，用分号隔开，日期可以带年份。"
    en = "What is of which day looks like “03-01 44.73; 03-02 12.00”; a day may have its year."


def typed_parts(text: str) -> list[SweepPart]:
    """What of an arrival is which day's, as it is typed; without its year a day is the last one. Raises NotParts."""
    try:
        return [_part(*one.split()) for one in text.replace("；", ";").split(";") if one.strip()]
    except (ValueError, TypeError, BadInput) as error:
        raise NotParts from error


def _part(day: str, yuan: str) -> SweepPart:
    fen, today = parse_fen(yuan.removeprefix("-")), shop_day(now())
    years = (f"{today.year}-{day}", f"{today.year - 1}-{day}") if len(day) == len("03-01") else (day,)
    of = next((one for one in map(date.fromisoformat, years) if one <= today), today)
    return SweepPart(day=of, fen=-fen if yuan.startswith("-") else fen)


def recording(day: ReconciledDay, owed: Sequence[OwedDay]) -> Act[Any]:
    """Recording what the bank says arrived: of the day in front, or of those that wait for money the longest."""

    def read(typed: Mapping[str, str]) -> tuple[int, int, date, list[SweepPart]]:
        amount = typed_fen(typed["amount"])
        if amount is None or amount <= 0:
            raise NotAnAmount
        arrived_on = typed_day(typed["arrived_on"])
        if arrived_on is None:
            raise NotADay
        others = typed_fen(typed["others"]) or 0
        parts = typed_parts(typed.get("parts", "")) or _shared(day, owed, amount - others, arrived_on)
        return amount, others, arrived_on, parts

    def work(typed: Mapping[str, str]) -> Work[Sweep]:
        amount, others, on, parts = read(typed)
        told = {"amount_fen": amount, "others_fen": others, "arrived_on": on, "reference": typed["reference"]}
        sweep = NewSweep(channel=day.channel, parts=parts, **told)
        return lambda engine: operations.record_sweep(engine, sweep)

    def naming(typed: Mapping[str, str]) -> Pair:
        try:
            zh, en = of_days(read(typed)[-1])
        except (KamengError, ValueError):
            return "登记到账", "Record it"
        return f"登记到账：{zh}", f"Record it: {en}"

    zh, en = CHANNELS.get(day.channel, (day.channel, day.channel))
    here, all_days = map(formats.money, _lacking(day, owed))
    later = day.day + timedelta(days=1)
    return Act(
        key=SWEEP,
        words=("登记到账…", "Record an arrival…"),
        effect=(
            (
                f"{zh}结算的钱已到银行账户（{day.day} 还差 {here}，全部日子还差 {all_days}）：按银行流水登记，"
                "同一流水号只记一次。一笔可以是几天的钱（周末、提现），先补最早未到账的日子，"
                f"也可以自己写明：{day.day:%m-%d} 44.73；{later:%m-%d} 12.00。"
                "超过单人限额或多于账单时，另一位同事复核后才入账。"
            ),
            (
                f"Money that {en} paid out arrived in the bank ({here} is short of {day.day}, {all_days} of all days): "
                "recorded once by the bank's number. It may be of many days; those that wait the longest come first, "
                f"unless you say {day.day:%m-%d} 44.73; {later:%m-%d} 12.00. "
                "Above the limit, or above what the bills say, another person must approve it."
            ),
        ),
        done=("已登记到账", "Recorded"),
        told=_became,
        work=work,
        entries=_recorded(day, owed),
        naming=naming,
    )


def _recorded(day: ReconciledDay, owed: Sequence[OwedDay]) -> tuple[Entry, ...]:
    """What is typed of an arrival."""
    today = shop_day(now()).isoformat()
    here, all_days = _lacking(day, owed)
    due = here + day.foreign_fen if here else 0  # where nothing is due, what others own is not either
    usual = [format_fen(fen) for fen in dict.fromkeys((due, all_days)) if fen > 0]
    return (
        Entry(
            "amount",
            ("到账金额（元）", "Amount that arrived"),
            usual=_plain(*usual),
            most=16,
            value="".join(usual[:1]),
        ),
        Entry("reference", ("银行流水号", "The bank's number"), most=64),
        Entry(
            "others",
            ("其中属于其他业务的（没有不填）", "Of it others' money (if any)"),
            needed=False,
            usual=_plain(format_fen(day.foreign_fen)) if day.foreign_fen > 0 else (),
            most=16,
            value=format_fen(day.foreign_fen) if here > 0 and day.foreign_fen > 0 else "",
        ),
        Entry("arrived_on", ("到账日期", "Day it arrived"), usual=_plain(today), most=10, value=today),
        Entry("parts", ("各天多少（不填即如按钮所示）", "Of which days (empty: as told)"), needed=False, most=120),
    )


def _lacking(day: ReconciledDay, owed: Sequence[OwedDay]) -> tuple[int, int]:
    """What is short of the day in front, and of all days, without what is recorded already."""
    short = {one.day: left(one.short_fen, one.waiting_fen) for one in owed}
    return max(short.get(day.day, 0), 0), max(sum(short.values()), 0)


def _shared(day: ReconciledDay, owed: Sequence[OwedDay], fen: int, arrived_on: date) -> list[SweepPart]:
    """What of an arrival is which day's: all that of the day in front where that is due, else the oldest ones first."""
    short = {one.day: left(one.short_fen, one.waiting_fen) for one in owed if one.day <= arrived_on}
    parts = {day.day: fen} if fen == short.get(day.day) else shares(short, fen)
    return [SweepPart(day=of, fen=part) for of, part in sorted((parts or {day.day: fen}).items())]


def of_days(parts: Sequence[SweepPart]) -> Pair:
    """Of which days an arrival is, in words."""
    if len(parts) <= _NAMED:
        told = [f"{part.day} {formats.money(part.fen)}" for part in parts]
        return "、".join(told), ", ".join(told)
    first, last, n = parts[0].day, parts[-1].day, len(parts)
    return f"{first} 至 {last} 的 {n} 天", f"{n} days from {first} to {last}"


_NAMED = 3
"""So many days of an arrival are named one by one."""


# --- what left the channel ---


def about_withdrawal(one: Withdrawal) -> list[Act[Any]]:
    """What may be said about money that left the channel: which arrival it is, or that it came back."""
    return [_MOVES[what](one) for what in _MOVES if what in one.actions]


def pairing(one: Withdrawal) -> Act[Any]:
    """Saying which arrival a withdrawal is."""

    def work(typed: Mapping[str, str]) -> Work[Withdrawal]:
        sweep_id = UUID(typed["sweep"]) if typed["sweep"] else None
        return partial(operations.pair_withdrawal, one=one, sweep_id=sweep_id)

    money, told = formats.money(one.amount_fen), [_arrival(arrival) for arrival in one.candidates]
    none = [("", ("不是其中任何一笔", "None of these"))] if one.arrival else []
    choices = [(arrival.id.hex, (words, words)) for arrival, words in zip(one.candidates, told, strict=True)]
    return Act(
        key=pair_key(one),
        words=("改配对…", "Pair otherwise…") if one.arrival else ("配对…", "Pair…"),
        effect=(
            f"{one.day} 提现 {money}（{one.number}）是下面这笔到账。只做对应，不动账。",
            f"The withdrawal of {one.day}, {money} ({one.number}), is this arrival. Nothing is booked by it.",
        ),
        done=("已配对", "Paired"),
        work=work,
        entries=(
            Entry("sweep", _ARRIVAL, needed=False, choices=(*choices, *none), value=choices[0][0] if choices else ""),
        ),
        naming=lambda _typed: ("配对", "Pair"),
    )


_ARRIVAL = ("银行到账", "Arrival")


def pair_key(one: Withdrawal) -> str:
    """Under which key a withdrawal is paired."""
    return f"pair {one.id.hex}"


def _returning(one: Withdrawal) -> Act[Any]:
    """Saying that a withdrawal came back to the channel's account, or that it did not."""
    money, is_returned = formats.money(one.amount_fen), one.returned_on is None

    def work(typed: Mapping[str, str]) -> Work[Withdrawal]:
        return partial(operations.return_withdrawal, one=one, is_returned=is_returned, note=typed["note"])

    zh, en = _RETURNED if is_returned else _NOT_RETURNED
    return Act(
        key=return_key(one),
        words=("已退回…", "Came back…") if is_returned else ("没有退回…", "Did not come back…"),
        effect=(
            f"{one.day} 提现 {money}（{one.number}）{zh}只做标记，不动账。",
            f"The withdrawal of {one.day}, {money} ({one.number}), {en} Nothing is booked by it.",
        ),
        done=("已标记", "Noted"),
        work=work,
        entries=(_WHY,),
    )


_RETURNED = ("被银行退回，钱已回到渠道账户，不会再到账。", "was sent back by the bank to the channel's account.")
_NOT_RETURNED = ("没有退回，仍在等它到账。", "did not come back, and is still to arrive.")

_MOVES: dict[str, Callable[[Withdrawal], Act[Any]]] = {
    "pair": pairing,
    "return": _returning,
    "not_returned": _returning,
}


def return_key(one: Withdrawal) -> str:
    """Under which key a withdrawal is said to have come back, or not."""
    return f"return {one.id.hex}"


def _arrival(one: Arrival) -> str:
    return f"{one.arrived_on} {formats.money(one.amount_fen)} {one.reference}"


# --- what arrived ---


_BECAME: dict[SweepState, Pair] = {
    SweepState.PROPOSED: ("已登记，等另一位同事复核后入账", "Recorded: booked once another person approves it"),
    SweepState.BOOKED: ("已入账", "Booked"),
    SweepState.REVERSING: ("已提交冲销，等另一位同事复核", "Its reversal waits for another person's approval"),
    SweepState.REVERSED: ("已冲销", "Reversed"),
    SweepState.REFUSED: ("已退回", "Sent back"),
}


def _became(one: Sweep) -> Pair:
    """What became of what was recorded or reversed, for a toast."""
    return _BECAME[one.state]


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
    effects, told = (zh + effect[0], en + effect[1]), _became if what == REVERSE else None
    if what == APPROVE and one.over_fen:
        more = tuple(words.format(money=formats.money(one.over_fen)) for words in _OVER)
        words, effects = _ALL_THE_SAME, (effects[0] + more[0], effects[1] + more[1])
    return Act(act_key(what, one), words, effects, done, work, (entry,), told=told)


_ALL_THE_SAME: Pair = ("仍然入账", "Approve all the same")
_OVER: Pair = (
    "其中 {money} 比这几天现在还差的多：请核对是不是登记了两遍，或账单还没有来。",
    " {money} of it is more than its days lack now: look whether it was recorded twice, or a bill is missing.",
)
"""Said to who approves more than is to come."""

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


def _plain(*texts: str) -> tuple[Pair, ...]:
    """What is typed often, written alike in both languages."""
    return tuple((text, text) for text in texts)
