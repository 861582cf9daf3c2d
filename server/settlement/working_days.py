"""The working days of China, pure: weekends, public holidays and the Saturdays and Sundays worked in lieu of them.

The years that `chinesecalendar` knows come from it (the State Council announces each year in the November before);
days that people entered count first, so that a year it lacks can be entered and a correction of the State be followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import chinese_calendar

WARN_FROM_MONTH = 11
"""When next year's calendar has usually been announced: from then on one that lacks it is told of."""

STATUTORY_DAYS = 13
"""Days off of a year, by the State Council's regulation on public holidays as of 2025: New Year 1, Spring Festival 4,
Qingming 1, Labour Day 2, Dragon Boat 1, Mid-Autumn 1, National Day 3."""

_DATED = ((1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3))
"""Month and day of those that are the same each year."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """`entered` are the days that people entered: whether people work then."""

    entered: Mapping[date, bool] = field(default_factory=dict)

    def works(self, day: date) -> bool:
        """Whether people work on this day; in a year nobody knows, from Monday to Friday."""
        entered = self.entered.get(day)
        if entered is not None:
            return entered
        try:
            return bool(chinese_calendar.is_workday(day))
        except NotImplementedError:
            return day.weekday() < 5

    def knows(self, year: int) -> bool:
        """Whether the year's holidays are known: to the library, or because people entered them.

        They have once all is there that the law gives: the holidays that have a date, and as many days off as there
        are. Those by the moon are announced, so nobody can check more.
        """
        try:
            chinese_calendar.is_workday(date(year, 1, 1))
        except NotImplementedError:
            off = {day for day, works in self.entered.items() if day.year == year and not works}
            return len(off) >= STATUTORY_DAYS and off >= {date(year, month, day) for month, day in _DATED}
        return True

    def after(self, day: date, n: int) -> date:
        """The `n`-th working day after a day, which need not be one itself."""
        while n > 0:
            day += timedelta(days=1)
            n -= self.works(day)
        return day

    def lacks(self, today: date) -> int | None:
        """The year that people must enter now: this one, or from November on the next; None when all is known."""
        years = [today.year] + [today.year + 1] * (today.month >= WARN_FROM_MONTH)
        return next((year for year in years if not self.knows(year)), None)


def name_of(day: date) -> str:
    """What the library calls the holiday of a day, or the one it is worked for; empty on an ordinary day."""
    try:
        name = chinese_calendar.get_holiday_detail(day)[1]
    except NotImplementedError:
        return ""
    found = next((one for one in chinese_calendar.Holiday if one.value == name), None)
    return found.chinese if found is not None else ""
