"""Our WeChat Pay gateway against the sandbox's: two implementations that share no code, over real HTTP."""

import asyncio
import gzip
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from server.gateways.port import (
    BadSignature,
    ChannelRefused,
    ChannelUnknown,
    CreatePayment,
    CreateRefund,
    Payer,
    PaymentFact,
    Reason,
    RefundFact,
    UnopenableNotice,
)
from server.gateways.wechat import WechatGateway
from server.gateways.wechat_keys import WechatAccount
from server.gateways.wechat_payer import PayerDesk
from shared import clock
from tests.server.gateways.wechat_pay import OUTBOUND
from tests.server.sandbox.peer import Receiver, SandboxProcess
from tests.server.sandbox.wechat_shop import API_V3_KEY, APP_ID, MCHID, SERIAL, WechatShop

_numbers = itertools.count(1)
SECRET = "5e" * 16
OTHER_KEY = "vutsrqponmlkjihgfedcba9876543210"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    options = ("--retry-seconds", "0,0,0", "--refund-gap-seconds", "0")
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), *options)
    yield process
    assert process.stop()[0] == 0


@pytest.fixture(scope="module")
def receiver():
    server = Receiver()
    yield server
    server.close()


class Shop:
    """A gateway, the buyer who pays through it, and the tester who lets it go wrong."""

    def __init__(self, sandbox, receiver):
        self.buyer = WechatShop(sandbox).register(app_secrets={APP_ID: SECRET})
        self.receiver = receiver
        self.ready = sandbox.ready
        base = self.ready["wechat_url"]
        self.payers = PayerDesk(
            app_id=APP_ID,
            app_secret=SECRET,
            outbound=OUTBOUND,
            authorize_url=f"{base}/connect/oauth2/authorize",
            token_url=f"{base}/sns/oauth2/access_token",
        )
        self.gateway = self.gateway_with()

    def gateway_with(self, **changes):
        account = {
            "merchant_id": MCHID,
            "app_id": APP_ID,
            "merchant_serial": SERIAL,
            "private_key_pem": self.buyer.private_pem.encode(),
            "api_v3_key": API_V3_KEY.encode(),
            "public_key_id": self.ready["wechat_public_key_id"],
            "public_key_pem": Path(self.ready["wechat_public_key"]).read_bytes(),
        }
        wires = {"outbound": OUTBOUND, "base_url": self.ready["wechat_url"], "spare_url": None, "payers": self.payers}
        return WechatGateway(WechatAccount(**account | changes), **wires)

    def payment(self, number, **changes):
        facts = {
            "out_trade_no": number,
            "amount_fen": 12_880,
            "subject": "星海网游点卡 × 1",
            "notify_url": self.receiver.url(f"/{number}"),
            "return_url": "http://127.0.0.1:9/o/ABC?from=pay&x=1",
            "expires_at": datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=15),
        }
        return CreatePayment(**facts | changes)

    def created(self, number, **changes):
        return asyncio.run(self.gateway.create(self.payment(number, **changes)))

    def paid(self, number, **faults):
        page = self.buyer.page_of(self.created(number).qr_text)
        self.buyer.submit(page, **faults)
        return page

    def query(self, number):
        return asyncio.run(self.gateway.query(number))

    def told(self, number):
        """The next notification about a number, as it came."""
        return self.receiver.next(f"/{number}")

    def verified(self, number):
        notice = self.told(number)
        return self.gateway.verify_notify(notice.headers, notice.raw)

    def refund(self, number, amount_fen, suffix="01"):
        return asyncio.run(
            self.gateway.refund(
                CreateRefund(
                    out_refund_no=f"R{number}-{suffix}",
                    out_trade_no=number,
                    amount_fen=amount_fen,
                    reason="未发货",
                    total_fen=12_880,
                    notify_url=self.receiver.url(f"/{number}"),
                )
            )
        )

    def query_refund(self, number, suffix="01"):
        return asyncio.run(self.gateway.query_refund(f"R{number}-{suffix}", out_trade_no=number))


@pytest.fixture(scope="module")
def shop(sandbox, receiver):
    shop = Shop(sandbox, receiver)
    yield shop
    shop.buyer.http.close()


@pytest.fixture
def number():
    return f"KM-{next(_numbers):08d}"


@pytest.fixture
def faults(shop):
    """Orders faults of this merchant; they end with the test."""
    yield shop.buyer.fault
    shop.buyer.end_faults()


def test_a_payment_is_opened_paid_told_and_found(shop, number):
    opened = shop.created(number)
    assert opened.qr_text.startswith("weixin://wxpay/bizpayurl?pr=")
    assert shop.query(number).state == "pending"

    shop.buyer.submit(shop.buyer.page_of(opened.qr_text))
    fact = shop.verified(number)
    assert fact == PaymentFact(
        channel="wechat",
        out_trade_no=number,
        provider_no=fact.provider_no,
        merchant_id=MCHID,
        amount_fen=12_880,
        currency="CNY",
        state="paid",
        paid_at=fact.paid_at,
        event_id=fact.event_id,
        app_id=APP_ID,
        payer_total_fen=12_880,
    )
    asked = shop.query(number)
    assert (asked.state, asked.provider_no, asked.paid_at, asked.event_id) == (
        "paid",
        fact.provider_no,
        fact.paid_at,
        None,
    )


