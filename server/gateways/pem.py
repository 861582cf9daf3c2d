"""Keys and certificates as merchants are given them, read into PEM: with or without its frame, PKCS#1 or PKCS#8.

Used by `setup`. Raises NotUsable, which says what is wrong and never a part of the key. What stands before the frame is
kept: the sandbox says there that a key is its own.
"""

from __future__ import annotations

import base64
import textwrap

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from shared.sentence import Sentence

LEAST_BITS = 2048
_FRAME = "-----BEGIN "
_FRAMES = {"PRIVATE KEY-----": "private key", "PUBLIC KEY-----": "public key", "BEGIN CERTIFICATE-----": "certificates"}


class NotUsable(ValueError):
    """What was given is not what was asked for; `why` is for a person."""

    def __init__(self, zh: str, en: str) -> None:
        """Keep the words."""
        super().__init__(en)
        self.why = Sentence(zh, en)


def kind_of(text: str) -> str | None:
    """What the first frame of a text says it is: a private key, a public key or certificates."""
    framed = text[max(0, text.find(_FRAME)) :].partition("\n")[0]
    return next((kind for mark, kind in _FRAMES.items() if mark in framed), None)


def private_key(text: str) -> str:
    """An RSA private key as PEM. Raises NotUsable also for one that is locked with a password."""
    try:
        key = load_pem_private_key(text.encode(), None) if _FRAME in text else load_der_private_key(_body(text), None)
    except TypeError:
        raise NotUsable("私钥有密码保护，请先去掉密码", "it is locked with a password; take that off first") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _not_a("私钥", "private key", text) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise _not_rsa()
    _require_strong(key.key_size)
    return text if _FRAME in text else _private_pem(key)


def public_key(text: str) -> str:
    """An RSA public key as PEM. Raises NotUsable."""
    try:
        key = load_pem_public_key(text.encode()) if _FRAME in text else load_der_public_key(_body(text))
    except (ValueError, UnsupportedAlgorithm):
        raise _not_a("公钥", "public key", text) from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise _not_rsa()
    _require_strong(key.key_size)
    return text if _FRAME in text else _framed(_body(text), "PUBLIC KEY")


def certificates(text: str) -> str:
    """One or more certificates of RSA keys, each in its frame. Raises NotUsable."""
    try:
        loaded = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise _not_a("证书", "certificate", text) from None
    if not all(isinstance(one.public_key(), rsa.RSAPublicKey) for one in loaded):
        raise _not_rsa()
    return text


def _not_a(zh: str, en: str, text: str) -> NotUsable:
    if not text.strip():
        return NotUsable("内容是空的", "there is nothing in it")
    return NotUsable(f"内容不是{zh}，或不完整", f"it is no {en}, or a part of one")


def _not_rsa() -> NotUsable:
    return NotUsable("它不是 RSA 密钥；渠道只用 RSA，不用椭圆曲线等", "it is no RSA key, and channels take no other")


def _require_strong(bits: int) -> None:
    if bits < LEAST_BITS:
        raise NotUsable(f"只有 {bits} 位，至少要 {LEAST_BITS} 位", f"it has {bits} bits; {LEAST_BITS} are the least")


def joined(held: str, given: str) -> str:
    """The certificates of both texts, each once."""
    kept = [pem for pem in split(held) if pem.strip() not in given]
    return "\n".join(pem.strip() for pem in [*kept, *split(given)]) + "\n"


def split(text: str) -> list[str]:
    """The certificates of a text, one PEM each; what stands before a frame belongs to it."""
    end = "-----END CERTIFICATE-----"
    return [part.strip() + "\n" + end + "\n" for part in text.split(end) if _FRAME in part]


def new_private_key() -> str:
    """A pair of our own for a channel."""
    return _private_pem(rsa.generate_private_key(public_exponent=65537, key_size=LEAST_BITS))


def public_half(private_pem: str) -> str:
    """What the channel is told of our pair."""
    key = load_pem_private_key(private_pem.encode(), None).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def without_frame(pem: str) -> str:
    """A key in one line, as some consoles want it pasted."""
    framed = pem[max(0, pem.find(_FRAME)) :]
    return "".join(line for line in framed.splitlines() if not line.startswith("-----"))


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _body(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)


def _framed(der: bytes, what: str) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {what}-----\n{lines}\n-----END {what}-----\n"
