"""Our Alipay gateway against the sandbox's: two implementations that share no code, over real HTTP."""

import asyncio
import dataclasses
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from server.gateways.alipay import AlipayGateway
from server.gateways.port import BadSignature, ChannelRefused, ChannelUnknown, CreatePayment, CreateRefund, Reason
from tests.server.channel import public_pem_of
from tests.server.gateways.alipay import APP_ID, OUTBOUND, SELLER
from tests.server.sandbox.alipay_shop import ACKNOWLEDGED, AlipayShop, query_of
from tests.server.sandbox.peer import Receiver, SandboxProcess

EXPIRES = timedelta(minutes=15)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), "--retry-seconds", "0,0,0")
    yield process
    assert process.stop()[0] == 0


@pytest.fixture(scope="module")
def receiver():
    server = Receiver()
    yield server
    server.close()


class Shop:
    """A gateway and the buyer who pays through it."""

    def __init__(self, sandbox, receiver, alipay):
        self.buyer = AlipayShop(sandbox, app_id=APP_ID, seller_id=SELLER, key=alipay.app_key).register()
        self.receiver = receiver
        with open(sandbox.ready["alipay_public_key"], "rb") as file:
            self.public_key = file.read()
        account = alipay.account(public_keys_pem=(self.public_key,))
        self.gateway = AlipayGateway(account, outbound=OUTBOUND, base_url=sandbox.ready["alipay_gateway"])

    def create(self, number, *, product="qr", amount_fen=12880, expires=EXPIRES):
        asked = CreatePayment(
            out_trade_no=number,
            amount_fen=amount_fen,
            subject="星海网游点卡 100% + 1",
            notify_url=self.receiver.url(f"/{number}"),
            return_url="https://shop.test/o/A?x=1",
            expires_at=(datetime.now(UTC) + expires).replace(microsecond=0),
            product=product,
        )
        self.receiver.always[f"/{number}"] = ACKNOWLEDGED
        return asked, asyncio.run(self.gateway.create(asked))

    def page(self, opened):
        return self.buyer.scan(opened.qr_text or opened.pay_url)

    def paid(self, number, **options):
        faults = options.pop("faults", {})
        _, opened = self.create(number, **options)
        page = self.page(opened)
        self.buyer.submit(page, **faults)
        return page

    def told(self, number):
        callback = self.receiver.next(f"/{number}")
        return self.gateway.verify_notify(callback.headers, callback.raw)

    def query(self, number):
        return asyncio.run(self.gateway.query(number))

    def close(self, number):
        return asyncio.run(self.gateway.close(number))

    def refund(self, number, out_refund_no, amount_fen):
        asked = CreateRefund(
            out_refund_no=out_refund_no, out_trade_no=number, amount_fen=amount_fen, reason="未发货", total_fen=12880
        )
        return asyncio.run(self.gateway.refund(asked))

    def query_refund(self, number, out_refund_no):
        return asyncio.run(self.gateway.query_refund(out_refund_no, out_trade_no=number))


@pytest.fixture(scope="module")
def shop(sandbox, receiver, alipay):
    shop = Shop(sandbox, receiver, alipay)
    yield shop
    shop.buyer.http.close()
