"""What suppliers earned and is on no statement yet: how much is left of each line, when it is due, and why not now.

share    the supplier's, frozen on the line at the sale
net      the share less what refunds, and disputes that were lost, took of it
due      by the terms of the day it was delivered, and no earlier than everything about its order is settled
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Subquery, and_, bindparam, case, func, select

from server.db import Tx, among
from server.orders.settling import delivered_lines, unsettled_ids, unsettled_lines
from server.payments import settling as payments
from server.settlement import terms as agreed
from server.settlement.due import due_on
from server.settlement.model import SettlementDeduction, SettlementHold, SettlementItem, Statement
from server.settlement.terms import TermsHistory
from server.settlement.working_days import Calendar
from shared import clock
from shared.finance import HoldReason, ReleaseFrom, StatementState
from shared.money import Fen
from shared.states import OrderState

RELEASED = (StatementState.CONFIRMED.value, StatementState.PAID.value)
"""Statements whose lines were released."""


@dataclass(frozen=True, slots=True)
class Earned:
    """A delivered line that is on no statement: `line` is its row of `orders.settling.delivered_lines`.

    `taken_fen` and `commission_taken_fen` are what refunds and lost disputes took of both shares. `due_on` is None
    while nobody knows; it is held for the reason `hold`, None when it can be released on the day that was asked for.
    `hold_note` is what people wrote who hold it.
    """

    line: Any
    taken_fen: Fen
    commission_taken_fen: Fen
    due_on: date | None
    hold: HoldReason | None
    hold_note: str = ""

    @property
    def net_fen(self) -> Fen:
        """What there is to release to the supplier."""
        return int(self.line.supplier_fen) - self.taken_fen

    @property
    def commission_fen(self) -> Fen:
        """What there is to release to the distributor who brought the buyer."""
        return int(self.line.commission_fen) - self.commission_taken_fen

    @property
    def is_left(self) -> bool:
        """Whether there is something to release to either."""
        return self.net_fen > 0 or self.commission_fen > 0


@dataclass(frozen=True, slots=True)
class Deduction:
    """What a refund or a lost dispute took of a line after its release, and that no statement has taken off yet.

    `own` is the statement that released the line, while it is free to be paid: it is withheld there.
    """

    cause_id: UUID
    order_line_id: UUID
    amount_fen: Fen
    own: UUID | None = None

    def as_row(self, statement_id: UUID, *, netted: bool = False) -> dict[str, Any]:
        """As it is kept on a statement."""
        return {
            "cause_id": self.cause_id,
            "order_line_id": self.order_line_id,
            "statement_id": statement_id,
            "netted": netted,
            "amount_fen": self.amount_fen,
        }


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides when lines are due: terms, calendar, holds by people, and the orders in question."""

    terms: Mapping[UUID, TermsHistory]
    calendar: Calendar
    held_orders: Mapping[UUID, str]
    held_suppliers: Mapping[UUID, str]
    in_question: payments.InQuestion
    complete_after: timedelta


def rules(tx: Tx, *, day: date, complete_after_days: int, suppliers: Collection[UUID] | None = None) -> Rules:
    """The rules as they stand, for what may be released on a day."""
    standing = select(SettlementHold).where(SettlementHold.freed_at.is_(None))
    holds = [hold for hold in tx.scalars(standing) if hold.until_day is None or day < hold.until_day]
    return Rules(
        terms=agreed.histories(tx, suppliers),
        calendar=agreed.calendar(tx),
        held_orders={hold.order_id: hold.reason for hold in holds if hold.order_id},
        held_suppliers={hold.supplier_id: hold.reason for hold in holds if hold.supplier_id},
        in_question=payments.in_question(tx),
        complete_after=timedelta(days=complete_after_days),
    )


