"""What LibreOffice makes of our workbooks: it computes what we printed, and what it saves again still verifies."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import pytest

from desktop.exporting.verify import verify
from tests import office
from tests.desktop import finance_book
from tests.desktop.day_book import export
from tests.desktop.test_exporting_cells import INJECTIONS, Row, shown, write

AWKWARD = [
    *(Row(text, count=n) for n, text in enumerate(INJECTIONS)),
    Row("  两端空格 ", count=1, day=date(2026, 2, 28), amount=-1, price=1, rate=6_000),
    Row("第一行\n第二行\r\n第三行", amount=10**14 + 1),
    Row("_x0041_ & <b> \\ \"'", amount=1),
    Row("😀𠮷\u200b\ufeff\ufffe\x07", amount=29),
    Row("1E10"),
    Row("00012345678901234567890"),
    Row("2026-11-21"),
    Row("TRUE"),
    Row("长" * 33_000),
]


class Copies(NamedTuple):
    """Each workbook as we wrote it and as LibreOffice saved it."""

    written: dict[str, Path]
    saved: dict[str, Path]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Copies:
    folder = tmp_path_factory.mktemp("office")
    written = {name: folder / f"{name}.xlsx" for name in ("day", "parts", "english", "awkward", "finance")}
    export(written["day"])
    export(written["parts"], sheet_rows=3)
    export(written["english"], language="en")
    finance_book.export(written["finance"])
    write(written["awkward"], AWKWARD, sheet_rows=20)
    saved = office.saved_again(written.values(), folder)
    return Copies(written, dict(zip(written, saved, strict=True)))


def values(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every cell of the workbook, of formulas what they computed."""
    book = openpyxl.load_workbook(path, data_only=True)
    return {sheet.title: [_trimmed(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets}


def _trimmed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    while row and row[-1] is None:
        row = row[:-1]
    return row


@pytest.mark.parametrize("name", ["day", "parts", "english", "finance"])
def test_it_has_the_same_cells_and_computes_what_we_printed(copies: Copies, name: str) -> None:
    ours, theirs = values(copies.written[name]), values(copies.saved[name])
    assert list(theirs) == list(ours)
    for sheet, rows in ours.items():
        assert theirs[sheet] == rows, sheet


@pytest.mark.parametrize(("name", "count"), [("day", 15), ("parts", 15), ("finance", 21)])
def test_its_recomputed_totals_are_the_printed_ones(copies: Copies, name: str, count: int) -> None:
    rows = next(iter(values(copies.saved[name]).values()))
    start = next(n for n, row in enumerate(rows) if row and row[0] == "项目")
    lines = rows[start + 1 : start + 1 + count]
    assert [row[3] for row in lines] == ["一致"] * count
    assert [row[1] for row in lines] == [row[2] for row in lines] != [None] * count
    assert rows[start + 1 + count] == ("结论", None, None, "全部一致")
    formulas = openpyxl.load_workbook(copies.saved[name]).worksheets[0]["B"][start + 1 : start + 1 + count]
    assert all(cell.data_type == "f" for cell in formulas)


@pytest.mark.parametrize("name", ["day", "parts", "english", "awkward", "finance"])
def test_its_copy_is_unchanged(copies: Copies, name: str) -> None:
    assert verify(copies.saved[name]).findings == ()


def test_awkward_texts_are_the_same_texts_there(copies: Copies) -> None:
    sheets = values(copies.saved["awkward"])
    texts = [row[0] if row else "" for name, rows in sheets.items() if name.startswith("行") for row in rows[1:]]
    # openpyxl leaves the escapes of line ends in.
    found = [text.replace("_x000D_", "").replace("_x005F_", "_") for text in texts]
    assert found == [shown(row.text or "")[:32_767] for row in AWKWARD]


def test_an_edit_there_is_found(copies: Copies, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(copies.saved["day"])
    book["订单"]["K2"].value = 9.86
    book.save(tmp_path / "edited.xlsx")
    verdict = verify(tmp_path / "edited.xlsx")
    assert [(one.sheet, one.row) for one in verdict.findings] == [("订单", 2), ("汇总", None)]


def test_headings_stay_filtered_and_printed_on_every_page(copies: Copies) -> None:
    book = openpyxl.load_workbook(copies.saved["day"])
    sheet = book["订单"]
    # What is frozen belongs to a window, and without a screen it has none.
    assert (sheet.auto_filter.ref, sheet.print_title_rows, sheet.print_title_cols) == ("A1:P6", "$1:$1", "$A:$A")
    told = openpyxl.load_workbook(copies.saved["finance"])["退款明细"]
    assert (told.print_title_cols, told.page_setup.fitToWidth) == ("$A:$E", 2), "up to the order of the row"
    assert (sheet.page_setup.orientation, sheet.page_setup.fitToWidth) == ("landscape", 2)
    assert sheet.oddHeader.center.text.strip().endswith("订单 2026-11-21")
    assert book["校验"].sheet_state == "hidden"
