"""The ledger as finance reads it: accounts, their books line by line, journals, closed days. Reads only.

Days are those on which journals were posted, so that what a closed day says never changes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import aliased

from server.db import Tx
from server.identity import queries as people
from server.invariants.look import InvariantLook
from server.ledger import days
from server.ledger.days import Sums
from server.ledger.model import LedgerAccount, LedgerDay, LedgerHealth, LedgerJournal, LedgerTransfer
from server.orders.model import Order
from shared import clock
from shared.contracts import ledger as wire
from shared.contracts.base import Page
from shared.errors import BadField, NotFound
from shared.finance import JournalCode
from shared.money import Fen

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def accounts(tx: Tx, day: date | None, *, after: str | None, limit: int) -> Page[wire.Account]:
    """Accounts by kind and owner, with what went through them until `day` ended. Raises BadField."""
    query = select(LedgerAccount).order_by(LedgerAccount.kind, LedgerAccount.owner)
    if after is not None:
        kind, colon, owner = after.partition(":")
        if not colon:
            raise BadField(field="after", reason=after)
        query = query.where(tuple_(LedgerAccount.kind, LedgerAccount.owner) > (kind, owner))
    rows = tx.scalars(query.limit(limit + 1)).all()
    shown = rows[:limit]
    sums = days.until(tx, day, [row.id for row in shown])
    names = people.supplier_names(tx)
    items = [_account(row, sums.get(row.id, days.NOTHING), names) for row in shown]
    return Page(items=items, next=f"{shown[-1].kind}:{shown[-1].owner}" if len(rows) > limit else None)


def _account(row: LedgerAccount, sums: Sums, suppliers: dict[UUID, str]) -> wire.Account:
    return wire.Account(
        kind=row.kind,
        owner=row.owner,
        name=people.owner_name(row.owner, suppliers),
        side=row.side,
        debits_fen=sums.debits,
        credits_fen=sums.credits,
        balance_fen=_net(row, sums),
    )


def _net(account: LedgerAccount, sums: Sums) -> Fen:
    return (sums.debits - sums.credits) * (1 if account.side in "AE" else -1)


def _find(tx: Tx, kind: str, owner: str) -> LedgerAccount:
    """An account by name. Raises NotFound."""
    named = (LedgerAccount.kind == kind, LedgerAccount.owner == owner)
    found = tx.scalars(select(LedgerAccount).where(*named)).first()
    if found is None:
        raise NotFound
    return found


# --- the book of one account ---


def lines(tx: Tx, kind: str, owner: str, day: date, *, after: str | None, limit: int) -> Page[wire.AccountLine]:
    """The transfers of an account on a day, oldest first, each with the balance after it. Raises NotFound, BadField."""
    account = _find(tx, kind, owner)
    start, end = clock.day_bounds(day)
    balance = _net(account, days.until(tx, day - timedelta(days=1), [account.id]).get(account.id, days.NOTHING))
    mine = or_(LedgerTransfer.debit_id == account.id, LedgerTransfer.credit_id == account.id)
    of_day = and_(mine, days.posted(start, end))
    place = (LedgerJournal.posted_at, LedgerJournal.id, LedgerTransfer.n)
    if after is not None:
        shown_before = tuple_(*place) <= _place(after)
        balance += _net(account, _sums(tx, account, of_day, shown_before))
        of_day = and_(of_day, tuple_(*place) > _place(after))
    other = aliased(LedgerAccount)
    query = (
        select(LedgerTransfer, LedgerJournal, Order.code, other.kind, other.owner)
        .join(LedgerJournal, LedgerJournal.id == LedgerTransfer.journal_id)
        .join(other, other.id.in_((LedgerTransfer.debit_id, LedgerTransfer.credit_id)) & (other.id != account.id))
        .outerjoin(Order, Order.id == LedgerJournal.order_id)
        .where(of_day)
        .order_by(*place)
    )
    rows = tx.execute(query.limit(limit + 1)).all()
    names = people.supplier_names(tx)
    items = []
    for transfer, journal, code, other_kind, other_owner in rows[:limit]:
        is_debit = transfer.debit_id == account.id
        sums = Sums(transfer.amount_fen, 0) if is_debit else Sums(0, transfer.amount_fen)
        balance += _net(account, sums)
        items.append(
            wire.AccountLine(
                journal_id=journal.id,
                key=journal.key,
                code=JournalCode(journal.code),
                order_code=code,
                occurred_at=journal.occurred_at,
                debit_fen=sums.debits,
                credit_fen=sums.credits,
                balance_fen=balance,
                other_kind=other_kind,
                other_owner=other_owner,
                other_name=people.owner_name(other_owner, names),
            )
        )
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(items=items, next=_after(last[1], last[0].n) if last else None)


def _sums(tx: Tx, account: LedgerAccount, *which: ColumnElement[bool]) -> Sums:
    query = (
        select(LedgerTransfer.debit_id == account.id, func.sum(LedgerTransfer.amount_fen))
        .join(LedgerJournal, LedgerJournal.id == LedgerTransfer.journal_id)
        .where(*which)
        .group_by(LedgerTransfer.debit_id == account.id)
    )
    found = {bool(is_debit): int(fen) for is_debit, fen in tx.execute(query)}
    return Sums(found.get(True, 0), found.get(False, 0))


def _after(journal: LedgerJournal, n: int) -> str:
    return f"{(journal.posted_at - _EPOCH) // timedelta(microseconds=1)}:{journal.id}:{n}"


def _place(after: str) -> tuple[datetime, UUID, int]:
    try:
        instant, journal_id, n = after.split(":")
        return _EPOCH + timedelta(microseconds=int(instant)), UUID(journal_id), int(n)
    except (ValueError, OverflowError):
        raise BadField(field="after", reason=after) from None


def closings(tx: Tx, kind: str, owner: str, *, after: date | None, limit: int) -> Page[wire.DayClosing]:
    """The closed days on which something went through an account, newest first. Raises NotFound."""
    account = _find(tx, kind, owner)
    mine = [LedgerDay.account_id == account.id]
    if after is not None:
        mine.append(LedgerDay.day < after)
    rows = tx.scalars(select(LedgerDay).where(*mine).order_by(LedgerDay.day.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    items = []
    closing = _net(account, days.until(tx, shown[0].day, [account.id])[account.id]) if shown else 0
    for row in shown:
        opening = closing - _net(account, Sums(row.debits_fen, row.credits_fen))
        items.append(
            wire.DayClosing(
                day=row.day,
                kind=account.kind,
                owner=account.owner,
                opening_fen=opening,
                debits_fen=row.debits_fen,
                credits_fen=row.credits_fen,
                closing_fen=closing,
            )
        )
        closing = opening
    return Page(items=items, next=shown[-1].day.isoformat() if len(rows) > limit else None)


# --- journals ---


def journals(
    tx: Tx, day: date | None, code: JournalCode | None, *, after: str | None, limit: int
) -> Page[wire.Journal]:
    """Journals, newest first, of a day or all, of one kind or all. Raises BadField."""
    query = select(LedgerJournal)
    if day is not None:
        query = query.where(days.posted(*clock.day_bounds(day)))
    if code is not None:
        query = query.where(LedgerJournal.code == code.value)
    if after is not None:
        query = query.where(tuple_(LedgerJournal.posted_at, LedgerJournal.id) < _place(after)[:2])
    rows = tx.scalars(query.order_by(LedgerJournal.posted_at.desc(), LedgerJournal.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    return Page(items=_journals(tx, shown), next=_after(shown[-1], 0) if len(rows) > limit else None)


def of_order(tx: Tx, order_id: UUID) -> list[wire.Journal]:
    """All journals of an order, oldest first."""
    mine = select(LedgerJournal).where(LedgerJournal.order_id == order_id)
    return _journals(tx, tx.scalars(mine.order_by(LedgerJournal.posted_at, LedgerJournal.id)).all())


def _journals(tx: Tx, rows: Sequence[LedgerJournal]) -> list[wire.Journal]:
    transfers = _transfers(tx, [row.id for row in rows])
    codes = dict(
        tx.execute(
            select(Order.id, Order.code).where(Order.id.in_({row.order_id for row in rows if row.order_id}))
        ).all()
    )
    names = people.names_of(tx, [row.actor for row in rows])
    return [
        wire.Journal(
            id=row.id,
            key=row.key,
            code=JournalCode(row.code),
            order_code=codes.get(row.order_id) if row.order_id else None,
            occurred_at=row.occurred_at,
            posted_at=row.posted_at,
            actor=row.actor and names.get(row.actor, row.actor),
            memo=row.memo,
            transfers=transfers[row.id],
        )
        for row in rows
    ]


def _transfers(tx: Tx, journal_ids: Iterable[UUID]) -> dict[UUID, list[wire.Transfer]]:
    debit, credit = aliased(LedgerAccount), aliased(LedgerAccount)
    query = (
        select(LedgerTransfer, debit.kind, debit.owner, credit.kind, credit.owner)
        .join(debit, debit.id == LedgerTransfer.debit_id)
        .join(credit, credit.id == LedgerTransfer.credit_id)
        .where(LedgerTransfer.journal_id.in_(list(journal_ids)))
        .order_by(LedgerTransfer.journal_id, LedgerTransfer.n)
    )
    names = people.supplier_names(tx)
    found: dict[UUID, list[wire.Transfer]] = defaultdict(list)
    for transfer, debit_kind, debit_owner, credit_kind, credit_owner in tx.execute(query):
        found[transfer.journal_id].append(
            wire.Transfer(
                debit_kind=debit_kind,
                debit_owner=debit_owner,
                debit_name=people.owner_name(debit_owner, names),
                credit_kind=credit_kind,
                credit_owner=credit_owner,
                credit_name=people.owner_name(credit_owner, names),
                amount_fen=transfer.amount_fen,
            )
        )
    return found


# --- health ---


def health(tx: Tx) -> wire.LedgerHealth:
    """What the continuous checks said last."""
    seen, found = tx.get(InvariantLook, 1), tx.get(LedgerHealth, 1)
    suppliers = people.supplier_names(tx)
    findings = [_finding(one, suppliers) for one in json.loads(found.findings)] if found else []
    return wire.LedgerHealth(
        looked_at=seen.looked_at if seen else None,
        read_everything_at=seen.whole_at if seen else None,
        findings=findings,
        payouts_frozen=bool(findings),
    )


def _finding(one: dict[str, Any], suppliers: dict[UUID, str]) -> wire.LedgerFinding:
    """What was kept of a breach; of before accounts were kept of it, it has none."""
    named = tuple(
        wire.FoundAccount(kind=kind, name=people.owner_name(owner, suppliers))
        for kind, owner in one.get("accounts", ())
    )
    return wire.LedgerFinding(**one | {"accounts": named})
