"""A buyer who does not want to pay: the channel closes first, a payment that comes first wins."""

import pytest

from server.gateways.port import ChannelUnknown
from server.gateways.sandbox import SandboxGateway
from shared.states import AttemptState, OrderState
from tests.server.sandbox.peer import Merchant, SandboxProcess
from tests.server.shopping import Document, Shop
from tests.world import MERCHANT, world


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


def test_a_buyer_cancels_and_the_units_are_back_on_sale(shop, merchant):
    shop.world.stock("STEAM-50", 1)
    anna, ben = shop.visitor(), shop.visitor()
    code = anna.order("STEAM-50")
    page = anna.page(f"/o/{code}")
    [address] = [link for link in page.links if "/pay/" in link]
    assert page.form(f"/o/{code}/cancel") == {}
    assert ben.post(f"/o/{code}/cancel", {}).status_code == 404
    assert shop.order(code).state == OrderState.PENDING_PAYMENT
    answer = anna.post(f"/o/{code}/cancel", {})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/o/{code}")
    page = anna.page(f"/o/{code}")
    assert "订单已取消" in page.text
    assert "/cancel" not in page.html
    assert shop.attempt(code).state == AttemptState.CLOSED
    assert shop.world.level("STEAM-50").free == 1
    assert anna.post(f"/o/{code}/cancel", {}).status_code == 303  # nothing is left to cancel
    assert address not in page.links
    assert ben.order("STEAM-50") != code


def test_a_payment_that_comes_before_the_cancellation_wins(shop, merchant):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    code = anna.order("STEAM-50")
    [address] = [link for link in anna.page(f"/o/{code}").links if "/pay/" in link]
    merchant.pay(address, fault_drop="1")  # the channel has the money and has not told
    assert anna.post(f"/o/{code}/cancel", {}).status_code == 303
    assert shop.order(code).state == OrderState.DELIVERED
    assert anna.page(f"/o/{code}").keys == shop.world.keys("STEAM-50", 1)


def test_an_order_is_not_cancelled_while_the_channel_is_away(shop, monkeypatch):
    shop.world.stock("STEAM-50", 1)
    anna = shop.visitor()
    code = anna.order("STEAM-50")

    async def away(_self, _number):
        raise ChannelUnknown(channel="sandbox", detail="time-out")

    monkeypatch.setattr(SandboxGateway, "close", away)
    answer = anna.post(f"/o/{code}/cancel", {})
    assert answer.status_code == 503
    assert "订单还没有取消" in Document(answer.text).text
    assert shop.order(code).state == OrderState.PENDING_PAYMENT
    assert shop.world.level("STEAM-50").held == 1
