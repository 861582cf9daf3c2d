"""What a statement brought forward, part by part: each leads to the paper that it comes from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.brought import part_detail, part_words
from desktop.presenters.statements import Statements
from desktop.views.side import link
from desktop.widgets.basics import column, label, row
from desktop.widgets.words import sentence
from shared.contracts.brought import BroughtForward


def write_parts(layout: QVBoxLayout, presenter: Statements, go: Callable[[BroughtForward], None]) -> None:
    """Write the parts, each with its amount and when and why it was; `go` is asked for the one that is pressed."""
    if presenter.brought.error is not None:
        layout.addWidget(label(sentence(presenter.brought.error), role="warning", wrap=True))
    for one in presenter.brought.parts:
        part = column(gap=0, margins=(12, 0, 0, 0))
        line = row(gap=8)
        words, amount = part_words(one), formats.money(one.amount_fen)
        full = f"{words} {one.number}".strip()
        if presenter.leads_on(one):
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
