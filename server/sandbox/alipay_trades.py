"""What Alipay's methods do: trades opened, asked about, closed, cancelled and refunded, in Alipay's words.

A trade of a code does not exist until somebody scans it: until then a query says ACQ.TRADE_NOT_EXIST. A refund is done
when its answer says `fund_change` Y; a repeat of its number moves nothing and says N. Over the `Engine`; the requests
reach this file verified, from `alipay.py`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.sandbox.alipay_apps import App
from server.sandbox.alipay_protocol import DONE, Parameters, Refused, business, read_moment
from server.sandbox.bills import yuan
from server.sandbox.engine import Engine
from server.sandbox.fault_facts import LARGEST_AMOUNT_FEN
from server.sandbox.moments import beijing, now_ms
from server.sandbox.records import (
    AlreadyPaid,
    AmountExceeded,
    BalanceTooLow,
    NewPayment,
    NotPaid,
    NumberUsed,
    Payment,
    Refund,
)

CHANNEL = "alipay"
CODE_LIFE_MS = 2 * 3_600_000
_TRADE_LIFE_MS = 15 * 86_400_000
_REFUNDABLE_MS = 90 * 86_400_000
_NUMBER = re.compile(r"[0-9A-Za-z_-]{1,64}")
_AMOUNT = re.compile(r"(\d{1,9})(?:\.(\d{1,2}))?", re.ASCII)
_LENGTH = re.compile(r"(\d{1,4})(m|h|d)", re.ASCII)
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NOT_IN_A_SUBJECT = re.compile(r"[/=&]")

PRODUCTS = {"alipay.trade.precreate": "qr", "alipay.trade.wap.pay": "h5", "alipay.trade.page.pay": "page"}
_PRODUCT_CODES = {"h5": {"QUICK_WAP_WAY", "QUICK_WAP_PAY"}, "page": {"FAST_INSTANT_TRADE_PAY"}}


@dataclass(frozen=True, slots=True)
class Business:
    """The `biz_content` of a request. Numbers in it stay the text they were."""

    values: Mapping[str, Any]

    def text(self, name: str, *, longest: int = 256) -> str:
        """Return a field; blank when it is missing. Raises Refused when it is no text, or too long."""
        value = self.values.get(name, "")
        if not isinstance(value, str) or len(value) > longest:
            raise wrong(name)
        return value

    def is_royalty_frozen(self) -> bool:
        """Return whether the trade's money is to be kept back until it is split. Raises Refused."""
        extended = self.values.get("extend_params", {})
        said = extended.get("royalty_freeze", "false") if isinstance(extended, dict) else None
        if said not in ("true", "false"):
            raise wrong("extend_params")
        return bool(said == "true")

    def amount_fen(self, name: str) -> int:
        """Return an amount of yuan in fen. Raises Refused."""
        matched = _AMOUNT.fullmatch(self.text(name))
        amount_fen = int(matched.group(1)) * 100 + int((matched.group(2) or "").ljust(2, "0")) if matched else 0
        if not 0 < amount_fen <= LARGEST_AMOUNT_FEN:
            raise wrong(name)
        return amount_fen

    def number(self, name: str) -> str:
        """Return a merchant's number. Raises Refused."""
        if not _NUMBER.fullmatch(self.text(name)):
            raise wrong(name)
        return self.text(name)


def wrong(name: str) -> Refused:
    """Return the refusal of a field."""
    return business("ACQ.INVALID_PARAMETER", f"参数无效：{name}")


