"""What people keep from being settled: the list, and letting go."""

from __future__ import annotations

from functools import partial

from desktop.presenters.holds import FREE, Holds
from desktop.presenters.words import in_words
from desktop.views.acting import ActBar
from desktop.views.listing import FeedView
from desktop.views.page import Page


class HoldsPage(Page):
    """See the file's head."""

    def __init__(self, presenter: Holds) -> None:
        super().__init__("holds")
        self.presenter = presenter
        self.add_refresh()
        self.say(self.subtitle.setText, lambda: self.tr("人工暂缓的订单和供应商；在“应结”或订单里暂缓，在这里放行"))
        self.list = FeedView(
            presenter.feed,
            name=lambda: self.tr("暂缓列表"),
            titles=self._titles,
            empty_icon="check",
            remembered_as="holds",
            empty=lambda: (self.tr("没有人工暂缓"), self.tr("可以结算的都会进入结算单。")),
            key=lambda one: one.id,
        )
        self.table = self.list.table
        self.bar = ActBar(presenter.acting, margin=24)
        self.body.addWidget(self.list, 1)
        self.body.addWidget(self.bar)
        self.table.row_changed.connect(self._follow)
        self.table.opened.connect(self._open_order)
        acting = presenter.acting
        self.handle("hold.free", partial(acting.choose, FREE), when=partial(acting.may, FREE))
        acting.watch(self._look_at_acting)
        presenter.feed.watch(self.look)
        self.look()

    def enter(self) -> None:
        if self.presenter.feed.as_of is None and not self.presenter.feed.loading:
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.feed.reload()

    def look(self) -> None:
        """Show what has become of it."""
        if self.presenter.feed.rows and self.table.current_row() < 0:
            self.table.go_to(0)
        self.show_age(self.presenter.feed.as_of)

    def _follow(self, at: int) -> None:
        rows = self.presenter.feed.rows
        self.presenter.choose(rows[at] if 0 <= at < len(rows) else None)

    def _open_order(self, at: int) -> None:
        rows = self.presenter.feed.rows
        code = rows[at].order_code if 0 <= at < len(rows) else None
        if code is not None:
            self.wanted.emit("orders", code)

    def _look_at_acting(self) -> None:
        said = self.presenter.acting.said
        if said is not None:
            self.told.emit(in_words(said), "success")
        self.changed.emit()

    def _titles(self) -> list[str]:
        return [
            self.tr("暂缓的内容"),
            self.tr("原因"),
            self.tr("到哪一天"),
            self.tr("暂缓人"),
            self.tr("暂缓时间"),
        ]
