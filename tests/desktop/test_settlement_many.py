"""Many statements or payouts at once, without a display: each done by itself, and what became of each."""

import asyncio

from desktop.operations.each import NotTried, Outcome, one_by_one
from desktop.operations.once import OutcomeUnknown
from desktop.presenters import words as presenter_words
from desktop.presenters.due import SUPPLIER_COLUMNS, Due
from desktop.presenters.payouts import COLUMNS, Payouts, awaited, results_words, warnings
from desktop.presenters.statement_acts import told_of
from desktop.presenters.statements import Statements
from shared import ids
from shared.contracts.settlement import PayoutResult, PayoutResultsTaken
from shared.errors import Conflict
from shared.finance import PayoutState, StatementState
from shared.permissions import Role
from tests.desktop.settlement_rows import due, payout, statement
from tests.desktop.test_presenters_lists import Later, page_of
from tests.desktop.test_reconcile_presenter import Heard
from tests.desktop.window_program import person


def test_many_are_decided_on_each_by_itself_and_each_is_told_of():
    """What cannot be done of the selected is left alone; who is paid is paid once; a lost answer ends the round."""
    ask = Later()
    shown = Statements(ask, person(Role.FINANCE))
    ready = {"state": StatementState.CONFIRMED, "actions": ["pay"]}
    north = {"supplier_id": ids.new_id(), "supplier": "北辰"}
    mine = [statement(**ready, number="JS-1"), statement(**ready, number="JS-3", withheld_fen=298)]
    cases = [mine[0], statement(**ready, **north, number="JS-2"), mine[1], statement(number="JS-4")]
    shown.look_into(cases[0])
    shown.pick(cases)
    assert [act.key for act in shown.acting.acts] == ["confirm_many", "drop_many", "pay_many"]
    assert [act.words[0] for act in shown.acting.acts] == ["确认 1 张结算单", "作废 1 张…", "发起 2 笔打款"]
    shown.acting.choose("pay_many")
    effect = shown.acting.chosen.effect[0]
    assert effect.startswith("3 张结算单按供应商合成 2 笔打款，至多 ¥365.96")
    assert effect.endswith("所选的另外 1 笔不能这样办，不动。")
    shown.acting.carry_out({"note": ""})
    paid = payout(number="DK-9", amount_fen=24_298)
    engine = Heard(paid)
    outcomes = asyncio.run(ask.asked[-1][0](engine))
    assert [call.body.statements for call in engine.sent] == [[mine[0].id, mine[1].id], [cases[1].id]]
    assert len({call.body.id for call in engine.sent}) == 2
    assert [told_of(one).name for one in outcomes] == ["DK-9 星河数码", "DK-9 北辰"]
    ask.asked[-1][1](outcomes)
    assert (shown.picked, shown.outcomes, shown.acting.acts) == ((), tuple(outcomes), ())
    shown.look_into(cases[1])
    assert (shown.outcomes, [act.key for act in shown.acting.acts]) == ((), ["pay"])


def test_where_no_answer_comes_the_rest_is_not_tried():
    async def work(n):
        if n != 1:
            raise {2: Conflict(), 3: OutcomeUnknown()}[n]
        return n

    outcomes = asyncio.run(one_by_one([1, 2, 3, 1], work))
    assert [type(one.error) for one in outcomes] == [type(None), Conflict, OutcomeUnknown, NotTried]
    assert [one.done for one in outcomes] == [1, None, None, None]


def test_what_was_sent_is_what_is_carried():
    """Of what is picked only what was sent has an instruction; nothing that was just sent is forgotten."""
    ask = Later()
    shown = Payouts(ask, person(Role.FINANCE))
    ready = [payout(state=PayoutState.APPROVED, actions=["send", "withdraw"], number=f"DK-{n}") for n in (2, 1)]
    shown.look_into(ready[0])
    shown.pick([*ready, payout(number="DK-3", is_new_account=True)])
    assert [act.key for act in shown.acting.acts] == ["approve_many", "refuse_many", "send_many", "withdraw_many"]
    assert "其中 1 笔是首次向该账户打款" in shown.acting.act("approve_many").effect[0]
    assert shown.to_carry == ()
    shown.acting.choose("send_many")
    shown.acting.carry_out({"reference": ""})
    on_its_way = payout(state=PayoutState.SENT, actions=["confirm", "fail"])
    engine = Heard(on_its_way)
    outcomes = asyncio.run(ask.asked[-1][0](engine))
    assert [call.path.split("/")[-2:] for call in engine.sent] == [[f"{one.id}", "send"] for one in ready[::-1]]
    lost = Outcome(ready[1], error=Conflict())
    ask.asked[-1][1]([outcomes[0], lost])
    assert (shown.sent, shown.to_carry) == ((on_its_way,), (on_its_way,))
    shown.look_into(payout(number="DK-9"))
    assert shown.to_carry == (on_its_way,)
    shown.look_into(on_its_way)
    shown.acting.choose("confirm")
    shown.acting.carry_out({"reference": "", "note": ""})
    ask.asked[-1][1](on_its_way.model_copy(update={"state": PayoutState.CONFIRMED}))
    assert shown.sent == (), "it has arrived: nobody carries it"


