"""WeChat Pay tells: what is believed, what is refused and why, and what of it anybody gets to see."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from server.gateways.port import BadSignature, MalformedNotice, NoticeReply, PaymentFact, RefundFact, UnopenableNotice
from tests.rsa_keys import rsa_key
from tests.server.channel import pem_of, public_pem_of
from tests.server.gateways.wechat_pay import (
    API_V3_KEY,
    NEXT_API_V3_KEY,
    NOW,
    PAID,
    PUBLIC_KEY_ID,
    REFUNDED,
    new_certificate,
)

FACT = PaymentFact(
    channel="wechat",
    out_trade_no="KM-00000001",
    provider_no="4200001101202611220000000001",
    merchant_id="1900000109",
    amount_fen=9_900,
    currency="CNY",
    state="paid",
    paid_at=datetime(2026, 11, 22, 9, 14, 1, tzinfo=UTC),
    event_id="EV-2018022511223320873",
    app_id="wxd678efh567hg6787",
    payer_total_fen=9_400,
)


@pytest.fixture(scope="module")
def gateway(wechat):
    return wechat.gateway()


def refusal_of(gateway, headers, body):
    with pytest.raises(BadSignature) as refusal:
        gateway.verify_notify(headers, body)
    return refusal.value.reason


# --- what is believed ---


def test_a_payment_is_told_by_both_kinds_of_key_at_once(wechat, gateway):
    body = wechat.notice(PAID)
    by_public_key, by_certificate = wechat.signed(body), wechat.signed(body, serial=wechat.certificate_serial)
    for headers in (by_public_key, by_certificate, by_public_key):
        assert gateway.verify_notify(headers, body) == FACT
    shouted = {name.upper(): value for name, value in by_public_key.items()}
    assert gateway.verify_notify(shouted, body) == FACT


@pytest.mark.parametrize("spelt", [str.lower, str.upper, lambda serial: serial.lstrip("0")])
def test_a_serial_is_a_number_in_hex_however_it_is_spelt(wechat, gateway, spelt):
    body = wechat.notice(PAID)
    assert wechat.certificate_serial.startswith("0")
    headers = wechat.signed(body, serial=wechat.certificate_serial) | {
        "Wechatpay-Serial": spelt(wechat.certificate_serial)
    }
    assert gateway.verify_notify(headers, body) == FACT


def test_a_replay_states_the_same_fact_and_nothing_is_remembered(wechat, gateway):
    body = wechat.notice(PAID)
    headers = wechat.signed(body)
    assert [gateway.verify_notify(headers, body) for _ in range(3)] == [FACT] * 3


@pytest.mark.parametrize(
    ("event", "status", "outcome"),
    [
        ("REFUND.SUCCESS", "SUCCESS", "succeeded"),
        ("REFUND.ABNORMAL", "ABNORMAL", "abnormal"),
        ("REFUND.CLOSED", "CLOSED", "closed"),
    ],
)
def test_a_refund_is_told_with_its_own_amount(wechat, gateway, event, status, outcome):
    body = wechat.notice(REFUNDED | {"refund_status": status}, event=event, about="refund")
    headers = wechat.signed(body)
    fact = RefundFact(
        out_refund_no="R-00000001",
        refund_no="50300907072026112200000000001",
        out_trade_no="KM-00000001",
        amount_fen=4_000,
        state=outcome,
        merchant_id="1900000109",
        refunded_at=datetime(2026, 11, 22, 9, 20, tzinfo=UTC),
        event_id="EV-2018022511223320873",
        provider_no="4200001101202611220000000001",
    )
    assert gateway.verify_notify(headers, body) == gateway.verify_refund_notify(headers, body) == fact


def test_a_payment_is_no_refund(wechat, gateway):
    body = wechat.notice(PAID)
    with pytest.raises(MalformedNotice) as refusal:
        gateway.verify_refund_notify(wechat.signed(body), body)
    assert refusal.value.params == {"reason": "event_type"}


@pytest.mark.parametrize(
    ("label", "changes", "expected"),
    [
        ("another merchant", {"mchid": "1900000110"}, {"merchant_id": "1900000110"}),
        ("another application", {"appid": "wxstranger"}, {"app_id": "wxstranger"}),
        ("one fen less", {"amount": {"total": 9_899}}, {"amount_fen": 9_899, "payer_total_fen": None}),
        ("dollars", {"amount": {"total": 9_900, "currency": "USD"}}, {"currency": "USD", "payer_total_fen": None}),
        ("fields of a later version", {"coupon": {"fen": 1}}, {}),
        ("another zone", {"success_time": "2026-11-22T09:14:01Z"}, {}),
    ],
)
def test_what_does_not_fit_us_is_stated_for_the_caller_to_compare(wechat, gateway, label, changes, expected):
    body = wechat.notice(PAID | changes)
    assert gateway.verify_notify(wechat.signed(body), body) == replace(FACT, **expected), label
    assert FACT.merchant_id == gateway.merchant_id
    assert gateway.app_ids == {"wxd678efh567hg6787", "wxmini67hg6787efh5"}


# --- signatures ---


def without(headers, *names):
    return {name: value for name, value in headers.items() if name not in names}


@pytest.mark.parametrize(
    ("label", "tamper", "reason"),
    [
        ("a digit", lambda h, b: (h, b.replace(b"3320873", b"3320874")), "forged"),
        ("whitespace at the end", lambda h, b: (h, b + b"\n"), "forged"),
        ("whitespace inside", lambda h, b: (h, b.replace(b'": "', b'":"')), "forged"),
        ("written anew", lambda h, b: (h, json.dumps(json.loads(b)).encode()), "forged"),
        ("no body", lambda h, b: (h, b""), "forged"),
        ("nonce", lambda h, b: (h | {"Wechatpay-Nonce": "0" * 32}, b), "forged"),
        ("time", lambda h, b: (h | {"Wechatpay-Timestamp": str(int(NOW.timestamp()) + 1)}, b), "forged"),
        ("signature of another length", lambda h, b: (h | {"Wechatpay-Signature": "QUFB"}, b), "forged"),
        ("signature not base64", lambda h, b: (h | {"Wechatpay-Signature": "签名"}, b), "unreadable"),
        ("time in other digits", lambda h, b: (h | {"Wechatpay-Timestamp": "１７"}, b), "incomplete"),
        ("time beyond years", lambda h, b: (h | {"Wechatpay-Timestamp": "9" * 40}, b), "incomplete"),
        ("a line break in the nonce", lambda h, b: (h | {"Wechatpay-Nonce": "a\nb"}, b), "incomplete"),
        ("no signature", lambda h, b: (without(h, "Wechatpay-Signature"), b), "incomplete"),
        ("no time", lambda h, b: (without(h, "Wechatpay-Timestamp"), b), "incomplete"),
        ("no nonce", lambda h, b: (without(h, "Wechatpay-Nonce"), b), "incomplete"),
        ("no serial", lambda h, b: (without(h, "Wechatpay-Serial"), b), "incomplete"),
        ("no headers", lambda h, b: ({}, b), "incomplete"),
        ("another public key's id", lambda h, b: (h | {"Wechatpay-Serial": PUBLIC_KEY_ID + "1"}, b), "unknown_key"),
        ("an unknown certificate", lambda h, b: (h | {"Wechatpay-Serial": "5A" * 20}, b), "unknown_key"),
        ("a serial that is none", lambda h, b: (h | {"Wechatpay-Serial": "../../etc"}, b), "unknown_key"),
        (
            "another algorithm",
            lambda h, b: (h | {"Wechatpay-Signature-Type": "WECHATPAY2-SM2-WITH-SM3"}, b),
            "unknown_key",
        ),
    ],
)
def test_each_signed_part_counts(wechat, gateway, label, tamper, reason):
    body = wechat.notice(PAID)
    assert refusal_of(gateway, *tamper(wechat.signed(body), body)) == reason, label


def test_the_key_of_the_other_kind_does_not_sign_for_this_serial(wechat, gateway):
    body = wechat.notice(PAID)
    crossed = wechat.signed(body, key=wechat.certificate_key, serial=PUBLIC_KEY_ID)
    assert refusal_of(gateway, crossed, body) == "forged"
    crossed = wechat.signed(body, key=wechat.key, serial=wechat.certificate_serial)
    assert refusal_of(gateway, crossed, body) == "forged"


def test_a_merchant_of_one_kind_of_key_does_not_believe_the_other(wechat):
    body = wechat.notice(PAID)
    only_public = wechat.gateway(account=wechat.account(certificates_pem=()))
    only_certificate = wechat.gateway(account=wechat.account(public_key_id=None, public_key_pem=None))
    assert only_public.verify_notify(wechat.signed(body), body) == FACT
    assert refusal_of(only_public, wechat.signed(body, serial=wechat.certificate_serial), body) == "unknown_key"
    assert only_certificate.verify_notify(wechat.signed(body, serial=wechat.certificate_serial), body) == FACT
    assert refusal_of(only_certificate, wechat.signed(body), body) == "unknown_key"


@pytest.mark.parametrize("signature", ["WECHATPAY/SIGNTEST/sXqp==", "WECHATPAY/SIGNTEST/", "WECHATPAY/SIGNTEST/签"])
def test_a_probe_is_named_so_that_nobody_is_alarmed(wechat, gateway, signature):
    body = wechat.notice(PAID)
    assert refusal_of(gateway, wechat.signed(body) | {"Wechatpay-Signature": signature}, body) == "probe"


@pytest.mark.parametrize(
    ("seconds", "trusted"), [(-3600, False), (-300, False), (-299, True), (299, True), (300, False), (3600, False)]
)
def test_a_notification_is_trusted_for_less_than_five_minutes(wechat, gateway, seconds, trusted):
    body = wechat.notice(PAID)
    headers = wechat.signed(body, at=NOW + timedelta(seconds=seconds))
    if trusted:
        assert gateway.verify_notify(headers, body) == FACT
    else:
        assert refusal_of(gateway, headers, body) == "stale"


def test_a_strange_time_is_only_told_of_a_genuine_one(wechat, gateway):
    body = wechat.notice(PAID)
    headers = wechat.signed(body, at=NOW - timedelta(hours=1))
    assert refusal_of(gateway, headers, body + b" ") == "forged"


@pytest.mark.parametrize("days", [(-10, -1), (1, 10)])
def test_a_certificate_ends_and_begins(wechat, days):
    key = rsa_key("forger")
    account = wechat.account(certificates_pem=(new_certificate(key, serial=0xABC, days=days),))
    body = wechat.notice(PAID)
    assert (
        refusal_of(wechat.gateway(account=account), wechat.signed(body, key=key, serial="ABC"), body) == "unknown_key"
    )


# --- what is sealed ---


def test_a_changed_api_key_is_known_with_the_one_before(wechat):
    changed = wechat.account(api_v3_key=NEXT_API_V3_KEY, previous_api_v3_key=API_V3_KEY)
    gateway = wechat.gateway(account=changed)
    for key in (API_V3_KEY, NEXT_API_V3_KEY):
        body = wechat.notice(PAID, key=key)
        assert gateway.verify_notify(wechat.signed(body), body) == FACT


def test_what_opens_with_no_key_is_asked_for_again(wechat, gateway):
    body = wechat.notice(PAID, key=NEXT_API_V3_KEY)
    with pytest.raises(UnopenableNotice) as refusal:
        gateway.verify_notify(wechat.signed(body), body)
    assert isinstance(refusal.value, MalformedNotice)
    assert gateway.refused(refusal.value.code).status == 500


@pytest.mark.parametrize(
    ("label", "resource"),
    [
        ("another tag", lambda r: r["ciphertext"][:-8] + "AAAAAA=="),
        ("no tag", lambda r: "AAAA"),
        ("nothing", lambda r: ""),
        ("not base64", lambda r: "密文"),
    ],
)
def test_a_sealed_part_opens_whole_or_not_at_all(wechat, gateway, label, resource):
    body = wechat.notice(PAID, ciphertext=resource(wechat.sealed(PAID)))
    with pytest.raises(UnopenableNotice):
        gateway.verify_notify(wechat.signed(body), body)


@pytest.mark.parametrize("changes", [{"associated_data": "refund"}, {"nonce": "hihihihihihi"}, {"nonce": "short"}])
def test_what_is_bound_to_the_sealed_part_counts(wechat, gateway, changes):
    body = wechat.notice(PAID, **changes)
    with pytest.raises(UnopenableNotice):
        gateway.verify_notify(wechat.signed(body), body)


def test_nothing_may_be_bound_to_it(wechat, gateway):
    body = wechat.notice(PAID, about="")
    assert gateway.verify_notify(wechat.signed(body), body) == FACT
    body = wechat.notice(PAID, about="", associated_data=None)
    assert gateway.verify_notify(wechat.signed(body), body) == FACT


# --- what cannot be read ---


@pytest.mark.parametrize(
    ("label", "content", "part"),
    [
        ("a fraction", PAID | {"amount": {"total": 99.5}}, "amount.total"),
        ("an amount as text", PAID | {"amount": {"total": "9900"}}, "amount.total"),
        ("true", PAID | {"amount": {"total": True}}, "amount.total"),
        ("no amount", PAID | {"amount": {}}, "body (paid_incomplete)"),
        ("no number", PAID | {"transaction_id": ""}, "body (paid_incomplete)"),
        ("no time", {name: value for name, value in PAID.items() if name != "success_time"}, "body (paid_incomplete)"),
        ("a time of nowhere", PAID | {"success_time": "2026-11-22T17:14:01"}, "success_time"),
        ("a time before time", PAID | {"success_time": "0001-01-01T00:00:00+08:00"}, "success_time"),
        ("a new state", PAID | {"trade_state": "HALF"}, "trade_state"),
        ("a control character", PAID | {"out_trade_no": "KM\u0000"}, "out_trade_no"),
        ("not an object", b"[]", "body"),
    ],
)
def test_a_sealed_part_that_cannot_be_read_names_its_place_only(wechat, gateway, label, content, part):
    body = wechat.notice(content)
    with pytest.raises(MalformedNotice) as refusal:
        gateway.verify_notify(wechat.signed(body), body)
    assert refusal.value.params["reason"].startswith(part), label
    assert not isinstance(refusal.value, UnopenableNotice)
    assert refusal.value.__suppress_context__
    assert not any(value in str(refusal.value) for value in ("KM-00000001", "9900", "99.5", "oUpF8u", "42000"))


@pytest.mark.parametrize(
    ("label", "body", "part"),
    [
        ("nothing", b"", "body"),
        ("not JSON", b"{", "body"),
        ("a new event", "event", "event_type"),
        ("another algorithm", "algorithm", "resource.algorithm"),
        ("no resource", b'{"id":"EV-1","event_type":"TRANSACTION.SUCCESS"}', "resource"),
    ],
)
def test_an_envelope_that_cannot_be_read_names_its_place_only(wechat, gateway, label, body, part):
    if body == "event":
        body = wechat.notice(PAID, event="SECURITY_ECHO.SUCCESS")
    elif body == "algorithm":
        body = wechat.notice(PAID, algorithm="AEAD_SM4_GCM")
    with pytest.raises(MalformedNotice) as refusal:
        gateway.verify_notify(wechat.signed(body), body)
    assert refusal.value.params["reason"].startswith(part), label


# --- what we answer ---


def test_we_answer_as_wechat_pay_wants_it(gateway):
    yes = NoticeReply(200, '{"code":"SUCCESS","message":"成功"}'.encode(), "application/json")
    assert gateway.accepted() == yes
    assert gateway.refused("bad_signature") == NoticeReply(
        401, b'{"code":"FAIL","message":"bad_signature"}', "application/json"
    )
    assert gateway.refused("malformed_notice").status == 400


# --- keys ---


def test_no_key_is_ever_printed(wechat, gateway):
    account = wechat.account(previous_api_v3_key=NEXT_API_V3_KEY)
    shown = f"{account!r} {account} {gateway!r} {gateway._keys!r} {gateway._signer!r} {gateway.__dict__['_keys']}"
    for secret in ("PRIVATE", "BEGIN", API_V3_KEY.decode(), NEXT_API_V3_KEY.decode()):
        assert secret not in shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api_v3_key": b"short"}, "32 bytes"),
        ({"previous_api_v3_key": b"short"}, "32 bytes"),
        ({"public_key_id": "0116546128782024112200292200003389"}, "PUB_KEY_ID_"),
        ({"public_key_id": None}, "PUB_KEY_ID_"),
        ({"public_key_pem": None, "certificates_pem": ()}, "public key or a platform certificate"),
        ({"certificates_pem": (b"no certificate",)}, "PEM"),
        ({"private_key_pem": b"no key"}, None),
        ({"private_key_pem": pem_of(ec.generate_private_key(ec.SECP256R1()))}, "RSA key of the merchant"),
        ({"public_key_pem": public_pem_of(ec.generate_private_key(ec.SECP256R1()))}, "signs with RSA keys"),
    ],
)
def test_wrong_keys_are_found_at_the_start(wechat, changes, words):
    with pytest.raises(ValueError, match=words):
        wechat.gateway(account=wechat.account(**changes))
