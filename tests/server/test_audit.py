"""The audit log: appended with the change, sealed in order, and nothing changed, removed or slipped in unnoticed."""

import threading

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from server import audit
from server.audit import AuditBlock, AuditEvent, AuditPending
from server.db import table_of
from shared import clock, ids
from tests.databases import count, migrated, tampering


@pytest.fixture
def db():
    with migrated("sqlite") as made:
        yield made


def append(db, rows=1, *, start=0):
    with db.tx() as tx:
        audit.append_many(
            tx,
            [
                audit.Entry(f"staff:{n}", "product.publish", "product", str(n), request_id="r", detail={"n": n})
                for n in range(start, start + rows)
            ],
        )


def sealed(db, blocks=3, rows=4):
    for n in range(blocks):
        append(db, rows, start=n * rows)
        assert audit.seal(db) == rows


def events(tx):
    return list(tx.scalars(select(AuditEvent).order_by(AuditEvent.id)))


def test_a_row_goes_with_its_transaction_and_holds_what_was_told(db):
    def fail():
        with db.tx() as tx:
            audit.append(tx, actor="system", action="a.b", entity="x", entity_id="1")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert (count(db, AuditEvent), count(db, AuditPending)) == (0, 0)
    with db.tx() as tx:
        audit.append(
            tx, actor="staff:1", action="user.disable", entity="user", entity_id="7", detail={"b": 1, "a": "钱"}
        )
        audit.append_many(tx, [])
    with db.read() as tx:
        [row] = events(tx)
        assert (row.actor, row.action, row.entity, row.entity_id) == ("staff:1", "user.disable", "user", "7")
        assert (row.detail, row.request_id) == ('{"a": "钱", "b": 1}', None)


def test_what_is_sealed_verifies_and_counts(db):
    assert audit.verify(db) == audit.Verification(blocks=0, events=0, pending=0, loose=0, broken_block=None)
    assert audit.seal(db) == 0
    sealed(db, blocks=2)
    append(db, 3)
    assert audit.verify(db) == audit.Verification(blocks=2, events=8, pending=3, loose=0, broken_block=None)
    append(db, audit.BLOCK_ROWS * 2 + 1)
    assert audit.seal(db) == audit.BLOCK_ROWS * 2 + 4
    found = audit.verify(db)
    assert (found.blocks, found.events, found.pending) == (5, audit.BLOCK_ROWS * 2 + 12, 0)
    assert found.ok


CHANGES = {
    "at": lambda row: {"at": clock.now()},
    "actor": lambda row: {"actor": "system"},
    "action": lambda row: {"action": "product.draft"},
    "entity": lambda row: {"entity": "sku"},
    "entity_id": lambda row: {"entity_id": "99"},
    "request_id": lambda row: {"request_id": None},
    "detail": lambda row: {"detail": row.detail + " "},
    "moved between fields": lambda row: {"action": "product", "entity": "publish product"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_row_is_found_with_its_block(db, change):
    sealed(db)
    with tampering(db) as tx:
        row = events(tx)[5]
        tx.execute(update(AuditEvent).where(AuditEvent.id == row.id).values(**change(row)))
    assert audit.verify(db).broken_block == 2


def test_a_removed_row_is_found_with_its_block(db):
    sealed(db)
    with tampering(db) as tx:
        tx.execute(delete(AuditEvent).where(AuditEvent.id == events(tx)[11].id))
    assert audit.verify(db).broken_block == 3


def test_a_row_that_was_slipped_in_is_found(db):
    sealed(db)
    row = {"id": ids.new_id(), "at": clock.now(), "actor": "a", "action": "a.b", "entity": "e", "entity_id": "1"}
    with db.tx() as tx:
        tx.execute(insert(table_of(AuditEvent)), row)
    found = audit.verify(db)
    assert (found.broken_block, found.loose, found.ok) == (None, 1, False)


def test_a_row_that_was_removed_before_it_was_sealed_is_found(db):
    append(db, 2)
    with tampering(db) as tx:
        tx.execute(delete(AuditEvent).where(AuditEvent.id == events(tx)[0].id))
    found = audit.verify(db)
    assert (found.loose, found.ok) == (1, False)


def test_a_row_that_is_kept_from_being_sealed_is_found(db):
    append(db, 2)
    with db.tx() as tx:
        tx.execute(delete(AuditPending).where(AuditPending.event_id == events(tx)[0].id))
    assert audit.verify(db).loose == 1
    audit.seal(db)
    assert audit.verify(db).loose == 1


def test_a_removed_a_swapped_and_a_rewritten_block_are_found(db):
    sealed(db, blocks=4)
    with tampering(db) as tx:
        tx.execute(delete(AuditBlock).where(AuditBlock.n == 4))
    assert (audit.verify(db).broken_block, audit.verify(db).loose) == (None, 4)
    with tampering(db) as tx:
        tx.execute(delete(AuditBlock).where(AuditBlock.n == 2))
    assert audit.verify(db).broken_block == 2


def test_a_block_that_was_written_anew_with_its_changed_row_breaks_the_next_one(db):
    sealed(db)
    with tampering(db) as tx:
        row = events(tx)[0]
        tx.execute(update(AuditEvent).where(AuditEvent.id == row.id).values(actor="nobody"))
        tx.flush()
        tx.expire_all()
        block = tx.get(AuditBlock, 1)
        rehashed = audit._hash(block.before, events(tx)[:4])
        tx.execute(update(AuditBlock).where(AuditBlock.n == 1).values(after=rehashed))
    assert audit.verify(db).broken_block == 2


def test_the_database_itself_refuses_to_change_what_was_written(db):
    sealed(db, blocks=1)
    for statement in (
        update(AuditEvent).values(actor="x"),
        delete(AuditEvent),
        update(AuditBlock).values(after=b""),
        delete(AuditBlock),
    ):
        with pytest.raises(DBAPIError, match="append-only"), db.tx() as tx:
            tx.execute(statement)


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_two_sealers_at_once_seal_each_row_once(kind):
    with migrated(kind) as db:
        append(db, 40)
        together = threading.Barrier(4)
        totals, troubles = [], []

        def run():
            together.wait()
            try:
                totals.append(audit.seal(db))
            except Exception as error:  # noqa: BLE001 - shown by the assertion
                troubles.append(error)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        audit.seal(db)
        assert troubles == []
        found = audit.verify(db)
        assert (found.events, found.pending, found.ok) == (40, 0, True)
