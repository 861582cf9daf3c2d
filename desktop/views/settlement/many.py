"""A side panel that also tells of many that are picked, and of what became of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtWidgets import QVBoxLayout

from desktop.presenters import formats
from desktop.presenters.many import ManyCases, Told, groups, told_first
from desktop.views.side import CasePanel, pair
from desktop.widgets.basics import button, label, rule
from desktop.widgets.words import counted, sentence, state_word

_MOST_SHOWN = 100


class ManyPanel(CasePanel):
    """A screen says what they are called, what they come to, and what became of one; and writes one alone."""

    def __init__(self, presenter: ManyCases[Any], *, name: Any) -> None:
        self._cases = presenter
        super().__init__(presenter, width=340, most=480, name=name)

    def picked_words(self, number: int) -> str:
        """That so many are picked."""
        raise NotImplementedError

    def amount_of(self, case: Any) -> int:
        """What one comes to."""
        raise NotImplementedError

    def told_of(self, outcome: Any) -> Told:
        """What became of one."""
        raise NotImplementedError

    def write_warnings(self, layout: QVBoxLayout, picked: Sequence[Any]) -> None:
        """Write what has to be known of some of them before they are decided on."""

    def of_one(self) -> object:
        """All that the page of one depends on."""
        raise NotImplementedError

    def write_one(self, layout: QVBoxLayout) -> None:
        """Write the page of one."""
        raise NotImplementedError

    def shown(self) -> object:
        cases = self._cases
        return None if cases.opened is None else (self.of_one(), cases.picked, cases.outcomes)

    def write(self, layout: QVBoxLayout) -> None:
        cases = self._cases
        if cases.picked:
            self._write_picked(layout, cases.picked)
        elif cases.outcomes:
            self._write_outcomes(layout, told_first([self.told_of(one) for one in cases.outcomes]))
        else:
            self.badge.show()
            self.write_one(layout)

    def _write_picked(self, layout: QVBoxLayout, picked: Sequence[Any]) -> None:
        """What is decided on together: by state, with what it comes to."""
        self.badge.hide()
        self.name.setText(counted(self.picked_words(len(picked)), len(picked)))
        layout.addWidget(label(formats.money(sum(map(self.amount_of, picked))), role="figure"))
        for group in groups(picked, self.amount_of):
            words = self.tr("{state} {n}").format(state=state_word(group.state), n=formats.count(group.number))
            layout.addLayout(pair(words, group.amount))
        if len(picked) > self._cases.most:
            most = self.tr("一次最多处理 {n} 条，请少选一些。").format(n=formats.count(self._cases.most))
            layout.addWidget(label(most, role="warning", wrap=True))
        elif not self._cases.acting.acts:
            layout.addWidget(label(self.tr("所选的现在没有可以一起办的。"), role="muted", wrap=True))
        self.write_warnings(layout, picked)

    def _write_outcomes(self, layout: QVBoxLayout, told: Sequence[Told]) -> None:
        """What was not done first, each with the reason."""
        self.badge.hide()
        left = sum(one.error is not None for one in told)
        done = len(told) - left
        words = self.tr("办好 {done}，没有办成 {left}") if left else self.tr("{done} 个都办好了")
        self.name.setText(words.format(done=formats.count(done), left=formats.count(left)))
        close = button(self.tr("知道了"))
        close.clicked.connect(self._cases.leave_outcomes)
        layout.addWidget(close)
        for at, one in enumerate(told[: left + _MOST_SHOWN]):
            if left and at == left:
                layout.addWidget(rule())
            layout.addLayout(pair(one.name, one.amount))
            if one.error is not None:
                layout.addWidget(label(sentence(one.error), role="warning", wrap=True, selectable=True))
        more = done - _MOST_SHOWN
        if more > 0:
            words = self.tr("还有 {n} 个也办好了。").format(n=formats.count(more))
            layout.addWidget(label(words, role="caption"))
