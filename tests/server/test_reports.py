"""The business day: what the pages list adds up to the summary, and both to the ledger, to the fen."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from server.payments import checkout
from shared import clock, ids
from shared.pricing import Deal, Share
from shared.states import OrderState
from tests.server import stocking
from tests.world import ANNA, BEN, CARA

DAY = date(2026, 7, 1)
NEXT = date(2026, 7, 2)
MORNING = datetime(2026, 7, 1, 1, 0, tzinfo=UTC)  # 09:00 in the shop
LAST_MINUTE = datetime(2026, 7, 1, 15, 59, 30, tzinfo=UTC)  # 23:59:30 in the shop
AFTER_MIDNIGHT = datetime(2026, 7, 1, 16, 0, 20, tzinfo=UTC)  # 00:00:20, 20 seconds into the next day
NEXT_NOON = datetime(2026, 7, 2, 4, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _holds_are_young(site):
    """The books of these days are proved as of their first morning: nobody is at work afterwards."""
    site.world.ended_at = MORNING


@pytest.fixture
def days(site):
    """Two days: three sales, one unpaid order, one order paid after midnight, one payment without an order's amount."""
    shop = site.world
    with clock.fixed(MORNING):
        shop.stock("STEAM-50", 6)
        shop.stock("OFFICE-1Y", 40)
        shop.buy(ANNA, "STEAM-50", 2)
        shop.buy(BEN, "OFFICE-1Y", 30)
        shop.place(CARA, "STEAM-50", 1)
        odd = shop.place(CARA, "STEAM-50", 1)
        shop.apply(shop.fact(odd, amount_fen=1))
    with clock.fixed(LAST_MINUTE):
        shop.buy(BEN, "STEAM-50", 1)
        late = shop.place(ANNA, "STEAM-50", 1)
    with clock.fixed(AFTER_MIDNIGHT):
        shop.apply(shop.fact(late))
    return site


def ask(site, path, by="zhou"):
    with clock.fixed(NEXT_NOON):
        answer = site.get(f"/api/reports/days/{path}", by=by)
    assert answer.status_code == 200, answer.text
    return answer.json()


def everything(site, path, limit):
    items, after, pages = [], "", 0
    while True:
        page = ask(site, f"{path}?limit={limit}{after}")
        items += page["items"]
        pages += 1
        if page["next"] is None:
            return items, pages
        after = f"&after={page['next']}"


def test_the_summary_of_a_day_to_the_fen(days):
    summary = ask(days, f"{DAY}")
    assert summary == {
        "day": "2026-07-01",
        "as_of": "2026-07-02T04:00:00Z",
        "position": 0,
        "orders_placed": 6,
        "orders_paid": 3,
        "orders_delivered": 3,
        "paid_fen": 9_000 + 105 + 4_500,
        "delivered_fen": 9_000 + 105 + 4_500,
        "discount_fen": 0,
        "supplier_fen": 8_550 + 95 + 4_275,
        "commission_fen": 0,
        "fee_fen": 450 + 10 + 225,
        "units_imported": 46,
        "units_sold": 2 + 30 + 1,
        "units_returned": 0,
        "units_replaced": 0,
        "exceptions_open": 1,
        "ledger": [
            {"account": "escrow", "debits_fen": 13_605, "credits_fen": 13_605},
            {"account": "fee", "debits_fen": 0, "credits_fen": 685},
            {"account": "psp", "debits_fen": 13_606, "credits_fen": 0},
            {"account": "supplier_pending", "debits_fen": 0, "credits_fen": 12_920},
            {"account": "suspense", "debits_fen": 0, "credits_fen": 1},
        ],
    }


