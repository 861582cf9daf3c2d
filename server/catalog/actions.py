"""Writes of the catalogue. Each takes a `tx`, appends its audit row and its change, and never commits."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError

from server import audit, changes, jobs
from server.catalog import fees
from server.catalog.model import Category, Product, Sku
from server.db import Tx, rows_changed
from server.policy import Actor, visible
from shared import clock
from shared.contracts.catalog import ChangeRules, KeyRule, MoveProduct, NewCategory, NewProduct, SellingRule
from shared.errors import BadField, Conflict, NotFound
from shared.ids import new_id
from shared.states import ProductState, require_move

DOMAIN = "catalog"
RULES_CHANGED = "catalog.rules_changed"
"""The job that follows a change of a product's rules, with its `product_id`: stock above us arranges its lots anew."""


class CodeTaken(Conflict):
    """A code that must be unique in the shop is in use."""

    code = "code_taken"
    zh = "编号“{taken}”已被使用，请换一个。"
    en = "The code “{taken}” is already in use; choose another."


class ProductChanged(Conflict):
    """Somebody changed the product after the person looked at it."""

    code = "product_changed"
    zh = "商品已被他人修改（当前版本 {version}），请刷新后重试。"
    en = "The product was changed meanwhile (now version {version}); reload and try again."


def create_category(tx: Tx, new: NewCategory, *, actor: Actor, request_id: str | None = None) -> UUID:
    """Add a shelf. Raises CodeTaken."""
    category = Category(id=new_id(), code=new.code, name=new.name, rank=new.rank)
    _insert(tx, [category], codes=[new.code])
    audit.append(
        tx,
        actor=actor.label,
        action="category.create",
        entity="category",
        entity_id=str(category.id),
        detail={"code": new.code},
        request_id=request_id,
    )
    changes.append(tx, "category", category.id, domain=DOMAIN)
    return category.id


def create_product(tx: Tx, new: NewProduct, *, supplier_id: UUID, actor: Actor, request_id: str | None = None) -> UUID:
    """Draft a product of `supplier_id` with its SKUs. The caller decided that the actor may name this supplier.

    Raises BadField for an unknown category or a code that is given twice, CodeTaken for one in use.
    """
    category_id = tx.scalars(select(Category.id).where(Category.code == new.category)).first()
    if category_id is None:
        raise BadField(field="category", reason=new.category)
    codes = [sku.code for sku in new.skus]
    if len(set(codes)) != len(codes):
        raise BadField(field="skus", reason="code")
    product = Product(
        id=new_id(),
        category_id=category_id,
        supplier_id=supplier_id,
        code=new.code,
        name=new.name,
        summary=new.summary,
        description=new.description,
        picture=new.picture,
        fee_ppm=new.fee_ppm,
        state=ProductState.DRAFT.value,
        emptied=False,
        version=1,
        created_at=clock.now(),
        **_columns(new.key_rule, new.selling),
    )
    skus = [
        Sku(
            id=new_id(),
            product_id=product.id,
            n=n,
            code=sku.code,
            name=sku.name,
            unit_price=sku.unit_price,
            max_quantity=sku.max_quantity,
        )
        for n, sku in enumerate(new.skus)
    ]
    _insert(tx, [product, *skus], codes=[new.code, *codes])
    fees.keep_for(tx, product)
    audit.append(
        tx,
        actor=actor.label,
        action="product.create",
        entity="product",
        entity_id=str(product.id),
        detail={"code": new.code, "skus": codes, "prices": [sku.unit_price for sku in skus]},
        request_id=request_id,
    )
    changes.append(tx, "product", product.id, domain=DOMAIN, supplier_id=supplier_id)
    return product.id


def move_product(tx: Tx, product_id: UUID, move: MoveProduct, *, actor: Actor, request_id: str | None = None) -> int:
    """Publish a product or take it off the shelf; returns its new version.

    Raises NotFound outside of the actor's scope, ProductChanged when `move.version` is not the current one, and
    IllegalMove when the table of states does not have the step.
    """
    row = tx.scalars(visible(actor, Product).where(Product.id == product_id)).first()
    if row is None:
        raise NotFound
    if row.version != move.version:
        raise ProductChanged(version=row.version)
    state = ProductState(row.state)
    require_move(state, move.to)
    now = clock.now()
    values: dict[str, object] = {"state": move.to.value, "version": move.version + 1, "emptied": False}
    if move.to is ProductState.PUBLISHED and row.published_at is None:
        values["published_at"] = now
    moved = tx.execute(
        update(Product)
        .where(Product.id == product_id, Product.version == move.version, Product.state == state.value)
        .values(values)
    )
    if rows_changed(moved) != 1:
        raise ProductChanged(version=move.version + 1)
    audit.append(
        tx,
        actor=actor.label,
        action="product.publish" if move.to is ProductState.PUBLISHED else "product.withdraw",
        entity="product",
        entity_id=str(product_id),
        detail={"from": state.value, "to": move.to.value, "version": move.version + 1},
        request_id=request_id,
    )
    changes.append(tx, "product", product_id, domain=DOMAIN, supplier_id=row.supplier_id)
    return move.version + 1


