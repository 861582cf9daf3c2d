"""What the worker does with open payments and orders whose time is over, towards a channel that answers as told."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from server import breaker
from server.ledger import actions as ledger
from server.payments import applying, asking, checkout, ending, notices, queries
from server.payments.exceptions import closing
from server.payments.model import PaymentCallback, PaymentException
from server.stock.model import StockUnit
from shared import clock, ids
from shared.states import AttemptState, ExceptionKind, ExceptionState, FoundBy, OrderState, UnitState
from tests.server.channel import Channel
from tests.world import ANNA, BEN, CARA, world

LATER = timedelta(minutes=16)


class Answers:
    """The channel: refuses to close what is paid, and says of each number what the test wrote down."""

    def __init__(self):
        self.state = "closed"
        self.amount_fen = 4_500
        self.status = 200
        self.asked = 0

    def __call__(self, channel, request):
        self.asked += 1
        number = request.path.split("/")[3]
        if request.path.endswith("/close"):
            paid = self.state == "paid"
            status, answer = (409, {"code": "ALREADY_PAID"}) if paid else (self.status, {"state": "closed"})
        else:
            status, answer = self.status, self.payment(number)
        body = json.dumps(answer).encode()
        request.send_response(status)
        for name, value in channel.signed(body, at=int(clock.now().timestamp())).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def payment(self, number):
        paid = self.state == "paid"
        return {
            "out_trade_no": number,
            "state": self.state,
            "trade_no": f"S{number[-20:]}" if paid else None,
            "amount_fen": self.amount_fen,
            "currency": "CNY",
            "merchant_id": "shop-1",
            "paid_at": clock.now().isoformat() if paid else None,
        }


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def shop(answers, tmp_path):
    channel = Channel()
    with channel.serving(answers) as address, world("sqlite", tmp_path) as built:
        built.channel = channel
        built.ctx.gateways["sandbox"] = channel.gateway(address)
        yield built


def test_money_of_another_amount_does_not_hold_the_units_for_ever(shop, answers):
    shop.stock("STEAM-50", 1)
    placed = shop.place(ANNA, "STEAM-50")
    answers.state, answers.amount_fen = "paid", 4_499
    with clock.fixed(placed.order.expires_at + LATER):
        checkout.sweep(shop.ctx)
        assert (shop.order(placed).state, shop.level("STEAM-50").free) == (OrderState.EXPIRED, 1)
        with shop.ctx.db.read() as tx:
            assert queries.open_kinds(tx, placed.order.id) == {ExceptionKind.AMOUNT_MISMATCH}
        asked = answers.asked
        checkout.sweep(shop.ctx)
        assert answers.asked == asked
        shop.check()


def test_one_order_that_cannot_be_ended_keeps_no_other_from_it(shop):
    shop.stock("STEAM-50", 3)
    broken, *sound = [shop.place(buyer, "STEAM-50") for buyer in (ANNA, BEN, CARA)]
    held = (StockUnit.order_line_id.is_not(None), StockUnit.seq == 1)
    with shop.ctx.db.tx() as tx:
        tx.execute(update(StockUnit).where(*held).values(state=UnitState.VOID))
    with clock.fixed(broken.order.expires_at + LATER):
        checkout.sweep(shop.ctx)
    assert shop.order(broken).state == OrderState.PENDING_PAYMENT
    assert {shop.order(one).state for one in sound} == {OrderState.EXPIRED}
    shop.expects = {"S4", "S7"}


def test_money_that_cannot_be_applied_is_before_people_until_it_is(shop, answers, monkeypatch):
    """At its expiry, and by the sweep for a day: nothing is known to a log alone, and nothing is asked for ever."""
    shop.stock("STEAM-50", 2)
    placed = shop.place(ANNA, "STEAM-50")
    answers.state = "paid"
    day_over = placed.attempt.expires_at + ending.ITS_DAY
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "post", None)  # the writer fails
        asyncio.run(checkout.refresh(shop.ctx, placed.order.code))  # its page says that it is being looked into
        with clock.fixed(placed.order.expires_at + LATER):
            checkout.sweep(shop.ctx)
        assert shop.order(placed).state == OrderState.PENDING_PAYMENT
        [told] = exceptions_of(shop)
        assert (told.kind, told.state, told.received_fen) == (ExceptionKind.PAYMENT_UNKNOWN, "open", 4_500)
        assert ["not_applied", "TypeError"] in json.loads(told.evidence)
        dismiss(shop, told)
        for _ in range(2):
            asyncio.run(asking.ask_for_page(shop.ctx, shop.attempt(placed)))
        assert [one.state for one in exceptions_of(shop)] == ["closed", "open"], "it goes on: they are told again"
        with clock.fixed(day_over):
            checkout.sweep(shop.ctx)
        assert ([one.state for one in exceptions_of(shop)], shop.attempt(placed).query_at) == (
            ["closed", "open", "open"],
            None,
        )
        given_up = exceptions_of(shop)[2]
        assert (given_up.provider_no, given_up.received_fen) == (None, None)
    with clock.fixed(day_over + LATER):
        checkout.sweep(shop.ctx)  # the order's own turn comes again and again
    assert shop.order(placed).state == OrderState.DELIVERED
    assert {(one.kind, one.state) for one in exceptions_of(shop)} == {(ExceptionKind.PAYMENT_UNKNOWN, "closed")}
    assert [one.closed_by for one in exceptions_of(shop)] == ["staff:li", "system", "system"]
    shop.check()


def test_money_that_cannot_be_applied_after_its_day_is_told_though_it_was_given_up(shop, answers, monkeypatch):
    shop.stock("STEAM-50", 2)
    placed = shop.place(ANNA, "STEAM-50")
    answers.status = 503  # away for a day
    with clock.fixed(placed.attempt.expires_at + ending.ITS_DAY):
        checkout.sweep(shop.ctx)
        checkout.sweep(shop.ctx)
    [given_up] = exceptions_of(shop)
    assert (given_up.provider_no, shop.attempt(placed).query_at) == (None, None)
    dismiss(shop, given_up)
    of_us = shop.fact(placed, merchant_id=shop.ctx.gateways["sandbox"].merchant_id)
    of_nobody = replace(of_us, out_trade_no=ids.new_id().hex, provider_no="S-of-nobody")
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "post", None)  # the writer fails
        for fact in (of_us, of_nobody, of_us, of_nobody):
            with pytest.raises(TypeError):
                applying.call(shop.ctx, fact, FoundBy.BILL)
    assert [(one.kind, one.state, one.provider_no) for one in exceptions_of(shop)] == [
        (ExceptionKind.PAYMENT_UNKNOWN, "closed", None),
        (ExceptionKind.PAYMENT_UNKNOWN, "open", of_us.provider_no),
        (ExceptionKind.UNKNOWN_PAYMENT, "open", "S-of-nobody"),
    ]
    assert {one.unmatched_id for one in exceptions_of(shop)} == {None}
    for fact in (of_us, of_nobody):
        applying.call(shop.ctx, fact, FoundBy.BILL)
    assert shop.order(placed).state == OrderState.DELIVERED
    *doubts, held = exceptions_of(shop)
    assert [one.closed_by for one in doubts] == ["staff:li", "system", "system"]
    assert (held.kind, held.state, held.received_fen) == (ExceptionKind.UNKNOWN_PAYMENT, "open", 4_500)
    assert held.unmatched_id is not None
    shop.check()


def dismiss(shop, one):
    with shop.ctx.db.tx() as tx:
        closing.end(tx, tx.get_one(PaymentException, one.id), closed_by="staff:li")


def exceptions_of(shop):
    with shop.ctx.db.read() as tx:
        return list(tx.scalars(select(PaymentException).order_by(PaymentException.id)))


@pytest.mark.parametrize(("answer", "settled"), [("paid", "applied"), ("closed", "refused")])
def test_a_kept_notification_is_settled_by_what_the_channel_says(shop, answers, answer, settled, monkeypatch):
    shop.stock("STEAM-50", 1)
    placed = shop.place(ANNA, "STEAM-50")
    number = placed.attempt.out_trade_no
    said = {"event_id": "E1", "event": "payment.paid", "trade_no": f"S{number[-20:]}"}
    body = json.dumps(answers.payment(number) | said | {"paid_at": clock.now().isoformat()}).encode()
    headers = shop.channel.signed(body)
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "post", None)  # the writer fails
        asyncio.run(notices.take(shop.ctx, notices.Told("sandbox", headers, body)))
    with shop.ctx.db.read() as tx:
        assert tx.scalars(select(PaymentCallback.state)).all() == ["deferred"]
    [doubt] = exceptions_of(shop)
    assert (doubt.kind, doubt.order_id) == (ExceptionKind.PAYMENT_UNKNOWN, placed.order.id)
    assert ["not_applied", "TypeError"] in json.loads(doubt.evidence)
    answers.state, answers.status = answer, 503
    shop.work()  # the channel is away: it is asked again
    answers.status = 200
    with clock.fixed(clock.now() + timedelta(minutes=1)):
        shop.work()
    with shop.ctx.db.read() as tx:
        assert tx.scalars(select(PaymentCallback.state)).all() == [settled]
    assert (shop.order(placed).state == OrderState.DELIVERED) is (answer == "paid")
    [doubt] = exceptions_of(shop)
    assert (doubt.state == ExceptionState.CLOSED) is (answer == "paid"), "signed, and denied: people decide"
    shop.check()


def test_a_payment_that_nobody_can_make_any_more_is_not_asked_about_for_ever(shop, answers):
    shop.stock("STEAM-50", 1)
    placed = shop.place(ANNA, "STEAM-50")
    answers.status = 503  # away, until the units had to go back on sale without its answer
    with clock.fixed(placed.order.expires_at + LATER):
        checkout.sweep(shop.ctx)
        assert (shop.order(placed).state, shop.attempt(placed).state) == (OrderState.EXPIRED, AttemptState.CREATED)
    answers.status = 200
    for hours, expected in ((1, True), (2, False)):
        asked = answers.asked
        with clock.fixed(placed.order.expires_at + timedelta(hours=hours)):
            checkout.sweep(shop.ctx)
        assert (answers.asked > asked) is expected
    assert shop.attempt(placed).state == AttemptState.CLOSED
    shop.check()


def test_a_flood_of_unpaid_orders_is_ended_in_one_sweep(shop, answers, monkeypatch):
    monkeypatch.setattr(asking, "SWEEP_PAGE", 20)
    shop.stock("STEAM-50", 90)
    placed = [shop.place(ids.new_id(), "STEAM-50") for _ in range(90)]
    with clock.fixed(placed[-1].order.expires_at + timedelta(seconds=1)):
        checkout.sweep(shop.ctx)
        assert {shop.order(one).state for one in placed} == {OrderState.EXPIRED}
    assert shop.level("STEAM-50").free == 90
    shop.check()


def test_a_channel_that_is_away_costs_a_few_waits_and_not_one_an_order(shop, answers):
    shop.stock("STEAM-50", 90)
    placed = [shop.place(ids.new_id(), "STEAM-50") for _ in range(90)]
    answers.status = 503
    with clock.fixed(placed[-1].order.expires_at + timedelta(seconds=1)):
        checkout.sweep(shop.ctx)
        assert answers.asked <= breaker.OPENS_AFTER + 2 * asking.AT_ONCE
        assert {shop.order(one).state for one in placed} == {OrderState.PENDING_PAYMENT}
        asked = answers.asked
        checkout.sweep(shop.ctx)  # they are looked at again in a minute
        assert answers.asked == asked
    answers.status = 200
    with clock.fixed(placed[-1].order.expires_at + timedelta(minutes=2)):
        checkout.sweep(shop.ctx)
        assert {shop.order(one).state for one in placed} == {OrderState.EXPIRED}
    shop.check()
