"""What a supplier owes is paid first, by whatever comes back to it; a dispute ends, whatever was refunded meanwhile."""

from datetime import timedelta

import pytest

from server.ledger import paying as books
from shared import clock
from shared.states import OrderState
from tests.server.bookkeeping import DEAL, close, dispute, give_back
from tests.server.refunding import balances, carry_out, later, shop_with_refunds, start
from tests.server.settlement import paying
from tests.server.settlement.paying import SOLD, account_of, agree, ask, complete, pay, step
from tests.world import ANNA, BEN

DAY = "2026-11-16"


@pytest.fixture
def shop(tmp_path):
    with clock.fixed(SOLD), shop_with_refunds(tmp_path, refund_check_fen=10**6) as site:
        site.world.stock("STEAM-50", 20)
        agree(site)
        yield site


def has(site):
    """What the supplier has: pending, available, frozen, owed."""
    held = balances(site)
    kinds = ("supplier_pending", "supplier_available", "supplier_frozen", "owed")
    return [held.get((kind, "xinghe"), 0) for kind in kinds]


def end(site, opened, *, won):
    """Two people say how a dispute ended."""
    close(site, opened, won=won)
    return close(site, opened, won=won, by="wang")["state"]


@pytest.mark.parametrize(("won", "left"), [(True, 3_800), (False, 2_850)])
def test_a_dispute_ends_although_a_part_was_refunded_meanwhile(shop, won, left):
    bought = shop.world.buy(ANNA, "STEAM-50")
    opened = dispute(shop, bought, 1_000).json()
    give_back(shop, bought, 500)
    assert shop.world.order(bought).state == OrderState.DISPUTED
    assert end(shop, opened, won=won) == ("won" if won else "lost")
    assert shop.world.order(bought).state == OrderState.PARTIALLY_REFUNDED
    assert has(shop) == [left, 0, 0, 0]


def test_a_refund_that_was_on_its_way_before_the_dispute_keeps_it_open(shop):
    bought = shop.world.buy(ANNA, "STEAM-50")
    shop.desk.says = "processing"
    assert start(shop, bought, amount_fen=500).status_code == 201
    carry_out(shop)
    opened = dispute(shop, bought, 4_000).json()
    shop.desk.ends()
    later(shop, seconds=90)
    order = shop.world.order(bought)
    assert (order.state, order.refunded_fen) == (OrderState.DISPUTED, 500)
    assert end(shop, opened, won=True) == "won"
    assert shop.world.order(bought).state == OrderState.PARTIALLY_REFUNDED
    assert has(shop) == [3_800, 0, 0, 0]


def test_a_won_dispute_leaves_the_buyer_the_days_that_were_left(shop):
    bought = shop.world.buy(ANNA, "STEAM-50")
    before = shop.world.order(bought)
    opened = dispute(shop, bought, 1_000).json()
    with clock.fixed(SOLD + timedelta(hours=1)):
        end(shop, opened, won=True)
        order = shop.world.order(bought)
        assert (order.state, order.completed_at) == (OrderState.DELIVERED, None)
        assert (order.delivered_at, order.due_at) == (before.delivered_at, before.due_at)
        assert complete(shop) == 0
    with paying.later(shop, days=3):
        assert complete(shop) == 1
        again = dispute(shop, bought, 1_000).json()
        completed = shop.world.order(bought).completed_at
        end(shop, again, won=True)
        order = shop.world.order(bought)
        assert (order.state, order.completed_at is not None) == (OrderState.COMPLETED, True)
        assert completed is not None


def test_a_payout_that_comes_back_pays_the_debt_of_a_refund_first(shop):
    bought = shop.world.buy(ANNA, "STEAM-50")
    payout = paying.paid(shop, paying.settled(shop, DAY))
    give_back(shop, bought)
    assert has(shop) == [0, 0, 0, 4_275]
    step(shop, payout, "fail", by="wang", note="退汇", reference="RT-1")
    assert has(shop) == [0, 0, 0, 0]
    [statement] = ask(shop, "statements")["items"]
    assert pay(shop, [statement], status=409)["code"] == "nothing_to_pay"
    assert balances(shop)["bank", ""] == 0


def test_what_a_won_dispute_gives_back_pays_the_debt_first(shop):
    first, second = shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(BEN, "STEAM-50")
    released = paying.settled(shop, DAY)
    opened = dispute(shop, first, 4_500).json()
    paying.paid(shop, released)
    give_back(shop, second, 2_000)
    assert has(shop) == [0, 0, 4_275, 1_900]
    end(shop, opened, won=True)
    assert has(shop) == [0, 2_375, 0, 0]
    assert account_of(shop)["owed_fen"] == 0


def test_a_confirmation_locks_balances_in_the_order_of_a_refund(shop, monkeypatch):
    shop.world.buy(ANNA, "STEAM-50", deal=DEAL)
    real, kinds = books.release, []

    def release(tx, **said):
        kinds.append(said["payee"].kind)
        return real(tx, **said)

    monkeypatch.setattr(books, "release", release)
    paying.settled(shop, DAY)
    assert kinds == ["distributor", "supplier"]
