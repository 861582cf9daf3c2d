"""Alipay tells: every field counts, refunds are not payments, yuan are fen and Beijing's midnight is not ours."""

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote_plus

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from server.gateways.port import BadSignature, MalformedNotice, NoticeReply, PaymentFact, RefundFact
from tests.server.channel import pem_of, public_pem_of
from tests.server.gateways.alipay import APP_ID, SELLER

FACT = PaymentFact(
    channel="alipay",
    out_trade_no="KM-00000001",
    provider_no="2026112322001477030500000001",
    merchant_id=SELLER,
    amount_fen=9_900,
    currency="CNY",
    state="paid",
    paid_at=datetime(2026, 11, 22, 16, 29, 58, tzinfo=UTC),
    event_id="2026112300222002958077030582394850",
    app_id=APP_ID,
    payer_total_fen=9_400,
)


@pytest.fixture(scope="module")
def gateway(alipay):
    return alipay.gateway()


def refusal_of(gateway, body):
    with pytest.raises(BadSignature) as refusal:
        gateway.verify_notify({}, body)
    return refusal.value.reason


# --- what is believed ---


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "gbk", "GB18030"])
def test_a_payment_is_told_in_any_of_its_charsets(alipay, gateway, charset):
    body = alipay.notice(charset=charset)
    assert b"passback_params=&" in body
    assert gateway.verify_notify({}, body) == FACT


def test_without_a_word_of_its_charset_it_is_utf_8(alipay, gateway):
    assert gateway.verify_notify({}, alipay.notice(drop={"charset"})) == FACT


def test_fields_in_another_order_and_of_a_later_version_take_part(alipay, gateway):
    body = alipay.notice(some_new_field="值", blank_one="")
    assert gateway.verify_notify({}, b"&".join(reversed(body.split(b"&")))) == FACT
    assert refusal_of(gateway, body.replace(b"&blank_one=", b"")) == "forged"
    assert refusal_of(gateway, body.replace(b"&passback_params=&", b"&")) == "forged"


def test_percent_and_plus_are_decoded_once(alipay, gateway):
    body = alipay.notice(subject="100%25 + a%2Bb &=")
    assert gateway.verify_notify({}, body) == FACT
    twice = body.replace(b"%2525", b"%25")
    assert twice != body
    assert refusal_of(gateway, twice) == "forged"


@pytest.mark.parametrize(
    ("status", "changes", "state"),
    [
        ("TRADE_SUCCESS", {}, "paid"),
        ("TRADE_FINISHED", {}, "paid"),
        ("TRADE_CLOSED", {}, "refunded"),
    ],
)
def test_paid_and_finished_are_payments(alipay, gateway, status, changes, state):
    assert gateway.verify_notify({}, alipay.notice(trade_status=status, **changes)) == replace(FACT, state=state)


@pytest.mark.parametrize(("status", "state"), [("WAIT_BUYER_PAY", "pending"), ("TRADE_CLOSED", "closed")])
def test_waiting_and_timed_out_are_not(alipay, gateway, status, state):
    body = alipay.notice(trade_status=status, drop={"gmt_payment", "buyer_pay_amount"})
    unpaid = replace(FACT, state=state, provider_no=None, paid_at=None, payer_total_fen=None)
    assert gateway.verify_notify({}, body) == unpaid


@pytest.mark.parametrize(
    ("status", "fee", "fen"), [("TRADE_SUCCESS", "40.00", 4_000), ("TRADE_CLOSED", "99.00", 9_900)]
)
def test_a_refund_told_as_a_payment_is_a_refund(alipay, gateway, status, fee, fen):
    body = alipay.notice(
        trade_status=status, refund_fee=fee, gmt_refund="2026-11-24 08:00:00.123", out_biz_no="R-00000001"
    )
    fact = RefundFact(
        out_refund_no="R-00000001",
        refund_no="2026112322001477030500000001",
        out_trade_no="KM-00000001",
        amount_fen=None,
        state="succeeded",
        merchant_id=SELLER,
        refunded_at=datetime(2026, 11, 24, 0, 0, 0, 123_000, tzinfo=UTC),
        refunded_total_fen=fen,
        event_id="2026112300222002958077030582394850",
        app_id=APP_ID,
        provider_no="2026112322001477030500000001",
    )
    assert gateway.verify_notify({}, body) == gateway.verify_refund_notify({}, body) == fact


