"""What a deployment may set. The only file that reads the environment; frozen once read.

`Settings.from_environment()` refuses values that make no sense, and in live mode values that are weak, each with
a sentence that says what to do. Printing settings masks everything that is secret.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from server.gateways.port import SPLITTING
from shared import channels
from shared.errors import KamengError

PREFIX = "KAMENG_"
DEMO_SHOP_NAME = "卡盟演示店"
WEAK_PASSWORDS = frozenset({"", "admin", "changeme", "example", "kameng", "mariadb", "mysql", "password", "postgres"})


class BadSetting(KamengError):
    """An environment variable, or the data folder, cannot be used as it is."""

    code = "bad_setting"
    status = 500
    zh = "设置 {name} 有误：{reason}"
    en = "Setting {name} is not usable: {reason_en}"


class Mode(StrEnum):
    """`demo` runs anywhere with play money; `live` sells, and refuses weak settings."""

    DEMO = "demo"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a process may know about its deployment. Times and sizes carry their unit in the name."""

    mode: Mode = Mode.DEMO
    data: Path = Path("data")
    database_url: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    base_url: str = ""
    key_ring_file: Path = Path("data/keyring.json")
    key_ring: str | None = field(default=None, repr=False)
    sandbox_url: str | None = None
    sandbox_merchant: str = "kameng-demo"
    shop_name: str = DEMO_SHOP_NAME
    support: str | None = None
    language: str = "zh"
    log_level: str = "INFO"
    trusted_proxies: str = "127.0.0.1"
    metrics_token: str | None = field(default=None, repr=False)
    hold_minutes: int = 15
    hold_orders_per_device: int = 5
    hold_units_per_device: int = 200
    hold_orders_per_address: int = 50
    hold_units_per_address: int = 1_000
    refund_check_fen: int = 50_000
    difference_check_fen: int = 50_000
    arrival_days: int = 10
    no_fund_bills: str = ""
    shared_merchants: str = ""
    splitting: str = "sandbox"
    session_idle_hours: int = 72
    session_days: int = 30
    channel_fees: str = "alipay=6000 epay=6000 sandbox=6000 wechat=6000"
    refund_after_minutes: int = 0
    refund_days: str = ""
    complete_after_days: int = 3
    threads: int = 32
    drain_seconds: int = 0

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> Settings:
        """The settings of this process. Raises BadSetting for the first value that cannot be used."""
        env = os.environ if env is None else env
        _refuse_misspelt(env)
        given = {name: env[PREFIX + name.upper()] for name in _names() if env.get(PREFIX + name.upper())}
        values: dict[str, object] = {name: _READERS.get(name, _text)(name, text) for name, text in given.items()}
        data = Path(str(values.get("data", "data"))).absolute()
        values["data"] = data
        values.setdefault("key_ring_file", data / "keyring.json")
        values.setdefault("database_url", f"sqlite:///{data / 'kameng.db'}")
        values.setdefault("base_url", f"http://{_shown_host(values)}:{values.get('port', 8000)}")
        settings = cls(**values)  # type: ignore[arg-type]  # each reader returns its field's type
        if settings.mode is Mode.LIVE:
            _refuse_weak(settings, given)
        return settings

    @property
    def is_live(self) -> bool:
        """Whether real money moves."""
        return self.mode is Mode.LIVE

    @property
    def is_https(self) -> bool:
        """Whether buyers reach the shop by https; decides cookie names and HSTS."""
        return self.base_url.startswith("https://")

    @property
    def origin(self) -> str:
        """Scheme, host and port of the shop as browsers send it in `Origin`."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file when it is SQLite, which has one writing process; None for a server database."""
        scheme, _, path = self.database_url.partition(":///")
        return Path(path.partition("?")[0]) if scheme.startswith("sqlite") and path else None

    @property
    def channel_fee_ppm(self) -> dict[str, int]:
        """What each channel takes of a payment, in millionths, until its bill names the fee."""
        return _numbers(self.channel_fees)

    @property
    def refund_days_of(self) -> dict[str, int]:
        """For how many days after a payment its channel refunds it, where the contract says another time than usual."""
        return _numbers(self.refund_days)

    @property
    def channels_without_fund_bills(self) -> frozenset[str]:
        """Channels whose bill of movements this merchant has no right to: their days are signed without it."""
        return frozenset(self.no_fund_bills.split())

    @property
    def channels_shared_with_others(self) -> frozenset[str]:
        """Channels at whose merchant number another business takes money too: what nobody here knows may be theirs."""
        return frozenset(self.shared_merchants.split())

    @property
    def channels_that_split(self) -> frozenset[str]:
        """Channels whose contract lets this merchant split payments (分账): what they split is opened to be split."""
        return frozenset(self.splitting.split())

    def redacted(self) -> dict[str, str]:
        """What may be printed and logged: secrets are masked, a database's password too."""
        shown = {item.name: str(getattr(self, item.name)) for item in fields(self)}
        shown["database_url"] = _without_password(self.database_url)
        for secret in ("key_ring", "metrics_token"):
            shown[secret] = "•••" if getattr(self, secret) else "-"
        return shown

    def __str__(self) -> str:
        return "\n".join(f"{PREFIX}{name.upper()}={value}" for name, value in self.redacted().items())

    def __repr__(self) -> str:
        return f"Settings({self.redacted()})"

    def prepare_data_folder(self) -> None:
        """Make the data folder for this user alone, and new files private from here on.

        Raises BadSetting when the folder holds something and other users can read it: changing the mode of a
        folder that may be somebody's home is not ours to do.
        """
        os.umask(0o077)
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = stat.S_IMODE(self.data.stat().st_mode)
            if os.name != "posix" or not mode & 0o077:
                return
            if any(self.data.iterdir()):
                _refuse(
                    "data",
                    f"文件夹 {self.data} 对其他用户可读，请执行 chmod 700 {self.data}",
                    f"the folder {self.data} can be read by other users; run chmod 700 {self.data}",
                )
            self.data.chmod(0o700)
        except OSError as error:
            _refuse(
                "data",
                f"无法使用文件夹 {self.data}（{error.strerror}）",
                f"the folder {self.data} cannot be used ({error.strerror})",
            )


