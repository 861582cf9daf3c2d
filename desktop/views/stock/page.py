"""The Stock screen: counts per SKU above, the picked SKU below; in front of both, when asked for, paste to find."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QSplitter, QStackedWidget, QWidget

from desktop.presenters.alerts import Alerts
from desktop.presenters.deeds import DeedKind, Done
from desktop.presenters.stock import Stock
from desktop.presenters.stock_columns import lot_name
from desktop.theme.tokens import SPACE
from desktop.views.alerts.rule import RuleSheet
from desktop.views.listing import FeedView
from desktop.views.page import Page
from desktop.views.stock.detail import StockDetail
from desktop.views.stock.find import FindView
from desktop.views.stock.reveal import RevealSheet
from desktop.widgets.basics import button, column, only_if, row
from desktop.widgets.search import SearchField
from desktop.widgets.words import counted
from shared.contracts.stock import Unit

_DEEDS = {
    "lot.freeze": DeedKind.FREEZE,
    "lot.release": DeedKind.RELEASE,
    "lot.withdraw": DeedKind.WITHDRAW,
    "lot.withdraw_import": DeedKind.WITHDRAW_IMPORT,
}


class StockPage(Page):
    """See the file's head."""

    def __init__(self, presenter: Stock, alerts: Alerts) -> None:
        super().__init__("stock")
        self.presenter = presenter
        self.alerts = alerts
        self._unit: Unit | None = None
        self.say(self.title.setText, lambda: self.tr("库存"))
        self.say(self.subtitle.setText, lambda: self.tr("入库 = 未售 + 锁定 + 已售 + 作废"))
        self._find = button(icon_name="search")
        self.say(self._find.setText, lambda: self.tr("查找卡密"))
        self._find.clicked.connect(self.begin_find)
        only_if(presenter.finding.may_find, self._find)
        self.tools.addWidget(self._find)
        self.add_refresh()
        self._stack = QStackedWidget()
        self._stack.addWidget(self._overview())
        self.finder = FindView(presenter.finding)
        self.finder.left.connect(self._leave_find)
        self.finder.sku_wanted.connect(self._found_sku)
        self._stack.addWidget(self.finder)
        self.body.addWidget(self._stack, 1)
        self._handle()
        presenter.watch(self._look)
        presenter.feed.watch(self._look)
        presenter.finding.watch(self._look)
        presenter.deeds.watch(self._tell)
        self.detail.changed.connect(self.changed)
        self.on_words(self._look)
        self._look()

    def _overview(self) -> QWidget:
        made = QWidget()
        layout = column(made, gap=0)
        tools = row(gap=SPACE, margins=(24, 0, 20, 10))
        self.search = SearchField(width=300)
        self.say(self.search.name, lambda: self.tr("按名称或编码筛选，或粘贴多行卡密 ( / )"))
        self.search.asked.connect(self.presenter.search)
        self.search.is_secret = self.presenter.looks_like_key
        self.search.lines_pasted.connect(self.presenter.finding.look_for)
        tools.addWidget(self.search)
        tools.addStretch(1)
        layout.addLayout(tools)
        self.list = FeedView(
            self.presenter.feed,
            name=lambda: self.tr("各规格库存"),
            titles=self._titles,
            empty_icon="stock",
            remembered_as="stock",
            empty=self._empty_words,
            key=lambda stock: stock.sku,
        )
        self.list.empty.action.clicked.connect(lambda: self.wanted.emit("imports", None))
        self.table = self.list.table
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(self.list)
        self.detail = StockDetail(self.presenter)
        self.split.addWidget(self.detail)
        self.split.setStretchFactor(0, 2)
        self.split.setStretchFactor(1, 5)
        self.detail.hide()
        layout.addWidget(self.split, 1)
        layout.addWidget(self.detail.decision)
        self.table.row_changed.connect(self._row_changed)
        self.table.opened.connect(lambda _row: self.detail.lots.table.setFocus())
        self.detail.closed.connect(self._close)
        self.detail.import_here.connect(self._import_here)
        self.detail.set_alerts.connect(self.set_alerts)
        self.detail.units.reveal.connect(self.reveal)
        return made

    def _handle(self) -> None:
        presenter, detail = self.presenter, self.detail
        self.handle("list.find", self.search.setFocus, when=lambda: not presenter.finding.is_open)
        self.handle("stock.find_keys", self.begin_find, when=lambda: presenter.finding.may_find)
        self.handle("stock.import_here", self._import_here, when=lambda: presenter.picked is not None)
        self.handle("stock.set_alerts", self.set_alerts, when=lambda: presenter.picked is not None)
        for command, kind in _DEEDS.items():
            self.handle(
                command,
                partial(presenter.propose, kind),
                when=partial(self._may, kind),
            )
        self.handle("lot.copy_id", self.copy_lot_id, when=lambda: detail.isVisible() and presenter.lot is not None)
        detail.lots.copy.connect(self.copy_lot_id)
        units = detail.units
        self.handle("unit.void", units.void_picked, when=lambda: detail.shows_units and units.may_void)
        self.handle("unit.reveal", units.reveal_one, when=lambda: detail.shows_units and units.one is not None)

    def _may(self, kind: DeedKind) -> bool:
        return self.detail.isVisible() and self.presenter.may(kind)

    def enter(self) -> None:
        if self.presenter.feed.as_of is None:
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.refresh()

    def look_at(self, what: object) -> None:
        """Sent here for one SKU, or for one unit of it: show only that one, and look into it."""
        sku, self._unit = what if isinstance(what, tuple) else (what, None)
        if isinstance(sku, str):
            self._leave_find()
            self.search.setText(sku)
            self.presenter.look_for_sku(sku)

    def begin_find(self) -> None:
        """Look for keys."""
        self.presenter.finding.open()
        self.finder.field.setFocus()

    def set_alerts(self) -> None:
        """Change the alert rule of the picked SKU."""
        picked = self.presenter.picked
        if picked is not None:
            RuleSheet(self.alerts, picked.sku, picked.name, self.window()).open()

    def copy_lot_id(self) -> None:
        """Put the id of the lot that the person is on onto the clipboard: commands of the server name lots by it."""
        lot = self.presenter.lot
        if lot is not None:
            QGuiApplication.clipboard().setText(str(lot.id))
            self.told.emit(self.tr("已复制批次 {lot} 的编号").format(lot=lot_name(lot.number)), "success")

    def reveal(self, unit: Unit) -> None:
        """Ask for the key of a unit."""
        picked = self.presenter.picked
        if picked is not None and self.presenter.revealing.may_reveal:
            self.presenter.revealing.begin(picked.sku, unit)
            RevealSheet(self.presenter.revealing, self.window()).open()

    def _leave_find(self) -> None:
        self.finder.forget()

    def _found_sku(self, sku: str) -> None:
        self.look_at(sku)

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

    def _look(self) -> None:
        finding = self.presenter.finding
        self._stack.setCurrentIndex(1 if finding.is_open else 0)
        self._find.setVisible(finding.may_find and not finding.is_open)
        self._look_into_unit()
        at = next((n for n, one in enumerate(self.presenter.feed.rows) if one == self.presenter.picked), -1)
        if at >= 0 and self.table.current_row() < 0:
            self.table.go_to(at)
        self.show_age(self.presenter.feed.as_of)

    def _look_into_unit(self) -> None:
        """Its SKU is here: show the unit that the person was sent for."""
        picked = self.presenter.picked
        if self._unit is not None and picked is not None and picked.sku == self.presenter.query:
            unit, self._unit = self._unit, None
            self.detail.show_unit(unit)

    def _tell(self) -> None:
        done = self.presenter.deeds.done
        if done is not None:
            self.told.emit(self._done_words(done), "success" if not done.left else "warning")
        self.changed.emit()

    def _done_words(self, done: Done) -> str:
        words = {
            DeedKind.FREEZE: self.tr("已冻结，%n 张停止销售", None, done.units),
            DeedKind.RELEASE: self.tr("已解冻，%n 张恢复销售", None, done.units),
            DeedKind.WITHDRAW: self.tr("正在撤回 %n 张", None, done.units),
            DeedKind.WITHDRAW_IMPORT: self.tr("正在撤回 %n 张", None, done.units),
            DeedKind.VOID: self.tr("已作废 %n 张", None, done.units),
        }[done.deed.kind]
        left = counted(self.tr("另有 %n 张刚被买走，没有动", None, done.left), done.left) if done.left else ""
        return self.tr("；").join(part for part in (counted(words, done.units), left) if part)

    def _titles(self) -> list[str]:
        return [
            self.tr("规格"),
            self.tr("预警"),
            self.tr("编码"),
            self.tr("商品"),
            *([self.tr("供应商")] if self.presenter.tells_supplier else []),
            self.tr("在售"),
            self.tr("未售"),
            self.tr("锁定"),
            self.tr("已售"),
            self.tr("作废"),
        ]

    def _empty_words(self) -> tuple[str, ...]:
        if self.presenter.query:
            return self.tr("没有符合“{query}”的规格").format(query=self.presenter.query), self.tr(
                "换个词，或清空筛选。"
            )
        if self.presenter.may_import:
            return self.tr("还没有库存"), self.tr("把卡密文件拖到窗口任意位置，就会开始导入。"), self.tr("导入卡密")
        return self.tr("还没有库存"), self.tr("供应商导入卡密后会出现在这里。")
