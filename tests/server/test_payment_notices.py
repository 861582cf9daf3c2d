"""What is told and cannot be believed: kept as evidence within bounds, counted, and told to people if it is a burst."""

import asyncio
import hashlib
import json
from argparse import Namespace
from datetime import timedelta

import pytest
from sqlalchemy import false, select

from server import cli
from server.gateways.port import BadSignature, MalformedNotice, RefundFact, UnopenableNotice
from server.limits import LIMITS
from server.payments import callbacks, notices
from server.payments.exceptions import raising
from server.payments.model import PaymentCallback, PaymentException
from server.payments.notices import KEPT_BYTES
from shared import clock
from shared.errors import NotFound
from shared.states import CallbackState, ExceptionKind, OrderState
from tests.server.till import Till, site_with
from tests.world import ANNA

NOTIFY = "/pay/wechat/notify"


class Suspicious(Till):
    """A channel that finds fault with every notification: `finds` is what it raises."""

    finds = None

    def verify_notify(self, headers, body):
        if self.finds is not None:
            raise self.finds
        return super().verify_notify(headers, body)


@pytest.fixture
def site(tmp_path):
    till = Suspicious("wechat")
    with site_with(tmp_path, till) as built:
        built.till = till
        built.world.stock("STEAM-50", 3)
        yield built


def kept(site):
    with site.world.ctx.db.read() as tx:
        return list(tx.scalars(select(PaymentCallback).order_by(PaymentCallback.id)))


def exceptions(site):
    with site.world.ctx.db.read() as tx:
        return list(tx.scalars(select(PaymentException).order_by(PaymentException.id)))


def tell(site, body, *, times=1):
    headers = {"wechatpay-signature": "x", "cookie": "secret=1"}
    answers = [site.post(NOTIFY, content=body + b"%d" % n, headers=headers) for n in range(times)]
    return {(answer.status_code, answer.content) for answer in answers}


def test_a_forged_notification_is_kept_with_its_reason_and_without_what_is_not_the_channels(site):
    site.till.finds = BadSignature(reason="forged")
    assert tell(site, b"x" * 5_000) == {(400, b"bad_signature")}
    [row] = kept(site)
    assert (row.state, row.reason, row.out_trade_no) == (CallbackState.REJECTED, "forged", "")
    assert json.loads(row.headers) == {"wechatpay-signature": "x"}
    assert len(row.body) < KEPT_BYTES + 100
    assert exceptions(site) == []


def test_what_names_the_payer_is_kept_sealed_for_three_years_and_opens_for_evidence(site, capsys):
    world, keys = site.world, site.world.ctx.keys
    placed = world.place(ANNA, "STEAM-50")
    number = placed.attempt.out_trade_no
    site.till.payments[number] = world.fact(placed, channel="wechat")
    assert site.post(NOTIFY, content=number.encode()).status_code == 200
    [row] = kept(site)
    assert number.encode() not in row.body
    with world.ctx.db.read() as tx:
        [told] = callbacks.of_number(tx, keys, number)
    assert (told.body, told.channel, told.state) == (number.encode(), "wechat", CallbackState.APPLIED)
    assert cli._notices(world.ctx.settings, Namespace(number=number)) == 0
    assert capsys.readouterr().out == f"{told.received_at.isoformat()} wechat applied\n{{}}\n{number}\n\n"
    with pytest.raises(NotFound):
        cli._notices(world.ctx.settings, Namespace(number="nobody's"))
    with clock.fixed(row.received_at + callbacks.KEPT_FOR):
        assert callbacks.forget_old(world.ctx.db) == 0
    with clock.fixed(row.received_at + callbacks.KEPT_FOR + timedelta(seconds=1)):
        with world.ctx.db.tx() as tx:
            digest = hashlib.sha256(b"of before").hexdigest()
            callbacks.defer(tx, callbacks.Kept("wechat", callbacks.RawCallback(digest, b"{}", b"of before"), "N"))
        assert callbacks.forget_old(world.ctx.db) == 1
    with world.ctx.db.read() as tx:
        assert [one.body for one in callbacks.of_number(tx, keys, "N")] == [b"of before"]
    assert [one.state for one in kept(site)] == [CallbackState.DEFERRED]


