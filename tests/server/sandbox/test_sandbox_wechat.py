"""The sandbox's WeChat Pay against `wechatpayv3`: what that signs holds here, what the sandbox signs holds there."""

import base64
import json
import re
import secrets
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from tests.rsa_keys import rsa_key
from tests.server.sandbox.wechat_shop import (
    APP_ID,
    MCHID,
    NOBODY,
    SERIAL,
    WechatShop,
    in_a_quarter,
    refusal,
    said,
)

NATIVE = "/v3/pay/transactions/native"
BEIJING_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00")


@pytest.fixture
def shop(wechat_shop):
    return wechat_shop


@pytest.fixture
def told(number):
    """The path of this test's notifications."""
    return f"/wechat/{number}"


# --- orders ---


def test_a_code_is_ordered_scanned_paid_and_told(shop, receiver, number, told):
    code_url = shop.native(number, receiver.url(told), attach="柜台 3", time_expire=in_a_quarter())
    assert re.fullmatch(r"weixin://wxpay/bizpayurl\?pr=[0-9A-Za-z_-]{32}", code_url)
    assert shop.query(number) == {
        "appid": APP_ID,
        "mchid": MCHID,
        "out_trade_no": number,
        "trade_state": "NOTPAY",
        "trade_state_desc": "订单未支付",
        "promotion_detail": [],
        "attach": "柜台 3",
        "amount": {"total": 12880, "currency": "CNY"},
    }
    page = shop.page_of(code_url)
    assert "微信支付" in shop.http.get(page).text
    shop.submit(page)
    paid = shop.query(number)
    assert re.fullmatch(r"4200\d{24}", paid["transaction_id"])
    assert BEIJING_TIME.fullmatch(paid["success_time"])
    assert paid["amount"] == {"total": 12880, "payer_total": 12880, "currency": "CNY", "payer_currency": "CNY"}
    assert (paid["trade_state"], paid["trade_type"], paid["attach"]) == ("SUCCESS", "NATIVE", "柜台 3")

    callback = receiver.next(told)
    opened = shop.opened(callback)
    assert (opened["event_type"], opened["resource_type"]) == ("TRANSACTION.SUCCESS", "encrypt-resource")
    assert opened["resource"] == paid
    assert said(shop.sdk.query(transaction_id=paid["transaction_id"])) == (200, paid)
    # A changed byte, and a resource sealed for somebody else, do not pass.
    broken = callback.raw.replace(b'"summary"', b'"Summary"')
    assert shop.sdk.callback(callback.headers, broken) is None


def test_slashes_are_escaped_and_what_is_signed_is_what_is_sent(shop, number):
    answer = shop.call("POST", "/wechat/v3/pay/transactions/native", shop.order(number))
    assert answer.content.startswith(b'{"code_url":"weixin:\\/\\/wxpay\\/bizpayurl?pr=')
    assert answer.headers["wechatpay-signature-type"] == "WECHATPAY2-SHA256-RSA2048"


