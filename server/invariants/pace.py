"""How the checks share the processor: whoever checks its books answers channels in the same process.

Making a statement's text takes milliseconds in which nothing else of this process runs: one check after the other, the
first look after a start would keep a notification waiting for a tenth of a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from server.invariants.finding import Finding

Pause = Callable[[float], object]

RESTS = 4
"""After each check so many times as long as it had of the processor, so that it leaves most of it to others."""

MOST_SECONDS = 0.05
"""But no longer, or a night's reading of everything would look back at one instant for hours."""


def findings(checks: Iterable[Callable[[], Finding | None]], pause: Pause | None) -> Iterator[Finding]:
    """What checks find, one after the other; `pause` is told after each for how many seconds to rest."""
    for check in checks:
        begun = time.thread_time()
        finding = check()
        if pause is not None:
            pause(min(RESTS * (time.thread_time() - begun), MOST_SECONDS))
        if finding is not None:
            yield finding
