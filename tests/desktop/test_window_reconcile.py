"""A finance clerk's day at the window, against the real server: bills dropped, differences worked, the day signed."""

from datetime import timedelta

import openpyxl
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from sqlalchemy import select

from desktop.commands import BY_ID
from desktop.operations import reconciliation_days
from desktop.presenters import formats
from desktop.presenters.arrivals import SWEEP, act_key, pair_key, return_key
from desktop.presenters.days import CORRECT, FETCH, RUN, SIGN, Unpaid
from desktop.presenters.differences import compared
from desktop.presenters.dropping import Meant
from desktop.views.reconciliation.cards import ChannelCard
from server.payments.model import PaymentBillFile
from server.reconcile.model import (
    ReconcileDay,
    ReconcileDifference,
    ReconcileSignature,
    ReconcileSweep,
    ReconcileWithdrawal,
)
from shared import clock, ids
from shared.contracts.bank import NewSweep
from shared.contracts.reconcile import DaySide
from shared.finance import DayState, DifferenceKind, DifferenceState, SweepState
from shared.permissions import Role
from tests.desktop import reconcile_rows
from tests.desktop.live import Line, shop
from tests.desktop.window_program import desk_of, drag, drop, texts
from tests.desktop.workbench import WAIT_MS, Yesterday, approve, at_the_bench, carry_out, go_to, listed, reconciled
from tests.world import WITH_FEES

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so


@pytest.fixture
def live_shop(tmp_path):
    """A shop that knows what its channels keep, and another business at one of its merchant numbers."""
    with shop(tmp_path, **WITH_FEES, shared_merchants="wechat") as running:
        yield running


@pytest.fixture
def yesterday(world, tmp_path):
    return Yesterday(world, tmp_path)


def test_a_card_is_as_wide_as_what_it_says(program, qtbot):
    program.choose_language("en")
    room = QWidget()
    qtbot.addWidget(room)
    card = ChannelCard()
    card.setParent(room)
    much = DaySide(payments=100_000, payments_fen=1_234_567_890, refunds=0, refunds_fen=0, fees_fen=0)
    card.show_day(reconcile_rows.day(theirs=much), Unpaid())
    room.resize(600, 200)
    room.show()
    card.resize(card.sizeHint())
    assert (card.waits.text(), card.money.text()) == ("2 differences open", "¥12,345,678.90")
    for part in (card.waits, card.money):
        qtbot.waitUntil(lambda part=part: part.width() >= part.sizeHint().width(), timeout=WAIT_MS)
    card.show_day(reconcile_rows.day(run_at=None, differences=[]), Unpaid())
    assert card.money.text() == "–", "nothing is known of the channel's side before it was compared"


def test_dropped_bills_are_told_one_by_one_and_the_refused_keep_the_servers_words(
    program, live_shop, yesterday, qtbot, tmp_path
):
    page, bench = at_the_bench(qtbot, program, live_shop.url)
    assert bench.day == yesterday.day, "yesterday first"
    assert page.close_view.why.text() == "还不能签署：缺少交易账单；缺少资金账单；还没有对账"
    assert [what for what, press in page.close_view.buttons.items() if press.isEnabled()] == [FETCH, SWEEP]
    assert page.close_view.buttons[RUN].toolTip() == "账单还没有到"
    keys, torn = tmp_path / "steam.txt", tmp_path / "torn.csv"
    keys.write_text("AAAA-BBBB\n")
    torn.write_bytes(yesterday.trades.read_bytes()[:-80])
    drag(program.window, [yesterday.trades, keys])
    assert program.window.overlay_text.startswith("松开鼠标，添加 2 份渠道账单")
    drop(program.window, [yesterday.trades, keys, torn, yesterday.funds])
    qtbot.waitUntil(lambda: len(bench.bills.files) == 4 and not bench.bills.busy, timeout=WAIT_MS)
    words = texts(page.dropped)
    assert "2 份账单已收下 · 2 个文件没有收下" in words
    assert f"微信支付 交易账单 · {yesterday.day} · 4 行" in words
    assert f"微信支付 资金账单 · {yesterday.day} · 6 行" in words
    assert "“steam.txt”不是微信支付或支付宝的账单" in words
    assert "账单缺少“总交易单数”，无法对账。" in words
    assert [one.error is None for one in bench.bills.files] == [True, False, False, True]
    kept = yesterday.rows(PaymentBillFile)
    assert sorted((one.kind, one.source) for one in kept) == [("funds", "dropped"), ("trades", "dropped")]
    drop(program.window, [yesterday.trades])
    qtbot.waitUntil(lambda: len(bench.bills.files) == 1 and not bench.bills.busy, timeout=WAIT_MS)
    assert len(yesterday.rows(PaymentBillFile)) == 2, "the same bill twice is one"
    open_ones = "还不能签署：还有 3 条差异未处理；交易账单、资金账单由您拖入、渠道尚未确认"
    qtbot.waitUntil(lambda: page.close_view.why.text().startswith(open_ones), timeout=WAIT_MS)
    assert "外来单 1 笔 ¥12.50" in texts(page.close_view)
    program.choose_language("en")
    told = "Cannot be signed yet: 3 differences are not handled yet; you dropped the trade bill and the fund bill,"
    qtbot.waitUntil(lambda: page.close_view.why.text().startswith(told), timeout=WAIT_MS)


