"""The Channels screen: which channels take new payments, what is wrong with one, and switching it on or off."""

from __future__ import annotations

from PySide6.QtCore import QTimer

from desktop.presenters.channels import Channels
from desktop.views.acting import ActBar
from desktop.views.listing import FeedView
from desktop.views.page import Page

LOOK_EVERY_MS = 60_000
"""Counts and clocks change without an entry in the change feed."""


class ChannelsPage(Page):
    """See the file's head."""

    def __init__(self, presenter: Channels) -> None:
        super().__init__("channels")
        self.presenter = presenter
        self.say(self.title.setText, lambda: self.tr("支付渠道"))
        self.say(self.subtitle.setText, lambda: self.tr("停用只影响新的付款：已发起的付款、通知和退款照常处理"))
        self.add_refresh()
        self.list = FeedView(
            presenter.feed,
            name=lambda: self.tr("渠道列表"),
            titles=self._titles,
            empty_icon="channel",
            remembered_as="channels",
            empty=lambda: (self.tr("还没有支付渠道"), self.tr("由管理员在服务器上用 kameng-server keys 配置。")),
            key=lambda channel: channel.code,
        )
        self.table = self.list.table
        self.table.row_changed.connect(presenter.pick)
        self.bar = ActBar(presenter.acting, margin=24)
        self.table.opened.connect(lambda _row: self.bar.start())
        self.body.addWidget(self.list, 1)
        self.body.addWidget(self.bar)
        acting = presenter.acting
        self.handle("channel.switch", self._switch, when=lambda: bool(acting.acts) and not acting.busy)
        self._timer = QTimer(self)
        self._timer.timeout.connect(presenter.open)
        self._timer.start(LOOK_EVERY_MS)
        presenter.watch(self._look)
        self.hear(acting)
        self.on_words(self._look)
        self._look()

    def enter(self) -> None:
        if self.presenter.feed.as_of is None and not self.presenter.feed.loading:
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.open()

    def _switch(self) -> None:
        self.presenter.acting.choose(self.presenter.acting.acts[0].key)

    def _look(self) -> None:
        presenter = self.presenter
        if presenter.feed.rows and self.table.current_row() < 0:
            self.table.go_to(0)
        self.warned.emit(self.tr("；").join(presenter.troubles))
        self.show_age(presenter.feed.as_of)

    def _titles(self) -> list[str]:
        return [
            self.tr("渠道"),
            self.tr("状态"),
            self.tr("未完成"),
            self.tr("待确认"),
            self.tr("账单"),
            self.tr("近 24 小时得知方式"),
            self.tr("时钟相差"),
            self.tr("没有回应"),
            self.tr("最近启停"),
        ]
