"""Jobs of one key, added by many at once and while a worker begins one: none is added twice, and none is missed."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from sqlalchemy import event

from server import jobs
from server.audit import AuditEvent
from server.db import retrying
from server.jobs import Job
from shared.states import JobState
from tests.databases import count, migrated
from tests.server.test_jobs import effect, enqueue, rows, worker


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def any_db(request):
    with migrated(request.param) as made:
        yield made


def test_a_key_enqueued_by_many_at_once_is_one_job_and_hurts_no_transaction(any_db):
    together = threading.Barrier(4)
    troubles = []

    def run(n):
        try:
            with any_db.tx() as tx:
                effect(tx, {"n": f"raced-{n}"})
                together.wait()
                jobs.enqueue(tx, "raced", {}, key="raced")
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            troubles.append(error)

    if any_db.is_sqlite:
        together = threading.Barrier(1)  # one writer at a time: they cannot meet inside
    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert len(rows(any_db, Job.kind == "raced")) == 1
    assert count(any_db, AuditEvent, AuditEvent.entity_id.like("raced-%")) == 4


def test_a_job_is_not_begun_before_what_counts_on_it_is_committed(any_db):
    enqueue(any_db, kind="counted", key="counted")
    counted = worker(any_db, counted=effect)
    with any_db.tx() as tx:
        jobs.enqueue(tx, "counted", {}, key="counted")
        if not any_db.is_sqlite:  # where nobody else writes meanwhile
            counted.run_due()
            assert [row.state for row in rows(any_db, Job.kind == "counted")] == [JobState.READY]
    counted.run_due()
    assert [row.state for row in rows(any_db, Job.kind == "counted")] == [JobState.DONE]


def test_who_counts_on_a_job_that_is_being_begun_waits_and_adds_another(any_db):
    """Neither of both is refused for the other: on MariaDB each held what the other wanted."""
    if any_db.is_sqlite:
        return  # one writer at a time: they cannot meet inside
    enqueue(any_db, kind="met", key="met")
    begun = worker(any_db, met=effect)
    with ThreadPoolExecutor(1) as pool:
        told = []

        def meet(_connection, _cursor, statement, *_others):
            if statement.startswith("UPDATE job") and not told:
                told.append(pool.submit(enqueue, any_db, kind="met", key="met"))
                wait(told, 0.4)

        event.listen(any_db.engine, "before_cursor_execute", meet)
        try:
            begun.run_due()
        finally:
            event.remove(any_db.engine, "before_cursor_execute", meet)
        assert told[0].result() is None
    assert [row.state for row in rows(any_db, Job.kind == "met")] == [JobState.DONE, JobState.READY]
    begun.run_due()


def test_a_worker_that_meets_who_added_the_same_job_takes_it_all_the_same():
    """On MariaDB who was a moment too late to add it keeps its key, which the worker that has the job wants, too."""
    with migrated("mariadb") as db, ThreadPoolExecutor(2) as pool:
        begun = worker(db, met=effect)
        told = []

        def late(tx):
            for n in range(9):  # what an engine takes back is what has done less
                effect(tx, {"n": n})
            jobs.enqueue(tx, "met", {}, key="met")

        def meet(_connection, _cursor, statement, *_others):
            if len(told) == 1 and "LOCK IN SHARE MODE" in statement:
                told.append(pool.submit(begun.run_due))
                wait(told[1:], 0.4)

        event.listen(db.engine, "before_cursor_execute", meet)
        with db.tx() as tx:
            jobs.enqueue(tx, "met", {}, key="met")
            told.append(pool.submit(retrying, db, late))
            wait(told, 0.4)
        told[0].result()
        assert told[1].result() in {0, 1}
        while begun.run_due():
            pass
        assert {row.state for row in rows(db)} == {JobState.DONE}
        assert count(db, AuditEvent) == len(rows(db)) + 9
