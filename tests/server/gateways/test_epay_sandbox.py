"""Our Epay gateway against the sandbox's site: two implementations that share no code, over real HTTP."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.gateways.epay import EpayGateway
from server.gateways.epay_signing import EpayAccount
from server.gateways.port import ChannelRefused, ChannelUnknown, CreatePayment, CreateRefund
from tests.rsa_keys import rsa_key
from tests.server.channel import pem_of
from tests.server.gateways.epay import OUTBOUND
from tests.server.sandbox.epay_shop import EpayShop
from tests.server.sandbox.peer import Receiver, SandboxProcess


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), "--retry-seconds", "0,0,0")
    yield process
    assert process.stop()[0] == 0


@pytest.fixture(scope="module")
def receiver():
    server = Receiver()
    yield server
    server.close()


@pytest.fixture(scope="module")
def buyer(sandbox):
    shop = EpayShop(sandbox).register()
    yield shop
    shop.http.close()


def account(buyer, version, **changes):
    if version == 1:
        keys = {"key": buyer.key}
    else:
        public = Path(buyer.sandbox.ready["epay_public_key"]).read_bytes()
        keys = {"private_key_pem": pem_of(buyer.rsa_key), "public_key_pem": public}
    facts = {"merchant_id": buyer.pid, "url": buyer.sandbox.ready["epay_url"]} | keys
    return EpayAccount(**facts | changes)


def paid(gateway, buyer, receiver, number):
    receiver.always[f"/{number}"] = (200, gateway.accepted().body)
    asked = CreatePayment(
        out_trade_no=number,
        amount_fen=12_880,
        subject="星海网游点卡 100% + 1",
        notify_url=receiver.url(f"/{number}"),
        return_url="https://shop.test/o/A",
        expires_at=datetime.now(UTC) + timedelta(minutes=15),
    )
    opened = asyncio.run(gateway.create(asked))
    page = buyer.http.get(opened.pay_url, follow_redirects=True)
    assert page.status_code == 200
    return buyer.submit(str(page.url))


@pytest.mark.parametrize("version", [1, 2])
def test_a_payment_is_opened_paid_told_and_asked_for(buyer, receiver, version):
    gateway, number = EpayGateway(account(buyer, version), outbound=OUTBOUND), f"KM-E-{version}0001"
    assert asyncio.run(gateway.query(number)) is None
    paid(gateway, buyer, receiver, number)
    callback = receiver.next(f"/{number}")
    told = gateway.verify_notify(callback.headers, callback.raw)
    asked = asyncio.run(gateway.query(number))
    assert (told.out_trade_no, told.amount_fen, told.merchant_id, told.state) == (number, 12_880, buyer.pid, "paid")
    assert asked == dataclasses.replace(told, paid_at=asked.paid_at, event_id=None)
    assert abs(asked.paid_at - told.paid_at) < timedelta(minutes=1)
    with pytest.raises(ChannelRefused, match="ALREADY_PAID"):
        asyncio.run(gateway.close(number))


def test_a_refund_of_version_2_happens_once_a_number(buyer, receiver):
    gateway, number = EpayGateway(account(buyer, 2), outbound=OUTBOUND), "KM-E-20002"
    paid(gateway, buyer, receiver, number)
    asked = CreateRefund(out_refund_no="R-E-20002", out_trade_no=number, amount_fen=2_880, reason="未发货")
    assert asyncio.run(gateway.query_refund("R-E-20002", out_trade_no=number)) is None
    done = asyncio.run(gateway.refund(asked))
    assert (done.state, done.amount_fen, done.out_trade_no) == ("succeeded", 2_880, number)
    assert asyncio.run(gateway.refund(asked)) == done
    found = asyncio.run(gateway.query_refund("R-E-20002", out_trade_no=number))
    assert dataclasses.replace(found, refunded_at=None) == done
    too_much = dataclasses.replace(asked, out_refund_no="R-E-20003", amount_fen=10_001)
    with pytest.raises((ChannelRefused, ChannelUnknown)):
        asyncio.run(gateway.refund(too_much))
    assert asyncio.run(gateway.query(number)).state == "refunded"


def test_a_wrong_secret_is_a_refusal_and_a_wrong_key_is_unknown(buyer):
    wrong = EpayGateway(account(buyer, 1, key="w" * 32), outbound=OUTBOUND)
    with pytest.raises(ChannelRefused) as refusal:
        asyncio.run(wrong.query("KM-E-10009"))
    assert refusal.value.reason_code == "-3"
    strange = EpayGateway(account(buyer, 2, private_key_pem=pem_of(rsa_key("stranger"))), outbound=OUTBOUND)
    with pytest.raises(ChannelUnknown, match="incomplete, code -3"):
        asyncio.run(strange.query("KM-E-20009"))
