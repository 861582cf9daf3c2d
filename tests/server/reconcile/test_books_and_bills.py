"""What people decide about a difference leaves the books where the bills are, whatever comes afterwards."""

import asyncio
from datetime import timedelta

import pytest

from server.db import retrying
from server.gateways.port import RefundFact
from server.payments.refunds import hearing
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.model import Refund
from shared import clock
from tests.server.reconcile.closing import SHARES
from tests.server.reconcile.test_later_bills import psp, stand
from tests.server.reconcile.writing import alipay, funds, line, ms, trades

FORGED = "42" + "9" * 26


def other(close, attempt, day):
    """A line of another day, so that there is a bill of it."""
    noon = ms(clock.day_bounds(day)[0] + timedelta(hours=12))
    return line(close, attempt, out_trade_no="OTHER-1", provider_no="43" + "1" * 26, amount_fen=100, at_ms=noon)


def after(close, days):
    """A day after that of the sales, and its first second."""
    day = close.day + timedelta(days=days)
    return day, ms(clock.day_bounds(day)[0] + timedelta(seconds=1))


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_a_line_that_is_twice_gives_nothing_back_that_came_once(close, channel):
    """The channel has our number, and not under the second line's: the true payment stays."""
    sold = close.sold(channel)
    with close.tomorrow():
        write = trades if channel == "wechat" else alipay
        close.drop(*write(close, line(close, sold), line(close, sold, provider_no=FORGED)))
        before = psp(close, channel)
        [twice] = close.differences(channel, open="true")
        assert twice["kind"] == "duplicate"
        assert close.handle(twice, "refund")["state"] == "proposed"
        refused = close.check(twice, status=409)
        assert (refused["code"], "NOT_FOUND" in refused["detail"]) == ("not_confirmed_by_channel", True)
        close.shop.work()
        assert close.site.get("/api/refunds", by="wang").json()["items"] == []
        assert (psp(close, channel), close.order(sold).state) == (before, "delivered")
        paid = asyncio.run(close.shop.ctx.gateways[channel].query(sold.out_trade_no))
        assert (paid.state, paid.provider_no) == ("paid", sold.provider_no)


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_money_that_came_twice_for_a_number_goes_back_by_the_channels_own(close, channel):
    sold = close.sold(channel)
    close.pay(sold, "again")
    with close.tomorrow():
        close.fetch_by_itself()
        [second] = close.differences(channel, open="true")
        close.handle(second, "refund")
        assert close.check(second)["state"] in {"working", "resolved"}
        close.shop.work()
        gateway = close.shop.ctx.gateways[channel]
        asked = (sold.provider_no, second["provider_no"])
        first, again = (asyncio.run(gateway.query(sold.out_trade_no, provider_no=number)) for number in asked)
        assert (first.state, again.state) == ("paid", "refunded"), "the one that the order was delivered for stays"
        assert asyncio.run(gateway.query("ANOTHER-NUMBER", provider_no=sold.provider_no)) is None


def test_a_movement_is_not_booked_whose_payment_is_in_the_books(close):
    """The trade bill that has it is still to come: then the movement is nobody's gain."""
    late, sold = close.sold("wechat"), close.sold("wechat")
    _, at = after(close, 1)
    with close.tomorrow(days=2):
        close.drop(*trades(close, line(close, sold)))
        close.drop(*funds(close, line(close, sold), line(close, late)))
        found = close.differences("wechat", open="true")
        moved = [one for one in found if one["kind"] == "fund_only_funds"]
        assert [one["actions"] for one in moved] == [["carry", "ignore"]] * 2
        before = psp(close)
        for one in found:
            close.handle(one, "carry")
        close.drop(*trades(close, line(close, late, at_ms=at)))
        assert (psp(close), before) == ((9_000 - 54, 54, 0),) * 2
        assert close.differences("wechat", open="true") == []


