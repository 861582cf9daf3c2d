"""A list on screen: the table, or why it is empty, or what went wrong; and under it how much of the list is here.

A person's place survives when the same list is read again: the row they are on is found by its `key`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Any, Protocol

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from desktop.presenters.listing import Listing
from desktop.widgets.basics import button, column, label, row
from desktop.widgets.big_table import BigTable
from desktop.widgets.empty import EmptyState
from desktop.widgets.live import Live
from desktop.widgets.rows_model import RowsModel
from desktop.widgets.words import counted, exactly, how_old, sentence


class Shown(Protocol):
    """What a list must know to be shown: `desktop.presenters.feed.Feed` and `...windowed.Windowed` do."""

    listing: Listing[Any]
    as_of: datetime | None
    loading: bool
    error: Exception | None

    @property
    def size(self) -> int: ...
    @property
    def live(self) -> bool: ...
    @property
    def more(self) -> bool: ...
    @property
    def is_empty(self) -> bool: ...
    def retry(self) -> None: ...
    def watch(self, look: Callable[[], None]) -> None: ...


class FeedView(Live, QWidget):
    """One list.

    Signals:
        retry(): the person wants to try again.
    """

    retry = Signal()

    def __init__(
        self,
        feed: Shown,
        *,
        name: Callable[[], str],
        titles: Callable[[], list[str]],
        empty_icon: str,
        empty: Callable[[], tuple[str, ...]],
        key: Callable[[Any], Hashable] | None = None,
        remembered_as: str = "",
        total: Callable[[], str] = str,
    ) -> None:
        """`total` says what the rows come to; under the list, beside how many they are."""
        super().__init__()
        self._total = total
        self._feed = feed
        self._empty_words = empty
        self._titles = titles
        self._key = key
        self._stood_on: Hashable = None
        layout = column(self, gap=0)
        self._stack = QStackedWidget()
        inset = column(margins=(11, 0, 8, 0))  # the first column's text stands under the heading's
        inset.addWidget(self._stack)
        layout.addLayout(inset, 1)
        self.table = BigTable()
        self.say(self.table.setAccessibleName, name)
        self.model = RowsModel(feed.listing, titles, self)
        self.table.show_rows(self.model, remembered_as=remembered_as)
        self._stack.addWidget(self.table)
        self.empty = EmptyState(empty_icon)
        self._stack.addWidget(self.empty)
        self.trouble = EmptyState("offline")
        self.trouble.action.clicked.connect(self.retry)
        self._stack.addWidget(self.trouble)
        foot = row(gap=8, margins=(24, 5, 20, 6))
        self.count = label(role="caption")
        foot.addWidget(self.count)
        foot.addStretch(1)
        self._fresh = button(role="link")
        self._fresh.clicked.connect(self.retry)
        foot.addWidget(self._fresh)
        layout.addLayout(foot)
        self.retry.connect(feed.retry)
        self.table.row_changed.connect(self._stand)
        self.model.modelReset.connect(self._stand_again)
        feed.watch(self.look)
        self.on_words(self._speak)
        self.look()

    def _speak(self) -> None:
        self.model.speak_again()
        self.table.measure_again()
        self.look()

    def _stand(self, row: int) -> None:
        item = self._item(row) if row >= 0 and self._key is not None else None
        if item is not None and self._key is not None:
            self._stood_on = self._key(item)

    def stand_on(self, key: Hashable) -> None:
        """What a person is on by now, wherever they came to it from: the list goes to it when it is read again."""
        self._stood_on = key

    def _item(self, row: int) -> Any:
        self._feed.listing.cells(row)  # brings rows that are here already
        return self._feed.listing.item(row)

    def _stand_again(self) -> None:
        """The list was read again: go back to the row that a person was on, if it is still there."""
        if self._key is None or self._stood_on is None:
            return
        key, stood_on = self._key, self._stood_on
        self.table.go_to(self._feed.listing.find(lambda item: key(item) == stood_on))

    def look(self) -> None:
        """Show what the list has become."""
        feed = self._feed
        if feed.error is not None and not feed.size:
            self.trouble.tell(self.tr("现在读不到数据"), sentence(feed.error), self.tr("重试"))
            self._stack.setCurrentWidget(self.trouble)
        elif feed.is_empty:
            self.empty.tell(*self._empty_words())
            self._stack.setCurrentWidget(self.empty)
        else:
            self._stack.setCurrentWidget(self.table)
        self.count.setText(self._count_words())
        self.count.setToolTip(exactly(feed.as_of))
        stale = bool(feed.listing.stale)
        self._fresh.setVisible(stale or (feed.error is not None and bool(feed.size)))
        self._fresh.setText(self.tr("有新的变化，刷新") if stale else self.tr("没有读全，重试"))

    def _count_words(self) -> str:
        feed = self._feed
        if feed.as_of is None:
            return self.tr("正在读取…") if feed.loading else ""
        words = counted(
            self.tr("已载入 %n 行，向下滚动继续载入", None, feed.size)
            if feed.more
            else self.tr("共 %n 行", None, feed.size),
            feed.size,
        )
        words = " · ".join(filter(None, (words, self._total())))
        if feed.error is not None:
            words += " · " + sentence(feed.error)
        if not feed.live:
            words += " · " + self.tr("离线，这是 {age} 的数据").format(age=how_old(feed.as_of))
        return words
