"""Expiry dates of cards, read by explicit formats only. Day and month are never guessed."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from desktop.importing.options import ExpiryOrder

_YEAR_FIRST = (
    re.compile(r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?:[ T].*)?", re.ASCII),
    re.compile(r"(?P<y>\d{4})年(?P<m>\d{1,2})月(?P<d>\d{1,2})日?(?:.*)?", re.ASCII),
)
_FORMATS: dict[ExpiryOrder, tuple[re.Pattern[str], ...]] = {
    "ymd": (*_YEAR_FIRST, re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})", re.ASCII)),
    "dmy": (
        *_YEAR_FIRST,
        re.compile(r"(?P<d>\d{1,2})[-/.](?P<m>\d{1,2})[-/.](?P<y>\d{4})(?:[ T].*)?", re.ASCII),
        re.compile(r"(?P<d>\d{2})(?P<m>\d{2})(?P<y>\d{4})", re.ASCII),
    ),
    "mdy": (
        *_YEAR_FIRST,
        re.compile(r"(?P<m>\d{1,2})[-/.](?P<d>\d{1,2})[-/.](?P<y>\d{4})(?:[ T].*)?", re.ASCII),
        re.compile(r"(?P<m>\d{2})(?P<d>\d{2})(?P<y>\d{4})", re.ASCII),
    ),
}
_NEVER = frozenset({"", "-", "/", "无", "长期", "长期有效", "永久", "永久有效", "不限", "none", "never", "n/a"})
_EXCEL_EPOCH = date(1899, 12, 30)
_EXCEL_SERIALS = range(20_000, 110_000)  # 1954 to 2201: a plausible day that lost its format


def parse_expiry(value: object, order: ExpiryOrder = "ymd") -> date | None:
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
    for pattern in _FORMATS[order]:
        match = pattern.fullmatch(text)
        if match:
            return date(int(match["y"]), int(match["m"]), int(match["d"]))
    raise ValueError("not a date")
