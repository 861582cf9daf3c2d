"""Differences at the window, against the real server: many at once, and money that only the bill tells of."""

import pytest
from PySide6.QtCore import Qt
from sqlalchemy import select, update

from desktop.commands import BY_ID
from desktop.presenters import formats
from desktop.presenters.differences import COLUMNS
from server.orders.model import Order
from server.reconcile.model import ReconcileDifference
from shared.finance import DifferenceKind, DifferenceState
from shared.ids import speak_order_code
from tests.desktop.live import shop
from tests.desktop.window_program import drop, texts
from tests.desktop.workbench import WAIT_MS, Yesterday, approve, at_the_bench, carry_out, go_to, listed, reconciled
from tests.world import ANNA, BEN, WITH_FEES

HORIZONTAL = Qt.Orientation.Horizontal

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so


@pytest.fixture
def live_shop(tmp_path):
    """A shop that knows what its channels keep."""
    with shop(tmp_path, **WITH_FEES, shared_merchants="wechat") as running:
        yield running


@pytest.fixture
def yesterday(world, tmp_path):
    return Yesterday(world, tmp_path)


def test_many_differences_are_decided_on_at_once(program, live_shop, world, tmp_path, qtbot):
    yesterday = Yesterday(world, tmp_path, fees=(2, 3))
    page, bench = at_the_bench(qtbot, program, live_shop.url)
    reconciled(qtbot, program, bench, yesterday)
    program.window.resize(1280, 800)
    listed(qtbot, page, bench, 4)
    channel_of = next(at for at, column in enumerate(COLUMNS) if column.key == "channel")
    of_table = page.table.model()
    for language, title in (("en", "Channel"), ("zh", "支付渠道")):
        program.choose_language(language)
        qtbot.waitUntil(lambda word=title: of_table.headerData(channel_of, HORIZONTAL) == word, timeout=WAIT_MS)
        qtbot.waitUntil(lambda: not page.table.isColumnHidden(channel_of), timeout=WAIT_MS)
        assert page.table.horizontalScrollBar().maximum() == 0
        qtbot.waitUntil(lambda: page.channels.width() >= page.channels.sizeHint().width(), timeout=WAIT_MS)
    select_with(qtbot, page, (1, 3), Qt.KeyboardModifier.ShiftModifier)
    assert [bench.differences.feed.rows.index(one) for one in bench.differences.picked] == [1, 2, 3]
    select_with(qtbot, page, (0, 2), Qt.KeyboardModifier.ControlModifier)
    assert [bench.differences.feed.rows.index(one) for one in bench.differences.picked] == [0, 2]
    page.table.selectAll()
    assert len(bench.differences.picked) == 4
    assert "已选 4 条差异" in texts(page.explained)
    assert page.bar.buttons == {}
    assert "所选的差异没有共同的处理方式" in texts(page.explained)
    assert "差额合计" not in texts(page.explained), "fees and payments do not add up"
    go_to(qtbot, page, bench, DifferenceKind.ONLY_OURS)
    page.close_view.kind_wanted.emit(DifferenceKind.FEE)
    qtbot.waitUntil(lambda: len(bench.differences.feed.rows) == 2, timeout=WAIT_MS)
    assert bench.differences.picked == ()
    assert (bench.differences.opened, page.table.current_row()) == (bench.differences.feed.rows[0], 0)
    page.channels.setCurrentIndex(page.channels.findData("alipay"))
    qtbot.waitUntil(lambda: bench.differences.feed.is_empty, timeout=WAIT_MS)
    assert not page.panel.isVisible()
    assert not program.window.can(BY_ID["difference.book"])
    page.channels.setCurrentIndex(0)
    qtbot.waitUntil(lambda: len(bench.differences.feed.rows) == 2, timeout=WAIT_MS)
    program.window.run("difference.pick_all")
    words = texts(page.explained)
    assert "差额合计 +¥0.81" in words
    assert "手续费不符 2 条，¥1.35" in words
    qtbot.keyClick(page.table, Qt.Key.Key_B)
    assert page.bar.effect.text().startswith("2 条一起办，有一条不行就都不办：按渠道账单记一笔分录")
    carry_out(qtbot, page.bar, bench.differences.acting, note="以渠道账单为准")
    qtbot.waitUntil(lambda: bench.differences.feed.is_empty, timeout=WAIT_MS)
    assert program.window.toasts.texts() == ["2 条已入账"]
    done = [one for one in yesterday.rows(ReconcileDifference) if one.kind == DifferenceKind.FEE]
    assert {(one.state, one.action, one.note) for one in done} == {("resolved", "book", "以渠道账单为准")}
    assert bench.differences.picked == ()


