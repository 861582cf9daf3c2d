"""Lists without a display: pages, growth, staleness, late answers; the palette; how figures and times are written."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.feed import Feed
from desktop.presenters.listing import KEPT_PAGES, PAGE_ROWS, Column, Listing
from desktop.presenters.palette import Entry, Palette, initials
from desktop.presenters.ports import Door, Latest
from shared import clock
from shared.contracts.base import Page
from shared.errors import Busy, Conflict

NUMBERS = [Column[int]("n", str, numeric=True)]
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


class Later:
    """An `Ask` whose questions wait: the test answers them in any order."""

    def __init__(self) -> None:
        self.asked = []

    def __call__(self, work, then, otherwise) -> None:
        self.asked.append((work, then, otherwise))

    def answer(self, number: int, value) -> None:
        self.asked[number][1](value)

    def fail(self, number: int, error: Exception) -> None:
        self.asked[number][2](error)


class Books:
    """A source that remembers what was ordered."""

    def __init__(self) -> None:
        self.ordered = []

    def order(self, generation: int, page: int) -> None:
        self.ordered.append(page)


def page_of(*items, following=None, live=True) -> Seen:
    return Seen(value=Page(items=list(items), next=following), as_of=NOON, live=live)


def test_a_list_orders_what_is_looked_at_and_what_comes_next():
    listing, source = Listing(NUMBERS), Books()
    listing.show(source, 10 * PAGE_ROWS)
    assert listing.cells(3 * PAGE_ROWS) is None
    assert source.ordered == [3, 4]
    listing.arrived(listing.generation, 3, range(PAGE_ROWS))
    listing.arrived(listing.generation, 4, range(PAGE_ROWS))
    assert listing.cells(2 * PAGE_ROWS) is None
    assert source.ordered == [3, 4, 2, 1], "going up, the page above is ordered too"


def test_a_list_keeps_so_many_pages_and_no_more():
    listing, source = Listing(NUMBERS), Books()
    listing.show(source, 1_000 * PAGE_ROWS)
    for page in range(KEPT_PAGES + 3):
        listing.arrived(listing.generation, page, range(PAGE_ROWS))
    assert len(listing._pages) == len(listing._cells) == KEPT_PAGES
    assert listing.item(0) is None
    assert listing.item(3 * PAGE_ROWS) == 0


def test_one_row_can_be_replaced_without_moving_the_others():
    listing = Listing(NUMBERS)
    heard = []
    listing.watch(rows=lambda *rows: heard.append(rows), reset=lambda: None, grown=lambda _: None)
    listing.show_rows([1, 2, 3])
    assert listing.cells(1) == ("2",)
    heard.clear()
    listing.replace(1, 20)
    assert [listing.cells(n) for n in range(3)] == [("1",), ("20",), ("3",)]
    assert heard == [(1, 1)]


def test_a_feed_grows_when_its_end_is_looked_at():
    ask = Later()
    feed = Feed(ask, NUMBERS)
    feed.show(lambda engine, after: after)
    assert (feed.loading, feed.as_of) == (True, None)
    ask.answer(0, page_of(1, 2, 3, following="3"))
    assert (feed.rows, feed.more, feed.as_of) == ([1, 2, 3], True, NOON)
    feed.listing.cells(2)
    feed.listing.cells(2)
    assert len(ask.asked) == 2, "one page at a time"
    ask.answer(1, page_of(4, following=None))
    assert (feed.rows, feed.more, feed.listing.count) == ([1, 2, 3, 4], False, 4)
    assert feed.listing.cells(3) == ("4",)
    assert len(ask.asked) == 2


def test_a_feed_is_read_again_as_far_as_it_was_here():
    ask, asked = Later(), []

    async def fetch(_engine, after):
        asked.append(after)
        return page_of(after or "a", "x", following={None: "b", "b": "c", "c": "d"}[after])

    feed = Feed(ask, [Column[str]("n", str)])
    feed.show(fetch)
    ask.answer(0, asyncio.run(ask.asked[0][0](None)))
    for n in (1, 2):
        feed.read_on()
        ask.answer(n, asyncio.run(ask.asked[n][0](None)))
    assert (feed.rows, feed.listing.find(lambda row: row == "c")) == (["a", "x", "b", "x", "c", "x"], 4)
    asked.clear()
    feed.reload()
    assert feed.size == 6, "what is shown stays meanwhile"
    ask.answer(3, asyncio.run(ask.asked[3][0](None)))
    assert (asked, feed.rows, feed.more) == ([None, "b", "c"], ["a", "x", "b", "x", "c", "x"], True)
    feed.show(fetch)
    asyncio.run(ask.asked[4][0](None))
    assert asked == [None, "b", "c", None], "another list begins with its first page"


def test_a_feed_shows_the_answer_to_its_last_question_only():
    ask = Later()
    feed = Feed(ask, NUMBERS)
    feed.show(lambda engine, after: "old")
    feed.show(lambda engine, after: "new")
    ask.answer(1, page_of(2))
    ask.answer(0, page_of(1))
    ask.fail(0, Busy(retry_after_seconds=1))
    assert (feed.rows, feed.error) == ([2], None)


def test_a_feed_keeps_what_it_has_when_more_does_not_come():
    ask = Later()
    feed = Feed(ask, NUMBERS)
    feed.show(lambda engine, after: after)
    ask.answer(0, page_of(1, following="1"))
    feed.listing.cells(0)
    error = Busy(retry_after_seconds=1)
    ask.fail(1, error)
    assert (feed.rows, feed.error, feed.loading) == ([1], error, False)
    feed.listing.cells(0)
    assert len(ask.asked) == 2, "a fault is not repeated by looking at it"
    feed.reload()
    assert len(ask.asked) == 3


def test_a_page_that_points_at_itself_ends_the_list():
    ask = Later()
    feed = Feed(ask, NUMBERS)
    feed.show(lambda engine, after: after)
    ask.answer(0, page_of(1, following="x"))
    feed.listing.cells(0)
    ask.answer(1, page_of(2, following="x"))
    assert (feed.rows, feed.more) == ([1, 2], False)


def test_own_changes_show_at_once_and_those_of_others_when_asked_for():
    ask = Later()
    feed = Feed(ask, NUMBERS)
    feed.renew(is_own=True)
    assert ask.asked == [], "a list nobody opened is not read"
    feed.show(lambda engine, after: after)
    ask.answer(0, page_of(1))
    feed.renew(is_own=False)
    assert (feed.listing.stale, len(ask.asked), feed.rows) == (1, 1, [1])
    feed.renew(is_own=True)
    assert len(ask.asked) == 2
    ask.answer(1, page_of(1, 2))
    assert feed.listing.stale == 0
    feed.renew(is_own=False)
    ask.answer(2, page_of(1, 2))
    assert feed.listing.stale == 0, "the server told of what we did"
    feed.renew(is_own=False)
    assert (feed.listing.stale, len(ask.asked)) == (1, 3)
    feed.renew(is_own=True)
    ask.answer(3, page_of(1, 2))
    feed.renew(is_own=False)
    ask.answer(4, page_of(1, 2, 3))
    assert (feed.listing.stale, feed.rows) == (1, [1, 2]), "others did more, and the rows stay where they are"
    feed.renew(is_own=True)
    feed.renew(is_own=False)
    ask.answer(5, page_of(1, 2, 3))
    ask.fail(6, Conflict())
    assert feed.listing.stale == 1, "nobody knows"


def test_the_first_news_after_an_own_change_is_compared_with_all_that_is_here():
    ask = Later()
    feed = Feed(ask, NUMBERS)
    feed.show(lambda engine, after: after)
    ask.answer(0, page_of(1))

    def news(here, *read):
        """How stale the list is by the first news after an own change, once it was read again."""
        feed.renew(is_own=True)
        ask.answer(-1, here)
        feed.renew(is_own=False)
        for answer in read:
            ask.answer(-1, answer)
        return feed.listing.stale

    assert news(page_of(1), page_of(1)) == 0
    assert news(page_of(1), page_of(1, following="x")) == 1, "there is one more, beyond what is here"
    assert news(page_of(1), page_of(1, live=False)) == 1, "nobody asked the server"
    news(page_of(1))
    feed.reload()
    ask.answer(-2, page_of(1, 2))
    assert feed.listing.stale == 0, "what is read now is newer"
    ask.answer(-1, page_of(1, following="x"))
    news(page_of(1, following="x"))
    feed.read_on()
    ask.answer(-1, page_of(2))
    ask.answer(-2, page_of(1, following="x"))
    assert (feed.rows, feed.listing.stale) == ([1, 2], 0), "what was read on meanwhile is none of it"


def test_a_shut_door_lets_no_answer_in():
    ask, heard = Later(), []
    door = Door(ask)
    door(None, heard.append, heard.append)
    door.shut()
    ask.answer(0, "late")
    ask.fail(0, ValueError())
    door(None, heard.append, heard.append)
    assert (heard, len(ask.asked)) == ([], 1)


def test_only_the_latest_answer_counts():
    latest, heard = Latest(), []
    first = latest.only(heard.append)
    second = latest.only(heard.append)
    first("old")
    second("new")
    assert heard == ["new"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("转到：导入卡密", "zddrkm"), ("对账", "dz"), ("Steam 充值 100", "steamcz100"), ("，", ""), ("薅", "")],
)
def test_initials_are_those_of_pinyin(text, expected):
    assert initials(text) == expected


ENTRIES = [
    Entry("place.stock", "转到：库存"),
    Entry("place.orders", "转到：订单"),
    Entry("day.export", "导出对账工作簿"),
    Entry("day.next", "后一天", enabled=False),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["place.stock", "place.orders", "day.export"]),
        ("订单", ["place.orders"]),
        ("dc", ["day.export", "place.stock"]),
        (">dz", ["day.export"]),
        ("zdkc", ["place.stock"]),
        ("orders", ["place.orders"]),
        ("导簿", ["day.export"]),
        ("后", []),
        ("nothing", []),
    ],
)
def test_the_palette_finds(query, expected):
    assert [entry.id for entry in Palette(ENTRIES).find(query)] == expected


def test_the_palette_offers_what_was_used_last_first():
    palette = Palette(ENTRIES)
    palette.used("day.export")
    palette.used("place.orders")
    assert [entry.id for entry in palette.find("")] == ["place.orders", "day.export", "place.stock"]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (formats.count(1_234_567), "1,234,567"),
        (formats.money(0), "¥0.00"),
        (formats.money(-123_456), "-¥1,234.56"),
        (formats.money(None), "–"),
        (formats.price(350), "¥0.035"),
        (formats.price(99_000), "¥9.90"),
        (formats.moment(NOON), "2026-03-02 12:00:00"),
        (formats.short_moment(NOON, today=date(2026, 3, 2)), "12:00:00"),
        (formats.short_moment(NOON, today=date(2026, 3, 3)), "03-02 12:00"),
        (formats.short_moment(NOON, today=date(2027, 3, 3)), "2026-03-02 12:00"),
        (formats.size(999), "999 B"),
        (formats.size(2_300_000), "2.2 MB"),
        (formats.duration(75.4), "1:15"),
        (formats.duration(3_675), "1:01:15"),
        (formats.masked("K3J9-22MX-P7QT"), "••••••••MX-P7QT"[:8] + "7QT"),
        (formats.masked("AB"), "••••"),
    ],
)
def test_facts_are_written_one_way(made, expected):
    assert made == expected


@pytest.mark.parametrize(
    ("ago", "expected"),
    [
        (timedelta(seconds=59), (59, "seconds")),
        (timedelta(minutes=5, seconds=3), (5, "minutes")),
        (timedelta(hours=26), (1, "days")),
        (timedelta(seconds=-30), (0, "seconds")),
    ],
)
def test_an_age_is_in_its_largest_unit(ago, expected):
    with clock.fixed(NOON):
        age = formats.age(NOON - ago, now=clock.now())
    assert (age.number, age.unit) == expected
