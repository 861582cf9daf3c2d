"""Closing a day, whatever people and channels do around it: other files, later bills, no trade at all, arrivals."""

import re
import uuid
from datetime import timedelta

from sqlalchemy import select

from server.audit import AuditEvent
from tests.server import refunding
from tests.server.reconcile import writing
from tests.server.reconcile.closing import SHARES, close_with
from tests.server.reconcile.writing import line

BY_YOU = "{}由您拖入、渠道尚未确认，请另一位同事签署，或重新获取账单"


def booked(close):
    """The net of every account that moved, by kind and owner."""
    return {name: fen for name, fen in refunding.balances(close.site).items() if fen}


def emptied(file):
    """The bill of a day without trade, as the merchant platform gives it."""
    name, content = file
    header, *_, totals, sums = content.decode().removesuffix("\r\n").split("\r\n")
    return name, "\r\n".join([header, totals, re.sub(r"\d", "0", sums), ""]).encode()


def drop_for(close, day, *files):
    """Drop files that do not say of which day they are."""
    for name, content in files:
        query = {"name": name, "day": str(day)}
        answer = close.site.post("/api/reconcile/bills", by="zhou", params=query, content=content)
        assert answer.json()["day"] == str(day), answer.text
    close.shop.work()


def sources(close, channel, day=None):
    bills = close.seen(channel, day)["bills"]
    return [(one["kind"], one["source"], one["is_current"], one["is_late"]) for one in bills]


@SHARES
def test_no_file_takes_the_place_of_what_the_channel_gave_and_who_dropped_does_not_sign(close):
    """A bill that one made oneself replaces nothing, and alone one signs nothing by it."""
    known, off = close.sold("wechat"), close.sold("wechat")
    dropped = close.sold("alipay")
    forged = [writing.trades(close, line(close, known), line(close, off)), writing.funds(close, line(close, known))]
    close.plant("wechat", "amount", off.out_trade_no, amount_fen=1)
    own = [writing.alipay(close, line(close, dropped, amount_fen=1)), close.file("alipay", "funds")]
    with close.tomorrow(hours=9):
        for file in own:
            close.drop(*file)
        assert {one["kind"] for one in close.differences("alipay")} == {"amount", "fund_only_funds"}
        waits = close.seen("alipay")["sign_waits_for"]
        assert waits[-1] == BY_YOU.format("交易账单、资金账单")
        assert close.seen("alipay", by="wang")["sign_waits_for"] == waits[:-1]
    with close.tomorrow():
        close.fetch_by_itself()
        seen, differences = close.seen("wechat"), close.differences("wechat")
        for file in forged:
            refused = close.drop(*file, status=409)
            assert (refused["code"], "点“获取账单”重新获取" in refused["detail"]) == ("channel_has_given_it", True)
            assert refused["detail"].startswith(f"微信支付 {close.day} 的账单已由渠道直接下载")
        assert (close.seen("wechat"), close.differences("wechat")) == (seen, differences)
        assert sources(close, "alipay") == [
            ("trades", "dropped", False, False),
            ("trades", "fetched", True, False),
            ("funds", "fetched", True, False),
        ], "the channel's own took the forged one's place, and confirmed the other"
        assert close.seen("alipay")["sign_waits_for"] == []
        assert {one["state"] for one in close.differences("alipay")} == {"matched"}
        close.plant("wechat", "extra", "OF-OTHERS", amount_fen=5, day=str(close.day))
        again = close.post(close.at("wechat", "/fetch"))
        assert [one["rows"] for one in again["bills"] if one["kind"] == "trades"] == [2, 3], "corrected by the channel"
        assert again["bills"][1]["is_current"]
        assert (again["foreign"], again["foreign_fen"], again["net_fen"]) == (1, 5, seen["net_fen"])


