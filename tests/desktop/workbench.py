"""A day to reconcile at the window: payments of yesterday and their bills, and what a clerk does again and again."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select

from desktop.operations import reconciliation_days, reconciliation_differences
from server.gateways.port import PaymentFact
from server.orders.actions import PlaceOrder
from server.payments import checkout
from server.payments.model import PaymentAttempt
from server.sandbox import bills_wechat
from server.sandbox.bills import BillLine, fee_of
from shared import clock, ids
from tests.desktop.window_program import drop, sign_in
from tests.server.till import Till
from tests.world import ANNA, BEN, CARA, MERCHANT

WAIT_MS = 30_000
STEAM = 4_500


class Yesterday:
    """Three payments of yesterday through WeChat, and its two bills.

    One payment is in them, one with twice the fee, one is missing. Two more are in them: one that is nobody's, and one
    of another business under the same merchant number.
    """

    def __init__(self, world, folder, *, fees=(2, 1)) -> None:
        """`fees`: how many times its fee the channel took of the first and of the second."""
        self.world = world
        self.till = world.ctx.gateways["wechat"] = Till("wechat")
        self.day = clock.shop_day(clock.now()) - timedelta(days=1)
        self.noon = clock.day_bounds(self.day)[0] + timedelta(hours=12)
        world.stock("STEAM-50", 5)
        with clock.fixed(self.noon):
            self.paid = [self._buy(buyer) for buyer in (ANNA, BEN, CARA)]
        fee = fee_of(STEAM)
        lines = [self.line(one, fee_fen=n * fee) for n, one in zip(fees, self.paid, strict=False)]
        for n, number in enumerate((ids.new_id().hex, "OTHER-SHOP-1"), 1):
            stray = {"out_trade_no": number, "provider_no": f"43{n:024d}", "amount_fen": 1_250, "fee_fen": 0}
            lines.append(replace(lines[0], **stray))
        self.folder = folder
        self.trades, self.funds = self.bills(lines)

    def bills(self, lines):
        """The day's two bills with these lines."""
        trades, funds = self.folder / "1900000001All.csv", self.folder / "1900000001_fundflow.csv"
        trades.write_bytes(bills_wechat.trade_bill(lines, merchant_id=MERCHANT, bill_type="ALL"))
        funds.write_bytes(bills_wechat.fund_flow_bill(lines, merchant_id=MERCHANT, opening_fen=100_000))
        return trades, funds

    def place(self, buyer):
        """An order, and its payment as it was opened at the channel."""
        ctx = self.world.ctx
        code = asyncio.run(checkout.place(ctx, PlaceOrder(buyer, ids.new_token(), "STEAM-50", 1, STEAM, "wechat"))).code
        with ctx.db.read() as tx:
            return tx.scalars(select(PaymentAttempt).where(PaymentAttempt.order_code == code)).one()

    def _buy(self, buyer):
        attempt = self.place(buyer)
        self.world.apply(self.till.pay(attempt.out_trade_no))
        with self.world.ctx.db.read() as tx:
            return tx.get(PaymentAttempt, attempt.id)

    def stray(self, n):
        """A payment that the channel knows and we do not, as a line of its bill."""
        number, provider_no = ids.new_id().hex, f"44{n:024d}"
        self.till.payments[number] = PaymentFact(
            channel="wechat",
            out_trade_no=number,
            provider_no=provider_no,
            merchant_id=MERCHANT,
            amount_fen=STEAM,
            currency="CNY",
            state="paid",
            paid_at=self.noon,
            event_id=None,
        )
        return replace(self.line(self.paid[0], fee_fen=27), out_trade_no=number, provider_no=provider_no)

    def line(self, attempt, *, fee_fen):
        at = int(self.noon.timestamp()) * 1_000
        paid = self.till.payments[attempt.out_trade_no]
        return BillLine(
            kind="payment",
            at_ms=at,
            created_at_ms=at - 20_000,
            provider_no=paid.provider_no,
            out_trade_no=attempt.out_trade_no,
            amount_fen=attempt.amount_fen,
            fee_fen=fee_fen,
            subject="Steam",
            app_id="wx1",
            product="qr",
            payer="o1",
        )

    def rows(self, model):
        with self.world.ctx.db.read() as tx:
            return tx.scalars(select(model)).all()


def at_the_bench(qtbot, program, url, login="zhou"):
    """Sign in and go there; the day before today is in front."""
    sign_in(qtbot, program, url, login)
    window = program.window
    window.go("reconciliation")
    days = program.console.desk.reconciliation.days
    qtbot.waitUntil(lambda: days.chosen is not None or days.error is not None, timeout=WAIT_MS)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=WAIT_MS)
    return window.page, program.console.desk.reconciliation


def listed(qtbot, page, bench, number=3):
    """The differences, in front with the keyboard on them."""
    page.show_tab(1)
    qtbot.waitUntil(lambda: len(bench.differences.feed.rows) == number, timeout=WAIT_MS)
    page.table.setFocus()
    return {one.kind: one for one in bench.differences.feed.rows}


def go_to(qtbot, page, bench, kind):
    """Stand on the first difference of a kind, and wait until it is explained."""
    at = next(at for at, one in enumerate(bench.differences.feed.rows) if one.kind is kind)
    page.table.go_to(at)
    qtbot.waitUntil(lambda: bench.differences.detail is not None, timeout=WAIT_MS)
    assert bench.differences.opened.kind is kind


def carry_out(qtbot, bar, acting, **typed):
    """Type what is asked for, press the last button, and wait until it is over."""
    for key, text in typed.items():
        bar.fields[key].setText(text)
    bar.go.click()
    qtbot.waitUntil(lambda: not acting.busy, timeout=WAIT_MS)
    assert acting.error is None, acting.error


def reconciled(qtbot, program, bench, yesterday, *, by=None):
    """Drop both bills and wait until the server has compared them; `by` a colleague, who leaves the signature to us."""
    if by is not None:
        for file in (yesterday.trades, yesterday.funds):
            by.run(reconciliation_days.drop_bill(by.engine, file, day=yesterday.day))
        bench.refresh()
        qtbot.waitUntil(lambda: bench.days.chosen.balance is not None, timeout=WAIT_MS)
        return
    drop(program.window, [yesterday.trades, yesterday.funds])
    qtbot.waitUntil(lambda: len(bench.bills.files) == 2 and not bench.bills.busy, timeout=WAIT_MS)
    assert bench.bills.refused == 0

    qtbot.waitUntil(lambda: bench.days.chosen.balance is not None, timeout=WAIT_MS)  # told by the server's feed


def approve(other, difference_id):
    """The second person."""
    seen = other.run(reconciliation_differences.one(other.engine, difference_id)).value
    assert seen.actions == ["approve", "send_back"]
    return other.run(reconciliation_differences.check(other.engine, seen, approve=True, note=""))
