"""What a statement brought forward from before (上期结转), or would if it were made now, taken apart."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.contracts.base import Answer

BroughtKind = Literal[
    "short", "dropped", "adjusted", "lacked", "given_back", "frozen", "unfrozen", "lost", "restored", "others"
]
"""What it comes from: the statement before that was short of nought, a draft that had brought it forward before it was
dropped, an adjustment, what of a payout did not arrive or was given back, a dispute that froze, gave back or took, a
refund that ended without money after it had been deducted; and the rest, which other statements bear."""


class BroughtForward(Answer):
    """One part of what a statement brought forward; all parts add up to it, and more is better for the supplier.

    `number` names where it comes from: a statement, an adjustment's ticket, a payout, a refund, or the channel's number
    of a dispute. `id` is its id for who may open it. `note` says why an adjustment was made; a supplier's person
    reads neither, nor which order was adjusted.
    """

    kind: BroughtKind
    amount_fen: int
    at: datetime | None = None
    number: str = ""
    id: UUID | None = None
    order_code: str | None = None
    note: str = ""
