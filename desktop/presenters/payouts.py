"""Payouts: made by one person, approved by another, carried to the bank, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.importing.results import BadRow, ResultFile, ResultsDoNotRead
from desktop.operations import payout_files, settlement
from desktop.operations.payout_files import Carried
from desktop.operations.seen import Seen
from desktop.presenters import formats, payout_acts
from desktop.presenters.acting import Act, Pair
from desktop.presenters.listing import Column
from desktop.presenters.many import ManyCases
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words, language, longest, party_words, tone, word
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.settlement import EarlierPayout, Payout, PayoutInstruction, PayoutResult, PayoutResultsTaken
from shared.errors import KamengError
from shared.finance import PayoutState
from shared.ids import new_id
from shared.money import Fen
from shared.payout_rows import Row
from shared.permissions import Permission

STATES: tuple[PayoutState | None, ...] = (None, *PayoutState)
"""The filters, in this order; None is all."""
CARRIED = frozenset({PayoutState.SENT, PayoutState.CONFIRMED})
"""Those with an instruction for the bank or the channel; of what arrived: what is to be given back."""


def _statements(one: Payout) -> str:
    return " ".join(one.statements)


def arrived_in_part(one: Payout) -> bool:
    """Whether some of it lacks, and the rest is there."""
    return one.state is PayoutState.CONFIRMED and one.arrived_fen < one.amount_fen


def standing(one: Payout) -> str:
    """Where it stands; of one that arrived, whether all of it did."""
    return in_words(("部分到账", "Arrived in part")) if arrived_in_part(one) else word(one.state)


def standing_tone(one: Payout) -> str:
    """The tone of that."""
    return "warning" if arrived_in_part(one) else tone(one.state)


COLUMNS = (
    Column[Payout]("number", lambda p: p.number, code=True, sample="DK20261116-001"),
    Column[Payout]("supplier", lambda p: p.supplier, stretch=True, tip=lambda p: p.supplier, sample="八个汉字的名称"),
    Column[Payout]("amount", lambda p: formats.money(p.amount_fen), numeric=True, sample="¥1,234,567.00"),
    Column[Payout]("state", standing, tone=standing_tone, sample=longest(PayoutState)),
    Column[Payout](
        "arrived", lambda p: formats.money(p.arrived_fen) if p.arrived_fen else "–", numeric=True, sample="¥123,456.00"
    ),
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


class Payouts(ManyCases[Payout]):
    """The state of the list and of the one in front.

    Attributes:
        state: the state that the list shows; None is all.
        instruction: what the bank or channel has to be told about the one in front; None while it is read, or where
            this person carries nothing there.
        sent: those that were sent just now, and whose instructions are in no file yet.
        exporting: a file is being written.
        exported: the file that was written last, or None.
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
        self.sent: tuple[Payout, ...] = ()
        self.exporting = False
        self.exported: Carried | None = None
        self.export_error: Exception | None = None
        self.results = Results(ask, self.refresh)
        self._instruction_latest = Latest()

    def show(self, *, state: PayoutState | None) -> None:
        """Show the payouts of a state."""
        self._choose_list(is_other=state is not self.state)
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
        """Whether what is picked, or the one in front, waits for another person than this one."""
        about = self.picked or ((self.opened,) if self.opened is not None else ())
        waiting = (one.state is PayoutState.REQUESTED and "check" not in one.actions for one in about)
        return bool(about) and not self.outcomes and self.may_make and all(waiting)

    def acts_of(self, case: Payout) -> list[Act[Any]]:
        if self.outcomes:
            return []
        if self.picked:
            return payout_acts.acts_about(self.picked) if len(self.picked) <= self.most else []
        return payout_acts.acts_of(case)

    def _acted(self, case: Any) -> None:
        done = [one.done for one in case] if isinstance(case, list) else [case]
        ended = {one.id for one in done if one is not None}
        self.sent = tuple(one for one in self.sent if one.id not in ended)
        if sent := tuple(one for one in done if one is not None and one.state is PayoutState.SENT):
            self.sent, self.exported, self.export_error = sent, None, None
        if isinstance(case, list):
            self._acted_each(case)
        else:
            super()._acted(case)

    def _show(self, case: Payout) -> None:
        if self.opened is None or (self.opened.id, self.opened.version) != (case.id, case.version):
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

    @property
    def to_carry(self) -> tuple[Payout, ...]:
        """Those whose instructions a file is written of: what is picked, what was just sent, or the one in front."""
        chosen = self.picked or self.sent or ((self.opened,) if self.opened is not None else ())
        return tuple(one for one in chosen if one.state in CARRIED) if self.may_make else ()

    def export(self, target: Path, payouts: Sequence[Payout]) -> None:
        """Write the instructions of these into one file."""
        if self.exporting or not payouts:
            return
        self.exporting, self.export_error, self.exported = True, None, None
        wanted = [one.id for one in payouts]
        work = partial(payout_files.export, payouts=wanted, target=target, language=language())
        self._ask(work, partial(self._written, frozenset(wanted)), self._not_written)
        self.changed()

    def take_results(self, path: Path) -> None:
        """Read a result file; where an instruction was written was read by then."""
        self.exported, self.export_error = None, None
        self.results.take(path)
        self.changed()

    def _written(self, payouts: frozenset[UUID], carried: Carried) -> None:
        self.exporting, self.exported = False, carried
        self.sent = tuple(one for one in self.sent if one.id not in payouts)
        self.read_again()  # it says now who took it away
        self.changed()

    def _not_written(self, error: Exception) -> None:
        self.exporting, self.export_error = False, error
        self.changed()


