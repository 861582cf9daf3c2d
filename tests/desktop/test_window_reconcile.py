"""A finance clerk's day at the window, against the real server: bills dropped, differences worked, the day signed."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import openpyxl
import pytest
from PySide6.QtCore import Qt
from sqlalchemy import select

from desktop.commands import BY_ID
from desktop.operations import reconciliation_differences
from desktop.presenters.days import FETCH, RUN, SIGN, SWEEP
from desktop.presenters.differences import compared
from server.orders.actions import PlaceOrder
from server.payments import checkout
from server.payments.model import PaymentAttempt, PaymentBillFile
from server.reconcile.model import ReconcileDifference, ReconcileSignature, ReconcileSweep
from server.sandbox import bills_wechat
from server.sandbox.bills import BillLine, fee_of
from shared import clock, ids
from shared.finance import DayState, DifferenceKind, DifferenceState
from shared.permissions import Role
from tests.desktop.live import Line, shop
from tests.desktop.window_program import desk_of, drag, drop, sign_in, texts
from tests.server.till import Till
from tests.world import ANNA, BEN, CARA, MERCHANT, WITH_FEES

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

WAIT_MS = 30_000
STEAM = 4_500


class Yesterday:
    """Three payments of yesterday through WeChat, and its two bills.

    One payment is in them, one with twice the fee, one is missing; and there is one that is nobody's.
    """

    def __init__(self, world, folder) -> None:
        self.world = world
        self.till = world.ctx.gateways["wechat"] = Till("wechat")
        self.day = clock.shop_day(clock.now()) - timedelta(days=1)
        self._noon = clock.day_bounds(self.day)[0] + timedelta(hours=12)
        world.stock("STEAM-50", 5)
        with clock.fixed(self._noon):
            self.paid = [self._buy(buyer) for buyer in (ANNA, BEN, CARA)]
        fee = fee_of(STEAM)
        lines = [self._line(self.paid[0], fee_fen=2 * fee), self._line(self.paid[1], fee_fen=fee)]
        lines.append(
            replace(lines[0], out_trade_no="OTHER-SHOP-1", provider_no=f"43{1:024d}", amount_fen=1_250, fee_fen=0)
        )
        self.trades, self.funds = folder / "1900000001All.csv", folder / "1900000001_fundflow.csv"
        self.trades.write_bytes(bills_wechat.trade_bill(lines, merchant_id=MERCHANT, bill_type="ALL"))
        self.funds.write_bytes(bills_wechat.fund_flow_bill(lines, merchant_id=MERCHANT, opening_fen=100_000))

    def _buy(self, buyer):
        ctx = self.world.ctx
        code = asyncio.run(checkout.place(ctx, PlaceOrder(buyer, ids.new_token(), "STEAM-50", 1, STEAM, "wechat"))).code
        with ctx.db.read() as tx:
            number = tx.scalars(select(PaymentAttempt.out_trade_no).where(PaymentAttempt.order_code == code)).one()
        self.world.apply(self.till.pay(number))
        with ctx.db.read() as tx:
            return tx.scalars(select(PaymentAttempt).where(PaymentAttempt.order_code == code)).one()

    def _line(self, attempt, *, fee_fen):
        at = int(self._noon.timestamp()) * 1_000
        return BillLine(
            kind="payment",
            at_ms=at,
            created_at_ms=at - 20_000,
            provider_no=attempt.provider_no,
            out_trade_no=attempt.out_trade_no,
            amount_fen=attempt.amount_fen,
            fee_fen=fee_fen,
            subject="Steam",
            app_id="wx1",
            product="qr",
            payer="o1",
        )

    def rows(self, model):
        with self.world.ctx.db.read() as tx:
            return tx.scalars(select(model)).all()


@pytest.fixture
def live_shop(tmp_path):
    """A shop that knows what its channels keep."""
    with shop(tmp_path, **WITH_FEES) as running:
        yield running


@pytest.fixture
def yesterday(world, tmp_path):
    return Yesterday(world, tmp_path)


def at_the_bench(qtbot, program, url, login="zhou"):
    """Sign in and go there; the day before today is in front."""
    sign_in(qtbot, program, url, login)
    window = program.window
    window.go("reconciliation")
    days = program.console.desk.reconciliation.days
    qtbot.waitUntil(lambda: days.chosen is not None or days.error is not None, timeout=WAIT_MS)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=WAIT_MS)
    return window.page, program.console.desk.reconciliation


def listed(qtbot, page, bench, number=3):
    """The differences, in front with the keyboard on them."""
    page.show_tab(1)
    qtbot.waitUntil(lambda: len(bench.differences.feed.rows) == number, timeout=WAIT_MS)
    page.table.setFocus()
    return {one.kind: one for one in bench.differences.feed.rows}


def go_to(qtbot, page, bench, kind):
    """Stand on the first difference of a kind, and wait until it is explained."""
    at = next(at for at, one in enumerate(bench.differences.feed.rows) if one.kind is kind)
    page.table.go_to(at)
    qtbot.waitUntil(lambda: bench.differences.detail is not None, timeout=WAIT_MS)
    assert bench.differences.opened.kind is kind


def carry_out(qtbot, bar, acting, **typed):
    """Type what is asked for, press the last button, and wait until it is over."""
    for key, text in typed.items():
        bar.fields[key].setText(text)
    bar.go.click()
    qtbot.waitUntil(lambda: not acting.busy, timeout=WAIT_MS)
    assert acting.error is None, acting.error


def reconciled(qtbot, program, bench, yesterday):
    """Drop both bills and wait until the server has compared them."""
    drop(program.window, [yesterday.trades, yesterday.funds])
    qtbot.waitUntil(lambda: len(bench.bills.files) == 2 and not bench.bills.busy, timeout=WAIT_MS)
    assert bench.bills.refused == 0

    qtbot.waitUntil(lambda: bench.days.chosen.balance is not None, timeout=WAIT_MS)  # told by the server's feed


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
    assert f"微信支付 交易账单 · {yesterday.day} · 3 行" in words
    assert f"微信支付 资金账单 · {yesterday.day} · 5 行" in words
    assert "“steam.txt”不是微信支付或支付宝的账单" in words
    assert "账单缺少“总交易单数”，无法对账。" in words
    assert [one.error is None for one in bench.bills.files] == [True, False, False, True]
    kept = yesterday.rows(PaymentBillFile)
    assert sorted((one.kind, one.source) for one in kept) == [("funds", "dropped"), ("trades", "dropped")]
    drop(program.window, [yesterday.trades])
    qtbot.waitUntil(lambda: len(bench.bills.files) == 1 and not bench.bills.busy, timeout=WAIT_MS)
    assert len(yesterday.rows(PaymentBillFile)) == 2, "the same bill twice is one"
    qtbot.waitUntil(lambda: page.close_view.why.text() == "还不能签署：还有 3 条差异未处理", timeout=WAIT_MS)
    program.choose_language("en")
    told = "Cannot be signed yet: 3 differences are not handled yet"
    qtbot.waitUntil(lambda: page.close_view.why.text() == told, timeout=WAIT_MS)


def test_a_clerk_works_the_differences_by_keyboard_and_signs(program, live_shop, yesterday, console, qtbot):
    page, bench = at_the_bench(qtbot, program, live_shop.url)
    reconciled(qtbot, program, bench, yesterday)
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
    assert marked == ["手续费", "商品或备注"]
    qtbot.keyClick(page.table, Qt.Key.Key_B)
    assert not page.bar.go.isEnabled(), "why is needed"
    carry_out(qtbot, page.bar, acting, note="以渠道账单为准")
    qtbot.waitUntil(lambda: len(bench.differences.feed.rows) == 2, timeout=WAIT_MS)
    assert page.table.hasFocus(), "the keyboard goes on in the list"
    go_to(qtbot, page, bench, DifferenceKind.ONLY_THEIRS)
    qtbot.keyClick(page.table, Qt.Key.Key_C)
    carry_out(qtbot, page.bar, acting, note="等渠道下一份账单")
    qtbot.waitUntil(lambda: len(bench.differences.feed.rows) == 1, timeout=WAIT_MS)
    assert bench.differences.opened.kind is DifferenceKind.ONLY_OURS, "the next one is in front"
    assert window.toasts.texts() == ["已提交"], "once"
    qtbot.keyClick(page.table, Qt.Key.Key_W)
    assert window.toasts.texts() == [], "nothing lies over what is typed next"
    assert "另一位同事复核后才执行" in page.bar.effect.text()
    carry_out(qtbot, page.bar, acting, note="渠道确认无此交易")
    qtbot.waitUntil(lambda: bench.differences.opened.state is DifferenceState.PROPOSED, timeout=WAIT_MS)
    assert "等另一位同事复核" in page.bar.hint.text()
    assert list(page.bar.buttons) == ["send_back"], "who decides does not approve"
    approve_as_wang(console, live_shop, bench.differences.opened.id)
    bench.refresh()
    qtbot.waitUntil(lambda: bench.days.may(SIGN), timeout=WAIT_MS)
    assert [one.kind for one in yesterday.rows(ReconcileDifference) if one.state != "resolved"] == []
    page.close_view.kind_wanted.emit(DifferenceKind.FEE)
    qtbot.waitUntil(lambda: [one.kind for one in bench.differences.feed.rows] == [DifferenceKind.FEE], timeout=WAIT_MS)
    assert bench.differences.feed.rows[0].state is DifferenceState.RESOLVED, "what was done is found again"
    sign_it(qtbot, program, page, bench, yesterday)


def approve_as_wang(console, live_shop, difference_id):
    """The second person."""
    wang = console("wang", follow=False)
    wang.sign_in(live_shop.url, "wang")
    seen = wang.run(reconciliation_differences.one(wang.engine, difference_id)).value
    assert seen.actions == ["approve", "send_back"]
    wang.run(reconciliation_differences.check(wang.engine, seen, approve=True, note=""))


def sign_it(qtbot, program, page, bench, yesterday):
    """Sign, and find it signed for good."""
    program.window.run("day.sign")
    view = page.close_view
    hashed = bench.days.chosen.outputs_sha256
    assert hashed in view.bar.effect.text()
    assert yesterday.rows(ReconcileSignature) == []
    carry_out(qtbot, view.bar, bench.days.acting, note="已与银行核对")
    qtbot.waitUntil(lambda: bench.days.chosen.state is DayState.SIGNED, timeout=WAIT_MS)
    [signature] = yesterday.rows(ReconcileSignature)
    assert (signature.outputs_sha256, signature.note) == (hashed, "已与银行核对")
    words = texts(view)
    assert "周洁 于 " in words
    assert hashed in words
    assert signature.inputs_sha256 in words
    assert [what for what, press in view.buttons.items() if press.isVisible()] == [SWEEP]
    assert not any(program.window.can(command) for command in commands("day.fetch", "day.run", "day.sign"))
    drop(program.window, [yesterday.trades])
    qtbot.waitUntil(lambda: not bench.bills.busy, timeout=WAIT_MS)
    assert len(yesterday.rows(PaymentBillFile)) == 2


def commands(*wanted):
    return [BY_ID[one] for one in wanted]


def test_what_arrived_is_recorded_once_and_the_finance_workbook_proves_itself(
    program, live_shop, yesterday, qtbot, tmp_path
):
    page, bench = at_the_bench(qtbot, program, live_shop.url)
    reconciled(qtbot, program, bench, yesterday)
    days, view, window = bench.days, page.close_view, program.window
    window.run("day.record_sweep")
    carry_out(qtbot, view.bar, days.acting, amount="101.00", reference="ICBC-1", arrived_on=f"{days.today}")
    qtbot.waitUntil(lambda: bool(days.sweeps) and days.chosen.arrived_fen == 10_100, timeout=WAIT_MS)
    assert "流水号 ICBC-1，周洁 登记" in texts(view)
    window.run("day.record_sweep")
    for key, text in {"amount": "99.00", "reference": "ICBC-1", "arrived_on": f"{days.today}"}.items():
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
    for at in range(page.finance.tree.topLevelItemCount()):
        item = page.finance.tree.topLevelItem(at)
        if item.text(0) not in {"对账汇总", "差异明细"}:
            item.setCheckState(0, Qt.CheckState.Unchecked)
    page.finance.name.setText("日结")
    page.finance.save.click()
    qtbot.waitUntil(lambda: finance.layout_name == "日结" and finance.names == ["日结"], timeout=WAIT_MS)
    page.finance.ask_target = lambda _parent, _name: target
    page.finance.go.click()
    qtbot.waitUntil(lambda: not finance.busy, timeout=WAIT_MS)
    assert finance.error is None
    assert str(target) in page.finance.notice.text
    book = openpyxl.load_workbook(target)
    assert [name for name in book.sheetnames if book[name].sheet_state == "visible"] == ["封面", "对账汇总", "差异明细"]
    drop(window, [target])
    qtbot.waitUntil(lambda: bench.verification.verdict is not None, timeout=WAIT_MS)
    assert "与导出时完全一致" in page.verdict.text
    book["差异明细"]["E2"] = "改过"
    book.save(target)
    page._ask_workbook = lambda _parent: target
    window.run("workbook.verify")
    qtbot.waitUntil(lambda: bench.verification.verdict is not None, timeout=WAIT_MS)
    assert "在导出之后被改动" in page.verdict.text
    assert "工作表“差异明细”有 1 行被修改，第一处在第 2 行" in page.verdict.text


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
        assert {one.state for one in yesterday.rows(ReconcileDifference)} == {"open"}


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
    window._question.keys.click()
    assert (window.page.place, desk.imports.check.file) == ("imports", file)
    window.go("reconciliation")
    window.take_files([file])
    assert not window._question.isVisible(), "the screen in front tells"
    assert desk.reconciliation.bills.files[-1].path == file
    desk_of(program, Role.FINANCE)
    window.take_files([file])
    assert window.page.place == "reconciliation", "who imports no keys is not asked"
