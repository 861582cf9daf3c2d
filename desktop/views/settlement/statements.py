"""The statements of suppliers: the list and the one in front, or one statement's lines down to the channel's bill."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QSplitter, QStackedWidget, QVBoxLayout, QWidget

from desktop.presenters import formats, statement_acts
from desktop.presenters.statements import STATES, Statements
from desktop.views.acting import ActBar
from desktop.views.cases import CasesPage
from desktop.views.listing import FeedView
from desktop.views.reconciliation.asking import AskTarget, OpenFolder, choose_target, open_folder
from desktop.views.settlement.brought import open_part
from desktop.views.settlement.line import LinePanel
from desktop.views.settlement.statement import StatementPanel
from desktop.widgets.basics import Notice, button, column, label, name_tool, row, tool
from desktop.widgets.words import counted, sentence, state_word
from shared.contracts.brought import BroughtForward

_COMMANDS = {
    "statement.confirm": statement_acts.CONFIRM,
    "statement.drop": statement_acts.DROP,
    "statement.pay": statement_acts.PAY,
}


class StatementsPage(CasesPage):
    """See the file's head. `ask_target` and `show_folder` reach out of the window; tests answer them.

    Signals:
        payout_wanted(id): the person wants to see that payout.
    """

    payout_wanted = Signal(object)

    def __init__(
        self, presenter: Statements, *, ask_target: AskTarget = choose_target, show_folder: OpenFolder = open_folder
    ) -> None:
        self._ask_target, self._show_folder = ask_target, show_folder
        self._listed = QWidget()
        self._room = column(self._listed, gap=0)
        super().__init__("statements", presenter)
        self.presenter = presenter
        self.say(self.subtitle.setText, self._purpose)
        self._tell_written()
        self._stack = QStackedWidget()
        self.body.addWidget(self._stack, 1)
        self._stack.addWidget(self._listed)
        self._chips = [self.chip() for _state in STATES]
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.clicked.connect(lambda _checked=False, state=state: presenter.show(state=state))
        shown = FeedView(
            presenter.feed,
            name=lambda: self.tr("结算单列表"),
            titles=self._titles,
            empty_icon="check",
            remembered_as="statements",
            empty=self._empty_words,
            key=lambda one: one.id,
        )
        panel, bar = StatementPanel(presenter), ActBar(presenter.acting)
        panel.body.addWidget(bar)
        panel.lines_wanted.connect(presenter.open_lines)
        panel.export_wanted.connect(self.export)
        panel.payout_wanted.connect(self._open_payout)
        panel.part_wanted.connect(self._open_part)
        self.handle("statement.export", self.export, when=lambda: presenter.may_export)
        self._stack.addWidget(self._lines_view())
        for command, key in _COMMANDS.items():
            self.handle_act(command, key)
        self.handle("statement.lines", presenter.open_lines, when=self._may_open_lines)
        self.handle("statement.brought", presenter.look_at_brought, when=lambda: presenter.may_look_at_brought)
        self.handle("statement.back", presenter.leave_lines, when=lambda: presenter.lines_of is not None)
        self.handle("statement.open_payout", self._open_payout, when=self._has_payout)
        self.handle("statement.open_order", self._open_order, when=lambda: presenter.line is not None)
        self.build(shown, panel, bar)
        self.let_pick("settlement.pick_all", when=lambda: presenter.lines_of is None)

    def room(self) -> QVBoxLayout:
        return self._room

    def _tell_written(self) -> None:
        """Where the workbook of a statement is, or why there is none."""
        self.written = Notice()
        self._folder = button(role="link")
        self.say(self._folder.setText, lambda: self.tr("打开所在文件夹"))
        self._folder.clicked.connect(self._open_written)
        away = tool("close")
        self.say(partial(name_tool, away), lambda: self.tr("关闭"))
        away.clicked.connect(self.presenter.leave_exported)
        self.written.buttons.addWidget(self._folder)
        self.written.buttons.addWidget(away)
        above = column(margins=(24, 0, 24, 8))
        above.addWidget(self.written)
        self.body.insertLayout(0, above)

    def export(self) -> None:
        """Ask where, and write the workbook of the statement in front."""
        one = self.presenter.opened
        target = self._ask_target(self, f"{one.number}.xlsx") if one is not None else None
        if target is not None:
            self.presenter.export(target)

    def _open_written(self) -> None:
        if self.presenter.exported is not None:
            self._show_folder(self.presenter.exported.path.parent)

    def _lines_view(self) -> QWidget:
        made = QWidget()
        layout = column(made, gap=0)
        head = row(gap=10, margins=(18, 0, 20, 8))
        back = button(role="link", icon_name="chevron-left")
        self.say(back.setText, lambda: self.tr("返回结算单列表"))
        back.clicked.connect(self.presenter.leave_lines)
        self.whose = label(role="heading", wrap=True, selectable=True)  # whole in the narrowest window, too
        head.addWidget(back)
        head.addWidget(self.whose, 1)
        self.brought = button(role="link")
        self.brought.clicked.connect(self.presenter.look_at_brought)
        head.addWidget(self.brought)
        self.export_lines = button(icon_name="export")
        self.say(self.export_lines.setText, lambda: self.tr("导出明细…"))
        self.export_lines.clicked.connect(self.export)
        head.addWidget(self.export_lines)
        layout.addLayout(head)
        self.lines = FeedView(
            self.presenter.lines,
            name=lambda: self.tr("结算明细"),
            titles=self._line_titles,
            empty_icon="file",
            remembered_as="statement-lines",
            empty=lambda: (self.tr("这张结算单没有明细"),),
            key=lambda one: (one.order_line_id, one.kind, one.refund_no),
        )
        self.line_panel = LinePanel(self.presenter)
        self.line_panel.order_wanted.connect(partial(self.wanted.emit, "orders"))
        self.line_panel.part_wanted.connect(self._open_part)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        split.addWidget(self.lines)
        split.addWidget(self.line_panel)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 0)
        layout.addWidget(split, 1)
        self.lines.table.row_changed.connect(self._follow_line)
        self.lines.table.opened.connect(lambda _at: self._open_order())
        self.presenter.lines.watch(self._look_at_lines)
        return made

    def _follow_line(self, at: int) -> None:
        if 0 <= at < len(self.presenter.lines.rows):
            self.presenter.look_into_line(self.presenter.lines.rows[at])

    def _look_at_lines(self) -> None:
        if self.presenter.lines.rows and not self.presenter.is_at_brought and self.lines.table.current_row() < 0:
            self.lines.table.go_to(0)

    def _may_open_lines(self) -> bool:
        return self.presenter.opened is not None and self.presenter.lines_of is None

    def _open_order(self) -> None:
        if self.presenter.line is not None:
            self.wanted.emit("orders", self.presenter.line.order_code)

    def _has_payout(self) -> bool:
        one = self.presenter.opened
        return one is not None and one.payout is not None and self.presenter.lines_of is None

    def _open_payout(self) -> None:
        one = self.presenter.opened
        if one is not None and one.payout is not None:
            self.payout_wanted.emit(one.payout.id)

    def _open_part(self, one: BroughtForward) -> None:
        """Go to the paper that a part of what was brought forward comes from."""
        open_part(self, one, payout=self.payout_wanted.emit, statement=self.presenter.find)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape goes back to the list."""
        if event.key() == Qt.Key.Key_Escape and self.presenter.lines_of is not None:
            self.presenter.leave_lines()
            return
        super().keyPressEvent(event)

    def look(self) -> None:
        presenter = self.presenter
        for state, chip in zip(STATES, self._chips, strict=True):
            chip.setText(self.tr("全部") if state is None else state_word(state))
            chip.setChecked(state is presenter.state)
        one = presenter.lines_of
        was, at = self._stack.currentIndex(), int(one is not None)
        self._stack.setCurrentIndex(at)
        if at != was and self.isVisible():
            (self.lines.table if at else self.table).setFocus()
        if one is not None:
            words = counted(self.tr("{number} · {supplier} · %n 行 · 应付 {amount}", None, one.lines), one.lines)
            amount = formats.money(one.payable_fen)
            self.whose.setText(words.format(number=one.number, supplier=one.supplier, amount=amount))
            words = self.tr("上期结转 {amount}").format(amount=formats.money(-one.owed_fen))
            self.brought.setText(words)
            self.brought.setVisible(bool(one.owed_fen))
            if presenter.is_at_brought:
                self.lines.table.setCurrentIndex(QModelIndex())  # so that the same line can be gone back to
        self.export_lines.setEnabled(not presenter.exporting)
        self._look_at_written()
        super().look()

    def _look_at_written(self) -> None:
        presenter, written = self.presenter, self.presenter.exported
        self._folder.setVisible(written is not None)
        if presenter.export_error is not None:
            self.written.tell(sentence(presenter.export_error), tone="danger")
        elif written is not None:
            words = self.tr("已写入 {path}，共 {rows} 行明细。数据指纹 SHA-256：{hash}…")
            rows = formats.count(sum(written.rows.values()))
            self.written.tell(words.format(path=written.path, rows=rows, hash=written.sha256[:16]), tone="success")
            self.written.setToolTip(written.sha256)
        else:
            self.written.tell(self.tr("正在导出…") if presenter.exporting else "")

    def _purpose(self) -> str:
        if self.presenter.is_supplier:
            return self.tr("每张结算单都能逐行核对到订单、批次、支付和渠道账单")
        return self.tr("核对、确认、发起打款；每一行都能追到订单、批次、支付和渠道账单")

    def _titles(self) -> list[str]:
        return [
            self.tr("结算单号"),
            self.tr("供应商"),
            self.tr("应付"),
            self.tr("已打款"),
            self.tr("状态"),
            self.tr("行数"),
            self.tr("结算日"),
            self.tr("结算释放"),
            self.tr("退款扣减"),
        ]

    def _line_titles(self) -> list[str]:
        return [
            self.tr("订单号"),
            self.tr("内容"),
            self.tr("类型"),
            self.tr("订单金额"),
            self.tr("服务费"),
            self.tr("结算金额"),
            self.tr("渠道账单"),
            self.tr("发货时间"),
        ]

    def _empty_words(self) -> tuple[str, ...]:
        if self.presenter.state is not None:
            return self.tr("没有这种状态的结算单"), self.tr("换个状态看看。")
        if self.presenter.is_supplier:
            return self.tr("还没有结算单"), self.tr("“应结”里能看到还有什么没有结算，以及原因。")
        return self.tr("还没有结算单"), self.tr("在“应结”里生成今天的结算单。")
