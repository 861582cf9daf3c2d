"""HTTP of the catalogue for the console."""

from __future__ import annotations

from uuid import UUID

from fastapi import Query, Request

from server import context, policy, web
from server.catalog import actions, queries
from server.context import Context
from server.db import Tx
from server.identity.queries import supplier_exists
from server.policy import Actor, Router
from shared.contracts import catalog as wire
from shared.contracts.base import Page
from shared.errors import BadField, NotFound
from shared.permissions import Permission, Role
from shared.states import ProductState

router = Router(prefix="/api")


@router.get("/categories", allow=Permission.CATALOG_PRODUCT_READ)
def list_categories(request: Request) -> Page[wire.Category]:
    """All shelves in their order."""
    with context.of(request).db.read() as tx:
        return Page[wire.Category](items=queries.categories(tx))


@router.post("/categories", allow=Permission.CATALOG_CATEGORY_EDIT, status_code=201)
def add_category(request: Request, body: wire.NewCategory) -> wire.Category:
    """Add a shelf."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        category_id = actions.create_category(tx, body, actor=who, request_id=web.request_id(request))
    return wire.Category(id=category_id, code=body.code, name=body.name, rank=body.rank)


@router.get("/products", allow=Permission.CATALOG_PRODUCT_READ)
def list_products(
    request: Request,
    state: ProductState | None = None,
    q: str | None = Query(default=None, max_length=120),
    after: UUID | None = None,
    limit: int = Query(default=100, ge=1, le=500),
) -> Page[wire.Product]:
    """Products of the actor's scope, newest first."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.read() as tx:
        page = queries.products(tx, who, state=state, q=q, after=after, limit=limit)
        return Page[wire.Product](items=_with_counts(ctx, tx, page.items), next=page.next)


@router.get("/products/{product_id}", allow=Permission.CATALOG_PRODUCT_READ)
def one_product(request: Request, product_id: UUID) -> wire.Product:
    """One product of the actor's scope."""
    ctx = context.of(request)
    with ctx.db.read() as tx:
        return _answer(ctx, tx, policy.actor(request), product_id)


@router.post("/products", allow=Permission.CATALOG_PRODUCT_EDIT, status_code=201)
def add_product(request: Request, body: wire.NewProduct) -> wire.Product:
    """Draft a product. Suppliers draft their own, at the rate agreed with them; operators name the supplier."""
    ctx, who = context.of(request), policy.actor(request)
    if body.fee_ppm is not None:
        policy.require(who, Permission.CATALOG_PRODUCT_PUBLISH)
    with ctx.db.tx() as tx:
        supplier_id = _supplier_of(tx, who, body.supplier_id)
        product_id = actions.create_product(
            tx, body, supplier_id=supplier_id, actor=who, request_id=web.request_id(request)
        )
        return _answer(ctx, tx, who, product_id)


@router.post("/products/{product_id}/state", allow=Permission.CATALOG_PRODUCT_PUBLISH)
def move_product(request: Request, product_id: UUID, body: wire.MoveProduct) -> wire.Product:
    """Publish a product or take it off the shelf, from the version the person looked at."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        actions.move_product(tx, product_id, body, actor=who, request_id=web.request_id(request))
        return _answer(ctx, tx, who, product_id)


@router.put("/products/{product_id}/rules", allow=Permission.CATALOG_PRODUCT_EDIT)
def change_rules(request: Request, product_id: UUID, body: wire.ChangeRules) -> wire.Product:
    """What the product's keys look like and how they sell, from the version the person looked at."""
    ctx, who = context.of(request), policy.actor(request)
    with ctx.db.tx() as tx:
        actions.change_rules(tx, product_id, body, actor=who, request_id=web.request_id(request))
        answer = _answer(ctx, tx, who, product_id)
    ctx.jobs.wake()
    return answer


def _supplier_of(tx: Tx, who: Actor, named: UUID | None) -> UUID:
    """Whose product it will be. A supplier that names another one learns nothing about whether it exists."""
    if who.role is Role.SUPPLIER:
        assert who.supplier_id is not None
        named = named or who.supplier_id
    if named is None or not supplier_exists(tx, who, named):
        raise BadField(field="supplier_id", reason="?" if named is None else str(named))
    return named


def _answer(ctx: Context, tx: Tx, who: Actor, product_id: UUID) -> wire.Product:
    found = queries.product(tx, who, product_id)
    if found is None:
        raise NotFound
    return _with_counts(ctx, tx, [found])[0]


def _with_counts(ctx: Context, tx: Tx, products: list[wire.Product]) -> list[wire.Product]:
    free = ctx.hints.free_counts(tx, [sku.id for product in products for sku in product.skus])
    return [
        product.model_copy(
            update={"skus": [sku.model_copy(update={"free": free.get(sku.id, 0)}) for sku in product.skus]}
        )
        for product in products
    ]
