"""Money and orders that need a person: seen with evidence, decided by two, done once; some are dealt with unasked."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from server.audit import AuditEvent
from server.changes import ChangeInbox
from server.gateways.port import PaymentFact, RefundFact
from server.ledger import queries as ledger
from server.payments import actions, checkout
from server.payments.actions import ApplyPayment, Outcome
from server.payments.exceptions import closing, raising
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.model import Refund
from shared import clock
from shared.contracts.payments import EVIDENCE
from shared.states import AttemptState, ExceptionKind, FoundBy, OrderState, UnmatchedState
from tests.server.till import site_with
from tests.world import ANNA, BEN, CARA, MERCHANT

WEEK = 7 * 24 * 60


@pytest.fixture
def site(tmp_path):
    """A shop where people have a week before money goes back by itself."""
    with site_with(tmp_path, refund_after_minutes=WEEK) as built:
        built.world.stock("STEAM-50", 2)
        yield built


def listed(site, **query):
    answer = site.get("/api/exceptions", by="li", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def propose(site, one, action, *, by="li", **more):
    body = {"action": action, "note": "核对过渠道后台", "version": one["version"], **more}
    return site.post(f"/api/exceptions/{one['id']}/propose", by=by, json=body)


def approve(site, one, *, by="zhou", approved=True, version=None):
    body = {"approved": approved, "version": version or one["version"]}
    return site.post(f"/api/exceptions/{one['id']}/approve", by=by, json=body)


def problem(answer):
    return answer.status_code, answer.json()["code"]


def money(site):
    with site.world.ctx.db.read() as tx:
        found = {}
        for balance in ledger.balances(tx):
            found[balance.account.kind] = found.get(balance.account.kind, 0) + balance.net
    return {kind: net for kind, net in found.items() if net}


def refunds(site):
    with site.world.ctx.db.read() as tx:
        return list(tx.scalars(select(Refund).order_by(Refund.id)))


def fact(**other):
    """What a channel says of 45.00 paid."""
    told = PaymentFact("sandbox", "N-000001", "P-1", MERCHANT, 4_500, "CNY", "paid", clock.now(), None)
    return replace(told, **other)


def unsold(site):
    """An order that was paid late, when nothing was left."""
    shop = site.world
    late = shop.place(ANNA, "STEAM-50", 2)
    shop.ctx.batch.call(checkout.EndUnpaid(late.order.id, OrderState.EXPIRED, ()))
    shop.buy(BEN, "STEAM-50", 2)
    assert shop.apply(shop.fact(late)) is Outcome.EXCEPTION
    return late


def orphan(site, amount=4_500, **other):
    """Money with a number that is not ours."""
    told = fact(out_trade_no="NOT-OURS-000001", provider_no="S-orphan-1", amount_fen=amount, **other)
    assert site.world.apply(told) is Outcome.EXCEPTION
    return listed(site)[-1]


def test_an_exception_says_what_happened_and_what_can_be_done(site):
    late = unsold(site)
    [one] = listed(site)
    assert (one["kind"], one["state"], one["order_code"]) == ("paid_after_expiry", "open", late.order.code)
    assert one["actions"] == ["deliver", "refund", "record"]
    assert one["due_at"] is not None
    told = {entry["name"]: entry["value"] for entry in one["evidence"]}
    assert told["received_fen"] == told["expected_fen"] == "9000"
    assert (told["found_by"], told["provider_no"]) == ("callback", site.world.fact(late).provider_no)
    assert set(told) <= set(EVIDENCE), "every name has its words"
    assert site.get(f"/api/exceptions/{one['id']}", by="zhou").json() == one
    assert problem(site.get(f"/api/exceptions/{one['id']}", by="chen")) == (403, "not_allowed")
    assert problem(site.get(f"/api/exceptions/{site.device('li')}", by="li")) == (404, "not_found")


def test_goods_move_when_two_people_say_so_whatever_their_role(site):
    late = unsold(site)
    [one] = listed(site)
    assert problem(propose(site, one, "dismiss")) == (409, "action_not_possible")
    proposed = propose(site, one, "deliver", by="wang").json()
    assert (proposed["state"], proposed["proposed_by"], proposed["actions"]) == ("proposed", "王敏", [])
    assert problem(approve(site, proposed, by="wang")) == (409, "proposed_by_you"), "an admin is not exempt"
    assert problem(approve(site, one, version=one["version"])) == (409, "exception_changed")
    assert problem(approve(site, proposed)) == (409, "still_no_stock")
    assert site.get(f"/api/exceptions/{one['id']}", by="wang").json() == proposed, "nothing has changed"
    site.world.stock("STEAM-50", site.world.keys("STEAM-50", 2, start=50))
    done = approve(site, proposed).json()
    assert (done["state"], done["open"], done["approved_by"], done["closed_by"]) == ("closed", False, "周洁", "周洁")
    assert site.world.order(late).state == OrderState.DELIVERED
    assert money(site)["psp"] == 18_000
    assert "escrow" not in money(site)
    assert (listed(site), listed(site, open="false")) == ([], [done])
    with site.world.ctx.db.read() as tx:
        steps = select(AuditEvent.actor, AuditEvent.detail).where(AuditEvent.action == "exception.approve")
        [(actor, detail)] = tx.execute(steps)
        changed = select(func.count()).where(ChangeInbox.entity == "exception")
        assert tx.scalar(changed) >= 3
    users = site.world.users
    assert actor == f"staff:{users['zhou']}"
    assert json.loads(detail)["proposed_by"] == f"staff:{users['wang']}"
    assert problem(approve(site, done)) == (409, "nothing_proposed")


def test_what_the_second_person_does_not_approve_is_open_again(site):
    unsold(site)
    [one] = listed(site)
    proposed = propose(site, one, "refund").json()
    back = approve(site, proposed, approved=False).json()
    assert (back["state"], back["action"], back["proposed_by"]) == ("open", None, None)
    assert back["actions"] == ["deliver", "refund", "record"]
    assert refunds(site) == []


def test_money_of_no_order_goes_back_when_two_people_say_so_and_closes_with_its_refund(site):
    one = orphan(site)
    assert (one["kind"], one["actions"]) == ("unknown_payment", ["refund", "attach", "record"])
    assert money(site) == {"psp": 4_500, "suspense": 4_500}
    working = approve(site, propose(site, one, "refund").json()).json()
    assert (working["state"], working["actions"]) == ("working", [])
    [refund] = refunds(site)
    assert (str(refund.id), refund.amount_fen, refund.cause) == (working["refund_id"], 4_500, "unmatched")
    assert (refund.out_trade_no, refund.asked_by) == ("NOT-OURS-000001", f"staff:{site.world.users['li']}")
    with site.world.ctx.db.tx() as tx:
        closing.refund_ended(tx, refund.id, succeeded=False)
    assert (listed(site)[0]["state"], listed(site)[0]["refund_id"]) == ("open", None)


def test_money_is_attached_to_the_order_it_was_meant_for(site):
    shop = site.world
    shop.stock("MUSIC-30", 1)
    meant, dear = shop.place(ANNA, "STEAM-50"), shop.place(BEN, "STEAM-50")
    shop.ctx.batch.call(checkout.EndUnpaid(meant.order.id, OrderState.EXPIRED, ()))
    one = orphan(site)
    assert problem(propose(site, one, "attach")) == (422, "bad_field")
    assert problem(propose(site, one, "attach", order_code="7K3M9QX2H4TD")) == (422, "bad_field")
    cheap = shop.place(CARA, "MUSIC-30")
    assert problem(propose(site, one, "attach", order_code=cheap.order.code)) == (409, "not_attachable")
    proposed = propose(site, one, "attach", order_code=meant.order.code).json()
    assert proposed["action_order_code"] == meant.order.code
    done = approve(site, proposed).json()
    assert done["state"] == "closed"
    assert (shop.order(meant).state, shop.order(dear).state) == (OrderState.DELIVERED, OrderState.PENDING_PAYMENT)
    with shop.ctx.db.read() as tx:
        paid = PaymentAttempt.order_id == meant.order.id, PaymentAttempt.state == AttemptState.PAID.value
        attempt = tx.scalars(select(PaymentAttempt).where(*paid)).one()
        assert tx.scalars(select(UnmatchedPayment.state)).one() == UnmatchedState.ATTACHED
    assert (attempt.found_by, attempt.channel_no, attempt.fee_fen) == (FoundBy.PERSON, "NOT-OURS-000001", 0)
    # The same money told again pays nothing twice.
    assert shop.apply(fact(out_trade_no="NOT-OURS-000001", provider_no="S-orphan-1")) is Outcome.REPEATED
    assert listed(site) == [], "the next day's bill names it too"
    # With other content it is an alarm.
    assert shop.apply(fact(out_trade_no="NOT-OURS-000001", provider_no="S-orphan-1", amount_fen=1)) is Outcome.EXCEPTION
    assert [told["actions"] for told in listed(site)] == [["dismiss"]]
    assert shop.level("STEAM-50").sold == 1
    assert "suspense" not in money(site)


def test_the_channels_own_correction_undoes_what_was_set_aside(site):
    shop = site.world
    placed = shop.place(ANNA, "STEAM-50")
    assert shop.apply(shop.fact(placed, amount_fen=1)) is Outcome.EXCEPTION
    assert shop.apply(shop.fact(placed, amount_fen=1)) is Outcome.EXCEPTION
    assert money(site) == {"psp": 1, "suspense": 1}
    right = ApplyPayment(shop.fact(placed), MERCHANT)
    with shop.ctx.db.tx() as tx:  # as the batcher replays a command: the first try is rolled back to its savepoint
        still_held = tx.scalars(select(UnmatchedPayment)).all()  # by the frames of whatever went wrong
        tried = tx.begin_nested()
        actions.apply(tx, [right])
        tried.rollback()
        assert (len(still_held), actions.apply(tx, [right])) == (1, [Outcome.APPLIED])
    [one] = listed(site, open="false")
    assert (one["kind"], one["state"], one["closed_by"]) == ("amount_mismatch", "closed", "system")
    assert (money(site)["psp"], "suspense" in money(site)) == (4_500, False)
    # Other content under a number that is booked is an alarm that books nothing.
    assert shop.apply(shop.fact(placed, amount_fen=9_999)) is Outcome.EXCEPTION
    [alarm] = listed(site)
    assert (alarm["kind"], alarm["actions"], money(site)["psp"]) == ("amount_mismatch", ["dismiss"], 4_500)
    assert propose(site, alarm, "dismiss").json()["state"] == "closed"


def test_a_wrong_amount_and_its_correction_may_come_in_one_batch(site):
    shop = site.world
    placed = shop.place(ANNA, "STEAM-50")
    both = [ApplyPayment(shop.fact(placed, **said), MERCHANT) for said in ({"amount_fen": 1}, {})]
    with shop.ctx.db.tx() as tx:
        assert actions.apply(tx, both) == [Outcome.EXCEPTION, Outcome.APPLIED]
    with shop.ctx.db.read() as tx:
        assert [one.state for one in tx.scalars(select(UnmatchedPayment))] == ["corrected"]
    assert ([one["closed_by"] for one in listed(site, open="false")], listed(site)) == (["system"], [])
    assert (money(site)["psp"], "suspense" in money(site)) == (4_500, False)
    assert shop.order(placed).state == "delivered"


def test_money_of_another_merchant_or_app_is_never_ours(site):
    shop = site.world
    placed = shop.place(ANNA, "STEAM-50")
    strange = shop.fact(placed, app_id="wx-somebody-else")
    command = ApplyPayment(strange, MERCHANT, app_ids=frozenset({"wx-ours"}))
    assert shop.ctx.batch.call(command) is Outcome.EXCEPTION
    [one] = listed(site)
    assert (one["kind"], one["actions"], money(site)) == ("merchant_mismatch", ["dismiss"], {})
    ours = ApplyPayment(replace(strange, app_id="wx-ours", payer_total_fen=4_000), MERCHANT, app_ids=command.app_ids)
    assert shop.ctx.batch.call(ours) is Outcome.APPLIED
    attempt = shop.attempt(placed)
    assert (attempt.payer_total_fen, attempt.fee_fen, attempt.fee_is_final) == (4_000, 0, False)
    assert listed(site) == [], "what pays the order is the money that was in doubt"
    assert listed(site, open="false")[0]["closed_by"] == "system"
    other = replace(strange, provider_no="S-of-another")
    assert shop.ctx.batch.call(replace(command, fact=other)) is Outcome.EXCEPTION
    assert shop.ctx.batch.call(ours) is Outcome.REPEATED
    assert len(listed(site)) == 1, "other money of the same attempt stays an alarm"


def test_money_that_went_back_without_us_delivers_nothing(site):
    shop = site.world
    placed = shop.place(ANNA, "STEAM-50")
    gone = shop.fact(placed, state="refunded")
    assert shop.apply(gone) is Outcome.EXCEPTION
    [one] = listed(site)
    assert (one["kind"], one["actions"]) == ("unknown_refund", ["dismiss"])
    assert shop.order(placed).state == OrderState.PENDING_PAYMENT
    paid = shop.buy(BEN, "STEAM-50")
    assert shop.apply(shop.fact(paid, state="refunded")) is Outcome.NOTED
    assert shop.order(paid).state == OrderState.DELIVERED, "nothing un-pays an order"
    assert shop.apply(gone) is Outcome.EXCEPTION
    assert propose(site, one, "dismiss").json()["state"] == "closed"
    assert (listed(site), money(site)["psp"]) == ([], 4_500), "once, and the other buyer's money alone is in the books"


def paid_twice(site):
    """An order that was paid twice under one number of ours."""
    bought = site.world.buy(ANNA, "STEAM-50")
    site.world.apply(site.world.fact(bought, provider_no="S-second"))
    return bought


def went_back(site, out_trade_no, amount, *, of, number="RC-1"):
    """The exception of a refund of the channel's own console, which names the money that it gave back."""
    told = RefundFact(f"console-{number}", number, out_trade_no, amount, "succeeded", provider_no=of)
    site.world.ctx.batch.call(RefundHeard("sandbox", MERCHANT, told))
    [back] = [one for one in listed(site) if one["provider_no"] == number]
    assert back["kind"] == "unknown_refund"
    return back


