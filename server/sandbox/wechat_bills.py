"""WeChat Pay's bills and certificates over the wire.

A bill is applied for (signed answer: its hash and an address good for five minutes) and then fetched with a signed
request; that answer is signed by nobody. The bytes are made in `bills_wechat.py`. Source: design/payments.md 1.7.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.sandbox.bill_days import BillDays
from server.sandbox.bills_wechat import TradeBillType, fund_flow_bill, packed, trade_bill
from server.sandbox.engine import Engine
from server.sandbox.faults import About
from server.sandbox.moments import BEIJING, now_ms
from server.sandbox.wechat_calls import Asked, WechatCalls, wrong_field
from server.sandbox.wechat_keys import PlatformKeys, seal
from server.sandbox.wechat_wire import CHANNEL, Content, Refused, encode

_ADDRESS_LIFE_MS = 300_000
_REACH = timedelta(days=92)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_BILL_TYPES: dict[str, TradeBillType] = {"": "ALL", "ALL": "ALL", "SUCCESS": "SUCCESS", "REFUND": "REFUND"}
_ACCOUNTS = ("", "BASIC", "OPERATION", "FEES")


@dataclass(frozen=True, slots=True)
class _Ready:
    """A bill that may be fetched until a moment, by one merchant."""

    until_ms: int
    mchid: str
    content: bytes


class Bills:
    """The endpoints about bills, and the one that hands out the platform certificates."""

    def __init__(self, engine: Engine, calls: WechatCalls, keys: PlatformKeys, *, address: str) -> None:
        """`address` is where the sandbox's WeChat Pay is reached."""
        self._days = BillDays(engine)
        self._calls = calls
        self._keys = keys
        self._address = address
        self._ready: dict[str, _Ready] = {}

    def routes(self, root: str) -> list[Route]:
        """The addresses below `root`."""
        served = self._calls.served
        return [
            Route(f"{root}/v3/bill/tradebill", served("bill", self._trades), methods=["GET"]),
            Route(f"{root}/v3/bill/fundflowbill", served("bill", self._funds), methods=["GET"]),
            Route(f"{root}/v3/billdownload/file", self._download, methods=["GET"]),
            Route(f"{root}/v3/certificates", served("certificates", self._certificates), methods=["GET"]),
        ]

    def _trades(self, asked: Asked) -> Content:
        bill_type = _BILL_TYPES.get(asked.query("bill_type"))
        if bill_type is None:
            raise wrong_field("bill_type", "ALL、SUCCESS 或 REFUND", location="query")
        day = self._day(asked)
        merchant = asked.merchant
        lines = self._days.of(CHANNEL, merchant.mchid, day).lines
        bill = trade_bill(lines, merchant_id=merchant.mchid, bill_type=bill_type, is_old_merchant=merchant.is_old)
        return self._applied(asked, bill)

    def _funds(self, asked: Asked) -> Content:
        account = asked.query("account_type")
        if account not in _ACCOUNTS:
            raise wrong_field("account_type", "BASIC、OPERATION 或 FEES", location="query")
        day, mchid = self._day(asked), asked.merchant.mchid
        of_day = self._days.of(CHANNEL, mchid, day)
        # Everything here moves on the basic account.
        lines = [*of_day.lines, *of_day.withdrawals] if account in ("", "BASIC") else []
        return self._applied(asked, fund_flow_bill(lines, merchant_id=mchid, opening_fen=of_day.opening_fen))

    def _day(self, asked: Asked) -> date:
        """The day whose bill is wanted, made already. Raises Refused."""
        text = asked.query("bill_date")
        try:
            day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        except ValueError:
            day = None
        today = datetime.now(BEIJING).date()
        if day is None or day > today or today - day > _REACH:
            raise wrong_field("bill_date", "yyyy-MM-dd，三个月以内", location="query")
        if not self._days.is_made(About(CHANNEL, asked.merchant.mchid, call="bill"), day):
            raise Refused(400, "NO_STATEMENT_EXIST", "账单文件不存在")
        return day

    def _applied(self, asked: Asked, bill: bytes | None) -> Content:
        if bill is None:
            raise Refused(400, "NO_STATEMENT_EXIST", "账单文件不存在")
        tar_type = asked.query("tar_type")
        if tar_type not in ("", "GZIP"):
            raise wrong_field("tar_type", "GZIP", location="query")
        now = now_ms()
        self._ready = {token: ready for token, ready in self._ready.items() if ready.until_ms > now}
        token = secrets.token_urlsafe(32)
        about = About(CHANNEL, asked.merchant.mchid, call="bill")
        content = self._days.sent(about, packed(bill) if tar_type else bill)
        self._ready[token] = _Ready(now + _ADDRESS_LIFE_MS, asked.merchant.mchid, content)
        return {
            "hash_type": "SHA1",
            "hash_value": hashlib.sha1(bill, usedforsecurity=False).hexdigest(),
            "download_url": f"{self._address}/v3/billdownload/file?token={token}",
        }

    async def _download(self, request: Request) -> Response:
        try:
            merchant = self._calls.believed(request, b"")
        except Refused as refused:
            return Response(encode(refused.content), refused.status, media_type="application/json")
        ready = self._ready.get(request.query_params.get("token", ""))
        if ready is None or ready.until_ms <= now_ms() or ready.mchid != merchant.mchid:
            content = {"code": "PARAM_ERROR", "message": "账单下载地址已失效，请重新申请"}
            return Response(encode(content), 400, media_type="application/json")
        return Response(ready.content, media_type="application/octet-stream")

    def _certificates(self, asked: Asked) -> Content:
        listed: list[Content] = []
        for serial, pem, certificate in self._keys.certificates():
            sealed = seal(asked.merchant.api_v3_key, pem, about="certificate")
            listed.append(
                {
                    "serial_no": serial,
                    "effective_time": certificate.not_valid_before_utc.astimezone(BEIJING).isoformat(),
                    "expire_time": certificate.not_valid_after_utc.astimezone(BEIJING).isoformat(),
                    "encrypt_certificate": sealed,
                }
            )
        return {"data": listed}
