"""What stands where rows would be: a picture, one sentence, and the next thing to do."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from desktop.widgets.basics import Glyph, button, column, label

WITH_PICTURE = 170
"""From this height on there is room for the picture."""


class EmptyState(QWidget):
    """An empty place that says why it is empty. `action` is the button to press; hidden while it has no words."""

    def __init__(self, icon_name: str) -> None:
        super().__init__()
        layout = column(self, gap=10, margins=(24, 24, 24, 24))
        layout.addStretch(2)
        self._picture = Glyph(icon_name, tint="outline", size=40)
        layout.addWidget(self._picture, 0, Qt.AlignmentFlag.AlignHCenter)
        self._title = label(role="heading")
        self._hint = label(role="muted", wrap=True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._hint.setMaximumWidth(440)
        self._hint.setMinimumWidth(360)
        self.action = button(role="primary")
        layout.addWidget(self._title, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self._hint, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(6)
        layout.addWidget(self.action, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
        self.action.hide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where there is little room the words come first."""
        super().resizeEvent(event)
        self._picture.setVisible(event.size().height() >= WITH_PICTURE)

    def tell(self, title: str, hint: str = "", action: str = "") -> None:
        """Say why it is empty, and what may be done."""
        self._title.setText(title)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self.action.setText(action)
        self.action.setVisible(bool(action))
