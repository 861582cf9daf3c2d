"""The close of one channel's day: both sides' figures, differences by kind, bills, balance, what arrived, signature.

At its foot what may be done now, and why not what may not. What is signed is shown before the last button.
"""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QPushButton, QScrollArea, QWidget

from desktop.presenters.arrivals import SWEEP
from desktop.presenters.days import CORRECT, FETCH, RUN, SIGN, Days
from desktop.views.acting import ActBar
from desktop.views.reconciliation.day import DayContent
from desktop.widgets.basics import button, column, label, row
from desktop.widgets.empty import EmptyState
from desktop.widgets.live import Live
from shared.contracts.reconcile import ReconciledDay
from shared.finance import DayState


class CloseView(Live, QWidget):
    """See the file's head.

    Signals:
        kind_wanted(kind): the person wants to see the differences of this kind.
        files_wanted(): the person wants to choose bills.
        correction_wanted(what): the person wants to correct this signed day, or to see a correction of it.
        day_wanted(day): the person wants to see another day.
        day_over(): the day was signed, and nothing here is the next step: the screen takes the keyboard.
    """

    kind_wanted = Signal(object)
    files_wanted = Signal()
    correction_wanted = Signal(object)
    day_wanted = Signal(object)
    day_over = Signal()

    def __init__(self, presenter: Days) -> None:
        super().__init__()
        self._presenter = presenter
        self._written: object = None
        self._was_about_to = ""
        outer = column(self, gap=0)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.say(self.area.setAccessibleName, lambda: self.tr("日结"))
        outer.addWidget(self.area, 1)
        self.empty = EmptyState("reconcile")
        outer.addWidget(self.empty, 1)
        self.deeds = self._deed_bar()
        outer.addWidget(self.deeds)
        self.bar = ActBar(presenter.acting, margin=24, offers=False)
        outer.addWidget(self.bar)
        presenter.watch(self.look)
        presenter.acting.watch(self.look)
        self.on_words(self._speak)
        self.look()

    def _deed_bar(self) -> QWidget:
        made = QFrame()
        made.setProperty("role", "decision")
        line = row(made, gap=8, margins=(24, 9, 20, 9))
        self.buttons: dict[str, QPushButton] = {}
        presenter = self._presenter
        for what, words, drawn, run in (
            (FETCH, lambda: self.tr("获取账单"), "cloud", presenter.fetch),
            (RUN, lambda: self.tr("对账"), "reconcile", presenter.run),
            (SWEEP, lambda: self.tr("登记到账…"), "import", partial(presenter.acting.choose, SWEEP)),
            (CORRECT, lambda: self.tr("更正…"), "ledger", self.correct),
            (SIGN, lambda: self.tr("签署…"), "check", partial(presenter.acting.choose, SIGN)),
        ):
            press = button(role="primary" if what == SIGN else None, icon_name=drawn)
            self.say(press.setText, words)
            press.clicked.connect(run)
            self.buttons[what] = press
        for what in (FETCH, RUN, SWEEP, CORRECT):
            line.addWidget(self.buttons[what])
        self.why = label(role="muted", wrap=True)
        line.addWidget(self.why, 1)
        line.addWidget(self.buttons[SIGN])
        return made

    def correct(self) -> None:
        """Go to where two people post a correction of this day."""
        day = self._presenter.chosen
        if day is not None:
            self.correction_wanted.emit((day.channel, day.day))

    def start(self) -> None:
        """Take the keyboard where the next step is; a correction is never begun by a key that was meant for it."""
        steps = (press for what, press in self.buttons.items() if what != CORRECT)
        usable = [press for press in steps if press.isEnabled() and press.isVisible()]
        if usable:
            usable[-1].setFocus()

    def look(self) -> None:
        """Show what has become of the day."""
        presenter, day = self._presenter, self._presenter.chosen
        self.area.setVisible(day is not None)
        self.empty.setVisible(day is None)
        chosen = presenter.acting.chosen
        is_acting = chosen is not None
        was_about_to, self._was_about_to = self._was_about_to, chosen.key if chosen is not None else ""
        self.deeds.setVisible(day is not None and not is_acting)
        if day is None:
            self._tell_empty()
            return
        for what, press in self.buttons.items():
            why = presenter.why_not(what)
            press.setEnabled(not why)
            press.setToolTip(why)
        self.buttons[FETCH].setText(self.tr("正在获取…") if presenter.busy == FETCH else self.tr("获取账单"))
        self.buttons[RUN].setText(self.tr("正在对账…") if presenter.busy == RUN else self.tr("对账"))
        is_signed = day.state is DayState.SIGNED
        for what in (RUN, SIGN):
            self.buttons[what].setVisible(not is_signed)
        self.buttons[FETCH].setVisible(not is_signed or presenter.may(FETCH))
        self.buttons[CORRECT].setVisible(is_signed)
        why = presenter.why_not(SIGN)
        self.why.setText(self.tr("还不能签署：{why}").format(why=why) if why and not is_signed else "")
        if was_about_to and not is_acting and self.isVisible():
            # Else Qt hands the keyboard to whatever comes next, the sign-out button.
            if is_signed and was_about_to == SIGN:
                self.day_over.emit()
            else:
                self.start()
        written = (day, presenter.bank)
        if written != self._written:
            self._written = written
            self._write(day)

    def _tell_empty(self) -> None:
        presenter = self._presenter
        if presenter.loading or presenter.as_of is None:
            self.empty.tell(self.tr("正在读取…"))
        else:
            self.empty.tell(
                self.tr("这一天没有可对的渠道"), self.tr("渠道第二天上午出账单；也可以把账单文件直接拖到窗口上。")
            )

    def _write(self, day: ReconciledDay) -> None:
        at = self.area.verticalScrollBar().value()
        self.content = content = DayContent(day, self._presenter.bank)
        content.kind_wanted.connect(self.kind_wanted)
        content.files_wanted.connect(self.files_wanted)
        content.correction_wanted.connect(self.correction_wanted)
        content.act_wanted.connect(self._presenter.acting.choose)
        content.day_wanted.connect(self.day_wanted)
        self.area.setWidget(content)
        self.area.verticalScrollBar().setValue(at)

    def _speak(self) -> None:
        self._written = None
        self.look()
