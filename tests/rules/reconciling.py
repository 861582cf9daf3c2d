"""What the route matrix asks reconciliation for: yesterday of a channel with its bill, and many differences of it."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from server.gateways.port import Bill
from server.payments import bills
from server.reconcile import running
from server.reconcile.model import ReconcileWithdrawal
from server.sandbox.bills import BillLine
from server.sandbox.bills_wechat import trade_bill
from shared import clock, ids
from tests.server.till import Till
from tests.world import MERCHANT

READ = "401 401 401 200 403 200 403 403"
MADE = "401 401 401 201 403 201 403 403"
NOT_READY = "401 401 401 409 403 409 403 403"  # the bill of its account's movements is missing
MANY = 48
LARGE_FEN = 60_000
"""More than one person decides on."""

MATRIX = {
    "POST /api/reconcile/bills": READ,
    "GET /api/reconcile/days": READ,
    "GET /api/reconcile/days/{day}/{channel}": READ,
    "POST /api/reconcile/days/{day}/{channel}/fetch": READ,
    "POST /api/reconcile/days/{day}/{channel}/run": READ,
    "POST /api/reconcile/days/{day}/{channel}/sign": NOT_READY,
    "GET /api/reconcile/days/{day}/{channel}/matches": READ,
    "GET /api/reconcile/days/{day}/{channel}/refunds": READ,
    "GET /api/reconcile/days/{day}/{channel}/funds": READ,
    "GET /api/reconcile/differences": READ,
    "GET /api/reconcile/differences/{difference_id}": READ,
    "POST /api/reconcile/differences/handle": READ,
    "POST /api/reconcile/differences/check": READ,
    "POST /api/reconcile/differences/{difference_id}/handle": READ,
    "POST /api/reconcile/differences/{difference_id}/check": READ,
    "GET /api/reconcile/owed": READ,
    "GET /api/reconcile/withdrawals": READ,
    "POST /api/reconcile/withdrawals/{withdrawal_id}/pair": READ,
    "POST /api/reconcile/withdrawals/{withdrawal_id}/return": READ,
    "GET /api/reconcile/sweeps": READ,
    "POST /api/reconcile/sweeps": MADE,
    "POST /api/reconcile/sweeps/{sweep_id}/check": READ,
    "POST /api/reconcile/sweeps/{sweep_id}/reverse": READ,
}


@dataclass
class Close:
    """The day, its bill, and the difference that addresses name."""

    site: Any
    day: date
    bill: bytes
    difference: str = ""
    sweep: str = ""
    withdrawal: str = ""
    left: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def opened(cls, site) -> "Close":
        """Money that nobody here knows: each payment is a difference."""
        site.world.ctx.gateways["wechat"] = Till("wechat")
        day = clock.shop_day(clock.now()) - timedelta(days=1)
        bill = trade_bill([_line(day, n) for n in range(MANY)], merchant_id=MERCHANT, bill_type="ALL")
        assert bill is not None
        close, ctx = cls(site, day, bill), site.world.ctx
        assert bills._keep(ctx, Bill("wechat", "trades", day, "bill.csv", bill))
        running.run(ctx, "wechat", day, by="system")
        close.left = site.get("/api/reconcile/differences", by="zhou").json()["items"]
        assert len(close.left) == MANY
        close.difference, close.withdrawal = close.left[0]["id"], str(_withdrawn(ctx, day))
        return close

    def names(self) -> tuple[tuple[str, Any], ...]:
        """What the parts of an address stand for."""
        its = (("difference_id", self.difference), ("sweep_id", self.sweep), ("withdrawal_id", self.withdrawal))
        return (("day", self.day), ("channel", "wechat"), *its)

    def open(self) -> dict[str, Any]:
        """What is decided about a difference that nobody has looked at."""
        one = self.left.pop()
        self.difference = one["id"]
        return {"json": {"action": "carry", "note": "x", "version": one["version"]}}

    def proposed(self, by: str) -> dict[str, Any]:
        """What is said of a difference about which another person has just decided."""
        other = "zhou" if by == "wang" else "wang"
        answer = self.site.post(f"/api/reconcile/differences/{self._next()}/handle", by=other, **self._said)
        assert answer.status_code == 200, answer.text
        return {"json": {"approve": True, "version": answer.json()["version"]}}

    def many(self, said: dict[str, Any]) -> dict[str, Any]:
        """The same said of a list of one."""
        seen = {"id": self.difference, "version": said["json"].pop("version")}
        return {"json": said["json"] | {"differences": [seen]}}

    def arrived(self, by: str, *, is_booked: bool = False) -> dict[str, Any]:
        """What is said of money that another person has just recorded."""
        other = "zhou" if by == "wang" else "wang"
        answer = self.site.post("/api/reconcile/sweeps", by=other, json=sweep(self))
        self.sweep = answer.json()["id"]
        said = {"json": {"approve": True, "over_fen": answer.json()["over_fen"], "version": 1}}
        if is_booked:
            third = "zhou" if other == "wang" else "wang"
            assert self.site.post(f"/api/reconcile/sweeps/{self.sweep}/check", by=third, **said).is_success
            return {"json": {"note": "登记有误", "version": 2}}
        return said

    def said_back(self) -> dict[str, Any]:
        """The other of what was said last: that the withdrawal came back, or that it did not."""
        [row] = self.site.get("/api/reconcile/withdrawals", by="zhou").json()["items"]
        return {"json": {"is_returned": row["returned_on"] is None, "note": "银行退回"}}

    def _next(self) -> str:
        self._said = self.open()
        return self.difference


def _withdrawn(ctx: Any, day: date) -> UUID:
    """Money that left the channel's account."""
    before = day - timedelta(days=1)  # whose bills nobody compares meanwhile
    told = {"channel": "wechat", "day": before, "at": clock.now(), "number": "1", "amount_fen": 1}
    row = ReconcileWithdrawal(id=ids.new_id(), **told, provider_no="", voucher="", note="")
    with ctx.db.tx() as tx:
        tx.add(row)
    return row.id


