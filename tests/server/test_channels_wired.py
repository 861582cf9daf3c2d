"""The demo's clerk sets the sandbox's channels up by `keys add`; the shop opens with them, and a live one does not."""

import asyncio
import logging
import threading
from dataclasses import replace
from functools import partial

import httpx
import pytest

from server import app, cli
from server.crypto import KeyRing
from server.demo import channels
from server.settings import Mode, Settings
from tests.server.gateways.listener import listening
from tests.server.gateways.test_wechat_hosts import certificates
from tests.server.gateways.wechat_pay import PAID, WechatPay, new_certificate
from tests.server.sandbox.peer import SandboxProcess
from tests.world import world


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"))
    yield process
    assert process.stop() == (0, "")


@pytest.fixture(scope="module")
def settings(tmp_path_factory, sandbox):
    """A shop whose clerk was at the sandbox once."""
    data = tmp_path_factory.mktemp("shop") / "data"
    made = Settings.from_environment({"KAMENG_DATA": str(data), "KAMENG_SANDBOX_URL": sandbox.url})
    data.mkdir(mode=0o700)
    KeyRing.create(made.key_ring_file)
    empty = app.assemble(made)
    empty.db.close()
    assert empty.gateways == {}
    channels.exchange(made, sandbox.ready, log=data / "keys.log")
    return made


def test_keys_are_exchanged_once_and_every_channel_passes_its_trial(settings, sandbox, monkeypatch, capsys):
    ring, log = settings.key_ring_file.read_bytes(), settings.data / "keys.log"
    channels.exchange(settings, sandbox.ready, log=log)
    assert settings.key_ring_file.read_bytes() == ring
    assert "PRIVATE" not in log.read_text()
    ctx = app.assemble(settings)
    ctx.db.close()
    assert set(ctx.gateways) == {"alipay", "sandbox", "wechat"}
    assert ctx.gateways["wechat"].products == {"qr", "h5", "jsapi", "mini_program"}
    monkeypatch.setenv("KAMENG_DATA", str(settings.data))
    monkeypatch.setenv("KAMENG_SANDBOX_URL", sandbox.url)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    monkeypatch.setattr(root, "level", root.level)
    for channel in ctx.gateways:
        assert cli.main(["keys", "test", channel]) == 0, channel
        assert "配置正确" in capsys.readouterr().out
    wrong = settings.data / "wrong.txt"
    wrong.write_text("0" * 32)
    assert cli.main(["keys", "add", "wechat", "--app-secret", str(wrong)]) == 0
    assert cli.main(["keys", "test", "wechat"]) == 1
    said = capsys.readouterr()
    assert ("WX_40125" in said.out, "0" * 32 in said.out + said.err) == (True, False)
    settings.key_ring_file.write_bytes(ring)


def test_a_key_of_the_sandbox_that_changed_is_exchanged_again(settings, sandbox):
    ring = KeyRing.load(settings.key_ring_file)
    before = ring.channel("wechat")
    ring.change_channel("wechat", lambda held: held | {"public": ring.channel("alipay")["public"]})
    channels.exchange(settings, sandbox.ready, log=settings.data / "keys.log")
    assert KeyRing.load(settings.key_ring_file).channel("wechat") == before


def test_a_live_shop_opens_without_them_and_says_why(settings, caplog):
    KeyRing.load(settings.key_ring_file).change_channel("epay", lambda _held: {"merchant_id": "1001"})
    ctx = app.assemble(replace(settings, mode=Mode.LIVE, sandbox_url=None))
    ctx.db.close()
    assert ctx.gateways == {}
    said = [record.getMessage() for record in caplog.records]
    refused = [one for one in said if "sandbox's keys, which a live shop does not use" in one]
    assert [name for one, name in zip(refused, ("alipay", "sandbox", "wechat"), strict=True) if f"drop {name}" in one]
    assert [one for one in said if one not in refused] == [
        "Payment channel “epay” still lacks --url --key. Give it with `kameng-server keys add epay`."
    ]


def test_a_new_certificate_is_fetched_beside_the_notification_that_named_it(tmp_path, monkeypatch):
    wechat, fetched = WechatPay(), threading.Event()
    pem, by = new_certificate(wechat.key, serial=0xBEEF), {"serial": "000000000000BEEF", "key": wechat.key}
    body = wechat.notice(PAID)
    monkeypatch.setattr(app, "RENEWAL_SECONDS", 0.01)

    def answer(asked):
        return wechat.says(certificates(wechat, pem, serial=by["serial"]), **by)(asked)

    async def told_twice(ctx):
        built = app.build(ctx.settings, ctx=ctx, worker=False)
        address = {"transport": httpx.ASGITransport(built), "base_url": "http://shop"}
        async with built.router.lifespan_context(built), httpx.AsyncClient(**address) as channel:
            told = partial(channel.post, "/pay/wechat/notify", content=body, headers=wechat.signed(body, **by))
            refused = await told()
            assert await asyncio.to_thread(fetched.wait, 30)
            return refused.status_code, (await told()).status_code

    with listening(answer) as server, world("sqlite", tmp_path) as shop:
        gateway = wechat.gateway(server.url, keep=lambda _kept: fetched.set())
        process = replace(app.assemble(shop.ctx.settings), gateways={"wechat": gateway})
        assert asyncio.run(told_twice(process)) == (401, 200)
    assert server.targets == ["GET /v3/certificates"]
