"""Guarantees of desktop.importing about rows: each gets one fate, with its line, its cell and a sentence."""

import datetime as dt
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop.importing import Columns, Counted, Options, plan
from shared import clock
from shared.cardkey import Pattern
from tests.desktop.files import Imported, repacked, workbook

HEAD = ("卡号", "卡密")


def text_file(tmp_path: Path, content: str, name: str = "keys.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode())
    return path


def test_the_ledger_of_a_mixed_file_adds_up_with_every_line_named(tmp_path: Path) -> None:
    path = text_file(
        tmp_path,
        "卡号,卡密\n"  # 1 heading
        "0001,AAAA1111\n"
        "0002, BBBB2222 \n"  # 3 spaces
        "\n"  # 4 empty
        "0003,AB\u200bCD\n"  # 5 refused
        "0001,AAAA1111\n"  # 6 = 2
        "0004,ＣＣＣＣ３３３３\n"  # 7 full width
        "0005,\n"  # 8 no secret
        "0006,1.23457E+11\n"  # 9 exponent
        "0002,BBBB2222\n"  # 10 = 3, after the repair
        "卡号,卡密\n"  # 11 heading again
        "0007,DDDD4444,extra\n"  # 12 too many columns
        "0008\n",  # 13 too few
    )
    imported = Imported(path)
    assert imported.figures == (13, 3, 2, 5, 3)
    assert imported.ledger.sentence() == "读取 13 = 可导入 3 + 重复 2 + 拒绝 5 + 跳过 3"
    assert imported.ledger.sentence("en") == "13 read = 3 valid + 2 duplicates + 5 refused + 3 skipped"
    assert imported.rows == [(2, "0001", "AAAA1111"), (3, "0002", "BBBB2222"), (7, "0004", "CCCC3333")]
    assert imported.problems == [
        "第 5 行：中间含有看不见的字符（零宽字符、全角空格等）。",
        "第 6 行：与第 2 行重复。",
        "第 8 行：卡密为空。",
        "第 9 行：是科学计数法，Excel 已经丢掉末尾数字，请把列设为文本后重新导出。",
        "第 10 行：与第 3 行重复。",
        "第 12 行：列数与其他行不同。",
        "第 13 行：列数与其他行不同。",
    ]
    assert imported.ledger.problems[1].sentence("en") == "Line 6: is the same as line 2."
    assert imported.ledger.problems[1].shown == "•••• / ••••11"
    assert imported.reasons == {
        "header": (2, ("1", "11")),
        "duplicate": (2, ("6", "10")),
        "wrong_columns": (2, ("12", "13")),
        "empty_row": (1, ("4",)),
        "inner_invisible": (1, ("5",)),
        "empty": (1, ("8",)),
        "exponent": (1, ("9",)),
    }
    assert imported.repairs == {"spaces": (1, ("3",)), "full_width": (1, ("7",))}


def test_repairs_can_be_refused(tmp_path: Path) -> None:
    path = text_file(tmp_path, "AAAA1111\n BBBB2222\nＣＣＣＣ３３３３\n")
    imported = Imported(path, Options(repairs="refuse"))
    assert imported.figures == (3, 1, 0, 2, 0)
    assert imported.problems[0] == "第 2 行：需要修整，而您选择了不修整。"
    assert imported.repairs == {}


def test_no_clear_key_is_in_a_ledger(tmp_path: Path) -> None:
    keys = ["SECRETKEY0001", "SECRETKEY0002"]
    path = text_file(tmp_path, f"{keys[0]}\n{keys[0]}\n{keys[1]}\u200bX\n")
    shown = repr(Imported(path).ledger)
    assert "SECRETKEY" not in shown
    assert "••••0001" in shown


def test_a_file_without_a_valid_row_says_so(tmp_path: Path) -> None:
    imported = Imported(text_file(tmp_path, "卡号,卡密\n0001,\n0002,\n0003,\n\n"))
    assert imported.figures == (5, 0, 0, 3, 2)
    assert imported.chunks == []
    assert imported.notices == ["没有可导入的卡密：读取 5 行，重复 0，拒绝 3，跳过 2。"]


# Sheets: what Excel does to cells.


def test_every_kind_of_damaged_cell_is_refused_with_its_address(tmp_path: Path) -> None:
    def formats(sheet: Any) -> None:
        sheet["B10"].data_type = "e"
        sheet["B12"].number_format = "#,##0"
        sheet["B13"].number_format = "0.00E+00"

    path = workbook(
        tmp_path / "keys.xlsx",
        [
            HEAD,
            ("0001", "AAAA-1111"),
            ("0002", 1234567890123456),  # 3
            ("0003", 1.5),  # 4
            ("0004", dt.date(2026, 1, 2)),  # 5
            ("0005", dt.time(3, 4)),  # 6
            ("0006", True),  # 7
            ("0007", "=1+1"),  # 8
            ("0008", 1e20),  # 9
            ("0009", "#N/A"),  # 10
            ("0010", -5),  # 11
            ("0011", 12345),  # 12
            ("0012", 12345),  # 13
            (1234567890123456, "BBBB-2222"),  # 14
            ("0014", "CCCC-3333"),
        ],
        formats,
    )
    imported = Imported(path)
    assert imported.figures == (15, 2, 0, 12, 1)
    assert imported.rows == [(2, "0001", "AAAA-1111"), (15, "0014", "CCCC-3333")]
    lost = "是超过 15 位的数字，Excel 已改掉末尾数字，请把列设为文本后重新导出。"
    assert imported.problems == [
        f"第 3 行（B3 单元格）：{lost}",
        "第 4 行（B4 单元格）：是小数，不是卡密。",
        "第 5 行（B5 单元格）：是日期或时间单元格，不是文本。",
        "第 6 行（B6 单元格）：是日期或时间单元格，不是文本。",
        "第 7 行（B7 单元格）：是逻辑值（TRUE/FALSE）单元格，不是文本。",
        "第 8 行（B8 单元格）：是公式，请复制后选择性粘贴为数值。",
        f"第 9 行（B9 单元格）：{lost}",
        "第 10 行（B10 单元格）：是错误值单元格。",
        "第 11 行（B11 单元格）：是负数，不是卡密。",
        "第 12 行（B12 单元格）：是带显示格式的数字，看到的和存的不一样，请把列设为文本。",
        "第 13 行（B13 单元格）：是带显示格式的数字，看到的和存的不一样，请把列设为文本。",
        f"第 14 行（A14 单元格）：{lost}",
    ]
    assert imported.notices == ["卡密列有 1 个公式单元格，会被拒绝：B8。"]


def test_a_formula_outside_of_the_key_columns_does_no_harm(tmp_path: Path) -> None:
    path = workbook(tmp_path / "keys.xlsx", [(*HEAD, "面值"), ("0001", "AAAA1111", "=50*2"), ("0002", "BBBB2222", 1)])
    imported = Imported(path)
    assert imported.figures == (3, 2, 0, 0, 1)
    assert imported.notices == ["没有使用的列：面值。"]


def test_leading_zeros_are_rebuilt_from_the_number_format(tmp_path: Path) -> None:
    def formats(sheet: Any) -> None:
        for row in (2, 3):
            sheet.cell(row=row, column=1).number_format = "00000000"

    path = workbook(tmp_path / "keys.xlsx", [HEAD, (1234, "AAAA1111"), (12345678, "BBBB2222")], formats)
    imported = Imported(path)
    assert imported.rows == [(2, "00001234", "AAAA1111"), (3, "12345678", "BBBB2222")]
    assert imported.repairs == {"zeros_rebuilt": (2, ("A2", "A3"))}
    assert Imported(path, Options(repairs="refuse")).figures == (3, 0, 0, 2, 1)


def test_lost_leading_zeros_need_a_decision(tmp_path: Path) -> None:
    rows = [HEAD, *((100000 + n, f"SECRET{n:04}") for n in range(8)), (1234, "SECRET0008"), (99, "SECRET0009")]
    path = workbook(tmp_path / "keys.xlsx", rows)
    notice = "“卡号”列是数字而不是文本，2 个位数不足，开头的 0 可能已丢失：A10, A11。请选择拒绝或原样导入。"
    assert [said.zh for said in plan(path).notices] == [notice]
    refused = Imported(path)
    assert refused.figures == (11, 8, 0, 2, 1)
    assert refused.notices == [notice]
    assert refused.problems == [
        "第 10 行（A10 单元格）：是数字，位数比同批少，开头的 0 可能已被 Excel 去掉。",
        "第 11 行（A11 单元格）：是数字，位数比同批少，开头的 0 可能已被 Excel 去掉。",
    ]
    assert refused.ledger.damaged == Counted(count=2, addresses=("A10", "A11"))
    accepted = Imported(path, Options(damaged="accept"))
    assert accepted.figures == (11, 10, 0, 0, 1)
    assert accepted.rows[-2:] == [(10, "1234", "SECRET0008"), (11, "99", "SECRET0009")]
    assert accepted.repairs["zeros_accepted"] == (2, ("A10", "A11"))
    assert accepted.ledger.damaged == refused.ledger.damaged


def test_short_numbers_in_a_csv_are_remarked_on(tmp_path: Path) -> None:
    lines = [f"{n:012}" if n > 5 else str(n + 10**9) for n in range(10**11, 10**11 + 40)]
    lines[3], lines[30] = "12345", "77"
    imported = Imported(text_file(tmp_path, "\n".join(lines), "keys.csv"))
    assert imported.figures == (40, 40, 0, 0, 0)
    assert imported.notices == ["有 2 行的纯数字卡密比其他行短，开头的 0 可能在导出 CSV 时丢失：第 4, 31 行。"]


def test_merged_cells_of_a_key_column_are_refused(tmp_path: Path) -> None:
    def merge(sheet: Any) -> None:
        sheet.merge_cells("A1:C1")
        sheet.merge_cells("A4:A6")

    path = workbook(
        tmp_path / "keys.xlsx",
        [
            ("八月卡密",),
            (*HEAD, "备注"),
            ("0001", "AAAA1111"),
            ("0002", "BBBB2222"),
            (None, "CCCC3333"),
            (None, "DDDD4444"),
            ("0005", "EEEE5555"),
        ],
        merge,
    )
    imported = Imported(path)
    assert imported.figures == (7, 3, 0, 2, 2)
    assert [row[0] for row in imported.rows] == [3, 4, 7]
    assert imported.problems == [
        "第 5 行（A5 单元格）：属于合并单元格，请先取消合并。",
        "第 6 行（A6 单元格）：属于合并单元格，请先取消合并。",
    ]
    assert imported.notices == ["有 2 处合并单元格：A1:C1, A4:A6。卡密列里被合并的行会被拒绝。"]


def test_hidden_rows_and_sheets_are_skipped_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "keys.xlsx"
    book = openpyxl.Workbook()
    first = book.active
    first.title = "旧卡"
    first.append(["卡密"])
    first.append(["OLD11111"])
    first.sheet_state = "hidden"
    keys = book.create_sheet("新卡")
    for secret in ("卡密", "AAAA1111", "BBBB2222", "CCCC3333"):
        keys.append([secret])
    keys.row_dimensions[3].hidden = True
    keys.column_dimensions["C"].hidden = True
    book.create_sheet("其他").append(["卡密"])
    book.create_sheet("空表")
    book.save(path)
    imported = Imported(path)
    assert imported.figures == (4, 2, 0, 0, 2)
    assert [row[2] for row in imported.rows] == ["AAAA1111", "CCCC3333"]
    assert imported.reasons["hidden_row"] == (1, ("3",))
    assert imported.notices == [
        "隐藏的工作表“旧卡”没有读取。",
        "工作表“其他”没有读取；需要时请选择它再导入一次。",
        "工作表“空表”是空的。",
        "有 1 个隐藏行，默认跳过：3。",
    ]
    assert Imported(path, Options(hidden_rows="include")).figures == (4, 3, 0, 0, 1)
    assert Imported(path, Options(sheet="旧卡")).rows == [(2, "", "OLD11111")]


def test_a_table_that_starts_in_the_middle_keeps_its_addresses(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "keys.xlsx",
        [(), (), (None, None, *HEAD), (None, None, "0001", "AAAA1111"), (None, None, "0002", 1.5)],
    )
    imported = Imported(path)
    assert imported.rows == [(4, "0001", "AAAA1111")]
    assert imported.problems == ["第 5 行（D5 单元格）：是小数，不是卡密。"]
    preview = plan(path)
    assert (preview.columns.number, preview.columns.secret) == (2, 3)
    assert preview.titles == ("A", "B", "卡号", "卡密")


def strange_xml(name: str, content: bytes) -> bytes:
    """The same sheet as another program might write it: a prefix and single quotes."""
    if "sheet1.xml" not in name:
        return content
    content = content.replace(b"</", b"</x:").replace(b"<", b"<x:").replace(b"<x:/x:", b"</x:")
    return content.replace(b"xmlns=", b"xmlns:x=").replace(b'"', b"'")


def test_a_sheet_written_in_another_shape_gives_the_same_result(tmp_path: Path) -> None:
    def change(sheet: Any) -> None:
        sheet.row_dimensions[3].hidden = True
        sheet["B5"].data_type = "e"
        sheet["A7"].number_format = "000000"

    plain = workbook(
        tmp_path / "plain.xlsx",
        [
            HEAD,
            ("0001", "AAAA1111"),
            ("0002", "BBBB2222"),
            ("0003", "=A1"),
            ("0004", "#N/A"),
            ("0005", "EEEE5555"),
            (1234, "FFFF6666"),
            (12, 1.5),
        ],
        change,
    )
    strange = repacked(plain, tmp_path / "strange.xlsx", strange_xml)
    assert b"<x:sheetData" in strange_xml("sheet1.xml", b"<sheetData/>")
    expected = Imported(plain)
    assert expected.figures == (8, 3, 0, 3, 2)
    assert expected.rows[-1] == (7, "001234", "FFFF6666")
    imported = Imported(strange)
    assert (imported.figures, imported.rows, imported.problems, imported.notices) == (
        expected.figures,
        expected.rows,
        expected.problems,
        expected.notices,
    )


# Text: separators, quotes, columns.


@pytest.mark.parametrize(
    ("label", "lines", "separator", "rows"),
    [
        ("four dashes", ["A-1----S-1", "A-2----S-2"], "----", [(1, "A-1", "S-1"), (2, "A-2", "S-2")]),
        ("tab", ["A1\tS1", "A2\tS2"], "\t", [(1, "A1", "S1"), (2, "A2", "S2")]),
        ("bar", ["A1|S1", "A2|S2"], "|", [(1, "A1", "S1"), (2, "A2", "S2")]),
        ("Chinese comma", ["A1，S1", "A2，S2"], "，", [(1, "A1", "S1"), (2, "A2", "S2")]),
        ("spaces", ["A1  S1", "A2 S2"], " ", [(1, "A1", "S1"), (2, "A2", "S2")]),
        ("labels", ["卡号 A1 密码 S1", "卡号 A2 密码 S2"], " ", [(1, "A1", "S1"), (2, "A2", "S2")]),
        ("groups of one key", ["AA BB CC", "DD EE FF"], "", [(1, "", "AA BB CC"), (2, "", "DD EE FF")]),
        ("one column", ["AAAA-1", "BBBB-2"], "", [(1, "", "AAAA-1"), (2, "", "BBBB-2")]),
        ("three columns with a day", ["A1,S1,2099-01-31", "A2,S2,2099-02-28"], ",", [(1, "A1", "S1"), (2, "A2", "S2")]),
        ("a constant price first", ["50;A1;S1", "50;A2;S2"], ";", [(1, "A1", "S1"), (2, "A2", "S2")]),
    ],
)
def test_separators_and_columns_are_guessed(
    tmp_path: Path, label: str, lines: list[str], separator: str, rows: list[tuple[int, str, str]]
) -> None:
    path = text_file(tmp_path, "\n".join(lines))
    assert plan(path).separator == separator, label
    assert Imported(path).rows == rows, label


@pytest.mark.parametrize(
    ("titles", "number", "secret", "expiry"),
    [
        (("序列号", "激活码"), 0, 1, None),
        (("密码", "账号"), 1, 0, None),
        (("面值", "充值卡卡号", "充值卡密码", "有效期至"), 1, 2, 3),
        (("Card No.", "Key", "Valid until"), 0, 1, 2),
        (("serial number", "PIN"), 0, 1, None),
        (("卡号",), None, 0, None),
        (("卡号（必填）", "卡密（必填）"), 0, 1, None),
        (("序列号", "卡号", "卡密"), 1, 2, None),
    ],
)
def test_headings_name_the_columns(
    tmp_path: Path, titles: tuple[str, ...], number: int | None, secret: int, expiry: int | None
) -> None:
    rows = [titles, *(tuple(f"V{n}{title}7" for title in titles) for n in range(3))]
    preview = plan(workbook(tmp_path / "keys.xlsx", rows))
    assert preview.columns == Columns(number=number, secret=secret, expiry=expiry)
    assert preview.options.header_lines == 1


def test_quotes_of_a_csv_are_undone_and_stray_ones_hurt_one_line_only(tmp_path: Path) -> None:
    filler = "".join(f"N{n},S{n}\n" for n in range(100))
    path = text_file(
        tmp_path,
        'no,key,note\n1,"AA,11",x\n2,"BB""22","two\nlines"\n3,"CC33,x\n4,DD"44,x\n5,"=EE55",x\n' + filler,
        "keys.csv",
    )
    imported = Imported(path, Options(separator=","))
    assert imported.rows[:4] == [(2, "1", "AA,11"), (3, "2", 'BB"22'), (6, "4", 'DD"44'), (7, "5", "=EE55")]
    assert imported.problems[0] == "第 5 行：引号没有配对。"
    assert imported.figures == (106, 104, 0, 1, 1)


def test_a_quoted_record_may_lie_across_two_blocks(tmp_path: Path) -> None:
    lines = [f"N{n},S{n},x\n" for n in range(998)]
    lines += ['A,B,"one\ntwo\nthree"\n', *(f"M{n},T{n},y\n" for n in range(1500))]
    imported = Imported(text_file(tmp_path, "".join(lines), "keys.csv"))
    assert imported.figures == (2499, 2499, 0, 0, 0)
    assert imported.rows[998:1000] == [(999, "A", "B"), (1002, "M0", "T0")]


def test_columns_and_heading_can_be_chosen(tmp_path: Path) -> None:
    path = text_file(tmp_path, "x,y\nA1,S1\nA2,S2\n")
    chosen = Options(columns=Columns(number=1, secret=0), header_lines=0)
    assert Imported(path, chosen).rows == [(1, "y", "x"), (2, "S1", "A1"), (3, "S2", "A2")]
    assert Imported(path, Options(separator="", header_lines=1)).rows == [(2, "", "A1,S1"), (3, "", "A2,S2")]


def test_case_and_pattern_are_rules_of_the_product(tmp_path: Path) -> None:
    path = text_file(tmp_path, "ABCD\nabcd\nABCDE\nAB-D\n")
    assert Imported(path).figures == (4, 4, 0, 0, 0)
    folded = Imported(path, Options(ignore_case=True))
    assert folded.problems == ["第 2 行：与第 1 行重复。"]
    ruled = Imported(path, Options(pattern=Pattern(min_length=4, max_length=4, alphabet="ABCD")))
    assert ruled.rows == [(1, "", "ABCD")]
    assert [problem.reason for problem in ruled.ledger.problems] == [
        "not_in_alphabet",
        "too_long_for_product",
        "not_in_alphabet",
    ]


def test_expired_cards_are_refused_and_the_range_is_shown(tmp_path: Path) -> None:
    path = text_file(
        tmp_path,
        "卡号,卡密,有效期\n1,A1,2026-08-31\n2,A2,2026-09-01\n3,A3,永久\n4,A4,31/12/2027\n5,A5,2028年2月29日\n",
    )
    with clock.fixed(dt.datetime(2026, 8, 31, 16, 0, tzinfo=dt.UTC)):  # 1 September in the shop
        imported = Imported(path)
    assert [row[0] for row in imported.rows] == [3, 4, 6]
    assert imported.problems == ["第 2 行：已过有效期。", "第 5 行：有效期无法识别，请核对日期写法。"]
    assert (imported.ledger.expires_first, imported.ledger.expires_last) == (
        dt.date(2026, 9, 1),
        dt.date(2028, 2, 29),
    )


def test_the_preview_shows_raw_and_read_and_its_options_repeat_it(tmp_path: Path) -> None:
    path = text_file(tmp_path, "卡号,卡密\n0001, AAAA11112222 \n0002,\n" + "".join(f"X{n},Y{n}\n" for n in range(50)))
    preview = plan(path)
    assert len(preview.lines) == 20
    heading, first, second = preview.lines[:3]
    assert (heading.line, heading.raw, heading.reason) == (1, "卡号,卡密", "header")
    assert (first.line, first.raw, first.number, first.secret) == (2, "0001, AAAA11112222 ", "0001", "AAAA11112222")
    assert (first.reason, first.repairs, first.shown) == (None, ("spaces",), "•••• / ••••2222")
    assert (second.line, second.reason) == (3, "empty")
    assert preview.titles == ("卡号", "卡密")
    assert Imported(path, preview.options).figures == Imported(path).figures == (53, 51, 0, 1, 1)


CELLS = st.sampled_from(["", " ", "A1", " A1", "\u200b", "ＡＢ", "1.5E+11", '"', '"x"', "a b", "#N/A", "x" * 600, "'7"])


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=30), st.sampled_from([",", "\t", "|", "----"]))
def test_any_text_file_adds_up_and_loses_no_line(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], separator: str
) -> None:
    lines = [separator.join("AB"), *map(separator.join, rows)]
    path = text_file(tmp_path_factory.mktemp("any"), "\n".join(lines))
    imported = Imported(path, Options(separator=separator, columns=Columns(number=0, secret=1), header_lines=0))
    read, valid, duplicates, refused, skipped = imported.figures
    assert read == valid + duplicates + refused + skipped
    assert len(imported.rows) == valid
    assert len({(number, secret) for _, number, secret in imported.rows}) == valid
    assert len(imported.ledger.problems) == duplicates + refused
