"""The Refunds screen: first those that wait for the person at the window, then all, by state; and the one in front."""

from __future__ import annotations

from functools import partial

from desktop.presenters import refunds
from desktop.presenters.refunds import STATES, Refunds
from desktop.views.acting import ActBar
from desktop.views.cases import CasesPage
from desktop.views.listing import FeedView
from desktop.views.refunds.panel import RefundPanel
from desktop.widgets.words import state_word

_COMMANDS = {
    "refund.agree": refunds.AGREE,
    "refund.replace": refunds.REPLACE,
    "refund.refuse": refunds.REFUSE,
    "refund.approve": refunds.APPROVE,
    "refund.replace_by_shop": refunds.REPLACE_BY_SHOP,
    "refund.decline": refunds.DECLINE,
    "refund.check": refunds.CHECK,
    "refund.stop": refunds.STOP,
    "refund.retry": refunds.RETRY,
}


class RefundsPage(CasesPage):
    """See the file's head."""

    def __init__(self, presenter: Refunds) -> None:
        super().__init__("refunds", presenter)
        self.presenter = presenter
        self.say(self.title.setText, lambda: self.tr("退款"))
        self.say(self.subtitle.setText, self._purpose)
        self._mine, self._all = self.chip(), self.chip()
        self._chips = [self.chip() for _state in STATES]
        self._mine.clicked.connect(lambda: presenter.show(mine=True))
        self._all.clicked.connect(lambda: presenter.show(mine=False))
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.clicked.connect(lambda _checked=False, state=state: presenter.show(mine=False, state=state))
        shown = FeedView(
            presenter.feed,
            name=lambda: self.tr("退款列表"),
            titles=self._titles,
            empty_icon="check",
            remembered_as="refunds",
            empty=self._empty_words,
            key=lambda one: one.id,
        )
        panel, bar = RefundPanel(presenter), ActBar(presenter.acting)
        panel.body.addWidget(bar)
        panel.order_wanted.connect(partial(self.wanted.emit, "orders"))
        panel.unit_wanted.connect(partial(self.wanted.emit, "stock"))
        for command, key in _COMMANDS.items():
            self.handle_act(command, key)
        self.handle("refund.open_order", panel.open_order, when=lambda: panel.order_code is not None)
        self.handle("refund.mine", partial(presenter.show, mine=True), when=lambda: not presenter.mine)
        self.build(shown, panel, bar)

    def look(self) -> None:
        presenter = self.presenter
        waiting = presenter.count
        self._mine.setText(self.tr("待我处理 {n}").format(n=waiting) if waiting else self.tr("待我处理"))
        self._mine.setChecked(presenter.mine)
        self._all.setText(self.tr("全部"))
        self._all.setChecked(not presenter.mine and presenter.state is None)
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.setText(state_word(state))
            chip.setChecked(not presenter.mine and state is presenter.state)
        super().look()

    def _purpose(self) -> str:
        if self.presenter.is_supplier:
            return self.tr("买家说卡密有问题：核对后同意、补发或说明依据；到时不答复由店铺裁定")
        return self.tr("谁在处理、还剩多久，一直跟到渠道说钱已退回")

    def _titles(self) -> list[str]:
        return [
            self.tr("订单号"),
            self.tr("内容"),
            self.tr("金额"),
            self.tr("轮到谁"),
            self.tr("状态"),
            self.tr("原因"),
            self.tr("申请时间"),
        ]

    def _empty_words(self) -> tuple[str, ...]:
        if self.presenter.mine:
            return self.tr("没有等您处理的退款"), self.tr("点“全部”查看其他退款。")
        return self.tr("没有符合条件的退款"), self.tr("换个状态看看。")
