"""WeChat Pay's payments: ordered as a code, a page or inside WeChat; asked about; closed.

An order that is repeated with the same content is answered again and its code lives anew; with other content it is
refused. Source: design/payments.md 1.1. Used by `wechat.py`.
"""

import json
from typing import cast

from starlette.routing import Route

from server.sandbox.engine import Engine
from server.sandbox.moments import BEIJING, now_ms
from server.sandbox.records import AlreadyPaid, NewPayment, NumberUsed, Payment
from server.sandbox.store import extra_of
from server.sandbox.wechat_calls import Asked, WechatCalls, parsed, wrong_field
from server.sandbox.wechat_keys import WechatMerchant
from server.sandbox.wechat_wire import (
    CHANNEL,
    NO_END,
    Close,
    Content,
    H5Order,
    JsapiOrder,
    Order,
    Refused,
    trade_state,
    transaction,
)

_TRANSACTIONS = "/v3/pay/transactions"
_SHORTEST_LIFE_MS = 60_000
_LONGEST_LIFE_MS = 7 * 86_400_000
PREPAY_PREFIX = "wx"


class Orders:
    """The endpoints about payments."""

    def __init__(self, engine: Engine, calls: WechatCalls, *, address: str) -> None:
        """`address` is where the sandbox's WeChat Pay is reached, for the pages it sends buyers to."""
        self._engine = engine
        self._store = engine.store
        self._calls = calls
        self._address = address

    def routes(self, root: str) -> list[Route]:
        """The addresses below `root`."""
        base = root + _TRANSACTIONS
        served = self._calls.served
        return [
            Route(f"{base}/native", served("create", self._native), methods=["POST"]),
            Route(f"{base}/h5", served("create", self._h5), methods=["POST"]),
            Route(f"{base}/jsapi", served("create", self._jsapi), methods=["POST"]),
            Route(f"{base}/out-trade-no/{{out_trade_no}}", served("query", self._by_our_number), methods=["GET"]),
            Route(f"{base}/id/{{transaction_id}}", served("query", self._by_their_number), methods=["GET"]),
            Route(f"{base}/out-trade-no/{{out_trade_no}}/close", served("close", self._close), methods=["POST"]),
        ]

    def _native(self, asked: Asked) -> Content:
        payment = self._opened(asked, "qr", parsed(Order, asked.body))
        return {"code_url": f"weixin://wxpay/bizpayurl?pr={payment.token}"}

    def _h5(self, asked: Asked) -> Content:
        payment = self._opened(asked, "h5", parsed(H5Order, asked.body))
        return {"h5_url": f"{self._address}/h5?prepay_id={prepay_id(payment)}&package={payment.id}"}

    def _jsapi(self, asked: Asked) -> Content:
        return {"prepay_id": prepay_id(self._opened(asked, "jsapi", parsed(JsapiOrder, asked.body)))}

    def _opened(self, asked: Asked, product: str, wanted: Order) -> Payment:
        """Open the payment, or recognise its repeated order. Raises Refused."""
        merchant = asked.merchant
        _require_own(merchant, wanted.mchid)
        if wanted.appid not in merchant.app_ids:
            raise Refused(400, "APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配，请检查后再试")
        extra = json.dumps(
            {"product": product, "asked": wanted.model_dump(mode="json"), "attach": wanted.attach}, sort_keys=True
        )
        known = self._find(merchant, wanted.out_trade_no)
        if known is None:
            return self._engine.open(_new_payment(wanted, product, extra))
        if known.state_at(now_ms()) in ("paid", "processing"):
            raise Refused(400, "ORDERPAID", "该订单已支付")
        if known.state == "closed":
            raise Refused(400, "ORDER_CLOSED", "该订单已关闭，请换单号重新下单")
        if known.extra != extra:
            raise Refused(400, "INVALID_REQUEST", "请求重入时，参数与首次请求时不一致")
        try:
            return self._engine.open(known.asked())
        except NumberUsed as error:
            raise AssertionError("a payment is asked for as it is known") from error

    def _by_our_number(self, asked: Asked) -> Content:
        _require_own(asked.merchant, asked.query("mchid"), location="query")
        return self._shown(self._find(asked.merchant, asked.path("out_trade_no")))

    def _by_their_number(self, asked: Asked) -> Content:
        _require_own(asked.merchant, asked.query("mchid"), location="query")
        payment = self._store.payment_by_trade_no(
            channel=CHANNEL, merchant_id=asked.merchant.mchid, trade_no=asked.path("transaction_id")
        )
        return self._shown(payment)

    def _shown(self, payment: Payment | None) -> Content:
        if payment is None:
            raise Refused(404, "ORDER_NOT_EXIST", "订单不存在")
        state = trade_state(payment, refunded=self._store.refunded_fen(payment) > 0, at_ms=now_ms())
        return transaction(payment, state=state, attach=str(extra_of(payment)["attach"]))

    def _close(self, asked: Asked) -> None:
        """WeChat Pay says yes for any number that is not paid, also for one it does not know."""
        _require_own(asked.merchant, parsed(Close, asked.body).mchid)
        payment = self._find(asked.merchant, asked.path("out_trade_no"))
        if payment is None:
            return
        try:
            self._engine.close(payment)
        except AlreadyPaid as error:
            raise Refused(400, "ORDERPAID", "该订单已支付") from error

    def _find(self, merchant: WechatMerchant, out_trade_no: str) -> Payment | None:
        return self._store.find_payment(channel=CHANNEL, merchant_id=merchant.mchid, out_trade_no=out_trade_no)


def prepay_id(payment: Payment) -> str:
    """Return the number that opens the cashier."""
    return PREPAY_PREFIX + payment.token


def payer_named(payment: Payment) -> str:
    """Return the openid that a payment inside WeChat was ordered for."""
    asked = cast("dict[str, dict[str, str]]", extra_of(payment)["asked"])
    return asked["payer"]["openid"]


def _new_payment(wanted: Order, product: str, extra: str) -> NewPayment:
    now = now_ms()
    expires_at_ms = now + _LONGEST_LIFE_MS
    if wanted.time_expire < NO_END:
        expires_at_ms = int(wanted.time_expire.astimezone(BEIJING).timestamp()) * 1000
    return NewPayment(
        channel=CHANNEL,
        merchant_id=wanted.mchid,
        out_trade_no=wanted.out_trade_no,
        amount_fen=wanted.amount.total,
        currency=wanted.amount.currency,
        subject=wanted.description,
        notify_url=wanted.notify_url,
        return_url="",
        expires_at_ms=max(expires_at_ms, now + _SHORTEST_LIFE_MS),
        app_id=wanted.appid,
        product=product,
        extra=extra,
    )


def _require_own(merchant: WechatMerchant, mchid: str, *, location: str = "body") -> None:
    if mchid != merchant.mchid:
        raise wrong_field("mchid", "与签名的商户号不一致", location=location)
