"""The Settlement screen: what is due, the statements, the payouts, what is held back, and the rules of it all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from desktop.presenters.settlement import Settlement
from desktop.views.page import Page
from desktop.views.settlement.due import DuePage
from desktop.views.settlement.holds import HoldsPage
from desktop.views.settlement.payouts import PayoutsPage
from desktop.views.settlement.rules import FeeRulesPage, HolidaysPage, TermsPage
from desktop.views.settlement.statements import StatementsPage
from desktop.views.tabbed import TabbedPage


class SettlementPage(TabbedPage):
    """See the file's head."""

    def __init__(self, presenter: Settlement) -> None:
        self.presenter = presenter
        self.due = DuePage(presenter.due)
        self.statements = StatementsPage(presenter.statements)
        self.payouts = PayoutsPage(presenter.payouts)
        self.statements.payout_wanted.connect(self._show_payout)
        self.due.payout_wanted.connect(self._show_payout)
        self.due.statement_wanted.connect(self._show_statement)
        parts: list[tuple[Page, Callable[[], str], str]] = [
            (self.statements, lambda: self.tr("结算单"), "settlement.show_statements"),
            (self.due, lambda: self.tr("应结"), "settlement.show_due"),
            (self.payouts, lambda: self.tr("打款"), "settlement.show_payouts"),
        ]
        if presenter.holds.may_hold:
            self.holds = HoldsPage(presenter.holds)
            parts.append((self.holds, lambda: self.tr("暂缓"), "settlement.show_holds"))
        if presenter.terms.may_edit:
            self.terms = TermsPage(presenter.terms)
            self.fee_rules = FeeRulesPage(presenter.fee_rules)
            self.holidays = HolidaysPage(presenter.holidays)
            parts += [
                (self.terms, lambda: self.tr("条件"), "settlement.show_terms"),
                (self.fee_rules, lambda: self.tr("费率"), "settlement.show_fee_rules"),
                (self.holidays, lambda: self.tr("工作日"), "settlement.show_holidays"),
            ]
            self.due.calendar_wanted.connect(self._show_calendar)
        super().__init__("settlement", [(part, words) for part, words, _command in parts])
        self.say(self.title.setText, lambda: self.tr("结算"))
        self.say(self.tabs.setAccessibleName, lambda: self.tr("结算的各部分"))
        for part, _words, command in parts:
            self.handle(command, partial(self.show_part, part))

    def _show_payout(self, payout_id: UUID) -> None:
        self.show_part(self.payouts)
        self.payouts.look_at(payout_id)

    def _show_statement(self, statement_id: UUID) -> None:
        self.show_part(self.statements)
        self.statements.presenter.find(statement_id)

    def _show_calendar(self, year: int) -> None:
        self.show_part(self.holidays)
        self.holidays.year.setValue(year)

    def look_at(self, what: object) -> None:
        """Files that were dropped: what the bank or channel says became of payouts."""
        if isinstance(what, list):
            self.show_part(self.payouts)
            self.payouts.take_files(what)
