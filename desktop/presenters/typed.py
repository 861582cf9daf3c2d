"""What people type into the fields of an act, as what it means; and what is said of what means nothing."""

from __future__ import annotations

from datetime import date

from shared.errors import BadInput
from shared.money import PPM, parse_fen, parse_unit_price


class NotAnAmount(BadInput):
    """What was typed is no amount of money."""

    code = "typed.not_an_amount"
    zh = "金额请填 12.50 这样的数。"
    en = "An amount looks like 12.50."


def typed_fen(text: str) -> int | None:
    """An amount as a person types it; None for nothing. Raises NotAnAmount."""
    if not text:
        return None
    try:
        return parse_fen(text)
    except ValueError as error:
        raise NotAnAmount from error


def typed_price(text: str) -> int:
    """The price of one piece as a person types it, in 1/10000 yuan. Raises NotAnAmount."""
    try:
        return parse_unit_price(text)
    except ValueError as error:
        raise NotAnAmount from error


class NotADay(BadInput):
    """What was typed is no day."""

    code = "typed.not_a_day"
    zh = "日期请填 2026-03-02 这样的格式。"
    en = "A day looks like 2026-03-02."


def typed_day(text: str) -> date | None:
    """A day as a person types it; None for nothing. Raises NotADay."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise NotADay from error


class NotANumber(BadInput):
    """What was typed is no whole number."""

    code = "typed.not_a_number"
    zh = "“{typed}”不是整数。"
    en = "“{typed}” is no whole number."


def typed_number(text: str) -> int:
    """A whole number as a person types it; nothing typed is 0. Raises NotANumber."""
    try:
        return int(text or "0")
    except ValueError as error:
        raise NotANumber(typed=text) from error


class NotAPercentage(BadInput):
    """What was typed is no percentage."""

    code = "typed.not_a_percentage"
    zh = "比例请填 5 或 0.54 这样的数，最多 100。"
    en = "A percentage looks like 5 or 0.54, and is at most 100."


def typed_ppm(text: str) -> int:
    """A percentage as a person types it, in millionths; nothing typed is 0. Raises NotAPercentage."""
    try:
        ppm = parse_unit_price(text) if text else 0  # four decimals of a percent are millionths
    except ValueError as error:
        raise NotAPercentage from error
    if not 0 <= ppm <= PPM:
        raise NotAPercentage
    return ppm
