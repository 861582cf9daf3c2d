"""Group commit for floors: one writer thread takes what waits (like server/batch.py) and does it, kind by kind, in
driver statements and one transaction; each command is answered after the commit.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bench._checkout_sql import Book

MOST = 256

Handler = Callable[[Any, list[dict[str, Any]]], list[Any]]
"""An open cursor and the facts of each command -> one answer each."""


@dataclass
class Task:
    """One command for the writer and the future of whoever waits."""

    kind: str
    facts: dict[str, Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any] = field(repr=False)


class Writer:
    """The thread, from its making on. `handlers` are carried out in their order."""

    def __init__(self, book: Book, handlers: Mapping[str, Handler]) -> None:
        self._book, self._handlers = book, handlers
        self._waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()

    async def submit(self, kind: str, **facts: Any) -> Any:
        """The command's answer, after its commit."""
        loop = asyncio.get_running_loop()
        task = Task(kind, facts, loop, loop.create_future())
        self._waiting.put(task)
        return await task.future

    def _write(self) -> None:
        connection = self._book.connect(read_only=False)
        while True:
            tasks = [self._waiting.get()]
            while len(tasks) < MOST and not self._waiting.empty():
                tasks.append(self._waiting.get())
            try:
                answers = self._carry_out(connection, tasks)
            except Exception as error:
                tasks[0].loop.call_soon_threadsafe(_fail, tasks, error)
                raise
            tasks[0].loop.call_soon_threadsafe(_settle, answers)

    def _carry_out(self, connection: Any, tasks: list[Task]) -> list[tuple[Task, Any]]:
        cursor = self._book.begin(connection)
        answers: list[tuple[Task, Any]] = []
        for kind, handle in self._handlers.items():
            mine = [task for task in tasks if task.kind == kind]
            if mine:
                answers += zip(mine, handle(cursor, [task.facts for task in mine]), strict=True)
        connection.commit()
        return answers


def _settle(answers: list[tuple[Task, Any]]) -> None:
    """Answer every waiter, in the event loop."""
    for task, answer in answers:
        task.future.set_result(answer)


def _fail(tasks: list[Task], error: Exception) -> None:
    """Tell every waiter."""
    for task in tasks:
        task.future.set_exception(error)
