"""A whole day from end to end: sold, given back, fetched, compared, worked on, arrived and signed."""

from datetime import timedelta

from sqlalchemy import select

from server.payments.model import PaymentBillPiece
from server.reconcile import tracing
from tests.server import refunding
from tests.server.reconcile.closing import said

OPENING = 10_000_000
"""What the sandbox's merchants have before their first payment."""


def booked(close):
    """The net of every account that moved, by kind and owner."""
    return refunding.balances(close.site)


def test_a_day_is_closed(close):
    """Three sales by WeChat Pay, one of them given back and one charged otherwise than agreed; one by Alipay."""
    sold = [close.sold("wechat"), close.sold("wechat")]
    back = close.sold("wechat", "MUSIC-30")
    close.refund(back)
    close.sold("alipay")
    close.plant("wechat", "fee", sold[0].out_trade_no, amount_fen=30)
    with close.tomorrow(hours=9):
        assert close.fetch_by_itself() == 0
        waiting = close.seen("wechat")
        assert (waiting["state"], waiting["missing"], waiting["run_at"]) == ("waiting", ["trades", "funds"], None)
        assert waiting["actions"] == ["fetch"], "at ten"
        assert waiting["ours"] == side(3, 10_250, 1, 1_250, 27 + 27 + 8 - 8)
    with close.tomorrow():
        assert close.fetch_by_itself() == 0, "nothing of it was news"
        day = close.seen("wechat")
        assert [(one["kind"], one["source"], one["added_by"], one["rows"]) for one in day["bills"]] == [
            ("trades", "fetched", "channel:wechat", 4),
            ("funds", "fetched", "channel:wechat", 9),
        ]
        assert all(total["printed"] == total["read"] for one in day["bills"] for total in one["totals"])
        assert day["ours"] == side(3, 10_250, 1, 1_250, 27 + 27 + 8 - 8)
        assert day["theirs"] == side(3, 10_250, 1, 1_250, 30 + 27 + 8 - 8)
        assert (day["matched"], day["matched_fen"], day["date_shifts"]) == (3, 4_500, 0)
        net = 10_250 - 1_250 - 57
        assert day["balance"] == {
            "opening_fen": OPENING,
            "receipts_fen": 10_250,
            "refunds_fen": 1_250,
            "fees_fen": 30 + 27 + 8,
            "fees_returned_fen": 8,
            "withdrawals_fen": net,
            "others_fen": 0,
            "closing_fen": OPENING,
            "off_by_fen": 0,
        }
        assert (day["net_fen"], day["arrived_fen"], day["state"]) == (net, 0, "open")
        assert (day["sign_waits_for"], day["actions"]) == (["还有 1 条差异未处理"], ["fetch", "run"])
        [fee] = close.differences("wechat")
        assert said([fee]) == [("fee", sold[0].out_trade_no, 27, 30)]
        assert (fee["ours_words"], fee["theirs_words"]) == ("预计手续费", "渠道手续费")
        assert close.differences("alipay") == []
        assert booked(close)["psp", "wechat"] == net + 3, "the fee as it was expected"
        done = close.handle(fee, "book")
        assert (done["state"], done["handled_by"], done["two_people"]) == ("resolved", "周洁", False)
        assert booked(close)["psp", "wechat"] == net
        assert booked(close)["psp_fee", "wechat"] == 57
        assert close.attempt(sold[0].order_code).fee_fen == 30
        close.post(close.at("wechat", "/run"))
        assert [one["state"] for one in close.differences("wechat")] == ["resolved"], "handled, whatever is run again"
        row = pairs(close, sold, back)
        sweep = {"channel": "wechat", "amount_fen": net, "reference": "B-1"}
        arrives(close, sweep | {"arrived_on": str(close.day + timedelta(days=1))})
        signed = close.sign("wechat")
        assert (signed["state"], signed["actions"], signed["arrived_fen"]) == ("signed", ["fetch", "correct"], net)
        assert (signed["signature"]["signed_by"], signed["signature"]["note"]) == ("周洁", "已核对")
        assert signed["signature"]["outputs_sha256"] == signed["outputs_sha256"]
        close.sign("alipay")
        assert ("psp", "wechat") not in {name for name, fen in booked(close).items() if fen}, "cleared"
        assert booked(close)["bank", ""] == net
        with close.shop.ctx.db.read() as tx:
            traced = tracing.bill_rows(tx, [sold[0].id])
        assert traced == {sold[0].id: (close.day, row)}
        days = close.get("days", **{"from": str(close.day), "to": str(close.day)})["items"]
        assert [(one["channel"], one["net_fen"], one["arrived_fen"], one["state"]) for one in days] == [
            ("alipay", 4_473, 0, "signed"),
            ("wechat", net, net, "signed"),
        ]


