"""Statements are made beside the shop's work: what is due is found by few rows, frozen bit by bit, and once."""

import re

import pytest
from sqlalchemy import func, select

from server.orders.model import UnsettledLine
from server.policy import SYSTEM
from server.settlement import statements
from server.settlement.model import SettlementItem, SettlementRun, Statement
from shared import clock, ids
from shared.contracts import settlement as wire
from tests.server.refunding import carry_out, start
from tests.server.settlement import paying
from tests.server.settlement.paying import agree, ask, due_of, make, move
from tests.server.test_query_plans import scanned, statements_of
from tests.world import ANNA, BEN

DAY = "2026-11-16"


@pytest.fixture
def shop(tmp_path):
    with paying.open_shop(tmp_path, stock=20) as site:
        agree(site)
        yield site


def unsettled(site):
    """How many delivered lines wait for a statement."""
    with site.world.ctx.db.read() as tx:
        return tx.scalar(select(func.count()).select_from(UnsettledLine))


def refund(site, bought, fen):
    assert start(site, bought, amount_fen=fen).status_code == 201
    carry_out(site)


def test_a_line_waits_from_its_delivery_until_it_is_on_a_statement_or_nothing_is_left_of_it(shop):
    bought = [shop.world.buy(ANNA, "STEAM-50") for _ in range(3)]
    shop.world.place(BEN, "STEAM-50", 1)
    assert unsettled(shop) == 3  # what nobody paid does not wait
    refund(shop, bought[0], 4_500)
    assert (unsettled(shop), due_of(shop)["lines"]) == (3, 2)
    [draft] = make(shop, DAY)
    assert (draft["lines"], unsettled(shop)) == (2, 0)
    move(shop, draft, "drop")
    assert (unsettled(shop), due_of(shop)["lines"]) == (2, 2)
    refund(shop, bought[1], 1_000)
    [again] = paying.settled(shop, DAY)
    assert (again["lines"], again["release_fen"], unsettled(shop)) == (2, 3_325 + 4_275, 0)
    refund(shop, bought[2], 500)
    assert (unsettled(shop), make(shop, DAY)) == (0, [])


def test_the_lines_that_are_due_are_read_page_by_page(shop):
    bought = [shop.world.buy(ANNA, "STEAM-50") for _ in range(7)]
    for gone in (bought[0], bought[2], bought[3], bought[6]):
        refund(shop, gone, 4_500)
    path = f"due/{shop.world.suppliers['xinghe']}"
    shown, after = [], {}
    for _ in range(2):
        page = ask(shop, path, limit=2, **after)
        shown.append([row["order_code"] for row in page["items"]])
        after = {"after": page["next"]}
    assert shown == [[bought[1].order.code, bought[4].order.code], [bought[5].order.code]]
    assert page["next"] is None
    assert [row["order_code"] for row in ask(shop, path)["items"]] == [*shown[0], *shown[1]]


def test_what_is_due_is_found_without_reading_what_was_ever_sold(shop):
    shop.world.buy(ANNA, "STEAM-50")
    paying.paid(shop, paying.settled(shop, DAY))
    refund(shop, shop.world.buy(BEN, "STEAM-50"), 1_000)
    db, xinghe = shop.world.ctx.db, shop.world.suppliers["xinghe"]
    sent = statements_of(db)
    ask(shop, "due")
    ask(shop, f"due/{xinghe}", limit=1)
    ask(shop, f"accounts/{xinghe}")
    [draft] = make(shop, DAY)
    move(shop, draft, "drop")
    grown = {"order_line", "shop_order", "settlement_item", "refund_line", "settlement_deduction", "unsettled_line"}
    read = {one: given for one, given in sent.items() if re.match(r"(SELECT|UPDATE|DELETE)\b", one)}
    assert len([one for one in read if "unsettled_line" in one]) >= 4, "what was looked at is the real thing"
    assert {one: tables for one, given in read.items() if (tables := scanned(db, one, given) & grown)} == {}


