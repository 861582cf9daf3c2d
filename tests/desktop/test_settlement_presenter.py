"""Settlement without a display: sums, reasons, what may be done, and the files to and from the bank."""

import asyncio
import csv
import io
from datetime import UTC, datetime

import openpyxl
import pytest

from desktop.exporting.instructions import InstructionFile, TargetNotATable, attention
from desktop.importing.results import ResultsDoNotRead, ResultsEmpty, ResultsWithoutColumns, read_results
from desktop.operations import settlement
from desktop.operations.once import OutcomeUnknown
from desktop.presenters import words
from desktop.presenters.due import MAKE, MAKE_SOME, Due, figures, holds_words, waits_words
from desktop.presenters.holds import FREE, HOLD, Holds, what_is_held
from desktop.presenters.payouts import Payouts, Results, paid_to, shown_bad, warnings
from desktop.presenters.statement_acts import CONFIRM, PAY
from desktop.presenters.statements import LINE_COLUMNS, Statements, afterwards, bill_row, drilled, left_over, sums
from desktop.presenters.terms import SupplierTerms, terms_words
from desktop.presenters.typed import NotADay
from shared import clock, ids
from shared.contracts.settlement import Hold, PayoutResultsTaken, SupplierAccount, Terms
from shared.errors import Conflict
from shared.finance import Cycle, HoldReason, PayoutState, ReleaseFrom, StatementState
from shared.permissions import Role
from tests.desktop.settlement_rows import DAY, NOON, XINGHE, due, due_line, instruction, line, payout, statement
from tests.desktop.test_presenters_lists import Later, page_of
from tests.desktop.test_reconcile_presenter import Heard, seen
from tests.desktop.window_program import person


def sent(work, answer):
    """What an operation would send: method, path and body."""
    engine = Heard(answer)
    asyncio.run(work(engine))
    [call] = engine.sent
    return call.method, call.path, call.body


def test_a_statement_adds_up_and_says_what_is_left_over():
    one = statement()
    assert [(line.words, line.amount, line.is_total) for line in sums(one)] == [
        ("结算释放", "¥128.25", False),
        ("退款扣减", "-¥4.27", False),
        ("上期结转", "¥0.00", False),
        ("打款手续费", "-¥1.00", False),
        ("应付", "¥122.98", True),
    ]
    assert left_over(one) == 0
    short = statement(owed_fen=20_000, payable_fen=0, payout_fee_fen=0)
    assert left_over(short) == 20_000 - 12_825 + 427
    won = statement(owed_fen=-500)
    assert [(line.words, line.amount) for line in sums(won)][2] == ("上期结转", "¥5.00")


def test_a_statement_says_what_became_of_it_and_its_lines_add_up():
    assert afterwards(statement()) == []
    paid = statement(state=StatementState.PAID, withheld_fen=1_000, paid_fen=11_298)
    assert afterwards(paid) == [("确认后的退款与拒付扣减", "-¥10.00"), ("已打款到账", "¥112.98")]
    one = line(
        discount_fen=500, commission_fen=450, net_fen=4_325, lost_fen=1_000, distributor="老周", dispute_no="CB-1"
    )
    told = {name: value for name, value, _is_code in drilled(one)}
    parts = ("订单金额", "店铺优惠", "平台服务费", "分销佣金")
    listed = {column.key: column.text(one) for column in LINE_COLUMNS}
    assert (listed["fee"], listed["net"]) == (told["平台服务费"], told["结算金额"]), "in the list as at its side"
    assert [told[name] for name in (*parts, "结算金额")] == ["¥45.00", "¥5.00", "-¥2.25", "-¥4.50", "¥43.25"]
    assert (told["此前争议败诉"], told["分销商"], told["争议单号"]) == ("¥10.00", "老周", "CB-1")
    assert "此前已退款" not in told


def test_a_line_leads_down_to_the_row_of_the_bill():
    told = {name: value for name, value, _is_code in drilled(line())}
    assert told["卡密批次"] == "三月.xlsx"
    assert (told["商户订单号"], told["渠道流水号"]) == ("KM-1", "4300-1")
    assert told["渠道账单"] == "2026-03-02 第 12 行"
    assert "退款单号" not in told
    theirs = line(payment_channel=None, payment_no=None, provider_no=None, bill_day=None, bill_row=None)
    assert bill_row(theirs) == "–"
    assert not {"支付渠道", "商户订单号", "渠道流水号", "渠道账单"} & {name for name, _value, _code in drilled(theirs)}