def _names() -> list[str]:
    return [item.name for item in fields(Settings)]


def _refuse(name: str, zh: str, en: str) -> NoReturn:
    raise BadSetting(name=PREFIX + name.upper(), reason=zh, reason_en=en)


def _refuse_misspelt(env: Mapping[str, str]) -> None:
    """A misspelt name would silently leave the default in force, which in live mode may be the weak one."""
    known = [PREFIX + name.upper() for name in _names()]
    for variable in env:
        if not variable.startswith(PREFIX) or variable in known:
            continue
        near = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
        if near:
            _refuse(
                variable.removeprefix(PREFIX),
                f"没有这个设置，您是不是要写 {near[0]}?",
                f"there is no such setting; did you mean {near[0]}?",
            )


# --- readers: one variable's text to its value, or a sentence ---


def _text(_name: str, text: str) -> str:
    return text.strip()


def _path(_name: str, text: str) -> Path:
    return Path(text).expanduser().absolute()


def _mode(name: str, text: str) -> Mode:
    try:
        return Mode(text.strip().lower())
    except ValueError:
        _refuse(name, "只能是 demo 或 live", "use demo or live")


def _number(lowest: int, highest: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if not text.strip().isdecimal() or not lowest <= int(text) <= highest:
            _refuse(name, f"应为 {lowest} 到 {highest} 的整数", f"use a whole number from {lowest} to {highest}")
        return int(text)

    return read


def _url(name: str, text: str) -> str:
    text = text.strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        _refuse(name, "应为 http(s)://主机[:端口] 形式的网址", "use an address like https://shop.example")
    return text


def _base_url(name: str, text: str) -> str:
    address = _url(name, text)
    if urlsplit(address).path:
        # Cookies named __Host- and every link assume the root.
        _refuse(
            name, "不能带路径，店铺必须位于域名根目录", "it must have no path: the shop lives at the root of its host"
        )
    return address


def _database_url(name: str, text: str) -> str:
    """Judged as the engine itself will read it; a password in it may hold any character but @."""
    try:
        make_url(text.strip()).get_dialect().import_dbapi()
    except (ArgumentError, ImportError, AttributeError):
        _refuse(
            name,
            "应为 postgresql+psycopg:// 或 mariadb+pymysql:// 开头的地址，并已安装对应的驱动",
            "use an address that starts with postgresql+psycopg:// or mariadb+pymysql://, its driver installed",
        )
    return text.strip()


def _choice(*allowed: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        found = next((choice for choice in allowed if choice.lower() == text.strip().lower()), None)
        if found is None:
            _refuse(name, f"只能是 {'、'.join(allowed)}", f"use one of {', '.join(allowed)}")
        return found

    return read


def _numbers(text: str) -> dict[str, int]:
    return {channel: int(number) for channel, _, number in (word.partition("=") for word in text.split())}


def _by_channel(zh: str, en: str, example: str, *, lowest: int, highest: int) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if not re.fullmatch(r"([a-z]+=[0-9]{1,6}(\s+|$))*", text.strip()):
            _refuse(
                name,
                f"应为“渠道={zh}”，以空格分隔，如 {example}",
                f"use channel={en} separated by spaces, such as {example}",
            )
        given = _numbers(text)
        _known(name, given)
        for channel, number in given.items():
            if not lowest <= number <= highest:
                _refuse(
                    name,
                    f"{channel} 的{zh}应为 {lowest} 到 {highest}",
                    f"the {en} of {channel} are from {lowest} to {highest}",
                )
        return text.strip()

    return read


def _channels(name: str, text: str) -> str:
    if not re.fullmatch(r"([a-z]+(\s+|$))*", text.strip()):
        _refuse(name, "应为渠道代码，以空格分隔，如 wechat", "use channels separated by spaces, such as wechat")
    _known(name, text.split())
    return text.strip()


def _splitting(name: str, text: str) -> str:
    """Where a channel cannot, the shop would pay by transfer, and who set this believe that it splits."""
    named = _channels(name, text)
    for code in named.split():
        if code not in SPLITTING:
            able = " ".join(code for code in channels.NAMES if code in SPLITTING)
            _refuse(name, f"渠道 {code} 不能分账，只有 {able} 可以", f"{code} cannot split payments; only {able} can")
    return named


def _known(name: str, codes: Iterable[str]) -> None:
    """A channel that does not exist would be kept and never asked for."""
    for code in codes:
        if code not in channels.NAMES:
            every = " ".join(channels.NAMES)
            _refuse(name, f"没有渠道 {code}，只有 {every}", f"there is no channel {code}; use {every}")


_READERS: dict[str, Callable[[str, str], object]] = {
    "mode": _mode,
    "data": _path,
    "database_url": _database_url,
    "key_ring_file": _path,
    "port": _number(1, 65_535),
    "base_url": _base_url,
    "sandbox_url": _url,
    "language": _choice("zh", "en"),
    "log_level": _choice("DEBUG", "INFO", "WARNING", "ERROR"),
    "hold_minutes": _number(1, 120),
    "hold_orders_per_device": _number(0, 1_000_000),
    "hold_units_per_device": _number(0, 1_000_000),
    "hold_orders_per_address": _number(0, 1_000_000),
    "hold_units_per_address": _number(0, 1_000_000),
    "refund_check_fen": _number(0, 10**13),
    "difference_check_fen": _number(0, 10**13),
    "arrival_days": _number(0, 365),
    "no_fund_bills": _channels,
    "shared_merchants": _channels,
    "splitting": _splitting,
    "session_idle_hours": _number(1, 24 * 30),
    "session_days": _number(1, 365),
    "channel_fees": _by_channel("百万分之几", "millionths", "wechat=6000", lowest=0, highest=999_999),
    "complete_after_days": _number(1, 60),
    "refund_days": _by_channel("天数", "days", "alipay=365", lowest=1, highest=3_650),
    "refund_after_minutes": _number(0, 7 * 24 * 60),
    "threads": _number(4, 256),
    "drain_seconds": _number(0, 120),
}


# --- live mode ---


def _refuse_weak(settings: Settings, given: Mapping[str, str]) -> None:
    """Refuse what is fine on a desk and dangerous in a shop. Raises BadSetting for the first one."""
    if not settings.is_https:
        _refuse("base_url", "正式环境必须使用 https:// 网址", "a live shop needs an https:// address")
    if is_local(urlsplit(settings.base_url).hostname or ""):
        _refuse("base_url", "正式环境不能使用本机地址或示例域名", "a live shop needs its public host name")
    if settings.sandbox_url is not None:
        _refuse(
            "sandbox_url",
            "沙箱渠道收的不是真钱，正式环境请删除此设置",
            "the sandbox takes play money; remove this setting in live mode",
        )
    if "shop_name" not in given or settings.shop_name == DEMO_SHOP_NAME:
        _refuse("shop_name", "请填写店铺名称", "give the shop its name")
    if not settings.support:
        _refuse(
            "support",
            "请填写买家联系商家的方式（电话或邮箱）",
            "say how buyers reach you: a phone number or an address",
        )
    if settings.metrics_token is not None and len(settings.metrics_token) < 24:
        _refuse("metrics_token", "至少 24 个字符", "use at least 24 characters")
    if settings.trusted_proxies.strip() == "*":
        _refuse(
            "trusted_proxies",
            "不能信任所有来源的转发地址，请列出代理的 IP",
            "do not trust everybody's X-Forwarded-For; list the proxy's addresses",
        )
    database = make_url(settings.database_url)
    password = str(database.password or database.query.get("password", ""))
    login = str(database.username or database.query.get("user", ""))
    if settings.sqlite_file is None and password.lower() in WEAK_PASSWORDS | {login.lower()}:
        _refuse(
            "database_url",
            "数据库密码为空或过于常见，请更换",
            "the database password is empty or a common one; change it",
        )


def is_local(host: str) -> bool:
    """Whether a host's name is not one of the public net: this machine, or a name kept for examples."""
    try:
        address = ip_address(host)
    except ValueError:
        return (
            host == "localhost"
            or host.endswith((".localhost", ".local", ".test", ".example", ".invalid"))
            or (host in {"example.com", "example.org", "example.net"} or "." not in host)
        )
    return address.is_loopback or address.is_unspecified


def _shown_host(values: Mapping[str, object]) -> str:
    host = str(values.get("host", "127.0.0.1"))
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared, not bound


def _without_password(url: str) -> str:
    """The address with its password masked, wherever it stands: before the host, or among the driver's options."""
    database = make_url(url)
    masked = {name: "•••" if "pass" in name.lower() else value for name, value in database.query.items()}
    if database.password is None and masked == database.query:
        return url
    return unquote(database.set(query=masked).render_as_string().replace(":***@", ":•••@", 1))


def as_environment(settings: Settings) -> dict[str, str]:
    """The environment for a child process that is to have these settings, with all else as it is here."""
    values = {item.name: getattr(settings, item.name) for item in fields(settings)}
    ours = {PREFIX + name.upper(): str(value) for name, value in values.items() if value is not None}
    return {**os.environ, **ours}


def has_display() -> bool:
    """Whether a window can be shown on this machine."""
    return sys.platform in {"win32", "darwin"} or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
