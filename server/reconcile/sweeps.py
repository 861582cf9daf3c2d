"""Money of a channel that arrived in our bank: bank <- psp, by the bank's own number of it.

It is of one bill's day. One person records it; above the shop's limit, and where more arrives than the day's bill says,
it is booked when another one approves it. A mistake is reversed by as many people, and the number recorded again. What
a day's bill says the channel owes us and what arrived for it must clear in the end; that is for people to see, because
a channel may pay two days at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from server import audit, changes
from server.db import Tx
from server.identity import queries as people
from server.ledger import paying
from server.policy import Actor
from server.reconcile import days, feed
from server.reconcile.figures import Figures
from server.reconcile.model import ReconcileSweep
from shared import clock, ids
from shared.contracts.base import Page
from shared.contracts.reconcile import CheckSweep, NewSweep, ReverseSweep, Sweep
from shared.errors import BadField, Conflict, NotFound
from shared.finance import SweepState
from shared.labels import AboutState
from shared.money import Fen, format_fen
from shared.permissions import Permission
from shared.states import require_move

_S = SweepState

BOOKED = (_S.BOOKED.value, _S.REVERSING.value)
"""States of what is in the books."""

_OVER = frozenset({_S.REFUSED, _S.REVERSED})
"""States after which the bank's number may be recorded again."""


class SweepDiffers(Conflict):
    """The bank's number was recorded with another amount or day."""

    code = "sweep_differs"
    zh = (
        "银行流水号 {reference} 已经登记为 {day} 的 ¥{amount}，内容不同，没有重复登记。"
        "如果原来登记有误，请先冲销，再重新登记。"
    )
    en = (
        "The bank's number {reference} was recorded before as ¥{amount} of {day}, which differs: nothing was recorded. "
        "If that was wrong, reverse it first."
    )


class SweepChanged(AboutState):
    """Somebody has acted on it since it was read, or it cannot be done now."""

    code = "sweep_changed"
    words: ClassVar = {"state": SweepState}
    zh = "这笔到账已有变化（当前“{state}”），请刷新后再操作。"
    en = "This arrival changed meanwhile (it is “{state}”); reload and look again."


class SweepByYou(Conflict):
    """Two different people say so."""

    code = "sweep_by_you"
    zh = "这笔到账需要两个人：由您登记或申请冲销的，请另一位同事复核；登记错了可以退回。"
    en = "Two people are needed: a colleague has to approve what you recorded or want reversed. You may take it back."


@dataclass(frozen=True, slots=True)
class Desk:
    """Who acts, in which request, and above what amount two people decide."""

    actor: Actor
    request_id: str | None
    check_above: Fen


def record(tx: Tx, body: NewSweep, *, desk: Desk) -> ReconcileSweep:
    """Book an arrival, or have it wait for a second person; the same again changes nothing.

    Raises SweepDiffers, BadField for days and amounts that cannot be.
    """
    today = clock.shop_day(clock.now())
    if body.arrived_on > today or body.arrived_on < body.day:
        raise BadField(field="arrived_on", reason="到账日应在账单日与今天之间 / between the bill's day and today")
    if body.others_fen >= body.amount_fen:
        raise BadField(field="others_fen", reason="应小于到账金额 / less than what arrived")
    its = (ReconcileSweep.channel == body.channel, ReconcileSweep.reference == body.reference)
    query = select(ReconcileSweep).where(*its).order_by(ReconcileSweep.n.desc()).limit(1).with_for_update()
    last = tx.scalars(query).first()
    if last is not None and last.state not in _OVER:
        if any(
            getattr(last, name) != getattr(body, name) for name in ("day", "amount_fen", "others_fen", "arrived_on")
        ):
            raise SweepDiffers(reference=body.reference, day=str(last.day), amount=format_fen(last.amount_fen))
        return last
    row = ReconcileSweep(
        **body.model_dump(),
        id=ids.new_id(),
        n=last.n + 1 if last else 1,
        state=_S.PROPOSED.value,
        note="",
        recorded_by=desk.actor.label,
        recorded_at=clock.now(),
        version=1,
    )
    if not _needs_two(tx, row, desk.check_above):
        row.state = _S.BOOKED.value
    try:
        with tx.begin_nested():
            tx.add(row)
            tx.flush()
    except IntegrityError:  # somebody else has recorded the number just now
        return record(tx, body, desk=desk)
    if row.state == _S.BOOKED:
        _book(tx, row, desk.actor)
    _tell(tx, row, "record", desk)
    return row


def check(tx: Tx, sweep_id: UUID, body: CheckSweep, *, desk: Desk) -> ReconcileSweep:
    """Another person approves what waits, the booking or the reversal, or it is taken back.

    Raises NotFound, SweepChanged, SweepByYou.
    """
    row = _hold(tx, sweep_id, body.version, _S.PROPOSED, _S.REVERSING)
    is_booking, who = row.state == _S.PROPOSED, desk.actor.label
    if body.approve and who == (row.recorded_by if is_booking else row.reversed_by):
        raise SweepByYou
    if is_booking:
        _move(row, _S.BOOKED if body.approve else _S.REFUSED)
        if body.approve:
            row.checked_by, row.checked_at = who, clock.now()
            _book(tx, row, desk.actor)
        else:
            row.note = body.note
    elif body.approve:
        row.reversal_checked_by = who
        _reverse(tx, row, desk.actor)
    else:
        _move(row, _S.BOOKED)
        row.reversed_by, row.reversed_at, row.note = None, None, ""
    _tell(tx, row, "approve" if body.approve else "send_back", desk, note=body.note)
    return row


