"""Refunds that people record and what bills say of them: each is in the books once, and what no bill has is told."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from server.gateways.port import ChannelUnknown
from server.payments import applying
from server.payments.refunds.actions import RefundHeard
from server.payments.refunds.model import Refund
from shared import clock
from shared.states import FoundBy
from tests.server import refunding
from tests.server.reconcile.exceptions import act, decide, exception, exceptions_of, told_of
from tests.server.reconcile.writing import alipay, funds, given_back, line, ms, trades
from tests.server.refunding import balances
from tests.world import BEN


def test_what_was_recorded_before_its_bill_agrees_with_it(close):
    """Refunds of the channel's console, of an order's money and of money set aside, recorded where they were told."""
    sold, gateway = close.sold("wechat"), close.shop.ctx.gateways["wechat"]
    money = close.unknown("wechat", 9_000)
    close.pay(money)
    fact = asyncio.run(gateway.query(money.out_trade_no))
    applying.call(close.shop.ctx, fact, FoundBy.CALLBACK)
    close.give_back(sold, "BY-HAND-1", 1_000)
    of_order = {"refund_no": number_of(close, "BY-HAND-1"), "out_refund_no": "BY-HAND-1", "amount_fen": 1_000}
    of_money = {"refund_no": "50" + "2" * 26, "out_refund_no": "BY-HAND-2", "amount_fen": 9_000}
    close.shop.ctx.batch.call(told_of(close, of_order, sold))
    for kind, number in (("unknown_refund", of_order["refund_no"]), ("unknown_payment", of_money["refund_no"])):
        [one] = exceptions_of(close, kind)
        path, said = f"/api/exceptions/{one['id']}", {"action": "record", "note": "后台退款", "provider_no": number}
        seen = close.site.post(f"{path}/propose", by="zhou", json=said | {"version": one["version"]}).json()
        body = {"approved": True, "note": "", "version": seen["version"]}
        assert close.site.post(f"{path}/approve", by="wang", json=body).status_code == 200
    its = {"out_trade_no": fact.out_trade_no, "provider_no": fact.provider_no}
    bill = [line(close, sold), line(close, sold, fee_fen=0, amount_fen=9_000, **its)]
    bill += [given_back(close, sold, of_order), given_back(close, sold, of_money, **its)]
    with close.tomorrow():
        close.drop(*trades(close, *bill))
        day = close.seen("wechat")
        assert (close.differences("wechat"), day["matched"]) == ([], 4)
        assert (day["ours"], day["net_fen"]) == (day["theirs"], balances(close.site)["psp", "wechat"])


async def silent(*_its, **_named):
    """A channel that answers no question."""
    raise ChannelUnknown(channel="wechat", detail="timeout")


def refunded(close, sold, amount_fen):
    """A refund of ours that the channel has paid; how it stands in the books."""
    number = refunding.read(close.site, close.refund(sold, amount_fen))["out_refund_no"]
    with close.shop.ctx.db.read() as tx:
        return tx.scalars(select(Refund).where(Refund.out_refund_no == number)).one()


def failing(name, content):
    """A bill whose refund, still on its way, has failed."""
    assert content.count(b"PROCESSING") == 1
    return name, content.replace(b"PROCESSING", b"FAIL")


def test_a_refund_that_failed_after_all_is_recorded_as_what_was_paid_in_its_place(close, monkeypatch):
    """The bill says so, and the channel when it is asked; another refund in its console brings the money back."""
    sold = close.sold("wechat")
    first = refunded(close, sold, 1_000)
    told = {"out_refund_no": first.out_refund_no, "refund_no": first.provider_refund_no, "amount_fen": 1_000}
    other = {"out_refund_no": "BY-HAND-1", "refund_no": "50" + "8" * 26, "amount_fen": 1_000}
    bill = failing(*trades(close, line(close, sold), given_back(close, sold, told, ends_at_ms=None)))
    before = balances(close.site)
    with close.tomorrow():
        close.drop(*bill)
        [row] = close.differences("wechat")
        assert (row["kind"], row["actions"]) == ("refund_state", ["carry", "ignore"])
        stuck = exception(close, row)
        assert (stuck["kind"], stuck["actions"]) == ("refund_stuck", ["record", "dismiss"])
        lines = (line(close, sold), given_back(close, sold, told, ends_at_ms=None), given_back(close, sold, other))
        close.drop(*failing(*trades(close, *lines)))
        [stray] = close.differences("wechat", kind="refund_only_theirs")
        close.give_back(sold, "BY-HAND-1", 1_000)
        assert (stray["out_refund_no"], close.handle(stray, "book")["state"]) == ("BY-HAND-1", "proposed")
        assert close.check(stray, status=409)["code"] == "paid_in_its_place", "it would be booked twice"
        close.check(stray, approve=False)
        path = f"/api/exceptions/{stuck['id']}"
        said = {"action": "record", "note": "后台另退", "version": stuck["version"]}
        own = close.site.post(f"{path}/propose", by="zhou", json=said | {"provider_no": told["refund_no"]})
        assert (own.status_code, own.json()["code"]) == (422, "bad_field"), "that is the one that failed"
        act(close, row, "propose", by="zhou", action="record", note="后台另退", provider_no=other["refund_no"])
        seen = exception(close, row)
        yes = {"approved": True, "note": "", "version": seen["version"]}
        refused = close.site.post(f"{path}/approve", by="wang", json=yes).json()
        assert (refused["code"], refused["params"]["answer"]) == ("channel_answered", "succeeded"), "it did arrive"
        gateway = close.shop.ctx.gateways["wechat"]
        query = gateway.query_refund

        async def failed(*its, **named):
            return replace(await query(*its, **named), state="closed")

        monkeypatch.setattr(gateway, "query_refund", failed)
        act(close, row, "approve", by="wang", approved=True, note="")
        close.follow()
        assert [close.one(row)[name] for name in ("state", "action", "handled_by", "checked_by")] == [
            *("resolved", "book", "周洁", "王敏")
        ]
        assert balances(close.site) == before, "the books had it already"
        monkeypatch.undo()
        close.post(close.at("wechat", "/run"))
        assert [close.one(one)["state"] for one in (row, stray)] == ["resolved", "matched"]
        day = close.seen("wechat")
        assert (day["net_fen"], day["ours"]["refunds_fen"]) == (balances(close.site)["psp", "wechat"], 1_000)
        close.drop(*trades(close, line(close, sold), given_back(close, sold, told)))
        [further] = close.differences("wechat", kind="refund_only_theirs", open="true")
        assert (further["out_refund_no"], further["actions"]) == (first.out_refund_no, ["carry", "ignore"])
        assert len(exceptions_of(close, "refund_stuck")) == 1, "what was paid in its place is in no bill"


def closed_refund(close, sold):
    """A refund of ours as a bill names it that has paid it after all: its channel had said that it closed it."""
    order, gateway = close.order(sold), close.shop.ctx.gateways[sold.channel]
    refund = gateway.refund

    async def unanswered(asked):
        await refund(asked)
        raise ChannelUnknown(channel=sold.channel, detail="timeout")

    body = {"reason": "客服补偿", "version": order.version, "amount_fen": 1_000}
    headers = {"idempotency-key": "refund-that-was-closed"}
    made = close.site.post(f"/api/orders/{order.code}/refunds", by="li", json=body, headers=headers).json()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway, "refund", unanswered)
        patch.setattr(gateway, "query_refund", silent)
        close.shop.work()
    number = refunding.read(close.site, made["id"])["out_refund_no"]
    fact = asyncio.run(gateway.query_refund(number, out_trade_no=sold.out_trade_no))
    close.shop.ctx.batch.call(RefundHeard(sold.channel, gateway.merchant_id, replace(fact, state="closed")))
    assert refunding.read(close.site, made["id"])["state"] == "closed"
    return {"out_refund_no": number, "refund_no": fact.refund_no, "amount_fen": 1_000}


def test_a_refund_that_was_paid_after_all_is_booked_by_two(close):
    """The channel had closed it, and its shares were given back; then its bill has it, and so has its answer."""
    sold = close.sold("wechat")
    sure = balances(close.site)
    told = closed_refund(close, sold)
    assert balances(close.site) == sure
    with close.tomorrow():
        close.drop(*trades(close, line(close, sold), given_back(close, sold, told)))
        [row] = close.differences("wechat")
        assert (row["kind"], row["actions"]) == ("refund_state", ["book", "carry", "ignore"])
        assert (close.handle(row, "book")["state"], balances(close.site)) == ("proposed", sure)
        assert close.check(row, by="zhou", status=409)["code"] in {"handled_by_you", "proposed_by_you"}
        assert close.check(row)["state"] == "resolved"
        now = balances(close.site)
        gone = {one: now[one] - sure[one] for one in now if now[one] != sure.get(one, 0)}
        assert gone == {("psp", "wechat"): -1_000, ("supplier_pending", "xinghe"): -950, ("fee", ""): -50}
        close.post(close.at("wechat", "/run"))
        assert [one["state"] for one in close.differences("wechat")] == ["resolved"]


def test_a_recorded_refund_that_no_bill_names_is_before_people_again(close, monkeypatch):
    """By a forged bill while the channel was silent; and by a number that somebody misread, which is put right."""
    sold, other = close.sold("wechat"), close.sold("wechat", buyer=BEN)
    close.give_back(other, "BY-HAND-2", 1_000)
    forged = {"refund_no": "50" + "3" * 26, "out_refund_no": "BY-HAND-1", "amount_fen": 4_500}
    misread = {"refund_no": "50" + "9" * 26, "out_refund_no": "BY-HAND-2", "amount_fen": 1_000}

    close.shop.ctx.batch.call(told_of(close, misread, other))
    [told] = exceptions_of(close, "unknown_refund")
    with close.tomorrow():
        monkeypatch.setattr(close.shop.ctx.gateways["wechat"], "query_refund", silent)
        decide(close, told, misread["refund_no"])
        close.drop(*trades(close, line(close, sold), line(close, other), given_back(close, sold, forged)))
        [row] = close.differences("wechat", kind="refund_only_theirs")
        close.handle(row, "book")
        assert close.check(row)["state"] == "resolved", "where the channel is silent, two people's word counts"
        monkeypatch.undo()
        books = balances(close.site)

        close.post(close.at("wechat", "/fetch"))
        close.shop.work()
        [row] = close.differences("wechat", kind="refund_only_theirs", open="true")
        alarms = {one["expected_fen"]: one for one in exceptions_of(close, "refund_stuck")}
        alarm = alarms[1_000]
        assert (row["out_refund_no"], sorted(alarms), alarm["actions"]) == (
            *("BY-HAND-2", [1_000, 4_500]),
            ["record", "dismiss"],
        )
        close.handle(row, "book")
        assert close.check(row, status=409)["code"] == "paid_in_its_place", "it would be booked twice"
        close.check(row, approve=False)
        decide(close, alarm, number_of(close, "BY-HAND-2"))
        assert (unbilled(close), balances(close.site)) == ([4_500], books)
        close.post(close.at("wechat", "/run"))
        assert close.differences("wechat", open="true") == []
    with close.tomorrow(days=3):
        close.drop(*foreign(close, sold))
        [alarm] = exceptions_of(close, "refund_stuck")
        said = {fact["name"]: fact["value"] for fact in alarm["evidence"]}["said"]
        assert (alarm["order_code"], alarm["expected_fen"], said) == (sold.order_code, 4_500, "unbilled")


def number_of(close, number):
    """The channel's own number of a refund."""
    fact = asyncio.run(close.shop.ctx.gateways["wechat"].query_refund(number))
    return fact.refund_no


