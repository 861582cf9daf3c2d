"""What the bank or the channel says became of payouts, row by row of its file: all of it is taken in, or nothing.

A row names a payout, or one row of the instruction of a payout that is split: each of these has its own result, for a
request that the channel calls finished may have failed for its receiver. The last of them ends the payout: with what
arrived, and what did not is available again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from server import audit
from server.db import Tx, among
from server.policy import Actor
from server.settlement import ending, payouts, splits, turns
from server.settlement.model import Payout, SettlementResult
from shared.contracts import settlement as wire
from shared.errors import Conflict
from shared.finance import PAYOUT, PayoutState
from shared.money import Fen, format_fen
from shared.payout_rows import Row
from shared.sentence import Sentence

_NOTE = 400


class ResultsDoNotFit(Conflict):
    """A row of the file fits no payout, or not as it stands; nothing of the file was taken in."""

    code = "results_do_not_fit"
    status = 422
    zh = "第 {row} 行（{number}）不符：{reason}。整份文件未导入，请核对后重试。"
    en = "Row {row} ({number}) does not fit: {reason}. Nothing of the file was taken in; check it and try again."


def take_in(
    tx: Tx, wanted: wire.PayoutResults, *, actor: Actor, request_id: str | None = None
) -> wire.PayoutResultsTaken:
    """Take in a file of results; a repeat of it, or of its rows, changes nothing.

    Raises ResultsDoNotFit with the first row that does not; IdempotencyReused.
    """
    content = wanted.model_dump(mode="json", exclude={"id", "file_name"})
    known = turns.begin(tx, wanted.id, "results", content, actor=actor.label)
    if known is not None:
        return wire.PayoutResultsTaken(**known.answer)
    file = _File(wanted.file_sha256, actor, request_id)
    held = _named(tx, wanted.rows)
    before = {one.payout: one.payout.state for one, _ in held.values()}
    rows: Counter[str] = Counter()
    seen: set[str] = set()
    for n, row in enumerate(wanted.rows, start=1):
        named, part = held.get(row.number, (None, None))
        reason = Sentence("文件中重复出现", "it is twice in the file") if row.number in seen else None
        if named is None:
            reason = Sentence("没有这笔打款", "there is no such payout")
        elif reason is None:
            reason = _misfit(named.payout, row, actor) if part is None else _misfit_of_row(tx, named, part, row, actor)
        if named is None or reason is not None:
            raise ResultsDoNotFit(row=row.line or n, number=row.number, reason=reason)
        seen.add(row.number)
        what, fen = _take(tx, named, row, file) if part is None else _take_row(tx, named, part, row, file)
        rows.update({what: 1, f"{what}_fen": fen} if what in _WITH_SUMS else {what: 1})
    tx.flush()
    taken = wire.PayoutResultsTaken(**rows, **_moved(before))
    counts = taken.model_dump()
    turns.finish(tx, wanted.id, counts)
    audit.append(
        tx,
        actor=actor.label,
        action="payout.results",
        entity="payout_results",
        entity_id=str(wanted.id),
        detail={"file": wanted.file_name, "sha256": wanted.file_sha256, **counts},
        request_id=request_id,
    )
    return taken


_WITH_SUMS = frozenset({"arrived", "lacked", "returned"})
"""What becomes of a row by which somebody gets or gives money."""


def _moved(before: Mapping[Payout, str]) -> Counter[str]:
    """What became of the payouts that a file names: those that ended by it, and those that wait for more of it."""
    ended = Counter(_ended(payout) for payout, state in before.items() if payout.state != state)
    ended["waiting"] = sum(payout.state == PayoutState.SENT.value for payout in before)
    return ended


def _ended(payout: Payout) -> str:
    """How it ended; one of which something lacks has not arrived as the whole that people read of."""
    is_there = payout.state == PayoutState.CONFIRMED.value
    return "in_part" if is_there and payout.arrived_fen < payout.amount_fen else payout.state


@dataclass(frozen=True, slots=True)
class _File:
    """What tells it, and who brought that."""

    sha256: str
    actor: Actor
    request_id: str | None


@dataclass(slots=True)
class _Named:
    """A payout that a file names: the rows of its instruction, and what was told of them, are read once for all.

    `rows` are those by which the money goes, of a payout that is split; `splits` numbers those that end their payments.
    """

    payout: Payout
    rows: dict[int, Fen]
    splits: set[int]
    told: dict[int, SettlementResult]

    @property
    def waiting(self) -> Fen:
        """How much of it nobody told of."""
        return self.payout.amount_fen - sum(fen for n, fen in self.rows.items() if n in self.told)


def _named(tx: Tx, rows: Sequence[wire.PayoutResult]) -> dict[str, tuple[_Named, Row | None]]:
    """What the rows of a file name: payouts, or rows of their instructions by their numbers. Takes their turns."""
    parts = {row.number: Row.named(row.number) for row in rows}
    numbers = {*parts, *(part.payout for part in parts.values() if part)}
    found = payouts.lock_all(tx, list(tx.scalars(select(Payout.id).where(among(tx, Payout.number, list(numbers))))))
    by_number = {
        held.number: _Named(
            held,
            splits.rows(tx, held) if held.mode == splits.PROFIT_SHARING else {},
            splits.numbers(tx, held),
            splits.results(tx, held),
        )
        for held in found.values()
    }
    named: dict[str, tuple[_Named, Row | None]] = {}
    for number, part in parts.items():
        if number in by_number:
            named[number] = by_number[number], None
        elif part is not None and part.payout in by_number:
            named[number] = by_number[part.payout], part
    return named


# --- of a payout ---


def _misfit(held: Payout, row: wire.PayoutResult, actor: Actor) -> Sentence | None:
    """Why a row cannot be taken in; None when it can.

    A file is what whoever brings it says it is: that what had arrived came back is no more theirs to say than by hand.
    """
    if held.amount_fen != row.amount_fen:
        return _other_amount(held.amount_fen)
    to, state = _told(row), PayoutState(held.state)
    if state is not to and to not in PAYOUT[state]:
        return _stands(state)
    if state is PayoutState.CONFIRMED and to is PayoutState.FAILED:
        return _PARTS_BACK if held.returned_fen else _not_alone(held, row, actor)
    return None


def _not_alone(held: Payout, row: wire.PayoutResult, actor: Actor) -> Sentence | None:
    """What had arrived came back by another person's word than its maker's, and by a number of the bank or channel."""
    without = None if row.reference else Sentence("退回须有流水号", "it came back, and has no reference")
    return _by_maker(held, actor) or without


def _by_maker(held: Payout, actor: Actor) -> Sentence | None:
    is_maker = held.made_by == actor.label
    words = "它已登记到账，须由发起人以外的人导入", "it had arrived, so another person than its maker brings the file"
    return Sentence(*words) if is_maker else None


def _other_amount(fen: Fen, most: Fen | None = None) -> Sentence:
    amounts = " – ".join(f"¥{format_fen(one)}" for one in dict.fromkeys((fen, most or fen)))
    return Sentence(f"金额应为 {amounts}", f"its amount is {amounts}")


def _stands(state: PayoutState) -> Sentence:
    return Sentence(f"打款{_STANDS[state].zh}", f"the payout {_STANDS[state].en}")


_STANDS = {
    PayoutState.REQUESTED: Sentence("还在等复核", "still waits for its approval"),
    PayoutState.APPROVED: Sentence("还没有提交", "was not sent yet"),
    PayoutState.SENT: Sentence("已提交", "is on its way"),
    PayoutState.CONFIRMED: Sentence("已到账", "has arrived"),
    PayoutState.FAILED: Sentence("已失败", "has failed"),
    PayoutState.REFUSED: Sentence("未通过或已撤回", "was refused or withdrawn"),
}


def _told(row: wire.PayoutResult) -> PayoutState:
    return PayoutState.CONFIRMED if row.succeeded else PayoutState.FAILED


def _take(tx: Tx, named: _Named, row: wire.PayoutResult, file: _File) -> tuple[str, Fen]:
    """What became of it, and of how much of it that was not told of before."""
    if named.payout.state == _told(row).value:
        return "known_before", 0
    fen = named.payout.arrived_fen or named.waiting
    _end(tx, named, file, is_there=row.succeeded, reference=row.reference, note=row.reason)
    return _arrived(row), fen


def _arrived(row: wire.PayoutResult) -> str:
    return "arrived" if row.succeeded else "lacked"


def _end(tx: Tx, named: _Named, file: _File, *, is_there: bool, reference: str = "", note: str = "") -> None:
    """It arrived, or did not, but for rows that are told of."""
    held = named.payout
    said = wire.MovePayout(reference=reference, note=note, version=held.version)
    held.result_sha256 = file.sha256
    tx.flush()
    end = ending.arrived if is_there else ending.failed
    end(tx, held, said, actor=file.actor, request_id=file.request_id)
    named.told = splits.results(tx, held)


# --- of the rows of its instruction ---


def _misfit_of_row(tx: Tx, named: _Named, part: Row, row: wire.PayoutResult, actor: Actor) -> Sentence | None:
    held, rows = named.payout, named.rows
    if part.n not in (named.splits if part.kind else rows):
        return Sentence("打款没有这一行", "the payout has no such row")
    if part.kind == "R":
        return _misfit_of_return(tx, held, part, row, actor)
    least, most = splits.rest_within(tx, held, part.n) if part.kind else (rows[part.n], rows[part.n])
    if not least <= row.amount_fen <= most:
        return _other_amount(least, most)
    if (known := named.told.get(_key(part))) is not None:
        return None if known.succeeded == row.succeeded else _OTHER_RESULT
    if part.kind and held.sent_at is not None:
        return None
    return _misfit_of_ended(tx, held, part, row, actor)


def _misfit_of_ended(tx: Tx, held: Payout, part: Row, row: wire.PayoutResult, actor: Actor) -> Sentence | None:
    """Whether the channel's word on a row goes with what somebody said of the whole payout meanwhile."""
    state = PayoutState(held.state)
    if state is PayoutState.SENT or _SAID.get(state) is row.succeeded:
        return None
    if state is PayoutState.CONFIRMED:
        is_given_back = any(n == part.n for n, _ in splits.returns(tx, held))
        return _GIVEN_BACK if is_given_back else _by_maker(held, actor)
    return _stands(state)


