"""Whether a workbook of ours is as it was written, and where it is not.

The rows are read and hashed again by what their sheet's proof says of it, so that a file that Excel, WPS or
LibreOffice saved unchanged is unchanged, while a changed, added, removed or moved cell is found and its first row is
named. Sums are added up anew; what stands in a formula's cell is not believed. A person who changes a file and
all its hashes is found by comparing the hash with what the server kept. Nothing is written, no network.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

from desktop.exporting import cells
from desktop.exporting.cells import FORMS, Kind
from desktop.exporting.findings import Finding, Found
from desktop.exporting.grid import BLOCK_ROWS, row_checks
from desktop.exporting.proof import MOMENT, NUMBER, PROOF, PROOF_VERSION, TEXT, cover_line, seal_of
from desktop.exporting.sheet_reader import Cell, Damaged, Row, Value, Workbook
from desktop.importing.sniff import FileMissing
from shared.errors import BadInput

_OF_ANOTHER_KIND = "\\#"
"""Before a value that is not of its column's kind; no text of ours begins so, its backslash would be doubled."""
_EMPTY_LINE = cover_line([])
_PROOF_WIDTH = 64
_MOST_PROOF, _ROW_COSTS = 256 * 1024 * 1024, 100
"""Bytes that a proof may take when it is held, and what a row takes beside its characters."""


class NotReadable(BadInput):
    """The file is no workbook, or an encrypted one."""

    code = "verify.not_readable"
    zh = "无法读取“{file}”：它不是 .xlsx 文件，或者已加密、已损坏。"
    en = "“{file}” cannot be read: it is no .xlsx file, or it is encrypted or damaged."


