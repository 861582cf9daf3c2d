"""Settlement: who sent a payout, and who said how it ended."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from server import db

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_PAYOUT, _COLUMNS = "settlement_payout", ("sent_by", "ended_by")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column(_PAYOUT, sa.Column(name, db.exact(80)))
    event = sa.table("audit_event", *map(sa.column, ("id", "entity", "entity_id", "action", "actor")))
    payout = sa.table(_PAYOUT, *map(sa.column, ("number", "ended_at", *_COLUMNS)))
    bind = op.get_bind()
    ended = set(bind.scalars(sa.select(payout.c.number).where(payout.c.ended_at.is_not(None))))
    said = sa.select(event.c.entity_id, event.c.action, event.c.actor).where(event.c.entity == "payout")
    who: dict[str, dict[str, Any]] = {}
    for number, action, actor in bind.execute(said.order_by(event.c.id)):
        one = who.setdefault(number, dict.fromkeys(_COLUMNS))
        if action == "payout.send":
            one["sent_by"] = actor
        if action in {"payout.check", "payout.withdraw", "payout.confirm", "payout.fail"} and number in ended:
            one["ended_by"] = actor
    if who:
        its = sa.update(payout).where(payout.c.number == sa.bindparam("of"))
        bind.execute(
            its.values({name: sa.bindparam(name) for name in _COLUMNS}),
            [{"of": number} | one for number, one in who.items()],
        )


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column(_PAYOUT, name)
