"""Group commit: whose fault hurts whom, what is answered when, and what happens when there is too much."""

import asyncio
import threading
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import OperationalError

from server import audit, batch
from server.audit import AuditEvent
from server.batch import Batch
from server.db import table_of
from server.jobs import JobSchedule
from server.orders.actions import PlaceOrder
from server.payments import checkout
from server.payments.actions import Outcome
from shared import clock
from shared.errors import Busy, Conflict, IdempotencyReused
from shared.states import OrderState
from tests.databases import count, migrated
from tests.world import ANNA, BEN, world

AT = datetime(2025, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Note:
    """Leaves an audit row; `how` says what goes wrong instead."""

    name: str
    how: str = "fine"


@dataclass(frozen=True)
class Touch:
    """Locks rows of a table in the given order, waiting for the other party after the first."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Single:
    """Shares a transaction with nothing, not even with another of its type."""

    n: int


@pytest.fixture
def db():
    with migrated("sqlite") as made:
        yield made


def note(tx, commands):
    """Set-based, and as careless as a handler may be."""
    audit.append_many(tx, [audit.Entry("system", "test.note", "x", command.name) for command in commands])
    for command in commands:
        if command.how == "raises":
            raise LookupError(command.name)
        if command.how == "breaks the statement":
            tx.execute(text("INSERT INTO no_such_table VALUES (1)"))
    return [Conflict(name=c.name) if c.how == "refused" else c.name for c in commands]


@pytest.fixture
def lanes(db):
    made = Batch(db)
    made.register(Note, note, rank=10)
    yield made
    made.close()


def noted(db):
    with db.read() as tx:
        return sorted(tx.scalars(select(AuditEvent.entity_id)).all())


def gathered(lanes, *commands):
    """Submit all before the lanes start, so that they are one batch; answers results or errors in their order."""

    async def run():
        waiting = [asyncio.ensure_future(lanes.submit(command)) for command in commands]
        await asyncio.sleep(0)  # each runs up to its place in the queue
        assert sum(line.qsize() for line in lanes._queues) == len(commands)
        lanes.start()
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(run())


# --- whose fault ---


def test_a_batch_is_one_transaction_and_each_gets_its_own_answer(lanes, db):
    answers = gathered(lanes, Note("a"), Note("b", "refused"), Note("c"))
    assert answers[0] == "a"
    assert answers[2] == "c"
    assert isinstance(answers[1], Conflict)
    assert answers[1].params == {"name": "b"}
    assert noted(db) == ["a", "b", "c"]
    assert (lanes.figures.batches, lanes.figures.commands, lanes.figures.largest) == (1, 3, 3)
    assert (lanes.figures.replayed, lanes.figures.retried, dict(lanes.figures.by_size)) == (0, 0, {4: 1})


@pytest.mark.parametrize("how", ["raises", "breaks the statement"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mariadb"])
def test_a_bad_command_hurts_no_neighbour_and_leaves_nothing(kind, how):
    with migrated(kind) as db:
        lanes = Batch(db, lanes=1)
        lanes.register(Note, note, rank=10)
        answers = gathered(lanes, Note("a"), Note("bad", how), Note("c"), Note("d", "refused"))
        lanes.close()
        assert [answers[0], answers[2]] == ["a", "c"]
        assert isinstance(answers[1], LookupError if how == "raises" else Exception)
        assert isinstance(answers[3], Conflict)
        assert noted(db) == ["a", "c", "d"]
        assert (lanes.figures.replayed, lanes.figures.batches) == (1, 1)


def test_groups_run_by_rank_and_a_broken_group_leaves_the_other(lanes, db):
    seen = []

    def touch(tx, commands):
        seen.append(("touch", len(commands)))
        raise LookupError

    def early(tx, commands):
        seen.append(("early", len(commands)))
        return [None] * len(commands)

    lanes.register(Touch, touch, rank=90)
    lanes.register(str, early, rank=1)
    answers = gathered(lanes, Touch(()), Note("a"), "x", Touch(()), "y")
    assert [type(one) for one in answers] == [LookupError, str, type(None), LookupError, type(None)]
    assert seen == [("early", 2), ("touch", 2), ("touch", 1), ("touch", 1)]
    assert noted(db) == ["a"]


def test_a_handler_that_answers_too_few_fails_its_group_and_keeps_nothing(lanes, db):
    def forgetful(tx, commands):
        note(tx, [Note("lost") for _ in commands])
        return []

    lanes.register(str, forgetful, rank=1)
    answers = gathered(lanes, "x", "y", Note("a"))
    assert [type(one) for one in answers] == [AssertionError, AssertionError, str]
    assert noted(db) == ["a"]


def test_nobody_is_answered_before_the_commit(lanes, db):
    inside, go_on = threading.Event(), threading.Event()

    def slow(tx, commands):
        audit.append(tx, actor="system", action="test.slow", entity="x", entity_id="slow")
        inside.set()
        go_on.wait(20)
        return ["done"] * len(commands)

    lanes.register(str, slow, rank=1)
    lanes.start()
    answers = []
    caller = threading.Thread(target=lambda: answers.append((lanes.call("x"), noted(db))))
    caller.start()
    assert inside.wait(20)
    assert (answers, noted(db)) == ([], [])
    go_on.set()
    caller.join()
    assert answers == [("done", ["slow"])]


def test_after_each_commit_the_worker_is_woken_and_a_lane_outlives_a_broken_bell(lanes, db):
    rung = []

    def bell():
        rung.append(noted(db))
        raise LookupError

    lanes.after_commit(bell)
    lanes.start()
    assert [lanes.call(Note("a")), lanes.call(Note("b"))] == ["a", "b"]
    lanes.close()
    assert rung == [["a"], ["a", "b"]]


# --- folding ---


def idle_lanes(shop):
    """The shop's handlers behind lanes that were not started: what is sent before the start is one batch."""
    lanes = Batch(shop.ctx.db)
    checkout.register(replace(shop.ctx, batch=lanes))
    return lanes


def test_the_same_order_twice_in_one_batch_is_one_order(tmp_path):
    with world("sqlite", tmp_path) as shop:
        shop.stock("STEAM-50", 3)
        lanes = idle_lanes(shop)

        def order(buyer, key, quantity=1):
            return PlaceOrder(buyer, key, "STEAM-50", quantity, 4_500 * quantity, "sandbox")

        answers = gathered(
            lanes,
            order(ANNA, "key-0001"),
            order(ANNA, "key-0001"),
            order(ANNA, "key-0001", 2),
            order(BEN, "key-0001"),
            order(ANNA, "key-0002"),
        )
        codes = [one.order.code for one in (answers[0], answers[1], answers[3], answers[4])]
        assert codes[0] == codes[1]
        assert answers[0].attempt.out_trade_no == answers[1].attempt.out_trade_no
        assert len(set(codes)) == 3
        assert isinstance(answers[2], IdempotencyReused)
        lanes.close()
        assert shop.level("STEAM-50").held == 3
        shop.check()


def test_a_refused_order_twice_in_one_batch_is_refused_twice(tmp_path):
    with world("sqlite", tmp_path) as shop:
        lanes = idle_lanes(shop)
        order = PlaceOrder(ANNA, "key-0001", "STEAM-50", 1, 4_500, "sandbox")
        answers = gathered(lanes, order, order)
        lanes.close()
        assert [type(one).__name__ for one in answers] == ["SoldOut", "SoldOut"]


# --- too much, too late, the end ---


def test_a_full_queue_refuses_at_once_and_takes_what_it_took(db, monkeypatch):
    monkeypatch.setattr(batch, "CAPACITY", 3)
    lanes = Batch(db)
    lanes.register(Note, note, rank=1)
    answers, refused = [], []

    def send(name):
        try:
            answers.append(lanes.call(Note(name)))
        except Busy as busy:
            refused.append(busy.params)

    threads = [threading.Thread(target=send, args=(str(n),)) for n in range(3)]
    for thread in threads:
        thread.start()
    while lanes.depth < 3:
        threading.Event().wait(0.001)
    send("one too many")
    assert refused == [{"retry_after_seconds": 2}]
    lanes.start()
    for thread in threads:
        thread.join()
    lanes.close()
    assert sorted(answers) == noted(db) == ["0", "1", "2"]


def test_a_command_that_waited_too_long_is_refused_and_not_done(lanes, db, monkeypatch):
    monkeypatch.setattr(batch, "PATIENCE_SECONDS", -1)
    refused = []

    def send():
        try:
            lanes.call(Note("late"))
        except Busy as busy:
            refused.append(busy.params)

    caller = threading.Thread(target=send)
    caller.start()
    while not lanes.depth:
        threading.Event().wait(0.001)
    monkeypatch.undo()
    lanes.start()
    assert lanes.call(Note("in time")) == "in time"
    caller.join()
    assert refused == [{"retry_after_seconds": 2}]
    assert noted(db) == ["in time"]


def test_close_finishes_what_was_accepted_and_refuses_what_comes_after(lanes, db):
    threads = [threading.Thread(target=lanes.call, args=(Note(f"{n:03}"),)) for n in range(40)]
    for thread in threads:
        thread.start()
    while lanes.depth < 40:
        threading.Event().wait(0.001)
    lanes.start()
    lanes.close()
    for thread in threads:
        thread.join()
    assert noted(db) == [f"{n:03}" for n in range(40)]
    assert not lanes.alive
    with pytest.raises(Busy):
        lanes.call(Note("after the end"))


def test_an_answer_nobody_waits_for_any_more_is_work_that_stands(lanes, db):
    async def give_up():
        task = asyncio.ensure_future(lanes.submit(Note("a")))
        await asyncio.sleep(0)
        assert lanes.depth == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())  # the loop is gone as well
    lanes.start()
    assert lanes.call(Note("b")) == "b"
    assert noted(db) == ["a", "b"]