def test_money_that_only_the_bill_tells_of_is_walked_to_its_end(program, live_shop, world, yesterday, colleague, qtbot):
    """Delivered, attached to an order, and sent back: proposed by keyboard, done when another person approves."""
    bought, wanted = yesterday.place(ANNA), yesterday.place(BEN)
    yesterday.till.pay(bought.out_trade_no, paid_at=yesterday.noon)
    strays = [yesterday.stray(n) for n in (1, 2)]
    yesterday.till.silent = True  # or the bill alone would have the first one confirmed
    yesterday.trades, yesterday.funds = yesterday.bills([yesterday.line(bought, fee_fen=27), *strays])
    page, bench = at_the_bench(qtbot, program, live_shop.url)
    reconciled(qtbot, program, bench, yesterday)
    wang, shown = colleague("wang"), bench.differences
    page.show_tab(1)
    qtbot.waitUntil(lambda: len(shown.feed.rows) == 6, timeout=WAIT_MS)

    def propose(number, key, **typed):
        page.table.go_to(next(at for at, one in enumerate(shown.feed.rows) if one.out_trade_no == number))
        page.table.setFocus()
        qtbot.keyClick(page.table, key)
        assert "另一位同事复核后才执行" in page.bar.effect.text()
        carry_out(qtbot, page.bar, shown.acting, note="已与渠道核对", **typed)
        qtbot.waitUntil(lambda: shown.opened.state is DifferenceState.PROPOSED, timeout=WAIT_MS)
        return shown.opened.id

    delivered = propose(bought.out_trade_no, Qt.Key.Key_D)
    attached = propose(strays[0].out_trade_no, Qt.Key.Key_G, order_code=speak_order_code(wanted.order_code))
    refunded = propose(strays[1].out_trade_no, Qt.Key.Key_F)
    assert states_of(world, bought, wanted) == ["pending_payment", "pending_payment"], "a proposal moves nothing"
    assert [approve(wang, one).state for one in (delivered, attached, refunded)] == [
        DifferenceState.RESOLVED,
        DifferenceState.RESOLVED,
        DifferenceState.WORKING,
    ]
    assert states_of(world, bought, wanted) == ["delivered", "delivered"]
    bench.refresh()
    qtbot.waitUntil(lambda: not shown.feed.loading and len(shown.feed.rows) == 4, timeout=WAIT_MS)
    look_at(qtbot, shown, attached)
    assert f"归入订单 {speak_order_code(wanted.order_code)}" in texts(page.explained)
    program.window.run("difference.open_order")
    qtbot.waitUntil(lambda: program.window.page.place == "orders", timeout=WAIT_MS)
    program.window.go("reconciliation")
    look_at(qtbot, shown, refunded)
    program.window.run("difference.open_exception")
    assert program.window.page.place == "exceptions", "where its money waits to go back"


def look_at(qtbot, shown, difference_id):
    shown.find(difference_id)
    qtbot.waitUntil(lambda: shown.opened is not None and shown.detail is not None, timeout=WAIT_MS)
    assert shown.opened.id == difference_id


def states_of(world, *attempts):
    with world.ctx.db.read() as tx:
        return [tx.scalars(select(Order.state).where(Order.code == one.order_code)).one() for one in attempts]


def test_what_matched_by_itself_since_is_told(program, live_shop, yesterday, qtbot):
    """The channel corrects its bill: one payment that was missing is in it now."""
    page, bench = at_the_bench(qtbot, program, live_shop.url)
    reconciled(qtbot, program, bench, yesterday)
    assert (page.news.closed.text, bench.days.chosen.closed_themselves) == ("", 0)
    with yesterday.world.ctx.db.tx() as tx:
        tx.execute(update(ReconcileDifference).values(found_at=yesterday.noon))  # they stood open overnight
    yesterday.bills([yesterday.line(one, fee_fen=27) for one in yesterday.paid])
    drop(program.window, [yesterday.trades, yesterday.funds])
    qtbot.waitUntil(lambda: page.news.closed.text != "", timeout=WAIT_MS)
    qtbot.waitUntil(lambda: bench.days.chosen.matched == 3, timeout=WAIT_MS)
    assert page.news.closed.text == f"今天有差异自动配平：微信支付 {yesterday.day} 共 3 条"
    day = bench.days.chosen
    assert f"其中 3 条自动配平，最近一次 {formats.moment(day.closed_themselves_at)}" in texts(page.close_view)
    page.close_view.kind_wanted.emit(DifferenceKind.ONLY_OURS)
    qtbot.waitUntil(
        lambda: [one.kind for one in bench.differences.feed.rows] == [DifferenceKind.ONLY_OURS], timeout=WAIT_MS
    )
    go_to(qtbot, page, bench, DifferenceKind.ONLY_OURS)
    assert f"自动配平\n{formats.moment(bench.differences.opened.handled_at)}" in texts(page.explained)
    program.choose_language("en")
    told = f"Auto-matched today: WeChat Pay {yesterday.day}: 3"
    qtbot.waitUntil(lambda: page.news.closed.text == told, timeout=WAIT_MS)


def select_with(qtbot, page, rows, key):
    """Two rows one after the other, the second with this key held."""
    table = page.table
    for row, keys in zip(rows, (Qt.KeyboardModifier.NoModifier, key), strict=True):
        at = table.visualRect(table.model().index(row, 0)).center()
        qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, keys, at)
