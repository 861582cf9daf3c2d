"""What the bank or the channel says became of payouts, row by row of its file: all of it is taken in, or nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from server import audit
from server.db import Tx
from server.policy import Actor
from server.settlement import payouts, turns
from server.settlement.model import Payout
from shared.contracts import settlement as wire
from shared.errors import Conflict
from shared.finance import PAYOUT, PayoutState


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
    numbers = [row.number for row in wanted.rows]
    named = select(Payout.id).where(Payout.number.in_(numbers))
    by_number = {held.number: held for held in payouts.lock_all(tx, list(tx.scalars(named))).values()}
    counts = {"confirmed": 0, "failed": 0, "known_before": 0}
    seen: set[str] = set()
    for n, row in enumerate(wanted.rows, start=1):
        held = by_number.get(row.number)
        reason = "重复 / twice in the file" if row.number in seen else _misfit(held, row)
        if held is None or reason is not None:
            raise ResultsDoNotFit(row=n, number=row.number, reason=reason)
        seen.add(row.number)
        counts[_take(tx, held, row, wanted.file_sha256, actor=actor, request_id=request_id)] += 1
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


def _misfit(held: Payout | None, row: wire.PayoutResult) -> str | None:
    """Why a row cannot be taken in; None when it can."""
    if held is None:
        return "没有这笔打款 / no such payout"
    if held.amount_fen != row.amount_fen:
        return f"金额应为 {held.amount_fen} 分 / the amount is {held.amount_fen} fen"
    to, state = _told(row), PayoutState(held.state)
    if state is not to and to not in PAYOUT[state]:
        return f"打款状态为 {state} / it is {state}"
    return None


def _told(row: wire.PayoutResult) -> PayoutState:
    return PayoutState.CONFIRMED if row.succeeded else PayoutState.FAILED


def _take(
    tx: Tx, held: Payout, row: wire.PayoutResult, file_sha256: str, *, actor: Actor, request_id: str | None
) -> str:
    if held.state == _told(row).value:
        return "known_before"
    said = wire.MovePayout(reference=row.reference, note=row.reason, version=held.version)
    held.result_sha256 = file_sha256
    end: Any = payouts.arrived if row.succeeded else payouts.failed
    end(tx, held, said, actor=actor, request_id=request_id)
    return "confirmed" if row.succeeded else "failed"