def side(payments, payments_fen, refunds, refunds_fen, fees_fen):
    return {
        "payments": payments,
        "payments_fen": payments_fen,
        "refunds": refunds,
        "refunds_fen": refunds_fen,
        "fees_fen": fees_fen,
        "settled_fen": payments_fen - refunds_fen,
    }


def pairs(close, sold, back):
    """The rows of the workbook, in pages."""
    first = close.get(close.at("wechat", "/matches"), limit=2)
    second = close.get(close.at("wechat", "/matches"), limit=2, after=first["next"])
    assert second["next"] is None
    matches = {one["out_trade_no"]: one for one in [*first["items"], *second["items"]]}
    assert set(matches) == {one.out_trade_no for one in (*sold, back)}
    one = matches[sold[0].out_trade_no]
    assert (one["order_code"], one["provider_no"]) == (sold[0].order_code, sold[0].provider_no)
    assert (one["paid_fen"], one["fee_fen"], one["fee_ppm"], one["net_fen"]) == (4_500, 30, 6_000, 4_470)
    assert (one["supplier"], one["matched_by"]) == ("星河数码", "provider_no")
    [refund] = close.get(close.at("wechat", "/refunds"))["items"]
    assert (refund["out_trade_no"], refund["amount_fen"], refund["fee_returned_fen"]) == (back.out_trade_no, 1_250, 8)
    assert (refund["state"], refund["order_code"], refund["confirmed_by"]) == ("succeeded", back.order_code, "")
    *funds, withdrawn = close.get(close.at("wechat", "/funds"))["items"]
    assert sum(one["amount_fen"] for one in funds) == 10_250 - 1_250 - 57 == -withdrawn["amount_fen"]
    assert funds[-1]["balance_fen"] == OPENING + 10_250 - 1_250 - 57
    assert (withdrawn["kind"], withdrawn["balance_fen"], withdrawn["order_code"]) == ("withdrawal", OPENING, None)
    assert {one["order_code"] for one in funds} == {one.order_code for one in (*sold, back)}
    return one["bill_row"]


def arrives(close, sweep):
    """An arrival is booked once by the bank's number; the same number with another amount is an alarm."""
    for _ in range(2):
        assert close.post("sweeps", status=201, **sweep)["recorded_by"] == "周洁"
    refused = close.post("sweeps", status=409, **sweep | {"amount_fen": 1})
    assert (refused["code"], refused["detail"][:9]) == ("sweep_differs", "银行流水号 B-1")
    for days in (2, -1):
        wrong = {"reference": "B-2", "arrived_on": str(close.day + timedelta(days=days))}
        assert close.post("sweeps", status=422, **sweep | wrong)["code"] == "bad_sweep"
    assert [one["reference"] for one in close.get("sweeps", channel="wechat")["items"]] == ["B-1"]


