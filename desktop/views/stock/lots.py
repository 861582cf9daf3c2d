"""The lots of one SKU, and what may be done to the one a person is on."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QPushButton, QWidget

from desktop.presenters.deeds import DeedKind
from desktop.presenters.stock import Stock
from desktop.theme.tokens import SPACE
from desktop.views.listing import FeedView
from desktop.widgets.basics import Notice, button, column, name_tool, only_if, row, tool
from desktop.widgets.live import Live
from desktop.widgets.words import sentence

FOLLOW_MS = 2_000
"""While the server does something to a lot, its progress is read this often."""


_THE_SHOPS = (DeedKind.RELEASE, DeedKind.WITHDRAW)
"""What a supplier may not do to a lot that the shop froze."""


class LotsView(Live, QWidget):
    """The lots.

    Signals:
        opened(): the person wants to see the units of the lot they are on.
        copy(): the person wants to name the lot they are on to somebody else.
    """

    opened = Signal()
    copy = Signal()

    def __init__(self, presenter: Stock) -> None:
        super().__init__()
        self.presenter = presenter
        layout = column(self, gap=0)
        self.problem = Notice()
        layout.addWidget(self.problem)
        self.list = FeedView(
            presenter.lots,
            name=lambda: self.tr("批次列表"),
            titles=self._titles,
            empty_icon="stock",
            remembered_as="lots",
            empty=lambda: (
                self.tr("还没有批次"),
                self.tr("导入的文件按过期日、进价和可用次数分成批次。"),
            ),
            key=lambda lot: lot.id,
        )
        self.table = self.list.table
        self.table.row_changed.connect(presenter.pick_lot)
        self.table.opened.connect(lambda _row: self.opened.emit())
        layout.addWidget(self.list, 1)
        self._buttons: dict[DeedKind, QPushButton] = {}
        self._tools()
        self._timer = QTimer(self)
        self._timer.setInterval(FOLLOW_MS)
        self._timer.timeout.connect(self._follow)
        presenter.watch(self._look)
        presenter.deeds.watch(self._look)
        self._look()

    def _tools(self) -> None:
        """What stands beside the tabs while this view is in front."""
        self.tools = QWidget()
        line = row(self.tools, gap=SPACE)
        self._copy = tool("paste")
        self.say(lambda words: name_tool(self._copy, words), lambda: self.tr("复制批次编号，供服务器命令使用"))
        self._copy.clicked.connect(self.copy)
        line.addWidget(self._copy)
        for kind, words in (
            (DeedKind.FREEZE, lambda: self.tr("冻结")),
            (DeedKind.RELEASE, lambda: self.tr("解冻")),
            (DeedKind.WITHDRAW, lambda: self.tr("撤回批次")),
            (DeedKind.WITHDRAW_IMPORT, lambda: self.tr("撤回整个文件")),
        ):
            is_final = kind in {DeedKind.WITHDRAW, DeedKind.WITHDRAW_IMPORT}
            press = button(role="danger" if is_final else None)
            self.say(press.setText, words)
            press.clicked.connect(lambda _checked=False, which=kind: self.presenter.propose(which))
            only_if(self.presenter.deeds.may_edit, press)
            line.addWidget(press)
            self._buttons[kind] = press

    def _look(self) -> None:
        deeds = self.presenter.deeds
        why_none = deeds.error if deeds.pending is None else None
        self.problem.tell(sentence(why_none) if why_none is not None else "", tone="danger")
        self._copy.setEnabled(self.presenter.lot is not None)
        is_the_shops = deeds.is_the_shops(self.presenter.lot)
        why_not = self.tr("该批次由店铺冻结，只能由店铺解冻或撤回，请与店铺联系。") if is_the_shops else ""
        for kind, press in self._buttons.items():
            press.setToolTip(why_not if kind in _THE_SHOPS else "")
            press.setEnabled(self.presenter.may(kind))
        if self.presenter.is_at_work != self._timer.isActive():
            if self.presenter.is_at_work:
                self._timer.start()
            else:
                self._timer.stop()

    def _follow(self) -> None:
        if self.isVisible():
            self.presenter.follow_work()

    def _titles(self) -> list[str]:
        return [
            self.tr("批次"),
            self.tr("状态"),
            self.tr("文件"),
            self.tr("过期日"),
            self.tr("最后销售日"),
            self.tr("进价"),
            self.tr("次数"),
            self.tr("入库"),
            self.tr("未售"),
            self.tr("锁定"),
            self.tr("已售"),
            self.tr("作废"),
            self.tr("导入时间"),
        ]
