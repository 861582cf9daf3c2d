"""Posting journals: the only writes to the ledger. Set-based, idempotent by the journal's key.

Callers hold the rows the money belongs to; accounts and balances are locked last but for jobs. Releases, payouts and
sweeps are in `paying`.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from server.db import Tx, bulk_insert, rows_changed, table_of
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


@dataclass(frozen=True, slots=True)
class Account:
    """An account by name: its kind and whose it is (a supplier's id, a channel, or the shop's empty name)."""

    kind: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
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
    accounts = _accounts(tx, {a for j, _ in fresh for t in j.transfers if t.amount for a in (t.debit, t.credit)})
    posted_at = clock.now()
    posted: dict[str, UUID] = {}
    headers: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    sums: dict[UUID, list[Fen]] = defaultdict(lambda: [0, 0])
    for one, content in fresh:
        journal_id = posted[one.key] = ids.new_id()
        headers.append(
            (journal_id, one.key, one.code, one.order_id, content, one.occurred_at, one.actor, one.memo[:MEMO_LENGTH])
        )
        for n, transfer in enumerate(t for t in one.transfers if t.amount):
            assert transfer.amount > 0, one.key
            debit, credit = accounts[transfer.debit].id, accounts[transfer.credit].id
            lines.append((journal_id, n, debit, credit, transfer.amount))
            sums[debit][0] += transfer.amount
            sums[credit][1] += transfer.amount
    bulk_insert(tx, LedgerJournal, _JOURNAL, headers, constants={"posted_at": posted_at})
    if lines:
        bulk_insert(tx, LedgerTransfer, _TRANSFER, lines, constants={})
        _add_to_balances(tx, sums, {row.id: row.slots for row in accounts.values()})
    return posted


_POSTED = select(LedgerJournal.key, LedgerJournal.content_sha256).where(
    LedgerJournal.key.in_(bindparam("keys", expanding=True))
)


def _without_posted(tx: Tx, journals: Sequence[Journal]) -> list[tuple[Journal, str]]:
    """The journals that are new, each with the hash of its content."""
    by_key: dict[str, tuple[Journal, str]] = {}
    for journal in journals:
        content = _content(journal)
        if by_key.setdefault(journal.key, (journal, content))[1] != content:
            raise JournalConflict(key=journal.key)
    for key, content in tx.execute(_POSTED, {"keys": list(by_key)}):
        if content != by_key.pop(key)[1]:
            raise JournalConflict(key=key)
    return list(by_key.values())


def _content(journal: Journal) -> str:
    facts = [
        journal.code,
        journal.order_id.hex if journal.order_id else None,
        [[t.debit.kind, t.debit.owner, t.credit.kind, t.credit.owner, t.amount] for t in journal.transfers if t.amount],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _accounts(tx: Tx, wanted: Iterable[Account]) -> dict[Account, LedgerAccount]:
    names = sorted({(account.kind, account.owner) for account in wanted})
    found = _select_accounts(tx, names)
    missing = [name for name in names if Account(*name) not in found]
    for kind, owner in missing:
        try:
            with tx.begin_nested():
                _open(tx, kind, owner)
        except IntegrityError:
            continue  # another process opened it just now; the second select sees it
    return found | _select_accounts(tx, missing) if missing else found


_NAMED = select(LedgerAccount).where(
    tuple_(LedgerAccount.kind, LedgerAccount.owner).in_(bindparam("names", expanding=True))
)


def _select_accounts(tx: Tx, names: list[tuple[str, str]]) -> dict[Account, LedgerAccount]:
    return {Account(row.kind, row.owner): row for row in tx.scalars(_NAMED, {"names": names})}


def _open(tx: Tx, kind: str, owner: str) -> None:
    side, slots, floor = ACCOUNT_KINDS[kind]
    account = {"id": ids.new_id(), "kind": kind, "owner": owner, "side": side, "slots": slots, "opened_at": clock.now()}
    tx.execute(insert(table_of(LedgerAccount)), account)
    tx.execute(
        insert(table_of(LedgerBalance)),
        [
            {"account_id": account["id"], "slot": slot, "debits_fen": 0, "credits_fen": 0, "floor_fen": floor}
            for slot in range(slots)
        ],
    )


_BALANCE = table_of(LedgerBalance)
_ADD = (
    update(_BALANCE)
    .where(_BALANCE.c.account_id == bindparam("a"), _BALANCE.c.slot == bindparam("s"))
    .values(
        debits_fen=_BALANCE.c.debits_fen + bindparam("debits"),
        credits_fen=_BALANCE.c.credits_fen + bindparam("credits"),
    )
)


def _add_to_balances(tx: Tx, sums: dict[UUID, list[Fen]], slots: dict[UUID, int]) -> None:
    """One update a slot. Each writer lane has its own slot of a busy account, and who is no lane the last one.

    Accounts of one slot first, each group by its ids: they are what others lock before they post (`held`).
    """
    lane = int(tx.info.get("slot", -1))
    rows = [
        {"a": account_id, "s": lane % slots[account_id], "debits": debits, "credits": credits}
        for account_id, (debits, credits) in sorted(sums.items(), key=lambda item: (slots[item[0]] > 1, item[0].bytes))
    ]
    changed = rows_changed(tx.connection().execute(_ADD, rows))
    assert changed == len(rows), "a balance slot is missing"


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
    rows = {row.account_id: row for row in tx.scalars(_HELD, {"ids": [account.id for account in opened.values()]})}
    return {
        name: (rows[account.id].debits_fen - rows[account.id].credits_fen) * (1 if account.side in "AE" else -1)
        for name, account in opened.items()
    }
