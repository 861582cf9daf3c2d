"""Payouts: made by one person, approved by another, carried to the bank, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.importing.results import BadRow, ResultFile, ResultsDoNotRead
from desktop.operations import payout_files, settlement
from desktop.operations.seen import Seen
from desktop.operations.settlement import Step
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.cases import Cases
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words, language, party_words, tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.settlement import Payout, PayoutInstruction, PayoutResultsTaken
from shared.finance import PayoutState
from shared.ids import new_id
from shared.permissions import Permission

STATES: tuple[PayoutState | None, ...] = (None, *PayoutState)
"""The filters, in this order; None is all."""
CARRIED = frozenset({PayoutState.APPROVED, PayoutState.SENT, PayoutState.CONFIRMED})
"""Those with an instruction for the bank or the channel; of what arrived: what is to be given back."""

APPROVE, REFUSE, SEND, ARRIVED, FAIL, WITHDRAW = "approve", "refuse", "send", "confirm", "fail", "withdraw"


def _statements(one: Payout) -> str:
    return " ".join(one.statements)


COLUMNS = (
    Column[Payout]("number", lambda p: p.number, code=True, sample="DK20261116-001"),
    Column[Payout]("supplier", lambda p: p.supplier, stretch=True, tip=lambda p: p.supplier, sample="八个汉字的名称"),
    Column[Payout]("amount", lambda p: formats.money(p.amount_fen), numeric=True, sample="¥1,234,567.00"),
    Column[Payout]("state", lambda p: word(p.state), tone=lambda p: tone(p.state), sample="Waits for approval"),
    Column[Payout]("statements", _statements, tip=_statements, sample="JS20261116-001", spare=True),
    Column[Payout]("reference", lambda p: p.reference or "–", code=True, sample="2026030212345678", spare=True),
    Column[Payout]("made_by", lambda p: party_words(p.made_by), sample="八个汉字名", spare=True),
    Column[Payout](
        "made_at",
        lambda p: formats.short_moment(p.made_at, today=shop_day(now())),
        tip=lambda p: formats.moment(p.made_at),
        sample="03-02 10:00",
        spare=True,
    ),
)


class Payouts(Cases[Payout]):
    """The state of the list and of the one in front.

    Attributes:
        state: the state that the list shows; None is all.
        instruction: what the bank or channel has to be told about the one in front; None while it is read, or where
            this person carries nothing there.
        exporting: a file is being written.
        exported: the file that was written last and its rows, or None.
        export_error: why it was not written.
        results: the result file in hand.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        may = frozenset(person.permissions)
        super().__init__(ask, COLUMNS, may_see=Permission.SETTLEMENT_STATEMENT_READ in may)
        self.is_supplier = person.supplier_id is not None
        self.may_make = Permission.SETTLEMENT_PAYOUT_MAKE in may
        self.state: PayoutState | None = None
        self.instruction: PayoutInstruction | None = None
        self.exporting = False
        self.exported: tuple[Path, int] | None = None
        self.export_error: Exception | None = None
        self.results = Results(ask, self.refresh)
        self._instruction_latest = Latest()

    def show(self, *, state: PayoutState | None) -> None:
        """Show the payouts of a state."""
        self.state = state
        self.feed.show(lambda engine, after: settlement.list_payouts(engine, state=state, after=after))
        self.changed()

    def show_list(self) -> None:
        self.show(state=self.state)

    def count_waiting(self) -> None:
        if self.may_see and not self.is_supplier:
            self.waiting.show(lambda engine, after: settlement.list_payouts(engine, after=after))

    def waits(self, case: Payout) -> bool:
        return bool({"check", "send"} & set(case.actions))

    def read_one(self, case_id: UUID) -> Callable[[Engine], Coroutine[Any, Any, Seen[Payout]]]:
        return lambda engine: settlement.payout(engine, case_id)

    @property
    def waits_for_second(self) -> bool:
        """Whether the one in front waits for another person than this one."""
        one = self.opened
        return one is not None and one.state is PayoutState.REQUESTED and self.may_make and "check" not in one.actions

    def acts_of(self, case: Payout) -> list[Act[Payout]]:
        made = {"check": _checks, "send": _send, "confirm": _arrived, "fail": _fail, "withdraw": _withdraw}
        return [act for key, make in made.items() if key in case.actions for act in make(case)]

    def _show(self, case: Payout) -> None:
        if self.opened is None or self.opened.id != case.id or case.state not in CARRIED:
            self.instruction = None
        super()._show(case)
        if self.may_make and self.instruction is None and case.state in CARRIED:
            then = self._instruction_latest.only(partial(self._instructed, case.id))
            asked = self._instruction_latest.also(self._not_read)
            self._ask(lambda engine: settlement.instruction(engine, case.id), then, asked)

    def _instructed(self, case_id: UUID, answer: PayoutInstruction) -> None:
        if self.opened is not None and self.opened.id == case_id:
            self.instruction = answer
            self.changed()

    # --- the file for the bank ---

    def export(self, target: Path, *, only: UUID | None = None) -> None:
        """Write the instruction of one payout, or those of all that wait to be sent."""
        if self.exporting:
            return
        self.exporting, self.export_error, self.exported = True, None, None
        if only is not None:
            work = partial(payout_files.export, payouts=[only], target=target, language=language())
        else:
            work = partial(payout_files.export_approved, target=target, language=language())
        self._ask(work, partial(self._written, target), self._not_written)
        self.changed()

    def _written(self, target: Path, rows: int) -> None:
        self.exporting, self.exported = False, (target, rows)
        self.changed()

    def _not_written(self, error: Exception) -> None:
        self.exporting, self.export_error = False, error
        self.changed()


