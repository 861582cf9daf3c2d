"""Who a buyer inside WeChat is: where the browser is sent, the one call, and what of its answer is believed."""

import asyncio
import json
import logging

import pytest

from server.gateways import wechat_payer
from server.gateways.port import ChannelRefused, ChannelUnknown
from server.gateways.wechat_payer import PayerDesk
from tests.server.gateways.listener import Said, listening
from tests.server.gateways.wechat_pay import OUTBOUND

APP_ID, SECRET, CODE, OPENID = "wxd678efh567hg6787", "5e" * 16, "001abcDEF_-" * 2, "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
GRANTED = {"access_token": "T0KEN", "expires_in": 7200, "refresh_token": "T0KEN", "openid": OPENID, "scope": "x"}


def desk(url="http://127.0.0.1:9"):
    return PayerDesk(app_id=APP_ID, app_secret=SECRET, outbound=OUTBOUND, token_url=f"{url}/sns/oauth2/access_token")


def says(content, status=200, **headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda _asked: Said(status, {"Content-Type": "text/plain"} | headers, body)


def test_the_browser_is_sent_with_the_parameters_in_wechats_order():
    address = desk().address(back_url="https://shop.example/o/7K3M9QX2H4TD/wechat/back", state="ab12")
    assert address == (
        "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wxd678efh567hg6787"
        "&redirect_uri=https%3A%2F%2Fshop.example%2Fo%2F7K3M9QX2H4TD%2Fwechat%2Fback"
        "&response_type=code&scope=snsapi_base&state=ab12#wechat_redirect"
    )
    for state in ("", "a-b", "a b", "é", "a" * 129):
        with pytest.raises(AssertionError):
            desk().address(back_url="https://shop.example/", state=state)


def test_a_code_is_asked_for_once_and_nothing_secret_is_told(caplog):
    caplog.set_level(logging.DEBUG)
    with listening(says(GRANTED)) as server:
        asked = desk(server.url)
        assert asyncio.run(asked.payer_of(CODE)) == OPENID
    target = f"appid={APP_ID}&secret={SECRET}&code={CODE}&grant_type=authorization_code"
    assert server.targets == [f"GET /sns/oauth2/access_token?{target}"]
    assert repr(asked) == f"PayerDesk({APP_ID})"
    told = caplog.text + repr([vars(record) for record in caplog.records])
    assert [word for word in (SECRET, CODE, OPENID, "T0KEN") if word in told] == []


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (says({"errcode": 40029, "errmsg": "invalid code"}), ChannelRefused, "WX_40029"),
        (says({"errcode": 40163, "errmsg": "code been used"}), ChannelRefused, "WX_40163"),
        (says({"errcode": 40125, "errmsg": SECRET}), ChannelRefused, "WX_40125"),
        (says(GRANTED | {"is_snapshotuser": 1}), ChannelRefused, "WX_NOBODY"),
        (says({"access_token": "x"}), ChannelRefused, "WX_NOBODY"),
        (says({"errcode": -1, "errmsg": "busy"}), ChannelUnknown, "payer: -1"),
        (says(GRANTED, status=500), ChannelUnknown, "payer: status 500"),
        (says(b"", status=302, Location="http://127.0.0.1:9/"), ChannelUnknown, "payer: status 302"),
        (says(GRANTED | {"openid": "o<script>"}), ChannelUnknown, "payer: answer malformed at openid"),
        (says(b"<html>"), ChannelUnknown, "payer: answer malformed at body"),
        (says(b" " * 300_000), ChannelUnknown, "payer: answer too large"),
    ],
)
def test_what_is_no_word_about_a_person(answer, error, why):
    with listening(answer) as server, pytest.raises(error) as refused:
        asyncio.run(desk(server.url).payer_of(CODE))
    told = str(refused.value) if error is ChannelUnknown else refused.value.reason_code
    assert why in told
    assert SECRET not in repr(refused.value.params) + str(refused.value) + refused.value.sentence("zh")
    assert len(server.asked) == 1


def test_a_buyer_does_not_wait_long(monkeypatch):
    monkeypatch.setattr(wechat_payer, "PATIENCE_SECONDS", 0)
    with listening(says(GRANTED)) as server, pytest.raises(ChannelUnknown, match="time-out"):
        asyncio.run(desk(server.url).payer_of(CODE))


@pytest.mark.parametrize("code", ["", "a b", "a&secret=x", "a" * 129, "é", "a\n"])
def test_what_is_no_code_is_not_asked_about(code):
    with listening(says(GRANTED)) as server, pytest.raises(ChannelRefused, match="WX_NO_CODE"):
        asyncio.run(desk(server.url).payer_of(code))
    assert server.asked == []
