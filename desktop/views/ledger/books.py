"""The ledger's books: accounts with balances and the book of one of them, and the journals of an order or a day."""

from __future__ import annotations

from datetime import date
from functools import partial

from PySide6.QtCore import QDate, Qt
from PySide6.QtWidgets import QDateEdit, QSplitter, QStackedWidget, QTabBar, QWidget

from desktop.presenters.ledger_books import Accounts, Journals
from desktop.presenters.reconciliation_books import full_name
from desktop.views.listing import FeedView
from desktop.views.page import Page
from desktop.widgets.basics import button, column, label, row
from shared.ids import speak_order_code


def day_field() -> QDateEdit:
    """A field for a business day."""
    made = QDateEdit()
    made.setCalendarPopup(True)
    made.setDisplayFormat("yyyy-MM-dd")
    made.setMinimumWidth(130)
    made.setKeyboardTracking(False)
    return made


def put_day(field: QDateEdit, day: date, *, latest: date) -> None:
    """Show a day without telling that a person chose it."""
    field.blockSignals(True)
    field.setMaximumDate(QDate(latest.year, latest.month, latest.day))
    field.setDate(QDate(day.year, day.month, day.day))
    field.blockSignals(False)


class AccountsPage(Page):
    """Accounts above, the book of the one in front below."""

    def __init__(self, presenter: Accounts) -> None:
        super().__init__("accounts")
        self.presenter = presenter
        self.add_refresh()
        self.say(self.subtitle.setText, lambda: self.tr("每个账户现在的余额；选一个账户看它某天的每一笔"))
        self.accounts = FeedView(
            presenter.feed,
            name=lambda: self.tr("账户列表"),
            titles=lambda: [self.tr("账户"), self.tr("余额"), self.tr("借方"), self.tr("贷方")],
            empty_icon="ledger",
            remembered_as="ledger-accounts",
            empty=lambda: (self.tr("还没有账户"), self.tr("第一笔收款之后，账户会出现在这里。")),
            key=lambda one: (one.kind, one.owner),
        )
        self.lines = FeedView(
            presenter.lines,
            name=lambda: self.tr("账户的每一笔"),
            titles=self._line_titles,
            empty_icon="file",
            remembered_as="ledger-lines",
            empty=lambda: (self.tr("这一天没有发生额"), self.tr("换一天看看。")),
            key=lambda one: (one.journal_id, one.debit_fen, one.credit_fen, one.balance_fen),
        )
        self.closings = FeedView(
            presenter.closings,
            name=lambda: self.tr("账户的每日结余"),
            titles=self._closing_titles,
            empty_icon="calendar",
            remembered_as="ledger-days",
            empty=lambda: (self.tr("还没有结账的日子"), self.tr("一天过完并核对之后，它的结余会出现在这里。")),
            key=lambda one: one.day,
        )
        self.table = self.accounts.table
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self.accounts)
        split.addWidget(self._book())
        split.setStretchFactor(0, 5)
        split.setStretchFactor(1, 4)
        self.body.addWidget(split, 1)
        self.handle("ledger.show_closings", self.show_closings, when=lambda: presenter.chosen is not None)
        self.accounts.table.row_changed.connect(self._follow)
        self.lines.table.opened.connect(self._open_order)
        self.closings.table.opened.connect(self._open_day)
        presenter.watch(self.look)
        presenter.feed.watch(self.look)
        self.on_words(self.look)
        self.look()

    def _book(self) -> QWidget:
        made = QWidget()
        layout = column(made, gap=0)
        head = row(gap=8, margins=(24, 8, 20, 8))
        self.whose = label(role="heading")
        self.day = day_field()
        self.say(self.day.setAccessibleName, lambda: self.tr("账簿日期"))
        self.day.dateChanged.connect(lambda day: self.presenter.turn_to(date(*day.getDate())))
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.addTab("")
        self.tabs.addTab("")
        self.say(partial(self.tabs.setTabText, 0), lambda: self.tr("每一笔"))
        self.say(partial(self.tabs.setTabText, 1), lambda: self.tr("每日结余"))
        self.say(self.tabs.setAccessibleName, lambda: self.tr("每一笔或每日结余"))
        self._stack = QStackedWidget()
        self._stack.addWidget(self.lines)
        self._stack.addWidget(self.closings)
        self.tabs.currentChanged.connect(self._stack.setCurrentIndex)
        head.addWidget(self.whose, 1)
        head.addWidget(self.tabs)
        head.addWidget(self.day)
        layout.addLayout(head)
        layout.addWidget(self._stack, 1)
        return made

    def enter(self) -> None:
        if self.presenter.feed.as_of is None and not self.presenter.feed.loading:
            self.presenter.open()
        elif not self.presenter.feed.loading:  # every sale moves balances, and the change feed names none of them
            self.presenter.refresh()

    def refresh(self) -> None:
        self.presenter.refresh()

    def look(self) -> None:
        """Show what has become of it."""
        one = self.presenter.chosen
        self.whose.setText(full_name(one.kind, one.name) if one is not None else "")
        put_day(self.day, self.presenter.day, latest=self.presenter.today)
        if self.presenter.feed.rows and self.accounts.table.current_row() < 0:
            self.accounts.table.go_to(0)
        self.show_age(self.presenter.feed.as_of)

    def _follow(self, at: int) -> None:
        if 0 <= at < len(self.presenter.feed.rows):
            self.presenter.choose(self.presenter.feed.rows[at])

    def _open_order(self, at: int) -> None:
        rows = self.presenter.lines.rows
        code = rows[at].order_code if 0 <= at < len(rows) else None
        if code is not None:
            self.wanted.emit("orders", code)

    def show_closings(self) -> None:
        """Show what the account had at the end of each day."""
        self.tabs.setCurrentIndex(1)
        self.closings.table.setFocus()

    def _open_day(self, at: int) -> None:
        """A closed day leads to each line of it."""
        rows = self.presenter.closings.rows
        if 0 <= at < len(rows):
            self.presenter.turn_to(rows[at].day)
            self.tabs.setCurrentIndex(0)
            self.lines.table.setFocus()

    def _closing_titles(self) -> list[str]:
        return [
            self.tr("日期"),
            self.tr("期初"),
            self.tr("借方"),
            self.tr("贷方"),
            self.tr("期末"),
        ]

    def _line_titles(self) -> list[str]:
        return [
            self.tr("时间"),
            self.tr("事项"),
            self.tr("借方"),
            self.tr("贷方"),
            self.tr("余额"),
            self.tr("对方账户"),
            self.tr("订单号"),
        ]


