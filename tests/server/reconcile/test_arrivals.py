"""What channels pay out to our bank: of which days it is, which days wait for money, and what left the channel."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.gateways.port import Bill
from server.payments import bills
from server.reconcile import running
from server.sandbox.bills import BillLine, yuan
from server.sandbox.bills_wechat import trade_bill
from shared import clock
from shared.owed import shares
from tests.server.till import Till, site_with
from tests.world import MERCHANT

NOON = datetime(2026, 11, 18, 4, tzinfo=UTC)
"""A Wednesday of the shop: on days that pass while these tests run, money would be late sooner."""

TODAY = clock.shop_day(NOON)
FRIDAY, SATURDAY, SUNDAY, MONDAY = (TODAY - timedelta(days=n) for n in (5, 4, 3, 2))
FEE = 60
NET = {FRIDAY: 9_940, SATURDAY: 19_940, SUNDAY: -3_000, MONDAY: 4_940}
"""What the bills of the days come to: on Sunday more went back than came in."""


def trades(day):
    kind, fen = ("payment", NET[day] + FEE) if NET[day] > 0 else ("refund", -NET[day])
    at = int(datetime.combine(day, datetime.min.time(), clock.SHOP_ZONE).timestamp() * 1000) + 60_000
    told = {"kind": kind, "at_ms": at, "created_at_ms": at, "amount_fen": fen, "subject": "点卡", "app_id": ""}
    told |= {"provider_no": f"42000000{day:%Y%m%d}{0:012d}", "out_trade_no": f"{day:%Y%m%d}", "product": "qr"}
    back = {"refund_no": f"50{day:%Y%m%d}", "out_refund_no": f"R{day:%Y%m%d}", "ends_at_ms": at, "fee_fen": 0}
    line = BillLine(**told, payer="o1", **(back if kind == "refund" else {"fee_fen": FEE}))
    return trade_bill([line], merchant_id=MERCHANT, bill_type="ALL")


def funds(day, *withdrawn):
    """The bill of movements with these withdrawals alone, each its number, its voucher and its amount; of one that came
    back it is negative.
    """
    names = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元)"
    left, rows = 1_000_000, [f"{names},资金变更提交申请人,备注,业务凭证号"]
    for number, voucher, fen in withdrawn:
        left -= fen
        kind, way = ("提现", "支出") if fen > 0 else ("提现退回", "收入")
        moved = (
            f"{day} 09:00:00",
            number,
            f"F{number}" if fen > 0 else f"R{number}",
            kind,
            kind,
            way,
            yuan(abs(fen)),
            yuan(left),
        )
        rows.append(",".join(f"`{cell}" for cell in (*moved, "x", kind, voucher)))
    went, came = ([abs(fen) for _, _, fen in withdrawn if fen * way > 0] for way in (1, -1))
    totals = (str(len(withdrawn)), str(len(came)), yuan(sum(came)), str(len(went)), yuan(sum(went)))
    rows += ["资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额", ",".join(f"`{cell}" for cell in totals)]
    return "".join(f"{row}\r\n" for row in rows).encode("utf-8-sig")


@pytest.fixture
def bank(tmp_path, any_engine):
    """A shop with the bills of four days, and what the bank says of them over HTTP; after four days money is late."""
    with clock.fixed(NOON), site_with(tmp_path, Till("wechat"), kind=any_engine, arrival_days=4) as site:
        for day in NET:
            told(site, day, "trades", trades(day))
        yield Bank(site)


def told(site, day, kind, content):
    assert bills._keep(site.world.ctx, Bill("wechat", kind, day, f"{kind}.csv", content))
    running.run(site.world.ctx, "wechat", day, by="system")


class Bank(SimpleNamespace):
    def __init__(self, site):
        super().__init__(site=site)

    def ask(self, path, *, by="zhou", **params):
        answer = self.site.get(f"/api/reconcile/{path}", by=by, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    def say(self, path, *, by="zhou", status=200, **body):
        answer = self.site.post(f"/api/reconcile/{path}", by=by, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def arrives(self, reference, fen, *, status=201, on=TODAY, parts=None, **more):
        body = {"channel": "wechat", "reference": reference, "amount_fen": fen, "arrived_on": str(on)} | more
        if parts is not None:
            body["parts"] = [{"day": str(day), "fen": part} for day, part in parts]
        return self.say("sweeps", status=status, **body)

    def owed(self):
        return {date.fromisoformat(one["day"]): (one["short_fen"], one["waiting_fen"]) for one in self.ask("owed")}

    def late(self):
        """Of how many days money is late, as the figures for alarms have it."""
        told = (line.rsplit(" ", 1) for line in self.site.world.ctx.metrics.render().decode().splitlines())
        return next(float(value) for name, value in told if name == 'kameng_days_unpaid{channel="wechat"}')

    def pairs(self, **only):
        of = self.ask("withdrawals", **only)
        return {one["voucher"]: (one["arrival"] or {}).get("reference") for one in of}

    def left(self, **only):
        """By its number, what became of what left, or came back: an arrival, or a day and the other half's number."""
        return {
            one["number"]: (one["arrival"] or {}).get("reference") or (one["returned_on"], one["other_number"])
            for one in self.ask("withdrawals", **only)
        }


