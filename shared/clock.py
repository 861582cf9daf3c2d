"""The only source of the current time, and the shop's time zone. Tests move it with `fixed`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, timezone

# China has one time zone and no summer time; a fixed offset needs no zone database on Windows.
SHOP_ZONE = timezone(timedelta(hours=8), "Asia/Shanghai")

_source: datetime | None = None  # set while a test holds the clock


def now() -> datetime:
    """The current instant, aware, in UTC, with microseconds."""
    return _source if _source is not None else datetime.now(UTC)


def monotonic_seconds() -> float:
    """Seconds for measuring durations and leases in memory; never compared between processes."""
    return time.monotonic()


def shop_time(instant: datetime) -> datetime:
    """The same instant as people in the shop read it."""
    return instant.astimezone(SHOP_ZONE)


def shop_day(instant: datetime) -> date:
    """The business day an instant belongs to (00:00 to 24:00 in the shop's zone)."""
    return shop_time(instant).date()


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """The half-open interval of UTC instants that make up one business day."""
    start = datetime(day.year, day.month, day.day, tzinfo=SHOP_ZONE)
    return start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC)


@contextmanager
def fixed(instant: datetime) -> Iterator[None]:
    """Hold the clock at `instant` for the body; for tests and for demo data with a past."""
    global _source
    before, _source = _source, instant
    try:
        yield
    finally:
        _source = before
