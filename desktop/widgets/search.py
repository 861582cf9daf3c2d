"""The filter field of a list: asks a moment after the last key, at once on Enter, everything again on Escape."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit

from desktop.theme.icons import icon

REST_MS = 250


class SearchField(QLineEdit):
    """A filter field.

    Signals:
        asked(text): show what matches `text`.
    """

    asked = Signal(str)

    def __init__(self, *, width: int = 260) -> None:
        super().__init__()
        self.setClearButtonEnabled(True)
        self.setFixedWidth(width)
        self.addAction(icon("search", tint="muted"), QLineEdit.ActionPosition.LeadingPosition)
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
        if event.key() == Qt.Key.Key_Escape:
            if self.text():
                self.clear()
            else:
                self.focusNextChild()
            return
        super().keyPressEvent(event)

    def _ask(self) -> None:
        self._timer.stop()
        if self.text() != self._asked:
            self._asked = self.text()
            self.asked.emit(self.text())
