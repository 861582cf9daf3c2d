"""Number cells in a key column: what they stand for, or why they cannot be trusted.

Excel keeps 15 significant digits and drops leading zeros, so a number cell is never simply a key. Its number format
tells: all zeros (`000000`) means the zeros can be rebuilt; a plain format means the digits are what is stored;
anything else (dates, money, thousands, exponents) shows the supplier something that is not stored.

`NumberFormats` reads formats with openpyxl, which is ten times slower than the bulk reader; it is only started
when a key column really has a number cell, and stops at the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

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
    """Number formats of single cells of one sheet. Ask in ascending line order; going back starts over."""

    def __init__(self, path: Path, sheet: str) -> None:
        self._path = path
        self._sheet = sheet
        self._book: Any = None
        self._file: BinaryIO | None = None
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._codes: dict[int, str] = {}
        self._line = 0
        self._cells: tuple[Any, ...] = ()

    def at(self, line: int, column: int) -> str:
        """The number format of a cell, by line (from 1) and column (from 0)."""
        if self._book is None or line < self._line:
            self._open()
        while self._line < line:
            self._cells = next(self._rows, ())
            self._line += 1
        cell = self._cells[column] if column < len(self._cells) else None
        style = getattr(cell, "style_array", None)
        if cell is None or style is None:
            return "General"
        format_id = style.numFmtId
        if format_id not in self._codes:
            self._codes[format_id] = "yyyy-mm-dd" if format_id in _LOCAL_DATE_IDS else str(cell.number_format)
        return self._codes[format_id]

    def close(self) -> None:
        """Let go of the file."""
        if self._book is not None:
            self._book.close()
            self._book = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        import openpyxl  # only when a number cell was met: start-up time

        self.close()
        self._file = self._path.open("rb")  # by a path, openpyxl would believe the name
        self._book = openpyxl.load_workbook(self._file, read_only=True, keep_links=False)
        sheet = self._book[self._sheet]
        sheet.reset_dimensions()  # a wrong <dimension> would hide rows
        self._rows = sheet.iter_rows()
        self._line = 0
