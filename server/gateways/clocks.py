"""How far our clock is from the channels': a line that reads the `Date` of each answer on its way.

A wrong clock makes every signature look stale, and nobody finds out why. The figure is for a warning alone: nothing
is decided by it, so that it does not matter that a `Date` is not signed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from server.outbound import Line, Reply
from shared import clock

_ONE_SECOND = timedelta(seconds=1)
_NONE = timedelta(0)


class TimedLine:
    """`outbound.Line` that tells after each answer by how many seconds our clock is ahead of its sender's.

    0 while the answer's second lies between asking and hearing: a slow answer is no wrong clock.
    """

    def __init__(self, line: Line, told: Callable[[float], None], *, now: Callable[[], datetime] = clock.now) -> None:
        self._line, self._told, self._now = line, told, now

    async def exchange(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """See `outbound.Line.exchange`."""
        asked = self._now()
        reply = await self._line.exchange(method, url, headers=headers, body=body)
        said = _date(reply)
        if said is not None:
            ahead, behind = asked - (said + _ONE_SECOND), said - self._now()
            self._told((max(ahead, _NONE) - max(behind, _NONE)).total_seconds())
        return reply


def _date(reply: Reply) -> datetime | None:
    try:
        said = parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return None
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said
