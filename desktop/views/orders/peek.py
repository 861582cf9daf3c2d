"""One order at the side of the list: what was bought, who gets which part, payment, refunds and disputes."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.orders import Orders, timeline
from desktop.presenters.words import channel_word, tone
from desktop.theme.apply import key_font
from desktop.views.acting import ActBar
from desktop.views.side import CasePanel, add_fact, at_left, facts, link, pair
from desktop.widgets.basics import Badge, button, label, rule
from desktop.widgets.words import state_word
from shared.contracts.orders import Order
from shared.finance import DisputeState
from shared.ids import speak_order_code
from shared.states import RefundState

WIDTH = 300


class OrderPeek(CasePanel):
    """The side panel of the Orders screen.

    Signals:
        refund_wanted(id): the person wants to see one of its refunds.
        ledger_wanted(what): the person wants to see its journals, by its code, or one of its disputes.
    """

    refund_wanted = Signal(object)
    ledger_wanted = Signal(object)

    def __init__(self, presenter: Orders) -> None:
        self._presenter = presenter
        super().__init__(presenter, width=WIDTH, most=WIDTH + 120, name=lambda: self.tr("订单详情"))
        self.name.setFont(key_font())
        self.bar = ActBar(presenter.acting)
        self.body.addWidget(self.bar)

    def shown(self) -> object:
        presenter = self._presenter
        self.setVisible(presenter.opened is not None)
        if presenter.opened is None:
            return None
        return presenter.opened, presenter.refunds, presenter.refunds_error, tuple(presenter.disputes)

    def write(self, layout: QVBoxLayout) -> None:
        order = self._presenter.opened
        assert order is not None
        self.head(speak_order_code(order.code), order.state)
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
        self._write_disputes(layout)
        if self._presenter.may_see_ledger:
            layout.addWidget(rule())
            go = button(self.tr("查看这张订单的分录"), role="link", icon_name="ledger")
            go.clicked.connect(partial(self.ledger_wanted.emit, order.code))
            layout.addLayout(at_left(go))

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
        add_fact(table, self.tr("商户订单号"), order.out_trade_no or "–", is_code=True)
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
            see = link(formats.money(refund.amount_fen), partial(self.refund_wanted.emit, refund.id))
            see.setAccessibleName(self.tr("查看退款 {amount}").format(amount=see.text()))
            layout.addLayout(_with_state(see, refund.state))

    def _write_disputes(self, layout: QVBoxLayout) -> None:
        disputes = self._presenter.disputes
        if disputes:
            layout.addWidget(rule())
            layout.addWidget(label(self.tr("争议"), role="heading"))
        for dispute in disputes:
            see = link(formats.money(dispute.amount_fen), partial(self.ledger_wanted.emit, dispute))
            see.setAccessibleName(self.tr("查看争议 {amount}").format(amount=see.text()))
            layout.addLayout(_with_state(see, dispute.state))


def _with_state(see: QPushButton, state: RefundState | DisputeState) -> QHBoxLayout:
    line, badge = at_left(see), Badge()
    badge.show_word(state_word(state), tone=tone(state))
    line.addWidget(badge)
    return line
