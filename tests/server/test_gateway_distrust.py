"""A channel that does not answer as it should: each way leaves the outcome unknown, and says too little to leak."""

import asyncio
import json
import time
from datetime import UTC, datetime

import pytest

from server import outbound
from server.gateways.port import ChannelRefused, ChannelUnknown, MalformedNotice
from server.outbound import Outbound
from tests.server.channel import Channel


@pytest.fixture(scope="module")
def channel():
    return Channel()


def answer(status, content, *, at=None, sign=True, headers=None, length=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    def behave(channel, handler):
        handler.send_response(status)
        for name, value in ((channel.signed(body, at=at) if sign else {}) | (headers or {})).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def silence(_channel, handler):
    handler.connection.settimeout(5)
    handler.rfile.read(1)  # until the caller gives up and closes


def drip(_channel, handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)
    except OSError:
        return


def test_who_waits_for_a_connection_of_ours_has_not_asked(channel, monkeypatch):
    """A flood of our own is nobody's silence: the other side's time begins when it is asked."""
    monkeypatch.setattr(outbound, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(outbound, "PATIENCE_SECONDS", 0.05)
    asked = []

    def slow(channel, handler):
        asked.append(handler.path)
        silence(channel, handler)

    async def both(address):
        async with Outbound(total_seconds=0.5) as line:
            calls = (line.exchange("GET", f"{address}/{n}", headers={}) for n in (1, 2))
            together = await asyncio.gather(*calls, return_exceptions=True)
            after = await asyncio.gather(line.exchange("GET", f"{address}/3", headers={}), return_exceptions=True)
            return [one.reason for one in (*together, *after)]

    with channel.serving(slow) as address:
        assert asyncio.run(both(address)) == ["time-out", outbound.BUSY, "time-out"]
    assert asked == ["/1", "/3"]


GOOD = {
    "out_trade_no": "KM-00000001",
    "state": "pending",
    "trade_no": None,
    "amount_fen": 9_900,
    "currency": "CNY",
    "merchant_id": "shop-1",
    "paid_at": None,
}


@pytest.mark.parametrize(
    ("label", "behave", "detail"),
    [
        ("never answers", silence, "time-out"),
        ("drips forever", drip, "time-out"),
        ("hangs up in the middle", answer(200, GOOD, length=5_000), "RemoteProtocolError"),
        ("fails", answer(500, {"code": "SYSTEM_ERROR"}), "status 500"),
        ("is a proxy's error page", answer(502, b"<html>", sign=False), "status 502"),
        ("is not signed", answer(200, GOOD, sign=False), "answer incomplete"),
        ("says no without a signature", answer(404, {"code": "NOT_FOUND"}, sign=False), "answer incomplete"),
        ("is old", answer(200, GOOD, at=1_700_000_000), "answer stale"),
        ("is signed by another", answer(200, GOOD, headers={"Sandbox-Signature": "QUFB"}), "answer "),
        ("is about another payment", answer(200, GOOD | {"out_trade_no": "KM-00000002"}), "answer to another question"),
        ("is not JSON", answer(200, b"{"), "answer malformed at body"),
        ("has an amount with a fraction", answer(200, GOOD | {"amount_fen": 99.5}), "answer malformed at amount_fen"),
        ("is paid by nobody", answer(200, GOOD | {"state": "paid"}), "paid without a number or a time"),
        ("redirects", answer(302, b"", sign=False, headers={"Location": "http://127.0.0.1:9/"}), "answer incomplete"),
        ("is too large", answer(200, b" " * 300_000), "answer too large"),
    ],
)
def test_an_outcome_nobody_can_vouch_for_is_unknown(channel, label, behave, detail):
    with channel.serving(behave) as address:
        gateway = channel.gateway(address, outbound=Outbound(total_seconds=0.3))
        with pytest.raises(ChannelUnknown) as unknown:
            asyncio.run(gateway.query("KM-00000001"))
    assert unknown.value.detail.startswith(detail), label
    assert "sandbox" in unknown.value.sentence("zh")


def test_nobody_listening_is_unknown(channel):
    with channel.serving(silence) as address:
        gone = address
    with pytest.raises(ChannelUnknown) as unknown:
        asyncio.run(channel.gateway(gone).close("KM-00000001"))
    assert unknown.value.detail == "ConnectError"


def test_a_signed_no_is_a_refusal_and_a_path_is_kept(channel):
    asked = []

    def refuse(own, handler):
        asked.append(handler.path)
        answer(409, {"code": "LIMIT", "message": "…"})(own, handler)

    with channel.serving(refuse) as address:
        gateway = channel.gateway(f"{address}/below/")
        with pytest.raises(ChannelRefused) as refusal:
            asyncio.run(gateway.query("KM-00000001"))
    assert (refusal.value.reason_code, asked) == ("LIMIT", ["/below/v1/payments/KM-00000001"])


NOTICE = {
    "event_id": "E1",
    "event": "payment.paid",
    "merchant_id": "shop-1",
    "out_trade_no": "KM-00000001",
    "trade_no": "T1",
    "amount_fen": 9_900,
    "currency": "CNY",
    "payer": "安娜",
    "paid_at": "2026-11-22T09:14:03.250Z",
}


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b'{"event_id":', "body"),
        (NOTICE | {"amount_fen": "9900"}, "amount_fen"),
        (NOTICE | {"amount_fen": 9900.0}, "amount_fen"),
        (NOTICE | {"amount_fen": True}, "amount_fen"),
        (NOTICE | {"paid_at": "2026-11-22T09:14:03"}, "paid_at"),
        (NOTICE | {"event": "payment.closed"}, "event"),
        (NOTICE | {"trade_no": ""}, "trade_no"),
        (NOTICE | {"out_trade_no": "9" * 65}, "out_trade_no"),
        ({name: value for name, value in NOTICE.items() if name != "merchant_id"}, "merchant_id"),
    ],
)
def test_a_signed_notification_that_cannot_be_read_names_its_part_only(channel, content, where):
    gateway = channel.gateway("http://127.0.0.1:9")
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(MalformedNotice) as refusal:
        gateway.verify_notify(channel.signed(body), body)
    assert refusal.value.params["reason"].startswith(where)
    assert not any(value in str(refusal.value) for value in ("KM-00000001", "9900", "999999", "安娜"))
    assert refusal.value.__suppress_context__


def test_fields_of_a_later_version_do_not_disturb(channel):
    gateway = channel.gateway("http://127.0.0.1:9")
    body = json.dumps(NOTICE | {"coupon": {"fen": 1}}).encode()
    fact = gateway.verify_notify(channel.signed(body), body)
    assert fact.paid_at == datetime(2026, 11, 22, 9, 14, 3, 250_000, tzinfo=UTC)
    assert fact.provider_no == "T1"


def test_a_number_that_is_not_ours_never_reaches_a_path(channel):
    with pytest.raises(AssertionError):
        asyncio.run(channel.gateway("http://127.0.0.1:9").query("../refunds/1"))
