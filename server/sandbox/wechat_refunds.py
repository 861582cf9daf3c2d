"""WeChat Pay's refunds: taken on, followed, and sent another way when the payer's card did not take them.

What is refused: more than was paid, another total, a second request about the same payment within a minute, the
fifty-first part, a payment older than a year, a balance that does not cover it. Source: design/payments.md 1.1.
"""

from starlette.routing import Route

from server.sandbox.engine import Engine
from server.sandbox.moments import now_ms
from server.sandbox.records import AmountExceeded, BalanceTooLow, NotPaid, NumberUsed, Payment, Refund
from server.sandbox.wechat_calls import Asked, WechatCalls, parsed, wrong_field
from server.sandbox.wechat_keys import PlatformKeys
from server.sandbox.wechat_wire import (
    CHANNEL,
    REFUND_STATES,
    Content,
    CreateRefund,
    Refused,
    RetryRefund,
    refund_answer,
)

MOST_PARTS = 50
GAP_SECONDS = 60.0
"""How long one payment's refunds must be apart."""
_YEAR_MS = 365 * 86_400_000
_OTHER_CONTENT = "订单金额或退款金额与之前请求不一致，请核实后再试"


class Refunds:
    """The endpoints about refunds."""

    def __init__(self, engine: Engine, calls: WechatCalls, keys: PlatformKeys, *, gap_seconds: float) -> None:
        """`gap_seconds` instead of a minute lets tests refund in parts."""
        self._engine = engine
        self._store = engine.store
        self._calls = calls
        self._keys = keys
        self._gap_ms = int(gap_seconds * 1000)

    def routes(self, root: str) -> list[Route]:
        """The addresses below `root`."""
        base = f"{root}/v3/refund/domestic/refunds"
        retry = self._calls.served("refund", self._retry)
        return [
            Route(base, self._calls.served("refund", self._create), methods=["POST"]),
            Route(f"{base}/{{out_refund_no}}", self._calls.served("query_refund", self._query), methods=["GET"]),
            Route(f"{base}/{{refund_id}}/apply-abnormal-refund", retry, methods=["POST"]),
        ]

    def _create(self, asked: Asked) -> Content:
        wanted = parsed(CreateRefund, asked.body)
        payment = self._payment(asked, wanted)
        known = self._find(asked, wanted.out_refund_no)
        if known is None:
            self._require_allowed(payment, wanted)
        try:
            refund = self._engine.refund(
                payment,
                out_refund_no=wanted.out_refund_no,
                amount_fen=wanted.amount.refund,
                reason=wanted.reason,
                notify_url=wanted.notify_url,
            )
        except NumberUsed as error:
            raise Refused(400, "INVALID_REQUEST", _OTHER_CONTENT) from error
        except NotPaid as error:
            raise Refused(400, "INVALID_REQUEST", "订单未支付，不能退款") from error
        except AmountExceeded as error:
            raise Refused(400, "INVALID_REQUEST", "申请退款金额大于订单可退金额") from error
        except BalanceTooLow as error:
            raise Refused(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起") from error
        # The first answer says that it was taken on, however fast it will be.
        return refund_answer(payment, refund, status=_status(refund) if known else "PROCESSING")

    def _payment(self, asked: Asked, wanted: CreateRefund) -> Payment:
        owner = {"channel": CHANNEL, "merchant_id": asked.merchant.mchid}
        if bool(wanted.transaction_id) == bool(wanted.out_trade_no):
            raise wrong_field("/transaction_id", "与 out_trade_no 二选一", location="body")
        if wanted.transaction_id:
            payment = self._store.payment_by_trade_no(**owner, trade_no=wanted.transaction_id)
        else:
            payment = self._store.find_payment(**owner, out_trade_no=wanted.out_trade_no)
        if payment is None:
            raise Refused(404, "RESOURCE_NOT_EXISTS", "订单不存在")
        return payment

    def _require_allowed(self, payment: Payment, wanted: CreateRefund) -> None:
        now, parts = now_ms(), self._store.refunds_of(payment)
        if payment.state_at(now) == "paid":
            if wanted.amount.total != payment.paid_fen:
                raise Refused(400, "INVALID_REQUEST", _OTHER_CONTENT)
            if payment.paid_at_ms is not None and now - payment.paid_at_ms > _YEAR_MS:
                raise Refused(400, "INVALID_REQUEST", "订单已超过一年，不能退款")
        if len(parts) >= MOST_PARTS:
            raise Refused(400, "INVALID_REQUEST", "一笔订单最多退款 50 次")
        if parts and now - parts[-1].created_at_ms < self._gap_ms:
            raise Refused(429, "FREQUENCY_LIMITED", "同一笔订单的退款频率过高，请 1 分钟后再试")

    def _query(self, asked: Asked) -> Content:
        refund = self._find(asked, asked.path("out_refund_no"))
        if refund is None:
            raise Refused(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        return self._shown(refund)

    def _retry(self, asked: Asked) -> Content:
        wanted = parsed(RetryRefund, asked.body)
        refund = self._store.refund_by_refund_no(
            channel=CHANNEL, merchant_id=asked.merchant.mchid, refund_no=asked.path("refund_id")
        )
        if refund is None or refund.out_refund_no != wanted.out_refund_no:
            raise Refused(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        if refund.state_at(now_ms()) != "abnormal":
            raise Refused(400, "INVALID_REQUEST", "退款单不是异常状态")
        if wanted.type == "USER_BANK_CARD":
            key = self._keys.named(asked.request.headers.get("wechatpay-serial", ""))
            for name, sealed in (("bank_account", wanted.bank_account), ("real_name", wanted.real_name)):
                if key is None or not self._keys.decrypt(key, sealed):
                    raise wrong_field(f"/{name}", "须用 Wechatpay-Serial 所指的公钥加密", location="body")
        return self._shown(self._engine.retry_refund(refund))

    def _shown(self, refund: Refund) -> Content:
        return refund_answer(self._store.payment(refund.payment_id), refund, status=_status(refund))

    def _find(self, asked: Asked, out_refund_no: str) -> Refund | None:
        return self._store.find_refund(channel=CHANNEL, merchant_id=asked.merchant.mchid, out_refund_no=out_refund_no)


def _status(refund: Refund) -> str:
    return REFUND_STATES[refund.state_at(now_ms())]
