"""Buying in the shop over HTTP, JavaScript off: what a buyer sees, and what nobody else ever does."""

import re

import pytest
from sqlalchemy import func, select

from server.catalog import actions as catalog
from server.catalog import queries as catalog_queries
from server.orders import actions as orders
from server.orders.model import Order
from server.policy import SYSTEM
from server.stock.model import RevealLog
from shared import ids
from shared.contracts.catalog import MoveProduct, NewProduct, NewSku
from shared.states import ProductState
from tests.server.sandbox.peer import Merchant, SandboxProcess
from tests.server.shopping import Document, Shop
from tests.world import BEN, MERCHANT, world


@pytest.fixture(scope="module")
def merchant(tmp_path_factory):
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), "--retry-seconds", "0")
    yield (peer := Merchant(process, merchant_id=MERCHANT).register())
    peer.http.close()
    assert process.stop()[0] == 0


@pytest.fixture
def shop(merchant, tmp_path):
    with world("sqlite", tmp_path) as built:
        yield Shop(built, merchant)


def count(shop, model):
    with shop.ctx.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(model))


def told(visitor, code):
    """What the page of an order polls: both states."""
    answer = visitor.get(f"/o/{code}/status").json()
    assert (answer.pop("code"), len(answer.pop("seen"))) == (code, 16)
    return tuple(answer.values())


# --- the straight line ---


def test_a_buyer_without_javascript_gets_the_keys(shop):
    shop.world.stock("STEAM-50", [("8800120045671029", "K7M2O0QX4R9T1lI8"), ("", "ABCDE-F0HJK")])
    anna = shop.visitor()
    [card] = [link for link in anna.page("/").links if link.startswith("/p/") and "steam" in link]
    product = anna.page(card)
    assert product.form("/review") == {"sku": "STEAM-50", "quantity": "1"}

    review = anna.page("/review?sku=STEAM-50&quantity=2")
    assert "¥ 90 .00" in review.text
    assert "星河数码" in review.text
    form = review.form("/orders")
    assert (form["amount_fen"], form["channel"], "agreed" in form) == ("9000", "sandbox", False)
    answer = anna.post("/orders", form | {"agreed": "yes"})
    assert answer.status_code == 303
    code = answer.headers["location"].removeprefix("/o/")

    waiting = anna.page(f"/o/{code}")
    assert "待支付" in waiting.text
    assert ids.speak_order_code(code) in waiting.text
    assert waiting.keys == []
    assert told(anna, code) == ("pending_payment", "pending")

    anna.pay(code)
    delivered = anna.page(f"/o/{code}")
    assert delivered.keys == ["8800120045671029", "K7M2O0QX4R9T1lI8", "ABCDE-F0HJK"]
    assert "http-equiv" not in delivered.html
    assert told(anna, code) == ("delivered", "paid")
    assert count(shop, RevealLog) == 1


def test_the_text_file_holds_the_keys_raw(shop):
    shop.world.stock("STEAM-50", [("88002200", "K7M2O0QX4R9T"), ("", "ABCDE-F0HJK")])
    anna = shop.visitor()
    code = anna.order("STEAM-50", 2)
    assert anna.get(f"/o/{code}/keys.txt").status_code == 404
    anna.pay(code)
    answer = anna.get(f"/o/{code}/keys.txt")
    assert answer.headers["content-disposition"] == f'attachment; filename="{code}.txt"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content.decode("utf-8-sig").split("\r\n") == [
        f"# 订单号 {ids.speak_order_code(code)}",
        "# Steam 充值卡 · Steam-50 × 2",
        "88002200\tK7M2O0QX4R9T",
        "ABCDE-F0HJK",
        "",
    ]
    assert count(shop, RevealLog) == 1
    shown = anna.page(f"/o/{code}").text
    assert ["字母 O" in shown, "数字一" in shown] == [True, False], "only what could be mixed up here is explained"