def leave_shelf(tx: Tx, product_id: UUID) -> bool:
    """Take a sold-out product off the shelf where its rule says so; False when it does not, or it was not there."""
    guard = (Product.state == ProductState.PUBLISHED.value, Product.off_shelf_when_empty.is_(True))
    return _move_by_stock(tx, product_id, ProductState.OFF_SHELF, *guard)


def return_to_shelf(tx: Tx, product_id: UUID) -> bool:
    """Put a product back that left the shelf because it sold out; False when a person took it off since."""
    guard = (Product.state == ProductState.OFF_SHELF.value, Product.emptied.is_(True))
    return _move_by_stock(tx, product_id, ProductState.PUBLISHED, *guard)


def _move_by_stock(tx: Tx, product_id: UUID, to: ProductState, *guard: ColumnElement[bool]) -> bool:
    moved = tx.execute(
        update(Product)
        .where(Product.id == product_id, *guard)
        .values(state=to.value, emptied=to is ProductState.OFF_SHELF, version=Product.version + 1)
    )
    if rows_changed(moved) != 1:
        return False
    row = tx.get_one(Product, product_id, populate_existing=True)
    action = "product.sold_out" if to is ProductState.OFF_SHELF else "product.restocked"
    audit.append(tx, actor="system", action=action, entity="product", entity_id=str(product_id))
    changes.append(tx, "product", product_id, domain=DOMAIN, supplier_id=row.supplier_id)
    return True


def change_rules(tx: Tx, product_id: UUID, change: ChangeRules, *, actor: Actor, request_id: str | None = None) -> int:
    """Say anew what the product's keys look like and how they sell; returns its new version.

    Raises NotFound outside of the actor's scope, ProductChanged when `change.version` is not the current one, and
    BadField when it would compare keys by another case than the stored ones were.
    """
    row = tx.scalars(visible(actor, Product).where(Product.id == product_id)).first()
    if row is None:
        raise NotFound
    if change.key_rule.ignore_case != row.key_ignore_case:
        raise BadField(field="key_rule.ignore_case", reason=str(row.key_ignore_case).lower())
    changed = tx.execute(
        update(Product)
        .where(Product.id == product_id, Product.version == change.version)
        .values(version=change.version + 1, **_columns(change.key_rule, change.selling))
    )
    if rows_changed(changed) != 1:
        raise ProductChanged(version=row.version)
    jobs.enqueue(tx, RULES_CHANGED, {"product_id": str(product_id)})
    audit.append(
        tx,
        actor=actor.label,
        action="product.rules",
        entity="product",
        entity_id=str(product_id),
        detail={"version": change.version + 1} | change.model_dump(mode="json", exclude={"version"}),
        request_id=request_id,
    )
    changes.append(tx, "product", product_id, domain=DOMAIN, supplier_id=row.supplier_id)
    return change.version + 1


def _columns(key_rule: KeyRule, selling: SellingRule) -> dict[str, Any]:
    return {
        "key_min_length": key_rule.min_length,
        "key_max_length": key_rule.max_length,
        "key_alphabet": key_rule.alphabet,
        "key_check_digit": key_rule.check_digit.value,
        "key_ignore_case": key_rule.ignore_case,
        "sale_order": selling.sale_order.value,
        "stop_days": selling.stop_days,
        "off_shelf_when_empty": selling.off_shelf_when_empty,
        "refund_policy": selling.refund_policy.value,
    }


def _insert(tx: Tx, rows: list[Category | Product | Sku], *, codes: list[str]) -> None:
    """Insert rows whose codes are unique; the index decides a race, the reads before only name the culprit."""
    model = type(rows[0])
    taken = tx.scalars(select(model.code).where(model.code == codes[0])).first()
    if taken is None and len(codes) > 1:
        taken = tx.scalars(select(Sku.code).where(Sku.code.in_(codes[1:]))).first()
    if taken is not None:
        raise CodeTaken(taken=taken)
    try:
        with tx.begin_nested():
            tx.add_all(rows)
            tx.flush()
    except IntegrityError:
        raise CodeTaken(taken=codes[0]) from None
