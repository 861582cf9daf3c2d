"""The sandbox's own channel on the wire: what is signed, what a request must hold, what a notification says.

Every signature is RSA-2048, PKCS#1 v1.5, SHA-256, in base64. Times are RFC 3339 UTC, amounts integer fen.

* A merchant signs `METHOD\\nPATH?QUERY\\nTIMESTAMP\\nNONCE\\nBODY\\n` and sends `Sandbox-Merchant`,
  `Sandbox-Timestamp` (Unix seconds), `Sandbox-Nonce` (32 hex digits, single use) and `Sandbox-Signature`.
* The sandbox signs `TIMESTAMP\\nNONCE\\nBODY\\n` of its answers and notifications, naming its key in `Sandbox-Serial`.

Used by `own.py` alone.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from server.sandbox.fault_facts import LARGEST_AMOUNT_FEN
from server.sandbox.keys import SigningKey, has_signed, read_public_key
from server.sandbox.merchants import Register
from server.sandbox.moments import now_ms, rfc3339
from server.sandbox.records import NewPayment, Payment, Signing
from server.sandbox.store import Store

CHANNEL = "sandbox"
TIMESTAMP_WINDOW_SECONDS = 300
_NONCE = re.compile(r"[0-9a-fA-F]{32}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_NAME_LINE = re.compile(r"^Name:[ \t]*(\S.{0,39})", re.MULTILINE)
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


class SignatureRefused(Exception):
    """A request is not proven to come from a registered merchant; `reason` is a key of `words.SENTENCES`."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


def encode(content: Mapping[str, object]) -> bytes:
    """Write JSON the one way that is signed and sent: UTF-8, no spaces."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


# Signing and verifying


@dataclass(frozen=True, slots=True)
class Merchant:
    """A registered merchant: its id, the name buyers see, and the key its requests must be signed with."""

    merchant_id: str
    name: str
    public_key: RSAPublicKey


def read_merchant(merchant_id: str, content: bytes) -> Merchant | None:
    """Read `merchants/<merchant id>.pem`: a public key; a line `Name: 演示小店` before it is the name buyers see."""
    public_key = read_public_key(content)
    if public_key is None:
        return None
    named = _NAME_LINE.search(content.decode("utf-8", errors="replace"))
    return Merchant(merchant_id, named.group(1).strip() if named else merchant_id, public_key)


def sign_outgoing(key: SigningKey, body: bytes, *, signing: Signing = "right", at_ms: int) -> dict[str, str]:
    """Return the headers that prove an answer or a notification; signed wrongly, it is well formed and must fail."""
    if signing == "none":
        return {}
    timestamp = str(at_ms // 1000)
    nonce = secrets.token_hex(16)
    signed_body = body if signing == "right" else body + b" "
    return {
        "Sandbox-Timestamp": timestamp,
        "Sandbox-Nonce": nonce,
        "Sandbox-Serial": key.serial,
        "Sandbox-Signature": key.sign(f"{timestamp}\n{nonce}\n".encode() + signed_body + b"\n"),
    }


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """The parts of a merchant's request that its signature covers; `target` is the path with its query, as sent."""

    method: str
    target: bytes
    headers: Mapping[str, str]
    body: bytes


def authenticate(
    request: IncomingRequest, *, merchants: Register[Merchant], store: Store, clock_ms: Callable[[str], int]
) -> Merchant:
    """Return the merchant that signed `request` and use up its nonce. Raises SignatureRefused.

    `clock_ms` is the sandbox's clock as a merchant meets it.

    The nonce is spent only by a request whose signature holds, so nobody else can spend a merchant's nonces.
    """
    merchant = merchants.find(request.headers.get("sandbox-merchant", ""))
    if merchant is None:
        raise SignatureRefused("unknown_merchant")
    timestamp = request.headers.get("sandbox-timestamp", "")
    nonce = request.headers.get("sandbox-nonce", "")
    if not _TIMESTAMP.fullmatch(timestamp) or not _NONCE.fullmatch(nonce):
        raise SignatureRefused("bad_signature_headers")
    now = now_ms()
    if abs(clock_ms(merchant.merchant_id) // 1000 - int(timestamp)) > TIMESTAMP_WINDOW_SECONDS:
        raise SignatureRefused("stale_timestamp")
    message = b"\n".join(
        (request.method.encode(), request.target, timestamp.encode(), nonce.encode(), request.body, b"")
    )
    if not has_signed(merchant.public_key, message, request.headers.get("sandbox-signature", "")):
        raise SignatureRefused("bad_signature")

    # Remembered a little longer than the window in which the same timestamp would still be accepted.
    forget_at_ms = (int(timestamp) + 2 * TIMESTAMP_WINDOW_SECONDS) * 1000
    if not store.use_nonce(
        channel=CHANNEL,
        merchant_id=merchant.merchant_id,
        nonce=nonce.lower(),
        now_ms=now,
        forget_at_ms=forget_at_ms,
    ):
        raise SignatureRefused("nonce_used")
    return merchant


# What requests must hold


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or _CONTROL_CHARACTERS.search(value):
        raise ValueError("an absolute http or https URL is wanted")
    return value


def _one_line(value: str) -> str:
    if _CONTROL_CHARACTERS.search(value) or not value.strip():
        raise ValueError("one line of text is wanted")
    return value


MerchantNumber = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{6,32}$")]
HttpUrl = Annotated[str, Field(max_length=512), AfterValidator(_http_url)]
AmountFen = Annotated[int, Field(ge=1, le=LARGEST_AMOUNT_FEN)]


class CreatePayment(BaseModel):
    """`POST /v1/payments`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    merchant_id: str
    out_trade_no: MerchantNumber
    amount_fen: AmountFen
    currency: Literal["CNY"]
    subject: Annotated[str, Field(max_length=127), AfterValidator(_one_line)]
    notify_url: HttpUrl
    return_url: HttpUrl
    expires_at: AwareDatetime
    profit_sharing: bool = False

    def asked(self) -> NewPayment:
        """Return the request as the store keeps it; a fraction of a millisecond of the expiry is dropped."""
        return NewPayment(
            channel=CHANNEL,
            merchant_id=self.merchant_id,
            out_trade_no=self.out_trade_no,
            amount_fen=self.amount_fen,
            currency=self.currency,
            subject=self.subject,
            notify_url=self.notify_url,
            return_url=self.return_url,
            expires_at_ms=int(self.expires_at.timestamp()) * 1000 + self.expires_at.microsecond // 1000,
            extra=json.dumps({"profit_sharing": True}) if self.profit_sharing else "{}",
        )


class CreateRefund(BaseModel):
    """`POST /v1/refunds`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    out_refund_no: MerchantNumber
    out_trade_no: MerchantNumber
    amount_fen: AmountFen
    reason: Annotated[str, Field(max_length=80)]


# What merchants are told


def payment_announcement(claimed: Payment, *, event_id: str) -> bytes:
    """Return the body of the notification `payment.paid`; `claimed` is a paid payment, or what testers make of it."""
    assert claimed.paid_at_ms is not None
    return encode(
        {
            "event_id": event_id,
            "event": "payment.paid",
            "merchant_id": claimed.merchant_id,
            "out_trade_no": claimed.out_trade_no,
            "trade_no": claimed.trade_no,
            "amount_fen": claimed.paid_fen,
            "currency": claimed.currency,
            "payer": claimed.payer,
            "paid_at": rfc3339(claimed.paid_at_ms),
        }
    )
