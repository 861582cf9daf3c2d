"""A person at the window, a real shop behind it: sign in, drop a file, publish, find an order, close the day."""

import openpyxl
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from desktop.presenters.imports import ImportStage
from desktop.views.imports.paste import PasteDialog
from shared.permissions import Role
from shared.states import ProductState
from tests.desktop.files import workbook
from tests.desktop.live import Line
from tests.desktop.window_program import desk_of, drag, drop, sign_in, texts
from tests.world import ANNA, BEN

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

WAIT_MS = 30_000


def checked(qtbot, desk):
    """Wait until the file on the sheet was looked at."""
    qtbot.waitUntil(lambda: desk.imports.check is not None and not desk.imports.check.looking, timeout=WAIT_MS)
    return desk.imports.check


def ended(qtbot, desk):
    """Wait until the import in front is over, and what the server refused was read."""
    qtbot.waitUntil(lambda: (one := desk.imports.progress) is not None and one.is_over, timeout=WAIT_MS)
    return desk.imports.progress


def test_a_wrong_password_is_told_and_the_right_one_opens_the_desk(program, live_shop, qtbot):
    view = program.sign_in
    assert "关闭窗口后需要重新登录" in view.keeping.text(), "there is no keyring here, and it says so"
    for field, text in ((view.server, live_shop.url), (view.login, "chen"), (view.password, "wrong")):
        qtbot.keyClicks(field, text)
    qtbot.keyClick(view.password, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: program.console.sign_in.error is not None, timeout=WAIT_MS)
    assert view.problem.isVisible()
    assert view.problem.text == program.console.sign_in.error.sentence("zh")
    assert program.window.page is None
    sign_in(qtbot, program, live_shop.url, "chen")
    assert view.password.text() == "", "nothing secret stays in the form"
    assert program.window.page.place == "imports"
    assert program.window.focusWidget() is program.window.page, "not the button that signs out"
    qtbot.waitUntil(lambda: program.window.foot.connection.text() == "已连接", timeout=WAIT_MS)
    program.run("session.end")
    qtbot.waitUntil(lambda: program.window.page is None, timeout=WAIT_MS)
    assert not view.problem.isVisible()


def test_a_dropped_file_is_shown_then_imported_and_its_ledger_adds_up(program, live_shop, world, qtbot, tmp_path):
    keys = world.keys("STEAM-50", 30)
    world.stock("STEAM-50", keys[:3])
    rows = [["卡号", "卡密"], *([f"N{n:03d}", key] for n, key in enumerate(keys))]
    rows += [["N999", keys[5]], [None, None], ["N998", 12345678901234567], ["N997", f" {keys[0]}x "]]
    rows[6][0] = rows[-4][0] = "N005"
    file = workbook(tmp_path / "STEAM-50 三月.xlsx", rows)
    sign_in(qtbot, program, live_shop.url, "chen")
    desk, window = program.console.desk, program.window
    qtbot.waitUntil(lambda: bool(desk.imports._skus), timeout=WAIT_MS)

    assert drag(window, [file]).isAccepted()
    assert "STEAM-50 三月.xlsx · Excel" in window.overlay_text
    assert "预览并导入 1 个文件" in window.overlay_text
    assert drop(window, [file]).isAccepted()
    assert window.overlay_text == ""
    check = checked(qtbot, desk)
    assert check.error is None
    assert (check.sku, check.preview.kind, check.preview.total) == ("STEAM-50", "xlsx", 35)
    sheet = window.page.sheet
    assert keys[0] not in texts(sheet)
    model = sheet.sample.lines
    assert keys[0][-4:] in model.index(1, 3).data()
    assert keys[0] not in "".join(str(model.index(1, at).data()) for at in range(5)), "keys are covered"
    model.uncover(1)
    assert model.index(1, 3).data() == keys[0], "but for the line that is pointed at"
    model.uncover(-1)

    qtbot.keyClick(sheet.sample, Qt.Key.Key_Return)
    one = ended(qtbot, desk)
    assert one.stage is ImportStage.DONE, one.why
    figures = one.figures
    assert (figures.read, figures.valid, figures.duplicates, figures.refused, figures.skipped) == (35, 31, 1, 1, 2)
    assert (one.stored, one.duplicates_in_stock, one.refused_by_server) == (31, 0, 0)
    detail = window.page.detail
    assert detail.file_ledger.adds_up
    assert detail.server_ledger.adds_up
    assert world.level("STEAM-50").imported == 3 + 31
    qtbot.mouseClick(detail.file_ledger.figure("refused"), Qt.MouseButton.LeftButton)
    assert detail.table.model().rowCount() == 1
    cells = [detail.table.model().index(0, at).data() for at in range(5)]
    assert cells[:3] == ["34", "B34", "拒绝"]
    assert "超过 15 位" in cells[4]


