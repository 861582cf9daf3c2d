"""More buyers than units, 64 at a time through several processes: all are sold, none twice, and nobody was lied to.

The default run is small and without MariaDB; `make soak` has 10,000 units and 12,000 buyers on each engine.
"""

import queue
import random
import threading
from contextlib import ExitStack

import pytest

from server.orders import actions as orders
from server.payments import actions as payments
from server.payments import checkout
from shared import ids
from shared.states import OrderState
from tests.fault.history import History, require_true
from tests.world import MERCHANT, another_process, world

CLIENTS, SKU = 64, "STEAM-50"


@pytest.fixture
def crowd(tmp_path, kind):
    """A shop, and the processes it can be bought from: one on SQLite, three elsewhere."""
    with ExitStack() as ends:
        shop = ends.enter_context(world(kind, tmp_path))
        others = 0 if kind == "sqlite" else 2
        yield Crowd(shop, [shop.ctx, *(ends.enter_context(another_process(kind, shop)) for _ in range(others))])


class Crowd:
    """64 clients, who take the next buyer's turn until there is none left."""

    def __init__(self, shop, contexts):
        self.shop, self.contexts = shop, contexts
        self.history = History()
        self.faults = []

    def call(self, chance, command):
        return chance.choice(self.contexts).batch.call(command)

    def buy(self, chance):
        """One buyer: most pay at once, some tell twice, some let their order end and order again or pay too late."""
        while True:
            wish = self.history.invoke(ids.new_token())
            command = orders.PlaceOrder(ids.new_id(), wish.key, SKU, 1, 4_500, "sandbox")
            try:
                placed = self.call(chance, command)
            except orders.SoldOut:
                wish.placed = "refused"
                return
            wish.placed, wish.code = "ok", placed.order.code
            if chance.random() < 0.1:  # the answer was slow: sent once more, to whichever process
                assert self.call(chance, command).order.code == wish.code
            if chance.random() < 0.1:
                self.call(chance, checkout.EndUnpaid(placed.order.id, OrderState.EXPIRED, (placed.attempt.id,)))
                continue
            wish.paid = "unknown"
            for told in range(1 + (chance.random() < 0.2)):
                outcome = self.call(chance, payments.ApplyPayment(fact=self.shop.fact(placed), merchant_id=MERCHANT))
                assert outcome is (payments.Outcome.REPEATED if told else payments.Outcome.APPLIED)
            wish.paid = "ok"
            return

    def come(self, buyers):
        """All buyers, 64 at a time."""
        turns = queue.SimpleQueue()
        for n in range(buyers):
            turns.put(n)

        def client(n):
            chance = random.Random(n)
            while True:
                try:
                    turns.get_nowait()
                except queue.Empty:
                    return
                try:
                    self.buy(chance)
                except Exception as fault:  # noqa: BLE001 - whatever it is, the test tells it
                    self.faults.append(fault)
                    return

        threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert self.faults == []


def sell_out(crowd, *, units, buyers):
    shop = crowd.shop
    shop.stock(SKU, units)
    crowd.come(buyers)
    left = shop.level(SKU).free
    while left:  # units of orders that ended when the last of the crowd had been refused
        crowd.come(left)
        left = shop.level(SKU).free
    assert crowd.history.count(paid="ok") == units
    assert crowd.history.count(placed="refused") >= buyers - units
    assert crowd.history.count(placed="unknown") == crowd.history.count(paid="unknown") == 0
    require_true(crowd.history, shop.ctx.db)
    figures = shop.check().figures
    assert figures["units_sold"] == figures["deliveries"] == figures["orders_delivered"] == units
    assert figures["units_free"] == figures["exceptions_open"] == 0
    assert figures["debits_fen"] == 2 * 4_500 * units


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_crowd_buys_everything_once(crowd):
    sell_out(crowd, units=200, buyers=240)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "mariadb"])
def test_twelve_thousand_buyers_buy_ten_thousand_units_once(crowd):
    sell_out(crowd, units=10_000, buyers=12_000)
