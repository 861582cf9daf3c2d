"""What a statement brought forward is taken apart: each part leads to the paper that it comes from."""

import pytest

from tests.server.bookkeeping import adjust, dispute
from tests.server.settlement import paying
from tests.server.settlement.paying import agree, ask, brought, brought_by, brought_due, make, move, paid, settled
from tests.server.settlement.test_netting import DAY, XINGHE, refund
from tests.world import ANNA, BEN


@pytest.fixture
def shop(tmp_path):
    with paying.open_shop(tmp_path) as site:
        agree(site)
        yield site


def post(site, *transfers, ticket, **other):
    """Two people adjust."""
    made = adjust(site, *transfers, ticket=ticket, reason=f"为了 {ticket}", **other).json()
    body = {"approve": True, "note": "", "version": made["version"]}
    answer = site.post(f"/api/ledger/adjustments/{made['id']}/check", by="wang", json=body)
    assert answer.is_success, answer.text
    return made


def test_what_was_short_and_what_was_adjusted_since(shop):
    """Each statement names what is new since the one before; a dropped one counts for none, a redrawn one again."""
    owner = shop.world.suppliers[XINGHE].hex
    first = shop.world.buy(ANNA, "STEAM-50", 2)
    paid(shop, settled(shop, DAY))
    refund(shop, first, 9_000)
    shop.world.buy(BEN, "STEAM-50")
    [short] = settled(shop, DAY)
    assert (short["deductions_fen"], short["owed_fen"], brought(shop, short)) == (8_550, 0, [])
    less = post(shop, ("loss", "", "owed", owner, 1_000), ticket="T-1")
    shop.world.buy(BEN, "STEAM-50", 2)
    [dropped] = make(shop, DAY)
    found = brought(shop, dropped)
    assert brought_by(found) == [("short", -4_275, short["number"]), ("adjusted", 1_000, "T-1")]
    assert [(one["id"], one["note"]) for one in found] == [(short["id"], ""), (less["id"], "为了 T-1")]
    theirs = brought(shop, dropped, by="chen")
    assert brought_by(theirs) == brought_by(found)
    assert [(one["id"], one["note"]) for one in theirs] == [(short["id"], ""), (None, "")], "why is the shop's"
    move(shop, dropped, "drop")
    post(shop, ("owed", owner, "fee", "", 25), ticket="T-2")
    gone = shop.world.buy(BEN, "STEAM-50")
    [made] = make(shop, DAY)
    assert brought_by(brought(shop, made))[1:] == [("adjusted", 1_000, "T-1"), ("adjusted", -25, "T-2")]
    post(shop, ("loss", "", "owed", owner, 5), ticket="T-3")
    dispute(shop, gone, 100)
    assert move(shop, made, "confirm", status=409)["code"] == "statement_outdated"
    redrawn = move(shop, ask(shop, f"statements/{made['id']}"), "confirm")
    adjusted = [("adjusted", 1_000, "T-1"), ("adjusted", -25, "T-2"), ("adjusted", 5, "T-3")]
    assert brought_by(brought(shop, redrawn))[1:] == adjusted
    paid(shop, [redrawn])
    post(shop, ("loss", "", "supplier_available", owner, 7), ticket="T-4")
    gone = shop.world.buy(BEN, "STEAM-50")
    shop.world.buy(BEN, "STEAM-50")
    [early] = make(shop, DAY)
    assert brought_by(brought(shop, early)) == [("adjusted", 7, "T-4")], "what was before is paid"
    post(shop, ("loss", "", "supplier_available", owner, 300), ticket="T-5", order_code=first.order.code)
    shop.world.buy(BEN, "STEAM-50")
    [late] = make(shop, DAY)
    post(shop, ("loss", "", "supplier_available", owner, 50), ticket="T-6")
    dispute(shop, gone, 100)
    assert move(shop, early, "confirm", status=409)["code"] == "statement_outdated"
    early = ask(shop, f"statements/{early['id']}")
    found = [("adjusted", 7, "T-4"), ("adjusted", 300, "T-5"), ("adjusted", 50, "T-6"), ("others", -300, "")]
    assert brought_by(brought(shop, early)) == found, "which was on another one already"
    [part], [theirs] = brought(shop, late), brought(shop, late, by="chen")
    assert brought_by([part]) == brought_by([theirs]) == [("adjusted", 300, "T-5")]
    assert [one["order_code"] for one in (part, theirs)] == [first.order.code, None], "it may be another's"
    move(shop, early, "drop")
    assert brought(shop, late) == [part], "as it was then"
    shop.world.buy(BEN, "STEAM-50")
    bore = [("dropped", 7, early["number"]), ("adjusted", 50, "T-6")]
    assert [brought_by(brought_due(shop, by=by)) for by in ("zhou", "chen")] == [bore, bore]
    assert brought_by(brought(shop, make(shop, DAY)[0])) == bore, "what a dropped one bore"
    assert brought_due(shop) == []


def test_a_dropped_draft_had_borne_what_the_next_one_did_not_take(shop):
    """What it was short of the next one has taken, and a further one only what is left of it."""
    owner = shop.world.suppliers[XINGHE].hex
    post(shop, ("owed", owner, "fee", "", 10_000), ticket="T-1")
    shop.world.buy(BEN, "STEAM-50")
    [short] = make(shop, DAY)
    assert (short["release_fen"], short["payable_fen"]) == (4_275, 0)
    shop.world.buy(BEN, "STEAM-50", 3)
    [taken] = make(shop, DAY)
    assert brought_by(brought(shop, taken)) == [("short", -5_725, short["number"])]
    move(shop, short, "drop")
    assert brought_by(brought_due(shop)) == [("dropped", -4_275, short["number"])]


def test_what_one_dropped_draft_had_borne_of_another_is_told_once(shop):
    """That of the first came to the second, which was reckoned anew then, and was dropped as well."""
    owner = shop.world.suppliers[XINGHE].hex
    post(shop, ("loss", "", "supplier_available", owner, 7), ticket="T-1")
    shop.world.buy(BEN, "STEAM-50")
    [first] = make(shop, DAY)
    gone = shop.world.buy(BEN, "STEAM-50")
    shop.world.buy(BEN, "STEAM-50")
    [second] = make(shop, DAY)
    shop.world.buy(BEN, "STEAM-50")
    [stands] = make(shop, DAY)
    assert [one["owed_fen"] for one in (first, second, stands)] == [-7, 0, 0]
    move(shop, first, "drop")
    dispute(shop, gone, 100)
    move(shop, second, "confirm", status=409)
    second = ask(shop, f"statements/{second['id']}")
    assert brought_by(brought(shop, second)) == [("adjusted", 7, "T-1")]
    move(shop, second, "drop")
    assert brought_by(brought_due(shop)) == [("dropped", 7, first["number"])]
