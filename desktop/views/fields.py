"""The fields of what is typed for an act: a line, a line with what is usual, one of several; and rows of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QCompleter, QGridLayout, QLineEdit, QSizePolicy, QToolButton, QWidget

from desktop.presenters.acting import Entry, row_key
from desktop.presenters.words import in_words
from desktop.widgets.basics import button, column, label, tool

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


def named(entry: Entry, shown: QWidget, field: Field) -> QWidget:
    """A field with its name above it instead of in it."""
    made = QWidget()
    layout = column(made, gap=2)
    name = label(in_words(entry.words), role="caption")
    name.setBuddy(shown)
    field.setPlaceholderText("")
    layout.addWidget(name)
    layout.addWidget(shown)
    made.setFixedWidth(NARROW)
    return made


class Rows(QWidget):
    """Rows of the same fields below their names, `begun` of them at first; a person adds and takes away.

    Attributes:
        fields: of all rows, by key; of the same keys as `desktop.presenters.acting.rows_of` reads.

    Signals:
        changed(): something was typed, added or taken away.
        entered(): return was pressed.
    """

    changed = Signal()
    entered = Signal()

    def __init__(self, entries: tuple[Entry, ...], *, most: int, begun: int) -> None:
        super().__init__()
        self._entries, self._most = entries, most
        self._rows: list[_Row] = []
        self.fields: dict[str, Field] = {}
        room = column(self, gap=6)
        self._grid = QGridLayout()
        self._grid.setSpacing(6)
        for at, entry in enumerate(entries):
            self._grid.addWidget(label(in_words(entry.words), role="caption"), 0, at)
            self._grid.setColumnStretch(at, int(bool(entry.usual)))
        room.addLayout(self._grid)
        self.more = button(self.tr("再加一行"), role="link", icon_name="plus")
        self.more.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.more.clicked.connect(self.add)
        room.addWidget(self.more)
        for _ in range(begun):
            self.add()

    def add(self) -> None:
        """One more row, empty, with the keyboard in it."""
        at, made = self._grid.rowCount(), _Row({}, [], tool("close", name=self.tr("去掉这一行")))
        for n, entry in enumerate(self._entries):
            shown, field = field_of(entry)
            field.setPlaceholderText("")
            field.textChanged.connect(lambda _text: self.changed.emit())
            field.returnPressed.connect(self.entered)
            self._grid.addWidget(shown, at, n)
            made.shown.append(shown)
            made.fields[entry.key] = field
        made.away.clicked.connect(partial(self.take_away, made))
        self._grid.addWidget(made.away, at, len(self._entries))
        self._rows.append(made)
        self._count()
        if len(self._rows) > 1:
            next(iter(made.fields.values())).setFocus()

    def take_away(self, gone: _Row) -> None:
        """One row less."""
        self._rows.remove(gone)
        for widget in (*gone.shown, gone.away):
            self._grid.removeWidget(widget)
            widget.hide()
            widget.deleteLater()
        self._count()

    def _count(self) -> None:
        self.fields = {
            row_key(entry, n): made.fields[entry.key] for n, made in enumerate(self._rows) for entry in self._entries
        }
        for made in self._rows:
            made.away.setVisible(len(self._rows) > 1)
        self.more.setEnabled(len(self._rows) < self._most)
        self.changed.emit()

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    @property
    def is_lacking(self) -> bool:
        """Whether something is missing in a row that was begun, or in all of them."""
        rows = [[(entry, made.fields[entry.key].text().strip()) for entry in self._entries] for made in self._rows]
        begun = [one for one in rows if any(text for entry, text in one if not entry.choices)]
        return not begun or any(entry.needed and not text for one in begun for entry, text in one)


@dataclass(eq=False, frozen=True)
class _Row:
    """One row: its fields by key, what is shown of them, and the button that takes it away."""

    fields: dict[str, Field]
    shown: list[QWidget]
    away: QToolButton
