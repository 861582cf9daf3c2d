"""Writes of the catalogue. Each takes a `tx`, appends its audit row and its change, and never commits."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from server import audit, changes
from server.catalog.model import Category, Product, Sku
from server.db import Tx, rows_changed
from server.policy import Actor, visible
from shared import clock
from shared.contracts.catalog import MoveProduct, NewCategory, NewProduct
from shared.errors import BadField, Conflict, NotFound
from shared.ids import new_id
from shared.states import ProductState, require_move

DOMAIN = "catalog"


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
        version=1,
        created_at=clock.now(),
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
    values: dict[str, object] = {"state": move.to.value, "version": move.version + 1}
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
