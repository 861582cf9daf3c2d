"""Work that happens later: rows written with the business transaction, leased, retried, never lost.

`enqueue` inside a transaction is the outbox. A handler registered with `within` runs in the transaction that
completes its job, so its effect happens once. One registered with `outside` may use the network, opens its own
transactions and must be safe to repeat. Schedules are rows too, so many processes need no leader.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Index, Integer, Select, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from server.db import (
    Base,
    Database,
    Instant,
    Tx,
    Uid,
    big_text,
    exact,
    is_retryable,
    retrying,
    rows_changed,
    table_of,
)
from shared import clock, ids
from shared.states import JobState

LEASE_SECONDS = 120
POLL_SECONDS = 0.5
PAUSE_SECONDS = 0.05
"""Between two looks at least: a busy shop commits, and rings, hundreds of times a second."""

CLAIM_MOST = 20

MAX_ATTEMPTS = 25
"""With the fourth power of the attempt as seconds between tries, 25 of them span about three weeks."""

KEEP_DONE_DAYS = 7

PAUSED_AFTER = timedelta(minutes=2)
"""A schedule that comes later than this had stopped, with all processes that could have run it."""


class Lane(StrEnum):
    """What jobs outside of transactions wait for. Each lane has a thread: they hold up their like, and nothing else."""

    CHANNELS = "channels"
    IMPORTS = "imports"
    BILLS = "bills"


LANE_MOST = {Lane.CHANNELS: 5, Lane.IMPORTS: 1, Lane.BILLS: 1}
"""How many are claimed at a time: all of them are done before their lease ends."""

Within = Callable[[Tx, dict[str, Any]], None]
Outside = Callable[[dict[str, Any]], None]
_log = logging.getLogger("kameng.jobs")


class Job(Base):
    """One piece of work. `unique_key` is emptied when a worker takes it, because MariaDB has no partial unique index.

    Not when it is done: what happens after the worker has looked must be looked at again.
    """

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_due", "state", "run_at"),)

    id: Mapped[UUID] = mapped_column(Uid, primary_key=True)
    kind: Mapped[str] = mapped_column(exact(64))
    args: Mapped[str] = mapped_column(big_text())
    state: Mapped[str] = mapped_column(exact(16))
    run_at: Mapped[datetime] = mapped_column(Instant)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    max_attempts: Mapped[int] = mapped_column(Integer)
    lease_until: Mapped[datetime | None] = mapped_column(Instant)
    worker: Mapped[UUID | None] = mapped_column(Uid)
    unique_key: Mapped[str | None] = mapped_column(exact(120), unique=True)
    last_error: Mapped[str | None] = mapped_column(exact(500))
    created_at: Mapped[datetime] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)


class JobSchedule(Base):
    """When a repeated piece of work is due next, and since when it has come round without a long pause.

    Advanced by a guarded update.
    """

    __tablename__ = "job_schedule"

    name: Mapped[str] = mapped_column(exact(64), primary_key=True)
    next_at: Mapped[datetime] = mapped_column(Instant)
    steady_since: Mapped[datetime | None] = mapped_column(Instant)


@dataclass(frozen=True, slots=True)
class _Schedule:
    name: str
    every: timedelta
    run: Callable[[], object]
    apart: bool


def enqueue(
    tx: Tx,
    kind: str,
    args: dict[str, Any],
    *,
    run_at: datetime | None = None,
    key: str | None = None,
    max_attempts: int = MAX_ATTEMPTS,
) -> None:
    """Add a job to the caller's transaction. With `key`, a job of that key that nobody has begun makes this a no-op:
    nobody begins it before that is committed, so that it sees what it is for.
    """
    row = _row(kind, args) | {"max_attempts": max_attempts, "unique_key": key}
    if run_at is not None:
        row["run_at"] = run_at
    if key is None:
        tx.execute(insert(table_of(Job)), row)
        return
    while not _waits(tx, key):
        try:
            with tx.begin_nested():
                tx.execute(insert(table_of(Job)), row)
        except IntegrityError:  # it waits since just now, or was begun since
            _log.debug("job is queued already", extra={"kind": kind, "key": key})
        else:
            return


def _waits(tx: Tx, key: str) -> bool:
    """Whether there is a job of that key that nobody has begun; then nobody does while the transaction lasts."""
    found = tx.scalars(select(Job.id).where(Job.unique_key == key)).first()
    if found is None:
        return False
    # By its id: by its key MariaDB locks the entry of that first, which a worker that has the row changes to begin it.
    its = select(Job.unique_key).where(Job.id == found).with_for_update(read=True)
    return tx.scalars(its).first() == key


def enqueue_many(tx: Tx, kind: str, args: Sequence[dict[str, Any]]) -> None:
    """Add a job for each of `args` to the caller's transaction, in one statement. There must be at least one."""
    tx.execute(insert(table_of(Job)), [_row(kind, one) for one in args])


