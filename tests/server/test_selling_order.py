"""Which key sells next: by expiry, then by the product's order; until when; and what changes when its rules do."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from server.catalog import actions as catalog
from server.catalog.model import Product
from server.policy import SYSTEM
from server.stock.imports import intake
from shared import clock
from shared.contracts.catalog import ChangeRules, KeyRule, SellingRule
from shared.states import SaleOrder
from tests.server.stocking import counts, delivered, end, for_sale, lots_of, sell_all, stock_lots, void
from tests.world import ANNA, BEN, world

SKU = "STEAM-50"
NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)  # 12:00 in the shop
MARCH, APRIL, MAY = (date(2026, month, 10) for month in (3, 4, 5))


@pytest.fixture
def shop(any_engine, tmp_path):
    with clock.fixed(NOON), world(any_engine, tmp_path) as built:
        yield built


def keys(shop, start, count=2):
    return shop.keys(SKU, count, start=start)


def rules(shop, *, work=True, **selling):
    """Sell the product by other rules."""
    with shop.ctx.db.read() as tx:
        version = tx.get(Product, shop.skus[SKU].product_id).version
    change = ChangeRules(version=version, key_rule=KeyRule(), selling=SellingRule(**selling))
    with shop.ctx.db.tx() as tx:
        catalog.change_rules(tx, shop.skus[SKU].product_id, change, actor=SYSTEM)
    if work:
        shop.work()


def test_keys_that_expire_first_sell_first_over_all_imports(shop):
    for start, expires in ((0, None), (10, MAY), (20, MARCH), (30, None), (40, APRIL), (50, MARCH)):
        shop.stock(SKU, keys(shop, start), terms=(expires, None, 1))
    assert sell_all(shop, SKU) == [key for start in (20, 50, 40, 10, 0, 30) for key in keys(shop, start)]


def test_one_file_with_many_expiries_sells_like_many_files(shop):
    brought = [((expires, None, 1), keys(shop, start)) for start, expires in ((0, None), (10, MAY), (20, MARCH))]
    stock_lots(shop, SKU, brought)
    shop.stock(SKU, keys(shop, 40), terms=(APRIL, None, 1))
    assert sell_all(shop, SKU) == [key for start in (20, 40, 10, 0) for key in keys(shop, start)]


def test_a_key_given_back_is_the_next_of_its_lot_and_not_of_the_product(shop):
    shop.stock(SKU, keys(shop, 0), terms=(MAY, None, 1))
    held = shop.place(BEN, SKU)
    shop.stock(SKU, keys(shop, 10), terms=(MARCH, None, 1))
    end(shop, held)
    assert sell_all(shop, SKU) == [*keys(shop, 10), *keys(shop, 0)]


def test_a_lot_stops_so_many_days_before_its_keys_expire(shop):
    shop.stock(SKU, keys(shop, 0), terms=(date(2026, 3, 4), None, 1))
    shop.stock(SKU, keys(shop, 10), terms=(MAY, None, 1))
    shop.stock(SKU, keys(shop, 20))
    [first, second, third] = lots_of(shop, SKU)
    # 4 March ends in the shop at 16:00 UTC.
    assert (first.sell_until, third.sell_until) == (datetime(2026, 3, 4, 16, tzinfo=UTC), None)
    assert for_sale(shop, SKU) == 6
    rules(shop, stop_days=2)
    assert lots_of(shop, SKU)[0].sell_until == datetime(2026, 3, 2, 16, tzinfo=UTC)
    with clock.fixed(datetime(2026, 3, 2, 15, 59, 59, tzinfo=UTC)):
        assert for_sale(shop, SKU) == 6
        assert delivered(shop, shop.buy(ANNA, SKU)) == keys(shop, 0)[:1]
        held = shop.place(BEN, SKU)
    with clock.fixed(datetime(2026, 3, 2, 16, tzinfo=UTC)):
        assert for_sale(shop, SKU) == 4
        assert shop.apply(shop.fact(held)).name == "APPLIED"  # what a buyer holds is still theirs
        assert delivered(shop, held) == keys(shop, 0)[1:]
        assert sell_all(shop, SKU) == [*keys(shop, 10), *keys(shop, 20)]
    assert [lot.number for lot in (first, second, third)] == [0, 1, 2]


def test_rules_that_are_eased_bring_lots_back_into_the_sale(shop):
    rules(shop, stop_days=30)
    shop.stock(SKU, keys(shop, 0), terms=(MARCH, None, 1))
    assert (for_sale(shop, SKU), counts(shop, SKU)) == (0, [(2, 0, 0, 0)])
    rules(shop, stop_days=0)
    assert sell_all(shop, SKU) == keys(shop, 0)


def test_last_in_sells_the_newest_lot_first_within_an_expiry(shop):
    for start, expires in ((0, None), (10, MARCH), (20, None), (30, MARCH)):
        shop.stock(SKU, keys(shop, start), terms=(expires, None, 1))
    assert delivered(shop, shop.buy(ANNA, SKU)) == keys(shop, 10)[:1]
    rules(shop, sale_order=SaleOrder.LAST_IN)
    left = [*keys(shop, 30), *keys(shop, 10)[1:], *keys(shop, 20), *keys(shop, 0)]
    assert delivered(shop, shop.buy(ANNA, SKU)) == left[:1]
    shop.stock(SKU, keys(shop, 50))  # made by the new rule
    after = [*keys(shop, 30)[1:], *keys(shop, 10)[1:], *keys(shop, 50), *keys(shop, 20), *keys(shop, 0)]
    assert sell_all(shop, SKU) == after
    rules(shop, sale_order=SaleOrder.FIRST_IN)


def test_random_mixes_lots_and_keys_but_never_an_expiry(shop):
    rules(shop, sale_order=SaleOrder.RANDOM)
    brought = shop.keys(SKU, 60)
    shop.stock(SKU, brought[:40])
    shop.stock(SKU, brought[40:], terms=(MARCH, None, 1))
    sold = sell_all(shop, SKU)
    assert Counter(sold) == Counter(brought)
    assert set(sold[:20]) == set(brought[40:])
    assert sold != brought[40:] + brought[:40]  # the chance that they came in order by themselves is one in 60!


def test_each_use_of_a_reusable_key_is_sold_once(shop):
    shop.stock(SKU, keys(shop, 0, 3), terms=(None, 100, 4))
    assert for_sale(shop, SKU) == 12
    sold = sell_all(shop, SKU)
    assert Counter(sold) == dict.fromkeys(keys(shop, 0, 3), 4)
    assert sold[:3] == keys(shop, 0, 3)  # each key once before one of them comes again
    assert counts(shop, SKU) == [(0, 0, 12, 0)]


def test_a_voided_use_is_passed_by(shop):
    shop.stock(SKU, keys(shop, 0, 2), terms=(None, None, 3))
    assert void(shop, SKU, 2 + 2**20).voided == [2 + 2**20]
    one, two = keys(shop, 0, 2)
    assert Counter(sell_all(shop, SKU)) == {one: 3, two: 2}


def test_rules_that_change_while_keys_come_in_are_looked_at_again(shop):
    new, [chunk], _ = shop.announce(SKU, keys(shop, 0))
    with shop.ctx.db.tx() as tx:
        intake.declare(tx, shop.ctx.keys, new, shop.shelf(SKU), actor="system")
    rules(shop, stop_days=3)
    assert shop.ctx.jobs.run_due() == 0
    with clock.fixed(NOON + timedelta(minutes=2)):
        assert shop.ctx.jobs.run_due() == 1
        shop.work()
    with clock.fixed(NOON + timedelta(minutes=9)):
        assert shop.ctx.jobs.run_due() == 0  # once, and not for as long as somebody uploads
    assert chunk