@pytest.mark.parametrize(
    ("actions", "keys"), [(["confirm", "drop"], ["confirm", "drop"]), (["pay"], ["pay"]), ([], [])]
)
def test_only_what_the_server_allows_is_offered(actions, keys):
    shown = Statements(Later(), person(Role.FINANCE))
    shown.look_into(statement(actions=actions))
    assert [act.key for act in shown.acting.acts] == keys
    assert shown.waits(statement(actions=actions)) == bool(actions)


def test_confirming_sends_the_version_that_was_seen():
    ask = Later()
    shown = Statements(ask, person(Role.FINANCE))
    one = statement(version=3)
    shown.look_into(one)
    shown.acting.choose(CONFIRM)
    assert "¥128.25 从待结算转为可打款" in shown.acting.chosen.effect[0]
    shown.acting.carry_out({"note": " 已核对 "})
    done = statement(id=one.id, state=StatementState.CONFIRMED, actions=["pay"], version=4)
    method, path, body = sent(ask.asked[-1][0], done)
    assert (method, path) == ("POST", f"/api/settlement/statements/{one.id}/confirm")
    assert (body.note, body.version) == ("已核对", 3)
    ask.asked[-1][1](done)
    assert [act.key for act in shown.acting.acts] == [PAY]


def test_a_payout_that_is_tried_again_is_the_same_payout():
    ask = Later()
    shown = Statements(ask, person(Role.FINANCE))
    one = statement(state=StatementState.CONFIRMED, actions=["pay"])
    shown.look_into(one)
    shown.acting.choose(PAY)
    ids_sent = []
    for _ in range(2):
        shown.acting.carry_out({"note": ""})
        at = len(ask.asked) - 1
        engine = Heard(payout())
        with pytest.raises(AttributeError):  # the second question needs more of an engine than this
            asyncio.run(ask.asked[at][0](engine))
        ids_sent.append(engine.sent[0].body.id)
        assert engine.sent[0].body.statements == [one.id]
        ask.fail(at, OutcomeUnknown())
    assert ids_sent[0] == ids_sent[1]
    shown.acting.drop()
    shown.acting.choose(PAY)
    assert shown.acting.attempt_id != ids_sent[0], "another wish is another payout"


@pytest.mark.parametrize(
    ("agreed", "told"),
    [
        ({"cycle": Cycle.D0, "n": 0}, "经销 · D+0（17:00 前的当日结） · 发货时起算"),
        ({"cycle": Cycle.WEEKLY, "n": 7}, "经销 · 每周星期日 · 发货时起算"),
        (
            {"cycle": Cycle.WORKING_DAYS, "n": 1, "hold_days": 7, "minimum_fen": 10_000, "payout_fee_fen": 100},
            "经销 · T+1（工作日） · 发货时起算 · 再等 7 天 · 满 ¥100.00 起结 · 打款手续费 ¥1.00",
        ),
    ],
    ids=["same day", "weekly", "all of it"],
)
def test_terms_are_told_in_a_line(agreed, told):
    facts = {
        "supplier_id": XINGHE,
        "supplier": "星河数码",
        "mode": "purchase",
        "cutoff": "17:00",
        "release_from": ReleaseFrom.DELIVERED,
        "hold_days": 0,
        "minimum_fen": 0,
        "payout_fee_fen": 0,
        "tier": "standard",
        "valid_from": NOON,
        "changed_by": "周洁",
        "version": 1,
    }
    assert terms_words(Terms.model_validate(facts | agreed)) == told


def test_terms_as_they_were_seen_offline_are_not_agreed_on_again():
    facts = dict.fromkeys(Terms.model_fields, 0) | {"supplier_id": XINGHE, "supplier": "星河数码", "valid_from": NOON}
    words_of_it = {"mode": "purchase", "cycle": Cycle.D0, "cutoff": "17:00", "release_from": ReleaseFrom.DELIVERED}
    texts = {"tier": "standard", "receiver": "", "bank": "", "changed_by": "周洁", "account": "…7890"}
    one = Terms.model_validate(facts | words_of_it | texts)
    for live, keys in ((False, []), (True, ["edit"])):
        ask = Later()
        shown = SupplierTerms(ask, person(Role.FINANCE))
        shown.show_list()
        ask.answer(0, page_of(one, live=live))
        shown.choose(one)
        assert [act.key for act in shown.acting.acts] == keys


