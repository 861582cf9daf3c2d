"""What the bank or the channel says became of payouts, row by row of its file: all of it is taken in, or nothing.

A row names a payout, or one row of the instruction of a payout that is split: each of these has its own result, for a
request that the channel calls finished may have failed for its receiver. The last of them ends the payout: with what
arrived, and what did not is available again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from server import audit
from server.db import Tx, among
from server.policy import Actor
from server.settlement import payouts, splits, turns
from server.settlement.instructions import TRANSFER, request_no, row_number
from server.settlement.model import Payout, SettlementResult
from shared.contracts import settlement as wire
from shared.errors import Conflict
from shared.finance import PAYOUT, PayoutState
from shared.money import Fen

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
    counts = {"confirmed": 0, "failed": 0, "known_before": 0, "waiting": 0}
    seen: set[str] = set()
    for line, row in enumerate(wanted.rows, start=1):
        payout, n = held.get(row.number, (None, None))
        reason = "重复 / twice in the file" if row.number in seen else None
        if payout is None:
            reason = "没有这笔打款 / no such payout"
        elif reason is None:
            reason = _misfit(payout, row) if n is None else _misfit_of_row(tx, payout, n, row)
        if payout is None or reason is not None:
            raise ResultsDoNotFit(row=line, number=row.number, reason=reason)
        seen.add(row.number)
        counts[_take(tx, payout, row, file) if n is None else _take_row(tx, payout, n, row, file)] += 1
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
    return wire.PayoutResultsTaken(**counts)


@dataclass(frozen=True, slots=True)
class _File:
    """What tells it, and who brought that."""

    sha256: str
    actor: Actor
    request_id: str | None


def _named(tx: Tx, rows: Sequence[wire.PayoutResult]) -> dict[str, tuple[Payout, int | None]]:
    """What the rows of a file name: payouts, or rows of their instructions by their numbers. Takes their turns."""
    parts = {row.number: row_number(row.number) for row in rows}
    numbers = {*parts, *(part[0] for part in parts.values() if part)}
    found = payouts.lock_all(tx, list(tx.scalars(select(Payout.id).where(among(tx, Payout.number, list(numbers))))))
    by_number = {held.number: held for held in found.values()}
    named: dict[str, tuple[Payout, int | None]] = {}
    for number, part in parts.items():
        if number in by_number:
            named[number] = by_number[number], None
        elif part is not None and part[0] in by_number:
            named[number] = by_number[part[0]], part[1]
    return named


# --- of a payout ---


def _misfit(held: Payout, row: wire.PayoutResult) -> str | None:
    """Why a row cannot be taken in; None when it can."""
    if held.amount_fen != row.amount_fen:
        return _other_amount(held.amount_fen)
    to, state = _told(row), PayoutState(held.state)
    if state is not to and to not in PAYOUT[state]:
        return f"打款状态为 {state} / it is {state}"
    return None


def _other_amount(fen: Fen) -> str:
    return f"金额应为 {fen} 分 / the amount is {fen} fen"


def _told(row: wire.PayoutResult) -> PayoutState:
    return PayoutState.CONFIRMED if row.succeeded else PayoutState.FAILED


def _take(tx: Tx, held: Payout, row: wire.PayoutResult, file: _File) -> str:
    if held.state == _told(row).value:
        return "known_before"
    return _end(
        tx, held, file, amount=held.amount_fen if row.succeeded else 0, reference=row.reference, note=row.reason
    )


def _end(tx: Tx, held: Payout, file: _File, *, amount: Fen, reference: str = "", note: str = "") -> str:
    """So much of it arrived: the rest, or all of it, did not."""
    said = wire.MovePayout(reference=reference, note=note, version=held.version)
    held.result_sha256 = file.sha256
    if amount:
        payouts.arrived(tx, held, said, amount=amount, actor=file.actor, request_id=file.request_id)
        return "confirmed"
    payouts.failed(tx, held, said, actor=file.actor, request_id=file.request_id)
    return "failed"


# --- of the rows of its instruction ---


def _rows_of(tx: Tx, held: Payout) -> dict[int, Fen]:
    """The rows of an instruction by which the money goes, by their numbers."""
    rows = {n: fen for n, _, fen in splits.of(tx, held)}
    rest = held.amount_fen - sum(rows.values())
    return rows | ({TRANSFER: rest} if rest else {})


def _misfit_of_row(tx: Tx, held: Payout, n: int, row: wire.PayoutResult) -> str | None:
    rows = _rows_of(tx, held) if held.mode == payouts.PROFIT_SHARING else {}
    if abs(n) not in rows:
        return "打款没有这一行 / the payout has no such row"
    if n >= 0 and rows[n] != row.amount_fen:
        return _other_amount(rows[n])
    if (known := tx.get(SettlementResult, (held.id, n))) is not None:
        return None if known.succeeded == row.succeeded else "此行已有不同结果 / another result of it is known"
    state = PayoutState(held.state)
    return None if state is PayoutState.SENT or n < 0 else f"打款状态为 {state} / it is {state}"


def _take_row(tx: Tx, held: Payout, n: int, row: wire.PayoutResult, file: _File) -> str:
    """Keep what became of a row; the last of those by which the money goes ends the payout."""
    if tx.get(SettlementResult, (held.id, n)) is not None:
        return "known_before"
    said = {"succeeded": row.succeeded, "reference": row.reference, "reason": row.reason}
    tx.add(SettlementResult(payout_id=held.id, n=n, file_sha256=file.sha256, **said))
    tx.flush()
    rows, told = _rows_of(tx, held), splits.results(tx, held)
    if n < 0 or rows.keys() - told.keys():
        return "waiting"
    failed = [one for one in told.values() if one.n >= 0 and not one.succeeded]
    note = "; ".join(f"{request_no(held, one.n)} {one.reason}".strip() for one in sorted(failed, key=lambda one: one.n))
    arrived = sum(fen for one, fen in rows.items() if told[one].succeeded)
    return _end(tx, held, file, amount=arrived, note=note[:_NOTE])
