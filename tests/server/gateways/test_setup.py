"""What a merchant gives for a channel: judged before it is kept, kept for as long as it is needed, never shown."""

import base64
import re
import textwrap

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from server.gateways import pem, unusable, wechat_payer
from server.gateways.alipay import AlipayGateway
from server.gateways.epay import EpayGateway
from server.gateways.setup import CHANNELS, gateway_of, is_of_sandbox, merged, our_public_pem
from server.gateways.wechat import WechatGateway
from server.outbound import Outbound
from server.settings import Settings
from shared.errors import BadField
from tests.server.channel import pem_of, public_pem_of
from tests.server.gateways.wechat_pay import (
    API_V3_KEY,
    MERCHANT_SERIAL,
    NEXT_API_V3_KEY,
    PUBLIC_KEY_ID,
    new_certificate,
)

KEY, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
PRIVATE, PUBLIC = pem_of(KEY).decode(), public_pem_of(KEY).decode()
WECHAT = {
    "merchant_id": "1900000109",
    "app_id": "wxd678efh567hg6787",
    "merchant_serial": MERCHANT_SERIAL,
    "private": PRIVATE,
    "api_v3_key": API_V3_KEY.decode(),
    "public_key_id": PUBLIC_KEY_ID,
    "public": PUBLIC,
}
ALIPAY = {"app_id": "2021000122600000", "merchant_id": "2088102146225135", "private": PRIVATE, "public": PUBLIC}
EPAY = {"merchant_id": "1001", "url": "https://pay.example.cn/", "key": "k" * 32}
PLAYING = {
    "wechat": WECHAT | {"merchant_id": "9012345678"},
    "alipay": ALIPAY | {"app_id": "9021000122600000"},
    "epay": EPAY | {"url": "https://pay.example/"},
}
LINE = Outbound()
LIVE = Settings.from_environment(
    {
        "KAMENG_MODE": "live",
        "KAMENG_BASE_URL": "https://shop.kameng.cn",
        "KAMENG_SHOP_NAME": "星星",
        "KAMENG_SUPPORT": "021-1",
    }
)
DEMO = Settings.from_environment({})
PLAY = Settings.from_environment({"KAMENG_SANDBOX_URL": "http://127.0.0.1:8790"})


def made(channel, record, settings=LIVE, **changes):
    return gateway_of(channel, merged(channel, {}, record), settings, calls=LINE, downloads=LINE, **changes)


# --- shapes ---


def bare(pem_text):
    return pem.without_frame(pem_text)


def pkcs1(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("PKCS#8", PRIVATE),
        ("PKCS#1", pkcs1(KEY)),
        ("bare PKCS#8, as Alipay's tool writes it for Java", bare(PRIVATE)),
        ("bare PKCS#1, as it writes it for others", bare(pkcs1(KEY))),
        ("bare, folded", "\r\n".join(textwrap.wrap(bare(PRIVATE), 76)) + "\r\n"),
        ("Windows ends", PRIVATE.replace("\n", "\r\n")),
    ],
)
def test_a_private_key_in_every_dress(label, text):
    record = merged("alipay", {}, ALIPAY | {"private": text})
    assert our_public_pem(record) == PUBLIC, label


@pytest.mark.parametrize("text", [PUBLIC, bare(PUBLIC), "\n".join(textwrap.wrap(bare(PUBLIC), 70))])
def test_a_public_key_in_every_dress(text):
    record = merged("alipay", {}, ALIPAY | {"public": text})
    loaded = serialization.load_pem_public_key(record["public"].encode())
    assert loaded.public_numbers() == KEY.public_key().public_numbers()


LOCKED = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
).decode()
SMALL, CURVE = rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("channel", "name", "text", "option"),
    [
        ("alipay", "private", PUBLIC, "--private-key"),
        ("alipay", "private", LOCKED, "--private-key"),
        ("alipay", "private", pem_of(SMALL).decode(), "--private-key"),
        ("alipay", "private", pem_of(CURVE).decode(), "--private-key"),
        ("alipay", "private", "!", "--private-key"),
        ("alipay", "private", "", "--private-key"),
        ("alipay", "public", PRIVATE, "--public-key"),
        ("alipay", "public", public_pem_of(SMALL).decode(), "--public-key"),
        ("alipay", "public", public_pem_of(CURVE).decode(), "--public-key"),
        ("alipay", "public", base64.b64encode(b"no key").decode(), "--public-key"),
        ("alipay", "merchant_id", "user@example.com", "--seller-id"),
        ("alipay", "app_id", "wx", "--app-id"),
        ("wechat", "api_v3_key", "short", "--api-v3-key"),
        ("wechat", "api_v3_key", "k" * 33, "--api-v3-key"),
        ("wechat", "public_key_id", "0116546128782024112200292200003389", "--public-key-id"),
        ("wechat", "merchant_serial", "serial", "--merchant-serial"),
        ("wechat", "public", new_certificate(KEY, serial=7).decode(), "--public-key"),
        ("wechat", "certificates", PUBLIC, "--platform-certificate"),
        ("wechat", "certificates", new_certificate(CURVE, serial=7).decode(), "--platform-certificate"),
        ("epay", "url", "ftp://pay.example.cn", "--url"),
        ("epay", "sign_style", "sha", "--sign-style"),
        ("epay", "key", "short", "--key"),
    ],
)
def test_what_is_refused_is_named_by_its_option_and_not_repeated(channel, name, text, option):
    with pytest.raises(BadField) as refusal:
        merged(channel, {}, {name: text})
    assert refusal.value.params["field"] == option
    assert not re.search("[一-鿿]", refusal.value.sentence("en").replace("“", "").replace("”", "")), "one language"
    assert len(text) < 8 or text.strip() not in refusal.value.sentence("zh")