def test_the_server_has_the_last_word_on_duplicates(program, live_shop, world, qtbot, tmp_path):
    keys = world.keys("STEAM-50", 5)
    world.stock("STEAM-50", [("", key) for key in keys[:2]])
    file = tmp_path / "keys.txt"
    file.write_text("\n".join(keys), "utf-8")
    sign_in(qtbot, program, live_shop.url, "chen")
    desk = program.console.desk
    program.window.take_files([file])
    check = checked(qtbot, desk)
    check.choose_sku("STEAM-50")
    check.start()
    one = ended(qtbot, desk)
    assert (one.stored, one.duplicates_in_stock) == (3, 2)
    qtbot.waitUntil(lambda: desk.imports.problems.count == 2, timeout=WAIT_MS)
    model = program.window.page.detail.table.model()
    assert [model.index(at, 0).data() for at in range(2)] == ["1", "2"]
    assert model.index(0, 4).data() == "库存中已有这张卡密"

    program.window.take_files([file])
    check = checked(qtbot, desk)
    check.choose_sku("STEAM-50")
    check.start()
    qtbot.waitUntil(lambda: check.error is not None, timeout=WAIT_MS)
    assert check.may_repeat
    assert program.window.page.sheet._repeat.isVisible()
    assert "内容相同" in program.window.page.sheet.problem.text


def test_a_few_letters_choose_the_sku_and_the_next_enter_imports(program, live_shop, world, qtbot, tmp_path):
    file = tmp_path / "keys.txt"
    file.write_text("AAAA-1111\nBBBB-2222\n", "utf-8")
    sign_in(qtbot, program, live_shop.url, "chen")
    desk, window = program.console.desk, program.window
    qtbot.waitUntil(lambda: bool(desk.imports._skus), timeout=WAIT_MS)
    drop(window, [file])
    check = checked(qtbot, desk)
    sheet = window.page.sheet
    assert (check.sku, sheet.go.isEnabled(), sheet.why.text()) == ("", False, "先选择规格")
    field = sheet.sku.lineEdit()
    window.activateWindow()
    field.setFocus()
    qtbot.keyClicks(field, "no such")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert (check.sku, field.text()) == ("", "")
    field.setFocus()
    qtbot.keyClicks(field, "music-")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert (check.sku, desk.imports.imports) == ("MUSIC-30", []), "choosing is not importing"
    qtbot.keyClick(sheet.go, Qt.Key.Key_Return)
    assert ended(qtbot, desk).stored == 2
    assert world.level("MUSIC-30").free == 2


def test_a_file_that_cannot_be_read_says_why_and_imports_nothing(program, live_shop, qtbot, tmp_path):
    file = tmp_path / "keys.xlsx"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    sign_in(qtbot, program, live_shop.url, "chen")
    desk = program.console.desk
    drop(program.window, [file])
    check = checked(qtbot, desk)
    sheet = program.window.page.sheet
    assert check.preview is None
    assert sheet.problem.text == check.error.sentence("zh")
    assert not sheet.go.isEnabled()
    assert not sheet.reading.box("encoding").isVisible(), "no encoding makes keys of a picture"
    assert "Ctrl+E" not in texts(sheet)
    qtbot.keyClick(sheet, Qt.Key.Key_Escape)
    assert desk.imports.check is None
    assert desk.imports.imports == []


