"""The channels' daily bills: read once, told of while they are not, and believed as far as the channel confirms."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from server.changes import ChangeInbox
from server.gateways.port import ChannelRefused, DamagedBill, PaymentFact
from server.ledger import queries as ledger
from server.orders import actions as orders
from server.payments import bill_days, bills, checkout
from server.payments.actions import ApplyPayment
from server.payments.model import PaymentAttempt, PaymentException, UnmatchedPayment
from server.payments.refunds.model import Refund
from shared import clock, ids
from shared.states import AttemptState, ExceptionKind, ExceptionState, FoundBy
from tests.server.till import Till, bill_of, site_with
from tests.world import ANNA, BEN, CARA, MERCHANT

STEAM = 4_500


@pytest.fixture
def site(tmp_path):
    till = Till("wechat")
    with site_with(tmp_path, till, Till("alipay")) as built:
        built.till, built.other_till = till, built.world.ctx.gateways["alipay"]
        built.world.stock("STEAM-50", 5)
        yield built


def placed(site, buyer=ANNA):
    """The attempt of an order that waits for its money."""
    command = orders.PlaceOrder(buyer, ids.new_token(), "STEAM-50", 1, STEAM, "wechat")
    code = asyncio.run(checkout.place(site.world.ctx, command)).code
    with site.world.ctx.db.read() as tx:
        return tx.scalars(select(PaymentAttempt).where(PaymentAttempt.order_code == code)).one()


def unheard(site, buyer=ANNA):
    """One that was paid, and nobody told us."""
    attempt = placed(site, buyer)
    site.till.pay(attempt.out_trade_no)
    return attempt


def again(site, attempt):
    """The attempt as it stands now."""
    with site.world.ctx.db.read() as tx:
        return tx.get(PaymentAttempt, attempt.id)


def at(day, hours):
    """So many hours into the day after this one."""
    return clock.fixed(clock.day_bounds(day + timedelta(days=1))[0] + timedelta(hours=hours))


def look(site):
    return bills.read_due(site.world.ctx)


def told(site, code="wechat"):
    """What staff see of a channel's bills: read until, days missing, since, what is wrong."""
    [shown] = [one["bills"] for one in site.get("/api/channels", by="zhou").json() if one["code"] == code]
    return shown and (shown["read_until"], shown["missing"], shown["since"], shown["trouble"])


def listed(site, **query):
    return site.get("/api/exceptions", by="zhou", params=query).json()["items"]


def booked(site):
    with site.world.ctx.db.read() as tx:
        return {one.account.kind: one.net for one in ledger.balances(tx) if one.net}


def test_a_days_bill_is_read_once_after_ten_and_asked_for_until_it_is_there(site):
    shop, attempt = site.world, unheard(site)
    day = clock.shop_day(clock.now())
    ten = clock.day_bounds(day + timedelta(days=1))[0] + timedelta(hours=10)
    bill = bill_of(site.till, attempt.out_trade_no, day=day)
    with clock.fixed(ten - timedelta(seconds=1)):
        site.till.bills["trades", day] = bill
        assert bills.read_due(shop.ctx) == 0
    site.till.bills.clear()
    with clock.fixed(ten):
        assert bills.read_due(shop.ctx) == 0, "not made yet: neither read nor balanced"
        site.till.bills["trades", day] = bill
        assert bills.read_due(shop.ctx) == 1
        site.till.bills.clear()
        assert bills.read_due(shop.ctx) == 0
    assert again(site, attempt).found_by == FoundBy.BILL


def test_a_day_without_trade_does_not_keep_later_bills_from_being_read(site):
    shop, attempt = site.world, unheard(site)
    first = clock.shop_day(clock.now())
    days = [first + timedelta(days=n) for n in range(4)]

    def on(day):
        with clock.fixed(clock.day_bounds(day + timedelta(days=1))[0] + timedelta(hours=11)):
            return bills.read_due(shop.ctx)

    site.till.bills["trades", days[0]] = bill_of(site.till, day=days[0])
    assert on(days[0]) == 0
    assert on(days[1]) == 0, "not there: no trade, or late"
    site.till.bills["trades", days[2]] = bill_of(site.till, attempt.out_trade_no, day=days[2])
    assert on(days[2]) == 1
    assert again(site, attempt).found_by == FoundBy.BILL
    assert on(days[3]) == 0
    site.till.bills["trades", days[3]] = bill_of(site.till, day=days[3])
    assert on(days[3]) == 0
    assert told(site) == (days[3].isoformat(), 0, None, None)


def test_a_first_bill_that_nobody_could_fetch_on_its_day_is_read_with_the_next(site):
    shop, attempt = site.world, unheard(site)
    day = clock.shop_day(clock.now())
    site.till.bills["trades", day] = bill_of(site.till, attempt.out_trade_no, day=day)
    site.till.silent = True
    with clock.fixed(clock.day_bounds(day + timedelta(days=1))[0] + timedelta(hours=11)):
        assert bills.read_due(shop.ctx) == 0
    site.till.silent = False
    with clock.fixed(clock.day_bounds(day + timedelta(days=2))[0] + timedelta(hours=11)):
        assert bills.read_due(shop.ctx) == 1
    assert again(site, attempt).found_by == FoundBy.BILL


