"""Stock grows up: lots by expiry, cost and uses; selling and key rules; voids, alerts, staff reveals, hold limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LOT_NUMBERS = 2**32
TIES = 2**40
NEVER = 2**22 - 1


def upgrade() -> None:
    _product()
    _lots()
    _imports()
    _secrets()
    with op.batch_alter_table("reveal_log") as table:
        table.alter_column("order_line_id", existing_type=db.Uid(), nullable=True)
        table.add_column(sa.Column("sku_id", db.Uid()))
        table.add_column(sa.Column("seq", db.BigInt))
        table.add_column(sa.Column("reason", db.exact(200)))
    op.create_index("ix_reveal_log_unit", "reveal_log", ["sku_id", "seq"])
    op.add_column("job_schedule", sa.Column("steady_since", db.Instant()))
    op.add_column("shop_order", sa.Column("origin", db.exact(32)))
    op.create_index("ix_shop_order_origin", "shop_order", ["origin", "state"])
    _new_tables()


def _product() -> None:
    for column in (
        sa.Column("sale_order", db.exact(16), nullable=False, server_default="first_in"),
        sa.Column("stop_days", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("off_shelf_when_empty", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("emptied", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("key_min_length", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("key_max_length", sa.Integer(), nullable=False, server_default="512"),
        sa.Column("key_alphabet", db.exact(128), nullable=False, server_default=""),
        sa.Column("key_check_digit", db.exact(16), nullable=False, server_default="none"),
        sa.Column("key_ignore_case", sa.Boolean(), nullable=False, server_default=sa.false()),
    ):
        op.add_column("product", column)


def _lots() -> None:
    """Lots of before had numbers one after the other; new ones start at the next 2**32, so none overlap."""
    for column in (
        sa.Column("import_id", db.Uid()),
        sa.Column("number", db.BigInt, nullable=False, server_default="0"),
        sa.Column("first_seq", db.BigInt, nullable=False, server_default="1"),
        sa.Column("stride", db.BigInt, nullable=False, server_default=str(LOT_NUMBERS)),
        sa.Column("uses", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("expires_on", sa.Date()),
        sa.Column("cost", db.BigInt),
        sa.Column("state_reason", db.exact(200)),
        sa.Column("moved_by", db.exact(80)),
        sa.Column("moved_at", db.Instant()),
        sa.Column("withdrawing", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("frozen_by_shop", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("next_wrapped_key", db.blob()),
        sa.Column("next_master_version", sa.SmallInteger()),
        sa.Column("resealed_to", db.BigInt),
    ):
        op.add_column("stock_lot", column)
    op.drop_index("ix_stock_lot_sku_id", "stock_lot")
    op.create_index("ix_stock_lot_sku_id", "stock_lot", ["sku_id", "number"])
    op.create_index("ix_stock_lot_import_id", "stock_lot", ["import_id"])
    op.create_index("ix_stock_lot_master_version", "stock_lot", ["master_version", "id"])
    _cursors()
    op.add_column("stock_series", sa.Column("lots", db.BigInt, nullable=False, server_default="0"))
    mine = "SELECT m.first_seq FROM stock_cursor m WHERE m.lot_id = stock_lot.id"
    before = (
        "SELECT COUNT(*) FROM stock_cursor o JOIN stock_cursor m ON m.sku_id = o.sku_id "
        "WHERE m.lot_id = stock_lot.id AND o.first_seq < m.first_seq"
    )
    op.execute(f"UPDATE stock_lot SET first_seq = ({mine}), number = ({before})")
    imported = "SELECT i.id FROM stock_import i WHERE i.lot_id = stock_lot.id"
    op.execute(f"UPDATE stock_lot SET import_id = ({imported})")
    # Its numbers end where the next lot's begin: lines that were not declared must find no room.
    declared = "SELECT i.valid_rows FROM stock_import i WHERE i.id = stock_lot.import_id"
    op.execute(f"UPDATE stock_lot SET stride = ({declared}) WHERE ({declared}) > 0")
    number = "SELECT l.number FROM stock_lot l WHERE l.id = stock_cursor.lot_id"
    rank = _quoted("rank")
    op.execute(f"UPDATE stock_cursor SET {rank} = {NEVER * TIES} + ({number})")
    op.create_table(
        "stock_shelf",
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("rank", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("lot_id", db.Uid(), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", "rank", "lot_id", name="pk_stock_shelf"),
        sqlite_with_rowid=False,
    )
    for_sale = f"FROM stock_cursor WHERE selling = {sa.true().compile(op.get_bind())} AND free + held > 0"
    op.execute(f"INSERT INTO stock_shelf (sku_id, {rank}, lot_id) SELECT sku_id, {rank}, lot_id {for_sale}")
    lots = "SELECT COUNT(*) FROM stock_lot l WHERE l.sku_id = stock_series.sku_id"
    # Up to the next start of a lot; a series that was here before, and went back, may stand at a later one.
    after = f"(next_seq - 1) % {LOT_NUMBERS}"
    start = f"CASE WHEN next_seq > 1 AND {after} = 0 THEN next_seq ELSE next_seq + {LOT_NUMBERS} - {after} END"
    op.execute(f"UPDATE stock_series SET next_seq = {start}, lots = ({lots})")


def _cursors() -> None:
    with op.batch_alter_table("stock_cursor") as table:
        table.add_column(sa.Column("version", db.BigInt, nullable=False, server_default="0"))
        table.add_column(sa.Column("sell_until", db.Instant()))
        table.add_column(sa.Column("returned_from", db.BigInt, nullable=False, server_default="0"))
        table.drop_constraint("pk_stock_cursor", type_="primary")
        table.create_primary_key("pk_stock_cursor", ["lot_id", "version"])
    _count_lots(0)


def _count_lots(target: int) -> None:
    """Knowing that rows lie in the order of lots, PostgreSQL would rather sort all versions of one than go back."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE stock_cursor ALTER COLUMN lot_id SET STATISTICS {target}")


