"""Faults of refunds (payments.md 7): no answer, no end, too much, too poor, not ours, and people who act on old news.

A refund has one number for its whole life, and what its channel gave back is what the books say, never twice.
"""

import asyncio
import threading

import pytest

from server.gateways.port import CreateRefund
from server.payments.model import PaymentException
from shared.states import UnitState
from tests.fault.market import PRICE, SKU
from tests.server.refunding import ask, look, policy, post, read, start, units

ACKNOWLEDGED = ("acknowledged", 1)


def one_refund(shop, bought):
    """State, trouble and number of the order's only refund."""
    [refund] = shop.refunds(bought.number)
    return refund.state, refund.trouble, refund.out_refund_no


def stuck(shop, bought):
    """The state of each exception about a refund that does not get on."""
    found = shop.rows(PaymentException, PaymentException.order_id == bought.order.id)
    return [one.state for one in found if one.kind == "refund_stuck"]


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_fault_26_a_refund_without_an_answer_is_asked_about_under_its_number(shop, channel):
    bought = shop.bought(channel)
    shop.fault("drop", out_trade_no=bought.number)
    shop.fault("hang", call="refund", out_trade_no=bought.number)
    assert start(shop, bought).status_code == 201
    with shop.impatient():
        shop.world.work()
    state, trouble, number = one_refund(shop, bought)
    assert (state, trouble) == ("submitted", "no_answer")
    assert shop.paid_there(bought.number) == [("paid", PRICE, PRICE)]
    with shop.later(seconds=61):
        shop.work()
    assert one_refund(shop, bought) == ("succeeded", None, number)
    assert shop.paid_there(bought.number) == [("paid", PRICE, PRICE)]
    assert shop.journals(bought) == ["PAY", "SALE", "REVERSE", "REFUND"]
    assert shop.world.order(bought).state == "refunded"


def test_fault_26_a_refund_that_never_arrived_is_sent_again_under_its_number(shop):
    bought = shop.bought()
    shop.fault("away", call="refund", channel="wechat", times=2)
    assert start(shop, bought).status_code == 201
    shop.world.work()
    state, trouble, number = one_refund(shop, bought)
    assert (state, trouble) == ("submitted", "no_answer")
    assert shop.paid_there(bought.number) == [("paid", PRICE, 0)]
    shop.testing.delete("/api/faults")
    with shop.later(seconds=61):
        shop.work()
        shop.told(bought.number, about="refund")
    assert one_refund(shop, bought) == ("succeeded", None, number)
    assert shop.paid_there(bought.number) == [("paid", PRICE, PRICE)]


def test_fault_27_a_refund_that_the_card_did_not_take_waits_for_people(shop):
    bought = shop.bought()
    shop.fault("refund_outcome", "abnormal", out_trade_no=bought.number)
    assert start(shop, bought).status_code == 201
    shop.world.work()
    assert shop.told(bought.number, about="refund") == [ACKNOWLEDGED]
    state, trouble, number = one_refund(shop, bought)
    assert (state, trouble, stuck(shop, bought)) == ("abnormal", "abnormal", ["open"])
    assert shop.world.order(bought).state == "delivered"
    assert shop.journals(bought) == ["PAY", "SALE", "REVERSE"]
    [refund] = shop.refunds(bought.number)
    assert (refund.turn, refund.ended_at) == ("shop", None)
    assert start(shop, bought).status_code == 409  # not a second one beside it
    assert one_refund(shop, bought)[2] == number
    # It is taken over in the channel's console and transferred to the buyer: two people say so, the channel no other.
    waiting = shop.get("/api/exceptions", by="li").json()["items"]
    [one] = [one for one in waiting if one["out_trade_no"] == bought.number]
    body = {"action": "record", "note": "转到买家的新卡", "provider_no": "BANK-0001", "version": one["version"]}
    proposed = shop.post(f"/api/exceptions/{one['id']}/propose", by="li", json=body).json()
    body = {"approved": True, "version": proposed["version"]}
    assert shop.post(f"/api/exceptions/{one['id']}/approve", by="zhou", json=body).json()["state"] == "closed"
    assert (one_refund(shop, bought), stuck(shop, bought)) == (("succeeded", None, number), ["closed"])
    assert shop.journals(bought) == ["PAY", "SALE", "REVERSE", "REFUND"]
    assert shop.world.order(bought).state == "refunded"