def test_what_comes_for_a_signed_day_is_work_of_an_open_one(close):
    """The signed day stays to the letter; a wrong amount and money that was written off are found the day after."""
    known, wrong, lost = close.sold("wechat"), close.sold("wechat"), close.sold("wechat", "MUSIC-30")
    next_day = close.day + timedelta(days=1)
    with close.tomorrow():
        two = (line(close, known), line(close, wrong))
        close.drop(*writing.trades(close, *two))
        assert close.seen("wechat")["sign_waits_for"][-1] == BY_YOU.format("交易账单")
        funds = writing.funds(close, *two)
        close.drop(*funds, by="wang")
        [gone] = close.differences("wechat")
        close.handle(gone, "write_off")
        close.check(gone)
        waits = {by: close.seen("wechat", by=by)["sign_waits_for"] for by in ("zhou", "wang")}
        assert waits == {"zhou": [BY_YOU.format("交易账单")], "wang": [BY_YOU.format("资金账单")]}
        assert close.drop(*funds)["added_by"] == "周洁", "who has the same file from elsewhere"
        close.sign("wechat", by="wang")
        signed, handled, matches = (
            close.seen("wechat"),
            close.differences("wechat"),
            close.get(close.at("wechat", "/matches")),
        )
        before = booked(close)
        later = (line(close, known), line(close, wrong, amount_fen=4_400), line(close, lost))
        late = close.drop(*writing.trades(close, *later))
        assert (late["is_current"], late["is_late"], late["rows"]) == (False, True, 3)
        assert close.drop(*writing.funds(close, *later))["is_late"]
        assert close.post(close.at("wechat", "/run"), status=409)["code"] == "day_signed"
    with close.tomorrow(days=2):
        empty = emptied(writing.trades(close, *two))
        assert close.drop(*empty, status=400)["code"] == "empty_bill"
        drop_for(close, next_day, empty)
        found = {one["kind"]: one for one in close.differences("wechat", next_day)}
        assert {
            kind: (one["out_trade_no"], one["ours_fen"], one["theirs_fen"], one["carried_from"], one["state"])
            for kind, one in found.items()
        } == {
            "amount": (wrong.out_trade_no, 4_500, 4_400, str(close.day), "open"),
            "booked": (lost.out_trade_no, -1_250, 0, str(close.day), "open"),
        }
        detail = close.get(f"differences/{found['amount']['id']}")
        assert "44.00" in str(detail["theirs"]), "the row of the late bill"
        close.handle(found["amount"], "book")
        close.handle(found["booked"], "book")
        for one in found.values():
            assert close.check(one)["state"] == "resolved"
        assert booked(close) == before | {
            ("psp", "wechat"): before["psp", "wechat"] + 1_250 - 8 - 100,
            ("psp_fee", "wechat"): before["psp_fee", "wechat"] + 8,
            ("loss", ""): 100,
        }
        for _ in range(2):
            close.post(close.at("wechat", "/run", next_day))
        assert {one["state"] for one in close.differences("wechat", next_day)} == {"resolved"}, "once"
        agrees_after_all(close, (known, wrong, lost), before)
        now = close.seen("wechat")
        assert now["corrected_fen"] == 1_250 - 8, "what the channel owes more by its last word"
        assert now | {"bills": signed["bills"], "corrected_fen": 0} == signed
        which = ((True, False), (False, False), (False, True))  # signed, late, and late as the channel's last word
        assert sources(close, "wechat") == [(kind, "dropped", *its) for kind in ("trades", "funds") for its in which]
        assert close.differences("wechat") == handled
        assert close.get(close.at("wechat", "/matches")) == matches


def agrees_after_all(close, sold, before):
    """A second late bill says what was signed: what was booked by the first one is taken back."""
    corrected = [line(close, one) for one in sold]
    for _ in range(2):
        close.drop(*writing.trades(close, *corrected))
        close.drop(*writing.funds(close, *corrected))
    [again] = close.differences("wechat", close.day + timedelta(days=1), open="true")
    assert (again["kind"], again["ours_fen"]) == ("booked", -100), "the amount was right after all"
    close.handle(again, "book")
    assert close.check(again)["state"] == "resolved"
    assert booked(close) == {name: fen for name, fen in before.items() if name != ("loss", "")} | {
        ("psp", "wechat"): before["psp", "wechat"] + 1_250 - 8,
        ("psp_fee", "wechat"): before["psp_fee", "wechat"] + 8,
    }


