"""What channels paid out to our bank, without a display: recording it, a second person's word, and withdrawals."""

import asyncio
from datetime import date, timedelta
from uuid import UUID

import pytest

from desktop.operations.once import NotSent
from desktop.operations.reconciliation_days import Bank
from desktop.presenters.arrivals import (
    SWEEP,
    NotParts,
    about,
    about_withdrawal,
    act_key,
    of_days,
    pair_key,
    pairing,
    return_key,
    typed_parts,
)
from desktop.presenters.days import Unpaid
from desktop.presenters.typed import NotADay, NotAnAmount
from shared import clock
from shared.contracts.bank import Arrival, NewSweep, OwedDay, SweepPart, Withdrawal
from shared.contracts.base import Page
from shared.finance import SweepState
from tests.desktop.reconcile_rows import DAY, NOON, day, signed_day, sweep
from tests.desktop.test_reconcile_presenter import Heard, looking_at, seen


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"amount": "12,x"}, NotAnAmount),
        ({"amount": "0"}, NotAnAmount),
        ({"arrived_on": "3月2日"}, NotADay),
        ({"parts": "2026-03-01"}, NotParts),
        ({"parts": "2026-03-01 44.73；3月2日 1.00"}, NotParts),
    ],
)
def test_an_arrival_is_checked_before_it_is_sent(typed, error):
    days, ask = looking_at(day())
    days.acting.choose(SWEEP)
    before = len(ask.asked)
    good = {"amount": "447.30", "reference": "ICBC-1", "others": "2.30", "arrived_on": "2026-03-02"}
    days.acting.carry_out(good | typed)
    assert isinstance(days.acting.error, error)
    assert len(ask.asked) == before
    days.acting.carry_out(good)
    heard = Heard()
    asyncio.run(ask.asked[-1][0](heard))
    assert heard.sent[0].body == NewSweep(
        channel="wechat",
        parts=[SweepPart(day=DAY, fen=44_500)],
        amount_fen=44_730,
        others_fen=230,
        reference="ICBC-1",
        arrived_on=date(2026, 3, 2),
    )


def test_money_that_arrived_is_approved_by_another_or_reversed():
    days, ask = looking_at(signed_day())
    waits = sweep(state=SweepState.PROPOSED, actions=["approve", "send_back"])
    booked = sweep(actions=["reverse"])
    ask.answer(len(ask.asked) - 1, seen(Bank([waits, booked], [], [], [])))
    assert [act.words[0] for act in days.acting.acts] == ["登记到账…", "同意入账", "退回", "冲销…"]
    assert [act.words[0] for act in about(sweep(state=SweepState.REVERSING, actions=["approve", "send_back"]))] == [
        "同意冲销",
        "退回冲销",
    ]
    for one, what, path, body in (
        (waits, "send_back", "check", {"approve": False, "over_fen": 0, "note": "未见此款", "version": 1}),
        (booked, "reverse", "reverse", {"note": "未见此款", "version": 1}),
    ):
        days.acting.choose(act_key(what, one))
        assert "流水号 ICBC-1" in days.acting.chosen.effect[0]
        days.acting.carry_out({"note": "未见此款"})
        heard = Heard(one)
        asyncio.run(ask.asked[-1][0](heard))
        [call] = heard.sent
        assert call.path == f"/api/reconcile/sweeps/{one.id}/{path}"
        assert call.body.model_dump() == body
        ask.fail(len(ask.asked) - 1, NotSent())
        days.acting.drop()
    [over, _] = about(twice := waits.model_copy(update={"over_fen": 44_730}))
    assert (over.words[0], over.key) == ("仍然入账", act_key("approve", waits))
    assert "其中 ¥447.30 比这几天现在还差的多" in over.effect[0]
    heard = Heard(twice)
    asyncio.run(over.work({"note": ""})(heard))
    assert heard.sent[0].body.over_fen == 44_730, "what was told is what is agreed to"
    days.count_waiting()
    mine = sweep(state=SweepState.PROPOSED, actions=["send_back"])
    ask.answer(len(ask.asked) - 2, seen(Page(items=[waits, mine])))
    assert (days.to_check, days.count) == ([waits], 1), "what one recorded waits for somebody else"
    before, long_ago = DAY - timedelta(days=1), DAY - timedelta(days=40)
    partly, paid = DAY - timedelta(days=2), DAY - timedelta(days=3)
    short = [owed(long_ago, 9_900), owed(paid, 0, waiting_fen=9_900), owed(partly, 1_000, waiting_fen=9_900)]
    short += [owed(before, 2_000, waiting_fen=2_000), owed(DAY, 44_730)]
    ask.answer(len(ask.asked) - 1, seen(Page(items=short)))
    assert (days.unpaid("wechat"), days.unpaid("alipay")) == (Unpaid(1, 9_900), Unpaid()), "recorded: not told"
    short[0] = short[0].model_copy(update={"is_late": True})
    assert days.unpaid("wechat").late_days is None
    days.owed.rows[:] = short
    with clock.fixed(NOON):
        assert days.unpaid("wechat") == Unpaid(1, 9_900, 41), "and one of them is late"


