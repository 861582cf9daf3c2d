"""Orders, payments, stock and imports at the HTTP edge, with signed notifications and sealed chunks."""

import base64
import hashlib
import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from server.ledger.actions import Account, Journal, Transfer, post
from server.payments.model import PaymentCallback
from shared import clock
from shared.states import ExceptionKind
from tests.server.conftest import signed
from tests.world import ANNA, BEN


def attempt_of(site, code):
    order = site.get(f"/api/orders/{code}", by="li").json()
    assert order["out_trade_no"]
    return order


def fact_of(site, code, **other):
    """What the channel would state of the order's payment."""
    order = attempt_of(site, code)
    checkout = type("Named", (), {})()
    checkout.attempt = type("Named", (), {"out_trade_no": order["out_trade_no"], "amount_fen": order["amount_fen"]})
    return site.world.fact(checkout, **other)


def callbacks(site):
    with site.world.ctx.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(PaymentCallback))


# --- placing ---


def test_an_order_over_http_is_placed_paid_and_seen_by_whom_it_concerns(site):
    site.world.stock("STEAM-50", 3)
    placed = site.order(ANNA, "STEAM-50", 9_000, quantity=2)
    assert placed.status_code == 201
    assert placed.headers["cache-control"] == "no-store"
    body = placed.json()
    assert (body["state"], body["amount_fen"], body["pay_url"]) == ("pending_payment", 9_000, None)
    assert body["order_url"].startswith(f"http://127.0.0.1:8000/o/{body['code']}/k/")
    assert site.world.level("STEAM-50").held == 2
    answer = site.notify(fact_of(site, body["code"]))
    assert (answer.status_code, answer.json()) == (200, {"code": "SUCCESS"})
    assert site.world.level("STEAM-50").sold == 2
    order = site.get(f"/api/orders/{body['code'].lower()}", by="zhou").json()
    assert (order["state"], order["channel"]) == ("delivered", "sandbox")
    [line] = order["lines"]
    assert (line["supplier_fen"], line["fee_fen"], line["quantity"]) == (8_550, 450, 2)
    site.world.check()


def test_the_same_key_answers_the_same_order_and_other_content_is_refused(site):
    site.world.stock("STEAM-50", 3)
    first = site.order(ANNA, "STEAM-50", 4_500, key="key-0123456789")
    again = site.order(ANNA, "STEAM-50", 4_500, key="key-0123456789")
    assert first.json() == again.json()
    other = site.order(ANNA, "STEAM-50", 9_000, quantity=2, key="key-0123456789")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_reused")
    bens = site.order(BEN, "STEAM-50", 4_500, key="key-0123456789")
    assert bens.json()["code"] != first.json()["code"]
    assert site.world.level("STEAM-50").held == 2


@pytest.mark.parametrize(
    ("label", "change", "status", "code"),
    [
        ("another price", {"amount_fen": 4_499}, 409, "price_changed"),
        ("more than there is", {"quantity": 4, "amount_fen": 18_000}, 409, "sold_out"),
        ("more than allowed", {"quantity": 101, "amount_fen": 454_500}, 409, "quantity_limited"),
        ("unknown SKU", {"sku": "NONE"}, 409, "not_on_sale"),
        ("unknown channel", {"channel": "bitcoin"}, 409, "channel_off"),
        ("nothing at all", {"quantity": 0}, 422, "bad_field"),
        ("a field of ours", {"state": "paid"}, 422, "bad_field"),
    ],
)
def test_an_order_that_cannot_be_is_refused_and_holds_nothing(site, label, change, status, code):
    site.world.stock("STEAM-50", 3)
    body = {"sku": "STEAM-50", "quantity": 1, "amount_fen": 4_500, "channel": "sandbox"} | change
    answer = site.post("/api/orders", buyer=ANNA, json=body, headers={"idempotency-key": "key-0123456789"})
    assert (label, answer.status_code, answer.json()["code"]) == (label, status, code)
    assert site.world.level("STEAM-50").held == 0
    assert site.get("/api/orders", by="li").json()["items"] == []


# --- notifications ---


def test_a_repeated_notification_is_acknowledged_and_changes_nothing(site):
    site.world.stock("STEAM-50", 3)
    code = site.order(ANNA, "STEAM-50", 4_500).json()["code"]
    fact = fact_of(site, code)
    for _ in range(3):
        assert site.notify(fact, event_id="e1").json() == {"code": "SUCCESS"}
    assert (callbacks(site), site.world.level("STEAM-50").sold) == (1, 1)
    site.world.check()


