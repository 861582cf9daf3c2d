"""Tables of the stock. Only `server.stock` writes them; reports, reconcile and invariants may read them.

The unit row is small and hot, the secret is cold and append-only, and the delivery's primary key is the
physical last line against selling a key twice.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, Date, Index, Integer, SmallInteger, UniqueConstraint
from sqlalchemy.ext.hybrid import hybrid_method
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Digest16, Instant, Uid, blob, exact
from shared.permissions import Role

# Rows of SQLite live in the primary key's own tree: no second index to write for each unit.
CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}


class StockLot(Base):
    """Keys of one import for one SKU that share expiry, cost and uses.

    Its units have the numbers from `first_seq`; reusable keys have a unit for each use, `stride` apart. `cost` of a
    unit is in 1/10000 yuan. The data key is wrapped by the master key named `master_version`; while a lot is
    re-encrypted, the secrets below `resealed_to` are under the next key.
    """

    __tablename__ = "stock_lot"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (
        Index("ix_stock_lot_sku_id", "sku_id", "number"),
        Index("ix_stock_lot_import_id", "import_id"),
        Index("ix_stock_lot_master_version", "master_version", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(Uid)
    product_id: Mapped[UUID] = mapped_column(Uid)
    supplier_id: Mapped[UUID] = mapped_column(Uid)
    import_id: Mapped[UUID | None] = mapped_column(Uid)
    number: Mapped[int] = mapped_column(BigInt)
    first_seq: Mapped[int] = mapped_column(BigInt)
    stride: Mapped[int] = mapped_column(BigInt)
    uses: Mapped[int] = mapped_column(Integer)
    expires_on: Mapped[date | None] = mapped_column(Date)
    cost: Mapped[int | None] = mapped_column(BigInt)
    state: Mapped[str] = mapped_column(exact(24))
    state_reason: Mapped[str | None] = mapped_column(exact(200))
    moved_by: Mapped[str | None] = mapped_column(exact(80))
    moved_at: Mapped[datetime | None] = mapped_column(Instant)
    withdrawing: Mapped[bool] = mapped_column(default=False)
    """Its units are being taken out of stock by a job."""
    frozen_by_shop: Mapped[bool] = mapped_column(default=False)
    """Frozen, and not by its supplier, who then cannot move it."""
    file_name: Mapped[str] = mapped_column(exact(120))
    wrapped_key: Mapped[bytes] = mapped_column(blob())
    master_version: Mapped[int] = mapped_column(SmallInteger)
    next_wrapped_key: Mapped[bytes | None] = mapped_column(blob())
    next_master_version: Mapped[int | None] = mapped_column(SmallInteger)
    resealed_to: Mapped[int | None] = mapped_column(BigInt)
    created_at: Mapped[datetime] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(BigInt, default=1)

    @hybrid_method
    def key_of(self, seq: Any) -> Any:
        """The number of the secret that unit `seq` shares, which is its own unless the keys are reusable.

        Of a loaded lot for a number, of the class for a column.
        """
        return self.first_seq + (seq - self.first_seq) % self.stride


class StockSeries(Base):
    """Where the next lot of a SKU starts, and how many it has had: `ranking.LOT_NUMBERS` numbers belong to each."""

    __tablename__ = "stock_series"

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    next_seq: Mapped[int] = mapped_column(BigInt)
    lots: Mapped[int] = mapped_column(BigInt, default=0)


class StockCursor(Base):
    """Where the sale of a lot stands, with its exact counts. Transactions lock these rows in the order of lots.

    `next_seq` is the first number not yet offered, `end_seq` the number after the last stored unit; no unit below
    `returned_from` is in StockReturned. A lot sells while `selling` is true and `sell_until`, if there is one, has not
    come.

    A lot has one row. Where an engine keeps the old versions of a row as long as somebody may look back, each key has
    an entry for each of them, and a unique key walks over all it finds. So the key ends with `version`, which goes up
    every few writes: the newest entries of a lot are found first, and the way over the old ones stays short.
    """

    __tablename__ = "stock_cursor"
    __mapper_args__ = {"primary_key": ("lot_id",)}  # noqa: RUF012 - the base class says what it is
    __table_args__ = (
        Index("ix_stock_cursor_sku_id_rank", "sku_id", "rank"),
        CheckConstraint("free >= 0 AND held >= 0 AND sold >= 0 AND void >= 0", name="counts"),
        CheckConstraint("free + held + sold + void = imported", name="adds_up"),
    )

    lot_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    version: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False, default=0)
    sku_id: Mapped[UUID] = mapped_column(Uid)
    rank: Mapped[int] = mapped_column(BigInt)
    selling: Mapped[bool] = mapped_column()
    sell_until: Mapped[datetime | None] = mapped_column(Instant)
    first_seq: Mapped[int] = mapped_column(BigInt)
    next_seq: Mapped[int] = mapped_column(BigInt)
    end_seq: Mapped[int] = mapped_column(BigInt)
    returned_from: Mapped[int] = mapped_column(BigInt, default=0)
    imported: Mapped[int] = mapped_column(BigInt, default=0)
    free: Mapped[int] = mapped_column(BigInt, default=0)
    held: Mapped[int] = mapped_column(BigInt, default=0)
    sold: Mapped[int] = mapped_column(BigInt, default=0)
    void: Mapped[int] = mapped_column(BigInt, default=0)


class StockShelf(Base):
    """The lots a claim may find something in, in the order in which they sell; `server.stock.shelf` keeps it.

    Those that are open and have a unit that is free, or may be again because it is held. Rarely written, so that
    looking for the next lot costs the same whatever has been sold. Who changes a row holds the cursor of its lot.
    """

    __tablename__ = "stock_shelf"
    __table_args__ = CLUSTERED

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    rank: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    lot_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)


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


class StockVoid(Base):
    """Why a single unit is void. Of a withdrawn lot only the units behind its cursor have a row: the lot says why.

    Theirs has an empty reason, and is there so that they are found without walking over all that was sold.
    """

    __tablename__ = "stock_void"
    __table_args__ = CLUSTERED

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    lot_id: Mapped[UUID] = mapped_column(Uid)
    reason: Mapped[str] = mapped_column(exact(200))
    actor: Mapped[str] = mapped_column(exact(80))
    voided_at: Mapped[datetime] = mapped_column(Instant)


class CardSecret(Base):
    """One sealed key: nonce, ciphertext and tag in `sealed`. The keyed fingerprint finds duplicates.

    `tail` is the end of the card that lists show. A key withdrawn before anyone saw it is deleted, with its
    fingerprint; no other row is.
    """

    __tablename__ = "card_secret"
    __table_args__ = (
        # The fingerprint first: a key is looked for in the whole shop, and may be once in each product.
        UniqueConstraint("fingerprint", "product_id", name="uq_card_secret_fingerprint"),
        CLUSTERED,
    )

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    product_id: Mapped[UUID] = mapped_column(Uid)
    fingerprint: Mapped[bytes] = mapped_column(Digest16)
    sealed: Mapped[bytes] = mapped_column(blob())
    tail: Mapped[str | None] = mapped_column(exact(8))


class Delivery(Base):
    """One key handed to one order line, for good. The primary key forbids a second delivery of the same unit."""

    __tablename__ = "delivery"
    __table_args__ = (Index("ix_delivery_order_line_id", "order_line_id"), CLUSTERED)

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    order_line_id: Mapped[UUID] = mapped_column(Uid)
    delivered_at: Mapped[datetime] = mapped_column(Instant)


class UndoneDelivery(Base):
    """A delivery that was undone before its buyer saw the key, for an `UndoneReason`.

    What was sold when is told from both tables.
    """

    __tablename__ = "undone_delivery"
    __table_args__ = (
        Index("ix_undone_delivery_order_line_id", "order_line_id"),
        Index("ix_undone_delivery_unit", "sku_id", "seq"),
        Index("ix_undone_delivery_undone_at", "undone_at"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(Uid)
    seq: Mapped[int] = mapped_column(BigInt)
    order_line_id: Mapped[UUID] = mapped_column(Uid)
    delivered_at: Mapped[datetime] = mapped_column(Instant)
    undone_at: Mapped[datetime] = mapped_column(Instant)
    actor: Mapped[str] = mapped_column(exact(80))
    reason: Mapped[str] = mapped_column(exact(24))


class RevealLog(Base):
    """Who was shown a key, when: written and committed before it is opened.

    For a buyer the order line says which, and `seqs` where only some of its units were shown; for staff `sku_id`,
    `seq` and their `reason` do.
    """

    __tablename__ = "reveal_log"
    __table_args__ = (
        Index("ix_reveal_log_order_line_id", "order_line_id"),
        Index("ix_reveal_log_unit", "sku_id", "seq"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    order_line_id: Mapped[UUID | None] = mapped_column(Uid)
    sku_id: Mapped[UUID | None] = mapped_column(Uid)
    seq: Mapped[int | None] = mapped_column(BigInt)
    reason: Mapped[str | None] = mapped_column(exact(200))
    actor: Mapped[str] = mapped_column(exact(80))
    units: Mapped[int] = mapped_column(BigInt)
    seqs: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    request_id: Mapped[str] = mapped_column(exact(40))
    revealed_at: Mapped[datetime] = mapped_column(Instant)


class StockImport(Base):
    """One upload of a file of keys, from its first chunk to the last stored line.

    Chunks are stored as they come; `next_chunk` is the first that is not. The figures of the file, its hash and the
    number of chunks are known when it is committed.
    """

    __tablename__ = "stock_import"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (Index("ix_stock_import_supplier_id", "supplier_id", "id"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(Uid)
    sku_code: Mapped[str] = mapped_column(exact(64))
    product_id: Mapped[UUID] = mapped_column(Uid)
    supplier_id: Mapped[UUID] = mapped_column(Uid)
    state: Mapped[str] = mapped_column(exact(24))
    file_name: Mapped[str] = mapped_column(exact(120))
    file_sha256: Mapped[str | None] = mapped_column(exact(64))
    key_id: Mapped[str] = mapped_column(exact(32))
    root_sha256: Mapped[str | None] = mapped_column(exact(64))
    read_rows: Mapped[int | None] = mapped_column(BigInt)
    valid_rows: Mapped[int | None] = mapped_column(BigInt)
    duplicate_rows: Mapped[int | None] = mapped_column(BigInt)
    refused_rows: Mapped[int | None] = mapped_column(BigInt)
    skipped_rows: Mapped[int | None] = mapped_column(BigInt)
    chunk_count: Mapped[int | None] = mapped_column(BigInt)
    next_chunk: Mapped[int] = mapped_column(BigInt, default=0)
    stored: Mapped[int] = mapped_column(BigInt, default=0)
    duplicates: Mapped[int] = mapped_column(BigInt, default=0)
    refused: Mapped[int] = mapped_column(BigInt, default=0)
    created_by: Mapped[str] = mapped_column(exact(80))
    created_at: Mapped[datetime] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)


class ImportChunk(Base):
    """One chunk that has arrived, by its hash, with so many cards; `sealed` is emptied once its lines are stored."""

    __tablename__ = "import_chunk"

    import_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    n: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    sha256: Mapped[str] = mapped_column(exact(64))
    sealed: Mapped[bytes | None] = mapped_column(blob())
    cards: Mapped[int] = mapped_column(Integer)
    received_at: Mapped[datetime] = mapped_column(Instant)


class ImportRefusal(Base):
    """One line of a file the server did not take, and why. The key itself is not kept."""

    __tablename__ = "import_refusal"

    import_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    line: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    result: Mapped[str] = mapped_column(exact(24))


class AlertRule(Base):
    """The alert rule of a SKU that somebody changed; `shared.contracts.alerts` has the defaults of all others."""

    __tablename__ = "stock_alert_rule"

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    below: Mapped[int | None] = mapped_column(BigInt)
    cover_days: Mapped[int | None] = mapped_column(Integer)
    expiring_days: Mapped[int | None] = mapped_column(Integer)
    changed_by: Mapped[str] = mapped_column(exact(80))
    changed_at: Mapped[datetime] = mapped_column(Instant)


class StockAlert(Base):
    """One crossing of a rule. `live_key` (`kind:sku`) is unique while it stands and null once it is cleared."""

    __tablename__ = "stock_alert"
    __scope__: ClassVar = {Role.SUPPLIER: "supplier_id"}
    __table_args__ = (
        Index("ix_stock_alert_raised_at", "raised_at", "id"),
        Index("ix_stock_alert_supplier_id", "supplier_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(Uid)
    supplier_id: Mapped[UUID] = mapped_column(Uid)
    kind: Mapped[str] = mapped_column(exact(24))
    live_key: Mapped[str | None] = mapped_column(exact(80), unique=True)
    figure: Mapped[int] = mapped_column(BigInt)
    raised_at: Mapped[datetime] = mapped_column(Instant)
    cleared_at: Mapped[datetime | None] = mapped_column(Instant)


class StockDay(Base):
    """The counts of a SKU as they last were on a business day: the pace of its sale, without counting deliveries."""

    __tablename__ = "stock_day"
    __table_args__ = (Index("ix_stock_day_day", "day"),)

    sku_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    free: Mapped[int] = mapped_column(BigInt)
    sold: Mapped[int] = mapped_column(BigInt)
