"""Adjustments: transfers by hand, proposed by one person with a reason and a ticket, posted by another."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.operations import ledger
from desktop.operations.ledger import AccountName
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import PLAIN, Act, Acting, Entry, Pair, Work, rows_of
from desktop.presenters.cases import Cases
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.reconciliation_books import account_names, full_name
from desktop.presenters.typed import typed_fen
from desktop.presenters.words import CHANNELS, channel_word, longest, tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.ledger import Adjustment, AdjustmentTransfer, Transfer
from shared.errors import BadInput
from shared.finance import AdjustmentState
from shared.ids import speak_order_code
from shared.permissions import Permission

STATES: tuple[AdjustmentState | None, ...] = (None, *AdjustmentState)
"""The filters, in this order; None is all."""

PROPOSE, POST, REFUSE, WITHDRAW = "propose", "post", "refuse", "withdraw"

MOST_TRANSFERS = 20
"""As many transfers as one adjustment may have."""


class NoSuchAccount(BadInput):
    """What was typed names no account."""

    code = "adjustment.no_such_account"
    zh = "没有“{typed}”这个账户，请从列表里选。"
    en = "There is no account “{typed}”; choose one of the list."


class NoAmount(BadInput):
    """Nothing is to be transferred."""

    code = "adjustment.no_amount"
    zh = "金额要大于 0。"
    en = "The amount has to be more than 0."


def shown_transfer(one: Transfer) -> str:
    """One transfer in a line: from where to where."""
    return f"{full_name(one.debit_kind, one.debit_name)} ← {full_name(one.credit_kind, one.credit_name)}"


def _amount(one: Adjustment) -> str:
    return formats.money(sum(transfer.amount_fen for transfer in one.transfers))


def _what(one: Adjustment) -> str:
    return " · ".join(map(shown_transfer, one.transfers))


COLUMNS = (
    Column[Adjustment]("what", _what, stretch=True, tip=_what, sample="供应商可打款 · 星河数码 ← 损失"),
    Column[Adjustment]("amount", _amount, numeric=True, sample="¥123,456.00"),
    Column[Adjustment]("state", lambda a: word(a.state), tone=lambda a: tone(a.state), sample=longest(AdjustmentState)),
    Column[Adjustment]("ticket", lambda a: a.ticket, tip=lambda a: a.ticket, sample="八个汉字的工单", spare=True),
    Column[Adjustment](
        "reason", lambda a: a.reason, tip=lambda a: a.reason, sample="八个汉字的原因名", stretch=True, spare=True
    ),
    Column[Adjustment]("who", lambda a: a.proposed_by, sample="八个汉字名", spare=True),
    Column[Adjustment](
        "at",
        lambda a: formats.short_moment(a.proposed_at, today=shop_day(now())),
        tip=lambda a: formats.moment(a.proposed_at),
        sample="03-02 10:00",
        spare=True,
    ),
)


def facts_of(one: Adjustment) -> list[tuple[Pair, str]]:
    """Who proposed and checked it, and why."""
    facts: list[tuple[Pair, str]] = [
        (("原因", "Reason"), one.reason),
        (("工单", "Ticket"), one.ticket),
        (("订单", "Order"), speak_order_code(one.order_code) if one.order_code else ""),
        (("更正", "Corrects"), f"{channel_word(one.channel)} {formats.day(one.day)}" if one.channel else ""),
        (("提出", "Proposed"), f"{one.proposed_by} {formats.moment(one.proposed_at)}"),
        (("复核", "Checked"), f"{one.checked_by} {formats.moment(one.checked_at)}" if one.checked_by else ""),
        (("复核说明", "Note"), one.check_note),
    ]
    return [(words, value) for words, value in facts if value]


class Adjustments(Cases[Adjustment]):
    """The state of the list, of the one in front, and of one that is proposed.

    Attributes:
        state: the state that the list shows; None is all.
        proposing: the act of proposing one.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        may = frozenset(person.permissions)
        super().__init__(ask, COLUMNS, may_see=Permission.LEDGER_JOURNAL_READ in may)
        self.may_edit = Permission.LEDGER_ADJUSTMENT_EDIT in may
        self.state: AdjustmentState | None = None
        self.proposing: Acting[Adjustment] = Acting(ask, self._proposed, lambda: None)
        self._accounts_latest = Latest()

    def show(self, *, state: AdjustmentState | None) -> None:
        """Show the adjustments of a state."""
        self.state = state
        self.feed.show(lambda engine, after: ledger.list_adjustments(engine, state=state, after=after))
        self.changed()

    def show_list(self) -> None:
        self.show(state=self.state)

    def count_waiting(self) -> None:
        if self.may_see:
            state = AdjustmentState.PROPOSED
            self.waiting.show(lambda engine, after: ledger.list_adjustments(engine, state=state, after=after))

    def waits(self, case: Adjustment) -> bool:
        return "check" in case.actions

    def read_one(self, case_id: UUID) -> Callable[[Engine], Coroutine[Any, Any, Seen[Adjustment]]]:
        return lambda engine: ledger.adjustment(engine, case_id)

    def acts_of(self, case: Adjustment) -> list[Act[Adjustment]]:
        if "check" in case.actions:
            return _checks(case)
        return [_withdraw(case)] if "withdraw" in case.actions else []

    # --- proposing ---

    def propose(self, about: tuple[str, date] | None = None) -> None:
        """Be about to propose one: to correct a channel's signed day, or of anything. The accounts are read first."""
        if self.may_edit:
            then = self._accounts_latest.only(partial(self._begin, about))
            self._ask(ledger.adjustable, then, self._accounts_latest.also(self._not_read))

    def _begin(self, about: tuple[str, date] | None, accounts: Sequence[AccountName]) -> None:
        self.proposing.drop()
        self.proposing.offer([_propose(named(accounts), about, self.proposing)])
        self.proposing.choose(PROPOSE)

    def _proposed(self, made: Adjustment) -> None:
        self.look_into(made)


