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
from shared import clock
from shared.errors import NotAllowed
from tests.desktop.test_workbook import checks_of
from tests.world import ANNA, BEN

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


def test_details_that_differ_from_the_ledger_are_not_exported(live_shop, finance, tmp_path):
    world = live_shop.world
    with clock.fixed(LATE):
        world.stock("STEAM-50", 5)
        world.buy(ANNA, "STEAM-50")
    with world.ctx.db.tx() as tx:
        # Somebody edits a line in the database: the summary follows it, the ledger does not.
        tx.query(OrderLine).update({"quantity": 2})
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
