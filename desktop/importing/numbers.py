"""Number cells in a key column: what they stand for, or why they cannot be trusted.

Excel keeps 15 significant digits and drops leading zeros, so a number cell is never simply a key. Its number format
tells: all zeros (`000000`) means the zeros can be rebuilt; a plain format means the digits are what is stored;
anything else (dates, money, thousands, exponents) shows the supplier something that is not stored.

`NumberFormats` is only asked when a key column really has a number cell: the bulk reader does not report formats.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from xml.etree import ElementTree as ET

from desktop.importing import package
from desktop.importing.sniff import FileDamaged

MAX_EXACT = 10**15
"""Whole numbers from here on have more than 15 digits: Excel has already changed the last ones."""

# Format codes that Excel and WPS give to a plain whole number, after `_plain_code`.
_PLAIN = frozenset({"general", "@", "#", "0", "g/通用格式", "g/generalformat", "通用格式"})
# Built-in date formats of the Chinese, Japanese and Korean versions; openpyxl reports them as General.
_LOCAL_DATE_IDS = frozenset([*range(27, 37), *range(50, 59)])


class Reading(NamedTuple):
    """What a number cell stands for: a text with its repair code, or the code of why it is refused."""

    text: str
    repair: str
    reason: str | None
    plain: bool
    """Whether leading zeros may have been lost: nothing in the format says how many digits there were."""


def refused(reason: str) -> Reading:
    """A reading that says why not."""
    return Reading("", "", reason, plain=False)


def read_number(value: float, number_format: str) -> Reading:
    """Judge one number cell by its value and its number format."""
    if not abs(value) < MAX_EXACT:  # also what is not a number at all
        return refused("over_15_digits")
    if value < 0:
        return refused("negative_number")
    if value != int(value):
        return refused("fraction")
    digits = str(int(value))
    code = _plain_code(number_format)
    if len(code) > 1 and not code.strip("0"):
        return Reading(digits.zfill(len(code)), "zeros_rebuilt", None, plain=False)
    if code in _PLAIN:
        return Reading(digits, "number_cell", None, plain=True)
    return refused("number_format")


@lru_cache(maxsize=1024)
def _plain_code(number_format: str) -> str:
    """The section for positive numbers without colours, paddings and fillers: `0_);[Red]\\(0\\)` is `0`."""
    code = number_format.split(";", maxsplit=1)[0]
    code = re.sub(r"\[[^\]]*\]|_.|\*.", "", code)
    return code.strip().lower()


class NumberFormats:
    """Number formats of single cells of one sheet, whatever program wrote it.

    The first question about a column searches the sheet's bytes once (0.3 s per million rows); openpyxl answers
    for the cells that are written in a shape which the search does not know, ten times slower. Ask in ascending
    line order: openpyxl starts over when it has to go back.
    """

    def __init__(self, path: Path, sheet: package.SheetFacts, lines: int) -> None:
        self._path = path
        self._sheet = sheet
        self._lines = lines
        self._columns: dict[int, array[int]] = {}
        self._codes: list[str] | None = None
        self._slow = _ByOpenpyxl(path, sheet.name)

    def at(self, line: int, column: int) -> str:
        """The number format of a cell, by line (from 1) and column (from 0)."""
        if self._codes is None:
            self._codes = style_codes(self._path)
        if column not in self._columns:
            self._columns[column] = _styles_of_column(self._path, self._sheet, column, self._lines)
        style = self._columns[column][line]
        return self._codes[style] if style < len(self._codes) else self._slow.at(line, column)

    def close(self) -> None:
        """Let go of the file."""
        self._slow.close()


_UNKNOWN = 0xFFFF


def _styles_of_column(path: Path, sheet: package.SheetFacts, column: int, lines: int) -> array[int]:
    """The style number of each line's cell in a column; `_UNKNOWN` where there is none in the usual shape."""
    styles = array("H", [_UNKNOWN]) * (lines + 1)
    letters = package.column_letters(column).encode()
    cell = re.compile(rb'<c r="' + letters + rb'([1-9]\d{0,6})"([^>]*)>')
    carry = b""
    for block in package.blocks(path, sheet.part):
        data = carry + block
        cut = max(data.rfind(b"<c "), 0)
        _note_styles(styles, cell.finditer(data, 0, cut))
        carry = data[cut:]
    _note_styles(styles, cell.finditer(carry))
    return styles


def _note_styles(styles: array[int], cells: Iterator[re.Match[bytes]]) -> None:
    for cell in cells:
        line, style = int(cell[1]), _STYLE.search(cell[2])
        if line < len(styles):
            styles[line] = min(int(style[1]), _UNKNOWN) if style else 0


_STYLE = re.compile(rb' s="(\d{1,5})"')


def style_codes(path: Path) -> list[str]:
    """The number format of each style of the workbook, by style number."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS  # only when a number cell was met: start-up time

    content = list(package.blocks(path, "xl/styles.xml"))
    if not content:
        return ["General"]
    tree = package.parse_small(iter(content), name=path.name, part="xl/styles.xml")
    try:
        return _codes_of(tree, BUILTIN_FORMATS) or ["General"]
    except ValueError as error:
        raise FileDamaged(name=path.name, detail="xl/styles.xml") from error


def _codes_of(tree: ET.Element, builtin: dict[int, str]) -> list[str]:
    own: dict[int, str] = {}
    codes: list[str] = []
    for section in tree:
        if package.local_name(section.tag) == "numFmts":
            for facts in map(package.attributes, section):
                own[int(facts.get("numFmtId", "0"))] = facts.get("formatCode", "General")
        elif package.local_name(section.tag) == "cellXfs":
            ids = [int(package.attributes(style).get("numFmtId", "0")) for style in section]
            codes = [_code(number, own.get(number) or builtin.get(number, "General")) for number in ids]
    return codes


def _code(format_id: int, code: str) -> str:
    return "yyyy-mm-dd" if format_id in _LOCAL_DATE_IDS else code


class _ByOpenpyxl:
    """The same answers from openpyxl, which knows every legal shape of a sheet."""

    def __init__(self, path: Path, sheet: str) -> None:
        self._path = path
        self._sheet = sheet
        self._file: BinaryIO | None = None
        self._book: Any = None
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._line = 0
        self._cells: tuple[Any, ...] = ()

    def at(self, line: int, column: int) -> str:
        try:
            if self._book is None or line < self._line:
                self._open()
            while self._line < line:
                self._cells = next(self._rows, ())
                self._line += 1
        except Exception as error:  # openpyxl has no error of its own for a workbook it cannot read
            raise FileDamaged(name=self._path.name, detail=type(error).__name__) from error
        cell = self._cells[column] if column < len(self._cells) else None
        style = getattr(cell, "style_array", None)
        if cell is None or style is None:
            return "General"
        return _code(style.numFmtId, str(cell.number_format))

    def close(self) -> None:
        if self._book is not None:
            self._book.close()
            self._book = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        import openpyxl  # only when it is needed: start-up time

        self.close()
        self._file = self._path.open("rb")  # by a path, openpyxl would believe the name
        self._book = openpyxl.load_workbook(self._file, read_only=True, keep_links=False)
        sheet = self._book[self._sheet]
        sheet.reset_dimensions()  # a wrong <dimension> would hide rows
        self._rows = sheet.iter_rows()
        self._line = 0