def parts(sweep):
    return {date.fromisoformat(one["day"]): one["fen"] for one in sweep["parts"]}


def test_one_arrival_is_of_many_days_and_the_days_that_wait_are_listed(bank):
    """A weekend is paid at once, with a day on which more went back set off; nothing is short any more in the end."""
    assert bank.owed() == {day: (fen, 0) for day, fen in NET.items()}, "oldest first"
    assert [one["is_late"] for one in bank.ask("owed")] == [True, False, False, False]
    assert bank.late() == 1
    first = bank.ask("owed", limit=1)
    assert [(one["day"], one["net_fen"], one["arrived_fen"], one["corrected_fen"]) for one in first] == [
        (str(FRIDAY), 9_940, 0, 0)
    ]
    assert [one["day"] for one in bank.ask("owed", after=f"{SUNDAY}:wechat")] == [str(MONDAY)]
    weekend = NET[SATURDAY] + NET[SUNDAY]
    for wrong in (
        [(SATURDAY, weekend)] * 2,
        [(SATURDAY, weekend), (SUNDAY, -1)],
        [(SATURDAY, weekend), (SUNDAY, 0)],
        [(TODAY + timedelta(days=1), weekend)],
    ):
        assert bank.arrives("B-1", weekend, parts=wrong, status=422)["code"] in {"bad_sweep", "bad_field"}, wrong
    assert bank.arrives("B-1", weekend, on=TODAY + timedelta(days=1), status=422)["code"] == "bad_sweep"
    assert (bank.ask("sweeps"), bank.owed()) == ([], {day: (fen, 0) for day, fen in NET.items()})

    sunday = bank.arrives("B-1", weekend)
    assert (sunday["state"], parts(sunday)) == ("booked", {SATURDAY: 19_940, SUNDAY: -3_000}), "days that come to it"
    assert bank.arrives("B-1", weekend) == sunday, "the same again, whatever waits by now"
    other = [(FRIDAY, weekend)]
    assert "2" in bank.arrives("B-1", weekend, parts=other, status=409)["detail"]
    assert bank.owed() == {FRIDAY: (9_940, 0), MONDAY: (4_940, 0)}
    seen = {day: bank.site.get(f"/api/reconcile/days/{day}/wechat", by="zhou").json()["arrived_fen"] for day in NET}
    assert seen == {FRIDAY: 0, SATURDAY: 19_940, SUNDAY: -3_000, MONDAY: 0}
    for day, of in ((SATURDAY, ["B-1"]), (SUNDAY, ["B-1"]), (FRIDAY, [])):
        assert [one["reference"] for one in bank.ask("sweeps", day=str(day))] == of

    partly = bank.arrives("B-2", 11_000, on=TODAY - timedelta(days=1))
    assert (partly["state"], parts(partly)) == ("booked", {FRIDAY: 9_940, MONDAY: 1_060}), "the oldest first"
    over = bank.arrives("B-3", 5_000)
    assert (over["state"], parts(over)) == ("proposed", {MONDAY: 5_000}), "more than is due, so two people"
    assert bank.owed() == {MONDAY: (3_880, 5_000)}
    bank.say(f"sweeps/{over['id']}/check", approve=False, version=1)
    last = bank.arrives("B-3", 4_000, others_fen=120)
    assert (last["state"], parts(last)) == ("proposed", {MONDAY: 3_880}), "nobody shares this number"
    assert bank.arrives("B-6", 3_880, parts=[(MONDAY, 3_880)])["state"] == "proposed", "what waits takes the room"
    [_, six] = bank.ask("sweeps", state="proposed")
    bank.say(f"sweeps/{six['id']}/check", approve=False, version=1)
    last = bank.say(f"sweeps/{last['id']}/check", by="wang", approve=True, version=1)
    assert (last["state"], last["checked_by"]) == ("booked", "王敏")
    assert bank.owed() == {}
    refused = bank.arrives("B-4", 1, status=422)
    assert (refused["code"], bank.ask("sweeps")[-1]["reference"]) == ("bad_sweep", "B-6")
    assert bank.ask("sweeps", open=True) == [], "bills without withdrawals: no arrival lacks one"
    wrong = bank.arrives("B-4", 1, parts=[(SUNDAY, 2_000), (MONDAY, -1_999)])
    assert wrong["state"] == "proposed", "one day's money for another's is more than one person's word"
    booked = bank.site.get("/api/ledger/accounts", by="zhou").json()
    assert {one["kind"]: one["balance_fen"] for one in booked["items"] if one["kind"] == "bank"} == {
        "bank": sum(NET.values())
    }
    assert bank.site.get("/api/reconcile/owed", by="li").status_code == 403


