"""Small building blocks that every screen uses: labels by role, buttons, cards, rules, notices, badges.

Each takes its words ready made. Interactive ones take an accessible name wherever the words do not say it.
"""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop import theme
from desktop.theme.icons import icon, pixmap
from desktop.theme.tokens import SPACE, tone_colours


def restyle(widget: QWidget, name: str, value: object) -> None:
    """Set a property that the style sheet selects by, and have it looked at again."""
    if widget.property(name) == value:
        return
    widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def label(text: str = "", *, role: str | None = None, wrap: bool = False, selectable: bool = False) -> QLabel:
    """A label of one of the style sheet's roles: title, heading, muted, caption, figure, error ..."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        made.setProperty("role", role)
    made.setWordWrap(wrap)
    if selectable:
        made.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
    return made


def button(text: str = "", *, role: str | None = None, icon_name: str | None = None, name: str = "") -> QPushButton:
    """A push button: `role` primary, danger, link, filter or none."""
    made = QPushButton(text)
    if role:
        made.setProperty("role", role)
    if icon_name:
        tint = {"primary": "on_accent", "link": "accent", "danger": "danger"}.get(role or "", "text")
        made.setIcon(icon(icon_name, tint=tint))
    if name:
        made.setAccessibleName(name)
    made.setAutoDefault(role == "primary")
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    return made


def tool(icon_name: str, *, name: str = "", size: int = 16) -> QToolButton:
    """A button that is only an icon; `name` is spoken and shown as its tip."""
    made = QToolButton()
    made.setIcon(icon(icon_name, tint="muted"))
    made.setIconSize(QSize(size, size))
    made.setAutoRaise(True)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    if name:
        name_tool(made, name)
    return made


def name_tool(made: QToolButton, name: str) -> None:
    """Give an icon-only button its name, spoken and shown."""
    made.setAccessibleName(name)
    made.setToolTip(name)


def number_box(least: int, most: int, *, name: str, width: int = 80) -> QSpinBox:
    """A field for a whole number."""
    made = QSpinBox()
    made.setRange(least, most)
    made.setGroupSeparatorShown(True)
    made.setMinimumWidth(width)
    made.setAccessibleName(name)
    made.lineEdit().setTextMargins(6, 0, 6, 0)  # a style sheet does not reach the text of this one
    return made


def only_if(is_offered: bool, made: QWidget) -> None:  # noqa: FBT001 - reads as it is
    """Leave out what is not offered. Shown before it has its place, a widget would be a window for a moment."""
    if not is_offered:
        made.hide()


def write_tab(tabs: QTabBar, at: int, words: str) -> None:
    """Write on a tab. Qt lays the window out anew for each text, also for the same; screens write at each change."""
    if tabs.tabText(at) != words:
        tabs.setTabText(at, words)


def rule() -> QFrame:
    """A quiet line between things."""
    made = QFrame()
    made.setProperty("role", "rule")
    return made


def column(
    parent: QWidget | None = None, *, gap: int = SPACE, margins: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> QVBoxLayout:
    """A vertical layout with our distances."""
    made = QVBoxLayout() if parent is None else QVBoxLayout(parent)
    made.setSpacing(gap)
    made.setContentsMargins(*margins)
    return made


def row(
    parent: QWidget | None = None, *, gap: int = SPACE, margins: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> QHBoxLayout:
    """A horizontal layout with our distances."""
    made = QHBoxLayout() if parent is None else QHBoxLayout(parent)
    made.setSpacing(gap)
    made.setContentsMargins(*margins)
    return made


class Card(QFrame):
    """A raised surface with a layout of its own."""

    def __init__(self, *, margin: int = 2 * SPACE, gap: int = SPACE) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.body = column(self, gap=gap, margins=(margin, margin, margin, margin))


class Glyph(QWidget):
    """An icon that is only looked at; it follows the theme."""

    def __init__(self, name: str, *, tint: str = "muted", size: int = 16) -> None:
        super().__init__()
        self._name, self._tint, self._size = name, tint, size
        self.setFixedSize(size, size)

    def show_icon(self, name: str, *, tint: str) -> None:
        """Show another icon, or the same in another voice."""
        self._name, self._tint = name, tint
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        scale = self.devicePixelRatioF()
        painter.drawPixmap(0, 0, pixmap(self._name, tint=self._tint, size=self._size, scale=scale))


class Badge(QWidget):
    """A word on a soft ground, in one of the tones of `theme.tokens.TONES`."""

    def __init__(self, text: str = "", *, tone: str = "neutral") -> None:
        super().__init__()
        self._text, self._tone = text, tone
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_word(self, text: str, *, tone: str) -> None:
        """Say another word in another tone."""
        self._text, self._tone = text, tone
        self.setAccessibleName(text)
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self._text) + 18, metrics.height() + 6)

    def paintEvent(self, _event: QPaintEvent) -> None:
        text, ground = tone_colours(theme.current(), self._tone)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(ground))
        painter.drawRoundedRect(self.rect(), self.height() / 2, self.height() / 2)
        painter.setPen(QPen(QColor(text)))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._text)


class Notice(QFrame):
    """A sentence on a soft ground that stays until it is no longer true; hidden while there is nothing to say."""

    _ICONS: ClassVar = {"info": "info", "warning": "alert", "danger": "alert", "success": "check"}

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "notice")
        layout = row(self, gap=10, margins=(12, 9, 12, 9))
        self._glyph = Glyph("info", size=16)
        self._text = label(wrap=True)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        layout.addWidget(self._glyph)
        layout.addWidget(self._text, 1)
        self.buttons = row(gap=6)
        layout.addLayout(self.buttons)
        self.hide()

    @property
    def text(self) -> str:
        """What it says now."""
        return self._text.text()

    def tell(self, text: str, *, tone: str = "info") -> None:
        """Say `text`; an empty text hides the notice."""
        self._text.setText(text)
        self._text.setAccessibleName(text)
        if self.property("tone") != tone:
            restyle(self, "tone", tone)
            self._text.style().unpolish(self._text)
            self._text.style().polish(self._text)
        self._glyph.show_icon(self._ICONS.get(tone, "info"), tint=tone if tone in self._ICONS else "muted")
        self.setVisible(bool(text))


class KeyCap(QLabel):
    """A key as it is printed on the keyboard."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setProperty("role", "keycap")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
