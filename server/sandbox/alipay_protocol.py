"""Alipay's RSA2 on the wire: what a request is signed over, how answers and notifications are written and signed.

* A request's parameters stand in the address, in the form, or in both; all that are not blank take part, `sign_type`
  too, as they are once decoded by the `charset` they name.
* An answer is `{"<method>_response":{...},"sign":"..."}`: signed is the raw text of the node, slashes escaped in it.
* A notification is a form: every field but `sign` and `sign_type` takes part, also blank ones.

Pure; used by `alipay.py` and those beside it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, quote_plus, urlencode

from server.sandbox.keys import SigningKey
from server.sandbox.moments import BEIJING
from server.sandbox.records import Signing

SIGN_TYPE = "RSA2"
DONE: dict[str, object] = {"code": "10000", "msg": "Success"}
_CHARSETS = frozenset({"utf-8", "gbk", "gb2312", "gb18030"})
_MOST_FIELDS = 64
_MINUTE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?")
_FAILURES = {
    "40001": "Missing Required Arguments",
    "40002": "Invalid Arguments",
    "40004": "Business Failed",
    "20000": "Service Currently Unavailable",
}


class Refused(Exception):
    """The request gets a no. `signed` says whether Alipay signs that: it does once it knows whom it talks to."""

    def __init__(self, code: str, sub_code: str, sub_msg: str, *, signed: bool = True) -> None:
        """Keep what the merchant is told."""
        super().__init__(sub_code)
        self.content = {"code": code, "msg": _FAILURES[code], "sub_code": sub_code, "sub_msg": sub_msg}
        self.signed = signed


def business(sub_code: str, sub_msg: str) -> Refused:
    """Return the refusal of something that was understood."""
    return Refused("40004", sub_code, sub_msg)


def invalid(sub_code: str, sub_msg: str) -> Refused:
    """Return the refusal of what is not a request of anybody we know."""
    return Refused("40002", sub_code, sub_msg, signed=False)


# Requests


@dataclass(frozen=True, slots=True)
class Parameters:
    """All parameters of a request, decoded once."""

    values: Mapping[str, str]
    charset: str

    def get(self, name: str) -> str:
        """Return a parameter; blank when it is missing."""
        return self.values.get(name, "")

    def signed_content(self) -> bytes:
        """What the application must have signed."""
        return _content({name: value for name, value in self.values.items() if value and name != "sign"}, self.charset)


def read_parameters(query: bytes, body: bytes) -> Parameters:
    """Return the parameters of the address and of the form. Raises Refused."""
    try:
        pairs = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for part in (query, body)
            for name, value in parse_qsl(
                part.decode("ascii"), keep_blank_values=True, encoding="latin-1", max_num_fields=_MOST_FIELDS
            )
        ]
        raw = dict(pairs)
        charset = (raw.get(b"charset") or b"utf-8").decode("ascii").lower()
        if charset not in _CHARSETS:
            raise invalid("isv.invalid-charset", "字符集错误")
        values = {name.decode(charset): value.decode(charset) for name, value in raw.items()}
    except ValueError:
        raise invalid("isv.invalid-parameter", "参数无法解析") from None
    if len(raw) < len(pairs):
        raise invalid("isv.invalid-parameter", "参数重复")
    return Parameters(values, charset)


def _content(fields: Mapping[str, str], charset: str) -> bytes:
    return "&".join(f"{name}={value}" for name, value in sorted(fields.items())).encode(charset)


def read_moment(text: str) -> int:
    """Return `2026-11-22 17:03:09` of Beijing in milliseconds. Raises ValueError."""
    if not _MINUTE.fullmatch(text):
        raise ValueError(text)
    layout = "%Y-%m-%d %H:%M:%S" if len(text) > 16 else "%Y-%m-%d %H:%M"
    return int(datetime.strptime(text, layout).replace(tzinfo=BEIJING).timestamp()) * 1000


# Answers


def node_text(content: Mapping[str, object]) -> str:
    """Write the node of an answer as it is signed: a slash is escaped, Chinese is not."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")


def answer(node: str, text: str, *, charset: str, key: SigningKey, signing: Signing) -> bytes:
    """Return the body of an answer around the node's text."""
    if signing == "none":
        return f'{{"{node}":{text}}}'.encode(charset)
    signature = key.sign(text.encode(charset) + (b" " if signing == "wrong" else b""))
    return f'{{"{node}":{text},"sign":"{signature}"}}'.encode(charset)


# Notifications and the way back


def signed_form(fields: Mapping[str, str], *, charset: str, key: SigningKey, signing: Signing = "right") -> bytes:
    """Return the fields, signed, as a form; a blank field is sent and takes part."""
    content = _content(fields, charset) + (b"" if signing == "right" else b" ")
    signed = {**fields, "sign": key.sign(content), "sign_type": SIGN_TYPE}
    return urlencode(signed, quote_via=quote_plus, encoding=charset).encode()
