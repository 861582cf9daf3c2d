"""The dialect `alipay`: Alipay's gateway with RSA2 at `/alipay/gateway.do`, its pages, notifications and bills.

A code's address and the browser's own methods (wap.pay, page.pay) lead to the sandbox's payment page. Files:
`alipay_private.pem` and `alipay_public.pem` in the data folder, with `_2` the key that comes after it, and
`merchants/alipay/<app_id>.json`. What the methods do is in `alipay_trades.py`, what is signed in `alipay_protocol.py`.
"""

import json
import logging
import secrets
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from server.sandbox.alipay_apps import App, read_app
from server.sandbox.alipay_bills import AlipayBills
from server.sandbox.alipay_protocol import (
    SIGN_TYPE,
    Parameters,
    Refused,
    answer,
    invalid,
    node_text,
    read_moment,
    read_parameters,
    signed_form,
)
from server.sandbox.alipay_trades import CHANNEL, CODE_LIFE_MS, Business, Trades, exists, read_business, trade_no_of
from server.sandbox.bills import yuan
from server.sandbox.calls import Calls, Said
from server.sandbox.dialect import ListedMerchant, Message, Notice, Told
from server.sandbox.engine import Engine, about_payment
from server.sandbox.faults import About
from server.sandbox.keys import SigningKey, has_signed, load_or_make_pair
from server.sandbox.merchants import Register
from server.sandbox.moments import beijing, now_ms
from server.sandbox.people import number_of
from server.sandbox.records import Notification, Payment, Refund, Signing
from server.sandbox.store import extra_of
from server.sandbox.web import PAGE_HEADERS, BodyTooLarge, read_body

log = logging.getLogger("server.sandbox.alipay")

Work = Callable[[App, Parameters, Business], dict[str, object]]

RETRY_AFTER_SECONDS = (240, 600, 600, 3_600, 7_200, 21_600, 54_000)
LARGEST_REQUEST_BYTES = 65_536
_BROWSER_METHODS = frozenset({"alipay.trade.wap.pay", "alipay.trade.page.pay"})
_ERROR_NODE = "error_response"


