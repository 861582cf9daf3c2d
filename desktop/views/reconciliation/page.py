"""The Reconciliation screen, a finance clerk's workbench: the day's channels above; below the close of one of them,
the differences to work through, or the day's books.
"""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path
from uuid import UUID

from PySide6.QtCore import QDate
from PySide6.QtWidgets import QComboBox, QDateEdit, QMenu, QStackedWidget, QTabBar, QVBoxLayout, QWidget

from desktop.presenters import formats
from desktop.presenters.arrivals import SWEEP
from desktop.presenters.days import CORRECT, FETCH, RUN, SIGN
from desktop.presenters.differences import STATES
from desktop.presenters.reconciliation import Reconciliation
from desktop.presenters.words import CHANNELS, channel_word
from desktop.theme.tokens import SPACE
from desktop.views.acting import ActBar
from desktop.views.cases import CasesPage
from desktop.views.listing import FeedView
from desktop.views.reconciliation.asking import (
    AskFile,
    AskFiles,
    AskTarget,
    OpenFolder,
    choose_bills,
    choose_target,
    choose_workbook,
    open_folder,
)
from desktop.views.reconciliation.bills import DroppedBills
from desktop.views.reconciliation.books import BooksView
from desktop.views.reconciliation.cards import ChannelCards
from desktop.views.reconciliation.close import CloseView
from desktop.views.reconciliation.difference import DifferencePanel
from desktop.views.reconciliation.finance import FinancePanel
from desktop.views.reconciliation.news import News
from desktop.widgets.basics import button, column, name_tool, only_if, row, tool, write_tab
from desktop.widgets.words import how_old, sentence, state_word
from shared.contracts.bank import Sweep
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.ids import speak_order_code

CLOSE, DIFFERENCES, BOOKS = range(3)

_COMMANDS = {
    "difference.approve": "approve",
    "difference.send_back": "send_back",
    **{f"difference.{action.value}": action.value for action in DifferenceAction},
}