# --- engines that say: again ---


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_two_batches_that_lock_crosswise_both_succeed_whole(kind):
    """A real deadlock: each holds the row that the other wants. The engine ends one; the batcher runs all of it again.

    MariaDB throws away the savepoint too, with what the batch did before it: that must not be answered as done.
    """
    with migrated(kind) as db:
        with db.tx() as tx:
            tx.execute(insert(table_of(JobSchedule)), [{"name": name, "next_at": AT} for name in ("left", "right")])
        both_hold_one = threading.Barrier(2)
        first_tries = []

        def touch(tx, commands):
            for at, name in enumerate(commands[0].names):
                tx.execute(update(JobSchedule).where(JobSchedule.name == name).values(next_at=clock.now()))
                if at == 0 and commands[0] not in first_tries:
                    first_tries.append(commands[0])
                    both_hold_one.wait(20)
            return [commands[0].names]

        crosswise = [("left", "right"), ("right", "left")]
        lanes = [Batch(db, lanes=1) for _ in crosswise]
        answers, threads = [], []
        for one, names in zip(lanes, crosswise, strict=True):
            one.register(Note, note, rank=10)
            one.register(Touch, touch, rank=20)
            commands = (Touch(names), Note(names[0]))
            run = threading.Thread(target=lambda one=one, sent=commands: answers.append(gathered(one, *sent)))
            threads.append(run)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in lanes:
            one.close()
        assert sorted(answers) == [[names, names[0]] for names in crosswise]
        assert noted(db) == ["left", "right"]
        assert sum(one.figures.retried for one in lanes) == 1
        assert sum(one.figures.replayed for one in lanes) == 0


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_buyers_of_many_goods_never_lock_crosswise(kind, tmp_path):
    """Placing and paying meet in the stock of the same goods; PostgreSQL would need a second for each deadlock."""
    with world(kind, tmp_path) as shop:
        for sku in shop.skus:
            shop.stock(sku, 144)

        def run(n):
            for at in range(12):
                shop.buy(UUID(int=n), sorted(shop.skus)[(n + at * n) % 3])

        threads = [threading.Thread(target=run, args=(n,)) for n in range(1, 13)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert shop.check().figures["units_sold"] == 144
        assert (shop.ctx.batch.figures.retried, shop.ctx.batch.figures.replayed) == (0, 0)


def test_a_type_keeps_its_lane_and_lanes_run_beside_each_other():
    with migrated("postgres") as db:
        lanes = Batch(db, lanes=2)
        met = threading.Barrier(2)
        ran = defaultdict(set)

        def meet(tx, commands):
            ran[type(commands[0])].add(threading.current_thread().name)
            met.wait(20)
            return [None] * len(commands)

        def one(tx, commands):
            shares.append((len(commands), tx.connection().exec_driver_sql("SELECT pg_current_xact_id()").scalar()))
            return [None] * len(commands)

        shares = []
        lanes.register(Note, meet, rank=1)
        lanes.register(Touch, meet, rank=2, lane=1)
        lanes.register(Single, one, rank=3, single=True)
        assert gathered(lanes, Note("a"), Touch(()), Single(1), Note("b"), Single(2)) == [None] * 5
        lanes.close()
        assert ran == {Note: {"batch-0"}, Touch: {"batch-1"}}
        assert [size for size, _ in shares] == [1, 1], "whatever came with it"
        assert len({transaction for _, transaction in shares}) == 2


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_connection_that_is_lost_in_the_middle_is_a_retry(kind):
    with migrated(kind) as db:
        tries = []

        def lose(tx, commands):
            tries.append(1)
            audit.append(tx, actor="system", action="test.lose", entity="x", entity_id="once")
            if len(tries) == 1:
                _end_connection(db, tx)
            tx.execute(select(AuditEvent)).all()
            return ["done"] * len(commands)

        lanes = Batch(db, lanes=1)
        lanes.register(str, lose, rank=1)
        lanes.start()
        assert lanes.call("x") == "done"
        lanes.close()
        assert (len(tries), lanes.figures.retried) == (2, 1)
        assert count(db, AuditEvent) == 1


def _end_connection(db, tx):
    """What an administrator, a failover or a broken line does to the connection of `tx`."""
    postgres = db.engine.dialect.name == "postgresql"
    mine = tx.scalar(text("SELECT pg_backend_pid()" if postgres else "SELECT CONNECTION_ID()"))
    with db.engine.connect() as other:
        other.execute(text(f"SELECT pg_terminate_backend({mine})" if postgres else f"KILL {mine}"))


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_commit_whose_outcome_nobody_knows_is_resolved_by_its_keys(kind, tmp_path, monkeypatch):
    """The line breaks after the engine has committed and before we hear of it."""
    with world(kind, tmp_path) as shop:
        shop.stock("STEAM-50", 3)
        with shop.ctx.db.tx(by_key=True) as tx:
            dialect = tx.get_bind().dialect
        commit, lost = dialect.do_commit, []

        def commit_unheard(connection):
            commit(connection)
            if threading.current_thread().name.startswith("batch-") and len(lost) % 2 == 0:
                lost.append(1)
                connection.driver_connection.close()
                error = dialect.loaded_dbapi.OperationalError
                raise error(2013, "Lost connection to server during query") if kind == "mariadb" else error("closed")
            lost.append(0)

        monkeypatch.setattr(dialect, "do_commit", commit_unheard)
        placed = shop.place(ANNA, "STEAM-50", key="key-0001")
        assert (lost, shop.level("STEAM-50").held) == ([1, 0], 1)
        assert shop.apply(shop.fact(placed), raw=b"told") is Outcome.REPEATED
        assert lost == [1, 0, 1, 0]
        monkeypatch.undo()
        assert shop.order(placed).state == OrderState.DELIVERED
        assert shop.place(ANNA, "STEAM-50", key="key-0001").order.code == placed.order.code
        assert shop.level("STEAM-50").sold == 1
        assert shop.check().figures["journals"] == 2


def test_what_can_never_succeed_is_given_up_after_three_tries_and_the_lane_goes_on(lanes, db):
    tries = []

    def never(tx, commands):
        tries.append(1)
        raise OperationalError("x", None, Exception("database is locked"))

    lanes.register(str, never, rank=1)
    lanes.start()
    with pytest.raises(Busy):  # the same may succeed a little later: never a fault of ours
        lanes.call("x")
    assert (len(tries), lanes.figures.retried) == (3, 2)
    assert lanes.call(Note("a")) == "a"
    assert lanes.alive
