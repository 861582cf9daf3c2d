"""Every route of the app against every kind of party, by a literal table: a new route without a line fails here.

The row "own" is the supplier whose goods are asked for, "foreign" another one; "anna" bought the order, "ben" did
not. What is refused must leave every row of every table as it was.
"""

import base64
import hashlib
import json
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from server.orders.actions import POLICY_VERSION
from server.orders.model import Order
from server.payments.ending import EndUnpaid
from server.payments.exceptions import acting
from server.payments.model import PaymentException
from server.payments.refunds import actions as refunds
from server.payments.refunds import asking, images
from server.policy import SYSTEM
from server.stock import alerts
from shared import clock, ids
from shared.contracts.payments import AnswerRefund, ProposeAction, StartRefund
from shared.states import AlertKind, OrderState, RefundReason
from tests.rules import bookkeeping, reconciling, settling
from tests.rules.witness import Witness, witness
from tests.server.conftest import opened, signed
from tests.world import ANNA, BEN, PASSWORD

PARTIES = {
    "nobody": {},
    "anna": {"buyer": ANNA},
    "ben": {"buyer": BEN},
    "admin": {"by": "wang"},
    "operator": {"by": "li"},
    "finance": {"by": "zhou"},
    "own": {"by": "chen"},
    "foreign": {"by": "zhao"},
}

# nobody anna ben | admin operator finance | own foreign
ALL = "200 200 200 200 200 200 200 200"
NONE = "404 404 404 404 404 404 404 404"
STAFF = "401 401 401 200 200 200 200 200"
SCOPED = "401 401 401 200 200 200 200 404"
REPORT = "401 401 401 200 403 200 403 403"
BOUGHT = "404 200 404 404 404 404 404 404"

