"""The catalogue at the HTTP edge: suppliers draft their own, an operator publishes, versions keep people apart."""

import pytest
from sqlalchemy import func, select

from server.audit import AuditEvent
from server.catalog import queries
from server.catalog.model import Product, Sku
from server.changes import ChangeInbox, ChangeLog
from tests.world import ANNA

DRAFT = {
    "category": "games",
    "code": "ark",
    "name": "方舟月卡",
    "summary": "到账即用",
    "description": "三十天。",
    "picture": "ark-card",
    "skus": [
        {"code": "ARK-30", "name": "方舟月卡", "unit_price": 299_900},
        {"code": "ARK-90", "name": "季卡", "unit_price": 799_900, "max_quantity": 5},
    ],
}


def draft(site, by="chen", **change):
    return site.post("/api/products", by=by, json=DRAFT | change)


def move(site, product_id, to, version, by="li"):
    return site.post(f"/api/products/{product_id}/state", by=by, json={"to": to, "version": version})


def count(site, model):
    with site.world.ctx.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(model))


def events(site, entity_id):
    with site.world.ctx.db.read() as tx:
        query = select(AuditEvent).where(AuditEvent.entity_id == str(entity_id)).order_by(AuditEvent.id)
        return [(event.action, event.actor) for event in tx.scalars(query)]


def on_sale(site):
    with site.world.ctx.db.read() as tx:
        return {shelf.code: [item.code for item in shelf.items] for shelf in queries.shop_window(tx)}


def test_a_supplier_drafts_and_an_operator_publishes(site):
    made = draft(site)
    assert made.status_code == 201
    product = made.json()
    assert (product["state"], product["version"], product["fee_ppm"]) == ("draft", 1, None)
    assert (product["supplier"], product["category"], product["picture"]) == ("星河数码", "games", "ark-card")
    assert [(s["code"], s["unit_price"], s["max_quantity"], s["free"]) for s in product["skus"]] == [
        ("ARK-30", 299_900, 100, 0),
        ("ARK-90", 799_900, 5, 0),
    ]
    assert on_sale(site)["games"] == ["steam"]
    assert site.get("/p/ark").status_code == 404
    published = move(site, product["id"], "published", 1)
    assert (published.status_code, published.json()["state"], published.json()["version"]) == (200, "published", 2)
    assert on_sale(site)["games"] == ["ark", "steam"]
    assert site.get("/p/ark").status_code == 200
    chen, li = (f"staff:{site.world.users[login]}" for login in ("chen", "li"))
    assert events(site, product["id"]) == [("product.create", chen), ("product.publish", li)]


def test_off_the_shelf_is_gone_for_buyers_and_back_again(site):
    product_id = site.world.skus["STEAM-50"].product_id
    assert move(site, product_id, "off_shelf", 2).json()["version"] == 3
    assert on_sale(site) == {"music": ["music"], "software": ["office"]}
    assert site.get("/p/steam").status_code == 404
    assert site.order(ANNA, "STEAM-50", 4_500).json()["code"] == "not_on_sale"
    assert move(site, product_id, "published", 3).status_code == 200
    assert on_sale(site)["games"] == ["steam"]


def test_the_version_a_person_looked_at_decides(site):
    product_id = site.world.skus["STEAM-50"].product_id
    for version in (1, 3):
        refused = move(site, product_id, "off_shelf", version)
        assert (refused.status_code, refused.json()["code"]) == (409, "product_changed")
        assert refused.json()["params"] == {"version": 2}
    assert len(events(site, product_id)) == 2
    assert "steam" in on_sale(site)["games"]


def test_an_illegal_step_names_the_state(site):
    product_id = site.world.skus["STEAM-50"].product_id
    for to in ("published", "draft"):
        refused = move(site, product_id, to, 2)
        assert (refused.status_code, refused.json()["code"]) == (409, "illegal_move")
        assert refused.json()["params"]["state"] == "published"


@pytest.mark.parametrize(
    ("label", "change", "field"),
    [
        ("unknown category", {"category": "toys"}, "category"),
        ("one code twice", {"skus": [DRAFT["skus"][0], DRAFT["skus"][0]]}, "skus"),
        ("no SKU", {"skus": []}, "skus"),
        ("free of charge", {"skus": [{"code": "A-1", "name": "a", "unit_price": 0}]}, "skus.0.unit_price"),
        ("a path as picture", {"picture": "../../etc/passwd"}, "picture"),
        ("published at once", {"state": "published"}, "state"),
        ("a name too long", {"name": "长" * 121}, "name"),
        ("a code with a slash", {"code": "a/b"}, "code"),
        ("a rate over all", {"fee_ppm": 1_000_001}, "fee_ppm"),
    ],
)
def test_a_product_that_cannot_be_is_refused_by_field_and_leaves_nothing(site, label, change, field):
    site.token("wang")  # signing in is audited, too
    before = count(site, Product), count(site, Sku), count(site, AuditEvent)
    answer = draft(site, by="wang", supplier_id=str(site.world.suppliers["xinghe"]), **change)
    assert (label, answer.status_code, answer.json()["params"]["field"]) == (label, 422, field)
    assert (count(site, Product), count(site, Sku), count(site, AuditEvent)) == before


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({"code": "steam"}, "steam"),
        ({"skus": [{"code": "STEAM-50", "name": "x", "unit_price": 1}]}, "STEAM-50"),
        ({"skus": [DRAFT["skus"][0], {"code": "OFFICE-1Y", "name": "x", "unit_price": 1}]}, "OFFICE-1Y"),
    ],
)
def test_codes_are_unique_in_the_shop(site, change, taken):
    before = count(site, Product), count(site, Sku)
    answer = draft(site, **change)
    assert (answer.status_code, answer.json()["code"], answer.json()["params"]) == (409, "code_taken", {"taken": taken})
    assert (count(site, Product), count(site, Sku)) == before


