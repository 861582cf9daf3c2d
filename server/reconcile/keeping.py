"""Differences that a run found become rows: new ones open, known ones as they were handled, gone ones matched.

What people handled stays as they did; where a later bill says something else of it, that is a row of its own
(`matters`). What people carried over from an earlier day, and what was still on its way when that was signed, comes in
as a row of this day (`carrying`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import or_, select

from server import changes
from server.db import Tx, among, bulk_insert
from server.payments.model import PaymentBillFile
from server.payments.refunds import making
from server.payments.refunds.model import Refund
from server.reconcile import booking, carrying, choosing, feed, handling, ours, queries, unbilled, waiting
from server.reconcile.differences import Difference, OurRow
from server.reconcile.matching import Wanted
from server.reconcile.matters import BY_STATE, Matter, Matters, root
from server.reconcile.model import ReconcileDifference
from shared import clock
from shared.finance import DIFFERENCE_ACTIONS, BillKind, DifferenceAction, DifferenceKind, DifferenceState
from shared.money import Fen

_D = DifferenceState
_OF_FUNDS = frozenset({DifferenceKind.FUND_ONLY_FUNDS, DifferenceKind.BALANCE})
"""Kinds whose row is one of the fund bill."""

_MAY_BE_HERE = frozenset({DifferenceKind.DUPLICATE, DifferenceKind.FUND_ONLY_FUNDS, DifferenceKind.REFUND_ONLY_THEIRS})
"""Kinds of lines that are about money of another line, which our books may have, or have set aside."""


def keep(
    tx: Tx,
    channel: str,
    day: date,
    found: Sequence[Difference],
    *,
    trades_file_id: UUID | None,
    funds_file_id: UUID | None,
) -> None:
    """Keep what a run of the day found; callers hold the day."""
    its = (ReconcileDifference.channel == channel, ReconcileDifference.day == day)
    query = select(ReconcileDifference).where(*its).with_for_update()
    known = list(tx.scalars(query, execution_options={"populate_existing": True}))
    carried = carrying.carry_in(tx, channel, day)
    run = _Run(tx, channel, day, [*known, *carried], found, (trades_file_id, funds_file_id))
    run.touched |= {row.id for row in carried}
    for one in found:
        run.take(one)
    of_run = {one.id for one in found}
    taken_over = [row for row in (*known, *carried) if row.carried_from is not None]
    come = {row.id for row in taken_over if carrying.has_come(tx, row)}
    for matter in run.matters.undone(of_run, come):
        run.undo(matter)
    waiting_for = [row for row in taken_over if row.state in {_D.OPEN, _D.PROPOSED} and row.id not in come]
    gone = come | carrying.said_no_more(tx, waiting_for)
    for row in (*known, *carried):
        if row.id not in run.current and (row.carried_from is None or row.id in gone):
            run.close(row)
    for row in known:
        if row.id not in run.current and carrying.is_gone_again(tx, row):
            run.open_again(row)
    for half in carrying.gone_after_all(tx, channel):
        run.tell_again(half)
    run.link([*known, *carried])
    run.write()
    if trades_file_id is not None:
        unbilled.doubt(tx, channel, day, [row for row in run.made if row.state == _D.OPEN])
    changes.append_many(tx, [changes.Changed(feed.DIFFERENCE, one, domain=feed.DOMAIN) for one in sorted(run.touched)])


def keep_late(tx: Tx, day: date, signed: date, files: Sequence[PaymentBillFile], found: Sequence[Difference]) -> None:
    """Keep as work of an open day what differs by the bills of a signed one, as the channel has them now.

    What people handled there, or since, about just this stays as they did; what an earlier late bill said and these do
    not is gone. Callers hold the open day, and have kept its own.
    """
    r, channel = ReconcileDifference, files[0].channel
    known = list(tx.scalars(select(r).where(r.channel == channel, r.day == day).with_for_update()))
    about = or_(r.day == signed, r.carried_from == signed)
    handled = list(tx.scalars(select(r).where(r.channel == channel, about).order_by(r.day.desc(), r.found_at.desc())))
    before = Matters(tx, channel, signed, handled, found)
    late = {BillKind(file.kind): file.id for file in files}
    any_of_them = files[0].id
    ids = (late.get(BillKind.TRADES, any_of_them), late.get(BillKind.FUNDS, any_of_them))
    run = _Run(tx, channel, day, known, found, ids, late=signed)
    for one in found:
        if not (one.closes_itself or run.is_settled(before.of(one.id), one)):
            run.take(one)
    of_run, carried = {one.id for one in found}, {row.origin_id for row in handled if row.day != day}
    for matter in before.undone(of_run, {row.id for row in handled if _may_have_come(tx, row, signed, before)}):
        run.undo(matter)
    for row in known:
        # What was booked is to be taken back where the matter is none any more, all else where it is one.
        is_so = (root(row) in of_run) != (row.kind == DifferenceKind.BOOKED)
        stands = row.id in run.current or (row.origin_id in carried and is_so)
        if row.carried_from == signed and not stands:
            run.close(row)
    run.link(known)
    run.write()
    unbilled.booked(tx, channel, signed)
    changes.append_many(tx, [changes.Changed(feed.DIFFERENCE, one, domain=feed.DOMAIN) for one in sorted(run.touched)])


@dataclass(frozen=True, slots=True)
class _Facts:
    """What both sides say of a difference, as its row has it."""

    ours_id: UUID | None
    ours_fen: Fen | None
    theirs_fen: Fen | None
    ours_state: str
    theirs_state: str
    out_trade_no: str
    provider_no: str
    out_refund_no: str
    order_code: str | None
    file_id: UUID | None
    bill_row: int | None


_NAMES = tuple(_Facts.__dataclass_fields__)
_COLUMNS = (
    *("id", "origin_id", "again_of", "number", "kind", "found_at", "carried_from", "state", "proposed", "version"),
    *("exception_id", *_NAMES),
)


class _Run:
    """One run's work on the rows of its day. `current` are the rows that it found, `touched` those that it changed."""

    def __init__(
        self,
        tx: Tx,
        channel: str,
        day: date,
        known: Sequence[ReconcileDifference],
        found: Sequence[Difference],
        files: tuple[UUID | None, UUID | None],
        late: date | None = None,
    ) -> None:
        """`late`: the signed day of whose late bill this is."""
        self._tx, self._channel, self._day = tx, channel, day
        self._trades_file_id, self._funds_file_id = files
        self._late = late
        self._codes = ours.order_codes(tx, channel, {one.out_trade_no for one in found if one.out_trade_no})
        self._known = _known(tx, channel, found)
        self._sold = _sold(tx, channel, [one for one in found if one.kind is DifferenceKind.REFUND_ONLY_THEIRS])
        self.made: list[ReconcileDifference] = []
        self.matters = Matters(tx, channel, day, known, found, also={one.id for one in found} if late else ())
        self.current: set[UUID] = set()
        self.touched: set[UUID] = set()

    def is_settled(self, matter: Matter, one: Difference) -> bool:
        """Whether what people decided about a matter of the signed day is about just this, or put it right since. What
        they carried over is, while it is before people here; and just this is already, where another open day has it.
        """
        is_by_state = one.kind in BY_STATE
        it = (matter.ours_fen(one), one.theirs_fen, one.theirs.state if is_by_state and one.theirs else "")
        there = [row for row in matter.here if self._is_before_people_elsewhere(row)]
        if it in {(row.ours_fen, row.theirs_fen, row.theirs_state if is_by_state else "") for row in there}:
            return True
        last = matter.handled()
        if matter.booked_fen and (matter.ours_fen(one) or 0) == (one.theirs_fen or 0):
            return True
        if last is not None and not self._is_told(last):
            return False
        return matter.is_settled(one, self._facts(one).ours_state)

    def _is_before_people_elsewhere(self, row: ReconcileDifference) -> bool:
        return row.day != self._day and row.state in {_D.OPEN, _D.PROPOSED} and not row.is_signed

    def take(self, one: Difference) -> None:
        """Keep a difference: in the row that has it already, or in a new one where people handled something else."""
        matter, facts = self.matters.of(one.id), self._facts(one)
        if one.closes_itself and matter.booked_fen:
            self.undo(matter)  # the other half has come, and puts right what people had
            return
        handled = matter.handled()
        if handled is not None and matter.is_settled(one, facts.ours_state) and self._is_told(handled):
            self.current.add(handled.id)  # what people decided stays
            return
        row = matter.live()
        if row is None and handled is not None and _is_only_proposed(handled):
            row = handled
            handling.send_back(row)
        state = _D.MATCHED if one.closes_itself or self._has_come(one, facts) else _D.OPEN
        self._put(row, facts, state) if row else self._make(matter, one.kind, facts, state)

    def _has_come(self, one: Difference, facts: _Facts) -> bool:
        """Whether what a late bill has no more is in the bill of another day: then nobody may write it off here."""
        if self._late is None or one.kind not in carrying.HALVES:
            return False
        about = {"channel": self._channel, "day": self._day, "carried_from": self._late, "kind": one.kind.value}
        row = ReconcileDifference(**about, **{name: getattr(facts, name) for name in _NAMES})
        return carrying.has_come(self._tx, row)

    def _is_told(self, handled: ReconcileDifference) -> bool:
        """Whether what people carried on is still before them, on the day that took it up."""
        return handled.action != DifferenceAction.CARRY or carrying.is_before_people(self._tx, handled)

    def undo(self, matter: Matter) -> None:
        """What was booked and is not to be put right any more is for people to take back."""
        fen, handled = matter.booked_fen, matter.handled(is_undone=True)
        is_same = handled is not None and not booking.booked(handled) and handled.ours_fen == fen
        if handled is not None and is_same and self._is_told(handled):
            self.current.add(handled.id)
            return
        row = matter.live(is_undone=True)
        if row is None and handled is not None and _is_only_proposed(handled):
            row = handled
            handling.send_back(row)
        [*_, last] = [one for one in (*matter.elsewhere, *matter.here) if one.kind != DifferenceKind.BOOKED]
        told = {name: getattr(last, name) for name in _NAMES}
        facts = _Facts(**told | {"ours_fen": fen, "theirs_fen": 0, "ours_state": "", "theirs_state": ""})
        self._put(row, facts, _D.OPEN) if row else self._make(matter, DifferenceKind.BOOKED, facts, _D.OPEN)

    def close(self, row: ReconcileDifference) -> None:
        """What is gone by itself needs nobody's decision any more."""
        if _is_only_proposed(row):
            handling.send_back(row)
        if row.state == _D.OPEN:
            _move(row, _D.MATCHED)
            row.version += 1
            self.touched.add(row.id)

    def open_again(self, row: ReconcileDifference) -> None:
        """What had closed itself is before people once more."""
        _move(row, _D.OPEN)
        row.version += 1
        self.touched.add(row.id)

    def tell_again(self, half: ReconcileDifference) -> None:
        """What people wrote off, and took back because a bill had it, is before them once more: behind its own day, and
        where that is open it finds it by itself.
        """
        matter, since = self.matters.of(root(half)), half.carried_from or half.day
        is_told = any(row.state in {_D.OPEN, _D.PROPOSED} for row in matter.here)  # some are not written yet
        if since < self._day and queries.is_signed(self._tx, self._channel, since) and not is_told:
            facts = _Facts(**{name: getattr(half, name) for name in _NAMES})
            self._make(matter, DifferenceKind(half.kind), facts, _D.OPEN, since=since)

    def link(self, known: Iterable[ReconcileDifference]) -> None:
        """Let open ones know the exceptions in which their money waits, and what may be done then."""
        rows = [row for row in (*known, *self.made) if row.state == _D.OPEN]
        waiting.doubt(self._tx, [row for row in rows if row.exception_id is None])
        exceptions = waiting.found(self._tx, self._channel, rows)
        for row in rows:
            exception = exceptions.get(row.id)
            proposed = choosing.possible(row, exception)[0].value
            told = (exception.id if exception else None, proposed)
            if (row.exception_id, row.proposed) != told:
                row.exception_id, row.proposed = told
                row.version += row.id not in self.touched
                self.touched.add(row.id)

    def write(self) -> None:
        """Write what is new: there may be thousands of them."""
        self._tx.flush()
        rows = [tuple(row.__dict__[name] for name in _COLUMNS) for row in self.made]
        its = {"channel": self._channel, "day": self._day, "note": "", "is_signed": False}
        bulk_insert(self._tx, ReconcileDifference, _COLUMNS, rows, constants=its)

    def _make(
        self, matter: Matter, kind: DifferenceKind, facts: _Facts, state: DifferenceState, *, since: date | None = None
    ) -> None:
        """A row of what nobody has seen yet; `since`: of an earlier day."""
        new_id, since = matter.next_id(is_undone=kind is DifferenceKind.BOOKED), since or self._late
        if since and new_id == matter.id:
            new_id = uuid5(NAMESPACE_URL, f"kameng:difference:{matter.id}:late:{self._day}")
        row = ReconcileDifference(
            id=new_id,
            origin_id=new_id,
            again_of=None if new_id == matter.id else matter.id,
            number=carrying.number(self._day, new_id),
            channel=self._channel,
            day=self._day,
            note="",
            is_signed=False,
            kind=kind.value,
            found_at=clock.now(),
            carried_from=since,
            state=state.value,
            proposed=DIFFERENCE_ACTIONS[kind][0].value,
            version=1,
            exception_id=None,
            **{name: getattr(facts, name) for name in _NAMES},
        )
        self.made.append(row)
        matter.here.append(row)
        self.current.add(new_id)
        self.touched.add(new_id)

    def _put(self, row: ReconcileDifference, facts: _Facts, state: DifferenceState) -> None:
        """What both sides say of it; the version moves with it where people have seen something else."""
        self.current.add(row.id)
        told = {name: getattr(facts, name) for name in _NAMES}
        news = {name: value for name, value in told.items() if getattr(row, name) != value}
        if news or row.state != state:
            for name, value in news.items():
                setattr(row, name, value)
            _move(row, state)
            row.version += 1
            self.touched.add(row.id)

    def _facts(self, one: Difference) -> _Facts:
        file_id = self._funds_file_id if one.kind in _OF_FUNDS else self._trades_file_id
        return _Facts(
            ours_id=one.ours.id if one.ours else None,
            ours_fen=self.matters.of(one.id).ours_fen(one),
            theirs_fen=one.theirs_fen,
            ours_state=one.ours.state if one.ours else self._state_here(one),
            theirs_state=one.theirs.state if one.theirs else "",
            out_trade_no=one.out_trade_no[:64],
            provider_no=one.provider_no[:64],
            out_refund_no=one.out_refund_no[:64],
            order_code=self._codes.get(one.out_trade_no),
            file_id=file_id if self._late or one.bill_row is not None else None,
            bill_row=one.bill_row,
        )

    def _state_here(self, one: Difference) -> str:
        """What our books have of money that a line is about, which is none of ours."""
        its = self._known.get(one.provider_no, ()) if one.kind in _MAY_BE_HERE else ()
        if one.kind is not DifferenceKind.REFUND_ONLY_THEIRS:
            return choosing.PAID_HERE if its else ""
        is_aside = any(our.state == choosing.ASIDE_HERE and our.amount_fen == one.theirs_fen for our in its)
        is_sold = one.id in self._sold
        return choosing.ASIDE_HERE if is_aside else choosing.PAID_HERE if is_sold else ""


