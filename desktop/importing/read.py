"""Files as rows: the same `Source` for a sheet of a workbook and for a text file.

A source is opened once (sniffed, checked, decoded) and then gives a sample for the preview and blocks of about a
thousand rows for the run, in file order, each row with its line number. Cells of a text file are `str`; cells of
a sheet are what the workbook stores (`str`, `float`, `bool`, dates), never guessed into something else.

Opened by `session`; closed by whoever opened it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TextIO

from desktop.importing import decode, package, separators
from desktop.importing.numbers import NumberFormats
from desktop.importing.options import Options
from desktop.importing.sentences import Notice, notice
from desktop.importing.sniff import KIND_NAMES, SUFFIXES, FileDamaged, FileEmpty, Kind, sniff
from shared.errors import BadInput

BLOCK_ROWS = 1_000
SAMPLE_ROWS = 200

Step = Callable[[float], None]
"""Called with the done fraction (0 to 1); may raise to stop."""


class SheetMissing(BadInput):
    """The chosen sheet is not in the workbook."""

    code = "import.sheet_missing"
    zh = "“{name}”里没有工作表“{sheet}”。现有：{sheets}。"
    en = "There is no sheet “{sheet}” in “{name}”. It has: {sheets}."


class Block(NamedTuple):
    """Consecutive rows. `broken` are lines whose quotes do not pair (text only)."""

    lines: Sequence[int]
    rows: Sequence[Sequence[Any]]
    broken: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class RawLine:
    """One line as it is in the file, for the preview."""

    line: int
    raw: str
    cells: tuple[Any, ...]
    broken: bool = False


def shown_text(cell: Any) -> str:
    """A cell as a person knows it: whole numbers without the reader's `.0`."""
    if isinstance(cell, float) and abs(cell) < 1e15 and cell == int(cell):
        return str(int(cell))
    return str(cell)


class Source(Protocol):
    """What `session` and `judge` need of a file."""

    kind: str
    encoding: str | None
    encoding_certain: bool
    separator: str | None
    sheet: str | None
    sheets: tuple[str, ...]
    total: int | None
    expected_columns: int | None
    first_column: int
    notices: list[Notice]
    facts: package.SheetFacts | None
    merged: list[tuple[tuple[int, int], tuple[int, int]]]

    def sample(self) -> list[RawLine]:
        """The first rows (at most 200)."""
        ...

    def blocks(self) -> Iterator[Block]:
        """All rows, in order."""
        ...

    def fraction(self) -> float:
        """How much of the file was given out."""
        ...

    def number_format(self, line: int, column: int) -> str:
        """The number format of a sheet's cell."""
        ...

    def usual_length(self, column: int) -> int:
        """The most frequent length of the texts and whole numbers of a sheet's column; 0 when there are none."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def open_source(path: Path, options: Options, step: Step = lambda _: None) -> Source:
    """Open a file for reading. Raises the `BadInput` that says why it cannot be read."""
    kind = sniff(path)
    source: Source = SheetSource(path, options, step) if kind is Kind.XLSX else TextSource(path, options)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES[kind]:
        found, found_en = KIND_NAMES[kind]
        source.notices.insert(0, notice("other_extension", suffix=suffix, found=found, found_en=found_en))
    return source


class SheetSource:
    """One worksheet, read whole by calamine after `package.scan` said that it may be."""

    encoding: str | None = None
    encoding_certain = True
    separator: str | None = None
    expected_columns: int | None = None

    def __init__(self, path: Path, options: Options, step: Step) -> None:
        self.kind = "xlsx"
        self.notices: list[Notice] = []
        self._path = path
        self._done = 0
        every = package.scan(path, step)
        self.sheets = tuple(facts.name for facts in every)
        chosen = _choose(path, every, options.sheet)
        self.facts: package.SheetFacts | None = chosen
        self.sheet: str | None = chosen.name
        self._grid = _load(path, chosen.name)
        if self._grid.start is None:
            raise FileEmpty(name=path.name)
        self.first_column: int = self._grid.start[1]
        self._first_line: int = self._grid.start[0] + 1
        self._height: int = self._grid.end[0] + 2 - self._first_line
        self.total: int | None = self._height
        self.merged = [_ordered(area) for area in self._grid.merged_cell_ranges or []]
        self._formats = NumberFormats(path, chosen, self._first_line + self._height)
        self._remark(every, chosen)

    def _remark(self, every: list[package.SheetFacts], chosen: package.SheetFacts) -> None:
        for facts in every:
            if facts is chosen:
                continue
            code = "sheet_hidden" if facts.hidden else "sheet_not_read" if facts.has_cells else "sheet_empty"
            self.notices.append(notice(code, sheet=facts.name))
        if chosen.hidden_rows:
            first = ", ".join(map(str, chosen.hidden_rows[:10]))
            self.notices.append(notice("rows_hidden", count=len(chosen.hidden_rows), addresses=first))
        if self.merged:
            areas = ", ".join(
                f"{package.column_letters(left)}{top + 1}:{package.column_letters(right)}{bottom + 1}"
                for (top, left), (bottom, right) in self.merged[:10]
            )
            self.notices.append(notice("cells_merged", count=len(self.merged), addresses=areas))

    def _rows(self) -> Iterator[list[Any]]:
        """Rows from the first used one. The reader pads the top with empty rows, but not the left."""
        return islice(self._grid.iter_rows(), self._first_line - 1, None)

    def sample(self) -> list[RawLine]:
        """The first rows, their cells counted from column A."""
        pad = ("",) * self.first_column
        rows = islice(self._rows(), SAMPLE_ROWS)
        return [
            RawLine(line, " | ".join(map(shown_text, cells)), (*pad, *cells))
            for line, cells in enumerate(rows, self._first_line)
        ]

    def blocks(self) -> Iterator[Block]:
        """All rows of the used range."""
        rows = self._rows()
        line = self._first_line
        while block := list(islice(rows, BLOCK_ROWS)):
            yield Block(range(line, line + len(block)), block)
            line += len(block)
            self._done = line - self._first_line

    def fraction(self) -> float:
        """By rows."""
        return self._done / self._height

    def number_format(self, line: int, column: int) -> str:
        """From the workbook's styles."""
        return self._formats.at(line, column)

    def usual_length(self, column: int) -> int:
        """By one more pass over the column. Of equally frequent lengths, the longest."""
        at = column - self.first_column
        lengths: Counter[int] = Counter()
        for row in self._rows():
            cell = row[at]
            if isinstance(cell, str):
                lengths[len(cell.strip())] += 1
            elif isinstance(cell, float) and 0 <= cell < 1e15:
                lengths[len(str(int(cell)))] += 1
        del lengths[0]
        return max(lengths, key=lambda length: (lengths[length], length), default=0)

    def close(self) -> None:
        """Let go of the file and of the grid."""
        self._formats.close()
        self._grid = None


