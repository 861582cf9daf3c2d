"""What a value is in a cell, and in the hash of the rows: a whole column of a block of rows at a time.

`texts` says what a cell says, `hashed` how that goes into the hash (readable again from the sheet by anybody, so that
a workbook can be verified after another program saved it), `marks` are the cells in XML. Text cells are text for ever
(`quotePrefix`): an id keeps its zeros and `=1+1` in a title stays a title. Numbers are exact decimals of integers,
times are the shop's wall clock to the second. A call for each cell would cost more than the cell; hence blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from math import floor
from typing import Any

from shared.clock import SHOP_ZONE
from shared.labels import label
from shared.sentence import Sentence

_SERIAL_OF_YEAR_1 = date(1899, 12, 30).toordinal()
"""Workbooks count days from here (rightly so since March 1900)."""
_EPOCH = date(1970, 1, 1).toordinal()
_SHOP_SECONDS = datetime(1970, 1, 1, tzinfo=SHOP_ZONE).utcoffset().seconds  # type: ignore[union-attr]  # a fixed zone
MOST_DAYS = date.max.toordinal() - _SERIAL_OF_YEAR_1 + 1
"""Days that a workbook counts, or fewer."""
_MOST_KEPT = 100_000
_LONGEST_TEXT = 32_767
"""UTF-16 units of a cell."""

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_LOOKS_ESCAPED = re.compile("_(?=x[0-9A-Fa-f]{4}_)")


class Kind(StrEnum):
    """What a column holds. Beside each: its values in Python (or None)."""

    TEXT = "text"  # str
    WORD = "word"  # a StrEnum with a label, a bool or a Sentence: in the workbook's language; or a word as it is
    TIME = "time"  # an aware datetime
    DAY = "day"  # date
    COUNT = "count"  # int
    AMOUNT = "amount"  # int, fen
    PRICE = "price"  # int, 1/10000 yuan
    RATE = "rate"  # int, parts per million


@dataclass(frozen=True, slots=True)
class Form:
    """How a kind is shown; how many of its units make 1 in the cell, 0 where it is no number."""

    number_format: str
    units: int = 0


FORMS = {
    Kind.TEXT: Form("@"),
    Kind.WORD: Form("@"),
    Kind.TIME: Form("yyyy-mm-dd hh:mm:ss"),
    Kind.DAY: Form("yyyy-mm-dd"),
    Kind.COUNT: Form("#,##0", 1),
    Kind.AMOUNT: Form("#,##0.00", 100),
    Kind.PRICE: Form("#,##0.00##", 10_000),
    Kind.RATE: Form("0.00##%", 1_000_000),
}
_WRITTEN = frozenset({Kind.TEXT, Kind.WORD})


def texts(kind: Kind, values: Sequence[Any], language: str) -> list[str]:
    """What the cells of one kind say; nothing and an empty text are both the empty text."""
    match kind:
        case Kind.TEXT:
            return plain(["" if value is None else value for value in values])
        case Kind.WORD:
            return plain(["" if value is None else _word(value, language) for value in values])
        case Kind.TIME:
            return _wall_clocks(values)
        case Kind.DAY:
            return ["" if value is None else value.isoformat() for value in values]
        case Kind.COUNT:
            return ["" if value is None else str(value) for value in values]
    return _decimals(values, FORMS[kind].units)


def hashed(kind: Kind, said: list[str]) -> list[str]:
    """What the cells say as it stands in a row's line: columns end at tabs, rows at line feeds."""
    if kind not in _WRITTEN or ("\\" not in (joined := "".join(said)) and joined.isprintable()):
        return said
    return [text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n") for text in said]


def marks(kind: Kind, letter: str, style: int, rows: Iterable[int], said: Sequence[str]) -> list[str]:
    """The cells of the column `letter` in `rows`; where nothing is said there is no cell."""
    if kind in _WRITTEN:
        between, end = f'" s="{style}" t="inlineStr"><is>', "</is></c>"
        if _needs_no_escape(said):
            cells = [f'<c r="{letter}{n}{between}<t>{text}</t>{end}' for n, text in zip(rows, said, strict=True)]
        else:
            made = {text: _t(text) for text in set(said)}
            cells = [f'<c r="{letter}{n}{between}{made[text]}{end}' for n, text in zip(rows, said, strict=True)]
    else:
        numbers = _SERIALS[kind](said) if kind in _SERIALS else said
        cells = [f'<c r="{letter}{n}" s="{style}"><v>{text}</v></c>' for n, text in zip(rows, numbers, strict=True)]
    return cells if "" not in said else [cell if text else "" for cell, text in zip(cells, said, strict=True)]


# --- text ---------------------------------------------------------------------------------------------------------


def plain(given: list[str]) -> list[str]:
    """Texts as a cell can hold them: lines end in LF, what XML cannot carry becomes U+FFFD, visibly."""
    if "".join(given).isprintable() and max(map(len, given), default=0) < _LONGEST_TEXT // 2:
        return given
    return list(map(_plain, given))


def _plain(text: str) -> str:
    text = _NOT_IN_XML.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    return text.encode("utf-16-le")[: 2 * _LONGEST_TEXT].decode("utf-16-le", "ignore")


def _needs_no_escape(said: Sequence[str]) -> bool:
    joined = f"|{'|'.join(said)}|"
    return joined.isprintable() and not any(mark in joined for mark in ("&", "<", ">", "_x", "| ", " |"))


def _t(text: str) -> str:
    """The element of a text: readers take `_x0041_` for an escaped letter, and drop spaces at the ends unless told."""
    text = _LOOKS_ESCAPED.sub("_x005F_", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<t xml:space="preserve">{text}</t>'


@lru_cache(maxsize=1_000, typed=True)  # typed: members of two kinds of states that are written alike are equal
def _word(value: Any, language: str) -> str:
    if isinstance(value, bool):
        return ("yes" if value else "no") if language.startswith("en") else ("是" if value else "否")
    if isinstance(value, Sentence):
        return value.sentence(language)
    return label(value, language) if isinstance(value, StrEnum) else str(value)


# --- times --------------------------------------------------------------------------------------------------------


class _Made(dict[Any, str]):
    """Texts that are made once each; there are as many as a day has seconds, or a shop has days."""

    def __init__(self, make: Callable[[Any], str]) -> None:
        self._make = make

    def __missing__(self, key: Any) -> str:
        if len(self) > _MOST_KEPT:  # of days that a file of others names
            self.clear()
        made = self[key] = self._make(key)
        return made


_DATES = _Made(lambda days: date.fromordinal(_EPOCH + days).isoformat())
_CLOCKS = _Made(lambda seconds: f"T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}")
_SERIAL_DATES = _Made(lambda text: str(date.fromisoformat(text).toordinal() - _SERIAL_OF_YEAR_1))
_SERIAL_CLOCKS = _Made(lambda text: f"{_seconds(text) / 86_400:.11f}"[1:].rstrip("0").rstrip("."))


def _seconds(clock: str) -> int:
    return int(clock[1:3]) * 3600 + int(clock[4:6]) * 60 + int(clock[7:9])


def _wall_clocks(instants: Sequence[datetime | None]) -> list[str]:
    """The shop's wall clock to the second, as `2026-11-21T12:00:00`."""
    return [
        ""
        if instant is None
        else _DATES[(second := floor(instant.timestamp()) + _SHOP_SECONDS) // 86_400] + _CLOCKS[second % 86_400]
        for instant in instants
    ]


def wall_clock(serial: float) -> str:
    """What a cell says that counts `serial` days, from 0 up to `MOST_DAYS`: the shop's wall clock to the second."""
    days, second = divmod(min(floor(serial * 86_400 + 0.5), MOST_DAYS * 86_400 - 1), 86_400)
    return _DATES[days + _SERIAL_OF_YEAR_1 - _EPOCH] + _CLOCKS[second]


_SERIALS: dict[Kind, Callable[[Sequence[str]], list[str]]] = {
    Kind.TIME: lambda said: [_SERIAL_DATES[text[:10]] + _SERIAL_CLOCKS[text[10:]] if text else "" for text in said],
    Kind.DAY: lambda said: [_SERIAL_DATES[text] if text else "" for text in said],
}
"""How a workbook counts what these kinds say: days since 1900, and their fraction."""

# --- numbers ------------------------------------------------------------------------------------------------------

_FRACTIONS = {units: [f"{n / units:.6f}"[1:].rstrip("0").rstrip(".") for n in range(units)] for units in (100, 10_000)}


def _decimals(values: Sequence[int | None], units: int) -> list[str]:
    if units not in _FRACTIONS:
        return ["" if value is None else decimal(value, units) for value in values]
    fractions = _FRACTIONS[units]
    return [
        ""
        if value is None
        else f"{value // units}{fractions[value % units]}"
        if value >= 0
        else f"-{-value // units}{fractions[-value % units]}"
        for value in values
    ]


def decimal(value: int, units: int) -> str:
    """`value` units of which `units` make 1, exactly and without trailing zeros."""
    digits = len(str(units)) - 1
    whole, part = divmod(abs(value), units)
    text = f"{whole}.{part:0{digits}d}".rstrip("0").rstrip(".") if digits else str(whole)
    return f"-{text}" if value < 0 else text
