"""The units of one SKU: filters by state, lot and the end of the card, sorting, selecting to void, one to reveal."""

from __future__ import annotations

from uuid import UUID

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QStackedWidget, QWidget

from desktop.operations.stock import UnitQuery
from desktop.presenters.formats import count
from desktop.presenters.stock import Stock
from desktop.presenters.stock_columns import lot_name
from desktop.presenters.units import LONGEST_TAIL, ORDERS
from desktop.theme.tokens import SPACE
from desktop.views.listing import FeedView
from desktop.views.stock.history import HistoryPeek
from desktop.widgets.basics import Notice, button, column, label, only_if, row
from desktop.widgets.big_table import BigTable
from desktop.widgets.live import Live
from desktop.widgets.search import SearchField
from desktop.widgets.words import sentence
from shared.contracts.stock import Unit

TAIL_WIDTH = 160
MORE = "more"
"""The entry of the list of lots that reads more of them."""


class UnitsView(Live, QWidget):
    """The browser.

    Signals:
        picked_changed(): other units are selected: other commands may be enabled.
        reveal(unit): the person wants to see the key of a unit.
    """

    picked_changed = Signal()
    reveal = Signal(object)

    def __init__(self, presenter: Stock) -> None:
        super().__init__()
        self.presenter = presenter
        layout = column(self, gap=0)
        self.problem = Notice()
        layout.addWidget(self.problem)
        self.list = FeedView(
            presenter.units.rows,
            name=lambda: self.tr("卡密列表，内容已隐藏"),
            titles=self._titles,
            empty_icon="stock",
            remembered_as="units",
            empty=lambda: (self.tr("没有符合条件的卡密"), self.tr("换一个状态或批次看看。")),
        )
        self.found = FeedView(
            presenter.units.found,
            name=lambda: self.tr("以这几位结尾的卡密，内容已隐藏"),
            titles=self._titles,
            empty_icon="search",
            remembered_as="units",
            empty=lambda: (
                self.tr("没有以“{tail}”结尾的卡密").format(tail=presenter.units.tail),
                self.tr("只比较末尾几位；有整张卡密时，请用“查找卡密”。"),
            ),
            key=lambda unit: unit.seq,
        )
        self._lists = QStackedWidget()
        for one in (self.list, self.found):
            self._lists.addWidget(one)
            one.table.picked_changed.connect(self._picked)
            one.table.sort_asked.connect(presenter.units.sort)
            one.table.peeked.connect(self._toggle_history)
            one.table.row_changed.connect(self._follow_history)
        self.list.model.modelAboutToBeReset.connect(self._remember_place)
        self.list.model.modelReset.connect(self._return_to_place)
        self._place = (0, -1)
        self._marked: UnitQuery | None = None  # what filters and titles show: looked at on every key press
        line = row(gap=0)
        line.addWidget(self._lists, 1)
        self.peek = HistoryPeek()
        self.peek.closed.connect(lambda: presenter.units.look_into(None))
        line.addWidget(self.peek)
        layout.addLayout(line, 1)
        presenter.units.watch(self._look)
        presenter.lots.watch(self._fill_lots)
        self._tools()
        self.on_words(self._fill_lots)
        self.on_words(self._look)
        self._look()

    def _tools(self) -> None:
        """What stands beside the tabs while this view is in front."""
        self.tools = QWidget()
        line = row(self.tools, gap=SPACE)
        self.chosen = label(role="muted")
        line.addWidget(self.chosen)
        self.search = SearchField(width=TAIL_WIDTH)
        self.say(self.search.name, lambda: self.tr("卡密末 2–4 位"))
        self.search.textChanged.connect(self._keep_the_end)
        self.search.asked.connect(self.presenter.units.search)
        line.addWidget(self.search)
        self.lot = QComboBox()
        self.lot.setMaxVisibleItems(20)
        self.lot.setMinimumWidth(170)
        self.lot.setMaximumWidth(260)
        self.say(self.lot.setAccessibleName, lambda: self.tr("只看一个批次"))
        self.lot.activated.connect(lambda _at: self._lot_chosen())
        line.addWidget(self.lot)
        self._reveal = button(icon_name="eye")
        self.say(self._reveal.setText, lambda: self.tr("查看明文"))
        self._reveal.clicked.connect(self.reveal_one)
        only_if(self.presenter.revealing.may_reveal, self._reveal)
        self._void = button(role="danger")
        self.say(self._void.setText, lambda: self.tr("作废所选"))
        self._void.clicked.connect(self.void_picked)
        only_if(self.presenter.deeds.may_edit, self._void)
        line.addWidget(self._reveal)
        line.addWidget(self._void)
        self._fill_lots()

    @property
    def table(self) -> BigTable:
        """The list in front: all of the units, or those that were searched for."""
        return self.found.table if self.presenter.units.tail else self.list.table

    def _keep_the_end(self, typed: str) -> None:
        """Whoever pastes a whole card means its end, and the rest does not stay on screen."""
        if len(typed) > LONGEST_TAIL:
            self.search.setText(typed.strip()[-LONGEST_TAIL:])

    @property
    def may_void(self) -> bool:
        """Whether there is something selected that may be void."""
        return self.presenter.units.may_void and self.table.picked_count() > 0

    @property
    def one(self) -> Unit | None:
        """The unit that the person is on, if it is here."""
        return self.presenter.units.unit_at(self.table.current_row())

    def void_picked(self) -> None:
        """Propose to void what is selected."""
        self.presenter.units.propose_void(self.table.picked_ranges())

    def reveal_one(self) -> None:
        """Ask to see the key of the unit that the person is on."""
        if self.one is not None and self.presenter.revealing.may_reveal:
            self.reveal.emit(self.one)

    def _toggle_history(self, at: int) -> None:
        is_open = self.presenter.units.history is not None
        self.presenter.units.look_into(None if is_open else self.presenter.units.unit_at(at))

    def _follow_history(self, at: int) -> None:
        if self.presenter.units.history is not None and at >= 0:
            self.presenter.units.look_into(self.presenter.units.unit_at(at))

    def _picked(self) -> None:
        self._look()
        self.picked_changed.emit()

    def _look(self) -> None:
        units = self.presenter.units
        self.problem.tell(sentence(units.error) if units.error is not None else "", tone="danger")
        picked = self.table.picked_count()
        self.chosen.setText(self.tr("已选 {n} 张").format(n=count(picked)) if picked else "")
        self.peek.show_history(units.history)
        self._void.setEnabled(self.may_void)
        self._reveal.setEnabled(self.one is not None)
        query = units.query
        self._lists.setCurrentWidget(self.found if units.tail else self.list)
        if (query.sku if query is not None else "") != (self._marked.sku if self._marked is not None else ""):
            self.search.clear()
        if query is None:
            self._marked = None
        elif query != self._marked:
            self._marked = query
            key, (_, down) = next((key, pair) for key, pair in ORDERS.items() if query.order in pair)
            for one in (self.list, self.found):
                one.table.show_sorted(key, down=query.order is down)
            self._mark_lot(query.lot)

    def _fill_lots(self) -> None:
        lots = self.presenter.lots.rows
        chosen = self.presenter.units.query.lot if self.presenter.units.query is not None else None
        self.lot.clear()
        self.lot.addItem(self.tr("全部批次"), None)
        for lot in lots:
            self.lot.addItem(f"{lot_name(lot.number)} · {lot.file_name}", lot.id)
        if self.presenter.lots.more:
            self.lot.addItem(self.tr("载入更多批次…"), MORE)
        self._mark_lot(chosen)

    def _mark_lot(self, lot: UUID | None) -> None:
        """Show which lot is filtered by. The box itself compares what it holds by identity."""
        at = (at for at in range(self.lot.count()) if self.lot.itemData(at) == lot)
        self.lot.setCurrentIndex(next(at, 0))

    def _lot_chosen(self) -> None:
        query, chosen = self.presenter.units.query, self.lot.currentData()
        if chosen == MORE:
            self._fill_lots()
            self.presenter.lots.read_on()
            return
        state = query.state if query is not None else None
        self.presenter.look_at_units(state, chosen if isinstance(chosen, UUID) else None)

    def _remember_place(self) -> None:
        table = self.list.table
        self._place = (table.verticalScrollBar().value(), table.current_row())

    def _return_to_place(self) -> None:
        """The same list was read again, after something was done in it: the person stays where they were."""
        scrolled, row_at = self._place
        rows = self.list.model.rowCount()
        if self.presenter.units.rows.kept and rows:
            table = self.list.table
            if row_at >= 0:
                table.go_to(min(row_at, rows - 1))
                table.clearSelection()
            table.verticalScrollBar().setValue(scrolled)
        self._picked()

    def _titles(self) -> list[str]:
        return [
            self.tr("编号"),
            self.tr("卡密（已遮盖）"),
            self.tr("状态"),
            self.tr("过期日"),
            self.tr("售出时间"),
            self.tr("作废原因"),
            self.tr("文件"),
        ]
