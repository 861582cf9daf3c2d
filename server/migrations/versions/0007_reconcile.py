"""Reconciliation: bills as they came, what differs, sweeps to the bank, and signed days."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


class SignedDaysWouldBeLost(RuntimeError):
    """The schema before has no place for them."""


def upgrade() -> None:
    _bills()
    _days()
    _rows()
    _differences()
    _sweeps()
    dialect = op.get_bind().dialect.name
    guards = db.append_only_ddl(dialect, "reconcile_signature")
    for table in ("reconcile_day", "reconcile_difference"):
        guards += db.append_only_ddl(dialect, table, once="is_signed")
    for statement in guards:
        op.execute(statement)


def _bills() -> None:
    op.create_table(
        "payment_bill_file",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("kind", db.exact(16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("merchant_id", db.exact(64), nullable=False),
        sa.Column("name", db.exact(200), nullable=False),
        sa.Column("source", db.exact(16), nullable=False),
        sa.Column("added_by", db.exact(80), nullable=False),
        sa.Column("added_at", db.Instant(), nullable=False),
        sa.Column("size", db.BigInt, nullable=False),
        sa.Column("row_count", db.BigInt, nullable=False),
        sa.Column("sha1", db.exact(40), nullable=False),
        sa.Column("sha256", db.exact(64), nullable=False),
        sa.Column("totals", db.big_text(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.UniqueConstraint("channel", "kind", "day", "sha256", name="uq_payment_bill_file_sha256"),
    )
    op.create_index("ix_payment_bill_file_day", "payment_bill_file", ["day", "channel"])
    op.create_table(
        "payment_bill_piece",
        sa.Column("file_id", db.Uid(), primary_key=True),
        sa.Column("n", db.BigInt, primary_key=True, autoincrement=False),
        sa.Column("sealed", db.blob(), nullable=False),
    )


def _days() -> None:
    op.create_table(
        "reconcile_day",
        sa.Column("channel", db.exact(16), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("run_at", db.Instant(), nullable=False),
        sa.Column("run_by", db.exact(80), nullable=False),
        sa.Column("trades_file_id", db.Uid()),
        sa.Column("funds_file_id", db.Uid()),
        sa.Column("figures", db.big_text(), nullable=False),
        sa.Column("inputs_sha256", db.exact(64), nullable=False),
        sa.Column("outputs_sha256", db.exact(64), nullable=False),
        sa.Column("is_signed", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_reconcile_day_day", "reconcile_day", ["day", "channel"])
    op.create_table(
        "reconcile_signature",
        sa.Column("channel", db.exact(16), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("signed_by", db.exact(80), nullable=False),
        sa.Column("signed_at", db.Instant(), nullable=False),
        sa.Column("note", db.exact(400), nullable=False),
        sa.Column("inputs_sha256", db.exact(64), nullable=False),
        sa.Column("outputs_sha256", db.exact(64), nullable=False),
    )


def _rows() -> None:
    op.create_table(
        "reconcile_row",
        sa.Column("file_id", db.Uid(), primary_key=True),
        sa.Column("n", db.BigInt, primary_key=True, autoincrement=False),
        sa.Column("kind", db.exact(16), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("ended_at", db.Instant()),
        sa.Column("provider_no", db.exact(64), nullable=False),
        sa.Column("out_trade_no", db.exact(64), nullable=False),
        sa.Column("refund_no", db.exact(64), nullable=False),
        sa.Column("out_refund_no", db.exact(64), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("fee_fen", db.BigInt, nullable=False),
        sa.Column("balance_fen", db.BigInt),
        sa.Column("fee_ppm", db.BigInt),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("fund_no", db.exact(64), nullable=False),
        sa.Column("note", db.exact(200), nullable=False),
        sa.Column("matched_id", db.Uid()),
        sa.Column("matched_by", db.exact(16)),
    )
    op.create_index("ix_reconcile_row_provider_no", "reconcile_row", ["provider_no"])
    op.create_index("ix_reconcile_row_matched_id", "reconcile_row", ["matched_id"])


def _differences() -> None:
    op.create_table(
        "reconcile_difference",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("origin_id", db.Uid(), nullable=False),
        sa.Column("number", db.exact(32), nullable=False),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", db.exact(24), nullable=False),
        sa.Column("ours_id", db.Uid()),
        sa.Column("ours_fen", db.BigInt),
        sa.Column("theirs_fen", db.BigInt),
        sa.Column("ours_state", db.exact(24), nullable=False),
        sa.Column("theirs_state", db.exact(24), nullable=False),
        sa.Column("out_trade_no", db.exact(64), nullable=False),
        sa.Column("provider_no", db.exact(64), nullable=False),
        sa.Column("out_refund_no", db.exact(64), nullable=False),
        sa.Column("order_code", db.exact(16)),
        sa.Column("file_id", db.Uid()),
        sa.Column("bill_row", db.BigInt),
        sa.Column("found_at", db.Instant(), nullable=False),
        sa.Column("carried_from", sa.Date()),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("proposed", db.exact(16), nullable=False),
        sa.Column("action", db.exact(16)),
        sa.Column("action_order_code", db.exact(16)),
        sa.Column("note", db.exact(400), nullable=False),
        sa.Column("handled_by", db.exact(80)),
        sa.Column("handled_at", db.Instant()),
        sa.Column("checked_by", db.exact(80)),
        sa.Column("checked_at", db.Instant()),
        sa.Column("exception_id", db.Uid()),
        sa.Column("is_signed", sa.Boolean(), nullable=False),
        sa.Column("version", db.BigInt, nullable=False),
        sa.UniqueConstraint("origin_id", "day", name="uq_reconcile_difference_origin_id"),
        sa.CheckConstraint("checked_by IS NULL OR checked_by <> handled_by", name="ck_reconcile_difference_two_people"),
    )
    op.create_index("ix_reconcile_difference_day", "reconcile_difference", ["day", "channel"])
    op.create_index("ix_reconcile_difference_state", "reconcile_difference", ["state", "id"])
    op.create_index("ix_reconcile_difference_exception_id", "reconcile_difference", ["exception_id"])


def _sweeps() -> None:
    op.create_table(
        "reconcile_sweep",
        sa.Column("channel", db.exact(16), primary_key=True),
        sa.Column("reference", db.exact(64), primary_key=True),
        sa.Column("id", db.Uid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("arrived_on", sa.Date(), nullable=False),
        sa.Column("recorded_by", db.exact(80), nullable=False),
        sa.Column("recorded_at", db.Instant(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name="ck_reconcile_sweep_amount"),
    )
    op.create_index("ix_reconcile_sweep_day", "reconcile_sweep", ["day", "channel"])


def downgrade() -> None:
    if count := op.get_bind().scalar(sa.text("SELECT COUNT(*) FROM reconcile_signature")):
        raise SignedDaysWouldBeLost(f"{count} signed days have no place in the schema before")
    for gone in (
        "reconcile_sweep",
        "reconcile_difference",
        "reconcile_row",
        "reconcile_signature",
        "reconcile_day",
        "payment_bill_piece",
        "payment_bill_file",
    ):
        op.drop_table(gone)