def test_midnight_in_the_shop_parts_the_days(days):
    summary = ask(days, f"{NEXT}")
    assert {name: summary[name] for name in ("orders_placed", "orders_paid", "orders_delivered", "units_imported")} == {
        "orders_placed": 0,
        "orders_paid": 1,
        "orders_delivered": 1,
        "units_imported": 0,
    }
    assert (summary["paid_fen"], summary["delivered_fen"], summary["units_sold"]) == (4_500, 4_500, 1)
    [late] = ask(days, f"{NEXT}/orders")["items"]
    assert (late["created_at"], late["paid_at"]) == ("2026-07-01T15:59:30Z", "2026-07-01T16:00:20Z")
    assert len(ask(days, f"{NEXT}/payments")["items"]) == 1


def test_the_order_lines_of_a_day_add_up_to_its_summary(days):
    lines, _ = everything(days, f"{DAY}/orders", 100)
    summary = ask(days, f"{DAY}")
    assert [(line["sku"], line["quantity"], line["state"]) for line in lines] == [
        ("STEAM-50", 2, "delivered"),
        ("OFFICE-1Y", 30, "delivered"),
        ("STEAM-50", 1, "pending_payment"),
        ("STEAM-50", 1, "pending_payment"),
        ("STEAM-50", 1, "delivered"),
        ("STEAM-50", 1, "delivered"),  # delivered the day after
    ]
    start, end = (instant.isoformat().replace("+00:00", "Z") for instant in clock.day_bounds(DAY))
    delivered = [line for line in lines if line["delivered_at"] and start <= line["delivered_at"] < end]
    for name, column in (("delivered_fen", "amount_fen"), ("supplier_fen", "supplier_fen"), ("fee_fen", "fee_fen")):
        assert sum(line[column] for line in delivered) == summary[name]
    assert sum(line["quantity"] for line in delivered) == summary["units_sold"]
    assert all(line["amount_fen"] == line["supplier_fen"] + line["fee_fen"] for line in lines)
    assert {line["supplier"] for line in lines} == {"星河数码", "北辰软件"}


def test_the_payments_of_a_day_add_up_to_its_summary_and_its_ledger(days):
    payments, _ = everything(days, f"{DAY}/payments", 100)
    summary = ask(days, f"{DAY}")
    assert [(one["amount_fen"], one["delivered"], one["channel"], one["found_by"]) for one in payments] == [
        (9_000, True, "sandbox", "callback"),
        (105, True, "sandbox", "callback"),
        (4_500, True, "sandbox", "callback"),
    ]
    paid = sum(one["amount_fen"] for one in payments)
    psp = next(total for total in summary["ledger"] if total["account"] == "psp")
    assert paid == summary["paid_fen"] == psp["debits_fen"] - 1, "a fen was set aside"
    assert all(len(one["provider_no"]) > 10 and len(one["out_trade_no"]) == 32 for one in payments)


def test_movements_tell_what_came_went_and_was_left_at_close(days):
    assert ask(days, f"{DAY}/movements")["items"] == [
        {
            "sku": sku,
            "title": title,
            "supplier": supplier,
            "imported": imported,
            "sold": sold,
            "returned": 0,
            "replaced": 0,
            "void": 0,
            "free_at_close": left,
            "sold_fen": paid,
            "cost_fen": None if sold else 0,
            "margin_fen": None if sold else 0,
        }
        for sku, title, supplier, imported, sold, left, paid in (
            ("MUSIC-30", "音乐会员 · Music-30", "星河数码", 0, 0, 0, 0),
            ("OFFICE-1Y", "办公套件 · Office-1Y", "北辰软件", 40, 30, 10, 105),
            ("STEAM-50", "Steam 充值卡 · Steam-50", "星河数码", 6, 3, 3, 13_500),
        )
    ]
    after = {row["sku"]: row for row in ask(days, f"{NEXT}/movements")["items"]}
    assert (after["STEAM-50"]["sold"], after["STEAM-50"]["free_at_close"]) == (1, 2)
    before = ask(days, f"{DAY - timedelta(days=1)}/movements")["items"]
    assert {row["free_at_close"] for row in before} == {0}


