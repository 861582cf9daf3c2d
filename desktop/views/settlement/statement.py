"""One statement: what it is made of, who made and confirmed it, and the way to its lines."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout

from desktop.operations.each import Outcome
from desktop.presenters import formats
from desktop.presenters.many import Told
from desktop.presenters.statement_acts import told_of
from desktop.presenters.statements import Statements, Sum, afterwards, left_over, mode_word, sums
from desktop.presenters.words import party_words, tone
from desktop.views.settlement.brought import write_parts
from desktop.views.settlement.many import ManyPanel
from desktop.views.side import add_fact, facts, link, pair
from desktop.widgets.basics import Badge, Notice, button, label, row, rule
from desktop.widgets.words import state_word
from shared.contracts.settlement import Statement, StatementPayout


class StatementPanel(ManyPanel):
    """The side panel of the statements.

    Signals:
        lines_wanted(): the person wants to see its lines.
        export_wanted(): the person wants them as a file.
        payout_wanted(): the person wants to see the payout that pays it, or is to.
        part_wanted(part): the person wants to see where a part of what was brought forward comes from.
    """

    lines_wanted = Signal()
    export_wanted = Signal()
    payout_wanted = Signal()
    part_wanted = Signal(object)

    def __init__(self, presenter: Statements) -> None:
        self._presenter = presenter
        super().__init__(presenter, name=lambda: self.tr("结算单详情"))

    def picked_words(self, number: int) -> str:
        return self.tr("已选 %n 张结算单", None, number)

    def amount_of(self, case: Statement) -> int:
        return case.payable_fen

    def told_of(self, outcome: Outcome[Any, Any]) -> Told:
        return told_of(outcome)

    def of_one(self) -> object:
        brought = self._presenter.brought
        return self._presenter.opened, brought.parts, brought.error

    def write_one(self, layout: QVBoxLayout) -> None:
        one = self._presenter.opened
        assert one is not None
        self.head(one.number, one.state)
        layout.addWidget(label(formats.money(one.payable_fen), role="figure"))
        layout.addWidget(label(one.supplier, role="heading", wrap=True))
        for line in sums(one):
            if line.is_total:
                layout.addWidget(rule())
            self._write_sum(layout, line)
            if line.is_brought:
                write_parts(layout, self._presenter.brought, self.part_wanted.emit)
        for words, amount in afterwards(one):
            layout.addLayout(pair(words, amount))
        short = left_over(one)
        if short > 0:
            owed = Notice()
            layout.addWidget(owed)
            words = self.tr("不够抵扣的 {amount} 留到下一张结算单。").format(amount=formats.money(short))
            owed.tell(words, tone="warning")
        if one.payout is not None:
            self._write_payout(layout, one.payout)
        lines = button(self.tr("查看 %n 行明细", None, one.lines), icon_name="file")
        lines.clicked.connect(self.lines_wanted)
        export = button(self.tr("导出明细…"), icon_name="export")
        export.clicked.connect(self.export_wanted)
        both = row(gap=8)
        both.addWidget(lines, 1)
        both.addWidget(export)
        layout.addLayout(both)
        table = facts()
        add_fact(table, self.tr("结算日"), formats.day(one.day))
        add_fact(table, self.tr("结算方式"), mode_word(one.mode))
        add_fact(table, self.tr("生成"), f"{party_words(one.made_by)} {formats.moment(one.made_at)}")
        if one.confirmed_by is not None:
            add_fact(table, self.tr("确认"), f"{party_words(one.confirmed_by)} {formats.moment(one.confirmed_at)}")
        if one.paid_at is not None:
            add_fact(table, self.tr("打款到账"), formats.moment(one.paid_at))
        layout.addLayout(table)

    def _write_payout(self, layout: QVBoxLayout, payout: StatementPayout) -> None:
        """Which payout pays it, where that stands, and the way there."""
        line = row(gap=8)
        line.addWidget(label(self.tr("打款"), role="muted"))
        line.addWidget(link(payout.number, self.payout_wanted.emit))
        line.addWidget(Badge(state_word(payout.state), tone=tone(payout.state)))
        line.addStretch(1)
        layout.addLayout(line)

    def _write_sum(self, layout: QVBoxLayout, line: Sum) -> None:
        role = "heading" if line.is_total else None
        shown = row()
        shown.addWidget(label(line.words, role=role or "muted"), 1)
        amount = label(line.amount, role=role)
        amount.setAlignment(Qt.AlignmentFlag.AlignRight)
        amount.setAccessibleName(f"{line.words} {line.amount}")
        shown.addWidget(amount)
        layout.addLayout(shown)
