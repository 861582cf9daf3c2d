"""What an order's page says when something goes wrong: the truth, in words, with the way out."""

import asyncio
from datetime import timedelta

import pytest

from server.payments import checkout
from server.payments.actions import Outcome
from shared import clock
from shared.states import AttemptState, OrderState
from tests.server.sandbox.peer import Merchant, SandboxProcess
from tests.server.shopping import Shop
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


def fact(shop, code, **other):
    """What the channel says once the order of a code is paid."""
    holder = type("Checkout", (), {"attempt": shop.attempt(code)})
    return shop.world.fact(holder, **other)


def test_a_silent_channel_keeps_the_order_and_says_so(shop, merchant):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    form = anna.review("STEAM-50")
    shop.ctx.gateways["sandbox"]._origin = "http://127.0.0.1:9"
    code = anna.post("/orders", form).headers["location"].removeprefix("/o/")
    page = anna.page(f"/o/{code}")
    assert "正在联系支付渠道" in page.text
    assert shop.attempt(code).state == AttemptState.UNKNOWN
    shop.ctx.gateways["sandbox"]._origin = merchant.sandbox.url
    anna.post(f"/o/{code}/refresh", {})
    [address] = [link for link in anna.page(f"/o/{code}").links if "/pay/" in link]
    merchant.pay(address)
    # The button asks the channel once in three seconds; the shop's own sweep would come next.
    shop.world.apply(asyncio.run(shop.ctx.gateways["sandbox"].query(shop.attempt(code).out_trade_no)))
    assert anna.page(f"/o/{code}").keys == shop.world.keys("STEAM-50", 1)


def placed_long_ago(shop, anna):
    """An order of this visitor whose time is over and whom nobody has looked after yet."""
    with clock.fixed(clock.now() - timedelta(minutes=16)):
        return shop.world.place(anna.device, "STEAM-50").order.code


def test_money_the_channel_kept_quiet_about_is_found_by_the_buyer_after_expiry(shop, merchant):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    code = anna.post("/orders", anna.review("STEAM-50")).headers["location"].removeprefix("/o/")
    [address] = [link for link in anna.page(f"/o/{code}").links if "/pay/" in link]
    merchant.pay(address, fault_drop="1")
    order = shop.order(code)
    shop.ctx.batch.call(checkout.EndUnpaid(order.id, OrderState.EXPIRED, ()))
    assert "订单已过期" in anna.page(f"/o/{code}").text
    anna.post(f"/o/{code}/refresh", {})
    assert anna.page(f"/o/{code}").keys == shop.world.keys("STEAM-50", 1)


def test_an_expired_order_says_that_nothing_was_paid(shop):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    code = placed_long_ago(shop, anna)
    page = anna.page(f"/o/{code}")
    assert "正在向支付渠道确认" in page.text
    assert "http-equiv" in page.html
    checkout.sweep(shop.ctx)
    page = anna.page(f"/o/{code}")
    assert "订单已过期" in page.text
    assert "/p/steam" in page.links
    assert "http-equiv" not in page.html
    # Where it stood in line is still there; and for ten minutes it turns by itself, should money come after all.
    assert [one.get("aria-current") for one in page.all("li")[:4]] == [None, None, "step", None]
    assert [one["data-minutes"] for one in page.all("div") if one.get("data-poll") == f"/o/{code}/status"] == ["10"]
    assert shop.world.level("STEAM-50").free == 1


def test_money_that_does_not_fit_is_never_called_unpaid(shop):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    code = anna.order("STEAM-50")
    assert shop.world.apply(fact(shop, code, amount_fen=1)) is Outcome.EXCEPTION
    for state in (OrderState.PENDING_PAYMENT, OrderState.EXPIRED):
        assert shop.order(code).state == state
        page = anna.page(f"/o/{code}")
        assert "人工核对" in page.text
        assert "不会丢失" in page.text
        assert "没有收到付款" not in page.text
        assert not any("/pay/" in link for link in page.links)
        with clock.fixed(shop.order(code).expires_at + timedelta(minutes=11)):
            checkout.sweep(shop.ctx)


def test_paid_late_without_stock_is_told_as_it_is(shop):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    code = placed_long_ago(shop, anna)
    checkout.sweep(shop.ctx)
    shop.world.buy(BEN, "STEAM-50")
    shop.world.apply(fact(shop, code))
    assert shop.order(code).state == OrderState.DELIVERY_FAILED
    page = anna.page(f"/o/{code}")
    assert "已收到付款，还没能发货" in page.text
    assert "原路退款" in page.text
    assert page.keys == []
    assert anna.get(f"/o/{code}/keys.txt").status_code == 404


def test_paying_twice_shows_the_keys_and_the_second_payment(shop):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    code = anna.order("STEAM-50")
    paid = fact(shop, code)
    shop.world.apply(paid)
    assert "您多付了一笔" not in anna.page(f"/o/{code}").text
    shop.world.apply(fact(shop, code, provider_no="S-second"))
    page = anna.page(f"/o/{code}")
    assert page.keys == shop.world.keys("STEAM-50", 1)
    assert "您多付了一笔" in page.text
