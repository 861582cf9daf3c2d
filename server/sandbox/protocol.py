"""The sandbox's own channel on the wire: what is signed, what a request must hold, what a notification says.

Every signature is RSA-2048, PKCS#1 v1.5, SHA-256, in base64. Times are RFC 3339 UTC, amounts integer fen.

* A merchant signs `METHOD\\nPATH?QUERY\\nTIMESTAMP\\nNONCE\\nBODY\\n` and sends `Sandbox-Merchant`,
  `Sandbox-Timestamp` (Unix seconds), `Sandbox-Nonce` (32 hex digits, single use) and `Sandbox-Signature`.
* The sandbox signs `TIMESTAMP\\nNONCE\\nBODY\\n` of its answers and notifications, naming its key in `Sandbox-Serial`.

Used by `api.py` (requests and answers) and `pages.py` (what a payment announces). `notify.py` sees only the dialect.
"""

import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from server.sandbox.keys import Merchant, MerchantRegister, SigningKey
from server.sandbox.moments import now_ms, rfc3339
from server.sandbox.records import NewPayment, Payment
from server.sandbox.store import Store

CHANNEL = "sandbox"
TIMESTAMP_WINDOW_SECONDS = 300
LARGEST_AMOUNT_FEN = 1_000_000_000  # ten million yuan: a typing slip in a test should be refused, not paid
_NONCE = re.compile(r"[0-9a-fA-F]{32}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
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


def sign_outgoing(key: SigningKey, body: bytes, *, wrongly: bool = False) -> dict[str, str]:
    """Return the headers that prove an answer or a notification; `wrongly` makes a well-formed one that must fail."""
    timestamp = str(int(time.time()))
    nonce = secrets.token_hex(16)
    signed_body = body + b" " if wrongly else body
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


def authenticate(request: IncomingRequest, *, merchants: MerchantRegister, store: Store) -> Merchant:
    """Return the merchant that signed `request` and use up its nonce. Raises SignatureRefused.

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
    if abs(now // 1000 - int(timestamp)) > TIMESTAMP_WINDOW_SECONDS:
        raise SignatureRefused("stale_timestamp")
    message = b"\n".join(
        (request.method.encode(), request.target, timestamp.encode(), nonce.encode(), request.body, b"")
    )
    if not merchant.has_signed(message, request.headers.get("sandbox-signature", "")):
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
        )


class CreateRefund(BaseModel):
    """`POST /v1/refunds`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    out_refund_no: MerchantNumber
    out_trade_no: MerchantNumber
    amount_fen: AmountFen
    reason: Annotated[str, Field(max_length=80)]


# What merchants are told


def payment_announcement(
    payment: Payment, *, event_id: str, trade_no: str, payer: str, paid_at_ms: int, amount_fen: int
) -> bytes:
    """Return the body of the notification `payment.paid`; `amount_fen` is an argument so that testers can lie."""
    return encode(
        {
            "event_id": event_id,
            "event": "payment.paid",
            "merchant_id": payment.merchant_id,
            "out_trade_no": payment.out_trade_no,
            "trade_no": trade_no,
            "amount_fen": amount_fen,
            "currency": payment.currency,
            "payer": payer,
            "paid_at": rfc3339(paid_at_ms),
        }
    )


class SandboxDialect:
    """How this channel signs a notification and recognises its acknowledgement; see `notify.Dialect`."""

    def __init__(self, key: SigningKey) -> None:
        """Sign with the sandbox's own key."""
        self._key = key

    def headers(self, body: bytes, *, wrongly_signed: bool) -> dict[str, str]:
        """Return the headers of one delivery; each delivery has its own timestamp and nonce."""
        return {"Content-Type": "application/json", **sign_outgoing(self._key, body, wrongly=wrongly_signed)}

    def acknowledges(self, status: int, body: bytes) -> bool:
        """Whether an answer means "I have it": 200 and `{"code":"SUCCESS"}`, nothing less."""
        if status != 200:
            return False
        try:
            answer = json.loads(body)
        except ValueError:
            return False
        return isinstance(answer, dict) and answer.get("code") == "SUCCESS"
