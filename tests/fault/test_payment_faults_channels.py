"""Faults of channels (payments.md 7): silent, refusing, unsigned, away; and bills that cannot be had or read.

What nobody answered is unknown and is asked about under the same number; a channel that is away costs buyers no waits.
"""

import gzip
import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from server.catalog.model import Sku
from server.gateways.bill_lines import UnreadableBill
from server.payments import bills
from server.payments.model import PaymentAttempt
from shared import clock
from tests.fault.market import DELIVERED, PRICE, SKU, UNPAID
from tests.server.gateways.bill_files import repacked, unzipped
from tests.server.sandbox.wechat_shop import MCHID
from tests.world import ANNA, BEN

ACKNOWLEDGED = ("acknowledged", 1)


def open_again(shop, bought):
    """The buyer presses "I have paid", and waits for nothing."""
    shop.ctx.buckets.forget("payment_query", bought.number)
    assert shop.post(f"/o/{bought.order.code}/refresh", buyer=ANNA).status_code == 303


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_fault_24_an_order_without_an_answer_is_unknown_and_asked_for_again_as_it_was(shop, channel):
    shop.stocked()
    shop.fault("hang", call="create", channel=channel, times=1)
    with shop.impatient():
        bought = shop.place(channel)
    assert shop.standing(bought) == ("pending_payment", "unknown")
    assert bought.attempt.qr_text is None
    assert len(shop.paid_there(bought.number)) == 1  # it had done the work
    open_again(shop, bought)
    assert shop.standing(bought) == UNPAID
    assert shop.world.attempt(bought).qr_text
    assert shop.paid_there(bought.number) == [("pending", None, 0)]
    assert len(shop.rows(PaymentAttempt, PaymentAttempt.order_id == bought.order.id)) == 1
    shop.press(bought.number)
    assert shop.told(bought.number) == [ACKNOWLEDGED]
    assert shop.standing(bought) == DELIVERED


def test_fault_25_another_price_is_another_order_under_another_number(shop):
    first = shop.opened()
    with priced(shop, PRICE + 100):
        stale = shop.order(BEN, SKU, PRICE, channel="wechat")
        assert (stale.status_code, stale.json()["code"]) == (409, "price_changed")
        open_again(shop, first)
        assert shop.paid_there(first.number) == [("pending", None, 0)]
        second = shop.opened(amount=PRICE + 100)
    assert second.number != first.number
    assert shop.post(f"/o/{first.order.code}/cancel", buyer=ANNA).status_code == 303
    assert shop.standing(first) == ("cancelled", "closed")
    shop.press(second.number)
    assert shop.told(second.number) == [ACKNOWLEDGED]
    assert shop.standing(second) == DELIVERED
    assert shop.paid_there(first.number) == [("closed", None, 0)]
    assert shop.paid_there(second.number) == [("paid", PRICE + 100, 0)]


@contextmanager
def priced(shop, amount):
    """The SKU costs so much for the body."""
    sku_id = shop.world.skus[SKU].sku_id

    def cost(fen):
        with shop.ctx.db.tx() as tx:
            tx.execute(update(Sku).where(Sku.id == sku_id).values(unit_price=fen * 100))

    cost(amount)
    try:
        yield
    finally:
        cost(PRICE)


@pytest.mark.parametrize(("fault", "value"), [("fail", 503), ("fail", 429), ("away", 1)])
def test_fault_36_a_channel_that_is_away_is_left_alone_and_another_one_offered(shop, fault, value):
    shop.stocked(4)
    shop.fault(fault, value, channel="wechat")
    tried = [shop.place() for _ in range(3)]
    assert [shop.standing(one) for one in tried] == [("pending_payment", "unknown")] * 3
    away = {one["code"]: one["away_since"] is not None for one in shop.get("/api/channels", by="zhou").json()}
    assert [code for code, is_away in away.items() if is_away] == ["wechat"]
    spared = shop.place()  # not asked any more: its buyer waits for nothing
    assert shop.standing(spared) == ("pending_payment", "unknown")
    assert shop.paid_there(spared.number) == []
    other = shop.bought("alipay")
    assert shop.standing(other) == DELIVERED
    shop.testing.delete("/api/faults")
    with shop.later(seconds=31):
        shop.sweep()
    channel = next(one for one in shop.get("/api/channels", by="zhou").json() if one["code"] == "wechat")
    assert channel["away_since"] is None
    open_again(shop, spared)
    shop.press(spared.number)
    assert shop.told(spared.number) == [ACKNOWLEDGED]
    assert shop.standing(spared) == DELIVERED


