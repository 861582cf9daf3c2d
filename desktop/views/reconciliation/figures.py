"""How figures of a day stand on a card: below a title, names at the left and numbers at the right."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel

from desktop.widgets.basics import Card, Glyph, label, restyle, row


def titled_card(title: str) -> tuple[Card, QGridLayout]:
    """A card with its title, and the table below it."""
    card = Card(margin=14, gap=8)
    card.body.addWidget(label(title, role="heading"))
    grid = QGridLayout()
    grid.setHorizontalSpacing(18)
    grid.setVerticalSpacing(6)
    grid.setColumnStretch(0, 1)
    card.body.addLayout(grid)
    return card, grid


def at_right(text: str, *, role: str | None = None) -> QLabel:
    """A number, or what stands above numbers."""
    made = label(text, role=role)
    made.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return made


def verdict(words: str, *, holds: bool) -> QHBoxLayout:
    """Whether figures are as they should be, in words."""
    line = row(gap=8)
    line.addWidget(Glyph("check" if holds else "alert", tint="success" if holds else "danger", size=16))
    told = label(words, wrap=True)
    restyle(told, "tone", "success" if holds else "danger")
    line.addWidget(told, 1)
    return line
