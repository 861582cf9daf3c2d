"""Whether a workbook of ours is as it was written, and where it is not.

The rows are read and hashed again by what their sheet's proof says of it, so that a file that Excel, WPS or
LibreOffice saved unchanged is unchanged, while a changed, added, removed or moved cell is found and its first row is
named. Sums are added up anew; what stands in a formula's cell is not believed. A person who changes a file and
all its hashes is found by comparing the hash with what the server kept. Nothing is written, no network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from python_calamine import CalamineError, CalamineWorkbook

from desktop.exporting import cells
from desktop.exporting.cells import FORMS, Kind
from desktop.exporting.findings import Finding, Found
from desktop.exporting.formulas import formula_cells
from desktop.exporting.grid import BLOCK_ROWS, row_checks
from desktop.exporting.proof import MOMENT, NUMBER, PROOF, PROOF_VERSION, TEXT, cover_line, seal_of
from desktop.exporting.sheet_writer import letters
from shared.errors import BadInput

_DAY_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - workbooks know no time zones
_OF_ANOTHER_KIND = "\\#"
"""Before a value that is not of its column's kind; no text of ours begins so, its backslash would be doubled."""


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
    """What was found: nothing when the file is as it was written. `sha256` is of all its data rows, as printed."""

    file: str
    day: date
    rows: int
    sha256: str
    findings: tuple[Finding, ...]

    @property
    def unchanged(self) -> bool:
        """Whether the file is as it was written."""
        return not self.findings


def verify(path: Path) -> Verdict:
    """Read the workbook at `path` again. Raises NotReadable and NotOurs."""
    try:
        with CalamineWorkbook.from_path(path) as book:
            return _Reading(path, book).verdict()
    except (CalamineError, OSError, BadZipFile) as error:
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

    def __init__(self, path: Path, book: CalamineWorkbook) -> None:
        self._path = path
        self._book = book
        self._findings: list[Finding] = []
        self._proof = next((name for name in PROOF if name in book.sheet_names), "")
        rows = [_stripped(row) for row in self._rows(self._proof)] if self._proof else []
        if not rows or rows[0][:1] != [PROOF_VERSION]:
            raise NotOurs(file=path.name)
        self._day = date.fromisoformat(rows[0][2])
        self._sealed = rows[-1] == ["seal", seal_of(rows[:-1])]
        self._told = rows

    def verdict(self) -> Verdict:
        """Compare everything that the proof tells."""
        if not self._sealed:
            self._find(Found.PROOF, self._proof)
            return self._verdict(0, "")
        [(_, cover, cover_sha256, formulas)] = [row for row in self._told if row[0] == "cover"]
        sheets = [self._sheet_proof(row) for row in self._told if row[0] == "sheet"]
        kinds = {sheet.page: sheet.kinds for sheet in sheets}
        totals = [
            _Total(title, page, int(column), int(when) if when else None, int(written), kinds[page][int(column)])
            for _, title, page, column, when, written in (row for row in self._told if row[0] == "total")
        ]
        self._check_cover(cover, cover_sha256, formulas.split())
        for sheet in sheets:
            if self._is_there(sheet.name):
                self._check_sheet(sheet, [total for total in totals if total.page == sheet.page])
        for total in totals:
            if total.read != total.written:
                shown = [cells.decimal(value, FORMS[total.kind].units) for value in (total.written, total.read)]
                self._find(Found.TOTAL, cover, what=total.title, written=shown[0], read=shown[1])
        for name in self._book.sheet_names:
            if name not in {cover, self._proof, *(sheet.name for sheet in sheets)}:
                self._find(Found.SHEET_ADDED, name)
        listed = "".join(f"{sheet.name}\t{sheet.sha256}\n" for sheet in sheets)
        return self._verdict(sum(sheet.rows for sheet in sheets), hashlib.sha256(listed.encode()).hexdigest())

    # --- the parts --------------------------------------------------------------------------------------------

    def _check_cover(self, name: str, sha256: str, formulas: Sequence[str]) -> None:
        if not self._is_there(name):
            return
        digest = hashlib.sha256()
        for row, values in enumerate(self._rows(name), 1):
            places = [f"{letters(n)}{row}" for n in range(len(values))]
            printed = ["" if at in formulas else _printed(value) for at, value in zip(places, values, strict=True)]
            digest.update(cover_line(printed))
        if digest.hexdigest() != sha256:
            self._find(Found.COVER, name)
        there = formula_cells(self._path, name)
        for place in formulas:
            if place not in there:
                self._find(Found.FORMULA, name, what=place)

    def _check_sheet(self, proof: _SheetProof, totals: Sequence[_Total]) -> None:
        rows = self._rows(proof.name)
        if tuple(_stripped(next(rows, []))) != proof.headings:
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
        elif differing and sorted(before) == sorted(now):
            self._find(Found.ROWS_MOVED, proof.name, row=first)
        else:
            self._find(Found.ROWS_CHANGED, proof.name, row=first, count=max(1, len(differing)))

    # --- small ones -------------------------------------------------------------------------------------------

    def _sheet_proof(self, row: Sequence[str]) -> _SheetProof:
        _, name, page, kinds, rows, sha256, *headings = row
        checks = "".join(told[3] for told in self._told if told[:2] == ["rows", name])
        return _SheetProof(name, page, tuple(map(Kind, kinds.split())), int(rows), sha256, tuple(headings), checks)

    def _rows(self, name: str) -> Iterator[list[Any]]:
        return _filled(self._book.get_sheet_by_name(name).iter_rows())

    def _is_there(self, name: str) -> bool:
        if name in self._book.sheet_names:
            return True
        self._find(Found.SHEET_MISSING, name)
        return False

    def _find(self, found: Found, sheet: str, **facts: Any) -> None:
        self._findings.append(Finding(found, sheet, **facts))

    def _verdict(self, rows: int, sha256: str) -> Verdict:
        return Verdict(self._path.name, self._day, rows, sha256, tuple(self._findings))


