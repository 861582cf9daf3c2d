"""The watch over the stock: an alert is raised once when a figure crosses its line and cleared when it is well back."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from server.catalog import actions as catalog
from server.catalog import queries as catalog_queries
from server.orders import actions as orders
from server.payments import checkout
from server.policy import SYSTEM
from server.stock import lots
from server.stock.alerts.watch import Watch
from server.stock.imports import intake
from server.stock.model import StockDay, StockLot
from shared import clock
from shared.contracts.catalog import MoveProduct, NewProduct, NewSku, SellingRule
from shared.contracts.stock import MoveLot
from shared.states import LotState, OrderState, ProductState
from tests.server.alerting import announced, audited, history, leaves_shelf, move, product, ranked, rule
from tests.world import ANNA, BEN, world

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)  # 12:00 in the shop


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


# --- crossings ---


def test_low_stock_is_raised_once_a_crossing_and_cleared_well_above_it(shop):
    watch = Watch(shop.ctx.db)
    rule(shop, "STEAM-50", below=10)
    shop.stock("STEAM-50", shop.keys("STEAM-50", 12))
    for _ in range(2):
        watch.look()
        shop.buy(ANNA, "STEAM-50")
    watch.look()
    assert history(shop, "STEAM-50") == []  # ten are not below ten
    for _ in range(3):
        shop.buy(ANNA, "STEAM-50")
        watch.look()
    assert history(shop, "STEAM-50") == [("low_stock", 9, True)]  # seven are left, and it was said once
    shop.stock("STEAM-50", shop.keys("STEAM-50", 4, start=20))
    watch.look()
    assert history(shop, "STEAM-50") == [("low_stock", 9, True)]  # eleven are above the line, but not well above
    shop.stock("STEAM-50", shop.keys("STEAM-50", 1, start=30))
    watch.look()
    assert history(shop, "STEAM-50") == [("low_stock", 9, False)]
    shop.buy(ANNA, "STEAM-50", 2)
    watch.look()
    assert history(shop, "STEAM-50") == [("low_stock", 9, False)]
    shop.buy(ANNA, "STEAM-50", 2)
    watch.look()
    watch.look()
    Watch(shop.ctx.db).look()  # another process, which begins with everything
    assert history(shop, "STEAM-50") == [("low_stock", 9, False), ("low_stock", 8, True)]
    assert announced(shop) == [("alerts", shop.suppliers["xinghe"])] * 3
    assert audited(shop, "alert.%") == 0


@pytest.mark.parametrize(("below", "well"), [(2, 3), (5, 6), (6, 8), (100, 120)])
def test_well_above_is_a_fifth_more_or_one_unit(below, well, tmp_path):
    with world("sqlite", tmp_path) as shop:
        watch = Watch(shop.ctx.db)
        rule(shop, "STEAM-50", below=below)
        shop.stock("STEAM-50", shop.keys("STEAM-50", below - 1))
        for n, added in enumerate((well - below, 1), start=1):
            watch.look()
            assert history(shop, "STEAM-50") == [("low_stock", below - 1, True)]
            shop.stock("STEAM-50", shop.keys("STEAM-50", added, start=n * 1_000))
        watch.look()
        assert history(shop, "STEAM-50") == [("low_stock", below - 1, False)]


def test_sold_out_is_said_when_nothing_can_come_back_and_replaces_low(shop):
    watch = Watch(shop.ctx.db)
    rule(shop, "STEAM-50", below=3)
    shop.stock("STEAM-50", shop.keys("STEAM-50", 3))
    first, second = shop.place(ANNA, "STEAM-50", 2), shop.place(BEN, "STEAM-50")
    watch.look()
    assert history(shop, "STEAM-50") == [("low_stock", 0, True)]  # all are held: they may come back
    shop.ctx.batch.call(checkout.EndUnpaid(second.order.id, OrderState.EXPIRED, ()))
    watch.look()
    assert history(shop, "STEAM-50") == [("low_stock", 0, True)]
    shop.apply(shop.fact(first))
    shop.buy(BEN, "STEAM-50")
    watch.look()
    watch.look()
    assert history(shop, "STEAM-50") == [("low_stock", 0, False), ("sold_out", 0, True)]
    shop.stock("STEAM-50", shop.keys("STEAM-50", 1, start=20))
    watch.look()
    assert history(shop, "STEAM-50")[1:] == [("sold_out", 0, False), ("low_stock", 1, True)]
    shop.stock("STEAM-50", shop.keys("STEAM-50", 9, start=30))
    watch.look()
    assert [stands for _, _, stands in history(shop, "STEAM-50")] == [False, False, False]
    assert product(shop, "STEAM-50")[:2] == ("published", False)  # its rule does not take it off the shelf


def test_what_is_not_in_the_shop_is_neither_low_nor_sold_out(shop):
    watch = Watch(shop.ctx.db)
    rule(shop, "STEAM-50", below=10)
    rule(shop, "MUSIC-30", below=10)
    move(shop, "MUSIC-30", ProductState.OFF_SHELF)
    shop.stock("MUSIC-30", 3)
    body, sealed, _ = shop.announce("STEAM-50", shop.keys("STEAM-50", 3))
    with shop.ctx.db.tx() as tx:
        intake.declare(tx, shop.ctx.keys, body, shop.shelf("STEAM-50"), actor="system")
        intake.receive(tx, body.id, intake.inspect(shop.ctx.keys, body.id, 0, sealed[0]))
    shop.work()
    watch.look()
    assert shop.level("STEAM-50").free == 3
    assert (history(shop, "STEAM-50"), history(shop, "MUSIC-30"), announced(shop)) == ([], [], [])
    move(shop, "MUSIC-30", ProductState.PUBLISHED)
    watch.look()
    assert history(shop, "MUSIC-30") == [("low_stock", 3, True)]
    move(shop, "MUSIC-30", ProductState.OFF_SHELF)
    watch.look()
    assert history(shop, "MUSIC-30") == [("low_stock", 3, False)]


def test_frozen_stock_is_not_for_sale(shop):
    watch = Watch(shop.ctx.db)
    rule(shop, "STEAM-50")
    imported = shop.stock("STEAM-50", 3)
    watch.look()
    for to, reason in ((LotState.FROZEN, "核对中"), (LotState.OPEN, "核对无误")):
        with shop.ctx.db.tx() as tx:
            [lot_id] = tx.scalars(select(StockLot.id).where(StockLot.import_id == imported.id))
            lots.move(tx, lot_id, MoveLot(to=to, reason=reason), actor=SYSTEM)
        watch.look()
        assert history(shop, "STEAM-50") == [("sold_out", 0, to is LotState.FROZEN)]
    with shop.ctx.db.tx() as tx:
        lots.move(tx, lot_id, MoveLot(to=LotState.WITHDRAWN, reason="供应商要求"), actor=SYSTEM)
    shop.work()
    watch.look()
    assert history(shop, "STEAM-50") == [("sold_out", 0, False), ("sold_out", 0, True)]


def test_a_rule_that_is_turned_off_clears_what_it_raised(shop):
    watch = Watch(shop.ctx.db)
    rule(shop, "STEAM-50", below=10)
    shop.stock("STEAM-50", 3)
    watch.look()
    rule(shop, "STEAM-50")
    watch.look()
    assert history(shop, "STEAM-50") == [("low_stock", 3, False)]


# --- pace ---


def test_days_of_cover_follow_from_the_pace_of_the_last_seven_days(shop):
    watch = Watch(shop.ctx.db)
    with clock.fixed(NOON):
        rule(shop, "STEAM-50", cover_days=3)
        shop.stock("STEAM-50", 60)
        watch.look()
    for day in range(9):
        with clock.fixed(NOON + timedelta(days=day)):
            shop.buy(ANNA, "STEAM-50", 5)
            watch.look()
            assert history(shop, "STEAM-50") == []  # from 55 to 15 units, three days of five
    with clock.fixed(NOON + timedelta(days=9)):
        shop.buy(ANNA, "STEAM-50", 5)
        watch.look()
        assert history(shop, "STEAM-50") == [("low_cover", 20, True)]
        [alert] = ranked(shop)
        assert (alert.figure, alert.for_sale, alert.daily, alert.loss_fen) == (20, 10, 50, 22_500)
        shop.buy(ANNA, "STEAM-50", 2)
        [alert] = ranked(shop)
        assert (alert.figure, alert.for_sale, alert.daily) == (15, 8, 52)  # 37 in seven days
        shop.stock("STEAM-50", shop.keys("STEAM-50", 4, start=300))
        watch.look()
        shop.stock("STEAM-50", shop.keys("STEAM-50", 9, start=100))
        watch.look()
        assert history(shop, "STEAM-50") == [("low_cover", 20, True)]  # 3.8 days
        shop.stock("STEAM-50", shop.keys("STEAM-50", 1, start=200))
        watch.look()
        assert history(shop, "STEAM-50") == [("low_cover", 20, False)]  # four days


def test_the_pace_comes_from_one_row_a_sku_and_day(shop):
    watch = Watch(shop.ctx.db)
    for day in range(9):
        with clock.fixed(NOON + timedelta(days=day)):
            if day == 0:
                shop.stock("STEAM-50", 60)
                shop.buy(ANNA, "STEAM-50", 3)  # before anybody looked: no pace can be known of it
            else:
                shop.buy(ANNA, "STEAM-50", 2)
            watch.look()
    first = clock.shop_day(NOON)
    with shop.ctx.db.read() as tx:
        rows = [(row.day - first, row.free, row.sold) for row in tx.scalars(select(StockDay).order_by(StockDay.day))]
    days = [timedelta(days=n) for n in range(-1, 9)]
    assert rows == list(zip(days, [57, 57, *range(55, 40, -2)], [3, 3, *range(5, 20, 2)], strict=True))
    with clock.fixed(NOON + timedelta(days=101)):
        watch.look()
    with shop.ctx.db.read() as tx:
        kept = [row.day - first for row in tx.scalars(select(StockDay).order_by(StockDay.day))]
    assert kept == [timedelta(days=n) for n in (*range(1, 9), 100, 101)]


def test_what_has_sold_out_keeps_the_pace_of_its_last_days(shop):
    watch = Watch(shop.ctx.db)
    with clock.fixed(NOON):
        shop.stock("STEAM-50", 4)
        watch.look()
        shop.buy(ANNA, "STEAM-50", 4)
        watch.look()
    for day in (0, 30):
        with clock.fixed(NOON + timedelta(days=day)):
            Watch(shop.ctx.db).look()
            [alert] = ranked(shop)
            assert (alert.kind, alert.daily, alert.loss_fen, alert.raised_at) == ("sold_out", 40, 18_000, NOON)


# --- expiring ---


def test_keys_that_stop_selling_soon_are_told_of_and_more_of_them_too(shop):
    watch = Watch(shop.ctx.db)
    rule(shop, "STEAM-50", expiring_days=14)
    terms = (NOON.date() + timedelta(days=29), None, 1)
    noticed = shop.ended_at = datetime(2026, 3, 17, 16, tzinfo=UTC)  # fourteen days before the end of the last day
    with clock.fixed(noticed - timedelta(minutes=2)):
        shop.stock("STEAM-50", shop.keys("STEAM-50", 5), terms=terms)
        watch.look()
    with clock.fixed(noticed + timedelta(minutes=1)):
        watch.look()
        assert history(shop, "STEAM-50") == []  # nothing has changed: only a full look notices the time
    with clock.fixed(noticed + timedelta(minutes=3)):
        watch.look()
        assert history(shop, "STEAM-50") == [("expiring", 5, True)]
        [alert] = ranked(shop)
        assert (alert.for_sale, alert.daily, alert.loss_fen) == (5, 0, 5 * 4_500 // 14)
        held = shop.place(ANNA, "STEAM-50", 5)
        watch.look()
        shop.ctx.batch.call(checkout.EndUnpaid(held.order.id, OrderState.EXPIRED, ()))
        watch.look()
        assert len(announced(shop)) == 1
        shop.stock("STEAM-50", shop.keys("STEAM-50", 6, start=20), terms=terms)
        watch.look()
        assert history(shop, "STEAM-50") == [("expiring", 11, True)]
        shop.buy(ANNA, "STEAM-50", 8)
        watch.look()
        assert (history(shop, "STEAM-50"), len(announced(shop))) == ([("expiring", 11, True)], 2)
        [alert] = ranked(shop)
        assert (alert.figure, alert.for_sale, alert.daily, alert.loss_fen) == (3, 3, 40, 3 * 4_500 // 14)
    with clock.fixed(noticed + timedelta(days=14)):
        watch.look()
        assert history(shop, "STEAM-50") == [("expiring", 11, False), ("sold_out", 0, True)]
        assert shop.level("STEAM-50").free == 3


# --- off the shelf and back ---


def test_a_product_leaves_the_shelf_when_nothing_is_left_or_held_and_returns_with_stock(shop):
    watch = Watch(shop.ctx.db)
    rule(shop, "STEAM-50")
    leaves_shelf(shop, "STEAM-50")
    watch.look()
    assert product(shop, "STEAM-50") == ("published", False, 3)  # it never had stock
    shop.stock("STEAM-50", shop.keys("STEAM-50", 2))
    held = shop.place(BEN, "STEAM-50")
    shop.buy(ANNA, "STEAM-50")
    watch.look()
    assert product(shop, "STEAM-50") == ("published", False, 3)
    shop.apply(shop.fact(held))
    watch.look()
    watch.look()
    assert shop.order(held).state == "delivered"
    assert product(shop, "STEAM-50") == ("off_shelf", True, 4)
    assert history(shop, "STEAM-50")[-1] == ("sold_out", 0, True)
    with pytest.raises(orders.NotOnSale):
        shop.place(ANNA, "STEAM-50")
    shop.stock("STEAM-50", shop.keys("STEAM-50", 1, start=20))
    watch.look()
    watch.look()
    assert product(shop, "STEAM-50") == ("published", False, 5)
    assert history(shop, "STEAM-50") == [("sold_out", 0, False)]
    shop.place(ANNA, "STEAM-50")
    assert (audited(shop, "product.sold_out"), audited(shop, "product.restocked")) == (1, 1)


def test_a_hold_that_ends_leaves_the_product_where_it_is(shop):
    watch = Watch(shop.ctx.db)
    leaves_shelf(shop, "STEAM-50")
    shop.stock("STEAM-50", shop.keys("STEAM-50", 1))
    for _ in range(3):
        held = shop.place(BEN, "STEAM-50")
        watch.look()
        shop.ctx.batch.call(checkout.EndUnpaid(held.order.id, OrderState.EXPIRED, ()))
        watch.look()
    assert product(shop, "STEAM-50") == ("published", False, 3)
    assert (history(shop, "STEAM-50"), audited(shop, "product.%ed_out")) == ([], 0)


def test_what_a_person_took_off_the_shelf_stays_off(shop):
    watch = Watch(shop.ctx.db)
    leaves_shelf(shop, "STEAM-50")
    shop.stock("STEAM-50", shop.keys("STEAM-50", 1))
    shop.buy(ANNA, "STEAM-50")
    watch.look()
    assert product(shop, "STEAM-50") == ("off_shelf", True, 4)
    move(shop, "STEAM-50", ProductState.PUBLISHED)
    move(shop, "STEAM-50", ProductState.OFF_SHELF)
    shop.stock("STEAM-50", shop.keys("STEAM-50", 1, start=20))
    watch.look()
    Watch(shop.ctx.db).look()
    assert product(shop, "STEAM-50") == ("off_shelf", False, 6)
    assert (audited(shop, "product.restocked"), history(shop, "STEAM-50")) == (0, [("sold_out", 0, False)])


def test_a_product_stays_while_one_of_its_skus_has_stock(shop):
    watch = Watch(shop.ctx.db)
    skus = [NewSku(code=f"ARK-{days}", name=f"{days} 天", unit_price=10_000) for days in (30, 60, 90)]
    selling = SellingRule(off_shelf_when_empty=True)
    ark = NewProduct(category="games", code="ark", name="方舟", skus=skus, selling=selling)
    with shop.ctx.db.tx() as tx:
        product_id = catalog.create_product(tx, ark, supplier_id=shop.suppliers["xinghe"], actor=SYSTEM)
        catalog.move_product(tx, product_id, MoveProduct(to=ProductState.PUBLISHED, version=1), actor=SYSTEM)
        shop.skus = shop.skus | catalog_queries.sale_terms(tx, ["ARK-30", "ARK-60", "ARK-90"])
    for sku in ("ARK-30", "ARK-60"):
        shop.stock(sku, 1)
    shop.buy(ANNA, "ARK-30")
    watch.look()
    assert (product(shop, "ARK-30")[:2], history(shop, "ARK-30")) == (("published", False), [("sold_out", 0, True)])
    shop.buy(ANNA, "ARK-60")
    watch.look()
    assert product(shop, "ARK-30")[:2] == ("off_shelf", True)
    shop.stock("ARK-90", 1)
    watch.look()
    assert product(shop, "ARK-30")[:2] == ("published", False)
    assert [history(shop, sku)[-1] for sku in ("ARK-30", "ARK-60")] == [("sold_out", 0, True)] * 2
    assert history(shop, "ARK-90") == []
