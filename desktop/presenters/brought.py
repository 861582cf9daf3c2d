"""What was brought forward, part by part: what each comes from, ready to show, and where it leads."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from desktop.exporting.statement import BROUGHT
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Work
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.words import in_words
from shared.contracts.base import Page
from shared.contracts.brought import BroughtForward

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
    """The parts of what the statement in front brought forward, or would if it were made.

    Attributes:
        parts: they add up to it; empty while they are read.
        error: why they could not be read.
    """

    def __init__(self, ask: Ask, changed: Callable[[], None], *, may_open: bool) -> None:
        """`may_open`: this person may see orders, disputes and adjustments of the ledger."""
        self._ask, self._changed, self._may_open = ask, changed, may_open
        self._latest = Latest()
        self._of: tuple[UUID, object] | None = None
        self.parts: tuple[BroughtForward, ...] = ()
        self.error: Exception | None = None

    def follow(self, of: UUID, version: object, read: Work[Seen[Page[BroughtForward]]] | None) -> None:
        """Something else is in front, or another version of it; `read` is None where it brought nothing forward."""
        if self._of == (of, version) and self.error is None:
            return
        self.parts = self.parts if self._of is not None and self._of[0] == of else ()
        self._of, self.error = (of, version), None
        if read is not None:
            self._ask(read, self._latest.only(self._read), self._latest.also(self._not_read))
        else:
            self.parts = ()
            self._latest.only(self._read)

    def leads_on(self, one: BroughtForward) -> bool:
        """Whether this person may open the paper that a part comes from."""
        if one.kind == "restored":
            return self._may_open and one.order_code is not None
        return one.id is not None and (self._may_open or one.kind not in TO_LEDGER)

    def _read(self, seen: Seen[Page[BroughtForward]]) -> None:
        self.parts = tuple(seen.value.items)
        self._changed()

    def _not_read(self, error: Exception) -> None:
        self.error = error
        self._changed()
