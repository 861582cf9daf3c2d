"""A bill that comes later says otherwise of what people handled: only the rest is open, and nothing stays booked."""

import io
from dataclasses import replace
from datetime import timedelta

from server.db import retrying
from server.gateways.bill_lines import opened
from server.payments import kept_bills
from server.payments.refunds.model import Refund
from shared import clock, ids
from shared.finance import BillKind
from tests.server.reconcile.closing import SHARES, said
from tests.server.reconcile.writing import alipay, funds, given_back, line, ms, trades
from tests.server.refunding import balances
from tests.world import BEN


def psp(close, channel="wechat"):
    """What the channel owes us by the ledger, what its fees cost, and what was lost."""
    booked = balances(close.site)
    return booked["psp", channel], booked.get(("psp_fee", channel), 0), booked.get(("loss", ""), 0)


def stand(rows):
    """Kind, both amounts and state of each, in short."""
    return sorted((one["kind"], one["ours_fen"], one["theirs_fen"], one["state"]) for one in rows)


def test_a_replaced_bill_opens_what_was_booked_for_the_rest_and_back_again(close):
    """A fen booked by one person hides no fortune; each bill after it is met by the rest, or by its reversal."""
    sold, other = close.sold("wechat"), close.sold("wechat")
    fee = 2 * sold.fee_fen
    with close.tomorrow():
        close.drop(*trades(close, line(close, sold, amount_fen=4_501), line(close, other)))
        [first] = close.differences("wechat")
        assert close.handle(first, "book")["state"] == "resolved"
        assert psp(close) == (9_001 - fee, fee, -1)

        close.drop(*trades(close, line(close, sold, amount_fen=204_500), line(close, other)))
        now = close.differences("wechat")
        assert stand(now) == [("amount", 4_500, 4_501, "resolved"), ("amount", 4_501, 204_500, "open")]
        [rest] = (one for one in now if one["state"] == "open")
        assert (rest["again_of"], rest["off_by_fen"], rest["two_people"]) == (first["number"], 199_999, True)
        assert "还有 1 条差异未处理" in close.seen("wechat")["sign_waits_for"]
        story = [event["what"] for event in close.get(f"differences/{rest['id']}")["events"]]
        assert f"{first['number']} 调账：已核对" in story
        assert (close.handle(rest, "book")["state"], psp(close)[2]) == ("proposed", -1)
        version = close.one(rest)["version"]

        close.drop(*trades(close, line(close, sold, amount_fen=4_600), line(close, other)))
        moved = close.one(rest)
        assert (moved["state"], moved["theirs_fen"], moved["action"]) == ("open", 4_600, None), (
            "another sum is not yes'd"
        )
        body = {"approve": True, "note": "", "version": version}
        assert (
            close.post(f"differences/{rest['id']}/check", by="wang", status=409, **body)["code"] == "difference_changed"
        )
        assert close.handle(rest, "book")["state"] == "proposed", "nobody books a fortune alone, slice by slice"
        assert close.check(rest)["state"] == "resolved"
        assert psp(close) == (9_100 - fee, fee, -100)

        close.drop(*trades(close, line(close, sold), line(close, other)))
        [undone] = close.differences("wechat", open="true")
        assert stand([undone]) == [("booked", 100, 0, "open")]
        assert (undone["actions"], undone["again_of"]) == (["book", "carry"], first["number"])
        assert close.handle(undone, "book")["state"] == "proposed", "what was booked is taken back by two"
        assert close.check(undone)["state"] == "resolved"
        assert psp(close) == (9_000 - fee, fee, 0)

        close.post(close.at("wechat", "/run"))
        assert close.differences("wechat", open="true") == []
        close.drop(*trades(close, line(close, sold, amount_fen=4_501), line(close, other)))
        again = close.differences("wechat", open="true")
        assert stand(again) == [("amount", 4_500, 4_501, "open")], "it is not booked any more"
        ids = {one["id"] for one in close.differences("wechat")}
        close.post(close.at("wechat", "/run"))
        assert {one["id"] for one in close.differences("wechat")} == ids
        close.handle(again[0], "book")
        close.check(again[0])
        close.drop(*trades(close, line(close, sold, subject="点卡 50"), line(close, other)))
        [undone] = close.differences("wechat", open="true")
        assert stand([undone]) == [("booked", 1, 0, "open")], "as often as it takes"
        close.handle(undone, "book")
        close.check(undone)
        close.drop(*trades(close, line(close, sold, amount_fen=4_501, subject="点卡 50"), line(close, other)))
        assert stand(close.differences("wechat", open="true")) == [("amount", 4_500, 4_501, "open")]


