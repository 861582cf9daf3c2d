"""How a page is made of a template: language, colours, links, and the headers that keep a browser careful.

Used by whoever shows a page. The one style sheet is served here; its address changes with its content.
"""

import hashlib
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from server.sandbox.moments import beijing
from server.sandbox.web import PAGE_HEADERS, reader_language
from server.sandbox.words import Language, sentence

_TEMPLATES = Path(__file__).parent / "templates"


def yuan(amount_fen: int) -> str:
    """Write an amount for people: 1234567 fen is `12,345.67`."""
    return f"{amount_fen // 100:,}.{amount_fen % 100:02d}"


class Rendering:
    """The templates and the style sheet."""

    def __init__(self, base_url: str) -> None:
        """`base_url` may have a path, when a proxy serves the sandbox below one; links then start with it."""
        self.root = urlsplit(base_url).path
        self._style = (_TEMPLATES / "pay.css").read_bytes()
        self._style_path = f"/assets/pay-{hashlib.sha256(self._style).hexdigest()[:12]}.css"
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, auto_reload=False
        )
        self._templates.filters["yuan"] = yuan
        self._templates.filters["beijing"] = beijing

    def route(self) -> Route:
        """Return the address of the style sheet."""
        return Route(self._style_path, self._show_style, methods=["GET"])

    def page(self, request: Request, template: str, *, status: int = 200, **facts: object) -> Response:
        """Return a page in the reader's language. Templates have `t(key)`, `say((zh, en))`, `language` and `root`."""
        language = reader_language(request)
        tag = "en" if language == "en" else "zh-CN"
        html = self._templates.get_template(template).render(
            t=partial(_sentence, language),
            say=partial(in_language, language),
            language=tag,
            root=self.root,
            style_url=self.root + self._style_path,
            **facts,
        )
        headers = {**PAGE_HEADERS, "Content-Language": tag}
        return Response(html, status_code=status, media_type="text/html", headers=headers)

    def problem(self, request: Request, status: int, about: str, **values: object) -> Response:
        """Return a page that says what is wrong: `title_<about>` and `about_<about>` of `words.SENTENCES`."""
        explanation = sentence(f"about_{about}", reader_language(request), **values)
        return self.page(request, "problem.html", status=status, about=about, explanation=explanation)

    def go_to(self, path: str) -> Response:
        """Lead the browser to another page of ours."""
        return RedirectResponse(self.root + path, status_code=303, headers=PAGE_HEADERS)

    async def _show_style(self, _request: Request) -> Response:
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(self._style, media_type="text/css", headers=headers)


def in_language(language: Language, both: tuple[str, str]) -> str:
    """Choose between a Chinese and an English text."""
    return both[1] if language == "en" else both[0]


def _sentence(language: Language, key: str, **values: object) -> str:
    return sentence(key, language, **values)