def test_movements_know_what_became_void_on_which_day(site):
    shop = site.world
    with clock.fixed(MORNING):
        shop.stock("STEAM-50", 10)
        shop.stock("STEAM-50", shop.keys("STEAM-50", 6, start=20))
        shop.buy(ANNA, "STEAM-50", 2)
        held = shop.place(BEN, "STEAM-50")
        stocking.void(shop, "STEAM-50", 9)
    with clock.fixed(MORNING + timedelta(days=1)):
        stocking.void(shop, "STEAM-50", 2**32 + 1)
        stocking.move(shop, stocking.lots_of(shop, "STEAM-50")[0], "withdrawn")
    with clock.fixed(MORNING + timedelta(days=2)):
        stocking.end(shop, held)
        shop.work()
        shop.check()
    days = [DAY + timedelta(days=n) for n in range(-1, 4)]
    steam = [ask(site, f"{day}/movements")["items"][2] for day in days]
    assert [(row["imported"], row["sold"], row["void"], row["free_at_close"]) for row in steam] == [
        (0, 0, 0, 0), (16, 2, 1, 13), (0, 0, 7, 6), (0, 0, 1, 5), (0, 0, 0, 5),
    ]  # fmt: skip


def test_a_margin_is_told_when_all_that_was_sold_had_a_cost(site):
    shop = site.world
    with clock.fixed(MORNING):
        shop.stock("STEAM-50", 2, terms=(None, 300_033, 1))
        shop.stock("STEAM-50", shop.keys("STEAM-50", 1, start=20), terms=(None, 299_999, 2))
        shop.stock("STEAM-50", shop.keys("STEAM-50", 2, start=40))
        shop.buy(ANNA, "STEAM-50", 3)

    def money():
        row = ask(site, f"{DAY}/movements")["items"][2]
        return row["sold_fen"], row["cost_fen"], row["margin_fen"]

    cost = (2 * 300_033 + 299_999 + 50) // 100
    assert money() == (13_500, cost, 13_500 - cost)
    with clock.fixed(MORNING):
        shop.buy(ANNA, "STEAM-50", 2)
    assert money() == (22_500, None, None)


def test_money_that_was_not_delivered_shows_as_such(site):
    shop = site.world
    with clock.fixed(MORNING):
        shop.stock("STEAM-50", 2)
        bought = shop.buy(ANNA, "STEAM-50")
        shop.apply(shop.fact(bought, provider_no="S-second-payment-0001"))  # the channel took it twice
    summary = ask(site, f"{DAY}")
    assert summary["exceptions_open"] == 1
    payments = ask(site, f"{DAY}/payments")["items"]
    assert sum(one["amount_fen"] for one in payments) == summary["paid_fen"]
    received = {total["account"]: total["debits_fen"] + total["credits_fen"] for total in summary["ledger"]}
    assert received["psp"] == summary["paid_fen"] + received["suspense"], "the second payment is set aside"


def test_a_payment_counts_as_delivered_by_what_became_of_its_own_money(site):
    shop = site.world
    with clock.fixed(MORNING):
        shop.stock("STEAM-50", 3)
        twice, misstated, in_vain = (shop.place(buyer, "STEAM-50") for buyer in (ANNA, BEN, CARA))
        shop.apply(shop.fact(twice))
        shop.apply(shop.fact(twice, provider_no="S-second-payment-0001"))
        shop.apply(shop.fact(misstated, amount_fen=1))  # the callback was wrong,
        shop.apply(shop.fact(misstated))  # the query right
        shop.ctx.batch.call(checkout.EndUnpaid(in_vain.order.id, OrderState.EXPIRED, ()))
        shop.buy(ANNA, "STEAM-50")
        shop.apply(shop.fact(in_vain))
    delivered = {one["order_code"]: one["delivered"] for one in ask(site, f"{DAY}/payments")["items"]}
    assert [delivered[one.order.code] for one in (twice, misstated, in_vain)] == [True, True, False]


