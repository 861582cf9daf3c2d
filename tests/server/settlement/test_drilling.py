"""A line of a statement leads down to its order, its keys' lots, its payment and the row of the channel's bill."""

import pytest
from sqlalchemy import insert

from server.db import table_of
from server.payments.model import PaymentBillFile
from server.reconcile.model import ReconcileDay, ReconcileRow
from shared import clock, ids
from tests.server.settlement.paying import SOLD, account_of, agree, ask, due_of, settled
from tests.world import ANNA, BEN

DAY = "2026-11-16"


@pytest.fixture
def shop(site):
    site.world.stock("STEAM-50", 2)
    site.world.stock("STEAM-50", site.world.keys("STEAM-50", 5, start=50))
    with clock.fixed(SOLD):
        agree(site)
        yield site


def billed(site, bought, *, n):
    """The payment's row in a bill that was kept."""
    attempt, file_id = site.world.attempt(bought), ids.new_id()
    texts = {"channel": "sandbox", "kind": "trades", "merchant_id": "m", "name": "b.csv", "source": "dropped"}
    file = texts | {"id": file_id, "day": SOLD.date(), "added_by": "system", "added_at": clock.now(), "size": 1}
    file |= {"row_count": n, "sha1": "0" * 40, "sha256": "0" * 64, "totals": "{}", "is_current": True}
    row = {
        "file_id": file_id,
        "n": n,
        "kind": "payment",
        "at": SOLD,
        "provider_no": attempt.provider_no,
        "out_trade_no": attempt.out_trade_no,
        "amount_fen": attempt.amount_fen,
        "fee_fen": 0,
        "state": "paid",
        "matched_id": attempt.id,
        "matched_by": "provider_no",
    } | dict.fromkeys(("refund_no", "out_refund_no", "fund_no", "note"), "")
    texts = {"run_by": "system", "figures": "{}", "inputs_sha256": "0" * 64, "outputs_sha256": "0" * 64}
    day = texts | {"channel": "sandbox", "day": SOLD.date(), "run_at": clock.now(), "trades_file_id": file_id}
    with site.world.ctx.db.tx() as tx:
        tx.execute(insert(table_of(ReconcileDay)), day)
        tx.execute(insert(table_of(PaymentBillFile)), file)
        tx.execute(insert(table_of(ReconcileRow)), row)


def test_a_line_leads_to_the_row_of_the_bill(shop):
    first, second = shop.world.buy(ANNA, "STEAM-50"), shop.world.buy(BEN, "STEAM-50", 2)
    billed(shop, second, n=42)
    [made] = settled(shop, DAY)
    rows = ask(shop, f"statements/{made['id']}/lines")["items"]
    assert [(row["order_code"], row["quantity"], row["lots"]) for row in rows] == [
        (first.order.code, 1, ["#1"]),
        (second.order.code, 2, ["#1", "#2"]),
    ]
    for row, bought in zip(rows, (first, second), strict=True):
        attempt = shop.world.attempt(bought)
        assert (row["payment_channel"], row["payment_no"]) == ("sandbox", attempt.out_trade_no)
        assert (row["provider_no"], row["kind"], row["refund_no"]) == (attempt.provider_no, "release", None)
    assert [(row["bill_day"], row["bill_row"]) for row in rows] == [(None, None), (DAY, 42)]
    assert ask(shop, f"statements/{made['id']}/lines", by="chen")["items"] == rows


def test_a_supplier_and_finance_read_the_same_totals(shop):
    for buyer in (ANNA, BEN, ANNA):
        shop.world.buy(buyer, "STEAM-50")
    settled(shop, DAY)
    shop.world.buy(BEN, "STEAM-50")
    assert account_of(shop) == account_of(shop, by="chen")
    assert due_of(shop) == due_of(shop, by="chen")
    [finance], [own] = (ask(shop, "statements", by=by)["items"] for by in ("zhou", "chen"))
    theirs = {"made_by": "shop", "confirmed_by": "shop", "actions": []}
    assert own == finance | theirs
    total, after = 0, None
    while True:
        page = ask(shop, f"statements/{own['id']}/lines", by="chen", limit=2, **({"after": after} if after else {}))
        total += sum(row["net_fen"] for row in page["items"])
        if (after := page["next"]) is None:
            break
    assert total == finance["release_fen"] == finance["payable_fen"] == 12_825
    assert ask(shop, f"statements/{own['id']}/lines", after="nonsense", status=422)["code"] == "bad_field"


def test_pages_of_lines_and_of_what_is_due_have_each_line_once(shop):
    bought = [shop.world.buy(ANNA, "STEAM-50").order.code for _ in range(5)]
    supplier, seen, after = shop.world.suppliers["xinghe"], [], None
    while True:
        page = ask(shop, f"due/{supplier}", limit=2, **({"after": after} if after else {}))
        seen += [row["order_code"] for row in page["items"]]
        if (after := page["next"]) is None:
            break
    assert sorted(seen) == sorted(bought)
    [made] = settled(shop, DAY)
    [first] = ask(shop, "statements", limit=1)["items"]
    assert first["id"] == made["id"]
    assert ask(shop, "statements", after=first["id"])["items"] == []
    assert ask(shop, "statements", state="draft")["items"] == []
    days = [({"from": DAY, "to": DAY}, 1), ({"from": "2026-11-17"}, 0), ({"to": "2026-11-15"}, 0), ({"to": DAY}, 1)]
    assert [len(ask(shop, "statements", **span)["items"]) for span, _ in days] == [count for _, count in days]
