"""Tables of the payments. Only `server.payments` writes them; reports, reconcile and invariants may read them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, blob, exact


class PaymentAttempt(Base):
    """One attempt to pay one order through one channel, under a number of ours that is never used again."""

    __tablename__ = "payment_attempt"
    __table_args__ = (
        UniqueConstraint("channel", "provider_no", name="uq_payment_attempt_provider_no"),
        Index("ix_payment_attempt_order_id", "order_id"),
        Index("ix_payment_attempt_paid_at", "paid_at", "id"),
        Index("ix_payment_attempt_due", "state", "query_at"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_id: Mapped[UUID] = mapped_column(Uid)
    order_code: Mapped[str] = mapped_column(exact(16))
    channel: Mapped[str] = mapped_column(exact(16))
    out_trade_no: Mapped[str] = mapped_column(exact(32), unique=True)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    subject: Mapped[str] = mapped_column(exact(128))
    state: Mapped[str] = mapped_column(exact(24))
    pay_url: Mapped[str | None] = mapped_column(exact(512))
    qr_text: Mapped[str | None] = mapped_column(exact(512))
    provider_no: Mapped[str | None] = mapped_column(exact(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    paid_at: Mapped[datetime | None] = mapped_column(Instant)
    query_at: Mapped[datetime | None] = mapped_column(Instant)
    queries: Mapped[int] = mapped_column(BigInt, default=0)


class PaymentCallback(Base):
    """One notification as it came, byte for byte, once.

    `state` is applied; deferred while it could not be applied and the channel has not been asked; refused when the
    channel, asked, did not confirm it.
    """

    __tablename__ = "payment_callback"
    __table_args__ = (UniqueConstraint("channel", "digest", name="uq_payment_callback_digest"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    channel: Mapped[str] = mapped_column(exact(16))
    digest: Mapped[str] = mapped_column(exact(64))
    out_trade_no: Mapped[str] = mapped_column(exact(64))
    state: Mapped[str] = mapped_column(exact(24))
    headers: Mapped[bytes] = mapped_column(blob())
    body: Mapped[bytes] = mapped_column(blob())
    received_at: Mapped[datetime] = mapped_column(Instant)


class PaymentException(Base):
    """Money or an order that needs a person. `key` makes each one once: a repeat of the cause adds nothing."""

    __tablename__ = "payment_exception"
    __table_args__ = (Index("ix_payment_exception_open", "closed_at", "id"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    key: Mapped[str] = mapped_column(exact(120), unique=True)
    kind: Mapped[str] = mapped_column(exact(32))
    order_id: Mapped[UUID | None] = mapped_column(Uid)
    order_code: Mapped[str | None] = mapped_column(exact(16))
    attempt_id: Mapped[UUID | None] = mapped_column(Uid)
    channel: Mapped[str] = mapped_column(exact(16))
    out_trade_no: Mapped[str] = mapped_column(exact(64))
    provider_no: Mapped[str | None] = mapped_column(exact(64))
    expected_fen: Mapped[int | None] = mapped_column(BigInt)
    received_fen: Mapped[int | None] = mapped_column(BigInt)
    created_at: Mapped[datetime] = mapped_column(Instant)
    closed_at: Mapped[datetime | None] = mapped_column(Instant)
