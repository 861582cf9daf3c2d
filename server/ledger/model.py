"""Tables of the ledger: journals and transfers are immutable, balances are sums kept beside them.

Only `server.ledger` writes them; reports, reconcile and invariants may read them.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, Index, Integer, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, big_text, exact

APPEND_ONLY = ("ledger_journal", "ledger_transfer", "ledger_release", "ledger_day", "ledger_day_close")
"""Tables whose rows the database itself refuses to change; corrections are new journals."""


class LedgerAccount(Base):
    """One account. `side` is A asset, L liability, I income or E expense; `owner` a supplier, channel or empty."""

    __tablename__ = "ledger_account"
    __table_args__ = (UniqueConstraint("kind", "owner", name="uq_ledger_account_kind"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    kind: Mapped[str] = mapped_column(exact(32))
    owner: Mapped[str] = mapped_column(exact(64))
    side: Mapped[str] = mapped_column(exact(1))
    slots: Mapped[int] = mapped_column(SmallInteger)
    opened_at: Mapped[datetime] = mapped_column(Instant)


class LedgerJournal(Base):
    """One business event. `key` is its natural key: a repeat posts nothing, other content is an alarm.

    `actor` is the label of who posted what people post, with their reason in `memo`.
    """

    __tablename__ = "ledger_journal"
    __table_args__ = (
        Index("ix_ledger_journal_occurred_at", "occurred_at", "id"),
        Index("ix_ledger_journal_posted_at", "posted_at", "id"),
        Index("ix_ledger_journal_order_id", "order_id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    key: Mapped[str] = mapped_column(exact(120), unique=True)
    code: Mapped[str] = mapped_column(exact(16))
    order_id: Mapped[UUID | None] = mapped_column(Uid)
    content_sha256: Mapped[str] = mapped_column(exact(64))
    occurred_at: Mapped[datetime] = mapped_column(Instant)
    posted_at: Mapped[datetime] = mapped_column(Instant)
    actor: Mapped[str | None] = mapped_column(exact(80))
    memo: Mapped[str] = mapped_column(exact(400), default="")


class LedgerTransfer(Base):
    """One positive amount from a debit to a credit account, for good."""

    __tablename__ = "ledger_transfer"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="positive"),
        CheckConstraint("debit_id <> credit_id", name="two_accounts"),
        Index("ix_ledger_transfer_debit_id", "debit_id", "journal_id"),
        Index("ix_ledger_transfer_credit_id", "credit_id", "journal_id"),
    )

    journal_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    debit_id: Mapped[UUID] = mapped_column(Uid)
    credit_id: Mapped[UUID] = mapped_column(Uid)
    amount_fen: Mapped[int] = mapped_column(BigInt)


class LedgerBalance(Base):
    """Sums of one account, spread over slots so that writers of a busy account do not wait for each other.

    `floor_fen` is set on spendable accounts (one slot): the database refuses to go below it.
    """

    __tablename__ = "ledger_balance"
    __table_args__ = (CheckConstraint("floor_fen IS NULL OR credits_fen - debits_fen >= floor_fen", name="floor"),)

    account_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    debits_fen: Mapped[int] = mapped_column(BigInt, default=0)
    credits_fen: Mapped[int] = mapped_column(BigInt, default=0)
    floor_fen: Mapped[int | None] = mapped_column(BigInt)


class LedgerRelease(Base):
    """What of an order line's share was released to its `payee` (`supplier` or `distributor`): once, by its key."""

    __tablename__ = "ledger_release"
    __table_args__ = (
        CheckConstraint("released_fen >= 0", name="amount"),
        Index("ix_ledger_release_journal_id", "journal_id"),
    )

    order_line_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    payee: Mapped[str] = mapped_column(exact(16), primary_key=True)
    released_fen: Mapped[int] = mapped_column(BigInt)
    journal_id: Mapped[UUID] = mapped_column(Uid)


class LedgerDay(Base):
    """What went through an account on one day, by when it was posted, so that a closed day never changes."""

    __tablename__ = "ledger_day"

    account_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    debits_fen: Mapped[int] = mapped_column(BigInt)
    credits_fen: Mapped[int] = mapped_column(BigInt)


class LedgerDayClose(Base):
    """A day that was closed: its accounts have their rows in `ledger_day`, those without one had no transfers."""

    __tablename__ = "ledger_day_close"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    journals: Mapped[int] = mapped_column(BigInt)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    closed_at: Mapped[datetime] = mapped_column(Instant)


class LedgerHealth(Base):
    """One row: what the continuous checks found of money, as JSON. While it is not empty nothing is paid out."""

    __tablename__ = "ledger_health"

    id: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    findings: Mapped[str] = mapped_column(big_text())
    since: Mapped[datetime] = mapped_column(Instant)
