"""The cover of a workbook, which people sign: facts, totals as live formulas beside what they must be, and hashes.

It is written last, when the details are complete, and shown first; what proves it all follows (`proof`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from desktop.exporting import cells
from desktop.exporting.cells import FORMS, Kind
from desktop.exporting.grid import Details, Total, heading_row, style_of
from desktop.exporting.proof import MOMENT, NUMBER, TEXT, CoverProof, cover_line, digest_of, prove
from desktop.exporting.sheet_writer import Book, Look, Style, Warned, letters

_RULE = "E1E6EB"
_TITLE = Style(bold=True, size=16, number_format="@", quoted=True)
_SECTION = Style(bold=True, size=12, color="1F4E79", rule="1F4E79", number_format="@", quoted=True)
_LABEL = Style(color="5B6770", number_format="@", quoted=True)
_TEXT = Style(number_format="@", quoted=True)
_STRONG = Style(bold=True, number_format="@", quoted=True)
_NOTE = Style(color="5B6770", size=9, number_format="@", quoted=True, wrap=True)
_LINE = Style(rule="5B6770")
_NAME = replace(_TEXT, rule=_RULE)
_HASH = Style(size=9, number_format="@", quoted=True, rule=_RULE)
_VERDICT = Style(align="center", rule=_RULE)
_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the cover: what it is, and its value."""

    zh: str
    en: str
    kind: Kind
    value: Any


@dataclass(frozen=True, slots=True)
class Cover:
    """Who exports, from where, when."""

    exported_by: str
    server: str
    exported_at: datetime

    def facts(self) -> list[Fact]:
        """The lines that say so."""
        return [
            Fact("导出人", "Exported by", Kind.TEXT, self.exported_by),
            Fact("导出时间", "Exported at", Kind.TIME, self.exported_at),
            Fact("服务器", "Server", Kind.TEXT, self.server),
        ]


