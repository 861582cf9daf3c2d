"""Reads of the catalogue: terms of sale for checkout, pages of the storefront, lists of the console."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, or_, select

from server.catalog.model import Category, Product, Sku
from server.db import Tx
from server.identity.queries import supplier_terms
from server.policy import Actor, visible
from shared.cardkey import CheckDigit
from shared.contracts import catalog as wire
from shared.contracts.base import Page
from shared.money import UnitPrice
from shared.states import ProductState, RefundPolicy, SaleOrder


@dataclass(frozen=True, slots=True)
class SaleTerms:
    """All that checkout and stock need to know of a SKU.

    `fee_ppm` is the platform's rate by the rule that counts (`catalog.fees`); `fee_unit_price` what it takes of each
    piece instead, in 1/10000 yuan, where that is said.
    """

    sku_id: UUID
    sku_code: str
    product_id: UUID
    product_code: str
    title: str
    supplier_id: UUID
    unit_price: UnitPrice
    max_quantity: int
    fee_ppm: int
    fee_unit_price: UnitPrice | None
    on_sale: bool
    key_rule: wire.KeyRule
    selling: wire.SellingRule


@dataclass(frozen=True, slots=True)
class ShelfItem:
    """One product in the shop window. `from_price` is that of its cheapest SKU, in 1/10000 yuan."""

    product_id: UUID
    code: str
    name: str
    summary: str
    picture: str | None
    from_price: UnitPrice
    sku_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """One category with what is on sale in it."""

    code: str
    name: str
    items: tuple[ShelfItem, ...]


@dataclass(frozen=True, slots=True)
class PageSku:
    """One choice on a product page."""

    id: UUID
    code: str
    name: str
    unit_price: UnitPrice
    max_quantity: int


@dataclass(frozen=True, slots=True)
class ProductPage:
    """A published product as a buyer sees it, with when its money goes back. `version` changes with every edit."""

    id: UUID
    code: str
    name: str
    summary: str
    description: str
    picture: str | None
    category_code: str
    category_name: str
    supplier: str
    refund_policy: RefundPolicy
    version: int
    skus: tuple[PageSku, ...]


# --- terms of sale ---


def sale_terms(tx: Tx, sku_codes: Sequence[str]) -> dict[str, SaleTerms]:
    """Terms by SKU code, drafts included (`on_sale` is False); unknown codes are missing. One statement."""
    return {row.code: _terms(row) for row in tx.execute(_terms_by_code(), {"codes": sorted(set(sku_codes))})}


@cache
def _terms_by_code() -> Select[*tuple[object, ...]]:
    """Made once, as every order asks it."""
    return _terms_query().where(Sku.code.in_(bindparam("codes", expanding=True)))


def sku_by_code(tx: Tx, code: str) -> SaleTerms | None:
    """Terms of one SKU, also of a draft; None when there is no such code."""
    return sale_terms(tx, [code]).get(code)


def sku_terms(tx: Tx, sku_ids: Sequence[UUID]) -> dict[UUID, SaleTerms]:
    """The same by SKU id."""
    return {row.id: _terms(row) for row in tx.execute(_terms_by_id(), {"ids": list(set(sku_ids))})}


@cache
def _terms_by_id() -> Select[*tuple[object, ...]]:
    """Made once, as every piece of an import asks it."""
    return _terms_query().where(Sku.id.in_(bindparam("ids", expanding=True)))


def lock_sku(tx: Tx, sku_id: UUID) -> None:
    """Let no two transactions at once write what a SKU has one of. Orders and imports of it do not wait."""
    tx.execute(select(Sku.id).where(Sku.id == sku_id).with_for_update(key_share=True))


def some_ignore_case(tx: Tx) -> bool:
    """Whether the shop has a product whose keys are compared without looking at their case."""
    return tx.scalars(select(Product.id).where(Product.key_ignore_case.is_(True)).limit(1)).first() is not None


def _terms_query() -> Select[*tuple[object, ...]]:
    supplier = supplier_terms()
    return (
        select(
            Sku.id,
            Sku.code,
            Sku.name,
            Sku.unit_price,
            Sku.max_quantity,
            Product.id.label("product_id"),
            Product.code.label("product_code"),
            Product.name.label("product_name"),
            Product.supplier_id,
            Product.state,
            *_RULES,
            func.coalesce(Product.rule_fee_ppm, Product.fee_ppm, supplier.c.fee_ppm).label("fee_ppm"),
            Product.rule_fee_unit_price,
        )
        .join(Product, Product.id == Sku.product_id)
        .join(supplier, supplier.c.id == Product.supplier_id)
    )


def _terms(row: Row[*tuple[object, ...]]) -> SaleTerms:
    return SaleTerms(
        sku_id=row.id,
        sku_code=row.code,
        product_id=row.product_id,
        product_code=row.product_code,
        title=full_title(row.product_name, row.name),
        supplier_id=row.supplier_id,
        unit_price=row.unit_price,
        max_quantity=row.max_quantity,
        fee_ppm=row.fee_ppm,
        fee_unit_price=row.rule_fee_unit_price,
        on_sale=row.state == ProductState.PUBLISHED.value,
        key_rule=_key_rule(row),
        selling=_selling(row),
    )


_RULES = (
    Product.key_min_length,
    Product.key_max_length,
    Product.key_alphabet,
    Product.key_check_digit,
    Product.key_ignore_case,
    Product.sale_order,
    Product.stop_days,
    Product.off_shelf_when_empty,
    Product.refund_policy,
)


def _key_rule(row: Any) -> wire.KeyRule:
    """The rule in the columns of a product. Stored rules were checked when they came in; orders read them often."""
    return wire.KeyRule.model_construct(
        min_length=row.key_min_length,
        max_length=row.key_max_length,
        alphabet=row.key_alphabet,
        check_digit=CheckDigit(row.key_check_digit),
        ignore_case=row.key_ignore_case,
    )


def _selling(row: Any) -> wire.SellingRule:
    return wire.SellingRule.model_construct(
        sale_order=SaleOrder(row.sale_order),
        stop_days=row.stop_days,
        off_shelf_when_empty=row.off_shelf_when_empty,
        refund_policy=RefundPolicy(row.refund_policy),
    )


def full_title(product: str, sku: str) -> str:
    """What an order line is called: the product and its variant, or the product alone when both are called alike."""
    return product if sku == product else f"{product} · {sku}"


@dataclass(frozen=True, slots=True)
class ListedSku:
    """One SKU with the names a list of the console shows."""

    id: UUID
    code: str
    title: str
    product_code: str
    supplier_id: UUID
    supplier: str


def visible_sku(tx: Tx, who: Actor, code: str) -> SaleTerms | None:
    """Terms of one SKU of the actor's scope; None when there is no such code for this actor."""
    terms = sku_by_code(tx, code)
    if terms is None:
        return None
    mine = tx.scalars(visible(who, Product).where(Product.id == terms.product_id)).first()
    return terms if mine is not None else None


