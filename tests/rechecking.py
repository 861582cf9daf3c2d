"""The books proved again and again by a run of tests: what was found right is asked again, not put together again.

Writing the statements of some seventy checks takes longer than a small shop's database needs to answer them. So the
statements by which a check found nothing are remembered with their answers, step by step. Where the same statements
get the same answers, it would find nothing again; where an answer is new, it really runs. Instants that a check reckons
from the clock's are remembered as so long before or after it: the check runs twice to tell which they are.
"""

import threading
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, NamedTuple
from unittest.mock import patch

from sqlalchemy import event

from server import audit, invariants
from shared import clock

LATER = timedelta(days=1, microseconds=1)
"""Of the second time: what only depends on the day, or on anything else of the clock, does not move as far."""


def check(db) -> invariants.Report:
    """Do what `invariants.check` does."""
    with patch.object(invariants, "CHECKS", CHECKS):
        return invariants.check(db)


def findings(db) -> list[invariants.Finding]:
    """What `invariants.check` finds, without its figures."""
    with db.read(snapshot=True) as tx:
        connection, now = tx.connection(), clock.now()
        name, cursor = connection.dialect.name, connection.connection.cursor()
        unsure = [one for one in CHECKS if not one.holds_again(name, cursor, now)]
        found = [finding for one in unsure if (finding := one(tx)) is not None]
    return [*found, *invariants.of_chain(audit.verify(db))]


class _Remembered:
    """One check; `_known` has, by dialect, what it asks first when it is known to find nothing after some answers."""

    def __init__(self, real) -> None:
        self._real = real
        self._known = {}

    def holds_again(self, dialect: str, cursor, now: datetime) -> bool:
        """Whether the database gives answers by which the check found nothing before."""
        step = self._known.get(dialect)
        while step is not None and step.asked is not None:
            step = step.after.get(step.asked.answer(cursor, now))
        return step is not None

    def __call__(self, tx):
        connection = tx.connection()
        name, cursor, now = connection.dialect.name, connection.connection.cursor(), clock.now()
        if self.holds_again(name, cursor, now):
            return None
        with _clock_at(now) as looks, _heard(connection) as heard:
            finding = self._real(tx)
        if finding is not None:
            return finding
        asked = [_Asked(statement, parameters) for statement, parameters in heard]
        if looks:
            with _clock_at(now + LATER), _heard(connection) as later:
                self._real(tx)
            asked = _by_the_clock(heard, later, now)
        if asked:
            self._known[name] = _after(self._known.get(name), asked, cursor, now)
        return None


CHECKS = tuple(map(_Remembered, invariants.CHECKS))


class _Step:
    """What a check asks next, and the steps after each answer that it got; without `asked` it found nothing."""

    def __init__(self, asked: "_Asked | None" = None) -> None:
        self.asked = asked
        self.after: dict[str, _Step] = {}


def _after(known: _Step | None, asked, cursor, now) -> _Step:
    """The steps known before, and how a check went this time: it asks the same after the same answers."""
    if not asked:
        return _Step()
    first, *rest = asked
    if known is None or known.asked is None or not first.is_like(known.asked):
        known = _Step(first)
    answer = first.answer(cursor, now)
    known.after[answer] = _after(known.after.get(answer), rest, cursor, now)
    return known


class _Asked(NamedTuple):
    """A statement as its driver gets it; of the instants `moving`, by their places, each is what it was at `noted`."""

    statement: str
    parameters: Any
    moving: tuple = ()
    noted: datetime | None = None

    def is_like(self, other: "_Asked") -> bool:
        """Whether the database is asked the same, by the clock of either."""
        same = (self.statement, self.moving) == (other.statement, other.moving)
        return same and self.as_of(other.noted) == other.parameters

    def as_of(self, now):
        """Its parameters when the clock is at `now`."""
        if not self.moving:
            return self.parameters
        return _filled(
            self.parameters, {place: _moved(self.parameters[place], now - self.noted) for place in self.moving}
        )

    def answer(self, cursor, now):
        """What the database says to it now, as text."""
        cursor.execute(self.statement, self.as_of(now))
        return repr(cursor.fetchall())


def _by_the_clock(heard, later, now) -> list[_Asked]:
    """What a check asked, by what it asked when the clock was `LATER`; nothing where that does not tell."""
    asked = []
    for (statement, parameters), (again, others) in zip_longest(heard, later, fillvalue=("", ())):
        places = range(len(parameters)) if isinstance(parameters, tuple) else tuple(parameters)
        if statement != again or len(parameters) != len(others):
            return []
        moving = tuple(place for place in places if parameters[place] != others[place])
        if any(_moved(parameters[place], LATER) != others[place] for place in moving):
            return []
        asked.append(_Asked(statement, parameters, moving, now))
    return asked if any(one.moving for one in asked) else []


def _moved(instant: datetime | int, by: timedelta):
    """An instant of a statement, so much later: SQLite has microseconds (server/db.py, `Instant`)."""
    return instant + (by // timedelta(microseconds=1) if isinstance(instant, int) else by)


def _filled(parameters, moved):
    if isinstance(parameters, tuple):
        return tuple(moved.get(place, value) for place, value in enumerate(parameters))
    return parameters | moved


@contextmanager
def _clock_at(instant):
    """The clock of this thread alone, held; answers a list that gets an item for each look at it."""
    me, real, looks = threading.get_ident(), clock.now, []

    def now():
        if threading.get_ident() != me:
            return real()
        looks.append(instant)
        return instant

    with patch.object(clock, "now", now):
        yield looks


@contextmanager
def _heard(connection):
    """The statements that a connection is given, as its driver gets them, with their parameters."""
    asked = []

    def hear(_connection, _cursor, statement, parameters, _context, _many):
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", hear)
    try:
        yield asked
    finally:
        event.remove(connection, "before_cursor_execute", hear)
