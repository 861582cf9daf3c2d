"""One line of a statement, followed down to its order, its lots, its payment and its row in the channel's bill."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.statements import Statements, drilled
from desktop.views.settlement.brought import write_brought
from desktop.views.side import CasePanel, add_fact, at_left, facts, link
from desktop.widgets.basics import label
from shared.contracts.settlement import StatementLine
from shared.ids import speak_order_code


class LinePanel(CasePanel):
    """The panel beside a statement's lines.

    Signals:
        order_wanted(code): the person wants to see its order.
        part_wanted(part): the person wants to see where a part of what was brought forward comes from.
    """

    order_wanted = Signal(object)
    part_wanted = Signal(object)

    def __init__(self, presenter: Statements) -> None:
        self._presenter = presenter
        super().__init__(presenter, width=310, most=420, name=lambda: self.tr("明细追溯"))
        self.badge.hide()
        self.closed.connect(lambda: presenter.look_into_line(None))

    def shown(self) -> object:
        presenter = self._presenter
        self.setVisible(presenter.line is not None or presenter.is_at_brought)
        if presenter.is_at_brought:
            return presenter.lines_of, presenter.brought.parts, presenter.brought.error
        return presenter.line

    def write(self, layout: QVBoxLayout) -> None:
        line = self._presenter.line
        if line is None:
            self._write_brought(layout)
        else:
            self._write_line(layout, line)

    def _write_brought(self, layout: QVBoxLayout) -> None:
        one = self._presenter.lines_of
        assert one is not None
        write_brought(self, layout, -one.owed_fen, self._presenter.brought, self.part_wanted.emit)

    def _write_line(self, layout: QVBoxLayout, line: StatementLine) -> None:
        self.name.setText(formats.money(line.net_fen))
        layout.addWidget(label(f"{line.title} × {formats.count(line.quantity)}", role="heading", wrap=True))
        code = speak_order_code(line.order_code)
        words = self.tr("查看订单 {code}").format(code=code)
        layout.addLayout(at_left(link(words, lambda: self.order_wanted.emit(line.order_code))))
        table = facts()
        for name, value, is_code in drilled(line):
            add_fact(table, name, value, is_code=is_code)
        layout.addLayout(table)