def _may_have_come(tx: Tx, row: ReconcileDifference, signed: date, before: Matters) -> bool:
    """Whether it is over where a signed day's bills have it no more: what an earlier day left, they need not have."""
    is_of_day = row.carried_from in {None, signed}
    return is_of_day or (before.of(root(row)).booked_fen != 0 and carrying.has_come(tx, row))


def _move(row: ReconcileDifference, to: DifferenceState) -> None:
    """Open or close it; of one that people could see open, keep when it closed itself."""
    if row.state != to:
        row.handled_at = clock.now() if to is _D.MATCHED else None
        row.state = to.value


def _is_only_proposed(row: ReconcileDifference) -> bool:
    """Whether what people said is not done yet, and nothing waits for it in the exceptions."""
    return row.state == _D.PROPOSED and row.exception_id is None


def _sold(tx: Tx, channel: str, back: Sequence[Difference]) -> set[UUID]:
    """Those of these refunds whose money an order was sold for. A further line about one of ours is not one of them:
    what that gave back is in the books.
    """
    r, numbers = Refund, sorted({one.out_refund_no for one in back if one.out_refund_no})
    ours_too = set(tx.scalars(select(r.out_refund_no).where(among(tx, r.out_refund_no, numbers)))) if numbers else set()
    sold = making.sold_for(tx, channel, {one.provider_no for one in back})
    return {one.id for one in back if one.provider_no in sold and one.out_refund_no not in ours_too}


def _known(tx: Tx, channel: str, found: Iterable[Difference]) -> Mapping[str, Sequence[OurRow]]:
    """What our books have, by the channel's numbers, of lines that the bill has twice, that moved without a trade, or
    that give back what we have not.
    """
    asked = {one.provider_no for one in found if one.kind in _MAY_BE_HERE and one.ours is None and one.provider_no}
    named = ours.named(tx, channel, Wanted(sorted(asked), [], [])) if asked else []
    known: dict[str, list[OurRow]] = defaultdict(list)
    for our in named:
        if our.state != choosing.UNPAID_HERE:
            known[our.provider_no].append(our)
    return known
