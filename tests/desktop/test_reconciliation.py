"""The workbook over HTTP: real days of the real ledger, and the days that must not be signed."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import openpyxl
import pytest

from desktop.exporting.target import FolderMissing
from desktop.exporting.workbook import BooksDiffer
from desktop.operations import reconciliation
from desktop.operations.reconciliation import DayStillMoving
from server.orders.model import OrderLine
from server.payments.refunds import making, moving, replacing
from server.payments.refunds.making import Portion
from server.policy import SYSTEM
from server.reports import queries as reports
from shared import clock
from shared.errors import NotAllowed
from shared.states import RefundCause, RefundState, RefundStep
from tests.desktop.test_workbook import checks_of
from tests.world import ANNA, BEN, CARA

DAY = date(2026, 11, 21)
LATE = datetime(2026, 11, 21, 15, 59, 50, tzinfo=UTC)  # 23:59:50 in the shop


@pytest.fixture
def finance(live_shop, console):
    a = console(follow=False)
    a.sign_in(live_shop.url, "zhou")
    return a


def test_orders_over_midnight_belong_to_the_day_of_each_step(live_shop, finance, tmp_path):
    world = live_shop.world
    with clock.fixed(LATE):
        world.stock("STEAM-50", 5)
        world.stock("OFFICE-1Y", 2_000)
        world.buy(ANNA, "OFFICE-1Y", 100)
        over_midnight = world.place(BEN, "STEAM-50", 2)
    with clock.fixed(LATE + timedelta(seconds=20)):
        world.apply(world.fact(over_midnight))
    first = finance.run(reconciliation.export_workbook(finance.engine, day=DAY, target=tmp_path / "21.xlsx"))
    second = finance.run(
        reconciliation.export_workbook(finance.engine, day=DAY + timedelta(days=1), target=tmp_path / "22.xlsx")
    )
    for written, (placed, paid_fen, imported, sold) in ((first, (2, 350, 2_005, 100)), (second, (0, 9_000, 0, 2))):
        figures = written.summary
        assert (figures.orders_placed, figures.paid_fen, figures.units_imported, figures.units_sold) == (
            placed,
            paid_fen,
            imported,
            sold,
        )
        checks = checks_of(openpyxl.load_workbook(written.path))
        assert {verdict for _, _, verdict in checks.values()} == {"一致"}
        assert int(checks["收款金额（元）"][0] * 100) == paid_fen
    assert [path.name for path in sorted(tmp_path.glob("*.xlsx*"))] == ["21.xlsx", "22.xlsx"]


def give_back(world, bought, *, quantity, at):
    """Some units of an order whose buyer did not look go back, and the money has arrived."""
    with clock.fixed(at), world.ctx.db.tx() as tx:
        whole, said = world.order(bought).id, {"cause": RefundCause.SHOP, "reason": "x", "actor": "staff:li"}
        held = making.of_order(tx, whole, Portion(quantity=quantity), **said)
        moving.approve(tx, held, RefundStep.STARTED, actor="staff:li", check_above=None)
        moving.advance(tx, held, RefundStep.SUBMITTED, actor="system", to=RefundState.SUBMITTED)
        moving.succeed(tx, held, actor="channel:sandbox", provider_refund_no="R1", at=at, refunded_at=at)


def replace(world, bought, *, at):
    """The supplier gives another key for each of an order."""
    with clock.fixed(at), world.ctx.db.tx() as tx:
        said = {"cause": RefundCause.BUYER, "reason": "x", "actor": f"buyer:{ANNA}"}
        held = making.of_order(tx, world.order(bought).id, Portion(), **said)
        replacing.replace(tx, held, RefundStep.REPLACED, actor="staff:chen", note="换一张")


def test_what_comes_back_or_is_replaced_later_changes_nothing_of_a_day_that_is_over(live_shop, finance, tmp_path):
    world, noon = live_shop.world, LATE - timedelta(hours=12)
    world.ctx.jobs.close()  # which live in the present, and would close that day before it is over
    with clock.fixed(noon):
        world.stock("STEAM-50", 9, terms=(None, 300_000, 1))
        unseen, replaced, seen = (world.buy(buyer, "STEAM-50", n) for buyer, n in ((ANNA, 2), (BEN, 1), (CARA, 1)))
        world.reveal(world.order(seen))

    def exported(day):
        target = tmp_path / f"{day}.xlsx"
        written = finance.run(reconciliation.export_workbook(finance.engine, day=day, target=target))
        book = openpyxl.load_workbook(target)
        return {sheet.title: [[cell.value for cell in row] for row in sheet] for sheet in book}, written.summary

    def movements(day):
        steam = next(row for row in exported(day)[0]["卡密出入库"] if row[0] == "STEAM-50")
        return dict(zip(("入库", "售出", "退回", "补发", "作废", "日终可售"), steam[3:], strict=True))

    def costs(day):
        with world.ctx.db.read() as tx:
            items = reports.day_movements(tx, SYSTEM, day, after=None, limit=9).items
        return next((row.sold_fen, row.cost_fen, row.margin_fen) for row in items if row.sku == "STEAM-50")

    (before, signed), cost = exported(DAY), costs(DAY)
    assert (signed.units_sold, cost) == (4, (18_000, 12_000, 6_000))
    give_back(world, unseen, quantity=1, at=noon + timedelta(hours=1))  # still on the day
    give_back(world, unseen, quantity=1, at=noon + timedelta(days=1))
    replace(world, replaced, at=noon + timedelta(days=1))
    replace(world, seen, at=noon + timedelta(days=1))
    after, told = exported(DAY)
    assert (told.units_sold, told.units_returned, told.units_replaced, told.paid_fen) == (4, 1, 0, 18_000)
    assert costs(DAY) == cost
    assert movements(DAY) == {"入库": 9, "售出": 4, "退回": 1, "补发": 0, "作废": 0, "日终可售": 6}
    # Orders tell their state as it is now, and the money that went back on the day is in its accounts: else as before.
    assert [row[:4] + row[5:] for row in after["订单"]] == [row[:4] + row[5:] for row in before["订单"]]
    assert after["收款"] == before["收款"]
    # Of three units two were unseen: one returns to stock, one that was said to be bad is void; each was replaced.
    next_day = DAY + timedelta(days=1)
    assert movements(next_day) == {"入库": 0, "售出": 0, "退回": 2, "补发": 2, "作废": 1, "日终可售": 5}
    assert world.level("STEAM-50").free == 5
    for day in (DAY, next_day):
        checks = checks_of(openpyxl.load_workbook(tmp_path / f"{day}.xlsx"))
        assert {verdict for _, _, verdict in checks.values()} == {"一致"}
        assert (checks["退回卡密（张）"][0], checks["补发卡密（张）"][0]) == ((1, 0) if day == DAY else (2, 2))
    world.check()


def test_details_that_differ_from_the_ledger_are_not_exported(live_shop, finance, tmp_path):
    world = live_shop.world
    with clock.fixed(LATE):
        world.stock("STEAM-50", 5)
        world.buy(ANNA, "STEAM-50")
    with world.ctx.db.tx() as tx:
        # Somebody edits a line in the database: the summary follows it, the ledger does not.
        tx.query(OrderLine).update({"quantity": 2})
    world.expects = {"L9"}
    with pytest.raises(BooksDiffer) as caught:
        finance.run(reconciliation.export_workbook(finance.engine, day=DAY, target=tmp_path / "day.xlsx"))
    assert (caught.value.params["figure"], caught.value.params["details"], caught.value.params["ledger"]) == (
        "发货数量（张）",
        "2",
        "1",
    )
    assert not list(tmp_path.glob("*.xlsx*"))


def test_a_day_that_goes_on_is_not_exported(in_shop, console, tmp_path):
    class Trade:
        """Sells one more whenever the movements are read."""

        world = None

        def __call__(self, asgi):
            async def trading(scope, receive, send):
                if scope["path"].endswith("/movements"):
                    await asyncio.to_thread(self.world.buy, ANNA, "STEAM-50")
                await asgi(scope, receive, send)

            return trading

    trade = Trade()
    with in_shop(wrap=trade) as shop:
        trade.world = shop.world
        shop.world.stock("STEAM-50", 9)
        a = console(follow=False)
        a.sign_in(shop.url, "zhou")
        today = clock.shop_day(clock.now())
        with pytest.raises(DayStillMoving) as caught:
            a.run(reconciliation.export_workbook(a.engine, day=today, target=tmp_path / "day.xlsx"))
        assert caught.value.params == {"day": today, "tries": 3}
        assert not list(tmp_path.glob("*.xlsx*"))


def test_only_who_may_export_gets_a_workbook(live_shop, console, tmp_path):
    a = console(follow=False)
    a.sign_in(live_shop.url, "chen")
    with pytest.raises(NotAllowed):
        a.run(reconciliation.export_workbook(a.engine, day=DAY, target=tmp_path / "day.xlsx"))
    with pytest.raises(FolderMissing):
        a.run(reconciliation.export_workbook(a.engine, day=DAY, target=tmp_path / "no" / "day.xlsx"))
    assert not list(tmp_path.glob("*.xlsx*"))


def test_the_day_is_shown_offline_as_it_was_seen(live_shop, finance):
    seen = finance.run(reconciliation.day_summary(finance.engine, DAY))
    assert (seen.live, seen.value.day, seen.value.orders_placed) == (True, DAY, 0)