def test_what_left_the_channel_is_paired_with_what_arrived(bank):
    """By a number of both, else by amount and a day that fits; a person may say otherwise; what is left shows."""
    early = bank.arrives("W-9", 9_940, on=MONDAY)
    assert early["withdrawal"] is None
    told(bank.site, FRIDAY, "funds", funds(FRIDAY, ("1", "W-1", 5_000)))
    told(bank.site, SATURDAY, "funds", funds(SATURDAY, ("2", "W-2", 16_940), ("3", "W-3", 700), ("9", "W-9", 9_950)))
    told(bank.site, SUNDAY, "funds", funds(SUNDAY, ("4", "W-4", 700)))
    assert bank.pairs() == {"W-1": None, "W-2": None, "W-3": None, "W-9": "W-9", "W-4": None}, "by the number"
    assert bank.arrives("B-2", 16_940, on=MONDAY)["withdrawal"] == "F2", "by amount and day"
    for reference, withdrawal in (("B-3", "F3"), ("B-4", "F4"), ("B-5", None)):
        part = [(MONDAY, 700)]
        assert bank.arrives(reference, 700, on=MONDAY, parts=part)["withdrawal"] == withdrawal, "the oldest first"
    late = bank.arrives("B-6", 5_000, parts=[(FRIDAY, 4_000), (MONDAY, 1_000)])
    assert late["withdrawal"] == "F1", "within a week"
    assert bank.pairs() == {"W-1": "B-6", "W-2": "B-2", "W-3": "B-3", "W-9": "W-9", "W-4": "B-4"}
    assert [one["reference"] for one in bank.ask("sweeps", open=True)] == ["B-5"]
    [row] = [one for one in bank.ask(f"days/{SATURDAY}/wechat/funds") if one["fund_no"] == "F2"]
    assert (row["arrival"], row["kind"]) == ("B-2", "withdrawal")

    [third] = [one for one in bank.ask("withdrawals", day=str(SATURDAY)) if one["voucher"] == "W-3"]
    assert (third["paired_by"], [one["reference"] for one in third["candidates"]]) == ("amount", ["B-5"])
    five, pair = third["candidates"][0]["id"], f"withdrawals/{third['id']}/pair"
    assert bank.say(pair, sweep_id=late["id"], status=409)["code"] == "not_to_be_paired"
    assert bank.say(pair, sweep_id=third["id"], status=409)["code"] == "not_to_be_paired", "no arrival at all"
    said = bank.say(pair, sweep_id=five)
    assert (said["arrival"]["reference"], said["paired_by"]) == ("B-5", "周洁")
    assert bank.say(pair, sweep_id=None)["arrival"] is None
    running.run(bank.site.world.ctx, "wechat", SATURDAY, by="system")
    assert bank.pairs(open=True) == {"W-3": None}, "what a person took apart stays so"
    assert [one["reference"] for one in bank.ask("sweeps", open=True)] == ["B-3", "B-5"]

    [four] = [one for one in bank.ask("sweeps") if one["reference"] == "B-4"]
    bank.say(f"sweeps/{four['id']}/reverse", version=four["version"], note="重复")
    assert bank.pairs(day=str(SUNDAY)) == {"W-4": "B-3"}, "another one takes the place of what was reversed"
    told(bank.site, SUNDAY, "funds", funds(SUNDAY, ("4", "W-4", 701)))
    assert bank.pairs(day=str(SUNDAY)) == {"W-4": None}, "the newer bill has another amount"
    assert {one["reference"] for one in bank.ask("sweeps", open=True)} == {"B-3", "B-5"}
    with pytest.raises(AssertionError, match="not_found"):
        bank.say(f"withdrawals/{late['id']}/pair", sweep_id=None)


