"""Settlement at the window, against the real server: made, confirmed, paid by two, and the same for the supplier."""

import re
from datetime import date, timedelta

import openpyxl
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QPushButton
from sqlalchemy import select

from desktop.exporting.verify import verify
from desktop.operations import settlement
from desktop.presenters.acting import PLAIN
from desktop.presenters.due import MAKE, Due, holds_words, waits_words
from desktop.presenters.holds import HOLD
from desktop.presenters.payout_acts import APPROVE, SEND
from desktop.presenters.statement_acts import CONFIRM, PAY
from desktop.views.shell.window import SMALLEST
from server.catalog.model import FeeRule
from server.settlement.model import Payout, SettlementHoliday, Statement
from shared import clock, ids
from shared.contracts.settlement import EditTerms
from shared.errors import NotAllowed
from shared.finance import Cycle, PayoutState, ReleaseFrom, StatementState
from shared.ids import speak_order_code
from tests.desktop.live import Line
from tests.desktop.window_program import drop, sign_in, texts
from tests.desktop.workbench import carry_out
from tests.world import ANNA, BEN

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

WAIT_MS = 30_000
SHARE, TWO = "¥42.75", "¥85.50"


@pytest.fixture
def sold(world, colleague):
    """Two orders of yesterday's terms, delivered: 星河 is paid the same day, by purchase."""
    agreed = {"mode": "purchase", "cycle": Cycle.D0, "n": 0, "release_from": ReleaseFrom.DELIVERED}
    terms = EditTerms(**agreed, account="6222-01", reason="合同 2026-1", version=0)
    yesterday = clock.day_bounds(clock.shop_day(clock.now()))[0] - timedelta(hours=12)
    with clock.fixed(yesterday):
        zhou = colleague("zhou")
        zhou.run(settlement.edit_terms(zhou.engine, world.suppliers["xinghe"], terms))
        world.stock("STEAM-50", 5)
        bought = [world.buy(buyer, "STEAM-50") for buyer in (ANNA, BEN)]
    zhou.engine.stop()
    return [one.order.code for one in bought]


@pytest.fixture
def sold_by_both(world, sold, colleague):
    """北辰 sold too, on the same terms."""
    agreed = {"mode": "purchase", "cycle": Cycle.D0, "n": 0, "release_from": ReleaseFrom.DELIVERED}
    terms = EditTerms(**agreed, account="6222-02", reason="合同 2026-2", version=0)
    with clock.fixed(clock.day_bounds(clock.shop_day(clock.now()))[0] - timedelta(hours=12)):
        zhou = colleague("zhou")
        zhou.run(settlement.edit_terms(zhou.engine, world.suppliers["beichen"], terms))
        world.stock("OFFICE-1Y", 100)
        world.buy(ANNA, "OFFICE-1Y", 100)
    zhou.engine.stop()


def at_settlement(qtbot, program, url, login="zhou"):
    """Sign in and go there."""
    sign_in(qtbot, program, url, login)
    program.window.go("settlement")
    return program.window.page, program.console.desk.settlement


def kept(world, model):
    with world.ctx.db.read() as tx:
        return tx.scalars(select(model).order_by(*model.__table__.primary_key)).all()


def made_and_confirmed(qtbot, page, desk):
    """Make today's statements, and confirm the one of 星河."""
    due, statements = desk.due, desk.statements
    page.show_part(page.due)
    qtbot.waitUntil(lambda: due.acting.may(MAKE) and due.account is not None, timeout=WAIT_MS)
    assert "待结算" in texts(page.due.account_card)
    assert TWO in texts(page.due.account_card)
    assert f"1 家可以结算，应付合计 {TWO}，暂不能结 ¥0.00" in page.due.suppliers.count.text()
    assert (page.due.bar.hint.text(), due.acting.act(HOLD).tone) == ("", PLAIN)
    due.acting.choose(MAKE)
    assert f"1 家供应商截至 {due.day} 可结的 {TWO}" in page.due.bar.effect.text()
    carry_out(qtbot, page.due.bar, due.acting)
    qtbot.waitUntil(lambda: due.nothing_due, timeout=WAIT_MS)
    assert page.due.bar.hint.text().startswith("今天没有可以结算的")
    page.show_part(page.statements)
    qtbot.waitUntil(lambda: statements.opened is not None, timeout=WAIT_MS)
    assert statements.opened.state is StatementState.DRAFT
    statements.acting.choose(CONFIRM)
    carry_out(qtbot, page.statements.bar, statements.acting, note="已核对")
    qtbot.waitUntil(lambda: statements.opened.state is StatementState.CONFIRMED, timeout=WAIT_MS)