def test_a_day_without_trade_and_one_without_a_fund_bill_are_closed(tmp_path, sandbox, ring):
    """The channel says that it has no bill: that is one without rows. What it makes later is late."""
    with close_with(tmp_path, sandbox, ring, no_fund_bills="alipay") as close:
        sold = close.sold("alipay")
        with close.tomorrow(hours=9):
            assert close.fetch_by_itself() == 0
            assert close.post(close.at("wechat", "/fetch"))["bills"] == [], "it may still come"
        with close.tomorrow():
            close.fetch_by_itself()
            day = close.seen("wechat")
            assert sources(close, "wechat") == [("trades", "none", True, False), ("funds", "none", True, False)]
            assert (day["missing"], day["state"], day["net_fen"], day["balance"]) == ([], "open", 0, None)
            signed = close.sign("wechat")
            assert (signed["state"], signed["signature"]["without"]) == ("signed", [])
            alipay = close.seen("alipay")
            assert (alipay["missing"], alipay["matched"], alipay["sign_waits_for"]) == ([], 1, [])
            assert [one["kind"] for one in alipay["bills"]] == ["trades"]
            assert close.sign("alipay")["signature"]["without"] == ["funds"]
            close.plant("wechat", "extra", "OF-OTHERS", amount_fen=700, day=str(close.day))
            close.fetch_by_itself()
            assert sources(close, "wechat")[:2] == [("trades", "none", True, False), ("trades", "fetched", False, True)]
            assert close.seen("wechat")["outputs_sha256"] == signed["outputs_sha256"]
        assert sold.state == "paid"
        close.shop.check()


def test_a_day_opens_with_what_the_day_before_closed_with(close):
    """A bill of movements that is replaced is news for the days behind it, days without trade among them."""
    sold = close.sold("wechat")
    days = [close.day + timedelta(days=n) for n in range(3)]
    with close.tomorrow():
        files = writing.trades(close, line(close, sold)), writing.funds(close, line(close, sold), opening_fen=1_000)
        for file in files:
            close.drop(*file)
    with close.tomorrow(days=3):
        for day in days[1:]:
            drop_for(close, day, *map(emptied, files))
        closing = 1_000 + 4_500 - 27
        assert [close.seen("wechat", day)["balance"]["closing_fen"] for day in days] == [closing] * 3
        seen = close.seen("wechat", days[2], by="wang")["outputs_sha256"]
        close.drop(*writing.funds(close, line(close, sold), opening_fen=51_000))
        assert [close.seen("wechat", day)["balance"]["opening_fen"] for day in days[1:]] == [closing + 50_000] * 2
        assert close.sign("wechat", day=days[2], by="wang", outputs=seen, status=409)["code"] == "day_changed"
        signed = close.sign("wechat", day=days[2], by="wang")
        assert (signed["state"], signed["differences"]) == ("signed", [])
        close.drop(*files[1])
        [gap] = close.differences("wechat", days[1])
        told = (gap["kind"], gap["ours_fen"], gap["theirs_fen"], gap["state"])
        assert told == ("balance", closing, closing + 50_000, "open"), "what was signed behind it opens otherwise"
        assert close.seen("wechat", days[2], by="wang") == signed