def foreign(close, bought):
    """The bill of the day before, of another's money alone."""
    at = clock.now() - timedelta(days=1)
    of_other = line(close, bought, at_ms=ms(at), provider_no="42" + "5" * 26, out_trade_no="OF-OTHERS-1")
    is_wechat = bought.channel == "wechat"
    return trades(close, of_other) if is_wechat else alipay(close, of_other, day=clock.shop_day(at))


def unbilled(close):
    """What each refund gave back, by the books, that people recorded and no bill names."""
    said = {"name": "said", "value": "unbilled"}
    return sorted(one["expected_fen"] for one in exceptions_of(close, "refund_stuck") if said in one["evidence"])


def test_what_a_forged_bill_had_booked_is_before_people_again_though_its_day_was_signed(close, monkeypatch):
    """Money set aside, and a refund that its channel had closed: both were said to have gone back."""
    sold, gateway = close.sold("wechat"), close.shop.ctx.gateways["wechat"]
    money = close.unknown("wechat", 9_000)
    close.pay(money)
    fact = asyncio.run(gateway.query(money.out_trade_no))
    applying.call(close.shop.ctx, fact, FoundBy.CALLBACK)
    closed = closed_refund(close, sold)
    its = {"out_trade_no": fact.out_trade_no, "provider_no": fact.provider_no}
    of_money = {"refund_no": "50" + "4" * 26, "out_refund_no": "BY-HAND-1", "amount_fen": 9_000}
    own = [line(close, sold), line(close, sold, fee_fen=0, amount_fen=9_000, **its)]
    forged = [*own, given_back(close, sold, closed), given_back(close, sold, of_money, **its)]
    with close.tomorrow():
        close.drop(*trades(close, *forged))
        close.drop(*funds(close, *forged))
        for asked in ("query", "query_refund"):
            monkeypatch.setattr(gateway, asked, silent)
        for row in [one for one in close.differences("wechat", open="true") if "book" in one["actions"]]:
            close.handle(row, "book")
            assert close.check(row)["state"] == "resolved"
        monkeypatch.undo()
        close.post(close.at("wechat", "/run"))
        books = balances(close.site)
        assert (books["suspense", ""], books["psp", "wechat"]) == (0, 3_473)
        assert close.sign("wechat", by="wang")["state"] == "signed"
        close.drop(*trades(close, *own))
        close.drop(*funds(close, *own))
        assert unbilled(close) == []
    with close.tomorrow(days=12):  # what was recorded is not looked for any more: its own bill is another one
        close.site.tokens.clear()
        close.drop(*foreign(close, sold))
        assert (unbilled(close), balances(close.site)) == ([1_000, 9_000], books)


