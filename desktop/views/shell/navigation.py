"""The left edge: the places a person may go to, and who is signed in. Places without permission do not exist."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QPushButton, QWidget

from desktop.commands import PLACES, Place
from desktop.presenters.formats import count
from desktop.theme.icons import icon
from desktop.widgets.basics import Badge, Glyph, column, label, name_tool, row, tool
from desktop.widgets.live import Live
from desktop.widgets.words import state_word
from shared.contracts.identity import Person
from shared.permissions import Permission

WIDTH = 196


class Navigation(Live, QWidget):
    """The places.

    Signals:
        chosen(place): a place was pressed.
        sign_out(): the person wants to leave.
    """

    chosen = Signal(str)
    sign_out = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "navigation")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(WIDTH)
        self.say(self.setAccessibleName, lambda: self.tr("导航"))
        layout = column(self, gap=2, margins=(10, 16, 10, 10))
        brand = row(gap=10, margins=(8, 0, 8, 14))
        brand.addWidget(Glyph("kameng", size=26))
        name = label(role="brand")
        self.say(name.setText, lambda: self.tr("卡盟"))
        brand.addWidget(name)
        brand.addStretch(1)
        layout.addLayout(brand)
        self._places = column(gap=2)
        layout.addLayout(self._places)
        layout.addStretch(1)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, QPushButton] = {}
        self._numbers: dict[str, Badge] = {}
        self._shown: list[Place] = []
        self._person: Person | None = None
        foot = row(gap=8, margins=(8, 8, 2, 4))
        foot.addWidget(Glyph("user", size=18))
        words = column(gap=0)
        self._name = label()
        self._role = label(role="caption")
        words.addWidget(self._name)
        words.addWidget(self._role)
        foot.addLayout(words, 1)
        leave = tool("sign-out")
        self.say(lambda text: name_tool(leave, text), lambda: self.tr("退出登录"))
        leave.clicked.connect(self.sign_out)
        foot.addWidget(leave)
        layout.addLayout(foot)
        self.on_words(self._speak)

    def show_person(self, person: Person) -> list[str]:
        """Offer what this person may do; returns the places in order."""
        for old in self._buttons.values():
            self._group.removeButton(old)
            old.deleteLater()
        self._buttons, self._numbers = {}, {}
        self._person = person
        may = frozenset[Permission](person.permissions)
        self._shown = [place for place in PLACES if place.permission in may]
        for place in self._shown:
            press = QPushButton()
            press.setProperty("role", "place")
            press.setCheckable(True)
            press.setIcon(icon(place.icon, tint="muted", on_tint="on_accent_soft"))
            press.setIconSize(QSize(18, 18))
            press.setCursor(Qt.CursorShape.PointingHandCursor)
            press.clicked.connect(lambda _checked=False, place_id=place.id: self.chosen.emit(place_id))
            self._group.addButton(press)
            self._places.addWidget(press)
            self._buttons[place.id] = press
            self._numbers[place.id] = _number_on(press)
        self._speak()
        return [place.id for place in self._shown]

    def mark(self, place_id: str) -> None:
        """Show which place is in front."""
        if place_id in self._buttons:
            self._buttons[place_id].setChecked(True)

    def show_number(self, place_id: str, number: int) -> None:
        """Show how many things wait at a place; 0 shows nothing."""
        badge = self._numbers.get(place_id)
        if badge is not None:
            badge.show_word(count(number) if number < 100 else "99+", tone="danger")
            badge.setVisible(number > 0)
            self._speak()

    def _speak(self) -> None:
        for place in self._shown:
            waiting = self._numbers[place.id]
            self._buttons[place.id].setText("  " + place.title())
            spoken = place.title() if waiting.isHidden() else f"{place.title()} {waiting.accessibleName()}"
            self._buttons[place.id].setAccessibleName(spoken)
        if self._person is not None:
            self._name.setText(self._name.fontMetrics().elidedText(self._person.name, Qt.TextElideMode.ElideRight, 96))
            self._name.setToolTip(self._person.login)
            self._role.setText(state_word(self._person.role))


def _number_on(press: QPushButton) -> Badge:
    """A badge at the right end of a place, hidden while nothing waits there."""
    badge = Badge()
    badge.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    badge.hide()
    inside = row(press, margins=(0, 0, 10, 0))
    inside.addStretch(1)
    inside.addWidget(badge)
    return badge
