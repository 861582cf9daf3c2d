"""What every screen has: a heading, the age of its data, a place for a notice, a body, the commands it carries out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractButton, QWidget

from desktop.presenters.acting import Acting
from desktop.presenters.words import in_words
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import Notice, column, label, name_tool, row, tool
from desktop.widgets.big_table import BigTable
from desktop.widgets.live import Live


@dataclass(frozen=True)
class Handler:
    """How a screen carries out one command, and whether there is something to do now."""

    run: Callable[[], None]
    when: Callable[[], bool]


class Page(Live, QWidget):
    """A screen.

    Attributes:
        handlers: the commands of `desktop.commands` that this screen carries out.

    Signals:
        changed(): another set of commands may be enabled, or the age changed.
        told(text, tone): short news for the person.
        offered(text, action, run): news that something can be done about at once.
        wanted(place, what): another screen should come to the front and look at `what`.
        counted(number): so many things on this screen wait for a person, wherever that person is.
        begun(): the person began to decide something: good news makes room.
        warned(text): something is wrong that everybody at this window should see; empty when it is over.
    """

    changed = Signal()
    told = Signal(str, str)
    offered = Signal(str, str, object)
    wanted = Signal(str, object)
    counted = Signal(int)
    begun = Signal()
    warned = Signal(str)

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place
        self.setProperty("role", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.handlers: dict[str, Handler] = {}
        self.data_as_of: datetime | None = None
        outer = column(self, gap=0)
        self._head = row(gap=SPACE, margins=(24, 18, 20, 12))
        words = column(gap=2)
        self.title = label(role="title")
        self.subtitle = label(role="muted")
        words.addWidget(self.title)
        words.addWidget(self.subtitle)
        self._head.addLayout(words)
        self._head.addStretch(1)
        self.tools = row(gap=SPACE)
        self._head.addLayout(self.tools)
        outer.addLayout(self._head)
        notices = column(gap=SPACE, margins=(24, 0, 24, 0))
        self.notice = Notice()
        notices.addWidget(self.notice)
        notices.addSpacing(4)
        outer.addLayout(notices)
        self.body = column(gap=0)
        outer.addLayout(self.body, 1)

    def nest(self) -> None:
        """Stand below the tabs of another screen, which has the title."""
        self.title.hide()
        self._head.setContentsMargins(24, 0, 20, 8)

    def handle(self, command: str, run: Callable[[], None], *, when: Callable[[], bool] = lambda: True) -> None:
        """Carry out `command` while this screen is in front."""
        self.handlers[command] = Handler(run, when)

    def hear(self, acting: Acting[Any]) -> None:
        """Tell what was done by it, and that the person is about to do something."""
        was_acting = False

        def look() -> None:
            nonlocal was_acting
            is_acting = acting.chosen is not None
            if is_acting and not was_acting:
                self.begun.emit()
            was_acting = is_acting
            if acting.said is not None:
                self.told.emit(in_words(acting.said), "success")
            self.changed.emit()

        acting.watch(look)

    def add_refresh(self) -> None:
        """Put a refresh button into the heading."""
        again = tool("refresh")
        self.say(lambda words: name_tool(again, words), lambda: self.tr("刷新 (F5)"))
        again.clicked.connect(self.refresh)
        self.tools.addWidget(again)
        self.handle("list.refresh", self.refresh)

    def show_age(self, instant: datetime | None) -> None:
        """The data in front was read at `instant`."""
        self.data_as_of = instant
        self.changed.emit()

    def refresh(self) -> None:
        """Read what is shown again."""

    def enter(self) -> None:
        """The screen came to the front."""

    def start_here(self) -> None:
        """Take the keyboard, on the first list there is, unless something else than a button of this screen has it: Qt
        leaves it on the first one, or on the one to sign out.
        """
        held = self.focusWidget() if self.isVisible() else None
        if held is None or not held.hasFocus() or isinstance(held, QAbstractButton):
            lists = (table for table in self.findChildren(BigTable) if table.isVisible())
            next(lists, self).setFocus()

    def look_at(self, what: object) -> None:
        """Another screen sent the person here for `what`."""
