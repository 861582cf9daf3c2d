"""Faults of paying suppliers (payments.md 7): a run that is repeated, and a bank or channel that does not say.

Nothing is paid twice: what was sent stays sent, under its one number, until somebody knows what became of it.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import clock, ids
from tests.server.conftest import opened
from tests.server.refunding import balances
from tests.server.settlement import paying
from tests.server.settlement.paying import SOLD, agree, ask, make, pay, settled, step
from tests.world import ANNA, BEN

DAY = "2026-11-16"


@pytest.fixture
def till(tmp_path):
    """A shop that owes a supplier for two orders, on the day it is to pay it."""
    with opened(tmp_path) as site, clock.fixed(SOLD):
        site.world.stock("STEAM-50", 4)
        agree(site)
        for buyer in (ANNA, BEN):
            site.world.buy(buyer, "STEAM-50")
        yield site


def owed(site):
    """What the supplier has, what is on its way to it, and what is ours, at the bank and at the channel."""
    held = balances(site)
    ours = held.get(("bank", ""), 0) + held["psp", "sandbox"]
    return held.get(("supplier_available", "xinghe"), 0), held.get(("payout", ""), 0), ours


def test_fault_48_a_settlement_that_runs_twice_and_a_double_click_pay_once(till):
    run, wish = ids.new_id(), ids.new_id()
    [made] = make(till, DAY, run=run)
    assert (make(till, DAY, run=run), make(till, DAY)) == ([made], []), "its lines are on a statement already"
    confirmed = paying.move(till, made, "confirm")
    assert paying.move(till, made, "confirm", status=409)["code"] == "statement_changed"
    assert owed(till) == (8_550, 0, 9_000)
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda _: pay(till, [confirmed], payout_id=wish), range(2))
    assert first == second
    assert pay(till, [confirmed], status=409)["code"] == "not_payable", "another click with another id"
    checked = step(till, first, "check", by="wang", approve=True)
    sent = step(till, checked, "send")
    assert step(till, checked, "send", status=409)["code"] == "payout_changed"
    assert owed(till) == (0, 8_550, 9_000)
    done = step(till, sent, "confirm")
    assert step(till, sent, "confirm", status=409)["code"] == "payout_changed"
    assert (done["state"], owed(till)) == ("confirmed", (0, 0, 450))
    assert [one["number"] for one in ask(till, "payouts")["items"]] == [first["number"]]


@pytest.mark.parametrize("mode", ["purchase", "profit_sharing"])
def test_fault_49_a_payout_whose_result_nobody_knows_is_not_made_anew(till, mode):
    agree(till, version=1, mode=mode, split_ppm=10**6)
    [confirmed] = settled(till, DAY)
    sent = step(till, step(till, pay(till, [confirmed]), "check", by="wang", approve=True), "send")
    rows = ask(till, f"payouts/{sent['id']}/instruction")["rows"]
    with paying.later(till, days=2):
        assert make(till, DAY) == []
        assert pay(till, [confirmed], status=409)["code"] == "not_payable"
        assert step(till, sent, "withdraw", status=409)["code"] == "illegal_move"
        assert step(till, sent, "send", status=409)["code"] == "illegal_move"
        assert ask(till, f"payouts/{sent['id']}")["state"] == "sent"
        again = ask(till, f"payouts/{sent['id']}/instruction")["rows"]
        assert [row["request_no"] for row in again] == [row["request_no"] for row in rows], "asked by the same numbers"
        assert owed(till) == (0, 8_550, 9_000)
        told = [{"number": row["request_no"], "amount_fen": row["amount_fen"], "succeeded": True} for row in rows]
        digest = hashlib.sha256(repr(told).encode()).hexdigest()
        body = {"id": str(ids.new_id()), "file_name": "回单.csv", "file_sha256": digest, "rows": told}
        first = paying.say(till, "payouts/results", body)
        assert (first["confirmed"], owed(till)) == (1, (0, 0, 450))
        repeated = paying.say(till, "payouts/results", body | {"id": str(ids.new_id())})
        assert (repeated["confirmed"], repeated["failed"], owed(till)) == (0, 0, (0, 0, 450))
        assert ask(till, f"statements/{confirmed['id']}")["state"] == "paid"
