"""Bills that were dropped: of each file what it is, or in the server's words why it was refused."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QWidget

from desktop.presenters import formats
from desktop.presenters.reconciliation_bills import Bills, Dropped
from desktop.presenters.words import channel_word
from desktop.widgets.basics import Card, Glyph, button, column, label, name_tool, row, tool
from desktop.widgets.live import Live
from desktop.widgets.words import counted, sentence, state_word
from shared.contracts.reconcile import BillFile

MARGIN, LEAST_WIDTH, MOST_HEIGHT = 12, 400, 176


class DroppedBills(Live, Card):
    """Hidden while there are none.

    Signals:
        day_wanted(day): the person wants to see the day of a bill.
    """

    day_wanted = Signal(object)

    def __init__(self, presenter: Bills) -> None:
        super().__init__(margin=MARGIN, gap=6)
        self._presenter = presenter
        head = row(gap=8)
        self.title = label(role="heading")
        head.addWidget(self.title)
        head.addStretch(1)
        self._close = tool("close")
        self.say(partial(name_tool, self._close), lambda: self.tr("收起账单列表"))
        self._close.clicked.connect(presenter.clear)
        head.addWidget(self._close)
        self.body.addLayout(head)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.say(self._area.setAccessibleName, lambda: self.tr("拖入的账单"))
        self.body.addWidget(self._area)
        presenter.watch(self._look)
        self.on_words(self._look)
        self._look()

    def _look(self) -> None:
        presenter = self._presenter
        self.setVisible(bool(presenter.files))
        if not presenter.files:
            return
        self.title.setText(self._title())
        self._close.setEnabled(not presenter.busy)
        inner = QWidget()
        layout = column(inner, gap=6)
        for one in presenter.files:
            layout.addLayout(self._line(one))
        self._area.setWidget(inner)
        layout.addStretch(1)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Be as high as the lines are: those that wrap by the width that there is."""
        inner = self._area.widget()
        layout = inner.layout() if inner is not None else None
        if layout is None:
            return
        width = max(self.width() - 2 * MARGIN, LEAST_WIDTH)
        height = layout.heightForWidth(width) if layout.hasHeightForWidth() else layout.sizeHint().height()
        self._area.setFixedHeight(min(height, MOST_HEIGHT))

    def _title(self) -> str:
        presenter = self._presenter
        if presenter.busy:
            return self.tr("正在读取账单…")
        kept = len(presenter.files) - presenter.refused
        words = self.tr("%n 份账单已收下", None, kept) if kept else ""
        refused = self.tr("%n 个文件没有收下", None, presenter.refused) if presenter.refused else ""
        return " · ".join(part for part in (words, refused) if part)

    def _line(self, one: Dropped) -> QHBoxLayout:
        line = row(gap=8)
        drawn, tint = ("alert", "danger") if one.error is not None else ("check", "success")
        mark = Glyph(drawn, tint=tint, size=15) if one.is_over else Glyph("cloud", tint="muted", size=15)
        line.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        words = column(gap=0)
        words.addWidget(label(one.path.name, selectable=True))
        if one.error is not None:
            words.addWidget(label(sentence(one.error), role="error", wrap=True))
        elif one.kept is not None:
            words.addWidget(label(self._kept_words(one.kept), role="muted", wrap=True))
        else:
            words.addWidget(label(self.tr("等待服务器读取…"), role="muted"))
        line.addLayout(words, 1)
        if one.kept is not None:
            day = one.kept.day
            go = button(self.tr("查看 {day}").format(day=formats.day(day)), role="link")
            go.clicked.connect(partial(self.day_wanted.emit, day))
            line.addWidget(go)
        return line

    def _kept_words(self, bill: BillFile) -> str:
        kind = f"{channel_word(bill.channel)} {state_word(bill.kind)}"
        rows = counted(self.tr("%n 行", None, bill.rows), bill.rows)
        return f"{kind} · {formats.day(bill.day)} · {rows} · {formats.size(bill.bytes)}"
