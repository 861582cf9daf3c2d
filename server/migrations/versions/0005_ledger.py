"""Money that cannot be wrong: accounts of everything, day closings, adjustments and disputes by two people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

APPEND_ONLY = ("ledger_release", "ledger_day", "ledger_day_close")
TABLES = (*APPEND_ONLY, "ledger_health", "ledger_adjustment", "payment_dispute", "payment_dispute_line")


def upgrade() -> None:
    op.add_column("ledger_journal", sa.Column("actor", db.exact(80)))
    op.add_column("ledger_journal", sa.Column("memo", db.exact(400), nullable=False, server_default=""))
    op.create_index("ix_ledger_journal_posted_at", "ledger_journal", ["posted_at", "id"])
    op.add_column("shop_order", sa.Column("distributor_id", db.Uid()))
    op.add_column("order_line", sa.Column("fee_unit_price", db.BigInt))
    for table in ("order_line", "payment_refund_line"):
        for column in ("discount_fen", "commission_fen"):
            op.add_column(table, sa.Column(column, db.BigInt, nullable=False, server_default="0"))
    _books()
    _decided_by_two()
    for table in APPEND_ONLY:
        for statement in db.append_only_ddl(op.get_bind().dialect.name, table):
            op.execute(statement)


def _books() -> None:
    op.create_table(
        "ledger_release",
        sa.Column("order_line_id", db.Uid(), primary_key=True),
        sa.Column("payee", db.exact(16), primary_key=True),
        sa.Column("released_fen", db.BigInt, nullable=False),
        sa.Column("journal_id", db.Uid(), nullable=False),
        sa.CheckConstraint("released_fen >= 0", name="ck_ledger_release_amount"),
    )
    op.create_index("ix_ledger_release_journal_id", "ledger_release", ["journal_id"])
    op.create_table(
        "ledger_day",
        sa.Column("account_id", db.Uid(), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("debits_fen", db.BigInt, nullable=False),
        sa.Column("credits_fen", db.BigInt, nullable=False),
    )
    op.create_table(
        "ledger_day_close",
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("journals", db.BigInt, nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("closed_at", db.Instant(), nullable=False),
    )
    op.create_table(
        "ledger_health",
        sa.Column("id", db.BigInt, primary_key=True, autoincrement=False),
        sa.Column("findings", db.big_text(), nullable=False),
        sa.Column("since", db.Instant(), nullable=False),
    )


def _decided_by_two() -> None:
    op.create_table(
        "ledger_adjustment",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("transfers", sa.JSON(), nullable=False),
        sa.Column("reason", db.exact(400), nullable=False),
        sa.Column("ticket", db.exact(80), nullable=False),
        sa.Column("order_id", db.Uid()),
        sa.Column("order_code", db.exact(16)),
        sa.Column("proposed_by", db.exact(80), nullable=False),
        sa.Column("proposed_at", db.Instant(), nullable=False),
        sa.Column("checked_by", db.exact(80)),
        sa.Column("checked_at", db.Instant()),
        sa.Column("check_note", db.exact(400), nullable=False),
        sa.Column("version", db.BigInt, nullable=False),
    )
    op.create_index("ix_ledger_adjustment_state", "ledger_adjustment", ["state", "id"])
    op.create_table(
        "payment_dispute",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("order_id", db.Uid(), nullable=False),
        sa.Column("order_code", db.exact(16), nullable=False),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("channel_no", db.exact(64), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("fine_fen", db.BigInt, nullable=False),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("reason", db.exact(400), nullable=False),
        sa.Column("opened_by", db.exact(80), nullable=False),
        sa.Column("opened_at", db.Instant(), nullable=False),
        sa.Column("proposed_by", db.exact(80)),
        sa.Column("proposes_won", sa.Boolean()),
        sa.Column("note", db.exact(400), nullable=False),
        sa.Column("closed_by", db.exact(80)),
        sa.Column("closed_at", db.Instant()),
        sa.Column("version", db.BigInt, nullable=False),
        sa.UniqueConstraint("channel", "channel_no", name="uq_payment_dispute_channel_no"),
        sa.CheckConstraint("amount_fen > 0", name="ck_payment_dispute_amount"),
        sa.CheckConstraint("fine_fen >= 0", name="ck_payment_dispute_fine"),
    )
    op.create_index("ix_payment_dispute_order_id", "payment_dispute", ["order_id"])
    op.create_index("ix_payment_dispute_state", "payment_dispute", ["state", "id"])
    money = ("amount_fen", "supplier_fen", "commission_fen", "fee_fen", "discount_fen", "frozen_fen")
    op.create_table(
        "payment_dispute_line",
        sa.Column("dispute_id", db.Uid(), primary_key=True),
        sa.Column("order_line_id", db.Uid(), primary_key=True),
        *(sa.Column(name, db.BigInt, nullable=False) for name in money),
    )
    op.create_index("ix_payment_dispute_line_order_line_id", "payment_dispute_line", ["order_line_id"])


class MoneyWouldBeLost(RuntimeError):
    """The old schema cannot say where some money is. Nothing was changed."""


def _keep_all_money() -> None:
    """Raise MoneyWouldBeLost once money went where the version before has no name for it.

    Accounts of new kinds stay: they are summed like any other.
    """
    shared = "order_line WHERE discount_fen <> 0 OR commission_fen <> 0 OR fee_unit_price IS NOT NULL"
    for what, rows in (
        ("releases", "ledger_release"),
        ("order lines with discounts or commissions", shared),
        ("disputes", "payment_dispute"),
        ("adjustments", "ledger_adjustment"),
    ):
        if count := op.get_bind().scalar(sa.text(f"SELECT COUNT(*) FROM {rows}")):
            raise MoneyWouldBeLost(f"{count} {what} have no place in the schema before")


def downgrade() -> None:
    _keep_all_money()
    for table in TABLES:
        op.drop_table(table)
    for table in ("order_line", "payment_refund_line"):
        for column in ("discount_fen", "commission_fen"):
            op.drop_column(table, column)
    op.drop_column("order_line", "fee_unit_price")
    op.drop_column("shop_order", "distributor_id")
    op.drop_index("ix_ledger_journal_posted_at", "ledger_journal")
    op.drop_column("ledger_journal", "memo")
    op.drop_column("ledger_journal", "actor")
