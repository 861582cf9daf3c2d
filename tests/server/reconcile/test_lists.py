"""What is counted in the lists of a reconciled day is what their pages hold, and what the day says of its pairs."""

from datetime import timedelta
from types import SimpleNamespace

from tests.server import refunding
from tests.server.reconcile.closing import close_with


def page(close, path, limit=2, **params):
    """All rows of a list, a few at a time."""
    rows, after = [], {}
    while True:
        shown = close.get(path, limit=limit, **params, **after)
        rows += shown["items"]
        if shown["next"] is None:
            return rows
        after = {"after": shown["next"]}


def total(rows, name):
    return sum(row[name] for row in rows)


def test_control_totals_are_those_of_the_pages_and_of_the_day(tmp_path, sandbox, ring, any_engine):
    with close_with(tmp_path, sandbox, ring, kind=any_engine) as close:
        sold = [close.sold("wechat") for _ in range(4)]
        close.refund(sold[0])
        close.refund(sold[1], 1_000)
        close.plant("wechat", "fee", sold[2].out_trade_no, amount_fen=3)
        close.plant("wechat", "amount", sold[3].out_trade_no, amount_fen=200)
        close.plant("wechat", "extra", "OTHER-SHOP", amount_fen=700, day=str(close.day))
        with close.tomorrow():
            close.fetch_by_itself()
            day = close.seen("wechat")
            span = {"from": str(close.day - timedelta(days=30)), "to": str(close.day)}
            answer = close.site.get("/api/reports/reconciled", by="zhou", params=span)
            matches, refunds, funds = (page(close, close.at("wechat", f"/{name}")) for name in PAGES)
            differences = page(close, "differences", day=str(close.day), channel="wechat")
        assert answer.status_code == 200, answer.text
        [counted] = [one for one in answer.json()["days"] if one["channel"] == "wechat"]
        assert len(matches) == 2
        assert len(refunds) == 2
        assert len(differences) >= 3
        assert counted == {
            "channel": "wechat",
            "day": str(close.day),
            "payments": len(matches),
            "payments_fen": total(matches, "paid_fen"),
            "payment_fees_fen": total(matches, "fee_fen"),
            "paired_refunds": day["matched"] - len(matches),
            "paired_refunds_fen": total(matches, "paid_fen") - day["matched_fen"],
            "refunds": len(refunds),
            "refunds_fen": total(refunds, "amount_fen"),
            "differences": len(differences),
            "off_by_fen": total(differences, "off_by_fen"),
            "movements": len(funds),
            "movements_fen": total(funds, "amount_fen"),
        }
        assert counted["paired_refunds"] == 2
        for first, last in ((-31, 0), (1, 0)):
            wrong = {"from": str(close.day + timedelta(days=first)), "to": str(close.day + timedelta(days=last))}
            assert (
                close.site.get("/api/reports/reconciled", by="zhou", params=wrong)
                .json()["detail"]
                .endswith("1 至 31 天")
            )


PAGES = ("matches", "refunds", "funds")


def test_a_refund_names_the_supplier_who_agreed_and_nobody_else(close):
    """What the shop decided on, or what went by itself, no supplier has confirmed."""
    by_supplier, by_shop = close.sold("wechat"), close.sold("wechat")
    bought = SimpleNamespace(order=close.order(by_supplier))
    refunding.look(close.site, bought)
    refund_id = refunding.ask(close.site, bought)
    agreed = refunding.post(close.site, refund_id, "answer", "chen", answer="agree")
    close.settle(str(refund_id))
    close.refund(by_shop)
    with close.tomorrow():
        close.fetch_by_itself()
        rows = {one["out_trade_no"]: one for one in close.get(close.at("wechat", "/refunds"))["items"]}
    told = rows[by_supplier.out_trade_no]
    assert (agreed["state"], told["confirmed_by"], told["confirmed_at"] is not None) == ("approved", "陈星", True)
    assert (rows[by_shop.out_trade_no]["confirmed_by"], rows[by_shop.out_trade_no]["confirmed_at"]) == ("", None)
