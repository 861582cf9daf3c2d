"""What may be done about a statement, or about many of them: each by itself, and paid by one payout a supplier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from desktop.operations import settlement
from desktop.operations.each import Outcome
from desktop.presenters import formats
from desktop.presenters.acting import Act, Acting, Entry, Pair, Work
from desktop.presenters.many import MANY, SEE_EACH, Told, both, the_rest
from shared.contracts.settlement import SettlementMode, Statement

CONFIRM, DROP, PAY = "confirm", "drop", "pay"

_NOTE = Entry("note", ("备注（可不填）", "Note (may be left out)"), needed=False)
_REASON = Entry("note", ("作废原因（必填）", "Why (needed)"))


def acts_of(case: Statement, acting: Acting[Any]) -> list[Act[Any]]:
    """What may be done about one."""
    made: dict[str, Callable[[Statement], Act[Any]]] = {
        CONFIRM: _confirm,
        DROP: _drop,
        PAY: partial(_pay, acting=acting),
    }
    return [make(case) for key, make in made.items() if key in case.actions]


def _confirm(case: Statement) -> Act[Statement]:
    amount = formats.money(case.release_fen)
    return Act(
        CONFIRM,
        ("确认结算单", "Confirm"),
        (
            f"{amount} 从待结算转为可打款，供应商随即看到；{formats.count(case.lines)} 行订单就此结清，不会再次结算。",
            f"{amount} become payable; its {formats.count(case.lines)} lines are never settled again.",
        ),
        ("已确认，可以打款", "Confirmed; it can be paid"),
        lambda typed: lambda engine: settlement.move_statement(engine, case, "confirm", note=typed["note"]),
        (_NOTE,),
    )


def _drop(case: Statement) -> Act[Statement]:
    return Act(
        DROP,
        ("作废…", "Drop…"),
        ("不结算这张单；它的订单行回到应结，可以重新生成。", "Nothing is settled; its lines can go on another one."),
        ("已作废", "Dropped"),
        lambda typed: lambda engine: settlement.move_statement(engine, case, "drop", note=typed["note"]),
        (_REASON,),
    )


def _pay(case: Statement, acting: Acting[Any]) -> Act[Statement]:
    amount, lacks = formats.money(to_pay(case)), without_account([case])

    def work(typed: Mapping[str, str]) -> Work[Statement]:
        made = partial(settlement.pay_statement, payout_id=acting.attempt_id, note=typed["note"])
        return lambda engine: made(engine, case)

    return Act(
        PAY,
        ("发起打款", "Make the payout"),
        (
            f"向“{case.supplier}”打款，至多 {amount}，扣除此后的退款；另一位同事复核后才能提交银行或渠道。{lacks[0]}",
            f"At most {amount} to “{case.supplier}”, less refunds since; another person approves it first.{lacks[1]}",
        ),
        ("已发起打款，等待复核", "The payout waits for approval"),
        work,
        (_NOTE,),
    )


# --- many at once ---

PAID_AT_ONCE = 100
"""As many statements as one payout pays."""


def to_pay(case: Statement) -> int:
    """What a payout pays of it at most."""
    return max(case.payable_fen - case.withheld_fen, 0)


def by_supplier(cases: Sequence[Statement]) -> Iterator[list[Statement]]:
    """What is paid by one payout each: a supplier's statements of one mode."""
    of_one: dict[tuple[UUID, SettlementMode], list[Statement]] = {}
    for case in cases:
        of_one.setdefault((case.supplier_id, case.mode), []).append(case)
    for some in of_one.values():
        yield from (some[at : at + PAID_AT_ONCE] for at in range(0, len(some), PAID_AT_ONCE))


def without_account(cases: Sequence[Statement]) -> Pair:
    """That nobody has said where suppliers are paid to; nothing where it is known of all."""
    names = dict.fromkeys(case.supplier for case in cases if not case.has_account)
    if not names:
        return "", ""
    zh, en = "、".join(f"“{name}”" for name in names), ", ".join(f"“{name}”" for name in names)
    return f"{zh}还没有收款账号，请先在“条件”里登记。", f" Nobody has said where {en} is paid to: agree on that first."


def acts_about(picked: Sequence[Statement]) -> list[Act[Any]]:
    """What may be done about many, the oldest first: about those of them of which it may."""
    picked = sorted(picked, key=lambda case: case.number)
    made = {CONFIRM: _confirm_each, DROP: _drop_each, PAY: _pay_each}
    ready = {key: [case for case in picked if key in case.actions] for key in made}
    return [make(ready[key], len(picked) - len(ready[key])) for key, make in made.items() if ready[key]]


def _confirm_each(cases: Sequence[Statement], left: int) -> Act[Any]:
    n, lines = formats.count(len(cases)), formats.count(sum(case.lines for case in cases))
    amount, rest = formats.money(sum(case.release_fen for case in cases)), the_rest(left)
    return Act(
        CONFIRM + MANY,
        (f"确认 {n} 张结算单", f"Confirm {n} statements"),
        (
            f"{n} 张共 {amount} 从待结算转为可打款，{lines} 行订单就此结清；逐张确认，有一张不行不影响其余。{rest[0]}",
            f"{n} statements of {amount} become payable; {lines} lines are never settled again.{rest[1]}",
        ),
        SEE_EACH,
        lambda typed: lambda engine: settlement.move_statements(engine, cases, "confirm", note=typed["note"]),
        (_NOTE,),
    )


def _drop_each(cases: Sequence[Statement], left: int) -> Act[Any]:
    n, rest = formats.count(len(cases)), the_rest(left)
    amount = formats.money(sum(case.payable_fen for case in cases))
    return Act(
        DROP + MANY,
        (f"作废 {n} 张…", f"Drop {n}…"),
        (
            f"不结算这 {n} 张共 {amount}；它们的订单行回到应结，可以重新生成。{rest[0]}",
            f"These {n}, {amount} in all, are not settled; their lines can go on other statements.{rest[1]}",
        ),
        SEE_EACH,
        lambda typed: lambda engine: settlement.move_statements(engine, cases, "drop", note=typed["note"]),
        (_REASON,),
        tone="danger",
    )


def _pay_each(cases: Sequence[Statement], left: int) -> Act[Any]:
    payouts, rest = list(by_supplier(cases)), the_rest(left)
    n, statements = formats.count(len(payouts)), formats.count(len(cases))
    amount, more = formats.money(sum(map(to_pay, cases))), both(without_account(cases), rest)
    return Act(
        PAY + MANY,
        (f"发起 {n} 笔打款", f"Make {n} payouts"),
        (
            f"{statements} 张结算单按供应商合成 {n} 笔打款，至多 {amount}，扣除此后的退款；须另一位同事复核。{more[0]}",
            f"{statements} statements, {n} payouts, at most {amount}; another person approves them.{more[1]}",
        ),
        SEE_EACH,
        lambda typed: lambda engine: settlement.pay_statements(engine, payouts, note=typed["note"]),
        (_NOTE,),
    )


def told_of(outcome: Outcome[Any, Any]) -> Told:
    """What became of one of many: of a statement, or of those that one payout pays."""
    about, done = outcome.about, outcome.done
    if isinstance(about, Statement):
        return Told(f"{about.number} {about.supplier}", formats.money(about.payable_fen), outcome.error)
    first, amount = about[0], sum(map(to_pay, about))
    name = done.number if done is not None else " ".join(case.number for case in about)
    return Told(f"{name} {first.supplier}", formats.money(amount if done is None else done.amount_fen), outcome.error)
