"""Payouts by profit sharing: what is split of which payment, what ends its splitting, and what became of each row."""

import pytest
from sqlalchemy import select

from server.audit import AuditEvent
from server.payments.actions import Outcome
from shared import ids
from shared.pricing import Deal, Share
from tests.server.refunding import balances, carry_out
from tests.server.settlement import paying
from tests.server.settlement.paying import SHARING, account_of, agree, ask
from tests.server.settlement.test_disputes import close, dispute
from tests.server.settlement.test_netting import DAY, XINGHE, approved, refund
from tests.world import ANNA, BEN


@pytest.fixture
def shop(tmp_path):
    with paying.open_shop(tmp_path) as site:
        agree(site, **SHARING)
        yield site


def carried(site, payout):
    """What of which order's payment goes to the supplier; of None it is transferred."""
    rows = [row for row in rows_of(site, payout) if row["kind"] != "unfreeze"]
    return {row["order_code"]: (row["amount_fen"], row["trouble"]) for row in rows}


def rows_of(site, payout):
    return ask(site, f"payouts/{payout['id']}/instruction")["rows"]


def returns(site, payout):
    """What its receiver is asked to give back; it may still have to be told that splittings ended."""
    return [row for row in rows_of(site, payout) if row["kind"] == "return"]


def test_no_payment_is_split_that_was_refunded_since(shop):
    first, second = shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(BEN, "STEAM-50")
    confirmed = paying.settled(shop, DAY)
    refund(shop, first, 4_500)
    payout = sent(shop, confirmed)
    assert (payout["amount_fen"], carried(shop, payout)) == (4_275, {second.order.code: (4_275, None)})
    paying.step(shop, payout, "fail", note="未交渠道")
    payout = approved(shop, confirmed)
    shop.world.buy(ANNA, "STEAM-50")
    paying.settled(shop, DAY)
    refund(shop, second, 1_000)  # what is available would do; the payment has not got it any more
    refused = paying.step(shop, payout, "send", status=409)
    assert (refused["code"], refused["params"]["number"]) == ("split_outdated", payout["number"])
    paying.step(shop, payout, "withdraw")


