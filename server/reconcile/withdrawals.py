"""Money that left a channel's account for our bank (提现), by its fund bills: as which arrival it came, or came back.

They are paired by themselves, when a bill is compared and when an arrival is recorded: by a number that both name,
else by the amount and a day that fits, the oldest first. What came back (提现退回) is so paired with the withdrawal
before it, and that is no arrival any more. A person may say otherwise; no money moves by it. What is left on either
side is what finance looks for: money under way, or an arrival of which the bills know nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from server import audit, changes
from server.db import Tx, among
from server.gateways.bill_rows import FundRow
from server.identity import queries as people
from server.policy import Actor
from server.reconcile import feed
from server.reconcile.model import ReconcileRow, ReconcileSweep, ReconcileWithdrawal
from shared import clock, ids
from shared.contracts import bank
from shared.contracts.base import Page
from shared.errors import Conflict, NotFound
from shared.finance import SweepState
from shared.money import Fen
from shared.permissions import Permission

_log = logging.getLogger("kameng.reconcile")

LONGEST = timedelta(days=7)
"""So long money is under way at most, holidays among them, for two amounts to be taken for the same."""

CANDIDATES = 10

_BY_THEMSELVES = frozenset({"number", "amount"})
_LIVE = (SweepState.PROPOSED.value, SweepState.BOOKED.value, SweepState.REVERSING.value)
_W, _S = ReconcileWithdrawal, ReconcileSweep


class NotToBePaired(Conflict):
    """One of both is paired with another, or is gone."""

    code = "not_to_be_paired"
    zh = "这笔提现或到账已经与另一笔配对，或已冲销、退回。请刷新后再配对。"
    en = "This withdrawal or this arrival is paired with another one, or was reversed or sent back: reload, then pair."


def keep(tx: Tx, channel: str, day: date, rows: Iterable[FundRow]) -> None:
    """Keep the withdrawals of a day's fund bill, and what came back, and pair what can be."""
    said = {number_of(day, row): row for row in rows if row.amount_fen}
    its = (_W.channel == channel, _W.day == day)
    known = {one.number: one for one in tx.scalars(select(_W).where(*its))}
    gone = [one for number, one in known.items() if number not in said or -said[number].amount_fen != _left(one)]
    for one in gone:
        _part(tx, one)
        tx.delete(one)
    tx.flush()
    kept = {one.number for one in known.values() if one not in gone}
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
            amount_fen=abs(row.amount_fen),
            is_return=row.amount_fen > 0,
        )
        for number, row in said.items()
        if number not in kept
    )
    tx.flush()
    pair(tx, channel)


def _left(one: ReconcileWithdrawal) -> Fen:
    """What left the account by it."""
    return -one.amount_fen if one.is_return else one.amount_fen


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
    for back in _open(tx, channel, is_return=True):
        _find(tx, back)
    waiting = _open(tx, channel, is_return=False)
    if not waiting:
        return
    arrivals = _free(tx, channel, since=waiting[0].day, hold=True)
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


def _find(tx: Tx, back: ReconcileWithdrawal) -> None:
    """The withdrawal that came back: by a number, one of which a person said so, the oldest one under way, or one that
    was taken for an arrival by its amount alone.
    """
    its = (_W.channel == back.channel, ~_W.is_return, _W.amount_fen == back.amount_fen, _W.other_id.is_(None))
    days = (_W.day >= back.day - LONGEST, _W.day <= back.day, _W.at <= back.at)
    may_be = or_(_W.paired_by.is_(None), _W.paired_by == "amount", _W.returned_on.is_not(None))
    query = select(_W).where(*its, *days, may_be).order_by(_W.day, _W.at, _W.number).with_for_update()
    before = tx.scalars(query.execution_options(populate_existing=True)).all()
    named = [one for one in before if {back.provider_no, back.voucher} & {one.provider_no, one.voucher} - {""}]
    found = sorted(named or before, key=lambda one: (one.returned_on is None, one.sweep_id is not None))
    if found:
        is_said, by = found[0].returned_on is not None, "number" if named else "amount"
        _join(tx, found[0], back, (found[0].paired_by or by) if is_said else by)


def _join(tx: Tx, one: ReconcileWithdrawal, back: ReconcileWithdrawal, by: str) -> None:
    """A withdrawal came back by this movement, and is no arrival."""
    one.sweep_id = None
    for half, other in ((one, back), (back, one)):
        half.returned_on, half.other_id, half.paired_by = other.day, other.id, by
    tx.flush()


