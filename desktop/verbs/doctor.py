"""`kameng doctor`: what is wrong with this machine, in one list that a support person can read.

Checks folder, disk, clock, proxy, keyring, both local databases, the server and the sign-in. It changes nothing (no
token is rotated), but a damaged replica is made anew, as any start does. No finding holds a token or a password.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from desktop import paths
from desktop.credentials import PLACE_VARIABLE, Place, Vault, find_keyring
from desktop.engine.session import APP_VERSION, Account
from desktop.engine.transport import Call, Transport, bypasses_proxy, system_proxies
from desktop.paths import Folders
from desktop.store.outbox import Outbox
from desktop.store.replica import Replica
from shared.contracts.identity import Person
from shared.errors import KamengError
from shared.labels import label

_DISK_WARN_BYTES = 1 << 30
_DISK_FAIL_BYTES = 64 << 20
_CLOCK_WARN_SECONDS = 60
_CLOCK_FAIL_SECONDS = 300


class Health(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    topic: str
    health: Health
    zh: str
    en: str

    def sentence(self, language: str) -> str:
        """What was found."""
        return self.en if language.startswith("en") else self.zh


def examine(
    folders: Folders, *, server: str | None, vault: Callable[[], Vault], environment: Mapping[str, str] | None = None
) -> list[Finding]:
    """All findings, in the order of the report. `server` overrides the account's; may take 20 s without a network."""
    env = paths.environment() if environment is None else environment
    findings = [_folder(folders), _disk(folders), _keyring(env)]
    outbox, account = _outbox(folders)
    findings += [outbox, _replica(folders)]
    server = server or (account.server if account else None)
    findings.append(_proxy(server))
    if server is None:
        return [*findings, Finding("server", Health.WARN, "还没有登录过服务器。", "No server was signed in to yet.")]
    return findings + asyncio.run(_server(server, account, vault))


def _folder(folders: Folders) -> Finding:
    home = folders.home
    if not home.exists():
        return Finding(
            "folder", Health.OK, f"数据文件夹 {home} 将在首次使用时创建。", f"{home} will be made when first used."
        )
    loose = [path for path in (home, *home.iterdir()) if os.name != "nt" and path.stat().st_mode & 0o077]
    if loose:
        names = ", ".join(str(path) for path in loose[:3])
        return Finding("folder", Health.WARN, f"其他用户可以读取：{names}。", f"Other users may read: {names}.")
    return Finding("folder", Health.OK, f"{home}，仅本用户可读。", f"{home}, readable by this user only.")


def _disk(folders: Folders) -> Finding:
    there = next(path for path in (folders.home, *folders.home.parents) if path.exists())
    free = shutil.disk_usage(there).free
    health = Health.FAIL if free < _DISK_FAIL_BYTES else Health.WARN if free < _DISK_WARN_BYTES else Health.OK
    return Finding("disk", health, f"剩余 {free >> 20:,} MB。", f"{free >> 20:,} MB free.")


def _keyring(env: Mapping[str, str]) -> Finding:
    wanted = env.get(PLACE_VARIABLE, "")
    found = find_keyring()
    if found is not None:
        name = type(found).__module__
        return Finding("keyring", Health.OK, f"可用（{name}）。", f"works ({name}).")
    if wanted in {Place.MEMORY, Place.FILE}:
        return Finding("keyring", Health.OK, f"没有密钥环；按设置使用 {wanted}。", f"none; {wanted} is used, as set.")
    return Finding(
        "keyring",
        Health.WARN,
        "没有可用的系统密钥环：登录只在本次有效。可设置 KAMENG_CREDENTIALS=file。",
        "There is no usable keyring: a sign-in lasts for one run. KAMENG_CREDENTIALS=file keeps it.",
    )


