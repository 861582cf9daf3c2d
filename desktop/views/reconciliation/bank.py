"""What a channel paid out to our bank, on cards, written anew with the day: what arrived for the day in front; and what
waits: the days whose money has not come, and what left the channel's account beside what arrived."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from desktop.operations.reconciliation_days import Bank
from desktop.presenters import formats
from desktop.presenters.acting import Act
from desktop.presenters.arrivals import about, about_withdrawal, of_days
from desktop.presenters.days import signed
from desktop.presenters.words import in_words, party_words, tone
from desktop.views.reconciliation.figures import at_right, titled_card, verdict
from desktop.widgets.basics import Badge, Card, button, column, label, restyle, row, rule
from desktop.widgets.live import Live
from desktop.widgets.words import counted, state_word
from shared.contracts.bank import OwedDay, Sweep, Withdrawal
from shared.contracts.reconcile import ReconciledDay
from shared.owed import left

MOST = 8
"""So many lines of a list are on a card; how many more there are is said."""


class Arrived(Live, QWidget):
    """What is due for the day, and what arrived.

    Signals:
        act_wanted(key): the person is about to do something about money that arrived.
    """

    act_wanted = Signal(str)

    def __init__(self, day: ReconciledDay, bank: Bank | None) -> None:
        super().__init__()
        column(self, gap=0).addWidget(self._arrivals(day, bank))

    def _arrivals(self, day: ReconciledDay, bank: Bank | None) -> Card:
        card, grid = titled_card(self.tr("应结与到账"))
        corrected = day.corrected_fen
        off = day.arrived_fen - day.net_fen - corrected
        is_known = day.run_at is not None
        lines = [(self.tr("应结净额（入账 − 手续费）"), formats.money(day.net_fen if is_known else None))]
        if corrected:
            lines.append((self.tr("更正（调账、流水、迟到账单）"), signed(corrected)))
        lines += [(self.tr("已到银行"), formats.money(day.arrived_fen)), (self.tr("差"), signed(off))]
        for at, (words, text) in enumerate(lines):
            grid.addWidget(label(words, role="muted", wrap=True), at, 0)
            shown = at_right(text)
            restyle(shown, "tone", "warning" if off and at == len(lines) - 1 else "")
            grid.addWidget(shown, at, 1)
        if day.net_fen and not off:
            card.body.addLayout(verdict(self.tr("已全部到账"), holds=True))
        if day.foreign:
            words = self.tr("外来单 %n 笔 {money}：同一商户号下其他业务的钱，在账单里，不计入应结", None, day.foreign)
            told = counted(words, day.foreign).format(money=formats.money(day.foreign_fen))
            card.body.addWidget(label(told, role="caption", wrap=True))
        if bank is None:
            return card
        for sweep in bank.sweeps:
            self._sweep(card.body, sweep)
        if not bank.sweeps:
            card.body.addWidget(label(self.tr("还没有登记到账"), role="caption"))
        return card

    def _sweep(self, layout: QVBoxLayout, sweep: Sweep) -> None:
        """One arrival: its number, of which days it is, who said what about it, and what may be done."""
        layout.addWidget(rule())
        head = row(gap=8)
        head.addWidget(label(formats.money(sweep.amount_fen)))
        state = Badge()
        state.show_word(state_word(sweep.state), tone=tone(sweep.state))
        head.addWidget(state)
        head.addStretch(1)
        for act in about(sweep):
            head.addWidget(_press(act, self.act_wanted))
        layout.addLayout(head)
        when = formats.day(sweep.arrived_on)
        words = self.tr("{when} 到账，流水号 {number}，{who} 登记")
        told = [words.format(when=when, number=sweep.reference, who=party_words(sweep.recorded_by))]
        if len(sweep.parts) > 1:
            told.append(self.tr("分到 {days}").format(days=in_words(of_days(sweep.parts))))
        if sweep.withdrawal is not None:
            told.append(self.tr("对应提现 {number}").format(number=sweep.withdrawal))
        if sweep.others_fen:
            told.append(self.tr("其中 {money} 属于其他业务").format(money=formats.money(sweep.others_fen)))
        for said, who in (
            (self.tr("{who} 复核"), sweep.checked_by),
            (self.tr("{who} 冲销"), sweep.reversed_by),
            (self.tr("{who} 复核冲销"), sweep.reversal_checked_by),
        ):
            if who is not None:
                told.append(said.format(who=party_words(who)))
        if sweep.note:
            told.append(sweep.note)
        layout.addWidget(label(" · ".join(told), role="caption", wrap=True, selectable=True))
        if sweep.over_fen:
            words = self.tr("比现在还差的多 {money}")
            layout.addWidget(_warning(words.format(money=formats.money(sweep.over_fen))))


class Waiting(Live, QWidget):
    """What a channel has not paid out to our bank, of any day; and withdrawals.

    Signals:
        act_wanted(key): the person is about to pair a withdrawal.
        day_wanted(day): the person wants to see a day whose money has not come.
    """

    act_wanted = Signal(str)
    day_wanted = Signal(object)

    def __init__(self, day: ReconciledDay, bank: Bank) -> None:
        super().__init__()
        layout = column(self, gap=12)
        if bank.owed:
            layout.addWidget(self._owed(day, bank.owed))
        if bank.withdrawals or (bank.loose and day.balance is not None):
            layout.addWidget(self._withdrawals(bank))

    def _owed(self, day: ReconciledDay, owed: Sequence[OwedDay]) -> Card:
        """The days whose money has not come, those that wait the longest first."""
        card, grid = titled_card(self.tr("未到账的日子"))
        for at, words in enumerate((self.tr("应结"), self.tr("已到"), self.tr("还差")), 1):
            grid.addWidget(at_right(words, role="muted"), 0, at)
        for at, one in enumerate(owed[:MOST], 1):
            name = formats.day(one.day)
            go = button(name, role="link", name=self.tr("去 {day}").format(day=name))
            go.clicked.connect(partial(self.day_wanted.emit, one.day))
            go.setEnabled(one.day != day.day)
            grid.addWidget(go, at, 0, Qt.AlignmentFlag.AlignLeft)
            for column_at, fen in enumerate((one.net_fen + one.corrected_fen, one.arrived_fen), 1):
                grid.addWidget(at_right(formats.money(fen)), at, column_at)
            short = at_right(formats.money(one.short_fen))
            restyle(short, "tone", "danger" if one.is_late else "warning")
            grid.addWidget(short, at, 3)
        total = formats.money(sum(one.short_fen for one in owed))
        words = counted(self.tr("共 %n 天，还差 {money}", None, len(owed)), len(owed)).format(money=total)
        if waiting := sum(one.short_fen - left(one.short_fen, one.waiting_fen) for one in owed):
            words += " · " + self.tr("其中 {money} 已登记，待复核").format(money=formats.money(waiting))
        card.body.addWidget(label(words, role="caption"))
        return card

    def _withdrawals(self, bank: Bank) -> Card:
        """What left the channel's account, beside what arrived; what is neither is what finance looks for."""
        card, _grid = titled_card(self.tr("提现与银行到账"))
        for one in bank.withdrawals[:MOST]:
            self._withdrawal(card.body, one)
        for sweep in bank.loose[:MOST]:
            words = self.tr("{day} 到账 {money}（{number}）：账单里没有对应的提现")
            told = words.format(
                day=formats.day(sweep.arrived_on), money=formats.money(sweep.amount_fen), number=sweep.reference
            )
            card.body.addWidget(_warning(told))
        more = max(len(bank.withdrawals) - MOST, 0) + max(len(bank.loose) - MOST, 0)
        if more:
            card.body.addWidget(label(counted(self.tr("还有 %n 笔", None, more), more), role="caption"))
        return card

    def _withdrawal(self, layout: QVBoxLayout, one: Withdrawal) -> None:
        line = row(gap=8)
        words, so_far = self._became(one)
        told = words.format(day=formats.day(one.day), money=formats.money(one.amount_fen), number=one.number, **so_far)
        if one.arrival is None and one.returned_on is None:
            line.addWidget(_warning(told), 1)
        else:
            shown = label(" · ".join(filter(None, (told, one.reason))), role="caption", wrap=True, selectable=True)
            is_other = one.arrival is not None and one.arrival.amount_fen != one.amount_fen
            restyle(shown, "tone", "warning" if is_other else "")
            line.addWidget(shown, 1)
        for act in about_withdrawal(one):
            line.addWidget(_press(act, self.act_wanted))
        layout.addLayout(line)

    def _became(self, one: Withdrawal) -> tuple[str, dict[str, str]]:
        """What became of money that left the channel, or where that came from which came back."""
        how = {"number": self.tr("按流水号配对"), "amount": self.tr("按金额和日期配对")}.get(
            one.paired_by or "", self.tr("{who} 配对").format(who=party_words(one.paired_by or ""))
        )
        if one.arrival is not None:
            came = {"when": formats.day(one.arrival.arrived_on), "came": formats.money(one.arrival.amount_fen)}
            words = self.tr("{day} 提现 {money}（{number}）→ {when} 到账 {came}（{reference}），{how}")
            return words, came | {"reference": one.arrival.reference, "how": how}
        if one.returned_on is None:
            if one.is_return:
                return self.tr("{day} 提现退回 {money}（{number}）：没有对应的提现"), {}
            return self.tr("{day} 提现 {money}（{number}）：还没有对应的到账"), {}
        if one.other_number is None:
            return self.tr("{day} 提现 {money}（{number}）已退回，{who} 标记"), {
                "who": party_words(one.paired_by or "")
            }
        other = {"when": formats.day(one.returned_on), "other": one.other_number, "how": how}
        if one.is_return:
            return self.tr("{day} 提现退回 {money}（{number}）← {when} 的提现（{other}），{how}"), other
        return self.tr("{day} 提现 {money}（{number}）→ {when} 退回（{other}），{how}"), other


def _press(act: Act[object], wanted: SignalInstance) -> QWidget:
    press = button(in_words(act.words), role="link")
    press.clicked.connect(partial(wanted.emit, act.key))
    return press


def _warning(told: str) -> QLabel:
    shown = label(told, wrap=True, selectable=True)
    restyle(shown, "tone", "warning")
    return shown
