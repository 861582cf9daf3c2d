"""Guarantees of desktop.exporting.sheet_reader: any legal shape is read alike, and no file makes it hold much."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from desktop.exporting.sheet_reader import Damaged, Odd, Row, Workbook
from desktop.exporting.verify import NotOurs, NotReadable, verify

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def package(path: Path, *rows: str, shared: str | None = None, head: str = "", end: str = "</sheetData>") -> Path:
    """A workbook whose one sheet `校验` is of these rows in XML."""
    parts = {
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="校验" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{RELATIONS}">'
        f'<Relationship Id="r1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'{head}<worksheet xmlns="{MAIN}"><sheetData>{"".join(rows)}{end}',
    }
    if shared is not None:
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{shared}</sst>'
    with ZipFile(path, "w", ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return path


def rows(path: Path, width: int = 3) -> list[Row]:
    with Workbook(path) as book:
        return list(book.rows("校验", width))


def test_every_legal_shape_says_the_same(tmp_path: Path) -> None:
    path = package(
        tmp_path / "book.xlsx",
        '<row r="1"><c r="A1" t="s"><v>1</v></c><c r="C1" t="inlineStr"><is><r><t>富</t></r><r><t>文本</t></r>'
        "<rPh><t>ふ</t></rPh></is></c></row>",
        "<row><c><v>9.8499999999999996</v></c><c t='b'><v>1</v></c><c t='e'><v>#N/A</v></c></row>",
        '<row r="4"><c r="B4" t="str"><f>A1&amp;""</f><v>00123</v></c><c r="XFD4"><v>7</v></c></row>',
        f'<x:row xmlns:x="{STRICT}" r="5"><x:c r="A5" t="d"><x:v>2026-11-21T12:00:00</x:v></x:c>'
        '<x:c r="B5"><x:v>1_0</x:v></x:c><c r="C5" s="9"/></x:row>',
        '<row r="6" xmlns="urn:of-others"><c r="A6"><v>1</v></c></row><row r="7"/>',
        '<row r="9"><c r="A9" t="s"><v>0</v></c><c r="B9" t="inlineStr"><is><t>_x005F_x0041_ _xD83D__xDE00_</t></is>'
        "</c></row>",
        shared="<si><t/></si><si><t>共享</t><phoneticPr/></si>",
    )
    assert rows(path) == [
        Row(1, ["共享", "", "富文本"], []),
        Row(2, [9.85, True, Odd("#N/A")], []),
        Row(4, ["", Odd("=00123"), ""], [7.0]),
        Row(5, [datetime.fromisoformat("2026-11-21T12:00:00"), Odd("1_0"), ""], []),
        Row(9, ["", "_x0041_ 😀", ""], []),
    ]


@pytest.mark.parametrize(
    "made",
    [
        {"rows": ['<row r="2"/><row r="1"/>']},
        {"rows": ['<row r="1048577"/>']},
        {"rows": ['<row r="1"><c r="B1"/><c r="A1"/></row>']},
        {"rows": ['<row r="1"><c r="XFE1"/></row>']},
        {"rows": ['<row r="1"><c r="A2"/></row>']},
        {"rows": ['<row r="1"><c t="s"><v>1</v></c></row>'], "shared": "<si><t>0</t></si>"},
        {"rows": ['<row r="1"><c t="s"><v>0</v></c></row>']},
        {"rows": ['<row r="1"/>'], "end": ""},
        {"rows": ["<row r='1'><c t='inlineStr'><is><t>&lol;</t></is></c></row>"]},
        {"rows": ["<row/>"], "head": '<!DOCTYPE x [<!ENTITY lol "lol">]>'},
        {"rows": [f'<row r="1" x="{"1" * 1_200_000}"/>']},
        {"rows": [f"<row><c t='inlineStr'><is><t>{'长 ' * 600_000}</t></is></c></row>"]},
        {"rows": ["<row>" + "<c/>" * 16_385 + "</row>"]},
    ],
    ids=lambda made: made["rows"][0][:40],
)
def test_what_is_no_sheet_or_could_not_be_held_is_refused(tmp_path: Path, made: dict[str, object]) -> None:
    path = package(tmp_path / "book.xlsx", *made.pop("rows"), **made)  # type: ignore[arg-type,misc]
    with pytest.raises(Damaged):
        rows(path)
    with pytest.raises(NotReadable):
        verify(path)


def test_two_cells_in_far_corners_cost_nothing(tmp_path: Path) -> None:
    first = '<row r="1"><c r="A1" t="inlineStr"><is><t>kameng.workbook/1</t></is></c></row>'
    path = package(tmp_path / "book.xlsx", first, '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    assert _peak_mib(path) < 4
    with pytest.raises(NotOurs):
        verify(path)


def test_many_rows_and_shared_texts_are_not_held(tmp_path: Path) -> None:
    many = 20_000
    path = package(
        tmp_path / "book.xlsx",
        *(f"<row><c t='s'><v>{n}</v></c><c><v>{n}</v></c></row>" for n in range(many)),
        shared="".join(f"<si><t>{n:060d}</t></si>" for n in range(many)),
    )
    assert _peak_mib(path) < 6
    with Workbook(path) as book:
        said: Iterator[Row] = book.rows("校验", 2)
        assert all(row == Row(n + 1, [f"{n:060d}", float(n)], []) for n, row in enumerate(said))


def _peak_mib(path: Path) -> float:
    """What the reader itself holds at most while it reads the whole sheet."""
    tracemalloc.start()
    try:
        with Workbook(path) as book:
            assert sum(1 for _ in book.rows("校验", 3)) > 1
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
