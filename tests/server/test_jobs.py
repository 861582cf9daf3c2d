"""Jobs: written with their cause, leased, repeated, never lost, and their effect happens once."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import OperationalError

from server import audit, jobs
from server.audit import AuditEvent
from server.db import table_of
from server.jobs import LEASE_SECONDS, Job, Jobs, JobSchedule, Lane
from shared import clock
from shared.states import JobState
from tests.databases import count, migrated

START = datetime(2025, 3, 1, 9, tzinfo=UTC)


def later(seconds):
    return clock.fixed(START + timedelta(seconds=seconds))


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def any_db(request):
    with migrated(request.param) as made:
        yield made


@pytest.fixture
def db():
    with migrated("sqlite") as made, clock.fixed(START):
        yield made


def enqueue(db, kind="greet", args=None, **options):
    with db.tx() as tx:
        jobs.enqueue(tx, kind, args or {}, **options)


def rows(db, *where):
    with db.read() as tx:
        return tx.scalars(select(Job).where(*where).order_by(Job.id)).all()


def only(db):
    [row] = rows(db)
    return row


def effect(tx, args):
    """Something that must happen once: an audit row."""
    audit.append(tx, actor="system", action="test.effect", entity="x", entity_id=str(args.get("n", "")))


def worker(db, **handlers):
    made = Jobs(db)
    for kind, handler in handlers.items():
        made.within(kind, handler)
    return made


# --- once ---


def test_a_job_is_there_when_its_cause_is_and_not_before(db):
    def fail():
        with db.tx() as tx:
            jobs.enqueue(tx, "greet", {})
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert rows(db) == []
    enqueue(db, args={"n": 1, "钱": "元"})
    assert (only(db).args, only(db).state, only(db).run_at) == ('{"n": 1, "钱": "元"}', JobState.READY, START)


def test_effect_and_completion_are_one_transaction(db):
    enqueue(db)
    greet = worker(db, greet=effect)
    assert greet.run_due() == 1
    assert greet.run_due() == 0
    done = only(db)
    assert (done.state, done.attempt, done.finished_at, done.lease_until) == (JobState.DONE, 1, START, None)
    assert count(db, AuditEvent) == 1


def test_a_failing_handler_leaves_no_trace_and_comes_again_later_and_later(db):
    enqueue(db)

    def fail(tx, args):
        effect(tx, args)
        raise LookupError("no luck")

    failing = worker(db, greet=fail)
    due = 0
    for attempt in range(1, 5):
        with later(due):
            assert failing.run_due() == 1
        row = only(db)
        assert (row.state, row.attempt, row.last_error) == (JobState.RETRY, attempt, "LookupError: no luck")
        assert row.run_at == START + timedelta(seconds=due + attempt**4)
        with later(due + attempt**4 - 1):
            assert failing.run_due() == 0
        due += attempt**4
    assert count(db, AuditEvent) == 0
    with later(due):
        assert worker(db, greet=effect).run_due() == 1
    assert count(db, AuditEvent) == 1


def test_a_job_is_dead_after_its_last_attempt_and_is_left_for_people(db):
    enqueue(db, max_attempts=2, key="k")

    def fail(_tx, _args):
        raise LookupError("x" * 900)

    failing = worker(db, greet=fail)
    for seconds in (0, 1):
        with later(seconds):
            failing.run_due()
    with later(10**6):
        assert failing.run_due() == 0
    assert (only(db).state, only(db).attempt, len(only(db).last_error)) == (JobState.DEAD, 2, 500)
    with db.read() as tx:
        assert jobs.counts(tx) == {"dead": 1}


def test_the_key_of_a_dead_job_is_free_again(db):
    """What was given up must not swallow the same work when it is asked for anew."""
    enqueue(db, max_attempts=1, key="k")
    worker(db).run_due()
    assert only(db).state == JobState.DEAD
    enqueue(db, key="k")
    assert [row.state for row in rows(db)] == [JobState.DEAD, JobState.READY]


def test_an_unknown_kind_waits_for_the_version_that_knows_it(db):
    enqueue(db, kind="from.the.future")
    worker(db, greet=effect).run_due()
    assert (only(db).state, only(db).last_error) == (JobState.RETRY, "no handler for from.the.future")


def test_a_job_waits_for_its_time(db):
    enqueue(db, run_at=START + timedelta(seconds=60))
    greet = worker(db, greet=effect)
    assert greet.run_due() == 0
    with later(60):
        assert greet.run_due() == 1


def test_work_outside_runs_without_a_transaction_and_may_be_repeated(db):
    enqueue(db, kind="call")
    calls = []

    def call(args):
        with db.tx() as tx:  # its own: it would wait for ever inside of another one's on SQLite
            effect(tx, args)
        calls.append(args)
        if len(calls) == 1:
            raise TimeoutError

    outside = Jobs(db)
    outside.outside("call", call)
    outside.run_due()
    assert only(db).state == JobState.RETRY
    with later(1):
        outside.run_due()
    assert (only(db).state, len(calls), count(db, AuditEvent)) == (JobState.DONE, 2, 2)


# --- leases ---


def test_a_worker_that_vanished_loses_its_job_after_the_lease_and_not_before(db):
    enqueue(db)
    [lost] = worker(db)._claim()
    other = worker(db, greet=effect)
    with later(LEASE_SECONDS):
        assert other.run_due() == 0
    with later(LEASE_SECONDS + 1):
        assert other.run_due() == 1
    assert (only(db).id, only(db).state, only(db).attempt) == (lost.id, JobState.DONE, 2)


def test_what_a_killed_process_was_doing_goes_on_at_once_where_there_is_only_one(db):
    enqueue(db)
    assert len(worker(db)._claim()) == 1
    greeted = threading.Event()

    def greet(tx, args):
        effect(tx, args)
        greeted.set()

    restarted = worker(db, greet=greet)
    restarted.start()
    assert greeted.wait(timeout=20)  # the lease has two minutes
    restarted.close()
    assert (only(db).state, only(db).attempt) == (JobState.DONE, 2)


def test_a_worker_that_lost_its_lease_undoes_what_it_did(db):
    enqueue(db, args={"n": 1})
    slow, quick = worker(db, greet=effect), worker(db, greet=effect)
    [job] = slow._claim()
    with later(LEASE_SECONDS + 1):
        assert quick.run_due() == 1
        slow._run(job)
    assert count(db, AuditEvent) == 1
    assert (only(db).state, only(db).last_error) == (JobState.DONE, None)


def test_a_job_that_kills_its_worker_each_time_is_dead_in_the_end(db):
    enqueue(db, max_attempts=3)
    for turn in range(3):
        with later(turn * (LEASE_SECONDS + 1)):
            assert len(worker(db)._claim()) == 1
    last = worker(db, greet=effect)
    with later(4 * (LEASE_SECONDS + 1)):
        assert last.run_due() == 0
    assert (only(db).state, only(db).last_error) == (JobState.DEAD, "abandoned by its worker")
    assert count(db, AuditEvent) == 0


def test_many_workers_run_each_job_once(any_db):
    for n in range(60):
        enqueue(any_db, kind="many", args={"n": n})
    before = count(any_db, AuditEvent)
    workers = [worker(any_db, many=effect) for _ in range(4)]

    def run(one):
        while one.run_due():
            pass

    threads = [threading.Thread(target=run, args=(one,)) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while workers[0].run_due():
        pass
    assert count(any_db, AuditEvent) == before + 60
    many = rows(any_db, Job.kind == "many")
    assert {(row.state, row.attempt) for row in many} == {(JobState.DONE, 1)}


# --- keys ---


def test_a_key_is_one_live_job_and_is_free_again_afterwards(any_db):
    key = "recheck:1"
    for _ in range(3):
        enqueue(any_db, kind="keyed", key=key)
    with any_db.tx() as tx:
        jobs.enqueue(tx, "keyed", {}, key="other")
        jobs.enqueue(tx, "keyed", {}, key="other")
    assert len(rows(any_db, Job.kind == "keyed")) == 2
    keyed = worker(any_db, keyed=effect)
    while keyed.run_due():
        pass
    enqueue(any_db, kind="keyed", key=key)
    states = [row.state for row in rows(any_db, Job.kind == "keyed")]
    assert states == [JobState.DONE, JobState.DONE, JobState.READY]
    keyed.run_due()


def test_a_job_enqueued_while_its_twin_runs_is_not_swallowed(db):
    """The running one may have looked already: what happened after its look must be looked at again."""
    enqueue(db, kind="recheck", key="k")

    def look(_args):
        enqueue(db, kind="recheck", key="k")

    looking = Jobs(db)
    looking.outside("recheck", look)
    looking.run_due()
    assert [row.state for row in rows(db)] == [JobState.DONE, JobState.READY]


# --- schedules, threads ---


def test_a_schedule_runs_in_one_of_two_processes_at_its_time(any_db):
    ran = []
    pair = [Jobs(any_db), Jobs(any_db)]
    for n, one in enumerate(pair):
        one.every("sweep", 10, lambda n=n: ran.append(n))

    def turn():
        together = threading.Barrier(2)

        def run(one):
            with_start.wait()
            one.run_schedules()

        with_start = together
        threads = [threading.Thread(target=run, args=(one,)) for one in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for at, total in ((0, 1), (9.9, 1), (10, 2), (25, 3), (34, 3), (35, 4)):
        with later(at):
            turn()
        assert len(ran) == total, at
    for at, total in (
        (-3_600, 5),
        (-3_591, 5),
        (-3_590, 6),
        (35, 7),
    ):  # the clock was wrong, and is put right, and back
        with later(at):
            turn()
        assert len(ran) == total, at
    with any_db.read() as tx:
        [name] = tx.scalars(select(JobSchedule.next_at).where(JobSchedule.name == "sweep"))
    assert name == START + timedelta(seconds=45)


def test_a_failing_schedule_stops_no_other_and_comes_again(db):
    ran = []
    both = Jobs(db)

    def fail():
        ran.append("failed")
        raise LookupError

    both.every("first", 10, fail)
    both.every("second", 10, lambda: ran.append("ran"))
    both.run_schedules()
    with later(10):
        both.run_schedules()
    assert ran == ["failed", "ran"] * 2


def test_threads_wake_for_work_and_finish_it_before_they_end(db):
    greeted = threading.Event()

    def greet(tx, args):
        effect(tx, args)
        greeted.set()

    both = worker(db, greet=greet)
    both.start(threads=2)
    assert both.alive
    enqueue(db)
    both.wake()
    assert greeted.wait(timeout=20)
    both.close()
    assert not both.alive
    assert only(db).state == JobState.DONE


def test_who_waits_for_somebody_else_holds_up_no_other_work(db):
    asked, answered, greeted, swept, stored, ended = (threading.Event() for _ in range(6))

    def ask(_args):
        asked.set()
        assert answered.wait(timeout=20)

    def store(_args):
        stored.set()
        assert ended.wait(timeout=20)

    slow = worker(db, greet=lambda *_: greeted.set())
    slow.outside("ask", ask)
    slow.outside("store", store, lane=Lane.IMPORTS)
    slow.every("sweep", 10, swept.set)
    for kind in ("ask", "store", "store"):
        enqueue(db, kind=kind)
    slow.start()
    assert (asked.wait(timeout=20), stored.wait(timeout=20)) == (True, True)
    begun = {(row.kind, row.state, row.attempt) for row in rows(db)}  # what a long one keeps waiting has no lease yet
    assert begun == {("ask", "running", 1), ("store", "running", 1), ("store", "ready", 0)}
    enqueue(db)
    slow.wake()
    assert (greeted.wait(timeout=20), swept.wait(timeout=20)) == (True, True)
    answered.set()
    ended.set()
    slow.close()
    while slow.run_due():
        pass
    assert {(row.kind, row.state, row.attempt) for row in rows(db)} == {
        ("ask", "done", 1),
        ("store", "done", 1),
        ("greet", "done", 1),
    }


def test_what_was_done_a_week_ago_is_forgotten_and_nothing_else(db):
    greet = worker(db, greet=effect)
    enqueue(db)
    greet.run_due()
    enqueue(db, kind="waiting", run_at=START + timedelta(days=365))
    with later(86_400 * jobs.KEEP_DONE_DAYS - 1):
        greet.forget_done()
        assert len(rows(db)) == 2
    with later(86_400 * jobs.KEEP_DONE_DAYS + 1):
        greet.forget_done()
    assert only(db).kind == "waiting"


def test_a_deadlock_in_a_handler_is_a_retry(db):
    class Deadlock(Exception):
        sqlstate = "40P01"

    def fail(_tx, _args):
        raise OperationalError("update", None, Deadlock())

    enqueue(db)
    worker(db, greet=fail).run_due()
    assert (only(db).state, only(db).last_error) == (JobState.RETRY, "OperationalError")


def test_a_bad_row_fails_alone(db):
    """Arguments that are not JSON: written by hand, or by a version that is gone."""
    enqueue(db, args={"n": 1})
    with db.tx() as tx:
        tx.execute(update(Job).values(args="{"))
        tx.execute(insert(table_of(Job)), {**row_of(only(db)), "args": '{"n": 2}'})
    greet = worker(db, greet=effect)
    assert greet.run_due() == 2
    assert sorted(row.state for row in rows(db)) == [JobState.DONE, JobState.RETRY]


def row_of(job):
    from shared import ids

    values = {column.name: getattr(job, column.name) for column in table_of(Job).columns}
    return values | {"id": ids.new_id()}
