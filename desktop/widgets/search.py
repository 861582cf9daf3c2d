"""The filter field of a list: asks a moment after the last key, at once on Enter, everything again on Escape."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QLineEdit

from desktop.theme.icons import icon

REST_MS = 250


class SearchField(QLineEdit):
    """A filter field.

    Signals:
        asked(text): show what matches `text`.
        lines_pasted(text): several lines were pasted, or a line that is `secret`; they do not go into the field.
    """

    asked = Signal(str)
    lines_pasted = Signal(str)

    def __init__(self, *, width: int = 260) -> None:
        super().__init__()
        self.setClearButtonEnabled(True)
        self.setFixedWidth(width)
        self.addAction(icon("search", tint="muted"), QLineEdit.ActionPosition.LeadingPosition)
        self.is_secret: Callable[[str], bool] = lambda _text: False
        self._asked = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._ask)
        self.textChanged.connect(lambda _text: self._timer.start(REST_MS))
        self.returnPressed.connect(self._ask)

    def name(self, words: str) -> None:
        """Say what it searches, to eyes and ears."""
        self.setPlaceholderText(words)
        self.setAccessibleName(words)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape empties the field, or leaves it when it is empty."""
        if event.matches(QKeySequence.StandardKey.Paste) and self._take_lines():
            return
        if event.key() == Qt.Key.Key_Escape:
            if self.text():
                self.clear()
            else:
                self.focusNextChild()
            return
        super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Pasting by the menu is pasting."""
        menu = self.createStandardContextMenu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for action in menu.actions():
            if action.objectName() == "edit-paste":
                action.triggered.disconnect()
                action.triggered.connect(self._paste)
        menu.popup(event.globalPos())

    def _paste(self) -> None:
        if not self._take_lines():
            self.paste()

    def _take_lines(self) -> bool:
        """Whether what is on the clipboard is not for the field, and somebody wants it: then it is handed on."""
        text = QGuiApplication.clipboard().text()
        is_lines = sum(1 for line in text.splitlines() if line.strip()) > 1
        if (is_lines or self.is_secret(text)) and self.receivers("2lines_pasted(QString)") > 0:
            self.lines_pasted.emit(text)
            return True
        return False

    def _ask(self) -> None:
        self._timer.stop()
        if self.text() != self._asked:
            self._asked = self.text()
            self.asked.emit(self.text())
