"""Faults of money (payments.md 7): it comes unheard, late, twice, of a wrong amount, for nobody, or in another order.

Every fen that the sandbox took ends as a delivered order, as money that went back, or in an exception that names it.
"""

import asyncio

import pytest

from server.payments.model import PaymentAttempt
from tests.fault.market import DELIVERED, PRICE, SKU, UNPAID
from tests.server.refunding import start
from tests.world import ANNA, BEN

ACKNOWLEDGED = ("acknowledged", 1)
CHEAP, CHEAP_PRICE = "MUSIC-30", 1_250


def act(shop, bought, action, **more):
    """Two people agree on what is done about the one open exception of an order."""
    found = shop.get("/api/exceptions", by="zhou", params={"limit": 500}).json()["items"]
    [one] = [one for one in found if one["order_code"] == bought.order.code]
    return decide(shop, one, action, **more)


def decide(shop, one, action, **more):
    """Zhou proposes, and may not approve it herself; Wang approves."""
    path = f"/api/exceptions/{one['id']}"
    wish = {"action": action, "note": "核对过银行流水", "version": one["version"]} | more
    proposed = shop.post(f"{path}/propose", by="zhou", json=wish)
    assert proposed.status_code == 200, proposed.text
    yes = {"approved": True, "note": "", "version": proposed.json()["version"]}
    assert shop.post(f"{path}/approve", by="zhou", json=yes).status_code == 409
    approved = shop.post(f"{path}/approve", by="wang", json=yes)
    assert approved.status_code == 200, approved.text
    shop.work()


@pytest.mark.parametrize("channel", ["wechat", "alipay", "epay"])
def test_fault_03_without_a_callback_the_page_or_the_sweep_finds_the_money(shop, channel):
    looked, left = shop.opened(channel), shop.opened(channel)
    for bought in (looked, left):
        shop.fault("drop", out_trade_no=bought.number)
        shop.press(bought.number)
        assert shop.standing(bought) == UNPAID
    with shop.later(seconds=6):  # the buyer's page is open
        shop.post(f"/o/{looked.order.code}/refresh", buyer=ANNA)
    with shop.later(seconds=31):  # nobody looks
        shop.sweep()
    assert [shop.standing(one) for one in (looked, left)] == [DELIVERED] * 2
    assert [shop.found_by(one) for one in (looked, left)] == ["page", "sweep"]
    assert [shop.journals(one) for one in (looked, left)] == [["PAY", "SALE"]] * 2
    assert shop.kept(looked.number) == shop.kept(left.number) == []


@pytest.mark.parametrize("end", ["another way", "cancelled", "expired"])
def test_fault_03_money_for_what_a_channel_cannot_close_is_found_though_nobody_tells(shop, end):
    """Epay's address is good for ever: paid in a tab that was left open, or first opened after its order had ended."""
    shop.stocked(2)
    placed = shop.order(ANNA, SKU, PRICE, channel="epay").json()
    bought = shop.of(placed["code"])
    shop.fault("drop", out_trade_no=bought.number)
    if end == "another way":
        assert asyncio.run(shop.pay_by(bought, "alipay")) is None
    elif end == "cancelled":
        assert shop.post(f"/o/{bought.order.code}/cancel", buyer=ANNA).status_code == 303
    else:
        with shop.later(minutes=16):
            shop.sweep()
    unpaid = "pending_payment" if end == "another way" else end
    assert shop.standing(bought) == (unpaid, "pending")
    assert shop.testing.get(placed["pay_url"]).status_code == 302
    shop.press(bought.number)
    with shop.later(hours=2):
        shop.sweep()
    assert (shop.standing(bought), shop.found_by(bought)) == (DELIVERED, "sweep")
    assert (shop.journals(bought), shop.exceptions(bought)) == (["PAY", "SALE"], [])


@pytest.mark.parametrize("has_stock", [True, False])
def test_fault_04_money_after_the_order_expired_delivers_or_goes_back(shop, has_stock):
    shop.sold_out()
    bought = shop.opened()
    with shop.later(minutes=16):
        shop.sweep()
        assert shop.standing(bought) == ("expired", "closed")
        assert shop.world.level(SKU).free == 1
        if not has_stock:
            shop.sold_out()
        shop.press(bought.number, "late")
        assert shop.told(bought.number) == [ACKNOWLEDGED]
        assert shop.found_by(bought) == "callback"
        if has_stock:
            assert shop.standing(bought) == DELIVERED
            assert (shop.journals(bought), shop.exceptions(bought)) == (["PAY", "SALE"], [])
            return
        assert shop.standing(bought) == ("delivery_failed", "paid")
        assert shop.journals(bought) == ["PAY"]
        assert shop.exceptions(bought) == [("paid_after_expiry", "open", PRICE)]
        shop.work()
        shop.told(bought.number, about="refund")
        assert shop.standing(bought) == ("refunded", "paid")
        assert shop.paid_there(bought.number) == [("paid", PRICE, PRICE)]
        assert shop.journals(bought) == ["PAY", "NOSTOCK"]
        assert shop.exceptions(bought) == [("paid_after_expiry", "closed", PRICE)]