def earned(tx: Tx, by: Rules, *, day: date, statement_id: UUID | None = None) -> dict[UUID, list[Earned]]:
    """The lines of the suppliers of `by` of which a share is left, by supplier, in the order of their ids.

    Those on no statement; with a `statement_id` those of it, as they stand now.
    """
    found: dict[UUID, list[Earned]] = defaultdict(list)
    for one in _unsettled(tx, by, day) if statement_id is None else _drafted(tx, by, day, statement_id):
        if one.is_left:
            found[one.line.supplier_id].append(one)
    return found


def of_lines(tx: Tx, by: Rules, line_ids: Sequence[UUID], *, day: date) -> list[Earned]:
    """Those of some lines that are on no statement now and of which a share is left, in the order of their ids."""
    lines = unsettled_lines()
    query = select(lines).where(lines.c.supplier_id.in_(list(by.terms)), among(tx, lines.c.id, line_ids))
    return [one for one in _judged_all(tx, by, day, query.order_by(lines.c.id), line_ids) if one.is_left]


def page(tx: Tx, by: Rules, supplier_id: UUID, *, day: date, after: UUID | None, limit: int) -> list[Earned]:
    """So many of a supplier's lines on no statement of which a share is left, after one, in the order of their ids."""
    lines = unsettled_lines()
    found: list[Earned] = []
    while len(found) < limit:
        following = select(lines.c.id).where(lines.c.supplier_id == supplier_id).order_by(lines.c.id).limit(limit)
        if after is not None:
            following = following.where(lines.c.id > after)
        line_ids = tx.scalars(following).all()
        if not line_ids:
            break
        after = line_ids[-1]
        found += of_lines(tx, by, line_ids, day=day)
    return found[:limit]


def spent(tx: Tx, by: Rules, *, day: date) -> list[UUID]:
    """The lines on no statement of which nothing is left, and of whose orders nothing is in question any more."""
    asked = by.in_question
    in_question = asked.refunds | asked.disputes | asked.exceptions
    each = _unsettled(tx, by, day)
    return [one.line.id for one in each if not one.is_left and one.line.order_id not in in_question]


def _unsettled(tx: Tx, by: Rules, day: date) -> Iterator[Earned]:
    lines, suppliers = unsettled_lines(), list(by.terms)
    query = select(lines).where(lines.c.supplier_id.in_(suppliers)).order_by(lines.c.id)
    return _judged_all(tx, by, day, query, unsettled_ids(suppliers))


def _drafted(tx: Tx, by: Rules, day: date, statement_id: UUID) -> Iterator[Earned]:
    lines = delivered_lines()
    mine = select(SettlementItem.order_line_id).where(SettlementItem.statement_id == statement_id)
    query = select(lines).where(lines.c.supplier_id.in_(list(by.terms)), lines.c.id.in_(mine)).order_by(lines.c.id)
    return _judged_all(tx, by, day, query, mine)


def _judged_all(
    tx: Tx, by: Rules, day: date, lines: Select[Any], line_ids: Select[UUID] | Sequence[UUID]
) -> Iterator[Earned]:
    taken = _taken(tx, line_ids)
    for line in tx.execute(lines):
        yield _judged(line, taken.get(line.id, _NOTHING), by, day)


_Taken = tuple[Fen, Fen]
_NOTHING: _Taken = (0, 0)


def _taken(tx: Tx, line_ids: Select[UUID] | Sequence[UUID]) -> dict[UUID, _Taken]:
    """What refunds and lost disputes took of these lines: of the supplier's share, and of the commission."""
    taken: dict[UUID, _Taken] = {}
    for back in payments.taken():
        line = back.c.order_line_id
        mine = line.in_(line_ids) if isinstance(line_ids, Select) else among(tx, line, line_ids)
        for line_id, supplier, commission in tx.execute(_sums_by_line(back).where(mine)):
            before = taken.get(line_id, _NOTHING)
            taken[line_id] = (before[0] + int(supplier), before[1] + int(commission))
    return taken


@cache  # as everything below that only depends on the tables: putting a statement together takes as long as its answer
def _sums_by_line(back: Subquery) -> Select[Any]:
    line = back.c.order_line_id
    return select(line, func.sum(back.c.supplier_fen), func.sum(back.c.commission_fen)).group_by(line)


