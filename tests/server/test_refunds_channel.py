"""Refunds at a channel that is slow, silent, poor, or says something else: one number, and never twice."""

import hashlib
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from server.gateways.port import RefundFact
from server.orders.actions import PlaceOrder
from server.payments.callbacks import RawCallback
from server.payments.ending import EndUnpaid
from server.payments.model import PaymentCallback, PaymentException, UnmatchedPayment
from server.payments.refunds import actions, asking, rules
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.model import Refund
from shared import clock
from shared.states import ExceptionKind, OrderState, RefundCause, RefundReason
from tests.server.refunding import (
    approved,
    balances,
    carry_out,
    later,
    look,
    post,
    read,
    shop_with_refunds,
    start,
    stuck,
    tell,
)
from tests.world import ANNA, BEN, CARA, MERCHANT

REVERSED = {("psp", "sandbox"): 4_500, ("escrow", ""): 4_500, ("supplier_pending", "xinghe"): 0, ("fee", ""): 0}
SOLD = {("psp", "sandbox"): 4_500, ("escrow", ""): 0, ("supplier_pending", "xinghe"): 4_275, ("fee", ""): 225}
NOTHING = dict.fromkeys(SOLD, 0)


@pytest.fixture
def site(tmp_path):
    with shop_with_refunds(tmp_path) as built:
        yield built


def whats(refund):
    return [event["what"] for event in refund["events"]]


def test_26_silence_is_followed_by_questions_under_the_same_number(site):
    bought, refund_id = approved(site)
    site.desk.says = None
    carry_out(site)
    refund = read(site, refund_id)
    assert (refund["state"], refund["turn"], refund["trouble"]) == ("submitted", "channel", "no_answer")
    assert (site.world.order(bought).state, balances(site)) == (OrderState.DELIVERED, REVERSED)
    site.world.check()
    carry_out(site)
    assert read(site, refund_id)["version"] == refund["version"]  # not before its time
    # It comes back and knows of none: the same request is sent again, byte for byte; then it is only asked about.
    site.desk.says = "processing"
    later(site, seconds=61)
    assert read(site, refund_id)["state"] == "processing"
    later(site, minutes=3)
    assert read(site, refund_id)["trouble"] is None
    site.desk.ends()
    later(site, minutes=6)
    assert read(site, refund_id)["state"] == "succeeded"
    assert [sent["out_refund_no"] for sent in site.desk.requests] == [refund["out_refund_no"]]
    assert balances(site) == NOTHING


def test_26_a_request_that_arrived_before_the_silence_is_not_made_twice(site):
    bought, refund_id = approved(site)
    carry_out(site)
    [number] = site.desk.made
    with site.world.ctx.db.tx() as tx:  # as if the answer had not come back
        held = tx.get(Refund, refund_id)
        held.state, held.trouble = "submitted", "no_answer"
    site.desk.ends()
    later(site, seconds=61)
    assert read(site, refund_id)["state"] == "succeeded"
    assert (len(site.desk.requests), site.desk.asked) == (1, [number])
    assert site.world.order(bought).state == OrderState.REFUNDED


def test_27_abnormal_and_closed_are_put_before_people(site):
    _, refund_id = approved(site)
    carry_out(site)
    tell(site, refund_id, "abnormal", raw=b"first")
    tell(site, refund_id, "abnormal", raw=b"first")
    tell(site, refund_id, "processing", raw=b"late")  # what comes late does not undo it
    refund = read(site, refund_id, by="li")
    assert (refund["state"], refund["turn"], refund["trouble"], refund["actions"]) == (
        "abnormal",
        "shop",
        "abnormal",
        ["retry"],
    )
    assert stuck(site) == [(ExceptionKind.REFUND_STUCK, refund_id, True)]
    assert balances(site) == REVERSED
    site.world.check()
    # Somebody applied for it at the channel: the next answer is the last.
    site.desk.ends()
    retried = post(site, refund_id, "retry", "li")
    assert (retried["state"], retried["turn"]) == ("submitted", "channel")
    carry_out(site)
    assert read(site, refund_id)["state"] == "succeeded"
    assert [one[2] for one in stuck(site)] == [False]
    tell(site, refund_id, "closed", raw=b"much later")
    assert read(site, refund_id)["state"] == "succeeded"
    with site.world.ctx.db.read() as tx:
        assert len(tx.scalars(select(PaymentCallback.id)).all()) == 3