def test_each_recorded_refund_has_a_row_of_its_own_where_the_channel_numbers_none(close, monkeypatch):
    """Of one amount: one that was asked for, one that was closed and is there after all, and two of the console, of
    which the bill has one."""
    sold, gateway = close.sold("alipay"), close.shop.ctx.gateways["alipay"]
    asked = {"out_refund_no": refunded(close, sold, 1_000).out_refund_no, "amount_fen": 1_000}
    there, not_there = ({"out_refund_no": f"BY-HAND-{n}", "amount_fen": 1_000} for n in (1, 2))
    closed = closed_refund(close, sold)
    own = [line(close, sold), *(given_back(close, sold, one) for one in (asked, closed, there))]
    with close.tomorrow():
        close.drop(*alipay(close, *own, given_back(close, sold, not_there)))
        monkeypatch.setattr(gateway, "query_refund", silent)
        rows = close.differences("alipay", open="true")
        for row in rows:
            close.handle(row, "book")
            assert close.check(row)["state"] == "resolved"
        monkeypatch.undo()
        assert (len(rows), close.differences("alipay", open="true")) == (3, [])
        close.post(close.at("alipay", "/run"))
        assert close.differences("alipay", open="true") == []
        close.drop(*alipay(close, *own))
    with close.tomorrow(days=3):
        close.drop(*foreign(close, sold))
        assert unbilled(close) == [1_000]


