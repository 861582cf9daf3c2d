"""What WeChat Pay's requests must hold, and how payments and refunds look in its answers and notifications.

Names of fields and codes are WeChat Pay's. Source: design/payments.md 1.1 and 1.5. Used by the other `wechat*.py`.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from server.sandbox.fault_facts import LARGEST_AMOUNT_FEN
from server.sandbox.moments import BEIJING
from server.sandbox.records import Payment, Refund

CHANNEL = "wechat"
_TRADE_TYPES = {"qr": "NATIVE", "h5": "MWEB", "jsapi": "JSAPI"}
_STATE_WORDS = {
    "NOTPAY": "订单未支付",
    "SUCCESS": "支付成功",
    "REFUND": "订单发生过退款，退款详情请查询退款单",
    "CLOSED": "订单已关闭",
}
REFUND_STATES = {"processing": "PROCESSING", "succeeded": "SUCCESS", "abnormal": "ABNORMAL", "closed": "CLOSED"}
_REFUND_WORDS = {"SUCCESS": "退款成功", "ABNORMAL": "退款异常", "CLOSED": "退款关闭"}
_RECEIVED_BY = "支付用户零钱"

NO_END = datetime.max.replace(tzinfo=BEIJING)
"""What an order has that names no end."""

Content = dict[str, object]


class Refused(Exception):
    """What WeChat Pay says no with: `{"code", "message"}`, and `detail` where a field is wrong."""

    def __init__(self, status: int, code: str, message: str, detail: Mapping[str, object] | None = None) -> None:
        """Keep what the merchant is told."""
        super().__init__(code)
        self.status = status
        self.content: Content = {"code": code, "message": message} | ({"detail": dict(detail)} if detail else {})


def encode(content: Mapping[str, object]) -> bytes:
    """Write JSON as WeChat Pay does: UTF-8, no spaces, and a slash escaped."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/").encode()


