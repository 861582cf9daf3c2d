"""What channels owe us for their days, and what of it came: the days whose money has not come.

A day's bill says what its channel owes us. Corrected is that by what people booked: adjustments about the day, and
movements of the channel's account that are in no trade bill; and of a signed day by the trade bill that came last.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import islice

from sqlalchemy import func, select

from server.context import Context
from server.db import Tx, among
from server.payments.adjustments import queries as adjustments
from server.payments.model import PaymentBillFile
from server.reconcile import booking
from server.reconcile.figures import Figures
from server.reconcile.matters import root
from server.reconcile.model import ReconcileDay, ReconcileDifference, ReconcileSweep, ReconcileSweepPart
from server.settings import Settings
from server.telemetry import Gauge
from shared import clock
from shared.contracts import bank
from shared.contracts.base import Page
from shared.finance import AdjustmentState, BillKind, DifferenceKind, DifferenceState, SweepState
from shared.money import Fen
from shared.owed import left

_Key = tuple[str, date]

BOOKED = (SweepState.BOOKED.value, SweepState.REVERSING.value)
"""States of what is in the books."""

_WAITING = (SweepState.PROPOSED.value,)


@dataclass(frozen=True, slots=True)
class Owed:
    """A channel's day: what its bill comes to, what was corrected since, and what came."""

    net_fen: Fen = 0
    corrected_fen: Fen = 0
    arrived_fen: Fen = 0

    @property
    def short_fen(self) -> Fen:
        """What has not come; negative where too much did."""
        return self.net_fen + self.corrected_fen - self.arrived_fen


def lacking(tx: Tx, channel: str, days: Collection[date], *, hold: bool = False) -> dict[date, Fen]:
    """What of these days of a channel has not come, as far as they were compared: negative where too much did.

    `hold`: nobody else shares them out meanwhile.
    """
    rows = select(ReconcileDay).where(ReconcileDay.channel == channel, among(tx, ReconcileDay.day, sorted(days)))
    found = tx.scalars(rows.order_by(ReconcileDay.day).with_for_update() if hold else rows).all()
    return {day: one.short_fen for (_, day), one in _owed(tx, [((channel, row.day), row.figures) for row in found])}


def to_come(tx: Tx, channel: str, days: Collection[date]) -> dict[date, Fen]:
    """What of these days of a channel neither came nor waits for a second person: where negative, to be set off. They
    are held.
    """
    short, waiting = lacking(tx, channel, days, hold=True), arrived(tx, days, states=_WAITING)
    return {day: left(fen, waiting.get((channel, day), 0)) for day, fen in short.items()}


def short(tx: Tx, channel: str, *, until: date) -> dict[date, Fen]:
    """The days of a channel whose money has not come, nor waits for a second person, and by how much. They are held."""
    d = ReconcileDay
    rows = tx.execute(select(d.day, d.figures).where(d.channel == channel, d.day <= until))
    lacking = [day for (_, day), one in _owed(tx, [((channel, day), text) for day, text in rows]) if one.short_fen]
    return {day: fen for day, fen in to_come(tx, channel, lacking).items() if fen}


def register(ctx: Context) -> None:
    """Wire the figures about days whose money is late; called once by `app`."""
    ctx.metrics.watch(lambda: gauges(ctx))


def gauges(ctx: Context) -> list[Gauge]:
    """For /metrics: days whose money is late, by channel."""
    with ctx.db.read() as tx:
        late = Counter(key[0] for key, one, waiting in _open(tx) if _is_late(key[1], one, waiting, ctx.settings))
    name, told = "kameng_days_unpaid", "Days whose money is late in the bank"
    return [Gauge(name, late[code], told, {"channel": code}) for code in sorted(ctx.gateways)]


def page(
    tx: Tx, settings: Settings, *, channel: str | None = None, after: str | None, limit: int
) -> Page[bank.OwedDay]:
    """The days of all channels, or one, whose money has not come or waits for a second person, oldest first."""
    open_ = (one for one in _open(tx, channel) if after is None or _name(one[0]) > after)
    found = list(islice(open_, limit + 1))
    items = [
        bank.OwedDay(
            channel=key[0],
            day=key[1],
            net_fen=one.net_fen,
            corrected_fen=one.corrected_fen,
            arrived_fen=one.arrived_fen,
            waiting_fen=waiting,
            short_fen=one.short_fen,
            is_late=_is_late(key[1], one, waiting, settings),
        )
        for key, one, waiting in found[:limit]
    ]
    return Page(items=items, next=_name(found[limit - 1][0]) if len(found) > limit else None)