class Results(Watched):
    """A result file on its way: read here, told row by row where it does not fit, and sent as a whole.

    Attributes:
        file: the file that reads well and may be sent, or None.
        name: the name of the file in hand; empty without one.
        busy: it is read or sent.
        error: why it cannot be read or was not taken.
        bad: every row that does not fit.
        taken: what became of it.
    """

    def __init__(self, ask: Ask, then: Callable[[], None]) -> None:
        super().__init__()
        self._ask = ask
        self._then = then
        self._latest = Latest()
        self._file_id = new_id()
        self.leave()

    def leave(self) -> None:
        """There is no file in hand."""
        self._latest.only(self._refused)
        self.file: ResultFile | None = None
        self.name = ""
        self.busy = False
        self.error: Exception | None = None
        self.bad: tuple[BadRow, ...] = ()
        self.taken: PayoutResultsTaken | None = None
        self.changed()

    def take(self, path: Path) -> None:
        """Read a file; it is sent when a person says so."""
        if self.busy:
            return
        self.leave()
        self._file_id = new_id()
        self.name, self.busy = path.name, True
        then = self._latest.only(self._was_read)
        self._ask(lambda engine: payout_files.read(engine, path), then, self._latest.also(self._refused))
        self.changed()

    def send(self) -> None:
        """Tell the server; a repeat after no answer is the same file again."""
        file = self.file
        if file is None or self.busy or self.taken is not None:
            return
        self.busy, self.error = True, None
        file_id = self._file_id
        then = self._latest.only(self._was_taken)
        asked = self._latest.also(self._refused)
        self._ask(lambda engine: payout_files.take(engine, file, file_id=file_id), then, asked)
        self.changed()

    def _was_read(self, file: ResultFile) -> None:
        self.busy, self.file = False, file
        self.changed()

    def _was_taken(self, taken: PayoutResultsTaken) -> None:
        self.busy, self.taken = False, taken
        self.changed()
        self._then()

    def _refused(self, error: Exception) -> None:
        self.busy, self.error = False, error
        self.bad = error.rows if isinstance(error, ResultsDoNotRead) else ()
        self.changed()


