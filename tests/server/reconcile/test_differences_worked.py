"""What differs is listed exactly, is the same in every run, and what people decide about it is really done."""

from datetime import timedelta

from shared import ids
from tests.server import refunding
from tests.server.reconcile.closing import PRICES, SHARES, said
from tests.server.reconcile.writing import given_back, line, trades
from tests.world import BEN


def booked(close):
    return {name: fen for name, fen in refunding.balances(close.site).items() if fen}


def moved(before, after):
    """What changed between two looks at the accounts."""
    names = before.keys() | after.keys()
    return {one: after.get(one, 0) - before.get(one, 0) for one in names if after.get(one, 0) != before.get(one, 0)}


@SHARES
def test_planted_differences_are_listed_and_worked(close):
    shop = close.shop
    lost, more, fee, undone, twice, kept = (close.sold("wechat") for _ in range(6))
    unpaid = close.placed("wechat", "MUSIC-30")
    close.plant("wechat", "missing", lost.out_trade_no)
    close.plant("wechat", "amount", more.out_trade_no, amount_fen=4_590)
    close.plant("wechat", "fee", fee.out_trade_no, amount_fen=30)
    close.plant("wechat", "state", undone.out_trade_no)
    close.plant("wechat", "duplicate", twice.out_trade_no)
    stray, foreign = ids.new_id().hex, "OTHER-SYSTEM-1"
    for number in (stray, foreign):
        close.plant("wechat", "extra", number, amount_fen=500, day=str(close.day))
    close.plant("wechat", "extra", unpaid.out_trade_no, amount_fen=1_250, day=str(close.day))
    name, content = close.file("wechat", "trades")
    with close.tomorrow():
        close.drop(name, content)
        found = close.differences("wechat")
        assert sorted(said(found)) == sorted(
            [
                ("only_ours", lost.out_trade_no, 4_500, None),
                ("only_theirs", stray, None, 500),
                ("foreign", foreign, None, 500),
                ("unpaid_ours", unpaid.out_trade_no, 0, 1_250),
                ("amount", more.out_trade_no, 4_500, 4_590),
                ("fee", fee.out_trade_no, 27, 30),
                ("state", undone.out_trade_no, 4_500, 0),
                ("duplicate", twice.out_trade_no, None, 4_500),
            ]
        )
        seen = [(one["id"], one["number"], one["version"], one["state"]) for one in found]
        again = close.post(close.at("wechat", "/run"))
        assert [(one["id"], one["number"], one["version"], one["state"]) for one in close.differences("wechat")] == seen
        assert (again["matched"], again["theirs"]["payments"]) == (2, 8), "what was undone is no payment"
        by_kind = {one["kind"]: one for one in found}
        _lists(close, by_kind)
        _the_loss_needs_two(close, by_kind["only_ours"])
        _the_surplus_is_booked(close, by_kind["amount"])
        _the_channel_has_its_say(close, by_kind["unpaid_ours"], unpaid)
        _nobodys_money(close, by_kind["only_theirs"])
        for kind, action in (("fee", "book"), ("state", "carry"), ("duplicate", "carry")):
            assert close.handle(by_kind[kind], action)["state"] == "resolved"
        assert (by_kind["foreign"]["state"], by_kind["foreign"]["actions"]) == ("matched", [])
        assert close.get("differences", open="true", channel="wechat")["items"] == []
        before = {one["id"]: (one["state"], one["action"], one["note"]) for one in close.differences("wechat")}
        close.post(close.at("wechat", "/run"))
        after = {one["id"]: (one["state"], one["action"], one["note"]) for one in close.differences("wechat")}
        assert after == before, "what people did stays"
    shop.check()
    assert kept.state == "paid"


