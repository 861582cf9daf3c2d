"""Alipay's signatures (RSA2): of requests, of answers by their raw text, of notifications by their raw bytes.

Guarantees: the algorithm is ours to say, never the message's; an answer is checked as it was written, because a slash
may be escaped there and would not be in what we would write; in a notification every field takes part, also blank and
unknown ones. Used by `alipay` alone. Printing anything of this file shows no key.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from server.gateways.port import BadSignature, MalformedNotice
from server.gateways.wire import read_form

SIGN_TYPE = "RSA2"
_CHARSETS = frozenset({"utf-8", "gbk", "gb2312", "gb18030"})
# Numbers stay text: an amount must not become a float on its way to fen.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlipayAccount:
    """An application at Alipay and the seller it sells for.

    `public_keys_pem` are Alipay's own for this application; two of them while it is changed there.
    """

    app_id: str
    seller_id: str
    private_key_pem: bytes = field(repr=False)
    public_keys_pem: tuple[bytes, ...] = field(repr=False)


class Keys:
    """Our key to sign with, Alipay's to believe."""

    def __init__(self, account: AlipayAccount) -> None:
        """Read all keys. Raises ValueError when one is not an RSA key, or Alipay's is missing."""
        private = load_pem_private_key(account.private_key_pem, None)
        public = [load_pem_public_key(pem) for pem in account.public_keys_pem]
        believed = [key for key in public if isinstance(key, RSAPublicKey)]
        if not isinstance(private, RSAPrivateKey) or not believed or len(believed) != len(public):
            raise ValueError("Alipay needs an RSA key of the application, and RSA keys of its own")
        self._private, self._believed = private, believed

    def sign(self, parameters: Mapping[str, str]) -> str:
        """Base64 over all parameters that are not blank, as they are before they are encoded for an address."""
        content = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if value)
        return base64.b64encode(self._private.sign(content.encode(), PKCS1v15(), SHA256())).decode()

    def check(self, content: bytes, signed: str) -> None:
        """Raise BadSignature unless a key of Alipay signed exactly this content."""
        if not signed:
            raise BadSignature(reason="incomplete")
        try:
            signature = base64.b64decode(signed, validate=True)
        except (binascii.Error, ValueError):
            raise BadSignature(reason="unreadable") from None
        for key in self._believed:
            try:
                return key.verify(signature, content, PKCS1v15(), SHA256())
            except InvalidSignature:
                continue
        raise BadSignature(reason="forged")


# --- answers ---


@dataclass(frozen=True, slots=True)
class Answer:
    """The node of an answer that is signed: its raw text, what it says with numbers as text, and the signature."""

    raw: str = field(repr=False)
    content: Mapping[str, Any] = field(repr=False)
    sign: str = field(repr=False)


def read_answer(text: str, names: Sequence[str]) -> Answer:
    """The first node of `names` that the answer holds. Raises ValueError when the answer has not the shape of one."""
    members = _members(text)
    name = next((name for name in names if name in members), None)
    if name is None:
        raise ValueError("no known node")
    content, raw = members[name]
    sign, _ = members.get("sign", ("", ""))
    if not isinstance(content, dict) or not isinstance(sign, str):
        raise ValueError("a node of another kind")  # noqa: TRY004 - the answer is wrong, not our types
    return Answer(raw=raw, content=content, sign=sign)


def _members(text: str) -> dict[str, tuple[Any, str]]:
    """Each member of a JSON object with its value's raw text. Raises ValueError, also when a name comes twice."""
    members: dict[str, tuple[Any, str]] = {}
    at = _expect(text, 0, "{")
    while True:
        name, at = _DECODER.raw_decode(text, _blank(text, at))
        start = _blank(text, _expect(text, at, ":"))
        value, at = _DECODER.raw_decode(text, start)
        if not isinstance(name, str) or name in members:
            raise ValueError("a name that is none, or twice")
        members[name] = (value, text[start:at])
        at = _blank(text, at)
        if text[at : at + 1] == "}":
            break
        at = _expect(text, at, ",")
    if text[at + 1 :].strip():
        raise ValueError("more than an object")
    return members


def _expect(text: str, at: int, sign: str) -> int:
    at = _blank(text, at)
    if text[at : at + 1] != sign:
        raise ValueError(f"no {sign}")
    return at + 1


def _blank(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\t", "\r", "\n"}:
        at += 1
    return at


# --- notifications ---


def read_notice(keys: Keys, body: bytes) -> dict[str, str]:
    """The fields of a notification that Alipay signed. Raises BadSignature, or MalformedNotice for its charset.

    The signature is over bytes, so it is checked before anybody believes which charset they are in.
    """
    fields = read_form(body)
    sign, sign_type = fields.pop(b"sign", b""), fields.pop(b"sign_type", SIGN_TYPE.encode())
    if sign_type != SIGN_TYPE.encode():
        raise BadSignature(reason="forged")
    keys.check(b"&".join(name + b"=" + value for name, value in sorted(fields.items())), sign.decode("latin-1"))
    charset = fields.get(b"charset", b"utf-8").decode("latin-1").lower()
    if charset not in _CHARSETS:
        raise MalformedNotice(reason="charset")
    try:
        return {name.decode(charset): value.decode(charset) for name, value in fields.items()}
    except UnicodeDecodeError:
        raise MalformedNotice(reason="charset") from None
