"""Tables of the orders. Only `server.orders` writes them; reports, reconcile and invariants may read them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import JSON, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, exact
from shared.permissions import Role


class Order(Base):
    """One order of one buyer's device. Prices, titles and rates are frozen at creation.

    `content_sha256` is the hash of the body that the idempotency key came with. `due_at` is when the next timer
    rings: the end of the hold, later the automatic completion. `origin` is a keyed hash of the buyer's network, by
    which unpaid holds are limited; it names nobody. `policy_version` names the refund rules that the buyer
    agreed to when it was created, None where nobody asked; `refunded_fen` is what of its amount the buyer has back.
    `distributor_id` is who brought the buyer, and earns the commissions of its lines.
    """

    __tablename__ = "shop_order"
    __table_args__ = (
        UniqueConstraint("buyer_id", "idempotency_key", name="uq_shop_order_idempotency"),
        Index("ix_shop_order_created_at", "created_at", "id"),
        Index("ix_shop_order_paid_at", "paid_at", "id"),
        Index("ix_shop_order_due", "state", "due_at"),
        Index("ix_shop_order_origin", "origin", "state"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    code: Mapped[str] = mapped_column(exact(16), unique=True)
    buyer_id: Mapped[UUID] = mapped_column(Uid)
    idempotency_key: Mapped[str] = mapped_column(exact(64))
    content_sha256: Mapped[str] = mapped_column(exact(64))
    origin: Mapped[str | None] = mapped_column(exact(32))
    state: Mapped[str] = mapped_column(exact(24))
    amount_fen: Mapped[int] = mapped_column(BigInt)
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    paid_at: Mapped[datetime | None] = mapped_column(Instant)
    delivered_at: Mapped[datetime | None] = mapped_column(Instant)
    completed_at: Mapped[datetime | None] = mapped_column(Instant)
    first_viewed_at: Mapped[datetime | None] = mapped_column(Instant)
    policy_version: Mapped[str | None] = mapped_column(exact(16))
    refunded_fen: Mapped[int] = mapped_column(BigInt, default=0)
    distributor_id: Mapped[UUID | None] = mapped_column(Uid)
    version: Mapped[int] = mapped_column(BigInt, default=1)


class OrderLine(Base):
    """One SKU of an order; `seqs` are the stock units held or sold for it.

    What the buyer pays and the discount that the shop bears is what there is to share:
    amount_fen + discount_fen = supplier_fen + commission_fen + fee_fen. The fee is `fee_ppm` of that, or where there is
    a `fee_unit_price` (1/10000 yuan) so much for each piece.
    """

    __tablename__ = "order_line"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (
        Index("ix_order_line_order_id", "order_id"),
        Index("ix_order_line_supplier_id", "supplier_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_id: Mapped[UUID] = mapped_column(Uid)
    n: Mapped[int] = mapped_column(Integer)
    sku_id: Mapped[UUID] = mapped_column(Uid)
    sku_code: Mapped[str] = mapped_column(exact(64))
    product_id: Mapped[UUID] = mapped_column(Uid)
    product_code: Mapped[str] = mapped_column(exact(64))
    title: Mapped[str] = mapped_column(exact(250))
    supplier_id: Mapped[UUID] = mapped_column(Uid)
    unit_price: Mapped[int] = mapped_column(BigInt)
    quantity: Mapped[int] = mapped_column(Integer)
    amount_fen: Mapped[int] = mapped_column(BigInt)
    supplier_fen: Mapped[int] = mapped_column(BigInt)
    fee_fen: Mapped[int] = mapped_column(BigInt)
    fee_ppm: Mapped[int] = mapped_column(BigInt)
    fee_unit_price: Mapped[int | None] = mapped_column(BigInt)
    discount_fen: Mapped[int] = mapped_column(BigInt, default=0)
    commission_fen: Mapped[int] = mapped_column(BigInt, default=0)
    seqs: Mapped[list[int]] = mapped_column(JSON)
    refund_policy: Mapped[str] = mapped_column(exact(16), default="defect_only")


class UnsettledLine(Base):
    """A delivered line that is on no statement yet: what is due is found here, and not among all that was ever sold.

    It comes with the delivery; settlement takes it away when it freezes the line, and back when it drops the draft.
    """

    __tablename__ = "unsettled_line"
    __table_args__ = (Index("ix_unsettled_line_supplier_id", "supplier_id", "order_line_id"),)

    order_line_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    supplier_id: Mapped[UUID] = mapped_column(Uid)


class OrderGrant(Base):
    """Another device that opened the order's secret link and may see its keys."""

    __tablename__ = "order_grant"

    order_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    buyer_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    granted_at: Mapped[datetime] = mapped_column(Instant)
