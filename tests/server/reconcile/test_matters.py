"""Whatever bills follow each other, and whatever people decide in between: what is booked and what is open add up."""

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from server.ledger import queries as ledger
from server.payments.terms import Terms
from server.policy import Actor, Kind
from server.reconcile import booking, handling, keeping
from server.reconcile.differences import Difference, OurRow, named
from server.reconcile.handling import Decision, Desk
from server.reconcile.model import ReconcileDay, ReconcileDifference
from server.reconcile.waiting import Shop
from shared import clock, ids
from shared.finance import DifferenceAction as A
from shared.finance import DifferenceKind as K
from shared.finance import DifferenceState as S
from tests.server.reconcile.days import DAY
from tests.world import world

OURS = 1_000
CHANNELS = (f"channel-{n}" for n in count())
KINDS = {K.AMOUNT: OURS, K.REFUND_AMOUNT: OURS, K.FUND_ONLY_FUNDS: 0}
"""Kinds that are booked in the ledger, with what we have of them."""

bills = st.lists(
    st.tuples(
        st.sampled_from([None, 999, 1_001, 1_002, 5_000, 99_000]),
        st.sampled_from([A.BOOK, A.CARRY, None, "send back"]),
    ),
    min_size=1,
    max_size=7,
)
"""What a bill says, or that it agrees; and what people do about what is open then."""


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    with world("sqlite", tmp_path_factory.mktemp("matters")) as shop:
        yield shop.ctx.db


class Books:
    """One thing that a channel's bills and ours differ about, on a day of its own channel."""

    def __init__(self, db, kind):
        self.db, self.kind, self.channel = db, kind, next(CHANNELS)
        self.zhou, self.wang = (Desk(self._person(), None, 500, Shop({}, Terms())) for _ in range(2))
        our = OurRow(ids.new_id(), "payment", "1", "2", "", OURS, None, "paid", clock.now())
        self.about = Difference(kind, "1", "2", "", KINDS[kind] or None, None, bill_row=1, ours=our)
        self.about = self.about if KINDS[kind] else replace(self.about, ours=None)
        day = {"channel": self.channel, "day": DAY, "run_at": clock.now(), "run_by": "x", "figures": "{}"}
        with db.tx() as tx:
            tx.add(ReconcileDay(**day, inputs_sha256="", outputs_sha256="", is_signed=False))

    @staticmethod
    def _person():
        return Actor(Kind.STAFF, ids.new_id())

    def run(self, theirs):
        """Compare with a bill that says this, twice; answers what the channel owes more by it than by our books."""
        found = [] if theirs is None else named(self.channel, DAY, [replace(self.about, theirs_fen=theirs)])
        seen = []
        for _ in range(2):
            with self.db.tx() as tx:
                keeping.keep(tx, self.channel, DAY, found, trades_file_id=None, funds_file_id=None)
            seen.append([(row.id, row.version, row.state) for row in self.rows()])
        assert seen[0] == seen[1], "the same bill changes nothing"
        return booking.sign(self.kind) * sum(one.off_by_fen for one in found)

    def rows(self):
        with self.db.read() as tx:
            its = ReconcileDifference.channel == self.channel
            return tx.scalars(select(ReconcileDifference).where(its).order_by(ReconcileDifference.id)).all()

    def decide(self, row, what):
        with self.db.tx() as tx:
            action = A.BOOK if what == "send back" else what
            [row] = handling.handle(tx, {row.id: row.version}, Decision(action, "x"), self.zhou)
            if row.state == S.PROPOSED:
                said = {"approve": what != "send back", "note": ""}
                handling.check(tx, {row.id: row.version}, **said, desk=self.wang)

    def owes(self):
        """What the channel owes by the ledger."""
        with self.db.read() as tx:
            return {one.account.owner: one.net for one in ledger.balances(tx)}.get(self.channel, 0)


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), bills=bills)
def test_what_is_booked_and_what_is_open_come_to_what_the_bill_says(db, kind, bills):
    books = Books(db, kind)
    for theirs, decision in bills:
        due = books.run(theirs)
        rows = books.rows()
        booked = sum(map(booking.booked, rows))
        still_open = [row for row in rows if row.state == S.OPEN]
        assert books.owes() == booked
        if still_open:
            [row] = still_open
            assert (booked + booking.owed_more(row), booking.owed_more(row) != 0) == (due, True)
            if decision is not None:
                books.decide(row, decision)
        elif booked != due:
            carried = [row for row in rows if row.action == A.CARRY]
            assert due - booked in {booking.owed_more(row) for row in carried}, "somebody lets just that be"