def test_the_same_order_opens_the_same_payment_and_another_content_is_refused(shop, number):
    wanted = shop.payment(number)
    first, again = (asyncio.run(shop.gateway.create(wanted)).qr_text for _ in range(2))
    assert first == again
    with pytest.raises(ChannelRefused) as refused:
        shop.created(number, amount_fen=12_881)
    shared = shop.payment(f"{number}-S", is_shared=True)
    assert asyncio.run(shop.gateway.create(shared)) == asyncio.run(shop.gateway.create(shared))
    with pytest.raises(ChannelRefused):
        shop.created(f"{number}-S")
    assert refused.value.reason_code == "INVALID_REQUEST"
    assert shop.query(number).amount_fen == 12_880


def test_a_phone_pays_on_the_page_it_is_sent_to_and_comes_back(shop, number):
    opened = shop.created(number, product="h5", payer=Payer(ip="127.0.0.1"))
    cashier = shop.buyer.http.get(opened.pay_url, headers={"Referer": "http://127.0.0.1:9/o/ABC"})
    assert cashier.status_code == 303, cashier.text
    page = shop.buyer.sandbox.url + cashier.headers["location"]
    shop.buyer.submit(page)
    assert 'href="http://127.0.0.1:9/o/ABC?from=pay&amp;x=1"' in shop.buyer.http.get(f"{page}/result").text
    assert shop.verified(number).state == "paid"


def test_a_page_inside_wechat_opens_the_cashier_with_what_we_signed(shop, number):
    opened = shop.created(number, product="jsapi", payer=Payer(user_id="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"))
    cashier = f"{shop.ready['wechat_url']}/jsapi"
    forged = shop.buyer.http.get(cashier, params=dict(opened.invoke) | {"nonceStr": "f" * 32})
    assert (forged.status_code, "支付验证签名失败" in forged.text) == (403, True)
    led = shop.buyer.http.get(cashier, params=opened.invoke)
    assert led.status_code == 303, led.text
    shop.buyer.submit(shop.buyer.sandbox.url + led.headers["location"])
    assert shop.verified(number).state == "paid"


def test_who_is_recognised_inside_wechat_pays_there(shop, number):
    back, inside = "http://127.0.0.1:9/o/ABC/wechat/back", {"User-Agent": "MicroMessenger/8.0.50"}
    led = shop.buyer.http.get(shop.payers.address(back_url=back, state="ab12"), headers=inside)
    given = dict(parse_qsl(urlsplit(led.headers["location"]).query))
    assert (led.headers["location"].split("?")[0], given["state"]) == (back, "ab12")
    openid = asyncio.run(shop.payers.payer_of(given["code"]))
    with pytest.raises(ChannelRefused, match="WX_40163"):
        asyncio.run(shop.payers.payer_of(given["code"]))
    opened = shop.created(number, product="jsapi", payer=Payer(user_id=openid))
    cashier = shop.buyer.http.get(f"{shop.ready['wechat_url']}/jsapi", params=opened.invoke, headers=inside)
    assert cashier.status_code == 303, cashier.text
    shop.buyer.submit(shop.buyer.sandbox.url + cashier.headers["location"])
    assert shop.verified(number).state == "paid"


def test_closing_is_decided_by_the_query(shop, number, faults):
    shop.created(number)
    asyncio.run(shop.gateway.close(number))
    assert shop.query(number).state == "closed"
    with pytest.raises(ChannelRefused) as gone:
        shop.created(number)
    assert gone.value.reason_code == Reason.ALREADY_CLOSED

    for name, fault in (("a", None), ("b", "paid_in_close")):
        if fault:
            faults(fault, out_trade_no=f"{number}{name}")
            shop.created(f"{number}{name}")
        else:
            shop.paid(f"{number}{name}")
        with pytest.raises(ChannelRefused) as paid:
            asyncio.run(shop.gateway.close(f"{number}{name}"))
        assert paid.value.reason_code == Reason.ALREADY_PAID
        assert shop.verified(f"{number}{name}").state == "paid"
    with pytest.raises(ChannelRefused) as unknown:
        asyncio.run(shop.gateway.close(f"{number}x"))
    assert unknown.value.reason_code == Reason.NOT_FOUND


def test_a_refund_is_taken_on_followed_and_told(shop, number):
    shop.paid(number)
    shop.told(number)
    taken = shop.refund(number, 880)
    assert (taken.state, taken.amount_fen) == ("processing", 880)
    told = shop.verified(number)
    assert told == RefundFact(
        out_refund_no=f"R{number}-01",
        refund_no=taken.refund_no,
        out_trade_no=number,
        amount_fen=880,
        state="succeeded",
        merchant_id=MCHID,
        refunded_at=told.refunded_at,
        event_id=told.event_id,
        provider_no=shop.query(number).provider_no,
    )
    found = shop.query_refund(number)
    assert (found.state, found.refunded_at) == ("succeeded", told.refunded_at)
    assert shop.refund(number, 880).refund_no == taken.refund_no
    assert shop.query(number).state == "refunded"
    with pytest.raises(ChannelRefused):
        shop.refund(number, 12_001, "02")
    assert shop.query_refund(number, "02") is None


