"""Money that left a channel's account for our bank (提现), by its fund bills, and as which arrival it came.

They are paired by themselves, when a bill is compared and when an arrival is recorded: by a number that both name,
else by the amount and a day that fits, the oldest first. A person may pair them otherwise; no money moves by it. What
is left on either side is what finance looks for: money under way, or an arrival of which the bills know nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.exc import IntegrityError

from server import audit, changes
from server.db import Tx, among
from server.gateways.bill_rows import FundRow
from server.identity import queries as people
from server.policy import Actor
from server.reconcile import feed
from server.reconcile.model import ReconcileRow, ReconcileSweep, ReconcileWithdrawal
from shared import ids
from shared.contracts import bank
from shared.contracts.base import Page
from shared.errors import Conflict, NotFound
from shared.finance import SweepState
from shared.permissions import Permission

_log = logging.getLogger("kameng.reconcile")

LONGEST = timedelta(days=7)
"""So long money is under way at most, holidays among them, for two amounts to be taken for the same."""

CANDIDATES = 10

_LIVE = (SweepState.PROPOSED.value, SweepState.BOOKED.value, SweepState.REVERSING.value)
_W, _S = ReconcileWithdrawal, ReconcileSweep


class NotToBePaired(Conflict):
    """One of both is paired with another, or is gone."""

    code = "not_to_be_paired"
    zh = "这笔提现或到账已经与另一笔配对，或已冲销、退回。请刷新后再配对。"
    en = "This withdrawal or this arrival is paired with another one, or was reversed or sent back: reload, then pair."


def keep(tx: Tx, channel: str, day: date, rows: Iterable[FundRow]) -> None:
    """Keep the withdrawals of a day's fund bill, and pair what can be."""
    said = {number_of(day, row): row for row in rows if row.amount_fen < 0}
    its = (_W.channel == channel, _W.day == day)
    known = {one.number: one for one in tx.scalars(select(_W).where(*its))}
    gone = [one.id for number, one in known.items() if number not in said or -said[number].amount_fen != one.amount_fen]
    if gone:
        tx.execute(delete(_W).where(among(tx, _W.id, gone)))
    kept = {number for number, one in known.items() if one.id not in gone}
    elsewhere = select(_W.number).where(_W.channel == channel, among(tx, _W.number, sorted(said)))
    kept |= set(tx.scalars(elsewhere)) if said else set()  # its own day keeps it, if two bills have it
    tx.add_all(
        _W(
            id=ids.new_id(),
            channel=channel,
            day=day,
            at=row.at,
            number=number,
            provider_no=row.provider_no[:64],
            voucher=row.voucher[:64],
            note=row.note[:200] or row.words[:200],
            amount_fen=-row.amount_fen,
        )
        for number, row in said.items()
        if number not in kept
    )
    tx.flush()
    pair(tx, channel)


def number_of(day: date, row: FundRow | ReconcileRow) -> str:
    """The number of a movement of a day's fund bill; where it has none, its place."""
    return row.fund_no[:64] or f"{day.isoformat()}:{row.n}"


def pair(tx: Tx, channel: str) -> None:
    """Pair what nothing is paired with yet: by a number of both, else by the amount and a day that fits."""
    try:
        with tx.begin_nested():
            _pair(tx, channel)
    except IntegrityError:  # somebody else has paired one of these just now: the next bill or arrival pairs the others
        _log.info("not paired", extra={"channel": channel})


def _pair(tx: Tx, channel: str) -> None:
    waiting = _unpaired(tx, channel)
    if not waiting:
        return
    arrivals = _free(tx, channel, since=waiting[0].day)
    by_number = {arrival.reference: arrival for arrival in arrivals}
    for one in waiting:
        named = next((by_number[n] for n in (one.number, one.provider_no, one.voucher) if n in by_number), None)
        if named is not None and named in arrivals:
            one.sweep_id, one.paired_by = named.id, "number"
            arrivals.remove(named)
    for one in waiting:
        fits = [a for a in arrivals if a.amount_fen == one.amount_fen and _in_time(one, a)]
        if one.sweep_id is None and fits:
            one.sweep_id, one.paired_by = fits[0].id, "amount"
            arrivals.remove(fits[0])
    tx.flush()


def let_go(tx: Tx, sweep_id: UUID) -> None:
    """An arrival is none any more: what it was paired with waits for another one."""
    for one in tx.scalars(select(_W).where(_W.sweep_id == sweep_id)):
        one.sweep_id = one.paired_by = None
        tx.flush()
        pair(tx, one.channel)


def pair_by_hand(
    tx: Tx, withdrawal_id: UUID, sweep_id: UUID | None, *, actor: Actor, request_id: str | None
) -> ReconcileWithdrawal:
    """A person says which arrival it is, or that it is none of those here. Raises NotFound, NotToBePaired."""
    one = tx.scalars(select(_W).where(_W.id == withdrawal_id).with_for_update()).first()
    if one is None:
        raise NotFound
    if sweep_id is not None and sweep_id != one.sweep_id:
        arrival = tx.get(_S, sweep_id, with_for_update=True, populate_existing=True)
        taken = tx.scalars(select(_W.id).where(_W.sweep_id == sweep_id)).first()
        if arrival is None or arrival.channel != one.channel or arrival.state not in _LIVE or taken is not None:
            raise NotToBePaired
    try:
        with tx.begin_nested():
            one.sweep_id, one.paired_by = sweep_id, actor.label
            tx.flush()
    except IntegrityError:
        raise NotToBePaired from None
    changes.append(tx, feed.DAY, feed.day_id(one.channel, one.day), domain=feed.DOMAIN)
    audit.append(
        tx,
        actor=actor.label,
        action="withdrawal.pair",
        entity="withdrawal",
        entity_id=one.number,
        detail={"channel": one.channel, "fen": one.amount_fen, "sweep": sweep_id.hex if sweep_id else ""},
        request_id=request_id,
    )
    return one