def test_a_page_without_javascript_asks_again_more_slowly(shop):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    code = anna.order("STEAM-50")
    for n, seconds in ((0, 3), (4, 3), (5, 5), (11, 5), (12, 10), (99, 10)):
        page = anna.page(f"/o/{code}?n={n}")
        [again] = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
        assert again == f"{seconds};url=/o/{code}?n={n + 1}"


# --- who may see ---


def test_keys_are_on_their_buyers_page_and_nowhere_else(shop):
    shop.world.stock("STEAM-50", ["K7M2O0QX4R9T1lI8"])
    shop.world.stock("MUSIC-30", 1)
    anna, ben = shop.visitor(), shop.visitor()
    code = anna.order("STEAM-50")
    anna.pay(code)
    answers = [anna.get(path) for path in ("/", "/c/games", "/p/steam", "/review?sku=MUSIC-30", f"/o/{code}/status")]
    answers += [anna.post("/lookup", {"code": code}), ben.post("/lookup", {"code": code})]
    answers += [ben.get(f"/o/{code}{tail}") for tail in ("", "/status", "/keys.txt")]
    answers += [ben.post(f"/o/{code}/refresh", {}), ben.get("/"), ben.get(f"/o/{code}/k/{'A' * 22}")]
    for answer in answers:
        assert "K7M2" not in answer.text
        assert "K7M2O0QX4R9T1lI8" not in "".join(Document(answer.text).texts if "<html" in answer.text else answer.text)
    own = anna.get(f"/o/{code}")
    assert Document(own.text).keys == ["K7M2O0QX4R9T1lI8"]
    assert own.headers["cache-control"] == "no-store"
    assert "content-encoding" not in own.headers


def test_foreign_unknown_and_wrong_codes_look_the_same(shop):
    shop.world.stock("STEAM-50", 1)
    anna, ben = shop.visitor(), shop.visitor()
    code = anna.order("STEAM-50")
    anna.pay(code)
    told = set()
    for tried in (code, ids.new_order_code(), "AAAAAAAAAAAA", "nonsense"):
        answer = ben.get(f"/o/{tried}")
        assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")
        told.add(answer.text.replace(tried, "CODE"))
        assert ben.get(f"/o/{tried}/status").status_code == 404
        assert ben.post(f"/o/{tried}/refresh", {}).status_code == 404
    assert len(told) == 1


def test_the_secret_link_opens_the_order_on_another_device(shop):
    shop.world.stock("STEAM-50", 1)
    anna, ben = shop.visitor(), shop.visitor()
    code = anna.order("STEAM-50")
    anna.pay(code)
    link = re.search(rf"/o/{code}/k/[\w-]{{22}}", anna.get(f"/o/{code}").text)[0]
    wrong = link[:-1] + ("A" if link[-1] != "A" else "B")
    assert ben.get(wrong).status_code == 404
    assert ben.get(f"/o/{code}").status_code == 404
    answer = ben.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/o/{code}")
    assert ben.page(f"/o/{code}").keys == shop.world.keys("STEAM-50", 1)


def test_a_spoken_code_shows_the_state_only(shop):
    shop.world.stock("STEAM-50", 1)
    anna, ben = shop.visitor(), shop.visitor()
    code = anna.order("STEAM-50")
    spoken = ids.speak_order_code(code).lower().replace("0", "o")
    page = Document(ben.post("/lookup", {"code": f" {spoken} "}).text)
    assert "待支付" in page.text
    assert "¥" not in page.text
    assert f"/o/{code}" not in page.links
    assert f"/o/{code}" in Document(anna.post("/lookup", {"code": spoken}).text).links
    told = set()
    for wrong in (ids.new_order_code(), code[:-1] + ("2" if code[-1] != "2" else "3"), "", "x" * 500):
        answer = ben.post("/lookup", {"code": wrong})
        assert answer.status_code == 404
        page = Document(answer.text)
        assert page.named("code")["value"] == wrong[:40]
        told.add(page.text)
    assert len(told) == 1


def test_guessing_codes_is_slowed_down(shop):
    ben = shop.visitor()
    statuses = [ben.post("/lookup", {"code": ids.new_order_code()}).status_code for _ in range(21)]
    assert statuses == [404] * 20 + [429]
    assert "稍等" in ben.post("/lookup", {"code": "x"}).text


