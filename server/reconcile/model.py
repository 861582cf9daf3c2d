"""Tables of reconciliation. Only `server.reconcile` writes them; reports, settlement's drill-down and invariants read.

What was signed is kept by the database itself: signatures are append-only, and days and differences that a signature
covers refuse to change (`FROZEN`).
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, big_text, exact

APPEND_ONLY = ("reconcile_signature",)

FROZEN = ("reconcile_day", "reconcile_difference")
"""Tables whose rows the database refuses to change once their `is_signed` is set."""


class ReconcileDay(Base):
    """One channel's business day as its last run left it.

    `figures` is JSON: both sides' sums, the pairs, and the fund bill's balance. The hashes are of what went into the
    run and of what came out (`hashing`).
    """

    __tablename__ = "reconcile_day"
    __table_args__ = (Index("ix_reconcile_day_day", "day", "channel"),)

    channel: Mapped[str] = mapped_column(exact(16), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    run_at: Mapped[datetime] = mapped_column(Instant)
    run_by: Mapped[str] = mapped_column(exact(80))
    trades_file_id: Mapped[UUID | None] = mapped_column(Uid)
    funds_file_id: Mapped[UUID | None] = mapped_column(Uid)
    figures: Mapped[str] = mapped_column(big_text())
    inputs_sha256: Mapped[str] = mapped_column(exact(64))
    outputs_sha256: Mapped[str] = mapped_column(exact(64))
    is_signed: Mapped[bool] = mapped_column(default=False)


class ReconcileSignature(Base):
    """Who signed a day, when, and over what. Never changed: corrections go to a day that is open."""

    __tablename__ = "reconcile_signature"

    channel: Mapped[str] = mapped_column(exact(16), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    signed_by: Mapped[str] = mapped_column(exact(80))
    signed_at: Mapped[datetime] = mapped_column(Instant)
    note: Mapped[str] = mapped_column(exact(400))
    inputs_sha256: Mapped[str] = mapped_column(exact(64))
    outputs_sha256: Mapped[str] = mapped_column(exact(64))


class ReconcileRow(Base):
    """One row of a kept bill, without what names its payer, and what of ours it was paired with.

    `kind` is payment or refund in a trade bill, and a movement's kind in a fund bill, where `amount_fen` is negative
    for what went out. `settled_fen` is what of the amount moves on the account, which coupons that nobody pays out make
    less. `matched_id` is our attempt, money set aside, or refund; `matched_by` how it was found.
    """

    __tablename__ = "reconcile_row"
    __table_args__ = (
        Index("ix_reconcile_row_provider_no", "provider_no"),
        Index("ix_reconcile_row_matched_id", "matched_id"),
    )

    file_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    n: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(exact(16))
    at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    provider_no: Mapped[str] = mapped_column(exact(64))
    out_trade_no: Mapped[str] = mapped_column(exact(64))
    refund_no: Mapped[str] = mapped_column(exact(64))
    out_refund_no: Mapped[str] = mapped_column(exact(64))
    amount_fen: Mapped[int] = mapped_column(BigInt)
    settled_fen: Mapped[int] = mapped_column(BigInt, server_default="0")
    fee_fen: Mapped[int] = mapped_column(BigInt)
    balance_fen: Mapped[int | None] = mapped_column(BigInt)
    fee_ppm: Mapped[int | None] = mapped_column(BigInt)
    state: Mapped[str] = mapped_column(exact(16))
    fund_no: Mapped[str] = mapped_column(exact(64))
    note: Mapped[str] = mapped_column(exact(200))
    matched_id: Mapped[UUID | None] = mapped_column(Uid)
    matched_by: Mapped[str | None] = mapped_column(exact(16))


class ReconcileDifference(Base):
    """One difference of a day; its id is made of what it is about, so that every run finds the same.

    `origin_id` is that of the day on which it was first found: where people carry it, the next open day has a row of
    its own (`carried_from`). Where a later bill says something else of what people have handled, that has a row of its
    own too: `again_of` is the `origin_id` of the first one, and what was booked counts for all of them. `ours_id` is
    our attempt, money or refund. `proposed` is the engine's advice; somebody chooses an `action`, and another person
    checks it where `two_people` is set; `handled_at` without anybody is when it closed itself after it had been open.
    `exception_version` is that of the exception as this row shows it: only that is approved.
    """

    __tablename__ = "reconcile_difference"
    __table_args__ = (
        UniqueConstraint("origin_id", "day", name="uq_reconcile_difference_origin_id"),
        Index("ix_reconcile_difference_day", "day", "channel"),
        Index("ix_reconcile_difference_state", "state", "id"),
        Index("ix_reconcile_difference_exception_id", "exception_id"),
        Index("ix_reconcile_difference_ours_id", "ours_id"),
        Index("ix_reconcile_difference_again_of", "again_of"),
        CheckConstraint("checked_by IS NULL OR checked_by <> handled_by", name="two_people"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    origin_id: Mapped[UUID] = mapped_column(Uid)
    number: Mapped[str] = mapped_column(exact(32))
    channel: Mapped[str] = mapped_column(exact(16))
    day: Mapped[date] = mapped_column(Date)
    kind: Mapped[str] = mapped_column(exact(24))
    ours_id: Mapped[UUID | None] = mapped_column(Uid)
    ours_fen: Mapped[int | None] = mapped_column(BigInt)
    theirs_fen: Mapped[int | None] = mapped_column(BigInt)
    ours_state: Mapped[str] = mapped_column(exact(24))
    theirs_state: Mapped[str] = mapped_column(exact(24))
    out_trade_no: Mapped[str] = mapped_column(exact(64))
    provider_no: Mapped[str] = mapped_column(exact(64))
    out_refund_no: Mapped[str] = mapped_column(exact(64))
    order_code: Mapped[str | None] = mapped_column(exact(16))
    file_id: Mapped[UUID | None] = mapped_column(Uid)
    bill_row: Mapped[int | None] = mapped_column(BigInt)
    found_at: Mapped[datetime] = mapped_column(Instant)
    carried_from: Mapped[date | None] = mapped_column(Date)
    state: Mapped[str] = mapped_column(exact(16))
    proposed: Mapped[str] = mapped_column(exact(16))
    action: Mapped[str | None] = mapped_column(exact(16))
    action_order_code: Mapped[str | None] = mapped_column(exact(16))
    note: Mapped[str] = mapped_column(exact(400))
    handled_by: Mapped[str | None] = mapped_column(exact(80))
    handled_at: Mapped[datetime | None] = mapped_column(Instant)
    checked_by: Mapped[str | None] = mapped_column(exact(80))
    checked_at: Mapped[datetime | None] = mapped_column(Instant)
    exception_id: Mapped[UUID | None] = mapped_column(Uid)
    exception_version: Mapped[int | None] = mapped_column(BigInt)
    again_of: Mapped[UUID | None] = mapped_column(Uid)
    is_signed: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(BigInt, default=1)


class ReconcileSweep(Base):
    """Money of a channel that arrived in our bank, by the bank's number of it; `ReconcileSweepPart` says of which days.

    `n` counts how often the number was recorded: again after it was refused or reversed. `others_fen` of the amount is
    not ours. `note` says why it was refused or reversed.
    """

    __tablename__ = "reconcile_sweep"
    __table_args__ = (
        UniqueConstraint("channel", "reference", "n", name="uq_reconcile_sweep_reference"),
        CheckConstraint("amount_fen > others_fen AND others_fen >= 0", name="amount"),
        CheckConstraint("checked_by IS NULL OR checked_by <> recorded_by", name="two_people"),
        CheckConstraint("reversal_checked_by IS NULL OR reversal_checked_by <> reversed_by", name="reversed_by_two"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    channel: Mapped[str] = mapped_column(exact(16))
    reference: Mapped[str] = mapped_column(exact(64))
    n: Mapped[int] = mapped_column(default=1)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    others_fen: Mapped[int] = mapped_column(BigInt, default=0)
    arrived_on: Mapped[date] = mapped_column(Date)
    state: Mapped[str] = mapped_column(exact(16))
    note: Mapped[str] = mapped_column(exact(400), default="")
    recorded_by: Mapped[str] = mapped_column(exact(80))
    recorded_at: Mapped[datetime] = mapped_column(Instant)
    checked_by: Mapped[str | None] = mapped_column(exact(80))
    checked_at: Mapped[datetime | None] = mapped_column(Instant)
    reversed_by: Mapped[str | None] = mapped_column(exact(80))
    reversed_at: Mapped[datetime | None] = mapped_column(Instant)
    reversal_checked_by: Mapped[str | None] = mapped_column(exact(80))
    version: Mapped[int] = mapped_column(BigInt, default=1)


class ReconcileSweepPart(Base):
    """What of an arrival is which bill's; together what of it is ours. Negative where a day is set off."""

    __tablename__ = "reconcile_sweep_part"
    __table_args__ = (
        Index("ix_reconcile_sweep_part_day", "day"),
        CheckConstraint("amount_fen <> 0", name="amount"),
    )

    sweep_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    amount_fen: Mapped[int] = mapped_column(BigInt)