class AlipayDialect:
    """See `dialect.Dialect`."""

    channel = CHANNEL
    label = ("支付宝", "Alipay")
    prefix = "/alipay/"
    retry_after_seconds: Sequence[float] = RETRY_AFTER_SECONDS
    answer_within_seconds = 10.0

    def __init__(self, engine: Engine, data_folder: Path, base_url: str) -> None:
        """Load the keys, making them at the first start. Raises KeyFileUnusable or OSError."""
        self._engine = engine
        self._calls = Calls(engine.faults)
        self._base_url = base_url
        self._data_folder = data_folder
        self._keys = {
            "public_key": load_or_make_pair(data_folder, "alipay"),
            "public_key_2": load_or_make_pair(data_folder, "alipay_2"),
        }
        self._register = Register(data_folder / "merchants" / "alipay", suffix=".json", read=read_app)
        self._trades = Trades(engine, code_url=lambda payment: f"{base_url}/alipay/qr/{payment.token}")
        self._bills = AlipayBills(engine, base_url)
        bill_method = "alipay.data.dataservice.bill.downloadurl.query"
        self._methods: dict[str, tuple[str, Work]] = {
            **self._trades.methods,
            bill_method: ("bill", self._bills.address),
        }

    def merchants(self) -> list[ListedMerchant]:
        """See `Dialect.merchants`: a seller with several applications is listed once."""
        names = {app.seller_id: app.name for app in self._register.all()}
        return [ListedMerchant(seller_id, name) for seller_id, name in names.items()]

    def merchant_name(self, merchant_id: str) -> str:
        """See `Dialect.merchant_name`."""
        return next((app.name for app in self._register.all() if app.seller_id == merchant_id), merchant_id)

    def ready(self) -> dict[str, object]:
        """See `Dialect.ready`."""
        return {
            "alipay_gateway": f"{self._base_url}/alipay/gateway.do",
            "alipay_public_key": str(self._data_folder / "alipay_public.pem"),
            "alipay_merchants": str(self._register.folder),
        }

    # Numbers

    def trade_no(self, payment: Payment, now_ms: int) -> str:
        """See `Dialect.trade_no`: a trade has its number from the start, one that is paid again needs another."""
        if payment.trade_no is None:
            return trade_no_of(payment)
        return f"{beijing(now_ms)[:10].replace('-', '')}22001{secrets.randbelow(10**15):015d}"

    def refund_no(self, payment: Payment, now_ms: int) -> str:
        """Alipay numbers no refunds; the store wants something of its own."""
        return f"{payment.id}-{now_ms}-{secrets.token_hex(4)}"

    def payer(self, payment: Payment, person: str) -> str:  # noqa: ARG002 - anybody may scan
        """See `Dialect.payer`."""
        return f"2088{number_of(person, digits=12)}"

    # Addresses

    def routes(self) -> list[Route]:
        """See `Dialect.routes`."""
        return [
            Route("/alipay/gateway.do", self._gateway, methods=["GET", "POST"]),
            Route("/alipay/qr/{token}", self._scan, methods=["GET"]),
            *self._bills.routes(),
        ]

    def lost(self, request: Request, status: int) -> Response:  # noqa: ARG002 - whatever was asked
        """See `Dialect.lost`."""
        return Response("404 Not Found" if status == 404 else "405 Not Allowed", status, media_type="text/html")

    async def _gateway(self, request: Request) -> Response:
        """Answer a call, or open the page that a browser was sent here for."""
        try:
            body = await read_body(request, largest_bytes=LARGEST_REQUEST_BYTES)
            asked = read_parameters(request.scope["query_string"], body)
        except BodyTooLarge:
            return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it
        except Refused as refused:
            return self._seal(_refusal(refused), "none", _ERROR_NODE, Parameters({}, "utf-8"), About(CHANNEL))
        if asked.get("method") in _BROWSER_METHODS:
            return self._open_page(asked)
        return await self._call(request, asked)

    async def _call(self, request: Request, asked: Parameters) -> Response:
        method = asked.get("method")
        call, work = self._methods.get(method) or ("", None)
        node = f"{method.replace('.', '_')}_response" if work else _ERROR_NODE
        about = About(CHANNEL, call=call)
        try:
            if work is None:
                raise invalid("isv.invalid-method", "不存在的方法名")
            app = self._identify(asked)
            biz = read_business(asked.get("biz_content"))
            about = About(CHANNEL, app.seller_id, str(biz.values.get("out_trade_no", "")), call)
        except Refused as refused:
            return self._seal(_refusal(refused), "right" if refused.signed else "none", node, asked, about)
        return await self._calls.answer(
            request,
            about,
            work=lambda: self._do(work, app, asked, biz),
            seal=lambda said, signing: self._seal(said, signing, node, asked, about),
            failed=lambda status: Said(status, b"<html><body>Service Unavailable</body></html>"),
        )

    def _do(self, work: Work, app: App, asked: Parameters, biz: Business) -> Said:
        try:
            return Said(200, node_text(work(app, asked, biz)).encode())
        except Refused as refused:
            return _refusal(refused)
        except Exception:
            # The boundary of the process: a merchant is told that nothing is known, the log gets the reason.
            log.exception("%s failed", asked.get("method"))
            return _refusal(Refused("20000", "isp.unknow-error", "系统繁忙"))

    def _seal(self, said: Said, signing: Signing, node: str, asked: Parameters, about: About) -> Response:
        """The text that is signed is the text that is sent."""
        body = said.body
        if said.status == 200:
            key = self._key(about)
            body = answer(node, said.body.decode(), charset=asked.charset, key=key, signing=signing)
        return Response(body, said.status, headers={"Content-Type": f"text/html;charset={asked.charset}"})

    def _key(self, about: About) -> SigningKey:
        """Return the key that Alipay signs with: the next one when testers want that."""
        return self._keys.get(self._engine.faults.word("sign_with", about) or "", self._keys["public_key"])

    def _identify(self, asked: Parameters) -> App:
        """Return the application that signed a request. Raises Refused."""
        app = self._register.find(asked.get("app_id"))
        if app is None:
            raise invalid("isv.invalid-app-id", "无效的AppID参数")
        if asked.get("sign_type") != SIGN_TYPE:
            raise invalid("isv.invalid-signature-type", "无效的签名类型")
        if not has_signed(app.key, asked.signed_content(), asked.get("sign")):
            raise invalid("isv.invalid-signature", "无效签名")
        if asked.get("version") != "1.0":
            raise invalid("isv.invalid-version", "版本参数无效")
        if asked.get("format") not in {"", "JSON"}:
            raise invalid("isv.invalid-format", "数据格式无效")
        try:
            read_moment(asked.get("timestamp"))
        except ValueError:
            raise invalid("isv.invalid-timestamp", "非法的时间戳参数") from None
        return app

    # Buyers

    def _open_page(self, asked: Parameters) -> Response:
        """Open the trade that a browser brings, and lead to its page."""
        try:
            app = self._identify(asked)
            biz = read_business(asked.get("biz_content"))
            payment = self._trades.open(app, asked, biz)
        except Refused as refused:
            code, said = (escape(str(refused.content[name])) for name in ("sub_code", "sub_msg"))
            page = f"<!doctype html><meta charset=utf-8><title>支付宝</title><p>{said}<p><small>{code}</small>"
            return Response(page, 400, media_type="text/html", headers=PAGE_HEADERS)
        self._engine.store.mark_scanned(payment, now_ms=now_ms())
        return self._to_page(payment)

    async def _scan(self, request: Request) -> Response:
        """A code was scanned: from now on the trade exists. A code is good for two hours."""
        payment = self._engine.store.payment_by_token(request.path_params["token"])
        if payment is None or payment.channel != CHANNEL:
            return self.lost(request, 404)
        now = now_ms()
        if exists(payment) or now < payment.opened_at_ms + CODE_LIFE_MS:
            self._engine.store.mark_scanned(payment, now_ms=now)
            return self._to_page(payment)
        return Response("二维码已失效", 410, media_type="text/plain")

    def _to_page(self, payment: Payment) -> Response:
        return RedirectResponse(f"{self._base_url}/pay/{payment.token}", 302)

    def return_url(self, payment: Payment) -> str:
        """See `Dialect.return_url`: once it is paid the browser carries signed facts, which prove nothing."""
        if not payment.return_url or payment.state_at(now_ms()) != "paid":
            return payment.return_url
        charset = str(extra_of(payment)["charset"])
        fields = {
            "app_id": payment.app_id,
            "auth_app_id": payment.app_id,
            "charset": charset,
            "method": f"alipay.trade.{'wap' if payment.product == 'h5' else 'page'}.pay.return",
            "out_trade_no": payment.out_trade_no,
            "seller_id": payment.merchant_id,
            "timestamp": beijing(now_ms()),
            "total_amount": yuan(payment.paid_fen or 0),
            "trade_no": trade_no_of(payment),
            "version": "1.0",
        }
        form = signed_form(fields, charset=charset, key=self._key(about_payment(payment))).decode()
        return f"{payment.return_url}{'&' if '?' in payment.return_url else '?'}{form}"

    # Notifications

    def payment_notice(self, payment: Payment, told: Told) -> Notice | None:
        """See `Dialect.payment_notice`; who named no address is told nothing."""
        return self._notice(payment, told, {})

    def refund_notice(self, payment: Payment, refund: Refund, told: Told) -> Notice | None:
        """See `Dialect.refund_notice`: told where the payment was told, with the sum of all refunds so far."""
        if refund.outcome != "succeeded":
            return None  # Alipay tells of no refund that failed
        refunded_fen = self._trades.refunded_fen(payment, at_ms=refund.final_at_ms)
        everything = refunded_fen >= (payment.paid_fen or 0)
        moment = f"{beijing(refund.final_at_ms)}.{refund.final_at_ms % 1000:03d}"
        changes = {"refund_fee": yuan(refunded_fen), "gmt_refund": moment, "out_biz_no": refund.out_refund_no}
        if everything:
            changes |= {"trade_status": "TRADE_CLOSED", "gmt_close": beijing(refund.final_at_ms)}
        return self._notice(payment, told, changes)

    def _notice(self, payment: Payment, told: Told, changes: dict[str, str]) -> Notice | None:
        if not payment.notify_url:
            return None
        claimed, extra = told.claimed, extra_of(payment)
        assert claimed.paid_at_ms is not None
        paid = yuan(claimed.paid_fen or 0)
        fields = {
            "app_id": claimed.app_id,
            "auth_app_id": claimed.app_id,
            "body": str(extra["body"]),
            "buyer_id": claimed.payer or "",
            "buyer_pay_amount": yuan(claimed.payer_fen or 0),
            "charset": str(extra["charset"]),
            "fund_bill_list": json.dumps([{"amount": paid, "fundChannel": "ALIPAYACCOUNT"}], separators=(",", ":")),
            "gmt_create": beijing(claimed.created_at_ms),
            "gmt_payment": beijing(claimed.paid_at_ms),
            "invoice_amount": yuan(claimed.payer_fen or 0),
            "notify_id": _notify_id(told),
            "notify_type": "trade_status_sync",
            "out_trade_no": claimed.out_trade_no,
            "passback_params": str(extra["passback"]),
            "point_amount": "0.00",
            "receipt_amount": paid,
            "sandbox_note": "100% 测试 + 未知字段",  # a field that nobody knows: it takes part all the same
            "seller_id": claimed.merchant_id,
            "subject": claimed.subject,
            "total_amount": paid,
            "trade_no": trade_no_of(claimed),
            "trade_status": "TRADE_SUCCESS",
            "version": "1.0",
        }
        if claimed.currency != "CNY":
            fields["trans_currency"] = claimed.currency
        return Notice(payment.notify_url, json.dumps(fields | changes, ensure_ascii=False).encode())

    def message(self, notification: Notification) -> Message:
        """See `Dialect.message`: a form; each delivery says when it was sent and has the same `notify_id`."""
        about = About(CHANNEL, notification.merchant_id, notification.out_trade_no)
        fields: dict[str, str] = json.loads(notification.body)
        fields["notify_time"] = beijing(self._engine.clock_ms(about))
        charset = fields["charset"]
        form = signed_form(fields, charset=charset, key=self._key(about), signing=notification.signing)
        headers = {"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"}
        return Message("POST", notification.url, headers, form)

    def acknowledges(self, status: int, body: bytes) -> bool:
        """Whether an answer means "I have it": the seven letters and nothing else."""
        return status == 200 and body == b"success"


def _notify_id(told: Told) -> str:
    """Return a number as Alipay's are: the second and further digits, the same for every delivery of an event."""
    digits = f"{int(told.event_id.encode().hex(), 16) % 10**20:020d}"
    return f"{beijing(told.at_ms).translate({ord(sign): None for sign in '-: '})}{digits}"


def _refusal(refused: Refused) -> Said:
    return Said(200, node_text(refused.content).encode())