def looking_at(*rows, role=Role.FINANCE):
    ask = Later()
    with clock.fixed(NOON):
        shown = Due(ask, person(role))
        shown.open()
        ask.answer(1, page_of(*rows))  # the first question is about terms
    return shown, ask


def test_what_is_due_says_why_the_rest_waits():
    assert holds_words(due()) == "未到结算日 1 · 退款处理中 1"
    assert holds_words(due(blocked=HoldReason.BELOW_MINIMUM, holds={})) == "未达起结金额"
    assert holds_words(due(holds={})) == "–"
    assert waits_words(due_line()) == ""
    held = due_line(hold=HoldReason.BY_PERSON, hold_note="合同到期")
    assert waits_words(held) == "人工暂缓 · 合同到期"
    words.speak("en")
    try:
        assert waits_words(held) == "Held by a person · 合同到期"
    finally:
        words.speak("zh")


def test_statements_are_made_for_all_that_have_something_due():
    other = due(supplier_id=ids.new_id(), supplier="北辰", payable_fen=1_000)
    blocked = due(supplier_id=ids.new_id(), blocked=HoldReason.BELOW_MINIMUM)
    shown, ask = looking_at(due(), other, blocked)
    assert shown.chosen.supplier == "星河数码"
    assert [act.key for act in shown.acting.acts] == [MAKE, MAKE_SOME, HOLD]
    with clock.fixed(NOON):
        shown.acting.choose(MAKE)
        assert "2 家供应商截至 2026-03-02 可结的 ¥95.50" in shown.acting.chosen.effect[0]
        shown.acting.carry_out({})
    assert ask.asked[-1][0].keywords == {"run_id": shown.acting.attempt_id, "day": DAY, "suppliers": None}
    ask.fail(len(ask.asked) - 1, Conflict())
    with clock.fixed(NOON):
        shown.acting.choose(MAKE_SOME)
        shown.acting.carry_out({})
    making = [work for work, _then, _otherwise in ask.asked if hasattr(work, "keywords")][-1]
    assert making.keywords["suppliers"] == [XINGHE]
    shown.acting.drop()
    shown.pick([other, blocked])
    assert shown.acting.act(MAKE_SOME).words[0] == "只给“北辰”生成"
    shown.pick([due(), other, blocked])
    assert [act.key for act in shown.acting.acts] == [MAKE, HOLD], "all that have something due are picked"


@pytest.mark.parametrize(("month", "years"), [(3, [2026]), (11, [2026, 2027])])
def test_from_november_on_the_next_years_holidays_count(monkeypatch, month, years):
    async def unknown(_engine, asked):
        assert asked == years
        return asked[1:]

    monkeypatch.setattr(settlement, "unknown_years", unknown)
    ask = Later()
    shown = Due(ask, person(Role.FINANCE))
    with clock.fixed(NOON.replace(month=month)):
        shown.open()
    work, then, _otherwise = ask.asked[-1]
    then(asyncio.run(work(None)))
    assert shown.unknown_year == (2027 if month == 11 else None)
    idle = Later()
    Due(idle, person(Role.SUPPLIER)).open()
    assert len(idle.asked) == 2, "who cannot enter them is not told"


def test_an_order_is_held_from_its_line_and_a_day_is_a_day():
    shown, ask = looking_at(due())
    shown.look_at_line(due_line())
    shown.acting.choose(HOLD)
    shown.acting.carry_out({"reason": "买家投诉", "until": "下周"})
    assert isinstance(shown.acting.error, NotADay)
    shown.acting.carry_out({"reason": "买家投诉", "until": "2026-03-09"})
    held = ask.asked[-1][0].keywords["new"]
    assert (held.order_code, held.supplier_id, held.reason) == ("7K3M9QX2H4TD", None, "买家投诉")


