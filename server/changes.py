"""The change feed. Actions append to an inbox; one sequencer gives positions that never skip a commit.

Positions are handed out under a lock on `change_head`, after the rows are visible, so readers that remember
the highest position they saw lose nothing (sync.md 2.2). Rows carry no payload.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from server.db import Base, BigInt, Database, Instant, Tx, Uid, exact, table_of
from shared import clock, ids
from shared.contracts.sync import Change, ChangeOp, Changes
from shared.errors import Conflict

STEP_ROWS = 2_000
_log = logging.getLogger("kameng.changes")


class ResyncRequired(Conflict):
    """The reader followed another feed, or was further than this one is: the database came back from a backup."""

    code = "resync_required"
    zh = "服务器的数据已从备份恢复，请重新读取全部列表。"
    en = "The server was restored from a backup: read every list again."


class ChangeInbox(Base):
    """Changes that were committed but have no position yet."""

    __tablename__ = "change_inbox"

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    entity: Mapped[str] = mapped_column(exact(32))
    entity_id: Mapped[UUID] = mapped_column(Uid)
    op: Mapped[str] = mapped_column(exact(8))
    supplier_id: Mapped[UUID | None] = mapped_column(Uid)
    domain: Mapped[str] = mapped_column(exact(16))


class ChangeLog(Base):
    """Changes in their final order. Written by the sequencer alone."""

    __tablename__ = "change_log"
    __table_args__ = (Index("ix_change_log_supplier_id", "supplier_id", "pos"),)

    pos: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    entity: Mapped[str] = mapped_column(exact(32))
    entity_id: Mapped[UUID] = mapped_column(Uid)
    op: Mapped[str] = mapped_column(exact(8))
    supplier_id: Mapped[UUID | None] = mapped_column(Uid)
    domain: Mapped[str] = mapped_column(exact(16))
    logged_at: Mapped[datetime] = mapped_column(Instant)


class ChangeHead(Base):
    """One row: the last position. Whoever locks it is the sequencer.

    `epoch` is the feed's own: made with it, and another one once it came back from a backup.
    """

    __tablename__ = "change_head"

    id: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    pos: Mapped[int] = mapped_column(BigInt)
    epoch: Mapped[UUID] = mapped_column(Uid)


@dataclass(frozen=True, slots=True)
class Changed:
    """One changed row: what it is, whose it is (None: the shop's) and the domain whose readers care."""

    entity: str
    entity_id: UUID
    domain: str
    supplier_id: UUID | None = None
    op: ChangeOp = ChangeOp.PUT


def append(
    tx: Tx, entity: str, entity_id: UUID, *, domain: str, supplier_id: UUID | None = None, op: ChangeOp = ChangeOp.PUT
) -> None:
    """Append one change with the transaction that made it."""
    append_many(tx, [Changed(entity=entity, entity_id=entity_id, domain=domain, supplier_id=supplier_id, op=op)])


_INSERT = insert(table_of(ChangeInbox))


def append_many(tx: Tx, changed: Iterable[Changed]) -> None:
    """Append changes; several of one row in one transaction become one."""
    rows = [
        {
            "id": ids.new_id(),
            "entity": one.entity,
            "entity_id": one.entity_id,
            "op": one.op.value,
            "supplier_id": one.supplier_id,
            "domain": one.domain,
        }
        for one in dict.fromkeys(changed)
    ]
    if rows:
        tx.execute(_INSERT, rows)


def advance(db: Database) -> int:
    """Move waiting changes into the log; answers how many positions were given. Safe beside itself."""
    with db.read() as tx:
        if tx.scalars(select(ChangeInbox.id).limit(1)).first() is None:
            return 0
    total = 0
    while True:
        with db.tx() as tx:
            # The lock is a statement of its own: the rows must be read after it is held.
            head = _locked_head(tx)
            given, taken = _step(tx, head)
        total += given
        if taken < STEP_ROWS:
            return total


def _locked_head(tx: Tx) -> ChangeHead:
    """The head, locked; made by whoever needs it first, also when two do at once."""
    query = select(ChangeHead).with_for_update()
    head = tx.scalars(query).first()
    if head is not None:
        return head
    try:
        with tx.begin_nested():
            tx.execute(insert(table_of(ChangeHead)), {"id": 1, "pos": 0, "epoch": ids.new_id()})
    except IntegrityError:
        _log.debug("another process made the head")
    return tx.scalars(query).one()


def _step(tx: Tx, head: ChangeHead) -> tuple[int, int]:
    inbox = tx.scalars(select(ChangeInbox).order_by(ChangeInbox.id).limit(STEP_ROWS)).all()
    latest: dict[tuple[Any, ...], ChangeInbox] = {}
    for row in inbox:
        folded = (row.entity, row.entity_id, row.supplier_id, row.domain)
        latest.pop(folded, None)
        latest[folded] = row
    at = clock.now()
    if latest:
        tx.execute(
            insert(table_of(ChangeLog)),
            [
                {
                    "pos": head.pos + n,
                    "entity": row.entity,
                    "entity_id": row.entity_id,
                    "op": row.op,
                    "supplier_id": row.supplier_id,
                    "domain": row.domain,
                    "logged_at": at,
                }
                for n, row in enumerate(latest.values(), start=1)
            ],
        )
        tx.execute(update(ChangeHead).where(ChangeHead.id == head.id).values(pos=head.pos + len(latest)))
        tx.execute(delete(ChangeInbox).where(ChangeInbox.id.in_([row.id for row in inbox])))
    return len(latest), len(inbox)


def epoch(db: Database) -> tuple[UUID, int]:
    """The feed's epoch and its last position; made on first use."""
    with db.tx() as tx:
        head = _locked_head(tx)
        return head.epoch, head.pos


def renew(tx: Tx) -> None:
    """Begin another epoch: the positions that readers know belong to what was lost."""
    _locked_head(tx).epoch = ids.new_id()


def head(tx: Tx) -> int:
    """The last position that was given."""
    return tx.scalars(select(ChangeHead.pos)).first() or 0


def named(tx: Tx, entities: set[str], *, after: int, up_to: int, limit: int) -> dict[str, set[UUID]] | None:
    """The rows of these entities that the log names between two positions; None when it has more than `limit` lines."""
    query = select(ChangeLog.entity, ChangeLog.entity_id).where(
        ChangeLog.pos > after, ChangeLog.pos <= up_to, ChangeLog.entity.in_(sorted(entities))
    )
    found: dict[str, set[UUID]] = {entity: set() for entity in entities}
    lines = tx.execute(query.limit(limit + 1)).all()
    for entity, entity_id in lines:
        found[entity].add(entity_id)
    return found if len(lines) <= limit else None


def read(
    tx: Tx,
    *,
    cursor: int,
    limit: int,
    supplier_id: UUID | None,
    domains: frozenset[str],
    epoch: UUID | None = None,
) -> Changes:
    """Changes after `cursor` for a reader: of one supplier and the shop, or of all when `supplier_id` is None.

    `epoch` is the one that the cursor is of, None where the reader does not say. Raises ResyncRequired.
    """
    # The head is read first: what is logged between the two statements waits for the next read.
    last, ours = tx.execute(select(ChangeHead.pos, ChangeHead.epoch)).first() or (0, None)
    if cursor > last or epoch not in {None, ours}:
        raise ResyncRequired
    query = select(ChangeLog).where(
        ChangeLog.pos > cursor, ChangeLog.pos <= last, ChangeLog.domain.in_(sorted(domains))
    )
    if supplier_id is not None:
        query = query.where(or_(ChangeLog.supplier_id == supplier_id, ChangeLog.supplier_id.is_(None)))
    found = tx.scalars(query.order_by(ChangeLog.pos).limit(limit + 1)).all()
    page, complete = found[:limit], len(found) <= limit
    rows = [Change(pos=row.pos, entity=row.entity, entity_id=str(row.entity_id), op=ChangeOp(row.op)) for row in page]
    return Changes(cursor=last if complete else page[-1].pos, complete=complete, rows=rows)
