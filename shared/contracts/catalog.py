"""Categories, products and SKUs: drafted by suppliers, published by an operator."""

from __future__ import annotations

import string
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, model_validator

from shared.cardkey import MAX_LENGTH, CheckDigit, Pattern
from shared.contracts.base import Answer, Code, Name, Request
from shared.money import PPM
from shared.states import ProductState, RefundPolicy, SaleOrder

Version = Annotated[int, Field(ge=1, le=2**62)]
"""Which state of a row a person looked at."""

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


_PROVABLE = {
    CheckDigit.LUHN: frozenset(string.digits),
    CheckDigit.MOD_97: frozenset(string.digits + string.ascii_letters),
}


class KeyRule(Request):
    """What the secrets of a product look like, and whether two that differ in case only are the same key."""

    min_length: Annotated[int, Field(ge=1, le=MAX_LENGTH)] = 1
    max_length: Annotated[int, Field(ge=1, le=MAX_LENGTH)] = MAX_LENGTH
    alphabet: Annotated[str, Field(max_length=128)] = ""
    check_digit: CheckDigit = CheckDigit.NONE
    ignore_case: bool = False

    @model_validator(mode="after")
    def _is_satisfiable(self) -> KeyRule:
        if self.min_length > self.max_length:
            raise ValueError("min_length must not be more than max_length")
        provable = _PROVABLE.get(self.check_digit)
        if self.alphabet and provable is not None and provable.isdisjoint(self.alphabet):
            raise ValueError("no key of this alphabet can have this check digit")
        return self

    @property
    def pattern(self) -> Pattern:
        """The rule as `shared.cardkey` tests it."""
        return Pattern(
            min_length=self.min_length,
            max_length=self.max_length,
            alphabet=self.alphabet,
            check_digit=self.check_digit,
        )


class SellingRule(Request):
    """How a product's stock is sold. `stop_days` before its expiry a key is no longer offered.

    `refund_policy` is frozen into each order: a change holds for new ones.
    """

    sale_order: SaleOrder = SaleOrder.FIRST_IN
    stop_days: Annotated[int, Field(ge=0, le=3650)] = 0
    off_shelf_when_empty: bool = False
    refund_policy: RefundPolicy = RefundPolicy.DEFECT_ONLY


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
    key_rule: KeyRule = KeyRule()
    selling: SellingRule = SellingRule()


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
    key_rule: KeyRule = KeyRule()
    selling: SellingRule = SellingRule()
    emptied: bool = False
    """Off the shelf because it sold out; new stock puts it back."""


class MoveProduct(Request):
    """`POST /api/products/{id}/state`: publish or take off the shelf, from the version the person looked at."""

    to: ProductState
    version: Version


class ChangeRules(Request):
    """`PUT /api/products/{id}/rules`. `key_rule.ignore_case` must stay as it is: stored keys were compared by it."""

    version: Version
    key_rule: KeyRule
    selling: SellingRule