# --- reading ---


class Only(NamedTuple):
    """Which withdrawals: of a channel, of a day, and (`open`) those without an arrival or those with one."""

    channel: str | None = None
    day: date | None = None
    open: bool | None = None


def page(tx: Tx, who: Actor, *, only: Only, after: UUID | None, limit: int) -> Page[bank.Withdrawal]:
    """Withdrawals, as they were read; `after` is the last id of the page before."""
    query = select(_W)
    for column, wanted in ((_W.channel, only.channel), (_W.day, only.day)):
        if wanted is not None:
            query = query.where(column == wanted)
    if only.open is not None:
        query = query.where(_W.sweep_id.is_(None) if only.open else _W.sweep_id.is_not(None))
    if after is not None:
        query = query.where(_W.id > after)
    rows = tx.scalars(query.order_by(_W.id).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=answers(tx, who, shown), next=str(shown[-1].id) if len(rows) > limit else None)


def answers(tx: Tx, who: Actor, rows: Sequence[ReconcileWithdrawal]) -> list[bank.Withdrawal]:
    """As people see them, with the arrivals that they may be for who may say so."""
    sweep_ids = [row.sweep_id for row in rows if row.sweep_id is not None]
    sweeps = {one.id: one for one in tx.scalars(select(_S).where(among(tx, _S.id, sweep_ids)))} if sweep_ids else {}
    names = people.names_of(tx, {row.paired_by for row in rows if row.paired_by})
    may = who.may(Permission.RECONCILE_DIFFERENCE_HANDLE)
    free = {
        channel: _free(tx, channel, since=min(row.day for row in rows if row.channel == channel))
        for channel in {row.channel for row in rows if may}
    }
    as_it_is = ("id", "channel", "day", "at", "number", "voucher", "note", "amount_fen")
    return [
        bank.Withdrawal(
            **{name: getattr(row, name) for name in as_it_is},
            arrival=_arrival(sweeps[row.sweep_id]) if row.sweep_id else None,
            paired_by=names.get(row.paired_by, row.paired_by) if row.paired_by and row.sweep_id else None,
            candidates=[_arrival(one) for one in _nearest(row, free.get(row.channel, ()))],
        )
        for row in rows
    ]


def waits_for_one() -> ColumnElement[bool]:
    """Arrivals, not those that were sent back or reversed, that are paired with nothing, while the channel's bills have
    withdrawals: of a channel that pays out without one (T+1), no arrival lacks any.
    """
    has_any = select(_W.id).where(_W.channel == _S.channel, _W.day <= _S.arrived_on).exists()
    return _S.state.in_(_LIVE) & has_any & ~select(_W.id).where(_W.sweep_id == _S.id).exists()


def numbers_of(tx: Tx, sweep_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Under which number the money of these arrivals left the channel, as far as they are paired."""
    if not sweep_ids:
        return {}
    rows = tx.execute(select(_W.sweep_id, _W.number).where(among(tx, _W.sweep_id, sweep_ids)))
    return {sweep_id: number for sweep_id, number in rows if sweep_id is not None}


def references_of(tx: Tx, channel: str, day: date) -> dict[str, str]:
    """The bank's number of each withdrawal of a day that is paired."""
    paired = select(_W.number, _S.reference).join(_S, _S.id == _W.sweep_id)
    return {n: reference for n, reference in tx.execute(paired.where(_W.channel == channel, _W.day == day))}  # noqa: C416 - rows


def _unpaired(tx: Tx, channel: str) -> list[ReconcileWithdrawal]:
    """What nobody has said anything about, the oldest first."""
    its = (_W.channel == channel, _W.sweep_id.is_(None), _W.paired_by.is_(None))
    query = select(_W).where(*its).order_by(_W.day, _W.at, _W.number).with_for_update()
    return list(tx.scalars(query.execution_options(populate_existing=True)))


def _free(tx: Tx, channel: str, *, since: date) -> list[ReconcileSweep]:
    """Arrivals since a day with which nothing is paired, the oldest first."""
    its = (_S.channel == channel, _S.arrived_on >= since, waits_for_one())
    return list(tx.scalars(select(_S).where(*its).order_by(_S.arrived_on, _S.id)))


def _in_time(one: ReconcileWithdrawal, arrival: ReconcileSweep) -> bool:
    return one.day <= arrival.arrived_on <= one.day + LONGEST


def _nearest(one: ReconcileWithdrawal, arrivals: Sequence[ReconcileSweep]) -> Sequence[ReconcileSweep]:
    after = [arrival for arrival in arrivals if arrival.arrived_on >= one.day]
    return sorted(after, key=lambda a: (abs(a.amount_fen - one.amount_fen), a.arrived_on, a.id))[:CANDIDATES]


def _arrival(row: ReconcileSweep) -> bank.Arrival:
    return bank.Arrival(id=row.id, reference=row.reference, arrived_on=row.arrived_on, amount_fen=row.amount_fen)
