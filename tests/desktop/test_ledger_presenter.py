"""The ledger without a display: names of accounts, postings, what two people do, and why payouts are frozen."""

import asyncio
from datetime import UTC, date, datetime

import pytest

from desktop.operations.ledger import AccountName
from desktop.presenters import words
from desktop.presenters.adjustments import Adjustments, NoAmount, NoSuchAccount, shown_transfer
from desktop.presenters.disputes import ENDED, PROPOSED, Disputes, facts_of, proposal, shares_of
from desktop.presenters.ledger_books import Accounts, Health, Journals
from desktop.presenters.reconciliation_books import full_name
from desktop.presenters.typed import NotAnAmount
from shared import clock, ids
from shared.contracts.ledger import (
    Account,
    Adjustment,
    AdjustmentTransfer,
    Dispute,
    DisputeShare,
    FoundAccount,
    Journal,
    LedgerFinding,
    LedgerHealth,
    Transfer,
)
from shared.errors import NotAnOrderCode
from shared.finance import AdjustmentState, DisputeState, JournalCode
from shared.permissions import Role
from tests.desktop.test_presenters_lists import Later, page_of
from tests.desktop.test_reconcile_presenter import seen
from tests.desktop.test_settlement_presenter import sent
from tests.desktop.window_program import person

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
XINGHE, OTHER = ids.new_id().hex, ids.new_id().hex


def account(kind, owner="", name="", side="L", debits=0, credits=0):
    net = debits - credits if side in "AE" else credits - debits
    return Account(
        kind=kind, owner=owner, name=name, side=side, debits_fen=debits, credits_fen=credits, balance_fen=net
    )


ACCOUNTS = [
    account("bank", side="A"),
    account("escrow"),
    account("psp_fee", "wechat", "wechat", side="E", debits=27),
    account("supplier_available", XINGHE, "星河数码", credits=4_275),
]


def adjustment(**other):
    facts = dict.fromkeys(Adjustment.model_fields)
    transfer = Transfer(
        debit_kind="loss",
        debit_owner="",
        credit_kind="supplier_available",
        credit_owner=XINGHE,
        credit_name="星河数码",
        amount_fen=1_000,
    )
    facts |= {
        "id": ids.new_id(),
        "state": AdjustmentState.PROPOSED,
        "transfers": [transfer],
        "reason": "补偿",
        "ticket": "T-1",
        "proposed_by": "周洁",
        "proposed_at": NOON,
        "check_note": "",
        "actions": ["check"],
        "version": 1,
    }
    return Adjustment.model_validate(facts | other)


def dispute(**other):
    facts = dict.fromkeys(Dispute.model_fields)
    facts |= {
        "id": ids.new_id(),
        "order_code": "7K3M9QX2H4TD",
        "channel": "wechat",
        "channel_no": "CB-1",
        "amount_fen": 4_500,
        "fine_fen": 0,
        "state": DisputeState.OPENED,
        "reason": "持卡人否认",
        "opened_by": "周洁",
        "opened_at": NOON,
        "shares": (DisputeShare(supplier="星河数码", share_fen=4_275, frozen_fen=3_000),),
        "note": "",
        "closed_note": "",
        "actions": ["close"],
        "version": 1,
    }
    return Dispute.model_validate(facts | other)


def test_accounts_are_named_as_people_name_them():
    assert full_name("psp_fee", "wechat") == "渠道手续费 · 微信支付"
    assert full_name("supplier_available", "星河数码") == "供应商可打款 · 星河数码"
    assert full_name("newer_kind", "") == "newer_kind"


def test_the_book_of_an_account_is_opened_once_and_on_a_day():
    ask = Later()
    with clock.fixed(NOON):
        shown = Accounts(ask)
        shown.open()
        ask.answer(0, page_of(*ACCOUNTS))
        shown.choose(ACCOUNTS[0])
        shown.choose(ACCOUNTS[0])
        assert len(ask.asked) == 3, "the same account is not read again"
        shown.turn_to(date(2026, 3, 9))
    assert shown.day == date(2026, 3, 2), "there is no day after today"


