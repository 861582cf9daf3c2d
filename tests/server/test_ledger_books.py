"""The books as finance reads them: accounts, lines with running balances, closed days, and adjustments by two."""

from datetime import UTC, datetime, timedelta

import pytest

from server.ledger import days
from shared import clock, ids
from tests.server.bookkeeping import AVAILABLE, DISTRIBUTOR, OWED, adjust, money
from tests.server.till import Till, site_with
from tests.world import ANNA, BEN, WITH_FEES

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
"""The end of the shop's 20th of November."""


@pytest.fixture
def site(tmp_path):
    with site_with(tmp_path, Till("sandbox"), **WITH_FEES) as built:
        built.world.stock("STEAM-50", 12)
        yield built


def pages(site, path, **params):
    """All items of a list, two at a time."""
    items, after = [], None
    while True:
        asked = {**params, "limit": 2} | ({"after": after} if after else {})
        page = site.get(f"/api/ledger/{path}", by="zhou", params=asked)
        assert page.status_code == 200, page.text
        items += page.json()["items"]
        assert len(page.json()["items"]) <= 2
        after = page.json()["next"]
        if after is None:
            return items


def facts(rows, *names):
    """Some values of each row."""
    return [tuple(row[name] for name in names) for row in rows]


def test_a_closed_day_stays_as_it_was_and_what_comes_late_is_of_its_own_day(site):
    shop, db = site.world, site.world.ctx.db
    assert days.close_days(db) == 0, "before there is anything"
    with clock.fixed(NOON):
        first, late = shop.buy(ANNA, "STEAM-50", 2), shop.place(BEN, "STEAM-50")
        assert days.close_days(db) == 0
    with clock.fixed(MIDNIGHT + timedelta(minutes=9)):
        assert days.close_days(db) == 0, "a journal of before midnight may still be on its way"
    with clock.fixed(MIDNIGHT + timedelta(minutes=10)):
        assert (days.close_days(db), days.close_days(db)) == (1, 0)
        shop.apply(shop.fact(late, paid_at=MIDNIGHT - timedelta(seconds=1)))
    with clock.fixed(MIDNIGHT + timedelta(days=3, minutes=10)):
        assert days.close_days(db) == 3, "days without anything are closed too"
    closings = pages(site, "accounts/psp/days", owner="sandbox")
    assert [
        (one["day"], one["opening_fen"], one["debits_fen"], one["credits_fen"], one["closing_fen"]) for one in closings
    ] == [
        ("2026-11-21", 8_946, 4_500, 27, 13_419),
        ("2026-11-20", 0, 9_000, 54, 8_946),
    ]
    lines = pages(site, "accounts/psp/lines", owner="sandbox", day="2026-11-21")
    number = shop.attempt(late).provider_no
    assert [
        (one["key"], one["order_code"], one["debit_fen"], one["credit_fen"], one["balance_fen"]) for one in lines
    ] == [
        (f"payment:sandbox:{number}:pay", late.order.code, 4_500, 0, 13_446),
        (f"payment:sandbox:{number}:fee", late.order.code, 0, 27, 13_419),
    ]
    assert [one["other_kind"] for one in lines] == ["escrow", "psp_fee"]
    book = pages(site, "accounts/escrow/lines", day="2026-11-20")
    assert [one["balance_fen"] for one in book] == [9_000, 450, 0]
    assert [one["order_code"] for one in book] == [first.order.code] * 3
    as_of = {one["kind"]: one["balance_fen"] for one in pages(site, "accounts", day="2026-11-20")}
    now = {one["kind"]: one["balance_fen"] for one in pages(site, "accounts")}
    assert (as_of["psp"], now["psp"], as_of["fee"], now["fee"]) == (8_946, 13_419, 450, 675)
    names = {one["kind"]: one["name"] for one in pages(site, "accounts")}
    assert (names["supplier_pending"], names["psp"], names["escrow"]) == ("星河数码", "sandbox", "")