def owed(of, short_fen, waiting_fen=0):
    told = {"channel": "wechat", "net_fen": short_fen, "corrected_fen": 0, "arrived_fen": 0}
    return OwedDay(day=of, short_fen=short_fen, waiting_fen=waiting_fen, **told)


def test_an_arrival_is_of_the_days_that_wait_and_a_withdrawal_is_paired():
    """What it will be of which day is said on the button, and is what is sent."""
    two, three, four = (DAY + timedelta(days=n) for n in (1, 2, 3))
    days, ask = looking_at(day())
    arrived = Arrival(id=UUID(int=5), reference="B-2", arrived_on=two, amount_fen=1_000)
    told = {"channel": "wechat", "day": DAY, "at": NOON, "voucher": "", "note": "", "paired_by": None}
    waits = Withdrawal(
        **told,
        id=UUID(int=4),
        number="F1",
        amount_fen=1_001,
        arrival=None,
        candidates=[arrived],
        actions=["pair", "return"],
    )
    short = [owed(DAY, 44_730), owed(two, -730), owed(three, 2_000, waiting_fen=2_000), owed(four, 9_900)]
    ask.answer(len(ask.asked) - 1, seen(Bank([], short, [waits], [])))

    def sent(typed):
        days.acting.choose(SWEEP)
        named = days.acting.chosen.named(full := {"others": "", "parts": "", "reference": "B-1"} | typed)
        days.acting.carry_out(full)
        heard = Heard(sweep())
        asyncio.run(ask.asked[-1][0](heard))
        ask.fail(len(ask.asked) - 1, NotSent())
        return named, [(one.day, one.fen) for one in heard.sent[0].body.parts]

    days.acting.choose(SWEEP)
    amount, _reference, others, arrived_on, _parts = days.acting.chosen.entries
    assert [zh for zh, _en in amount.usual] == ["447.30", "539.00"], "the day's, or of all days"
    assert (amount.value, others.value, arrived_on.value) == ("447.30", "", str(days.today))
    assert "还差 ¥447.30，全部日子还差 ¥539.00" in days.acting.chosen.effect[0]
    said, parts = sent({"amount": "440.00", "arrived_on": str(three)})
    assert parts == [(DAY, 44_730), (two, -730)], "days in a row that come to it"
    assert said[0] == f"登记到账：{DAY} ¥447.30、{two} -¥7.30"
    assert sent({"amount": "447.30", "arrived_on": str(four)})[1] == [(DAY, 44_730)], "the day in front is due this"
    assert sent({"amount": "450.00", "arrived_on": str(four)})[1] == [(DAY, 44_730), (two, -730), (four, 1_000)]
    typed = {"amount": "10.00", "arrived_on": str(four), "parts": f"{DAY} 12.00; {two} -2.00"}
    assert sent(typed)[1] == [(DAY, 1_200), (two, -200)]
    with clock.fixed(NOON):
        told = [(one.day.isoformat(), one.fen) for one in typed_parts(f"{DAY:%m-%d} 1；12-31 -0.50")]
    assert told == [(DAY.isoformat(), 100), (f"{DAY.year - 1}-12-31", -50)], "without its year it is the last one"
    many = of_days([SweepPart(day=DAY + timedelta(days=n), fen=1) for n in range(4)])
    assert many == (f"{DAY} 至 {four} 的 4 天", f"4 days from {DAY} to {four}")
    assert days.acting.chosen.named({"amount": "", "arrived_on": ""})[0] == "登记到账"

    days.acting.drop()
    days.acting.choose(pair_key(waits))
    [entry] = days.acting.chosen.entries
    assert entry.choices == ((arrived.id.hex, (f"{two} ¥10.00 B-2",) * 2),)
    for typed, said in (({"sweep": arrived.id.hex}, arrived.id), ({"sweep": ""}, None)):
        days.acting.choose(pair_key(waits))
        days.acting.carry_out(typed)
        heard = Heard(waits)
        asyncio.run(ask.asked[-1][0](heard))
        assert heard.sent[0].path == f"/api/reconcile/withdrawals/{waits.id}/pair"
        assert heard.sent[0].body.sweep_id == said
        ask.fail(len(ask.asked) - 1, NotSent())
    paired = waits.model_copy(update={"arrival": arrived, "candidates": []})
    assert [one.words[0] for one in (pairing(waits), pairing(paired))] == ["配对…", "改配对…"]
    assert pairing(paired).entries[0].choices == (("", ("不是其中任何一笔", "None of these")),)
    back = waits.model_copy(update={"returned_on": two, "actions": ["not_returned"]})
    for one, is_returned, said in ((waits, True, "已退回…"), (back, False, "没有退回…")):
        [*_, act] = about_withdrawal(one)
        assert (act.key, act.words[0], act.entries[0].needed) == (return_key(waits), said, True)
        heard = Heard(waits)
        asyncio.run(act.work({"note": "银行退票"})(heard))
        assert heard.sent[0].path == f"/api/reconcile/withdrawals/{waits.id}/return"
        assert heard.sent[0].body.model_dump() == {"is_returned": is_returned, "note": "银行退票"}
    assert about_withdrawal(waits.model_copy(update={"actions": []})) == [], "for who may not"


# --- differences ---