@dataclass(frozen=True, slots=True)
class Line:
    """A total of the details beside what it must be, in the same units."""

    total: Total
    printed: int


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell of the cover. With a formula, `value` is what it computes."""

    kind: Kind
    value: Any
    style: Style
    formula: str = ""


class CoverSheet:
    """The cover being written from the top, when the details are complete; then the proof."""

    def __init__(self, book: Book, details: Details, name: str, *, header: str) -> None:
        self._book = book
        self._details = details
        self._name = name
        self._row = 0
        self._printed = hashlib.sha256()
        self._formulas: list[str] = []
        self._totals: list[Total] = []
        self._warned: list[Warned] = []
        self._merged: list[str] = []
        self._words = _WORDS[details.language.startswith("en")]
        look = Look((37, 27, 27, 16), header=header, pages_high=1, gridlines=False, upright=True)
        self._sheet = book.sheet(name, look, first=True)

    # --- what is on it ----------------------------------------------------------------------------------------

    def title(self, text: str) -> None:
        """The title."""
        self._put(_Cell(Kind.TEXT, text, _TITLE), height=28)

    def section(self, text: str) -> None:
        """The heading of what follows, after an empty row."""
        self._put()
        self._put(*[_Cell(Kind.TEXT, text if n == 0 else "", _SECTION) for n in range(_COLUMNS)], height=20)

    def facts(self, facts: Sequence[Fact]) -> None:
        """Names and values."""
        for fact in facts:
            name = fact.en if self._details.language.startswith("en") else fact.zh
            self._put(_Cell(Kind.TEXT, name, _LABEL), _Cell(fact.kind, fact.value, _aligned(fact.kind, "left")))

    def lines(self, lines: Sequence[Line], *, printed: str) -> None:
        """Each total as a live formula, what it must be (headed `printed`), and whether they are the same."""
        words = self._words
        self._heading(words["figure"], words["details"], printed, words["check"])
        first = self._row + 1
        for line in lines:
            row, kind, total = self._row + 1, line.total.kind, line.total
            self._totals.append(total)
            self._put(
                _Cell(Kind.TEXT, total.title(self._details.language), _NAME),
                _Cell(kind, self._details.sums[total], _ruled(kind), formula=self._details.formula(total)),
                _Cell(kind, line.printed, _ruled(kind)),
                self._verdict(f"B{row}=C{row}", "same", fine=self._details.sums[total] == line.printed),
            )
        verdicts = f"D{first}:D{self._row}"
        all_same = f'COUNTIF({verdicts},"{words["same"]}")={len(lines)}'
        fine = all(self._details.sums[line.total] == line.printed for line in lines)
        self._put(
            _Cell(Kind.TEXT, words["overall"], _STRONG), None, None, self._verdict(all_same, "all_same", fine=fine)
        )
        self._warned.append(Warned(verdicts, words["differs"], words["same"]))
        self._warned.append(Warned(f"D{self._row}", words["differs"], words["all_same"]))

    def sheets(self) -> None:
        """The rows and the hash of every detail sheet, and the hash of all."""
        words, parts = self._words, self._details.parts
        self._heading(words["sheet"], words["sha256"], "", words["rows"])
        self._merged.append(f"B{self._row}:C{self._row}")
        for part in parts:
            self._hash(part.sheet, part.sha256, part.rows, _NAME)
        self._hash(words["all_rows"], digest_of(parts), sum(part.rows for part in parts), _STRONG)
        self.note(words["hash_rule"])

    def note(self, text: str) -> None:
        """Words for readers, over the whole width."""
        self._put(_Cell(Kind.TEXT, text, _NOTE), height=48)
        self._merged.append(f"A{self._row}:{letters(_COLUMNS - 1)}{self._row}")

    def signed_by(self, *people: str) -> None:
        """Lines on which people sign, by hand."""
        self._put()
        for who in people:
            self._put(_Cell(Kind.TEXT, who, _LABEL), _Cell(Kind.TEXT, "", _LINE), None, height=30)

    def end(self) -> None:
        """Complete the cover, and write the proof after it."""
        self._sheet.end(warned=self._warned, merged=self._merged)
        cover = CoverProof(self._name, self._printed.hexdigest(), tuple(self._formulas), tuple(self._totals))
        prove(self._book, self._details, cover)

    # --- its rows ---------------------------------------------------------------------------------------------

    def _heading(self, *titles: str) -> None:
        self._row += 1
        self._sheet.write(heading_row(self._book, self._row, titles))
        self._print([TEXT + title if title else "" for title in titles])

    def _hash(self, name: str, sha256: str, rows: int, style: Style) -> None:
        self._put(
            _Cell(Kind.TEXT, name, style),
            _Cell(Kind.TEXT, sha256, _HASH),
            _Cell(Kind.TEXT, "", _HASH),
            _Cell(Kind.COUNT, rows, _ruled(Kind.COUNT)),
        )
        self._merged.append(f"B{self._row}:C{self._row}")

    def _verdict(self, condition: str, word: str, *, fine: bool) -> _Cell:
        words = self._words
        formula = f'IF({condition},"{words[word]}","{words["differs"]}")'
        return _Cell(Kind.TEXT, words[word] if fine else words["differs"], _VERDICT, formula=formula)

    def _put(self, *row: _Cell | None, height: int = 18) -> None:
        self._row += 1
        written, printed = [f'<row r="{self._row}" ht="{height}" customHeight="1">'], []
        for column, cell in enumerate(row):
            printed.append("")
            if cell is None:
                continue
            [said] = cells.texts(cell.kind, [cell.value], self._details.language)
            place, style = f"{letters(column)}{self._row}", self._book.style(cell.style)
            if cell.formula:
                typed = ' t="str"' if cell.kind is Kind.TEXT else ""
                written.append(f'<c r="{place}" s="{style}"{typed}><f>{escape(cell.formula)}</f><v>{said}</v></c>')
                self._formulas.append(place)
                continue
            written += cells.marks(cell.kind, letters(column), style, [self._row], [said])
            if said:
                text = cells.hashed(cell.kind, [said])[0].removesuffix("T00:00:00")
                printed[-1] = _tag(cell.kind) + text
            else:
                written.append(f'<c r="{place}" s="{style}"/>')
        self._sheet.write("".join(written) + "</row>")
        self._print(printed)

    def _print(self, printed: list[str]) -> None:
        self._printed.update(cover_line(printed))


def _tag(kind: Kind) -> str:
    if FORMS[kind].units:
        return NUMBER
    return MOMENT if kind in {Kind.TIME, Kind.DAY} else TEXT


def _aligned(kind: Kind, align: str) -> Style:
    return replace(style_of(kind), align=align, indent=0)


def _ruled(kind: Kind) -> Style:
    return replace(style_of(kind), rule=_RULE)


_WORDS: dict[bool, dict[str, str]] = {
    False: {
        "figure": "项目",
        "details": "明细合计（公式）",
        "check": "核对",
        "same": "一致",
        "differs": "不一致",
        "all_same": "全部一致",
        "overall": "结论",
        "sheet": "工作表",
        "rows": "行数",
        "sha256": "SHA-256",
        "all_rows": "全部明细行 SHA-256",
        "hash_rule": "工作表的 SHA-256 按行计算：各列文字以制表符连接，以换行结尾，不含表头；时间为 ISO 8601，"
        "数字不带千分位和尾零。全部明细行的 SHA-256 对各表的“名称、制表符、SHA-256、换行”计算。"
        "用 Excel、WPS 或 LibreOffice 另存后仍可核验：kameng verify 文件。",
    },
    True: {
        "figure": "Figure",
        "details": "Details (formula)",
        "check": "Check",
        "same": "same",
        "differs": "differs",
        "all_same": "all the same",
        "overall": "Verdict",
        "sheet": "Sheet",
        "rows": "Rows",
        "sha256": "SHA-256",
        "all_rows": "SHA-256 of all rows",
        "hash_rule": "A sheet's SHA-256 is over its rows without the heading: the texts of the columns joined by tabs, "
        "ended by a line feed; times in ISO 8601, numbers without separators and trailing zeros. The one of all rows "
        "is over name, tab, SHA-256, line feed of every sheet. A workbook that another program saved can still be "
        "verified: kameng verify FILE.",
    },
}
