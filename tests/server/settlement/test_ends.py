"""Payments that were opened to be split: their splitting ends with the payout after which nothing more is split."""

import pytest
from sqlalchemy import delete, update

from server import migrations
from server.payments.actions import Outcome
from server.payments.attempts import NextAttempt
from server.payments.model import PaymentAttempt
from server.payments.settling import payments_of
from server.settlement.model import SettlementSplit
from tests.server.settlement import paying
from tests.server.settlement.paying import PURCHASE, SHARING, agree, later, paid, settled, step
from tests.server.settlement.test_netting import DAY, approved, refund
from tests.server.settlement.test_splitting import ends, rows_of, sent, told
from tests.world import ANNA, BEN


@pytest.fixture
def shop(tmp_path):
    with paying.open_shop(tmp_path) as site:
        agree(site, **SHARING)
        yield site


def kinds(site, payout):
    return [(row["kind"], row["request_no"], row["amount_fen"]) for row in rows_of(site, payout)]


def test_a_payment_of_which_nothing_is_split_is_ended_too(shop):
    agree(shop, version=1, **SHARING | {"split_ppm": 0})
    first = shop.world.buy(ANNA, "STEAM-50")
    payout = sent(shop, settled(shop, DAY))
    number = payout["number"]
    end = (f"{number}-E1", 4_500)
    assert kinds(shop, payout) == [("transfer", f"{number}-0", 4_275), ("unfreeze", *end)]
    for bad in ((f"{number}-1", 1, True, ""), (f"{number}-E2", 4_500, True, ""), (end[0], 4_501, True, "")):
        assert told(shop, [bad], status=422)["code"] == "results_do_not_fit"
    assert told(shop, [(*end, False, "系统繁忙")]) == {"waiting": 1, "not_done": 1}
    step(shop, payout, "confirm")
    assert kinds(shop, payout) == [("unfreeze", *end)], "it failed, and may be tried again"
    refund(shop, first, 1_000)
    assert ends(shop, payout) == {first.order.code: 3_500}
    refused = told(shop, [(end[0], 3_499, True, "")], status=422)
    assert "金额应为 ¥35.00 – ¥45.00" in refused["params"]["reason"]  # it may have been carried before the refund
    assert told(shop, [(*end, True, "")]) == {"unfrozen": 1}
    assert (rows_of(shop, payout), told(shop, [(*end, True, "")])) == ([], {"known_before": 1})

    opened = shop.world.place(BEN, "STEAM-50")
    agree(shop, version=2, **PURCHASE)  # while its buyer pays
    assert shop.world.apply(shop.world.fact(opened)) is Outcome.APPLIED
    payout = sent(shop, settled(shop, DAY))
    number = payout["number"]
    assert kinds(shop, payout) == [("transfer", number, 3_325), ("unfreeze", f"{number}-E1", 4_500)]
    both = [(f"{number}-E1", 4_500, True, ""), (number, 3_325, True, "")]
    assert told(shop, both) == {"confirmed": 1, "unfrozen": 1, "arrived": 1, "arrived_fen": 3_325}
    assert rows_of(shop, payout) == []


def test_what_its_channel_granted_at_the_approval_decides_what_a_payment_still_gives(shop):
    agree(shop, version=1, **SHARING | {"split_ppm": 300_000})
    bought = shop.world.buy(ANNA, "STEAM-50")
    payout = approved(shop, settled(shop, DAY))
    with later(shop, hours=1):
        agree(shop, version=2, **SHARING, payout_fee_fen=75)  # the rest of its share is a transfer all the same
        payout = step(shop, payout, "send")
        assert ends(shop, payout) == {bought.order.code: 3_150}
        step(shop, payout, "confirm")
        assert ends(shop, payout) == {bought.order.code: 3_150}, "until it is told"
        assert told(shop, [(f"{payout['number']}-E1", 3_150, True, "")]) == {"unfrozen": 1}
        other = shop.world.buy(BEN, "STEAM-50")
        payout = approved(shop, settled(shop, DAY))
        shop.world.buy(ANNA, "STEAM-50")
        settled(shop, DAY)
        refund(shop, other, 50)  # there is enough for what it takes, and not for the fee, which is to stay there too
        assert step(shop, payout, "send", status=409)["code"] == "split_outdated"


