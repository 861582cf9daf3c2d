"""One line of a statement, followed down to its order, its lots, its payment and its row in the channel's bill."""

from __future__ import annotations

from PySide6.QtCore import Signal

from desktop.presenters import formats
from desktop.presenters.statements import Statements, drilled
from desktop.views.side import SidePanel, add_fact, facts
from desktop.widgets.basics import button, label, row
from shared.ids import speak_order_code


class LinePanel(SidePanel):
    """The panel beside a statement's lines.

    Signals:
        order_wanted(code): the person wants to see its order.
    """

    order_wanted = Signal(object)

    def __init__(self, presenter: Statements) -> None:
        super().__init__(width=310, most=420)
        self._presenter = presenter
        self._written: object = None
        self.say(self.area.setAccessibleName, lambda: self.tr("明细追溯"))
        self.closed.connect(lambda: presenter.look_into_line(None))
        presenter.watch(self._look)
        self.on_words(self._write)
        self.hide()

    def _look(self) -> None:
        line = self._presenter.line
        self.setVisible(line is not None)
        if line is not self._written:
            self._written = line
            self._write()

    def _write(self) -> None:
        line = self._presenter.line
        if line is None:
            return
        self.name.setText(formats.money(line.net_fen))
        self.badge.hide()
        inner, layout = self.new_page()
        layout.addWidget(label(f"{line.title} × {formats.count(line.quantity)}", role="heading", wrap=True))
        code = speak_order_code(line.order_code)
        link = button(self.tr("查看订单 {code}").format(code=code), role="link")
        link.clicked.connect(lambda: self.order_wanted.emit(line.order_code))
        at = row()
        at.addWidget(link)
        at.addStretch(1)
        layout.addLayout(at)
        table = facts()
        for words, value, is_code in drilled(line):
            add_fact(table, words, value, is_code=is_code)
        layout.addLayout(table)
        layout.addStretch(1)
        self.turn_to(inner)
