"""The language of the window: 简体中文 is what the source says, English is a catalogue; it changes at run time."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

import resources
from desktop.presenters import words

LANGUAGES = ("zh", "en")


class Speech:
    """The translators that are installed now."""

    def __init__(self, application: QCoreApplication, language: str) -> None:
        self._application = application
        self._installed: list[QTranslator] = []
        self.language = ""
        self.speak(language)

    def speak(self, language: str) -> None:
        """Speak `zh` or `en` from now on; every widget hears a LanguageChange."""
        assert language in LANGUAGES
        if language == self.language:
            return
        self.language = language
        words.speak(language)
        for old in self._installed:
            self._application.removeTranslator(old)
        self._installed = []
        QLocale.setDefault(QLocale("zh_CN" if language == "zh" else "en_US"))
        if language == "zh":
            # Qt's own words: Cancel, Copy, the calendar.
            self._install("qtbase_zh_CN", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath))
        else:
            self._install("kameng_en", str(resources.path("translations")))

    def _install(self, name: str, folder: str) -> None:
        translator = QTranslator(self._application)
        if translator.load(name, folder):
            self._application.installTranslator(translator)
            self._installed.append(translator)
