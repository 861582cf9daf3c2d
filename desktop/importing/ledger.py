"""The account of one import: read = valid + duplicates + refused + skipped. It adds up or it is not given out.

`Tally` is filled by `judge`; `Tally.close` makes the `Ledger` that callers see. No clear key is kept in either:
a problem row carries its line, its address and a masked tail. The rows themselves are read again from the
file when somebody exports them (`desktop.exporting.refused`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from desktop.importing.sentences import REASONS, Notice
from desktop.importing.terms import Terms, range_of
from shared.errors import KamengError

PROBLEMS_KEPT = 10_000
"""Problem rows that a ledger lists; the counts go on beyond."""

ADDRESSES_KEPT = 10
"""Lines or cells that a notice names."""


LOTS_KEPT = 50
"""Lots that a ledger lists."""


class LedgerMismatch(KamengError):
    """The rows do not add up. A fault of the program, found before anything is imported."""

    code = "import.ledger_mismatch"
    status = 500
    zh = "账目对不上：读取 {read} 行，归类 {sorted} 行。没有导入任何内容，请报告此问题。"
    en = "The figures do not add up: {read} lines read, {sorted} sorted. Nothing was imported; please report this."


class Outcome(StrEnum):
    """What became of a row that is not imported."""

    DUPLICATE = "duplicate"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One row that is not imported. `address` is the cell in a sheet, empty in a text file."""

    line: int
    outcome: Outcome
    reason: str
    address: str = ""
    first_line: int = 0
    """For a duplicate: the line of the one that is kept."""
    shown: str = ""
    """The card, masked."""

    def sentence(self, language: str = "zh") -> str:
        """What is wrong, with the line number and the cell."""
        what = REASONS[self.reason].sentence(language).format(first_line=self.first_line)
        if language.startswith("en"):
            where = f"Line {self.line}" + (f" (cell {self.address})" if self.address else "")
            return f"{where}: {what[0].lower()}{what[1:]}."
        where = f"第 {self.line} 行" + (f"（{self.address} 单元格）" if self.address else "")
        return f"{where}：{what}。"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How often, and where the first ten times."""

    count: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Valid rows with the same terms."""

    terms: Terms
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The figures of one file, and everything that was skipped, refused, repaired or remarked."""

    read: int
    valid: int
    duplicates: int
    refused: int
    skipped: int
    reasons: dict[str, Counted]
    """By code of `sentences.REASONS`, most frequent first."""
    repairs: dict[str, Counted]
    """By code of `sentences.REPAIRS`, of rows that are valid, most frequent first."""
    damaged: Counted
    """Number cells that may have lost leading zeros, whatever was decided about them."""
    problems: tuple[Problem, ...]
    """Duplicate and refused rows in file order, at most `PROBLEMS_KEPT`."""
    notices: tuple[Notice, ...]
    chunks: int
    file_sha256: str
    lots: tuple[Lot, ...]
    """What the valid rows are sold under, the biggest lot first, at most `LOTS_KEPT`."""
    lot_count: int
    expires_first: date | None
    expires_last: date | None

    def sentence(self, language: str = "zh") -> str:
        """The ledger in one line."""
        if language.startswith("en"):
            return (
                f"{self.read:,} read = {self.valid:,} valid + {self.duplicates:,} duplicates"
                f" + {self.refused:,} refused + {self.skipped:,} skipped"
            )
        return (
            f"读取 {self.read:,} = 可导入 {self.valid:,} + 重复 {self.duplicates:,}"
            f" + 拒绝 {self.refused:,} + 跳过 {self.skipped:,}"
        )


@dataclass(slots=True)
class _Counter:
    count: int = 0
    addresses: list[str] = field(default_factory=list)

    def add(self, address: str) -> None:
        self.count += 1
        if len(self.addresses) < ADDRESSES_KEPT:
            self.addresses.append(address)

    def closed(self) -> Counted:
        return Counted(count=self.count, addresses=tuple(self.addresses))


class Tally:
    """The counts while a file is being judged. One per run; not shared between threads."""

    def __init__(self) -> None:
        self.read = 0
        self.valid = 0
        self.rows_sealed = 0
        self.chunks = 0
        self.notices: list[Notice] = []
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._reasons: dict[str, _Counter] = {}
        self._repairs: dict[str, _Counter] = {}
        self.damaged = _Counter()
        self._problems: list[Problem] = []
        self.lots: list[Terms] = []
        self.in_lots: Counter[int] = Counter()

    @property
    def duplicates(self) -> int:
        """Rows that repeat an earlier one."""
        return self._outcomes[Outcome.DUPLICATE]

    @property
    def refused(self) -> int:
        """Rows with something wrong."""
        return self._outcomes[Outcome.REFUSED]

    def problem(self, problem: Problem) -> None:
        """Count one row that is not imported; list it unless it was only skipped."""
        self._outcomes[problem.outcome] += 1
        address = problem.address or str(problem.line)
        self._reasons.setdefault(problem.reason, _Counter()).add(address)
        if problem.outcome is not Outcome.SKIPPED and len(self._problems) < PROBLEMS_KEPT:
            self._problems.append(problem)

    def repaired(self, codes: Sequence[str], address: str) -> None:
        """Count the repairs of one valid row."""
        for code in codes:
            self._repairs.setdefault(code, _Counter()).add(address)

    def close(self, file_sha256: str) -> Ledger:
        """The ledger. Raises `LedgerMismatch` when a row was lost or counted twice."""
        counted = self.valid + sum(self._outcomes.values())
        if counted != self.read or self.rows_sealed != self.valid:
            raise LedgerMismatch(read=self.read, sorted=counted)
        first, last = range_of(self.lots[at] for at in self.in_lots)
        return Ledger(
            read=self.read,
            valid=self.valid,
            duplicates=self.duplicates,
            refused=self.refused,
            skipped=self._outcomes[Outcome.SKIPPED],
            reasons=_ranked(self._reasons),
            repairs=_ranked(self._repairs),
            damaged=self.damaged.closed(),
            problems=tuple(self._problems),
            notices=tuple(self.notices),
            chunks=self.chunks,
            file_sha256=file_sha256,
            lots=tuple(Lot(terms=self.lots[at], rows=rows) for at, rows in self.in_lots.most_common(LOTS_KEPT)),
            lot_count=len(self.in_lots),
            expires_first=first,
            expires_last=last,
        )


def _ranked(counters: dict[str, _Counter]) -> dict[str, Counted]:
    ranked = sorted(counters.items(), key=lambda item: -item[1].count)
    return {code: counter.closed() for code, counter in ranked}