def _part(tx: Tx, one: ReconcileWithdrawal) -> None:
    """What it came back by, or what came back by it, is not so, as far as nobody said it."""
    other = tx.get(_W, one.other_id) if one.other_id else None
    for half in (one, other):
        if half is None:
            continue
        half.other_id = None
        if half.is_return or half.paired_by in _BY_THEMSELVES:
            half.returned_on, half.paired_by, half.reason = None, None, ""
    tx.flush()


def let_go(tx: Tx, sweep_id: UUID) -> None:
    """An arrival is none any more: what it was paired with waits for another one."""
    for one in tx.scalars(select(_W).where(_W.sweep_id == sweep_id)):
        one.sweep_id = one.paired_by = None
        tx.flush()
        pair(tx, one.channel)


def return_by_hand(
    tx: Tx, withdrawal_id: UUID, body: bank.ReturnWithdrawal, *, actor: Actor, request_id: str | None
) -> ReconcileWithdrawal:
    """A person says that it came back, or that it did not. Raises NotFound, NotToBePaired."""
    one = _hold(tx, withdrawal_id)
    if one.is_return or one.sweep_id is not None or (one.returned_on is not None) == body.is_returned:
        raise NotToBePaired
    if body.is_returned:
        back = next((back for back in _open(tx, one.channel, is_return=True) if _is_of(back, one)), None)
        if back is not None:
            _join(tx, one, back, actor.label)
        one.returned_on = back.day if back is not None else clock.shop_day(clock.now())
    else:
        _part(tx, one)
        one.returned_on = None
    one.paired_by, one.reason = actor.label, body.note if body.is_returned else ""
    tx.flush()
    pair(tx, one.channel)
    what = "return" if body.is_returned else "not_returned"
    _tell(tx, one, what, actor, request_id, note=body.note)
    return one


def _is_of(back: ReconcileWithdrawal, one: ReconcileWithdrawal) -> bool:
    return back.amount_fen == one.amount_fen and (back.day, back.at) >= (one.day, one.at)


def _hold(tx: Tx, withdrawal_id: UUID) -> ReconcileWithdrawal:
    query = select(_W).where(_W.id == withdrawal_id).with_for_update()
    one = tx.scalars(query.execution_options(populate_existing=True)).first()
    if one is None:
        raise NotFound
    return one


def _tell(tx: Tx, one: ReconcileWithdrawal, what: str, actor: Actor, request_id: str | None, **detail: str) -> None:
    changes.append(tx, feed.DAY, feed.day_id(one.channel, one.day), domain=feed.DOMAIN)
    audit.append(
        tx,
        actor=actor.label,
        action=f"withdrawal.{what}",
        entity="withdrawal",
        entity_id=one.number,
        detail={"channel": one.channel, "fen": one.amount_fen} | detail,
        request_id=request_id,
    )


def pair_by_hand(
    tx: Tx, withdrawal_id: UUID, sweep_id: UUID | None, *, actor: Actor, request_id: str | None
) -> ReconcileWithdrawal:
    """A person says which arrival it is, or that it is none of those here. Raises NotFound, NotToBePaired."""
    one = _hold(tx, withdrawal_id)
    if one.returned_on is not None or one.is_return:
        raise NotToBePaired
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
    _tell(tx, one, "pair", actor, request_id, sweep=sweep_id.hex if sweep_id else "")
    return one


# --- reading ---


class Only(NamedTuple):
    """Which withdrawals: of a channel, of a day, and (`open`) those that neither arrived nor came back, or others."""

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
        is_open = _W.sweep_id.is_(None) & _W.returned_on.is_(None)
        query = query.where(is_open if only.open else ~is_open)
    if after is not None:
        query = query.where(_W.id > after)
    rows = tx.scalars(query.order_by(_W.id).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=answers(tx, who, shown), next=str(shown[-1].id) if len(rows) > limit else None)


def answers(tx: Tx, who: Actor, rows: Sequence[ReconcileWithdrawal]) -> list[bank.Withdrawal]:
    """As people see them, with the arrivals that they may be for who may say so."""
    sweep_ids = [row.sweep_id for row in rows if row.sweep_id is not None]
    sweeps = {one.id: one for one in tx.scalars(select(_S).where(among(tx, _S.id, sweep_ids)))} if sweep_ids else {}
    numbers = _numbers(tx, [row.other_id for row in rows if row.other_id is not None])
    names = people.names_of(tx, {row.paired_by for row in rows if row.paired_by})
    may = who.may(Permission.RECONCILE_DIFFERENCE_HANDLE)
    free = {
        channel: _free(tx, channel, since=min(row.day for row in rows if row.channel == channel))
        for channel in {row.channel for row in rows if may}
    }
    of_money = ("id", "channel", "day", "at", "number", "voucher", "note", "amount_fen")
    as_it_is = (*of_money, "is_return", "returned_on", "reason")
    nearest = {row.id: _nearest(row, free.get(row.channel, ())) for row in rows}
    return [
        bank.Withdrawal(
            **{name: getattr(row, name) for name in as_it_is},
            arrival=_arrival(sweeps[row.sweep_id]) if row.sweep_id else None,
            paired_by=names.get(row.paired_by, row.paired_by) if row.paired_by and not _is_open(row) else None,
            other_number=numbers.get(row.other_id) if row.other_id else None,
            candidates=[_arrival(one) for one in nearest[row.id]],
            actions=list(_actions(row, nearest[row.id])) if may else [],
        )
        for row in rows
    ]


