"""Alipay is asked: what is sent and signed, what an answer must be to be believed."""

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from server.gateways.alipay import GATEWAY_URL
from server.gateways.port import (
    ChannelRefused,
    ChannelUnknown,
    CreatePayment,
    CreateRefund,
    PaymentFact,
    PaymentOpened,
    RefundFact,
)
from server.outbound import Outbound
from server.payments.attempts import SUBJECT_LENGTH
from server.payments.model import PaymentAttempt
from shared.money import MAX_FEN
from tests.server.channel import pem_of, public_pem_of
from tests.server.gateways.alipay import APP_ID, NOW, SELLER, TRADE
from tests.server.gateways.listener import Said, listening

NUMBER = "KM-00000001"
NOTIFY = "https://shop.example/pay/alipay/notify"
BACK = "https://shop.example/o/7K3M9QX2H4TD?x=1&y=2"
ORDER = {
    "out_trade_no": NUMBER,
    "total_amount": "99.05",
    "subject": "Steam 充值卡 50%+",
    "time_expire": "2026-11-23 00:45:05",
}


def payment(product="qr", **changes):
    return CreatePayment(
        **{
            "out_trade_no": NUMBER,
            "amount_fen": 9_905,
            "subject": "Steam 充值卡 50%+",
            "notify_url": NOTIFY,
            "return_url": BACK,
            "expires_at": NOW + timedelta(minutes=15),
            "product": product,
        }
        | changes
    )


def run(work):
    return asyncio.run(work)


def asked_of(alipay, answer, call):
    """What `call(gateway)` gives, and what it asked for: (method, content, other parameters), each signed."""
    with listening(answer) as server:
        given = run(call(alipay.gateway(server.url)))
    questions = []
    for one in server.asked:
        assert (one.method, urlsplit(one.target).path) == ("POST", "/gateway.do")
        assert one.headers["content-type"] == "application/x-www-form-urlencoded;charset=utf-8"
        assert "charset=utf-8&" in one.target
        parameters = alipay.parameters(one)
        questions.append((parameters["method"], alipay.check(parameters), parameters))
    return given, questions


# --- opening ---


def test_a_code_to_scan(alipay):
    answer = alipay.says({"code": "10000", "out_trade_no": NUMBER, "qr_code": "https://qr.alipay.com/bax00"})
    opened, [(method, content, parameters)] = asked_of(alipay, answer, lambda gateway: gateway.create(payment()))
    assert opened == PaymentOpened(pay_url=None, qr_text="https://qr.alipay.com/bax00")
    assert (method, content) == ("alipay.trade.precreate", ORDER)
    assert parameters["notify_url"] == NOTIFY
    assert "return_url" not in parameters


def test_a_code_that_ends_before_the_payment_says_so(alipay):
    answer = alipay.says({"code": "10000", "out_trade_no": NUMBER, "qr_code": "https://qr.alipay.com/bax00"})
    wanted = payment(expires_at=NOW + timedelta(hours=3))
    opened, _ = asked_of(alipay, answer, lambda gateway: gateway.create(wanted))
    assert opened.valid_until == NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    ("product", "method", "more"),
    [
        ("h5", "alipay.trade.wap.pay", {"product_code": "QUICK_WAP_WAY", "quit_url": BACK}),
        ("page", "alipay.trade.page.pay", {"product_code": "FAST_INSTANT_TRADE_PAY"}),
    ],
)
def test_a_page_is_an_address_that_nobody_is_asked_for(alipay, product, method, more):
    with listening(alipay.says({})) as server:
        opened = run(alipay.gateway(server.url).create(payment(product)))
    assert (server.asked, opened.qr_text, opened.invoke) == ([], None, None)
    assert opened.pay_url.startswith(f"{server.url}/gateway.do?")
    parameters = dict(parse_qsl(urlsplit(opened.pay_url).query, strict_parsing=True))
    assert alipay.check(parameters) == ORDER | more
    assert (parameters["method"], parameters["notify_url"], parameters["return_url"]) == (method, NOTIFY, BACK)


