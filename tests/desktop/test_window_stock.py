"""A person at the stock, a real shop behind it: browse, freeze, withdraw, void, find pasted keys, reveal one."""

import logging
from datetime import date
from pathlib import Path

import pytest
from PySide6.QtCore import QItemSelection, QItemSelectionModel, Qt
from PySide6.QtWidgets import QApplication, QWidget

from desktop.operations.keys import Revealed
from desktop.operations.stock import move_lot
from desktop.presenters.deeds import DeedKind
from desktop.views.stock.reveal import RevealSheet
from server.stock import browse
from shared import clock, ids
from shared.cardkey import Card
from shared.contracts.stock import Unit
from shared.permissions import Role
from shared.states import LotState, UnitState
from tests.desktop.live import Line
from tests.desktop.window_program import desk_of, sign_in, texts
from tests.server.stocking import stock_lots
from tests.world import ANNA, BEN

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

WAIT_MS = 30_000


class Counting:
    """The shop's app with a list of what was asked of it, and the bodies that came in."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bodies: list[bytes] = []

    def __call__(self, asgi):
        async def counted(scope, receive, send):
            if scope["type"] == "http":
                self.asked.append(f"{scope['path']}?{scope['query_string'].decode()}")

            async def receiving():
                message = await receive()
                self.bodies.append(message.get("body", b""))
                return message

            await asgi(scope, receiving, send)

        return counted

    def windows(self) -> list[str]:
        """The windows of units that were asked for."""
        return [one for one in self.asked if "/units/window" in one]


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def shop(in_shop, counting):
    with in_shop(wrap=counting) as running:
        yield running


@pytest.fixture
def at_stock(qtbot, program, shop):
    """`at_stock(login)`: that person looks at the stock of STEAM-50."""

    def go(login: str):
        sign_in(qtbot, program, shop.url, login)
        stock = program.console.desk.stock
        program.window.go("stock")
        qtbot.waitUntil(lambda: stock.feed.as_of is not None, timeout=WAIT_MS)
        program.window.page.table.go_to([row.sku for row in stock.feed.rows].index("STEAM-50"))
        qtbot.waitUntil(lambda: bool(stock.lots.rows), timeout=WAIT_MS)
        return program.window.page, stock

    return go


def pick_rows(table, first: int, last: int) -> None:
    model = table.model()
    table.selectionModel().select(
        QItemSelection(model.index(first, 0), model.index(last, 0)),
        QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows,
    )


def cells(table, row: int) -> list[str]:
    return [table.model().index(row, at).data() for at in range(table.model().columnCount())]


def decide(qtbot, page, reason: str) -> None:
    """Give a reason and press Enter."""
    field = page.detail.decision.field
    assert not page.detail.decision.go.isEnabled(), "nothing is done without a reason"
    field.setText(reason)  # an input method would put it there
    qtbot.keyClick(field, Qt.Key.Key_Return)


def test_stock_shows_a_sum_that_adds_up_and_units_without_keys(at_stock, shop, qtbot):
    keys = shop.world.keys("STEAM-50", 600)
    shop.world.stock("STEAM-50", keys)
    shop.world.buy(ANNA, "STEAM-50", 3)
    page, stock = at_stock("chen")
    assert page.detail.ledger.adds_up
    assert (stock.sum.imported, stock.sum.free, stock.sum.sold, stock.sum.for_sale) == (600, 597, 3, 597)
    rows, table = stock.units.rows, page.detail.units.table
    qtbot.mouseClick(page.detail.ledger.figure("sold"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: rows.as_of is not None and rows.size == 3, timeout=WAIT_MS)
    assert {cells(table, n)[2] for n in range(3)} == {"已售"}
    qtbot.mouseClick(page.detail.ledger.figure("sold"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: rows.size == 600, timeout=WAIT_MS)
    assert table.model().rowCount() == 600, "all of them at once"
    assert cells(table, 0)[:2] == ["#1-1", "••••••••" + keys[0][-4:]]
    assert not any(key in texts(page) for key in keys[:3])


def test_the_end_of_the_list_is_one_key_away_and_little_is_read(at_stock, shop, counting, qtbot):
    shop.world.stock("STEAM-50", 9_000)
    page, stock = at_stock("chen")
    page.detail.show_units()
    qtbot.waitUntil(lambda: stock.units.rows.size == 9_000, timeout=WAIT_MS)
    table = page.detail.units.table
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_End)
    table.grab()
    qtbot.waitUntil(lambda: cells(table, 8_999)[0] == "#1-9,000", timeout=WAIT_MS)
    assert table.current_row() == 8_999
    assert len(counting.windows()) <= 6, "of 36 windows"
    asked = len(counting.windows())
    page.detail.units.table.sort_asked.emit("seq")
    qtbot.waitUntil(lambda: cells(table, 0)[0] == "#1-9,000", timeout=WAIT_MS)
    assert table.model().headerData(0, Qt.Orientation.Horizontal) == "编号 ↓"
    assert len(counting.windows()) <= asked + 3


def test_units_keep_the_rules_of_qt(at_stock, shop, qtbot, qtmodeltester):
    shop.world.stock("STEAM-50", 300)
    page, stock = at_stock("chen")
    page.detail.show_units()
    qtbot.waitUntil(lambda: stock.units.rows.size == 300, timeout=WAIT_MS)
    qtmodeltester.check(page.detail.units.table.model())


def test_a_lot_is_frozen_released_and_withdrawn_by_keys(program, at_stock, shop, qtbot):
    shop.world.stock("STEAM-50", 40)
    shop.world.buy(ANNA, "STEAM-50", 5)
    shop.world.place(BEN, "STEAM-50", 2)
    page, stock = at_stock("chen")
    window = program.window
    lots = page.detail.lots.table
    lots.go_to(0)
    assert not window._actions["lot.release"].isEnabled()
    window.run("lot.freeze")
    effect = page.detail.decision.effect.text()
    assert effect == "33 张立即停止销售；2 张已被锁定，付款后照常发货；5 张已售不受影响；随时可以解冻。"
    assert shop.world.level("STEAM-50").free == 33
    decide(qtbot, page, "怀疑泄露")
    qtbot.waitUntil(lambda: stock.lots.rows[0].state is LotState.FROZEN, timeout=WAIT_MS)
    assert page.detail.decision.isHidden()
    assert lots.current_row() == 0, "the person stays where they were"
    qtbot.waitUntil(lambda: stock.sum.for_sale == 0, timeout=WAIT_MS)
    window.run("lot.release")
    decide(qtbot, page, "已核实")
    qtbot.waitUntil(lambda: stock.lots.rows[0].state is LotState.OPEN, timeout=WAIT_MS)
    window.run("lot.withdraw")
    qtbot.keyClick(page.detail.decision.field, Qt.Key.Key_Escape)
    assert stock.deeds.pending is None
    window.run("lot.withdraw")
    decide(qtbot, page, "导错规格")
    qtbot.waitUntil(lambda: stock.lots.rows[0].state is LotState.WITHDRAWN, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: shop.world.level("STEAM-50").void == 33, timeout=WAIT_MS)
    level = shop.world.level("STEAM-50")
    assert (level.free, level.held, level.sold) == (0, 2, 5)
    assert [kind for kind in DeedKind if stock.may(kind)] == [DeedKind.WITHDRAW_IMPORT], "the file may have other lots"
    assert any("正在撤回 33 张" in text for text in window.toasts.texts())


def test_lots_come_as_they_are_scrolled_to_and_a_file_is_told_whole(program, at_stock, shop, qtbot):
    brought = [((None, n, 1), shop.world.keys("STEAM-50", 1, start=n)) for n in range(230)]
    stock_lots(shop.world, "STEAM-50", brought)
    page, stock = at_stock("chen")
    table = page.detail.lots.table
    assert (stock.lots.size, stock.lots.more) == (200, True)
    assert page.detail.units.lot.itemText(page.detail.units.lot.count() - 1) == "载入更多批次…"
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_End)
    qtbot.waitUntil(lambda: stock.lots.size == 230, timeout=WAIT_MS)
    qtbot.keyClick(table, Qt.Key.Key_End)
    assert (stock.lot.number, stock.lots.more) == (0, False)
    program.window.run("lot.withdraw_import")
    qtbot.waitUntil(lambda: stock.deeds.pending is not None, timeout=WAIT_MS)
    assert page.detail.decision.title.text() == "撤回整个文件 STEAM-50.txt（230 个批次）"
    assert shop.world.level("STEAM-50").free == 230
    decide(qtbot, page, "导错规格")
    qtbot.waitUntil(lambda: shop.world.level("STEAM-50").void == 230, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not stock.is_at_work and not stock.lots.loading, timeout=WAIT_MS)
    assert (stock.lots.size, stock.lot.number, table.current_row()) == (230, 0, 229), "the person stays where they were"
    program.window.run("lot.withdraw_import")
    qtbot.waitUntil(lambda: stock.deeds.error is not None, timeout=WAIT_MS)
    assert "文件“STEAM-50.txt”已没有可撤回的批次。" in texts(page.detail.lots)


def test_what_somebody_else_does_is_told_and_moves_nothing(program, at_stock, shop, qtbot, console):
    shop.world.stock("STEAM-50", 10)
    page, stock = at_stock("li")
    page.detail.lots.table.go_to(0)
    program.window.run("lot.copy_id")
    assert QApplication.clipboard().text() == str(stock.lots.rows[0].id)
    other = console("other", follow=False)
    other.sign_in(shop.url, "chen")
    other.run(move_lot(other.engine, stock.lots.rows[0], LotState.FROZEN, reason="怀疑泄露"))
    program.engine.hint()
    view = page.detail.lots.list
    qtbot.waitUntil(view._fresh.isVisible, timeout=WAIT_MS)
    assert view._fresh.text() == "有新的变化，刷新"
    assert stock.lots.rows[0].state is LotState.OPEN
    view._fresh.click()
    qtbot.waitUntil(lambda: stock.lots.rows[0].state is LotState.FROZEN, timeout=WAIT_MS)
    assert page.detail.lots.table.current_row() == 0
    assert cells(page.detail.lots.table, 0)[1] == "冻结"


def test_selected_units_become_void_and_the_others_stay(program, at_stock, shop, qtbot):
    shop.world.stock("STEAM-50", 700)
    shop.world.buy(ANNA, "STEAM-50", 2)
    page, stock = at_stock("li")
    page.detail.show_units()
    qtbot.waitUntil(lambda: stock.units.rows.size == 700, timeout=WAIT_MS)
    table = page.detail.units.table
    pick_rows(table, 0, 599)
    program.window.activateWindow()
    qtbot.waitUntil(program.window.isActiveWindow, timeout=WAIT_MS)
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: stock.deeds.pending is not None, timeout=WAIT_MS)
    assert page.detail.decision.effect.text() == "598 张将作废，不能恢复；2 张已售；后面这些不受影响。"
    program.choose_language("en")
    qtbot.waitUntil(lambda: page.detail.units.chosen.text() == "600 selected", timeout=WAIT_MS)
    program.choose_language("zh")
    decide(qtbot, page, "卡密错误")
    qtbot.waitUntil(lambda: shop.world.level("STEAM-50").void == 598, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: stock.deeds.pending is None, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: cells(table, 5)[5] == "卡密错误", timeout=WAIT_MS)
    assert cells(table, 5)[2] == "作废"
    assert shop.world.level("STEAM-50").free == 100
    assert any("已作废 598 张" in text for text in program.window.toasts.texts())


def test_pasted_keys_are_found_and_leave_no_trace(program, at_stock, shop, counting, qtbot, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    keys = shop.world.keys("STEAM-50", 20)
    shop.world.stock("STEAM-50", keys)
    shop.world.buy(ANNA, "STEAM-50", 1)
    page, stock = at_stock("li")
    QApplication.clipboard().setText("\n".join([*keys, "NO-SUCH-KEY-0001", keys[4]]))
    page.search.setFocus()
    qtbot.keySequence(page.search, "Ctrl+V")
    assert page.search.text() == "", "keys never stand in the filter"
    qtbot.waitUntil(lambda: stock.finding.pasted is not None, timeout=WAIT_MS)
    assert stock.finding.error is None
    assert page.finder.ledger.adds_up
    assert [stock.finding.count(one) for one in ("found", "missing", "doubled")] == [20, 1, 1]
    assert stock.finding.sold() == 1
    table = page.finder.table
    qtbot.mouseClick(page.finder.ledger.figure("missing"), Qt.MouseButton.LeftButton)
    assert table.model().rowCount() == 1
    assert cells(table, 0)[:3] == ["21", "••••0001", "没有找到"]
    qtbot.mouseClick(page.finder.ledger.figure("found"), Qt.MouseButton.LeftButton)
    assert cells(table, 0)[3:5] == ["STEAM-50", "#1-1"]
    table.go_to(0)
    qtbot.keyClick(table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not stock.finding.is_open and stock.picked is not None, timeout=WAIT_MS)
    assert stock.finding.rows == []
    sent = b"".join(counting.bodies)
    kept = b"".join(file.read_bytes() for file in Path(tmp_path / "home").rglob("*") if file.is_file())
    for key in keys:
        assert key.encode() not in sent
        assert key.encode() not in kept
        assert key not in caplog.text
        assert key not in texts(page)


def test_units_are_found_by_the_end_of_their_card(program, at_stock, shop, counting, qtbot, monkeypatch):
    monkeypatch.setattr(browse, "SEARCHED_UNITS", 50)  # so that most stretches of the list have none
    keys = [f"CARD-{n:04d}-{'WXYZ' if n in {3, 280, 281} else f'{n:04d}'}" for n in range(300)]
    shop.world.stock("STEAM-50", keys)
    page, stock = at_stock("li")
    page.detail.show_units()
    view, units = page.detail.units, stock.units
    qtbot.waitUntil(lambda: units.rows.size == 300, timeout=WAIT_MS)
    counting.asked.clear()
    QApplication.clipboard().setText(keys[280])
    view.search.setFocus()
    qtbot.keySequence(view.search, "Ctrl+V")
    assert view.search.text() == "WXYZ"
    qtbot.waitUntil(lambda: units.found.size == 3 and not units.found.more, timeout=WAIT_MS)
    assert [cells(view.table, n)[0] for n in range(3)] == ["#1-4", "#1-281", "#1-282"]
    assert {one.rsplit("tail=", 1)[1][:4] for one in counting.asked if "tail=" in one} == {"WXYZ"}
    assert not any(keys[280] in one for one in counting.asked)
    pick_rows(view.table, 1, 2)
    view.void_picked()
    assert stock.deeds.pending.seqs == (281, 282)
    decide(qtbot, page, "卡密错误")
    qtbot.waitUntil(lambda: units.found.rows[1:] and cells(view.table, 1)[5] == "卡密错误", timeout=WAIT_MS)
    view.search.setFocus()
    qtbot.keyClicks(view.search, "0")
    qtbot.waitUntil(lambda: units.found.is_empty, timeout=WAIT_MS)
    assert "没有以“XYZ0”结尾的卡密" in texts(view)


def test_space_tells_what_happened_to_a_unit(at_stock, shop, qtbot):
    keys = shop.world.keys("STEAM-50", 3)
    shop.world.stock("STEAM-50", keys)
    shop.world.buy(ANNA, "STEAM-50", 1)
    page, stock = at_stock("li")
    page.detail.show_units()
    qtbot.waitUntil(lambda: stock.units.rows.size == 3, timeout=WAIT_MS)
    table = page.detail.units.table
    table.go_to(0)
    qtbot.keyClick(table, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: stock.units.history is not None, timeout=WAIT_MS)
    assert [event.what for event in stock.units.history.events] == ["imported", "sold"]
    words = texts(page.detail.units.peek)
    assert "售出" in words
    assert "STEAM-50.txt" in words
    assert keys[0] not in words
    qtbot.keyClick(table, Qt.Key.Key_J)
    qtbot.waitUntil(lambda: len(stock.units.history.events) == 1, timeout=WAIT_MS)
    qtbot.keyClick(table, Qt.Key.Key_Space)
    assert stock.units.history is None
    assert page.detail.units.peek.isHidden()


def test_rows_that_do_not_come_say_so_and_come_when_asked_again(program, shop, qtbot):
    shop.world.stock("STEAM-50", 2_000)
    with Line(shop.port) as line:
        sign_in(qtbot, program, line.url, "li")
        stock = program.console.desk.stock
        program.window.go("stock")
        qtbot.waitUntil(lambda: stock.feed.as_of is not None, timeout=WAIT_MS)
        page = program.window.page
        page.table.go_to([row.sku for row in stock.feed.rows].index("STEAM-50"))
        page.detail.show_units()
        qtbot.waitUntil(lambda: stock.units.rows.size == 2_000, timeout=WAIT_MS)
        table, view = page.detail.units.table, page.detail.units.list
        line.cut()
        qtbot.keyClick(table, Qt.Key.Key_End)
        table.grab()
        qtbot.waitUntil(lambda: stock.units.rows.error is not None, timeout=WAIT_MS)
        assert cells(table, 1_999)[0] == "…"
        assert "没有服务应答" in view.count.text()
        assert view._fresh.text() == "没有读全，重试"
        line.mend()
        view._fresh.click()
        table.grab()
        qtbot.waitUntil(lambda: cells(table, 1_999)[0] == "#1-2,000", timeout=WAIT_MS)
        assert stock.units.rows.error is None
        assert table.current_row() == 1_999


def test_one_pasted_key_is_no_filter_but_a_code_is(program, at_stock, shop, counting, qtbot):
    keys = shop.world.keys("STEAM-50", 2)
    shop.world.stock("STEAM-50", keys)
    page, stock = at_stock("li")
    QApplication.clipboard().setText(f" {keys[0]}\n")
    qtbot.keySequence(page.search, "Ctrl+V")
    qtbot.waitUntil(lambda: stock.finding.pasted == 1, timeout=WAIT_MS)
    assert (stock.finding.count("found"), page.search.text()) == (1, "")
    page.finder.left.emit()
    assert not stock.finding.is_open
    QApplication.clipboard().setText("office-1y")
    qtbot.keySequence(page.search, "Ctrl+V")
    assert page.search.text() == "office-1y"
    assert not stock.looks_like_key("STEAM-50")
    assert not stock.looks_like_key("十个汉字的规格名称100")
    assert not any(keys[0] in asked for asked in counting.asked)


def sheet_of() -> RevealSheet:
    return next(one for one in QApplication.topLevelWidgets() if isinstance(one, RevealSheet) and one.isVisible())


def test_a_key_is_revealed_for_a_reason_and_goes_by_itself(program, at_stock, shop, qtbot, caplog):
    caplog.set_level(logging.DEBUG)
    keys = shop.world.keys("STEAM-50", 3)
    shop.world.stock("STEAM-50", [("N1", key) for key in keys])
    page, stock = at_stock("li")
    factor = shop.world.enrol("li")
    page.detail.show_units()
    qtbot.waitUntil(lambda: stock.units.rows.size == 3, timeout=WAIT_MS)
    page.detail.units.table.go_to(1)
    program.window.run("unit.reveal")
    sheet = sheet_of()
    sheet.reason.setText("买家反馈无法兑换")
    wrong = "000000" if factor.now() != "000000" else "111111"
    qtbot.keyClicks(sheet.code, wrong)
    qtbot.keyClick(sheet.code, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: stock.revealing.error is not None, timeout=WAIT_MS)
    assert (stock.revealing.shown, sheet.code.text(), sheet.paper.isVisible()) == (None, "", False)
    qtbot.keyClicks(sheet.code, factor.now())
    qtbot.keyClick(sheet.code, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: stock.revealing.shown is not None, timeout=WAIT_MS)
    shown = stock.revealing.shown
    assert (shown.card.number, shown.card.secret) == ("N1", keys[1])
    assert "李航" in shown.watermark
    assert keys[1] not in texts(sheet), "painted, not written"
    assert keys[1] not in repr(shown)
    assert sheet.paper._lines() == ["N1", keys[1]]
    QApplication.clipboard().setText("before")
    sheet.copy.click()
    assert QApplication.clipboard().text() == f"N1----{keys[1]}"
    sheet.left = 1
    sheet.tick()
    assert (stock.revealing.shown, sheet.paper.isVisible(), sheet.paper._lines()) == (None, False, [])
    assert QApplication.clipboard().text() == ""
    sheet.reject()
    assert keys[1] not in caplog.text


def test_a_revealed_key_goes_when_the_window_does(program, qtbot):
    revealing = desk_of(program, Role.OPERATOR).stock.revealing
    revealing.begin("STEAM-50", Unit(seq=1, state=UnitState.FREE, lot_id=ids.new_id()))
    sheet = RevealSheet(revealing, program.window)
    sheet.open()
    revealing.shown = Revealed(1, "李航", clock.now(), Card("", "K3J9-22MX"))
    revealing.changed()
    assert sheet.paper.isVisible()
    assert not sheet.paper.grab().isNull()
    sheet.activateWindow()
    qtbot.waitUntil(sheet.isActiveWindow, timeout=WAIT_MS)
    assert sheet.paper.isVisible()
    other = QWidget()  # another program's window, as far as the sheet can tell
    qtbot.addWidget(other)
    other.show()
    other.activateWindow()
    qtbot.waitUntil(lambda: not sheet.isActiveWindow(), timeout=WAIT_MS)
    assert revealing.shown is None
    assert not sheet.paper.isVisible()
    sheet.reject()


def test_finance_sees_counts_and_nothing_to_do(program, at_stock, shop):
    shop.world.stock("STEAM-50", 5, terms=(date(2027, 1, 1), 380_000, 1))
    page, stock = at_stock("zhou")
    assert page.detail.tabs.count() == 1
    assert (stock.lots.rows[0].cost, stock.lots.rows[0].expires_on) == (380_000, date(2027, 1, 1))
    page.detail.lots.table.go_to(0)
    for command in ("lot.freeze", "lot.withdraw", "unit.void", "unit.reveal", "stock.find_keys", "stock.set_alerts"):
        program.window.run(command)
        assert not program.window._actions[command].isEnabled()
    assert stock.deeds.pending is None
    assert not stock.finding.is_open


@pytest.mark.parametrize("spoken", ["zh", "en"])
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPPLIER])
def test_no_figure_is_cut_off_in_a_narrow_window(program, qtbot, role, spoken):
    program.choose_language(spoken)
    desk_of(program, role)
    window = program.window
    window.resize(1180, 760)
    window.go("alerts")
    alerts = window.page.table
    window.go("stock")
    window.page.detail.show()
    skus, lots = window.page.table, window.page.detail.lots.table
    for place, tables in (("alerts", [alerts]), ("stock", [skus, lots])):
        window.go(place)
        for table in tables:
            qtbot.waitUntil(lambda table=table: table.viewport().width() > 900, timeout=WAIT_MS)
            assert table.horizontalHeader().length() <= table.viewport().width()
    tells = {table: ({"供应商", "Supplier"} & set(titles_of(table))) != set() for table in (alerts, skus)}
    assert set(tells.values()) == {role is Role.OPERATOR}
    left_out = [title for at, title in enumerate(titles_of(lots)) if lots.horizontalHeader().isSectionHidden(at)]
    assert left_out in (["最后销售日", "导入时间"], ["Last sale day", "Imported at"])
    window.resize(1600, 900)
    header = lots.horizontalHeader()
    qtbot.waitUntil(lambda: not any(map(header.isSectionHidden, range(header.count()))), timeout=WAIT_MS)
    assert all(header.sectionSize(at) > 40 for at in range(header.count()))


def titles_of(table):
    """The titles over a table's columns, those that are left out included."""
    model = table.model()
    return [model.headerData(at, Qt.Orientation.Horizontal) for at in range(model.columnCount())]
