"""The day at a glance: a card for each channel to be pressed, with its state, its money, and what waits."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QPushButton, QWidget

from desktop.presenters import formats
from desktop.presenters.days import Days, Unpaid, open_differences, tone_of
from desktop.presenters.words import channel_word
from desktop.widgets.basics import Badge, Glyph, column, label, restyle, row
from desktop.widgets.flow import FlowLayout
from desktop.widgets.live import Live
from desktop.widgets.words import counted, state_word
from shared.contracts.reconcile import ReconciledDay

WIDTH = 244


class ChannelCard(Live, QPushButton):
    """One channel's day."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "channel")
        self.setCheckable(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        inside = column(self, gap=5, margins=(14, 9, 12, 10))
        head = row(gap=8)
        self.name = label(role="heading")
        self.state = Badge()
        head.addWidget(self.name)
        head.addStretch(1)
        head.addWidget(self.state)
        inside.addLayout(head)
        foot = row(gap=6)
        self.mark = Glyph("minus", size=14)
        self.waits = label()
        self.money = label(role="muted")
        foot.addWidget(self.mark)
        foot.addWidget(self.waits)
        foot.addStretch(1)
        foot.addWidget(self.money)
        inside.addLayout(foot)
        self.unpaid = label(role="caption")
        inside.addWidget(self.unpaid)
        for part in self.findChildren(QWidget):
            part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def sizeHint(self) -> QSize:
        inside = self.layout()
        assert inside is not None
        least = inside.minimumSize()
        return QSize(max(WIDTH, least.width()), least.height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def show_day(self, day: ReconciledDay, unpaid: Unpaid) -> None:
        """Show how this channel's day stands; `unpaid` are days before that wait for money."""
        self.name.setText(channel_word(day.channel))
        self.state.show_word(state_word(day.state), tone=tone_of(day))
        waiting = open_differences(day)
        words, drawn, tint = self._standing(day, waiting)
        self.mark.show_icon(drawn, tint=tint)
        self.waits.setText(words)
        restyle(self.waits, "tone", tint if tint in {"danger", "warning"} else "")
        self.money.setText(formats.money(day.theirs.payments_fen if day.run_at is not None else None))
        self.money.setToolTip(self.tr("渠道收款"))
        n = unpaid.days
        told = counted(self.tr("此前 %n 天未到账，还差 {money}", None, n), n).format(money=formats.money(unpaid.fen))
        if unpaid.late_days is not None:
            told += "\n" + self.tr("最久已等 {days} 天").format(days=unpaid.late_days)
        self.unpaid.setText(told if n else "")
        self.unpaid.setVisible(bool(n))
        restyle(self.unpaid, "tone", "danger" if unpaid.late_days is not None else "")
        said = (self.name.text(), state_word(day.state), words, self.money.text(), self.unpaid.text())
        self.setAccessibleName(" ".join(filter(None, said)))

    def _standing(self, day: ReconciledDay, waiting: int) -> tuple[str, str, str]:
        if day.trouble is not None:
            return self.tr("账单有问题"), "alert", "danger"
        if day.missing:
            return self.tr("缺 %n 份账单", None, len(day.missing)), "cloud", "warning"
        if waiting:
            return self.tr("%n 条差异未处理", None, waiting), "alert", "warning"
        if day.run_at is None:
            return self.tr("还没有对账"), "minus", "muted"
        return self.tr("没有待处理的差异"), "check", "success"


class ChannelCards(Live, QWidget):
    """All channels of the day in front.

    Signals:
        chosen(channel): a card was pressed.
    """

    chosen = Signal(str)

    def __init__(self, presenter: Days) -> None:
        super().__init__()
        self._presenter = presenter
        self.cards: dict[str, ChannelCard] = {}
        self._flow = FlowLayout(self, gap=10)
        for part in (presenter, presenter.owed):
            part.watch(self._look)
        self.on_words(self._look)
        self._look()

    def _look(self) -> None:
        presenter = self._presenter
        here = {day.channel: day for day in presenter.channels}
        for code in [code for code in self.cards if code not in here]:
            gone = self.cards.pop(code)
            self._flow.removeWidget(gone)
            gone.hide()
            gone.deleteLater()
        for code, day in here.items():
            card = self.cards.get(code)
            if card is None:
                card = self.cards[code] = ChannelCard()
                card.clicked.connect(lambda _checked=False, code=code: self.chosen.emit(code))
                self._flow.addWidget(card)
            card.show_day(day, presenter.unpaid(code))
            card.setChecked(code == presenter.channel)
            card.show()
        self.setVisible(bool(here))
        self._flow.invalidate()
