"""What exceptions, refunds and channels say, without a display: words, order of what may be done, and old answers."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from desktop.engine.transport import NoAnswer, ServerFault, Unreachable
from desktop.operations.once import NotSent, OutcomeUnknown, send_once
from desktop.operations.seen import Seen
from desktop.presenters import channels, words
from desktop.presenters.channels import trouble
from desktop.presenters.exceptions import Exceptions, amount_of, evidence
from desktop.presenters.refunds import Refunds, whose
from desktop.presenters.runbook import RUNBOOK
from desktop.presenters.words import time_left
from shared import clock, ids
from shared.contracts.payments import Channel, ChannelBills, Evidence, PaymentException, Refund, RefundLine
from shared.errors import Busy, Conflict
from shared.permissions import Role
from shared.states import (
    ExceptionAction,
    ExceptionKind,
    ExceptionState,
    RefundCause,
    RefundPolicy,
    RefundReason,
    RefundState,
    RefundTurn,
)
from tests.desktop.test_presenters_lists import Later
from tests.desktop.window_program import person

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def exception(**other):
    facts = dict.fromkeys(PaymentException.model_fields)
    facts |= {
        "id": ids.new_id(),
        "kind": ExceptionKind.UNKNOWN_PAYMENT,
        "state": ExceptionState.OPEN,
        "channel": "wechat",
        "out_trade_no": "N-1",
        "received_fen": 4_500,
        "created_at": NOON,
        "open": True,
        "actions": [ExceptionAction.REFUND, ExceptionAction.ATTACH],
        "proposed_by_reader": False,
        "evidence": [],
        "version": 1,
    }
    return PaymentException.model_validate(facts | other)


def refund(**other):
    facts = dict.fromkeys(Refund.model_fields)
    line = RefundLine(order_line_id=ids.new_id(), sku="STEAM-50", title="Steam", quantity=1, seqs=[1], amount_fen=4_500)
    facts |= {
        "id": ids.new_id(),
        "amount_fen": 4_500,
        "cause": RefundCause.BUYER,
        "reason_kind": RefundReason.DEFECTIVE,
        "reason": "",
        "policy": RefundPolicy.DEFECT_ONLY,
        "wants_replacement": False,
        "state": RefundState.SUPPLIER_WAIT,
        "turn": RefundTurn.SUPPLIER,
        "asked_at": NOON,
        "due_at": NOON + timedelta(hours=24),
        "lines": [line],
        "events": [],
        "images": [],
        "actions": ["answer"],
        "version": 1,
    }
    return Refund.model_validate(facts | other)


BILLS = dict.fromkeys(ChannelBills.model_fields) | {
    "read_until": "2026-03-01",
    "missing": 0,
    "others": 0,
    "others_fen": 0,
}


def channel(**other):
    facts = dict.fromkeys(Channel.model_fields)
    facts |= {"code": "wechat", "enabled": True, "open_attempts": 14, "unknown": 0, "found": {}, "version": 1}
    return Channel.model_validate(facts | other)


@pytest.mark.parametrize(
    ("left", "zh", "en"),
    [
        (timedelta(hours=23, minutes=59, seconds=30), "剩 24 小时 0 分", "24h 0m left"),
        (timedelta(hours=50), "剩 2 天", "2 days left"),
        (timedelta(seconds=1), "剩 1 分钟", "1 min left"),
        (timedelta(0), "已到时间", "time is up"),
        (timedelta(minutes=-3), "已到时间", "time is up"),
    ],
)
def test_time_that_is_left(left, zh, en):
    assert time_left(NOON + left, now=NOON) == zh
    words.speak("en")
    try:
        assert time_left(NOON + left, now=NOON) == en
    finally:
        words.speak("zh")


def test_every_kind_of_exception_says_what_to_do():
    assert set(RUNBOOK) == set(ExceptionKind)
    assert all(zh and en for zh, en in RUNBOOK.values())


def test_evidence_is_in_words_and_what_is_new_stands_as_it_is():
    told = [("found_by", "bill"), ("received_fen", "4500"), ("paid_at", NOON.isoformat()), ("provider_no", "42")]
    told += [
        ("channel_state", "refunded"),
        ("said", "PAYMENT_GONE"),
        ("trouble", "too_late"),
        ("weather", "rain"),
        ("expected_fen", "?"),
        ("ended_at", "never"),
    ]
    dollars = [Evidence(name=name, value=value) for name, value in (("currency", "USD"), ("received_fen", "4500"))]
    foreign = exception(expected_fen=30_000, evidence=dollars)
    assert (amount_of(foreign), [fact.value for fact in evidence(foreign)]) == ("USD 45.00", ["USD", "USD 45.00"])
    assert amount_of(exception()) == "¥45.00"
    shown = evidence(exception(evidence=[Evidence(name=name, value=value) for name, value in told]))
    assert [(fact.words, fact.value, fact.is_code) for fact in shown] == [
        ("发现方式", "渠道账单", False),
        ("实收", "¥45.00", False),
        ("支付时间", "2026-03-02 12:00:00", False),
        ("渠道流水号", "42", True),
        ("渠道状态", "已退款", False),
        ("渠道说明", "PAYMENT_GONE", False),
        ("受阻原因", "已超过支付渠道允许的退款期限，请线下处理。", False),
        ("weather", "rain", False),
        ("应收", "?", False),
        ("失效时间", "never", False),
    ]


def test_who_proposed_does_not_wait_for_and_cannot_approve():
    screen = Exceptions(Later(), person(Role.OPERATOR))
    proposed = {"state": ExceptionState.PROPOSED, "action": ExceptionAction.REFUND, "actions": []}
    mine, theirs = (exception(**proposed, proposed_by_reader=is_mine) for is_mine in (True, False))
    assert [act.key for act in screen.acts_of(mine)] == ["send_back"]
    assert [act.key for act in screen.acts_of(theirs)] == ["approve", "send_back"]
    assert (screen.waits(mine), screen.waits(theirs), screen.waits(exception())) == (False, True, True)
    assert not screen.waits(exception(state=ExceptionState.WORKING))


def test_an_old_answer_does_not_take_the_place_of_a_newer_one():
    ask = Later()
    screen = Exceptions(ask, person(Role.OPERATOR))
    seen = exception(version=3)
    screen.look_into(seen)
    screen.read_again()
    ask.answer(-1, Seen(value=seen.model_copy(update={"version": 2}), as_of=NOON, live=False))
    assert screen.opened.version == 3
    screen.read_again()
    ask.answer(-1, Seen(value=seen.model_copy(update={"version": 4}), as_of=NOON, live=True))
    assert screen.opened.version == 4


@pytest.mark.parametrize(
    ("other", "acts"),
    [
        ({}, ["agree", "replace", "refuse"]),
        ({"wants_replacement": True}, ["replace", "agree", "refuse"]),
        ({"lines": []}, ["agree", "refuse"]),
        ({"actions": ["answer", "decide"]}, ["approve", "replace_by_shop", "decline"]),
        ({"actions": ["check"]}, ["check", "stop"]),
        ({"actions": ["stop"]}, ["stop"]),
        ({"actions": ["retry"]}, ["retry"]),
        ({"actions": []}, []),
    ],
)
def test_what_the_buyer_hopes_for_comes_first(other, acts):
    screen = Refunds(Later(), person(Role.ADMIN))
    assert [act.key for act in screen.acts_of(refund(**other))] == acts


def test_whose_turn_it_is():
    with clock.fixed(NOON):
        assert whose(refund()) == "供应商 · 剩 24 小时 0 分"
        assert whose(refund(turn=RefundTurn.CHANNEL, due_at=None)) == "支付渠道"
        assert whose(refund(turn=None)) == "–"
    mine = {role: Refunds(Later(), person(role)).turns for role in Role}
    # One that its channel could not carry out waits for the shop, which can only ask again; not while it is on its way.
    shop = Refunds(Later(), person(Role.OPERATOR))
    hung = {"state": RefundState.ABNORMAL, "actions": ["retry"], "due_at": None}
    assert shop.waits(refund(**hung, turn=RefundTurn.SHOP))
    assert not shop.waits(refund(**hung | {"state": RefundState.PROCESSING}, turn=RefundTurn.CHANNEL))
    assert mine == {
        Role.ADMIN: (RefundTurn.SHOP, RefundTurn.FINANCE),
        Role.OPERATOR: (RefundTurn.SHOP,),
        Role.FINANCE: (RefundTurn.FINANCE,),
        Role.SUPPLIER: (RefundTurn.SUPPLIER,),
    }


def test_a_channel_shows_how_its_bills_stand_and_by_which_ways_its_money_was_learnt_of():
    columns = {column.key: column for column in channels.COLUMNS}
    well = channel(bills=BILLS | {"others": 3, "others_fen": 4_201}, found={"callback": 995, "sweep": 4, "bill": 1})
    assert (columns["bill"].text(well), columns["state"].text(well)) == ("读至 03-01", "正常")
    assert columns["bill"].tip(well) == "最近一份账单里有同一商户号的其他业务 3 笔，共 ¥42.01"
    assert columns["found"].text(well) == "通知 99% · 定时 <1% · 账单 <1%"
    missing = channel(bills=BILLS | {"missing": 1, "since": "2026-03-02", "trouble": "refused", "why": "NO_AUTH"})
    assert (columns["bill"].text(missing), columns["state"].text(missing)) == ("缺 03-02", "账单未读到")
    assert columns["bill"].tip(missing) == "微信支付 03-02 的账单未读到（渠道拒绝提供）\nNO_AUTH"
    assert [columns[key].text(channel()) for key in ("bill", "found")] == ["–", "–"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({}, ""),
        ({"unknown": 12}, "微信支付有 12 单待确认"),
        ({"away_since": NOON, "unknown": 12}, "微信支付查询异常（12:00:00 起），12 单待确认"),
        ({"bills": BILLS}, ""),
        (
            {"bills": BILLS | {"missing": 2, "since": "2026-03-01", "trouble": "damaged"}, "unknown": 1},
            "微信支付有 1 单待确认；微信支付 03-01 的账单未读到（文件损坏或校验不符），共 2 天",
        ),
        ({"clock_off_seconds": 60}, ""),
        ({"clock_off_seconds": -61}, "服务器时钟与微信支付相差 61 秒，请校准，否则渠道会拒绝请求"),
    ],
)
def test_what_everybody_is_told_of_a_channel(other, told):
    with clock.fixed(NOON):
        assert trouble(channel(**other)) == told


class _Session:
    def __init__(self, error):
        self.error, self.asked = error, 0

    async def ask(self, _call, _answer):
        self.asked += 1
        raise self.error


class _Engine:
    def __init__(self, error):
        self.session = _Session(error)


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (Unreachable(server="s", reason="nobody_listens"), NotSent),
        (Unreachable(server="s", reason="Connection reset by peer"), OutcomeUnknown),
        (NoAnswer(server="s"), OutcomeUnknown),
        (ServerFault(request_id="r"), OutcomeUnknown),
        (Busy(retry_after_seconds=1), Busy),
        (Conflict(), Conflict),
    ],
)
def test_money_is_sent_once_and_a_missing_answer_is_no_promise(error, becomes):
    engine = _Engine(error)
    with pytest.raises(becomes):
        asyncio.run(send_once(engine, None, Refund))
    assert engine.session.asked == 1
