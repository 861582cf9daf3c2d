"""Tables of the settlement. Only `server.settlement` writes them; reports, reconcile and invariants may read them."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import ClassVar
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, Date, Index, Integer, Time, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, exact
from shared.money import Fen
from shared.permissions import Role


class SettlementTerms(Base):
    """On which terms a supplier is paid from `valid_from` until the next version; none is ever changed."""

    __tablename__ = "settlement_terms"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}

    supplier_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    version: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    mode: Mapped[str] = mapped_column(exact(24))
    cycle: Mapped[str] = mapped_column(exact(16))
    n: Mapped[int] = mapped_column(Integer)
    cutoff: Mapped[time] = mapped_column(Time)
    release_from: Mapped[str] = mapped_column(exact(16))
    hold_days: Mapped[int] = mapped_column(Integer)
    minimum_fen: Mapped[int] = mapped_column(BigInt)
    payout_fee_fen: Mapped[int] = mapped_column(BigInt)
    tier: Mapped[str] = mapped_column(exact(32))
    split_ppm: Mapped[int] = mapped_column(Integer)
    receiver: Mapped[str] = mapped_column(exact(120))
    account: Mapped[str] = mapped_column(exact(64))
    bank: Mapped[str] = mapped_column(exact(120))
    reason: Mapped[str] = mapped_column(exact(400))
    valid_from: Mapped[datetime] = mapped_column(Instant)
    changed_by: Mapped[str] = mapped_column(exact(80))


class SettlementHoliday(Base):
    """A day that people entered into the calendar of working days: it counts before what the library says."""

    __tablename__ = "settlement_holiday"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    works: Mapped[bool] = mapped_column()
    name: Mapped[str] = mapped_column(exact(80))
    changed_by: Mapped[str] = mapped_column(exact(80))
    changed_at: Mapped[datetime] = mapped_column(Instant)


class SettlementTurn(Base):
    """One row a supplier: whoever locks it makes or moves its statements and payouts. `turn` counts them.

    `owing_since` is since when it has owed the shop money, `told_at` when people were told that this lasts.
    """

    __tablename__ = "settlement_turn"

    supplier_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    turn: Mapped[int] = mapped_column(BigInt)
    owing_since: Mapped[datetime | None] = mapped_column(Instant)
    told_at: Mapped[datetime | None] = mapped_column(Instant)


class SettlementNumber(Base):
    """The last number of a day: statements (`JS`) and payouts (`DK`) are numbered without gaps under its lock."""

    __tablename__ = "settlement_number"

    prefix: Mapped[str] = mapped_column(exact(8), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    last: Mapped[int] = mapped_column(BigInt)


class SettlementRun(Base):
    """One wish to make statements or to take results in, by the id it came with: a repeat changes nothing."""

    __tablename__ = "settlement_run"

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    what: Mapped[str] = mapped_column(exact(16))
    content_sha256: Mapped[str] = mapped_column(exact(64))
    answer: Mapped[dict[str, int]] = mapped_column(JSON)
    made_by: Mapped[str] = mapped_column(exact(80))
    made_at: Mapped[datetime] = mapped_column(Instant)


class Statement(Base):
    """A numbered statement of one supplier: payable = release - deductions - owed - payout fee, never negative.

    `owed_fen` is what the supplier owed from before, and negative where something was left over. `day` is the one that
    its lines were due on, `run_id` the wish that made it, `payout_id` the payout that pays it or is to. `withheld_fen`
    is what was taken of its own lines between its confirmation and its payout, `paid_fen` what arrived of it.
    `redrawn_id` is an id of when its sums were reckoned anew, if they were; `dropped_id` of when it was dropped.
    """

    __tablename__ = "settlement_statement"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (
        CheckConstraint("payable_fen >= 0", name="payable"),
        Index("ix_settlement_statement_supplier_id", "supplier_id", "id"),
        Index("ix_settlement_statement_state", "state", "id"),
        Index("ix_settlement_statement_run_id", "run_id"),
        Index("ix_settlement_statement_payout_id", "payout_id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    number: Mapped[str] = mapped_column(exact(24), unique=True)
    run_id: Mapped[UUID] = mapped_column(Uid)
    supplier_id: Mapped[UUID] = mapped_column(Uid)
    day: Mapped[date] = mapped_column(Date)
    mode: Mapped[str] = mapped_column(exact(24))
    state: Mapped[str] = mapped_column(exact(16))
    lines: Mapped[int] = mapped_column(Integer)
    release_fen: Mapped[int] = mapped_column(BigInt)
    deductions_fen: Mapped[int] = mapped_column(BigInt)
    owed_fen: Mapped[int] = mapped_column(BigInt)
    payout_fee_fen: Mapped[int] = mapped_column(BigInt)
    payable_fen: Mapped[int] = mapped_column(BigInt)
    withheld_fen: Mapped[int] = mapped_column(BigInt, default=0)
    paid_fen: Mapped[int] = mapped_column(BigInt, default=0)
    payout_id: Mapped[UUID | None] = mapped_column(Uid)
    redrawn_id: Mapped[UUID | None] = mapped_column(Uid)
    dropped_id: Mapped[UUID | None] = mapped_column(Uid)
    made_by: Mapped[str] = mapped_column(exact(80))
    made_at: Mapped[datetime] = mapped_column(Instant)
    confirmed_by: Mapped[str | None] = mapped_column(exact(80))
    confirmed_at: Mapped[datetime | None] = mapped_column(Instant)
    paid_at: Mapped[datetime | None] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(BigInt, default=1)

    @property
    def short_fen(self) -> Fen:
        """What it was short of nought by: it stays owed, and comes off the next one."""
        return self.payable_fen - (self.release_fen - self.deductions_fen - self.owed_fen - self.payout_fee_fen)

    @property
    def claim_fen(self) -> Fen:
        """What it still has to get, the fee of its payout with it."""
        return max(self.payable_fen + self.payout_fee_fen - self.withheld_fen, 0)


class SettlementItem(Base):
    """An order line on a statement: it is there once, so that its share is released once.

    `share_fen` was its supplier's, `refunded_fen` of it went back before; what is left is released, and with it the
    commission: where that alone is left, nothing is released to the supplier.
    """

    __tablename__ = "settlement_item"
    __table_args__ = (
        CheckConstraint("share_fen - refunded_fen >= 0", name="net"),
        Index("ix_settlement_item_statement_id", "statement_id", "order_line_id"),
    )

    order_line_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    statement_id: Mapped[UUID] = mapped_column(Uid)
    order_id: Mapped[UUID] = mapped_column(Uid)
    share_fen: Mapped[int] = mapped_column(BigInt)
    refunded_fen: Mapped[int] = mapped_column(BigInt)


class SettlementDeduction(Base):
    """What a refund or a lost dispute (`cause_id`) took of an order line, on one statement.

    `netted` in the line's own release, or a negative line.
    """

    __tablename__ = "settlement_deduction"
    __table_args__ = (Index("ix_settlement_deduction_statement_id", "statement_id", "netted"),)

    cause_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_line_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    statement_id: Mapped[UUID] = mapped_column(Uid)
    netted: Mapped[bool] = mapped_column()
    amount_fen: Mapped[int] = mapped_column(BigInt)


class SettlementSplit(Base):
    """What an approved payout by profit sharing takes of an order's payment, the `n`-th of its instruction.

    `fee_fen` of the payout's fee comes out of the same payment: it stays with the shop. It takes nothing of a payment
    that was opened to be split, and only has to end that.
    """

    __tablename__ = "settlement_split"
    __table_args__ = (Index("ix_settlement_split_order_id", "order_id"),)

    payout_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    order_id: Mapped[UUID] = mapped_column(Uid)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    fee_fen: Mapped[int] = mapped_column(BigInt, default=0)


class SettlementResult(Base):
    """What the channel said of one row of a payout's instruction: its `n`-th split, or its transfer (0).

    The unfreezing of the payment of a split has the split's number with a minus. `file_sha256` is of the file it said;
    without one it was said of the whole payout that what nobody told of did not arrive.
    """

    __tablename__ = "settlement_result"

    payout_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    succeeded: Mapped[bool] = mapped_column()
    reference: Mapped[str] = mapped_column(exact(64))
    reason: Mapped[str] = mapped_column(exact(200))
    file_sha256: Mapped[str] = mapped_column(exact(64))


class SettlementReturn(Base):
    """What the receiver of a payout's `n`-th split gave back at its channel, the `k`-th time."""

    __tablename__ = "settlement_return"
    __table_args__ = (CheckConstraint("amount_fen > 0", name="amount"),)

    payout_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    k: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    reference: Mapped[str] = mapped_column(exact(64))
    file_sha256: Mapped[str] = mapped_column(exact(64))


