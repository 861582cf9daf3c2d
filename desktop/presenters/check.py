"""One file before it is imported: what it is, how it is read, which SKU it is for, and what has to be decided.

Every guess of the reader is shown and can be changed; each change reads the first lines again. The clear keys of the
20 preview lines live here only while the sheet is open, and the view shows them masked until somebody points at one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from desktop.importing import Columns, Options, Preview, PreviewLine
from desktop.importing.decode import EncodingUncertain, EncodingUnknown, FileUndecodable, LineTooLong
from desktop.importing.sentences import REASONS, REPAIRS, Notice
from desktop.operations import imports
from desktop.presenters.formats import MASK
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import language
from shared.contracts.stock import SkuStock
from shared.errors import KamengError

__all__ = ["ENCODINGS", "SEPARATORS", "Check", "Columns", "PreviewLine", "SkuChoice"]

ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
SEPARATORS = ("----", "\t", ",", ";", "|", " ", "")
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
    return [SkuChoice(row.sku, f"{row.product} · {row.name}") for row in rows]


class Check(Watched):
    """One file on the sheet.

    Attributes:
        file: where it is; `title` is what to call it.
        preview: what the reader makes of it; None while it is looked at, or when it cannot be read.
        error: why it cannot be read or could not be started.
        may_repeat: the same file was imported before; importing it again has to be said.
        sku: where the keys go; empty until it is chosen.
        looking, starting: an answer is awaited.
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
        self.skus: list[SkuChoice] = []
        self.sku = sku
        self.offer(skus)

    def offer(self, skus: list[SkuChoice]) -> None:
        """The SKUs that may be chosen. One that the file's name speaks of, or the only one, is chosen already."""
        self.skus = skus
        if not self.sku:
            self.sku = self._guess_sku()
        self.changed()

    def _guess_sku(self) -> str:
        named = [one.code for one in self.skus if one.code.casefold() in self.title.casefold()]
        if named:
            return max(named, key=len)
        return self.skus[0].code if len(self.skus) == 1 else ""

    def look(self) -> None:
        """Read the first lines with the options as they are."""
        self.looking = True
        self.changed()
        file, options = self.file, self.options
        then = self._latest.only(self._previewed)
        self._ask(lambda _engine: imports.preview(file, options), then, self._latest.also(self._unreadable))

    def decide(self, **options: Any) -> None:
        """Change fields of `Options` and read the first lines again."""
        changed = replace(self.options, **options)
        if changed != self.options:
            self.options = changed
            self.look()

    def choose_sku(self, code: str) -> None:
        """Put the keys into this SKU."""
        if code != self.sku:
            self.sku, self.may_repeat = code, False
            if self.preview is not None:
                self.error = None
            self.changed()

    def next_encoding(self) -> None:
        """Read the same bytes in the next encoding of the list."""
        if self.preview is None and self.error is None:
            return
        now = (self.preview.encoding if self.preview is not None else self.options.encoding) or ""
        at = next((n for n, name in enumerate(ENCODINGS) if now.startswith(name)), -1)
        self.decide(encoding=ENCODINGS[(at + 1) % len(ENCODINGS)])

    def use_columns(self, *, number: int | None, secret: int, expiry: int | None) -> None:
        """Say which columns hold what. A column cannot be two things: the secret wins."""
        number = None if number == secret else number
        expiry = None if expiry in {secret, number} else expiry
        self.decide(columns=Columns(secret=secret, number=number, expiry=expiry))

    @property
    def is_ready(self) -> bool:
        """Whether the import may begin."""
        return self.preview is not None and bool(self.sku) and not self.looking and not self.starting

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
        """Why lines of the preview are refused, in the language of the window, and how many; most frequent first."""
        lines = self.preview.lines if self.preview is not None else ()
        counted = Counter(verdict(one, lines) for one in lines if one.reason in _REFUSING)
        return counted.most_common()

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What else is to be known about the file."""
        return self.preview.notices if self.preview is not None else ()

    def start(self) -> None:
        """Import it. `may_repeat` says afterwards whether the server would see it a second time."""
        if not self.is_ready or self.preview is None:
            return
        self.starting, self.error = True, None
        self.changed()
        file, sku, options, again = self.file, self.sku, self.preview.options, self.may_repeat
        self._ask(
            lambda engine: imports.start(engine, file=file, sku=sku, options=options, again=again),
            self._begun,
            self._refused,
        )

    def _has_notice(self, code: str) -> bool:
        return any(one.code == code for one in self.notices)

    def _previewed(self, preview: Preview) -> None:
        self.looking, self.preview, self.error = False, preview, None
        self.changed()

    def _unreadable(self, error: Exception) -> None:
        self.looking, self.preview, self.error = False, None, error
        self.changed()

    def _begun(self, started: imports.ImportStarted) -> None:
        self.starting = False
        self._started(started)
        self.changed()

    def _refused(self, error: Exception) -> None:
        self.starting, self.error = False, error
        self.may_repeat = isinstance(error, KamengError) and error.code == imports.ImportedBefore.code
        self.changed()


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
