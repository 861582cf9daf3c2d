"""What is to be done so that a payout reaches its supplier, as rows for the bank or the channel. Pure.

purchase         one bank transfer: we bought the goods, the supplier is paid like any other creditor
profit_sharing   a split of each payment at its channel, by the rules of WeChat Pay's profit sharing: not within a
                 minute of the payment, within 30 days of it, at most 50 receivers a request and 50 rounds an order

The channel is not asked by us: people carry the rows there, and import what became of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from shared.money import Fen, split

NOT_BEFORE = timedelta(minutes=1)
WITHIN = timedelta(days=30)
MOST_RECEIVERS = 50
MOST_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Part:
    """What a receiver gets of one payment."""

    channel: str
    payment_no: str
    provider_no: str | None
    order_code: str
    paid_at: datetime
    receiver: str
    amount: Fen


@dataclass(frozen=True, slots=True)
class Split:
    """One receiver's row of a request to split a payment; rows of one request have its number.

    `trouble`: `too_late` after 30 days, `too_many_rounds`; such money has to be paid by a bank transfer.
    """

    request_no: str
    part: Part
    start_at: datetime
    until: datetime
    trouble: str | None


def share_out(amount: Fen, own: Mapping[UUID, Fen], others: Mapping[UUID, Fen]) -> list[tuple[UUID, Fen]]:
    """What is paid out over the payments of orders that it comes from, in proportion to what is left of each.

    None gives more than is left of it. What its `own` payments lack comes from `others`; what they lack too comes from
    no payment.
    """
    shares: list[tuple[UUID, Fen]] = []
    for left in (own, others):
        taken = min(amount, sum(left.values()))
        shares += zip(left, split(taken, list(left.values())), strict=True)
        amount -= taken
    return [(order_id, share) for order_id, share in shares if share > 0]


def requests(number: str, parts: Sequence[Part], *, at: datetime, rounds: int) -> list[Split]:
    """The requests of a payout, one for each payment and 50 receivers of it. `rounds` were made of it before."""
    by_payment: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        by_payment.setdefault((part.channel, part.payment_no), []).append(part)
    found: list[Split] = []
    n = 0
    for same in by_payment.values():
        for start in range(0, len(same), MOST_RECEIVERS):
            n += 1
            found += [_split(f"{number}-{n}", part, at, rounds) for part in same[start : start + MOST_RECEIVERS]]
    return found


def _split(request_no: str, part: Part, at: datetime, rounds: int) -> Split:
    until = part.paid_at + WITHIN
    trouble = "too_late" if at > until else "too_many_rounds" if rounds >= MOST_ROUNDS else None
    return Split(request_no, part, part.paid_at + NOT_BEFORE, until, trouble)
