"""The dialect `epay`: an Epay (易支付) site at `/epay/`, in both versions: MD5 (`*.php`) and RSA (`api/pay/*`).

Answers of the first version are signed by nobody; of the second, refusals are not. Notifications are a GET with the
facts in the address; what the buyer brings back is the same. Files: `epay_private.pem` and `epay_public.pem` in the
data folder and `merchants/epay/<pid>.json`. What the calls do is in `epay_orders.py`, what is signed in
`epay_protocol.py`. Source: design/payments.md section 3, and the site's own public source code named there.
"""

import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from server.sandbox.calls import Calls, Said
from server.sandbox.dialect import ListedMerchant, Message, Notice, Told
from server.sandbox.engine import Engine
from server.sandbox.epay_orders import (
    CHANNEL,
    Fields,
    Orders,
    Refused,
    api_trade_no_of,
    as_float,
    refund_no_at,
    trade_no_of,
)
from server.sandbox.epay_protocol import RSA, Merchant, is_signed, read_fields, read_merchant, with_signature
from server.sandbox.faults import About
from server.sandbox.keys import load_or_make_pair
from server.sandbox.merchants import Register
from server.sandbox.moments import now_ms
from server.sandbox.people import number_of
from server.sandbox.records import Notification, Payment, Refund, Signing
from server.sandbox.store import extra_of
from server.sandbox.web import PAGE_HEADERS, BodyTooLarge, read_body

log = logging.getLogger("server.sandbox.epay")

RETRY_AFTER_SECONDS = (60, 120, 1_020, 2_400, 3_600)
LARGEST_REQUEST_BYTES = 65_536
_CLOCK_SKEW_SECONDS = 300
_BACK_WITHIN_MS = 300_000
_UNKNOWN_ACT: dict[str, Any] = {"code": -5, "msg": "No Act!"}

Work = Callable[[Merchant, Fields], dict[str, Any]]


