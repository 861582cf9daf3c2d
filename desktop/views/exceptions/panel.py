"""One exception: what to do about it, what is known, what has been said, and the order that it is about."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.exceptions import Exceptions, amount_of, before_its_money, evidence, story
from desktop.presenters.orders import goods
from desktop.presenters.runbook import RUNBOOK
from desktop.presenters.words import channel_word, in_words, time_left
from desktop.views.side import CasePanel, add_fact, at_left, facts, link
from desktop.widgets.basics import Notice, button, label, rule
from desktop.widgets.words import state_word
from shared import clock
from shared.contracts.payments import PaymentException
from shared.ids import speak_order_code
from shared.states import ExceptionAction


class ExceptionPanel(CasePanel):
    """The side panel of the Exceptions screen.

    Signals:
        order_wanted(code), refund_wanted(id): the person wants to see it.
        attach_wanted(code): the person thinks that the money is meant for this order.
    """

    order_wanted = Signal(object)
    refund_wanted = Signal(object)
    attach_wanted = Signal(object)

    runbook: Notice

    def __init__(self, presenter: Exceptions) -> None:
        self._presenter = presenter
        super().__init__(presenter, width=360, most=520, name=lambda: self.tr("异常详情"))

    @property
    def order_code(self) -> str | None:
        """The order that the exception is about."""
        one = self._presenter.opened
        return None if one is None else one.order_code

    def open_order(self) -> None:
        """Go to the order."""
        if self.order_code is not None:
            self.order_wanted.emit(self.order_code)

    def shown(self) -> object:
        one = self._presenter.opened
        if one is None:
            return None
        left = time_left(one.due_at, now=clock.now()) if one.due_at is not None else ""
        return one, self._presenter.order, self._presenter.candidates, left

    def write(self, layout: QVBoxLayout) -> None:
        one = self._presenter.opened
        assert one is not None
        self.head(state_word(one.kind), one.state)
        if one.received_fen is not None or one.expected_fen is not None:
            layout.addWidget(label(amount_of(one), role="figure"))
        self.runbook = Notice()
        layout.addWidget(self.runbook)
        self.runbook.tell(in_words(RUNBOOK[one.kind]), tone="info")
        if one.due_at is not None:
            words = self.tr("{left}，到时系统按默认规则自动处理").format(left=time_left(one.due_at, now=clock.now()))
            layout.addWidget(label(words, role="warning", wrap=True))
        layout.addWidget(label(self.tr("证据"), role="heading"))
        table = facts()
        add_fact(table, self.tr("渠道"), channel_word(one.channel))
        for fact in evidence(one):
            add_fact(table, fact.words, fact.value, is_code=fact.is_code)
        layout.addLayout(table)
        self._write_candidates(layout)
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("经过"), role="heading"))
        told = facts()
        for when, what in story(one):
            add_fact(told, when, what)
        layout.addLayout(told)
        self._write_links(layout, one)

    def _write_candidates(self, layout: QVBoxLayout) -> None:
        """Whose the money may be: each line can be seen, and taken into the proposal."""
        found = self._presenter.candidates
        if found is None or self._presenter.acting.act(ExceptionAction.ATTACH.value) is None:
            return
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("可能的订单"), role="heading"))
        if not found:
            words = self.tr("到账前 24 小时内，没有金额相同的未支付订单。")
            layout.addWidget(label(words, role="muted", wrap=True))
        for one in found:
            code = speak_order_code(one.code)
            see = link(code, partial(self.order_wanted.emit, one.code))
            see.setAccessibleName(self.tr("查看订单 {code}").format(code=code))
            line = at_left(see)
            take = button(self.tr("归入…"), name=self.tr("归入订单 {code}").format(code=code))
            take.clicked.connect(partial(self.attach_wanted.emit, one.code))
            line.addWidget(take)
            layout.addLayout(line)
            ago = before_its_money(one)
            tried = " ".join(channel_word(channel) for channel in one.channels)
            told = " · ".join((state_word(one.state), ago, tried, one.goods))
            layout.addWidget(label(told, role="muted", wrap=True))

    def _write_links(self, layout: QVBoxLayout, one: PaymentException) -> None:
        order = self._presenter.order
        if one.order_code is not None:
            layout.addWidget(rule())
            layout.addWidget(label(self.tr("订单"), role="heading"))
            see = link(speak_order_code(one.order_code), self.open_order)
            see.setAccessibleName(self.tr("查看订单 {code}").format(code=see.text()))
            layout.addLayout(at_left(see))
        if order is not None:
            table = facts()
            add_fact(table, self.tr("状态"), state_word(order.state))
            add_fact(table, self.tr("内容"), goods(order))
            add_fact(table, self.tr("金额"), formats.money(order.amount_fen))
            add_fact(table, self.tr("下单"), formats.moment(order.created_at))
            add_fact(table, self.tr("付款"), formats.moment(order.paid_at))
            add_fact(table, self.tr("发货"), formats.moment(order.delivered_at))
            layout.addLayout(table)
        if one.refund_id is not None and self._presenter.may_see_refunds:
            refund_id = one.refund_id
            layout.addWidget(link(self.tr("查看退款进度"), lambda: self.refund_wanted.emit(refund_id)))