MATRIX = {
    "GET /livez": ALL,
    "GET /readyz": ALL,
    "GET /metrics": "401 401 401 401 401 401 401 401",  # asked through a proxy
    "POST /pay/{channel}/notify": "400 400 400 400 400 400 400 400",  # signed, and of nothing
    "GET /pay/{channel}/notify": "401 401 401 401 401 401 401 401",  # by nobody
    # the shop
    "GET /": ALL,
    "GET /c/{code}": ALL,
    "GET /p/{code}": ALL,
    "GET /static/{name:path}": NONE,
    "GET /review": ALL,
    "POST /orders": "303 303 303 303 303 303 303 303",
    "POST /api/orders": "201 201 201 201 201 201 201 201",
    "GET /o/{code}": BOUGHT,
    "GET /o/{code}/status": BOUGHT,
    "GET /o/{code}/events": BOUGHT,
    "POST /o/{code}/refresh": "404 303 404 404 404 404 404 404",
    "POST /o/{code}/cancel": "404 303 404 404 404 404 404 404",
    "POST /o/{code}/pay": "404 303 404 404 404 404 404 404",
    "GET /o/{code}/back": "404 303 404 404 404 404 404 404",
    "GET /o/{code}/wechat": "404 303 404 404 404 404 404 404",
    "GET /o/{code}/wechat/back": "404 303 404 404 404 404 404 404",
    "POST /o/{code}/reveal": "404 303 404 404 404 404 404 404",
    "GET /o/{code}/keys.txt": BOUGHT,
    "GET /o/{code}/refunds": BOUGHT,
    "GET /o/{code}/refunds/{image_id}": BOUGHT,
    "GET /o/{code}/refund": BOUGHT,
    "POST /o/{code}/refund/check": "404 422 404 404 404 404 404 404",  # without a reason
    "POST /o/{code}/refund": "404 422 404 404 404 404 404 404",
    "GET /o/{code}/k/{token}": NONE,  # with a wrong token
    "GET /lookup": ALL,
    "POST /lookup": ALL,
    # people
    "POST /api/session": "201 201 201 201 201 201 201 201",
    "GET /api/session": STAFF,
    "DELETE /api/session": "401 401 401 204 204 204 204 204",
    "POST /sync/v1/hello": STAFF,
    "GET /sync/v1/changes": STAFF,
    "GET /api/users": "401 401 401 200 200 403 403 403",
    "POST /api/users": "401 401 401 201 403 403 403 403",
    "GET /api/suppliers": STAFF,
    "POST /api/suppliers": "401 401 401 201 403 403 403 403",
    # goods
    "GET /api/categories": STAFF,
    "POST /api/categories": "401 401 401 201 201 403 403 403",
    "GET /api/products": STAFF,
    "POST /api/products": "401 401 401 201 201 403 201 422",  # for the supplier "own"
    "GET /api/products/{product_id}": SCOPED,
    "POST /api/products/{product_id}/state": "401 401 401 200 200 403 403 403",
    "PUT /api/products/{product_id}/rules": "401 401 401 200 200 403 200 404",
    "GET /api/stock": STAFF,
    "GET /api/stock/{sku}/lots": SCOPED,
    "GET /api/stock/{sku}/units/window": "401 401 401 200 200 403 200 404",
    "GET /api/stock/{sku}/units/{seq}/history": "401 401 401 200 200 403 200 404",
    "POST /api/stock/{sku}/void": "401 401 401 200 200 403 200 404",
    "POST /api/stock/find": "401 401 401 200 200 403 200 200",  # finds the actor's own
    "POST /api/lots/{lot_id}/state": "401 401 401 200 200 403 200 404",
    "POST /api/imports/{import_id}/withdraw": "401 401 401 200 200 403 200 404",
    "POST /api/stock/{sku}/units/{seq}/reveal": "401 401 401 200 200 403 403 403",
    "GET /api/alerts": "401 401 401 200 200 403 200 200",
    "POST /api/alerts/{alert_id}/clear": "401 401 401 200 200 403 404 404",  # staff alone
    "GET /api/stock/{sku}/alerts": "401 401 401 200 200 403 200 404",
    "PUT /api/stock/{sku}/alerts": "401 401 401 200 200 403 200 404",
    "POST /sync/v1/imports": "401 401 401 201 403 403 201 404",
    "PUT /sync/v1/imports/{import_id}/chunks/{n}": "401 401 401 204 403 403 204 404",
    "GET /sync/v1/imports/{import_id}": "401 401 401 200 403 403 200 404",
    "POST /sync/v1/imports/{import_id}/commit": "401 401 401 200 403 403 200 404",
    "GET /sync/v1/imports/{import_id}/refused": "401 401 401 200 403 403 200 404",
    "DELETE /sync/v1/imports/{import_id}": "401 401 401 409 403 403 409 404",  # it is done
    # money
    "GET /api/orders": STAFF,
    "GET /api/orders/{code}": SCOPED,
    "POST /api/orders/{code}/ask": "401 401 401 200 200 200 403 403",
    "POST /api/orders/{code}/confirm": "401 401 401 200 200 200 403 403",
    "GET /api/exceptions": "401 401 401 200 200 200 403 403",
    "GET /api/exceptions/{exception_id}": "401 401 401 200 200 200 403 403",
    "GET /api/exceptions/{exception_id}/candidates": "401 401 401 200 200 200 403 403",
    "POST /api/exceptions/{exception_id}/propose": "401 401 401 200 200 200 403 403",
    "POST /api/exceptions/{exception_id}/approve": "401 401 401 200 200 200 403 403",
    "GET /api/refunds": STAFF,
    "GET /api/refunds/{refund_id}": SCOPED,
    "GET /api/refunds/{refund_id}/images/{image_id}": SCOPED,
    "POST /api/refunds/{refund_id}/images": "401 401 401 403 403 403 201 404",
    "POST /api/orders/{code}/refunds": "401 401 401 201 201 403 403 403",
    "POST /api/refunds/{refund_id}/answer": "401 401 401 403 403 403 200 404",
    "POST /api/refunds/{refund_id}/decide": "401 401 401 200 200 403 403 403",
    "POST /api/refunds/{refund_id}/check": "401 401 401 200 403 200 403 403",
    "POST /api/refunds/{refund_id}/retry": "401 401 401 200 200 200 403 403",
    "GET /api/channels": "401 401 401 200 200 200 403 403",
    "PUT /api/channels/{code}": "401 401 401 200 200 403 403 403",
    "GET /api/reports/days/{day}": REPORT,
    "GET /api/reports/days/{day}/orders": REPORT,
    "GET /api/reports/days/{day}/payments": REPORT,
    "GET /api/reports/days/{day}/movements": REPORT,
    "GET /api/reports/reconciled": REPORT,
    "POST /api/reports/exports": "401 401 401 204 403 204 403 403",
    "GET /api/reports/exports/{sha256}": REPORT,
    "GET /api/reports/layouts": REPORT,
    "PUT /api/reports/layouts": "401 401 401 204 403 204 403 403",
    "DELETE /api/reports/layouts": "401 401 401 204 403 204 403 403",
    **settling.MATRIX,
    **bookkeeping.MATRIX,
    **reconciling.MATRIX,
}