def reverse(tx: Tx, sweep_id: UUID, body: ReverseSweep, *, desk: Desk) -> ReconcileSweep:
    """It was wrong: taken out of the books by as many people as it came in. Raises NotFound, SweepChanged."""
    row = _hold(tx, sweep_id, body.version, _S.BOOKED)
    row.reversed_by, row.reversed_at, row.note = desk.actor.label, clock.now(), body.note
    if row.checked_by is None and _ours(row) <= desk.check_above:
        _reverse(tx, row, desk.actor)
    else:
        _move(row, _S.REVERSING)
    _tell(tx, row, "reverse", desk, note=body.note)
    return row


def _needs_two(tx: Tx, row: ReconcileSweep, check_above: Fen) -> bool:
    """Whether it is more than one person decides on, or than what the bill says is still to come."""
    day = days.find(tx, row.channel, row.day)
    if day is None or _ours(row) > check_above:
        return True
    came = arrived(tx, row.day, row.day).get((row.channel, row.day), 0)
    return came + _ours(row) > Figures.of(day.figures).net_fen


def _ours(row: ReconcileSweep) -> Fen:
    return row.amount_fen - row.others_fen


def _arrival(row: ReconcileSweep) -> paying.Arrival:
    return paying.Arrival(row.channel, row.reference, row.n, _ours(row))


def _book(tx: Tx, row: ReconcileSweep, actor: Actor) -> None:
    at = clock.day_bounds(row.arrived_on)[0]
    paying.sweep(tx, _arrival(row), at=at, actor=actor.label, memo=row.day.isoformat())


def _reverse(tx: Tx, row: ReconcileSweep, actor: Actor) -> None:
    _move(row, _S.REVERSED)
    paying.sweep_reversed(tx, _arrival(row), at=clock.now(), actor=actor.label, memo=row.note)


def _hold(tx: Tx, sweep_id: UUID, version: int, *states: SweepState) -> ReconcileSweep:
    query = select(ReconcileSweep).where(ReconcileSweep.id == sweep_id).with_for_update()
    row = tx.scalars(query.execution_options(populate_existing=True)).first()
    if row is None:
        raise NotFound
    if row.version != version or row.state not in states:
        raise SweepChanged(state=row.state)
    return row


def _move(row: ReconcileSweep, to: SweepState) -> None:
    require_move(SweepState(row.state), to)
    row.state = to.value


def _tell(tx: Tx, row: ReconcileSweep, what: str, desk: Desk, **detail: str) -> None:
    row.version += what != "record"
    tx.flush()
    changes.append(tx, feed.DAY, feed.day_id(row.channel, row.day), domain=feed.DOMAIN)
    facts = {"channel": row.channel, "day": row.day.isoformat(), "fen": row.amount_fen, "others_fen": row.others_fen}
    audit.append(
        tx,
        actor=desk.actor.label,
        action=f"sweep.{what}",
        entity="sweep",
        entity_id=row.reference,
        detail=facts | {"state": row.state, "n": row.n} | detail,
        request_id=desk.request_id,
    )


def page(
    tx: Tx,
    who: Actor,
    *,
    day: date | None = None,
    channel: str | None = None,
    state: SweepState | None = None,
    after: UUID | None = None,
    limit: int,
) -> Page[Sweep]:
    """Arrivals, as they were recorded; `after` is the last id of the page before."""
    w = ReconcileSweep
    query = select(w)
    for column, wanted in ((w.day, day), (w.channel, channel), (w.state, state)):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(w.id > after)
    rows = tx.scalars(query.order_by(w.id).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=answers(tx, who, shown), next=str(shown[-1].id) if len(rows) > limit else None)


def arrived(tx: Tx, first: date, last: date) -> dict[tuple[str, date], Fen]:
    """What of ours arrived for the bills of these days, by channel and day."""
    w = ReconcileSweep
    query = (
        select(w.channel, w.day, func.sum(w.amount_fen - w.others_fen))
        .where(w.day >= first, w.day <= last, w.state.in_(BOOKED))
        .group_by(w.channel, w.day)
    )
    return {(channel, day): int(fen) for channel, day, fen in tx.execute(query)}


def answers(tx: Tx, who: Actor, rows: Sequence[ReconcileSweep]) -> list[Sweep]:
    """As people see them, with what this one may do now."""
    people_of = ("recorded_by", "checked_by", "reversed_by", "reversal_checked_by")
    names = people.names_of(tx, {getattr(row, name) for row in rows for name in people_of} - {None})
    of_money = ("id", "channel", "day", "amount_fen", "others_fen", "reference", "arrived_on")
    as_it_is = (*of_money, "note", "recorded_at", "checked_at", "reversed_at", "version")
    return [
        Sweep(
            **{name: getattr(row, name) for name in as_it_is},
            **{name: names.get(getattr(row, name), getattr(row, name)) for name in people_of},
            state=SweepState(row.state),
            actions=_actions(who, row),
        )
        for row in rows
    ]


def _actions(who: Actor, row: ReconcileSweep) -> list[str]:
    if not who.may(Permission.RECONCILE_DIFFERENCE_HANDLE):
        return []
    match SweepState(row.state):
        case _S.BOOKED:
            return ["reverse"]
        case _S.PROPOSED | _S.REVERSING:
            asked = row.recorded_by if row.state == _S.PROPOSED else row.reversed_by
            return ["send_back"] if asked == who.label else ["approve", "send_back"]
        case _:
            return []
