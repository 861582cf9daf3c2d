"""The import sheet at the window: columns and terms, every row checked before it is sent, what is refused and why."""

import openpyxl
import pytest

from desktop.presenters.imports import ImportStage
from server.catalog.model import Sku
from server.stock.model import StockLot
from shared import ids
from tests.desktop.files import workbook
from tests.desktop.test_uploads import Faults, Reading, drained, keys_file
from tests.desktop.window_program import drop, sign_in, texts

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

WAIT_MS = 30_000


def checked(qtbot, desk):
    """Wait until every row of the file on the sheet was checked."""
    qtbot.waitUntil(lambda: (one := desk.imports.check) is not None and one.ledger is not None, timeout=WAIT_MS)
    return desk.imports.check


def choose(box, value):
    """Choose in a combo box as a person does."""
    at = box.findData(value)
    box.setCurrentIndex(at)
    box.activated.emit(at)


def test_the_sheet_shows_what_becomes_of_every_row_and_one_repair_can_be_refused(program, live_shop, qtbot, tmp_path):
    keys = live_shop.world.keys("STEAM-50", 40)
    rows = [("卡号", "卡密", "有效期", "成本", "可用次数")]
    for n, key in enumerate(keys):
        damaged = f"{key} " if n % 10 == 1 else key
        rows.append((f"N{n}", damaged, ("2099-08-31", "2099-12-31")[n % 2], "8.70", "3" if n == 0 else ""))
    rows += [("A", keys[3], "2099-08-31", "8.70", ""), ("B", "ＡBCD-1", "31/12/2099", "x", "")]
    rows[41] = ("N3", keys[3], "2099-08-31", "8.70", "")
    live_shop.world.stock("STEAM-50", [(f"N{n}", keys[n]) for n in range(2)])
    sign_in(qtbot, program, live_shop.url, "chen")
    desk = program.console.desk
    drop(program.window, [workbook(tmp_path / "STEAM-50.xlsx", rows)])
    check = checked(qtbot, desk)
    sheet = program.window.page.sheet
    qtbot.waitUntil(lambda: "去掉首尾空白" in texts(sheet.checked), timeout=WAIT_MS)  # laid out a moment later
    read = texts(sheet.checked)
    assert "有效期 2099-08-31 至 2099-12-31 · 成本 ¥8.70 · 每张可用 1 – 3 次 · 共 3 批" in read
    assert "去掉首尾空白　4 行（B3、B13、B23…）" in read
    figures = {key: sheet.checked.ledger.figure(key) for key in ("read", "valid", "duplicates", "refused", "skipped")}
    names = [figure.accessibleName() for figure in figures.values()]
    assert names == ["读取 43", "可导入 40", "重复 1", "拒绝 1", "跳过 1"]

    figures["refused"].click()
    assert sheet.problems.isVisible()
    assert sheet.problems.model().index(0, 4).data() == "有效期无法识别，请核对日期写法"
    figures["duplicates"].click()
    assert sheet.problems.model().index(0, 4).data() == "与第 5 行重复"
    figures["duplicates"].click()
    assert sheet.sample.isVisible()

    sheet.checked.box("spaces").click()
    qtbot.waitUntil(lambda: check.ledger is not None and check.ledger.refused == 5, timeout=WAIT_MS)
    assert not sheet.checked.box("spaces").isChecked(), "it is still there to be taken back"
    check.start()
    qtbot.waitUntil(lambda: (one := desk.imports.progress) is not None and one.is_over, timeout=WAIT_MS)
    one = desk.imports.progress
    assert (one.figures.valid, one.stored, one.duplicates_in_stock) == (36, 35, 1)
    with live_shop.world.ctx.db.read() as tx:
        lots = [(str(lot.expires_on), lot.cost, lot.uses) for lot in tx.query(StockLot).all() if lot.cost is not None]
    assert sorted(lots) == [("2099-08-31", 87_000, 1), ("2099-12-31", 87_000, 1)], "the key of three uses was here"

    detail = program.window.page.detail
    qtbot.waitUntil(lambda: desk.imports.problems.count == 8, timeout=WAIT_MS)
    assert detail.reasons.isVisible()
    choose(detail.reasons, "repair_refused")
    assert desk.imports.problems.count == 4
    detail.server_ledger.figure("stock_duplicates").click()
    assert [desk.imports.problems.cells(at)[4] for at in range(desk.imports.problems.count)] == ["库存中已有这张卡密"]
    assert not desk.imports.is_cut_short