def test_a_file_of_results_says_what_is_paid_and_what_is_ours(monkeypatch):
    """Who reads it before it is sent sees what arrived, without the rows by which nobody is paid."""
    rows = [("DK20260302-001-1", 100, True), ("DK20260302-001-0", 14_217, False), ("DK20260302-001-E1", 5, True)]
    rows += [("DK20260302-002", 6_461, True), ("DK20260302-003-R1.1", 775, True), ("DK20260302-003-E2", 5, False)]
    named = [PayoutResult(number=number, amount_fen=fen, succeeded=done) for number, fen, done in rows]
    told = awaited(named)
    assert (told.confirmed, told.failed, told.waiting, told.known_before) == (0, 0, 0, 0), "nobody knows that yet"
    words = "2 行到账共 ¥65.61，1 行未到账共 ¥142.17，1 行已回退共 ¥7.75，1 行解冻，1 行解冻或回退未成"
    assert results_words(told) == words
    ended = told.model_copy(update={"confirmed": 1, "in_part": 2, "failed": 1, "waiting": 1, "known_before": 3})
    before = "1 笔打款全额到账，2 笔打款部分到账，1 笔打款失败，1 笔打款还等其余各行的结果"
    assert results_words(ended) == f"{before}；{words}，3 行之前已知"
    monkeypatch.setattr(presenter_words, "_language", "en")
    some = PayoutResultsTaken(confirmed=2, arrived=3, arrived_fen=4_765, lacked=1, lacked_fen=4_050, unfrozen=2)
    assert results_words(some) == "Payouts: 2 arrived in full. Rows: 3 arrived, ¥47.65; 1 did not, ¥40.50; 2 unfrozen"


def test_another_list_brings_another_one_in_front():
    """What is in front is of the list, or of none; what a person did to it takes nothing away."""
    ask = Later()
    shown = Payouts(ask, person(Role.FINANCE))
    first, second = payout(number="DK-2"), payout(number="DK-1", state=PayoutState.SENT, actions=["confirm", "fail"])
    shown.show_list()
    ask.answer(0, page_of(first, second))
    shown.look_into(first)
    shown.show(state=PayoutState.SENT)
    assert shown.opened is first, "until the list is here"
    ask.answer(1, page_of(second))
    assert shown.opened is None, "the screen opens the first of it"
    shown.look_into(second)
    shown.show(state=None)
    ask.answer(-1, page_of(first, second))
    assert shown.opened is second, "it is of this list too"
    shown.refresh()
    ask.answer(-2, page_of(first))
    assert shown.opened is second


def test_what_is_due_adds_up_on_the_screen():
    shown = Due(Later(), person(Role.FINANCE))
    one = due(release_fen=40_112, owed_fen=-100, deductions_fen=50, payout_fee_fen=50, payable_fen=40_112)
    shown.suppliers.rows = [one, due(payable_fen=20_000, held_fen=5), due(lines=0, payable_fen=7, held_fen=0)]
    cells = {at.key: at.text(one) for at in SUPPLIER_COLUMNS}
    assert [cells[key] for key in ("release", "deductions", "owed", "fee", "payable")] == [
        "¥401.12",
        "-¥0.50",
        "¥1.00",
        "-¥0.50",
        "¥401.12",
    ]
    assert (shown.total, shown.nothing_due) == ((2, "¥601.12", "¥42.80"), False)


def test_nobody_pays_to_nowhere_unwarned():
    ask = Later()
    shown = Statements(ask, person(Role.FINANCE))
    ready = {"state": StatementState.CONFIRMED, "actions": ["pay"], "has_account": False}
    cases = [statement(**ready, number=f"JS-{n}") for n in (1, 2)]
    shown.look_into(cases[0])
    assert shown.acting.act("pay").effect[0].endswith("“星河数码”还没有收款账号，请先在“条件”里登记。")
    shown.pick(cases)
    assert (
        shown.acting.act("pay_many")
        .effect[0]
        .endswith("须另一位同事复核。“星河数码”还没有收款账号，请先在“条件”里登记。")
    )
    waits, known = payout(), payout(account="6222-01", number="DK20260302-002")
    payouts = Payouts(Later(), person(Role.FINANCE))
    payouts.look_into(waits)
    payouts.pick([waits, known])
    assert payouts.acting.act("approve_many").effect[0].endswith("其中 1 笔没有收款账号。")
    assert (warnings(known), warnings(payout(state=PayoutState.CONFIRMED))) == ([], [])
    assert [warnings(payout(state=state))[0][:6] for state in (PayoutState.REQUESTED, PayoutState.SENT)] == [
        "没有收款账号"
    ] * 2


def test_a_payout_that_arrived_in_part_says_so_in_the_list():
    state, arrived = (next(at for at in COLUMNS if at.key == key) for key in ("state", "arrived"))
    part = payout(state=PayoutState.CONFIRMED, arrived_fen=6_561)
    whole = part.model_copy(update={"arrived_fen": part.amount_fen})
    assert [(state.text(one), state.tone(one), arrived.text(one)) for one in (part, whole, payout())] == [
        ("部分到账", "warning", "¥65.61"),
        ("已到账", "success", "¥122.98"),
        ("待复核", "warning", "–"),
    ]
