"""Guarantees of desktop.exporting.verify: an untouched workbook is unchanged, and every change is named where it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from desktop.exporting.findings import Finding, Found
from desktop.exporting.proof import seal_of
from desktop.exporting.verify import NotOurs, NotReadable, verify
from desktop.importing.sniff import FileMissing
from desktop.verbs import parser
from desktop.verbs.shell import BAD_INPUT, DONE, FAILED, Shell
from tests.desktop.day_book import DAY, export
from tests.desktop.files import repacked
from tests.desktop.formulas import at

Edit = Callable[[Any], None]


def edited(path: Path, edit: Edit) -> Path:
    """The workbook as another program saved it after an edit."""
    book = openpyxl.load_workbook(path)
    edit(book)
    book.save(path)
    return path


@pytest.mark.parametrize("sheet_rows", [1_048_576, 3])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_untouched_workbook_is_unchanged(tmp_path: Path, sheet_rows: int, language: str) -> None:
    written = export(tmp_path / "day.xlsx", sheet_rows=sheet_rows, language=language)
    verdict = verify(tmp_path / "day.xlsx")
    assert (verdict.unchanged, verdict.findings) == (True, ())
    assert (verdict.day, verdict.rows, verdict.sha256) == (DAY, 15, written.sha256)


def test_a_workbook_of_an_earlier_version_is_verified_too(tmp_path: Path) -> None:
    def without_the_day_it_was_made_on(book: Any) -> None:
        proof = book["校验"]
        proof["D1"].value = None
        rows = [[value for value in row if value is not None] for row in proof.iter_rows(values_only=True)]
        rows = [[*row[:4], "", row[4]] if row[0] == "total" and len(row) == 5 else row for row in rows]
        proof.cell(proof.max_row, 2).value = seal_of(rows[:-1])

    export(tmp_path / "day.xlsx")
    assert verify(tmp_path / "day.xlsx").made_on == DAY + timedelta(days=1)
    verdict = verify(edited(tmp_path / "day.xlsx", without_the_day_it_was_made_on))
    assert (verdict.findings, verdict.made_on) == ((), None)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    export(tmp_path / "one.xlsx")
    export(tmp_path / "other.xlsx")
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "other.xlsx").read_bytes()


def put(sheet: str, place: str, value: object) -> Edit:
    def edit(book: Any) -> None:
        cell = book[sheet][place]
        cell.value = value
        if isinstance(value, str) and not value.startswith("=SUM"):
            cell.data_type = "s"

    return edit


def swap(book: Any) -> None:
    sheet = book["收款"]
    for one, other in zip(sheet[2], sheet[3], strict=True):
        one.value, other.value = other.value, one.value


def not_computed(book: Any) -> None:
    """openpyxl saves formulas without what they compute; that alone changes nothing."""


ROWS = {
    "an amount": (put("订单", "K3", 0.12), Finding(Found.ROWS_CHANGED, "订单", row=3, count=1)),
    "an amount below a fen": (put("订单", "K3", 0.1101), Finding(Found.ROWS_CHANGED, "订单", row=3, count=1)),
    "a number made text": (put("订单", "L4", "9.36"), Finding(Found.ROWS_CHANGED, "订单", row=4, count=1)),
    "an id made a number": (put("订单", "F2", 10086), Finding(Found.ROWS_CHANGED, "订单", row=2, count=1)),
    "a second": (put("收款", "A5", at("2026-11-21 12:00:41")), Finding(Found.ROWS_CHANGED, "收款", row=5, count=1)),
    "a word": (put("收款", "I5", "渠道通知"), Finding(Found.ROWS_CHANGED, "收款", row=5, count=1)),
    "a time taken away": (put("订单", "D2", None), Finding(Found.ROWS_CHANGED, "订单", row=2, count=1)),
    "a remark beside": (put("订单", "Q6", "已核对"), Finding(Found.ROWS_CHANGED, "订单", row=6, count=1)),
    "a row inserted": (lambda book: book["收款"].insert_rows(3), Finding(Found.ROWS_ADDED, "收款", row=3, count=1)),
    "a row at the end": (
        lambda book: book["收款"].append([None, "x"]),
        Finding(Found.ROWS_ADDED, "收款", row=6, count=1),
    ),
    "a row deleted": (lambda book: book["收款"].delete_rows(4), Finding(Found.ROWS_REMOVED, "收款", row=4, count=1)),
    "the last row deleted": (
        lambda book: book["收款"].delete_rows(5),
        Finding(Found.ROWS_REMOVED, "收款", row=5, count=1),
    ),
    "two rows exchanged": (swap, Finding(Found.ROWS_MOVED, "收款", row=2)),
    "a cell far away": (put("收款", "XFD3", 1), Finding(Found.ROWS_CHANGED, "收款", row=3, count=1)),
    "a row far away": (put("收款", "A5000", "x"), Finding(Found.ROWS_ADDED, "收款", row=6, count=4_995)),
    "a heading": (put("账户", "B1", "借"), Finding(Found.HEADING, "账户")),
    "a fact of the cover": (put("汇总", "B4", "王会计 (finance)"), Finding(Found.COVER, "汇总")),
    "a sheet removed": (lambda book: book.remove(book["账户"]), Finding(Found.SHEET_MISSING, "账户")),
    "a sheet added": (lambda book: book.create_sheet("备注"), Finding(Found.SHEET_ADDED, "备注")),
    "the proof itself": (put("校验", "B1", "en"), Finding(Found.PROOF, "校验")),
}


@pytest.mark.parametrize(("edit", "finding"), ROWS.values(), ids=ROWS)
def test_a_change_is_named_by_its_sheet_and_first_row(tmp_path: Path, edit: Edit, finding: Finding) -> None:
    export(tmp_path / "day.xlsx")
    findings = verify(edited(tmp_path / "day.xlsx", edit)).findings
    assert findings[0] == finding
    assert {one.found for one in findings[1:]} <= {Found.TOTAL}
    for language in ("zh", "en"):
        assert all("{" not in one.sentence(language) and "?" not in one.sentence(language) for one in findings)


def test_saving_it_unchanged_by_another_library_is_no_change(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx")
    assert verify(edited(tmp_path / "day.xlsx", not_computed)).unchanged


def test_a_column_shown_in_another_format_is_no_change(tmp_path: Path) -> None:
    def show_days_only(book: Any) -> None:
        for cell in book["收款"]["A"][1:]:
            cell.number_format = "General"
        book["收款"].column_dimensions["A"].width = 60

    export(tmp_path / "day.xlsx")
    assert verify(edited(tmp_path / "day.xlsx", show_days_only)).unchanged


def test_a_formula_in_the_details_is_a_change_whatever_it_came_to(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx")

    def computed(name: str, content: bytes) -> bytes:
        return content.replace(b"<v>9.85</v>", b"<f>9.86</f><v>9.85</v>", 1) if name.endswith("sheet1.xml") else content

    found = verify(repacked(tmp_path / "day.xlsx", tmp_path / "computed.xlsx", computed)).findings
    assert (found[0].found, found[0].sheet, found[0].count) == (Found.ROWS_CHANGED, "订单", 1)


def test_totals_are_added_up_anew_whatever_the_formulas_cells_say(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx")
    verdict = verify(edited(tmp_path / "day.xlsx", put("订单", "K2", 9.86)))
    assert verdict.findings == (
        Finding(Found.ROWS_CHANGED, "订单", row=2, count=1),
        Finding(Found.TOTAL, "汇总", what="发货金额（元）", written="19.81", read="19.82"),
    )


def test_an_order_moved_to_another_day_changes_the_totals_of_the_day(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx")
    tomorrow = at("2026-11-21 12:00:41") + timedelta(days=1)
    findings = verify(edited(tmp_path / "day.xlsx", put("订单", "D2", tomorrow))).findings
    assert {(one.what, one.written, one.read) for one in findings[1:]} == {
        ("发货订单数", "2", "1"),
        ("发货金额（元）", "19.81", "9.96"),
        ("供应商应得（元）", "18.82", "9.46"),
        ("平台服务费（元）", "0.99", "0.5"),
        ("发货数量（张）", "5", "4"),
    }


def test_a_formula_that_became_a_number_is_named(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx")
    book = openpyxl.load_workbook(tmp_path / "day.xlsx")
    place = next(cell.coordinate for cell in book["汇总"]["B"] if str(cell.value).startswith("=ROUND"))
    verdict = verify(edited(tmp_path / "day.xlsx", put("汇总", place, 29.76)))
    assert verdict.findings == (Finding(Found.FORMULA, "汇总", what=place),)


def test_the_first_changed_row_of_a_part_of_a_long_table_is_named(tmp_path: Path) -> None:
    export(tmp_path / "day.xlsx", sheet_rows=3)
    findings = verify(edited(tmp_path / "day.xlsx", put("订单 2", "G3", "改过"))).findings
    assert findings == (Finding(Found.ROWS_CHANGED, "订单 2", row=3, count=1),)


def _text(path: Path) -> None:
    path.write_text("卡号,卡密\n", encoding="utf-8")


def _foreign(path: Path) -> None:
    openpyxl.Workbook().save(path)


def _another_proof(path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.create_sheet("校验")
    rows = [["kameng.workbook/1", "zh", "2026-11-21"], ["cover", "汇总"]]
    for row in (*rows, ["seal", seal_of(rows)]):
        sheet.append(row)
    book.save(path)


def _without_proof(path: Path) -> None:
    export(path)
    edited(path, lambda book: book.remove(book["校验"]))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (_text, NotReadable),
        (lambda path: None, FileMissing),
        (_foreign, NotOurs),
        (_another_proof, NotOurs),
        (_without_proof, NotOurs),
    ],
)
def test_what_is_not_ours_is_told(tmp_path: Path, make: Callable[[Path], None], error: type[Exception]) -> None:
    make(tmp_path / "day.xlsx")
    with pytest.raises(error):
        verify(tmp_path / "day.xlsx")


def test_the_verb_says_it_in_words_and_by_its_exit_status(tmp_path: Path) -> None:
    def run(language: str) -> tuple[int, str, str]:
        shell = Shell(out=StringIO(), err=StringIO(), environment={"KAMENG_LANG": language})
        status = parser.run(["verify", str(path)], shell)
        return status, shell.out.getvalue(), shell.err.getvalue()

    path = tmp_path / "day.xlsx"
    written = export(path)
    assert run("zh") == (
        DONE,
        f"“day.xlsx”未被修改：2026-11-21，明细 15 行，合计相符。\nSHA-256 {written.sha256}\n",
        "",
    )
    edited(path, put("收款", "G4", 0.1))
    total = "“收款金额（元）”: the details summed to 29.76 when it was written, now to 20.01."
    assert run("en") == (
        FAILED,
        f"Sheet “收款”: rows changed: 1, the first is row 4.\n{total}\nSHA-256 {written.sha256}\n",
        "",
    )
    _text(path)
    assert run("zh") == (BAD_INPUT, "", "kameng: 无法读取“day.xlsx”：它不是 .xlsx 文件，或者已加密、已损坏。\n")
