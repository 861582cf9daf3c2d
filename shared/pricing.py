"""Prices and splits, pure: what a line costs and who gets what of it. The parts always sum to the line."""

from __future__ import annotations

from dataclasses import dataclass

from shared.money import PPM, Fen, UnitPrice, line_amount, split

MAX_QUANTITY = 1_000


@dataclass(frozen=True, slots=True)
class LineQuote:
    """One line: `amount` = `supplier` + `fee`, all in fen."""

    unit_price: UnitPrice
    quantity: int
    amount: Fen
    supplier: Fen
    fee: Fen


def quote_line(*, unit_price: UnitPrice, quantity: int, fee_ppm: int) -> LineQuote:
    """Price a line. `fee_ppm` is the platform's rate in millionths (product's own, else the supplier's).

    A remainder goes to the supplier. Raises ValueError for a quantity outside 1..1000 or a rate outside 0..100 %.
    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise ValueError(f"quantity must be 1 to {MAX_QUANTITY}")
    if not 0 <= fee_ppm <= PPM:
        raise ValueError("fee_ppm must be 0 to 1000000")
    amount = line_amount(unit_price, quantity)
    supplier, fee = split(amount, [PPM - fee_ppm, fee_ppm])
    return LineQuote(unit_price=unit_price, quantity=quantity, amount=amount, supplier=supplier, fee=fee)
