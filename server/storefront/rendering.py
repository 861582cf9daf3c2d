"""Turns a template and what it shows into an answer: language, links to static files, validators, caching.

Pages that anybody may see get a strong ETag over their bytes and answer 304; everything else is `no-store`.
Compression belongs to `server.web`, which leaves `no-store` pages alone.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import InternationalizationExtension
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from server import context, web
from server.settings import Settings
from server.storefront import language as languages
from server.storefront.assets import FOREVER, Assets
from server.storefront.language import ENGLISH, Language, marked
from shared.contracts.base import Problem
from shared.errors import error_for

TEMPLATES = Path(__file__).resolve().parent / "templates"


_REFUSED = marked("没有完成")
_FAILED = marked("我们这边出了点问题")
_HEADINGS = {
    404: marked("没有找到这个页面"),
    413: marked("提交的内容太大"),
    429: marked("请稍等片刻再试"),
    503: marked("现在人比较多"),
}


@cache
def assets() -> Assets:
    """The static files, read when first needed."""
    return Assets()


@cache
def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=[InternationalizationExtension],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    # The extension adds this method; Jinja's types do not know it.
    install = cast("Any", environment).install_gettext_callables
    install(language.text, lambda one, many, n: language.text(one if n == 1 else many), newstyle=True)
    environment.globals.update(static=assets().url, language=language)
    return environment


def render(template: str, language: Language, *, settings: Settings, other_url: str, shown: Mapping[str, Any]) -> str:
    """One whole page. `other_url` is the same page in the other language."""
    shop = {"shop_name": settings.shop_name, "support": settings.support}
    return _environment(language).get_template(template).render(other_language_url=other_url, **shop, **dict(shown))


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    public: bool = False,
    address: str | None = None,
    **shown: Any,
) -> Response:
    """Answer with a page. `address` is where a GET shows the same, for pages that answer a form."""
    language = languages.of(request)
    html = render(
        template,
        language,
        settings=context.of(request).settings,
        other_url=_with_language(request, language.other, address),
        shown=shown,
    )
    response = HTMLResponse(html, status)
    response.headers["content-language"] = language.tag
    chosen = languages.asked_for(request)
    if public and status == 200 and chosen is None:
        _validate(request, response)
    else:
        response.headers["cache-control"] = "no-store"
    if chosen is not None:
        _remember(request, response, chosen)
    return response


def _validate(request: Request, response: Response) -> None:
    """Give the answer its validator, and empty it when the browser has the same bytes already."""
    tag = f'"{hashlib.sha256(response.body).hexdigest()[:24]}"'
    response.headers["etag"] = tag
    response.headers["cache-control"] = "no-cache"
    response.headers["vary"] = "Accept-Language, Cookie"
    # Weak comparison (RFC 9110, 13.1.2): a compressed copy carries the same tag marked as weak.
    known = {item.strip().removeprefix("W/") for item in request.headers.get("if-none-match", "").split(",")}
    if tag in known:
        response.status_code = 304
        response.body = b""
        del response.headers["content-length"]
        del response.headers["content-type"]


def _remember(request: Request, response: Response, chosen: Language) -> None:
    response.set_cookie(
        languages.COOKIE,
        chosen.code,
        max_age=languages.COOKIE_SECONDS,
        secure=context.of(request).settings.is_https,
        httponly=True,
        samesite="lax",
    )


def _with_language(request: Request, language: Language, address: str | None) -> str:
    path, _, query = (address or f"{request.url.path}?{request.url.query}").partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name not in {"lang", "n"}]
    return f"{path}?{urlencode([*kept, ('lang', language.code)])}"


def render_problem(request: Request, problem: Problem) -> str:
    """An expected refusal, or a failure, as a page of the shop; what `server.web` asks for when a browser is told."""
    language = languages.of(request)
    kind = error_for(problem.code)
    sentence = problem.detail
    if kind is not None and language.code != web.language(request):
        # The refusal was worded for the browser's language; the buyer has chosen another one.
        template = kind.en if language is ENGLISH else kind.zh
        sentence = template.format_map(defaultdict(lambda: "?", problem.params))
    heading = _HEADINGS.get(problem.status, _FAILED if problem.status >= 500 else _REFUSED)
    return render(
        "problem.html",
        language,
        settings=context.of(request).settings,
        other_url=_with_language(request, language.other, "/"),
        shown={"heading": language.text(heading), "sentence": sentence, "number": problem.request_id},
    )


def static_file(request: Request, name: str) -> Response | None:
    """The static file of a hashed name, or None when there is none."""
    found = assets().find(name)
    if found is None:
        return None
    asset, current = found
    headers = {"cache-control": FOREVER if current else "no-cache", "vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(asset.squeezed, media_type=asset.media_type, headers=headers)
    return Response(asset.plain, media_type=asset.media_type, headers=headers)