# --- the form ---


def test_a_form_sent_twice_is_one_order(shop):
    shop.world.stock("STEAM-50", 5)
    anna = shop.visitor()
    form = anna.review("STEAM-50", 2)
    answers = [*anna.post_all("/orders", [form] * 4), anna.post("/orders", form)]
    assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {
        (303, answers[0].headers["location"])
    }
    assert count(shop, Order) == 1
    level = shop.world.level("STEAM-50")
    assert (level.free, level.held) == (3, 2)


def test_the_same_key_with_other_content_is_asked_again(shop):
    shop.world.stock("STEAM-50", 5)
    anna = shop.visitor()
    form = anna.review("STEAM-50", 1)
    anna.post("/orders", form)
    other = anna.review("STEAM-50", 2) | {"idempotency_key": form["idempotency_key"]}
    answer = anna.post("/orders", other)
    assert answer.status_code == 422
    again = Document(answer.text).form("/orders")
    assert again["idempotency_key"] != form["idempotency_key"]
    assert (again["quantity"], "agreed" in again) == ("2", False)
    assert count(shop, Order) == 1


def test_a_changed_price_is_shown_before_it_is_paid(shop):
    shop.world.stock("STEAM-50", 5)
    anna = shop.visitor()
    form = anna.review("STEAM-50", 2) | {"amount_fen": "8000"}
    answer = anna.post("/orders", form)
    assert answer.status_code == 409
    page = Document(answer.text)
    assert "¥90.00" in page.text
    again = page.form("/orders")
    assert (again["amount_fen"], "agreed" in again) == ("9000", False)
    assert again["idempotency_key"] != form["idempotency_key"]
    assert count(shop, Order) == 0


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("0", "0"),
        ("-1", "-1"),
        ("1o", "1o"),
        ("2.5", "2.5"),
        ("", ""),
        ("101", "101"),
        ("９", "９"),
        ("9" * 40, "999999"),
    ],
)
def test_a_bad_quantity_is_kept_and_explained(shop, typed, kept):
    shop.world.stock("STEAM-50", 5)
    anna = shop.visitor()
    answer = anna.get(f"/review?sku=STEAM-50&quantity={typed}")
    assert answer.status_code == 422
    page = Document(answer.text)
    assert page.named("quantity")["value"] == kept
    assert page.named("quantity")["aria-invalid"] == "true"
    assert "#quantity" in page.links
    assert page.text.count("1 到 100 的整数") == 2
    assert page.faults() == []
    form = anna.review("STEAM-50") | {"quantity": typed}
    assert anna.post("/orders", form).status_code in {409, 422}
    assert count(shop, Order) == 0


def test_what_costs_nothing_cannot_be_bought_and_says_how_many_do(shop):
    world = shop.world
    dot = NewProduct(category="games", code="dot", name="积分", skus=[NewSku(code="DOT", name="积分", unit_price=20)])
    with shop.ctx.db.tx() as tx:
        product_id = catalog.create_product(tx, dot, supplier_id=world.suppliers["xinghe"], actor=SYSTEM)
        catalog.move_product(tx, product_id, MoveProduct(to=ProductState.PUBLISHED, version=1), actor=SYSTEM)
    with shop.ctx.db.read() as tx:
        world.skus["DOT"] = catalog_queries.sku_by_code(tx, "DOT")
    world.stock("DOT", 10)
    anna = shop.visitor()
    page = anna.page("/review?sku=DOT&quantity=2", status=422)
    assert page.text.count("请至少购买 3 件") == 2
    form = anna.review("DOT", 3)
    assert form["amount_fen"] == "1"
    assert anna.post("/orders", form | {"quantity": "2", "amount_fen": "0"}).status_code == 409
    assert count(shop, Order) == 0
    with pytest.raises(orders.TooLittle):
        world.place(BEN, "DOT", 2, amount=0)
    assert world.level("DOT").held == 0
    assert anna.post("/orders", form).status_code == 303