def test_money_that_is_attached_later_is_a_payment_of_the_day_on_which_it_was(site):
    shop = site.world
    with clock.fixed(MORNING):
        shop.stock("STEAM-50", 1)
        meant = shop.place(ANNA, "STEAM-50")
        shop.apply(replace(shop.fact(meant), out_trade_no="NOT-OURS-1"))
    signed = ask(site, f"{DAY}")
    assert (signed["paid_fen"], [row["account"] for row in signed["ledger"]]) == (0, ["psp", "suspense"])
    with clock.fixed(NEXT_NOON):
        [one] = site.get("/api/exceptions", by="li").json()["items"]
        body = {"action": "attach", "order_code": meant.order.code, "note": "买家出示了账单", "version": one["version"]}
        proposed = site.post(f"/api/exceptions/{one['id']}/propose", by="li", json=body).json()
        body = {"approved": True, "version": proposed["version"]}
        assert site.post(f"/api/exceptions/{one['id']}/approve", by="zhou", json=body).status_code == 200
    assert ask(site, f"{DAY}") | {"exceptions_open": 1} == signed
    assert ask(site, f"{DAY}/payments")["items"] == []
    [payment] = ask(site, f"{NEXT}/payments")["items"]
    assert (payment["order_code"], payment["paid_at"], payment["delivered"]) == (
        meant.order.code, "2026-07-02T04:00:00Z", True,
    )  # fmt: skip
    summary = ask(site, f"{NEXT}")
    assert summary["paid_fen"] == summary["delivered_fen"] == 4_500


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_any_size_give_every_row_once(days, limit):
    for path in (f"{DAY}/orders", f"{NEXT}/orders", f"{DAY}/payments", f"{DAY}/movements"):
        whole, _ = everything(days, path, 1_000)
        parts, pages = everything(days, path, limit)
        assert parts == whole
        assert pages == max(1, -(-len(whole) // limit))


def test_a_discount_and_a_commission_are_parts_of_what_was_delivered(site):
    """45.00 with 5.00 off: the shop bears it, the shares are of all 45.00."""
    deal = Deal(discount=Share.fixed(50_000), commission=Share.percent(100_000), distributor_id=ids.new_id())
    with clock.fixed(MORNING):
        site.world.stock("STEAM-50", 1)
        site.world.buy(ANNA, "STEAM-50", deal=deal)
    told = ask(site, DAY)
    parts = ("delivered_fen", "discount_fen", "supplier_fen", "commission_fen", "fee_fen", "paid_fen")
    assert [told[name] for name in parts] == [4_000, 500, 3_825, 450, 225, 4_000]


def test_a_day_without_business_is_all_zero(site):
    summary = ask(site, "2020-02-29")
    assert {value for name, value in summary.items() if name.endswith("fen") or "orders" in name} == {0}
    assert summary["ledger"] == []
    assert ask(site, "2020-02-29/orders") == {"items": [], "next": None}


@pytest.mark.parametrize(
    "path",
    [
        "yesterday",
        "2026-02-30",
        "0001-01-01",
        "9999-12-31/orders",
        f"{DAY}/orders?after=nonsense",
        f"{DAY}/orders?limit=0",
        f"{DAY}/payments?after=-",
    ],
)
def test_a_day_or_page_that_cannot_be_is_refused(site, path):
    assert site.get(f"/api/reports/days/{path}", by="zhou").status_code == 422


def test_reports_hold_no_key(days):
    keys = days.world.keys("STEAM-50", 6) + days.world.keys("OFFICE-1Y", 40)
    pages = ("", "/orders", "/payments", "/movements")
    told = "".join(days.get(f"/api/reports/days/{DAY}{path}", by="zhou").text for path in pages)
    assert not any(key in told for key in keys)