# --- replacing ---


def test_a_new_api_v3_key_keeps_the_one_before_it_until_told_otherwise():
    first = merged("wechat", {}, WECHAT)
    assert "api_v3_key_previous" not in merged("wechat", first, {"api_v3_key": API_V3_KEY.decode()})
    second = merged("wechat", first, {"api_v3_key": NEXT_API_V3_KEY.decode()})
    assert (second["api_v3_key"], second["api_v3_key_previous"]) == (NEXT_API_V3_KEY.decode(), API_V3_KEY.decode())
    assert {name: second[name] for name in WECHAT if name != "api_v3_key"} == {
        name: first[name] for name in WECHAT if name != "api_v3_key"
    }
    assert "api_v3_key_previous" not in merged("wechat", second, {}, discard_previous=True)
    leaked = merged("wechat", first, {"api_v3_key": NEXT_API_V3_KEY.decode()}, discard_previous=True)
    assert API_V3_KEY.decode() not in leaked.values()


def test_alipays_keys_stand_side_by_side_and_certificates_add_up():
    both = merged("alipay", merged("alipay", {}, ALIPAY), {"public": public_pem_of(OTHER).decode()})
    assert both["public_previous"] == PUBLIC
    one, two = (new_certificate(key, serial=serial).decode() for key, serial in ((KEY, 0xA1), (OTHER, 0xB2)))
    record = merged("wechat", merged("wechat", {}, WECHAT | {"certificates": one}), {"certificates": two})
    assert pem.split(record["certificates"]) == [one, two]
    assert merged("wechat", record, {"certificates": one})["certificates"].count("BEGIN CERTIFICATE") == 2
    gateway = gateway_of("wechat", record, LIVE, calls=LINE, downloads=LINE)
    assert gateway._keys.serials == {PUBLIC_KEY_ID, "A1", "B2"}
    assert merged("wechat", record, {"certificates": two}, discard_previous=True)["certificates"] == two


def test_a_pair_of_ours_is_made_once_where_the_channel_wants_one():
    record = merged("alipay", {}, {"app_id": ALIPAY["app_id"]})
    again = merged("alipay", record, {"public": PUBLIC, "merchant_id": ALIPAY["merchant_id"]})
    assert again["private"] == record["private"] != PRIVATE
    assert CHANNELS["alipay"].missing(record) == ["--seller-id", "--public-key"]
    assert CHANNELS["alipay"].missing(again) == []
    assert our_public_pem(merged("wechat", {}, {"merchant_id": "1900000109"})) is None


def test_what_is_still_missing():
    def missing(channel, *without):
        whole = WECHAT if channel == "wechat" else EPAY
        return CHANNELS[channel].missing({name: text for name, text in whole.items() if name not in without})

    assert missing("wechat") == missing("epay") == []
    assert missing("wechat", "public", "api_v3_key") == ["--api-v3-key", "--public-key"]
    assert (
        CHANNELS["wechat"].missing(
            {name: text for name, text in WECHAT.items() if "public" not in name} | {"certificates": "x"}
        )
        == []
    )
    assert missing("epay", "key") == ["--key"]


# --- what is made ---


def test_live_channels_ask_the_real_hosts():
    wechat, alipay, epay = made("wechat", WECHAT), made("alipay", ALIPAY), made("epay", EPAY)
    assert isinstance(wechat, WechatGateway)
    assert isinstance(alipay, AlipayGateway)
    assert isinstance(epay, EpayGateway)
    assert wechat._hosts == [("https://api.mch.weixin.qq.com", ""), ("https://api2.mch.weixin.qq.com", "")]
    assert alipay._url == "https://openapi.alipay.com/gateway.do"
    assert epay._url == "https://pay.example.cn"
    assert (wechat.app_ids, wechat.products, wechat.payers) == ({"wxd678efh567hg6787"}, {"qr", "h5"}, None)
    mini = made("wechat", WECHAT | {"mini_app_id": "wxmini67hg6787efh5", "app_secret": "5e" * 16})
    assert mini.products == {"qr", "h5", "jsapi", "mini_program"}
    asked = mini.payers.address(back_url="https://shop.example/", state="a")
    assert (asked.split("?")[0], mini.payers.scope) == (wechat_payer.AUTHORIZE_URL, "wxd678efh567hg6787")
    assert mini.payers._token_url == "https://api.weixin.qq.com/sns/oauth2/access_token"
    assert [one.notice_is_proof for one in (wechat, alipay, epay)] == [True, True, False]
    assert [one.makes_bills for one in (wechat, alipay, epay)] == [True, True, False]


