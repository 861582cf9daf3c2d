"""What WeChat Pay writes, read into facts. Used by `wechat` alone; names of fields and codes are WeChat Pay's."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from server.gateways.port import PaymentFact, PaymentState, Reason, RefundFact, RefundOutcome
from server.gateways.wire import BlankIsNone, Currency, Instant, Wire, WireFen, Word

CHANNEL = "wechat"

_PAYMENT: dict[str, PaymentState] = {
    "NOTPAY": "pending",
    "USERPAYING": "pending",
    "PAYERROR": "pending",
    "ACCEPT": "pending",
    "SUCCESS": "paid",
    "REFUND": "refunded",
    "CLOSED": "closed",
    "REVOKED": "closed",
}
_REFUND: dict[str, RefundOutcome] = {
    "PROCESSING": "processing",
    "SUCCESS": "succeeded",
    "ABNORMAL": "abnormal",
    "CLOSED": "closed",
}
_CAME = frozenset({"paid", "refunded"})

# Older pages and live answers spell some of them in two ways.
REASONS: dict[str, Reason] = {
    "ORDERPAID": Reason.ALREADY_PAID,
    "ORDER_PAID": Reason.ALREADY_PAID,
    "ORDERCLOSED": Reason.ALREADY_CLOSED,
    "ORDER_CLOSED": Reason.ALREADY_CLOSED,
    "ORDERNOTEXIST": Reason.NOT_FOUND,
    "ORDER_NOT_EXIST": Reason.NOT_FOUND,
    "RESOURCE_NOT_EXISTS": Reason.NOT_FOUND,
    "OUT_TRADE_NO_USED": Reason.OUT_TRADE_NO_USED,
    "NOT_ENOUGH": Reason.NOT_ENOUGH_BALANCE,
    "NOTENOUGH": Reason.NOT_ENOUGH_BALANCE,
    "FREQUENCY_LIMITED": Reason.TOO_OFTEN,
    "FREQUENCY_LIMIT_EXCEED": Reason.TOO_OFTEN,
    "RATE_LIMITED": Reason.TOO_OFTEN,
    "RATELIMIT_EXCEEDED": Reason.TOO_OFTEN,
}
# A refusal that leaves open what happened: the same request is sent again.
UNKNOWN_REASONS = frozenset({"SYSTEM_ERROR", "SYSTEMERROR", "BANK_ERROR", "BANKERROR", "BIZ_ERR_NEED_RETRY"})
NO_BILL = frozenset({"NO_STATEMENT_EXIST", "STATEMENT_CREATING"})


class Refusal(Wire):
    """The body of a 4xx."""

    code: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")

    @classmethod
    def code_of(cls, status: int, body: bytes) -> str | None:
        """What a refusal calls itself, signed or not; never its message, which may repeat what was sent."""
        if status < 300:
            return None
        try:
            return cls.model_validate_json(body).code
        except ValidationError:
            return None


class NativeOpened(Wire):
    """A code to scan."""

    code_url: str = Field(pattern=r"^(weixin|https?)://\S+$", max_length=512)


class H5Opened(Wire):
    """A page that opens WeChat."""

    h5_url: str = Field(pattern=r"^https?://\S+$", max_length=512)


class JsapiOpened(Wire):
    """What a page or mini program inside WeChat calls the cashier with."""

    prepay_id: Annotated[str, Field(pattern=r"^[0-9A-Za-z_=-]{1,128}$")]


class _Amount(Wire):
    total: WireFen | None = None
    payer_total: WireFen | None = None
    currency: Currency = "CNY"


class Transaction(Wire):
    """A payment, in an answer as in a notification."""

    mchid: Word
    appid: Word
    out_trade_no: Word
    transaction_id: Annotated[Word | None, BlankIsNone] = None
    trade_state: Literal["NOTPAY", "USERPAYING", "PAYERROR", "ACCEPT", "SUCCESS", "REFUND", "CLOSED", "REVOKED"]
    success_time: Annotated[Instant | None, BlankIsNone] = None
    amount: _Amount | None = None

    @model_validator(mode="after")
    def _paid_is_complete(self) -> Self:
        complete = self.transaction_id and self.success_time and self.amount and self.amount.total is not None
        if _PAYMENT[self.trade_state] in _CAME and not complete:
            raise PydanticCustomError("paid_incomplete", "paid without a number, a time or an amount")
        return self

    def fact(self, *, event_id: str | None) -> PaymentFact:
        """The port's words."""
        state = _PAYMENT[self.trade_state]
        came, amount = state in _CAME, self.amount or _Amount()
        return PaymentFact(
            channel=CHANNEL,
            out_trade_no=self.out_trade_no,
            provider_no=self.transaction_id if came else None,
            merchant_id=self.mchid,
            amount_fen=amount.total or 0,
            currency=amount.currency,
            state=state,
            paid_at=self.success_time if came else None,
            event_id=event_id,
            app_id=self.appid,
            payer_total_fen=amount.payer_total if came else None,
        )


class _RefundAmount(Wire):
    refund: WireFen


class Refund(Wire):
    """A refund in an answer. It does not name the merchant: we asked with our own key."""

    refund_id: Word
    out_refund_no: Word
    out_trade_no: Word
    status: Literal["PROCESSING", "SUCCESS", "ABNORMAL", "CLOSED"]
    success_time: Annotated[Instant | None, BlankIsNone] = None
    amount: _RefundAmount

    def fact(self) -> RefundFact:
        """The port's words."""
        return RefundFact(
            out_refund_no=self.out_refund_no,
            refund_no=self.refund_id,
            out_trade_no=self.out_trade_no,
            amount_fen=self.amount.refund,
            state=_REFUND[self.status],
            refunded_at=self.success_time,
        )


class RefundTold(Wire):
    """A refund in a notification."""

    mchid: Word
    refund_id: Word
    out_refund_no: Word
    out_trade_no: Word
    transaction_id: Annotated[Word | None, BlankIsNone] = None
    refund_status: Literal["PROCESSING", "SUCCESS", "ABNORMAL", "CLOSED"]
    success_time: Annotated[Instant | None, BlankIsNone] = None
    amount: _RefundAmount

    def fact(self, *, event_id: str) -> RefundFact:
        """The port's words."""
        return RefundFact(
            out_refund_no=self.out_refund_no,
            refund_no=self.refund_id,
            out_trade_no=self.out_trade_no,
            amount_fen=self.amount.refund,
            state=_REFUND[self.refund_status],
            merchant_id=self.mchid,
            refunded_at=self.success_time,
            event_id=event_id,
            provider_no=self.transaction_id,
        )


class Sealed(Wire):
    """A part that only the holder of the APIv3 key can read."""

    algorithm: Literal["AEAD_AES_256_GCM"]
    ciphertext: str
    associated_data: str | None = None
    nonce: str


class Notice(Wire):
    """The envelope of a notification."""

    id: Word
    event_type: Literal["TRANSACTION.SUCCESS", "REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED"]
    resource: Sealed


class BillReady(Wire):
    """Where a bill is, and what it must hash to once unpacked."""

    hash_type: Literal["SHA1"]
    hash_value: str = Field(pattern=r"^[0-9A-Fa-f]{40}$")
    download_url: str = Field(pattern=r"^https?://[!-~]+$", max_length=2048)


class _Certificate(Wire):
    serial_no: Word
    encrypt_certificate: Sealed


class Certificates(Wire):
    """Platform certificates, each sealed."""

    data: tuple[_Certificate, ...]
