"""One order at the side of the list: what was bought, who gets which part, when what happened, and the payment."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QWidget

from desktop.presenters import formats
from desktop.presenters.orders import timeline
from desktop.presenters.words import tone
from desktop.theme.apply import key_font
from desktop.widgets.basics import column, label, row, rule
from desktop.widgets.side_panel import SidePanel
from desktop.widgets.words import state_word
from shared.contracts.orders import Order
from shared.ids import speak_order_code

WIDTH = 300


class OrderPeek(SidePanel):
    """The side panel; hidden while no order is looked into."""

    def __init__(self) -> None:
        super().__init__(name=lambda: self.tr("订单详情"), close=lambda: self.tr("关闭预览"))
        self.setMinimumWidth(WIDTH)
        self.setMaximumWidth(WIDTH + 120)
        self._order: Order | None = None
        self.on_words(self._write)

    def show_order(self, order: Order | None) -> None:
        """Show `order`; None hides the panel."""
        if order != self._order:
            self._order = order
            self._write()
        self.setVisible(order is not None)

    def _write(self) -> None:
        order = self._order
        if order is None:
            return
        self.title.setFont(key_font())
        self.title.setText(speak_order_code(order.code))
        self.badge.show_word(state_word(order.state), tone=tone(order.state))
        inner = QWidget()
        layout = column(inner, gap=8, margins=(18, 14, 18, 18))
        layout.addWidget(label(formats.money(order.amount_fen), role="figure"))
        layout.addWidget(label(self.tr("内容"), role="heading"))
        for line in order.lines:
            layout.addWidget(label(line.title, wrap=True))
            facts = f"{line.sku} · {formats.price(line.unit_price)} × {formats.count(line.quantity)}"
            layout.addLayout(_pair(facts, formats.money(line.amount_fen)))
            layout.addLayout(_pair(self.tr("供应商所得"), formats.money(line.supplier_fen)))
            layout.addLayout(_pair(self.tr("平台服务费"), formats.money(line.fee_fen)))
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("经过"), role="heading"))
        words = {
            "placed": self.tr("下单"),
            "paid": self.tr("付款"),
            "delivered": self.tr("发货"),
            "expires": self.tr("支付截止"),
        }
        grid = _grid()
        for at, moment in enumerate(timeline(order)):
            _add(grid, at, words[moment.key], label(moment.when))
        layout.addLayout(grid)
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("支付"), role="heading"))
        facts_of_payment = (
            (self.tr("渠道"), order.channel),
            (self.tr("商户单号"), order.out_trade_no),
            (self.tr("渠道流水号"), order.provider_no),
        )
        for words_of, value in facts_of_payment:
            pair = column(gap=0)
            pair.addWidget(label(words_of, role="caption"))
            shown = label(value or "–", selectable=True)
            shown.setFont(key_font())
            shown.setAccessibleName(words_of)
            pair.addWidget(shown)
            layout.addLayout(pair)
        layout.addStretch(1)
        self.show_inside(inner)


def _pair(left: str, right: str) -> QHBoxLayout:
    line = row()
    line.addWidget(label(left, role="muted", wrap=True), 1)
    amount = label(right)
    amount.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
    line.addWidget(amount)
    return line


def _grid() -> QGridLayout:
    made = QGridLayout()
    made.setHorizontalSpacing(14)
    made.setVerticalSpacing(5)
    made.setColumnStretch(1, 1)
    return made


def _add(grid: QGridLayout, at: int, words: str, value: QLabel) -> None:
    grid.addWidget(label(words, role="muted"), at, 0, Qt.AlignmentFlag.AlignTop)
    grid.addWidget(value, at, 1)
