"""A day of many orders in a shop, its bills dropped over HTTP: what was altered is listed, and nothing else."""

import random
from collections import defaultdict
from datetime import timedelta

import pytest

from server.db import bulk_insert
from server.ledger import actions as ledger
from server.payments import booking
from server.payments.model import PaymentAttempt
from server.payments.refunds.model import Refund
from shared import clock, ids
from shared.finance import DifferenceKind as K
from tests.server.reconcile.days import DAY, MERCHANTS, PROPOSED, REFUND_EVERY, SEVEN, Day
from tests.server.till import Till, site_with
from tests.world import WITH_FEES

MORNING = clock.day_bounds(DAY + timedelta(days=1))[0] + timedelta(hours=11)
UNMADE = {"wechat": {"R4"}, "alipay": {"R4", "R5"}}
"""Invariants that refunds without their orders, and one that nobody follows, break."""


def fill(shop, day):
    """The day's payments and refunds as our books have them; the orders behind them, one each, are not there."""
    channel, paid, orders = day.channel, list(day.ours.values()), defaultdict(ids.new_id)
    attempts = {our.out_trade_no: our.id for our in paid}
    payments = [
        (our.id, orders[our.out_trade_no], our.out_trade_no, our.provider_no, our.amount_fen, our.fee_fen, our.at)
        for our in paid
    ]
    refunds = [
        (
            *(our.id, orders[our.out_trade_no], attempts.get(our.out_trade_no, our.id), our.out_trade_no),
            *(our.out_refund_no, our.provider_no or None, our.amount_fen, our.state, our.at, our.ended_at),
        )
        for our in day.our_refunds.values()
    ]
    journals = [
        make(orders[our.out_trade_no], channel, our.provider_no, fen, at=our.at)
        for our in paid
        for make, fen in ((booking.pay, our.amount_fen), (booking.fee, our.fee_fen))
        if fen
    ]
    with shop.ctx.db.tx() as tx:
        bulk_insert(tx, PaymentAttempt, _OF_PAYMENTS, payments, constants={"channel": channel, **_PAYMENT})
        bulk_insert(tx, Refund, _OF_REFUNDS, refunds, constants={"channel": channel, **_REFUND})
        ledger.post(tx, journals)


_OF_PAYMENTS = ("id", "order_id", "out_trade_no", "provider_no", "amount_fen", "fee_fen", "paid_at")
_PAYMENT = {"order_code": "-", "subject": "-", "state": "paid", "product": "qr", "queries": 0, "fee_is_final": False}
_PAYMENT |= dict.fromkeys(("created_at", "expires_at"), MORNING)
_OF_REFUNDS = (
    *("id", "order_id", "attempt_id", "out_trade_no", "out_refund_no", "provider_refund_no", "amount_fen", "state"),
    *("submitted_at", "refunded_at"),
)
_REFUND = {"cause": "shop", "reason": "-", "asked_by": "-", "asked_at": MORNING, "queries": 0, "version": 1}
_REFUND |= dict.fromkeys(("unseen", "wants_replacement"), False)


def drop(site, name, content):
    answer = site.post("/api/reconcile/bills", by="zhou", params={"name": name}, content=content)
    assert answer.status_code == 200, answer.text
    site.world.work()
    return answer.json()["rows"]


@pytest.mark.parametrize(
    ("channel", "orders"),
    [
        ("wechat", 1_000),
        ("alipay", 500),
        *(pytest.param(channel, 10_000, marks=pytest.mark.soak) for channel in ("wechat", "alipay")),
    ],
)
def test_a_dropped_day_with_seven_alterations_lists_exactly_those(tmp_path, channel, orders):
    day, till = Day(channel, orders), Till(channel)
    till.merchant_id, till.silent = MERCHANTS[channel], True
    places = random.Random(11).sample(range(0, orders, REFUND_EVERY), len(SEVEN[channel]))
    expected = [one for name, n in zip(SEVEN[channel], places, strict=True) for one in day.altered(name, n)]
    rows = len(day.lines) + len(day.refunds) + len(day.more)
    with site_with(tmp_path, till, expects=UNMADE[channel], **WITH_FEES) as site, clock.fixed(MORNING):
        fill(site.world, day)
        assert drop(site, "trades", day.bill()) == rows
        drop(site, "funds", day.funds())
        address = f"/api/reconcile/days/{DAY}/{channel}"
        seen = site.get(address, by="zhou").json()
        found = site.get("/api/reconcile/differences", by="zhou", params={"day": str(DAY)}).json()["items"]
        again = site.post(f"{address}/run", by="zhou").json()
    assert sorted(map(_said, found)) == sorted(
        (kind, number, str(ours), str(theirs), PROPOSED[kind], "matched" if kind is K.DATE_SHIFT else "open")
        for kind, number, ours, theirs in expected
    )
    apart = [kind for kind, *_ in expected if kind not in {K.ONLY_OURS, K.DATE_SHIFT}]
    assert (seen["matched"], seen["balance"]["off_by_fen"]) == (rows - len(apart), 0)
    assert again == seen | {"run_at": again["run_at"]}


def _said(one):
    number, both = one["out_refund_no"] or one["out_trade_no"], (str(one["ours_fen"]), str(one["theirs_fen"]))
    return one["kind"], number, *both, one["proposed_action"], one["state"]
