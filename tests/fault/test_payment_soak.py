"""Minutes of everything at once: buyers who pay and who want money back, lost and lying callbacks, channels that fail,
suppliers and clerks who answer, processes that are killed.

    make soak MINUTES=5

Nobody keeps notes but the sandbox: at the end whatever it took is a delivered order, went back, or is in an exception
that names it; `kameng-server check` proves the books; and a table says which of the four ways found how much. An hour
and the bill pass at the end by a moved clock.
"""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter

import httpx
import pytest
from sqlalchemy import select

from server import app
from server.orders.model import Order
from server.outbound import Outbound
from server.payments import bills
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds.model import Refund
from shared import ids
from shared.labels import label
from shared.states import AttemptState, ExceptionKind, FoundBy, OrderState
from tests.bench._shop import free_port
from tests.fault.market import Market, exchange
from tests.fault.mortal import Mortal, Persistent
from tests.server.sandbox.peer import PATIENCE_SECONDS, ROOT, SandboxProcess, plain_client
from tests.server.shopping import Document
from tests.world import world

MINUTES = float(os.environ.get("KAMENG_TEST_MINUTES", "5"))
BUYERS = 8
GOODS = (("STEAM-50", 4_500), ("STEAM-50", 4_500), ("STEAM-50", 4_500), ("MUSIC-30", 1_250))
PLENTY, SCARCE = 30_000, 8
CHANNELS = ("wechat", "alipay", "epay")
"""The last one can neither close nor has bills: late money that nobody tells of is found by asking for a day."""

TELL_AGAIN = "0.5,1,2,4"
FAULTS = (
    ("drop", "1"),
    ("drop", "1"),
    ("delay_seconds", "3"),
    ("copies", "8"),
    ("reorder", "3"),
    ("amount_fen", "1"),
    ("currency", "USD"),
    ("merchant_id", "9099999999"),
    ("signature", "1"),
    ("probe", "1"),
    ("clock_seconds", "-600"),
    ("mixed_percent", "50"),
    ("answer_seconds", "2"),
    ("hang", "1"),
    ("fail", "503"),
    ("away", "1"),
    ("answer_unsigned", "1"),
    ("answer_signature", "1"),
    ("settle_seconds", "2"),
    ("charged_fen", "4000"),
    ("coupon_fen", "100"),
    ("paid_in_close", "1"),
    ("refund_outcome", "abnormal"),
    ("refund_outcome", "closed"),
    ("balance_low", "1"),
)
FINAL = {state.value for state in (OrderState.DELIVERED, OrderState.COMPLETED, OrderState.REFUNDED)}


class Shopper(Persistent):
    """A device that orders again and again, pays in many ways or not at all, and sometimes closes the page."""

    def __init__(self, shop, sandbox_url, seed):
        super().__init__(shop)
        self.chance = random.Random(seed)
        self.sandbox = plain_client(base_url=sandbox_url)
        assert self.ask("GET", "/review", params={"sku": "STEAM-50", "quantity": 1}).status_code == 200

    def shop_until(self, stopping):
        while not stopping.is_set():
            code = self.buy()
            if code and self.chance.random() < 0.3:
                self.ask_for_a_refund(code)
        self.http.close()
        self.sandbox.close()

    def buy(self):
        """Answers the order's number if the page was watched until something became of it."""
        (sku, amount), channel = self.chance.choice(GOODS), self.chance.choice(CHANNELS)
        wish = {"sku": sku, "quantity": 1, "amount_fen": amount, "channel": channel}
        placed = self.ask("POST", "/api/orders", json=wish, headers={"idempotency-key": ids.new_token()})
        if placed.status_code != 201:
            assert placed.json()["code"] in {"sold_out", "too_many_unpaid"}, placed.text
            time.sleep(0.1)
            return None
        code = placed.json()["code"]
        if channel == "epay":
            self.open(placed.json()["pay_url"])
        for action in self.chance.choice([["pay"]] * 6 + [[], ["pay", "again"], ["pay", "resend"], ["late"]]):
            if action == "late" and self.chance.random() < 0.7:
                self.cancel(code)  # changes its mind, and back again
            self.press(code, action)
        return code if self.chance.random() < 0.7 and self.watch(code) else None

    def open(self, address):
        """Such a channel knows of a payment once its page was opened."""
        if address:
            with contextlib.suppress(httpx.TransportError):
                self.sandbox.get(address)

    def ask_for_a_refund(self, code):
        """Look at the key, and ask; some want another key."""
        assert self.ask("GET", f"/o/{code}", headers={"accept": "text/html"}).status_code == 200
        reason, wish = self.chance.choice((("defective", "money"), ("defective", "replacement"), ("unwanted", "money")))
        form = {"key": 1, "reason": reason, "wish": wish, "text": "兑换失败"}
        checked = self.ask("POST", f"/o/{code}/refund/check", data=form)
        if checked.status_code != 200:  # there is nothing to ask for, or not for this reason
            assert checked.status_code in {303, 422}, checked.text
            return
        form["places"] = Document(checked.text).form(f"/o/{code}/refund")["places"]
        assert self.ask("POST", f"/o/{code}/refund", data=form).status_code in {303, 409, 422, 429}

    def cancel(self, code):
        """Once: a channel that says nothing makes it impossible for now."""
        try:
            assert self.http.post(f"/o/{code}/cancel").status_code in {303, 503}
        except httpx.TransportError:
            self.shop.revive()

    def press(self, code, action):
        """At the sandbox, if it is alive and knows of the payment."""
        number = self.shop.number_of(code)
        with contextlib.suppress(httpx.TransportError):
            self.sandbox.post("/api/payments", json={"out_trade_no": number, "action": action})

    def watch(self, code):
        """The page is open for some seconds, and "I have paid" is pressed once; answers whether it turned."""
        for look in range(12):
            status = self.ask("GET", f"/o/{code}/status")
            assert status.status_code == 200, status.text
            if status.json()["state"] != "pending_payment":
                return True
            if look == 6:
                self.ask("POST", f"/o/{code}/refresh")
            time.sleep(0.5)
        return False


