"""Short news at the lower edge of the window: it comes, is read and goes; nothing has to be clicked away.

Bad news stays until it is dismissed. At most three are on screen; the oldest makes room. Screen readers hear each.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QTimer, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QFrame, QWidget

from desktop.theme.tokens import SPACE
from desktop.widgets.basics import Glyph, button, label, row, tool

SHOWN_MS = 6_000
MOST = 3
WIDTH = 440
FOOT = 92  # above the foot of the window and above a screen's own row of buttons
_ICONS = {"success": "check", "info": "info", "warning": "alert", "danger": "alert"}


class _Toast(QFrame):
    """One piece of news."""

    gone = Signal()

    def __init__(self, text: str, *, tone: str, action: str, run: Callable[[], None] | None) -> None:
        super().__init__()
        self.said = (text, tone)
        self.setProperty("role", "toast")
        self.setProperty("tone", tone)
        layout = row(self, gap=10, margins=(14, 10, 8, 10))
        layout.addWidget(Glyph(_ICONS[tone], tint=tone, size=18))
        layout.addWidget(label(text, wrap=True), 1)
        if run is not None:
            press = button(action, role="link")
            press.clicked.connect(run)
            press.clicked.connect(self.dismiss)
            layout.addWidget(press)
        close = tool("close", name=QCoreApplication.translate("Toast", "关闭通知"), size=12)
        close.clicked.connect(self.dismiss)
        layout.addWidget(close)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.dismiss)
        if tone in {"success", "info"}:
            self._timer.start(SHOWN_MS)

    def dismiss(self) -> None:
        """Go away."""
        self._timer.stop()
        self.hide()
        self.gone.emit()
        self.deleteLater()


class Toasts(QWidget):
    """The stack of news over `host`, at its lower right corner."""

    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self._host = host
        host.installEventFilter(self)
        self.hide()

    def tell(self, text: str, *, tone: str = "info", action: str = "", run: Callable[[], None] | None = None) -> None:
        """Show one piece of news, with one thing to do about it if `run` is given."""
        for old in self._shown():
            if old.said == (text, tone):  # said again, not twice: who works a queue hears the same of each
                old.dismiss()
        shown = self._shown()
        for old in shown[: max(0, len(shown) - MOST + 1)]:
            old.dismiss()
        toast = _Toast(text, tone=tone, action=action, run=run)
        toast.setParent(self)
        toast.show()
        toast.gone.connect(self._settle)
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self._host, text))
        self._settle()

    def make_room(self) -> None:
        """Good news goes at once: what is under it is wanted now."""
        for toast in self._shown():
            if toast.said[1] in {"success", "info"}:
                toast.dismiss()

    def texts(self) -> list[str]:
        """What is being said now, oldest first."""
        return [child.text() for toast in self._shown() for child in toast.findChildren(type(label())) if child.text()]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay in the corner."""
        if event.type() == QEvent.Type.Resize and watched is self._host:
            self._settle()
        return False

    def _shown(self) -> list[_Toast]:
        return [toast for toast in self.findChildren(_Toast) if not toast.isHidden()]

    def _settle(self) -> None:
        if not self._shown():
            self.hide()
            return
        self.show()
        self.raise_()
        edge = 3 * SPACE
        width = min(WIDTH, self._host.width() - 2 * edge)
        top = 0
        for toast in self._shown():
            toast.ensurePolished()
            height = toast.heightForWidth(width)
            toast.setGeometry(0, top, width, height)
            top += height + SPACE
        left, bottom = self._host.width() - width - edge, self._host.height() - FOOT
        self.setGeometry(left, bottom - top, width, top)
