"""What is due becomes a statement, is released once, and is paid: exact figures over HTTP, the books green."""

import pytest
from sqlalchemy import update

from server import invariants
from server.settlement import statements
from server.settlement.model import SettlementItem, Statement
from shared import clock, ids
from tests.server.refunding import balances
from tests.server.settlement import paying
from tests.server.settlement.paying import SOLD, account_of, agree, ask, due_of, make, move
from tests.world import ANNA, BEN

DAY = "2026-11-16"
XINGHE = "xinghe"
FIGURES = ("lines", "release_fen", "deductions_fen", "owed_fen", "payout_fee_fen", "payable_fen", "state")


def figures(statement):
    return tuple(statement[name] for name in FIGURES)


@pytest.fixture
def shop(site):
    site.world.stock("STEAM-50", 10)
    site.world.stock("OFFICE-1Y", 200)
    with clock.fixed(SOLD):
        yield site


def test_from_the_sale_to_the_bank(shop):
    agree(shop)
    agree(shop, "beichen", payout_fee_fen=50, account="6222-02")
    shop.world.buy(ANNA, "STEAM-50")  # 45.00, 5 %: 42.75 and 2.25
    shop.world.buy(BEN, "STEAM-50", 2)
    shop.world.buy(BEN, "OFFICE-1Y", 100)  # 3.50, 10 %: 3.15 and 0.35
    assert due_of(shop)["release_fen"] == 12_825
    north = due_of(shop, "beichen")
    assert (north["release_fen"], north["payout_fee_fen"], north["payable_fen"]) == (315, 50, 265)
    made = make(shop, DAY)
    assert [figures(one) for one in made] == [
        (2, 12_825, 0, 0, 0, 12_825, "draft"),
        (1, 315, 0, 0, 50, 265, "draft"),
    ]
    assert [one["number"] for one in made] == ["JS20261116-001", "JS20261116-002"]
    assert [one["actions"] for one in made] == [["confirm", "drop"]] * 2
    assert balances(shop)["supplier_pending", XINGHE] == 12_825

    confirmed = [move(shop, one, "confirm") for one in made]
    shown = [(one["state"], one["confirmed_by"], one["actions"]) for one in confirmed]
    assert shown == [("confirmed", "周洁", ["pay"])] * 2
    assert [one["has_account"] for one in (*made, *confirmed)] == [True] * 4
    assert balances(shop)["supplier_pending", XINGHE] == 0
    assert balances(shop)["supplier_available", XINGHE] == 12_825
    move(shop, confirmed[0], "confirm", status=409)
    assert balances(shop)["supplier_available", XINGHE] == 12_825

    done = [paying.paid(shop, [one], reference=f"BK{n}") for n, one in enumerate(confirmed)]
    assert [(one["number"], one["amount_fen"], one["state"], one["reference"]) for one in done] == [
        ("DK20261116-001", 12_825, "confirmed", "BK0"),
        ("DK20261116-002", 265, "confirmed", "BK1"),
    ]
    held = balances(shop)
    assert (held["bank", ""], held["payout", ""], held["payout_fee", ""]) == (-13_090, 0, 50)
    assert (held["supplier_available", XINGHE], held["supplier_available", "beichen"]) == (0, 0)
    assert ask(shop, f"statements/{made[0]['id']}")["state"] == "paid"
    assert account_of(shop) == account_of(shop, by="chen")
    assert (account_of(shop)["paid_out_fen"], account_of(shop)["in_payout_fen"]) == (12_825, 0)
    assert make(shop, DAY) == []


def test_too_many_lines_come_on_further_statements_and_are_netted_once(shop, monkeypatch):
    monkeypatch.setattr(statements, "MOST_LINES", 2)
    agree(shop, payout_fee_fen=100)
    for _ in range(5):
        shop.world.buy(ANNA, "STEAM-50")
    made = make(shop, DAY)
    assert [figures(one) for one in made] == [
        (2, 8_550, 0, 0, 100, 8_450, "draft"),
        (2, 8_550, 0, 0, 0, 8_550, "draft"),
        (1, 4_275, 0, 0, 0, 4_275, "draft"),
    ]
    confirmed = [move(shop, one, "confirm") for one in reversed(made)]
    assert paying.paid(shop, confirmed)["amount_fen"] == 5 * 4_275 - 100
    assert (balances(shop)["supplier_available", XINGHE], balances(shop)["payout_fee", ""]) == (0, 100)


def test_a_wish_is_done_once_and_a_dropped_draft_frees_its_lines(shop):
    agree(shop)
    shop.world.buy(ANNA, "STEAM-50")
    run = ids.new_id()
    [made] = make(shop, DAY, run=run)
    assert make(shop, DAY, run=run) == [made]
    assert make(shop, DAY, run=run, suppliers=["xinghe"], status=422)["code"] == "idempotency_reused"
    nobody = {"id": str(ids.new_id()), "day": DAY, "suppliers": [str(ids.new_id())]}
    assert paying.say(shop, "statements", nobody, status=422)["code"] == "bad_field"
    assert make(shop, DAY) == []
    dropped = move(shop, made, "drop")
    assert (dropped["state"], dropped["actions"]) == ("dropped", [])
    assert move(shop, dropped, "confirm", status=409)["code"] == "illegal_move"
    assert ask(shop, f"statements/{made['id']}/lines")["items"] == []
    [again] = make(shop, DAY, suppliers=["xinghe"])
    assert (again["number"], figures(again)) == ("JS20261116-002", figures(made))
    assert move(shop, made, "confirm", status=409)["code"] == "statement_changed"


@pytest.mark.parametrize(
    ("model", "change", "sentence", "broken"),
    [
        (SettlementItem, {"share_fen": 1}, "is not what was released", {"L6"}),
        (Statement, {"payable_fen": 1}, "is not the sum of its lines", {"L6"}),
        (Statement, {"state": "draft"}, "is not what was released", {"L6", "L10"}),
    ],
)
def test_a_statement_that_was_changed_by_hand_is_found(site, model, change, sentence, broken):
    site.world.stock("STEAM-50", 1)
    with clock.fixed(SOLD):
        agree(site)
        site.world.buy(ANNA, "STEAM-50")
        paying.settled(site, DAY)
        site.world.check()
        with site.world.ctx.db.tx() as tx:
            tx.execute(update(model).values(change))
        found = invariants.check(site.world.ctx.db).findings
    assert any(one.invariant == "L6" and sentence in one.sentence for one in found)
    assert {one.invariant for one in found} == broken
    site.world.expects = broken
