"""What channels owe us by the bills of their days, and what of it came: the days whose money has not come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from itertools import islice

from sqlalchemy import func, select

from server.db import Tx, among
from server.payments.adjustments import queries as adjustments
from server.reconcile.figures import Figures
from server.reconcile.model import ReconcileDay, ReconcileSweep, ReconcileSweepPart
from shared.contracts import bank
from shared.contracts.base import Page
from shared.finance import AdjustmentState, SweepState
from shared.money import Fen

_Key = tuple[str, date]

BOOKED = (SweepState.BOOKED.value, SweepState.REVERSING.value)
"""States of what is in the books."""

_WAITING = (SweepState.PROPOSED.value,)


@dataclass(frozen=True, slots=True)
class Owed:
    """A channel's day: what its bill comes to, what was corrected since it was signed, and what came."""

    net_fen: Fen = 0
    corrected_fen: Fen = 0
    arrived_fen: Fen = 0

    @property
    def short_fen(self) -> Fen:
        """What has not come; negative where too much did."""
        return self.net_fen + self.corrected_fen - self.arrived_fen

    def has_room_for(self, fen: Fen) -> bool:
        """Whether a part of an arrival is no more than what is to come, or than what is to be set off."""
        return min(self.short_fen, 0) <= fen <= max(self.short_fen, 0)


def of(tx: Tx, channel: str, days: Collection[date]) -> dict[date, Owed]:
    """These days of a channel, as far as they were compared. They are held: nobody else shares them out meanwhile."""
    rows = select(ReconcileDay).where(ReconcileDay.channel == channel, among(tx, ReconcileDay.day, sorted(days)))
    held = tx.scalars(rows.order_by(ReconcileDay.day).with_for_update()).all()
    return {day: owed for (_, day), owed in _owed(tx, [((channel, row.day), row.figures) for row in held])}


def short(tx: Tx, channel: str, *, until: date) -> dict[date, Fen]:
    """The days of a channel whose money has not come, nor waits for a second person, and by how much."""
    d = ReconcileDay
    rows = tx.execute(select(d.day, d.figures).where(d.channel == channel, d.day <= until).order_by(d.day))
    found = list(_owed(tx, [((channel, day), figures) for day, figures in rows]))
    waiting = arrived(tx, [day for (_, day), _ in found], states=_WAITING)
    lacks = {key[1]: one.short_fen - waiting.get(key, 0) for key, one in found}
    return {day: fen for day, fen in lacks.items() if fen}


def page(tx: Tx, *, channel: str | None = None, after: str | None, limit: int) -> Page[bank.OwedDay]:
    """The days of all channels, or one, whose money has not come, oldest first."""
    d = ReconcileDay
    query = select(d.channel, d.day, d.figures).order_by(d.day, d.channel)
    rows = tx.execute(query if channel is None else query.where(d.channel == channel))
    owed = _owed(tx, [((of_channel, day), figures) for of_channel, day, figures in rows])
    open_ = ((key, one) for key, one in owed if one.short_fen and (after is None or _name(key) > after))
    found = list(islice(open_, limit + 1))
    waiting = arrived(tx, [key[1] for key, _ in found[:limit]], states=_WAITING)
    items = [
        bank.OwedDay(
            channel=key[0],
            day=key[1],
            net_fen=one.net_fen,
            corrected_fen=one.corrected_fen,
            arrived_fen=one.arrived_fen,
            waiting_fen=waiting.get(key, 0),
            short_fen=one.short_fen,
        )
        for key, one in found[:limit]
    ]
    return Page(items=items, next=_name(found[limit - 1][0]) if len(found) > limit else None)


def arrived(tx: Tx, days: Collection[date], *, states: Collection[str] = BOOKED) -> dict[_Key, Fen]:
    """What of ours arrived for the bills of these days, by channel and day."""
    if not days:
        return {}
    p, w = ReconcileSweepPart, ReconcileSweep
    query = (
        select(w.channel, p.day, func.sum(p.amount_fen))
        .join_from(p, w, w.id == p.sweep_id)
        .where(p.day >= min(days), p.day <= max(days), w.state.in_(states))
        .group_by(w.channel, p.day)
    )
    return {(channel, day): int(fen) for channel, day, fen in tx.execute(query)}


def _owed(tx: Tx, figures: list[tuple[_Key, str]]) -> Iterable[tuple[_Key, Owed]]:
    days = [day for (_, day), _ in figures]
    came = arrived(tx, days)
    corrected: defaultdict[_Key, Fen] = defaultdict(int)
    for row in adjustments.about_days(tx, min(days), max(days)) if days else ():
        if row.channel and row.day and row.state == AdjustmentState.POSTED:
            corrected[row.channel, row.day] += adjustments.moved(row, "psp", row.channel)
    for key, text in figures:
        yield key, Owed(Figures.of(text).net_fen, corrected[key], came.get(key, 0))


def _name(key: _Key) -> str:
    return f"{key[1].isoformat()}:{key[0]}"
