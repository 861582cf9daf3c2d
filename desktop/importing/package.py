"""What is inside an .xlsx, looked at before any reader may open it.

Guarantees, for a file that passes `scan`: every XML part really inflates to a bounded size at a bounded ratio (the
declared sizes are not believed), no part has a DOCTYPE (so no entities), and the used range of each sheet is small
enough to be held. Along the way it notes what the fast reader does not report: hidden rows, formula cells, error
cells. One pass over the bytes, about a third of the fast reader's own time.

A sheet written in the usual shape is searched as bytes; any other legal XML goes through expat, slower and equal.
"""

from __future__ import annotations

import posixpath
import re
import struct
import zipfile
import zlib
from array import array
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree as ET
from xml.parsers import expat

from desktop.importing.sniff import FileDamaged
from shared.errors import BadInput

MAX_XML_BYTES = 2 * 1024**3
"""All XML parts together, inflated. A full sheet of a million rows and six columns is 0.5 GB."""
MAX_RATIO = 100
"""Inflated by compressed bytes of a part. Real sheets reach 10 to 30; spreadsheets made to explode, 1,000."""
RATIO_FREE_BYTES = 16 * 1024**2
"""A part below this size may have any ratio: it cannot hurt."""
MAX_PARTS = 10_000
MAX_SHEET_CELLS = 40_000_000
"""Rows times columns of the used range. The reader allocates all of it, also for two cells in far corners."""

_BLOCK = 1 << 20
_SMALL_PART = 8 * 1024**2


class FileExplodes(BadInput):
    """A zip bomb, or a workbook too large to hold."""

    code = "import.file_explodes"
    zh = "“{name}”解压后过大（{part}），已拒绝。请删除多余的工作表和列，或拆成几个文件。"
    en = "“{name}” inflates to far too much ({part}) and was refused. Remove other sheets and columns, or split it."


class FileWithDoctype(BadInput):
    """XML with a document type: Excel never writes one, attackers do."""

    code = "import.file_with_doctype"
    zh = "“{name}”含有不允许的 XML 定义（DOCTYPE），已拒绝。请在 Excel 中另存后再导入。"
    en = "“{name}” contains a forbidden XML definition (DOCTYPE) and was refused. Save it again in Excel."


class SheetTooWide(BadInput):
    """Two cells in far corners make a range that no reader can hold."""

    code = "import.sheet_too_wide"
    zh = "工作表“{sheet}”的数据范围达到 {rows} 行 {columns} 列，无法读取。请删除远处多余的单元格后另存。"
    en = "Sheet “{sheet}” spans {rows} rows by {columns} columns, too many to read. Delete the far cells and save."


@dataclass(slots=True)
class SheetFacts:
    """What the fast reader does not report about one sheet. Lines count from 1, columns from 0."""

    name: str
    part: str
    hidden: bool = False
    has_cells: bool = False
    hidden_rows: array[int] = field(default_factory=lambda: array("I"))
    formulas: dict[int, array[int]] = field(default_factory=dict)
    errors: dict[int, array[int]] = field(default_factory=dict)
    last_row: int = 0
    last_column: int = 0
    """The far corner, counted from 1: an upper bound where the range could be huge, else 0."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One zip entry's facts, as the central directory has them."""

    name: str
    offset: int
    compressed: int
    declared: int
    method: int


class _Unusual(Exception):
    """The sheet is legal XML in another shape than the byte search knows."""


def scan(path: Path, step: Callable[[float], None] = lambda _: None) -> list[SheetFacts]:
    """Check the whole package and return the facts of its worksheets, in workbook order.

    `step` is called with the done fraction after each block; it may raise to stop. Raises a `BadInput`.
    """
    with path.open("rb") as file:
        parts = _parts(path, file)
        compressed = sum(part.compressed for part in parts.values()) or 1
        budget = _Budget(path.name, compressed, step)
        sheets = _sheet_parts(path.name, file, parts, budget)
        for part in parts.values():
            if part.name in sheets:
                _scan_sheet(file, part, sheets[part.name], budget)
            elif part.name not in budget.seen:
                for _ in _inflate(file, part, budget):
                    pass
    for facts in sheets.values():
        if facts.last_column * facts.last_row > MAX_SHEET_CELLS:
            raise SheetTooWide(sheet=facts.name, rows=facts.last_row, columns=facts.last_column)
    return list(sheets.values())


