"""The channel `sandbox` against the real sandbox process, and against a channel that misbehaves on purpose."""

import asyncio
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from server.gateways.port import (
    BadSignature,
    ChannelRefused,
    CreatePayment,
    CreateRefund,
    PaymentFact,
    RefundFact,
)
from server.gateways.sandbox import SandboxGateway
from server.outbound import Outbound
from shared import clock
from tests.server.channel import pem_of, public_pem_of
from tests.server.sandbox.peer import Merchant, Receiver, SandboxProcess

RETRY_AT_ONCE = ("--retry-seconds", "0,0,0")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def merchant(tmp_path_factory):
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), *RETRY_AT_ONCE)
    shop = Merchant(process).register()
    yield shop
    shop.http.close()
    assert process.stop()[0] == 0


@pytest.fixture(scope="module")
def receiver():
    server = Receiver()
    yield server
    server.close()


@pytest.fixture
def number():
    """A payment's number that no other test uses."""
    return f"KM-{next(_numbers):08d}"


@pytest.fixture(scope="module")
def gateway(merchant):
    return gateway_of(merchant)


def gateway_of(merchant, **changes):
    return SandboxGateway(
        **{
            "base_url": merchant.sandbox.url,
            "merchant_id": merchant.merchant_id,
            "private_key_pem": pem_of(merchant.key),
            "channel_public_key_pem": Path(merchant.sandbox.ready["public_key"]).read_bytes(),
            "outbound": Outbound(),
        }
        | changes
    )


def payment(number, *, notify_url="http://127.0.0.1:9/nobody"):
    return CreatePayment(
        out_trade_no=number,
        amount_fen=9_900,
        subject="Steam 充值卡 · 50 元 × 2",
        notify_url=notify_url,
        return_url="http://127.0.0.1:9/o/7K3M9QX2H4TD",
        expires_at=clock.now() + timedelta(minutes=15),
    )


def run(work):
    return asyncio.run(work)


# --- calls ---


def test_a_payment_is_opened_paid_and_found(gateway, merchant, number):
    wanted = payment(number)
    opened = run(gateway.create(wanted))
    assert opened.pay_url == opened.qr_text
    assert opened.pay_url.startswith(merchant.sandbox.url + "/pay/")
    assert run(gateway.create(wanted)) == opened
    pending = PaymentFact(
        channel="sandbox",
        out_trade_no=number,
        provider_no=None,
        merchant_id="shop-1",
        amount_fen=9_900,
        currency="CNY",
        state="pending",
        paid_at=None,
        event_id=None,
    )
    assert run(gateway.query(number)) == pending

    before = clock.now() - timedelta(seconds=1)
    merchant.pay(opened.pay_url)
    paid = run(gateway.query(number))
    assert paid == replace(pending, state="paid", provider_no=paid.provider_no, paid_at=paid.paid_at)
    assert paid.provider_no
    assert paid.paid_at.tzinfo is UTC
    assert before <= paid.paid_at <= clock.now() + timedelta(seconds=1)


def test_the_same_number_with_other_content_is_refused(gateway, number):
    wanted = payment(number)
    run(gateway.create(wanted))
    with pytest.raises(ChannelRefused) as refusal:
        run(gateway.create(replace(wanted, amount_fen=1)))
    assert refusal.value.reason_code == "OUT_TRADE_NO_USED"
    assert "OUT_TRADE_NO_USED" in refusal.value.sentence("en")
    assert run(gateway.query(number)).amount_fen == 9_900


def test_what_is_to_be_split_is_kept_so(gateway, number):
    wanted = replace(payment(number), is_shared=True)
    assert run(gateway.create(wanted)) == run(gateway.create(wanted))
    with pytest.raises(ChannelRefused) as refusal:
        run(gateway.create(replace(wanted, is_shared=False)))
    assert refusal.value.reason_code == "OUT_TRADE_NO_USED"


