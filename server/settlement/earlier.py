"""What who checks a payout has to know of those before: that they ended unpaid, or that some of them can be paid again.

ended    of the same statements: it failed, came back, was refused, or was taken back after its approval
in part  of the supplier: it arrived, but rows of it did not, or were given back, since the statement before was made
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, or_, select

from server.db import Tx
from server.ledger import queries as ledger
from server.settlement.instructing import GIVEN_BACK_WITHIN
from server.settlement.model import Payout, SettlementResult, SettlementReturn, Statement
from shared.contracts import settlement as wire
from shared.finance import PayoutState, StatementState

_LONGEST = 2 * GIVEN_BACK_WITHIN
"""For so long after it arrived something of a payout may be found to lack, or be told to have been given back."""


def earlier(tx: Tx, rows: Sequence[Payout]) -> dict[UUID, tuple[wire.EarlierPayout, ...]]:
    """Those before each of these payouts, the oldest first."""
    ended, parts = _ended(tx, rows), _in_part(tx, rows)
    found = {row.id: [*_of_statements(row, ended), *parts.get(row.id, ())] for row in rows}
    return {payout_id: tuple(sorted(those, key=_ended_at)) for payout_id, those in found.items()}


def _ended_at(one: wire.EarlierPayout) -> datetime:
    assert one.ended_at is not None, one.number
    return one.ended_at


# --- ended ---


def _ended(tx: Tx, rows: Sequence[Payout]) -> Sequence[Payout]:
    """What ended without paying, of the suppliers of payouts: not what its maker thought better of.

    That one was taken back after its approval is told too: somebody may have carried it by hand.
    """
    refused = and_(Payout.state == PayoutState.REFUSED.value, Payout.checked_at.is_not(None))
    ended = or_(Payout.state == PayoutState.FAILED.value, refused)
    mine = Payout.supplier_id.in_({row.supplier_id for row in rows})
    return tx.scalars(select(Payout).where(mine, ended).order_by(Payout.id)).all()


def _of_statements(row: Payout, ended: Sequence[Payout]) -> list[wire.EarlierPayout]:
    return [
        _answer(one, one.ended_at, one.reference)
        for one in ended
        if one is not row and one.ended_at and one.ended_at <= row.made_at
        if not set(row.statements).isdisjoint(one.statements)
    ]


def _answer(one: Payout, at: datetime, reference: str) -> wire.EarlierPayout:
    return wire.EarlierPayout(
        number=one.number,
        state=PayoutState(one.state),
        amount_fen=one.amount_fen,
        back_fen=one.amount_fen - one.arrived_fen + one.returned_fen,
        arrived_at=one.arrived_at,
        ended_at=at,
        reference=reference,
        note=one.note,
    )


# --- in part ---


def _in_part(tx: Tx, rows: Sequence[Payout]) -> dict[UUID, list[wire.EarlierPayout]]:
    since = min((row.made_at for row in rows), default=None)
    if since is None:
        return {}
    lacks = or_(Payout.arrived_fen < Payout.amount_fen, Payout.returned_fen > 0)
    mine = (Payout.supplier_id.in_({row.supplier_id for row in rows}), Payout.state == PayoutState.CONFIRMED.value)
    query = select(Payout).where(*mine, lacks, Payout.arrived_at >= since - _LONGEST)
    those = tx.scalars(query.order_by(Payout.id)).all()
    if not those:
        return {}
    made = _statements_of(tx, {one.supplier_id for one in those}, since - _LONGEST)
    at, references = _came_back(tx, those)
    found: dict[UUID, list[wire.EarlierPayout]] = defaultdict(list)
    for row in rows:
        its = made[row.supplier_id]
        first = min((its[number] for number in row.statements if number in its), default=row.made_at)
        before = max((one for one in its.values() if one < first), default=since - _LONGEST)
        for one in those:
            times = [time for time in at[one.id] if before <= time <= row.made_at]
            if times and one is not row and one.supplier_id == row.supplier_id:
                found[row.id].append(_answer(one, max(times), " ".join(references[one.id]) or one.reference))
    return found


def _statements_of(tx: Tx, supplier_ids: Collection[UUID], since: datetime) -> dict[UUID, dict[str, datetime]]:
    """When the statements of suppliers were made, by their numbers."""
    query = select(Statement.supplier_id, Statement.number, Statement.made_at)
    mine = (Statement.supplier_id.in_(list(supplier_ids)), Statement.state != StatementState.DROPPED.value)
    made: dict[UUID, dict[str, datetime]] = defaultdict(dict)
    for supplier_id, number, at in tx.execute(query.where(*mine, Statement.made_at >= since)):
        made[supplier_id][number] = at
    return made


def _came_back(tx: Tx, those: Sequence[Payout]) -> tuple[dict[UUID, list[datetime]], dict[UUID, list[str]]]:
    """When something of payouts was booked as available again, and the channel's references of what was given back."""
    numbers, references = {one.id: one.number for one in those}, defaultdict[UUID, list[str]](list)
    keys = {f"payout:{number}:lacked": payout_id for payout_id, number in numbers.items()}
    failed = select(SettlementResult.payout_id, SettlementResult.n).where(SettlementResult.succeeded.is_(False))
    for payout_id, n in tx.execute(failed.where(SettlementResult.payout_id.in_(numbers))):
        keys[f"payout:{numbers[payout_id]}:lacked:{n}"] = payout_id
    for row in tx.scalars(select(SettlementReturn).where(SettlementReturn.payout_id.in_(numbers))):
        keys[f"payout:{numbers[row.payout_id]}:return:{row.n}.{row.k}"] = row.payout_id
        references[row.payout_id].append(row.reference)
    at: dict[UUID, list[datetime]] = defaultdict(list)
    for key, time in ledger.occurred(tx, list(keys)).items():
        at[keys[key]].append(time)
    return at, references
