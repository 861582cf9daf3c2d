"""Paying an order: one open attempt at a time, another way to pay, links that end, and pages that wait for money."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from server import breaker
from server.gateways.port import ChannelRefused, ChannelUnknown, Payer, Reason
from server.identity import suppliers
from server.orders import actions as orders
from server.payments import actions, attempts, channels, checkout, ending, queries, watching
from server.payments.attempts import NotPayable
from server.payments.model import PaymentAttempt, PaymentChannel
from server.payments.queries import PayStage
from shared import clock, ids
from shared.errors import Busy, TooMany
from shared.states import AttemptState, FoundBy, OrderState
from tests.server.till import Till
from tests.world import ANNA, world

STEAM = 4_500


@pytest.fixture
def shop(request, tmp_path):
    with world("sqlite", tmp_path, **getattr(request, "param", {})) as built:
        built.stock("STEAM-50", 3)
        built.wechat, built.alipay = Till("wechat", products=("qr", "h5", "jsapi")), Till("alipay")
        built.ctx.gateways.update(wechat=built.wechat, alipay=built.alipay)
        yield built


def run(work):
    return asyncio.run(work)


def place(shop, channel="wechat", **how):
    command = orders.PlaceOrder(ANNA, ids.new_token(), "STEAM-50", 1, STEAM, channel)
    return run(checkout.place(shop.ctx, command, **how))


def state_of(shop, placed):
    with shop.ctx.db.read() as tx:
        order = checkout.order_queries.find(tx, placed.code)
        return order, queries.pay_state(tx, order), queries.attempts_of(tx, [order.id])[order.id]


def pay_again(shop, placed, channel, **how):
    return run(checkout.pay_again(shop.ctx, placed.code, channel, **how))


def test_a_product_is_opened_as_the_buyer_is_and_a_code_alone_can_be_paid(shop):
    placed = place(shop)
    assert (placed.pay_url, placed.qr_text is not None, placed.trouble) == (None, True, None)
    _, seen, [attempt] = state_of(shop, placed)
    assert (seen.stage, attempt.state, attempt.product) == (PayStage.READY, AttemptState.PENDING, "qr")
    sheet = place(shop, product="jsapi", payer=Payer(user_id="openid-1"))
    _, seen, [attempt] = state_of(shop, sheet)
    assert (seen.stage, seen.invoke, attempt.product) == (PayStage.READY, {"prepay_id": "openid-1"}, "jsapi")
    with pytest.raises(channels.ChannelOff):
        place(shop, channel="alipay", product="jsapi")
    assert shop.level("STEAM-50").held == 2


SPLITTING = pytest.mark.parametrize("shop", [{"splitting": "alipay wechat"}], indirect=True, ids=["splitting"])


@SPLITTING
def test_a_payment_is_opened_to_be_split_where_its_channel_splits_and_its_supplier_is_paid_so(shop):
    shop.ctx.gateways["epay"] = epay = Till("epay", products=("qr",))

    def opened(till):
        return [one.is_shared for one in till.created]

    def settle_by(mode):
        with shop.ctx.db.tx() as tx:
            suppliers.settle_by(tx, shop.suppliers["xinghe"], mode=mode, tier="", actor="system")

    placed = place(shop, "alipay")
    assert pay_again(shop, placed, "epay") is None  # which splits nothing
    settle_by("purchase")
    assert pay_again(shop, placed, "wechat") is None
    settle_by("profit_sharing")
    assert run(checkout.pay_again(shop.ctx, placed.code, "wechat", product="h5", payer=Payer(ip="203.0.113.7"))) is None
    _, _, its = state_of(shop, placed)
    assert [(one.channel, one.is_shared) for one in its] == [
        ("alipay", True),
        ("epay", False),
        ("wechat", False),
        ("wechat", True),
    ]
    assert (opened(shop.alipay), opened(epay), opened(shop.wechat)) == ([True], [False], [False, True])


def test_nothing_is_opened_to_be_split_that_the_shops_contract_does_not_let_it_split(shop):
    placed = place(shop, "alipay")
    assert pay_again(shop, placed, "wechat") is None
    assert [one.is_shared for till in (shop.alipay, shop.wechat) for one in till.created] == [False, False]


def test_another_channel_closes_the_first_payment_before_it_opens_its_own(shop):
    placed = place(shop)
    assert pay_again(shop, placed, "alipay") is None
    _, seen, [first, second] = state_of(shop, placed)
    assert (first.state, second.state, second.channel) == (AttemptState.CLOSED, AttemptState.PENDING, "alipay")
    assert shop.wechat.payments[first.out_trade_no].state == "closed"
    assert (seen.stage, seen.attempt.id) == (PayStage.READY, second.id)
    assert pay_again(shop, placed, "alipay") is None  # the same again: what is open stays as it is
    assert len(shop.alipay.created) == 1
    shop.alipay.pay(second.out_trade_no, paid_at=None)  # it does not say when: now, as far as we know
    now = clock.now()
    with clock.fixed(now):
        run(checkout.refresh(shop.ctx, placed.code))
    order, seen, [_, paid] = state_of(shop, placed)
    assert (order.state, seen.stage, paid.found_by) == (OrderState.DELIVERED, PayStage.ENDED, FoundBy.PAGE)
    assert paid.paid_at == now
    with pytest.raises(NotPayable):
        pay_again(shop, placed, "wechat")


def test_money_that_came_first_wins_over_the_wish_to_pay_otherwise(shop):
    placed = place(shop)
    _, _, [first] = state_of(shop, placed)
    shop.wechat.pay(first.out_trade_no)
    assert pay_again(shop, placed, "alipay") is None
    order, _, [paid] = state_of(shop, placed)
    assert (order.state, paid.state, shop.alipay.created) == (OrderState.DELIVERED, AttemptState.PAID, [])


def test_while_the_first_channel_says_nothing_no_second_payment_is_opened(shop):
    placed = place(shop)
    shop.wechat.silent = True
    with pytest.raises(checkout.StillOpen):
        pay_again(shop, placed, "alipay")
    _, seen, [first] = state_of(shop, placed)
    assert (first.state, seen.stage, shop.alipay.created) == (AttemptState.PENDING, PayStage.READY, [])


def test_what_works_is_not_closed_for_what_cannot_be_opened(shop):
    """A page that has been open for a while offers a channel that was switched off since, or went away."""
    placed = place(shop)
    _, _, [first] = state_of(shop, placed)
    for _ in range(breaker.OPENS_AFTER):
        shop.ctx.breakers.note("alipay", answered=False)
    assert isinstance(pay_again(shop, placed, "alipay"), ChannelUnknown)
    shop.ctx.breakers.note("alipay", answered=True)
    with shop.ctx.db.tx() as tx:
        tx.add(PaymentChannel(code="alipay", enabled=False, version=1))
    with pytest.raises(channels.ChannelOff):
        pay_again(shop, placed, "alipay")
    _, seen, its = state_of(shop, placed)
    assert (seen.stage, [one.id for one in its]) == (PayStage.READY, [first.id])
    assert shop.wechat.payments[first.out_trade_no].state == "pending"


def test_a_link_that_has_ended_is_made_anew_under_the_same_number(shop):
    shop.wechat.valid_until = clock.now() + timedelta(minutes=5)
    placed = place(shop, product="h5")
    with clock.fixed(clock.now() + timedelta(minutes=6)):
        assert state_of(shop, placed)[1].stage is PayStage.RENEW
        shop.wechat.valid_until = None
        assert pay_again(shop, placed, "wechat", product="h5") is None
        _, seen, [only] = state_of(shop, placed)
    assert (seen.stage, only.valid_until) == (PayStage.READY, None)
    first, second = shop.wechat.created
    assert first == second, "the same number with the same content"


def test_a_channel_that_did_not_answer_is_asked_under_the_same_number_and_not_twice(shop):
    shop.wechat.silent = True
    placed = place(shop)
    assert isinstance(placed.trouble, ChannelUnknown)
    _, seen, [attempt] = state_of(shop, placed)
    assert (attempt.state, seen.stage) == (AttemptState.UNKNOWN, PayStage.OPENING)
    shop.wechat.silent = False
    run(checkout.refresh(shop.ctx, placed.code))
    _, seen, [same] = state_of(shop, placed)
    assert (same.id, same.state, seen.stage) == (attempt.id, AttemptState.PENDING, PayStage.READY)
    assert [one.out_trade_no for one in shop.wechat.created] == [attempt.out_trade_no]


def test_a_channel_that_refuses_leaves_nothing_open_and_another_one_takes_over(shop):
    shop.wechat.refuses = "NO_AUTH"
    placed = place(shop)
    assert isinstance(placed.trouble, ChannelRefused)
    _, seen, [refused] = state_of(shop, placed)
    assert (refused.state, refused.query_at, seen.stage) == (AttemptState.CLOSED, None, PayStage.CHOOSE)
    assert pay_again(shop, placed, "alipay") is None
    assert state_of(shop, placed)[1].stage is PayStage.READY


def test_a_link_that_another_network_cannot_renew_is_followed_by_a_new_number(shop):
    shop.wechat.valid_until = clock.now() + timedelta(minutes=5)
    placed, create = place(shop, product="h5", payer=Payer(ip="203.0.113.7")), shop.wechat.create

    async def compared(payment):
        """WeChat Pay compares a repeat with what was asked first."""
        for earlier in shop.wechat.created:
            if earlier.out_trade_no == payment.out_trade_no and earlier.payer != payment.payer:
                raise ChannelRefused(channel="wechat", reason_code="INVALID_REQUEST")
        return await create(payment)

    shop.wechat.create = compared
    with clock.fixed(clock.now() + timedelta(minutes=6)):
        shop.wechat.valid_until = None
        assert pay_again(shop, placed, "wechat", product="h5", payer=Payer(ip="198.51.100.9")) is None
        _, seen, [first, second] = state_of(shop, placed)
    assert (first.state, second.state, seen.stage) == (AttemptState.CLOSED, AttemptState.PENDING, PayStage.READY)
    assert shop.wechat.payments[first.out_trade_no].state == "closed", "closed at its channel before"


def test_a_number_that_is_used_up_is_followed_by_a_new_one(shop):
    shop.wechat.silent = True
    placed = place(shop)
    shop.wechat.silent, shop.wechat.refuses = False, Reason.OUT_TRADE_NO_USED
    for tries in range(1, 7):
        assert isinstance(pay_again(shop, placed, "wechat"), ChannelRefused)
        first, *its = state_of(shop, placed)[2]
        assert ({one.state for one in its}, len(its)) == ({AttemptState.CLOSED}, tries)
        assert (first.state, first.query_at is None) == (AttemptState.UNKNOWN, False), "its first call may still arrive"
    with pytest.raises(TooMany):
        pay_again(shop, placed, "wechat")
    assert len({one.out_trade_no for one in shop.wechat.created}) == len(its) + 1


def test_two_wishes_at_once_open_one_payment(shop):
    placed = place(shop)

    async def both():
        wishes = (checkout.pay_again(shop.ctx, placed.code, "alipay") for _ in range(2))
        return await asyncio.gather(*wishes, return_exceptions=True)

    assert run(both()) == [None, None]
    _, _, its = state_of(shop, placed)
    assert [one.state for one in its] == [AttemptState.CLOSED, AttemptState.PENDING]
    assert len({payment.out_trade_no for payment in shop.alipay.created}) == 1


def test_both_attempts_paid_deliver_once_and_the_second_money_is_set_aside_to_go_back(shop):
    placed = place(shop)
    _, _, [first] = state_of(shop, placed)
    pay_again(shop, placed, "alipay")
    _, _, [_, second] = state_of(shop, placed)
    facts = (shop.alipay.pay(second.out_trade_no), shop.wechat.pay(first.out_trade_no))
    outcomes = [
        shop.ctx.batch.call(actions.ApplyPayment.of(shop.ctx.gateways[fact.channel], fact, FoundBy.CALLBACK))
        for fact in (*facts, *facts)
    ]
    kinds = actions.Outcome
    assert outcomes == [kinds.APPLIED, kinds.EXCEPTION, kinds.REPEATED, kinds.REPEATED]
    assert shop.level("STEAM-50").sold == 1
    assert [one.state for one in state_of(shop, placed)[2]] == [AttemptState.PAID] * 2


def test_a_link_of_a_number_that_was_closed_meanwhile_is_shown_to_nobody(shop, monkeypatch):
    """A client repeats its request while the channel is slow, and the channel refuses the second one."""
    command = orders.PlaceOrder(ANNA, ids.new_token(), "STEAM-50", 1, STEAM, "wechat")
    create = shop.wechat.create

    async def slow(payment):
        monkeypatch.setattr(shop.wechat, "create", create)
        opened = await create(payment)
        shop.wechat.refuses = "INVALID_REQUEST"
        assert isinstance((await checkout.place(shop.ctx, command)).trouble, ChannelRefused)
        shop.wechat.refuses = None
        return opened

    monkeypatch.setattr(shop.wechat, "create", slow)
    placed = run(checkout.place(shop.ctx, command))
    assert (placed.pay_url, placed.qr_text, type(placed.trouble)) == (None, None, ChannelUnknown)
    _, seen, [attempt] = state_of(shop, placed)
    assert (seen.stage, attempt.state, attempt.qr_text) == (PayStage.CHOOSE, AttemptState.CLOSED, None)
    assert shop.wechat.payments[attempt.out_trade_no].state == "closed"

    async def paid_at_once(payment):
        opened = await create(payment)
        shop.ctx.batch.call(actions.ApplyPayment.of(shop.wechat, shop.wechat.pay(payment.out_trade_no), FoundBy.BILL))
        return opened

    monkeypatch.setattr(shop.wechat, "create", paid_at_once)
    assert pay_again(shop, placed, "wechat") is None
    assert state_of(shop, placed)[0].state == OrderState.DELIVERED


# --- what a channel can still take money for ---


def test_what_a_channel_cannot_close_is_asked_about_and_its_money_goes_back_or_delivers(shop):
    """The buyer had Epay's page open, chose another way, and paid in the tab that was left; nobody told us."""
    shop.epay = Till("epay")
    shop.epay.closes = False
    shop.ctx.gateways["epay"] = shop.epay
    twice, once = place(shop, "epay"), place(shop, "epay")
    for placed in (twice, once):
        assert pay_again(shop, placed, "alipay") is None
        _, seen, [left, second] = state_of(shop, placed)
        assert (left.state, left.query_at is None, second.state) == (AttemptState.PENDING, False, AttemptState.PENDING)
        assert (seen.stage, seen.attempt.id) == (PayStage.READY, second.id)
        shop.epay.pay(left.out_trade_no)
    assert pay_again(shop, once, "wechat") is None, "looked at once more: money that came first"
    order, _, [paid, _] = state_of(shop, once)
    assert (order.state, paid.state) == (OrderState.DELIVERED, AttemptState.PAID)
    _, _, [left, second] = state_of(shop, twice)
    shop.alipay.pay(second.out_trade_no)
    run(checkout.refresh(shop.ctx, twice.code))
    assert [one.state for one in state_of(shop, twice)[2]] == [AttemptState.PAID] * 2
    assert shop.level("STEAM-50").sold == 2


