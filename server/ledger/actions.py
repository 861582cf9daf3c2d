"""Posting journals: the only writes to the ledger. Set-based, idempotent by the journal's key.

Callers hold the rows the money belongs to; accounts and balances are locked last but for jobs. Releases, payouts and
sweeps are in `paying`.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, insert, select, tuple_
from sqlalchemy.exc import IntegrityError

from server.db import Tx, bulk_insert, rows_changed, spelling, table_of
from server.ledger.model import LedgerAccount, LedgerBalance, LedgerJournal, LedgerTransfer
from shared import clock, ids
from shared.errors import KamengError
from shared.money import Fen

ACCOUNT_KINDS: dict[str, tuple[str, int, Fen | None]] = {
    # kind: side (A asset, L liability, I income, E expense), slots, floor of the balance
    "psp": ("A", 8, None),  # what a channel owes us; clears to zero when it pays our bank
    "bank": ("A", 1, None),  # what channels paid out to us
    "owed": ("A", 1, None),  # what a supplier or distributor owes us for refunds after its release
    "escrow": ("L", 8, None),  # buyers' money until delivery
    "suspense": ("L", 4, None),  # money that channels took for us and that pays no order
    "supplier_pending": ("L", 4, None),  # earned by a supplier, not yet released
    "supplier_available": ("L", 1, 0),  # released: it can be paid out
    "supplier_frozen": ("L", 1, 0),  # held back while an order's money is disputed
    "distributor_pending": ("L", 4, None),
    "distributor_available": ("L", 1, 0),
    "payout": ("L", 1, 0),  # on its way to whom it is paid
    "fee": ("I", 8, None),  # the platform's share
    "payout_fee": ("I", 1, None),
    "psp_fee": ("E", 8, None),  # what a channel takes for its service
    "promo": ("E", 8, None),  # discounts that the shop bears
    "loss": ("E", 1, None),  # fines, and what people wrote off
}


class Account(NamedTuple):
    """An account by name: its kind and whose it is (a supplier's id, a channel, or the shop's empty name)."""

    kind: str
    owner: str = ""


class Transfer(NamedTuple):
    """Amount in fen from the account that is debited to the one that is credited. Zero posts nothing."""

    debit: Account
    credit: Account
    amount: Fen


@dataclass(frozen=True, slots=True)
class Journal:
    """One business event. `key` is a sentence such as `order:7K3M…:sale`; `occurred_at` decides its business day.

    `actor` is the label of the person who posts it, `memo` their reason; neither is part of its content.
    """

    key: str
    code: str
    order_id: UUID | None
    occurred_at: datetime
    transfers: tuple[Transfer, ...]
    actor: str | None = None
    memo: str = ""


class JournalConflict(KamengError):
    """A key was posted before with other content: an alarm, never a correction."""

    code = "journal_conflict"
    status = 500
    zh = "账目 {key} 已存在且内容不同，已停止处理并告警。"
    en = "Journal {key} exists with other content; processing stopped and an alarm was raised."


class SlotMissing(KamengError):
    """A balance has no row to be added to: nothing of the transaction counts."""

    code = "ledger_slot_missing"
    status = 500
    zh = "账户余额缺少记录（应更新 {wanted} 行，实际 {changed} 行），已停止处理并告警。"
    en = "Rows of balances are missing ({changed} of {wanted} were there); processing stopped and an alarm was raised."


MEMO_LENGTH = 400
_JOURNAL = ("id", "key", "code", "order_id", "content_sha256", "occurred_at", "actor", "memo")
_TRANSFER = ("journal_id", "n", "debit_id", "credit_id", "amount_fen")


def post(tx: Tx, journals: Sequence[Journal]) -> dict[str, UUID]:
    """Post what is not posted yet, and answer the ids of these journals by their keys.

    A repeat is a no-op; other content under a used key raises JournalConflict.
    """
    fresh = _without_posted(tx, journals)
    if not fresh:
        return {}
    accounts = _accounts(tx, {a for j, _ in fresh for t in j.transfers if t.amount for a in t[:2]})
    posted_at = clock.now()
    posted: dict[str, UUID] = {}
    headers: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    sums: dict[Account, list[Fen]] = defaultdict(lambda: [0, 0])
    for one, content in fresh:
        journal_id = posted[one.key] = ids.new_id()
        headers.append(
            (journal_id, one.key, one.code, one.order_id, content, one.occurred_at, one.actor, one.memo[:MEMO_LENGTH])
        )
        for n, (debit, credit, amount) in enumerate([t for t in one.transfers if t.amount]):
            assert amount > 0, one.key
            lines.append((journal_id, n, accounts[debit].id, accounts[credit].id, amount))
            sums[debit][0] += amount
            sums[credit][1] += amount
    bulk_insert(tx, LedgerJournal, _JOURNAL, headers, constants={"posted_at": posted_at})
    if lines:
        bulk_insert(tx, LedgerTransfer, _TRANSFER, lines, constants={})
        _add_to_balances(tx, [(accounts[account], fen) for account, fen in sums.items()])
    return posted


# The texts of statements that each batch of payments runs are made by hand: making them takes longer than running them.


@lru_cache(maxsize=1_024)
def _posted(mark: str, count: int) -> str:
    """What is posted of so many keys. `j.key`: by itself the name is a word of MariaDB's."""
    marks = ", ".join([mark] * count)
    return f"SELECT j.key, j.content_sha256 FROM ledger_journal j WHERE j.key IN ({marks})"  # noqa: S608 - our words


