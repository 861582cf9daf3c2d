"""A shop that sells through the sandbox's WeChat Pay and Alipay and closes its days: people, bills and the day after.

`Close` is the shop over HTTP; what it sells is of today, and `tomorrow` is the next day at eleven, when a day's bills
are there. The sandbox is a process of its own: its channels sign, and make their bills of what really happened.
"""

import asyncio
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import anyio.from_thread
import pytest
from sqlalchemy import select

from server import app
from server.crypto import KeyRing
from server.db import retrying
from server.gateways.port import ChannelUnknown, CreatePayment, CreateRefund
from server.payments import bills, checkout
from server.payments.model import PaymentAttempt
from server.payments.refunds import following
from server.reconcile import following as differences
from server.settings import Settings
from shared import clock, ids
from tests.server import refunding
from tests.server.conftest import Site
from tests.server.sandbox import clerk
from tests.server.sandbox.peer import plain_client
from tests.world import ANNA, WITH_FEES, world

_NUMBERS = count(100)

SHARES = pytest.mark.parametrize("close", [{"shared_merchants": "wechat alipay"}], indirect=True, ids=["shares"])
"""The shop says that another business takes money at its merchant numbers too."""

MOST_OF_A_TEST = timedelta(seconds=30)
"""In so much time whatever a test sells is sold, on a slow machine too."""

PRICES = {"STEAM-50": 4_500, "MUSIC-30": 1_250}


def exchanged(folder, sandbox):
    """A key ring whose channels and the sandbox know each other; reading and making their keys takes a while."""
    made = Settings.from_environment({"KAMENG_DATA": str(folder / "data"), "KAMENG_SANDBOX_URL": sandbox.url})
    made.prepare_data_folder()
    KeyRing.create(made.key_ring_file)
    clerk.exchange(made, sandbox.ready, log=folder / "keys.log")
    return made.key_ring_file


