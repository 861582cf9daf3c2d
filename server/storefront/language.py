"""The two languages of the shop: 简体中文 is what templates and code are written in, English comes from a catalogue.

Catalogues are gettext `.po` files in `resources/translations/storefront/`, read once when the process starts. A
sentence without translation shows in Chinese; a test keeps that from happening.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from babel.messages.pofile import read_po
from starlette.requests import Request

import resources
from server import web

COOKIE = "lang"
COOKIE_SECONDS = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Language:
    """One language of the shop. `code` is what errors and cookies call it, `tag` what browsers call it."""

    code: str
    tag: str
    name: str
    short: str
    catalogue: dict[str, str] = field(repr=False, compare=False)

    def text(self, message: str, /, **values: Any) -> str:
        """The sentence in this language, with `%(name)s` filled in."""
        found = self.catalogue.get(message, message)
        return found % values if values else found

    @property
    def other(self) -> Language:
        """The language that the switch on each page leads to."""
        return ENGLISH if self is CHINESE else CHINESE


def marked(message: str) -> str:
    """The message itself: says to the extractor that it will be translated where it is shown."""
    return message


def _catalogue(code: str) -> dict[str, str]:
    with resources.path("translations", "storefront", code, "LC_MESSAGES", "messages.po").open("rb") as file:
        return {
            str(message.id): str(message.string)
            for message in read_po(file)
            if message.id and message.string and not message.fuzzy
        }


CHINESE = Language(code="zh", tag="zh-CN", name="简体中文", short="中文", catalogue={})
ENGLISH = Language(code="en", tag="en", name="English", short="EN", catalogue=_catalogue("en"))


@cache
def _by_code() -> dict[str, Language]:
    return {language.code: language for language in (CHINESE, ENGLISH)}


def asked_for(request: Request) -> Language | None:
    """The language that `?lang=` names, which is then kept in a cookie."""
    return _by_code().get(request.query_params.get("lang", ""))


def of(request: Request) -> Language:
    """The language of an answer: `?lang=`, else the cookie, else what the browser prefers, else 简体中文."""
    chosen = asked_for(request) or _by_code().get(request.cookies.get(COOKIE, ""))
    return chosen or _by_code()[web.language(request)]
