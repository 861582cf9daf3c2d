"""The two things callers do with a file: `plan` shows what would happen, `run` does it.

Both work in the calling process; the console runs them in a worker (`process`), the command line directly.
`run` streams: besides the reader's own grid, memory holds one block, one chunk and 16 bytes per distinct card.
Nothing is written anywhere; chunks leave through `on_chunk`, sealed when `seal_to` is given.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from desktop.importing import columns as columns_guess
from desktop.importing.chunk import Chunk, Chunker, Held
from desktop.importing.judge import Fate, Judge, OnProblem
from desktop.importing.ledger import Ledger, Tally
from desktop.importing.options import Columns, Options, SealTo
from desktop.importing.package import column_letters
from desktop.importing.read import RawLine, Source, open_source, shown_text
from desktop.importing.sentences import Notice, notice
from desktop.importing.terms import Terms
from shared import clock
from shared.cardkey import mask
from shared.contracts.stock import MAX_ROWS
from shared.errors import BadInput, Conflict

PREVIEW_LINES = 20
_SCAN_SHARE = 0.2  # of the progress bar: checking the package before it is read


class ImportCancelled(Conflict):
    """Somebody pressed cancel. Chunks that were handed out may be forgotten."""

    code = "import.cancelled"
    zh = "导入已取消。"
    en = "The import was cancelled."


class FileChanged(BadInput):
    """The file was written to while it was being read."""

    code = "import.file_changed"
    zh = "“{name}”在读取时被修改了，没有导入。请保存并关闭后重试。"
    en = "“{name}” changed while it was being read; nothing was imported. Save and close it, then try again."


class ColumnMissing(BadInput):
    """The chosen column is beyond the file's width."""

    code = "import.column_missing"
    zh = "“{name}”没有第 {column} 列。"
    en = "“{name}” has no column {column}."


