"""What happened to one unit, at the side of the list: who brought it, who saw it, when it was sold."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from desktop.presenters import formats
from desktop.presenters.stock_columns import covered, reason_words, unit_name
from desktop.presenters.words import party_words, tone
from desktop.theme.apply import key_font
from desktop.views.side import SidePanel
from desktop.widgets.basics import column, label
from desktop.widgets.words import state_word
from shared.contracts.stock import UnitEvent, UnitHistory

WIDTH = 280


class HistoryPeek(SidePanel):
    """The side panel; hidden while no unit is looked into."""

    def __init__(self) -> None:
        super().__init__(width=WIDTH, most=WIDTH)
        self._history: UnitHistory | None = None
        self.say(self.area.setAccessibleName, lambda: self.tr("这张卡密的经过"))
        self.on_words(self._write)
        self.hide()

    def show_history(self, history: UnitHistory | None) -> None:
        """Show what happened; None hides the panel."""
        if history != self._history:
            self._history = history
            self._write()
        self.setVisible(history is not None)

    def _write(self) -> None:
        history = self._history
        if history is None:
            return
        unit = history.unit
        self.name.setText(unit_name(unit))
        self.badge.show_word(state_word(unit.state), tone=tone(unit.state))
        inner, layout = self.new_page()
        key = label(covered(unit.tail))
        key.setFont(key_font())
        layout.addWidget(key)
        for event in history.events:
            layout.addWidget(self._event(event))
        layout.addStretch(1)
        self.turn_to(inner)

    def _event(self, event: UnitEvent) -> QWidget:
        made = QWidget()
        layout = column(made, gap=1)
        words = {
            "imported": self.tr("入库"),
            "voided": self.tr("作废"),
            "sold": self.tr("售出"),
            "delivered": self.tr("买家查看"),
            "revealed": self.tr("员工查看明文"),
            "returned": self.tr("退回"),
            "withdrawn": self.tr("随批次撤回"),
        }
        layout.addWidget(label(words.get(event.what, event.what)))
        who = " · ".join(part for part in (formats.moment(event.at), party_words(event.actor)) if part)
        layout.addWidget(label(who, role="caption", wrap=True, selectable=True))
        if event.detail:
            layout.addWidget(label(reason_words(event.detail), role="muted", wrap=True, selectable=True))
        if event.file_sha256:
            hashed = label(f"SHA-256 {event.file_sha256[:16]}…", role="caption", selectable=True)
            hashed.setToolTip(event.file_sha256)
            layout.addWidget(hashed)
        return made
