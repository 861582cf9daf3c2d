"""Reading the ledger: balances as sums over slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, func, or_, select

from server.db import Tx, among
from server.ledger.actions import Account
from server.ledger.model import LedgerAccount, LedgerBalance, LedgerJournal, LedgerTransfer
from shared.money import Fen


@dataclass(frozen=True, slots=True)
class Balance:
    """What went through an account, in fen. `net` is positive on the side the account normally stands on."""

    account: Account
    side: str
    debits: Fen
    credits: Fen

    @property
    def net(self) -> Fen:
        """Debits minus credits for assets and expenses, credits minus debits for the rest."""
        difference = self.debits - self.credits
        return difference if self.side in "AE" else -difference


def balances(tx: Tx, *which: ColumnElement[bool]) -> list[Balance]:
    """Every account, or those of a condition, with its sums, ordered by kind and owner."""
    return [
        Balance(account=Account(kind, owner), side=side, debits=int(debits), credits=int(credits))
        for kind, owner, side, debits, credits in tx.execute(_sums_of_accounts().where(*which))
    ]


@cache
def _sums_of_accounts() -> Select[str, str, str, int, int]:
    return (
        select(
            LedgerAccount.kind,
            LedgerAccount.owner,
            LedgerAccount.side,
            func.sum(LedgerBalance.debits_fen),
            func.sum(LedgerBalance.credits_fen),
        )
        .join(LedgerBalance, LedgerBalance.account_id == LedgerAccount.id)
        .group_by(LedgerAccount.kind, LedgerAccount.owner, LedgerAccount.side)
        .order_by(LedgerAccount.kind, LedgerAccount.owner)
    )


def balance(tx: Tx, account: Account) -> Balance | None:
    """One account's sums, or None if it was never opened."""
    return next(iter(balances(tx, *_is(account))), None)


def net(tx: Tx, account: Account) -> Fen:
    """What an account has on the side it normally stands on; nothing where it was never opened."""
    found = balance(tx, account)
    return found.net if found else 0


def nets(tx: Tx, kinds: Collection[str], owners: Collection[str]) -> dict[Account, Fen]:
    """What the accounts of these kinds have that are of these owners; those that were never opened are left out."""
    which = (LedgerAccount.kind.in_(list(kinds)), LedgerAccount.owner.in_(list(owners)))
    return {found.account: found.net for found in balances(tx, *which)}


def moved(tx: Tx, account: Account, keys: Sequence[str]) -> dict[str, Fen]:
    """What the journals of these keys debited an account with, credits taken off; those that are not posted are not
    named.
    """
    account_id = tx.scalars(select(LedgerAccount.id).where(*_is(account))).first()
    if account_id is None:
        return {}
    signed = case((LedgerTransfer.debit_id == account_id, LedgerTransfer.amount_fen), else_=-LedgerTransfer.amount_fen)
    query = (
        select(LedgerJournal.key, func.sum(signed))
        .join(LedgerTransfer, LedgerTransfer.journal_id == LedgerJournal.id)
        .where(LedgerJournal.key.in_(bindparam("keys", expanding=True)))
        .where(or_(LedgerTransfer.debit_id == account_id, LedgerTransfer.credit_id == account_id))
        .group_by(LedgerJournal.key)
    )
    return {key: int(fen) for key, fen in tx.execute(query, {"keys": list(keys)})}


@dataclass(frozen=True, slots=True)
class Booked:
    """A journal, and what it booked to some accounts."""

    key: str
    order_id: UUID | None
    occurred_at: datetime
    debits: Fen
    credits: Fen


def booked(tx: Tx, accounts: Collection[Account], *, after: UUID | None, until: UUID) -> list[Booked]:
    """What journals booked to accounts of which the ids are behind one, and not behind another, in their order."""
    mine = or_(*(and_(*_is(account)) for account in accounts))
    account_ids = tx.scalars(select(LedgerAccount.id).where(mine)).all()
    sums: dict[UUID, list[Fen]] = defaultdict(lambda: [0, 0])
    for at, side in enumerate((LedgerTransfer.debit_id, LedgerTransfer.credit_id)):
        query = select(LedgerTransfer.journal_id, func.sum(LedgerTransfer.amount_fen))
        query = query.where(side.in_(account_ids), LedgerTransfer.journal_id <= until)
        if after is not None:
            query = query.where(LedgerTransfer.journal_id > after)
        for journal_id, fen in tx.execute(query.group_by(LedgerTransfer.journal_id)):
            sums[journal_id][at] += int(fen)
    j = LedgerJournal
    rows = tx.execute(select(j.id, j.key, j.order_id, j.occurred_at).where(among(tx, j.id, list(sums)))) if sums else ()
    return [Booked(key, order_id, at, *sums[one]) for one, key, order_id, at in sorted(rows, key=lambda row: row.id)]


def occurred(tx: Tx, keys: Sequence[str]) -> dict[str, datetime]:
    """When the journals of these keys occurred; those that are not posted are not named."""
    if not keys:
        return {}
    query = select(LedgerJournal.key, LedgerJournal.occurred_at).where(among(tx, LedgerJournal.key, keys))
    return dict(tx.execute(query).all())


def _is(account: Account) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return LedgerAccount.kind == account.kind, LedgerAccount.owner == account.owner


def is_open(tx: Tx, account: Account) -> bool:
    """Whether anything was ever posted to it."""
    return tx.scalars(select(LedgerAccount.id).where(*_is(account))).first() is not None
