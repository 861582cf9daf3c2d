"""What all channels share: amounts as text, cut words, masked answers, and the whole port in each of them."""

import asyncio
import inspect
import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.gateways.port import (
    BadSignature,
    ChannelRefused,
    ChannelUnknown,
    Gateway,
    MalformedNotice,
    Payer,
    PaymentOpened,
    Reason,
    UnopenableNotice,
)
from server.gateways.wechat_wire import REASONS as WECHAT_REASONS
from server.gateways.wire import fen_of_yuan, our_number, plain, yuan_of_fen
from shared.money import MAX_FEN
from tests.server.channel import Channel


@pytest.fixture(scope="module")
def sandbox():
    return Channel()


@given(st.integers(0, MAX_FEN))
def test_an_amount_survives_as_text_to_the_fen(fen):
    assert fen_of_yuan(yuan_of_fen(fen)) == fen


@pytest.mark.parametrize(("text", "fen"), [("0", 0), ("0.1", 10), ("0.10", 10), ("12.5", 1_250), ("007.07", 707)])
def test_amounts_as_channels_write_them(text, fen):
    assert fen_of_yuan(text) == fen


@pytest.mark.parametrize("text", ["", ".1", "1.", "1.005", "1.500", "-1", "+1", "1e1", "1,0", "1 ", "1\n", "１", "NaN"])
def test_what_is_no_amount(text):
    with pytest.raises(ValueError, match="yuan"):
        fen_of_yuan(text)


def test_a_negative_amount_is_never_written():
    with pytest.raises(AssertionError):
        yuan_of_fen(-1)


@given(st.text(max_size=60), st.integers(0, 120))
def test_a_plain_text_fits_and_has_no_character_that_is_refused(text, most_bytes):
    short = plain(text, most_bytes=most_bytes)
    assert len(short.encode()) <= most_bytes
    assert all(len(character.encode()) <= 3 and character.isprintable() for character in short)
    assert plain(short, most_bytes=most_bytes) == short == short.strip()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("🎮 A\n充值", "A充值"),
        ("卡卡卡卡", "卡卡卡"),
        ("𠮷野家", "野家"),
        ("🎮", ""),
        (" a ", "a"),
        ("12345678 9", "12345678 9"),
        ("123456789 1", "123456789"),
    ],
)
def test_what_is_kept_of_a_text(text, kept):
    assert plain(text, most_bytes=10) == kept


@pytest.mark.parametrize(
    "number", ["", "short", "a" * 33, "KM/000001", "KM 000001", "KM-00000001\n", "卡卡卡卡卡卡", "..%2F.."]
)
def test_what_is_no_number_of_ours(number):
    with pytest.raises(AssertionError):
        our_number(number)


# --- the port ---


def public(thing):
    return {name: member for name, member in vars(thing).items() if not name.startswith("_")}


@pytest.mark.parametrize("name", ["wechat", "alipay", "epay", "sandbox"])
def test_every_channel_has_all_of_the_port_with_its_names(request, name):
    stand_in = request.getfixturevalue(name)
    gateway = stand_in.gateway("http://127.0.0.1:9")
    assert gateway.channel == name
    for member, wanted in public(Gateway).items():
        own = getattr(type(gateway), member)
        assert isinstance(own, property) == isinstance(wanted, property), member
        if not isinstance(wanted, property):
            assert list(inspect.signature(own).parameters) == list(inspect.signature(wanted).parameters), member
            assert inspect.iscoroutinefunction(own) == inspect.iscoroutinefunction(wanted), member


@pytest.mark.parametrize("name", ["wechat", "alipay", "epay", "sandbox"])
def test_every_channel_says_yes_with_200_and_no_with_another_status(request, name):
    gateway = request.getfixturevalue(name).gateway("http://127.0.0.1:9")
    assert gateway.accepted().status == 200
    for error in (BadSignature, MalformedNotice, UnopenableNotice):
        refused = gateway.refused(error.code)
        assert refused.status >= 400
        assert b"success" not in refused.body.lower()


def test_the_sandbox_tells_of_payments_only(sandbox):
    gateway = sandbox.gateway("http://127.0.0.1:9")
    notice = {
        "event_id": "E1",
        "event": "payment.paid",
        "merchant_id": "shop-1",
        "out_trade_no": "KM-00000001",
        "trade_no": "T1",
        "amount_fen": 9_900,
        "currency": "CNY",
        "paid_at": "2026-11-22T09:14:03.250Z",
    }
    body = json.dumps(notice).encode()
    headers = sandbox.signed(body)
    fact = gateway.verify_notify(headers, body)
    assert (fact.state, fact.app_id, fact.payer_total_fen) == ("paid", None, None)
    with pytest.raises(MalformedNotice):
        gateway.verify_refund_notify(headers, body)
    with pytest.raises(BadSignature):
        gateway.verify_refund_notify(headers, body + b" ")
    with pytest.raises(ChannelRefused) as refusal:
        asyncio.run(gateway.download_bill("trades", date(2026, 11, 21)))
    assert refusal.value.reason_code == "PRODUCT_NOT_OFFERED"
    assert (gateway.app_ids, gateway.products) == (frozenset(), {"qr", "h5", "page"})


# --- what is shown ---


def test_what_opens_a_payment_and_who_pays_are_not_printed():
    opened = PaymentOpened(
        pay_url="https://x/?sign=SECRET",
        qr_text="SECRET",
        invoke={"paySign": "SECRET"},
        valid_until=datetime(2026, 11, 22, tzinfo=UTC),
    )
    payer = Payer(ip="203.0.113.7", user_id="oUpF8uMuAJO", system="ios")
    assert "SECRET" not in repr(opened)
    assert repr(payer) == "Payer(system='ios')"


def test_a_reason_is_a_plain_word_wherever_it_goes():
    refusal = ChannelRefused(channel="wechat", reason_code=WECHAT_REASONS["ORDERPAID"])
    assert refusal.reason_code == "ALREADY_PAID"
    assert type(refusal.reason_code) is str
    assert "（ALREADY_PAID）" in refusal.sentence("zh")
    assert refusal.reason_code == Reason.ALREADY_PAID


def test_errors_speak_to_people_and_to_the_log():
    unknown = ChannelUnknown(channel="alipay", detail="status 502")
    assert str(unknown) == "channel_unknown: alipay: status 502"
    assert "502" not in unknown.sentence("zh")
    assert (UnopenableNotice(reason="resource").status, MalformedNotice(reason="x").status) == (500, 400)
    for error in (UnopenableNotice(reason="resource"), BadSignature(reason="probe")):
        assert error.params["reason"] in error.sentence("zh")
        assert error.params["reason"] in error.sentence("en")
