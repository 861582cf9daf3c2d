"""The ledger at the window, against the real server: two people adjust and close, and frozen payouts are told."""

import re
from datetime import timedelta

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from sqlalchemy import select

from desktop.operations import ledger
from desktop.presenters.adjustments import POST
from desktop.presenters.disputes import WON
from server.ledger import days
from server.ledger.model import LedgerJournal
from server.payments.adjustments.model import Adjustment
from shared import clock
from shared.contracts.ledger import LedgerFinding, LedgerHealth
from shared.finance import AdjustmentState, DisputeState
from shared.ids import speak_order_code
from shared.permissions import Role
from tests.desktop.test_reconcile_presenter import seen
from tests.desktop.window_program import desk_of, sign_in, texts
from tests.desktop.workbench import carry_out
from tests.world import ANNA, BEN

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

WAIT_MS = 30_000


@pytest.fixture
def bought(world):
    world.stock("STEAM-50", 2)
    return world.buy(ANNA, "STEAM-50").order.code


@pytest.fixture
def wang(console, live_shop):
    """The second person, at another console."""
    other = console("wang", follow=False)
    other.sign_in(live_shop.url, "wang")
    return other


def at_the_ledger(qtbot, program, url):
    sign_in(qtbot, program, url, "zhou")
    program.window.go("ledger")
    desk = program.console.desk
    qtbot.waitUntil(lambda: bool(desk.ledger.accounts.lines.rows), timeout=WAIT_MS)
    return program.window.page, desk


def test_an_order_is_followed_through_the_books(program, live_shop, bought, qtbot):
    page, desk = at_the_ledger(qtbot, program, live_shop.url)
    shown = {cells[0]: cells[1] for cells in map(desk.ledger.accounts.feed.listing.cells, range(4))}
    assert shown["渠道待到账 · 沙箱"] == "¥45.00"
    assert shown["供应商待结算 · 星河数码"] == "¥42.75"
    assert desk.ledger.accounts.lines.rows[-1].balance_fen == desk.ledger.accounts.chosen.balance_fen
    program.window.go("orders")
    qtbot.waitUntil(lambda: bool(desk.orders.feed.rows), timeout=WAIT_MS)
    desk.orders.look_into(desk.orders.feed.rows[0])
    peek = program.window.page.peek
    assert peek.minimumWidth() < peek.maximumWidth()
    peek.badge.show_word("Partially refunded, and more", tone="neutral")
    peek.turn_to(peek.new_page()[0])
    least = peek.name.sizeHint().width() + peek.badge.sizeHint().width()
    assert min(least, peek.maximumWidth()) < peek.minimumWidth(), "what it is called is never cut"
    peek.ledger_wanted.emit(bought)
    qtbot.waitUntil(lambda: len(desk.ledger.journals.feed.rows) == 3, timeout=WAIT_MS)
    assert program.window.page is page
    assert page.front is page.journals
    assert f"订单 {speak_order_code(bought)}" in texts(page.journals)


def proposing(qtbot, page, adjustments):
    """Wait until the accounts are read and the form is there."""
    qtbot.waitUntil(lambda: adjustments.proposing.chosen is not None, timeout=WAIT_MS)
    return page.adjustments.form


