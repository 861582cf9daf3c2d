"""Refunds and statements: what went back before a release is netted in it, what goes back after it comes off later."""

import pytest

from server.settlement import watch
from shared import ids
from shared.pricing import Deal, Share
from tests.server.bookkeeping import close, dispute
from tests.server.refunding import balances, carry_out, start
from tests.server.settlement import paying
from tests.server.settlement.paying import account_of, agree, ask, brought, brought_by, due_of, later, make, move
from tests.world import ANNA, BEN

DAY = "2026-11-16"
XINGHE = "xinghe"
FIGURES = ("lines", "release_fen", "deductions_fen", "owed_fen", "payout_fee_fen", "payable_fen", "state")


@pytest.fixture
def shop(tmp_path):
    with paying.open_shop(tmp_path) as site:
        agree(site)
        yield site


def figures(statement):
    return tuple(statement[name] for name in FIGURES)


def refund(site, bought, fen):
    """The buyer has so much back, and keeps the key."""
    assert start(site, bought, amount_fen=fen).status_code == 201
    carry_out(site)


def lines_of(site, statement, *, by="zhou"):
    shown = ask(site, f"statements/{statement['id']}/lines", by=by)["items"]
    return [(row["kind"], row["order_code"], row["amount_fen"], row["fee_fen"], row["net_fen"]) for row in shown]


def test_what_went_back_before_the_release_is_never_released(shop):
    bought = shop.world.buy(ANNA, "STEAM-50")  # 42.75 and 2.25
    refund(shop, bought, 1_000)  # 9.50 and 0.50
    [made] = paying.settled(shop, DAY)
    assert figures(made) == (1, 3_325, 0, 0, 0, 3_325, "confirmed")
    assert lines_of(shop, made) == [("release", bought.order.code, 3_500, 175, 3_325)]
    assert (balances(shop)["supplier_pending", XINGHE], balances(shop)["supplier_available", XINGHE]) == (0, 3_325)


def test_a_line_that_went_back_whole_is_on_no_statement(shop):
    bought = shop.world.buy(ANNA, "STEAM-50")
    refund(shop, bought, 4_500)
    assert make(shop, DAY) == []
    assert due_of(shop)["held_lines"] == 0


