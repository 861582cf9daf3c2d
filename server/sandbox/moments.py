"""Moments as the sandbox keeps them: integer milliseconds since 1970 UTC, and how they are written for others."""

import time
from datetime import UTC, datetime, timedelta, timezone

# China has one time zone and no summer time; a fixed offset needs no zone files, which Windows does not have.
BEIJING = timezone(timedelta(hours=8))


def now_ms() -> int:
    """Return the wall clock in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def rfc3339(moment_ms: int) -> str:
    """Write a moment as RFC 3339 in UTC with milliseconds: the form of every time on the wire."""
    moment = datetime.fromtimestamp(moment_ms // 1000, UTC).replace(microsecond=moment_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def beijing(moment_ms: int) -> str:
    """Write a moment for people, in Beijing time: `2026-11-22 17:03:09`."""
    return datetime.fromtimestamp(moment_ms // 1000, BEIJING).strftime("%Y-%m-%d %H:%M:%S")