def _line(day: date, n: int) -> BillLine:
    at_ms = int(datetime.combine(day, datetime.min.time(), clock.SHOP_ZONE).timestamp() * 1000) + 60_000 * (n + 1)
    return BillLine(
        kind="payment",
        at_ms=at_ms,
        created_at_ms=at_ms,
        provider_no=f"42000000{n:020d}",
        out_trade_no=ids.new_id().hex,  # made here, as it seems: other numbers are other businesses'
        amount_fen=LARGE_FEN,
        fee_fen=360,
        subject="别家的订单",
        app_id="",
        product="qr",
        payer="o1",
    )


def sweep(close: Close) -> dict[str, Any]:
    """Money that arrived: more than the day's bill owes, so that it waits for a second person."""
    day = str(close.day)
    about = {"channel": "wechat", "reference": ids.new_token(), "arrived_on": day}
    return about | {"amount_fen": 100_000_000, "parts": [{"day": day, "fen": 100_000_000}]}


REQUESTS = {
    "POST /api/reconcile/bills": lambda close, _by: {"params": {"name": "bill.csv"}, "content": close.bill},
    "GET /api/reports/reconciled": lambda close, _by: {"params": {"from": str(close.day), "to": str(close.day)}},
    "GET /api/reconcile/days": lambda close, _by: {"params": {"from": str(close.day), "to": str(close.day)}},
    "POST /api/reconcile/days/{day}/{channel}/fetch": lambda _close, _by: {"json": {}},
    "POST /api/reconcile/days/{day}/{channel}/sign": lambda _close, _by: {"json": {"outputs_sha256": "0" * 64}},
    "POST /api/reconcile/differences/handle": lambda close, _by: close.many(close.open()),
    "POST /api/reconcile/differences/check": lambda close, by: close.many(close.proposed(by)),
    "POST /api/reconcile/differences/{difference_id}/handle": lambda close, _by: close.open(),
    "POST /api/reconcile/differences/{difference_id}/check": lambda close, by: close.proposed(by),
    "POST /api/reconcile/withdrawals/{withdrawal_id}/pair": lambda _close, _by: {"json": {"sweep_id": None}},
    "POST /api/reconcile/withdrawals/{withdrawal_id}/return": lambda close, _by: close.said_back(),
    "POST /api/reconcile/sweeps": lambda close, _by: {"json": sweep(close)},
    "POST /api/reconcile/sweeps/{sweep_id}/check": lambda close, by: close.arrived(by),
    "POST /api/reconcile/sweeps/{sweep_id}/reverse": lambda close, by: close.arrived(by, is_booked=True),
}
"""What a route needs besides its address, new for each call where it writes."""
