"""Corrupted refunds and money set aside are found: by the minute look where an order is named, else at night."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from server import changes
from server.invariants import look as looking
from server.ledger.model import LedgerJournal
from server.orders.model import Order
from server.payments.model import PaymentCallback, PaymentException, UnmatchedPayment
from server.payments.refunds.model import Refund, RefundLine, Replacement
from server.stock.model import StockUnit, UndoneDelivery
from shared import clock
from shared.states import CallbackState, ExceptionState, OrderState, RefundState, UnitState
from tests.databases import findings_after, tampering
from tests.server.refunding import ask, carry_out, look, policy, post, shop_with_refunds
from tests.world import ANNA, BEN, CARA

STEAM, MUSIC = "STEAM-50", "MUSIC-30"

succeeded = Refund.state == RefundState.SUCCEEDED.value
under_way = Refund.state == RefundState.PROCESSING.value
_over = select(Refund.id).where(succeeded).limit(1).scalar_subquery()
_of_over = select(Refund.order_id).where(succeeded).limit(1).scalar_subquery()
_waits = {"state": ExceptionState.WORKING.value, "refund_id": _over, "order_id": _of_over}
_back = select(RefundLine.refund_id).join(Refund, Refund.id == RefundLine.refund_id).where(succeeded)
of_succeeded = RefundLine.refund_id.in_(_back.scalar_subquery())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A shop in which money went back unseen, is on its way back, was set aside, and a key was replaced."""
    with shop_with_refunds(tmp_path_factory.mktemp("shop")) as built:
        world = built.world
        policy(built, STEAM, "before_view")
        world.stock(STEAM, 5)
        world.stock(MUSIC, 5)
        replaced = world.buy(BEN, MUSIC)
        look(built, replaced, BEN)
        post(built, ask(built, replaced, wants_replacement=True), "answer", "chen", answer="replace", evidence="换")
        built.desk.says = "succeeded"
        first, second = world.buy(ANNA, STEAM), world.buy(CARA, STEAM)
        ask(built, first, "unwanted")
        carry_out(built)
        built.desk.says = "processing"
        ask(built, second, "unwanted")
        carry_out(built)
        wrong = world.place(ANNA, MUSIC)
        world.apply(world.fact(wrong, amount_fen=1))
        changes.advance(world.ctx.db)
        world.check()
        yield built


def of_what_was_touched(tx):
    """As the minute look does, from the beginning of the feed."""
    scopes = looking._touched(tx, after=0, up_to=changes.head(tx), since=clock.now())
    return [finding for check in looking._checks(tx, scopes, is_last=True) if (finding := check())]


CORRUPTIONS = {
    "R1 a payment": ("R1", update(Refund).where(succeeded).values(amount_fen=4_501)),
    "R1 a line": ("R1", update(RefundLine).values(supplier_fen=RefundLine.supplier_fen + 10_000)),
    "R2": ("R2", update(RefundLine).where(of_succeeded).values(amount_fen=RefundLine.amount_fen + 1)),
    "R3 the sum": ("R3", update(Order).where(Order.refunded_fen > 0).values(refunded_fen=0)),
    "R3 the state": ("R3", update(Order).where(Order.refunded_fen > 0).values(state=OrderState.PARTIALLY_REFUNDED)),
    "R4 no journal": ("R4", update(LedgerJournal).where(LedgerJournal.code == "REFUND").values(key="another")),
    "R4 no refund": ("R4", update(Refund).where(succeeded).values(state=RefundState.CLOSED.value)),
    "R5": ("R5", update(Refund).where(under_way).values(query_at=None)),
    "R6": ("R6", update(Replacement).values(new_seq=99)),
    "R8 no refund": ("R8", update(Refund).where(succeeded).values(unseen=False)),
    "R8 no delivery": ("R8", delete(UndoneDelivery)),
    "R7": ("R7", update(PaymentException).values(_waits)),
    "L4 in escrow": ("L4", update(Order).where(Order.state == OrderState.DELIVERED).values(state=OrderState.PAID)),
    "L4 in suspense": ("L4", update(UnmatchedPayment).values(amount_fen=2)),
    "P3": ("P3", delete(PaymentException).where(PaymentException.unmatched_id.is_not(None))),
    "S1 a unit that went back": ("S1", update(StockUnit).where(StockUnit.seq == 1).values(state=int(UnitState.SOLD))),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_found_within_a_minute_and_at_night(site, name):
    invariant, statement = CORRUPTIONS[name]
    for how in ({}, {"look": of_what_was_touched}):
        assert invariant in findings_after(site.world.ctx.db, statement, **how)


def test_refunds_without_an_order_and_old_notifications_wait_for_the_night(site):
    db = site.world.ctx.db
    of_none = update(Refund).where(under_way).values(order_id=None, query_at=None)
    assert "R5" not in findings_after(db, of_none, look=of_what_was_touched)
    assert "R5" in findings_after(db, of_none)
    old = clock.now() - timedelta(hours=2)
    kept = update(PaymentCallback).values(state=CallbackState.DEFERRED.value, received_at=old)
    assert "P2" not in findings_after(db, kept, look=of_what_was_touched)


def test_honest_books_have_no_finding_within_a_minute(site):
    assert findings_after(site.world.ctx.db, look=of_what_was_touched) == {}


def test_a_refund_that_moved_has_its_order_looked_at(tmp_path):
    with shop_with_refunds(tmp_path) as site:
        db = site.world.ctx.db
        policy(site, STEAM, "before_view")
        site.world.stock(STEAM, 2)
        ask(site, site.world.buy(ANNA, STEAM), "unwanted")
        changes.advance(db)
        assert looking.look(db).ok
        carry_out(site)
        changes.advance(db)
        with tampering(db) as tx:
            tx.execute(update(Refund).values(query_at=None))
        site.world.expects = {"R5"}
        assert [one.invariant for one in looking.look(db).findings] == ["R5"]
