"""A buyer without a browser: follows links, fills forms and keeps cookies over plain HTTP, as with JavaScript off."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

from server.outbound import Outbound, Reply
from shared.errors import KamengError

REDIRECTS = {302, 303, 307}
MOST_REDIRECTS = 5


class UnexpectedPage(KamengError):
    """A page did not have what a buyer would look for."""

    code = "unexpected_page"
    status = 500
    zh = "页面 {url} 与预期不符（{reason}）。"
    en = "The page {url} is not as expected ({reason})."


@dataclass
class Form:
    """A form of a page: where it goes and what it already holds."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Page:
    """A page that was loaded, with its forms and links."""

    url: str
    text: str
    forms: list[Form]
    links: list[str]

    def form(self, ending: str) -> Form:
        """The form whose action ends so."""
        for form in self.forms:
            if urlsplit(form.action).path.endswith(ending):
                return form
        raise UnexpectedPage(url=self.url, reason=f"form {ending}")


class _Reader(HTMLParser):
    """Collects forms with their values, and links."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").lower()))
        elif tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in {"input", "button"} and self.forms and given.get("name"):
            is_choice = given.get("type") in {"radio", "checkbox"}
            if not is_choice or "checked" in given:
                self.forms[-1].fields.setdefault(given["name"], given.get("value", ""))


class Buyer:
    """One device: its cookies and the pages it opens. Every call is one exchange and its redirects."""

    def __init__(self) -> None:
        self._outbound = Outbound()
        self._cookies: dict[tuple[str, str], str] = {}

    def open(self, url: str) -> Page:
        """Load a page, following redirects."""
        return self._load("GET", url, b"")

    def submit(self, page: Page, form: Form, **values: str) -> Page:
        """Send a form with what it holds and `values`; answers the page that follows."""
        url, body = urljoin(page.url, form.action), urlencode(form.fields | values)
        if form.method == "get":
            return self._load("GET", f"{url}?{body}", b"")
        return self._load("POST", url, body.encode())

    def _load(self, method: str, url: str, body: bytes) -> Page:
        for _ in range(MOST_REDIRECTS):
            reply = self._exchange(method, url, body)
            if reply.status not in REDIRECTS:
                break
            url, method, body = urljoin(url, reply.headers["location"]), "GET", b""
        if reply.status != 200:
            raise UnexpectedPage(url=url, reason=str(reply.status))
        reader = _Reader()
        reader.feed(reply.body.decode())
        return Page(url=url, text=reply.body.decode(), forms=reader.forms, links=reader.links)

    def _exchange(self, method: str, url: str, body: bytes) -> Reply:
        parts = urlsplit(url)
        mine = "; ".join(f"{name}={value}" for (host, name), value in self._cookies.items() if host == parts.netloc)
        headers = {"Accept": "text/html", "Accept-Language": "zh-CN", "Sec-Fetch-Site": "same-origin"}
        if mine:
            headers["Cookie"] = mine
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        reply = asyncio.run(self._outbound.exchange(method, url, headers=headers, body=body))
        for name, value in re.findall(r"(?:^|, )([\w-]+)=([^;,]*)(?=;|$)", reply.headers.get("set-cookie", "")):
            self._cookies[parts.netloc, name] = value
        return reply
