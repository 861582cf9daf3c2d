"""A screen that people work through: filters, a list, and at its side the one they are on with what may be done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QButtonGroup, QPushButton, QSplitter, QVBoxLayout

from desktop.presenters.cases import Cases
from desktop.presenters.many import ManyCases, key_of
from desktop.views.acting import ActBar
from desktop.views.listing import FeedView
from desktop.views.page import Page
from desktop.views.side import SidePanel
from desktop.widgets.basics import column
from desktop.widgets.flow import FlowLayout
from desktop.widgets.words import sentence

LEAST_SIZE = (240, 96)
"""So small a list may become beside its panel, or below a form; columns that can be spared are left out."""

TIMES_EVERY_MS = 30_000
"""How often the time that is left is written anew."""


class CasesPage(Page):
    """What such screens share. A screen calls `build` once it has made its list and its panel."""

    list: FeedView
    panel: SidePanel
    bar: ActBar

    def __init__(self, place: str, presenter: Cases[Any]) -> None:
        super().__init__(place)
        self.cases = presenter
        self._was_acting = False
        self.add_refresh()
        self.filters = FlowLayout(gap=6)
        above = column(margins=(24, 4, 20, 10))
        above.addLayout(self.filters)
        self.room().addLayout(above)
        self._group = QButtonGroup(self)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._write_times)
        self._timer.start(TIMES_EVERY_MS)

    def room(self) -> QVBoxLayout:
        """Where the filters and the list are: the whole screen, unless a screen has more than these."""
        return self.body

    def chip(self) -> QPushButton:
        """One more filter; exactly one is chosen."""
        made = QPushButton()
        made.setProperty("role", "filter")
        made.setCheckable(True)
        self._group.addButton(made)
        self.filters.addWidget(made)
        return made

    def build(self, shown: FeedView, panel: SidePanel, bar: ActBar) -> None:
        """Put the screen together."""
        self.list, self.panel, self.bar, self.table = shown, panel, bar, shown.table
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        shown.setMinimumSize(*LEAST_SIZE)
        split.addWidget(shown)
        split.addWidget(panel)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 0)
        self.room().addWidget(split, 1)
        self.table.row_changed.connect(self._follow)
        self.table.peeked.connect(self._open)
        self.table.opened.connect(self._open)
        panel.closed.connect(partial(self.cases.look_into, None))
        self.cases.watch(self.look)
        self.cases.feed.watch(self.look)
        self.cases.waiting.watch(self.look)
        self.hear(self.cases.acting)
        self.cases.acting.watch(self._look_at_acting)
        self.on_words(self.look)
        self.look()

    def number(self) -> int:
        """How many things on this screen wait for this person."""
        return self.cases.count

    def handle_act(self, command: str, key: str) -> None:
        """A command stands for choosing this act."""
        acting = self.cases.acting
        self.handle(command, lambda: acting.choose(self._key(key)), when=lambda: acting.may(self._key(key)))

    def let_pick(self, command: str, *, when: Callable[[], bool] = lambda: True) -> None:
        """Rows that are selected are decided on together; `command` selects all that the filters leave."""
        self.table.picked_changed.connect(self._pick)
        self.list.model.modelReset.connect(self._pick)  # a list that was read anew selects nothing, and says nothing
        self.handle(command, self._pick_all, when=when)

    def _pick(self) -> None:
        rows = self.cases.feed.rows
        picked = [row for first, last in self.table.picked_ranges() for row in rows[first : last + 1]]
        self._many().pick(picked)

    def _pick_all(self) -> None:
        self._many().read_all(self.table.selectAll)

    def _many(self) -> ManyCases[Any]:
        assert isinstance(self.cases, ManyCases)
        return self.cases

    def _key(self, key: str) -> str:
        """The key of an act about what is picked, or about the one in front."""
        return key_of(key, self.cases.picked) if isinstance(self.cases, ManyCases) else key

    def enter(self) -> None:
        if self.cases.feed.as_of is None and not self.cases.feed.loading:
            self.cases.show_list()

    def refresh(self) -> None:
        self.cases.refresh()

    def look_at(self, what: object) -> None:
        """Sent here for one, by its id."""
        if not isinstance(what, UUID):
            return
        self.table.go_to(self._row_of(what))
        if self.cases.opened is None or self.cases.opened.id != what:
            self.cases.find(what)

    def _row_of(self, case_id: UUID) -> int:
        return self.cases.feed.listing.find(lambda one: one.id == case_id)

    def look(self) -> None:
        """Show what has become of it."""
        cases = self.cases
        self.notice.tell(sentence(cases.error) if cases.error is not None else "", tone="danger")
        self.panel.setVisible(cases.opened is not None)
        if cases.opened is not None:
            self.list.stand_on(cases.opened.id)
        self.counted.emit(self.number())
        if cases.feed.rows and self.table.current_row() < 0 and cases.error is None and not cases.is_finding:
            self.table.go_to(0 if cases.opened is None else self._row_of(cases.opened.id))
        self.show_age(cases.feed.as_of)

    def _look_at_acting(self) -> None:
        """Done or dropped: the keyboard goes on in the list."""
        is_acting = self.cases.acting.chosen is not None
        was_acting, self._was_acting = self._was_acting, is_acting
        if was_acting and not is_acting and self.table.isVisible():
            self.table.setFocus()

    def _follow(self, at: int) -> None:
        if 0 <= at < len(self.cases.feed.rows):
            self.cases.look_into(self.cases.feed.rows[at])

    def _open(self, at: int) -> None:
        self._follow(at)
        self.bar.start()

    def _write_times(self) -> None:
        self.cases.feed.listing.write_again()
        self.cases.changed()