def blocks(path: Path, part: str) -> Generator[bytes, None, None]:
    """One part of a package that passed `scan`, in blocks of at most 1 MiB. Nothing when there is no such part."""
    with path.open("rb") as file:
        found = _parts(path, file).get(part)
        if found is not None:
            yield from _inflate(file, found, _Budget(path.name, found.compressed or 1, lambda _: None))


class _Budget:
    """Counts what was inflated over all parts and refuses before it is too much."""

    def __init__(self, name: str, compressed_bytes: int, step: Callable[[float], None]) -> None:
        self.name = name
        self.seen: set[str] = set()
        self._compressed_bytes = compressed_bytes
        self._consumed = 0
        self._inflated = 0
        self._step = step

    def take(self, part: _Part, *, consumed: int, part_consumed: int, inflated: int, part_inflated: int) -> None:
        """Note one more block of a part. Raises `FileExplodes`, or whatever `step` raises."""
        self._consumed += consumed
        self._inflated += inflated
        too_dense = part_inflated > RATIO_FREE_BYTES and part_inflated > MAX_RATIO * part_consumed
        if too_dense or self._inflated > MAX_XML_BYTES:
            raise FileExplodes(name=self.name, part=part.name)
        self._step(min(1.0, self._consumed / self._compressed_bytes))


def _parts(path: Path, file: BinaryIO) -> dict[str, _Part]:
    """The XML parts that a reader may open. Pictures and other binaries are never touched."""
    try:
        entries = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise FileDamaged(name=path.name, detail="zip") from error
    if len(entries) > MAX_PARTS:
        raise FileExplodes(name=path.name, part=f"{len(entries)} parts")
    parts: dict[str, _Part] = {}
    for entry in entries:
        if not entry.filename.lower().endswith((".xml", ".rels")):
            continue
        if entry.filename in parts:
            raise FileDamaged(name=path.name, detail=entry.filename)  # two readers might choose differently
        parts[entry.filename] = _Part(
            entry.filename, entry.header_offset, entry.compress_size, entry.file_size, entry.compress_type
        )
    return parts


def _inflate(file: BinaryIO, part: _Part, budget: _Budget) -> Iterator[bytes]:
    """The content of a part in blocks of at most 1 MiB, its true size held against the limits and the directory."""
    damaged = FileDamaged(name=budget.name, detail=part.name)
    file.seek(part.offset)
    header = file.read(30)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04") or part.method not in {0, 8}:
        raise damaged
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    file.seek(name_bytes + extra_bytes, 1)
    position = file.tell()
    budget.seen.add(part.name)
    engine = zlib.decompressobj(-15) if part.method == 8 else None
    left, consumed, inflated, waiting = part.compressed, 0, 0, b""
    while left or waiting:
        file.seek(position)
        fresh = file.read(min(left, _BLOCK)) if not waiting else b""
        if not waiting and not fresh:
            raise damaged
        position += len(fresh)
        left -= len(fresh)
        try:
            block = engine.decompress(waiting or fresh, _BLOCK) if engine else fresh
        except zlib.error as error:
            raise damaged from error
        waiting = engine.unconsumed_tail if engine else b""
        consumed += len(fresh)
        inflated += len(block)
        budget.take(part, consumed=len(fresh), part_consumed=consumed, inflated=len(block), part_inflated=inflated)
        if inflated == len(block) and block:
            _check_prolog(budget.name, part.name, block)
        if block:
            yield block
        if engine and engine.eof:
            break
    if inflated != part.declared or (engine and not engine.eof):
        raise damaged


# The XML declaration, comments and white space before the root element. Possessive: hostile input stays linear.
_PROLOG = re.compile(rb"(?:\xef\xbb\xbf)?+(?:\s++|<\?.*?\?>|<!--.*?-->)*+", re.DOTALL)


def _check_prolog(name: str, part: str, block: bytes) -> None:
    prolog = _PROLOG.match(block)
    rest = block[prolog.end() : prolog.end() + 16] if prolog else b""
    if rest[:2] == b"<!":
        raise FileWithDoctype(name=name)
    if not re.match(rb"<[A-Za-z_]", rest):
        raise FileDamaged(name=name, detail=part)  # UTF-16 XML, or no XML at all