@dataclass
class Stage:
    """A world with one order of anna's delivered, one import of the supplier "own" complete, and all signed in."""

    site: Any
    code: str
    product: UUID
    imported: Any
    sealed: list
    commit: Any
    alert: UUID
    done: list
    exceptions: list
    witness: Witness
    till: settling.Till
    ledger: bookkeeping.Ledger
    close: reconciling.Close
    refund: Any = None
    image: Any = None
    bought: str = ""

    def refunded(self, waits_for: str) -> dict[str, Any]:
        """The request about a refund of a key that anna has just bought, which waits for what it says."""
        shop, said = self.site.world, REFUND_WORDS[waits_for]
        order = shop.buy(ANNA, "STEAM-50").order
        self.bought = order.code
        if waits_for == "start":
            version = shop.order(SimpleNamespace(order=order)).version
            return {"json": said | {"version": version}, "headers": {"idempotency-key": ids.new_token()}}
        with shop.ctx.db.tx() as tx:
            if waits_for in {"answer", "decide"}:
                wish = asking.Wish(order_id=order.id, reason=RefundReason.DEFECTIVE, pictures=images.judged([PNG]))
                row = asking.ask(tx, shop.ctx.keys, wish, actor=f"buyer:{ANNA}")
                self.image = images.of(tx, [row.id])[row.id][0].id
                if waits_for == "decide":
                    no = AnswerRefund(answer="refuse", evidence="已使用", version=row.version)
                    refunds.answer(tx, shop.ctx.keys, row.id, no, actor=SYSTEM, check_above=0)
            else:
                limit = 0 if waits_for == "check" else 10**6
                version = tx.get_one(Order, order.id).version
                body = StartRefund(reason="x", version=version)
                key = ids.new_token()
                row = refunds.start_by_shop(tx, order.id, body, key=key, actor=SYSTEM, check_above=limit)
            self.refund = row.id
            return {"json": said | {"version": row.version}}

    def orphan(self, tag: str, *, proposed: bool) -> dict[str, Any]:
        """The request about money without an order that has just come, and that somebody has `proposed` to refund."""
        shop = self.site.world
        checkout = SimpleNamespace(attempt=SimpleNamespace(out_trade_no=f"NOT-OURS-{tag}", amount_fen=4_500))
        shop.apply(shop.fact(checkout))
        with shop.ctx.db.tx() as tx:
            row = tx.scalars(select(PaymentException).where(PaymentException.out_trade_no == f"NOT-OURS-{tag}")).one()
            self.exceptions.append(row.id)
            said = {"action": "refund", "note": "退回", "version": row.version}
            if proposed:
                acting.propose(tx, row.id, ProposeAction(**said), actor=SYSTEM, request_id=None)
                return {"json": {"approved": False, "version": row.version}}
        return {"json": said}

    def unpaid(self, tag: str) -> dict[str, Any]:
        """The request about an order of anna's that expired, and was paid as its channel's console shows."""
        shop = self.site.world
        order = shop.place(ANNA, "STEAM-50").order
        shop.ctx.batch.call(EndUnpaid(order.id, OrderState.EXPIRED, ()))
        self.bought = order.code
        seen = {"channel": "sandbox", "provider_no": f"P-{tag}", "amount_fen": 4_500, "note": "后台可见到账"}
        return {"json": seen}

    def switch(self) -> dict[str, Any]:
        """A switch of the channel that leaves it on, from its current version."""
        [sandbox] = (one for one in self.site.get("/api/channels", by="wang").json() if one["code"] == "sandbox")
        return {"json": {"enabled": True, "reason": "恢复", "version": sandbox["version"]}}

    def address(self, route: str) -> str:
        """The concrete address that a route stands for: always of the supplier "own" and of anna's order."""
        method, template = route.split(" ")
        day = clock.shop_day(clock.now())
        path = template.replace("{name:path}", "none.0.css").replace("{token}", "A" * 22)
        path = path.replace("/api/channels/{code}", "/api/channels/sandbox")
        for act in ("refunds", "confirm"):
            path = path.replace(f"/api/orders/{{code}}/{act}", f"/api/orders/{self.bought}/{act}")
        path = path.replace("/o/{code}/refunds/{image_id}", f"/o/{self.bought}/refunds/{self.image}")
        path = path.replace("/c/{code}", "/c/games").replace("/p/{code}", "/p/steam").replace("{code}", self.code)
        for name, value in self.close.names() if template.startswith("/api/reconcile/") else ():
            path = path.replace(f"{{{name}}}", str(value))
        path = path.replace("/api/imports/{import_id}", f"/api/imports/{self.done[0].id}")
        for name, value in (
            ("channel", "sandbox"),
            ("lot_id", self.lot["id"] if "{lot_id}" in path else None),  # it asks, and so may sign in
            ("product_id", self.product),
            ("sku", "STEAM-50"),
            ("import_id", self.done[1].id if method == "DELETE" else self.imported.id),
            ("alert_id", self.alert),
            ("exception_id", self.exceptions[-1]),
            ("refund_id", self.refund),
            ("image_id", self.image),
            ("n", 0),
            ("seq", 1),
            ("day", day),
            ("sha256", SHA256),
            *(self.till.names() if template.startswith("/api/settlement/") else ()),
            *(self.ledger.names() if template.startswith("/api/ledger/") else ()),
        ):
            path = path.replace(f"{{{name}}}", str(value))
        return path + ("?sku=STEAM-50" if template == "/review" else "")

    def options(self, route: str, party: str) -> dict[str, Any]:
        """A request that would succeed if the party were allowed, new for each call where it writes."""
        if route in settling.REQUESTS:
            return settling.REQUESTS[route](self.till)
        if route in bookkeeping.REQUESTS:
            return bookkeeping.REQUESTS[route](self.ledger, PARTIES[party].get("by", "wang"))
        if route in reconciling.REQUESTS:
            return reconciling.REQUESTS[route](self.close, PARTIES[party].get("by", "wang"))
        make = REQUESTS.get(route)
        return make(self, secrets.token_hex(4), PARTIES[party].get("by", "wang")) if make else {}

    @property
    def lot(self) -> dict[str, Any]:
        """A lot that is neither sold from nor withdrawn here."""
        lots = self.site.get("/api/stock/MUSIC-30/lots", by="wang").json()["items"]
        return next(lot for lot in lots if lot["import_id"] == str(self.done[1].id))

    def device(self, login: str) -> dict[str, str]:
        """The machine a person works on, as sign-in describes it."""
        return {"id": str(self.site.device(login)), "name": "test", "platform": "test"}

    def move(self) -> dict[str, Any]:
        """The next legal move of the product, from its current version."""
        shown = self.site.get(f"/api/products/{self.product}", by="wang").json()
        return {"to": "off_shelf" if shown["state"] == "published" else "published", "version": shown["version"]}

    def rules(self) -> dict[str, Any]:
        """Other rules for the product, from its current version."""
        shown = self.site.get(f"/api/products/{self.product}", by="wang").json()
        selling = shown["selling"] | {"stop_days": shown["selling"]["stop_days"] + 1}
        return {"version": shown["version"], "key_rule": shown["key_rule"], "selling": selling}

    def draft(self, tag: str) -> dict[str, Any]:
        """A new product of the supplier "own"."""
        sku = {"code": f"S-{tag}", "name": "规格", "unit_price": 100}
        supplier = str(self.site.world.suppliers["xinghe"])
        return {"category": "games", "code": f"p{tag}", "name": "商品", "supplier_id": supplier, "skus": [sku]}

    def declaration(self, tag: str) -> dict[str, Any]:
        """A new import."""
        body, _, _ = self.site.world.announce("STEAM-50", [f"NEW-{tag}-{n}" for n in range(3)])
        return json.loads(body.model_dump_json())


