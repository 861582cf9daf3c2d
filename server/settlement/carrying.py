"""Taking instructions of payouts away, to be carried to the bank or the channel: whoever does so again is told."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from server.db import Tx
from server.policy import Actor
from server.settlement import ending, instructions, queries
from server.settlement.model import Payout
from shared import clock
from shared.contracts import settlement as wire
from shared.finance import PayoutState


def take(
    tx: Tx, payout_ids: Sequence[UUID], *, actor: Actor, request_id: str | None = None
) -> list[wire.PayoutInstruction]:
    """The rows whose results are not known, and who had taken the same away before; all of it or nothing.

    Each payout once, however often it is named. Nothing is noted where there is nothing to carry.
    Raises NotFound and NotSent.
    """
    # One after the other: of two people at the same moment the second one is told.
    tx.execute(select(Payout.id).where(Payout.id.in_(list(payout_ids))).order_by(Payout.id).with_for_update())
    return [_take(tx, payout_id, actor=actor, request_id=request_id) for payout_id in dict.fromkeys(payout_ids)]


def _take(tx: Tx, payout_id: UUID, *, actor: Actor, request_id: str | None) -> wire.PayoutInstruction:
    held, told = queries.payout(tx, actor, payout_id), instructions.instruction(tx, actor, payout_id)
    rows = [row for row in told.rows if row.succeeded is None]
    told = told.model_copy(update={"rows": rows})
    if not rows:
        return told
    what = held.number if held.state == PayoutState.SENT.value else rows[0].request_no
    if what == held.taken_no and held.taken_by is not None:
        by = queries.Names(tx, actor, [held.taken_by]).of(held.taken_by)
        told = told.model_copy(update={"taken_by": by, "taken_at": held.taken_at})
    held.taken_no, held.taken_by, held.taken_at = what, actor.label, clock.now()
    tx.flush()
    ending.note(tx, held, "take", actor=actor, request_id=request_id)
    return told