class SettlementHold(Base):
    """Somebody holds back the lines of an order, or all of a supplier, until `until_day` or until it is let go."""

    __tablename__ = "settlement_hold"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (
        CheckConstraint("(order_id IS NULL) <> (supplier_id IS NULL)", name="one"),
        Index("ix_settlement_hold_freed_at", "freed_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_id: Mapped[UUID | None] = mapped_column(Uid)
    order_code: Mapped[str | None] = mapped_column(exact(16))
    supplier_id: Mapped[UUID | None] = mapped_column(Uid)
    reason: Mapped[str] = mapped_column(exact(400))
    until_day: Mapped[date | None] = mapped_column(Date)
    held_by: Mapped[str] = mapped_column(exact(80))
    held_at: Mapped[datetime] = mapped_column(Instant)
    freed_by: Mapped[str | None] = mapped_column(exact(80))
    freed_at: Mapped[datetime | None] = mapped_column(Instant)


class Payout(Base):
    """An instruction to pay statements of one supplier. `statements` are their numbers, also when it failed.

    Who made it never checks it. `result_sha256` is of the file that told how it ended. `arrived_fen` is what arrived,
    nothing once it came back; `arrived_at` stays. `returned_fen` of it was given back for refunds. `account` is where
    it was to go when it was made. `taken_by` took its instruction away last, `taken_no` says which: by its own number,
    or by that of the first row that was left once it had arrived.
    """

    __tablename__ = "settlement_payout"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount"),
        CheckConstraint("checked_by IS NULL OR checked_by <> made_by", name="two_people"),
        UniqueConstraint("number", name="uq_settlement_payout_number"),
        Index("ix_settlement_payout_supplier_id", "supplier_id", "id"),
        Index("ix_settlement_payout_state", "state", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    number: Mapped[str] = mapped_column(exact(24))
    supplier_id: Mapped[UUID] = mapped_column(Uid)
    mode: Mapped[str] = mapped_column(exact(24))
    statements: Mapped[list[str]] = mapped_column(JSON)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    fee_fen: Mapped[int] = mapped_column(BigInt)
    arrived_fen: Mapped[int] = mapped_column(BigInt, default=0)
    returned_fen: Mapped[int] = mapped_column(BigInt, default=0)
    receiver: Mapped[str] = mapped_column(exact(120))
    account: Mapped[str] = mapped_column(exact(64))
    bank: Mapped[str] = mapped_column(exact(120))
    state: Mapped[str] = mapped_column(exact(16))
    content_sha256: Mapped[str] = mapped_column(exact(64))
    made_by: Mapped[str] = mapped_column(exact(80))
    made_at: Mapped[datetime] = mapped_column(Instant)
    checked_by: Mapped[str | None] = mapped_column(exact(80))
    checked_at: Mapped[datetime | None] = mapped_column(Instant)
    sent_by: Mapped[str | None] = mapped_column(exact(80))
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    taken_no: Mapped[str | None] = mapped_column(exact(40))
    taken_by: Mapped[str | None] = mapped_column(exact(80))
    taken_at: Mapped[datetime | None] = mapped_column(Instant)
    arrived_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_by: Mapped[str | None] = mapped_column(exact(80))
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    reference: Mapped[str] = mapped_column(exact(64), default="")
    note: Mapped[str] = mapped_column(exact(400), default="")
    result_sha256: Mapped[str | None] = mapped_column(exact(64))
    version: Mapped[int] = mapped_column(BigInt, default=1)
