"""Who bears a refund, pure: each one is split over what is still unreversed, so that the last one ends exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.money import Fen, split


class Shared(Protocol):
    """A row that says who had what of a line: an order's line, or what a refund or a dispute takes of it."""

    @property
    def supplier_fen(self) -> int:
        """The supplier's share."""

    @property
    def commission_fen(self) -> int:
        """The distributor's share."""

    @property
    def fee_fen(self) -> int:
        """The platform's share."""

    @property
    def discount_fen(self) -> int:
        """What the shop paid of it in the buyer's place."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What a line's money went to, or goes back from; `discount` is what the shop had put in."""

    supplier: Fen
    fee: Fen
    commission: Fen = 0
    discount: Fen = 0

    @classmethod
    def of(cls, row: Shared) -> Shares:
        """The shares that a row names."""
        return cls(row.supplier_fen, row.fee_fen, row.commission_fen, row.discount_fen)

    @property
    def amount(self) -> Fen:
        """What the buyer paid, or gets back."""
        return self.supplier + self.commission + self.fee - self.discount

    def __sub__(self, other: Shares) -> Shares:
        return Shares(
            self.supplier - other.supplier,
            self.fee - other.fee,
            self.commission - other.commission,
            self.discount - other.discount,
        )

    def part(self, amount: Fen) -> Shares:
        """`amount` of this, by largest remainder; a tie goes to the supplier, then the distributor, then the platform.

        Never more of a share than is left of it: what is taken as often as one likes sums to the whole.
        """
        assert 0 <= amount <= self.amount, (amount, self)
        discount = split(self.discount, [amount, self.amount - amount])[0] if self.amount else 0
        supplier, commission, fee = split(amount + discount, [self.supplier, self.commission, self.fee])
        return Shares(supplier, fee, commission, discount)


def of_units(left: Fen, *, units: int, of: int) -> Fen:
    """What `units` of the `of` units that are left have cost, when `left` is all that they cost together."""
    assert 0 < units <= of, (units, of)
    return split(left, [units, of - units])[0]


def over_lines(amount: Fen, left: Sequence[Fen]) -> list[Fen]:
    """An amount over lines in proportion to what is left of each; the parts sum to it."""
    assert 0 <= amount <= sum(left), (amount, left)
    return split(amount, left)
