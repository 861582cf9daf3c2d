"""WeChat Pay's keys: what we sign with, whom we believe, what opens its secrets. Used by `wechat` alone.

Guarantees: nothing is believed before a key that we hold for the named serial verified the raw bytes, and the signed
time is within five minutes; public key and platform certificates are believed side by side, because a change of mode
mixes them for a week; a secret part opens with the APIv3 key or the one before it, and only with its tag intact.
Printing anything of this file shows no key.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from server.gateways.port import CLOCK_SKEW_SECONDS, BadSignature, UnopenableNotice

SCHEME = "WECHATPAY2-SHA256-RSA2048"
PUBLIC_KEY_PREFIX = "PUB_KEY_ID_"
_CERTIFICATE_SERIAL = re.compile(r"[0-9A-Fa-f]{16,40}")
_PROBE = "WECHATPAY/SIGNTEST/"
_API_V3_KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class WechatAccount:
    """A merchant at WeChat Pay. Of the public key (with its id) and the platform certificates at least one is needed.

    `app_id` serves QR codes, phones and pages inside WeChat; `mini_app_id` the mini program. `previous_api_v3_key` is
    kept while notifications sealed with it may still come.
    """

    merchant_id: str
    app_id: str
    mini_app_id: str | None = None
    merchant_serial: str
    private_key_pem: bytes = field(repr=False)
    api_v3_key: bytes = field(repr=False)
    previous_api_v3_key: bytes | None = field(default=None, repr=False)
    public_key_id: str | None = None
    public_key_pem: bytes | None = field(default=None, repr=False)
    certificates_pem: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class _Believed:
    key: RSAPublicKey = field(repr=False)
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def holds_at(self, now: datetime) -> bool:
        """A public key has no end; a certificate has."""
        if self.valid_from is None or self.valid_until is None:
            return True
        return self.valid_from <= now <= self.valid_until


class Signer:
    """Signs as one merchant. The bytes that are signed are the bytes that the caller sends."""

    def __init__(self, account: WechatAccount) -> None:
        """Read the merchant's key. Raises ValueError when it is not an RSA key."""
        key = load_pem_private_key(account.private_key_pem, None)
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("WeChat Pay needs an RSA key of the merchant")  # noqa: TRY004 - a setting is wrong
        self._key = key
        self._merchant_id, self._serial = account.merchant_id, account.merchant_serial

    def authorization(self, method: str, target: str, body: bytes, *, timestamp: int, nonce: str) -> str:
        """The header `Authorization` of one request; `target` is its path with its query."""
        signature = self.sign(f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n")
        return (
            f'{SCHEME} mchid="{self._merchant_id}",nonce_str="{nonce}",timestamp="{timestamp}",'
            f'serial_no="{self._serial}",signature="{signature}"'
        )

    def sign(self, message: bytes) -> str:
        """Base64 of the merchant's signature."""
        return base64.b64encode(self._key.sign(message, PKCS1v15(), SHA256())).decode()


class ChannelKeys:
    """The keys of WeChat Pay that we believe, by their serials. Immutable: `joined` makes another one."""

    def __init__(self, believed: Mapping[str, _Believed]) -> None:
        self._believed = dict(believed)

    @classmethod
    def of(cls, account: WechatAccount) -> ChannelKeys:
        """The keys that the merchant was given. Raises ValueError when there is none or one is of another kind."""
        believed: dict[str, _Believed] = {}
        if account.public_key_pem is not None:
            if not (account.public_key_id or "").startswith(PUBLIC_KEY_PREFIX):
                raise ValueError(f"WeChat Pay's public key comes with an id that starts with {PUBLIC_KEY_PREFIX}")
            believed[_serial(account.public_key_id or "")] = _Believed(
                _rsa(load_pem_public_key(account.public_key_pem))
            )
        if not believed and not account.certificates_pem:
            raise ValueError("WeChat Pay needs its public key or a platform certificate")
        return cls(believed).joined(account.certificates_pem)

    def joined(self, certificates_pem: Iterable[bytes]) -> ChannelKeys:
        """These keys and those of platform certificates. Raises ValueError for what is no RSA certificate."""
        believed = dict(self._believed)
        for pem in certificates_pem:
            certificate = x509.load_pem_x509_certificate(pem)
            believed[_serial(f"{certificate.serial_number:X}")] = _Believed(
                _rsa(certificate.public_key()), certificate.not_valid_before_utc, certificate.not_valid_after_utc
            )
        return ChannelKeys(believed)

    @property
    def serials(self) -> frozenset[str]:
        """The serials of the keys, to see what is held."""
        return frozenset(self._believed)

    def __repr__(self) -> str:
        return f"ChannelKeys({sorted(self._believed)})"

    def check(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> None:
        """Raise BadSignature unless WeChat Pay signed exactly this body within the last minutes."""
        given = {name.lower(): value for name, value in headers.items()}
        signed = given.get("wechatpay-signature", "")
        if signed.startswith(_PROBE):
            raise BadSignature(reason="probe")  # wrong on purpose, and perhaps not even base64
        timestamp, nonce = given.get("wechatpay-timestamp", ""), given.get("wechatpay-nonce", "")
        serial = given.get("wechatpay-serial", "")
        # A line break in one of them would move the border between what is named and what is told.
        if not (nonce.isprintable() and timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise BadSignature(reason="incomplete")
        if not (signed and nonce and serial):
            raise BadSignature(reason="incomplete")
        if given.get("wechatpay-signature-type", SCHEME) != SCHEME:
            raise BadSignature(reason="unknown_key")
        believed = self._believed.get(_serial(serial))
        if believed is None or not believed.holds_at(now):
            raise BadSignature(reason="unknown_key")
        try:
            signature = base64.b64decode(signed, validate=True)
        except (binascii.Error, ValueError):
            raise BadSignature(reason="unreadable") from None
        try:
            believed.key.verify(signature, f"{timestamp}\n{nonce}\n".encode() + body + b"\n", PKCS1v15(), SHA256())
        except InvalidSignature:
            raise BadSignature(reason="forged") from None
        # After the signature: only then a strange time says that a clock is wrong and not that someone knocks.
        if abs(now.timestamp() - int(timestamp)) >= CLOCK_SKEW_SECONDS:
            raise BadSignature(reason="stale")


def names_certificate(headers: Mapping[str, str]) -> bool:
    """Whether what is signed names a platform certificate: those can be fetched, a public key cannot."""
    serial = next((value for name, value in headers.items() if name.lower() == "wechatpay-serial"), "")
    return _CERTIFICATE_SERIAL.fullmatch(serial) is not None


def api_v3_keys(account: WechatAccount) -> tuple[bytes, ...]:
    """The keys that may open a secret part, the current one first. Raises ValueError for another length."""
    keys = [account.api_v3_key, *([account.previous_api_v3_key] if account.previous_api_v3_key else [])]
    if any(len(key) != _API_V3_KEY_BYTES for key in keys):
        raise ValueError(f"WeChat Pay's APIv3 key has {_API_V3_KEY_BYTES} bytes")
    return tuple(keys)


def open_resource(keys: Sequence[bytes], *, nonce: str, associated_data: str, ciphertext: str) -> bytes:
    """The clear text of a sealed part. Raises UnopenableNotice when no key opens it, or anything of it was changed."""
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
    except (binascii.Error, ValueError):
        raise UnopenableNotice(reason="resource.ciphertext") from None
    iv = nonce.encode()
    if len(iv) != _NONCE_BYTES:
        raise UnopenableNotice(reason="resource.nonce")
    for key in keys:
        try:
            return AESGCM(key).decrypt(iv, sealed, associated_data.encode())
        except InvalidTag:
            continue  # sealed with the other key, or changed
    raise UnopenableNotice(reason="resource")


def _serial(text: str) -> str:
    """A serial as a name. Certificates write theirs in hex with or without leading zeros; ids are kept as they are."""
    return text if text.startswith(PUBLIC_KEY_PREFIX) else text.upper().lstrip("0")


def _rsa(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey):
        raise ValueError("WeChat Pay signs with RSA keys")  # noqa: TRY004 - a setting is wrong
    return key
