"""Each invariant finds the corruption it is there for, names the row, and is silent on honest books."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import delete, insert, select, update

from server import invariants
from server.db import table_of
from server.invariants import finding, stock
from server.ledger.model import LedgerBalance, LedgerJournal, LedgerTransfer
from server.orders.model import Order
from server.payments import checkout
from server.payments.model import PaymentAttempt, PaymentCallback, PaymentException
from server.stock.model import CardSecret, Delivery, StockCursor, StockReturned, StockShelf, StockUnit
from shared import clock, ids
from shared.states import AttemptState, ExceptionKind, OrderState, UnitState
from tests.databases import findings_after, tampering
from tests.world import ANNA, BEN, CARA, world


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop in which everything has happened once: delivered, held, expired, late without stock, paid wrongly."""
    with world("sqlite", tmp_path_factory.mktemp("shop")) as built:
        built.stock("STEAM-50", 6)
        built.stock("MUSIC-30", 1)
        built.delivered = built.buy(ANNA, "STEAM-50", 2)
        built.held = built.place(BEN, "STEAM-50")
        built.expired = built.place(CARA, "STEAM-50")
        built.ctx.batch.call(checkout.EndUnpaid(built.expired.order.id, OrderState.EXPIRED, ()))
        built.late = built.place(ANNA, "MUSIC-30")
        built.ctx.batch.call(checkout.EndUnpaid(built.late.order.id, OrderState.EXPIRED, ()))
        built.buy(BEN, "MUSIC-30")
        built.apply(built.fact(built.late))
        yield built


@pytest.fixture
def found(shop):
    """What the checks say of the books once some statements have corrupted them; all is undone."""
    return partial(findings_after, shop.ctx.db)


def steam(shop):
    return shop.skus["STEAM-50"].sku_id


def test_honest_books_have_no_finding_and_count_what_is_there(shop):
    report = shop.check()
    assert report.ok
    counted = {name: report.figures[name] for name in report.figures if not name.startswith("audit")}
    assert counted == {
        "units_imported": 7,
        "units_free": 3,
        "units_held": 1,
        "units_sold": 3,
        "units_void": 0,
        "deliveries": 3,
        "orders_delivered": 2,
        "orders_pending_payment": 1,
        "orders_expired": 1,
        "orders_delivery_failed": 1,
        "exceptions_open": 1,
        "journals": 5,
        "debits_fen": 2 * (9_000 + 1_250) + 1_250,
        "credits_fen": 2 * (9_000 + 1_250) + 1_250,
    }


def test_s1_a_sold_unit_without_its_delivery(shop, found):
    gone = delete(Delivery).where(Delivery.sku_id == steam(shop), Delivery.seq == 1)
    assert found(gone)["S1"] == (f"{steam(shop)} 1",)


def test_s1_a_unit_delivered_to_another_line_than_it_was_sold_to(shop, found):
    moved = update(Delivery).where(Delivery.sku_id == steam(shop), Delivery.seq == 2).values(order_line_id=ids.new_id())
    assert found(moved)["S1"] == (f"{steam(shop)} 2",)


def test_s2_a_delivery_of_a_unit_that_is_not_sold(shop, found):
    seq = 6
    line = select(StockUnit.order_line_id).where(StockUnit.sku_id == steam(shop), StockUnit.seq == 1)
    row = {"sku_id": steam(shop), "seq": seq, "order_line_id": ids.new_id(), "delivered_at": clock.now()}
    assert found(insert(table_of(Delivery)).values(**row))["S2"] == (f"{steam(shop)} 6",)
    back = update(StockUnit).where(StockUnit.order_line_id == line.scalar_subquery()).values(state=UnitState.FREE)
    assert found(back)["S2"] == (f"{steam(shop)} 1", f"{steam(shop)} 2")


def test_s3_a_unit_held_for_nobody_for_the_wrong_order_or_for_ever(shop, found):
    with shop.ctx.db.read() as tx:
        held = tx.scalars(select(StockUnit.seq).where(StockUnit.state == UnitState.HELD)).one()
    row = (f"{steam(shop)} {held}",)
    unit = (StockUnit.sku_id == steam(shop), StockUnit.seq == held)
    assert found(update(StockUnit).where(*unit).values(order_line_id=None))["S3"] == row
    order = update(Order).where(Order.id == shop.held.order.id)
    assert found(order.values(state=OrderState.CANCELLED.value))["S3"] == row
    assert found(order.values(due_at=None))["S3"] == row
    grace = stock.HOLD_GRACE
    assert found(order.values(due_at=clock.now() - grace - timedelta(seconds=1)))["S3"] == row
    assert found(order.values(due_at=clock.now() - grace + timedelta(seconds=60))) == {}


@pytest.mark.parametrize("counter", ["free", "held", "sold", "void", "imported"])
def test_s4_a_lot_that_counts_wrong(shop, found, counter):
    cursor = table_of(StockCursor)
    with shop.ctx.db.read() as tx:
        lot = tx.scalars(select(StockCursor.lot_id).where(StockCursor.sku_id == steam(shop))).one()
    off = update(cursor).where(cursor.c.lot_id == lot).values({counter: cursor.c[counter] + 1})
    assert found(off)["S4"] == (str(lot),)


