"""Tables of the stock. Only `server.stock` writes them; reports, reconcile and invariants may read them.

The unit row is small and hot, the secret is cold and append-only, and the delivery's primary key is the
physical last line against selling a key twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Digest16, Instant, Uid, blob, exact
from shared.permissions import Role

# Rows of SQLite live in the primary key's own tree: no second index to write for each unit.
CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}


class StockLot(Base):
    """One import of keys for one SKU. Its data key is wrapped by the master key named `master_version`."""

    __tablename__ = "stock_lot"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (Index("ix_stock_lot_sku_id", "sku_id", "id"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(Uid)
    product_id: Mapped[UUID] = mapped_column(Uid)
    supplier_id: Mapped[UUID] = mapped_column(Uid)
    state: Mapped[str] = mapped_column(exact(24))
    file_name: Mapped[str] = mapped_column(exact(120))
    wrapped_key: Mapped[bytes] = mapped_column(blob())
    master_version: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(BigInt, default=1)


class StockSeries(Base):
    """The next free number of a SKU's units. Imports take ranges from it, so that a lot's numbers are dense."""

    __tablename__ = "stock_series"

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    next_seq: Mapped[int] = mapped_column(BigInt)


class StockCursor(Base):
    """Where the sale of a lot stands, with its exact counts. Claims of a SKU lock these rows in (sku, rank) order.

    `next_seq` is the first number not yet offered, `end_seq` the number after the last stored unit.
    """

    __tablename__ = "stock_cursor"
    __table_args__ = (
        Index("ix_stock_cursor_sku_id_rank", "sku_id", "rank"),
        CheckConstraint("free >= 0 AND held >= 0 AND sold >= 0 AND void >= 0", name="counts"),
        CheckConstraint("free + held + sold + void = imported", name="adds_up"),
    )

    lot_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(Uid)
    rank: Mapped[int] = mapped_column(BigInt)
    selling: Mapped[bool] = mapped_column()
    first_seq: Mapped[int] = mapped_column(BigInt)
    next_seq: Mapped[int] = mapped_column(BigInt)
    end_seq: Mapped[int] = mapped_column(BigInt)
    imported: Mapped[int] = mapped_column(BigInt, default=0)
    free: Mapped[int] = mapped_column(BigInt, default=0)
    held: Mapped[int] = mapped_column(BigInt, default=0)
    sold: Mapped[int] = mapped_column(BigInt, default=0)
    void: Mapped[int] = mapped_column(BigInt, default=0)


class StockUnit(Base):
    """One key's place in stock. `order_line_id` is set while held and after the sale."""

    __tablename__ = "stock_unit"
    __table_args__ = CLUSTERED

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    lot_id: Mapped[UUID] = mapped_column(Uid)
    state: Mapped[int] = mapped_column(SmallInteger)
    order_line_id: Mapped[UUID | None] = mapped_column(Uid)


class StockReturned(Base):
    """Free units behind their lot's cursor: given back by an expired hold. Claims serve them first.

    A table of its own instead of a partial index, because MariaDB has none and it stays small everywhere.
    """

    __tablename__ = "stock_returned"
    __table_args__ = CLUSTERED

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    lot_id: Mapped[UUID] = mapped_column(Uid)


class CardSecret(Base):
    """One sealed key: nonce, ciphertext and tag in `sealed`. The keyed fingerprint finds duplicates."""

    __tablename__ = "card_secret"
    __table_args__ = (
        UniqueConstraint("product_id", "fingerprint", name="uq_card_secret_fingerprint"),
        CLUSTERED,
    )

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    product_id: Mapped[UUID] = mapped_column(Uid)
    fingerprint: Mapped[bytes] = mapped_column(Digest16)
    sealed: Mapped[bytes] = mapped_column(blob())


class Delivery(Base):
    """One key handed to one order line, for good. The primary key forbids a second delivery of the same unit."""

    __tablename__ = "delivery"
    __table_args__ = (Index("ix_delivery_order_line_id", "order_line_id"), CLUSTERED)

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    order_line_id: Mapped[UUID] = mapped_column(Uid)
    delivered_at: Mapped[datetime] = mapped_column(Instant)


class RevealLog(Base):
    """Who was shown the keys of an order line, when: written and committed before they are opened."""

    __tablename__ = "reveal_log"
    __table_args__ = (Index("ix_reveal_log_order_line_id", "order_line_id"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_line_id: Mapped[UUID] = mapped_column(Uid)
    actor: Mapped[str] = mapped_column(exact(80))
    units: Mapped[int] = mapped_column(BigInt)
    request_id: Mapped[str] = mapped_column(exact(40))
    revealed_at: Mapped[datetime] = mapped_column(Instant)


class StockImport(Base):
    """One upload of a file of keys, from its declaration to the last stored line."""

    __tablename__ = "stock_import"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(Uid)
    sku_code: Mapped[str] = mapped_column(exact(64))
    product_id: Mapped[UUID] = mapped_column(Uid)
    supplier_id: Mapped[UUID] = mapped_column(Uid)
    lot_id: Mapped[UUID | None] = mapped_column(Uid)
    state: Mapped[str] = mapped_column(exact(24))
    file_name: Mapped[str] = mapped_column(exact(120))
    file_sha256: Mapped[str] = mapped_column(exact(64))
    key_id: Mapped[str] = mapped_column(exact(32))
    declared_sha256: Mapped[str] = mapped_column(exact(64))
    read_rows: Mapped[int] = mapped_column(BigInt)
    valid_rows: Mapped[int] = mapped_column(BigInt)
    duplicate_rows: Mapped[int] = mapped_column(BigInt)
    refused_rows: Mapped[int] = mapped_column(BigInt)
    skipped_rows: Mapped[int] = mapped_column(BigInt)
    chunk_count: Mapped[int] = mapped_column(BigInt)
    next_chunk: Mapped[int] = mapped_column(BigInt, default=0)
    stored: Mapped[int] = mapped_column(BigInt, default=0)
    duplicates: Mapped[int] = mapped_column(BigInt, default=0)
    refused: Mapped[int] = mapped_column(BigInt, default=0)
    created_by: Mapped[str] = mapped_column(exact(80))
    created_at: Mapped[datetime] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)


class ImportChunk(Base):
    """One declared chunk; `sealed` arrives by PUT and is emptied once its lines are stored."""

    __tablename__ = "import_chunk"

    import_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    n: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    sha256: Mapped[str] = mapped_column(exact(64))
    sealed: Mapped[bytes | None] = mapped_column(blob())


class ImportRefusal(Base):
    """One line of a file the server did not take, and why. The key itself is not kept."""

    __tablename__ = "import_refusal"

    import_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    line: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    result: Mapped[str] = mapped_column(exact(24))