# --- cells as they are read ---------------------------------------------------------------------------------------


def _filled(rows: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """The rows up to the last that holds anything: programs keep rows that were emptied or only formatted."""
    empty: list[list[Any]] = []
    for row in rows:
        if row[0] == "" and not any(value != "" for value in row):
            empty.append(row)
            continue
        yield from empty
        empty.clear()
        yield row


def _lines(
    kinds: Sequence[Kind], rows: Iterator[list[Any]], totals: Iterable[_Total], day: str
) -> Iterator[list[bytes]]:
    """The rows as they go into the hash, in blocks; the totals are added up on the way."""
    while block := list(islice(rows, BLOCK_ROWS)):
        columns = list(zip(*block, strict=True))
        nothing = ("",) * len(block)
        said = [_said(kind, columns[n] if n < len(columns) else nothing) for n, kind in enumerate(kinds)]
        for total in totals:
            values = columns[total.column] if total.column < len(columns) else nothing
            times = said[total.when] if total.when is not None else None
            total.read += sum(
                round(value * FORMS[total.kind].units)
                for n, value in enumerate(values)
                if _is_number(value) and (times is None or times[n].startswith(day))
            )
        lines = list(map("\t".join, zip(*said, strict=True)))
        for extra in columns[len(kinds) :]:  # somebody wrote beside the table
            lines = [line if value == "" else f"{line}\t{value}" for line, value in zip(lines, extra, strict=True)]
        yield [line.encode() for line in lines]


def _said(kind: Kind, values: Sequence[Any]) -> list[str]:
    """What cells of a kind say, as `cells.hashed`; a value of another kind is marked, so that it differs."""
    read = _READ[kind]
    return ["" if value == "" else read(value) for value in values]


def _text(value: Any) -> str:
    return cells.hashed(Kind.TEXT, [value])[0] if isinstance(value, str) else f"{_OF_ANOTHER_KIND}{value}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> str:
    if not _is_number(value):
        return f"{_OF_ANOTHER_KIND}{value}"
    return str(int(value)) if value == int(value) else f"{Decimal(repr(value)):f}"


def _time(value: Any) -> str:
    if _is_number(value):  # shown as a number by now, but the same
        value = _DAY_ZERO + timedelta(days=value)
    if isinstance(value, datetime):
        return (value + timedelta(microseconds=500_000)).replace(microsecond=0).isoformat()
    return f"{value.isoformat()}T00:00:00" if isinstance(value, date) else f"{_OF_ANOTHER_KIND}{value}"


def _day(value: Any) -> str:
    time = _time(value)
    return time.removesuffix("T00:00:00")


_READ: dict[Kind, Callable[[Any], str]] = dict.fromkeys(Kind, _number) | {
    Kind.TEXT: _text,
    Kind.WORD: _text,
    Kind.TIME: _time,
    Kind.DAY: _day,
}


def _printed(value: Any) -> str:
    """A cell of the cover as it goes into its hash."""
    if value == "":
        return ""
    if isinstance(value, str):
        return TEXT + _text(value)
    return NUMBER + _number(value) if _is_number(value) else MOMENT + _day(value)


def _stripped(row: Sequence[Any]) -> list[str]:
    texts = [str(value) for value in row]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def _fours(checks: str) -> list[str]:
    return [checks[n : n + 4] for n in range(0, len(checks), 4)]
