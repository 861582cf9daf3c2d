"""Refunds that the shop made in the channel's own console: recorded by two people, once, and the books close."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from server.changes import ChangeInbox
from server.gateways.port import RefundFact
from server.payments.callbacks import RawCallback
from server.payments.ending import EndUnpaid
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.model import Refund
from shared import clock
from shared.states import OrderState
from tests.server.refunding import ask, balances, carry_out, look, policy, read, shop_with_refunds, start, story, units
from tests.world import ANNA, BEN, MERCHANT

WEEK = 7 * 24 * 60
SOLD = {("psp", "sandbox"): 4_500, ("escrow", ""): 0, ("supplier_pending", "xinghe"): 4_275, ("fee", ""): 225}
NOTHING = dict.fromkeys(SOLD, 0)


@pytest.fixture
def site(tmp_path):
    """A shop where people have a week before money goes back by itself."""
    with shop_with_refunds(tmp_path, refund_after_minutes=WEEK) as built:
        policy(built, "STEAM-50", "before_view")
        built.world.stock("STEAM-50", 3)
        yield built


def listed(site, **query):
    return site.get("/api/exceptions", by="li", params=query).json()["items"]


def say(site, one, action, *, by="li", **more):
    body = {"action": action, "note": "已在商户平台退回", "version": one["version"], **more}
    return site.post(f"/api/exceptions/{one['id']}/propose", by=by, json=body)


def approve(site, one, *, by="zhou"):
    return site.post(f"/api/exceptions/{one['id']}/approve", by=by, json={"approved": True, "version": one["version"]})


def problem(answer):
    return answer.status_code, answer.json()["code"]


def record(site, one, number):
    """Two people record it; the answer to the second one."""
    proposed = say(site, one, "record", provider_no=number)
    assert proposed.status_code == 200, proposed.text
    return approve(site, proposed.json())


def told(site, payment_no, refund_no, amount, state="succeeded"):
    """The channel tells of a refund that is not ours."""
    fact = RefundFact(f"console-{refund_no}", refund_no, payment_no, amount, state)
    raw = f"{refund_no} {state}".encode()
    site.world.ctx.batch.call(
        RefundHeard("sandbox", MERCHANT, fact, RawCallback(hashlib.sha256(raw).hexdigest(), b"{}", raw))
    )


def unsold(site):
    """An order of all three that was paid late, when they were gone."""
    shop = site.world
    late = shop.place(ANNA, "STEAM-50", 3)
    shop.ctx.batch.call(EndUnpaid(late.order.id, OrderState.EXPIRED, (late.attempt.id,)))
    bought = shop.buy(BEN, "STEAM-50", 3)
    shop.apply(shop.fact(late))
    return late, bought


def test_money_that_went_back_by_hand_is_recorded_once_and_the_books_close(site):
    late, bought = unsold(site)
    shop = site.world
    [one] = listed(site)
    assert one["actions"] == ["deliver", "refund", "record"]
    for missing in ({}, {"provider_no": "R 1"}, {"provider_no": "R1"}, {"provider_no": "R" * 65}):
        assert say(site, one, "record", **missing).status_code == 422
    assert listed(site) == [one]
    proposed = say(site, one, "record", provider_no="50300-A").json()
    assert (proposed["state"], proposed["action_provider_no"]) == ("proposed", "50300-A")
    assert problem(approve(site, proposed, by="li")) == (409, "proposed_by_you")
    assert shop.order(late).state == OrderState.DELIVERY_FAILED
    done = approve(site, proposed).json()
    assert (done["state"], done["closed_by"], done["action_provider_no"]) == ("closed", "周洁", "50300-A")
    refund = read(site, done["refund_id"], by="zhou")
    assert (refund["state"], refund["amount_fen"], refund["cause"]) == ("succeeded", 13_500, "no_stock")
    assert [(step["what"], step["actor"]) for step in refund["events"]] == [
        ("started", "李航"),
        ("recorded", "周洁"),
        ("succeeded", "周洁"),
    ]
    [told_buyer] = story(site, late)
    assert [(step.what, step.note) for step in told_buyer.steps] == [
        ("started", ""),
        ("recorded", ""),
        ("succeeded", ""),
    ]
    assert (shop.order(late).state, shop.order(late).refunded_fen) == (OrderState.REFUNDED, 13_500)
    assert balances(site) == {key: 3 * fen for key, fen in SOLD.items()}, "the other buyer's alone"
    assert (approve(site, proposed).status_code, listed(site)) == (409, [])
    with shop.ctx.db.read() as tx:
        assert tx.scalars(select(Refund.checked_by)).one() == f"staff:{shop.users['zhou']}"
        assert tx.scalar(select(func.count()).where(ChangeInbox.entity == "exception")) >= 3
    # The channel tells of it too: it is known. Of another one it is not.
    told(site, shop.attempt(late).out_trade_no, "50300-A", 13_500)
    assert listed(site) == []
    # The same number twice is a slip of the pen.
    shop.apply(shop.fact(bought, provider_no="S-second"))
    [twice] = listed(site)
    assert twice["actions"] == ["refund", "record"]
    refused = record(site, twice, "50300-A")
    assert problem(refused) == (409, "refund_recorded")
    assert "50300-A" in refused.json()["detail"]
    assert balances(site)["suspense", ""] == 13_500
    [waiting] = listed(site)
    back = site.post(
        f"/api/exceptions/{one['id']}/approve", by="zhou", json={"approved": False, "version": waiting["version"]}
    )
    assert back.status_code == 409, "that one is closed"
    body = {"approved": False, "version": waiting["version"]}
    reopened = site.post(f"/api/exceptions/{waiting['id']}/approve", by="zhou", json=body).json()
    assert (reopened["action_provider_no"], reopened["note"]) == (None, None)
    assert record(site, reopened, "50300-B").json()["state"] == "closed"
    assert (balances(site)["suspense", ""], shop.order(bought).state) == (0, OrderState.DELIVERED)
    carry_out(site)
    assert (site.desk.requests, listed(site)) == ([], []), "no channel was asked for anything"
    shop.check()


def test_a_refund_no_channel_takes_is_recorded_with_its_units_and_never_asked_about_again(site):
    bought = site.world.buy(ANNA, "STEAM-50")
    site.desk.says = "PRODUCT_NOT_OFFERED"
    ask(site, bought, "unwanted")
    carry_out(site)
    [one] = listed(site)
    assert (one["kind"], one["actions"]) == ("refund_stuck", ["record"])
    assert look(site, bought) == [], "what goes back is not shown meanwhile"
    waiting = read(site, one["refund_id"])
    assert (waiting["state"], waiting["turn"], waiting["trouble"]) == ("submitted", "shop", "not_offered")
    refused = say(site, one, "ask_again")
    assert problem(refused) == (409, "action_not_possible")
    assert refused.json()["detail"] == "现在不能对这条异常执行“再次查询”（当前“待处理”）。"
    assert (balances(site)["escrow", ""], site.world.order(bought).state) == (4_500, OrderState.DELIVERED)
    proposed = say(site, one, "record", provider_no="R-by-hand").json()
    with clock.fixed(clock.now() + timedelta(minutes=31)):
        carry_out(site)  # it is tried again, should the shop be allowed to meanwhile, and disturbs nobody
        [still] = listed(site)
    assert still == proposed
    done = approve(site, still).json()
    assert (done["state"], listed(site)) == ("closed", [])
    assert (site.world.order(bought).state, balances(site)) == (OrderState.REFUNDED, NOTHING)
    assert (units(site, bought), site.world.level("STEAM-50").free) == (({}, [], []), 3), "nobody had seen the key"
    site.world.check()


def test_what_got_on_while_its_record_waited_is_not_recorded(site):
    """The shop may refund there from now on, and does: what somebody has proposed meanwhile would pay twice."""
    bought = site.world.buy(ANNA, "STEAM-50")
    site.desk.says = "PRODUCT_NOT_OFFERED"
    refund_id = ask(site, bought, "unwanted")
    carry_out(site)
    [one] = listed(site)
    proposed = say(site, one, "record", provider_no="R-by-hand").json()
    site.desk.says = "processing"
    with clock.fixed(clock.now() + timedelta(minutes=31)):
        carry_out(site)
    refund = read(site, refund_id)
    assert (refund["state"], refund["turn"], refund["trouble"]) == ("processing", "channel", None)
    assert problem(approve(site, proposed)) == (409, "action_not_possible")
    site.desk.ends()
    with clock.fixed(clock.now() + timedelta(hours=2)):
        carry_out(site)
    assert (read(site, refund_id)["state"], listed(site), balances(site)) == ("succeeded", [], NOTHING)
    # One that was recorded, and that the channel makes as well, is told: the money went back twice.
    other = site.world.buy(BEN, "STEAM-50")
    site.desk.says = "PRODUCT_NOT_OFFERED"
    refund_id = start(site, other).json()["id"]
    carry_out(site)
    assert record(site, listed(site)[0], "R-by-hand").json()["state"] == "closed"
    number = read(site, refund_id)["out_refund_no"]
    for refund_no in ("R-by-hand", "R-of-channel"):
        fact = RefundFact(number, refund_no, other.attempt.out_trade_no, 4_500, "succeeded")
        site.world.ctx.batch.call(RefundHeard("sandbox", MERCHANT, fact))
    [alarm] = listed(site)
    assert (alarm["kind"], alarm["refund_id"], alarm["actions"]) == ("refund_stuck", refund_id, ["dismiss"])
    site.world.check()


def test_a_refund_that_failed_is_made_anew_from_its_exception_which_closes_with_it(site):
    shop = site.world
    bought = shop.buy(ANNA, "STEAM-50")
    shop.apply(shop.fact(bought, provider_no="S-second"))
    site.desk.says = "AMOUNT_EXCEEDED"
    refund_id = start(site, bought).json()["id"]
    [twice] = listed(site)
    assert approve(site, say(site, twice, "refund").json()).status_code == 200
    carry_out(site)
    site.desk.says = "succeeded"
    stuck = [one for one in listed(site) if one["kind"] == "refund_stuck"]
    assert sorted(one["actions"] for one in stuck) == [["dismiss"], ["refund", "record", "dismiss"]]
    [mine] = [one for one in stuck if one["refund_id"] == refund_id]
    again = approve(site, say(site, mine, "refund").json()).json()
    assert (again["state"], again["refund_id"] != refund_id) == ("working", True)
    [money] = [one for one in listed(site) if one["kind"] == "paid_twice"]
    assert approve(site, say(site, money, "refund").json()).json()["state"] == "working"
    carry_out(site)
    assert listed(site) == [], "also the one whose money had an exception of its own"
    assert (shop.order(bought).state, balances(site)) == (OrderState.REFUNDED, NOTHING | {("suspense", ""): 0})
    shop.check()


def test_what_a_channel_says_it_has_paid_after_all_is_not_paid_again(site):
    bought = site.world.buy(ANNA, "STEAM-50")
    refund_id = ask(site, bought, "unwanted")
    carry_out(site)
    number = read(site, refund_id)["out_refund_no"]
    made = site.desk.made[number]

    def says(state):
        fact = RefundFact(number, made["refund_no"], made["out_trade_no"], 4_500, state)
        site.world.ctx.batch.call(RefundHeard("sandbox", MERCHANT, fact))

    says("failed")
    says("succeeded")
    assert problem(start(site, bought)) == (409, "has_exception")
    one = listed(site)[-1]
    assert one["actions"] == ["record", "dismiss"]
    assert record(site, one, made["refund_no"]).json()["state"] == "closed"
    assert (listed(site), site.world.order(bought).state, balances(site)) == ([], OrderState.REFUNDED, NOTHING)
    assert len(site.desk.requests) == 1
    site.world.check()


def test_a_refund_that_nobody_knew_is_linked_to_its_order(site):
    shop = site.world
    bought = shop.buy(ANNA, "STEAM-50", 2)
    told(site, bought.attempt.out_trade_no, "RC-9", 1_000, "processing")
    told(site, bought.attempt.out_trade_no, "RC-10", 9_000)
    small, large = listed(site)
    assert (small["actions"], small["received_fen"]) == (["record", "dismiss"], 1_000)
    assert record(site, small, "RC-9").json()["state"] == "closed"
    order = shop.order(bought)
    assert (order.state, order.refunded_fen, order.amount_fen) == (OrderState.PARTIALLY_REFUNDED, 1_000, 9_000)
    assert problem(record(site, large, "RC-10")) == (422, "bad_field"), "more than is left"
    assert balances(site)["psp", "sandbox"] == 8_000
    # Nothing is linked to an order that was not paid with that money.
    open_one = shop.place(BEN, "STEAM-50")
    told(site, open_one.attempt.out_trade_no, "RC-11", 4_500)
    told(site, "NOT-OURS-000001", "RC-12", 4_500)
    assert [one["actions"] for one in listed(site)[1:]] == [["dismiss"], ["dismiss"]]
    shop.check()
