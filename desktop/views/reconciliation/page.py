"""The Reconciliation screen: pick the day, see that it holds, export the workbook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from PySide6.QtCore import QDate, QStandardPaths, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDateEdit, QFileDialog, QFrame, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from desktop.presenters import formats
from desktop.presenters.reconciliation import Proof, Reconciliation, proofs
from desktop.theme.tokens import SPACE
from desktop.views.page import Page
from desktop.widgets.basics import Card, Glyph, Notice, button, column, label, name_tool, restyle, row, tool
from desktop.widgets.big_table import BigTable
from desktop.widgets.rows_model import RowsModel
from desktop.widgets.words import how_old, sentence
from shared.contracts.reports import DaySummary

AskTarget = Callable[[QWidget, str], Path | None]
OpenFolder = Callable[[Path], None]


def choose_target(parent: QWidget, name: str) -> Path | None:
    """Ask where to write the workbook; the person's documents are offered."""
    documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    chosen, _ = QFileDialog.getSaveFileName(parent, "", str(Path(documents) / name), "Excel (*.xlsx)")
    return Path(chosen) if chosen else None


def open_folder(folder: Path) -> None:
    """Show a folder in the system's file manager."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


class ReconciliationPage(Page):
    """See the file's head. `ask_target` and `show_folder` reach out of the window; tests answer them."""

    def __init__(
        self, presenter: Reconciliation, *, ask_target: AskTarget = choose_target, show_folder: OpenFolder = open_folder
    ) -> None:
        super().__init__("reconciliation")
        self.presenter = presenter
        self._ask_target, self._show_folder = ask_target, show_folder
        self.say(self.title.setText, lambda: self.tr("对账"))
        self._day_picker()
        self.add_refresh()
        self.export_button = button(role="primary", icon_name="export")
        self.export_button.clicked.connect(self.export)
        self.tools.addWidget(self.export_button)
        self.done = Notice()
        self._folder = button(icon_name="folder")
        self.say(self._folder.setText, lambda: self.tr("打开所在文件夹"))
        self._folder.clicked.connect(self._open_written)
        self.done.buttons.addWidget(self._folder)
        self.body.addLayout(self._notices())
        self.body.addWidget(self._content(), 1)
        self.handle("day.previous", lambda: presenter.step(-1))
        self.handle("day.next", lambda: presenter.step(1), when=lambda: presenter.is_over)
        self.handle("day.export", self.export, when=lambda: presenter.summary is not None and not presenter.exporting)
        presenter.watch(self._look)
        self.on_words(self._speak)
        self._look()

    def _day_picker(self) -> None:
        self.earlier, self.later = tool("chevron-left"), tool("chevron-right")
        self.say(lambda words: name_tool(self.earlier, words), lambda: self.tr("前一天 (Alt+←)"))
        self.say(lambda words: name_tool(self.later, words), lambda: self.tr("后一天 (Alt+→)"))
        self.earlier.clicked.connect(lambda: self.presenter.step(-1))
        self.later.clicked.connect(lambda: self.presenter.step(1))
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
        for widget in (self.earlier, self.day, self.later):
            self.tools.addWidget(widget)
        self.tools.addSpacing(SPACE)

    def _notices(self) -> QVBoxLayout:
        made = column(margins=(24, 0, 24, 6))
        made.addWidget(self.done)
        return made

    def _content(self) -> QWidget:
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.say(area.setAccessibleName, lambda: self.tr("当天的数字"))
        inner = QWidget()
        inner.setProperty("role", "page")
        area.setWidget(inner)
        layout = column(inner, gap=14, margins=(24, 0, 24, 20))
        figures = row(gap=14)
        self._figures: dict[str, QLabel] = {}
        for key, words in (
            ("paid", lambda: self.tr("收款")),
            ("delivered", lambda: self.tr("已发货")),
            ("supplier", lambda: self.tr("供应商所得")),
            ("fee", lambda: self.tr("平台服务费")),
        ):
            figures.addWidget(self._figure(key, words), 1)
        layout.addLayout(figures)
        middle = row(gap=14)
        middle.addWidget(self._proof_card(), 3)
        middle.addWidget(self._count_card(), 2)
        layout.addLayout(middle)
        heading = label(role="heading")
        self.say(heading.setText, lambda: self.tr("总账各科目发生额"))
        layout.addWidget(heading)
        self.table = BigTable()
        self.say(self.table.setAccessibleName, lambda: self.tr("总账各科目发生额"))
        self.model = RowsModel(self.presenter.accounts, self._titles, self)
        self.table.show_rows(self.model, remembered_as="accounts")
        self.table.setMinimumHeight(self.table.verticalHeader().defaultSectionSize() * 6)
        layout.addWidget(self.table, 1)
        return area

    def _figure(self, key: str, words: Callable[[], str]) -> QWidget:
        card = Card(margin=14, gap=2)
        title, number = label(role="muted"), label("–", role="figure")
        self.say(title.setText, words)
        card.body.addWidget(title)
        card.body.addWidget(number)
        self._figures[key] = number
        return card

    def _proof_card(self) -> QWidget:
        card = Card(margin=16, gap=8)
        title = label(role="heading")
        self.say(title.setText, lambda: self.tr("签字前的核对"))
        card.body.addWidget(title)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(9)
        grid.setColumnStretch(1, 1)
        self._proofs: dict[str, tuple[Glyph, QLabel, QLabel]] = {}
        for at, key in enumerate(("ledger", "split", "delivered", "exceptions")):
            mark, words, sides = Glyph("minus", tint="muted", size=18), label(wrap=True), label("–")
            sides.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(mark, at, 0)
            grid.addWidget(words, at, 1)
            grid.addWidget(sides, at, 2)
            self._proofs[key] = (mark, words, sides)
        card.body.addLayout(grid)
        card.body.addStretch(1)
        return card

    def _count_card(self) -> QWidget:
        card = Card(margin=16, gap=8)
        title = label(role="heading")
        self.say(title.setText, lambda: self.tr("笔数与卡密"))
        card.body.addWidget(title)
        grid = QGridLayout()
        grid.setVerticalSpacing(9)
        grid.setColumnStretch(0, 1)
        self._counts: dict[str, QLabel] = {}
        for at, (key, words) in enumerate(
            (
                ("orders_placed", lambda: self.tr("下单")),
                ("orders_paid", lambda: self.tr("支付")),
                ("orders_delivered", lambda: self.tr("发货")),
                ("units_imported", lambda: self.tr("入库卡密")),
                ("units_sold", lambda: self.tr("售出卡密")),
                ("units_returned", lambda: self.tr("退回卡密")),
                ("units_replaced", lambda: self.tr("补发卡密")),
            )
        ):
            name, number = label(role="muted"), label("–")
            number.setAlignment(Qt.AlignmentFlag.AlignRight)
            self.say(name.setText, words)
            grid.addWidget(name, at, 0)
            grid.addWidget(number, at, 1)
            self._counts[key] = number
        card.body.addLayout(grid)
        card.body.addStretch(1)
        return card

    def enter(self) -> None:
        if self.presenter.as_of is None and not self.presenter.loading:
            self.presenter.refresh()

    def refresh(self) -> None:
        self.presenter.refresh()

    def export(self) -> None:
        """Ask where, and write the workbook."""
        target = self._ask_target(self, self.presenter.file_name)
        if target is not None:
            self.presenter.export(target)

    def _open_written(self) -> None:
        if self.presenter.written is not None:
            self._show_folder(self.presenter.written.path.parent)

    def _day_chosen(self, chosen: QDate) -> None:
        day = date(chosen.year(), chosen.month(), chosen.day())
        if day != self.presenter.day:
            self.presenter.show(day)

    def _look(self) -> None:
        presenter, summary = self.presenter, self.presenter.summary
        self.day.blockSignals(True)
        self.day.setMaximumDate(_qt_date(presenter.today))
        self.day.setDate(_qt_date(presenter.day))
        self.day.blockSignals(False)
        self.later.setEnabled(presenter.is_over)
        self.subtitle.setText(self._day_words())
        self.export_button.setText(self.tr("正在导出…") if presenter.exporting else self.tr("导出对账工作簿"))
        self.export_button.setEnabled(summary is not None and not presenter.exporting)
        self._tell_trouble()
        self._show_written()
        self._show_figures(summary)
        self.show_age(presenter.as_of)

    def _tell_trouble(self) -> None:
        """Why the figures did not come, or that they are old ones."""
        presenter = self.presenter
        if presenter.error is not None:
            self.notice.tell(sentence(presenter.error), tone="danger")
        elif presenter.as_of is not None and not presenter.live and not presenter.loading:
            words = self.tr("连不上服务器，下面是{age}的数字。").format(age=how_old(presenter.as_of))
            self.notice.tell(words, tone="warning")
        else:
            self.notice.tell("")

    def _day_words(self) -> str:
        presenter = self.presenter
        if presenter.summary is None:
            return self.tr("正在读取…") if presenter.loading else ""
        if not presenter.is_over:
            return self.tr("这一天还没有结束，数字会变")
        return self.tr("数字全部对得上，可以签字") if presenter.holds else self.tr("有对不上的地方，请先查明")

    def _show_written(self) -> None:
        written = self.presenter.written
        if written is None:
            self.done.tell("")
            return
        rows = formats.count(sum(written.rows.values()))
        text = self.tr("已写入 {path}，共 {rows} 行明细。数据指纹 SHA-256：{hash}…").format(
            path=written.path, rows=rows, hash=written.sha256[:16]
        )
        self.done.tell(text, tone="success")
        self.done.setToolTip(written.sha256)

    def _show_figures(self, summary: DaySummary | None) -> None:
        money = (
            {
                "paid": summary.paid_fen,
                "delivered": summary.delivered_fen,
                "supplier": summary.supplier_fen,
                "fee": summary.fee_fen,
            }
            if summary is not None
            else {}
        )
        for key, number in self._figures.items():
            number.setText(formats.money(money.get(key)))
        for key, number in self._counts.items():
            number.setText(formats.count(getattr(summary, key)) if summary is not None else "–")
        shown = {proof.key: proof for proof in proofs(summary)} if summary is not None else {}
        for key, (mark, words, sides) in self._proofs.items():
            self._show_proof(shown.get(key), key, mark, words, sides)

    def _show_proof(self, proof: Proof | None, key: str, mark: Glyph, words: QLabel, sides: QLabel) -> None:
        good, bad = self._proof_words(key)
        if proof is None:
            mark.show_icon("minus", tint="muted")
            words.setText(good)
            sides.setText("–")
            return
        mark.show_icon("check" if proof.holds else "alert", tint="success" if proof.holds else "warning")
        words.setText(good if proof.holds else bad)
        restyle(words, "tone", "" if proof.holds else "warning")
        sides.setText(proof.left if proof.left == proof.right else f"{proof.left}  ≠  {proof.right}")
        if key == "exceptions":
            sides.setText(proof.left)

    def _proof_words(self, key: str) -> tuple[str, str]:
        return {
            "ledger": (self.tr("总账借贷平衡"), self.tr("总账借贷不平")),
            "split": (self.tr("发货额 = 供应商所得 + 服务费"), self.tr("发货额与分账之和不等")),
            "delivered": (self.tr("收到的钱都已发货"), self.tr("收款与发货不等：有跨日或未发货的订单")),
            "exceptions": (self.tr("没有待处理的异常"), self.tr("有异常等待处理")),
        }[key]

    def _speak(self) -> None:
        self.model.speak_again()
        self._look()

    def _titles(self) -> list[str]:
        return [self.tr("科目"), self.tr("借方发生额"), self.tr("贷方发生额")]


def _qt_date(day: date) -> QDate:
    return QDate(day.year, day.month, day.day)
