"""Differences whose money waits in the exceptions: what was seen is approved, and the channel is asked before."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest

from server.gateways.port import CreateRefund, PaymentFact
from server.payments import applying
from server.reconcile import waiting
from shared import clock
from shared.states import FoundBy
from tests.server.reconcile.closing import PRICES, SHARES, close_with, said
from tests.server.reconcile.exceptions import act, exception, exceptions_of, told_of
from tests.server.reconcile.writing import given_back, line, ms, trades
from tests.server.refunding import balances
from tests.world import BEN


@pytest.fixture
def asked(close, monkeypatch):
    """The numbers that WeChat Pay was asked about."""
    gateway, numbers = close.shop.ctx.gateways["wechat"], []
    query = gateway.query

    async def heard(number, *, provider_no=None):
        numbers.append(number)
        return await query(number, provider_no=provider_no)

    monkeypatch.setattr(gateway, "query", heard)
    return numbers


def test_only_what_was_seen_is_approved(close, asked):
    """Proposed for one order, in the exceptions meanwhile for another: the second person looks again first."""
    one, other = close.placed("wechat", "MUSIC-30"), close.placed("wechat", "MUSIC-30", buyer=BEN)
    sold, money = close.sold("wechat"), close.unknown("wechat", PRICES["MUSIC-30"])
    close.pay(money)
    with close.tomorrow():
        assert close.fetch_by_itself() == 1
        [stray] = close.differences("wechat")
        seen = close.handle(stray, "attach", order_code=one.order_code)
        assert (seen["state"], seen["exception_id"] is not None) == ("proposed", True), "the channel told of it"
        act(close, stray, "approve", by="wang", approved=False, note="再看")
        act(close, stray, "propose", by="zhou", action="attach", note="另一单", order_code=other.order_code)
        body = {"approve": True, "note": "", "version": seen["version"]}
        path = f"differences/{stray['id']}/check"
        assert close.post(path, by="wang", status=409, **body)["code"] == "exception_changed"
        assert [close.order(bought).state for bought in (one, other)] == ["pending_payment"] * 2
        assert close.follow() == 1
        now = close.one(stray)
        assert (now["action_order_code"], now["note"], now["state"]) == (other.order_code, "另一单", "proposed")
        assert close.post(path, by="wang", status=409, **body)["code"] == "difference_changed"
        asked.clear()
        assert close.check(stray)["state"] == "resolved"
        assert asked == [money.out_trade_no], "before goods are delivered the channel has its say"
        assert [close.order(bought).state for bought in (one, other)] == ["pending_payment", "delivered"]
        assert close.follow() == 0
    assert sold.state == "paid"


def test_a_forged_row_delivers_nothing_and_a_true_one_does(close, asked):
    """Both were dropped while the channel was silent; then it answers."""
    forged, true, sold = close.placed("wechat", "MUSIC-30"), close.placed("wechat", buyer=BEN), close.sold("wechat")
    at = ms(sold.paid_at)
    before = balances(close.site)
    close.pay(true)
    paid = asyncio.run(close.shop.ctx.gateways["wechat"].query(true.out_trade_no))
    money = close.unknown("wechat", PRICES["MUSIC-30"])
    stray = line(close, sold, out_trade_no=money.out_trade_no, provider_no="43" + "1" * 26, amount_fen=1_250, fee_fen=0)
    rows = (line(close, sold), line(close, forged, at_ms=at), stray)
    with close.tomorrow():
        with close.silent("wechat"):
            close.drop(*trades(close, *rows, line(close, true, at_ms=at, provider_no=paid.provider_no)))
        found = {one["out_trade_no"]: one for one in close.differences("wechat")}
        assert {one["kind"] for one in found.values()} == {"unpaid_ours", "only_theirs"}
        for number, action in ((forged.out_trade_no, "deliver"), (money.out_trade_no, "attach")):
            more = {"order_code": forged.order_code} if action == "attach" else {}
            assert close.handle(found[number], action, **more)["state"] == "proposed"
            refused = close.check(found[number], status=409)
            assert (refused["code"], "NOT_FOUND" in refused["detail"]) == ("not_confirmed_by_channel", True)
        assert balances(close.site) == before, "neither who proposed nor who approved has moved anything"
        assert close.order(forged).state == "pending_payment"
        close.handle(found[true.out_trade_no], "deliver")
        asked.clear()
        assert close.check(found[true.out_trade_no])["state"] == "resolved"
        assert (asked, close.order(true).state) == ([true.out_trade_no], "delivered")


def test_where_the_channel_is_silent_two_people_decide(close):
    unpaid, sold = close.placed("wechat", "MUSIC-30"), close.sold("wechat")
    with close.tomorrow(), close.silent("wechat"):
        close.drop(*trades(close, line(close, sold), line(close, unpaid, at_ms=ms(sold.paid_at))))
        [row] = close.differences("wechat")
        close.handle(row, "deliver")
        assert close.check(row)["state"] == "resolved"
        assert close.order(unpaid).state == "delivered"
        told = [event["what"] for event in close.get(f"differences/{row['id']}")["events"]]
        assert "补单发货：已核对" in told


def test_money_that_two_people_believed_a_bill_of_buys_nothing_once_the_channel_answers(close):
    """Set aside while the channel was silent; it cannot give it back, and in the exceptions it has its say too."""
    wanted, sold = close.placed("wechat", "MUSIC-30"), close.sold("wechat")
    money = close.unknown("wechat", PRICES["MUSIC-30"])
    stray = line(close, sold, out_trade_no=money.out_trade_no, provider_no="43" + "1" * 26, amount_fen=1_250, fee_fen=0)
    with close.tomorrow():
        with close.silent("wechat"):
            close.drop(*trades(close, line(close, sold), stray))
            [row] = close.differences("wechat")
            close.handle(row, "refund")
            assert balances(close.site).get(("suspense", ""), 0) == 0, "one person sets nothing aside"
            assert close.check(row)["state"] == "working"
        assert balances(close.site)["suspense", ""] == 1_250
        close.shop.work()
        close.follow()
        assert close.one(row)["state"] == "open", "there is no such payment to give back"
        act(close, row, "propose", by="zhou", action="attach", note="归入", order_code=wanted.order_code)
        seen = exception(close, row)
        body = {"approved": True, "note": "", "version": seen["version"]}
        refused = close.site.post(f"/api/exceptions/{seen['id']}/approve", by="wang", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "channel_answered")
        assert (close.order(wanted).state, balances(close.site)["suspense", ""]) == ("pending_payment", 1_250)


def test_what_was_decided_here_is_not_forgotten_for_what_waits_there(tmp_path, sandbox, ring):
    """A decision that needs two people for its amount stands, whatever state its money's exception has."""
    with close_with(tmp_path, sandbox, ring, difference_check_fen=1_000) as close:
        bought = close.sold("wechat")
        close.pay(bought, "again")
        with close.tomorrow():
            assert close.fetch_by_itself() == 1
            [second] = close.differences("wechat")
            assert close.handle(second, "carry")["state"] == "proposed"
            assert (close.follow(), close.one(second)["state"]) == (0, "proposed")
            assert close.check(second)["state"] == "resolved"


