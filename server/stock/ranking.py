"""In which order the lots of a SKU sell, and until when: pure rules, used where lots are made and where rules change.

Keys that expire first sell first; those that never expire come last. Among equals the product's sale order decides.
"""

from __future__ import annotations

import secrets
from datetime import date, datetime, timedelta

from shared import clock
from shared.states import SaleOrder

LOT_NUMBERS = 2**32
"""Each lot has so many unit numbers of its SKU for itself: dense, and known before its size is."""

USE_STRIDE = 2**20
"""In a lot of reusable keys: the distance between two uses of the same key, at most."""

_TIES = 2**40
_NEVER = 2**22 - 1


def stride(uses: int) -> int:
    """The distance between two uses of a key, and so the most keys of its lot: all uses fit into the lot's numbers."""
    return LOT_NUMBERS if uses == 1 else min(USE_STRIDE, LOT_NUMBERS // uses)


def rank(*, number: int, expires_on: date | None, order: SaleOrder) -> int:
    """The place of lot `number` among the lots of its SKU; lower sells first. Below 2**62."""
    day = _NEVER if expires_on is None else expires_on.toordinal()
    tie = {
        SaleOrder.FIRST_IN: number,
        SaleOrder.LAST_IN: _TIES - 1 - number,
        SaleOrder.RANDOM: secrets.randbelow(_TIES),
    }[order]
    return day * _TIES + tie


def first_rank(day: date) -> int:
    """Lots of lower rank expired before this day: they are past, whatever `stop_days` says."""
    return day.toordinal() * _TIES


def sell_until(expires_on: date | None, stop_days: int) -> datetime | None:
    """When the keys of a lot are no longer offered: `stop_days` before the end of their last day in Beijing.

    Never, for keys without an expiry and for those of the calendar's last year, by which files say the same.
    """
    if expires_on is None or expires_on.year == date.max.year:
        return None
    start, _ = clock.day_bounds(expires_on + timedelta(days=1 - stop_days))
    return start