def test_a_clerk_works_the_differences_by_keyboard_and_signs(program, live_shop, yesterday, colleague, qtbot):
    page, bench = at_the_bench(qtbot, program, live_shop.url)
    wang = colleague("wang")
    reconciled(qtbot, program, bench, yesterday, by=wang)
    day = bench.days.chosen
    assert (day.state, day.matched, day.balance.off_by_fen) == (DayState.OPEN, 1, 0)
    assert "逐项相加等于期末余额，一分不差" in texts(page.close_view)
    assert page.close_view.why.text() == "还不能签署：还有 3 条差异未处理"
    window, acting = program.window, bench.differences.acting
    window.run("day.show_differences")
    assert sorted(listed(qtbot, page, bench)) == sorted(
        [DifferenceKind.FEE, DifferenceKind.ONLY_OURS, DifferenceKind.ONLY_THEIRS]
    )
    go_to(qtbot, page, bench, DifferenceKind.FEE)
    words = texts(page.explained)
    assert "差额 +¥0.27" in words
    assert "手续费\n¥0.27\n¥0.54" in words, "both rows beside each other"
    marked = [fact.name for fact in compared(bench.differences.detail) if fact.differs]
    assert marked == ["手续费"]
    qtbot.keyClick(page.table, Qt.Key.Key_B)
    assert not page.bar.go.isEnabled(), "why is needed"
    carry_out(qtbot, page.bar, acting, note="以渠道账单为准")
    qtbot.waitUntil(lambda: len(bench.differences.feed.rows) == 2, timeout=WAIT_MS)
    assert page.table.hasFocus(), "the keyboard goes on in the list"
    assert window.toasts.texts() == ["已入账"]
    go_to(qtbot, page, bench, DifferenceKind.ONLY_THEIRS)
    qtbot.keyClick(page.table, Qt.Key.Key_C)
    carry_out(qtbot, page.bar, acting, note="等渠道下一份账单")
    qtbot.waitUntil(lambda: len(bench.differences.feed.rows) == 1, timeout=WAIT_MS)
    assert bench.differences.opened.kind is DifferenceKind.ONLY_OURS, "the next one is in front"
    assert window.toasts.texts() == ["已挂账，带到下一个未签的日子"], "once"
    qtbot.keyClick(page.table, Qt.Key.Key_W)
    assert window.toasts.texts() == [], "nothing lies over what is typed next"
    assert "另一位同事复核后才执行" in page.bar.effect.text()
    carry_out(qtbot, page.bar, acting, note="渠道确认无此交易")
    qtbot.waitUntil(lambda: bench.differences.opened.state is DifferenceState.PROPOSED, timeout=WAIT_MS)
    assert "等另一位同事复核" in page.bar.hint.text()
    words = texts(page.explained)
    assert "需要另一位同事复核" in words
    assert "限额" not in words, "45 yuan are below it: a loss always needs two"
    assert window.toasts.texts() == ["等另一位同事复核"]
    assert list(page.bar.buttons) == ["send_back"], "who decides does not approve"
    approve(wang, bench.differences.opened.id)
    bench.refresh()
    qtbot.waitUntil(lambda: bench.days.may(SIGN), timeout=WAIT_MS)
    states = {one.kind: one.state for one in yesterday.rows(ReconcileDifference)}
    assert states.pop(DifferenceKind.FOREIGN) == "matched"
    assert set(states.values()) == {"resolved"}
    page.close_view.kind_wanted.emit(DifferenceKind.FEE)
    qtbot.waitUntil(lambda: [one.kind for one in bench.differences.feed.rows] == [DifferenceKind.FEE], timeout=WAIT_MS)
    assert bench.differences.feed.rows[0].state is DifferenceState.RESOLVED, "what was done is found again"
    sign_it(qtbot, program, page, bench, yesterday)