@SHARES
def test_what_was_booked_on_one_day_is_known_on_the_other(close):
    """Carried on, and booked there; then its own day's bill says the same, something else, and agrees at last."""
    sold, other = close.sold("wechat"), close.sold("wechat")
    next_day = close.day + timedelta(days=1)
    at = ms(clock.day_bounds(next_day)[0] + timedelta(hours=1))
    foreign = line(close, sold, out_trade_no="OTHERS-1", provider_no="43" + "1" * 26, at_ms=at)
    with close.tomorrow(days=2):
        close.drop(*trades(close, line(close, sold, amount_fen=4_600), line(close, other)))
        [first] = close.differences("wechat")
        close.handle(first, "carry")
        close.drop(*trades(close, foreign))
        [carried] = close.differences("wechat", next_day, open="true")
        assert close.handle(carried, "book")["state"] == "resolved"
        lost = psp(close)[2]
        close.post(close.at("wechat", "/run"))
        assert (close.differences("wechat", open="true"), lost) == ([], -100), "it is right by now"

        close.drop(*trades(close, line(close, sold, amount_fen=4_650), line(close, other)))
        [rest] = close.differences("wechat", open="true")
        assert (rest["ours_fen"], rest["theirs_fen"], rest["again_of"]) == (4_600, 4_650, first["number"])
        close.handle(rest, "carry")
        close.drop(*trades(close, line(close, sold, amount_fen=4_600), line(close, other)))
        assert close.differences("wechat", open="true") == []

        close.drop(*trades(close, line(close, sold), line(close, other)))
        assert stand(close.differences("wechat", open="true")) == [("booked", 100, 0, "open")]
        close.post(close.at("wechat", "/run", next_day))
        assert close.differences("wechat", next_day, open="true") == []
        [undone] = close.differences("wechat", open="true")
        close.handle(undone, "book")
        close.check(undone)
        assert psp(close)[2] == 0
        for day in (close.day, next_day):
            close.post(close.at("wechat", "/run", day))
            assert close.differences("wechat", day, open="true") == []


def test_what_was_decided_of_a_fee_or_a_refund_is_asked_again_where_a_bill_says_more(close):
    sold = close.sold("wechat")
    with close.tomorrow():
        close.drop(*trades(close, line(close, sold, fee_fen=28)))
        [small] = close.differences("wechat")
        assert close.handle(small, "ignore")["state"] == "resolved"
        close.drop(*trades(close, line(close, sold, fee_fen=4_000)))
        assert stand(close.differences("wechat")) == [("fee", 27, 28, "resolved"), ("fee", 27, 4_000, "open")]
        close.drop(*trades(close, line(close, sold, fee_fen=28)))
        assert stand(close.differences("wechat")) == [("fee", 27, 28, "resolved"), ("fee", 27, 4_000, "matched")]
        close.drop(*trades(close, line(close, sold, amount_fen=45_000, fee_fen=270)))
        found = {one["kind"]: one for one in close.differences("wechat", open="true")}
        assert {kind: one["off_by_fen"] for kind, one in found.items()} == {"amount": 40_500, "fee": 243}
        assert close.handle(found["amount"], "book")["state"] == "resolved"
        assert close.handle(found["fee"], "book")["state"] == "proposed", "it was decided on before"
        assert close.check(found["fee"])["state"] == "resolved"
        close.drop(*funds(close, line(close, sold, amount_fen=45_000, fee_fen=270)))
        day = close.seen("wechat")
        assert (day["net_fen"], psp(close)) == (44_730, (44_730, 270, -40_500)), "the ledger is where the bill is"
        assert close.differences("wechat", open="true") == []