def test_codes_are_exact_steam_is_not_STEAM(site):  # noqa: N802 - the case is the point
    assert draft(site, code="STEAM").status_code == 201


def test_a_supplier_names_neither_its_rate_nor_another_supplier(site):
    assert draft(site, fee_ppm=0).status_code == 403
    foreign = draft(site, supplier_id=str(site.world.suppliers["beichen"]))
    nobody = draft(site, supplier_id="00000000-0000-0000-0000-000000000001")
    assert (foreign.status_code, nobody.status_code) == (422, 422)
    assert foreign.json()["params"]["field"] == nobody.json()["params"]["field"] == "supplier_id"
    assert count(site, Product) == 3
    own = draft(site, supplier_id=str(site.world.suppliers["xinghe"]))
    assert own.status_code == 201


def test_an_operator_names_the_supplier_and_may_set_the_rate(site):
    assert draft(site, by="li").json()["params"]["field"] == "supplier_id"
    beichen = site.world.suppliers["beichen"]
    made = draft(site, by="li", supplier_id=str(beichen), fee_ppm=30_000)
    assert (made.status_code, made.json()["supplier"], made.json()["fee_ppm"]) == (201, "北辰软件", 30_000)
    with site.world.ctx.db.read() as tx:
        terms = queries.sale_terms(tx, ["ARK-30", "OFFICE-1Y", "NONE"])
    assert set(terms) == {"ARK-30", "OFFICE-1Y"}
    assert (terms["ARK-30"].fee_ppm, terms["OFFICE-1Y"].fee_ppm) == (30_000, 100_000)
    assert (terms["ARK-30"].on_sale, terms["OFFICE-1Y"].on_sale) == (False, True)
    assert terms["ARK-30"].title == "方舟月卡"  # the SKU is called like its product
    assert terms["OFFICE-1Y"].title == "办公套件 · Office-1Y"


def test_lists_are_scoped_paged_and_searched(site):
    def codes(by, query=""):
        return [row["code"] for row in site.get(f"/api/products?{query}", by=by).json()["items"]]

    draft(site)
    assert codes("li") == ["ark", "office", "music", "steam"]
    assert codes("chen") == ["ark", "music", "steam"]
    assert codes("zhao") == ["office"]
    assert codes("li", "state=draft") == ["ark"]
    assert codes("li", "q=ste") == ["steam"]
    assert codes("li", "q=会员") == ["music"]
    assert codes("li", "q=%25") == []
    first = site.get("/api/products?limit=3", by="li").json()
    rest = site.get(f"/api/products?limit=3&after={first['next']}", by="li").json()
    assert [row["code"] for row in first["items"] + rest["items"]] == ["ark", "office", "music", "steam"]
    assert rest["next"] is None


def test_free_counts_come_from_stock(site):
    site.world.stock("STEAM-50", 4)
    site.world.place(ANNA, "STEAM-50", 1)
    product_id = site.world.skus["STEAM-50"].product_id
    assert site.get(f"/api/products/{product_id}", by="chen").json()["skus"][0]["free"] == 3


def test_categories_are_the_operators_and_in_their_order(site):
    answer = site.post("/api/categories", by="li", json={"code": "first", "name": "置顶"})
    assert answer.status_code == 201
    site.post("/api/categories", by="li", json={"code": "last", "name": "最后", "rank": 9})
    assert [row["code"] for row in site.get("/api/categories", by="chen").json()["items"]] == [
        "first",
        "games",
        "music",
        "software",
        "last",
    ]
    again = site.post("/api/categories", by="li", json={"code": "first", "name": "又一个"})
    assert (again.status_code, again.json()["code"]) == (409, "code_taken")
    assert events(site, answer.json()["id"]) == [("category.create", f"staff:{site.world.users['li']}")]


def test_each_write_announces_itself_once_to_its_owner(site):
    with site.world.ctx.db.tx() as tx:
        before = {row.id for row in tx.scalars(select(ChangeInbox))}
    product = draft(site).json()
    draft(site)  # refused: announces nothing
    with site.world.ctx.db.read() as tx:
        fresh = [row for row in tx.scalars(select(ChangeInbox)) if row.id not in before]
        assert tx.scalar(select(func.count()).select_from(ChangeLog)) == 0
    assert [(row.entity, str(row.entity_id), row.domain, row.supplier_id) for row in fresh] == [
        ("product", product["id"], "catalog", site.world.suppliers["xinghe"])
    ]


def test_the_shop_window_shows_the_cheapest_sku_of_what_is_published(site):
    product = draft(site).json()
    move(site, product["id"], "published", 1)
    with site.world.ctx.db.read() as tx:
        [games] = queries.shop_window(tx, category="games")
        page = queries.product_page(tx, "ark")
        assert queries.product_page(tx, "ARK") is None
    assert (games.code, games.name) == ("games", "游戏点卡")
    assert [(item.code, item.from_price, len(item.sku_ids)) for item in games.items] == [
        ("ark", 299_900, 2),
        ("steam", 450_000, 1),
    ]
    assert (page.supplier, page.category_name, page.description) == ("星河数码", "游戏点卡", "三十天。")
    assert [sku.code for sku in page.skus] == ["ARK-30", "ARK-90"]
