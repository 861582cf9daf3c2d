"""The table stays quick whatever the number of rows: calls into Python are counted, never timed."""

from collections import Counter

import pytest
from PySide6.QtCore import QItemSelectionModel, QSettings, Qt
from PySide6.QtGui import QGuiApplication

from desktop import theme
from desktop.presenters.listing import PAGE_ROWS, Column, Listing
from desktop.widgets import widths
from desktop.widgets.big_table import BigTable
from desktop.widgets.rows_model import PLACEHOLDER, TONE_ROLE, RowsModel

MILLION = 1_000_000


class Million:
    """A source that answers each page at once and counts what was asked for."""

    def __init__(self, listing: Listing[int], *, late: bool = False) -> None:
        self.listing, self.late = listing, late
        self.ordered: list[int] = []

    def order(self, generation: int, page: int) -> None:
        self.ordered.append(page)
        if not self.late:
            self.answer(generation, page)

    def answer(self, generation: int, page: int) -> None:
        first = page * PAGE_ROWS
        self.listing.arrived(generation, page, range(first, min(first + PAGE_ROWS, self.listing.count)))


class CountingModel(RowsModel):
    """Counts the calls that Qt makes into Python."""

    def __init__(self, *args) -> None:
        self.calls: Counter[str] = Counter()
        super().__init__(*args)

    def data(self, index, role=int(Qt.ItemDataRole.DisplayRole)):
        self.calls["data"] += 1
        return super().data(index, role)

    def flags(self, index):
        self.calls["flags"] += 1
        return super().flags(index)


COLUMNS = [
    Column[int]("seq", str, numeric=True),
    Column[int]("key", lambda n: f"••••{n:04d}", code=True),
    Column[int]("state", lambda n: "可售" if n % 2 else "已售", tone=lambda n: "success" if n % 2 else "neutral"),
]


def titles() -> list[str]:
    return ["序号", "卡密", "状态"]


@pytest.fixture
def listing() -> Listing[int]:
    return Listing(COLUMNS)


@pytest.fixture
def table(qtbot, qapp, listing):
    dress = theme.install(qapp, mode=theme.Mode.LIGHT)
    listing.show(Million(listing), MILLION)
    model = CountingModel(listing, titles)
    table = BigTable(name="卡密")
    dress.dress(table)
    qtbot.addWidget(table)
    table.show_rows(model)
    table.resize(900, 600)
    table.show()
    qtbot.waitExposed(table)
    table.grab()
    return table


def test_the_model_keeps_the_rules_of_qt(qtmodeltester, qapp, listing):
    listing.show_rows(range(40))
    model = RowsModel(listing, titles)
    qtmodeltester.check(model)
    listing.show_rows(range(3))
    listing.grow(5)
    assert model.rowCount() == 5
    qtmodeltester.check(model)


def test_painting_asks_for_what_is_on_screen_only(table):
    table.model().calls.clear()
    table.grab()
    assert 0 < table.model().calls["data"] < 2_000


def test_selecting_all_of_a_million_rows_does_not_visit_them(table):
    table.model().calls.clear()
    table.selectAll()
    table.grab()
    assert table.picked_ranges() == [(0, MILLION - 1)]
    assert table.picked_count() == MILLION
    assert table.model().calls["flags"] < 5_000
    assert table.model().calls["data"] < 4_000


def test_without_its_own_selection_model_the_header_visits_every_cell(table, listing):
    """The cure is only worth its lines while Qt behaves like this; the test tells when it no longer does."""
    listing.show(Million(listing), 20_000)
    table.horizontalHeader().setSelectionModel(table.selectionModel())
    table.horizontalHeader().setHighlightSections(True)
    table.model().calls.clear()
    table.selectAll()
    table.grab()
    assert table.model().calls["flags"] > 20_000


def test_the_last_row_is_one_key_away_and_costs_one_page(table, listing, qtbot):
    source = Million(listing)
    listing.show(source, MILLION)
    qtbot.keyClick(table, Qt.Key.Key_End)
    table.grab()
    assert table.current_row() == MILLION - 1
    assert table.model().index(MILLION - 1, 0).data() == str(MILLION - 1)
    assert len(source.ordered) <= 6
    qtbot.keyClick(table, Qt.Key.Key_Home)
    assert table.current_row() == 0
    qtbot.keyClick(table, Qt.Key.Key_J)
    qtbot.keyClick(table, Qt.Key.Key_J)
    qtbot.keyClick(table, Qt.Key.Key_K)
    assert table.current_row() == 1


def test_a_row_on_its_way_is_a_placeholder_and_then_itself(qapp, listing, qtbot):
    source = Million(listing, late=True)
    listing.show(source, MILLION)
    model = RowsModel(listing, titles)
    cell = model.index(5, 0)
    assert cell.data() == PLACEHOLDER
    assert cell.data(TONE_ROLE) is None
    assert source.ordered == [0, 1]
    assert cell.data() == PLACEHOLDER
    assert source.ordered == [0, 1], "a page on its way is not ordered twice"
    with qtbot.waitSignal(model.dataChanged) as changed:
        source.answer(listing.generation, 0)
    assert (changed.args[0].row(), changed.args[1].row()) == (0, PAGE_ROWS - 1)
    assert cell.data() == "5"
    assert model.index(5, 2).data(TONE_ROLE) == "success"


def test_a_page_of_the_list_before_is_dropped(qapp, listing):
    source = Million(listing, late=True)
    listing.show(source, MILLION)
    listing.cells(0)
    old = listing.generation
    listing.show_rows([7])
    source.answer(old, 0)
    assert listing.cells(0)[0] == "7"