def _without_posted(tx: Tx, journals: Sequence[Journal]) -> list[tuple[Journal, str]]:
    """The journals that are new, each with the hash of its content."""
    by_key: dict[str, tuple[Journal, str]] = {}
    for journal in journals:
        content = _content(journal)
        if by_key.setdefault(journal.key, (journal, content))[1] != content:
            raise JournalConflict(key=journal.key)
    connection, keys = tx.connection(), tuple(by_key)
    asked = _posted(spelling(connection.dialect).mark, len(keys))
    for key, content in connection.exec_driver_sql(asked, keys) if keys else ():
        if content != by_key.pop(key)[1]:
            raise JournalConflict(key=key)
    return list(by_key.values())


def _content(journal: Journal) -> str:
    """The hash of its code, its order and its transfers as JSON."""
    order = f'"{journal.order_id.hex}"' if journal.order_id else "null"
    transfers = ", ".join(
        [f"[{_named(debit)}, {_named(credit)}, {amount}]" for debit, credit, amount in journal.transfers if amount]
    )
    return hashlib.sha256(f'["{journal.code}", {order}, [{transfers}]]'.encode()).hexdigest()


@lru_cache(maxsize=4_096)
def _named(account: Account) -> str:
    """An account in the JSON of a transfer."""
    return json.dumps(account)[1:-1]


class _Opened(NamedTuple):
    """Where an account is kept."""

    id: UUID
    slots: int


def _accounts(tx: Tx, wanted: Collection[Account]) -> Mapping[Account, _Opened]:
    """These accounts, and maybe others; what was never used is opened.

    An account never changes: each connection remembers those it has seen, but not what may yet be rolled back.
    """
    known: dict[Account, _Opened] = tx.connection().info.setdefault("ledger_accounts", {})
    missing = sorted([account for account in wanted if account not in known])
    if not missing:
        return known
    found = _select_accounts(tx, missing)
    if not tx.info.get(_HAS_OPENED):
        known |= found
    if unopened := [account for account in missing if account not in found]:
        tx.info[_HAS_OPENED] = True
        for account in unopened:
            with suppress(IntegrityError), tx.begin_nested():  # another process opened it just now: it is there
                _open(tx, account)
        found |= _select_accounts(tx, unopened)
    return known | found


_HAS_OPENED = "ledger_has_opened"

_NAMED = select(LedgerAccount.kind, LedgerAccount.owner, LedgerAccount.id, LedgerAccount.slots).where(
    tuple_(LedgerAccount.kind, LedgerAccount.owner).in_(bindparam("names", expanding=True))
)


def _select_accounts(tx: Tx, names: Sequence[Account]) -> dict[Account, _Opened]:
    rows = tx.execute(_NAMED, {"names": names})
    return {Account(kind, owner): _Opened(account_id, slots) for kind, owner, account_id, slots in rows}


def _open(tx: Tx, account: Account) -> None:
    account_id, (side, slots, floor) = ids.new_id(), ACCOUNT_KINDS[account.kind]
    facts = account._asdict() | {"side": side, "slots": slots, "opened_at": clock.now()}
    tx.execute(insert(table_of(LedgerAccount)), {"id": account_id, **facts})
    tx.execute(
        insert(table_of(LedgerBalance)),
        [
            {"account_id": account_id, "slot": slot, "debits_fen": 0, "credits_fen": 0, "floor_fen": floor}
            for slot in range(slots)
        ],
    )


def _add_to_balances(tx: Tx, sums: list[tuple[_Opened, list[Fen]]]) -> None:
    """One update a slot. Each writer lane has its own slot of a busy account, and who is no lane the last one.

    Accounts of one slot first, each group by its ids: they are what others lock before they post (`held`).
    """
    lane = int(tx.info.get("slot", -1))
    connection = tx.connection()
    engine = spelling(connection.dialect)
    rows = [
        (debits, credits, engine.as_id(account.id), lane % account.slots)
        for account, (debits, credits) in sorted(sums, key=lambda one: (one[0].slots > 1, one[0].id.int))
    ]
    changed = rows_changed(connection.exec_driver_sql(_ADD.format(engine.mark), rows))
    if changed != len(rows):  # no assert: it has to hold however Python is started
        raise SlotMissing(wanted=len(rows), changed=changed)


_ADD = (
    "UPDATE ledger_balance SET debits_fen = debits_fen + {0}, credits_fen = credits_fen + {0}"
    " WHERE account_id = {0} AND slot = {0}"
)


_HELD = (
    select(LedgerBalance)
    .where(LedgerBalance.account_id.in_(bindparam("ids", expanding=True)))
    .order_by(LedgerBalance.account_id, LedgerBalance.slot)
    .with_for_update()
    .execution_options(populate_existing=True)
)


def held(tx: Tx, wanted: Sequence[Account]) -> dict[Account, Fen]:
    """What accounts of one slot have, on their normal side, locked until the transaction ends."""
    assert all(ACCOUNT_KINDS[account.kind][1] == 1 for account in wanted), "a busy account is not locked"
    opened = _accounts(tx, wanted)
    by_id = {opened[account].id: account for account in wanted}
    has: dict[Account, Fen] = {}
    for row in tx.scalars(_HELD, {"ids": list(by_id)}):
        account, net = by_id[row.account_id], row.debits_fen - row.credits_fen
        has[account] = net if ACCOUNT_KINDS[account.kind][0] in "AE" else -net
    return has