def named(accounts: Sequence[AccountName]) -> dict[Pair, AccountName]:
    """Accounts by what people call them, in both languages; two owners of one name are told apart."""
    made: dict[Pair, AccountName] = {}
    for one in accounts:
        names = account_names(one.kind, one.name)
        if names in made:
            names = names[0] + f" #{one.owner[:8]}", names[1] + f" #{one.owner[:8]}"
        made[names] = one
    return dict(sorted(made.items()))


def _propose(
    accounts: Mapping[Pair, AccountName], about: tuple[str, date] | None, acting: Acting[Adjustment]
) -> Act[Adjustment]:
    by_word = {word_of: one for names, one in accounts.items() for word_of in names}
    rows = (
        Entry("debit", ("借方账户", "Debit"), usual=tuple(accounts)),
        Entry("credit", ("贷方账户", "Credit"), usual=tuple(accounts)),
        Entry("amount", ("金额（元）", "Amount (yuan)"), most=16),
    )

    def account(typed: str) -> AccountName:
        found = by_word.get(typed.strip())
        if found is None:
            raise NoSuchAccount(typed=typed)
        return found

    def transfer(row: Mapping[str, str]) -> AdjustmentTransfer:
        debit, credit, amount = account(row["debit"]), account(row["credit"]), typed_fen(row["amount"])
        if not amount:
            raise NoAmount
        return AdjustmentTransfer(
            debit_kind=debit.kind,
            debit_owner=debit.owner,
            credit_kind=credit.kind,
            credit_owner=credit.owner,
            amount_fen=amount,
        )

    def work(typed: Mapping[str, str]) -> Work[Adjustment]:
        transfers, made = [transfer(row) for row in rows_of(rows, typed)], acting.attempt_id
        return lambda engine: ledger.propose_adjustment(
            engine,
            adjustment_id=made,
            transfers=transfers,
            reason=typed["reason"],
            ticket=typed["ticket"],
            order_code=typed["order_code"],
            about=about,
        )

    effect: Pair = (
        "提出后什么都不动；另一位同事复核通过，全部分录一起入账。",
        "Nothing is booked until another person approves it; then all of it is, at once.",
    )
    if about is not None:
        zh, en = CHANNELS.get(about[0], (about[0], about[0]))
        effect = (
            f"更正 {zh} {about[1]} 的账：已签署的数字不变，更正记在今天。" + effect[0],
            f"It corrects {en}, {about[1]}: what was signed stays, the correction is of today. " + effect[1],
        )
    return Act(
        PROPOSE,
        ("提出调账", "Propose an adjustment"),
        effect,
        ("已提出，等待复核", "Proposed; it waits for approval"),
        work,
        (
            Entry("ticket", ("工单或凭证号（必填）", "Ticket (needed)"), most=80),
            Entry("reason", ("原因（必填，会记入账簿）", "Reason (needed; it goes into the books)")),
            Entry("order_code", ("订单号（可不填）", "Order code (may be left out)"), needed=False, most=24),
        ),
        rows=rows,
        most_rows=MOST_TRANSFERS,
    )


def _checks(one: Adjustment) -> list[Act[Adjustment]]:
    def say(*, approve: bool) -> Callable[[Mapping[str, str]], Work[Adjustment]]:
        return lambda typed: lambda engine: ledger.check_adjustment(engine, one, approve=approve, note=typed["note"])

    amount = _amount(one)
    return [
        Act(
            POST,
            ("复核通过并入账", "Approve and post"),
            (
                f"{amount} 立即入账，不能撤回；更正要另提一笔相反的。",
                f"{amount} are booked at once; only its opposite corrects it.",
            ),
            ("已入账", "Posted"),
            say(approve=True),
            (Entry("note", ("说明（可不填）", "Note (may be left out)"), needed=False),),
        ),
        Act(
            REFUSE,
            ("不通过…", "Refuse…"),
            ("这笔调账到此为止，什么都不入账。", "It ends here; nothing is booked."),
            ("已拒绝", "Refused"),
            say(approve=False),
            (Entry("note", ("理由（必填，提出人会看到）", "Reason (needed; who proposed it reads it)")),),
        ),
    ]


def _withdraw(one: Adjustment) -> Act[Adjustment]:
    return Act(
        WITHDRAW,
        ("撤回", "Withdraw"),
        ("撤回这笔调账，什么都没有入账。", "It is taken back; nothing was booked."),
        ("已撤回", "Withdrawn"),
        lambda _typed: lambda engine: ledger.withdraw_adjustment(engine, one),
        tone=PLAIN,
    )
