"""A channel in memory, for what the shop does between its calls: it keeps what it was asked and answers as told."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from urllib.parse import urlencode

import anyio.from_thread

from server import app
from server.gateways.port import (
    Bill,
    ChannelRefused,
    ChannelUnknown,
    NoticeReply,
    PaymentFact,
    PaymentOpened,
    Reason,
)
from shared import clock
from tests.server.conftest import Site
from tests.world import MERCHANT, world


@contextmanager
def site_with(folder, *tills, kind="sqlite", **settings):
    """A site on a new database whose channels are these; `settings` are the deployment's, by their names."""
    with (
        world(kind, folder, **settings) as shop,
        anyio.from_thread.start_blocking_portal() as portal,
    ):
        shop.ctx.gateways.update({till.channel: till for till in tills})
        yield Site(shop, app.build(shop.ctx.settings, ctx=shop.ctx), portal)


def bill_of(till, *numbers, day=date(2026, 3, 1), more=()):
    """The trade bill, as WeChat Pay writes them, of what was paid under these numbers, and of `more` facts."""
    facts = [*(till.payments[number] for number in numbers), *more]
    head = "交易时间,公众账号ID,商户号,微信订单号,商户订单号,交易状态,货币种类,手续费,订单金额,新的一列"
    rows = [
        f"`{day} {clock.shop_time(clock.now()):%H:%M:%S},`,`{fact.merchant_id},`{fact.provider_no}"
        f",`{fact.out_trade_no},`SUCCESS,`CNY,`0.27000,`{fact.amount_fen / 100:.2f},`?"
        for fact in facts
    ]
    totals = f"`{len(rows)},`{0.27 * len(rows):.2f},`{sum(fact.amount_fen for fact in facts) / 100:.2f}"
    text = "\r\n".join([head, *rows, "总交易单数,手续费总金额,订单总金额", totals, ""])
    return Bill(till.channel, "trades", day, "bill.csv", text.encode("utf-8-sig"))


class Desk:
    """`port.PayerDesk` without a wire: `people` are openids by the codes that WeChat would have given for them."""

    scope = "wx1"

    def __init__(self):
        self.people, self.asked, self.trouble = {}, [], None

    def address(self, *, back_url, state):
        return f"https://wechat.example/authorize?{urlencode({'redirect_uri': back_url, 'state': state})}"

    async def payer_of(self, code):
        self.asked.append(code)
        if self.trouble:
            raise self.trouble
        if code not in self.people:
            raise ChannelRefused(channel="wechat", reason_code="WX_40029")
        return self.people.pop(code)  # it counts once


class Till:
    """`port.Gateway` without a wire. `silent` gives no answer; `refuses` is what creating is refused with.

    `closes` is False for one that cannot, as Epay; `knows_at_once` for one that hears of a payment when the buyer opens
    it, as Alipay: by `scan`, or by paying it.
    """

    notice_is_proof = True
    makes_bills = True

    def __init__(self, channel, *, products=("qr", "h5", "page"), app_ids=()):
        self.channel, self.merchant_id = channel, MERCHANT
        self.products, self.app_ids = frozenset(products), frozenset(app_ids)
        self.payments, self.created, self.asked, self.bills, self._out = {}, [], [], {}, {}
        self.closes = self.knows_at_once = True
        self.billed = []
        self.payers = Desk() if "jsapi" in self.products else None
        self.silent, self.refuses, self.valid_until = False, None, None

    def pay(self, number, **other):
        """The buyer pays; answers the fact."""
        paid = {"state": "paid", "provider_no": f"{self.channel[0].upper()}{number[-20:]}", "paid_at": clock.now()}
        self.scan(number)
        self.payments[number] = replace(self.payments[number], **(paid | other))
        return self.payments[number]

    def scan(self, number):
        """The buyer opens what was created."""
        self.payments.setdefault(number, self._out[number])

    async def create(self, payment):
        self._answer()
        self.created.append(payment)
        if self.refuses:
            raise ChannelRefused(channel=self.channel, reason_code=self.refuses)
        self._out[payment.out_trade_no] = PaymentFact(
            channel=self.channel,
            out_trade_no=payment.out_trade_no,
            provider_no=None,
            merchant_id=MERCHANT,
            amount_fen=payment.amount_fen,
            currency="CNY",
            state="pending",
            paid_at=None,
            event_id=None,
        )
        if self.knows_at_once:
            self.scan(payment.out_trade_no)
        url = f"https://{self.channel}/{payment.product}/{payment.out_trade_no}"
        if payment.product == "jsapi":
            return PaymentOpened(pay_url=None, qr_text=None, invoke={"prepay_id": payment.payer.user_id})
        return PaymentOpened(
            pay_url=None if payment.product == "qr" else url, qr_text=url, valid_until=self.valid_until
        )

    async def query(self, number, *, provider_no=None):
        self._answer()
        self.asked.append(number)
        return self.payments.get(number)

    async def close(self, number):
        self._answer()
        if number in self.payments and self.payments[number].state == "paid":
            raise ChannelRefused(channel=self.channel, reason_code=Reason.ALREADY_PAID)
        if not self.closes:
            raise ChannelRefused(channel=self.channel, reason_code=Reason.PRODUCT_NOT_OFFERED)
        if number not in self.payments:
            raise ChannelRefused(channel=self.channel, reason_code=Reason.NOT_FOUND)
        self.payments[number] = replace(self.payments[number], state="closed")

    async def download_bill(self, kind, day):
        self._answer()
        if kind == "trades":
            self.billed.append(day)
        found = self.bills.get((kind, day))
        if isinstance(found, Exception):
            raise found
        return found

    def verify_notify(self, _headers, body):
        return self.payments[body.decode()]

    def accepted(self):
        return NoticeReply(200, b"ok", "text/plain")

    def refused(self, reason):
        return NoticeReply(400, reason.encode(), "text/plain")

    def _answer(self):
        if self.silent:
            raise ChannelUnknown(channel=self.channel, detail="no answer")