def test_a_statement_is_made_confirmed_and_paid_by_two(program, live_shop, world, sold, colleague, qtbot, tmp_path):
    page, desk = at_settlement(qtbot, program, live_shop.url)
    made_and_confirmed(qtbot, page, desk)
    statements, payouts = desk.statements, desk.payouts
    words = texts(page.statements.panel)
    assert f"应付\n{TWO}" in words
    its_account_is_missed(qtbot, page.statements, statements, world, colleague("wang"))
    carry_out(qtbot, page.statements.bar, statements.acting, note="十一月")
    qtbot.waitUntil(lambda: statements.acting.acts == (), timeout=WAIT_MS)
    [made] = kept(world, Payout)
    [link] = (press for press in page.statements.panel.findChildren(QPushButton) if press.text() == made.number)
    assert link.isVisible()
    program.window.run("statement.open_payout")
    assert page.front is page.payouts
    qtbot.waitUntil(lambda: payouts.opened is not None and page.payouts.table.current_row() == 0, timeout=WAIT_MS)
    assert payouts.opened.id == made.id
    assert payouts.instruction is None, "nobody carries what no second person approved"
    assert list(page.payouts.bar.buttons) == ["withdraw"], "who made it does not approve"
    assert "等另一位同事复核" in page.payouts.bar.hint.text()
    assert "首次向此账户打款，请核实。" in texts(page.payouts.panel)
    wang = colleague("wang")
    seen = wang.run(settlement.payout(wang.engine, payouts.opened.id)).value
    wang.run(settlement.check_payout(wang.engine, seen, approve=True))
    payouts.refresh()
    qtbot.waitUntil(lambda: payouts.acting.may(SEND), timeout=WAIT_MS)
    assert not payouts.acting.may(APPROVE)
    assert payouts.to_carry == (), "nobody carries what is not booked"
    payouts.acting.choose(SEND)
    carry_out(qtbot, page.payouts.bar, payouts.acting)
    assert "1 笔打款已提交，共 ¥85.50" in page.payouts.done.text
    qtbot.waitUntil(lambda: payouts.instruction is not None, timeout=WAIT_MS)
    target = tmp_path / "打款.xlsx"
    page.payouts._ask_target = lambda _parent, _name: target
    program.window.run("payout.export")
    qtbot.waitUntil(lambda: not payouts.exporting, timeout=WAIT_MS)
    assert payouts.export_error is None
    sheet = openpyxl.load_workbook(target).active
    assert (sheet["G2"].value, sheet["O2"].value) == (85.5, None)
    assert payouts.opened.state is PayoutState.SENT
    qtbot.waitUntil(lambda: payouts.opened is not None and payouts.opened.taken_by == "周洁", timeout=WAIT_MS)
    assert re.search("提交\n周洁 20.*\n导出指令\n周洁 20", texts(page.payouts.panel))
    the_bank_answers(qtbot, page, payouts, world, tmp_path)
    statements.refresh()
    qtbot.waitUntil(lambda: statements.opened.state is StatementState.PAID, timeout=WAIT_MS)


