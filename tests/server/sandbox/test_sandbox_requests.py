"""What merchants may ask of the payment sandbox: only what they signed, once, and in shape."""

import json
import re
import secrets
import time

import httpx
import pytest

from tests.rsa_keys import rsa_key
from tests.server.sandbox.peer import Merchant


def test_health_needs_no_signature(sandbox):
    answer = httpx.get(sandbox.url + "/v1/health", trust_env=False)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_payment_is_created_and_found(merchant, sandbox, number):
    answer = merchant.call("POST", "/v1/payments", merchant.payment(number))
    pay_url = answer.json()["pay_url"]
    assert answer.json() == {"out_trade_no": number, "pay_url": pay_url, "qr_text": pay_url, "state": "pending"}
    assert re.fullmatch(re.escape(sandbox.url) + r"/pay/[0-9A-Za-z_-]{32}", pay_url)
    assert merchant.query(number) == {
        "out_trade_no": number,
        "state": "pending",
        "trade_no": None,
        "amount_fen": 12880,
        "currency": "CNY",
        "merchant_id": "shop-1",
        "paid_at": None,
    }


def test_an_answer_altered_on_its_way_does_not_verify(merchant, number):
    answer = merchant.call("POST", "/v1/payments", merchant.payment(number))
    assert re.fullmatch(r"[0-9A-F]{32}", answer.headers["sandbox-serial"])
    assert not merchant.is_from_sandbox(answer.headers, answer.content.replace(b"pending", b"closed!"))
    assert not merchant.is_from_sandbox(answer.headers, answer.content + b" ")


def _other_body(merchant, target, body):
    return target, merchant.headers("POST", target, body), body.replace(b"12880", b"1")


def _other_target(merchant, target, body):
    return target + "?x=1", merchant.headers("POST", target, body), body


def _other_method(merchant, target, body):
    return target, merchant.headers("GET", target, body), body


def _other_key(merchant, target, body):
    return target, Merchant(merchant.sandbox, key=rsa_key("stranger")).headers("POST", target, body), body


def _other_nonce(merchant, target, body):
    return target, merchant.headers("POST", target, body) | {"Sandbox-Nonce": secrets.token_hex(16)}, body


def _short_nonce(merchant, target, body):
    return target, merchant.headers("POST", target, body, nonce="abc"), body


def _late(merchant, target, body):
    return target, merchant.headers("POST", target, body, timestamp=int(time.time()) - 302), body


def _early(merchant, target, body):
    return target, merchant.headers("POST", target, body, timestamp=int(time.time()) + 310), body


def _stranger(merchant, target, body):
    return target, merchant.headers("POST", target, body) | {"Sandbox-Merchant": "shop-2"}, body


def _outside_the_folder(merchant, target, body):
    return target, merchant.headers("POST", target, body) | {"Sandbox-Merchant": "../sandbox_public"}, body


def _no_base64(merchant, target, body):
    return target, merchant.headers("POST", target, body) | {"Sandbox-Signature": "?!"}, body


def _no_headers(_merchant, target, body):
    return target, {}, body


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (_other_body, "the signature does not verify"),
        (_other_target, "the signature does not verify"),
        (_other_method, "the signature does not verify"),
        (_other_key, "the signature does not verify"),
        (_other_nonce, "the signature does not verify"),
        (_no_base64, "the signature does not verify"),
        (_short_nonce, "the signature headers are missing or malformed"),
        (_late, "the timestamp is more than 300 s off the sandbox's clock"),
        (_early, "the timestamp is more than 300 s off the sandbox's clock"),
        (_stranger, "the merchant is not registered, or its public key is unusable"),
        (_outside_the_folder, "the merchant is not registered, or its public key is unusable"),
        (_no_headers, "the merchant is not registered, or its public key is unusable"),
    ],
)
def test_a_request_not_proven_to_be_the_merchants_is_refused(merchant, sandbox, number, forge, reason):
    body = json.dumps(merchant.payment(number)).encode()
    target, headers, body = forge(merchant, "/v1/payments", body)
    answer = merchant.http.post(
        sandbox.url + target, content=body, headers=headers | {"Accept-Language": "en-GB,zh;q=0.5"}
    )
    assert (answer.status_code, answer.json()) == (401, {"code": "SIGN_ERROR", "message": reason})
    assert merchant.is_from_sandbox(answer.headers, answer.content)
    assert merchant.query(number)["code"] == "NOT_FOUND"


