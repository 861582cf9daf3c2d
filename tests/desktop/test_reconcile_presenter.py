"""The workbench without a display: what may be done and why not, both sides compared, decisions, dropped bills."""

import asyncio
from datetime import timedelta

import pytest

from desktop.operations import reconciliation_days
from desktop.operations.once import NotSent
from desktop.operations.reconciliation_days import NotRun
from desktop.operations.seen import Seen
from desktop.presenters import words
from desktop.presenters.arrivals import SWEEP
from desktop.presenters.days import FETCH, RUN, SIGN, Days, identity, lines, open_differences
from desktop.presenters.differences import COLUMNS, Differences, compared, doing, groups, story
from desktop.presenters.reconciliation import Reconciliation
from shared import clock
from shared.contracts.base import Page
from shared.contracts.reconcile import DayDifferences
from shared.contracts.reconcile import Differences as DecidedOn
from shared.finance import BillKind, DayState, DifferenceAction, DifferenceKind, DifferenceState
from shared.permissions import Role
from tests.desktop.reconcile_rows import DAY, NOON, OUTPUTS, balance, bill, day, detail, difference, signed_day
from tests.desktop.test_presenters_lists import Later
from tests.desktop.window_program import person


class Heard:
    """An engine that only keeps what would be sent."""

    def __init__(self, answer=None) -> None:
        self.sent, self.announced, self.answer = [], [], answer
        self.session = self

    async def ask(self, call, _answer):
        self.sent.append(call)
        return self.answer

    def announce(self, *entities, initiator=None) -> None:
        self.announced.append(initiator)


def seen(value, *, live=True):
    return Seen(value, NOON, live=live)


def looking_at(*rows, role=Role.FINANCE):
    """The days as they were read, in the morning after them."""
    ask = Later()
    with clock.fixed(NOON):
        days = Days(ask, person(role))
        days.refresh()
    ask.answer(0, seen(list(rows)))
    return days, ask


def test_both_sides_are_compared_to_the_fen():
    shown = {line.key: (line.ours, line.theirs, line.off_by, line.holds) for line in lines(day())}
    assert shown["payments"] == ("10", "11", "+1", False)
    assert shown["payments_fen"] == ("¥450.00", "¥495.00", "+¥45.00", False)
    assert shown["refunds_fen"] == ("¥45.00", "¥45.00", "–", True)
    assert open_differences(day()) == 2
    assert {(line.theirs, line.off_by, line.holds) for line in lines(day(run_at=None))} == {("–", "–", True)}
    assert "settled_fen" not in shown, "without coupons it is what came in and did not go back"
    coupons = day(theirs=day().theirs.model_copy(update={"settled_fen": 44_000}))
    assert {line.key: line.off_by for line in lines(coupons)}["settled_fen"] == "+¥35.00"


def test_the_identity_of_the_fund_bill_adds_up_line_by_line():
    told = identity(balance())
    assert told[0] == ("opening_fen", "¥1,000.00")
    assert told[-1] == ("closing_fen", "¥402.57")
    assert ("withdrawals_fen", "-¥1,000.00") in told
    assert ("fees_returned_fen", "+¥0.27") in told
    assert "others_fen" not in dict(told), "what is nothing is not a line"
    added = sum(int(text.replace("¥", "").replace(",", "").replace(".", "").replace("+", "")) for _, text in told[:-1])
    assert added == balance().closing_fen


def test_yesterday_is_first_and_days_before_it_that_are_not_signed_are_told():
    nothing = {"payments": 0, "payments_fen": 0, "refunds": 0, "refunds_fen": 0, "fees_fen": 0}
    days, _ = looking_at(
        day(),
        day(channel="alipay"),
        day(day=DAY - timedelta(days=4), bills=[], ours=nothing, differences=[]),
        day(day=DAY - timedelta(days=3), bills=[bill(source="none", rows=0)], ours=nothing, differences=[]),
        day(day=DAY - timedelta(days=2)),
        signed_day(day=DAY - timedelta(days=1)),
    )
    assert (days.day, days.channel) == (DAY, "wechat")
    assert [row.channel for row in days.channels] == ["wechat", "alipay"]
    assert days.unsigned == [DAY - timedelta(days=2)]
    days.step_channel(1)
    assert days.channel == "alipay"
    days.step_channel(1)
    assert days.channel == "wechat", "around at the end"


