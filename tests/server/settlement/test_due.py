"""When lines are due: each cycle across National Day 2026 with its make-up Saturday, Spring Festival, year's end."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.settlement.due import Terms, due_on
from server.settlement.working_days import Calendar, name_of
from shared import clock
from shared.finance import Cycle

STATE = Calendar()

OFF_IN_2027 = dict.fromkeys(
    [
        date(2027, month, day)
        for month, days in {1: [1], 2: [5, 6, 7, 8], 4: [5], 5: [1, 2], 6: [9], 9: [15], 10: [1, 2, 3]}.items()
        for day in days
    ],
    False,
)
"""What the law gives in a year that the library does not know."""


def at(text: str) -> datetime:
    """A moment of the shop."""
    return datetime.fromisoformat(text).replace(tzinfo=clock.SHOP_ZONE).astimezone(UTC)


def terms(cycle, n=0, **other) -> Terms:
    return Terms(mode="purchase", cycle=Cycle(cycle), n=n, **other)


@pytest.mark.parametrize(
    ("cycle", "n", "moment", "due"),
    [
        # 2026: 1 to 7 October are off, Sunday 20 September and Saturday 10 October are worked
        ("working_days", 1, "2026-09-18 12:00", "2026-09-20"),  # Friday; Sunday is worked
        ("working_days", 1, "2026-09-19 12:00", "2026-09-20"),  # a Saturday off
        ("working_days", 1, "2026-09-30 23:59", "2026-10-08"),
        ("working_days", 1, "2026-10-03 00:00", "2026-10-08"),
        ("working_days", 1, "2026-10-09 12:00", "2026-10-10"),  # Friday; Saturday is worked
        ("working_days", 2, "2026-10-09 12:00", "2026-10-12"),
        ("working_days", 3, "2026-09-30 12:00", "2026-10-10"),
        # Spring Festival: 15 to 23 February, Saturdays 14 and 28 are worked
        ("working_days", 1, "2026-02-13 12:00", "2026-02-14"),
        ("working_days", 2, "2026-02-13 12:00", "2026-02-24"),
        ("working_days", 1, "2026-02-27 12:00", "2026-02-28"),
        # the year's end: 1 January 2026 was a Thursday, 1 to 3 off, Sunday the 4th worked
        ("working_days", 1, "2025-12-31 16:30", "2026-01-04"),
        ("working_days", 1, "2026-12-31 16:30", "2027-01-01"),  # 2027 is not known yet: a Friday
        ("d0", 0, "2026-10-01 16:59", "2026-10-01"),
        ("d0", 0, "2026-10-01 17:00", "2026-10-02"),
        ("d0", 0, "2026-12-31 17:00", "2027-01-01"),
        ("days", 1, "2026-09-30 23:59", "2026-10-01"),
        ("days", 1, "2026-10-01 00:00", "2026-10-02"),
        ("days", 7, "2026-12-28 08:00", "2027-01-04"),
        ("weekly", 1, "2026-10-04 12:00", "2026-10-05"),  # Sunday, the next Monday
        ("weekly", 1, "2026-10-05 12:00", "2026-10-12"),  # Monday itself waits a week
        ("weekly", 7, "2026-10-05 12:00", "2026-10-11"),
        ("monthly", 5, "2026-10-04 23:59", "2026-10-05"),
        ("monthly", 5, "2026-10-05 00:00", "2026-11-05"),
        ("monthly", 1, "2026-12-31 12:00", "2027-01-01"),
        ("monthly", 28, "2026-02-28 12:00", "2026-03-28"),
    ],
)
def test_each_cycle_is_due_on_its_day(cycle, n, moment, due):
    assert due_on(terms(cycle, n), at(moment), STATE) == date.fromisoformat(due)


def test_the_business_day_is_the_shops_and_not_greenwichs():
    late = datetime(2026, 10, 8, 16, 0, tzinfo=UTC)  # midnight of the 9th in the shop
    assert due_on(terms("days", 1), late, STATE) == date(2026, 10, 10)
    assert due_on(terms("d0", cutoff=time(0, 1)), late, STATE) == date(2026, 10, 9)


def test_a_hold_passes_before_the_cycle_counts():
    assert due_on(terms("working_days", 1, hold_days=7), at("2026-09-25 12:00"), STATE) == date(2026, 10, 8)
    assert due_on(terms("d0", hold_days=3), at("2026-10-01 18:00"), STATE) == date(2026, 10, 5)


def test_days_that_people_entered_count_before_the_library():
    closed = Calendar({date(2026, 10, 8): False, date(2027, 1, 1): False, date(2027, 1, 2): True})
    assert due_on(terms("working_days", 1), at("2026-09-30 12:00"), closed) == date(2026, 10, 9)
    assert due_on(terms("working_days", 1), at("2026-12-31 12:00"), closed) == date(2027, 1, 2)


@pytest.mark.parametrize(
    ("entered", "today", "lacking"),
    [
        ({}, date(2026, 10, 31), None),
        ({}, date(2026, 11, 1), 2027),
        (OFF_IN_2027, date(2026, 11, 23), None),
        (OFF_IN_2027, date(2027, 11, 1), 2028),
        ({date(2027, 1, 1): False}, date(2026, 11, 23), 2027),  # Spring Festival is lacking
        (OFF_IN_2027 | {date(2027, 2, 8): True}, date(2026, 11, 23), 2027),
        ({day: off for day, off in OFF_IN_2027.items() if day.month != 10}, date(2026, 11, 23), 2027),
        ({}, date(2027, 3, 1), 2027),
    ],
)
def test_a_year_nobody_knows_is_told_of_from_november_before(entered, today, lacking):
    assert Calendar(entered).lacks(today) == lacking


def test_holidays_have_their_names():
    names = [name_of(day) for day in (date(2026, 10, 1), date(2026, 10, 10), date(2026, 10, 9), date(2099, 10, 1))]
    assert names == ["国庆节", "国庆节", "", ""]


@given(
    cycle=st.sampled_from([("d0", 0), ("days", 3), ("working_days", 2), ("weekly", 3), ("monthly", 28)]),
    first=st.integers(0, 4 * 366 * 24 * 60).map(lambda n: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=n)),
    later=st.timedeltas(timedelta(0), timedelta(days=60)),
    hold=st.integers(0, 30),
)
def test_what_came_later_is_never_due_earlier_and_nothing_before_it_came(cycle, first, later, hold):
    these = terms(*cycle, hold_days=hold)
    due = due_on(these, first, STATE)
    assert due >= clock.shop_day(first) + timedelta(days=hold)
    assert due_on(these, first + later, STATE) >= due