def _choose(path: Path, every: list[package.SheetFacts], wanted: str | None) -> package.SheetFacts:
    """The wanted sheet, or the first visible one that has cells."""
    if wanted is not None:
        for facts in every:
            if facts.name == wanted:
                return facts
        raise SheetMissing(name=path.name, sheet=wanted, sheets="、".join(facts.name for facts in every))
    for facts in every:
        if facts.has_cells and not facts.hidden:
            return facts
    raise FileEmpty(name=path.name)


def _load(path: Path, sheet: str) -> Any:
    """The sheet's grid. The workbook and its shared strings are dropped at once: they are a third of the memory."""
    import python_calamine  # only where a workbook is read: start-up time

    try:
        if path.suffix.lower() == ".xlsx":
            book = python_calamine.CalamineWorkbook.from_path(path)
        else:  # by a path, the reader would believe the name; by a file, the content
            with path.open("rb") as file:
                book = python_calamine.CalamineWorkbook.from_filelike(file)
        with book:
            return book.get_sheet_by_name(sheet)
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise FileDamaged(name=path.name, detail=type(error).__name__) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the reader's own word for a file it did not foresee
            raise
        raise FileDamaged(name=path.name, detail="reader") from error


def _ordered(area: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    (top, left), (bottom, right) = area
    return (top, left), (bottom, right)


class TextSource:
    """A csv or txt file, streamed. Only the block at hand is in memory."""

    sheet: str | None = None
    sheets: tuple[str, ...] = ()
    total: int | None = None
    facts: package.SheetFacts | None = None
    first_column = 0

    def __init__(self, path: Path, options: Options) -> None:
        self.notices: list[Notice] = []
        self.merged: list[tuple[tuple[int, int], tuple[int, int]]] = []
        self._path = path
        self._bytes = path.stat().st_size
        detected = decode.detect(path, options.encoding)
        self.encoding: str | None = detected.name
        self.encoding_certain = detected.certain
        if not detected.certain:
            self.notices.append(notice("encoding_guessed", encoding=detected.name))
        self._file: TextIO = path.open(encoding=detected.name, errors="strict", newline=None)
        self._head = [line.rstrip("\n") for line in islice(self._file, SAMPLE_ROWS * 5)]
        if not any(line.strip() for line in self._head):
            self.close()
            raise FileEmpty(name=path.name)
        voted = separators.vote(self._head)
        self.separator: str | None = voted.separator if options.separator is None else options.separator
        self.expected_columns: int | None = voted.columns
        if self.separator != voted.separator:
            self.expected_columns = self._usual_columns()
        elif voted.odd:
            self.notices.append(notice("separator_not_unanimous", odd=voted.odd, sample=voted.sample))
        self.kind = "csv" if self.separator in separators.CSV_SEPARATORS else "txt"

    def _usual_columns(self) -> int:
        """How many columns the separator that the user chose makes of most lines."""
        assert self.separator is not None
        counts = Counter(len(separators.cut(line, self.separator)) for line in self._head if line.strip())
        return counts.most_common(1)[0][0]

    def sample(self) -> list[RawLine]:
        """The first lines, raw and cut."""
        rows: list[RawLine] = []
        at = 0
        while at < len(self._head) and len(rows) < SAMPLE_ROWS:
            cells, used, paired = self._record(self._head, at)
            rows.append(RawLine(at + 1, "\n".join(self._head[at : at + used]), tuple(cells), not paired))
            at += used
        return rows

    def blocks(self) -> Iterator[Block]:
        """All lines from the first one."""
        self._file.seek(0)
        separator = self.separator or ""
        quoting = separator in separators.CSV_SEPARATORS
        line, waiting = 1, list[str]()
        while True:
            fresh = [text.rstrip("\n") for text in islice(self._file, BLOCK_ROWS)]
            texts = waiting + fresh
            if not texts:
                return
            if quoting and any('"' in text for text in texts):
                block, used = self._records(texts, line, last=len(fresh) < BLOCK_ROWS)
                yield block
            else:
                used = len(texts)
                yield Block(range(line, line + used), _cut_all(texts, separator))
            waiting = texts[used:]
            line += used

    def _records(self, texts: list[str], line: int, *, last: bool) -> tuple[Block, int]:
        """Cut lines of which some are quoted; leaves the end for the next block where a record may run over it."""
        lines: list[int] = []
        rows: list[Sequence[Any]] = []
        broken: set[int] = set()
        at = 0
        stop = len(texts) if last else max(1, len(texts) - separators.QUOTED_LINES)
        while at < stop:
            cells, used, paired = self._record(texts, at)
            lines.append(line + at)
            rows.append(cells)
            if not paired:
                broken.add(line + at)
            at += used
        return Block(lines, rows, frozenset(broken)), at

    def _record(self, texts: list[str], at: int) -> tuple[list[str], int, bool]:
        """The cells of the record at `at`, how many lines it takes, and whether its quotes pair."""
        separator = self.separator or ""
        if separator not in separators.CSV_SEPARATORS or '"' not in texts[at]:
            return separators.cut(texts[at], separator), 1, True
        cells, used = separators.cut_quoted(texts, at, separator)
        return (cells, used, True) if cells is not None else ([texts[at]], 1, False)

    def fraction(self) -> float:
        """By bytes, including what the decoder has read ahead."""
        return min(1.0, self._file.buffer.tell() / self._bytes)

    def number_format(self, line: int, column: int) -> str:
        """A text file has none."""
        raise AssertionError(f"line {line}, column {column}: cells of a text file are text")

    def usual_length(self, column: int) -> int:
        """Of the sample, when nearly all of it is digits of one length; else 0: nothing can be told."""
        lengths: Counter[int] = Counter()
        for row in self.sample():
            cell = row.cells[column].strip() if column < len(row.cells) else ""
            if cell:
                lengths[len(cell) if cell.isascii() and cell.isdigit() else 0] += 1
        length, count = lengths.most_common(1)[0] if lengths else (0, 0)
        return length if length and count >= 10 and count >= 0.8 * lengths.total() else 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _cut_all(texts: list[str], separator: str) -> Sequence[Sequence[Any]]:
    """The columns of lines without quotes."""
    if not separator:
        return [(text,) for text in texts]
    if separator == " ":
        return [separators.cut(text, separator) for text in texts]
    return [text.split(separator) for text in texts]
