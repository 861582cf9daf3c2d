"""What a product's keys look like and how they sell: said at the draft, changed from the version a person looked at."""

import json

import pytest
from sqlalchemy import select

from server.audit import AuditEvent
from server.catalog import actions, queries
from server.catalog.model import Product
from server.changes import ChangeInbox
from server.jobs import Job
from server.policy import SYSTEM
from shared.cardkey import CheckDigit, Pattern
from shared.contracts.catalog import MoveProduct
from shared.states import ProductState, SaleOrder

KEYS = {"min_length": 12, "max_length": 19, "alphabet": "0123456789", "check_digit": "luhn", "ignore_case": False}
SELLING = {"sale_order": "random", "stop_days": 7, "off_shelf_when_empty": True, "refund_policy": "before_view"}
PLAIN_KEYS = {"min_length": 1, "max_length": 512, "alphabet": "", "check_digit": "none", "ignore_case": False}
PLAIN_SELLING = {
    "sale_order": "first_in",
    "stop_days": 0,
    "off_shelf_when_empty": False,
    "refund_policy": "defect_only",
}


def draft(site, sku="ARK", **rules):
    body = {
        "category": "games",
        "code": "ark",
        "name": "方舟",
        "skus": [{"code": sku, "name": "卡", "unit_price": 100}],
    }
    return site.post("/api/products", by="chen", json=body | rules)


def change(site, sku="STEAM-50", by="chen", version=2, keys=None, selling=None):
    product_id = site.world.skus[sku].product_id
    body = {"version": version, "key_rule": KEYS | (keys or {}), "selling": SELLING | (selling or {})}
    return site.request("PUT", f"/api/products/{product_id}/rules", by=by, json=body)


def left_behind(site):
    """What a change leaves besides the product: audit rows, jobs, and what the feed will name."""
    with site.world.ctx.db.read() as tx:
        audited = tx.scalars(select(AuditEvent).where(AuditEvent.action == "product.rules")).all()
        jobs = tx.scalars(select(Job).where(Job.kind == actions.RULES_CHANGED)).all()
        product_ids = [terms.product_id for terms in site.world.skus.values()]
        told = tx.scalars(select(ChangeInbox).where(ChangeInbox.entity_id.in_(product_ids))).all()
        return (
            [(row.entity_id, row.actor, json.loads(row.detail)) for row in audited],
            [json.loads(row.args) for row in jobs],
            [(row.entity, row.entity_id, row.supplier_id) for row in told],
        )


@pytest.fixture
def quiet(site):
    """The site with nothing in the feed that making the world put there."""
    with site.world.ctx.db.tx() as tx:
        for row in tx.scalars(select(ChangeInbox)):
            tx.delete(row)
    return site


def test_a_draft_has_the_rules_it_was_given_or_none(site):
    made = draft(site, key_rule=KEYS, selling=SELLING).json()
    assert (made["key_rule"], made["selling"], made["emptied"]) == (KEYS, SELLING, False)
    plain = draft(site, sku="B-1", code="b").json()
    assert (plain["key_rule"], plain["selling"]) == (PLAIN_KEYS, PLAIN_SELLING)


def test_the_owner_changes_the_rules_and_what_follows_is_said_once(quiet):
    site, product_id = quiet, str(quiet.world.skus["STEAM-50"].product_id)
    changed = change(site)
    assert changed.status_code == 200
    answer = changed.json()
    assert (answer["version"], answer["key_rule"], answer["selling"], answer["state"]) == (
        3,
        KEYS,
        SELLING,
        "published",
    )
    assert site.get(f"/api/products/{product_id}", by="li").json() == answer
    audited, jobs, told = left_behind(site)
    assert audited == [
        (product_id, f"staff:{site.world.users['chen']}", {"version": 3, "key_rule": KEYS, "selling": SELLING})
    ]
    assert jobs == [{"product_id": product_id}]
    steam = site.world.skus["STEAM-50"]
    assert told == [("product", steam.product_id, steam.supplier_id)]
    with site.world.ctx.db.read() as tx:
        terms = queries.sale_terms(tx, ["STEAM-50", "MUSIC-30"])
    assert terms["STEAM-50"].key_rule.pattern == Pattern(
        min_length=12, max_length=19, alphabet="0123456789", check_digit=CheckDigit.LUHN
    )
    assert (terms["STEAM-50"].selling.sale_order, terms["STEAM-50"].selling.stop_days) == (SaleOrder.RANDOM, 7)
    assert terms["MUSIC-30"].key_rule.pattern == Pattern()


def test_staff_may_change_them_too_and_others_do_not_know_the_product(quiet):
    site = quiet
    assert [change(site, by=by).status_code for by in ("zhao", "zhou")] == [404, 403]
    assert left_behind(site) == ([], [], [])
    assert [change(site, by=by, version=n).json()["version"] for by, n in (("li", 2), ("wang", 3))] == [3, 4]