def test_escape_skips_one_file_after_the_other(program, live_shop, qtbot, tmp_path):
    first = tmp_path / "keys.txt"
    first.write_text("AAAA-1111\nBBBB-2222\n", "utf-8")
    damaged = workbook(
        tmp_path / "damaged.xlsx", [["卡号", "卡密"], *(["N1", 12345678901234567 + n] for n in range(3))]
    )
    sign_in(qtbot, program, live_shop.url, "chen")
    desk, window = program.console.desk, program.window
    qtbot.waitUntil(lambda: bool(desk.imports._skus), timeout=WAIT_MS)
    drop(window, [first, damaged])
    checked(qtbot, desk)
    sheet = window.page.sheet
    assert window.focusWidget() is sheet.sku
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Escape)
    check = checked(qtbot, desk)
    assert check.refusals == [("是超过 15 位的数字，Excel 已改掉末尾数字，请把列设为文本后重新导出", 3)]
    why = "预览中有 3 行不能导入：是超过 15 位的数字，Excel 已改掉末尾数字，请把列设为文本后重新导出。"
    assert sheet._shown_remarks[0].text == why
    assert window.focusWidget() is sheet.sku
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Escape)
    assert desk.imports.check is None
    assert window.focusWidget() is window.page.home


def test_files_are_welcome_only_where_they_can_be_imported(program, qtbot, tmp_path):
    file = tmp_path / "keys.txt"
    file.write_text("A\n")
    drag(program.window, [file])
    assert program.window.overlay_text.startswith("请先登录")
    drop(program.window, [file])
    desk = desk_of(program, Role.OPERATOR)
    drag(program.window, [file])
    assert program.window.overlay_text.startswith("您的账号不能导入卡密")
    drop(program.window, [file])
    assert desk.imports.check is None


def test_pasted_lines_go_the_way_of_a_file_and_leave_no_trace(program, live_shop, world, qtbot):
    sign_in(qtbot, program, live_shop.url, "chen")
    desk = program.console.desk
    QApplication.clipboard().setText("A1----K3J9-22MX\nA2----7HHW-M4C1\n\n")
    program.window.run("import.paste")
    dialog = next(one for one in QApplication.topLevelWidgets() if isinstance(one, PasteDialog))
    assert dialog.lines.text() == "2 行"
    dialog.go_on.click()
    check = checked(qtbot, desk)
    kept = check.file
    assert kept.stat().st_mode & 0o777 == 0o600
    check.choose_sku("MUSIC-30")
    check.start()
    one = ended(qtbot, desk)
    assert (one.figures.valid, one.stored) == (2, 2)
    assert not kept.exists()
    assert world.level("MUSIC-30").free == 2


def test_refused_lines_are_exported_with_their_reasons(program, live_shop, qtbot, tmp_path):
    file = workbook(tmp_path / "MUSIC-30.xlsx", [["卡密"], ["AAAA-1111"], [12345678901234567], ["AAAA-1111"]])
    target = tmp_path / "out.xlsx"
    sign_in(qtbot, program, live_shop.url, "chen")
    desk, window = program.console.desk, program.window
    qtbot.waitUntil(lambda: bool(desk.imports._skus), timeout=WAIT_MS)
    window.page._ask_target = lambda _parent, name: target if name == "未导入的行-MUSIC-30.xlsx" else None
    drop(window, [file])
    checked(qtbot, desk).start()
    ended(qtbot, desk)
    window.run("import.export_refused")
    qtbot.waitUntil(lambda: desk.imports.exported is not None, timeout=WAIT_MS)
    assert (desk.imports.exported.path, desk.imports.exported.rows) == (target, 2)
    sheet = openpyxl.load_workbook(target).active
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == [3, 4]
    assert any("已导出 2 行" in text for text in window.toasts.texts())


def test_a_supplier_drafts_and_an_operator_publishes(program, live_shop, qtbot):
    sign_in(qtbot, program, live_shop.url, "chen")
    window = program.window
    window.go("products")
    page, desk = window.page, program.console.desk
    qtbot.waitUntil(lambda: len(desk.products.categories) == 3, timeout=WAIT_MS)
    assert not page._publish.isVisible()
    window.run("product.create")
    form = page._form
    form.save.click()
    assert form.isVisible()
    assert "红框" in form.problem.text
    form.name.setText("网盘会员")  # an input method would put it there: Chinese has no keys of its own
    qtbot.keyClicks(form.code, "netdisk")
    for field, text in zip(form._skus[0], ("DISK-1Y", "1Y", "98.5"), strict=False):
        qtbot.keyClicks(field, text)
    form.save.click()
    qtbot.waitUntil(lambda: "netdisk" in [one.code for one in desk.products.feed.rows], timeout=WAIT_MS)
    assert page._form is None, "the form went away by itself"
    program.run("session.end")
    qtbot.waitUntil(lambda: program.console.desk is None, timeout=WAIT_MS)

    sign_in(qtbot, program, live_shop.url, "li")
    page, desk = window.page, program.console.desk
    qtbot.waitUntil(lambda: desk.products.feed.as_of is not None, timeout=WAIT_MS)
    at = [one.code for one in desk.products.feed.rows].index("netdisk")
    page.pick(at)
    assert desk.products.feed.rows[at].state is ProductState.DRAFT
    assert page._publish.isEnabled()
    assert not page._take_down.isEnabled()
    window.run("product.publish")
    qtbot.waitUntil(
        lambda: {one.code: one.state for one in desk.products.feed.rows}["netdisk"] is ProductState.PUBLISHED,
        timeout=WAIT_MS,
    )
    assert any("“网盘会员”已上架" in text for text in window.toasts.texts())