def test_a_refund_without_a_number_is_booked_by_the_channels_word_alone(close, monkeypatch):
    """A forger leaves it blank, so that nobody can be asked. Alipay has what was given none under the payment's."""
    paid, other = close.sold("wechat"), close.sold("alipay")
    forged, true = {"out_refund_no": "", "amount_fen": 1_000}, {"out_refund_no": "", "amount_fen": 700}
    close.give_back(other, other.out_trade_no, 700)
    before = balances(close.site)
    with close.tomorrow():
        close.drop(*trades(close, line(close, paid), given_back(close, paid, forged | {"refund_no": "50" + "6" * 26})))
        close.drop(*alipay(close, line(close, other), given_back(close, other, true)))
        rows = {one["channel"]: one for channel in ("wechat", "alipay") for one in close.differences(channel)}
        assert {channel: row["kind"] for channel, row in rows.items()} == dict.fromkeys(rows, "refund_only_theirs")
        for row in rows.values():
            assert close.handle(row, "book")["state"] == "proposed"
        refused = close.check(rows["wechat"], status=409)
        assert (refused["code"], refused["params"]["answer"]) == ("refund_not_named", "NOT_FOUND")
        for channel, row in rows.items():
            with monkeypatch.context() as away:
                away.setattr(close.shop.ctx.gateways[channel], "query_refund", silent)
                refused = close.check(row, status=409)
            assert (refused["code"], refused["params"]["answer"]) == ("refund_not_named", "NO_ANSWER")
        assert balances(close.site) == before
        close.shop.ctx.breakers.note("alipay", answered=True)
        assert close.check(rows["alipay"])["state"] == "resolved"
        after = balances(close.site)
        assert (after["psp", "alipay"] - before["psp", "alipay"], after["psp", "wechat"]) == (
            -700,
            before["psp", "wechat"],
        )


def test_a_refund_that_a_later_bill_has_is_not_missing_whatever_it_says_of_it(close):
    """It gave more of the fee back than there was: that is another matter, and no refund to be written off."""
    sold = close.sold("wechat")
    refund = refunded(close, sold, 1_000)
    told = {"out_refund_no": refund.out_refund_no, "refund_no": refund.provider_refund_no, "amount_fen": 1_000}
    next_day = close.day + timedelta(days=1)
    at = ms(clock.day_bounds(next_day)[0] + timedelta(seconds=1))
    with close.tomorrow(days=2):
        close.drop(*trades(close, line(close, sold)))
        [missing] = close.differences("wechat")
        assert (missing["kind"], close.handle(missing, "carry")["state"]) == ("refund_only_ours", "resolved")
        close.drop(*trades(close, given_back(close, sold, told, at_ms=at, ends_at_ms=at, fee_fen=4_000)))
        rows = {one["kind"]: one["state"] for one in close.differences("wechat", next_day)}
        assert rows == {"refund_only_ours": "matched", "fee": "open"}