def sign_it(qtbot, program, page, bench, yesterday):
    """Sign, and find it signed for good."""
    program.window.run("day.sign")
    view = page.close_view
    hashed = bench.days.chosen.outputs_sha256
    assert hashed in view.bar.effect.text()
    assert yesterday.rows(ReconcileSignature) == []
    carry_out(qtbot, view.bar, bench.days.acting, note="已与银行核对")
    qtbot.waitUntil(lambda: bench.days.chosen.state is DayState.SIGNED, timeout=WAIT_MS)
    assert page.export_button.hasFocus(), "not on what corrects the day"
    [signature] = yesterday.rows(ReconcileSignature)
    assert (signature.outputs_sha256, signature.note) == (hashed, "已与银行核对")
    words = texts(view)
    assert "周洁 于 " in words
    assert hashed in words
    assert signature.inputs_sha256 in words
    assert [what for what, press in view.buttons.items() if press.isVisible()] == [FETCH, SWEEP, CORRECT]
    assert not any(program.window.can(command) for command in commands("day.run", "day.sign"))
    a_signed_day_is_corrected(qtbot, program, bench, yesterday)
    drop(program.window, [yesterday.trades])
    qtbot.waitUntil(lambda: not bench.bills.busy, timeout=WAIT_MS)
    assert len(yesterday.rows(PaymentBillFile)) == 2


def a_signed_day_is_corrected(qtbot, program, bench, yesterday):
    """What was signed stays; the correction is proposed in the ledger, and told at the day."""
    window, ledger = program.window, program.console.desk.ledger.adjustments
    signed = bench.days.chosen
    window.run("day.correct")
    qtbot.waitUntil(lambda: ledger.proposing.chosen is not None, timeout=WAIT_MS)
    assert (window.page.place, window.page.front.place) == ("ledger", "adjustments")
    form = window.page.adjustments.form
    assert f"更正 微信支付 {yesterday.day} 的账：已签署的数字不变" in form.effect.text()
    for key, text in {
        "debit.0": "渠道手续费 · 微信支付",
        "credit.0": "渠道待到账 · 微信支付",
        "amount.0": "0.03",
    }.items():
        form.rows.fields[key].setText(text)
    carry_out(qtbot, form, ledger.proposing, ticket="T-9", reason="银行回单少三分")
    window.go("reconciliation")
    qtbot.waitUntil(lambda: len(bench.days.chosen.corrections) == 1, timeout=WAIT_MS)
    now = bench.days.chosen
    assert (now.outputs_sha256, now.net_fen) == (signed.outputs_sha256, signed.net_fen)
    assert "银行回单少三分，渠道待到账 -¥0.03" in texts(window.page.close_view)


def commands(*wanted):
    return [BY_ID[one] for one in wanted]


