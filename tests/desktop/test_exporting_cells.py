"""Guarantees of desktop.exporting.cells: two readers get every value back, and no text is ever a formula."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape
from python_calamine import CalamineWorkbook

from desktop.exporting import cells, sheet_writer
from desktop.exporting.cells import Kind
from desktop.exporting.cover import Cover, CoverSheet, Line
from desktop.exporting.grid import Details, Total
from desktop.exporting.proof import PROOF
from desktop.exporting.sheet_writer import Book, letters
from desktop.exporting.sheets import Column, Page
from desktop.exporting.verify import verify
from shared.clock import SHOP_ZONE, shop_time
from shared.states import OrderState
from tests.desktop.formulas import at

DAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)


class Row(NamedTuple):
    """One value of each kind."""

    text: str | None = ""
    word: OrderState | bool | None = None
    time: datetime | None = None
    day: date | None = None
    count: int | None = None
    amount: int | None = None
    price: int | None = None
    rate: int | None = None


PAGE: Page[Row] = Page(
    "rows", ("行", "Rows"), tuple(Column(kind.value, kind.value, kind.value, kind, 12) for kind in Kind)
)
AMOUNT = Total("金额", "Amount", PAGE, "amount")


def write(path: Path, rows: list[Row], *, sheet_rows: int = sheet_writer.SHEET_ROWS) -> None:
    """A workbook of these rows."""
    cover = Cover("王", "https://shop.example", NOON)
    with path.open("wb") as file, Book(file, title="t", author="a", made_at=NOON) as book:
        details = Details(book, (PAGE,), (AMOUNT,), language="zh", header="", day=DAY, sheet_rows=sheet_rows)
        details.add("rows", rows)
        details.end()
        sheet = CoverSheet(book, details, "汇总", header="")
        sheet.facts(cover.facts())
        sheet.lines([Line(AMOUNT, sum(row.amount or 0 for row in rows))], printed="账簿")
        sheet.sheets()
        sheet.end()
        book.end()


def by_openpyxl(path: Path, sheet: str = "行") -> list[tuple[Any, ...]]:
    return list(openpyxl.load_workbook(path)[sheet].iter_rows(min_row=2, values_only=True))


def by_calamine(path: Path, sheet: str = "行") -> list[list[Any]]:
    return CalamineWorkbook.from_path(path).get_sheet_by_name(sheet).to_python()[1:]


def test_each_kind_is_what_it_says_to_two_readers(tmp_path: Path) -> None:
    late = datetime(2026, 11, 21, 15, 59, 59, 999_999, tzinfo=UTC)  # 23:59:59 in the shop
    rows = [
        Row("0010086", OrderState.DELIVERED, NOON, DAY, 3, 985, 350, 6_000),
        Row("1E10", True, late, date(2000, 2, 29), 0, -985, -350, 1),
        Row("2026-11-21", False, late + timedelta(microseconds=1), None, -1, -5, 10_000_000, 1_000_000),
        Row(None, None, None, None, None, None, None, None),
        Row("末", amount=10**15 + 1),
    ]
    write(tmp_path / "rows.xlsx", rows)
    assert by_openpyxl(tmp_path / "rows.xlsx") == [
        ("0010086", "已发货", at("2026-11-21 12:00:00"), at("2026-11-21 00:00:00"), 3, 9.85, 0.035, 0.006),
        ("1E10", "是", at("2026-11-21 23:59:59"), at("2000-02-29 00:00:00"), 0, -9.85, -0.035, 0.000001),
        ("2026-11-21", "否", at("2026-11-22 00:00:00"), None, -1, -0.05, 1000, 1),
        (None,) * 8,
        ("末", None, None, None, None, 10_000_000_000_000.01, None, None),
    ]
    first, second, third, empty, _last = by_calamine(tmp_path / "rows.xlsx")
    assert first == ["0010086", "已发货", at("2026-11-21 12:00:00"), DAY, 3.0, 9.85, 0.035, 0.006]
    assert (second[2], third[2], empty) == (at("2026-11-21 23:59:59"), date(2026, 11, 22), [""] * 8)
    styles = [
        (cell.number_format, cell.quotePrefix) for cell in openpyxl.load_workbook(tmp_path / "rows.xlsx")["行"][2]
    ]
    assert styles == [
        ("@", True),
        ("@", True),
        ("yyyy-mm-dd hh:mm:ss", False),
        ("yyyy-mm-dd", False),
        ("#,##0", False),
        ("#,##0.00", False),
        ("#,##0.00##", False),
        ("0.00##%", False),
    ]
    assert verify(tmp_path / "rows.xlsx").unchanged


INJECTIONS = (
    *(f"{mark}{rest}" for mark in "=+-@\t\r\n＝＋－＠|%" for rest in ("1+1", 'cmd|"/c calc"!A0', "SUM(A1:A9)")),
    '=HYPERLINK("http://evil.example","点我")',
    "'=1+1",
    "</t></is></c><c><f>1+1</f></c>",
    "]]>",
    "_x003D_1+1",
)


def test_no_text_is_a_formula_whatever_it_begins_with(tmp_path: Path) -> None:
    write(tmp_path / "rows.xlsx", [Row(text) for text in INJECTIONS])
    sheet = openpyxl.load_workbook(tmp_path / "rows.xlsx")["行"]
    for cell, text in zip(sheet["A"][1:], INJECTIONS, strict=True):
        assert (cell.data_type, cell.quotePrefix, cell.number_format) == ("s", True, "@")
        assert unescape(cell.value) == text.replace("\r", "\n")
    assert [row[0] for row in by_calamine(tmp_path / "rows.xlsx")] == [text.replace("\r", "\n") for text in INJECTIONS]
    assert verify(tmp_path / "rows.xlsx").unchanged


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec=None)) | st.sampled_from(INJECTIONS), min_size=1, max_size=40))
def test_any_text_comes_back(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "rows.xlsx"
    write(path, [Row(text, count=1) for text in texts])
    expected = [shown(text) for text in texts]
    assert [unescape(row[0] or "") for row in by_openpyxl(path)] == expected
    assert [row[0] for row in by_calamine(path)] == expected
    assert verify(path).unchanged


def shown(text: str) -> str:
    """What a cell says of a text, told without a regular expression: XML's characters, lines that end in LF."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        letter
        if letter in "\t\n" or "\x20" <= letter <= "\ud7ff" or "\ue000" <= letter <= "\ufffd" or letter > "\uffff"
        else "\ufffd"
        for letter in lines
    )