def test_a_kind_is_shown_in_the_state_that_it_has():
    fee = DayDifferences(kind=DifferenceKind.FEE, open=0, closed=2, open_fen=0)
    shift = DayDifferences(kind=DifferenceKind.DATE_SHIFT, open=0, closed=1, matched=1, open_fen=0)
    gone = DayDifferences(kind=DifferenceKind.ONLY_OURS, open=0, closed=2, matched=2, open_fen=0)
    amount = DayDifferences(kind=DifferenceKind.AMOUNT, open=1, closed=1, open_fen=100)
    days, _ = looking_at(day(differences=[fee, shift, gone, amount]))
    assert [days.state_to_see(one.kind) for one in (fee, shift, gone, amount)] == [
        DifferenceState.RESOLVED,
        DifferenceState.MATCHED,
        DifferenceState.MATCHED,
        None,
    ]


@pytest.mark.parametrize(
    ("role", "row", "what", "why"),
    [
        (Role.FINANCE, day(), FETCH, ""),
        (Role.FINANCE, day(), RUN, ""),
        (Role.FINANCE, day(), SWEEP, ""),
        (Role.FINANCE, day(), SIGN, "还有 2 条差异未处理"),
        (Role.FINANCE, day(sign_waits_for=["缺资金账单", "还没有对账"]), SIGN, "缺资金账单；还没有对账"),
        (Role.FINANCE, day(actions=["sign"]), SIGN, ""),
        (Role.FINANCE, day(actions=[]), FETCH, "账单已齐，或渠道还没有出账"),
        (Role.FINANCE, day(actions=[]), RUN, "账单还没有到"),
        (Role.FINANCE, signed_day(), RUN, "已签署，不再改动"),
        (Role.FINANCE, signed_day(), SWEEP, ""),
        (Role.OPERATOR, day(actions=["sign"]), SIGN, "您的账号没有这项权限"),
    ],
)
def test_what_may_be_done_and_why_not(role, row, what, why):
    days, _ = looking_at(row, role=role) if role is Role.FINANCE else (Days(Later(), person(role)), None)
    assert days.why_not(what) == why
    assert days.may(what) == (not why)


def test_fetching_and_running_are_done_at_once_and_one_at_a_time():
    days, ask = looking_at(day(missing=[BillKind.FUNDS]))
    before = len(ask.asked)
    days.fetch()
    days.run()
    assert (days.busy, len(ask.asked)) == (FETCH, before + 1)
    assert days.why_not(RUN) == "正在处理，请稍候"
    ask.answer(before, day())
    assert (days.busy, days.chosen.missing) == ("", [])
    days.run()
    ask.fail(before + 1, NotSent())
    assert isinstance(days.error, NotSent)
    assert days.may(RUN), "it can be tried again"


def test_what_is_signed_is_what_was_seen():
    days, ask = looking_at(day(actions=["sign"], differences=[], sign_waits_for=[]))
    days.acting.choose(SIGN)
    assert "2026-03-01" in days.acting.chosen.effect[0]
    assert "¥447.30" in days.acting.chosen.effect[1]
    assert OUTPUTS in days.acting.chosen.effect[0]
    days.acting.carry_out({"note": "已与银行核对"})
    heard = Heard(signed_day())
    answer = asyncio.run(ask.asked[-1][0](heard))
    [call] = heard.sent
    assert (call.method, call.path) == ("POST", "/api/reconcile/days/2026-03-01/wechat/sign")
    assert (call.body.outputs_sha256, call.body.note) == (OUTPUTS, "已与银行核对")
    ask.asked[-1][1](answer)
    assert days.chosen.state is DayState.SIGNED
    assert [act.key for act in days.acting.acts] == [SWEEP], "money may still arrive for it"


def test_nothing_is_signed_that_was_never_run():
    with pytest.raises(NotRun):
        asyncio.run(reconciliation_days.sign(Heard(), day(outputs_sha256=None), note=""))


def test_both_rows_stand_beside_each_other_and_what_differs_is_marked():
    told = compared(detail(difference()))
    assert [(one.name, one.ours, one.theirs, one.differs) for one in told] == [
        ("状态", "待支付", "SUCCESS", True),
        ("商户订单号", "KM20260301000007", "KM20260301000007", False),
        ("支付时间", "2026-03-01 10:00:58", "2026-03-01 10:01:12", False),
        ("订单号", "7K3M-9QX2-H4TD", "–", False),
        ("账单行", "–", "8", False),
    ], "clocks differ by seconds, and that is nothing"
    shifted = detail(difference(kind=DifferenceKind.DATE_SHIFT))
    assert [one.name for one in compared(shifted) if one.differs] == ["支付时间", "状态"]
    assert [what for _, what in story(detail(difference()))] == ["买家 下单", "系统 账单里发现"], "in order of time"


def test_a_row_says_both_sides_and_what_is_advised():
    cells = {column.key: column.text(difference()) for column in COLUMNS}
    assert (cells["ours"], cells["theirs"], cells["off_by"]) == ("无", "¥45.00", "+¥45.00")
    assert doing(difference()) == "建议：补单发货"
    assert doing(difference(action=DifferenceAction.REFUND)) == "退款"
    words.speak("en")
    try:
        assert doing(difference()) == "Advised: Deliver"
    finally:
        words.speak("zh")


