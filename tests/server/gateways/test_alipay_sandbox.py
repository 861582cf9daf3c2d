"""Our Alipay gateway against the sandbox's: two implementations that share no code, over real HTTP."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.gateways.alipay import AlipayGateway
from server.gateways.alipay_signing import AlipayAccount
from server.gateways.port import (
    BadSignature,
    ChannelRefused,
    ChannelUnknown,
    CreatePayment,
    CreateRefund,
    PaymentFact,
    Reason,
    RefundFact,
)
from shared import clock
from tests.server.channel import pem_of
from tests.server.gateways.alipay import OUTBOUND
from tests.server.gateways.bill_files import unzipped
from tests.server.sandbox.alipay_shop import ACKNOWLEDGED, APP_ID, SELLER, AlipayShop
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

    def __init__(self, sandbox, receiver):
        self.buyer = AlipayShop(sandbox).register()
        self.receiver = receiver
        self.gateway = self.gateway_believing(sandbox.ready["alipay_public_key"])

    def gateway_believing(self, *public_keys):
        account = AlipayAccount(
            app_id=APP_ID,
            seller_id=SELLER,
            private_key_pem=pem_of(self.buyer.key),
            public_keys_pem=tuple(Path(path).read_bytes() for path in public_keys),
        )
        return AlipayGateway(account, outbound=OUTBOUND, base_url=self.buyer.sandbox.ready["alipay_gateway"])

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
        return asked, self.again(asked)

    def again(self, asked):
        return asyncio.run(self.gateway.create(asked))

    def page(self, opened):
        return self.buyer.scan(opened.qr_text or opened.pay_url)

    def paid(self, number, **options):
        faults = options.pop("faults", {})
        _, opened = self.create(number, **options)
        page = self.page(opened)
        self.buyer.submit(page, **faults)
        return page

    def told(self, number):
        callback = self.told_raw(number)
        return self.gateway.verify_notify(callback.headers, callback.raw)

    def query(self, number):
        return asyncio.run(self.gateway.query(number))

    def close(self, number):
        return asyncio.run(self.gateway.close(number))

    def told_raw(self, number):
        return self.receiver.next(f"/{number}")

    def refund(self, number, out_refund_no, amount_fen):
        asked = CreateRefund(
            out_refund_no=out_refund_no, out_trade_no=number, amount_fen=amount_fen, reason="未发货", total_fen=12880
        )
        return asyncio.run(self.gateway.refund(asked))

    def query_refund(self, number, out_refund_no):
        return asyncio.run(self.gateway.query_refund(out_refund_no, out_trade_no=number))

    def bill(self, kind, day):
        return asyncio.run(self.gateway.download_bill(kind, day))


@pytest.fixture(scope="module")
def shop(sandbox, receiver):
    shop = Shop(sandbox, receiver)
    yield shop
    shop.buyer.http.close()


def refused(call, *arguments):
    with pytest.raises(ChannelRefused) as refusal:
        call(*arguments)
    return refusal.value.reason_code


@pytest.mark.parametrize("product", ["qr", "h5", "page"])
def test_every_product_is_created_paid_told_and_found(shop, product):
    number = f"KM-CREATE-{product}"
    asked, opened = shop.create(number, product=product)
    assert shop.query(number) is None  # known when the buyer comes
    if product == "qr":
        assert shop.again(asked).qr_text == opened.qr_text
    page = shop.page(opened)
    waiting = shop.query(number)
    assert (waiting.state, waiting.amount_fen, waiting.provider_no, waiting.paid_at) == ("pending", 12880, None, None)

    shop.buyer.submit(page)
    fact = shop.query(number)
    assert (fact.state, fact.merchant_id, fact.app_id, fact.currency) == ("paid", SELLER, APP_ID, "CNY")
    assert (fact.amount_fen, fact.payer_total_fen) == (12880, 12880)
    told = shop.told(number)
    assert isinstance(told, PaymentFact)
    assert told.event_id is not None
    for one in (told, fact):
        facts = (one.out_trade_no, one.provider_no, one.paid_at, one.amount_fen, one.state, one.app_id)
        assert facts == (number, fact.provider_no, fact.paid_at, 12880, "paid", APP_ID)
    assert timedelta(0) <= datetime.now(UTC) - fact.paid_at < timedelta(minutes=1)


def test_closing_ends_what_is_unpaid_and_never_what_is_paid(shop):
    asked, opened = shop.create("KM-CLOSE-1")
    assert refused(shop.close, "KM-CLOSE-1") == Reason.NOT_FOUND  # nobody scanned it
    page = shop.page(opened)
    shop.close("KM-CLOSE-1")
    shop.close("KM-CLOSE-1")
    assert shop.query("KM-CLOSE-1").state == "closed"
    shop.buyer.submit(page)
    assert shop.query("KM-CLOSE-1").state == "closed"
    assert refused(shop.again, asked) == Reason.ALREADY_CLOSED
    assert refused(shop.again, replace(asked, amount_fen=12881)) == Reason.OUT_TRADE_NO_USED

    shop.paid("KM-CLOSE-2")
    assert refused(shop.close, "KM-CLOSE-2") == Reason.ALREADY_PAID
    assert shop.query("KM-CLOSE-2").state == "paid"
    asked, opened = shop.create("KM-CLOSE-3")
    shop.buyer.submit(shop.page(opened), "cancel", paid_in_close=1)
    assert refused(shop.close, "KM-CLOSE-3") == Reason.ALREADY_PAID
    assert refused(shop.again, asked) == Reason.ALREADY_PAID


def test_refunds_part_by_part_and_their_notices(shop):
    number = "KM-REFUND-1"
    shop.paid(number)
    payment = shop.told(number)
    first = shop.refund(number, "RKM-REFUND-1-1", 3000)
    assert (first.state, first.amount_fen, first.refunded_total_fen) == ("succeeded", 3000, 3000)
    told = shop.told(number)
    assert isinstance(told, RefundFact)
    assert (told.out_refund_no, told.refunded_total_fen, told.state) == ("RKM-REFUND-1-1", 3000, "succeeded")
    assert (told.merchant_id, told.app_id, told.refund_no) == (SELLER, APP_ID, payment.provider_no)
    assert shop.query(number).state == "paid"

    again = shop.refund(number, "RKM-REFUND-1-1", 3000)
    assert (again.state, again.refunded_total_fen) == ("processing", 3000)
    found = shop.query_refund(number, "RKM-REFUND-1-1")
    assert (found.state, found.amount_fen) == ("succeeded", 3000)
    assert found.refunded_at == told.refunded_at.replace(microsecond=0)
    assert refused(shop.refund, number, "RKM-REFUND-1-2", 9881) == Reason.AMOUNT_EXCEEDED
    assert shop.query_refund(number, "RKM-REFUND-1-2") is None

    assert shop.refund(number, "RKM-REFUND-1-3", 9880).refunded_total_fen == 12880
    assert shop.told(number).refunded_total_fen == 12880
    assert shop.query(number).state == "refunded"
    assert shop.receiver.waiting(f"/{number}") == 0


def test_a_refund_waits_for_the_merchants_balance(shop):
    shop.paid("KM-POOR-1", faults={"balance_low": 1})
    assert refused(shop.refund, "KM-POOR-1", "RKM-POOR-1-1", 100) == Reason.NOT_ENOUGH_BALANCE
    assert shop.query_refund("KM-POOR-1", "RKM-POOR-1-1") is None


def test_an_answer_that_proves_nothing_leaves_the_outcome_unknown(shop):
    for fault in ({"answer_signature": 1}, {"answer_unsigned": 1}, {"fail": 500}, {"away": 1}):
        number = f"KM-ANSWER-{next(iter(fault))}"
        shop.paid(number, faults=fault)
        with pytest.raises(ChannelUnknown):
            shop.query(number)
        assert shop.told(number).state == "paid"  # the other way is untouched


def test_a_notice_is_believed_by_its_key_alone(shop):
    shop.paid("KM-FORGED-1", faults={"signature": 1})
    with pytest.raises(BadSignature, match="forged"):
        shop.told("KM-FORGED-1")

    shop.paid("KM-FORGED-2", faults={"sign_with": "public_key_2"})
    callback = shop.told_raw("KM-FORGED-2")
    with pytest.raises(BadSignature, match="forged"):
        shop.gateway.verify_notify(callback.headers, callback.raw)
    first = Path(shop.buyer.sandbox.ready["alipay_public_key"])
    both = shop.gateway_believing(first, first.with_name("alipay_2_public.pem"))
    assert both.verify_notify(callback.headers, callback.raw).state == "paid"


def test_a_notice_that_lies_is_read_as_it_says(shop):
    """Who compares it with the order is not the gateway."""
    shop.paid("KM-LIES-1", faults={"amount_fen": 1, "merchant_id": "2088000000000001", "currency": "USD"})
    told = shop.told("KM-LIES-1")
    assert (told.amount_fen, told.merchant_id, told.currency) == (1, "2088000000000001", "USD")
    assert shop.query("KM-LIES-1").amount_fen == 12880


def test_bills_of_both_kinds_come_whole(shop):
    today = clock.shop_day(datetime.now(UTC))
    assert (shop.bill("trades", today), shop.bill("funds", today)) == (None, None)  # not before tomorrow
    ordered = {"name": "bill_at_once", "channel": "alipay", "merchant_id": SELLER}
    assert shop.buyer.http.post(f"{shop.buyer.sandbox.url}/api/faults", json=ordered).status_code == 201
    shop.paid("KM-BILL-1")
    shop.refund("KM-BILL-1", "RKM-BILL-1-1", 3000)

    account = f"{SELLER}0156_{today:%Y%m%d}"
    trades, funds = shop.bill("trades", today), shop.bill("funds", today)
    assert [*dict(unzipped(trades.content))] == [f"{account}_业务明细.csv", f"{account}_业务明细(汇总).csv"]
    assert [*dict(unzipped(funds.content))] == [f"{account}_账务明细.csv", f"{account}_账务明细(汇总).csv"]
    rows = dict(unzipped(trades.content))[f"{account}_业务明细.csv"].decode("gb18030").split("\r\n")
    ours = [row.split(",") for row in rows if "KM-BILL-1" in row]
    assert [(row[0].strip(), row[11], row[21].strip()) for row in ours] == [
        (shop.query("KM-BILL-1").provider_no, "128.80", ""),
        (shop.query("KM-BILL-1").provider_no, "-30.00", "RKM-BILL-1-1"),
    ]