def test_the_same_bytes_signed_well_are_taken_afterwards(site):
    placed = site.world.place(ANNA, "STEAM-50")
    site.till.payments[placed.attempt.out_trade_no] = site.world.fact(placed, channel="wechat")
    site.till.finds = BadSignature(reason="forged")
    number = placed.attempt.out_trade_no.encode()
    assert site.post(NOTIFY, content=number).status_code == 400
    site.till.finds = None
    assert site.post(NOTIFY, content=number).status_code == 200
    assert [row.state for row in kept(site)] == [CallbackState.REJECTED, CallbackState.APPLIED]


def test_a_burst_is_told_once_an_hour_and_cannot_fill_the_disk(site):
    site.till.finds = BadSignature(reason="forged")
    most = LIMITS["bad_signatures"].burst
    with clock.fixed(clock.now().replace(minute=10)):
        tell(site, b"a", times=most)
        assert exceptions(site) == []
        tell(site, b"b", times=most)
        [told] = exceptions(site)
    assert (told.kind, told.channel, told.order_id) == (ExceptionKind.BAD_SIGNATURES, "wechat", None)
    evidence = dict(json.loads(told.evidence))
    assert (evidence["reason"], evidence["count_forged"]) == ("forged", str(LIMITS["rejected_address"].burst))
    assert len(kept(site)) == LIMITS["rejected_address"].burst
    site.world.ctx.buckets.forget("notice_alarm", "wechat:bad_signatures")  # ten minutes and more have passed
    with clock.fixed(clock.now() + timedelta(hours=1)):
        tell(site, b"d")
    assert len(exceptions(site)) == 2


def test_a_flood_costs_neither_the_writer_nor_a_thread(site, monkeypatch):
    wrote, in_threads = [], []
    retrying, to_thread = notices.retrying, asyncio.to_thread
    monkeypatch.setattr(notices, "retrying", lambda db, work: wrote.append(retrying(db, work)))
    monkeypatch.setattr(asyncio, "to_thread", lambda work, *given: in_threads.append(work) or to_thread(work, *given))
    site.till.finds = BadSignature(reason="forged")
    assert tell(site, b"flood", times=200) == {(400, b"bad_signature")}
    kept_most = LIMITS["rejected_address"].burst + 1  # what is kept of it, and the alarm
    assert (len(wrote), len(in_threads)) == (kept_most, kept_most)
    assert len(exceptions(site)) == 1
    assert 'kameng_denied_total{reason="notice_forged"} 200.0' in site.world.ctx.metrics.render().decode()


def test_the_same_refused_in_two_processes_at_once_is_kept_and_told_once(site, monkeypatch):
    """The other process commits what this one has just looked for in vain."""
    site.till.finds = UnopenableNotice(reason="resource")
    tell(site, b"sealed")
    [row], [told] = kept(site), exceptions(site)
    with monkeypatch.context() as blind, site.world.ctx.db.tx() as tx:
        blind.setattr(tx, "scalars", lambda *_: tx.execute(select(PaymentCallback.id).where(false())).scalars())
        raw = callbacks.RawCallback(row.digest, row.headers, row.body)
        callbacks.reject(tx, callbacks.Kept("wechat", raw, "", reason=row.reason))
        again = {"kind": ExceptionKind(told.kind), "cause": told.key.partition(":")[2], "out_trade_no": "-"}
        raising.once(tx, raising.Raised(channel="wechat", at=clock.now(), **again))
    assert ([one.id for one in kept(site)], [one.id for one in exceptions(site)]) == ([row.id], [told.id])