def test_what_arrived_is_recorded_once_and_the_finance_workbook_proves_itself(
    program, live_shop, yesterday, colleague, qtbot, tmp_path
):
    page, bench = at_the_bench(qtbot, program, live_shop.url)
    reconciled(qtbot, program, bench, yesterday, by=colleague("wang"))
    days, view, window = bench.days, page.close_view, program.window
    lacks = days.chosen.net_fen
    qtbot.waitUntil(lambda: f"共 1 天，还差 {formats.money(lacks)}" in texts(view), timeout=WAIT_MS)
    left = withdrawn(yesterday, 10_100)
    window.run("day.record_sweep")
    typed = {key: field.text() for key, field in view.bar.fields.items()}
    due = {"amount": formats.money(lacks + 1_250).removeprefix("¥"), "others": "12.50", "arrived_on": str(days.today)}
    assert typed == due | {"reference": "", "parts": ""}, "what is due stands there, with what others own of it"
    program.window.resize(1280, 820)
    qtbot.waitUntil(lambda: view.bar.area.verticalScrollBar().maximum() == 0, timeout=WAIT_MS)
    carry_out(qtbot, view.bar, days.acting, amount="101.00", reference="ICBC-1", others="")
    qtbot.waitUntil(lambda: bool(days.sweeps) and days.chosen.arrived_fen == 10_100, timeout=WAIT_MS)
    assert "流水号 ICBC-1，周洁 登记 · 对应提现 F1" in texts(view)
    assert window.toasts.texts() == ["已入账"]
    qtbot.waitUntil(lambda: f"共 1 天，还差 {formats.money(lacks - 10_100)}" in texts(view), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: "（ICBC-1），按金额和日期配对" in texts(view), timeout=WAIT_MS)
    paired_otherwise(qtbot, view, days.acting, left)
    assert page.cards.cards["wechat"].unpaid.text() == "", "of days before the one in front"
    compared_before(yesterday)
    bench.refresh()
    told = f"此前 1 天未到账，还差 {formats.money(lacks)}"
    qtbot.waitUntil(lambda: told in page.cards.cards["wechat"].accessibleName(), timeout=WAIT_MS)
    window.run("day.record_sweep")
    assert f"{yesterday.day} 还差 {formats.money(lacks - 10_100)}" in view.bar.effect.text()
    for key, text in {"amount": "99.00", "reference": "ICBC-1"}.items():
        view.bar.fields[key].setText(text)
    view.bar.go.click()
    qtbot.waitUntil(lambda: days.acting.error is not None, timeout=WAIT_MS)
    assert "ICBC-1 已经登记" in view.bar.problem.text
    assert [one.amount_fen for one in yesterday.rows(ReconcileSweep)] == [10_100]
    days.acting.drop()

    finance, target = bench.finance, tmp_path / "finance.xlsx"
    window.run("workbook.finance")
    page.finance.edit.click()
    qtbot.waitUntil(lambda: finance.layout is not None, timeout=WAIT_MS)
    assert (page.finance.editor.tree.hasFocus(), page.finance.go.isEnabled()) == (True, False)
    a_layout_is_kept(qtbot, program, page, finance)
    assert page.finance.edit.hasFocus()
    page.finance.ask_target = lambda _parent, _name: target
    page.finance.go.click()
    qtbot.waitUntil(lambda: not finance.busy, timeout=WAIT_MS)
    assert finance.error is None
    assert str(target) in page.finance.notice.text
    book = openpyxl.load_workbook(target)
    assert [name for name in book.sheetnames if book[name].sheet_state == "visible"] == ["封面", "要查的", "对账汇总"]
    assert [cell.value for cell in book["要查的"][1]][:3] == ["账期", "编号", "渠道"]
    drop(window, [target])
    qtbot.waitUntil(lambda: bench.verification.verdict is not None, timeout=WAIT_MS)
    assert "与导出时完全一致" in page.news.verdict.text
    book["要查的"]["E2"] = "改过"
    book.save(target)
    page._ask_workbook = lambda _parent: target
    window.run("workbook.verify")
    qtbot.waitUntil(lambda: bench.verification.verdict is not None, timeout=WAIT_MS)
    assert "在导出之后被改动" in page.news.verdict.text
    assert "工作表“要查的”有 1 行被修改，第一处在第 2 行" in page.news.verdict.text