class ReconciliationPage(CasesPage):
    """See the file's head. `ask_...` and `show_folder` reach out of the window; tests answer them."""

    def __init__(
        self,
        presenter: Reconciliation,
        *,
        ask_target: AskTarget = choose_target,
        ask_files: AskFiles = choose_bills,
        ask_workbook: AskFile = choose_workbook,
        show_folder: OpenFolder = open_folder,
    ) -> None:
        self._room = column(gap=0)
        super().__init__("reconciliation", presenter.differences)
        self.presenter = presenter
        self._ask_target, self._ask_files, self._ask_workbook = ask_target, ask_files, ask_workbook
        self._show_folder = show_folder
        self._opened = False
        self._gone_to: UUID | None = None
        self.say(self.title.setText, lambda: self.tr("对账"))
        self._tools()
        self._lay_out()
        self._list()
        self._handle()
        for part in (presenter.books, presenter.days, presenter.bills, presenter.finance, presenter.verification):
            part.watch(self.look)
        self.hear(presenter.days.acting)
        self.on_words(self._ask_again)
        self.look()

    def room(self) -> QVBoxLayout:
        return self._room

    def number(self) -> int:
        return super().number() + self.presenter.days.count

    # --- how it is put together ---

    def _tools(self) -> None:
        presenter = self.presenter
        self.earlier, self.later = tool("chevron-left"), tool("chevron-right")
        self.say(lambda words: name_tool(self.earlier, words), lambda: self.tr("前一天 (Alt+←)"))
        self.say(lambda words: name_tool(self.later, words), lambda: self.tr("后一天 (Alt+→)"))
        self.earlier.clicked.connect(partial(presenter.step, -1))
        self.later.clicked.connect(partial(presenter.step, 1))
        self.day = QDateEdit()
        self.day.setCalendarPopup(True)
        self.day.setDisplayFormat("yyyy-MM-dd")
        self.day.setMinimumWidth(130)
        self.day.setKeyboardTracking(False)
        self.say(self.day.setAccessibleName, lambda: self.tr("业务日"))
        self.day.dateChanged.connect(self._day_chosen)
        calendar = self.day.calendarWidget()
        calendar.setVerticalHeaderFormat(calendar.VerticalHeaderFormat.NoVerticalHeader)
        calendar.setGridVisible(False)
        for at, widget in enumerate((self.earlier, self.day, self.later)):
            self.tools.insertWidget(at, widget)
        self.tools.insertSpacing(3, SPACE)
        self.add_bills = button(icon_name="plus")
        self.say(self.add_bills.setText, lambda: self.tr("添加账单"))
        self.add_bills.clicked.connect(self.choose_bills)
        only_if(presenter.bills.may_add, self.add_bills)
        self.export_button = button(icon_name="export")
        menu = QMenu(self.export_button)
        for words, run in (
            (lambda: self.tr("当日对账工作簿…"), self.export),
            (lambda: self.tr("财务工作簿…"), presenter.finance.toggle),
            (lambda: self.tr("核验导出的文件…"), self.verify),
        ):
            action = menu.addAction("")
            self.say(action.setText, words)
            action.triggered.connect(lambda _checked=False, run=run: run())
        self.export_button.setMenu(menu)
        for press in (self.add_bills, self.export_button):
            self.tools.addWidget(press)

    def _lay_out(self) -> None:
        presenter = self.presenter
        self._unsigned = button(role="link")
        self.say(self._unsigned.setText, lambda: self.tr("去那一天"))
        self._unsigned.clicked.connect(self._to_unsigned)
        self.notice.buttons.addWidget(self._unsigned)
        self.news = News(presenter, show_folder=self._show_folder)
        self.news.arrival_wanted.connect(self._show_arrival)
        self.finance = FinancePanel(presenter.finance, ask_target=self._ask_target, show_folder=self._show_folder)
        self.dropped = DroppedBills(presenter.bills)
        self.dropped.day_wanted.connect(presenter.show)
        self.cards = ChannelCards(presenter.days)
        self.cards.chosen.connect(presenter.days.choose)
        above = column(gap=10, margins=(24, 6, 24, 4))
        for widget in (self.news, self.finance, self.dropped, self.cards):
            above.addWidget(widget)
        self.body.addLayout(above)
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        for _ in range(3):
            self.tabs.addTab("")
        self.say(self.tabs.setAccessibleName, lambda: self.tr("日结、差异或账目"))
        line = row(margins=(24, 0, 24, 8))
        line.addWidget(self.tabs)
        line.addStretch(1)
        self.body.addLayout(line)
        self._stack = QStackedWidget()
        self.close_view = CloseView(presenter.days)
        self.close_view.kind_wanted.connect(self._show_kind)
        self.close_view.files_wanted.connect(self.choose_bills)
        self.close_view.day_wanted.connect(presenter.show)
        self.close_view.day_over.connect(self._go_on_from_signed)
        self.close_view.correction_wanted.connect(partial(self.wanted.emit, "ledger"))
        self.books = BooksView(presenter.books)
        listed = QWidget()
        listed.setLayout(self._room)
        for shown in (self.close_view, listed, self.books):
            self._stack.addWidget(shown)
        self.body.addWidget(self._stack, 1)
        self.tabs.currentChanged.connect(self._tab_changed)
        if not presenter.days.may_see:  # somebody who may only export the books
            self.tabs.hide()
            self.tabs.setCurrentIndex(BOOKS)

    def _list(self) -> None:
        presenter = self.presenter
        self._chips = [self.chip() for _state in STATES]
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.clicked.connect(lambda _checked=False, state=state: self._show(state))
        self.kinds, self.channels, self.scope = QComboBox(), QComboBox(), QComboBox()
        self.kinds.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.kinds.setMinimumContentsLength(12)
        for box in (self.channels, self.scope):  # as wide as the words of any language
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        for box in (self.kinds, self.channels, self.scope):
            self.filters.addWidget(box)
        self._fill_boxes()
        self.kinds.currentIndexChanged.connect(lambda _at: self._narrow())
        self.channels.currentIndexChanged.connect(lambda _at: self._narrow())
        self.scope.currentIndexChanged.connect(lambda at: presenter.show_every_day(every_day=at == 1))
        self.say(self.kinds.setAccessibleName, lambda: self.tr("按差异类型筛选"))
        self.say(self.channels.setAccessibleName, lambda: self.tr("按渠道筛选"))
        self.say(self.scope.setAccessibleName, lambda: self.tr("当天或全部日期"))
        shown = FeedView(
            presenter.differences.feed,
            name=lambda: self.tr("差异列表"),
            titles=self._titles,
            empty_icon="check",
            remembered_as="differences",
            empty=self._empty_words,
            key=lambda one: one.id,
        )
        panel, bar = DifferencePanel(presenter.differences), ActBar(presenter.differences.acting)
        panel.body.addWidget(bar)
        panel.order_wanted.connect(partial(self.wanted.emit, "orders"))
        panel.exception_wanted.connect(partial(self.wanted.emit, "exceptions"))
        panel.attach_wanted.connect(self._attach)
        self.explained = panel
        self.on_words(self._fill_boxes)
        self.build(shown, panel, bar)

    def _handle(self) -> None:
        presenter, days, books = self.presenter, self.presenter.days, self.presenter.books
        self.let_pick("difference.pick_all", when=lambda: self._is_listing)
        self.handle("day.previous", partial(presenter.step, -1))
        self.handle("day.next", partial(presenter.step, 1), when=lambda: books.is_over)
        self.handle("day.export", self.export, when=lambda: books.summary is not None and not books.exporting)
        for command, run in (
            ("day.show_close", partial(self.show_tab, CLOSE)),
            ("day.show_differences", partial(self.show_tab, DIFFERENCES)),
            ("day.show_books", partial(self.show_tab, BOOKS)),
        ):
            self.handle(command, run, when=lambda: days.may_see)
        self.handle("day.first_unsigned", self._to_unsigned, when=lambda: bool(days.unsigned))
        self.handle("day.next_channel", partial(days.step_channel, 1), when=lambda: len(days.channels) > 1)
        self.handle("day.previous_channel", partial(days.step_channel, -1), when=lambda: len(days.channels) > 1)
        self.handle("day.fetch", days.fetch, when=lambda: days.may(FETCH))
        self.handle("day.run", days.run, when=lambda: days.may(RUN))
        self.handle("day.sign", partial(self._choose, SIGN), when=lambda: days.may(SIGN))
        self.handle("day.correct", self.close_view.correct, when=lambda: days.may(CORRECT))
        self.handle("day.record_sweep", partial(self._choose, SWEEP), when=lambda: days.may(SWEEP))
        self.handle("workbook.verify", self.verify)
        self.handle("workbook.finance", presenter.finance.toggle, when=lambda: days.may_see)
        self.handle("bill.add", self.choose_bills, when=lambda: presenter.bills.may_add)
        panel = self.explained
        for command, key in _COMMANDS.items():
            self.handle(command, partial(self._act, key), when=partial(self._may_act, key))
        self.handle(
            "difference.open_order", panel.open_order, when=lambda: self._is_listing and panel.order_code is not None
        )
        self.handle(
            "difference.open_exception",
            panel.open_exception,
            when=lambda: self._is_listing and panel.exception_id is not None,
        )

    # --- what a person does ---

    @property
    def _is_listing(self) -> bool:
        return self.tabs.currentIndex() == DIFFERENCES

    def _may_act(self, key: str) -> bool:
        return self._is_listing and self.cases.acting.may(self._key(key))

    def _act(self, key: str) -> None:
        self.cases.acting.choose(self._key(key))

    def enter(self) -> None:
        if not self._opened:
            self._opened = True
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.refresh()

    def _ask_again(self) -> None:
        """What the server says in words is wanted in the new language."""
        if self._opened:
            self.presenter.refresh()

    def look_at(self, what: object) -> None:
        """Files that were dropped: bills, or a workbook to verify. Or a difference that another screen knows."""
        if isinstance(what, list):
            books = [Path(one) for one in what if Path(one).suffix.lower() == ".xlsx"]
            self.presenter.bills.take([Path(one) for one in what if Path(one) not in books], day=self.presenter.day)
            if books:
                self.presenter.verification.verify(books[0])
            self.show_tab(CLOSE)
        elif isinstance(what, UUID):
            self.show_tab(DIFFERENCES)
            super().look_at(what)

    def show_tab(self, tab: int) -> None:
        """Show the close, the differences or the books, and take the keyboard there."""
        self.tabs.setCurrentIndex(tab)
        (self.table if tab == DIFFERENCES else self.books.table if tab == BOOKS else self.tabs).setFocus()

    def choose_bills(self) -> None:
        """Ask for bills and add them."""
        files = self._ask_files(self)
        if files:
            self.look_at(files)

    def export(self) -> None:
        """Ask where, and write the workbook of the day's books."""
        target = self._ask_target(self, self.presenter.books.file_name)
        if target is not None:
            self.presenter.books.export(target)

    def verify(self) -> None:
        """Ask for an exported workbook, and whether it is as it was written."""
        file = self._ask_workbook(self)
        if file is not None:
            self.presenter.verification.verify(file)

    def _choose(self, what: str) -> None:
        self.show_tab(CLOSE)
        self.presenter.days.acting.choose(what)

    def _go_on_from_signed(self) -> None:
        """A signed day is exported next."""
        (self.export_button if self.export_button.isEnabled() else self.tabs).setFocus()

    def _to_unsigned(self) -> None:
        if self.presenter.days.unsigned:
            self.presenter.show(self.presenter.days.unsigned[0])

    def _show_arrival(self, one: Sweep) -> None:
        """To the day that money arrived for."""
        self.presenter.show(one.parts[-1].day)
        self.presenter.days.choose(one.channel)
        self.show_tab(CLOSE)

    def _day_chosen(self, chosen: QDate) -> None:
        day = date(chosen.year(), chosen.month(), chosen.day())
        if day != self.presenter.day:
            self.presenter.show(day)

    def _tab_changed(self, at: int) -> None:
        self._stack.setCurrentIndex(at)
        feed = self.presenter.differences.feed
        if at == DIFFERENCES and feed.listing.stale:  # nobody was looking at the rows that may move
            feed.reload()
        self.changed.emit()

    def _show_kind(self, kind: DifferenceKind) -> None:
        """Those of a kind that are open; where none is, those that were."""
        days, shown = self.presenter.days, self.presenter.differences
        for box, value in ((self.kinds, kind.value), (self.channels, days.channel)):
            box.blockSignals(True)
            box.setCurrentIndex(max(box.findData(value), 0))
            box.blockSignals(False)
        shown.show(day=shown.day, state=days.state_to_see(kind), kind=kind, channel=days.channel)
        self.show_tab(DIFFERENCES)

    def _show(self, state: DifferenceState | None) -> None:
        shown = self.presenter.differences
        shown.show(day=shown.day, state=state, kind=shown.kind, channel=shown.channel)

    def _narrow(self) -> None:
        shown = self.presenter.differences
        kind, channel = self.kinds.currentData(), self.channels.currentData()
        shown.show(
            day=shown.day, state=shown.state, kind=DifferenceKind(kind) if kind else None, channel=channel or None
        )

    def _attach(self, code: str) -> None:
        """Be about to attach the money to this order."""
        self.presenter.differences.acting.choose(DifferenceAction.ATTACH.value)
        field = self.bar.fields.get("order_code")
        if field is not None:
            field.setText(speak_order_code(code))
            self.bar.start()

    # --- what is shown ---

    def look(self) -> None:
        books, days, differences = self.presenter.books, self.presenter.days, self.presenter.differences
        self.day.blockSignals(True)
        self.day.setMaximumDate(_qt_date(books.today))
        self.day.setDate(_qt_date(books.day))
        self.day.blockSignals(False)
        self.finance.follow(books.day)
        is_editing = self.presenter.finance.layout is not None  # a layout is long: it has the room of the rest
        self._stack.setHidden(is_editing)
        self.tabs.setHidden(is_editing or not days.may_see)
        self.cards.setHidden(is_editing or not days.channels)
        self.later.setEnabled(books.is_over)
        self.subtitle.setText(self._day_words())
        self.export_button.setText(self.tr("正在导出…") if books.exporting else self.tr("导出与核验"))
        self.export_button.setEnabled(books.summary is not None and not books.exporting)
        waiting = sum(kind.open for day in days.channels for kind in day.differences)
        write_tab(self.tabs, CLOSE, self.tr("日结"))
        write_tab(self.tabs, DIFFERENCES, self.tr("差异 {n}").format(n=waiting) if waiting else self.tr("差异"))
        write_tab(self.tabs, BOOKS, self.tr("当日账目"))
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.setText(self.tr("未结清") if state is None else state_word(state))
            chip.setChecked(state is differences.state)
        self.bar.tell(self.tr("这条差异在等另一位同事复核。") if differences.waits_for_second else "")
        super().look()
        self._go_along()
        self._tell_trouble()
        self.show_age(books.as_of)

    def _go_along(self) -> None:
        """The list goes to another difference that came in front; from the same one a person may be walking away."""
        one = self.presenter.differences.opened
        if one is None:
            self._gone_to = None
        elif one.id != self._gone_to and (at := self._row_of(one.id)) >= 0:
            self._gone_to = one.id
            if at != self.table.current_row():  # else the person went there, maybe to select one more
                self.table.go_to(at)

    def _tell_trouble(self) -> None:
        """Why something was not read or done, or that what is shown is old."""
        books, days = self.presenter.books, self.presenter.days
        error = books.error or days.error or self.presenter.differences.error
        is_old = (books.as_of is not None and not books.live and not books.loading) or not days.live
        if error is not None:
            self.notice.tell(sentence(error), tone="danger")
        elif is_old and books.as_of is not None:
            words = self.tr("连不上服务器，以下数字的读取时间：{age}").format(age=how_old(books.as_of))
            self.notice.tell(words, tone="warning")
        elif days.unsigned:
            words = self.tr("前面还有 %n 天没有签署，最早的是 {day}。", None, len(days.unsigned))
            self.notice.tell(words.format(day=formats.day(days.unsigned[0])), tone="info")
        else:
            self.notice.tell("")
        self._unsigned.setVisible(bool(days.unsigned) and error is None and not is_old)

    def _day_words(self) -> str:
        books = self.presenter.books
        if books.summary is None:
            return self.tr("正在读取…") if books.loading else ""
        if not books.is_over:
            return self.tr("这一天还没有结束，数字会变")
        return self.tr("当日平台账对得上") if books.holds else self.tr("平台账有对不上的地方，请看当日账目")

    def _fill_boxes(self) -> None:
        for box, items in (
            (self.kinds, [(self.tr("全部类型"), ""), *((state_word(kind), kind.value) for kind in DifferenceKind)]),
            (self.channels, [(self.tr("全部渠道"), ""), *((channel_word(code), code) for code in CHANNELS)]),
            (self.scope, [(self.tr("当天"), ""), (self.tr("全部日期"), "every")]),
        ):
            at = max(box.currentIndex(), 0)
            box.blockSignals(True)
            box.clear()
            for words, data in items:
                box.addItem(words, data)
            box.setCurrentIndex(at)
            box.blockSignals(False)

    def _titles(self) -> list[str]:
        return [
            self.tr("类型"),
            self.tr("平台"),
            self.tr("渠道"),
            self.tr("差额"),
            self.tr("状态"),
            self.tr("支付渠道"),
            self.tr("处理"),
            self.tr("订单或单号"),
            self.tr("日期"),
        ]

    def _empty_words(self) -> tuple[str, ...]:
        shown = self.presenter.differences
        if shown.state is not None or shown.kind is not None or shown.channel is not None:
            return self.tr("没有符合条件的差异"), self.tr("换个状态、类型或渠道。")
        return self.tr("没有未处理的差异"), self.tr("两边每一笔都对得上，或已经处理。")


def _qt_date(day: date) -> QDate:
    return QDate(day.year, day.month, day.day)
