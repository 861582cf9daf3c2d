"""What a statement brought forward, part by part: what each comes from, ready to show, and where it leads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from desktop.exporting.statement import BROUGHT
from desktop.operations import settlement
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.words import in_words
from shared.contracts.base import Page
from shared.contracts.brought import BroughtForward
from shared.contracts.settlement import Statement

TO_LEDGER = frozenset({"adjusted", "frozen", "unfrozen", "lost"})
TO_PAYOUT = frozenset({"lacked", "given_back"})


def part_words(one: BroughtForward) -> str:
    """What kind of paper a part comes from: `调账`."""
    return in_words(BROUGHT[one.kind])


def part_detail(one: BroughtForward) -> str:
    """The number of its paper, when it was, and why; empty of what other statements bear."""
    when = formats.moment(one.at) if one.at is not None else ""
    return " · ".join(part for part in (one.number, when, one.note) if part)


class Brought:
    """The parts of what the statement in front brought forward; read where it brought anything.

    Attributes:
        parts: they add up to it; empty while they are read.
        error: why they could not be read.
    """

    def __init__(self, ask: Ask, changed: Callable[[], None]) -> None:
        self._ask, self._changed = ask, changed
        self._latest = Latest()
        self._of: tuple[UUID, int] | None = None
        self.parts: tuple[BroughtForward, ...] = ()
        self.error: Exception | None = None

    def follow(self, one: Statement) -> None:
        """Another statement is in front, or it is another version of it."""
        if self._of == (one.id, one.version) and self.error is None:
            return
        self.parts = self.parts if self._of is not None and self._of[0] == one.id else ()
        self._of, self.error = (one.id, one.version), None
        if one.owed_fen:
            work = partial(settlement.brought_forward, statement_id=one.id)
            self._ask(work, self._latest.only(self._read), self._latest.also(self._not_read))
        else:
            self.parts = ()
            self._latest.only(self._read)

    def _read(self, seen: Seen[Page[BroughtForward]]) -> None:
        self.parts = tuple(seen.value.items)
        self._changed()

    def _not_read(self, error: Exception) -> None:
        self.error = error
        self._changed()
