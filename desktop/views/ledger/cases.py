"""Adjustments and disputes: a list, the one in front with who said what, and a form for a new one above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout

from desktop.presenters import adjustments, disputes, formats
from desktop.presenters.acting import Acting, Pair
from desktop.presenters.adjustments import Adjustments, shown_transfer
from desktop.presenters.cases import Case, Cases
from desktop.presenters.disputes import Disputes
from desktop.presenters.words import in_words
from desktop.views.acting import ActBar
from desktop.views.cases import CasesPage
from desktop.views.listing import FeedView
from desktop.views.side import CODE_BESIDE, CasePanel, add_fact, at_left, facts, link, pair
from desktop.widgets.basics import button, label, only_if
from desktop.widgets.words import state_word
from shared.contracts.ledger import Adjustment, Dispute
from shared.ids import speak_order_code

C = TypeVar("C", bound=Case)


@dataclass(frozen=True)
class Told(Generic[C]):
    """What a panel says of one: its name, its amount, the lines of it, and its facts."""

    name: Callable[[C], str]
    fen: Callable[[C], int]
    lines: Callable[[C], Sequence[tuple[str, str]]]
    facts: Callable[[C], Sequence[tuple[Pair, str]]]


class ToldPanel(CasePanel):
    """The side panel of adjustments, and of disputes.

    Signals:
        order_wanted(code): the person wants to see its order.
    """

    order_wanted = Signal(object)

    def __init__(self, presenter: Cases[Any], told: Told[Any]) -> None:
        self._presenter, self._told = presenter, told
        super().__init__(presenter, width=320, most=460, name=lambda: self.tr("详情"))

    def shown(self) -> object:
        return self._presenter.opened

    def write(self, layout: QVBoxLayout) -> None:
        one = self._presenter.opened
        assert one is not None
        self.head(self._told.name(one), one.state)
        layout.addWidget(label(formats.money(self._told.fen(one)), role="figure"))
        for words, amount in self._told.lines(one):
            layout.addLayout(pair(words, amount))
        table = facts()
        for name, value in self._told.facts(one):
            is_code = len(value) > CODE_BESIDE and value.isascii() and " " not in value
            add_fact(table, in_words(name), value, is_code=is_code)
        layout.addLayout(table)
        if one.order_code is not None:
            code = speak_order_code(one.order_code)
            words = self.tr("查看订单 {code}").format(code=code)
            layout.addLayout(at_left(link(words, partial(self.order_wanted.emit, one.order_code))))


class _LedgerCases(CasesPage):
    """What both share: filters by state, the list, the panel, and the form of a new one."""

    def _put_together(
        self,
        presenter: Any,
        *,
        states: Sequence[Any],
        making: Acting[Any],
        make: Callable[[], None],
        told: Told[Any],
        shown: FeedView,
        commands: dict[str, str],
    ) -> None:
        self._states = states
        self._chips = [self.chip() for _state in states]
        for state, chip in zip(states, self._chips, strict=True):
            chip.clicked.connect(lambda _checked=False, state=state: presenter.show(state=state))
        self.presenter = presenter
        self.make: QPushButton = button(role="primary", icon_name="plus")
        self.make.clicked.connect(lambda _checked=False: make())
        only_if(presenter.may_edit, self.make)
        self.tools.insertWidget(0, self.make)
        self.form = ActBar(making, margin=24, offers=False)
        self.body.insertWidget(0, self.form)
        panel, bar = ToldPanel(presenter, told), ActBar(presenter.acting)
        panel.body.addWidget(bar)
        panel.order_wanted.connect(partial(self.wanted.emit, "orders"))
        for command, key in commands.items():
            self.handle_act(command, key)
        self.hear(making)
        making.watch(lambda: presenter.refresh() if making.said is not None else None)
        self.build(shown, panel, bar)

    def look(self) -> None:
        for state, chip in zip(self._states, self._chips, strict=True):
            chip.setText(self.tr("全部") if state is None else state_word(state))
            chip.setChecked(state is self.presenter.state)
        super().look()


class AdjustmentsPage(_LedgerCases):
    """Adjustments by two people."""

    def __init__(self, presenter: Adjustments) -> None:
        super().__init__("adjustments", presenter)
        self.say(self.subtitle.setText, lambda: self.tr("账错了才手工调：一人提出，另一人复核才入账"))
        shown = FeedView(
            presenter.feed,
            name=lambda: self.tr("调账列表"),
            titles=self._titles,
            empty_icon="check",
            remembered_as="adjustments",
            empty=lambda: (self.tr("没有调账"), self.tr("需要更正账目时，点“提出调账”。")),
            key=lambda one: one.id,
        )
        told: Told[Adjustment] = Told(
            name=lambda one: one.ticket,
            fen=lambda one: sum(transfer.amount_fen for transfer in one.transfers),
            lines=lambda one: [(shown_transfer(each), formats.money(each.amount_fen)) for each in one.transfers],
            facts=adjustments.facts_of,
        )
        self._put_together(
            presenter,
            states=adjustments.STATES,
            making=presenter.proposing,
            make=presenter.propose,
            told=told,
            shown=shown,
            commands={
                "adjustment.post": adjustments.POST,
                "adjustment.refuse": adjustments.REFUSE,
                "adjustment.withdraw": adjustments.WITHDRAW,
            },
        )
        self.say(self.make.setText, lambda: self.tr("提出调账"))
        self.handle("adjustment.propose", presenter.propose, when=lambda: presenter.may_edit)

    def _titles(self) -> list[str]:
        return [
            self.tr("借方 ← 贷方"),
            self.tr("金额"),
            self.tr("状态"),
            self.tr("工单"),
            self.tr("原因"),
            self.tr("提出人"),
            self.tr("提出时间"),
        ]


class DisputesPage(_LedgerCases):
    """Disputes, closed when two people say the same."""

    def __init__(self, presenter: Disputes) -> None:
        super().__init__("disputes", presenter)
        self.say(self.subtitle.setText, lambda: self.tr("渠道投诉与拒付：份额先冻结，两位同事说法一致才了结"))
        shown = FeedView(
            presenter.feed,
            name=lambda: self.tr("争议列表"),
            titles=self._titles,
            empty_icon="check",
            remembered_as="disputes",
            empty=lambda: (self.tr("没有争议"), self.tr("渠道来了投诉或拒付，点“登记争议”。")),
            key=lambda one: one.id,
        )
        told: Told[Dispute] = Told(
            name=lambda one: speak_order_code(one.order_code),
            fen=lambda one: one.amount_fen,
            lines=disputes.shares_of,
            facts=disputes.facts_of,
        )
        self._put_together(
            presenter,
            states=disputes.STATES,
            making=presenter.opening,
            make=presenter.open_new,
            told=told,
            shown=shown,
            commands={"dispute.won": disputes.WON, "dispute.lost": disputes.LOST},
        )
        self.say(self.make.setText, lambda: self.tr("登记争议"))
        self.handle("dispute.open", presenter.open_new, when=lambda: presenter.may_edit)

    def _titles(self) -> list[str]:
        return [
            self.tr("订单号"),
            self.tr("原因"),
            self.tr("争议金额"),
            self.tr("状态"),
            self.tr("提议"),
            self.tr("渠道"),
            self.tr("登记时间"),
        ]