@pytest.mark.parametrize(
    ("label", "sign"),
    [
        ("no headers", lambda _raw: {}),
        ("of other bytes", lambda raw: signed(raw + b" ")),
        ("too old", lambda raw: signed(raw, timestamp=1_600_000_000)),
        ("not base64", lambda raw: signed(raw) | {"sandbox-signature": "卡".encode()}),
        ("empty", lambda raw: signed(raw) | {"sandbox-signature": ""}),
        ("another nonce", lambda raw: signed(raw) | {"sandbox-nonce": "0" * 32}),
    ],
)
def test_a_forged_notification_is_refused_and_changes_nothing(site, label, sign):
    site.world.stock("STEAM-50", 3)
    code = site.order(ANNA, "STEAM-50", 4_500).json()["code"]
    answer = site.notify(fact_of(site, code), sign=sign)
    assert (label, answer.status_code // 100) == (label, 4)
    assert answer.json().get("code") != "SUCCESS"
    assert (callbacks(site), site.world.level("STEAM-50").held) == (1, 1), "kept as evidence"
    assert attempt_of(site, code)["state"] == "pending_payment"


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"event": "payment.paid"}', b"[" * 50_000, b'{"amount_fen": 1e400}'],
)
def test_a_signed_but_unreadable_notification_is_a_refusal_never_a_500(site, raw):
    answer = site.post("/pay/sandbox/notify", content=raw, headers=signed(raw))
    assert 400 <= answer.status_code < 500
    assert callbacks(site) == 1


def test_a_notification_for_no_channel_of_ours_is_404(site):
    assert site.post("/pay/wechat/notify", content=b"{}").status_code == 404


def test_money_that_the_books_refuse_is_kept_before_it_is_acknowledged(site):
    """A refusal of ours inside the writer is a fault of ours: the channel must not have to tell until it gives up."""
    site.world.stock("STEAM-50", 1)
    fact = fact_of(site, site.order(ANNA, "STEAM-50", 4_500).json()["code"])
    other = Transfer(debit=Account("psp", "sandbox"), credit=Account("escrow"), amount=1)
    with site.world.ctx.db.tx() as tx:
        key = f"payment:sandbox:{fact.provider_no}:pay"
        post(tx, [Journal(key=key, code="PAY", order_id=None, occurred_at=clock.now(), transfers=(other,))])
    site.world.expects = {"L4"}
    assert site.notify(fact).json() == {"code": "SUCCESS"}
    with site.world.ctx.db.read() as tx:
        assert tx.scalars(select(PaymentCallback.state)).all() == ["deferred"]
    assert site.world.level("STEAM-50").held == 1


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (ExceptionKind.AMOUNT_MISMATCH, {"amount_fen": 4_499}),
        (ExceptionKind.MERCHANT_MISMATCH, {"merchant_id": "somebody"}),
        (ExceptionKind.UNKNOWN_PAYMENT, {"out_trade_no": "not-one-of-ours"}),
        (ExceptionKind.AMOUNT_MISMATCH, {"currency": "USD"}),
    ],
)
def test_money_that_does_not_fit_becomes_an_exception_and_is_acknowledged(site, kind, change):
    site.world.stock("STEAM-50", 3)
    code = site.order(ANNA, "STEAM-50", 4_500).json()["code"]
    assert site.notify(fact_of(site, code), **change).json() == {"code": "SUCCESS"}
    assert attempt_of(site, code)["state"] == "pending_payment"
    [exception] = site.get("/api/exceptions", by="zhou").json()["items"]
    assert (exception["kind"], exception["open"]) == (kind.value, True)
    assert exception["received_fen"] == change.get("amount_fen", 4_500)
    site.world.check()


# --- staff's lists ---


def test_orders_are_searched_filtered_and_paged(site):
    site.world.stock("STEAM-50", 5)
    codes = [site.order(ANNA, "STEAM-50", 4_500).json()["code"] for _ in range(3)]
    site.notify(fact_of(site, codes[0]))

    def listed(query, by="li"):
        return [order["code"] for order in site.get(f"/api/orders?{query}", by=by).json()["items"]]

    assert listed("") == codes[::-1]
    assert listed("state=delivered") == [codes[0]]
    assert listed(f"q={codes[1][:4]}-{codes[1][4:]}") == [codes[1]]
    assert listed(f"q={attempt_of(site, codes[2])['out_trade_no']}") == [codes[2]]
    assert listed(f"q={attempt_of(site, codes[0])['provider_no']}") == [codes[0]]
    assert listed("q=nothing") == []
    today = clock.shop_day(clock.now())
    assert listed(f"day={today}") == codes[::-1]
    assert listed(f"day={today - timedelta(days=1)}") == []
    first = site.get("/api/orders?limit=2", by="li").json()
    rest = site.get(f"/api/orders?limit=2&after={first['next']}", by="li").json()
    assert [order["code"] for order in first["items"] + rest["items"]] == codes[::-1]
    assert rest["next"] is None


