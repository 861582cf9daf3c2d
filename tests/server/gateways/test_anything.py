"""Whatever arrives, signed or not, ends in one of the port's words: nothing else ever leaves a gateway."""

import asyncio
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.gateways.port import (
    BadSignature,
    ChannelRefused,
    ChannelUnknown,
    MalformedNotice,
    PaymentFact,
    RefundFact,
)
from server.outbound import Outbound, Reply
from shared.money import MAX_FEN
from tests.server.gateways.alipay import PAID as ALIPAY_PAID
from tests.server.gateways.alipay import TRADE, Alipay
from tests.server.gateways.epay import NOTICE, ORDER, Epay
from tests.server.gateways.wechat_pay import PAID, REFUNDED, WechatPay

WECHAT, ALIPAY, EPAY = WechatPay(), Alipay(), Epay(1)
WORDS = st.text(max_size=20) | st.sampled_from(["", "0", "99.00", "TRADE_CLOSED", "CLOSED", "2026-11-23 00:00:00"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)


def changed(known):
    """A message with some of its parts replaced by anything, or left out."""
    names = st.sampled_from(sorted(known))
    return st.tuples(st.dictionaries(names, VALUES, max_size=3), st.sets(names, max_size=2)).map(
        lambda change: {name: value for name, value in (known | change[0]).items() if name not in change[1]}
    )


class Scripted(Outbound):
    """An Outbound that answers by itself."""

    def __init__(self, reply):
        super().__init__()
        self.reply = reply

    async def exchange(self, method, url, *, headers, body=b""):
        return self.reply


def require_fit_for_a_book(fact):
    assert isinstance(fact, PaymentFact | RefundFact)
    amount = fact.amount_fen
    assert amount is None or 0 <= amount <= MAX_FEN
    assert "\0" not in repr(fact)
    if isinstance(fact, PaymentFact) and fact.state == "paid":
        assert fact.provider_no
        assert fact.paid_at.utcoffset().total_seconds() == 0


def told(gateway, headers, body):
    with contextlib.suppress(BadSignature, MalformedNotice):
        require_fit_for_a_book(gateway.verify_notify(headers, body))


def answered(gateway):
    with contextlib.suppress(ChannelUnknown, ChannelRefused):
        fact = asyncio.run(gateway.query("KM-00000001"))
        assert fact is None or fact.out_trade_no == "KM-00000001"


@pytest.fixture(scope="module")
def wechat_gateway():
    return WECHAT.gateway()


@pytest.fixture(scope="module")
def alipay_gateway():
    return ALIPAY.gateway()


@pytest.fixture(scope="module")
def epay_gateway():
    return EPAY.gateway()


@given(st.dictionaries(st.sampled_from(sorted(WECHAT.signed(b""))), st.text(max_size=30)), st.binary(max_size=200))
def test_a_stranger_at_wechats_door(wechat_gateway, headers, body):
    with pytest.raises(BadSignature):
        wechat_gateway.verify_notify(headers, body)


@given(st.binary(max_size=200))
def test_a_stranger_at_alipays_door(alipay_gateway, body):
    with pytest.raises(BadSignature):
        alipay_gateway.verify_notify({}, body)


@given(st.binary(max_size=100) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_anything_that_wechat_pay_signed(wechat_gateway, body):
    told(wechat_gateway, WECHAT.signed(body), body)


@given(changed(PAID) | changed(REFUNDED), st.sampled_from(["TRANSACTION.SUCCESS", "REFUND.SUCCESS", "REFUND.CLOSED"]))
def test_anything_that_wechat_pay_sealed(wechat_gateway, content, event):
    body = WECHAT.notice(content, event=event)
    told(wechat_gateway, WECHAT.signed(body), body)


@given(st.dictionaries(st.sampled_from(sorted(ALIPAY_PAID)), WORDS.filter(str.isprintable), max_size=3))
def test_anything_that_alipay_signed(alipay_gateway, changes):
    changes.pop("charset", None)
    told(alipay_gateway, {}, ALIPAY.notice(**changes))


@given(st.sampled_from([200, 204, 302, 400, 404, 429, 500]), st.binary(max_size=60) | changed(PAID))
def test_anything_that_wechat_pay_answers(wechat_gateway, status, content):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {name.lower(): value for name, value in WECHAT.signed(body).items()}
    wechat_gateway._outbound = Scripted(Reply(status, headers, body))
    answered(wechat_gateway)


@given(changed(TRADE) | VALUES, st.booleans())
def test_anything_that_alipay_answers(alipay_gateway, content, whole):
    raw = json.dumps(content)
    text = f'{{"alipay_trade_query_response":{raw},"sign":"{ALIPAY.sign(raw.encode())}"}}'
    body = text if whole else text[: len(text) // 2]
    alipay_gateway._outbound = Scripted(Reply(200, {}, body.encode()))
    answered(alipay_gateway)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_anything_at_all_that_alipay_answers(alipay_gateway, body):
    alipay_gateway._outbound = Scripted(Reply(200, {}, body))
    answered(alipay_gateway)


@given(st.binary(max_size=200))
def test_a_stranger_at_epays_door(epay_gateway, query):
    with pytest.raises(BadSignature):
        epay_gateway.verify_notify({}, query)


@given(st.dictionaries(st.sampled_from(sorted(NOTICE)), WORDS, max_size=3))
def test_anything_that_an_epay_site_signed(epay_gateway, changes):
    told(epay_gateway, {}, EPAY.notice(NOTICE | changes))


@given(changed(ORDER | {"code": 1}) | VALUES, st.sampled_from([200, 404, 500]))
def test_anything_that_an_epay_site_answers(epay_gateway, content, status):
    epay_gateway._outbound = Scripted(Reply(status, {}, json.dumps(content).encode()))
    answered(epay_gateway)
