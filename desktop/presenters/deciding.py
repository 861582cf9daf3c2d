"""What may be decided about a difference, or about many of one mind at once; and what the second person says to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from desktop.operations import reconciliation_differences as operations
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.many import key_of
from shared.contracts.reconcile import Difference
from shared.finance import DifferenceAction, DifferenceState
from shared.labels import words_of

MOST = 1_000
"""As many differences as one decision may be about."""

APPROVE, SEND_BACK = "approve", "send_back"

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


def amount_of(one: Difference) -> int:
    """What it is about in fen: the channel's figure, else ours."""
    return one.theirs_fen if one.theirs_fen is not None else one.ours_fen or 0


def _effect(cases: Sequence[Difference], action: DifferenceAction) -> Pair:
    amount = formats.money(sum(map(amount_of, cases)))
    theirs = formats.money(sum(case.theirs_fen or 0 for case in cases))
    zh, en = (text.format(amount=amount, theirs=theirs) for text in _EFFECTS[action])
    if len(cases) == 1:
        return zh, en
    n = formats.count(len(cases))
    return f"{n} 条一起办，有一条不行就都不办：{zh}", f"All {n} or none: {en}"


_RESOLVED: dict[DifferenceAction, Pair] = {
    DifferenceAction.DELIVER: ("已入账发货", "Booked and delivered"),
    DifferenceAction.REFUND: ("已原路退回", "Given back"),
    DifferenceAction.ATTACH: ("已归入订单", "Attached to its order"),
    DifferenceAction.BOOK: ("已入账", "Booked"),
    DifferenceAction.CARRY: ("已挂账，带到下一个未签的日子", "Carried to the next open day"),
    DifferenceAction.WRITE_OFF: ("已记为损失", "Booked as a loss"),
    DifferenceAction.IGNORE: ("已记下原因", "Its reason is kept"),
}
_BECAME: dict[DifferenceState, Pair] = {
    DifferenceState.OPEN: ("仍待处理", "Still open"),
    DifferenceState.PROPOSED: ("等另一位同事复核", "Waits for another person's approval"),
    DifferenceState.WORKING: ("正在执行", "Under way"),
    DifferenceState.MATCHED: ("已自动配平", "Auto-matched"),
}


def became(answer: Difference | Sequence[Difference]) -> Pair:
    """What became of what was decided on, for a toast."""
    cases = [answer] if isinstance(answer, Difference) else answer
    told = Counter(_BECAME.get(one.state) or _RESOLVED[one.action or one.proposed_action] for one in cases)
    if len(cases) == 1:
        return next(iter(told))
    zh, en = zip(*((f"{n} 条{pair[0]}", f"{n}: {pair[1]}") for pair, n in told.items()), strict=True)
    return "；".join(zh), "; ".join(en)


def acts_about(cases: Sequence[Difference]) -> list[Act[Any]]:
    """What may be decided about all of these, what is advised first; what names an order, about one alone."""
    if not 1 <= len(cases) <= MOST:
        return []
    common = set.intersection(*(set(case.actions) for case in cases))
    if len(cases) > 1:
        common.discard(DifferenceAction.ATTACH.value)
    advised = {case.proposed_action for case in cases}
    offered = [action for action in DifferenceAction if action.value in common]
    offered.sort(key=lambda action: action not in advised)
    answers = [_answer(cases, key) for key in (APPROVE, SEND_BACK) if key in common]
    return [*answers, *(_decision(cases, action) for action in offered)]


def _decision(cases: Sequence[Difference], action: DifferenceAction) -> Act[Any]:
    # The server tells it of what it advises; of another action only that the limit counts.
    needs_two = action in _ALWAYS_TWO or any(case.two_people and action is case.proposed_action for case in cases)
    may_need_two = len(cases) > 1 or any(case.two_people for case in cases)
    more = _NEEDS_TWO if needs_two else _MAY_NEED_TWO if may_need_two else ("", "")
    zh, en = _effect(cases, action)
    names = words_of(action)

    def work(typed: Mapping[str, str]) -> Work[Any]:
        if len(cases) > 1:
            return partial(operations.handle_many, differences=cases, action=action, note=typed["note"])
        code = typed.get("order_code", "")
        return partial(operations.handle, difference=cases[0], action=action, note=typed["note"], order_code=code)

    return Act(
        key=key_of(action.value, cases),
        words=(f"提议{names[0]}", f"Propose: {names[1]}") if needs_two else names,
        effect=(zh + more[0] + "。", en + more[1] + "."),
        done=("已提交", "Done"),
        told=became,
        work=work,
        entries=(
            *((_ORDER,) if action is DifferenceAction.ATTACH else ()),
            Entry("note", _NOTE, usual=_USUAL[action]),
        ),
    )


def _answer(cases: Sequence[Difference], key: str) -> Act[Any]:
    """What another person says to decisions: yes, and they are done, or that all of it is open again."""

    def work(typed: Mapping[str, str]) -> Work[Any]:
        approve, note = key == APPROVE, typed["note"]
        if len(cases) > 1:
            return partial(operations.check_many, differences=cases, approve=approve, note=note)
        return partial(operations.check, difference=cases[0], approve=approve, note=note)

    if key == SEND_BACK:
        is_own = any(APPROVE not in case.actions for case in cases)
        return Act(
            key=key_of(key, cases),
            words=("撤回提议", "Take it back") if is_own else ("退回", "Send back"),
            effect=("回到待处理，什么都不执行。", "It is open again; nothing is done."),
            done=("已退回，重新待处理", "It is open again"),
            work=work,
            entries=(_REMARK,),
        )
    actions = sorted({case.action or case.proposed_action for case in cases})
    told = [_effect([case for case in cases if (case.action or case.proposed_action) is one], one) for one in actions]
    names = [words_of(one) for one in actions]
    return Act(
        key=key_of(key, cases),
        words=("同意" + "、".join(zh for zh, _ in names), "Approve: " + ", ".join(en for _, en in names)),
        effect=("；".join(zh for zh, _ in told) + "，立即执行。", "; ".join(en for _, en in told) + ", at once."),
        done=("已复核，正在执行", "Approved"),
        told=became,
        work=work,
        entries=(_REMARK,),
    )
