"""By which rules suppliers are paid: their terms, the platform's share, and the calendar of working days."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout

from desktop.presenters import fee_rules, formats, holidays, terms
from desktop.presenters.fee_rules import FeeRules
from desktop.presenters.holidays import Holidays
from desktop.presenters.terms import SupplierTerms, facts_of, terms_words
from desktop.presenters.words import party_words
from desktop.views.listing import FeedView
from desktop.views.picked import PickedPage
from desktop.views.side import CasePanel, add_fact, facts
from desktop.widgets.basics import label, number_box, rule

FIRST_YEAR, LAST_YEAR = 2004, 2099


class TermsPanel(CasePanel):
    """What is agreed with the supplier in front, and what was before."""

    def __init__(self, presenter: SupplierTerms) -> None:
        self._presenter = presenter
        super().__init__(presenter, width=320, most=460, name=lambda: self.tr("结算条件"))
        self.badge.hide()
        self.leave.hide()

    def shown(self) -> object:
        presenter = self._presenter
        self.setVisible(presenter.chosen is not None)
        return None if presenter.chosen is None else (presenter.chosen, presenter.history)

    def write(self, layout: QVBoxLayout) -> None:
        one = self._presenter.chosen
        assert one is not None
        self.name.setText(one.supplier)
        table = facts()
        for words, value in facts_of(one):
            add_fact(table, words, value)
        layout.addLayout(table)
        layout.addWidget(rule())
        layout.addWidget(label(self.tr("历次约定"), role="heading"))
        for past in self._presenter.history or ():
            told = f"{formats.moment(past.valid_from)} {party_words(past.changed_by)}"
            layout.addWidget(label(told if past.version else self.tr("默认条件"), role="caption"))
            layout.addWidget(label(terms_words(past), wrap=True))


class TermsPage(PickedPage):
    """Every supplier's terms."""

    def __init__(self, presenter: SupplierTerms) -> None:
        super().__init__("terms", presenter)
        self.say(self.subtitle.setText, lambda: self.tr("与供应商约定的周期、起结金额和收款账户；按发货时的约定结算"))
        shown = FeedView(
            presenter.feed,
            name=lambda: self.tr("结算条件列表"),
            titles=self._titles,
            empty_icon="file",
            remembered_as="terms",
            empty=lambda: (self.tr("没有供应商"),),
            key=presenter.key,
        )
        self.panel = TermsPanel(presenter)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        self.build(shown)
        self.body.insertWidget(0, split, 1)
        split.addWidget(shown)
        split.addWidget(self.panel)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 0)
        self.handle_act("terms.edit", terms.EDIT)

    def _titles(self) -> list[str]:
        return [
            self.tr("供应商"),
            self.tr("结算方式"),
            self.tr("周期"),
            self.tr("起算"),
            self.tr("级别"),
            self.tr("生效时间"),
            self.tr("约定人"),
        ]


class FeeRulesPage(PickedPage):
    """Every rule of the platform's share."""

    def __init__(self, presenter: FeeRules) -> None:
        super().__init__("fee-rules", presenter)
        self.say(
            self.subtitle.setText,
            lambda: self.tr("同一范围以最新一条为准；商品与级别都写明的最优先，其次商品，再次级别"),
        )
        self.build(
            FeedView(
                presenter.feed,
                name=lambda: self.tr("费率规则列表"),
                titles=lambda: [
                    self.tr("范围"),
                    self.tr("费率"),
                    self.tr("适用商品数"),
                    self.tr("原因"),
                    self.tr("生效时间"),
                    self.tr("设置人"),
                ],
                empty_icon="file",
                remembered_as="fee-rules",
                empty=lambda: (self.tr("没有费率规则"), self.tr("没有规则时，用商品或供应商自己的费率。")),
                key=presenter.key,
            )
        )
        self.handle_act("fee_rule.add", fee_rules.ADD)


class HolidaysPage(PickedPage):
    """The calendar of a year, and whether it is known."""

    def __init__(self, presenter: Holidays) -> None:
        self.year = number_box(FIRST_YEAR, LAST_YEAR, name="", width=96)
        super().__init__("holidays", presenter)
        self.presenter = presenter
        self.say(self.subtitle.setText, lambda: self.tr("T+n 按国务院公布的工作日计算；没有的年份和临时调整在这里录入"))
        self.say(self.year.setAccessibleName, lambda: self.tr("年份"))
        self.year.setGroupSeparatorShown(False)
        self.year.setKeyboardTracking(False)
        self.year.setValue(presenter.year)
        self.year.valueChanged.connect(presenter.turn_to)
        self.tools.insertWidget(0, self.year)
        self.build(
            FeedView(
                presenter.feed,
                name=lambda: self.tr("假日与调休列表"),
                titles=lambda: [self.tr("日期"), self.tr("星期"), self.tr("是否上班"), self.tr("名称")],
                empty_icon="calendar",
                remembered_as="holidays",
                empty=lambda: (self.tr("这一年没有录入假日"), self.tr("没有录入时，按周一到周五上班计算。")),
                key=presenter.key,
            )
        )
        self.handle_act("holiday.enter", holidays.ENTER)

    def look(self) -> None:
        words = self.tr("{year} 年的假日还不完整：录入全部法定假日之前，结算日按已有的计算。")
        is_known = self.presenter.is_known
        self.year.setValue(self.presenter.year)
        self.notice.tell("" if is_known else words.format(year=self.presenter.year), tone="warning")
        super().look()
