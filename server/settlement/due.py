"""When what a supplier earned is due, pure: the terms of a day, the instant a line counts from, and the calendar."""

from __future__ import annotations

import calendar as months
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from server.settlement.working_days import Calendar
from shared import clock
from shared.contracts.settlement import DEFAULT_SPLIT_PPM
from shared.finance import Cycle, ReleaseFrom
from shared.money import Fen

STANDARD_TIER = "standard"


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a line is released. `n` means what the cycle makes of it (`contracts.settlement.EditTerms`)."""

    mode: str
    cycle: Cycle = Cycle.WORKING_DAYS
    n: int = 1
    cutoff: time = time(17, 0)
    release_from: ReleaseFrom = ReleaseFrom.COMPLETED
    hold_days: int = 0
    minimum_fen: Fen = 0
    payout_fee_fen: Fen = 0
    tier: str = STANDARD_TIER
    split_ppm: int = DEFAULT_SPLIT_PPM
    receiver: str = ""
    account: str = ""
    bank: str = ""


def due_on(terms: Terms, instant: datetime, calendar: Calendar) -> date:
    """The shop's day on which a line is due that was delivered or completed at `instant`.

    Its hold passes first. D+0 takes what came before its cut-off on the same day. D+n counts days, T+n working days;
    a weekly or monthly cycle waits for the next such day after it.
    """
    counted = clock.shop_time(instant) + timedelta(days=terms.hold_days)
    return _CYCLES[terms.cycle](terms, counted, calendar)


def _same_day(terms: Terms, counted: datetime, _calendar: Calendar) -> date:
    return counted.date() if counted.time() < terms.cutoff else counted.date() + timedelta(days=1)


def _days(terms: Terms, counted: datetime, _calendar: Calendar) -> date:
    return counted.date() + timedelta(days=terms.n)


def _working_days(terms: Terms, counted: datetime, calendar: Calendar) -> date:
    return calendar.after(counted.date(), terms.n)


def _weekly(terms: Terms, counted: datetime, _calendar: Calendar) -> date:
    return counted.date() + timedelta(days=(terms.n - counted.isoweekday() - 1) % 7 + 1)


def _monthly(terms: Terms, counted: datetime, _calendar: Calendar) -> date:
    day = counted.date()
    if day.day >= terms.n:
        day += timedelta(days=months.monthrange(day.year, day.month)[1] - day.day + 1)
    return day.replace(day=terms.n)


_CYCLES: dict[Cycle, Callable[[Terms, datetime, Calendar], date]] = {
    Cycle.D0: _same_day,
    Cycle.DAYS: _days,
    Cycle.WORKING_DAYS: _working_days,
    Cycle.WEEKLY: _weekly,
    Cycle.MONTHLY: _monthly,
}
