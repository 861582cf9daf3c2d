"""Close of day: what each channel's day comes to, what may be done about it now and why not, and what is signed.

Fetching and running are done at once; signing and recording money that arrived are shown first and done after that.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from desktop.engine.engine import Engine
from desktop.operations import reconciliation_days as operations
from desktop.operations.reconciliation_days import Bank
from desktop.operations.seen import Seen
from desktop.presenters import formats
from desktop.presenters.acting import Act, Acting, Entry, Pair, Work
from desktop.presenters.arrivals import APPROVE, SWEEP, about, about_withdrawal, recording
from desktop.presenters.feed import Feed
from desktop.presenters.ports import Ask, Latest
from desktop.presenters.watching import Watched
from desktop.presenters.words import CHANNELS, in_words
from shared.clock import now, shop_day
from shared.contracts.bank import OwedDay, Sweep, Withdrawal
from shared.contracts.identity import Person
from shared.contracts.reconcile import Balance, DaySide, ReconciledDay
from shared.finance import DayState, DifferenceKind, DifferenceState
from shared.owed import left
from shared.permissions import Permission

DAYS_BACK = 13
"""How many days before the one in front are shown beside it."""

FETCH, RUN, SIGN, CORRECT = "fetch", "run", "sign", "correct"

_RIGHTS = {
    FETCH: Permission.RECONCILE_BILL_ADD,
    RUN: Permission.RECONCILE_DIFFERENCE_HANDLE,
    SIGN: Permission.RECONCILE_DAY_SIGN,
    SWEEP: Permission.RECONCILE_DIFFERENCE_HANDLE,
    CORRECT: Permission.LEDGER_ADJUSTMENT_EDIT,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of both sides: its key (the view has the words), both and their difference ready to show."""

    key: str
    ours: str
    theirs: str
    off_by: str
    holds: bool


def lines(day: ReconciledDay) -> list[Line]:
    """Both sides of a day beside each other, and what the channel has more; all compared as integers.

    Before a run the channel's side is not known. What is settled is told where coupons make it another figure.
    """
    theirs = day.theirs if day.run_at is not None else None
    is_told = any(side.settled_fen != side.payments_fen - side.refunds_fen for side in (day.ours, day.theirs))
    return [_line(key, day.ours, theirs) for key in DaySide.model_fields if key != "settled_fen" or is_told]


def _line(key: str, ours: DaySide, theirs: DaySide | None) -> Line:
    write = formats.money if key.endswith("_fen") else formats.count
    left = getattr(ours, key)
    if theirs is None:
        return Line(key, write(left), "–", "–", holds=True)
    right = getattr(theirs, key)
    return Line(key, write(left), write(right), signed(right - left, write), holds=left == right)


def signed(number: int, write: Callable[[int], str] = formats.money) -> str:
    """A difference: a dash where there is none, else with its sign."""
    return "–" if number == 0 else ("+" if number > 0 else "") + write(number)


def identity(balance: Balance) -> list[tuple[str, str]]:
    """The lines of the fund bill's identity as they add up to the closing balance, by key."""
    signs = {"refunds_fen": -1, "fees_fen": -1, "withdrawals_fen": -1}
    parts = [key for key in Balance.model_fields if key not in {"closing_fen", "off_by_fen", "opening_fen"}]
    added = [(key, signed(signs.get(key, 1) * getattr(balance, key))) for key in parts if getattr(balance, key)]
    return [
        ("opening_fen", formats.money(balance.opening_fen)),
        *added,
        ("closing_fen", formats.money(balance.closing_fen)),
    ]


def open_differences(day: ReconciledDay) -> int:
    """How many differences of a day wait."""
    return sum(kind.open for kind in day.differences)


def _waits_for_signature(day: ReconciledDay) -> bool:
    """A day of which both the channel and we have nothing, as those before the shop opened, waits for nobody."""
    has_rows = any(bill.source != "none" for bill in day.bills)
    has_something = has_rows or day.ours.payments or day.ours.refunds or day.differences
    return bool(has_something) and day.state is not DayState.SIGNED