def test_what_was_held_is_let_go_and_leaves_the_list():
    ask = Later()
    shown = Holds(ask, person(Role.FINANCE))
    shown.show_list()
    facts = dict.fromkeys(Hold.model_fields) | {"reason": "合同到期", "held_by": "周洁", "held_at": NOON}
    order = Hold.model_validate(facts | {"id": ids.new_id(), "order_code": "7K3M9QX2H4TD"})
    whole = Hold.model_validate(facts | {"id": ids.new_id(), "supplier": "星河数码"})
    assert [what_is_held(one) for one in (order, whole)] == ["7K3M-9QX2-H4TD", "供应商 星河数码 的全部"]
    ask.answer(0, page_of(order, whole))
    shown.choose(order)
    shown.acting.choose(FREE)
    shown.acting.carry_out({})
    method, path, _body = sent(ask.asked[1][0], order)
    assert (method, path) == ("DELETE", f"/api/settlement/holds/{order.id}")
    ask.answer(1, order)
    ask.answer(2, page_of(whole))
    assert (shown.chosen, shown.acting.acts) == (None, ())


def test_a_supplier_sees_and_does_nothing():
    shown, ask = looking_at(due(), role=Role.SUPPLIER)
    assert shown.acting.acts == ()
    account = SupplierAccount(
        supplier_id=XINGHE,
        supplier="星河数码",
        pending_fen=4_275,
        available_fen=8_550,
        frozen_fen=0,
        owed_fen=0,
        in_payout_fen=100,
        paid_out_fen=200,
        next_due_on=DAY,
    )
    ask.answer(len(ask.asked) - 1, seen(account))
    assert [value for _name, value in figures(shown.account)] == [
        "¥42.75",
        "¥85.50",
        "¥0.00",
        "¥0.00",
        "¥1.00",
        "¥2.00",
        "2026-03-02",
    ]
    shown = Statements(Later(), person(Role.SUPPLIER))
    shown.count_waiting()
    assert shown._ask.asked == [], "no number at a supplier's place"


@pytest.mark.parametrize(
    ("state", "actions", "keys"),
    [
        (PayoutState.REQUESTED, ["check", "withdraw"], ["approve", "refuse", "withdraw"]),
        (PayoutState.REQUESTED, ["withdraw"], ["withdraw"]),
        (PayoutState.APPROVED, ["send", "withdraw"], ["send", "withdraw"]),
        (PayoutState.SENT, ["confirm", "fail"], ["confirm", "fail"]),
        (PayoutState.CONFIRMED, ["fail"], ["fail"]),
        (PayoutState.FAILED, [], []),
    ],
)
def test_a_payout_goes_one_step_at_a_time(state, actions, keys):
    shown = Payouts(Later(), person(Role.FINANCE))
    one = payout(state=state, actions=actions)
    shown.look_into(one)
    assert [act.key for act in shown.acting.acts] == keys
    assert shown.waits_for_second == (state is PayoutState.REQUESTED and "check" not in actions)


def test_who_checks_a_payout_reads_where_it_goes_and_what_became_of_those_before():
    lost = {"number": "DK-1", "amount_fen": 100, "ended_at": NOON, "reference": "", "note": "户名不符"}
    back = lost | {"number": "DK-2", "arrived_at": NOON, "reference": "TH-1", "note": "退汇"}
    account = {"receiver": "星河数码有限公司", "account": "7559 0001", "bank": "招商银行", "is_new_account": True}
    taken = {"number": "DK-3", "arrived_at": None, "state": PayoutState.REFUSED, "note": "账号有误"}
    part = back | {"number": "DK-4", "state": PayoutState.CONFIRMED, "back_fen": 40, "reference": "HT-1", "note": ""}
    one = payout(**account, fee_fen=50, earlier=[lost | {"arrived_at": None}, back, lost | taken, part])
    assert paid_to(one) == [
        ("收款方", "星河数码有限公司", False),
        ("收款账号", "7559 0001", True),
        ("开户行", "招商银行", False),
        ("打款手续费", "¥0.50", False),
    ]
    assert warnings(one) == [
        "首次向此账户打款，请核实。",
        "DK-1 打款失败：户名不符 · ¥1.00",
        "DK-2 已到账后退回：退汇 · TH-1 · ¥1.00",
        "DK-3 未通过复核，或通过后撤回：账号有误 · ¥1.00",
        "DK-4 有一部分未到账或已回退：HT-1 · ¥0.40",
    ]
    assert warnings(one.model_copy(update={"state": PayoutState.FAILED, "earlier": ()})) == [], "it is over"
    split = payout(state=PayoutState.CONFIRMED, arrived_fen=8_000, returned_fen=775)
    assert paid_to(split) == [("实际到账", "¥80.00", False), ("分账回退", "¥7.75", False)]
    assert warnings(split) == []