def test_two_people_adjust_several_accounts_at_once(program, live_shop, world, bought, wang, qtbot):
    page, desk = at_the_ledger(qtbot, program, live_shop.url)
    adjustments = desk.ledger.adjustments
    program.window.run("ledger.show_adjustments")
    program.window.run("adjustment.propose")
    form = proposing(qtbot, page, adjustments)
    offered = {words[0] for words in adjustments.proposing.chosen.rows[0].usual}
    assert {"银行存款", "损失", "供应商可打款 · 北辰软件", "应收供应商与分销商 · 北辰软件"} <= offered, (
        "accounts that nothing was booked to yet are there too"
    )
    assert not offered & {"买家已付待发货", "供应商待结算 · 星河数码"}, "rows say what that money is for"
    for key, text in {"ticket": "T-1", "reason": "更正服务费", "order_code": bought}.items():
        form.fields[key].setText(text)
    for key, text in {"debit.0": "损失", "credit.0": "平台服务费收入", "amount.0": "1.00"}.items():
        form.rows.fields[key].setText(text)
    assert form.go.isEnabled()
    form.rows.more.click()
    assert form.go.isEnabled(), "a row that was not begun is none"
    form.rows.fields["debit.1"].setText("平台服务费收入")
    assert not form.go.isEnabled()
    program.choose_language("en")
    qtbot.waitUntil(lambda: form.rows.fields["credit.1"].accessibleName() == "Credit")
    assert form.rows.fields["debit.1"].text() == "平台服务费收入", "what was typed stays"
    program.choose_language("zh")
    qtbot.waitUntil(lambda: form.rows.fields["credit.1"].accessibleName() == "贷方账户")
    for key, text in {"credit.1": "供应商可打款 · 北辰软件", "amount.1": "0.40"}.items():
        form.rows.fields[key].setText(text)
    carry_out(qtbot, form, adjustments.proposing)
    assert list(page.adjustments.bar.buttons) == ["withdraw"], "who proposes does not post"
    assert journals(world) == []
    one = wang.run(ledger.adjustment(wang.engine, adjustments.opened.id)).value
    assert one.actions == ["check"]
    assert [(each.debit_kind, each.credit_kind, each.amount_fen) for each in one.transfers] == [
        ("loss", "fee", 100),
        ("fee", "supplier_available", 40),
    ]
    wang.run(ledger.check_adjustment(wang.engine, one, approve=True, note="同意"))
    adjustments.refresh()
    qtbot.waitUntil(lambda: adjustments.opened.state is AdjustmentState.POSTED, timeout=WAIT_MS)
    assert not adjustments.acting.may(POST)
    words = texts(page.adjustments.panel)
    assert "¥1.40" in words
    assert "王敏" in words
    assert "平台服务费收入 ← 供应商可打款 · 北辰软件" in words, "whose it is, too"
    with world.ctx.db.read() as tx:
        assert tx.scalars(select(Adjustment.state)).all() == [AdjustmentState.POSTED.value]
    assert journals(world) == [f"adjust:{one.id.hex}"]


def journals(world):
    with world.ctx.db.read() as tx:
        return [key for key in tx.scalars(select(LedgerJournal.key)) if key.startswith("adjust:")]


def test_a_closed_day_leads_to_each_line_of_it(program, live_shop, world, qtbot):
    """Two orders of the day before yesterday, closed as the night does."""
    day = clock.shop_day(clock.now()) - timedelta(days=2)
    with clock.fixed(clock.day_bounds(day)[0] + timedelta(hours=12)):
        world.stock("STEAM-50", 2)
        for buyer in (ANNA, BEN):
            world.buy(buyer, "STEAM-50")
    days.close_days(world.ctx.db)
    sign_in(qtbot, program, live_shop.url, "zhou")
    program.window.go("ledger")
    page, accounts = program.window.page, program.console.desk.ledger.accounts
    qtbot.waitUntil(lambda: bool(accounts.feed.rows), timeout=WAIT_MS)
    at = next(at for at, one in enumerate(accounts.feed.rows) if one.kind == "supplier_pending")
    page.accounts.accounts.table.go_to(at)
    program.window.run("ledger.show_closings")
    qtbot.waitUntil(lambda: bool(accounts.closings.rows), timeout=WAIT_MS)
    assert accounts.closings.listing.cells(0) == (f"{day}", "¥0.00", "", "¥85.50", "¥85.50")
    assert accounts.lines.rows == [], "nothing today"
    page.accounts.closings.table.go_to(0)
    qtbot.keyClick(page.accounts.closings.table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(accounts.lines.rows) == 2, timeout=WAIT_MS)
    assert (accounts.day, page.accounts.tabs.currentIndex()) == (day, 0)
    assert accounts.lines.rows[-1].balance_fen == accounts.closings.rows[0].closing_fen


