"""The fund bill as a control: every row of the trade bill must have moved its money, and the balance must add up.

    opening + receipts - refunds - fees + fees returned + others - withdrawals = closing

Opening and closing are what the rows themselves say was there before and after them, in whatever order they stand:
each row joins the balance before it to the one after it, and a chain has two ends. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import NamedTuple

from server.gateways.bill_rows import UNMOVED, FundKind, FundRow, TradeRow
from server.reconcile.differences import Difference, named
from shared.finance import DifferenceKind
from shared.money import Fen


@dataclass(frozen=True, slots=True)
class Balance:
    """The identity's terms; `others` names those by the channel's own words.

    `off_by_fen` is what the closing balance has more than the others lead to. `refunds_fen` is less those that were
    closed and came back, `withdrawals_fen` less those that came back: these and `others_fen` may be negative.
    """

    opening_fen: Fen
    receipts_fen: Fen
    refunds_fen: Fen
    fees_fen: Fen
    fees_returned_fen: Fen
    withdrawals_fen: Fen
    others_fen: Fen
    closing_fen: Fen
    others: Mapping[str, Fen]

    @property
    def off_by_fen(self) -> Fen:
        """0 where the books of the channel are whole."""
        came = self.receipts_fen + self.fees_returned_fen + self.others_fen
        return self.closing_fen - (self.opening_fen + came - self.refunds_fen - self.fees_fen - self.withdrawals_fen)


def balance(funds: Iterable[FundRow], *, opening_fen: Fen | None = None) -> Balance | None:
    """The identity of one day's rows; None where nothing moved, and nobody knows what was there.

    `opening_fen` is what the day before closed with, where that is known: then a gap between days shows.
    """
    moved: Counter[FundKind] = Counter()
    others: Counter[str] = Counter()
    ends: Counter[Fen] = Counter()
    first = last = None
    for row in funds:
        first, last = first or row, row
        moved[row.kind] += row.amount_fen
        if row.kind == FundKind.OTHER:
            others[row.words] += row.amount_fen
        # Where rows stand in order this holds two balances at most, however many rows there are.
        for at, step in ((row.balance_fen - row.amount_fen, 1), (row.balance_fen, -1)):
            ends[at] += step
            if not ends[at]:
                del ends[at]
    if first is None or last is None:
        return None if opening_fen is None else Balance(opening_fen, 0, 0, 0, 0, 0, 0, opening_fen, {})
    begin, end = (first, last) if first.at <= last.at else (last, first)
    opened, closed = begin.balance_fen - begin.amount_fen, end.balance_fen
    if sorted(ends.values()) == [-1, 1]:
        (opened,), (closed,) = ([at for at, step in ends.items() if step == way] for way in (1, -1))
    elif not ends:
        closed = opened
    return Balance(
        opening_fen=opened if opening_fen is None else opening_fen,
        receipts_fen=moved[FundKind.TRADE],
        refunds_fen=-(moved[FundKind.REFUND] + moved[FundKind.REFUND_RETURNED]),
        fees_fen=-moved[FundKind.FEE],
        fees_returned_fen=moved[FundKind.FEE_RETURNED],
        withdrawals_fen=-moved[FundKind.WITHDRAWAL],
        others_fen=moved[FundKind.OTHER],
        closing_fen=closed,
        others=dict(sorted(others.items())),
    )


def balance_difference(
    channel: str, day: date, found: Balance, *, next_opening_fen: Fen | None = None
) -> list[Difference]:
    """The difference that a balance is, where it does not add up: what it leads to, and what the bill says.

    `next_opening_fen` is what the day behind it was signed to open with, where it was: that stands as well.
    """
    stands_fen = found.closing_fen if next_opening_fen is None else next_opening_fen
    if not found.off_by_fen and stands_fen == found.closing_fen:
        return []
    leads_to = found.closing_fen - found.off_by_fen
    return named(channel, day, [Difference(DifferenceKind.BALANCE, "", "", "", leads_to, stands_fen)])


# --- trades against funds ---


class _Movement(NamedTuple):
    """What the trade bill says must have moved under a number, what did, and a row to name it by."""

    due_fen: Fen
    moved_fen: Fen
    row: TradeRow | FundRow


Movements = dict[FundKind, dict[str, _Movement]]

Beside = Callable[[Sequence[str]], Iterable[tuple[Sequence[TradeRow], Sequence[FundRow]]]]
"""What both bills of each day beside this one have under these numbers."""


def three_way(
    channel: str,
    day: date,
    trades: Callable[[], Iterable[TradeRow]],
    funds: Callable[[], Iterable[FundRow]],
    *,
    beside: Beside = lambda _numbers: (),
) -> list[Difference]:
    """What rows and fees of the trade bill should have moved and the fund bill does not say so, and the reverse.

    What is even together with the day before or after moved around midnight, and closes itself. Withdrawals, others,
    and refunds that came back belong to no trade of the day: the balance names them. The bills are read from their
    beginning, the trade bill once more where something of it is left: of a million payments only sums are held.
    """
    left = _left(trades, funds)
    numbers = sorted({number for its in left.values() for number in its})
    days = [_left(partial(iter, its), partial(iter, moved)) for its, moved in beside(numbers)] if numbers else []
    found = [
        _of(kind, number, one, is_shift=any(_is_even(one, others[kind].get(number)) for others in days))
        for kind, its in left.items()
        for number, one in its.items()
    ]
    return named(channel, day, found)


def left_of(trades: Iterable[TradeRow], funds: Iterable[FundRow]) -> dict[str, list[tuple[Fen, Fen]]]:
    """What these rows of a day's bills say must have moved, and what did, where that is not even, by their numbers."""
    off: dict[str, list[tuple[Fen, Fen]]] = {}
    for its in _left(lambda: trades, lambda: funds).values():
        for number, one in its.items():
            off.setdefault(number, []).append((one.due_fen, one.moved_fen))
    return off


