"""One at a time: who makes or moves the statements and payouts of a supplier, numbers of a day without gaps, wishes.

Lock order: a run's id, then the turns of suppliers by their ids, then orders, the ledger, and last a day's numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from server.db import Tx, table_of
from server.settlement.model import SettlementNumber, SettlementRun, SettlementTurn
from shared import clock
from shared.errors import IdempotencyReused


def take(tx: Tx, supplier_ids: Collection[UUID]) -> None:
    """Let nobody else make or move statements and payouts of these suppliers until the transaction ends."""
    wanted = sorted(supplier_ids, key=lambda supplier_id: supplier_id.bytes)
    query = select(SettlementTurn.supplier_id).where(SettlementTurn.supplier_id.in_(wanted))
    known = set(tx.scalars(query))
    for supplier_id in wanted:
        if supplier_id not in known:
            try:
                with tx.begin_nested():
                    tx.execute(insert(table_of(SettlementTurn)), {"supplier_id": supplier_id, "turn": 0})
            except IntegrityError:
                continue  # somebody else's first turn
    for supplier_id in wanted:  # one by one: an engine may lock the rows of one statement in any order
        mine = SettlementTurn.supplier_id == supplier_id
        tx.execute(update(SettlementTurn).where(mine).values(turn=SettlementTurn.turn + 1))


def next_numbers(tx: Tx, prefix: str, day: date, count: int) -> list[str]:
    """The next numbers of a day, such as `JS20261123-001`: without gaps, as its row stays locked."""
    mine = (SettlementNumber.prefix == prefix, SettlementNumber.day == day)
    locked = select(SettlementNumber.last).where(*mine).with_for_update()
    last = tx.scalars(locked).first()
    if last is None:
        try:
            with tx.begin_nested():
                tx.execute(insert(table_of(SettlementNumber)), {"prefix": prefix, "day": day, "last": 0})
            last = 0
        except IntegrityError:
            last = tx.scalars(locked).one()
    tx.execute(update(SettlementNumber).where(*mine).values(last=last + count))
    return [f"{prefix}{day:%Y%m%d}-{last + n:03d}" for n in range(1, count + 1)]


def begin(tx: Tx, run_id: UUID, what: str, content: Any, *, actor: str) -> SettlementRun | None:
    """Begin what was wished under an id; None when it is new, else what came of it when it was wished before.

    Raises IdempotencyReused for a known id of another wish. Two at once wait for each other.
    """
    digest = hashlib.sha256(json.dumps([what, content], sort_keys=True).encode()).hexdigest()
    known = tx.get(SettlementRun, run_id)
    if known is None:
        row = {"id": run_id, "what": what, "content_sha256": digest, "answer": {}}
        try:
            with tx.begin_nested():
                tx.execute(insert(table_of(SettlementRun)), row | {"made_by": actor, "made_at": clock.now()})
        except IntegrityError:
            known = tx.get(SettlementRun, run_id, populate_existing=True)
        else:
            return None
    assert known is not None
    if known.content_sha256 != digest:
        raise IdempotencyReused
    return known


def goes_on(tx: Tx, run_id: UUID) -> bool:
    """Whether a wish that was begun is not done to its end; nobody else goes on with it until the transaction ends."""
    mine = select(SettlementRun.answer).where(SettlementRun.id == run_id).with_for_update()
    return not tx.scalars(mine).one()


def finish(tx: Tx, run_id: UUID, answer: dict[str, int]) -> None:
    """Keep what came of a wish, for its repeats."""
    tx.execute(update(SettlementRun).where(SettlementRun.id == run_id).values(answer=answer))
