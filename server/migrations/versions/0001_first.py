"""The first schema: people, catalogue, stock, orders, payments, ledger, jobs, feed and audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("audit_block", "audit_event", "ledger_journal", "ledger_transfer")


def upgrade() -> None:
    _audit_block()
    _audit_event()
    _audit_pending()
    _card_secret()
    _category()
    _change_head()
    _change_inbox()
    _change_log()
    _delivery()
    _device()
    _import_chunk()
    _import_refusal()
    _job()
    _job_schedule()
    _ledger_account()
    _ledger_balance()
    _ledger_journal()
    _ledger_transfer()
    _order_grant()
    _order_line()
    _payment_attempt()
    _payment_callback()
    _payment_exception()
    _product()
    _reveal_log()
    _shop_order()
    _sku()
    _staff_session()
    _staff_user()
    _stock_cursor()
    _stock_import()
    _stock_lot()
    _stock_returned()
    _stock_series()
    _stock_unit()
    _supplier()
    for table in APPEND_ONLY:
        for statement in db.append_only_ddl(op.get_bind().dialect.name, table):
            op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)


def _audit_block() -> None:
    op.create_table(
        "audit_block",
        sa.Column("n", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("events", db.blob(), nullable=False),
        sa.Column("before", db.blob(), nullable=False),
        sa.Column("after", db.blob(), nullable=False),
        sa.Column("sealed_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_audit_block"),
    )


def _audit_event() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("actor", db.exact(80), nullable=False),
        sa.Column("action", db.exact(64), nullable=False),
        sa.Column("entity", db.exact(32), nullable=False),
        sa.Column("entity_id", db.exact(64), nullable=False),
        sa.Column("request_id", db.exact(40)),
        sa.Column("detail", db.big_text()),
        sa.PrimaryKeyConstraint("id", name="pk_audit_event"),
    )


def _audit_pending() -> None:
    op.create_table(
        "audit_pending",
        sa.Column("event_id", db.Uid(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_audit_pending"),
    )


def _card_secret() -> None:
    op.create_table(
        "card_secret",
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("seq", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("product_id", db.Uid(), nullable=False),
        sa.Column("fingerprint", db.Digest16(), nullable=False),
        sa.Column("sealed", db.blob(), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", "seq", name="pk_card_secret"),
        sa.UniqueConstraint("product_id", "fingerprint", name="uq_card_secret_fingerprint"),
        sqlite_with_rowid=False,
    )


def _category() -> None:
    op.create_table(
        "category",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("code", db.exact(64), nullable=False),
        sa.Column("name", db.exact(120), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_category"),
        sa.UniqueConstraint("code", name="uq_category_code"),
    )


def _change_head() -> None:
    op.create_table(
        "change_head",
        sa.Column("id", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("pos", db.BigInt, nullable=False),
        sa.Column("epoch", db.Uid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change_head"),
    )


def _change_inbox() -> None:
    op.create_table(
        "change_inbox",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("entity", db.exact(32), nullable=False),
        sa.Column("entity_id", db.Uid(), nullable=False),
        sa.Column("op", db.exact(8), nullable=False),
        sa.Column("supplier_id", db.Uid()),
        sa.Column("domain", db.exact(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change_inbox"),
    )


def _change_log() -> None:
    op.create_table(
        "change_log",
        sa.Column("pos", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("entity", db.exact(32), nullable=False),
        sa.Column("entity_id", db.Uid(), nullable=False),
        sa.Column("op", db.exact(8), nullable=False),
        sa.Column("supplier_id", db.Uid()),
        sa.Column("domain", db.exact(16), nullable=False),
        sa.Column("logged_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("pos", name="pk_change_log"),
    )
    op.create_index("ix_change_log_supplier_id", "change_log", ["supplier_id", "pos"])


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("seq", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("order_line_id", db.Uid(), nullable=False),
        sa.Column("delivered_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", "seq", name="pk_delivery"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_delivery_order_line_id", "delivery", ["order_line_id"])


def _device() -> None:
    op.create_table(
        "device",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("user_id", db.Uid(), nullable=False),
        sa.Column("name", db.exact(120), nullable=False),
        sa.Column("platform", db.exact(120), nullable=False),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.Column("seen_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", "user_id", name="pk_device"),
    )


def _import_chunk() -> None:
    op.create_table(
        "import_chunk",
        sa.Column("import_id", db.Uid(), nullable=False),
        sa.Column("n", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("sha256", db.exact(64), nullable=False),
        sa.Column("sealed", db.blob()),
        sa.PrimaryKeyConstraint("import_id", "n", name="pk_import_chunk"),
    )


def _import_refusal() -> None:
    op.create_table(
        "import_refusal",
        sa.Column("import_id", db.Uid(), nullable=False),
        sa.Column("line", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("result", db.exact(24), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "line", name="pk_import_refusal"),
    )


def _job() -> None:
    op.create_table(
        "job",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("kind", db.exact(64), nullable=False),
        sa.Column("args", db.big_text(), nullable=False),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("run_at", db.Instant(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("lease_until", db.Instant()),
        sa.Column("worker", db.Uid()),
        sa.Column("unique_key", db.exact(120)),
        sa.Column("last_error", db.exact(500)),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.Column("finished_at", db.Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.UniqueConstraint("unique_key", name="uq_job_unique_key"),
    )
    op.create_index("ix_job_due", "job", ["state", "run_at"])


def _job_schedule() -> None:
    op.create_table(
        "job_schedule",
        sa.Column("name", db.exact(64), nullable=False),
        sa.Column("next_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_job_schedule"),
    )


def _ledger_account() -> None:
    op.create_table(
        "ledger_account",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("kind", db.exact(32), nullable=False),
        sa.Column("owner", db.exact(64), nullable=False),
        sa.Column("side", db.exact(1), nullable=False),
        sa.Column("slots", sa.SmallInteger(), nullable=False),
        sa.Column("opened_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_account"),
        sa.UniqueConstraint("kind", "owner", name="uq_ledger_account_kind"),
    )


def _ledger_balance() -> None:
    op.create_table(
        "ledger_balance",
        sa.Column("account_id", db.Uid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("debits_fen", db.BigInt, nullable=False),
        sa.Column("credits_fen", db.BigInt, nullable=False),
        sa.Column("floor_fen", db.BigInt),
        sa.CheckConstraint(
            "floor_fen IS NULL OR credits_fen - debits_fen >= floor_fen", name=op.f("ck_ledger_balance_floor")
        ),
        sa.PrimaryKeyConstraint("account_id", "slot", name="pk_ledger_balance"),
    )


def _ledger_journal() -> None:
    op.create_table(
        "ledger_journal",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("key", db.exact(120), nullable=False),
        sa.Column("code", db.exact(16), nullable=False),
        sa.Column("order_id", db.Uid()),
        sa.Column("content_sha256", db.exact(64), nullable=False),
        sa.Column("occurred_at", db.Instant(), nullable=False),
        sa.Column("posted_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_journal"),
        sa.UniqueConstraint("key", name="uq_ledger_journal_key"),
    )
    op.create_index("ix_ledger_journal_occurred_at", "ledger_journal", ["occurred_at", "id"])
    op.create_index("ix_ledger_journal_order_id", "ledger_journal", ["order_id"])


def _ledger_transfer() -> None:
    op.create_table(
        "ledger_transfer",
        sa.Column("journal_id", db.Uid(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("debit_id", db.Uid(), nullable=False),
        sa.Column("credit_id", db.Uid(), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_ledger_transfer_positive")),
        sa.CheckConstraint("debit_id <> credit_id", name=op.f("ck_ledger_transfer_two_accounts")),
        sa.PrimaryKeyConstraint("journal_id", "n", name="pk_ledger_transfer"),
    )
    op.create_index("ix_ledger_transfer_credit_id", "ledger_transfer", ["credit_id", "journal_id"])
    op.create_index("ix_ledger_transfer_debit_id", "ledger_transfer", ["debit_id", "journal_id"])


def _order_grant() -> None:
    op.create_table(
        "order_grant",
        sa.Column("order_id", db.Uid(), nullable=False),
        sa.Column("buyer_id", db.Uid(), nullable=False),
        sa.Column("granted_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "buyer_id", name="pk_order_grant"),
    )


def _order_line() -> None:
    op.create_table(
        "order_line",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("order_id", db.Uid(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("sku_code", db.exact(64), nullable=False),
        sa.Column("product_id", db.Uid(), nullable=False),
        sa.Column("product_code", db.exact(64), nullable=False),
        sa.Column("title", db.exact(250), nullable=False),
        sa.Column("supplier_id", db.Uid(), nullable=False),
        sa.Column("unit_price", db.BigInt, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("supplier_fen", db.BigInt, nullable=False),
        sa.Column("fee_fen", db.BigInt, nullable=False),
        sa.Column("fee_ppm", db.BigInt, nullable=False),
        sa.Column("seqs", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_order_line"),
    )
    op.create_index("ix_order_line_order_id", "order_line", ["order_id"])
    op.create_index("ix_order_line_supplier_id", "order_line", ["supplier_id", "id"])


def _payment_attempt() -> None:
    op.create_table(
        "payment_attempt",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("order_id", db.Uid(), nullable=False),
        sa.Column("order_code", db.exact(16), nullable=False),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("out_trade_no", db.exact(32), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("subject", db.exact(128), nullable=False),
        sa.Column("state", db.exact(24), nullable=False),
        sa.Column("pay_url", db.exact(512)),
        sa.Column("qr_text", db.exact(512)),
        sa.Column("provider_no", db.exact(64)),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.Column("expires_at", db.Instant(), nullable=False),
        sa.Column("paid_at", db.Instant()),
        sa.Column("query_at", db.Instant()),
        sa.Column("queries", db.BigInt, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payment_attempt"),
        sa.UniqueConstraint("out_trade_no", name="uq_payment_attempt_out_trade_no"),
        sa.UniqueConstraint("channel", "provider_no", name="uq_payment_attempt_provider_no"),
    )
    op.create_index("ix_payment_attempt_due", "payment_attempt", ["state", "query_at"])
    op.create_index("ix_payment_attempt_order_id", "payment_attempt", ["order_id"])
    op.create_index("ix_payment_attempt_paid_at", "payment_attempt", ["paid_at", "id"])


def _payment_callback() -> None:
    op.create_table(
        "payment_callback",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("digest", db.exact(64), nullable=False),
        sa.Column("out_trade_no", db.exact(64), nullable=False),
        sa.Column("state", db.exact(24), nullable=False),
        sa.Column("headers", db.blob(), nullable=False),
        sa.Column("body", db.blob(), nullable=False),
        sa.Column("received_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payment_callback"),
        sa.UniqueConstraint("channel", "digest", name="uq_payment_callback_digest"),
    )


def _payment_exception() -> None:
    op.create_table(
        "payment_exception",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("key", db.exact(120), nullable=False),
        sa.Column("kind", db.exact(32), nullable=False),
        sa.Column("order_id", db.Uid()),
        sa.Column("order_code", db.exact(16)),
        sa.Column("attempt_id", db.Uid()),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("out_trade_no", db.exact(64), nullable=False),
        sa.Column("provider_no", db.exact(64)),
        sa.Column("expected_fen", db.BigInt),
        sa.Column("received_fen", db.BigInt),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.Column("closed_at", db.Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_payment_exception"),
        sa.UniqueConstraint("key", name="uq_payment_exception_key"),
    )
    op.create_index("ix_payment_exception_open", "payment_exception", ["closed_at", "id"])


def _product() -> None:
    op.create_table(
        "product",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("category_id", db.Uid(), nullable=False),
        sa.Column("supplier_id", db.Uid(), nullable=False),
        sa.Column("code", db.exact(64), nullable=False),
        sa.Column("name", db.exact(120), nullable=False),
        sa.Column("summary", db.exact(200), nullable=False),
        sa.Column("description", db.big_text(), nullable=False),
        sa.Column("picture", db.exact(64)),
        sa.Column("fee_ppm", sa.Integer()),
        sa.Column("state", db.exact(24), nullable=False),
        sa.Column("version", db.BigInt, nullable=False),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.Column("published_at", db.Instant()),
        sa.CheckConstraint("fee_ppm >= 0 AND fee_ppm <= 1000000", name=op.f("ck_product_fee")),
        sa.PrimaryKeyConstraint("id", name="pk_product"),
        sa.UniqueConstraint("code", name="uq_product_code"),
    )
    op.create_index("ix_product_state", "product", ["state", "category_id"])
    op.create_index("ix_product_supplier_id", "product", ["supplier_id", "id"])


def _reveal_log() -> None:
    op.create_table(
        "reveal_log",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("order_line_id", db.Uid(), nullable=False),
        sa.Column("actor", db.exact(80), nullable=False),
        sa.Column("units", db.BigInt, nullable=False),
        sa.Column("request_id", db.exact(40), nullable=False),
        sa.Column("revealed_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reveal_log"),
    )
    op.create_index("ix_reveal_log_order_line_id", "reveal_log", ["order_line_id"])


def _shop_order() -> None:
    op.create_table(
        "shop_order",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("code", db.exact(16), nullable=False),
        sa.Column("buyer_id", db.Uid(), nullable=False),
        sa.Column("idempotency_key", db.exact(64), nullable=False),
        sa.Column("content_sha256", db.exact(64), nullable=False),
        sa.Column("state", db.exact(24), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.Column("expires_at", db.Instant(), nullable=False),
        sa.Column("due_at", db.Instant()),
        sa.Column("paid_at", db.Instant()),
        sa.Column("delivered_at", db.Instant()),
        sa.Column("completed_at", db.Instant()),
        sa.Column("first_viewed_at", db.Instant()),
        sa.Column("version", db.BigInt, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shop_order"),
        sa.UniqueConstraint("code", name="uq_shop_order_code"),
        sa.UniqueConstraint("buyer_id", "idempotency_key", name="uq_shop_order_idempotency"),
    )
    op.create_index("ix_shop_order_created_at", "shop_order", ["created_at", "id"])
    op.create_index("ix_shop_order_due", "shop_order", ["state", "due_at"])
    op.create_index("ix_shop_order_paid_at", "shop_order", ["paid_at", "id"])


def _sku() -> None:
    op.create_table(
        "sku",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("product_id", db.Uid(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("code", db.exact(64), nullable=False),
        sa.Column("name", db.exact(120), nullable=False),
        sa.Column("unit_price", db.BigInt, nullable=False),
        sa.Column("max_quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("unit_price > 0", name=op.f("ck_sku_price")),
        sa.CheckConstraint("max_quantity >= 1 AND max_quantity <= 1000", name=op.f("ck_sku_quantity")),
        sa.PrimaryKeyConstraint("id", name="pk_sku"),
        sa.UniqueConstraint("code", name="uq_sku_code"),
    )
    op.create_index("ix_sku_product_id", "sku", ["product_id", "n"])


def _staff_session() -> None:
    op.create_table(
        "staff_session",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("user_id", db.Uid(), nullable=False),
        sa.Column("device_id", db.Uid(), nullable=False),
        sa.Column("token_sha256", db.exact(64), nullable=False),
        sa.Column("previous_sha256", db.exact(64)),
        sa.Column("previous_used", sa.Boolean(), nullable=False),
        sa.Column("rotated_at", db.Instant(), nullable=False),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.Column("seen_at", db.Instant(), nullable=False),
        sa.Column("expires_at", db.Instant(), nullable=False),
        sa.Column("ended_at", db.Instant()),
        sa.Column("end_reason", db.exact(24)),
        sa.PrimaryKeyConstraint("id", name="pk_staff_session"),
        sa.UniqueConstraint("token_sha256", name="uq_staff_session_token_sha256"),
    )
    op.create_index("ix_staff_session_previous_sha256", "staff_session", ["previous_sha256"])
    op.create_index("ix_staff_session_user_id", "staff_session", ["user_id", "ended_at"])


def _staff_user() -> None:
    op.create_table(
        "staff_user",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("login", db.exact(64), nullable=False),
        sa.Column("name", db.exact(120), nullable=False),
        sa.Column("role", db.exact(16), nullable=False),
        sa.Column("supplier_id", db.Uid()),
        sa.Column("password_hash", db.exact(255), nullable=False),
        sa.Column("password_at", db.Instant(), nullable=False),
        sa.Column("totp_sealed", db.blob()),
        sa.Column("totp_pending", db.blob()),
        sa.Column("totp_last", db.BigInt, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.CheckConstraint("(role = 'supplier') = (supplier_id IS NOT NULL)", name=op.f("ck_staff_user_supplier")),
        sa.PrimaryKeyConstraint("id", name="pk_staff_user"),
        sa.UniqueConstraint("login", name="uq_staff_user_login"),
    )
    op.create_index("ix_staff_user_supplier_id", "staff_user", ["supplier_id"])


def _stock_cursor() -> None:
    op.create_table(
        "stock_cursor",
        sa.Column("lot_id", db.Uid(), nullable=False),
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("rank", db.BigInt, nullable=False),
        sa.Column("selling", sa.Boolean(), nullable=False),
        sa.Column("first_seq", db.BigInt, nullable=False),
        sa.Column("next_seq", db.BigInt, nullable=False),
        sa.Column("end_seq", db.BigInt, nullable=False),
        sa.Column("imported", db.BigInt, nullable=False),
        sa.Column("free", db.BigInt, nullable=False),
        sa.Column("held", db.BigInt, nullable=False),
        sa.Column("sold", db.BigInt, nullable=False),
        sa.Column("void", db.BigInt, nullable=False),
        sa.CheckConstraint("free + held + sold + void = imported", name=op.f("ck_stock_cursor_adds_up")),
        sa.CheckConstraint("free >= 0 AND held >= 0 AND sold >= 0 AND void >= 0", name=op.f("ck_stock_cursor_counts")),
        sa.PrimaryKeyConstraint("lot_id", name="pk_stock_cursor"),
    )
    op.create_index("ix_stock_cursor_sku_id_rank", "stock_cursor", ["sku_id", "rank"])


def _stock_import() -> None:
    op.create_table(
        "stock_import",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("sku_code", db.exact(64), nullable=False),
        sa.Column("product_id", db.Uid(), nullable=False),
        sa.Column("supplier_id", db.Uid(), nullable=False),
        sa.Column("lot_id", db.Uid()),
        sa.Column("state", db.exact(24), nullable=False),
        sa.Column("file_name", db.exact(120), nullable=False),
        sa.Column("file_sha256", db.exact(64), nullable=False),
        sa.Column("key_id", db.exact(32), nullable=False),
        sa.Column("declared_sha256", db.exact(64), nullable=False),
        sa.Column("read_rows", db.BigInt, nullable=False),
        sa.Column("valid_rows", db.BigInt, nullable=False),
        sa.Column("duplicate_rows", db.BigInt, nullable=False),
        sa.Column("refused_rows", db.BigInt, nullable=False),
        sa.Column("skipped_rows", db.BigInt, nullable=False),
        sa.Column("chunk_count", db.BigInt, nullable=False),
        sa.Column("next_chunk", db.BigInt, nullable=False),
        sa.Column("stored", db.BigInt, nullable=False),
        sa.Column("duplicates", db.BigInt, nullable=False),
        sa.Column("refused", db.BigInt, nullable=False),
        sa.Column("created_by", db.exact(80), nullable=False),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.Column("finished_at", db.Instant()),
        sa.PrimaryKeyConstraint("id", name="pk_stock_import"),
    )


def _stock_lot() -> None:
    op.create_table(
        "stock_lot",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("product_id", db.Uid(), nullable=False),
        sa.Column("supplier_id", db.Uid(), nullable=False),
        sa.Column("state", db.exact(24), nullable=False),
        sa.Column("file_name", db.exact(120), nullable=False),
        sa.Column("wrapped_key", db.blob(), nullable=False),
        sa.Column("master_version", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.Column("version", db.BigInt, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stock_lot"),
    )
    op.create_index("ix_stock_lot_sku_id", "stock_lot", ["sku_id", "id"])


def _stock_returned() -> None:
    op.create_table(
        "stock_returned",
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("seq", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("lot_id", db.Uid(), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", "seq", name="pk_stock_returned"),
        sqlite_with_rowid=False,
    )


def _stock_series() -> None:
    op.create_table(
        "stock_series",
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("next_seq", db.BigInt, nullable=False),
        sa.PrimaryKeyConstraint("sku_id", name="pk_stock_series"),
    )


def _stock_unit() -> None:
    op.create_table(
        "stock_unit",
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("seq", db.BigInt, nullable=False, autoincrement=False),
        sa.Column("lot_id", db.Uid(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("order_line_id", db.Uid()),
        sa.PrimaryKeyConstraint("sku_id", "seq", name="pk_stock_unit"),
        sqlite_with_rowid=False,
    )


def _supplier() -> None:
    op.create_table(
        "supplier",
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("name", db.exact(120), nullable=False),
        sa.Column("fee_ppm", sa.Integer(), nullable=False),
        sa.Column("settlement_mode", db.exact(24), nullable=False),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.CheckConstraint("fee_ppm >= 0 AND fee_ppm <= 1000000", name=op.f("ck_supplier_fee")),
        sa.PrimaryKeyConstraint("id", name="pk_supplier"),
        sa.UniqueConstraint("name", name="uq_supplier_name"),
    )


TABLES = (
    "audit_block",
    "audit_event",
    "audit_pending",
    "card_secret",
    "category",
    "change_head",
    "change_inbox",
    "change_log",
    "delivery",
    "device",
    "import_chunk",
    "import_refusal",
    "job",
    "job_schedule",
    "ledger_account",
    "ledger_balance",
    "ledger_journal",
    "ledger_transfer",
    "order_grant",
    "order_line",
    "payment_attempt",
    "payment_callback",
    "payment_exception",
    "product",
    "reveal_log",
    "shop_order",
    "sku",
    "staff_session",
    "staff_user",
    "stock_cursor",
    "stock_import",
    "stock_lot",
    "stock_returned",
    "stock_series",
    "stock_unit",
    "supplier",
)