def _read_small(file: BinaryIO, part: _Part, budget: _Budget) -> ET.Element:
    return parse_small(_inflate(file, part, budget), name=budget.name, part=part.name)


def parse_small(content: Iterator[bytes], *, name: str, part: str) -> ET.Element:
    """The tree of a part of at most 8 MiB that came through `_inflate`."""
    pieces: list[bytes] = []
    for block in content:
        pieces.append(block)
        if sum(map(len, pieces)) > _SMALL_PART:
            raise FileExplodes(name=name, part=part)
    try:
        return ET.fromstring(b"".join(pieces))  # noqa: S314 - no DOCTYPE, so no entities: checked by _inflate
    except ET.ParseError as error:
        raise FileDamaged(name=name, detail=part) from error


def local_name(name: str) -> str:
    """A tag or attribute without its namespace, whichever of the two standards it is of."""
    return name.rpartition("}")[2].rpartition(":")[2]


def attributes(element: ET.Element) -> dict[str, str]:
    """The attributes of an element by their names without namespace."""
    return {local_name(name): value for name, value in element.attrib.items()}


def _sheet_parts(name: str, file: BinaryIO, parts: dict[str, _Part], budget: _Budget) -> dict[str, SheetFacts]:
    """Part name of each worksheet, in workbook order."""
    workbook = parts.get("xl/workbook.xml")
    relations = parts.get("xl/_rels/workbook.xml.rels")
    if workbook is None or relations is None:
        raise FileDamaged(name=name, detail="workbook.xml")
    targets = {
        facts.get("Id", ""): posixpath.normpath(posixpath.join("/xl", facts.get("Target", ""))).lstrip("/")
        for facts in map(attributes, _read_small(file, relations, budget))
        if facts.get("Type", "").endswith("/worksheet")
    }
    found: dict[str, SheetFacts] = {}
    for element in _read_small(file, workbook, budget).iter():
        if local_name(element.tag) != "sheet":
            continue
        facts = attributes(element)
        part = targets.get(facts.get("id", ""))
        if part is not None and part in parts:
            found[part] = SheetFacts(
                facts.get("name", ""), part, hidden=facts.get("state", "visible") in {"hidden", "veryHidden"}
            )
    return found


def _scan_sheet(file: BinaryIO, part: _Part, facts: SheetFacts, budget: _Budget) -> None:
    """Fill `facts`; the exact and slow way when the quick one meets a shape it does not know."""
    try:
        quick = _ByteSearch(facts)
        for block in _inflate(file, part, budget):
            quick.feed(block)
        quick.finish()
    except _Unusual:
        facts.has_cells = False
        facts.hidden_rows, facts.formulas, facts.errors = array("I"), {}, {}
        exact = _TreeWalk(facts)
        try:
            for block in _inflate(file, part, budget):
                exact.feed(block)
        except (expat.ExpatError, ValueError) as error:
            raise FileDamaged(name=budget.name, detail=part.name) from error


_FORMULA = re.compile(rb"<f[ >/]")
_CELL_ADDRESS = re.compile(rb' r="([A-Z]{1,3})([1-9]\d{0,6})"')
_ROW_NUMBER = re.compile(rb' r="([1-9]\d{0,6})"')
_HIDDEN = re.compile(rb' hidden="(?:1|true)"')
# Columns beyond Z, or rows beyond Excel's last: the only ones that can make a small file a huge range.
_FAR = re.compile(rb' r="(?:[A-Z]{2,3}\d|[A-Z]?(?:10[5-9]|1[1-9]\d|[2-9]\d\d|\d{4})\d{4})')
_ANY_ADDRESS = re.compile(rb' r="([A-Z]{0,3})(\d+)"')