class Clerk(Persistent):
    """Somebody of the supplier or of the shop, who says something to every refund that waits for it."""

    SAYS = (
        ("answer", {"answer": "agree", "evidence": "已核实"}),
        ("answer", {"answer": "replace", "evidence": "换一张"}),
        ("answer", {"answer": "refuse", "evidence": "卡密未被使用"}),
        ("decide", {"approve": True, "reason": "买家有理"}),
        ("decide", {"approve": False, "reason": "已经用过"}),
    )

    def __init__(self, shop, login):
        super().__init__(shop, headers={"authorization": f"Bearer {shop.token(login)}"})
        self.chance = random.Random(login)

    def answer_until(self, stopping):
        while not stopping.wait(1):
            found = self.ask("GET", "/api/refunds", params={"limit": 200})
            assert found.status_code == 200, found.text
            for one in found.json()["items"]:
                if says := [(verb, body) for verb, body in self.SAYS if verb in one["actions"]]:
                    verb, body = self.chance.choice(says)
                    said = self.ask("POST", f"/api/refunds/{one['id']}/{verb}", json=body | {"version": one["version"]})
                    assert said.status_code in {200, 409}, said.text
        self.http.close()


class MortalShop(Mortal):
    """A shop whose unpaid orders end after a minute."""

    def __init__(self, world, sandbox, folder):
        super().__init__(world, sandbox, folder)
        self._environment["KAMENG_HOLD_MINUTES"] = "1"
        self._environment["KAMENG_LOG_LEVEL"] = "ERROR"

    def number_of(self, code):
        """Our number of an order's payment, as its code to scan would name it."""
        with self.world.ctx.db.read() as tx:
            newest = select(PaymentAttempt.out_trade_no).where(PaymentAttempt.order_code == code)
            return tx.scalars(newest.order_by(PaymentAttempt.id.desc())).first()

    def check(self):
        """`kameng-server check`."""
        command = [sys.executable, "-m", "server", "check"]
        done = subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, timeout=300, check=False)
        return done.returncode, done.stdout.decode() + done.stderr.decode()


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_payment_soak_every_fen_ends_somewhere(kind, tmp_path, capsys):
    with contextlib.ExitStack() as ends:
        sandbox = SandboxProcess(
            tmp_path / "sandbox", "--port", str(free_port()), "--retry-seconds", TELL_AGAIN, "--refund-gap-seconds", "0"
        )
        ends.callback(sandbox.kill)
        shop = MortalShop(ends.enter_context(world(kind, tmp_path, sandbox_url=sandbox.url)), sandbox, tmp_path)
        ends.callback(shop.end)
        exchange(shop.world.ctx.keys, sandbox)
        shop.world.stock("STEAM-50", PLENTY)
        shop.world.stock("MUSIC-30", SCARCE)
        kills = disturb(shop, sandbox, kind, seconds=MINUTES * 60 / 2)
        market = as_market(shop, sandbox)
        ends.callback(market.close)
        told_by_bill = an_hour_and_a_bill(market)
        with capsys.disabled():
            print(table(market, kind, kills, told_by_bill))
        require_settled(market)
        assert shop.check()[0] == 0, shop.check()[1]