def its_account_is_missed(qtbot, page, statements, world, wang):
    """Who is about to pay reads that nobody said where to, as long as nobody did."""
    agreed = {"mode": "purchase", "cycle": Cycle.D0, "n": 0, "release_from": ReleaseFrom.DELIVERED}
    for version, account in enumerate(("", "6222-01"), start=1):
        terms = EditTerms(**agreed, account=account, reason="合同 2026-3", version=version)
        wang.run(settlement.edit_terms(wang.engine, world.suppliers["xinghe"], terms))
        statements.refresh()
        qtbot.waitUntil(lambda known=bool(account): statements.opened.has_account is known, timeout=WAIT_MS)
        statements.acting.choose(PAY)
        assert ("还没有收款账号，请先在“条件”里登记" in page.bar.effect.text()) is not bool(account)


def the_bank_answers(qtbot, page, payouts, world, folder):
    """A file with a wrong amount is refused whole; the right one is taken in."""
    number, results = payouts.opened.number, payouts.results
    wrong, right, torn = folder / "wrong.csv", folder / "right.csv", folder / "torn.csv"
    wrong.write_text(f"打款单号,金额,结果,流水号\n{number},85.51,成功,BK-1\n", "utf-8")
    torn.write_text(f"打款单号,金额,结果\n{number},85.50,处理中\n", "utf-8")
    right.write_text(f"打款单号,金额,结果,流水号\n{number},85.50,成功,BK-1\n", "utf-8")
    page.show_part(page.statements)
    drop(page.window(), [torn])
    assert page.front is page.payouts
    qtbot.waitUntil(lambda: not results.busy, timeout=WAIT_MS)
    assert "第 2 行：结果“处理中”不是成功或失败" in page.payouts.results.text
    assert not page.payouts.results.go.isVisible()
    for file, told in ((wrong, "整份文件未导入"), (right, "1 笔打款全额到账；1 行到账共 ¥85.50")):
        drop(page.window(), [file])
        qtbot.waitUntil(lambda: not results.busy, timeout=WAIT_MS)
        page.payouts.results.go.click()
        qtbot.waitUntil(lambda: not results.busy, timeout=WAIT_MS)
        assert told in page.payouts.results.text
        assert not page.payouts.results.go.isVisible(), "it would be refused, or is taken, again"
        assert not page.payouts.done.isVisible(), "one notice at a time"
        [one] = kept(world, Payout)
        assert one.state == (PayoutState.CONFIRMED if file is right else PayoutState.SENT).value
    assert one.reference == "BK-1"
    qtbot.waitUntil(lambda: payouts.instruction is not None and not payouts.instruction.rows, timeout=WAIT_MS)
    payouts.show(state=PayoutState.SENT)
    qtbot.waitUntil(lambda: payouts.feed.is_empty and not page.payouts.panel.isVisible(), timeout=WAIT_MS)
    payouts.show(state=None)
    qtbot.waitUntil(lambda: payouts.opened is not None and page.payouts.panel.isVisible(), timeout=WAIT_MS)
    assert payouts.opened.number == number


