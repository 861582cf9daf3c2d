"""Settlement: what of a payout's fee comes out of which payment, and which rows of one that failed did not arrive."""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("settlement_split", sa.Column("fee_fen", db.BigInt, nullable=False, server_default="0"))
    _lack_what_nobody_told()


def _lack_what_nobody_told() -> None:
    """Of a payout that was said to have failed only the rows arrived that were told to have: its sum says so."""
    bind = op.get_bind()
    payout = _table("settlement_payout", "amount_fen", "arrived_fen", id=db.Uid(), state=sa.String())
    split = _table("settlement_split", "n", "amount_fen", payout_id=db.Uid())
    told = {"payout_id": db.Uid(), "succeeded": sa.Boolean()}
    result = _table(
        "settlement_result", "n", **told, reference=sa.String(), reason=sa.String(), file_sha256=sa.String()
    )
    rows: dict[object, dict[int, int]] = defaultdict(dict)
    for id_, n, fen in bind.execute(sa.select(split.c.payout_id, split.c.n, split.c.amount_fen)):
        rows[id_][n] = fen
    known: dict[object, dict[int, bool]] = defaultdict(dict)
    for id_, n, succeeded in bind.execute(sa.select(result.c.payout_id, result.c.n, result.c.succeeded)):
        known[id_][n] = succeeded
    arrived = sa.select(payout.c.id, payout.c.amount_fen, payout.c.arrived_fen).where(payout.c.state == "confirmed")
    for id_, amount, fen in bind.execute(arrived).all():
        mine = rows[id_]
        if amount > sum(mine.values()):
            mine[0] = amount - sum(mine.values())  # the transfer
        if fen < amount and fen == sum(mine[n] for n in mine if known[id_].get(n)):
            lacks = dict.fromkeys(("reference", "reason", "file_sha256"), "") | {"payout_id": id_, "succeeded": False}
            for n in sorted(mine.keys() - known[id_].keys()):
                bind.execute(sa.insert(result).values(n=n, **lacks))


def _table(name: str, *numbers: str, **columns: object) -> sa.TableClause:
    kinds = dict.fromkeys(numbers, sa.BigInteger()) | columns
    return sa.table(name, *(sa.column(column, kind) for column, kind in kinds.items()))  # type: ignore[arg-type]


def downgrade() -> None:
    op.drop_column("settlement_split", "fee_fen")
