"""What may be done about the thing in front: buttons; after one was pressed, what it will do, and a last button.

Nothing is in the way: what is shown above can be read meanwhile. Escape goes back.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QLayout, QPushButton, QScrollArea, QSizePolicy, QWidget

from desktop.presenters.acting import Act, Acting
from desktop.presenters.words import in_words
from desktop.theme.tokens import SPACE
from desktop.views.fields import SHORT, Field, Rows, field_of, named
from desktop.widgets.basics import Notice, button, column, label, row
from desktop.widgets.flow import FlowLayout
from desktop.widgets.live import Live
from desktop.widgets.words import sentence

THE_REST, LEAST_ROOM = 480, 80
"""What a screen needs for all but the fields of what is done, and how little these have at the least."""


class ActBar(Live, QFrame):
    """Shows an `Acting`; hidden while there is nothing to do and nothing to say.

    With `offers` false something else on the screen stands for the choices, and only what is chosen is shown.
    """

    def __init__(self, presenter: Acting[Any], *, margin: int = 18, offers: bool = True) -> None:
        super().__init__()
        self.setProperty("role", "decision")
        self._presenter = presenter
        self._offers = offers
        self._shown: tuple[str, ...] = ()
        self._asked = ""
        self._hint = ""
        self.buttons: dict[str, QPushButton] = {}
        self.fields: dict[str, Field] = {}
        self.rows: Rows | None = None
        outer = self._room = column(self, gap=SPACE, margins=(margin, 10, margin, 12))
        self.hint = label(role="muted", wrap=True)
        outer.addWidget(self.hint)
        self.problem = Notice()
        outer.addWidget(self.problem)
        self._choices, self._form = QWidget(), QWidget()
        self._flow = FlowLayout(self._choices, gap=SPACE)
        for part in (self._choices, self._form):
            _as_high_as_needed(part)
            outer.addWidget(part)
        self._fill_form()
        presenter.watch(self.look)
        self.on_words(self._speak)
        self.look()

    def _fill_form(self) -> None:
        layout = column(self._form, gap=SPACE)
        self.title = label(role="heading")
        self.effect = label(wrap=True)
        layout.addWidget(self.title)
        layout.addWidget(self.effect)
        self.area, inner = QScrollArea(), QWidget()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._typed_in = column(inner, gap=SPACE)
        self._beside = QWidget()
        self._narrow = FlowLayout(self._beside, gap=SPACE)
        beside = self._beside.sizePolicy()
        beside.setHeightForWidth(True)  # as high as its lines are at this width, not one below the other
        self._beside.setSizePolicy(beside)
        self._typed_in.addWidget(self._beside)
        self._entries = column(gap=SPACE)
        self._typed_in.addLayout(self._entries)
        self.area.setWidget(inner)
        layout.addWidget(self.area)
        line = row(gap=SPACE)
        line.addStretch(1)
        self._leave = button()
        self.say(self._leave.setText, lambda: self.tr("取消"))
        self._leave.clicked.connect(self._presenter.drop)
        self.go = button(role="primary")
        self.say(self.go.setText, lambda: self.tr("确定"))
        self.go.clicked.connect(self._do)
        line.addWidget(self._leave)
        line.addWidget(self.go)
        layout.addLayout(line)

    def tell(self, hint: str) -> None:
        """Say something above the buttons; nothing hides the line."""
        self._hint = hint
        self.look()

    def start(self) -> None:
        """Take the keyboard where the next step is."""
        if self._presenter.chosen is not None:
            fields = list(self._all().values())
            is_form = _is_form(self._presenter.chosen)
            open_field = fields[0] if is_form else next((field for field in fields if not field.text()), None)
            (open_field if open_field is not None and not self.go.isEnabled() else self.go).setFocus()
        elif self.buttons:
            next(iter(self.buttons.values())).setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape goes back to the buttons; Enter presses the last one where that has the keyboard, once."""
        if event.key() == Qt.Key.Key_Escape and self._presenter.chosen is not None:
            self._presenter.drop()
            return
        if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter} and self.go.hasFocus() and not event.isAutoRepeat():
            self._do()
            return
        super().keyPressEvent(event)

    def look(self) -> None:
        """Show what may be done, or what is about to be."""
        presenter = self._presenter
        chosen = presenter.chosen
        offered = presenter.acts if self._offers else ()
        self._show_choices(() if chosen is not None else offered)
        self._form.setVisible(chosen is not None)
        if chosen is not None:
            self._show_form(chosen)
        else:
            self._asked = ""
        error = presenter.error
        self.problem.tell(sentence(error) if error is not None else "", tone="danger")
        self.hint.setText(self._hint)
        self.hint.setVisible(bool(self._hint) and chosen is None)
        self.setVisible(chosen is not None or bool(offered) or error is not None or bool(self._hint))

    def _show_choices(self, acts: tuple[Act[Any], ...]) -> None:
        self._choices.setVisible(bool(acts))
        if self._shown != tuple(act.key for act in acts):
            self._shown = tuple(act.key for act in acts)
            for press in self.buttons.values():
                self._flow.removeWidget(press)
                press.hide()
                press.deleteLater()
            self.buttons = {act.key: self._choice(act, is_first=at == 0) for at, act in enumerate(acts)}
        for act in acts:
            self.buttons[act.key].setText(in_words(act.words))
        self._flow.invalidate()

    def _choice(self, act: Act[Any], *, is_first: bool) -> QPushButton:
        made = button(role=act.tone or ("primary" if is_first else None))
        made.clicked.connect(partial(self._presenter.choose, act.key))
        self._flow.addWidget(made)
        made.show()
        return made

    def _show_form(self, act: Act[Any]) -> None:
        self.effect.setText(in_words(act.effect))
        self._leave.setEnabled(not self._presenter.busy)
        is_new = act.key != self._asked
        if is_new:
            self._ask(act)
            self._asked = act.key
        self._look_at_fields()
        if is_new:
            self._form.show()
            self.show()
            self.start()

    def _ask(self, act: Act[Any]) -> None:
        """What has a value or is chosen has its name above it; the short ones of such a form are beside each other."""
        begun = self.rows.count if self.rows is not None and act.key == self._asked else 1
        for layout in (self._entries, self._narrow):
            _empty(layout)
        self.fields, self.rows = {}, None
        if act.rows:
            self.rows = Rows(act.rows, most=act.most_rows, begun=begun)
            self.rows.changed.connect(self._look_at_fields)
            self.rows.changed.connect(self._give_room)
            self.rows.entered.connect(self._do)
            self._entries.addWidget(self.rows)
        is_form = _is_form(act)
        for entry in act.entries:
            shown, field = field_of(entry)
            field.textChanged.connect(self._look_at_fields)
            field.returnPressed.connect(self._do)
            self.fields[entry.key] = field
            if is_form and (entry.choices or entry.most <= SHORT):
                self._narrow.addWidget(named(entry, shown, field))
            else:
                self._entries.addWidget(shown)
            shown.show()
        self._beside.setVisible(self._narrow.count() > 0)
        self._give_room()

    def _give_room(self) -> None:
        """Fields are as high as they need, as long as the window has room for the rest: else they scroll."""
        margins = self._room.contentsMargins()
        layout, width = self._typed_in, self.width() - margins.left() - margins.right()  # the area is not laid out yet
        layout.activate()
        needed = layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else layout.totalSizeHint().height()
        self.area.setFixedHeight(min(needed, max(self.window().height() - THE_REST, LEAST_ROOM)))
        self.area.setHidden(not self._all())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width breaks lines elsewhere."""
        super().resizeEvent(event)
        self._give_room()

    def _look_at_fields(self) -> None:
        act = self._presenter.chosen
        missing = act is None or any(
            entry.needed and not self.fields[entry.key].text().strip() for entry in act.entries
        )
        missing = missing or (self.rows is not None and self.rows.is_lacking)
        busy = self._presenter.busy
        self.go.setEnabled(not missing and not busy)
        if act is not None:
            self.title.setText(in_words(act.named(self._typed())))
            self.go.setText(self.tr("正在处理…") if busy else self.tr("确定{what}").format(what=self.title.text()))

    def _typed(self) -> dict[str, str]:
        return {key: field.text() for key, field in self._all().items()}

    def _all(self) -> dict[str, Field]:
        """Every field, in the order in which they are typed."""
        return (self.rows.fields if self.rows is not None else {}) | self.fields

    def _do(self) -> None:
        if self.go.isEnabled():
            self._presenter.carry_out(self._typed())

    def _speak(self) -> None:
        """Ask in the new language; what was typed stays."""
        act, typed = self._presenter.chosen, self._typed()
        if act is not None:
            held = next((key for key, field in self._all().items() if field.hasFocus()), None)
            self._ask(act)
            for key, text in typed.items():
                self._all()[key].setText(text)
            if held is not None:
                self._all()[held].setFocus()
        self.look()


def _is_form(act: Act[Any]) -> bool:
    """Whether something stands in its fields already: then each has its name beside it."""
    return any(entry.value or entry.choices for entry in act.entries)


def _as_high_as_needed(part: QWidget) -> None:
    """Lines that break make it higher."""
    rule = part.sizePolicy()
    rule.setHeightForWidth(True)
    rule.setVerticalPolicy(QSizePolicy.Policy.Minimum)
    part.setSizePolicy(rule)


def _empty(layout: QLayout) -> None:
    """Take away what is in it."""
    while layout.count():
        old = layout.takeAt(0)
        widget = old.widget() if old is not None else None
        if widget is not None:
            widget.hide()
            widget.deleteLater()
