"""Payments that survive: channels switched, money without an order, exceptions decided by two, refunds to their end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _attempts_and_callbacks()
    _exceptions()
    _orders()
    _channels_and_unmatched()
    _refunds()
    _refund_parts()
    _stock()


def _attempts_and_callbacks() -> None:
    with op.batch_alter_table("payment_attempt") as table:
        table.alter_column("pay_url", existing_type=db.exact(512), type_=db.exact(2048), existing_nullable=True)
        table.alter_column("qr_text", existing_type=db.exact(512), type_=db.exact(2048), existing_nullable=True)
        table.add_column(sa.Column("product", db.exact(16), nullable=False, server_default="qr"))
        table.add_column(sa.Column("invoke", db.big_text()))
        table.add_column(sa.Column("payer_hash", db.exact(32)))
        table.add_column(sa.Column("valid_until", db.Instant()))
        table.add_column(sa.Column("paid_as", db.exact(64)))
        table.add_column(sa.Column("found_by", db.exact(16)))
        table.add_column(sa.Column("payer_total_fen", db.BigInt))
        table.add_column(sa.Column("fee_fen", db.BigInt))
        table.add_column(sa.Column("fee_is_final", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("payment_callback") as table:
        table.add_column(sa.Column("event_id", db.exact(128)))
        table.add_column(sa.Column("reason", db.exact(64)))
    op.create_index("ix_payment_callback_event", "payment_callback", ["channel", "event_id"])
    op.create_index("ix_payment_callback_received_at", "payment_callback", ["received_at"])


def _exceptions() -> None:
    with op.batch_alter_table("payment_exception") as table:
        for column in (
            sa.Column("state", db.exact(16), nullable=False, server_default="open"),
            sa.Column("unmatched_id", db.Uid()),
            sa.Column("refund_id", db.Uid()),
            sa.Column("evidence", db.big_text()),
            sa.Column("action", db.exact(24)),
            sa.Column("action_order_code", db.exact(16)),
            sa.Column("action_provider_no", db.exact(64)),
            sa.Column("note", db.exact(400)),
            sa.Column("proposed_by", db.exact(80)),
            sa.Column("proposed_at", db.Instant()),
            sa.Column("approved_by", db.exact(80)),
            sa.Column("closed_by", db.exact(80)),
            sa.Column("due_at", db.Instant()),
            sa.Column("version", db.BigInt, nullable=False, server_default="1"),
        ):
            table.add_column(column)
    for what in ("order", "attempt", "unmatched", "refund"):
        op.create_index(f"ix_payment_exception_{what}_id", "payment_exception", [f"{what}_id"])


def _orders() -> None:
    op.add_column("product", sa.Column("refund_policy", db.exact(16), nullable=False, server_default="defect_only"))
    op.add_column("order_line", sa.Column("refund_policy", db.exact(16), nullable=False, server_default="defect_only"))
    op.add_column("shop_order", sa.Column("policy_version", db.exact(16)))
    op.add_column("shop_order", sa.Column("refunded_fen", db.BigInt, nullable=False, server_default="0"))


def _channels_and_unmatched() -> None:
    op.create_table(
        "payment_channel",
        sa.Column("code", db.exact(16), primary_key=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("reason", db.exact(200)),
        sa.Column("changed_by", db.exact(80)),
        sa.Column("changed_at", db.Instant()),
        sa.Column("away_since", db.Instant()),
        sa.Column("away_why", db.exact(200)),
        sa.Column("answered_at", db.Instant()),
        sa.Column("version", db.BigInt, nullable=False),
    )
    op.create_table(
        "payment_bill",
        sa.Column("channel", db.exact(16), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("settled_at", db.Instant()),
        sa.Column("trouble", db.exact(16)),
        sa.Column("why", db.exact(200)),
        sa.Column("trouble_since", db.Instant()),
        sa.Column("payments", db.BigInt, nullable=False),
        sa.Column("news", db.BigInt, nullable=False),
        sa.Column("others", db.BigInt, nullable=False),
        sa.Column("others_fen", db.BigInt, nullable=False),
    )
    op.create_table(
        "payment_unmatched",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("provider_no", db.exact(64), nullable=False),
        sa.Column("out_trade_no", db.exact(64), nullable=False),
        sa.Column("attempt_id", db.Uid()),
        sa.Column("order_id", db.Uid()),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("paid_at", db.Instant(), nullable=False),
        sa.Column("found_by", db.exact(16), nullable=False),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("created_at", db.Instant(), nullable=False),
        sa.UniqueConstraint("channel", "provider_no", name="uq_payment_unmatched_provider_no"),
        sa.CheckConstraint("amount_fen > 0", name="ck_payment_unmatched_amount"),
    )


def _refunds() -> None:
    op.create_table(
        "payment_refund",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("out_refund_no", db.exact(32), nullable=False),
        sa.Column("order_id", db.Uid()),
        sa.Column("order_code", db.exact(16)),
        sa.Column("attempt_id", db.Uid()),
        sa.Column("unmatched_id", db.Uid()),
        sa.Column("made_for", db.Uid()),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("out_trade_no", db.exact(64), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("cause", db.exact(16), nullable=False),
        sa.Column("reason_kind", db.exact(16)),
        sa.Column("reason", db.exact(400), nullable=False),
        sa.Column("idempotency_key", db.exact(64)),
        sa.Column("content_sha256", db.exact(64)),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("turn", db.exact(16)),
        sa.Column("unseen", sa.Boolean(), nullable=False),
        sa.Column("wants_replacement", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("supplier_id", db.Uid()),
        sa.Column("asked_by", db.exact(80), nullable=False),
        sa.Column("asked_at", db.Instant(), nullable=False),
        sa.Column("due_at", db.Instant()),
        sa.Column("decided_by", db.exact(80)),
        sa.Column("checked_by", db.exact(80)),
        sa.Column("provider_refund_no", db.exact(64)),
        sa.Column("submitted_at", db.Instant()),
        sa.Column("refunded_at", db.Instant()),
        sa.Column("ended_at", db.Instant()),
        sa.Column("query_at", db.Instant()),
        sa.Column("queries", db.BigInt, nullable=False, server_default="0"),
        sa.Column("trouble", db.exact(24)),
        sa.Column("version", db.BigInt, nullable=False, server_default="1"),
        sa.UniqueConstraint("out_refund_no", name="uq_payment_refund_out_refund_no"),
        sa.UniqueConstraint("order_id", "idempotency_key", name="uq_payment_refund_idempotency"),
        sa.CheckConstraint("amount_fen > 0", name="ck_payment_refund_amount"),
    )
    op.create_index("ix_payment_refund_order_id", "payment_refund", ["order_id"])
    op.create_index("ix_payment_refund_attempt_id", "payment_refund", ["attempt_id"])
    op.create_index("ix_payment_refund_out_trade_no", "payment_refund", ["out_trade_no"])
    op.create_index("ix_payment_refund_turn", "payment_refund", ["turn", "due_at"])
    op.create_index("ix_payment_refund_query", "payment_refund", ["query_at"])
    op.create_index("ix_payment_refund_supplier_id", "payment_refund", ["supplier_id", "id"])


def _refund_parts() -> None:
    op.create_table(
        "payment_refund_line",
        sa.Column("refund_id", db.Uid(), primary_key=True),
        sa.Column("order_line_id", db.Uid(), primary_key=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("seqs", sa.JSON(), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("supplier_fen", db.BigInt, nullable=False),
        sa.Column("fee_fen", db.BigInt, nullable=False),
    )
    op.create_index("ix_payment_refund_line_order_line_id", "payment_refund_line", ["order_line_id"])
    op.create_table(
        "payment_refund_event",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("refund_id", db.Uid(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("actor", db.exact(80), nullable=False),
        sa.Column("what", db.exact(24), nullable=False),
        sa.Column("note", db.exact(1000), nullable=False, server_default=""),
    )
    op.create_index("ix_payment_refund_event_refund_id", "payment_refund_event", ["refund_id", "id"])
    op.create_table(
        "payment_replacement",
        sa.Column("order_line_id", db.Uid(), primary_key=True),
        sa.Column("seq", db.BigInt, primary_key=True, autoincrement=False),
        sa.Column("refund_id", db.Uid(), nullable=False),
        sa.Column("new_seq", db.BigInt, nullable=False),
        sa.Column("replaced_at", db.Instant(), nullable=False),
    )
    op.create_index("ix_payment_replacement_replaced_at", "payment_replacement", ["replaced_at"])


def _stock() -> None:
    op.add_column("reveal_log", sa.Column("seqs", sa.JSON()))
    op.create_table(
        "undone_delivery",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("sku_id", db.Uid(), nullable=False),
        sa.Column("seq", db.BigInt, nullable=False),
        sa.Column("order_line_id", db.Uid(), nullable=False),
        sa.Column("delivered_at", db.Instant(), nullable=False),
        sa.Column("undone_at", db.Instant(), nullable=False),
        sa.Column("actor", db.exact(80), nullable=False),
        sa.Column("reason", db.exact(24), nullable=False),
    )
    op.create_index("ix_undone_delivery_order_line_id", "undone_delivery", ["order_line_id"])
    op.create_index("ix_undone_delivery_unit", "undone_delivery", ["sku_id", "seq"])
    op.create_index("ix_undone_delivery_undone_at", "undone_delivery", ["undone_at"])


class MoneyWouldBeLost(RuntimeError):
    """The old schema cannot say where some money is. Nothing was changed."""


def _keep_all_money() -> None:
    """Raise MoneyWouldBeLost while money was set aside, given back, or is on its way back."""
    for table, what in (("payment_unmatched", "payments of no order"), ("payment_refund", "refunds")):
        if count := op.get_bind().scalar(sa.text(f"SELECT COUNT(*) FROM {table}")):
            raise MoneyWouldBeLost(f"{count} {what} have no place in the schema before")


def _drop_long_addresses() -> None:
    """What the narrower columns cannot hold: where buyers pay. Money of theirs that comes all the same is known."""
    for column in ("pay_url", "qr_text"):
        op.execute(sa.text(f"UPDATE payment_attempt SET {column} = NULL WHERE LENGTH({column}) > 512"))


def downgrade() -> None:
    _keep_all_money()
    _drop_long_addresses()
    op.drop_column("reveal_log", "seqs")
    for gone in (
        "undone_delivery",
        "payment_replacement",
        "payment_refund_event",
        "payment_refund_line",
        "payment_refund",
        "payment_unmatched",
        "payment_channel",
        "payment_bill",
    ):
        op.drop_table(gone)
    op.drop_column("shop_order", "refunded_fen")
    op.drop_column("shop_order", "policy_version")
    op.drop_column("order_line", "refund_policy")
    op.drop_column("product", "refund_policy")
    for what in ("order", "attempt", "unmatched", "refund"):
        op.drop_index(f"ix_payment_exception_{what}_id", "payment_exception")
    with op.batch_alter_table("payment_exception") as table:
        for name in (
            "state",
            "unmatched_id",
            "refund_id",
            "evidence",
            "action",
            "action_order_code",
            "action_provider_no",
            "note",
            "proposed_by",
            "proposed_at",
            "approved_by",
            "closed_by",
            "due_at",
            "version",
        ):
            table.drop_column(name)
    op.drop_index("ix_payment_callback_received_at", "payment_callback")
    op.drop_index("ix_payment_callback_event", "payment_callback")
    with op.batch_alter_table("payment_callback") as table:
        table.drop_column("reason")
        table.drop_column("event_id")
    with op.batch_alter_table("payment_attempt") as table:
        for name in (
            "product",
            "invoke",
            "payer_hash",
            "valid_until",
            "paid_as",
            "found_by",
            "payer_total_fen",
            "fee_fen",
            "fee_is_final",
        ):
            table.drop_column(name)
        table.alter_column("qr_text", existing_type=db.exact(2048), type_=db.exact(512), existing_nullable=True)
        table.alter_column("pay_url", existing_type=db.exact(2048), type_=db.exact(512), existing_nullable=True)
