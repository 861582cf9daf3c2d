"""What Epay's calls do: orders opened, asked about and refunded, in the words of the site whose source they follow.

A number is opened again with the same content and refused with another. Any refund, also of a part, makes an order's
status 2. The first version's refund has no number of the merchant's: each call gives money back anew. Over the
`Engine`; the requests reach this file verified, from `epay.py`.
"""

import html
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

from server.sandbox.bills import yuan
from server.sandbox.engine import Engine
from server.sandbox.epay_protocol import Merchant
from server.sandbox.fault_facts import LARGEST_AMOUNT_FEN
from server.sandbox.moments import beijing, now_ms
from server.sandbox.records import (
    AmountExceeded,
    BalanceTooLow,
    NewPayment,
    NotPaid,
    NumberUsed,
    Payment,
    Refund,
)
from server.sandbox.store import extra_of

CHANNEL = "epay"
Fields = Mapping[str, str]
_ORDER_LIFE_MS = 86_400_000  # what nobody paid within a day the site forgets
_NUMBER = re.compile(r"[a-zA-Z0-9._\-|]{1,64}")
_MONEY = re.compile(r"(\d{1,9})(?:\.(\d{1,2}))?", re.ASCII)
_LONGEST_NAME_BYTES = 127
_SHORTEST_REFUND_NUMBER = 6


class Refused(Exception):
    """The site says no: a code below zero and a sentence, signed by nobody."""

    def __init__(self, message: str, code: int = -1) -> None:
        """Keep what the merchant is told."""
        super().__init__(message)
        self.content: dict[str, Any] = {"code": code, "msg": message}


class Orders:
    """The calls, over one engine."""

    def __init__(self, engine: Engine) -> None:
        """Open and find orders in `engine`."""
        self._engine = engine
        self._store = engine.store

    def open(self, merchant: Merchant, asked: Fields, *, is_second: bool) -> Payment:
        """Open an order, or find the one of the number. Raises Refused when it was something else, or is paid."""
        for name, called in (("out_trade_no", "订单号"), ("notify_url", "通知地址"), ("name", "商品名称")):
            if not asked.get(name):
                raise Refused(f"{called}({name})不能为空")
        number = asked["out_trade_no"]
        if not _NUMBER.fullmatch(number):
            raise Refused("订单号(out_trade_no)格式不正确")
        known, now = self._find_by_number(merchant, number), now_ms()
        if known is not None and known.state_at(now) == "paid":
            raise Refused(f"该订单({number})已完成支付，请勿重复发起支付")
        kept = {} if known is None else extra_of(known)
        wanted = NewPayment(
            channel=CHANNEL,
            merchant_id=merchant.pid,
            out_trade_no=number,
            amount_fen=money_fen(asked.get("money", "")),
            currency="CNY",
            subject=_cut(html.escape(asked["name"])),
            notify_url=asked["notify_url"],
            return_url=asked.get("return_url", ""),
            expires_at_ms=now + _ORDER_LIFE_MS if known is None else known.expires_at_ms,
            extra=json.dumps(
                {
                    "version": 2 if is_second else 1,
                    "type": kept.get("type") or asked.get("type") or "alipay",
                    "param": asked.get("param", ""),
                }
            ),
        )
        try:
            return self._engine.open(wanted)
        except NumberUsed:
            raise Refused(f"该订单({number})支付参数有变化，请更换订单号重新发起支付") from None

    def find(self, merchant: Merchant, asked: Fields) -> Payment:
        """Return the order a call is about, by the site's number or the merchant's. Raises Refused."""
        trade_no, number = asked.get("trade_no"), asked.get("out_trade_no")
        if not trade_no and not number:
            raise Refused("订单号不能为空", -4)
        found = None
        if trade_no:
            found = self._store.payment_by_trade_no(channel=CHANNEL, merchant_id=merchant.pid, trade_no=trade_no)
        if found is None and number:
            found = self._find_by_number(merchant, number)
        if found is None:
            raise Refused("订单号不存在")
        return found

    def _find_by_number(self, merchant: Merchant, number: str) -> Payment | None:
        return self._store.find_payment(channel=CHANNEL, merchant_id=merchant.pid, out_trade_no=number)

    def facts(self, payment: Payment) -> dict[str, Any]:
        """Return an order as queries of both versions tell it. `money` is what was asked, whatever was charged."""
        extra, state = extra_of(payment), payment.state_at(now_ms())
        paid = state == "paid" and payment.paid_at_ms is not None and payment.trade_no is not None
        refunded_fen = self._refunded_fen(payment)
        return {
            "trade_no": trade_no_of(payment),
            "out_trade_no": payment.out_trade_no,
            "api_trade_no": api_trade_no_of(payment) if paid else None,
            "bill_trade_no": None,
            "type": extra["type"],
            "pid": int(payment.merchant_id),
            "addtime": beijing(payment.created_at_ms),
            "endtime": beijing(payment.paid_at_ms) if paid and payment.paid_at_ms is not None else None,
            "name": payment.subject,
            "money": yuan(payment.amount_fen),
            "param": extra["param"] or None,
            "buyer": payment.payer if paid else None,
            "status": 2 if refunded_fen else 1 if paid else 0,
            "refundmoney": yuan(refunded_fen) if refunded_fen else None,
        }

    def refund(self, merchant: Merchant, asked: Fields) -> dict[str, Any]:
        """Give money back. Raises Refused; a number that was refunded before is told again, whatever is asked."""
        payment, amount_fen = self.find(merchant, asked), money_fen(asked.get("money", ""))
        given = asked.get("out_refund_no", "")
        number = given if len(given) >= _SHORTEST_REFUND_NUMBER else refund_no_at(now_ms())
        known = self._store.find_refund(channel=CHANNEL, merchant_id=merchant.pid, out_refund_no=number)
        state = known.state_at(now_ms()) if known is not None else None
        if known is not None and state == "succeeded":
            return _refunded(known) | {"msg": f"已存在相同退款单号！退款金额¥{yuan(known.amount_fen)}"}
        try:
            if known is not None and state != "processing":
                refund = self._engine.retry_refund(known)  # it failed: the same number is tried again
            else:
                refund = self._engine.refund(payment, out_refund_no=number, amount_fen=amount_fen, reason="")
        except (NotPaid, NumberUsed):
            raise Refused("该订单状态不支持退款！") from None
        except AmountExceeded:
            raise Refused("退款金额不能超过该订单剩余可退款金额！") from None
        except BalanceTooLow:
            raise Refused("商户余额不足，请先充值") from None
        if refund.state_at(now_ms()) != "succeeded":
            raise Refused("退款失败：上游未受理")
        return _refunded(refund) | {"msg": f"退款成功！退款金额¥{yuan(refund.amount_fen)}"}

    def find_refund(self, merchant: Merchant, asked: Fields) -> dict[str, Any]:
        """Tell of a refund. Raises Refused."""
        refund_no, number = asked.get("refund_no"), asked.get("out_refund_no")
        owner = {"channel": CHANNEL, "merchant_id": merchant.pid}
        if refund_no:
            refund = self._store.refund_by_refund_no(**owner, refund_no=refund_no)
        elif number:
            refund = self._store.find_refund(**owner, out_refund_no=number)
        else:
            raise Refused("商户退款单号不能为空")
        if refund is None:
            raise Refused("退款记录不存在")
        done = refund.state_at(now_ms()) == "succeeded"
        times = {"addtime": beijing(refund.created_at_ms), "endtime": beijing(refund.final_at_ms) if done else None}
        return _refunded(refund) | {"status": 1 if done else 0, **times}

    def _refunded_fen(self, payment: Payment) -> int:
        now = now_ms()
        refunds = self._store.refunds_of(payment)
        return sum(refund.amount_fen for refund in refunds if refund.state_at(now) == "succeeded")


