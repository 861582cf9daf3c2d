"""A table that is as quick with five million rows as with five, built the way it was measured.

Three things keep it so: row heights are one number, columns are measured by a sample text (those of numbers also by
the rows that came, as no figure is ever cut), and the header has a selection model of its own. Without the last, Qt
asks for every painted header section whether its whole column is selected, which calls into Python once per cell:
selecting all of a million rows took seven seconds.

Work with `picked_ranges()`, never with `selectedRows()`: the latter makes one object per row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetrics,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from desktop import theme
from desktop.presenters.listing import Column
from desktop.presenters.words import in_words
from desktop.theme.apply import key_font
from desktop.theme.tokens import tone_colours
from desktop.widgets import widths
from desktop.widgets.rows_model import TONE_ROLE, RowsModel

_CELL_ROOM, _BADGE_ROOM = 27, 40
"""What a cell has beside its words: the style sheet's padding at both sides, and a pixel as text is measured whole."""

COPY_LIMIT_ROWS = 20_000  # a clipboard is for people; whole lists are exported


class BadgeDelegate(QStyledItemDelegate):
    """Paints a cell as a word on a soft ground in the tone that the model gives."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        tone = index.data(TONE_ROLE)
        if not tone:
            super().paint(painter, option, index)
            return
        blank = QStyleOptionViewItem(option)
        self.initStyleOption(blank, index)
        word, blank.text = blank.text, ""
        view = option.widget
        if isinstance(view, QWidget):
            view.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, blank, painter, view)
        text, ground = tone_colours(theme.current(), tone)
        if option.state & QStyle.StateFlag.State_Selected:
            ground = theme.current().raised  # a soft ground would drown in the selection
        room = option.rect.width() - 16
        word = option.fontMetrics.elidedText(word, Qt.TextElideMode.ElideRight, room - 16)
        width = min(option.fontMetrics.horizontalAdvance(word) + 18, room)
        height = min(option.fontMetrics.height() + 5, option.rect.height() - 4)
        top = option.rect.top() + (option.rect.height() - height) // 2
        pill = QRect(option.rect.left() + 10, top, width, height)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(ground))
        painter.drawRoundedRect(pill, height / 2, height / 2)
        painter.setPen(QPen(QColor(text)))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, word)
        painter.restore()


class BigTable(QTableView):
    """A table of `RowsModel`.

    Signals:
        opened(row): Enter or a double click on a row.
        peeked(row): Space, or the current row changed while a peek is open.
        row_changed(row): another row is the current one; -1 for none.
        picked_changed(): other rows are selected.
        sort_asked(key): the title of a column that sorts was pressed.
    """

    opened = Signal(int)
    peeked = Signal(int)
    row_changed = Signal(int)
    picked_changed = Signal()
    sort_asked = Signal(str)

    def __init__(self, *, name: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        rows = self.verticalHeader()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 16)
        rows.hide()
        titles = self.horizontalHeader()
        titles.setHighlightSections(False)
        titles.setSectionsClickable(False)
        titles.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.doubleClicked.connect(lambda index: self.opened.emit(index.row()))
        self._badges = BadgeDelegate(self)
        self._sort_keys: list[str] = []
        self._name = ""
        self._stretched: dict[int, int] = {}
        self._spare: dict[int, int] = {}
        self._wanted: dict[int, int] = {}
        self._is_fitting = False
        self._widen = QTimer(self)
        self._widen.setSingleShot(True)
        self._widen.setInterval(0)  # rows arrive while they are painted: no column changes under that
        self._widen.timeout.connect(self._widen_numbers)

    def show_rows(self, model: RowsModel, *, remembered_as: str = "") -> None:
        """Show `model`, with columns as wide as their samples, or as somebody left them under that name."""
        self._name = remembered_as
        self.setModel(model)
        self.horizontalHeader().sectionResized.connect(self._resized)
        model.modelReset.connect(self._rows_replaced)
        model.dataChanged.connect(self._rows_arrived)
        self._measure_columns(model)
        self._sort_keys = [column.key if column.sorts else "" for column in model.listing.columns]
        if any(self._sort_keys):
            # Also ends Qt's habit of selecting every row when a title is pressed.
            self.setSortingEnabled(True)
            self.horizontalHeader().setSortIndicatorShown(False)  # the title says it
            self.horizontalHeader().setSectionsClickable(True)
            self.horizontalHeader().sectionClicked.connect(self._title_pressed)

    def show_sorted(self, key: str, *, down: bool) -> None:
        """Mark the column that the list is sorted by."""
        model = self.model()
        if isinstance(model, RowsModel):
            model.mark_sorted(key, down=down)

    def setModel(self, model: QAbstractItemModel | None) -> None:
        """Also gives the header a selection model of its own: see the top of this file."""
        super().setModel(model)
        if model is not None:
            header = self.horizontalHeader()
            header.setSelectionModel(QItemSelectionModel(model, header))
            self.selectionModel().currentRowChanged.connect(self._current_changed)
            self.selectionModel().selectionChanged.connect(lambda _now, _before: self.picked_changed.emit())

    def picked_ranges(self) -> list[tuple[int, int]]:
        """The selected rows as sorted ranges (first, last), both inclusive."""
        if self.selectionModel() is None:
            return []
        selection = self.selectionModel().selection()
        parts = (selection.at(at) for at in range(selection.count()))
        return sorted((part.top(), part.bottom()) for part in parts)

    def picked_count(self) -> int:
        """How many rows are selected."""
        return sum(last - first + 1 for first, last in self.picked_ranges())

    def current_row(self) -> int:
        """The row that the keyboard is on, or -1."""
        return self.currentIndex().row()

    def go_to(self, row: int) -> None:
        """Make `row` the current one and bring it into view."""
        model = self.model()
        if model is not None and 0 <= row < model.rowCount():
            self.setCurrentIndex(model.index(row, 0))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """J and K walk, Space peeks, Enter opens, Home and End go to the ends, copying copies what is selected."""
        key, plain = (
            event.key(),
            event.modifiers() in {Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier},
        )
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif plain and key in {Qt.Key.Key_J, Qt.Key.Key_K}:
            self.go_to(self.current_row() + (1 if key == Qt.Key.Key_J else -1))
        elif plain and key in {Qt.Key.Key_Home, Qt.Key.Key_End} and self.model() is not None:
            self.go_to(0 if key == Qt.Key.Key_Home else self.model().rowCount() - 1)
        elif plain and key == Qt.Key.Key_Space and self.current_row() >= 0:
            self.peeked.emit(self.current_row())
        elif plain and key in {Qt.Key.Key_Return, Qt.Key.Key_Enter} and self.current_row() >= 0:
            self.opened.emit(self.current_row())
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Coming by keyboard lands on a row, so that the next arrow key does something visible."""
        super().focusInEvent(event)
        if (
            event.reason() in {Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason}
            and self.current_row() < 0
        ):
            self.go_to(0)

    def copy(self) -> None:
        """Put the selected rows that are here on the clipboard, tabs between cells, at most COPY_LIMIT_ROWS."""
        model = self.model()
        if not isinstance(model, RowsModel):
            return
        lines: list[str] = []
        for first, last in self.picked_ranges():
            for at in range(first, min(last + 1, first + COPY_LIMIT_ROWS - len(lines))):
                cells = model.listing.cells(at)
                if cells is not None:
                    lines.append("\t".join(cells))
        if lines:
            QGuiApplication.clipboard().setText("\n".join(lines))

    def changeEvent(self, event: QEvent) -> None:
        """A larger font makes taller rows."""
        if event.type() == QEvent.Type.FontChange:
            self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 16)
        super().changeEvent(event)

    def _measure_columns(self, model: RowsModel) -> None:
        header = self.horizontalHeader()
        wide = any(column.stretch for column in model.listing.columns)
        header.setStretchLastSection(not wide)
        for at, column in enumerate(model.listing.columns):
            title = str(model.headerData(at, Qt.Orientation.Horizontal))
            width = self._width_of(column, title)
            header.setSectionResizeMode(
                at, QHeaderView.ResizeMode.Stretch if column.stretch else QHeaderView.ResizeMode.Interactive
            )
            width = widths.kept(self._name, column.key) or width
            with self._fitting():
                header.resizeSection(at, width)
            if column.tone is not None:
                self.setItemDelegateForColumn(at, self._badges)
            if column.stretch:
                self._stretched[at] = width
            if column.spare:
                self._spare[at] = width
        if model.rowCount():
            self._rows_arrived(model.index(0, 0), model.index(model.rowCount() - 1, 0))
        self._share_width()

    def _width_of(self, column: Column[Any], title: str) -> int:
        """As wide as a usual cell in this language, and as the title."""
        metrics = self.fontMetrics()
        face = QFontMetrics(key_font()) if column.code else metrics
        sample = column.sample if isinstance(column.sample, str) else in_words(column.sample)
        beside = _BADGE_ROOM if column.tone else _CELL_ROOM
        widest = max(map(face.horizontalAdvance, sample.splitlines()), default=0)
        return max(widest, metrics.horizontalAdvance(title)) + beside

    def _rows_arrived(self, first: QModelIndex, last: QModelIndex) -> None:
        """Note which columns are too narrow for the longest of the numbers that came, unless somebody made them so."""
        model = self.model()
        if not isinstance(model, RowsModel):
            return
        for at, column in enumerate(model.listing.columns):
            if column.numeric and not column.stretch and widths.kept(self._name, column.key) is None:
                text = model.listing.longest(at, first.row(), last.row())
                width = self.fontMetrics().horizontalAdvance(text) + _CELL_ROOM
                if width > self._wanted.get(at, self._room_of(at)):
                    self._wanted[at] = width
                    self._widen.start()

    def _room_of(self, at: int) -> int:
        """How wide a column is, or would be where it is left out."""
        header = self.horizontalHeader()
        return self._spare.get(at, 0) if header.isSectionHidden(at) else header.sectionSize(at)

    def _widen_numbers(self) -> None:
        header = self.horizontalHeader()
        with self._fitting():
            for at, width in self._wanted.items():
                if at in self._spare:
                    self._spare[at] = width
                if not header.isSectionHidden(at):
                    header.resizeSection(at, width)
        self._wanted.clear()
        self._share_width()

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """What is resized in the block is nobody's wish, though the mouse may drag a scroll bar or a panel then."""
        self._is_fitting = True
        try:
            yield
        finally:
            self._is_fitting = False

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Columns that stretch do so while there is room to spare."""
        super().resizeEvent(event)
        self._share_width()

    def _share_width(self) -> None:
        """Let the wide columns fill the view; where all do not fit, they keep the width of their sample, and columns
        that can be spared are left out, the last one first.
        """
        header = self.horizontalHeader()
        with self._fitting():
            self._leave_out(header)
        others = sum(header.sectionSize(at) for at in range(header.count()) if at not in self._stretched)
        shown = {at: width for at, width in self._stretched.items() if not header.isSectionHidden(at)}
        is_room = others + sum(shown.values()) <= self.viewport().width()
        mode = QHeaderView.ResizeMode.Stretch if is_room else QHeaderView.ResizeMode.Interactive
        for at, width in shown.items():
            if header.sectionResizeMode(at) is not mode:
                header.setSectionResizeMode(at, mode)
                if not is_room:
                    header.resizeSection(at, width)

    def _leave_out(self, header: QHeaderView) -> None:
        for at in self._spare:
            if not header.isSectionHidden(at) and at not in self._stretched:
                self._spare[at] = header.sectionSize(at)
        least = self._stretched | self._spare  # what stretches counts with its sample
        always = (at for at in range(header.count()) if at not in least)
        wanted = sum(map(header.sectionSize, always)) + sum(least.values())
        for at, width in sorted(self._spare.items(), reverse=True):
            is_over = wanted > self.viewport().width()
            wanted -= width if is_over else 0
            header.setSectionHidden(at, is_over)

    def _resized(self, at: int, _before: int, now: int) -> None:
        """Keep what a person dragged; Qt and we resize without the mouse."""
        model = self.model()
        dragging = bool(QGuiApplication.mouseButtons() & Qt.MouseButton.LeftButton) and not self._is_fitting
        if dragging and isinstance(model, RowsModel) and not model.listing.columns[at].stretch:
            widths.keep(self._name, model.listing.columns[at].key, now)

    def measure_again(self) -> None:
        """The language changed, and with it titles and cells."""
        model = self.model()
        if isinstance(model, RowsModel):
            self._measure_columns(model)

    def _title_pressed(self, at: int) -> None:
        if self._sort_keys[at]:
            self.sort_asked.emit(self._sort_keys[at])

    def _rows_replaced(self) -> None:
        self.row_changed.emit(-1)

    def _current_changed(self, now: QModelIndex, _before: QModelIndex) -> None:
        self.row_changed.emit(now.row())
