"""What was brought forward, part by part: each leads to the paper that it comes from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.brought import TO_LEDGER, TO_PAYOUT, Brought, part_detail, part_words
from desktop.presenters.due import Due
from desktop.presenters.statements import FROM_BEFORE
from desktop.presenters.words import in_words
from desktop.views.page import Page
from desktop.views.side import CasePanel, SidePanel, link
from desktop.widgets.basics import column, label, row
from desktop.widgets.words import sentence
from shared.contracts.brought import BroughtForward

Go = Callable[[BroughtForward], None]
"""What is asked for the part that is pressed."""

Show = Callable[[UUID], None]
"""What shows a paper of settlement."""


class BroughtPanel(CasePanel):
    """The panel beside what is due: what the statement of the supplier in front would bring forward.

    Signals:
        part_wanted(part): the person wants to see where a part comes from.
    """

    part_wanted = Signal(object)

    def __init__(self, presenter: Due) -> None:
        self._presenter = presenter
        super().__init__(presenter, width=310, most=420, name=lambda: in_words(FROM_BEFORE))
        self.badge.hide()
        self.closed.connect(presenter.leave_brought)

    def shown(self) -> object:
        presenter = self._presenter
        self.setVisible(presenter.is_at_brought)
        if not presenter.is_at_brought:
            return None
        return presenter.chosen, presenter.brought.parts, presenter.brought.error

    def write(self, layout: QVBoxLayout) -> None:
        one = self._presenter.chosen
        assert one is not None
        write_brought(self, layout, -one.owed_fen, self._presenter.brought, self.part_wanted.emit)


def write_brought(panel: SidePanel, layout: QVBoxLayout, fen: int, brought: Brought, go: Go) -> None:
    """Write a whole panel about what was brought forward."""
    panel.name.setText(formats.money(fen))
    layout.addWidget(label(in_words(FROM_BEFORE), role="heading"))
    write_parts(layout, brought, go)


def write_parts(layout: QVBoxLayout, brought: Brought, go: Go) -> None:
    """Write the parts, each with its amount and when and why it was; `go` is asked for the one that is pressed."""
    if brought.error is not None:
        layout.addWidget(label(sentence(brought.error), role="warning", wrap=True))
    for one in brought.parts:
        part = column(gap=0, margins=(12, 0, 0, 0))
        line = row(gap=8)
        words, amount = part_words(one), formats.money(one.amount_fen)
        full = f"{words} {one.number}".strip()
        if brought.leads_on(one):
            press = link(words, partial(go, one))
            press.setAccessibleName(full)
            line.addWidget(press)
            line.addStretch(1)
        else:
            line.addWidget(label(words, role="muted", wrap=True), 1)
        value = label(amount)
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        value.setAccessibleName(f"{full} {amount}")
        line.addWidget(value)
        part.addLayout(line)
        if detail := part_detail(one):
            below = row(margins=(6, 0, 0, 0))  # a link has room around its words
            told = label(detail, role="caption", wrap=True)
            told.setMinimumWidth(1)  # a long number pushes no amount out of the panel
            told.setToolTip(detail)
            below.addWidget(told)
            part.addLayout(below)
        layout.addLayout(part)


def open_part(page: Page, one: BroughtForward, *, payout: Show, statement: Show) -> None:
    """Go from a page to the paper that a part comes from; those of settlement are shown by `payout` and `statement`."""
    if one.kind in TO_LEDGER:
        page.wanted.emit("ledger", one)
    elif one.kind == "restored":
        page.wanted.emit("orders", one.order_code)
    elif one.id is not None:
        (payout if one.kind in TO_PAYOUT else statement)(one.id)