def test_a_code_that_nobody_scanned_yet_is_asked_about_until_it_ends(shop):
    shop.alipay.knows_at_once = False
    changed, cancelled = place(shop, "alipay"), place(shop, "alipay")
    assert pay_again(shop, changed, "wechat") is None
    run(ending.cancel(shop.ctx, cancelled.code, actor="buyer"))
    assert state_of(shop, cancelled)[0].state == OrderState.CANCELLED
    for placed in (changed, cancelled):
        left = state_of(shop, placed)[2][0]
        assert (left.state, left.query_at is None) == (AttemptState.PENDING, False)
    assert pay_again(shop, changed, "alipay") is None, "another code: the page shows its latest way"
    _, seen, [_, wechat, again] = state_of(shop, changed)
    assert (wechat.state, seen.stage, seen.attempt.id) == (AttemptState.CLOSED, PayStage.READY, again.id)
    shop.alipay.pay(state_of(shop, cancelled)[2][0].out_trade_no)
    run(checkout.refresh(shop.ctx, cancelled.code))
    order, _, [paid] = state_of(shop, cancelled)
    assert (order.state, paid.found_by) == (OrderState.DELIVERED, FoundBy.PAGE), "late: from fresh stock"
    with clock.fixed(again.expires_at):
        checkout.sweep(shop.ctx)
    order, _, its = state_of(shop, changed)
    assert (order.state, {one.state for one in its}) == (OrderState.EXPIRED, {AttemptState.CLOSED})


