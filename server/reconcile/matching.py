"""Our payments and refunds of a day against the channel's trade bill: which row is which, and what differs.

Pure and deterministic: whatever the order of rows, the same pairs and the same differences come out, in one order. Each
row of both sides is in exactly one pair, or in one difference for each thing that differs and carries money: amount and
fee of one payment are two, for either may be booked. The bill's rows are held, ours stream by:

    take        the whole bill; it is used only after its control totals held
    pairs       our rows of the day, those that agree with a row of the bill as pairs
    elsewhere   our rows of any day and state under the numbers of `wanted`: rows of the bill that found no partner
    neighbours  rows of the bills of the days before and after, for ours in `missing`
    settle      the rest: pairs found late, and the differences

Rows are the same by the channel's number, or by ours where we were told no other; two that contradict each other in
one of the numbers never are. Nothing closes itself but a pair that is a day apart, and what is another business's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import chain
from operator import itemgetter
from typing import Literal, NamedTuple

from server.gateways.bill_rows import UNMOVED, RowKind, TradeRow
from server.reconcile.differences import Difference, OurRow, named
from shared import clock
from shared.finance import DifferenceKind
from shared.money import Fen
from shared.states import RefundState

MatchedBy = Literal["provider_no", "out_trade_no"]

MADE_AT = time(9)
"""Channels make a day's bill the next morning, from then on: what it says of a refund was so at that time."""

CURRENCY = "CNY"

_K = DifferenceKind
_ALL: frozenset[RowKind] = frozenset({"payment", "refund"})

_SENT = frozenset({RefundState.SUBMITTED.value, RefundState.PROCESSING.value, RefundState.ABNORMAL.value})
_DUE = _SENT | {RefundState.SUCCEEDED.value}
"""Refunds that the channel's bill should have."""

_COUNTS = _DUE | {"paid", "aside"}
"""Rows of ours that say that money moved."""

FEE_ROUNDING_FEN = 1
"""What a channel may be off a refund's share of the fee: how it rounds parts is not written anywhere."""

AGREES: dict[str, frozenset[str]] = {
    "succeeded": frozenset({RefundState.SUCCEEDED.value}),
    "processing": _SENT,
    "abnormal": frozenset({RefundState.ABNORMAL.value}),
    "failed": frozenset({RefundState.CLOSED.value}),
}
"""What a refund may be here while the bill says this of it."""


class Pair(NamedTuple):
    """A row of the bill and a row of ours that say the same, and how they found each other."""

    theirs: TradeRow
    ours: OurRow
    by: MatchedBy


@dataclass(frozen=True, slots=True)
class Side:
    """One side's figures of a day, of what moved: undone payments and failed refunds are in none of them.

    `settled_fen` is what payments brought to the merchant's account less what refunds took from it, which coupons that
    nobody pays out make less. Fees are what the channel keeps, less what it gave back.
    """

    payments: int = 0
    payments_fen: Fen = 0
    refunds: int = 0
    refunds_fen: Fen = 0
    settled_fen: Fen = 0
    fees_fen: Fen = 0


def side_of(rows: Sequence[TradeRow]) -> Side:
    """The figures of rows of a bill."""
    paid = [row for row in rows if row.kind == "payment" and row.state not in UNMOVED]
    back = [row for row in rows if row.kind == "refund" and row.state not in UNMOVED]

    def both(fen: Callable[[TradeRow], Fen]) -> tuple[Fen, Fen]:
        return sum(map(fen, paid)), sum(map(fen, back))

    (paid_fen, back_fen), (came, went) = both(_AMOUNT), both(_SETTLED)
    return Side(len(paid), paid_fen, len(back), back_fen, came - went, sum(both(_FEE)))


_AMOUNT, _SETTLED, _FEE = map(itemgetter, map(TradeRow._fields.index, ("amount_fen", "settled_fen", "fee_fen")))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Numbers of the bill's rows that have no partner yet, each in order."""

    provider_nos: Sequence[str]
    out_trade_nos: Sequence[str]
    out_refund_nos: Sequence[str]