def test_what_refunds_of_other_orders_took_is_split_no_more(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    paid(shop, settled(shop, DAY))
    refund(shop, first, 1_000)
    second = shop.world.buy(BEN, "STEAM-50")
    payout = sent(shop, settled(shop, DAY))
    assert (payout["amount_fen"], ends(shop, payout)) == (3_325, {second.order.code: 1_175})
    third = shop.world.buy(ANNA, "STEAM-50")
    settled(shop, DAY)
    assert ends(shop, payout) == {}, "that may be split of it"
    refund(shop, third, 4_500)
    assert ends(shop, payout) == {second.order.code: 1_175}
    step(shop, payout, "confirm")
    refund(shop, first, 3_500)
    refund(shop, second, 1_000)
    fourth = shop.world.buy(ANNA, "STEAM-50")
    assert [one["state"] for one in settled(shop, DAY)] == ["paid"], "debts take all of it, and no payout pays it"
    fifth = shop.world.buy(BEN, "STEAM-50")
    again = sent(shop, settled(shop, DAY))
    assert ends(shop, again) == {fourth.order.code: 4_500, fifth.order.code: 225}
    assert ends(shop, payout) == {second.order.code: 175}


def test_the_newest_payout_of_a_payment_ends_it_alone(shop):
    bought = shop.world.buy(ANNA, "STEAM-50")
    failed = step(shop, sent(shop, first := settled(shop, DAY)), "fail", note="渠道维护")
    payout = sent(shop, first)
    assert (ends(shop, failed), ends(shop, payout)) == ({}, {bought.order.code: 225})
    step(shop, payout, "confirm")
    refused = told(shop, [(f"{payout['number']}-E1", 4_500, True, "")], status=422)
    assert "金额应为 ¥2.25" in refused["params"]["reason"], "what arrived was split"
    late = (f"{failed['number']}-E1", 225, True, "")  # it was carried after all
    assert told(shop, [late]) == {"unfrozen": 1}
    assert ends(shop, payout) == {}


def test_money_that_was_paid_twice_is_not_the_payment_that_is_split(shop):
    world = shop.world
    first = world.place(ANNA, "STEAM-50")
    again = world.ctx.batch.call(NextAttempt(first.order.id, "sandbox", "qr", closed=(first.attempt.id,)))
    assert world.apply(world.fact(first)) is Outcome.APPLIED
    second = world.fact(first, out_trade_no=again.out_trade_no, provider_no="S-AGAIN")
    assert world.apply(second) is Outcome.EXCEPTION
    with world.ctx.db.read() as tx:
        assert tx.get(PaymentAttempt, again.id).state == "paid"
        paid = payments_of(tx, [first.order.id])[first.order.id]
    assert (paid.number, paid.provider_no) == (first.attempt.out_trade_no, world.fact(first).provider_no)


def test_money_that_people_attach_to_another_order_is_ended_as_it_was_opened(shop):
    """Of a wrong amount: its channel keeps it back for a split, though the order it pays was to be split for nobody."""
    world = shop.world
    world.stock("MUSIC-30", 1)
    opened = world.place(ANNA, "STEAM-50")
    assert world.apply(world.fact(opened, amount_fen=1_250)) is Outcome.EXCEPTION
    agree(shop, version=1, **PURCHASE)
    meant = world.place(BEN, "MUSIC-30")
    [one] = shop.get("/api/exceptions", by="li").json()["items"]
    said = {"action": "attach", "note": "买家出示了账单", "order_code": meant.order.code, "version": one["version"]}
    one = shop.post(f"/api/exceptions/{one['id']}/propose", by="li", json=said).json()
    body = {"approved": True, "version": one["version"]}
    assert shop.post(f"/api/exceptions/{one['id']}/approve", by="zhou", json=body).json()["state"] == "closed"
    payout = sent(shop, settled(shop, DAY))
    [end] = [row for row in rows_of(shop, payout) if row["kind"] == "unfreeze"]
    assert (end["order_code"], end["amount_fen"]) == (meant.order.code, 1_250)
    assert end["payment_no"] == opened.attempt.out_trade_no, "the channel knows no other"
    with world.ctx.db.tx() as tx:  # as it was kept before migration 0021
        tx.execute(update(PaymentAttempt).where(PaymentAttempt.paid_as.is_not(None)).values(is_shared=False))
        tx.execute(delete(SettlementSplit))
    assert rows_of(shop, payout)[1:] == []
    migrations.downgrade(world.ctx.db, "0020")
    migrations.upgrade(world.ctx.db)
    assert rows_of(shop, payout)[1:] == [end]
    step(shop, payout, "confirm")
    assert told(shop, [(end["request_no"], 1_250, True, "")]) == {"unfrozen": 1}
    assert ends(shop, payout) == {}