def test_a_bill_that_cannot_be_read_is_told_at_once_and_decided_in_the_evening(site):
    shop, attempt = site.world, unheard(site)
    day = clock.shop_day(clock.now())
    none = shop.ctx.gateways["none"] = Till("none")
    none.makes_bills = False
    site.other_till.bills["trades", day] = RuntimeError("a fault of ours")
    site.till.bills["trades", day] = DamagedBill(channel="wechat", detail="bill has another hash")
    with at(day, 11):
        assert look(site) == 0
        with shop.ctx.db.tx() as tx:
            assert "channel" in set(tx.scalars(select(ChangeInbox.entity)))
        assert told(site) == (None, 1, day.isoformat(), "damaged")
        assert none.billed == []
        assert told(site, "alipay") == (None, 1, day.isoformat(), "unreadable"), "it keeps no other from being read"
        assert 'kameng_bill_days_missing{channel="wechat"} 1.0' in shop.ctx.metrics.render().decode()
    assert listed(site) == []
    del site.other_till.bills["trades", day]
    for hours in (18, 18.5):
        with at(day, hours):
            look(site)
    [one] = listed(site)
    assert (one["kind"], one["channel"], one["actions"]) == ("bill_missing", "wechat", ["dismiss"])
    with at(day, 19):
        figures = shop.ctx.metrics.render().decode()
    assert 'kameng_exceptions_open{kind="bill_missing"} 1.0' in figures
    assert "kameng_exceptions_oldest_seconds 3600.0" in figures
    assert {fact["name"]: fact["value"] for fact in one["evidence"]} == {
        "bill_day": day.isoformat(),
        "bill_trouble": "damaged",
        "channel_answer": "bill has another hash",
    }
    site.till.bills["trades", day] = bill_of(site.till, attempt.out_trade_no, day=day)
    with at(day, 19):
        assert look(site) == 1
    assert (told(site), listed(site)) == ((day.isoformat(), 0, None, None), [])
    assert listed(site, open="false")[0]["closed_by"] == "system"
    assert again(site, attempt).found_by == FoundBy.BILL
    assert 'kameng_bill_days_missing{channel="wechat"} 0.0' in shop.ctx.metrics.render().decode()


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (ChannelRefused(channel="wechat", reason_code="NO_AUTH"), "refused"),
        ("unreadable", "unreadable"),
        (RuntimeError("a fault of ours"), "unreadable"),
        (None, "not_there"),
    ],
)
def test_one_bad_day_keeps_no_other_from_being_read_and_is_asked_for_until_a_person_decides(site, said, trouble):
    """`None`: the channel says that it has none, and we know of money that came on that day."""
    known, attempt = unheard(site, BEN), unheard(site)
    asyncio.run(checkout.refresh(site.world.ctx, known.order_code))
    day = clock.shop_day(clock.now())
    next_day = day + timedelta(days=1)
    readable = bill_of(site.till, known.out_trade_no, day=day)
    without = replace(readable, content=b"\xef\xbb\xbfnothing of ours\r\n")
    site.till.bills["trades", day] = without if said == "unreadable" else said
    site.till.bills["trades", next_day] = bill_of(site.till, attempt.out_trade_no, day=next_day)
    with at(next_day, 11):
        assert look(site) == 1
        assert told(site) == (None, 1, day.isoformat(), trouble)
        [one] = listed(site)
        body = {"action": "dismiss", "note": "已在商户平台核对", "version": one["version"]}
        assert site.post(f"/api/exceptions/{one['id']}/propose", by="zhou", json=body).json()["state"] == "closed"
        assert told(site) == (next_day.isoformat(), 0, None, None)
        asked = list(site.till.billed)
        assert look(site) == 0
    assert (asked, site.till.billed) == ([day, next_day], asked), "nobody asks for either again"


def test_a_day_that_a_person_decided_on_is_not_read_when_those_after_it_are(site):
    asyncio.run(checkout.refresh(site.world.ctx, unheard(site).order_code))
    day = clock.shop_day(clock.now())
    with at(day + timedelta(days=1), 11):
        assert look(site) == 0
        assert told(site)[1:] == (1, day.isoformat(), "not_there")
        [one] = listed(site)
        body = {"action": "dismiss", "note": "已在商户平台核对", "version": one["version"]}
        assert site.post(f"/api/exceptions/{one['id']}/propose", by="zhou", json=body).json()["state"] == "closed"
    assert site.till.billed == [day, day + timedelta(days=1)]
    with at(day + timedelta(days=1 + bill_days.DAYS_BACK), 11):
        look(site)
    assert len(site.till.billed) == 2 + bill_days.DAYS_BACK


def fact(number, provider_no, fen=STEAM, merchant_id=MERCHANT):
    return PaymentFact("wechat", number, provider_no, merchant_id, fen, "CNY", "paid", clock.now(), None)