@dataclass(frozen=True, slots=True)
class Settled:
    """What was found last: pairs that needed a second look, all differences in their order, and the money of others."""

    pairs: Sequence[Pair]
    differences: Sequence[Difference]
    foreign: Side = Side()


class Matching:
    """One channel's day. The methods are called once each, in the order of this file's head."""

    def __init__(
        self,
        channel: str,
        day: date,
        *,
        covers: frozenset[RowKind] = _ALL,
        is_foreign: Callable[[TradeRow], bool] = lambda _row: False,
    ) -> None:
        """`covers` are the kinds of rows that the bill has: ours of others are left alone.

        `is_foreign` tells of a row that none of ours has a number of whether it is another business's.
        """
        self._channel, self._day, self._covers, self._is_foreign = channel, day, covers, is_foreign
        self._made_at = datetime.combine(day + timedelta(days=1), MADE_AT, clock.SHOP_ZONE)
        self._theirs: dict[RowKind, dict[str, TradeRow]] = {"payment": {}, "refund": {}}
        self._again: list[TradeRow] = []
        self._alone: list[TradeRow] = []
        self._left: list[OurRow] = []
        self._elsewhere: list[OurRow] = []
        self._neighbours: list[TradeRow] = []
        self._pairs: list[Pair] = []
        self._differences: list[Difference] = []
        self._foreign: list[TradeRow] = []
        self.ours, self.theirs = Side(), Side()

    def take(self, rows: Iterable[TradeRow]) -> None:
        """The rows of the bill, all of them. Raises what they raise, and then this matching is over."""
        payments, refunds = self._theirs["payment"], self._theirs["refund"]
        for row in rows:
            if row.kind == "payment":
                held, number = payments, row.provider_no
            else:
                held, number = refunds, row.refund_no or row.out_refund_no
            first = held.setdefault(number, row)
            if first is not row:  # the line twice: which of them comes first, is a matter of what they say
                held[number], again = sorted((first, row), key=_content)
                self._again.append(again)
        self.theirs = side_of([*payments.values(), *refunds.values(), *self._again])

    def pairs(self, ours: Iterable[OurRow]) -> Iterator[Pair]:
        """Our rows of the day, and those that agree as pairs: nearly all of them at once, the others when all came."""
        payments, refunds, left, covers = self._theirs["payment"], self._theirs["refund"], self._left, self._covers
        paid = back = paid_fen = back_fen = fees = 0
        for our in ours:
            _, kind, out_trade_no, number, out_refund_no, amount_fen, fee_fen, state, *_ = our
            if kind not in covers or state not in _COUNTS:
                continue
            fees += fee_fen or 0
            if kind == "payment":
                held = payments
                paid += 1
                paid_fen += amount_fen
            else:
                held = refunds
                number = number if number in refunds else out_refund_no
                back += 1
                back_fen += amount_fen
            their = held.get(number)
            if their is not None and (
                # What nearly all are, without a closer look: payments that are the same in all there is to compare.
                their.out_trade_no == out_trade_no and their.amount_fen == their.settled_fen == amount_fen
                and their.fee_fen == fee_fen and their.state == state == "paid" and their.currency == CURRENCY
            ):  # fmt: skip
                pass
            elif their is not None and self._agree(our, their):
                fees += their.fee_fen - (fee_fen or 0)  # which of two that agree is the one that is booked
            else:
                left.append(our)
                continue
            del held[number]
            yield Pair(their, our, "provider_no" if number == our.provider_no else "out_trade_no")
        for pair in self._second_look():
            fees += pair.theirs.fee_fen - (pair.ours.fee_fen or 0)
            yield pair
        self.ours = Side(paid, paid_fen, back, back_fen, paid_fen - back_fen, fees)

    def _second_look(self) -> Iterator[Pair]:
        """Those that differ by the channel's number, then by ours where we were told no other."""
        left, self._left = sorted(self._left, key=_numbers), []
        unnamed = []
        for our in left:
            their = self._theirs[our.kind].get(our.provider_no) if our.provider_no else None
            if their is not None and _same(our, their):
                del self._theirs[our.kind][our.provider_no]
                self._differ(our, their)
            else:
                unnamed.append(our)
        by_ours = _by_our_number(chain(*(held.values() for held in self._theirs.values())))
        for our in unnamed:
            waiting = by_ours.get((our.kind, our.out_refund_no or our.out_trade_no), [])
            their = next((row for row in waiting if self._may_be(our, row)), None)
            if their is None:
                self._left.append(our)
                continue
            waiting.remove(their)
            del self._theirs[our.kind][their.refund_no or their.out_refund_no or their.provider_no]
            if not self._differ(our, their):
                yield Pair(their, our, "out_trade_no")
        self._alone = sorted(chain(*(held.values() for held in self._theirs.values()), self._again), key=_content)

    def wanted(self) -> Wanted:
        """What to look for among all our rows; call it when `pairs` is through."""
        return Wanted(
            sorted({number for row in self._alone for number in (row.refund_no, row.provider_no) if number}),
            sorted({row.out_trade_no for row in self._alone if row.out_trade_no}),
            sorted({row.out_refund_no for row in self._alone if row.out_refund_no}),
        )

    def elsewhere(self, ours: Iterable[OurRow]) -> None:
        """Our rows under the wanted numbers, of any day and in any state; those of this day may be among them."""
        self._elsewhere = sorted(ours, key=_numbers)

    def missing(self) -> Sequence[OurRow]:
        """Our rows of the day without a partner, to look for in the bills of its neighbours."""
        return self._left

    def neighbours(self, rows: Iterable[TradeRow]) -> None:
        """Rows of the bills of the days before and after under the numbers of what is missing."""
        self._neighbours = sorted(rows, key=_content)

    def settle(self) -> Settled:
        """Pairs that were found among what came last, and all differences."""
        self._settle_theirs()
        self._settle_ours()
        return Settled(self._pairs, named(self._channel, self._day, self._differences), side_of(self._foreign))

    # --- rows without a partner of their day ---

    def _settle_theirs(self) -> None:
        """By the channel's number the same, on another day; by ours unpaid, or paid already; else nobody's."""
        by_theirs = {(our.kind, our.provider_no): our for our in self._elsewhere if our.provider_no}
        by_ours = {(our.kind, our.out_refund_no or our.out_trade_no): our for our in self._elsewhere}
        known = {number for our in self._elsewhere for number in (our.out_trade_no, our.provider_no)} - {""}
        again = {id(row) for row in self._again}
        met: set[OurRow] = set()
        for row in self._alone:
            number = row.refund_no or row.provider_no
            our = by_theirs.get((row.kind, number))
            if our is None or not _same(our, row):
                our = by_ours.get((row.kind, row.out_refund_no or row.out_trade_no))
            if our is None and known.isdisjoint((row.out_trade_no, row.provider_no)) and self._is_foreign(row):
                self._foreign.append(row)
                self._note(_K.FOREIGN, None, row)
            elif our is None:
                self._note(_K.ONLY_THEIRS if row.kind == "payment" else _K.REFUND_ONLY_THEIRS, None, row)
            elif row.state == "failed" and our.at is None and our.provider_no not in {"", number}:
                pass  # people have recorded what was paid in its place
            elif id(row) in again or our in met or not self._may_be(our, row):
                self._note(_K.DUPLICATE if row.kind == "payment" else _K.REFUND_ONLY_THEIRS, None, row)
            else:
                met.add(our)
                differs = self._differ(our, row)
                if our.at is None and our.kind == "refund":
                    self._count_recorded(our, our.fee_fen or 0 if differs else row.fee_fen)
                if not differs:
                    self._pairs.append(Pair(row, our, "provider_no" if our.provider_no == number else "out_trade_no"))

    def _count_recorded(self, our: OurRow, fee_fen: Fen) -> None:
        """A refund that people recorded is of the day whose bill has it: only now it is one of ours of this day."""
        had = self.ours
        refunds_fen, settled_fen = had.refunds_fen + our.amount_fen, had.settled_fen - our.amount_fen
        self.ours = Side(
            had.payments, had.payments_fen, had.refunds + 1, refunds_fen, settled_fen, had.fees_fen + fee_fen
        )

    def _settle_ours(self) -> None:
        """What the bill of a day beside this one has is a day apart; how else it differs is for that day to tell."""
        by_theirs = {(row.kind, row.refund_no or row.provider_no): row for row in self._neighbours}
        by_ours = _by_our_number(self._neighbours)
        for our in self._left:
            row = by_theirs.get((our.kind, our.provider_no))
            if row is None or not _same(our, row):
                waiting = by_ours.get((our.kind, our.out_refund_no or our.out_trade_no), [])
                row = next((one for one in waiting if self._may_be(our, one)), None)
            if row is None:
                self._note(_K.ONLY_OURS if our.kind == "payment" else _K.REFUND_ONLY_OURS, our, None)
            else:
                self._note(_K.DATE_SHIFT, our, row, is_here=False)

    # --- two rows ---

    def _differ(self, our: OurRow, their: TradeRow) -> bool:
        """Note what differs between two rows that are the same; whether anything does."""
        kinds = self._kinds(our, their)
        for kind in kinds:
            self._note(kind, our, their)
        return bool(kinds)

    def _agree(self, our: OurRow, their: TradeRow) -> bool:
        return _same(our, their) and our.state != "aside" and not self._unlike(our, their)

    def _kinds(self, our: OurRow, their: TradeRow) -> list[DifferenceKind]:
        """What two rows that are the same differ in, each to be decided by itself."""
        if our.state == "unpaid":
            if their.state == "reversed":
                return []
            return [_K.AMOUNT if _is_other_amount(our, their) else _K.UNPAID_OURS]
        if our.state == "aside":
            return [_K.STATE if their.state == "reversed" else _why_aside(our, their)]
        kinds = self._unlike(our, their)
        is_shifted = our.at is not None and clock.shop_day(our.at) != self._day
        if is_shifted and not (kinds and _is_next_day(our, their)):
            kinds.append(_K.DATE_SHIFT)
        return kinds

    def _unlike(self, our: OurRow, their: TradeRow) -> list[DifferenceKind]:
        """In what two rows of money that moved differ, besides their days. What was undone has no other amount."""
        kinds = []
        is_payment = our.kind == "payment"
        if is_payment and their.state != "paid":
            kinds.append(_K.STATE)
        elif _is_other_amount(our, their) or (their.state not in UNMOVED and their.settled_fen != our.amount_fen):
            kinds.append(_K.AMOUNT if is_payment else _K.REFUND_AMOUNT)
        if not is_payment and our.state not in AGREES[their.state] and not self._ended_later(our, their):
            kinds.append(_K.REFUND_STATE)
        if not _fees_agree(our, their):
            kinds.append(_K.FEE)
        return kinds

    def _ended_later(self, our: OurRow, their: TradeRow) -> bool:
        """Whether a refund ended here when the bill, which still has it under way, was made already."""
        is_over = their.state == "processing" and our.state == RefundState.SUCCEEDED
        return is_over and our.ended_at is not None and our.ended_at >= self._made_at

    @staticmethod
    def _may_be(our: OurRow, their: TradeRow) -> bool:
        """Whether the channel's numbers of two rows with one number of ours do not contradict each other."""
        theirs = their.provider_no if our.kind == "payment" else their.refund_no
        return not our.provider_no or not theirs or our.provider_no == theirs

    def _note(self, kind: DifferenceKind, our: OurRow | None, their: TradeRow | None, *, is_here: bool = True) -> None:
        """One difference; `is_here` where the other row is of this day's bill."""
        row = their or our
        assert row is not None
        ours_fen, theirs_fen = _figures(kind, our, their)
        is_shift = kind == _K.DATE_SHIFT and _is_next_day(our, their)
        self._differences.append(
            Difference(
                kind,
                out_trade_no=row.out_trade_no,
                provider_no=row.provider_no,
                out_refund_no=row.out_refund_no,
                ours_fen=ours_fen,
                theirs_fen=theirs_fen,
                bill_row=their.n if their is not None and is_here else None,
                ours=our,
                theirs=their,
                closes_itself=is_shift or kind == _K.FOREIGN,
            )
        )


