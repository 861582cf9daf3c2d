"""The picked SKU: a sum that adds up and filters, its lots, its units, and what is about to be done to them."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QStackedWidget, QTabBar

from desktop.presenters.stock import Stock
from desktop.theme.tokens import SPACE
from desktop.views.stock.decision import DecisionBar
from desktop.views.stock.lots import LotsView
from desktop.views.stock.units import UnitsView
from desktop.widgets.basics import button, column, label, name_tool, only_if, row, tool
from desktop.widgets.ledger_bar import LedgerBar, Part
from desktop.widgets.live import Live
from desktop.widgets.words import state_word
from shared.contracts.stock import Unit
from shared.states import UnitState

LOTS, UNITS = 0, 1
LOW = 720
_STATES = {"free": UnitState.FREE, "held": UnitState.HELD, "sold": UnitState.SOLD, "void": UnitState.VOID}


class StockDetail(Live, QFrame):
    """See the file's head; hidden while no SKU is picked.

    Signals:
        closed(): the person is done with it.
        import_here(): import into this SKU.
        set_alerts(): change the alert rule of this SKU.
        changed(): other commands may be enabled.
    """

    closed = Signal()
    import_here = Signal()
    set_alerts = Signal()
    changed = Signal()

    def __init__(self, presenter: Stock) -> None:
        super().__init__()
        self.presenter = presenter
        layout = self._outer = column(self, gap=6, margins=(0, 8, 0, 0))
        self._head()
        self.ledger = LedgerBar()
        self.say(self.ledger.setAccessibleName, lambda: self.tr("该规格的卡密去向"))
        self.ledger.setContentsMargins(14, 0, 24, 2)
        self.ledger.chosen.connect(self._figure_chosen)
        layout.addWidget(self.ledger)
        self.lots = LotsView(presenter)
        self.units = UnitsView(presenter)
        self._tabs()
        self.stack = QStackedWidget()
        self.stack.addWidget(self.lots)
        self.stack.addWidget(self.units)
        layout.addWidget(self.stack, 1)
        self.decision = DecisionBar(presenter.deeds)  # the page puts it under everything: it must never be cut off
        self.tabs.currentChanged.connect(self._tab_changed)
        self.lots.opened.connect(self._open_lot)
        self.units.picked_changed.connect(self.changed)
        presenter.watch(self._look)
        presenter.units.watch(self._look)
        presenter.deeds.watch(self._make_room)
        self.on_words(self._look)
        self._look()

    def _head(self) -> None:
        head = row(gap=SPACE, margins=(24, 0, 16, 0))
        self.name = label(role="heading")
        self.code = label(role="muted", selectable=True)
        self.for_sale = label(role="muted")
        for words in (self.name, self.code, self.for_sale):
            head.addWidget(words)
        head.addStretch(1)
        self._alerts = button(icon_name="bell")
        self.say(self._alerts.setText, lambda: self.tr("预警规则"))
        self._alerts.clicked.connect(self.set_alerts)
        only_if(self.presenter.may_set_alerts, self._alerts)
        self._import = button(icon_name="import")
        self.say(self._import.setText, lambda: self.tr("导入到此规格"))
        self._import.clicked.connect(self.import_here)
        only_if(self.presenter.may_import, self._import)
        head.addWidget(self._alerts)
        head.addWidget(self._import)
        close = tool("close")
        self.say(lambda words: name_tool(close, words), lambda: self.tr("关闭详情"))
        close.clicked.connect(self.closed)
        head.addWidget(close)
        self._outer.addLayout(head)

    def _tabs(self) -> None:
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.addTab("")
        self.say(lambda words: self.tabs.setTabText(LOTS, words), lambda: self.tr("批次"))
        if self.presenter.may_see_units:
            self.tabs.addTab("")
            self.say(lambda words: self.tabs.setTabText(UNITS, words), lambda: self.tr("卡密"))
        self.say(self.tabs.setAccessibleName, lambda: self.tr("批次或卡密"))
        line = row(margins=(24, 0, 20, 0))
        line.addWidget(self.tabs)
        line.addStretch(1)
        self._tools = (self.lots.tools, self.units.tools)
        for tools in self._tools:
            line.addWidget(tools)
        self.units.tools.hide()
        self._outer.addLayout(line)

    @property
    def shows_units(self) -> bool:
        """Whether the units are in front, not the lots."""
        return self.isVisible() and self.stack.currentIndex() == UNITS

    def show_units(self, state: UnitState | None = None) -> None:
        """Bring the units to the front."""
        if self.presenter.may_see_units:
            query = self.presenter.units.query
            self.presenter.look_at_units(state, query.lot if query is not None else None)
            self.tabs.setCurrentIndex(UNITS)

    def show_unit(self, unit: Unit) -> None:
        """Bring one unit to the front, among those of its lot that end like it, and what happened to it."""
        if self.presenter.may_see_units:
            self.presenter.look_at_units(None, unit.lot_id)
            self.tabs.setCurrentIndex(UNITS)
            self.units.search.setText(unit.tail)
            self.presenter.units.look_into(unit)

    def _open_lot(self) -> None:
        lot = self.presenter.lot
        if lot is not None and self.presenter.may_see_units:
            self.presenter.look_at_units(None, lot.id)
            self.tabs.setCurrentIndex(UNITS)
            self.units.table.setFocus()

    def _figure_chosen(self, key: str) -> None:
        self.show_units(_STATES.get(key))

    def _tab_changed(self, at: int) -> None:
        self.stack.setCurrentIndex(at)
        for index, tools in enumerate(self._tools):
            tools.setVisible(index == at)
        if at == UNITS and self.presenter.units.query is None:
            self.presenter.look_at_units()
        self._look()

    def _make_room(self) -> None:
        """In a low window the sum makes room for what is about to be done."""
        is_low = self.window().height() < LOW
        self.ledger.setVisible(self.presenter.deeds.pending is None or not is_low)

    def _look(self) -> None:
        picked, total = self.presenter.picked, self.presenter.sum
        if picked is None or total is None:
            self.hide()
            return
        is_new = self.code.text() != picked.sku
        self.name.setText(picked.name)
        self.code.setText(picked.sku)
        words = self.tr("在售 {n}").format(n=f"{total.for_sale:,}")
        self.for_sale.setText(words if total.for_sale != total.free else "")
        self.ledger.show_sum(
            Part("imported", self.tr("入库"), total.imported, "accent"),
            [
                Part("free", self.tr("未售"), total.free, "success"),
                Part("held", state_word(UnitState.HELD), total.held, "warning"),
                Part("sold", state_word(UnitState.SOLD), total.sold, "info"),
                Part("void", state_word(UnitState.VOID), total.void, "neutral"),
            ],
        )
        if is_new and self.stack.currentIndex() == UNITS:
            self.presenter.look_at_units()
        query = self.presenter.units.query
        state = query.state if query is not None and self.stack.currentIndex() == UNITS else None
        self.ledger.choose(next((key for key, one in _STATES.items() if one is state), ""))
        self.show()
        self.changed.emit()
