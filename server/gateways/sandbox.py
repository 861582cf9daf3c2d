"""The channel `sandbox`: a stand-in that signs for real, for demos, tests and a merchant's first look.

Guarantees of this file: what is signed is what is sent, byte for byte; nothing the sandbox says is believed before
its signature over the raw bytes and its time stamp were checked; keys are read once. Shares no code with
`server/sandbox/`, so that one mistake cannot be made on both sides.

The wire, in short. A request carries `Sandbox-Merchant`, `Sandbox-Timestamp`, `Sandbox-Nonce` and `Sandbox-Signature`
over `METHOD\\nPATH?QUERY\\nTIMESTAMP\\nNONCE\\nBODY\\n`. Answers and notifications are signed over
`TIMESTAMP\\nNONCE\\nBODY\\n`. RSA-2048, PKCS#1 v1.5, SHA-256, base64. Amounts are fen, times RFC 3339 UTC.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Literal, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import Field, ValidationError

from server.gateways.port import (
    CLOCK_SKEW_SECONDS,
    BadSignature,
    Bill,
    BillKind,
    ChannelRefused,
    ChannelUnknown,
    CreatePayment,
    CreateRefund,
    MalformedNotice,
    NoticeReply,
    PaymentFact,
    PaymentOpened,
    Product,
    Reason,
    RefundFact,
)
from server.gateways.wire import (
    Instant,
    Wire,
    WireFen,
    Word,
    encode_json,
    in_path,
    our_number,
    refund_alone,
    require_same,
    split_address,
    where,
)
from server.outbound import Line, Reply, Unanswered
from shared import clock, ids

CHANNEL = "sandbox"


class _Opened(Wire):
    out_trade_no: str
    pay_url: str = Field(pattern=r"^https?://", max_length=512)
    qr_text: str = Field(min_length=1, max_length=512)


class _Payment(Wire):
    out_trade_no: str
    state: Literal["pending", "paid", "closed"]
    trade_no: Word | None
    amount_fen: WireFen
    currency: str
    merchant_id: str
    paid_at: Instant | None


class _Closed(Wire):
    state: Literal["closed"]


class _Refund(Wire):
    out_refund_no: str
    refund_no: str
    out_trade_no: str
    amount_fen: WireFen
    state: Literal["processing", "succeeded", "failed"]


class _Refusal(Wire):
    code: str = Field(pattern=r"^[A-Z0-9_]{1,64}$")


class _Notice(Wire):
    event_id: Word
    event: Literal["payment.paid"]
    merchant_id: Word
    out_trade_no: Word
    trade_no: Word
    amount_fen: WireFen
    currency: str = Field(min_length=1, max_length=8)
    paid_at: Instant


W = TypeVar("W", bound=Wire)


class SandboxGateway:
    """`port.Gateway` for one merchant of one sandbox."""

    def __init__(
        self,
        *,
        base_url: str,
        merchant_id: str,
        private_key_pem: bytes,
        channel_public_key_pem: bytes,
        outbound: Line,
    ) -> None:
        """Read both keys. Raises ValueError when one is not an RSA key, or `base_url` is not http(s)."""
        private, public = load_pem_private_key(private_key_pem, None), load_pem_public_key(channel_public_key_pem)
        if not isinstance(private, RSAPrivateKey) or not isinstance(public, RSAPublicKey):
            raise ValueError("the sandbox channel needs RSA keys")  # noqa: TRY004 - a setting, not a type, is wrong
        self._private, self._public = private, public
        self._origin, self._path = split_address(CHANNEL, base_url)
        self._merchant_id = merchant_id
        self._outbound = outbound

    @property
    def channel(self) -> str:
        """The channel's name."""
        return CHANNEL

    @property
    def merchant_id(self) -> str:
        """Our number at the sandbox."""
        return self._merchant_id

    @property
    def app_ids(self) -> frozenset[str]:
        """The sandbox has no applications."""
        return frozenset()

    @property
    def products(self) -> frozenset[Product]:
        """One page serves all: opened, or scanned from another device."""
        return frozenset({"qr", "h5", "page"})

    @property
    def notice_is_proof(self) -> bool:
        """Only the channel can sign as it does."""
        return True

    @property
    def makes_bills(self) -> bool:
        """The sandbox of this protocol makes none."""
        return False

    @property
    def payers(self) -> None:
        """Nothing it offers must know who pays."""
        return None

    # --- calls ---------------------------------------------------------------------------------------------

    async def create(self, payment: CreatePayment) -> PaymentOpened:
        """See `port.Gateway.create`."""
        opened = await self._ask(
            _Opened,
            "POST",
            "/v1/payments",
            {
                "merchant_id": self._merchant_id,
                "out_trade_no": payment.out_trade_no,
                "amount_fen": payment.amount_fen,
                "currency": "CNY",
                "subject": payment.subject,
                "notify_url": payment.notify_url,
                "return_url": payment.return_url,
                "expires_at": _rfc3339(payment.expires_at),
                "profit_sharing": payment.is_shared,
            },
        )
        require_same(CHANNEL, opened.out_trade_no, payment.out_trade_no)
        return PaymentOpened(pay_url=opened.pay_url, qr_text=opened.qr_text)

    async def query(self, out_trade_no: str, *, provider_no: str | None = None) -> PaymentFact | None:  # noqa: ARG002 - no bills
        """See `port.Gateway.query`."""
        try:
            payment = await self._ask(_Payment, "GET", f"/v1/payments/{our_number(out_trade_no)}")
        except ChannelRefused as refusal:
            if refusal.reason_code == "NOT_FOUND":
                return None
            raise
        require_same(CHANNEL, payment.out_trade_no, out_trade_no)
        if payment.state == "paid" and (payment.trade_no is None or payment.paid_at is None):
            raise ChannelUnknown(channel=CHANNEL, detail="paid without a number or a time")
        return PaymentFact(
            channel=CHANNEL,
            out_trade_no=payment.out_trade_no,
            provider_no=payment.trade_no,
            merchant_id=payment.merchant_id,
            amount_fen=payment.amount_fen,
            currency=payment.currency,
            state=payment.state,
            paid_at=payment.paid_at,
            event_id=None,
        )

    async def close(self, out_trade_no: str) -> None:
        """See `port.Gateway.close`."""
        await self._ask(_Closed, "POST", f"/v1/payments/{our_number(out_trade_no)}/close")

    async def refund(self, refund: CreateRefund) -> RefundFact:
        """See `port.Gateway.refund`."""
        done = await self._ask(
            _Refund,
            "POST",
            "/v1/refunds",
            {
                "out_refund_no": refund.out_refund_no,
                "out_trade_no": refund.out_trade_no,
                "amount_fen": refund.amount_fen,
                "reason": refund.reason,
            },
        )
        require_same(CHANNEL, done.out_refund_no, refund.out_refund_no)
        return _refund_fact(done)

    async def query_refund(
        self,
        out_refund_no: str,
        *,
        out_trade_no: str | None = None,  # noqa: ARG002 - the number of the refund is enough here
        provider_no: str | None = None,  # noqa: ARG002 - as is
    ) -> RefundFact | None:
        """See `port.Gateway.query_refund`."""
        try:
            refund = await self._ask(_Refund, "GET", f"/v1/refunds/{in_path(out_refund_no)}")
        except ChannelRefused as refusal:
            if refusal.reason_code == "NOT_FOUND":
                return None
            raise
        require_same(CHANNEL, refund.out_refund_no, out_refund_no)
        return _refund_fact(refund)

    async def download_bill(self, kind: BillKind, day: date) -> Bill | None:  # noqa: ARG002 - the port's names
        """The sandbox of this protocol makes no bills."""
        raise ChannelRefused(channel=CHANNEL, reason_code=Reason.PRODUCT_NOT_OFFERED)

    # --- notifications -------------------------------------------------------------------------------------

    def verify_notify(self, headers: Mapping[str, str], body: bytes) -> PaymentFact:
        """See `port.Gateway.verify_notify`. The sandbox tells of payments only."""
        self._check_signature(headers, body)
        try:
            notice = _Notice.model_validate_json(body)
        except ValidationError as error:
            raise MalformedNotice(reason=where(error)) from None  # the chained error would carry the values
        return PaymentFact(
            channel=CHANNEL,
            out_trade_no=notice.out_trade_no,
            provider_no=notice.trade_no,
            merchant_id=notice.merchant_id,
            amount_fen=notice.amount_fen,
            currency=notice.currency,
            state="paid",
            paid_at=notice.paid_at,
            event_id=notice.event_id,
        )

    def verify_refund_notify(self, headers: Mapping[str, str], body: bytes) -> RefundFact:
        """See `port.Gateway.verify_refund_notify`. The sandbox does not tell of refunds."""
        return refund_alone(self.verify_notify(headers, body), told_by="event")

    def accepted(self) -> NoticeReply:
        """The one answer that stops the sandbox from telling again."""
        return NoticeReply(status=200, body=b'{"code":"SUCCESS"}', media_type="application/json")

    def refused(self, reason: str) -> NoticeReply:
        """Any other status makes it tell again later."""
        return NoticeReply(
            status=401 if reason == BadSignature.code else 400,
            body=encode_json({"code": "FAIL", "message": reason}),
            media_type="application/json",
        )

    # --- signing and checking ------------------------------------------------------------------------------

    async def _ask(self, answer: type[W], method: str, path: str, content: Mapping[str, object] | None = None) -> W:
        body = b"" if content is None else encode_json(content)
        target = self._path + path
        try:
            reply = await self._outbound.exchange(
                method, self._origin + target, headers=self._signed_headers(method, target, body), body=body
            )
        except Unanswered as error:
            raise ChannelUnknown(channel=CHANNEL, detail=error.reason) from error
        return self._read(answer, reply)

    def _signed_headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        timestamp, nonce = str(int(clock.now().timestamp())), ids.random_bytes(16).hex()
        message = f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
        signature = self._private.sign(message, PKCS1v15(), SHA256())
        return {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Sandbox-Merchant": self._merchant_id,
            "Sandbox-Timestamp": timestamp,
            "Sandbox-Nonce": nonce,
            "Sandbox-Signature": base64.b64encode(signature).decode(),
        }

    def _read(self, answer: type[W], reply: Reply) -> W:
        """The content of a signed answer. Anything else than a signed yes or no leaves the outcome unknown."""
        if reply.status >= 500:
            raise ChannelUnknown(channel=CHANNEL, detail=f"status {reply.status}")
        try:
            self._check_signature(reply.headers, reply.body)
        except BadSignature as error:
            raise ChannelUnknown(channel=CHANNEL, detail=f"answer {error.reason}") from error
        try:
            if reply.status >= 400:
                refusal = _Refusal.model_validate_json(reply.body)
                raise ChannelRefused(channel=CHANNEL, reason_code=refusal.code)
            return answer.model_validate_json(reply.body)
        except ValidationError as error:
            raise ChannelUnknown(channel=CHANNEL, detail=f"answer malformed at {where(error)}") from None

    def _check_signature(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise BadSignature unless the sandbox signed exactly this body within the last minutes."""
        given = {name.lower(): value for name, value in headers.items()}
        timestamp, nonce = given.get("sandbox-timestamp", ""), given.get("sandbox-nonce", "")
        try:
            signature = base64.b64decode(given.get("sandbox-signature", ""), validate=True)
        except (binascii.Error, ValueError):
            raise BadSignature(reason="unreadable") from None
        if not (signature and nonce and timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise BadSignature(reason="incomplete")
        try:
            message = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
            self._public.verify(signature, message, PKCS1v15(), SHA256())
        except InvalidSignature:
            raise BadSignature(reason="forged") from None
        # After the signature: only then a strange time says that a clock is wrong and not that someone knocks.
        if abs(clock.now().timestamp() - int(timestamp)) > CLOCK_SKEW_SECONDS:
            raise BadSignature(reason="stale")


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refund_fact(refund: _Refund) -> RefundFact:
    return RefundFact(
        out_refund_no=refund.out_refund_no,
        refund_no=refund.refund_no,
        out_trade_no=refund.out_trade_no,
        amount_fen=refund.amount_fen,
        state=refund.state,
    )
