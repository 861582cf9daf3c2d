"""The word of a channel: what its last bills say of a payment and of a refund of ours, and what it holds by them.

Pure. Each day has one payment that every bill of it has; what bills differ about is in the bill of its own day, of one
beside it, of two, or of none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from server.sandbox.bills import BillLine

STRAY = "49" + "1" * 26
"""The number of money that moved without a trade: people book it, or a bill of movements has it no more."""


@dataclass(frozen=True)
class Subject:
    """A payment or refund of ours that bills differ about: its line as our books have it, and its day."""

    line: BillLine
    day: date

    def said(self, *, amount_fen=None, fee_fen=None, more_fen=0, is_undone=False, is_through=True, day=None, **more):
        """Its line in a bill of that day, as that says it: of another amount or fee, undone, or on its way."""
        moved_ms = ((day or self.day) - self.day) // timedelta(milliseconds=1)
        line = self.line
        ends_at_ms = line.ends_at_ms + moved_ms if is_through and line.ends_at_ms is not None else None
        return replace(
            line,
            at_ms=line.at_ms + moved_ms,
            created_at_ms=line.created_at_ms + moved_ms,
            ends_at_ms=ends_at_ms,
            amount_fen=(line.amount_fen if amount_fen is None else amount_fen) + more_fen,
            fee_fen=line.fee_fen if fee_fen is None else fee_fen,
            reversed=is_undone,
            **more,
        )


def moved_fen(line):
    """What a line says came, or went."""
    return 0 if line.reversed else line.sign * line.amount_fen


class Word:
    """What the last bills of a channel's days have. `said`: the lines of each day that has a bill, but for `always`."""

    def __init__(self, always, subjects):
        """`always`: the payment of each day that no bill differs about; `subjects`: what they do, by name."""
        self.always, self.subjects = always, subjects
        self.said, self.moved = {}, None

    def lines(self, day):
        """The lines of a day's trade bill."""
        return [self.always[day], *self.said[day]]

    def place(self, name, day, line, *, is_twice=False):
        """The channel has it in the bill of that day, or in none; answers the days whose bills are given for it.

        `is_twice`: the bill that had it keeps it.
        """
        others = [other for other in self.places(name) if other != day and not is_twice]
        for other in (*others, day):
            self.said[other] = [one for one in self.said.get(other, ()) if not self._is_about(one, name)]
        self.said[day] += [line] if line is not None else []
        return [*others, day]

    def places(self, name):
        """The lines of last bills that are about it, by day."""
        its = ((day, line) for day, lines in sorted(self.said.items()) for line in lines)
        return {day: line for day, line in its if self._is_about(line, name)}

    def moved_of(self, name):
        """The line by which the first day's bill of movements has it."""
        return next((line for line in self.moved or () if self._is_about(line, name)), None)

    def _is_about(self, line, name):
        its = self.subjects[name].line
        return (line.provider_no, line.out_refund_no) == (its.provider_no, its.out_refund_no)

    def fen(self, name):
        """What the channel has moved of it; None where it is in two bills. Where the bill of its own day is still to
        come, and no other has it, it is as our books have it.
        """
        there, its = [moved_fen(line) for line in self.places(name).values()], self.subjects[name]
        if len(there) > 1:
            return None
        return there[0] if there else 0 if its.day in self.said else moved_fen(its.line)

    def held_fen(self):
        """What the channel holds before its fees; None where something is in two of its bills."""
        its = [self.fen(name) for name in self.subjects]
        others = (line for lines in self.said.values() for line in lines)
        others = [line for line in others if not any(self._is_about(line, name) for name in self.subjects)]
        every = [*self.always.values(), *others, *self.strays()]
        return None if None in its else sum(its) + sum(map(moved_fen, every))

    def strays(self):
        """What moved without a trade."""
        return [line for line in self.moved or () if line.provider_no == STRAY]