_OTHER_RESULT = Sentence("此行已有不同结果", "another result of this row is known")
_GIVEN_BACK = Sentence("此行已有分账回退", "some of this row was given back")
_PARTS_BACK = Sentence(
    "已有分账回退，不能整笔退回", "some of its splits were given back, so it does not come back whole"
)
_SAID = {PayoutState.CONFIRMED: True, PayoutState.FAILED: False}
"""What is said of the rows of a payout of which nobody told."""


def _key(part: Row) -> int:
    """The number that its result is kept under."""
    return -part.n if part.kind == "E" else part.n


def _take_row(tx: Tx, named: _Named, part: Row, row: wire.PayoutResult, file: _File) -> tuple[str, Fen]:
    """Keep what became of a row; the last of those by which the money goes ends the payout.

    Of one that had ended by then it is known, or it lacks this row.
    """
    held = named.payout
    if part.kind == "R":
        return _take_return(tx, held, part, row, file)
    if _key(part) in named.told:
        return "known_before", 0
    if part.kind and not row.succeeded:
        return "not_done", 0  # it can be tried again
    has_ended = held.state != PayoutState.SENT.value and not part.kind
    is_as_said = _SAID.get(PayoutState(held.state)) is row.succeeded
    if has_ended and not is_as_said:
        note = "; ".join(filter(None, (held.note, f"{row.number} {row.reason}".strip())))[:_NOTE]
        said_of_it = wire.MovePayout(note=note, version=held.version)
        tx.flush()
        ending.lacked(tx, held, part.n, said_of_it, actor=file.actor, request_id=file.request_id)
    said = {"succeeded": row.succeeded, "reference": row.reference, "reason": row.reason}
    named.told[_key(part)] = SettlementResult(payout_id=held.id, n=_key(part), file_sha256=file.sha256, **said)
    tx.add(named.told[_key(part)])
    if part.kind:
        return "unfrozen", 0
    if has_ended:
        return ("known_before", 0) if is_as_said else ("lacked", row.amount_fen)
    if named.rows.keys() <= named.told.keys():
        failed = [one for n in sorted(named.rows) if not (one := named.told[n]).succeeded]
        note = "; ".join(f"{Row(held.number, one.n).name} {one.reason}".strip() for one in failed)
        _end(tx, named, file, is_there=len(failed) < len(named.rows), note=note[:_NOTE])
    return _arrived(row), row.amount_fen