@pytest.mark.parametrize(
    ("fault", "value", "state"), [("refund_outcome", "abnormal", "abnormal"), ("refund_outcome", "closed", "closed")]
)
def test_a_refund_that_comes_to_nothing_is_told_as_such(shop, number, faults, fault, value, state):
    faults(fault, value, out_trade_no=number)
    shop.paid(number)
    shop.told(number)
    assert shop.refund(number, 12_880).state == "processing"
    assert shop.verified(number).state == state
    assert shop.query_refund(number).state == state


def test_a_balance_too_low_is_told_apart(shop, number, faults):
    faults("balance_low", out_trade_no=number)
    shop.paid(number)
    with pytest.raises(ChannelRefused) as refused:
        shop.refund(number, 80)
    assert refused.value.reason_code == Reason.NOT_ENOUGH_BALANCE
    assert shop.query_refund(number) is None


@pytest.mark.parametrize(
    ("fault", "value", "reason"),
    [
        ("signature", "1", "forged"),
        ("probe", "1", "probe"),
        ("clock_seconds", "-301", "stale"),
        ("clock_seconds", "330", "stale"),
        ("sign_with", "public_key_2", "unknown_key"),
        ("sign_with", "certificate", "unknown_key"),
        ("mixed_percent", "100", "unknown_key"),
    ],
)
def test_a_notification_that_is_not_proven_is_refused(shop, number, fault, value, reason):
    page = shop.buyer.page_of(shop.created(number).qr_text)
    shop.buyer.submit(page, **{fault: value})
    notice = shop.told(number)
    with pytest.raises(BadSignature) as refused:
        shop.gateway.verify_notify(notice.headers, notice.raw)
    assert refused.value.reason == reason


def test_one_sealed_with_another_key_opens_with_that_one_alone(shop, number):
    page = shop.buyer.page_of(shop.created(number).qr_text)
    shop.buyer.submit(page, api_key=OTHER_KEY)
    notice = shop.told(number)
    with pytest.raises(UnopenableNotice):
        shop.gateway.verify_notify(notice.headers, notice.raw)
    rotated = shop.gateway_with(api_v3_key=OTHER_KEY.encode(), previous_api_v3_key=API_V3_KEY.encode())
    assert rotated.verify_notify(notice.headers, notice.raw).out_trade_no == number


def test_certificates_are_fetched_and_believed_beside_the_public_key(shop, number, faults):
    gateway = shop.gateway_with()
    assert len(asyncio.run(gateway.renew())) == 2
    for key in ("certificate", "certificate_2", "public_key"):
        faults("sign_with", key)
        wanted = shop.payment(f"{number}-{key}")
        page = shop.buyer.page_of(asyncio.run(gateway.create(wanted)).qr_text)
        shop.buyer.submit(page)
        notice = shop.told(f"{number}-{key}")
        assert gateway.verify_notify(notice.headers, notice.raw).state == "paid"


@pytest.mark.parametrize(
    ("fault", "value", "detail"),
    [
        ("answer_unsigned", "1", "answer incomplete, status 200"),
        ("answer_signature", "1", "answer forged, status 200"),
        ("fail", "500", "status 500"),
        ("fail", "429", "status 429, SYSTEM_ERROR"),
        ("clock_seconds", "330", "answer stale, status 401, SIGN_ERROR"),
    ],
)
def test_an_answer_that_is_none_leaves_the_outcome_unknown(shop, number, faults, fault, value, detail):
    faults(fault, value)
    with pytest.raises(ChannelUnknown) as unknown:
        shop.created(number)
    assert unknown.value.detail == detail
    shop.buyer.end_faults()
    # A refusal before the work did nothing; what went wrong after it is found under the same number.
    assert (shop.query(number) is None) == (fault in {"fail", "clock_seconds"})


def test_a_connection_that_breaks_leaves_the_outcome_unknown(shop, number, faults):
    faults("away", call="create", times=1)
    with pytest.raises(ChannelUnknown) as unknown:
        shop.created(number)
    assert unknown.value.detail in {"ReadError", "RemoteProtocolError"}
    assert shop.query(number) is None
    assert shop.created(number).qr_text


def test_what_was_paid_is_in_the_bills_of_the_day(shop, number, faults):
    shop.paid(number)
    told = shop.verified(number)
    shop.refund(number, 880)
    day = clock.shop_time(told.paid_at).date()
    assert asyncio.run(shop.gateway.download_bill("trades", day)) is None
    faults("bill_at_once")
    for kind in ("trades", "funds"):
        bill = asyncio.run(shop.gateway.download_bill(kind, day))
        text = gzip.decompress(bill.content).decode("utf-8-sig")
        assert (text.count(told.provider_no), text.count(f"R{number}-01")) == ((2, 1) if kind == "trades" else (2, 2))
