"""Tables of people. Only `server.identity` writes them; others ask its queries."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, blob, exact
from shared.permissions import Role


class SettlementMode(StrEnum):
    """How a supplier gets its money: split at the channel, or as the seller of goods we bought."""

    PROFIT_SHARING = "profit_sharing"
    PURCHASE = "purchase"


class Supplier(Base):
    """A company that brings stock. `fee_ppm` is the platform's rate in millionths unless a product says otherwise.

    `tier` is the class of suppliers that it belongs to: fee rules may be made for one.
    """

    __tablename__ = "supplier"
    __scope__: ClassVar = {Role.SUPPLIER: "id"}
    __table_args__ = (CheckConstraint("fee_ppm >= 0 AND fee_ppm <= 1000000", name="fee"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    name: Mapped[str] = mapped_column(exact(120), unique=True)
    fee_ppm: Mapped[int] = mapped_column(Integer)
    settlement_mode: Mapped[str] = mapped_column(exact(24))
    tier: Mapped[str] = mapped_column(exact(32), default="standard")
    created_at: Mapped[datetime] = mapped_column(Instant)


class User(Base):
    """A member of staff or a supplier's person. A supplier's person has a supplier, nobody else has.

    `totp_sealed` is the enrolled second factor, `totp_pending` one that was not confirmed yet; `totp_last` is the
    last accepted time step, so that a code works once.
    """

    __tablename__ = "staff_user"
    __table_args__ = (
        CheckConstraint("(role = 'supplier') = (supplier_id IS NOT NULL)", name="supplier"),
        Index("ix_staff_user_supplier_id", "supplier_id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    login: Mapped[str] = mapped_column(exact(64), unique=True)
    name: Mapped[str] = mapped_column(exact(120))
    role: Mapped[str] = mapped_column(exact(16))
    supplier_id: Mapped[UUID | None] = mapped_column(Uid)
    password_hash: Mapped[str] = mapped_column(exact(255))
    password_at: Mapped[datetime] = mapped_column(Instant)
    totp_sealed: Mapped[bytes | None] = mapped_column(blob())
    totp_pending: Mapped[bytes | None] = mapped_column(blob())
    totp_last: Mapped[int] = mapped_column(BigInt, default=0)
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(Instant)


class Device(Base):
    """A machine a person signs in on; registered at the first sign-in. Two people may share one machine."""

    __tablename__ = "device"

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    name: Mapped[str] = mapped_column(exact(120))
    platform: Mapped[str] = mapped_column(exact(120))
    created_at: Mapped[datetime] = mapped_column(Instant)
    seen_at: Mapped[datetime] = mapped_column(Instant)


class Session(Base):
    """One sign-in on one device. Tokens are kept as SHA-256, in hex; the one before is accepted for a moment."""

    __tablename__ = "staff_session"
    __table_args__ = (
        Index("ix_staff_session_previous_sha256", "previous_sha256"),
        Index("ix_staff_session_user_id", "user_id", "ended_at"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uid)
    device_id: Mapped[UUID] = mapped_column(Uid)
    token_sha256: Mapped[str] = mapped_column(exact(64), unique=True)
    previous_sha256: Mapped[str | None] = mapped_column(exact(64))
    previous_used: Mapped[bool] = mapped_column(default=False)
    rotated_at: Mapped[datetime] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    seen_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    end_reason: Mapped[str | None] = mapped_column(exact(24))