def test_money_for_another_shops_number_is_shown_and_asked_about_in_vain_only_once(site):
    """The same merchant's other shop: its numbers may have a shape that no path of a channel takes from us."""
    site.till.notice_is_proof = False
    fact = site.world.fact(site.world.place(ANNA, "STEAM-50"), channel="wechat", out_trade_no="shop|7.1")
    site.till.payments[fact.out_trade_no] = fact
    assert site.post(NOTIFY, content=fact.out_trade_no.encode()).status_code == 200
    site.world.work()
    assert ([row.state for row in kept(site)], site.till.asked) == ([CallbackState.REFUSED], [])
    [told] = exceptions(site)
    assert (told.kind, told.out_trade_no, told.unmatched_id) == (ExceptionKind.UNKNOWN_PAYMENT, "shop|7.1", None)


def test_a_probe_is_counted_and_nothing_more(site):
    site.till.finds = BadSignature(reason="probe")
    tell(site, b"probe", times=40)
    assert (kept(site), exceptions(site)) == ([], [])
    assert 'kameng_denied_total{reason="notice_probe"} 40.0' in site.world.ctx.metrics.render().decode()


def test_many_stale_ones_are_a_warning_about_clocks_and_a_known_one_is_acknowledged(site):
    site.till.finds = BadSignature(reason="stale")
    site.world.ctx.health.record_clock("wechat", 400)
    placed = site.world.place(ANNA, "STEAM-50")
    fact = site.world.fact(placed, channel="wechat", event_id="EV-1")
    body = json.dumps({"id": "EV-1", "resource": "sealed"}).encode()
    assert site.post(NOTIFY, content=body).status_code == 400, "nobody has heard of it"
    site.till.finds, site.till.payments[body.decode()] = None, fact
    assert site.post(NOTIFY, content=body).status_code == 200
    site.till.finds = BadSignature(reason="stale")
    again = json.dumps({"id": "EV-1", "resource": "sealed anew"}).encode()
    assert [site.post(NOTIFY, content=one).status_code for one in (body, again)] == [200, 200]
    assert len(kept(site)) == 2
    tell(site, b'{"id": "EV-2"}', times=LIMITS["stale_notices"].burst + 1)
    [told] = [one for one in exceptions(site) if one.kind == ExceptionKind.BAD_SIGNATURES]
    assert dict(json.loads(told.evidence))["clock_off_seconds"] == "400"


@pytest.mark.parametrize(
    ("found", "alarms"), [(UnopenableNotice(reason="resource"), 1), (MalformedNotice(reason="amount"), 0)]
)
def test_what_is_signed_and_cannot_be_read_is_kept_and_a_lost_key_is_told_at_once(site, found, alarms):
    site.till.finds = found
    tell(site, b"sealed")
    assert [row.reason for row in kept(site)] == [found.code]
    assert len(exceptions(site)) == alarms


def test_a_refund_told_at_the_same_address_is_heard_and_kept(site):
    site.till.payments["refund"] = RefundFact("R-000001", "CR-1", "N-000001", 100, "succeeded", event_id="EV-9")
    for _ in range(2):
        assert site.post(NOTIFY, content=b"refund").status_code == 200
    [row] = kept(site)
    assert (row.state, row.event_id) == (CallbackState.APPLIED, "EV-9")
    [told] = exceptions(site)
    assert told.kind == ExceptionKind.UNKNOWN_REFUND


def test_a_refund_that_could_not_be_written_is_kept_and_asked_about(site, monkeypatch):
    site.till.payments["refund"] = RefundFact("R-000001", "CR-1", "N-000001", 100, "succeeded")
    asked = []

    async def query_refund(number, *, out_trade_no=None, **_its):
        asked.append((number, out_trade_no))

    site.till.query_refund = query_refund
    with monkeypatch.context() as broken:
        broken.setattr("server.payments.exceptions.raising.write", None)
        assert site.post(NOTIFY, content=b"refund").status_code == 200
    assert [row.state for row in kept(site)] == [CallbackState.DEFERRED]
    site.world.work()
    assert (asked, [row.state for row in kept(site)]) == ([("R-000001", "N-000001")], [CallbackState.REFUSED])
    assert site.world.order(site.world.place(ANNA, "STEAM-50")).state == OrderState.PENDING_PAYMENT
