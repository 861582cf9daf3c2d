"""What a person may do about the one thing they look at: chosen, told what it will do, and carried out after that.

For steps that move money or decide about it. Nothing happens at the first press; what was typed stays when it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from desktop.engine.engine import Engine
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from shared.errors import BadField, KamengError
from shared.ids import new_id, new_token

T = TypeVar("T")

Pair = tuple[str, str]
"""A sentence in 简体中文 and in English."""

Work = Callable[[Engine], Coroutine[Any, Any, T]]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that is typed for an act. `usual` is what is typed often; `most` characters fit.

    With `choices` it is one of these, each what is typed for it and its words. `value` stands there at first.
    """

    key: str
    words: Pair
    needed: bool = True
    usual: tuple[Pair, ...] = ()
    most: int = 400
    choices: tuple[tuple[str, Pair], ...] = ()
    value: str = ""


PLAIN = "plain"
"""The tone of what is never the next thing to do, also where it is the only one."""


@dataclass(frozen=True)
class Act(Generic[T]):
    """One thing that may be done.

    `key` names it, `words` are on its button, `effect` says what will happen, `done` that it did; `told` says what
    became of it, where the answer tells. `work` makes the operation of what was typed, and may raise KamengError about
    it. `naming` says it with what was typed so far, for who is about to press the last button. `rows` is typed as often
    as wanted, at most `most_rows` times; `rows_of` has them.
    """

    key: str
    words: Pair
    effect: Pair
    done: Pair
    work: Callable[[Mapping[str, str]], Work[T]]
    entries: tuple[Entry, ...] = ()
    tone: str = ""
    rows: tuple[Entry, ...] = ()
    most_rows: int = 1
    naming: Callable[[Mapping[str, str]], Pair] | None = None
    told: Callable[[T], Pair] | None = None

    def named(self, typed: Mapping[str, str]) -> Pair:
        """What it is called on the last button."""
        zh, en = self.words if self.naming is None else self.naming({key: text.strip() for key, text in typed.items()})
        return zh.rstrip("…"), en.rstrip("…")


def row_key(entry: Entry, n: int) -> str:
    """Under which key an entry of a row is typed."""
    return f"{entry.key}.{n}"


def rows_of(entries: Sequence[Entry], typed: Mapping[str, str]) -> list[dict[str, str]]:
    """What was typed in each row; one that was left empty is none."""
    made: list[dict[str, str]] = []
    while row_key(entries[0], len(made)) in typed:
        made.append({entry.key: typed[row_key(entry, len(made))] for entry in entries})
    return [row for row in made if any(row.values())]


class Acting(Watched, Generic[T]):
    """What may be done now, and how far the person is with it.

    Attributes:
        acts: what may be done, the usual thing first.
        chosen: what the person is about to do, or None.
        attempt: names what the person is about to do: another one whenever something is chosen, the same when it is
            tried again. `attempt_id` is the same as the id of what is made.
        busy: it is on its way.
        error: why it was not done; what was chosen stays.
        said: what was done, for a toast; told once.
    """

    def __init__(self, ask: Ask, then: Callable[[T], None], otherwise: Callable[[], None]) -> None:
        """`then` gets what the act answers; `otherwise` is called when it failed: what is shown may be old."""
        super().__init__()
        self._ask = ask
        self._then, self._otherwise = then, otherwise
        self._latest = Latest()
        self.acts: tuple[Act[T], ...] = ()
        self.chosen: Act[T] | None = None
        self.attempt = ""
        self.attempt_id = new_id()
        self.busy = False
        self.error: Exception | None = None
        self.said: Pair | None = None

    def offer(self, acts: Sequence[Act[T]]) -> None:
        """These may be done now. Who is about to do one goes on with it as it is now; one that is gone is dropped."""
        self.acts = tuple(acts)
        if self.chosen is not None and not self.busy:
            self.chosen = self.act(self.chosen.key)
        self.changed()

    def leave(self) -> None:
        """The person looks at something else: nothing is chosen, and answers under way do not come back to it."""
        self._latest.only(self._failed)
        self.acts, self.chosen, self.busy, self.error = (), None, False, None
        self.changed()

    def act(self, key: str) -> Act[T] | None:
        """The act of that name, if it may be done now."""
        return next((one for one in self.acts if one.key == key), None)

    def may(self, key: str) -> bool:
        """Whether that may be chosen now."""
        return not self.busy and self.act(key) is not None

    def choose(self, key: str) -> None:
        """Be about to do it."""
        if self.may(key):
            if self.chosen is None or self.chosen.key != key:
                self.attempt, self.attempt_id = new_token(), new_id()
            self.chosen, self.error = self.act(key), None
            self.changed()

    def drop(self) -> None:
        """Do not do it."""
        if not self.busy and (self.chosen is not None or self.error is not None):
            self.chosen, self.error = None, None
            self.changed()

    def carry_out(self, typed: Mapping[str, str]) -> None:
        """Do what was chosen, with what was typed."""
        act = self.chosen
        if act is None or self.busy:
            return
        try:
            work = act.work({key: text.strip() for key, text in typed.items()})
        except KamengError as error:
            self._refuse(error)
            return
        except ValidationError as error:
            first = error.errors()[0]
            self._refuse(BadField(field=".".join(map(str, first["loc"])), reason=first["msg"]))
            return
        self.busy, self.error = True, None
        self._ask(work, self._latest.only(lambda answer: self._done(act, answer)), self._latest.also(self._failed))
        self.changed()

    def _done(self, act: Act[T], answer: T) -> None:
        self.busy, self.chosen, self.error = False, None, None
        self.said = act.done if act.told is None else act.told(answer)
        self._then(answer)
        self.changed()
        self.said = None

    def _refuse(self, error: Exception) -> None:
        self.busy, self.error = False, error
        self.changed()

    def _failed(self, error: Exception) -> None:
        self._refuse(error)
        self._otherwise()
