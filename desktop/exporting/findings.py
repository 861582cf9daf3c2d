"""What `verify` can find, each with its sentence in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.sentence import Sentence


class Found(StrEnum):
    """A way in which a workbook is not as it was written."""

    ROWS_CHANGED = "rows_changed"
    ROWS_ADDED = "rows_added"
    ROWS_REMOVED = "rows_removed"
    ROWS_MOVED = "rows_moved"
    HEADING = "heading"
    COVER = "cover"
    FORMULA = "formula"
    TOTAL = "total"
    SHEET_MISSING = "sheet_missing"
    SHEET_ADDED = "sheet_added"
    PROOF = "proof"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: on which sheet, at which row first (None where that is not known), and figures for its sentence."""

    found: Found
    sheet: str
    row: int | None = None
    count: int = 0
    what: str = ""
    written: str = ""
    read: str = ""

    def sentence(self, language: str) -> str:
        """For people."""
        facts = {
            "sheet": self.sheet,
            "count": self.count,
            "what": self.what,
            "written": self.written,
            "read": self.read,
        }
        return _SENTENCES[self.found].sentence(language).format(row=self.row or "?", **facts)


_SENTENCES = {
    Found.ROWS_CHANGED: Sentence(
        "工作表“{sheet}”有 {count} 行被修改，第一处在第 {row} 行。",
        "Sheet “{sheet}”: rows changed: {count}, the first is row {row}.",
    ),
    Found.ROWS_ADDED: Sentence(
        "工作表“{sheet}”多出 {count} 行，从第 {row} 行起与原文件不同。",
        "Sheet “{sheet}”: rows added: {count}; it differs from row {row} on.",
    ),
    Found.ROWS_REMOVED: Sentence(
        "工作表“{sheet}”少了 {count} 行，从第 {row} 行起与原文件不同。",
        "Sheet “{sheet}”: rows removed: {count}; it differs from row {row} on.",
    ),
    Found.ROWS_MOVED: Sentence(
        "工作表“{sheet}”的行没有增减，但顺序变了，从第 {row} 行起。",
        "Sheet “{sheet}” has the same rows in another order, from row {row} on.",
    ),
    Found.HEADING: Sentence("工作表“{sheet}”的表头被修改。", "Sheet “{sheet}”: its heading was changed."),
    Found.COVER: Sentence("封面“{sheet}”的内容被修改。", "The cover “{sheet}” was changed."),
    Found.FORMULA: Sentence(
        "封面“{sheet}”的 {what} 单元格原来是公式，现在不是。",
        "The cover “{sheet}”: {what} was a formula and is none now.",
    ),
    Found.TOTAL: Sentence(
        "“{what}”与导出时不符：导出时明细合计 {written}，现在是 {read}。",
        "“{what}”: the details summed to {written} when it was written, now to {read}.",
    ),
    Found.SHEET_MISSING: Sentence("工作表“{sheet}”不见了。", "Sheet “{sheet}” is missing."),
    Found.SHEET_ADDED: Sentence("工作表“{sheet}”是后来加的。", "Sheet “{sheet}” was added later."),
    Found.PROOF: Sentence(
        "隐藏的“{sheet}”表被修改，无法确认其余内容。",
        "The hidden sheet “{sheet}” was changed; the rest cannot be told.",
    ),
}
