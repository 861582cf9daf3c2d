"""Settlement: when a statement was dropped; of before as the audit log has it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_STATEMENT = "settlement_statement"


def upgrade() -> None:
    op.add_column(_STATEMENT, sa.Column("dropped_id", db.Uid()))
    bind = op.get_bind()
    statement = sa.table(_STATEMENT, sa.column("number"), sa.column("state"), sa.column("dropped_id", db.Uid()))
    dropped = set(bind.scalars(sa.select(statement.c.number).where(statement.c.state == "dropped")))
    if not dropped:
        return
    event = sa.table("audit_event", sa.column("id", db.Uid()), *map(sa.column, ("entity", "entity_id", "action")))
    told = sa.select(event.c.entity_id, event.c.id).where(event.c.action == "statement.drop")
    rows = [{"its": number, "at": id_} for number, id_ in bind.execute(told) if number in dropped]
    if rows:
        values = {"dropped_id": sa.bindparam("at", type_=db.Uid())}
        bind.execute(sa.update(statement).where(statement.c.number == sa.bindparam("its")).values(values), rows)


def downgrade() -> None:
    op.drop_column(_STATEMENT, "dropped_id")
