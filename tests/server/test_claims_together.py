"""Several processes that place, pay, expire and pay late at once: nobody hears of a lock, and the books hold."""

import random
import threading
from contextlib import ExitStack

import pytest

from server.gateways.port import PaymentOpened
from server.orders import actions as orders
from server.payments import actions as payments
from server.payments import attempts, checkout
from shared import ids
from shared.errors import Busy
from shared.states import OrderState
from tests.world import MERCHANT, another_process, world

PROCESSES, BUYERS, ORDERS = 3, 12, 7
SKUS = ("STEAM-50", "MUSIC-30", "OFFICE-1Y")


@pytest.fixture
def processes(tmp_path, request):
    with ExitStack() as ends:
        shop = ends.enter_context(world(request.param, tmp_path))
        others = (ends.enter_context(another_process(request.param, shop)) for _ in range(PROCESSES - 1))
        yield shop, [shop.ctx, *others]


class Buyer(threading.Thread):
    """Places one order after the other, each through some process, and ends it somehow through others."""

    def __init__(self, n, shop, contexts):
        super().__init__()
        self.chance, self.shop, self.contexts = random.Random(n), shop, contexts
        self.faults = []

    def run(self):
        for _ in range(ORDERS):
            try:
                self.order()
            except (orders.SoldOut, Busy):
                continue
            except Exception as fault:  # noqa: BLE001 - whatever it is, the test tells it
                self.faults.append(fault)

    def order(self):
        sku, quantity = self.chance.choice(SKUS), self.chance.randint(1, 4)
        amount = (self.shop.skus[sku].unit_price * quantity + 50) // 100
        placed = self.call(orders.PlaceOrder(ids.new_id(), ids.new_token(), sku, quantity, amount, "sandbox"))
        paid = payments.ApplyPayment(fact=self.shop.fact(placed), merchant_id=MERCHANT)
        ended = checkout.EndUnpaid(placed.order.id, OrderState.EXPIRED, (placed.attempt.id,))
        opened = attempts.OpenAttempt(placed.attempt, "qr", PaymentOpened(pay_url="http://pay", qr_text="qr"))
        ways = ([opened, paid], [opened, paid, paid], [opened, ended], [ended, paid], [opened, ended, opened], [paid])
        for command in self.chance.choice(ways):
            self.call(command)

    def call(self, command):
        return self.chance.choice(self.contexts).batch.call(command)


@pytest.mark.parametrize("processes", ["postgres", "mariadb"], indirect=True)
def test_no_deadlock_reaches_anybody(processes):
    shop, contexts = processes
    for sku in SKUS:
        for lot in range(4):
            shop.stock(sku, shop.keys(sku, 40, start=40 * lot))
    buyers = [Buyer(n, shop, contexts) for n in range(BUYERS)]
    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join()
    assert [fault for buyer in buyers for fault in buyer.faults] == []
    figures = shop.check().figures
    assert figures["units_imported"] == 3 * 160
    assert figures["units_sold"] == figures["deliveries"] > 60
