"""One thing to say to a person, in both languages: the reasons of `cardkey`, and what an error's sentence names."""

from __future__ import annotations

from typing import NamedTuple


class Sentence(NamedTuple):
    """One thing to say to a person, in both languages."""

    zh: str
    en: str

    def sentence(self, language: str = "zh") -> str:
        """The sentence; `language` starts with `en` for English, anything else is 简体中文."""
        return self.en if language.startswith("en") else self.zh