def test_a_clerk_settles_all_suppliers_at_once(program, live_shop, world, sold_by_both, colleague, qtbot, tmp_path):
    """Each is done by itself: what somebody else had in hand is told, and does not hold up the others."""
    wang = colleague("wang")
    wang.run(settlement.make_statements(wang.engine, run_id=ids.new_id(), day=clock.shop_day(clock.now())))
    page, desk = at_settlement(qtbot, program, live_shop.url)
    settles_at_once(qtbot, program, page, desk.statements, wang, world)
    payouts = desk.payouts
    page.show_part(page.payouts)
    qtbot.waitUntil(lambda: len(payouts.feed.rows) == 2, timeout=WAIT_MS)
    assert page.payouts.table.hasFocus(), "the keyboard is on the list, not on the first button"
    program.window.run("settlement.pick_all")
    first_time = "北辰软件 · 6222-02\n首次向此账户打款，请核实。"
    qtbot.waitUntil(lambda: first_time in texts(page.payouts.panel), timeout=WAIT_MS)  # news may be read first
    assert page.payouts.bar.hint.text() == "所选打款在等另一位同事复核。"
    made = wang.run(settlement.list_payouts(wang.engine)).value.items
    wang.run(settlement.check_payouts(wang.engine, made, approve=True))
    payouts.refresh()
    qtbot.waitUntil(lambda: payouts.acting.may(SEND), timeout=WAIT_MS)
    each(qtbot, program, page.payouts, payouts, "payout.send", "2 笔共 ¥88.65 从可打款转为打款中并入账")
    assert "2 笔打款已提交，共 ¥88.65" in page.payouts.done.text
    target = tmp_path / "打款.xlsx"
    page.payouts._ask_target = lambda _parent, _name: target
    page.payouts.carry.click()
    qtbot.waitUntil(lambda: not payouts.exporting and payouts.exported is not None, timeout=WAIT_MS)
    assert not page.payouts.carry.isVisible()
    sheet = openpyxl.load_workbook(target).active
    assert sorted(row[6] for row in sheet.iter_rows(min_row=2, values_only=True)) == [3.15, 85.5]
    assert "之前导出过" not in page.payouts.done.text
    program.window.run("payout.export")
    qtbot.waitUntil(lambda: not payouts.exporting, timeout=WAIT_MS)
    before = rf"其中 1 笔打款的指令之前导出过（{payouts.opened.number} 周洁 [0-9:]{{8}}），请勿重复提交。"
    assert re.search(before, page.payouts.done.text)
    each(qtbot, program, page.payouts, payouts, "payout.confirm", "2 笔共 ¥88.65 都已到账", reference="PL-1")
    assert "2 个都办好了" in page.payouts.panel.name.text()
    assert {(one.state, one.reference) for one in kept(world, Payout)} == {("confirmed", "PL-1")}


def each(qtbot, program, page, presenter, command, effect, **typed):
    """Pick all, and do it to each."""
    program.window.run("settlement.pick_all")
    qtbot.waitUntil(lambda: len(presenter.picked) == len(presenter.feed.rows), timeout=WAIT_MS)
    program.window.run(command)
    assert effect in page.bar.effect.text()
    for key, text in typed.items():
        page.bar.fields[key].setText(text)
    assert page.bar.go.hasFocus()
    qtbot.keyClick(page.bar.go, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not presenter.acting.busy, timeout=WAIT_MS)
    assert (presenter.acting.error, presenter.picked) == (None, ())


def settles_at_once(qtbot, program, page, statements, wang, world):
    """One of two is confirmed by another at that moment; then all are paid, by one payout each supplier."""
    page.show_part(page.statements)
    qtbot.waitUntil(lambda: len(statements.feed.rows) == 2, timeout=WAIT_MS)
    program.window.run("settlement.pick_all")
    assert "已选 2 张结算单" in texts(page.statements.panel)
    taken = statements.feed.rows[0]
    wang.run(settlement.move_statement(wang.engine, taken, "confirm"))
    each(qtbot, program, page.statements, statements, "statement.confirm", "2 张共 ¥88.65 从待结算转为可打款")
    words = texts(page.statements.panel)
    assert "办好 1，没有办成 1" in words
    assert f"{taken.number} {taken.supplier}" in words
    assert "结算单已被他人处理" in words
    assert [one.state for one in kept(world, Statement)] == ["confirmed", "confirmed"]
    statements.refresh()
    qtbot.waitUntil(lambda: all("pay" in one.actions for one in statements.feed.rows), timeout=WAIT_MS)
    each(qtbot, program, page.statements, statements, "statement.pay", "2 张结算单按供应商合成 2 笔打款，至多 ¥88.65")
    assert "2 个都办好了" in texts(page.statements.panel)
    assert page.statements.bar.buttons == {}
    statements.leave_outcomes()
    assert taken.number in texts(page.statements.panel) or statements.opened is not taken