_NAMED = 3
"""Of more payouts that were taken away before, the rest is a number."""


def taken_before(carried: Carried) -> str:
    """Whose instructions in a file had been taken away before, by whom and when; of many the first ones."""
    told = [
        f"{one.number} {party_words(one.taken_by)} {formats.short_moment(one.taken_at, today=shop_day(now()))}"
        for one in carried.again[:_NAMED]
        if one.taken_by is not None and one.taken_at is not None
    ]
    return in_words(("；", "; ")).join(told) + ("…" if len(carried.again) > _NAMED else "")


_DOES_NOT_FIT = "results_do_not_fit"
"""What the server says of a file that it does not take: sent again it is the same."""


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
        self.file = None if isinstance(error, KamengError) and error.code == _DOES_NOT_FIT else self.file
        self.bad = error.rows if isinstance(error, ResultsDoNotRead) else ()
        self.changed()


_OURS = {"": "arrived", "E": "unfrozen", "R": "returned"}
"""What becomes of a row that succeeded, by what its number says it is."""


def awaited(rows: Sequence[PayoutResult]) -> PayoutResultsTaken:
    """What the rows of a file say, before anybody knows which of them were known."""
    counts: Counter[str] = Counter()
    for row in rows:
        named = Row.named(row.number)
        kind = named.kind if named is not None else ""
        what = _OURS[kind] if row.succeeded else "not_done" if kind else "lacked"
        counts.update({what: 1, f"{what}_fen": row.amount_fen})
    return PayoutResultsTaken.model_validate({name: n for name, n in counts.items() if name in _COUNTED})


_COUNTED = frozenset(PayoutResultsTaken.model_fields)
_PAYOUTS: dict[str, Pair] = {
    "confirmed": ("{n} 笔打款全额到账", "{n} arrived in full"),
    "in_part": ("{n} 笔打款部分到账", "{n} arrived in part"),
    "failed": ("{n} 笔打款失败", "{n} failed"),
    "waiting": ("{n} 笔打款还等其余各行的结果", "{n} waiting for more rows"),
}
_ROWS: dict[str, Pair] = {
    "arrived": ("{n} 行到账共 {sum}", "{n} arrived, {sum}"),
    "lacked": ("{n} 行未到账共 {sum}", "{n} did not, {sum}"),
    "returned": ("{n} 行已回退共 {sum}", "{n} given back, {sum}"),
    "unfrozen": ("{n} 行解冻", "{n} unfrozen"),
    "not_done": ("{n} 行解冻或回退未成", "{n} not unfrozen or given back"),
    "known_before": ("{n} 行之前已知", "{n} known before"),
}


