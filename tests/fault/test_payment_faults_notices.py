"""Faults of notifications (payments.md 7): repeated, too early, forged, stale, sealed with another key, at a bad time.

Whatever comes, money moves once and only on what the channel signed for this merchant, and nothing is acknowledged
that was not committed.
"""

import asyncio
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import event

from server.gateways.setup import gateway_of, merged
from server.payments.model import PaymentAttempt, PaymentException
from shared import clock
from tests.fault.market import DELIVERED, UNPAID, wait_for
from tests.world import ANNA

ACKNOWLEDGED = ("acknowledged", 1)
NEXT_API_V3_KEY = "vutsrqponmlkjihgfedcba9876543210"


@pytest.mark.parametrize("channel", ["wechat", "alipay"])
def test_fault_01_ten_of_the_same_callback_at_once_deliver_once(shop, channel):
    bought, before = shop.opened(channel), shop.deliveries()
    shop.fault("copies", 10, out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.told(bought.number, 10) == [ACKNOWLEDGED] * 10
    commands = shop.ctx.batch.figures.commands
    [first, *_] = shop.notifications(bought.number)
    assert shop.testing.post(f"/api/notifications/{first['id']}/replay").status_code == 202
    assert shop.told(bought.number, 11) == [ACKNOWLEDGED] * 11
    if channel == "wechat":  # the same bytes, signed anew: this process knows them
        assert shop.ctx.batch.figures.commands == commands
    assert shop.standing(bought) == DELIVERED
    assert shop.deliveries() == before + 1
    assert shop.journals(bought) == ["PAY", "SALE"]
    assert {state for state, _ in shop.kept(bought.number)} == {"applied"}
    assert shop.exceptions(bought) == []


def test_fault_02_a_callback_is_quicker_than_the_answer_to_our_order(shop, monkeypatch):
    shop.stocked()
    gateway, stored = shop.ctx.gateways["wechat"], threading.Event()
    create = gateway.create

    async def answered_late(payment):
        opened = await create(payment)
        assert await asyncio.to_thread(stored.wait, 30)
        return opened

    monkeypatch.setattr(gateway, "create", answered_late)
    placed = []
    placing = threading.Thread(target=lambda: placed.append(shop.order(ANNA, "STEAM-50", 4_500, channel="wechat")))
    placing.start()
    [attempt] = wait_for(lambda: shop.rows(PaymentAttempt, PaymentAttempt.state == "created"))
    wait_for(lambda: shop.paid_there(attempt.out_trade_no))
    shop.press(attempt.out_trade_no)
    assert shop.told(attempt.out_trade_no) == [ACKNOWLEDGED]
    bought = shop.of(attempt.order_code)
    assert (placed, shop.standing(bought)) == ([], DELIVERED)
    stored.set()
    placing.join()
    assert placed[0].status_code == 201
    assert shop.standing(bought) == DELIVERED
    assert shop.journals(bought) == ["PAY", "SALE"]


def test_fault_07_a_bad_signature_changes_nothing_and_a_flood_of_them_is_told_once(shop):
    bought, before, rejected = shop.opened(), shop.state_of_all(), len(shop.rejected())
    shop.fault("signature", out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.told(bought.number) == [("given_up", 4)]
    assert shop.rejected()[rejected:] == ["forged"] * 4
    assert (shop.standing(bought), shop.state_of_all()) == (UNPAID, before)
    answers = [shop.tell("wechat", {"wechatpay-nonce": f"{n}"}, b"{}") for n in range(40)]
    assert {status for status, _ in answers} == {401}
    assert len(shop.rejected()) == rejected + 20  # no more of one address, whatever comes
    [alarm] = shop.rows(
        PaymentException, PaymentException.kind == "bad_signatures", PaymentException.channel == "wechat"
    )
    assert (alarm.order_id, alarm.out_trade_no, alarm.received_fen) == (None, "-", None)
    shop.press(bought.number, "resend")
    assert shop.told(bought.number, 2) == [("given_up", 4), ACKNOWLEDGED]
    assert shop.standing(bought) == DELIVERED


def test_fault_08_a_signature_probe_is_refused_and_only_counted(shop):
    bought, before, rejected = shop.opened(), shop.state_of_all(), shop.rejected()
    shop.fault("probe", out_trade_no=bought.number)
    shop.press(bought.number)
    assert shop.told(bought.number) == [("given_up", 4)]
    assert (shop.standing(bought), shop.state_of_all(), shop.rejected()) == (UNPAID, before, rejected)
    assert b'reason="notice_probe"} 4.0' in shop.ctx.metrics.render()
    shop.press(bought.number, "resend")
    assert shop.told(bought.number, 2)[1] == ACKNOWLEDGED
    assert shop.standing(bought) == DELIVERED


def test_fault_09_a_stale_callback_is_refused_and_the_query_finds_the_money(shop):
    first, second, rejected = shop.opened(), shop.opened(), len(shop.rejected())
    slow = shop.fault("clock_seconds", -600, channel="wechat")
    for bought in (first, second):
        shop.press(bought.number)
        assert shop.told(bought.number) == [("given_up", 4)]
        assert shop.standing(bought) == UNPAID
    assert shop.rejected()[rejected:] == ["stale"] * 8
    [alarm] = shop.rows(PaymentException, PaymentException.evidence.contains('"stale"'))
    assert (alarm.kind, alarm.channel, alarm.order_id) == ("bad_signatures", "wechat", None)
    shop.end(slow)
    with shop.later(seconds=31):
        assert shop.sweep() == 2
    assert [shop.standing(one) for one in (first, second)] == [DELIVERED] * 2
    assert [shop.found_by(one) for one in (first, second)] == ["sweep"] * 2


def test_fault_10_our_clock_is_wrong_and_people_are_told(shop):
    def hear_all():
        for gateway in shop.ctx.gateways.values():
            asyncio.run(gateway.query("kameng-probe"))
        shown = {one["code"]: one["clock_off_seconds"] for one in shop.get("/api/channels", by="zhou").json()}
        return shop.get("/readyz").json()["clock"], set(shown.values())

    with clock.fixed(clock.now() + timedelta(seconds=120)):
        state, off = hear_all()
        assert state == "off"
        assert all(110 <= one <= 125 for one in off)
        assert shop.get("/readyz").status_code == 200  # others on this machine have the same clock
    state, off = hear_all()
    assert (state, off <= {0, 1}) == ("ok", True), off  # channels tell whole seconds


def test_fault_11_keys_are_mixed_for_a_week_and_a_new_one_is_fetched_beside_the_callbacks(shop):
    mixed = shop.opened()
    shop.fault("mixed_percent", 100, out_trade_no=mixed.number)
    shop.press(mixed.number)
    assert shop.told(mixed.number) == [ACKNOWLEDGED]
    assert shop.standing(mixed) == DELIVERED
    headers, _ = shop.as_kept(mixed.number)
    assert not headers["wechatpay-serial"].startswith("PUB_KEY_ID")

    fresh, rejected = shop.opened(), len(shop.rejected())
    shop.fault("sign_with", "certificate_2", out_trade_no=fresh.number)
    shop.press(fresh.number)
    assert shop.told(fresh.number) == [("given_up", 4)]  # no callback waits for a download
    assert shop.rejected()[rejected:] == ["unknown_key"] * 4
    assert shop.standing(fresh) == UNPAID
    asyncio.run(shop.ctx.gateways["wechat"].renew_if_wanted())
    shop.press(fresh.number, "resend")
    assert shop.told(fresh.number, 2)[1] == ACKNOWLEDGED
    assert shop.standing(fresh) == DELIVERED


def test_fault_12_another_api_key_is_asked_for_again_and_the_one_before_still_opens(shop, monkeypatch):
    bought, before = shop.opened(), shop.deliveries()
    shop.fault("api_key", NEXT_API_V3_KEY, channel="wechat")
    shop.press(bought.number)
    assert shop.told(bought.number) == [("given_up", 4)]
    assert [one["last_outcome"] for one in shop.notifications(bought.number)] == ["HTTP 500"]
    [alarm] = shop.rows(PaymentException, PaymentException.key.contains("unopenable"))
    assert (alarm.kind, alarm.channel) == ("bad_signatures", "wechat")
    assert (shop.standing(bought), shop.deliveries()) == (UNPAID, before)

    record = merged("wechat", shop.ctx.keys.channel("wechat"), {"api_v3_key": NEXT_API_V3_KEY})
    wires = {"calls": shop.outbound, "downloads": shop.outbound}
    monkeypatch.setitem(shop.ctx.gateways, "wechat", gateway_of("wechat", record, shop.ctx.settings, **wires))
    shop.press(bought.number, "resend")
    assert shop.told(bought.number, 2)[1] == ACKNOWLEDGED
    assert shop.standing(bought) == DELIVERED
    assert shop.testing.delete("/api/faults").status_code == 204
    assert shop.standing(shop.bought()) == DELIVERED  # sealed with the key before


def test_fault_13_a_proxy_that_writes_the_body_anew_breaks_the_signature(shop):
    bought = shop.bought()
    headers, body = shop.as_kept(bought.number)
    before, rejected = shop.state_of_all(), len(shop.rejected())
    assert shop.tell("wechat", headers, body.replace(b'":"', b'": "', 1))[0] == 401
    assert shop.tell("wechat", headers, body + b"\n")[0] == 401
    assert shop.rejected()[rejected:] == ["forged"] * 2
    assert shop.tell("wechat", headers, body)[0] == 200
    assert shop.state_of_all() == before


def test_fault_14_blank_and_unknown_fields_of_alipay_take_part_in_the_check(shop):
    bought = shop.bought("alipay")
    headers, body = shop.as_kept(bought.number)
    fields = body.split(b"&")
    blank = [field for field in fields if field.endswith(b"=")]
    unknown = [field for field in fields if field.startswith(b"sandbox_note=")]
    assert blank
    assert len(unknown) == 1
    before, rejected = shop.state_of_all(), len(shop.rejected())
    for without in (blank[0], unknown[0]):
        tampered = b"&".join(field for field in fields if field != without)
        assert shop.tell("alipay", headers, tampered) == (401, "failure")
    assert shop.rejected()[rejected:] == ["forged"] * 2
    assert shop.tell("alipay", headers, body) == (200, "success")
    assert shop.state_of_all() == before


@pytest.mark.parametrize(
    ("channel", "claim", "other"),
    [
        ("wechat", "merchant_id", "9099999999"),
        ("wechat", "app_id", "wxsandboxsomebody"),
        ("alipay", "app_id", "9021000999999999"),
        ("alipay", "merchant_id", "2088999999999999"),
        ("epay", "merchant_id", "9999"),
        ("sandbox", "merchant_id", "somebody"),
    ],
)
def test_fault_19_a_rightly_signed_callback_for_another_merchant_pays_nothing(shop, channel, claim, other):
    bought, before = shop.opened(channel), shop.state_of_all()
    lie = shop.fault(claim, other, out_trade_no=bought.number)
    shop.press(bought.number)
    [(state, _)] = shop.told(bought.number)
    shop.end(lie)
    shop.world.work()
    orders, balances, deliveries, _ = before
    if channel == "epay":  # what it tells is never believed: the query says the truth about our number
        assert shop.standing(bought) == DELIVERED
        return
    assert shop.standing(bought) == UNPAID
    assert shop.state_of_all()[:3] == (orders, balances, deliveries)
    alarms = [kind for kind, _, _ in shop.exceptions_named(bought.number)]
    assert (state, alarms) in [("acknowledged", ["merchant_mismatch"]), ("given_up", [])]


def test_fault_34_a_database_that_fails_or_is_locked_acknowledges_nothing(shop):
    failing, before = shop.opened(), shop.state_of_all()

    def broken(_connection):
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(shop.ctx.db.engine, "begin", broken, insert=True)
    try:
        shop.press(failing.number)
        assert shop.told(failing.number) == [("given_up", 4)]
    finally:
        event.remove(shop.ctx.db.engine, "begin", broken)
    assert [one["last_outcome"] for one in shop.notifications(failing.number)] == ["HTTP 500"]
    assert (shop.standing(failing), shop.kept(failing.number), shop.state_of_all()) == (UNPAID, [], before)
    shop.press(failing.number, "resend")
    assert shop.told(failing.number, 2)[1] == ACKNOWLEDGED
    assert shop.standing(failing) == DELIVERED

    locked = shop.opened()
    with closing(sqlite3.connect(shop.ctx.db.url.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        shop.press(locked.number)
        wait_for(shop.ctx.db.engine.pool.checkedout)  # the callback is in, and waits for the lock
        assert [one["state"] for one in shop.notifications(locked.number)] == ["waiting"]
        assert (shop.standing(locked), shop.kept(locked.number)) == (UNPAID, [])
        other.execute("COMMIT")
    assert {state for state, _ in shop.told(locked.number)} == {"acknowledged"}
    assert shop.standing(locked) == DELIVERED
    assert shop.journals(locked) == ["PAY", "SALE"]


def test_fault_35_slow_work_is_done_after_the_acknowledgement(shop):
    """The order is over and its key sold: the money goes back, and the channel that is asked for it never answers."""
    bought = shop.opened()
    shop.fault("hang", call="refund", channel="wechat", times=1)
    with shop.later(minutes=16):
        shop.sweep()
        assert shop.world.order(bought).state == "expired"
        shop.sold_out()
        shop.press(bought.number, "late")
        assert shop.told(bought.number) == [ACKNOWLEDGED]
        assert shop.standing(bought) == ("delivery_failed", "paid")
        assert shop.refunds(bought.number) == []
        with shop.impatient():
            shop.world.work()
        assert shop.told(bought.number, about="refund") == [ACKNOWLEDGED]  # it did the work all the same
        [refund] = shop.refunds(bought.number)
        assert (refund.state, refund.amount_fen) == ("succeeded", 4_500)
        assert shop.world.order(bought).state == "refunded"


def test_fault_38_a_forged_return_address_only_makes_us_ask(shop):
    bought, before = shop.opened(), shop.state_of_all()
    forged = f"/o/{bought.order.code}?trade_status=TRADE_SUCCESS&out_trade_no={bought.number}&trade_no=1&total=45.00"
    assert shop.get(forged, buyer=ANNA).status_code == 200
    assert shop.get(f"/o/{bought.order.code}/status?state=paid", buyer=ANNA).json()["state"] == "pending_payment"
    claims = {"state": "paid", "trade_no": "1"}
    assert shop.post(f"/o/{bought.order.code}/refresh", buyer=ANNA, data=claims).status_code == 303
    assert (shop.standing(bought), shop.state_of_all()) == (UNPAID, before)
    shop.fault("drop", out_trade_no=bought.number)
    shop.press(bought.number)
    shop.ctx.buckets.forget("payment_query", bought.number)
    assert shop.post(f"/o/{bought.order.code}/refresh", buyer=ANNA).status_code == 303
    assert shop.standing(bought) == DELIVERED
    assert shop.found_by(bought) == "page"


@pytest.mark.parametrize("channel", ["wechat", "alipay", "sandbox"])
def test_fault_39_a_genuine_notification_replayed_later_has_no_effect(shop, channel):
    bought = shop.bought(channel)
    headers, body = shop.as_kept(bought.number)
    before = shop.state_of_all()
    with clock.fixed(clock.now() + timedelta(minutes=10)):  # long after its signature was fresh
        assert shop.tell(channel, headers, body)[0] == 200
    [sent] = shop.notifications(bought.number)
    assert shop.testing.post(f"/api/notifications/{sent['id']}/replay").status_code == 202
    assert shop.told(bought.number, 2) == [ACKNOWLEDGED] * 2
    assert (shop.standing(bought), shop.state_of_all()) == (DELIVERED, before)
    assert {state for state, _ in shop.kept(bought.number)} == {"applied"}


def test_fault_47_no_refusal_to_epay_has_the_word_that_ends_its_telling(shop):
    bought = shop.opened("epay")
    shop.press(bought.number)
    assert shop.told(bought.number) == [ACKNOWLEDGED]
    assert (shop.standing(bought), shop.kept(bought.number)) == (UNPAID, [("deferred", None)])  # MD5 proves nothing
    shop.world.work()
    assert shop.standing(bought) == DELIVERED
    assert shop.kept(bought.number) == [("applied", None)]
    _, query = shop.as_kept(bought.number)
    before = shop.state_of_all()

    def broken(_connection):
        raise sqlite3.OperationalError("success is not what this is")

    address = "/pay/epay/notify?"
    refused = [
        shop.get(address + query.decode().replace("45", "54")),
        shop.get(address),
        shop.get(address + "%ff=success"),
    ]
    event.listen(shop.ctx.db.engine, "begin", broken, insert=True)
    try:
        refused += [shop.get(address + query.decode()), shop.get(address + query.decode().replace("45", "54"))]
    finally:
        event.remove(shop.ctx.db.engine, "begin", broken)
    refused.append(shop.get("/pay/success/notify?trade_status=success"))
    assert [answer.text for answer in refused if "success" in answer.text.lower()] == []
    assert {answer.status_code for answer in refused} <= {400, 401, 404, 422, 500, 503}
    assert shop.state_of_all() == before