def test_a_repeated_order_is_the_same_one_and_another_content_is_refused(shop, number):
    again = [shop.native(number, attach="x") for _ in range(2)]
    assert again[0] == again[1]
    for changed in ({"total": 12881}, {"attach": "y"}, {"notify_url": "http://127.0.0.1:9/other"}):
        wanted = {"attach": "x", "notify_url": NOBODY, "total": 12880} | changed
        amount = {"total": wanted.pop("total")}
        status, content = said(shop.sdk.pay("星海网游点卡 × 1", number, amount, **wanted))
        assert (status, content) == (
            400,
            {"code": "INVALID_REQUEST", "message": "请求重入时，参数与首次请求时不一致"},
        )
    shop.submit(shop.page_of(again[0]))
    paid = shop.sdk.pay("星海网游点卡 × 1", number, {"total": 12880}, attach="x")
    assert refusal(paid) == (400, "ORDERPAID")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"out_trade_no": "short"}, "/out_trade_no"),
        ({"out_trade_no": "x" * 33}, "/out_trade_no"),
        ({"description": ""}, "/description"),
        ({"description": None}, "/description"),
        ({"attach": None}, "/attach"),
        ({"attach": ""}, "/attach"),
        ({"notify_url": "http://127.0.0.1:9/notify?x=1"}, "/notify_url"),
        ({"notify_url": "ftp://127.0.0.1/"}, "/notify_url"),
        ({"amount": {"total": 0}}, "/amount/total"),
        ({"amount": {"total": 1.5}}, "/amount/total"),
        ({"amount": {"total": "1"}}, "/amount/total"),
        ({"amount": {"total": 1, "currency": "USD"}}, "/amount/currency"),
        ({"time_expire": "2036-01-01T00:00:00"}, "/time_expire"),
        ({"time_expire": None}, "/time_expire"),
        ({"mchid": "9012345679"}, "mchid"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_order_out_of_shape_is_refused_and_opens_nothing(shop, number, changes, field):
    answer = shop.call("POST", NATIVE, shop.order(number) | changes)
    content = answer.json()
    assert (answer.status_code, content["code"], content["detail"]["field"]) == (400, "PARAM_ERROR", field)
    assert refusal(shop.sdk.query(out_trade_no=number)) == (404, "ORDER_NOT_EXIST")


def test_an_app_of_somebody_else_is_refused(shop, number):
    answer = shop.call("POST", NATIVE, shop.order(number, appid="wxsandbox99999999"))
    assert (answer.status_code, answer.json()["code"]) == (400, "APPID_MCHID_NOT_MATCH")


def test_closing_says_yes_to_any_number_that_is_not_paid(shop, number):
    page = shop.page_of(shop.native(number))
    assert [shop.sdk.close(which)[0] for which in (number, number, f"{number}unknown")] == [204, 204, 204]
    assert shop.query(number)["trade_state"] == "CLOSED"
    assert refusal(shop.sdk.query(out_trade_no=f"{number}unknown")) == (404, "ORDER_NOT_EXIST")
    assert refusal(shop.sdk.pay("星海网游点卡 × 1", number, {"total": 12880})) == (400, "ORDER_CLOSED")
    shop.submit(page)
    assert shop.query(number)["trade_state"] == "CLOSED"

    shop.paid(f"{number}paid")
    assert refusal(shop.sdk.close(f"{number}paid")) == (400, "ORDERPAID")


def test_what_is_paid_late_or_twice_is_money_all_the_same(shop, receiver, number, told):
    page = shop.page_of(shop.native(number, receiver.url(told)))
    shop.sdk.close(number)
    shop.submit(page, "late")
    late = shop.opened(receiver.next(told))["resource"]
    assert shop.query(number)["transaction_id"] == late["transaction_id"]

    shop.submit(page, "again")
    twice = shop.opened(receiver.next(told))["resource"]
    assert (twice["out_trade_no"], twice["transaction_id"] != late["transaction_id"]) == (number, True)
    assert said(shop.sdk.query(transaction_id=twice["transaction_id"])) == (200, twice)
    assert shop.query(number)["transaction_id"] == late["transaction_id"]


def test_cancelling_and_an_empty_purse_charge_nothing(shop, number):
    page = shop.page_of(shop.native(number))
    shop.submit(page, "cancel")
    answer = shop.submit(page, "insufficient")
    assert "余额不足，没有扣款" in shop.http.get(shop.sandbox.url + answer.headers["location"]).text
    assert shop.query(number)["trade_state"] == "NOTPAY"


# --- the other doors ---


def h5(shop, number):
    scene = {"payer_client_ip": "203.0.113.7", "h5_info": {"type": "Wap"}}
    answer = shop.call("POST", "/v3/pay/transactions/h5", shop.order(number, scene_info=scene))
    assert answer.status_code == 200, answer.text
    return answer.json()["h5_url"]


def test_a_phone_needs_a_referrer_and_a_registered_way_back(shop, number):
    for scene in (None, {"payer_client_ip": "here", "h5_info": {"type": "Wap"}}, {"h5_info": {"type": "Wap"}}):
        content = shop.order(number) | ({"scene_info": scene} if scene else {})
        refused = shop.call("POST", "/v3/pay/transactions/h5", content)
        assert (refused.status_code, refused.json()["code"]) == (400, "PARAM_ERROR")

    shop.register(h5_domains=["shop.example"])
    url, referer = h5(shop, number), {"Referer": "http://shop.example/o/1"}
    allowed = f"{url}&redirect_url=http%3A%2F%2Fshop.example%2Fo%2F1"
    for wanted, headers, why in (
        (allowed, {}, "没有 Referer"),
        (allowed, referer | {"User-Agent": "Mozilla MicroMessenger/8.0"}, "请在微信外打开"),
        (f"{url}&redirect_url=http%3A%2F%2Fother.example%2F", referer, "没有登记"),
        (f"{url}&redirect_url=javascript%3Aalert(1)", referer, "没有登记"),
    ):
        answer = shop.http.get(wanted, headers=headers)
        assert (answer.status_code, why in answer.text) == (403, True), why
    answer = shop.http.get(allowed, headers=referer)
    shop.register()
    page = shop.sandbox.url + answer.headers["location"]
    shop.submit(page)
    assert 'href="http://shop.example/o/1"' in shop.http.get(f"{page}/result").text
    assert shop.query(number)["trade_type"] == "MWEB"


def test_inside_wechat_the_payer_is_the_openid_that_ordered(shop, receiver, number, told):
    order = shop.order(number, payer={"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}, notify_url=receiver.url(told))
    assert shop.call("POST", "/v3/pay/transactions/jsapi", shop.order(number)).status_code == 400
    prepay_id = shop.call("POST", "/v3/pay/transactions/jsapi", order).json()["prepay_id"]
    timestamp, nonce, package = str(int(time.time())), secrets.token_hex(16), f"prepay_id={prepay_id}"
    call = {"appId": APP_ID, "timeStamp": timestamp, "nonceStr": nonce, "package": package, "signType": "RSA"}
    signed = call | {"paySign": shop.sdk.sign([APP_ID, timestamp, nonce, package])}
    for wrong in ({"appId": "wxsandbox99999999"}, {"timeStamp": "1"}, {"signType": "MD5"}, {"paySign": ""}):
        assert shop.http.get(f"{shop.sandbox.url}/wechat/jsapi", params=signed | wrong).status_code == 403
    answer = shop.http.get(f"{shop.sandbox.url}/wechat/jsapi", params=signed)
    shop.submit(shop.sandbox.url + answer.headers["location"])
    assert shop.opened(receiver.next(told))["resource"]["payer"] == {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}


SECRET, INSIDE = "5a" * 16, "MicroMessenger/8.0.50"
BACK = "https://shop.example/o/1/wechat/back"


def authorised(shop, *, person="anna", agent=INSIDE, **changed):
    """Where the browser of a person is led."""
    asked = {"appid": APP_ID, "redirect_uri": BACK, "response_type": "code", "scope": "snsapi_base", "state": "s1"}
    headers = {"User-Agent": f"{agent} SandboxPerson/{person}"}
    address = f"{shop.sandbox.url}/wechat/connect/oauth2/authorize"
    return shop.http.get(address, params=asked | changed, headers=headers)


def code_of(shop, **options):
    led = authorised(shop, **options)
    assert (led.status_code, led.headers["location"].split("?")[0]) == (302, BACK), led.text
    given = dict(parse_qsl(urlsplit(led.headers["location"]).query))
    assert given.pop("state") == "s1"
    return given["code"]


def granted(shop, worth, **changed):
    asked = {"appid": APP_ID, "secret": SECRET, "code": worth, "grant_type": "authorization_code"} | changed
    answer = shop.http.get(f"{shop.sandbox.url}/wechat/sns/oauth2/access_token", params=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    return answer.json()


def test_a_person_is_known_by_a_code_that_counts_once_and_pays_alone(shop, number):
    shop.register(app_secrets={APP_ID: SECRET}, oauth_domains=["shop.example"])
    anna, again, ben = (granted(shop, code_of(shop, person=one))["openid"] for one in ("anna", "anna", "ben"))
    assert (anna == again, anna == ben, len(anna)) == (True, False, 28)
    code = code_of(shop)
    for wrong, errcode in (
        ({"appid": "wxsandbox99999999"}, 40013),
        ({"secret": "x" * 32}, 40125),
        ({"grant_type": "code"}, 40002),
        ({"code": ""}, 41008),
        ({"code": "f" * 32}, 40029),
    ):
        assert granted(shop, code, **wrong)["errcode"] == errcode
    assert granted(shop, code)["openid"] == anna
    assert granted(shop, code)["errcode"] == 40163
    for fault, answer in (
        ("busy", ("errcode", -1)),
        ("bad_code", ("errcode", 40029)),
        ("snapshot", ("is_snapshotuser", 1)),
    ):
        shop.fault("oauth", fault, times=1, call="payer")
        assert granted(shop, code_of(shop))[answer[0]] == answer[1]
    old = code_of(shop)
    shop.fault("clock_seconds", "301")
    assert granted(shop, old)["errcode"] == 40029
    shop.end_faults()
    shop.fault("oauth", "deny", times=1)
    assert authorised(shop).headers["location"] == f"{BACK}?state=s1"
    for changed in (
        {"agent": "Chrome/130"},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "javascript:alert(1)"},
        {"appid": "wxsandbox99999999"},
        {"scope": "all"},
        {"state": "a-b"},
        {"more": "1"},
    ):
        assert authorised(shop, **changed).status_code in {400, 403}, changed

    order = shop.order(number, payer={"openid": anna})
    package = f"prepay_id={shop.call('POST', '/v3/pay/transactions/jsapi', order).json()['prepay_id']}"
    timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
    call = {"appId": APP_ID, "timeStamp": timestamp, "nonceStr": nonce, "package": package, "signType": "RSA"}
    call["paySign"] = shop.sdk.sign([APP_ID, timestamp, nonce, package])
    for person, status in (("ben", 403), ("anna", 303)):
        headers = {"User-Agent": f"{INSIDE} SandboxPerson/{person}"}
        answer = shop.http.get(f"{shop.sandbox.url}/wechat/jsapi", params=call, headers=headers)
        assert answer.status_code == status, answer.text
    shop.register()


def test_the_same_name_is_the_same_payer_and_without_one_somebody_new_pays(shop, receiver, number, told):
    page = shop.page_of(shop.native(f"{number}0", receiver.url(told)))
    assert 'name="fault_payer" maxlength="32"' in shop.http.get(page).text
    seen = []
    for n, person in enumerate(("小安", "小安", "小本", None, None)):
        shop.paid(f"{number}{n + 1}", receiver.url(told), **({} if person is None else {"payer": person}))
        seen.append(shop.opened(receiver.next(told))["resource"]["payer"]["openid"])
    assert (seen[0] == seen[1], len(set(seen)), {len(one) for one in seen}) == (True, 4, {28})


# --- who may ask, and who answers ---


def _changed_body(shop, target, body):
    return target, shop.authorization("POST", target, body), body.replace(b"12880", b"1")


def _changed_target(shop, target, body):
    return target + "?x=1", shop.authorization("POST", target, body), body


def _other_method(shop, target, body):
    return target, shop.authorization("GET", target, body), body


def _other_key(shop, target, body):
    return target, shop.authorization("POST", target, body, key=rsa_key("stranger")), body


def _other_serial(shop, target, body):
    return target, shop.authorization("POST", target, body, serial="1" * 40), body


def _stranger(shop, target, body):
    return target, shop.authorization("POST", target, body, mchid="9000000000"), body


def _late(shop, target, body):
    return target, shop.authorization("POST", target, body, timestamp=int(time.time()) - 302), body


def _early(shop, target, body):
    return target, shop.authorization("POST", target, body, timestamp=int(time.time()) + 310), body


def _no_signature(_shop, target, body):
    return target, "WECHATPAY2-SHA256-RSA2048 mchid=", body


@pytest.mark.parametrize(
    "forge",
    [
        _changed_body,
        _changed_target,
        _other_method,
        _other_key,
        _other_serial,
        _stranger,
        _late,
        _early,
        _no_signature,
    ],
)
def test_a_request_not_proven_to_be_the_merchants_is_refused(shop, number, forge):
    body = json.dumps(shop.order(number)).encode()
    target, authorization, body = forge(shop, NATIVE, body)
    serial = {"Wechatpay-Serial": shop.sandbox.ready["wechat_public_key_id"]}
    answer = shop.http.post(shop.sandbox.url + target, content=body, headers=serial | {"Authorization": authorization})
    assert (answer.status_code, answer.json()["code"]) == (401, "SIGN_ERROR")
    assert is_signed_by(shop, answer, "public_key")
    assert refusal(shop.sdk.query(out_trade_no=number)) == (404, "ORDER_NOT_EXIST")


def test_a_nonce_is_accepted_once(shop, number):
    body = json.dumps(shop.order(number)).encode()
    headers = {"Authorization": shop.authorization("POST", NATIVE, body)}
    answers = [shop.http.post(shop.sandbox.url + NATIVE, content=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert "nonce_str" in answers[1].json()["message"]


def is_signed_by(shop, answer, which):
    """Whether an answer was signed by the public key or the certificate that the sandbox handed over."""
    text = Path(shop.sandbox.ready[f"wechat_{which}"]).read_bytes()
    assert text.startswith(b"Kameng sandbox\n")
    if which == "certificate":
        certificate = x509.load_pem_x509_certificate(text)
        key, serial = certificate.public_key(), f"{certificate.serial_number:040X}"
    else:
        key, serial = serialization.load_pem_public_key(text), shop.sandbox.ready["wechat_public_key_id"]
        assert serial.startswith("PUB_KEY_ID_SANDBOX")
        assert f"Id: {serial}\n".encode() in text
    headers = answer.headers
    message = f"{headers['wechatpay-timestamp']}\n{headers['wechatpay-nonce']}\n".encode() + answer.content + b"\n"
    signature = base64.b64decode(headers["wechatpay-signature"], validate=True)
    try:
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return headers["wechatpay-serial"] == serial


def test_answers_are_signed_the_way_the_request_wants_also_when_they_say_nothing(shop, number):
    serial = {"Wechatpay-Serial": shop.sandbox.ready["wechat_public_key_id"]}
    close = (f"/v3/pay/transactions/out-trade-no/{number}/close", {"mchid": MCHID})
    for headers, which, other in ((serial, "public_key", "certificate"), ({}, "certificate", "public_key")):
        for method, target, content, status in (
            ("POST", *close, 204),
            ("GET", f"/v3/pay/transactions/out-trade-no/{number}?mchid={MCHID}", None, 404),
            ("GET", "/wechat/v3/nothing", None, 404),
            ("GET", "/wechat/v3/pay/transactions/native", None, 405),
        ):
            answer = shop.call(method, target, content, **headers)
            assert answer.status_code == status
            assert (is_signed_by(shop, answer, which), is_signed_by(shop, answer, other)) == (True, False)
    unknown = shop.call("POST", *close, **{"Wechatpay-Serial": "PUB_KEY_ID_0000000000000024101100397200000006"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "PARAM_ERROR")


def test_an_old_merchant_fetches_certificates_and_believes_both(shop, receiver, number, told, tmp_path):
    shop.register(mode="certificate")
    sdk = shop.sdk_of_old(tmp_path / "certificates")
    for name in ("certificate", "certificate_2"):
        shop.paid(f"{number}{name}", receiver.url(told), sign_with=name)
        callback = receiver.next(told)
        assert shop.opened(callback, sdk=sdk)["resource"]["trade_state"] == "SUCCESS"
        assert shop.opened(callback, sdk=sdk)["resource"]["out_trade_no"] == f"{number}{name}"
    shop.register()
    assert sorted(path.stem for path in (tmp_path / "certificates").glob("*.pem") if path.stem != "handed") == sorted(
        f"{certificate.serial_number:040X}" for certificate in sdk._core._certificates
    )


# --- live keys ---


def test_a_real_merchant_is_not_taken(sandbox, shop, number):
    with_real_number = WechatShop(sandbox, mchid="1900000109", key=rsa_key("other")).register()
    answer = with_real_number.call("POST", NATIVE, with_real_number.order(number))
    assert (answer.status_code, answer.json()["code"]) == (401, "SIGN_ERROR")
    with_real_number.http.close()
    (Path(sandbox.ready["wechat_merchants"]) / "1900000109.json").unlink()
    shop.register(app_ids=["wxd678efh567hg6787"])
    assert shop.call("POST", NATIVE, shop.order(number)).status_code == 401
    shop.register(serial_no=SERIAL)