def _row(kind: str, args: dict[str, Any]) -> dict[str, Any]:
    now = clock.now()
    return {
        "id": ids.new_id(),
        "kind": kind,
        "args": json.dumps(args, ensure_ascii=False, sort_keys=True),
        "state": JobState.READY.value,
        "run_at": now,
        "attempt": 0,
        "max_attempts": MAX_ATTEMPTS,
        "unique_key": None,
        "created_at": now,
    }


def _is_due() -> ColumnElement[bool]:
    """By the instant `now`, which a statement is given when it is run."""
    now = bindparam("now", type_=Instant())
    waiting = Job.state.in_([JobState.READY.value, JobState.RETRY.value]) & (Job.run_at <= now)
    abandoned = (Job.state == JobState.RUNNING.value) & (Job.lease_until < now)
    return or_(waiting, abandoned)


# Every thread of every process looks again and again, after each commit: these are put together once.


@cache
def _kinds_due() -> Select[str]:
    return select(Job.kind).where(_is_due()).distinct()


@cache
def _due(kinds: tuple[str, ...], most: int, *, others: bool) -> tuple[Select[UUID], Select[Job]]:
    """The next jobs of these kinds, or of all others: their ids to look at, and themselves to take."""
    mine = Job.kind.not_in(kinds) if others else Job.kind.in_(kinds)
    due = select(Job).where(_is_due(), mine).order_by(Job.run_at).limit(most)
    return due.with_only_columns(Job.id), due.with_for_update(skip_locked=True)


