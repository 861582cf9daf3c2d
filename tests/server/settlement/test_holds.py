"""Why a line waits, as finance and its supplier read it: cycle, completion, people, minimum, open questions."""

import pytest

from shared import clock, ids
from tests.server.settlement import paying
from tests.server.settlement.paying import SOLD, agree, ask, complete, due_of, later, make, say
from tests.world import ANNA, BEN

DAY = "2026-11-16"


@pytest.fixture
def shop(site):
    site.world.stock("STEAM-50", 10)
    with clock.fixed(SOLD):
        yield site


def lines_of(site, supplier="xinghe", *, by="zhou", status=200, **query):
    shown = ask(site, f"due/{site.world.suppliers[supplier]}", by=by, status=status, **query)
    return [(row["net_fen"], row["due_on"], row["hold"], row["hold_note"]) for row in shown["items"]]


def test_without_an_agreement_a_line_is_due_on_the_working_day_after_its_completion(shop):
    shop.world.buy(ANNA, "STEAM-50")
    assert lines_of(shop) == [(4_275, None, "not_completed", "")]
    with later(shop, days=4):  # Friday: completed by its timer
        assert complete(shop) == 1
        assert lines_of(shop, by="chen") == [(4_275, "2026-11-23", "cycle", "")]
        due = due_of(shop)
        assert (due["lines"], due["held_lines"], due["held_fen"], due["holds"]) == (0, 1, 4_275, {"cycle": 1})
        assert due_of(shop, day="2026-11-23")["release_fen"] == 4_275
        assert (
            say(shop, "statements", {"id": str(ids.new_id()), "day": "2026-11-23"}, status=422)["code"] == "bad_field"
        )
    with later(shop, days=7):
        assert [one["release_fen"] for one in make(shop, "2026-11-23")] == [4_275]


def test_a_line_keeps_the_terms_of_the_day_it_was_delivered_on(shop):
    agree(shop, cycle="days", n=3)
    shop.world.buy(ANNA, "STEAM-50")
    with later(shop, hours=1):
        assert agree(shop, version=1)["version"] == 2
        assert agree(shop, version=1)["version"] == 2  # the same wish again
        assert agree(shop, version=1, n=0, hold_days=1, status=409)["code"] == "terms_changed"
        agree(shop, version=2, cutoff="09:00Z", status=422)  # it is the shop's time
        shop.world.buy(BEN, "STEAM-50")
        assert [row[1:3] for row in lines_of(shop)] == [("2026-11-19", "cycle"), ("2026-11-16", None)]
        kept = ask(shop, f"terms/{shop.world.suppliers['xinghe']}", by="chen")["items"]
        shown = [(one["version"], one["cycle"], one["n"], one["valid_from"], one["changed_by"]) for one in kept]
        assert shown[:2] == [
            (2, "d0", 0, "2026-11-16T05:00:00Z", "shop"),
            (1, "days", 3, "2026-11-16T04:00:00Z", "shop"),
        ]
        assert [(one[1], one[2]) for one in shown[2:]] == [("working_days", 1)]


def test_people_hold_an_order_or_a_supplier_and_let_go(shop):
    agree(shop)
    bought = shop.world.buy(ANNA, "STEAM-50")
    shop.world.buy(BEN, "STEAM-50")
    wish = {"id": str(ids.new_id()), "order_code": bought.order.code, "reason": "买家报警"}
    held = say(shop, "holds", wish, by="li", status=201)
    assert say(shop, "holds", wish, by="li", status=201) == held
    assert lines_of(shop, by="chen") == [
        (4_275, "2026-11-16", "by_person", "买家报警"),
        (4_275, "2026-11-16", None, ""),
    ]
    whole = {"id": str(ids.new_id()), "supplier_id": str(shop.world.suppliers["xinghe"]), "reason": "合同到期"}
    whole = say(shop, "holds", whole | {"until": "2026-11-18"}, by="li")
    assert (due_of(shop)["blocked"], due_of(shop)["holds"]) == ("by_person", {"by_person": 2})
    assert make(shop, DAY) == []
    freed = say(shop, f"holds/{held['id']}", None, by="zhou", method="DELETE")
    assert (freed["held_by"], freed["freed_by"]) == ("李航", "周洁")
    assert [one["id"] for one in ask(shop, "holds")["items"]] == [whole["id"]]
    assert len(ask(shop, "holds", all=True)["items"]) == 2
    with later(shop, days=2):  # the day has come
        assert due_of(shop)["blocked"] is None
        assert [one["release_fen"] for one in make(shop, "2026-11-18")] == [8_550]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({}, "bad_field"),
        ({"order_code": "7K3M9QX2H4TD", "supplier_id": "01a20707-af73-7040-afdc-4bb4f66a21d1"}, "bad_field"),
        ({"supplier_id": "01a20707-af73-7040-afdc-4bb4f66a21d1"}, "not_found"),
        ({"order_code": "nonsense"}, "not_found"),
        ({"supplier_id": "xinghe", "until": DAY}, "held_until_past"),
    ],
)
def test_a_hold_of_nothing_is_refused(shop, wish, said):
    named = wish | ({"supplier_id": str(shop.world.suppliers["xinghe"])} if wish.get("supplier_id") == "xinghe" else {})
    body = {"id": str(ids.new_id()), "reason": "x"} | named
    assert shop.post("/api/settlement/holds", by="li", json=body).json()["type"] == f"urn:kameng:problem:{said}"
    assert ask(shop, "holds", all=True)["items"] == []


