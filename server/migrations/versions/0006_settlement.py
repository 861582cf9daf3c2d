"""Settlement: terms, the calendar, fee rules, holds, numbered statements with their lines, and payouts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _fees()
    _terms()
    _statements()
    _lines()
    _payouts()


def _fees() -> None:
    op.add_column("supplier", sa.Column("tier", db.exact(32), nullable=False, server_default="standard"))
    op.add_column("product", sa.Column("rule_fee_ppm", sa.Integer()))
    op.add_column("product", sa.Column("rule_fee_unit_price", db.BigInt))
    op.create_table(
        "fee_rule",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("product_id", db.Uid()),
        sa.Column("product_code", db.exact(64)),
        sa.Column("tier", db.exact(32)),
        sa.Column("kind", db.exact(16), nullable=False),
        sa.Column("ppm", sa.Integer(), nullable=False),
        sa.Column("unit_price", db.BigInt, nullable=False),
        sa.Column("reason", db.exact(400), nullable=False),
        sa.Column("valid_from", db.Instant(), nullable=False),
        sa.Column("changed_by", db.exact(80), nullable=False),
        sa.CheckConstraint("product_id IS NOT NULL OR tier IS NOT NULL", name="ck_fee_rule_of"),
        sa.CheckConstraint("ppm >= 0 AND ppm <= 1000000 AND unit_price >= 0", name="ck_fee_rule_fee"),
    )
    op.create_index("ix_fee_rule_product_id", "fee_rule", ["product_id", "tier"])


def _terms() -> None:
    op.create_table(
        "settlement_terms",
        sa.Column("supplier_id", db.Uid(), primary_key=True),
        sa.Column("version", db.BigInt, primary_key=True, autoincrement=False),
        sa.Column("mode", db.exact(24), nullable=False),
        sa.Column("cycle", db.exact(16), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("cutoff", sa.Time(), nullable=False),
        sa.Column("release_from", db.exact(16), nullable=False),
        sa.Column("hold_days", sa.Integer(), nullable=False),
        sa.Column("minimum_fen", db.BigInt, nullable=False),
        sa.Column("payout_fee_fen", db.BigInt, nullable=False),
        sa.Column("tier", db.exact(32), nullable=False),
        sa.Column("reason", db.exact(400), nullable=False),
        sa.Column("valid_from", db.Instant(), nullable=False),
        sa.Column("changed_by", db.exact(80), nullable=False),
    )
    op.create_table(
        "settlement_holiday",
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("works", sa.Boolean(), nullable=False),
        sa.Column("name", db.exact(80), nullable=False),
        sa.Column("changed_by", db.exact(80), nullable=False),
        sa.Column("changed_at", db.Instant(), nullable=False),
    )
    op.create_table(
        "settlement_hold",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("order_id", db.Uid()),
        sa.Column("order_code", db.exact(16)),
        sa.Column("supplier_id", db.Uid()),
        sa.Column("reason", db.exact(400), nullable=False),
        sa.Column("until_day", sa.Date()),
        sa.Column("held_by", db.exact(80), nullable=False),
        sa.Column("held_at", db.Instant(), nullable=False),
        sa.Column("freed_by", db.exact(80)),
        sa.Column("freed_at", db.Instant()),
        sa.CheckConstraint("(order_id IS NULL) <> (supplier_id IS NULL)", name="ck_settlement_hold_one"),
    )
    op.create_index("ix_settlement_hold_freed_at", "settlement_hold", ["freed_at", "id"])


def _statements() -> None:
    op.create_table(
        "settlement_turn",
        sa.Column("supplier_id", db.Uid(), primary_key=True),
        sa.Column("turn", db.BigInt, nullable=False),
        sa.Column("owing_since", db.Instant()),
        sa.Column("told_at", db.Instant()),
    )
    op.create_table(
        "settlement_number",
        sa.Column("prefix", db.exact(8), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("last", db.BigInt, nullable=False),
    )
    op.create_table(
        "settlement_run",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("what", db.exact(16), nullable=False),
        sa.Column("content_sha256", db.exact(64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("made_by", db.exact(80), nullable=False),
        sa.Column("made_at", db.Instant(), nullable=False),
    )
    op.create_table(
        "settlement_statement",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("number", db.exact(24), nullable=False),
        sa.Column("run_id", db.Uid(), nullable=False),
        sa.Column("supplier_id", db.Uid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("mode", db.exact(24), nullable=False),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("release_fen", db.BigInt, nullable=False),
        sa.Column("deductions_fen", db.BigInt, nullable=False),
        sa.Column("owed_fen", db.BigInt, nullable=False),
        sa.Column("payout_fee_fen", db.BigInt, nullable=False),
        sa.Column("payable_fen", db.BigInt, nullable=False),
        sa.Column("payout_id", db.Uid()),
        sa.Column("made_by", db.exact(80), nullable=False),
        sa.Column("made_at", db.Instant(), nullable=False),
        sa.Column("confirmed_by", db.exact(80)),
        sa.Column("confirmed_at", db.Instant()),
        sa.Column("paid_at", db.Instant()),
        sa.Column("version", db.BigInt, nullable=False),
        sa.UniqueConstraint("number", name="uq_settlement_statement_number"),
        sa.CheckConstraint("payable_fen >= 0", name="ck_settlement_statement_payable"),
    )
    op.create_index("ix_settlement_statement_supplier_id", "settlement_statement", ["supplier_id", "id"])
    op.create_index("ix_settlement_statement_state", "settlement_statement", ["state", "id"])
    op.create_index("ix_settlement_statement_run_id", "settlement_statement", ["run_id"])
    op.create_index("ix_settlement_statement_payout_id", "settlement_statement", ["payout_id"])


def _lines() -> None:
    op.create_table(
        "unsettled_line",
        sa.Column("order_line_id", db.Uid(), primary_key=True),
        sa.Column("supplier_id", db.Uid(), nullable=False),
    )
    op.create_index("ix_unsettled_line_supplier_id", "unsettled_line", ["supplier_id", "order_line_id"])
    op.execute(
        "INSERT INTO unsettled_line (order_line_id, supplier_id) SELECT order_line.id, order_line.supplier_id"
        " FROM order_line JOIN shop_order ON shop_order.id = order_line.order_id"
        " WHERE shop_order.delivered_at IS NOT NULL"
    )
    op.create_table(
        "settlement_item",
        sa.Column("order_line_id", db.Uid(), primary_key=True),
        sa.Column("statement_id", db.Uid(), nullable=False),
        sa.Column("order_id", db.Uid(), nullable=False),
        sa.Column("share_fen", db.BigInt, nullable=False),
        sa.Column("refunded_fen", db.BigInt, nullable=False),
        sa.CheckConstraint("share_fen - refunded_fen >= 0", name="ck_settlement_item_net"),
    )
    op.create_index("ix_settlement_item_statement_id", "settlement_item", ["statement_id", "order_line_id"])
    op.create_table(
        "settlement_deduction",
        sa.Column("refund_id", db.Uid(), primary_key=True),
        sa.Column("order_line_id", db.Uid(), primary_key=True),
        sa.Column("statement_id", db.Uid(), nullable=False),
        sa.Column("netted", sa.Boolean(), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
    )
    op.create_index("ix_settlement_deduction_statement_id", "settlement_deduction", ["statement_id", "netted"])


def _payouts() -> None:
    op.create_table(
        "settlement_payout",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("number", db.exact(24), nullable=False),
        sa.Column("supplier_id", db.Uid(), nullable=False),
        sa.Column("mode", db.exact(24), nullable=False),
        sa.Column("statements", sa.JSON(), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("fee_fen", db.BigInt, nullable=False),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("content_sha256", db.exact(64), nullable=False),
        sa.Column("made_by", db.exact(80), nullable=False),
        sa.Column("made_at", db.Instant(), nullable=False),
        sa.Column("checked_by", db.exact(80)),
        sa.Column("checked_at", db.Instant()),
        sa.Column("sent_at", db.Instant()),
        sa.Column("ended_at", db.Instant()),
        sa.Column("reference", db.exact(64), nullable=False),
        sa.Column("note", db.exact(400), nullable=False),
        sa.Column("result_sha256", db.exact(64)),
        sa.Column("version", db.BigInt, nullable=False),
        sa.UniqueConstraint("number", name="uq_settlement_payout_number"),
        sa.CheckConstraint("amount_fen > 0", name="ck_settlement_payout_amount"),
        sa.CheckConstraint("checked_by IS NULL OR checked_by <> made_by", name="ck_settlement_payout_two_people"),
    )
    op.create_table(
        "settlement_split",
        sa.Column("payout_id", db.Uid(), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("order_id", db.Uid(), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
    )
    op.create_index("ix_settlement_split_order_id", "settlement_split", ["order_id"])
    op.create_index("ix_settlement_payout_supplier_id", "settlement_payout", ["supplier_id", "id"])
    op.create_index("ix_settlement_payout_state", "settlement_payout", ["state", "id"])


class MoneyWouldBeLost(RuntimeError):
    """The old schema cannot say what suppliers were released and paid. Nothing was changed."""


def _keep_all_money() -> None:
    """Raise MoneyWouldBeLost once anything was released: the lines would be released again, and paid again."""
    counted = "SELECT COUNT(*) FROM settlement_statement WHERE state IN ('confirmed', 'paid')"
    if count := op.get_bind().scalar(sa.text(counted)):
        raise MoneyWouldBeLost(f"{count} statements were confirmed and have no place in the schema before")


def downgrade() -> None:
    _keep_all_money()
    for gone in (
        "settlement_split",
        "settlement_payout",
        "settlement_deduction",
        "settlement_item",
        "unsettled_line",
        "settlement_statement",
        "settlement_run",
        "settlement_number",
        "settlement_turn",
        "settlement_hold",
        "settlement_holiday",
        "settlement_terms",
        "fee_rule",
    ):
        op.drop_table(gone)
    op.drop_column("product", "rule_fee_unit_price")
    op.drop_column("product", "rule_fee_ppm")
    op.drop_column("supplier", "tier")
