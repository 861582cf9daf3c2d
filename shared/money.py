"""Money: integers of fen, unit prices in 1/10000 yuan, splits that always sum. No float ever touches money."""

from __future__ import annotations

import re
from collections.abc import Sequence

Fen = int
"""An amount in fen (1/100 yuan)."""

UnitPrice = int
"""A price of one piece in 1/10000 yuan: goods at 0.0350 a piece exist."""

PPM = 1_000_000
UNITS_PER_FEN = 100
MAX_FEN = 10**13

_YUAN = re.compile(r"^(?P<whole>\d{1,11})(?:\.(?P<part>\d+))?$")


def line_amount(unit_price: UnitPrice, quantity: int) -> Fen:
    """What a line costs: rounded once, half up, to fen. `unit_price` and `quantity` are not negative."""
    assert unit_price >= 0
    assert quantity >= 0
    return (unit_price * quantity + UNITS_PER_FEN // 2) // UNITS_PER_FEN


def least_quantity(unit_price: UnitPrice) -> int:
    """The fewest pieces that cost a fen. `unit_price` is positive."""
    return -(-(UNITS_PER_FEN // 2) // unit_price)


def split(total: Fen, weights: Sequence[int]) -> list[Fen]:
    """Share `total` in proportion to `weights` by largest remainder; the parts sum to `total`.

    Ties of a remainder go to the earlier part, so callers order parts supplier, distributor, platform.
    Raises ValueError when a weight is negative or all are zero while there is something to share.
    """
    whole = sum(weights)
    if any(w < 0 for w in weights) or (whole == 0 and total != 0):
        raise ValueError("weights must not be negative and must not all be zero")
    if whole == 0:
        return [0] * len(weights)
    sign, rest = (1, total) if total >= 0 else (-1, -total)
    parts = [rest * w // whole for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda n: (-(rest * weights[n] % whole), n))
    for n in by_remainder[: rest - sum(parts)]:
        parts[n] += 1
    return [sign * part for part in parts]


def format_fen(amount: Fen) -> str:
    """`1234567` as `12,345.67`; for machines and workbooks use the integer itself."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100:,}.{abs(amount) % 100:02d}"


def format_yuan(amount: Fen) -> str:
    """`-123` as `-¥1.23`: what people read, with the sign before all of it."""
    return f"-¥{format_fen(-amount)}" if amount < 0 else f"¥{format_fen(amount)}"


def format_unit_price(price: UnitPrice) -> str:
    """A price of one piece with two digits, or as many as it needs up to four: `9.90`, `0.035`."""
    text = f"{price // 10_000}.{price % 10_000:04d}"
    while text.endswith("0") and len(text.rsplit(".", 1)[1]) > 2:
        text = text[:-1]
    return text


def parse_fen(text: str) -> Fen:
    """Yuan with at most two decimals, as typed, to fen. Raises ValueError with a reason for people."""
    return _parse(text, digits=2)


def parse_unit_price(text: str) -> UnitPrice:
    """Yuan with at most four decimals, as typed, to 1/10000 yuan. Raises ValueError with a reason for people."""
    return _parse(text, digits=4)


def _parse(text: str, *, digits: int) -> int:
    match = _YUAN.match(text.strip().removeprefix("¥").replace(",", ""))
    if match is None:
        raise ValueError("请填写金额，例如 9.90")
    part = match["part"] or ""
    if len(part.rstrip("0")) > digits:
        raise ValueError(f"最多 {digits} 位小数")
    return int(match["whole"] + part[:digits].ljust(digits, "0"))