def test_what_the_channel_does_not_know_is_none(gateway, number):
    assert run(gateway.query(number)) is None
    assert run(gateway.query_refund(number)) is None
    with pytest.raises(ChannelRefused) as refusal:
        run(gateway.close(number))
    assert refusal.value.reason_code == "NOT_FOUND"


def test_closing_wins_once_and_never_over_money(gateway, merchant, number):
    run(gateway.create(payment(number)))
    run(gateway.close(number))
    run(gateway.close(number))
    assert run(gateway.query(number)).state == "closed"

    paid = f"{number}-p"
    merchant.pay(run(gateway.create(payment(paid))).pay_url)
    with pytest.raises(ChannelRefused) as refusal:
        run(gateway.close(paid))
    assert refusal.value.reason_code == "ALREADY_PAID"
    assert run(gateway.query(paid)).state == "paid"


def test_refunds_repeat_and_never_exceed(gateway, merchant, number):
    merchant.pay(run(gateway.create(payment(number))).pay_url)
    first = CreateRefund(out_refund_no=f"R-{number}-1", out_trade_no=number, amount_fen=4_000, reason="缺货")
    fact = run(gateway.refund(first))
    assert fact == RefundFact(
        out_refund_no=f"R-{number}-1",
        refund_no=fact.refund_no,
        out_trade_no=number,
        amount_fen=4_000,
        state="succeeded",
    )
    assert run(gateway.refund(first)) == fact
    assert run(gateway.query_refund(first.out_refund_no)) == fact
    with pytest.raises(ChannelRefused) as refusal:
        run(gateway.refund(replace(first, out_refund_no=f"R-{number}-2", amount_fen=5_901)))
    assert refusal.value.reason_code == "AMOUNT_EXCEEDED"
    rest = run(gateway.refund(replace(first, out_refund_no=f"R-{number}-3", amount_fen=5_900)))
    assert (rest.amount_fen, rest.state) == (5_900, "succeeded")


def test_a_refund_may_still_be_under_way(gateway, merchant, number):
    merchant.pay(run(gateway.create(payment(number))).pay_url, fault_refund_seconds=60)
    fact = run(gateway.refund(CreateRefund(f"R-{number}", number, 9_900, "缺货")))
    assert fact.state == "processing"


def test_an_unregistered_merchant_is_refused(merchant, number):
    stranger = gateway_of(merchant, merchant_id="shop-2")
    with pytest.raises(ChannelRefused) as refusal:
        run(stranger.create(payment(number)))
    assert refusal.value.reason_code == "SIGN_ERROR"


def test_one_client_serves_its_loop_and_other_threads(merchant, number):
    async def from_everywhere():
        async with Outbound() as outbound:
            gateway = gateway_of(merchant, outbound=outbound)
            await gateway.create(payment(number))
            here = await asyncio.gather(*(gateway.query(number) for _ in range(5)))
            with ThreadPoolExecutor(1) as job:
                elsewhere = await asyncio.wrap_future(job.submit(lambda: run(gateway.query(number))))
            return {*here, elsewhere}

    assert {fact.state for fact in run(from_everywhere())} == {"pending"}


@pytest.mark.parametrize(
    "changes",
    [
        {"private_key_pem": pem_of(ec.generate_private_key(ec.SECP256R1()))},
        {"channel_public_key_pem": public_pem_of(ec.generate_private_key(ec.SECP256R1()))},
        {"base_url": "ftp://127.0.0.1"},
        {"base_url": "127.0.0.1:8790"},
    ],
)
def test_wrong_keys_and_addresses_are_found_at_the_start(merchant, changes):
    with pytest.raises(ValueError, match="sandbox"):
        gateway_of(merchant, **changes)


# --- notifications ---


@pytest.fixture(scope="module")
def notice(gateway, merchant, receiver):
    """One real notification and the payment it is about."""
    opened = run(gateway.create(payment("KM-notice-1", notify_url=receiver.url("/notice"))))
    merchant.pay(opened.pay_url)
    return receiver.next("/notice")


