"""The fields of what is typed for an act: a line, a line with what is usual, one of several; and rows of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QCompleter, QLineEdit, QSizePolicy, QToolButton, QWidget

from desktop.presenters.acting import Entry, row_key
from desktop.presenters.words import in_words
from desktop.theme.tokens import SPACE
from desktop.widgets.basics import button, column, label, row, tool

SHORT = 120
"""What is no longer than so many letters has a narrow field in a form, beside others."""
NARROW = 224
MANY = 8
"""Of more than so many usual things those are offered that have in them what is typed."""


class Choice(QComboBox):
    """One of several. It is read and set as a line is: by what is typed for it."""

    textChanged = Signal(str)  # as QLineEdit names it
    returnPressed = Signal()

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        for typed, words in entry.choices:
            self.addItem(in_words(words), typed)
        self.setText(entry.value)
        self.currentIndexChanged.connect(lambda _at: self.textChanged.emit(self.text()))

    def text(self) -> str:
        """What is typed for the chosen one."""
        return str(self.currentData() or "")

    def setText(self, typed: str) -> None:
        """Choose the one of that name."""
        self.setCurrentIndex(max(self.findData(typed), 0))


Field = QLineEdit | Choice


def with_usual(entry: Entry) -> QComboBox:
    """A line that offers what is usual, also while it is typed."""
    made = QComboBox()
    made.setEditable(True)
    made.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.addItems([in_words(words) for words in entry.usual])
    made.setCurrentIndex(-1)
    found, line = made.completer(), made.lineEdit()
    assert found is not None
    assert line is not None
    if len(entry.usual) > MANY:
        found.setFilterMode(Qt.MatchFlag.MatchContains)
        found.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
    line.clear()
    return made


def field_of(entry: Entry) -> tuple[QWidget, Field]:
    """What is shown for an entry, and where it is typed."""
    shown: QWidget
    field: Field
    if entry.choices:
        shown = field = Choice(entry)
    elif entry.usual:
        shown = box = with_usual(entry)
        line = box.lineEdit()
        assert line is not None
        field = line
    else:
        shown = field = QLineEdit()
    if isinstance(field, QLineEdit):
        field.setMaxLength(entry.most)
        field.setText(entry.value)
    for one in (shown, field):
        one.setAccessibleName(in_words(entry.words))
    field.setPlaceholderText(in_words(entry.words))
    return shown, field


def named(entry: Entry, shown: QWidget) -> QWidget:
    """A field with its name above it, as it has a value that hides it."""
    made = QWidget()
    layout = column(made, gap=2)
    name = label(in_words(entry.words), role="caption")
    name.setBuddy(shown)
    layout.addWidget(name)
    layout.addWidget(shown)
    made.setFixedWidth(NARROW)
    return made


@dataclass(eq=False, frozen=True)
class _Line:
    """One row: its fields by key, and the button that takes it away."""

    widget: QWidget
    fields: dict[str, Field]
    away: QToolButton


class Rows(QWidget):
    """Rows of the same fields, `begun` of them at first; a person adds and takes away.

    Attributes:
        fields: of all rows, by key; of the same keys as `desktop.presenters.acting.Act.rows_of` reads.

    Signals:
        changed(): something was typed, added or taken away.
        entered(): return was pressed.
    """

    changed = Signal()
    entered = Signal()

    def __init__(self, entries: tuple[Entry, ...], *, most: int, begun: int) -> None:
        super().__init__()
        self._entries, self._most = entries, most
        self._lines: list[_Line] = []
        self.fields: dict[str, Field] = {}
        self._room = column(self, gap=6)
        self.more = button(self.tr("再加一行"), role="link", icon_name="plus")
        self.more.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.more.clicked.connect(self.add)
        self._room.addWidget(self.more)
        for _ in range(begun):
            self.add()

    def add(self) -> None:
        """One more row, empty, with the keyboard in it."""
        line = _Line(QWidget(), {}, tool("close", name=self.tr("去掉这一行")))
        layout = row(line.widget, gap=SPACE)
        for entry in self._entries:
            shown, field = field_of(entry)
            field.textChanged.connect(lambda _text: self.changed.emit())
            field.returnPressed.connect(self.entered)
            layout.addWidget(shown, int(bool(entry.usual)))
            line.fields[entry.key] = field
        line.away.clicked.connect(partial(self._take_away, line))
        layout.addWidget(line.away)
        self._lines.append(line)
        self._room.insertWidget(len(self._lines) - 1, line.widget)
        self._count()
        if len(self._lines) > 1:
            next(iter(line.fields.values())).setFocus()

    def _take_away(self, line: _Line) -> None:
        self._lines.remove(line)
        self._room.removeWidget(line.widget)
        line.widget.hide()
        line.widget.deleteLater()
        self._count()

    def _count(self) -> None:
        self.fields = {
            row_key(entry, n): line.fields[entry.key] for n, line in enumerate(self._lines) for entry in self._entries
        }
        for line in self._lines:
            line.away.setVisible(len(self._lines) > 1)
        self.more.setEnabled(len(self._lines) < self._most)
        self.changed.emit()

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self._lines)

    @property
    def is_lacking(self) -> bool:
        """Whether something is missing in a row that was begun, or in all of them."""
        rows = [[(entry, line.fields[entry.key].text().strip()) for entry in self._entries] for line in self._lines]
        begun = [one for one in rows if any(text for entry, text in one if not entry.choices)]
        return not begun or any(entry.needed and not text for one in begun for entry, text in one)