@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_an_address_that_never_ends_is_asked_about_for_a_day_after_its_order_did(shop, end):
    """Nobody had opened Epay's page when the order ended: the site knows nothing, and takes money all the same."""
    shop.alipay.closes = shop.alipay.knows_at_once = False
    paid, unpaid = place(shop, "alipay"), place(shop, "alipay")
    over = state_of(shop, unpaid)[2][0].expires_at
    if end == "cancelled":
        for placed in (paid, unpaid):
            run(ending.cancel(shop.ctx, placed.code, actor="buyer"))
    with clock.fixed(over):
        checkout.sweep(shop.ctx)
    for placed in (paid, unpaid):
        order, _, [attempt] = state_of(shop, placed)
        assert (order.state, attempt.state, attempt.query_at is None) == (end, AttemptState.PENDING, False)
    shop.alipay.pay(state_of(shop, paid)[2][0].out_trade_no)
    with clock.fixed(over + timedelta(hours=2)):
        checkout.sweep(shop.ctx)
    order, _, [attempt] = state_of(shop, paid)
    assert (order.state, attempt.found_by) == (OrderState.DELIVERED, FoundBy.SWEEP)
    assert state_of(shop, unpaid)[2][0].state == AttemptState.PENDING
    with clock.fixed(over + ending.ITS_DAY):
        checkout.sweep(shop.ctx)
    assert state_of(shop, unpaid)[2][0].state == AttemptState.CLOSED


