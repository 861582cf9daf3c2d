"""Refunds that the shop made in the channel's own console: recorded by two people, once, and the books close."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from server.changes import ChangeInbox
from server.gateways import alipay_wire
from server.gateways.port import RefundFact
from server.payments.callbacks import RawCallback
from server.payments.ending import EndUnpaid
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.model import Refund
from shared import clock
from shared.states import OrderState
from tests.server.refunding import (
    ask,
    balances,
    carry_out,
    look,
    policy,
    read,
    shop_with_refunds,
    start,
    story,
    tell,
    units,
)
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
    """The channel tells of a refund that is not ours, and says the same when it is asked."""
    fact = RefundFact(f"console {refund_no}", refund_no, payment_no, amount, state)
    site.desk.knows(fact)
    raw = f"{refund_no} {state} {amount}".encode()
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
    assert refused.json()["detail"] == "现在不能对这条异常执行“再次查询”：可以“登记渠道退款”。"
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


def test_a_refund_that_nobody_knew_is_linked_to_its_order(site):
    shop = site.world
    bought = shop.buy(ANNA, "STEAM-50", 2)
    told(site, bought.attempt.out_trade_no, "RC-9", 1_000, "processing")
    told(site, bought.attempt.out_trade_no, "RC-10", 9_000)
    small, large = listed(site)
    assert (small["actions"], small["received_fen"]) == (["record", "dismiss"], 1_000)
    made = site.desk.made["console%20RC-9"]
    proposed, before = say(site, small, "record", provider_no="RC-9").json(), balances(site)
    for other in ({"amount_fen": 999}, {"refund_no": "RC-6"}, {"state": "failed"}, {"out_trade_no": "OTHER-01"}):
        site.desk.made["console%20RC-9"] = made | other
        assert problem(approve(site, proposed)) == (409, "channel_answered"), "its word counts"
    del site.desk.made["console%20RC-9"]
    assert approve(site, proposed).json()["params"]["answer"] == "NOT_FOUND"
    assert (balances(site), len(site.desk.asked)) == (before, 5)
    site.desk.refuses = "SYSTEM_ERROR"
    assert approve(site, proposed).json()["state"] == "closed", "where it says nothing two people's word does"
    order = shop.order(bought)
    assert (order.state, order.refunded_fen, order.amount_fen) == (OrderState.PARTIALLY_REFUNDED, 1_000, 9_000)
    assert problem(record(site, large, "RC-10")) == (422, "more_than_left")
    assert balances(site)["psp", "sandbox"] == 8_000
    # Nothing is linked to an order that was not paid with that money.
    open_one = shop.place(BEN, "STEAM-50")
    told(site, open_one.attempt.out_trade_no, "RC-11", 4_500)
    told(site, "NOT-OURS-000001", "RC-12", 4_500)
    assert [one["actions"] for one in listed(site)[1:]] == [["dismiss"], ["dismiss"]]


def test_a_recorded_refund_that_the_channel_did_not_make_after_all_is_shown(site):
    """It was recorded while the channel worked on it, or with the words of another; the books stand."""
    shop = site.world
    bought = shop.buy(ANNA, "STEAM-50", 2)
    number = bought.attempt.out_trade_no
    told(site, number, "RC-1", 1_000, "processing")
    assert record(site, listed(site)[0], "RC-1").json()["state"] == "closed"
    told(site, number, "RC-1", 1_000)
    assert listed(site) == [], "it says the same"
    [made] = site.get("/api/refunds", by="zhou").json()["items"]
    before = shop.order(bought).refunded_fen, balances(site)
    for state in ("abnormal", "abnormal", "closed"):
        told(site, number, "RC-1", 1_000, state)
    [alarm] = listed(site)
    facts = {fact["name"]: fact["value"] for fact in alarm["evidence"]}
    assert (alarm["kind"], alarm["refund_id"], alarm["actions"]) == ("refund_stuck", made["id"], ["record", "dismiss"])
    assert (facts["trouble"], facts["said"], alarm["provider_no"]) == ("differs", "closed", "RC-1")
    assert say(site, alarm, "dismiss").json()["state"] == "closed"
    told(site, number, "RC-1", 900)
    [other] = listed(site)
    assert other["evidence"][2] == {"name": "said", "value": "900"}
    assert say(site, other, "dismiss").json()["state"] == "closed"
    # Of a refund that nobody recorded, only what gives money back can be; each change is before people, once.
    for state, actions, fen in (
        ("abnormal", ["dismiss"], None),
        ("abnormal", ["dismiss"], None),
        ("succeeded", ["record", "dismiss"], 500),
        ("processing", ["record", "dismiss"], 500),
        ("closed", ["dismiss"], None),
    ):
        told(site, number, "RC-2", 500, state)
        [one] = listed(site)
        assert (one["kind"], one["actions"], one["received_fen"]) == ("unknown_refund", actions, fen), state
    assert len(listed(site, kind="unknown_refund", open="false")) == 4, "the recorded one, and three"
    assert (shop.order(bought).refunded_fen, balances(site)) == before


def summed(site, bought, total, name, *, after=0):
    """Alipay tells of a refund made in its console, so many seconds from now, by the sum of all."""
    at = (clock.now() + timedelta(seconds=after)).astimezone(clock.SHOP_ZONE)
    attempt = site.world.attempt(bought)
    fact = alipay_wire.Notice(
        notify_id=f"N-{name}",
        app_id="2021000000000000",
        seller_id=MERCHANT,
        out_trade_no=attempt.out_trade_no,
        trade_no=attempt.provider_no,
        trade_status="TRADE_SUCCESS",
        total_amount=f"{attempt.amount_fen / 100:.2f}",
        gmt_payment=at.strftime("%Y-%m-%d %H:%M:%S"),
        gmt_refund=at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        refund_fee=f"{total / 100:.2f}",
        out_biz_no=name,
    ).fact()
    assert (fact.amount_fen, fact.refunded_total_fen, fact.refund_no) == (None, total, attempt.provider_no)
    raw = f"{name} {total}".encode()
    kept = RawCallback(hashlib.sha256(raw).hexdigest(), b"{}", raw)
    site.world.ctx.batch.call(RefundHeard("sandbox", MERCHANT, fact, kept))


def unknown(site):
    return [(one["received_fen"], one["actions"]) for one in listed(site)]


def paid_back(site, bought):
    """What the order counts as given back, and how much of its money the channel still has."""
    return site.world.order(bought).refunded_fen, balances(site)["psp", "sandbox"]


BOTH = ["record", "dismiss"]


def test_of_a_sum_that_a_channel_tells_only_what_is_not_booked_is_recorded(site):
    """Ours is done there and we have not heard of it, when somebody refunds in the console: 20 + 10 is told as 30."""
    bought = site.world.buy(ANNA, "STEAM-50", 2)
    ours = start(site, bought, amount_fen=2_000).json()["id"]
    carry_out(site)
    summed(site, bought, 3_000, "X1", after=60)
    assert unknown(site) == [(3_000, BOTH)]
    number = site.world.attempt(bought).provider_no
    assert problem(record(site, listed(site)[0], number)) == (409, "refund_under_way")
    assert paid_back(site, bought) == (0, 9_000)
    [seen] = listed(site)
    tell(site, ours, "succeeded", refunded_at=clock.now())
    [now] = listed(site)
    assert (now["state"], now["received_fen"], paid_back(site, bought)) == ("proposed", 1_000, (2_000, 7_000))
    assert problem(approve(site, seen)) == (409, "exception_changed")
    assert approve(site, now).json()["state"] == "closed"
    assert (listed(site), paid_back(site, bought)) == ([], (3_000, 6_000))
    summed(site, bought, 3_000, "X1-again", after=60)
    assert listed(site) == [], "it is in the books"
    # One of ours that was made there only after the sum was told is not in it.
    summed(site, bought, 3_500, "X2", after=90)
    ours = start(site, bought, amount_fen=2_000).json()["id"]
    carry_out(site)
    tell(site, ours, "succeeded", refunded_at=clock.now() + timedelta(seconds=120))
    assert (unknown(site), paid_back(site, bought)) == ([(500, BOTH)], (5_000, 4_000))
    summed(site, bought, 5_500, "X2-told-last", after=150)
    assert unknown(site) == [(500, BOTH), (500, BOTH)]
    assert record(site, listed(site)[0], number).json()["state"] == "closed"
    assert (listed(site), paid_back(site, bought)) == ([], (5_500, 3_500)), "both sums are explained by it"


@pytest.mark.parametrize("first", [0, 1])
def test_two_refunds_of_a_console_that_tells_sums_are_both_booked(site, first):
    bought = site.world.buy(ANNA, "STEAM-50", 2)
    number = site.world.attempt(bought).provider_no
    summed(site, bought, 1_000, "X1")
    summed(site, bought, 3_000, "X2", after=1)
    assert unknown(site) == [(1_000, BOTH), (3_000, BOTH)]
    assert record(site, listed(site)[first], number).json()["state"] == "closed"
    if first == 0:
        assert (unknown(site), paid_back(site, bought)) == ([(2_000, BOTH)], (1_000, 8_000))
        assert record(site, listed(site)[0], number).json()["state"] == "closed"
    assert (listed(site), paid_back(site, bought)) == ([], (3_000, 6_000))
    # A third one without a number of its own, told late: one of ours was made since, and heard of before.
    ours = start(site, bought, amount_fen=4_000).json()["id"]
    carry_out(site)
    tell(site, ours, "succeeded", refunded_at=clock.now() + timedelta(seconds=60))
    summed(site, bought, 3_500, "", after=2)
    assert unknown(site) == [(500, BOTH)]
    assert record(site, listed(site)[0], number).json()["state"] == "closed"
    assert (listed(site), paid_back(site, bought)) == ([], (7_500, 1_500))


def test_what_was_made_by_hand_and_recorded_is_in_every_sum(site):
    bought = site.world.buy(ANNA, "STEAM-50")
    site.desk.says = "PRODUCT_NOT_OFFERED"
    start(site, bought, amount_fen=1_000)
    carry_out(site)
    assert record(site, listed(site)[0], site.world.attempt(bought).provider_no).json()["state"] == "closed"
    summed(site, bought, 1_000, "X1", after=-60)
    assert (listed(site), paid_back(site, bought)) == ([], (1_000, 3_500))


def test_another_refund_of_the_same_line_is_owed_besides(site):
    """One failed, one was for something else: only what is made for it, or takes its units, ends its exception."""
    shop = site.world
    bought = shop.buy(ANNA, "STEAM-50", 2)
    site.desk.says = "AMOUNT_EXCEEDED"
    failed = start(site, bought, amount_fen=1_000).json()["id"]
    carry_out(site)
    site.desk.says = "succeeded"
    start(site, bought, amount_fen=1_000)
    carry_out(site)
    [owed] = listed(site)
    assert (owed["kind"], owed["refund_id"], owed["state"]) == ("refund_stuck", failed, "open")
    assert paid_back(site, bought) == (1_000, 8_000)
    # Made anew, which fails as well; and once more from there: then both are over.
    site.desk.says = "AMOUNT_EXCEEDED"
    assert approve(site, say(site, owed, "refund").json()).json()["state"] == "working"
    carry_out(site)
    again = [one for one in listed(site) if one["refund_id"] != failed]
    assert [one["state"] for one in again] == ["open"]
    site.desk.says = "succeeded"
    assert approve(site, say(site, again[0], "refund").json()).json()["state"] == "working"
    carry_out(site)
    assert (listed(site), paid_back(site, bought)) == ([], (2_000, 7_000))
    # Of two that fail, neither is owed any more once the buyer has got all back.
    site.desk.says = "AMOUNT_EXCEEDED"
    for fen in (500, 700):
        start(site, bought, amount_fen=fen)
        carry_out(site)
    assert [one["expected_fen"] for one in listed(site)] == [500, 700]
    site.desk.says = "succeeded"
    start(site, bought)
    carry_out(site)
    assert (listed(site), shop.order(bought).state) == ([], OrderState.REFUNDED)
    assert balances(site)["psp", "sandbox"] == 0


def test_an_abnormal_refund_is_given_back_by_hand_unless_the_channel_has_made_it_meanwhile(site):
    """Its buyer's card is closed: the shop takes the money over and transfers it, and says so with that number."""
    bought, other = site.world.buy(ANNA, "STEAM-50"), site.world.buy(BEN, "STEAM-50")
    for one, buyer in ((bought, ANNA), (other, BEN)):
        look(site, one, buyer)
    ids = [start(site, one).json()["id"] for one in (bought, other)]
    carry_out(site)
    its_own = [site.desk.made[read(site, one)["out_refund_no"]]["refund_no"] for one in ids]
    for one, number in zip(ids, its_own, strict=True):
        tell(site, one, "abnormal", refund_no=number)
    by_refund = {one["refund_id"]: one for one in listed(site)}
    assert [by_refund[one]["actions"] for one in ids] == [["ask_again", "record"]] * 2
    assert [read(site, one)["state"] for one in ids] == ["abnormal"] * 2
    refused = say(site, by_refund[ids[0]], "dismiss")
    assert refused.json()["detail"] == "现在不能对这条异常执行“关闭”：可以“再次查询”“登记渠道退款”。"
    refused = say(site, by_refund[ids[0]], "record", provider_no=its_own[0])
    assert (problem(refused), "自己的单号" in refused.json()["detail"]) == ((422, "bad_field"), True)
    proposed = [say(site, by_refund[one], "record", provider_no=f"BANK-{n}").json() for n, one in enumerate(ids)]
    asked, site.desk.refuses = len(site.desk.asked), "SYSTEM_ERROR"  # a channel that is silent stands in nobody's way
    assert problem(approve(site, proposed[0], by="li")) == (409, "proposed_by_you")
    assert (len(site.desk.asked), read(site, ids[0])["state"]) == (asked, "abnormal")
    assert approve(site, proposed[0]).json()["state"] == "closed"
    done = read(site, ids[0])
    assert (len(site.desk.asked), done["state"]) == (asked + 1, "succeeded")
    said = [(step["what"], step["actor"], step["note"]) for step in done["events"]][-3:]
    assert said == [("abnormal", said[0][1], ""), ("recorded", "周洁", "BANK-0"), ("succeeded", "周洁", "")]
    assert (site.world.order(bought).state, balances(site)["escrow", ""]) == (OrderState.REFUNDED, 4_500)
    # The other one was sent to another card in the channel's console: that counts, and nothing is booked by hand.
    site.desk.refuses = None
    still = approve(site, proposed[1])
    assert (problem(still), "（processing）" in still.json()["detail"]) == ((409, "channel_answered"), True)
    site.desk.ends()
    answered = approve(site, proposed[1])
    assert (problem(answered), "（succeeded）" in answered.json()["detail"]) == ((409, "channel_answered"), True)
    assert (read(site, ids[1])["state"], listed(site), balances(site)) == ("succeeded", [], NOTHING)
    assert "recorded" not in [step["what"] for step in read(site, ids[1])["events"]]
    # What was given back by hand arrives by the channel too: that is told.
    number = done["out_refund_no"]
    fact = RefundFact(number, "R-of-channel", bought.attempt.out_trade_no, 4_500, "succeeded")
    site.world.ctx.batch.call(RefundHeard("sandbox", MERCHANT, fact))
    assert [(one["kind"], one["refund_id"]) for one in listed(site)] == [("refund_stuck", ids[0])]
