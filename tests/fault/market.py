"""A shop with every channel, and the sandbox they lead to: two servers that talk over HTTP, and a buyer between them.

The shop listens in this process, so that its clock can be moved (`later`) and its jobs and sweeps are run by hand; the
sandbox is its own process. What is asserted is read from the shop's database and from the sandbox's own log.
"""

import contextlib
import json
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import uvicorn
from sqlalchemy import func, select

from server import app
from server.gateways.setup import merged
from server.ledger import queries as ledger
from server.ledger.model import LedgerJournal
from server.orders.model import Order
from server.outbound import Outbound
from server.payments import bills, callbacks, channels, checkout
from server.payments.asking import sweep
from server.payments.model import PaymentAttempt, PaymentCallback, PaymentException, UnmatchedPayment
from server.payments.refunds import following
from server.payments.refunds.model import Refund
from server.serving import take_port
from server.stock.model import Delivery
from shared import clock
from shared.finance import JournalCode
from shared.states import CallbackState, OrderState
from tests.bench._shop import free_port
from tests.server.channel import add_sandbox, pem_of
from tests.server.conftest import Site
from tests.server.sandbox.alipay_shop import AlipayShop
from tests.server.sandbox.epay_shop import EpayShop
from tests.server.sandbox.peer import PATIENCE_SECONDS, SandboxProcess, plain_client
from tests.server.sandbox.wechat_shop import API_V3_KEY, APP_ID, SERIAL, WechatShop
from tests.world import ANNA, BEN, MERCHANT, WITH_FEES, world

SKU, PRICE = "STEAM-50", 4_500
DELIVERED, UNPAID = ("delivered", "paid"), ("pending_payment", "pending")
SETTLED = {"acknowledged", "given_up", "dropped", "void"}
IMPATIENT_SECONDS = 0.5


