"""The platform's share by rules: percent or fixed a piece, of products and tiers; the most particular counts."""

import pytest
from sqlalchemy import event, select

from server.catalog import queries as catalog
from server.orders.model import OrderLine
from shared import clock, ids
from tests.server.settlement.paying import SOLD, agree, ask, say
from tests.world import ANNA

STEAM, MUSIC = "steam", "music"


@pytest.fixture
def shop(site):
    site.world.stock("STEAM-50", 10)
    site.world.stock("MUSIC-30", 10)
    with clock.fixed(SOLD):
        yield site


def rule(site, *, status=201, **wish):
    return say(site, "fee-rules", {"id": str(ids.new_id()), "reason": "促销"} | wish, status=status)


def percent(site, ppm, **wish):
    return rule(site, kind="percent", ppm=ppm, **wish)


def sold(site, sku="STEAM-50", quantity=1):
    """Supplier's share, fee, rate and price of each piece, as frozen on the line of an order."""
    order = site.world.buy(ANNA, sku, quantity).order
    with site.world.ctx.db.read() as tx:
        line = tx.scalars(select(OrderLine).where(OrderLine.order_id == order.id)).one()
    return line.supplier_fen, line.fee_fen, line.fee_ppm, line.fee_unit_price


def counted(site):
    """Of how many products each rule counts, the newest first."""
    return [one["products"] for one in ask(site, "fee-rules")["items"]]


def test_the_most_particular_rule_counts(shop):
    assert sold(shop) == (4_275, 225, 50_000, None)  # the supplier's rate
    percent(shop, 40_000, tier="standard")
    assert (sold(shop), sold(shop, "MUSIC-30")[2]) == ((4_320, 180, 40_000, None), 40_000)
    percent(shop, 20_000, product=STEAM)
    assert (sold(shop), sold(shop, "MUSIC-30")[2]) == ((4_410, 90, 20_000, None), 40_000)
    rule(shop, kind="fixed", unit_price=12_500, product=STEAM, tier="standard")  # 1.25 a piece
    assert sold(shop, quantity=2) == (8_750, 250, 0, 12_500)
    percent(shop, 30_000, product=STEAM)  # newer, but of every tier
    assert (sold(shop)[3], counted(shop)) == (12_500, [0, 1, 0, 2])
    agree(shop, tier="gold")
    assert (sold(shop)[2:], sold(shop, "MUSIC-30")[2:]) == ((30_000, None), (50_000, None))
    assert counted(shop) == [1, 0, 0, 1], "of the standard tier there is another supplier's"
    agree(shop, version=1)
    assert (sold(shop)[3], sold(shop, "MUSIC-30")[2]) == (12_500, 40_000)
    assert sold(shop, "MUSIC-30") == (1_200, 50, 40_000, None)


def test_a_products_own_rate_stands_above_a_tier_and_below_a_rule_of_it(shop):
    percent(shop, 10_000, tier="standard")
    body = {"category": "games", "code": "ark", "name": "Ark", "fee_ppm": 80_000}
    supplier = str(shop.world.suppliers["xinghe"])
    skus = [{"code": "ARK-1", "name": "Ark", "unit_price": 10_000}]
    made = shop.post("/api/products", by="li", json=body | {"supplier_id": supplier, "skus": skus})
    assert made.status_code == 201
    body |= {"code": "bay", "fee_ppm": None, "skus": [skus[0] | {"code": "BAY-1"}]}
    assert shop.post("/api/products", by="li", json=body | {"supplier_id": supplier}).status_code == 201
    assert terms_of(shop, "ARK-1", "BAY-1") == [80_000, 10_000]  # the new product follows the rule of its tier
    assert counted(shop) == [4], "of each but the one with a rate of its own"
    percent(shop, 60_000, product="ark", tier="gold")
    percent(shop, 70_000, product="ark")
    assert (terms_of(shop, "ARK-1", "BAY-1"), counted(shop)) == ([70_000, 10_000], [1, 0, 4])


def terms_of(site, *skus):
    with site.world.ctx.db.read() as tx:
        found = catalog.sale_terms(tx, skus)
    return [found[sku].fee_ppm for sku in skus]


def test_a_fixed_fee_never_takes_more_than_the_line(shop):
    rule(shop, kind="fixed", unit_price=990_000, product=STEAM)
    assert sold(shop) == (0, 4_500, 0, 990_000)


def test_a_rule_is_made_once_and_old_ones_are_kept(shop):
    wish = {"id": str(ids.new_id()), "kind": "percent", "ppm": 20_000, "product": STEAM, "reason": "促销"}
    first = say(shop, "fee-rules", wish)
    assert say(shop, "fee-rules", wish) == first
    assert say(shop, "fee-rules", wish | {"ppm": 1}, status=422)["code"] == "idempotency_reused"
    second = percent(shop, 25_000, product=STEAM)
    percent(shop, 1, tier="gold")
    assert [(one["ppm"], one["products"], one["reason"]) for one in ask(shop, "fee-rules")["items"]] == [
        (1, 0, "促销"),  # nobody is of this tier
        (25_000, 1, "促销"),
        (20_000, 0, "促销"),
    ]
    assert (first["products"], second["products"]) == (1, 1)
    assert (first["product"], first["tier"], first["ppm"], first["changed_by"]) == (STEAM, None, 20_000, "周洁")
    assert rule(shop, kind="percent", ppm=1, status=422)["code"] == "bad_field"  # of nothing
    assert rule(shop, kind="percent", ppm=1, product="nothing", status=422)["code"] == "no_such_product"
    assert sold(shop)[2] == 25_000


def test_a_tiers_rule_is_kept_at_all_of_its_products_at_once(shop):
    engine, said = shop.world.ctx.db.engine, []

    def hear(_connection, _cursor, statement, *_rest):
        said.append(statement)

    percent(shop, 10_000, product=STEAM)
    event.listen(engine, "before_cursor_execute", hear)
    percent(shop, 40_000, tier="standard")
    percent(shop, 40_000, tier="gold")
    event.remove(engine, "before_cursor_execute", hear)
    assert [one for one in said if one.startswith("UPDATE product ")] == [
        "UPDATE product SET rule_fee_ppm=?, rule_fee_unit_price=? WHERE product.id IN (?, ?)"
    ]
    assert terms_of(shop, "STEAM-50", "MUSIC-30", "OFFICE-1Y") == [10_000, 40_000, 40_000]


def test_an_order_is_priced_by_one_statement_whatever_the_rules(shop):
    percent(shop, 20_000, product=STEAM)
    said = []

    def hear(_connection, _cursor, statement, *_rest):
        said.append(statement)

    engine = shop.world.ctx.db._reader
    with shop.world.ctx.db.read() as tx:
        event.listen(engine, "before_cursor_execute", hear)
        catalog.sale_terms(tx, ["STEAM-50", "MUSIC-30"])
        event.remove(engine, "before_cursor_execute", hear)
    assert len(said) == 1
    assert (said[0].count("JOIN"), "fee_rule" in said[0]) == (2, False)
