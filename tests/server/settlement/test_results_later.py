"""What the bank or the channel says after a payout was said to have arrived: nobody takes that back alone."""

import pytest

from shared import ids
from tests.server.refunding import balances, carry_out
from tests.server.settlement import paying
from tests.server.settlement.paying import account_of, agree, ask, later, pay, settled, step
from tests.server.settlement.test_netting import DAY, XINGHE, refund
from tests.world import ANNA, BEN


@pytest.fixture
def shop(tmp_path):
    with paying.open_shop(tmp_path) as site:
        yield site


def told(site, *rows, by="zhou", status=None):
    """A file: payouts or rows of their instructions, amounts, whether they succeeded, and references."""
    said = [dict(zip(("number", "amount_fen", "succeeded", "reference"), row, strict=True)) for row in rows]
    body = {"id": str(ids.new_id()), "file_name": "结果.csv", "file_sha256": "0" * 64, "rows": said}
    return paying.results(site, body, by=by, status=status)


def sent(site, count=2, **terms):
    """A payout of so many orders that was sent."""
    agree(site, **terms)
    site.bought = [site.world.buy(buyer, "STEAM-50") for buyer in (ANNA, BEN, ANNA)[:count]]
    return step(site, step(site, pay(site, settled(site, DAY)), "check", by="wang", approve=True), "send")


def rows_of(site, payout):
    return ask(site, f"payouts/{payout['id']}/instruction")["rows"]


def returns(site, payout):
    return [row for row in rows_of(site, payout) if row["kind"] == "return"]


def test_a_file_takes_back_what_had_arrived_only_as_people_may(shop):
    payout = step(shop, sent(shop), "confirm")
    back = (payout["number"], payout["amount_fen"], False)
    alone = told(shop, (*back, "TH-1"), status=422)
    assert (alone["code"], "须由发起人以外的人" in alone["params"]["reason"]) == ("results_do_not_fit", True)
    assert "须有流水号" in told(shop, (*back, ""), by="wang", status=422)["params"]["reason"]
    assert (ask(shop, "statements")["items"][0]["state"], balances(shop)["bank", ""]) == ("paid", -8_550)
    assert told(shop, (*back, "TH-1"), by="wang") == {"failed": 1, "lacked": 1, "lacked_fen": 8_550}
    assert told(shop, (*back, "TH-1")) == {"known_before": 1}
    assert (ask(shop, "statements")["items"][0]["state"], balances(shop)["bank", ""]) == ("confirmed", 0)


def test_the_channels_word_on_rows_counts_after_a_person_confirmed_the_whole(shop):
    payout = sent(shop, 3, mode="profit_sharing", split_ppm=500_000)  # 22.50 of each payment, 60.75 by transfer
    number, amount = payout["number"], payout["amount_fen"]
    step(shop, payout, "confirm", note="电话核实", reference="BK-1")
    assert (amount, account_of(shop)["paid_out_fen"]) == (12_825, 12_825)
    first, second, third, transfer = (
        (f"{number}-{n}", fen) for n, fen in ((1, 2_250), (2, 2_250), (3, 2_250), (0, 6_075))
    )
    assert told(shop, (*first, True, "")) == {"known_before": 1}
    before = balances(shop)
    alone = told(shop, (*third, True, ""), (*second, False, ""), status=422)
    assert (alone["params"]["number"], "须由发起人以外的人" in alone["params"]["reason"]) == (second[0], True)
    assert balances(shop) == before

    counts = told(shop, (*first, True, ""), (*second, False, ""), (*third, True, ""), by="wang")
    assert counts == {"known_before": 2, "lacked": 1, "lacked_fen": 2_250}, "the payout stays"
    assert told(shop, (*second, False, "")) == {"known_before": 1}
    assert told(shop, (*second, True, ""), by="wang", status=422)["params"]["number"] == second[0]
    held, now = balances(shop), ask(shop, f"payouts/{payout['id']}")
    assert (now["state"], now["arrived_fen"], now["reference"]) == ("confirmed", 10_575, "BK-1")
    assert now["note"] == f"电话核实; {second[0]}"
    assert held["psp", "sandbox"] == before["psp", "sandbox"] + 2_250
    assert (held["supplier_available", XINGHE], held["bank", ""]) == (2_250, -6_075)
    [paid] = ask(shop, "statements", by="chen")["items"]
    assert (paid["state"], paid["payable_fen"], paid["paid_fen"]) == ("paid", 12_825, 10_575)

    assert told(shop, (*transfer, False, ""), by="wang") == {"lacked": 1, "lacked_fen": 6_075}
    held = balances(shop)
    assert (held["bank", ""], held["supplier_available", XINGHE]) == (0, 2_250 + 6_075)
    [rest] = settled(shop, DAY)  # what lacked is paid by a further statement
    assert (rest["lines"], rest["payable_fen"]) == (0, 8_325)
    back = step(shop, ask(shop, f"payouts/{payout['id']}"), "fail", by="wang", reference="TH-2", note="退汇")
    held = balances(shop)  # only what was still there came back
    assert (back["state"], held["psp", "sandbox"], held["supplier_available", XINGHE]) == ("failed", 13_500, 12_825)


