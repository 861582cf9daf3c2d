"""Refunds that do not get on by themselves: one exception at a time, which says what is the matter now."""

from datetime import timedelta

import pytest

from server.gateways.port import RefundFact
from server.payments.refunds.actions import RefundHeard
from shared import clock
from shared.states import ExceptionKind
from tests.server.refunding import (
    approved,
    balances,
    carry_out,
    later,
    read,
    shop_with_refunds,
    start,
    stuck,
    tell,
)
from tests.world import ANNA, BEN, MERCHANT


@pytest.fixture
def site(tmp_path):
    with shop_with_refunds(tmp_path) as built:
        yield built


def told(site):
    """What the one exception says is the matter: the trouble, and what the channel said."""
    [one] = site.get("/api/exceptions", by="li").json()["items"]
    facts = {fact["name"]: fact["value"] for fact in one["evidence"]}
    return facts["trouble"], facts.get("said")


def propose(site, action):
    """Somebody deals with the one exception."""
    [one] = site.get("/api/exceptions", by="li").json()["items"]
    body = {"action": action, "note": "已在渠道后台核对", "version": one["version"]}
    return site.post(f"/api/exceptions/{one['id']}/propose", by="li", json=body)


def test_the_exception_of_a_refund_says_what_is_the_matter_until_it_is_over(site):
    _, refund_id = approved(site)
    site.desk.says = "NOT_ENOUGH_BALANCE"
    carry_out(site)
    assert told(site) == ("not_enough_balance", None)
    hidden = propose(site, "dismiss")
    assert (hidden.status_code, hidden.json()["code"]) == (409, "action_not_possible"), "nobody mutes what goes on"
    site.desk.says = "processing"
    assert propose(site, "ask_again").json()["state"] == "working"
    carry_out(site)
    tell(site, refund_id, "abnormal")
    assert (read(site, refund_id)["state"], told(site)) == ("abnormal", ("abnormal", None))
    [one] = site.get("/api/exceptions", by="li").json()["items"]
    assert (one["state"], one["actions"]) == ("open", ["ask_again", "record"])
    tell(site, refund_id, "abnormal")
    assert site.get("/api/exceptions", by="li").json()["items"] == [one], "what is known is not told again"
    tell(site, refund_id, "closed")
    assert (read(site, refund_id)["state"], told(site)) == ("closed", ("refused", "closed"))
    assert len(stuck(site)) == 1
    assert propose(site, "dismiss").json()["state"] == "closed"
    tell(site, refund_id, "succeeded")  # and yet it paid: that is new
    assert [is_open for *_, is_open in stuck(site)] == [False, True]
    assert told(site) == ("differs", "succeeded")
    assert propose(site, "dismiss").json()["state"] == "closed"
    tell(site, refund_id, "succeeded")  # that is not
    assert [is_open for *_, is_open in stuck(site)] == [False, False]


def test_a_refund_that_is_worked_on_for_a_week_is_put_before_people(site):
    _, refund_id = approved(site)
    carry_out(site)
    later(site, days=6)
    assert (read(site, refund_id)["trouble"], stuck(site)) == (None, [])
    site.desk.refuses = "SYSTEM_ERROR"
    later(site, days=6, hours=1)
    refund = read(site, refund_id)
    assert (refund["trouble"], refund["events"][-1]["note"]) == ("no_answer", "SYSTEM_ERROR")
    site.desk.refuses = None
    later(site, days=6, hours=2)
    assert read(site, refund_id)["trouble"] is None, "it answers again"
    later(site, days=7, minutes=1)
    assert (read(site, refund_id)["trouble"], told(site)) == ("slow", ("slow", None))
    assert propose(site, "ask_again").json()["state"] == "working"
    later(site, days=7, minutes=2)
    [one] = site.get("/api/exceptions", by="li").json()["items"]
    assert (one["state"], one["actions"]) == ("open", ["ask_again"])
    site.desk.ends()
    later(site, days=8)
    assert read(site, refund_id)["state"] == "succeeded"
    assert [is_open for *_, is_open in stuck(site)] == [False]


def test_what_was_not_sent_is_not_called_sent(site):
    """Its channel is away: nothing was asked, and that counts as none of the channel's fifty refunds."""
    _, refund_id = approved(site)

    def goes_away():
        for answered in (True, False, False, False):
            site.world.ctx.breakers.note("sandbox", answered=answered)

    goes_away()
    carry_out(site)
    refund = read(site, refund_id)
    assert (refund["state"], refund["trouble"], site.desk.requests) == ("approved", "no_answer", [])
    assert [event["what"] for event in refund["events"]][-1] == "delayed"
    with clock.fixed(clock.now() + timedelta(hours=25)):
        goes_away()
        carry_out(site)
    assert stuck(site) == [(ExceptionKind.REFUND_STUCK, refund_id, True)]
    site.world.ctx.breakers.note("sandbox", answered=True)
    site.desk.says = "succeeded"
    later(site, hours=26)
    assert (read(site, refund_id)["state"], len(site.desk.requests)) == ("succeeded", 1)


@pytest.mark.parametrize(("ended", "says"), [("failed", "succeeded"), ("succeeded", "failed")])
def test_a_channel_that_takes_back_its_last_word_moves_nothing_and_is_shown(site, ended, says):
    """Money that left after all, or came back: the books stand, and a person settles it."""
    _, refund_id = approved(site)
    carry_out(site)
    site.desk.ends(ended)
    later(site, seconds=61)
    before, books = read(site, refund_id), balances(site)
    assert before["state"] in {"closed", "succeeded"}
    for word in ("processing", ended, says, says):
        tell(site, refund_id, word)
    assert (read(site, refund_id), balances(site)) == (before, books)
    assert stuck(site) == [(ExceptionKind.REFUND_STUCK, refund_id, True)]
    assert told(site) == ("differs", says)


