"""The Qt face of a `Listing`: row count at once, placeholders for rows on their way, no work for unpainted rows.

`data()` is the hottest function of the window (about 1,300 calls per paint): it looks up ready text and constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QFont

from desktop.presenters.listing import Listing
from desktop.theme.apply import key_font

Index = QModelIndex | QPersistentModelIndex

TONE_ROLE = int(Qt.ItemDataRole.UserRole) + 1
PLACEHOLDER = "…"

_DISPLAY = int(Qt.ItemDataRole.DisplayRole)
_ALIGN = int(Qt.ItemDataRole.TextAlignmentRole)
_FONT = int(Qt.ItemDataRole.FontRole)
_TIP = int(Qt.ItemDataRole.ToolTipRole)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_NOWHERE = QModelIndex()


class RowsModel(QAbstractTableModel):
    """Shows one `Listing`. `titles` gives the words over the columns and is asked again on each language change."""

    def __init__(self, listing: Listing[Any], titles: Callable[[], list[str]], parent: Any = None) -> None:
        super().__init__(parent)
        self.listing = listing
        self._titles = titles
        self._written_titles = titles()
        self._sorted: tuple[str, bool] | None = None
        columns = listing.columns
        self._aligned = [_RIGHT if column.numeric else _LEFT for column in columns]
        self._key_font: QFont = key_font()
        self._is_code = [column.code for column in columns]
        self._tones = [column.tone for column in columns]
        self._tips = [column.tip for column in columns]
        self._count = listing.count
        listing.watch(rows=self._rows_arrived, reset=self._listing_replaced, grown=self._listing_grown)

    def rowCount(self, parent: Index = _NOWHERE) -> int:
        return 0 if parent.isValid() else self._count

    def columnCount(self, parent: Index = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._aligned)

    def data(self, index: Index, role: int = _DISPLAY) -> Any:
        if not index.isValid():
            return None
        at = index.column()
        if role == _DISPLAY:
            cells = self.listing.cells(index.row())
            return cells[at] if cells is not None else PLACEHOLDER
        if role == _ALIGN:
            return self._aligned[at]
        if role == _FONT:
            return self._key_font if self._is_code[at] else None
        maker = self._tones[at] if role == TONE_ROLE else self._tips[at] if role == _TIP else None
        if maker is None:
            return None
        item = self.listing.item(index.row())
        return maker(item) if item is not None else None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _DISPLAY) -> Any:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(self._aligned):
            return None
        if role == _DISPLAY:
            return self._written_titles[section] + self._arrow(section)
        return self._aligned[section] if role == _ALIGN else None

    def mark_sorted(self, key: str, *, down: bool) -> None:
        """Say over the column `key` that the list is sorted by it."""
        if self._sorted != (key, down):
            self._sorted = (key, down)
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(self._aligned) - 1)

    def _arrow(self, section: int) -> str:
        if self._sorted is None or self.listing.columns[section].key != self._sorted[0]:
            return ""
        return " ↓" if self._sorted[1] else " ↑"

    def speak_again(self) -> None:
        """The language changed: write titles and rows anew."""
        self._written_titles = self._titles()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(self._aligned) - 1)
        self.listing.write_again()

    def _rows_arrived(self, first: int, last: int) -> None:
        if last >= first and self._count:
            last = min(last, self._count - 1)
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(self._aligned) - 1))

    def _listing_replaced(self) -> None:
        self.beginResetModel()
        self._count = self.listing.count
        self.endResetModel()

    def _listing_grown(self, count: int) -> None:
        if count > self._count:
            self.beginInsertRows(_NOWHERE, self._count, count - 1)
            self._count = count
            self.endInsertRows()
