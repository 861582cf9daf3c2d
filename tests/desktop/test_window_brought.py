"""What a statement brought forward, or will, at the window against the real server: it leads to what is behind it."""

import re
from datetime import timedelta

import openpyxl
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from desktop.operations import ledger, settlement
from desktop.views.shell.window import SMALLEST
from shared import clock, ids
from shared.contracts.brought import BroughtForward
from shared.contracts.ledger import AdjustmentTransfer
from shared.contracts.settlement import EditTerms
from shared.finance import Cycle, ReleaseFrom
from tests.desktop.window_program import sign_in, texts
from tests.world import ANNA

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

WAIT_MS = 30_000
TICKET = "T-7".ljust(80, "0")


@pytest.fixture
def adjusted(world, colleague):
    """星河 has a statement, ten yuan more by an adjustment, a statement of these, and five yuan more since."""
    agreed = {"mode": "purchase", "cycle": Cycle.D0, "n": 0, "release_from": ReleaseFrom.DELIVERED}
    zhou, wang, payee = colleague("zhou"), colleague("wang"), world.suppliers["xinghe"]
    with clock.fixed(clock.day_bounds(clock.shop_day(clock.now()))[0] - timedelta(hours=12)):
        zhou.run(settlement.edit_terms(zhou.engine, payee, EditTerms(**agreed, reason="合同 2026-1", version=0)))
        world.stock("STEAM-50", 1)
        world.buy(ANNA, "STEAM-50")

    def made():
        day, run = clock.shop_day(clock.now()), ids.new_id()
        [one] = zhou.run(settlement.make_statements(zhou.engine, run_id=run, day=day, suppliers=[payee]))
        return zhou.run(settlement.move_statement(zhou.engine, one, "confirm"))

    def adjust(fen, **told):
        more = {"debit_kind": "loss", "debit_owner": "", "credit_kind": "supplier_available", "credit_owner": payee.hex}
        transfers = [AdjustmentTransfer(**more, amount_fen=fen)]
        proposed = ledger.propose_adjustment(zhou.engine, adjustment_id=ids.new_id(), transfers=transfers, **told)
        wang.run(ledger.check_adjustment(wang.engine, zhou.run(proposed), approve=True))

    made()
    adjust(1_000, reason="补十月少结的", ticket=TICKET)
    one = made()
    adjust(500, reason="补运费", ticket="T-8")
    return one


def see_what_is_due(window, desk, qtbot, one):
    """Before a statement is made of it, the same is told and leads to the same."""
    adjustments = desk.ledger.adjustments
    window.go("settlement")
    window.run("settlement.show_due")
    page, due = window.page.due, desk.settlement.due
    qtbot.waitUntil(lambda: due.chosen is not None and due.account is not None, timeout=WAIT_MS)
    [mine, other] = sorted(due.suppliers.rows, key=lambda row: row.owed_fen)
    due.choose(other)
    assert (due.may_look_at_brought, page.brought.isVisible(), page.panel.isVisible()) == (False, False, False)
    due.choose(mine)
    qtbot.waitUntil(page.brought.isVisible, timeout=WAIT_MS)
    assert page.brought.text() == "上期结转 ¥5.00"
    window.run("due.brought")
    qtbot.waitUntil(lambda: bool(due.brought.parts), timeout=WAIT_MS)
    assert page.panel.isVisible()
    assert re.search("¥5.00\n\n上期结转\n调账\n¥5.00\nT-8 · 20.* · 补运费", texts(page.panel))
    due.choose(other)
    assert not page.panel.isVisible(), "it brings nothing forward"
    due.choose(mine)
    window.run("due.brought")
    qtbot.waitUntil(lambda: "调账" in texts(page.panel), timeout=WAIT_MS)
    page.panel.part_wanted.emit(BroughtForward(kind="short", amount_fen=-1, id=one.id))
    qtbot.waitUntil(lambda: window.page.front.place == "statements", timeout=WAIT_MS)
    statements = desk.settlement.statements
    qtbot.waitUntil(lambda: statements.opened is not None and statements.opened.id == one.id, timeout=WAIT_MS)
    window.run("settlement.show_due")
    [part] = (press for press in page.panel.findChildren(QPushButton) if press.text() == "调账")
    qtbot.mouseClick(part, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: adjustments.opened is not None and adjustments.opened.ticket == "T-8", timeout=WAIT_MS)
    assert (window.page.place, window.page.front.place) == ("ledger", "adjustments")