def test_an_order_is_found_by_what_was_read_out_on_the_phone(program, live_shop, world, qtbot):
    world.stock("STEAM-50", 5)
    checkout = world.buy(ANNA, "STEAM-50", 2)
    world.place(BEN, "STEAM-50")
    code = checkout.order.code
    sign_in(qtbot, program, live_shop.url, "zhou")
    window, desk = program.window, program.console.desk
    window.show_palette()
    qtbot.keyClicks(window._palette.field, f"#{code[:4]} {code[4:8].lower()}-{code[8:]}")
    qtbot.keyClick(window._palette.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: desk.orders.opened is not None, timeout=WAIT_MS)
    page = window.page
    assert (page.place, desk.orders.opened.code) == ("orders", code)
    words = texts(page.peek)
    assert "¥90.00" in words
    assert "已发货" in page.peek.badge.accessibleName()
    qtbot.waitUntil(lambda: page.table.model().rowCount() == 2, timeout=WAIT_MS)
    desk.orders.look_into(None)
    page.table.go_to(0)
    qtbot.keyClick(page.table, Qt.Key.Key_Space)
    assert desk.orders.opened is not None
    qtbot.keyClick(page.table, Qt.Key.Key_J)
    assert desk.orders.opened.code == desk.orders.feed.rows[1].code, "walking the list walks the peek"
    qtbot.keyClick(page.table, Qt.Key.Key_Space)
    assert not page.peek.isVisible()


def test_finance_closes_the_day(program, live_shop, world, qtbot, tmp_path):
    world.stock("STEAM-50", 5)
    world.buy(ANNA, "STEAM-50", 2)
    sign_in(qtbot, program, live_shop.url, "zhou")
    window, desk = program.window, program.console.desk
    window.go("reconciliation")
    page = window.page
    window.run("day.next")
    qtbot.waitUntil(lambda: desk.reconciliation.books.summary is not None, timeout=WAIT_MS)
    assert page.books._figures["paid"].text() == "¥90.00"
    assert desk.reconciliation.books.holds
    target, opened = tmp_path / "day.xlsx", []
    page._ask_target = lambda _parent, _name: target
    page.news.show_folder = opened.append
    window.run("day.export")
    qtbot.waitUntil(lambda: not desk.reconciliation.books.exporting, timeout=WAIT_MS)
    assert desk.reconciliation.books.error is None
    assert str(target) in page.news.written.text
    assert openpyxl.load_workbook(target).sheetnames
    page.news.folder.click()
    assert opened == [tmp_path]
    window.run("day.next")
    assert desk.reconciliation.books.day == desk.reconciliation.books.today, "there is no day after today"
    window.run("day.previous")
    assert desk.reconciliation.books.is_over
    assert page.news.written.text == ""


def test_offline_says_so_and_shows_what_was_seen_last(program, live_shop, world, qtbot, tmp_path):
    world.stock("STEAM-50", 4)
    with Line(live_shop.port) as line:
        sign_in(qtbot, program, line.url, "chen")
        window, desk = program.window, program.console.desk
        window.go("stock")
        qtbot.waitUntil(lambda: desk.stock.feed.as_of is not None, timeout=WAIT_MS)
        line.cut()
        window.run("list.refresh")
        qtbot.waitUntil(lambda: not desk.stock.feed.live, timeout=WAIT_MS)
        assert "离线" in window.page.list.count.text()
        assert len(desk.stock.feed.rows) == 2
        program.engine.hint()
        qtbot.waitUntil(lambda: window.foot.connection.text() == "离线", timeout=WAIT_MS)
        line.mend()
        program.engine.hint()
        qtbot.waitUntil(lambda: window.foot.connection.text() == "已连接", timeout=WAIT_MS)