def test_a_withdrawal_that_came_back_is_under_way_no_more(bank):
    """By a number of both, else by amount the oldest one under way; a person may say otherwise, and take it back."""
    told(bank.site, FRIDAY, "funds", funds(FRIDAY, ("1", "W-1", 5_000), ("2", "W-2", 5_000)))
    taken = bank.arrives("B-1", 5_000, on=SATURDAY, parts=[(FRIDAY, 5_000)])
    assert taken["withdrawal"] == "F1"
    told(bank.site, SUNDAY, "funds", funds(SUNDAY, ("3", "W-3", 5_000), ("9", "W-1", -5_000), ("8", "W-8", -700)))
    came_back, nothing = (str(SUNDAY), "R9"), (None, None)
    left = {"F1": came_back, "F2": "B-1", "F3": nothing, "R9": (str(FRIDAY), "F1"), "R8": nothing}
    assert bank.left() == left, "the number says more than an amount, and what arrived is another one"
    assert bank.left(open=True) == {"F3": nothing, "R8": nothing}, "of what came back nobody knows where from, too"
    seen = bank.site.get(f"/api/reconcile/days/{SUNDAY}/wechat", by="zhou").json()["balance"]
    assert (seen["withdrawals_fen"], seen["others_fen"], seen["off_by_fen"]) == (-700, 0, 0)
    assert [one["arrival"] for one in bank.ask(f"days/{FRIDAY}/wechat/funds")] == ["R9", "B-1"]
    running.run(bank.site.world.ctx, "wechat", SUNDAY, by="system")
    assert bank.left() == left
    told(bank.site, MONDAY, "funds", funds(MONDAY, ("5", "W-5", -5_000)))
    assert bank.left()["F3"] == (str(MONDAY), "R5"), "by amount, what is under way"

    one, two, three = (row for row in bank.ask("withdrawals") if not row["is_return"])
    assert [row["actions"] for row in (one, two, three)] == [["not_returned"], ["pair"], ["not_returned"]]
    say, why = f"withdrawals/{three['id']}/return", {"note": "银行说已到账"}
    for one in (two, three):
        refused = bank.say(f"withdrawals/{one['id']}/return", is_returned=True, status=409, **why)
        assert refused["code"] == "not_to_be_paired", "it arrived, or came back already"
    assert bank.say(f"withdrawals/{three['id']}/pair", sweep_id=taken["id"], status=409)["code"] == "not_to_be_paired"
    said = bank.say(say, is_returned=False, **why)
    assert (said["returned_on"], said["paired_by"], said["actions"]) == (None, None, ["return"])
    assert bank.left()["F2"] == (str(MONDAY), "R5"), "then it was the one that was taken for an arrival by its amount"
    assert [row["reference"] for row in bank.ask("sweeps", open=True)] == ["B-1"]
    again = bank.say(say, is_returned=True, note="银行退回")
    assert (again["returned_on"], again["other_number"]) == (str(TODAY), None), "in no bill that is here"
    assert (again["paired_by"], again["reason"]) == ("周洁", "银行退回")
    told(bank.site, MONDAY, "funds", funds(MONDAY, ("5", "W-5", -5_000), ("6", "W-6", -5_000)))
    assert bank.left()["F3"] == (str(MONDAY), "R6"), "now one has it, and it stays what a person said"
    told(bank.site, MONDAY, "funds", funds(MONDAY))
    left = bank.left()
    assert (left["F2"], left["F3"]) == ("B-1", (str(MONDAY), None)), "the newer bill has neither; a person's word stays"
    assert bank.site.post(f"/api/reconcile/{say}", by="li", json={"is_returned": True, **why}).status_code == 403


