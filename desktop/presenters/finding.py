"""Pasted keys are looked for: how many were found and where, which are not in stock, which were pasted twice.

Clear keys live from the paste to the seal: neither this state nor what it lists has more of a key than its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from desktop.operations import keys
from desktop.presenters import formats
from desktop.presenters.listing import Column, Listing
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.stock_columns import unit_name
from desktop.presenters.watching import Watched
from desktop.presenters.words import in_words, tone, word
from shared.contracts.identity import Person
from shared.contracts.stock import FoundKey, FoundKeys
from shared.permissions import Permission
from shared.states import UnitState

FOUND, MISSING, DOUBLED = "found", "missing", "doubled"

_MISSING = ("没有找到", "Not found")
_DOUBLED = ("与第 {line} 行相同", "Same as line {line}")


@dataclass(frozen=True, slots=True)
class FoundRow:
    """What became of one pasted line; a key that several products have makes several rows."""

    line: int
    shown: str
    outcome: str
    first_line: int = 0
    found: FoundKey | None = None

    @property
    def sku(self) -> str:
        """Where it is, or nothing."""
        return "" if self.found is None else self.found.sku


def _result(row: FoundRow) -> str:
    if row.found is not None:
        return word(row.found.unit.state)
    return in_words(_MISSING if row.outcome == MISSING else _DOUBLED).format(line=row.first_line)


def _result_tone(row: FoundRow) -> str:
    if row.found is not None:
        return tone(row.found.unit.state)
    return "danger" if row.outcome == MISSING else "warning"


COLUMNS = (
    Column[FoundRow]("line", lambda row: formats.count(row.line), numeric=True, sample="1,000"),
    Column[FoundRow]("key", lambda row: row.shown, code=True, sample=formats.MASK * 8 + "WXYZ"),
    Column[FoundRow]("result", _result, tone=_result_tone, sample="Same as line 1,000"),
    Column[FoundRow]("sku", lambda row: row.sku, code=True, sample="STEAM-WALLET-100"),
    Column[FoundRow](
        "unit",
        lambda row: "" if row.found is None else unit_name(row.found.unit),
        code=True,
        sample="#12-1,234,567",
    ),
    Column[FoundRow](
        "expiry", lambda row: "" if row.found is None else formats.day(row.found.unit.expires_on), sample="2026-03-02"
    ),
    Column[FoundRow](
        "sold_at",
        lambda row: (
            "" if row.found is None or row.found.unit.sold_at is None else formats.moment(row.found.unit.sold_at)
        ),
        sample="2026-03-02 10:00:00",
    ),
    Column[FoundRow]("reason", lambda row: "" if row.found is None else row.found.unit.reason or "", stretch=True),
)


class Finding(Watched):
    """The search.

    Attributes:
        is_open: it is in front of the stock.
        busy: the server is being asked.
        rows: what became of each line; `listing` shows those of the chosen `figure`.
        asked: different keys that were looked for; None before the first search.
        error: why there is no answer.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self.may_find = Permission.STOCK_UNIT_READ in frozenset(person.permissions)
        self.is_open = False
        self.busy = False
        self.rows: list[FoundRow] = []
        self.listing: Listing[FoundRow] = Listing(COLUMNS)
        self.figure = ""
        self.pasted: int | None = None
        self.error: Exception | None = None

    def open(self) -> None:
        """Come to the front."""
        if self.may_find and not self.is_open:
            self.is_open = True
            self.changed()

    def close(self) -> None:
        """Forget everything."""
        self._latest.only(self._failed)
        self.is_open = self.busy = False
        self.rows, self.pasted, self.error, self.figure = [], None, None, ""
        self.listing.show_rows([])
        self.changed()

    def look_for(self, text: str) -> None:
        """Look for the keys in pasted lines. The text is gone when this returns."""
        if not self.may_find or not text.strip():
            return
        self.is_open, self.figure, self.error = True, "", None
        self.rows, self.pasted = [], None
        self.listing.show_rows([])
        try:
            asked = keys.read_pasted(text)
        except keys.TooManyKeys as error:
            self._failed(error)
            return
        shown = [_Line(one.line, one.shown, one.first_line) for one in asked]
        self.busy = True
        then = self._latest.only(partial(self._found, shown))
        self._ask(lambda engine: keys.find(engine, asked), then, self._latest.also(self._failed))
        self.changed()

    def choose(self, figure: str) -> None:
        """List only the lines that one figure counts; all with an empty one."""
        self.figure = figure
        self.listing.show_rows([row for row in self.rows if figure in {"", "pasted", row.outcome}])
        self.changed()

    def count(self, outcome: str) -> int:
        """How many lines had this outcome."""
        return len({row.line for row in self.rows if row.outcome == outcome})

    def sold(self) -> int:
        """How many of the found ones were sold."""
        return len({row.line for row in self.rows if row.found and row.found.unit.state is UnitState.SOLD})

    def _found(self, lines: list[_Line], found: FoundKeys) -> None:
        self.busy, self.pasted = False, len(lines)
        asked = [line for line in lines if not line.first_line]
        places: dict[int, list[FoundKey]] = {}
        for one in found.found:
            places.setdefault(one.n, []).append(one)
        numbers = {line.line: n for n, line in enumerate(asked)}
        self.rows = [row for line in lines for row in _rows(line, places.get(numbers.get(line.line, -1), []))]
        self.choose("")

    def _failed(self, error: Exception) -> None:
        # Its frames had the clear keys.
        self.busy, self.error = False, error.with_traceback(None)
        self.changed()


@dataclass(frozen=True, slots=True)
class _Line:
    """A pasted line without its key."""

    line: int
    shown: str
    first_line: int


def _rows(line: _Line, places: list[FoundKey]) -> list[FoundRow]:
    if line.first_line:
        return [FoundRow(line.line, line.shown, DOUBLED, first_line=line.first_line)]
    if not places:
        return [FoundRow(line.line, line.shown, MISSING)]
    return [FoundRow(line.line, line.shown, FOUND, found=place) for place in places]
