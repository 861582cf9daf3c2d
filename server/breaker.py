"""A circuit breaker for each party we call: who gave no answer time after time is left alone for a while.

Closed, calls pass. After `OPENS_AFTER` calls in a row without an answer it is open and calls are refused here, so that
buyers do not wait for what nobody answers. Once in 20 seconds (`PROBE`) one call passes, whoever makes it, and its
answer closes it again. An answer is any, also a refusal. Each process counts for itself, by a clock that nobody sets.
Safe to use from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from shared import clock

OPENS_AFTER = 3
PROBE = timedelta(seconds=20)


@dataclass(slots=True)
class _Circuit:
    silent: int = 0
    probe_at: float = 0.0


class Breakers:
    """The breakers of one process, by the party's name."""

    def __init__(self, *, now: Callable[[], float] = clock.monotonic_seconds) -> None:
        """`now` is in seconds."""
        self._now = now
        self._lock = threading.Lock()
        self._circuits: dict[str, _Circuit] = {}

    def is_open(self, name: str) -> bool:
        """Whether a call would be refused now.

        Not when it is time for the one that tries: what is offered to buyers again then is tried by one of them, in a
        process where nobody else would.
        """
        with self._lock:
            return self._refuses(self._of(name))

    def passes(self, name: str) -> bool:
        """Whether a call may be made now. Of an open breaker's, one each 20 seconds (`PROBE`)."""
        with self._lock:
            circuit = self._of(name)
            if self._refuses(circuit):
                return False
            circuit.probe_at = self._now() + PROBE.total_seconds()
            return True

    def note(self, name: str, *, answered: bool) -> bool:
        """Count what became of a call; whether this opened the breaker, or closed it."""
        with self._lock:
            circuit = self._of(name)
            was_open = circuit.silent >= OPENS_AFTER
            circuit.silent = 0 if answered else circuit.silent + 1
            is_open = circuit.silent >= OPENS_AFTER
            if is_open and not was_open:
                circuit.probe_at = self._now() + PROBE.total_seconds()
            return is_open != was_open

    def _refuses(self, circuit: _Circuit) -> bool:
        return circuit.silent >= OPENS_AFTER and self._now() < circuit.probe_at

    def _of(self, name: str) -> _Circuit:
        return self._circuits.setdefault(name, _Circuit())