def test_each_transfer_of_a_journal_is_a_line():
    ask = Later()
    shown = Journals(ask)
    shown.show_order("7K3M9QX2H4TD")
    transfers = [
        Transfer(
            debit_kind="escrow", debit_owner="", credit_kind=kind, credit_owner=whose, credit_name=name, amount_fen=fen
        )
        for kind, whose, name, fen in (("supplier_pending", XINGHE, "星河数码", 4_275), ("fee", "", "", 225))
    ]
    journal = Journal(
        id=ids.new_id(),
        key="order:7K3M9QX2H4TD:sale",
        code=JournalCode.SALE,
        order_code="7K3M9QX2H4TD",
        occurred_at=NOON,
        posted_at=NOON,
        actor=None,
        memo="",
        transfers=transfers,
    )

    class Session:
        def require_account(self):
            return type("Account", (), {"scope": "s"})()

        remember = False

        async def ask(self, call, _answer):
            assert call.path == "/api/ledger/orders/7K3M9QX2H4TD"
            return [journal]

    engine = type("Engine", (), {"session": Session()})()
    ask.answer(0, asyncio.run(ask.asked[0][0](engine)))
    assert [cells[1:5] for cells in map(shown.feed.listing.cells, range(2))] == [
        ("销售分账", "买家已付待发货", "供应商待结算 · 星河数码", "¥42.75"),
        ("销售分账", "买家已付待发货", "平台服务费收入", "¥2.25"),
    ]
    assert len({posting.id for posting in shown.feed.rows}) == 2
    shown.show_day(shown.day)
    assert shown.code is None


NAMES = [
    AccountName("loss", "", ""),
    AccountName("psp_fee", "wechat", "wechat"),
    AccountName("supplier_available", XINGHE, "星河数码"),
    AccountName("supplier_available", OTHER, "星河数码"),
]


def proposing(about=None):
    ask = Later()
    shown = Adjustments(ask, person(Role.FINANCE))
    shown.propose(about)
    assert shown.proposing.chosen is None, "the accounts are read first"
    ask.answer(0, NAMES)
    return shown, ask


TYPED = {
    "debit.0": "损失",
    "credit.0": "供应商可打款 · 星河数码",
    "amount.0": "10",
    "debit.1": "",
    "credit.1": "",
    "amount.1": "",
    "ticket": "T-1",
    "reason": "补偿",
    "order_code": "",
}


def test_an_adjustment_names_its_accounts_and_is_proposed_once():
    shown, ask = proposing()
    assert [words[0] for words in shown.proposing.chosen.rows[0].usual] == [
        "供应商可打款 · 星河数码",
        f"供应商可打款 · 星河数码 #{OTHER[:8]}",
        "损失",
        "渠道手续费 · 微信支付",
    ], "two of one name are told apart"
    shown.proposing.carry_out(TYPED)
    made = adjustment()
    method, path, body = sent(ask.asked[-1][0], made)
    assert (method, path, body.id) == ("POST", "/api/ledger/adjustments", shown.proposing.attempt_id)
    assert body.transfers == [
        AdjustmentTransfer(debit_kind="loss", credit_kind="supplier_available", credit_owner=XINGHE, amount_fen=1_000)
    ]
    assert (body.ticket, body.reason, body.order_code) == ("T-1", "补偿", None)
    ask.asked[-1][1](made)
    assert shown.opened is made


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"debit.0": "买家已付待发货"}, NoSuchAccount),
        ({"credit.0": "某账户"}, NoSuchAccount),
        ({"amount.0": "十元"}, NotAnAmount),
        ({"amount.0": "0"}, NoAmount),
        ({"debit.1": "损失"}, NoSuchAccount),
    ],
)
def test_what_cannot_be_an_adjustment_is_said_before_it_is_sent(typed, error):
    shown, ask = proposing()
    shown.proposing.carry_out(TYPED | typed)
    assert isinstance(shown.proposing.error, error)
    assert len(ask.asked) == 1
    shown.proposing.carry_out(TYPED | {"order_code": "1234"})
    with pytest.raises(NotAnOrderCode):
        sent(ask.asked[1][0], adjustment())


def test_a_signed_day_is_corrected_today():
    shown, ask = proposing(("wechat", date(2026, 3, 1)))
    assert "更正 微信支付 2026-03-01 的账：已签署的数字不变" in shown.proposing.chosen.effect[0]
    row = {"debit.1": "渠道手续费 · 微信支付", "credit.1": "损失", "amount.1": "0.27"}
    shown.proposing.carry_out(TYPED | row)
    _method, _path, body = sent(ask.asked[-1][0], adjustment())
    assert (body.channel, body.day) == ("wechat", date(2026, 3, 1))
    assert [one.amount_fen for one in body.transfers] == [1_000, 27]


def test_an_adjustment_is_checked_by_another_or_withdrawn():
    shown = Adjustments(Later(), person(Role.FINANCE))
    for actions, keys in ((["check"], ["post", "refuse"]), (["withdraw"], ["withdraw"]), ([], [])):
        shown.look_into(adjustment(actions=actions))
        assert [act.key for act in shown.acting.acts] == keys
        assert shown.waits(adjustment(actions=actions)) == (actions == ["check"])
        shown.look_into(None)
    assert shown_transfer(adjustment().transfers[0]) == "损失 ← 供应商可打款 · 星河数码", "whose it is"


