"""Visitors of the shop without a browser: real requests through the whole app, cookies kept, forms filled from HTML.

`Shop` is the world with a real sandbox process as its payment channel. `Visitor` is one device. `Document` is what a
page says, parsed: texts, forms, links and the faults a careful reader would find in its markup.
"""

import asyncio
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from cryptography.hazmat.primitives import serialization

from server import app
from server.gateways.sandbox import SandboxGateway
from server.orders import queries as orders
from server.payments import queries as payments
from tests.world import MERCHANT, World

VOID = {"meta", "link", "img", "input", "br", "path", "circle", "rect", "ellipse"}


class Shop:
    """The app over a world, payable at a sandbox process."""

    def __init__(self, world: World, merchant) -> None:
        gateway = SandboxGateway(
            base_url=merchant.sandbox.url,
            merchant_id=MERCHANT,
            private_key_pem=merchant.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            channel_public_key_pem=Path(merchant.sandbox.ready["public_key"]).read_bytes(),
            outbound=world.ctx.outbound,
        )
        self.world = world
        self.merchant = merchant
        self.ctx = replace(world.ctx, gateways={"sandbox": gateway})
        self.app = app.build(self.ctx.settings, ctx=self.ctx, worker=False)

    def visitor(self, language: str = "zh-CN") -> "Visitor":
        """A new device."""
        return Visitor(self, language)

    def order(self, code: str):
        """The order of a code as it stands."""
        with self.ctx.db.read() as tx:
            return orders.find(tx, code)

    def attempt(self, code: str):
        """The payment attempt of an order."""
        with self.ctx.db.read() as tx:
            return payments.current_attempt(tx, orders.find(tx, code).id)


class Visitor:
    """One device with its cookies. Every answer is checked for what must hold on all of them."""

    def __init__(self, shop: Shop, language: str) -> None:
        self.shop = shop
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(shop.app),
            base_url=shop.ctx.settings.base_url,
            headers={
                "Accept": "text/html,application/xhtml+xml",
                "Accept-Language": language,
                "Sec-Fetch-Site": "same-origin",
            },
        )

    @property
    def device(self) -> UUID:
        """The device's id, as its signed cookie says."""
        if not self.http.cookies:
            self.get("/review")  # the first page that makes one, also when it finds nothing
        return UUID(hex=self.http.cookies["device"].partition(".")[0])

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for a page; names of `headers` have underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(self.http.get(path, headers=named))

    def post(self, path: str, form: dict, **headers: str) -> httpx.Response:
        """Send a form."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(self.http.post(path, data=form, headers=named))

    def post_all(self, path: str, forms: list[dict]) -> list[httpx.Response]:
        """Send forms at the same time, as an impatient thumb does."""

        async def together():
            return await asyncio.gather(*(self.http.post(path, data=form) for form in forms))

        return asyncio.run(together())

    def page(self, path: str, *, status: int = 200) -> "Document":
        """A page, parsed."""
        answer = self.get(path)
        assert answer.status_code == status, answer.text
        return Document(answer.text)

    def review(self, sku: str, quantity: int = 1) -> dict:
        """The form of the review page with the policy ticked."""
        return self.page(f"/review?sku={sku}&quantity={quantity}").form("/orders") | {"agreed": "yes"}

    def order(self, sku: str, quantity: int = 1) -> str:
        """Order through the pages; answers the order's code."""
        answer = self.post("/orders", self.review(sku, quantity))
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].removeprefix("/o/")

    def pay(self, code: str) -> None:
        """Pay at the sandbox and press "I have paid"; the sandbox's callback has nowhere to go in these tests."""
        address = next(link for link in self.page(f"/o/{code}").links if "/pay/" in link)
        self.shop.merchant.pay(address)
        assert self.post(f"/o/{code}/refresh", {}).headers["location"] == f"/o/{code}?back=1"


class Document(HTMLParser):
    """A parsed page. Raises AssertionError for markup that does not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict]] = []
        self.links: list[str] = []
        self.forms: dict[str, dict] = {}
        self.texts: list[str] = []
        self.keys: list[str] = []
        self._open: list[str] = []
        self._form: dict | None = None
        self._labelled: list[str] = []
        self._key: str | None = None
        self.feed(html)
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        """What a reader reads, with single spaces."""
        return " ".join(" ".join(self.texts).split())

    def form(self, action: str) -> dict:
        """What a browser would send for the form of this action as it stands."""
        return dict(self.forms[action])

    def all(self, tag: str) -> list[dict]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def named(self, identity: str) -> dict:
        """The attributes of the element with an id."""
        [found] = [attributes for _, attributes in self.elements if attributes.get("id") == identity]
        return found

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        assert len(given) == len(attributes), f"an attribute twice in <{tag}>"
        self.elements.append((tag, given))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "a":
            self.links.append(given["href"])
        if tag == "form":
            self._form = self.forms.setdefault(given["action"], {})
        if tag == "input" and self._form is not None and "name" in given:
            self._fill(given)
        if tag == "code" and given.get("id", "").startswith(("n", "s")):
            self._key = ""

    def _fill(self, given):
        if given.get("type") in {"radio", "checkbox"} and "checked" not in given:
            return
        self._form[given["name"]] = given.get("value", "on")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag
        if tag == "form":
            self._form = None
        if tag == "code" and self._key is not None:
            self.keys.append(self._key)
            self._key = None

    def handle_data(self, data):
        if self._key is not None:
            self._key += data
        if "script" not in self._open:
            self.texts.append(data)

    # --- what a careful reader finds wrong ---

    def faults(self) -> list[str]:
        """Markup that would hurt: things the policy forbids, labels and targets that are missing, ids used twice."""
        return [*self._forbidden(), *self._unlabelled(), *self._dangling()]

    def _forbidden(self):
        for tag, given in self.elements:
            if "style" in given or tag == "style":
                yield f"inline style in <{tag}>"
            if tag == "script" and not given.get("src", "").startswith("/static/"):
                yield "inline script"
            yield from (f"{name} in <{tag}>" for name in given if name.startswith("on"))
            for name in ("src", "srcset", "data", "poster"):
                if urlsplit(given.get(name) or "").netloc:
                    yield f"another origin in <{tag} {name}>"

    def _unlabelled(self):
        labelled = {given["for"] for given in self.all("label") if "for" in given}
        for given in self.all("input"):
            wrapped = given.get("type") in {"radio", "checkbox"}  # always inside their label here
            if given.get("type") != "hidden" and not wrapped and given.get("id") not in labelled:
                yield f"input {given.get('name')} without a label"
        yield from (f"image {given['src']} without alt" for given in self.all("img") if "alt" not in given)
        yield from (f"image {given['src']} without size" for given in self.all("img") if "width" not in given)
        if len(self.all("h1")) != 1:
            yield f"{len(self.all('h1'))} first headings"
        if len(self.all("main")) != 1:
            yield "not one main part"

    def _dangling(self):
        identities = [given["id"] for _, given in self.elements if "id" in given]
        yield from (f"id {identity} twice" for identity in set(identities) if identities.count(identity) > 1)
        for tag, given in self.elements:
            targets = [*given.get("aria-labelledby", "").split(), *given.get("aria-describedby", "").split()]
            targets += [given["for"]] if "for" in given and tag in {"label", "output"} else []
            targets += [given["href"][1:]] if given.get("href", "").startswith("#") else []
            targets += [given["data-copy"]] if "data-copy" in given else []
            yield from (f"<{tag}> points to no {target}" for target in targets if target not in identities)