class JournalsPage(Page):
    """What was posted: of an order from its sale to its payout, or of a day."""

    def __init__(self, presenter: Journals) -> None:
        super().__init__("journals")
        self.presenter = presenter
        self.add_refresh()
        self.say(self.subtitle.setText, lambda: self.tr("每一笔分录的借方和贷方，过账之后不能修改"))
        head = row(gap=10, margins=(24, 0, 20, 8))
        self.whose = label(role="heading")
        self.whole_day = button(role="link")
        self.say(self.whole_day.setText, lambda: self.tr("看全部订单的"))
        self.whole_day.clicked.connect(lambda: presenter.show_day(presenter.day))
        self.day = day_field()
        self.say(self.day.setAccessibleName, lambda: self.tr("分录日期"))
        self.day.dateChanged.connect(lambda day: presenter.show_day(date(*day.getDate())))
        head.addWidget(self.whose)
        head.addWidget(self.whole_day)
        head.addStretch(1)
        head.addWidget(self.day)
        self.body.addLayout(head)
        self.list = FeedView(
            presenter.feed,
            name=lambda: self.tr("分录列表"),
            titles=self._titles,
            empty_icon="file",
            remembered_as="ledger-journals",
            empty=lambda: (self.tr("没有分录"), self.tr("换一天看看。")),
            key=lambda one: one.id,
        )
        self.table = self.list.table
        self.body.addWidget(self.list, 1)
        self.table.opened.connect(self._open_order)
        presenter.watch(self.look)
        presenter.feed.watch(self.look)
        self.on_words(self.look)
        self.look()

    def enter(self) -> None:
        if self.presenter.feed.as_of is None and not self.presenter.feed.loading:
            self.presenter.open()
        elif not self.presenter.feed.loading:
            self.presenter.feed.reload()

    def refresh(self) -> None:
        self.presenter.open()

    def look(self) -> None:
        """Show what has become of it."""
        code = self.presenter.code
        words = self.tr("订单 {code}").format(code=speak_order_code(code)) if code is not None else ""
        self.whose.setText(words)
        self.whose.setVisible(code is not None)
        self.whole_day.setVisible(code is not None)
        put_day(self.day, self.presenter.day, latest=self.presenter.today)
        self.show_age(self.presenter.feed.as_of)

    def _open_order(self, at: int) -> None:
        rows = self.presenter.feed.rows
        code = rows[at].journal.order_code if 0 <= at < len(rows) else None
        if code is not None:
            self.wanted.emit("orders", code)

    def _titles(self) -> list[str]:
        return [
            self.tr("时间"),
            self.tr("事项"),
            self.tr("借方"),
            self.tr("贷方"),
            self.tr("金额"),
            self.tr("订单号"),
            self.tr("经手人"),
        ]
