"""The Exceptions screen: money and orders that need a person, by state, kind and channel; and the one in front."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QComboBox

from desktop.presenters.exceptions import STATES, Exceptions
from desktop.presenters.words import CHANNELS, channel_word
from desktop.views.acting import ActBar
from desktop.views.cases import CasesPage
from desktop.views.exceptions.panel import ExceptionPanel
from desktop.views.listing import FeedView
from desktop.widgets.words import state_word
from shared.ids import speak_order_code
from shared.states import ExceptionAction, ExceptionKind

_COMMANDS = {
    "exception.approve": "approve",
    "exception.send_back": "send_back",
    "exception.deliver": ExceptionAction.DELIVER.value,
    "exception.refund": ExceptionAction.REFUND.value,
    "exception.attach": ExceptionAction.ATTACH.value,
    "exception.ask_again": ExceptionAction.ASK_AGAIN.value,
    "exception.confirm": ExceptionAction.CONFIRM.value,
    "exception.record": ExceptionAction.RECORD.value,
    "exception.dismiss": ExceptionAction.DISMISS.value,
}


class ExceptionsPage(CasesPage):
    """See the file's head."""

    def __init__(self, presenter: Exceptions) -> None:
        super().__init__("exceptions", presenter)
        self.presenter = presenter
        self.say(self.title.setText, lambda: self.tr("异常款项"))
        self.say(self.subtitle.setText, lambda: self.tr("每一笔收到的钱，最后都要发货、退款，或在这里有人处理"))
        self._chips = [self.chip() for _state in STATES]
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.clicked.connect(
                lambda _checked=False, state=state: presenter.show(
                    state=state, kind=presenter.kind, channel=presenter.channel
                )
            )
        self.kinds, self.channels = QComboBox(), QComboBox()
        for box in (self.kinds, self.channels):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)  # of any language
            self.filters.addWidget(box)
        self._fill_boxes()
        self.kinds.currentIndexChanged.connect(lambda _at: self._narrow())
        self.channels.currentIndexChanged.connect(lambda _at: self._narrow())
        self.say(self.kinds.setAccessibleName, lambda: self.tr("按原因筛选"))
        self.say(self.channels.setAccessibleName, lambda: self.tr("按渠道筛选"))
        shown = FeedView(
            presenter.feed,
            name=lambda: self.tr("异常列表"),
            titles=self._titles,
            empty_icon="check",
            remembered_as="exceptions",
            empty=self._empty_words,
            key=lambda one: one.id,
        )
        panel, bar = ExceptionPanel(presenter), ActBar(presenter.acting)
        panel.body.addWidget(bar)
        panel.order_wanted.connect(partial(self.wanted.emit, "orders"))
        panel.refund_wanted.connect(partial(self.wanted.emit, "refunds"))
        panel.attach_wanted.connect(self._attach)
        for command, key in _COMMANDS.items():
            self.handle_act(command, key)
        self.handle("exception.open_order", panel.open_order, when=lambda: panel.order_code is not None)
        self.on_words(self._fill_boxes)
        self.build(shown, panel, bar)

    def look(self) -> None:
        presenter = self.presenter
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.setText(self.tr("未关闭") if state is None else state_word(state))
            chip.setChecked(state is presenter.state)
        waits = presenter.waits_for_second
        self.bar.tell(self.tr("您的提议在等另一位同事复核；您只能撤回。") if waits else "")
        super().look()

    def _attach(self, code: str) -> None:
        """Be about to attach the money to this order."""
        self.presenter.acting.choose(ExceptionAction.ATTACH.value)
        field = self.bar.fields.get("order_code")
        if field is not None:
            field.setText(speak_order_code(code))
            self.bar.start()

    def _narrow(self) -> None:
        kind, channel = self.kinds.currentData(), self.channels.currentData()
        self.presenter.show(
            state=self.presenter.state, kind=ExceptionKind(kind) if kind else None, channel=channel or None
        )

    def _fill_boxes(self) -> None:
        for box, every, items in (
            (self.kinds, self.tr("全部原因"), [(state_word(kind), kind.value) for kind in ExceptionKind]),
            (self.channels, self.tr("全部渠道"), [(channel_word(code), code) for code in CHANNELS]),
        ):
            at = max(box.currentIndex(), 0)
            box.blockSignals(True)
            box.clear()
            for words, data in [(every, ""), *items]:
                box.addItem(words, data)
            box.setCurrentIndex(at)
            box.blockSignals(False)

    def _titles(self) -> list[str]:
        return [
            self.tr("原因"),
            self.tr("状态"),
            self.tr("金额"),
            self.tr("订单号"),
            self.tr("渠道"),
            self.tr("时间"),
        ]

    def _empty_words(self) -> tuple[str, ...]:
        presenter = self.presenter
        if presenter.state is not None or presenter.kind is not None or presenter.channel is not None:
            return self.tr("没有符合条件的异常"), self.tr("换个状态、原因或渠道。")
        return self.tr("没有异常"), self.tr("收到的每一笔钱都有去处。")