def _open(tx: Tx, channel: str | None = None) -> Iterator[tuple[_Key, Owed, Fen]]:
    """Days whose money has not come, and what of it waits for a second person, oldest first."""
    d = ReconcileDay
    query = select(d.channel, d.day, d.figures).order_by(d.day, d.channel)
    rows = tx.execute(query if channel is None else query.where(d.channel == channel))
    known = dict(_owed(tx, [((of_channel, day), text) for of_channel, day, text in rows]))
    waiting = arrived(tx, [day for _, day in known], states=_WAITING)
    return ((key, one, waiting.get(key, 0)) for key, one in known.items() if one.short_fen or waiting.get(key))


def _is_late(day: date, one: Owed, waiting: Fen, settings: Settings) -> bool:
    """Whether money of a day should have come by now, and nobody has recorded that it did."""
    longest = settings.arrival_days
    is_old = 0 < longest < (clock.shop_day(clock.now()) - day).days
    return is_old and left(one.short_fen, waiting) > 0


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


def corrected(tx: Tx, nets: Mapping[_Key, Fen]) -> Mapping[_Key, Fen]:
    """How much more channels owe us for days than by the bills that these were compared with, or were signed with."""
    more: defaultdict[_Key, Fen] = defaultdict(int)
    if not nets:
        return more
    first, last = min(day for _, day in nets), max(day for _, day in nets)
    for row in adjustments.about_days(tx, first, last):
        if row.channel and row.day and row.state == AdjustmentState.POSTED:
            more[row.channel, row.day] += adjustments.moved(row, "psp", row.channel)
    for key, fen in _moved(tx, first):
        more[key] += fen
    for key, fen in _told_late(tx, first, last):
        more[key] += fen - nets[key] if key in nets else 0
    return more


def _owed(tx: Tx, figures: list[tuple[_Key, str]]) -> Iterator[tuple[_Key, Owed]]:
    nets = {key: Figures.of(text).net_fen for key, text in figures}
    came, more = arrived(tx, [day for _, day in nets]), corrected(tx, nets)
    for key, net in nets.items():
        yield key, Owed(net, more.get(key, 0), came.get(key, 0))


def _moved(tx: Tx, first: date) -> Iterator[tuple[_Key, Fen]]:
    """What people booked, or took back, about movements without a trade since this day, by the day of the movement."""
    r = ReconcileDifference
    kinds = (DifferenceKind.FUND_ONLY_FUNDS.value, DifferenceKind.BOOKED.value)
    its = (r.day >= first, r.state == DifferenceState.RESOLVED.value, r.action.in_(sorted(booking.BOOKED)))
    rows = tx.scalars(select(r).where(*its, r.kind.in_(kinds))).all()
    days = {root(row): row.carried_from or row.day for row in rows if row.kind == DifferenceKind.FUND_ONLY_FUNDS}
    for row in rows:
        if root(row) in days:
            yield (row.channel, days[root(row)]), booking.booked(row)


def _told_late(tx: Tx, first: date, last: date) -> Iterator[tuple[_Key, Fen]]:
    """What signed days come to by the trade bill that came last, as the open days that took it have it."""
    d, f = ReconcileDay, PaymentBillFile
    its = (f.kind == BillKind.TRADES.value, f.late_n.is_not(None), f.day >= first, f.day <= last)
    rows = (
        select(f.channel, f.day, d.figures)
        .join(d, (d.channel == f.channel) & (d.day == f.taken_on))
        .where(*its)
        .order_by(f.late_n)
    )
    newest = {(channel, day): text for channel, day, text in tx.execute(rows)}
    for (channel, day), text in newest.items():
        late = Figures.of(text).late
        if day.isoformat() in late:
            yield (channel, day), late[day.isoformat()]


def _name(key: _Key) -> str:
    return f"{key[1].isoformat()}:{key[0]}"
