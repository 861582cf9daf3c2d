"""Payouts by two people, their results from a file, and what they tell the bank or the channel to do."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from server.db import table_of
from server.ledger.model import LedgerHealth
from server.settlement import instructing
from shared import clock, ids
from tests.server.refunding import balances
from tests.server.settlement import paying
from tests.server.settlement.paying import SOLD, agree, ask, pay, settled, step
from tests.world import ANNA, BEN

DAY = "2026-11-16"


@pytest.fixture
def shop(site):
    site.world.stock("STEAM-50", 10)
    with clock.fixed(SOLD):
        agree(site)
        yield site


def statements(site, count=1):
    """So many confirmed statements of one order each."""
    made = []
    for _ in range(count):
        site.world.buy(ANNA, "STEAM-50")
        made += settled(site, DAY)
    return made


def results(site, rows, *, run=None, status=None):
    body = {"id": str(run or ids.new_id()), "file_name": "回单.csv", "rows": rows}
    body["file_sha256"] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return paying.results(site, body, status=status)


def row(payout, *, succeeded=True, **other):
    return {"number": payout["number"], "amount_fen": payout["amount_fen"], "succeeded": succeeded} | other


def approved(site, confirmed):
    return step(site, pay(site, confirmed), "check", by="wang", approve=True)


def sent(site, confirmed):
    return step(site, approved(site, confirmed), "send")


@pytest.mark.parametrize(("maker", "checker"), [("zhou", "wang"), ("wang", "zhou")])
def test_nobody_checks_what_they_made_themselves(shop, maker, checker):
    made = pay(shop, statements(shop), by=maker)
    assert ask(shop, f"payouts/{made['id']}", by=maker)["actions"] == ["withdraw"]
    assert ask(shop, f"payouts/{made['id']}", by=checker)["actions"] == ["check", "withdraw"]
    assert step(shop, made, "check", by=maker, approve=True, status=409)["code"] == "same_maker"
    assert step(shop, made, "check", by=maker, approve=False, status=409)["code"] == "same_maker"
    assert step(shop, made, "send", status=409)["code"] == "illegal_move"
    approved = step(shop, made, "check", by=checker, approve=True)
    assert (approved["state"], approved["version"]) == ("approved", 2)
    assert step(shop, made, "check", by=checker, approve=True, status=409)["code"] == "payout_changed"
    assert balances(shop)["supplier_available", "xinghe"] == 4_275  # nothing was booked yet
    done = step(shop, step(shop, approved, "send", by=checker), "confirm", by=maker)
    people = ("made_by", "checked_by", "sent_by", "ended_by")
    names = {"zhou": "周洁", "wang": "王敏"}
    assert [done[one] for one in people] == [names[maker], names[checker], names[checker], names[maker]]
    assert {ask(shop, f"payouts/{done['id']}", by="chen")[one] for one in people} == {"shop"}


def test_what_was_refused_or_withdrawn_can_be_paid_by_another(shop):
    confirmed = statements(shop)
    refused = step(shop, pay(shop, confirmed), "check", by="wang", approve=False, note="账户有误")
    assert (refused["state"], refused["note"], refused["actions"]) == ("refused", "账户有误", [])
    assert pay(shop, confirmed, status=201)["number"] == "DK20261116-002"
    assert pay(shop, confirmed, status=409)["code"] == "not_payable"
    [second] = [one for one in ask(shop, "payouts")["items"] if one["state"] == "requested"]
    assert step(shop, second, "withdraw")["state"] == "refused"
    third = step(shop, pay(shop, confirmed), "check", by="wang", approve=True)
    assert [one["number"] for one in third["earlier"]] == [refused["number"]]  # not what its maker thought better of
    step(shop, third, "withdraw", note="金额有变")
    done = paying.paid(shop, confirmed)
    told = [(one["number"], one["state"], one["note"], one["arrived_at"]) for one in done["earlier"]]
    assert (done["number"], told) == (
        "DK20261116-004",
        [("DK20261116-001", "refused", "账户有误", None), ("DK20261116-003", "refused", "金额有变", None)],
    )


def test_a_payout_is_made_once_and_pays_only_what_it_can(shop):
    first, second = statements(shop, 2)
    wish = ids.new_id()
    made = pay(shop, [first, second], payout_id=wish)
    assert (made["amount_fen"], made["statements"]) == (8_550, ["JS20261116-001", "JS20261116-002"])
    assert pay(shop, [first, second], payout_id=wish) == made
    assert pay(shop, [first], payout_id=wish, status=422)["code"] == "idempotency_reused"
    shop.world.buy(BEN, "STEAM-50")
    [draft] = paying.make(shop, DAY)
    assert pay(shop, [draft], status=409)["code"] == "not_payable"
    assert pay(shop, [{"id": str(ids.new_id())}], status=404)["code"] == "not_found"
    assert len(ask(shop, "payouts")["items"]) == 1


def test_what_fails_can_be_paid_again_also_when_the_bank_returns_it_later(shop):
    confirmed = statements(shop)
    failed = step(shop, sent(shop, confirmed), "fail", note="户名不符")
    assert (failed["state"], balances(shop)["supplier_available", "xinghe"]) == ("failed", 4_275)
    done = paying.paid(shop, confirmed)
    assert balances(shop)["bank", ""] == -4_275
    assert ask(shop, f"statements/{confirmed[0]['id']}")["state"] == "paid"
    assert (done["earlier"][0]["note"], done["earlier"][0]["arrived_at"]) == ("户名不符", None)
    assert (done["arrived_fen"], ask(shop, f"statements/{confirmed[0]['id']}")["paid_fen"]) == (4_275, 4_275)
    assert (done["actions"], ask(shop, f"payouts/{done['id']}", by="wang")["actions"]) == ([], ["fail"])
    alone = step(shop, done, "fail", reference="TH1", note="退汇", status=409)
    assert (alone["code"], alone["params"]) == ("returned_by_maker", {"number": done["number"]})
    assert step(shop, done, "fail", by="wang", note="退汇", status=422)["params"]["field"] == "reference"
    assert balances(shop)["bank", ""] == -4_275  # one person alone un-pays nothing
    returned = step(shop, done, "fail", by="wang", reference="TH1", note="退汇")
    assert (returned["state"], returned["actions"], returned["arrived_fen"]) == ("failed", [], 0)
    held = balances(shop)
    assert (held["bank", ""], held["payout", ""], held["supplier_available", "xinghe"]) == (0, 0, 4_275)
    statement = ask(shop, f"statements/{confirmed[0]['id']}")
    assert (statement["state"], statement["paid_at"], statement["actions"]) == ("confirmed", None, ["pay"])
    assert statement["paid_fen"] == 0
    again = pay(shop, [statement])
    told = [(one["number"], one["reference"], bool(one["arrived_at"])) for one in again["earlier"]]
    assert told == [("DK20261116-001", "", False), ("DK20261116-002", "TH1", True)]
    assert ask(shop, f"payouts/{again['id']}", by="wang")["earlier"] == again["earlier"]  # who checks it sees it
    again = step(shop, step(shop, again, "check", by="wang", approve=True), "send")
    assert step(shop, again, "confirm")["number"] == "DK20261116-003"
    assert balances(shop)["bank", ""] == -4_275


def test_a_file_of_results_is_taken_in_whole_or_not_at_all(shop):
    first, second, third = (sent(shop, [one]) for one in statements(shop, 3))
    waiting = pay(shop, statements(shop))
    good = [row(first, reference="BK1"), row(second, succeeded=False, reason="账户已销户")]
    for bad, where in (
        (row(third, amount_fen=1), "3"),
        (row(third, number="DK20261116-999"), "3"),
        (row(waiting), "3"),
        (row(first), "3"),
    ):
        refused = results(shop, [*good, bad], status=422)
        assert (refused["code"], str(refused["params"]["row"])) == ("results_do_not_fit", where)
    wrong = {"id": str(ids.new_id()), "file_name": "r.csv", "file_sha256": "0" * 64}
    wrong["rows"] = [row(third, amount_fen=1, line=7)]  # as the person's file counts them, and in their language
    for language, words in (
        ("zh", "第 7 行（DK20261116-003）不符：金额应为 ¥42.75。整份文件未导入"),
        ("en", "Row 7 (DK20261116-003) does not fit: its amount is ¥42.75. Nothing"),
    ):
        headers = {"accept-language": language}
        answer = shop.post("/api/settlement/payouts/results", by="zhou", json=wrong, headers=headers)
        assert (answer.status_code, answer.json()["detail"].startswith(words)) == (422, True), answer.text
    assert {one["state"] for one in ask(shop, "payouts")["items"]} == {"sent", "requested"}
    assert ("bank", "") not in balances(shop)

    run = ids.new_id()
    counts = {"confirmed": 1, "failed": 1, "arrived": 1, "arrived_fen": 4_275, "lacked": 1, "lacked_fen": 4_275}
    assert results(shop, good, run=run) == counts
    assert results(shop, good, run=run) == counts
    assert results(shop, [*good, row(third)]) == {"confirmed": 1, "arrived": 1, "arrived_fen": 4_275, "known_before": 2}
    assert results(shop, [row(third)], run=run, status=422)["code"] == "idempotency_reused"
    states = {one["number"]: (one["state"], one["reference"], one["note"]) for one in ask(shop, "payouts")["items"]}
    assert states[first["number"]] == ("confirmed", "BK1", "")
    assert states[second["number"]] == ("failed", "", "账户已销户")
    assert balances(shop)["bank", ""] == -8_550
    assert results(shop, [row(second)], status=422)["params"]["number"] == second["number"]


def test_nothing_is_paid_out_while_the_books_do_not_hold(shop):
    first, second = statements(shop, 2)
    requested, approved = pay(shop, [first]), step(shop, pay(shop, [second]), "check", by="wang", approve=True)
    with shop.world.ctx.db.tx() as tx:
        found = '[{"invariant": "L3", "sentence": "x", "rows": ["a"]}]'
        tx.execute(insert(table_of(LedgerHealth)), {"id": 1, "findings": found, "since": clock.now()})
    shop.world.buy(ANNA, "STEAM-50")
    [third] = settled(shop, DAY)  # a statement is no payout
    for answer in (
        pay(shop, [third], status=409),
        step(shop, requested, "check", by="wang", approve=True, status=409),
        step(shop, approved, "send", status=409),
    ):
        assert (answer["code"], answer["params"]["invariant"]) == ("payouts_frozen", "L3")
    assert step(shop, requested, "check", by="wang", approve=False)["state"] == "refused"
    with shop.world.ctx.db.tx() as tx:
        tx.execute(update(LedgerHealth).values(findings="[]"))
    assert step(shop, approved, "send")["state"] == "sent"
    step(shop, ask(shop, f"payouts/{approved['id']}"), "confirm")


def test_a_purchase_is_one_transfer_and_profit_sharing_a_split_of_each_payment(shop):
    made = sent(shop, statements(shop))
    told = ask(shop, f"payouts/{made['id']}/instruction")
    [transfer] = told["rows"]
    assert (told["mode"], transfer["kind"], transfer["request_no"]) == ("purchase", "transfer", made["number"])
    assert (transfer["receiver"], transfer["account"], transfer["bank"]) == (
        "星河数码",
        "6222-01",
        "",
    )  # no other name was
    assert (transfer["amount_fen"], transfer["remark"], transfer["trouble"]) == (4_275, "JS20261116-001", None)

    agree(shop, version=1, mode="profit_sharing", payout_fee_fen=75, split_ppm=10**6)
    bought = [shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(BEN, "STEAM-50", 2)]
    made = sent(shop, settled(shop, DAY))
    told = ask(shop, f"payouts/{made['id']}/instruction")
    assert told["amount_fen"] == made["amount_fen"] == 12_750
    shown = [(row["request_no"], row["order_code"], row["amount_fen"], row["trouble"]) for row in told["rows"]]
    assert shown == [
        (f"{made['number']}-1", bought[0].order.code, 4_250, None),
        (f"{made['number']}-2", bought[1].order.code, 8_500, None),
        (f"{made['number']}-E1", bought[0].order.code, 225 + 25, None),  # the fee's part of each payment is the shop's
        (f"{made['number']}-E2", bought[1].order.code, 450 + 50, None),
    ]
    assert [row["kind"] for row in told["rows"]] == ["split", "split", "unfreeze", "unfreeze"]
    assert told["rows"][0]["provider_no"] == shop.world.attempt(bought[0]).provider_no
    assert (told["rows"][0]["start_at"], told["rows"][0]["until"]) == ("2026-11-16T04:01:00Z", "2026-12-16T04:00:00Z")
    with paying.later(shop, days=31):
        late = ask(shop, f"payouts/{made['id']}/instruction")["rows"]
        assert [row["trouble"] for row in late] == ["too_late", "too_late"]


def test_a_payment_is_split_within_thirty_days_and_fifty_rounds():
    def trouble(rounds=0, **passed):
        return instructing.window(SOLD, at=SOLD + timedelta(**passed), rounds=rounds).trouble

    assert [trouble(), trouble(days=30), trouble(days=30, seconds=1)] == [None, None, "too_late"]
    assert [trouble(rounds=49), trouble(rounds=50)] == [None, "too_many_rounds"]
    assert [instructing.most_of(4_500, ppm) for ppm in (0, 300_000, 333_333, 10**6)] == [0, 1_350, 1_499, 4_500]


def test_no_payment_gives_more_than_is_left_of_it():
    one, two, three = (ids.new_id() for _ in range(3))

    def shared(amount, fee, own, others):
        parts = instructing.share_out(amount, fee, own, others)
        return [(part.order_id, part.amount, part.fee) for part in parts]

    assert shared(1_100, 0, {one: 300, two: 700}, {three: 60}) == [(one, 300, 0), (two, 700, 0), (three, 60, 0)]
    assert shared(1_000, 9, {one: 300, two: 700}, {three: 60}) == [(one, 300, 0), (two, 700, 0)]
    # a part of nothing is no row; the fee is what those that give have left, so that they are done
    assert shared(100, 0, {one: 1, two: 2, three: 200}, {}) == [(two, 1, 0), (three, 99, 0)]
    assert shared(990, 10, {one: 300, two: 700}, {}) == [(one, 297, 3), (two, 693, 7)]
    assert shared(1_020, 60, {one: 300, two: 700}, {three: 60}) == [(one, 300, 0), (two, 700, 0), (three, 20, 40)]


def test_nobody_carries_a_payout_to_the_bank_that_is_not_booked(shop):
    made = pay(shop, statements(shop))

    def carried(status=200):
        return ask(shop, f"payouts/{made['id']}/instruction", status=status)

    def is_not_carried():
        assert carried(409)["code"] == "payout_not_sent"
        assert carried(409)["params"]["number"] == made["number"]

    is_not_carried()
    made = step(shop, made, "check", by="wang", approve=True)
    is_not_carried()  # it may be taken back, or refunds may use it up
    made = step(shop, made, "send")
    assert (made["reference"], balances(shop)["payout", ""]) == ("", 4_275)
    assert [row["amount_fen"] for row in carried()["rows"]] == [4_275]
    assert step(shop, made, "withdraw", status=409)["code"] == "illegal_move"  # what was not carried has failed
    assert [row["amount_fen"] for row in carried()["rows"]] == [4_275]
    step(shop, made, "fail", note="未交银行")
    assert carried()["rows"] == []
    made = sent(shop, [ask(shop, "statements")["items"][0]])
    assert [(one["note"], one["state"]) for one in made["earlier"]] == [("未交银行", "failed")]
    step(shop, made, "confirm")
    assert carried()["rows"] == []
    made = pay(shop, statements(shop))
    step(shop, made, "check", by="wang", approve=False)
    is_not_carried()


def test_nobody_is_paid_whose_account_nobody_knows(shop):
    agree(shop, version=1, account="")
    confirmed = statements(shop)
    refused = pay(shop, confirmed, status=409)
    assert (refused["code"], refused["params"]) == ("no_account", {"supplier": "星河数码"})
    assert refused["detail"] == "供应商“星河数码”没有收款账号，请先在结算条件里登记，再发起打款。"
    assert (ask(shop, "payouts")["items"], ask(shop, "statements")["items"][0]["has_account"]) == ([], False)
    agree(shop, version=2, mode="profit_sharing", account="1900000109")
    made = pay(shop, confirmed)
    assert (made["account"], made["is_new_account"], made["number"]) == ("1900000109", True, "DK20261116-001")


@pytest.mark.parametrize("what", ["supplier", "order"])
def test_who_is_held_is_not_paid(shop, what):
    first = shop.world.buy(ANNA, "STEAM-50")
    [one] = settled(shop, DAY)
    shop.world.buy(BEN, "STEAM-50")
    [two] = settled(shop, DAY)
    made = pay(shop, [one])
    named = {"supplier_id": str(shop.world.suppliers["xinghe"])} if what == "supplier" else {}
    named = named or {"order_code": first.order.code}
    wish = {"id": str(ids.new_id()), "reason": "涉嫌欺诈"} | named

    def refused(answer):
        assert (answer["code"], answer["params"]["reason"]) == ("payout_held", "涉嫌欺诈")
        assert answer["params"]["what"] == ("星河数码" if what == "supplier" else first.order.code)

    held = paying.say(shop, "holds", wish)
    refused(step(shop, made, "check", by="wang", approve=True, status=409))
    paying.say(shop, f"holds/{held['id']}", None, method="DELETE")
    made = step(shop, made, "check", by="wang", approve=True)
    paying.say(shop, "holds", wish | {"id": str(ids.new_id()), "until": "2026-11-18"})
    refused(step(shop, made, "send", status=409))
    assert balances(shop)["supplier_available", "xinghe"] == 8_550
    made = step(shop, made, "withdraw")
    refused(pay(shop, [one], status=409))
    pay(shop, [two], status=409 if what == "supplier" else 201)
    with paying.later(shop, days=2):  # the day has come
        assert pay(shop, [one], status=201)["amount_fen"] == 4_275