def test_dropped_files_go_the_way_of_fetched_ones(close, tmp_path):
    """Money that nobody told us of is delivered for; the second copy of a file changes nothing, a newer one counts."""
    known, unheard = close.sold("wechat"), close.placed("wechat")
    close.pay(unheard)
    close.sold("alipay")
    name, content = close.file("wechat", "trades")
    with close.tomorrow():
        kept = close.drop(name, content)
        assert (kept["kind"], kept["source"], kept["added_by"], kept["rows"]) == ("trades", "dropped", "周洁", 2)
        assert close.attempt(unheard.order_code).found_by == "bill"
        assert close.shop.order(type("B", (), {"order": type("O", (), {"id": unheard.order_id})})).state == "delivered"
        day = close.seen("wechat")
        assert (day["missing"], day["matched"], day["state"]) == (["funds"], 2, "waiting")
        by_you = "{}由您拖入、渠道尚未确认，请另一位同事签署，或重新获取账单"
        assert day["sign_waits_for"] == ["缺少资金账单", by_you.format("交易账单")]
        assert close.drop(name, content)["id"] == kept["id"]
        assert len(close.seen("wechat")["bills"]) == 1
        close.drop(*close.file("wechat", "funds"))
        assert close.seen("wechat")["sign_waits_for"] == [by_you.format("交易账单、资金账单")]
        assert close.seen("wechat", by="wang")["sign_waits_for"] == []
        close.plant("wechat", "fee", known.out_trade_no, amount_fen=28)
        newer = close.drop(*close.file("wechat", "trades"))
        bills = [(one["id"], one["is_current"]) for one in close.seen("wechat")["bills"] if one["kind"] == "trades"]
        assert bills == [(kept["id"], False), (newer["id"], True)]
        assert {one["kind"] for one in close.differences("wechat")} == {"fee", "fund_only_trades"}
        for kind in ("trades", "funds"):
            assert close.drop(*close.file("alipay", kind))["channel"] == "alipay"
        seen = close.seen("alipay", by="wang")
        assert (seen["matched"], seen["sign_waits_for"]) == (1, [])
    with close.shop.ctx.db.read() as tx:
        pieces = tx.scalars(select(PaymentBillPiece.sealed)).all()
    assert len(pieces) == 5
    files = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir() if path.is_file())
    payer = next(cell for cell in content.decode().split(",`") if cell.startswith("o"))
    assert payer.encode() not in files, "a bill names payers"


def test_what_is_no_bill_of_ours_is_refused_and_leaves_nothing(close):
    close.sold("wechat")
    name, content = close.file("wechat", "trades")
    merchant = close.merchant("wechat").encode()
    header, rest = content.split(b"\r\n", 1)
    with close.tomorrow():
        for what, file, code, words in (
            ("nothing", b"hello", "not_a_bill", "不是微信支付或支付宝的账单"),
            ("cut off", content[:-40], None, None),
            ("a row changed", content.replace(b"`45.00", b"`45.01", 1), "wrong_bill_total", "合计不符"),
            (
                "another's",
                content.replace(merchant, b"9000000002"),
                "wrong_bill_merchant",
                "微信支付 9000000002",
            ),
            ("empty", b"", "not_a_bill", None),
        ):
            refused = close.site.post("/api/reconcile/bills", by="zhou", params={"name": name}, content=file)
            assert refused.status_code == 400, (what, refused.text)
            assert code is None or refused.json()["code"] == code, (what, refused.text)
            assert words is None or words in refused.json()["detail"], (what, refused.text)
        large = {"content-length": str(65 * 1024 * 1024)}
        assert close.site.post("/api/reconcile/bills?name=x", by="zhou", headers=large).status_code == 413
        assert close.site.post("/api/reconcile/bills?name=x", by="li", content=content).status_code == 403
        assert close.seen("wechat")["bills"] == []
    refused = close.drop(name, content, status=400)
    assert (refused["code"], str(close.day) in refused["detail"]) == ("bill_day_not_over", True)
    assert header.startswith(b"\xef\xbb\xbf")
    assert rest
    with close.shop.ctx.db.read() as tx:
        assert tx.scalars(select(PaymentBillPiece.n)).all() == []