def test_what_is_not_worth_a_payout_waits_for_more(shop):
    agree(shop, minimum_fen=8_000, payout_fee_fen=100)
    shop.world.buy(ANNA, "STEAM-50")
    assert (due_of(shop)["blocked"], due_of(shop)["payable_fen"]) == ("below_minimum", 4_175)
    assert make(shop, DAY) == []
    shop.world.buy(BEN, "STEAM-50")
    assert due_of(shop)["blocked"] is None
    assert [(one["payout_fee_fen"], one["payable_fen"]) for one in make(shop, DAY)] == [(100, 8_450)]


def test_an_order_with_an_open_exception_waits(shop):
    agree(shop)
    bought = shop.world.buy(ANNA, "STEAM-50")
    again = shop.world.fact(bought, provider_no="S-AGAIN")
    shop.world.apply(again)  # paid twice
    assert [row[2] for row in lines_of(shop)] == ["exception_open"]
    assert make(shop, DAY) == []


def test_a_supplier_reads_its_own_alone(shop):
    agree(shop)
    agree(shop, "beichen")
    shop.world.buy(ANNA, "STEAM-50")
    [made] = paying.settled(shop, DAY)
    payout = paying.pay(shop, [made])
    xinghe = shop.world.suppliers["xinghe"]
    for path in (
        f"statements/{made['id']}",
        f"statements/{made['id']}/lines",
        f"payouts/{payout['id']}",
        f"due/{xinghe}",
        f"accounts/{xinghe}",
        f"terms/{xinghe}",
    ):
        ask(shop, path, by="zhao", status=404)
        ask(shop, path, by="chen")
    for path in ("statements", "payouts"):
        assert ask(shop, path, by="zhao")["items"] == []
        assert ask(shop, path, by="zhao", supplier_id=xinghe)["items"] == []
        assert [one["id"] for one in ask(shop, path, by="chen")["items"]] == [
            one["id"] for one in ask(shop, path)["items"]
        ]
    assert [one["supplier"] for one in ask(shop, "due", by="zhao")["items"]] == ["北辰软件"]
    changes = shop.get("/sync/v1/changes?cursor=0", by="chen").json()["rows"]
    assert {row["entity"] for row in changes} >= {"statement", "payout", "settlement"}
    foreign = shop.get("/sync/v1/changes?cursor=0", by="zhao").json()["rows"]
    assert {row["entity"] for row in foreign} & {"statement", "payout"} == set()


def test_the_years_holidays_are_read_and_corrected(shop):
    year = {row["day"]: (row["works"], row["name"]) for row in ask(shop, "holidays", year=2026)["items"]}
    assert (year["2026-10-01"], year["2026-10-10"]) == ((False, "国庆节"), (True, "国庆节"))
    assert ask(shop, "holidays", year=2027)["items"] == []
    entered = say(shop, "holidays/2027-01-01", {"works": False, "name": "元旦"}, method="PUT")
    assert entered == {"day": "2027-01-01", "works": False, "known": False, "name": "元旦"}
    assert ask(shop, "holidays", year=2027, by="chen")["items"] == [entered]
    agree(shop, cycle="working_days", n=1)
    with later(shop, days=45):  # the last day of the year
        shop.world.buy(ANNA, "STEAM-50")
        assert lines_of(shop)[-1][1] == "2027-01-04"