ORDER = {"sku": "STEAM-50", "quantity": 1, "amount_fen": 4_500, "channel": "sandbox"}
AGREED = {"agreed": "yes", "policy_version": POLICY_VERSION}
PNG = b"\x89PNG\r\n\x1a\n"
REFUND_WORDS = {
    "start": {"reason": "补偿"},
    "answer": {"answer": "agree"},
    "decide": {"approve": False, "reason": "记录显示已使用"},
    "check": {"approve": True},
    "retry": {},
}
PERSON = {"name": "新人", "role": "operator", "password": "seven green boats"}

SHA256 = hashlib.sha256(b"rows").hexdigest()

# What a route needs besides its address: made from the stage, a tag that is new each time, and who asks.
REQUESTS = {
    "POST /api/reports/exports": lambda _stage, _tag, _by: {
        "json": {"kind": "day", "first": "2026-11-21", "last": "2026-11-21", "rows": 1, "sha256": SHA256}
    },
    "GET /api/reports/exports/{sha256}": lambda _stage, _tag, _by: {"params": {"day": "2026-11-21"}},
    "PUT /api/reports/layouts": lambda _stage, tag, _by: {"json": {"name": tag, "layout": "{}"}},
    "DELETE /api/reports/layouts": lambda _stage, _tag, _by: {"params": {"name": "月报", "seen": "0" * 64}},
    "GET /metrics": lambda _stage, _tag, _by: {"headers": {"x-forwarded-for": "203.0.113.9"}},
    "POST /pay/{channel}/notify": lambda _stage, _tag, _by: {"content": b"{}", "headers": signed(b"{}")},
    "POST /api/orders": lambda _stage, tag, _by: {"json": ORDER, "headers": {"idempotency-key": f"key-{tag}"}},
    "POST /orders": lambda _stage, tag, _by: {"data": ORDER | AGREED | {"idempotency_key": f"key-{tag}-01234"}},
    "POST /lookup": lambda stage, _tag, _by: {"data": {"code": stage.code}},
    "POST /api/session": lambda stage, _tag, by: {
        "json": {"login": by, "password": PASSWORD, "device": stage.device(by)}
    },
    "POST /sync/v1/hello": lambda stage, _tag, by: {
        "json": {"protocol": 1, "device_id": stage.device(by)["id"], "app_version": "1"}
    },
    "POST /api/users": lambda _stage, tag, _by: {"json": PERSON | {"login": f"u{tag}"}},
    "POST /api/suppliers": lambda _stage, tag, _by: {"json": {"name": f"供应商 {tag}", "fee_ppm": 0}},
    "POST /api/categories": lambda _stage, tag, _by: {"json": {"code": f"c{tag}", "name": "分类"}},
    "POST /api/products": lambda stage, tag, _by: {"json": stage.draft(tag)},
    "POST /api/products/{product_id}/state": lambda stage, _tag, _by: {"json": stage.move()},
    "PUT /api/products/{product_id}/rules": lambda stage, _tag, _by: {"json": stage.rules()},
    "POST /api/stock/{sku}/void": lambda _stage, _tag, _by: {"json": {"seqs": [40], "reason": "坏卡"}},
    "POST /api/stock/find": lambda stage, tag, _by: {"json": stage.site.world.search([("", f"KEY-{tag}")])},
    "POST /api/lots/{lot_id}/state": lambda stage, _tag, _by: {
        "json": {"to": "open" if stage.lot["state"] == "frozen" else "frozen", "reason": "核查"}
    },
    "POST /api/imports/{import_id}/withdraw": lambda _stage, _tag, _by: {"json": {"reason": "供应商撤回"}},
    "POST /api/stock/{sku}/units/{seq}/reveal": lambda stage, _tag, by: {
        # Only now: whoever has a second factor needs it at sign-in too.
        "json": {"reason": "核对投诉", "totp": stage.site.world.enrol(by).at(clock.now())}
    },
    "PUT /api/stock/{sku}/alerts": lambda _stage, _tag, _by: {"json": {"below": 10}},
    "POST /api/exceptions/{exception_id}/propose": lambda stage, tag, _by: stage.orphan(tag, proposed=False),
    "POST /api/exceptions/{exception_id}/approve": lambda stage, tag, _by: stage.orphan(tag, proposed=True),
    "GET /api/refunds/{refund_id}": lambda stage, _tag, _by: _without_body(stage.refunded("answer")),
    "GET /o/{code}/refunds/{image_id}": lambda stage, _tag, _by: _without_body(stage.refunded("answer")),
    "GET /api/refunds/{refund_id}/images/{image_id}": lambda stage, _tag, _by: _without_body(stage.refunded("answer")),
    "POST /api/refunds/{refund_id}/images": lambda stage, _tag, _by: stage.refunded("answer") and {"content": PNG},
    "POST /api/orders/{code}/refunds": lambda stage, _tag, _by: stage.refunded("start"),
    "POST /api/orders/{code}/confirm": lambda stage, tag, _by: stage.unpaid(tag),
    "POST /api/refunds/{refund_id}/answer": lambda stage, _tag, _by: stage.refunded("answer"),
    "POST /api/refunds/{refund_id}/decide": lambda stage, _tag, _by: stage.refunded("decide"),
    "POST /api/refunds/{refund_id}/check": lambda stage, _tag, _by: stage.refunded("check"),
    "POST /api/refunds/{refund_id}/retry": lambda stage, _tag, _by: stage.refunded("retry"),
    "PUT /api/channels/{code}": lambda stage, _tag, _by: stage.switch(),
    "POST /sync/v1/imports/{import_id}/commit": lambda stage, _tag, _by: {
        "json": json.loads(stage.commit.model_dump_json())
    },
    "POST /sync/v1/imports": lambda stage, tag, _by: {"json": stage.declaration(tag)},
    "PUT /sync/v1/imports/{import_id}/chunks/{n}": lambda stage, _tag, _by: {
        "content": stage.sealed[0],
        "headers": {"content-digest": _digest(stage.sealed[0])},
    },
}