def tone_of(day: ReconciledDay) -> str:
    """The voice of a day's badge: what is signed is done, what waits for bills or has differences is not."""
    if day.state is DayState.SIGNED:
        return "success"
    if day.trouble is not None:
        return "danger"
    return "warning" if day.state is DayState.WAITING or open_differences(day) else "info"


@dataclass(frozen=True, slots=True)
class Unpaid:
    """Days whose money has not come: how many, what is short of them, and since how many days, where one is late."""

    days: int = 0
    fen: int = 0
    late_days: int | None = None


class Days(Watched):
    """The state of the days' close.

    Attributes:
        day: the business day in front.
        rows: the days that were read, of all channels; `as_of` and `live` say how old they are.
        channel: whose day is in front; None while there is none.
        bank: what arrived for it and what has not, of this channel; None while it is not known.
        waiting: what arrived on any day and waits for a second person: for the number at the place.
        owed: days of all channels whose money has not come.
        acting: signing it, and recording what arrived.
        busy: what is on its way now, of FETCH and RUN; empty otherwise.
        error: why something failed.
    """

    def __init__(self, ask: Ask, person: Person) -> None:
        super().__init__()
        self._ask = ask
        self._may = frozenset(person.permissions)
        self.may_see = Permission.RECONCILE_DAY_READ in self._may
        self.may_add_bills = Permission.RECONCILE_BILL_ADD in self._may
        self.day = self.today - timedelta(days=1)
        self.rows: list[ReconciledDay] = []
        self.as_of: datetime | None = None
        self.live = True
        self.loading = False
        self.channel: str | None = None
        self.bank: Bank | None = None
        self.waiting: Feed[Sweep] = Feed(ask, ())
        self.owed: Feed[OwedDay] = Feed(ask, ())
        self.acting: Acting[ReconciledDay | Sweep | Withdrawal] = Acting(ask, self._acted, self.refresh)
        self.busy = ""
        self.error: Exception | None = None
        self._latest, self._bank_latest = Latest(), Latest()

    @property
    def today(self) -> date:
        """The business day that is running."""
        return shop_day(now())

    @property
    def channels(self) -> list[ReconciledDay]:
        """The day in front of every channel."""
        return [row for row in self.rows if row.day == self.day]

    @property
    def chosen(self) -> ReconciledDay | None:
        """The channel's day in front."""
        return next((row for row in self.channels if row.channel == self.channel), None)

    @property
    def closed_today(self) -> list[ReconciledDay]:
        """Days of which differences that had been open have closed themselves today."""
        closed = [(row, row.closed_themselves_at) for row in self.rows]
        return [row for row, at in closed if at is not None and shop_day(at) == self.today]

    @property
    def sweeps(self) -> list[Sweep] | None:
        """What arrived for the channel's day in front; None while it is not known."""
        return None if self.bank is None else self.bank.sweeps

    @property
    def unsigned(self) -> list[date]:
        """Days before the one in front on which something happened and not every channel is signed, oldest first."""
        return sorted({row.day for row in self.rows if row.day < self.day and _waits_for_signature(row)})

    def show(self, day: date) -> None:
        """Show another day, at most today."""
        self.day = min(day, self.today)
        self._show_chosen()
        self.refresh()

    def step_channel(self, steps: int) -> None:
        """Go to the next channel, or back; around at the ends."""
        codes = [row.channel for row in self.channels]
        if self.channel in codes:
            self.choose(codes[(codes.index(self.channel) + steps) % len(codes)])

    def choose(self, channel: str) -> None:
        """Put a channel's day in front."""
        if channel != self.channel:
            self.channel, self.error = channel, None
            self._show_chosen()
            self.changed()

    def refresh(self) -> None:
        """Read the days again."""
        if not self.may_see:
            return
        self.loading, self.error = True, None
        last = self.day
        then = self._latest.only(self._read)
        work = partial(operations.days, first=last - timedelta(days=DAYS_BACK), last=last)
        self._ask(work, then, self._latest.also(self._failed))
        self.changed()

    @property
    def to_check(self) -> list[Sweep]:
        """What arrived and waits for this person's word."""
        return [one for one in self.waiting.rows if APPROVE in one.actions]

    @property
    def count(self) -> int:
        """How many arrivals wait for this person."""
        return len(self.to_check)

    def count_waiting(self) -> None:
        """Read what arrived and waits for another person, and what has not arrived."""
        if self.may_see:
            self.waiting.show(lambda engine, _after: operations.waiting_sweeps(engine))
            self.owed.show(operations.owed)

    def unpaid(self, channel: str) -> Unpaid:
        """The days of a channel before the one in front that wait for money that nobody has recorded."""
        before = [one for one in self.owed.rows if one.channel == channel and one.day < self.day]
        short = {one.day: fen for one in before if (fen := left(one.short_fen, one.waiting_fen))}
        late = [one.day for one in before if one.is_late]
        return Unpaid(len(short), sum(short.values()), (self.today - min(late)).days if late else None)

    def renew(self) -> None:
        """Days changed somewhere; nobody's place is lost by reading them."""
        self.count_waiting()
        if self.as_of is not None:
            self.refresh()

    def state_to_see(self, kind: DifferenceKind) -> DifferenceState | None:
        """In which state differences of a kind are to be seen: None, those that are not closed, if there are any."""
        counted = next((one for one in (self.chosen.differences if self.chosen else ()) if one.kind is kind), None)
        if counted is None or counted.open:
            return None
        return DifferenceState.MATCHED if counted.matched == counted.closed else DifferenceState.RESOLVED

    # --- what may be done ---

    def may(self, what: str) -> bool:
        """Whether it may be done now."""
        return not self.why_not(what)

    def why_not(self, what: str) -> str:
        """Why it may not be done now, in words for the button; empty when it may."""
        day = self.chosen
        if _RIGHTS[what] not in self._may:
            return in_words(("您的账号没有这项权限", "Your account may not do this"))
        if day is None:
            return in_words(("这一天还没有可对的账", "There is nothing to reconcile on this day"))
        if self.busy or self.acting.busy:
            return in_words(("正在处理，请稍候", "Something is under way"))
        if what == SWEEP:
            return ""
        if what in day.actions:
            return ""
        if day.state is DayState.SIGNED:
            return in_words(("已签署，不再改动", "Signed: it does not change any more"))
        if what == SIGN and day.sign_waits_for:
            return in_words(("；", "; ")).join(day.sign_waits_for)
        return in_words(_NOT_YET[what])

    def fetch(self) -> None:
        """Have the missing bills fetched."""
        self._do(FETCH, operations.fetch)

    def run(self) -> None:
        """Compare both sides again."""
        self._do(RUN, operations.run)

    def _do(self, what: str, work: Callable[[Engine, ReconciledDay], Coroutine[Any, Any, ReconciledDay]]) -> None:
        day = self.chosen
        if day is None or not self.may(what):
            return
        self.busy, self.error = what, None
        self._ask(lambda engine: work(engine, day), self._done, self._not_done)
        self.changed()

    def _done(self, day: ReconciledDay) -> None:
        self.busy = ""
        self._take(day)
        self.changed()

    def _not_done(self, error: Exception) -> None:
        self.busy, self.error = "", error
        self.changed()

    def _acted(self, answer: ReconciledDay | Sweep | Withdrawal) -> None:
        if isinstance(answer, ReconciledDay):
            self._take(answer)
        else:
            self._read_bank()
        self.refresh()

    # --- reading ---

    def _read(self, seen: Seen[list[ReconciledDay]]) -> None:
        self.loading, self.rows = False, list(seen.value)
        self.as_of, self.live = seen.as_of, seen.live
        codes = [row.channel for row in self.channels]
        if codes and self.channel not in codes:
            self.channel = codes[0]
        before = self._front
        self._show_chosen()
        if before == self._front:
            self._read_bank()  # somebody else may have recorded one
        self.changed()

    def _failed(self, error: Exception) -> None:
        self.loading, self.error = False, error
        self.changed()

    def _take(self, day: ReconciledDay) -> None:
        """One day is as this answer says."""
        here = [(row.channel, row.day) for row in self.rows]
        if (day.channel, day.day) in here:
            self.rows[here.index((day.channel, day.day))] = day
        else:
            self.rows.append(day)
        self._show_chosen()

    def _show_chosen(self) -> None:
        day = self.chosen
        front = None if day is None else (day.channel, day.day)
        if front != self._front:
            self._front, self.bank = front, None
            self.acting.leave()
            if day is not None:
                self._read_bank()
        self.acting.offer(self._acts(day))

    _front: tuple[str, date] | None = None

    def _read_bank(self) -> None:
        day = self.chosen
        if day is not None:
            then = self._bank_latest.only(self._bank_read)
            work = partial(operations.bank, day=day.day, channel=day.channel)
            self._ask(work, then, self._bank_latest.also(_unheard))

    def _bank_read(self, seen: Seen[Bank]) -> None:
        self.bank = seen.value
        self.acting.offer(self._acts(self.chosen))
        self.changed()

    def _acts(self, day: ReconciledDay | None) -> Sequence[Act[ReconciledDay | Sweep | Withdrawal]]:
        if day is None:
            return ()
        acts: list[Act[ReconciledDay | Sweep | Withdrawal]] = []
        bank = self.bank or Bank([], [], [], [])
        if self.may(SIGN) or (self.acting.busy and SIGN in day.actions):
            acts.append(_signing(day))
        if _RIGHTS[SWEEP] in self._may:
            acts.append(recording(day, bank.owed))
            acts += [act for one in bank.withdrawals for act in about_withdrawal(one)]
        return [*acts, *(act for one in bank.sweeps for act in about(one))]


