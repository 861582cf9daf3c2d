"""The change feed: a reader that remembers the last position it saw loses nothing, however commits overlap.

That is shown on PostgreSQL with writers whose transactions overlap on purpose; the last test asks the naive
question (rows after the highest id seen) under the same load, and it does lose, so the others can fail.
"""

import threading
from uuid import UUID

import pytest
from sqlalchemy import select

from server import changes
from server.changes import ChangeHead, ChangeInbox, ChangeLog, ResyncRequired
from shared.contracts.sync import ChangeOp
from tests.databases import count, migrated

ALL = frozenset({"stock", "orders"})
XINGHE, BEICHEN = UUID(int=1), UUID(int=2)


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def any_db(request):
    with migrated(request.param) as db:
        yield db


@pytest.fixture
def db():
    with migrated("sqlite") as made:
        yield made


@pytest.fixture
def postgres():
    with migrated("postgres") as made:
        yield made


def write(db, *entity_ids, **other):
    with db.tx() as tx:
        for entity_id in entity_ids:
            changes.append(tx, "sku", UUID(int=entity_id), **({"domain": "stock"} | other))


def read(db, cursor=0, *, limit=100, supplier_id=None, domains=ALL):
    with db.read() as tx:
        return changes.read(tx, cursor=cursor, limit=limit, supplier_id=supplier_id, domains=domains)


def numbers(found):
    return [UUID(row.entity_id).int for row in found.rows]


def test_positions_rise_without_gaps_in_the_order_of_the_changes(any_db):
    write(any_db, 1, 2)
    assert read(any_db).rows == []  # no position, not readable
    assert changes.advance(any_db) == 2
    write(any_db, 3)
    assert changes.advance(any_db) == 1
    assert changes.advance(any_db) == 0
    found = read(any_db)
    assert [(row.pos, UUID(row.entity_id).int, row.op) for row in found.rows] == [
        (1, 1, ChangeOp.PUT),
        (2, 2, ChangeOp.PUT),
        (3, 3, ChangeOp.PUT),
    ]
    assert (found.cursor, found.complete) == (3, True)
    epoch, head = changes.epoch(any_db)
    assert (head, changes.epoch(any_db)) == (3, (epoch, 3))


def test_a_row_that_changed_often_is_told_once_with_what_happened_last(db):
    write(db, 1, 2)
    write(db, 1)
    write(db, 2, op=ChangeOp.DELETE)
    assert changes.advance(db) == 2
    assert [(UUID(row.entity_id).int, row.op) for row in read(db).rows] == [(1, ChangeOp.PUT), (2, ChangeOp.DELETE)]
    assert count(db, ChangeInbox) == 0


def test_a_rolled_back_change_is_never_told(db):
    def fail():
        with db.tx() as tx:
            changes.append(tx, "sku", UUID(int=1), domain="stock")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert changes.advance(db) == 0
    assert count(db, ChangeLog) == 0


def test_pages_go_on_where_the_last_one_ended(db):
    write(db, *range(1, 8))
    changes.advance(db)
    first = read(db, limit=3)
    assert (numbers(first), first.cursor, first.complete) == ([1, 2, 3], 3, False)
    second = read(db, first.cursor, limit=4)
    assert (numbers(second), second.cursor, second.complete) == ([4, 5, 6, 7], 7, True)
    assert read(db, second.cursor).rows == []


def test_a_supplier_reads_its_own_rows_and_the_shops_and_skips_over_the_rest(db):
    write(db, 1, supplier_id=XINGHE)
    write(db, 2, supplier_id=BEICHEN)
    write(db, 3)
    write(db, 4, supplier_id=XINGHE, domain="orders")
    write(db, 5, domain="payments")
    write(db, 6, supplier_id=BEICHEN)
    changes.advance(db)
    assert numbers(read(db, supplier_id=XINGHE)) == [1, 3, 4]
    assert numbers(read(db, supplier_id=BEICHEN)) == [2, 3, 6]
    assert numbers(read(db, supplier_id=XINGHE, domains=frozenset({"orders"}))) == [4]
    assert numbers(read(db, domains=frozenset())) == []
    # The cursor passes what this reader may not see, so that it is not read again and again.
    assert read(db, supplier_id=XINGHE).cursor == 6