def test_what_its_channel_closed_without_our_noting_it_can_be_paid_otherwise(shop):
    """Killed between the channel's answer and our commit, or closed by hand at the channel."""
    placed = place(shop)
    _, _, [first] = state_of(shop, placed)
    run(shop.wechat.close(first.out_trade_no))
    assert state_of(shop, placed)[1].stage is PayStage.READY
    run(checkout.refresh(shop.ctx, placed.code))
    order, seen, [closed] = state_of(shop, placed)
    assert (order.state, seen.stage, closed.state) == (OrderState.PENDING_PAYMENT, PayStage.CHOOSE, AttemptState.CLOSED)
    assert pay_again(shop, placed, "wechat") is None
    assert state_of(shop, placed)[1].stage is PayStage.READY


def test_what_was_closed_is_noted_though_the_next_one_gives_no_answer(shop):
    placed = place(shop)
    _, _, [first] = state_of(shop, placed)
    shop.alipay.closes = False
    pay_again(shop, placed, "alipay")
    with shop.ctx.db.tx() as tx:  # as it is after a crash: both are open
        tx.execute(update(PaymentAttempt).where(PaymentAttempt.id == first.id).values(state=AttemptState.PENDING))
    shop.alipay.silent = True
    with pytest.raises(checkout.StillOpen):
        pay_again(shop, placed, "wechat", product="h5")
    assert [one.state for one in state_of(shop, placed)[2]] == [AttemptState.CLOSED, AttemptState.PENDING]


