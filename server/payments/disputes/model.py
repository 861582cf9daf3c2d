"""Tables of the disputes. Only `server.payments.disputes` writes them; reports, reconcile, invariants may read them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, exact


class Dispute(Base):
    """A complaint or chargeback at a channel about an order's money.

    `proposed_by` says how it ended (`proposes_won`, `fine_fen`, `note`); somebody else says the same and closes it, and
    why (`closed_note`).
    """

    __tablename__ = "payment_dispute"
    __table_args__ = (
        UniqueConstraint("channel", "channel_no", name="uq_payment_dispute_channel_no"),
        CheckConstraint("amount_fen > 0", name="amount"),
        CheckConstraint("fine_fen >= 0", name="fine"),
        Index("ix_payment_dispute_order_id", "order_id"),
        Index("ix_payment_dispute_state", "state", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_id: Mapped[UUID] = mapped_column(Uid)
    order_code: Mapped[str] = mapped_column(exact(16))
    channel: Mapped[str] = mapped_column(exact(16))
    channel_no: Mapped[str] = mapped_column(exact(64))
    amount_fen: Mapped[int] = mapped_column(BigInt)
    fine_fen: Mapped[int] = mapped_column(BigInt)
    state: Mapped[str] = mapped_column(exact(16))
    reason: Mapped[str] = mapped_column(exact(400))
    opened_by: Mapped[str] = mapped_column(exact(80))
    opened_at: Mapped[datetime] = mapped_column(Instant)
    proposed_by: Mapped[str | None] = mapped_column(exact(80))
    proposed_at: Mapped[datetime | None] = mapped_column(Instant)
    proposes_won: Mapped[bool | None] = mapped_column()
    note: Mapped[str] = mapped_column(exact(400), default="")
    closed_by: Mapped[str | None] = mapped_column(exact(80))
    closed_at: Mapped[datetime | None] = mapped_column(Instant)
    closed_note: Mapped[str] = mapped_column(exact(400), default="")
    version: Mapped[int] = mapped_column(BigInt, default=1)


class DisputeLine(Base):
    """What of an order line a dispute is about.

    amount_fen + discount_fen = supplier_fen + commission_fen + fee_fen. `frozen_fen` of the supplier's share could be
    frozen; the rest had been paid out.
    """

    __tablename__ = "payment_dispute_line"
    __table_args__ = (Index("ix_payment_dispute_line_order_line_id", "order_line_id"),)

    dispute_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_line_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    supplier_fen: Mapped[int] = mapped_column(BigInt)
    commission_fen: Mapped[int] = mapped_column(BigInt)
    fee_fen: Mapped[int] = mapped_column(BigInt)
    discount_fen: Mapped[int] = mapped_column(BigInt)
    frozen_fen: Mapped[int] = mapped_column(BigInt)