def test_what_was_written_off_and_comes_after_all_is_taken_back(close):
    """By the bill of the next day, while its own is signed."""
    lost, sold = close.sold("wechat"), close.sold("wechat")
    next_day = close.day + timedelta(days=1)
    late = ms(clock.day_bounds(next_day)[0] + timedelta(seconds=1))
    fee = 2 * sold.fee_fen
    with close.tomorrow():
        close.drop(*trades(close, line(close, sold)))
        close.drop(*funds(close, line(close, sold)))
        [gone] = close.differences("wechat")
        close.handle(gone, "write_off")
        assert close.check(gone)["state"] == "resolved"
        assert psp(close) == (4_500 - sold.fee_fen, sold.fee_fen, 4_500), "what never came has cost no fee"
        assert close.sign("wechat", by="wang")["state"] == "signed"
    with close.tomorrow(days=2):
        close.drop(*trades(close, line(close, lost, at_ms=late)))
        assert stand(close.differences("wechat", next_day)) == [
            ("booked", -4_500, 0, "open"),
            ("date_shift", 4_500, 4_500, "matched"),
        ]
        [undone] = close.differences("wechat", next_day, open="true")
        assert (undone["again_of"], undone["out_trade_no"]) == (gone["number"], lost.out_trade_no)
        assert close.handle(undone, "book")["state"] == "proposed"
        assert close.check(undone, by="zhou", status=409)["code"] == "handled_by_you"
        close.check(undone)
        assert psp(close) == (9_000 - fee, fee, 0)
        close.post(close.at("wechat", "/run", next_day))
        assert close.differences("wechat", next_day, open="true") == []
        assert close.one(gone)["state"] == "resolved", "a signed day stays as it is"


def test_what_is_to_be_taken_back_is_carried_over_until_it_is(close):
    """Written off, there after all, and carried over the signing: the next day has it, however often it is compared."""
    sold, other = close.sold("wechat"), close.sold("wechat", buyer=BEN)
    next_day = close.day + timedelta(days=1)
    noon = ms(clock.day_bounds(next_day)[0] + timedelta(hours=12))
    of_others = line(close, other, out_trade_no="OTHER-1", provider_no="43" + "1" * 26, at_ms=noon, fee_fen=0)
    both = (line(close, sold), line(close, other))
    with close.tomorrow(days=2):
        close.drop(*trades(close, line(close, other)))
        [lost] = close.differences("wechat")
        close.handle(lost, "write_off")
        close.check(lost)
        close.drop(*trades(close, *both))
        close.drop(*funds(close, *both))
        [back] = close.differences("wechat", open="true")
        assert (back["kind"], close.handle(back, "carry")["state"]) == ("booked", "resolved")
        close.sign("wechat", by="wang")
        close.drop(*trades(close, of_others))
        close.post(close.at("wechat", "/run", next_day))
        [carried] = [one for one in close.differences("wechat", next_day, open="true") if one["kind"] != "only_theirs"]
        assert (carried["kind"], carried["ours_fen"], carried["carried_from"]) == ("booked", -4_500, str(close.day))
        close.handle(carried, "book")
        close.check(carried)
        close.post(close.at("wechat", "/run", next_day))
        assert [one["kind"] for one in close.differences("wechat", next_day, open="true")] == ["only_theirs"]
        assert psp(close) == (8_946, 54, 0)


def test_what_was_carried_over_follows_the_last_word_of_a_signed_day(close):
    """There by the bill that was signed, gone by a late one, and there again: it is before people while it is gone."""
    sold, other = close.sold("wechat"), close.sold("wechat", buyer=BEN)
    days = [close.day + timedelta(days=n) for n in (1, 2)]
    both, less = trades(close, line(close, sold), line(close, other)), trades(close, line(close, other))

    def of_others(day, fen):
        noon = ms(clock.day_bounds(day)[0] + timedelta(hours=12))
        its = {"out_trade_no": "OTHER-1", "provider_no": "43" + "1" * 26, "fee_fen": 0}
        return trades(close, line(close, other, at_ms=noon, amount_fen=fen, **its))

    def lost():
        rows = [one for day in days for one in close.differences("wechat", day, kind="only_ours")]
        return [(one["day"], one["state"], one["action"]) for one in rows]

    with close.tomorrow(days=3):
        close.drop(*less)
        [first] = close.differences("wechat")
        close.handle(first, "carry")
        close.drop(*both)
        close.drop(*funds(close, line(close, sold), line(close, other)))
        close.sign("wechat", by="wang")
        close.drop(*of_others(days[0], 7))
        assert lost() == [(str(days[0]), "matched", None)], "the signed bill has it"
        close.drop(*less)
        assert lost() == [(str(days[0]), "open", None)], "what was carried is before people again"
        [again] = close.differences("wechat", days[0], kind="only_ours")
        close.handle(again, "carry")
        close.drop(*of_others(days[1], 8))
        carried = (str(days[0]), "resolved", "carry")
        assert lost() == [carried, (str(days[1]), "open", None)]
        close.drop(*both)
        close.post(close.at("wechat", "/run", days[1]))
        assert lost() == [carried, (str(days[1]), "matched", None)], "the last word has it, though it is of its own day"
        assert psp(close) == (8_946, 54, 0)