def test_a_refund_without_a_number_has_the_payments(alipay, gateway):
    body = alipay.notice(refund_fee="99.00", gmt_refund="2026-11-24 08:00:00", out_biz_no="")
    assert gateway.verify_notify({}, body).out_refund_no == "KM-00000001"


def test_a_refund_of_nothing_is_a_payment(alipay, gateway):
    body = alipay.notice(refund_fee="0.00", gmt_refund="")
    assert gateway.verify_notify({}, body) == FACT
    with pytest.raises(MalformedNotice) as refusal:
        gateway.verify_refund_notify({}, body)
    assert refusal.value.params == {"reason": "refund_fee"}


@pytest.mark.parametrize(
    ("label", "changes", "expected"),
    [
        ("another seller", {"seller_id": "2088000000000001"}, {"merchant_id": "2088000000000001"}),
        ("another application", {"app_id": "2021000000000001"}, {"app_id": "2021000000000001"}),
        ("a fen less", {"total_amount": "98.99"}, {"amount_fen": 9_899}),
        ("ten times", {"total_amount": "990"}, {"amount_fen": 99_000}),
        ("dollars", {"trans_currency": "USD"}, {"currency": "USD"}),
        ("no word of coupons", {"buyer_pay_amount": ""}, {"payer_total_fen": None}),
    ],
)
def test_what_does_not_fit_us_is_stated_for_the_caller_to_compare(alipay, gateway, label, changes, expected):
    assert gateway.verify_notify({}, alipay.notice(**changes)) == replace(FACT, **expected), label
    assert (gateway.merchant_id, gateway.app_ids) == (SELLER, {APP_ID})


def test_a_replay_states_the_same_fact_at_any_time(alipay, gateway):
    body = alipay.notice()
    years_later = alipay.gateway(now=lambda: datetime(2036, 1, 1, tzinfo=UTC))
    assert [gateway.verify_notify({}, body), years_later.verify_notify({}, body)] == [FACT, FACT]


@pytest.mark.parametrize(
    ("text", "fen"),
    [("0.01", 1), ("1", 100), ("12.5", 1_250), ("12.50", 1_250), ("19.99", 1_999), ("99999999999", 9_999_999_999_900)],
)
def test_yuan_are_read_to_the_fen(alipay, gateway, text, fen):
    assert gateway.verify_notify({}, alipay.notice(total_amount=text)).amount_fen == fen


# --- signatures ---


@pytest.mark.parametrize(
    ("label", "tamper", "reason"),
    [
        ("amount", lambda b: b.replace(b"total_amount=99.00", b"total_amount=0.01"), "forged"),
        ("number", lambda b: b.replace(b"KM-00000001", b"KM-00000002"), "forged"),
        ("state", lambda b: b.replace(b"TRADE_SUCCESS", b"TRADE_FINISHED"), "forged"),
        ("a field more", lambda b: b + b"&added=1", "forged"),
        ("a blank field more", lambda b: b + b"&added=", "forged"),
        ("a field less", lambda b: b.replace(b"&version=1.0", b""), "forged"),
        ("a field twice", lambda b: b + b"&total_amount=0.01", "unreadable"),
        ("the same field twice", lambda b: b + b"&total_amount=99.00", "unreadable"),
        ("an older algorithm", lambda b: b.replace(b"sign_type=RSA2", b"sign_type=RSA"), "forged"),
        ("no algorithm", lambda b: b.replace(b"sign_type=RSA2", b"sign_type="), "forged"),
        ("fields without end", lambda b: b + b"".join(b"&f%d=" % n for n in range(500)), "unreadable"),
        ("not a form", lambda b: b'{"a":1}', "incomplete"),
        ("nothing", lambda b: b"", "incomplete"),
    ],
)
def test_each_signed_part_counts(alipay, gateway, label, tamper, reason):
    assert refusal_of(gateway, tamper(alipay.notice())) == reason, label


@pytest.mark.parametrize(
    ("sign", "reason"), [("", "incomplete"), ("QUFB", "forged"), ("签名", "unreadable"), ("A", "unreadable")]
)
def test_a_signature_that_is_none(alipay, gateway, sign, reason):
    fields = [one for one in alipay.notice().split(b"&") if not one.startswith(b"sign=")]
    assert refusal_of(gateway, b"&".join([*fields, b"sign=" + quote_plus(sign).encode()])) == reason


def test_a_stranger_and_we_ourselves_sign_nothing_that_counts(alipay, gateway):
    for key in (alipay.app_key, alipay.old_key):
        assert refusal_of(gateway, alipay.notice(key=key)) == "forged"


