"""The sandbox's channels in the demo shop: keys exchanged by the command that a merchant uses for real ones.

`exchange` plays the clerk: it hands each channel's public key to `kameng-server keys add`, and the shop's to the
sandbox. What is set up already is left alone, unless the sandbox has other keys by now.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from server.crypto import ChannelRecord, KeyRing
from server.gateways import pem
from server.gateways.setup import our_public_pem
from server.settings import Settings, as_environment
from shared import ids

Ready = Mapping[str, str]

_SERIAL = "5AB0C0DE00000000000000000000000000000001"
_MCHID, _APP_ID, _MINI_APP_ID = "9000000001", "wxsandboxkameng", "wxsandboxkamengmini"
_ALIPAY_APP_ID, _SELLER = "9021000000000001", "2088000000000001"


class NotExchanged(Exception):
    """`keys add` refused; its log says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """How one channel is set up on both sides.

    `key_file` is the ready line's name of its public key, `options` are those of `keys add` that never change, `fresh`
    those of the first time with the files to give, and `register` the sandbox's file about the shop.
    """

    key_file: str
    options: Callable[[Settings, Ready], Sequence[str]]
    fresh: Callable[[], Mapping[str, str]] = dict
    register: Callable[[Settings, Ready, ChannelRecord], tuple[Path, str]]


def exchange(settings: Settings, ready: Ready, *, log: Path) -> None:
    """Set up every channel that the sandbox's ready line names, on both sides. Raises NotExchanged."""
    for channel, desk in _DESKS.items():
        if desk.key_file not in ready:
            continue
        public = Path(ready[desk.key_file])
        keys = KeyRing.load(settings.key_ring_file)
        known = channel in keys.channels()
        if not known or keys.channel(channel).get("public", "").strip() != public.read_text().strip():
            with _files({} if known else desk.fresh()) as given:
                options = [*desk.options(settings, ready), "--public-key", str(public), *given]
                _run(settings, ["keys", "add", channel, *options], log)
        record = KeyRing.load(settings.key_ring_file).channel(channel)
        path, content = desk.register(settings, ready, record)
        if not path.exists() or path.read_text() != content:
            path.write_text(content)


@contextmanager
def _files(contents: Mapping[str, str]) -> Iterator[list[str]]:
    """Options that name a file with each text, as long as the body runs: a secret is never an argument."""
    with TemporaryDirectory() as folder:
        options: list[str] = []
        for option, text in contents.items():
            path = Path(folder) / option
            path.write_text(text)
            options += [f"--{option}", str(path)]
        yield options


def _run(settings: Settings, command: Sequence[str], log: Path) -> None:
    with log.open("a") as file:
        added = subprocess.run(
            [sys.executable, "-m", "server", *command],
            env=as_environment(settings),
            stdout=file,
            stderr=file,
            check=False,
        )
    if added.returncode != 0:
        raise NotExchanged(command[2])


# --- the desks ---


def _own_register(settings: Settings, ready: Ready, record: ChannelRecord) -> tuple[Path, str]:
    file = Path(ready["merchants"]) / f"{settings.sandbox_merchant}.pem"
    return file, f"Name: {settings.shop_name}\n{our_public_pem(record)}"


def _wechat_options(_settings: Settings, ready: Ready) -> list[str]:
    of_us = ["--mchid", _MCHID, "--app-id", _APP_ID, "--mini-app-id", _MINI_APP_ID]
    return [*of_us, "--merchant-serial", _SERIAL, "--public-key-id", ready["wechat_public_key_id"]]


def _wechat_fresh() -> dict[str, str]:
    """What a merchant gets from WeChat Pay's own tool and chooses on its pages."""
    return {
        "private-key": pem.new_private_key(),
        "api-v3-key": f"SANDBOX{ids.random_bytes(16).hex()}"[:32],
        "app-secret": ids.random_bytes(16).hex(),
    }


def _wechat_register(settings: Settings, ready: Ready, record: ChannelRecord) -> tuple[Path, str]:
    facts = {
        "mchid": _MCHID,
        "name": settings.shop_name[:40],
        "app_ids": [_APP_ID, _MINI_APP_ID],
        "serial_no": _SERIAL,
        "public_key": our_public_pem(record),
        "api_v3_key": record["api_v3_key"],
        "app_secrets": {_APP_ID: record["app_secret"]} if "app_secret" in record else {},
    }
    return Path(ready["wechat_merchants"]) / f"{_MCHID}.json", json.dumps(facts, ensure_ascii=False, indent=1)


def _alipay_register(settings: Settings, ready: Ready, record: ChannelRecord) -> tuple[Path, str]:
    facts = {"name": settings.shop_name[:40], "seller_id": _SELLER, "public_key": our_public_pem(record)}
    return Path(ready["alipay_merchants"]) / f"{_ALIPAY_APP_ID}.json", json.dumps(facts, ensure_ascii=False, indent=1)


_DESKS: dict[str, _Desk] = {
    "sandbox": _Desk(
        key_file="public_key",
        options=lambda settings, _ready: ["--merchant", settings.sandbox_merchant],
        register=_own_register,
    ),
    "wechat": _Desk(
        key_file="wechat_public_key",
        options=_wechat_options,
        fresh=_wechat_fresh,
        register=_wechat_register,
    ),
    "alipay": _Desk(
        key_file="alipay_public_key",
        options=lambda _settings, _ready: ["--app-id", _ALIPAY_APP_ID, "--seller-id", _SELLER],
        register=_alipay_register,
    ),
}
