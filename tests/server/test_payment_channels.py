"""Channels switched, channels that are away, and the four ways to learn that money came."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from server import breaker
from server.gateways.port import ChannelUnknown, Unclear
from server.orders import actions as orders
from server.outbound import BUSY
from server.payments import asking, bills, channels, checkout, ending
from server.payments.model import PaymentAttempt, PaymentCallback, PaymentException
from shared import clock, ids
from shared.errors import Busy, IdempotencyReused
from shared.states import AttemptState, CallbackState, ExceptionKind, ExceptionState, FoundBy, OrderState
from tests.server.till import Till, bill_of, site_with
from tests.world import ANNA, BEN, CARA

STEAM = 4_500


@pytest.fixture
def site(tmp_path):
    till = Till("wechat")
    with site_with(tmp_path, till, Till("alipay")) as built:
        built.till = till
        built.world.stock("STEAM-50", 5)
        yield built


def place(site, buyer=ANNA, channel="wechat", key=None):
    command = orders.PlaceOrder(buyer, key or ids.new_token(), "STEAM-50", 1, STEAM, channel)
    return asyncio.run(checkout.place(site.world.ctx, command))


def attempt_of(site, placed):
    with site.world.ctx.db.read() as tx:
        query = select(PaymentAttempt).where(PaymentAttempt.order_code == placed.code)
        return tx.scalars(query.order_by(PaymentAttempt.id.desc())).first()


def order_of(site, placed):
    with site.world.ctx.db.read() as tx:
        return checkout.order_queries.find(tx, placed.code)


def shown(site, code="wechat"):
    listed = site.get("/api/channels", by="zhou").json()
    assert [one["code"] for one in listed] == ["alipay", "wechat"]
    return next(one for one in listed if one["code"] == code)


def switch(site, *, enabled, version, by="li", code="wechat"):
    body = {"enabled": enabled, "reason": "渠道升级维护", "version": version}
    return site.request("PUT", f"/api/channels/{code}", by=by, json=body)


def sweep(site):
    return asking.sweep(site.world.ctx)


def test_a_channel_that_is_off_takes_no_new_payments_and_follows_its_open_ones_to_their_end(site):
    open_one = place(site, key="k-of-anna-0001")
    off = switch(site, enabled=False, version=shown(site)["version"])
    assert (off.status_code, off.json()["enabled"], off.json()["changed_by"]) == (200, False, "李航")
    assert switch(site, enabled=True, version=1).status_code == 409
    assert switch(site, enabled=True, version=1, code="epay").status_code == 404
    with pytest.raises(channels.ChannelOff):
        place(site, BEN)
    with pytest.raises(channels.ChannelOff):
        asyncio.run(checkout.pay_again(site.world.ctx, place(site, BEN, "alipay").code, "wechat"))
    assert place(site, key="k-of-anna-0001").code == open_one.code, "a repeat answers what stands"
    with pytest.raises((IdempotencyReused, channels.ChannelOff)):
        place(site, channel="alipay", key="k-of-anna-0001")
    with site.world.ctx.db.read() as tx:
        usable = {offer.code: offer.usable for offer in channels.offers(site.world.ctx, tx)}
    assert usable == {"alipay": True, "wechat": False}
    attempt = attempt_of(site, open_one)
    site.till.pay(attempt.out_trade_no)
    with clock.fixed(attempt.query_at):
        sweep(site)
    assert order_of(site, open_one).state == OrderState.DELIVERED
    on = switch(site, enabled=True, version=off.json()["version"]).json()
    assert (on["enabled"], on["open_attempts"], place(site, CARA).trouble) == (True, 0, None)


def test_a_channel_that_is_away_costs_nobody_a_wait_is_told_of_and_comes_back_by_itself(site):
    waiting = place(site)
    site.till.silent = True
    for buyer in (ANNA, BEN, CARA):
        assert place(site, buyer).trouble is not None
    assert site.world.ctx.breakers.is_open("wechat")
    site.till.silent = False
    assert place(site).trouble is not None, "not even asked"
    assert len(site.till.created) == 1
    told = shown(site)
    assert (told["away_why"], told["unknown"], told["open_attempts"]) == ("no answer", 4, 5)
    assert "kameng_channel_away" in site.world.ctx.metrics.render().decode()
    with clock.fixed(clock.now() + breaker.PROBE):
        sweep(site)
        assert (shown(site)["away_since"], site.world.ctx.breakers.is_open("wechat")) == (None, False)
        assert channels.PROBE_NO in site.till.asked
    site.till.pay(attempt_of(site, waiting).out_trade_no)
    asyncio.run(checkout.refresh(site.world.ctx, waiting.code))
    assert order_of(site, waiting).state == OrderState.DELIVERED


def test_our_own_queue_and_an_unclear_answer_are_nobodys_silence(site):
    ctx = site.world.ctx

    def hear(error):
        async def ask(_gateway):
            raise error

        with pytest.raises(type(error)):
            asyncio.run(channels.call(ctx, "wechat", ask))

    silence = ChannelUnknown(channel="wechat", detail="time-out")
    for _ in range(breaker.OPENS_AFTER - 1):
        hear(silence)
    for _ in range(breaker.OPENS_AFTER):
        hear(ChannelUnknown(channel="wechat", detail=BUSY))
    assert not ctx.breakers.is_open("wechat")
    hear(Unclear(channel="wechat", detail="closed, and still open"))
    hear(silence)
    assert not ctx.breakers.is_open("wechat"), "it was there in between"


def test_an_answer_is_not_lost_for_the_banner_that_nobody_can_write(site, monkeypatch):
    """Breakers open and close when a machine is overloaded, and then no connection is free either."""

    def no_connection(*_):
        raise Busy(retry_after_seconds=1)

    monkeypatch.setattr(channels, "_told", no_connection)
    site.till.silent = True
    for buyer in (ANNA, BEN, CARA):
        assert isinstance(place(site, buyer).trouble, ChannelUnknown)
    site.till.silent = False
    with clock.fixed(clock.now() + breaker.PROBE):
        assert place(site).qr_text is not None


def test_who_found_a_channel_away_offers_it_again_when_it_may_be_tried(site):
    """A process without a worker: another one hears that the channel is back, and tells the consoles."""
    site.till.silent = True
    for buyer in (ANNA, BEN, CARA):
        place(site, buyer)
    assert usable(site) == {"alipay"}
    channels._told(site.world.ctx, "wechat", None)
    site.till.silent = False
    with clock.fixed(clock.now() + breaker.PROBE):
        assert usable(site) == {"alipay", "wechat"}
        assert place(site, CARA).trouble is None, "the next buyer is the probe"
    assert usable(site) == {"alipay", "wechat"}


def usable(site):
    with site.world.ctx.db.read() as tx:
        return {offer.code for offer in channels.offers(site.world.ctx, tx) if offer.usable}


def test_a_breaker_goes_by_no_clock_that_somebody_may_set_right():
    """Fault 10: a clock an hour ahead makes every answer stale; put right, the channel is not shut for an hour."""
    seconds = [1_000.0]
    breakers = breaker.Breakers(now=lambda: seconds[0])
    with clock.fixed(clock.now() + timedelta(hours=1)):
        opened = [breakers.note("wechat", answered=False) for _ in range(breaker.OPENS_AFTER)]
    assert (opened, breakers.is_open("wechat"), breakers.passes("wechat")) == ([False, False, True], True, False)
    seconds[0] += breaker.PROBE.total_seconds()
    assert not breakers.is_open("wechat")
    assert [breakers.passes("wechat") for _ in range(2)] == [True, False]
    assert breakers.is_open("wechat"), "one tries, the others wait for what it hears"
    assert breakers.note("wechat", answered=True)
    assert (breakers.is_open("wechat"), breakers.passes("wechat")) == (False, True)
    assert breaker.Breakers()._now is clock.monotonic_seconds


def test_open_payments_of_a_channel_that_is_away_are_counted(site):
    """The outage this is for: payments were opened, then notifications and queries are dead; nothing says unknown."""
    opened = [attempt_of(site, place(site, buyer)) for buyer in (ANNA, BEN, CARA)]
    site.till.silent = True
    with clock.fixed(opened[-1].query_at):
        sweep(site)
        told = shown(site)
    assert (told["away_why"], told["unknown"], told["open_attempts"]) == ("no answer", 3, 3)
    assert {again(site, one).state for one in opened} == {AttemptState.PENDING}
    site.till.silent = False
    with clock.fixed(opened[-1].query_at + breaker.PROBE):
        sweep(site)
        told = shown(site)
    assert (told["away_since"], told["unknown"], told["open_attempts"]) == (None, 0, 3)


# --- the four ways ---


def test_each_way_of_learning_that_money_came_is_counted(site):
    shop = site.world
    told, looked, swept, billed = (attempt_of(site, place(site, buyer)) for buyer in (ANNA, ANNA, BEN, CARA))
    for attempt in (told, looked, swept, billed):
        site.till.pay(attempt.out_trade_no)
    answer = site.post("/pay/wechat/notify", content=told.out_trade_no.encode())
    assert (answer.status_code, answer.content) == (200, b"ok")
    asyncio.run(checkout.refresh(shop.ctx, looked.order_code))
    site.till.bills["trades", clock.shop_day(clock.now())] = bill_of(site.till, billed.out_trade_no)
    with clock.fixed(swept.query_at):
        asyncio.run(asking.ask(shop.ctx, swept, FoundBy.SWEEP))
        assert bills.read(shop.ctx, bill_of(site.till, told.out_trade_no, billed.out_trade_no)).news == 1
    with shop.ctx.db.read() as tx:
        fees = dict(tx.execute(select(PaymentAttempt.id, PaymentAttempt.fee_is_final)).all())
    assert (fees[billed.id], fees[told.id], fees[swept.id]) == (True, True, False)
    figures = shop.ctx.metrics.render().decode().splitlines()
    found = {line for line in figures if line.startswith("kameng_payments_found_total")}
    assert found == {f'kameng_payments_found_total{{by="{way}"}} 1.0' for way in ("callback", "page", "sweep", "bill")}


def again(site, attempt):
    """The attempt as it stands now."""
    with site.world.ctx.db.read() as tx:
        return tx.get(PaymentAttempt, attempt.id)


def test_what_nobody_can_say_for_a_day_is_left_to_a_person_and_asked_again_when_that_person_wishes(site):
    shop, placed = site.world, place(site)
    attempt = attempt_of(site, placed)
    site.till.silent = True
    with clock.fixed(attempt.expires_at + ending.ITS_DAY):
        for _ in range(breaker.OPENS_AFTER):
            sweep(site)
            shop.ctx.breakers.note("wechat", answered=True)
    with shop.ctx.db.read() as tx:
        [one] = tx.scalars(select(PaymentException)).all()
    assert (one.kind, attempt_of(site, placed).query_at) == (ExceptionKind.PAYMENT_UNKNOWN, None)
    body = {"action": "ask_again", "note": "客服核对", "version": one.version}
    assert site.post(f"/api/exceptions/{one.id}/propose", by="zhou", json=body).json()["state"] == "working"
    site.till.silent = False
    site.till.pay(attempt.out_trade_no)
    with clock.fixed(attempt.expires_at + ending.ITS_DAY + breaker.PROBE):
        sweep(site)
    assert order_of(site, placed).state == OrderState.DELIVERED, "from fresh stock"
    with shop.ctx.db.read() as tx:
        assert tx.get(PaymentException, one.id).state == ExceptionState.CLOSED


def test_what_its_channel_calls_open_after_its_day_and_does_not_close_is_left_to_a_person(site, monkeypatch):
    shop, placed = site.world, place(site)
    attempt = attempt_of(site, placed)

    async def unanswered(_number):
        raise ChannelUnknown(channel="wechat", detail="closed, and still open")

    monkeypatch.setattr(site.till, "close", unanswered)
    with clock.fixed(attempt.expires_at + ending.ITS_DAY):
        sweep(site)
    with shop.ctx.db.read() as tx:
        [one] = tx.scalars(select(PaymentException)).all()
    assert (one.kind, again(site, attempt).query_at) == (ExceptionKind.PAYMENT_UNKNOWN, None)
    assert "open after its day" in one.evidence
    monkeypatch.undo()
    site.till.silent = True  # whoever pressed first: the person's wish is followed once, and comes back unanswered
    body = {"action": "ask_again", "note": "客服核对", "version": one.version}
    working = site.post(f"/api/exceptions/{one.id}/propose", by="zhou", json=body).json()
    with clock.fixed(attempt.expires_at + ending.ITS_DAY + timedelta(hours=1)):
        sweep(site)
    with shop.ctx.db.read() as tx:
        reopened = tx.get(PaymentException, one.id)
    assert (working["state"], reopened.state) == ("working", ExceptionState.OPEN)
    with shop.ctx.db.tx() as tx:  # the bill settled it while the exception was on somebody's screen
        tx.execute(update(PaymentAttempt).where(PaymentAttempt.id == attempt.id).values(state=AttemptState.CLOSED))
    answer = site.post(f"/api/exceptions/{one.id}/propose", by="zhou", json=body | {"version": reopened.version})
    assert (answer.json()["state"], again(site, attempt).query_at) == ("closed", None), "nothing would ever answer"


def test_who_was_to_approve_reads_that_the_channel_closed_the_payment(site):
    placed = place(site)
    body = {"channel": "wechat", "provider_no": "4200" + "7" * 24, "amount_fen": STEAM, "note": "商户后台可见到账"}
    one = site.post(f"/api/orders/{placed.code}/confirm", by="zhou", json=body).json()
    asyncio.run(ending.cancel(site.world.ctx, placed.code, actor="buyer"))
    [closed] = site.get("/api/exceptions", by="wang", params={"open": "false"}).json()["items"]
    assert (one["state"], closed["id"]) == ("proposed", one["id"])
    assert (closed["state"], closed["closed_by"]) == ("closed", "system")
    told = [(fact["name"], fact["value"]) for fact in closed["evidence"]]
    assert told == [*((fact["name"], fact["value"]) for fact in one["evidence"]), ("channel_answer", "closed")]
    approval = {"approved": True, "version": closed["version"]}
    assert site.post(f"/api/exceptions/{one['id']}/approve", by="wang", json=approval).status_code == 409
    assert (order_of(site, placed).state, site.world.level("STEAM-50").sold) == (OrderState.CANCELLED, 0)


def test_money_that_came_while_its_channel_was_given_up_leaves_nothing_open(site):
    shop, placed = site.world, place(site)
    attempt = attempt_of(site, placed)
    site.till.pay(attempt.out_trade_no)
    asyncio.run(checkout.refresh(shop.ctx, placed.code))
    asking._give_up(shop.ctx, attempt, "time-out")  # the sweep's question was under way all the time
    with shop.ctx.db.read() as tx:
        assert tx.scalars(select(PaymentException)).all() == []
    asking._plan_next(shop.ctx, [attempt], clock.now())
    assert (again(site, attempt).query_at, again(site, attempt).queries) == (None, 0)


def test_a_notification_that_is_no_proof_is_confirmed_by_a_query_before_anything_is_delivered(site):
    shop = site.world
    site.till.notice_is_proof = False
    true, false = (attempt_of(site, place(site, buyer)) for buyer in (ANNA, BEN))
    site.till.pay(true.out_trade_no)
    for attempt in (true, false):
        assert site.get(f"/pay/wechat/notify?{attempt.out_trade_no}").status_code == 200
    with shop.ctx.db.read() as tx:
        assert set(tx.scalars(select(PaymentCallback.state))) == {CallbackState.DEFERRED}
    shop.work()
    with shop.ctx.db.read() as tx:
        kept = dict(tx.execute(select(PaymentCallback.out_trade_no, PaymentCallback.state)).all())
    assert kept == {true.out_trade_no: CallbackState.APPLIED, false.out_trade_no: CallbackState.REFUSED}
    states = [again(site, one).state for one in (true, false)]
    assert states == [AttemptState.PAID, AttemptState.PENDING]


def test_money_that_the_merchant_gave_back_at_the_channel_delivers_nothing_and_stays_before_people(site):
    """Nobody told us of the payment; by hand it went back; the sweep finds that, and the bill names the payment."""
    shop, placed = site.world, place(site)
    attempt = attempt_of(site, placed)
    site.till.pay(attempt.out_trade_no, state="refunded")
    with clock.fixed(attempt.expires_at):
        sweep(site)
        sweep(site)
    assert order_of(site, placed).state == OrderState.EXPIRED
    with shop.ctx.db.read() as tx:
        [one] = tx.scalars(select(PaymentException)).all()
    assert (one.kind, one.state, one.order_code) == (ExceptionKind.UNKNOWN_REFUND, ExceptionState.OPEN, placed.code)
    assert bills.read(shop.ctx, bill_of(site.till, attempt.out_trade_no)).news == 1
    assert (order_of(site, placed).state, again(site, attempt).state) == (OrderState.EXPIRED, AttemptState.CLOSED)
    assert shop.level("STEAM-50").sold == 0


def test_an_attempt_whose_money_is_set_aside_is_not_asked_about_for_ever(site):
    shop, placed = site.world, place(site)
    attempt = attempt_of(site, placed)
    site.till.pay(attempt.out_trade_no, amount_fen=1)
    with clock.fixed(attempt.expires_at):
        sweep(site)
    assert order_of(site, placed).state == OrderState.EXPIRED
    with clock.fixed(attempt.expires_at + ending.ITS_DAY):
        sweep(site)
    assert (again(site, attempt).state, again(site, attempt).query_at) == (AttemptState.CLOSED, None)
    with shop.ctx.db.read() as tx:
        [one] = tx.scalars(select(PaymentException)).all()
    assert (one.kind, one.state) == (ExceptionKind.AMOUNT_MISMATCH, ExceptionState.OPEN)
