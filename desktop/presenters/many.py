"""Cases of which several can be decided on at once: those that are picked, and what became of each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from desktop.operations.each import Outcome
from desktop.presenters import formats
from desktop.presenters.acting import Pair
from desktop.presenters.cases import Case, Cases
from desktop.presenters.listing import Column
from desktop.presenters.ports import Ask

MANY = "_many"
"""What ends the key of an act about many: one that was begun about one is not finished about others."""

SEE_EACH: Pair = ("已逐笔办理，结果在右侧", "Done one by one; see each at the side")
"""What is told when many were done each by itself."""


def key_of(what: str, cases: Sequence[Any]) -> str:
    """The key of an act about these."""
    return what + MANY if len(cases) > 1 else what


def the_rest(left: int) -> Pair:
    """That some of those that are picked are not touched."""
    n = formats.count(left)
    return (
        (f"所选的另外 {n} 笔不能这样办，不动。", f" The other {n} that are selected are left alone.")
        if left
        else ("", "")
    )


def both(one: Pair, other: Pair) -> Pair:
    """One sentence after the other."""
    return one[0] + other[0], one[1] + other[1]


class Stated(Case, Protocol):
    """A case that says where it stands."""

    @property
    def state(self) -> StrEnum: ...


S = TypeVar("S", bound=Stated)


@dataclass(frozen=True, slots=True)
class Group:
    """Cases in the same state among many: how many, and what they come to."""

    state: StrEnum
    number: int
    amount: str


def groups(cases: Sequence[S], amount: Callable[[S], int]) -> list[Group]:
    """Many by where they stand."""
    states = {case.state: None for case in cases}
    of_state = {state: [case for case in cases if case.state is state] for state in sorted(states)}
    return [Group(state, len(some), formats.money(sum(map(amount, some)))) for state, some in of_state.items()]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one of many, ready to show; `error` says why it was not done."""

    name: str
    amount: str
    error: Exception | None = None


def told_first(told: Sequence[Told]) -> list[Told]:
    """What was not done comes first."""
    return sorted(told, key=lambda one: one.error is None)


class ManyCases(Cases[S], Generic[S]):
    """The state of such a screen.

    Attributes:
        picked: those that are decided on together; empty while it is the one in front alone.
        outcomes: what became of each of those that were decided on last, until a person looks at something else.
        most: as many as are decided on at once.
    """

    most = 1_000

    def __init__(self, ask: Ask, columns: Sequence[Column[S]], *, may_see: bool) -> None:
        super().__init__(ask, columns, may_see=may_see)
        self.picked: tuple[S, ...] = ()
        self.outcomes: tuple[Outcome[Any, Any], ...] = ()
        self._when_all: Callable[[], None] | None = None
        self._is_other_list = False
        self.feed.watch(self._read_on)
        self.feed.watch(self._see_other_list)

    def pick(self, rows: Sequence[S]) -> None:
        """Be about these, where they are more than one."""
        picked = tuple(rows) if len(rows) > 1 else ()
        if picked == self.picked:
            return
        self.picked = picked
        if picked:
            self.outcomes = ()
        if picked and self.opened is None:
            self.look_into(picked[0])
        elif self.opened is not None:
            self.acting.offer(self.acts_of(self.opened))
        self.changed()

    def _choose_list(self, *, is_other: bool) -> None:
        """A list is shown, maybe another one than the one in front is of."""
        self._is_other_list = is_other

    def _see_other_list(self) -> None:
        """What is not of the list that was chosen is in front no more; the first of the list is then."""
        if not self._is_other_list or self.feed.loading or self.feed.error is not None:
            return
        self._is_other_list = False
        if self.opened is not None and all(one.id != self.opened.id for one in self.feed.rows):
            self.look_into(None)

    def read_all(self, then: Callable[[], None]) -> None:
        """Read on until as many are here as are decided on at once."""
        self._when_all = then
        self._read_on()

    def _read_on(self) -> None:
        then = self._when_all
        if then is None or self.feed.loading:
            return
        if self.feed.more and self.feed.error is None and self.feed.size < self.most:
            self.feed.read_on()
        else:
            self._when_all = None
            then()

    # --- what became of each ---

    def look_into(self, case: S | None) -> None:
        if case is None or self.opened is None or case.id != self.opened.id:
            self.outcomes = ()
        super().look_into(case)

    def find(self, case_id: Any) -> None:
        self.outcomes, self._is_other_list = (), False
        super().find(case_id)

    def leave_outcomes(self) -> None:
        """They were read: be about the one in front again."""
        self.outcomes = ()
        if self.opened is not None:
            self.acting.offer(self.acts_of(self.opened))
        self.changed()

    def _acted_each(self, outcomes: Sequence[Outcome[Any, Any]]) -> None:
        """Many were done, each by itself."""
        self.picked, self.outcomes = (), tuple(outcomes)
        self.acting.offer(())
        self.read_again()
        self.changed()