def test_fault_05_money_that_comes_while_the_order_is_being_closed_wins(shop):
    first, before = shop.opened("alipay"), shop.deliveries()
    shop.fault("drop", out_trade_no=first.number)
    shop.press(first.number)
    answer = shop.post(f"/o/{first.order.code}/cancel", buyer=ANNA)  # the close is refused: paid
    assert answer.status_code == 303
    assert (shop.standing(first), shop.deliveries()) == (DELIVERED, before + 1)
    assert shop.exceptions(first) == []

    shown = shop.opened()
    assert shop.post(f"/o/{shown.order.code}/cancel", buyer=ANNA).status_code == 303
    assert shop.standing(shown) == ("cancelled", "closed")
    shop.press(shown.number, "late")
    assert shop.told(shown.number) == [ACKNOWLEDGED]
    assert (shop.standing(shown), shop.deliveries()) == (DELIVERED, before + 2)


def test_fault_06_a_yes_to_closing_is_never_believed_before_the_query(shop):
    bought = shop.opened()
    shop.fault("paid_in_close", out_trade_no=bought.number)
    shop.fault("drop", out_trade_no=bought.number)
    assert shop.post(f"/o/{bought.order.code}/cancel", buyer=ANNA).status_code == 303
    assert shop.standing(bought) == DELIVERED
    assert shop.journals(bought) == ["PAY", "SALE"]

    silent = shop.opened()
    shop.fault("away", call="query", channel="wechat")
    refused = shop.post(f"/o/{silent.order.code}/cancel", buyer=ANNA)  # it said 204, and then nothing
    assert refused.status_code == 503
    assert shop.standing(silent) == UNPAID


