"""Reconciliation: an arrival in the bank is of many days, and of which withdrawal of the channel's account it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db
from shared import ids

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SWEEP, _PART, _WITHDRAWAL = "reconcile_sweep", "reconcile_sweep_part", "reconcile_withdrawal"


class SharedSweepsWouldBeLost(RuntimeError):
    """The schema before knows one day of each arrival."""


def upgrade() -> None:
    op.create_table(
        _PART,
        sa.Column("sweep_id", db.Uid(), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.CheckConstraint("amount_fen <> 0", name="ck_reconcile_sweep_part_amount"),
    )
    op.create_index("ix_reconcile_sweep_part_day", _PART, ["day"])
    op.execute(f"INSERT INTO {_PART} (sweep_id, day, amount_fen) SELECT id, day, amount_fen - others_fen FROM {_SWEEP}")
    op.drop_index("ix_reconcile_sweep_day", _SWEEP)
    op.drop_column(_SWEEP, "day")
    withdrawal = op.create_table(
        _WITHDRAWAL,
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("number", db.exact(64), nullable=False),
        sa.Column("provider_no", db.exact(64), nullable=False),
        sa.Column("voucher", db.exact(64), nullable=False),
        sa.Column("note", db.exact(200), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("sweep_id", db.Uid()),
        sa.Column("paired_by", db.exact(80)),
        sa.UniqueConstraint("channel", "number", name="uq_reconcile_withdrawal_number"),
        sa.UniqueConstraint("sweep_id", name="uq_reconcile_withdrawal_sweep_id"),
        sa.CheckConstraint("amount_fen > 0", name="ck_reconcile_withdrawal_amount"),
    )
    op.create_index("ix_reconcile_withdrawal_day", _WITHDRAWAL, ["day", "channel"])
    if rows := _withdrawals():
        op.bulk_insert(withdrawal, rows)


def _withdrawals() -> list[dict[str, object]]:
    """Those of the bills that days were compared with; a person pairs them, or the next run of their day does."""
    day = sa.table(
        "reconcile_day", sa.column("channel"), sa.column("day", sa.Date()), sa.column("funds_file_id", db.Uid())
    )
    row = sa.table(
        "reconcile_row",
        sa.column("file_id", db.Uid()),
        sa.column("n", sa.BigInteger()),
        sa.column("at", db.Instant()),
        *map(sa.column, ("kind", "fund_no", "provider_no", "out_trade_no", "note", "amount_fen")),
    )
    its = (row.c.file_id == day.c.funds_file_id, row.c.kind == "withdrawal", row.c.amount_fen < 0)
    found: dict[tuple[str, str], dict[str, object]] = {}
    for said in op.get_bind().execute(sa.select(day, row).where(*its).order_by(day.c.day, row.c.n)).mappings():
        number = said["fund_no"] or f"{said['day'].isoformat()}:{said['n']}"
        found.setdefault(
            (said["channel"], number),
            {
                **{name: said[name] for name in ("channel", "day", "at", "provider_no", "note")},
                "id": ids.new_id(),
                "number": number,
                "voucher": said["out_trade_no"],
                "amount_fen": -said["amount_fen"],
                "sweep_id": None,
                "paired_by": None,
            },
        )
    return list(found.values())


def downgrade() -> None:
    bind = op.get_bind()
    shared = f"SELECT COUNT(*) FROM (SELECT sweep_id FROM {_PART} GROUP BY sweep_id HAVING COUNT(*) > 1) AS shared"
    if count := bind.scalar(sa.text(shared)):
        raise SharedSweepsWouldBeLost(f"{count} sweeps are of more than one day, which the schema before cannot say")
    op.drop_table(_WITHDRAWAL)
    op.add_column(_SWEEP, sa.Column("day", sa.Date(), nullable=False, server_default="2000-01-01"))
    op.execute(f"UPDATE {_SWEEP} SET day = (SELECT {_PART}.day FROM {_PART} WHERE {_PART}.sweep_id = {_SWEEP}.id)")
    op.create_index("ix_reconcile_sweep_day", _SWEEP, ["day", "channel"])
    op.drop_table(_PART)
