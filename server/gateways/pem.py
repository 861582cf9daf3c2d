"""Keys and certificates as merchants are given them, read into PEM: with or without its frame, PKCS#1 or PKCS#8.

Used by `setup`. Raises ValueError with a word for what is wrong, never with a part of the key. What stands before the
frame is kept: the sandbox says there that a key is its own.
"""

from __future__ import annotations

import base64
import binascii
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

LEAST_BITS = 2048
_FRAME = "-----BEGIN "


def private_key(text: str) -> str:
    """An RSA private key as PEM. Raises ValueError also for one that is locked with a password."""
    try:
        key = load_pem_private_key(text.encode(), None) if _FRAME in text else load_der_private_key(_body(text), None)
    except TypeError:
        raise ValueError("locked with a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a private key") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < LEAST_BITS:
        raise ValueError(f"not RSA >= {LEAST_BITS}")
    return text if _FRAME in text else _private_pem(key)


def public_key(text: str) -> str:
    """An RSA public key as PEM."""
    try:
        key = load_pem_public_key(text.encode()) if _FRAME in text else load_der_public_key(_body(text))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a public key") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_BITS:
        raise ValueError(f"not RSA >= {LEAST_BITS}")
    return text if _FRAME in text else _framed(_body(text), "PUBLIC KEY")


def certificates(text: str) -> str:
    """One or more certificates of RSA keys, each in its frame."""
    try:
        loaded = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError("not a certificate") from None
    if not all(isinstance(one.public_key(), rsa.RSAPublicKey) for one in loaded):
        raise ValueError("not RSA")
    return text


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
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))


def _private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _body(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("neither PEM nor base64") from None


def _framed(der: bytes, what: str) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {what}-----\n{lines}\n-----END {what}-----\n"