def test_a_refund_of_the_second_money_is_recorded_of_that_and_not_of_the_order(site):
    """The order was paid twice under one number of ours; the channel names the money that its console gave back."""
    shop = site.world
    bought = paid_twice(site)
    back = went_back(site, bought.attempt.out_trade_no, 4_500, of="S-second")
    twice, _ = listed(site)
    assert [(one["kind"], one["actions"]) for one in (twice, back)] == [
        ("paid_twice", ["refund", "record"]),
        ("unknown_refund", ["record", "dismiss"]),
    ]
    before = money(site)
    asked = propose(site, back, "record", provider_no="RC-1").json()
    assert approve(site, asked).json()["state"] == "closed"
    assert (listed(site), shop.order(bought).state) == ([], OrderState.DELIVERED)
    assert (shop.order(bought).refunded_fen, [one.amount_fen for one in refunds(site)]) == (0, [4_500])
    assert money(site) == {kind: fen for kind, fen in before.items() if kind != "suspense"} | {"psp": 4_500}
    shop.work()
    assert len(refunds(site)) == 1, "the default policy has nothing left to give back"


def test_what_went_back_of_money_set_aside_is_never_booked_on_the_order_it_did_not_buy(site):
    """A part of it, and all of it while it is on its way back by us already; of what did buy the order, it is."""
    shop = site.world
    bought = paid_twice(site)
    number, before = bought.attempt.out_trade_no, money(site)
    part = went_back(site, number, 1_000, of="S-second")
    assert part["actions"] == ["dismiss"], "what is set aside goes back whole"
    assert problem(propose(site, part, "record", provider_no="RC-1")) == (409, "action_not_possible")
    nobodys = went_back(site, number, 1_000, of="S-third", number="RC-3")
    assert nobodys["actions"] == ["dismiss"], "money that nobody here knows"
    unnamed = went_back(site, number, 1_000, of=None, number="RC-4")
    assert unnamed["actions"] == ["dismiss"], "of which money it was, nobody can say"

    back = went_back(site, number, 4_500, of="S-second", number="RC-2")
    proposed = propose(site, back, "record", provider_no="RC-2").json()
    twice = next(one for one in listed(site) if one["kind"] == "paid_twice")
    assert approve(site, propose(site, twice, "refund").json()).json()["state"] == "working"
    assert problem(approve(site, proposed)) == (409, "action_not_possible"), "it is on its way back by us"
    assert (money(site), shop.order(bought).refunded_fen) == (before, 0)

    own = went_back(site, number, 1_000, of=shop.fact(bought).provider_no, number="RC-5")
    asked = propose(site, own, "record", provider_no="RC-5").json()
    assert approve(site, asked).json()["state"] == "closed"
    assert (shop.order(bought).refunded_fen, money(site)["suspense"]) == (1_000, before["suspense"])


