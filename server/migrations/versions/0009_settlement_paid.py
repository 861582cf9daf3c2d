"""Settlement: what of a statement and a payout was paid, to which account, and how a payment is split."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_STATEMENT, _PAYOUT, _TERMS = "settlement_statement", "settlement_payout", "settlement_terms"


def upgrade() -> None:
    for column in ("withheld_fen", "paid_fen"):
        op.add_column(_STATEMENT, sa.Column(column, db.BigInt, nullable=False, server_default="0"))
    op.add_column(_TERMS, sa.Column("split_ppm", sa.Integer(), nullable=False, server_default="300000"))
    for table in (_TERMS, _PAYOUT):
        for column, size in (("receiver", 120), ("account", 64), ("bank", 120)):
            op.add_column(table, sa.Column(column, db.exact(size), nullable=False, server_default=""))
    for column in ("arrived_fen", "returned_fen"):
        op.add_column(_PAYOUT, sa.Column(column, db.BigInt, nullable=False, server_default="0"))
    op.add_column(_PAYOUT, sa.Column("arrived_at", db.Instant()))
    op.create_table(
        "settlement_result",
        sa.Column("payout_id", db.Uid(), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("succeeded", sa.Boolean(), nullable=False),
        sa.Column("reference", db.exact(64), nullable=False),
        sa.Column("reason", db.exact(200), nullable=False),
        sa.Column("file_sha256", db.exact(64), nullable=False),
    )
    op.create_table(
        "settlement_return",
        sa.Column("payout_id", db.Uid(), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("k", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("amount_fen", db.BigInt, nullable=False),
        sa.Column("reference", db.exact(64), nullable=False),
        sa.Column("file_sha256", db.exact(64), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name="ck_settlement_return_amount"),
    )
    op.execute("ALTER TABLE settlement_deduction RENAME COLUMN refund_id TO cause_id")
    op.execute(
        "UPDATE settlement_payout SET receiver ="
        " (SELECT supplier.name FROM supplier WHERE supplier.id = settlement_payout.supplier_id)"
    )
    _net_lost_disputes()
    _say_what_arrived()


def _net_lost_disputes() -> None:
    """What had been lost of a line when it was put on its statement was taken off its share without a row."""
    op.execute(
        "INSERT INTO settlement_deduction (cause_id, order_line_id, statement_id, netted, amount_fen)"
        " SELECT payment_dispute.id, line.order_line_id, statement.id, (1 = 1), line.supplier_fen"
        " FROM payment_dispute JOIN payment_dispute_line AS line ON line.dispute_id = payment_dispute.id"
        " JOIN settlement_item AS item ON item.order_line_id = line.order_line_id"
        " JOIN settlement_statement AS statement ON statement.id = item.statement_id"
        " WHERE payment_dispute.state = 'lost' AND payment_dispute.closed_at <= statement.made_at"
    )


def _say_what_arrived() -> None:
    """Payouts arrived whole until now; what they lacked was taken off the oldest of their statements."""
    bind = op.get_bind()
    payout, statement, journal = _tables()
    of_arrived = sa.select(journal.c.key, journal.c.posted_at).where(journal.c.key.like("payout:%:done"))
    arrived_at = {key.split(":")[1]: at for key, at in bind.execute(of_arrived)}
    for id_, number, state, amount in bind.execute(
        sa.select(payout.c.id, payout.c.number, payout.c.state, payout.c.amount_fen)
    ).all():
        if number not in arrived_at:
            continue
        stays = amount if state == "confirmed" else 0
        values = {"arrived_fen": stays, "arrived_at": arrived_at[number]}
        bind.execute(sa.update(payout).where(payout.c.id == id_).values(values))
        claims = bind.execute(
            sa.select(statement.c.id, statement.c.payable_fen + statement.c.payout_fee_fen)
            .where(statement.c.payout_id == id_, statement.c.state == "paid")
            .order_by(statement.c.number)
        ).all()
        lacks = sum(claim for _, claim in claims) - stays
        for statement_id, claim in claims:
            gone = min(max(lacks, 0), claim)
            lacks -= gone
            mine = sa.update(statement).where(statement.c.id == statement_id)
            bind.execute(mine.values(paid_fen=claim - gone))


def _tables() -> tuple[sa.TableClause, sa.TableClause, sa.TableClause]:
    def table(name: str, *columns: tuple[str, object]) -> sa.TableClause:
        return sa.table(name, *(sa.column(column, kind) for column, kind in columns))  # type: ignore[arg-type]

    payout = table(
        _PAYOUT,
        ("id", db.Uid()),
        ("number", sa.String()),
        ("state", sa.String()),
        ("amount_fen", sa.BigInteger()),
        ("arrived_fen", sa.BigInteger()),
        ("arrived_at", db.Instant()),
    )
    statement = table(
        _STATEMENT,
        ("id", db.Uid()),
        ("number", sa.String()),
        ("state", sa.String()),
        ("payout_id", db.Uid()),
        ("payable_fen", sa.BigInteger()),
        ("payout_fee_fen", sa.BigInteger()),
        ("paid_fen", sa.BigInteger()),
    )
    return payout, statement, table("ledger_journal", ("key", sa.String()), ("posted_at", db.Instant()))


class MoneyWouldBeLost(RuntimeError):
    """The old schema cannot say what was withheld of statements, or arrived only in part. Nothing was changed."""


_NOT_SAID = (
    "SELECT COUNT(*) FROM settlement_statement WHERE withheld_fen > 0",
    "SELECT COUNT(*) FROM settlement_payout WHERE state = 'confirmed' AND arrived_fen - returned_fen < amount_fen",
    "SELECT COUNT(*) FROM settlement_deduction JOIN payment_dispute ON payment_dispute.id = cause_id WHERE NOT netted",
)


def downgrade() -> None:
    bind = op.get_bind()
    if count := sum(bind.scalar(sa.text(one)) or 0 for one in _NOT_SAID):
        raise MoneyWouldBeLost(f"{count} statements, lines and payouts have no place in the schema before")
    op.execute("DELETE FROM settlement_deduction WHERE cause_id IN (SELECT id FROM payment_dispute)")
    op.execute("ALTER TABLE settlement_deduction RENAME COLUMN cause_id TO refund_id")
    op.drop_table("settlement_return")
    op.drop_table("settlement_result")
    for table, columns in (
        (_PAYOUT, ("arrived_at", "returned_fen", "arrived_fen", "bank", "account", "receiver")),
        (_TERMS, ("bank", "account", "receiver", "split_ppm")),
        (_STATEMENT, ("paid_fen", "withheld_fen")),
    ):
        for column in columns:
            op.drop_column(table, column)
