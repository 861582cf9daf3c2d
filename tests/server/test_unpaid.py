"""How much a device and a network may hold without paying, and what is remembered of stock that was not there."""

from functools import partial

import httpx
import pytest
from sqlalchemy import event, select

from server.orders import actions as orders
from server.orders import unpaid
from server.orders.model import Order
from server.payments import attempts, checkout
from shared import ids
from shared.errors import KamengError
from shared.states import OrderState
from tests.server.conftest import opened
from tests.world import ANNA, BEN, world

LIMITS = unpaid.Limits(device_orders=3, device_units=10, address_orders=5, address_units=20)
HERE, ELSEWHERE = "a" * 32, "b" * 32


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        built.stock("STEAM-50", 60)
        yield built


def command(buyer=None, quantity=1, origin=HERE):
    return orders.PlaceOrder(
        buyer or ids.new_id(), ids.new_token(), "STEAM-50", quantity, 4_500 * quantity, "sandbox", origin
    )


def place(shop, *commands):
    """Place all of them in one batch; answers the names of the refusals, and "" where an order stands."""
    with shop.ctx.db.tx() as tx:
        placed = attempts.checkout(tx, commands, hold_minutes=15, limits=LIMITS)
    return [one.code if isinstance(one, KamengError) else "" for one in placed]


def test_a_device_holds_so_many_orders_and_no_more_within_one_batch_too(shop):
    assert place(shop, *[command(ANNA, origin=None) for _ in range(4)]) == ["", "", "", "too_many_unpaid"]
    assert place(shop, command(ANNA, origin=None), command(BEN, origin=None)) == ["too_many_unpaid", ""]
    assert shop.level("STEAM-50").held == 4
    with shop.ctx.db.read() as tx:
        mine = tx.scalars(select(Order).where(Order.buyer_id == ANNA)).all()
    shop.ctx.batch.call(checkout.EndUnpaid(mine[0].id, OrderState.CANCELLED, ()))
    assert place(shop, command(ANNA, origin=None)) == [""]


def test_a_device_holds_so_many_units_unless_it_is_one_order(shop):
    assert place(shop, command(ANNA, 15), command(ANNA, 1)) == ["", "too_many_unpaid"]
    assert place(shop, command(BEN, 4), command(BEN, 6, ELSEWHERE), command(BEN, 1)) == ["", "", "too_many_unpaid"]
    assert shop.level("STEAM-50").held == 25


def test_a_network_holds_so_many_orders_and_another_one_its_own(shop):
    assert place(shop, *[command() for _ in range(3)]) == ["", "", ""]
    assert place(shop, *[command() for _ in range(3)]) == ["", "", "too_many_unpaid_nearby"]
    assert place(shop, command(origin=ELSEWHERE), command(origin=None)) == ["", ""]


def test_what_was_paid_or_sold_out_is_not_held(shop):
    placed = [shop.place(ANNA, "STEAM-50") for _ in range(3)]
    assert place(shop, command(ANNA)) == ["too_many_unpaid"]
    shop.apply(shop.fact(placed[0]))
    wishes = [command(ANNA, origin=None), *(command(BEN, quantity, origin=None) for quantity in (100, 2, 9))]
    assert place(shop, *wishes) == ["", "sold_out", "", "too_many_unpaid"]
    refusal = unpaid.TooManyUnpaid(code="ABC")
    assert "先支付或取消" in refusal.sentence("zh")
    assert "ABC" in refusal.sentence("en")


def test_an_order_keeps_a_hash_of_the_buyers_prefix(tmp_path, monkeypatch):
    with opened(tmp_path) as site:
        site.world.stock("STEAM-50", 9)
        for address in ("203.0.113.7", "::ffff:203.0.113.200", "198.51.100.7", "2001:db8:1:2::3", "2001:db8:1:ffff::9"):
            coming = partial(httpx.ASGITransport, client=(address, 4_711))
            monkeypatch.setattr("tests.server.conftest.httpx.ASGITransport", coming)
            assert site.order(ids.new_id(), "STEAM-50", 4_500).status_code == 201
            monkeypatch.undo()
        with site.world.ctx.db.read() as tx:
            origins = tx.scalars(select(Order.origin).order_by(Order.created_at, Order.id)).all()
    prefixes = ["203.0.113.0/24", "203.0.113.0/24", "198.51.100.0/24", "2001:db8:1::/48", "2001:db8:1::/48"]
    assert origins == [unpaid.origin_of(site.world.ctx.keys, prefix) for prefix in prefixes]


def test_the_settings_of_the_shop_are_kept(tmp_path):
    with world("sqlite", tmp_path, hold_orders_per_device=1) as shop:
        shop.stock("STEAM-50", 3)
        first = shop.place(ANNA, "STEAM-50")
        with pytest.raises(unpaid.TooManyUnpaid) as refusal:
            shop.place(ANNA, "STEAM-50")
        assert refusal.value.params == {"code": first.order.code}


# --- what is remembered ---


@pytest.fixture
def site(tmp_path):
    with opened(tmp_path) as built:
        yield built


def writes(site):
    """Counts the transactions that begin to write from here on."""
    begun = []
    event.listen(site.world.ctx.db.engine, "begin", begun.append)
    return begun


def test_a_crowd_for_what_is_sold_out_writes_nothing(site):
    site.world.stock("STEAM-50", 1)
    first = site.order(ANNA, "STEAM-50", 4_500, key="anna-0001")
    assert first.status_code == 201
    assert site.order(BEN, "STEAM-50", 4_500).status_code == 409
    begun = writes(site)
    crowd = [site.order(ids.new_id(), "STEAM-50", 4_500) for _ in range(5)]
    assert [answer.status_code for answer in crowd] == [409] * 5
    assert crowd[0].json()["code"] == "sold_out"
    assert begun == []
    assert site.world.ctx.hints.refused == 5
    again = site.order(ANNA, "STEAM-50", 4_500, key="anna-0001")  # stands: answered, whatever is left
    assert (again.status_code, again.json()["code"]) == (201, first.json()["code"])


def test_what_comes_back_is_sold_at_once(site):
    site.world.stock("STEAM-50", 1)
    code = site.order(ANNA, "STEAM-50", 4_500).json()["code"]
    assert site.order(BEN, "STEAM-50", 4_500).status_code == 409
    with site.world.ctx.db.read() as tx:
        order = tx.scalars(select(Order).where(Order.code == code)).one()
    site.world.ctx.batch.call(checkout.EndUnpaid(order.id, OrderState.EXPIRED, ()))
    assert site.order(BEN, "STEAM-50", 4_500).status_code == 201
    assert site.world.ctx.hints.refused == 0


def test_fewer_are_sold_from_what_is_left_and_the_memory_ends_by_itself(site, monkeypatch):
    site.world.stock("STEAM-50", 2)
    hints = site.world.ctx.hints
    assert site.order(ANNA, "STEAM-50", 13_500, quantity=3).status_code == 409
    assert (hints.left_of("STEAM-50", 3), hints.left_of("STEAM-50", 2)) == (2, None)
    assert site.order(ANNA, "STEAM-50", 9_000, quantity=2).status_code == 201
    assert site.order(BEN, "STEAM-50", 4_500).status_code == 409
    assert hints.left_of("STEAM-50", 1) == 0
    monkeypatch.setattr("server.stock.claims.hints.clock.monotonic_seconds", lambda: 10.0**9)
    assert hints.left_of("STEAM-50", 1) is None
    hints.fell_short("STEAM-50", 0, news=hints.news - 1)  # stock has come since
    assert hints.left_of("STEAM-50", 1) is None