def _left(trades: Callable[[], Iterable[TradeRow]], funds: Callable[[], Iterable[FundRow]]) -> Movements:
    """What of a day's trades and movements is not even, by kind and number. Several refunds may share a number."""
    off: dict[FundKind, dict[str, Fen]] = {kind: {} for kind in _OF_TRADES}
    alone: dict[tuple[FundKind, str], FundRow] = {}
    for trade in trades():
        for kind, number, fen in _due(trade):
            _add(off[kind], number, fen)
    for fund in funds():
        its, number = off.get(fund.kind), fund.provider_no
        if its is not None:
            if number not in its:  # no trade, or one that is even already
                alone[fund.kind, number] = fund
            _add(its, number, -fund.amount_fen)
    left: Movements = {
        kind: {
            number: _Movement(0, -fen, alone[kind, number]) for number, fen in its.items() if (kind, number) in alone
        }
        for kind, its in off.items()
    }
    is_whole = all(len(left[kind]) == len(its) for kind, its in off.items())
    for trade in () if is_whole else trades():
        for kind, number, fen in _due(trade):
            if number in off[kind] and (kind, number) not in alone:
                due_fen, _, first = left[kind].get(number, (0, 0, trade))
                left[kind][number] = _Movement(due_fen + fen, due_fen + fen - off[kind][number], first)
    return left


def _due(trade: TradeRow) -> tuple[tuple[FundKind, str, Fen], ...]:
    """What must have moved for a row of the trade bill, under which number."""
    if trade.state in UNMOVED:
        return ()
    number, is_payment = trade.refund_no or trade.provider_no, trade.kind == "payment"
    money, fee = _PARTS[is_payment]
    return (money, number, trade.settled_fen if is_payment else -trade.settled_fen), (fee, number, -trade.fee_fen)


def _add(its: dict[str, Fen], number: str, fen: Fen) -> None:
    """Add up under a number; what is even is done with."""
    total = its.pop(number, 0) + fen
    if total:
        its[number] = total


def _is_even(one: _Movement, other: _Movement | None) -> bool:
    """Whether nothing is left of a movement together with what another day has of it."""
    return other is not None and one.due_fen + other.due_fen == one.moved_fen + other.moved_fen


_PARTS = {True: (FundKind.TRADE, FundKind.FEE), False: (FundKind.REFUND, FundKind.FEE_RETURNED)}
_OF_TRADES = tuple(kind for parts in _PARTS.values() for kind in parts)


def _of(kind: FundKind, number: str, one: _Movement, *, is_shift: bool) -> Difference:
    is_short = abs(one.moved_fen) < abs(one.due_fen)
    return Difference(
        DifferenceKind.FUND_ONLY_TRADES if is_short else DifferenceKind.FUND_ONLY_FUNDS,
        out_trade_no=one.row.out_trade_no if isinstance(one.row, TradeRow) else one.row.voucher,
        provider_no=number,
        out_refund_no=one.row.out_refund_no if isinstance(one.row, TradeRow) else "",
        ours_fen=one.due_fen or None,
        theirs_fen=one.moved_fen or None,
        bill_row=one.row.n,
        theirs=one.row if isinstance(one.row, TradeRow) else None,
        closes_itself=is_shift,
        moved=kind,
    )
