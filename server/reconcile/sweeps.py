"""Money of a channel that arrived in our bank: bank <- psp, by the bank's own number of it.

It is of one bill's day or of several: a weekend is paid at once, and a withdrawal is of many days. Its parts come to
what of it is ours, to the fen. One person records it; above the shop's limit, in slices too, and where more arrives
than is to come by bills that others have seen, it is booked when another one approves it. A mistake is reversed by as
many people, and the number recorded again.
What a day's bill says the channel owes us and what arrived for it must clear in the end (`owed`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from server import audit, changes
from server.db import Tx, among
from server.identity import queries as people
from server.ledger import paying
from server.payments import kept_bills
from server.policy import Actor
from server.reconcile import feed, owed, withdrawals
from server.reconcile.model import ReconcileDay, ReconcileSweep, ReconcileSweepPart
from shared import clock, ids
from shared.contracts.bank import CheckSweep, NewSweep, ReverseSweep, Sweep, SweepPart
from shared.contracts.base import Page
from shared.errors import BadField, Conflict, NotFound
from shared.finance import SweepState
from shared.labels import AboutState
from shared.money import Fen, format_fen
from shared.owed import over, shares
from shared.permissions import Permission
from shared.sentence import Sentence
from shared.states import require_move

_S = SweepState

_OVER = frozenset({_S.REFUSED, _S.REVERSED})
"""States after which the bank's number may be recorded again."""


class BadSweep(BadField):
    """What is said of an arrival cannot be."""

    code = "bad_sweep"
    zh = "没有登记：{reason}。"
    en = "Not recorded: {reason}."


class SweepDiffers(Conflict):
    """The bank's number was recorded with another amount, or for other days."""

    code = "sweep_differs"
    zh = (
        "银行流水号 {reference} 已经登记为 {days} 的 ¥{amount}，内容不同，没有重复登记。"
        "如果原来登记有误，请先冲销，再重新登记。"
    )
    en = (
        "The bank's number {reference} was recorded as ¥{amount} of {days}, which differs: nothing was recorded. "
        "If that was wrong, reverse it first."
    )


class SweepChanged(AboutState):
    """Somebody has acted on it since it was read, or it cannot be done now."""

    code = "sweep_changed"
    words: ClassVar = {"state": SweepState}
    zh = "这笔到账已有变化（当前“{state}”），请刷新后再操作。"
    en = "This arrival changed meanwhile (it is “{state}”); reload and look again."


class SweepOver(Conflict):
    """More would arrive than its days lack, and the second person has not seen so much of that."""

    code = "sweep_over"
    zh = "没有入账：这笔到账比现在还差的多 ¥{over}（现在还差：{days}）。请核对是不是重复，确认无误再同意。"
    en = (
        "Not booked: ¥{over} of it is more than is short now ({days}). Look whether it is recorded twice, then approve."
    )


class SweepByYou(Conflict):
    """Two different people say so."""

    code = "sweep_by_you"
    zh = "这笔到账需要两个人：由您登记或申请冲销的，请另一位同事复核；登记错了可以退回。"
    en = "Two people are needed: a colleague has to approve what you recorded or want reversed. You may take it back."


@dataclass(frozen=True, slots=True)
class Desk:
    """Who acts, in which request, above what amount two people decide, and where others' money comes too."""

    actor: Actor
    request_id: str | None
    check_above: Fen
    shared: frozenset[str] = frozenset()


