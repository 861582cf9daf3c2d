"""Disputes and statements: what is disputed waits, what was lost is never released, what was won comes back."""

import pytest

from shared import clock, ids
from tests.server.refunding import balances
from tests.server.settlement import paying
from tests.server.settlement.paying import SOLD, account_of, agree, ask, brought, brought_by, due_of, later, make, move
from tests.world import ANNA, BEN

DAY = "2026-11-16"
FIGURES = ("lines", "release_fen", "deductions_fen", "owed_fen", "payable_fen", "state")


@pytest.fixture
def shop(site):
    site.world.stock("STEAM-50", 12)
    with clock.fixed(SOLD):
        agree(site)
        yield site


def figures(statement):
    return tuple(statement[name] for name in FIGURES)


def dispute(site, bought, fen):
    """The channel tells of a dispute about so much of an order."""
    said = {"id": str(ids.new_id()), "order_code": bought.order.code, "amount_fen": fen, "reason": "投诉"}
    opened = site.post("/api/ledger/disputes", by="zhou", json=said | {"channel_no": f"C-{said['id'][-6:]}"})
    assert opened.is_success, opened.text
    return opened.json()


def close(site, opened, *, won):
    """Two people say how it ended."""
    for by in ("zhou", "wang"):
        body = {"won": won, "note": "渠道裁定", "version": opened["version"]}
        closed = site.post(f"/api/ledger/disputes/{opened['id']}/close", by=by, json=body)
        assert closed.is_success, closed.text
        opened = closed.json()
    return opened


def test_what_is_disputed_waits_and_what_was_lost_is_never_released(shop):
    bought = shop.world.buy(ANNA, "STEAM-50")
    opened = dispute(shop, bought, 2_000)  # 19.00 of the supplier's
    due = due_of(shop, by="chen")
    assert (due["held_lines"], due["held_fen"], due["holds"], due["release_fen"]) == (1, 4_275, {"disputed": 1}, 0)
    assert make(shop, DAY) == []
    assert close(shop, opened, won=False)["state"] == "lost"
    with later(shop, days=4):
        [made] = paying.settled(shop, "2026-11-20")
        assert figures(made) == (1, 2_375, 0, 0, 2_375, "confirmed")
        [line] = ask(shop, f"statements/{made['id']}/lines", by="chen")["items"]
    parts = ("amount_fen", "discount_fen", "fee_fen", "commission_fen", "net_fen", "refunded_fen", "lost_fen")
    assert [line[part] for part in parts] == [2_500, 0, 125, 0, 2_375, 0, 2_000]
    held = balances(shop)
    assert [held[f"supplier_{kind}", "xinghe"] for kind in ("pending", "available", "frozen")] == [0, 2_375, 0]


def test_what_was_won_is_released_whole(shop):
    bought = shop.world.buy(ANNA, "STEAM-50")
    assert close(shop, dispute(shop, bought, 4_500), won=True)["state"] == "won"
    [made] = paying.settled(shop, DAY)
    assert figures(made) == (1, 4_275, 0, 0, 4_275, "confirmed")


def test_a_dispute_after_the_release_takes_from_what_follows_and_comes_back_when_it_is_won(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    [released] = paying.settled(shop, DAY)
    opened = dispute(shop, first, 4_500)
    assert (account_of(shop)["available_fen"], account_of(shop)["frozen_fen"]) == (0, 4_275)
    shop.world.buy(BEN, "STEAM-50", 2)
    [second] = paying.settled(shop, DAY)
    assert figures(second) == (1, 8_550, 0, 0, 8_550, "confirmed")  # what is frozen is of the first's payout
    assert paying.paid(shop, [released, second])["amount_fen"] == 8_550
    assert [ask(shop, f"statements/{one['id']}")["paid_fen"] for one in (released, second)] == [0, 8_550]
    close(shop, opened, won=True)
    [third] = paying.settled(shop, DAY)  # no line, and what was left over
    assert figures(third) == (0, 0, 0, -4_275, 4_275, "confirmed")
    told = [("frozen", -4_275, opened["channel_no"]), ("others", 4_275, "")]
    assert brought_by(brought(shop, second)) == told, "what is frozen comes off the first one"
    [part] = brought(shop, third)
    assert [part[name] for name in ("kind", "amount_fen", "id", "number", "order_code")] == [
        "unfrozen",
        4_275,
        opened["id"],
        opened["channel_no"],
        first.order.code,
    ]
    assert paying.paid(shop, [third])["amount_fen"] == 4_275
    assert (account_of(shop)["available_fen"], account_of(shop)["paid_out_fen"]) == (0, 12_825)


def test_what_was_paid_out_before_it_was_lost_is_owed(shop):
    first = shop.world.buy(ANNA, "STEAM-50")
    paying.paid(shop, paying.settled(shop, DAY))
    no = close(shop, dispute(shop, first, 4_500), won=False)["channel_no"]
    assert account_of(shop, by="chen")["owed_fen"] == 4_275
    shop.world.buy(BEN, "STEAM-50", 2)
    [made] = make(shop, DAY)
    assert figures(made) == (2, 8_550, 4_275, 0, 4_275, "draft")
    lost = ask(shop, f"statements/{made['id']}/lines", by="chen")["items"][1]
    assert (lost["kind"], lost["order_code"], lost["refund_no"]) == ("deduction", first.order.code, None)
    assert (lost["dispute_no"], lost["amount_fen"], lost["fee_fen"], lost["net_fen"]) == (no, -4_500, -225, -4_275)
    assert move(shop, made, "confirm")["payable_fen"] == 4_275
    assert (account_of(shop)["owed_fen"], account_of(shop)["available_fen"]) == (0, 4_275)


def test_a_draft_of_which_every_line_is_in_question_by_now_is_dropped(shop):
    bought = shop.world.buy(ANNA, "STEAM-50")
    [made] = make(shop, DAY)
    dispute(shop, bought, 1_000)
    refused = move(shop, made, "confirm", status=409)
    assert (refused["code"], refused["params"]["orders"]) == ("statement_emptied", bought.order.code)
    now = ask(shop, f"statements/{made['id']}")
    assert (figures(now), now["actions"]) == ((0, 0, 0, 0, 0, "dropped"), [])
    assert ("supplier_available", "xinghe") not in balances(shop)
    assert (due_of(shop)["holds"], make(shop, DAY)) == ({"disputed": 1}, [])
