"""What is due: suppliers above, the lines of the one in front below with why they wait, and its account at the side."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QSplitter, QWidget

from desktop.presenters import due as presenters
from desktop.presenters import formats
from desktop.presenters.due import Due, figures
from desktop.presenters.holds import HOLD
from desktop.presenters.terms import terms_words
from desktop.views.acting import ActBar
from desktop.views.listing import FeedView
from desktop.views.page import Page
from desktop.views.settlement.brought import BroughtPanel, open_part
from desktop.widgets.basics import Card, button, column, label, row
from desktop.widgets.words import counted, sentence
from shared.contracts.brought import BroughtForward

_COMMANDS = {"due.make": presenters.MAKE, "due.make_some": presenters.MAKE_SOME, "due.hold": HOLD}


class DuePage(Page):
    """See the file's head.

    Signals:
        calendar_wanted(year): the person wants to enter the holidays of that year.
        payout_wanted(id): the person wants to see that payout.
        statement_wanted(id): the person wants to see that statement.
    """

    calendar_wanted = Signal(int)
    payout_wanted = Signal(object)
    statement_wanted = Signal(object)

    def __init__(self, presenter: Due) -> None:
        super().__init__("due")
        self.presenter = presenter
        self.add_refresh()
        self.say(self.subtitle.setText, self._purpose)
        self._figures: list[tuple[QLabel, QLabel]] = []
        self._shown_account: object = None
        self.enter_holidays = button(role="link")
        self.say(self.enter_holidays.setText, lambda: self.tr("去录入"))
        self.enter_holidays.clicked.connect(self._to_calendar)
        self.notice.buttons.addWidget(self.enter_holidays)
        self.body.addWidget(self._account())
        self.suppliers = FeedView(
            presenter.suppliers,
            name=lambda: self.tr("应结的供应商"),
            titles=self._titles,
            empty_icon="check",
            remembered_as="due",
            empty=lambda: (self.tr("没有供应商"),),
            key=lambda one: one.supplier_id,
            total=self._total,
        )
        self.lines = FeedView(
            presenter.lines,
            name=lambda: self.tr("没有结算的订单行"),
            titles=self._line_titles,
            empty_icon="check",
            remembered_as="due-lines",
            empty=lambda: (self.tr("没有未结算的订单行"), self.tr("发货后的订单会出现在这里。")),
            key=lambda one: one.order_line_id,
        )
        self.table = self.lines.table if presenter.is_supplier else self.suppliers.table
        self.bar = ActBar(presenter.acting, margin=24)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self.suppliers)
        split.addWidget(self.lines)
        split.setStretchFactor(0, 2)
        split.setStretchFactor(1, 3)
        self.suppliers.setHidden(presenter.is_supplier)
        self.panel = BroughtPanel(presenter)
        self.panel.part_wanted.connect(self._open_part)
        beside = QSplitter(Qt.Orientation.Horizontal)
        beside.setChildrenCollapsible(False)
        beside.addWidget(split)
        beside.addWidget(self.panel)
        beside.setStretchFactor(0, 1)
        beside.setStretchFactor(1, 0)
        self.body.addWidget(beside, 1)
        self.body.addWidget(self.bar)
        self.suppliers.table.row_changed.connect(self._follow)
        self.suppliers.table.picked_changed.connect(self._pick)
        self.suppliers.model.modelReset.connect(self._pick)
        self.handle("settlement.pick_all", self.suppliers.table.selectAll, when=lambda: not presenter.is_supplier)
        self.lines.table.row_changed.connect(self._follow_line)
        self.lines.table.opened.connect(self._open_order)
        self.handle("due.brought", presenter.look_at_brought, when=lambda: presenter.may_look_at_brought)
        acting = presenter.acting
        for command, key in _COMMANDS.items():
            self.handle(command, partial(acting.choose, key), when=partial(acting.may, key))
        self.hear(acting)
        presenter.watch(self.look)
        presenter.suppliers.watch(self.look)
        presenter.lines.watch(self.look)
        self.on_words(self._speak)
        self.look()

    def _account(self) -> QWidget:
        """The account of the supplier in front."""
        around = QWidget()
        layout = column(around, margins=(24, 0, 24, 10))
        card = Card(margin=12, gap=6)
        layout.addWidget(card)
        head = row(gap=12)
        self.whose, self.terms = label(role="heading"), label(role="muted", wrap=True)
        head.addWidget(self.whose)
        head.addWidget(self.terms, 1)
        self.brought = button(role="link")
        self.brought.clicked.connect(self.presenter.look_at_brought)
        head.addWidget(self.brought)
        card.body.addLayout(head)
        line = row(gap=18)
        for _ in range(7):
            one = column(gap=1)
            words, value = label(role="caption"), label("–", role="heading")
            one.addWidget(words)
            one.addWidget(value)
            line.addLayout(one)
            self._figures.append((words, value))
        line.addStretch(1)
        card.body.addLayout(line)
        self.owing = label(role="warning", wrap=True)
        card.body.addWidget(self.owing)
        self.account_card = around
        return around

    def enter(self) -> None:
        if self.presenter.suppliers.as_of is None and not self.presenter.suppliers.loading:
            self.presenter.open()

    def refresh(self) -> None:
        self.presenter.refresh()

    def look(self) -> None:
        """Show what has become of it."""
        presenter = self.presenter
        self._tell()
        account = presenter.account
        self.account_card.setVisible(account is not None)
        if account is not None:
            self.whose.setText(account.supplier)
            self.terms.setText(terms_words(presenter.terms) if presenter.terms is not None else "")
            self.terms.setToolTip(self.terms.text())
            owed = presenter.chosen.owed_fen if presenter.chosen is not None else 0
            self.brought.setText(self.tr("上期结转 {amount}").format(amount=formats.money(-owed)))
            self.brought.setVisible(presenter.may_look_at_brought)
            for (words, value), (name, figure) in zip(self._figures, figures(account), strict=True):
                words.setText(name)
                value.setText(figure)
                value.setAccessibleName(f"{name} {figure}")
            owing = self.tr("从 {day} 起欠款，请催收").format(day=formats.moment(account.owing_since)[:10])
            self.owing.setText(owing)
            self.owing.setVisible(account.owing_since is not None and not presenter.is_supplier)
        if presenter.suppliers.rows and self.suppliers.table.current_row() < 0:
            self.suppliers.table.go_to(0)
        self.bar.tell(self.tr("今天没有可以结算的；若有在等的，原因见上面的列表。") if presenter.nothing_due else "")
        self.show_age(presenter.suppliers.as_of)

    def _to_calendar(self) -> None:
        self.calendar_wanted.emit(self.presenter.unknown_year)

    def _open_part(self, one: BroughtForward) -> None:
        """Go to the paper that a part of what would be brought forward comes from."""
        open_part(self, one, payout=self.payout_wanted.emit, statement=self.statement_wanted.emit)

    def _follow(self, at: int) -> None:
        if 0 <= at < len(self.presenter.suppliers.rows):
            self.presenter.choose(self.presenter.suppliers.rows[at])

    def _tell(self) -> None:
        """Why the account was not read, or that due days are counted by a calendar that nobody entered."""
        presenter, unknown = self.presenter, self.presenter.unknown_year
        if presenter.error is not None:
            self.notice.tell(sentence(presenter.error), tone="danger")
        elif unknown is not None:
            words = self.tr("{year} 年的法定假日还没有录入：T+n 会把它的每个周一到周五都算作工作日。")
            self.notice.tell(words.format(year=unknown), tone="warning")
        else:
            self.notice.tell("")
        self.enter_holidays.setVisible(unknown is not None and presenter.error is None)

    def _pick(self) -> None:
        rows = self.presenter.suppliers.rows
        ranges = self.suppliers.table.picked_ranges()
        self.presenter.pick([row for first, last in ranges for row in rows[first : last + 1]])

    def _follow_line(self, at: int) -> None:
        rows = self.presenter.lines.rows
        self.presenter.look_at_line(rows[at] if 0 <= at < len(rows) and self.lines.table.hasFocus() else None)

    def _open_order(self, at: int) -> None:
        if 0 <= at < len(self.presenter.lines.rows):
            self.wanted.emit("orders", self.presenter.lines.rows[at].order_code)

    def _speak(self) -> None:
        self.subtitle.setText(self._purpose())
        self.look()

    def _purpose(self) -> str:
        if self.presenter.is_supplier:
            return self.tr("已发货、还没有进结算单的订单，何时结算、为什么还不能")
        return self.tr("今天可以结算给谁、多少；什么在等、为什么")

    def _total(self) -> str:
        number, payable, held = self.presenter.total
        words = counted(self.tr("%n 家可以结算，应付合计 {payable}，暂不能结 {held}", None, number), number)
        return words.format(payable=payable, held=held)

    def _titles(self) -> list[str]:
        return [
            self.tr("供应商"),
            self.tr("可结行数"),
            self.tr("应付"),
            self.tr("暂不能结"),
            self.tr("原因"),
            self.tr("结算释放"),
            self.tr("退款扣减"),
            self.tr("上期结转"),
            self.tr("打款手续费"),
        ]

    def _line_titles(self) -> list[str]:
        return [
            self.tr("订单号"),
            self.tr("内容"),
            self.tr("结算金额"),
            self.tr("结算情况"),
            self.tr("结算日"),
            self.tr("发货时间"),
        ]
