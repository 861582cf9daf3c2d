"""Expiry dates of cards, read by explicit formats only. Day and month are never guessed."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

_FORMATS = (
    re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[ T].*)?", re.ASCII),
    re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日?(?:.*)?", re.ASCII),
    re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII),
)
_NEVER = frozenset({"", "-", "/", "无", "长期", "长期有效", "永久", "永久有效", "不限", "none", "never", "n/a"})
_EXCEL_EPOCH = date(1899, 12, 30)
_EXCEL_SERIALS = range(20_000, 110_000)  # 1954 to 2201: a plausible day that lost its format


def parse_expiry(value: object) -> date | None:
    """The last day a card is good, or None when it never expires. Raises ValueError when it cannot be told."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        if int(value) in _EXCEL_SERIALS:
            return _EXCEL_EPOCH + timedelta(days=int(value))
        value = str(int(value))
    text = value.strip() if isinstance(value, str) else "a time, a truth value or a fraction"
    if text.lower() in _NEVER:
        return None
    for pattern in _FORMATS:
        match = pattern.fullmatch(text)
        if match:
            return date(int(match[1]), int(match[2]), int(match[3]))
    raise ValueError("not a date")
