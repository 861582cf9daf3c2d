"""Differences whose money waits in the exceptions follow what people, channel and policy do there."""

from __future__ import annotations

from sqlalchemy import and_, or_, select

from server import changes
from server.context import Context
from server.db import Tx, retrying
from server.payments.model import PaymentException
from server.reconcile import days, feed, handling
from server.reconcile.model import ReconcileDifference
from shared.finance import DifferenceAction, DifferenceState

LOOK_SECONDS = 30.0

_LIVE = (DifferenceState.OPEN.value, DifferenceState.PROPOSED.value, DifferenceState.WORKING.value)
_MOST = 500

_A = DifferenceAction
_OF_MONEY = (_A.REFUND.value, _A.ATTACH.value, _A.BOOK.value, _A.DELIVER.value)
"""Decisions that can have been taken in the exceptions."""


def register(ctx: Context) -> None:
    """Wire the look at them; called once by `app`."""
    ctx.jobs.every("reconcile.follow", LOOK_SECONDS, lambda: retrying(ctx.db, follow))


def follow(tx: Tx, channel: str | None = None) -> int:
    """Let those stand where their exceptions stand, all or a channel's; answers how many have moved.

    What waits for a second person also follows what it is that is proposed there.
    """
    r, e = ReconcileDifference, PaymentException
    of_money = r.action.is_(None) | r.action.in_(_OF_MONEY)
    proposed_anew = and_(r.state == DifferenceState.PROPOSED.value, e.version != r.exception_version)
    differ = (r.state.in_(_LIVE), ~r.is_signed, of_money, or_(e.state != r.state, proposed_anew))
    its = differ if channel is None else (*differ, r.channel == channel)
    query = select(r.channel, r.day, r.id, e.id).join(e, e.id == r.exception_id).where(*its)
    found = tx.execute(query.order_by(r.channel, r.day, r.id).limit(_MOST)).all()
    moved = 0
    for of_channel, day, difference_id, exception_id in found:
        days.find(tx, of_channel, day, lock=True)  # before what is of it, as runs do
        locked = select(r).where(r.id == difference_id).with_for_update()
        row = tx.scalars(locked.execution_options(populate_existing=True)).one()
        if row.is_signed or not _follow(row, tx.get_one(PaymentException, exception_id)):
            continue
        row.version += 1
        tx.flush()
        days.outputs_changed(tx, row.channel, row.day)
        changes.append(tx, feed.DIFFERENCE, row.id, domain=feed.DOMAIN)
        moved += 1
    return moved


def _follow(row: ReconcileDifference, exception: PaymentException) -> bool:
    """Whether the row has moved, or stands alone by now."""
    if handling.follow(row, exception):
        return True
    if row.state != DifferenceState.OPEN or exception.closed_at is None:
        return False
    row.exception_id = None
    return True
