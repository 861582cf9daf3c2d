"""Alipay's bills over the wire: an address that is good for thirty seconds, and the zip behind it, signed by nobody."""

import re
import secrets
from dataclasses import dataclass, replace
from datetime import date

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.sandbox.alipay_apps import App
from server.sandbox.alipay_protocol import DONE, Parameters, business
from server.sandbox.alipay_trades import CHANNEL, Business, logon_of, wrong
from server.sandbox.bill_days import BillDays, BillOfDay
from server.sandbox.bills import BillLine, is_through
from server.sandbox.bills_alipay import file_name, fund_bill, trade_bill
from server.sandbox.engine import Engine
from server.sandbox.faults import About
from server.sandbox.moments import now_ms

_ADDRESS_LIFE_MS = 30_000
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A bill that may be fetched until a moment."""

    until_ms: int
    name: str
    content: bytes


class AlipayBills:
    """The method that gives the address, and the address."""

    def __init__(self, engine: Engine, base_url: str) -> None:
        """Make bills of what `engine` keeps."""
        self._days = BillDays(engine)
        self._base_url = base_url
        self._ready: dict[str, _Ready] = {}

    def routes(self) -> list[Route]:
        """Where bills are fetched."""
        return [Route("/alipay/downloadBillFile.resource", self._download, methods=["GET"])]

    def address(self, app: App, _asked: Parameters, biz: Business) -> dict[str, object]:
        """Answer where the bill of a day is. Raises Refused when none was made, or nothing moved."""
        bill_type, day = biz.text("bill_type"), _day(biz.text("bill_date"))
        if bill_type not in {"trade", "signcustomer"}:
            raise wrong("bill_type")
        content, about = None, About(CHANNEL, app.seller_id, call="bill")
        if self._days.is_made(about, day):
            content = bill_of(self._days.of(CHANNEL, app.seller_id, day), app.seller_id, bill_type, day)
        if content is None:
            raise business("isp.bill_not_exist", "账单不存在")
        now = now_ms()
        self._ready = {token: ready for token, ready in self._ready.items() if ready.until_ms > now}
        token = secrets.token_urlsafe(24)
        name = file_name(seller_id=app.seller_id, day=day, bill_type=bill_type)
        self._ready[token] = _Ready(now + _ADDRESS_LIFE_MS, name, self._days.sent(about, content))
        facts = f"bizType={bill_type}&userId={app.seller_id}0156&fileType=csv.zip&bizDates={day:%Y%m%d}"
        address = f"{self._base_url}/alipay/downloadBillFile.resource?{facts}&downloadFileName={name}&fileId={token}"
        return DONE | {"bill_download_url": address}

    async def _download(self, request: Request) -> Response:
        ready = self._ready.get(request.query_params.get("fileId", ""))
        if ready is None or ready.until_ms <= now_ms():
            return Response("<html><body>链接已失效</body></html>", 403, media_type="text/html")
        headers = {"Content-Disposition": f'attachment; filename="{ready.name}"'}
        return Response(ready.content, headers=headers, media_type="application/octet-stream")


def bill_of(of_day: BillOfDay, seller_id: str, bill_type: str, day: date) -> bytes | None:
    """Return the zip of a day, or None when nothing moved; a refund that failed is in no bill of Alipay's."""
    lines = [_shown(line) for line in of_day.lines if line.kind == "payment" or is_through(line)]
    if bill_type == "trade":
        return trade_bill(lines, seller_id=seller_id, day=day)
    lines += of_day.withdrawals
    return fund_bill(lines, seller_id=seller_id, day=day, opening_fen=of_day.opening_fen)


def _day(text: str) -> date:
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise wrong("bill_date")


def _shown(line: BillLine) -> BillLine:
    """The line with its payer as Alipay shows a buyer to a seller."""
    return replace(line, payer=f"*三({logon_of(line.payer)})") if line.payer else line
