"""The window without a server: controls have names, keys do not clash, language and theme change at run time."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QTabBar,
    QWidget,
)

from desktop import theme
from desktop.commands import ALL, PLACES
from desktop.engine.events import Connection, ConnectionChanged
from desktop.theme.tokens import DARK, LIGHT
from desktop.views.page import Page
from shared.permissions import ROLE_PERMISSIONS, Role
from tests.desktop.window_program import desk_of, texts

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the offscreen platform says so

CONTROLS = (QAbstractButton, QLineEdit, QPlainTextEdit, QComboBox, QAbstractItemView, QAbstractSpinBox, QTabBar)
PLACES_OF = {
    Role.ADMIN: [
        "imports",
        "products",
        "stock",
        "alerts",
        "orders",
        "exceptions",
        "refunds",
        "channels",
        "reconciliation",
        "settlement",
        "ledger",
    ],
    Role.OPERATOR: ["products", "stock", "alerts", "orders", "exceptions", "refunds", "channels"],
    Role.FINANCE: [
        "products",
        "stock",
        "orders",
        "exceptions",
        "refunds",
        "channels",
        "reconciliation",
        "settlement",
        "ledger",
    ],
    Role.SUPPLIER: ["imports", "products", "stock", "alerts", "orders", "refunds", "settlement"],
}


def is_ours(widget: QWidget) -> bool:
    """Whether the control is one a person uses, not a part that Qt builds into another control."""
    if widget.objectName().startswith("qt_"):
        return False
    parents = []
    parent = widget.parentWidget()
    while parent is not None:
        parents.append(parent)
        parent = parent.parentWidget()
    inside = (QComboBox, QAbstractSpinBox, QAbstractItemView, QLineEdit, QTabBar)
    return not any(isinstance(one, inside) or type(one).__name__ == "QCalendarWidget" for one in parents)


def nameless(root: QWidget) -> list[str]:
    """The controls below `root` that neither show a word nor have a spoken name."""
    found = []
    for widget in root.findChildren(QWidget):
        if not isinstance(widget, CONTROLS) or not is_ours(widget) or widget.isHidden():
            continue  # a button without a job is hidden, and gets its words with its job
        shown = widget.text() if isinstance(widget, QAbstractButton) else ""
        if not (widget.accessibleName().strip() or shown.strip()):
            found.append(f"{type(widget).__name__} in {type(widget.parentWidget()).__name__}")
    return found


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_control_has_a_name(program, language):
    program.choose_language(language)
    assert nameless(program.sign_in) == []
    desk_of(program, Role.ADMIN)
    assert nameless(program.window) == []


def test_the_name_test_can_fail(program):
    bare = QLineEdit(program.sign_in)
    bare.show()
    assert nameless(program.sign_in) == ["QLineEdit in SignInView"]
    bare.deleteLater()


def test_tab_walks_the_sign_in_in_reading_order(program, qtbot):
    view = program.sign_in
    program.window.activateWindow()
    view.server.setFocus()
    walked = []
    for _ in range(4):
        walked.append(QApplication.focusWidget())
        qtbot.keyClick(walked[-1], Qt.Key.Key_Tab)
    assert walked == [view.server, view.login, view.password, view.enter]


def built(window) -> list[str]:
    """The places whose pages are there."""
    return sorted(page.place for page in window.findChildren(Page) if page.parent() is window.page.parent())


def test_a_screen_is_built_when_somebody_first_goes_there_and_kept(program):
    desk_of(program, Role.ADMIN)
    window = program.window
    assert built(window) == ["alerts", "channels", "imports"], "the first, and those that tell news by themselves"
    window.go("ledger")
    ledger = window.page
    window.go("imports")
    window.go("ledger")
    assert window.page is ledger
    assert built(window) == ["alerts", "channels", "imports", "ledger"]


@pytest.mark.parametrize("role", list(Role))
def test_a_role_sees_its_places_and_no_others(program, role):
    desk_of(program, role)
    shown = [place.id for place in PLACES if place.permission in ROLE_PERMISSIONS[role]]
    assert shown == PLACES_OF[role]
    buttons = program.window.navigation._buttons
    assert list(buttons) == shown
    begins = "reconciliation" if role is Role.FINANCE else shown[0]
    assert program.window.page.place == begins
    hidden = set(PLACES_OF[Role.ADMIN]) - set(shown)
    for place in hidden:
        program.window.run(f"place.{place}")
        assert program.window.page.place == begins


@pytest.mark.parametrize("role", list(Role))
def test_no_key_belongs_to_two_commands_at_once(program, role):
    desk_of(program, role)
    window = program.window
    for place in PLACES_OF[role]:
        window.go(place)
        keys = Counter(
            key.toString()
            for command in ALL
            if window.can(command)
            for key in (QKeySequence(text) for text in command.keys)
        )
        assert [key for key, count in keys.items() if count > 1] == []
        assert "" not in keys, "a key that Qt does not understand"


def test_every_command_is_carried_out_by_somebody(program, monkeypatch):
    """And no screen shows a part of it before it has its place: that would be a window for a moment."""
    alone, set_visible = [], QWidget.setVisible

    def seen(one, is_shown):
        alone.extend([one] if is_shown and one.parentWidget() is None else [])
        set_visible(one, is_shown)

    monkeypatch.setattr(QWidget, "setVisible", seen)
    desk_of(program, Role.ADMIN)
    window = program.window
    carried = set()
    for place in PLACES_OF[Role.ADMIN]:
        window.go(place)
        carried |= {command.id for command in ALL if window._handler(command, window.page) is not None}
    assert carried == {command.id for command in ALL}
    assert alone == []


def test_before_sign_in_only_the_window_can_be_commanded(program):
    enabled = {command.id for command in ALL if program.window.can(command)}
    assert {command.group for command in ALL if command.id in enabled} == {"window"}
    assert "session.end" not in enabled


def test_letters_in_a_text_field_are_text(program, qtbot):
    desk_of(program, Role.ADMIN)
    program.window.go("stock")
    search = program.window.page.search
    program.window.activateWindow()
    search.setFocus()
    qtbot.keyClicks(search, "j/k?")
    assert search.text() == "j/k?"


def test_language_changes_everything_that_is_on_screen(program, qtbot):
    desk = desk_of(program, Role.ADMIN)
    window = program.window
    window.go("stock")
    table = window.page.table
    assert window.page.title.text() == "库存"
    assert table.model().headerData(5, Qt.Orientation.Horizontal) == "在售"
    program.choose_language("en")
    qtbot.waitUntil(lambda: window.page.title.text() == "Stock")
    assert window.windowTitle() == "Kameng Console"
    assert table.model().headerData(5, Qt.Orientation.Horizontal) == "For sale"
    assert window.page is not None
    assert desk.stock is window.page.presenter, "the screen is the same one: nothing typed is lost"
    for place in PLACES_OF[Role.ADMIN]:
        window.go(place)
        left = [line for line in texts(window).splitlines() if any("\u4e00" <= c <= "\u9fff" for c in line)]
        assert left == ["王敏"], "only names stay as they are"
    program.choose_language("zh")
    window.go("stock")
    qtbot.waitUntil(lambda: window.page.title.text() == "库存")


def test_theme_changes_and_is_remembered(program, tmp_path):
    assert theme.current() is LIGHT
    before = program.window.grab().toImage()
    program.choose_theme(theme.Mode.DARK)
    assert theme.current() is DARK
    assert program.window.grab().toImage() != before
    assert DARK.surface in program.window.styleSheet()
    assert program.settings.value("window/theme") == "dark"
    program.run("theme.next")
    assert program.dress.mode is theme.Mode.SYSTEM


def test_the_palette_finds_by_initials_and_runs(program, qtbot):
    desk_of(program, Role.ADMIN)
    window = program.window
    window.show_palette()
    palette = window._palette
    qtbot.keyClicks(palette.field, "zddd")
    assert palette.list.model().rowCount() == 1
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.page.place == "orders")
    window.show_palette()
    assert palette.list.model().index(0, 0).data() == "转到：订单", "what was used last comes first"
    qtbot.keyClicks(palette.field, "zzzzzz")
    assert palette.list.model().rowCount() == 0
    qtbot.keyClick(palette.field, Qt.Key.Key_Escape)
    assert not palette.isVisible()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_key_stands_outside_of_the_sheet(program, qtbot, language):
    program.choose_language(language)
    desk_of(program, Role.FINANCE)
    program.window.resize(1280, 800)
    program.window.show_keys()
    sheet = next(one for one in QApplication.topLevelWidgets() if type(one).__name__ == "KeySheet")
    [area] = sheet.findChildren(QScrollArea)
    qtbot.waitUntil(lambda: area.verticalScrollBar().maximum() > 0)
    assert area.horizontalScrollBar().maximum() == 0
    sheet.close()


def test_the_key_sheet_shows_what_this_person_can_do(program):
    desk_of(program, Role.FINANCE)
    program.window.show_keys()
    sheet = next(one for one in QApplication.topLevelWidgets() if type(one).__name__ == "KeySheet")
    words = texts(sheet)
    assert "导出对账工作簿" in words
    assert "开始导入" not in words
    assert nameless(sheet) == []
    sheet.close()


def test_signing_out_takes_the_screens_down(program):
    desk_of(program, Role.ADMIN)
    assert program.window.page is not None
    program.window.farewell()
    assert program.window.page is None
    assert program.window._pages == {}
    assert program.sign_in.isVisible()


@pytest.mark.parametrize("size", [(1024, 640), (1280, 800)], ids=["small", "usual"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_screen_fits(program, size, language):
    program.choose_language(language)
    desk_of(program, Role.ADMIN)
    program.window.resize(*size)
    for place in PLACES_OF[Role.ADMIN]:
        program.window.go(place)
        wanted = program.window.minimumSizeHint()
        assert (wanted.width() <= size[0], wanted.height() <= size[1]) == (True, True), place


async def _nothing(_engine):
    return "done"


def test_the_last_words_of_an_engine_reach_no_window_that_is_gone(program, qtbot):
    said = ConnectionChanged(Connection.OFFLINE, "http://shop", datetime.now(UTC))
    answers = []
    program.bridge.post(said)
    QApplication.processEvents()  # the burst is collected, its timer runs
    program.bridge.ask(_nothing, answers.append, answers.append)
    program.engine.run(_nothing(None))  # the answer before it is queued now
    program.quit()
    with qtbot.assertNotEmitted(program.bridge.arrived, wait=200):
        program.bridge.post(said)
    assert answers == []