def test_a_supplier_sees_the_same_and_follows_each_line_down(program, live_shop, world, sold, qtbot, tmp_path):
    page, desk = at_settlement(qtbot, program, live_shop.url)
    made_and_confirmed(qtbot, page, desk)
    finance = desk.due
    finance.refresh()
    qtbot.waitUntil(lambda: finance.account is not None and finance.account.available_fen == 8_550, timeout=WAIT_MS)
    account, shown = finance.account, desk.statements.opened
    program.console.sign_out()
    qtbot.waitUntil(lambda: program.console.desk is None, timeout=WAIT_MS)
    page, desk = at_settlement(qtbot, program, live_shop.url, "chen")
    statements = desk.statements
    qtbot.waitUntil(lambda: statements.opened is not None, timeout=WAIT_MS)
    assert statements.opened.model_dump(exclude={"actions", "made_by", "confirmed_by"}) == shown.model_dump(
        exclude={"actions", "made_by", "confirmed_by"}
    )
    assert statements.acting.acts == ()
    assert "生成\n店铺 " in texts(page.statements.panel), "a supplier does not read who at the shop"
    program.window.run("statement.lines")
    qtbot.waitUntil(lambda: statements.line is not None, timeout=WAIT_MS)
    assert {line.order_code for line in statements.lines.rows} == set(sold)
    words = texts(page.statements.line_panel)
    assert SHARE in words
    assert speak_order_code(statements.line.order_code) in words
    assert "渠道流水号" in words
    target = tmp_path / f"{statements.opened.number}.xlsx"
    page.statements._ask_target = lambda _parent, _name: target
    program.window.run("statement.export")
    qtbot.waitUntil(lambda: statements.exported is not None, timeout=WAIT_MS)
    assert f"已写入 {target}，共 2 行明细" in page.statements.written.text
    assert verify(target).unchanged
    program.window.run("statement.open_order")
    qtbot.waitUntil(lambda: program.window.page.place == "orders", timeout=WAIT_MS)
    program.window.go("settlement")
    program.window.run("statement.back")
    assert statements.lines_of is None
    page.show_part(page.due)
    qtbot.waitUntil(lambda: desk.due.account is not None, timeout=WAIT_MS)
    assert desk.due.account == account, "the same figures"
    assert not page.due.bar.isVisible()
    assert not page.due.suppliers.isVisible()
    assert not page.payouts.take_results.isVisible()
    assert len(kept(world, Statement)) == 1


def test_an_operator_holds_an_order_and_finance_lets_it_go(program, live_shop, sold, colleague, qtbot):
    li = colleague("li")
    sign_in(qtbot, program, live_shop.url, "li")
    window, desk = program.window, program.console.desk
    window.go("orders")
    desk.orders.find(sold[0])
    qtbot.waitUntil(lambda: desk.orders.acting.may(HOLD), timeout=WAIT_MS)
    window.run("order.hold")
    carry_out(qtbot, window.page.peek.bar, desk.orders.acting, reason="买家投诉")
    [held] = li.run(settlement.list_holds(li.engine)).value.items
    assert (held.order_code, held.reason, held.held_by) == (sold[0], "买家投诉", "李航")
    program.console.sign_out()
    qtbot.waitUntil(lambda: program.console.desk is None, timeout=WAIT_MS)
    page, desk = at_settlement(qtbot, program, live_shop.url)
    page.show_part(page.due)
    qtbot.waitUntil(lambda: len(desk.due.lines.rows) == 2, timeout=WAIT_MS)
    waits = {line.order_code: waits_words(line) for line in desk.due.lines.rows}
    assert waits == {sold[0]: "人工暂缓 · 买家投诉", sold[1]: ""}
    assert holds_words(desk.due.chosen) == "人工暂缓 1"
    page.show_part(page.holds)
    qtbot.waitUntil(lambda: desk.holds.chosen is not None, timeout=WAIT_MS)
    program.window.run("hold.free")
    carry_out(qtbot, page.holds.bar, desk.holds.acting)
    qtbot.waitUntil(lambda: desk.holds.feed.is_empty, timeout=WAIT_MS)
    desk.due.refresh()
    qtbot.waitUntil(lambda: desk.due.chosen.held_lines == 0, timeout=WAIT_MS)