def test_journals_are_listed_newest_first_by_day_and_kind(site):
    with clock.fixed(NOON):
        site.world.buy(ANNA, "STEAM-50")
    with clock.fixed(MIDNIGHT + timedelta(hours=1)):
        site.world.buy(BEN, "STEAM-50")
    assert [one["code"] for one in pages(site, "journals")] == ["SALE", "PSPFEE", "PAY"] * 2
    assert [one["code"] for one in pages(site, "journals", day="2026-11-20")] == ["SALE", "PSPFEE", "PAY"]
    [sale] = pages(site, "journals", day="2026-11-21", code="SALE")
    assert (sale["occurred_at"], sale["actor"], sale["memo"]) == (sale["posted_at"], None, "")
    assert [one["amount_fen"] for one in sale["transfers"]] == [4_275, 225]


@pytest.mark.parametrize("path", ["accounts/nothing/lines", "accounts/nothing/days", "orders/KAMENG", "orders/!!"])
def test_what_is_not_there(site, path):
    assert site.get(f"/api/ledger/{path}", by="zhou").status_code == 404


@pytest.mark.parametrize("after", ["x", "1:2", "1:x:1", "9" * 30 + ":00000000-0000-0000-0000-000000000000:0"])
def test_a_page_after_nonsense_is_refused(site, after):
    site.world.buy(ANNA, "STEAM-50")
    for path in ("accounts/escrow/lines", "journals"):
        assert site.get(f"/api/ledger/{path}", by="zhou", params={"after": after}).status_code == 422
    assert site.get("/api/ledger/accounts", by="zhou", params={"after": "x"}).status_code == 422


# --- adjustments ---


def check(site, row, *, by="wang", approve=True, status=200, version=1):
    said = {"approve": approve, "note": "核对无误", "version": version}
    answer = site.post(f"/api/ledger/adjustments/{row['id']}/check", by=by, json=said)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_an_adjustment_needs_two_people_and_says_who_and_why(site):
    bought = site.world.buy(ANNA, "STEAM-50")
    supplier, before = site.world.suppliers["xinghe"].hex, money(site)
    wanted = (("fee", "", "supplier_available", supplier, 25), ("loss", "", "psp", "sandbox", 2))
    made = adjust(site, *wanted, order_code=bought.order.code)
    assert (made.status_code, money(site)) == (201, before), "nothing is posted yet"
    row = made.json()
    assert (row["state"], row["proposed_by"], row["actions"], row["ticket"]) == (
        "proposed",
        "周洁",
        ["withdraw"],
        "T-42",
    )
    assert [(one["debit_name"], one["credit_name"]) for one in row["transfers"]] == [("", "星河数码"), ("", "sandbox")]
    assert adjust(site, *wanted, order_code=bought.order.code, id=row["id"]).json() == row
    assert adjust(site, *wanted[:1], order_code=bought.order.code, id=row["id"]).status_code == 422
    assert check(site, row, by="zhou", status=409)["type"].endswith("adjustment_by_you")
    assert check(site, row, version=2, status=409)["type"].endswith("adjustment_changed")
    assert site.get("/api/ledger/adjustments", by="wang").json()["items"][0]["actions"] == ["check"]
    done = check(site, row)
    assert (done["state"], done["checked_by"], done["check_note"], done["actions"]) == (
        "posted",
        "王敏",
        "核对无误",
        [],
    )
    changed = {("fee", ""): 200, ("supplier_available", "xinghe"): 25, ("loss", ""): 2, ("psp", "sandbox"): 4_471}
    assert money(site) == before | changed
    journal = site.get(f"/api/ledger/orders/{bought.order.code}", by="zhou").json()[-1]
    assert (journal["code"], journal["actor"], journal["key"]) == (
        "ADJ",
        "王敏",
        f"adjust:{row['id'].replace('-', '')}",
    )
    assert journal["memo"].startswith("T-42 · 多收手续费")
    assert journal["transfers"] == row["transfers"]
    book = site.get("/api/ledger/accounts/fee/lines", by="zhou", params={"day": str(clock.shop_day(clock.now()))})
    assert [one["other_name"] for one in book.json()["items"]] == ["", "星河数码"]
    assert check(site, row, version=2, status=409)["type"].endswith("adjustment_over")
    opposite = [(credit, owner, debit, of, fen) for debit, of, credit, owner, fen in wanted]
    check(site, adjust(site, *opposite, order_code=bought.order.code).json())
    assert money(site) == before
    assert [one["state"] for one in site.get("/api/ledger/adjustments", by="zhou").json()["items"]] == ["posted"] * 2