def paid_to(one: Payout) -> list[tuple[str, str, bool]]:
    """Who gets it, and what of it arrived: what it is, how it reads, whether it is a code."""
    facts: list[tuple[Pair, str, bool]] = [
        (("收款方", "Receiver"), one.receiver, False),
        (("收款账号", "Account"), one.account, True),
        (("开户行", "Bank"), one.bank, False),
        (("打款手续费", "Fee of the payout"), formats.money(one.fee_fen) if one.fee_fen else "", False),
        (
            ("实际到账", "Arrived"),
            formats.money(one.arrived_fen) if 0 < one.arrived_fen < one.amount_fen else "",
            False,
        ),
        (("分账回退", "Given back"), formats.money(one.returned_fen) if one.returned_fen else "", False),
    ]
    return [(in_words(words), value, is_code) for words, value, is_code in facts if value]


def warnings(one: Payout) -> list[str]:
    """What whoever checks it has to know: a new account, and what became of payouts before of the same statements."""
    found = [in_words(("首次向此账户打款，请核实。", "Nothing was ever paid to this account: verify it."))]
    found = found if one.is_new_account else []
    for before in one.earlier:
        words = (
            ("{number} 已到账后退回：{why}", "{number} had arrived and came back: {why}")
            if before.arrived_at
            else ("{number} 打款失败：{why}", "{number} failed: {why}")
        )
        why = " · ".join(part for part in (before.note, before.reference, formats.money(before.amount_fen)) if part)
        found.append(in_words(words).format(number=before.number, why=why))
    return found


def shown_bad(row: BadRow) -> str:
    """A row that does not fit, ready to show: `第 3 行：结果“处理中”不是成功或失败`."""
    words = in_words(("第 {n} 行：{why}", "Line {n}: {why}"))
    return words.format(n=formats.count(row.line), why=row.why.sentence(language()))


# --- what may be done ---

_NOTE = Entry("note", ("备注（可不填）", "Note (may be left out)"), needed=False)
_REFERENCE = Entry("reference", ("银行或渠道流水号（必填）", "The bank's or channel's number (needed)"), most=64)
_BANK = Entry("reference", ("流水号（可不填）", "Reference (may be left out)"), needed=False, most=64)


def _reason(words: Pair) -> Entry:
    return Entry("note", words)


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
            (_reason(("理由（必填，发起人会看到）", "Reason (needed; who made it reads it)")),),
        ),
    ]


def _send(one: Payout) -> list[Act[Payout]]:
    amount = formats.money(one.amount_fen)
    effect = (
        f"登记 {amount} 已提交银行或渠道：从可打款转为打款中。请先导出指令并实际提交。",
        f"{amount} were handed to the bank or the channel. Export the instruction and hand it in first.",
    )
    done = ("已登记提交", "Marked as sent")
    return [Act(SEND, ("登记已提交", "Mark as sent"), effect, done, _move(one, "send"), (_REFERENCE,))]


def _arrived(one: Payout) -> list[Act[Payout]]:
    amount = formats.money(one.amount_fen)
    effect = (f"{amount} 已到“{one.supplier}”账上，结算单转为已打款。", f"{amount} arrived; the statements are paid.")
    done = ("已确认到账", "It has arrived")
    return [Act(ARRIVED, ("确认到账", "It arrived"), effect, done, _move(one, "confirm"), (_BANK, _NOTE))]


def _fail(one: Payout) -> list[Act[Payout]]:
    amount = formats.money(one.amount_fen)
    effect = (
        f"{amount} 退回可打款，结算单可以重新发起打款；供应商看得到原因。",
        f"{amount} become payable again; the supplier reads why.",
    )
    entries = [_reason(("失败原因（必填，供应商会看到）", "Why (needed; the supplier reads it)"))]
    if one.state is PayoutState.CONFIRMED:
        entries.append(_REFERENCE)
    words = ("打款失败或退汇…", "It failed or came back…")
    return [
        Act(FAIL, words, effect, ("已登记失败", "Marked as failed"), _move(one, "fail"), tuple(entries), tone="danger")
    ]


def _withdraw(one: Payout) -> list[Act[Payout]]:
    effect = ("撤回这笔打款，什么都没有动；结算单可以重新发起打款。", "It is taken back; nothing has moved.")
    return [Act(WITHDRAW, ("撤回", "Withdraw"), effect, ("已撤回", "Withdrawn"), _move(one, "withdraw"), (_NOTE,))]