class _ByteSearch:
    """Finds the few interesting tags of a sheet with substring searches. Raises `_Unusual` when it cannot."""

    def __init__(self, facts: SheetFacts) -> None:
        self._facts = facts
        self._carry = b""
        self._started = False
        self._unmeasured = False

    def feed(self, block: bytes) -> None:
        """Search up to the last row or cell that starts in what came so far; the rest waits for more."""
        data = self._carry + block
        if not self._started:
            self._check_shape(data)
        cut = max(data.rfind(b"<c "), data.rfind(b"<row"), 0)
        self._search(data, cut)
        self._carry = data[cut:]
        if len(self._carry) > 8 * _BLOCK:
            raise _Unusual

    def finish(self) -> None:
        """Search the rest."""
        self._search(self._carry, len(self._carry))

    def _check_shape(self, data: bytes) -> None:
        head = data[: 1 << 16]
        prefixed = b"<sheetData" not in head
        if prefixed or b"='" in head or (b"<c " in head and b'<c r="' not in head):
            raise _Unusual
        self._started = True

    def _search(self, data: bytes, end: int) -> None:
        facts = self._facts
        if not facts.has_cells:
            facts.has_cells = data.find(b"<c ", 0, end) >= 0
        for match in _FORMULA.finditer(data, 0, end):
            self._note(facts.formulas, data, data.rfind(b"<c", 0, match.start()), match.start())
        at = data.find(b't="e"', 0, end)
        while at >= 0:
            start = data.rfind(b"<", 0, at)
            if data.startswith(b"<c ", start):
                self._note(facts.errors, data, start, data.find(b">", at))
            at = data.find(b't="e"', at + 5, end)
        at = data.find(b"hidden=", 0, end)
        while at >= 0:
            start = data.rfind(b"<", 0, at)
            tag = data[start : data.find(b">", at)]
            if tag.startswith(b"<row") and _HIDDEN.search(tag):
                row = _ROW_NUMBER.search(tag)
                if row is None:
                    raise _Unusual
                facts.hidden_rows.append(int(row[1]))
            at = data.find(b"hidden=", at + 7, end)
        if facts.last_column or _FAR.search(data, 0, end):
            self._measure(data, end)
        else:
            self._unmeasured = True

    def _note(self, where: dict[int, array[int]], data: bytes, start: int, end: int) -> None:
        address = _CELL_ADDRESS.search(data, max(start, 0), end)
        if start < 0 or address is None:
            raise _Unusual
        where.setdefault(column_index(address[1].decode()), array("I")).append(int(address[2]))

    def _measure(self, data: bytes, end: int) -> None:
        """The exact corner of the range; only worth its time where a far cell was seen."""
        facts = self._facts
        for letters, digits in set(_ANY_ADDRESS.findall(data, 0, end)):
            facts.last_row = max(facts.last_row, int(digits[:10]))
            if letters:
                facts.last_column = max(facts.last_column, column_index(letters.decode()) + 1)
        if self._unmeasured:  # what came before stayed within column Z, its rows are not known
            if facts.last_column > 26:
                raise _Unusual
            facts.last_column = 26


class _TreeWalk:
    """The same facts by a real XML parser, for sheets with prefixes, single quotes or cells without addresses."""

    def __init__(self, facts: SheetFacts) -> None:
        self._facts = facts
        self._row = 0
        self._column = -1
        self._in_cell = False
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self.feed = self._parser.Parse

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        facts = self._facts
        name = tag.rpartition(":")[2]
        if name == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._column = -1
            if attributes.get("hidden") in {"1", "true"}:
                facts.hidden_rows.append(self._row)
        elif name == "c":
            letters, row = split_address(attributes.get("r", ""))
            self._column = column_index(letters) if letters else self._column + 1
            self._row = row or self._row
            self._in_cell = facts.has_cells = True
            facts.last_row = max(facts.last_row, self._row)
            facts.last_column = max(facts.last_column, self._column + 1)
            if attributes.get("t") == "e":
                facts.errors.setdefault(self._column, array("I")).append(self._row)
        elif name == "f" and self._in_cell:
            facts.formulas.setdefault(self._column, array("I")).append(self._row)

    def _end(self, tag: str) -> None:
        if tag.rpartition(":")[2] == "c":
            self._in_cell = False


def column_index(letters: str) -> int:
    """`A` is 0, `Z` 25, `AA` 26."""
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1


def column_letters(index: int) -> str:
    """The opposite of `column_index`."""
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def split_address(address: str) -> tuple[str, int]:
    """`B12` is (`B`, 12); (empty, 0) for anything else."""
    match = re.fullmatch(r"([A-Z]{1,3})([1-9]\d{0,6})", address)
    return (match[1], int(match[2])) if match else ("", 0)