def _is_other_amount(our: OurRow, their: TradeRow) -> bool:
    return their.amount_fen != our.amount_fen or their.currency != CURRENCY


def _fees_agree(our: OurRow, their: TradeRow) -> bool:
    """Of a payment, to the fen. Of a refund: its share of the fee but for rounding, or nothing, by the contract."""
    if our.fee_fen is None or their.fee_fen == our.fee_fen:
        return True
    if our.kind == "payment" or their.fee_fen > 0:
        return False
    return their.fee_fen == 0 or abs(their.fee_fen - our.fee_fen) <= FEE_ROUNDING_FEN


def _figures(kind: DifferenceKind, our: OurRow | None, their: TradeRow | None) -> tuple[Fen | None, Fen | None]:
    """What each side has, in fen: fees where these differ, no money where none came or it was undone.

    Of two amounts, theirs is what moved, where coupons make that less than what was ordered.
    """
    ours = our.amount_fen if our is not None else None
    theirs = their.amount_fen if their is not None else None
    if their is not None and our is None and their.state in UNMOVED:
        return None, 0
    if their is not None and kind in {_K.AMOUNT, _K.REFUND_AMOUNT} and their.amount_fen == ours:
        theirs = their.settled_fen
    if kind == _K.FEE:
        return our and our.fee_fen, their and their.fee_fen
    if our is not None and our.state == "unpaid":
        return 0, theirs
    if kind == _K.STATE:
        return ours, 0
    if our is not None and our.state == "aside":
        return (our.due_fen if kind == _K.AMOUNT else None), theirs
    return ours, theirs


