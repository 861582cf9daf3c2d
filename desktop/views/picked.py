"""A screen of a list whose rows say all there is to know: the list, and below it what may be done about one of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from desktop.presenters.picked import Picked
from desktop.views.acting import ActBar
from desktop.views.listing import FeedView
from desktop.views.page import Page


class PickedPage(Page):
    """What such screens share. A screen calls `build` with its list."""

    def __init__(self, place: str, presenter: Picked[Any]) -> None:
        super().__init__(place)
        self.picked = presenter
        self.add_refresh()

    def build(self, shown: FeedView) -> None:
        """Put the screen together."""
        presenter = self.picked
        self.list, self.table = shown, shown.table
        self.bar = ActBar(presenter.acting, margin=24)
        self.body.addWidget(shown, 1)
        self.body.addWidget(self.bar)
        self.table.row_changed.connect(self._follow)
        self.hear(presenter.acting)
        presenter.watch(self.look)
        presenter.feed.watch(self.look)
        self.on_words(self.look)
        self.look()

    def handle_act(self, command: str, key: str) -> None:
        """A command stands for choosing this act."""
        acting = self.picked.acting
        self.handle(command, partial(acting.choose, key), when=partial(acting.may, key))

    def enter(self) -> None:
        if self.picked.feed.as_of is None and not self.picked.feed.loading:
            self.picked.show_list()

    def refresh(self) -> None:
        self.picked.feed.reload()

    def look(self) -> None:
        """Show what has become of it."""
        if self.picked.feed.rows and self.table.current_row() < 0:
            self.table.go_to(0)
        self.show_age(self.picked.feed.as_of)

    def _follow(self, at: int) -> None:
        rows = self.picked.feed.rows
        self.picked.choose(rows[at] if 0 <= at < len(rows) else None)