def skus(tx: Tx, who: Actor, *, q: str | None, after: str | None, limit: int) -> Page[ListedSku]:
    """A page of the actor's SKUs by code. `q` matches the start of a code or a part of a name; `after` is a code."""
    supplier = supplier_terms()
    mine = visible(who, Product).subquery()
    query = (
        select(
            Sku.id,
            Sku.code,
            Sku.name,
            mine.c.code.label("product_code"),
            mine.c.name.label("product_name"),
            mine.c.supplier_id,
            supplier.c.name.label("supplier"),
        )
        .join(mine, mine.c.id == Sku.product_id)
        .join(supplier, supplier.c.id == mine.c.supplier_id)
    )
    if q:
        named = or_(Sku.name.contains(q, autoescape=True), mine.c.name.contains(q, autoescape=True))
        query = query.where(or_(Sku.code.startswith(q, autoescape=True), named))
    if after is not None:
        query = query.where(Sku.code > after)
    rows = tx.execute(query.order_by(Sku.code).limit(limit + 1)).all()
    items = [
        ListedSku(
            id=row.id,
            code=row.code,
            title=full_title(row.product_name, row.name),
            product_code=row.product_code,
            supplier_id=row.supplier_id,
            supplier=row.supplier,
        )
        for row in rows[:limit]
    ]
    return Page[ListedSku](items=items, next=items[-1].code if len(rows) > limit else None)


