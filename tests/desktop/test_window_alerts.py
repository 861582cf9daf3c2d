"""Alerts and rules at the window: told once, one press from the SKU; key rules that somebody else changed."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from desktop.operations import products
from desktop.views.alerts.rule import RuleSheet
from server.stock.alerts import rules
from server.stock.alerts.watch import Watch
from shared.cardkey import CheckDigit
from shared.contracts.catalog import KeyRule, SellingRule
from shared.states import AlertKind, SaleOrder
from tests.desktop.live import Line
from tests.desktop.window_program import sign_in
from tests.world import ANNA

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

WAIT_MS = 30_000


def test_an_alert_is_told_once_and_leads_to_its_sku(program, live_shop, world, qtbot):
    world.stock("STEAM-50", 6)
    world.stock("MUSIC-30", 500)
    sign_in(qtbot, program, live_shop.url, "chen")
    window, desk = program.window, program.console.desk
    qtbot.waitUntil(lambda: desk.alerts.live.as_of is not None, timeout=WAIT_MS)
    assert (desk.alerts.count, window.foot.alerts.isVisible()) == (0, False)
    world.buy(ANNA, "STEAM-50", 6)
    Watch(world.ctx.db).look()
    desk.alerts.renew()
    qtbot.waitUntil(lambda: desk.alerts.count == 1, timeout=WAIT_MS)
    assert window.foot.alerts.text() == "1 个库存预警"
    assert window.navigation._buttons["alerts"].accessibleName() == "库存预警 1"
    assert [text for text in window.toasts.texts() if "已售罄" in text]
    window.run("place.alerts")
    page = window.page
    assert page.table.model().rowCount() == 1
    page.table.go_to(0)
    alert = page.picked
    assert (alert.kind, alert.sku, alert.for_sale) == (AlertKind.SOLD_OUT, "STEAM-50", 0)
    qtbot.keyClick(page.table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: desk.stock.picked is not None, timeout=WAIT_MS)
    assert (window.page.place, desk.stock.picked.sku) == ("stock", "STEAM-50")
    assert window.page.table.model().index(0, 1).data() == "1"
    window.run("place.alerts")
    page.table.go_to(0)
    window.run("alert.import_now")
    assert (window.page.place, desk.imports.preferred_sku) == ("imports", "STEAM-50")


def test_the_rule_of_a_sku_is_edited(program, live_shop, world, qtbot):
    world.stock("STEAM-50", 50)
    sign_in(qtbot, program, live_shop.url, "chen")
    window, desk = program.window, program.console.desk
    window.go("stock")
    qtbot.waitUntil(lambda: desk.stock.feed.as_of is not None, timeout=WAIT_MS)
    window.page.table.go_to([row.sku for row in desk.stock.feed.rows].index("STEAM-50"))
    window.run("stock.set_alerts")
    sheet = next(one for one in QApplication.topLevelWidgets() if isinstance(one, RuleSheet))
    qtbot.waitUntil(sheet.save.isEnabled, timeout=WAIT_MS)
    assert [(switch.isChecked(), number.value()) for switch, number in (sheet.below, sheet.cover, sheet.expiring)] == [
        (False, 100),
        (True, 3),
        (True, 14),
    ]
    sheet.below[0].setChecked(True)
    sheet.below[1].setValue(80)
    sheet.cover[0].setChecked(False)
    sheet.save.click()
    qtbot.waitUntil(lambda: any("STEAM-50" in text for text in window.toasts.texts()), timeout=WAIT_MS)
    with world.ctx.db.read() as tx:
        sku_id = world.skus["STEAM-50"].sku_id
        rule = rules(tx, [sku_id])[sku_id]
    assert (rule.below, rule.cover_days, rule.expiring_days) == (80, None, 14)


def test_key_rules_are_changed_and_a_conflict_is_told(program, live_shop, world, qtbot, console):
    sign_in(qtbot, program, live_shop.url, "chen")
    window, desk = program.window, program.console.desk
    window.go("products")
    page = window.page
    qtbot.waitUntil(lambda: desk.products.feed.as_of is not None, timeout=WAIT_MS)
    at = [one.code for one in desk.products.feed.rows].index("steam")
    page.pick(at)
    window.run("product.change_rules")
    sheet = page._sheet
    assert not sheet.fields.ignore_case.isEnabled(), "stored keys were compared by it"
    other = console("other", follow=False)
    other.sign_in(live_shop.url, "wang")
    steam = desk.products.feed.rows[at]
    rule = KeyRule(min_length=5, max_length=9)
    other.run(products.change_rules(other.engine, steam, key_rule=rule, selling=SellingRule()))
    fields = sheet.fields
    fields.alphabet.setCurrentIndex(fields.alphabet.findData("digits"))
    sheet.save.click()
    qtbot.waitUntil(lambda: desk.products.error is not None, timeout=WAIT_MS)
    assert "已被他人修改" in sheet.problem.text
    sheet.newest.click()
    qtbot.waitUntil(lambda: fields.shortest.value() == 5, timeout=WAIT_MS)
    fields.alphabet.setCurrentIndex(fields.alphabet.findData("digits"))
    fields.check.setCurrentIndex(1)
    fields.order.setCurrentIndex(1)
    fields.stop_days.setValue(3)
    sheet.save.click()
    qtbot.waitUntil(lambda: page._sheet is None, timeout=WAIT_MS)
    changed = other.run(products.one(other.engine, steam.id))
    assert changed.key_rule == KeyRule(min_length=5, max_length=9, alphabet="0123456789", check_digit=CheckDigit.LUHN)
    assert changed.selling == SellingRule(sale_order=SaleOrder.RANDOM, stop_days=3)


def test_a_new_product_has_the_rules_that_were_typed(program, live_shop, world, qtbot):
    sign_in(qtbot, program, live_shop.url, "chen")
    window, desk = program.window, program.console.desk
    window.go("products")
    page = window.page
    qtbot.waitUntil(lambda: len(desk.products.categories) == 3, timeout=WAIT_MS)
    window.run("product.create")
    form = page._form
    form.name.setText("点卡")
    qtbot.keyClicks(form.code, "cards")
    for field, text in zip(form._skus[0], ("CARDS-1", "1", "9.5"), strict=False):
        qtbot.keyClicks(field, text)
    form.rules.shortest.setValue(20)
    form.rules.longest.setValue(16)
    form.save.click()
    assert form.rules.isVisible(), "what is wrong is shown, also when it was folded away"
    assert form.problem.text == "最短长度不能大于最长长度"
    form.rules.shortest.setValue(16)
    form.rules.ignore_case.setChecked(True)
    form.rules.off_shelf.setChecked(True)
    form.save.click()
    qtbot.waitUntil(lambda: page._form is None, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: "cards" in [one.code for one in desk.products.feed.rows], timeout=WAIT_MS)
    made = next(one for one in desk.products.feed.rows if one.code == "cards")
    assert made.key_rule == KeyRule(min_length=16, max_length=16, ignore_case=True)
    assert made.selling == SellingRule(off_shelf_when_empty=True)


def test_old_figures_of_a_day_say_that_they_are_old(program, live_shop, world, qtbot):
    with Line(live_shop.port) as line:
        sign_in(qtbot, program, line.url, "zhou")
        window, desk = program.window, program.console.desk
        window.go("reconciliation")
        qtbot.waitUntil(lambda: desk.reconciliation.books.summary is not None, timeout=WAIT_MS)
        assert not window.page.notice.isVisible()
        line.cut()
        window.run("list.refresh")
        qtbot.waitUntil(lambda: not desk.reconciliation.books.live, timeout=WAIT_MS)
        assert window.page.notice.text == "连不上服务器，以下数字的读取时间：刚刚"
        program.engine.hint()
        qtbot.waitUntil(lambda: window.foot.connection.text() == "离线", timeout=WAIT_MS)
        assert "没有服务应答" in window.foot.connection.toolTip()