@pytest.mark.parametrize("version", [1, 3])
def test_the_version_a_person_looked_at_decides(quiet, version):
    refused = change(quiet, version=version)
    assert (refused.status_code, refused.json()["code"], refused.json()["params"]) == (
        409,
        "product_changed",
        {"version": 2},
    )
    assert left_behind(quiet) == ([], [], [])


def test_how_keys_are_compared_stays_as_it_was(quiet):
    refused = change(quiet, keys={"ignore_case": True})
    assert (refused.status_code, refused.json()["params"]["field"]) == (422, "key_rule.ignore_case")
    assert left_behind(quiet) == ([], [], [])


@pytest.mark.parametrize(
    ("keys", "selling", "field"),
    [
        ({"min_length": 20}, {}, "key_rule"),  # more than max_length
        ({"min_length": 0}, {}, "key_rule.min_length"),
        ({"max_length": 513}, {}, "key_rule.max_length"),
        ({"alphabet": "x" * 129}, {}, "key_rule.alphabet"),
        ({"check_digit": "sum"}, {}, "key_rule.check_digit"),
        ({"alphabet": "ABCDEF"}, {}, "key_rule"),  # Luhn is of digits
        ({"alphabet": "-_", "check_digit": "mod_97"}, {}, "key_rule"),
        ({"pattern": "[0-9]+"}, {}, "key_rule.pattern"),
        ({}, {"sale_order": "cheapest"}, "selling.sale_order"),
        ({}, {"stop_days": -1}, "selling.stop_days"),
        ({}, {"stop_days": 3651}, "selling.stop_days"),
        ({}, {"off_shelf_when_empty": "maybe"}, "selling.off_shelf_when_empty"),
        ({}, {"refund_policy": "always"}, "selling.refund_policy"),
    ],
)
def test_rules_that_no_key_could_keep_are_refused_by_field(quiet, keys, selling, field):
    refused = change(quiet, keys=keys, selling=selling)
    assert (refused.status_code, refused.json()["params"]["field"]) == (422, field)
    assert draft(quiet, key_rule=KEYS | keys, selling=SELLING | selling).status_code == 422
    assert left_behind(quiet) == ([], [], [])
    with quiet.world.ctx.db.read() as tx:
        assert tx.scalars(select(Product.code).where(Product.code == "ark")).first() is None


@pytest.mark.parametrize("keys", [{"alphabet": ""}, {"alphabet": "ABC1"}, {"alphabet": "XYZ", "check_digit": "mod_97"}])
def test_a_check_digit_goes_with_an_alphabet_that_can_have_it(quiet, keys):
    assert change(quiet, keys=keys).status_code == 200


def test_keys_are_judged_by_the_new_rules(site):
    shop = site.world
    assert shop.stock("STEAM-50", ["4539148803436467", "A-KEY-OF-ANOTHER-SORT"]).stored == 2
    assert change(site).status_code == 200
    shop.work()
    arrived = shop.stock("STEAM-50", ["4916909992637469", "4916909992637468", "49", "A-KEY-OF-ANOTHER-KIND"])
    assert (arrived.stored, arrived.refused, arrived.duplicates) == (1, 3, 0)
    assert shop.level("STEAM-50").free == 3  # what is here stays: buyers may have what was promised


def test_moving_a_product_by_hand_ends_what_selling_out_began(site):
    ctx, product_id = site.world.ctx, site.world.skus["STEAM-50"].product_id
    assert change(site).status_code == 200
    with ctx.db.tx() as tx:
        assert actions.leave_shelf(tx, product_id)
        assert not actions.leave_shelf(tx, product_id)
    shown = site.get(f"/api/products/{product_id}", by="li").json()
    assert (shown["state"], shown["emptied"], shown["version"]) == ("off_shelf", True, 4)
    with ctx.db.tx() as tx:
        actions.move_product(tx, product_id, MoveProduct(to=ProductState.PUBLISHED, version=4), actor=SYSTEM)
        actions.move_product(tx, product_id, MoveProduct(to=ProductState.OFF_SHELF, version=5), actor=SYSTEM)
        assert not actions.return_to_shelf(tx, product_id)
    shown = site.get(f"/api/products/{product_id}", by="li").json()
    assert (shown["state"], shown["emptied"], shown["version"]) == ("off_shelf", False, 6)


def test_only_a_product_whose_rule_says_so_leaves_the_shelf(site):
    with site.world.ctx.db.tx() as tx:
        for terms in site.world.skus.values():
            assert not actions.leave_shelf(tx, terms.product_id)
            assert not actions.return_to_shelf(tx, terms.product_id)
        states = {row.state for row in tx.scalars(select(Product))}
    assert states == {"published"}