def test_27_a_refund_that_failed_restores_the_sale_and_may_be_made_anew(site):
    bought, refund_id = approved(site)
    carry_out(site)
    tell(site, refund_id, "failed")
    refund = read(site, refund_id)
    assert (refund["state"], refund["trouble"], balances(site)) == ("closed", "refused", SOLD)
    assert [kind for kind, _, is_open in stuck(site) if is_open] == [ExceptionKind.REFUND_STUCK]
    assert len(look(site, bought)) == 1  # and its buyer may see the key again
    site.world.check()
    again = start(site, bought).json()
    assert again["out_refund_no"] != refund["out_refund_no"]
    site.desk.says = "succeeded"
    carry_out(site)
    assert (read(site, again["id"])["state"], balances(site)) == ("succeeded", NOTHING)


def test_30_an_empty_purse_waits_for_a_top_up(site):
    _, refund_id = approved(site)
    site.desk.says = "NOT_ENOUGH_BALANCE"
    carry_out(site)
    refund = read(site, refund_id)
    assert (refund["state"], refund["trouble"]) == ("submitted", "not_enough_balance")
    assert [kind for kind, _, _ in stuck(site)] == [ExceptionKind.REFUND_STUCK]
    later(site, minutes=29)
    assert len(site.desk.requests) == 1
    site.desk.says = "succeeded"
    post(site, refund_id, "retry", "zhou")
    carry_out(site)
    assert (read(site, refund_id)["state"], balances(site)) == ("succeeded", NOTHING)
    assert {sent["out_refund_no"] for sent in site.desk.requests} == {refund["out_refund_no"]}
    assert [one[2] for one in stuck(site)] == [False]


def test_a_refusal_ends_it_when_the_channel_knows_of_none(site):
    _, refund_id = approved(site)
    site.desk.says = "AMOUNT_EXCEEDED"
    carry_out(site)
    refund = read(site, refund_id)
    assert (refund["state"], refund["trouble"], refund["events"][-1]["note"]) == (
        "closed",
        "refused",
        "AMOUNT_EXCEEDED",
    )
    assert (len(site.desk.asked), balances(site)) == (1, SOLD)
    assert [kind for kind, _, _ in stuck(site)] == [ExceptionKind.REFUND_STUCK]


def test_words_that_differ_change_nothing_and_are_shown(site):
    _, refund_id = approved(site)
    carry_out(site)
    for other in ({"amount_fen": 4_499}, {"out_trade_no": "another"}, {"merchant_id": "another"}):
        tell(site, refund_id, "succeeded", **other)
    refund = read(site, refund_id)
    assert (refund["state"], refund["trouble"], balances(site)) == ("processing", "differs", REVERSED)
    assert [kind for kind, _, _ in stuck(site)] == [ExceptionKind.REFUND_STUCK]
    # A notice that names only the sum of all refunds makes us ask about this one.
    site.desk.ends()
    tell(site, refund_id, "succeeded", amount_fen=None, refunded_total_fen=4_500)
    carry_out(site)
    assert (read(site, refund_id)["state"], balances(site)) == ("succeeded", NOTHING)


def test_31_a_refund_made_in_the_channels_own_console_is_kept_and_shown(site):
    site.world.stock("STEAM-50", 1)
    bought = site.world.buy(ANNA, "STEAM-50")
    fact = RefundFact(
        out_refund_no="console-1",
        refund_no="R9",
        out_trade_no=bought.attempt.out_trade_no,
        amount_fen=100,
        state="succeeded",
    )
    raw = RawCallback(hashlib.sha256(b"x").hexdigest(), b"{}", b"x")
    for _ in range(2):
        site.world.ctx.batch.call(RefundHeard("sandbox", MERCHANT, fact, raw))
    with site.world.ctx.db.read() as tx:
        [row] = tx.scalars(select(PaymentException)).all()
        assert len(tx.scalars(select(PaymentCallback)).all()) == 1
    assert (row.kind, row.order_code, row.received_fen) == ("unknown_refund", bought.order.code, 100)
    assert (balances(site), site.world.order(bought).refunded_fen) == (SOLD, 0)