def test_a_supplier_sees_its_own_lines_and_no_payment_numbers(site):
    site.world.stock("STEAM-50", 1)
    code = site.order(ANNA, "STEAM-50", 4_500).json()["code"]
    site.notify(fact_of(site, code))
    own = site.get(f"/api/orders/{code}", by="chen").json()
    assert (own["amount_fen"], len(own["lines"])) == (4_500, 1)
    assert (own["channel"], own["out_trade_no"], own["provider_no"]) == (None, None, None)
    assert site.get(f"/api/orders/{code}", by="zhao").status_code == 404
    assert site.get("/api/orders", by="zhao").json() == {"items": [], "next": None}


# --- stock and imports ---


def put_chunk(site, import_id, n, sealed, by="chen", **headers):
    digest = base64.b64encode(hashlib.sha256(sealed).digest()).decode()
    sent = {"content-type": "application/octet-stream", "content-digest": f"sha-256=:{digest}:"} | headers
    return site.request("PUT", f"/sync/v1/imports/{import_id}/chunks/{n}", by=by, content=sealed, headers=sent)


def announce(site, keys, by="chen", sku="STEAM-50", **options):
    new, sealed, commit = site.world.announce(sku, keys, **options)
    answer = site.post("/sync/v1/imports", by=by, json=json.loads(new.model_dump_json()))
    return answer, new, sealed, json.loads(commit.model_dump_json())


def test_a_file_of_keys_is_announced_sent_in_any_order_and_stored(site):
    keys = site.world.keys("STEAM-50", 5)
    answer, body, sealed, whole = announce(site, [*keys, "bad key with 卡 and\x00"], per_chunk=2)
    assert (answer.status_code, answer.json()["missing"], answer.json()["state"]) == (201, [], "receiving")
    path = f"/sync/v1/imports/{body.id}"
    assert put_chunk(site, body.id, 2, sealed[2]).status_code == 204
    early = site.post(f"{path}/commit", by="chen", json=whole)
    assert (early.status_code, early.json()["code"], early.json()["params"]) == (409, "import_incomplete", {"count": 2})
    assert site.get(path, by="chen").json()["missing"] == [0, 1]
    for n in (0, 1, 1, 2):
        assert put_chunk(site, body.id, n, sealed[n]).status_code == 204
    assert site.post(f"{path}/commit", by="chen", json=whole).json()["state"] == "ingesting"
    site.world.work()
    done = site.post(f"{path}/commit", by="chen", json=whole).json()
    assert (done["state"], done["stored"], done["duplicates"], done["refused"]) == ("done", 5, 0, 1)
    assert site.get(f"{path}/refused", by="chen").json()["items"] == [{"line": 6, "result": "refused"}]
    stock = {row["sku"]: row for row in site.get("/api/stock", by="chen").json()["items"]}
    assert set(stock) == {"STEAM-50", "MUSIC-30"}
    assert (stock["STEAM-50"]["imported"], stock["STEAM-50"]["free"], stock["MUSIC-30"]["imported"]) == (5, 5, 0)
    [lot] = site.get("/api/stock/STEAM-50/lots", by="chen").json()["items"]
    assert (lot["imported"], lot["free"], lot["state"]) == (5, 5, "open")
    units = site.get("/api/stock/STEAM-50/units/window?limit=3", by="chen").json()
    assert [unit["seq"] for unit in units["items"]] == [1, 2, 3]
    rest = site.get("/api/stock/STEAM-50/units/window?limit=3&position=3", by="chen").json()
    assert ([unit["seq"] for unit in rest["items"]], rest["next"]) == ([4, 5], None)


def test_no_answer_about_stock_holds_a_key(site):
    keys = site.world.keys("STEAM-50", 3)
    site.world.stock("STEAM-50", keys)
    site.world.buy(ANNA, "STEAM-50")
    steam = "/api/stock/STEAM-50"
    paths = ("/api/stock", f"{steam}/lots", f"{steam}/units/window", "/api/orders", "/api/products")
    for by in ("wang", "li", "chen"):
        everything = "".join(site.get(path, by=by).text for path in paths)
        assert not any(key in everything for key in keys)


def test_imports_of_others_do_not_exist(site):
    _, body, sealed, whole = announce(site, site.world.keys("STEAM-50", 2))
    path = f"/sync/v1/imports/{body.id}"
    assert site.get(path, by="zhao").status_code == 404
    assert site.post(f"{path}/commit", by="zhao", json=whole).status_code == 404
    assert site.get(f"{path}/refused", by="zhao").status_code == 404
    assert put_chunk(site, body.id, 0, sealed[0], by="zhao").status_code == 404
    stolen, *_ = announce(site, site.world.keys("OFFICE-1Y", 2), by="zhao", sku="OFFICE-1Y", import_id=body.id)
    assert stolen.status_code == 404
    foreign, *_ = announce(site, site.world.keys("STEAM-50", 2, start=9), by="zhao")
    assert foreign.status_code == 404
    assert site.get(path, by="chen").json()["received"] == 0