@pytest.mark.parametrize(("kind", "state"), [("duplicate", "resolved"), ("fee", None), ("fund_only_funds", None)])
def test_only_what_waits_in_an_exception_ends_with_it(kind, state):
    """Its payment went back: that says nothing of a fee, nor of a movement, which were never booked there."""
    row = SimpleNamespace(kind=kind, state="open", action=None)
    ended = SimpleNamespace(state="closed", action="refund", approved_by="staff:1")
    assert waiting.stands(row, ended)[0] == state
    ended.approved_by = None
    assert waiting.stands(row, ended) == (None, None), "nobody decided it there"


@SHARES
def test_what_is_on_its_way_when_a_day_is_signed_goes_on_in_the_next(close):
    bought = close.sold("wechat")
    close.pay(bought, "again")
    next_day = close.day + timedelta(days=1)
    with close.tomorrow():
        assert close.fetch_by_itself() == 1
        [second] = close.differences("wechat")
        close.handle(second, "refund")
        assert close.check(second)["state"] == "working"
        close.post(close.at("wechat", "/run"))
        assert close.one(second)["state"] == "working"
        assert close.sign("wechat", by="wang")["state"] == "signed"
        [refund] = close.site.get("/api/refunds", by="wang").json()["items"]
    with close.tomorrow(days=2):
        at = ms(clock.day_bounds(next_day)[0] + timedelta(hours=1))
        foreign = line(close, bought, out_trade_no="OTHERS-1", provider_no="43" + "1" * 26, amount_fen=100, at_ms=at)
        close.drop(*trades(close, foreign))
        [carried] = [one for one in close.differences("wechat", next_day) if one["kind"] == "duplicate"]
        assert (carried["state"], carried["carried_from"]) == ("working", str(close.day))
        assert (carried["handled_by"], carried["checked_by"], carried["action"]) == ("周洁", "王敏", "refund")
        close.settle(refund["id"])
        close.follow()
        assert close.one(carried)["state"] == "resolved"
        assert close.one(second)["state"] == "working", "what was signed stays"
        close.post(close.at("wechat", "/run", next_day))
        assert len([one for one in close.differences("wechat", next_day) if one["kind"] == "duplicate"]) == 1


