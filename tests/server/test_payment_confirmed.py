"""Where a channel tells nothing: people ask it about an order, find its money, and two of them confirm it by hand."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from server.audit import AuditEvent
from server.identity.model import User
from server.ledger import queries as ledger
from server.ledger.model import LedgerJournal
from server.orders import actions as orders
from server.orders.model import Order
from server.payments import bills, checkout
from server.payments.actions import Outcome
from server.payments.ending import EndUnpaid
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds.model import Refund
from shared import clock, ids
from shared.states import FoundBy, OrderState
from tests.server.till import Till, bill_of, site_with
from tests.world import ANNA, BEN, CARA, WITH_FEES

WEEK = 7 * 24 * 60
SEEN = {"channel": "sandbox", "provider_no": "P-console", "amount_fen": 4_500, "note": "商户后台可见到账"}


@pytest.fixture
def site(tmp_path):
    """A shop with a channel whose word counts, and where people have a week before the default policy acts."""
    till = Till("sandbox")
    with site_with(tmp_path, till, refund_after_minutes=WEEK, **WITH_FEES) as built:
        built.till = till
        built.world.stock("STEAM-50", 3)
        yield built


def listed(site, **query):
    return site.get("/api/exceptions", by="li", params=query).json()["items"]


def confirm(site, placed, *, by="li", **other):
    return site.post(f"/api/orders/{placed.order.code}/confirm", by=by, json=SEEN | other)


def approve(site, one, *, by="zhou", approved=True):
    body = {"approved": approved, "version": one["version"]}
    return site.post(f"/api/exceptions/{one['id']}/approve", by=by, json=body)


def problem(answer):
    return answer.status_code, answer.json()["code"]


def expired(site, placed):
    site.world.ctx.batch.call(EndUnpaid(placed.order.id, OrderState.EXPIRED, (placed.attempt.id,)))
    return placed


def test_two_people_confirm_what_the_channel_cannot_say_and_its_word_later_changes_nothing(site):
    shop = site.world
    placed = expired(site, shop.place(ANNA, "STEAM-50"))
    site.till.silent = True
    assert problem(confirm(site, placed, amount_fen=4_501)) == (422, "bad_field")
    for ours in (placed.attempt.out_trade_no, ids.new_id().hex):
        assert problem(confirm(site, placed, provider_no=ours)) == (422, "bad_field")
        assert "这是商户订单号" in confirm(site, placed, provider_no=ours).json()["detail"]
    assert problem(confirm(site, placed, channel="wechat")) == (422, "bad_field")
    assert problem(confirm(site, placed, provider_no="no blanks here")) == (422, "bad_field")
    assert problem(confirm(site, placed, by="chen")) == (403, "not_allowed")
    assert (listed(site), shop.order(placed).state) == ([], OrderState.EXPIRED), "what is refused leaves nothing"
    one = confirm(site, placed).json()
    assert (one["kind"], one["state"], one["action"]) == ("payment_unknown", "proposed", "confirm")
    assert (one["action_provider_no"], one["expected_fen"], one["proposed_by"]) == ("P-console", 4_500, "李航")
    assert problem(confirm(site, placed, by="wang")) == (409, "action_not_possible"), "one proposal at a time"
    assert problem(approve(site, one, by="li")) == (409, "proposed_by_you")
    done = approve(site, one).json()
    assert (done["state"], done["closed_by"], listed(site)) == ("closed", "周洁", [])
    attempt = shop.attempt(placed)
    assert shop.order(placed).state == OrderState.DELIVERED
    assert (attempt.state, attempt.found_by, attempt.provider_no) == ("paid", FoundBy.PERSON, "P-console")
    assert attempt.fee_fen == 27, "as of any payment"
    assert problem(confirm(site, placed)) == (409, "not_unpaid")
    assert "已发货" in confirm(site, placed).json()["detail"]
    assert shop.apply(shop.fact(placed, provider_no="P-console")) is Outcome.REPEATED
    assert shop.attempt(placed).found_by == FoundBy.CALLBACK, "the channel has said so too"
    assert shop.apply(shop.fact(placed, provider_no="P-other")) is Outcome.EXCEPTION
    assert [told["kind"] for told in listed(site)] == ["paid_twice"]
    # The same number does not pay another order, and a slip of the pen can be sent back and put right.
    other = shop.place(BEN, "STEAM-50")
    wrong = confirm(site, other).json()
    assert problem(approve(site, wrong)) == (409, "not_confirmed")
    assert shop.order(other).state == OrderState.PENDING_PAYMENT
    approve(site, wrong, approved=False)
    again = confirm(site, other, provider_no="P-right").json()
    assert (again["id"], again["state"]) == (wrong["id"], "proposed"), "about the same payment"
    # The callback comes before the second person: nothing is left to approve.
    assert shop.apply(shop.fact(other, provider_no="P-right")) is Outcome.APPLIED
    assert approve(site, again).status_code == 409
    assert shop.level("STEAM-50").sold == 2
    shop.check()


def test_what_is_confirmed_and_cannot_be_delivered_waits_for_people_as_any_money(site):
    shop = site.world
    site.till.silent = True
    late = expired(site, shop.place(ANNA, "STEAM-50", 3))
    shop.buy(BEN, "STEAM-50", 3)
    approve(site, confirm(site, late, amount_fen=13_500).json())
    [one] = listed(site)
    assert (one["kind"], one["actions"]) == ("paid_after_expiry", ["deliver", "refund", "record"])
    assert one["due_at"] is not None, "by the shop's terms"
    said = {fact["name"]: fact["value"] for fact in one["evidence"]}
    assert (said["found_by"], said["proposed_by"], said["approved_by"]) == ("person", "李航", "周洁")
    assert shop.order(late).state == OrderState.DELIVERY_FAILED
    assert shop.apply(shop.fact(late, provider_no="P-true")) is Outcome.APPLIED
    assert [(told["kind"], told["provider_no"]) for told in listed(site)] == [("paid_after_expiry", "P-true")]
    shop.check()


def booked(shop):
    """The journals that are booked, and what the accounts of the money hold."""
    with shop.ctx.db.read() as tx:
        codes = sorted(tx.scalars(select(LedgerJournal.code)))
        money = {one.account.kind: one.net for one in ledger.balances(tx) if one.account.kind in {"psp", "suspense"}}
    return codes, money


def refunds(shop):
    with shop.ctx.db.read() as tx:
        return tx.scalars(select(Refund)).all()


@pytest.mark.parametrize("way", ["callback", "bill"])
def test_a_number_that_people_misread_is_put_right_and_nothing_goes_back(tmp_path, way):
    till = Till("wechat")
    with site_with(tmp_path, till, refund_after_minutes=0, **WITH_FEES) as site:
        shop, site.till = site.world, till
        shop.stock("STEAM-50", 2)
        command = orders.PlaceOrder(ANNA, ids.new_token(), "STEAM-50", 1, 4_500, "wechat")
        placed = asyncio.run(checkout.place(shop.ctx, command))
        with shop.ctx.db.read() as tx:
            attempt = tx.scalars(select(PaymentAttempt)).one()
        number, true = attempt.out_trade_no, till.pay(attempt.out_trade_no, provider_no="P-true")
        till.silent = True
        said = SEEN | {"channel": "wechat", "provider_no": "P-typo"}
        one = site.post(f"/api/orders/{placed.code}/confirm", by="li", json=said).json()
        assert approve(site, one).json()["state"] == "closed"
        till.silent, before = False, booked(shop)
        assert before == (["PAY", "PSPFEE", "SALE"], {"psp": 4_473})
        shop.check()
        if way == "bill":
            tally = bills.read(shop.ctx, bill_of(till, number))
            assert (tally.payments, tally.news, tally.unsure) == (1, 1, 0)
            assert bills.read(shop.ctx, bill_of(till, number)).news == 0
        else:
            assert shop.apply(true) is Outcome.APPLIED
        assert shop.apply(true) is Outcome.REPEATED
        shop.work()
        with shop.ctx.db.read() as tx:
            now = tx.get(PaymentAttempt, attempt.id)
            [told] = tx.scalars(select(AuditEvent).where(AuditEvent.action == "payment.hear"))
        assert (now.provider_no, now.found_by, now.fee_is_final) == ("P-true", way, way == "bill")
        assert json.loads(told.detail) == {
            "order": placed.code,
            "confirmed_as": "P-typo",
            "provider_no": "P-true",
            "found_by": way,
        }
        assert (booked(shop), refunds(shop), listed(site)) == (before, [], []), "nothing is booked, nothing goes back"
        # The number that was misread may be that of another payment.
        other = shop.place(BEN, "STEAM-50")
        assert shop.apply(shop.fact(other, provider_no="P-typo", channel="sandbox")) is Outcome.APPLIED
        # From now on another number is a second payment, as of any other.
        assert shop.apply(replace(true, provider_no="P-second")) is Outcome.EXCEPTION
        shop.work()
        assert [refund.cause for refund in refunds(shop)] == ["paid_twice"]
        shop.check()


def test_a_lower_amount_that_the_channel_has_signed_is_not_overridden_by_people(site):
    shop = site.world
    placed = shop.place(ANNA, "STEAM-50")
    shop.apply(shop.fact(placed, provider_no="P-console", amount_fen=1))
    before = booked(shop)
    site.till.silent = True
    one = confirm(site, placed).json()
    assert problem(approve(site, one)) == (409, "not_confirmed")
    assert (booked(shop), shop.order(placed).state) == (before, OrderState.PENDING_PAYMENT)
    assert before == (["SUSPENSE"], {"psp": 1, "suspense": 1})
    with shop.ctx.db.read() as tx:
        assert tx.scalars(select(UnmatchedPayment.state)).all() == ["held"]
    assert {(told["kind"], told["state"]) for told in listed(site)} == {
        ("amount_mismatch", "open"),
        ("payment_unknown", "proposed"),
    }
    # The channel itself may correct what it said.
    assert shop.apply(shop.fact(placed, provider_no="P-console")) is Outcome.APPLIED
    assert (shop.order(placed).state, listed(site)) == (OrderState.DELIVERED, [])
    shop.check()


def test_a_channel_that_answers_is_believed_before_people(site):
    shop = site.world
    unpaid, paid = shop.place(ANNA, "STEAM-50"), shop.place(BEN, "STEAM-50")
    number = unpaid.attempt.out_trade_no
    for said in (None, "pending", "closed", "refunded"):
        one = confirm(site, unpaid).json()
        if said is not None:
            site.till.payments[number] = shop.fact(unpaid, state=said)
        asked = len(site.till.asked)
        assert problem(approve(site, one, by="li")) == (409, "proposed_by_you")
        assert len(site.till.asked) == asked, "who may not approve asks nobody"
        answer = approve(site, one)
        assert problem(answer) == (409, "channel_answered")
        assert (said or "NOT_FOUND") in answer.json()["detail"]
        assert (shop.order(unpaid).state, shop.attempt(unpaid).state) == ("pending_payment", "created")
        asked = len(site.till.asked)
        assert approve(site, one, approved=False).json()["state"] == "open"
        assert len(site.till.asked) == asked, "sending back needs no answer"
    assert booked(shop) == ([], {})
    site.till.payments[paid.attempt.out_trade_no] = shop.fact(paid, provider_no="P-true")
    assert problem(approve(site, confirm(site, paid).json())) == (409, "channel_answered")
    attempt = shop.attempt(paid)
    assert (shop.order(paid).state, attempt.provider_no, attempt.found_by) == ("delivered", "P-true", FoundBy.PAGE)
    assert [(told["kind"], told["state"]) for told in listed(site)] == [("payment_unknown", "open")]
    shop.check()


@pytest.mark.parametrize("said", ["silent", "pending", "paid", "misread", "heard"])
def test_what_nothing_names_in_two_days_is_put_before_people(site, said):
    shop = site.world
    placed = shop.place(ANNA, "STEAM-50")
    site.till.silent = True
    approve(site, confirm(site, placed).json())
    before, asked = booked(shop), len(site.till.asked)
    if said == "heard":
        assert shop.apply(shop.fact(placed, provider_no="P-console")) is Outcome.REPEATED
    if said != "silent":
        site.till.silent = False
    state = "pending" if said == "pending" else "paid"
    number = "P-true" if said == "misread" else "P-console"
    site.till.payments[placed.attempt.out_trade_no] = shop.fact(placed, state=state, provider_no=number)
    with clock.fixed(clock.now() + timedelta(days=1, hours=23)):
        shop.work()
        assert listed(site) == []
    for _ in range(2):
        with clock.fixed(clock.now() + timedelta(days=2, hours=1)):
            shop.work()
    found = [(one["kind"], one["actions"], one["provider_no"]) for one in listed(site)]
    told = {fact["name"]: fact["value"] for one in listed(site) for fact in one["evidence"]}
    if said in {"silent", "pending"}:
        assert found == [("payment_unknown", ["dismiss"], None)]
        assert (told["found_by"], told["confirmed_as"]) == ("person", "P-console")
        assert told["channel_answer"] == "pending" or said == "silent"
        # The channel says it later, and nothing is left to do.
        assert shop.apply(shop.fact(placed, provider_no="P-late")) is Outcome.APPLIED
        assert (listed(site), shop.attempt(placed).provider_no) == ([], "P-late")
    else:
        assert (found, shop.attempt(placed).provider_no) == ([], number)
    assert site.till.asked.count(placed.attempt.out_trade_no) == asked + (said in {"pending", "paid", "misread"})
    assert shop.attempt(placed).found_by != FoundBy.PERSON
    assert (booked(shop), refunds(shop)) == (before, [])
    shop.check()


def test_another_amount_is_not_what_was_confirmed(site):
    shop = site.world
    placed = shop.place(ANNA, "STEAM-50")
    site.till.silent = True
    approve(site, confirm(site, placed).json())
    site.till.silent = False
    site.till.payments[placed.attempt.out_trade_no] = shop.fact(placed, provider_no="P-true", amount_fen=1)
    with clock.fixed(clock.now() + timedelta(days=2, hours=1)):
        shop.work()
    assert [(one["kind"], one["provider_no"]) for one in listed(site)] == [
        ("amount_mismatch", "P-true"),
        ("payment_unknown", None),
    ]
    assert (shop.attempt(placed).provider_no, shop.attempt(placed).found_by) == ("P-console", FoundBy.PERSON)
    assert booked(shop) == (["PAY", "PSPFEE", "SALE", "SUSPENSE"], {"psp": 4_474, "suspense": 1})
    assert refunds(shop) == []
    shop.check()


def test_what_was_confirmed_at_the_wrong_channel_gives_nothing_back_by_itself(tmp_path):
    tills = {channel: Till(channel) for channel in ("wechat", "alipay")}
    with site_with(tmp_path, *tills.values(), refund_after_minutes=0) as site:
        shop = site.world
        shop.stock("STEAM-50", 2)
        command = orders.PlaceOrder(ANNA, ids.new_token(), "STEAM-50", 1, 4_500, "wechat")
        code = asyncio.run(checkout.place(shop.ctx, command)).code
        assert asyncio.run(checkout.pay_again(shop.ctx, code, "alipay")) is None
        assert site.get(f"/api/orders/{code}", by="li").json()["channels"] == ["alipay", "wechat"]
        assert site.get(f"/api/orders/{code}", by="chen").json()["channels"] == []
        with shop.ctx.db.read() as tx:
            first, _ = tx.scalars(select(PaymentAttempt).order_by(PaymentAttempt.id))
        tills["alipay"].silent = True
        said = SEEN | {"channel": "alipay"}
        one = site.post(f"/api/orders/{code}/confirm", by="li", json=said).json()
        assert (one["channel"], approve(site, one).json()["state"]) == ("alipay", "closed")
        told = tills["wechat"].pay(first.out_trade_no, provider_no="P-console")
        assert shop.apply(told) is Outcome.EXCEPTION
        shop.work()
        assert refunds(shop) == [], "it may be the only money that came"
        [second] = listed(site)
        assert (second["kind"], second["state"], second["due_at"]) == ("paid_twice", "open", None)
        assert "refund" in second["actions"], "people may"
        shop.check()


def test_above_the_limit_one_of_the_two_is_of_finance(tmp_path):
    till = Till("sandbox")
    with site_with(tmp_path, till, refund_check_fen=4_499) as site:
        shop, till.silent = site.world, True
        shop.stock("STEAM-50", 2)
        with shop.ctx.db.tx() as tx:
            tx.execute(update(User).where(User.login == "wang").values(role="operator"))
        placed, other = shop.place(ANNA, "STEAM-50"), shop.place(BEN, "STEAM-50")
        one = confirm(site, placed).json()
        assert problem(approve(site, one, by="wang")) == (409, "finance_needed")
        assert (shop.order(placed).state, booked(shop)) == (OrderState.PENDING_PAYMENT, ([], {}))
        assert approve(site, one).json()["state"] == "closed"
        assert (
            approve(site, confirm(site, other, by="zhou", provider_no="P-other").json(), by="wang").status_code == 200
        )
        assert {shop.order(one).state for one in (placed, other)} == {OrderState.DELIVERED}
        shop.check()


def test_an_order_is_asked_about_at_all_its_channels_now(site):
    shop = site.world
    placed = expired(site, shop.place(ANNA, "STEAM-50"))
    asking = f"/api/orders/{placed.order.code}/ask"
    answer = site.post(asking, by="li")
    assert (answer.status_code, answer.json()["state"]) == (200, "expired")
    assert problem(site.post(asking, by="zhou")) == (429, "too_many"), "not twice at once, whoever asks"
    found, silent = expired(site, shop.place(BEN, "STEAM-50")), shop.place(CARA, "STEAM-50")
    site.till.payments[found.attempt.out_trade_no] = shop.fact(found)
    answer = site.post(f"/api/orders/{found.order.code}/ask", by="zhou").json()
    assert (answer["state"], answer["provider_no"]) == ("delivered", shop.fact(found).provider_no)
    asked = len(site.till.asked)
    assert site.post(f"/api/orders/{found.order.code}/ask", by="zhou").status_code == 200
    assert len(site.till.asked) == asked, "there is nothing left to ask about"
    site.till.silent = True
    assert problem(site.post(f"/api/orders/{silent.order.code}/ask", by="wang")) == (409, "not_answered")
    assert problem(site.post(asking, by="chen")) == (403, "not_allowed")
    assert problem(site.post("/api/orders/7K3M9QX2H4TD/ask", by="li")) == (404, "not_found")
    shop.check()


def test_candidates_are_unpaid_orders_of_that_amount_the_nearest_first(site):
    shop = site.world
    shop.stock("MUSIC-30", 1)
    now = clock.now()
    early, near, old = (shop.place(buyer, "STEAM-50") for buyer in (ANNA, BEN, CARA))
    cheap = shop.place(ANNA, "MUSIC-30")
    expired(site, early)
    with shop.ctx.db.tx() as tx:
        for placed, ago in ((early, timedelta(hours=3)), (near, timedelta(minutes=2)), (old, timedelta(hours=24))):
            tx.execute(update(Order).where(Order.id == placed.order.id).values(created_at=now - ago))
    shop.apply(shop.fact(near, out_trade_no="NOT-OURS-1", provider_no="S-orphan", paid_at=now))
    [one] = listed(site)
    path = f"/api/exceptions/{one['id']}/candidates"
    found = site.get(path, by="li").json()
    assert [(order["code"], order["state"], order["seconds"], order["channels"]) for order in found] == [
        (near.order.code, "pending_payment", 120, ["sandbox"]),
        (early.order.code, "expired", 3 * 3_600, ["sandbox"]),
    ]
    assert cheap.order.code not in str(found)
    assert found[0]["goods"].endswith(" × 1")
    shop.apply(shop.fact(near))
    assert [order["code"] for order in site.get(path, by="zhou").json()] == [early.order.code], "still unpaid"
    # What no money waits in has none.
    with shop.ctx.db.tx() as tx:
        tx.execute(update(UnmatchedPayment).values(state="returned"))
    shop.expects = {"L4"}
    assert site.get(path, by="li").json() == []
    assert problem(site.get(path, by="chen")) == (403, "not_allowed")


@pytest.mark.parametrize("sent_back", [True, False])
def test_a_proposal_delays_the_default_policy_by_a_day_and_no_more(site, sent_back):
    shop = site.world
    late = expired(site, shop.place(ANNA, "STEAM-50", 3))
    shop.buy(BEN, "STEAM-50", 3)
    shop.apply(shop.fact(late))
    [one] = listed(site)
    with shop.ctx.db.read() as tx:
        due = tx.scalars(select(PaymentException.due_at)).one()
    body = {"action": "deliver", "note": "等补货", "version": one["version"]}
    proposed = site.post(f"/api/exceptions/{one['id']}/propose", by="li", json=body).json()
    assert proposed["due_at"] != one["due_at"], "it says until when it waits for the second person"
    if sent_back:
        back = approve(site, proposed, by="li", approved=False).json()
        assert back["due_at"] == one["due_at"]
    with clock.fixed(due):
        shop.work()
    with shop.ctx.db.read() as tx:
        assert len(tx.scalars(select(Refund)).all()) == int(sent_back)
    with clock.fixed(due + timedelta(days=1)):
        shop.work()
    with shop.ctx.db.read() as tx:
        [refund] = tx.scalars(select(Refund)).all()
        row = tx.scalars(select(PaymentException).where(PaymentException.kind == "paid_after_expiry")).one()
    assert (refund.asked_by, row.action, row.due_at) == ("system", None, None)
    shop.check()