@dataclass
class Close:
    """The shop, and the sandbox behind its channels."""

    site: Site
    sandbox: object
    http: object
    codes: dict = field(default_factory=dict)

    @property
    def shop(self):
        return self.site.world

    @property
    def day(self):
        return clock.shop_day(datetime.now(UTC))

    @contextmanager
    def tomorrow(self, hours=11, days=1):
        """The day after, when channels have made their bills."""
        at = clock.day_bounds(self.day + timedelta(days=days))[0] + timedelta(hours=hours)
        with clock.fixed(at):
            yield

    # --- what happens in the day ---

    def placed(self, channel, sku="STEAM-50", buyer=ANNA):
        """An order that waits for its money; answers its attempt."""
        answer = self.site.order(buyer, sku, PRICES[sku], channel=channel)
        assert answer.status_code == 201, answer.text
        return self.attempt(answer.json()["code"])

    def attempt(self, code):
        with self.shop.ctx.db.read() as tx:
            return tx.scalars(select(PaymentAttempt).where(PaymentAttempt.order_code == code)).first()

    def unknown(self, channel, amount_fen, *, number=None):
        """A payment that this shop opened, and has no record of; `number` where it is another's than ours."""
        number, now = number or ids.new_id().hex, datetime.now(UTC)
        url = "https://shop.example/back"
        opened = CreatePayment(number, amount_fen, "点卡", url, url, now + timedelta(minutes=30))
        asyncio.run(self.shop.ctx.gateways[channel].create(opened))
        return SimpleNamespace(out_trade_no=number, channel=channel)

    @contextmanager
    def silent(self, channel):
        """The channel does not answer questions about payments meanwhile."""

        async def query(_number, **_its):
            raise ChannelUnknown(channel=channel, detail="timeout")

        gateway = self.shop.ctx.gateways[channel]
        answers, gateway.query = gateway.query, query
        yield
        gateway.query = answers
        self.shop.ctx.breakers.note(channel, answered=True)

    def pay(self, attempt, action="pay"):
        """The buyer pays at the sandbox; nobody has told the shop yet."""
        body = {"out_trade_no": attempt.out_trade_no, "channel": attempt.channel, "action": action}
        answer = self.http.post(f"{self.sandbox.url}/api/payments", json=body)
        assert answer.status_code == 200, answer.text

    def sold(self, channel, sku="STEAM-50", buyer=ANNA):
        """An order that was paid and delivered; answers its attempt."""
        attempt = self.placed(channel, sku, buyer)
        self.pay(attempt)
        asyncio.run(checkout.refresh(self.shop.ctx, attempt.order_code))
        now = self.attempt(attempt.order_code)
        assert now.state == "paid"
        return now

    def refund(self, attempt, amount_fen=None):
        """The shop gives money back, and the channel has done so."""
        order = self.order(attempt)
        body = {"reason": "客服补偿", "version": order.version} | ({"amount_fen": amount_fen} if amount_fen else {})
        headers = {"idempotency-key": f"refund-{attempt.out_trade_no[-20:]}"}
        answer = self.site.post(f"/api/orders/{order.code}/refunds", by="li", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        self.settle(answer.json()["id"])
        return answer.json()["id"]

    def give_back(self, attempt, number, amount_fen):
        """Somebody gives money back in the channel's own console, under a number that is not ours."""
        whole = PRICES["STEAM-50"]
        asked = CreateRefund(number, attempt.out_trade_no, amount_fen, "客服", total_fen=whole)
        assert asyncio.run(self.shop.ctx.gateways[attempt.channel].refund(asked)).state in {"processing", "succeeded"}

    def settle(self, refund_id):
        """The channel is asked until the refund has ended."""
        for seconds in range(0, 3_600, 120):
            with clock.fixed(clock.now() + timedelta(seconds=seconds)):
                self.shop.work()
                following.follow(self.shop.ctx)
                self.shop.work()
            if refunding.read(self.site, refund_id)["state"] == "succeeded":
                return
        raise AssertionError(refunding.read(self.site, refund_id))

    def order(self, attempt):
        return self.shop.order(type("Bought", (), {"order": type("Order", (), {"id": attempt.order_id})}))

    def plant(self, channel, kind, number, **more):
        """A difference in the sandbox's bills."""
        body = {"channel": channel, "merchant_id": self.merchant(channel), "kind": kind, "number": number} | more
        answer = self.http.post(f"{self.sandbox.url}/api/bill-differences", json=body)
        assert answer.status_code == 201, answer.text

    def fault(self, name, value="1", **about):
        """A fault of the sandbox from now on."""
        answer = self.http.post(f"{self.sandbox.url}/api/faults", json={"name": name, "value": value} | about)
        assert answer.status_code == 201, answer.text

    def merchant(self, channel):
        return self.shop.ctx.gateways[channel].merchant_id

    def file(self, channel, kind, day=None):
        """The bill as a person downloads it from the channel's own pages: its name and content."""
        path = f"/bills/{channel}/{self.merchant(channel)}/{day or self.day}/{kind}"
        answer = self.http.get(self.sandbox.url + path)
        assert answer.status_code == 200, answer.text
        return f"{channel}-{kind}.{'zip' if channel == 'alipay' else 'csv'}", answer.content

    # --- the day after ---

    def fetch_by_itself(self):
        """What the shop does by itself in the morning."""
        news = bills.read_due(self.shop.ctx)
        self.shop.work()
        return news

    def drop(self, name, content, *, by="zhou", status=200):
        answer = self.site.post("/api/reconcile/bills", by=by, params={"name": name}, content=content)
        assert answer.status_code == status, answer.text
        self.shop.work()
        return answer.json()

    def get(self, path, *, by="zhou", **params):
        answer = self.site.get(f"/api/reconcile/{path}", by=by, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path, *, by="zhou", status=200, **body):
        answer = self.site.post(f"/api/reconcile/{path}", by=by, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def at(self, channel, what="", day=None):
        """The address of a channel's day."""
        return f"days/{day or self.day}/{channel}{what}"

    def seen(self, channel, day=None, **asked):
        return self.get(self.at(channel, day=day), **asked)

    def differences(self, channel, day=None, **only):
        return self.get("differences", day=str(day or self.day), channel=channel, **only)["items"]

    def handle(self, difference, action, *, by="zhou", note="已核对", status=200, **more):
        """Decide about a difference as it is now."""
        version = self.one(difference)["version"]
        body = {"action": action, "note": note, "version": version} | more
        return self.post(f"differences/{difference['id']}/handle", by=by, status=status, **body)

    def check(self, difference, *, by="wang", approve=True, status=200):
        body = {"approve": approve, "note": "", "version": self.one(difference)["version"]}
        return self.post(f"differences/{difference['id']}/check", by=by, status=status, **body)

    def one(self, difference):
        return self.get(f"differences/{difference['id']}")["difference"]

    def follow(self):
        """Differences follow their money's exceptions, as they do twice a minute."""
        return retrying(self.shop.ctx.db, differences.follow)

    def sign(self, channel, *, day=None, by="zhou", status=200, outputs=None, note="已核对"):
        outputs = outputs or self.seen(channel, day)["outputs_sha256"]
        return self.post(self.at(channel, "/sign", day), by=by, status=status, outputs_sha256=outputs, note=note)


def _on_one_day():
    """Wait for the sandbox's next day where little is left of this one: what a test sells is of one day."""
    now = datetime.now(UTC)
    left = clock.day_bounds(clock.shop_day(now))[1] - now
    if left < MOST_OF_A_TEST:
        time.sleep(left.total_seconds())


@contextmanager
def close_with(folder, sandbox, ring, *, kind="sqlite", **settings):
    """A shop with goods, payable by WeChat Pay and Alipay at the sandbox."""
    _on_one_day()
    known = KeyRing.load(ring)
    with (
        world(kind, folder, sandbox_url=sandbox.url, **WITH_FEES, **settings) as shop,
        anyio.from_thread.start_blocking_portal() as portal,
        plain_client() as http,
    ):
        for channel, record in _merchants(sandbox, known).items():
            shop.ctx.keys.change_channel(channel, lambda _held, record=record: record)
        made = app._gateways(shop.ctx.settings, shop.ctx.keys, shop.ctx.outbound, shop.ctx.health)
        for channel in ("wechat", "alipay"):
            made[channel]._now = lambda: datetime.now(UTC)  # the sandbox lives in today's time
            shop.ctx.gateways[channel] = made[channel]
        shop.stock("STEAM-50", 20)
        shop.stock("MUSIC-30", 20)
        close = Close(Site(shop, app.build(shop.ctx.settings, ctx=shop.ctx), portal), sandbox, http)
        close.fault("bill_at_once")
        yield close


def _merchants(sandbox, known):
    """Merchants of this shop alone, so that its bills are: with the keys of those that the sandbox knows already."""
    n = next(_NUMBERS)
    numbers = {
        "wechat": {"merchant_id": f"90{n:08d}"},
        "alipay": {"app_id": f"9021{n:012d}", "merchant_id": f"2088{n:012d}"},
    }
    for channel, name, ours in (
        ("wechat", "merchant_id", {"mchid": numbers["wechat"]["merchant_id"]}),
        ("alipay", "app_id", {"seller_id": numbers["alipay"]["merchant_id"]}),
    ):
        folder = Path(sandbox.ready[f"{channel}_merchants"])
        facts = json.loads((folder / f"{known.channel(channel)[name]}.json").read_text())
        (folder / f"{numbers[channel][name]}.json").write_text(json.dumps(facts | ours, ensure_ascii=False))
    return {channel: known.channel(channel) | numbers[channel] for channel in numbers}


def said(differences):
    """What a list of differences says, in short: kind, our number, both amounts."""
    return [(one["kind"], one["out_trade_no"], one["ours_fen"], one["theirs_fen"]) for one in differences]
