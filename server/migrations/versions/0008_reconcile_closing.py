"""Reconciliation: what later bills, other people and other merchants change about a day."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


class DifferencesWouldBeLost(RuntimeError):
    """The server before knows no differences of later bills, and none of other businesses."""


class ReversedSweepsWouldBeLost(RuntimeError):
    """The schema before knows only those that are booked."""


def upgrade() -> None:
    _differences()
    _settled()
    _late_bills()
    _sweeps()
    _corrections()


def _settled() -> None:
    """What of an amount moves on the account: nobody kept it, so rows of before have no coupons."""
    op.add_column("reconcile_row", sa.Column("settled_fen", db.BigInt, nullable=False, server_default="0"))
    row = sa.table("reconcile_row", sa.column("settled_fen"), sa.column("amount_fen"))
    op.execute(sa.update(row).values(settled_fen=row.c.amount_fen))


def _late_bills() -> None:
    """Bills of signed days are closed; another one that took their place since is late, and gives it back."""
    op.add_column("payment_bill_file", sa.Column("is_closed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("payment_bill_file", sa.Column("late_n", db.BigInt))
    op.add_column("payment_bill_file", sa.Column("taken_on", sa.Date()))
    file = sa.table(
        "payment_bill_file",
        sa.column("id", db.Uid()),
        *map(sa.column, ("channel", "day", "late_n")),
        *(sa.column(name, sa.Boolean()) for name in ("is_current", "is_closed")),
    )
    day = sa.table(
        "reconcile_day",
        *(sa.column(name, db.Uid()) for name in ("trades_file_id", "funds_file_id")),
        *map(sa.column, ("channel", "day")),
        sa.column("is_signed", sa.Boolean()),
    )
    of_signed = day.c.is_signed.is_(True) & (day.c.channel == file.c.channel) & (day.c.day == file.c.day)
    signed = sa.exists().where(of_signed, (day.c.trades_file_id == file.c.id) | (day.c.funds_file_id == file.c.id))
    op.execute(sa.update(file).where(signed).values(is_closed=True))
    instead = file.c.is_current.is_(True) & file.c.is_closed.is_(False) & sa.exists().where(of_signed)
    op.execute(sa.update(file).where(instead).values(is_current=False, late_n=1))
    op.execute(sa.update(file).where(file.c.is_closed.is_(True)).values(is_current=True))


_COLUMNS = ("id", "channel", "reference", "day", "amount_fen", "arrived_on", "recorded_by", "recorded_at")


def _sweeps() -> None:
    """The same number of the bank may be recorded again after a reversal: it is no key any more."""
    before = _all_sweeps()
    op.drop_table("reconcile_sweep")
    sweep = op.create_table(
        "reconcile_sweep",
        sa.Column("id", db.Uid(), primary_key=True),
        sa.Column("channel", db.exact(16), nullable=False),
        sa.Column("reference", db.exact(64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("others_fen", db.BigInt, nullable=False),
        sa.Column("arrived_on", sa.Date(), nullable=False),
        sa.Column("state", db.exact(16), nullable=False),
        sa.Column("note", db.exact(400), nullable=False),
        sa.Column("recorded_by", db.exact(80), nullable=False),
        sa.Column("recorded_at", db.Instant(), nullable=False),
        sa.Column("checked_by", db.exact(80)),
        sa.Column("checked_at", db.Instant()),
        sa.Column("reversed_by", db.exact(80)),
        sa.Column("reversed_at", db.Instant()),
        sa.Column("reversal_checked_by", db.exact(80)),
        sa.Column("version", db.BigInt, nullable=False),
        sa.UniqueConstraint("channel", "reference", "n", name="uq_reconcile_sweep_reference"),
        sa.CheckConstraint("amount_fen > others_fen AND others_fen >= 0", name="ck_reconcile_sweep_amount"),
        sa.CheckConstraint("checked_by IS NULL OR checked_by <> recorded_by", name="ck_reconcile_sweep_two_people"),
        sa.CheckConstraint(
            "reversal_checked_by IS NULL OR reversal_checked_by <> reversed_by",
            name="ck_reconcile_sweep_reversed_by_two",
        ),
    )
    op.create_index("ix_reconcile_sweep_day", "reconcile_sweep", ["day", "channel"])
    more = {"n": 1, "others_fen": 0, "state": "booked", "note": "", "version": 1}
    if before:
        op.bulk_insert(sweep, [row | more for row in before])


def _all_sweeps() -> list[dict[str, object]]:
    kinds: dict[str, sa.types.TypeEngine[Any]] = {
        "id": db.Uid(),
        "day": sa.Date(),
        "arrived_on": sa.Date(),
        "recorded_at": db.Instant(),
        "amount_fen": sa.BigInteger(),
    }
    columns: list[sa.ColumnClause[Any]] = [sa.column(name, kinds.get(name, sa.String())) for name in _COLUMNS]
    sweep = sa.table("reconcile_sweep", *columns)
    return [dict(row) for row in op.get_bind().execute(sa.select(sweep)).mappings()]


def _corrections() -> None:
    op.add_column("ledger_adjustment", sa.Column("channel", db.exact(16)))
    op.add_column("ledger_adjustment", sa.Column("day", sa.Date()))
    op.create_index("ix_ledger_adjustment_day", "ledger_adjustment", ["day", "channel"])


def _differences() -> None:
    table = "reconcile_difference"
    op.add_column(table, sa.Column("exception_version", db.BigInt))
    op.add_column(table, sa.Column("again_of", db.Uid()))
    op.create_index("ix_reconcile_difference_ours_id", table, ["ours_id"])
    op.create_index("ix_reconcile_difference_again_of", table, ["again_of"])
    # What waits for a second person shows the exception as it is now.
    exception = sa.table("payment_exception", sa.column("id"), sa.column("version"))
    names: tuple[sa.ColumnClause[Any], ...] = (
        sa.column("exception_id"),
        sa.column("exception_version"),
        sa.column("is_signed", sa.Boolean()),
    )
    row = sa.table(table, *names)
    seen = sa.select(exception.c.version).where(exception.c.id == row.c.exception_id).scalar_subquery()
    its = row.c.exception_id.is_not(None) & ~row.c.is_signed
    op.execute(sa.update(row).where(its).values(exception_version=seen))


def downgrade() -> None:
    others = "SELECT COUNT(*) FROM reconcile_sweep WHERE state <> 'booked' OR others_fen > 0 OR n > 1"
    if count := op.get_bind().scalar(sa.text(others)):
        raise ReversedSweepsWouldBeLost(f"{count} sweeps have no place in the schema before")
    news = "SELECT COUNT(*) FROM reconcile_difference WHERE again_of IS NOT NULL OR kind IN ('booked', 'foreign')"
    if count := op.get_bind().scalar(sa.text(news)):
        raise DifferencesWouldBeLost(f"{count} differences have no place in the schema before")
    op.drop_index("ix_ledger_adjustment_day", "ledger_adjustment")
    for table, columns in {
        "ledger_adjustment": ("channel", "day"),
        "reconcile_row": ("settled_fen",),
        "payment_bill_file": ("is_closed", "late_n", "taken_on"),
    }.items():
        for column in columns:
            op.drop_column(table, column)
    before = _all_sweeps()
    op.drop_table("reconcile_sweep")
    sweep = op.create_table(
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
    if before:
        op.bulk_insert(sweep, before)
    table = "reconcile_difference"
    op.drop_index("ix_reconcile_difference_again_of", table)
    op.drop_index("ix_reconcile_difference_ours_id", table)
    op.drop_column(table, "again_of")
    op.drop_column(table, "exception_version")
