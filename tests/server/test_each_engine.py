"""One story through the API on SQLite, PostgreSQL and MariaDB: the same requests, the same answers."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from server.payments.refunds import making, replacing
from server.payments.refunds.making import Portion
from shared import clock
from shared.states import RefundCause, RefundStep
from tests.server.conftest import opened
from tests.world import ANNA, BEN, PASSWORD


@pytest.fixture
def anywhere(engine, tmp_path):
    with opened(tmp_path, engine) as built:
        yield built


def test_people_sign_in_rotate_and_are_thrown_out(anywhere):
    site, device = anywhere, {"id": "0190b8a0-0000-7000-8000-000000000001", "name": "柜台", "platform": "Linux"}
    body = {"login": "zhou", "password": PASSWORD, "device": device}
    token = site.post("/api/session", json=body).json()["token"]
    assert site.post("/api/session", json=body | {"login": "ZHOU"}).status_code == 401  # exact on every engine
    greeting = {"protocol": 1, "device_id": device["id"], "app_version": "1", "cursor": 0}
    fresh = site.post("/sync/v1/hello", json=greeting, headers={"authorization": f"Bearer {token}"}).json()["token"]
    assert site.request("DELETE", "/api/session", headers={"authorization": f"Bearer {fresh}"}).status_code == 204
    assert site.get("/api/session", headers={"authorization": f"Bearer {token}"}).status_code == 401
    taken = {"login": "li", "name": "x", "role": "operator", "password": "seven green boats"}
    assert site.post("/api/users", by="wang", json=taken).json()["code"] == "login_taken"


def test_a_product_is_drafted_published_and_sold_out(anywhere):
    site = anywhere
    draft = {
        "category": "games",
        "code": "ark",
        "name": "方舟月卡",
        "description": "长" * 20_000,
        "skus": [{"code": "ARK-30", "name": "方舟月卡", "unit_price": 299_900}],
    }
    product = site.post("/api/products", by="chen", json=draft).json()
    assert site.post("/api/products", by="chen", json=draft).json()["params"] == {"taken": "ark"}
    assert site.post("/api/products", by="chen", json=draft | {"code": "b"}).json()["params"] == {"taken": "ARK-30"}
    move = {"to": "published", "version": 1}
    assert site.post(f"/api/products/{product['id']}/state", by="li", json=move).json()["version"] == 2
    assert site.post(f"/api/products/{product['id']}/state", by="li", json=move).json()["code"] == "product_changed"
    assert [row["code"] for row in site.get("/api/products?q=方舟", by="li").json()["items"]] == ["ark"]
    assert site.get("/p/ark").status_code == 200
    refused = site.order(ANNA, "ARK-30", 2_999)
    assert (refused.status_code, refused.json()["params"]) == (409, {"left": 0})


def test_the_day_and_the_feed_tell_the_same_everywhere(anywhere):
    site, shop = anywhere, anywhere.world
    shop.stock("STEAM-50", 4)
    shop.stock("OFFICE-1Y", 40)
    shop.buy(ANNA, "STEAM-50", 2)
    bought = shop.buy(BEN, "OFFICE-1Y", 30)
    shop.apply(shop.fact(bought, provider_no="S-second-payment-0001"))
    shop.place(ANNA, "STEAM-50", 1)
    with shop.ctx.db.tx() as tx:
        whose = {"cause": RefundCause.BUYER, "reason": "x", "actor": "buyer"}
        held = making.of_order(tx, shop.order(bought).id, Portion(quantity=3), **whose)
        replacing.replace(tx, held, RefundStep.REPLACED, actor="staff", note="x")
    day = clock.shop_day(clock.now())
    summary = site.get(f"/api/reports/days/{day}", by="zhou").json()
    assert {name: value for name, value in summary.items() if name not in {"day", "as_of", "position"}} == {
        "orders_placed": 3,
        "orders_paid": 2,
        "orders_delivered": 2,
        "paid_fen": 9_105,
        "delivered_fen": 9_105,
        "supplier_fen": 8_645,
        "fee_fen": 460,
        "discount_fen": 0,
        "commission_fen": 0,
        "units_imported": 44,
        "units_sold": 32,
        "units_returned": 3,
        "units_replaced": 3,
        "exceptions_open": 1,
        "ledger": [
            {"account": "escrow", "debits_fen": 9_105, "credits_fen": 9_105},
            {"account": "fee", "debits_fen": 0, "credits_fen": 460},
            {"account": "psp", "debits_fen": 9_210, "credits_fen": 0},
            {"account": "supplier_pending", "debits_fen": 0, "credits_fen": 8_645},
            {"account": "suspense", "debits_fen": 0, "credits_fen": 105},
        ],
    }
    lines, after = [], ""
    while after is not None:
        page = site.get(f"/api/reports/days/{day}/orders?limit=1{after}", by="zhou").json()
        lines += [line["sku"] for line in page["items"]]
        after = page["next"] and f"&after={page['next']}"
    assert lines == ["STEAM-50", "OFFICE-1Y", "STEAM-50"]
    assert len(site.get(f"/api/reports/days/{day}/payments", by="zhou").json()["items"]) == 2
    moved = {row["sku"]: row for row in site.get(f"/api/reports/days/{day}/movements", by="zhou").json()["items"]}
    assert (moved["STEAM-50"]["sold"], moved["STEAM-50"]["free_at_close"]) == (2, 2)
    figures = ("sold", "returned", "replaced", "void", "free_at_close")
    assert [moved["OFFICE-1Y"][name] for name in figures] == [30, 3, 3, 3, 7]
    for by, entities in (("li", {"product", "sku", "order"}), ("zhao", {"product", "sku", "order"})):
        rows = site.get("/sync/v1/changes?cursor=0&limit=2000", by=by).json()["rows"]
        assert entities <= {row["entity"] for row in rows}
        assert [row["pos"] for row in rows] == sorted(row["pos"] for row in rows)
    assert site.get("/readyz").json()["schema"] == "ok"


DEVICE = {"id": "0190b8a0-0000-7000-8000-000000000002", "name": "柜台", "platform": "Linux"}


def test_one_machine_that_signs_in_twice_at_once_is_let_in_twice(anywhere):
    body = {"login": "zhou", "password": PASSWORD, "device": DEVICE}
    with ThreadPoolExecutor(4) as together:
        answers = list(together.map(lambda _: anywhere.post("/api/session", json=body), range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4


def test_an_id_of_a_proxy_is_as_long_as_the_columns_that_keep_it(anywhere):
    body = {"login": "zhou", "password": PASSWORD, "device": DEVICE}
    for given, kept in (("r" * 40, True), ("r" * 64, False)):
        answer = anywhere.post("/api/session", json=body, headers={"x-request-id": given})
        assert (answer.status_code, answer.headers["x-request-id"] == given) == (201, kept)


def test_what_no_text_of_a_database_can_hold_is_refused_before_it_gets_there(anywhere):
    for path, status in (
        ("/p/%00", 404),
        ("/c/a%00", 404),
        ("/o/%00", 404),
        ("/p/steam?sku=%00", 400),
        ("/review?sku=%00", 400),
        ("/?lang=%00", 400),
    ):
        assert anywhere.get(path, buyer=ANNA).status_code == status, path
    for path, status in (
        ("/api/stock?q=%00", 400),
        ("/api/stock?after=%00", 400),
        ("/api/stock/%00/lots", 404),
        ("/api/orders?q=%00", 400),
        ("/api/orders?day=0001-01-01", 422),
        ("/api/orders?day=9999-12-31", 422),
    ):
        assert anywhere.get(path, by="wang").status_code == status, path
    form = {"sku": "\0", "quantity": "1", "amount_fen": "1", "channel": "sandbox", "agreed": "yes"}
    assert anywhere.post("/orders", buyer=ANNA, data=form | {"idempotency_key": "k" * 20}).status_code == 400
