"""What a key is sold under: its last day, what it cost, how often it may be sold. Equal terms make one lot.

Costs go from the cell's digits to an integer of 1/10000 yuan; a number cell of Excel holds 15 digits, and those are
what is read. An empty cell means what the options say for the whole file. Used by `judge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

from desktop.importing.expiry import parse_expiry
from desktop.importing.options import Columns, Options
from shared.contracts.stock import MAX_LOTS, MAX_USES
from shared.errors import BadInput
from shared.money import parse_unit_price

MAX_COST = 10**11
_KNOWN_MOST = 10_000


class TooManyLots(BadInput):
    """More combinations of expiry, cost and uses than one import may have."""

    code = "import.too_many_lots"
    zh = "有效期、成本、可用次数的组合超过 {limit} 种，通常是列选错了。请核对这几列，或拆成几个文件。"
    en = (
        "More than {limit} combinations of expiry, cost and uses: most likely a column is wrong. "
        "Check these columns, or split the file."
    )


class Terms(NamedTuple):
    """What the keys of one lot share. `cost` of one unit is in 1/10000 yuan."""

    expires_on: date | None = None
    cost: int | None = None
    uses: int = 1


class Refusal(NamedTuple):
    """Why the terms of a row cannot be told, and in which column (from 0) of the file."""

    reason: str
    column: int


class TermsReader:
    """Reads the terms of rows and numbers the lots they make, in the order they were met."""

    def __init__(self, options: Options, columns: Columns, shift: int, *, today: date) -> None:
        self._options = options
        self._today = today
        self._columns = [column for column in (columns.expiry, columns.cost, columns.uses) if column is not None]
        self._readers = [
            reader
            for column, reader in (
                (columns.expiry, self._expiry),
                (columns.cost, self._cost),
                (columns.uses, self._uses),
            )
            if column is not None
        ]
        self._fields = [
            field
            for column, field in ((columns.expiry, "expires_on"), (columns.cost, "cost"), (columns.uses, "uses"))
            if column is not None
        ]
        self.indexes = [column - shift for column in self._columns]
        self.lots: list[Terms] = []
        self._places: dict[Terms, int] = {}
        self._known: dict[tuple[Any, ...], int | Refusal] = {}

    def of(self, cells: Sequence[Any]) -> int | Refusal:
        """The lot of a row. Raises TooManyLots."""
        return self._of(tuple(cells[at] if 0 <= at < len(cells) else "" for at in self.indexes))

    def of_block(self, columns: Sequence[Sequence[Any]], rows: int) -> list[int] | None:
        """The lots of a block given by its columns; None when a row of it has to be looked at by itself."""
        if not self.indexes:
            return [self._of(())] * rows  # type: ignore[list-item]  # nothing to refuse without a column
        mine = [columns[at] if at >= 0 else ("",) * rows for at in self.indexes]
        if any(bool in set(map(type, cells)) for cells in mine):
            return None  # TRUE is equal to 1
        keys = list(zip(*mine, strict=True))
        found = {key: self._of(key) for key in set(keys)}
        if any(isinstance(lot, Refusal) for lot in found.values()):
            return None
        return [found[key] for key in keys]  # type: ignore[misc]  # checked above

    def _of(self, key: tuple[Any, ...]) -> int | Refusal:
        if any(isinstance(cell, bool) for cell in key):
            return self._read(key)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _KNOWN_MOST:  # a column of distinct nonsense must not grow without bound
                self._known.clear()
            known = self._known[key] = self._read(key)
        return known

    def _read(self, key: tuple[Any, ...]) -> int | Refusal:
        given: dict[str, Any] = {"cost": self._options.cost, "uses": self._options.uses}
        for cell, column, field, read in zip(key, self._columns, self._fields, self._readers, strict=True):
            value = read(cell)
            if isinstance(value, str):
                return Refusal(value, column)
            if value is not None:
                given[field] = value
        terms = Terms(**given)
        if terms not in self._places:
            if len(self.lots) == MAX_LOTS:
                raise TooManyLots(limit=MAX_LOTS)
            self._places[terms] = len(self.lots)
            self.lots.append(terms)
        return self._places[terms]

    def _expiry(self, cell: Any) -> date | str | None:
        try:
            day = parse_expiry(cell, self._options.expiry_order)
        except ValueError:
            return "expiry_unreadable"
        return "expired" if day is not None and day < self._today else day

    @staticmethod
    def _cost(cell: Any) -> int | str | None:
        try:
            return parse_cost(cell)
        except ValueError:
            return "cost_unreadable"

    @staticmethod
    def _uses(cell: Any) -> int | str | None:
        try:
            return parse_uses(cell)
        except ValueError:
            return "uses_unreadable"


def parse_cost(value: object) -> int | None:
    """Yuan as written or as a number cell, in 1/10000 yuan; None for nothing. Raises ValueError with a reason for
    people.
    """
    text = format(value, ".15g") if isinstance(value, float) else str(value).strip()
    text = text.translate(_PLAIN_DIGITS).removeprefix("¥").removesuffix("元").strip()
    if text in {"", "-", "/"}:
        return None
    cost = parse_unit_price(text)
    if cost > MAX_COST:
        raise ValueError("金额太大")
    return cost


def parse_uses(value: object) -> int | None:
    """A whole number of uses from 1, or None for nothing. Raises ValueError with a reason for people."""
    text = format(value, ".15g") if isinstance(value, float) else str(value).strip()
    text = text.translate(_PLAIN_DIGITS).removesuffix("次").strip()
    if text in {"", "-", "/"}:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_USES and len(text) <= 9):
        raise ValueError(f"请填写 1 到 {MAX_USES} 的整数")
    return int(text)


def range_of(terms: Iterable[Terms]) -> tuple[date | None, date | None]:
    """The first and the last day among terms that have one."""
    days = [one.expires_on for one in terms if one.expires_on is not None]
    return (min(days), max(days)) if days else (None, None)


_PLAIN_DIGITS = str.maketrans("０１２３４５６７８９．￥，", "0123456789.¥,")