def disturb(shop, sandbox, kind, *, seconds):
    """Let buyers come while the chaos panel is on and processes are killed; answers how often each was killed."""
    chance, kills, failures = random.Random(kind), Counter(), []
    stopping = threading.Event()
    clerks = [Clerk(shop, login) for login in ("chen", "li")]
    shop.start()
    testing = plain_client(base_url=sandbox.url)

    def keep_on(work):
        try:
            work(stopping)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the test tells it
            failures.append(failure)

    buyers = [Shopper(shop, sandbox.url, f"{kind} {n}") for n in range(BUYERS)]
    all_of_them = [buyer.shop_until for buyer in buyers] + [clerk.answer_until for clerk in clerks]
    threads = [threading.Thread(target=keep_on, args=(work,)) for work in all_of_them]
    for thread in threads:
        thread.start()
    until, next_kill = time.monotonic() + seconds, time.monotonic() + 5
    while time.monotonic() < until and not failures:
        name, value = chance.choice(FAULTS)
        fault = {"name": name, "value": value, "times": chance.randint(1, 4), "channel": chance.choice(CHANNELS)}
        with contextlib.suppress(httpx.TransportError):
            testing.post("/api/faults", json=fault)
        time.sleep(chance.uniform(0.5, 2.0))
        if time.monotonic() > next_kill:
            kills[kill_one(shop, sandbox, chance.choice(("server", "sandbox", "worker")), kind)] += 1
            next_kill = time.monotonic() + chance.uniform(3, 10)
    stopping.set()
    for thread in threads:
        thread.join()
    assert testing.delete("/api/faults").status_code == 204
    testing.close()
    shop.revive()
    shop.stop()
    assert failures == []
    return kills


def kill_one(shop, sandbox, which, kind):
    """`kill -9`, and the next one starts; answers whom it was. SQLite has no worker beside the server."""
    if which == "sandbox":
        sandbox.kill()
        sandbox.start()
    elif which == "worker" and kind != "sqlite":
        shop.replace_worker()
    else:
        which = "server"
        shop.kill()
        shop.revive()
    return which


def as_market(shop, sandbox):
    """The shop's books in this process, where its clock can be moved; its server has stopped."""
    shop.end()
    ctx, outbound = shop.world.ctx, Outbound(total_seconds=PATIENCE_SECONDS)
    ctx.gateways.update(app._gateways(ctx.settings, ctx.keys, outbound, ctx.health))
    return Market(shop.world, sandbox, outbound)


def an_hour_and_a_bill(market):
    """Nothing is wrong any more: the day's bills are read, and sweep and refunds go on for hours."""
    told = 0
    at_once = market.fault("bill_at_once")
    for channel in ("wechat", "alipay"):
        told += bills.read(market.ctx, market.bill(channel)).news
    market.end(at_once)
    for minutes in (2, 8, 20, 45, 90, 150, 240):
        with market.later(minutes=minutes):
            market.sweep()
            market.work()
    return told


def require_settled(market):
    """Whatever the sandbox took is delivered, went back, or is named by an exception."""
    named = {one.out_trade_no for one in market.rows(PaymentException, PaymentException.closed_at.is_(None))}
    orders = {one.id: one.state for one in market.rows(Order)}
    assert OrderState.PENDING_PAYMENT.value not in orders.values()
    taken, lost = 0, []
    for attempt in market.rows(PaymentAttempt):
        there = [one for one in market.paid_there(attempt.out_trade_no) if one[0] == "paid"]
        if there:
            taken += 1
            is_back = sum(paid for _, paid, _ in there) == sum(back for _, _, back in there)
            if not (orders[attempt.order_id] in FINAL or is_back or attempt.out_trade_no in named):
                lost.append((attempt.channel, attempt.out_trade_no, attempt.state, orders[attempt.order_id], there))
    assert taken > 0
    assert lost == []


def table(market, kind, kills, told_by_bill):
    """What happened, for people."""
    orders = Counter(one.state for one in market.rows(Order))
    paid_at = Counter(one.channel for one in market.rows(PaymentAttempt) if one.state == AttemptState.PAID.value)
    ways = Counter(one.found_by for one in market.rows(PaymentAttempt) if one.found_by)
    refunds = Counter(one.state for one in market.rows(Refund))
    causes = Counter(one.cause for one in market.rows(Refund))
    aside = Counter(one.state for one in market.rows(UnmatchedPayment))
    found = market.rows(PaymentException)
    still_open = Counter(one.kind for one in found if one.closed_at is None)
    raised = Counter(one.kind for one in found)
    lines = [
        "",
        f"{kind}, {MINUTES / 2:g} minutes; killed: {dict(kills)}",
        f"  orders      {dict(sorted(orders.items()))}",
        f"  paid at     {dict(sorted(paid_at.items()))}",
        "  money found by",
        *(f"    {label(way, 'en'):<28}{ways[way.value]:>7}" for way in FoundBy if ways[way.value]),
        f"    (of the bill's lines, news: {told_by_bill})",
        f"  refunds     {dict(sorted(refunds.items()))}, because of {dict(sorted(causes.items()))}",
        f"  set aside   {dict(sorted(aside.items()))}",
        "  exceptions                     raised   open",
        *(f"    {label(one, 'en'):<28}{raised[one.value]:>7}{still_open[one.value]:>7}" for one in ExceptionKind),
    ]
    return "\n".join(lines)