def test_what_cannot_be_delivered_goes_back_by_itself(tmp_path):
    """The default policy is not a second person's work, whatever the amount."""
    with shop_with_refunds(tmp_path, refund_check_fen=0) as site:
        site.world.stock("STEAM-50", 1)
        late = site.world.place(ANNA, "STEAM-50")
        site.world.ctx.batch.call(EndUnpaid(late.order.id, OrderState.EXPIRED, (late.attempt.id,)))
        site.world.buy(BEN, "STEAM-50")
        site.world.apply(site.world.fact(late))
        assert site.world.order(late).state == OrderState.DELIVERY_FAILED
        site.desk.says = "succeeded"
        later(site, hours=1)
        [refund] = site.get("/api/refunds", by="zhou").json()["items"]
        assert (refund["cause"], refund["state"], whats(refund)) == (
            "no_stock",
            "succeeded",
            ["auto_approved", "submitted", "succeeded"],
        )
        assert (refund["lines"], refund["policy"]) == ([], None)
        assert (site.world.order(late).state, site.world.order(late).refunded_fen) == (OrderState.REFUNDED, 4_500)
        assert balances(site) == SOLD  # the other buyer's alone
        assert [one[2] for one in stuck(site)] == [False]
        site.world.check()


def test_21_money_that_came_twice_goes_back_from_suspense(site):
    site.world.stock("STEAM-50", 2)
    bought = site.world.buy(ANNA, "STEAM-50")
    site.world.apply(site.world.fact(bought, provider_no="S-second"))
    with site.world.ctx.db.read() as tx:
        [money] = tx.scalars(select(UnmatchedPayment)).all()
    assert (money.state, balances(site)["suspense", ""]) == ("held", 4_500)
    site.desk.says = "NOT_FOUND"
    later(site, hours=1)
    [refund] = site.get("/api/refunds", by="zhou").json()["items"]
    assert (refund["cause"], refund["state"], refund["trouble"]) == ("paid_twice", "closed", "refused")
    with site.world.ctx.db.read() as tx:
        money = tx.get(UnmatchedPayment, money.id)
        assert money.state == "held"
    # Its exception is open again, and one says that the refund is stuck.
    assert [one[2] for one in stuck(site)] == [True, True]
    two = {name: f"staff:{site.world.users[name]}" for name in ("li", "zhou")}
    with site.world.ctx.db.tx() as tx:
        money = tx.get(UnmatchedPayment, money.id)
        again, same = (
            actions.start(
                tx,
                cause=RefundCause.PAID_TWICE,
                source=money,
                reason="再退一次",
                actor=two["li"],
                checked_by=two["zhou"],
            )
            for _ in range(2)
        )
        assert again.id == same.id
    site.desk.says = "succeeded"
    carry_out(site)
    assert read(site, again.id)["state"] == "succeeded"
    assert balances(site) == SOLD | {("suspense", ""): 0}
    order = site.world.order(bought)
    assert (order.state, order.refunded_fen) == (OrderState.DELIVERED, 0)
    with site.world.ctx.db.read() as tx:
        assert tx.get(UnmatchedPayment, money.id).state == "returned"


@pytest.fixture
def by_wechat(tmp_path):
    """A shop whose channel is called WeChat Pay, with an order of three that its buyer has seen.

    It refunds for as long as the shop's contract says.
    """
    with shop_with_refunds(tmp_path, channels=("wechat",), refund_days="wechat=30") as site:
        site.world.stock("MUSIC-30", 3)
        site.bought = site.world.ctx.batch.call(PlaceOrder(CARA, "key-of-cara", "MUSIC-30", 3, 3_750, "wechat"))
        site.world.apply(site.world.fact(site.bought, channel="wechat"))
        look(site, site.bought, CARA)
        site.desk.says = "succeeded"
        yield site


def give_back(site, **portion):
    answer = start(site, site.bought, **portion)
    return answer.json() | {"status": answer.status_code}


