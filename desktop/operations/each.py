"""Many at once where each is a decision of its own: one call for each of them, and what became of it.

What one is refused for does not hold up the others. Where no answer came, or none would, the rest is not tried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Generic, TypeVar

from shared.errors import KamengError

C = TypeVar("C")
T = TypeVar("T")

_THE_SAME_FOR_ALL = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Signed out, too many calls, no connection: it would be the same for the next one."""


class NotTried(KamengError):
    """One before it had no answer, or none that it would not get as well: the server was not asked about it."""

    code = "each.not_tried"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    zh = "前面一笔没有办成，这一笔没有发出。请先刷新，看清最新状态再办。"
    en = "One before it came to nothing, so this was not sent. Refresh and look first."


@dataclass(frozen=True, slots=True)
class Outcome(Generic[C, T]):
    """What became of one: `done` is the server's answer, or `error` why it was not done."""

    about: C
    done: T | None = None
    error: KamengError | None = None


async def one_by_one(some: Iterable[C], work: Callable[[C], Awaitable[T]]) -> list[Outcome[C, T]]:
    """Do `work` about each, in order. Raises what is no KamengError."""
    outcomes: list[Outcome[C, T]] = []
    is_over = False
    for about in some:
        if is_over:
            outcomes.append(Outcome(about, error=NotTried()))
            continue
        try:
            outcomes.append(Outcome(about, done=await work(about)))
        except KamengError as error:
            outcomes.append(Outcome(about, error=error))
            is_over = error.status in _THE_SAME_FOR_ALL
    return outcomes