def test_a_refund_of_attached_money_is_of_the_order_that_it_was_attached_to(site):
    """The channel knows it by another number of ours, or by none: its own number says whose money it was."""
    shop = site.world
    bought, meant = paid_twice(site), shop.place(BEN, "STEAM-50")
    stray = orphan(site)
    back = went_back(site, "NOT-OURS-000001", 1_000, of="S-orphan-1")
    assert (back["actions"], back["order_code"]) == (["dismiss"], None)
    assert approve(site, propose(site, stray, "attach", order_code=meant.order.code).json()).status_code == 200
    [back] = [one for one in listed(site) if one["id"] == back["id"]]
    asked = propose(site, back, "record", provider_no="RC-1").json()
    assert approve(site, asked).json()["state"] == "closed"
    assert (shop.order(meant).refunded_fen, shop.order(bought).refunded_fen) == (1_000, 0)
    assert [(one.order_code, one.amount_fen) for one in refunds(site)] == [(meant.order.code, 1_000)]


def test_nobody_needs_to_wait_for_people_where_the_policy_is_clear(tmp_path):
    with site_with(tmp_path) as site:
        shop = site.world
        shop.stock("STEAM-50", 2)
        unsold(site)
        shop.work()
        one, stuck = listed(site)
        assert (one["state"], one["due_at"], one["proposed_by"]) == ("working", None, None)
        [refund] = refunds(site)
        assert (refund.cause, refund.asked_by, refund.amount_fen) == ("no_stock", "system", 9_000)
        assert (stuck["kind"], stuck["refund_id"]) == ("refund_stuck", one["refund_id"]), "no channel answers here"
        shop.check()