def test_money_for_another_sum_than_was_due_is_not_in_the_books_until_people_put_it_there(close):
    sold, unpaid = close.sold("wechat"), close.placed("wechat", "MUSIC-30")
    bill = (line(close, sold), line(close, unpaid, amount_fen=1_350, at_ms=ms(sold.paid_at), fee_fen=8))
    with close.tomorrow(), close.silent("wechat"):
        close.drop(*trades(close, *bill))
        [found] = close.differences("wechat")
        assert stand([found]) == [("amount", 0, 1_350, "open")]
        assert (found["actions"], found["two_people"]) == (["refund", "carry"], True)
        close.handle(found, "refund")
        close.check(found)
        assert psp(close)[0] == 4_473 + 1_350 - 8, "all that the channel took is in the books"


def test_a_write_off_takes_its_fee_with_it_and_back(close):
    lost, sold = close.sold("wechat"), close.sold("wechat")
    next_day, at = after(close, 1)
    with close.tomorrow(days=2):
        close.drop(*trades(close, line(close, sold)))
        close.drop(*funds(close, line(close, sold)))
        [gone] = close.differences("wechat")
        close.handle(gone, "write_off")
        close.check(gone)
        assert psp(close) == (close.seen("wechat")["net_fen"], 27, 4_500) == (4_473, 27, 4_500)
        close.drop(*trades(close, line(close, lost, at_ms=at)))
        [undone] = close.differences("wechat", next_day, kind="booked", open="true")
        close.handle(undone, "book")
        close.check(undone)
        assert psp(close) == (9_000 - 54, 54, 0)


def test_a_payment_that_the_channel_undid_is_a_loss_for_two(close):
    sold, undone = close.sold("wechat"), close.sold("wechat")
    with close.tomorrow():
        close.drop(*trades(close, line(close, undone, reversed=True), line(close, sold)))
        close.drop(*funds(close, line(close, sold)))
        rows = {one["kind"]: one for one in close.differences("wechat", open="true")}
        assert rows["state"]["actions"] == ["carry", "write_off", "ignore"]
        assert close.handle(rows["state"], "write_off")["state"] == "proposed"
        close.check(rows.pop("state"))
        for one in rows.values():
            close.handle(one, "book")
        assert psp(close)[2] == 4_500


@SHARES
def test_what_was_carried_ends_when_its_refund_failed_or_its_other_half_is_two_days_away(close):
    refunded, shifted, sold = (close.sold("wechat") for _ in range(3))
    (next_day, _), (second_day, at), (third_day, _) = (after(close, days) for days in (1, 2, 3))
    body = {"reason": "客服补偿", "version": close.order(refunded).version}
    path, headers = f"/api/orders/{refunded.order_code}/refunds", {"idempotency-key": "refund-that-fails-later"}
    assert close.site.post(path, by="li", json=body, headers=headers).status_code == 201
    close.shop.work()
    with close.shop.ctx.db.read() as tx:
        refund = tx.query(Refund).one()
    assert refund.state == "processing"
    with close.tomorrow(days=4):
        close.drop(*trades(close, line(close, sold), line(close, refunded)))
        kinds = {one["kind"]: one for one in close.differences("wechat", open="true")}
        assert kinds.keys() == {"refund_only_ours", "only_ours"}
        for one in kinds.values():
            close.handle(one, "carry")
        close.drop(*trades(close, other(close, sold, next_day)))
        carried = close.differences("wechat", next_day, open="true")
        assert {one["kind"] for one in carried} == {"only_ours", "refund_only_ours"}
        close.drop(*trades(close, line(close, shifted, at_ms=at)))
        [shift] = close.differences("wechat", second_day, kind="date_shift")
        assert shift["actions"] == ["carry", "ignore"]
        close.handle(shift, "carry")
        close.drop(*trades(close, other(close, sold, third_day)))
        assert close.differences("wechat", third_day, open="true") == []
        fact = RefundFact(
            out_refund_no=refund.out_refund_no,
            refund_no=None,
            out_trade_no=refund.out_trade_no,
            amount_fen=refund.amount_fen,
            state="closed",
            merchant_id=close.merchant("wechat"),
        )
        heard = [RefundHeard("wechat", close.merchant("wechat"), fact)]
        retrying(close.shop.ctx.db, lambda tx: hearing.hear(tx, heard))
        close.post(close.at("wechat", "/run", next_day))
        assert close.differences("wechat", next_day, open="true") == []