def test_a_payout_that_had_arrived_comes_back_with_the_banks_number():
    def needed(state):
        shown = Payouts(Later(), person(Role.FINANCE))
        [fail] = shown.acts_of(payout(state=state, actions=["fail"]))
        return [entry.key for entry in fail.entries if entry.needed]

    assert needed(PayoutState.SENT) == ["note"]
    assert needed(PayoutState.CONFIRMED) == ["note", "reference"]


def test_what_is_typed_reaches_the_server():
    for actions, key, typed, body in (
        (["check"], "refuse", {"note": "账户有误"}, {"approve": False, "note": "账户有误"}),
        (["send"], "send", {"reference": "ICBC-1"}, {"reference": "ICBC-1", "note": ""}),
        (["send"], "send", {"reference": ""}, {"reference": "", "note": ""}),
        (["fail"], "fail", {"note": "户名不符"}, {"reference": "", "note": "户名不符"}),
        (["fail"], "fail", {"note": "退汇", "reference": "TH-1"}, {"reference": "TH-1", "note": "退汇"}),
    ):
        ask = Later()
        shown = Payouts(ask, person(Role.FINANCE))
        shown.look_into(payout(actions=actions, version=2))
        shown.acting.choose(key)
        shown.acting.carry_out(typed)
        _method, _path, said = sent(ask.asked[-1][0], payout())
        assert {name: getattr(said, name) for name in body} == body
        assert said.version == 2


def written(asked, target, *, language):
    with InstructionFile(target, language=language) as file:
        rows = file.write(asked)
        file.put()
    return rows


@pytest.mark.parametrize("language", ["zh", "en"])
def test_instructions_are_written_for_the_bank(tmp_path, language):
    odd = {"receiver": "=HYPERLINK(1)", "remark": "-1", "trouble": "too_late", "channel": "wechat"}
    odd["start_at"] = datetime(2026, 3, 2, 2, 1, tzinfo=UTC)
    asked = [instruction(account="7559 0001", bank="招商银行"), instruction(**odd, kind="unfreeze")]
    book, text = tmp_path / "打款.xlsx", tmp_path / "打款.csv"
    assert written(asked, book, language=language) == 2
    assert written(asked, text, language=language) == 2
    sheet = openpyxl.load_workbook(book).active
    head, first, second = list(sheet.iter_rows(values_only=True))
    assert head[0] == {"zh": "打款单号", "en": "Payout"}[language]
    word = {"zh": "转账", "en": "Transfer"}[language]
    assert first[:4] == ("DK20260302-001", "DK20260302-001", word, "星河数码")
    assert first[4:8] == ("7559 0001", "招商银行", 122.98, "JS20260302-001")
    assert second[2] == {"zh": "解冻剩余资金", "en": "Unfreeze the rest"}[language]
    assert (second[3], sheet["D3"].data_type, sheet["E2"].data_type) == ("=HYPERLINK(1)", "s", "s")
    rows = list(csv.reader(io.StringIO(text.read_bytes().decode("utf-8-sig"))))
    assert rows[1][6] == "122.98"
    assert (rows[2][8], rows[2][12]) == ({"zh": "微信支付", "en": "WeChat Pay"}[language], "2026-03-02 10:01:00")
    assert (rows[2][3], rows[2][7]) == ("'=HYPERLINK(1)", "'-1")
    assert rows[2][14].endswith({"zh": "期限，请登记为失败", "en": " split: say that it failed"}[language])
    assert attention(instruction(trouble="no_payment").rows[0]).zh == "超出可分账的部分，请转账；缺收款账号"
    with pytest.raises(TargetNotATable):
        InstructionFile(tmp_path / "打款.doc", language=language)
    for is_put in (False, True):
        before = text.read_bytes()
        with InstructionFile(text, language=language) as file:
            assert (file.write(asked), file.write(asked[:1])) == (2, 1)
            if is_put:
                file.put()
        assert (text.read_bytes() == before) is not is_put, "all is as it was, unless it was put there"
    assert len(text.read_bytes().splitlines()) == 2, "what was written last"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["打款.csv", "打款.xlsx"]


