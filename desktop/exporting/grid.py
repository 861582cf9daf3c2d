"""Detail sheets being written: rows in blocks, sums and hashes as they stream by, long tables over several sheets.

Used by the workbooks; `sheet_writer` knows the file, `cells` the cells, `sheets` the columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any
from zlib import crc32

from desktop.exporting import cells
from desktop.exporting.cells import FORMS, Kind
from desktop.exporting.sheet_writer import SHEET_BYTES, SHEET_ROWS, Book, Look, Style, letters, quoted_name
from desktop.exporting.sheets import Page
from shared.clock import day_bounds

BLOCK_ROWS = 1_000
"""Rows that are written at once; also those of one line of `verification`."""
HEADING = Style(bold=True, fill="E8EDF3", align="center", rule="9AA5B1", number_format="@", quoted=True)


def style_of(kind: Kind) -> Style:
    """How a detail cell of the kind looks; text keeps being text when a person edits it."""
    form = FORMS[kind].number_format
    if form == "@":
        return Style(number_format=form, quoted=True, align="left", indent=1)  # not to touch the number before it
    return Style(number_format=form, align="center" if kind in {Kind.TIME, Kind.DAY} else "")


@dataclass(frozen=True, slots=True)
class Total:
    """One figure of the details: the sum of a column, over all rows or over those whose `when` is within the day."""

    zh: str
    en: str
    page: Page[Any]
    column: str
    when: str = ""

    @property
    def kind(self) -> Kind:
        """What is added up."""
        return self.page.columns[self.page.index(self.column)].kind

    def title(self, language: str) -> str:
        """What the figure is."""
        return self.en if language.startswith("en") else self.zh


@dataclass(slots=True)
class Part:
    """A finished sheet: the last row with a value (at least 2), its rows and what proves them.

    `checks` has four hexadecimal digits for each row, so that a changed row can be named.
    """

    sheet: str
    page: Page[Any]
    rows: int = 0
    sha256: str = ""
    checks: list[str] = field(default_factory=list)

    def range(self, column: int) -> str:
        """The cells of a column as formulas write them; an empty table has one empty row."""
        letter = letters(column)
        return f"{quoted_name(self.sheet)}!${letter}$2:${letter}${max(2, self.rows + 1)}"


class Details:
    """The detail sheets of a workbook, in the order of `pages`: all rows of one page come before those of the next."""

    def __init__(
        self,
        book: Book,
        pages: Sequence[Page[Any]],
        totals: Iterable[Total],
        *,
        language: str,
        header: str,
        day: date,
        sheet_rows: int = SHEET_ROWS,
    ) -> None:
        self.pages = pages
        self.parts: list[Part] = []
        self.sums = dict.fromkeys(totals, 0)
        self.rows = dict.fromkeys((page.key for page in pages), 0)
        self.language = language
        self.day = day
        self._book = book
        self._by_key = {page.key: page for page in pages}
        self._to_come = list(pages)
        self._header = header
        self._sheet_rows = sheet_rows
        self._table: _Table | None = None

    def add(self, key: str, rows: Iterable[Any]) -> None:
        """Write rows of the page `key`. Raises ValueError when a later page has begun."""
        self._at(key).extend(rows)

    def end(self) -> None:
        """All rows are written; pages without any become sheets with a heading alone."""
        while self._to_come:
            self._next()
        if self._table is not None:
            self._table.close()
            self._table = None

    def formula(self, total: Total) -> str:
        """The live formula of a total over all its sheets. Amounts are rounded: workbooks add in binary fractions."""
        page, start = total.page, f"DATE({self.day.year},{self.day.month},{self.day.day})"
        terms = []
        for part in self.parts:
            if part.page.key != page.key:
                continue
            summed = part.range(part.page.index(total.column))
            if total.when:
                times = part.range(part.page.index(total.when))
                terms.append(f'SUMIFS({summed},{times},">="&{start},{times},"<"&{start}+1)')
            else:
                terms.append(f"SUM({summed})")
        text = "+".join(terms)
        return f"ROUND({text},2)" if total.kind is Kind.AMOUNT else text

    def _at(self, key: str) -> _Table:
        while self._table is None or self._table.page.key != key:
            if self._by_key[key] not in self._to_come:
                raise ValueError(f"the rows of {key} come before those of {self._table and self._table.page.key}")
            self._next()
        return self._table

    def _next(self) -> None:
        if self._table is not None:
            self._table.close()
        page = self._to_come.pop(0)
        self._table = _Table(self, self._book, page, header=self._header, sheet_rows=self._sheet_rows)


class _Table:
    """The rows of one page, over as many sheets as they need."""

    def __init__(self, details: Details, book: Book, page: Page[Any], *, header: str, sheet_rows: int) -> None:
        self.page = page
        self._details = details
        self._book = book
        self._header = header
        self._readers = [column.reader() for column in page.columns]
        self._styles = [book.style(style_of(column.kind)) for column in page.columns]
        self._sums = [_Sum(total, page, details.day) for total in details.sums if total.page.key == page.key]
        self._room = sheet_rows - 1
        self._block: list[Any] = []
        self._number = 0
        self._begin()

    def extend(self, rows: Iterable[Any]) -> None:
        """Write rows; the last ones when their block is full."""
        rows = iter(rows)
        while taken := list(islice(rows, BLOCK_ROWS - len(self._block))):
            self._block += taken
            if len(self._block) == BLOCK_ROWS:
                self._flush()

    def close(self) -> None:
        """All rows are there."""
        self._flush()
        self._end()
        for one in self._sums:
            self._details.sums[one.total] = one.sum

    def _flush(self) -> None:
        while self._block:
            if self._part.rows == self._room or self._sheet.bytes > SHEET_BYTES:
                self._end()
                self._begin()
            fits = self._room - self._part.rows
            block, self._block = self._block[:fits], self._block[fits:]
            self._write(block)

    def _write(self, block: list[Any]) -> None:
        first = self._part.rows + 2
        rows = range(first, first + len(block))
        values = [list(map(read, block)) for read in self._readers]
        said, written = [], [[f'<row r="{n}">' for n in rows]]
        for index, column in enumerate(self.page.columns):
            texts = cells.texts(column.kind, values[index], self._details.language)
            said.append(cells.hashed(column.kind, texts))
            written.append(cells.marks(column.kind, letters(index), self._styles[index], rows, texts))
        for one in self._sums:
            one.add(values)
        self._sheet.write("</row>".join(map("".join, zip(*written, strict=True))) + "</row>")
        self._prove(map("\t".join, zip(*said, strict=True)))
        self._part.rows += len(block)

    def _prove(self, lines: Iterator[str]) -> None:
        encoded = [line.encode() for line in lines]
        self._digest.update(b"\n".join(encoded) + b"\n")
        self._part.checks.append(row_checks(encoded))

    def _begin(self) -> None:
        self._number += 1
        language, columns = self._details.language, self.page.columns
        self._part = Part(self.page.name(language, self._number), self.page)
        self._digest = hashlib.sha256()
        widths = [column.width for column in columns]
        look = Look(widths, header=self._header, frozen_rows=1, leading=self.page.leading)
        self._sheet = self._book.sheet(self._part.sheet, look)
        self._sheet.write(heading_row(self._book, 1, [column.title(language) for column in columns]))

    def _end(self) -> None:
        self._sheet.end(filtered=f"A1:{letters(len(self.page.columns) - 1)}{self._part.rows + 1}")
        self._part.sha256 = self._digest.hexdigest()
        self._details.parts.append(self._part)
        self._details.rows[self.page.key] += self._part.rows


class _Sum:
    """A total while its rows stream by, in the units of its column."""

    def __init__(self, total: Total, page: Page[Any], day: date) -> None:
        self.total = total
        self.sum = 0
        self._of = page.index(total.column)
        self._when = page.index(total.when) if total.when else None
        self._start, self._end = day_bounds(day)

    def add(self, columns: Sequence[Sequence[Any]]) -> None:
        """Count the columns of a block."""
        values = columns[self._of]
        if self._when is None:
            self.sum += sum(value for value in values if value is not None)
            return
        start, end = self._start, self._end
        self.sum += sum(
            value
            for value, at in zip(values, columns[self._when], strict=True)
            if value is not None and at is not None and start <= at < end
        )


def row_checks(lines: Iterable[bytes]) -> str:
    """Four hexadecimal digits for each line of a block."""
    return "".join([f"{crc32(line) & 0xFFFF:04x}" for line in lines])


def heading_row(book: Book, row: int, titles: Sequence[str]) -> str:
    """A row of column headings."""
    style = book.style(HEADING)
    marks = [
        cells.marks(Kind.TEXT, letters(n), style, (row,), [title])[0] or f'<c r="{letters(n)}{row}" s="{style}"/>'
        for n, title in enumerate(titles)
    ]
    return row_of(row, marks, height=22)


def row_of(row: int, marks: Iterable[str], *, height: int = 0) -> str:
    """A row from its cells; 0 is the usual height."""
    tall = f' ht="{height}" customHeight="1"' if height else ""
    return f'<row r="{row}"{tall}>{"".join(marks)}</row>'