def test_fault_27_a_refund_that_the_channel_closed_gives_its_shares_back(shop):
    bought = shop.bought()
    shop.fault("refund_outcome", "closed", out_trade_no=bought.number)
    assert start(shop, bought).status_code == 201
    shop.world.work()
    assert shop.told(bought.number, about="refund") == [ACKNOWLEDGED]
    state, trouble, _ = one_refund(shop, bought)
    assert (state, trouble, stuck(shop, bought)) == ("closed", "refused", ["open"])
    assert shop.journals(bought) == ["PAY", "SALE", "REVERSE", "RESTORE"]
    assert shop.world.order(bought).state == "delivered"
    assert shop.paid_there(bought.number) == [("paid", PRICE, 0)]


def test_fault_28_partial_refunds_never_sum_to_more_than_was_paid(shop):
    bought = shop.bought()
    answers = []

    def wish():
        answer = start(shop, bought, amount_fen=3_000)
        while answer.json().get("code") == "order_changed":  # another one was quicker: it looks again
            answer = start(shop, bought, amount_fen=3_000)
        answers.append(answer)

    together = [threading.Thread(target=wish) for _ in range(6)]
    shop.token("li")
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 5
    shop.world.work()
    shop.told(bought.number, about="refund")
    assert shop.paid_there(bought.number) == [("paid", PRICE, 3_000)]
    assert start(shop, bought, amount_fen=1_501).status_code == 422
    assert start(shop, bought, amount_fen=1_500).status_code == 201
    shop.world.work()  # WeChat Pay wants a minute between two: it is not asked before
    assert shop.paid_there(bought.number) == [("paid", PRICE, 3_000)]
    assert [(one.state, one.trouble) for one in shop.refunds(bought.number)][1] == ("approved", "too_soon")
    with shop.later(seconds=61):
        shop.work()
        shop.told(bought.number, 2, about="refund")
    assert shop.paid_there(bought.number) == [("paid", PRICE, PRICE)]
    assert shop.world.order(bought).state == "refunded"
    assert start(shop, bought, amount_fen=1).status_code == 409


def test_fault_29_after_the_keys_were_seen_the_supplier_is_asked_and_no_key_returns(shop):
    policy(shop, SKU, "defect_only")
    shop.sold_out()
    bought = shop.bought()
    assert len(look(shop, bought)) == 1
    refund_id = ask(shop, bought, "defective")
    shop.work()
    assert (read(shop, refund_id)["state"], read(shop, refund_id)["turn"]) == ("supplier_wait", "supplier")
    assert shop.paid_there(bought.number) == [("paid", PRICE, 0)]
    post(shop, refund_id, "answer", "chen", answer="agree", evidence="已核实，卡密无效")
    shop.world.work()
    shop.told(bought.number, about="refund")
    assert read(shop, refund_id)["state"] == "succeeded"
    assert shop.paid_there(bought.number) == [("paid", PRICE, PRICE)]
    states, delivered, _ = units(shop, bought)
    assert UnitState.FREE not in states.values()
    assert len(delivered) == 1
    assert shop.world.level(SKU).free == 0


def test_fault_30_a_balance_that_is_too_low_waits_for_a_top_up(shop):
    bought = shop.bought()
    poor = shop.fault("balance_low", out_trade_no=bought.number)
    assert start(shop, bought).status_code == 201
    shop.world.work()
    state, trouble, number = one_refund(shop, bought)
    assert (state, trouble, stuck(shop, bought)) == ("submitted", "not_enough_balance", ["open"])
    shop.end(poor)
    [refund] = shop.refunds(bought.number)
    post(shop, refund.id, "retry", "wang")
    shop.work()
    shop.told(bought.number, about="refund")
    assert one_refund(shop, bought) == ("succeeded", None, number)
    assert shop.paid_there(bought.number) == [("paid", PRICE, PRICE)]
    assert stuck(shop, bought) == ["closed"]


