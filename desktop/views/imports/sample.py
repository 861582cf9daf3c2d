"""The first lines of a file as they are and as they are read; covered but for the line that is pointed at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QEvent, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from desktop.presenters.check import PreviewLine, Terms, shape, terms_words, verdict, verdict_tone
from desktop.presenters.formats import MASK
from desktop.theme.apply import key_font
from desktop.widgets.big_table import BadgeDelegate
from desktop.widgets.live import Live
from desktop.widgets.rows_model import TONE_ROLE

_NOWHERE = QModelIndex()
LINE, RAW, NUMBER, SECRET, TERMS, VERDICT = range(6)
SHORTEST, LONGEST = 12, 24  # characters of a card that its column shows


class SampleModel(QAbstractTableModel):
    """At most twenty lines; `uncovered` is the one whose keys may be read."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._lines: Sequence[PreviewLine] = ()
        self._titles = [""] * 6
        self._imported = ""
        self.uncovered = -1
        self._font = key_font()

    def show_lines(self, lines: Sequence[PreviewLine]) -> None:
        if lines is self._lines:
            return
        self.beginResetModel()
        self._lines, self.uncovered = lines, -1
        self.endResetModel()

    def speak(self, titles: list[str], imported: str) -> None:
        self._titles, self._imported = titles, imported
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, VERDICT)
        if self._lines:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._lines) - 1, VERDICT))

    def uncover(self, row: int) -> None:
        """Show the keys of one line; -1 covers all."""
        if row != self.uncovered:
            changed = {at for at in (self.uncovered, row) if 0 <= at < len(self._lines)}
            self.uncovered = row
            for at in changed:
                self.dataChanged.emit(self.index(at, RAW), self.index(at, SECRET))

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._lines)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:
        return 0 if parent.isValid() else 6

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = int(Qt.ItemDataRole.DisplayRole)
    ) -> Any:
        if role == int(Qt.ItemDataRole.DisplayRole) and orientation is Qt.Orientation.Horizontal and 0 <= section < 6:
            return self._titles[section]
        return None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        if not index.isValid():
            return None
        line, at = self._lines[index.row()], index.column()
        if role == int(Qt.ItemDataRole.DisplayRole):
            return self._cell(line, at, covered=index.row() != self.uncovered)
        if role == int(Qt.ItemDataRole.FontRole) and at in {RAW, NUMBER, SECRET}:
            return self._font
        if role == int(Qt.ItemDataRole.TextAlignmentRole) and at == LINE:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == int(Qt.ItemDataRole.ToolTipRole) and at == VERDICT:
            return verdict(line, self._lines)
        return verdict_tone(line) if role == TONE_ROLE and at == VERDICT else None

    def _cell(self, line: PreviewLine, at: int, *, covered: bool) -> str:
        if at == LINE:
            return str(line.line)
        if at == VERDICT:
            return verdict(line, self._lines) or self._imported
        if at == TERMS:
            return terms_words(line.terms) if line.terms is not None else ""
        text = {RAW: line.raw, NUMBER: line.number, SECRET: line.secret}[at]
        return shape(text) if covered and line.reason != "header" else text


class SampleTable(Live, QTableView):
    """The table of first lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "raw")
        self.say(self.setAccessibleName, lambda: self.tr("文件的前几行：原文与读取结果"))
        self.lines = SampleModel(self)
        self.setModel(self.lines)
        self.setMouseTracking(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 12)
        header = self.horizontalHeader()
        header.setSectionsClickable(False)
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        wide = self.fontMetrics().horizontalAdvance("0")
        header.setMinimumSectionSize(11 * wide)
        for at, characters in ((LINE, 6), (VERDICT, 27)):
            header.resizeSection(at, characters * wide + 20)
        header.setSectionResizeMode(RAW, QHeaderView.ResizeMode.Stretch)
        self.setItemDelegateForColumn(VERDICT, BadgeDelegate(self))
        self.setMinimumHeight(self.verticalHeader().defaultSectionSize() * 7)
        self.on_words(self._speak)
        self._speak()

    def show_lines(self, lines: Sequence[PreviewLine]) -> None:
        """Show these lines, covered."""
        self.lines.show_lines(lines)
        is_single = all(not line.number for line in lines)
        self.setColumnHidden(NUMBER, is_single)
        self.setColumnHidden(TERMS, all(line.terms is None or line.terms == Terms() for line in lines))
        longest = max((terms_words(line.terms) for line in lines if line.terms is not None), key=len, default="")
        self.horizontalHeader().resizeSection(TERMS, self.fontMetrics().horizontalAdvance(longest) + 30)
        wide = max(QFontMetrics(key_font()).horizontalAdvance(one) for one in ("0", MASK))
        for at, texts in ((NUMBER, [one.number for one in lines]), (SECRET, [one.secret for one in lines])):
            characters = min(max(map(len, texts), default=0), LONGEST)
            self.horizontalHeader().resizeSection(at, max(characters, SHORTEST) * wide + 30)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Uncover the line under the mouse."""
        self.lines.uncover(self.indexAt(event.position().toPoint()).row())
        super().mouseMoveEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Cover everything."""
        self.lines.uncover(-1)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space, held down, uncovers the current line. Enter is for the sheet: it imports."""
        if event.key() == Qt.Key.Key_Space and self.currentIndex().isValid():
            self.lines.uncover(self.currentIndex().row())
        elif event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape}:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Cover it again."""
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self.lines.uncover(-1)
        super().keyReleaseEvent(event)

    def _speak(self) -> None:
        titles = [self.tr("行"), self.tr("文件中的原文"), self.tr("卡号"), self.tr("卡密")]
        titles += [self.tr("有效期 · 成本 · 次数"), self.tr("结果")]
        self.lines.speak(titles, self.tr("可导入"))
