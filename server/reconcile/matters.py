"""What people handled before, and what a later bill makes of it.

All rows about the same thing are one matter: the difference that was found first, those that were carried on from it,
and those of later bills that said something else. What was booked about a matter counts for all of it, so that only
the rest is booked; where a bill has nothing to put right any more, what was booked is a difference of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from server.db import Tx, among
from server.reconcile import booking
from server.reconcile.differences import Difference
from server.reconcile.model import ReconcileDifference
from shared.finance import DifferenceAction, DifferenceKind, DifferenceState
from shared.money import Fen

_D, _K = DifferenceState, DifferenceKind
_AT_A_TIME = 500
LIVE = frozenset({_D.OPEN.value, _D.MATCHED.value})
"""States in which a run says what a difference is."""

BY_STATE = frozenset({_K.STATE, _K.REFUND_STATE})
_ALONE = (_K.ONLY_OURS.value, _K.REFUND_ONLY_OURS.value)
"""Kinds of what a bill of another day may have after all."""


def root(row: ReconcileDifference) -> UUID:
    """The matter that a difference is of."""
    return row.again_of or row.origin_id


@dataclass(slots=True)
class Matter:
    """The rows of one matter: all of the day that is looked at, and of other days those that were booked."""

    id: UUID
    day: date
    here: list[ReconcileDifference] = field(default_factory=list)
    elsewhere: list[ReconcileDifference] = field(default_factory=list)

    @property
    def booked_fen(self) -> Fen:
        """How much more the channel owes us by what people booked about it."""
        return sum(booking.booked(row) for row in (*self.here, *self.elsewhere))

    def ours_fen(self, one: Difference) -> Fen | None:
        """What we have of it now: the books of the day, and what people booked since."""
        more = booking.sign(one.kind) * self.booked_fen
        return (one.ours_fen or 0) + more if more else one.ours_fen

    def live(self, *, is_undone: bool = False) -> ReconcileDifference | None:
        """The row that nobody has decided on yet, or that closed itself; what is signed stays as it is."""
        rows = self._sort(is_undone=is_undone)
        return next((row for row in rows if row.state in LIVE and not row.is_signed), None)

    def handled(self, *, is_undone: bool = False) -> ReconcileDifference | None:
        """The row that people decided on last."""
        rows = [row for row in self._sort(is_undone=is_undone) if row.state not in LIVE]
        return max(rows, key=self._place, default=None)

    def next_id(self, *, is_undone: bool = False) -> UUID:
        """The id of the next row of this day: every run finds the same."""
        rows = [*self._sort(is_undone=is_undone), *(row for row in self.elsewhere if is_undone and _is_undone(row))]
        return self.id if not rows and not is_undone else self._id(self.day, len(rows), is_undone=is_undone)

    def is_settled(self, one: Difference, ours_state: str) -> bool:
        """Whether what people decided is about just this, or what they booked has put it right."""
        last, ours_fen = self.handled(), self.ours_fen(one)
        if last is None:
            return False
        is_right = (one.theirs_fen or 0) == (ours_fen or 0)
        if booking.booked(last) or (self.booked_fen and is_right):
            return is_right
        theirs_state = one.theirs.state if one.theirs else ""
        is_same = (last.ours_fen, last.theirs_fen) == (ours_fen, one.theirs_fen)
        are_same = one.kind not in BY_STATE or (last.ours_state, last.theirs_state) == (ours_state, theirs_state)
        return is_same and are_same

    def is_undone_elsewhere(self) -> bool:
        """Whether another day has what was booked before it already, and has not closed that since."""
        undone = [row for row in self.elsewhere if _is_undone(row) and row.state != _D.MATCHED]
        return any(not booking.booked(row) and row.state != _D.MATCHED for row in undone)

    def _sort(self, *, is_undone: bool) -> Iterator[ReconcileDifference]:
        return (row for row in self.here if _is_undone(row) == is_undone)

    def _place(self, row: ReconcileDifference) -> tuple[date, int]:
        """Where a row stands among those of its sort; those that were carried in come first of their day."""
        its = [self._id(row.day, n, is_undone=_is_undone(row)) for n in range(len(self.here) + len(self.elsewhere))]
        return row.day, its.index(row.id) if row.id in its else -1

    def _id(self, day: date, n: int, *, is_undone: bool) -> UUID:
        name = "booked" if is_undone else "again"
        return uuid5(NAMESPACE_URL, f"kameng:difference:{self.id}:{name}:{day}:{n}")


def _is_undone(row: ReconcileDifference) -> bool:
    return row.kind == _K.BOOKED


def _is_carried(row: ReconcileDifference) -> bool:
    """Whether another day has a row of the same."""
    return row.carried_from is not None or row.action == DifferenceAction.CARRY


class Matters:
    """The matters of a day."""

    def __init__(
        self,
        tx: Tx,
        channel: str,
        day: date,
        known: Collection[ReconcileDifference],
        found: Sequence[Difference],
        *,
        also: Collection[UUID] = (),
    ) -> None:
        """Read what other days have of the same, and of `also`, where that was booked; callers hold `known`, the day's
        own rows.
        """
        self._tx, self._channel, self._day = tx, channel, day
        self._of: dict[UUID, Matter] = {}
        for row in known:
            self.of(root(row)).here.append(row)
        ours = sorted({one.ours.id for one in found if one.ours is not None and one.bill_row is not None})
        self._come = {root(row) for row in self._elsewhere(ReconcileDifference.ours_id, ours) if row.kind in _ALONE}
        told = [row for row in known if booking.booked(row) or _is_undone(row) or _is_carried(row)]
        roots = sorted({root(row) for row in told} | self._come | set(also))
        names: tuple[InstrumentedAttribute[Any], ...] = (ReconcileDifference.origin_id, ReconcileDifference.again_of)
        for name in names:
            for row in self._elsewhere(name, roots):
                matter = self.of(root(row))
                if row not in (*matter.here, *matter.elsewhere):
                    matter.elsewhere.append(row)

    def of(self, matter_id: UUID) -> Matter:
        """One of them; without rows where nothing is known of it."""
        return self._of.setdefault(matter_id, Matter(matter_id, self._day))

    def undone(self, found: Collection[UUID], has_come: Collection[UUID]) -> list[Matter]:
        """Those about which something is booked, and that this day's bill puts nothing right in any more.

        `has_come` are carried rows whose other half is there.
        """
        return [
            one
            for one in self._of.values()
            if one.booked_fen and one.id not in found and self._is_gone(one, has_come) and not one.is_undone_elsewhere()
        ]

    def _is_gone(self, one: Matter, has_come: Collection[UUID]) -> bool:
        of_bill = [row for row in one.here if not _is_undone(row)]
        is_of_day = any(row.carried_from is None for row in of_bill)
        return is_of_day or one.id in self._come or any(row.id in has_come for row in of_bill)

    def _elsewhere(
        self, column: InstrumentedAttribute[UUID | None], values: Sequence[UUID]
    ) -> Iterable[ReconcileDifference]:
        r = ReconcileDifference
        booked = (r.state == _D.RESOLVED.value) & r.action.in_(sorted(booking.BOOKED))
        its = (r.channel == self._channel, r.day != self._day, booked | (r.kind == _K.BOOKED.value))
        for at in range(0, len(values), _AT_A_TIME):
            yield from self._tx.scalars(select(r).where(among(self._tx, column, values[at : at + _AT_A_TIME]), *its))