def _outbox(folders: Folders) -> tuple[Finding, Account | None]:
    if not folders.outbox_file.exists():
        return Finding("outbox.db", Health.OK, "尚未创建。", "not made yet."), None
    try:
        outbox = Outbox(folders.outbox_file)
    except KamengError as error:
        return _failed("outbox.db", error), None
    try:
        stored = outbox.setting("account")
        account = None if stored is None else Account.model_validate_json(stored)
        waiting = 0 if account is None else sum(not u.is_over for u in outbox.uploads(account=account.name))
    except ValidationError:
        account, waiting = None, 0
    except KamengError as error:
        return _failed("outbox.db", error), None
    finally:
        outbox.close()
    size = _megabytes(folders.outbox_file)
    zh, en = f"完好，{size}，{waiting} 个导入未完成。", f"sound, {size}, {waiting} imports unfinished."
    return Finding("outbox.db", Health.OK, zh, en), account


def _replica(folders: Folders) -> Finding:
    if not folders.replica_file.exists():
        return Finding("replica.db", Health.OK, "尚未创建。", "not made yet.")
    damaged: list[Path] = []
    try:
        Replica(folders.replica_file, rebuilt=damaged.append).close()
    except KamengError as error:
        return _failed("replica.db", error)
    size = _megabytes(folders.replica_file)
    if damaged:
        return Finding("replica.db", Health.WARN, "已损坏并重建。", "was damaged and made anew.")
    return Finding("replica.db", Health.OK, f"完好，{size}。", f"sound, {size}.")


def _proxy(server: str | None) -> Finding:
    proxies = {scheme: _without_password(url) for scheme, url in system_proxies().items()}
    if not proxies:
        return Finding("proxy", Health.OK, "没有设置代理。", "none set.")
    host = urllib.parse.urlsplit(server or "").hostname
    if host and bypasses_proxy(host):
        return Finding("proxy", Health.OK, f"不经代理访问 {host}。", f"{host} is reached without it.")
    shown = ", ".join(f"{scheme}={url}" for scheme, url in sorted(proxies.items()))
    return Finding("proxy", Health.OK, f"使用 {shown}。", f"in use: {shown}.")


async def _server(server: str, account: Account | None, vault: Callable[[], Vault]) -> list[Finding]:
    try:
        transport = Transport(server, app_version=APP_VERSION)
    except KamengError as error:
        return [_failed("server", error)]
    try:
        try:
            await transport.tell(Call("GET", "/livez"))
        except KamengError as error:
            return [_failed("server", error)]
        findings = [Finding("server", Health.OK, f"{server} 正常。", f"{server} answers."), _clock(transport)]
        if account is not None and account.server == server:
            findings.append(await _sign_in(transport, account, vault))
        return findings
    finally:
        await transport.close()


def _clock(transport: Transport) -> Finding:
    off = transport.clock_off_seconds
    size = abs(off)
    health = Health.FAIL if size > _CLOCK_FAIL_SECONDS else Health.WARN if size > _CLOCK_WARN_SECONDS else Health.OK
    return Finding("clock", health, f"与服务器相差 {off:+d} 秒。", f"{off:+d} s from the server's.")


async def _sign_in(transport: Transport, account: Account, vault: Callable[[], Vault]) -> Finding:
    try:
        token = await asyncio.to_thread(lambda: vault().load(account.name))
        if token is None:
            zh, en = f"{account.person.login} 需要重新登录。", f"{account.person.login} has to sign in again."
            return Finding("sign-in", Health.WARN, zh, en)
        transport.token = token
        person = await transport.ask(Call("GET", "/api/session"), Person)
    except KamengError as error:
        return _failed("sign-in", error)
    zh = f"{person.name}（{person.login}，{label(person.role)}）已登录。"
    en = f"{person.name} ({person.login}, {label(person.role, 'en')}) is signed in."
    return Finding("sign-in", Health.OK, zh, en)


def _failed(topic: str, error: KamengError) -> Finding:
    return Finding(topic, Health.FAIL, error.sentence("zh"), error.sentence("en"))


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / (1 << 20):.1f} MB"


def _without_password(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if not parts.password:
        return url
    host = parts.hostname or ""
    return urllib.parse.urlunsplit(parts._replace(netloc=f"***@{host}" + (f":{parts.port}" if parts.port else "")))
