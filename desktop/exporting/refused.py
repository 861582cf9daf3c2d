"""Two workbooks for suppliers: the rows that were not imported, with reasons, and an empty template.

`write_refused` reads the source file again instead of keeping clear keys anywhere: the same file and options give
the same rows. Original cells are text cells with a quote prefix, so Excel neither changes nor computes them. Both
files appear whole or not at all. Called by the console's import screen and by the command line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font

from desktop.importing.ledger import Outcome, Problem
from desktop.importing.options import Options
from desktop.importing.read import shown_text
from desktop.importing.sentences import REASONS
from desktop.importing.session import Progress, run
from shared.cardkey import Sentence

SHEET_ROWS = 1_048_576
"""What one sheet of an .xlsx can hold, the heading included."""

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
_SHEET = Sentence("未导入的行", "Not imported")
_ORIGINAL = Sentence("原第 {n} 列", "Original column {n}")
_WIDTHS = (8, 10, 10, 48)
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def write_refused(
    source: str | Path,
    options: Options,
    target: str | Path,
    *,
    language: str = "zh",
    on_progress: Callable[[Progress], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> int:
    """Write every refused and duplicate row of `source` to the .xlsx `target`; returns how many.

    Raises what `importing.run` raises, and OSError when the target cannot be written.
    """
    book = openpyxl.Workbook(write_only=True)
    pages = _Pages(book, language)

    def note(problem: Problem, cells: Sequence[Any]) -> None:
        if problem.reason == "header" and not pages.written:
            pages.titles = tuple(map(shown_text, cells))
        elif problem.outcome is not Outcome.SKIPPED:
            pages.write(problem, cells)

    run(source, options, on_progress=on_progress, cancelled=cancelled, on_problem=note)
    pages.finish()
    _save(book, Path(target))
    return pages.written


class _Pages:
    """The sheets of the workbook; a new one begins where Excel's limit is."""

    def __init__(self, book: Any, language: str) -> None:
        self._book = book
        self._language = language
        self._sheet: Any = None
        self._rows = 0
        self.titles: tuple[str, ...] = ()
        self.written = 0

    def write(self, problem: Problem, cells: Sequence[Any]) -> None:
        """One row: where, what, why, and the original cells."""
        if self._sheet is None or self._rows == SHEET_ROWS:
            self._open(len(cells))
        reason = REASONS[problem.reason].sentence(self._language).format(first_line=problem.first_line)
        self._sheet.append(
            [
                problem.line,
                problem.address,
                _OUTCOMES[problem.outcome].sentence(self._language),
                reason,
                *(self._text(cell) for cell in cells),
            ]
        )
        self._rows += 1
        self.written += 1

    def finish(self) -> None:
        """An empty list still has its heading."""
        if self._sheet is None:
            self._open(len(self.titles))

    def _open(self, columns: int) -> None:
        sheet = self._book.create_sheet(_SHEET.sentence(self._language))
        sheet.freeze_panes = "A2"
        for letter, width in zip("ABCD", _WIDTHS, strict=True):
            sheet.column_dimensions[letter].width = width
        titles = [heading.sentence(self._language) for heading in _HEADINGS]
        for index in range(max(columns, len(self.titles))):
            own = self.titles[index] if index < len(self.titles) else ""
            titles.append(own or _ORIGINAL.sentence(self._language).format(n=index + 1))
        sheet.append([self._text(title, font=Font(bold=True)) for title in titles])
        self._sheet = sheet
        self._rows = 1

    def _text(self, cell: Any, font: Font | None = None) -> Any:
        """A cell that stays text, also when somebody edits it. Control characters become their pictures."""
        text = _UNWRITABLE.sub(_picture, shown_text(cell))
        made = WriteOnlyCell(self._book.worksheets[-1] if self._book.worksheets else None, value="")
        made.value = text
        made.data_type = "s"
        made.quotePrefix = True
        made.number_format = "@"
        if font is not None:
            made.font = font
        return made


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"


_TEMPLATE_TITLES = (Sentence("卡号", "Card number"), Sentence("卡密", "Secret"), Sentence("有效期", "Expiry"))
_TEMPLATE_HELP = (
    Sentence("每行一张卡。卡号可以不填，卡密必填。", "One card a line. The number may be empty, the secret may not."),
    Sentence(
        "三列都已设为文本：长数字不会变成科学计数法，开头的 0 不会丢失。",
        "All three columns are text: long numbers keep their digits and leading zeros stay.",
    ),
    Sentence("有效期写成 2027-08-31；长期有效的留空。", "Write the expiry as 2027-08-31; leave it empty for none."),
    Sentence(
        "粘贴时请用“选择性粘贴 - 数值”或“匹配目标格式”。", "Paste as values, or match the destination's formatting."
    ),
)


def write_template(target: str | Path, *, language: str = "zh") -> None:
    """Write an empty .xlsx whose columns are text already, with a second sheet that explains them."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = Sentence("卡密", "Keys").sentence(language)
    sheet.freeze_panes = "A2"
    for index, title in enumerate(_TEMPLATE_TITLES, 1):
        column = sheet.column_dimensions["ABC"[index - 1]]
        column.width = 28
        column.number_format = "@"
        cell = sheet.cell(row=1, column=index, value=title.sentence(language))
        cell.font = Font(bold=True)
        cell.number_format = "@"
    text = book.create_sheet(Sentence("说明", "Help").sentence(language))
    text.column_dimensions["A"].width = 80
    for row, line in enumerate(_TEMPLATE_HELP, 1):
        text.cell(row=row, column=1, value=line.sentence(language)).alignment = Alignment(wrap_text=True)
    _save(book, Path(target))


def _save(book: Any, target: Path) -> None:
    """Write beside the target and put it in place at once: nobody opens half a workbook."""
    beside = target.with_name(f".{target.name}.part")
    try:
        book.save(beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