def test_what_is_to_be_split_is_kept_back(alipay):
    answer = alipay.says({"code": "10000", "out_trade_no": NUMBER, "qr_code": "https://qr.alipay.com/bax00"})
    kept_back = {"extend_params": {"royalty_freeze": "true"}}
    _, [(_, content, _)] = asked_of(alipay, answer, lambda gateway: gateway.create(payment(is_shared=True)))
    assert content == ORDER | kept_back
    with listening(answer) as server:
        opened = run(alipay.gateway(server.url).create(payment("page", is_shared=True)))
    parameters = dict(parse_qsl(urlsplit(opened.pay_url).query, strict_parsing=True))
    assert alipay.check(parameters) == ORDER | {"product_code": "FAST_INSTANT_TRADE_PAY"} | kept_back


@pytest.mark.parametrize("product", ["jsapi", "mini_program"])
def test_what_is_not_offered_is_not_asked_for(alipay, product):
    with listening(alipay.says({})) as server, pytest.raises(ChannelRefused) as refusal:
        run(alipay.gateway(server.url).create(payment(product)))
    assert (refusal.value.reason_code, server.asked) == ("PRODUCT_NOT_OFFERED", [])
    assert alipay.gateway().products == {"qr", "h5", "page"}


@pytest.mark.parametrize(("fen", "yuan"), [(1, "0.01"), (10, "0.10"), (1_999, "19.99"), (10**13, "100000000000.00")])
def test_fen_are_written_as_yuan(alipay, fen, yuan):
    opened = run(alipay.gateway().create(payment("page", amount_fen=fen)))
    parameters = dict(parse_qsl(urlsplit(opened.pay_url).query))
    assert json.loads(parameters["biz_content"])["total_amount"] == yuan


def test_a_subject_has_no_character_that_alipay_refuses(alipay):
    opened = run(alipay.gateway().create(payment("page", subject="A/B=C&D" + "卡" * 100)))
    parameters = dict(parse_qsl(urlsplit(opened.pay_url).query))
    assert json.loads(parameters["biz_content"])["subject"] == "A B C D" + "卡" * 83


