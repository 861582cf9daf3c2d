"""`kameng-server keys add|show|test|drop`: what a merchant was given for each payment channel.

Secrets come from files or standard input, never from the command's own words, which every user of a machine can read;
nothing secret is printed. Only the public key that a channel is to be handed goes to stdout of `add`, so that it can be
piped.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Any

from server.cli_parts import database, ring, say
from server.crypto import ChannelRecord
from server.gateways import pem, setup
from server.gateways.clocks import TimedLine
from server.gateways.port import ChannelRefused, ChannelUnknown, Gateway, PayerDesk
from server.gateways.setup import CHANNELS, Item, Kind
from server.gateways.wechat import WechatGateway
from server.outbound import Outbound
from server.payments import queries as payments
from server.payments.refunds import queries as refunds
from server.settings import Settings
from server.telemetry import CLOCK_OFF_SECONDS
from shared import ids
from shared.errors import BadField, Conflict, KamengError
from shared.sentence import Sentence

_MOST_BYTES = 64 * 1024


class ChannelInUse(Conflict):
    """Money is on its way through the channel: without its keys nobody hears of it, or can give it back."""

    code = "channel_in_use"
    zh = (
        "支付渠道“{channel}”还有 {payments} 笔未了结的付款、{refunds} 笔未了结的退款。请先在控制台停用渠道，"
        "等它们了结；确认要删除请加 --yes。"
    )
    en = (
        "Channel “{channel}” has {payments} open payments and {refunds} open refunds. Switch it off in the console and "
        "wait until they have ended, or repeat with --yes."
    )


class NothingGiven(KamengError):
    """`keys add CHANNEL` without a word of what to add: a channel is not half set up by accident."""

    code = "nothing_given"
    zh = (
        "没有给出任何参数，什么也没有保存。渠道“{channel}”可用的参数：{options}；"
        "说明见 kameng-server keys add {channel} -h。"
    )
    en = (
        "Nothing was given, and nothing saved. Channel “{channel}” takes {options}; see `kameng-server keys add "
        "{channel} -h`."
    )


class NothingToDrop(KamengError):
    """A channel that the ring does not know."""

    code = "nothing_to_drop"
    zh = "没有登记支付渠道“{channel}”，没有什么可删除。已登记的：{held}。"
    en = "Payment channel “{channel}” is not set up; there is nothing to forget. Set up are: {held}."


# What a channel's answer to the trial says about the set-up: a part of it, and what to do.
_HINTS: tuple[tuple[str, str, str], ...] = (
    (
        "stale",
        "应答的时间与本机相差太多：请校准本机时钟。",
        "The answer's time is far from ours: set this machine's clock.",
    ),
    (
        "SIGN_ERROR",
        "渠道不认我方签名：检查商户号、证书序列号与私钥是否配套。",
        "Our signature was not taken: merchant number, serial and private key must belong together.",
    ),
    (
        "invalid-signature",
        "渠道不认我方签名：检查上传的应用公钥与私钥是否一对。",
        "Our signature was not taken: the key given to the channel must be the half of ours.",
    ),
    (
        "invalid-app-id",
        "渠道不认识这个 APPID。",
        "The channel does not know this app id.",
    ),
    (
        "MCH_NOT_EXISTS",
        "渠道不认识这个商户号。",
        "The channel does not know this merchant number.",
    ),
    (
        "WX_40125",
        "AppSecret 不对：在公众平台核对或重置后再登记。",
        "The AppSecret is wrong: check or reset it at the official account's platform.",
    ),
    (
        "WX_40013",
        "AppSecret 与公众号 AppID 不是一对。",
        "The AppSecret does not belong to this appid.",
    ),
    (
        "WX_40164",
        "公众平台的 IP 白名单里没有本机地址。",
        "This machine's address is not on the official account's IP allow-list.",
    ),
    (
        "APPID_MCHID_NOT_MATCH",
        "AppID 没有绑定到这个商户号。",
        "The app id is not bound to this merchant number.",
    ),
    (
        "NO_AUTH",
        "商户号没有开通这个产品。",
        "The merchant has not been given this product.",
    ),
    (
        "unknown_key",
        "渠道用另一把密钥签名：检查公钥 ID 或平台证书。",
        "It signs with another key: check the public key's id, or the platform certificate.",
    ),
    (
        "forged",
        "应答的签名与登记的渠道公钥不符：检查渠道公钥文件。",
        "The answer's signature does not fit the channel's key: check its public key.",
    ),
    (
        "incomplete",
        "应答没有签名：渠道没有认出我方，或应答来自别处。",
        "The answer is not signed: the channel did not recognise us, or another answered.",
    ),
    (
        "ConnectError",
        "连接不上渠道：检查网络、DNS 与防火墙。",
        "The channel cannot be reached: check network, DNS and firewall.",
    ),
    (
        "ConnectTimeout",
        "连接渠道超时：检查网络与防火墙。",
        "Connecting took too long: check network and firewall.",
    ),
    (
        "-3",
        "平台不认我方密钥或签名。",
        "The site did not take our secret or signature.",
    ),
)


def add(verbs: Any) -> None:
    """Add the verbs to `keys`; `verbs` are its subparsers."""
    adding = verbs.add_parser("add", help="登记支付渠道 / set a payment channel up, or change its keys")
    channels = adding.add_subparsers(required=True, metavar="CHANNEL", dest="channel")
    for channel, facts in CHANNELS.items():
        parser = channels.add_parser(channel)
        for item in facts.items:
            _add_option(parser, item)
        parser.add_argument(
            "--discard-previous", action="store_true", help="不保留更换前的密钥 / keep no key beside the new one"
        )
        parser.set_defaults(run=_add)
    verbs.add_parser("show", help="查看公开部分 / show what is public").set_defaults(run=_show)
    for verb, run, words in (
        ("test", _test, "检查渠道配置（不产生交易）/ ask the channel a harmless question"),
        ("drop", _drop, "删除渠道及其密钥 / forget a channel and our key for it"),
    ):
        parser = verbs.add_parser(verb, help=words)
        if run is _drop:  # also a channel that a version before knew
            parser.add_argument("channel")
            parser.add_argument("--yes", action="store_true", help="即使还有未了结的款项 / although money is under way")
        else:
            parser.add_argument("channel", choices=CHANNELS)
        parser.set_defaults(run=run)


def _add_option(parser: argparse.ArgumentParser, item: Item) -> None:
    words = f"{item.zh} / {item.en}"
    if item.kind.from_file:
        parser.add_argument(f"--{item.option}", dest=item.name, type=Path, metavar="FILE", help=f"{words} (- = stdin)")
    elif item.choices:
        parser.add_argument(f"--{item.option}", dest=item.name, choices=item.choices, help=words)
    else:
        parser.add_argument(f"--{item.option}", dest=item.name, help=words)


def _add(settings: Settings, options: argparse.Namespace) -> int:
    keys, channel = ring(settings), options.channel
    facts = CHANNELS[channel]
    given = {
        item.name: _given(item, getattr(options, item.name)) for item in facts.items if getattr(options, item.name)
    }
    if not given and not options.discard_previous:
        raise NothingGiven(channel=channel, options=facts.options)
    if channel == setup.SANDBOX:
        given.setdefault("merchant_id", settings.sandbox_merchant)
    put = partial(setup.merged, channel, given=given, discard_previous=options.discard_previous)
    record = keys.change_channel(channel, put)
    ours = setup.our_public_pem(record) if facts.own_pair else None
    if ours is not None:
        print(ours, end="", flush=True)
    for zh, en in _what_is_next(channel, record, has_key_to_hand=ours is not None):
        _tell(settings, zh, en)
    if facts.warning is not None:
        _tell(settings, *facts.warning)
    return 0


def _given(item: Item, value: str | Path) -> str:
    """The text of an option. Raises BadField for a file that cannot be read, or is no text of a reasonable size."""
    if not isinstance(value, Path):
        return value
    if str(value) == "-":
        return sys.stdin.read()
    content = _read(item, value)
    if len(content) > _MOST_BYTES:
        words = Sentence(f"文件 {value} 超过 {_MOST_BYTES} 字节", f"{value} is larger than {_MOST_BYTES} bytes")
        raise BadField(field=f"--{item.option}", reason=words)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        words = Sentence(f"文件 {value} 不是文本；要 .pem，不是 .p12", f"{value} is no text; a .pem is, a .p12 is not")
        raise BadField(field=f"--{item.option}", reason=words) from None


_UNREADABLE: tuple[tuple[type[OSError], str, str], ...] = (
    (FileNotFoundError, "找不到文件 {file}", "there is no file {file}"),
    (IsADirectoryError, "{file} 是文件夹", "{file} is a folder"),
    (PermissionError, "没有权限读取 {file}", "{file} may not be read"),
    (OSError, "无法读取 {file}", "{file} cannot be read"),
)


def _read(item: Item, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES + 1)
    except OSError as error:
        zh, en = next((zh, en) for kind, zh, en in _UNREADABLE if isinstance(error, kind))
        words = Sentence(zh.format(file=path), en.format(file=path))
        raise BadField(field=f"--{item.option}", reason=words) from None


def _what_is_next(channel: str, record: ChannelRecord, *, has_key_to_hand: bool) -> list[tuple[str, str]]:
    said = [("上面的公钥请提交给渠道。", "Hand the public key above to the channel.")] if has_key_to_hand else []
    if missing := " ".join(CHANNELS[channel].missing(record)):
        zh, en = (
            f"已保存渠道 {channel}，还缺少 {missing}。",
            f"Saved channel {channel}; {missing} is still to be given.",
        )
        return [*said, (zh, en)]
    named, test = f"{channel}（商户号 {record['merchant_id']}）", f"kameng-server keys test {channel}"
    zh = f"已登记渠道 {named}。检查：{test}；运行中的服务器需要重启。"
    return [*said, (zh, f"Added {channel} ({record['merchant_id']}). Check: `{test}`; restart the server.")]


def _tell(settings: Settings, zh: str, en: str) -> None:
    print(en if settings.language == "en" else zh, file=sys.stderr, flush=True)


# --- show ---


def _show(settings: Settings, _options: argparse.Namespace) -> int:
    keys = ring(settings)
    print(f"import {keys.import_key_id}")
    for channel in keys.channels():
        if channel in CHANNELS:
            _show_channel(channel, keys.channel(channel))
    return 0


def _show_channel(channel: str, record: ChannelRecord) -> None:
    """What is public in the clear; of keys that they are there, and our public half."""
    print(f"{channel} {record.get('merchant_id', '-')}")
    for item in CHANNELS[channel].items:
        held = record.get(item.name)
        if held is not None and item.name != "merchant_id":
            print(f"  {item.option}: {_shown(item, held)}")
        if item.previous is not None and item.previous in record:
            print(f"  {item.option}: ••• (previous)")
    if missing := CHANNELS[channel].missing(record):
        print(f"  ! {' '.join(missing)}")
    ours = setup.our_public_pem(record)
    if ours is not None:
        print(ours + pem.without_frame(ours))


def _shown(item: Item, held: str) -> str:
    if item.kind.is_secret:
        return "•••"
    if item.kind is Kind.PUBLIC_KEY:
        return pem.without_frame(held)
    return str(len(pem.split(held))) if item.kind is Kind.CERTIFICATES else held


# --- test and drop ---


def _test(settings: Settings, options: argparse.Namespace) -> int:
    keys, channel = ring(settings), options.channel
    offsets: list[float] = []
    lines = TimedLine(Outbound(), offsets.append)
    record = keys.channel(channel)
    keep = partial(setup.keep_certificates, keys, channel)
    gateway = setup.gateway_of(channel, record, settings, calls=lines, downloads=lines, keep=keep, trial=True)
    said = asyncio.run(_ask(gateway))
    off = round(offsets[-1]) if offsets else 0
    if abs(off) >= CLOCK_OFF_SECONDS:
        say(
            settings,
            f"本机时钟与渠道相差 {off:+d} 秒，请校准。",
            f"This machine's clock is {off:+d} s from the channel's; set it.",
        )
    if said is None:
        say(
            settings,
            f"渠道 {channel} 配置正确：签名互认，查询正常。",
            f"Channel {channel} is set up well: both sides' signatures hold, and a query was answered.",
        )
        return 0
    say(settings, f"渠道 {channel} 没有通过检查：{said}", f"Channel {channel} did not pass: {said}")
    for token, zh, en in _HINTS:
        if token in said:
            say(settings, zh, en)
            break
    return 1


async def _ask(gateway: Gateway) -> str | None:
    """What is wrong, by the answer to a question about a number that nobody has."""
    number = f"TEST-{ids.random_bytes(10).hex()}"
    try:
        if await gateway.query(number) is not None:
            return "answer to another question"
        if isinstance(gateway, WechatGateway) and gateway.believes_certificates:
            await gateway.renew()
        if gateway.payers is not None:
            return await _ask_for_payer(gateway.payers)
    except ChannelRefused as refusal:
        return refusal.reason_code
    except ChannelUnknown as unknown:
        return unknown.detail
    return None


async def _ask_for_payer(payers: PayerDesk) -> str | None:
    """What is wrong with the application's secret, by the answer to a code that nobody was given."""
    try:
        await payers.payer_of(f"TEST{ids.random_bytes(14).hex()}")
    except ChannelRefused as refusal:
        return None if refusal.reason_code == "WX_40029" else refusal.reason_code
    return "answer to another question"


def _drop(settings: Settings, options: argparse.Namespace) -> int:
    keys, channel = ring(settings), options.channel
    if channel not in (held := keys.channels()):
        raise NothingToDrop(channel=channel, held=", ".join(held) or "-")
    if not options.yes:
        _require_at_rest(settings, channel)
    keys.drop_channel(channel)
    say(
        settings,
        f"已删除渠道 {options.channel} 的密钥；运行中的服务器需要重启。",
        f"The keys of channel {options.channel} are gone; restart a running server.",
    )
    return 0


def _require_at_rest(settings: Settings, channel: str) -> None:
    """Raise ChannelInUse while its money is under way. A shop whose database was never made has none."""
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        return
    with database(settings) as db, db.read() as tx:
        open_payments, open_refunds = payments.open_of(tx, channel), refunds.unsettled_of(tx, channel)
    if open_payments or open_refunds:
        raise ChannelInUse(channel=channel, payments=open_payments, refunds=open_refunds)
