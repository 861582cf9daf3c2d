"""Stock alerts: the rules of a SKU, and what they raised."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Answer, Request
from shared.states import AlertKind

DEFAULT_COVER_DAYS = 3
DEFAULT_EXPIRING_DAYS = 14


class AlertRule(Request):
    """`PUT /api/stock/{sku}/alerts`. None turns one off; a SKU that nobody touched has the defaults.

    `below` counts units for sale; `cover_days` is for how long they last at the pace of the last seven days;
    `expiring_days` looks for keys that stop selling within so many days.
    """

    below: Annotated[int, Field(ge=1, le=10**9)] | None = None
    cover_days: Annotated[int, Field(ge=1, le=365)] | None = DEFAULT_COVER_DAYS
    expiring_days: Annotated[int, Field(ge=1, le=365)] | None = DEFAULT_EXPIRING_DAYS


class Alert(Answer):
    """One crossing of a rule, raised once and cleared when the figure is well back.

    `figure` is what crossed: units left, days of cover in tenths, units expiring, keys offered, keys revealed; as it is
    now while the alert stands, as it was noted once it is cleared.
    `sold_out` (figure 0) is raised when nothing is for sale and nothing held, and takes the place of the low ones.
    `loss_fen` is the revenue of a day that is at stake, by which alerts are ranked: what sells a day, or what expires,
    spread over the rule's days; `for_sale` and `daily` (sold a day, in tenths; of what has sold out, in its last week)
    say why. What follows from counts clears by itself; the last two stand until staff clear them, who alone see them.
    """

    id: UUID
    sku: str
    name: str
    supplier: str
    kind: AlertKind
    figure: int
    for_sale: int
    daily: int
    loss_fen: int
    raised_at: datetime
    cleared_at: datetime | None