class TooManyRows(BadInput):
    """More rows than one import may have."""

    code = "import.too_many_rows"
    zh = "“{name}”超过 {limit} 行，请拆成几个文件。"
    en = "“{name}” has more than {limit} lines; split it."


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewLine:
    """One of the first lines, as it is in the file and as it would be read."""

    line: int
    raw: str
    number: str
    secret: str
    reason: str | None
    """A code of `sentences.REASONS`; None when the line would be imported."""
    repairs: tuple[str, ...]
    shown: str
    """The card, masked: what to show until somebody asks for more."""
    terms: Terms | None = None
    """What it would be sold under; None when it would not be imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What `run` would do with the file, and everything that was guessed."""

    name: str
    bytes: int
    kind: str
    """`xlsx`, `csv` or `txt`."""
    encoding: str | None
    encoding_certain: bool
    separator: str | None
    sheet: str | None
    sheets: tuple[str, ...]
    titles: tuple[str, ...]
    """The heading, or the letters of the columns where there is none."""
    columns: Columns
    total: int | None
    """Rows of the sheet's used range; None for text, which is not counted beforehand."""
    lines: tuple[PreviewLine, ...]
    notices: tuple[Notice, ...]
    options: Options
    """The options given, with every guess filled in: give them to `run` to get exactly this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is. `fraction` goes from 0 to 1 over all of it."""

    fraction: float
    read: int
    valid: int
    duplicates: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A reading that goes on: the day it began, which decides what has expired, and the chunks that are kept."""

    today: date
    kept: tuple[Held, ...]


def plan(path: str | Path, options: Options | None = None) -> Preview:
    """Look at a file: format, encoding, columns, the first 20 lines and what would become of them.

    Raises the `BadInput` that says why the file cannot be read at all.
    """
    path = Path(path)
    with closing(open_source(path, options or Options())) as source:
        sample = source.sample()
        filled, titles = _fill(path, source, options or Options(), sample)
        assert filled.columns is not None
        judge = Judge(source, filled, Tally(), today=_today())
        lines = [
            _preview_line(line, judge.fate(line.line, line.cells[source.first_column :], broken=line.broken), judge)
            for line in sample[:PREVIEW_LINES]
        ]
        return Preview(
            name=path.name,
            bytes=path.stat().st_size,
            kind=source.kind,
            encoding=source.encoding,
            encoding_certain=source.encoding_certain,
            separator=source.separator,
            sheet=source.sheet,
            sheets=source.sheets,
            titles=titles,
            columns=filled.columns,
            total=source.total,
            lines=tuple(lines),
            notices=tuple(source.notices + judge.notices(titles)),
            options=filled,
        )


def run(
    path: str | Path,
    options: Options | None = None,
    on_chunk: Callable[[Chunk], None] = lambda _: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    *,
    seal_to: SealTo | None = None,
    on_problem: OnProblem | None = None,
    again: Again | None = None,
    watched: frozenset[int] = frozenset(),
    on_watched: Callable[[int, Sequence[Any]], None] = lambda _line, _cells: None,
) -> Ledger:
    """Read, judge, chunk and seal a whole file. Options left open are guessed as `plan` does.

    `cancelled` is asked every 1,000 rows (and every MiB while a package is checked). Raises `ImportCancelled`, a
    `BadInput` about the file, or `LedgerMismatch`; then the chunks that were given out must be thrown away. `again`
    goes on with a reading that was cut off: chunks that are kept of it are not given once more.
    `on_watched` gets the cells of the lines that are `watched`, whatever became of them.
    """
    path = Path(path)
    tally = Tally()

    def step(fraction: float) -> None:
        if cancelled():
            raise ImportCancelled
        on_progress(
            Progress(
                fraction=fraction,
                read=tally.read,
                valid=tally.valid,
                duplicates=tally.duplicates,
                refused=tally.refused,
            )
        )

    before = _stamp(path)  # a workbook is read whole while it is opened
    with closing(open_source(path, options or Options(), lambda done: step(done * _SCAN_SHARE))) as source:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        filled, titles = _fill(path, source, options or Options(), source.sample())
        judge = Judge(source, filled, tally, today=again.today if again is not None else _today())
        judge.on_problem = on_problem
        chunker = Chunker(on_chunk, seal_to, judge.terms.lots, again.kept if again is not None else ())
        checked = _SCAN_SHARE if source.facts is not None else 0.0
        with _no_garbage_collection():
            for block in source.blocks():
                chunker.add(judge.block(block))
                if not watched.isdisjoint(block.lines):
                    for line, cells in zip(block.lines, block.rows, strict=True):
                        if line in watched:
                            on_watched(line, cells)
                if tally.read > MAX_ROWS:
                    raise TooManyRows(name=path.name, limit=MAX_ROWS)
                step(checked + (1 - checked) * source.fraction())
            chunker.finish()
        if _stamp(path) != before:
            raise FileChanged(name=path.name)
        tally.rows_sealed, tally.chunks = chunker.rows, chunker.chunks
        tally.notices = source.notices + judge.notices(titles)
        ledger = tally.close(digest)
    if ledger.valid:
        return ledger
    counts = {name: getattr(ledger, name) for name in ("read", "duplicates", "refused", "skipped")}
    return replace(ledger, notices=(*ledger.notices, notice("nothing_valid", **counts)))


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when the file is written to; None for one that cannot be asked, which its reader then says."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _today() -> date:
    return clock.shop_day(clock.now())


def _fill(path: Path, source: Source, options: Options, sample: list[RawLine]) -> tuple[Options, tuple[str, ...]]:
    """The options with every guess made, and the titles of the columns. Remarks go to the source's notices."""
    rows = [(line.line, line.cells) for line in sample]
    width = max(len(cells) for _, cells in rows)
    guess = columns_guess.guess(rows)
    header_lines = guess.header_lines if options.header_lines is None else options.header_lines
    titles = next((tuple(map(shown_text, cells)) for line, cells in rows if line == header_lines), ())
    if source.expected_columns is not None:  # lines may lack the last columns of the heading
        source.expected_columns = max(source.expected_columns, len(titles))
    columns = options.columns or guess.columns
    used = columns.used
    for column in used:
        if not 0 <= column < width:
            raise ColumnMissing(name=path.name, column=column + 1)
    if options.columns is None and not guess.header_lines and width > 1:
        source.notices.append(notice("columns_guessed"))
    titles = tuple(
        titles[column] if column < len(titles) and titles[column] else column_letters(column) for column in range(width)
    )
    unused = [
        titles[column]
        for column in range(width)
        if column not in used
        and any(line > header_lines and len(cells) > column and str(cells[column]).strip() for line, cells in rows)
    ]
    if unused:
        source.notices.append(notice("columns_unused", columns="、".join(unused[:20])))
    filled = replace(
        options,
        encoding=source.encoding,
        separator=source.separator,
        sheet=source.sheet,
        columns=columns,
        header_lines=header_lines,
    )
    return filled, titles


def _preview_line(line: RawLine, fate: Fate, judge: Judge) -> PreviewLine:
    return PreviewLine(
        line=line.line,
        raw=line.raw,
        number=fate.card.number,
        secret=fate.card.secret,
        reason=fate.reason,
        repairs=fate.repairs,
        shown=mask(fate.card) if any(fate.card) else "",
        terms=judge.terms.lots[fate.lot] if fate.reason is None else None,
    )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A million small tuples without a cycle among them: the collector would only walk over them again and again."""
    was_enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