def test_another_amount_that_was_carried_over_is_none_once_the_payment_is_gone(close):
    """Both would be booked, and more than the bill is short of."""
    sold, other = close.sold("wechat"), close.sold("wechat", buyer=BEN)
    refund = {"out_refund_no": "BY-HAND-1", "refund_no": "50" + "8" * 26, "amount_fen": 7}
    with close.tomorrow(days=2):
        close.drop(*trades(close, line(close, sold, amount_fen=4_600), line(close, other)))
        [amount] = close.differences("wechat")
        close.handle(amount, "carry")
        close.drop(*trades(close, line(close, other)))
        next_day = close.day + timedelta(days=1)
        at = ms(clock.day_bounds(next_day)[0] + timedelta(hours=12))
        close.drop(*trades(close, given_back(close, other, refund, at_ms=at, ends_at_ms=at)))
        carried = [one for one in close.differences("wechat", next_day) if one["carried_from"]]
        assert stand(carried) == [("amount", 4_500, 4_600, "matched")]
        assert stand(close.differences("wechat", open="true")) == [("only_ours", 4_500, None, "open")]


def test_fees_given_back_follow_the_bill_and_never_beyond_the_fee(close):
    sold = close.sold("wechat")
    close.refund(sold)
    with close.shop.ctx.db.read() as tx:
        one = tx.query(Refund).one()
    refund = {"refund_no": one.provider_refund_no, "out_refund_no": one.out_refund_no, "amount_fen": 4_500}
    paid, at = line(close, sold), ms(one.submitted_at)
    with close.tomorrow():

        def bill(fee_fen):
            back = given_back(close, sold, refund, fee_fen=fee_fen, at_ms=at, ends_at_ms=at)
            close.drop(*trades(close, paid, back))

        bill(4_000)
        [forged] = close.differences("wechat")
        assert (said([forged]), psp(close)) == ([("fee", sold.out_trade_no, -27, -4_000)], (-27, 27, 0))
        [told] = close.get(close.at("wechat", "/refunds"))["items"]
        assert (told["fee_returned_fen"], told["bill_row"]) == (4_000, 1), "its row is told, though it differs"
        bill(27)
        assert (close.differences("wechat", open="true"), psp(close)) == ([], (0, 0, 0))
        bill(0)
        assert (close.differences("wechat", open="true"), psp(close)) == ([], (-27, 27, 0)), "it kept its fee"
        bill(4_000)
        [forged] = close.differences("wechat", open="true")
        assert close.handle(forged, "book")["state"] == "resolved"
        assert psp(close) == (3_973, -3_973, 0), "what people say is booked"
        close.post(close.at("wechat", "/run"))
        assert close.differences("wechat", open="true") == []


