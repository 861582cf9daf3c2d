"""A streaming reader of .xlsx: the rows of a sheet as they stand in its XML, in bounded memory, whoever made the file.

Files of others come here, and a reader that lays sheets out as tables dies of two cells in far corners. What is held is
a row, however large the file says it is; shared texts wait on the disk. `importing.package` inflates, and refuses what
explodes or declares entities. Cells are texts and numbers as they are written; what a number means its reader knows.
"""

from __future__ import annotations

import mmap
import re
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from math import isfinite
from pathlib import Path
from posixpath import join, normpath
from tempfile import TemporaryFile
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar
from xml.etree import ElementTree as ET
from xml.parsers import expat

from desktop.exporting.sheet_writer import SHEET_ROWS
from desktop.importing import package
from desktop.importing.numbers import style_codes
from shared.errors import KamengError

_STANDARDS = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
_TAGS = {
    f"{uri}}}{tag}": tag for uri in _STANDARDS for tag in ("sheetData", "row", "c", "f", "v", "t", "rPh", "si", "sst")
}
_NAMES = [package.column_letters(n) for n in range(16_384)]
_COLUMNS = {name: n for n, name in enumerate(_NAMES)}
_SLICE = 1 << 16
_MOST_AT_ONCE = 1 << 20
"""Bytes of one tag, or characters of one text: a cell holds 32,767, each of which may be written as `_x0041_`."""
_MOST_SHARED = 20_000_000
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


class Damaged(Exception):
    """What is in the file is no workbook, or one that could not be held."""


class Odd(NamedTuple):
    """What a cell says that holds neither a text nor a number: an error, or what a formula came to."""

    said: str


Value = str | float | bool | datetime | Odd


class Row(NamedTuple):
    """A row that says anything: its number, its cells up to a width ("" where nothing is said), and those beyond."""

    number: int
    values: list[Value]
    beside: list[Value]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a small sheet. `is_time`: its number is shown as a time."""

    place: str
    column: int
    value: Value
    is_time: bool
    is_formula: bool


class Workbook:
    """A workbook at `path`; use as a context manager. Raises Damaged, here and while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = ExitStack()
        try:
            self._parts = _sheets(path)
        except (KamengError, OSError) as error:
            raise Damaged(path.name) from error

    @property
    def names(self) -> list[str]:
        """The names of its sheets, in their order."""
        return list(self._parts)

    def rows(self, sheet: str, width: int) -> Iterator[Row]:
        """The rows that say anything, one after the other; at least `width` cells each, formulas as `Odd`."""
        for number, cells in self._read(sheet):
            values: list[Value] = [""] * width
            beside: list[Value] = []
            for column, kind, said, _style, has_formula in cells:
                value = self._value(kind, said) if not has_formula else Odd(f"={said}")
                if column < width:
                    values[column] = value
                elif value != "":
                    beside.append(value)
            if beside or any(value != "" for value in values):
                yield Row(number, values, beside)

    def cells(self, sheet: str) -> Iterator[tuple[int, list[Cell]]]:
        """The rows with all that is known of their cells."""
        for number, cells in self._read(sheet):
            yield (
                number,
                [
                    Cell(
                        f"{_NAMES[column]}{number}",
                        column,
                        self._value(kind, said),
                        style in self._time_styles,
                        has_formula,
                    )
                    for column, kind, said, style, has_formula in cells
                ],
            )

    def __enter__(self) -> Workbook:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left.__exit__(kind, error, at)

    def _read(self, sheet: str) -> Iterator[tuple[int, list[_Said]]]:
        return _parsed(self._path, self._parts[sheet], _RowHandlers())

    def _value(self, kind: str, said: str) -> Value:
        if kind == "s":
            return self._shared[_index(said)]
        if not said:
            return ""
        return _VALUES.get(kind, _number)(said)

    @cached_property
    def _shared(self) -> _SharedTexts:
        return self._left.enter_context(_SharedTexts(_parsed(self._path, "xl/sharedStrings.xml", _TextHandlers())))

    @cached_property
    def _time_styles(self) -> frozenset[str]:
        from openpyxl.styles.numbers import is_date_format

        try:
            codes = style_codes(self._path)
        except KamengError as error:
            raise Damaged(self._path.name) from error
        return frozenset(str(n) for n, code in enumerate(codes) if is_date_format(code))


class _SharedTexts:
    """The workbook's shared texts by their numbers, in a file of their own on the disk."""

    def __init__(self, texts: Iterator[str]) -> None:
        self._ends = array("Q", (0,))
        with TemporaryFile() as file:
            end = 0
            for text in texts:
                end += file.write(text.encode("utf-8", "replace"))
                self._ends.append(end)
                if len(self._ends) > _MOST_SHARED:
                    raise Damaged("shared texts")
            file.flush()
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if end else None

    def __getitem__(self, n: int) -> str:
        if not 0 <= n < len(self._ends) - 1:
            raise Damaged(f"shared text {n}")
        return "" if self._file is None else self._file[self._ends[n] : self._ends[n + 1]].decode()

    def __enter__(self) -> _SharedTexts:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()


# --- values -------------------------------------------------------------------------------------------------------


def _number(said: str) -> Value:
    try:
        value = float(said)
    except ValueError:
        return Odd(said)
    return value if isfinite(value) and "_" not in said else Odd(said)


def _text(said: str) -> str:
    if "_x" not in said:
        return said
    return (
        _ESCAPED.sub(lambda found: chr(int(found[1], 16)), said)
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
    )


def _time(said: str) -> Value:
    try:
        return datetime.fromisoformat(said).replace(tzinfo=None)
    except ValueError:
        return Odd(said)


