"""What both sides of a reconciliation have, for tests: our rows in memory, and runs of the engine over them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import NAMESPACE_OID, uuid5

from server.gateways.bill_rows import TradeRow
from server.reconcile.differences import OurRow
from server.reconcile.matching import Matching, Pair, Settled, Side
from shared import clock


def our_id(*numbers):
    """An id that is always the same for the same numbers."""
    return uuid5(NAMESPACE_OID, ":".join(numbers))


def our_payment(out_trade_no, provider_no, amount_fen, at, *, fee_fen=None, state="paid", due_fen=None):
    """A payment of ours."""
    about = our_id(out_trade_no, provider_no, state)
    return OurRow(about, "payment", out_trade_no, provider_no, "", amount_fen, fee_fen, state, at, due_fen=due_fen)


def our_refund(
    out_trade_no, out_refund_no, refund_no, amount_fen, at, *, state="succeeded", ended_at=None, fee_fen=None
):
    """A refund of ours; `refund_no` is the channel's."""
    about = our_id(out_refund_no)
    return OurRow(about, "refund", out_trade_no, refund_no, out_refund_no, amount_fen, fee_fen, state, at, ended_at)


@dataclass
class Books:
    """All rows of ours, of any day, and the rows of bills of neighbouring days."""

    ours: list[OurRow] = field(default_factory=list)
    neighbours: list[TradeRow] = field(default_factory=list)

    def of(self, day: date) -> list[OurRow]:
        """Those of one day."""
        return [row for row in self.ours if row.at is not None and clock.shop_day(row.at) == day]


@dataclass(frozen=True)
class Run:
    """What came out of one run."""

    pairs: Sequence[Pair]
    settled: Settled
    ours: Side
    theirs: Side

    @property
    def differences(self):
        return list(self.settled.differences)


def run(channel: str, day: date, theirs: Iterable[TradeRow], books: Books, **more) -> Run:
    """One run as the server makes it, with our rows looked up in memory."""
    matching = Matching(channel, day, **more)
    matching.take(theirs)
    pairs = list(matching.pairs(iter(books.of(day))))
    wanted = matching.wanted()
    numbers = {*wanted.provider_nos, *wanted.out_trade_nos, *wanted.out_refund_nos}
    matching.elsewhere(row for row in books.ours if {row.provider_no, row.out_refund_no or row.out_trade_no} & numbers)
    missing = {
        number for row in matching.missing() for number in (row.provider_no, row.out_refund_no, row.out_trade_no)
    }
    matching.neighbours(
        row for row in books.neighbours if {row.provider_no, row.out_trade_no, row.out_refund_no} & (missing - {""})
    )
    settled = matching.settle()
    return Run([*pairs, *settled.pairs], settled, matching.ours, matching.theirs)
