"""What a channel owes us for a day follows what people booked and the channel's last word; and whose word is enough."""

from datetime import timedelta

from shared import clock
from tests.server.reconcile.writing import funds, line, ms, trades
from tests.server.refunding import balances


def owed(close):
    """By day, as far as something is short of it: by the bill, corrected, arrived, short, waiting."""
    told = ("net_fen", "corrected_fen", "arrived_fen", "short_fen", "waiting_fen")
    return {one["day"]: tuple(one[name] for name in told) for one in close.get("owed")["items"]}


def arrives(close, fen, reference, *, by="zhou", **parts):
    told = {"channel": "wechat", "amount_fen": fen, "reference": reference} | parts
    return close.post("sweeps", by=by, status=201, arrived_on=str(clock.shop_day(clock.now())), **told)


def psp(close):
    return balances(close.site).get(("psp", "wechat"), 0)


def of_others(close, bought, fen, day):
    """A payment that nobody here knows, of a day."""
    at = ms(clock.day_bounds(day)[0] + timedelta(hours=12))
    its = {"out_trade_no": "OTHERS-1", "provider_no": "43" + "1" * 26, "at_ms": at, "fee_fen": 0}
    return line(close, bought, amount_fen=fen, **its)


def test_a_booked_movement_is_owed_and_one_that_was_taken_back_is_not(close):
    sold, day = close.sold("wechat"), str(close.day)
    moved = line(close, sold, out_trade_no="", provider_no="43" + "5" * 26, amount_fen=1_000, fee_fen=0)
    with close.tomorrow():
        close.drop(*trades(close, line(close, sold)), by="wang")
        close.drop(*funds(close, line(close, sold), moved), by="wang")
        [only] = close.differences("wechat", open="true")
        assert owed(close) == {day: (4_473, 0, 0, 4_473, 0)}, "nobody has said what it is"
        assert (only["kind"], close.handle(only, "book")["state"]) == ("fund_only_funds", "resolved")
        assert (owed(close), psp(close)) == ({day: (4_473, 1_000, 0, 5_473, 0)}, 5_473)
        seen = close.seen("wechat")
        assert (seen["net_fen"], seen["corrected_fen"], seen["corrections"]) == (4_473, 1_000, [])
        came = arrives(close, 5_473, "B-1")
        assert (came["state"], came["parts"]) == ("booked", [{"day": day, "fen": 5_473}])
        assert (owed(close), psp(close)) == ({}, 0), "a day that got all its money is not listed"

        close.drop(*funds(close, line(close, sold)), by="wang")
        [booked] = close.differences("wechat", open="true")
        assert booked["kind"] == "booked"
        close.handle(booked, "book")
        assert owed(close) == {}, "one person's word"
        close.check(booked)
        assert (owed(close), psp(close)) == ({day: (4_473, 0, 5_473, -1_000, 0)}, -1_000)


def test_of_a_signed_day_what_the_channel_told_last_is_owed(close):
    sold, day, next_day = close.sold("wechat"), str(close.day), close.day + timedelta(days=1)
    one, more = line(close, sold), line(close, sold, amount_fen=4_600)
    with close.tomorrow(days=3):
        close.drop(*trades(close, one), by="wang")
        close.drop(*funds(close, one), by="wang")
        close.sign("wechat")
        close.drop(*trades(close, more), by="wang")
        close.drop(*funds(close, more), by="wang")
        assert owed(close) == {day: (4_473, 0, 0, 4_473, 0)}, "no open day has read it yet"
        close.drop(*trades(close, of_others(close, sold, 7, next_day)), by="wang")
        later = {str(next_day): (7, 0, 0, 7, 0)}
        assert owed(close) == {day: (4_473, 100, 0, 4_573, 0)} | later
        [amount] = [found for found in close.differences("wechat", next_day) if found["kind"] == "amount"]
        close.handle(amount, "book")
        close.check(amount)
        close.post(close.at("wechat", "/run", next_day))
        assert owed(close) == {day: (4_473, 100, 0, 4_573, 0)} | later, (
            "whoever booked it, and however often it is read"
        )
        came = arrives(close, 4_573, "B-1")
        assert (came["state"], came["parts"]) == ("booked", [{"day": day, "fen": 4_573}])
        assert (owed(close), psp(close)) == (later, 0)
        assert (close.seen("wechat")["net_fen"], close.seen("wechat")["corrected_fen"]) == (4_473, 100)

        close.drop(*trades(close, one), by="wang")
        assert owed(close) == {day: (4_473, 0, 4_573, -100, 0)} | later, "the signed bill is the channel's word again"
        close.drop(*trades(close, more), by="wang")
        assert owed(close) == later


def test_a_bill_or_slices_of_one_person_are_no_room_for_the_same_one(close):
    sold, day = close.sold("wechat"), str(close.day)
    at = ms(clock.now())
    forged = line(close, sold, out_trade_no="OTHERS-1", provider_no="43" + "1" * 26, at_ms=at, amount_fen=1_000_000)
    with close.tomorrow():
        close.drop(*trades(close, line(close, sold), forged), by="zhou")
        waits = arrives(close, 100, "B-1")
        assert (waits["state"], psp(close)) == ("proposed", 4_473), "nobody else has seen this bill"
        assert arrives(close, 100, "B-2", by="wang")["state"] == "booked"
        name, own = trades(close, line(close, sold))
        close.site.post("/api/reconcile/bills", by="wang", params={"name": name}, content=own)
        assert arrives(close, 100, "B-6")["state"] == "proposed", "the day is not compared with another's bill yet"
        close.drop(*trades(close, line(close, sold), forged), by="wang")
        assert arrives(close, 30_000, "B-3")["state"] == "booked", "another one dropped it as well"
        assert arrives(close, 30_000, "B-4")["state"] == "proposed", "no more in slices than at once"
        assert arrives(close, 20_000, "B-5")["state"] == "booked"
        [(net, _, arrived, short, waiting)] = owed(close).values()
        assert (arrived, waiting, short) == (50_100, 30_200, net - 50_100)
        assert close.get("sweeps", day=day, state="proposed")["items"] != []
