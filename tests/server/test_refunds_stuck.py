"""Refunds that do not get on by themselves: one exception at a time, which says what is the matter now."""

from datetime import timedelta

import pytest

from shared import clock
from shared.states import ExceptionKind
from tests.server.refunding import (
    approved,
    balances,
    carry_out,
    later,
    read,
    shop_with_refunds,
    stuck,
    tell,
)


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
    site.world.check()


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
    site.world.check()


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
    site.world.check()


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
    site.world.check()


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
    site.world.check()


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
    site.world.check()
