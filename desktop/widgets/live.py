"""Widgets that change language and theme while they are on screen.

`say` and `tint` remember how a text or an icon is made and make it again when the language or the theme changes,
so no screen is rebuilt and nothing typed is lost. Mix `Live` in before the Qt class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    _Base = QWidget
else:
    _Base = object


class Live(_Base):
    """Mixed into a QWidget: texts and looks that renew themselves."""

    _spoken: list[tuple[Callable[[str], object], Callable[[], str]]]
    _redone: list[Callable[[], None]]

    def say(self, put: Callable[[str], object], words: Callable[[], str]) -> None:
        """Put `words()` with `put` now, and again after each change of language."""
        self.__dict__.setdefault("_spoken", []).append((put, words))
        put(words())

    def on_words(self, redo: Callable[[], None]) -> None:
        """Run `redo` after each change of language; for texts that depend on data."""
        self.__dict__.setdefault("_redone", []).append(redo)

    def changeEvent(self, event: QEvent) -> None:
        """Speak the new language, first the fixed texts, then those made of data."""
        if event.type() == QEvent.Type.LanguageChange:
            for put, words in self.__dict__.get("_spoken", ()):
                put(words())
            for redo in self.__dict__.get("_redone", ()):
                redo()
        super().changeEvent(event)


def language() -> str:
    """`zh` or `en`: what the window speaks now. Sentences of the shared rules are asked for in it."""
    return QCoreApplication.translate("Language", "zh", "the code of this language: write en")
