"""One order at the side of the list: what was bought, who gets which part, what happened, payment and refunds."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.orders import Orders, timeline
from desktop.presenters.words import channel_word, tone
from desktop.theme.apply import key_font
from desktop.views.acting import ActBar
from desktop.views.side import SidePanel, add_fact, facts, pair
from desktop.widgets.basics import Badge, button, label, row, rule
from desktop.widgets.words import state_word
from shared.contracts.orders import Order
from shared.ids import speak_order_code

WIDTH = 300


class OrderPeek(SidePanel):
    """The side panel of the Orders screen.

    Signals:
        refund_wanted(id): the person wants to see one of its refunds.
        ledger_wanted(code): the person wants to see its journals.
    """

    refund_wanted = Signal(object)
    ledger_wanted = Signal(object)

    def __init__(self, presenter: Orders) -> None:
        super().__init__(width=WIDTH, most=WIDTH + 120)
        self._presenter = presenter
        self._written: object = None
        self.say(self.area.setAccessibleName, lambda: self.tr("订单详情"))
        self.bar = ActBar(presenter.acting)
        self.body.addWidget(self.bar)
        presenter.watch(self._look)
        self.on_words(self._write)
        self.hide()

    def _look(self) -> None:
        presenter = self._presenter
        shown = (presenter.opened, presenter.refunds, presenter.refunds_error)
        if shown != self._written:
            self._written = shown
            self._write()
        self.setVisible(presenter.opened is not None)

    def _write(self) -> None:
        order = self._presenter.opened
        if order is None:
            return
        self.name.setFont(key_font())
        self.name.setText(speak_order_code(order.code))
        self.badge.show_word(state_word(order.state), tone=tone(order.state))
        inner, layout = self.new_page()
        layout.addWidget(label(formats.money(order.amount_fen), role="figure"))
        layout.addWidget(label(self.tr("内容"), role="heading"))
        for line in order.lines:
            layout.addWidget(label(line.title, wrap=True))
            each = f"{line.sku} · {formats.price(line.unit_price)} × {formats.count(line.quantity)}"
            layout.addLayout(pair(each, formats.money(line.amount_fen)))
            layout.addLayout(pair(self.tr("供应商所得"), formats.money(line.supplier_fen)))
            layout.addLayout(pair(self.tr("平台服务费"), formats.money(line.fee_fen)))
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("经过"), role="heading"))
        words = {
            "placed": self.tr("下单"),
            "paid": self.tr("付款"),
            "delivered": self.tr("发货"),
            "expires": self.tr("支付截止"),
        }
        table = facts()
        for moment in timeline(order):
            add_fact(table, words[moment.key], moment.when)
        layout.addLayout(table)
        if order.channel is not None:
            self._write_payment(layout, order)
        self._write_refunds(layout)
        if self._presenter.may_see_ledger:
            layout.addWidget(rule())
            link = button(self.tr("查看这张订单的分录"), role="link", icon_name="ledger")
            link.clicked.connect(partial(self.ledger_wanted.emit, order.code))
            at = row()
            at.addWidget(link)
            at.addStretch(1)
            layout.addLayout(at)
        layout.addStretch(1)
        self.turn_to(inner)

    def _write_payment(self, layout: QVBoxLayout, order: Order) -> None:
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("支付"), role="heading"))
        table = facts()
        add_fact(table, self.tr("渠道"), channel_word(order.channel))
        if order.found_by is not None:
            add_fact(table, self.tr("得知方式"), state_word(order.found_by))
        if order.channel_fee_fen is not None:
            fee = formats.money(order.channel_fee_fen)
            estimated = self.tr("{fee}（预估，以账单为准）").format(fee=fee)
            add_fact(table, self.tr("渠道手续费"), fee if order.channel_fee_is_final else estimated)
        add_fact(table, self.tr("商户单号"), order.out_trade_no or "–", is_code=True)
        add_fact(table, self.tr("渠道流水号"), order.provider_no or "–", is_code=True)
        layout.addLayout(table)

    def _write_refunds(self, layout: QVBoxLayout) -> None:
        seen, error = self._presenter.refunds, self._presenter.refunds_error
        if error is None and not (seen is not None and (seen.value.items or not seen.live)):
            return
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("退款"), role="heading"))
        if error is not None:
            layout.addWidget(label(self.tr("退款记录暂时读不到，请刷新后再操作。"), role="error", wrap=True))
        elif seen is not None and not seen.live:
            old = self.tr("连不上服务器，这是 {when} 的记录。").format(when=formats.moment(seen.as_of))
            layout.addWidget(label(old, role="muted", wrap=True))
        for refund in seen.value.items if seen is not None else ():
            line = row()
            amount = formats.money(refund.amount_fen)
            link = button(amount, role="link", name=self.tr("查看退款 {amount}").format(amount=amount))
            link.clicked.connect(partial(self.refund_wanted.emit, refund.id))
            line.addWidget(link)
            line.addStretch(1)
            state = Badge()
            state.show_word(state_word(refund.state), tone=tone(refund.state))
            line.addWidget(state)
            layout.addLayout(line)
