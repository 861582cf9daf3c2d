"""The working days that T+n is counted by: days of a year on which people work unlike in an ordinary week."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import date, timedelta
from functools import partial
from typing import Any

from desktop.operations import settlement
from desktop.presenters import formats
from desktop.presenters.acting import Act, Entry, Pair, Work
from desktop.presenters.listing import Column
from desktop.presenters.picked import Picked
from desktop.presenters.ports import Ask
from desktop.presenters.typed import NotADay, typed_day
from desktop.presenters.words import in_words
from shared.clock import now, shop_day
from shared.contracts.identity import Person
from shared.contracts.settlement import EditHoliday, Holiday
from shared.errors import BadInput
from shared.permissions import Permission

ENTER = "enter"
MOST_DAYS = 31
"""No holiday is longer: more is a mistake of typing."""

_WORKS: tuple[tuple[str, Pair], ...] = (("no", ("放假", "A holiday")), ("yes", ("上班", "A working day")))


class TooManyDays(BadInput):
    """No holiday begins after its end, or is that long."""

    code = "holidays.too_many"
    zh = "一次最多录入 {most} 天，结束日不能早于开始日。"
    en = "At most {most} days at once, and the last is not before the first."


def works_word(one: Holiday) -> str:
    """Whether people work on it."""
    return in_words(dict(_WORKS)["yes" if one.works else "no"])


def weekday(one: Holiday) -> str:
    """Its day of the week."""
    names = ("一二三四五六日", ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    return in_words((f"星期{names[0][one.day.weekday()]}", names[1][one.day.weekday()]))


COLUMNS = (
    Column[Holiday]("day", lambda h: formats.day(h.day), sample="2026-03-02"),
    Column[Holiday]("weekday", weekday, sample="星期三"),
    Column[Holiday]("works", works_word, tone=lambda h: "info" if h.works else "success", sample="A working day"),
    Column[Holiday]("name", lambda h: h.name or "–", stretch=True, sample="八个汉字的名称"),
)


class Holidays(Picked[Holiday]):
    """The calendar of a year.

    Attributes:
        year: the one that is shown.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__(ask, COLUMNS)
        self.may_edit = Permission.SETTLEMENT_TERMS_EDIT in frozenset(person.permissions)
        self.year = shop_day(now()).year

    @property
    def is_known(self) -> bool:
        """Whether the year's holidays are known; so it is said as long as nothing was read."""
        return self.feed.as_of is None or any(one.known for one in self.feed.rows)

    def key(self, one: Holiday) -> Hashable:
        return one.day

    def show_list(self) -> None:
        year = self.year
        self.feed.show(lambda engine, _after: settlement.list_holidays(engine, year))

    def turn_to(self, year: int) -> None:
        """Show another year."""
        if year != self.year:
            self.year, self.chosen = year, None
            self.feed.clear()
            self.show_list()

    def acted(self, done: Any) -> None:
        """Show the year of the days that were entered."""
        if self.year == done[0].day.year:
            self.feed.reload()
        else:
            self.turn_to(done[0].day.year)
            self.changed()

    def acts(self) -> list[Act[Any]]:
        if not self.may_edit:
            return []
        one = self.chosen
        day, name, works = ("", "", "no") if one is None else (f"{one.day}", one.name, "yes" if one.works else "no")
        return [
            Act(
                ENTER,
                ("录入假日或调休…", "Enter holidays…"),
                (
                    "这些天是否上班以此为准：T+n 的结算日随即按新日历计算，已生成的结算单不变。",
                    "T+n is counted by it from now on; statements that were made stay.",
                ),
                ("已录入", "Entered"),
                _enter,
                (
                    Entry("first", ("从（2027-02-06）", "From (2027-02-06)"), value=day, most=10),
                    Entry("last", ("到（可不填）", "Until (may be left out)"), needed=False, most=10),
                    Entry("works", ("这几天", "These days"), choices=_WORKS, value=works),
                    Entry("name", ("名称", "Name"), needed=False, value=name, most=80),
                ),
            )
        ]


def _enter(typed: Mapping[str, str]) -> Work[list[Holiday]]:
    first = typed_day(typed["first"])
    if first is None:
        raise NotADay
    days = _span(first, typed_day(typed["last"]) or first)
    edit = EditHoliday(works=typed["works"] == "yes", name=typed["name"])
    return partial(settlement.enter_holidays, days=days, edit=edit)


def _span(first: date, last: date) -> list[date]:
    count = (last - first).days + 1
    if not 1 <= count <= MOST_DAYS:
        raise TooManyDays(most=MOST_DAYS)
    return [first + timedelta(days=n) for n in range(count)]