class EpayDialect:
    """See `dialect.Dialect`."""

    channel = CHANNEL
    label = ("易支付", "Epay")
    prefix = "/epay/"
    retry_after_seconds: Sequence[float] = RETRY_AFTER_SECONDS
    answer_within_seconds = 5.0

    def __init__(self, engine: Engine, data_folder: Path, base_url: str) -> None:
        """Load the key, making it at the first start. Raises KeyFileUnusable or OSError."""
        self._engine = engine
        self._calls = Calls(engine.faults)
        self._orders = Orders(engine)
        self._base_url = base_url
        self._data_folder = data_folder
        self._key = load_or_make_pair(data_folder, "epay")
        self._register = Register(data_folder / "merchants" / "epay", suffix=".json", read=read_merchant)

    def merchants(self) -> list[ListedMerchant]:
        """See `Dialect.merchants`."""
        return [ListedMerchant(merchant.pid, merchant.name) for merchant in self._register.all()]

    def merchant_name(self, merchant_id: str) -> str:
        """See `Dialect.merchant_name`."""
        merchant = self._register.find(merchant_id)
        return merchant.name if merchant else merchant_id

    def ready(self) -> dict[str, object]:
        """See `Dialect.ready`."""
        return {
            "epay_url": f"{self._base_url}/epay",
            "epay_public_key": str(self._data_folder / "epay_public.pem"),
            "epay_merchants": str(self._register.folder),
        }

    # Numbers

    def trade_no(self, payment: Payment, now_ms: int) -> str:
        """See `Dialect.trade_no`: an order has its number from the start, one that is paid again needs another."""
        return trade_no_of(payment) if payment.trade_no is None else refund_no_at(now_ms)

    def refund_no(self, payment: Payment, now_ms: int) -> str:  # noqa: ARG002 - other channels' numbers say more
        """See `Dialect.refund_no`."""
        return refund_no_at(now_ms)

    def payer(self, payment: Payment, person: str) -> str:  # noqa: ARG002 - anybody may pay
        """See `Dialect.payer`."""
        return f"2088{number_of(person, digits=12)}"

    # Addresses

    def routes(self) -> list[Route]:
        """See `Dialect.routes`."""
        both = ["GET", "POST"]
        return [
            Route("/epay/submit.php", self._submit(is_second=False), methods=both),
            Route("/epay/mapi.php", self._first("create", self._create(is_second=False)), methods=both),
            Route("/epay/api.php", self._act, methods=both),
            Route("/epay/api/pay/submit", self._submit(is_second=True), methods=both),
            Route("/epay/api/pay/create", self._second("create", self._create(is_second=True)), methods=both),
            Route("/epay/api/pay/query", self._second("query", self._query), methods=both),
            Route("/epay/api/pay/refund", self._second("refund", self._refund), methods=both),
            Route("/epay/api/pay/refundquery", self._second("query_refund", self._find_refund), methods=both),
        ]

    def lost(self, request: Request, status: int) -> Response:  # noqa: ARG002 - whatever was asked
        """See `Dialect.lost`."""
        return _json({"code": -5, "msg": "接口方法不存在"}, status)

    # Buyers

    def _submit(self, *, is_second: bool) -> Callable[[Request], Awaitable[Response]]:
        """Open the order that a browser brings, and lead to its page."""

        async def open_page(request: Request) -> Response:
            try:
                asked = read_fields(request.scope["query_string"])
                if "pid" not in asked:
                    asked = read_fields(await read_body(request, largest_bytes=LARGEST_REQUEST_BYTES))
                merchant = self._identify(asked, is_second=is_second)
                payment = self._orders.open(merchant, _leading_back(asked), is_second=is_second)
            except (BodyTooLarge, ClientDisconnect, ValueError):
                return Response(status_code=400)
            except Refused as refused:
                said = escape(str(refused.content["msg"]))
                page = f"<!doctype html><meta charset=utf-8><h3>站点提示信息</h3>{said}"
                return Response(page, media_type="text/html", headers=PAGE_HEADERS)
            return RedirectResponse(f"{self._base_url}/pay/{payment.token}", 302)

        return open_page

    def return_url(self, payment: Payment) -> str:
        """See `Dialect.return_url`: for five minutes after the payment, the same facts as in the notification."""
        now = now_ms()
        merchant = self._register.find(payment.merchant_id)
        if merchant is None or payment.state_at(now) != "paid" or payment.paid_at_ms is None:
            return payment.return_url
        if not payment.return_url or now - payment.paid_at_ms > _BACK_WITHIN_MS:
            return ""
        return _with_query(payment.return_url, self._signed(merchant, self._facts(payment, payment), "right", now))

    # Calls

    def _identify(self, asked: Fields, *, is_second: bool) -> Merchant:
        """Return the merchant that signed a request. Raises Refused."""
        merchant = self._register.find(asked.get("pid", ""))
        if merchant is None:
            raise Refused("商户不存在！")
        if not merchant.key and asked.get("sign_type") != RSA:
            raise Refused("该商户只能使用RSA签名类型", -3)
        if is_second:
            self._require_fresh(merchant, asked.get("timestamp", ""))
        if "sign" not in asked:
            raise Refused("缺少签名参数", -3)
        if not is_signed(asked, merchant):
            raise Refused(f"{asked.get('sign_type') or 'MD5'}签名校验失败", -3)
        return merchant

    def _require_fresh(self, merchant: Merchant, timestamp: str) -> None:
        if not timestamp:
            raise Refused("时间戳(timestamp)字段不能为空", -3)
        now_seconds = self._engine.clock_ms(About(CHANNEL, merchant.pid)) // 1000
        if not timestamp.isdecimal() or len(timestamp) > 12 or abs(now_seconds - int(timestamp)) > _CLOCK_SKEW_SECONDS:
            raise Refused("时间戳字段不正确，请检查服务器时间", -3)

    def _first(self, call: str, work: Work) -> Callable[[Request], Awaitable[Response]]:
        """Serve a call of the first version that is signed with MD5."""
        return self._served(call, work, is_second=False, identify=lambda asked: self._identify(asked, is_second=False))

    def _second(self, call: str, work: Work) -> Callable[[Request], Awaitable[Response]]:
        """Serve a call of the second version."""
        return self._served(call, work, is_second=True, identify=lambda asked: self._identify(asked, is_second=True))

    async def _act(self, request: Request) -> Response:
        """Serve `api.php`, where the key itself stands in the address or the form."""
        act = request.query_params.get("act")
        if act == "order":
            serve = self._served("query", self._query_first, is_second=False, identify=self._keyed, in_query=True)
        elif act == "refund":
            serve = self._served("refund", self._refund, is_second=False, identify=self._keyed)
        else:
            return _json(_UNKNOWN_ACT)
        return await serve(request)

    def _keyed(self, asked: Fields) -> Merchant:
        """Return the merchant whose key a request shows. Raises Refused."""
        merchant = self._register.find(asked.get("pid", ""))
        if merchant is None:
            raise Refused("商户ID不存在", -3)
        if not merchant.key:
            raise Refused("该商户只能使用RSA签名类型", -3)
        if not secrets.compare_digest(merchant.key.encode(), asked.get("key", "").encode()):
            raise Refused("商户密钥错误", -3)
        return merchant

    def _served(
        self,
        call: str,
        work: Work,
        *,
        is_second: bool,
        identify: Callable[[Fields], Merchant],
        in_query: bool = False,
    ) -> Callable[[Request], Awaitable[Response]]:
        """Let only merchants reach `work`, and write what it says; a refusal is an answer like any other, unsigned."""

        async def serve(request: Request) -> Response:
            try:
                body = await read_body(request, largest_bytes=LARGEST_REQUEST_BYTES)
                asked = read_fields(request.scope["query_string"] if in_query else body)
                merchant = identify(_with_pid(asked))
            except (BodyTooLarge, ClientDisconnect, ValueError):
                return Response(status_code=400)
            except Refused as refused:
                return _json(refused.content)
            about = About(CHANNEL, merchant.pid, self._number_in(merchant, asked), call)
            return await self._calls.answer(
                request,
                about,
                work=lambda: _done(work, merchant, asked),
                seal=lambda said, signing: self._seal(said, signing, merchant, about, is_second=is_second),
                failed=lambda status: Said(status, b""),
            )

        return serve

    def _number_in(self, merchant: Merchant, asked: Fields) -> str:
        """The number of the order that a call is about."""
        if number := asked.get("out_trade_no"):
            return number
        number = asked.get("out_refund_no", "")
        refund = self._engine.store.find_refund(channel=CHANNEL, merchant_id=merchant.pid, out_refund_no=number)
        return refund.out_trade_no if refund else ""

    def _seal(self, said: Said, signing: Signing, merchant: Merchant, about: About, *, is_second: bool) -> Response:
        if said.status != 200:
            return Response(said.body, said.status)
        content: dict[str, Any] = json.loads(said.body)
        if is_second and signing != "none" and content["code"] == 0:
            content["timestamp"] = str(self._engine.clock_ms(about) // 1000)
            texts = {name: str(value) for name, value in content.items() if value is not None}
            signed = with_signature(texts, merchant=merchant, key=self._key, is_second=True, signing=signing)
            content |= {name: signed[name] for name in ("sign", "sign_type")}
        return _json(content)

    # What calls do

    def _create(self, *, is_second: bool) -> Work:
        """Open an order for a page of the merchant's own; a computer gets a code's text, others an address."""

        def create(merchant: Merchant, asked: Fields) -> dict[str, Any]:
            for name, called in (("type", "支付方式"), ("clientip", "用户IP地址")):
                if not asked.get(name):
                    raise Refused(f"{called}({name})不能为空")
            payment = self._orders.open(merchant, asked, is_second=is_second)
            address = f"{self._base_url}/pay/{payment.token}"
            jumps = asked.get("method") == "jump" or asked.get("device", "pc") != "pc"
            told = {"code": 0 if is_second else 1, "trade_no": trade_no_of(payment)}
            if is_second:
                return told | {"pay_type": "jump" if jumps else "qrcode", "pay_info": address}
            return told | {"payurl" if jumps else "qrcode": address}

        return create

    def _query(self, merchant: Merchant, asked: Fields) -> dict[str, Any]:
        facts = self._orders.facts(self._orders.find(merchant, asked))
        return {"code": 0} | {name: value for name, value in facts.items() if value is not None}

    def _query_first(self, merchant: Merchant, asked: Fields) -> dict[str, Any]:
        facts = self._orders.facts(self._orders.find(merchant, asked))
        del facts["refundmoney"]  # the first version does not tell
        return {"code": 1, "msg": "succ"} | facts

    def _refund(self, merchant: Merchant, asked: Fields) -> dict[str, Any]:
        return {"code": 0} | self._orders.refund(merchant, asked)

    def _find_refund(self, merchant: Merchant, asked: Fields) -> dict[str, Any]:
        return {"code": 0} | self._orders.find_refund(merchant, asked)

    # Notifications

    def payment_notice(self, payment: Payment, told: Told) -> Notice | None:
        """See `Dialect.payment_notice`."""
        return Notice(payment.notify_url, json.dumps(self._facts(payment, told.claimed)).encode())

    def refund_notice(self, payment: Payment, refund: Refund, told: Told) -> Notice | None:  # noqa: ARG002 - the protocol has them
        """Sites tell of no refunds."""
        return None

    def _facts(self, payment: Payment, claimed: Payment) -> dict[str, str]:
        """What is told of a paid order. `money` is what was asked, whatever was charged, unless testers let it lie."""
        extra = extra_of(payment)
        lied = claimed.paid_fen != payment.paid_fen
        facts = {
            "pid": claimed.merchant_id,
            "trade_no": trade_no_of(claimed),
            "out_trade_no": claimed.out_trade_no,
            "type": str(extra["type"]),
            "name": claimed.subject,
            "money": as_float(claimed.paid_fen or 0 if lied else payment.amount_fen),
            "trade_status": "TRADE_SUCCESS",
        }
        if extra["version"] == 2:
            facts |= {"api_trade_no": api_trade_no_of(claimed), "buyer": claimed.payer or ""}
        if extra["param"]:
            facts["param"] = str(extra["param"])
        return facts

    def _signed(self, merchant: Merchant, facts: dict[str, str], signing: Signing, at_ms: int) -> dict[str, str]:
        is_second = "buyer" in facts
        if is_second:
            facts = facts | {"timestamp": str(at_ms // 1000)}
        return with_signature(facts, merchant=merchant, key=self._key, is_second=is_second, signing=signing)

    def message(self, notification: Notification) -> Message:
        """See `Dialect.message`: a GET, in the second version with the moment of this delivery."""
        about = About(CHANNEL, notification.merchant_id, notification.out_trade_no)
        merchant = self._register.find(notification.merchant_id)
        facts: dict[str, str] = json.loads(notification.body)
        if merchant is not None:
            facts = self._signed(merchant, facts, notification.signing, self._engine.clock_ms(about))
        return Message("GET", _with_query(notification.url, facts), {}, b"")

    def acknowledges(self, status: int, body: bytes) -> bool:  # noqa: ARG002 - the site looks at the text alone
        """Whether the answer has the word anywhere in it, as an error's page may have too."""
        return any(word in body for word in (b"success", b"Success", b"SUCCESS"))


def _leading_back(asked: Fields) -> Fields:
    """The parameters of a browser, which must name where it goes back to. Raises Refused."""
    if not asked.get("return_url"):
        raise Refused("回调地址(return_url)不能为空")
    return asked


def _with_pid(asked: Fields) -> Fields:
    if "pid" not in asked:
        raise Refused("未传入任何参数", -4)
    return asked


def _done(work: Work, merchant: Merchant, asked: Fields) -> Said:
    try:
        content = work(merchant, asked)
    except Refused as refused:
        content = refused.content
    except Exception:
        # The boundary of the process: a merchant gets a no that says nothing, the log gets the reason.
        log.exception("a call of merchant %s failed", merchant.pid)
        content = {"code": -1, "msg": "系统异常"}
    return Said(200, json.dumps(content).encode())


def _json(content: dict[str, Any], status: int = 200) -> Response:
    """Write an answer as PHP does: everything beyond ASCII and every slash escaped."""
    text = json.dumps(content, separators=(",", ":")).replace("/", "\\/")
    return Response(text, status, media_type="application/json")


def _with_query(url: str, fields: Fields) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"