def record(tx: Tx, body: NewSweep, *, desk: Desk) -> ReconcileSweep:
    """Book an arrival, or have it wait for a second person; the same again changes nothing.

    Raises SweepDiffers, BadSweep.
    """
    if body.arrived_on > clock.shop_day(clock.now()):
        raise BadSweep(field="arrived_on", reason=Sentence("到账日不能晚于今天", "nothing arrives later than today"))
    if body.others_fen >= body.amount_fen:
        less = Sentence("其他业务的钱应小于到账金额", "what others own has to be less than what arrived")
        raise BadSweep(field="others_fen", reason=less)
    its = (ReconcileSweep.channel == body.channel, ReconcileSweep.reference == body.reference)
    query = select(ReconcileSweep).where(*its).order_by(ReconcileSweep.n.desc()).limit(1).with_for_update()
    last = tx.scalars(query).first()
    if last is not None and last.state not in _OVER:
        _require_same(tx, last, body)
        return last
    parts = _parts(tx, body)
    row = ReconcileSweep(
        **body.model_dump(exclude={"parts"}),
        id=ids.new_id(),
        n=last.n + 1 if last else 1,
        state=_S.PROPOSED.value,
        note="",
        recorded_by=desk.actor.label,
        recorded_at=clock.now(),
        version=1,
    )
    if not _needs_two(tx, row, parts, desk):
        row.state = _S.BOOKED.value
    try:
        with tx.begin_nested():
            tx.add(row)
            tx.flush()
    except IntegrityError:  # somebody else has recorded the number just now
        return record(tx, body, desk=desk)
    tx.add_all(ReconcileSweepPart(sweep_id=row.id, day=day, amount_fen=fen) for day, fen in parts.items())
    tx.flush()
    withdrawals.pair(tx, row.channel)
    if row.state == _S.BOOKED:
        _book(tx, row, desk.actor)
    _tell(tx, row, "record", desk)
    return row


def _require_same(tx: Tx, row: ReconcileSweep, body: NewSweep) -> None:
    parts = _parts_of(tx, [row])[row.id]
    same = all(getattr(row, name) == getattr(body, name) for name in ("amount_fen", "others_fen", "arrived_on"))
    if not same or (body.parts and parts != {one.day: one.fen for one in body.parts}):
        days = ", ".join(day.isoformat() for day in parts)
        raise SweepDiffers(reference=body.reference, days=days, amount=format_fen(row.amount_fen))


def _parts(tx: Tx, body: NewSweep) -> dict[date, Fen]:
    """What of it is which day's, as the person says, or else the oldest days that wait for money."""
    ours = body.amount_fen - body.others_fen
    if not body.parts:
        parts = shares(owed.short(tx, body.channel, until=body.arrived_on), ours)
        if not parts:
            none = Sentence("没有等待到账的日子，请写明是哪一天的钱", "no day waits for money: say of which it is")
            raise BadSweep(field="parts", reason=none)
        return parts
    parts = {one.day: one.fen for one in body.parts}
    if len(parts) < len(body.parts):
        raise BadSweep(field="parts", reason=Sentence("同一天只写一次", "each day is said once"))
    if max(parts) > body.arrived_on:
        raise BadSweep(field="parts", reason=Sentence("账单日不能晚于到账日", "no day is later than it arrived"))
    if sum(parts.values()) != ours:
        due = format_fen(ours)
        told = Sentence(f"各日之和应等于 ¥{due}", f"the days have to come to ¥{due}")
        raise BadSweep(field="parts", reason=told)
    return dict(sorted(parts.items()))


def check(tx: Tx, sweep_id: UUID, body: CheckSweep, *, desk: Desk) -> ReconcileSweep:
    """Another person approves what waits, the booking or the reversal, or it is taken back.

    Raises NotFound, SweepChanged, SweepByYou, SweepOver.
    """
    row = _hold(tx, sweep_id, body.version, _S.PROPOSED, _S.REVERSING)
    is_booking, who = row.state == _S.PROPOSED, desk.actor.label
    if body.approve and who == (row.recorded_by if is_booking else row.reversed_by):
        raise SweepByYou
    if is_booking and body.approve:
        _require_seen(tx, row, body.over_fen)
        _move(row, _S.BOOKED)
        row.checked_by, row.checked_at = who, clock.now()
        _book(tx, row, desk.actor)
    elif is_booking:
        _move(row, _S.REFUSED)
        row.note = body.note
        withdrawals.let_go(tx, row.id)
    elif body.approve:
        row.reversal_checked_by = who
        _reverse(tx, row, desk.actor)
    else:
        _move(row, _S.BOOKED)
        row.reversed_by, row.reversed_at, row.note = None, None, ""
    over_fen = {"over_fen": body.over_fen} if body.over_fen else {}
    _tell(tx, row, "approve" if body.approve else "send_back", desk, note=body.note, **over_fen)
    return row