def test_every_reason_is_told_in_one_sentence_that_adds_up(program, live_shop, qtbot, tmp_path):
    rows = [("卡密", "有效期", "成本", "次数"), ("ABCD-1", "", "", "")]
    rows += [("ABCD-2", "2020-01-01", "", ""), ("ABCD-3", "soon", "", ""), ("ABCD-4", "", "x", "")]
    rows += [("ABCD-5", "", "", "0"), ("AB\u200bCD-6", "", "", ""), ("ABCD-7", "", "y", "")]
    sign_in(qtbot, program, live_shop.url, "chen")
    drop(program.window, [workbook(tmp_path / "STEAM-50.xlsx", rows)])
    check = checked(qtbot, program.console.desk)
    (told,) = program.window.page.sheet._shown_remarks
    assert check.ledger.refused == sum(lines for _why, lines in check.refusals) == 6
    assert told.text == (
        "有 6 行不能导入：成本不是金额，例如 8.70 ×2；已过有效期 ×1；有效期无法识别，请核对日期写法 ×1；"
        "可用次数不是 1 到 10000 的整数 ×1；中间含有看不见的字符（零宽字符、全角空格等） ×1。"
    )


def test_lost_figures_of_the_server_are_exported_with_their_own_cells(program, live_shop, qtbot, tmp_path):
    keys = live_shop.world.keys("STEAM-50", 6)
    live_shop.world.stock("STEAM-50", [("", key) for key in keys[2:4]])
    file = tmp_path / "STEAM-50.txt"
    file.write_text("\n".join([*keys, keys[0]]), "utf-8")
    sign_in(qtbot, program, live_shop.url, "chen")
    desk = program.console.desk
    drop(program.window, [file])
    checked(qtbot, desk).start()
    qtbot.waitUntil(lambda: (one := desk.imports.progress) is not None and one.is_over, timeout=WAIT_MS)
    page = program.window.page
    page._ask_target = lambda _parent, _name: tmp_path / "left.xlsx"
    page.detail.write.click()
    qtbot.waitUntil(lambda: desk.imports.exported is not None, timeout=WAIT_MS)
    left = openpyxl.load_workbook(tmp_path / "left.xlsx").active
    told = [[cell.value for cell in row] for row in left.iter_rows(min_row=2)]
    assert told == [
        [3, None, "服务器未接受", "库存中已有这张卡密", keys[2]],
        [4, None, "服务器未接受", "库存中已有这张卡密", keys[3]],
        [7, None, "重复", "与第 1 行重复", keys[0]],
    ]


def test_costs_uses_and_separators_are_said_for_a_whole_file(program, live_shop, qtbot, tmp_path):
    file = tmp_path / "STEAM-50.txt"
    file.write_text("A,1;ABCD-1\nB,2;ABCD-2\n", "utf-8")
    sign_in(qtbot, program, live_shop.url, "chen")
    desk, window = program.console.desk, program.window
    drop(window, [file])
    check = checked(qtbot, desk)
    bar = window.page.sheet.reading
    seen = [check.preview.separator]
    for _ in range(7):
        before = check.preview
        window.run("import.switch_separator")
        qtbot.waitUntil(lambda old=before: check.preview is not old, timeout=WAIT_MS)
        seen.append(check.preview.separator)
    assert sorted(set(seen)) == sorted(("----", "\t", ",", ";", "|", " ", ""))
    choose(bar.box("separator"), ";")
    bar.cost.setText("8.7x")
    bar.cost.editingFinished.emit()
    assert (bar.cost.property("wrong"), check.options.cost) == ("true", None)
    bar.cost.setText("8.70")
    bar.cost.editingFinished.emit()
    bar.uses.setText("3")
    bar.uses.editingFinished.emit()
    qtbot.waitUntil(lambda: check.preview is not None and check.preview.options.uses == 3, timeout=WAIT_MS)
    checked(qtbot, desk)
    assert "全部：¥8.70 · 3 次" in texts(window.page.sheet.checked)
    assert check.preview.separator == ";"
    check.start()
    qtbot.waitUntil(lambda: (one := desk.imports.progress) is not None and one.is_over, timeout=WAIT_MS)
    assert desk.imports.progress.stage is ImportStage.DONE
    assert live_shop.world.level("STEAM-50").free == 6


def test_the_template_is_saved_where_a_person_says(program, live_shop, qtbot, tmp_path):
    sign_in(qtbot, program, live_shop.url, "chen")
    program.window.go("imports")
    program.window.page._ask_target = lambda _parent, name: tmp_path / name
    program.window.run("import.template")
    qtbot.waitUntil((tmp_path / "卡密导入模板.xlsx").exists, timeout=WAIT_MS)
    book = openpyxl.load_workbook(tmp_path / "卡密导入模板.xlsx")
    assert [cell.value for cell in book["卡密"][1]] == ["卡号", "卡密", "有效期", "成本", "可用次数"]