class NotOurs(BadInput):
    """The file has no proof of ours."""

    code = "verify.not_ours"
    zh = "“{file}”不是卡盟导出的对账文件，或者它的“校验”表已被删除，无法核验。"
    en = (
        "“{file}” is not a workbook exported by Kameng, or its sheet “Verification” was removed: it cannot be verified."
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: nothing when the file is as it was written. `sha256` is of all its data rows, as printed.

    `made_on` is the day on which it was exported, None of a file of an earlier version.
    """

    file: str
    day: date
    rows: int
    sha256: str
    findings: tuple[Finding, ...]
    made_on: date | None = None

    @property
    def unchanged(self) -> bool:
        """Whether the file is as it was written."""
        return not self.findings


def verify(path: Path) -> Verdict:
    """Read the workbook at `path` again. Raises FileMissing, NotReadable and NotOurs."""
    if not path.exists():
        raise FileMissing(name=path.name)
    try:
        with Workbook(path) as book:
            return _Reading(path, book).verdict()
    except (Damaged, OSError) as error:
        raise NotReadable(file=path.name) from error
    except (ValueError, LookupError) as error:  # a proof that says what ours never says
        raise NotOurs(file=path.name) from error


@dataclass(frozen=True, slots=True)
class _SheetProof:
    """What the proof says of a detail sheet."""

    name: str
    page: str
    kinds: tuple[Kind, ...]
    rows: int
    sha256: str
    headings: tuple[str, ...]
    checks: str


@dataclass(slots=True)
class _Total:
    """A total as it was when the file was written, and what the rows add up to now."""

    title: str
    page: str
    column: int
    when: int | None
    written: int
    kind: Kind
    read: int = 0


class _Reading:
    """A workbook while it is verified."""

    def __init__(self, path: Path, book: Workbook) -> None:
        self._path = path
        self._book = book
        self._findings: list[Finding] = []
        self._proof = next((name for name in PROOF if name in book.names), "")
        rows = self._told_rows() if self._proof else []
        if not rows or rows[0][:1] != [PROOF_VERSION]:
            raise NotOurs(file=path.name)
        self._day = date.fromisoformat(rows[0][2])
        self._made_on = date.fromisoformat(rows[0][3]) if len(rows[0]) > 3 else None
        self._sealed = rows[-1] == ["seal", seal_of(rows[:-1])]
        self._told = rows

    def verdict(self) -> Verdict:
        """Compare everything that the proof tells."""
        if not self._sealed:
            self._find(Found.PROOF, self._proof)
            return self._verdict(0, "")
        [(_, cover, cover_sha256, formulas)] = [row for row in self._told if row[0] == "cover"]
        sheets = {row[1]: self._sheet_proof(row) for row in self._told if row[0] == "sheet"}
        kinds = {sheet.page: sheet.kinds for sheet in sheets.values()}
        totals = [
            _Total(title, page, int(column), int(when) if when else None, int(written), kinds[page][int(column)])
            for _, title, page, column, when, written in (row for row in self._told if row[0] == "total")
        ]
        self._check_cover(cover, cover_sha256, formulas.split())
        for sheet in sheets.values():
            if self._is_there(sheet.name):
                self._check_sheet(sheet, [total for total in totals if total.page == sheet.page])
        for total in totals:
            if total.read != total.written:
                shown = [cells.decimal(value, FORMS[total.kind].units) for value in (total.written, total.read)]
                self._find(Found.TOTAL, cover, what=total.title, written=shown[0], read=shown[1])
        for name in self._book.names:
            if name not in {cover, self._proof, *sheets}:
                self._find(Found.SHEET_ADDED, name)
        listed = "".join(f"{sheet.name}\t{sheet.sha256}\n" for sheet in sheets.values())
        rows = sum(sheet.rows for sheet in sheets.values())
        return self._verdict(rows, hashlib.sha256(listed.encode()).hexdigest())

    # --- the parts --------------------------------------------------------------------------------------------

    def _told_rows(self) -> list[list[str]]:
        """The rows of the proof, which is held whole: a proof of ours is that of many millions of rows."""
        rows, room = [], _MOST_PROOF
        for _number, values, beside in self._book.rows(self._proof, _PROOF_WIDTH):
            rows.append(_stripped([*values, *beside]))
            room -= _ROW_COSTS + sum(map(len, rows[-1]))
            if room < 0:
                raise NotOurs(file=self._path.name)
        return rows

    def _check_cover(self, name: str, sha256: str, formulas: Sequence[str]) -> None:
        if not self._is_there(name):
            return
        digest, there, last = hashlib.sha256(), set(), 0
        for number, found in self._book.cells(name):
            printed = [""] * (found[-1].column + 1 if found else 0)
            for cell in found:
                if cell.is_formula:
                    there.add(cell.place)
                if cell.place not in formulas:
                    printed[cell.column] = "=" if cell.is_formula else _printed(cell)
            line = cover_line(printed)
            if line != _EMPTY_LINE:
                digest.update(_EMPTY_LINE * (number - last - 1) + line)
                last = number
        if digest.hexdigest() != sha256:
            self._find(Found.COVER, name)
        for place in formulas:
            if place not in there:
                self._find(Found.FORMULA, name, what=place)

    def _check_sheet(self, proof: _SheetProof, totals: Sequence[_Total]) -> None:
        rows = _without_gaps(self._book.rows(proof.name, len(proof.kinds)), len(proof.kinds))
        heading = next(rows, None)
        if heading is None or tuple(_stripped([*heading.values, *heading.beside])) != proof.headings:
            self._find(Found.HEADING, proof.name)
        digest, checks, count = hashlib.sha256(), "", 0
        for lines in _lines(proof.kinds, rows, totals, self._day.isoformat()):
            digest.update(b"\n".join(lines) + b"\n")
            checks += row_checks(lines)
            count += len(lines)
        if digest.hexdigest() != proof.sha256:
            self._find_rows(proof, checks, count)

    def _find_rows(self, proof: _SheetProof, checks: str, count: int) -> None:
        before, now = _fours(proof.checks), _fours(checks)
        differing = [n for n, (one, other) in enumerate(zip(before, now, strict=False)) if one != other]
        first = differing[0] + 2 if differing else None
        if count != proof.rows:
            first = first or min(count, proof.rows) + 2
            found = Found.ROWS_ADDED if count > proof.rows else Found.ROWS_REMOVED
            self._find(found, proof.name, row=first, count=abs(count - proof.rows))
        elif differing and Counter(before) == Counter(now):
            self._find(Found.ROWS_MOVED, proof.name, row=first)
        else:
            self._find(Found.ROWS_CHANGED, proof.name, row=first, count=max(1, len(differing)))

    # --- small ones -------------------------------------------------------------------------------------------

    def _sheet_proof(self, row: Sequence[str]) -> _SheetProof:
        _, name, page, kinds, rows, sha256, *headings = row
        checks = "".join(told[3] for told in self._told if told[:2] == ["rows", name])
        return _SheetProof(name, page, tuple(map(Kind, kinds.split())), int(rows), sha256, tuple(headings), checks)

    def _is_there(self, name: str) -> bool:
        if name in self._book.names:
            return True
        self._find(Found.SHEET_MISSING, name)
        return False

    def _find(self, found: Found, sheet: str, **facts: Any) -> None:
        self._findings.append(Finding(found, sheet, **facts))

    def _verdict(self, rows: int, sha256: str) -> Verdict:
        return Verdict(self._path.name, self._day, rows, sha256, tuple(self._findings), self._made_on)


# --- cells as they are read ---------------------------------------------------------------------------------------


def _without_gaps(rows: Iterator[Row], width: int) -> Iterator[Row]:
    """The rows one after the other from the first; those at the end that were emptied or only formatted are none."""
    last = 0
    for row in rows:
        yield from repeat(Row(0, [""] * width, []), row.number - last - 1)
        yield row
        last = row.number


def _lines(kinds: Sequence[Kind], rows: Iterator[Row], totals: Iterable[_Total], day: str) -> Iterator[list[bytes]]:
    """The rows as they go into the hash, in blocks; the totals are added up on the way."""
    while block := list(islice(rows, BLOCK_ROWS)):
        columns = list(zip(*map(_values_of, block), strict=True))
        said = [_said(kind, column) for kind, column in zip(kinds, columns, strict=True)]
        for total in totals:
            times = said[total.when] if total.when is not None else None
            total.read += sum(
                round(value * FORMS[total.kind].units)
                for n, value in enumerate(columns[total.column])
                if _is_number(value) and (times is None or times[n].startswith(day))
            )
        lines = list(map("\t".join, zip(*said, strict=True)))
        for n, row in enumerate(block):
            if row.beside:  # somebody wrote beside the table
                lines[n] = "\t".join([lines[n], *map(str, row.beside)])
        yield [line.encode() for line in lines]


_values_of = itemgetter(1)


def _said(kind: Kind, values: Sequence[Value]) -> list[str]:
    """What cells of a kind say, as `cells.hashed`; a value of another kind is marked, so that it differs."""
    texts = [value for value in values if isinstance(value, str)] if kind in _TEXTS else []
    if len(texts) == len(values):
        return cells.hashed(kind, texts)
    read = _READ[kind]
    return ["" if value == "" else read(value) for value in values]


def _text(value: Value) -> str:
    return cells.hashed(Kind.TEXT, [value])[0] if isinstance(value, str) else f"{_OF_ANOTHER_KIND}{value}"


def _is_number(value: Value) -> bool:
    return type(value) is float


def _number(value: Value) -> str:
    if not isinstance(value, float):
        return f"{_OF_ANOTHER_KIND}{value}"
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2] if value else "0"
    return f"{Decimal(text):f}" if "e" in text else text


def _time(value: Value) -> str:
    if isinstance(value, datetime):
        return (value + timedelta(microseconds=500_000)).replace(microsecond=0).isoformat()
    if isinstance(value, float) and 0 <= value < cells.MOST_DAYS:
        return cells.wall_clock(value)
    return f"{_OF_ANOTHER_KIND}{value}"


def _day(value: Value) -> str:
    return _time(value).removesuffix("T00:00:00")


_TEXTS = frozenset({Kind.TEXT, Kind.WORD})
_READ: Mapping[Kind, Callable[[Value], str]] = {
    **dict.fromkeys(Kind, _number),
    **dict.fromkeys(_TEXTS, _text),
    Kind.TIME: _time,
    Kind.DAY: _day,
}


def _printed(cell: Cell) -> str:
    """A cell of the cover as it goes into its hash."""
    value = cell.value
    if value == "":
        return ""
    if isinstance(value, str):
        return TEXT + _text(value)
    if cell.is_time or isinstance(value, datetime):
        return MOMENT + _day(value)
    return NUMBER + _number(value)


def _stripped(row: Sequence[Value]) -> list[str]:
    texts = [str(value) for value in row]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def _fours(checks: str) -> array[int]:
    return array("H", bytes.fromhex(checks))