def test_a_stuck_refund_that_was_asked_about_in_vain_is_open_again(site):
    approved(site)
    site.desk.says = "NOT_ENOUGH_BALANCE"
    carry_out(site)
    [one] = site.get("/api/exceptions", by="li").json()["items"]
    body = {"action": "ask_again", "note": "已充值", "version": one["version"]}
    answer = site.post(f"/api/exceptions/{one['id']}/propose", by="li", json=body).json()
    assert (answer["state"], answer["actions"]) == ("working", [])
    carry_out(site)
    [again] = site.get("/api/exceptions", by="li").json()["items"]
    assert (again["state"], again["actions"]) == ("open", ["ask_again"])
    assert again["refund_id"] == one["refund_id"]
    assert len(site.desk.requests) == 2


def test_a_day_of_silence_is_put_before_people(site):
    _, refund_id = approved(site)
    site.desk.says = None
    carry_out(site)
    later(site, hours=23)
    assert stuck(site) == []
    site.world.ctx.breakers.note("sandbox", answered=True)
    later(site, hours=24)
    assert stuck(site) == [(ExceptionKind.REFUND_STUCK, refund_id, True)]
    assert read(site, refund_id)["state"] == "submitted"


def failed_after_all(site, bought, *amounts):
    """Refunds that are in the books, of which the channel says later that it closed them."""
    for fen in amounts:
        refund_id = start(site, bought, amount_fen=fen).json()["id"]
        carry_out(site)
        number = read(site, refund_id)["out_refund_no"]
        site.desk.made[number]["state"] = "closed"
        channel_tells(site, bought, number, f"R-{number[-8:]}", fen, "closed")


def channel_tells(site, bought, number, refund_no, fen, state="succeeded"):
    fact = RefundFact(number, refund_no, bought.attempt.out_trade_no, fen, state)
    site.desk.knows(fact)
    site.world.ctx.batch.call(RefundHeard("sandbox", MERCHANT, fact))


def recorded(site, one, number):
    """Two people record it; the answer to the second."""
    body = {"action": "record", "note": "已在渠道后台退回", "provider_no": number, "version": one["version"]}
    proposed = site.post(f"/api/exceptions/{one['id']}/propose", by="li", json=body)
    assert proposed.status_code == 200, proposed.text
    body = {"approved": True, "version": proposed.json()["version"]}
    return site.post(f"/api/exceptions/{one['id']}/approve", by="zhou", json=body)


def listed(site, bought, kind):
    """What is open of an order's payment, as it is now."""
    rows = site.get("/api/exceptions", by="li").json()["items"]
    return [one for one in rows if (one["kind"], one["out_trade_no"]) == (kind, bought.attempt.out_trade_no)]


def test_what_was_paid_in_place_of_refunds_that_failed_is_booked_once(site):
    """In one sum for two of them; or more than one of them was, which is a matter of its own."""
    site.desk.says = "succeeded"
    site.world.stock("STEAM-50", 2)
    several, more = (site.world.buy(buyer, "STEAM-50") for buyer in (ANNA, BEN))
    failed_after_all(site, several, 1_000, 500)
    failed_after_all(site, more, 1_000)
    channel_tells(site, several, "console-1", "T-100001", 1_500)
    channel_tells(site, more, "console-2", "T-100002", 3_500)
    books = balances(site)
    [sum_of_two] = listed(site, several, "unknown_refund")
    refused = recorded(site, sum_of_two, "T-100001")
    assert (refused.status_code, refused.json()["code"]) == (409, "paid_in_its_place")
    [failed] = listed(site, more, "refund_stuck")
    refused = recorded(site, failed, "T-100002")
    assert (refused.status_code, refused.json()["code"]) == (409, "other_amount_back")
    assert refused.json()["params"] == {"number": "T-100002", "told": "35.00", "amount": "10.00"}
    assert (len(listed(site, several, "unknown_refund")), balances(site)) == (1, books)
    [failed] = listed(site, more, "refund_stuck")
    body = {"approved": False, "version": failed["version"]}
    failed = site.post(f"/api/exceptions/{failed['id']}/approve", by="zhou", json=body).json()
    assert recorded(site, failed, "T-100003").json()["state"] == "closed"
    assert balances(site) == books, "they had it already"
    [rest] = listed(site, more, "unknown_refund")
    assert recorded(site, rest, "T-100002").json()["state"] == "closed"
    assert [site.world.order(one).refunded_fen for one in (several, more)] == [1_500, 4_500]


def test_what_was_paid_after_all_is_booked_once_where_refunds_have_no_numbers(site):
    """Alipay names its payment instead: told again, it is what two people have recorded."""
    site.desk.says = "processing"
    site.world.stock("STEAM-50", 1)
    bought = site.world.buy(ANNA, "STEAM-50")
    refund_id = start(site, bought, amount_fen=1_000).json()["id"]
    carry_out(site)
    number, payment = read(site, refund_id)["out_refund_no"], site.world.attempt(bought).provider_no
    for state in ("closed", "succeeded"):
        channel_tells(site, bought, number, payment, 1_000, state)
    site.desk.made[number]["state"] = "succeeded"
    [one] = listed(site, bought, "refund_stuck")
    assert (recorded(site, one, payment).json()["state"], site.world.order(bought).refunded_fen) == ("closed", 1_000)
    books = balances(site)
    channel_tells(site, bought, number, payment, 1_000)
    assert (listed(site, bought, "refund_stuck"), balances(site)) == ([], books)