def test_results_are_read_from_text_and_from_a_workbook(tmp_path):
    text, book = tmp_path / "回单.csv", tmp_path / "result.xlsx"
    text.write_bytes(
        '工商银行回单\n打款单号,金额(元),结果,银行流水号,失败原因\nDK-1,122.98,成功,BK1,\nDK-2,"1,000",失败,,户名不符\n'.encode(
            "gb18030"
        )
    )
    made = openpyxl.Workbook()
    for row in (("Number", "Amount", "Result", "Reference", "Reason"), ("DK-1", 122.98, True, "BK1", None)):
        made.active.append(row)
    made.active.append(("DK-2", 1000, "failed", None, "户名不符"))
    made.save(book)
    for file, first in ((text, 3), (book, 2)):
        read = read_results(file)
        assert [row.line for row in read.rows] == [first, first + 1]
        assert [row.model_dump(exclude={"line"}) for row in read.rows] == [
            {"number": "DK-1", "amount_fen": 12_298, "succeeded": True, "reference": "BK1", "reason": ""},
            {"number": "DK-2", "amount_fen": 100_000, "succeeded": False, "reference": "", "reason": "户名不符"},
        ]
        assert (read.name, len(read.sha256)) == (file.name, 64)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_instruction_with_a_column_of_results_is_read_row_by_row(tmp_path, language):
    book = tmp_path / "打款.xlsx"
    asked = [instruction(request_no=f"DK-1-{n}", amount_fen=100 + n, kind="split") for n in (1, 2)]
    written(asked, book, language=language)
    told = openpyxl.load_workbook(book)
    told.active["P1"], told.active["P2"], told.active["P3"] = {"zh": "结果", "en": "Result"}[language], "成功", "yes"
    told.save(book)
    assert [(row.number, row.amount_fen, row.succeeded) for row in read_results(book).rows] == [
        ("DK-1-1", 101, True),
        ("DK-1-2", 102, True),
    ]


def test_every_row_that_does_not_fit_is_told_with_its_line(tmp_path):
    file = tmp_path / "回单.csv"
    file.write_text(
        "打款单号,金额,结果,流水号,原因\nDK-1,1.00,成功,,\nDK-1,1.00,成功,,\n,1.00,成功,,\n\n"
        "DK-3,一元,成功,,\nDK-4,1.00,处理中,,\nDK-5,1.00,失败,,\nDK-6,0,成功,,\n",
        "utf-8",
    )
    with pytest.raises(ResultsDoNotRead) as raised:
        read_results(file)
    assert [shown_bad(row) for row in raised.value.rows] == [
        "第 3 行：打款单号与第 2 行重复",
        "第 4 行：没有打款单号",
        "第 6 行：金额“一元”不是数",
        "第 7 行：结果“处理中”不是成功或失败",
        "第 8 行：失败要写原因",
        "第 9 行：金额“0”不是数",
    ]
    file.write_text("打款单号,流水号\nDK-1,BK\n", "utf-8")
    with pytest.raises(ResultsWithoutColumns, match="amount"):
        read_results(file)
    file.write_text("打款单号,金额,结果\n", "utf-8")
    with pytest.raises(ResultsEmpty):
        read_results(file)


def test_a_result_file_is_sent_at_a_press_and_again_as_the_same_file(tmp_path):
    ask, refreshed = Later(), []
    results = Results(ask, lambda: refreshed.append(True))
    file = tmp_path / "回单.csv"
    file.write_text("打款单号,金额,结果\nDK-1,122.98,成功\n", "utf-8")
    results.take(file)
    read = asyncio.run(ask.asked[0][0](None))
    ask.answer(0, read)
    assert (results.file, results.busy, len(ask.asked)) == (read, False, 1), "reading sends nothing"
    bodies = []
    for at in (1, 2):
        results.send()
        bodies.append(sent(ask.asked[at][0], PayoutResultsTaken(confirmed=1, failed=0, known_before=0))[2])
        if at == 1:
            ask.fail(1, OutcomeUnknown())
            assert isinstance(results.error, OutcomeUnknown)
    assert bodies[0] == bodies[1]
    ask.answer(2, PayoutResultsTaken(confirmed=1, failed=0, known_before=0))
    assert (results.taken.confirmed, refreshed) == (1, [True])
    results.send()
    assert len(ask.asked) == 3, "what was taken is not sent again"
    results.leave()
    assert (results.name, results.file) == ("", None)
