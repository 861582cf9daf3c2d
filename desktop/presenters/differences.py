"""The differences of reconciliation: the list, one of it explained side by side, and what two people do about it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from desktop.engine.engine import Engine
from desktop.operations import reconciliation_differences as operations
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act
from desktop.presenters.days import signed
from desktop.presenters.deciding import MOST, acts_about, amount_of
from desktop.presenters.listing import Column
from desktop.presenters.many import ManyCases
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.words import CHANNELS, channel_word, in_words, longest, party_words, tone, word
from shared.contracts.identity import Person
from shared.contracts.reconcile import Difference, DifferenceDetail, SideFact
from shared.finance import DifferenceKind, DifferenceState
from shared.ids import speak_order_code
from shared.permissions import Permission

STATES: tuple[DifferenceState | None, ...] = (
    None,
    DifferenceState.OPEN,
    DifferenceState.PROPOSED,
    DifferenceState.WORKING,
    DifferenceState.RESOLVED,
    DifferenceState.MATCHED,
)
"""The filters, in this order; None is all that is not closed."""


def side(words: str, fen: int | None) -> str:
    """One side as it is, in words and in figures."""
    return words if fen is None else f"{words} {formats.money(fen)}".strip()


def figure(fen: int | None) -> str:
    """One side for a narrow cell: its figure, or that there is none."""
    return in_words(("无", "None")) if fen is None else formats.money(fen)


@dataclass(frozen=True, slots=True)
class Group:
    """Differences of a kind among many: how many, what they are about, and what they differ by."""

    kind: DifferenceKind
    number: int
    amount: str
    off_by: str


def groups(cases: Sequence[Difference]) -> list[Group]:
    """Many differences by kind."""
    of_kind = {kind: [case for case in cases if case.kind is kind] for kind in DifferenceKind}
    return [
        Group(kind, len(some), formats.money(sum(map(amount_of, some))), signed(sum(case.off_by_fen for case in some)))
        for kind, some in of_kind.items()
        if some
    ]


def doing(one: Difference) -> str:
    """What is done about it, or what is advised."""
    if one.action is not None:
        return word(one.action)
    return in_words(("建议：{action}", "Advised: {action}")).format(action=word(one.proposed_action))


def _code(one: Difference) -> str:
    return speak_order_code(one.order_code) if one.order_code else one.provider_no or one.out_trade_no or "–"


COLUMNS = (
    Column[Difference](
        "kind",
        lambda d: word(d.kind),
        stretch=True,
        tip=lambda d: f"{word(d.kind)} · {channel_word(d.channel)} {d.number}",
        sample=("八个汉字的原因名", "Amounts differ"),
    ),
    Column[Difference](
        "ours",
        lambda d: figure(d.ours_fen),
        numeric=True,
        tip=lambda d: side(d.ours_words, d.ours_fen),
        sample="¥1,234.00",
    ),
    Column[Difference](
        "theirs",
        lambda d: figure(d.theirs_fen),
        numeric=True,
        tip=lambda d: side(d.theirs_words, d.theirs_fen),
        sample="¥1,234.00",
    ),
    Column[Difference]("off_by", lambda d: signed(d.off_by_fen), numeric=True, sample="+¥1,234.00"),
    Column[Difference]("state", lambda d: word(d.state), tone=lambda d: tone(d.state), sample=longest(DifferenceState)),
    Column[Difference]("channel", lambda d: channel_word(d.channel), sample=CHANNELS["wechat"], spare=True),
    Column[Difference]("doing", doing, tip=lambda d: d.note, sample="建议：补单发货", spare=True),
    Column[Difference]("code", _code, code=True, sample="7K3M-9QX2-H4TD", spare=True),
    Column[Difference]("day", lambda d: f"{d.day:%m-%d}", tip=lambda d: formats.day(d.day), sample="03-02", spare=True),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """One named fact of both sides; a side that does not tell it has a dash. `differs`: both tell it, not alike."""

    name: str
    ours: str
    theirs: str
    differs: bool


_MUST_AGREE = frozenset(
    {"amount", "fee", "state", "out_trade_no", "provider_no", "out_refund_no", "refund_no", "order_code"}
)
"""Facts that are the same on both sides; of others, as times and goods, each side has its own."""

_TIMES = frozenset({"paid_at", "asked_at", "refunded_at"})


def compared(detail: DifferenceDetail) -> list[Facts]:
    """Both rows whole beside each other: what differs, what both tell, as ours is ordered, then what one tells."""
    ours, theirs = ({fact.key: fact for fact in side} for side in (detail.ours, detail.theirs))
    must_agree = _MUST_AGREE | (_TIMES if detail.difference.kind is DifferenceKind.DATE_SHIFT else set())
    both = [key for key in ours if key in theirs]
    differs = [key for key in both if key in must_agree and ours[key].value != theirs[key].value]
    return [
        Facts(
            name=(ours.get(key) or theirs[key]).name,
            ours=_told(ours.get(key)),
            theirs=_told(theirs.get(key)),
            differs=key in differs,
        )
        for key in dict.fromkeys((*differs, *both, *ours, *theirs))
    ]


def _told(fact: SideFact | None) -> str:
    """A fact as it is read everywhere else."""
    if fact is None:
        return "–"
    return speak_order_code(fact.value) if fact.key == "order_code" else fact.value


def story(detail: DifferenceDetail) -> list[tuple[str, str]]:
    """What happened to the payment or refund, and who did it, ready to show."""
    told = sorted(detail.events, key=lambda event: event.at)
    return [(formats.moment(one.at), f"{_who(one.who)} {one.what}".strip()) for one in told]


def _who(actor: str) -> str:
    return channel_word(actor) if actor in CHANNELS else party_words(actor)


class Differences(ManyCases[Difference]):
    """The state of the list and of the one in front.

    Attributes:
        day: whose differences the list shows, those carried into it too; None is any day.
        state, kind, channel: what else the list shows; None is any.
        detail: the one in front explained, or None while it is read.
    """

    most = MOST

    def __init__(self, ask: Ask, person: Person) -> None:
        may = frozenset(person.permissions)
        super().__init__(ask, COLUMNS, may_see=Permission.RECONCILE_DAY_READ in may)
        self.may_handle = Permission.RECONCILE_DIFFERENCE_HANDLE in may
        self.day: date | None = None
        self.state: DifferenceState | None = None
        self.kind: DifferenceKind | None = None
        self.channel: str | None = None
        self.detail: DifferenceDetail | None = None
        self._detail_latest = Latest()
        self._listed: list[UUID] = []
        self.feed.watch(self._follow_list)
        self.acting.watch(self._follow_list)

    def show(
        self,
        *,
        day: date | None,
        state: DifferenceState | None,
        kind: DifferenceKind | None,
        channel: str | None,
    ) -> None:
        """Show the differences of a day, a state, a kind and a channel."""
        self._choose_list(is_other=(day, state, kind, channel) != (self.day, self.state, self.kind, self.channel))
        self.day, self.state, self.kind, self.channel = day, state, kind, channel
        self.feed.show(
            lambda engine, after: operations.list_differences(
                engine, day=day, state=state, kind=kind, channel=channel, after=after
            )
        )
        self.changed()

    def show_list(self) -> None:
        self.show(day=self.day, state=self.state, kind=self.kind, channel=self.channel)

    def count_waiting(self) -> None:
        if self.may_see:
            self.waiting.show(lambda engine, after: operations.list_differences(engine, after=after))

    def waits(self, case: Difference) -> bool:
        if case.state is DifferenceState.PROPOSED:
            return "approve" in case.actions
        return case.state is DifferenceState.OPEN and bool(case.actions)

    def read_one(self, case_id: UUID) -> Callable[[Engine], Coroutine[Any, Any, Seen[Difference]]]:
        return lambda engine: operations.one(engine, case_id)

    @property
    def waits_for_second(self) -> bool:
        """Whether the one in front waits for another person than this one."""
        one = self.opened
        return one is not None and one.state is DifferenceState.PROPOSED and "approve" not in one.actions

    def acts_of(self, case: Difference) -> list[Act[Any]]:
        return acts_about(self.picked or (case,)) if self.may_handle else []

    def _show(self, case: Difference) -> None:
        if self.opened is None or self.opened.id != case.id:
            self.detail = None
        super()._show(case)
        then = self._detail_latest.only(partial(self._explained, case.id))
        self._ask(lambda engine: operations.explain(engine, case.id), then, self._detail_latest.also(self._not_read))

    def renew(self, *, is_own: bool) -> None:
        """Some of them changed; where no row is shown none can move under a person."""
        super().renew(is_own=is_own or not self.feed.rows)

    def _acted(self, case: Any) -> None:
        done: list[Difference] = case if isinstance(case, list) else [case]
        self.picked = ()
        super()._acted(next((one for one in done if self.opened is not None and one.id == self.opened.id), done[0]))

    def look_into(self, case: Difference | None) -> None:
        self._listed = [row.id for row in self.feed.rows]
        super().look_into(case)

    def _follow_list(self) -> None:
        """One that was of the list may leave it, handled here or elsewhere: what stands in its place now is next.

        Who is about to do something about it goes on with it; what another screen sent here was never of the list.
        """
        if self.feed.loading or self.feed.error is not None or self.acting.chosen is not None:
            return
        rows, before = self.feed.rows, self._listed
        self._listed = [row.id for row in rows]
        one, here = self.opened, set(self._listed)
        if one is None or one.id in here or one.id not in before:
            return
        at = sum(each in here for each in before[: before.index(one.id)])
        self.look_into(rows[min(at, len(rows) - 1)] if rows else None)

    def _explained(self, case_id: UUID, seen: Seen[DifferenceDetail]) -> None:
        if self.opened is not None and self.opened.id == case_id:
            self.detail = seen.value
            self.changed()
