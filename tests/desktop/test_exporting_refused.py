"""Guarantees of desktop.exporting.refused: every problem row with its reason, original cells as text."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from desktop.exporting import refused
from desktop.exporting.refused import write_refused, write_template
from desktop.exporting.target import DiskFull, TargetUnwritable
from desktop.importing import Columns, ImportCancelled, Options, plan
from shared.errors import KamengError
from tests.desktop.files import Imported, workbook


def read_back(path: Path, sheet: int = 0) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(path)
    return [tuple(cell.value for cell in row) for row in book.worksheets[sheet].iter_rows()]


def test_refused_and_duplicate_rows_come_back_with_reasons(tmp_path: Path) -> None:
    source = workbook(
        tmp_path / "keys.xlsx",
        [
            ("卡号", "卡密", "备注"),
            ("0001", "AAAA1111", "x"),
            ("0002", 1.5, "x"),
            ("0001", "AAAA1111", "=1+1"),
            (),
            ("0003", "AB\u200bCD", "+1"),
            (123456789012345, "1.5E+11", None),
        ],
    )
    target = tmp_path / "refused.xlsx"
    assert write_refused(source, Options(), target) == 4
    assert read_back(target) == [
        ("行号", "单元格", "结果", "原因", "卡号", "卡密", "备注"),
        (3, "B3", "拒绝", "是小数，不是卡密", "0002", "1.5", "x"),
        (4, None, "重复", "与第 2 行重复", "0001", "AAAA1111", None),
        (6, "B6", "拒绝", "中间含有看不见的字符（零宽字符、全角空格等）", "0003", "AB\u200bCD", "+1"),
        (
            7,
            "B7",
            "拒绝",
            "是科学计数法，Excel 已经丢掉末尾数字，请把列设为文本后重新导出",
            "123456789012345",
            "1.5E+11",
            None,
        ),
    ]
    for row in openpyxl.load_workbook(target).active.iter_rows(min_row=2, min_col=5):
        for cell in row:
            assert (cell.data_type, cell.quotePrefix, cell.number_format) == ("s", True, "@") or cell.value is None


def test_formulas_and_control_characters_of_a_text_file_stay_harmless(tmp_path: Path) -> None:
    source = tmp_path / "keys.txt"
    source.write_text("=cmd()|x----\n+1----A\x07B\n-2----\n@SUM(1)----GOOD0001\n", encoding="utf-8")
    target = tmp_path / "refused.xlsx"
    assert write_refused(source, Options(header_lines=0), target, language="en") == 3
    assert read_back(target) == [
        ("Line", "Cell", "Result", "Reason", "Original column 1", "Original column 2"),
        (1, None, "Refused", "The card secret is empty", "=cmd()|x", None),
        (2, None, "Refused", "Contains a control character (tab, line break, ...)", "+1", "A\u2407B"),
        (3, None, "Refused", "The card secret is empty", "-2", None),
    ]
    kinds = {cell.data_type for row in openpyxl.load_workbook(target).active.iter_rows(min_col=5) for cell in row}
    assert "f" not in kinds


def test_more_rows_than_a_sheet_holds_go_on_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused, "SHEET_ROWS", 4)
    source = tmp_path / "keys.txt"
    source.write_text("SAME0001\n" * 8, encoding="utf-8")
    target = tmp_path / "refused.xlsx"
    assert write_refused(source, Options(), target) == 7
    assert [[row[0] for row in read_back(target, sheet)] for sheet in range(3)] == [
        ["行号", 2, 3, 4],
        ["行号", 5, 6, 7],
        ["行号", 8],
    ]


def test_a_failed_export_leaves_neither_half_nor_old_file_changed(tmp_path: Path) -> None:
    target = tmp_path / "refused.xlsx"
    target.write_text("before", encoding="utf-8")
    with pytest.raises(KamengError):
        write_refused(tmp_path / "none.txt", Options(), target)
    assert target.read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["refused.xlsx"]


def test_a_failed_export_leaves_no_key_in_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (temporary := tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    source = tmp_path / "keys.txt"
    source.write_text("PLANTED1\n" * 3_000, encoding="utf-8")
    (tmp_path / f".left.xlsx.{os.getpid()}.part").mkdir()
    with pytest.raises(TargetUnwritable):
        write_refused(source, Options(), tmp_path / "left.xlsx")
    asked = iter([False, True])
    with pytest.raises(ImportCancelled):
        write_refused(source, Options(), tmp_path / "other.xlsx", cancelled=lambda: next(asked))
    assert list(temporary.iterdir()) == []


def test_a_full_disk_is_told_in_the_language_of_the_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    source = tmp_path / "keys.txt"
    source.write_text("PLANTED1\n", encoding="utf-8")
    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFull) as refused:
        write_refused(source, Options(), tmp_path / "left.xlsx")
    assert refused.value.sentence("zh").startswith("磁盘已满，“left.xlsx”没有写成")
    assert refused.value.sentence("en").startswith("The disk is full: “left.xlsx” was not written")
    assert [path.name for path in tmp_path.iterdir()] == ["keys.txt"]


def test_the_template_keeps_leading_zeros_and_imports_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "template.xlsx"
    write_template(path)
    book = openpyxl.load_workbook(path)
    sheet = book["卡密"]
    assert [sheet.column_dimensions[letter].number_format for letter in "ABCDE"] == ["@"] * 5
    assert [cell.value for cell in sheet[1]] == ["卡号", "卡密", "有效期", "成本", "可用次数"]
    sheet.append(["0001", "AAAA1111", "2099-08-31", "8.70", "3"])
    book.save(path)
    imported = Imported(path)
    assert imported.rows == [(2, "0001", "AAAA1111")]
    assert imported.notices == ["工作表“说明”没有读取；需要时请选择它再导入一次。"]
    assert imported.terms == [("2099-08-31", 87_000, 3)]


def test_the_template_in_english(tmp_path: Path) -> None:
    path = tmp_path / "template.xlsx"
    write_template(path, language="en")
    preview = plan(path)
    assert preview.titles == ("Card number", "Secret", "Expiry", "Cost", "Uses")
    assert preview.columns == Columns(number=0, secret=1, expiry=2, cost=3, uses=4)