def test_terms_rules_of_fees_and_holidays_are_agreed_at_the_window(
    program, live_shop, world, colleague, qtbot, monkeypatch
):
    page, desk = at_settlement(qtbot, program, live_shop.url)
    window = program.window
    the_terms_are_agreed(qtbot, window, page, desk.terms)
    window.resize(1280, 820)
    window.run("settlement.show_fee_rules")
    qtbot.waitUntil(lambda: desk.fee_rules.acting.may("add"), timeout=WAIT_MS)
    window.run("fee_rule.add")
    bar, acting = page.fee_rules.bar, desk.fee_rules.acting
    room = bar.area.widget().layout()
    qtbot.waitUntil(lambda: room.totalHeightForWidth(bar.area.viewport().width()) == bar.area.height(), timeout=WAIT_MS)
    for key, text in {"rate": "6.25", "reason": "合同 2027-1"}.items():
        bar.fields[key].setText(text)
    assert bar.go.text() == "确定新增费率规则：6.25%", "what it will be is on the button"
    bar.go.click()
    assert acting.error.code == "fee_rule.of_nothing"
    assert kept(world, FeeRule) == []
    carry_out(qtbot, bar, acting, tier="gold")
    qtbot.waitUntil(lambda: len(desk.fee_rules.feed.rows) == 1, timeout=WAIT_MS)
    assert desk.fee_rules.feed.listing.cells(0)[:3] == ("级别 gold", "6.25%", "0")
    [rule] = kept(world, FeeRule)
    assert (rule.kind, rule.ppm, rule.tier, rule.product_code) == ("percent", 62_500, "gold", None)
    nobody_entered_them(qtbot, page, desk.due, monkeypatch)
    the_holidays_are_entered(qtbot, window, page.holidays, desk.holidays, world)
    li = colleague("li")
    with pytest.raises(NotAllowed):
        li.run(settlement.list_fee_rules(li.engine))


def nobody_entered_them(qtbot, page, due, monkeypatch):
    """What is due tells of a year without holidays, and leads to where they are entered."""
    with monkeypatch.context() as patched:
        patched.setattr(Due, "day", date(2090, 3, 2))
        page.show_part(page.due)
        qtbot.waitUntil(lambda: due.unknown_year == 2090, timeout=WAIT_MS)
    assert page.due.notice.text.startswith("2090 年的法定假日还没有录入")
    page.due.enter_holidays.click()
    assert (page.front, page.holidays.year.value()) == (page.holidays, 2090)


def the_terms_are_agreed(qtbot, window, page, terms):
    """Everything stands in the form as it was agreed; what is wrong is told before anything is sent."""
    window.run("settlement.show_terms")
    qtbot.waitUntil(lambda: terms.acting.may("edit") and terms.history is not None, timeout=WAIT_MS)
    assert "级别\n标准（standard）" in texts(page.terms.panel)
    name, before = terms.chosen.supplier, terms.chosen
    window.resize(*SMALLEST)
    window.run("terms.edit")
    bar = page.terms.bar
    qtbot.waitUntil(lambda: bar.go.isVisible() and bar.go.mapTo(bar, QPoint()).y() > bar.area.geometry().bottom())
    assert bar.area.verticalScrollBar().maximum() > 0, "in the smallest window the fields scroll"
    assert {key: bar.fields[key].text() for key in ("mode", "cycle", "n", "cutoff", "split")} == {
        "mode": before.mode,
        "cycle": before.cycle.value,
        "n": str(before.n),
        "cutoff": "17:00",
        "split": "30.00",
    }
    assert not bar.go.isEnabled(), "why is needed"
    typed = {
        "cycle": "weekly",
        "n": "8",
        "minimum": "100",
        "account": "6222-01",
        "bank": "工商银行",
        "reason": "合同 9",
    }
    for key, text in typed.items():
        bar.fields[key].setText(text)
    bar.go.click()
    assert "周期与天数不符" in bar.problem.text
    bar.fields["n"].setText("一")
    bar.go.click()
    assert bar.problem.text == "“一”不是整数。"
    carry_out(qtbot, bar, terms.acting, n="5")
    qtbot.waitUntil(lambda: terms.chosen.version == before.version + 1, timeout=WAIT_MS)
    assert terms.chosen.supplier == name, "the place is kept"
    qtbot.waitUntil(lambda: terms.history is not None and terms.history[0] == terms.chosen, timeout=WAIT_MS)
    words = texts(page.terms.panel)
    assert "周期\n每周星期五" in words
    assert f"收款\n{name} · 6222-01 · 工商银行" in words