def opened(one, role=Role.FINANCE):
    ask = Later()
    list_of = Differences(ask, person(role))
    list_of.look_into(one)
    return list_of, ask


def test_what_is_advised_comes_first_and_a_note_is_needed():
    shown, ask = opened(difference())
    assert [act.key for act in shown.acting.acts] == ["deliver", "refund", "ignore"]
    shown.acting.choose("refund")
    [entry] = shown.acting.chosen.entries
    assert (entry.key, entry.needed) == ("note", True)
    shown.acting.carry_out({"note": "重复支付"})
    heard = Heard(difference(version=2))
    asyncio.run(ask.asked[-1][0](heard))
    [call] = heard.sent
    assert call.path.endswith("/handle")
    assert (call.body.action, call.body.note, call.body.version) == (DifferenceAction.REFUND, "重复支付", 1)
    assert heard.announced == ["difference.handle"]


def test_above_the_limit_one_proposes_and_another_answers():
    shown, _ = opened(difference(two_people=True))
    assert shown.acting.act("refund").words[0] == "提议退款"
    assert "另一位同事复核后才执行" in shown.acting.act("refund").effect[0]
    assert shown.acting.act("ignore").words[0] == "忽略"
    assert "超过单人限额时" in shown.acting.act("ignore").effect[0]
    fee = {"kind": DifferenceKind.FEE, "proposed_action": DifferenceAction.BOOK, "actions": ["book", "ignore"]}
    small, _ = opened(difference(**fee))
    assert [(act.words[0], "复核" in act.effect[0]) for act in small.acting.acts] == [("调账", False), ("忽略", False)]
    large, _ = opened(difference(**fee, two_people=True))
    assert large.acting.act("book").words[0] == "提议调账"
    waiting = {"state": DifferenceState.PROPOSED, "action": DifferenceAction.REFUND, "two_people": True}
    mine, _ = opened(difference(**waiting, actions=["send_back"]))
    assert mine.waits_for_second
    assert not mine.waits(mine.opened)
    assert [act.words[0] for act in mine.acting.acts] == ["撤回提议"]
    theirs, ask = opened(difference(**waiting, actions=["approve", "send_back"]))
    assert not theirs.waits_for_second
    assert theirs.waits(theirs.opened)
    assert [act.words[0] for act in theirs.acting.acts] == ["同意退款", "退回"]
    theirs.acting.choose("send_back")
    theirs.acting.carry_out({"note": ""})
    heard = Heard()
    asyncio.run(ask.asked[-1][0](heard))
    assert (heard.sent[0].path[-6:], heard.sent[0].body.approve) == ("/check", False)


def test_who_may_not_handle_only_looks():
    shown, _ = opened(difference(), role=Role.OPERATOR)
    assert shown.acting.acts == ()


def test_an_explanation_of_another_difference_is_dropped():
    first, second = difference(), difference(id=bill().id)
    shown, ask = opened(first)
    shown.look_into(second)
    ask.answer(0, seen(detail(first)))
    assert shown.detail is None
    ask.answer(1, seen(detail(second)))
    assert shown.detail.difference.id == second.id


def test_many_are_decided_on_together():
    fees = {"kind": DifferenceKind.FEE, "proposed_action": DifferenceAction.BOOK, "actions": ["book", "ignore"]}
    rows = [difference(id=bill().id, off_by_fen=n, theirs_fen=n, **fees) for n in (27, 30)]
    rows.append(difference(id=bill().id, actions=["attach", "ignore"]))
    shown, ask = opened(rows[0])
    shown.acting.choose("book")
    shown.pick(rows[:2])
    assert shown.acting.chosen is None, "what was begun about one is not finished about two"
    assert [act.key for act in shown.acting.acts] == ["book_many", "ignore_many"]
    assert [(one.number, one.amount, one.off_by) for one in groups(rows[:2])] == [(2, "¥0.57", "+¥0.57")]
    shown.acting.choose("book_many")
    assert shown.acting.chosen.effect[0].startswith("2 条一起办，有一条不行就都不办：")
    shown.acting.carry_out({"note": "以渠道账单为准"})
    heard = Heard(DecidedOn(items=rows[:2]))
    asyncio.run(ask.asked[-1][0](heard))
    [call] = heard.sent
    assert call.path == "/api/reconcile/differences/handle"
    assert [one.id for one in call.body.differences] == [one.id for one in rows[:2]]
    assert (call.body.action, call.body.note) == (DifferenceAction.BOOK, "以渠道账单为准")
    ask.answer(len(ask.asked) - 1, [one.model_copy(update={"version": 2, "actions": []}) for one in rows[:2]])
    assert (shown.picked, shown.opened.version) == ((), 2)
    shown.pick(rows[1:])
    assert [act.key for act in shown.acting.acts] == ["ignore_many"], "what all of them allow"
    shown.pick([rows[2], rows[2]])
    assert "attach_many" not in {act.key for act in shown.acting.acts}, "each has an order of its own"
    shown.pick(rows[:1])
    assert shown.picked == ()


