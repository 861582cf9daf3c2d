"""What a caller may decide about an import. Everything left open is guessed by `plan` and shown.

Plain frozen dataclasses: they travel to the worker process and into `outbox.db` as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.cardkey import Pattern

ExpiryOrder = Literal["ymd", "dmy", "mdy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns hold what, counted from 0 (column A of a sheet). A card needs a secret, the rest is optional."""

    secret: int
    number: int | None = None
    expiry: int | None = None
    cost: int | None = None
    uses: int | None = None

    @property
    def keys(self) -> tuple[int, ...]:
        """The columns where a damaged cell means a wrong card: number, then secret."""
        return (self.secret,) if self.number is None else (self.number, self.secret)

    @property
    def used(self) -> tuple[int, ...]:
        """Every column that means something."""
        return tuple(at for at in (self.number, self.secret, self.expiry, self.cost, self.uses) if at is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to read one file. None means: guess."""

    encoding: str | None = None
    """A Python codec name for text files, such as `utf-8`, `gb18030`, `utf-16-le`."""
    separator: str | None = None
    """Between the columns of a text file: `----`, a tab, `,`, `;`, `|`, a space; empty for one column."""
    sheet: str | None = None
    """The name of the sheet to read."""
    columns: Columns | None = None
    header_lines: int | None = None
    """How many lines at the top are headings (line numbers, also of a sheet); 0 for none."""
    hidden_rows: Literal["skip", "include"] = "skip"
    damaged: Literal["refuse", "accept"] = "refuse"
    """Number cells that may have lost leading zeros."""
    repairs: Literal["accept", "refuse"] = "accept"
    """Rows that are only good after a repair (trimmed, full-width made half-width, zeros rebuilt)."""
    repairs_refused: frozenset[str] = frozenset()
    """Kinds of repair (codes of `sentences.REPAIRS`) that are refused while the others are accepted."""
    expiry_order: ExpiryOrder = "ymd"
    """How days are written: 2027-08-31, 31/08/2027 or 08/31/2027. Day and month are never guessed."""
    cost: int | None = None
    """What one unit cost, in 1/10000 yuan, where no column or an empty cell says so."""
    uses: int = 1
    """How often each key may be sold, where no column or an empty cell says so."""
    pattern: Pattern | None = None
    """What the secrets of the product look like, tested on every row."""
    ignore_case: bool = False
    """Whether two keys that differ in case only are duplicates. A rule of the product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealTo:
    """Whom the chunks are for: the server's raw X25519 public key (32 bytes), and the import they belong to."""

    public_key: bytes
    import_id: UUID
