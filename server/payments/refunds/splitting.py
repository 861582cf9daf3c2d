"""Who bears a refund, pure: each one is split over what is still unreversed, so that the last one ends exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.money import Fen, split


@dataclass(frozen=True, slots=True)
class Shares:
    """What a line's money went to, or goes back from."""

    supplier: Fen
    fee: Fen

    @property
    def amount(self) -> Fen:
        """All of it: what the buyer paid, or gets back."""
        return self.supplier + self.fee

    def __sub__(self, other: Shares) -> Shares:
        return Shares(self.supplier - other.supplier, self.fee - other.fee)

    def part(self, amount: Fen) -> Shares:
        """`amount` of this, by largest remainder; a tie goes to the supplier, then the platform.

        Never more of a share than is left of it: what is taken as often as one likes sums to the whole.
        """
        assert 0 <= amount <= self.amount, (amount, self)
        return Shares(*split(amount, [self.supplier, self.fee]))


def of_units(left: Fen, *, units: int, of: int) -> Fen:
    """What `units` of the `of` units that are left have cost, when `left` is all that they cost together."""
    assert 0 < units <= of, (units, of)
    return split(left, [units, of - units])[0]


def over_lines(amount: Fen, left: Sequence[Fen]) -> list[Fen]:
    """An amount over lines in proportion to what is left of each; the parts sum to it."""
    assert 0 <= amount <= sum(left), (amount, left)
    return split(amount, left)