def test_another_person_answers_many_at_once():
    waiting = {"state": DifferenceState.PROPOSED, "actions": ["approve", "send_back"]}
    rows = [
        difference(id=bill().id, action=action, **waiting)
        for action in (DifferenceAction.WRITE_OFF, DifferenceAction.REFUND, DifferenceAction.REFUND)
    ]
    shown, ask = opened(rows[0])
    shown.pick(rows)
    assert [act.words[0] for act in shown.acting.acts] == ["同意退款、核销", "退回"]
    shown.acting.choose("approve_many")
    assert "2 条一起办，有一条不行就都不办：¥90.00 原路退回付款人" in shown.acting.chosen.effect[0]
    shown.acting.carry_out({"note": ""})
    heard = Heard(DecidedOn(items=rows))
    asyncio.run(ask.asked[-1][0](heard))
    [call] = heard.sent
    assert (call.path, call.body.approve) == ("/api/reconcile/differences/check", True)
    assert [(one.id, one.version) for one in call.body.differences] == [(one.id, 1) for one in rows]


def test_what_was_handled_leaves_and_the_next_is_in_front():
    rows = [difference(id=bill().id) for _ in range(3)]
    ask = Later()
    shown = Differences(ask, person(Role.FINANCE))
    shown.show_list()
    ask.answer(0, seen(Page(items=rows)))
    shown.look_into(rows[1])
    shown.acting.choose("ignore")
    shown.acting.carry_out({"note": "已核实"})
    ask.answer(len(ask.asked) - 1, rows[1].model_copy(update={"state": DifferenceState.RESOLVED, "version": 2}))
    assert shown.opened.state is DifferenceState.RESOLVED, "until the list was read again"
    shown.feed.renew(is_own=True)
    ask.answer(len(ask.asked) - 1, seen(Page(items=[rows[0], rows[2]])))
    assert shown.opened.id == rows[2].id
    shown.renew(is_own=False)
    assert shown.opened.id == rows[2].id, "what others do moves nobody"
    shown.acting.choose("ignore")
    shown.feed.reload()
    ask.answer(len(ask.asked) - 1, seen(Page(items=rows[:1])))
    assert shown.opened.id == rows[2].id, "nor what a person asks for while about to decide"
    shown.acting.drop()
    assert shown.opened.id == rows[0].id, "the list does not show the other any more"


def test_another_filter_leaves_nothing_in_front_that_its_list_does_not_show():
    rows = [difference(id=bill().id) for _ in range(3)]
    ask = Later()
    shown = Differences(ask, person(Role.FINANCE))
    shown.show_list()
    ask.answer(0, seen(Page(items=rows[:2])))
    shown.look_into(rows[0])
    shown.show(day=None, state=None, kind=DifferenceKind.FEE, channel=None)
    assert shown.opened is rows[0], "until the list is here"
    ask.answer(len(ask.asked) - 1, seen(Page(items=rows[1:])))
    assert (shown.opened, shown.acting.acts) == (None, ()), "the screen opens the first of it"
    shown.find(rows[0].id)
    found = len(ask.asked) - 1
    ask.answer(found, seen(rows[0]))
    shown.feed.reload()
    ask.answer(len(ask.asked) - 1, seen(Page(items=rows[2:])))
    assert shown.opened.id == rows[0].id, "another screen sent the person here for it"


def test_the_list_follows_the_day_unless_all_days_are_wanted():
    ask = Later()
    with clock.fixed(NOON):
        bench = Reconciliation(ask, person(Role.FINANCE))
        bench.open()
        assert (bench.books.day, bench.days.day, bench.differences.day) == (DAY, DAY, DAY)
        bench.differences.kind = DifferenceKind.FEE
        bench.step(1)
        assert bench.differences.day == DAY + timedelta(days=1)
        bench.step(1)
        assert bench.day == DAY + timedelta(days=1), "there is no day after today"
        bench.show_every_day(every_day=True)
    assert (bench.differences.day, bench.differences.kind) == (None, DifferenceKind.FEE)
    heard = Heard(Page(items=[]))
    heard.require_account = lambda: None
    heard.remember = False
    asyncio.run(ask.asked[-1][0](heard))
    assert heard.sent[0].query["open"] == "true"
    assert heard.sent[0].query["day"] is None