@dataclass(frozen=True, slots=True)
class WatchedSku:
    """What the watch over the stock needs to know of a SKU.

    `sold_here`: its product is on the shelf, or would be but that it sold out (`emptied`).
    """

    id: UUID
    code: str
    title: str
    product_id: UUID
    supplier_id: UUID
    supplier: str
    unit_price: UnitPrice
    sold_here: bool
    emptied: bool
    leaves_shelf: bool


def watched_skus(tx: Tx, sku_ids: Collection[UUID]) -> dict[UUID, WatchedSku]:
    """SKUs of any supplier by id."""
    return _watched(tx, Sku.id.in_(list(sku_ids)))


def watched_products(tx: Tx, product_ids: Collection[UUID]) -> dict[UUID, WatchedSku]:
    """All SKUs of these products by id."""
    return _watched(tx, Product.id.in_(list(product_ids)))


def _watched(tx: Tx, which: ColumnElement[bool]) -> dict[UUID, WatchedSku]:
    supplier = supplier_terms()
    query = (
        select(
            Sku.id,
            Sku.code,
            Sku.name,
            Sku.unit_price,
            Product.id.label("product_id"),
            Product.name.label("product_name"),
            Product.supplier_id,
            supplier.c.name.label("supplier"),
            Product.state,
            Product.emptied,
            Product.off_shelf_when_empty,
        )
        .join(Product, Product.id == Sku.product_id)
        .join(supplier, supplier.c.id == Product.supplier_id)
        .where(which)
    )
    found = {}
    for row in tx.execute(query):
        published = row.state == ProductState.PUBLISHED.value
        found[row.id] = WatchedSku(
            id=row.id,
            code=row.code,
            title=full_title(row.product_name, row.name),
            product_id=row.product_id,
            supplier_id=row.supplier_id,
            supplier=row.supplier,
            unit_price=row.unit_price,
            sold_here=published or row.emptied,
            emptied=row.emptied,
            leaves_shelf=published and row.off_shelf_when_empty,
        )
    return found


# --- storefront ---


def shop_window(tx: Tx, *, category: str | None = None) -> list[Shelf]:
    """What is on sale, by category in their order, newest product first; empty categories are left out."""
    query = (
        select(Category.code.label("shelf"), Category.name.label("shelf_name"), Product)
        .join(Category, Category.id == Product.category_id)
        .where(Product.state == ProductState.PUBLISHED.value)
        .order_by(Category.rank, Category.code, Product.published_at.desc(), Product.id.desc())
    )
    if category is not None:
        query = query.where(Category.code == category)
    rows = tx.execute(query).all()
    skus = _skus_of(tx, [row.Product.id for row in rows])
    shelves: dict[tuple[str, str], list[ShelfItem]] = defaultdict(list)
    for row in rows:
        product: Product = row.Product
        own = skus[product.id]
        shelves[row.shelf, row.shelf_name].append(
            ShelfItem(
                product_id=product.id,
                code=product.code,
                name=product.name,
                summary=product.summary,
                picture=product.picture,
                from_price=min(sku.unit_price for sku in own),
                sku_ids=tuple(sku.id for sku in own),
            )
        )
    return [Shelf(code=code, name=name, items=tuple(items)) for (code, name), items in shelves.items()]


