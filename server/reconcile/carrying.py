"""What an open day takes over from the days before it, until its other half has come.

People carry a difference over; what was still on its way in the exceptions when its day was signed comes by itself, so
that a day that is open tells how it ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from server.db import Tx, among
from server.gateways.bill_rows import UNMOVED
from server.payments import kept_bills
from server.payments.exceptions import of_bill
from server.payments.model import PaymentAttempt, PaymentBillFile, PaymentException
from server.payments.refunds.model import Refund
from server.reconcile import beside, booking, choosing, controls, days, handling, matching, ours, unbilled, waiting
from server.reconcile.figures import Figures
from server.reconcile.matching import Wanted
from server.reconcile.matters import Matters, root
from server.reconcile.model import ReconcileDay, ReconcileDifference, ReconcileRow
from shared import clock
from shared.finance import BillKind, DifferenceAction, DifferenceKind, DifferenceState
from shared.money import Fen
from shared.states import RefundState

_D, _K = DifferenceState, DifferenceKind


def number(day: date, difference_id: UUID) -> str:
    """What people call it; made of its id, so that every run calls it the same."""
    return f"D{day:%Y%m%d}-{difference_id.hex[-10:].upper()}"


def carry_in(tx: Tx, channel: str, day: date) -> list[ReconcileDifference]:
    """Rows of this day for what earlier days left to later ones, and no later day has taken up; their version is 1.

    So is what was signed as come by a bill that another one took the place of, without it.
    """
    r, later = ReconcileDifference, aliased(ReconcileDifference)
    taken = exists().where(later.origin_id == r.origin_id, later.day > r.day)
    carried = and_(r.state == _D.RESOLVED.value, r.action == DifferenceAction.CARRY.value)
    under_way = and_(r.state == _D.WORKING.value, r.is_signed)
    its = (r.channel == channel, r.day < day, or_(carried, under_way), ~taken)
    left = tx.scalars(select(r).where(*its).order_by(r.number)).all()
    made = [_carried(day, row) for row in (*left, *_gone_since(tx, channel, day))]
    for row in made:
        tx.add(row)
        exception = tx.get(PaymentException, row.exception_id) if row.exception_id else None
        if exception is not None:
            handling.follow(row, exception)
    return made


_SAME = (
    *("origin_id", "again_of", "channel", "kind", "ours_id", "ours_fen", "theirs_fen", "ours_state", "theirs_state"),
    *("out_trade_no", "provider_no", "out_refund_no", "order_code", "file_id", "bill_row", "proposed"),
)
_UNDER_WAY = (
    *("state", "action", "action_order_code", "note", "handled_by", "handled_at", "checked_by", "checked_at"),
    *("exception_id", "exception_version"),
)


def _carried(day: date, before: ReconcileDifference) -> ReconcileDifference:
    new_id = uuid5(NAMESPACE_URL, f"kameng:difference:{before.origin_id}:carried:{day}")
    is_under_way = before.state == _D.WORKING
    told = {name: getattr(before, name) for name in (*_SAME, *(_UNDER_WAY if is_under_way else ()))}
    return ReconcileDifference(
        id=new_id,
        number=number(day, new_id),
        day=day,
        found_at=clock.now(),
        carried_from=before.carried_from or before.day,
        is_signed=False,
        version=1,
        **{"state": _D.OPEN.value, "note": ""} | told,
    )


# --- whether the other half is there ---


def has_come(tx: Tx, row: ReconcileDifference) -> bool:
    """Whether what was carried over agrees by now, with the bills that are here and the books as they are."""
    return _COMES[DifferenceKind(row.kind)](tx, row)


def is_before_people(tx: Tx, row: ReconcileDifference) -> bool:
    """Whether what people carried over, and is so still, is where they see it, or will be."""
    r = ReconcileDifference
    last = select(r).where(r.origin_id == row.origin_id, r.day > row.day).order_by(r.day.desc()).limit(1)
    taken_up = tx.scalars(last).first()
    return taken_up is None or taken_up.state != _D.MATCHED or has_come(tx, taken_up)


def _in_a_bill(tx: Tx, row: ReconcileDifference) -> bool:
    """A bill has a row that agrees with ours."""
    paired = ReconcileRow.matched_id == row.ours_id
    return row.ours_id is not None and _is_billed(tx, row, BillKind.TRADES, paired)


def _listed(tx: Tx, row: ReconcileDifference) -> bool:
    """A bill has our payment, whatever it says of it: how the two differ is for the bill's day to tell; or our books
    have it no more.
    """
    if not any(one.id == row.ours_id for one in ours.named(tx, row.channel, _named_by(row))):
        return True
    named = (ReconcileRow.provider_no == row.provider_no, ReconcileRow.kind == "payment")
    is_there = bool(row.provider_no) and _is_billed(tx, row, BillKind.TRADES, *named)
    return is_there or _in_a_bill(tx, row)


def _is_of_late_bill(tx: Tx, row: ReconcileDifference) -> bool:
    file = tx.get(PaymentBillFile, row.file_id) if row.file_id else None
    return file is not None and file.is_late


def _in_our_books(tx: Tx, row: ReconcileDifference) -> bool:
    """Money that only the bill had is in our books: it pays an order, or went back."""
    its_own = ours.named(tx, row.channel, Wanted([row.provider_no], [], []))
    return any(one.state == "paid" and one.amount_fen == row.theirs_fen for one in its_own)


def _amounts_agree(tx: Tx, row: ReconcileDifference) -> bool:
    """A bill or our books say the same by now."""
    return _in_a_bill(tx, row) or _in_our_books(tx, row)


def _once_only(tx: Tx, row: ReconcileDifference) -> bool:
    """A second payment went its way; a line that was in a bill twice is there once, by a newer bill."""
    if row.ours_state != choosing.PAID_HERE:
        return _in_our_books(tx, row)
    r, f = ReconcileRow, PaymentBillFile
    its = (r.provider_no == row.provider_no, r.kind == "payment", f.kind == BillKind.TRADES.value, f.is_current)
    lines = select(func.count()).select_from(r).join(f, f.id == r.file_id).where(f.channel == row.channel, *its)
    return tx.scalar(lines) == 1


def _refund_is_booked(tx: Tx, row: ReconcileDifference) -> bool:
    [told] = waiting.refunds(tx, [row]).values()
    named = Wanted([told.refund_no], [], [told.out_refund_no] if told.out_refund_no else [])
    is_its_own = told.refund_no != row.provider_no
    for one in ours.named(tx, row.channel, named):
        is_same = one.out_refund_no == told.out_refund_no or (is_its_own and one.provider_no == told.refund_no)
        if one.kind == "refund" and is_same and (one.state, one.amount_fen) == ("succeeded", told.amount_fen):
            return True
    return bool(of_bill.are_booked(tx, row.channel, [told]))


def _named_by(row: ReconcileDifference) -> Wanted:
    return Wanted(*([number] if number else [] for number in (row.provider_no, row.out_trade_no, row.out_refund_no)))


def _refunded(tx: Tx, row: ReconcileDifference) -> bool:
    """A bill has our refund; or it failed since, and no bill will."""
    refund = tx.get(Refund, row.ours_id) if row.ours_id else None
    return _in_a_bill(tx, row) or refund is None or refund.state not in ours.ASKED


def _refund_listed(tx: Tx, row: ReconcileDifference) -> bool:
    """The same, whatever the bill says of it: how the two differ is for its own day to tell."""
    refund, r = tx.get(Refund, row.ours_id) if row.ours_id else None, ReconcileRow
    if refund is None:
        return True
    its_numbers = (r.provider_no == unbilled.payment_no(tx, refund), r.out_refund_no == row.out_refund_no)
    return _is_billed(tx, row, BillKind.TRADES, *its_numbers, r.kind == "refund") or _refunded(tx, row)


def _refund_ended(tx: Tx, row: ReconcileDifference) -> bool:
    """Our refund is what the bill says by now; or ended, as the channel has said since, where the bill has it on its
    way: no other bill will list it.
    """
    refund = tx.get(Refund, row.ours_id) if row.ours_id else None
    if refund is None:
        return False
    ended = {RefundState.SUCCEEDED, RefundState.CLOSED} if row.theirs_state == "processing" else set()
    if row.theirs_state == "failed" and tx.scalar(select(ours.BY_HAND).where(Refund.id == refund.id)):
        return True  # it was paid otherwise, and people have said so
    return refund.state in matching.AGREES.get(row.theirs_state, frozenset()) | ended


def _moved(tx: Tx, row: ReconcileDifference) -> bool:
    """A later bill of movements has what was missing."""
    r, missing = ReconcileRow, (row.ours_fen or 0) - (row.theirs_fen or 0)
    its = (r.provider_no == row.provider_no, r.amount_fen == missing)
    return _is_billed(tx, row, BillKind.FUNDS, *its, is_later=True)


def _traded(tx: Tx, row: ReconcileDifference) -> bool:
    """A later trade bill has what had moved its money."""
    r, missing = ReconcileRow, (row.theirs_fen or 0) - (row.ours_fen or 0)
    named = or_(r.provider_no == row.provider_no, r.refund_no == row.provider_no)
    paid, back = (
        and_(r.kind == kind, r.settled_fen == fen) for kind, fen in (("payment", missing), ("refund", -missing))
    )
    return _is_billed(tx, row, BillKind.TRADES, named, or_(paid, back, r.fee_fen == -missing), is_later=True)


def _balances(tx: Tx, row: ReconcileDifference) -> bool:
    """The bill of its day was replaced by one that adds up."""
    day = days.find(tx, row.channel, row.carried_from or row.day)
    balance = Figures.of(day.figures).balance if day else None
    return balance is not None and balance.off_by_fen == 0 and not _is_of_late_bill(tx, row)


def _is_taken_back(tx: Tx, row: ReconcileDifference) -> bool:
    """Nothing is booked any more; or a bill has something to put right again, and an open day tells what is left; or
    just what was booked.
    """
    r, matter = ReconcileDifference, root(row)
    is_live = (r.state.in_([_D.OPEN.value, _D.PROPOSED.value]), r.day != row.day, ~r.is_signed)
    its = (r.channel == row.channel, or_(r.origin_id == matter, r.again_of == matter), r.kind != _K.BOOKED.value)
    is_told = tx.scalar(select(r.id).where(*its, *is_live).limit(1)) is not None
    return _booked(tx, row) == 0 or is_told or _is_said_again(tx, row)


def _is_said_again(tx: Tx, row: ReconcileDifference) -> bool:
    """Whether bills say what was booked last about the matter of a difference: that is right, and stays."""
    r, matter = ReconcileDifference, root(row)
    its = (r.channel == row.channel, or_(r.origin_id == matter, r.again_of == matter))
    booked = (r.state == _D.RESOLVED.value, r.action.in_(sorted(booking.BOOKED)))
    newest = select(r).where(*its, *booked).order_by(r.handled_at.desc(), r.day.desc(), r.found_at.desc()).limit(1)
    last = tx.scalars(newest).first()
    if last is None or last.kind == _K.BOOKED:
        return False
    if last.kind in HALVES:
        return not has_come(tx, last)
    return last.bill_row is not None and not said_no_more(tx, [last])


def _booked(tx: Tx, row: ReconcileDifference) -> Fen:
    """What is booked about the matter of a difference, on its day and on others."""
    r, matter = ReconcileDifference, root(row)
    its = (r.channel == row.channel, r.day == row.day, or_(r.origin_id == matter, r.again_of == matter))
    here = {row, *tx.scalars(select(r).where(*its))}  # which may have been taken over just now
    return Matters(tx, row.channel, row.day, here, []).of(matter).booked_fen


def _never(_tx: Tx, _row: ReconcileDifference) -> bool:
    return False


def _is_billed(
    tx: Tx, row: ReconcileDifference, kind: BillKind, *its: ColumnElement[bool], is_later: bool = False
) -> bool:
    """Whether the last word of some day has such a row; `is_later`: of a later day than this difference is of, or of
    its own where that came after it was signed.
    """
    r, f, day = ReconcileRow, PaymentBillFile, row.carried_from or row.day
    which = (f.channel == row.channel, f.kind == kind.value, *([f.day >= day] if is_later else []))
    files = select(f.day, f.id, f.late_n).distinct().join(r, r.file_id == f.id)
    for of, file_id, late_n in tx.execute(files.where(*which, *its)):
        counts = not is_later or of > day or late_n is not None
        if counts and kept_bills.newest(tx, row.channel, of)[kind].id == file_id:
            return True
    return False


def is_gone_again(tx: Tx, row: ReconcileDifference) -> bool:
    """Whether what a later bill had after all is in none any more, by what came since; and nobody has booked it, nor
    another day put it before people.
    """
    r, matter = ReconcileDifference, root(row)
    is_closed = row.kind in HALVES and row.carried_from is not None and row.state == _D.MATCHED
    if not is_closed or has_come(tx, row):
        return False
    is_there = and_(r.state.in_([_D.OPEN.value, _D.PROPOSED.value]), r.day != row.day, ~r.is_signed)
    its = (r.channel == row.channel, or_(r.origin_id == matter, r.again_of == matter), or_(r.day > row.day, is_there))
    return tx.scalar(select(r.id).where(*its).limit(1)) is None and _booked(tx, row) == 0


def to_run_again(tx: Tx, channel: str, *, but: date) -> set[date]:
    """The open days but one on which a half that was carried over has come since it was compared, or is gone again;
    those that tell of what was written off and taken back, and no bill has any more; and those where something is
    booked that was to be taken back on that one, and is not there any more, if they were not compared since.
    """
    r = ReconcileDifference
    states = (_D.OPEN.value, _D.PROPOSED.value, _D.MATCHED.value)
    its = (r.channel == channel, r.day != but, r.carried_from.is_not(None), ~r.is_signed, r.state.in_(states))
    rows = tx.scalars(select(r).where(*its, r.kind.in_(sorted(HALVES)))).all()
    moved = {row.day for row in rows if (is_gone_again if row.state == _D.MATCHED else has_come)(tx, row)}
    told = {days.open_from(tx, channel, half.carried_from or half.day) for half in gone_after_all(tx, channel)}
    moved |= {day for day in told if day is not None} - {but}
    return moved | _booked_elsewhere(tx, channel, but)


def _booked_elsewhere(tx: Tx, channel: str, day: date) -> set[date]:
    """The open days where something is booked that was to be taken back on this one, and is not there any more: those
    that were not compared since then.
    """
    r, of = ReconcileDifference, ReconcileDay
    its = (r.channel == channel, r.day == day, r.kind == _K.BOOKED.value, r.state == _D.MATCHED.value, ~r.is_signed)
    closed = [row for row in tx.scalars(select(r).where(*its)) if _booked(tx, row) != 0]
    if not closed:
        return set()
    matters, at = [root(row) for row in closed], max(row.handled_at or clock.now() for row in closed)
    named = or_(among(tx, r.origin_id, matters), among(tx, r.again_of, matters))
    own = (r.channel == channel, r.day != day, ~r.is_signed, named, r.action.in_(sorted(booking.BOOKED)))
    its_day = and_(of.channel == r.channel, of.day == r.day)
    return set(tx.scalars(select(r.day).join(of, its_day).where(*own, of.run_at <= at)))


def _gone_since(tx: Tx, channel: str, day: date) -> list[ReconcileDifference]:
    """What closed itself by a bill of trades on an earlier day that is signed, and is gone again."""
    r = ReconcileDifference
    closed = (r.channel == channel, r.day < day, r.is_signed.is_(True), r.state == _D.MATCHED.value)
    rows = _had_before(tx, channel, *closed, r.kind.in_(sorted(HALVES)), r.carried_from.is_not(None))
    return [row for row in rows if is_gone_again(tx, row)]


def gone_after_all(tx: Tx, channel: str) -> list[ReconcileDifference]:
    """Halves that people wrote off, and took back as a bill had them then: none has them any more, and none is told."""
    r, gone = ReconcileDifference, dict[UUID, ReconcileDifference]()
    taken_back = (r.kind == _K.BOOKED.value, r.state == _D.RESOLVED.value, r.action.in_(sorted(booking.BOOKED)))
    for matter in {root(row) for row in _had_before(tx, channel, r.channel == channel, *taken_back)}:
        its = (r.channel == channel, or_(r.origin_id == matter, r.again_of == matter), r.kind != _K.BOOKED.value)
        rows = tx.scalars(select(r).where(*its).order_by(r.day, r.found_at)).all()
        off = [row for row in rows if row.kind in HALVES and booking.booked(row)]
        newest = {row.origin_id: row for row in rows}.values()
        is_told = any(row.state != _D.MATCHED and not booking.booked(row) for row in newest)
        if off and not is_told and not has_come(tx, off[-1]) and _booked(tx, off[-1]) == 0:
            gone[matter] = off[-1]
    return sorted(gone.values(), key=lambda row: row.number)


def _had_before(tx: Tx, channel: str, *its: ColumnElement[bool]) -> Sequence[ReconcileDifference]:
    """Those of these that a bill of trades had which counts no more. There may be thousands nothing happened to."""
    r, line = ReconcileDifference, ReconcileRow
    old = kept_bills.replaced(tx, channel, BillKind.TRADES)
    if not old:
        return []
    its_payment = select(PaymentAttempt.provider_no).join(Refund, Refund.attempt_id == PaymentAttempt.id)
    numbers = (r.provider_no, its_payment.where(Refund.id == r.ours_id).scalar_subquery())
    had = (
        exists().where(among(tx, line.file_id, old), named)
        for named in (line.matched_id == r.ours_id, *(line.provider_no == number for number in numbers))
    )
    return tx.scalars(select(r).where(*its, or_(*had)).order_by(r.number)).all()


# --- whether the bill still says so ---


def said_no_more(tx: Tx, rows: Iterable[ReconcileDifference]) -> set[UUID]:
    """Those of these of which the last word of their day says something else by now: that is for their day to tell.

    What else a line differs in is another difference. A bill that nobody has compared yet says nothing else.
    """
    of_days: dict[tuple[str, date], list[ReconcileDifference]] = defaultdict(list)
    for row in rows:
        if row.bill_row is not None:
            of_days[row.channel, row.carried_from or row.day].append(row)
    gone = set()
    for (channel, day), some in of_days.items():
        words = kept_bills.newest(tx, channel, day)
        if not all(_is_read(tx, file) for file in words.values()):
            continue
        moves = [row for row in some if row.kind in _OF_FUNDS and BillKind.FUNDS in words]
        if moves:
            off = controls.left_of(*beside.of_day(tx, channel, day, sorted({row.provider_no for row in moves})))
            gone |= {row.id for row in moves if not _is_off(tx, row, off)}
        if (trades := words.get(BillKind.TRADES)) is not None:
            gone |= {row.id for row in some if row.kind in _OF_LINES and not _is_in(tx, row, trades.id)}
    return gone


def _is_off(tx: Tx, row: ReconcileDifference, off: Mapping[str, Sequence[tuple[Fen, Fen]]]) -> bool:
    return ((row.ours_fen or 0) - _booked(tx, row), row.theirs_fen or 0) in off.get(row.provider_no, ())


def _is_in(tx: Tx, row: ReconcileDifference, file_id: UUID) -> bool:
    """Whether a bill has the line of a difference, and says the same of it."""
    r, of = ReconcileRow, "refund" if row.out_refund_no or row.kind in _REFUNDED else "payment"
    its_numbers = (r.provider_no == row.provider_no, r.out_refund_no == row.out_refund_no)
    lines = select(r).where(*its_numbers, r.out_trade_no == row.out_trade_no, r.file_id == file_id, r.kind == of)
    return any(_says(row, line) for line in tx.scalars(lines))


def _is_read(tx: Tx, file: PaymentBillFile) -> bool:
    """Whether its rows are here; one without any has none to be read."""
    its = select(ReconcileRow.n).where(ReconcileRow.file_id == file.id).limit(1)
    return not file.row_count or tx.scalar(its) is not None


_MONEY = frozenset({_K.AMOUNT, _K.REFUND_AMOUNT, _K.UNPAID_OURS, _K.ONLY_THEIRS, _K.DUPLICATE, _K.REFUND_ONLY_THEIRS})
_REFUNDED = frozenset({_K.REFUND_AMOUNT, _K.REFUND_STATE, _K.REFUND_ONLY_THEIRS})
HALVES = frozenset({_K.ONLY_OURS.value, _K.REFUND_ONLY_OURS.value})
"""Kinds of what a bill of another day may have."""

_OF_FUNDS = frozenset({_K.FUND_ONLY_TRADES, _K.FUND_ONLY_FUNDS})
_OF_LINES = _MONEY | _REFUNDED | {_K.STATE, _K.FEE}
"""Kinds of what a line of the trade bill says."""


def _says(row: ReconcileDifference, line: ReconcileRow) -> bool:
    if row.kind == _K.FEE:
        return line.fee_fen == row.theirs_fen
    if row.kind in {_K.STATE, _K.REFUND_STATE}:
        return line.state == row.theirs_state
    is_moved = (line.state in UNMOVED) == (row.theirs_state in UNMOVED)
    return is_moved and row.theirs_fen in {line.amount_fen, line.settled_fen, 0 if line.state in UNMOVED else None}


_COMES: Mapping[DifferenceKind, Callable[[Tx, ReconcileDifference], bool]] = {
    _K.ONLY_OURS: _listed,
    _K.ONLY_THEIRS: _in_our_books,
    _K.UNPAID_OURS: _in_our_books,
    _K.AMOUNT: _amounts_agree,
    _K.FEE: _in_a_bill,
    _K.STATE: _in_a_bill,
    _K.DUPLICATE: _once_only,
    _K.DATE_SHIFT: _in_a_bill,
    _K.FOREIGN: _never,
    _K.REFUND_ONLY_OURS: _refund_listed,
    _K.REFUND_ONLY_THEIRS: _refund_is_booked,
    _K.REFUND_AMOUNT: _refunded,
    _K.REFUND_STATE: _refund_ended,
    _K.FUND_ONLY_TRADES: _moved,
    _K.FUND_ONLY_FUNDS: _traded,
    _K.BALANCE: _balances,
    _K.BOOKED: _is_taken_back,
}