def _cursors_back() -> None:
    _count_lots(-1)
    with op.batch_alter_table("stock_cursor") as table:
        table.drop_constraint("pk_stock_cursor", type_="primary")
        table.create_primary_key("pk_stock_cursor", ["lot_id"])
        for name in ("version", "sell_until", "returned_from"):
            table.drop_column(name)


def _quoted(name: str) -> str:
    return op.get_bind().dialect.identifier_preparer.quote(name)


FIGURES = ("read_rows", "valid_rows", "duplicate_rows", "refused_rows", "skipped_rows", "chunk_count")


def _imports() -> None:
    # Consoles of before cannot finish their uploads, and nothing of those is in stock; what was committed goes on.
    op.execute("UPDATE stock_import SET state = 'cancelled', finished_at = created_at WHERE state = 'receiving'")
    op.execute("DELETE FROM import_chunk WHERE import_id IN (SELECT id FROM stock_import WHERE state = 'cancelled')")
    op.add_column("import_chunk", sa.Column("cards", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("import_chunk", sa.Column("received_at", db.Instant()))
    created = "SELECT i.created_at FROM stock_import i WHERE i.id = import_chunk.import_id"
    op.execute(f"UPDATE import_chunk SET received_at = ({created})")
    with op.batch_alter_table("import_chunk") as table:
        table.alter_column("received_at", existing_type=db.Instant(), nullable=False)
    with op.batch_alter_table("stock_import") as table:
        table.drop_column("lot_id")
        table.alter_column("declared_sha256", new_column_name="root_sha256", existing_type=db.exact(64), nullable=True)
        table.alter_column("file_sha256", existing_type=db.exact(64), nullable=True)
        for name in FIGURES:
            table.alter_column(name, existing_type=db.BigInt, nullable=True)
    op.create_index("ix_stock_import_supplier_id", "stock_import", ["supplier_id", "id"])


def _secrets() -> None:
    with op.batch_alter_table("card_secret", table_kwargs={"sqlite_with_rowid": False}) as table:
        table.add_column(sa.Column("tail", db.exact(8)))
        table.drop_constraint("uq_card_secret_fingerprint", type_="unique")
        table.create_unique_constraint("uq_card_secret_fingerprint", ["fingerprint", "product_id"])


def _new_tables() -> None:
    op.create_table(
        "stock_void",
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("seq", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("lot_id", db.Uid(), nullable=False),
        sa.Column("reason", db.exact(200), nullable=False),
        sa.Column("actor", db.exact(80), nullable=False),
        sa.Column("voided_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", "seq", name="pk_stock_void"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stock_alert_rule",
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("below", db.BigInt),
        sa.Column("cover_days", sa.Integer()),
        sa.Column("expiring_days", sa.Integer()),
        sa.Column("changed_by", db.exact(80), nullable=False),
        sa.Column("changed_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", name="pk_stock_alert_rule"),
    )
    op.create_table(
        "stock_alert",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("supplier_id", db.Uid(), nullable=False),
        sa.Column("kind", db.exact(24), nullable=False),
        sa.Column("live_key", db.exact(80)),
        sa.Column("figure", db.BigInt, nullable=False),
        sa.Column("raised_at", db.Instant(), nullable=False),
        sa.Column("cleared_at", db.Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_stock_alert"),
        sa.UniqueConstraint("live_key", name="uq_stock_alert_live_key"),
    )
    op.create_index("ix_stock_alert_raised_at", "stock_alert", ["raised_at", "id"])
    op.create_index("ix_stock_alert_supplier_id", "stock_alert", ["supplier_id", "id"])
    op.create_table(
        "stock_day",
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("free", db.BigInt, nullable=False),
        sa.Column("sold", db.BigInt, nullable=False),
        sa.PrimaryKeyConstraint("sku_id", "day", name="pk_stock_day"),
    )
    op.create_index("ix_stock_day_day", "stock_day", ["day"])
    op.create_table(
        "invariant_look",
        sa.Column("id", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("pos", db.BigInt, nullable=False),
        sa.Column("looked_at", db.Instant(), nullable=False),
        sa.Column("whole_at", db.Instant(), nullable=False),
        sa.Column("findings", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_invariant_look"),
    )


class KeysWouldBeLost(RuntimeError):
    """The old schema cannot say how to open some keys. Nothing was changed."""


def _keep_every_key() -> None:
    """Raise KeysWouldBeLost while a lot has two data keys, units that share a key, or units that leave."""
    lots = "SELECT COUNT(*) FROM stock_lot WHERE"
    moving = f"{lots} next_wrapped_key IS NOT NULL OR uses > 1 OR withdrawing = {sa.true().compile(op.get_bind())}"
    if count := op.get_bind().scalar(sa.text(moving)):
        raise KeysWouldBeLost(f"{count} lots are being re-encrypted or withdrawn, or have reusable keys")


def downgrade() -> None:
    """Back to one lot an import. Lots of new numbers keep them; only what the old schema has no place for is lost."""
    _keep_every_key()
    for name in ("invariant_look", "stock_day", "stock_alert", "stock_alert_rule", "stock_void"):
        op.drop_table(name)
    op.drop_index("ix_shop_order_origin", "shop_order")
    op.drop_column("shop_order", "origin")
    op.drop_column("job_schedule", "steady_since")
    op.drop_index("ix_reveal_log_unit", "reveal_log")
    op.execute("DELETE FROM reveal_log WHERE order_line_id IS NULL")
    with op.batch_alter_table("reveal_log") as table:
        for name in ("sku_id", "seq", "reason"):
            table.drop_column(name)
        table.alter_column("order_line_id", existing_type=db.Uid(), nullable=False)
    with op.batch_alter_table("card_secret", table_kwargs={"sqlite_with_rowid": False}) as table:
        table.drop_column("tail")
        table.drop_constraint("uq_card_secret_fingerprint", type_="unique")
        table.create_unique_constraint("uq_card_secret_fingerprint", ["product_id", "fingerprint"])
    _imports_back()
    for name in ("ix_stock_lot_sku_id", "ix_stock_lot_import_id", "ix_stock_lot_master_version"):
        op.drop_index(name, "stock_lot")
    op.create_index("ix_stock_lot_sku_id", "stock_lot", ["sku_id", "id"])
    op.drop_table("stock_shelf")
    _cursors_back()
    op.drop_column("stock_series", "lots")
    for name in (
        "import_id", "number", "first_seq", "stride", "uses", "expires_on", "cost", "state_reason", "moved_by",
        "moved_at", "withdrawing", "frozen_by_shop", "next_wrapped_key", "next_master_version", "resealed_to",
    ):  # fmt: skip
        op.drop_column("stock_lot", name)
    for name in (
        "sale_order", "stop_days", "off_shelf_when_empty", "emptied", "key_min_length", "key_max_length",
        "key_alphabet", "key_check_digit", "key_ignore_case",
    ):  # fmt: skip
        op.drop_column("product", name)


def _imports_back() -> None:
    # What was not committed has no place in the old schema; it never was for sale, so its keys may come again.
    unfinished = "SELECT id FROM stock_import WHERE chunk_count IS NULL"
    lots = f"SELECT id FROM stock_lot WHERE import_id IN ({unfinished})"
    units = f"SELECT * FROM stock_unit u WHERE u.lot_id IN ({lots}) AND u.sku_id = card_secret.sku_id"
    op.execute(f"DELETE FROM card_secret WHERE EXISTS ({units} AND u.seq = card_secret.seq)")
    op.execute(f"DELETE FROM stock_unit WHERE lot_id IN ({lots})")
    op.execute(f"DELETE FROM stock_cursor WHERE lot_id IN ({lots})")
    op.execute(f"DELETE FROM stock_lot WHERE import_id IN ({unfinished})")
    op.execute(f"DELETE FROM import_chunk WHERE import_id IN ({unfinished})")
    op.execute("DELETE FROM stock_import WHERE chunk_count IS NULL")
    with op.batch_alter_table("import_chunk") as table:
        table.drop_column("cards")
        table.drop_column("received_at")
    op.drop_index("ix_stock_import_supplier_id", "stock_import")
    with op.batch_alter_table("stock_import") as table:
        table.add_column(sa.Column("lot_id", db.Uid()))
        table.alter_column("root_sha256", new_column_name="declared_sha256", existing_type=db.exact(64), nullable=False)
        table.alter_column("file_sha256", existing_type=db.exact(64), nullable=False)
        for name in FIGURES:
            table.alter_column(name, existing_type=db.BigInt, nullable=False)
    first = "SELECT MIN(l.id) FROM stock_lot l WHERE l.import_id = stock_import.id"
    if op.get_bind().dialect.name == "postgresql":  # no MIN of uuid before 18
        first = "SELECT l.id FROM stock_lot l WHERE l.import_id = stock_import.id ORDER BY l.id LIMIT 1"
    op.execute(f"UPDATE stock_import SET lot_id = ({first})")
