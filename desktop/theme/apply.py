"""Turn tokens into what Qt understands: a QPalette, one style sheet, the fonts. Called by `desktop.app` and tests.

`Theme` follows the system unless a person chose light or dark. `changed` is emitted after the application wears
the new colours, so that widgets which paint themselves only need to repaint.
"""

from __future__ import annotations

from enum import StrEnum
from string import Template

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication, QWidget

import resources
from desktop.theme import stylesheet
from desktop.theme.tokens import DARK, KEY_FAMILIES, LIGHT, RADIUS, UI_FAMILIES, Tokens

BASE_POINTS = 10


class Mode(StrEnum):
    """What a person chose."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


_tokens: Tokens = LIGHT  # what the application wears now


def current() -> Tokens:
    """The tokens the application wears now."""
    return _tokens


class Theme(QObject):
    """The one object that dresses the application and its window.

    Signals:
        changed(): both wear other tokens now.
    """

    changed = Signal()

    def __init__(self, application: QApplication, *, mode: Mode = Mode.SYSTEM) -> None:
        super().__init__(application)
        self._application = application
        self._mode = mode
        self._worn: Tokens | None = None
        self._window: QWidget | None = None
        hints = application.styleHints()
        hints.colorSchemeChanged.connect(self._follow)
        self._wear()

    @property
    def mode(self) -> Mode:
        """What was chosen; SYSTEM follows the desktop's own setting."""
        return self._mode

    def choose(self, mode: Mode) -> None:
        """Wear `mode` from now on."""
        self._mode = mode
        self._wear()

    def dress(self, window: QWidget) -> None:
        """Put the style sheet on the window and on what is or will be in it; this lives as long as the window.

        The application has none: Qt would match every widget anew each time that what it is in is put into something
        larger, and screens are put together from the inside out.
        """
        self.setParent(window)
        self._window = window
        window.setStyleSheet(style_sheet(current()))

    def _follow(self, _scheme: Qt.ColorScheme) -> None:
        if self._mode is Mode.SYSTEM:
            self._wear()

    def _wear(self) -> None:
        global _tokens
        dark = self._application.styleHints().colorScheme() is Qt.ColorScheme.Dark
        wanted = {Mode.LIGHT: LIGHT, Mode.DARK: DARK, Mode.SYSTEM: DARK if dark else LIGHT}[self._mode]
        if wanted is self._worn:
            return
        self._worn = _tokens = wanted
        self._application.setPalette(palette(wanted))
        if self._window is not None:
            self._window.setStyleSheet(style_sheet(wanted))
        self.changed.emit()


def install(application: QApplication, *, mode: Mode = Mode.SYSTEM) -> Theme:
    """Dress `application`: Fusion drawn with our palette and fonts; `Theme.dress` adds the style sheet."""
    application.setStyle("Fusion")
    application.setFont(ui_font())
    return Theme(application, mode=mode)


def ui_font() -> QFont:
    """The face of the console, with digits of one width so that figures line up."""
    font = QFont()
    font.setFamilies(UI_FAMILIES)
    font.setPointSize(BASE_POINTS)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def key_font() -> QFont:
    """The face of card keys and codes."""
    font = QFont()
    font.setFamilies([*KEY_FAMILIES, *UI_FAMILIES])
    font.setPointSize(BASE_POINTS)
    font.setStyleHint(QFont.StyleHint.Monospace)
    font.setFeature(QFont.Tag("zero"), 1)
    return font


def palette(tokens: Tokens) -> QPalette:
    """The palette for what Qt paints by itself."""
    role = QPalette.ColorRole
    plain = {
        role.Window: tokens.canvas,
        role.WindowText: tokens.text,
        role.Base: tokens.raised,
        role.AlternateBase: tokens.surface,
        role.Text: tokens.text,
        role.PlaceholderText: tokens.muted,
        role.Button: tokens.raised,
        role.ButtonText: tokens.text,
        role.BrightText: tokens.danger,
        role.Highlight: tokens.accent_soft,
        role.HighlightedText: tokens.on_accent_soft,
        role.Accent: tokens.accent,
        role.Link: tokens.accent,
        role.LinkVisited: tokens.accent,
        role.ToolTipBase: tokens.tooltip,
        role.ToolTipText: tokens.on_tooltip,
        role.Light: tokens.raised,
        role.Midlight: tokens.hover,
        role.Mid: tokens.line,
        role.Dark: tokens.outline,
        role.Shadow: tokens.line,
    }
    made = QPalette()
    for which, colour in plain.items():
        made.setColor(which, QColor(colour))
    faded = QColor(tokens.muted)
    faded.setAlpha(150)
    for which in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, which, faded)
    return made


def style_sheet(tokens: Tokens) -> str:
    """The one style sheet, filled with `tokens`."""
    values = {name: getattr(tokens, name) for name in Tokens.__dataclass_fields__} | {
        "radius": f"{RADIUS}px",
        # A style sheet can only name a file, so these icons exist once per theme.
        "chevron": resources.path("icons", f"chevron-down-{tokens.name}.svg").as_posix(),
        "tick": resources.path("icons", f"tick-{tokens.name}.svg").as_posix(),
    }
    return Template(stylesheet.TEMPLATE).substitute(values)