class ReconcileWithdrawal(Base):
    """Money that left a channel's account for our bank, as the fund bill of `day` has it, and as which arrival it came;
    or (`is_return`) that came back.

    `number` is the fund bill's own of the movement. `paired_by` is `number`, `amount`, or who said so. What came back
    is `returned_on` a day; where the fund bill has that, each of both names the `other_id` and its day. `reason` is
    why somebody says so.
    """

    __tablename__ = "reconcile_withdrawal"
    __table_args__ = (
        UniqueConstraint("channel", "number", name="uq_reconcile_withdrawal_number"),
        UniqueConstraint("sweep_id", name="uq_reconcile_withdrawal_sweep_id"),
        Index("uq_reconcile_withdrawal_other_id", "other_id", unique=True),
        Index("ix_reconcile_withdrawal_day", "day", "channel"),
        CheckConstraint("amount_fen > 0", name="amount"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    channel: Mapped[str] = mapped_column(exact(16))
    day: Mapped[date] = mapped_column(Date)
    at: Mapped[datetime] = mapped_column(Instant)
    number: Mapped[str] = mapped_column(exact(64))
    provider_no: Mapped[str] = mapped_column(exact(64))
    voucher: Mapped[str] = mapped_column(exact(64))
    note: Mapped[str] = mapped_column(exact(200))
    amount_fen: Mapped[int] = mapped_column(BigInt)
    sweep_id: Mapped[UUID | None] = mapped_column(Uid)
    paired_by: Mapped[str | None] = mapped_column(exact(80))
    is_return: Mapped[bool] = mapped_column(default=False, server_default=false())
    returned_on: Mapped[date | None] = mapped_column(Date)
    other_id: Mapped[UUID | None] = mapped_column(Uid)
    reason: Mapped[str] = mapped_column(exact(400), default="", server_default="")
