"""Several screens at one place, one of them in front: each keeps its list, its keys and its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtWidgets import QStackedWidget, QTabBar

from desktop.views.page import Page
from desktop.widgets.basics import row, write_tab


class TabbedPage(Page):
    """A place with tabs. A command of a part is carried out while that part is in front.

    Attributes:
        parts: the screens, in the order of their tabs.
        front: the one in front.
    """

    def __init__(self, place: str, parts: Sequence[tuple[Page, Callable[[], str]]]) -> None:
        super().__init__(place)
        self.subtitle.hide()  # each part has its own
        self.parts = [part for part, _words in parts]
        self._words = [words for _part, words in parts]
        self._waiting = [0] * len(parts)
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self._stack = QStackedWidget()
        for at, part in enumerate(self.parts):
            self.tabs.addTab("")
            self._stack.addWidget(part)
            self._take_in(at, part)
        line = row(margins=(24, 0, 24, 8))
        line.addWidget(self.tabs)
        line.addStretch(1)
        self.body.addLayout(line)
        self.body.addWidget(self._stack, 1)
        self.tabs.currentChanged.connect(self._turned)
        self.tabs.setHidden(len(parts) < 2)
        self.on_words(self._write_tabs)
        self._write_tabs()

    @property
    def front(self) -> Page:
        """The part in front."""
        return self.parts[self.tabs.currentIndex()]

    def _take_in(self, at: int, part: Page) -> None:
        part.nest()
        part.changed.connect(self._part_changed)
        part.told.connect(self.told)
        part.begun.connect(self.begun)
        part.offered.connect(self.offered)
        part.wanted.connect(self.wanted)
        part.counted.connect(partial(self._part_counted, at))
        for command in part.handlers:
            self.handle(command, partial(self._run, command), when=partial(self._can, command))

    def _run(self, command: str) -> None:
        self.front.handlers[command].run()

    def _can(self, command: str) -> bool:
        handler = self.front.handlers.get(command)
        return handler is not None and handler.when()

    def show_part(self, part: Page) -> None:
        """Bring a part to the front."""
        self.tabs.setCurrentIndex(self.parts.index(part))

    def enter(self) -> None:
        self.front.enter()

    def start_here(self) -> None:
        self.front.start_here()

    def refresh(self) -> None:
        self.front.refresh()

    def _turned(self, at: int) -> None:
        self._stack.setCurrentIndex(at)
        self.front.enter()
        self.front.start_here()
        self._part_changed()

    def _part_changed(self) -> None:
        self.show_age(self.front.data_as_of)

    def _part_counted(self, at: int, number: int) -> None:
        self._waiting[at] = number
        self._write_tabs()
        self.counted.emit(sum(self._waiting))

    def _write_tabs(self) -> None:
        for at, (words, waiting) in enumerate(zip(self._words, self._waiting, strict=True)):
            write_tab(self.tabs, at, f"{words()} {waiting}" if waiting else words())