def _why_aside(our: OurRow, their: TradeRow) -> DifferenceKind:
    """Why money that we know pays no attempt."""
    if our.due_fen is None:
        return _K.ONLY_THEIRS
    return _K.DUPLICATE if our.due_fen == their.amount_fen else _K.AMOUNT


def _is_next_day(our: OurRow | None, their: TradeRow | None) -> bool:
    if our is None or their is None or our.at is None:
        return False
    return abs(clock.shop_day(our.at) - clock.shop_day(their.at)) <= timedelta(days=1)


def _same(our: OurRow, their: TradeRow) -> bool:
    """Whether two that agree on the channel's number agree on ours. A refund that people recorded has one that the
    channel never heard of, and no day but the bill's.
    """
    if our.kind == "payment":
        return our.out_trade_no == their.out_trade_no
    is_recorded = our.at is None and our.provider_no == their.refund_no
    return our.out_refund_no == their.out_refund_no or (is_recorded and our.out_trade_no == their.out_trade_no)


def _by_our_number(rows: Iterable[TradeRow]) -> dict[tuple[RowKind, str], list[TradeRow]]:
    found: dict[tuple[RowKind, str], list[TradeRow]] = {}
    for row in sorted(rows, key=_content):
        found.setdefault((row.kind, row.out_refund_no or row.out_trade_no), []).append(row)
    return found


def _content(row: TradeRow) -> tuple[object, ...]:
    """An order that does not depend on where a row stands."""
    return row.at, row.kind, row[2:9], row.state


def _numbers(our: OurRow) -> tuple[object, ...]:
    return our.kind, our.out_trade_no, our.out_refund_no, our.provider_no, our.id