def test_every_sku_can_be_chosen_also_beyond_the_first_page(program, live_shop, qtbot, tmp_path):
    with live_shop.world.ctx.db.tx() as tx:
        first = tx.query(Sku).filter_by(code="STEAM-50").one()
        for n in range(450):
            more = {"code": f"STEAM-W-{n:03}", "name": f"STEAM-W-449 {n}", "unit_price": 10_000, "max_quantity": 9}
            tx.add(Sku(id=ids.new_id(), product_id=first.product_id, n=n + 1, **more))
    sign_in(qtbot, program, live_shop.url, "chen")
    desk, (key,) = program.console.desk, live_shop.world.keys("STEAM-50", 1)
    file = tmp_path / "keys.txt"
    file.write_text(key + "\n", "utf-8")
    drop(program.window, [file])
    qtbot.waitUntil(lambda: desk.imports.check is not None and len(desk.imports.check.skus) == 452, timeout=WAIT_MS)
    box = program.window.page.sheet.sku
    choose(box, "STEAM-W-449")  # also beyond the first page of what its own letters find
    checked(qtbot, desk).start()
    qtbot.waitUntil(lambda: (one := desk.imports.progress) is not None and one.is_over, timeout=WAIT_MS)
    assert (desk.imports.progress.sku, desk.imports.progress.stored) == ("STEAM-W-449", 1)
    assert live_shop.world.level("STEAM-50").imported == 0


def test_an_import_is_paused_and_goes_on_while_its_file_is_read(program, in_shop, qtbot, tmp_path, monkeypatch):
    faults, reading = Faults(), Reading(monkeypatch, 2, 11)
    faults.hold_from = 0
    with in_shop(wrap=faults) as shop:
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 60_000), "STEAM-50.txt")
        sign_in(qtbot, program, shop.url, "chen")
        desk = program.console.desk
        drop(program.window, [file])
        qtbot.waitUntil(lambda: desk.imports.check is not None and desk.imports.check.is_ready, timeout=WAIT_MS)
        desk.imports.check.start()
        detail = program.window.page.detail
        qtbot.waitUntil(lambda: faults.held.is_set() and detail.pause.isVisible(), timeout=WAIT_MS)
        assert desk.imports.progress.stage is ImportStage.READING
        detail.pause.click()
        qtbot.waitUntil(detail.resume.isVisible, timeout=WAIT_MS)
        assert (desk.imports.progress.stage, desk.imports.progress.held) == (ImportStage.READING, True)
        read = desk.imports.progress.figures.read
        reading.let_past(2).set()
        qtbot.waitUntil(lambda: desk.imports.progress.figures.read > read, timeout=WAIT_MS)  # now and then
        assert (detail.resume.isVisible(), detail.pause.isVisible(), detail.badge.accessibleName()) == (
            True,
            False,
            "已暂停",
        )
        assert detail.stage.text().startswith("上传已暂停；文件仍在本机读取、检查并加密（")
        assert desk.imports.listing.cells(0)[-1] == "已暂停"
        reading.let_past(11).set()
        qtbot.waitUntil(lambda: desk.imports.progress.stage is ImportStage.PAUSED, timeout=WAIT_MS)
        assert set(faults.puts) <= {0, 1}, "nothing more was sent"
        faults.release.set()
        detail.cancel.click()
        qtbot.waitUntil(lambda: desk.imports.progress.is_over, timeout=WAIT_MS)
        assert desk.imports.progress.stage is ImportStage.CANCELLED
        qtbot.waitUntil(lambda: not desk.imports.progress.cancel_owed, timeout=WAIT_MS)  # the server knows it too
        assert drained(shop).imported == 0


def test_an_import_that_goes_on_says_that_its_earlier_choices_stay(program, in_shop, qtbot, tmp_path):
    faults = Faults()
    faults.hold_from = 0
    with in_shop(wrap=faults) as shop:
        file = keys_file(tmp_path, shop.world.keys("STEAM-50", 10), "STEAM-50.txt")
        sign_in(qtbot, program, shop.url, "chen")
        window, desk = program.window, program.console.desk
        drop(window, [file])
        checked(qtbot, desk).decide(encoding="gb18030")
        checked(qtbot, desk).start()
        qtbot.waitUntil(faults.held.is_set, timeout=WAIT_MS)
        detail = window.page.detail
        qtbot.waitUntil(lambda: (one := desk.imports.progress) is not None and one.chunks == 1, timeout=WAIT_MS)
        qtbot.waitUntil(detail.pause.isVisible, timeout=WAIT_MS)
        detail.pause.click()
        qtbot.waitUntil(detail.resume.isVisible, timeout=WAIT_MS)
        said = "继续上次未完成的导入：列和其他选项仍是那次选择的。要改选，请先取消它，再重新导入。"
        assert said not in window.toasts.texts()
        faults.hold_from = None
        faults.release.set()
        drop(window, [file])
        check = checked(qtbot, desk)
        assert (check.options.encoding, check.preview.options.encoding) == ("gb18030", "gb18030"), "as it was chosen"
        check.use_cost("9")
        checked(qtbot, desk).start()
        qtbot.waitUntil(lambda: (one := desk.imports.progress) is not None and one.is_over, timeout=WAIT_MS)
        assert said in window.toasts.texts()
        assert (len(desk.imports.imports), desk.imports.progress.stored) == (1, 10)
        with shop.world.ctx.db.read() as tx:
            assert [lot.cost for lot in tx.query(StockLot).all()] == [None], "as it was chosen first"
