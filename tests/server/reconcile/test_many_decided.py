"""One decision about many differences: all of them or none, by as many people as their sum needs."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from server.audit import AuditEvent
from server.payments.refunds.model import Refund
from server.reconcile import choosing
from server.reconcile.choosing import Because
from shared import clock, ids
from shared.finance import DifferenceAction, DifferenceKind
from tests.server.reconcile.closing import SHARES, close_with
from tests.server.reconcile.writing import funds, given_back, line, ms, trades
from tests.server.refunding import balances

LIMIT = 1_000


@pytest.fixture
def small(any_engine, tmp_path, sandbox, ring):
    """A shop in which one person decides on ten yuan, on an engine: what is many is asked for in its own way."""
    with close_with(tmp_path, sandbox, ring, kind=any_engine, difference_check_fen=LIMIT) as close:
        yield close


def strays(close, bought, *amounts):
    """Lines of payments that nobody knows, with numbers as this shop makes them."""
    told = enumerate(amounts, start=1)
    lines = [(ids.new_id().hex, f"43{n:026d}", fen) for n, fen in told]
    return [
        line(close, bought, out_trade_no=number, provider_no=theirs, amount_fen=fen, fee_fen=0)
        for number, theirs, fen in lines
    ]


def seen(rows):
    return [{"id": one["id"], "version": one["version"]} for one in rows]


def handle(close, rows, action, *, by="zhou", status=200, note="批量处理", **more):
    body = {"differences": seen(rows), "action": action, "note": note} | more
    answer = close.post("differences/handle", by=by, status=status, **body)
    return answer["items"] if status == 200 else answer


def check(close, rows, *, by="wang", approve=True, status=200):
    answer = close.post("differences/check", by=by, status=status, differences=seen(rows), approve=approve, note="")
    return answer["items"] if status == 200 else answer


def once_of_two(close, asked):
    """Approve the same at the same moment from two windows: one is too late. Answers what the other came to."""
    body = {"differences": seen(asked), "approve": True, "note": ""}
    path = "/api/reconcile/differences/check"
    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda _: close.site.post(path, by="wang", json=body), range(2)))
    [done] = [answer for answer in answers if answer.status_code == 200]
    [late] = [answer for answer in answers if answer is not done]
    assert late.json()["code"] == "difference_changed", late.text
    return done.json()["items"]


def audited(close, action):
    with close.shop.ctx.db.read() as tx:
        return tx.scalar(select(func.count()).where(AuditEvent.action == action))


def test_many_are_decided_at_once_by_as_many_people_as_their_sum_needs(small):
    close = small
    sold, dear, cheap = (close.sold("wechat") for _ in range(3))
    paid = [line(close, sold), line(close, dear, fee_fen=30), line(close, cheap, fee_fen=25)]
    with close.tomorrow():
        close.drop(*trades(close, *paid, *strays(close, sold, 400, 500, 600, 700)))
        rows = close.differences("wechat")
        fees = [one for one in rows if one["kind"] == "fee"]
        unknown = sorted((one for one in rows if one["kind"] == "only_theirs"), key=lambda one: one["theirs_fen"])
        before = balances(close.site)

        assert handle(close, rows, "ignore", by="li", status=403)["code"] == "not_allowed"
        refused = handle(close, [*unknown, fees[0]], "carry", status=409)
        assert (refused["code"], fees[0]["number"] in refused["detail"]) == ("cannot_handle_so", True)
        assert handle(close, unknown, "attach", status=422)["code"] == "bad_field"
        assert handle(close, [unknown[0], unknown[0]], "ignore", status=422)["code"] == "bad_field"
        stale = [unknown[0], unknown[1] | {"version": 9}]
        assert handle(close, stale, "ignore", status=409)["code"] == "difference_changed"
        assert handle(close, [unknown[0] | {"id": str(ids.new_id())}], "ignore", status=404)["code"] == "not_found"
        assert close.differences("wechat") == rows, "all or none"
        assert audited(close, "difference.handle") == 0

        done = handle(close, unknown[:2], "ignore")
        assert [(one["state"], one["two_people"]) for one in done] == [("resolved", False)] * 2, "900 in all"
        assert handle(close, fees, "book")[0]["state"] == "resolved"
        moved = {name: fen - before.get(name, 0) for name, fen in balances(close.site).items()}
        assert {name: fen for name, fen in moved.items() if fen} == {("psp", "wechat"): -1, ("psp_fee", "wechat"): 1}

        asked = handle(close, unknown[2:], "ignore", note="其他店的")
        assert [(one["state"], one["two_people"]) for one in asked] == [("proposed", True)] * 2, "1,300 in all"
        assert check(close, asked, by="zhou", status=409)["code"] == "handled_by_you"
        assert check(close, [*asked, done[0]], status=409)["code"] == "nothing_to_check"
        back = check(close, asked, approve=False)
        assert [(one["state"], one["action"]) for one in back] == [("open", None)] * 2
        asked = handle(close, back, "carry")
        done = once_of_two(close, asked)
        assert [(one["state"], one["handled_by"], one["checked_by"]) for one in done] == [
            ("resolved", "周洁", "王敏")
        ] * 2
        assert [one["id"] for one in done] == [one["id"] for one in asked], "in the order in which they were named"
        assert (audited(close, "difference.handle"), audited(close, "difference.approve")) == (8, 2)
        assert close.differences("wechat", open="true") == []
        close.drop(*trades(close, *paid[:2], line(close, cheap, amount_fen=4_600, fee_fen=25)))
        [rest] = close.differences("wechat", open="true")
        assert (rest["kind"], rest["ours_fen"], rest["theirs_fen"]) == ("amount", 4_500, 4_600)
        handle(close, [rest], "book")
        waits = close.seen("wechat")["sign_waits_for"]
        assert not any("差异" in what for what in waits)


def test_many_payments_go_back_together_or_not_at_all(close):
    """Each its own way, through an exception of its own; one that the channel denies keeps all where they are."""
    sold, money = close.sold("wechat"), close.unknown("wechat", 700)
    close.pay(money)
    paid = asyncio.run(close.shop.ctx.gateways["wechat"].query(money.out_trade_no))
    true = line(close, sold, out_trade_no=money.out_trade_no, provider_no=paid.provider_no, amount_fen=700, fee_fen=0)
    [forged] = strays(close, sold, 400)
    with close.tomorrow():
        with close.silent("wechat"):
            close.drop(*trades(close, line(close, sold), true, forged))
        rows = close.differences("wechat")
        before = balances(close.site)
        asked = handle(close, rows, "refund")
        assert [one["state"] for one in asked] == ["proposed"] * 2
        refused = check(close, asked, status=409)
        [lie] = (one for one in rows if one["theirs_fen"] == 400)
        assert (refused["code"], lie["number"] in refused["detail"]) == ("not_confirmed_by_channel", True)
        assert (balances(close.site), close.site.get("/api/refunds", by="wang").json()["items"]) == (before, [])
        with close.silent("wechat"):
            done = check(close, asked)
        assert [one["state"] for one in done] == ["working"] * 2
        assert len({one["exception_id"] for one in done}) == 2
        refunds = close.site.get("/api/refunds", by="wang").json()["items"]
        assert sorted(one["amount_fen"] for one in refunds) == [400, 700]


def test_a_state_is_as_dear_as_all_its_money():
    """Who lets fifty thousand yuan be, that went back here and failed there, does not do so alone."""
    row = SimpleNamespace(kind=DifferenceKind.REFUND_STATE, ours_fen=5_000_000, theirs_fen=5_000_000, again_of=None)
    for action in (DifferenceAction.IGNORE, DifferenceAction.CARRY):
        assert choosing.because(row, action, 50_000) is Because.LIMIT
    row.kind, row.theirs_fen = DifferenceKind.AMOUNT, 5_000_100
    assert choosing.because(row, DifferenceAction.BOOK, 50_000) is Because.ONE_PERSON
    row.ours_fen, row.theirs_fen, row.again_of = 1, 0, uuid4()
    assert choosing.because(row, DifferenceAction.BOOK, 50_000) is Because.LIMIT


@SHARES
def test_what_was_carried_is_done_with_when_it_has_come(close):
    """A refund that has ended since, movements and trades of later bills, and a line that is twice no more."""
    sold, twice, lost = (close.sold("wechat") for _ in range(3))
    refund_id = close.refund(sold, 1_000)
    refund = close.site.get(f"/api/refunds/{refund_id}", by="wang").json()
    with close.shop.ctx.db.read() as tx:
        number = tx.scalars(select(Refund.provider_refund_no)).one()
    next_day = close.day + timedelta(days=1)
    at = ms(clock.day_bounds(next_day)[0] + timedelta(hours=1))
    back = given_back(close, sold, refund | {"refund_no": number}, fee_fen=6, ends_at_ms=None)
    other = line(close, sold, out_trade_no="OTHERS-1", provider_no="43" + "1" * 26, amount_fen=100, at_ms=at)
    days = [line(close, one) for one in (sold, twice, twice)]
    with close.tomorrow(days=2):
        close.drop(*trades(close, *days, back))
        found = {one["kind"]: one for one in close.differences("wechat")}
        assert sorted(found) == ["duplicate", "only_ours", "refund_state"]
        for one in found.values():
            assert close.handle(one, "carry")["state"] == "resolved"
        close.drop(*trades(close, other))
        carried = {one["kind"]: one["state"] for one in close.differences("wechat", next_day) if one["carried_from"]}
        assert carried == {"duplicate": "open", "only_ours": "open", "refund_state": "matched"}
        close.drop(*trades(close, *days[:2], back))
        close.drop(*trades(close, other, line(close, lost, at_ms=at, amount_fen=4_600)))
        carried = {one["kind"]: one["state"] for one in close.differences("wechat", next_day) if one["carried_from"]}
        assert set(carried.values()) == {"matched"}
        [differs] = close.differences("wechat", next_day, open="true")
        assert (differs["kind"], differs["off_by_fen"]) == ("amount", 100), "what it differs by is told once"


@SHARES
def test_movements_that_were_carried_are_done_with_when_they_are_listed(close):
    """Money and fee of a payment that moved after midnight, carried before the next day's bills were there."""
    sold, late = close.sold("wechat"), close.sold("wechat")
    next_day = close.day + timedelta(days=1)
    at = ms(clock.day_bounds(next_day)[0] + timedelta(seconds=9))
    other = line(close, sold, out_trade_no="OTHERS-1", provider_no="43" + "1" * 26, amount_fen=100, fee_fen=1, at_ms=at)
    with close.tomorrow(days=2):
        close.drop(*trades(close, line(close, sold), line(close, late)))
        close.drop(*funds(close, line(close, sold)))
        moved = close.differences("wechat", open="true")
        assert sorted((one["kind"], one["ours_fen"], one["theirs_fen"]) for one in moved) == [
            ("fund_only_trades", -27, None),
            ("fund_only_trades", 4_500, None),
        ]
        for one in handle(close, moved, "carry"):
            assert one["state"] == "resolved"
        close.drop(*trades(close, other))
        carried = [one for one in close.differences("wechat", next_day) if one["carried_from"]]
        assert [one["state"] for one in carried] == ["open", "open"]
        close.drop(*funds(close, other, line(close, late, at_ms=at), opening_fen=4_473))
        assert close.differences("wechat", next_day, open="true") == []
        assert {close.one(one)["state"] for one in carried} == {"matched"}
