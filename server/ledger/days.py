"""Day closings: what went through each account on each day, written once the day is over and never changed.

A journal belongs to the day on which it was posted: what comes late is of the day on which it comes, and a closed day
stays as it was signed. A balance is the closed days and what was posted since.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, insert, literal, select, true, union_all
from sqlalchemy.exc import IntegrityError

from server.db import Database, Tx, table_of
from server.ledger.model import LedgerDay, LedgerDayClose, LedgerJournal, LedgerTransfer
from shared import clock
from shared.money import Fen

GRACE = timedelta(minutes=10)
"""A journal is posted when it is made and committed a little later: a day is closed when none can be on its way."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What went through an account."""

    debits: Fen = 0
    credits: Fen = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.debits + other.debits, self.credits + other.credits)


NOTHING = Sums()
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


def close_days(db: Database) -> int:
    """Close each day that is over, oldest first, each in its own transaction; answers how many. Safe beside itself."""
    closed = 0
    while True:
        with db.read() as tx:
            day = _next(tx)
        if day is None:
            return closed
        try:
            with db.tx() as tx:
                _close(tx, day)
        except IntegrityError:
            continue  # another process closed it
        closed += 1


def _next(tx: Tx) -> date | None:
    """The oldest day that is over and not closed."""
    last = last_closed(tx)
    if last is not None:
        day = last + timedelta(days=1)
    else:
        first = tx.scalar(select(func.min(LedgerJournal.posted_at)))
        if first is None:
            return None
        day = clock.shop_day(first)
    return day if clock.now() >= clock.day_bounds(day)[1] + GRACE else None


def last_closed(tx: Tx) -> date | None:
    """The last day that is closed."""
    return tx.scalar(select(func.max(LedgerDayClose.day)))


def _close(tx: Tx, day: date) -> None:
    start, end = clock.day_bounds(day)
    sums = moved(tx, posted(start, end))
    journals = tx.scalar(select(func.count()).select_from(LedgerJournal).where(posted(start, end))) or 0
    header = {"day": day, "journals": journals, "closed_at": clock.now()}
    amount = sum(one.debits for one in sums.values())
    tx.execute(insert(table_of(LedgerDayClose)), header | {"amount_fen": amount})
    rows = [
        {"account_id": account, "day": day, "debits_fen": one.debits, "credits_fen": one.credits}
        for account, one in sums.items()
    ]
    if rows:
        tx.execute(insert(table_of(LedgerDay)), rows)


def posted(start: datetime, end: datetime | None) -> ColumnElement[bool]:
    """Whether a journal was posted from `start` until before `end`."""
    since = LedgerJournal.posted_at >= start
    return since if end is None else and_(since, LedgerJournal.posted_at < end)


def moved(tx: Tx, which: ColumnElement[bool], accounts: Collection[UUID] | None = None) -> dict[UUID, Sums]:
    """What some journals moved, by account."""
    query = _moved(which).subquery()
    sums = select(query.c.account_id, func.sum(query.c.debits), func.sum(query.c.credits)).group_by(query.c.account_id)
    if accounts is not None:
        sums = sums.where(query.c.account_id.in_(accounts))
    return {account: Sums(int(debits), int(credits)) for account, debits, credits in tx.execute(sums)}


def _moved(which: ColumnElement[bool]) -> Any:
    nothing, fen = literal(0), LedgerTransfer.amount_fen

    def side(account_id: Any, debits: Any, credits: Any) -> Select[Any]:
        columns = (account_id.label("account_id"), func.sum(debits).label("debits"), func.sum(credits).label("credits"))
        joined = select(*columns).join(LedgerJournal, LedgerJournal.id == LedgerTransfer.journal_id)
        return joined.where(which).group_by(account_id)

    debited, credited = side(LedgerTransfer.debit_id, fen, nothing), side(LedgerTransfer.credit_id, nothing, fen)
    return union_all(debited, credited)


def until(tx: Tx, day: date | None, accounts: Collection[UUID] | None = None) -> dict[UUID, Sums]:
    """What went through accounts until `day` ended, or ever: closed days as they were closed, others as of now."""
    last = last_closed(tx)
    sums = _of_days(tx, true() if day is None else LedgerDay.day <= day, accounts)
    if last is None or day is None or day > last:
        start, end = clock.day_bounds(last)[1] if last else _EVER, clock.day_bounds(day)[1] if day else None
        later = moved(tx, posted(start, end), accounts)
        for account, more in later.items():
            sums[account] = sums.get(account, NOTHING) + more
    return sums


def of_day(tx: Tx, day: date, accounts: Collection[UUID] | None = None) -> dict[UUID, Sums]:
    """What went through accounts on one day."""
    last = last_closed(tx)
    if last is not None and day <= last:
        return _of_days(tx, LedgerDay.day == day, accounts)
    return moved(tx, posted(*clock.day_bounds(day)), accounts)


def _of_days(tx: Tx, which: ColumnElement[bool], accounts: Collection[UUID] | None) -> dict[UUID, Sums]:
    sums = select(LedgerDay.account_id, func.sum(LedgerDay.debits_fen), func.sum(LedgerDay.credits_fen)).where(which)
    if accounts is not None:
        sums = sums.where(LedgerDay.account_id.in_(accounts))
    rows = tx.execute(sums.group_by(LedgerDay.account_id))
    return {account: Sums(int(debits), int(credits)) for account, debits, credits in rows}
