"""Epay's (易支付) signatures and merchants: MD5 with a shared key in its first version, RSA in its second.

Both sign the same text: parameters by name, without `sign`, `sign_type`, arrays and those that are blank once trimmed,
`k=v` joined with `&`. MD5 is over that text with the key behind it. `sign_type` says which; blank means MD5. Sites
differ, so a merchant's file may say how its site does: what stands between text and key, and upper-case digests.

Merchants are files `merchants/epay/<pid>.json`, `pid` a number:

    {"name": "晴川点卡专营店", "key": "the shared key", "public_key": "-----BEGIN PUBLIC KEY-----...",
     "key_joint": "", "upper": false}

`key` or `public_key` may be missing. Pure; used by `epay.py` and those beside it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric import rsa

from server.sandbox.keys import SigningKey, has_signed, read_public_key
from server.sandbox.records import Signing

MD5, RSA = "MD5", "RSA"
_TRIMMED = " \t\n\r\0\x0b"
_MOST_FIELDS = 64
_PID = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant of the site."""

    pid: str
    name: str
    key: str
    public_key: rsa.RSAPublicKey | None
    key_joint: str
    upper: bool


def read_merchant(pid: str, content: bytes) -> Merchant | None:
    """Return the merchant of a file's content; None when it cannot be used."""
    try:
        facts = json.loads(content)
        text = {name: str(facts.get(name, "")) for name in ("name", "key", "public_key", "key_joint")}
        upper = facts.get("upper", False) is True
    except (ValueError, AttributeError, RecursionError):
        return None
    public_key = read_public_key(text["public_key"].encode())
    if not _PID.fullmatch(pid) or not (text["key"] or public_key):
        return None
    return Merchant(
        pid=pid,
        name=text["name"][:_LONGEST_NAME] or pid,
        key=text["key"],
        public_key=public_key,
        key_joint=text["key_joint"],
        upper=upper,
    )


def read_fields(raw: bytes) -> dict[str, str]:
    """Return the parameters of a form or a query; the last of several counts. Raises ValueError."""
    return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))


def signed_text(fields: Mapping[str, str]) -> str:
    """Return what is signed."""
    return "&".join(
        f"{name}={value}"
        for name, value in sorted(fields.items())
        if name not in {"sign", "sign_type"} and "[" not in name and value.strip(_TRIMMED)
    )


def md5_of(fields: Mapping[str, str], merchant: Merchant) -> str:
    """Return the signature of the first version."""
    text = signed_text(fields) + merchant.key_joint + merchant.key
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return digest.upper() if merchant.upper else digest


def is_signed(fields: Mapping[str, str], merchant: Merchant) -> bool:
    """Whether the merchant signed these parameters, the way they say."""
    signature = fields.get("sign", "")
    if (fields.get("sign_type") or MD5) == RSA:
        key = merchant.public_key
        return key is not None and has_signed(key, signed_text(fields).encode(), signature)
    return bool(merchant.key) and signature == md5_of(fields, merchant)


def with_signature(
    fields: Mapping[str, str], *, merchant: Merchant, key: SigningKey, is_second: bool, signing: Signing = "right"
) -> dict[str, str]:
    """Return the fields with the site's signature of a version; `signing` may want it wrong."""
    signed = {**fields, "sign_type": RSA if is_second else MD5}
    content = fields if signing == "right" else {**fields, "money": "0"}
    return signed | {"sign": key.sign(signed_text(content).encode()) if is_second else md5_of(content, merchant)}
