"""Adjustments: a transfer by hand, proposed by one person with a reason and a ticket, posted by another."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.operations import ledger
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act, Acting, Entry, Pair, Work
from desktop.presenters.cases import Cases
from desktop.presenters.ledger_books import full_name
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask
from desktop.presenters.reconciliation_books import ACCOUNTS, account_word
from desktop.presenters.typed import typed_fen
from desktop.presenters.words import tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.ledger import Account, Adjustment, AdjustmentTransfer, Transfer
from shared.errors import BadInput
from shared.finance import AdjustmentState
from shared.ids import speak_order_code
from shared.permissions import Permission

STATES: tuple[AdjustmentState | None, ...] = (None, *AdjustmentState)
"""The filters, in this order; None is all."""

PROPOSE, POST, REFUSE, WITHDRAW = "propose", "post", "refuse", "withdraw"

UNADJUSTABLE = frozenset({"escrow", "suspense", "supplier_frozen", "payout"})
"""Kinds of accounts that the server refuses: their money belongs to rows that say what it is for."""


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
    return f"{account_word(one.debit_kind)} ← {account_word(one.credit_kind)}"


def _amount(one: Adjustment) -> str:
    return formats.money(sum(transfer.amount_fen for transfer in one.transfers))


def _what(one: Adjustment) -> str:
    return " · ".join(map(shown_transfer, one.transfers))


COLUMNS = (
    Column[Adjustment]("what", _what, stretch=True, tip=_what, sample="供应商可打款 ← 损失"),
    Column[Adjustment]("amount", _amount, numeric=True, sample="¥123,456.00"),
    Column[Adjustment]("state", lambda a: word(a.state), tone=lambda a: tone(a.state), sample="Waits for approval"),
    Column[Adjustment]("ticket", lambda a: a.ticket, tip=lambda a: a.ticket, sample="八个汉字的工单", spare=True),
    Column[Adjustment]("reason", lambda a: a.reason, tip=lambda a: a.reason, sample="八个汉字的原因名", spare=True),
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

    def __init__(self, ask: Ask, person: Person, accounts: Callable[[], Sequence[Account]]) -> None:
        may = frozenset(person.permissions)
        super().__init__(ask, COLUMNS, may_see=Permission.LEDGER_JOURNAL_READ in may)
        self.may_edit = Permission.LEDGER_ADJUSTMENT_EDIT in may
        self._accounts = accounts
        self.state: AdjustmentState | None = None
        self.proposing: Acting[Adjustment] = Acting(ask, self._proposed, lambda: None)

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

    def propose(self) -> None:
        """Be about to propose one."""
        if self.may_edit:
            self.proposing.offer([self._propose()])
            self.proposing.choose(PROPOSE)

    def _proposed(self, made: Adjustment) -> None:
        self.look_into(made)

    def _named(self) -> dict[str, tuple[str, str]]:
        """What may be adjusted, by the names it has in both languages."""
        named = {words: (kind, "") for kind in ("bank", "loss") for words in ACCOUNTS[kind]}
        for one in self._accounts():
            if one.kind not in UNADJUSTABLE:
                for words in both_names(one):
                    named[words] = (one.kind, one.owner)
        return named

    def _account(self, typed: str) -> tuple[str, str]:
        found = self._named().get(typed)
        if found is None:
            raise NoSuchAccount(typed=typed)
        return found

    def _propose(self) -> Act[Adjustment]:
        accounts = [both_names(one) for one in self._accounts() if one.kind not in UNADJUSTABLE]
        usual = (*accounts, *(ACCOUNTS[kind] for kind in ("bank", "loss") if ACCOUNTS[kind] not in accounts))

        def work(typed: Mapping[str, str]) -> Work[Adjustment]:
            debit, credit = self._account(typed["debit"]), self._account(typed["credit"])
            amount = typed_fen(typed["amount"])
            if not amount:
                raise NoAmount
            transfer = AdjustmentTransfer(
                debit_kind=debit[0],
                debit_owner=debit[1],
                credit_kind=credit[0],
                credit_owner=credit[1],
                amount_fen=amount,
            )
            made = self.proposing.attempt_id
            return lambda engine: ledger.propose_adjustment(
                engine,
                adjustment_id=made,
                transfers=[transfer],
                reason=typed["reason"],
                ticket=typed["ticket"],
                order_code=typed["order_code"],
            )

        return Act(
            PROPOSE,
            ("提出调账", "Propose an adjustment"),
            (
                "提出后什么都不动；另一位同事复核通过才入账。",
                "Nothing is booked until another person approves it.",
            ),
            ("已提出，等待复核", "Proposed; it waits for approval"),
            work,
            (
                Entry("debit", ("借方账户（从列表选）", "Debit (choose)"), usual=usual),
                Entry("credit", ("贷方账户（从列表选）", "Credit (choose)"), usual=usual),
                Entry("amount", ("金额（元）", "Amount (yuan)"), most=16),
                Entry("ticket", ("工单或凭证号（必填）", "Ticket (needed)"), most=80),
                Entry("reason", ("原因（必填，会记入账簿）", "Reason (needed; it goes into the books)")),
                Entry("order_code", ("订单号（可不填）", "Order code (may be left out)"), needed=False, most=24),
            ),
        )


def both_names(one: Account) -> Pair:
    """An account's name in both languages."""
    zh, en = ACCOUNTS.get(one.kind, (one.kind, one.kind))
    whose = full_name(one.kind, one.name).removeprefix(account_word(one.kind))
    return zh + whose, en + whose


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
    )
