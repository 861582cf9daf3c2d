"""Group commit: commands of many requests share one transaction, and each is answered after its commit.

Bounded queues feed writer lanes, one each. A lane takes one command and whatever else already waits, up to 256,
with no timer: while one batch commits, the next one fills. Each command type has one handler that does the
whole group in set-based statements and answers one result a command; a refusal is a returned KamengError.

A type always goes to the same lane. Where rows are locked, types that lock what others lock too (`alone`) have a
transaction of their own, one after the other: two groups in one would take their locks in two rounds, and two
processes doing that lock crosswise all day, which PostgreSQL needs a second to notice each time.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import DBAPIError

from server.db import LANES, Database, Tx, is_retryable
from shared import clock
from shared.errors import Busy

MOST_PER_BATCH = 256
CAPACITY = 4_096
TRIES = 3
PAUSE_SECONDS = 0.02
"""About how long a batch waits before it is tried again: whoever won the lock is to be through."""

PATIENCE_SECONDS = 20.0
"""A command that waited longer is refused unexecuted: its buyer has given up."""

Handler = Callable[[Tx, list[Any]], Sequence[Any]]
_log = logging.getLogger("kameng.batch")


@dataclass(slots=True)
class _Waiting:
    """One command and whoever waits for it: an event loop's future, or a thread's."""

    command: Any
    deadline: float
    loop: asyncio.AbstractEventLoop | None
    future: asyncio.Future[Any] | Future[Any]
    result: Any = None


@dataclass(slots=True)
class Figures:
    """Counters for /metrics."""

    batches: int = 0
    commands: int = 0
    largest: int = 0
    replayed: int = 0
    retried: int = 0
    by_size: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class Batch:
    """The queues and their lanes. `register` everything, then `start`; `close` drains what was accepted."""

    def __init__(self, db: Database, *, lanes: int | None = None) -> None:
        self._db = db
        self._lanes = lanes or (1 if db.is_sqlite else LANES)
        self._queues: list[queue.SimpleQueue[_Waiting | None]] = [queue.SimpleQueue() for _ in range(self._lanes)]
        self._capacity = CAPACITY
        self._handlers: dict[type, tuple[int, Handler]] = {}
        self._alone: set[type] = set()
        self._single: set[type] = set()
        self._lane_of: dict[type, int] = {}
        self._threads: list[threading.Thread] = []
        self._after_commit: list[Callable[[], None]] = []
        self._gate = threading.Lock()
        self._closed = False
        self._chance = random.Random()
        self.figures = Figures()

    def register(
        self,
        command_type: type,
        handler: Handler,
        *,
        rank: int,
        lane: int = 0,
        alone: bool = False,
        single: bool = False,
    ) -> None:
        """Say who handles a type. Within a batch, groups run by rank: existing orders first, new ones last.

        A type that is `alone` shares no transaction with another one that is. Each command of a `single` type has a
        transaction of its own: where its last locks would come before the first ones of the next. Not so on SQLite,
        where one transaction writes at a time. Where there are fewer lanes (SQLite has one) types share those.
        """
        assert command_type not in self._handlers
        self._handlers[command_type] = (rank, handler)
        self._lane_of[command_type] = lane % self._lanes
        if (alone or single) and not self._db.is_sqlite:
            self._alone.add(command_type)
        if single and not self._db.is_sqlite:
            self._single.add(command_type)

    def after_commit(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each committed batch, for the worker that polls the job table."""
        self._after_commit.append(wake)

    async def submit(self, command: Any) -> Any:
        """The command's result, after its commit. Raises its refusal, or Busy when the queue is full or closed."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(command, clock.monotonic_seconds() + PATIENCE_SECONDS, loop, loop.create_future())
        self._accept(waiting)
        assert isinstance(waiting.future, asyncio.Future)
        return await waiting.future

    def call(self, command: Any) -> Any:
        """The same for a worker thread, which waits."""
        waiting = _Waiting(command, clock.monotonic_seconds() + PATIENCE_SECONDS, None, Future())
        self._accept(waiting)
        assert isinstance(waiting.future, Future)
        return waiting.future.result()

    def _accept(self, waiting: _Waiting) -> None:
        assert type(waiting.command) in self._handlers, type(waiting.command)
        with self._gate:
            line = self._queues[self._lane_of[type(waiting.command)]]
            if self._closed or line.qsize() >= self._capacity:  # once it is closed nobody would ever answer
                raise Busy(retry_after_seconds=2)
            line.put(waiting)

    def start(self) -> None:
        """Start the lanes."""
        for lane in range(self._lanes):
            thread = threading.Thread(target=self._run_lane, args=(lane,), name=f"batch-{lane}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Finish what was accepted, then stop; what comes later is refused as Busy."""
        with self._gate:
            self._closed = True
        for line in self._queues[: len(self._threads)]:
            line.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    @property
    def alive(self) -> bool:
        """Whether every lane runs."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    @property
    def depth(self) -> int:
        """How many commands wait in the longest queue: the one that would be full first."""
        return max(line.qsize() for line in self._queues)

    def _run_lane(self, lane: int) -> None:
        line = self._queues[lane]
        while True:
            first = line.get()
            if first is None:
                return
            items = [first]
            stop = False
            while len(items) < MOST_PER_BATCH:
                try:
                    item = line.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    stop = True
                    break
                items.append(item)
            self._execute(lane, items)
            if stop:
                return

    def _execute(self, lane: int, items: list[_Waiting]) -> None:
        self.figures.commands += len(items)
        self.figures.largest = max(self.figures.largest, len(items))
        self.figures.by_size[1 << (len(items) - 1).bit_length()] += 1
        now = clock.monotonic_seconds()
        for item in items:
            item.result = Busy(retry_after_seconds=2) if item.deadline < now else None
        _resolve([item for item in items if item.result is not None])
        for share in self._shares([item for item in items if item.result is None]):
            try:
                self._commit_with_retries(lane, share)
            except Exception as error:  # noqa: BLE001 - the lane outlives any fault, and every waiter is told of it
                _log.exception("batch failed", extra={"commands": len(share)})
                for item in share:
                    item.result = _told(error)
            self.figures.batches += 1
            _resolve(share)
        for wake in self._after_commit:
            try:
                wake()
            except Exception:  # noqa: BLE001 - the lane outlives a broken bell; whoever it wakes polls as well
                _log.exception("waking failed")

    def _shares(self, items: list[_Waiting]) -> list[list[_Waiting]]:
        """What goes into one transaction each: the types that are alone, by rank, and all others together."""
        shares: dict[object, list[_Waiting]] = {}
        for n, item in enumerate(sorted(items, key=lambda item: self._handlers[type(item.command)][0])):
            kind = type(item.command)
            share = n if kind in self._single else kind if kind in self._alone else None
            shares.setdefault(share, []).append(item)
        return list(shares.values())

    def _commit_with_retries(self, lane: int, items: list[_Waiting]) -> None:
        """Commit the batch; on a deadlock, serialization failure or lost connection run it again from the start.

        A connection lost during COMMIT leaves the outcome unknown. Running the commands again resolves it, since
        each is a no-op that answers the stored result when its natural key is already there.
        """
        for tries_left in range(TRIES - 1, -1, -1):
            try:
                with self._db.tx(by_key=True) as tx:
                    tx.info["slot"] = lane
                    self._handle(tx, items)
            except DBAPIError as error:
                if tries_left == 0 or not is_retryable(error):
                    raise
                self.figures.retried += 1
                time.sleep(self._chance.uniform(0, 2 * PAUSE_SECONDS))
            else:
                return

    def _handle(self, tx: Tx, items: list[_Waiting]) -> None:
        groups: dict[type, list[_Waiting]] = defaultdict(list)
        for item in items:
            groups[type(item.command)].append(item)
        for kind in sorted(groups, key=lambda kind: self._handlers[kind][0]):
            handler, group = self._handlers[kind][1], groups[kind]
            try:
                _run_in_savepoint(tx, handler, group)
            except DBAPIError as error:
                if is_retryable(error):
                    raise
                self._replay(tx, handler, group, error)
            except Exception as error:  # noqa: BLE001 - one bad command must not hurt its neighbours
                self._replay(tx, handler, group, error)

    def _replay(self, tx: Tx, handler: Handler, group: list[_Waiting], cause: Exception) -> None:
        """Run the commands one by one, each in its own savepoint; only those that fail alone are failed."""
        self.figures.replayed += 1
        _log.warning("batch replayed one by one", exc_info=cause, extra={"commands": len(group)})
        for item in group:
            try:
                _run_in_savepoint(tx, handler, [item])
            except DBAPIError as error:
                if is_retryable(error):
                    raise
                item.result = error
            except Exception as error:  # noqa: BLE001 - told to the one who sent it
                item.result = error


def _told(error: Exception) -> Exception:
    """What waiters hear of a batch that failed: Busy where the same may succeed a little later."""
    if isinstance(error, DBAPIError) and is_retryable(error):
        return Busy(retry_after_seconds=2)
    return error


def _run_in_savepoint(tx: Tx, handler: Handler, group: list[_Waiting]) -> None:
    with tx.begin_nested():
        results = handler(tx, [item.command for item in group])
        assert len(results) == len(group), handler
    for item, result in zip(group, results, strict=True):
        item.result = result


def _resolve(items: list[_Waiting]) -> None:
    """Answer all waiters: threads at once, each event loop with one wake-up for all of its futures."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = defaultdict(list)
    for item in items:
        if item.loop is None:
            _settle(item)
        else:
            by_loop[item.loop].append(item)
    for loop, group in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_all, group)
        except RuntimeError:  # the loop was closed: nobody waits any more, and the work is committed
            _log.info("answers dropped, event loop closed", extra={"commands": len(group)})


def _settle_all(group: list[_Waiting]) -> None:
    for item in group:
        _settle(item)


def _settle(item: _Waiting) -> None:
    if item.future.done():  # the request was cancelled while it waited; its effect stands
        return
    if isinstance(item.result, BaseException):
        item.future.set_exception(item.result)
    else:
        item.future.set_result(item.result)