def beijing_rfc3339(moment_ms: int) -> str:
    """Write a moment as `2018-06-08T10:34:56+08:00`."""
    return datetime.fromtimestamp(moment_ms // 1000, BEIJING).isoformat(timespec="seconds")


# --- requests ---


def _notify_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an absolute URL without a query is wanted")
    return value


def _one_line(value: str) -> str:
    if not value.strip() or re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("one line of text is wanted")
    return value


def _ip(value: str) -> str:
    ipaddress.ip_address(value)
    return value


NotifyUrl = Annotated[str, Field(max_length=255), AfterValidator(_notify_url)]
_Fen = Annotated[int, Field(ge=1, le=LARGEST_AMOUNT_FEN)]


class _Asked(BaseModel):
    # Optional fields may be left out but never null: that is refused here as there.
    model_config = ConfigDict(strict=True, extra="ignore")


class _OrderAmount(_Asked):
    total: _Fen
    currency: Literal["CNY"] = "CNY"


class _SettleInfo(_Asked):
    profit_sharing: bool = False


class Order(_Asked):
    """What every product is ordered with."""

    appid: Annotated[str, Field(min_length=1, max_length=32)]
    mchid: Annotated[str, Field(min_length=1, max_length=32)]
    description: Annotated[str, Field(min_length=1, max_length=127), AfterValidator(_one_line)]
    out_trade_no: Annotated[str, Field(pattern=r"^[0-9A-Za-z_\-|*]{6,32}$")]
    notify_url: NotifyUrl
    amount: _OrderAmount
    time_expire: AwareDatetime = NO_END
    attach: Annotated[str, Field(min_length=1, max_length=128)] = ""
    settle_info: _SettleInfo = _SettleInfo()


class _H5Info(_Asked):
    type: Annotated[str, Field(min_length=1, max_length=32)]


class _Scene(_Asked):
    payer_client_ip: Annotated[str, Field(max_length=45), AfterValidator(_ip)]
    h5_info: _H5Info


class H5Order(Order):
    """An order in a phone's browser."""

    scene_info: _Scene


class _Payer(_Asked):
    openid: Annotated[str, Field(min_length=1, max_length=128)]


class JsapiOrder(Order):
    """An order inside WeChat."""

    payer: _Payer


class Close(_Asked):
    """`POST .../close`."""

    mchid: str


class _RefundAmount(_Asked):
    refund: _Fen
    total: _Fen
    currency: Literal["CNY"]


class CreateRefund(_Asked):
    """`POST /v3/refund/domestic/refunds`; one of the two numbers of the payment is needed."""

    transaction_id: Annotated[str, Field(min_length=1, max_length=32)] = ""
    out_trade_no: Annotated[str, Field(min_length=1, max_length=32)] = ""
    out_refund_no: Annotated[str, Field(pattern=r"^[0-9A-Za-z_\-|*@]{1,64}$")]
    reason: Annotated[str, Field(min_length=1, max_length=80)] = ""
    notify_url: Annotated[NotifyUrl, Field(min_length=1)] = ""
    amount: _RefundAmount


class RetryRefund(_Asked):
    """`POST .../apply-abnormal-refund`; the payer's account is encrypted with our key."""

    out_refund_no: str
    type: Literal["USER_BANK_CARD", "MERCHANT_BANK_CARD"]
    bank_type: str = ""
    bank_account: str = ""
    real_name: str = ""


# --- answers and notifications ---


def trade_state(payment: Payment, *, refunded: bool, at_ms: int) -> str:
    """Return the state; an order that nobody paid in time stays NOTPAY until the merchant closes it."""
    state = "pending" if payment.state == "open" else payment.state_at(at_ms)
    if state == "paid":
        return "REFUND" if refunded else "SUCCESS"
    return "CLOSED" if state == "closed" else "NOTPAY"


def transaction(payment: Payment, *, state: str, attach: str) -> Content:
    """Return a payment as answers and notifications show it."""
    content: Content = {
        "appid": payment.app_id,
        "mchid": payment.merchant_id,
        "out_trade_no": payment.out_trade_no,
        "trade_state": state,
        "trade_state_desc": _STATE_WORDS[state],
        "promotion_detail": [],
    }
    if attach:
        content["attach"] = attach
    if state not in ("SUCCESS", "REFUND"):
        return content | {"amount": {"total": payment.amount_fen, "currency": payment.currency}}
    assert payment.paid_at_ms is not None
    assert payment.paid_fen is not None
    assert payment.payer_fen is not None
    if coupon_fen := payment.paid_fen - payment.payer_fen:
        content["promotion_detail"] = [
            {
                "coupon_id": "109519",
                "name": "沙箱优惠券",
                "scope": "GLOBAL",
                "type": "CASH",
                "amount": coupon_fen,
                "wechatpay_contribute": coupon_fen,
                "merchant_contribute": 0,
                "currency": payment.currency,
            }
        ]
    return content | {
        "transaction_id": payment.trade_no,
        "trade_type": _TRADE_TYPES[payment.product],
        "bank_type": "OTHERS",
        "success_time": beijing_rfc3339(payment.paid_at_ms),
        "payer": {"openid": payment.payer},
        "amount": {
            "total": payment.paid_fen,
            "payer_total": payment.payer_fen,
            "currency": payment.currency,
            "payer_currency": payment.currency,
        },
    }


def refund_answer(payment: Payment, refund: Refund, *, status: str) -> Content:
    """Return a refund as answers show it; they name neither merchant nor app."""
    amount = _refunded(payment, refund)
    content: Content = {
        "refund_id": refund.refund_no,
        "out_refund_no": refund.out_refund_no,
        "transaction_id": payment.trade_no,
        "out_trade_no": payment.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": _RECEIVED_BY,
        "create_time": beijing_rfc3339(refund.created_at_ms),
        "status": status,
        "funds_account": "AVAILABLE",
        "amount": amount
        | {
            "from": [],
            "settlement_refund": amount["refund"],
            "settlement_total": amount["total"],
            "discount_refund": amount["refund"] - amount["payer_refund"],
            "currency": payment.currency,
            "refund_fee": 0,
        },
        "promotion_detail": [],
    }
    if status == "SUCCESS":
        content["success_time"] = beijing_rfc3339(refund.final_at_ms)
    return content


def refund_told(claimed: Payment, refund: Refund) -> Content:
    """Return a refund as its notification shows it."""
    status = REFUND_STATES[refund.outcome]
    content: Content = {
        "mchid": claimed.merchant_id,
        "out_trade_no": claimed.out_trade_no,
        "transaction_id": claimed.trade_no,
        "out_refund_no": refund.out_refund_no,
        "refund_id": refund.refund_no,
        "refund_status": status,
        "user_received_account": _RECEIVED_BY,
        "amount": _refunded(claimed, refund),
    }
    if status == "SUCCESS":
        content["success_time"] = beijing_rfc3339(refund.final_at_ms)
    return content


def notice(event_id: str, event_type: str, resource: Mapping[str, str], *, at_ms: int) -> bytes:
    """Return the envelope of a notification around its sealed part."""
    kind, _, outcome = event_type.partition(".")
    summary = _STATE_WORDS["SUCCESS"] if kind == "TRANSACTION" else _REFUND_WORDS[outcome]
    return encode(
        {
            "id": event_id,
            "create_time": beijing_rfc3339(at_ms),
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": summary,
            "resource": {"original_type": kind.lower(), **resource},
        }
    )


def _refunded(payment: Payment, refund: Refund) -> dict[str, int]:
    """The payer gets back the same share of what they gave as the merchant asked of the total."""
    total, payer_total = payment.paid_fen or 0, payment.payer_fen or 0
    payer_refund = refund.amount_fen * payer_total // total if total else 0
    return {
        "total": total,
        "refund": refund.amount_fen,
        "payer_total": payer_total,
        "payer_refund": payer_refund,
    }