@pytest.mark.parametrize("channel", ["wechat", "alipay", "sandbox"])
@pytest.mark.parametrize("fault", ["answer_unsigned", "answer_signature"])
def test_fault_37_an_answer_that_is_not_signed_is_no_answer(shop, channel, fault):
    shop.stocked()
    lie = shop.fault(fault, channel=channel)
    bought = shop.place(channel)
    assert shop.standing(bought) == ("pending_payment", "unknown")
    shop.fault("drop", out_trade_no=bought.number)
    shop.press(bought.number)
    open_again(shop, bought)
    assert shop.standing(bought) == ("pending_payment", "unknown")
    shop.end(lie)
    with shop.later(seconds=31):
        shop.sweep()
    assert shop.standing(bought) == DELIVERED
    assert shop.found_by(bought) == "sweep"


# --- bills: what finance does about their differences belongs to reconciliation ---


def read(shop, channel, days=0):
    """Read the bill of today, or of a later day; answers how much of it was news."""
    return bills.read(shop.ctx, shop.bill(channel, days)).news


def unheard(shop, channel):
    """An order that was paid, and nobody told us."""
    bought = shop.opened(channel)
    shop.fault("drop", out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.standing(bought) == UNPAID
    return bought


def plant(shop, channel, kind, number, **more):
    """Let the bill differ from what happened."""
    merchant = shop.ctx.gateways[channel].merchant_id
    wanted = {"channel": channel, "merchant_id": merchant, "kind": kind, "number": number} | more
    planted = shop.testing.post("/api/bill-differences", json=wanted)
    assert planted.status_code == 201, planted.text


def bills_of(shop, channel):
    """How the bills of a channel stand: read until, and what is wrong with the next."""
    [one] = [one["bills"] for one in shop.get("/api/channels", by="zhou").json() if one["code"] == channel]
    return one and (one["read_until"], one["trouble"])


def alarms(shop):
    return [state for kind, state, _ in shop.exceptions_named("-") if kind == "bill_missing"]


def test_fault_41_and_42_a_bill_that_is_late_or_damaged_is_told_of_and_never_taken_for_balanced(shop):
    bought, today = unheard(shop, "alipay"), clock.shop_day(clock.now())
    _, midnight = clock.day_bounds(today)
    not_answering = shop.fault("fail", 503, call="bill", channel="alipay")
    with clock.fixed(midnight + timedelta(hours=11)):  # Alipay looks at no clock
        assert bills._catch_up(shop.ctx, "alipay") == 0
        assert bills_of(shop, "alipay") == (None, "no_answer")
        shop.end(not_answering)
        assert bills._catch_up(shop.ctx, "alipay") == 0  # not made yet: the same words as for a day without trades
        assert (bills_of(shop, "alipay"), shop.standing(bought)) == ((None, None), UNPAID)
        shop.fault("bill_at_once")
        damaged = shop.fault("bill_damaged", channel="alipay")
        assert bills._catch_up(shop.ctx, "alipay") == 0
        assert (bills_of(shop, "alipay"), alarms(shop)) == ((None, "damaged"), [])
    with clock.fixed(midnight + timedelta(hours=18)):
        assert bills._catch_up(shop.ctx, "alipay") == 0
        assert alarms(shop) == ["open"]
        assert shop.standing(bought) == UNPAID
        shop.end(damaged)
        assert bills._catch_up(shop.ctx, "alipay") >= 1
    assert (shop.standing(bought), shop.found_by(bought)) == (DELIVERED, "bill")
    assert shop.journals(bought) == ["PAY", "SALE"]
    assert bills_of(shop, "alipay") == (today.isoformat(), None)
    assert alarms(shop) == ["closed"]


def test_fault_43_a_bill_with_other_columns_is_read_by_their_names(shop):
    bought = unheard(shop, "wechat")
    shop.fault("bill_at_once")
    merchant = Path(shop.sandbox.ready["wechat_merchants"]) / f"{MCHID}.json"
    usual = merchant.read_text("utf-8")
    merchant.write_text(json.dumps(json.loads(usual) | {"is_old": True}, ensure_ascii=False), "utf-8")
    try:
        bill = shop.bill("wechat")
    finally:
        merchant.write_text(usual, "utf-8")
    header = gzip.decompress(bill.content).decode("utf-8-sig").split("\r\n")[0].split(",")
    assert "总金额" in header
    assert "订单金额" not in header
    assert bills.read(shop.ctx, bill).news >= 1
    assert (shop.standing(bought), shop.found_by(bought)) == (DELIVERED, "bill")

    before = shop.state_of_all()
    with pytest.raises(UnreadableBill, match=r"总金额|订单金额"):
        bills.read(shop.ctx, changed(bill, "总金额", "应收"))
    assert shop.state_of_all() == before


def changed(bill, old, new, *, encoding="utf-8"):
    """The bill with other words in its files."""

    def edit(content):
        return content.replace(old.encode(encoding), new.encode(encoding))

    if bill.channel == "wechat":
        return replace(bill, content=edit(gzip.decompress(bill.content)))
    return replace(bill, content=repacked(bill.content, edit))


def test_fault_44_what_stands_in_the_next_days_bill_is_matched_by_its_number(shop):
    bought, known = unheard(shop, "alipay"), shop.bought("alipay")
    for one in (bought, known):
        plant(shop, "alipay", "other_day", one.number)
    shop.fault("bill_at_once")
    try:
        read(shop, "alipay")  # what other tests left is news once
        before = shop.state_of_all()
        read(shop, "alipay")
        assert (shop.standing(bought), shop.state_of_all()) == (UNPAID, before)
        assert read(shop, "alipay", days=1) == 1
    finally:
        assert shop.testing.delete("/api/bill-differences").status_code == 204
    assert (shop.standing(bought), shop.found_by(bought)) == (DELIVERED, "bill")
    assert shop.exceptions(bought) == shop.exceptions(known) == []
    before = shop.state_of_all()
    read(shop, "alipay")  # the true day names both once more
    assert shop.state_of_all() == before


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_fault_45_the_fee_is_what_the_bill_says_and_one_that_nobody_expected_waits_for_people(shop, channel):
    bought, other = shop.bought(channel), shop.bought(channel)
    assert (shop.world.attempt(bought).fee_fen, shop.world.attempt(bought).fee_is_final) == (27, False)
    plant(shop, channel, "fee", other.number, amount_fen=31)
    shop.fault("bill_at_once")
    try:
        read(shop, channel)
    finally:
        assert shop.testing.delete("/api/bill-differences").status_code == 204
    fees = [(shop.world.attempt(one).fee_fen, shop.world.attempt(one).fee_is_final) for one in (bought, other)]
    assert fees == [(27, True), (27, False)], "reconciliation tells of the other, and books it when people say so"
    assert shop.exceptions(bought) == shop.exceptions(other) == []


@pytest.mark.parametrize("amount", ["4.5e1", "-45.00", "45.001", "45,00", "4５.00", "NaN", ""])
def test_fault_46_what_is_no_amount_is_refused_with_its_whole_bill(shop, amount):
    bought = unheard(shop, "alipay")
    shop.fault("bill_at_once")
    bill = shop.bill("alipay")
    assert any(b"45.00" in content for _, content in unzipped(bill.content))
    before = shop.state_of_all()
    with pytest.raises(UnreadableBill):
        bills.read(shop.ctx, changed(bill, ",45.00,", f",{amount},", encoding="gb18030"))
    assert (shop.state_of_all(), shop.standing(bought)) == (before, UNPAID)
    read(shop, "alipay")
    assert shop.standing(bought) == DELIVERED