def test_what_a_person_called_lost_is_not_there_by_a_file_alone(shop):
    payout = sent(shop, mode="profit_sharing", split_ppm=10**6)
    number = payout["number"]
    assert told(shop, (f"{number}-1", 4_275, True, "")) == {"waiting": 1, "arrived": 1, "arrived_fen": 4_275}
    assert step(shop, payout, "fail", note="渠道超时")["arrived_fen"] == 4_275
    refused = told(shop, (f"{number}-2", 4_275, True, ""), by="wang", status=422)  # it may be paid again by now
    assert "不同结果" in refused["params"]["reason"]
    assert told(shop, (f"{number}-2", 4_275, False, "")) == {"known_before": 1}
    assert balances(shop)["supplier_available", XINGHE] == 4_275

    again = ask(shop, f"payouts/{payout['id']}")
    lost = step(shop, again, "fail", by="wang", reference="TH-1", note="退汇")
    assert (lost["state"], balances(shop)["supplier_available", XINGHE]) == ("failed", 8_550)
    assert told(shop, (f"{number}-2", 4_275, False, "")) == {"known_before": 1}


def test_a_row_that_was_given_back_was_there_and_a_payout_that_lacks_all_failed(shop):
    fee = {"payout_fee_fen": 50}
    payout = step(shop, sent(shop, 1, mode="profit_sharing", split_ppm=10**6, **fee), "confirm")
    assert returns(shop, payout) == []
    refund(shop, shop.bought[0], 4_500)
    [row] = returns(shop, payout)
    back = (row["request_no"], row["amount_fen"], True, "HT-1")
    assert told(shop, back, by="wang") == {"returned": 1, "returned_fen": 4_225}
    refused = told(shop, (f"{payout['number']}-1", 4_225, False, ""), by="wang", status=422)
    assert "分账回退" in refused["params"]["reason"]

    payout = sent(shop, 2, version=1, mode="profit_sharing", split_ppm=10**6, **fee)
    rows = [row for row in rows_of(shop, payout) if row["kind"] != "unfreeze"]
    assert len(rows) == 2
    payout, fees = step(shop, payout, "confirm"), balances(shop)["payout_fee", ""]
    lost = [(row["request_no"], row["amount_fen"], False, "") for row in rows]
    assert told(shop, *lost, by="wang") == {"failed": 1, "lacked": 2, "lacked_fen": 8_450}
    now = ask(shop, f"payouts/{payout['id']}")
    assert (now["state"], now["arrived_fen"], balances(shop)["payout_fee", ""]) == ("failed", 0, fees - 50)
    assert ask(shop, "statements")["items"][0]["actions"] == ["pay"]
    assert balances(shop)["supplier_available", XINGHE] == payout["amount_fen"] + 50
    payout = sent(shop, 1, version=2, mode="profit_sharing", split_ppm=10**6)
    split = rows_of(shop, payout)[0]
    step(shop, payout, "confirm", by="wang")
    lost = (split["request_no"], split["amount_fen"], False, "")
    assert "须由发起人以外的人" in told(shop, lost, status=422)["params"]["reason"]
    counts = {"failed": 1, "lacked": 1, "lacked_fen": 4_275}
    assert told(shop, lost, by="wang") == counts  # who confirmed it may find that it was not so


def test_what_was_given_back_for_a_refund_that_came_to_nothing_is_the_suppliers_again(shop):
    payout = step(shop, sent(shop, mode="profit_sharing", split_ppm=10**6), "confirm")
    shop.desk.says = "processing"
    refund(shop, shop.bought[0], 1_000)
    [row] = returns(shop, payout)
    assert (row["amount_fen"], account_of(shop)["owed_fen"]) == (775, 950)
    shop.desk.ends("failed")
    with later(shop, hours=1):
        carry_out(shop)
    assert (returns(shop, payout), account_of(shop)["owed_fen"]) == ([], 0)
    number, back = payout["number"], (row["request_no"], 775, True, "HT-1")
    psp = balances(shop)["psp", "sandbox"]
    for bad in (
        (row["request_no"], 776, True, "HT-1"),
        (f"{number}-R1.2", 775, True, "HT-1"),
        (f"{number}-R2.1", 775, True, "HT-1"),
    ):
        assert told(shop, bad, by="wang", status=422)["code"] == "results_do_not_fit"
    assert "须由发起人以外的人" in told(shop, back, status=422)["params"]["reason"]
    assert "须有流水号" in told(shop, (*back[:3], ""), by="wang", status=422)["params"]["reason"]
    assert told(shop, (*back[:2], False, "")) == {"not_done": 1}  # that it failed anybody says
    assert balances(shop)["psp", "sandbox"] == psp
    assert told(shop, back, by="wang") == {"returned": 1, "returned_fen": 775}
    assert told(shop, back) == {"known_before": 1}
    assert (balances(shop)["psp", "sandbox"], balances(shop)["supplier_available", XINGHE]) == (psp + 775, 775)
    left = [row["request_no"] for row in rows_of(shop, payout)]
    assert left == [f"{number}-E2"], "so much of the first may be split again"
    assert settled(shop, DAY)[0]["payable_fen"] == 775