def test_a_dispute_freezes_until_two_say_that_it_is_won(program, live_shop, world, bought, wang, qtbot):
    page, desk = at_the_ledger(qtbot, program, live_shop.url)
    disputes = desk.ledger.disputes
    program.window.run("ledger.show_disputes")
    said = {"order_code": speak_order_code(bought), "reason": "持卡人否认交易"}
    longest = "CB-2".ljust(64, "0")
    for amount, number in (("20", "CB-1"), ("25", longest)):
        program.window.run("dispute.open")
        carry_out(qtbot, page.disputes.form, disputes.opening, amount=amount, channel_no=number, **said)
        qtbot.waitUntil(lambda: page.disputes.table.current_row() == 0, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: disputes.feed.size == 2, timeout=WAIT_MS)
    assert (disputes.opened.channel_no, page.disputes.table.current_row()) == (longest, 0)
    area = page.disputes.panel.area
    qtbot.waitUntil(lambda: area.widget().width() == area.viewport().width(), timeout=WAIT_MS)
    assert disputes.opened.state is DisputeState.OPENED
    assert "供应商份额 · 星河数码" in texts(page.disputes.panel)
    program.window.run("ledger.show_accounts")
    frozen = "供应商冻结 · 星河数码"
    accounts = desk.ledger.accounts.feed

    def balance():
        told = {cells[0]: cells[1] for cells in map(accounts.listing.cells, range(accounts.size))}
        return told.get(frozen)

    qtbot.waitUntil(lambda: balance() == "¥42.75", timeout=WAIT_MS)
    desk.orders.find(bought)
    program.window.go("orders")
    qtbot.waitUntil(lambda: bool(desk.orders.disputes), timeout=WAIT_MS)
    see = next(each for each in program.window.page.peek.findChildren(QPushButton) if each.text() == "¥25.00")
    desk.ledger.disputes.look_into(None)
    qtbot.mouseClick(see, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: disputes.opened is not None, timeout=WAIT_MS)
    assert program.window.page.front is page.disputes, "the order leads to its dispute"
    disputes.acting.choose(WON)
    carry_out(qtbot, page.disputes.bar, disputes.acting, note="渠道判我方胜")
    assert disputes.opened.state is DisputeState.OPENED, "one word ends nothing"
    qtbot.waitUntil(lambda: "周洁 提议：已胜诉" in texts(page.disputes.panel), timeout=WAIT_MS)
    one = wang.run(ledger.dispute(wang.engine, disputes.opened.id)).value
    wang.run(ledger.close_dispute(wang.engine, one, won=True, note="同意"))
    disputes.refresh()
    qtbot.waitUntil(lambda: disputes.opened.state is DisputeState.WON, timeout=WAIT_MS)
    words = texts(page.disputes.panel)
    assert re.search("提议\n周洁 20.*\n提议说明\n渠道判我方胜\n结束\n王敏 20.*\n结束说明\n同意", words)
    program.window.run("ledger.show_accounts")
    qtbot.waitUntil(lambda: balance() == "¥19.00", timeout=WAIT_MS)


def test_frozen_payouts_are_told_wherever_finance_is(program):
    desk = desk_of(program, Role.FINANCE)
    window = program.window
    window.go("orders")
    assert not window.banner.isVisible()
    broken = LedgerFinding(invariant="L2", sentence="日结与流水不符 / a closed day is not its transfers", rows=["bank"])
    told = LedgerHealth(looked_at=None, read_everything_at=None, findings=[broken], payouts_frozen=True)
    desk.ledger.health._read(seen(told))
    assert window.page.place == "orders"
    assert window.banner.text == "账目校验不通过，打款已冻结：L2 日结与流水不符（bank）"
    window._warned("channels", "微信支付 有问题")
    assert window.banner.text.splitlines() == [
        "账目校验不通过，打款已冻结：L2 日结与流水不符（bank）",
        "微信支付 有问题",
    ]
    window._warned("channels", "")
    desk.ledger.health._read(seen(told.model_copy(update={"findings": [], "payouts_frozen": False})))
    assert not window.banner.isVisible()