def test_what_was_brought_forward_leads_to_its_adjustment(program, live_shop, adjusted, qtbot, tmp_path):
    sign_in(qtbot, program, live_shop.url, "zhou")
    window, desk = program.window, program.console.desk
    window.go("settlement")
    page, statements = window.page.statements, desk.settlement.statements
    qtbot.waitUntil(lambda: bool(statements.brought.parts), timeout=WAIT_MS)
    assert statements.opened.id == adjusted.id
    assert f"上期结转\n¥10.00\n调账\n¥10.00\n{TICKET} · 20" in texts(page.panel)
    assert "补十月少结的" in texts(page.panel)
    window.run("statement.brought")
    qtbot.waitUntil(page.line_panel.isVisible, timeout=WAIT_MS)
    assert (page.brought.text(), page.line_panel.name.text()) == ("上期结转 ¥10.00", "¥10.00")
    area = page.line_panel.area
    qtbot.waitUntil(lambda: area.widget().width() == area.viewport().width(), timeout=WAIT_MS)
    program.choose_language("en")
    window.resize(*SMALLEST)
    whose = page.whose
    qtbot.waitUntil(lambda: whose.text().endswith(" payable ¥10.00"), timeout=WAIT_MS)
    qtbot.waitUntil(lambda: 0 < whose.heightForWidth(whose.width()) <= whose.height(), timeout=WAIT_MS)
    program.choose_language("zh")
    qtbot.waitUntil(lambda: page.brought.text() == "上期结转 ¥10.00", timeout=WAIT_MS)
    target = tmp_path / "one.xlsx"
    page._ask_target = lambda _parent, _name: target
    window.run("statement.export")
    qtbot.waitUntil(lambda: statements.exported is not None, timeout=WAIT_MS)
    told = {row[0]: row[1] for row in openpyxl.load_workbook(target)["封面"].iter_rows(values_only=True)}
    assert (told["上期结转（元）"], told[f"调账 {TICKET}（元）"]) == (10, 10)
    [part] = (press for press in page.line_panel.findChildren(QPushButton) if press.text() == "调账")
    qtbot.mouseClick(part, Qt.MouseButton.LeftButton)
    adjustments = desk.ledger.adjustments
    qtbot.waitUntil(lambda: adjustments.opened is not None, timeout=WAIT_MS)
    assert (window.page.place, window.page.front.place) == ("ledger", "adjustments")
    assert (adjustments.opened.ticket, adjustments.opened.reason) == (TICKET, "补十月少结的")
    see_what_is_due(window, desk, qtbot, adjusted)
    program.console.sign_out()
    qtbot.waitUntil(lambda: program.console.desk is None, timeout=WAIT_MS)
    sign_in(qtbot, program, live_shop.url, "chen")
    window.go("settlement")
    page, statements = window.page.statements, program.console.desk.settlement.statements
    qtbot.waitUntil(lambda: bool(statements.brought.parts), timeout=WAIT_MS)
    assert f"调账\n¥10.00\n{TICKET} · 20" in texts(page.panel)
    assert "补十月少结的" not in texts(page.panel)
    assert "调账" not in {press.text() for press in page.panel.findChildren(QPushButton)}, "it is the shop's"
    window.run("settlement.show_due")
    page = window.page.due
    qtbot.waitUntil(page.brought.isVisible, timeout=WAIT_MS)
    window.run("due.brought")
    qtbot.waitUntil(lambda: "T-8 · 20" in texts(page.panel), timeout=WAIT_MS)
    assert "补运费" not in texts(page.panel)
    assert "调账" not in {press.text() for press in page.panel.findChildren(QPushButton)}
