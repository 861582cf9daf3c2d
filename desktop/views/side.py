"""The panel at the side of a list: of one row a name, its state, and all that is known; below it what may be done."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from desktop.presenters.watching import Watched
from desktop.presenters.words import tone
from desktop.theme.apply import key_font
from desktop.widgets.basics import Badge, button, column, label, name_tool, row, rule, tool
from desktop.widgets.live import Live
from desktop.widgets.words import state_word


class SidePanel(Live, QFrame):
    """Hidden while nothing is looked into.

    Signals:
        closed(): the person closed it.
    """

    closed = Signal()

    def __init__(self, *, width: int, most: int) -> None:
        super().__init__()
        self.setProperty("role", "peek")
        self._least = width
        self.setMinimumWidth(width)
        self.setMaximumWidth(most)
        self.body = column(self, gap=0)
        head = row(gap=8, margins=(18, 12, 10, 8))
        self.name = label(role="heading", selectable=True)
        self.badge = Badge()
        head.addWidget(self.name)
        head.addWidget(self.badge)
        head.addStretch(1)
        self.leave = tool("close")
        self.say(lambda words: name_tool(self.leave, words), lambda: self.tr("关闭预览"))
        self.leave.clicked.connect(self.closed)
        head.addWidget(self.leave)
        self.body.addLayout(head)
        self._head = head
        self.body.addWidget(rule())
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setMinimumHeight(1)  # what may be done comes first where there is little room
        self.body.addWidget(self.area, 1)

    def new_page(self) -> tuple[QWidget, QVBoxLayout]:
        """An empty page for `turn_to`, and its layout."""
        inner = QWidget()
        return inner, column(inner, gap=8, margins=(18, 14, 18, 18))

    def turn_to(self, inner: QWidget) -> None:
        """Show a page, where the person had scrolled to, and make room for what it is called and where it stands."""
        self._head.invalidate()  # words were written just now
        self.setMinimumWidth(min(max(self._least, self._head.minimumSize().width()), self.maximumWidth()))
        at = self.area.verticalScrollBar().value()
        self.area.setWidget(inner)
        self.area.verticalScrollBar().setValue(at)


class CasePanel(SidePanel):
    """The panel of what a screen looks into: written anew whenever that has become another.

    A screen says what its page depends on, and writes it.
    """

    def __init__(self, presenter: Watched, *, width: int, most: int, name: Callable[[], str]) -> None:
        super().__init__(width=width, most=most)
        self._written: object = None
        self.say(self.area.setAccessibleName, name)
        presenter.watch(self._look)
        self.on_words(self._write)
        self.hide()

    def shown(self) -> object:
        """All that the page depends on; None while nothing is looked into."""
        raise NotImplementedError

    def write(self, layout: QVBoxLayout) -> None:
        """Write the page of what is looked into."""
        raise NotImplementedError

    def head(self, name: str, state: StrEnum) -> None:
        """What it is called, and where it stands."""
        self.name.setText(name)
        self.badge.show_word(state_word(state), tone=tone(state))

    def _look(self) -> None:
        shown = self.shown()
        if shown != self._written:
            self._written = shown
            self._write()

    def _write(self) -> None:
        if self.shown() is not None:
            inner, layout = self.new_page()
            self.write(layout)
            layout.addStretch(1)
            self.turn_to(inner)


CODE_BESIDE = 20
"""Letters of a code that have room beside its name."""


def pair(left: str, right: str) -> QHBoxLayout:
    """A quiet word, and at the right end what it is."""
    line = row()
    line.addWidget(label(left, role="muted", wrap=True), 1)
    value = label(right)
    value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
    line.addWidget(value)
    return line


def at_left(*presses: QPushButton) -> QHBoxLayout:
    """Links in a line, none wider than its words."""
    line = row(gap=10)
    for press in presses:
        line.addWidget(press)
    line.addStretch(1)
    return line


def link(words: str, go: Callable[[], object]) -> QPushButton:
    """Words that lead somewhere."""
    made = button(words, role="link")
    made.clicked.connect(lambda _checked=False: go())
    return made


def _longest_word(value: str) -> int:
    return max(map(len, value.split()), default=0)


def facts() -> QGridLayout:
    """An empty table of facts, for `add_fact`."""
    made = QGridLayout()
    made.setHorizontalSpacing(14)
    made.setVerticalSpacing(5)
    made.setColumnStretch(1, 1)
    return made


def add_fact(table: QGridLayout, words: str, value: str, *, is_code: bool = False) -> None:
    """One more line of a table of facts. `is_code` is read letter by letter; a long one cannot break and goes below.

    What has no room is told in its tip, and pushes nothing else out of the panel.
    """
    at = table.rowCount()
    shown = label(value, wrap=not is_code, selectable=True)
    shown.setMinimumWidth(1)
    shown.setToolTip(value if _longest_word(value) > CODE_BESIDE else "")
    shown.setAccessibleName(f"{words} {value}")
    if is_code:
        shown.setFont(key_font())
    if is_code and len(value) > CODE_BESIDE:
        table.addWidget(label(words, role="muted"), at, 0, 1, 2)
        table.addWidget(shown, at + 1, 0, 1, 2)
    else:
        table.addWidget(label(words, role="muted"), at, 0, Qt.AlignmentFlag.AlignTop)
        table.addWidget(shown, at, 1)
