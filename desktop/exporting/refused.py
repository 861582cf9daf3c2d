"""Two workbooks for suppliers: the rows that were not imported, with reasons, and an empty template.

`write_refused` reads the source file again instead of keeping clear keys anywhere: the same file and options give
the same rows. Original cells are text cells with a quote prefix, so Excel neither changes nor computes them. Both
files appear whole or not at all. Called by the console's import screen and by the command line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from desktop.exporting import cells
from desktop.exporting.cells import Kind
from desktop.exporting.grid import heading_row, row_of, style_of
from desktop.exporting.sheet_writer import SHEET_ROWS, Book, Look, Sheet, Style, letters
from desktop.exporting.target import Replacement
from desktop.importing.ledger import Outcome, Problem
from desktop.importing.options import Options
from desktop.importing.read import shown_text
from desktop.importing.sentences import OF_SERVER, REASONS
from desktop.importing.session import Again, Progress, run
from shared import clock
from shared.contracts.stock import LineResult
from shared.sentence import Sentence

_HEADINGS = (
    Sentence("行号", "Line"),
    Sentence("单元格", "Cell"),
    Sentence("结果", "Result"),
    Sentence("原因", "Reason"),
)
_OUTCOMES = {
    Outcome.REFUSED: Sentence("拒绝", "Refused"),
    Outcome.DUPLICATE: Sentence("重复", "Duplicate"),
}
_BY_SERVER = Sentence("服务器未接受", "Not taken by the server")
_MASKED = Sentence("卡密（已遮盖，原文件不在了）", "Key (masked; the original file is gone)")
_SHEET = Sentence("未导入的行", "Not imported")
_ORIGINAL = Sentence("原第 {n} 列", "Original column {n}")
_WIDTHS = (8, 10, 14, 48)
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def write_refused(
    source: str | Path,
    options: Options,
    target: str | Path,
    *,
    language: str = "zh",
    server_lines: Mapping[int, LineResult] | None = None,
    today: date | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> int:
    """Write every row of `source` that was not imported to the .xlsx `target`, in its order; returns how many.

    Those are the refused and duplicate rows, as they were on the day `today`, and the `server_lines` that the server
    did not take. Raises what `importing.run` raises, TargetBusy and TargetUnwritable.
    """
    told = server_lines or {}
    with _streamed(Path(target)) as book:
        pages = _Pages(book, language)
        of_block: list[tuple[int, Callable[[], None]]] = []

        def note(problem: Problem, cells: Sequence[Any]) -> None:
            if problem.reason == "header" and not pages.written:
                pages.titles = tuple(map(shown_text, cells))
            elif problem.outcome is not Outcome.SKIPPED:
                of_block.append((problem.line, partial(pages.write, problem, cells)))

        def block_is_read(progress: Progress | None) -> None:
            for _line, write in sorted(of_block, key=itemgetter(0)):
                write()
            of_block.clear()
            if progress is not None:
                on_progress(progress)

        run(
            source,
            options,
            on_progress=block_is_read,
            cancelled=cancelled,
            on_problem=note,
            again=None if today is None else Again(today=today, kept=()),
            watched=frozenset(told),
            on_watched=lambda line, cells: of_block.append((line, partial(pages.write_told, line, told[line], cells))),
        )
        block_is_read(None)
        pages.finish()
    return pages.written


def write_lines(
    problems: Sequence[Problem], server_lines: Mapping[int, LineResult], target: str | Path, *, language: str = "zh"
) -> int:
    """The same without the original cells, for a file that is gone: line numbers, masked keys and reasons."""
    with _streamed(Path(target)) as book:
        pages = _Pages(book, language)
        pages.titles = (_MASKED.sentence(language),)
        rows = [(one.line, partial(pages.write, one, (one.shown,))) for one in problems]
        rows += [(line, partial(pages.write_told, line, result, ())) for line, result in server_lines.items()]
        for _line, write in sorted(rows, key=itemgetter(0)):
            write()
        pages.finish()
    return pages.written


class _Pages:
    """The sheets of the workbook; a new one begins where Excel's limit is."""

    def __init__(self, book: Book, language: str) -> None:
        self._book = book
        self._language = language
        self._text = book.style(style_of(Kind.TEXT))
        self._line = book.style(style_of(Kind.COUNT))
        self._sheet: Sheet | None = None
        self._sheets = 0
        self._rows = 0
        self.titles: tuple[str, ...] = ()
        self.written = 0

    def write(self, problem: Problem, originals: Sequence[Any]) -> None:
        """One row: where, what, why, and the original cells."""
        reason = REASONS[problem.reason].sentence(self._language).format(first_line=problem.first_line)
        self._append(problem.line, problem.address, _OUTCOMES[problem.outcome], reason, originals)

    def write_told(self, line: int, result: LineResult, originals: Sequence[Any]) -> None:
        """One row that the server did not take."""
        self._append(line, "", _BY_SERVER, OF_SERVER[result].sentence(self._language), originals)

    def finish(self) -> None:
        """End the last sheet; an empty list still has its heading."""
        self._room(len(self.titles)).end()

    def _append(self, line: int, address: str, outcome: Sentence, reason: str, originals: Sequence[Any]) -> None:
        sheet = self._room(len(originals))
        self._rows += 1
        self.written += 1
        said = [address, outcome.sentence(self._language), reason, *map(_harmless, originals)]
        row = (self._rows,)
        marks = cells.marks(Kind.COUNT, "A", self._line, row, [str(line)])
        for column, text in enumerate(cells.plain(said), 1):
            marks += cells.marks(Kind.TEXT, letters(column), self._text, row, [text])
        sheet.write(row_of(self._rows, marks))

    def _room(self, columns: int) -> Sheet:
        """The sheet that has room for a row."""
        if self._sheet is not None and self._rows == SHEET_ROWS:
            self._sheet.end()
            self._sheet = None
        if self._sheet is None:
            self._sheet = self._open(columns)
        return self._sheet

    def _open(self, columns: int) -> Sheet:
        self._sheets += 1
        name = _SHEET.sentence(self._language)
        titles = [heading.sentence(self._language) for heading in _HEADINGS]
        for index in range(max(columns, len(self.titles))):
            own = _harmless(self.titles[index]) if index < len(self.titles) else ""
            titles.append(own or _ORIGINAL.sentence(self._language).format(n=index + 1))
        look = Look([*_WIDTHS, *[20] * (len(titles) - len(_WIDTHS))], frozen_rows=1)
        sheet = self._book.sheet(name if self._sheets == 1 else f"{name} {self._sheets}", look)
        sheet.write(heading_row(self._book, 1, titles))
        self._rows = 1
        return sheet