def test_money_of_a_number_that_is_not_made_here_is_for_people(close):
    """It is at our merchant number, and the shop shares that with nobody: it is listed, and goes back by two people."""
    sold, money = close.sold("wechat"), close.unknown("wechat", 1_250, number="POS-0001")
    before = balances(close.site)
    close.pay(money)
    with close.tomorrow():
        assert close.fetch_by_itself() == 0, "it pays no attempt"
        [stray] = close.differences("wechat")
        said = ("kind", "out_trade_no", "theirs_fen", "theirs_words", "state", "exception_id")
        assert [stray[name] for name in said] == ["only_theirs", "POS-0001", 1_250, "渠道有", "open", None]
        day = close.seen("wechat")
        assert (day["foreign"], day["net_fen"], balances(close.site)) == (0, 4_473 + 1_250 - 8, before)
        assert close.handle(stray, "refund")["state"] == "proposed"
        assert close.check(stray)["state"] == "working"
        [refund] = close.site.get("/api/refunds", by="wang").json()["items"]
        assert (refund["order_code"], refund["amount_fen"]) == (None, 1_250)
        close.settle(refund["id"])
        close.follow()
        assert close.one(stray)["state"] == "resolved"
    assert sold.state == "paid"


@SHARES
def test_money_that_was_set_aside_is_ours_whatever_its_number_is(close):
    """Told by a notification under a number that is not made here; its refund in the channel's console is ours too."""
    sold, gateway = close.sold("wechat"), close.shop.ctx.gateways["wechat"]
    told = {"out_trade_no": "QR-2026-1", "provider_no": "43" + "3" * 26, "amount_fen": 90_000}
    fact = PaymentFact(
        channel="wechat", merchant_id=gateway.merchant_id, currency="CNY", state="paid", paid_at=sold.paid_at,
        event_id="e1", app_id=next(iter(gateway.app_ids)), **told,
    )  # fmt: skip
    applying.call(close.shop.ctx, fact, FoundBy.CALLBACK)
    assert balances(close.site)["suspense", ""] == 90_000
    its = {name: told[name] for name in ("out_trade_no", "provider_no")}
    refund = {"refund_no": "50" + "3" * 26, "out_refund_no": "HAND-9", "amount_fen": 90_000}
    bill = (line(close, sold), line(close, sold, fee_fen=0, **told), given_back(close, sold, refund, **its))
    with close.tomorrow():
        close.drop(*trades(close, *bill))
        day = close.seen("wechat")
        assert (day["foreign"], day["foreign_fen"], day["net_fen"]) == (0, 0, 4_473)
        assert sorted(said(close.differences("wechat", open="true"))) == [
            ("only_theirs", "QR-2026-1", None, 90_000),
            ("refund_only_theirs", "QR-2026-1", None, 90_000),
        ]


def test_money_set_aside_that_went_back_in_the_channels_console_is_recorded_by_two(close, asked):
    """Of two unknown payments one was refunded there; a bill says so of both. The channel is asked about either."""
    sold, gateway = close.sold("wechat"), close.shop.ctx.gateways["wechat"]
    back, kept = close.unknown("wechat", 9_000), close.unknown("wechat", 7_000)
    facts = {}
    for money in (back, kept):
        close.pay(money)
        facts[money.out_trade_no] = fact = asyncio.run(gateway.query(money.out_trade_no))
        applying.call(close.shop.ctx, fact, FoundBy.CALLBACK)
    asyncio.run(gateway.refund(CreateRefund("BY-HAND-1", back.out_trade_no, 9_000, "客服", total_fen=9_000)))
    name, content = close.file("wechat", "trades")
    its = facts[kept.out_trade_no]
    forged = {"refund_no": "50" + "3" * 26, "out_refund_no": "BY-HAND-2", "amount_fen": 7_000}
    numbers = {"out_trade_no": its.out_trade_no, "provider_no": its.provider_no}
    before = balances(close.site)
    assert before["suspense", ""] == 16_000
    with close.tomorrow():
        line_of_it = line(close, sold, fee_fen=0, amount_fen=7_000, **numbers)
        close.drop(*trades(close, line(close, sold), line_of_it, given_back(close, sold, forged, **numbers)))
        [row] = close.differences("wechat", kind="refund_only_theirs")
        assert (row["actions"], row["order_code"]) == (["book", "carry", "ignore"], None)
        part = given_back(close, sold, forged | {"amount_fen": 6_999}, **numbers)
        close.drop(*trades(close, line(close, sold), line_of_it, part))
        assert close.one(row)["actions"] == ["carry", "ignore"], "what is set aside goes back whole"
        other = given_back(close, sold, forged | {"amount_fen": 1_000}, provider_no="4" + "2" * 27)
        close.drop(*trades(close, line(close, sold), line_of_it, other))
        stray = next(one for one in close.differences("wechat", open="true") if one["theirs_fen"] == 1_000)
        assert (stray["order_code"], stray["actions"]) == (sold.order_code, ["carry", "ignore"]), (
            "not what it was sold for"
        )
        close.drop(*trades(close, line(close, sold), line_of_it, given_back(close, sold, forged, **numbers)))
        close.handle(row, "book")
        refused = close.check(row, status=409)
        assert (refused["code"], refused["params"]["answer"][:5]) == ("not_confirmed_by_channel", "paid ")
        close.shop.ctx.batch.call(told_of(close, forged, its))
        [told] = exceptions_of(close, "unknown_refund")
        said = {"action": "record", "note": "后台退款", "provider_no": forged["refund_no"], "version": told["version"]}
        path = f"/api/exceptions/{told['id']}"
        told = close.site.post(f"{path}/propose", by="zhou", json=said).json()
        body = {"approved": True, "note": "", "version": told["version"]}
        assert close.site.post(f"{path}/approve", by="wang", json=body).json()["code"] == "channel_answered"
        assert balances(close.site) == before

        close.check(row, approve=False)
        close.drop(name, content)
        before = balances(close.site)
        [row] = [one for one in close.differences("wechat", kind="refund_only_theirs") if one["state"] == "open"]
        assert (row["out_refund_no"], close.handle(row, "book")["state"]) == ("BY-HAND-1", "proposed")
        asked.clear()
        assert close.check(row)["state"] == "resolved"
        assert asked == [back.out_trade_no]
        after = balances(close.site)
        assert {name: after[name] - fen for name, fen in before.items() if after[name] != fen} == {
            ("suspense", ""): -9_000,
            ("psp", "wechat"): -9_000,
        }
        assert [one["received_fen"] for one in exceptions_of(close, "unknown_payment")] == [7_000]
        close.post(close.at("wechat", "/run"))
        left = [(one["kind"], one["theirs_fen"], one["state"]) for one in close.differences("wechat", open="true")]
        assert left == [("only_theirs", 7_000, "open")]


