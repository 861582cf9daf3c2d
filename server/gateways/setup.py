"""What a merchant gives for each channel, and the gateway made of it: tables of facts for the command line and the app.

A channel's record is texts by name, as the key ring keeps them. `merged` judges what is given before it is kept;
`gateway_of` refuses what would be dangerous: keys of the sandbox in a live shop, real ones in a shop for play, an
address that is not https. Nothing here prints, logs or repeats a secret.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

from server.crypto import KeyRing
from server.gateways import pem
from server.gateways.alipay import GATEWAY_URL, AlipayGateway
from server.gateways.alipay_signing import AlipayAccount
from server.gateways.epay import EpayGateway
from server.gateways.epay_signing import EpayAccount
from server.gateways.port import Gateway
from server.gateways.sandbox import SandboxGateway
from server.gateways.unusable import (
    ChannelIncomplete,
    ChannelUnusable,
    InsecureChannel,
    RealKeysWithSandbox,
    RealMoneyWhenDemo,
    SandboxKeysWhenLive,
    SandboxNowhere,
)
from server.gateways.wechat import MAIN_HOST, SPARE_HOST, WechatGateway
from server.gateways.wechat_keys import WechatAccount
from server.gateways.wechat_payer import AUTHORIZE_URL, TOKEN_URL, PayerDesk
from server.outbound import Line
from server.settings import Settings, is_local
from shared.errors import BadField, KamengError
from shared.sentence import Sentence

Record = Mapping[str, str]
_log = logging.getLogger("kameng.gateways")


# --- what is given ---


class Kind(Enum):
    """What an item is: how it is given, and whether it may be shown."""

    TEXT = "text"
    SECRET = "secret"  # noqa: S105 - a kind, not a secret
    PRIVATE_KEY = "private key"
    PUBLIC_KEY = "public key"
    CERTIFICATES = "certificates"

    @property
    def from_file(self) -> bool:
        """Given as a file or on stdin: what stands in a command is seen by every user of the machine."""
        return self is not Kind.TEXT

    @property
    def is_secret(self) -> bool:
        """Never shown again."""
        return self in {Kind.SECRET, Kind.PRIVATE_KEY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing of a channel: its name in the record, its option, what it is for, and its shape.

    `previous` names where the one before it is kept while messages made with it may still come.
    """

    name: str
    option: str
    zh: str
    en: str
    kind: Kind = Kind.TEXT
    shape: str = r"[!-~]{1,64}"
    choices: tuple[str, ...] = ()
    previous: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSetup:
    """One channel: its items; what is needed, by names, each entry being ways of which one is enough.

    `own_pair` says that the channel is handed our public key, and that we make the pair when none is given; `warning`
    is told to who sets it up.
    """

    items: tuple[Item, ...]
    needed: tuple[tuple[tuple[str, ...], ...], ...]
    build: Callable[[Record, Wires], Gateway]
    own_pair: bool = False
    warning: tuple[str, str] | None = None

    @property
    def options(self) -> str:
        """All that may be given."""
        return " ".join(f"--{item.option}" for item in self.items)

    def missing(self, record: Record) -> list[str]:
        """The options that are still to be given, the first way of each."""
        options = {item.name: item.option for item in self.items}
        return [
            f"--{options[name]}"
            for ways in self.needed
            if not any(all(record.get(name) for name in way) for way in ways)
            for name in ways[0]
            if not record.get(name)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wires:
    """What a gateway is connected with. `sandbox_url` replaces every channel's own address."""

    calls: Line
    downloads: Line
    sandbox_url: str | None
    keep: Callable[[tuple[bytes, ...]], None]


def merged(channel: str, record: Record, given: Record, *, discard_previous: bool = False) -> dict[str, str]:
    """The record with what is given judged and put in its place. Raises BadField, which names the option.

    A key that replaces another one keeps it beside itself where its item says so; certificates are added to those held.
    """
    setup, kept = CHANNELS[channel], dict(record)
    for item in setup.items:
        if discard_previous and item.previous is not None:
            kept.pop(item.previous, None)
        if item.name not in given:
            continue
        text, held = _judged(setup, item, given[item.name]), record.get(item.name)
        if item.previous is not None and held not in {None, text} and not discard_previous:
            kept[item.previous] = held or ""
        if item.kind is Kind.CERTIFICATES and held and not discard_previous:
            text = pem.joined(held, text)
        kept[item.name] = text
    if setup.own_pair and "private" not in kept and "key" not in kept:
        kept["private"] = pem.new_private_key()
    return kept


_READERS: dict[Kind, Callable[[str], str]] = {
    Kind.PRIVATE_KEY: pem.private_key,
    Kind.PUBLIC_KEY: pem.public_key,
    Kind.CERTIFICATES: pem.certificates,
}


_NAMES: dict[Kind, Sentence] = {
    Kind.PRIVATE_KEY: Sentence("私钥", "a private key"),
    Kind.PUBLIC_KEY: Sentence("公钥", "a public key"),
    Kind.CERTIFICATES: Sentence("证书", "a certificate"),
}


def _judged(setup: ChannelSetup, item: Item, text: str) -> str:
    if item.kind in _READERS:
        try:
            return _READERS[item.kind](text.strip() + "\n")
        except pem.NotUsable as error:
            raise BadField(field=f"--{item.option}", reason=_mixed_up(setup, item, text) or error.why) from None
    if item.choices:
        if text not in item.choices:
            raise BadField(field=f"--{item.option}", reason=" / ".join(item.choices))
        return text
    if not re.fullmatch(item.shape, text.strip()):
        raise BadField(field=f"--{item.option}", reason=Sentence(f"应为“{item.zh}”", f"should be “{item.en}”"))
    return text.strip()


def _mixed_up(setup: ChannelSetup, wanted: Item, text: str) -> Sentence | None:
    """That a file is another one of the merchant's, and which option it belongs to; None where it is none of them."""
    is_kind = next((kind for kind in _NAMES if kind.value == pem.kind_of(text)), wanted.kind)
    if is_kind is wanted.kind:
        return None
    zh, en = (f"这是{_NAMES[is_kind].zh}，不是{_NAMES[wanted.kind].zh}", f"it is {_NAMES[is_kind].en}")
    option = next((item.option for item in setup.items if item.kind is is_kind), None)
    return Sentence(f"{zh}；请用 --{option} 给出", f"{en}, for --{option}") if option else Sentence(zh, en)


def our_public_pem(record: Record) -> str | None:
    """What the channel is told of us; None before there is a key."""
    return pem.public_half(record["private"]) if record.get("private") else None


_SANDBOX_NUMBERS = {"wechat": ("merchant_id", r"90[0-9]{8}"), "alipay": ("app_id", r"9021[0-9]{12}")}
"""What the sandbox takes, and real merchants never have: a bare key says nothing of where it comes from."""


def is_of_sandbox(channel: str, record: Record) -> bool:
    """Whether anything of it says that it is the sandbox's: its number, or the words before a key."""
    if _has_sandbox_number(channel, record):
        return True
    shown = "\n".join(re.sub(r"-----BEGIN.*?-----END[^\n]*", "", text, flags=re.DOTALL) for text in record.values())
    return "sandbox" in shown.lower()


def _has_sandbox_number(channel: str, record: Record) -> bool:
    name, shape = _SANDBOX_NUMBERS.get(channel, ("", ""))
    return re.fullmatch(shape, record.get(name, "")) is not None if name else False


def _is_for_play(channel: str, record: Record) -> bool:
    """Whether the sandbox may see it. A site of Epay's is known by its address: nobody's secret is sent elsewhere."""
    if channel in _SANDBOX_NUMBERS:
        return _has_sandbox_number(channel, record)
    return channel == SANDBOX or is_local(urlsplit(record.get("url", "")).hostname or "")


def _is_public(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return not is_local(host)
    return address.is_global and not address.is_multicast


# --- what is made of it ---


def gateway_of(
    channel: str,
    record: Record,
    settings: Settings,
    *,
    calls: Line,
    downloads: Line,
    keep: Callable[[tuple[bytes, ...]], None] = lambda _fetched: None,
    trial: bool = False,
) -> Gateway:
    """The gateway of a channel. Raises ChannelUnusable. A `trial` asks harmless questions: also a demo shop may."""
    if channel not in CHANNELS:
        raise ChannelUnusable(channel=channel, reason="?")
    setup = CHANNELS[channel]
    if missing := setup.missing(record):
        raise ChannelIncomplete(channel=channel, missing=" ".join(missing))
    if settings.is_live and (channel == SANDBOX or is_of_sandbox(channel, record)):
        raise SandboxKeysWhenLive(channel=channel)
    if settings.sandbox_url is None and (channel == SANDBOX or is_of_sandbox(channel, record)):
        raise SandboxNowhere(channel=channel)
    if settings.sandbox_url is None and not (settings.is_live or trial):
        raise RealMoneyWhenDemo(channel=channel)
    if settings.sandbox_url is not None and not _is_for_play(channel, record):
        raise RealKeysWithSandbox(channel=channel)
    if settings.is_live and (url := record.get("url")) is not None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not _is_public(parts.hostname or ""):
            raise InsecureChannel(channel=channel, url=url)
    wires = Wires(calls=calls, downloads=downloads, sandbox_url=settings.sandbox_url, keep=keep)
    try:
        return setup.build(record, wires)
    except ValueError as error:
        raise ChannelUnusable(channel=channel, reason=str(error)) from None


def keep_certificates(keys: KeyRing, channel: str, fetched: tuple[bytes, ...]) -> None:
    """Put certificates that the channel sent beside those of the ring. Where that fails, the process still has them."""
    try:
        given = {"certificates": "".join(one.decode() for one in fetched)}
        keys.change_channel(channel, partial(merged, channel, given=given))
    except (KamengError, OSError) as error:
        _log.warning("certificates were not kept", extra={"channel": channel, "why": type(error).__name__})


def _sandbox(record: Record, wires: Wires) -> Gateway:
    assert wires.sandbox_url is not None
    return SandboxGateway(
        base_url=wires.sandbox_url,
        merchant_id=record["merchant_id"],
        private_key_pem=record["private"].encode(),
        channel_public_key_pem=record["public"].encode(),
        outbound=wires.calls,
    )


def _wechat(record: Record, wires: Wires) -> Gateway:
    previous, public = record.get("api_v3_key_previous"), record.get("public")
    account = WechatAccount(
        merchant_id=record["merchant_id"],
        app_id=record["app_id"],
        mini_app_id=record.get("mini_app_id"),
        merchant_serial=record["merchant_serial"],
        private_key_pem=record["private"].encode(),
        api_v3_key=record["api_v3_key"].encode(),
        previous_api_v3_key=previous.encode() if previous else None,
        public_key_id=record.get("public_key_id"),
        public_key_pem=public.encode() if public else None,
        certificates_pem=tuple(one.encode() for one in pem.split(record.get("certificates", ""))),
    )
    inside = wires.sandbox_url is not None
    payers, own = None, f"{wires.sandbox_url}/wechat"
    if (secret := record.get("app_secret")) is not None:
        payers = PayerDesk(
            app_id=record["app_id"],
            app_secret=secret,
            outbound=wires.calls,
            authorize_url=f"{own}/connect/oauth2/authorize" if inside else AUTHORIZE_URL,
            token_url=f"{own}/sns/oauth2/access_token" if inside else TOKEN_URL,
        )
    return WechatGateway(
        account,
        outbound=wires.calls,
        downloads=wires.downloads,
        base_url=own if inside else MAIN_HOST,
        spare_url=None if inside else SPARE_HOST,
        keep=wires.keep,
        payers=payers,
    )


def _alipay(record: Record, wires: Wires) -> Gateway:
    public = [text for name in ("public", "public_previous") if (text := record.get(name))]
    account = AlipayAccount(
        app_id=record["app_id"],
        seller_id=record["merchant_id"],
        private_key_pem=record["private"].encode(),
        public_keys_pem=tuple(text.encode() for text in public),
    )
    url = GATEWAY_URL if wires.sandbox_url is None else f"{wires.sandbox_url}/alipay/gateway.do"
    return AlipayGateway(account, outbound=wires.calls, downloads=wires.downloads, base_url=url)


def _epay(record: Record, wires: Wires) -> Gateway:
    key, public = record.get("key"), record.get("public")
    account = EpayAccount(
        merchant_id=record["merchant_id"],
        url=record["url"] if wires.sandbox_url is None else f"{wires.sandbox_url}/epay",
        key=key,
        private_key_pem=None if key else record["private"].encode(),
        public_key_pem=public.encode() if public else None,
        key_joint="&key=" if record.get("sign_style") == "key=" else "",
        upper=record.get("sign_case") == "upper",
        acknowledgement=record.get("acknowledgement", "success"),
    )
    return EpayGateway(account, outbound=wires.calls)


# --- the channels ---

SANDBOX = "sandbox"
_PRIVATE = Item(name="private", option="private-key", kind=Kind.PRIVATE_KEY, zh="我方私钥文件", en="our private key")
_WX = r"wx[0-9a-zA-Z]{6,30}"

_EPAY_WARNING = (
    (
        "注意：许多易支付平台没有支付牌照（“四方支付”），资金可能被冻结或卷走，使用它也可能违法。V1 的 MD5 签名很弱，"
        "每笔付款都要查询确认后才发货。没有对账单，不能关单，V1 不支持退款。"
    ),
    (
        "Mind: many Epay sites have no payment licence; money may be frozen or lost, and using one may be unlawful. "
        "MD5 of version 1 is weak, so each payment is confirmed by a query before delivery. There are no bills and no "
        "closing, and in version 1 no refunds."
    ),
)

CHANNELS: dict[str, ChannelSetup] = {
    SANDBOX: ChannelSetup(
        items=(
            Item(name="merchant_id", option="merchant", zh="沙箱商户号", en="our number at the sandbox"),
            Item(name="public", option="public-key", kind=Kind.PUBLIC_KEY, zh="沙箱公钥文件", en="its public key"),
        ),
        needed=((("merchant_id",),), (("public",),)),
        build=_sandbox,
        own_pair=True,
    ),
    "wechat": ChannelSetup(
        items=(
            Item(
                name="merchant_id",
                option="mchid",
                shape=r"[0-9]{8,10}",
                zh="商户号（8 到 10 位）",
                en="mchid",
            ),
            Item(name="app_id", option="app-id", shape=_WX, zh="公众号 AppID", en="official account's appid, wx..."),
            Item(name="mini_app_id", option="mini-app-id", shape=_WX, zh="小程序 AppID", en="mini program's appid"),
            Item(
                name="app_secret",
                option="app-secret",
                kind=Kind.SECRET,
                shape=r"[0-9A-Za-z]{32}",
                zh="公众号 AppSecret 文件（没有它，微信里只能扫码支付）",
                en="file with the official account's AppSecret; without it a buyer inside WeChat needs another device",
            ),
            Item(
                name="merchant_serial",
                option="merchant-serial",
                shape=r"[0-9A-Fa-f]{16,40}",
                zh="商户 API 证书序列号",
                en="serial of the merchant's certificate, hex",
            ),
            _PRIVATE,
            Item(
                name="api_v3_key",
                option="api-v3-key",
                kind=Kind.SECRET,
                shape=r"[!-~]{32}",
                previous="api_v3_key_previous",
                zh="APIv3 密钥文件（32 个字符）",
                en="file with the APIv3 key, 32 characters",
            ),
            Item(
                name="public_key_id",
                option="public-key-id",
                shape=r"PUB_KEY_ID_[0-9A-Za-z_]{1,53}",
                zh="微信支付公钥 ID",
                en="PUB_KEY_ID_...",
            ),
            Item(name="public", option="public-key", kind=Kind.PUBLIC_KEY, zh="微信支付公钥文件", en="its public key"),
            Item(
                name="certificates",
                option="platform-certificate",
                kind=Kind.CERTIFICATES,
                zh="平台证书文件，与已有的并存",
                en="platform certificates, beside those held",
            ),
        ),
        needed=(
            (("merchant_id",),),
            (("app_id",),),
            (("merchant_serial",),),
            (("private",),),
            (("api_v3_key",),),
            (("public_key_id", "public"), ("certificates",)),
        ),
        build=_wechat,
    ),
    "alipay": ChannelSetup(
        items=(
            Item(name="app_id", option="app-id", shape=r"[0-9]{10,20}", zh="应用 APPID", en="the application's id"),
            Item(
                name="merchant_id",
                option="seller-id",
                shape=r"2088[0-9]{12}",
                zh="卖家支付宝账号（2088 开头 16 位）",
                en="seller id, 2088 and twelve digits",
            ),
            _PRIVATE,
            Item(
                name="public",
                option="public-key",
                kind=Kind.PUBLIC_KEY,
                previous="public_previous",
                zh="支付宝公钥文件（不是应用公钥）",
                en="Alipay's public key, not the application's",
            ),
        ),
        needed=((("app_id",),), (("merchant_id",),), (("private",),), (("public",),)),
        build=_alipay,
        own_pair=True,
    ),
    "epay": ChannelSetup(
        items=(
            Item(name="merchant_id", option="pid", shape=r"[0-9]{1,16}", zh="商户 ID", en="our pid, digits"),
            Item(name="url", option="url", shape=r"https?://[!-~]{1,200}", zh="接口网址", en="the site, https://..."),
            Item(
                name="key",
                option="key",
                kind=Kind.SECRET,
                shape=r"[!-~]{16,64}",
                zh="V1 商户密钥文件（MD5）",
                en="file with the secret of version 1 (MD5)",
            ),
            _PRIVATE,
            Item(name="public", option="public-key", kind=Kind.PUBLIC_KEY, zh="V2 平台公钥文件", en="key of version 2"),
            Item(
                name="sign_style",
                option="sign-style",
                choices=("plain", "key="),
                zh="MD5 拼接：直接接密钥，或加 &key=",
                en="how the secret is joined: plain, or after &key=",
            ),
            Item(name="sign_case", option="sign-case", choices=("lower", "upper"), zh="MD5 大小写", en="case of MD5"),
            Item(
                name="acknowledgement",
                option="acknowledgement",
                choices=("success", "SUCCESS"),
                zh="回应通知的内容",
                en="what the site wants to hear",
            ),
        ),
        needed=((("merchant_id",),), (("url",),), (("key",), ("private", "public"))),
        build=_epay,
        own_pair=True,
        warning=_EPAY_WARNING,
    ),
}
