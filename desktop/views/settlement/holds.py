"""What people keep from being settled: the list, and letting go."""

from __future__ import annotations

from desktop.presenters.holds import FREE, Holds
from desktop.views.listing import FeedView
from desktop.views.picked import PickedPage


class HoldsPage(PickedPage):
    """See the file's head."""

    def __init__(self, presenter: Holds) -> None:
        super().__init__("holds", presenter)
        self.presenter = presenter
        self.say(self.subtitle.setText, lambda: self.tr("人工暂缓的订单和供应商；在“应结”或订单里暂缓，在这里放行"))
        self.build(
            FeedView(
                presenter.feed,
                name=lambda: self.tr("暂缓列表"),
                titles=self._titles,
                empty_icon="check",
                remembered_as="holds",
                empty=lambda: (self.tr("没有人工暂缓"), self.tr("可以结算的都会进入结算单。")),
                key=presenter.key,
            )
        )
        self.table.opened.connect(self._open_order)
        self.handle_act("hold.free", FREE)

    def _open_order(self, at: int) -> None:
        rows = self.presenter.feed.rows
        code = rows[at].order_code if 0 <= at < len(rows) else None
        if code is not None:
            self.wanted.emit("orders", code)

    def _titles(self) -> list[str]:
        return [
            self.tr("暂缓的内容"),
            self.tr("原因"),
            self.tr("到哪一天"),
            self.tr("暂缓人"),
            self.tr("暂缓时间"),
        ]