def test_s4_a_unit_that_vanished(shop, found):
    assert "S4" in found(delete(StockUnit).where(StockUnit.sku_id == steam(shop), StockUnit.seq == 6))


def test_s5_a_unit_without_its_key(shop, found):
    gone = delete(CardSecret).where(CardSecret.sku_id == steam(shop), CardSecret.seq == 5)
    assert found(gone) == {"S5": (f"{steam(shop)} 5",)}


def test_s6_a_free_unit_that_nobody_would_sell_again(shop, found):
    with shop.ctx.db.read() as tx:
        seq = tx.scalars(select(StockReturned.seq).where(StockReturned.sku_id == steam(shop))).one()
        lot = tx.scalars(select(StockCursor.lot_id).where(StockCursor.sku_id == steam(shop))).one()
    forgotten = {"S6": (f"{steam(shop)} {seq}",)}
    assert found(delete(StockReturned)) == forgotten
    cursor = table_of(StockCursor)
    assert found(update(cursor).where(cursor.c.lot_id == lot).values(returned_from=seq + 1)) == forgotten
    assert found(update(cursor).where(cursor.c.lot_id == lot).values(returned_from=seq)) == {}
    off_the_shelf = {"S6": (str(lot),)}
    shelf = table_of(StockShelf)
    mine = shelf.c.lot_id == lot
    assert found(delete(shelf).where(mine)) == off_the_shelf


def test_s6_a_lot_that_claims_find_at_another_place_than_its_own(shop, found):
    with shop.ctx.db.read() as tx:
        own = tx.scalars(select(StockShelf).where(StockShelf.sku_id == steam(shop))).one()
    shelf = table_of(StockShelf)
    elsewhere = {"S6": (f"{own.lot_id} {own.rank + 1}",)}
    assert found(insert(shelf).values(sku_id=own.sku_id, rank=own.rank + 1, lot_id=own.lot_id)) == elsewhere
    assert found(update(shelf).where(shelf.c.lot_id == own.lot_id).values(rank=own.rank + 1)) == elsewhere


def test_s6_a_given_back_unit_that_is_not_free(shop, found):
    with shop.ctx.db.read() as tx:
        lot = tx.scalars(select(StockCursor.lot_id).where(StockCursor.sku_id == steam(shop))).one()
    listed = {"sku_id": steam(shop), "seq": 1, "lot_id": lot}
    assert found(insert(table_of(StockReturned)).values(**listed)) == {"S6": (f"{steam(shop)} 1",)}


def test_s7_an_order_line_whose_units_are_another_number_than_its_quantity(shop, found):
    """A held order that has fewer units than it will have to deliver."""
    unit = (StockUnit.state == UnitState.HELD,)
    with shop.ctx.db.read() as tx:
        seq = tx.scalars(select(StockUnit.seq).where(*unit)).one()
    free = update(StockUnit).where(*unit).values(state=UnitState.FREE, order_line_id=None)
    rows = found(free)
    assert rows["S7"] == (shop.held.order.code,)
    assert rows["S6"] == (f"{steam(shop)} {seq}",)


def test_l1_and_l2_a_balance_that_lost_an_update(shop, found):
    balance = table_of(LedgerBalance)
    busy = (balance.c.credits_fen > 0,)
    rows = found(update(balance).where(*busy).values(credits_fen=balance.c.credits_fen - 1))
    assert set(rows) == {"L1", "L2", "L6"}
    both = update(balance).where(balance.c.debits_fen > 0).values(debits_fen=balance.c.debits_fen + 7)
    assert set(found(both)) == {"L1", "L2"}


def test_l2_a_transfer_that_no_balance_knows(shop, found):
    with shop.ctx.db.read() as tx:
        known = tx.scalars(select(LedgerTransfer)).first()
    extra = {
        "journal_id": known.journal_id,
        "n": 99,
        "debit_id": known.debit_id,
        "credit_id": known.credit_id,
        "amount_fen": 1,
    }
    assert "L2" in found(insert(table_of(LedgerTransfer)).values(**extra))


def test_l3_a_balance_below_its_floor(shop, found):
    balance = table_of(LedgerBalance)
    below = update(balance).where(balance.c.debits_fen > balance.c.credits_fen).values(floor_fen=0)
    assert [row.split()[0] for row in found(below)["L3"]] == ["psp"]


def test_l5_a_sale_that_gives_away_less_than_was_paid(shop, found):
    code = shop.delivered.order.code
    cheaper = update(Order).where(Order.code == code).values(amount_fen=Order.amount_fen + 1)
    assert found(cheaper)["L5"] == (code,)