def _lists(close, by_kind):
    """Filters, both sides, and what the engine advises; a reader without the right sees nothing to do."""
    one = by_kind["amount"]
    assert [d["kind"] for d in close.get("differences", kind="amount")["items"]] == ["amount"]
    assert close.get("differences", state="resolved")["items"] == []
    first = close.get("differences", limit=3)
    second = close.get("differences", limit=5, after=first["next"])
    assert (len(first["items"]), len(second["items"]), second["next"]) == (3, 5, None)
    assert (by_kind["duplicate"]["proposed_action"], by_kind["duplicate"]["actions"]) == ("carry", ["carry"])
    detail = close.get(f"differences/{one['id']}")
    ours, theirs = ({fact["name"]: fact["value"] for fact in detail[side]} for side in ("ours", "theirs"))
    assert (ours["金额"], theirs["金额"], theirs["类型"]) == ("¥45.00", "¥45.90", "支付")
    assert ours["渠道流水号"] == theirs["渠道流水号"] == one["provider_no"]
    assert [event["what"] for event in detail["events"]][:2] == ["下单", "向微信支付发起支付"]
    english = close.site.get(
        f"/api/reconcile/differences/{one['id']}", by="zhou", headers={"accept-language": "en"}
    ).json()
    assert (english["difference"]["ours_words"], english["ours"][0]["name"]) == ("our amount", "Order")
    read = [f"{event['who']} {event['what']}" for event in english["events"]]
    row = next(fact["value"] for fact in detail["theirs"] if fact["name"] == "账单行")
    assert {f"the channel has it in row {row} of the bill", "the shop found the difference"} <= set(read)


def _the_loss_needs_two(close, lost):
    before = booked(close)
    asked = close.handle(lost, "write_off")
    assert (asked["state"], asked["two_people"], asked["actions"]) == ("proposed", True, ["send_back"])
    assert booked(close) == before, "nothing yet"
    assert close.check(lost, by="zhou", status=409)["code"] == "handled_by_you"
    assert close.handle(lost, "carry", status=409)["code"] == "cannot_handle_so"
    sent_back = close.check(lost, approve=False)
    assert (sent_back["state"], sent_back["action"], sent_back["handled_by"]) == ("open", None, None)
    assert close.check(lost, status=409)["code"] == "nothing_to_check"
    stale = {"action": "write_off", "note": "x", "version": 1}
    refused = close.post(f"differences/{lost['id']}/handle", status=409, **stale)
    assert (refused["code"], "版本 3" in refused["detail"]) == ("difference_changed", True)
    close.handle(lost, "write_off")
    done = close.check(lost)
    assert (done["state"], done["handled_by"], done["checked_by"]) == ("resolved", "周洁", "王敏")
    fee = {("psp_fee", "wechat"): -27}
    assert moved(before, booked(close)) == {("loss", ""): 4_500, ("psp", "wechat"): 27 - 4_500} | fee


def _the_surplus_is_booked(close, more):
    before = booked(close)
    assert close.handle(more, "book")["state"] == "resolved"
    assert moved(before, booked(close)) == {("loss", ""): -90, ("psp", "wechat"): 90}
    assert close.handle(more, "book", status=409)["code"] == "cannot_handle_so"


def _the_channel_has_its_say(close, row, unpaid):
    """The bill alone delivers nothing: the channel is asked, and says that nobody paid."""
    before = booked(close)
    assert close.handle(row, "refund", status=409)["code"] == "cannot_handle_so"
    assert close.handle(row, "deliver")["state"] == "proposed"
    refused = close.check(row, status=409)
    assert (refused["code"], "NOT_FOUND" in refused["detail"]) == ("not_confirmed_by_channel", True)
    assert (close.attempt(unpaid.order_code).state, close.order(unpaid).state) == ("pending", "pending_payment")
    assert close.check(row, approve=False)["state"] == "open"
    assert close.handle(row, "ignore", note="渠道没有这笔付款")["state"] == "resolved"
    assert booked(close) == before


