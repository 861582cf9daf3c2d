"""What channels' messages have in common: words, instants, amounts as text, and what is wrong with one.

Used by the gateways beside it. Nothing here names a value of a message in an error: only its part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, unquote_to_bytes, urlencode, urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from server.gateways.port import BadSignature, MalformedNotice, PaymentFact, RefundFact, Unclear
from shared import clock
from shared.money import MAX_FEN, Fen

_OUR_NUMBER = re.compile(r"[0-9A-Za-z_-]{6,32}")
_LOCAL_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_MOST_FIELDS = 200
_YUAN = re.compile(r"(?P<yuan>[0-9]{1,12})(?:\.(?P<part>[0-9]{1,2}))?")

NOT_SENT = frozenset({"ConnectError", "ConnectTimeout"})
"""Reasons of `outbound.Unanswered` that say: there was no connection, so the request went nowhere."""


class Wire(BaseModel):
    """What a channel writes. Numbers must be numbers; fields of a later version are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("no such instant in UTC") from None


Word = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]
"""A number or name as it is stored and shown; control characters are neither."""

Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""RFC 3339 with an offset, read as UTC."""


def _none_of_blank(value: object) -> object:
    return None if value == "" else value


BlankIsNone = BeforeValidator(_none_of_blank)
"""For what a channel leaves out, or writes as an empty text."""

WireFen = Annotated[int, Field(strict=True, ge=0, le=MAX_FEN)]
"""An amount in fen as a JSON number without a fraction, as large as a book can hold."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""ISO 4217. Another one than ours can be read, so that it can be refused with its name."""


def _yuan(value: object) -> Fen:
    if not isinstance(value, str):
        raise ValueError("not an amount of yuan")  # noqa: TRY004 - pydantic makes its error of this one
    return fen_of_yuan(value)


Yuan = Annotated[Fen, BeforeValidator(_yuan)]
"""An amount of yuan as text, read as fen; never by way of a float."""


def _shop_time(value: object) -> datetime:
    if not isinstance(value, str) or not _LOCAL_TIME.fullmatch(value):
        raise ValueError("not a local time")
    return _in_utc(datetime.fromisoformat(value).replace(tzinfo=clock.SHOP_ZONE))


ShopTime = Annotated[datetime, BeforeValidator(_shop_time)]
"""`yyyy-MM-dd HH:mm:ss` as a clock in Beijing shows it, read as UTC."""


def where(error: ValidationError) -> str:
    """The first part that is wrong: its name and the kind of fault, without its value."""
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'body'} ({first['type']})"


def is_our_number(number: str) -> bool:
    """Whether a number could be one of ours. What another shop of the same merchant pays may look otherwise."""
    return _OUR_NUMBER.fullmatch(number) is not None


def our_number(ours: str) -> str:
    """One of our numbers, fit for a path. They are made by us: another shape is a mistake of the program."""
    assert is_our_number(ours), "a number of ours has 6 to 32 of 0-9 A-Z a-z _ -"
    return ours


def in_path(number: str) -> str:
    """A number as a part of a path, whosever it is: the channel's own console gives refunds other ones than we do."""
    return quote(number, safe="")


def encode_json(content: Mapping[str, object]) -> bytes:
    """Serialised once; the same bytes are signed and sent."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def encode_form(parameters: Mapping[str, str]) -> str:
    """A form's body, or the query of an address."""
    return urlencode(parameters, quote_via=quote, safe="")


def read_form(body: bytes) -> dict[bytes, bytes]:
    """A form's fields, decoded once; blank ones are kept. One that comes twice can mean two things: BadSignature."""
    fields: dict[bytes, bytes] = {}
    pairs = body.split(b"&", _MOST_FIELDS) if body else []
    for pair in pairs:
        name, _, value = pair.replace(b"+", b" ").partition(b"=")
        name = unquote_to_bytes(name)
        if name in fields or len(fields) == _MOST_FIELDS:
            raise BadSignature(reason="unreadable")
        fields[name] = unquote_to_bytes(value)
    return fields


def require_same(channel: str, answered: object, asked: object) -> None:
    """Raise Unclear unless an answer names what was asked.

    Answers do not name their request in what they sign: an old one played to us must not pass for this one.
    """
    if answered != asked:
        raise Unclear(channel=channel, detail="answer to another question")


def refund_alone(fact: PaymentFact | RefundFact, *, told_by: str) -> RefundFact:
    """The fact, where only refunds are told. Raises MalformedNotice for a payment, as the part `told_by` says."""
    if not isinstance(fact, RefundFact):
        raise MalformedNotice(reason=told_by)
    return fact


def plain(text: str, *, most_bytes: int) -> str:
    """As much of `text` as fits and as channels take: they refuse characters of four bytes (emoji) and control ones."""
    kept = "".join(character for character in text if character <= "\uffff" and character.isprintable())
    return kept.strip().encode()[:most_bytes].decode(errors="ignore").strip()


def fen_of_yuan(text: str) -> Fen:
    """`12.5` as 1250. Raises ValueError for what is not a plain amount: a sign, an exponent, a third decimal."""
    match = _YUAN.fullmatch(text)
    if match is None:
        raise ValueError("not an amount of yuan")
    return int(match["yuan"]) * 100 + int((match["part"] or "").ljust(2, "0"))


def yuan_of_fen(amount: Fen) -> str:
    """1250 as `12.50`. `amount` is not negative."""
    assert amount >= 0
    return f"{amount // 100}.{amount % 100:02d}"


def split_address(channel: str, address: str) -> tuple[str, str]:
    """Origin and path (without a slash at its end) of a channel's address. Raises ValueError for what is none."""
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc or parts.query:
        raise ValueError(f"the address of channel {channel} must be http(s)://host[:port][/path]")
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