def test_too_many_for_the_stock_says_how_many_are_left(shop):
    shop.world.stock("STEAM-50", 3)
    anna = shop.visitor()
    form = anna.review("STEAM-50", 3)
    shop.world.place(BEN, "STEAM-50", 1)
    answer = anna.post("/orders", form)
    assert answer.status_code == 409
    page = Document(answer.text)
    assert "2 件" in page.text
    assert page.form("/review") == {"sku": "STEAM-50", "quantity": "3"}
    assert count(shop, Order) == 1


def test_sold_out_is_said_on_every_page(shop):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    form = anna.review("STEAM-50")
    shop.world.buy(BEN, "STEAM-50")
    shop.world.ctx.hints.forget()  # two seconds pass
    assert "暂时售罄" in anna.page("/").text
    product = anna.page("/p/steam")
    assert "这件商品暂时售罄" in product.text
    assert "quantity" not in product.form("/review")
    assert anna.get("/review?sku=STEAM-50").status_code == 422
    answer = anna.post("/orders", form)
    assert answer.status_code == 409
    assert "这件商品暂时售罄" in Document(answer.text).text


@pytest.mark.parametrize(
    ("label", "changes", "status", "field"),
    [
        ("policy not ticked", {"agreed": ""}, 422, "agreed"),
        ("no channel", {"channel": ""}, 422, "channel"),
        ("a channel we do not have", {"channel": "bitcoin"}, 422, "channel"),
    ],
)
def test_a_form_with_a_gap_is_shown_again(shop, label, changes, status, field):
    shop.world.stock("STEAM-50", 5)
    anna = shop.visitor()
    form = anna.review("STEAM-50", 2) | changes
    answer = anna.post("/orders", form)
    assert answer.status_code == status, label
    page = Document(answer.text)
    assert f"#{field}" in page.links
    assert page.faults() == []
    again = page.form("/orders")
    assert (again["quantity"], again["idempotency_key"]) == ("2", form["idempotency_key"])
    assert count(shop, Order) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"idempotency_key": ""},
        {"idempotency_key": "x" * 65},
        {"amount_fen": "45.00"},
        {"amount_fen": "²"},
        {"sku": "?"},
    ],
)
def test_a_forged_form_is_refused_without_a_trace(shop, changes):
    shop.world.stock("STEAM-50", 5)
    anna = shop.visitor()
    answer = anna.post("/orders", anna.review("STEAM-50") | changes)
    assert answer.status_code in {400, 404, 409}
    assert Document(answer.text).faults() == []
    assert count(shop, Order) == 0


def test_another_site_cannot_order_in_a_buyers_name(shop):
    shop.world.stock("STEAM-50", 5)
    anna = shop.visitor()
    assert anna.post("/orders", anna.review("STEAM-50"), sec_fetch_site="cross-site").status_code == 403
    assert count(shop, Order) == 0


def test_what_is_off_the_shelf_is_gone_for_buyers(shop):
    shop.world.stock("STEAM-50", 5)
    anna = shop.visitor()
    form = anna.review("STEAM-50")
    with shop.ctx.db.tx() as tx:
        move = MoveProduct(to=ProductState.OFF_SHELF, version=2)
        catalog.move_product(tx, shop.world.skus["STEAM-50"].product_id, move, actor=SYSTEM)
    assert [anna.get(path).status_code for path in ("/p/steam", "/c/games", "/review?sku=STEAM-50")] == [404] * 3
    assert "steam" not in anna.get("/").text.lower()
    assert anna.post("/orders", form).status_code in {404, 409}
    assert count(shop, Order) == 0


# --- when there is trouble ---


def test_a_full_queue_keeps_the_form(shop, monkeypatch):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    form = anna.review("STEAM-50")

    with monkeypatch.context() as patch:
        patch.setattr(shop.world.ctx.batch, "_capacity", 0)
        answer = anna.post("/orders", form)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert Document(answer.text).form("/orders") == form
    assert anna.post("/orders", form).status_code == 303


def test_a_machine_that_asks_for_json_gets_a_problem_document(shop):
    answer = shop.visitor().get("/p/nothing", accept="application/json")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