def _harmless(cell: Any) -> str:
    """What a cell shows; control characters become their pictures."""
    return _UNWRITABLE.sub(_picture, shown_text(cell))


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"


_TEMPLATE_TITLES = (
    Sentence("卡号", "Card number"),
    Sentence("卡密", "Secret"),
    Sentence("有效期", "Expiry"),
    Sentence("成本", "Cost"),
    Sentence("可用次数", "Uses"),
)
_TEMPLATE_HELP = (
    Sentence("每行一张卡。卡号可以不填，卡密必填。", "One card a line. The number may be empty, the secret may not."),
    Sentence(
        "各列都已设为文本：长数字不会变成科学计数法，开头的 0 不会丢失。",
        "All columns are text: long numbers keep their digits and leading zeros stay.",
    ),
    Sentence("有效期写成 2027-08-31；长期有效的留空。", "Write the expiry as 2027-08-31; leave it empty for none."),
    Sentence(
        "成本是每张的进价，单位元，例如 8.70；可以留空。", "The cost of one, in yuan, such as 8.70; may be empty."
    ),
    Sentence(
        "可用次数用于能重复使用的卡密，例如 3；一次性的留空。",
        "Uses is for keys that work several times, such as 3; leave it empty for single use.",
    ),
    Sentence(
        "粘贴时请用“选择性粘贴 - 数值”或“匹配目标格式”。", "Paste as values, or match the destination's formatting."
    ),
    Sentence("不用的列可以整列删除。", "Delete the columns that you do not need."),
    Sentence("示例（请勿导入）：", "Example (do not import):"),
)
_TEMPLATE_EXAMPLE = ("0000123456789012", "ABCD-EFGH-0001", "2027-08-31", "8.70", "")


def write_template(target: str | Path, *, language: str = "zh") -> None:
    """Write an empty .xlsx whose columns are text already, with a second sheet that explains them by an example."""
    titles = [title.sentence(language) for title in _TEMPLATE_TITLES]
    with _streamed(Path(target)) as book:
        text = book.style(style_of(Kind.TEXT))
        widths = (28, 28, 14, 14, 14)
        keys = book.sheet(Sentence("卡密", "Keys").sentence(language), Look(widths, frozen_rows=1, cell_style=text))
        keys.write(heading_row(book, 1, titles))
        keys.end()
        told = book.sheet(Sentence("说明", "Help").sentence(language), Look((80, 20, 20, 20, 20)))
        wrapped = book.style(Style(wrap=True))
        for row, line in enumerate(_TEMPLATE_HELP, 1):
            told.write(row_of(row, cells.marks(Kind.TEXT, "A", wrapped, (row,), [line.sentence(language)])))
        for row, example in enumerate((titles, _TEMPLATE_EXAMPLE), len(_TEMPLATE_HELP) + 1):
            marks = [cells.marks(Kind.TEXT, letters(n), text, (row,), [one])[0] for n, one in enumerate(example)]
            told.write(row_of(row, marks))
        told.end()


@contextmanager
def _streamed(target: Path) -> Iterator[Book]:
    """A workbook whose rows go to the disk as they come; put in place at the end, else nothing of it stays."""
    with Replacement(target) as file:
        with Book(file.file, title=target.stem, author="", made_at=clock.now()) as book:
            yield book
            book.end()
        file.put()