def test_what_one_payment_lacks_is_split_off_another_once(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    paying.settled(shop, DAY)
    refund(shop, first, 4_500)
    second = shop.world.buy(BEN, "STEAM-50")
    paying.settled(shop, DAY)
    waiting = [one for one in ask(shop, "statements")["items"] if one["state"] == "confirmed"]
    payout = sent(shop, [waiting[-1]])  # of the first: its money is the second's
    assert (payout["amount_fen"], carried(shop, payout)) == (4_275, {second.order.code: (4_275, None)})
    paying.step(shop, payout, "confirm")
    assert account_of(shop)["available_fen"] == 0
    third = shop.world.buy(BEN, "STEAM-50")
    paying.settled(shop, DAY)
    last = sent(shop, [ask(shop, "statements")["items"][0]])
    assert carried(shop, last) == {third.order.code: (4_275, None)}
    paying.step(shop, last, "fail", note="未交渠道")
    paying.step(shop, approved(shop, [ask(shop, "statements")["items"][0]]), "withdraw")
    assert list(carried_again(shop)) == [third.order.code]


def carried_again(site):
    """The instruction of another payout of the newest statement, after others took none of it."""
    return carried(site, sent(site, [ask(site, "statements")["items"][0]]))


def test_a_channel_splits_no_more_of_a_payment_than_it_granted(shop):
    agree(shop, version=1, mode="profit_sharing")  # 30 % of 45.00, as WeChat Pay grants everybody
    bought = shop.world.buy(ANNA, "STEAM-50")
    payout = sent(shop, paying.settled(shop, DAY))
    assert carried(shop, payout) == {bought.order.code: (1_350, None), None: (2_925, "no_payment")}
    assert [(row["kind"], row["request_no"], row["amount_fen"]) for row in rows_of(shop, payout)] == [
        ("split", f"{payout['number']}-1", 1_350),
        ("transfer", f"{payout['number']}-0", 2_925),
        ("unfreeze", f"{payout['number']}-E1", 3_150),  # nothing more can be split of it
    ]
    paying.step(shop, payout, "fail", note="未交渠道")
    agree(shop, version=2, mode="profit_sharing", split_ppm=0)
    payout = sent(shop, [ask(shop, "statements")["items"][0]])
    assert carried(shop, payout) == {None: (4_275, "no_payment")}


def test_the_splitting_of_a_payment_ends_when_nothing_more_is_split_of_it(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    refund(shop, first, 1_000)  # 35.00 are left, 33.25 of them the supplier's
    [one] = paying.settled(shop, DAY)
    payout = sent(shop, [one])
    [split, end] = rows_of(shop, payout)
    assert (split["kind"], split["amount_fen"], end["kind"], end["amount_fen"]) == ("split", 3_325, "unfreeze", 175)
    assert (end["order_code"], end["payment_no"]) == (split["order_code"], split["payment_no"])
    assert (end["receiver"], end["request_no"]) == ("", f"{payout['number']}-E1")
    shop.desk.says = "processing"
    refund(shop, first, 500)  # while anything about it is open its rest stays where it is
    assert [row["kind"] for row in rows_of(shop, payout)] == ["split"]


def test_only_what_was_opened_to_be_split_is(shop):
    agree(shop, version=1)  # a purchase
    unshared, fact = shop.world.place(ANNA, "STEAM-50"), shop.world.fact
    agree(shop, version=2, **SHARING)
    shared = shop.world.place(BEN, "STEAM-50")
    assert (unshared.attempt.is_shared, shared.attempt.is_shared) == (False, True)
    assert [shop.world.apply(fact(one)) for one in (unshared, shared)] == [Outcome.APPLIED] * 2  # both under sharing
    payout = sent(shop, paying.settled(shop, DAY))
    assert carried(shop, payout) == {shared.order.code: (4_275, None), None: (4_275, "no_payment")}
    assert ends(shop, payout) == {shared.order.code: 225}
    paying.step(shop, payout, "confirm")
    held = balances(shop)
    assert (held["psp", "sandbox"], held["bank", ""]) == (9_000 - 4_275, -4_275)


def test_rounds_are_those_of_the_payment(shop):
    shop.world.buy(ANNA, "STEAM-50")
    confirmed = paying.settled(shop, DAY)
    for _ in range(2):
        failed = paying.step(shop, sent(shop, confirmed), "fail", note="渠道维护")
        assert [row["trouble"] for row in rows_of(shop, failed)] == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.settlement.instructing.MOST_ROUNDS", 2)
        payout = sent(shop, confirmed)
        assert carried(shop, payout) == {None: (4_275, "no_payment")}
        paying.step(shop, payout, "fail", note="渠道维护")
        fresh = shop.world.buy(BEN, "STEAM-50")
        payout = sent(shop, paying.settled(shop, DAY))
        assert carried(shop, payout) == {fresh.order.code: (4_275, None)}
        patch.setattr("server.settlement.instructing.MOST_ROUNDS", 0)
        assert carried(shop, payout) == {fresh.order.code: (4_275, "too_many_rounds")}  # since it was sent


def test_what_is_too_late_to_be_split_is_transferred(shop):
    shop.world.buy(ANNA, "STEAM-50")
    confirmed = paying.settled(shop, DAY)
    in_time = approved(shop, confirmed)
    shop.world.buy(BEN, "STEAM-50")
    with paying.later(shop, days=31):
        assert paying.step(shop, in_time, "send", status=409)["code"] == "split_outdated"
        paying.step(shop, in_time, "withdraw")
        payout = sent(shop, confirmed + paying.settled(shop, "2026-12-17"))
        assert carried(shop, payout) == {None: (8_550, "no_payment")}
        paying.step(shop, payout, "confirm")
        held = balances(shop)
    assert (held["psp", "sandbox"], held["bank", ""]) == (9_000, -8_550)


def test_no_more_is_split_of_a_payment_than_refunds_left_in_it(shop):
    bought = shop.world.buy(ANNA, "STEAM-50", deal=Deal(discount=Share.fixed(150_000)))
    [one] = paying.settled(shop, DAY)
    assert (shop.world.order(bought).amount_fen, one["payable_fen"]) == (3_000, 4_275)  # the shop bears 15.00
    refund(shop, bought, 1_000)  # 14.25 of the supplier's, and 20.00 are left
    payout = sent(shop, [one])
    assert (payout["amount_fen"], carried(shop, payout)) == (
        2_850,
        {bought.order.code: (2_000, None), None: (850, "no_payment")},
    )
    assert [row["kind"] for row in rows_of(shop, payout)] == ["split", "transfer"]  # all of it: nothing is unfrozen


def test_a_payment_whose_splitting_was_ended_is_split_no_more(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    confirmed = paying.settled(shop, DAY)
    payout = sent(shop, confirmed)
    number = payout["number"]
    assert told(shop, [(f"{number}-E1", 225, True, "")]) == {"waiting": 1, "unfrozen": 1}
    ended = [(row["kind"], row["amount_fen"], row["succeeded"]) for row in rows_of(shop, payout)]
    assert ended == [("split", 4_275, None), ("unfreeze", 225, True)]
    assert told(shop, [(f"{number}-1", 4_275, False, "账户注销")]) == {"failed": 1, "lacked": 1, "lacked_fen": 4_275}
    second = shop.world.buy(BEN, "STEAM-50")
    payout = sent(shop, [*paying.settled(shop, DAY), *confirmed])
    assert carried(shop, payout) == {second.order.code: (4_275, None), None: (4_275, "no_payment")}
    assert first.order.code not in {row["order_code"] for row in rows_of(shop, payout)}


def test_what_a_dispute_asks_back_is_not_split_until_it_is_won(shop):
    first, second = shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(BEN, "STEAM-50")
    confirmed = paying.settled(shop, DAY)
    payout = approved(shop, confirmed)
    opened = dispute(shop, first, 2_000)  # 19.00 of the supplier's
    assert paying.step(shop, payout, "send", status=409)["code"] == "split_outdated"
    paying.step(shop, payout, "withdraw")
    payout = sent(shop, confirmed)
    assert payout["amount_fen"] == 8_550 - 1_900
    assert carried(shop, payout) == {first.order.code: (2_375, None), second.order.code: (4_275, None)}
    assert ends(shop, payout) == {second.order.code: 225}

    close(shop, opened, won=True)
    rest = sent(shop, paying.settled(shop, DAY))
    assert carried(shop, rest) == {first.order.code: (1_900, None)}
    assert (ends(shop, payout), ends(shop, rest)) == ({second.order.code: 225}, {})  # each waits for the other
    told(shop, [(f"{payout['number']}-1", 2_375, True, "")])
    assert (ends(shop, payout), ends(shop, rest)) == ({second.order.code: 225}, {first.order.code: 225})


def ends(site, payout):
    """What of which order's payment is left for the shop when its splitting ends."""
    return {row["order_code"]: row["amount_fen"] for row in rows_of(site, payout) if row["kind"] == "unfreeze"}


def told(site, rows, *, by="zhou", reference="", status=None):
    """A file of the channel: what became of so many rows."""
    body = {"id": str(ids.new_id()), "file_name": "分账结果.csv", "file_sha256": f"{len(repr(rows)):064x}"}
    named = [dict(zip(("number", "amount_fen", "succeeded", "reason"), row, strict=True)) for row in rows]
    rows = [row | {"reference": reference} for row in named]
    return paying.results(site, body | {"rows": rows}, by=by, status=status)


def test_each_row_of_an_instruction_has_its_own_result(shop):
    agree(shop, version=1, **SHARING, payout_fee_fen=75)
    for buyer in (ANNA, BEN, ANNA):
        shop.world.buy(buyer, "STEAM-50")
    [one] = paying.settled(shop, DAY)
    payout = approved(shop, [one])
    number = payout["number"]
    assert told(shop, [(f"{number}-1", 4_250, True, "")], status=422)["code"] == "results_do_not_fit"  # not sent yet
    paying.step(shop, payout, "send")
    good = [(f"{number}-1", 4_250, True, ""), (f"{number}-2", 4_250, False, "接收方账户异常")]
    one_of_each = {"arrived": 1, "arrived_fen": 4_250, "lacked": 1, "lacked_fen": 4_250}
    for bad in ((f"{number}-9", 1, True, ""), (f"{number}-3", 1, True, ""), (f"{number}-x", 1, True, "")):
        assert told(shop, [*good, bad], status=422)["params"]["row"] in {3, "3"}
    assert told(shop, good) == {"waiting": 1, **one_of_each}
    shown = [(row["request_no"][-2:], row["amount_fen"], row["succeeded"]) for row in rows_of(shop, payout)]
    assert shown == [
        ("-1", 4_250, True),
        ("-2", 4_250, False),  # and is not ended: it can be tried again
        ("-3", 4_250, None),
        ("E1", 250, None),  # the fee's part of it is the shop's
        ("E3", 250, None),
    ]
    now = ask(shop, f"payouts/{payout['id']}")
    assert (now["state"], now["arrived_fen"], balances(shop)["payout", ""]) == ("sent", 0, 12_750)
    assert told(shop, [(f"{number}-2", 4_250, True, "")], status=422)["params"]["number"] == f"{number}-2"

    counts = {"known_before": 2, "in_part": 1, "arrived": 1, "arrived_fen": 4_250}
    assert told(shop, [*good, (f"{number}-3", 4_250, True, "")]) == counts
    now, paid = ask(shop, f"payouts/{payout['id']}"), ask(shop, f"statements/{one['id']}", by="chen")
    assert (now["state"], now["amount_fen"], now["arrived_fen"]) == ("confirmed", 12_750, 8_500)
    assert now["note"] == f"{number}-2 接收方账户异常"
    assert (paid["state"], paid["payable_fen"], paid["paid_fen"]) == ("paid", 12_750, 8_500)
    held = balances(shop)
    assert (held["psp", "sandbox"], held["payout", ""], held["payout_fee", ""]) == (3 * 4_500 - 8_500, 0, 75)
    assert ("bank", "") not in held  # the channel split it: it never came to the bank
    assert (held["supplier_available", XINGHE], account_of(shop)["paid_out_fen"]) == (4_250, 8_500)

    [rest] = paying.settled(shop, DAY)  # what did not arrive was left over
    assert (rest["lines"], rest["owed_fen"], rest["payable_fen"]) == (0, -4_250, 4_175)
    assert paying.brought_by(paying.brought(shop, rest)) == [("lacked", 4_250, number)]
    again = sent(shop, [rest])
    taken = [row for row in rows_of(shop, again) if row["kind"] == "split"]
    assert [row["amount_fen"] for row in taken] == [4_175]  # what failed, less another fee
    assert [row["amount_fen"] for row in rows_of(shop, again) if row["kind"] == "unfreeze"] == [4_500 - 4_175]
    failed = [(row["request_no"], row["amount_fen"], False, "仍异常") for row in taken]
    assert told(shop, failed) == {"failed": 1, "lacked": 1, "lacked_fen": 4_175}
    assert ask(shop, f"payouts/{again['id']}")["note"] == f"{again['number']}-1 仍异常"
    assert balances(shop)["supplier_available", XINGHE] == 4_250
    back = paying.step(shop, ask(shop, f"payouts/{payout['id']}"), "fail", by="wang", reference="TH-1")
    assert (back["state"], back["arrived_fen"]) == ("failed", 0)
    held = balances(shop)
    assert (held["psp", "sandbox"], held["payout_fee", ""]) == (3 * 4_500, 0)
    assert held["supplier_available", XINGHE] == 12_825


def sent(site, confirmed):
    """A payout that was given to the channel."""
    return paying.step(site, approved(site, confirmed), "send")


def sent_in_part(site):
    """One of two orders, of which half can be split, and the rest is transferred."""
    agree(site, version=1, mode="profit_sharing", split_ppm=500_000)
    for buyer in (ANNA, BEN):
        site.world.buy(buyer, "STEAM-50")
    return sent(site, paying.settled(site, DAY))


@pytest.mark.parametrize(("verb", "arrived", "bank"), [("confirm", 6_300, -4_050), ("fail", 2_250, None)])
def test_what_a_person_says_of_a_payout_leaves_out_what_the_channel_told(shop, verb, arrived, bank):
    payout = sent_in_part(shop)
    number = payout["number"]
    rows = [(f"{number}-1", 2_250, True, ""), (f"{number}-2", 2_250, False, "账户异常")]
    assert [row["amount_fen"] for row in rows_of(shop, payout)] == [2_250, 2_250, 4_050, 2_250, 2_250]
    assert told(shop, rows)["waiting"] == 1
    ended = paying.step(shop, payout, verb, note="电话核实")
    assert (ended["state"], ended["amount_fen"], ended["arrived_fen"]) == ("confirmed", 8_550, arrived)
    held = balances(shop)
    assert (held["psp", "sandbox"], held.get(("bank", "")), held["payout", ""]) == (9_000 - 2_250, bank, 0)
    assert held["supplier_available", XINGHE] == 8_550 - arrived


def test_what_nobody_told_of_a_payout_that_failed_did_not_arrive(shop):
    payout = sent_in_part(shop)
    number = payout["number"]
    for bad in (f"{number}-E0", f"{number}-R0.1"):
        assert told(shop, [(bad, 4_050, True, "")], status=422)["code"] == "results_do_not_fit"
    [first, second, *_] = rows_of(shop, payout)
    told(shop, [(f"{number}-1", 2_250, True, "")])
    ended = paying.step(shop, payout, "fail", note="其余未交渠道")
    assert (ended["state"], ended["arrived_fen"]) == ("confirmed", 2_250)
    assert told(shop, [(f"{number}-2", 2_250, False, "渠道关单")]) == {"known_before": 1}
    assert told(shop, [(f"{number}-2", 2_250, True, "")], status=422)["code"] == "results_do_not_fit"
    again = sent(shop, paying.settled(shop, DAY))
    assert carried(shop, again) == {second["order_code"]: (2_250, None), None: (4_050, "no_payment")}
    paying.step(shop, again, "fail", note="渠道维护")
    for order in (first, second):
        code = order["order_code"]
        wish = {
            "reason": "客服补偿",
            "amount_fen": 4_500,
            "version": shop.get(f"/api/orders/{code}", by="li").json()["version"],
        }
        key = {"idempotency-key": ids.new_token()}
        assert shop.post(f"/api/orders/{code}/refunds", by="li", json=wish, headers=key).status_code == 201
    carry_out(shop)
    assert [(row["order_code"], row["amount_fen"]) for row in returns(shop, ended)] == [(first["order_code"], 2_250)]


def test_what_refunds_lack_after_a_split_is_given_back_once(shop):
    first, _ = shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(BEN, "STEAM-50")
    payout = paying.step(shop, sent(shop, paying.settled(shop, DAY)), "confirm")
    assert returns(shop, payout) == []
    refund(shop, first, 1_000)  # 2.25 of the payment are left at the channel
    assert account_of(shop)["owed_fen"] == 950
    [row] = returns(shop, payout)
    assert (row["kind"], row["request_no"], row["amount_fen"]) == ("return", f"{payout['number']}-R1.1", 775)
    assert (row["order_code"], row["until"]) == (first.order.code, "2027-05-15T04:00:00Z")
    back, by = (row["request_no"], 775, True, ""), {"by": "wang", "reference": "HT-1"}
    for bad in ((f"{payout['number']}-R2.1", 775, True, ""), (row["request_no"], 776, True, "")):
        assert told(shop, [bad], **by, status=422)["code"] == "results_do_not_fit"
    assert told(shop, [(row["request_no"], 775, False, "余额不足")]) == {"not_done": 1}
    psp = balances(shop)["psp", "sandbox"]
    assert told(shop, [back], **by) == {"returned": 1, "returned_fen": 775}
    assert told(shop, [back, (f"{payout['number']}-1", 4_275, True, "")]) == {"known_before": 2}
    assert (balances(shop)["psp", "sandbox"], account_of(shop)["owed_fen"]) == (psp + 775, 950 - 775)
    assert (returns(shop, payout), account_of(shop)["paid_out_fen"]) == ([], 2 * 4_275 - 775)
    seen = ask(shop, f"payouts/{payout['id']}")
    assert (seen["arrived_fen"], seen["returned_fen"]) == (2 * 4_275, 775)
    gone = paying.step(shop, seen, "fail", by="wang", reference="TH-9", status=409)
    assert gone["code"] == "payout_given_back"

    refund(shop, first, 3_400)
    [row] = returns(shop, seen)
    assert (row["request_no"], row["amount_fen"]) == (f"{payout['number']}-R1.2", 3_400)
    refund(shop, first, 100)  # all of it now, while that is carried to the channel
    assert told(shop, [(row["request_no"], 3_400, True, "")], **by) == {"returned": 1, "returned_fen": 3_400}
    [row] = returns(shop, seen)
    assert (row["request_no"], row["amount_fen"]) == (f"{payout['number']}-R1.3", 100)
    with paying.later(shop, days=181):
        assert returns(shop, seen) == []  # nobody is asked any more; what was given back in time may be told
        assert told(shop, [(row["request_no"], 100, True, "")], **by) == {"returned": 1, "returned_fen": 100}


def test_who_is_paid_is_written_on_the_payout_and_a_new_account_is_told(shop):
    terms = SHARING | {"mode": "purchase", "receiver": "星河数码有限公司", "bank": "招商银行深圳分行"}
    agree(shop, version=1, **terms, account="7559 0001")

    def next_payout():
        shop.world.buy(ANNA, "STEAM-50")
        return paying.pay(shop, paying.settled(shop, DAY))

    first = next_payout()
    assert (first["receiver"], first["account"], first["is_new_account"]) == ("星河数码有限公司", "7559 0001", True)
    agree(shop, version=2, **terms, account="7559 0002")  # what was made goes where it was to go
    first = paying.step(shop, paying.step(shop, first, "check", by="wang", approve=True), "send")
    [row] = rows_of(shop, first)
    assert (row["receiver"], row["account"], row["bank"]) == ("星河数码有限公司", "7559 0001", "招商银行深圳分行")
    paying.step(shop, first, "confirm")
    assert (next_payout()["account"], next_payout()["is_new_account"]) == ("7559 0002", True)
    agree(shop, version=3, **terms, account="7559 0001")
    assert next_payout()["is_new_account"] is False
    agree(shop, version=4, **terms | {"receiver": "另一家公司"}, account="7559 0001")
    assert next_payout()["is_new_account"] is True  # in another name
    [newest] = ask(shop, f"terms/{shop.world.suppliers['xinghe']}", by="chen")["items"][:1]
    assert (newest["account"], newest["split_ppm"]) == ("7559 0001", 10**6)
    with shop.world.ctx.db.read() as tx:
        logged = " ".join(filter(None, tx.scalars(select(AuditEvent.detail))))
    assert "0001" in logged
    assert "7559 0001" not in logged
