"""Money of payouts that is a supplier's again: no more than was asked for, by two people, told to who checks next."""

import pytest

from tests.server.refunding import balances, carry_out
from tests.server.settlement import paying
from tests.server.settlement.paying import (
    PURCHASE,
    SHARING,
    account_of,
    agree,
    ask,
    brought,
    brought_by,
    later,
    paid,
    pay,
    settled,
    step,
)
from tests.server.settlement.test_netting import DAY, XINGHE, refund
from tests.server.settlement.test_results_later import told
from tests.server.settlement.test_splitting import carried, returns, sent
from tests.world import ANNA, BEN


@pytest.fixture
def shop(tmp_path):
    with paying.open_shop(tmp_path) as site:
        agree(site, **SHARING)
        yield site


def given_up(site, bought, amount):
    """A refund of an order that its channel takes on, and ends without money."""
    site.desk.says = "processing"
    refund(site, bought, amount)
    site.desk.ends("failed")
    with later(site, hours=1):
        carry_out(site)
    site.desk.says = "succeeded"


def test_no_more_comes_back_of_a_split_than_refunds_ever_asked_for(shop):
    first, second = shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(BEN, "STEAM-50")
    payout = step(shop, sent(shop, settled(shop, DAY)), "confirm")
    number = payout["number"]
    given_up(shop, first, 100)  # 2.25 of the payment were never split: nothing was asked of its receiver
    for n, fen in ((1, 4_275), (1, 1), (2, 4_275)):
        refused = told(shop, (f"{number}-R{n}.1", fen, True, "HT-1"), by="wang", status=422)
        assert "没有待回退的分账" in refused["params"]["reason"]
    given_up(shop, second, 300)
    given_up(shop, second, 500)  # 5.00 are more than those 2.25: they were not asked for at once
    refused = told(shop, (f"{number}-R2.1", 276, True, "HT-1"), by="wang", status=422)
    assert "最多回退 ¥2.75" in refused["params"]["reason"]
    assert (returns(shop, payout), balances(shop)["psp", "sandbox"]) == ([], 450)
    assert told(shop, (f"{number}-R2.1", 275, True, "HT-1"), by="wang") == {"returned": 1, "returned_fen": 275}
    assert (account_of(shop)["available_fen"], balances(shop)["supplier_available", XINGHE]) == (275, 275)
    for number_of, fen, succeeded, why in (
        (f"{number}-R2.1", 275, False, "此行已有不同结果"),
        (f"{number}-R2.1", 274, True, "金额应为 ¥2.75"),
        (number, 8_550, False, "不能整笔退回"),
    ):
        refused = told(shop, (number_of, fen, succeeded, "HT-1"), by="wang", status=422)
        assert (refused["params"]["number"], why in refused["params"]["reason"]) == (number_of, True)
    refused = told(shop, (f"{number}-R2.2", 1, True, "HT-2"), by="wang", status=422)
    assert "没有待回退的分账" in refused["params"]["reason"]


def test_no_payment_is_split_of_the_time_when_goods_were_purchased(shop):
    with later(shop, minutes=1):
        agree(shop, version=1, **PURCHASE)
        shop.world.buy(ANNA, "STEAM-50")
        paid(shop, settled(shop, DAY))
        shop.world.buy(ANNA, "STEAM-50")  # paid without profit sharing, and settled under it
    with later(shop, minutes=2):
        agree(shop, version=2, **SHARING)
        shared = [shop.world.buy(BEN, "STEAM-50") for _ in range(2)]
        payout = sent(shop, settled(shop, DAY))
        codes = [one.order.code for one in shared]
        assert carried(shop, payout) == {codes[0]: (4_275, None), codes[1]: (4_275, None), None: (4_275, "no_payment")}
        number = payout["number"]
        told(
            shop, (f"{number}-1", 4_275, True, ""), (f"{number}-2", 4_275, False, ""), (f"{number}-0", 4_275, True, "")
        )
        again = sent(shop, settled(shop, DAY))
        assert carried(shop, again) == {codes[1]: (4_275, None)}
        step(shop, again, "confirm")
    held = balances(shop)
    assert (held["bank", ""], held["psp", "sandbox"]) == (-8_550, 4 * 4_500 - 8_550)


def test_who_checks_the_next_payout_reads_what_of_those_before_is_paid_again(shop):
    bought = [shop.world.buy(buyer, "STEAM-50") for buyer in (ANNA, BEN)]
    payout = sent(shop, settled(shop, DAY))
    first = payout["number"]
    told(shop, (f"{first}-1", 4_275, True, ""), (f"{first}-2", 4_275, False, ""))  # its maker alone says so
    with later(shop, hours=1):
        again = pay(shop, settled(shop, DAY))
        for reader in ("zhou", "wang"):
            [named] = ask(shop, f"payouts/{again['id']}", by=reader)["earlier"]
            assert (named["number"], named["state"], named["note"]) == (first, "confirmed", f"{first}-2")
            assert (named["amount_fen"], named["back_fen"], again["amount_fen"]) == (8_550, 4_275, 4_275)
        again = step(shop, step(shop, again, "check", by="wang", approve=True), "send")
        step(shop, again, "confirm")
    with later(shop, hours=2):
        fresh = shop.world.buy(ANNA, "STEAM-50")
        assert step(shop, sent(shop, settled(shop, DAY)), "confirm")["earlier"] == []  # that was paid, and told
        refund(shop, fresh, 4_500)
        refund(shop, bought[0], 4_500)
    with later(shop, hours=3):
        for one, reference in ((returns(shop, payout), "HT-1"), (returns(shop, last(shop)), "HT-2")):
            [row] = one
            told(shop, (row["request_no"], row["amount_fen"], True, reference), by="wang")
        for _ in range(2):
            shop.world.buy(BEN, "STEAM-50")
        [statement] = settled(shop, DAY)
        parts = [("given_back", 4_275, first), ("given_back", 4_275, last(shop)["number"])]
        assert brought_by(brought(shop, statement)) == parts
        due = pay(shop, [statement])
        named = [(one["number"], one["back_fen"], one["reference"]) for one in due["earlier"]]
        assert named == [(first, 8_550, "HT-1"), (last(shop, -2)["number"], 4_275, "HT-2")]
        step(shop, due, "withdraw")


def last(site, n=-1):
    """The newest payout, or one before it."""
    return sorted(ask(site, "payouts")["items"], key=lambda one: one["number"])[n]