def _without_body(_request: dict[str, Any]) -> dict[str, Any]:
    """What is asked by address alone, of something that had to be there."""
    return {}


def _digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with ExitStack() as ends:
        site = ends.enter_context(opened(tmp_path_factory.mktemp("matrix")))
        shop = site.world
        beside = ends.enter_context(witness(shop.ctx.db.url.database))
        shop.stock("STEAM-50", 200)
        done = [shop.stock("MUSIC-30", shop.keys("MUSIC-30", 2, start=start)) for start in (0, 10)]
        bought = shop.buy(ANNA, "STEAM-50")
        imported, sealed, commit = shop.announce("STEAM-50", shop.keys("STEAM-50", 3, start=500))
        assert site.post("/sync/v1/imports", by="chen", json=json.loads(imported.model_dump_json())).status_code == 201
        headers = {"content-digest": _digest(sealed[0])}
        path = f"/sync/v1/imports/{imported.id}/chunks/0"
        assert site.request("PUT", path, by="chen", content=sealed[0], headers=headers).status_code == 204
        steam = shop.skus["STEAM-50"]
        with shop.ctx.db.tx() as tx:
            alerts.raise_alert(
                tx, AlertKind.OFFERED_ELSEWHERE, sku_id=steam.sku_id, supplier_id=steam.supplier_id, add=1
            )
            [alert] = alerts.standing(tx, [AlertKind.OFFERED_ELSEWHERE], [steam.sku_id]).values()
        stage = Stage(
            site,
            bought.order.code,
            steam.product_id,
            imported,
            sealed,
            commit,
            alert.id,
            done,
            [],
            beside,
            settling.Till.opened(site),
            bookkeeping.Ledger.opened(site),
            reconciling.Close.opened(site),
        )
        stage.orphan("0", proposed=False)
        yield stage