def test_two_keys_are_believed_while_one_is_changed(alipay):
    both = alipay.account(public_keys_pem=(public_pem_of(alipay.key), public_pem_of(alipay.old_key)))
    gateway = alipay.gateway(account=both)
    for key in (alipay.key, alipay.old_key):
        assert gateway.verify_notify({}, alipay.notice(key=key)) == FACT
    assert refusal_of(gateway, alipay.notice(key=alipay.app_key)) == "forged"


# --- what cannot be read ---


@pytest.mark.parametrize(
    "amount", ["", "1e1", "-1.00", "+1", "12.345", "1,000.00", " 1.00", "NaN", "0x10", "1.", ".5", "１.00", "9" * 13]
)
def test_an_amount_that_is_none_names_its_field_only(alipay, gateway, amount):
    with pytest.raises(MalformedNotice) as refusal:
        gateway.verify_notify({}, alipay.notice(total_amount=amount))
    assert refusal.value.params == {"reason": "total_amount (value_error)"}
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize(
    ("label", "changes", "part"),
    [
        ("a new state", {"trade_status": "TRADE_PENDING"}, "trade_status"),
        ("no number", {"out_trade_no": ""}, "out_trade_no"),
        ("no number of theirs", {"drop": {"trade_no"}}, "trade_no"),
        ("no seller", {"drop": {"seller_id"}}, "seller_id"),
        ("no application", {"drop": {"app_id"}}, "app_id"),
        ("no name", {"drop": {"notify_id"}}, "notify_id"),
        ("no time", {"drop": {"gmt_payment"}}, "body (paid_incomplete)"),
        ("a day that is none", {"gmt_payment": "2026-02-30 00:00:00"}, "gmt_payment"),
        ("a time with a zone", {"gmt_payment": "2026-11-23 00:29:58Z"}, "gmt_payment"),
        ("a time before time", {"gmt_payment": "0001-01-01 00:00:00"}, "gmt_payment"),
    ],
)
def test_a_part_that_cannot_be_read_is_named_and_not_shown(alipay, gateway, label, changes, part):
    with pytest.raises(MalformedNotice) as refusal:
        gateway.verify_notify({}, alipay.notice(**changes))
    assert refusal.value.params["reason"].startswith(part), label
    assert not any(value in str(refusal.value) for value in ("KM-00000001", "99.00", SELLER, "2026-02-30"))


def test_a_charset_that_is_not_the_one_is_not_guessed(alipay, gateway):
    sign = quote_plus(alipay.sign(b"charset=utf-8&subject=\xd6\xa7\xb8\xb6"))
    with pytest.raises(MalformedNotice) as refusal:
        gateway.verify_notify({}, f"charset=utf-8&subject=%D6%A7%B8%B6&sign={sign}".encode())
    assert refusal.value.params == {"reason": "charset"}


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "rot13", "../x"])
def test_a_charset_nobody_uses_is_not_looked_up(alipay, gateway, charset):
    sign = quote_plus(alipay.sign(f"app_id={APP_ID}&charset={charset}".encode()))
    body = f"app_id={APP_ID}&charset={quote_plus(charset)}&sign={sign}&sign_type=RSA2"
    with pytest.raises(MalformedNotice) as refusal:
        gateway.verify_notify({}, body.encode())
    assert refusal.value.params == {"reason": "charset"}


# --- what we answer, and keys ---


def test_we_answer_as_alipay_wants_it(gateway):
    assert gateway.accepted() == NoticeReply(200, b"success", "text/plain")
    assert gateway.refused("bad_signature") == NoticeReply(401, b"failure", "text/plain")
    assert gateway.refused("malformed_notice") == NoticeReply(400, b"failure", "text/plain")


def test_no_key_is_ever_printed(alipay, gateway):
    shown = f"{alipay.account()!r} {alipay.account()} {gateway!r} {gateway._keys!r}"
    assert not any(secret in shown for secret in ("PRIVATE", "PUBLIC", "BEGIN"))


@pytest.mark.parametrize(
    "changes",
    [
        {"public_keys_pem": ()},
        {"public_keys_pem": (public_pem_of(ec.generate_private_key(ec.SECP256R1())),)},
        {"private_key_pem": pem_of(ec.generate_private_key(ec.SECP256R1()))},
    ],
)
def test_wrong_keys_are_found_at_the_start(alipay, changes):
    with pytest.raises(ValueError, match="Alipay"):
        alipay.gateway(account=alipay.account(**changes))
