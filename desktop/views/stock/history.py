"""What happened to one unit, at the side of the list: who brought it, who saw it, when it was sold."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from desktop.presenters import formats
from desktop.presenters.stock_columns import covered, unit_name
from desktop.presenters.words import tone
from desktop.theme.apply import key_font
from desktop.widgets.basics import Badge, column, label, name_tool, row, rule, tool
from desktop.widgets.live import Live
from desktop.widgets.words import state_word
from shared.contracts.stock import UnitEvent, UnitHistory

WIDTH = 280


class HistoryPeek(Live, QFrame):
    """The side panel; hidden while no unit is looked into.

    Signals:
        closed(): the person closed it.
    """

    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "peek")
        self.setFixedWidth(WIDTH)
        self._history: UnitHistory | None = None
        outer = column(self, gap=0)
        head = row(gap=8, margins=(16, 8, 8, 6))
        self.name = label(role="heading", selectable=True)
        self.badge = Badge()
        head.addWidget(self.name)
        head.addWidget(self.badge)
        head.addStretch(1)
        close = tool("close")
        self.say(lambda words: name_tool(close, words), lambda: self.tr("关闭经过"))
        close.clicked.connect(self.closed)
        head.addWidget(close)
        outer.addLayout(head)
        outer.addWidget(rule())
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.say(self._area.setAccessibleName, lambda: self.tr("这张卡密的经过"))
        outer.addWidget(self._area, 1)
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
        inner = QWidget()
        layout = column(inner, gap=10, margins=(16, 10, 14, 14))
        key = label(covered(unit.tail))
        key.setFont(key_font())
        layout.addWidget(key)
        for event in history.events:
            layout.addWidget(self._event(event))
        layout.addStretch(1)
        self._area.setWidget(inner)

    def _event(self, event: UnitEvent) -> QWidget:
        made = QWidget()
        layout = column(made, gap=1)
        words = {
            "imported": self.tr("入库"),
            "voided": self.tr("作废"),
            "sold": self.tr("售出"),
            "delivered": self.tr("买家查看"),
            "revealed": self.tr("员工查看明文"),
            "withdrawn": self.tr("随批次撤回"),
        }
        layout.addWidget(label(words.get(event.what, event.what)))
        who = " · ".join(part for part in (formats.moment(event.at), event.actor) if part)
        layout.addWidget(label(who, role="caption", wrap=True, selectable=True))
        if event.detail:
            layout.addWidget(label(event.detail, role="muted", wrap=True, selectable=True))
        if event.file_sha256:
            hashed = label(f"SHA-256 {event.file_sha256[:16]}…", role="caption", selectable=True)
            hashed.setToolTip(event.file_sha256)
            layout.addWidget(hashed)
        return made