def test_what_waits_for_a_second_person_sets_no_day_off_against_another(bank):
    """A second slip of a day that is paid waits; the next one is of the days that lack money, and both are listed."""
    bank.arrives("B-1", 9_940)
    twice = bank.arrives("B-2", 9_940, parts=[(FRIDAY, 9_940)])
    assert (twice["state"], bank.owed()[FRIDAY]) == ("proposed", (0, 9_940)), "what waits on a paid day is seen"
    assert twice["over_fen"] == 9_940
    approve = f"sweeps/{twice['id']}/check"
    refused = bank.say(approve, by="wang", approve=True, over_fen=9_939, version=1, status=409)
    assert (refused["code"], f"{FRIDAY} ¥0.00" in refused["detail"]) == ("sweep_over", True)
    assert bank.owed()[FRIDAY] == (0, 9_940), "nothing was booked"
    assert (bank.ask("owed")[0]["is_late"], bank.late()) == (False, 0), "nothing of it is lacking"
    third = bank.arrives("B-3", 9_940)
    assert (third["state"], parts(third)) == ("booked", {SATURDAY: 9_940})
    four = bank.arrives("B-4", 20_000, parts=[(SATURDAY, 20_000)])
    assert four["over_fen"] == 10_000
    assert parts(bank.arrives("B-5", 1_940)) == {SUNDAY: -3_000, MONDAY: 4_940}, "no day is set off for it"
    done = bank.say(approve, by="wang", approve=True, over_fen=9_940, version=1)
    assert (done["state"], done["over_fen"], bank.owed()[FRIDAY]) == ("booked", 0, (-9_940, 0)), "knowing what is short"


@given(st.dictionaries(st.dates(), st.integers(-500, 500), max_size=12), st.integers(1, 3_000))
def test_shares_come_to_the_amount_and_begin_with_the_oldest(short, amount):
    parts = shares(short, amount)
    lacks = sorted(day for day, fen in short.items() if fen)
    if not lacks:
        assert parts == {}
        return
    assert sum(parts.values()) == amount
    assert all(parts.values())
    assert set(parts) <= set(lacks)
    rows = [lacks[a:b] for a in range(len(lacks)) for b in range(a + 1, len(lacks) + 1)]
    if any(sum(short[day] for day in row) == amount for row in rows):
        assert all(parts[day] == short[day] for day in parts)
    elif len(parts) > 1:
        assert all(parts[day] == short[day] for day in sorted(parts)[:-1]), "only the last one is paid in part"