@pytest.mark.parametrize(("shared", "others"), [("alipay wechat", (2, 4_200)), ("alipay", (0, 0))])
def test_rows_that_have_no_number_of_this_shop_book_nothing(tmp_path, shared, others):
    """They are counted as another business's where the shop says that there is one; reconciliation lists them else."""
    with site_with(tmp_path, Till("wechat"), shared_merchants=shared) as site:
        site.till = site.world.ctx.gateways["wechat"]
        _strange_rows_book_nothing(site, others)


def _strange_rows_book_nothing(site, counted):
    day = clock.shop_day(clock.now())
    others = [
        fact("2026112300001", "W-pos-1", 1_200),
        fact("ORDER-" + "9" * 26, "W-pos-2", 3_000),
    ]
    site.till.bills["trades", day] = bill_of(site.till, day=day, more=others)
    with at(day, 11):
        assert look(site) == 0
    [shown] = [one["bills"] for one in site.get("/api/channels", by="zhou").json() if one["code"] == "wechat"]
    assert (shown["others"], shown["others_fen"], shown["read_until"]) == (*counted, day.isoformat())
    assert (listed(site), booked(site), site.till.asked) == ([], {}, [])


def test_money_that_was_set_aside_before_is_no_news_to_its_bill(site):
    """Paid twice under one number: the channel answers one of them when it is asked, and its bill names both."""
    shop, attempt = site.world, unheard(site)
    first = site.till.payments[attempt.out_trade_no]
    asyncio.run(checkout.refresh(shop.ctx, attempt.order_code))
    second = fact(attempt.out_trade_no, "W-again")
    shop.ctx.batch.call(ApplyPayment.of(site.till, second, FoundBy.CALLBACK))
    site.till.payments[attempt.out_trade_no] = replace(first, state="refunded")
    before, open_ones = booked(site), {one["kind"] for one in listed(site)}
    tally = bills.read(shop.ctx, bill_of(site.till, more=[first, second]))
    assert (tally.payments, tally.news, tally.unsure) == (2, 0, 0)
    assert ({one["kind"] for one in listed(site)}, open_ones) == ({"paid_twice"}, {"paid_twice"})
    fees = 2 * 27  # nobody had expected any
    assert booked(site) == before | {"psp": before["psp"] - fees, "psp_fee": fees}


def doubts(site, attempt):
    with site.world.ctx.db.read() as tx:
        query = select(PaymentException.kind, PaymentException.state).where(PaymentException.attempt_id == attempt.id)
        return list(tx.execute(query))


def test_a_bill_is_believed_as_far_as_its_channel_confirms_it(site, monkeypatch):
    shop = site.world
    unpaid, paid, true = placed(site), unheard(site, BEN), unheard(site, CARA)
    asyncio.run(checkout.refresh(shop.ctx, paid.order_code))
    orphan, stranger = fact(ids.new_id().hex, "W-orphan"), fact(ids.new_id().hex, "W-nobody")
    site.till.payments[orphan.out_trade_no] = orphan
    forged = [fact(unpaid.out_trade_no, "W-forged-1"), fact(paid.out_trade_no, "W-forged-2"), stranger]
    bill = bill_of(site.till, paid.out_trade_no, true.out_trade_no, more=[*forged, orphan])
    before = booked(site)
    whole = shop.ctx.batch.call

    def breaks(command):
        if command.fact.out_trade_no == true.out_trade_no:
            raise RuntimeError("a fault of ours")
        return whole(command)

    monkeypatch.setattr(shop.ctx.batch, "call", breaks)
    tally = bills.read(shop.ctx, bill)
    assert (tally.payments, tally.news, tally.unsure, tally.others) == (6, 4, 1, 0), "one fault keeps no other from it"
    assert doubts(site, true) == [(ExceptionKind.PAYMENT_UNKNOWN, ExceptionState.OPEN)], "people see it meanwhile"
    monkeypatch.undo()
    tally = bills.read(shop.ctx, bill)
    assert (tally.unsure, again(site, true).state) == (0, AttemptState.PAID)
    assert doubts(site, true) == [(ExceptionKind.PAYMENT_UNKNOWN, ExceptionState.CLOSED)]
    assert again(site, unpaid).state == AttemptState.PENDING
    shop.work()
    with shop.ctx.db.read() as tx:
        assert tx.scalars(select(UnmatchedPayment.provider_no)).all() == ["W-orphan"]
        assert tx.scalars(select(Refund.id)).all() == [], "the money of the first is not given back for a forged second"
    answers = {
        (one["kind"], one["provider_no"], value["value"])
        for one in listed(site)
        for value in one["evidence"]
        if value["name"] == "channel_answer"
    }
    assert answers == {
        ("payment_unknown", "W-forged-1", "pending"),
        ("payment_unknown", "W-forged-2", f"paid {again(site, paid).provider_no}"),
        ("unknown_payment", "W-nobody", "NOT_FOUND"),
    }
    actions = {one["provider_no"]: one["actions"] for one in listed(site)}
    assert (actions["W-forged-2"], actions["W-nobody"]) == (["dismiss"], ["dismiss"])
    assert booked(site)["suspense"] == before.get("suspense", 0) + STEAM
