"""The day's books: its figures, what must hold before it is signed, counts of pieces, and the ledger by account."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QWidget

from desktop.presenters import formats
from desktop.presenters.reconciliation_books import Books, Proof, proofs
from desktop.widgets.basics import Card, Glyph, column, label, restyle, row
from desktop.widgets.big_table import BigTable
from desktop.widgets.live import Live
from desktop.widgets.rows_model import RowsModel
from shared.contracts.reports import DaySummary


class BooksView(Live, QScrollArea):
    """See the file's head."""

    def __init__(self, presenter: Books) -> None:
        super().__init__()
        self.presenter = presenter
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.say(self.setAccessibleName, lambda: self.tr("当天的数字"))
        inner = QWidget()
        inner.setProperty("role", "page")
        self.setWidget(inner)
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
        presenter.watch(self._look)
        self.on_words(self._speak)
        self._look()

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
        self.say(title.setText, lambda: self.tr("签署前的核对"))
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

    def _look(self) -> None:
        self._show_figures(self.presenter.summary)

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
            "split": (
                self.tr("发货额 + 优惠 = 供应商所得 + 佣金 + 服务费"),
                self.tr("发货额加优惠与分账之和不等"),
            ),
            "delivered": (self.tr("收到的钱都已发货"), self.tr("收款与发货不等：有跨日或未发货的订单")),
            "exceptions": (self.tr("没有待处理的异常"), self.tr("有异常等待处理")),
        }[key]

    def _speak(self) -> None:
        self.model.speak_again()
        self._look()

    def _titles(self) -> list[str]:
        return [self.tr("科目"), self.tr("借方发生额"), self.tr("贷方发生额")]
