"""The command palette: type a few letters, press Enter. Lists what can be done now, with the key that does it.

`#` and an order code goes to the order. It lies over the window and goes away with Escape or a click elsewhere.
"""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QGraphicsDropShadowEffect,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from desktop import theme
from desktop.presenters.palette import Entry, Palette
from desktop.theme.icons import pixmap
from desktop.widgets.basics import column, label
from desktop.widgets.live import Live

_WIDTH = 600
_MOST_ROWS = 11
_ENTRY_ROLE = int(Qt.ItemDataRole.UserRole) + 1
_NOWHERE = QModelIndex()
_STEPS = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}


class _Entries(QAbstractListModel):
    """The found entries."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.entries: list[Entry] = []

    def show_entries(self, entries: list[Entry]) -> None:
        self.beginResetModel()
        self.entries = entries
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.entries)

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        if not index.isValid():
            return None
        entry = self.entries[index.row()]
        if role == int(Qt.ItemDataRole.DisplayRole):
            return entry.title
        if role == int(Qt.ItemDataRole.AccessibleTextRole):
            return f"{entry.title} {entry.keys}".strip()
        return entry if role == _ENTRY_ROLE else None


class _EntryDelegate(QStyledItemDelegate):
    """An icon, the title, and the key at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, _index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(200, option.fontMetrics.height() + 18)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        blank = QStyleOptionViewItem(option)
        view = option.widget
        if isinstance(view, QWidget):
            view.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, blank, painter, view)
        entry: Entry = index.data(_ENTRY_ROLE)
        tokens = theme.current()
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        inner = QRect(option.rect).adjusted(12, 0, -14, 0)
        tint = "on_accent_soft" if chosen else "muted"
        scale = painter.device().devicePixelRatio()
        icon = pixmap(entry.icon, tint=tint, size=16, scale=scale)
        painter.drawPixmap(inner.left(), inner.center().y() - 7, icon)
        painter.setPen(QColor(tokens.on_accent_soft if chosen else tokens.text))
        middle = int(Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(inner.adjusted(28, 0, 0, 0), middle | int(Qt.AlignmentFlag.AlignLeft), entry.title)
        painter.setPen(QColor(tokens.on_accent_soft if chosen else tokens.muted))
        painter.drawText(inner, middle | int(Qt.AlignmentFlag.AlignRight), entry.keys or entry.hint)


class PalettePanel(Live, QWidget):
    """The palette of one window, a layer inside it: no compositor is needed, and nothing is under another window.

    Signals:
        picked(id): the entry to run; `order:<text>` for a search that starts with `#`.
    """

    picked = Signal(str)

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self._before: QWidget | None = None
        self._palette = Palette([])
        self._frame = QFrame(self)
        self._frame.setProperty("role", "sheet")
        shadow = QGraphicsDropShadowEffect(self._frame)
        shadow.setBlurRadius(36)
        shadow.setOffset(0, 8)
        shadow.setColor(QColor(0, 0, 0, 70))
        self._frame.setGraphicsEffect(shadow)
        body = column(self._frame, gap=6, margins=(10, 10, 10, 8))
        self.field = QLineEdit()
        self.field.setClearButtonEnabled(True)
        self.say(self.field.setPlaceholderText, lambda: self.tr("想做什么？输入名称或拼音首字母，# 加订单号查订单"))
        self.say(self.field.setAccessibleName, lambda: self.tr("查找命令"))
        self.field.textChanged.connect(self._search)
        self.field.installEventFilter(self)
        body.addWidget(self.field)
        self.list = QListView()
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setItemDelegate(_EntryDelegate(self.list))
        self._entries = _Entries(self)
        self.list.setModel(self._entries)
        self.list.clicked.connect(lambda _index: self._run())
        self.say(self.list.setAccessibleName, lambda: self.tr("找到的命令"))
        body.addWidget(self.list)
        self._nothing = label(role="muted")
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.say(self._nothing.setText, lambda: self.tr("没有这样的命令"))
        self._nothing.setMinimumHeight(60)
        body.addWidget(self._nothing)
        over.installEventFilter(self)
        self.hide()

    def open_with(self, palette: Palette) -> None:
        """Show what `palette` offers."""
        if not self.isVisible():
            self._before = QApplication.focusWidget()
        self._palette = palette
        self.setGeometry(self._over.rect())
        self.raise_()
        self.show()
        self.field.clear()
        self._search("")
        self.field.setFocus()

    def leave(self) -> None:
        """Go away and give the keyboard back to where it was."""
        self.hide()
        if self._before is not None and self._before.isVisible():
            self._before.setFocus()
        self._before = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrow keys and Enter work while the field has the focus; the layer is as large as the window."""
        if watched is self._over and event.type() == QEvent.Type.Resize:
            self.setGeometry(self._over.rect())
            self._fit()
        elif watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = _STEPS.get(Qt.Key(event.key()))
            if step is not None and self._entries.entries:
                row = max(0, min(self.list.currentIndex().row() + step, len(self._entries.entries) - 1))
                self.list.setCurrentIndex(self._entries.index(row))
                return True
            if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
                self._run()
                return True
            if event.key() in {Qt.Key.Key_Escape, Qt.Key.Key_Tab}:
                self.leave()
                return True
        return super().eventFilter(watched, event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click beside the sheet closes it."""
        if not self._frame.geometry().contains(event.position().toPoint()):
            self.leave()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Dim the window."""
        veil = QColor(theme.current().canvas)
        veil.setAlpha(150)
        QPainter(self).fillRect(self.rect(), veil)

    def _search(self, text: str) -> None:
        found = [] if text.startswith("#") else self._palette.find(text)
        self._entries.show_entries(found)
        self._nothing.setVisible(not found and not text.startswith("#"))
        self.list.setVisible(bool(found))
        if found:
            self.list.setCurrentIndex(self._entries.index(0))
        self._fit()

    def _fit(self) -> None:
        """As tall as what was found, within the window."""
        rows = len(self._entries.entries)
        if rows:
            self.list.setFixedHeight(min(rows, _MOST_ROWS) * self.list.sizeHintForRow(0) + 8)
        width = min(_WIDTH, self.width() - 40)
        self._frame.setFixedWidth(width)
        self._frame.adjustSize()
        self._frame.move((self.width() - width) // 2, 56)

    def _run(self) -> None:
        text = self.field.text().strip()
        row = self.list.currentIndex().row()
        if text.startswith("#") and len(text) > 1:
            self.leave()
            self.picked.emit(f"order:{text[1:].strip()}")
        elif 0 <= row < len(self._entries.entries):
            chosen = self._entries.entries[row]
            self._palette.used(chosen.id)
            self.leave()
            self.picked.emit(chosen.id)
