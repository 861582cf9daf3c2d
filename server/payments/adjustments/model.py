"""The table of adjustments. Only `server.payments.adjustments` writes it; others may read it."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import JSON, Date, Index
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, exact


class Adjustment(Base):
    """A journal that somebody proposed: [debit kind, owner, credit kind, owner, fen] for each of its transfers.

    Another person posts or refuses it; who proposed it may refuse it too, by withdrawing it. It corrects the signed
    `day` of `channel` where it names one.
    """

    __tablename__ = "ledger_adjustment"
    __table_args__ = (
        Index("ix_ledger_adjustment_state", "state", "id"),
        Index("ix_ledger_adjustment_day", "day", "channel"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    state: Mapped[str] = mapped_column(exact(16))
    transfers: Mapped[list[tuple[str, str, str, str, int]]] = mapped_column(JSON)
    reason: Mapped[str] = mapped_column(exact(400))
    ticket: Mapped[str] = mapped_column(exact(80))
    order_id: Mapped[UUID | None] = mapped_column(Uid)
    order_code: Mapped[str | None] = mapped_column(exact(16))
    channel: Mapped[str | None] = mapped_column(exact(16))
    day: Mapped[date | None] = mapped_column(Date)
    proposed_by: Mapped[str] = mapped_column(exact(80))
    proposed_at: Mapped[datetime] = mapped_column(Instant)
    checked_by: Mapped[str | None] = mapped_column(exact(80))
    checked_at: Mapped[datetime | None] = mapped_column(Instant)
    check_note: Mapped[str] = mapped_column(exact(400), default="")
    version: Mapped[int] = mapped_column(BigInt, default=1)