@pytest.mark.parametrize(("fault", "charged"), [("charged_fen", PRICE - 1), ("charged_fen", PRICE + 2_000)])
def test_fault_15_and_16_another_amount_delivers_nothing_and_goes_back(shop, fault, charged):
    bought, before = shop.opened(), shop.deliveries()
    shop.fault(fault, charged, out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.told(bought.number) == [ACKNOWLEDGED]
    assert (shop.standing(bought), shop.deliveries()) == (UNPAID, before)
    assert shop.exceptions(bought) == [("amount_mismatch", "open", charged)]
    assert shop.aside(bought.number) == [("held", charged)]
    assert shop.journals(bought) == ["SUSPENSE"]
    act(shop, bought, "refund")
    shop.told(bought.number, about="refund")
    assert shop.paid_there(bought.number) == [("paid", charged, charged)]
    assert shop.aside(bought.number) == [("returned", charged)]
    with shop.later(minutes=16):
        shop.sweep()
        assert shop.standing(bought) == ("expired", "closed")
    # What the channel says of it now is our own refund: nobody is told of one that somebody else made.
    assert shop.exceptions(bought) == [("amount_mismatch", "closed", charged)]
    assert shop.journals(bought) == ["SUSPENSE", "REFUND"]


@pytest.mark.parametrize("claimed", [1, PRICE + 1])
def test_fault_15_and_16_a_callback_with_another_amount_is_corrected_by_the_query(shop, claimed):
    bought, before = shop.opened(), shop.deliveries()
    lie = shop.fault("amount_fen", claimed, out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.told(bought.number) == [ACKNOWLEDGED]
    assert (shop.standing(bought), shop.deliveries()) == (UNPAID, before)
    assert shop.exceptions(bought) == [("amount_mismatch", "open", claimed)]
    shop.end(lie)
    with shop.later(seconds=31):
        shop.sweep()
    assert (shop.standing(bought), shop.deliveries()) == (DELIVERED, before + 1)
    assert sorted(shop.journals(bought)) == ["CORRECT", "PAY", "SALE", "SUSPENSE"]
    assert shop.aside(bought.number) == [("corrected", claimed)]
    assert shop.exceptions(bought) == [("amount_mismatch", "closed", claimed)]


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_fault_17_a_coupon_of_the_channel_pays_like_money(shop, channel):
    bought = shop.opened(channel)
    shop.fault("coupon_fen", 500, out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.told(bought.number) == [ACKNOWLEDGED]
    assert (shop.standing(bought), shop.exceptions(bought)) == (DELIVERED, [])
    assert shop.world.attempt(bought).payer_total_fen == PRICE - 500


def test_fault_18_another_currency_is_no_money_of_ours(shop):
    bought, before = shop.opened(), shop.state_of_all()
    lie = shop.fault("currency", "USD", out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.told(bought.number) == [ACKNOWLEDGED]
    assert (shop.standing(bought), shop.state_of_all()[:3]) == (UNPAID, before[:3])
    assert shop.exceptions(bought) == [("amount_mismatch", "open", PRICE)]
    assert shop.aside(bought.number) == []
    shop.end(lie)
    with shop.later(seconds=31):
        shop.sweep()
    assert shop.standing(bought) == DELIVERED
    assert shop.exceptions(bought) == [("amount_mismatch", "closed", PRICE)]


def test_fault_15_and_18_of_the_same_money_are_two_exceptions(shop):
    """The callback lies about the currency, the query tells that too little was charged: that money is in the list."""
    bought = shop.opened()
    shop.fault("charged_fen", 4_000, out_trade_no=bought.number)
    lie = shop.fault("currency", "USD", out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.told(bought.number) == [ACKNOWLEDGED]
    assert (shop.exceptions(bought), shop.aside(bought.number)) == ([("amount_mismatch", "open", 4_000)], [])
    shop.end(lie)
    with shop.later(seconds=31):
        shop.sweep()
    assert shop.aside(bought.number) == [("held", 4_000)]
    assert shop.exceptions(bought) == [("amount_mismatch", "open", 4_000)] * 2


@pytest.mark.parametrize("ending", ["attach", "refund"])
def test_fault_20_money_for_a_number_that_is_not_ours_is_kept_as_an_orphan(shop, ending):
    bought, orphan = shop.opened(), f"KM-NOBODY-{ending}"
    shop.fault("out_trade_no", orphan, out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.told(bought.number) == [ACKNOWLEDGED]
    assert shop.standing(bought) == UNPAID
    assert shop.exceptions_named(orphan) == [("unknown_payment", "open", PRICE)]
    assert shop.aside(orphan) == [("held", PRICE)]
    found = shop.get("/api/exceptions", by="zhou", params={"limit": 500}).json()["items"]
    [one] = [one for one in found if one["out_trade_no"] == orphan]
    assert one["order_code"] is None
    if ending == "attach":
        decide(shop, one, "attach", order_code=bought.order.code)
        assert shop.world.order(bought).state == "delivered"
        assert shop.aside(orphan) == [("attached", PRICE)]
        assert shop.journals(bought) == ["ATTACH", "SALE"]
    else:  # the channel knows of no such number of ours, and gives the money back by its own
        decide(shop, one, "refund")
        for minutes in (1, 11, 31):  # whatever the first answer was, asked again it says that it is done
            with shop.later(minutes=minutes):
                shop.work()
        assert shop.aside(orphan) == [("returned", PRICE)]
        assert {state for _, state, _ in shop.exceptions_named(orphan)} == {"closed"}
        assert shop.standing(bought)[0] != "delivered"


def test_fault_21_an_order_that_is_paid_twice_gets_one_key_and_the_second_money_back(shop):
    twice, before = shop.opened(), shop.deliveries()
    shop.press(twice.number)
    assert shop.told(twice.number) == [ACKNOWLEDGED]
    shop.press(twice.number, "again")
    assert shop.told(twice.number, 2) == [ACKNOWLEDGED] * 2
    assert shop.deliveries() == before + 1
    assert shop.journals(twice) == ["PAY", "SALE", "SUSPENSE"]
    shop.work()
    shop.told(twice.number, about="refund")
    assert sum(back for _, _, back in shop.paid_there(twice.number)) == PRICE
    assert shop.exceptions(twice) == [("paid_twice", "closed", PRICE)]
    assert shop.world.order(twice).state == "delivered"

    across = shop.opened("wechat")
    assert asyncio.run(shop.pay_by(across, "alipay")) is None
    first, second = shop.rows(PaymentAttempt, PaymentAttempt.order_id == across.order.id)
    shop.press(second.out_trade_no)
    shop.told(second.out_trade_no)
    assert shop.world.order(across).state == "delivered"
    shop.press(first.out_trade_no, "late")  # the first was closed, and is paid all the same
    assert shop.told(first.out_trade_no) == [ACKNOWLEDGED]
    assert shop.deliveries() == before + 2
    assert [kind for kind, _, _ in shop.exceptions(across)] == ["paid_twice"]
    shop.work()
    shop.told(first.out_trade_no, about="refund")
    assert shop.paid_there(first.out_trade_no) == [("paid", PRICE, PRICE)]
    assert shop.paid_there(second.out_trade_no) == [("paid", PRICE, 0)]
    assert shop.exceptions(across) == [("paid_twice", "closed", PRICE)]
    assert shop.world.order(across).state == "delivered"


def test_fault_22_the_same_number_of_the_channel_pays_one_order_only(shop):
    paid = shop.bought()
    used, before = shop.world.attempt(paid).provider_no, shop.deliveries()
    other = shop.opened()
    shop.fault("trade_no", used, out_trade_no=other.number)
    shop.press(other.number)
    assert shop.told(other.number) == [ACKNOWLEDGED]
    assert (shop.standing(other), shop.deliveries()) == (UNPAID, before)
    assert shop.exceptions(other) == [("paid_twice", "open", PRICE)]
    assert (shop.journals(other), shop.aside(other.number)) == ([], [])
    with shop.later(seconds=31):
        shop.sweep()  # the query names its own number: it was paid
    assert (shop.standing(other), shop.deliveries()) == (DELIVERED, before + 1)


def test_fault_23_what_comes_out_of_order_takes_nothing_back(shop):
    bought = shop.bought("alipay")
    started = start(shop, bought, amount_fen=1_000)
    assert started.status_code == 201, started.text
    shop.work()
    shop.told(bought.number, about="refund")  # Alipay tells of it as TRADE_SUCCESS with a refund in it
    assert shop.world.order(bought).state == "partially_refunded"
    assert shop.world.attempt(bought).state == "paid"
    assert shop.paid_there(bought.number) == [("paid", PRICE, 1_000)]
    before = shop.state_of_all()
    for one in shop.notifications(bought.number):
        assert shop.testing.post(f"/api/notifications/{one['id']}/replay").status_code == 202
    shop.told(bought.number, 2)
    shop.told(bought.number, 2, about="refund")
    shop.work()
    assert shop.state_of_all() == before

    held = [shop.opened(), shop.opened(), shop.opened()]
    shop.fault("reorder", 3, channel="wechat")
    for one in held:
        shop.press(one.number)
    for one in held:
        assert shop.told(one.number) == [ACKNOWLEDGED]
    assert [shop.standing(one) for one in held] == [DELIVERED] * 3


def test_fault_40_a_cheap_payment_does_not_pay_a_dear_order(shop):
    dear = shop.opened()
    shop.stocked(sku=CHEAP)
    cheap, before = shop.place(sku=CHEAP, amount=CHEAP_PRICE, buyer=BEN), shop.deliveries()
    shop.fault("out_trade_no", dear.number, out_trade_no=cheap.number)
    shop.press(cheap.number)
    assert shop.told(cheap.number) == [ACKNOWLEDGED]
    assert (shop.standing(dear), shop.standing(cheap), shop.deliveries()) == (UNPAID, UNPAID, before)
    assert shop.exceptions(dear) == [("amount_mismatch", "open", CHEAP_PRICE)]
    with shop.later(seconds=31):
        shop.sweep()  # the channel names this money for the cheap order now, and nothing is moved by itself
    assert (shop.standing(dear), shop.standing(cheap), shop.deliveries()) == (UNPAID, UNPAID, before)
    assert shop.exceptions(cheap) == [("amount_mismatch", "open", CHEAP_PRICE)]
    act(shop, dear, "attach", order_code=cheap.order.code)
    assert (shop.standing(dear), shop.world.order(cheap).state) == (UNPAID, "delivered")
    assert shop.journals(cheap) == ["ATTACH", "SALE"]
    assert shop.deliveries() == before + 1


def test_fault_51_a_channel_that_is_switched_off_still_ends_what_is_open(shop):
    paid, open_ = shop.bought(), shop.opened()
    channel = next(one for one in shop.get("/api/channels", by="zhou").json() if one["code"] == "wechat")
    switch = {"enabled": False, "reason": "对账不平", "version": channel["version"]}
    off = shop.request("PUT", "/api/channels/wechat", by="wang", json=switch)
    assert off.status_code == 200, off.text
    try:
        shop.stocked()
        refused = shop.order(BEN, SKU, PRICE, channel="wechat")
        assert (refused.status_code, refused.json()["code"]) == (409, "channel_off")
        shop.press(open_.number)
        assert shop.told(open_.number) == [ACKNOWLEDGED]
        assert shop.standing(open_) == DELIVERED
        assert start(shop, paid).status_code == 201
        shop.work()
        shop.told(paid.number, about="refund")
        assert shop.world.order(paid).state == "refunded"
    finally:
        on = switch | {"enabled": True, "version": off.json()["version"]}
        assert shop.request("PUT", "/api/channels/wechat", by="wang", json=on).status_code == 200