def the_holidays_are_entered(qtbot, window, page, holidays, world):
    """A span of days of a year that nobody knows yet; the day itself names the year."""
    page.year.setValue(2031)
    qtbot.waitUntil(lambda: holidays.feed.as_of is not None, timeout=WAIT_MS)
    assert page.notice.text.startswith("2031 年的假日还不完整")
    window.run("holiday.enter")
    for last in ("2031-01-01", "2031-12-31"):
        for key, text in {"first": "2031-01-22", "last": last, "name": "春节"}.items():
            page.bar.fields[key].setText(text)
        page.bar.go.click()
        assert holidays.acting.error.code == "holidays.too_many"
    assert kept(world, SettlementHoliday) == []
    page.year.setValue(2030)
    carry_out(qtbot, page.bar, holidays.acting, last="2031-01-24")
    qtbot.waitUntil(lambda: len(holidays.feed.rows) == 3, timeout=WAIT_MS)
    assert page.year.value() == 2031, "what was entered is seen"
    assert holidays.feed.listing.cells(0) == ("2031-01-22", "星期三", "放假", "春节")
    assert [(f"{one.day}", one.works) for one in kept(world, SettlementHoliday)] == [
        ("2031-01-22", False),
        ("2031-01-23", False),
        ("2031-01-24", False),
    ]


def test_the_number_of_an_account_is_not_kept_on_this_disk(console, live_shop, world, sold):
    """Offline its end says which one it is; whoever saw it so agrees on no terms."""
    zhou, number = console("zhou", follow=False), "6222 0210 0101 1234 567"
    with Line(live_shop.port) as line:
        zhou.sign_in(line.url, "zhou")
        [before] = [one for one in zhou.run(settlement.list_terms(zhou.engine)).value.items if one.version]
        agreed = before.model_dump(include=set(EditTerms.model_fields)) | {"account": number, "reason": "补账号"}
        zhou.run(settlement.edit_terms(zhou.engine, before.supplier_id, EditTerms.model_validate(agreed)))
        payee = world.suppliers["xinghe"]
        [made] = zhou.run(settlement.make_statements(zhou.engine, run_id=ids.new_id(), day=clock.shop_day(clock.now())))
        confirmed = zhou.run(settlement.move_statement(zhou.engine, made, "confirm"))
        paid = zhou.run(settlement.make_payout(zhou.engine, payout_id=ids.new_id(), statements=[confirmed.id]))

        def accounts():
            run, engine = zhou.run, zhou.engine
            lists = (
                settlement.list_terms(engine),
                settlement.terms_history(engine, payee),
                settlement.list_payouts(engine),
            )
            seen = [run(one).value.items for one in lists] + [[run(settlement.payout(engine, paid.id)).value]]
            return {one.account for some in seen for one in some} - {""}

        assert accounts() == {number, "6222-01"}
        line.cut()
        assert accounts() == {"… 567", "…2-01"}
    files = [path.read_bytes() for path in zhou.folders.home.rglob("*") if path.is_file()]
    assert any("… 567".encode() in file for file in files)
    assert not any(number.encode() in file for file in files)
