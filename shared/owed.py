"""Of which days an arrival in the bank is: a channel pays a weekend at once, and a withdrawal is of many days. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from shared.money import Fen


def left(short: Fen, waiting: Fen) -> Fen:
    """What of a day is still to be shared out: what waits for a second person takes no more of it than it lacks."""
    return short - max(min(short, 0), min(waiting, max(short, 0)))


def over(short: Fen, part: Fen) -> Fen:
    """What of a part is more than its day lacks, or sets off more than came too much."""
    return abs(part - max(min(part, max(short, 0)), min(short, 0)))


def shares(short: Mapping[date, Fen], amount: Fen) -> dict[date, Fen]:
    """What of an amount is which day's, by what is short of each (negative: too much came, or more went back).

    Days in a row that come to exactly this are paid with it, the oldest such row. Else the oldest days are paid first,
    the last of them in part, and what is more than all lack goes to the newest. Empty where no day lacks anything.
    """
    days = sorted(day for day in short if short[day])
    for first in range(len(days)):
        total = 0
        for last in range(first, len(days)):
            total += short[days[last]]
            if total == amount:
                return {day: short[day] for day in days[first : last + 1]}
    parts: dict[date, Fen] = {}
    left = amount
    for day in days:
        if left <= 0:
            break
        parts[day] = min(short[day], left)
        left -= parts[day]
    if parts and left:
        newest = max(parts)
        parts[newest] += left
    return {day: fen for day, fen in parts.items() if fen}
