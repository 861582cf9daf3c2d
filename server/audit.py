"""The audit log: append-only rows, chained in blocks, verifiable. Any action appends in its own transaction.

Rows are written with the change they describe. A job seals them into blocks a little later: each block holds
the hash of its rows and of the block before, so that a row that was changed, removed or slipped in is found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Database, Instant, Tx, Uid, big_text, blob, exact, table_of
from shared import clock, ids

APPEND_ONLY = ("audit_event", "audit_block")
BLOCK_ROWS = 1_000
_GENESIS = bytes(32)


class AuditEvent(Base):
    """Who did what to which row. `detail` is JSON and never holds a key, a token or a password."""

    __tablename__ = "audit_event"

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    actor: Mapped[str] = mapped_column(exact(80))
    action: Mapped[str] = mapped_column(exact(64))
    entity: Mapped[str] = mapped_column(exact(32))
    entity_id: Mapped[str] = mapped_column(exact(64))
    request_id: Mapped[str | None] = mapped_column(exact(40))
    detail: Mapped[str | None] = mapped_column(big_text())


class AuditPending(Base):
    """Rows that no block holds yet."""

    __tablename__ = "audit_pending"

    event_id: Mapped[UUID] = mapped_column(Uid, primary_key=True)


class AuditBlock(Base):
    """A sealed block: the ids of its rows, the hash before and the hash after."""

    __tablename__ = "audit_block"

    n: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    events: Mapped[bytes] = mapped_column(blob())
    before: Mapped[bytes] = mapped_column(blob())
    after: Mapped[bytes] = mapped_column(blob())
    sealed_at: Mapped[datetime] = mapped_column(Instant)


REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""The id of the request that is being answered: what is done for it is found by it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row to append. `request_id` is that of this request unless the work was handed to another thread."""

    actor: str
    action: str
    entity: str
    entity_id: str
    request_id: str | None = field(default_factory=REQUEST.get)
    detail: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found. `broken_block` is the first block that does not hold, or None; `loose` counts rows that no
    block holds and that do not wait for one, and waiting ones that are gone: slipped in, or cut out."""

    blocks: int
    events: int
    pending: int
    loose: int
    broken_block: int | None

    @property
    def ok(self) -> bool:
        """Whether the log is as it was written."""
        return self.broken_block is None and self.loose == 0


def append(tx: Tx, **entry: Any) -> None:
    """Append one row; the keywords are those of `Entry`."""
    append_many(tx, [Entry(**entry)])


_INSERT, _INSERT_PENDING = insert(table_of(AuditEvent)), insert(table_of(AuditPending))


def append_many(tx: Tx, entries: Sequence[Entry]) -> None:
    """Append rows with the change they describe; set-based."""
    if not entries:
        return
    at = clock.now()
    rows = [
        {
            "id": ids.new_id(),
            "at": at,
            "actor": entry.actor,
            "action": entry.action,
            "entity": entry.entity,
            "entity_id": entry.entity_id,
            "request_id": entry.request_id,
            "detail": json.dumps(entry.detail, ensure_ascii=False, sort_keys=True) if entry.detail else None,
        }
        for entry in entries
    ]
    tx.execute(_INSERT, rows)
    tx.execute(_INSERT_PENDING, [{"event_id": row["id"]} for row in rows])


def about(tx: Tx, entity: str, entity_id: str, *, first: datetime, last: datetime) -> Sequence[AuditEvent]:
    """The rows about one thing that were written between two moments, in order. Ids begin with the time."""
    query = select(AuditEvent).where(
        AuditEvent.id >= ids.first_of(first),
        AuditEvent.id < ids.first_of(last),
        AuditEvent.entity == entity,
        AuditEvent.entity_id == entity_id,
    )
    return tx.scalars(query.order_by(AuditEvent.id)).all()


def seal(db: Database) -> int:
    """Seal waiting rows into blocks; answers how many rows. Safe beside itself: the loser of a race seals nothing."""
    total = 0
    while True:
        try:
            with db.tx() as tx:
                sealed = _seal_block(tx)
        except IntegrityError:
            return total  # another sealer took the number; what it left waits for the next turn
        total += sealed
        if sealed < BLOCK_ROWS:
            return total


def _seal_block(tx: Tx) -> int:
    waiting = tx.scalars(
        select(AuditPending.event_id)
        .order_by(AuditPending.event_id)
        .limit(BLOCK_ROWS)
        .with_for_update(skip_locked=True)
    ).all()
    if not waiting:
        return 0
    last = tx.scalars(select(AuditBlock).order_by(AuditBlock.n.desc()).limit(1)).first()
    before = last.after if last else _GENESIS
    events = tx.scalars(select(AuditEvent).where(AuditEvent.id.in_(waiting)).order_by(AuditEvent.id)).all()
    n = last.n + 1 if last else 1
    # The primary key of `n` decides a race between two sealers; the loser's transaction fails whole.
    tx.execute(
        insert(table_of(AuditBlock)),
        {
            "n": n,
            "events": b"".join(event.id.bytes for event in events),
            "before": before,
            "after": _hash(before, events),
            "sealed_at": clock.now(),
        },
    )
    tx.execute(delete(AuditPending).where(AuditPending.event_id.in_(waiting)))
    return len(events)


def verify(db: Database) -> Verification:
    """Recompute every block. A row that was changed or removed, or a block that was replaced, breaks the chain.

    The chain cannot know of last blocks that were removed with all their rows: keep a copy of its end elsewhere.
    """
    before, blocks, events, broken = _GENESIS, 0, 0, None
    with db.read() as tx:
        # One statement sees one moment on every engine: what is sealed after it is left to the next verification.
        last, settled, pending, lost = tx.execute(_MOMENT).one()
        for block in tx.scalars(select(AuditBlock).where(AuditBlock.n <= last).order_by(AuditBlock.n)).yield_per(20):
            blocks += 1
            members = [UUID(bytes=block.events[at : at + 16]) for at in range(0, len(block.events), 16)]
            rows = tx.scalars(select(AuditEvent).where(AuditEvent.id.in_(members)).order_by(AuditEvent.id)).all()
            events += len(rows)
            intact = len(rows) == len(members) and block.before == before and _hash(before, rows) == block.after
            if not (intact and block.n == blocks):
                broken = blocks
                break
            before = block.after
    loose = lost + (settled - events if broken is None else 0)
    return Verification(blocks=blocks, events=events, pending=pending, loose=loose, broken_block=broken)


_waits = select(AuditPending.event_id).where(AuditPending.event_id == AuditEvent.id).correlate(AuditEvent).exists()
_is_there = select(AuditEvent.id).where(AuditEvent.id == AuditPending.event_id).correlate(AuditPending).exists()
_MOMENT = select(
    select(func.coalesce(func.max(AuditBlock.n), 0)).scalar_subquery(),
    select(func.count()).select_from(AuditEvent).where(~_waits).scalar_subquery(),
    select(func.count()).select_from(AuditPending).scalar_subquery(),
    select(func.count()).select_from(AuditPending).where(~_is_there).scalar_subquery(),
)
"""The last block; rows that do not wait; rows that wait; waiting ones that are gone."""


def _hash(before: bytes, events: Sequence[AuditEvent]) -> bytes:
    digest = hashlib.sha256(before)
    for event in events:
        fields = (event.actor, event.action, event.entity, event.entity_id, event.request_id or "", event.detail or "")
        line = json.dumps([event.id.hex, event.at.isoformat(), *fields], ensure_ascii=False)
        digest.update(line.encode() + b"\n")
    return digest.digest()
