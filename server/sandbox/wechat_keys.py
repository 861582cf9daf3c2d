"""WeChat Pay's keys in the sandbox, and those of its merchants: who signed what, and what seals a secret part.

Four keys sign: a public key with an id and a platform certificate, as a merchant has them today, and the next one of
each, to which testers may switch at once or by a share of the notifications. All are made when first needed, in
`wechat/` of the data folder. Source: design/payments.md 1.2 to 1.4. Used by the other `wechat*.py`.
"""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from server.sandbox.keys import MARKER, SigningKey, load_or_make_key, marked, read_public_key, write_if_changed
from server.sandbox.records import Signing

SCHEME = "WECHATPAY2-SHA256-RSA2048"
KeyName = Literal["public_key", "public_key_2", "certificate", "certificate_2"]
KEY_NAMES: tuple[KeyName, ...] = ("public_key", "certificate", "public_key_2", "certificate_2")
_PUBLIC_KEY_ID = "PUB_KEY_ID_SANDBOX_"
_PROBE = "WECHATPAY/SIGNTEST/"
_PAIR = re.compile(r'(\w+)="([^"]*)"')
_CERTIFICATE_LIFE = timedelta(days=5 * 365)


# --- merchants ---


def _usable_key(pem: str) -> str:
    if read_public_key(pem.encode()) is None:
        raise ValueError("an RSA public key is wanted")
    return pem


class WechatMerchant(BaseModel):
    """`merchants/wechat/<mchid>.json`. The shapes of its numbers are the sandbox's own: real ones do not fit.

    `mode` is what its notifications are signed with: the public key, or the platform certificate as before.
    `h5_domains` and `oauth_domains` are those a buyer may be sent back to; empty means any. `app_secrets` are those of
    its applications that ask who a buyer is. `is_old` gives bills the columns of old ones.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    mchid: Annotated[str, Field(pattern=r"^90[0-9]{8}$")]
    name: Annotated[str, Field(min_length=1, max_length=40)]
    app_ids: Annotated[list[Annotated[str, Field(pattern=r"^wxsandbox[0-9a-zA-Z]{1,23}$")]], Field(min_length=1)]
    serial_no: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{16,40}$")]
    public_key: Annotated[str, AfterValidator(_usable_key)]
    api_v3_key: Annotated[str, Field(pattern=r"^[!-~]{32}$")]
    mode: Literal["public_key", "certificate"] = "public_key"
    h5_domains: list[str] = []
    oauth_domains: list[str] = []
    app_secrets: dict[str, Annotated[str, Field(pattern=r"^[0-9A-Za-z]{32}$")]] = {}
    is_old: bool = False

    @property
    def key(self) -> RSAPublicKey:
        """The key its requests must be signed with."""
        key = read_public_key(self.public_key.encode())
        assert key is not None
        return key


def read_merchant(merchant_id: str, content: bytes) -> WechatMerchant | None:
    """Read a merchant's file; None when it is not what the sandbox takes, or names another merchant."""
    try:
        merchant = WechatMerchant.model_validate_json(content)
    except ValidationError:
        return None
    return merchant if merchant.mchid == merchant_id else None


# --- what merchants sign ---


@dataclass(frozen=True, slots=True)
class Authorization:
    """The header of a request, read but not believed yet."""

    mchid: str
    serial_no: str
    timestamp: str
    nonce_str: str
    signature: str


def read_authorization(header: str) -> Authorization | None:
    """Read `Authorization`; None when a part is missing."""
    scheme, _, rest = header.partition(" ")
    found = dict(_PAIR.findall(rest))
    names = Authorization.__slots__
    if scheme != SCHEME or any(not found.get(name) for name in names):
        return None
    return Authorization(**{name: found[name] for name in names})


def signed_message(method: str, target: bytes, authorization: Authorization, body: bytes) -> bytes:
    """Return the bytes a merchant must have signed; `target` is the path with its query, as sent."""
    lines = (method.encode(), target, authorization.timestamp.encode(), authorization.nonce_str.encode(), body, b"")
    return b"\n".join(lines)


# --- what the sandbox signs ---


