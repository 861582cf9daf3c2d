"""The Stock screen: counts per SKU above; below, the picked SKU as a sum that adds up, its lots and its cards."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QSplitter, QStackedWidget, QTabBar, QWidget

from desktop.presenters.stock import Stock
from desktop.theme.tokens import SPACE
from desktop.views.listing import FeedView
from desktop.views.page import Page
from desktop.widgets.basics import button, column, label, name_tool, row, tool
from desktop.widgets.ledger_bar import LedgerBar, Part
from desktop.widgets.search import SearchField
from desktop.widgets.words import state_word
from shared.states import UnitState

_STATES = {"free": UnitState.FREE, "held": UnitState.HELD, "sold": UnitState.SOLD, "void": UnitState.VOID}


class StockPage(Page):
    """See the file's head."""

    def __init__(self, presenter: Stock) -> None:
        super().__init__("stock")
        self.presenter = presenter
        self.say(self.title.setText, lambda: self.tr("库存"))
        self.say(self.subtitle.setText, lambda: self.tr("入库 = 可售 + 锁定 + 已售 + 作废"))
        self.add_refresh()
        tools = row(gap=SPACE, margins=(24, 0, 20, 10))
        self.search = SearchField()
        self.say(self.search.name, lambda: self.tr("按名称或编码筛选 ( / )"))
        self.search.asked.connect(presenter.search)
        tools.addWidget(self.search)
        tools.addStretch(1)
        self.body.addLayout(tools)
        self.list = FeedView(
            presenter.feed,
            name=lambda: self.tr("各规格库存"),
            titles=self._titles,
            empty_icon="stock",
            empty=self._empty_words,
        )
        self.list.empty.action.clicked.connect(lambda: self.wanted.emit("imports", None))
        self.table = self.list.table
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(self.list)
        self.detail = self._detail()
        self.split.addWidget(self.detail)
        self.split.setStretchFactor(0, 3)
        self.split.setStretchFactor(1, 4)
        self.detail.hide()
        self.body.addWidget(self.split, 1)
        self.table.row_changed.connect(self._row_changed)
        self.handle("list.find", self.search.setFocus)
        presenter.watch(self._look)
        presenter.feed.watch(self._look)
        self.on_words(self._look)
        self._look()

    def _detail(self) -> QWidget:
        made = QFrame()
        layout = column(made, gap=6, margins=(0, 8, 0, 0))
        head = row(gap=SPACE, margins=(24, 0, 16, 0))
        self.name = label(role="heading")
        self.code = label(role="muted", selectable=True)
        head.addWidget(self.name)
        head.addWidget(self.code)
        head.addStretch(1)
        self._import = button(icon_name="import")
        self.say(self._import.setText, lambda: self.tr("导入到此规格"))
        self._import.clicked.connect(self._import_here)
        self._import.setVisible(self.presenter.may_import)
        head.addWidget(self._import)
        close = tool("close")
        self.say(lambda words: name_tool(close, words), lambda: self.tr("关闭详情"))
        close.clicked.connect(self._close)
        head.addWidget(close)
        layout.addLayout(head)
        self.ledger = LedgerBar()
        self.say(self.ledger.setAccessibleName, lambda: self.tr("该规格的卡密去向"))
        self.ledger.setContentsMargins(14, 0, 24, 2)
        self.ledger.chosen.connect(self._figure_chosen)
        layout.addWidget(self.ledger)
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.addTab("")
        if self.presenter.may_see_units:
            self.tabs.addTab("")
        self.say(lambda words: self.tabs.setTabText(0, words), lambda: self.tr("批次"))
        if self.presenter.may_see_units:
            self.say(lambda words: self.tabs.setTabText(1, words), lambda: self.tr("卡密"))
        self.say(self.tabs.setAccessibleName, lambda: self.tr("批次或卡密"))
        line = row(margins=(24, 0, 24, 0))
        line.addWidget(self.tabs)
        line.addStretch(1)
        layout.addLayout(line)
        self._stack = QStackedWidget()
        self.lots = FeedView(
            self.presenter.lots,
            name=lambda: self.tr("批次列表"),
            titles=self._lot_titles,
            empty_icon="stock",
            empty=lambda: (self.tr("还没有批次"), self.tr("导入的每个文件是一个批次。")),
        )
        self.units = FeedView(
            self.presenter.units,
            name=lambda: self.tr("卡密列表，内容已隐藏"),
            titles=self._unit_titles,
            empty_icon="stock",
            empty=lambda: (self.tr("没有这种状态的卡密"), ""),
        )
        self._stack.addWidget(self.lots)
        self._stack.addWidget(self.units)
        layout.addWidget(self._stack, 1)
        self.tabs.currentChanged.connect(self._tab_changed)
        return made

    def enter(self) -> None:
        if self.presenter.feed.as_of is None:
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.refresh()

    def look_at(self, what: object) -> None:
        """Sent here for one SKU: show only that one."""
        if isinstance(what, str):
            self.search.setText(what)

    def _row_changed(self, at: int) -> None:
        if at >= 0:
            self.presenter.pick(at)

    def _close(self) -> None:
        self.table.clearSelection()
        self.table.setFocus()
        self.presenter.pick(-1)

    def _import_here(self) -> None:
        picked = self.presenter.picked
        if picked is not None:
            self.wanted.emit("imports", picked.sku)

    def _figure_chosen(self, key: str) -> None:
        if not self.presenter.may_see_units:
            return
        self.tabs.setCurrentIndex(1)
        self.presenter.look_at_units(_STATES.get(key))

    def _tab_changed(self, at: int) -> None:
        self._stack.setCurrentIndex(at)
        if at == 1 and self.presenter.units.as_of is None:
            self.presenter.look_at_units(self.presenter.unit_state)

    def _look(self) -> None:
        presenter = self.presenter
        self.show_age(presenter.feed.as_of)
        picked, total = presenter.picked, presenter.sum
        if picked is None or total is None:
            self.detail.hide()
            return
        is_new = self.code.text() != picked.sku
        self.name.setText(picked.name)
        self.code.setText(picked.sku)
        self.ledger.show_sum(
            Part("imported", self.tr("入库"), total.imported, "accent"),
            [
                Part("free", state_word(UnitState.FREE), total.free, "success"),
                Part("held", state_word(UnitState.HELD), total.held, "warning"),
                Part("sold", state_word(UnitState.SOLD), total.sold, "info"),
                Part("void", state_word(UnitState.VOID), total.void, "neutral"),
            ],
        )
        if is_new:
            self.ledger.choose("")
            if self.tabs.currentIndex() == 1:
                presenter.look_at_units(None)
        self.detail.show()

    def _titles(self) -> list[str]:
        return [self.tr("规格"), self.tr("编码"), self.tr("商品"), *self._figure_titles()]

    def _lot_titles(self) -> list[str]:
        return [self.tr("文件"), self.tr("导入时间"), *self._figure_titles(), self.tr("状态")]

    def _figure_titles(self) -> list[str]:
        return [self.tr("入库"), self.tr("可售"), self.tr("锁定"), self.tr("已售"), self.tr("作废")]

    def _unit_titles(self) -> list[str]:
        return [self.tr("序号"), self.tr("卡密（已遮盖）"), self.tr("所属批次"), self.tr("状态")]

    def _empty_words(self) -> tuple[str, ...]:
        if self.presenter.query:
            return self.tr("没有符合“{query}”的规格").format(query=self.presenter.query), self.tr(
                "换个词，或清空筛选。"
            )
        if self.presenter.may_import:
            return self.tr("还没有库存"), self.tr("把卡密文件拖到窗口任意位置，就会开始导入。"), self.tr("导入卡密")
        return self.tr("还没有库存"), self.tr("供货商导入卡密后会出现在这里。")
