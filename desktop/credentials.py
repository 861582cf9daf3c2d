"""Where the sign-in token is kept: the system's keyring, a file under a passphrase, or this run's memory.

Guarantees: a place is only used after it proved that it stores and gives back; only keyrings known to encrypt are
accepted; nothing falls back to plain text; `Place` tells the user honestly where the token went.
`KAMENG_CREDENTIALS` = keyring | file | memory decides for machines without a person; without it the keyring is
used if there is one, then an existing file, then memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

import keyring
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyring.backend import KeyringBackend

from desktop.paths import Folders
from shared import ids
from shared.errors import BadInput, KamengError

PLACE_VARIABLE = "KAMENG_CREDENTIALS"
PASSPHRASE_FILE_VARIABLE = "KAMENG_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable, not a secret
_SERVICE = "kameng"

KNOWN_KEYRINGS = frozenset(
    {
        "keyring.backends.Windows.WinVaultKeyring",
        "keyring.backends.macOS.Keyring",
        "keyring.backends.SecretService.Keyring",
        "keyring.backends.libsecret.Keyring",
        "keyring.backends.kwallet.DBusKeyring",
        "keyring.backends.kwallet.DBusKeyringKWallet4",
    }
)
"""Keyrings that encrypt. `null` swallows passwords silently and `keyrings.alt` writes them in clear: never those."""


class Place(StrEnum):
    """Where a token is kept."""

    KEYRING = "keyring"
    FILE = "file"
    MEMORY = "memory"


class NoKeyring(KamengError):
    """The keyring was demanded but cannot be used."""

    code = "no_keyring"
    status = 409
    zh = "这台电脑上没有可用的系统密钥环。请设置 KAMENG_CREDENTIALS=file（口令加密文件）或 memory（仅本次有效）。"
    en = (
        "This machine has no usable keyring. Set KAMENG_CREDENTIALS=file (sealed by a passphrase) or memory (this run)."
    )


class WrongPassphrase(KamengError):
    """The credentials file does not open with this passphrase."""

    code = "wrong_passphrase"
    status = 401
    zh = "口令不正确，或凭据文件“{path}”已损坏。请重试；忘记口令时删除该文件并重新登录。"
    en = "Wrong passphrase, or “{path}” is damaged. Try again; if it is forgotten, delete the file and sign in again."


class NoPassphrase(KamengError):
    """The credentials file needs a passphrase and nobody can be asked."""

    code = "no_passphrase"
    status = 401
    zh = "凭据文件需要口令：请在终端中运行，或用 KAMENG_PASSPHRASE_FILE 指定存放口令的文件。"
    en = "The credentials file needs a passphrase: run in a terminal, or name a file in KAMENG_PASSPHRASE_FILE."


class Vault(Protocol):
    """One place for tokens, by account name. Calls may block (a keyring asks its user): never on the window's thread.

    `save` and `load` raise KamengError subclasses when the place does not work any more.
    """

    @property
    def place(self) -> Place:
        """Where this vault keeps tokens."""

    def load(self, account: str) -> str | None:
        """The token of the account, or None."""

    def save(self, account: str, token: str) -> None:
        """Keep the token; replaces an older one."""

    def delete(self, account: str) -> None:
        """Forget the account; harmless when it is unknown."""


class MemoryVault:
    """Keeps tokens for this run only."""

    place: ClassVar[Place] = Place.MEMORY

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def load(self, account: str) -> str | None:
        """The token of the account, or None."""
        return self._tokens.get(account)

    def save(self, account: str, token: str) -> None:
        """Keep the token until the program ends."""
        self._tokens[account] = token

    def delete(self, account: str) -> None:
        """Forget the account."""
        self._tokens.pop(account, None)


class KeyringVault:
    """Keeps tokens in a keyring that `find_keyring` accepted."""

    place: ClassVar[Place] = Place.KEYRING

    def __init__(self, backend: KeyringBackend) -> None:
        self._backend = backend

    def load(self, account: str) -> str | None:
        """The token of the account, or None. Raises NoKeyring when the keyring stays locked."""
        try:
            return self._backend.get_password(_SERVICE, account)
        except Exception as error:
            raise NoKeyring from error

    def save(self, account: str, token: str) -> None:
        """Keep the token. Raises NoKeyring when the keyring refuses."""
        try:
            self._backend.set_password(_SERVICE, account, token)
        except Exception as error:
            raise NoKeyring from error

    def delete(self, account: str) -> None:
        """Forget the account."""
        try:
            self._backend.delete_password(_SERVICE, account)
        except Exception:  # noqa: BLE001 - nothing stored, or locked: the server ended the token already
            return


class FileVault:
    """Keeps tokens in one file: AES-256-GCM under a key that scrypt makes of the user's passphrase.

    `ask` is called at most once, when the file is first read or written. scrypt takes 64 MiB and a quarter second.
    """

    place: ClassVar[Place] = Place.FILE
    _N, _R, _P = 2**16, 8, 1
    _LABEL = b"kameng credentials 1"

    def __init__(self, path: Path, ask: Callable[[], str]) -> None:
        self._path = path
        self._ask = ask
        self._key: bytes | None = None
        self._salt = b""

    def load(self, account: str) -> str | None:
        """The token of the account, or None. Raises WrongPassphrase or NoPassphrase."""
        return self._read().get(account) if self._path.exists() else None

    def save(self, account: str, token: str) -> None:
        """Keep the token; the file is replaced in one step. Raises WrongPassphrase or NoPassphrase."""
        self._write((self._read() if self._path.exists() else {}) | {account: token})

    def delete(self, account: str) -> None:
        """Forget the account."""
        if self._path.exists():
            tokens = self._read()
            if tokens.pop(account, None) is not None:
                self._write(tokens)

    def _read(self) -> dict[str, str]:
        try:
            outer = json.loads(self._path.read_text("ascii"))
            salt, nonce, sealed = (base64.b64decode(outer[name]) for name in ("salt", "nonce", "sealed"))
            opened = AESGCM(self._key_for(salt)).decrypt(nonce, sealed, self._LABEL)
            tokens: dict[str, str] = json.loads(opened)
        except (InvalidTag, ValueError, KeyError, TypeError) as error:
            self._key = None  # the next try may ask again
            raise WrongPassphrase(path=self._path) from error
        return tokens

    def _write(self, tokens: Mapping[str, str]) -> None:
        key = self._key_for(self._salt or ids.random_bytes(16))
        nonce = ids.random_bytes(12)
        sealed = AESGCM(key).encrypt(nonce, json.dumps(tokens).encode(), self._LABEL)
        fields = {"salt": self._salt, "nonce": nonce, "sealed": sealed}
        text = json.dumps({name: base64.b64encode(value).decode() for name, value in fields.items()})
        fresh = self._path.with_suffix(f".{os.getpid()}.new")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        finally:
            fresh.unlink(missing_ok=True)

    def _key_for(self, salt: bytes) -> bytes:
        if self._key is None or salt != self._salt:
            passphrase = self._ask().encode()
            self._key = hashlib.scrypt(passphrase, salt=salt, n=self._N, r=self._R, p=self._P, maxmem=2**27, dklen=32)
            self._salt = salt
        return self._key


def find_keyring(
    backend: KeyringBackend | None = None, *, known: frozenset[str] = KNOWN_KEYRINGS
) -> KeyringBackend | None:
    """The keyring to use, or None: known to encrypt, and proven by a write, a read and a delete just now."""
    selected = keyring.get_keyring() if backend is None else backend
    # Where several keyrings are installed, `keyring` selects a chain of them, best first.
    for candidate in getattr(selected, "backends", None) or [selected]:
        kind = type(candidate)
        if f"{kind.__module__}.{kind.__qualname__}" in known and _proves_itself(candidate):
            found: KeyringBackend = candidate
            return found
    return None


def _proves_itself(backend: KeyringBackend) -> bool:
    account, secret = f"probe-{ids.new_token()}", ids.new_token()
    try:
        backend.set_password(_SERVICE, account, secret)
        stored = backend.get_password(_SERVICE, account) == secret
        backend.delete_password(_SERVICE, account)
        return stored and backend.get_password(_SERVICE, account) is None
    except Exception:  # noqa: BLE001 - whatever it raises, this keyring cannot be used
        return False


def open_vault(
    folders: Folders,
    *,
    ask: Callable[[], str] | None = None,
    environment: Mapping[str, str] | None = None,
    backend: KeyringBackend | None = None,
    known: frozenset[str] = KNOWN_KEYRINGS,
) -> Vault:
    """The vault of this machine. `ask` gets the passphrase of a credentials file from a person, where there is one.

    Raises NoKeyring when KAMENG_CREDENTIALS demands a keyring that does not work, BadInput for an unknown value.
    """
    env = os.environ if environment is None else environment
    wanted = env.get(PLACE_VARIABLE, "").strip().lower()
    if wanted not in {"", *Place}:
        raise BadInput(reason=f"{PLACE_VARIABLE}={wanted} (keyring | file | memory)")
    if wanted == Place.MEMORY:
        return MemoryVault()
    if wanted != Place.FILE:
        found = find_keyring(backend, known=known)
        if found is not None:
            return KeyringVault(found)
        if wanted == Place.KEYRING:
            raise NoKeyring
    if wanted == Place.FILE or folders.credentials_file.exists():
        return FileVault(folders.credentials_file, _passphrase_source(env, ask))
    return MemoryVault()


def _passphrase_source(env: Mapping[str, str], ask: Callable[[], str] | None) -> Callable[[], str]:
    def passphrase() -> str:
        if path := env.get(PASSPHRASE_FILE_VARIABLE):
            try:
                text = Path(path).read_text("utf-8").rstrip("\r\n")
            except (OSError, UnicodeError) as error:
                raise NoPassphrase from error
        else:
            text = ask() if ask is not None else ""
        if not text:
            raise NoPassphrase
        return text

    return passphrase