def test_an_arrival_is_booked_checked_reversed_and_booked_again(close):
    """More than the bill says, or than one person decides on, waits for a second one; a mistake has a way back."""
    close.sold("wechat")
    about = {"channel": "wechat", "arrived_on": str(close.day + timedelta(days=1))}

    def record(amount_fen, reference="B-1", *, by="zhou", status=201, others_fen=0):
        more = about | {"others_fen": others_fen, "amount_fen": amount_fen, "reference": reference}
        parts = [{"day": str(close.day), "fen": amount_fen - others_fen}] if amount_fen > others_fen else []
        return close.post("sweeps", by=by, status=status, parts=parts, **more)

    def act(sweep, what, *, by, status=200, **body):
        version = next(one["version"] for one in close.get("sweeps", by=by)["items"] if one["id"] == sweep["id"])
        return close.post(f"sweeps/{sweep['id']}/{what}", by=by, status=status, version=version, **body)

    with close.tomorrow():
        early = record(1, "B-0")
        assert early["state"] == "proposed", "no bill says that anything is to come"
        assert act(early, "check", by="zhou", approve=False)["state"] == "refused", "who recorded it takes it back"
        close.fetch_by_itself()
        before = booked(close)
        typed = record(447_300_000)
        assert (typed["state"], typed["actions"], typed["others_fen"]) == ("proposed", ["send_back"], 0)
        assert act(typed, "check", by="zhou", approve=True, status=409)["code"] == "sweep_by_you"
        assert (
            close.post(f"sweeps/{typed['id']}/check", by="wang", status=409, approve=True, version=9)["code"]
            == "sweep_changed"
        )
        assert record(4_473, status=409)["code"] == "sweep_differs"
        assert (booked(close), close.seen("wechat")["arrived_fen"]) == (before, 0)
        [seen] = close.get("sweeps", by="wang", state="proposed")["items"]
        assert seen["actions"] == ["approve", "send_back"]
        assert act(typed, "check", by="wang", approve=False, note="多打两个零")["state"] == "refused"
        right = record(4_473)
        assert (right["state"], right["actions"], close.seen("wechat")["arrived_fen"]) == ("booked", ["reverse"], 4_473)
        assert booked(close) == {name: fen for name, fen in before.items() if name != ("psp", "wechat")} | {
            ("bank", ""): 4_473
        }
        assert record(1, "B-2")["state"] == "proposed", "more than the bill says"
        assert act(right, "reverse", by="zhou", note="不是这一天的")["state"] == "reversed"
        assert (booked(close), close.seen("wechat")["arrived_fen"]) == (before, 0)
        shared = record(60_000 + 4_473, others_fen=60_000)
        assert (shared["state"], close.seen("wechat")["arrived_fen"]) == ("proposed", 0), "nobody shares this number"
        assert act(shared, "check", by="wang", approve=True)["state"] == "booked"
        assert close.seen("wechat")["arrived_fen"] == 4_473, "what of it is ours"
        assert record(5, "B-3", status=422, others_fen=5)["detail"] == "没有登记：其他业务的钱应小于到账金额。"
        large = record(60_000, "B-4")
        assert act(large, "check", by="wang", approve=True, status=409)["code"] == "sweep_over", "nothing is short"
        assert act(large, "check", by="wang", approve=True, over_fen=60_000)["checked_by"] == "王敏"
        asked = act(large, "reverse", by="wang", note="重复")
        assert (asked["state"], asked["reversed_by"], asked["note"]) == ("reversing", "王敏", "重复")
        assert act(large, "check", by="wang", approve=True, status=409)["code"] == "sweep_by_you"
        assert act(large, "check", by="zhou", approve=False)["state"] == "booked"
        act(large, "reverse", by="wang", note="重复")
        gone = act(large, "check", by="zhou", approve=True)
        assert (gone["state"], gone["reversal_checked_by"], gone["actions"]) == ("reversed", "周洁", [])
        assert booked(close)["bank", ""] == 4_473
        states = {(one["reference"], one["state"]) for one in close.get("sweeps", day=str(close.day))["items"]}
        assert states == {
            *(("B-0", "refused"), ("B-1", "refused"), ("B-1", "reversed"), ("B-1", "booked")),
            *(("B-2", "proposed"), ("B-4", "reversed")),
        }
    with close.shop.ctx.db.read() as tx:
        said = tx.scalars(select(AuditEvent.action).where(AuditEvent.entity_id == "B-4").order_by(AuditEvent.id)).all()
    assert said == [f"sweep.{what}" for what in ("record", "approve", "reverse", "send_back", "reverse", "approve")]


def test_a_signed_day_is_corrected_today_by_two(close):
    """An adjustment that names it: the day stays as it was signed, and says what was corrected."""
    close.sold("wechat")
    about = {"channel": "wechat", "day": str(close.day)}
    transfer = {"debit_kind": "loss", "credit_kind": "psp", "credit_owner": "wechat", "amount_fen": 73}

    def propose(status=201, **more):
        body = {"id": str(uuid.uuid4()), "transfers": [transfer], "reason": "渠道多扣", "ticket": "T-1"} | more
        answer = close.site.post("/api/ledger/adjustments", by="zhou", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    with close.tomorrow():
        close.fetch_by_itself()
        assert propose(409, **about)["code"] == "day_is_open"
        assert propose(422, channel="wechat")["detail"].endswith("：渠道与账日应同时填写")
        signed = close.sign("wechat")
        assert (signed["actions"], signed["corrections"]) == (["fetch", "correct"], [])
        made = propose(**about)
        assert (made["channel"], made["day"]) == ("wechat", str(close.day))
        said = {"approve": True, "version": 1}
        posted = close.site.post(f"/api/ledger/adjustments/{made['id']}/check", by="wang", json=said)
        assert posted.json()["state"] == "posted"
        now = close.seen("wechat")
        [one] = now["corrections"]
        assert (one["id"], one["state"], one["psp_fen"], one["proposed_by"]) == (made["id"], "posted", -73, "周洁")
        assert now | {"corrections": [], "corrected_fen": 0} == signed
        assert now["corrected_fen"] == -73
        [owed] = close.get("owed")["items"]
        assert (owed["net_fen"], owed["corrected_fen"], owed["short_fen"]) == (4_473, -73, 4_400), "so much is to come"
        found = close.site.get("/api/ledger/adjustments", by="zhou", params=about).json()["items"]
        assert [one["id"] for one in found] == [made["id"]]
        assert close.site.get("/api/ledger/adjustments?channel=alipay", by="zhou").json()["items"] == []