def test_two_refunds_of_one_payment_in_the_channels_own_console_are_two(close):
    """Alipay gives refunds no number of their own: they are told apart by ours, and each is booked by two people."""
    sold = close.sold("alipay")
    next_day = close.day + timedelta(days=1)
    paid = line(close, sold, app_id="x", refund_no="")
    first, same_day, later = (
        given_back(close, sold, {"out_refund_no": number, "amount_fen": fen}, app_id="x")
        for number, fen in (("HAND-1", 1_000), ("HAND-2", 1_500), ("HAND-3", 700))
    )
    at = ms(clock.day_bounds(next_day)[0] + timedelta(hours=1))
    later = replace(later, at_ms=at, ends_at_ms=at)
    for back in (first, same_day, later):
        close.give_back(sold, back.out_refund_no, back.amount_fen)
    with close.tomorrow(days=2):
        close.drop(*alipay(close, paid, first, same_day))
        one, two = sorted(close.differences("alipay"), key=lambda row: row["theirs_fen"])
        assert close.handle(one, "book")["state"] == "proposed"
        close.drop(*alipay(close, later, day=next_day))
        [three] = close.differences("alipay", next_day)
        assert (three["state"], three["exception_id"]) == ("open", None)
        before = psp(close, "alipay")[0]
        assert close.check(one)["state"] == "resolved"
        close.follow()
        assert (close.one(two)["state"], close.one(three)["state"]) == ("open", "open")
        for row in (two, three):
            assert close.handle(row, "book")["state"] == "proposed"
            assert close.check(row)["state"] == "resolved"
        assert before - psp(close, "alipay")[0] == 3_200
        refunds = close.site.get("/api/refunds", by="wang").json()["items"]
        assert sorted(row["amount_fen"] for row in refunds) == [700, 1_000, 1_500]
        for day in (close.day, next_day):
            close.post(close.at("alipay", "/run", day))
            assert close.differences("alipay", day, open="true") == []


@SHARES
def test_the_word_of_a_signed_day_is_what_the_channel_gave_last(close):
    """Another bill, another, the first of them, and at last the signed one again: each time that is what differs."""
    sold, other = close.sold("wechat"), close.sold("wechat")
    next_day = close.day + timedelta(days=1)
    noon = ms(clock.day_bounds(next_day)[0] + timedelta(hours=12))
    foreign = line(close, other, out_trade_no="OTHER-1", provider_no="43" + "1" * 26, at_ms=noon)

    def bill(fen):
        return trades(close, line(close, sold, amount_fen=fen), line(close, other))

    def late():
        return [one["is_late"] for one in close.seen("wechat")["bills"]].count(True)

    def told():
        rows = close.differences("wechat", next_day, open="true")
        return [(one["kind"], one["ours_fen"], one["theirs_fen"]) for one in rows if "fund" not in one["kind"]]

    with close.tomorrow(days=2):
        close.drop(*bill(4_500))
        close.drop(*funds(close, line(close, sold), line(close, other)))
        assert close.sign("wechat", by="wang")["state"] == "signed"
        signed = close.seen("wechat")
        close.drop(*trades(close, foreign))
        for fen in (60_000, 70_000, 60_000):
            close.drop(*bill(fen))
            assert told() == [("amount", 4_500, fen)]
        assert late() == 1, "the last one"
        close.drop(*bill(4_500))
        assert (told(), late()) == ([], 0), "the channel agrees with what was signed"
        close.drop(*bill(4_500))
        close.post(close.at("wechat", "/run", next_day))
        assert told() == []
        close.drop(*bill(4_600))
        [less] = (one for one in close.differences("wechat", next_day, open="true") if one["kind"] == "amount")
        close.handle(less, "book")
        assert close.check(less)["state"] == "resolved"
        close.drop(*bill(4_500))
        assert told() == [("booked", 100, 0)], "what was booked for nothing is taken back"
        close.post(close.at("wechat", "/run", next_day))
        assert told() == [("booked", 100, 0)], "by people, and not because the day is compared again"
        [undone] = close.differences("wechat", next_day, open="true")
        close.handle(undone, "book")
        close.check(undone)
        close.drop(*bill(4_600))
        assert told() == [("amount", 4_500, 4_600)]
        close.drop(*bill(4_500))
        assert (told(), psp(close)) == ([], (8_946, 54, 0))
        assert close.seen("wechat") | {"bills": signed["bills"]} == signed
        assert (late(), [one["is_current"] for one in close.seen("wechat")["bills"]].count(True)) == (0, 2)