def read_business(text: str) -> Business:
    """Return the content of a request. Raises Refused."""
    try:
        values = json.loads(text or "{}", parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        raise wrong("biz_content") from None
    if not isinstance(values, dict):
        raise wrong("biz_content")
    return Business(values)


class Trades:
    """The methods, by their names, over one engine."""

    def __init__(self, engine: Engine, *, code_url: Callable[[Payment], str]) -> None:
        """`code_url` makes the text of a code."""
        self._engine = engine
        self._code_url = code_url
        self.methods: dict[str, tuple[str, Callable[[App, Parameters, Business], dict[str, object]]]] = {
            "alipay.trade.precreate": ("create", self._precreate),
            "alipay.trade.query": ("query", self._query),
            "alipay.trade.close": ("close", self._close),
            "alipay.trade.cancel": ("close", self._cancel),
            "alipay.trade.refund": ("refund", self._refund),
            "alipay.trade.fastpay.refund.query": ("query_refund", self._query_refund),
        }

    # Opening

    def open(self, app: App, asked: Parameters, business_content: Business) -> Payment:
        """Open a trade, or find the one of the number. Raises Refused when it was something else, or is over."""
        biz, now = business_content, now_ms()
        product = PRODUCTS[asked.get("method")]
        number = biz.number("out_trade_no")
        known = self._engine.store.find_payment(channel=CHANNEL, merchant_id=app.seller_id, out_trade_no=number)
        if product in _PRODUCT_CODES and biz.text("product_code") not in _PRODUCT_CODES[product]:
            raise wrong("product_code")
        subject = biz.text("subject")
        if not subject or _NOT_IN_A_SUBJECT.search(subject):
            raise wrong("subject")
        wanted = NewPayment(
            channel=CHANNEL,
            merchant_id=app.seller_id,
            out_trade_no=number,
            amount_fen=biz.amount_fen("total_amount"),
            currency="CNY",
            subject=subject,
            notify_url=asked.get("notify_url"),
            return_url=asked.get("return_url"),
            expires_at_ms=_expiry(biz, now=now, known=known),
            app_id=app.app_id,
            product=product,
            extra=_extra(asked, biz),
        )
        if known is None and wanted.expires_at_ms <= now:
            raise wrong("time_expire")
        try:
            payment = self._engine.open(wanted)
        except NumberUsed:
            raise business("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改") from None
        state = payment.state_at(now)
        if state == "paid":
            raise business("ACQ.TRADE_HAS_SUCCESS", "交易已被支付")
        if state == "closed":
            raise business("ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
        return payment

    def _precreate(self, app: App, asked: Parameters, biz: Business) -> dict[str, object]:
        payment = self.open(app, asked, biz)
        return DONE | {"out_trade_no": payment.out_trade_no, "qr_code": self._code_url(payment)}

    # Asking and ending

    def _query(self, app: App, _asked: Parameters, biz: Business) -> dict[str, object]:
        payment = self._trade(app, biz)
        status = self.status(payment)
        told: dict[str, object] = {
            "buyer_pay_amount": yuan(payment.payer_fen or 0),
            "invoice_amount": yuan(payment.payer_fen or 0),
            "out_trade_no": payment.out_trade_no,
            "point_amount": "0.00",
            "receipt_amount": yuan(payment.paid_fen or 0),
            "total_amount": yuan(payment.paid_fen or payment.amount_fen),
            "trade_no": trade_no_of(payment),
            "trade_status": status,
        }
        if payment.paid_at_ms is not None and payment.payer is not None and status != "WAIT_BUYER_PAY":
            told["send_pay_date"] = beijing(payment.paid_at_ms)
            told["buyer_logon_id"] = logon_of(payment.payer)
            told["buyer_user_id"] = payment.payer
            told["fund_bill_list"] = [{"amount": yuan(payment.payer_fen or 0), "fund_channel": "ALIPAYACCOUNT"}]
        return DONE | told

    def _close(self, app: App, _asked: Parameters, biz: Business) -> dict[str, object]:
        payment = self._trade(app, biz)
        ended = business("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
        if self.status(payment) != "WAIT_BUYER_PAY":
            raise ended
        try:
            self._engine.close(payment)
        except AlreadyPaid:
            raise ended from None
        if self.status(self._engine.store.payment(payment.id)) != "TRADE_CLOSED":
            raise ended  # the buyer was quicker
        return DONE | {"out_trade_no": payment.out_trade_no, "trade_no": trade_no_of(payment)}

    def _cancel(self, app: App, _asked: Parameters, biz: Business) -> dict[str, object]:
        payment = self._find(app, biz)
        told: dict[str, object] = {"out_trade_no": biz.text("out_trade_no"), "retry_flag": "N"}
        if payment is None:
            return DONE | told
        told |= {"trade_no": trade_no_of(payment)}
        left_fen = (payment.paid_fen or 0) - self._engine.store.refunded_fen(payment)
        if self.status(payment) == "WAIT_BUYER_PAY":
            self._engine.close(payment)
            told["action"] = "close"
        elif self.status(payment) == "TRADE_SUCCESS" and left_fen > 0:
            number = f"cancel-{payment.out_trade_no}"
            self._engine.refund(payment, out_refund_no=number, amount_fen=left_fen, reason="撤销")
            told["action"] = "refund"
        return DONE | told

    # Refunds

    def _refund(self, app: App, _asked: Parameters, biz: Business) -> dict[str, object]:
        payment = self._trade(app, biz)
        if self.status(payment) == "TRADE_FINISHED":
            raise business("ACQ.TRADE_HAS_FINISHED", "交易已完结")
        number = biz.number("out_request_no") if biz.text("out_request_no") else payment.out_trade_no
        known = self._refund_of(payment, number)
        try:
            refund = self._engine.refund(
                payment,
                out_refund_no=number,
                amount_fen=biz.amount_fen("refund_amount"),
                reason=biz.text("refund_reason"),
            )
        except NumberUsed:
            raise business("ACQ.DISCORDANT_REPEAT_REQUEST", "请求信息不一致") from None
        except NotPaid:
            raise business("ACQ.TRADE_STATUS_ERROR", "交易状态不合法") from None
        except AmountExceeded:
            raise business("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限") from None
        except BalanceTooLow:
            raise business("ACQ.SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足") from None
        if known is not None and known.state_at(now_ms()) in {"abnormal", "closed"}:
            refund, known = self._engine.retry_refund(known), None  # it failed: the same number is tried again
        moved = known is None and refund.state_at(now_ms()) == "succeeded"
        assert payment.payer is not None
        return DONE | {
            "buyer_logon_id": logon_of(payment.payer),
            "buyer_user_id": payment.payer,
            "fund_change": "Y" if moved else "N",
            "gmt_refund_pay": beijing(refund.final_at_ms),
            "out_trade_no": payment.out_trade_no,
            "refund_fee": yuan(self.refunded_fen(payment)),
            "send_back_fee": yuan(refund.amount_fen if moved else 0),
            "trade_no": trade_no_of(payment),
        }

    def _query_refund(self, app: App, _asked: Parameters, biz: Business) -> dict[str, object]:
        payment = self._trade(app, biz)
        refund = self._refund_of(payment, biz.text("out_request_no"))
        if refund is None or refund.state_at(now_ms()) != "succeeded":
            return dict(DONE)
        told: dict[str, object] = {
            "out_request_no": refund.out_refund_no,
            "out_trade_no": payment.out_trade_no,
            "refund_amount": yuan(refund.amount_fen),
            "refund_status": "REFUND_SUCCESS",
            "total_amount": yuan(payment.paid_fen or 0),
            "trade_no": trade_no_of(payment),
        }
        options = biz.values.get("query_options", [])
        if isinstance(options, list) and "gmt_refund_pay" in options:
            told["gmt_refund_pay"] = beijing(refund.final_at_ms)
        return DONE | told

    # What is so

    def status(self, payment: Payment) -> str:
        """Return Alipay's word for where a trade stands."""
        now = now_ms()
        state = payment.state_at(now)
        if state == "closed":
            return "TRADE_CLOSED"
        if state != "paid" or payment.paid_at_ms is None:
            return "WAIT_BUYER_PAY"
        if self.refunded_fen(payment) >= (payment.paid_fen or 0):
            return "TRADE_CLOSED"
        return "TRADE_FINISHED" if payment.paid_at_ms + _REFUNDABLE_MS <= now else "TRADE_SUCCESS"

    def refunded_fen(self, payment: Payment, *, at_ms: int | None = None) -> int:
        """Return how much of a trade has gone back."""
        at_ms = now_ms() if at_ms is None else at_ms
        refunds = self._engine.store.refunds_of(payment)
        return sum(refund.amount_fen for refund in refunds if refund.state_at(at_ms) == "succeeded")

    def _trade(self, app: App, biz: Business) -> Payment:
        """Return the trade a request is about. Raises Refused when there is none, or nobody has scanned it yet."""
        payment = self._find(app, biz)
        if payment is None or not exists(payment):
            raise business("ACQ.TRADE_NOT_EXIST", "交易不存在")
        return payment

    def _find(self, app: App, biz: Business) -> Payment | None:
        number, trade_no = biz.text("out_trade_no"), biz.text("trade_no")
        if not number and not trade_no:
            raise wrong("out_trade_no")
        store = self._engine.store
        found = None
        if trade_no:
            found = store.payment_by_trade_no(channel=CHANNEL, merchant_id=app.seller_id, trade_no=trade_no)
        return found or store.find_payment(channel=CHANNEL, merchant_id=app.seller_id, out_trade_no=number)

    def _refund_of(self, payment: Payment, number: str) -> Refund | None:
        refunds = self._engine.store.refunds_of(payment)
        return next((refund for refund in refunds if refund.out_refund_no == number), None)


def exists(payment: Payment) -> bool:
    """Whether Alipay knows of the trade: a code's trade begins when it is scanned."""
    return payment.product != "qr" or payment.scanned_at_ms is not None


def trade_no_of(payment: Payment) -> str:
    """Return Alipay's number of a trade, which it has before it is paid: 28 digits that begin with its day."""
    if payment.trade_no is not None:
        return payment.trade_no
    day = beijing(payment.created_at_ms)[:10].replace("-", "")
    return f"{day}22001{payment.created_at_ms % 10**11:011d}{payment.id % 10**4:04d}"


def logon_of(payer: str) -> str:
    """Return a payer's account as Alipay shows it to others."""
    return f"138****{payer[-4:]}"


def _expiry(biz: Business, *, now: int, known: Payment | None) -> int:
    """Return when the trade ends unpaid; a length counts from when the number was first asked for."""
    if moment := biz.text("time_expire"):
        try:
            return read_moment(moment)
        except ValueError:
            raise wrong("time_expire") from None
    life_ms = _TRADE_LIFE_MS
    if length := biz.text("timeout_express"):
        matched = _LENGTH.fullmatch(length)
        if matched is None:
            raise wrong("timeout_express")
        life_ms = int(matched.group(1)) * _UNIT_MS[matched.group(2)]
    return known.expires_at_ms if known is not None else now + life_ms


def _extra(asked: Parameters, biz: Business) -> str:
    return json.dumps(
        {
            "charset": asked.charset,
            "body": biz.text("body", longest=400),
            "passback": biz.text("passback_params", longest=512),
            "royalty_freeze": biz.is_royalty_frozen(),
        }
    )