# --- waiting ---


def test_a_page_that_waits_is_told_at_once_and_asks_the_channel_when_nobody_told(shop):
    placed = place(shop)
    order, _, [attempt] = state_of(shop, placed)
    shop.wechat.pay(attempt.out_trade_no)

    async def seen():
        with clock.fixed(attempt.created_at + watching.OVERDUE):
            async with shop.ctx.signals.bell(order.id) as bell:
                return [standing async for standing in watching.watch(shop.ctx, order.id, bell, seconds=20)]

    first, last = run(seen())
    assert (first.order, first.attempt) == (OrderState.PENDING_PAYMENT, AttemptState.PENDING)
    assert (last.order, last.attempt, shop.ctx.signals.waiting) == (OrderState.DELIVERED, AttemptState.PAID, 0)
    assert shop.wechat.asked == [attempt.out_trade_no]


def test_a_look_too_soon_or_too_often_asks_nobody(shop):
    placed = place(shop)
    _, _, [attempt] = state_of(shop, placed)
    run(watching.look(shop.ctx, attempt))
    assert shop.wechat.asked == []
    with clock.fixed(attempt.created_at + watching.OVERDUE):
        for _ in range(3):
            run(watching.look(shop.ctx, attempt))
        run(checkout.refresh(shop.ctx, placed.code))
    assert shop.wechat.asked == [attempt.out_trade_no]


