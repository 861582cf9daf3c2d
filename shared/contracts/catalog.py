"""Categories, products and SKUs: drafted by suppliers, published by an operator."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Answer, Code, Name, Request
from shared.money import PPM
from shared.states import ProductState

UnitPriceField = Annotated[int, Field(ge=1, le=10**11, description="1/10000 yuan")]


class NewCategory(Request):
    """`POST /api/categories`."""

    code: Code
    name: Name
    rank: Annotated[int, Field(ge=0, le=9999)] = 0


class Category(Answer):
    """A shelf of the storefront."""

    id: UUID
    code: str
    name: str
    rank: int


class NewSku(Request):
    """One sellable variant with its own code and price."""

    code: Code
    name: Name
    unit_price: UnitPriceField
    max_quantity: Annotated[int, Field(ge=1, le=1000)] = 100


class NewProduct(Request):
    """`POST /api/products`: a draft with at least one SKU. Operators and admins name the supplier."""

    category: Code
    code: Code
    name: Name
    summary: Annotated[str, Field(max_length=200)] = ""
    description: Annotated[str, Field(max_length=20_000)] = ""
    picture: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] | None = None
    supplier_id: UUID | None = None
    fee_ppm: Annotated[int, Field(ge=0, le=PPM)] | None = None
    skus: Annotated[list[NewSku], Field(min_length=1, max_length=50)]


class Sku(Answer):
    """A SKU as the console shows it; `free` is a cached count, never trusted for selling."""

    id: UUID
    code: str
    name: str
    unit_price: int
    max_quantity: int
    free: int


class Product(Answer):
    """A product with its SKUs."""

    id: UUID
    code: str
    category: str
    name: str
    summary: str
    description: str
    picture: str | None
    supplier_id: UUID
    supplier: str
    fee_ppm: int | None
    state: ProductState
    version: int
    created_at: datetime
    skus: list[Sku]


class MoveProduct(Request):
    """`POST /api/products/{id}/state`: publish or take off the shelf, from the version the person looked at."""

    to: ProductState
    version: int