@pytest.mark.parametrize("journal", ["PAY", "SALE"])
def test_l9_a_delivered_order_without_its_journal(shop, found, journal):
    own = (LedgerJournal.order_id == shop.delivered.order.id, LedgerJournal.code == journal)
    rows = found(delete(LedgerJournal).where(*own))
    assert rows["L9"] == (shop.delivered.order.code,)
    assert rows["L4"] == (shop.delivered.order.code,), "its money is left in escrow, or is missing there"


def test_l4_a_payment_that_was_booked_with_another_amount(shop, found):
    attempt = update(PaymentAttempt).where(PaymentAttempt.id == shop.late.attempt.id)
    rows = found(attempt.values(amount_fen=PaymentAttempt.amount_fen - 1))
    assert rows == {"L4": (shop.late.attempt.out_trade_no,)}


def test_l4_money_that_was_booked_and_never_paid(shop, found):
    attempt = update(PaymentAttempt).where(PaymentAttempt.id == shop.late.attempt.id)
    rows = found(attempt.values(state=AttemptState.PENDING.value, query_at=clock.now()))
    assert rows == {"L4": (f"payment:sandbox:{shop.fact(shop.late).provider_no}:pay",)}


def test_l9_a_sale_of_what_was_not_delivered(shop, found):
    undelivered = {"state": OrderState.DELIVERY_FAILED.value, "delivered_at": None}
    rows = found(update(Order).where(Order.id == shop.delivered.order.id).values(undelivered))
    assert rows["L9"] == (f"order:{shop.delivered.order.code}:sale",)


def test_l9_an_order_that_was_called_delivered(shop, found):
    called = update(Order).where(Order.id == shop.expired.order.id).values(state=OrderState.DELIVERED.value)
    assert shop.expired.order.code in found(called)["L9"]


def test_p1_money_that_is_nowhere(shop, found):
    attempt = shop.late.attempt.out_trade_no
    assert found(delete(PaymentException)) == {"P1": (f"{attempt}   {shop.late.order.code}",)}
    other = update(PaymentException).values(kind=ExceptionKind.AMOUNT_MISMATCH.value)
    assert found(other) == {"P1": (f"{attempt}   {shop.late.order.code}",)}
    paid = update(PaymentAttempt).where(PaymentAttempt.id == shop.held.attempt.id)
    rows = found(paid.values(state=AttemptState.PAID.value))
    assert [row.split()[-1] for row in rows["P1"]] == [shop.held.order.code]


def test_p2_a_notification_that_nobody_could_confirm(shop, found):
    shop.apply(shop.fact(shop.held, state="pending", provider_no=None, paid_at=None), raw=b"kept")
    number = shop.held.attempt.out_trade_no
    kept = update(PaymentCallback).where(PaymentCallback.out_trade_no == number).values(state="deferred")
    assert found(kept) == {}
    assert found(kept.values(received_at=clock.now() - timedelta(hours=2))) == {"P2": (f"sandbox {number}",)}


def test_p4_an_open_payment_that_nobody_asks_about(shop, found):
    number = shop.held.attempt.out_trade_no
    mine = update(PaymentAttempt).where(PaymentAttempt.out_trade_no == number)
    assert found(mine.values(query_at=None)) == {"P4": (f"sandbox {number}",)}
    assert found(mine.values(expires_at=clock.now() - timedelta(days=2, seconds=1))) == {"P4": (f"sandbox {number}",)}
    assert found(mine.values(state=AttemptState.CLOSED.value, query_at=None)) == {}


def test_a_finding_names_ten_rows_at_most(shop, found):
    shop.stock("OFFICE-1Y", 30)
    rows = found(delete(CardSecret).where(CardSecret.sku_id == shop.skus["OFFICE-1Y"].sku_id))
    assert len(rows["S5"]) == finding.NAMED_MOST == 10


def test_l11_a_broken_audit_chain_is_a_finding_of_the_whole_check(shop):
    from server import audit
    from server.audit import AuditEvent

    audit.seal(shop.ctx.db)
    with shop.ctx.db.tx() as tx:
        audit.append(tx, actor="a", action="a.b", entity="x", entity_id="slipped in")
        tx.execute(delete(audit.AuditPending))
    [finding] = invariants.check(shop.ctx.db).findings
    assert (finding.invariant, finding.rows) == ("L11", ("1",))
    with tampering(shop.ctx.db) as tx:
        tx.execute(delete(AuditEvent).where(AuditEvent.entity_id == "slipped in"))
    shop.check()
    with tampering(shop.ctx.db) as tx:
        tx.execute(update(AuditEvent).where(AuditEvent.action == "order.place").values(actor="system"))
    shop.expects = {"L11"}
    assert {finding.invariant for finding in invariants.check(shop.ctx.db).findings} == {"L11"}


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_the_checks_run_on_every_engine(kind, tmp_path):
    with world(kind, tmp_path, expects={"S1", "S5", "L9"}) as other:
        other.stock("STEAM-50", 2)
        other.buy(ANNA, "STEAM-50")
        other.check()
        with other.ctx.db.tx() as tx:
            tx.execute(delete(Delivery))
            tx.execute(delete(CardSecret))
        assert {finding.invariant for finding in invariants.check(other.ctx.db).findings} == other.expects
