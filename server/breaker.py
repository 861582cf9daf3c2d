"""A circuit breaker for each party we call: who gave no answer time after time is left alone for a while.

Closed, calls pass. After `OPENS_AFTER` calls in a row without an answer it is open and calls are refused here, so that
buyers do not wait for what nobody answers. Once in 20 seconds (`PROBE`) one call passes, and its answer closes it
again. An answer is any, also a refusal. Each process counts for itself. Safe to use from any thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared import clock

OPENS_AFTER = 3
PROBE = timedelta(seconds=20)


@dataclass(slots=True)
class _Circuit:
    silent: int = 0
    probe_at: datetime | None = None


class Breakers:
    """The breakers of one process, by the party's name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._circuits: dict[str, _Circuit] = {}

    def is_open(self, name: str) -> bool:
        """Whether calls are refused, but for the one that tries."""
        with self._lock:
            return self._of(name).silent >= OPENS_AFTER

    def passes(self, name: str) -> bool:
        """Whether a call may be made now. Of an open breaker's, one each 20 seconds (`PROBE`)."""
        now = clock.now()
        with self._lock:
            circuit = self._of(name)
            if circuit.silent < OPENS_AFTER:
                return True
            if circuit.probe_at is not None and now < circuit.probe_at:
                return False
            circuit.probe_at = now + PROBE
            return True

    def note(self, name: str, *, answered: bool) -> bool:
        """Count what became of a call; whether this opened the breaker, or closed it."""
        with self._lock:
            circuit = self._of(name)
            was_open = circuit.silent >= OPENS_AFTER
            circuit.silent = 0 if answered else circuit.silent + 1
            is_open = circuit.silent >= OPENS_AFTER
            if is_open and not was_open:
                circuit.probe_at = clock.now() + PROBE
            return is_open != was_open

    def _of(self, name: str) -> _Circuit:
        return self._circuits.setdefault(name, _Circuit())