def _nobodys_money(close, row):
    """Nothing is set aside because one person proposed it, nor because two did: the channel does not know it."""
    before = booked(close)
    assert close.handle(row, "attach", status=422)["code"] == "bad_field"
    assert close.handle(row, "attach", order_code="NOT-A-CODE", status=422)["code"] == "bad_field"
    asked = close.handle(row, "refund")
    assert (asked["state"], asked["exception_id"], booked(close)) == ("proposed", None, before)
    assert close.check(row, by="zhou", status=409)["code"] == "handled_by_you"
    refused = close.check(row, status=409)
    assert (refused["code"], "NOT_FOUND" in refused["detail"]) == ("not_confirmed_by_channel", True)
    sent_back = close.check(row, by="zhou", approve=False)
    assert (sent_back["state"], sent_back["handled_by"], booked(close)) == ("open", None, before)
    assert close.handle(row, "ignore", note="其他系统的订单")["note"] == "其他系统的订单"


def test_second_money_goes_back_or_pays_an_order(close):
    """Paid twice: the second payment goes back through its exception, and the difference follows it to its end."""
    bought = close.sold("wechat")
    close.pay(bought, "again")
    wanted = close.placed("wechat", buyer=BEN)
    close.pay(close.unknown("wechat", PRICES["STEAM-50"]))
    with close.tomorrow():
        assert close.fetch_by_itself() == 2, "the second payment was news, and that of nobody's"
        both = {one["kind"]: one for one in close.differences("wechat")}
        assert sorted(both) == ["duplicate", "only_theirs"]
        second, stray = both["duplicate"], both["only_theirs"]
        assert (second["proposed_action"], second["exception_id"] is not None) == ("refund", True)
        assert close.handle(second, "refund")["state"] == "proposed"
        assert close.check(second)["state"] == "working"
        assert close.seen("wechat")["sign_waits_for"] == ["还有 1 条差异未处理"], "what is on its way is decided"
        refund = close.site.get("/api/refunds", by="wang").json()["items"][0]
        close.settle(refund["id"])
        assert close.handle(stray, "attach", order_code=bought.order_code, status=409)["code"] == "not_attachable"
        assert close.one(stray)["state"] == "open"
        assert close.handle(stray, "attach", order_code=wanted.order_code)["state"] == "proposed"
        assert close.check(stray)["state"] == "resolved"
        assert close.order(wanted).state == "delivered"
        close.follow()
        assert close.one(second)["state"] == "resolved"
        close.post(close.at("wechat", "/run"))
        day = close.seen("wechat")
        assert (day["matched"], [one["open"] for one in day["differences"]]) == (3, [0, 0])


def test_halves_of_a_date_shift_close_themselves_and_carried_ones_come_again(close):
    shifted, lost = close.sold("wechat"), close.sold("wechat", "MUSIC-30")
    close.plant("wechat", "other_day", shifted.out_trade_no)
    close.plant("wechat", "missing", lost.out_trade_no)
    next_day, kept = close.day + timedelta(days=1), ids.new_id().hex
    close.plant("wechat", "extra", kept, amount_fen=100, day=str(close.day))
    first, second = close.file("wechat", "trades"), close.file("wechat", "trades", next_day)
    with close.tomorrow():
        close.drop(*first)
        found = {one["out_trade_no"]: one for one in close.differences("wechat")}
        assert {one["kind"] for one in found.values()} == {"only_ours", "only_theirs"}
        stray = found.pop(kept)
        assert close.handle(stray, "ignore", note="其他系统的订单")["state"] == "resolved"
        for one in found.values():
            assert close.handle(one, "carry")["state"] == "resolved"
    with close.tomorrow(days=2):
        close.drop(*second)
        day = close.seen("wechat", next_day)
        assert (day["matched"], day["date_shifts"]) == (1, 1)
        carried = {one["out_trade_no"]: one for one in close.differences("wechat", next_day) if one["carried_from"]}
        assert {one["carried_from"] for one in carried.values()} == {str(close.day)}
        assert carried[shifted.out_trade_no]["state"] == "matched", "its other half has come"
        assert (carried[lost.out_trade_no]["state"], carried[lost.out_trade_no]["kind"]) == ("open", "only_ours")
        seen = {one["id"] for one in close.differences("wechat", next_day)}
        close.post(close.at("wechat", "/run", next_day))
        assert {one["id"] for one in close.differences("wechat", next_day)} == seen
        assert {one["kind"] for one in close.differences("wechat", next_day)} == {"date_shift", "only_ours"}
        [match] = close.get(close.at("wechat", "/matches", next_day))["items"]
        assert (match["matched_by"], match["out_trade_no"]) == ("date_shift", shifted.out_trade_no)