def _index(said: str) -> int:
    return int(said) if said.isdecimal() and len(said) < 10 else -1


_VALUES: dict[str, Callable[[str], Value]] = {
    "inlineStr": _text,
    "str": _text,
    "b": lambda said: said == "1",
    "e": Odd,
    "d": _time,
}
"""What the types of cells say; the others are numbers."""


# --- the XML ------------------------------------------------------------------------------------------------------

_Said = tuple[int, str, str, str, bool]
"""A cell as it is written: its column, type, content and style, and whether it has a formula."""
T = TypeVar("T")


class _Handlers(Generic[T]):
    """What is done at tags; `done` is taken away after every slice. The texts of `v` and `t` are gathered here."""

    def __init__(self) -> None:
        self.done: list[T] = []
        self.is_over = False
        self.pieces: list[str] = []
        self._is_phonetic = False
        self._parser = parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def parse(self, data: bytes) -> None:
        """Read on. Raises Damaged and ExpatError."""
        self._parser.Parse(data, False)

    @property
    def read(self) -> int:
        """Bytes of what was read whole: a tag that does not end is waited for."""
        at: int = self._parser.CurrentByteIndex
        return at

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = _TAGS.get(name)
        if tag == "rPh":  # how the text before it is pronounced
            self._is_phonetic = True
        elif tag == "v" or (tag == "t" and not self._is_phonetic):
            self._parser.CharacterDataHandler = self.pieces.append
        elif tag is not None:
            self._begin(tag, attributes)

    def _end(self, name: str) -> None:
        tag = _TAGS.get(name)
        if tag in {"v", "t"}:
            self._parser.CharacterDataHandler = None
        elif tag == "rPh":
            self._is_phonetic = False
        elif tag is not None:
            self._finish(tag)

    def _begin(self, _tag: str, _attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def _finish(self, _tag: str) -> None:
        raise NotImplementedError


class _TextHandlers(_Handlers[str]):
    """Shared texts."""

    def _begin(self, _tag: str, _attributes: dict[str, str]) -> None:
        self.pieces.clear()

    def _finish(self, tag: str) -> None:
        if tag == "si":
            self.done.append(_text("".join(self.pieces)))
        elif tag == "sst":
            self.is_over = True


class _RowHandlers(_Handlers[tuple[int, list[_Said]]]):
    """The rows of a sheet; what comes after them is not read."""

    def __init__(self) -> None:
        super().__init__()
        self._has_begun = False
        self._row = 0
        self._digits = "0"
        self._column = -1
        self._kind = self._style = ""
        self._has_formula = False
        self._cells: list[_Said] = []

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "c":
            self._column = self._column_of(attributes.get("r"))
            self._kind = attributes.get("t", "n")
            self._style = attributes.get("s", "0")
            self._has_formula = False
            self.pieces.clear()
        elif tag == "f":
            self._has_formula = True
        elif tag == "row":
            number = _index(attributes["r"]) if "r" in attributes else self._row + 1
            if not self._row < number <= SHEET_ROWS or not self._has_begun or self.is_over:
                raise Damaged(f"row {number}")
            self._row, self._digits, self._column, self._cells = number, str(number), -1, []
        elif tag == "sheetData":
            self._has_begun = True

    def _finish(self, tag: str) -> None:
        if tag == "c":
            said = "".join(self.pieces)
            self._cells.append((self._column, self._kind, said, self._style, self._has_formula))
        elif tag == "row":
            self.done.append((self._row, self._cells))
        elif tag == "sheetData":
            self.is_over = True

    def _column_of(self, place: str | None) -> int:
        column = self._column + 1  # mostly the next one
        if place is not None and (column >= len(_NAMES) or place != _NAMES[column] + self._digits):
            name = place.rstrip("0123456789")
            column = _COLUMNS.get(name, -1) if place[len(name) :] == self._digits else -1
        if not self._column < column < len(_NAMES):
            raise Damaged(f"cell {place}")
        return column


def _parsed(path: Path, part: str, handlers: _Handlers[T]) -> Iterator[T]:
    fed = 0
    try:
        with closing(package.blocks(path, part)) as blocks:
            for block in blocks:
                for at in range(0, len(block), _SLICE):
                    handlers.parse(block[at : at + _SLICE])
                    fed += len(block[at : at + _SLICE])
                    if fed - handlers.read > _MOST_AT_ONCE or sum(map(len, handlers.pieces)) > _MOST_AT_ONCE:
                        raise Damaged(part)
                    yield from handlers.done
                    handlers.done.clear()
                    if handlers.is_over:
                        return
    except (KamengError, OSError, expat.ExpatError) as error:
        raise Damaged(part) from error
    raise Damaged(part)


def _sheets(path: Path) -> dict[str, str]:
    """The part of each sheet by its name, in their order. Raises Damaged and what `package` raises."""
    relations = _small(path, "xl/_rels/workbook.xml.rels")
    parts = {
        facts.get("Id", ""): normpath(join("/xl", facts.get("Target", ""))).lstrip("/")
        for facts in map(package.attributes, relations)
    }
    found: dict[str, str] = {}
    for element in _small(path, "xl/workbook.xml").iter():
        if package.local_name(element.tag) == "sheet":
            facts = package.attributes(element)
            name = facts.get("name", "")
            if name in found:
                raise Damaged(name)
            found[name] = parts.get(facts.get("id", ""), "")
    return found


def _small(path: Path, part: str) -> ET.Element:
    with closing(package.blocks(path, part)) as blocks:
        return package.parse_small(blocks, name=path.name, part=part)
