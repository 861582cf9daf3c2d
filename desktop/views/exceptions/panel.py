"""One exception: what to do about it, what is known, what has been said, and the order that it is about."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.exceptions import Exceptions, amount_of, before_its_money, evidence, story
from desktop.presenters.orders import goods
from desktop.presenters.runbook import RUNBOOK
from desktop.presenters.words import channel_word, in_words, time_left, tone
from desktop.views.side import SidePanel, add_fact, facts
from desktop.widgets.basics import Notice, button, label, row, rule
from desktop.widgets.words import state_word
from shared import clock
from shared.contracts.payments import PaymentException
from shared.ids import speak_order_code
from shared.states import ExceptionAction


class ExceptionPanel(SidePanel):
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
        super().__init__(width=360, most=520)
        self._presenter = presenter
        self._written: object = None
        self.say(self.area.setAccessibleName, lambda: self.tr("异常详情"))
        presenter.watch(self._look)
        self.on_words(self._write)
        self.hide()

    @property
    def order_code(self) -> str | None:
        """The order that the exception is about."""
        one = self._presenter.opened
        return None if one is None else one.order_code

    def open_order(self) -> None:
        """Go to the order."""
        if self.order_code is not None:
            self.order_wanted.emit(self.order_code)

    def _look(self) -> None:
        one = self._presenter.opened
        left = time_left(one.due_at, now=clock.now()) if one is not None and one.due_at is not None else ""
        shown = (one, self._presenter.order, self._presenter.candidates, left)
        if shown != self._written:
            self._written = shown
            self._write()

    def _write(self) -> None:
        one = self._presenter.opened
        if one is None:
            return
        self.name.setText(state_word(one.kind))
        self.badge.show_word(state_word(one.state), tone=tone(one.state))
        inner, layout = self.new_page()
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
        layout.addStretch(1)
        self.turn_to(inner)

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
            line = row()
            link = button(code, role="link", name=self.tr("查看订单 {code}").format(code=code))
            link.clicked.connect(partial(self.order_wanted.emit, one.code))
            take = button(self.tr("归入…"), name=self.tr("归入订单 {code}").format(code=code))
            take.clicked.connect(partial(self.attach_wanted.emit, one.code))
            line.addWidget(link)
            line.addStretch(1)
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
            line = row()
            link = button(speak_order_code(one.order_code), role="link")
            link.setAccessibleName(self.tr("查看订单 {code}").format(code=link.text()))
            link.clicked.connect(self.open_order)
            line.addWidget(link)
            line.addStretch(1)
            layout.addLayout(line)
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
            link = button(self.tr("查看退款进度"), role="link")
            link.clicked.connect(lambda: self.refund_wanted.emit(refund_id))
            layout.addWidget(link)
