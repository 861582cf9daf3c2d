"""A layout of the finance workbook, edited in place: sheets and their columns are shown, moved and named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QLineEdit, QTreeWidget, QTreeWidgetItem, QWidget

from desktop.presenters.reconciliation_finance import ColumnChoice, FinanceExport, SheetChoice, choices, said_anew
from desktop.theme.icons import icon
from desktop.widgets.basics import button, column, row
from desktop.widgets.live import Live

_TREE_HEIGHT = 210
_CHOICE = Qt.ItemDataRole.UserRole
_SHOWN, _LEFT_OUT = Qt.CheckState.Checked, Qt.CheckState.Unchecked


class LayoutEditor(Live, QWidget):
    """Shown while a layout is edited."""

    def __init__(self, presenter: FinanceExport) -> None:
        super().__init__()
        self._presenter = presenter
        self._edited: object = None
        layout = column(self, gap=8)
        self.tree = QTreeWidget()
        self.tree.setHeaderHidden(True)
        self.tree.setMinimumHeight(_TREE_HEIGHT)
        self.say(self.tree.setAccessibleName, lambda: self.tr("工作表与列"))
        self.say(self.tree.setToolTip, lambda: self.tr("双击或按 F2 改名，清空则恢复原名；Alt+↑、Alt+↓ 移动"))
        layout.addWidget(self.tree, 1)
        line = row(gap=8)
        self.name = QLineEdit()
        self.name.setMaxLength(40)
        self.say(self.name.setPlaceholderText, lambda: self.tr("版式名称"))
        self.say(self.name.setAccessibleName, lambda: self.tr("版式名称"))
        self.name.textChanged.connect(lambda _text: self.look())
        self.up, self.down, self.rename = button(), button(), button()
        self.say(self.up.setText, lambda: self.tr("上移"))
        self.say(self.down.setText, lambda: self.tr("下移"))
        self.say(self.rename.setText, lambda: self.tr("改名"))
        self.rename.clicked.connect(self._rename)
        for press, key, step in ((self.up, "Alt+Up", -1), (self.down, "Alt+Down", 1)):
            press.clicked.connect(partial(self._move, step))
            keys = QShortcut(QKeySequence(key), self.tree, context=Qt.ShortcutContext.WidgetShortcut)
            keys.activated.connect(partial(self._move, step))
        self.tree.currentItemChanged.connect(lambda _now, _before: self.look())
        self.save = button(role="primary")
        self.say(self.save.setText, lambda: self.tr("保存版式"))
        self.save.clicked.connect(lambda: presenter.save(self.name.text(), self.shown()))
        self.remove = button(role="danger")
        self.say(self.remove.setText, lambda: self.tr("删除版式"))
        self.remove.clicked.connect(presenter.remove)
        leave = button()
        self.say(leave.setText, lambda: self.tr("取消"))
        leave.clicked.connect(presenter.stop_editing)
        for widget in (self.up, self.down, self.rename):
            line.addWidget(widget)
        line.addWidget(self.name, 1)
        for press in (leave, self.remove, self.save):
            line.addWidget(press)
        layout.addLayout(line)

    def look(self) -> None:
        """Show what is edited."""
        presenter = self._presenter
        self.setVisible(presenter.layout is not None)
        if presenter.layout is not self._edited:
            self._edited = presenter.layout
            self._fill()
        item = self.tree.currentItem()
        at, last = _place(item) if item is not None else (0, 0)
        self.up.setEnabled(at > 0)
        self.down.setEnabled(at < last)
        self.rename.setEnabled(item is not None)
        self.save.setEnabled(bool(self.name.text().strip()))
        self.remove.setVisible(presenter.layout_name is not None)

    def speak(self) -> None:
        """Another language: what is called as usual is called so in it, and all that was edited stays."""
        for item, sheet in zip(_children(self.tree.invisibleRootItem()), map(said_anew, self.shown()), strict=True):
            _say(item, sheet, sheet.name)
            for child, one in zip(_children(item), sheet.columns, strict=True):
                _say(child, one, one.title)
                self._lock(child, one)

    def shown(self) -> Sequence[SheetChoice]:
        """The sheets and columns as they stand in the tree."""
        return [
            replace(
                item.data(0, _CHOICE),
                name=item.text(0),
                shown=_is_checked(item),
                columns=tuple(
                    replace(child.data(0, _CHOICE), title=child.text(0), shown=_is_checked(child))
                    for child in _children(item)
                ),
            )
            for item in _children(self.tree.invisibleRootItem())
        ]

    def _fill(self) -> None:
        self.tree.clear()
        layout = self._presenter.layout
        if layout is None:
            return
        self.name.setText(self._presenter.layout_name or "")
        for sheet in choices(layout):
            item = _item(sheet, sheet.name, is_shown=sheet.shown, can_leave=True)
            item.addChildren([self._column(one) for one in sheet.columns])
            self.tree.addTopLevelItem(item)

    def _column(self, one: ColumnChoice) -> QTreeWidgetItem:
        item = _item(one, one.title, is_shown=one.shown or one.is_fixed, can_leave=not one.is_fixed)
        self._lock(item, one)
        return item

    def _lock(self, item: QTreeWidgetItem, one: ColumnChoice) -> None:
        if one.is_fixed:
            item.setIcon(0, icon("lock", tint="muted"))
            item.setToolTip(0, self.tr("封面的合计公式要用这一列"))

    def _rename(self) -> None:
        item = self.tree.currentItem()
        if item is not None:
            self.tree.editItem(item, 0)

    def _move(self, step: int, *_pressed: Any) -> None:
        item = self.tree.currentItem()
        if item is None:
            return
        above = item.parent() or self.tree.invisibleRootItem()
        at, last = _place(item)
        if 0 <= at + step <= last:
            is_open = item.isExpanded()
            above.removeChild(item)
            above.insertChild(at + step, item)
            item.setExpanded(is_open)
            self.tree.setCurrentItem(item)
            self.look()


def _item(choice: SheetChoice | ColumnChoice, words: str, *, is_shown: bool, can_leave: bool) -> QTreeWidgetItem:
    item = QTreeWidgetItem()
    _say(item, choice, words)
    flags = item.flags() | Qt.ItemFlag.ItemIsEditable
    item.setFlags(flags if can_leave else flags & ~Qt.ItemFlag.ItemIsUserCheckable)
    item.setCheckState(0, _SHOWN if is_shown else _LEFT_OUT)
    return item


def _say(item: QTreeWidgetItem, choice: SheetChoice | ColumnChoice, words: str) -> None:
    item.setText(0, words)
    item.setData(0, _CHOICE, choice)


def _children(item: QTreeWidgetItem) -> Iterator[QTreeWidgetItem]:
    for n in range(item.childCount()):
        child = item.child(n)
        assert child is not None
        yield child


def _place(item: QTreeWidgetItem) -> tuple[int, int]:
    """Where an item stands among its neighbours, and where the last one does."""
    tree = item.treeWidget()
    assert tree is not None
    above = item.parent() or tree.invisibleRootItem()
    return above.indexOfChild(item), above.childCount() - 1


def _is_checked(item: QTreeWidgetItem) -> bool:
    return item.checkState(0) == _SHOWN
