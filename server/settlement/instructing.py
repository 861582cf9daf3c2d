"""What is split of payments so that a payout by profit sharing reaches its supplier. Pure.

The rules of WeChat Pay's profit sharing: no more of a payment than a share that its merchant was granted, not within a
minute of the payment, within 30 days of it, at most 50 receivers a request and 50 rounds an order. A request here has
one receiver: the supplier, who can give back within 180 days.

The channel is not asked by us: people carry the rows there, and import what became of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from shared.money import PPM, Fen, split

NOT_BEFORE = timedelta(minutes=1)
WITHIN = timedelta(days=30)
GIVEN_BACK_WITHIN = timedelta(days=180)
MOST_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Window:
    """When a payment can be split, and why it cannot be any more.

    `trouble`: `too_late` after 30 days, `too_many_rounds`. Such money is transferred; where its split was sent before,
    by the next payout, once that is told to have failed.
    """

    start_at: datetime
    until: datetime
    trouble: str | None


def window(paid_at: datetime, *, at: datetime, rounds: int) -> Window:
    """The window of a payment of which `rounds` requests were made before."""
    until = paid_at + WITHIN
    trouble = "too_late" if at > until else "too_many_rounds" if rounds >= MOST_ROUNDS else None
    return Window(paid_at + NOT_BEFORE, until, trouble)


def most_of(paid: Fen, ppm: int) -> Fen:
    """How much of a payment may be split in all."""
    return paid * ppm // PPM


@dataclass(frozen=True, slots=True)
class Part:
    """What is split of the payment of an order, and what of the fee for it stays there with the shop."""

    order_id: UUID
    amount: Fen
    fee: Fen


def share_out(amount: Fen, fee: Fen, own: Mapping[UUID, Fen], others: Mapping[UUID, Fen]) -> list[Part]:
    """What is paid out over the payments of orders that it comes from, in proportion to what is left of each.

    None gives more than is left of it. What its `own` payments lack comes from `others`; what they lack too comes from
    no payment. The fee comes out of what these payments have left then; what they have not comes from no payment.
    """
    shares: list[tuple[UUID, Fen, Fen]] = []
    for left in (own, others):
        taken = min(amount, sum(left.values()))
        parts = zip(left.items(), split(taken, list(left.values())), strict=True)
        shares += [(order_id, share, fen - share) for (order_id, fen), share in parts if share > 0]
        amount -= taken
    remain = [rest for _, _, rest in shares]
    fees = split(min(fee, sum(remain)), remain)
    return [Part(order_id, share, part) for (order_id, share, _), part in zip(shares, fees, strict=True)]