@given(
    times=st.lists(
        st.datetimes(at("1970-01-02 00:00:00"), at("2200-01-01 00:00:00"), timezones=st.just(UTC)),
        min_size=1,
        max_size=50,
    )
)
def test_a_time_is_the_shops_clock_and_its_number_rounds_to_the_second(times: list[datetime]) -> None:
    said = cells.texts(Kind.TIME, times, "zh")
    walls = [shop_time(one).replace(tzinfo=None, microsecond=0) for one in times]
    assert said == [wall.isoformat() for wall in walls]
    for mark, wall in zip(cells.marks(Kind.TIME, "A", 1, range(len(said)), said), walls, strict=True):
        serial = float(mark.partition("<v>")[2].partition("</v>")[0])
        assert abs(at("1899-12-30 00:00:00") + timedelta(days=serial) - wall) < timedelta(milliseconds=2)


@given(values=st.lists(st.integers(-(10**15), 10**15), min_size=1), units=st.sampled_from([1, 100, 10_000, 1_000_000]))
def test_numbers_are_exact(values: list[int], units: int) -> None:
    kind = next(kind for kind, form in cells.FORMS.items() if form.units == units)
    for value, text in zip(values, cells.texts(kind, values, "zh"), strict=True):
        assert Decimal(text) * units == value
        assert text == cells.decimal(value, units)
        assert "." not in text or not text.endswith(("0", "."))


def test_a_cell_holds_as_much_as_excel_takes(tmp_path: Path) -> None:
    write(tmp_path / "rows.xlsx", [Row("长" * 40_000), Row("😀" * 20_000)])
    assert [len(row[0].encode("utf-16-le")) // 2 for row in by_calamine(tmp_path / "rows.xlsx")] == [32_767, 32_766]
    assert verify(tmp_path / "rows.xlsx").unchanged


def test_more_rows_than_a_sheet_holds_go_on_and_the_total_is_over_all(tmp_path: Path) -> None:
    rows = [Row(f"{n:06d}", amount=n) for n in range(2_501)]
    write(tmp_path / "rows.xlsx", rows, sheet_rows=1_101)
    book = openpyxl.load_workbook(tmp_path / "rows.xlsx")
    assert book.sheetnames == ["汇总", "行", "行 2", "行 3", PROOF[0]]
    assert [book[name].max_row for name in book.sheetnames[1:4]] == [1_101, 1_101, 302]
    assert [book[name]["A2"].value for name in book.sheetnames[1:4]] == ["000000", "001100", "002200"]
    formula = "=ROUND(SUM('行'!$F$2:$F$1101)+SUM('行 2'!$F$2:$F$1101)+SUM('行 3'!$F$2:$F$302),2)"
    assert formula in {cell.value for cell in book["汇总"]["B"]}
    assert verify(tmp_path / "rows.xlsx").unchanged


def test_rows_of_a_page_that_is_done_are_refused(tmp_path: Path) -> None:
    other: Page[Row] = Page("other", ("别", "Other"), PAGE.columns)
    with (tmp_path / "x.xlsx").open("wb") as file, Book(file, title="", author="", made_at=NOON) as book:
        details = Details(book, (PAGE, other), (), language="zh", header="", day=DAY)
        details.add("other", [Row("1")])
        with pytest.raises(ValueError, match="rows"):
            details.add("rows", [Row("2")])


def test_columns_have_the_letters_of_workbooks() -> None:
    assert [letters(n) for n in (0, 25, 26, 51, 52, 701, 702, 16_383)] == [
        "A",
        "Z",
        "AA",
        "AZ",
        "BA",
        "ZZ",
        "AAA",
        "XFD",
    ]


def test_the_hash_of_a_sheet_is_over_lines_that_anybody_can_make(tmp_path: Path) -> None:
    write(tmp_path / "rows.xlsx", [Row("a\tb\\c\nd", OrderState.PAID, NOON, DAY, 1, 985, 350, 6_000), Row("x")])
    lines = "a\\tb\\\\c\\nd\t已支付\t2026-11-21T12:00:00\t2026-11-21\t1\t9.85\t0.035\t0.006\nx" + "\t" * 7 + "\n"
    cover = {row[0]: row[1] for row in openpyxl.load_workbook(tmp_path / "rows.xlsx")["汇总"].values}
    assert cover["行"] == hashlib.sha256(lines.encode()).hexdigest()
    assert shop_time(NOON).tzinfo is SHOP_ZONE
