"""What covers the window while files hang over it: says what letting go will do, before anybody lets go."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from desktop import theme
from desktop.widgets.basics import Glyph, column, label


class DropOverlay(QWidget):
    """Covers its parent. Mouse and drop events go through it to the window."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        layout = column(self, gap=10, margins=(40, 40, 40, 40))
        layout.addStretch(1)
        self._glyph = Glyph("import", tint="accent", size=56)
        layout.addWidget(self._glyph, 0, Qt.AlignmentFlag.AlignHCenter)
        self._title = label(role="title")
        self._files = label(role="muted")
        self._files.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self._title, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self._files, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
        self.hide()

    @property
    def text(self) -> str:
        """Everything it says now."""
        return f"{self._title.text()}\n{self._files.text()}"

    def offer(self, title: str, files: str, *, welcome: bool = True) -> None:
        """Say what will happen; not `welcome` says why nothing will."""
        self._title.setText(title)
        self._files.setText(files)
        self._glyph.show_icon("import" if welcome else "alert", tint="accent" if welcome else "warning")
        parent = self.parentWidget()
        if parent is not None:
            self.setGeometry(parent.rect())
        self.raise_()
        self.show()

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(tokens.surface)
        ground.setAlpha(238)
        painter.fillRect(self.rect(), ground)
        painter.setPen(QPen(QColor(tokens.accent), 2, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(20, 20, -20, -20), 14, 14)