def test_copying_takes_the_selected_rows(table, qapp):
    table.selectionModel().select(
        table.model().index(2, 0),
        QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows,
    )
    table.copy()
    assert qapp.clipboard().text() == "2\t••••0002\t已售"


def test_space_peeks_and_enter_opens(table, qtbot):
    table.go_to(3)
    with qtbot.waitSignal(table.peeked) as peeked:
        qtbot.keyClick(table, Qt.Key.Key_Space)
    with qtbot.waitSignal(table.opened) as opened:
        qtbot.keyClick(table, Qt.Key.Key_Return)
    assert peeked.args == [3]
    assert opened.args == [3]


def test_a_child_of_a_row_has_no_rows(table):
    model = table.model()
    assert model.rowCount(model.index(0, 0)) == 0
    assert model.columnCount(model.index(0, 0)) == 0


def test_a_width_that_somebody_dragged_is_kept(qapp, qtbot, listing, tmp_path, monkeypatch):
    widths.keep_in(QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))
    made = []
    for _ in range(2):
        table = BigTable(name="卡密")
        qtbot.addWidget(table)
        table.show_rows(RowsModel(listing, titles), remembered_as="units")
        made.append(table)
        before = table.columnWidth(1)
        table.horizontalHeader().resizeSection(1, before + 40)  # by the program: nobody's wish
        monkeypatch.setattr(QGuiApplication, "mouseButtons", lambda: Qt.MouseButton.LeftButton)
        table.horizontalHeader().resizeSection(1, 321)
        monkeypatch.undo()
    assert before == 321, "the second table begins where the first was left"
    assert made[0].columnWidth(0) == made[1].columnWidth(0)
    widths.keep("units", "key", 5)
    assert widths.kept("units", "key") is None, "a column nobody could find again"


def test_columns_share_what_room_there_is_and_the_last_that_can_be_spared_goes_first(qapp, qtbot):
    columns = (
        Column[int]("what", str, sample="00", stretch=True),
        Column[int]("amount", str, sample="00000"),
        Column[int]("why", str, sample="00000000", stretch=True, spare=True),
        Column[int]("who", str, sample="000", spare=True),
    )
    listing = Listing(columns)
    listing.show_rows([1])
    table = BigTable(name="调账")
    qtbot.addWidget(table)
    table.show_rows(RowsModel(listing, lambda: ["", "", "", ""]))
    least = [table._width_of(column, "") for column in columns]
    table.show()

    def widths_in(room):
        table.resize(room + table.width() - table.viewport().width(), 200)
        return [0 if table.isColumnHidden(at) else table.columnWidth(at) for at in range(4)]

    wide = widths_in(sum(least) + 100)
    assert (wide[1], wide[3], sum(wide)) == (least[1], least[3], sum(least) + 100)
    assert abs(wide[0] - wide[2]) <= 1, "both that stretch have the same"
    narrow = widths_in(sum(least) - 1)
    assert (narrow[1], narrow[3], sum(narrow)) == (least[1], 0, sum(least) - 1)
    assert [width > 0 for width in widths_in(sum(least[:3]) - 1)] == [True, True, False, False]
    assert widths_in(sum(least) + 100) == wide


def test_a_figure_is_never_cut(qtbot, qapp, tmp_path, monkeypatch):
    """A column of numbers grows to the longest that is here; what can be spared makes room for it, and stays told.
    That rows come while somebody drags the scroll bar gives no column the width that a person wants.
    """
    widths.keep_in(QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat))
    columns = [
        Column[int]("what", lambda n: "差异" * 6, stretch=True, sample="差异" * 6),
        Column[int]("amount", lambda n: f"¥{n:,}.00", numeric=True, sample="¥1.00"),
        Column[int]("state", lambda n: "iiiiii", tone=lambda n: "info", sample="iiiiii\nmmmmmm"),
        Column[int]("more", lambda n: "1,234", numeric=True, sample="1", spare=True),
    ]
    listing = Listing(columns)
    table = BigTable(name="差异")
    theme.install(qapp, mode=theme.Mode.LIGHT).dress(table)
    qtbot.addWidget(table)
    table.show_rows(RowsModel(listing, lambda: ["类型", "金额", "状态", "笔数"]), remembered_as="differences")
    header, metrics = table.horizontalHeader(), table.fontMetrics()
    narrow = [header.sectionSize(at) for at in range(4)]
    assert narrow[2] > metrics.horizontalAdvance("mmmmmm"), "the widest of the words that it can have"
    table.resize(metrics.horizontalAdvance("差异" * 6) + 60 + sum(narrow[1:]), 300)
    table.show()
    qtbot.waitExposed(table)
    monkeypatch.setattr(QGuiApplication, "mouseButtons", lambda: Qt.MouseButton.LeftButton)
    listing.show_rows([1, 9_876_543_210])
    table.grab()
    qtbot.waitUntil(lambda: header.sectionSize(1) > metrics.horizontalAdvance("¥9,876,543,210.00"))
    assert header.isSectionHidden(3)
    table.resize(900, 300)
    qtbot.waitUntil(lambda: not header.isSectionHidden(3))
    assert header.sectionSize(3) > metrics.horizontalAdvance("1,234")
    table.measure_again()
    qtbot.waitUntil(lambda: header.sectionSize(1) > metrics.horizontalAdvance("¥9,876,543,210.00"))
    assert [widths.kept("differences", column.key) for column in columns] == [None] * 4
