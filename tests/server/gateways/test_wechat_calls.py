"""WeChat Pay is asked: what is sent to the byte, what an answer must be to be believed, which host hears what."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from server.gateways.port import (
    ChannelRefused,
    ChannelUnknown,
    CreatePayment,
    CreateRefund,
    Payer,
    PaymentFact,
    PaymentOpened,
    RefundFact,
)
from tests.server.gateways.listener import Said, listening, unsigned
from tests.server.gateways.wechat_pay import NONCE, NOW, PAID, REFUNDED

NUMBER = "KM-00000001"
BODY = (
    '{"appid":"%s","mchid":"1900000109","description":"Steam 充值卡 × 2","out_trade_no":"KM-00000001",'
    '"time_expire":"2026-11-22T17:29:03+08:00","notify_url":"https://shop.example/pay/wechat/notify",'
    '"amount":{"total":9900,"currency":"CNY"}%s}'
)


def payment(product="qr", **changes):
    return CreatePayment(
        **{
            "out_trade_no": NUMBER,
            "amount_fen": 9_900,
            "subject": "Steam 充值卡 × 2",
            "notify_url": "https://shop.example/pay/wechat/notify",
            "return_url": "https://shop.example/o/7K3M9QX2H4TD?from=wechat&x=1",
            "expires_at": NOW + timedelta(minutes=15),
            "product": product,
            "payer": Payer(ip="203.0.113.7", user_id="oUpF8uMuAJO"),
        }
        | changes
    )


def run(work):
    return asyncio.run(work)


def asked_of(wechat, answer, call, **changes):
    """What `call(gateway)` gives, and the requests it made, each signed as it must be."""
    with listening(answer) as server:
        given = run(call(wechat.gateway(server.url, **changes)))
    for one in server.asked:
        wechat.check(one)
    return given, server


# --- opening ---


def test_a_code_to_scan(wechat):
    answer = wechat.says({"code_url": "weixin://wxpay/bizpayurl?pr=p4lpSuKzz"})
    opened, server = asked_of(wechat, answer, lambda gateway: gateway.create(payment()))
    assert opened == PaymentOpened(pay_url=None, qr_text="weixin://wxpay/bizpayurl?pr=p4lpSuKzz")
    assert server.targets == ["POST /v3/pay/transactions/native"]
    assert server.asked[0].body.decode() == BODY % ("wxd678efh567hg6787", "")


@pytest.mark.parametrize(
    ("product", "answer", "more"),
    [
        ("qr", {"code_url": "weixin://wxpay/x"}, ""),
        (
            "h5",
            {"h5_url": "https://wx.tenpay.com/x"},
            ',"scene_info":{"payer_client_ip":"203.0.113.7","h5_info":{"type":"Wap"}}',
        ),
        ("jsapi", {"prepay_id": "wx20"}, ',"payer":{"openid":"oUpF8uMuAJO"}'),
    ],
)
def test_what_is_to_be_split_is_ordered_so(wechat, product, answer, more):
    wanted = payment(product, is_shared=True)
    _, server = asked_of(wechat, wechat.says(answer), lambda gateway: gateway.create(wanted))
    shared = ',"settle_info":{"profit_sharing":true}'
    assert server.asked[0].body.decode() == BODY % ("wxd678efh567hg6787", shared + more)


def test_a_repeat_sends_the_same_bytes(wechat):
    async def twice(gateway):
        return [await gateway.create(payment()), await gateway.create(payment())]

    opened, server = asked_of(wechat, wechat.says({"code_url": "weixin://wxpay/x"}), twice)
    assert opened[0] == opened[1]
    assert server.asked[0].body == server.asked[1].body


def test_a_phone_opens_wechat_and_comes_back(wechat):
    h5 = "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id=wx20&package=15"
    opened, server = asked_of(wechat, wechat.says({"h5_url": h5}), lambda gateway: gateway.create(payment("h5")))
    back = "https%3A%2F%2Fshop.example%2Fo%2F7K3M9QX2H4TD%3Ffrom%3Dwechat%26x%3D1"
    until = NOW + timedelta(minutes=5)
    assert opened == PaymentOpened(pay_url=f"{h5}&redirect_url={back}", qr_text=None, valid_until=until)
    assert server.targets == ["POST /v3/pay/transactions/h5"]
    scene = ',"scene_info":{"payer_client_ip":"203.0.113.7","h5_info":{"type":"Wap"}}'
    assert server.asked[0].body.decode() == BODY % ("wxd678efh567hg6787", scene)


@pytest.mark.parametrize(
    ("product", "app_id"), [("jsapi", "wxd678efh567hg6787"), ("mini_program", "wxmini67hg6787efh5")]
)
def test_a_page_inside_wechat_gets_a_call_signed_for_its_application(wechat, product, app_id):
    answer = wechat.says({"prepay_id": "wx201410272009395522657a690389285100"})
    opened, server = asked_of(wechat, answer, lambda gateway: gateway.create(payment(product)))
    assert server.targets == ["POST /v3/pay/transactions/jsapi"]
    assert server.asked[0].body.decode() == BODY % (app_id, ',"payer":{"openid":"oUpF8uMuAJO"}')
    assert (opened.pay_url, opened.qr_text, opened.valid_until) == (None, None, None)
    call = dict(opened.invoke)
    signature = base64.b64decode(call.pop("paySign"))
    package, timestamp = "prepay_id=wx201410272009395522657a690389285100", str(int(NOW.timestamp()))
    assert call == {
        "appId": app_id,
        "timeStamp": timestamp,
        "nonceStr": NONCE,
        "package": package,
        "signType": "RSA",
    }
    message = f"{app_id}\n{timestamp}\n{NONCE}\n{package}\n".encode()
    wechat.merchant_key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("label", "account", "wanted", "reason"),
    [
        ("an iPhone's mini program", {}, payment("mini_program", payer=Payer(system="ios")), "IOS_NOT_ALLOWED"),
        ("no mini program", {"mini_app_id": None}, payment("mini_program"), "PRODUCT_NOT_OFFERED"),
        ("a computer's page", {}, payment("page"), "PRODUCT_NOT_OFFERED"),
    ],
)
def test_what_may_not_be_sold_is_not_asked_for(wechat, label, account, wanted, reason):
    with listening(wechat.says({})) as server:
        gateway = wechat.gateway(server.url, account=wechat.account(**account))
        with pytest.raises(ChannelRefused) as refusal:
            run(gateway.create(wanted))
    assert (refusal.value.reason_code, server.asked) == (reason, []), label
    assert (wanted.product in gateway.products) == (reason == "IOS_NOT_ALLOWED")


def test_an_iphone_pays_everywhere_else(wechat):
    wanted = payment("jsapi", payer=Payer(user_id="oUpF8uMuAJO", system="ios"))
    answer = wechat.says({"prepay_id": "wx2014"})
    assert asked_of(wechat, answer, lambda gateway: gateway.create(wanted))[0].invoke


@pytest.mark.parametrize(("subject", "description"), [("卡" * 100, "卡" * 42), ("🎮 卡", "卡"), ("🎮", NUMBER)])
def test_a_subject_is_cut_between_characters_and_has_none_that_is_refused(wechat, subject, description):
    wanted = payment(subject=subject)
    _, server = asked_of(wechat, wechat.says({"code_url": "weixin://wxpay/x"}), lambda g: g.create(wanted))
    assert json.loads(server.asked[0].body)["description"] == description


@pytest.mark.parametrize(
    "wanted",
    [
        payment(out_trade_no="../../refund"),
        payment(out_trade_no="short"),
        payment(notify_url="https://shop.example/notify?a=1"),
        payment("h5", payer=Payer()),
        payment("jsapi", payer=Payer()),
    ],
)
def test_a_mistake_of_the_program_never_leaves_it(wechat, wanted):
    with listening(wechat.says({})) as server, pytest.raises(AssertionError):
        run(wechat.gateway(server.url).create(wanted))
    assert server.asked == []


# --- asking and closing ---

FACT = PaymentFact(
    channel="wechat",
    out_trade_no=NUMBER,
    provider_no="4200001101202611220000000001",
    merchant_id="1900000109",
    amount_fen=9_900,
    currency="CNY",
    state="paid",
    paid_at=datetime(2026, 11, 22, 9, 14, 1, tzinfo=UTC),
    event_id=None,
    app_id="wxd678efh567hg6787",
    payer_total_fen=9_400,
)
UNPAID = {name: PAID[name] for name in ("appid", "mchid", "out_trade_no", "attach")}
QUERY = f"GET /v3/pay/transactions/out-trade-no/{NUMBER}?mchid=1900000109"
CLOSE = f"POST /v3/pay/transactions/out-trade-no/{NUMBER}/close"


def state(word):
    return UNPAID | {"trade_state": word, "transaction_id": "", "amount": {"payer_currency": "CNY", "total": 9_900}}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("NOTPAY", "pending"),
        ("USERPAYING", "pending"),
        ("PAYERROR", "pending"),
        ("ACCEPT", "pending"),
        ("CLOSED", "closed"),
        ("REVOKED", "closed"),
    ],
)
def test_what_is_not_paid_has_no_number_and_no_time(wechat, word, expected):
    fact, server = asked_of(wechat, wechat.says(state(word)), lambda gateway: gateway.query(NUMBER))
    assert fact == PaymentFact(
        channel="wechat",
        out_trade_no=NUMBER,
        provider_no=None,
        merchant_id="1900000109",
        amount_fen=9_900,
        currency="CNY",
        state=expected,
        paid_at=None,
        event_id=None,
        app_id="wxd678efh567hg6787",
    )
    assert server.targets == [QUERY]
    assert server.asked[0].body == b""


def test_what_is_paid_and_what_went_back(wechat):
    assert asked_of(wechat, wechat.says(PAID), lambda gateway: gateway.query(NUMBER))[0] == FACT
    back = asked_of(wechat, wechat.says(PAID | {"trade_state": "REFUND"}), lambda gateway: gateway.query(NUMBER))[0]
    assert (back.state, back.provider_no, back.paid_at) == ("refunded", FACT.provider_no, FACT.paid_at)


def test_an_amount_that_is_not_named_is_zero(wechat):
    unpaid = UNPAID | {"trade_state": "NOTPAY"}
    fact, _ = asked_of(wechat, wechat.says(unpaid), lambda gateway: gateway.query(NUMBER))
    assert (fact.state, fact.amount_fen, fact.currency) == ("pending", 0, "CNY")


@pytest.mark.parametrize("code", ["ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"])
def test_what_wechat_pay_does_not_know_is_none(wechat, code):
    answer = wechat.says({"code": code, "message": "订单不存在"}, 404)
    assert asked_of(wechat, answer, lambda gateway: gateway.query(NUMBER))[0] is None
    assert asked_of(wechat, answer, lambda gateway: gateway.query_refund("R-00000001"))[0] is None


def test_a_refusal_of_a_question_is_not_taken_for_an_answer(wechat):
    with listening(wechat.says({"code": "NO_AUTH"}, 403)) as server:
        gateway = wechat.gateway(server.url)
        for question in (gateway.query(NUMBER), gateway.query_refund("R-00000001"), gateway.close(NUMBER)):
            with pytest.raises(ChannelRefused) as refusal:
                run(question)
            assert refusal.value.reason_code == "NO_AUTH"
    assert len(server.asked) == 3


def test_an_answer_by_either_key_is_believed(wechat):
    answer = wechat.says(PAID, serial=wechat.certificate_serial)
    assert asked_of(wechat, answer, lambda gateway: gateway.query(NUMBER))[0] == FACT


@pytest.mark.parametrize(
    ("label", "then", "reason"),
    [
        ("it is closed", (state("CLOSED"), 200), None),
        ("money came first", (PAID, 200), "ALREADY_PAID"),
        ("money came and went", (PAID | {"trade_state": "REFUND"}, 200), "ALREADY_PAID"),
        ("nobody knows the number", ({"code": "ORDER_NOT_EXIST"}, 404), "NOT_FOUND"),
    ],
)
def test_a_yes_to_closing_is_worth_what_the_query_says(wechat, label, then, reason):
    answers = [wechat.says(b"", 204), wechat.says(*then)]
    with listening(answers) as server:
        gateway = wechat.gateway(server.url)
        if reason is None:
            assert run(gateway.close(NUMBER)) is None
        else:
            with pytest.raises(ChannelRefused) as refusal:
                run(gateway.close(NUMBER))
            assert refusal.value.reason_code == reason, label
    assert server.targets == [CLOSE, QUERY]
    assert server.asked[0].body == b'{"mchid":"1900000109"}'


def test_what_was_closed_before_is_closed(wechat):
    with listening([wechat.says({"code": "ORDER_CLOSED"}, 400), wechat.says(state("CLOSED"))]) as server:
        assert run(wechat.gateway(server.url).close(NUMBER)) is None
    assert server.targets == [CLOSE, QUERY]


def test_opening_what_is_paid_says_so(wechat):
    with listening(wechat.says({"code": "ORDERPAID"}, 400)) as server, pytest.raises(ChannelRefused) as refusal:
        run(wechat.gateway(server.url).create(payment()))
    assert refusal.value.reason_code == "ALREADY_PAID"


def test_closed_and_still_open_is_unknown(wechat):
    with listening([wechat.says(b"", 204), wechat.says(state("NOTPAY"))]) as server, pytest.raises(ChannelUnknown):
        run(wechat.gateway(server.url).close(NUMBER))


@pytest.mark.parametrize("code", ["ORDERPAID", "ORDER_PAID"])
def test_closing_what_is_paid_says_so(wechat, code):
    with listening(wechat.says({"code": code}, 400)) as server, pytest.raises(ChannelRefused) as refusal:
        run(wechat.gateway(server.url).close(NUMBER))
    assert (refusal.value.reason_code, server.targets) == ("ALREADY_PAID", [CLOSE])


# --- refunds ---

REFUND = CreateRefund("R-00000001", NUMBER, 4_000, "缺货", total_fen=9_900, notify_url="https://shop.example/r")
REFUND_ANSWER = {name: value for name, value in REFUNDED.items() if name not in {"mchid", "refund_status"}} | {
    "status": "PROCESSING",
    "create_time": "2026-11-22T17:19:00+08:00",
}
del REFUND_ANSWER["success_time"]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("PROCESSING", "processing"), ("SUCCESS", "succeeded"), ("ABNORMAL", "abnormal"), ("CLOSED", "closed")],
)
def test_a_refund_is_asked_for_once_and_followed(wechat, status, outcome):
    answer = wechat.says(REFUND_ANSWER | {"status": status})
    fact, server = asked_of(wechat, answer, lambda gateway: gateway.refund(REFUND))
    assert fact == RefundFact("R-00000001", "50300907072026112200000000001", NUMBER, 4_000, outcome)
    assert server.targets == ["POST /v3/refund/domestic/refunds"]
    assert server.asked[0].body.decode() == (
        '{"out_trade_no":"KM-00000001","out_refund_no":"R-00000001","amount":{"refund":4000,"total":9900,'
        '"currency":"CNY"},"reason":"缺货","notify_url":"https://shop.example/r"}'
    )
    found, server = asked_of(wechat, answer, lambda g: g.query_refund("R-00000001", out_trade_no=NUMBER))
    assert found == fact
    assert server.targets == ["GET /v3/refund/domestic/refunds/R-00000001"]


def test_what_is_optional_and_empty_is_not_sent(wechat):
    plain = CreateRefund("R-00000001", NUMBER, 4_000, "", total_fen=9_900)
    _, server = asked_of(wechat, wechat.says(REFUND_ANSWER), lambda gateway: gateway.refund(plain))
    assert set(json.loads(server.asked[0].body)) == {"out_trade_no", "out_refund_no", "amount"}


def test_a_finished_refund_has_its_time_in_utc(wechat):
    answer = wechat.says(REFUND_ANSWER | {"status": "SUCCESS", "success_time": "2026-11-23T00:10:00+08:00"})
    fact, _ = asked_of(wechat, answer, lambda gateway: gateway.query_refund("R-00000001"))
    assert (fact.state, fact.refunded_at) == ("succeeded", datetime(2026, 11, 22, 16, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("NOT_ENOUGH", 403, "NOT_ENOUGH_BALANCE"),
        ("FREQUENCY_LIMITED", 429, "TOO_OFTEN"),
        ("RATE_LIMITED", 429, "TOO_OFTEN"),
        ("RESOURCE_NOT_EXISTS", 404, "NOT_FOUND"),
        ("USER_ACCOUNT_ABNORMAL", 403, "USER_ACCOUNT_ABNORMAL"),
        ("INVALID_REQUEST", 400, "INVALID_REQUEST"),
    ],
)
def test_a_signed_no_is_a_refusal(wechat, code, status, reason):
    answer = wechat.says({"code": code, "message": "商户号 1900000109 余额不足"}, status)
    with listening(answer) as server, pytest.raises(ChannelRefused) as refusal:
        run(wechat.gateway(server.url).refund(REFUND))
    assert (refusal.value.reason_code, len(server.asked)) == (reason, 1)
    assert "1900000109" not in str(refusal.value)


# --- answers nobody can vouch for ---


def without_a_header(wechat, name):
    def answer(asked):
        said = wechat.says(PAID)(asked)
        return Said(said.status, {key: value for key, value in said.headers.items() if key != name}, said.body)

    return answer


@pytest.mark.parametrize(
    ("label", "answer", "detail"),
    [
        ("fails", lambda w: w.says({"code": "SYSTEM_ERROR"}, 500), "status 500"),
        ("is a proxy's page", lambda _: unsigned(502, b"<html>"), "status 502"),
        ("asks for a repeat", lambda w: w.says({"code": "BIZ_ERR_NEED_RETRY"}, 400), "status 400, BIZ_ERR_NEED_RETRY"),
        ("does not know itself", lambda w: w.says({"code": "SYSTEM_ERROR"}, 400), "status 400, SYSTEM_ERROR"),
        ("is not signed", lambda _: unsigned(200, PAID), "answer incomplete, status 200"),
        (
            "says no unsigned",
            lambda _: unsigned(401, {"code": "SIGN_ERROR"}),
            "answer incomplete, status 401, SIGN_ERROR",
        ),
        ("has half its headers", lambda w: without_a_header(w, "Wechatpay-Nonce"), "answer incomplete, status 200"),
        ("is old", lambda w: w.says(PAID, at=NOW - timedelta(minutes=5)), "answer stale, status 200"),
        ("is of the future", lambda w: w.says(PAID, at=NOW + timedelta(minutes=5)), "answer stale, status 200"),
        ("is by a stranger's key", lambda w: w.says(PAID, key=w.merchant_key), "answer forged, status 200"),
        ("is by an unknown key", lambda w: w.says(PAID, serial="5A" * 20), "answer unknown_key, status 200"),
        ("is a signed redirect", lambda w: w.says(b"", 302), "status 302"),
        ("is a no without a code", lambda w: w.says(b"no", 400), "status 400"),
        ("is about another payment", lambda w: w.says(PAID | {"out_trade_no": "KM-00000002"}), "answer to another"),
        ("is not JSON", lambda w: w.says(b"{"), "answer malformed at body"),
        (
            "has an amount with a fraction",
            lambda w: w.says(PAID | {"amount": {"total": 99.5}}),
            "answer malformed at amo",
        ),
        ("is paid by nobody", lambda w: w.says(state("SUCCESS")), "answer malformed at body (paid_incomplete)"),
    ],
)
def test_an_outcome_nobody_can_vouch_for_is_unknown(wechat, label, answer, detail):
    with listening(answer(wechat)) as server, pytest.raises(ChannelUnknown) as unknown:
        run(wechat.gateway(server.url).query(NUMBER))
    assert unknown.value.detail.startswith(detail), label
    assert not any(value in str(unknown.value) for value in (NUMBER, "99.5", "oUpF8u", "signature="))


@pytest.mark.parametrize(
    "changes", [{"out_refund_no": "R-00000002"}, {"out_trade_no": "KM-00000002"}, {"amount": {"refund": 4_001}}]
)
def test_the_answer_to_another_refund_is_unknown(wechat, changes):
    with listening(wechat.says(REFUND_ANSWER | changes)) as server, pytest.raises(ChannelUnknown) as unknown:
        run(wechat.gateway(server.url).refund(REFUND))
    assert unknown.value.detail == "answer to another question"