def product_page(tx: Tx, code: str) -> ProductPage | None:
    """A product on sale, or None: drafts and products off the shelf do not exist for buyers."""
    supplier = supplier_terms()
    row = tx.execute(
        select(Product, Category.code.label("shelf"), Category.name.label("shelf_name"), supplier.c.name)
        .join(Category, Category.id == Product.category_id)
        .join(supplier, supplier.c.id == Product.supplier_id)
        .where(Product.code == code, Product.state == ProductState.PUBLISHED.value)
    ).first()
    if row is None:
        return None
    product: Product = row.Product
    skus = _skus_of(tx, [product.id])[product.id]
    return ProductPage(
        id=product.id,
        code=product.code,
        name=product.name,
        summary=product.summary,
        description=product.description,
        picture=product.picture,
        category_code=row.shelf,
        category_name=row.shelf_name,
        supplier=row.name,
        refund_policy=RefundPolicy(product.refund_policy),
        version=product.version,
        skus=tuple(
            PageSku(id=s.id, code=s.code, name=s.name, unit_price=s.unit_price, max_quantity=s.max_quantity)
            for s in skus
        ),
    )


def _skus_of(tx: Tx, product_ids: Sequence[UUID]) -> dict[UUID, list[Sku]]:
    found: dict[UUID, list[Sku]] = defaultdict(list)
    if product_ids:
        for sku in tx.scalars(select(Sku).where(Sku.product_id.in_(product_ids)).order_by(Sku.product_id, Sku.n)):
            found[sku.product_id].append(sku)
    return found


# --- console ---


def categories(tx: Tx) -> list[wire.Category]:
    """All categories in their order. They are the shop's own and no secret."""
    rows = tx.scalars(select(Category).order_by(Category.rank, Category.code))
    return [wire.Category(id=row.id, code=row.code, name=row.name, rank=row.rank) for row in rows]


def product(tx: Tx, who: Actor, product_id: UUID) -> wire.Product | None:
    """One product of the actor's scope, `free` counts 0 (the route fills them in); None when there is none."""
    found = tx.scalars(visible(who, Product).where(Product.id == product_id)).all()
    listed = _listed(tx, found)
    return listed[0] if listed else None


def products(
    tx: Tx, who: Actor, *, state: ProductState | None, q: str | None, after: UUID | None, limit: int
) -> Page[wire.Product]:
    """A page of the actor's products, newest first. `q` matches the start of a code or a part of a name."""
    query = visible(who, Product)
    if state is not None:
        query = query.where(Product.state == state.value)
    if q:
        query = query.where(or_(Product.code.startswith(q, autoescape=True), Product.name.contains(q, autoescape=True)))
    if after is not None:
        query = query.where(Product.id < after)
    found = tx.scalars(query.order_by(Product.id.desc()).limit(limit + 1)).all()
    more = str(found[limit - 1].id) if len(found) > limit else None
    return Page[wire.Product](items=_listed(tx, found[:limit]), next=more)


def _listed(tx: Tx, found: Sequence[Product]) -> list[wire.Product]:
    if not found:
        return []
    shelves = {row.id: row.code for row in tx.scalars(select(Category))}
    terms = supplier_terms()
    owners = {row.id: row.name for row in tx.execute(select(terms.c.id, terms.c.name))}
    skus = _skus_of(tx, [row.id for row in found])
    return [
        wire.Product(
            id=row.id,
            code=row.code,
            category=shelves[row.category_id],
            name=row.name,
            summary=row.summary,
            description=row.description,
            picture=row.picture,
            supplier_id=row.supplier_id,
            supplier=owners[row.supplier_id],
            fee_ppm=row.fee_ppm,
            state=ProductState(row.state),
            version=row.version,
            created_at=row.created_at,
            skus=[_sku(sku) for sku in skus[row.id]],
            key_rule=_key_rule(row),
            selling=_selling(row),
            emptied=row.emptied,
        )
        for row in found
    ]


def _sku(row: Sku) -> wire.Sku:
    return wire.Sku(
        id=row.id, code=row.code, name=row.name, unit_price=row.unit_price, max_quantity=row.max_quantity, free=0
    )