def wait_for(look, *, until=bool):
    """What `look()` answers, as soon as `until` holds of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not until(found := look()):
        assert time.monotonic() < deadline, f"it never happened: {found}"
        time.sleep(0.005)
    return found


@dataclass(frozen=True)
class Bought:
    """An order with its first attempt, as they were when it was placed."""

    order: Order
    attempt: PaymentAttempt

    @property
    def number(self):
        return self.attempt.out_trade_no


class Market(Site):
    """The shop over HTTP (`Site`), with the sandbox behind it."""

    def __init__(self, shop, sandbox, outbound):
        super().__init__(shop, None, None)
        self.ctx, self.sandbox, self.outbound = shop.ctx, sandbox, outbound
        self.made = {}  # how many keys of each SKU
        self.base = plain_client(base_url=shop.ctx.settings.base_url)
        self.testing = plain_client(base_url=sandbox.url)

    def request(self, method, path, *, by=None, buyer=None, headers=None, **options):
        sent = dict(headers or {})
        if by is not None:
            sent["authorization"] = f"Bearer {self.token(by)}"
        if buyer is not None:
            sent["cookie"] = self.cookie(buyer)
        return self.base.request(method, path, headers=sent, **options)

    def close(self):
        """Hang up."""
        self.base.close()
        self.testing.close()

    # --- the buyer ---

    def place(self, channel="wechat", *, sku=SKU, amount=PRICE, quantity=1, buyer=ANNA):
        """Order, and open the payment's page where that is what makes the channel know of it."""
        placed = self.order(buyer, sku, amount, quantity=quantity, channel=channel)
        assert placed.status_code == 201, placed.text
        if channel == "epay":
            assert self.testing.get(placed.json()["pay_url"]).status_code == 302
        return self.of(placed.json()["code"])

    def stocked(self, count=1, *, sku=SKU):
        """Bring so many more keys into stock."""
        start = self.made.get(sku, 0)
        self.made[sku] = start + count
        self.world.stock(sku, self.world.keys(sku, count, start=start))

    def of(self, code):
        """The order of a code, with its first attempt."""
        with self.ctx.db.read() as tx:
            order = tx.scalars(select(Order).where(Order.code == code)).one()
            its = select(PaymentAttempt).where(PaymentAttempt.order_id == order.id).order_by(PaymentAttempt.id)
            return Bought(order, tx.scalars(its).first())

    def pay_by(self, bought, channel):
        """The buyer chooses another channel on the order's page."""
        return checkout.pay_again(self.ctx, bought.order.code, channel)

    def press(self, number, action="pay"):
        """Do what a button of the sandbox's payment page does."""
        pressed = self.testing.post("/api/payments", json={"out_trade_no": number, "action": action})
        assert pressed.status_code == 200, pressed.text
        return pressed.json()["payments"]

    def sold_out(self, sku=SKU, price=PRICE):
        """Somebody else buys whatever is left."""
        if left := self.world.level(sku).free:
            last = self.place("sandbox", sku=sku, amount=price * left, quantity=left, buyer=BEN)
            self.press(last.number)
            self.told(last.number)
        assert self.world.level(sku).free == 0

    def opened(self, channel="wechat", **order):
        """A key, in stock and ordered."""
        self.stocked(order.get("quantity", 1))
        return self.place(channel, **order)

    def bought(self, channel="wechat", **order):
        """The same, paid and told of."""
        bought = self.opened(channel, **order)
        self.press(bought.number)
        self.told(bought.number)
        assert self.standing(bought) == DELIVERED
        return bought

    # --- the sandbox ---

    def fault(self, name, value="1", **scope):
        """Order a fault; answers its id."""
        ordered = self.testing.post("/api/faults", json={"name": name, "value": str(value)} | scope)
        assert ordered.status_code == 201, ordered.text
        return ordered.json()["id"]

    def end(self, fault):
        """The fault is over."""
        assert self.testing.delete(f"/api/faults/{fault}").status_code == 204

    def notifications(self, number):
        """The sandbox's log of what it told about a number."""
        return self.testing.get("/api/notifications", params={"out_trade_no": number}).json()["notifications"]

    def told(self, number, count=1, *, about="payment"):
        """What was told, once there are `count` of them and each is acknowledged or given up: (state, tries, last)."""

        def log():
            return [one for one in self.notifications(number) if one["about"] == about]

        found = wait_for(log, until=lambda all_: len(all_) >= count and all(one["state"] in SETTLED for one in all_))
        return [(one["state"], one["attempts"]) for one in found]

    def paid_there(self, number):
        """What the sandbox has of a number: state, how much was charged, and how much went back."""
        found = self.testing.get("/api/payments", params={"out_trade_no": number}).json()["payments"]
        return [(one["state"], one["paid_fen"], one["refunded_fen"]) for one in reversed(found)]

    # --- what the shop knows ---

    def rows(self, table, *which):
        """Rows of a table by their ids."""
        with self.ctx.db.read() as tx:
            return list(tx.scalars(select(table).where(*which).order_by(table.id)))

    def standing(self, bought):
        """The states of an order and of its first attempt."""
        return self.world.order(bought).state, self.world.attempt(bought).state

    def found_by(self, bought):
        """Which of the ways told that money came."""
        return self.world.attempt(bought).found_by

    def kept(self, number):
        """The notifications that were kept about a number: (state, reason)."""
        return [(one.state, one.reason) for one in self.rows(PaymentCallback, PaymentCallback.out_trade_no == number)]

    def rejected(self):
        """Why notifications were rejected, in the order in which they came."""
        return [one.reason for one in self.rows(PaymentCallback, PaymentCallback.state == CallbackState.REJECTED.value)]

    def exceptions(self, bought):
        """The exceptions of an order: (kind, state, received)."""
        found = self.rows(PaymentException, PaymentException.order_id == bought.order.id)
        return [(one.kind, one.state, one.received_fen) for one in found]

    def exceptions_named(self, number):
        """The exceptions about a number, of an order of ours or not."""
        found = self.rows(PaymentException, PaymentException.out_trade_no == number)
        return [(one.kind, one.state, one.received_fen) for one in found]

    def aside(self, number):
        """The money of a number that was set aside: (state, amount)."""
        found = self.rows(UnmatchedPayment, UnmatchedPayment.out_trade_no == number)
        return [(one.state, one.amount_fen) for one in found]

    def refunds(self, number):
        """The refunds of a number."""
        return self.rows(Refund, Refund.out_trade_no == number)

    def journals(self, bought):
        """The codes of what was booked for an order, in order; but for what its channel takes."""
        found = self.rows(LedgerJournal, LedgerJournal.order_id == bought.order.id)
        return [one.code for one in found if one.code != JournalCode.PSPFEE]

    def deliveries(self):
        """How many units were delivered, of all orders."""
        with self.ctx.db.read() as tx:
            return tx.scalar(select(func.count()).select_from(Delivery))

    def balances(self):
        """The net of every account."""
        with self.ctx.db.read() as tx:
            return {(one.account.kind, one.account.owner): one.net for one in ledger.balances(tx)}

    def state_of_all(self):
        """Everything that money or a delivery would change, to be compared with itself."""
        with self.ctx.db.read() as tx:
            orders = dict(tx.execute(select(Order.code, Order.version)).all())
            exceptions = tx.scalar(select(func.count()).select_from(PaymentException))
        return orders, self.balances(), self.deliveries(), exceptions

    def as_kept(self, number, n=0):
        """A notification as it came: its headers, and its body's bytes."""
        with self.ctx.db.read() as tx:
            told = callbacks.of_number(tx, self.ctx.keys, number)[n]
        return json.loads(told.headers), told.body

    def tell(self, channel, headers, body):
        """Post a notification; answers status and body."""
        answer = self.post(f"/pay/{channel}/notify", content=body, headers=headers)
        return answer.status_code, answer.text

    # --- time and work ---

    @contextlib.contextmanager
    def later(self, **ago):
        """So much time has passed for shop and sandbox. The clock stands still for the shop."""
        passed = timedelta(**ago)
        moved = self.fault("clock_seconds", passed.total_seconds())
        try:
            with clock.fixed(clock.now() + passed):
                yield
        finally:
            self.end(moved)

    @contextlib.contextmanager
    def impatient(self):
        """Our calls wait less for an answer: for channels that never answer."""
        self.outbound._total_seconds = IMPATIENT_SECONDS
        try:
            yield
        finally:
            self.outbound._total_seconds = PATIENCE_SECONDS

    def bill(self, channel, days=0):
        """The bill of today as the channel gives it, or of a later day."""
        day = clock.shop_day(clock.now()) + timedelta(days=days)
        return bills._fetched(self.ctx, channel, day)

    def sweep(self):
        """One turn of the sweep."""
        return sweep(self.ctx)

    def work(self):
        """Run the jobs, and take refunds that are due a step on."""
        self.world.work()
        following.follow(self.ctx)
        self.world.work()

    def all_well(self):
        """End the test: no fault holds, every channel answers, nothing waits, and the books are right."""
        assert self.testing.delete("/api/faults").status_code == 204
        self.ctx.breakers._circuits.clear()
        self.ctx.buckets._left.clear()
        for channel in channels.away(self.ctx):
            channels._told(self.ctx, channel, None)
        if self.rows(Order, Order.state == OrderState.PENDING_PAYMENT.value):
            with self.later(minutes=16):  # what nobody paid ends, and its keys are free again
                self.sweep()
        self.work()
        self.world.check()


