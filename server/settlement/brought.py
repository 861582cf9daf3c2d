"""What a statement brought forward from before: what the one before it was short of, and what was booked since.

Its sum was reckoned of what the ledger said then; its parts are the journals between that moment and the one of the
statement before, in the order of their ids, and what drafts had brought forward that were dropped in between. What
refunds and lost disputes took is not among them: these are negative lines of the statement itself, or withheld of the
one that released them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select

from server.db import Tx, among
from server.ledger import paying
from server.ledger import queries as ledger
from server.ledger.queries import Booked
from server.payments.adjustments import queries as adjustments
from server.payments.disputes import queries as disputes
from server.payments.settling import refunds_named
from server.policy import Actor
from server.settlement.drilling import order_codes
from server.settlement.model import Payout, SettlementDeduction, Statement
from server.settlement.proposing import owed
from shared import ids
from shared.contracts.brought import BroughtForward, BroughtKind
from shared.finance import StatementState
from shared.money import Fen
from shared.permissions import Permission


@dataclass(frozen=True, slots=True)
class _Bearer:
    """Who brings something forward: a statement, or the one that could be made now. `made` and `reckoned` are ids of
    when it was made, and of when its sums were reckoned for the last time.
    """

    supplier_id: UUID
    owed: Fen
    made: UUID
    reckoned: UUID


def parts(tx: Tx, who: Actor, statement: Statement) -> list[BroughtForward]:
    """The parts of what a statement brought forward, the oldest first; they add up to it."""
    bearer = _Bearer(statement.supplier_id, statement.owed_fen, statement.id, _reckoned(statement))
    return _parts(tx, who, bearer)


def parts_due(tx: Tx, who: Actor, supplier_id: UUID) -> list[BroughtForward]:
    """The same of the statement that could be made of a supplier now."""
    now = ids.new_id()
    return _parts(tx, who, _Bearer(supplier_id, owed(tx, supplier_id), now, now))


def _parts(tx: Tx, who: Actor, bearer: _Bearer) -> list[BroughtForward]:
    before = _before(tx, bearer)
    after = _reckoned_before(before, bearer) if before is not None else None
    found = [_short(before)] if before is not None and before.short_fen else []
    if after is not None:
        found += _dropped(tx, who, bearer, after=after)
    found += _booked(tx, who, bearer.supplier_id, after=after, until=bearer.reckoned)
    if rest := -bearer.owed - sum(one.amount_fen for one in found):
        found.append(BroughtForward(kind="others", amount_fen=rest))
    return found


def _before(tx: Tx, bearer: _Bearer) -> Statement | None:
    """The supplier's last statement before this one that stood when this one was reckoned."""
    stood = or_(Statement.state != StatementState.DROPPED.value, Statement.dropped_id > bearer.reckoned)
    mine = (Statement.supplier_id == bearer.supplier_id, Statement.id < bearer.made)
    return tx.scalars(select(Statement).where(*mine, stood).order_by(Statement.id.desc()).limit(1)).first()


def _reckoned(statement: Statement) -> UUID:
    """An id that was made when its sums were reckoned, for the last time."""
    return statement.redrawn_id or statement.id


def _reckoned_before(before: Statement, bearer: _Bearer) -> UUID:
    """The same of the one before it; where that was reckoned anew after it: an id of when that one was made.

    What was booked between both came to this one first, and the other one was reckoned anew with that in mind.
    """
    last = _reckoned(before)
    return last if last < bearer.reckoned else before.id


def _dropped(tx: Tx, who: Actor, bearer: _Bearer, *, after: UUID) -> Iterator[BroughtForward]:
    """What drafts had brought forward that stood when the one before was reckoned, and were dropped since: without what
    they were short of, which the next one took.

    Where such a draft was reckoned anew since, what came to it by then is told of itself, and nobody took anything.
    """
    mine = (Statement.supplier_id == bearer.supplier_id, Statement.id < after)
    gone = (Statement.dropped_id > after, Statement.dropped_id <= bearer.reckoned)
    for one in tx.scalars(select(Statement).where(*mine, *gone).order_by(Statement.id)).all():
        amount = -one.owed_fen
        if _reckoned(one) > after:
            then = replace(bearer, reckoned=_reckoned(one))
            since = [*_dropped(tx, who, then, after=after)]
            since += _booked(tx, who, bearer.supplier_id, after=after, until=then.reckoned)
            amount -= sum(part.amount_fen for part in since)
        else:
            amount += one.short_fen
        if amount:
            yield BroughtForward(kind="dropped", amount_fen=amount, at=one.made_at, number=one.number, id=one.id)


def _short(before: Statement) -> BroughtForward:
    return BroughtForward(
        kind="short", amount_fen=-before.short_fen, at=before.made_at, number=before.number, id=before.id
    )


@dataclass(frozen=True, slots=True)
class _Event:
    """What a journal is of, as its key says: a name of it and what happened."""

    name: str
    what: str
    amount: Fen
    of: Booked


_Told = Iterator[BroughtForward]


