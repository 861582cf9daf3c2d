"""Signatures of Epay (易支付): MD5 with a shared secret in its first version, RSA in its second. Used by `epay` alone.

Both are over the same text: parameters by name, without `sign`, `sign_type` and blank ones, `k=v` joined with `&`. MD5
proves little: who sees one signed address over plain http may try secrets at leisure. Printing anything shows no key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from server.gateways.port import BadSignature


@dataclass(frozen=True, slots=True, kw_only=True)
class EpayAccount:
    """A merchant of one Epay site: with `key` it speaks the first version, with the two RSA keys the second.

    Sites differ: `key_joint` stands between text and key, `upper` makes digests upper-case, and `acknowledgement` is
    what the site wants to hear.
    """

    merchant_id: str
    url: str
    key: str | None = field(default=None, repr=False)
    private_key_pem: bytes | None = field(default=None, repr=False)
    public_key_pem: bytes | None = field(default=None, repr=False)
    key_joint: str = ""
    upper: bool = False
    acknowledgement: str = "success"


class Seal(Protocol):
    """One way of signing."""

    sign_type: str

    def sign(self, fields: Mapping[str, str]) -> str:
        """The signature over the fields as they are before they are encoded for an address."""

    def check(self, fields: Mapping[str, str], signed: str) -> None:
        """Raise BadSignature unless the site signed exactly these fields."""


def seal_of(account: EpayAccount) -> Seal:
    """How this account signs. Raises ValueError when its keys are missing or no RSA keys."""
    if account.key is not None:
        return _Md5(account.key, joint=account.key_joint, upper=account.upper)
    if account.private_key_pem is None or account.public_key_pem is None:
        raise ValueError("Epay needs a secret, or an RSA key of ours and one of the site")
    return _Rsa(account.private_key_pem, account.public_key_pem)


def _text(fields: Mapping[str, str]) -> str:
    kept = sorted((name, value) for name, value in fields.items() if name not in {"sign", "sign_type"})
    return "&".join(f"{name}={value}" for name, value in kept if value.strip())


class _Md5:
    sign_type = "MD5"

    def __init__(self, key: str, *, joint: str, upper: bool) -> None:
        self._end, self._upper = joint + key, upper

    def sign(self, fields: Mapping[str, str]) -> str:
        digest = hashlib.md5((_text(fields) + self._end).encode(), usedforsecurity=False).hexdigest()
        return digest.upper() if self._upper else digest

    def check(self, fields: Mapping[str, str], signed: str) -> None:
        if not signed:
            raise BadSignature(reason="incomplete")
        if not hmac.compare_digest(self.sign(fields).lower().encode(), signed.lower().encode()):
            raise BadSignature(reason="forged")


class _Rsa:
    sign_type = "RSA"

    def __init__(self, private_pem: bytes, public_pem: bytes) -> None:
        private, public = load_pem_private_key(private_pem, None), load_pem_public_key(public_pem)
        if not isinstance(private, RSAPrivateKey) or not isinstance(public, RSAPublicKey):
            raise ValueError("Epay needs RSA keys")  # noqa: TRY004 - a setting, not a type, is wrong
        self._private, self._public = private, public

    def sign(self, fields: Mapping[str, str]) -> str:
        return base64.b64encode(self._private.sign(_text(fields).encode(), PKCS1v15(), SHA256())).decode()

    def check(self, fields: Mapping[str, str], signed: str) -> None:
        if not signed:
            raise BadSignature(reason="incomplete")
        try:
            signature = base64.b64decode(signed, validate=True)
        except (binascii.Error, ValueError):
            raise BadSignature(reason="unreadable") from None
        try:
            self._public.verify(signature, _text(fields).encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            raise BadSignature(reason="forged") from None
