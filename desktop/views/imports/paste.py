"""Pasting lines: shows what is on the clipboard, counted, before it goes the way of a file."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QPlainTextEdit, QWidget

from desktop.presenters.formats import count
from desktop.theme.apply import key_font
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import button, column, label, row
from desktop.widgets.live import Live


class PasteDialog(Live, QDialog):
    """The dialog.

    Signals:
        taken(text): check these lines.
    """

    taken = Signal(str)

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("粘贴卡密"))
        layout = column(self, gap=SPACE, margins=(24, 20, 24, 18))
        layout.addWidget(label(self.tr("粘贴卡密"), role="title"))
        hint = self.tr("每行一张卡；卡号和卡密之间可以用 ---- 、制表符、逗号或空格隔开。下一步会预览。")
        layout.addWidget(label(hint, role="muted", wrap=True))
        self.field = QPlainTextEdit()
        self.field.setAccessibleName(self.tr("每行一张卡"))
        self.field.setFont(key_font())
        self.field.setTabChangesFocus(True)
        self.field.setPlaceholderText("A0001----K3J9-22MX-P7QT\nA0002----7HHW-M4C1-Z9RB")
        self.field.setPlainText(text)
        self.field.textChanged.connect(self._count)
        layout.addWidget(self.field, 1)
        foot = row(gap=SPACE)
        self.lines = label(role="muted")
        foot.addWidget(self.lines, 1)
        leave = button(self.tr("取消"))
        leave.clicked.connect(self.reject)
        self.go_on = button(self.tr("预览"), role="primary")
        self.go_on.clicked.connect(self._take)
        foot.addWidget(leave)
        foot.addWidget(self.go_on)
        layout.addLayout(foot)
        self.resize(600, 420)
        self._count()

    def _count(self) -> None:
        lines = sum(1 for line in self.field.toPlainText().splitlines() if line.strip())
        self.lines.setText(self.tr("{lines} 行").format(lines=count(lines)))
        self.go_on.setEnabled(lines > 0)

    def _take(self) -> None:
        text = self.field.toPlainText()
        self.field.clear()
        self.accept()
        self.taken.emit(text)
