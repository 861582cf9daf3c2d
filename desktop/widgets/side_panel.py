"""A panel at the side of a list that looks into one row: a name, a badge, a way to close it, and what scrolls."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from desktop.widgets.basics import Badge, column, label, name_tool, row, rule, tool
from desktop.widgets.live import Live


class SidePanel(Live, QFrame):
    """The frame; who derives from it writes what is inside. Hidden until there is something to show.

    Signals:
        closed(): the person closed it.
    """

    closed = Signal()

    def __init__(self, *, name: Callable[[], str], close: Callable[[], str]) -> None:
        super().__init__()
        self.setProperty("role", "peek")
        outer = column(self, gap=0)
        head = row(gap=8, margins=(18, 10, 10, 8))
        self.title = label(role="heading", selectable=True)
        self.badge = Badge()
        head.addWidget(self.title)
        head.addWidget(self.badge)
        head.addStretch(1)
        press = tool("close")
        self.say(lambda words: name_tool(press, words), close)
        press.clicked.connect(self.closed)
        head.addWidget(press)
        outer.addLayout(head)
        outer.addWidget(rule())
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.say(self._area.setAccessibleName, name)
        outer.addWidget(self._area, 1)
        self.hide()

    def show_inside(self, inner: QWidget) -> None:
        """What the panel tells, in place of what it told before."""
        self._area.setWidget(inner)
