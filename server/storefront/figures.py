"""Amounts and instants as templates lay them out: money split, times in the shop's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared import clock
from shared.money import Fen, UnitPrice, format_fen, format_unit_price


@dataclass(frozen=True, slots=True)
class Price:
    """An amount in two parts, so that the yuan can be large and the cents small: `12,345` and `.60`."""

    whole: str
    part: str

    @classmethod
    def of_fen(cls, amount: Fen) -> Price:
        """A total."""
        return cls._cut(format_fen(amount))

    @classmethod
    def of_unit(cls, price: UnitPrice) -> Price:
        """The price of one piece, which may have up to four decimals."""
        return cls._cut(format_unit_price(price))

    @classmethod
    def _cut(cls, text: str) -> Price:
        whole, _, part = text.partition(".")
        return cls(whole, f".{part}")

    def __str__(self) -> str:
        return f"¥{self.whole}{self.part}"


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as people in the shop read it: whole, as a clock, and for machines."""

    text: str
    clock: str
    iso: str

    @classmethod
    def of(cls, instant: datetime) -> Moment:
        """The instant in the shop's time zone."""
        local = clock.shop_time(instant)
        return cls(f"{local:%Y-%m-%d %H:%M:%S}", f"{local:%H:%M}", local.isoformat(timespec="seconds"))
