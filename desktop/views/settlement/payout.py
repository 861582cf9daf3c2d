"""One payout: how much to whom, who made and checked it, and the rows that the bank or channel has to be told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout

from desktop.exporting.instructions import KINDS, why_not_split
from desktop.operations.each import Outcome
from desktop.presenters import formats
from desktop.presenters.many import Told
from desktop.presenters.payout_acts import told_of
from desktop.presenters.payouts import Payouts, paid_to, standing, standing_tone, warnings
from desktop.presenters.statements import mode_word
from desktop.presenters.words import language, party_words
from desktop.views.settlement.many import ManyPanel
from desktop.views.side import add_fact, facts, pair
from desktop.widgets.basics import button, label, row, rule
from shared.contracts.settlement import InstructionRow, Payout
from shared.finance import PayoutState

_MOST_SHOWN = 20
_DECIDED = frozenset({PayoutState.REQUESTED, PayoutState.APPROVED})
"""Those about which a person still decides whether the money goes."""


def _by_whom(who: str | None, at: datetime | None) -> str:
    """When, and who, where that is known."""
    return f"{party_words(who) if who else ''} {formats.moment(at)}".strip()


class PayoutPanel(ManyPanel):
    """The side panel of the payouts.

    Signals:
        export_wanted(): the person wants its instruction as a file.
    """

    export_wanted = Signal()

    def __init__(self, presenter: Payouts) -> None:
        self._presenter = presenter
        super().__init__(presenter, name=lambda: self.tr("打款详情"))

    def picked_words(self, number: int) -> str:
        return self.tr("已选 %n 笔打款", None, number)

    def amount_of(self, case: Payout) -> int:
        return case.amount_fen

    def told_of(self, outcome: Outcome[Any, Any]) -> Told:
        return told_of(outcome)

    def write_warnings(self, layout: QVBoxLayout, picked: Sequence[Payout]) -> None:
        """Where nothing was ever paid to, and what became of payouts before: who approves many reads each of them."""
        warned = [one for one in picked if one.state in _DECIDED and warnings(one)]
        if warned:
            layout.addWidget(rule())
        for one in warned:
            layout.addLayout(pair(f"{one.number} {one.supplier}", formats.money(one.amount_fen)))
            to = " · ".join(part for part in (one.receiver, one.account, one.bank) if part)
            layout.addWidget(label(to, role="caption", wrap=True, selectable=True))
            for words in warnings(one):
                layout.addWidget(label(words, role="warning", wrap=True))

    def of_one(self) -> object:
        return (self._presenter.opened, self._presenter.instruction)

    def write_one(self, layout: QVBoxLayout) -> None:
        one = self._presenter.opened
        assert one is not None
        self.head(one.number, one.state)
        self.badge.show_word(standing(one), tone=standing_tone(one))
        layout.addWidget(label(formats.money(one.amount_fen), role="figure"))
        layout.addWidget(label(one.supplier, role="heading", wrap=True))
        table = facts()
        add_fact(table, self.tr("结算方式"), mode_word(one.mode))
        add_fact(table, self.tr("结算单"), " ".join(one.statements), is_code=True)
        for words, value, is_code in paid_to(one):
            add_fact(table, words, value, is_code=is_code)
        add_fact(table, self.tr("发起"), f"{party_words(one.made_by)} {formats.moment(one.made_at)}")
        if one.checked_by is not None:
            add_fact(table, self.tr("复核"), f"{party_words(one.checked_by)} {formats.moment(one.checked_at)}")
        if one.sent_at is not None:
            add_fact(table, self.tr("提交"), _by_whom(one.sent_by, one.sent_at))
        if one.taken_at is not None:
            add_fact(table, self.tr("导出指令"), _by_whom(one.taken_by, one.taken_at))
        if one.ended_at is not None:
            add_fact(table, self.tr("结束"), _by_whom(one.ended_by, one.ended_at))
        if one.reference:
            add_fact(table, self.tr("流水号"), one.reference, is_code=True)
        if one.note:
            add_fact(table, self.tr("备注"), one.note)
        layout.addLayout(table)
        for words in warnings(one):
            layout.addWidget(label(words, role="warning", wrap=True))
        self._write_instruction(layout)

    def _write_instruction(self, layout: QVBoxLayout) -> None:
        asked = self._presenter.instruction
        if asked is None or not asked.rows:
            return
        layout.addWidget(rule())
        head = row()
        head.addWidget(label(self.tr("打款指令 · %n 行", None, len(asked.rows)), role="heading"), 1)
        press = button(self.tr("导出…"), icon_name="export", name=self.tr("导出这笔打款的指令"))
        press.clicked.connect(self.export_wanted)
        head.addWidget(press)
        layout.addLayout(head)
        for one in asked.rows[:_MOST_SHOWN]:
            self._write_row(layout, one)
        more = len(asked.rows) - _MOST_SHOWN
        if more > 0:
            words = self.tr("还有 {n} 行，导出文件里都有。").format(n=formats.count(more))
            layout.addWidget(label(words, role="caption"))

    def _write_row(self, layout: QVBoxLayout, one: InstructionRow) -> None:
        layout.addLayout(pair(one.receiver or KINDS[one.kind].sentence(language()), formats.money(one.amount_fen)))
        told = [one.request_no]
        if one.remark:
            told.append(one.remark)
        if one.payment_no is not None:
            told.append(one.payment_no)
        layout.addWidget(label(" · ".join(told), role="caption", wrap=True, selectable=True))
        if (why := why_not_split(one)) is not None:
            layout.addWidget(label(why.sentence(language()), role="warning", wrap=True))
