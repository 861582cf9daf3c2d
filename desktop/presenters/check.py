"""One file before it is imported: what it is, how it is read, which SKU it is for, and what has to be decided.

Every guess of the reader is shown and can be changed; each change reads the first lines again, and then checks every
row, so that the ledger, the repairs and the rows left out are known before anything is sent. Nobody has to wait for
that: importing stops the check. The clear keys of the 20 preview lines live here only while the sheet is open, and
the view shows them masked until somebody points at one.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from desktop.engine.events import FileChecked
from desktop.importing import Columns, Counted, Ledger, Options, Preview, PreviewLine
from desktop.importing.decode import EncodingUncertain, EncodingUnknown, FileUndecodable, LineTooLong
from desktop.importing.options import ExpiryOrder
from desktop.importing.sentences import REASONS, REPAIRS, Notice
from desktop.importing.terms import Terms, parse_cost, parse_uses
from desktop.operations import checking, goods, imports
from desktop.operations.checking import Checking
from desktop.presenters import formats, problems
from desktop.presenters.formats import MASK
from desktop.presenters.listing import Listing
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.problems import ProblemRow
from desktop.presenters.watching import Watched
from desktop.presenters.words import language
from shared import ids
from shared.contracts.stock import SkuStock
from shared.errors import KamengError, NotAllowed

__all__ = [
    "ENCODINGS",
    "EXPIRY_ORDERS",
    "SEPARATORS",
    "Check",
    "Columns",
    "Ledger",
    "PreviewLine",
    "SkuChoice",
    "Terms",
]

ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
SEPARATORS = ("----", "\t", ",", ";", "|", " ", "")
EXPIRY_ORDERS: tuple[ExpiryOrder, ...] = ("ymd", "dmy", "mdy")
_OF_HABIT = frozenset({"columns", "header_lines", "separator", "sheet", "expiry_order"})
_SHAPE = re.compile(r"\w")
_SHOWN_TAIL = 4
_OF_ENCODING = (EncodingUncertain, EncodingUnknown, FileUndecodable, LineTooLong)
_REFUSING = frozenset(REASONS) - {"duplicate", "empty_row", "header", "hidden_row"}


def shape(text: str) -> str:
    """A line with its letters and digits covered but for the last four: separators and damage stay visible."""
    letters = [at for at, character in enumerate(text) if _SHAPE.match(character)]
    covered = set(letters[: max(0, len(letters) - _SHOWN_TAIL)] if len(letters) > 2 * _SHOWN_TAIL else letters)
    return "".join(MASK if at in covered else character for at, character in enumerate(text))


@dataclass(frozen=True, slots=True)
class SkuChoice:
    """A SKU that a file may be imported into."""

    code: str
    title: str


def choices(rows: Sequence[SkuStock]) -> list[SkuChoice]:
    """The SKUs, each with the words a person knows it by."""
    return [SkuChoice(row.sku, row.name) for row in rows]


class Check(Watched):
    """One file on the sheet.

    Attributes:
        file: where it is; `title` is what to call it.
        preview: what the reader makes of it; None while it is looked at, or when it cannot be read.
        error: why it cannot be read or could not be started.
        may_repeat: the same file was imported before; importing it again has to be said.
        sku: where the keys go; empty until it is chosen.
        looking, starting: an answer is awaited.
        ledger: what became of every row; None until the check is through.
        checked: how far that is, from 0 to 1.
        figure: which figure of the ledger filters the list of problems; empty shows the first lines.
        problems: that list.
        by_habit: the columns are those of the last file for these goods.
        has_rule: the product says what its keys look like, and rows are tested by it.
    """

    def __init__(
        self, ask: Ask, file: Path, *, title: str, skus: list[SkuChoice], sku: str = "", started: Callable[[Any], None]
    ) -> None:
        super().__init__()
        self._ask = ask
        self._latest = Latest()
        self._started = started
        self.file = file
        self.title = title
        self.options = Options()
        self.preview: Preview | None = None
        self.error: Exception | None = None
        self.may_repeat = False
        self.looking = self.starting = False
        self.by_habit = self.has_rule = False
        self.ledger: Ledger | None = None
        self.checked = 0.0
        self.figure = ""
        self.problems: Listing[ProblemRow] = Listing(problems.COLUMNS)
        self.skus: list[SkuChoice] = []
        self.sku = sku
        self._habits = True
        self._checking: Checking | None = None
        self._repairs: dict[str, Counted] = {}
        self.offer(skus)

    def offer(self, skus: list[SkuChoice]) -> None:
        """The SKUs that may be chosen. One that the file's name speaks of, or the only one, is chosen already."""
        self.skus = skus
        if not self.sku:
            self.sku = self._guess_sku()
            if self.sku and (self.preview is not None or self.looking):
                self.look(in_place=True)  # by the product's rule
        self.changed()

    def _guess_sku(self) -> str:
        named = [one.code for one in self.skus if one.code.casefold() in self.title.casefold()]
        if named:
            return max(named, key=len)
        return self.skus[0].code if len(self.skus) == 1 else ""

    def look(self, *, in_place: bool = False) -> None:
        """Read the first lines with the options as they are, then check every row.

        `in_place`: what is shown stays good enough to begin with, as when only the SKU is another one.
        """
        self._stop_checking()
        self.looking, self.ledger, self.checked = not (in_place and self.preview is not None), None, 0.0
        self.changed()
        file, options, sku, habits = self.file, self.options, self.sku, self._habits
        then = self._latest.only(self._looked)
        self._ask(
            lambda engine: checking.look(engine, file, options, sku=sku, habits=habits),
            then,
            self._latest.also(self._unreadable),
        )

    def decide(self, **options: Any) -> None:
        """Change fields of `Options` and read the first lines again."""
        changed = replace(self.options, **options)
        if changed != self.options:
            if not options.keys().isdisjoint(_OF_HABIT):
                self._habits, self.by_habit = False, False
            self.options = changed
            self.look()

    def refuse_repair(self, code: str, *, refused: bool) -> None:
        """Leave out, or take in again, the rows that need this kind of repair."""
        self.decide(repairs_refused=self.options.repairs_refused ^ {code})
        assert (code in self.options.repairs_refused) is refused

    def leave(self) -> None:
        """The sheet is put away: nobody waits for the check."""
        self._latest.only(lambda _: None)
        self._stop_checking()

    def choose_sku(self, code: str) -> None:
        """Put the keys into this SKU."""
        if code != self.sku:
            self.sku, self.may_repeat = code, False
            if self.by_habit:  # it was another product's
                self.options = replace(self.options, columns=None, header_lines=None, separator=None)
                self.options = replace(self.options, expiry_order="ymd")
            self.look(in_place=not self.by_habit)

    def next_encoding(self) -> None:
        """Read the same bytes in the next encoding of the list."""
        if self.preview is None and self.error is None:
            return
        now = (self.preview.encoding if self.preview is not None else self.options.encoding) or ""
        at = next((n for n, name in enumerate(ENCODINGS) if now.startswith(name)), -1)
        self.decide(encoding=ENCODINGS[(at + 1) % len(ENCODINGS)])

    def next_separator(self) -> None:
        """Cut the same lines by the next separator of the list."""
        if self.preview is None or self.preview.separator is None:
            return
        at = SEPARATORS.index(self.preview.separator) if self.preview.separator in SEPARATORS else -1
        self.decide(separator=SEPARATORS[(at + 1) % len(SEPARATORS)], columns=None)

    def use_columns(self, *, secret: int, **others: int | None) -> None:
        """Say which columns hold what: number, expiry, cost, uses. A column cannot be two things: the first wins."""
        taken, columns = {secret}, dict[str, int]()
        for role in ("number", "expiry", "cost", "uses"):
            column = others.get(role)
            if column is not None and column not in taken:
                taken.add(column)
                columns[role] = column
        self.decide(columns=Columns(secret=secret, **columns))

    def use_cost(self, text: str) -> bool:
        """What each unit cost, in yuan as typed, where no column says so; whether that is an amount."""
        try:
            self.decide(cost=parse_cost(text))
        except ValueError:
            return False
        return True

    def use_uses(self, text: str) -> bool:
        """How often each key may be sold, where no column says so; whether that is a number of uses."""
        try:
            self.decide(uses=parse_uses(text) or 1)
        except ValueError:
            return False
        return True

    def filter(self, figure: str) -> None:
        """List the rows that one figure counts; the first lines again with an empty one."""
        self.figure = figure if figure != "valid" else ""
        self._list_problems()
        self.changed()

    def hear(self, told: FileChecked) -> None:
        """The check went on."""
        if self._checking is not None and told.id == self._checking.id:
            self.checked = told.fraction
            self.changed()

    @property
    def is_ready(self) -> bool:
        """Whether the import may begin."""
        return self.preview is not None and bool(self.sku) and not self.looking and not self.starting

    @property
    def repairs(self) -> list[tuple[str, Counted, bool]]:
        """Each kind of repair, where it is needed, and whether it is made; most frequent first."""
        known = dict(self._repairs)
        ranked = sorted(known.items(), key=lambda item: -item[1].count)
        return [(code, counted, code not in self.options.repairs_refused) for code, counted in ranked]

    @property
    def is_checking(self) -> bool:
        """Whether rows are still being checked."""
        return self._checking is not None

    @property
    def is_damaged(self) -> bool:
        """Whether keys may have lost leading zeros: a decision is due."""
        return self._has_notice("zeros_lost")

    @property
    def has_hidden_rows(self) -> bool:
        """Whether the sheet has hidden rows: a decision is due."""
        return self._has_notice("rows_hidden") or self.options.hidden_rows == "include"

    @property
    def may_be_encoding(self) -> bool:
        """Whether the file cannot be read, and another encoding might help."""
        return self.preview is None and isinstance(self.error, _OF_ENCODING)

    @property
    def refusals(self) -> list[tuple[str, int]]:
        """Why lines are refused, in the language of the window, and how many; most frequent first.

        Those of the preview, until every row was checked.
        """
        if self.ledger is not None:
            return [
                (problems.reason_words(code), counted.count)
                for code, counted in self.ledger.reasons.items()
                if code in _REFUSING
            ]
        lines = self.preview.lines if self.preview is not None else ()
        counted = Counter(verdict(one, lines) for one in lines if one.reason in _REFUSING)
        return counted.most_common()

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What else is to be known about the file: of every row, once they are checked."""
        of_file = () if self.ledger is None else self.ledger.notices
        told = {one.code for one in of_file}
        return of_file + tuple(one for one in self._first_notices() if one.code not in told)

    def _first_notices(self) -> tuple[Notice, ...]:
        return self.preview.notices if self.preview is not None else ()

    def start(self) -> None:
        """Import it. `may_repeat` says afterwards whether the server would see it a second time."""
        if not self.is_ready or self.preview is None:
            return
        self.leave()
        self.starting, self.error = True, None
        self.changed()
        file, sku, preview, again, title = self.file, self.sku, self.preview, self.may_repeat, self.title
        self._ask(
            lambda engine: checking.begin(engine, file=file, sku=sku, preview=preview, again=again, title=title),
            self._begun,
            self._refused,
        )

    def _has_notice(self, code: str) -> bool:
        return any(one.code == code for one in self.notices)

    def _looked(self, look: checking.Look) -> None:
        self.looking, self.preview, self.error = False, look.preview, None
        self.by_habit, self.has_rule = look.by_habit, look.has_rule
        if look.by_habit:
            read = look.preview.options
            self.options = replace(
                self.options,
                columns=read.columns,
                header_lines=read.header_lines,
                separator=read.separator,
                expiry_order=read.expiry_order,
            )
        elif look.goes_on:
            self.options = look.preview.options
        under_way = self._checking = Checking(ids.new_id(), threading.Event())
        file, options = self.file, look.preview.options
        self._ask(
            lambda engine: checking.check(engine, file, options, under_way),
            lambda ledger: self._checked(under_way, ledger),
            lambda error: self._check_failed(under_way, error),
        )
        self.changed()

    def _checked(self, under_way: Checking, ledger: Ledger | None) -> None:
        if self._checking is not under_way or ledger is None:
            return
        self._checking, self.ledger, self.checked = None, ledger, 1.0
        for code in set(self._repairs) - self.options.repairs_refused:
            del self._repairs[code]
        self._repairs |= ledger.repairs
        self._list_problems()
        self.changed()

    def _check_failed(self, under_way: Checking, error: Exception) -> None:
        if self._checking is under_way:
            self._checking, self.error = None, error
            self.changed()

    def _stop_checking(self) -> None:
        if self._checking is not None:
            self._checking.stop()
            self._checking = None

    def _list_problems(self) -> None:
        rows = problems.from_file(self.ledger) if self.ledger is not None else []
        self.problems.show_rows([row for row in rows if self.figure in {"read", row.kind}])

    def _unreadable(self, error: Exception) -> None:
        self.looking, self.error = False, error
        if not isinstance(error, goods.SkuUnknown | NotAllowed):
            self.preview = None
        self.changed()

    def _begun(self, started: imports.ImportStarted) -> None:
        self.starting = False
        self._started(started)
        self.changed()

    def _refused(self, error: Exception) -> None:
        self.starting, self.error = False, error
        self.may_repeat = isinstance(error, KamengError) and error.code == imports.ImportedBefore.code
        self.changed()


def terms_words(terms: Terms) -> str:
    """What a key would be sold under, in the language of the window; empty when there is nothing to say."""
    is_english = language().startswith("en")
    words = [] if terms.expires_on is None else [terms.expires_on.isoformat()]
    if terms.cost is not None:
        words.append(formats.price(terms.cost))
    if terms.uses > 1:
        words.append(f"{terms.uses} uses" if is_english else f"{terms.uses} 次")
    return " · ".join(words)


def repair_words(code: str) -> str:
    """What a kind of repair does, in the language of the window."""
    return REPAIRS[code].sentence(language())


def verdict(line: PreviewLine, lines: Sequence[PreviewLine]) -> str:
    """What becomes of one of the `lines`, in the language of the window; empty when it is imported as it is."""
    if line.reason is not None:
        card = (line.number, line.secret)
        first = next((one.line for one in lines if (one.number, one.secret) == card), line.line)
        return REASONS[line.reason].sentence(language()).format(first_line=first)
    return "、".join(REPAIRS[code].sentence(language()) for code in line.repairs)


def verdict_tone(line: PreviewLine) -> str:
    """The voice of the verdict."""
    if line.reason in {"empty_row", "header", "hidden_row"}:
        return "neutral"
    if line.reason is not None:
        return "danger"
    return "warning" if line.repairs else "success"