def _unheard(_error: Exception) -> None:
    """What arrived stays unknown, and the screen says so."""


_NOT_YET: dict[str, Pair] = {
    FETCH: ("账单已齐，或渠道还没有出账", "No bill is missing, or the channel has not made it yet"),
    RUN: ("账单还没有到", "The bills are not here yet"),
    SIGN: ("还有未处理的差异", "Differences are still open"),
    CORRECT: ("没有签署，可以直接处理差异", "It is not signed: see to its differences"),
}


_SIGNED: Pair = (
    (
        "{channel} {day}：收款 {payments} 笔 {paid}，退款 {refunds} 笔 {back}，手续费 {fees}，应结净额 {net}。\n"
        "结果指纹 SHA-256：{hash}\n以您的名义签署后当日不可改动；发现错误时由两人另记一笔更正。"
    ),
    (
        "{channel}, {day}: {payments} payments {paid}, {refunds} refunds {back}, fees {fees}, net {net}.\n"
        "SHA-256 of the result: {hash}\n"
        "Signed in your name the day does not change any more; what proves wrong is corrected by two people."
    ),
)
"""What a person puts their name to."""


def _signing(day: ReconciledDay) -> Act[ReconciledDay | Sweep | Withdrawal]:
    def work(typed: Mapping[str, str]) -> Work[ReconciledDay | Sweep | Withdrawal]:
        return lambda engine: operations.sign(engine, day, note=typed["note"])

    zh, en = CHANNELS.get(day.channel, (day.channel, day.channel))
    told = {
        "day": day.day,
        "payments": formats.count(day.theirs.payments),
        "paid": formats.money(day.theirs.payments_fen),
        "refunds": formats.count(day.theirs.refunds),
        "back": formats.money(day.theirs.refunds_fen),
        "fees": formats.money(day.theirs.fees_fen),
        "net": formats.money(day.net_fen),
        "hash": day.outputs_sha256,
    }
    return Act(
        key=SIGN,
        words=("签署…", "Sign…"),
        effect=(_SIGNED[0].format(channel=zh, **told), _SIGNED[1].format(channel=en, **told)),
        done=("已签署", "Signed"),
        work=work,
        entries=(Entry("note", ("备注（可不填，随签名保存）", "Note (may be left out; kept with it)"), needed=False),),
        naming=lambda _typed: ("签署", "Sign"),
    )