def _require_seen(tx: Tx, row: ReconcileSweep, seen_fen: Fen) -> None:
    """What is short of its days may have come since it was recorded. Raises SweepOver."""
    parts = _parts_of(tx, [row])[row.id]
    short = owed.lacking(tx, row.channel, list(parts), hold=True)
    more = _over(short, parts)
    if sum(more.values()) > seen_fen:
        days = ", ".join(f"{day} ¥{format_fen(short.get(day, 0))}" for day in more)
        raise SweepOver(over=format_fen(sum(more.values())), days=days)


def reverse(tx: Tx, sweep_id: UUID, body: ReverseSweep, *, desk: Desk) -> ReconcileSweep:
    """It was wrong: taken out of the books by as many people as it came in. Raises NotFound, SweepChanged."""
    row = _hold(tx, sweep_id, body.version, _S.BOOKED)
    row.reversed_by, row.reversed_at, row.note = desk.actor.label, clock.now(), body.note
    if row.checked_by is None and row.amount_fen <= desk.check_above:
        _reverse(tx, row, desk.actor)
    else:
        _move(row, _S.REVERSING)
    _tell(tx, row, "reverse", desk, note=body.note)
    return row


def _needs_two(tx: Tx, row: ReconcileSweep, parts: Mapping[date, Fen], desk: Desk) -> bool:
    """Whether it is more than one person decides on, in one or in slices; or than what is still to come of a day by
    bills that somebody else has seen; or partly others', at a number that the shop shares with nobody.
    """
    days = sorted(parts)
    room = owed.to_come(tx, row.channel, days)
    if _over(room, parts):
        return True
    if row.amount_fen + _booked_alone(tx, row.channel, days, desk.actor) > desk.check_above:
        return True
    if row.others_fen and row.channel not in desk.shared:
        return True
    compared = _compared_with(tx, row.channel, days)
    return kept_bills.seen_alone(tx, row.channel, days, by=desk.actor.label, compared=compared)


def _compared_with(tx: Tx, channel: str, days: Sequence[date]) -> set[UUID]:
    """The bills by which it is reckoned what is to come: a newer one counts once its day is compared with it."""
    d = ReconcileDay
    its = (d.channel == channel, among(tx, d.day, days))
    files = tx.execute(select(d.trades_file_id, d.funds_file_id).where(*its))
    return {file_id for both in files for file_id in both if file_id is not None}


def _over(short: Mapping[date, Fen], parts: Mapping[date, Fen]) -> dict[date, Fen]:
    """What of these parts is more than their days lack, by day."""
    return {day: fen for day, part in parts.items() if (fen := over(short.get(day, 0), part))}


def _booked_alone(tx: Tx, channel: str, days: Sequence[date], who: Actor) -> Fen:
    """What this person has booked for these days, and nobody else said so too."""
    p, w = ReconcileSweepPart, ReconcileSweep
    its = (w.channel == channel, w.recorded_by == who.label, w.checked_by.is_(None), w.state.in_(owed.BOOKED))
    query = select(func.sum(p.amount_fen)).join_from(p, w, w.id == p.sweep_id)
    return int(tx.scalar(query.where(*its, among(tx, p.day, days), p.amount_fen > 0)) or 0)


def _ours(row: ReconcileSweep) -> Fen:
    return row.amount_fen - row.others_fen


def _arrival(row: ReconcileSweep) -> paying.Arrival:
    return paying.Arrival(row.channel, row.reference, row.n, _ours(row))


def _book(tx: Tx, row: ReconcileSweep, actor: Actor) -> None:
    at = clock.day_bounds(row.arrived_on)[0]
    days = " ".join(day.isoformat() for day in _parts_of(tx, [row])[row.id])
    paying.sweep(tx, _arrival(row), at=at, actor=actor.label, memo=days)


