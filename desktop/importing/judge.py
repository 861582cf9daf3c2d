"""Every row gets exactly one fate: valid, duplicate, refused or skipped. Nothing is changed without being counted.

Blocks of ordinary rows (all text, clean, no duplicate) are judged by a handful of C-speed calls; any other block is
judged row by row, with the same result. Duplicates in the file are found by fingerprints under a random key that
is thrown away with the `Judge`; the first of equal cards is kept.

Used by `session.run`, and by `session.plan` for the first rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from itertools import repeat
from typing import Any, NamedTuple

from desktop.importing.chunk import Row
from desktop.importing.ledger import Outcome, Problem, Tally
from desktop.importing.numbers import Reading, read_number, refused
from desktop.importing.options import Columns, Options
from desktop.importing.package import column_letters
from desktop.importing.read import Block, Source
from desktop.importing.sentences import Notice, notice
from desktop.importing.terms import Refusal, TermsReader
from shared.cardkey import SEPARATOR, Card, Fingerprinter, admit, all_clean, canonical, fold, mask

OnProblem = Callable[[Problem, Sequence[Any]], None]
"""Told about each duplicate, refused or skipped row with its cells, for an export."""


class Fate(NamedTuple):
    """What becomes of one row. `reason` is None when it is valid."""

    card: Card
    repairs: tuple[str, ...] = ()
    reason: str | None = None
    outcome: Outcome = Outcome.REFUSED
    column: int | None = None
    first_line: int = 0
    lot: int = 0


_NO_CARD = Card("", "")


class Judge:
    """Judges the rows of one source under filled-in options (`columns` and `header_lines` are set)."""

    def __init__(self, source: Source, options: Options, tally: Tally, *, today: date) -> None:
        if options.columns is None or options.header_lines is None:
            raise ValueError("the options must be filled in first")
        self._source = source
        self._options = options
        self._columns: Columns = options.columns
        self._header_lines: int = options.header_lines
        self._tally = tally
        self._fingerprints = Fingerprinter.throw_away()
        self._first_lines: dict[bytes, int] = {}
        self._usual_lengths: dict[int, int] = {}
        self._titles: tuple[str, ...] | None = None
        self._heading_secret = ""
        self.on_problem: OnProblem | None = None
        shift = source.first_column
        self._secret = self._columns.secret - shift
        self._number = None if self._columns.number is None else self._columns.number - shift
        self.terms = TermsReader(options, self._columns, shift, today=today)
        tally.lots = self.terms.lots
        self._hidden, self._marked, self._merged = self._marks()
        self._special = self._hidden.union(*self._marked.values(), *self._merged.values())
        self._short_digits = self._digits_of_text()
        self._short_lines: list[int] = []
        self._short_count = 0

    def _marks(self) -> tuple[set[int], dict[tuple[int, str], set[int]], dict[int, set[int]]]:
        """Lines with a hidden row; with a formula or error in a key column; covered by a merge there."""
        facts = self._source.facts
        if facts is None:
            return set(), {}, {}
        hidden = set(facts.hidden_rows) if self._options.hidden_rows == "skip" else set()
        marked = {
            (column, reason): set(where[column])
            for where, reason in ((facts.formulas, "formula_cell"), (facts.errors, "error_cell"))
            for column in self._columns.keys
            if column in where
        }
        merged: dict[int, set[int]] = {}
        for (top, left), (bottom, right) in self._source.merged:
            for column in self._columns.keys:
                if left <= column <= right:
                    start = top + 1 if column == left else top
                    merged.setdefault(column, set()).update(range(start + 1, bottom + 2))
        return hidden, marked, merged

    def _digits_of_text(self) -> dict[int, int]:
        """Usual length of all-digit keys by cell index, for text files: shorter ones are remarked on."""
        if self._source.facts is not None:
            return {}
        shift = self._source.first_column
        lengths = {column - shift: self._source.usual_length(column) for column in self._columns.keys}
        return {index: length for index, length in lengths.items() if length}

    def block(self, block: Block) -> list[Row]:
        """Judge the rows of a block and count them; returns the valid ones in order."""
        self._tally.read += len(block.rows)
        rows = self._quick(block)
        if rows is None:
            rows = self._careful(block)
        self._tally.valid += len(rows)
        return rows

    def _quick(self, block: Block) -> list[Row] | None:
        """The rows of a block in which every row is ordinary, else None and nothing is counted."""
        lines, rows, broken = block
        if broken or lines[0] <= self._header_lines or not self._special.isdisjoint(lines):
            return None
        try:
            cells = list(zip(*rows, strict=True))
        except ValueError:
            return None
        if len(cells) <= max(self._secret, self._number or 0, *self.terms.indexes):
            return None
        if min(self._secret, self._number or 0) < 0:  # left of the sheet's first column: there is nothing
            return None
        if self._source.expected_columns is not None and len(cells) > self._source.expected_columns:
            return None
        secrets = cells[self._secret]
        numbers = cells[self._number] if self._number is not None else ()
        if set(map(type, secrets)) | set(map(type, numbers)) != {str}:
            return None
        texts = list(map(SEPARATOR.join, zip(numbers or repeat(""), secrets, strict=False)))
        if not all_clean(texts) or not self._quick_rules(cells, secrets):
            return None
        lots = self.terms.of_block(cells, len(rows))
        if lots is None:
            return None
        digests = self._fingerprints.of_all(map(fold, texts) if self._options.ignore_case else texts)
        fresh = dict(zip(digests, lines, strict=True))
        if len(fresh) != len(rows) or not self._first_lines.keys().isdisjoint(fresh):
            return None
        self._first_lines.update(fresh)
        self._tally.in_lots.update(lots)
        return list(zip(lines, numbers or repeat(""), secrets, lots, strict=False))

    def _quick_rules(self, cells: list[tuple[Any, ...]], secrets: tuple[str, ...]) -> bool:
        """Whether the product's pattern and the digits' length leave nothing to say about any row."""
        pattern = self._options.pattern
        if pattern is not None and not all(map(pattern.fits, secrets)):
            return False
        if any(min(map(len, cells[index])) < length for index, length in self._short_digits.items()):
            return False
        return self._heading_secret not in secrets  # files that were put together from several

    def _careful(self, block: Block) -> list[Row]:
        """Judge row by row."""
        valid: list[Row] = []
        for line, cells in zip(block.lines, block.rows, strict=True):
            fate = self.fate(line, cells, broken=line in block.broken)
            if fate.reason is None:
                valid.append((line, fate.card.number, fate.card.secret, fate.lot))
                self._tally.in_lots[fate.lot] += 1
                if fate.repairs:
                    self._tally.repaired(fate.repairs, self._address(line, fate.column) or str(line))
                continue
            problem = Problem(
                line=line,
                outcome=fate.outcome,
                reason=fate.reason,
                address=self._address(line, fate.column),
                first_line=fate.first_line,
                shown=mask(fate.card) if any(fate.card) else "",
            )
            self._tally.problem(problem)
            if self.on_problem is not None:
                self.on_problem(problem, cells)
        return valid

    def _address(self, line: int, column: int | None) -> str:
        """`B12` in a sheet, empty in a text file."""
        return f"{column_letters(column)}{line}" if column is not None and self._source.facts is not None else ""

    def fate(self, line: int, cells: Sequence[Any], *, broken: bool = False) -> Fate:
        """What becomes of one row. Registers its fingerprint, so ask once per row, in file order."""
        skipped = self._skipped(line, cells)
        if skipped is not None:
            return Fate(_NO_CARD, reason=skipped, outcome=Outcome.SKIPPED)
        if broken:
            return Fate(_NO_CARD, reason="broken_quotes")
        if not self._columns_fit(cells):
            return Fate(_NO_CARD, reason="wrong_columns")
        number = Reading("", "", None, plain=False)
        if self._columns.number is not None and self._number is not None:
            number = self._text_of(line, self._columns.number, cells[self._number])
            if number.reason is not None:
                return Fate(Card(number.text, ""), reason=number.reason, column=self._columns.number)
        secret = self._text_of(line, self._columns.secret, cells[self._secret])
        if secret.reason is not None:
            return Fate(Card(number.text, secret.text), reason=secret.reason, column=self._columns.secret)
        return self._fate_of_card(line, cells, number, secret)

    def _skipped(self, line: int, cells: Sequence[Any]) -> str | None:
        """Why a row is not even a candidate, or None."""
        if line <= self._header_lines:
            if line == self._header_lines:
                self._titles = tuple(map(str, cells))
                self._heading_secret = "".join(self._titles[self._secret : self._secret + 1])
            return "header" if any(cell != "" for cell in cells) else "empty_row"
        if line in self._hidden:
            return "hidden_row"
        blank = all(cell == "" or (isinstance(cell, str) and not cell.strip()) for cell in cells)
        if blank and line not in self._special:
            return "empty_row"
        if self._titles is not None and tuple(map(str, cells)) == self._titles:
            return "header"
        return None

    def _columns_fit(self, cells: Sequence[Any]) -> bool:
        if len(cells) <= max(self._secret, self._number or 0) or min(self._secret, self._number or 0) < 0:
            return False
        expected = self._source.expected_columns
        return expected is None or not any(str(cell).strip() for cell in cells[expected:])

    def _text_of(self, line: int, column: int, cell: Any) -> Reading:
        """The text of a key cell, or why it has none that can be trusted."""
        for (marked_column, reason), lines in self._marked.items():
            if marked_column == column and line in lines:
                return refused(reason)
        if line in self._merged.get(column, ()):
            return refused("merged_cell")
        if isinstance(cell, str):
            return Reading(cell, "", None, plain=False)
        if isinstance(cell, bool):
            return refused("bool_cell")
        if isinstance(cell, date | datetime | time | timedelta):
            return refused("date_cell")
        reading = read_number(cell, self._source.number_format(line, column))
        if reading.reason is None and reading.plain and len(reading.text) < self._usual_length(column):
            self._tally.damaged.add(self._address(line, column))
            if self._options.damaged == "refuse":
                return reading._replace(repair="", reason="zeros_lost")
            return reading._replace(repair="zeros_accepted")
        return reading

    def _usual_length(self, column: int) -> int:
        if column not in self._usual_lengths:
            self._usual_lengths[column] = self._source.usual_length(column)
        return self._usual_lengths[column]

    def _fate_of_card(self, line: int, cells: Sequence[Any], number: Reading, secret: Reading) -> Fate:
        card, repairs, reason, field = admit(number.text, secret.text)
        column = self._columns.number if field == "number" else self._columns.secret
        repaired = self._columns.number if number.repair or card.number != number.text else self._columns.secret
        pattern = self._options.pattern
        if reason is None and pattern is not None:
            reason = pattern.judge(card.secret)
        if reason is not None:
            return Fate(card, reason=reason, column=column)
        repairs += tuple(dict.fromkeys(reading.repair for reading in (number, secret) if reading.repair))
        if repairs and (self._options.repairs == "refuse" or not self._options.repairs_refused.isdisjoint(repairs)):
            return Fate(card, reason="repair_refused", column=repaired)
        lot = self.terms.of(cells)
        if isinstance(lot, Refusal):
            return Fate(card, reason=lot.reason, column=lot.column)
        text = canonical(card)
        digest = self._fingerprints.of(fold(text) if self._options.ignore_case else text)
        first_line = self._first_lines.setdefault(digest, line)
        if first_line != line:
            return Fate(card, reason="duplicate", outcome=Outcome.DUPLICATE, first_line=first_line)
        self._note_short(line, card)
        return Fate(card, repairs, column=repaired, lot=lot)

    def _note_short(self, line: int, card: Card) -> None:
        for index, length in self._short_digits.items():
            text = card.secret if index == self._secret else card.number
            if len(text) < length and text.isascii() and text.isdigit():
                self._short_count += 1
                if len(self._short_lines) < 10:
                    self._short_lines.append(line)
                return

    def notices(self, titles: Sequence[str]) -> list[Notice]:
        """What to say about the key columns after the rows that were judged so far."""
        said: list[Notice] = []
        facts = self._source.facts
        for column in self._columns.keys:
            lines = facts.formulas.get(column) if facts is not None else None
            if lines:
                addresses = ", ".join(f"{column_letters(column)}{line}" for line in lines[:10])
                said.append(notice("formulas", count=len(lines), addresses=addresses))
        damaged = self._tally.damaged
        if damaged.count:
            letters = {address.rstrip("0123456789") for address in damaged.addresses}
            named = "、".join(titles[index] for index in self._columns.keys if column_letters(index) in letters)
            said.append(notice("zeros_lost", column=named, count=damaged.count, addresses=", ".join(damaged.addresses)))
        if self._short_count:
            addresses = ", ".join(map(str, self._short_lines))
            said.append(notice("digits_short", count=self._short_count, addresses=addresses))
        return said