def _judged(line: Row[Any], taken: _Taken, by: Rules, day: date) -> Earned:
    terms = by.terms[line.supplier_id].at(line.delivered_at)
    counts_from = line.delivered_at
    if terms.release_from is ReleaseFrom.COMPLETED:
        counts_from = _completed_at(line, by.complete_after)
    due = None if counts_from is None else due_on(terms, counts_from, by.calendar)
    hold, note = _hold(line, by)
    if hold is None and due is None:
        hold = HoldReason.NOT_COMPLETED
    if hold is None and due is not None and due > day:
        hold = HoldReason.CYCLE
    return Earned(line, *taken, due, hold, note)


def _completed_at(line: Row[Any], complete_after: timedelta) -> datetime | None:
    """When the order was completed; what was refunded in part counts as completed when it would have been."""
    completed: datetime | None = line.completed_at
    if completed is not None or line.state == OrderState.DELIVERED.value:
        return completed
    would_have: datetime = line.delivered_at + complete_after
    return would_have if would_have <= clock.now() else None


def _hold(line: Row[Any], by: Rules) -> tuple[HoldReason | None, str]:
    asked = by.in_question
    if line.order_id in asked.disputes or line.state == OrderState.DISPUTED.value:
        return HoldReason.DISPUTED, ""
    if line.order_id in asked.refunds:
        return HoldReason.REFUND_OPEN, ""
    if line.order_id in asked.exceptions:
        return HoldReason.EXCEPTION_OPEN, ""
    note = by.held_orders.get(line.order_id) or by.held_suppliers.get(line.supplier_id)
    return (None, "") if note is None else (HoldReason.BY_PERSON, note)


def deductions(tx: Tx, supplier_ids: Collection[UUID]) -> dict[UUID, list[Deduction]]:
    """What was taken of lines after their release, and that no statement has taken off, by supplier."""
    found, whose = defaultdict(list), {"supplier_ids": list(supplier_ids)}
    for back in payments.taken():
        for supplier_id, cause_id, line_id, fen, own in tx.execute(_not_taken_off(back), whose):
            found[supplier_id].append(Deduction(cause_id, line_id, int(fen), own))
    return found


@cache
def _not_taken_off(back: Subquery) -> Select[Any]:
    """What it took of released lines of `supplier_ids`, and the statement of each that is free to be paid."""
    lines = delivered_lines()
    is_free = and_(Statement.state == StatementState.CONFIRMED.value, Statement.payout_id.is_(None))
    known = select(SettlementDeduction.cause_id).where(
        SettlementDeduction.cause_id == back.c.cause_id, SettlementDeduction.order_line_id == back.c.order_line_id
    )
    return (
        select(
            lines.c.supplier_id,
            back.c.cause_id,
            back.c.order_line_id,
            back.c.supplier_fen,
            case((is_free, Statement.id), else_=None),
        )
        .join(SettlementItem, SettlementItem.order_line_id == back.c.order_line_id)
        .join(Statement, Statement.id == SettlementItem.statement_id)
        .join(lines, lines.c.id == back.c.order_line_id)
        .where(Statement.state.in_(RELEASED))
        .where(lines.c.supplier_id.in_(bindparam("supplier_ids", expanding=True, type_=lines.c.supplier_id.type)))
        .where(back.c.supplier_fen > 0, ~known.exists())
        .order_by(back.c.cause_id, back.c.order_line_id)
    )


def netted(tx: Tx, line_ids: Sequence[UUID]) -> list[Deduction]:
    """What refunds and lost disputes have taken of lines that are about to be released."""
    found = []
    for back in payments.taken():
        mine = select(back.c.cause_id, back.c.order_line_id, back.c.supplier_fen)
        for cause_id, line_id, fen in tx.execute(mine.where(among(tx, back.c.order_line_id, line_ids))):
            found.append(Deduction(cause_id, line_id, int(fen)))
    return found
