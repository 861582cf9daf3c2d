"""A difference between two sides of a day, with an id that is made of what it is about: every run finds the same.

Pure: `matching` and `controls` find them, `actions` keeps them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from server.gateways.bill_rows import FundKind, RowKind, TradeRow
from shared.finance import DIFFERENCE_ACTIONS, DifferenceAction, DifferenceKind
from shared.money import Fen


class OurRow(NamedTuple):
    """A payment or refund as our books have it.

    `out_trade_no` is our number as the channel knows it; `provider_no` the channel's (a refund's own), empty where we
    were told none. `fee_fen` is the fee we expect, negative where it is given back, None where we expect nothing of it.
    A payment's `state` is `paid`, `unpaid`, or `aside` for money that pays no attempt: then `due_fen` is what the
    attempt it was meant for should have brought, None where it was meant for none. A refund's is its `RefundState`.
    `at` is when it was paid, or handed in.
    """

    id: UUID
    kind: RowKind
    out_trade_no: str
    provider_no: str
    out_refund_no: str
    amount_fen: Fen
    fee_fen: Fen | None
    state: str
    at: datetime | None
    ended_at: datetime | None = None
    due_fen: Fen | None = None


_NO_ID = UUID(int=0)  # of one that is not `named` yet


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, with what each side has of it in fen; a side that has nothing of it is None.

    `closes_itself`: the same money on both sides, a day apart, or another business's. Of a fund bill, `ours` is what
    the trade bill has, and `moved` says which movement it is about.
    """

    kind: DifferenceKind
    out_trade_no: str
    provider_no: str
    out_refund_no: str
    ours_fen: Fen | None
    theirs_fen: Fen | None
    bill_row: int | None = None
    ours: OurRow | None = None
    theirs: TradeRow | None = None
    closes_itself: bool = False
    moved: FundKind | None = None
    id: UUID = _NO_ID

    @property
    def off_by_fen(self) -> Fen:
        """How much more the other side has than ours."""
        return (self.theirs_fen or 0) - (self.ours_fen or 0)

    @property
    def proposed(self) -> DifferenceAction:
        """What the engine advises."""
        return DIFFERENCE_ACTIONS[self.kind][0]


_PLACES = {kind: place for place, kind in enumerate(DifferenceKind)}


def named(channel: str, day: date, differences: Iterable[Difference]) -> list[Difference]:
    """The differences in their order, which is that of their content, with their ids. Equal ones are numbered."""
    seen: Counter[str] = Counter()
    found = []
    for one in sorted(differences, key=_order):
        numbers = f"{one.provider_no}:{one.out_trade_no}:{one.out_refund_no}"
        about = f"{channel}:{day}:{one.kind}:{one.moved or ''}:{numbers}"
        seen[about] += 1
        found.append(replace(one, id=uuid5(NAMESPACE_URL, f"kameng:difference:{about}:{seen[about]}")))
    return found


def _order(one: Difference) -> tuple[object, ...]:
    return (
        _PLACES[one.kind],
        one.out_trade_no,
        one.out_refund_no,
        one.provider_no,
        one.moved or "",
        one.theirs_fen or 0,
        one.ours_fen or 0,
        one.bill_row or 0,
    )