def money_fen(text: str) -> int:
    """Return an amount of yuan in fen. Raises Refused."""
    matched = _MONEY.fullmatch(text.strip())
    amount_fen = int(matched.group(1)) * 100 + int((matched.group(2) or "").ljust(2, "0")) if matched else 0
    if not 0 < amount_fen <= LARGEST_AMOUNT_FEN:
        raise Refused("金额不合法")
    return amount_fen


def as_float(amount_fen: int) -> str:
    """Write an amount as a notification does, which has it as a float: `12.5`, `1`."""
    return yuan(amount_fen).rstrip("0").rstrip(".")


def trade_no_of(payment: Payment) -> str:
    """Return the site's number of an order, which it has before it is paid: its moment and five digits."""
    return payment.trade_no or f"{_moment(payment.created_at_ms)}{payment.id % 10**5:05d}"


def api_trade_no_of(payment: Payment) -> str:
    """Return the number that the channel behind the site gave it."""
    return f"4200{trade_no_of(payment)}00001"


def refund_no_at(moment_ms: int) -> str:
    """Return a new number of the site for a refund."""
    return f"{_moment(moment_ms)}{secrets.randbelow(10**9):09d}"


def _moment(moment_ms: int) -> str:
    return beijing(moment_ms).translate({ord(sign): None for sign in "-: "})


def _refunded(refund: Refund) -> dict[str, Any]:
    return {
        "refund_no": refund.refund_no,
        "out_refund_no": refund.out_refund_no,
        "out_trade_no": refund.out_trade_no,
        "uid": int(refund.merchant_id),
        "money": yuan(refund.amount_fen),
        "reducemoney": yuan(refund.amount_fen),
    }


def _cut(text: str) -> str:
    return text.encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore")
