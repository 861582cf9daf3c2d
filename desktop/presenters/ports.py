"""How presenters reach the engine: one port, so that they know neither Qt nor threads.

The window's bridge implements it over the engine's thread; tests implement it by waiting for the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from desktop.engine.engine import Engine

T = TypeVar("T")


class Ask(Protocol):
    """Runs an operation in the engine and answers in the caller's thread, later or at once, exactly once.

    `work(engine)` makes the operation; `then` gets what it returns, `otherwise` what it raised. A presenter that asked
    twice must expect answers in any order.
    """

    def __call__(
        self,
        work: Callable[[Engine], Coroutine[Any, Any, T]],
        then: Callable[[T], None],
        otherwise: Callable[[Exception], None],
    ) -> None: ...


class Door:
    """Asks for a desk until it is shut: answers that come later reach nobody, because their screens are gone."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._is_open = True

    def __call__(
        self,
        work: Callable[[Engine], Coroutine[Any, Any, T]],
        then: Callable[[T], None],
        otherwise: Callable[[Exception], None],
    ) -> None:
        """Ask, as long as it is open."""
        if self._is_open:
            self._ask(work, self._while_open(then), self._while_open(otherwise))

    def shut(self) -> None:
        """Let no answer in any more."""
        self._is_open = False

    def _while_open(self, hear: Callable[[T], None]) -> Callable[[T], None]:
        def answered(value: T) -> None:
            if self._is_open:
                hear(value)

        return answered


class Latest:
    """Sorts out late answers: only the answer to the newest question of its kind counts."""

    def __init__(self) -> None:
        self._asked = 0

    def only(self, then: Callable[[T], None]) -> Callable[[T], None]:
        """`then` for a new question; answers to older questions are dropped from now on."""
        self._asked += 1
        number = self._asked

        def answered(value: T) -> None:
            if number == self._asked:
                then(value)

        return answered

    def also(self, then: Callable[[T], None]) -> Callable[[T], None]:
        """`then` for the other outcome of the question that `only` was called for last."""
        number = self._asked

        def answered(value: T) -> None:
            if number == self._asked:
                then(value)

        return answered