def a_layout_is_kept(qtbot, program, page, finance):
    """Two sheets, the differences first, with other names and another order of columns."""
    editor = page.finance.editor
    for at in range(editor.tree.topLevelItemCount()):
        item = editor.tree.topLevelItem(at)
        if item.text(0) not in {"对账汇总", "差异明细"}:
            item.setCheckState(0, Qt.CheckState.Unchecked)
    [differences] = editor.tree.findItems("差异明细", Qt.MatchFlag.MatchExactly)
    editor.tree.setFocus()
    editor.tree.setCurrentItem(differences)
    for _ in range(2):
        qtbot.keyClick(editor.tree, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    editor.up.click()
    assert (editor.tree.indexOfTopLevelItem(differences), editor.up.isEnabled()) == (0, False)
    differences.setText(0, "要查的")
    differences.child(0).setText(0, "编号")
    editor.tree.setCurrentItem(differences.child(0))
    editor.down.click()
    editor.name.setText("日结")
    another_language_keeps_it(qtbot, program, editor)
    editor.save.click()
    qtbot.waitUntil(lambda: finance.layout_name == "日结" and list(finance.mine) == ["日结"], timeout=WAIT_MS)


def another_language_keeps_it(qtbot, program, editor):
    """What a person has named stays, and what is called as usual is called so in that language."""
    for language, save, usual in (
        ("en", "Save the layout", ["Reconciliation", "Day", "Channel"]),
        ("zh", "保存版式", ["对账汇总", "账期", "渠道"]),
    ):
        program.choose_language(language)
        qtbot.waitUntil(lambda words=save: editor.save.text() == words, timeout=WAIT_MS)
        sheets = [one for one in editor.shown() if one.shown]
        first, mine, third = (one.title for one in sheets[0].columns[:3])
        assert [sheets[0].name, mine, editor.name.text()] == ["要查的", "编号", "日结"]
        assert [sheets[1].name, first, third] == usual
        assert (len(sheets), editor.tree.currentItem().text(0)) == (2, "编号")


def paired_otherwise(qtbot, view, acting, left):
    """A withdrawal is not the arrival that was found for it, and came back; it did not, and then it is."""
    view.content.act_wanted.emit(pair_key(left))
    assert view.bar.fields["sweep"].text() == "", "there is no other arrival"
    carry_out(qtbot, view.bar, acting)
    qtbot.waitUntil(lambda: "（F1）：还没有对应的到账" in texts(view), timeout=WAIT_MS)
    assert "到账 ¥101.00（ICBC-1）：账单里没有对应的提现" in texts(view)
    said_to_be_back(qtbot, view, acting, left)
    view.content.act_wanted.emit(pair_key(left))
    carry_out(qtbot, view.bar, acting)
    qtbot.waitUntil(lambda: "（ICBC-1），周洁 配对" in texts(view), timeout=WAIT_MS)


def said_to_be_back(qtbot, view, acting, left):
    """A withdrawal that the bank sent back is no arrival; then it is taken back."""
    view.content.act_wanted.emit(return_key(left))
    carry_out(qtbot, view.bar, acting, note="账号填错，银行退票")
    qtbot.waitUntil(lambda: "（F1）已退回，周洁 标记 · 账号填错，银行退票" in texts(view), timeout=WAIT_MS)
    view.content.act_wanted.emit(return_key(left))
    carry_out(qtbot, view.bar, acting, note="记错了")
    qtbot.waitUntil(lambda: "（F1）：还没有对应的到账" in texts(view), timeout=WAIT_MS)


def compared_before(yesterday):
    """The day before yesterday came to the same."""
    with yesterday.world.ctx.db.tx() as tx:
        [day] = tx.scalars(select(ReconcileDay)).all()
        same = {"run_at": day.run_at, "run_by": day.run_by, "figures": day.figures, "is_signed": False}
        hashes = {"inputs_sha256": day.inputs_sha256, "outputs_sha256": day.outputs_sha256}
        tx.add(ReconcileDay(channel="wechat", day=day.day - timedelta(days=1), **same, **hashes))


def withdrawn(yesterday, fen):
    """Money that left the channel's account yesterday."""
    told = {"channel": "wechat", "day": yesterday.day, "at": yesterday.noon, "number": "F1", "amount_fen": fen}
    row = ReconcileWithdrawal(id=ids.new_id(), **told, provider_no="", voucher="", note="")
    with yesterday.world.ctx.db.tx() as tx:
        tx.add(row)
    return row


def test_two_people_see_what_arrived(program, live_shop, yesterday, colleague, qtbot):
    """Above the limit another person approves at the window; what was wrong is booked back by two."""
    wang = colleague("wang")
    new = {"channel": "wechat", "reference": "ICBC-7", "arrived_on": clock.shop_day(clock.now())}
    parts = [{"day": yesterday.day, "fen": 58_750}]
    arrived = NewSweep(**new, amount_fen=60_000, others_fen=1_250, parts=parts)
    told = wang.run(reconciliation_days.record_sweep(wang.engine, arrived))
    assert told.state is SweepState.PROPOSED
    page, bench = at_the_bench(qtbot, program, live_shop.url)
    qtbot.waitUntil(lambda: bench.days.count == 1, timeout=WAIT_MS)
    assert page.news.arrivals.text == f"1 笔到账等您复核：微信支付 {yesterday.day} ¥600.00"
    qtbot.waitUntil(lambda: bool(bench.days.sweeps), timeout=WAIT_MS)
    view, acting = page.close_view, bench.days.acting
    assert "其中 ¥12.50 属于其他业务" in texts(view)
    assert bench.days.chosen.arrived_fen == 0, "nothing is booked yet"
    view.content.act_wanted.emit(act_key("approve", told))
    assert "¥600.00（流水号 ICBC-7）随即记入银行存款" in view.bar.effect.text()
    carry_out(qtbot, view.bar, acting)
    qtbot.waitUntil(lambda: bench.days.chosen.arrived_fen == 58_750, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: page.news.arrivals.text == "", timeout=WAIT_MS)
    qtbot.waitUntil(lambda: acting.may(act_key("reverse", told)), timeout=WAIT_MS)
    view.content.act_wanted.emit(act_key("reverse", told))
    assert not view.bar.go.isEnabled(), "why is needed"
    carry_out(qtbot, view.bar, acting, note="记到了别的账户")
    qtbot.waitUntil(lambda: bench.days.sweeps[0].state is SweepState.REVERSING, timeout=WAIT_MS)
    assert program.window.toasts.texts()[-1] == "已提交冲销，等另一位同事复核"
    [waiting] = wang.run(reconciliation_days.waiting_sweeps(wang.engine)).value.items
    wang.run(reconciliation_days.check_sweep(wang.engine, waiting, approve=True))
    bench.refresh()
    qtbot.waitUntil(lambda: bench.days.chosen.arrived_fen == 0, timeout=WAIT_MS)
    assert [one.state for one in yesterday.rows(ReconcileSweep)] == ["reversed"]


def test_offline_the_bench_shows_what_was_seen_and_does_nothing(program, live_shop, yesterday, qtbot):
    with Line(live_shop.port) as line:
        page, bench = at_the_bench(qtbot, program, line.url)
        reconciled(qtbot, program, bench, yesterday)
        listed(qtbot, page, bench)
        go_to(qtbot, page, bench, DifferenceKind.ONLY_OURS)
        bench.refresh()
        qtbot.waitUntil(lambda: not (bench.days.loading or bench.differences.feed.loading), timeout=WAIT_MS)
        line.cut()
        program.window.run("list.refresh")
        qtbot.waitUntil(lambda: not bench.days.live and not bench.differences.feed.live, timeout=WAIT_MS)
        assert page.notice.text.startswith("连不上服务器")
        assert len(bench.differences.feed.rows) == 3
        assert "平台有 ¥45.00" in texts(page.explained)
        qtbot.keyClick(page.table, Qt.Key.Key_W)
        page.bar.fields["note"].setText("渠道确认无此交易")
        page.bar.go.click()
        qtbot.waitUntil(lambda: bench.differences.acting.error is not None, timeout=WAIT_MS)
        assert "没有发出" in page.bar.problem.text
        states = {one.kind: one.state for one in yesterday.rows(ReconcileDifference)}
        assert states.pop(DifferenceKind.FOREIGN) == "matched", "others' money closed itself"
        assert set(states.values()) == {"open"}


def test_a_drop_that_could_be_either_is_asked_about(program, qtbot, tmp_path):
    file, bill = tmp_path / "export.csv", tmp_path / "20260301_账务明细.csv.zip"
    for one in (file, bill):
        one.write_bytes(b"A\n")
    desk = desk_of(program, Role.ADMIN)
    window = program.window
    window.go("orders")
    drag(window, [file, bill])
    assert window.overlay_text.startswith("松开鼠标，再选择 1 个文件是什么\n松开鼠标，添加 1 份渠道账单")
    drop(window, [file, bill])
    assert [one.path for one in desk.reconciliation.bills.files] == [bill]
    assert window.page.place == "reconciliation"
    assert window._question.isVisible()
    assert "export.csv" in texts(window._question)
    qtbot.keyClick(window._question, Qt.Key.Key_Escape)
    assert not window._question.isVisible()
    assert len(desk.reconciliation.bills.files) == 1
    window.go("orders")
    window.take_files([file])
    window._question.answers[Meant.KEYS].click()
    assert (window.page.place, desk.imports.check.file) == ("imports", file)
    window.go("reconciliation")
    window.take_files([file])
    assert not window._question.isVisible(), "the screen in front tells"
    assert desk.reconciliation.bills.files[-1].path == file
    desk = desk_of(program, Role.FINANCE)
    window.go("orders")
    window.take_files([file])
    shown = [meant for meant, press in window._question.answers.items() if press.isVisible()]
    assert shown == [Meant.RESULTS, Meant.BILL], "who imports no keys is not asked about them"
    window._question.answers[Meant.RESULTS].click()
    assert (window.page.place, window.page.front.place) == ("settlement", "payouts")
    assert desk.settlement.payouts.results.name == "export.csv"
