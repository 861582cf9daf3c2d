"""Placing an order, and what buyers and staff see of one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Answer, Code, Request
from shared.money import MAX_FEN
from shared.pricing import MAX_QUANTITY
from shared.states import AttemptState, FoundBy, OrderState

IDEMPOTENCY_HEADER = "Idempotency-Key"


class PlaceOrder(Request):
    """`POST /api/orders`. `amount_fen` is the total of the review page: the price never changes after it.

    `mini_program` is the system that a mini program runs on; nothing else names it. `agreed_to` is the version of the
    refund rules that the buyer was shown and ticked: another one than holds now is refused, and an order without one
    claims no consent.
    """

    sku: Code
    quantity: Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]
    amount_fen: Annotated[int, Field(strict=True, ge=1, le=MAX_FEN)]
    channel: Annotated[str, Field(pattern=r"^[a-z]{2,16}$")]
    mini_program: Literal["ios", "android", "other"] | None = None
    agreed_to: Annotated[str, Field(pattern=r"^[0-9a-z.-]{1,16}$")] | None = None


class Placed(Answer):
    """The answer to a placed order: where to pay, and the link that opens the keys later on any device."""

    code: str
    state: OrderState
    amount_fen: int
    expires_at: datetime
    order_url: str
    pay_url: str | None
    qr_text: str | None


class OrderStatus(Answer):
    """`GET /o/{code}/status`: what the order page polls. No key, no money, nothing personal.

    `seen` is another text whenever the page would show something else.
    """

    code: str
    state: OrderState
    attempt: AttemptState | None
    seen: str


class OrderLine(Answer):
    """One line as it was sold."""

    sku: str
    title: str
    unit_price: int
    quantity: int
    amount_fen: int
    supplier_fen: int
    fee_fen: int


class Order(Answer):
    """One order as staff see it. `found_by` says which way told that its money came.

    `channels` are all that were tried, the newest first. `channel_fee_fen` is what the channel keeps of it: estimated
    until its bill names it. `refunded_fen` is what the buyer has back of it (None for a supplier's person). `version`
    is another one whenever its state or its money moves.
    """

    id: UUID
    code: str
    state: OrderState
    amount_fen: int
    refunded_fen: int | None
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    delivered_at: datetime | None
    channel: str | None
    channels: list[str] = Field(default_factory=list)
    out_trade_no: str | None
    provider_no: str | None
    found_by: FoundBy | None
    channel_fee_fen: int | None
    channel_fee_is_final: bool
    lines: list[OrderLine]
    version: int