class PlatformKeys:
    """The sandbox's side of WeChat Pay: signs answers and notifications, and hands out its certificates."""

    def __init__(self, folder: Path) -> None:
        """Make the two keys that merchants begin with. Raises KeyFileUnusable or OSError."""
        self.folder = folder
        self._pairs: dict[KeyName, tuple[str, SigningKey]] = {}
        self.serial("public_key")
        self.serial("certificate")

    def serial(self, name: KeyName) -> str:
        """Return what `Wechatpay-Serial` calls a key."""
        return self._pair(name)[0]

    def named(self, serial: str) -> KeyName | None:
        """Return the key that a merchant's `Wechatpay-Serial` names."""
        return next((name for name in KEY_NAMES if self.serial(name) == serial.strip()), None)

    def public_file(self, name: KeyName) -> Path:
        """Return the file to hand to merchants: a public key with its id, or a certificate."""
        return self.folder / (f"{name}.pem" if name.startswith("certificate") else f"{name}_public.pem")

    def sign(self, name: KeyName, body: bytes, *, at_ms: int, signing: Signing) -> dict[str, str]:
        """Return the headers that prove an answer or a notification, or those that must not."""
        if signing == "none":
            return {}
        serial, key = self._pair(name)
        timestamp, nonce = str(at_ms // 1000), secrets.token_hex(16)
        message = f"{timestamp}\n{nonce}\n".encode() + body + (b"\n" if signing == "right" else b" \n")
        signature = key.sign(message)
        return {
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature": f"{_PROBE}{signature}" if signing == "probe" else signature,
            "Wechatpay-Signature-Type": SCHEME,
        }

    def certificates(self) -> list[tuple[str, bytes, x509.Certificate]]:
        """Return both platform certificates: serial, PEM and what it says."""
        names: tuple[KeyName, ...] = ("certificate", "certificate_2")
        listed = []
        for name in names:
            serial = self.serial(name)
            certificate = x509.load_pem_x509_certificate(self.public_file(name).read_bytes())
            listed.append((serial, certificate.public_bytes(serialization.Encoding.PEM), certificate))
        return listed

    def decrypt(self, name: KeyName, sealed: str) -> bytes | None:
        """Return what a merchant encrypted for one of our keys (RSA-OAEP with SHA-1), or None."""
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303 - WeChat Pay's
        try:
            return self._pair(name)[1].private_key.decrypt(base64.b64decode(sealed, validate=True), oaep)
        except (binascii.Error, ValueError):
            return None

    def _pair(self, name: KeyName) -> tuple[str, SigningKey]:
        if name not in self._pairs:
            maker = self._certified if name.startswith("certificate") else self._identified
            self._pairs[name] = maker(name)
        return self._pairs[name]

    def _identified(self, name: KeyName) -> tuple[str, SigningKey]:
        key = load_or_make_key(self.folder, name)
        key_id = f"{_PUBLIC_KEY_ID}{key.serial[:20]}"
        write_if_changed(self.public_file(name), marked(key.public_pem(), [f"Id: {key_id}"]))
        return key_id, key

    def _certified(self, name: KeyName) -> tuple[str, SigningKey]:
        key = load_or_make_key(self.folder, name)
        path = self.public_file(name)
        if not path.exists():
            write_if_changed(path, marked(_new_certificate(key)))
        serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
        return f"{serial:040X}", key


def _new_certificate(key: SigningKey) -> bytes:
    """A platform certificate of five years, signed by itself: the sandbox is its own authority."""
    name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, MARKER), x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "CN")]
    )
    begins = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.private_key.public_key())
        .serial_number(secrets.randbits(150) | 1 << 157)  # forty hex digits, as a real one has
        .not_valid_before(begins)
        .not_valid_after(begins + _CERTIFICATE_LIFE)
        .sign(key.private_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


# --- what only one merchant can read ---


def seal(api_v3_key: str, clear: bytes, *, about: str) -> dict[str, str]:
    """Return a sealed part (AEAD_AES_256_GCM); `about` is its associated data."""
    nonce = secrets.token_hex(6)
    sealed = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), clear, about.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(sealed).decode(),
        "associated_data": about,
        "nonce": nonce,
    }
