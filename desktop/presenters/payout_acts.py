"""What may be done about a payout, or about many of them: checked, sent, arrived, failed, taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from desktop.operations import settlement
from desktop.operations.each import Outcome
from desktop.operations.settlement import Step
from desktop.presenters import formats
from desktop.presenters.acting import PLAIN, Act, Entry, Pair, Work
from desktop.presenters.many import MANY, SEE_EACH, Told, both, the_rest
from shared.contracts.settlement import Payout
from shared.finance import PayoutState

APPROVE, REFUSE, SEND, ARRIVED, FAIL, WITHDRAW = "approve", "refuse", "send", "confirm", "fail", "withdraw"

_NOTE = Entry("note", ("备注（可不填）", "Note (may be left out)"), needed=False)
_BATCH = Entry("reference", ("批次号或流水号（可不填）", "Batch or reference (may be left out)"), needed=False, most=64)
_NUMBER = Entry("reference", ("银行或渠道流水号（必填）", "The bank's or channel's number (needed)"), most=64)
_REFUSAL = Entry("note", ("理由（必填，发起人会看到）", "Reason (needed; who made it reads it)"))
_FAILURE = Entry("note", ("失败原因（必填，供应商会看到）", "Why (needed; the supplier reads it)"))


def acts_of(one: Payout) -> list[Act[Any]]:
    """What may be done about one."""
    made = {"check": _checks, "send": _send, "confirm": _arrived, "fail": _fail, "withdraw": _withdraw}
    return [act for key, make in made.items() if key in one.actions for act in make(one)]


def _move(one: Payout, step: Step) -> Callable[[Mapping[str, str]], Work[Payout]]:
    def work(typed: Mapping[str, str]) -> Work[Payout]:
        said = {"reference": typed.get("reference", ""), "note": typed.get("note", "")}
        return lambda engine: settlement.move_payout(engine, one, step, **said)

    return work


def _checks(one: Payout) -> list[Act[Payout]]:
    def say(*, approve: bool) -> Callable[[Mapping[str, str]], Work[Payout]]:
        return lambda typed: lambda engine: settlement.check_payout(engine, one, approve=approve, note=typed["note"])

    amount = formats.money(one.amount_fen)
    return [
        Act(
            APPROVE,
            ("复核通过", "Approve"),
            (
                f"同意向“{one.supplier}”打款 {amount}，之后可以提交银行或渠道。",
                f"{amount} to “{one.supplier}” may be sent to the bank or the channel.",
            ),
            ("已复核，可以提交", "Approved"),
            say(approve=True),
            (_NOTE,),
        ),
        Act(
            REFUSE,
            ("不通过…", "Refuse…"),
            (
                "这笔打款到此为止，结算单可以重新发起打款。",
                "This payout ends here; its statements can be paid by another one.",
            ),
            ("已拒绝", "Refused"),
            say(approve=False),
            (_REFUSAL,),
        ),
    ]


def _send(one: Payout) -> list[Act[Payout]]:
    amount = formats.money(one.amount_fen)
    effect = (
        f"{amount} 从可打款转为打款中并入账，打款指令随即可以导出、交给银行或渠道。",
        f"{amount} are booked as on their way; then the instruction can be exported and carried.",
    )
    done = ("已提交，请导出指令", "Sent; export its instruction")
    return [Act(SEND, ("提交打款", "Send"), effect, done, _move(one, "send"), (_BATCH,))]


def _arrived(one: Payout) -> list[Act[Payout]]:
    amount = formats.money(one.amount_fen)
    effect = (f"{amount} 已到“{one.supplier}”账上，结算单转为已打款。", f"{amount} arrived; the statements are paid.")
    done = ("已确认到账", "It has arrived")
    return [Act(ARRIVED, ("确认到账", "It arrived"), effect, done, _move(one, "confirm"), (_BATCH, _NOTE))]


def _fail(one: Payout) -> list[Act[Payout]]:
    amount = formats.money(one.amount_fen)
    effect = (
        f"{amount} 退回可打款，结算单可以重新发起打款；供应商看得到原因。",
        f"{amount} become payable again; the supplier reads why.",
    )
    entries = (_FAILURE, _NUMBER) if one.state is PayoutState.CONFIRMED else (_FAILURE,)
    words = ("打款失败或退汇…", "It failed or came back…")
    return [Act(FAIL, words, effect, ("已登记失败", "Marked as failed"), _move(one, "fail"), entries, tone="danger")]


def _withdraw(one: Payout) -> list[Act[Payout]]:
    effect = ("撤回这笔打款，什么都没有动；结算单可以重新发起打款。", "It is taken back; nothing has moved.")
    words, done = ("撤回", "Withdraw"), ("已撤回", "Withdrawn")
    return [Act(WITHDRAW, words, effect, done, _move(one, "withdraw"), (_NOTE,), tone=PLAIN)]


# --- many at once ---


def acts_about(picked: Sequence[Payout]) -> list[Act[Any]]:
    """What may be done about many, the oldest first: about those of which it may. That many failed tells a file."""
    picked = sorted(picked, key=lambda one: one.number)
    made = {"check": _check_each, "send": _send_each, "confirm": _arrived_each, "withdraw": _withdraw_each}
    ready = {key: [one for one in picked if key in one.actions] for key in made}
    return [act for key, make in made.items() if ready[key] for act in make(ready[key], len(picked) - len(ready[key]))]


def _each(
    key: str, words: Pair, effect: Pair, work: Callable[..., Work[Any]], *entries: Entry, tone: str = ""
) -> Act[Any]:
    """`work` gets what was typed by name."""
    return Act(key + MANY, words, effect, SEE_EACH, lambda typed: work(**typed), entries, tone)


def _sum(payouts: Sequence[Payout]) -> tuple[str, str]:
    return formats.count(len(payouts)), formats.money(sum(one.amount_fen for one in payouts))


def _nowhere(payouts: Sequence[Payout]) -> Pair:
    """That some of them have no account to go to."""
    n = formats.count(sum(not one.account for one in payouts))
    return (f"其中 {n} 笔没有收款账号。", f" {n} of them have no account to go to.") if n != "0" else ("", "")


def _check_each(payouts: Sequence[Payout], left: int) -> list[Act[Any]]:
    def say(*, approve: bool, note: str) -> Work[Any]:
        return partial(settlement.check_payouts, seen=payouts, approve=approve, note=note)

    n, amount = _sum(payouts)
    new, rest = sum(one.is_new_account for one in payouts), the_rest(left)
    warned = (f"其中 {new} 笔是首次向该账户打款，请核实。", f" {new} go to a new account: verify.") if new else ("", "")
    warned = both(warned, _nowhere(payouts))
    return [
        _each(
            APPROVE,
            (f"复核通过 {n} 笔", f"Approve {n}"),
            (
                f"同意 {n} 笔打款共 {amount}，之后可以提交银行或渠道。{warned[0]}{rest[0]}",
                f"{n} payouts of {amount} may be sent to the bank or the channel.{warned[1]}{rest[1]}",
            ),
            partial(say, approve=True),
            _NOTE,
        ),
        _each(
            REFUSE,
            (f"{n} 笔都不通过…", f"Refuse all {n}…"),
            (
                f"这 {n} 笔共 {amount} 到此为止，结算单可以重新发起打款。{rest[0]}",
                f"These {n} of {amount} end here; their statements can be paid by other payouts.{rest[1]}",
            ),
            partial(say, approve=False),
            _REFUSAL,
        ),
    ]


def _send_each(payouts: Sequence[Payout], left: int) -> list[Act[Any]]:
    (n, amount), rest = _sum(payouts), both(_nowhere(payouts), the_rest(left))
    effect = (
        f"{n} 笔共 {amount} 从可打款转为打款中并入账，随后导出一份指令交给银行或渠道。{rest[0]}",
        f"{n} payouts of {amount} are booked as on their way; then one file has all their instructions.{rest[1]}",
    )
    return [_each(SEND, (f"提交 {n} 笔打款", f"Send {n} payouts"), effect, _moving(payouts, "send"), _BATCH)]


def _arrived_each(payouts: Sequence[Payout], left: int) -> list[Act[Any]]:
    (n, amount), rest = _sum(payouts), the_rest(left)
    effect = (
        f"{n} 笔共 {amount} 都已到账，它们的结算单转为已打款。{rest[0]}",
        f"All {n} of {amount} arrived; their statements are paid.{rest[1]}",
    )
    words = (f"确认 {n} 笔到账", f"{n} arrived")
    return [_each(ARRIVED, words, effect, _moving(payouts, "confirm"), _BATCH, _NOTE)]


def _withdraw_each(payouts: Sequence[Payout], left: int) -> list[Act[Any]]:
    (n, amount), rest = _sum(payouts), the_rest(left)
    effect = (
        f"撤回 {n} 笔共 {amount}，什么都没有动；结算单可以重新发起打款。{rest[0]}",
        f"{n} of {amount} are taken back; nothing has moved.{rest[1]}",
    )
    words, work = (f"撤回 {n} 笔", f"Withdraw {n}"), _moving(payouts, "withdraw")
    return [_each(WITHDRAW, words, effect, work, _NOTE, tone=PLAIN)]


def _moving(payouts: Sequence[Payout], step: Step) -> Callable[..., Work[Any]]:
    return lambda **said: partial(settlement.move_payouts, seen=payouts, step=step, **said)


def told_of(outcome: Outcome[Payout, Payout]) -> Told:
    """What became of one of many."""
    one = outcome.about
    return Told(f"{one.number} {one.supplier}", formats.money(one.amount_fen), outcome.error)