def _reverse(tx: Tx, row: ReconcileSweep, actor: Actor) -> None:
    _move(row, _S.REVERSED)
    paying.sweep_reversed(tx, _arrival(row), at=clock.now(), actor=actor.label, memo=row.note)
    withdrawals.let_go(tx, row.id)


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


def _tell(tx: Tx, row: ReconcileSweep, what: str, desk: Desk, **detail: str | Fen) -> None:
    row.version += what != "record"
    tx.flush()
    parts = _parts_of(tx, [row])[row.id]
    for day in parts:
        changes.append(tx, feed.DAY, feed.day_id(row.channel, day), domain=feed.DOMAIN)
    of_days = {day.isoformat(): fen for day, fen in parts.items()}
    facts = {"channel": row.channel, "parts": of_days, "fen": row.amount_fen, "others_fen": row.others_fen}
    audit.append(
        tx,
        actor=desk.actor.label,
        action=f"sweep.{what}",
        entity="sweep",
        entity_id=row.reference,
        detail=facts | {"state": row.state, "n": row.n} | detail,
        request_id=desk.request_id,
    )


class Only(NamedTuple):
    """Which arrivals: in which a day has a part, of a channel, in a state, and that lack a withdrawal (`open`)."""

    day: date | None = None
    channel: str | None = None
    state: SweepState | None = None
    open: bool = False


def page(tx: Tx, who: Actor, *, only: Only, after: UUID | None, limit: int) -> Page[Sweep]:
    """Arrivals, as they were recorded; `after` is the last id of the page before."""
    w, p = ReconcileSweep, ReconcileSweepPart
    query = select(w)
    if only.day is not None:
        query = query.join(p, p.sweep_id == w.id).where(p.day == only.day)
    for column, wanted in ((w.channel, only.channel), (w.state, only.state)):
        if wanted is not None:
            query = query.where(column == wanted)
    if only.open:
        query = query.where(withdrawals.waits_for_one())
    if after is not None:
        query = query.where(w.id > after)
    rows = tx.scalars(query.order_by(w.id).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=answers(tx, who, shown), next=str(shown[-1].id) if len(rows) > limit else None)


def _parts_of(tx: Tx, rows: Sequence[ReconcileSweep]) -> dict[UUID, dict[date, Fen]]:
    """The parts of arrivals, by day."""
    p = ReconcileSweepPart
    found: dict[UUID, dict[date, Fen]] = {row.id: {} for row in rows}
    for part in tx.scalars(select(p).where(among(tx, p.sweep_id, list(found))).order_by(p.day)) if found else ():
        found[part.sweep_id][part.day] = part.amount_fen
    return found


def answers(tx: Tx, who: Actor, rows: Sequence[ReconcileSweep]) -> list[Sweep]:
    """As people see them, with what this one may do now."""
    people_of = ("recorded_by", "checked_by", "reversed_by", "reversal_checked_by")
    names = people.names_of(tx, {getattr(row, name) for row in rows for name in people_of} - {None})
    parts, numbers = _parts_of(tx, rows), withdrawals.numbers_of(tx, [row.id for row in rows])
    days_of: defaultdict[str, set[date]] = defaultdict(set)
    for row in rows:
        if row.state == _S.PROPOSED:
            days_of[row.channel].update(parts[row.id])
    short = {channel: owed.lacking(tx, channel, days) for channel, days in days_of.items()}
    of_money = ("id", "channel", "amount_fen", "others_fen", "reference", "arrived_on")
    as_it_is = (*of_money, "note", "recorded_at", "checked_at", "reversed_at", "version")
    return [
        Sweep(
            **{name: getattr(row, name) for name in as_it_is},
            **{name: names.get(getattr(row, name), getattr(row, name)) for name in people_of},
            parts=[SweepPart(day=day, fen=fen) for day, fen in parts[row.id].items()],
            withdrawal=numbers.get(row.id),
            over_fen=sum(_over(short[row.channel], parts[row.id]).values()) if row.state == _S.PROPOSED else 0,
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
