"""What the verbs of the command line share: words, tables, exit statuses, and who works with which server.

A run signs in by the first of: KAMENG_TOKEN, KAMENG_PASSWORD_FILE (with KAMENG_USER), the remembered sign-in of
`kameng login`. The first two are for machines: nothing of them is stored, and a session made for the run ends with it.
A token alone reads; with KAMENG_DEVICE (the device it was made for) it also imports, which uses it up.
"""

from __future__ import annotations

import getpass
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO
from uuid import UUID

from pydantic import SecretStr

from desktop import paths
from desktop.credentials import MemoryVault, Vault, open_vault
from desktop.engine.engine import Engine
from desktop.engine.events import Event
from desktop.engine.uploads import Pace
from desktop.operations import session
from desktop.paths import Folders
from shared.errors import BadField, BadInput, KamengError, NotSignedIn

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_BAD_INPUT_STATUSES = frozenset({400, 413, 422})


class PasswordUnreadable(BadInput):
    """The password file cannot be read, or nobody can be asked."""

    code = "password_unreadable"
    zh = "无法读取密码：{reason}。请用 --password-file 指定文件（- 表示标准输入），或在终端中运行。"
    en = "The password cannot be read: {reason}. Name a file with --password-file (- for stdin) or use a terminal."


class SettingMissing(BadInput):
    """An environment variable is needed."""

    code = "setting_missing"
    zh = "请设置环境变量 {name}。"
    en = "Please set the environment variable {name}."


class LoginNeeded(NotSignedIn):
    """No sign-in is remembered."""

    code = "login_needed"
    zh = "尚未登录。请运行 kameng login --server 地址 --user 用户名。"
    en = "Nobody is signed in. Run kameng login --server URL --user NAME."


def choose_language(env: Mapping[str, str]) -> str:
    """`en` when KAMENG_LANG or the locale asks for English, else `zh`."""
    wanted = env.get("KAMENG_LANG") or env.get("LC_ALL") or env.get("LC_MESSAGES") or env.get("LANG") or ""
    return "en" if wanted.lower().startswith("en") else "zh"


@dataclass(slots=True)
class Shell:
    """Where a run of the command line reads and writes. Tests give their own streams and environment."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    environment: Mapping[str, str] = field(default_factory=paths.environment)

    @property
    def language(self) -> str:
        """`zh` or `en`."""
        return choose_language(self.environment)

    @property
    def folders(self) -> Folders:
        """The data folder of this user."""
        return paths.locate(self.environment)

    @property
    def allow_plain(self) -> bool:
        """Whether http without TLS may be used beyond this machine (a test network)."""
        return self.environment.get("KAMENG_ALLOW_HTTP", "") == "1"

    def words(self, zh: str, en: str) -> str:
        """The words of the run's language."""
        return en if self.language == "en" else zh

    def say(self, zh: str, en: str) -> None:
        """A line on standard output."""
        self.line(self.words(zh, en))

    def line(self, text: str) -> None:
        """A line of data on standard output."""
        self.out.write(text + "\n")

    def note(self, zh: str, en: str) -> None:
        """A line for the person who watches, on standard error."""
        self.err.write(self.words(zh, en) + "\n")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns padded to the width that a terminal shows; numbers to the right."""
        widths = [max(_width(row[n]) for row in (head, *rows)) for n in range(len(head))]
        right = [bool(rows) and all(_is_number(row[n]) for row in rows) for n in range(len(head))]
        for row in (head, *rows):
            cells = (_pad(cell, width, to_right=r) for cell, width, r in zip(row, widths, right, strict=True))
            self.line("  ".join(cells).rstrip())

    def fail(self, error: KamengError) -> int:
        """One clear sentence on standard error; answers the exit status."""
        self.err.write(f"kameng: {error.sentence(self.language)}\n")
        status = error.params.get("status", error.status)  # a refusal this version has no class for carries its own
        return BAD_INPUT if status in _BAD_INPUT_STATUSES else FAILED

    # --- secrets ----------------------------------------------------------------------------------------------

    def password(self, file: str | None) -> SecretStr:
        """The password from a file (`-`: standard input), or asked from the person. Raises PasswordUnreadable."""
        try:
            if file == "-":
                return SecretStr(sys.stdin.readline().rstrip("\r\n"))
            if file is not None:
                return SecretStr(Path(file).read_text("utf-8").rstrip("\r\n"))
        except (OSError, UnicodeError) as error:
            raise PasswordUnreadable(reason=f"{file}: {getattr(error, 'strerror', None) or 'UTF-8'}") from error
        if not sys.stdin.isatty():
            raise PasswordUnreadable(reason=self.words("没有终端", "no terminal"))
        return SecretStr(getpass.getpass(self.words("密码：", "Password: ")))

    def vault(self) -> Vault:
        """Where tokens are kept on this machine; asks for the passphrase of a credentials file when it is needed."""

        def ask() -> str:
            if not sys.stdin.isatty():
                return ""
            return getpass.getpass(self.words("凭据文件口令：", "Passphrase of the credentials file: "))

        return open_vault(self.folders, ask=ask, environment=self.environment)

    # --- the engine -------------------------------------------------------------------------------------------

    @contextmanager
    def engine(
        self,
        *,
        on_event: Callable[[Event], None] = lambda _event: None,
        patience_seconds: float | None = None,
        sign_in: bool = True,
    ) -> Iterator[Engine]:
        """A running engine for one verb, signed in unless `sign_in` is false. Raises LoginNeeded and what signing in
        and opening the local files refuse."""
        env = self.environment
        per_call = sign_in and bool(env.get("KAMENG_TOKEN") or env.get("KAMENG_PASSWORD_FILE"))
        engine = Engine(
            folders=self.folders,
            vault=MemoryVault() if per_call else self.vault(),
            on_event=on_event,
            language=self.language,
            follow=False,
            remember=not per_call,
            pace=Pace(patience_seconds=patience_seconds),
        )
        engine.start()
        try:
            if per_call:
                self._sign_in_for_this_call(engine)
            elif sign_in and engine.account is None:
                raise engine.connection.why or LoginNeeded()
            yield engine
        finally:
            try:
                if per_call and engine.account is not None and not env.get("KAMENG_TOKEN"):
                    engine.run(session.sign_out(engine))
            finally:
                engine.stop()

    def _sign_in_for_this_call(self, engine: Engine) -> None:
        env = self.environment
        server = self._needed("KAMENG_SERVER")
        if token := env.get("KAMENG_TOKEN"):
            engine.run(
                session.sign_in_with_token(
                    engine,
                    server=server,
                    token=SecretStr(token),
                    device_id=self._device(),
                    allow_plain=self.allow_plain,
                )
            )
            return
        engine.run(
            session.sign_in(
                engine,
                server=server,
                login=self._needed("KAMENG_USER"),
                password=self.password(env["KAMENG_PASSWORD_FILE"]),
                totp=env.get("KAMENG_TOTP") or None,
                allow_plain=self.allow_plain,
            )
        )

    def _device(self) -> UUID | None:
        given = self.environment.get("KAMENG_DEVICE")
        if not given:
            return None
        try:
            return UUID(given)
        except ValueError as error:
            raise BadField(field="KAMENG_DEVICE", reason="UUID") from error

    def _needed(self, name: str) -> str:
        value = self.environment.get(name)
        if not value:
            raise SettingMissing(name=name)
        return value


def _width(text: str) -> int:
    """Columns of a terminal: full-width characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _pad(text: str, width: int, *, to_right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if to_right else text + space


def _is_number(text: str) -> bool:
    return bool(text) and all(character.isdigit() or character in ",.-+¥" for character in text)
