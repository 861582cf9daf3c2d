"""One difference explained: both rows side by side with what differs marked, what happened, whose the money may be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.days import signed
from desktop.presenters.deciding import MOST
from desktop.presenters.differences import Differences, compared, groups, side, story
from desktop.presenters.words import channel_word, party_words
from desktop.theme.apply import key_font
from desktop.views.side import CasePanel, add_fact, at_left, facts, link, pair
from desktop.widgets.basics import Glyph, button, label, restyle, rule
from desktop.widgets.words import counted, state_word
from shared.contracts.reconcile import Difference, DifferenceDetail
from shared.finance import DifferenceAction
from shared.ids import speak_order_code

_UNBROKEN = 16
_JOINED = "\u2060"
"""No line ends here: a sign stays with its amount."""
_NAME_WIDTH = 84


class DifferencePanel(CasePanel):
    """The side panel of the list of differences.

    Signals:
        order_wanted(code), exception_wanted(id): the person wants to see it.
        attach_wanted(code): the person thinks that the money is meant for this order.
    """

    order_wanted = Signal(object)
    exception_wanted = Signal(object)
    attach_wanted = Signal(object)

    def __init__(self, presenter: Differences) -> None:
        self._presenter = presenter
        super().__init__(presenter, width=430, most=640, name=lambda: self.tr("差异详情"))

    @property
    def order_code(self) -> str | None:
        """The order that the difference is about."""
        one = self._presenter.opened
        return None if one is None else one.action_order_code or one.order_code

    @property
    def exception_id(self) -> object:
        """Where its money waits in the exceptions, or None."""
        one = self._presenter.opened
        return None if one is None else one.exception_id

    def open_order(self) -> None:
        """Go to the order."""
        if self.order_code is not None:
            self.order_wanted.emit(self.order_code)

    def open_exception(self) -> None:
        """Go to the exception."""
        if self.exception_id is not None:
            self.exception_wanted.emit(self.exception_id)

    def shown(self) -> object:
        one = self._presenter.opened
        return None if one is None else (one, self._presenter.detail, self._presenter.picked)

    def write(self, layout: QVBoxLayout) -> None:
        if self._presenter.picked:
            self._write_many(layout, self._presenter.picked)
        else:
            self._write_one(layout)

    def _write_many(self, layout: QVBoxLayout, picked: Sequence[Difference]) -> None:
        """What is decided on together: by kind, with what it comes to."""
        self.name.setText(counted(self.tr("已选 %n 条差异", None, len(picked)), len(picked)))
        self.badge.hide()
        of_kinds = groups(picked)
        if len(of_kinds) == 1:  # a fee that is more and a payment that is less do not add up to anything
            layout.addWidget(label(self.tr("差额合计 {off}").format(off=of_kinds[0].off_by), role="figure"))
        for group in of_kinds:
            words = self.tr("{kind} {n} 条，{amount}")
            told = words.format(kind=state_word(group.kind), n=formats.count(group.number), amount=group.amount)
            layout.addLayout(pair(told, group.off_by))
        if len(picked) > MOST:
            most = self.tr("一次最多处理 {n} 条，请少选一些。").format(n=formats.count(MOST))
            layout.addWidget(label(most, role="warning", wrap=True))
        elif not self._presenter.acting.acts:
            layout.addWidget(
                label(self.tr("所选的差异没有共同的处理方式，请按类型筛选后再选。"), role="warning", wrap=True)
            )

    def _write_one(self, layout: QVBoxLayout) -> None:
        one, detail = self._presenter.opened, self._presenter.detail
        assert one is not None
        self.badge.show()
        self.head(state_word(one.kind), one.state)
        layout.addWidget(label(self.tr("差额 {off}").format(off=signed(one.off_by_fen)), role="figure"))
        where = " · ".join((channel_word(one.channel), formats.day(one.day), one.number))
        if one.again_of is not None:
            where += " · " + self.tr("后到的账单与已处理的 {number} 不同").format(number=one.again_of)
        if one.carried_from is not None:
            where += " · " + self.tr("自 {day} 挂账").format(day=formats.day(one.carried_from))
        layout.addWidget(label(where, role="muted", wrap=True, selectable=True))
        layout.addLayout(self._sides(one, detail))
        if detail is None:
            layout.addWidget(label(self.tr("正在读取两边的原始记录…"), role="muted"))
        self._write_numbers(layout, one)
        self._write_handling(layout, one)
        if detail is not None:
            self._write_candidates(layout, detail)
            layout.addWidget(rule())
            layout.addWidget(label(self.tr("经过"), role="heading"))
            told = facts()
            for when, what in story(detail):
                add_fact(told, when, what)
            layout.addLayout(told)

    def _sides(self, one: Difference, detail: DifferenceDetail | None) -> QGridLayout:
        """Both rows whole; a field that differs has a mark, and its values another tone."""
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
        for at, stretch in enumerate((0, 0, 1, 1)):
            grid.setColumnStretch(at, stretch)
        theirs = self.tr("渠道账单")
        if one.bill_row is not None:
            theirs = self.tr("账单第 {n} 行").format(n=formats.count(one.bill_row))
        grid.addWidget(label(self.tr("平台"), role="muted"), 0, 2)
        grid.addWidget(label(theirs, role="muted", wrap=True), 0, 3)
        for at, words in ((2, side(one.ours_words, one.ours_fen)), (3, side(one.theirs_words, one.theirs_fen))):
            told = label(words.replace("-¥", f"-{_JOINED}¥"), role="heading", wrap=True)
            grid.addWidget(told, 1, at, Qt.AlignmentFlag.AlignTop)
        for at, fact in enumerate(compared(detail) if detail is not None else (), 2):
            if fact.differs:
                mark = Glyph("alert", tint="danger", size=13)
                mark.setToolTip(self.tr("两边不同"))
                mark.setAccessibleName(self.tr("两边不同"))
                grid.addWidget(mark, at, 0, Qt.AlignmentFlag.AlignTop)
            name = label(fact.name, role="muted", wrap=True)
            name.setFixedWidth(_NAME_WIDTH)
            grid.addWidget(name, at, 1, Qt.AlignmentFlag.AlignTop)
            for place, value in ((2, fact.ours), (3, fact.theirs)):
                grid.addWidget(_value(value, fact.name, differs=fact.differs), at, place, Qt.AlignmentFlag.AlignTop)
        return grid

    def _write_numbers(self, layout: QVBoxLayout, one: Difference) -> None:
        """The numbers to look for elsewhere, each whole and to be copied."""
        table = facts()
        for words, number in (
            (self.tr("渠道流水号"), one.provider_no),
            (self.tr("商户订单号"), one.out_trade_no),
            (self.tr("商户退款单号"), one.out_refund_no),
        ):
            if number:
                add_fact(table, words, number, is_code=True)
        layout.addWidget(rule())
        layout.addLayout(table)
        links = []
        if self.order_code is not None:
            words = self.tr("查看订单 {code}").format(code=speak_order_code(self.order_code))
            links.append(link(words, self.open_order))
        if self.exception_id is not None:
            links.append(link(self.tr("查看异常款项"), self.open_exception))
        layout.addLayout(at_left(*links))

    def _write_handling(self, layout: QVBoxLayout, one: Difference) -> None:
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("处理"), role="heading"))
        table = facts()
        add_fact(table, self.tr("建议"), state_word(one.proposed_action))
        if one.action is not None:
            target = f" {speak_order_code(one.action_order_code)}" if one.action_order_code else ""
            add_fact(table, self.tr("决定"), state_word(one.action) + target)
        if one.note:
            add_fact(table, self.tr("说明"), one.note)
        for words, who, when in (
            (self.tr("经办"), one.handled_by, one.handled_at),
            (self.tr("复核"), one.checked_by, one.checked_at),
        ):
            if who is not None:
                add_fact(table, words, f"{party_words(who)} {formats.moment(when)}")
        if one.handled_at is not None and one.handled_by is None:
            add_fact(table, self.tr("自动配平"), formats.moment(one.handled_at))
        if one.two_people and one.checked_by is None:
            add_fact(table, self.tr("复核"), self.tr("需要另一位同事复核"))
        layout.addLayout(table)

    def _write_candidates(self, layout: QVBoxLayout, detail: DifferenceDetail) -> None:
        """Whose the money may be: each order can be seen, and taken into the decision."""
        if not detail.candidates:
            return
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("可能的订单"), role="heading"))
        may_attach = self._presenter.acting.act(DifferenceAction.ATTACH.value) is not None
        for code in detail.candidates:
            spoken = speak_order_code(code)
            see = link(spoken, partial(self.order_wanted.emit, code))
            see.setAccessibleName(self.tr("查看订单 {code}").format(code=spoken))
            line = at_left(see)
            if may_attach:
                take = button(self.tr("归入…"), name=self.tr("归入订单 {code}").format(code=spoken))
                take.clicked.connect(partial(self.attach_wanted.emit, code))
                line.addWidget(take)
            layout.addLayout(line)


def _value(value: str, name: str, *, differs: bool) -> QLabel:
    """A value in its column; a long number without blanks is broken, or it would push the other side away."""
    is_code = len(value) > _UNBROKEN and " " not in value and value.isascii()
    lines = [value[at : at + _UNBROKEN] for at in range(0, len(value), _UNBROKEN)] if is_code else [value]
    made = label("\n".join(lines), wrap=not is_code)
    made.setAccessibleName(f"{name} {value}")
    if is_code:
        made.setFont(key_font())
        made.setToolTip(value)
    restyle(made, "tone", "danger" if differs else "")
    return made