def test_a_real_notification_states_the_fact(gateway, notice):
    fact = gateway.verify_notify(notice.headers, notice.raw)
    assert fact == replace(run(gateway.query("KM-notice-1")), event_id=notice.content["event_id"])
    assert (fact.state, fact.amount_fen, fact.merchant_id) == ("paid", 9_900, "shop-1")
    shouted = {name.upper(): value for name, value in notice.headers.items()}
    assert gateway.verify_notify(shouted, notice.raw) == fact


def moved(notice, **headers):
    return {**notice.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}


@pytest.mark.parametrize(
    ("label", "tamper", "reason"),
    [
        ("amount", lambda n: (n.headers, n.raw.replace(b'"amount_fen":9900', b'"amount_fen":9901')), "forged"),
        ("space added", lambda n: (n.headers, n.raw + b" "), "forged"),
        ("empty body", lambda n: (n.headers, b""), "forged"),
        ("nonce", lambda n: (moved(n, sandbox_nonce="0" * 32), n.raw), "forged"),
        ("timestamp", lambda n: (moved(n, sandbox_timestamp=str(int(time.time()) + 1)), n.raw), "forged"),
        ("timestamp in other digits", lambda n: (moved(n, sandbox_timestamp="１７"), n.raw), "incomplete"),
        ("signature of something else", lambda n: (moved(n, sandbox_signature="AAAA"), n.raw), "forged"),
        ("signature is not base64", lambda n: (moved(n, sandbox_signature="签名"), n.raw), "unreadable"),
        ("signature missing", lambda n: (moved(n, sandbox_signature=""), n.raw), "incomplete"),
        ("no headers at all", lambda n: ({}, n.raw), "incomplete"),
    ],
)
def test_a_tampered_notification_is_refused(gateway, notice, label, tamper, reason):
    headers, body = tamper(notice)
    with pytest.raises(BadSignature) as refusal:
        gateway.verify_notify(headers, body)
    assert refusal.value.reason == reason, label


@pytest.mark.parametrize(("seconds", "trusted"), [(-301, False), (-299, True), (299, True), (301, False)])
def test_a_notification_is_trusted_for_five_minutes(gateway, notice, seconds, trusted):
    signed_at = datetime.fromtimestamp(int(notice.headers["sandbox-timestamp"]), UTC)
    with clock.fixed(signed_at + timedelta(seconds=seconds)):
        if trusted:
            assert gateway.verify_notify(notice.headers, notice.raw).state == "paid"
        else:
            with pytest.raises(BadSignature) as refusal:
                gateway.verify_notify(notice.headers, notice.raw)
            assert refusal.value.reason == "stale"


def test_faults_of_the_panel_reach_the_judge(gateway, merchant, receiver, number):
    path = f"/{number}"
    opened = run(gateway.create(payment(number, notify_url=receiver.url(path))))
    merchant.pay(opened.pay_url, fault_amount_fen=1, fault_copies=2)
    first, second = receiver.next(path), receiver.next(path)
    # Signed by the channel, so it is a fact; that it does not fit the order is for `payments` to find.
    assert [gateway.verify_notify(one.headers, one.raw).amount_fen for one in (first, second)] == [1, 1]

    forged = f"{number}-f"
    opened = run(gateway.create(payment(forged, notify_url=receiver.url(f"/{forged}"))))
    merchant.pay(opened.pay_url, fault_signature=1)
    one = receiver.next(f"/{forged}")
    with pytest.raises(BadSignature):
        gateway.verify_notify(one.headers, one.raw)


def test_our_answers_mean_yes_and_no_to_the_channel(gateway, merchant, receiver, number):
    path = f"/{number}"
    no, yes = gateway.refused("bad_signature"), gateway.accepted()
    receiver.answers[path] = [(no.status, no.body), (yes.status, yes.body)]
    opened = run(gateway.create(payment(number, notify_url=receiver.url(path))))
    merchant.pay(opened.pay_url)
    told = [receiver.next(path), receiver.next(path)]
    assert told[0].content == told[1].content
    merchant.result_page(opened.pay_url, until="商家已确认")
    assert receiver.waiting(path) == 0