@contextlib.contextmanager
def market(folder):
    """A market that has opened; both servers end in good order."""
    sandbox = SandboxProcess(folder / "sandbox", "--retry-seconds", "0,0,0", "--refund-gap-seconds", "0")
    port = free_port()
    settings = {"port": port, "base_url": f"http://127.0.0.1:{port}", "sandbox_url": sandbox.url}
    settings |= WITH_FEES
    with world("sqlite", folder, **settings) as shop:
        outbound = Outbound(total_seconds=PATIENCE_SECONDS)
        exchange(shop.ctx.keys, sandbox)
        shop.ctx.gateways.update(app._gateways(shop.ctx.settings, shop.ctx.keys, outbound, shop.ctx.health))
        built = Market(shop, sandbox, outbound)
        with _serving(shop.ctx):
            yield built
            built.close()
    status, complaints = sandbox.stop()
    assert (status, [line for line in complaints.splitlines() if "given up after 4 deliveries" not in line]) == (0, [])


@contextlib.contextmanager
def _serving(ctx):
    """The app on its port, without the lifespan: the world has started the lanes, and jobs are run by hand."""
    config = uvicorn.Config(
        app.build(ctx.settings, ctx=ctx), lifespan="off", ws="none", access_log=False, log_config=None
    )
    server, listener = uvicorn.Server(config), take_port(ctx.settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def exchange(keys, sandbox):
    """Set every channel up at the sandbox in a key ring, as `keys add` does it, and the shop at the sandbox."""
    wechat, alipay, epay = WechatShop(sandbox), AlipayShop(sandbox), EpayShop(sandbox)
    known = {
        "wechat": {
            "merchant_id": wechat.mchid,
            "app_id": APP_ID,
            "merchant_serial": SERIAL,
            "private": pem_of(wechat.key).decode(),
            "api_v3_key": API_V3_KEY,
            "public_key_id": sandbox.ready["wechat_public_key_id"],
            "public": Path(sandbox.ready["wechat_public_key"]).read_text(),
            "certificates": Path(sandbox.ready["wechat_certificate"]).read_text(),
        },
        "alipay": {
            "merchant_id": alipay.seller_id,
            "app_id": alipay.app_id,
            "private": pem_of(alipay.key).decode(),
            "public": Path(sandbox.ready["alipay_public_key"]).read_text(),
        },
        "epay": {"merchant_id": epay.pid, "url": "https://pay.example", "key": epay.key},
    }
    for channel, given in known.items():
        keys.change_channel(channel, partial(merged, channel, given=given))
    for shop in (wechat, alipay, epay):
        shop.register()
        shop.http.close()
    ours = add_sandbox(keys, public_pem=Path(sandbox.ready["public_key"]).read_text(), merchant_id=MERCHANT)
    (sandbox.data / "merchants" / f"{MERCHANT}.pem").write_text(ours)
