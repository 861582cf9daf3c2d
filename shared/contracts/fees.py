"""Rules of the platform's share of what is sold: `GET` and `POST /api/settlement/fee-rules`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Answer, Request
from shared.contracts.payments import Note
from shared.contracts.settlement import Tier
from shared.finance import ShareKind
from shared.money import PPM


class FeeRule(Answer):
    """The platform's share: of a product, of a tier, of a product for a tier. The most particular rule counts.

    `products` is of how many products it is the one that counts now.
    """

    id: UUID
    product: str | None
    tier: str | None
    kind: ShareKind
    ppm: int
    unit_price: int
    reason: str = ""
    products: int = 0
    valid_from: datetime
    changed_by: str


class NewFeeRule(Request):
    """`POST /api/settlement/fee-rules`: percent by `ppm`, or `unit_price` (1/10000 yuan) for each piece."""

    id: UUID
    product: Annotated[str, Field(max_length=64)] | None = None
    tier: Tier | None = None
    kind: ShareKind
    ppm: Annotated[int, Field(strict=True, ge=0, le=PPM)] = 0
    unit_price: Annotated[int, Field(strict=True, ge=0, le=10**11)] = 0
    reason: Note