def test_fault_31_a_refund_made_at_the_channel_itself_is_shown_and_moves_nothing(shop):
    bought = shop.bought()
    before = shop.state_of_all()
    made = CreateRefund(
        out_refund_no="MADE-BY-HAND-01",
        out_trade_no=bought.number,
        amount_fen=1_000,
        reason="线下处理",
        total_fen=PRICE,
        notify_url=f"{shop.ctx.settings.base_url}/pay/wechat/notify",
    )
    asyncio.run(shop.ctx.gateways["wechat"].refund(made))  # what a clerk does on the channel's own pages
    assert shop.told(bought.number, about="refund") == [ACKNOWLEDGED]
    assert shop.exceptions(bought) == [("unknown_refund", "open", 1_000)]
    assert shop.refunds(bought.number) == []
    assert shop.state_of_all()[:3] == before[:3]
    assert shop.world.order(bought).state == "delivered"
    # Two people link it to its order, under the channel's own number, and the books are as if it had been made here.
    listed = shop.get("/api/exceptions", by="li").json()["items"]
    [one] = [each for each in listed if each["order_code"] == bought.order.code]
    number = next(fact["value"] for fact in one["evidence"] if fact["name"] == "refund_no")
    said = {"action": "record", "note": "客服在商户平台退的", "provider_no": number, "version": one["version"]}
    proposed = shop.post(f"/api/exceptions/{one['id']}/propose", by="li", json=said).json()
    yes = {"approved": True, "version": proposed["version"]}
    assert shop.post(f"/api/exceptions/{one['id']}/approve", by="zhou", json=yes).json()["state"] == "closed"
    assert [(made.state, made.provider_refund_no) for made in shop.refunds(bought.number)] == [("succeeded", number)]
    assert shop.world.order(bought).refunded_fen == 1_000
    assert shop.journals(bought) == ["PAY", "SALE", "REVERSE", "REFUND"]


def test_fault_50_a_refund_takes_shares_back_by_journals_of_its_own(shop):
    """Until suppliers are settled there is no closed statement; that a sale is never edited holds already."""
    bought = shop.bought()
    supplier = shop.world.suppliers["xinghe"].hex
    before = shop.balances()
    assert start(shop, bought, amount_fen=2_000).status_code == 201
    shop.world.work()
    shop.told(bought.number, about="refund")
    after = shop.balances()
    moved = {account: after[account] - before[account] for account in after if after[account] != before[account]}
    assert moved == {("psp", "wechat"): -2_000, ("supplier_pending", supplier): -1_900, ("fee", ""): -100}
    assert shop.journals(bought) == ["PAY", "SALE", "REVERSE", "REFUND"]


def test_fault_52_a_console_with_old_news_is_told_of_the_conflict(shop):
    policy(shop, SKU, "defect_only")
    bought = shop.bought()
    look(shop, bought)
    refund_id = ask(shop, bought, "defective")
    seen = read(shop, refund_id, by="chen")["version"]
    post(shop, refund_id, "answer", "chen", answer="refuse", evidence="卡密未被使用", version=seen)
    post(shop, refund_id, "decide", "li", approve=True, reason="买家有理")
    shop.world.work()
    shop.told(bought.number, about="refund")
    done = read(shop, refund_id)
    assert done["state"] == "succeeded"
    for verb, by, body in (
        ("answer", "chen", {"answer": "agree"}),
        ("decide", "li", {"approve": True, "reason": "再退一次"}),
        ("retry", "wang", {}),
    ):
        refused = post(shop, refund_id, verb, by, status=409, version=seen, **body)
        assert refused["code"] == "refund_changed"
    again = start(shop, bought, version=1)
    assert (again.status_code, again.json()["code"]) == (409, "order_changed")
    assert read(shop, refund_id) == done
    assert shop.paid_there(bought.number) == [("paid", PRICE, PRICE)]