@pytest.mark.parametrize("product", ["h5", "page"])
def test_the_longest_address_can_be_stored(alipay, product):
    shop = f"https://{'shop.' * 8}example.com"
    addresses = {"notify_url": f"{shop}/pay/alipay/notify", "return_url": f"{shop}/o/KM-7K3M-9Q2P-X/back"}
    longest = payment(product, subject="卡" * SUBJECT_LENGTH, amount_fen=MAX_FEN, **addresses)
    account = alipay.account(private_key_pem=pem_of(alipay.key))  # as long as a real one
    opened = run(alipay.gateway(account=account, base_url=GATEWAY_URL).create(longest))
    assert len(opened.pay_url) <= PaymentAttempt.__table__.c.pay_url.type.length


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system cannot change a process's zone")
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
def test_it_is_beijing_wherever_we_run(alipay, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        opened = run(alipay.gateway().create(payment("page")))
        fact, _ = asked_of(alipay, alipay.says(TRADE), lambda gateway: gateway.query(NUMBER))
    finally:
        monkeypatch.undo()
        time.tzset()
    parameters = dict(parse_qsl(urlsplit(opened.pay_url).query))
    assert parameters["timestamp"] == "2026-11-23 00:30:05"
    assert json.loads(parameters["biz_content"])["time_expire"] == "2026-11-23 00:45:05"
    assert fact == FACT


def test_a_refusal_of_a_question_is_not_taken_for_an_answer(alipay):
    with listening(alipay.no("isv.insufficient-isv-permissions", code="40006")) as server:
        gateway = alipay.gateway(server.url)
        for question in (gateway.query(NUMBER), gateway.query_refund("R-00000001", out_trade_no=NUMBER)):
            with pytest.raises(ChannelRefused) as refusal:
                run(question)
            assert refusal.value.reason_code == "isv.insufficient-isv-permissions"


def test_a_number_that_is_not_ours_never_leaves(alipay):
    for work in (alipay.gateway().query("x"), alipay.gateway().create(payment("page", out_trade_no="卡" * 8))):
        with pytest.raises(AssertionError):
            run(work)


# --- asking and closing ---

FACT = PaymentFact(
    channel="alipay",
    out_trade_no=NUMBER,
    provider_no="2026112322001477030500000001",
    merchant_id=SELLER,
    amount_fen=9_900,
    currency="CNY",
    state="paid",
    paid_at=datetime(2026, 11, 22, 16, 29, 58, tzinfo=UTC),
    event_id=None,
    app_id=APP_ID,
    payer_total_fen=9_400,
)
OPEN = {name: value for name, value in TRADE.items() if name not in {"send_pay_date", "buyer_pay_amount"}}


@pytest.mark.parametrize(
    ("label", "trade", "expected"),
    [
        ("paid", TRADE, FACT),
        ("paid, nobody says when", TRADE | {"send_pay_date": ""}, replace(FACT, paid_at=None)),
        ("finished", TRADE | {"trade_status": "TRADE_FINISHED"}, FACT),
        ("all went back", TRADE | {"trade_status": "TRADE_CLOSED"}, replace(FACT, state="refunded")),
        ("waiting", OPEN | {"trade_status": "WAIT_BUYER_PAY"}, "pending"),
        ("waiting, blank", TRADE | {"trade_status": "WAIT_BUYER_PAY", "send_pay_date": ""}, "pending"),
        ("timed out", OPEN | {"trade_status": "TRADE_CLOSED"}, "closed"),
    ],
)
def test_what_alipay_knows_of_a_payment(alipay, label, trade, expected):
    if isinstance(expected, str):
        expected = replace(FACT, state=expected, provider_no=None, paid_at=None, payer_total_fen=None)
    fact, [(method, content, _)] = asked_of(alipay, alipay.says(trade), lambda gateway: gateway.query(NUMBER))
    assert fact == expected, label
    assert (method, content) == ("alipay.trade.query", {"out_trade_no": NUMBER})


def test_a_number_written_as_a_number_does_not_become_a_float(alipay):
    raw = json.dumps(TRADE | {"total_amount": 0}).replace('"total_amount": 0', '"total_amount": 19.99')
    assert asked_of(alipay, alipay.says(raw), lambda gateway: gateway.query(NUMBER))[0].amount_fen == 1_999


def test_what_nobody_scanned_is_none(alipay):
    answer = alipay.no("ACQ.TRADE_NOT_EXIST")
    assert asked_of(alipay, answer, lambda gateway: gateway.query(NUMBER))[0] is None
    with listening(answer) as server, pytest.raises(ChannelRefused) as refusal:
        run(alipay.gateway(server.url).close(NUMBER))
    assert refusal.value.reason_code == "NOT_FOUND"


def test_closing(alipay):
    answer = alipay.says({"code": "10000", "out_trade_no": NUMBER, "trade_no": "2026"})
    given, [(method, content, _)] = asked_of(alipay, answer, lambda gateway: gateway.close(NUMBER))
    assert (given, method, content) == (None, "alipay.trade.close", {"out_trade_no": NUMBER})


@pytest.mark.parametrize(
    "sub_code", ["ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.TRADE_HAS_CLOSE"]
)
@pytest.mark.parametrize(
    ("label", "then", "error"),
    [
        ("money came first", TRADE, (ChannelRefused, "ALREADY_PAID")),
        ("money came and went", TRADE | {"trade_status": "TRADE_CLOSED"}, (ChannelRefused, "ALREADY_PAID")),
        ("closed before", OPEN | {"trade_status": "TRADE_CLOSED"}, None),
        ("still open", OPEN | {"trade_status": "WAIT_BUYER_PAY"}, (ChannelUnknown, "not closed, and still open")),
    ],
)
def test_what_does_not_wait_any_more_is_asked_about(alipay, label, then, error, sub_code):
    with listening([alipay.no(sub_code), alipay.says(then)]) as server:
        gateway = alipay.gateway(server.url)
        if error is None:
            assert run(gateway.close(NUMBER)) is None
        else:
            with pytest.raises(error[0]) as refusal:
                run(gateway.close(NUMBER))
            assert error[1] in vars(refusal.value).values(), label
    assert [alipay.parameters(one)["method"] for one in server.asked] == ["alipay.trade.close", "alipay.trade.query"]


def test_what_does_not_wait_and_is_not_known_is_not_found(alipay):
    answers = [alipay.no("ACQ.TRADE_STATUS_ERROR"), alipay.no("ACQ.TRADE_NOT_EXIST")]
    with listening(answers) as server, pytest.raises(ChannelRefused) as refusal:
        run(alipay.gateway(server.url).close(NUMBER))
    assert refusal.value.reason_code == "NOT_FOUND"


# --- refunds ---

REFUND = CreateRefund("R-00000001", NUMBER, 4_000, "缺货")
REFUNDED = {"code": "10000", "out_trade_no": NUMBER, "trade_no": "2026112322001477030500000001", "refund_fee": "50.00"}


@pytest.mark.parametrize(
    ("label", "change", "state"),
    [
        ("moved", {"fund_change": "Y"}, "succeeded"),
        ("a repeat", {"fund_change": "N"}, "processing"),
        ("mute", {}, "processing"),
    ],
)
def test_a_refund_has_the_amount_that_was_asked_for(alipay, label, change, state):
    fact, [(method, content, _)] = asked_of(
        alipay, alipay.says(REFUNDED | change), lambda gateway: gateway.refund(REFUND)
    )
    assert fact == RefundFact(
        out_refund_no="R-00000001",
        refund_no="2026112322001477030500000001",
        out_trade_no=NUMBER,
        amount_fen=4_000,
        state=state,
        refunded_total_fen=5_000,
    ), label
    assert method == "alipay.trade.refund"
    assert content == {
        "out_trade_no": NUMBER,
        "out_request_no": "R-00000001",
        "refund_amount": "40.00",
        "refund_reason": "缺货",
    }


FOUND = {
    "code": "10000",
    "out_trade_no": NUMBER,
    "trade_no": "2026112322001477030500000001",
    "out_request_no": "R-00000001",
    "refund_amount": "40.00",
    "total_amount": "99.00",
    "refund_status": "REFUND_SUCCESS",
    "gmt_refund_pay": "2026-11-24 08:00:00",
}


def test_a_refund_is_found_by_its_payment_and_its_number(alipay):
    fact, [(method, content, _)] = asked_of(
        alipay, alipay.says(FOUND), lambda gateway: gateway.query_refund("R-00000001", out_trade_no=NUMBER)
    )
    assert fact == RefundFact(
        out_refund_no="R-00000001",
        refund_no="2026112322001477030500000001",
        out_trade_no=NUMBER,
        amount_fen=4_000,
        state="succeeded",
        refunded_at=datetime(2026, 11, 24, tzinfo=UTC),
    )
    assert method == "alipay.trade.fastpay.refund.query"
    asked = {"out_trade_no": NUMBER, "out_request_no": "R-00000001", "query_options": ["gmt_refund_pay"]}
    assert content == asked


@pytest.mark.parametrize(
    ("label", "content", "expected"),
    [
        ("knows of none", {"code": "10000", "msg": "Success"}, None),
        ("one without success", {name: value for name, value in FOUND.items() if name != "refund_status"}, None),
        ("one under way", FOUND | {"refund_status": "REFUND_PROCESSING"}, "processing"),
    ],
)
def test_a_refund_that_did_not_succeed(alipay, label, content, expected):
    work = asked_of(alipay, alipay.says(content), lambda g: g.query_refund("R-00000001", out_trade_no=NUMBER))
    assert (work[0] and work[0].state) == expected, label


def test_a_refund_of_what_alipay_does_not_know_is_none(alipay):
    answer = alipay.no("ACQ.TRADE_NOT_EXIST")
    assert asked_of(alipay, answer, lambda g: g.query_refund("R-00000001", out_trade_no=NUMBER))[0] is None


def test_a_refund_needs_no_reason_and_its_question_needs_the_payment(alipay):
    plain = replace(REFUND, reason="")
    _, [(_, content, _)] = asked_of(alipay, alipay.says(REFUNDED), lambda gateway: gateway.refund(plain))
    assert "refund_reason" not in content
    with pytest.raises(AssertionError):
        run(alipay.gateway().query_refund("R-00000001"))


@pytest.mark.parametrize(
    "changes", [{"out_request_no": "R-00000002"}, {"out_trade_no": "KM-00000002"}, {"refund_amount": ""}]
)
def test_the_answer_to_another_refund_is_unknown(alipay, changes):
    with listening(alipay.says(FOUND | changes)) as server, pytest.raises(ChannelUnknown):
        run(alipay.gateway(server.url).query_refund("R-00000001", out_trade_no=NUMBER))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (("ACQ.SELLER_BALANCE_NOT_ENOUGH", "40004"), "NOT_ENOUGH_BALANCE"),
        (("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "40004"), "AMOUNT_EXCEEDED"),
        (("ACQ.TRADE_NOT_EXIST", "40004"), "NOT_FOUND"),
        (("ACQ.TRADE_HAS_FINISHED", "40004"), "ACQ.TRADE_HAS_FINISHED"),
        (("isv.app-call-limited", "40005"), "TOO_OFTEN"),
        (("isv.invalid-signature", "40002"), "isv.invalid-signature"),
    ],
)
def test_a_signed_no_is_a_refusal(alipay, answer, reason):
    sub_code, code = answer
    with listening(alipay.no(sub_code, code=code)) as server, pytest.raises(ChannelRefused) as refusal:
        run(alipay.gateway(server.url).refund(REFUND))
    assert (refusal.value.reason_code, len(server.asked)) == (reason, 1)


# --- answers nobody can vouch for ---


def raw(text, status=200):
    return lambda _asked: Said(status, {}, text if isinstance(text, bytes) else text.encode())


def tampered(alipay, old, new):
    def answer(asked):
        said = alipay.says(TRADE)(asked)
        assert old in said.body
        return Said(said.status, {}, said.body.replace(old, new))

    return answer


def test_the_raw_text_is_what_is_signed(alipay):
    """A slash that is written escaped, blanks and an order of fields that nobody else would choose."""
    text = (
        '{ "code":"10000",\n "trade_status" : "TRADE_SUCCESS","total_amount":"99.00","store":"a\\/b,\\"sign\\":\\"x",'
    )
    text += '"send_pay_date":"2026-11-23 00:29:58","buyer_pay_amount":"94.00","trade_no":'
    text += '"2026112322001477030500000001","out_trade_no":"KM-00000001","buyer":"\\u5f20" }'
    assert asked_of(alipay, alipay.says(text), lambda gateway: gateway.query(NUMBER))[0] == FACT
    signed_first = (
        f'{{"sign":"{alipay.sign(text.encode())}", "alipay_trade_query_response" : {text}, "alipay_cert_sn":""}}'
    )
    assert asked_of(alipay, raw(signed_first), lambda gateway: gateway.query(NUMBER))[0] == FACT


@pytest.mark.parametrize(
    ("label", "answer", "detail"),
    [
        ("fails", lambda a: raw("{}", 500), "status 500"),
        ("redirects", lambda a: raw("", 302), "status 302"),
        ("is a page", lambda a: raw("<html>"), "answer malformed"),
        ("is nothing", lambda a: raw(""), "answer malformed"),
        ("is not UTF-8", lambda a: raw("支".encode("gbk")), "answer malformed"),
        ("is nested without end", lambda a: raw("[" * 200_000), "answer malformed"),
        ("has more behind it", lambda a: raw('{"alipay_trade_query_response":{"code":"10000"}}{}'), "answer malformed"),
        ("has a node twice", lambda a: raw('{"sign":"","sign":""}'), "answer malformed"),
        ("is a list", lambda a: a.says("[]"), "answer malformed"),
        ("is of another method", lambda a: a.says(TRADE, node="alipay_trade_refund_response"), "answer malformed"),
        ("is not signed", lambda a: a.says(TRADE, sign=False), "answer incomplete, 10000"),
        ("says no unsigned", lambda a: a.no("isv.invalid-signature", sign=False), "answer incomplete, isv.invalid-sig"),
        ("says no at large", lambda a: a.no("ACQ.X", sign=False, node="error_response"), "answer incomplete, ACQ.X"),
        ("is ours", lambda a: a.says(TRADE, key=a.app_key), "answer forged, 10000"),
        ("has another amount", lambda a: tampered(a, b"99.00", b"99.01"), "answer forged, 10000"),
        ("is written anew", lambda a: tampered(a, b'": "', b'":"'), "answer forged, 10000"),
        ("has a field more", lambda a: tampered(a, b'"code"', b'"x":"","code"'), "answer forged, 10000"),
        ("is unknown to Alipay", lambda a: a.no("isp.unknow-error", code="20000"), "isp.unknow-error"),
        ("is an error of Alipay's", lambda a: a.no("ACQ.SYSTEM_ERROR"), "ACQ.SYSTEM_ERROR"),
        ("is an error on the way", lambda a: a.no("aop.ACQ.SYSTEM_ERROR"), "aop.ACQ.SYSTEM_ERROR"),
        ("is about another payment", lambda a: a.says(TRADE | {"out_trade_no": "KM-00000002"}), "answer to another"),
        ("has no amount", lambda a: a.says(TRADE | {"total_amount": "1e2"}), "answer malformed at total_amount"),
        ("has no amount at all", lambda a: a.says(TRADE | {"total_amount": True}), "answer malformed at total_amount"),
        ("has a code that is none", lambda a: a.says({"code": "<b>"}), "answer malformed at code"),
    ],
)
def test_an_outcome_nobody_can_vouch_for_is_unknown(alipay, label, answer, detail):
    with listening(answer(alipay)) as server, pytest.raises(ChannelUnknown) as unknown:
        run(alipay.gateway(server.url).query(NUMBER))
    assert unknown.value.detail.startswith(detail), label
    assert not any(value in str(unknown.value) for value in (NUMBER, "99.00", "159****", "1e2"))


def test_an_answer_by_the_key_before_is_believed_while_it_is_held(alipay):
    both = alipay.account(public_keys_pem=(public_pem_of(alipay.key), public_pem_of(alipay.old_key)))
    with listening(alipay.says(TRADE, key=alipay.old_key)) as server:
        assert run(alipay.gateway(server.url, account=both).query(NUMBER)) == FACT


def test_nobody_listening_and_nobody_answering_are_unknown(alipay):
    with listening(lambda asked: Said(200, {}, b"{", length=500)) as server:
        with pytest.raises(ChannelUnknown) as unknown:
            run(alipay.gateway(server.url, outbound=Outbound(total_seconds=1)).refund(REFUND))
        assert (unknown.value.detail, len(server.asked)) == ("RemoteProtocolError", 1)
    with pytest.raises(ChannelUnknown) as unknown:
        run(alipay.gateway(server.url).refund(REFUND))
    assert unknown.value.detail == "ConnectError"


@pytest.mark.parametrize("address", ["ftp://openapi.alipay.com", "openapi.alipay.com", "https://a:b@c"])
def test_an_address_is_http(alipay, address):
    with pytest.raises(ValueError, match="alipay"):
        alipay.gateway(address)
