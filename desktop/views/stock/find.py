"""Paste to find: lines of keys go in, sealed; what became of each comes out. The pasted text is gone at once."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QPlainTextEdit, QStackedWidget, QWidget

from desktop.presenters.finding import DOUBLED, FOUND, MISSING, Finding
from desktop.presenters.formats import count
from desktop.theme.apply import key_font
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import Notice, button, column, label, row
from desktop.widgets.big_table import BigTable
from desktop.widgets.ledger_bar import LedgerBar, Part
from desktop.widgets.live import Live
from desktop.widgets.rows_model import RowsModel
from desktop.widgets.words import counted, sentence
from shared.contracts.stock import MAX_FOUND


class FindView(Live, QWidget):
    """The search, in front of the stock.

    Signals:
        left(): back to the stock.
        sku_wanted(sku): look at this SKU.
    """

    left = Signal()
    sku_wanted = Signal(str)

    def __init__(self, presenter: Finding) -> None:
        super().__init__()
        self.presenter = presenter
        layout = column(self, gap=SPACE, margins=(0, 0, 0, 0))
        head = row(gap=SPACE, margins=(24, 0, 20, 0))
        back = button(role="link", icon_name="back")
        self.say(back.setText, lambda: self.tr("返回库存"))
        back.clicked.connect(self.left)
        head.addWidget(back)
        head.addStretch(1)
        self._again = button(icon_name="paste")
        self.say(self._again.setText, lambda: self.tr("再找一批"))
        self._again.clicked.connect(self._start_again)
        head.addWidget(self._again)
        layout.addLayout(head)
        notices = column(margins=(24, 0, 24, 0))
        self.problem = Notice()
        notices.addWidget(self.problem)
        layout.addLayout(notices)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._question())
        self._stack.addWidget(self._answer())
        layout.addWidget(self._stack, 1)
        presenter.watch(self.look)
        self.on_words(self._speak)
        self.look()

    def _question(self) -> QWidget:
        made = QWidget()
        layout = column(made, gap=SPACE, margins=(24, 4, 24, 16))
        title = label(role="heading")
        self.say(title.setText, lambda: self.tr("粘贴要查找的卡密，每行一张，最多 {n} 张").format(n=count(MAX_FOUND)))
        layout.addWidget(title)
        hint = label(role="muted", wrap=True)
        self.say(
            hint.setText,
            lambda: self.tr("卡号和卡密写法与导入时相同。发出前先加密，只有服务器能打开；本机不保存，也不写入日志。"),
        )
        layout.addWidget(hint)
        self.field = QPlainTextEdit()
        self.field.setUndoRedoEnabled(False)  # an undo stack would keep the keys
        self.field.setTabChangesFocus(True)
        self.field.setFont(key_font())
        self.field.setPlaceholderText("A0001----K3J9-22MX-P7QT\nA0002----7HHW-M4C1-Z9RB")
        self.say(self.field.setAccessibleName, lambda: self.tr("要查找的卡密，每行一张"))
        self.field.textChanged.connect(self._count)
        layout.addWidget(self.field, 1)
        foot = row(gap=SPACE)
        self.lines = label(role="muted")
        foot.addWidget(self.lines, 1)
        self.go = button(role="primary", icon_name="search")
        self.say(self.go.setText, lambda: self.tr("查找"))
        self.go.clicked.connect(self._ask)
        foot.addWidget(self.go)
        layout.addLayout(foot)
        return made

    def _answer(self) -> QWidget:
        made = QWidget()
        layout = column(made, gap=SPACE)
        self.ledger = LedgerBar()
        self.say(self.ledger.setAccessibleName, lambda: self.tr("查找结果"))
        self.ledger.setContentsMargins(14, 0, 24, 0)
        self.ledger.chosen.connect(self.presenter.choose)
        layout.addWidget(self.ledger)
        self.summary = label(role="muted", wrap=True)
        words = column(margins=(24, 0, 24, 0))
        words.addWidget(self.summary)
        layout.addLayout(words)
        self.table = BigTable()
        self.say(self.table.setAccessibleName, lambda: self.tr("查找结果"))
        self.model = RowsModel(self.presenter.listing, self._titles, self)
        self.table.show_rows(self.model, remembered_as="found")
        self.table.opened.connect(self._open)
        inset = column(margins=(11, 0, 8, 8))
        inset.addWidget(self.table)
        layout.addLayout(inset, 1)
        return made

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape goes back to the stock; Ctrl+Enter looks for what is pasted."""
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter} and event.modifiers():
            self._ask()
        else:
            super().keyPressEvent(event)

    def forget(self) -> None:
        """Nothing that was pasted stays."""
        self.field.clear()
        self.presenter.close()

    def look(self) -> None:
        """Show the question, or the answer."""
        presenter = self.presenter
        self.problem.tell(sentence(presenter.error) if presenter.error is not None else "", tone="danger")
        has_answer = presenter.pasted is not None
        self._stack.setCurrentIndex(1 if has_answer else 0)
        self._again.setVisible(has_answer)
        self._count()
        if not has_answer:
            return
        found, missing, doubled = (presenter.count(one) for one in (FOUND, MISSING, DOUBLED))
        self.ledger.show_sum(
            Part("pasted", self.tr("粘贴"), presenter.pasted or 0, "accent"),
            [
                Part(FOUND, self.tr("找到"), found, "success"),
                Part(MISSING, self.tr("没找到"), missing, "danger"),
                Part(DOUBLED, self.tr("重复粘贴"), doubled, "warning"),
            ],
        )
        self.ledger.choose(presenter.figure)
        self.summary.setText(self._summary(missing))

    def _summary(self, missing: int) -> str:
        sold = self.presenter.sold()
        parts = [self.tr("找到的里面有 {n} 张已售出。").format(n=count(sold)) if sold else ""]
        if missing:
            parts.append(self.tr("没找到：不在您能看到的库存里，也可能是卡号与卡密的写法不同。"))
        return " ".join(part for part in parts if part)

    def _ask(self) -> None:
        text = self.field.toPlainText()
        self.field.clear()
        self.presenter.look_for(text)

    def _start_again(self) -> None:
        self.presenter.close()
        self.presenter.open()
        self.field.setFocus()

    def _open(self, row_at: int) -> None:
        found = self.presenter.listing.item(row_at)
        if found is not None and found.sku:
            self.sku_wanted.emit(found.sku)

    def _count(self) -> None:
        busy = self.presenter.busy
        lines = sum(1 for line in self.field.toPlainText().splitlines() if line.strip())
        words = counted(self.tr("%n 行", None, lines), lines) if lines else ""
        self.lines.setText(self.tr("正在查找…") if busy else words)
        self.go.setEnabled(lines > 0 and not busy)

    def _speak(self) -> None:
        self.model.speak_again()
        self.look()

    def _titles(self) -> list[str]:
        return [
            self.tr("行"),
            self.tr("卡密（已遮盖）"),
            self.tr("结果"),
            self.tr("规格"),
            self.tr("编号"),
            self.tr("过期日"),
            self.tr("售出时间"),
            self.tr("作废原因"),
        ]
