"""What consoles hear of reconciliation: days and differences, by ids that every process makes alike."""

from __future__ import annotations

from datetime import date
from uuid import NAMESPACE_URL, UUID, uuid5

DAY, DIFFERENCE = "reconciled_day", "difference"
DOMAIN = "reconcile"


def day_id(channel: str, day: date) -> UUID:
    """The id of a channel's day."""
    return uuid5(NAMESPACE_URL, f"kameng:reconciled-day:{channel}:{day.isoformat()}")
