"""What the window knows of a place before its page is there: how to build it, and what it tells until then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from desktop.presenters.feed import Feed
from desktop.presenters.ledger_books import Health
from desktop.views.page import Page


class Waiting(Protocol):
    """What waits for people: all of it, and how much for this one."""

    waiting: Feed[Any]

    @property
    def count(self) -> int: ...


@dataclass(frozen=True)
class Screen:
    """A place whose page is built when somebody first goes there: building all of them is most of a sign-in.

    Attributes:
        is_heard: the page itself tells what happens while nobody looks, and is built at once.
        waiting: what is counted at the place wherever the person is.
        health: what is told wherever the person is when something is wrong.
    """

    place: str
    make: Callable[[], Page]
    is_heard: bool = False
    waiting: Sequence[Waiting] = ()
    health: Health | None = None

    @property
    def number(self) -> int:
        """How many things wait here for a person."""
        return sum(cases.count for cases in self.waiting)

    @property
    def warning(self) -> str:
        """What is wrong here; empty while nothing is."""
        return self.health.warning if self.health is not None else ""

    def watch(self, look: Callable[[], None]) -> None:
        """Call `look` after each change of them."""
        for cases in self.waiting:
            cases.waiting.watch(look)
        if self.health is not None:
            self.health.watch(look)