class Jobs:
    """A worker: register handlers, then `start` threads, or `run_due` by hand. `close` finishes what runs."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._within: dict[str, Within] = {}
        self._outside: dict[str, Outside] = {}
        self._lanes: dict[Lane, list[str]] = {}
        self._schedules: list[_Schedule] = []
        self._not_before: dict[str, datetime] = {}
        self._worker = ids.new_id()
        self._bells: list[threading.Event] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def within(self, kind: str, handler: Within) -> None:
        """`handler(tx, args)` runs in the transaction that completes the job."""
        self._within[kind] = handler

    def outside(self, kind: str, handler: Outside, *, lane: Lane = Lane.CHANNELS) -> None:
        """`handler(args)` runs outside of any transaction, in the thread of its lane, and must be safe to repeat."""
        self._outside[kind] = handler
        self._lanes.setdefault(lane, []).append(kind)

    def every(self, name: str, seconds: float, run: Callable[[], object], *, apart: bool = False) -> None:
        """Run `run()` about every `seconds`, in one process at a time.

        What may take long is `apart`: it has a thread of its own, and holds up neither jobs nor other schedules.
        """
        self._schedules.append(_Schedule(name=name, every=timedelta(seconds=seconds), run=run, apart=apart))

    def wake(self) -> None:
        """Look for work now: called after commits."""
        for bell in self._bells:
            bell.set()

    def start(self, *, threads: int = 1) -> None:
        """Run in background threads until `close`."""
        if self._db.is_sqlite:
            self._take_back()
        for n in range(threads):
            self._begin(f"jobs-{n}", self._loop, self._look_within)
        for lane in self._lanes:
            self._begin(f"jobs-{lane}", self._loop, partial(self._run_claimed, lane))
        for schedule in self._schedules:
            if schedule.apart:
                self._begin(f"jobs-{schedule.name}", self._loop_apart, schedule)

    def _begin(self, name: str, loop: Callable[[Any], None], argument: object) -> None:
        thread = threading.Thread(target=loop, args=(argument,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _take_back(self) -> None:
        """SQLite has one worker process: what runs now ran in one that is gone, and need not wait for its lease."""
        with self._db.tx() as tx:
            running = update(Job).where(Job.state == JobState.RUNNING.value)
            tx.execute(running.values(state=JobState.READY.value, lease_until=None))

    def close(self) -> None:
        """Finish the running jobs and stop."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    @property
    def alive(self) -> bool:
        """Whether every thread runs."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    @property
    def stopping(self) -> bool:
        """Whether the worker was told to stop: long work ends early then."""
        return self._stopping.is_set()

    def pause(self, seconds: float) -> None:
        """Rest, between two parts of long work of a thread of its own; not once the worker was told to stop, nor where
        work is done by hand.
        """
        if self._threads:
            self._stopping.wait(seconds)

    def wait(self) -> None:
        """Block until `close` is called from a signal handler: the body of `kameng-server work`."""
        self._stopping.wait()

    def _look_within(self) -> int:
        return self.run_schedules() + self._run_claimed()

    def _loop(self, look: Callable[[], int]) -> None:
        bell = threading.Event()
        self._bells.append(bell)
        while not self._stopping.is_set():
            bell.clear()
            try:
                busy = look()
            except Exception:  # noqa: BLE001 - a database that is away comes back; the worker stays
                _log.exception("worker could not look for jobs")
                busy = 0
            if not busy and not self._stopping.wait(PAUSE_SECONDS):
                bell.wait(POLL_SECONDS)

    def _loop_apart(self, schedule: _Schedule) -> None:
        while not self._stopping.is_set():
            try:
                self._run_schedule(schedule)
            except Exception:  # noqa: BLE001 - a database that is away comes back; the worker stays
                _log.exception("worker could not look for its turn", extra={"schedule": schedule.name})
            self._stopping.wait(POLL_SECONDS)

    # --- schedules ---

    def run_schedules(self) -> int:
        """Run what is due; answers how many ran. A failing schedule is logged and comes again in its turn."""
        ran = 0
        for schedule in self._schedules:
            if not schedule.apart or not self._threads:  # by hand, everything runs in turn
                ran += self._run_schedule(schedule)
        return ran

    def _run_schedule(self, schedule: _Schedule) -> int:
        if self._stopping.is_set() or not self._take_turn(schedule):
            return 0
        try:
            schedule.run()
        except Exception:  # noqa: BLE001 - one broken schedule must not stop the others
            _log.exception("schedule failed", extra={"schedule": schedule.name})
        return 1

    def _take_turn(self, schedule: _Schedule) -> bool:
        now = clock.now()
        # A turn that lies further ahead than any was made by a clock that has been put right since: it is taken now.
        furthest = now + schedule.every + PAUSED_AFTER
        if now < self._not_before.get(schedule.name, now) <= furthest:
            return False  # others only ever move it on
        with self._db.read() as tx:
            next_at = tx.scalars(select(JobSchedule.next_at).where(JobSchedule.name == schedule.name)).first()
        if next_at is not None and now < next_at <= furthest:
            self._not_before[schedule.name] = next_at
            return False
        try:
            with self._db.tx() as tx:
                if next_at is None:
                    row = {"name": schedule.name, "next_at": now + schedule.every, "steady_since": now}
                    tx.execute(insert(JobSchedule), row)
                    return True
                guard = (JobSchedule.name == schedule.name, JobSchedule.next_at == next_at)
                values = {"next_at": now + schedule.every}
                if now - next_at > PAUSED_AFTER:
                    values["steady_since"] = now
                taken = tx.execute(update(JobSchedule).where(*guard).values(values))
                return rows_changed(taken) == 1
        except IntegrityError:
            return False

    # --- jobs ---

    def run_due(self) -> int:
        """Claim and run what is due, once; answers how many jobs ran."""
        with self._db.read() as tx:
            kinds = set(tx.scalars(_kinds_due(), {"now": clock.now()}))
        ran = 0
        if kinds - self._outside.keys():
            ran = self._run_claimed()
        return ran + sum(self._run_claimed(lane) for lane, its in self._lanes.items() if not kinds.isdisjoint(its))

    def _run_claimed(self, lane: Lane | None = None) -> int:
        claimed = self._claim(lane)
        for job in claimed:
            self._run(job)
        return len(claimed)

    def _claim(self, lane: Lane | None = None) -> list[Job]:
        """Those of a lane, or those that run in their transaction."""
        now = clock.now()
        if lane is None:
            look, take = _due(tuple(self._outside), CLAIM_MOST, others=True)
        else:
            look, take = _due(tuple(self._lanes[lane]), LANE_MOST[lane], others=False)
        with self._db.read() as tx:
            if tx.scalars(look, {"now": now}).first() is None:
                return []
        # Who adds a job of the same key at that moment may want what this has, and the other way round (MariaDB).
        jobs = retrying(self._db, lambda tx: self._lease(tx, take, now))
        return [job for job in jobs if job.state == JobState.RUNNING.value]

    def _lease(self, tx: Tx, take: Select[Job], now: datetime) -> Sequence[Job]:
        jobs = tx.scalars(take, {"now": now}).all()
        for job in jobs:
            job.unique_key = None
            if job.attempt >= job.max_attempts:  # only one that took its worker with it each time comes so far
                job.state, job.last_error, job.lease_until = JobState.DEAD.value, "abandoned by its worker", None
                _log.error("job is dead", extra={"kind": job.kind, "job": str(job.id)})
                continue
            job.state, job.worker = JobState.RUNNING.value, self._worker
            job.lease_until = now + timedelta(seconds=LEASE_SECONDS)
            job.attempt += 1
        tx.flush()
        tx.expunge_all()
        return jobs

    def _run(self, job: Job) -> None:
        try:
            args = json.loads(job.args)
            if job.kind in self._outside:
                self._outside[job.kind](args)
                with self._db.tx() as tx:
                    self._complete(tx, job)
            elif job.kind in self._within:
                with self._db.tx() as tx:
                    self._complete(tx, job)
                    self._within[job.kind](tx, args)
            else:
                self._fail(job, error=f"no handler for {job.kind}")
        except DBAPIError as error:
            if not is_retryable(error):
                _log.exception("job failed", extra={"kind": job.kind, "job": str(job.id)})
            self._fail(job, error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the row keeps the error and comes again
            _log.exception("job failed", extra={"kind": job.kind, "job": str(job.id), "attempt": job.attempt})
            self._fail(job, error=f"{type(error).__name__}: {error}")

    def _complete(self, tx: Tx, job: Job) -> None:
        """Mark the job done if this worker still holds it; a lost lease undoes the handler's work."""
        done = tx.execute(
            update(Job)
            .where(Job.id == job.id, Job.state == JobState.RUNNING.value, Job.worker == self._worker)
            .values(state=JobState.DONE.value, finished_at=clock.now(), lease_until=None)
        )
        if rows_changed(done) != 1:
            raise LeaseLost(job.kind)

    def _fail(self, job: Job, *, error: str) -> None:
        dead = job.attempt >= job.max_attempts
        state = JobState.DEAD if dead else JobState.RETRY
        with self._db.tx() as tx:
            tx.execute(
                update(Job)
                .where(Job.id == job.id, Job.state == JobState.RUNNING.value, Job.worker == self._worker)
                .values(
                    state=state.value,
                    run_at=clock.now() + timedelta(seconds=min(job.attempt**4, 86_400)),
                    lease_until=None,
                    last_error=error[:500],
                )
            )
        if dead:
            _log.error("job is dead", extra={"kind": job.kind, "job": str(job.id)})

    def forget_done(self) -> None:
        """Delete jobs that were done a week ago."""
        before = clock.now() - timedelta(days=KEEP_DONE_DAYS)
        with self._db.tx() as tx:
            old = tx.scalars(
                select(Job.id).where(Job.state == JobState.DONE.value, Job.run_at < before).limit(5_000)
            ).all()
            if old:
                tx.execute(delete(Job).where(Job.id.in_(old)))


class LeaseLost(RuntimeError):
    """Another worker took the job over; this one's work is rolled back."""


def counts(tx: Tx) -> dict[str, int]:
    """Live jobs by state, for /metrics and the exceptions screen; done ones are not counted."""
    live = [state.value for state in JobState if state is not JobState.DONE]
    rows = tx.execute(select(Job.state, func.count()).where(Job.state.in_(live)).group_by(Job.state))
    return dict(rows.all())