def test_a_late_half_closes_what_nobody_has_touched(close):
    shifted, sold = close.sold("wechat"), close.sold("wechat", "MUSIC-30")
    close.plant("wechat", "other_day", shifted.out_trade_no)
    next_day = close.day + timedelta(days=1)
    first, second = close.file("wechat", "trades"), close.file("wechat", "trades", next_day)
    with close.tomorrow():
        close.drop(*first)
        [half] = close.differences("wechat")
        assert (half["kind"], half["state"]) == ("only_ours", "open")
    with close.tomorrow(days=2):
        close.drop(*second)
        assert [(one["kind"], one["state"]) for one in close.differences("wechat", next_day)] == [
            ("date_shift", "matched")
        ]
        found = {one["kind"]: one["state"] for one in close.differences("wechat")}
        assert found == {"only_ours": "matched", "date_shift": "matched"}
        assert close.one(half)["state"] == "matched"
        assert "缺少资金账单" in close.seen("wechat")["sign_waits_for"]
    assert sold.state == "paid"


def test_a_refund_of_the_channels_own_console_is_booked_by_two(close):
    """Nobody here knew of it: it takes the way of unknown refunds, and is in the books once. The channel is asked: what
    a forged bill says of it is booked by nobody.
    """
    sold, other = close.sold("wechat"), close.sold("wechat", buyer=BEN)
    close.give_back(sold, "BY-HAND-1", 1_500)
    name, content = close.file("wechat", "trades")
    forged = (
        ({"out_refund_no": "BY-HAND-2", "amount_fen": 1_500}, sold, "NOT_FOUND"),
        ({"out_refund_no": "BY-HAND-1", "amount_fen": 1_499}, sold, f"{sold.out_trade_no} 1500"),
        ({"out_refund_no": "BY-HAND-1", "amount_fen": 1_500}, other, f"{sold.out_trade_no} 1500"),
    )
    with close.tomorrow():
        for back, of, answer in forged:
            told = {"refund_no": "50" + "3" * 26} | back
            close.drop(*trades(close, line(close, sold), line(close, other), given_back(close, of, told)))
            [row] = close.differences("wechat", open="true")
            close.handle(row, "book")
            refused = close.check(row, status=409)
            assert refused["code"] == "not_confirmed_by_channel"
            assert refused["params"]["answer"].endswith(answer)
            close.check(row, approve=False)
        close.drop(name, content)
        before = booked(close)
        [row] = close.differences("wechat", open="true")
        assert (row["kind"], row["out_refund_no"], row["theirs_fen"]) == ("refund_only_theirs", "BY-HAND-1", 1_500)
        assert row["actions"] == ["book", "carry", "ignore"]
        assert (close.handle(row, "book")["state"], booked(close)) == ("proposed", before)
        assert close.check(row)["state"] == "resolved"
        assert moved(before, booked(close))["psp", "wechat"] == -1_500
        [refund] = close.site.get("/api/refunds", by="wang").json()["items"]
        assert (refund["state"], refund["amount_fen"], refund["order_code"]) == ("succeeded", 1_500, sold.order_code)
        close.post(close.at("wechat", "/run"))
        [row] = [one for one in close.differences("wechat") if one["state"] != "matched"]
        assert (row["kind"], row["state"], row["checked_by"]) == ("refund_only_theirs", "resolved", "王敏")
