"""Refunds at the same moment, on every engine: no fen twice, no key both seen and returned."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from sqlalchemy import func, select

from server.catalog.model import Product
from server.db import retrying
from server.gateways.port import RefundFact
from server.orders.model import Order, OrderLine
from server.payments.actions import ApplyPayment, Outcome
from server.payments.ending import EndUnpaid
from server.payments.refunds import actions, asking, following, queries
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.making import MoreThanLeft, NothingToRefund, RefundUnderWay
from server.payments.refunds.model import Refund
from server.policy import SYSTEM
from server.stock.model import RevealLog
from shared import ids
from shared.contracts.payments import StartRefund
from shared.errors import KamengError
from shared.states import AttemptState, OrderState, RefundReason, RefundState
from tests.server.channel import Channel
from tests.server.refunding import RefundDesk
from tests.world import ANNA, MERCHANT, world

AT_ONCE = 4


@pytest.fixture
def shop(engine, tmp_path):
    desk, channel = RefundDesk(), Channel()
    with channel.serving(desk) as address, world(engine, tmp_path) as built:
        built.ctx.gateways["sandbox"] = channel.gateway(address)
        built.desk = desk
        yield built


def by_shop(tx, bought, *, key=None, version=None, **wish):
    """The shop gives money back, knowing the order as it is now unless `version` is another one."""
    version = version or tx.get(Order, bought.order.id, with_for_update=True).version
    body = StartRefund(reason="x", version=version, **wish)
    return actions.start_by_shop(tx, bought.order.id, body, key=key or ids.new_token(), actor=SYSTEM, check_above=10**6)


def together(*work):
    """Run all at once, each in a thread of its own; answers what they answered or raised."""
    gate = Barrier(len(work))

    def run(one):
        gate.wait()
        try:
            return one()
        except Exception as error:  # noqa: BLE001 - what was refused is what the test looks at
            return error

    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(run, work))


def test_partial_refunds_at_once_never_sum_to_more_than_was_paid(shop):
    shop.stock("MUSIC-30", 2)
    bought = shop.buy(ANNA, "MUSIC-30", 2)  # 25.00

    def give_back():
        return retrying(shop.ctx.db, lambda tx: by_shop(tx, bought, amount_fen=1_000).id)

    answers = []
    for _ in range(3):
        answers += together(*[give_back] * AT_ONCE)
        shop.desk.says = "succeeded"
        shop.work()
        following.follow(shop.ctx)
    made = [one for one in answers if not isinstance(one, Exception)]
    assert len(made) == 2, answers
    assert {type(one) for one in answers if isinstance(one, Exception)} <= {
        RefundUnderWay,
        MoreThanLeft,
        NothingToRefund,
    }
    order = shop.order(bought)
    assert (order.state, order.refunded_fen) == (OrderState.PARTIALLY_REFUNDED, 2_000)
    assert [sent["amount_fen"] for sent in shop.desk.requests] == [1_000, 1_000]


def test_a_look_and_an_automatic_refund_exclude_each_other(shop):
    with shop.ctx.db.tx() as tx:
        product = tx.get(Product, shop.skus["STEAM-50"].product_id)
        product.refund_policy = "before_view"
    shop.stock("STEAM-50", 6)
    for _ in range(6):
        bought = shop.buy(ids.new_id(), "STEAM-50")
        wish = asking.Wish(order_id=bought.order.id, reason=RefundReason.UNWANTED)
        seen, refund_id = together(
            partial(shop.reveal, shop.order(bought)),
            lambda wish=wish: retrying(shop.ctx.db, lambda tx: asking.ask(tx, shop.ctx.keys, wish, actor="buyer").id),
        )
        with shop.ctx.db.read() as tx:
            state = RefundState(tx.get(Refund, refund_id).state)
            hidden = queries.withheld(tx, [bought.order.id])
            looks = tx.scalar(select(func.count()).where(RevealLog.order_line_id.in_(shop_lines(tx, bought.order.id))))
        assert (len(seen), state, looks) in {(1, RefundState.REFUSED, 1), (0, RefundState.APPROVED, 0)}
        assert bool(hidden) is (state is RefundState.APPROVED)
    shop.desk.says = "succeeded"
    shop.work()
    figures = shop.check().figures
    assert figures["units_sold"] + figures["units_free"] == 6


def test_one_wish_and_one_success_told_many_times_at_once_are_booked_once(shop):
    shop.stock("STEAM-50", 1)
    bought = shop.buy(ANNA, "STEAM-50")
    wish = {"key": ids.new_token(), "version": shop.order(bought).version}

    def start():
        with shop.ctx.db.tx() as tx:
            started = by_shop(tx, bought, **wish)
            return started.out_refund_no, started.id

    [(number, refund_id)] = set(together(*[start] * AT_ONCE))  # and one wish, sent so often, is one refund
    shop.work()
    fact = RefundFact(
        out_refund_no=number,
        refund_no="R1",
        out_trade_no=bought.attempt.out_trade_no,
        amount_fen=4_500,
        state="succeeded",
    )
    told = RefundHeard("sandbox", MERCHANT, fact)
    assert together(*[lambda: shop.ctx.batch.call(told)] * 10) == [None] * 10
    assert (shop.order(bought).state, shop.level("STEAM-50").free) == (OrderState.REFUNDED, 1)
    with shop.ctx.db.read() as tx:
        assert tx.get(Refund, refund_id).state == RefundState.SUCCEEDED


@pytest.mark.parametrize("events", [99, pytest.param(1_000, marks=pytest.mark.soak)])
def test_of_many_events_that_contradict_each_other_one_wins_and_the_books_are_right(shop, events):
    """One order is paid, expired and cancelled all at once, and then given back by everybody."""
    shop.stock("STEAM-50", 2)
    placed = shop.place(ANNA, "STEAM-50")
    pays = ApplyPayment(fact=shop.fact(placed), merchant_id=MERCHANT)
    ends = [EndUnpaid(placed.order.id, to, (placed.attempt.id,)) for to in (OrderState.EXPIRED, OrderState.CANCELLED)]
    mixed = [(pays, *ends)[n % 3] for n in range(events)]
    random.Random(events).shuffle(mixed)

    def give_back(version):
        try:
            return retrying(shop.ctx.db, lambda tx: by_shop(tx, placed, version=version).id)
        except KamengError as refused:
            return type(refused)

    with ThreadPoolExecutor(16) as threads:
        outcomes = Counter(threads.map(shop.ctx.batch.call, mixed))
        order = shop.order(placed)
        assert outcomes == {
            Outcome.APPLIED: 1,
            Outcome.REPEATED: mixed.count(pays) - 1,
            None: events - mixed.count(pays),
        }
        assert (order.state, shop.attempt(placed).state) == (OrderState.DELIVERED, AttemptState.PAID)
        assert (shop.level("STEAM-50").sold, shop.level("STEAM-50").free) == (1, 1)
        given = Counter(threads.map(give_back, [order.version] * (events // 5)))
    assert len([one for one in given if not isinstance(one, type)]) == 1, given
    assert {one for one in given if isinstance(one, type)} <= {actions.OrderChanged, RefundUnderWay, NothingToRefund}
    shop.desk.says = "succeeded"
    shop.work()
    following.follow(shop.ctx)
    assert (shop.order(placed).state, shop.order(placed).refunded_fen) == (OrderState.REFUNDED, 4_500)
    assert [sent["amount_fen"] for sent in shop.desk.requests] == [4_500]
    assert (shop.level("STEAM-50").sold, shop.level("STEAM-50").free) == (0, 2)


def shop_lines(tx, order_id):
    """The lines of an order."""
    return tx.scalars(select(OrderLine.id).where(OrderLine.order_id == order_id)).all()
