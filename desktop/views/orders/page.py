"""The Orders screen: a list by state, a search by code, and a peek at one order with giving its money back."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QButtonGroup, QPushButton, QSplitter, QWidget

from desktop.presenters.orders import COLUMNS, FILTERS, Orders
from desktop.views.listing import FeedView
from desktop.views.orders.peek import OrderPeek
from desktop.views.page import Page
from desktop.widgets.basics import column
from desktop.widgets.flow import FlowLayout
from desktop.widgets.search import SearchField
from desktop.widgets.words import sentence, state_word
from shared.ids import speak_order_code

_CREATED, _CHANNEL = (next(at for at, one in enumerate(COLUMNS) if one.key == key) for key in ("created", "channel"))


class OrdersPage(Page):
    """See the file's head."""

    def __init__(self, presenter: Orders) -> None:
        super().__init__("orders")
        self.presenter = presenter
        self.say(self.title.setText, lambda: self.tr("订单"))
        self.say(self.subtitle.setText, lambda: self.tr("空格键预览一笔订单，斜杠键按订单号查找"))
        self.add_refresh()
        self.body.addWidget(self._orders(), 1)
        self.handle("list.find", self._find)
        acting = presenter.acting
        for act in ("ask", "confirm", "refund", "hold"):
            self.handle(f"order.{act}", partial(acting.choose, act), when=partial(acting.may, act))
        self.handle("order.copy_code", self._copy, when=lambda: self._code() is not None)
        presenter.watch(self._look)
        presenter.feed.watch(self._look)
        self.hear(presenter.acting)
        self.on_words(self._speak)
        self._speak()

    def _orders(self) -> QWidget:
        made = QWidget()
        layout = column(made, gap=0)
        tools = FlowLayout(gap=6)
        self.search = SearchField(width=230)
        self.say(self.search.name, lambda: self.tr("订单号或渠道流水号 ( / )"))
        self.search.asked.connect(lambda text: self.presenter.show(state=self.presenter.state, query=text))
        tools.addWidget(self.search)
        self._group = QButtonGroup(self)
        self._filters: list[QPushButton] = []
        for state in FILTERS:
            chip = QPushButton()
            chip.setProperty("role", "filter")
            chip.setCheckable(True)
            chip.setChecked(state is None)
            chip.setCursor(Qt.CursorShape.PointingHandCursor)
            chip.clicked.connect(
                lambda _checked=False, which=state: self.presenter.show(state=which, query=self.presenter.query)
            )
            self._group.addButton(chip)
            self._filters.append(chip)
            tools.addWidget(chip)
        above = column(margins=(24, 0, 20, 10))
        above.addLayout(tools)
        layout.addLayout(above)
        self.list = FeedView(
            self.presenter.feed,
            name=lambda: self.tr("订单列表"),
            titles=self._titles,
            empty_icon="order",
            remembered_as="orders",
            empty=self._empty_words,
        )
        self.table = self.list.table
        self.table.peeked.connect(self._toggle_peek)
        self.table.opened.connect(self._open)
        self.table.row_changed.connect(self._follow)
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(self.list)
        self.peek = OrderPeek(self.presenter)
        self.peek.refund_wanted.connect(partial(self.wanted.emit, "refunds"))
        self.peek.ledger_wanted.connect(partial(self.wanted.emit, "ledger"))
        self.peek.closed.connect(lambda: self.presenter.look_into(None))
        self.split.addWidget(self.peek)
        self.split.setStretchFactor(0, 1)
        self.split.setStretchFactor(1, 0)
        layout.addWidget(self.split, 1)
        return made

    def enter(self) -> None:
        if self.presenter.feed.as_of is None:
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.refresh()

    def look_at(self, what: object) -> None:
        """Sent here for one order, by its code."""
        if isinstance(what, str):
            self.presenter.find(what)

    def _find(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    def _toggle_peek(self, at: int) -> None:
        if self.presenter.opened is not None:
            self.presenter.look_into(None)
        else:
            self._open(at)

    def _open(self, at: int) -> None:
        self.presenter.look_into(self.presenter.feed.rows[at])

    def _follow(self, at: int) -> None:
        """While a peek is open, walking the list walks the peek."""
        if self.presenter.opened is not None and 0 <= at < len(self.presenter.feed.rows):
            self._open(at)

    def _code(self) -> str | None:
        if self.presenter.opened is not None:
            return self.presenter.opened.code
        at, rows = self.table.current_row(), self.presenter.feed.rows
        return rows[at].code if 0 <= at < len(rows) else None

    def _copy(self) -> None:
        code = self._code()
        if code is not None:
            QGuiApplication.clipboard().setText(speak_order_code(code))
            self.told.emit(self.tr("已复制订单号 {code}").format(code=speak_order_code(code)), "success")

    def _speak(self) -> None:
        for state, chip in zip(FILTERS, self._filters, strict=True):
            chip.setText(self.tr("全部") if state is None else state_word(state))
        self._look()

    def _look(self) -> None:
        presenter = self.presenter
        # The peek tells both; without them what was bought stays readable beside it.
        for hidden in (_CREATED, _CHANNEL):
            self.table.setColumnHidden(hidden, presenter.opened is not None)
        self.notice.tell(sentence(presenter.error) if presenter.error is not None else "", tone="warning")
        for state, chip in zip(FILTERS, self._filters, strict=True):
            chip.setChecked(state is presenter.state)
        self.show_age(presenter.feed.as_of)

    def _titles(self) -> list[str]:
        return [
            self.tr("订单号"),
            self.tr("下单时间"),
            self.tr("内容"),
            self.tr("金额"),
            self.tr("渠道"),
            self.tr("状态"),
        ]

    def _empty_words(self) -> tuple[str, ...]:
        if self.presenter.query or self.presenter.state is not None:
            return self.tr("没有符合条件的订单"), self.tr("换个状态，或清空查找。")
        return self.tr("还没有订单"), self.tr("买家在店铺下单后会立即出现在这里。")
