"""A sum that shows it adds up: `total = part + part + part`, where each figure is a filter of the list under it.

The widths of the coloured parts are their shares; a part that is not nothing is always visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QButtonGroup, QPushButton, QSizePolicy, QWidget

from desktop import theme
from desktop.presenters.formats import count
from desktop.widgets.basics import column, label, restyle, row

_LEAST_WIDTH = 3


@dataclass(frozen=True)
class Part:
    """One summand: what it is called, how much it is, and its voice."""

    key: str
    title: str
    number: int
    tone: str


class _Shares(QWidget):
    """The bar itself."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: Sequence[Part] = ()
        self.setFixedHeight(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_parts(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, 8)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(self.rect()), 4, 4)
        painter.setClipPath(outline)
        painter.fillRect(self.rect(), QColor(tokens.neutral_soft))
        total = sum(part.number for part in self._parts)
        left = 0.0
        for part in self._parts:
            if part.number and total:
                width = max(_LEAST_WIDTH, self.width() * part.number / total)
                colour = tokens.outline if part.tone == "neutral" else str(getattr(tokens, part.tone))
                painter.fillRect(QRectF(left, 0, width, self.height()), QColor(colour))
                left += width + 1


class _Figure(QPushButton):
    """One figure of the sum: a toggle that filters."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.key = part.key
        self.setCheckable(True)
        self.setProperty("role", "ledger")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        layout = column(self, gap=1, margins=(10, 6, 10, 6))
        self._inner = layout
        self._number = label(role="figure")
        self._title = label(role="caption")
        for text in (self._number, self._title):
            text.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            layout.addWidget(text)
        self.show_part(part)

    def show_part(self, part: Part) -> None:
        self._number.setText(count(part.number))
        voice = part.tone if part.number and part.tone not in {"neutral", "accent"} else ""
        restyle(self._number, "tone", voice)
        self._title.setText(part.title)
        self.setAccessibleName(f"{part.title} {count(part.number)}")
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        return self._inner.sizeHint()

    def minimumSizeHint(self) -> QSize:
        return self._inner.sizeHint()


class LedgerBar(QWidget):
    """Total, equals sign, parts.

    Signals:
        chosen(key): the figure `key` was pressed; empty when it was pressed again.
    """

    chosen = Signal(str)

    def __init__(self, *, name: str = "") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        layout = column(self, gap=8)
        self._sum = row(gap=2)
        layout.addLayout(self._sum)
        self._shares = _Shares()
        under = row(margins=(10, 0, 0, 0))  # the bar begins where the first figure does
        under.addWidget(self._shares)
        layout.addLayout(under)
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        self._group.buttonClicked.connect(self._pressed)
        self._figures: dict[str, _Figure] = {}
        self._total: _Figure | None = None
        self.adds_up = True

    def show_sum(self, total: Part, parts: Sequence[Part]) -> None:
        """Show `total` = the sum of `parts`. A sum that does not add up says so with its sign."""
        self.adds_up = total.number == sum(part.number for part in parts)
        if [*self._figures] != [total.key, *(part.key for part in parts)]:
            self._build(total, parts)
        self._sign.setText("=" if self.adds_up else "≠")
        restyle(self._sign, "role", "muted" if self.adds_up else "error")
        for part in (total, *parts):
            self._figures[part.key].show_part(part)
        self._shares.show_parts(parts)

    def figure(self, key: str) -> QPushButton:
        """The button of one figure."""
        return self._figures[key]

    def choose(self, key: str) -> None:
        """Show `key` as the chosen filter; an empty one shows none."""
        for name, figure in self._figures.items():
            figure.setChecked(name == key)

    def _build(self, total: Part, parts: Sequence[Part]) -> None:
        while self._sum.count():
            item = self._sum.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.deleteLater()
        self._figures = {}
        for at, part in enumerate((total, *parts)):
            if at:
                sign = label("=" if at == 1 else "+", role="muted")
                self._sum.addWidget(sign)
                if at == 1:
                    self._sign = sign
            figure = _Figure(part)
            self._group.addButton(figure)
            self._figures[part.key] = figure
            self._sum.addWidget(figure)
        self._sum.addStretch(1)

    def _pressed(self, pressed: QPushButton) -> None:
        key = pressed.key if isinstance(pressed, _Figure) and pressed.isChecked() else ""
        self.choose(key)
        self.chosen.emit(key)
