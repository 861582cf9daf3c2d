"""Whose rule the platform's share of a product follows: the most particular counts, and is kept at the product.

    a rule of the product for its supplier's tier, a rule of the product, the product's own rate,
    a rule of the tier, the supplier's rate

Orders are priced by what is kept at the product, so that a rule costs them nothing; a line keeps its price. Whoever
makes a rule, a product or other terms locks the suppliers it is of first: the newest rule is the one that is kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select, update

from server import audit, changes
from server.catalog.model import FeeRule, Product
from server.db import Tx
from server.identity import suppliers
from server.identity.queries import supplier_terms
from server.policy import Actor
from shared import clock
from shared.contracts import fees as wire
from shared.errors import BadField, BadInput, IdempotencyReused
from shared.finance import ShareKind

DOMAIN = "settlement"
_AT_A_TIME = 1_000
_Key = tuple[UUID | None, str | None]
_Fee = tuple[int | None, int | None]


class NoSuchProduct(BadInput):
    """A rule is of a product that is not in the catalogue."""

    code = "no_such_product"
    status = 422
    zh = "没有编码为“{product}”的商品。"
    en = "There is no product {product}."


def add_rule(tx: Tx, new: wire.NewFeeRule, *, actor: Actor, request_id: str | None = None) -> FeeRule:
    """Make a rule that counts from now on; a repeat under the same id changes nothing.

    Raises BadField for a rule of nothing, NoSuchProduct, IdempotencyReused for a known id of another rule.
    """
    if new.product is None and new.tier is None:
        raise BadField(field="product", reason="product | tier")
    product_id = supplier_id = None
    if new.product is not None:
        found = tx.execute(select(Product.id, Product.supplier_id).where(Product.code == new.product)).first()
        if found is None:
            raise NoSuchProduct(product=new.product)
        product_id, supplier_id = found
    suppliers.lock(tx, supplier_id)
    said = {
        "product_id": product_id,
        "product_code": new.product,
        "tier": new.tier,
        "kind": new.kind.value,
        "ppm": new.ppm if new.kind is ShareKind.PERCENT else 0,
        "unit_price": new.unit_price if new.kind is ShareKind.FIXED else 0,
        "reason": new.reason,
    }
    known = tx.get(FeeRule, new.id)
    if known is not None:
        if any(getattr(known, name) != value for name, value in said.items()):
            raise IdempotencyReused
        return known
    rule = FeeRule(id=new.id, valid_from=clock.now(), changed_by=actor.label, **said)
    tx.add(rule)
    tx.flush()
    if product_id is not None:
        _keep(tx, Product.id == product_id)
    else:  # what a tier's rule can count for
        _keep(tx, Product.fee_ppm.is_(None), tier=new.tier)
    audit.append(
        tx,
        actor=actor.label,
        action="fee.rule",
        entity="fee_rule",
        entity_id=str(rule.id),
        detail={name: value for name, value in said.items() if name != "product_id" and value is not None},
        request_id=request_id,
    )
    changes.append(tx, "settlement", rule.id, domain=DOMAIN)
    return rule


def rules(tx: Tx) -> list[FeeRule]:
    """All rules, the newest first: the first of a product and tier is the one that counts."""
    return list(tx.scalars(select(FeeRule).order_by(FeeRule.valid_from.desc(), FeeRule.id.desc())))


def products_of(tx: Tx) -> Counter[UUID]:
    """Of how many products each rule is the one that counts. Products of no rule of their own are only counted."""
    counting, supplier = _counting(rules(tx)), supplier_terms()
    is_ruled = Product.id.in_(select(FeeRule.product_id).where(FeeRule.product_id.is_not(None)))
    of_supplier = supplier.c.id == Product.supplier_id
    ruled = select(Product.id, Product.fee_ppm, supplier.c.tier).join(supplier, of_supplier).where(is_ruled)
    found = (_most_particular(counting, product) for product in tx.execute(ruled))
    counted = Counter(rule.id for rule in found if rule is not None)
    others = select(supplier.c.tier, func.count()).select_from(Product).join(supplier, of_supplier)
    for tier, count in tx.execute(others.where(~is_ruled, Product.fee_ppm.is_(None)).group_by(supplier.c.tier)):
        rule = counting.get((None, tier))
        if rule is not None:
            counted[rule.id] += count
    return counted


def follow_tier(tx: Tx, supplier_id: UUID) -> None:
    """Keep the rules of another tier at a supplier's products."""
    _keep(tx, Product.supplier_id == supplier_id)


def keep_for(tx: Tx, product: Product) -> None:
    """Keep the rule of a new product with it."""
    suppliers.lock(tx, product.supplier_id)
    _keep(tx, Product.id == product.id)


def _keep(tx: Tx, which: ColumnElement[bool], *, tier: str | None = None) -> None:
    """Write the rules that count to some products, of one tier or of all: those of one fee at a time."""
    supplier = supplier_terms()
    rule_fee = (Product.rule_fee_ppm, Product.rule_fee_unit_price)
    query = select(Product.id, Product.fee_ppm, *rule_fee, supplier.c.tier).where(which)
    if tier is not None:
        query = query.where(supplier.c.tier == tier)
    counting = _counting(rules(tx))
    changed: dict[_Fee, list[UUID]] = defaultdict(list)
    for product in tx.execute(query.join(supplier, supplier.c.id == Product.supplier_id).order_by(Product.id)):
        fee = _fee(_most_particular(counting, product))
        if (product.rule_fee_ppm, product.rule_fee_unit_price) != fee:
            changed[fee].append(product.id)
    for (ppm, unit_price), ids in changed.items():
        values = {"rule_fee_ppm": ppm, "rule_fee_unit_price": unit_price}
        for at in range(0, len(ids), _AT_A_TIME):
            tx.execute(update(Product).where(Product.id.in_(ids[at : at + _AT_A_TIME])).values(values))


def _counting(newest_first: Iterable[FeeRule]) -> dict[_Key, FeeRule]:
    found: dict[_Key, FeeRule] = {}
    for rule in newest_first:
        found.setdefault((rule.product_id, rule.tier), rule)
    return found


def _most_particular(counting: Mapping[_Key, FeeRule], product: Row[Any]) -> FeeRule | None:
    of_product = counting.get((product.id, product.tier)) or counting.get((product.id, None))
    if of_product is not None or product.fee_ppm is not None:
        return of_product
    return counting.get((None, product.tier))


def _fee(rule: FeeRule | None) -> _Fee:
    """The rate, and what each piece costs where that is said instead."""
    if rule is None:
        return None, None
    return rule.ppm, rule.unit_price if rule.kind == ShareKind.FIXED.value else None