def test_every_route_of_the_app_has_its_line(stage):
    routes = {f"{method} {route.path}" for route in stage.site.app.routes for method in route.methods}
    assert routes == set(MATRIX)


@pytest.mark.parametrize("route", MATRIX)
def test_each_party_gets_what_its_line_says_and_refusals_change_nothing(stage, route):
    method = route.partition(" ")[0]
    expected = dict(zip(PARTIES, map(int, MATRIX[route].split()), strict=True))
    got, options, is_new, made_for = {}, {}, False, ""
    for party, who in PARTIES.items():
        by = who.get("by", "wang")
        if "by" in who:
            stage.site.token(by)  # before the rows are looked at: a session is a row
        # What changed nothing is new still: to the same person, and those of settlement whoever asks.
        if not is_new or (by != made_for and route not in settling.REQUESTS):
            options, made_for = stage.options(route, party), by
        stage.witness.hold()
        got[party] = stage.site.request(method, stage.address(route), **who, **options).status_code
        is_refused = got[party] >= 400
        is_new = (is_refused or method == "GET") and not stage.witness.sees_a_change()
        if is_refused:
            assert is_new, f"{route} refused {party} and changed something"
        if route in {"DELETE /api/session", "POST /sync/v1/hello"}:
            stage.site.tokens.clear()
    assert got == expected


def test_the_witness_sees_any_row_change(stage):
    stage.witness.hold()
    assert not stage.witness.sees_a_change()
    stage.options("PUT /api/channels/{code}", "admin")  # reads alone
    assert not stage.witness.sees_a_change()
    stage.orphan("seen", proposed=False)
    assert stage.witness.sees_a_change()
    stage.witness.hold()
    assert not stage.witness.sees_a_change()