def test_with_a_sandbox_all_channels_ask_it_and_no_spare_host():
    wechat, alipay, epay = (made(channel, PLAYING[channel], PLAY) for channel in ("wechat", "alipay", "epay"))
    assert wechat._hosts == [("http://127.0.0.1:8790", "/wechat")]
    payers = made("wechat", PLAYING["wechat"] | {"app_secret": "5e" * 16}, PLAY).payers
    asked = payers.address(back_url="http://127.0.0.1:8000/", state="a")
    assert asked.startswith("http://127.0.0.1:8790/wechat/connect/oauth2/authorize?")
    assert payers._token_url == "http://127.0.0.1:8790/wechat/sns/oauth2/access_token"
    assert alipay._url == "http://127.0.0.1:8790/alipay/gateway.do"
    assert epay._url == "http://127.0.0.1:8790/epay"
    assert made("sandbox", {"merchant_id": "m", "public": PUBLIC}, PLAY).merchant_id == "m"


@pytest.mark.parametrize(("channel", "record"), [("wechat", WECHAT), ("alipay", ALIPAY), ("epay", EPAY)])
@pytest.mark.parametrize("trial", [True, False])
def test_the_sandbox_never_sees_the_keys_of_a_real_merchant(channel, record, trial):
    with pytest.raises(unusable.RealKeysWithSandbox):
        made(channel, record, PLAY, trial=trial)


MARK = "Kameng sandbox, play money\n"


@pytest.mark.parametrize(
    ("channel", "record"),
    [
        ("sandbox", {"merchant_id": "m", "public": PUBLIC}),
        ("wechat", WECHAT | {"public_key_id": "PUB_KEY_ID_SANDBOX0000000001"}),
        ("wechat", WECHAT | {"public": MARK + PUBLIC}),
        ("alipay", ALIPAY | {"public": MARK + PUBLIC}),
        ("alipay", ALIPAY | {"app_id": "9021000122600000"}),  # a bare key, as Alipay's page shows it
        ("wechat", WECHAT | {"merchant_id": "9012345678"}),
        ("epay", EPAY | {"key": "SANDBOX" + "k" * 25}),
    ],
)
def test_a_live_shop_refuses_what_the_sandbox_made(channel, record):
    with pytest.raises(unusable.SandboxKeysWhenLive) as refusal:
        made(channel, record)
    assert f"keys drop {channel}" in refusal.value.sentence("zh")
    assert f"keys drop {channel}" in refusal.value.sentence("en")


@pytest.mark.parametrize("trial", [True, False])
@pytest.mark.parametrize("channel", ["sandbox", "wechat", "alipay"])
def test_the_real_hosts_never_see_the_sandboxs_keys(channel, trial):
    record = {"merchant_id": "m", "public": PUBLIC} if channel == "sandbox" else PLAYING[channel]
    with pytest.raises(unusable.SandboxNowhere, match="KAMENG_SANDBOX_URL"):
        made(channel, record, DEMO, trial=trial)


def test_real_keys_are_not_taken_for_the_sandboxs():
    # The word may stand in a key by chance: what is inside a frame is not looked at.
    text = PUBLIC.replace("\n", "\nSandbox", 1)
    assert not is_of_sandbox("wechat", WECHAT | {"public": text})
    assert is_of_sandbox("wechat", WECHAT | {"public": MARK + PUBLIC})
    assert pem.without_frame(MARK + PUBLIC) == "".join(PUBLIC.splitlines()[1:-1])


@pytest.mark.parametrize(("channel", "record"), [("wechat", WECHAT), ("alipay", ALIPAY), ("epay", EPAY)])
def test_a_demo_shop_takes_no_real_money_but_may_ask_a_harmless_question(channel, record):
    with pytest.raises(unusable.RealMoneyWhenDemo):
        made(channel, record, DEMO)
    assert made(channel, record, DEMO, trial=True).channel == channel


@pytest.mark.parametrize(
    "url",
    [
        *("http://pay.example.cn", "https://127.0.0.1", "https://localhost:8443", "https://pay", "https://10.0.0.5"),
        *("https://[fd00::1]", "https://169.254.1.1", "https://224.0.0.1"),
    ],
)
def test_a_live_shop_pays_over_https_in_the_open(url):
    with pytest.raises(unusable.InsecureChannel, match="https"):
        made("epay", EPAY | {"url": url})


def test_what_cannot_be_used_says_why():
    with pytest.raises(unusable.ChannelIncomplete, match="--api-v3-key"):
        made("wechat", {name: text for name, text in WECHAT.items() if name != "api_v3_key"})
    with pytest.raises(unusable.ChannelUnusable):
        gateway_of("stripe", {}, LIVE, calls=LINE, downloads=LINE)
    with pytest.raises(unusable.ChannelUnusable, match="PEM"):
        gateway_of("wechat", WECHAT | {"public": "damaged"}, LIVE, calls=LINE, downloads=LINE)
