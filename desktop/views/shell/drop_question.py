"""What were these files meant to be? Asked over the window when a drop's names do not tell; Escape lets them be."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from desktop.presenters.dropping import Meant
from desktop.widgets.basics import button, column, label, row
from desktop.widgets.live import Live

WIDTH = 460
SHOWN = 6


class DropQuestion(Live, QFrame):
    """Hidden while nothing is asked.

    Signals:
        answered(meant, files): the person says what they are.
    """

    answered = Signal(object, list)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "sheet")
        self.setFixedWidth(WIDTH)
        self._files: list[Path] = []
        layout = column(self, gap=10, margins=(22, 18, 22, 18))
        title = label(role="heading")
        self.say(title.setText, lambda: self.tr("这些文件是什么？"))
        self._names = label(role="muted", wrap=True)
        layout.addWidget(title)
        layout.addWidget(self._names)
        line = row(gap=8)
        leave = button()
        self.say(leave.setText, lambda: self.tr("取消"))
        leave.clicked.connect(self.hide)
        line.addWidget(leave)
        line.addStretch(1)
        self.answers: dict[Meant, QPushButton] = {}
        for meant, drawn, words in (
            (Meant.KEYS, "import", lambda: self.tr("卡密文件")),
            (Meant.RESULTS, "export", lambda: self.tr("打款结果")),
            (Meant.BILL, "reconcile", lambda: self.tr("渠道账单")),
        ):
            press = button(role="primary" if meant is Meant.BILL else None, icon_name=drawn)
            self.say(press.setText, words)
            press.clicked.connect(partial(self._answer, meant))
            line.addWidget(press)
            self.answers[meant] = press
        layout.addLayout(line)
        self.hide()

    def ask(self, files: Sequence[Path], takers: frozenset[Meant]) -> None:
        """Ask which of what this person may drop these are; an older question is forgotten."""
        self._files = list(files)
        for meant, press in self.answers.items():
            press.setVisible(meant in takers)
        more = len(files) - SHOWN
        self._names.setText(
            "\n".join(path.name for path in files[:SHOWN])
            + ("\n" + self.tr("还有 %n 个", None, more) if more > 0 else "")
        )
        self.show()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape lets the files be."""
        if event.key() == Qt.Key.Key_Escape:
            self.hide()
            return
        super().keyPressEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        """In the middle, and with the keyboard."""
        super().showEvent(event)
        self.adjustSize()
        parent = self.parentWidget()
        if parent is not None:
            self.move((parent.width() - self.width()) // 2, (parent.height() - self.height()) // 3)
        self.raise_()
        asked = [press for press in self.answers.values() if not press.isHidden()]
        asked[-1].setFocus()

    def _answer(self, meant: Meant) -> None:
        self.hide()
        self.answered.emit(meant, self._files)