def _actions(row: ReconcileWithdrawal, candidates: Sequence[ReconcileSweep]) -> Iterator[str]:
    if row.is_return:
        return
    if row.returned_on is not None:
        yield "not_returned"
        return
    if candidates or row.sweep_id is not None:
        yield "pair"
    if row.sweep_id is None:
        yield "return"


def _is_open(row: ReconcileWithdrawal) -> bool:
    return row.sweep_id is None and row.returned_on is None


def _numbers(tx: Tx, withdrawal_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Under which number these moved."""
    if not withdrawal_ids:
        return {}
    return dict(tx.execute(select(_W.id, _W.number).where(among(tx, _W.id, withdrawal_ids))).all())


def waits_for_one() -> ColumnElement[bool]:
    """Arrivals, not those that were sent back or reversed, that are paired with nothing, while the channel's bills have
    withdrawals: of a channel that pays out without one (T+1), no arrival lacks any.
    """
    has_any = select(_W.id).where(_W.channel == _S.channel, ~_W.is_return, _W.day <= _S.arrived_on).exists()
    return _S.state.in_(_LIVE) & has_any & ~select(_W.id).where(_W.sweep_id == _S.id).exists()


def numbers_of(tx: Tx, sweep_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Under which number the money of these arrivals left the channel, as far as they are paired."""
    if not sweep_ids:
        return {}
    rows = tx.execute(select(_W.sweep_id, _W.number).where(among(tx, _W.sweep_id, sweep_ids)))
    return {sweep_id: number for sweep_id, number in rows if sweep_id is not None}


def references_of(tx: Tx, channel: str, day: date) -> dict[str, str]:
    """The bank's number of each withdrawal of a day that is paired, or that of the movement by which it came back."""
    other = aliased(_W)
    paired = select(_W.number, func.coalesce(_S.reference, other.number))
    paired = paired.outerjoin(_S, _S.id == _W.sweep_id).outerjoin(other, other.id == _W.other_id)
    rows = tx.execute(paired.where(_W.channel == channel, _W.day == day))
    return {number: reference for number, reference in rows if reference is not None}


def _open(tx: Tx, channel: str, *, is_return: bool) -> list[ReconcileWithdrawal]:
    """What left, or came back, and nobody has said anything about, the oldest first."""
    its = (_W.channel == channel, _W.is_return == is_return, _W.sweep_id.is_(None), _W.paired_by.is_(None))
    query = select(_W).where(*its).order_by(_W.day, _W.at, _W.number).with_for_update()
    return list(tx.scalars(query.execution_options(populate_existing=True)))


def _free(tx: Tx, channel: str, *, since: date, hold: bool = False) -> list[ReconcileSweep]:
    """Arrivals since a day with which nothing is paired, the oldest first. `hold`: none is reversed meanwhile."""
    its = (_S.channel == channel, _S.arrived_on >= since, waits_for_one())
    query = select(_S).where(*its).order_by(_S.arrived_on, _S.id)
    return list(tx.scalars(query.with_for_update() if hold else query))


def _in_time(one: ReconcileWithdrawal, arrival: ReconcileSweep) -> bool:
    return one.day <= arrival.arrived_on <= one.day + LONGEST


def _nearest(one: ReconcileWithdrawal, arrivals: Sequence[ReconcileSweep]) -> Sequence[ReconcileSweep]:
    is_under_way = not one.is_return and one.returned_on is None
    after = [arrival for arrival in arrivals if is_under_way and arrival.arrived_on >= one.day]
    return sorted(after, key=lambda a: (abs(a.amount_fen - one.amount_fen), a.arrived_on, a.id))[:CANDIDATES]


def _arrival(row: ReconcileSweep) -> bank.Arrival:
    return bank.Arrival(id=row.id, reference=row.reference, arrived_on=row.arrived_on, amount_fen=row.amount_fen)
