"""Prices and splits, pure: what a line costs and who gets what of it. The parts always sum to the line."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from shared.finance import ShareKind
from shared.money import PPM, Fen, UnitPrice, line_amount, split

MAX_QUANTITY = 1_000


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a line: `ppm` millionths of it, or `unit_price` (1/10000 yuan) for each piece, as far as it reaches."""

    kind: ShareKind
    ppm: int = 0
    unit_price: UnitPrice = 0

    @staticmethod
    def percent(ppm: int) -> Share:
        """`ppm` millionths. Raises ValueError outside 0..100 %."""
        if not 0 <= ppm <= PPM:
            raise ValueError("a share must be 0 to 1000000 ppm")
        return Share(ShareKind.PERCENT, ppm=ppm)

    @staticmethod
    def fixed(unit_price: UnitPrice) -> Share:
        """So much for each piece. Raises ValueError for less than nothing."""
        if unit_price < 0:
            raise ValueError("a share must be 0 or more")
        return Share(ShareKind.FIXED, unit_price=unit_price)

    def of(self, amount: Fen, *, quantity: int, most: Fen) -> Fen:
        """The share alone, half a fen rounded up, never above `most`."""
        if self.kind is ShareKind.PERCENT:
            return min((amount * self.ppm + PPM // 2) // PPM, most)
        return min(line_amount(self.unit_price, quantity), most)


NOTHING = Share(ShareKind.PERCENT)


@dataclass(frozen=True, slots=True)
class Deal:
    """What is special about an order: a discount that the shop bears, and who earns a commission of it (one level)."""

    discount: Share = NOTHING
    commission: Share = NOTHING
    distributor_id: UUID | None = None

    def __post_init__(self) -> None:
        if self.distributor_id is None and self.commission != NOTHING:
            raise ValueError("a commission needs a distributor")


ORDINARY = Deal()


@dataclass(frozen=True, slots=True)
class LineQuote:
    """One line, all in fen: `amount` is what the buyer pays; amount + discount = supplier + commission + fee."""

    unit_price: UnitPrice
    quantity: int
    amount: Fen
    discount: Fen
    supplier: Fen
    commission: Fen
    fee: Fen


def quote_line(*, unit_price: UnitPrice, quantity: int, fee: Share, deal: Deal = ORDINARY) -> LineQuote:
    """Price a line. Shares are of its full price, which the discount is taken off for the buyer alone.

    Percentages are split by largest remainder; a tie goes to the supplier, then the distributor, then the platform.
    Fixed amounts come out of what the supplier would have, the platform's first, and end where that ends.
    Raises ValueError for a quantity outside 1..1000 and for percentages above 100 % together.
    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise ValueError(f"quantity must be 1 to {MAX_QUANTITY}")
    full = line_amount(unit_price, quantity)
    if fee.ppm + deal.commission.ppm > PPM:
        raise ValueError("fee and commission must be 100 % together at most")
    rest = PPM - fee.ppm - deal.commission.ppm
    supplier, commission, platform = split(full, [rest, deal.commission.ppm, fee.ppm])
    if fee.kind is ShareKind.FIXED:
        platform = fee.of(full, quantity=quantity, most=supplier)
        supplier -= platform
    if deal.commission.kind is ShareKind.FIXED:
        commission = deal.commission.of(full, quantity=quantity, most=supplier)
        supplier -= commission
    discount = deal.discount.of(full, quantity=quantity, most=full)
    return LineQuote(
        unit_price=unit_price,
        quantity=quantity,
        amount=full - discount,
        discount=discount,
        supplier=supplier,
        commission=commission,
        fee=platform,
    )
