"""What Alipay writes, read into facts. Used by `alipay` alone; names of fields and codes are Alipay's.

Amounts are yuan as text and become fen without a float; times are Beijing's and become UTC.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from server.gateways.port import PaymentFact, PaymentState, Reason, RefundFact
from server.gateways.wire import BlankIsNone, Currency, ShopTime, Wire, Word, Yuan

CHANNEL = "alipay"
CURRENCY = "CNY"
DONE = "10000"
_UNKNOWN_CODE = "20000"
_LIMITED_CODE = "40005"

REASONS: dict[str, Reason] = {
    "ACQ.TRADE_HAS_SUCCESS": Reason.ALREADY_PAID,
    "ACQ.TRADE_HAS_CLOSE": Reason.ALREADY_CLOSED,
    "ACQ.TRADE_NOT_EXIST": Reason.NOT_FOUND,
    "ACQ.CONTEXT_INCONSISTENT": Reason.OUT_TRADE_NO_USED,
    "ACQ.DISCORDANT_REPEAT_REQUEST": Reason.OUT_TRADE_NO_USED,
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": Reason.NOT_ENOUGH_BALANCE,
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": Reason.AMOUNT_EXCEEDED,
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": Reason.AMOUNT_EXCEEDED,
    "isv.app-call-limited": Reason.TOO_OFTEN,
    "isv.method-call-limited": Reason.TOO_OFTEN,
}
# Answers to a close of what does not wait for the buyer any more.
ENDED = frozenset({"ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS"})
NO_BILL = "isp.bill_not_exist"
_UNKNOWN_REASONS = ("SYSTEM_ERROR", "unknow-error", "unknown-error")

_Optional = Annotated[Word | None, BlankIsNone]
_Status = Literal["WAIT_BUYER_PAY", "TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED"]


class Verdict(Wire):
    """How an answer begins."""

    code: str = Field(pattern=r"^[0-9]{1,8}$")
    sub_code: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,64}$")

    @property
    def is_unknown(self) -> bool:
        """Alipay itself does not know what happened: the same request is sent again."""
        return self.code == _UNKNOWN_CODE or (self.sub_code or "").endswith(_UNKNOWN_REASONS)

    @property
    def reason(self) -> str:
        """The port's word where there is one, else Alipay's."""
        if self.code == _LIMITED_CODE:
            return Reason.TOO_OFTEN
        own = self.sub_code or self.code
        return REASONS.get(own, own)

    def __str__(self) -> str:
        return self.sub_code or self.code


class Opened(Wire):
    """A code to scan."""

    out_trade_no: Word
    qr_code: str = Field(pattern=r"^https?://\S+$", max_length=512)


class Trade(Wire):
    """A payment in an answer. It does not name seller or application: we asked with our own key."""

    out_trade_no: Word
    trade_no: Word
    trade_status: _Status
    total_amount: Yuan
    buyer_pay_amount: Annotated[Yuan | None, BlankIsNone] = None
    trans_currency: Annotated[Currency | None, BlankIsNone] = None
    send_pay_date: Annotated[ShopTime | None, BlankIsNone] = None

    @property
    def _state(self) -> PaymentState:
        return _state_of(self.trade_status, was_paid=self.send_pay_date is not None)

    def fact(self, *, seller_id: str, app_id: str) -> PaymentFact:
        """The port's words."""
        came = self._state in {"paid", "refunded"}
        return PaymentFact(
            channel=CHANNEL,
            out_trade_no=self.out_trade_no,
            provider_no=self.trade_no if came else None,
            merchant_id=seller_id,
            amount_fen=self.total_amount,
            currency=self.trans_currency or CURRENCY,
            state=self._state,
            paid_at=self.send_pay_date if came else None,
            event_id=None,
            app_id=app_id,
            payer_total_fen=self.buyer_pay_amount if came else None,
        )


class Closed(Wire):
    """A payment that was closed."""

    out_trade_no: Word


class Refunded(Wire):
    """The answer to a refund. Its `refund_fee` is the sum of all refunds of the payment."""

    out_trade_no: Word
    trade_no: Word
    fund_change: str | None = None
    refund_fee: Yuan


class RefundFound(Wire):
    """The answer to the question after a refund; nearly empty when Alipay knows of none that succeeded."""

    out_trade_no: _Optional = None
    trade_no: _Optional = None
    out_request_no: _Optional = None
    refund_amount: Annotated[Yuan | None, BlankIsNone] = None
    refund_status: _Optional = None
    gmt_refund_pay: Annotated[ShopTime | None, BlankIsNone] = None


class BillReady(Wire):
    """Where a bill is, for half a minute."""

    bill_download_url: str = Field(pattern=r"^https?://[!-~]+$", max_length=2048)


class Notice(Wire):
    """A notification, of a payment or of a refund: Alipay tells both at one address."""

    notify_id: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")]
    app_id: Word
    seller_id: Word
    out_trade_no: Word
    trade_no: Word
    trade_status: _Status
    total_amount: Yuan
    buyer_pay_amount: Annotated[Yuan | None, BlankIsNone] = None
    trans_currency: Annotated[Currency | None, BlankIsNone] = None
    gmt_payment: Annotated[ShopTime | None, BlankIsNone] = None
    gmt_refund: Annotated[ShopTime | None, BlankIsNone] = None
    refund_fee: Annotated[Yuan | None, BlankIsNone] = None
    out_biz_no: _Optional = None

    @model_validator(mode="after")
    def _paid_is_complete(self) -> Self:
        if not self._is_of_refund and self._state == "paid" and self.gmt_payment is None:
            raise PydanticCustomError("paid_incomplete", "paid without a time")
        return self

    @property
    def _state(self) -> PaymentState:
        return _state_of(self.trade_status, was_paid=self.gmt_payment is not None)

    @property
    def _is_of_refund(self) -> bool:
        """A refund is told as TRADE_SUCCESS, or TRADE_CLOSED when all went back; its own fields make the difference."""
        return self.gmt_refund is not None or bool(self.refund_fee)

    def fact(self) -> PaymentFact | RefundFact:
        """The port's words."""
        if self._is_of_refund:
            return RefundFact(
                out_refund_no=self.out_biz_no or self.out_trade_no,  # Alipay's number for a refund without one
                refund_no=self.trade_no,
                out_trade_no=self.out_trade_no,
                amount_fen=None,
                state="succeeded",
                merchant_id=self.seller_id,
                refunded_at=self.gmt_refund,
                refunded_total_fen=self.refund_fee,
                event_id=self.notify_id,
                app_id=self.app_id,
                provider_no=self.trade_no,
            )
        state = self._state
        came = state in {"paid", "refunded"}
        return PaymentFact(
            channel=CHANNEL,
            out_trade_no=self.out_trade_no,
            provider_no=self.trade_no if came else None,
            merchant_id=self.seller_id,
            amount_fen=self.total_amount,
            currency=self.trans_currency or CURRENCY,
            state=state,
            paid_at=self.gmt_payment if came else None,
            event_id=self.notify_id,
            app_id=self.app_id,
            payer_total_fen=self.buyer_pay_amount if came else None,
        )


def _state_of(status: _Status, *, was_paid: bool) -> PaymentState:
    if status == "WAIT_BUYER_PAY":
        return "pending"
    if status == "TRADE_CLOSED":
        return "refunded" if was_paid else "closed"
    return "paid"
