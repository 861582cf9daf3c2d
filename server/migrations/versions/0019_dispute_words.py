"""Disputes: when one person said how it ended, and what the second one wrote; of before as the audit log has it."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_DISPUTE = "payment_dispute"
_PROPOSED, _ENDED = "dispute.propose", ("dispute.won", "dispute.lost")


def upgrade() -> None:
    op.add_column(_DISPUTE, sa.Column("proposed_at", db.Instant))
    op.add_column(_DISPUTE, sa.Column("closed_note", db.exact(400), nullable=False, server_default=""))
    bind = op.get_bind()
    columns: tuple[Any, ...] = (
        sa.column("id", db.Uid()),
        sa.column("proposed_at", db.Instant()),
        sa.column("closed_note"),
    )
    dispute = sa.table(_DISPUTE, *columns)
    known = {one.hex: one for one in bind.scalars(sa.select(dispute.c.id))}
    if not known:
        return
    names = ("id", "entity", "entity_id", "action", "detail")
    event = sa.table("audit_event", *map(sa.column, names), sa.column("at", db.Instant()))
    query = sa.select(event.c.entity_id, event.c.action, event.c.at, event.c.detail)
    told = bind.execute(query.where(event.c.entity == "dispute").order_by(event.c.id)).all()
    said: dict[str, dict[str, Any]] = {}
    for number, action, at, detail in told:
        one = said.setdefault(number, {"proposed_at": None, "closed_note": ""})
        if action == _PROPOSED:
            one["proposed_at"] = at
        if action in _ENDED:
            one["closed_note"] = json.loads(detail).get("said", "")
    rows = [{"of": known[number]} | one for number, one in said.items() if number in known]
    if rows:
        values: dict[str, Any] = {name: sa.bindparam(name) for name in ("proposed_at", "closed_note")}
        its = sa.update(dispute).where(dispute.c.id == sa.bindparam("of", type_=db.Uid()))
        bind.execute(its.values(values), rows)


def downgrade() -> None:
    for name in ("closed_note", "proposed_at"):
        op.drop_column(_DISPUTE, name)