def test_a_wish_that_was_cut_off_goes_on_where_it_stopped(shop, monkeypatch):
    monkeypatch.setattr(statements, "MOST_LINES", 2)
    agree(shop, version=1, payout_fee_fen=100)
    for _ in range(5):
        shop.world.buy(ANNA, "STEAM-50")
    wish = wire.MakeStatements(id=ids.new_id(), day=clock.shop_day(clock.now()))
    real, done = statements._make, []

    def cut_off(tx, part, *args, **said):
        if done:
            raise RuntimeError("the power failed")
        done.append(part)
        real(tx, part, *args, **said)

    monkeypatch.setattr(statements, "_make", cut_off)
    db = shop.world.ctx.db
    with pytest.raises(RuntimeError):
        statements.make(db, wish, actor=SYSTEM, complete_after_days=3)
    with db.read() as tx:
        assert [one.lines for one in statements.made(tx, wish.id)] == [2]
        assert tx.get(SettlementRun, wish.id).answer == {}
    monkeypatch.setattr(statements, "_make", real)
    for _ in range(2):
        statements.make(db, wish, actor=SYSTEM, complete_after_days=3)
        with db.read() as tx:
            shown = [(one.number, one.lines, one.payable_fen) for one in statements.made(tx, wish.id)]
            assert tx.get(SettlementRun, wish.id).answer == {"statements": 3}
        assert shown == [
            ("JS20261116-001", 2, 8_450),
            ("JS20261116-002", 2, 8_550),
            ("JS20261116-003", 1, 4_275),
        ]
        shop.world.buy(BEN, "STEAM-50")  # a wish that is done to its end takes no more in
    assert unsettled(shop) == 2


def test_people_buy_and_hold_between_two_statements_of_a_wish(shop, monkeypatch):
    monkeypatch.setattr(statements, "MOST_LINES", 2)
    bought = [shop.world.buy(ANNA, "STEAM-50") for _ in range(4)]
    held = {"id": str(ids.new_id()), "order_code": bought[3].order.code, "reason": "买家报警"}
    before = statements.retrying

    def between(db, work, **said):
        answer = before(db, work, **said)
        if len(ask(shop, "statements")["items"]) == 1 and not ask(shop, "holds")["items"]:
            shop.world.buy(BEN, "STEAM-50")
            paying.say(shop, "holds", held)
        return answer

    monkeypatch.setattr(statements, "retrying", between)
    made = make(shop, DAY)
    assert [(one["lines"], one["payable_fen"]) for one in made] == [(2, 8_550), (1, 4_275)]
    assert (unsettled(shop), due_of(shop)["holds"], due_of(shop)["lines"]) == (2, {"by_person": 1}, 1)


def test_a_wish_for_nobody_is_not_a_wish_for_all(shop):
    shop.world.buy(ANNA, "STEAM-50")
    run = ids.new_id()
    assert make(shop, DAY, run=run, suppliers=[]) == []
    assert make(shop, DAY, run=run, status=422)["code"] == "idempotency_reused"
    [draft] = make(shop, DAY)
    with shop.world.ctx.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(SettlementItem)) == 1
        assert tx.scalars(select(Statement.number)).all() == [draft["number"]]


def test_the_fee_is_borne_by_a_statement_that_has_as_much(shop, monkeypatch):
    monkeypatch.setattr(statements, "MOST_LINES", 1)
    agree(shop, version=1, payout_fee_fen=3_000)
    refund(shop, shop.world.buy(ANNA, "STEAM-50"), 4_000)  # 4.75 are left
    shop.world.buy(ANNA, "STEAM-50")
    made = make(shop, DAY)
    shown = [(one["release_fen"], one["payout_fee_fen"], one["payable_fen"]) for one in made]
    assert shown == [(475, 0, 475), (4_275, 3_000, 1_275)]
    confirmed = [move(shop, one, "confirm") for one in made]
    assert paying.paid(shop, confirmed)["amount_fen"] == 475 + 1_275
