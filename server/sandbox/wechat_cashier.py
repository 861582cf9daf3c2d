"""How buyers reach WeChat Pay's cashier without a code: from a phone's browser, or from a page inside WeChat.

`/wechat/h5` is what an `h5_url` leads to: good for five minutes, only from a page that names itself as the referrer,
not inside WeChat, and back only to a registered domain. `/wechat/jsapi` takes what a page inside WeChat would call the
cashier with, as a query, and checks its signature. Both lead to the payment page. Source: design/payments.md 1.1, 1.2.
"""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.sandbox.engine import Engine
from server.sandbox.keys import has_signed
from server.sandbox.merchants import Register
from server.sandbox.moments import now_ms
from server.sandbox.records import Payment
from server.sandbox.rendering import Rendering
from server.sandbox.wechat_keys import WechatMerchant
from server.sandbox.wechat_orders import PREPAY_PREFIX, payer_named
from server.sandbox.wechat_payer import openid_of, person_of
from server.sandbox.wechat_wire import CHANNEL

_H5_LIFE_MS = 300_000
_JSAPI_LIFE_MS = 7_200_000
_JSAPI_FIELDS = ("appId", "timeStamp", "nonceStr", "package")


class Cashier:
    """The two doors to a payment page."""

    def __init__(self, engine: Engine, merchants: Register[WechatMerchant], rendering: Rendering) -> None:
        """Open payments of `merchants`."""
        self._store = engine.store
        self._merchants = merchants
        self._rendering = rendering

    def routes(self, root: str) -> list[Route]:
        """The addresses below `root`."""
        return [
            Route(f"{root}/h5", self._h5, methods=["GET"]),
            Route(f"{root}/jsapi", self._jsapi, methods=["GET"]),
        ]

    async def _h5(self, request: Request) -> Response:
        payment = self._prepared(request.query_params.get("prepay_id", ""), "h5")
        if payment is None:
            return self._rendering.problem(request, 404, "not_found")
        merchant = self._merchants.find(payment.merchant_id)
        back = request.query_params.get("redirect_url", "")
        if now_ms() - payment.opened_at_ms > _H5_LIFE_MS:
            return self._rendering.problem(request, 410, "h5_expired")
        if not request.headers.get("referer"):
            return self._rendering.problem(request, 403, "h5_no_referrer")
        if "MicroMessenger" in request.headers.get("user-agent", ""):
            return self._rendering.problem(request, 403, "h5_inside_wechat")
        if back and not _may_lead_to(back, merchant):
            return self._rendering.problem(request, 403, "h5_other_domain")
        self._store.change_return_url(payment, back or request.headers["referer"])
        return self._rendering.go_to(f"/pay/{payment.token}")

    async def _jsapi(self, request: Request) -> Response:
        given = request.query_params
        _, _, prepay_id = given.get("package", "").partition("prepay_id=")
        payment = self._prepared(prepay_id, "jsapi")
        merchant = self._merchants.find(payment.merchant_id) if payment else None
        if payment is None or merchant is None:
            return self._rendering.problem(request, 404, "not_found")
        if now_ms() - payment.opened_at_ms > _JSAPI_LIFE_MS:
            return self._rendering.problem(request, 410, "jsapi_expired")
        message = "".join(f"{given.get(name, '')}\n" for name in _JSAPI_FIELDS).encode()
        is_signed = has_signed(merchant.key, message, given.get("paySign", ""))
        if given.get("signType") != "RSA" or given.get("appId") != payment.app_id or not is_signed:
            return self._rendering.problem(request, 403, "jsapi_unsigned")
        named = payer_named(payment)
        if named.startswith("oSB") and named != openid_of(payment.app_id, person_of(request)):
            return self._rendering.problem(request, 403, "jsapi_other_person")
        return self._rendering.go_to(f"/pay/{payment.token}")

    def _prepared(self, prepay_id: str, product: str) -> Payment | None:
        payment = self._store.payment_by_token(prepay_id.removeprefix(PREPAY_PREFIX))
        if payment is None or (payment.channel, payment.product) != (CHANNEL, product):
            return None
        return payment


def _may_lead_to(url: str, merchant: WechatMerchant | None) -> bool:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    allowed = merchant.h5_domains if merchant else []
    return not allowed or parts.hostname in allowed