def test_28_two_refunds_of_one_wechat_payment_are_a_minute_apart(by_wechat):
    site = by_wechat
    first = give_back(site, quantity=1)["id"]
    carry_out(site)
    second = give_back(site, quantity=1)["id"]
    carry_out(site)
    waiting = read(site, second)
    assert (read(site, first)["state"], waiting["state"], waiting["trouble"]) == ("succeeded", "approved", "too_soon")
    assert len(site.desk.requests) == 1
    site.world.check()
    site.desk.says = None
    later(site, seconds=61)
    assert read(site, second)["trouble"] == "no_answer"
    with site.world.ctx.db.tx() as tx:  # as if money of the same payment that was set aside had gone back meanwhile
        tx.get(Refund, UUID(first)).submitted_at = clock.now() + timedelta(seconds=120)
    site.desk.says = "succeeded"
    later(site, seconds=122)
    early = read(site, second)  # it never came there, and must wait: nothing differs
    assert (early["state"], early["trouble"], stuck(site)) == ("submitted", "too_soon", [])
    later(site, seconds=190)
    assert read(site, second)["state"] == "succeeded"
    assert [sent["amount_fen"] for sent in site.desk.requests] == [1_250, 1_250]


def test_the_channels_limits_hold_before_it_is_asked(by_wechat, monkeypatch):
    site = by_wechat
    monkeypatch.setitem(rules.LIMITS, "wechat", rules.ChannelLimits(most=1))
    give_back(site, quantity=1)
    carry_out(site)
    refused = give_back(site, quantity=1)
    assert (refused["status"], refused["code"], refused["params"]) == (409, "too_many_refunds", {"most": 1})
    monkeypatch.undo()
    waiting = give_back(site, quantity=1)["id"]

    def offered():
        with site.world.ctx.db.read() as tx:
            return len(asking.offers(tx, site.world.order(site.bought)))

    with clock.fixed(clock.now() + timedelta(days=29)):
        assert offered() == 1
    with clock.fixed(clock.now() + timedelta(days=30)):
        carry_out(site)
        assert offered() == 0
        wish = asking.Wish(order_id=site.bought.order.id, reason=RefundReason.USED)
        with site.world.ctx.db.tx() as tx, pytest.raises(rules.RefundTooLate) as refusal:
            asking.ask(tx, site.world.ctx.keys, wish, actor="buyer")
    assert refusal.value.params == {"days": 30}
    late = read(site, waiting)
    assert (late["state"], late["trouble"], len(site.desk.requests)) == ("closed", "too_late", 1)


def test_money_that_came_twice_does_not_answer_for_the_orders_own(tmp_path):
    """One attempt, paid late and paid again: what goes back of the one is no refund of the other."""
    with shop_with_refunds(tmp_path, refund_after_minutes=60) as site:
        site.world.stock("STEAM-50", 1)
        late = site.world.place(ANNA, "STEAM-50")
        site.world.ctx.batch.call(EndUnpaid(late.order.id, OrderState.EXPIRED, (late.attempt.id,)))
        site.world.buy(BEN, "STEAM-50")
        site.world.apply(site.world.fact(late))
        site.world.apply(site.world.fact(late, provider_no="S-second"))
        [own, second] = site.get("/api/exceptions", by="li").json()["items"]
        assert (own["kind"], second["kind"]) == ("paid_after_expiry", "paid_twice")
        body = {"action": "refund", "note": "没有货", "version": own["version"]}
        own = site.post(f"/api/exceptions/{own['id']}/propose", by="li", json=body).json()
        site.desk.says = "succeeded"
        later(site, minutes=61)  # the second money goes back by itself
        assert [refund["cause"] for refund in site.get("/api/refunds", by="zhou").json()["items"]] == ["paid_twice"]
        body = {"approved": True, "version": own["version"]}
        own = site.post(f"/api/exceptions/{own['id']}/approve", by="zhou", json=body).json()
        assert own["state"] == "working"
        site.world.check()
        carry_out(site)
        assert [sent["amount_fen"] for sent in site.desk.requests] == [4_500, 4_500]
        assert site.get("/api/exceptions", by="li").json()["items"] == []
        assert (site.world.order(late).state, site.world.order(late).refunded_fen) == (OrderState.REFUNDED, 4_500)
        assert balances(site) == SOLD | {("suspense", ""): 0}  # the other buyer's alone
        site.world.check()
