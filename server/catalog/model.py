"""Tables of the catalogue. Only `server.catalog` writes them; others ask its queries."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Instant, Uid, big_text, exact
from shared.permissions import Role


class Category(Base):
    """A shelf of the storefront, shown by `rank`, then code."""

    __tablename__ = "category"

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    code: Mapped[str] = mapped_column(exact(64), unique=True)
    name: Mapped[str] = mapped_column(exact(120))
    rank: Mapped[int] = mapped_column(Integer)


class Product(Base):
    """A product of one supplier. `fee_ppm` overrides the supplier's rate; `version` grows with every write.

    `emptied` says that it left the shelf because it sold out. `key_*` say what its keys look like. `rule_fee_*` are of
    the fee rule that counts for it (`catalog.fees`), kept here because every order is priced by it.
    """

    __tablename__ = "product"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (
        CheckConstraint("fee_ppm >= 0 AND fee_ppm <= 1000000", name="fee"),
        Index("ix_product_supplier_id", "supplier_id", "id"),
        Index("ix_product_state", "state", "category_id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    category_id: Mapped[UUID] = mapped_column(Uid)
    supplier_id: Mapped[UUID] = mapped_column(Uid)
    code: Mapped[str] = mapped_column(exact(64), unique=True)
    name: Mapped[str] = mapped_column(exact(120))
    summary: Mapped[str] = mapped_column(exact(200))
    description: Mapped[str] = mapped_column(big_text())
    picture: Mapped[str | None] = mapped_column(exact(64))
    fee_ppm: Mapped[int | None] = mapped_column(Integer)
    rule_fee_ppm: Mapped[int | None] = mapped_column(Integer)
    rule_fee_unit_price: Mapped[int | None] = mapped_column(BigInt)
    state: Mapped[str] = mapped_column(exact(24))
    sale_order: Mapped[str] = mapped_column(exact(16))
    stop_days: Mapped[int] = mapped_column(Integer)
    off_shelf_when_empty: Mapped[bool] = mapped_column()
    emptied: Mapped[bool] = mapped_column(default=False)
    key_min_length: Mapped[int] = mapped_column(Integer)
    key_max_length: Mapped[int] = mapped_column(Integer)
    key_alphabet: Mapped[str] = mapped_column(exact(128))
    key_check_digit: Mapped[str] = mapped_column(exact(16))
    key_ignore_case: Mapped[bool] = mapped_column()
    refund_policy: Mapped[str] = mapped_column(exact(16), default="defect_only")
    version: Mapped[int] = mapped_column(BigInt, default=1)
    created_at: Mapped[datetime] = mapped_column(Instant)
    published_at: Mapped[datetime | None] = mapped_column(Instant)


class Sku(Base):
    """One sellable variant. `unit_price` is in 1/10000 yuan; `n` keeps the order in which they were entered."""

    __tablename__ = "sku"
    __table_args__ = (
        CheckConstraint("unit_price > 0", name="price"),
        CheckConstraint("max_quantity >= 1 AND max_quantity <= 1000", name="quantity"),
        Index("ix_sku_product_id", "product_id", "n"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    product_id: Mapped[UUID] = mapped_column(Uid)
    n: Mapped[int] = mapped_column(Integer)
    code: Mapped[str] = mapped_column(exact(64), unique=True)
    name: Mapped[str] = mapped_column(exact(120))
    unit_price: Mapped[int] = mapped_column(BigInt)
    max_quantity: Mapped[int] = mapped_column(Integer)


class FeeRule(Base):
    """The platform's share of what is sold: of a product, of a tier of suppliers, or of a product for a tier.

    The newest of each counts; older ones are kept. `ppm` is of the line, `unit_price` (1/10000 yuan) of each piece.
    """

    __tablename__ = "fee_rule"
    __table_args__ = (
        CheckConstraint("product_id IS NOT NULL OR tier IS NOT NULL", name="of"),
        CheckConstraint("ppm >= 0 AND ppm <= 1000000 AND unit_price >= 0", name="fee"),
        Index("ix_fee_rule_product_id", "product_id", "tier"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    product_id: Mapped[UUID | None] = mapped_column(Uid)
    product_code: Mapped[str | None] = mapped_column(exact(64))
    tier: Mapped[str | None] = mapped_column(exact(32))
    kind: Mapped[str] = mapped_column(exact(16))
    ppm: Mapped[int] = mapped_column(Integer)
    unit_price: Mapped[int] = mapped_column(BigInt)
    reason: Mapped[str] = mapped_column(exact(400))
    valid_from: Mapped[datetime] = mapped_column(Instant)
    changed_by: Mapped[str] = mapped_column(exact(80))