# --- of what was given back ---


def _misfit_of_return(tx: Tx, held: Payout, part: Row, row: wire.PayoutResult, actor: Actor) -> Sentence | None:
    """More, or less, may be due by now than when the instruction was carried away.

    What is given back can be paid again: so who made the payout does not say it alone.
    """
    known = splits.returns(tx, held).get((part.n, part.k))
    if known is not None:
        is_other = None if known.amount_fen == row.amount_fen else _other_amount(known.amount_fen)
        return is_other if row.succeeded else _OTHER_RESULT
    is_there = held.arrived_fen and part.n in ending.there(tx, held)
    most = splits.most_returned(tx, held, part.n, part.k) if is_there else 0
    if not most:
        return Sentence("没有待回退的分账", "nothing of it is to be given back")
    if row.amount_fen <= most:
        return _not_alone(held, row, actor) if row.succeeded else None
    return Sentence(f"最多回退 ¥{format_fen(most)}", f"no more than ¥{format_fen(most)} is to be given back")


def _take_return(tx: Tx, held: Payout, part: Row, row: wire.PayoutResult, file: _File) -> tuple[str, Fen]:
    """Book what was given back; a return that failed can be tried again."""
    if not row.succeeded:
        return "not_done", 0
    if (part.n, part.k) in splits.returns(tx, held):
        return "known_before", 0
    ending.give_back(tx, held, part, row.amount_fen, reference=row.reference, file_sha256=file.sha256, actor=file.actor)
    return "returned", row.amount_fen