def test_a_dispute_ends_when_two_say_the_same():
    ask = Later()
    shown = Disputes(ask, person(Role.FINANCE))
    one = dispute(proposed_by="王敏", proposes_won=False, fine_fen=3_000, version=2)
    assert proposal(one) == "王敏 提议：已败诉 · ¥30.00"
    assert proposal(dispute()) == ""
    assert shares_of(one) == [("供应商份额 · 星河数码", "¥42.75"), ("其中已打款，未能冻结", "¥12.75")]
    shown.look_into(one)
    assert [act.key for act in shown.acting.acts] == ["lost", "won"], "what was proposed comes first"
    assert shown.waits(one)
    assert not shown.waits(dispute(proposed_by="周洁", proposes_won=True)), "it waits for another"
    shown.acting.choose("lost")
    assert [entry.value for entry in shown.acting.chosen.entries] == ["30.00", ""], "what the first person said"
    assert shown.acting.chosen.effect[0].startswith("冻结的份额付给渠道，已打款的由供应商欠着；")
    shown.acting.carry_out({"fine": "30", "note": "渠道已扣"})
    _method, path, body = sent(ask.asked[-1][0], one)
    assert path == f"/api/ledger/disputes/{one.id}/close"
    assert (body.won, body.fine_fen, body.note, body.version) == (False, 3_000, "渠道已扣", 2)
    told = []
    shown.acting.watch(lambda: told.append(shown.acting.said) if shown.acting.said else None)
    ask.asked[-1][1](dispute(proposed_by="周洁", proposes_won=False, fine_fen=2_000, version=3))
    assert set(told) == {PROPOSED}, "another fine is a proposal of its own"
    shown.look_into(one)
    shown.acting.choose("lost")
    shown.acting.carry_out({"fine": "30", "note": "渠道已扣"})
    two = {"proposed_by": "王敏", "proposed_at": NOON, "note": "证据不足", "closed_by": "周洁", "closed_at": NOON}
    over = dispute(state=DisputeState.LOST, **two, closed_note="渠道已扣", actions=[])
    ask.asked[-1][1](over)
    assert told[-1] == ENDED
    assert [(names[0], value) for names, value in facts_of(over)][-4:] == [
        ("提议", "王敏 2026-03-02 12:00:00"),
        ("提议说明", "证据不足"),
        ("结束", "周洁 2026-03-02 12:00:00"),
        ("结束说明", "渠道已扣"),
    ], "who of both, when, and why"


def test_a_dispute_is_opened_with_its_amount():
    ask = Later()
    shown = Disputes(ask, person(Role.FINANCE))
    shown.open_new()
    typed = {"order_code": "7k3m 9qx2 h4td", "amount": "45", "channel_no": "CB-1", "reason": "拒付"}
    shown.opening.carry_out(typed | {"amount": ""})
    assert isinstance(shown.opening.error, NoAmount)
    assert ask.asked == []
    told = []
    shown.opening.watch(lambda: told.append(shown.opening.said) if shown.opening.said else None)
    shown.opening.carry_out(typed)
    ask.asked[-1][1](dispute())
    assert told[-1][0] == "已登记；¥12.75 已打款，未能冻结"


def test_frozen_payouts_name_what_is_broken():
    ask = Later()
    health = Health(ask, may_see=True)
    health.open()
    assert health.warning == ""
    both = (("psp", "wechat"), ("supplier_pending", "星河数码"))
    accounts = tuple(FoundAccount(kind=kind, name=name) for kind, name in both)
    rows = [f"{one.kind} 0" for one in accounts]
    told = {"sentence": "日结与流水不符 / a closed day is not its transfers", "rows": rows, "accounts": accounts}
    broken = LedgerFinding(invariant="L2", **told)
    told = LedgerHealth(looked_at=NOON, read_everything_at=None, findings=[broken], payouts_frozen=True)
    ask.answer(0, seen(told))
    named = "渠道待到账 · 微信支付、供应商待结算 · 星河数码"
    assert health.warning == f"账目校验不通过，打款已冻结：L2 日结与流水不符（{named}）"
    words.speak("en")
    try:
        named = "Receivable from channels · WeChat Pay; Suppliers, not released · 星河数码"
        assert health.warning.endswith(f"payouts are frozen: L2 a closed day is not its transfers ({named})")
    finally:
        words.speak("zh")
    health.open()
    ask.answer(1, seen(told.model_copy(update={"findings": [], "payouts_frozen": False})))
    assert health.warning == ""
    supplier = Health(Later(), may_see=False)
    supplier.open()
    assert supplier._ask.asked == []
