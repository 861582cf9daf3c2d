"""Stock, orders, payments and ledger together: what is sold, once, for exactly the money that came."""

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select

from server.ledger.actions import Account, Journal, JournalConflict, Transfer, post
from server.ledger.queries import balances
from server.orders import actions as orders
from server.orders import links
from server.payments import checkout
from server.payments.actions import Outcome
from server.payments.exceptions import showing
from server.payments.model import PaymentCallback
from server.policy import SYSTEM
from server.stock.model import RevealLog
from shared import clock, ids
from shared.cardkey import Card
from shared.contracts.stock import LineResult
from shared.errors import IdempotencyReused
from shared.states import AttemptState, ExceptionAction, ExceptionKind, ImportState, OrderState
from tests.world import ANNA, BEN, CARA, world


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


def net(shop):
    with shop.ctx.db.read() as tx:
        return {(b.account.kind, b.account.owner): b.net for b in balances(tx)}


def reveal(shop, bought):
    order = shop.order(bought)
    return shop.reveal(order, actor=f"buyer:{order.buyer_id}")


def exceptions(shop):
    with shop.ctx.db.read() as tx:
        return showing.page(tx, SYSTEM, limit=50).items


@pytest.mark.each_engine
def test_an_order_turns_into_its_keys_and_a_balanced_ledger(shop):
    shop.stock("STEAM-50", 3)
    placed = shop.place(ANNA, "STEAM-50", 2)
    assert shop.level("STEAM-50") == shop.level("STEAM-50").__class__(imported=3, free=1, held=2, sold=0, void=0)
    assert shop.apply(shop.fact(placed)) is Outcome.APPLIED
    order, attempt = shop.order(placed), shop.attempt(placed)
    assert (order.state, order.amount_fen, attempt.state) == (OrderState.DELIVERED, 9_000, AttemptState.PAID)
    assert order.paid_at == order.delivered_at
    [line] = reveal(shop, placed)
    assert line.cards == tuple(Card("", key) for key in shop.keys("STEAM-50", 2))
    xinghe = shop.suppliers["xinghe"].hex
    assert net(shop) == {
        ("escrow", ""): 0,
        ("fee", ""): 450,
        ("psp", "sandbox"): 9_000,
        ("supplier_pending", xinghe): 8_550,
    }
    figures = shop.check().figures
    assert (figures["units_free"], figures["units_sold"], figures["deliveries"]) == (1, 2, 2)


def test_a_repeated_fact_changes_nothing(shop):
    shop.stock("STEAM-50", 2)
    placed = shop.place(ANNA, "STEAM-50")
    fact = shop.fact(placed, event_id="N" * 128)  # as long as any channel's name of a notification may be
    assert shop.apply(fact, raw=b"one") is Outcome.APPLIED
    before = (net(shop), shop.level("STEAM-50"), shop.order(placed).version)
    assert shop.apply(fact, raw=b"one") is Outcome.REPEATED
    assert shop.apply(fact, raw=b"two") is Outcome.REPEATED
    assert shop.apply(fact) is Outcome.REPEATED
    assert (net(shop), shop.level("STEAM-50"), shop.order(placed).version) == before
    with shop.ctx.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(PaymentCallback)) == 2
    shop.check()


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        ({"amount_fen": 4_499}, ExceptionKind.AMOUNT_MISMATCH),
        ({"currency": "USD"}, ExceptionKind.AMOUNT_MISMATCH),
        ({"merchant_id": "somebody"}, ExceptionKind.MERCHANT_MISMATCH),
        ({"out_trade_no": "NOT-OURS-000001"}, ExceptionKind.UNKNOWN_PAYMENT),
    ],
)
def test_money_that_does_not_fit_completes_nothing_and_is_kept_for_a_person(shop, other, kind):
    shop.stock("STEAM-50", 1)
    placed = shop.place(ANNA, "STEAM-50")
    for _ in range(2):
        assert shop.apply(shop.fact(placed, **other)) is Outcome.EXCEPTION
    [found] = exceptions(shop)
    assert found.kind is kind
    assert found.received_fen == other.get("amount_fen", 4_500)
    assert shop.order(placed).state == OrderState.PENDING_PAYMENT
    assert shop.attempt(placed).state == AttemptState.CREATED
    aside = found.received_fen if kind in {ExceptionKind.AMOUNT_MISMATCH, ExceptionKind.UNKNOWN_PAYMENT} else 0
    booked = {("psp", "sandbox"): aside, ("suspense", ""): aside} if aside and "currency" not in other else {}
    assert net(shop) == booked
    assert (ExceptionAction.REFUND in found.actions) is bool(booked)
    assert {one.name: one.value for one in found.evidence}["received_fen"] == str(found.received_fen)
    shop.check()


def test_a_fact_that_says_nothing_is_paid_changes_nothing(shop):
    shop.stock("STEAM-50", 1)
    placed = shop.place(ANNA, "STEAM-50")
    assert shop.apply(shop.fact(placed, state="pending", provider_no=None, paid_at=None)) is Outcome.NOTED
    assert shop.order(placed).state == OrderState.PENDING_PAYMENT