def test_a_person_asks_about_all_that_no_page_has_just_asked_about(shop):
    placed = place(shop)
    pay_again(shop, placed, "alipay")
    order, _, [first, second] = state_of(shop, placed)
    for till in (shop.wechat, shop.alipay):
        till.asked.clear()
    with clock.fixed(second.created_at + watching.OVERDUE):
        assert run(watching.look(shop.ctx, second))
        run(watching.ask_all(shop.ctx, order.id))
        assert (shop.wechat.asked, shop.alipay.asked) == ([first.out_trade_no], [second.out_trade_no])
        with pytest.raises(TooMany):
            run(watching.ask_all(shop.ctx, order.id))
    assert (shop.wechat.asked, shop.alipay.asked) == ([first.out_trade_no], [second.out_trade_no])


def test_a_page_asks_less_often_the_longer_it_waits_and_leaves_room_for_who_wants_to_pay(shop, monkeypatch):
    _, _, [attempt] = state_of(shop, place(shop))
    _, _, [other] = state_of(shop, place(shop))
    asked_at = []
    for age in range(1, 130):
        shop.ctx.buckets.forget("payment_query", attempt.out_trade_no)
        with clock.fixed(attempt.created_at + timedelta(seconds=age)):
            if run(watching.look(shop.ctx, attempt)):
                asked_at.append(age)
    assert asked_at == [5, 8, 13, 20, 30, 45, 60, 90, 120]
    shop.ctx.buckets.forget("payment_query", attempt.out_trade_no)
    monkeypatch.setattr(watching, "LOOKS_AT_ONCE", 1)
    query = shop.wechat.query

    async def slow(number):
        assert not await watching.look(shop.ctx, other), "the page asks again in two seconds"
        return await query(number)

    monkeypatch.setattr(shop.wechat, "query", slow)
    with clock.fixed(attempt.created_at + timedelta(seconds=150)):
        assert run(watching.look(shop.ctx, attempt))
        assert run(watching.look(shop.ctx, other))
    assert shop.wechat.asked[-2:] == [attempt.out_trade_no, other.out_trade_no]


def test_so_many_pages_may_wait_and_no_more(shop, monkeypatch):
    monkeypatch.setattr("server.signals.MOST_WAITING", 1)
    order, _, _ = state_of(shop, place(shop))

    async def two():
        async with shop.ctx.signals.bell(order.id), shop.ctx.signals.bell(order.id):
            raise AssertionError("there is room for one")

    with pytest.raises(Busy):
        run(two())
    assert shop.ctx.signals.waiting == 0


def test_an_open_attempt_is_found_by_its_product_too(shop):
    placed = place(shop)
    assert pay_again(shop, placed, "wechat", product="h5") is None
    _, seen, [first, second] = state_of(shop, placed)
    assert (first.state, second.product, seen.attempt.id) == (AttemptState.CLOSED, "h5", second.id)
    assert attempts.OPEN_STATES == ("created", "pending", "unknown")