def test_an_adjustment_that_is_refused_or_withdrawn_posts_nothing(site):
    site.world.buy(ANNA, "STEAM-50")
    before = money(site)
    assert check(site, adjust(site, ("loss", "", "fee", "", 1)).json(), approve=False)["state"] == "refused"
    mine = adjust(site, ("loss", "", "fee", "", 1)).json()
    away = f"/api/ledger/adjustments/{mine['id']}/withdraw"
    assert site.post(away, by="wang", json={"version": 1}).status_code == 404
    assert site.post(away, by="zhou", json={"version": 1}).json()["state"] == "refused"
    assert site.post(away, by="zhou", json={"version": 2}).status_code == 409
    assert money(site) == before
    refused = site.get("/api/ledger/adjustments", by="zhou", params={"state": "refused"}).json()["items"]
    assert len(refused) == 2


@pytest.mark.parametrize(
    ("debit", "credit", "said"),
    [
        (("escrow", ""), ("fee", ""), "not_adjustable"),
        (("fee", ""), ("suspense", ""), "not_adjustable"),
        (("supplier_frozen", ""), ("fee", ""), "not_adjustable"),
        (("payout", ""), ("bank", ""), "not_adjustable"),
        (("supplier_pending", ""), ("fee", ""), "not_adjustable"),
        (("fee", ""), ("distributor_pending", ""), "not_adjustable"),
        (("nothing", ""), ("fee", ""), "bad_field"),
        (("fee", "somebody"), ("loss", ""), "bad_field"),
        (("supplier_available", ""), ("fee", ""), "bad_field"),
        (("supplier_available", DISTRIBUTOR.hex), ("fee", ""), "bad_field"),
        (("fee", ""), ("fee", ""), "same_account"),
    ],
)
def test_what_belongs_to_rows_or_to_nobody_is_not_adjusted(site, debit, credit, said):
    answer = adjust(site, (*debit, *credit, 1))
    assert answer.json()["type"] == f"urn:kameng:problem:{said}"
    assert site.get("/api/ledger/adjustments", by="zhou").json()["items"] == []


def test_nobody_is_adjusted_below_nothing_nor_paid_what_they_owe(site):
    site.world.buy(ANNA, "STEAM-50")
    supplier, before = site.world.suppliers["xinghe"].hex, money(site)
    for wanted in (
        ("supplier_available", supplier, "fee", "", 1),
        ("loss", "", "owed", supplier, 1),
    ):
        row = adjust(site, wanted).json()
        refused = check(site, row, status=409)
        assert (refused["code"], "星河数码" in refused["detail"]) == ("below_floor", True)
    owes = adjust(site, ("owed", supplier, "fee", "", 100)).json()
    assert check(site, owes)["state"] == "posted"
    before = money(site)
    credit = adjust(site, ("loss", "", "supplier_available", supplier, 30)).json()
    assert check(site, credit, status=409)["type"].endswith("debt_first")
    assert (money(site), adjust(site, ("fee", "", "loss", "", 1), by="li").status_code) == (before, 403)
    paid = adjust(site, ("loss", "", "owed", supplier, 100), ("loss", "", "supplier_available", supplier, 30)).json()
    assert check(site, paid)["state"] == "posted"
    assert (money(site).get(OWED), money(site)[AVAILABLE]) == (None, 30)
    unknown = adjust(site, ("fee", "", "loss", "", 1), order_code=ids.new_order_code())
    assert unknown.status_code == 404
