"""The key sheet (`?`): every command that has a key, by group, made from the table of commands."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QFrame, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from desktop.commands import ALL, Command, title_of_group
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import KeyCap, button, column, label, row
from desktop.widgets.live import Live


def native(keys: str) -> str:
    """A key sequence as it is printed on this system's keyboards."""
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)


class KeySheet(Live, QDialog):
    """The sheet. `may` says which commands this person could ever run."""

    def __init__(self, parent: QWidget, *, may: Callable[[Command], bool]) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("快捷键一览"))
        outer = column(self, gap=SPACE, margins=(24, 20, 24, 18))
        outer.addWidget(label(self.tr("快捷键一览"), role="title"))
        outer.addWidget(label(self.tr("所有操作也都在命令面板里（Ctrl+K）。"), role="muted"))
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setAccessibleName(self.tr("快捷键一览"))
        area.setFrameShape(QFrame.Shape.NoFrame)
        inner = QWidget()
        area.setWidget(inner)
        columns = row(inner, gap=32, margins=(0, 6, 12, 6))
        sides = [column(gap=4), column(gap=4)]
        for side in sides:
            columns.addLayout(side, 1)
        shown = [command for command in ALL if command.keys and may(command)]
        groups = list(dict.fromkeys(command.group for command in shown))
        for group in groups:
            commands = [command for command in shown if command.group == group]
            shorter = min(sides, key=lambda side: side.count())
            self._add_group(shorter, title_of_group(group), [(c.title(), c.keys) for c in commands])
        in_tables = [
            (self.tr("下一行 / 上一行"), ("J", "K")),
            (self.tr("预览详情"), ("Space",)),
            (self.tr("打开"), ("Return",)),
            (self.tr("首行 / 末行"), ("Home", "End")),
            (self.tr("复制所选行"), ("Ctrl+C",)),
        ]
        self._add_group(min(sides, key=lambda side: side.count()), self.tr("表格中"), in_tables)
        for side in sides:
            side.addStretch(1)
        outer.addWidget(area, 1)
        foot = row()
        foot.addStretch(1)
        close = button(self.tr("关闭"), role="primary")
        close.clicked.connect(self.accept)
        foot.addWidget(close)
        outer.addLayout(foot)
        self.resize(min(760, parent.width() - 60), min(600, parent.height() - 60))

    def _add_group(self, side: QVBoxLayout, title: str, lines: list[tuple[str, tuple[str, ...]]]) -> None:
        side.addWidget(label(title, role="heading"))
        grid = QGridLayout()
        grid.setContentsMargins(0, 2, 0, 14)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(0, 1)
        for at, (words, keys) in enumerate(lines):
            grid.addWidget(label(words, wrap=True), at, 0)
            caps = row(gap=4)
            for key in keys:
                caps.addWidget(KeyCap(native(key)))
            grid.addLayout(caps, at, 1, Qt.AlignmentFlag.AlignRight)
        side.addLayout(grid)