@SHARES
def test_late_money_of_a_signed_day_is_one_difference_and_opens_the_next_day(close):
    """Both bills of the day have 10.00 more, so the next one's opens with it: that is no gap, nor booked as one."""
    sold, other = close.sold("wechat"), close.sold("wechat")
    next_day = close.day + timedelta(days=1)
    noon = ms(clock.day_bounds(next_day)[0] + timedelta(hours=12))
    foreign = line(close, other, out_trade_no="OTHER-1", provider_no="43" + "1" * 26, at_ms=noon, fee_fen=0)
    stray = line(close, sold, out_trade_no=ids.new_id().hex, provider_no="43" + "2" * 26, amount_fen=1_000, fee_fen=0)
    both = (line(close, sold), line(close, other))

    def told(day):
        return [(one["kind"], one["off_by_fen"]) for one in close.differences("wechat", day, open="true")]

    with close.tomorrow(days=3):
        close.drop(*trades(close, *both))
        close.drop(*funds(close, *both))
        closing = close.seen("wechat")["balance"]["closing_fen"]
        close.sign("wechat", by="wang")
        close.drop(*trades(close, foreign))
        close.drop(*funds(close, foreign, opening_fen=closing))
        assert told(next_day) == []
        close.drop(*trades(close, *both, stray))
        close.drop(*funds(close, *both, stray))
        assert sorted(told(next_day)) == [("balance", -1_000), ("only_theirs", 1_000)]
        [gap] = (one for one in close.differences("wechat", next_day, open="true") if one["kind"] == "balance")
        assert gap["actions"] == ["carry", "ignore"], "a gap is no money of its own"
        close.drop(*funds(close, foreign, opening_fen=closing + 1_000))
        assert close.seen("wechat", next_day)["balance"]["opening_fen"] == closing + 1_000
        assert told(next_day) == [("only_theirs", 1_000)]
        waits = close.seen("wechat", next_day)["sign_waits_for"]
        assert "".join(waits).count(f"{close.day} 的") == 2, "who dropped late bills does not sign what they say"
        [money] = close.differences("wechat", next_day, open="true")
        assert close.handle(money, "carry")["state"] in {"resolved", "proposed"}
        close.post(close.at("wechat", "/run", next_day))
        signed = close.sign("wechat", day=next_day, by="wang")
        assert signed["balance"]["closing_fen"] == closing + 1_000 + 4_500


@SHARES
def test_a_gap_between_signed_days_is_gone_once_both_have_their_late_bills(close):
    """Whichever comes first; and no file takes the place of what the channel itself gave late."""
    sold, other = close.sold("wechat"), close.sold("wechat")
    next_day, after = (close.day + timedelta(days=n) for n in (1, 2))

    def foreign(day):
        at = ms(clock.day_bounds(day)[0] + timedelta(hours=12))
        return line(close, other, out_trade_no="OTHER-1", provider_no=f"43{day:%Y%m%d}", at_ms=at, fee_fen=0)

    both = (line(close, sold), line(close, other))
    more = line(close, sold, out_trade_no="OTHER-2", provider_no="43" + "2" * 26, amount_fen=1_000, fee_fen=0)

    def gaps():
        rows = close.differences("wechat", after, open="true")
        return sorted((one["kind"], one["carried_from"], one["off_by_fen"]) for one in rows)

    with close.tomorrow(days=3):
        good = [trades(close, *both), funds(close, *both)]
        for bill in good:
            close.drop(*bill)
        closing = close.sign("wechat", by="wang")["balance"]["closing_fen"]
        second = funds(close, foreign(next_day), opening_fen=closing)
        close.drop(*trades(close, foreign(next_day)))
        close.drop(*second)
        close.sign("wechat", day=next_day, by="wang")
        close.drop(*trades(close, foreign(after)))
        first_late = funds(close, *both, more)
        second_late = funds(close, foreign(next_day), opening_fen=closing + 1_000)
        close.drop(*trades(close, *both, more))
        close.drop(*first_late)
        assert gaps() == [("balance", str(close.day), -1_000)]
        close.drop(*second_late)
        assert gaps() == []
        close.drop(*good[1])
        assert gaps() == [
            ("balance", str(next_day), 1_000),
            ("fund_only_trades", str(close.day), -1_000),
        ], "the other way round"
        close.drop(*second)
        close.drop(*good[0])
        assert gaps() == []

        read = opened(io.BytesIO(first_late[1]), "bill")
        bill = kept_bills.NewBill(
            channel="wechat", kind=BillKind.FUNDS, day=close.day, merchant_id=close.merchant("wechat"), name="bill",
            content=first_late[1], rows=3, sha1=read.sha1, sha256=read.sha256, totals=read.totals,
        )  # fmt: skip
        ctx, by = close.shop.ctx, "channel:wechat"
        assert retrying(ctx.db, lambda tx: kept_bills.keep(tx, ctx.keys, bill, source="fetched", by=by).is_new)
        assert close.drop(*good[1], status=409)["code"] == "channel_has_given_it"
