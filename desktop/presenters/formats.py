"""How facts are written for people: counts, money, times, sizes, order codes. The same in every screen, no Qt.

Digits, signs and order are the same in both languages; words around them belong to the views.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from shared.clock import shop_time
from shared.money import format_unit_price, format_yuan

MASK = "•"


def count(number: int) -> str:
    """`1234567` as `1,234,567`."""
    return f"{number:,}"


def money(fen: int | None) -> str:
    """Fen as `¥1,234.50`; a missing amount is a dash."""
    return "–" if fen is None else format_yuan(fen)


def price(unit_price: int) -> str:
    """1/10000 yuan as `¥1,234.50` or `¥0.035`."""
    whole, part = format_unit_price(unit_price).split(".")
    return f"¥{int(whole):,}.{part}"


def price_range(least: int, most: int) -> str:
    """Two prices as `¥40.00 – ¥1,234.50`, or the one that both are."""
    return price(least) if least == most else f"{price(least)} – {price(most)}"


def optional_price(unit_price: int | None) -> str:
    """A price that may not be known."""
    return "–" if unit_price is None else price(unit_price)


def percent(ppm: int) -> str:
    """Millionths as `5.4%`."""
    whole, part = format_unit_price(ppm).split(".")
    part = part.rstrip("0")
    return f"{whole}.{part}%" if part else f"{whole}%"


def tenths(number: int) -> str:
    """A count of tenths: `12` is `1.2`, `30` is `3`."""
    whole, rest = divmod(number, 10)
    return f"{whole:,}.{rest}" if rest else f"{whole:,}"


def day(date_of: date | None) -> str:
    """A day; a missing one is a dash."""
    return "–" if date_of is None else date_of.isoformat()


def moment(instant: datetime | None) -> str:
    """An instant in the shop's time to the second; a missing one is a dash."""
    return f"{shop_time(instant):%Y-%m-%d %H:%M:%S}" if instant is not None else "–"


def short_moment(instant: datetime | None, *, today: date) -> str:
    """The time alone for today, the day and time for this year, else the whole; for tables."""
    if instant is None:
        return "–"
    local = shop_time(instant)
    if local.date() == today:
        return f"{local:%H:%M:%S}"
    return f"{local:%m-%d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d %H:%M}"


def size(count_bytes: int) -> str:
    """Bytes in the unit that leaves one to three digits before the point."""
    value, unit = float(count_bytes), "B"
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1024
    return f"{count_bytes} B" if unit == "B" else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on; for clocks that run."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def masked(secret: str) -> str:
    """A card key as it may lie on a screen: at most its last four characters, less of a short one."""
    shown = min(4, len(secret) // 4)
    return MASK * min(8, max(len(secret) - shown, 4)) + (secret[-shown:] if shown else "")


@dataclass(frozen=True, slots=True)
class Age:
    """How long ago something was, in the largest unit that is at least one: seconds, minutes, hours or days."""

    number: int
    unit: str


def age(since: datetime, *, now: datetime) -> Age:
    """The age of `since` at `now`. An instant in the future counts as now: two clocks differ."""
    seconds = max(0, int((now - since).total_seconds()))
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= length:
            return Age(seconds // length, unit)
    return Age(seconds, "seconds")