@pytest.mark.each_engine
def test_the_same_key_answers_the_same_order_and_another_body_is_refused(shop):
    shop.stock("STEAM-50", 5)
    first = shop.place(ANNA, "STEAM-50", key="k1")
    again = shop.place(ANNA, "STEAM-50", key="k1")
    assert (again.order.code, again.attempt.out_trade_no) == (first.order.code, first.attempt.out_trade_no)
    with pytest.raises(IdempotencyReused):
        shop.place(ANNA, "STEAM-50", 2, key="k1")
    assert shop.place(BEN, "STEAM-50", key="k1").order.code != first.order.code
    assert shop.level("STEAM-50").held == 2


@pytest.mark.parametrize(
    ("sku", "quantity", "amount", "refusal", "params"),
    [
        ("STEAM-50", 4, None, orders.SoldOut, {"left": 3}),
        ("STEAM-50", 1, 1, orders.PriceChanged, {"amount": "45.00"}),
        ("STEAM-50", 101, None, orders.QuantityLimited, {"most": 100}),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_and_holds_nothing(shop, sku, quantity, amount, refusal, params):
    shop.stock("STEAM-50", 3)
    with pytest.raises(refusal) as refused:
        shop.place(ANNA, sku, quantity, amount=amount)
    assert refused.value.params == params
    assert shop.level("STEAM-50").held == 0


def test_a_product_that_is_not_published_cannot_be_bought(shop):
    with pytest.raises(orders.NotOnSale):
        shop.ctx.batch.call(orders.PlaceOrder(ANNA, "k", "NO-SUCH-SKU", 1, 100, "sandbox"))


def test_an_expired_hold_goes_back_on_sale_and_is_sold_first(shop):
    shop.stock("STEAM-50", 3)
    first = shop.place(ANNA, "STEAM-50", 2)
    held = [seq for line in _lines(shop, first) for seq in line.seqs]
    end = checkout.EndUnpaid(first.order.id, OrderState.EXPIRED, (first.attempt.id,))
    shop.ctx.batch.call(end)
    shop.ctx.batch.call(end)
    assert shop.order(first).state == OrderState.EXPIRED
    assert shop.attempt(first).state == AttemptState.CLOSED
    assert shop.level("STEAM-50").free == 3
    shop.check()
    second = shop.place(BEN, "STEAM-50", 2)
    assert [seq for line in _lines(shop, second) for seq in line.seqs] == held
    shop.check()


def _lines(shop, placed):
    with shop.ctx.db.read() as tx:
        return orders.lines_of(tx, [placed.order.id])[placed.order.id]


def test_money_after_expiry_is_delivered_from_what_is_left(shop):
    shop.stock("STEAM-50", 2)
    late = shop.place(ANNA, "STEAM-50")
    shop.ctx.batch.call(checkout.EndUnpaid(late.order.id, OrderState.EXPIRED, ()))
    assert shop.apply(shop.fact(late)) is Outcome.APPLIED
    assert shop.order(late).state == OrderState.DELIVERED
    [line] = reveal(shop, late)
    assert len(line.cards) == 1
    shop.check()


def test_money_after_expiry_with_nothing_left_waits_for_a_person_and_is_booked(shop):
    shop.stock("STEAM-50", 1)
    late = shop.place(ANNA, "STEAM-50")
    shop.ctx.batch.call(checkout.EndUnpaid(late.order.id, OrderState.EXPIRED, ()))
    shop.buy(BEN, "STEAM-50")
    assert shop.apply(shop.fact(late)) is Outcome.EXCEPTION
    assert shop.order(late).state == OrderState.DELIVERY_FAILED
    [found] = exceptions(shop)
    assert (found.kind, found.order_code) == (ExceptionKind.PAID_AFTER_EXPIRY, late.order.code)
    assert net(shop)["escrow", ""] == 4_500
    assert reveal(shop, late) == []
    shop.check()


def test_a_second_payment_of_an_order_is_booked_and_raised_but_delivers_nothing_more(shop):
    shop.stock("STEAM-50", 2)
    placed = shop.buy(ANNA, "STEAM-50")
    assert shop.apply(shop.fact(placed, provider_no="S-OTHER")) is Outcome.EXCEPTION
    other = shop.place(BEN, "STEAM-50")
    assert shop.apply(shop.fact(other, provider_no=shop.fact(placed).provider_no)) is Outcome.EXCEPTION
    assert [found.kind for found in exceptions(shop)] == [ExceptionKind.PAID_TWICE] * 2
    assert shop.order(other).state == OrderState.PENDING_PAYMENT
    assert shop.level("STEAM-50").sold == 1
    shop.check()


@pytest.mark.each_engine
def test_many_buyers_at_once_never_share_a_unit(shop):
    shop.stock("MUSIC-30", 40)
    bought, refused = [], []

    def run(n):
        for _ in range(10):
            try:
                bought.append(shop.buy(UUID(int=n), "MUSIC-30"))
            except orders.SoldOut:
                refused.append(n)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(bought), len(refused)) == (40, 20)
    cards = [card.secret for one in bought for line in reveal(shop, one) for card in line.cards]
    assert sorted(cards) == sorted(shop.keys("MUSIC-30", 40))
    assert shop.level("MUSIC-30").sold == 40
    shop.check()


def test_each_reveal_is_logged_and_only_the_first_view_is_noted(shop):
    shop.stock("STEAM-50", 1)
    placed = shop.buy(ANNA, "STEAM-50")
    reveal(shop, placed)
    first = shop.order(placed).first_viewed_at
    reveal(shop, placed)
    assert shop.order(placed).first_viewed_at == first
    with shop.ctx.db.read() as tx:
        logged = tx.scalars(select(RevealLog)).all()
        assert [(row.actor, row.units) for row in logged] == [(f"buyer:{ANNA}", 1)] * 2


@pytest.mark.each_engine
def test_keys_that_the_product_has_or_had_are_refused_by_line(shop):
    keys = shop.keys("STEAM-50", 4)
    assert shop.stock("STEAM-50", keys[:2]).stored == 2
    shop.buy(ANNA, "STEAM-50")
    done = shop.stock("STEAM-50", [keys[2], keys[1], keys[0], " bad\u200bkey", keys[3]])
    assert (done.state, done.stored, done.duplicates, done.refused) == (ImportState.DONE, 2, 2, 1)
    from server.stock.queries import refused_lines

    with shop.ctx.db.read() as tx:
        refused = refused_lines(tx, done.id, after=0, limit=10).items
    assert [(one.line, one.result) for one in refused] == [
        (2, LineResult.DUPLICATE_IN_STOCK),
        (3, LineResult.DUPLICATE_SOLD),
        (4, LineResult.REFUSED),
    ]
    shop.check()


def test_a_large_file_is_stored_in_steps_and_sold_in_its_order(shop):
    keys = shop.keys("OFFICE-1Y", 700)
    done = shop.stock("OFFICE-1Y", keys, per_chunk=100)
    assert (done.stored, done.missing, done.chunk_count) == (700, [], 7)
    bought = shop.buy(CARA, "OFFICE-1Y", 100)
    assert [card.secret for card in reveal(shop, bought)[0].cards] == keys[:100]
    assert shop.order(bought).amount_fen == 350
    shop.check()


def test_delivered_orders_complete_by_themselves_after_three_days(shop):
    shop.stock("STEAM-50", 1)
    placed = shop.buy(ANNA, "STEAM-50")

    def completed(days, **after):
        with clock.fixed(clock.now() + timedelta(days=days, seconds=1)), shop.ctx.db.tx() as tx:
            return orders.complete_due(tx, **after)

    assert (completed(2), completed(3, after_days=4)) == (0, 0), "a shop may wait longer"
    assert completed(3) == 1
    assert shop.order(placed).state == OrderState.COMPLETED
    shop.stock("MUSIC-30", 1)
    soon = shop.buy(ANNA, "MUSIC-30")
    assert (completed(1, after_days=2), completed(2, after_days=2)) == (0, 1)
    assert shop.order(soon).state == OrderState.COMPLETED
    shop.check()


def test_a_journal_key_is_used_once_and_other_content_is_an_alarm(shop):
    def journal(amount):
        transfer = Transfer(Account("psp", "sandbox"), Account("escrow"), amount)
        return Journal("test:1", "PAY", None, clock.now(), (transfer,))

    for _ in range(2):
        with shop.ctx.db.tx() as tx:
            post(tx, [journal(100), journal(100)])
    with pytest.raises(JournalConflict), shop.ctx.db.tx() as tx:
        post(tx, [journal(101)])
    assert net(shop)["escrow", ""] == 100
    shop.expects = {"L4"}


def test_the_link_opens_the_order_on_another_device_and_a_wrong_one_does_not(shop):
    shop.stock("STEAM-50", 1)
    placed = shop.buy(ANNA, "STEAM-50")
    token = links.token_of(shop.ctx.keys, placed.order.id)
    assert len(token) == 22
    with shop.ctx.db.tx() as tx:
        assert not links.grant(tx, shop.ctx.keys, code=placed.order.code, token=ids.new_token(), buyer_id=BEN)
        assert not links.grant(tx, shop.ctx.keys, code="000000000000", token=token, buyer_id=BEN)
    from server.orders.queries import may_see_keys

    with shop.ctx.db.read() as tx:
        assert not may_see_keys(tx, placed.order, BEN)
    with shop.ctx.db.tx() as tx:
        assert links.grant(tx, shop.ctx.keys, code=placed.order.code, token=token, buyer_id=BEN)
    with shop.ctx.db.read() as tx:
        assert may_see_keys(tx, placed.order, BEN)
        assert not may_see_keys(tx, placed.order, CARA)