def test_a_reader_that_is_ahead_of_a_restored_feed_starts_anew(db):
    write(db, 1, 2)
    changes.advance(db)
    assert (read(db, cursor=2).rows, read(db, cursor=2).cursor) == ([], 2)
    with pytest.raises(ResyncRequired):
        read(db, cursor=3)


def test_more_than_one_step_is_taken_in_one_go(db):
    write(db, *range(1, changes.STEP_ROWS + 11))
    assert changes.advance(db) == changes.STEP_ROWS + 10
    assert read(db, changes.STEP_ROWS, limit=100).cursor == changes.STEP_ROWS + 10


def test_two_first_visitors_agree_on_one_epoch(postgres):
    together = threading.Barrier(4)
    seen = []

    def ask():
        together.wait()
        seen.append(changes.epoch(postgres))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4
    assert len(set(seen)) == 1
    assert count(postgres, ChangeHead) == 1


# --- overlapping writers ---

WRITERS, EACH = 4, 25


def overlapping(db, observe):
    """Writers append early and commit late, in another order; `observe` runs meanwhile until all are done."""
    done = threading.Event()

    def write_slowly(n):
        for at in range(EACH):
            with db.tx() as tx:
                changes.append(tx, "sku", UUID(int=n * 1_000 + at), domain="stock")
                # The row has its id; what the other writers do now is committed before it.
                tx.connection().exec_driver_sql(f"SELECT pg_sleep({(n + at) % 3 * 0.002})")

    writers = [threading.Thread(target=write_slowly, args=(n,)) for n in range(1, WRITERS + 1)]
    observer = threading.Thread(target=observe, args=(done,))
    for thread in (*writers, observer):
        thread.start()
    for writer in writers:
        writer.join()
    done.set()
    observer.join()


EVERYTHING = {n * 1_000 + at for n in range(1, WRITERS + 1) for at in range(EACH)}


def test_readers_lose_nothing_while_writers_and_two_sequencers_overlap(postgres):
    seen: list[int] = []

    def follow(done):
        cursor, last = 0, False
        while True:
            found = read(postgres, cursor, limit=7)
            assert [row.pos for row in found.rows] == sorted(row.pos for row in found.rows)
            seen.extend(numbers(found))
            cursor = found.cursor
            if last and found.complete:
                return
            last = done.is_set()
            if last:
                changes.advance(postgres)

    def sequence(done):
        def run():
            while not done.is_set():
                changes.advance(postgres)

        other = threading.Thread(target=run)
        other.start()
        follower = threading.Thread(target=follow, args=(done,))
        follower.start()
        run()
        other.join()
        follower.join()

    overlapping(postgres, sequence)
    assert len(seen) == len(EVERYTHING)
    assert set(seen) == EVERYTHING
    with postgres.read() as tx:
        positions = tx.scalars(select(ChangeLog.pos).order_by(ChangeLog.pos)).all()
    assert positions == list(range(1, len(EVERYTHING) + 1))


def test_the_naive_question_loses_rows_under_the_same_load(postgres):
    seen: set[int] = set()

    def ask(done):
        highest, last = UUID(int=0), False
        while not last:
            last = done.is_set()
            with postgres.read() as tx:
                query = select(ChangeInbox).where(ChangeInbox.id > highest).order_by(ChangeInbox.id)
                rows = tx.scalars(query).all()
            seen.update(row.entity_id.int for row in rows)
            highest = rows[-1].id if rows else highest

    overlapping(postgres, ask)
    assert count(postgres, ChangeInbox) == len(EVERYTHING)
    assert seen < EVERYTHING