def test_money_that_people_say_went_back_is_not_booked_a_second_time(close):
    """Decided in the exceptions while its difference is open: resolved as given back, and nothing is to be undone."""
    sold, gateway = close.sold("wechat"), close.shop.ctx.gateways["wechat"]
    money = close.unknown("wechat", 9_000)
    close.pay(money)
    asyncio.run(gateway.query(money.out_trade_no))
    with close.tomorrow():
        assert close.fetch_by_itself() == 1
        [row] = close.differences("wechat")
        act(close, row, "propose", by="zhou", action="record", note="后台退款", provider_no="50" + "2" * 26)
        act(close, row, "approve", by="wang", approved=True, note="")
        close.follow()
        assert [close.one(row)[name] for name in ("state", "action")] == ["resolved", "refund"]
        close.post(close.at("wechat", "/run"))
        assert [one["kind"] for one in close.differences("wechat")] == ["only_theirs"]
        assert balances(close.site)["suspense", ""] == 0
    assert sold.state == "paid"


def test_another_amount_of_what_was_delivered_is_one_matter(close):
    """The bill raises an alarm that holds the supplier's line, and a difference: who books this closes both."""
    small, large = close.sold("wechat"), close.sold("wechat", buyer=BEN)
    close.plant("wechat", "amount", small.out_trade_no, amount_fen=4_400)
    close.plant("wechat", "amount", large.out_trade_no, amount_fen=204_500)
    with close.tomorrow():
        close.fetch_by_itself()
        told = {one["received_fen"]: one for one in exceptions_of(close, "amount_mismatch")}
        assert {fen: one["actions"] for fen, one in told.items()} == {4_400: ["dismiss"], 204_500: ["dismiss"]}
        rows = {row["theirs_fen"]: row for row in close.differences("wechat", kind="amount")}
        assert close.handle(rows[204_500], "book")["state"] == "proposed"
        assert len(exceptions_of(close, "amount_mismatch")) == 2, "one person alone decides nothing of that size"
        assert close.handle(rows[4_400], "book", note="渠道少收")["state"] == "resolved"
        [left] = exceptions_of(close, "amount_mismatch")
        assert left["received_fen"] == 204_500
        assert close.check(rows[204_500])["state"] == "resolved"
        assert exceptions_of(close, "amount_mismatch") == []
        over = {fen: close.site.get(f"/api/exceptions/{one['id']}", by="li").json() for fen, one in told.items()}
        names = ("state", "action", "proposed_by", "approved_by", "closed_by")
        assert [over[4_400][name] for name in names] == ["closed", "dismiss", "周洁", None, "周洁"]
        assert [over[204_500][name] for name in names] == ["closed", "dismiss", "周洁", "王敏", "王敏"]
        assert over[4_400]["note"] == f"{rows[4_400]['number']}: 渠道少收"
        close.post(close.at("wechat", "/run"))
        close.shop.work()
        assert (close.differences("wechat", open="true"), exceptions_of(close, "amount_mismatch")) == ([], [])