def test_a_signature_covers_the_query_string(merchant, number):
    merchant.create(number)
    assert merchant.call("GET", f"/v1/payments/{number}?trace=a%20b&c").json()["state"] == "pending"


def test_a_nonce_is_accepted_once(merchant, sandbox, number):
    body = json.dumps(merchant.payment(number)).encode()
    headers = merchant.headers("POST", "/v1/payments", body)
    first, replayed = (
        merchant.http.post(sandbox.url + "/v1/payments", content=body, headers=headers) for _ in range(2)
    )
    assert first.status_code == 200
    assert (replayed.status_code, replayed.json()) == (401, {"code": "SIGN_ERROR", "message": "随机串已被使用过"})


def test_a_merchants_new_key_counts_at_once(sandbox, number):
    old = Merchant(sandbox, merchant_id=f"m{number}").register()
    old.create(number)
    new = Merchant(sandbox, merchant_id=old.merchant_id, name="换了密钥的商家", key=rsa_key("new")).register()
    assert new.query(number)["state"] == "pending"
    assert old.query(number)["code"] == "SIGN_ERROR"
    (sandbox.data / "merchants" / f"{old.merchant_id}.pem").unlink()
    assert new.query(number)["code"] == "SIGN_ERROR"
    for shop in (old, new):
        shop.http.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"out_trade_no": "short"},
        {"out_trade_no": "x" * 33},
        {"out_trade_no": "KM 000001"},
        {"out_trade_no": "KM000001\n"},
        {"amount_fen": 0},
        {"amount_fen": -1},
        {"amount_fen": 1.5},
        {"amount_fen": "12880"},
        {"amount_fen": True},
        {"amount_fen": 10**18},
        {"currency": "USD"},
        {"subject": ""},
        {"subject": "两\n行"},
        {"subject": "长" * 128},
        {"notify_url": "ftp://127.0.0.1/"},
        {"return_url": "javascript:alert(1)"},
        {"return_url": "http:///nowhere"},
        {"expires_at": "2036-01-01T00:00:00"},
        {"expires_at": 2_000_000_000},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"merchant_id": "shop-2"},
        {"colour": "red"},
        {"subject": None},
    ],
    ids=lambda changes: "{}={!r:.20}".format(*next(iter(changes.items()))),
)
def test_a_request_out_of_shape_is_refused(merchant, number, changes):
    answer = merchant.call("POST", "/v1/payments", merchant.payment(number) | changes)
    assert (answer.status_code, answer.json()["code"]) == (400, "PARAM_ERROR")
    assert merchant.query(number)["code"] == "NOT_FOUND"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":' * 5000])
def test_a_body_that_is_no_json_object_is_refused(merchant, sandbox, body):
    answer = merchant.http.post(
        sandbox.url + "/v1/payments", content=body, headers=merchant.headers("POST", "/v1/payments", body)
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "PARAM_ERROR")


def test_a_huge_request_is_refused(merchant, sandbox):
    answer = merchant.http.post(sandbox.url + "/v1/payments", content=b" " * 70_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")


def test_a_repeated_request_gets_the_same_answer_and_another_content_is_a_conflict(merchant, number):
    content = merchant.payment(number)
    answers = [merchant.call("POST", "/v1/payments", content) for _ in range(2)]
    assert answers[0].content == answers[1].content
    for change in ({"amount_fen": 12881}, {"subject": "别的"}, {"return_url": "http://127.0.0.1/other"}):
        refused = merchant.call("POST", "/v1/payments", content | change)
        assert (refused.status_code, refused.json()["code"]) == (409, "OUT_TRADE_NO_USED")
    assert merchant.query(number)["amount_fen"] == 12880


def test_one_merchant_does_not_see_another_ones_payment(merchant, sandbox, number):
    other = Merchant(sandbox, merchant_id=f"m{number}", key=rsa_key("other")).register()
    merchant.create(number)
    assert other.query(number) == {"code": "NOT_FOUND", "message": "没有这笔付款"}
    assert other.close(number).status_code == 404
    assert other.create(number, amount_fen=1) != merchant.create(number, amount_fen=12880)
    other.http.close()


def test_unknown_addresses_and_methods_get_a_signed_refusal(merchant):
    for method, target, status, code in (
        ("GET", "/v1/nothing", 404, "NOT_FOUND"),
        ("DELETE", "/v1/refunds", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/refunds/KM-none-00", 404, "NOT_FOUND"),
    ):
        answer = merchant.call(method, target)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
