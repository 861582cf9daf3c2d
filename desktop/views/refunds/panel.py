"""One refund: whose turn it is and until when, what goes back, what the rules say, and all that happened."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.refunds import Refunds, reason, whose
from desktop.presenters.stock_columns import covered, unit_name
from desktop.presenters.words import channel_word, party_words
from desktop.views.refunds.pictures import RefundPictures
from desktop.views.side import CasePanel, add_fact, at_left, facts, link, pair
from desktop.widgets.basics import Notice, label, row, rule
from desktop.widgets.words import state_word
from shared.contracts.payments import Refund, RefundLine
from shared.ids import speak_order_code
from shared.states import RefundTurn


class RefundPanel(CasePanel):
    """The side panel of the Refunds screen.

    Signals:
        order_wanted(code): the person wants to see the order.
        unit_wanted((sku, unit)): the person wants to see one of its cards in stock.
    """

    order_wanted = Signal(object)
    unit_wanted = Signal(object)

    def __init__(self, presenter: Refunds) -> None:
        self._presenter = presenter
        super().__init__(presenter, width=360, most=520, name=lambda: self.tr("退款详情"))

    @property
    def order_code(self) -> str | None:
        """The order whose money goes back."""
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
        return one, whose(one), tuple(self._presenter.pictures), self._presenter.picture_error

    def write(self, layout: QVBoxLayout) -> None:
        one = self._presenter.opened
        assert one is not None
        self.head(formats.money(one.amount_fen), one.state)
        self._write_turn(layout, one)
        if one.lines:
            layout.addWidget(label(self.tr("要退的内容"), role="heading"))
        for line in one.lines:
            layout.addLayout(pair(f"{line.title} × {formats.count(line.quantity)}", formats.money(line.amount_fen)))
            layout.addWidget(label(line.sku, role="caption", wrap=True))
            self._write_units(layout, line)
        table = facts()
        add_fact(table, self.tr("原因"), reason(one))
        if one.reason:
            add_fact(table, self.tr("说明"), one.reason)
        if one.policy is not None:
            add_fact(table, self.tr("退款规则"), state_word(one.policy))
        if one.order_code is not None:
            seen = formats.moment(one.viewed_at) if one.viewed_at is not None else self.tr("没有看过")
            add_fact(table, self.tr("买家看卡密"), seen)
        if one.out_refund_no is not None:
            add_fact(table, self.tr("渠道"), channel_word(one.channel))
            add_fact(table, self.tr("退款单号"), one.out_refund_no, is_code=True)
        layout.addLayout(table)
        if one.images or self._presenter.may_show(one) or self._presenter.picture_error is not None:
            self.pictures = RefundPictures(self._presenter, one)
            layout.addWidget(self.pictures)
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("经过"), role="heading"))
        for event in one.events:
            layout.addLayout(pair(state_word(event.what), formats.moment(event.at)))
            who = party_words(event.actor)
            said = self.tr("{who}：{words}").format(who=who, words=event.note) if event.note else who
            layout.addWidget(label(said, role="caption", wrap=True))
        if one.order_code is not None:
            words = self.tr("查看订单 {code}").format(code=speak_order_code(one.order_code))
            layout.addLayout(at_left(link(words, self.open_order)))

    def _write_units(self, layout: QVBoxLayout, line: RefundLine) -> None:
        """Which cards are meant: by what the buyer calls them, by their end, and where they are in stock."""
        for unit in line.units:
            told = [covered(unit.tail), unit_name(unit), unit.file_name]
            if unit.place is not None:
                told.insert(0, self.tr("买家的第 {n} 件").format(n=unit.place))
            at = row()
            at.addWidget(label(" · ".join(told), role="caption", wrap=True, selectable=True), 1)
            if self._presenter.may_see_units:
                see = link(self.tr("在库存中查看"), partial(self.unit_wanted.emit, (line.sku, unit)))
                see.setAccessibleName(f"{see.text()} {unit_name(unit)}")
                at.addWidget(see)
            layout.addLayout(at)
        left = len(line.seqs) - len(line.units)
        if line.units and left > 0:
            layout.addWidget(label(self.tr("还有 {n} 张").format(n=formats.count(left)), role="caption"))

    def _write_turn(self, layout: QVBoxLayout, one: Refund) -> None:
        if one.turn is not None:
            layout.addWidget(label(self.tr("轮到：{whose}").format(whose=whose(one)), role="heading", wrap=True))
        if one.wants_replacement and one.turn in {RefundTurn.SUPPLIER, RefundTurn.SHOP}:
            wish = Notice()
            layout.addWidget(wish)
            wish.tell(self.tr("买家更想要一张新的卡密：补发比退款快，也不动钱。"), tone="info")
        if one.trouble is not None:
            trouble = Notice()
            layout.addWidget(trouble)
            trouble.tell(state_word(one.trouble), tone="warning" if one.ended_at is None else "info")
