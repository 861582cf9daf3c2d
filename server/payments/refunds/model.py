"""Tables of the refunds. Only `server.payments.refunds` writes them; reports, reconcile, invariants may read them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, blob, exact
from shared.permissions import Role


class Refund(Base):
    """Money on its way back to a buyer, of a paid attempt or of money that pays none.

    `out_refund_no` is ours and the same on every retry. `cause` is a `RefundCause`; `reason` is what the buyer or the
    shop wrote. What the shop starts came with an `idempotency_key`; `content_sha256` is the hash of its body. `turn` is
    who has the ball (`RefundTurn`), `due_at` until when. `unseen`: nobody had seen its keys when it was approved, so
    they are withheld from then on. `query_at` is when the channel is asked next; `trouble` (a `RefundTrouble`) says why
    it waits, or why it ended without money. `made_for` is the refund, ended without money, in whose place it was made;
    `refunded_at` is when the channel says it gave the money back; None for what was recorded.
    """

    __tablename__ = "payment_refund"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (
        UniqueConstraint("order_id", "idempotency_key", name="uq_payment_refund_idempotency"),
        Index("ix_payment_refund_order_id", "order_id"),
        Index("ix_payment_refund_attempt_id", "attempt_id"),
        Index("ix_payment_refund_out_trade_no", "out_trade_no"),
        Index("ix_payment_refund_turn", "turn", "due_at"),
        Index("ix_payment_refund_query", "query_at"),
        Index("ix_payment_refund_supplier_id", "supplier_id", "id"),
        CheckConstraint("amount_fen > 0", name="amount"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    out_refund_no: Mapped[str] = mapped_column(exact(32), unique=True)
    order_id: Mapped[UUID | None] = mapped_column(Uid)
    order_code: Mapped[str | None] = mapped_column(exact(16))
    attempt_id: Mapped[UUID | None] = mapped_column(Uid)
    unmatched_id: Mapped[UUID | None] = mapped_column(Uid)
    made_for: Mapped[UUID | None] = mapped_column(Uid)
    channel: Mapped[str] = mapped_column(exact(16))
    out_trade_no: Mapped[str] = mapped_column(exact(64))
    amount_fen: Mapped[int] = mapped_column(BigInt)
    cause: Mapped[str] = mapped_column(exact(16))
    reason_kind: Mapped[str | None] = mapped_column(exact(16))
    reason: Mapped[str] = mapped_column(exact(400))
    idempotency_key: Mapped[str | None] = mapped_column(exact(64))
    content_sha256: Mapped[str | None] = mapped_column(exact(64))
    state: Mapped[str] = mapped_column(exact(16))
    turn: Mapped[str | None] = mapped_column(exact(16))
    unseen: Mapped[bool] = mapped_column(default=False)
    wants_replacement: Mapped[bool] = mapped_column(default=False)
    supplier_id: Mapped[UUID | None] = mapped_column(Uid)
    asked_by: Mapped[str] = mapped_column(exact(80))
    asked_at: Mapped[datetime] = mapped_column(Instant)
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    decided_by: Mapped[str | None] = mapped_column(exact(80))
    checked_by: Mapped[str | None] = mapped_column(exact(80))
    provider_refund_no: Mapped[str | None] = mapped_column(exact(64))
    submitted_at: Mapped[datetime | None] = mapped_column(Instant)
    refunded_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    query_at: Mapped[datetime | None] = mapped_column(Instant)
    queries: Mapped[int] = mapped_column(BigInt, default=0)
    trouble: Mapped[str | None] = mapped_column(exact(24))
    version: Mapped[int] = mapped_column(BigInt, default=1)


class RefundLine(Base):
    """What one refund takes back of one order line; `seqs` are its units.

    amount_fen + discount_fen = supplier_fen + commission_fen + fee_fen: the discount goes back to the shop.
    """

    __tablename__ = "payment_refund_line"
    __table_args__ = (Index("ix_payment_refund_line_order_line_id", "order_line_id"),)

    refund_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_line_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    quantity: Mapped[int] = mapped_column(Integer)
    seqs: Mapped[list[int]] = mapped_column(JSON)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    supplier_fen: Mapped[int] = mapped_column(BigInt)
    fee_fen: Mapped[int] = mapped_column(BigInt)
    discount_fen: Mapped[int] = mapped_column(BigInt, default=0)
    commission_fen: Mapped[int] = mapped_column(BigInt, default=0)


class RefundEvent(Base):
    """One step of a refund (`what` is a `RefundStep`), with what was said. Never changed."""

    __tablename__ = "payment_refund_event"
    __table_args__ = (Index("ix_payment_refund_event_refund_id", "refund_id", "id"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    refund_id: Mapped[UUID] = mapped_column(Uid)
    at: Mapped[datetime] = mapped_column(Instant)
    actor: Mapped[str] = mapped_column(exact(80))
    what: Mapped[str] = mapped_column(exact(24))
    note: Mapped[str] = mapped_column(exact(1000), default="")


class RefundImage(Base):
    """What a party (`buyer`, `supplier`) shows beside a refund: its `n`th. `kind` is what the bytes say it is."""

    __tablename__ = "payment_refund_image"
    __table_args__ = (UniqueConstraint("refund_id", "party", "n", name="uq_payment_refund_image_n"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    refund_id: Mapped[UUID] = mapped_column(Uid)
    party: Mapped[str] = mapped_column(exact(16))
    n: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(exact(8))
    content: Mapped[bytes] = mapped_column(blob())
    added_by: Mapped[str] = mapped_column(exact(80))
    added_at: Mapped[datetime] = mapped_column(Instant)


class Replacement(Base):
    """A delivered unit for which the buyer got another one instead of money. It stays sold if the buyer had seen it."""

    __tablename__ = "payment_replacement"
    __table_args__ = (Index("ix_payment_replacement_replaced_at", "replaced_at"),)

    order_line_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    refund_id: Mapped[UUID] = mapped_column(Uid)
    new_seq: Mapped[int] = mapped_column(BigInt)
    replaced_at: Mapped[datetime] = mapped_column(Instant)