_PARTS: tuple[tuple[Pair, dict[str, Pair]], ...] = (
    (("", "Payouts: "), _PAYOUTS),
    (("", "Rows: "), _ROWS),
)


def results_words(taken: PayoutResultsTaken) -> str:
    """What became of payouts by a file, and what its rows say: `1 笔打款全额到账；2 行到账共 ¥65.61`."""
    counts = taken.model_dump()
    told = [
        in_words(begins)
        + in_words(("，", "; ")).join(
            in_words(words).format(n=formats.count(counts[name]), sum=formats.money(counts.get(f"{name}_fen", 0)))
            for name, words in parts.items()
            if counts[name]
        )
        for begins, parts in _PARTS
        if any(counts[name] for name in parts)
    ]
    return in_words(("；", ". ")).join(told)


def paid_to(one: Payout) -> list[tuple[str, str, bool]]:
    """Who gets it, and what of it arrived: what it is, how it reads, whether it is a code."""
    facts: list[tuple[Pair, str, bool]] = [
        (("收款方", "Receiver"), one.receiver, False),
        (("收款账号", "Account"), one.account, True),
        (("开户行", "Bank"), one.bank, False),
        (("打款手续费", "Payout fee"), formats.money(one.fee_fen) if one.fee_fen else "", False),
        (
            ("实际到账", "Arrived"),
            formats.money(one.arrived_fen) if arrived_in_part(one) else "",
            False,
        ),
        (("分账回退", "Given back"), formats.money(one.returned_fen) if one.returned_fen else "", False),
    ]
    return [(in_words(words), value, is_code) for words, value, is_code in facts if value]


_NOWHERE: Pair = (
    "没有收款账号：请撤回，在“条件”里登记后重新发起打款。",
    "It has no account: take it back, agree on one, and make the payout anew.",
)
_WARNED: dict[PayoutState, tuple[Pair, ...]] = {
    PayoutState.REQUESTED: (_NOWHERE,),
    PayoutState.APPROVED: (_NOWHERE,),
    PayoutState.SENT: (
        ("没有收款账号，指令里缺这一栏：请向供应商核实。", "It has no account to pay to: ask the supplier for it."),
    ),
}
"""What is said of a payout without an account, as long as its money is on its way or before."""


def warnings(one: Payout) -> list[str]:
    """What who checks it has to know: a new account, and what became of payouts before whose money it may pay again."""
    found = [in_words(words) for words in _WARNED.get(one.state, ()) if not one.account]
    if one.is_new_account and one.state in _WARNED:
        found.append(in_words(("首次向此账户打款，请核实。", "Nothing was ever paid to this account: verify it.")))
    for before in one.earlier:
        words, fen = _became_of(before)
        why = " · ".join(part for part in (before.note, before.reference, formats.money(fen)) if part)
        found.append(in_words(words).format(number=before.number, why=why))
    return found


def _became_of(before: EarlierPayout) -> tuple[Pair, Fen]:
    """What a payout before comes to for who checks the next one, and of how much of it that is."""
    if before.state is PayoutState.CONFIRMED:
        words = ("{number} 有一部分未到账或已回退：{why}", "Part of {number} did not arrive, or was given back: {why}")
        return words, before.back_fen
    if before.arrived_at is not None:
        return ("{number} 已到账后退回：{why}", "{number} had arrived and came back: {why}"), before.amount_fen
    if before.state is PayoutState.REFUSED:
        words = ("{number} 未通过复核，或通过后撤回：{why}", "{number} was refused, or withdrawn after approval: {why}")
        return words, before.amount_fen
    return ("{number} 打款失败：{why}", "{number} failed: {why}"), before.amount_fen


def shown_bad(row: BadRow) -> str:
    """A row that does not fit, ready to show: `第 3 行：结果“处理中”不是成功或失败`."""
    words = in_words(("第 {n} 行：{why}", "Line {n}: {why}"))
    return words.format(n=formats.count(row.line), why=row.why.sentence(language()))