def _booked(tx: Tx, who: Actor, supplier_id: UUID, *, after: UUID | None, until: UUID) -> list[BroughtForward]:
    payee = paying.supplier(supplier_id)
    rows = ledger.booked(tx, (payee.available, payee.owed), after=after, until=until)
    events: dict[str, list[_Event]] = defaultdict(list)
    for row in rows:
        domain, name, *what = row.key.split(":")
        events[domain].append(_Event(name, what[0] if what else "", row.credits - row.debits, row))
    readers: dict[str, Callable[[Sequence[_Event]], _Told]] = {
        "adjust": lambda those: _adjusted(tx, who, those),
        "payout": lambda those: _came_back(tx, those),
        "dispute": lambda those: _disputed(tx, who, supplier_id, those),
        "refund": lambda those: _restored(tx, those),
    }
    found = [one for domain, read in readers.items() for one in read(events[domain]) if one.amount_fen]
    return sorted(found, key=_when)


def _when(one: BroughtForward) -> datetime:
    assert one.at is not None, one.number
    return one.at


def _adjusted(tx: Tx, who: Actor, events: Sequence[_Event]) -> _Told:
    rows = adjustments.named(tx, [UUID(hex=one.name) for one in events])
    is_staff = _is_staff(who)
    for one in events:
        row = rows[UUID(hex=one.name)]
        # The order that people adjust for may be another supplier's.
        of_staff = {"id": row.id, "note": row.reason, "order_code": row.order_code} if is_staff else {}
        yield _told("adjusted", one, number=row.ticket, **of_staff)


_OF_PAYOUTS: Mapping[str, BroughtKind] = {"lacked": "lacked", "return": "given_back"}


def _came_back(tx: Tx, events: Sequence[_Event]) -> _Told:
    """What of payouts did not arrive, or was given back: each payout once a kind. One that failed is paid again."""
    sums: dict[tuple[str, BroughtKind], _Event] = {}
    for one in events:
        if (kind := _OF_PAYOUTS.get(one.what)) is not None:
            before = sums.get((one.name, kind))
            sums[one.name, kind] = one if before is None else replace(one, amount=before.amount + one.amount)
    named = select(Payout.number, Payout.id).where(Payout.number.in_({number for number, _ in sums}))
    papers = dict(tx.execute(named).all()) if sums else {}
    for (number, kind), one in sums.items():
        yield _told(kind, one, number=number, id=papers[number])


_OF_DISPUTES: Mapping[str, BroughtKind] = {"open": "frozen", "won": "unfrozen", "lost": "lost"}


def _disputed(tx: Tx, who: Actor, supplier_id: UUID, events: Sequence[_Event]) -> _Told:
    """What was frozen, and what came of it; of what was lost the negative lines bear their part."""
    named = [UUID(hex=one.name) for one in events]
    rows, borne = disputes.named(tx, named), _deducted(tx, supplier_id, named)
    is_staff = _is_staff(who)
    for one in events:
        row = rows[UUID(hex=one.name)]
        by_lines = borne.get(row.id, 0) if one.what == "lost" else 0
        told = {"number": row.channel_no, "order_code": row.order_code} | ({"id": row.id} if is_staff else {})
        yield _told(_OF_DISPUTES[one.what], replace(one, amount=one.amount + by_lines), **told)


def _deducted(tx: Tx, supplier_id: UUID, causes: Sequence[UUID]) -> dict[UUID, Fen]:
    """What negative lines of a supplier's statements took for these refunds and disputes."""
    query = (
        select(SettlementDeduction.cause_id, func.sum(SettlementDeduction.amount_fen))
        .join(Statement, Statement.id == SettlementDeduction.statement_id)
        .where(Statement.supplier_id == supplier_id, SettlementDeduction.netted.is_(False))
        .group_by(SettlementDeduction.cause_id)
    )
    found = tx.execute(query.where(among(tx, SettlementDeduction.cause_id, list(causes)))) if causes else ()
    return {cause_id: int(fen) for cause_id, fen in found}


def _restored(tx: Tx, events: Sequence[_Event]) -> _Told:
    """What refunds gave back that ended without money after all; where no line had taken it off, nothing is to say."""
    given = [one for one in events if one.what == "restore"]
    refunds = refunds_named(tx, [one.name for one in given])
    query = select(SettlementDeduction.cause_id).where(SettlementDeduction.netted.is_(False))
    deducted = (
        set(tx.scalars(query.where(among(tx, SettlementDeduction.cause_id, list(refunds.values()))))) if refunds else ()
    )
    codes = order_codes(tx, {one.of.order_id for one in given if one.of.order_id is not None})
    for one in given:
        if refunds[one.name] in deducted:
            code = codes.get(one.of.order_id) if one.of.order_id is not None else None
            yield _told("restored", one, number=one.name, order_code=code)


def _told(kind: BroughtKind, one: _Event, **facts: object) -> BroughtForward:
    said = {"kind": kind, "amount_fen": one.amount, "at": one.of.occurred_at} | facts
    return BroughtForward.model_validate(said)


def _is_staff(who: Actor) -> bool:
    return who.may(Permission.LEDGER_JOURNAL_READ)