def test_a_refund_after_the_payout_is_a_negative_line_of_the_next_statement(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    paying.paid(shop, paying.settled(shop, DAY))
    refund(shop, first, 1_000)
    assert account_of(shop)["owed_fen"] == 950
    assert (due_of(shop)["deductions_fen"], due_of(shop)["payable_fen"]) == (950, 0)
    assert make(shop, DAY) == []  # a debt alone is no statement

    second = shop.world.buy(BEN, "STEAM-50")
    [made] = paying.settled(shop, DAY)
    assert figures(made) == (2, 4_275, 950, 0, 0, 3_325, "confirmed")
    assert lines_of(shop, made) == [
        ("release", second.order.code, 4_500, 225, 4_275),
        ("deduction", first.order.code, -1_000, -50, -950),
    ]
    assert (account_of(shop)["owed_fen"], account_of(shop)["available_fen"]) == (0, 3_325)
    assert paying.paid(shop, [made])["amount_fen"] == 3_325
    assert (account_of(shop)["available_fen"], account_of(shop)["paid_out_fen"]) == (0, 4_275 + 3_325)
    assert make(shop, DAY) == []


def test_a_debt_larger_than_a_release_is_owed_on(shop):
    first = shop.world.buy(ANNA, "STEAM-50", 2)
    paying.paid(shop, paying.settled(shop, DAY))
    refund(shop, first, 9_000)  # 85.50 of the supplier's
    shop.world.buy(BEN, "STEAM-50")
    [made] = paying.settled(shop, DAY)
    assert figures(made) == (2, 4_275, 8_550, 0, 0, 0, "paid")  # there is nothing to pay
    assert (account_of(shop)["owed_fen"], account_of(shop)["available_fen"]) == (4_275, 0)
    shop.world.buy(BEN, "STEAM-50", 2)
    [made] = paying.settled(shop, DAY)
    assert figures(made) == (1, 8_550, 0, 4_275, 0, 4_275, "confirmed")
    assert (account_of(shop)["owed_fen"], account_of(shop)["available_fen"]) == (0, 4_275)


def test_a_refund_between_statement_and_payout_makes_the_payout_smaller(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    confirmed = paying.settled(shop, DAY)
    refund(shop, first, 1_000)
    payout = paying.paid(shop, confirmed)
    assert payout["amount_fen"] == 3_325
    assert account_of(shop)["available_fen"] == 0
    [paid] = ask(shop, "statements", by="chen")["items"]  # it says so itself
    assert figures(paid) == (2, 4_275, 0, 0, 0, 4_275, "paid")
    assert (paid["withheld_fen"], paid["paid_fen"]) == (950, 3_325)
    assert lines_of(shop, paid, by="chen") == [
        ("release", first.order.code, 4_500, 225, 4_275),
        ("deduction", first.order.code, -1_000, -50, -950),
    ]
    shop.world.buy(BEN, "STEAM-50")
    [made] = make(shop, DAY)
    assert figures(made) == (1, 4_275, 0, 0, 0, 4_275, "draft")


def test_a_statement_that_refunds_ate_whole_is_done_and_takes_nothing_of_the_next(shop):
    first, second = shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(ANNA, "STEAM-50")
    [eaten] = paying.settled(shop, DAY)
    refund(shop, first, 4_500)
    shop.world.buy(BEN, "STEAM-50")
    assert (due_of(shop)["deductions_fen"], due_of(shop)["owed_fen"], due_of(shop)["payable_fen"]) == (0, 0, 4_275)
    [next_one] = paying.settled(shop, DAY)
    assert figures(next_one) == (1, 4_275, 0, 0, 0, 4_275, "confirmed")
    waiting = ask(shop, f"statements/{eaten['id']}")
    assert (waiting["withheld_fen"], waiting["state"], waiting["actions"]) == (4_275, "confirmed", ["pay"])
    refund(shop, second, 4_500)
    assert paying.pay(shop, [waiting], status=409)["code"] == "nothing_to_pay"  # what is there is the next one's
    assert make(shop, DAY) == []
    done = ask(shop, f"statements/{eaten['id']}", by="chen")
    assert figures(done) == (4, 8_550, 0, 0, 0, 8_550, "paid")
    assert (done["withheld_fen"], done["paid_fen"], done["actions"]) == (8_550, 0, [])
    assert paying.paid(shop, [next_one])["amount_fen"] == 4_275
    assert ask(shop, f"statements/{next_one['id']}")["paid_fen"] == 4_275
    assert (account_of(shop)["available_fen"], account_of(shop)["owed_fen"]) == (0, 0)


def test_a_refund_while_a_payout_waits_comes_off_the_next_statement(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    confirmed = paying.settled(shop, DAY)
    payout = approved(shop, confirmed)
    refund(shop, first, 1_000)
    shop.world.buy(BEN, "STEAM-50")
    [made] = paying.settled(shop, DAY)
    assert figures(made) == (2, 4_275, 950, 0, 0, 3_325, "confirmed")
    paying.step(shop, paying.step(shop, payout, "send"), "confirm")
    shown = [ask(shop, f"statements/{one['id']}") for one in (confirmed[0], made)]
    assert [(one["paid_fen"], one["withheld_fen"], one["state"]) for one in shown] == [
        (4_275, 0, "paid"),
        (0, 0, "confirmed"),
    ]
    assert paying.paid(shop, [made])["amount_fen"] == 3_325
    assert (account_of(shop)["available_fen"], account_of(shop)["owed_fen"]) == (0, 0)


def test_a_refund_between_payout_and_sending_stops_it(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    payout = paying.step(shop, paying.pay(shop, paying.settled(shop, DAY)), "check", by="wang", approve=True)
    refund(shop, first, 1_000)
    refused = paying.step(shop, payout, "send", status=409)
    assert (refused["code"], "33.25" in refused["detail"]) == ("not_enough_available", True)
    paying.step(shop, payout, "withdraw")
    [statement] = ask(shop, "statements")["items"]
    assert paying.paid(shop, [statement])["amount_fen"] == 3_325


def test_a_line_that_was_refunded_since_leaves_its_draft_and_the_rest_is_confirmed_at_the_next_look(shop):
    agree(shop, version=1, payout_fee_fen=100)
    first, second = shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(BEN, "STEAM-50")
    [made] = make(shop, DAY)
    refund(shop, first, 1_000)
    refused = move(shop, made, "confirm", status=409)
    assert (refused["code"], refused["params"]) == (
        "statement_outdated",
        {"number": "JS20261116-001", "count": 1, "orders": first.order.code},
    )
    assert ("supplier_available", XINGHE) not in balances(shop)
    assert due_of(shop)["deductions_fen"] == 0  # nothing was released: the refund is in the line
    assert move(shop, made, "confirm", status=409)["code"] == "statement_changed"  # nobody confirms unseen sums
    redrawn = ask(shop, f"statements/{made['id']}")
    assert (figures(redrawn), redrawn["version"]) == ((1, 4_275, 0, 0, 100, 4_175, "draft"), 2)
    assert lines_of(shop, redrawn) == [("release", second.order.code, 4_500, 225, 4_275)]
    assert figures(move(shop, redrawn, "confirm")) == (1, 4_275, 0, 0, 100, 4_175, "confirmed")
    [again] = paying.settled(shop, DAY)
    assert (again["number"], figures(again)) == ("JS20261116-002", (1, 3_325, 0, 0, 100, 3_225, "confirmed"))
    assert lines_of(shop, again) == [("release", first.order.code, 3_500, 175, 3_325)]


def test_a_draft_that_refunds_made_too_small_for_a_payout_is_dropped(shop):
    agree(shop, version=1, minimum_fen=4_000, payout_fee_fen=300)
    first, second = shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(BEN, "STEAM-50")
    [made] = make(shop, DAY)
    refund(shop, first, 1_000)
    refused = move(shop, made, "confirm", status=409)  # 42.75 less 3.00 are left
    said = {"number": "JS20261116-001", "count": 1, "orders": first.order.code}
    assert (refused["code"], refused["params"]) == ("statement_too_small", said)
    assert ask(shop, f"statements/{made['id']}")["state"] == "dropped"
    assert balances(shop)["supplier_pending", XINGHE] == 4_275 + 3_325
    [again] = paying.settled(shop, DAY)
    assert (again["lines"], again["payable_fen"]) == (2, 4_275 + 3_325 - 300)
    assert {row[1] for row in lines_of(shop, again)} == {first.order.code, second.order.code}


def test_a_statement_whose_money_refunds_of_others_took_is_done(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    paying.paid(shop, paying.settled(shop, DAY))
    second = shop.world.buy(BEN, "STEAM-50")
    [waiting] = paying.settled(shop, DAY)
    frozen = dispute(shop, second, 4_500).json()
    assert make(shop, DAY) == []
    assert ask(shop, f"statements/{waiting['id']}")["actions"] == ["pay"]  # it may come back to it
    refund(shop, first, 4_500)
    for by in ("zhou", "wang"):
        close(shop, frozen, won=True, by=by)
    assert (account_of(shop)["available_fen"], account_of(shop)["owed_fen"]) == (0, 0)
    assert paying.pay(shop, [waiting], status=409)["code"] == "nothing_to_pay"
    assert make(shop, DAY) == []
    done = ask(shop, f"statements/{waiting['id']}", by="chen")
    assert (done["state"], done["payable_fen"], done["paid_fen"], done["actions"]) == ("paid", 4_275, 0, [])
    shop.world.buy(ANNA, "STEAM-50")
    [made] = paying.settled(shop, DAY)  # which names what took it, and takes it once
    assert figures(made) == (2, 4_275, 4_275, -4_275, 0, 4_275, "confirmed")
    no = frozen["channel_no"]
    parts = [("frozen", -4_275, no), ("unfrozen", 4_275, no), ("others", 4_275, "")]
    assert brought_by(brought(shop, made)) == parts, "what it took was another's, which got nothing"
    assert paying.paid(shop, [made])["amount_fen"] == 4_275
    assert (account_of(shop)["available_fen"], account_of(shop)["paid_out_fen"]) == (0, 2 * 4_275)


def test_an_open_refund_holds_its_order_until_it_has_ended(shop):
    shop.desk.says = "processing"
    bought = shop.world.buy(ANNA, "STEAM-50")
    shop.world.buy(BEN, "STEAM-50")
    refund(shop, bought, 1_000)
    due = due_of(shop)
    assert (due["lines"], due["held_lines"], due["held_fen"], due["holds"]) == (1, 1, 3_325, {"refund_open": 1})
    assert figures(paying.settled(shop, DAY)[0])[:2] == (1, 4_275)
    shop.desk.ends()
    with later(shop, hours=1):
        carry_out(shop)
        assert figures(paying.settled(shop, DAY)[0])[:2] == (1, 3_325)


def test_a_distributors_commission_is_released_with_its_line(shop):
    brought = ids.new_id()
    deal = Deal(discount=Share.fixed(50_000), commission=Share.percent(100_000), distributor_id=brought)
    first = shop.world.buy(ANNA, "STEAM-50", deal=deal)  # 4.50 of 45.00, 38.25 are the supplier's; 40.00 are paid
    shop.world.buy(BEN, "STEAM-50", deal=deal)
    refund(shop, first, 1_000)  # and 1.25 of the discount: 9.56, 1.13 and 0.56 of the shares
    [made] = paying.settled(shop, DAY)
    assert figures(made) == (2, 2_869 + 3_825, 0, 0, 0, 6_694, "confirmed")
    shown = ask(shop, f"statements/{made['id']}/lines")["items"]
    assert [row["commission_fen"] for row in shown] == [337, 450]
    assert {row["distributor"] for row in shown} == {ids.speak_distributor(brought)}
    for row in shown:
        assert row["amount_fen"] + row["discount_fen"] == row["net_fen"] + row["fee_fen"] + row["commission_fen"]
    assert [(row["amount_fen"], row["refunded_fen"], row["discount_fen"]) for row in shown] == [
        (3_000, 1_000, 375),
        (4_000, 0, 500),
    ]
    held = balances(shop)
    assert (held["distributor_pending", brought.hex], held["distributor_available", brought.hex]) == (0, 787)


def test_a_supplier_that_owes_for_a_week_is_told_of(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    paying.paid(shop, paying.settled(shop, DAY))
    refund(shop, first, 1_000)
    watch.look(shop.world.ctx)
    assert due_of(shop)["owing_since"] == account_of(shop, by="chen")["owing_since"] == "2026-11-16T04:00:00Z"
    with later(shop, days=6, hours=23):
        watch.look(shop.world.ctx)
        assert owing(shop) == 0
    with later(shop, days=7):
        watch.look(shop.world.ctx)
        assert owing(shop) == 1
        shop.world.buy(BEN, "STEAM-50")
        paying.settled(shop, "2026-11-23")
        watch.look(shop.world.ctx)
        assert (owing(shop), due_of(shop)["owing_since"]) == (0, None)


def owing(site):
    figures = {gauge.name: gauge.value for gauge in watch.gauges(site.world.ctx)}
    assert figures["kameng_holidays_unknown"] == 2027
    return figures["kameng_suppliers_owing"]


@pytest.mark.parametrize(
    ("rule", "commission_ppm", "refunded", "left"),
    [
        ({"kind": "fixed", "unit_price": 500_000}, 100_000, 0, 450),  # a fee that leaves the supplier nothing
        ({"kind": "percent", "ppm": 0}, 500_000, 4_499, 1),  # the fen that refunds left
    ],
)
def test_a_commission_is_released_where_nothing_is_left_for_the_supplier(shop, rule, commission_ppm, refunded, left):
    paying.say(shop, "fee-rules", {"id": str(ids.new_id()), "tier": "standard", "reason": "活动"} | rule)
    brought = ids.new_id()
    deal = Deal(commission=Share.percent(commission_ppm), distributor_id=brought)
    bought = shop.world.buy(ANNA, "STEAM-50", deal=deal)
    if refunded:
        refund(shop, bought, refunded)
    [made] = paying.settled(shop, DAY)
    assert figures(made) == (1, 0, 0, 0, 0, 0, "paid")
    held = balances(shop)
    assert (held["distributor_pending", brought.hex], held["distributor_available", brought.hex]) == (0, left)
    assert (held.get(("supplier_pending", XINGHE), 0), held.get(("supplier_available", XINGHE), 0)) == (0, 0)
    assert make(shop, DAY) == []


def approved(site, statements):
    return paying.step(site, paying.pay(site, statements), "check", by="wang", approve=True)


def test_a_payout_of_several_statements_costs_one_fee(shop):
    agree(shop, version=1, payout_fee_fen=500)
    shop.world.buy(ANNA, "STEAM-50")
    [first] = paying.settled(shop, DAY)
    agree(shop, version=2, payout_fee_fen=300)
    shop.world.buy(BEN, "STEAM-50")
    [second] = paying.settled(shop, DAY)
    assert [(one["payout_fee_fen"], one["payable_fen"]) for one in (first, second)] == [(500, 3_775), (300, 3_975)]
    assert paying.paid(shop, [first, second])["amount_fen"] == 2 * 4_275 - 500
    assert balances(shop)["payout_fee", ""] == 500
    assert account_of(shop)["available_fen"] == 0
    assert make(shop, DAY) == []


def test_a_leaving_supplier_gets_its_last_money(shop):
    agree(shop, version=1, payout_fee_fen=500)
    first = shop.world.buy(ANNA, "STEAM-50")
    [eaten] = paying.settled(shop, DAY)
    refund(shop, first, 4_000)  # 38.00 of it: less is left than the fee
    assert paying.pay(shop, [eaten], status=409)["code"] == "nothing_to_pay"
    shop.world.buy(BEN, "STEAM-50")
    [last] = paying.settled(shop, DAY)
    assert figures(last) == (1, 4_275, 0, 0, 500, 3_775, "confirmed")
    assert paying.paid(shop, [eaten, last])["amount_fen"] == 475 + 4_275 - 500
    shown = [ask(shop, f"statements/{one['id']}") for one in (eaten, last)]
    assert [(one["payable_fen"], one["withheld_fen"], one["paid_fen"]) for one in shown] == [
        (3_775, 3_800, 0),
        (3_775, 0, 4_250),
    ]
    assert (account_of(shop)["available_fen"], account_of(shop)["owed_fen"]) == (0, 0)
    assert make(shop, DAY) == []
