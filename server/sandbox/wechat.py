"""The dialect `wechat`: WeChat Pay APIv3 of a merchant, at `/wechat/v3/...` and, for SDKs with fixed paths, `/v3/...`.

Files: `wechat/` in the data folder has the keys to hand out (`public_key_public.pem`, whose id is in it, and
`certificate.pem`), `merchants/wechat/<mchid>.json` what the sandbox must know of a merchant (`wechat_keys.py`).
Source: design/payments.md section 1. What a call does is in `wechat_orders.py`, `wechat_refunds.py`, `wechat_bills.py`.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.sandbox.dialect import ListedMerchant, Message, Notice, Told
from server.sandbox.engine import Engine, about_payment
from server.sandbox.faults import About
from server.sandbox.merchants import Register
from server.sandbox.moments import beijing
from server.sandbox.records import Notification, Payment, Refund
from server.sandbox.rendering import Rendering
from server.sandbox.store import extra_of
from server.sandbox.wechat_bills import Bills
from server.sandbox.wechat_calls import ROOT, WechatCalls
from server.sandbox.wechat_cashier import Cashier
from server.sandbox.wechat_keys import KeyName, PlatformKeys, read_merchant, seal
from server.sandbox.wechat_orders import Orders, payer_named
from server.sandbox.wechat_payer import PayerPages, openid_of
from server.sandbox.wechat_refunds import GAP_SECONDS, Refunds
from server.sandbox.wechat_wire import CHANNEL, REFUND_STATES, Refused, encode, notice, refund_told, transaction

RETRY_AFTER_SECONDS = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
_OTHER_KIND: dict[str, KeyName] = {"public_key": "certificate", "certificate": "public_key"}


class WechatDialect:
    """See `dialect.Dialect`."""

    channel = CHANNEL
    label = ("微信支付", "WeChat Pay")
    prefix = f"{ROOT}/"
    retry_after_seconds: Sequence[float] = RETRY_AFTER_SECONDS
    answer_within_seconds = 5.0

    def __init__(
        self, engine: Engine, data_folder: Path, base_url: str, *, refund_gap_seconds: float = GAP_SECONDS
    ) -> None:
        """Load the keys, making them at the first start. Raises KeyFileUnusable or OSError."""
        self._engine = engine
        self._keys = PlatformKeys(data_folder / "wechat")
        self._register = Register(data_folder / "merchants" / "wechat", suffix=".json", read=read_merchant)
        self._calls = WechatCalls(engine, self._keys, self._register)
        self._address = address = base_url + ROOT
        self._parts = (
            Orders(engine, self._calls, address=address),
            Refunds(engine, self._calls, self._keys, gap_seconds=refund_gap_seconds),
            Bills(engine, self._calls, self._keys, address=address),
        )
        rendering = Rendering(base_url)
        self._cashier = Cashier(engine, self._register, rendering)
        self._payers = PayerPages(engine, self._register, rendering)

    def routes(self) -> list[Route]:
        """See `Dialect.routes`."""
        calls = [route for root in (ROOT, "") for part in self._parts for route in part.routes(root)]
        return [*calls, *self._cashier.routes(ROOT), *self._payers.routes(ROOT)]

    def lost(self, request: Request, status: int) -> Response:
        """See `Dialect.lost`."""
        about = {404: "接口不存在", 405: "请求方法有误"}.get(status, "请求有误")
        return self._calls.refuse(request, Refused(status, "INVALID_REQUEST", about), About(CHANNEL))

    def merchants(self) -> list[ListedMerchant]:
        """See `Dialect.merchants`."""
        return [ListedMerchant(merchant.mchid, merchant.name) for merchant in self._register.all()]

    def merchant_name(self, merchant_id: str) -> str:
        """See `Dialect.merchant_name`."""
        merchant = self._register.find(merchant_id)
        return merchant.name if merchant else merchant_id

    def return_url(self, payment: Payment) -> str:
        """See `Dialect.return_url`: only a page that was opened in a phone's browser leads back."""
        return payment.return_url

    def ready(self) -> dict[str, object]:
        """See `Dialect.ready`."""
        return {
            "wechat_url": self._address,
            "wechat_public_key_id": self._keys.serial("public_key"),
            "wechat_public_key": str(self._keys.public_file("public_key")),
            "wechat_certificate": str(self._keys.public_file("certificate")),
            "wechat_merchants": str(self._register.folder),
        }

    # Numbers

    def trade_no(self, payment: Payment, now_ms: int) -> str:
        """See `Dialect.trade_no`: 28 digits with the day in them."""
        return _number("4200", payment, now_ms)

    def refund_no(self, payment: Payment, now_ms: int) -> str:
        """See `Dialect.refund_no`."""
        return _number("5030", payment, now_ms)

    def payer(self, payment: Payment, person: str) -> str:
        """See `Dialect.payer`: inside WeChat nobody but who was named."""
        return payer_named(payment) if payment.product == "jsapi" else openid_of(payment.app_id, person)

    # Notifications

    def payment_notice(self, payment: Payment, told: Told) -> Notice | None:
        """See `Dialect.payment_notice`."""
        clear = transaction(told.claimed, state="SUCCESS", attach=str(extra_of(payment)["attach"]))
        return self._sealed(payment, payment.notify_url, told, "TRANSACTION.SUCCESS", clear)

    def refund_notice(self, payment: Payment, refund: Refund, told: Told) -> Notice | None:
        """See `Dialect.refund_notice`: told only where the refund named an address."""
        if not refund.notify_url:
            return None
        event_type = f"REFUND.{REFUND_STATES[refund.outcome]}"
        return self._sealed(payment, refund.notify_url, told, event_type, refund_told(told.claimed, refund))

    def _sealed(
        self, payment: Payment, url: str, told: Told, event_type: str, clear: dict[str, object]
    ) -> Notice | None:
        merchant = self._register.find(payment.merchant_id)
        if merchant is None:
            return None  # it was struck from the register: nobody could read it
        key = self._engine.faults.word("api_key", about_payment(payment)) or merchant.api_v3_key
        resource = seal(key, encode(clear), about=event_type.partition(".")[0].lower())
        return Notice(url, notice(told.event_id, event_type, resource, at_ms=told.at_ms))

    def message(self, notification: Notification) -> Message:
        """See `Dialect.message`; each delivery has its own timestamp and nonce."""
        about = About(notification.channel, notification.merchant_id, notification.out_trade_no)
        signed = self._keys.sign(
            self._signing_key(notification, about),
            notification.body,
            at_ms=self._engine.clock_ms(about),
            signing=notification.signing,
        )
        return Message("POST", notification.url, {"Content-Type": "application/json", **signed}, notification.body)

    def _signing_key(self, notification: Notification, about: About) -> KeyName:
        """The merchant's kind of key, unless testers want another, always or for a share of the notifications."""
        wanted = self._engine.faults.word("sign_with", about)
        if wanted is not None:
            return cast("KeyName", wanted)
        merchant = self._register.find(notification.merchant_id)
        mode: KeyName = merchant.mode if merchant else "public_key"
        share = self._engine.faults.whole("mixed_percent", about) or 0
        # Spread by the row's number, so that a share of a hundred messages is exactly that many.
        return _OTHER_KIND[mode] if notification.id * 37 % 100 < share else mode

    def acknowledges(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the status says it all
        """Whether an answer means "I have it": 200 or 204, whatever it says."""
        return status in (200, 204)


def _number(prefix: str, payment: Payment, now_ms: int) -> str:
    day = beijing(now_ms)[:10].replace("-", "")
    return f"{prefix}{payment.id % 10**6:06d}{day}{secrets.randbelow(10**10):010d}"