def test_stock_that_came_before_the_policy_acts_is_delivered(site):
    late = unsold(site)
    with site.world.ctx.db.read() as tx:
        row = tx.scalars(select(PaymentException)).one()
    assert (row.kind, row.due_at - row.created_at) == (ExceptionKind.PAID_AFTER_EXPIRY, timedelta(minutes=WEEK))
    site.world.stock("STEAM-50", site.world.keys("STEAM-50", 2, start=50))
    with clock.fixed(row.due_at):
        site.world.work()
    assert site.world.order(late).state == OrderState.DELIVERED
    assert (listed(site), refunds(site)) == ([], [])


def test_every_kind_of_evidence_a_fact_leaves_has_its_words():
    assert {name for name, _ in raising.evidence_of(fact(), None, FoundBy.BILL)} <= set(EVIDENCE)


def test_money_is_set_aside_attached_confirmed_corrected_and_given_back(any_engine, tmp_path):
    with site_with(tmp_path, kind=any_engine) as site:
        shop = site.world
        shop.stock("STEAM-50", 3)
        meant, misstated = shop.place(ANNA, "STEAM-50"), shop.place(BEN, "STEAM-50")
        one = orphan(site)
        found = site.get(f"/api/exceptions/{one['id']}/candidates", by="li").json()
        assert {order["code"] for order in found} == {meant.order.code, misstated.order.code}
        proposed = propose(site, one, "attach", order_code=meant.order.code).json()
        assert approve(site, proposed).json()["state"] == "closed"
        for said in ({"amount_fen": 1}, {}, {"amount_fen": 2}, {"provider_no": "S-second"}):
            shop.apply(shop.fact(misstated, **said))
        assert {shop.order(one).state for one in (meant, misstated)} == {OrderState.DELIVERED}
        assert money(site)["suspense"] == 4_500
        shop.work()
        [back] = [one for one in listed(site) if one["kind"] == "paid_twice"]
        assert (back["state"], [refund.cause for refund in refunds(site)]) == ("working", ["paid_twice"])
        # No channel answers here: people see to it in its console.
        [stuck] = [one for one in listed(site) if one["kind"] == "refund_stuck"]
        recorded = propose(site, stuck, "record", provider_no="R-by-hand").json()
        assert approve(site, recorded).json()["state"] == "closed"
        assert [one["kind"] for one in listed(site)] == ["amount_mismatch"], "the alarm of 0.02"
        assert "suspense" not in money(site)
        seen = {"channel": "sandbox", "provider_no": "P-seen", "amount_fen": 4_500, "note": "后台可见"}
        unheard = shop.place(CARA, "STEAM-50")
        proposed = site.post(f"/api/orders/{unheard.order.code}/confirm", by="li", json=seen).json()
        assert approve(site, proposed).json()["state"] == "closed"
        assert shop.order(unheard).state == OrderState.DELIVERED
        assert shop.apply(shop.fact(unheard, provider_no="P-true")) is Outcome.APPLIED
        assert (shop.attempt(unheard).provider_no, shop.attempt(unheard).found_by) == ("P-true", FoundBy.CALLBACK)
        told = RefundFact("console-1", "RC-1", unheard.attempt.out_trade_no, 1_000, "succeeded")
        shop.ctx.batch.call(RefundHeard("sandbox", MERCHANT, told))
        one = listed(site)[-1]
        assert approve(site, propose(site, one, "record", provider_no="RC-1").json()).json()["state"] == "closed"
        assert shop.order(unheard).refunded_fen == 1_000
        shop.check()
