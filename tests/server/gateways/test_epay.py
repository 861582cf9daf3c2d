"""Epay, both versions: what is signed, what is believed, what is never said, and that a notice proves nothing."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from server.gateways.port import (
    BadSignature,
    ChannelRefused,
    ChannelUnknown,
    CreatePayment,
    CreateRefund,
    MalformedNotice,
    PaymentFact,
    RefundFact,
)
from server.outbound import Outbound
from server.payments.attempts import SUBJECT_LENGTH
from server.payments.model import PaymentAttempt
from shared.money import MAX_FEN
from tests.rsa_keys import rsa_key
from tests.server.channel import pem_of
from tests.server.gateways.epay import NOTICE, NOW, ORDER, PID, REFUND, SECRET, Epay
from tests.server.gateways.listener import Said, listening, unsigned

NUMBER = "KM-00000001"
FACT = PaymentFact(
    channel="epay",
    out_trade_no=NUMBER,
    provider_no="2026112217140312345",
    merchant_id=PID,
    amount_fen=9_900,
    currency="CNY",
    state="paid",
    paid_at=datetime(2026, 11, 22, 9, 14, 1, tzinfo=UTC),
    event_id=None,
)
REFUNDED = RefundFact(
    out_refund_no="R-00000001",
    refund_no="2026112217200054321",
    out_trade_no=NUMBER,
    amount_fen=4_000,
    state="succeeded",
)


def run(work):
    return asyncio.run(work)


@pytest.fixture(scope="module")
def v1():
    return Epay(1)


@pytest.fixture
def v2(epay):
    return epay


@pytest.fixture(params=["v1", "v2"])
def site(request):
    return request.getfixturevalue(request.param)


def payment(product="page", **changes):
    return CreatePayment(
        **{
            "out_trade_no": NUMBER,
            "amount_fen": 9_900,
            "subject": "Steam 充值卡 🎮",
            "notify_url": "https://shop.example/pay/epay/notify",
            "return_url": "https://shop.example/o/7K3M",
            "expires_at": NOW + timedelta(minutes=15),
            "product": product,
        }
        | changes
    )


# --- paying ---


@pytest.mark.parametrize("product", ["qr", "h5", "page"])
def test_a_payment_is_an_address_that_we_sign_and_nobody_is_asked_for(site, product):
    opened = run(site.gateway("https://pay.example.cn").create(payment(product)))
    assert opened.pay_url == opened.qr_text
    parts = urlsplit(opened.pay_url)
    path = {1: "/submit.php", 2: "/api/pay/submit"}[site.version]
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "pay.example.cn", path)
    assert site.check(parts.query) == {
        "pid": PID,
        "out_trade_no": NUMBER,
        "notify_url": "https://shop.example/pay/epay/notify",
        "return_url": "https://shop.example/o/7K3M",
        "name": "Steam 充值卡",
        "money": "99.00",
    }
    assert SECRET not in opened.pay_url
    # The second version's address carries a time that is believed for five minutes.
    assert opened.valid_until == {1: None, 2: NOW + timedelta(minutes=5)}[site.version]
    short = run(site.gateway().create(payment(expires_at=NOW + timedelta(minutes=1))))
    assert short.valid_until is None


def test_the_longest_address_can_be_stored(v2):
    shop = f"https://{'shop.' * 12}example.com"
    longest = payment(
        "qr",
        subject="卡" * SUBJECT_LENGTH,
        amount_fen=MAX_FEN,
        notify_url=f"{shop}/pay/epay/notify",
        return_url=f"{shop}/o/KM-7K3M-9Q2P-X/back",
    )
    gateway = v2.gateway(f"https://{'pay.' * 12}example.com", private_key_pem=pem_of(v2.key))
    opened = run(gateway.create(longest))
    assert len(opened.qr_text) == len(opened.pay_url) <= PaymentAttempt.__table__.c.qr_text.type.length


def test_there_is_no_page_inside_wechat(v1):
    with pytest.raises(ChannelRefused, match="PRODUCT_NOT_OFFERED"):
        run(v1.gateway().create(payment("jsapi")))


def test_digests_as_other_sites_want_them(v1):
    plain = urlsplit(run(v1.gateway().create(payment())).pay_url).query
    upper = urlsplit(run(v1.gateway(upper=True, key_joint="&key=").create(payment())).pay_url).query
    given = dict(pair.split("=", 1) for pair in upper.split("&"))
    assert given["sign"] == given["sign"].upper() != dict(pair.split("=", 1) for pair in plain.split("&"))["sign"]
    other = v1.gateway(key_joint="&key=", acknowledgement="SUCCESS")
    assert other.verify_notify({}, v1.notice(NOTICE, joint="&key=")).amount_fen == 9_900
    assert other.accepted().body == b"SUCCESS"
    with pytest.raises(BadSignature, match="forged"):
        other.verify_notify({}, v1.notice(NOTICE))


# --- asking ---


def done(site):
    return {"code": {1: 1, 2: 0}[site.version], "msg": "succ"}


@pytest.mark.parametrize(
    ("status", "state", "came"),
    [(0, "pending", False), ("1", "paid", True), (2, "refunded", True), (4, "pending", False)],
)
def test_what_a_site_knows(site, status, state, came):
    answer = site.says(done(site) | {name: one for name, one in ORDER.items() if one is not None} | {"status": status})
    with listening(answer) as server:
        fact = run(site.gateway(server.url).query(NUMBER))
    assert (fact.state, fact.amount_fen, fact.merchant_id) == (state, 9_900, PID)
    assert (fact.provider_no, fact.paid_at) == ((FACT.provider_no, FACT.paid_at) if came else (None, None))
    timeless = site.says(
        done(site) | {name: one for name, one in ORDER.items() if name != "endtime" and one is not None}
    )
    with listening(timeless) as another:
        assert run(site.gateway(another.url).query(NUMBER)) == replace(FACT, paid_at=None), "the query alone finds it"
    [asked] = server.asked
    if site.version == 1:
        assert (asked.method, asked.target) == (
            "GET",
            f"/api.php?act=order&pid={PID}&key={SECRET}&out_trade_no={NUMBER}",
        )
    else:
        assert (asked.method, asked.target) == ("POST", "/api/pay/query")
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        assert site.check(asked.body.decode()) == {"pid": PID, "out_trade_no": NUMBER}


def test_the_secret_of_a_query_is_in_no_log_and_no_error(v1, caplog):
    caplog.set_level(logging.DEBUG)
    answers = [v1.says(done(v1) | ORDER), unsigned(502, {}), v1.says({"code": -3, "msg": "商户密钥错误"})]
    with listening(answers) as server:
        gateway = v1.gateway(server.url)
        assert run(gateway.query(NUMBER)) == FACT
        with pytest.raises(ChannelUnknown) as unknown:
            run(gateway.query(NUMBER))
        with pytest.raises(ChannelRefused) as refused:
            run(gateway.query(NUMBER))
    with pytest.raises(ChannelUnknown) as away:
        run(gateway.query(NUMBER))
    for error in (unknown, refused, away):
        assert SECRET not in f"{error.value!r} {error.value} {error.value.__cause__!r} {error.value.params}"
    assert refused.value.reason_code == "-3"
    assert SECRET not in caplog.text + repr(gateway) + repr(gateway._account)


def test_a_number_nobody_opened(site):
    with listening(site.says({"code": -1, "msg": "订单号不存在"}, sign=False)) as server:
        gateway = site.gateway(server.url)
        assert run(gateway.query(NUMBER)) is None
        with pytest.raises(ChannelRefused, match="PRODUCT_NOT_OFFERED"):  # its address is out, and good for ever
            run(gateway.close(NUMBER))


@pytest.mark.parametrize(
    ("label", "content", "status", "detail"),
    [
        ("no JSON", b"<html>", 200, "answer malformed"),
        ("no object", b"[]", 200, "answer malformed"),
        ("an error page", b"{}", 500, "status 500"),
        ("another number", ORDER | {"out_trade_no": "KM-00000002"}, 200, "another question"),
        ("frozen", ORDER | {"status": 3}, 200, "frozen"),
        ("three decimals", ORDER | {"money": "99.001"}, 200, "money"),
        ("a sign", ORDER | {"money": "-99.00"}, 200, "money"),
        ("an unheard-of state", ORDER | {"status": 9}, 200, "status"),
    ],
)
def test_what_leaves_the_outcome_unknown(site, label, content, status, detail):
    if isinstance(content, dict):
        answer = site.says(done(site) | {name: one for name, one in content.items() if one is not None}, status=status)
    else:
        answer = unsigned(status, content)
    with listening(answer) as server, pytest.raises(ChannelUnknown) as unknown:
        run(site.gateway(server.url).query(NUMBER))
    assert detail in unknown.value.detail, label


@pytest.mark.parametrize(
    ("label", "how", "detail"),
    [
        ("unsigned", {"sign": False}, "incomplete, code 0"),
        ("by a stranger", {"key": rsa_key("stranger")}, "forged"),
        ("of another time", {"at": NOW - timedelta(minutes=5)}, "stale"),
    ],
)
def test_a_yes_of_version_2_counts_with_its_signature_and_time(v2, label, how, detail):
    content = done(v2) | {name: one for name, one in ORDER.items() if one is not None}
    with listening(v2.says(content, **how)) as server, pytest.raises(ChannelUnknown) as unknown:
        run(v2.gateway(server.url).query(NUMBER))
    assert detail in unknown.value.detail, label


def test_an_amount_that_was_changed_on_the_way_is_not_believed(v2):
    given = v2.signed(done(v2) | {name: one for name, one in ORDER.items() if one is not None}) | {"money": "0.01"}
    with listening(unsigned(200, given)) as server, pytest.raises(ChannelUnknown, match="forged"):
        run(v2.gateway(server.url).query(NUMBER))


def test_nothing_can_be_closed_there(site):
    whole = {name: one for name, one in ORDER.items() if one is not None}
    answers = [site.says(done(site) | whole), site.says(done(site) | whole | {"status": 0})]
    with listening(answers) as server:
        gateway = site.gateway(server.url)
        with pytest.raises(ChannelRefused, match="ALREADY_PAID"):
            run(gateway.close(NUMBER))
        with pytest.raises(ChannelRefused, match="PRODUCT_NOT_OFFERED"):
            run(gateway.close(NUMBER))


def test_there_are_no_bills(site):
    with pytest.raises(ChannelRefused, match="PRODUCT_NOT_OFFERED"):
        run(site.gateway().download_bill("trades", date(2026, 11, 21)))


# --- refunds ---


ASKED = CreateRefund(out_refund_no="R-00000001", out_trade_no=NUMBER, amount_fen=4_000, reason="不要了")


def test_version_1_gives_nothing_back_because_a_repeat_would_give_it_twice(v1):
    for work in (v1.gateway().refund(ASKED), v1.gateway().query_refund("R-00000001")):
        with pytest.raises(ChannelRefused, match="PRODUCT_NOT_OFFERED"):
            run(work)


def test_a_refund_and_what_became_of_it(v2):
    found = {name: one for name, one in REFUND.items() if name != "msg"} | {
        "out_trade_no": NUMBER,
        "endtime": "2026-11-22 17:20:00",
        "status": 1,
    }
    answers = [
        v2.says(REFUND),
        v2.says(found),
        v2.says(found | {"status": 0}),
        v2.says({"code": -1, "msg": "退款记录不存在"}, sign=False),
    ]
    with listening(answers) as server:
        gateway = v2.gateway(server.url)
        assert run(gateway.refund(ASKED)) == REFUNDED
        fact = run(gateway.query_refund("R-00000001", out_trade_no=NUMBER))
        assert run(gateway.query_refund("R-00000001")) is None  # it failed, and may be tried again
        assert run(gateway.query_refund("R-00000001")) is None
    assert (fact.state, fact.refunded_at) == ("succeeded", datetime(2026, 11, 22, 9, 20, tzinfo=UTC))
    assert server.targets == ["POST /api/pay/refund"] + ["POST /api/pay/refundquery"] * 3
    assert v2.check(server.asked[0].body.decode()) == {
        "pid": PID,
        "out_trade_no": NUMBER,
        "out_refund_no": "R-00000001",
        "money": "40.00",
    }


@pytest.mark.parametrize(
    ("label", "content", "signing", "detail"),
    [
        ("an unsigned no", {"code": -1, "msg": "余额不足"}, {"sign": False}, "incomplete, code -1"),
        ("another amount", REFUND | {"money": "4.00"}, {}, "another question"),
        ("another number", REFUND | {"out_refund_no": "R-00000002"}, {}, "another question"),
    ],
)
def test_a_refund_whose_outcome_is_unknown(v2, label, content, signing, detail):
    with listening(v2.says(content, **signing)) as server, pytest.raises(ChannelUnknown) as unknown:
        run(v2.gateway(server.url).refund(ASKED))
    assert detail in unknown.value.detail, label


def test_a_signed_no_is_a_no(v2):
    with listening(v2.says({"code": -1, "msg": "余额不足"})) as server, pytest.raises(ChannelRefused) as refusal:
        run(v2.gateway(server.url).refund(ASKED))
    assert refusal.value.reason_code == "-1"


# --- notices ---


def test_a_notice_is_read_and_proves_nothing(site):
    gateway = site.gateway()
    fact = gateway.verify_notify({}, site.notice(NOTICE))
    assert (fact.out_trade_no, fact.provider_no, fact.amount_fen, fact.merchant_id, fact.state, fact.event_id) == (
        NUMBER,
        "2026112217140312345",
        9_900,
        PID,
        "paid",
        "2026112217140312345",
    )
    assert fact.paid_at == NOW
    assert gateway.notice_is_proof is False
    with pytest.raises(MalformedNotice):
        gateway.verify_refund_notify({}, site.notice(NOTICE))


@pytest.mark.parametrize("money", ["99.00", "99", "99.0"])
def test_an_amount_as_php_writes_it(v1, money):
    assert v1.gateway().verify_notify({}, v1.notice(NOTICE | {"money": money})).amount_fen == 9_900


def test_unknown_fields_take_part_and_blank_ones_do_not(site):
    body = site.notice(NOTICE | {"api_trade_no": "4200001101", "param": "", "buyer": " "})
    assert site.gateway().verify_notify({}, body).amount_fen == 9_900
    with pytest.raises(BadSignature, match="forged"):
        site.gateway().verify_notify({}, body.replace(b"4200001101", b"4200001102"))


@pytest.mark.parametrize(
    ("label", "change", "reason"),
    [
        ("another amount", lambda body: body.replace(b"money=99", b"money=0.01"), "forged"),
        ("no signature", lambda body: body.partition(b"&sign=")[0], "incomplete"),
        ("a field twice", lambda body: body + b"&money=1", "unreadable"),
        ("another way of signing", lambda body: body.partition(b"&sign_type=")[0] + b"&sign_type=HMAC", "forged"),
        ("no text", lambda body: body + b"&x=%ff", "unreadable"),
        ("nothing", lambda _body: b"", "incomplete"),
    ],
)
def test_what_is_not_the_sites(site, label, change, reason):
    with pytest.raises(BadSignature) as refusal:
        site.gateway().verify_notify({}, change(site.notice(NOTICE)))
    assert refusal.value.reason == reason, label


def test_an_old_notice_of_version_2_is_stale(v2):
    with pytest.raises(BadSignature, match="stale"):
        v2.gateway().verify_notify({}, v2.notice(NOTICE, at=NOW - timedelta(minutes=5)))


@pytest.mark.parametrize("change", [{"trade_status": "TRADE_CLOSED"}, {"money": "1e2"}, {"out_trade_no": ""}])
def test_a_signed_notice_that_means_nothing_to_us(site, change):
    with pytest.raises(MalformedNotice):
        site.gateway().verify_notify({}, site.notice(NOTICE | change))


@pytest.mark.parametrize("reason", ["bad_signature", "malformed_notice", "success", "internal_error"])
def test_fault_47_only_the_acknowledgement_has_the_word_the_site_looks_for(site, reason):
    assert (site.gateway().accepted().status, site.gateway().accepted().body) == (200, b"success")
    refused = site.gateway().refused(reason)
    assert refused.status >= 400
    assert b"success" not in refused.body.lower()


def test_a_site_that_hangs_is_unknown(v1):
    with listening(lambda _asked: Said(200, {}, b"{", length=500)) as server, pytest.raises(ChannelUnknown):
        run(v1.gateway(server.url, outbound=Outbound(total_seconds=0.5)).query(NUMBER))
