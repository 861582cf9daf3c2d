"""Whose rule the platform's share of a product follows: the most particular counts, and is kept at the product.

    a rule of the product for its supplier's tier, a rule of the product, the product's own rate,
    a rule of the tier, the supplier's rate

Orders are priced by what is kept at the product, so that a rule costs them nothing; a line keeps its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import select, update

from server import audit, changes
from server.catalog.model import FeeRule, Product
from server.db import Tx
from server.identity.queries import supplier_terms
from server.policy import Actor
from shared import clock
from shared.contracts import settlement as wire
from shared.errors import BadField, IdempotencyReused
from shared.finance import ShareKind

DOMAIN = "settlement"
_Key = tuple[UUID | None, str | None]


def add_rule(tx: Tx, new: wire.NewFeeRule, *, actor: Actor, request_id: str | None = None) -> FeeRule:
    """Make a rule that counts from now on; a repeat under the same id changes nothing.

    Raises BadField for a rule of nothing or of an unknown product, IdempotencyReused for a known id of another rule.
    """
    if new.product is None and new.tier is None:
        raise BadField(field="product", reason="product | tier")
    product_id = None
    if new.product is not None:
        product_id = tx.scalars(select(Product.id).where(Product.code == new.product)).first()
        if product_id is None:
            raise BadField(field="product", reason=new.product)
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
    _keep(tx, product_id=product_id)
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


def follow_tier(tx: Tx, supplier_id: UUID) -> None:
    """Keep the rules of another tier at a supplier's products."""
    _keep(tx, supplier_id=supplier_id)


def keep_for(tx: Tx, product_id: UUID) -> None:
    """Keep the rule of a new product with it."""
    _keep(tx, product_id=product_id)


def _keep(tx: Tx, *, product_id: UUID | None = None, supplier_id: UUID | None = None) -> None:
    """Write the rule that counts to one product, to those of a supplier, or to all."""
    supplier = supplier_terms()
    query = select(Product, supplier.c.tier).join(supplier, supplier.c.id == Product.supplier_id)
    if product_id is not None:
        query = query.where(Product.id == product_id)
    if supplier_id is not None:
        query = query.where(Product.supplier_id == supplier_id)
    counting = _counting(rules(tx))
    for product, tier in tx.execute(query.order_by(Product.id)):
        rule = _most_particular(counting, product, tier)
        kept = (None, None) if rule is None else _fee(rule)
        if (product.rule_fee_ppm, product.rule_fee_unit_price) != kept:
            values = {"rule_fee_ppm": kept[0], "rule_fee_unit_price": kept[1]}
            tx.execute(update(Product).where(Product.id == product.id).values(values))


def _counting(newest_first: Iterable[FeeRule]) -> dict[_Key, FeeRule]:
    found: dict[_Key, FeeRule] = {}
    for rule in newest_first:
        found.setdefault((rule.product_id, rule.tier), rule)
    return found


def _most_particular(counting: Mapping[_Key, FeeRule], product: Product, tier: str) -> FeeRule | None:
    of_product = counting.get((product.id, tier)) or counting.get((product.id, None))
    if of_product is not None or product.fee_ppm is not None:
        return of_product
    return counting.get((None, tier))


def _fee(rule: FeeRule) -> tuple[int, int | None]:
    """The rate, and what each piece costs where that is said instead."""
    return rule.ppm, rule.unit_price if rule.kind == ShareKind.FIXED.value else None
