"""Money of a channel that arrived in our bank: bank <- psp, once by the bank's own number of it.

It is of one bill's day. What a day's bill says the channel owes us and what arrived for it must clear in the end; that
is for people to see (`queries.nets`), because a channel may pay two days at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import func, select

from server import audit, changes
from server.db import Tx
from server.identity import queries as people
from server.ledger import paying
from server.policy import Actor
from server.reconcile import feed
from server.reconcile.model import ReconcileSweep
from shared import clock, ids
from shared.contracts.base import Page
from shared.contracts.reconcile import NewSweep, Sweep
from shared.errors import BadField, Conflict
from shared.finance import SweepState
from shared.money import Fen, format_fen


class SweepDiffers(Conflict):
    """The bank's number was recorded with another amount or day."""

    code = "sweep_differs"
    zh = "银行流水号 {reference} 已经登记为 {day} 的 ¥{amount}，内容不同，没有重复登记。请核对。"
    en = "The bank's number {reference} was recorded before as ¥{amount} of {day}, which differs: nothing was recorded."


def record(tx: Tx, body: NewSweep, *, actor: Actor, request_id: str | None) -> ReconcileSweep:
    """Book an arrival; the same again changes nothing. Raises SweepDiffers, BadField for days that cannot be."""
    today = clock.shop_day(clock.now())
    if body.arrived_on > today or body.arrived_on < body.day:
        raise BadField(field="arrived_on", reason="到账日应在账单日与今天之间 / between the bill's day and today")
    reference = body.reference.strip()
    if not reference:
        raise BadField(field="reference", reason="请填写银行流水号 / the bank's number is needed")
    found = tx.get(ReconcileSweep, (body.channel, reference), with_for_update=True)
    if found is not None:
        if (found.day, found.amount_fen, found.arrived_on) != (body.day, body.amount_fen, body.arrived_on):
            raise SweepDiffers(reference=reference, day=str(found.day), amount=format_fen(found.amount_fen))
        return found
    row = ReconcileSweep(
        id=ids.new_id(),
        channel=body.channel,
        reference=reference,
        day=body.day,
        amount_fen=body.amount_fen,
        arrived_on=body.arrived_on,
        recorded_by=actor.label,
        recorded_at=clock.now(),
    )
    tx.add(row)
    tx.flush()
    paying.sweep(
        tx,
        channel=body.channel,
        reference=reference,
        amount=body.amount_fen,
        at=clock.day_bounds(body.arrived_on)[0],
        actor=actor.label,
        memo=body.day.isoformat(),
    )
    changes.append(tx, feed.DAY, feed.day_id(body.channel, body.day), domain=feed.DOMAIN)
    audit.append(
        tx,
        actor=actor.label,
        action="sweep.record",
        entity="sweep",
        entity_id=reference,
        detail={"channel": body.channel, "day": body.day.isoformat(), "fen": body.amount_fen},
        request_id=request_id,
    )
    return row


def page(tx: Tx, *, day: date | None, channel: str | None, after: str | None, limit: int) -> Page[Sweep]:
    """Arrivals by channel and number; `after` is the last of the page before."""
    query = select(ReconcileSweep)
    if day is not None:
        query = query.where(ReconcileSweep.day == day)
    if channel is not None:
        query = query.where(ReconcileSweep.channel == channel)
    if after is not None:
        of, _, number = after.partition(":")
        behind = (ReconcileSweep.channel == of) & (ReconcileSweep.reference > number)
        query = query.where((ReconcileSweep.channel > of) | behind)
    rows = tx.scalars(query.order_by(ReconcileSweep.channel, ReconcileSweep.reference).limit(limit + 1)).all()
    shown = rows[:limit]
    more = f"{shown[-1].channel}:{shown[-1].reference}" if len(rows) > limit else None
    return Page(items=answers(tx, shown), next=more)


def arrived(tx: Tx, first: date, last: date) -> dict[tuple[str, date], Fen]:
    """What arrived for the bills of these days, by channel and day."""
    query = (
        select(ReconcileSweep.channel, ReconcileSweep.day, func.sum(ReconcileSweep.amount_fen))
        .where(ReconcileSweep.day >= first, ReconcileSweep.day <= last)
        .group_by(ReconcileSweep.channel, ReconcileSweep.day)
    )
    return {(channel, day): int(fen) for channel, day, fen in tx.execute(query)}


def answers(tx: Tx, rows: Sequence[ReconcileSweep]) -> list[Sweep]:
    """As people see them."""
    names = people.names_of(tx, {row.recorded_by for row in rows})
    return [
        Sweep(
            id=row.id,
            channel=row.channel,
            day=row.day,
            amount_fen=row.amount_fen,
            others_fen=0,
            state=SweepState.BOOKED,
            note="",
            checked_by=None,
            checked_at=None,
            actions=[],
            version=1,
            reference=row.reference,
            arrived_on=row.arrived_on,
            recorded_by=names.get(row.recorded_by, row.recorded_by),
            recorded_at=row.recorded_at,
        )
        for row in rows
    ]
