"""What many buyers do at the same moment is one call of each handler: set by set."""

import hashlib

import pytest
from sqlalchemy import select

from server.gateways.port import PaymentOpened
from server.orders import actions as orders
from server.payments import actions as payments
from server.payments import attempts
from server.payments.model import PaymentAttempt
from shared import ids
from shared.states import AttemptState, OrderState
from tests.world import MERCHANT, world

BUYERS = 7


@pytest.fixture
def shop(any_engine, tmp_path):
    with world(any_engine, tmp_path) as built:
        yield built


def test_seven_buyers_in_one_batch_get_seven_keys(shop):
    shop.stock("STEAM-50", BUYERS + 1)
    wanted = [orders.PlaceOrder(ids.new_id(), ids.new_token(), "STEAM-50", 1, 4_500, "sandbox") for _ in range(BUYERS)]
    with shop.ctx.db.tx() as tx:
        placed = attempts.checkout(tx, wanted, hold_minutes=15)
    with shop.ctx.db.tx() as tx:
        urls = [None, *(f"http://pay/{n}" for n in range(1, BUYERS))]  # of the first, the channel said nothing
        opened = [answered(one, url) for one, url in zip(placed, urls, strict=True)]
        attempts.open_attempts(tx, opened)
    assert [shop.attempt(one).state for one in placed] == [AttemptState.UNKNOWN] + [AttemptState.PENDING] * (BUYERS - 1)
    assert [shop.attempt(one).pay_url for one in placed] == urls

    with shop.ctx.db.tx() as tx:
        outcomes = payments.apply(tx, [paid(shop, one) for one in placed])
    assert outcomes == [payments.Outcome.APPLIED] * BUYERS
    assert {shop.order(one).state for one in placed} == {OrderState.DELIVERED}
    with shop.ctx.db.read() as tx:
        numbers = dict(tx.execute(select(PaymentAttempt.out_trade_no, PaymentAttempt.provider_no)).all())
    assert numbers == {one.attempt.out_trade_no: shop.fact(one).provider_no for one in placed}
    figures = shop.check().figures
    assert (figures["units_sold"], figures["units_free"], figures["deliveries"]) == (BUYERS, 1, BUYERS)


def test_an_answer_of_the_channel_that_comes_after_the_money_changes_nothing(shop):
    shop.stock("STEAM-50", 1)
    placed = shop.buy(ids.new_id(), "STEAM-50")
    with shop.ctx.db.tx() as tx:
        attempts.open_attempts(tx, [answered(placed, "http://late")])
    attempt = shop.attempt(placed)
    assert (attempt.state, attempt.pay_url) == (AttemptState.PAID, None)


def answered(checkout, url):
    """The command of a channel's answer: an address, or none at all."""
    return attempts.OpenAttempt(checkout.attempt, "qr", PaymentOpened(pay_url=url, qr_text=url) if url else None)


def paid(shop, checkout):
    """The command of a notification that this checkout was paid."""
    raw = checkout.attempt.out_trade_no.encode()
    kept = payments.RawCallback(digest=hashlib.sha256(raw).hexdigest(), headers=b"{}", body=raw)
    return payments.ApplyPayment(fact=shop.fact(checkout), merchant_id=MERCHANT, raw=kept)
